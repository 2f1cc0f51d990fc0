"""A law about an optimum that forgets, in half of its draws, what only has bounds."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln
from jax.scipy.stats import norm
from jaxtyping import Array, Bool, Float

from .posterior import Posterior


class Parted(eqx.Module):
    r"""Student's law t, in half of whose draws some raw numbers are those of the prior.

    A particle that was never seen to react may be anywhere beyond a bound, and no law
    about an optimum reaches so far. With A the numbers that are known by bounds only
    and B the others, in coordinates w that are raw in A,

    $$ q = \tfrac12 t_\nu(w_A, w_B) + \tfrac12 t_\nu(w_B) N(w_A; 0, 1) $$

    Without any in A, q is t.

    Attributes:
        middle, factor: of t in coordinates u, factor lower triangular.
        alone: which are in A (component,).
        degrees: nu, of freedom.

    Source: Hesterberg 1995, doi 10.1080/00401706.1995.10484303 (defensive mixtures).
    """

    middle: Float[Array, " component"]
    factor: Float[Array, "component component"]
    alone: Bool[Array, " component"]
    degrees: float = eqx.field(static=True, default=5.0)

    def draw(self, target: Posterior, key: Array) -> Float[Array, " component"]:
        """One point u of it."""
        key_scale, key_normal, key_coin, key_prior = jax.random.split(key, 4)
        half = 0.5 * self.degrees
        scale = jax.random.gamma(key_scale, half) / half
        normal = jax.random.normal(key_normal, self.middle.shape)
        u = self.middle + self.factor @ normal / jnp.sqrt(scale)
        prior = jax.random.normal(key_prior, u.shape)
        forgets = jax.random.bernoulli(key_coin) & jnp.any(self.alone)
        return jnp.where(forgets, self.forgotten(target, u, prior), u)

    def forgotten(self, target: Posterior, u, prior) -> Float[Array, " component"]:
        """The point u with raw numbers of the prior in A."""
        return target.point(jnp.where(self.alone, prior, target.raw(u)))

    def log_density(self, target: Posterior, u) -> Float[Array, ""]:
        """The logarithm of q(u)."""
        whole = self._student(self.middle, self.factor, u, jnp.zeros_like(self.alone))
        halves = jnp.logaddexp(whole, self._apart(target, u)) - jnp.log(2.0)
        return jnp.where(jnp.any(self.alone), halves, whole)

    def _apart(self, target, u):
        """Log density of the half that forgets, of u."""
        spread = target.factor @ self.factor
        covariance = spread @ spread.T
        kept = jnp.where(self.alone[:, None] | self.alone, 0.0, covariance)
        factor = jnp.linalg.cholesky(kept + jnp.diag(1.0 * self.alone))
        place = lambda point: target.optimum + target.factor @ point
        law = self._student(place(self.middle), factor, place(u), self.alone)
        own = jnp.sum(jnp.where(self.alone, norm.logpdf(target.raw(u)), 0.0))
        # From coordinates that are raw in A to raw numbers, and from these to u.
        around = target.coordinates
        raw_in_a = dataclasses.replace(around, centred=around.centred & ~self.alone)
        volume = target.log_volume(u) - raw_in_a.log_det(place(u))
        return law + own + volume + jnp.sum(jnp.log(jnp.diag(target.factor)))

    def _student(self, middle, factor, point, without):
        """Log density of Student's law of the numbers that are not `without`."""
        nu, size = self.degrees, jnp.sum(~without)
        away = jnp.where(without, 0.0, point - middle)
        scaled = solve_triangular(factor, away, lower=True)
        constant = gammaln(0.5 * (nu + size)) - gammaln(0.5 * nu)
        constant = constant - 0.5 * size * jnp.log(nu * jnp.pi)
        volume = jnp.sum(jnp.log(jnp.diag(factor)))
        power = 0.5 * (nu + size) * jnp.log1p(jnp.sum(scaled**2) / nu)
        return constant - volume - power

    @staticmethod
    def example() -> "Parted":
        return Parted(jnp.zeros(3), jnp.eye(3), jnp.array([False, True, False]))
