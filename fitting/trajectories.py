"""Hamiltonian trajectories of a length that is chosen beforehand."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int
from numpyro.infer.hmc_util import (
    HMCAdaptState,
    IntegratorState,
    euclidean_kinetic_energy,
    warmup_adapter,
)

from .jumps import AbstractJumper
from .samplers import (
    UNKNOWN,
    Draw,
    Place,
    adapted_start,
    check_adaptation,
    departure,
    leapfrog_of,
)

_ASTRAY = 1000.0  # rise of the energy at which a trajectory diverged


class Spread(NamedTuple):
    """Count, mean and sum of products of the draws of a stretch of warm-up."""

    count: Float[Array, ""]
    mean: Float[Array, " component"]
    products: Float[Array, "component component"]

    @staticmethod
    def empty(size: int) -> "Spread":
        return Spread(jnp.zeros(()), jnp.zeros(size), jnp.zeros((size, size)))

    def plus(self, u) -> "Spread":
        """With one more draw (Welford)."""
        count, off = self.count + 1.0, u - self.mean
        mean = self.mean + off / count
        return Spread(count, mean, self.products + jnp.outer(off, u - mean))

    def widest(self, inverse_mass) -> Float[Array, ""]:
        r"""Standard deviation along the widest direction, in units of the mass; 1 at
        least.

        The largest eigenvalue $l$ of n draws' covariance exceeds that of the law,
        $\lambda$, which stands out from 1s; with $\gamma = d/n$

        $$ l = \lambda + \frac{\gamma \lambda}{\lambda - 1} $$

        is solved for it. Source: Baik and Silverstein 2006, J. Multivariate Anal. 97,
        1382.
        """
        scale = jnp.sqrt(inverse_mass)
        covariance = self.products / jnp.maximum(self.count - 1.0, 1.0)
        largest = jnp.linalg.eigvalsh(covariance / jnp.outer(scale, scale))[-1]
        ratio = self.mean.size / jnp.maximum(self.count, 1.0)
        half = 0.5 * (largest + 1.0 - ratio)
        root = jnp.sqrt(jnp.maximum(half**2 - largest, 0.0))
        found = jnp.where(largest > (1.0 + jnp.sqrt(ratio)) ** 2, half + root, 1.0)
        return jnp.sqrt(jnp.maximum(found, 1.0))


class HMCState(NamedTuple):
    """Where a chain of `HMC` is."""

    index: Int[Array, ""]  # of the next draw; -1 until the start is solved
    place: Place
    potential: Float[Array, ""]
    slope: Float[Array, " component"]
    stale: Bool[Array, ""]  # the slope is that of another point
    adapted: HMCAdaptState
    spread: Spread
    length: Float[Array, ""]  # mean one of trajectories
    key: Array

    @property
    def ready(self):
        return self.index >= 0


class _Trajectory(NamedTuple):
    """A trajectory under way."""

    now: IntegratorState
    rise: Float[Array, ""]  # of the energy
    num_solves: Int[Array, ""]


class HMC(AbstractJumper):
    r"""Hamiltonian Monte Carlo: trajectories whose ends alone are drawn or refused.

    A trajectory has

    $$ L_k = \lceil 2 h_k T / \epsilon \rceil, \quad T = \tfrac{\pi}{2} \sigma $$

    leapfrogs, h_k the k-th of van der Corput's numbers in (0, 1), alike in all chains,
    T a quarter of a period in the widest direction of the posterior, of standard
    deviation $\sigma$. Warm-up adapts the step size, a diagonal mass and, over two
    stretches of its draws, T. Where a tree turns both ways and draws from all of it,
    this goes one way and draws the end. Every chain makes about as many leapfrogs, so
    that chains that advance in one batch hardly wait for each other.

    A failed solve ends its trajectory, as one that diverges does, and is never drawn.

    Attributes:
        num_warmup: draws.
        acceptance: that the step size aims at.
        most: leapfrogs of a trajectory.

    Source: Neal 2011, MCMC using Hamiltonian dynamics, ch. 5; Hoffman, Radul and
        Sountsov 2021, AISTATS (jitter by quasi-random numbers, equal lengths in all
        chains); Sountsov and Hoffman 2021, arXiv 2110.11576 (length by the widest
        direction).
    """

    num_warmup: int = eqx.field(static=True, default=300)
    acceptance: float = eqx.field(static=True, default=0.75)
    most: int = eqx.field(static=True, default=128)
    step_size: float = eqx.field(static=True, default=0.5)  # at which warm-up begins

    def __check_init__(self):
        own = self.num_warmup, self.acceptance, self.step_size
        check_adaptation(*own, most=self.most)

    @property
    def _adapter(self):
        return warmup_adapter(self.num_warmup, target_accept_prob=self.acceptance)

    def start(self, target, key):
        start, adapted, key = adapted_start(target, self._adapter, self.step_size, key)
        place, _, potential, slope = start
        return HMCState(
            index=jnp.asarray(-1),
            place=place,
            potential=potential,
            slope=slope,
            stale=jnp.asarray(True),
            adapted=adapted,
            spread=Spread.empty(target.size),
            length=jnp.asarray(0.5 * jnp.pi),
            key=key,
        )

    def advance(self, target, state):
        key, key_momentum, key_chance = jax.random.split(state.key, 3)
        adapted, start = state.adapted, departure(state, key_momentum)
        found = self._travelled(target, state, start)
        diverging = ~(found.rise < _ASTRAY)
        acceptance = jnp.where(diverging, 0.0, jnp.exp(jnp.minimum(-found.rise, 0.0)))
        taken = jax.random.uniform(key_chance) < acceptance
        new = jax.tree.map(lambda a, b: jnp.where(taken, a, b), found.now, start)
        draw = Draw(
            raw=target.raw(new.z.u),
            log_density=-new.potential_energy - target.log_volume(new.z.u),
            log_weight=jnp.zeros(()),
            log_likelihoods=new.z.log_likelihoods,
            times=new.z.times,
            energy=_energy(adapted, new),
            acceptance=acceptance,
            step_size=adapted.step_size,
            num_solves=found.num_solves,
            depth=jnp.asarray(0),
            diverging=diverging & (found.now.z.num_failed == 0),
            num_failed=found.now.z.num_failed,
        )
        state = state._replace(stale=state.stale & ~taken)
        return self._next(state, new, acceptance, key), draw

    def level(self, target, state):
        return -state.potential

    def put(self, target, state, place, level):
        moved = state._replace(place=place, potential=-level)
        return moved._replace(stale=jnp.ones_like(state.stale))

    def _travelled(self, target, state, start) -> _Trajectory:
        """To the end of a trajectory, or to where it goes astray."""
        adapted, leapfrog = state.adapted, leapfrog_of(target)
        wanted = 2.0 * _van_der_corput(state.index) * state.length / adapted.step_size
        wanted = jnp.clip(jnp.ceil(wanted), 1, self.most)
        count = jnp.where(state.ready, wanted, 0) + state.stale
        energy = _energy(adapted, start)

        def goes_on(found: _Trajectory):
            return (found.num_solves < count) & (found.rise < _ASTRAY)

        def further(found: _Trajectory):
            # A start is solved, and the slope where a jump ended found, by a leapfrog
            # of no length, in the code of any other.
            still = state.stale & (found.num_solves == 0)
            step = jnp.where(still, 0.0, adapted.step_size)
            now = leapfrog(step, adapted.inverse_mass_matrix, found.now)
            rise = _energy(adapted, now) - energy
            return _Trajectory(now, rise, found.num_solves + 1)

        begin = _Trajectory(start, jnp.zeros_like(energy), jnp.asarray(0))
        return jax.lax.while_loop(goes_on, further, begin)

    def _next(self, state, new, acceptance, key):
        """The state after a trajectory."""
        index, u = state.index, new.z.u
        warms = (index >= 0) & (index < self.num_warmup)
        anew = (index == self.num_warmup // 6) | (index == self.num_warmup // 2)

        def adapt():
            reached = IntegratorState(u, None, None, None)
            adapted = self._adapter[1](index, acceptance, reached, state.adapted)
            empty = Spread.empty(u.size)
            kept = jax.tree.map(
                lambda a, b: jnp.where(anew, a, b), empty, state.spread
            ).plus(u)
            widest = kept.widest(adapted.inverse_mass_matrix)
            enough = kept.count >= self.num_warmup // 6
            length = jnp.where(enough, 0.5 * jnp.pi * widest, state.length)
            return adapted, kept, length

        unmoved = (state.adapted, state.spread, state.length)
        adapted, spread, length = jax.lax.cond(warms, adapt, lambda: unmoved)
        unsolved = new.potential_energy == UNKNOWN
        place = new.z._replace(u=jnp.where(unsolved, 0.5 * u, u))
        return HMCState(
            index=jnp.where(unsolved, index, index + 1),
            place=place,
            potential=new.potential_energy,
            slope=new.z_grad,
            stale=state.stale,
            adapted=adapted,
            spread=spread,
            length=length,
            key=key,
        )

    @staticmethod
    def example() -> "HMC":
        return HMC(num_warmup=100)


def _energy(adapted: HMCAdaptState, point: IntegratorState) -> Float[Array, ""]:
    kinetic = euclidean_kinetic_energy(adapted.inverse_mass_matrix, point.r)
    return point.potential_energy + kinetic


def _van_der_corput(index: Int[Array, ""]) -> Float[Array, ""]:
    """The bits of index + 1 behind the binary point, the last one first."""
    bits = 2 ** jnp.arange(24)
    return jnp.sum(((index + 1) // bits % 2) / (2.0 * bits))
