"""Curves of an electrode's material as dense NumPy tables, for the resolved model."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicHermiteSpline

from diffelec.constants import FARADAY, ROOM_TEMPERATURE, thermal_voltage
from diffelec.electrode import Electrode

_GAUSS, _WEIGHTS = np.polynomial.legendre.leggauss(4)
_NEAR = 1e-3  # difference of x below which an edge's conductivity is a quadrature


def _nodes() -> np.ndarray:
    """Knots in x: 5e-4 apart, 1e-6 where the potential drops at full lithiation."""
    below, above = np.linspace(-0.0015, 0.9985, 2001), np.linspace(1.0015, 1.05, 98)
    return np.concatenate([below[:-1], np.linspace(0.9985, 1.0015, 3001), above[1:]])


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    r"""What the equations look up, with slopes that are exact for the tables.

    Attributes:
        theta: integral of the diffusivity [m2/s].
        path: integral of the resistivity 1/kappa [ohm m].
        surface: columns U [V] and ln i0 [A/m2].
        maximum_concentration: lithium sites [mol/m3].
    """

    theta: CubicHermiteSpline
    path: CubicHermiteSpline
    surface: CubicHermiteSpline
    maximum_concentration: float

    @staticmethod
    def of(electrode: Electrode) -> "Curves":
        """Tabulates an electrode's curves and its kinetics' exchange current."""
        knots = _nodes()
        curves, limit = electrode.curves, electrode.maximum_concentration

        def log_exchange(x):
            rate = curves.rate_constant(x)
            return jnp.log(electrode.kinetics.exchange_current_density(x, rate, limit))

        def with_slopes(law):
            return jax.jvp(law, (jnp.asarray(knots),), (jnp.ones(knots.size),))

        rows = [
            with_slopes(law) for law in (curves.open_circuit_potential, log_exchange)
        ]
        values, slopes = (np.stack(r, axis=1) for r in zip(*rows, strict=True))
        return Curves(
            _integral(curves.diffusivity, knots),
            _integral(lambda x: 1.0 / curves.conductivity(x), knots),
            CubicHermiteSpline(knots, values, slopes),
            float(limit),
        )

    def reaction(self, potential, surface):
        """(i [A/m2], its slope in the potential, in the surface's x); alpha = 1/2."""
        (rest, rate), (rest_slope, rate_slope) = (
            self.surface(surface, nu).T for nu in (0, 1)
        )
        double = 2.0 * thermal_voltage(ROOM_TEMPERATURE)
        scaled = np.clip((potential - rest) / double, -40.0, 40.0)
        rate = np.exp(rate)
        density = 2.0 * rate * np.sinh(scaled)
        by_potential = 2.0 * rate * np.cosh(scaled) / double
        return density, by_potential, density * rate_slope - by_potential * rest_slope

    def conductivity(self, one, other):
        r"""Conductivity between two nodes and its slopes in either's x.

        $$ \bar\kappa = (x_b - x_a) / \int_{x_a}^{x_b} dx / \kappa $$: that of an edge
        along which x is linear. Where the ends are near, by Simpson's rule.
        """
        difference = other - one
        near = np.abs(difference) < _NEAR
        (start, end), (r_one, r_other) = (
            (self.path(one, nu), self.path(other, nu)) for nu in (0, 1)
        )
        middle = 0.5 * (one + other)
        mean = (r_one + 4.0 * self.path(middle, 1) + r_other) / 6.0
        bend = 2.0 * self.path(middle, 2)
        safe = np.where(near, 1.0, difference)
        mean = np.where(near, mean, (end - start) / safe)
        by_one = np.where(near, (self.path(one, 2) + bend) / 6.0, (mean - r_one) / safe)
        by_other = np.where(
            near, (self.path(other, 2) + bend) / 6.0, (r_other - mean) / safe
        )
        return 1.0 / mean, -by_one / mean**2, -by_other / mean**2

    @property
    def charge(self) -> float:
        """F c_max [C/m3]."""
        return FARADAY * self.maximum_concentration


def _integral(law, knots) -> CubicHermiteSpline:
    """Integral of a positive law, 0 at x = 1; its slope is the law at the knots."""
    width = np.diff(knots)
    points = knots[:-1, None] + 0.5 * width[:, None] * (1.0 + _GAUSS)
    inside = np.asarray(law(jnp.asarray(points.ravel()))).reshape(points.shape)
    total = np.concatenate([[0.0], np.cumsum(0.5 * width * (inside @ _WEIGHTS))])
    total -= np.interp(1.0, knots, total)
    return CubicHermiteSpline(knots, total, np.asarray(law(jnp.asarray(knots))))
