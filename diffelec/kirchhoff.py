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


def as_it_is(index):
    """What a look-up does with the numbers of its intervals, unless told to keep them
    from being computed once a coefficient.
    """
    return index


class KirchhoffTable(eqx.Module):
    r"""Cubic Hermite table of $$ \Theta(x) = \int_1^x D(s)\, ds $$ on [0, 1].

    Values by Gauss quadrature between equidistant nodes, slopes D itself. Anchored at
    x = 1, where D may be ten decades smaller than elsewhere. Beyond [0, 1] Theta goes
    on along its tangent: the first and the last interval are lines without an end.
    `__call__` returns Theta [m2/s] and the exact derivative of the table (not of the
    law behind it), which a Rosenbrock method needs.
    """

    coefficients: Float[Array, "4 interval"]

    def __call__(
        self, stoichiometry: Float[Array, "..."], keep=as_it_is
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        return self.at(stoichiometry, keep)(stoichiometry)

    def at(self, stoichiometry: Float[Array, "..."], keep=as_it_is):
        """The table's `KirchhoffCubics` in whose intervals the stoichiometries lie."""
        count = self.coefficients.shape[1]
        place = stoichiometry * (count - 2) + 1.0
        index = keep(jnp.clip(place.astype(jnp.int32), 0, count - 1))
        rows = [
            row.at[index].get(mode="promise_in_bounds") for row in self.coefficients
        ]
        return KirchhoffCubics(tuple(rows), index, count)


class KirchhoffCubics(eqx.Module):
    """One cubic of a `KirchhoffTable` for each of some stoichiometries."""

    coefficients: tuple[Float[Array, "..."], ...]
    index: Int[Array, "..."]
    count: int = eqx.field(static=True)

    def __call__(self, stoichiometry: Float[Array, "..."], keep=None):
        """(Theta, its derivative), each in its own interval's cubic."""
        del keep  # what it is for was looked up already
        value, slope = cubic(self.coefficients, self.offset(stoichiometry))
        return value, slope * (self.count - 2)

    def offset(self, stoichiometry: Float[Array, "..."]) -> Float[Array, "..."]:
        """Place within the interval, 0 to 1, or beyond where it has no end."""
        return stoichiometry * (self.count - 2) + (1.0 - self.index)


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
    slopes = width * values[count:]
    left, right = slopes[:-1], slopes[1:]
    start = -jax.lax.cumsum(gains, reverse=True)
    second, third = 3 * gains - 2 * left - right, left + right - 2 * gains
    # Tangents: one interval before x = 0 to there, and from x = 1 on.
    nothing = jnp.zeros_like(start[:1])
    start = jnp.concatenate([start[:1] - left[:1], start, nothing])
    first = jnp.concatenate([left[:1], slopes])
    rows = [start, first, jnp.pad(second, 1), jnp.pad(third, 1)]
    return KirchhoffTable(jnp.stack(rows))
