"""Samplers whose draws depend on no other draw: a solve each, and weights."""

import abc
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .parted import Parted
from .posterior import Posterior
from .samplers import AbstractSampler, Draw


class KeyState(NamedTuple):
    """The key of the next draw, all that a chain of independent ones knows."""

    key: Array

    @property
    def ready(self):
        return jnp.asarray(True)


class AbstractIndependent(AbstractSampler):
    """One solve a draw and no gradient; nothing is remembered but the key."""

    @property
    def num_warmup(self):
        return 0

    def start(self, target, key):
        del target
        return KeyState(key)

    def advance(self, target, state):
        key, own = jax.random.split(state.key)
        return KeyState(key), self.draw(target, own)

    @abc.abstractmethod
    def draw(self, target: Posterior, key: Array) -> Draw:
        """One draw."""


class Prior(AbstractIndependent):
    """Draws of the prior, without weights."""

    def draw(self, target, key):
        raw = jax.random.normal(key, (target.size,))
        return _made(raw, target.evaluate(raw), jnp.zeros(()))

    @staticmethod
    def example() -> "Prior":
        return Prior()


class Laplace(AbstractIndependent):
    r"""A quick look: draws of the normal law at the optimum, weighted.

    $$ \propto p(u | y) / N(u; 0, 1) $$

    Whether the weights may be trusted, `pareto.smooth_weights` says, whose k must be
    below `pareto.largest_shape`.
    """

    def draw(self, target, key):
        u = jax.random.normal(key, (target.size,))
        return _weighted(target, u, -0.5 * jnp.sum(u**2))

    @staticmethod
    def example() -> "Laplace":
        return Laplace()


class Weighted(AbstractIndependent):
    r"""Draws of a law that is near to the posterior, weighted.

    $$ \propto p(u | y) / q(u) $$

    Attributes:
        law: q, such as `evidence.adapted` finds.
    """

    law: Parted

    def draw(self, target, key):
        u = self.law.draw(target, key)
        return _weighted(target, u, self.law.log_density(target, u))

    @staticmethod
    def example() -> "Weighted":
        return Weighted(Parted.example())


def _weighted(target: Posterior, u, log_law) -> Draw:
    """A draw at a point of a law of that log density, weighted by the posterior's."""
    raw = target.raw(u)
    found = target.evaluate(raw)
    return _made(raw, found, found.log_density + target.log_volume(u) - log_law)


def _made(raw, found, log_weight) -> Draw:
    """A draw from the `Evaluation` of its numbers."""
    one, zero = jnp.asarray(1), jnp.asarray(0)
    return Draw(
        raw=raw,
        log_density=found.log_density,
        log_weight=log_weight,
        log_likelihoods=found.log_likelihoods,
        times=found.times,
        energy=-found.log_density,
        acceptance=jnp.ones(()),
        step_size=jnp.zeros(()),
        num_solves=one,
        depth=zero,
        diverging=jnp.asarray(False),
        num_failed=zero + found.failed,
    )
