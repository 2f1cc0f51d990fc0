r"""Priors as maps from standard normal numbers to values.

Every parameter is searched in raw coordinates that are independent standard normal
under its prior. So the prior is a row of residuals equal to the raw numbers, a unit of
information in every direction, and the space that samplers like best. To add a prior,
add one final class with `constrain`, its inverse, and an `example()`.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

_FARTHEST = (
    8.0  # raw units at which a quantile is taken for its end: Phi(8) = 1 - 6e-16
)


class AbstractPrior(eqx.Module):
    r"""What is believed of some numbers before the data.

    $$ v = T(z), \quad z \sim N(0, 1)^n $$ with T one to one, so that
    $$ \log p(v) + \log |\det T'(z)| = \log N(z; 0, 1). $$
    """

    @property
    @abc.abstractmethod
    def size(self) -> int:
        """How many numbers there are."""

    @abc.abstractmethod
    def constrain(self, raw: Float[Array, " component"]) -> Float[Array, " component"]:
        """Values of raw numbers."""

    @abc.abstractmethod
    def unconstrain(
        self, values: Float[Array, " component"]
    ) -> Float[Array, " component"]:
        """Raw numbers of values: the inverse of `constrain`."""


def check_prior(name: str, prior) -> None:
    """Raises ValueError for what is no prior."""
    if not isinstance(prior, AbstractPrior):
        raise ValueError(
            f"`prior` of '{name}' must be one of `fitting.priors`, but is {prior!r}; "
            "make one, such as `Independent(numpyro.distributions.Normal(0.0, 1.0))`."
        )


def _check_count(count) -> None:
    if not isinstance(count, int | np.integer) or count < 1:
        raise ValueError(f"`count` must be a number of 1 or more, but is {count!r}.")


def _check_positive(prior, *names: str) -> None:
    """Of fields that are plain numbers; what JAX traces is not looked at."""
    for name in names:
        value = getattr(prior, name)
        if isinstance(value, float | int) and not 0 < value < np.inf:
            raise ValueError(f"`{name}` must be positive, but is {value}.")


class Independent(AbstractPrior):
    r"""Each number from one numpyro distribution, $$ v = F^{-1}(\Phi(z)) $$.

    Normal distributions and transforms of them are taken without the detour by
    quantiles, so that they hold in any tail. The other ones saturate at 8 raw units.
    """

    distribution: dist.Distribution
    count: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        kind = type(self.distribution).__name__
        if not isinstance(self.distribution, dist.Distribution):
            raise ValueError(
                "`distribution` must be one of numpyro's, but is "
                f"{self.distribution!r}; give one, such as "
                "`numpyro.distributions.Normal(0.0, 1.0)`."
            )
        _check_count(self.count)
        if self.distribution.batch_shape or self.distribution.event_shape:
            raise ValueError(
                f"`distribution` must be of one number, but {kind} has the shape "
                f"{self.distribution.shape()}; give `count` instead."
            )
        if _normal_part(self.distribution)[0] is not None:
            return
        try:
            self.distribution.icdf(0.5)
        except (NotImplementedError, ImportError) as error:
            raise ValueError(
                f"`distribution` must have quantiles, but {kind} has none; use a "
                "normal, lognormal, uniform or truncated one."
            ) from error

    @property
    def size(self):
        return self.count

    def constrain(self, raw):
        normal, transforms = _normal_part(self.distribution)
        if normal is None:
            bounded = jnp.clip(raw, -_FARTHEST, _FARTHEST)
            return self.distribution.icdf(ndtr(bounded))
        value = normal.loc + normal.scale * raw
        for transform in transforms:
            value = transform(value)
        return value

    def unconstrain(self, values):
        normal, transforms = _normal_part(self.distribution)
        if normal is None:
            return ndtri(self.distribution.cdf(jnp.asarray(values)))
        for transform in reversed(transforms):
            values = transform.inv(values)
        return (values - normal.loc) / normal.scale

    @staticmethod
    def example() -> "Independent":
        return Independent(dist.Uniform(-7.5, -5.0), 3)


def _normal_part(distribution):
    """The normal distribution under some transforms, or None, and the transforms."""
    if isinstance(distribution, dist.Normal):
        return distribution, []
    if isinstance(distribution, dist.TransformedDistribution) and isinstance(
        distribution.base_dist, dist.Normal
    ):
        return distribution.base_dist, distribution.transforms
    return None, []


class Correlated(AbstractPrior):
    r"""A multivariate normal, $$ v = \mu + L z $$."""

    mean: Float[Array, " component"]
    cholesky: Float[Array, "component component"]

    def __check_init__(self):
        size = np.size(self.mean)
        if np.shape(self.mean) != (size,) or np.shape(self.cholesky) != (size, size):
            raise ValueError(
                "`cholesky` must be a square of as many rows as `mean` has values, but "
                f"they have the shapes {np.shape(self.cholesky)} and "
                f"{np.shape(self.mean)}."
            )

    @property
    def size(self):
        return self.mean.shape[0]

    def constrain(self, raw):
        return self.mean + self.cholesky @ raw

    def unconstrain(self, values):
        return solve_triangular(self.cholesky, values - self.mean, lower=True)

    @staticmethod
    def example() -> "Correlated":
        return smooth([0.3, 0.7, 0.92, 1.0], [-14.6, -14.8, -15.0, -19.0], 0.5, 0.3)


class Monotone(AbstractPrior):
    r"""A row of values that keeps the direction of a reference row.

    $$ v_0 = r_0 + \sigma_0 z_0, \quad
       v_{k+1} = v_k + (r_{k+1} - r_k)\, e^{\sigma z_{k+1}} $$

    so every step keeps its sign and is known to a factor e^{sigma}.
    """

    reference: Float[Array, " component"]
    sd_start: float
    sd_steps: float

    def __check_init__(self):
        _check_positive(self, "sd_start", "sd_steps")
        steps = np.diff(self.reference)
        if not (np.all(steps > 0) or np.all(steps < 0)):
            raise ValueError(
                "`reference` must go one way for a monotone prior, but its steps are "
                f"{steps.tolist()}; use a smooth prior."
            )

    @property
    def size(self):
        return self.reference.shape[0]

    def constrain(self, raw):
        start = self.reference[:1] + self.sd_start * raw[:1]
        steps = jnp.diff(self.reference) * jnp.exp(self.sd_steps * raw[1:])
        return jnp.cumsum(jnp.concatenate([start, steps]))

    def unconstrain(self, values):
        start = (values[:1] - self.reference[:1]) / self.sd_start
        steps = jnp.log(jnp.diff(values) / jnp.diff(self.reference)) / self.sd_steps
        return jnp.concatenate([start, steps])

    @staticmethod
    def example() -> "Monotone":
        return Monotone(np.array([0.1, -1.0, -1.6, -5.3]), 0.5, 0.4)


class Hierarchical(AbstractPrior):
    r"""Members of a population of unknown mean and spread.

    $$ v = (m, \sigma, a_1 \dots a_n), \quad a_k = m + \sigma z_k $$

    with a normal m and a lognormal sigma: members share what they have in common, and
    the spread cannot collapse to zero at the optimum, since members are searched in
    units of it (the non-centred form).
    """

    count: int = eqx.field(static=True)
    mean: float
    sd_mean: float
    spread: float
    factor_spread: float = 2.0  # the spread is known to this factor

    def __check_init__(self):
        _check_count(self.count)
        _check_positive(self, "sd_mean", "spread")
        if isinstance(self.factor_spread, float | int) and not self.factor_spread > 1:
            raise ValueError(
                f"`factor_spread` must exceed 1, but is {self.factor_spread}."
            )

    @property
    def size(self):
        return self.count + 2

    def constrain(self, raw):
        mean = self.mean + self.sd_mean * raw[0]
        spread = self.spread * jnp.exp(jnp.log(self.factor_spread) * raw[1])
        return jnp.concatenate([jnp.stack([mean, spread]), mean + spread * raw[2:]])

    def unconstrain(self, values):
        mean, spread = values[0], values[1]
        own = [
            (mean - self.mean) / self.sd_mean,
            jnp.log(spread / self.spread) / jnp.log(self.factor_spread),
        ]
        return jnp.concatenate([jnp.stack(own), (values[2:] - mean) / spread])

    @staticmethod
    def example() -> "Hierarchical":
        return Hierarchical(3, -6.3, 1.0, 0.5)


def smooth(knots, mean, sd: float, roughness: float, free=None) -> Correlated:
    r"""A curve's values near `mean`, whose deviation d from it bends little.

    $$ d \sim N(0, P^{-1}), \quad
       P = I/\sigma^2 + B^T B / \tau^2, \quad
       (B d)_k = d_k - \mathrm{line\ through\ } d_{k-1}, d_{k+1} \mathrm{\ at\ } x_k $$

    Args:
        knots: stoichiometries, increasing.
        mean: value at every knot, such as a literature curve's.
        sd: sigma, how far each value may lie from the mean.
        roughness: tau, how far a value may lie off the line through its neighbours.
        free: indices of the knots that vary; the others stay at their mean (P is
            restricted, which is conditioning). All, unless given.
    """
    knots, mean = np.asarray(knots, float), np.asarray(mean, float)
    if not (sd > 0 and roughness > 0):
        raise ValueError(
            f"`sd` and `roughness` must be positive, but are {sd} and {roughness}."
        )
    count = len(knots)
    if not (mean.shape == knots.shape == (count,) and np.all(np.isfinite(mean))):
        raise ValueError(
            f"`mean` must be a finite value for each of the {count} knots, but is "
            f"{mean.tolist()}."
        )
    if not np.all(np.diff(knots) > 0):
        raise ValueError(f"`knots` must increase, but are {knots.tolist()}.")
    if free is not None and not set(free) <= set(range(count)):
        raise ValueError(
            f"`free` must be indices of the {count} knots, but is {list(free)}."
        )
    bends = np.zeros((max(count - 2, 0), count))
    for k in range(1, count - 1):
        share = (knots[k] - knots[k - 1]) / (knots[k + 1] - knots[k - 1])
        bends[k - 1, k - 1 : k + 2] = [share - 1.0, 1.0, -share]
    precision = np.eye(count) / sd**2 + bends.T @ bends / roughness**2
    chosen = np.arange(count) if free is None else np.asarray(free, int)
    covariance = np.linalg.inv(precision[np.ix_(chosen, chosen)])
    return Correlated(mean[chosen], np.linalg.cholesky(covariance))
