"""One protocol step: consistent start, error control, exactly located end."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float, Int

from ..results import RESULTS
from .consistent import consistent_algebraic
from .parts import Parts
from .rosenbrock import Rosenbrock, Travelling, error_norm, evaluate_polynomial
from .system import System
from .tableaus import Tableau

_FIRST_STEP = 1.0  # s; the controller finds its own from there


class Numerics(eqx.Module):
    """How accurately to solve and how far to go."""

    rtol: Float[Array, ""]
    atol: Float[Array, ""]
    max_steps: int = eqx.field(static=True)
    tableau: Tableau = eqx.field(static=True)
    adjoint: diffrax.AbstractAdjoint
    meter: diffrax.AbstractProgressMeter


class Track(eqx.Module):
    """Watched quantities over the accepted steps of one protocol step.

    Knot 0 is the start; knots after the last repeat it. Between two knots a quantity is
    the polynomial of `evaluate_polynomial`. Times are from the start of the step [s].
    """

    time: Float[Array, " knot"]
    value: Float[Array, "knot quantity"]
    higher: Float[Array, "knot power quantity"]

    def at(self, time) -> Float[Array, " quantity"]:
        """The quantities at one instant [s from the start of the step]."""
        index = jnp.searchsorted(self.time, time, side="left")
        index = jnp.clip(index, 1, self.time.size - 1)
        width = self.time[index] - self.time[index - 1]
        theta = (time - self.time[index - 1]) / jnp.where(width > 0, width, 1.0)
        return evaluate_polynomial(
            self.value[index - 1], self.value[index], self.higher[index], theta
        )


class StepOutcome(eqx.Module):
    """State and time at the end of a protocol step, and how it went."""

    parts: Parts
    duration: Float[Array, ""]
    track: Track
    result: RESULTS
    num_accepted: Int[Array, ""]
    num_rejected: Int[Array, ""]


def watch(system: System, parts: Parts) -> Float[Array, " quantity"]:
    """What is stored of every accepted step: site means, site surfaces, unknowns."""
    columns, algebraic = parts
    means = jnp.asarray(system.electrode.mesh.weights) @ columns
    return jnp.concatenate([means, columns[-1], algebraic])


def integrate_step(
    system: System,
    columns: Float[Array, "shell site"],
    guess: Float[Array, " unknown"],
    numerics: Numerics,
    *,
    first: bool | Array,
    skip: bool | Array,
) -> StepOutcome:
    """Runs the step of `system.control` from a state of the columns.

    Args:
        system: the electrode under the control of the step.
        columns: stoichiometries at its start.
        guess: potentials and current to search the consistent ones from.
        numerics: tolerances and limits.
        first: the protocol starts here, so a limit already passed is a failure; a later
            step whose limit is already passed ends at once, as on a cycler.
        skip: an earlier step failed; nothing is solved.
    """
    start = consistent_algebraic(system, 0.0, columns, guess)
    parts = Parts(columns, start.algebraic)
    passed = ~(system.margin(start.algebraic) > 0)
    longest = system.control.longest(system.electrode)
    span = jnp.where(skip | passed | ~start.found, 0.0, longest)
    span = jnp.asarray(span, columns.dtype)
    solution = _diffeqsolve(system, parts, span, numerics)
    end, steps = solution.ys
    track = _track(system, parts, solution.ts[1], steps)
    end = jax.tree.map(lambda leaf: leaf[0], end)
    outcome = _judge(system, solution.result, start.found, passed & first, end.parts)
    return StepOutcome(
        end.parts,
        solution.ts[0][0],
        track,
        outcome,
        solution.stats["num_accepted_steps"],
        solution.stats["num_rejected_steps"],
    )


def _diffeqsolve(system, parts, span, numerics):
    """The step under diffrax: its loop, controller, event and buffers."""
    tableau = numerics.tableau
    seen = watch(system, parts)
    state = Travelling(parts, jnp.zeros((len(tableau.dense), seen.size), seen.dtype))
    controller = diffrax.PIDController(
        rtol=numerics.rtol, atol=numerics.atol, norm=error_norm, pcoeff=0.0, icoeff=1.0
    )
    if system.control.drive is not None:
        knots = system.control.drive.time - system.control.drive.time[0]
        controller = diffrax.ClipStepSizeController(
            controller, step_ts=jax.lax.stop_gradient(jnp.asarray(knots[1:-1]))
        )
    event = diffrax.Event(
        lambda t, y, args, **_: args.margin(y.parts.algebraic),
        optx.Bisection(rtol=1e-13, atol=1e-9, flip="detect"),
        direction=False,
    )

    def store(t, y, args):
        return watch(args, y.parts), y.watched

    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, args: y),
        Rosenbrock(tableau, watch),
        jnp.zeros_like(span),
        span,
        jnp.minimum(_FIRST_STEP, jnp.maximum(span, 1e-6)),
        state,
        args=system,
        saveat=diffrax.SaveAt(
            subs=[diffrax.SubSaveAt(t1=True), diffrax.SubSaveAt(steps=True, fn=store)]
        ),
        stepsize_controller=controller,
        adjoint=numerics.adjoint,
        event=event,
        max_steps=numerics.max_steps,
        throw=False,
        progress_meter=numerics.meter,
    )


def _track(system, start: Parts, times, steps) -> Track:
    """Knots with the start in front; padding repeats the last accepted step."""
    values, higher = steps
    used = jnp.isfinite(times)
    count = jnp.sum(used)
    first = watch(system, start)
    last = jnp.maximum(count - 1, 0)
    none = count == 0

    def fill(rows, front):
        tail = jnp.where(none, front, rows[last])
        mask = used.reshape(-1, *(1,) * (rows.ndim - 1))
        return jnp.concatenate([front[None], jnp.where(mask, rows, tail)])

    return Track(
        fill(times, jnp.zeros_like(times[0])),
        fill(values, first),
        fill(higher, jnp.zeros_like(higher[0])),
    )


def _judge(system, solved, found, passed, parts) -> RESULTS:
    """The outcome of a step as one of our results."""
    events = diffrax.RESULTS.event_occurred
    result = RESULTS.where(
        solved == diffrax.RESULTS.max_steps_reached,
        RESULTS.max_steps_reached,
        RESULTS.where(
            (solved == diffrax.RESULTS.successful) | (solved == events),
            RESULTS.successful,
            RESULTS.step_size_too_small,
        ),
    )
    timed_out = (solved == diffrax.RESULTS.successful) & system.control.must_end
    result = RESULTS.where(
        timed_out & (system.margin(parts.algebraic) > 1e-9), RESULTS.no_end, result
    )
    finite = jnp.all(jnp.isfinite(parts.columns)) & jnp.all(
        jnp.isfinite(parts.algebraic)
    )
    inside = jnp.all((parts.columns > 0) & (parts.columns < 1))
    result = RESULTS.where(
        finite & ~inside & (result == RESULTS.successful), RESULTS.left_domain, result
    )
    result = RESULTS.where(
        ~finite & (result == RESULTS.successful), RESULTS.step_size_too_small, result
    )
    result = RESULTS.where(passed, RESULTS.start_outside_limits, result)
    return RESULTS.where(~found, RESULTS.no_consistent_start, result)
