"""Slice sampling along ellipses of a law that is near to the posterior."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Int

from .samplers import AbstractSampler, Draw, Place

_MOST_ANGLES = 200  # of an ellipse; the bracket is then below rounding


class EllipticalState(NamedTuple):
    """Where a chain of `Elliptical` is."""

    index: Int[Array, ""]  # of the next draw; -1 until a point is solved
    place: Place
    log_density: Float[Array, ""]  # of raw numbers
    log_ratio: Float[Array, ""]  # of u's density over the law's
    key: Array

    @property
    def ready(self):
        return self.index >= 0


class Elliptical(AbstractSampler):
    r"""Slices along ellipses of a law near to the posterior; no gradient, no step size.

    With Student's law t of d numbers, a draw $$ s | u \sim
    \mathrm{InvGamma}(\tfrac{\nu + d}{2}, \tfrac{\nu + |F^{-1}(u - m)|^2}{2}) $$
    makes it a normal one, and the next point lies on the ellipse

    $$ m + (u - m) \cos a + \sqrt s F \xi \sin a, \quad \xi \sim N(0, 1), $$

    at an angle a where the posterior over the law exceeds a share of its present value,
    found by shrinking a bracket about 0. Where the law is the posterior, draws are
    independent; where it is not, points move less far, but move.

    Attributes:
        middle, factor: m and F of the law in coordinates u, F lower triangular.
        degrees: nu.

    Source: Murray, Adams, MacKay 2010, arXiv 1001.0175; Nishihara, Murray, Adams 2014,
        arXiv 1210.7477 (Student's law).
    """

    middle: Float[Array, " component"]
    factor: Float[Array, "component component"]
    degrees: float = eqx.field(static=True, default=5.0)

    @property
    def num_warmup(self):
        return 0

    def start(self, target, key):
        u = jnp.asarray(self.middle)
        shapes = jax.eval_shape(target.evaluate, u)
        blank = lambda like: jnp.zeros(like.shape, like.dtype)
        rows, times = blank(shapes.log_likelihoods), blank(shapes.times)
        low, zero = jnp.asarray(-jnp.inf), jnp.asarray(0)
        return EllipticalState(zero - 1, Place(u, rows, times, zero), low, low, key)

    def advance(self, target, state):
        key, key_scale, key_normal, key_chance, key_angle = jax.random.split(
            state.key, 5
        )
        scaled = self._scaled(state.place.u)
        nu, size = self.degrees, scaled.size
        gamma = jax.random.gamma(key_scale, 0.5 * (nu + size))
        spread = jnp.sqrt(0.5 * (nu + jnp.sum(scaled**2)) / gamma)
        other = spread * jax.random.normal(key_normal, (size,))
        least = state.log_ratio + jnp.log(jax.random.uniform(key_chance))
        found, num_solves = self._sliced(target, state, scaled, other, least, key_angle)
        moved = found.log_density > -jnp.inf
        index = jnp.where((state.index >= 0) | moved, state.index + 1, state.index)
        found = found._replace(index=index, key=key)
        return found, self._draw(target, found, num_solves)

    def _scaled(self, u):
        return solve_triangular(self.factor, u - self.middle, lower=True)

    def _sliced(self, target, state, scaled, other, least, key):
        """(state at the first point of the shrinking bracket that is high enough, how
        many were solved). After `_MOST_ANGLES` the chain stays where it is.
        """
        key, first = jax.random.split(key)
        angle = 2.0 * jnp.pi * jax.random.uniform(first)
        place = state.place._replace(num_failed=jnp.zeros_like(state.place.num_failed))
        start = state._replace(place=place)
        zero = jnp.asarray(0)

        def wanted(carry):
            *_, num_solves, done = carry
            return ~done & (num_solves < _MOST_ANGLES)

        def narrower(carry):
            now, key, angle, low, high, num_solves, _ = carry
            key, own = jax.random.split(key)
            point = scaled * jnp.cos(angle) + other * jnp.sin(angle)
            tried, failed = self._at(target, state, point)
            done = tried.log_ratio > least
            failures = now.place.num_failed + failed
            kept = jax.tree.map(lambda new, old: jnp.where(done, new, old), tried, now)
            kept = kept._replace(place=kept.place._replace(num_failed=failures))
            low, high = (
                jnp.where(angle < 0, angle, low),
                jnp.where(angle < 0, high, angle),
            )
            angle = low + (high - low) * jax.random.uniform(own)
            return kept, key, angle, low, high, num_solves + 1, done

        carry = start, key, angle, angle - 2.0 * jnp.pi, angle, zero, zero > 0
        found, *_, num_solves, _ = jax.lax.while_loop(wanted, narrower, carry)
        return found, num_solves

    def _at(self, target, state, scaled):
        """The state at a point m + F scaled, and whether its solve failed."""
        u = self.middle + self.factor @ scaled
        found = target.evaluate(target.raw(u))
        nu, size = self.degrees, scaled.size
        log_law = -0.5 * (nu + size) * jnp.log1p(jnp.sum(scaled**2) / nu)
        ratio = found.log_density + target.log_volume(u) - log_law
        zero = jnp.zeros_like(state.place.num_failed)
        place = Place(u, found.log_likelihoods, found.times, zero)
        return EllipticalState(
            state.index, place, found.log_density, ratio, state.key
        ), found.failed

    def _draw(self, target, state, num_solves) -> Draw:
        return Draw(
            raw=target.raw(state.place.u),
            log_density=state.log_density,
            log_weight=jnp.zeros(()),
            log_likelihoods=state.place.log_likelihoods,
            times=state.place.times,
            energy=jnp.asarray(jnp.nan),
            acceptance=1.0 / num_solves,
            step_size=jnp.zeros(()),
            num_solves=num_solves,
            depth=jnp.asarray(0),
            diverging=jnp.asarray(False),
            num_failed=state.place.num_failed,
        )

    @staticmethod
    def example() -> "Elliptical":
        return Elliptical(jnp.zeros(3), jnp.eye(3))
