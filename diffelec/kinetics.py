"""Reaction laws i(eta, x) of the particle surface [A/m2], anodic (charge) positive.

To add a law, add one final class with an `example()`. The rate constant k(x) is a
curve of the electrode; a law turns it into an exchange current density and a current.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._typing import as_leaf
from .checks import check_finite
from .constants import FARADAY, thermal_voltage

_EDGE = 1e-4  # closest approach of x to 0 and 1 at which the power law holds exactly
_LARGEST_EXPONENT = 40.0  # e^40: an overpotential of 2 V at alpha = 0.5


def positive_part(x):
    r"""X above 1e-4; below it $$ \epsilon^2 / (2\epsilon - x) $$: C1, positive, never
    flat, so that a power of it survives a stage that steps beyond (0, 1).
    """
    low = jnp.minimum(x, _EDGE)
    return jnp.maximum(x, _EDGE) + _EDGE**2 / (2.0 * _EDGE - low) - _EDGE


def bounded_exp(x):
    """exp(x) up to x = 40, its tangent beyond: no overflow in value or gradient."""
    inside = jnp.minimum(x, _LARGEST_EXPONENT)
    return jnp.exp(inside) * (1.0 + (x - inside))


class AbstractKinetics(eqx.Module):
    """Which current crosses the surface at an overpotential?

    A law is asked for some sites, or a table of stoichiometries, at once, in arrays of
    any length: it works on each element alike, with numbers that hold for all
    particles. `Electrode.reactivity` tells particles apart.
    """

    def __check_init__(self):
        check_finite(self)

    @abc.abstractmethod
    def exchange_current_density(
        self,
        stoichiometry: Float[Array, "..."],
        rate_constant: Float[Array, "..."],
        maximum_concentration: Float[Array, ""],
    ) -> Float[Array, "..."]:
        """i0 [A/m2] at a surface stoichiometry."""

    @abc.abstractmethod
    def current_density(
        self,
        overpotential: Float[Array, "..."],
        exchange_current_density: Float[Array, "..."],
        temperature: Float[Array, ""],
    ) -> Float[Array, "..."]:
        """I [A/m2], positive when lithium leaves; increasing in the overpotential [V]
        with slope i0 F/RT at zero.
        """


class ButlerVolmer(AbstractKinetics):
    r"""Butler-Volmer kinetics with transfer coefficients that add up to one.

    $$ i = i_0 [e^{\alpha_a F\eta/RT} - e^{-\alpha_c F\eta/RT}], \quad
       i_0 = F k(x)\, c_{max} (1 - x)^{\alpha_a} x^{\alpha_c} $$

    with \alpha_c = 1 - \alpha_a and c_l = c_l,ref. Source: Sharma 2022, eqs 1-3, with
    its rate constants merged to k = k_c^{\alpha_a} k_a^{\alpha_c} [m/s]: eq. 3 prints
    the exponent \alpha_a on both, which balances the units only for \alpha = 1/2.
    """

    anodic_transfer: Float[Array, ""] = eqx.field(converter=as_leaf, default=0.5)

    def __check_init__(self):
        a = self.anodic_transfer
        if isinstance(a, np.ndarray) and not np.all((a > 0) & (a < 1)):
            raise ValueError(
                f"`anodic_transfer` must lie strictly between 0 and 1, but is {a}."
            )

    def exchange_current_density(
        self, stoichiometry, rate_constant, maximum_concentration
    ):
        a = self.anodic_transfer
        vacant = positive_part(1.0 - stoichiometry)
        filled = positive_part(stoichiometry)
        power = jnp.exp(a * jnp.log(vacant) + (1.0 - a) * jnp.log(filled))
        return FARADAY * rate_constant * maximum_concentration * power

    def current_density(self, overpotential, exchange_current_density, temperature):
        scaled = overpotential / thermal_voltage(temperature)
        anodic = bounded_exp(self.anodic_transfer * scaled)
        cathodic = bounded_exp(-(1.0 - self.anodic_transfer) * scaled)
        return exchange_current_density * (anodic - cathodic)

    @staticmethod
    def example() -> "ButlerVolmer":
        return ButlerVolmer(0.37)
