"""Mixtures of Student's laws: of the shape of draws that they are fitted to."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import gammaln
from jaxtyping import Array, Float
from scipy.cluster.vq import kmeans2
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

_DEGREES = 8.0
_WIDER = 1.1  # than the draws: what few of them have not seen yet
_DRAWS_A_LAW = 20  # for every component of a point
_MOST_LAWS = 8
_ROUNDS = 60  # of expectation and maximisation


class Mixture(eqx.Module):
    r"""Student's laws of d numbers, each with its share.

    $$ q(u) = \sum_k p_k t_\nu(u; m_k, F_k F_k^T) $$

    Attributes:
        share: p (law,), which sum to 1.
        middle: m (law, component).
        factor: F, lower triangular (law, component, component).
        degrees: nu, of freedom.
    """

    share: Float[Array, " law"]
    middle: Float[Array, "law component"]
    factor: Float[Array, "law component component"]
    degrees: float = eqx.field(static=True, default=_DEGREES)

    def log_density(self, u: Float[Array, " component"]) -> Float[Array, ""]:
        """The logarithm of q(u)."""
        nu, size = self.degrees, u.size

        def of_one(share, middle, factor):
            scaled = solve_triangular(factor, u - middle, lower=True)
            power = 0.5 * (nu + size) * jnp.log1p(jnp.sum(scaled**2) / nu)
            return jnp.log(share) - jnp.sum(jnp.log(jnp.diag(factor))) - power

        constant = gammaln(0.5 * (nu + size)) - gammaln(0.5 * nu)
        constant = constant - 0.5 * size * jnp.log(nu * jnp.pi)
        each = jax.vmap(of_one)(self.share, self.middle, self.factor)
        return constant + jax.nn.logsumexp(each)

    def draw(self, key: Array) -> Float[Array, " component"]:
        """One point of it."""
        key_law, key_scale, key_normal = jax.random.split(key, 3)
        k = jax.random.categorical(key_law, jnp.log(self.share))
        half = 0.5 * self.degrees
        scale = jax.random.gamma(key_scale, half) / half
        normal = jax.random.normal(key_normal, self.middle.shape[1:])
        return self.middle[k] + self.factor[k] @ normal / jnp.sqrt(scale)

    @staticmethod
    def example() -> "Mixture":
        return Mixture(jnp.ones(1), jnp.zeros((1, 3)), jnp.eye(3)[None])


def fit_mixture(points: Float[np.ndarray, "draw component"], seed: int = 0) -> Mixture:
    """A mixture that is about as wide as draws in coordinates near to N(0, 1).

    As many laws as the draws can tell apart. Covariances are drawn towards 1, by as
    many draws as a point has components: few draws of many numbers span no volume.

    Args:
        points: draws; they may depend on each other.
        seed: of where the search begins.

    Source: Dempster, Laird and Rubin 1977 (expectation and maximisation).
    """
    count, size = points.shape
    laws = int(np.clip(count // (_DRAWS_A_LAW * size), 1, _MOST_LAWS))
    _, labels = kmeans2(points, laws, seed=seed, minit="++")
    belongs = np.eye(laws)[labels]
    for _ in range(_ROUNDS):
        share, middle, covariance = _moments(points, belongs)
        each = [
            np.log(p) + multivariate_normal.logpdf(points, m, c)
            for p, m, c in zip(share, middle, covariance, strict=True)
        ]
        each = np.stack(each, axis=1)
        belongs = np.exp(each - logsumexp(each, axis=1, keepdims=True))
    share, middle, covariance = _moments(points, belongs)
    # Student's covariance exceeds its shape matrix by nu / (nu - 2).
    shape = covariance * (_DEGREES - 2.0) / _DEGREES * _WIDER**2
    return Mixture(*map(jnp.asarray, (share, middle, np.linalg.cholesky(shape))))


def _moments(points, belongs):
    """Shares, means and covariances of parts, by what of each point belongs to each
    (draw, law).
    """
    size = points.shape[1]
    weight = belongs.sum(axis=0) + 1e-9  # of a part that has lost its points
    middle = (belongs.T @ points) / weight[:, None]
    covariance = []
    for own, mean, total in zip(belongs.T, middle, weight, strict=True):
        off = (points - mean) * np.sqrt(own)[:, None]
        covariance.append((off.T @ off + size * np.eye(size)) / (total + size))
    return weight / weight.sum(), middle, np.stack(covariance)
