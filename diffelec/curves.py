"""Positive material curves of stoichiometry: D(x), kappa(x), k(x).

A curve is a callable x -> SI value with its unit, valid range and source. To add a
form, add one final class here with an `example()`; nothing else has to change.

Outside its valid range every curve goes on smoothly: the argument is bent by
`continued`, so that value and slope are continuous, the value stays positive and
finite, and no gradient vanishes.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from interpax import PchipInterpolator
from jaxtyping import Array, Float

from ._typing import as_leaf
from .checks import check_finite, is_number

_LN10 = float(np.log(10.0))
_BEND = 0.05  # length over which an argument outside the range saturates


def continued(x, lower, upper):
    r"""The argument itself inside [lower, upper], bent towards a bound outside.

    $$ x_c = b + d / (1 + |d|/L), \quad d = x - b,\ L = 0.05 $$ beyond the bound b:
    continuous with its slope, never further than L outside, strictly increasing.
    """
    inside = jnp.clip(x, lower, upper)
    beyond = x - inside
    return inside + beyond / (1.0 + jnp.abs(beyond) / _BEND)


def softplus(x, width):
    """Width * log(1 + exp(x/width)): a corner at 0 rounded over `width`."""
    return width * jax.nn.softplus(x / width)


def power_of_ten(x):
    """10^x as an exponential: several times cheaper than a general power."""
    return jnp.exp(_LN10 * x)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _check_table(name: str, knots, values) -> None:
    """Raises ValueError unless knots increase and both columns are finite."""
    if isinstance(knots, np.ndarray) and isinstance(values, np.ndarray):
        if knots.ndim != 1 or knots.shape != values.shape or knots.size < 2:
            raise ValueError(
                f"`{name}` must have one value per knot and two knots or more, but has "
                f"{_counted(values.size, 'value')} for {_counted(knots.size, 'knot')}."
            )
        for label, column in (("knots", knots), ("log10_values", values)):
            if not np.all(np.isfinite(column)):
                bad = int(np.flatnonzero(~np.isfinite(column))[0])
                raise ValueError(
                    f"`{name}.{label}` must be finite, but entry {bad} is "
                    f"{column[bad]}; remove or correct that row of the table."
                )
        if not np.all(np.diff(knots) > 0):
            raise ValueError(
                f"`{name}.knots` must increase strictly, but are {knots.tolist()}; "
                "sort the table and remove repeated rows."
            )


class AbstractCurve(eqx.Module):
    """A positive function of stoichiometry with unit, valid range and source."""

    unit: eqx.AbstractVar[str]
    source: eqx.AbstractVar[str]

    def __check_init__(self):
        check_finite(self)

    @abc.abstractmethod
    def __call__(self, stoichiometry: Float[Array, "..."]) -> Float[Array, "..."]:
        """The curve in SI units."""

    @property
    @abc.abstractmethod
    def valid_range(self) -> tuple[float, float]:
        """The stoichiometries that the source covers."""


class ConstantCurve(AbstractCurve):
    """The same value at every stoichiometry."""

    value: Float[Array, ""] = eqx.field(converter=as_leaf)
    unit: str = eqx.field(static=True, default="")
    source: str = eqx.field(static=True, default="assumed")

    def __check_init__(self):
        if isinstance(self.value, np.ndarray) and not np.all(self.value > 0):
            raise ValueError(
                f"`value` of a constant curve must be positive, but is {self.value}."
            )

    def __call__(self, stoichiometry):
        return self.value * jnp.ones_like(stoichiometry)

    @property
    def valid_range(self):
        return (0.0, 1.0)

    @staticmethod
    def example() -> "ConstantCurve":
        return ConstantCurve(3e-15, unit="m2/s", source="Sharma 2022: R2/(pi2 14 min)")


def _end_slope(table: PchipInterpolator):
    """Slope of the last cubic at its right end."""
    width = table.x[-1] - table.x[-2]
    return jnp.polyval(jnp.array([3.0, 2.0, 1.0]) * table.c[:3, -1], width)


class PchipCurve(AbstractCurve):
    r"""A table of log10 values, interpolated by shape-preserving cubics (PCHIP).

    $$ y(x) = 10^{p(x)} $$ with p the interpolant of Fritsch and Butland (1984): no
    overshoot between knots. Beyond the table, p goes on along its end slope, which
    levels off over 0.05 in x.
    """

    knots: Float[Array, " knot"] = eqx.field(converter=as_leaf)
    log10_values: Float[Array, " knot"] = eqx.field(converter=as_leaf)
    unit: str = eqx.field(static=True, default="")
    source: str = eqx.field(static=True, default="")

    def __check_init__(self):
        _check_table("PchipCurve", self.knots, self.log10_values)

    def __call__(self, stoichiometry):
        knots, values = jnp.asarray(self.knots), jnp.asarray(self.log10_values)
        table = PchipInterpolator(knots, values, check=False, extrapolate=True)
        x = continued(stoichiometry, knots[0], knots[-1])
        inside = jnp.clip(x, knots[0], knots[-1])
        slope = jnp.where(x <= knots[0], table.c[2, 0], _end_slope(table))
        return power_of_ten(table(inside) + slope * (x - inside))

    @property
    def valid_range(self):
        return (float(self.knots[0]), float(self.knots[-1]))

    @staticmethod
    def example() -> "PchipCurve":
        return PchipCurve(
            [0.3, 0.7, 0.92, 1.0], [-14.6, -14.8, -15.0, -19.0], unit="m2/s"
        )


class RoundedLinearCurve(AbstractCurve):
    r"""A table of log10 values, piecewise linear with corners rounded over `width`.

    $$ \log_{10} y = y_0 + s_0 (x - x_0)
        + \sum_k \Delta s_k\, w \ln(1 + e^{(x - x_k)/w}) $$

    over the interior knots k, slope changes \Delta s_k. Infinitely smooth.
    """

    knots: Float[Array, " knot"] = eqx.field(converter=as_leaf)
    log10_values: Float[Array, " knot"] = eqx.field(converter=as_leaf)
    width: float = eqx.field(static=True, default=0.004)
    unit: str = eqx.field(static=True, default="")
    source: str = eqx.field(static=True, default="")

    def __check_init__(self):
        _check_table("RoundedLinearCurve", self.knots, self.log10_values)
        if not (is_number(self.width) and self.width > 0):
            raise ValueError(f"`width` must be positive, but is {self.width!r}.")

    def __call__(self, stoichiometry):
        knots, values = jnp.asarray(self.knots), jnp.asarray(self.log10_values)
        slopes = jnp.diff(values) / jnp.diff(knots)
        x = continued(stoichiometry, knots[0], knots[-1])
        corners = softplus(x[..., None] - knots[1:-1], self.width)
        log10 = values[0] + slopes[0] * (x - knots[0])
        log10 = log10 + jnp.sum(jnp.diff(slopes) * corners, axis=-1)
        return power_of_ten(log10)

    @property
    def valid_range(self):
        return (float(self.knots[0]), float(self.knots[-1]))

    @staticmethod
    def example() -> "RoundedLinearCurve":
        return RoundedLinearCurve(
            [0.25, 0.7, 0.9, 1.0], [0.1, -1.0, -1.6, -5.3], unit="S/m"
        )


class SigmoidCurve(AbstractCurve):
    r"""A step of log10 between two plateaus.

    $$ \log_{10} y = l + (u - l) / (1 + e^{(x - x_c)/w}) $$

    l = `log10_lithiated` (x well above the centre), u = `log10_delithiated`.
    """

    log10_delithiated: Float[Array, ""] = eqx.field(converter=as_leaf)
    log10_lithiated: Float[Array, ""] = eqx.field(converter=as_leaf)
    centre: Float[Array, ""] = eqx.field(converter=as_leaf)
    width: Float[Array, ""] = eqx.field(converter=as_leaf)
    unit: str = eqx.field(static=True, default="")
    source: str = eqx.field(static=True, default="")

    def __check_init__(self):
        if isinstance(self.width, np.ndarray) and not np.all(self.width > 0):
            raise ValueError(f"`width` must be positive, but is {self.width}.")

    def __call__(self, stoichiometry):
        share = jax.nn.sigmoid((self.centre - stoichiometry) / self.width)
        span = self.log10_delithiated - self.log10_lithiated
        return power_of_ten(self.log10_lithiated + span * share)

    @property
    def valid_range(self):
        return (0.0, 1.0)

    @staticmethod
    def example() -> "SigmoidCurve":
        return SigmoidCurve(-14.0, -18.0, 0.945, 0.01, unit="m2/s")


class DivacancyCurve(AbstractCurve):
    r"""Divacancy mechanism: mobility grows with the square of the share of vacancies.

    $$ y = y_0 (1 - x)^2 + y_1 $$

    Source: physics of layered oxides, Van der Ven and Ceder 2001; Grenier 2020 for NCA.
    """

    prefactor: Float[Array, ""] = eqx.field(converter=as_leaf)
    floor: Float[Array, ""] = eqx.field(converter=as_leaf)
    unit: str = eqx.field(static=True, default="m2/s")
    source: str = eqx.field(static=True, default="Van der Ven 2001; Grenier 2020")

    def __check_init__(self):
        for name in ("prefactor", "floor"):
            value = getattr(self, name)
            if isinstance(value, np.ndarray) and not np.all(value > 0):
                raise ValueError(f"`{name}` must be positive, but is {value}.")

    def __call__(self, stoichiometry):
        return self.prefactor * (1.0 - stoichiometry) ** 2 + self.floor

    @property
    def valid_range(self):
        return (0.0, 1.0)

    @staticmethod
    def example() -> "DivacancyCurve":
        return DivacancyCurve(1e-13, 1e-20)
