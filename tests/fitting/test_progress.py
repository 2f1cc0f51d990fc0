import io
import threading
import time

import diffrax
import jax
import jax.numpy as jnp
import pytest

import diffelec
from diffelec import stretches
from fitting import meters, optimise, progress, sampling, tempering


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
    steps = meters.Steps(3, stream)

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

    solve(meters.ProtocolMeter(steps)).block_until_ready()
    jax.effects_barrier()
    assert steps.done == 3.0
    assert "100%" in stream.getvalue()


def test_meter_only_for_long_solves_that_somebody_watches():
    assert progress.meter_for(15, 6, Terminal()) is None
    assert progress.meter_for(1000, 6, io.StringIO()) is None
    assert progress.meter_for(1000, 6, Terminal()).steps.num_steps == 6


def told(start, step, best=2.5):
    return optimise.Progress(start, 3, step, 40, best, best, 0)


def test_search_is_silent_where_nobody_watches():
    stream = io.StringIO()
    with progress.Search(3, stream) as shown:
        assert shown(told(0, 1)) is False
    assert stream.getvalue() == ""


def test_search_shows_start_misfit_rate_and_what_remains():
    stream = Terminal()
    with progress.Search(3, stream) as shown:
        for start, steps in enumerate((10, 20, 12)):
            for step in range(1, steps + 1):
                assert shown(told(start, step)) is False
            # 15 a start until one is over, then the mean of those that are
            assert shown._bar.total == (15 + 2 * 15, 10 + 20 + 10, 30 + 15)[start]
    text = stream.getvalue()
    assert "start 3/3, misfit 5" in text
    assert "step/s" in text or "s/step" in text


def test_search_that_ends_early_leaves_no_thread():
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt), progress.Search(3, Terminal()):
        raise KeyboardInterrupt
    assert threading.active_count() == before


def stage(power, done, total, new):
    counts = sampling.Progress(new, 32, new, 5 * new, 0, 0)
    return tempering.Stage(power, done, total, counts)


def test_powers_are_silent_where_nobody_watches():
    stream = io.StringIO()
    with progress.Powers(stream) as shown:
        shown(stage(0.0, 1, 400, 1))
    assert stream.getvalue() == ""


def test_powers_show_where_walkers_are_and_what_remains():
    stream = Terminal()
    with progress.Powers(stream) as shown:
        shown(stage(0.0, 21, 400, 1))  # twenty were there before
        assert (shown._bar.initial, shown._bar.n, shown._bar.total) == (20, 21, 400)
        shown._bar.mininterval = 0.0
        for k in range(2, 13):
            shown(stage(0.25, 20 + k, 300, k))
        assert (shown._bar.n, shown._bar.total) == (32, 300)
    assert "power 0.25" in stream.getvalue()
    assert "/300" in stream.getvalue()


def test_counted_is_silent_where_nobody_watches():
    stream = io.StringIO()
    with progress.Counted("candidates", 2, stream) as shown:
        shown("again")
    assert stream.getvalue() == ""


def test_counted_names_what_is_done_and_its_share():
    stream = Terminal()
    with progress.Counted("candidates", 4, stream) as shown:
        by = time.monotonic() + 20.0  # a thread of its own writes it
        while "compiling, then candidates" not in stream.getvalue():
            assert time.monotonic() < by
            time.sleep(0.01)
        shown("again")
    assert "candidates: again  25%" in stream.getvalue()


def test_stretches_of_a_protocol_step_count_as_one(monkeypatch):
    monkeypatch.setattr(stretches, "suit", lambda topology: True)
    monkeypatch.setattr(stretches, "_LENGTH", 10)
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/10 for 2 hours", "Rest for 1 hour"]
    )
    electrode = diffelec.presets.single_particle(num_shells=4)
    steps = meters.Steps(2, Terminal())
    meter = meters.ProtocolMeter(steps)
    found = diffelec.simulate(electrode, protocol, meter=meter)
    jax.effects_barrier()
    assert int(found.num_steps[0].sum()) > 20
    assert steps.done == 2.0
