"""Open-circuit potentials U(x) against Li/Li+ [V].

A law is a callable x -> V. To add a material, add one final class with an `example()`.
All laws are finite, decreasing at both ends and C1 for every real x, so that a stage
of an integrator may step beyond full lithiation and still meet a slope that leads back.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._typing import as_leaf
from .checks import check_finite
from .constants import ROOM_TEMPERATURE, thermal_voltage
from .curves import continued, softplus

_STEEP_FROM, _STEEP_SLOPE, _STEEP_WIDTH = 0.9995, 2000.0, 1e-5
_TAIL_POWER, _TAIL_END = 60, 0.9998


def full_lithiation_tail(x):
    r"""Drop of the potential as the last sites fill [V], zero below x = 0.9.

    $$ \frac{RT}{F} \ln(1 - x^{60}) - 2000\,\mathrm{V}\; w\ln(1 + e^{(x-0.9995)/w}) $$

    w = 1e-5; beyond x = 0.9998 the logarithm goes on along its tangent. The logarithm
    is the lattice-gas term of the closed form; the steep line stands for the missing
    sites and makes a 2.5 V cut-off reachable at x = 0.9997.
    """
    scale = thermal_voltage(ROOM_TEMPERATURE)
    end = _TAIL_END**_TAIL_POWER
    inside = jnp.clip(x, 0.0, _TAIL_END)
    slope = -scale * _TAIL_POWER * end / _TAIL_END / (1.0 - end)
    logarithm = scale * jnp.log1p(-(inside**_TAIL_POWER))
    logarithm = logarithm + slope * jnp.maximum(x - _TAIL_END, 0.0)
    return logarithm - _STEEP_SLOPE * softplus(x - _STEEP_FROM, _STEEP_WIDTH)


def last_lithium_tail(x):
    """Rise of the potential as the last lithium leaves [V]: the mirror image of the
    steep line at full lithiation, so that no hold can empty a surface below x = 0.
    """
    beyond = 1.0 - _STEEP_FROM - x
    return 0.5 * _STEEP_SLOPE * (beyond + jnp.sqrt(beyond**2 + 4 * _STEEP_WIDTH**2))


class AbstractOpenCircuitPotential(eqx.Module):
    """The equilibrium potential of a cathode material [V vs Li/Li+]."""

    source: eqx.AbstractVar[str]
    valid_range: eqx.AbstractVar[tuple[float, float]]

    def __check_init__(self):
        check_finite(self)

    @abc.abstractmethod
    def __call__(self, stoichiometry: Float[Array, "..."]) -> Float[Array, "..."]:
        """U(x) [V]."""


class NMC532(AbstractOpenCircuitPotential):
    r"""LiNi0.5Mn0.3Co0.2O2: a 14th-degree polynomial with an exponential end.

    $$ U = \sum_{k=0}^{14} c_k x^k - a\, e^{b x^{p}} + \text{tail}(x) $$

    Source: Colclasure et al., Electrochim. Acta 337 (2020) 135854 (true lithiation),
    coefficients as coded in MPET; tail: see `full_lithiation_tail`. Needs float64.
    """

    coefficients: Float[Array, "15"] = eqx.field(
        converter=as_leaf,
        default=(
            5.3147356330003,
            -4.15827660360906,
            27.2340921804213,
            -272.485166844578,
            1190.22342119331,
            -2073.76554757481,
            -829.790460410703,
            8698.11275534872,
            -10743.7433318619,
            -2057.80887352635,
            12656.309785124,
            -1571.09426436509,
            -14557.4206229139,
            13176.5754448427,
            -3640.11769200149,
        ),
    )
    source: str = eqx.field(static=True, default="Colclasure 2020 (NMC532)")
    valid_range: tuple[float, float] = eqx.field(static=True, default=(0.2, 0.9998))

    def __check_init__(self):
        c = self.coefficients
        if isinstance(c, np.ndarray) and c.shape[-1:] != (15,):
            raise ValueError(
                f"`coefficients` of NMC532 must be 15 numbers, but are {c.size}."
            )

    def __call__(self, stoichiometry):
        x = continued(stoichiometry, 1e-3, 1.0)
        value = jnp.polyval(jnp.asarray(self.coefficients)[::-1], x)
        power = jnp.exp(41.4820927506133 * jnp.log(jnp.maximum(x, 1e-3)))
        value = value - 5.57319176272331e-4 * jnp.exp(6.56024084265969 * power)
        tails = full_lithiation_tail(stoichiometry) + last_lithium_tail(stoichiometry)
        return value + tails

    @staticmethod
    def example() -> "NMC532":
        return NMC532()


class NMC811(AbstractOpenCircuitPotential):
    r"""LiNi0.8Mn0.1Co0.1O2 of the LG M50 cell.

    $$ U = -0.8090x + 4.4875 - 0.0428\tanh(18.5138(x - 0.5542))
        - 17.7326\tanh(15.7890(x - 0.3117)) + 17.5842\tanh(15.9308(x - 0.3120))
        + \text{tail}(x) $$

    Source: Chen et al., J. Electrochem. Soc. 167 (2020) 080534, eq. 8. The fit itself
    has no drop at full lithiation (3.49 V at x = 1): the tail of `NMC532` is added so
    that a discharge ends.
    """

    source: str = eqx.field(static=True, default="Chen 2020 (NMC811, LG M50)")
    valid_range: tuple[float, float] = eqx.field(static=True, default=(0.25, 0.9998))

    def __call__(self, stoichiometry):
        x = stoichiometry
        value = 4.4875 - 0.8090 * x - 0.0428 * jnp.tanh(18.5138 * (x - 0.5542))
        value = value - 17.7326 * jnp.tanh(15.7890 * (x - 0.3117))
        value = value + 17.5842 * jnp.tanh(15.9308 * (x - 0.3120))
        return value + full_lithiation_tail(x) + last_lithium_tail(x)

    @staticmethod
    def example() -> "NMC811":
        return NMC811()


class LinearPotential(AbstractOpenCircuitPotential):
    r"""A straight line, for closed forms and teaching: $$ U = U_0 - s\,x $$."""

    intercept: Float[Array, ""] = eqx.field(converter=as_leaf)
    slope: Float[Array, ""] = eqx.field(converter=as_leaf)
    source: str = eqx.field(static=True, default="assumed")
    valid_range: tuple[float, float] = eqx.field(static=True, default=(0.0, 1.0))

    def __check_init__(self):
        if isinstance(self.slope, np.ndarray) and not np.all(self.slope > 0):
            raise ValueError(
                f"`slope` must be positive (U falls with lithium), but is {self.slope}."
            )

    def __call__(self, stoichiometry):
        return self.intercept - self.slope * stoichiometry

    @staticmethod
    def example() -> "LinearPotential":
        return LinearPotential(4.7, 1.2)
