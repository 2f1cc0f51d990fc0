"""Samplers: from one draw of a chain to the next, as pure functions.

To add one, add one final class with `num_warmup`, `start` and `advance`: chunked runs,
resuming and diagnostics take it as it is.
"""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from numpyro.infer.hmc_util import (
    HMCAdaptState,
    IntegratorState,
    build_tree,
    euclidean_kinetic_energy,
    warmup_adapter,
)

from .posterior import Posterior

UNKNOWN = 1e30  # potential of a start that is not solved yet; any solved one is lower


class Draw(NamedTuple):
    """One draw of a chain, and how it came about.

    Attributes:
        raw: numbers (component,).
        log_density: of data and prior.
        log_weight: log of the density over that which was drawn from; 0 where draws
            are of the posterior itself.
        log_likelihoods: of each row of data (row,).
        times: of the events that it predicts [s] (event,).
        energy: of the trajectory (potential and kinetic).
        acceptance: mean probability to accept along the trajectory.
        step_size: of the leapfrogs.
        num_solves: of the model; a leapfrog is one, with its gradient.
        depth: of the tree of leapfrogs.
        diverging: the trajectory left the posterior, its energy rose by 1000, though
            every solve succeeded.
        num_failed: solves that failed, each of which ended a trajectory or was refused.
    """

    raw: Float[Array, " component"]
    log_density: Float[Array, ""]
    log_weight: Float[Array, ""]
    log_likelihoods: Float[Array, " row"]
    times: Float[Array, " event"]
    energy: Float[Array, ""]
    acceptance: Float[Array, ""]
    step_size: Float[Array, ""]
    num_solves: Int[Array, ""]
    depth: Int[Array, ""]
    diverging: Bool[Array, ""]
    num_failed: Int[Array, ""]


class AbstractSampler(eqx.Module):
    """One chain, draw by draw. States are pytrees of arrays with a field `ready`."""

    @property
    @abc.abstractmethod
    def num_warmup(self) -> int:
        """Draws in front that adapt and are not of the posterior."""

    @abc.abstractmethod
    def start(self, target: Posterior, key: Array) -> Any:
        """The state of a chain before its first draw; solves nothing. Until its
        `ready` holds, `advance` looks for a point to begin at.
        """

    @abc.abstractmethod
    def advance(self, target: Posterior, state: Any) -> tuple[Any, Draw]:
        """The next draw."""


class Place(NamedTuple):
    """A point of a trajectory, with what its solve said and failures on the way."""

    u: Float[Array, " component"]
    log_likelihoods: Float[Array, " row"]
    times: Float[Array, " event"]
    num_failed: Int[Array, ""]


def check_adaptation(
    num_warmup: int, acceptance: float, step_size: float, **counts: int
) -> None:
    """Raises ValueError for a warm-up that cannot be, or a count below 1."""
    if num_warmup < 10:
        raise ValueError(f"`num_warmup` must be 10 or more, but is {num_warmup}.")
    if not 0 < acceptance < 1:
        raise ValueError(f"`acceptance` must lie between 0 and 1, but is {acceptance}.")
    if not 0 < step_size < jnp.inf:
        raise ValueError(f"`step_size` must be positive, but is {step_size}.")
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"`{name}` must be 1 or more, but is {value}.")


def adapted_start(target: Posterior, adapter, step_size: float, key: Array):
    """(a draw of the unit normal law that is not solved yet, state of numpyro's
    adaptation, key) of a chain of trajectories.
    """
    key_start, key_adapt, key = jax.random.split(key, 3)
    u = jax.random.normal(key_start, (target.size,))
    shapes = jax.eval_shape(target.evaluate, u)
    blank = lambda like: jnp.zeros(like.shape, like.dtype)
    rows, times = blank(shapes.log_likelihoods), blank(shapes.times)
    place = Place(u, rows, times, jnp.asarray(0))
    adapted = adapter[0](
        IntegratorState(u, None, None, None),
        key_adapt,
        jnp.asarray(step_size),
        mass_matrix_size=target.size,
    )
    unknown = jnp.asarray(UNKNOWN)
    return IntegratorState(place, None, unknown, jnp.zeros_like(u)), adapted, key


def departure(state, key: Array) -> IntegratorState:
    """Where a trajectory sets out from a chain's state, with a fresh momentum."""
    place = state.place._replace(num_failed=jnp.zeros_like(state.place.num_failed))
    normal = jax.random.normal(key, state.slope.shape)
    momentum = state.adapted.mass_matrix_sqrt * normal
    return IntegratorState(place, momentum, state.potential, state.slope)


class NUTSState(NamedTuple):
    """Where a chain of `NUTS` is."""

    index: Int[Array, ""]  # of the next draw; -1 until the start is solved
    place: Place
    potential: Float[Array, ""]
    slope: Float[Array, " component"]
    adapted: HMCAdaptState
    key: Array

    @property
    def ready(self):
        return self.index >= 0


