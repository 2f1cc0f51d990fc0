"""The Kirchhoff transform of a diffusivity, tabulated once a solve.

The flux between two nodes is [Theta(x_b) - Theta(x_a)] times geometry, with Theta the
integral of D: the exact face average, one look-up a node.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .curves import AbstractCurve

_GAUSS_NODES, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(3)


class KirchhoffTable(eqx.Module):
    r"""Cubic Hermite table of $$ \Theta(x) = \int_1^x D(s)\, ds $$ on [0, 1].

    Values by Gauss quadrature between equidistant nodes, slopes D itself. Anchored at
    x = 1, where D may be ten decades smaller than elsewhere. Beyond [0, 1] Theta goes
    on along its tangent. `__call__` returns Theta [m2/s] and the exact derivative of
    the table (not of the law behind it), which a Rosenbrock method needs.
    """

    coefficients: Float[Array, "4 interval"]

    def __call__(
        self, stoichiometry: Float[Array, "..."]
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        return self.at(stoichiometry)(stoichiometry)

    def at(self, stoichiometry: Float[Array, "..."]) -> "KirchhoffCubics":
        """The table's cubics in whose intervals the stoichiometries lie."""
        count = self.coefficients.shape[1]
        index = jnp.clip((stoichiometry * count).astype(jnp.int32), 0, count - 1)
        rows = [
            row.at[index].get(mode="promise_in_bounds") for row in self.coefficients
        ]
        return KirchhoffCubics(tuple(rows), index, count)


class KirchhoffCubics(eqx.Module):
    """One cubic of a `KirchhoffTable` for each of some stoichiometries."""

    coefficients: tuple[Float[Array, "..."], ...]
    index: Int[Array, "..."]
    count: int = eqx.field(static=True)

    def __call__(self, stoichiometry: Float[Array, "..."]):
        """(Theta, its derivative), each in its own interval's cubic."""
        s = self.offset(stoichiometry)
        value, slope = cubic(self.coefficients, s)
        beyond = stoichiometry * self.count - self.index - s
        return value + slope * beyond, slope * self.count

    def offset(self, stoichiometry: Float[Array, "..."]) -> Float[Array, "..."]:
        """Place within the interval, 0 to 1."""
        return jnp.clip(stoichiometry * self.count - self.index, 0.0, 1.0)


def cubic(coefficients, s):
    """(c0 + c1 s + c2 s2 + c3 s3, its slope)."""
    c0, c1, c2, c3 = coefficients
    slope = c1 + s * (2.0 * c2 + s * (3.0 * c3))
    return c0 + s * (c1 + s * (c2 + s * c3)), slope


def tabulate(diffusivity: AbstractCurve, num_intervals: int = 1024) -> KirchhoffTable:
    """Builds the table of a diffusivity; differentiable in the curve's parameters."""
    width = 1.0 / num_intervals
    nodes = np.linspace(0.0, 1.0, num_intervals + 1)
    points = nodes[:-1, None] + 0.5 * width * (1.0 + _GAUSS_NODES)
    count = points.size
    values = diffusivity(jnp.asarray(np.concatenate([points.reshape(-1), nodes])))
    gains = values[:count].reshape(points.shape) @ (0.5 * width * _GAUSS_WEIGHTS)
    left, right = width * values[count:-1], width * values[count + 1 :]
    start = -jax.lax.cumsum(gains, reverse=True)
    return KirchhoffTable(
        jnp.stack([start, left, 3 * gains - 2 * left - right, left + right - 2 * gains])
    )
