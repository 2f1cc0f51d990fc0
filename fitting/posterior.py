r"""The posterior of a fit, as samplers see it: the optimiser's own density.

    u -> w = optimum + L u -> raw -> Problem -> log density, its rows, failed or not

with `Coordinates` w in which the posterior is straight, and L L^T the inverse of the
Fisher information at the optimum in them: u is near to independent standard normal, and
samplers need little warm-up. Where a solve fails, the
density is zero; that is told apart from a trajectory that diverged.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Bool, Float

from .coordinates import Coordinates, spread_in
from .optimise import Fit
from .problem import Problem


class Evaluation(NamedTuple):
    """What one solve says of a point.

    Attributes:
        log_density: of data and prior, -inf where the solve failed.
        log_likelihoods: of every row of data (row,); events, then the voltage's trace.
        times: of the events on their own clock [s] (event,).
        failed: whether the solve failed, or the density is no number.
    """

    log_density: Float[Array, ""]
    log_likelihoods: Float[Array, " row"]
    times: Float[Array, " event"]
    failed: Bool[Array, ""]


class Centre(NamedTuple):
    """Where a posterior is, and how wide: the law N(raw, covariance)."""

    raw: Float[np.ndarray, " component"]
    covariance: Float[np.ndarray, "component component"]


class Posterior(eqx.Module):
    r"""A `Problem`'s density in coordinates u in which it is near to N(0, 1).

    $$ z = z(\hat w + L u), \quad L L^T = W (J^T J + 1)^{-1} W^T, \quad W = dw/dz $$

    A failed solve has density zero (log density -inf), so that no sampler can come
    to rest there. Samplers see it as a trajectory that goes astray; `failed` says that
    it was the solver, and every sampler counts those by themselves.

    Attributes:
        problem: data, model and priors.
        coordinates: w.
        optimum: w at the middle (component,).
        factor: L, lower triangular (component, component).
        power: that the likelihood is raised to; 1 for the posterior itself.
    """

    problem: Problem
    coordinates: Coordinates
    optimum: Float[Array, " component"]
    factor: Float[Array, "component component"]
    power: Float[Array, ""] | float = 1.0

    @staticmethod
    def about(problem: Problem, centre: Centre | Fit) -> "Posterior":
        """The posterior of a problem about its optimum.

        Raises:
            ValueError: for a covariance that is none.
        """
        raw, covariance = np.asarray(centre.raw), np.asarray(centre.covariance)
        coordinates = Coordinates.about(problem, raw, covariance)
        try:
            factor = np.linalg.cholesky(spread_in(coordinates, raw, covariance))
        except np.linalg.LinAlgError:
            raise ValueError(
                "`covariance` at the optimum must be positive definite, but is not; "
                "search again from other starts."
            ) from None
        middle = coordinates.inverse(jnp.asarray(raw))
        return Posterior(problem, coordinates, middle, jnp.asarray(factor))

    @property
    def size(self) -> int:
        """Number of components."""
        return self.problem.space.size

    def raw(self, u: Float[Array, " component"]) -> Float[Array, " component"]:
        """Raw numbers of a point."""
        return self.coordinates.raw(self.optimum + self.factor @ u)

    def point(self, raw: Float[Array, " component"]) -> Float[Array, " component"]:
        """The point u of raw numbers."""
        away = self.coordinates.inverse(raw) - self.optimum
        return solve_triangular(self.factor, away, lower=True)

    def log_volume(self, u: Float[Array, " component"]) -> Float[Array, ""]:
        """Log of the volume of raw numbers in one of u, but for a constant."""
        return self.coordinates.log_det(self.optimum + self.factor @ u)

    def evaluate(self, raw: Float[Array, " component"]) -> Evaluation:
        """The density at raw numbers, with what its solve says."""
        rows, found = self.problem.log_densities(raw)
        values = self.problem.space.constrain(raw)
        shift = self.problem.space.clock_offset(values)
        total = self.power * jnp.sum(rows) + self.problem.space.log_prior(raw)
        failed = found.failed | ~jnp.isfinite(total)
        times = jnp.where(failed, jnp.nan, found.stated)
        return Evaluation(
            log_density=jnp.where(failed, -jnp.inf, total),
            log_likelihoods=rows,
            times=times + self.problem.noise.moves * shift,
            failed=failed,
        )

    def potential_and_slope(self, u: Float[Array, " component"]):
        """Minus the log density of u with its gradient (component,), and the
        `Evaluation`, in one solve; by reverse mode.
        """

        def potential(u):
            found = self.evaluate(self.raw(u))
            return -found.log_density - self.log_volume(u), found

        (value, found), slope = jax.value_and_grad(potential, has_aux=True)(u)
        return value, slope, found


def numpyro_model(problem: Problem):
    """The same density as a numpyro model, for any of numpyro's samplers.

    Its one latent site is `raw`, standard normal; named values, predicted `times` [s],
    `failed` and pointwise `log_likelihoods` are deterministic sites. A failed solve has
    log density -inf.

    Args:
        problem: what to sample.

    Returns:
        A function without arguments.
    """
    import numpyro
    import numpyro.distributions as dist

    size = problem.space.size
    plain = Coordinates(problem.electrode, problem.space, np.zeros(size, bool))
    at = Posterior(problem, plain, jnp.zeros(size), jnp.eye(size))

    def model():
        prior = dist.Normal(jnp.zeros(size), 1.0).to_event(1)
        raw = numpyro.sample("raw", prior)
        found = at.evaluate(raw)
        for name, value in problem.space.constrain(raw).items():
            numpyro.deterministic(name, value)
        numpyro.deterministic("times", found.times)
        numpyro.deterministic("failed", found.failed)
        numpyro.deterministic("log_likelihoods", found.log_likelihoods)
        numpyro.factor("data", found.log_density - problem.space.log_prior(raw))

    return model
