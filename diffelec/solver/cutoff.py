"""Where the last step of a march meets its cut-off.

The dense output has an error of the tolerance's in the potentials, which is many
seconds where they rise slowly, and the step after, from potentials that solve the
equations, would start with a jump of its current. So the place that is found on the
dense output is corrected by what the equations say there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..tables import with_slope
from .accepted import Last, along, margin_along
from .parts import Parts
from .serial import any_lane

_BISECTIONS = 48
_CORRECTIONS = 12  # each some 1e-2 of the one before
_ROUNDING = 1e-14  # of a step, to find its end with
_FARTHEST = 1.25  # steps, that a cut-off may lie off where the dense output has it


class Ending(NamedTuple):
    """Where along the last step its cut-off is met, the state there, and how often both
    were corrected.
    """

    theta: Float[Array, ""]
    parts: Parts
    turns: Int[Array, ""]


def corrected(
    system, last: Last, ending: Ending, algebraic, wanted
) -> tuple[Ending, Bool[Array, ""]]:
    """(the ending after a turn, whether it was the last one), if that is wanted.

    The first turn finds the cut-off on the dense output. Each other one goes on from
    `algebraic`, potentials that solve the equations at `ending.theta`, along the slope
    of the dense output.
    """

    def turn(_, carry):
        return _turned(system, last, carry[0], algebraic, wanted)

    # A loop, so that steps which do not end at a cut-off do not pay for it.
    turns = jnp.where(any_lane(wanted), 1, 0)
    return jax.lax.fori_loop(0, turns, turn, (ending, jnp.zeros_like(wanted)))


def _turned(system, last: Last, ending: Ending, algebraic, wanted):
    """One turn of `corrected`."""
    first = wanted & (ending.turns == 0)
    margin, theta = margin_along(system, *last), ending.theta
    _, slope = with_slope(margin, theta)
    falls = slope < 0
    later = -system.margin(algebraic) / jnp.where(falls, slope, -1.0)
    moved = jnp.clip(theta + jnp.where(falls, later, 0.0), 0.0, _FARTHEST)
    still = (jnp.abs(moved - theta) < _ROUNDING) | (ending.turns > _CORRECTIONS)
    found = _crossing(margin, theta, first)
    theta = jnp.where(first, found, moved)
    there = along(*last, theta)
    potentials = jnp.where(first, there.algebraic, algebraic)
    now = Ending(theta, Parts(there.columns, potentials), ending.turns + 1)
    after = jax.tree.map(lambda a, b: jnp.where(wanted, a, b), now, ending)
    return after, wanted & ~first & still


def _crossing(margin, theta, wanted):
    """Where a margin along a step is 0, if that is wanted; `theta` tells the type."""

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        inside = margin(middle) > 0
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    turns = jnp.where(any_lane(wanted), _BISECTIONS, 0)
    bracket = (jnp.zeros_like(theta), jnp.ones_like(theta))
    low, high = jax.lax.fori_loop(0, turns, halve, bracket)
    return 0.5 * (low + high)
