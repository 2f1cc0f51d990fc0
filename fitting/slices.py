"""Slice sampling along ellipses: of a law near to the posterior, and of priors."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float, Int

from .jumps import AbstractJumper
from .samplers import Draw, Place

_MOST_ANGLES = 200  # of an ellipse; the bracket is then below rounding


class EllipticalState(NamedTuple):
    """Where a chain of `Elliptical` is."""

    index: Int[Array, ""]  # of the next draw; -1 until a point is solved
    place: Place
    log_density: Float[Array, ""]  # of raw numbers
    key: Array

    @property
    def ready(self):
        return self.index >= 0


class _Walk(NamedTuple):
    """An ellipse under way: number 0 is the law's, k that of the prior of the k-th
    component of those that walk alone.
    """

    number: Int[Array, ""]
    here: Float[Array, " component"]  # from the middle: u in factors, or raw numbers
    other: Float[Array, " component"]
    angle: Float[Array, ""]  # to try next
    low: Float[Array, ""]
    high: Float[Array, ""]
    least: Float[Array, ""]  # that a point must exceed
    tries: Int[Array, ""]


class Elliptical(AbstractJumper):
    r"""Slices along ellipses of a law near to the posterior; no gradient, no step size.

    With Student's law t of d numbers, a draw $$ s | u \sim
    \mathrm{InvGamma}(\tfrac{\nu + d}{2}, \tfrac{\nu + |F^{-1}(u - m)|^2}{2}) $$
    makes it a normal one, and the next point lies on the ellipse

    $$ m + (u - m) \cos a + \sqrt s F \xi \sin a, \quad \xi \sim N(0, 1), $$

    at an angle a where the posterior over the law exceeds a share of its present value,
    found by shrinking a bracket about 0. Where the law is the posterior, draws are
    independent; where it is not, points move less far, but move.

    A particle that was never seen to react lies beyond a bound, which no such law has.
    Its number walks alone too, along the ellipse of its own prior,

    $$ z_k \cos a + \xi \sin a, \quad \xi \sim N(0, 1), $$

    at an angle where the likelihood exceeds a share of its present value.

    Attributes:
        middle, factor: m and F of the law in coordinates u, F lower triangular.
        alone: raw numbers that walk along their own prior's ellipse too, if any.
        degrees: nu.

    Source: Murray, Adams, MacKay 2010, arXiv 1001.0175; Nishihara, Murray, Adams 2014,
        arXiv 1210.7477 (Student's law).
    """

    middle: Float[Array, " component"]
    factor: Float[Array, "component component"]
    alone: Bool[Array, " component"]
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
        return EllipticalState(zero - 1, Place(u, rows, times, zero), low, key)

    def advance(self, target, state):
        key, key_walk, key_loop = jax.random.split(state.key, 3)
        place = state.place._replace(num_failed=jnp.zeros_like(state.place.num_failed))
        start = state._replace(place=place, key=key)
        last = jnp.sum(self.alone)
        zero = jnp.asarray(0)

        def wanted(carry):
            return carry[1].number <= last

        def tried(carry):
            now, walk, key, num_solves = carry
            key, key_angle, key_walk = jax.random.split(key, 3)
            now, done = self._tried(target, now, walk)
            over = done | (walk.tries + 1 >= _MOST_ANGLES)
            fresh = self._walk(target, now, walk.number + 1, key_walk)
            walk = _where(over, fresh, _narrower(walk, key_angle))
            return now, walk, key, num_solves + 1

        carry = start, self._walk(target, start, zero, key_walk), key_loop, zero
        found, _, _, num_solves = jax.lax.while_loop(wanted, tried, carry)
        moved = found.log_density > -jnp.inf
        index = jnp.where((state.index >= 0) | moved, state.index + 1, state.index)
        found = found._replace(index=index)
        return found, self._draw(target, found, num_solves, last + 1)

    def level(self, target, state):
        return state.log_density + target.log_volume(state.place.u)

    def put(self, target, state, place, level):
        density = level - target.log_volume(place.u)
        return state._replace(place=place, log_density=density)

    def _walk(self, target, now, number, key) -> _Walk:
        """The ellipse of that number through where the chain is."""
        key_scale, key_normal, key_chance, key_angle = jax.random.split(key, 4)
        scaled = self._scaled(now.place.u)
        nu, size = self.degrees, scaled.size
        gamma = jax.random.gamma(key_scale, 0.5 * (nu + size))
        spread = jnp.sqrt(0.5 * (nu + jnp.sum(scaled**2)) / gamma)
        normal = jax.random.normal(key_normal, (size,))
        raw, alone = target.raw(now.place.u), self._walks_alone(number)
        least = self._height(target, now.place.u, now.log_density, number)
        angle = 2.0 * jnp.pi * jax.random.uniform(key_angle)
        return _Walk(
            number,
            jnp.where(number == 0, scaled, raw),
            jnp.where(number == 0, spread * normal, jnp.where(alone, normal, raw)),
            angle,
            angle - 2.0 * jnp.pi,
            angle,
            least + jnp.log(jax.random.uniform(key_chance)),
            jnp.zeros_like(number),
        )

    def _tried(self, target, now, walk):
        """(the state at the walk's next point if it is high enough, whether it is)."""
        cos, sin = jnp.cos(walk.angle), jnp.sin(walk.angle)
        turned = walk.here * cos + walk.other * sin
        alone = self._walks_alone(walk.number)
        u = jnp.where(
            walk.number == 0,
            self.middle + self.factor @ turned,
            target.point(jnp.where(alone, turned, walk.here)),
        )
        found = target.evaluate(target.raw(u))
        done = self._height(target, u, found.log_density, walk.number) > walk.least
        failures = now.place.num_failed + found.failed
        place = Place(u, found.log_likelihoods, found.times, failures)
        there = now._replace(place=place, log_density=found.log_density)
        here = now._replace(place=now.place._replace(num_failed=failures))
        return _where(done, there, here), done

    def _height(self, target, u, log_density, number):
        """What a slice is of: the log of the density of u over the law's, or of the
        likelihood.
        """
        nu, scaled = self.degrees, self._scaled(u)
        log_law = -0.5 * (nu + u.size) * jnp.log1p(jnp.sum(scaled**2) / nu)
        log_prior = target.problem.space.log_prior(target.raw(u))
        over_law = log_density + target.log_volume(u) - log_law
        return jnp.where(number == 0, over_law, log_density - log_prior)

    def _scaled(self, u):
        return solve_triangular(self.factor, u - self.middle, lower=True)

    def _walks_alone(self, number) -> Bool[Array, " component"]:
        """Which component does; none where the law's ellipse is walked."""
        return self.alone & (jnp.cumsum(self.alone) == number)

    def _draw(self, target, state, num_solves, num_walks) -> Draw:
        return Draw(
            raw=target.raw(state.place.u),
            log_density=state.log_density,
            log_weight=jnp.zeros(()),
            log_likelihoods=state.place.log_likelihoods,
            times=state.place.times,
            energy=jnp.asarray(jnp.nan),
            acceptance=num_walks / num_solves,
            step_size=jnp.zeros(()),
            num_solves=num_solves,
            depth=jnp.asarray(0),
            diverging=jnp.asarray(False),
            num_failed=state.place.num_failed,
        )

    @staticmethod
    def example() -> "Elliptical":
        return Elliptical(jnp.zeros(3), jnp.eye(3), jnp.array([False, True, False]))


def _narrower(walk: _Walk, key) -> _Walk:
    """The bracket without what lies beyond the angle that was too low."""
    below = walk.angle < 0
    low = jnp.where(below, walk.angle, walk.low)
    high = jnp.where(below, walk.high, walk.angle)
    angle = low + (high - low) * jax.random.uniform(key)
    return walk._replace(angle=angle, low=low, high=high, tries=walk.tries + 1)


def _where(condition, first, second):
    """Either of two trees of arrays."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), first, second)
