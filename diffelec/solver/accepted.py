"""What a march is made of: its accepted steps, what is kept of them, its end."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .parts import Parts
from .rosenbrock import evaluate_polynomial, higher_coefficients
from .system import System

RUNNING, AT_END, AT_EVENT, OUT_OF_STEPS, TOO_SMALL, SETTLING = range(6)
MANY_SITES = 1000  # above, what is kept of a step is chosen for its memory
TINY_STEP = 1e-9  # s, stands in where no step was made
CHUNK = 32  # rows of the buffers are whole chunks of so many steps


class Rows(NamedTuple):
    """What is kept of a march: of its start in row 0, and of every accepted step, one
    row each; rows after the last mean nothing.
    """

    time: Float[Array, " knot"]
    seen: Float[Array, "knot quantity"]
    higher: Float[Array, "knot power curved"]


class Steps(NamedTuple):
    """The accepted steps themselves, for their derivative: when and from where each
    began, and its size.
    """

    time: Float[Array, " step"]
    size: Float[Array, " step"]
    start: Parts


class Last(NamedTuple):
    """The last accepted step, not cut: the states at its start and at its end, and its
    dense coefficients; where there was no step, the march's start and zeros.
    """

    start: Parts
    parts: Parts
    dense: Parts


class Made(NamedTuple):
    """What the derivative of a march is taken along: from an instant on."""

    begin: Float[Array, ""]
    steps: Steps
    last: Last


class Marched(NamedTuple):
    """End of a march: state, duration, kept rows, and how it ended."""

    parts: Parts
    duration: Float[Array, ""]
    rows: Rows
    theta: Float[Array, ""]
    status: Int[Array, ""]
    num_accepted: Int[Array, ""]
    num_rejected: Int[Array, ""]


def watch(system: System, parts: Parts) -> Float[Array, " quantity"]:
    """What is stored of every accepted step: site means, site surfaces, unknowns."""
    columns, algebraic = parts
    own = system.topology.own
    means = system.electrode.mesh.weights @ columns
    return jnp.concatenate([own(means), own(columns[-1]), algebraic])


def bends(system: System, dense: Parts) -> Float[Array, "power curved"]:
    """Higher coefficients of what is watched along a step; where there are so many
    sites that memory counts, of the site means, which onsets are found on, of the
    collector and of the current alone: the rest is linear between steps then.
    """
    sites = system.topology.num_sites
    # Power by power: all at once would be a product of matrices, a library's.
    powers = zip(*dense, strict=True)
    seen = jnp.stack([watch(system, Parts(*power)) for power in powers])
    if sites > MANY_SITES:
        means, collector = seen[:, :sites], seen[:, 2 * sites, None]
        seen = jnp.concatenate([means, collector, seen[:, -1:]], axis=1)
    return higher_coefficients(seen)


def bends_of_all(
    higher: Float[Array, "power curved"], size: int
) -> Float[Array, "power quantity"]:
    """What `bends` gives, of all quantities: 0 for those that are linear."""
    powers, curved = higher.shape
    if curved == size:
        return higher
    sites = curved - 2
    line = jnp.zeros((powers, size - curved), higher.dtype)
    parts = (higher[:, :sites], line[:, :sites], higher[:, sites, None])
    return jnp.concatenate([*parts, line[:, sites:], higher[:, -1:]], axis=1)


def along(start: Parts, new: Parts, dense: Parts, theta) -> Parts:
    """The state at theta of a step, by its dense output."""
    return jax.tree.map(
        lambda a, b, k: evaluate_polynomial(a, b, higher_coefficients(k), theta),
        start,
        new,
        dense,
    )


def margin_along(system, start: Parts, new: Parts, dense: Parts):
    """The control's margin as a function of theta along a step's dense output."""
    higher = higher_coefficients(dense.algebraic)

    def margin(theta):
        return system.margin(
            evaluate_polynomial(start.algebraic, new.algebraic, higher, theta)
        )

    return margin


def end_of_step(system, start: Parts, new: Parts, dense: Parts, time, size, theta):
    """(state, time, row of higher coefficients) at theta of a step; the row describes
    the step up to there.
    """
    end = along(start, new, dense, theta)
    return end, time + theta * size, cut(bends(system, dense), theta)


def cut(higher: Float[Array, "power quantity"], theta):
    """Higher coefficients of a step up to theta."""
    powers = theta ** jnp.arange(2, 2 + higher.shape[0])
    return higher * powers[:, None]
