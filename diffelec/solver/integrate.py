"""One protocol step: consistent start, error control, exactly located end."""

from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..results import RESULTS
from .accepted import AT_END, AT_EVENT, OUT_OF_STEPS, Marched, bends_of_all
from .consistent import consistent_algebraic
from .march import Tolerances, march
from .parts import Parts
from .quiet import Quiet
from .rosenbrock import evaluate_polynomial
from .system import System

if TYPE_CHECKING:
    import diffrax


class Track(eqx.Module):
    """Watched quantities over the accepted steps of one protocol step.

    Knot 0 is the start; knots after the last repeat it. Between two knots a quantity is
    the polynomial of `evaluate_polynomial`, or a line where `accepted.bends` has it so.
    Times are from the start of the step [s].
    """

    time: Float[Array, " knot"]
    value: Float[Array, "knot quantity"]
    higher: Float[Array, "knot power curved"]

    def at(self, time) -> Float[Array, " quantity"]:
        """The quantities at one instant [s from the start of the step]."""
        index = jnp.searchsorted(self.time, time, side="left")
        index = jnp.clip(index, 1, self.time.size - 1)
        width = self.time[index] - self.time[index - 1]
        theta = (time - self.time[index - 1]) / jnp.where(width > 0, width, 1.0)
        start, end = self.value[index - 1], self.value[index]
        higher = bends_of_all(self.higher[index], start.size)
        return evaluate_polynomial(start, end, higher, theta)


class StepOutcome(eqx.Module):
    """State and time at the end of a protocol step, and how it went."""

    parts: Parts
    duration: Float[Array, ""]
    track: Track
    result: RESULTS
    num_accepted: Int[Array, ""]
    num_rejected: Int[Array, ""]


def integrate_step(
    system: System,
    columns: Float[Array, "shell site"],
    guess: Float[Array, " unknown"],
    tolerances: Tolerances,
    *,
    meter: "diffrax.AbstractProgressMeter | Quiet",
    first: bool | Array,
    skip: bool | Array,
    begin: float | Array = 0.0,
) -> StepOutcome:
    """Runs the step of `system.control` from a state of the columns.

    Args:
        system: the electrode under the control of the step.
        columns: stoichiometries at its start.
        guess: potentials and current to search the consistent ones from.
        tolerances: how accurately to solve and how far to go.
        meter: shows how much of the step is behind us.
        first: the protocol starts here, so that surfaces outside of (0, 1) are a
            failure, and so is a limit already passed; a later step whose limit is
            already passed ends at once, as on a cycler.
        skip: an earlier step failed; nothing is solved.
        begin: instant within the step to go on from [s]; not differentiated.
    """
    begin = jnp.asarray(begin, columns.dtype)
    start = consistent_algebraic(system, begin, columns, guess)
    parts = Parts(columns, start.algebraic)
    passed = ~(system.margin(start.algebraic) > 0)
    outside = first & jnp.any((columns[-1] <= 0) | (columns[-1] >= 1))
    longest = system.control.longest(system.electrode)
    span = jnp.where(skip | passed | outside | ~start.found, begin, longest)
    span = jnp.asarray(span, columns.dtype)
    marched = march(system, parts, span, tolerances, meter, begin)
    result = _judge(system, marched, start.found, passed & first)
    result = RESULTS.where(outside, RESULTS.left_domain, result)
    return StepOutcome(
        marched.parts,
        marched.duration,
        _track(marched),
        result,
        marched.num_accepted,
        marched.num_rejected,
    )


def _track(marched: Marched) -> Track:
    """Knots at the start and at every accepted step; the last one repeats to the
    end.
    """
    last = marched.num_accepted

    def fill(rows):
        mask = (jnp.arange(len(rows)) <= last).reshape(-1, *(1,) * (rows.ndim - 1))
        return jnp.where(mask, rows, rows[last])

    return Track(*map(fill, marched.rows))


def _judge(system, marched: Marched, found, passed) -> RESULTS:
    """The outcome of a step as one of our results."""
    parts, status = marched.parts, marched.status
    ended = (status == AT_END) | (status == AT_EVENT)
    result = RESULTS.where(
        status == OUT_OF_STEPS,
        RESULTS.max_steps_reached,
        RESULTS.where(ended, RESULTS.successful, RESULTS.step_size_too_small),
    )
    timed_out = (status == AT_END) & system.control.must_end
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
