import io

import diffrax
import jax
import jax.numpy as jnp

from fitting import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_waiting_is_silent_where_nobody_watches():
    stream = io.StringIO()
    with progress.Waiting("solving", stream):
        pass
    assert stream.getvalue() == ""


def test_waiting_shows_its_message_on_a_terminal():
    stream = Terminal()
    with progress.Waiting("solving", stream):
        pass
    assert "solving" in stream.getvalue()


def test_meter_counts_the_steps_of_a_scanned_solve():
    stream = Terminal()
    steps = progress.Steps(3, stream)

    @jax.jit
    def solve(meter):
        def advance(y, _):
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(lambda t, y, args: -y),
                diffrax.Tsit5(),
                0.0,
                1.0,
                0.01,
                y,
                progress_meter=meter,
            )
            return solution.ys[-1], None

        return jax.lax.scan(advance, jnp.ones(()), None, length=3)[0]

    solve(progress.ProtocolMeter(steps)).block_until_ready()
    jax.effects_barrier()
    assert steps.done == 3.0
    assert "100%" in stream.getvalue()


def test_meter_only_for_long_solves_that_somebody_watches():
    assert progress.meter_for(15, 6, Terminal()) is None
    assert progress.meter_for(1000, 6, io.StringIO()) is None
    assert progress.meter_for(1000, 6, Terminal()).steps.num_steps == 6