class NUTS(AbstractSampler):
    r"""The no-U-turn sampler, with numpyro's trees and adaptation, in coordinates u.

    A chain starts at a draw of Laplace's law, halved towards the optimum until it can
    be solved. Warm-up adapts step size and a diagonal mass; about the optimum's own
    covariance both are near to what they end at. A dense mass is no help: from windows
    of a hundred draws of 23 numbers it made trees five times as long.

    A failed solve ends its trajectory, as one that diverges does, and is never drawn.
    Each point carries the number of failures on the way to it, so that the two ends
    of a finished tree tell how many there were: the count is exact and costs nothing.

    Attributes:
        num_warmup: draws.
        acceptance: that the step size aims at.
        max_depth: of trees; 2^depth leapfrogs at most.

    Source: Hoffman and Gelman 2014; Betancourt 2017, arXiv 1701.02434; Phan et al.
        2019, arXiv 1912.11554 (iterative trees).
    """

    num_warmup: int = eqx.field(static=True, default=300)
    acceptance: float = eqx.field(static=True, default=0.8)
    max_depth: int = eqx.field(static=True, default=8)
    step_size: float = eqx.field(static=True, default=0.5)  # at which warm-up begins

    def __check_init__(self):
        own = self.num_warmup, self.acceptance, self.step_size
        check_adaptation(*own, max_depth=self.max_depth)

    @property
    def _adapter(self):
        return warmup_adapter(self.num_warmup, target_accept_prob=self.acceptance)

    def start(self, target, key):
        start, adapted, key = adapted_start(target, self._adapter, self.step_size, key)
        place, _, potential, slope = start
        return NUTSState(jnp.asarray(-1), place, potential, slope, adapted, key)

    def advance(self, target, state):
        key, key_momentum, key_tree = jax.random.split(state.key, 3)
        adapted = state.adapted
        # A start is solved by one leapfrog of no length, in the code of any other:
        # to compile a gradient of the simulator takes half a minute.
        is_start = state.index < 0
        tree = build_tree(
            leapfrog_of(target),
            euclidean_kinetic_energy,
            departure(state, key_momentum),
            adapted.inverse_mass_matrix,
            jnp.where(is_start, 0.0, adapted.step_size),
            key_tree,
            max_tree_depth=(jnp.where(is_start, 1, self.max_depth), self.max_depth),
        )
        num_failed = tree.z_left.num_failed + tree.z_right.num_failed
        draw = _draw_of(target, tree, adapted.step_size, num_failed)
        return self._next(state, tree, draw.acceptance, key), draw

    def _next(self, state, tree, acceptance, key):
        """The state after a tree."""
        reached = IntegratorState(tree.z_proposal.u, None, None, None)
        warms = (state.index >= 0) & (state.index < self.num_warmup)
        adapted = jax.lax.cond(
            warms,
            lambda: self._adapter[1](state.index, acceptance, reached, state.adapted),
            lambda: state.adapted,
        )
        unsolved = tree.z_proposal_pe == UNKNOWN
        place = tree.z_proposal
        place = place._replace(u=jnp.where(unsolved, 0.5 * place.u, place.u))
        return NUTSState(
            index=jnp.where(unsolved, state.index, state.index + 1),
            place=place,
            potential=tree.z_proposal_pe,
            slope=tree.z_proposal_grad,
            adapted=adapted,
            key=key,
        )

    @staticmethod
    def example() -> "NUTS":
        return NUTS(num_warmup=100)


def leapfrog_of(target: Posterior):
    """One leapfrog of the target, as numpyro's trees ask for it."""

    def leapfrog(step_size, inverse_mass, state):
        place, momentum, _, slope = state
        momentum = momentum - 0.5 * step_size * slope
        u = place.u + step_size * inverse_mass * momentum
        potential, slope, found = target.potential_and_slope(u)
        momentum = momentum - 0.5 * step_size * slope
        num_failed = place.num_failed + found.failed
        place = Place(u, found.log_likelihoods, found.times, num_failed)
        return IntegratorState(place, momentum, potential, slope)

    return leapfrog


def _draw_of(target, tree, step_size, num_failed) -> Draw:
    place = tree.z_proposal
    return Draw(
        raw=target.raw(place.u),
        log_density=-tree.z_proposal_pe - target.log_volume(place.u),
        log_weight=jnp.zeros(()),
        log_likelihoods=place.log_likelihoods,
        times=place.times,
        energy=tree.z_proposal_energy,
        acceptance=tree.sum_accept_probs / tree.num_proposals,
        step_size=step_size,
        num_solves=tree.num_proposals,
        depth=jnp.asarray(tree.depth),
        diverging=tree.diverging & (num_failed == 0),
        num_failed=num_failed,
    )
