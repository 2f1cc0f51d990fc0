"""Jumps between the moves of another sampler: to draws of a law fitted to a pilot."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .mixtures import Mixture
from .posterior import Posterior
from .samplers import AbstractSampler, Place


class AbstractJumper(AbstractSampler):
    """A sampler whose chains may be put elsewhere between two draws."""

    @abc.abstractmethod
    def level(self, target: Posterior, state: Any) -> Float[Array, ""]:
        """Log density of u where the chain is, but for a constant."""

    @abc.abstractmethod
    def put(self, target: Posterior, state: Any, place: Place, level) -> Any:
        """The state of the chain at another place, of that log density of u."""


class Jumping(AbstractSampler):
    r"""Another sampler, whose chains try to jump anywhere before each of its moves.

    A posterior of several arms, such as "diffusion is slow" or "contacts are poor", is
    explored along each arm by the other sampler, whose chains seldom cross from one to
    the next. The draws of a pilot know all that some chain has seen: points of a law q
    fitted to them are taken with the probability (Metropolis)

    $$ \min(1, \frac{p(u') q(u)}{p(u) q(u')}) $$

    The pilot's draws count as warm-up: q does not depend on any draw that is kept.

    Attributes:
        inner: the other sampler.
        law: q, in coordinates u.
        num_pilot: draws behind the other's warm-up, without jumps, which told q; 0
            where q is known otherwise.
        tries: jumps before each draw; a solve each.

    Source: Tierney 1994, doi 10.1214/aos/1176325750 (cycles of kernels, independence
        chains).
    """

    inner: AbstractJumper
    law: Mixture
    num_pilot: int = eqx.field(static=True)
    tries: int = eqx.field(static=True, default=8)

    def __check_init__(self):
        for name, least in (("num_pilot", 0), ("tries", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"`{name}` must be {least} or more, but is {value}.")

    @property
    def num_warmup(self):
        return self.inner.num_warmup + self.num_pilot

    def start(self, target, key):
        return self.inner.start(target, key)

    def advance(self, target, state):
        key, key_jumps = jax.random.split(state.key)
        state = state._replace(key=key)
        keys = jax.random.split(key_jumps, self.tries)

        def jump(k, carry):
            state, num_failed = carry
            state, failed = self._jumped(target, state, keys[k])
            return state, num_failed + failed

        tries = jnp.where(state.ready, self.tries, 0)
        carry = state, jnp.asarray(0)
        state, num_failed = jax.lax.fori_loop(0, tries, jump, carry)
        state, draw = self.inner.advance(target, state)
        return state, draw._replace(
            num_solves=draw.num_solves + tries,
            num_failed=draw.num_failed + num_failed,
        )

    def _jumped(self, target, state, key):
        """(the state behind a jump, taken or refused; whether its solve failed)."""
        key_draw, key_chance = jax.random.split(key)
        u = self.law.draw(key_draw)
        found = target.evaluate(target.raw(u))
        level = found.log_density + target.log_volume(u)
        gain = level - self.law.log_density(u)
        gain -= self.inner.level(target, state) - self.law.log_density(state.place.u)
        taken = jnp.log(jax.random.uniform(key_chance)) < gain
        zero = jnp.zeros_like(state.place.num_failed)
        place = Place(u, found.log_likelihoods, found.times, zero)
        there = self.inner.put(target, state, place, level)
        pick = lambda a, b: jnp.where(taken, a, b)
        return jax.tree.map(pick, there, state), found.failed
