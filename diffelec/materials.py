"""Literature curves by material, each with its source.

Functions, not constants: nothing is evaluated at import.
"""

import numpy as np

from .checks import check_kind, check_positive
from .constants import FARADAY
from .curves import (
    AbstractCurve,
    ConstantCurve,
    PchipCurve,
    RoundedLinearCurve,
)
from .electrode import Curves
from .open_circuit import NMC532, NMC811

NMC532_CONCENTRATION = 49.6e3  # mol/m3; Colclasure 2020 as coded in MPET
NMC811_CONCENTRATION = 51.765e3  # mol/m3; O'Regan 2022


def maximum_concentration_of(curves: Curves) -> float:
    """Lithium sites [mol/m3] of the material whose equilibrium potential the curves
    have: those of NMC811 for its potential, those of NMC532 for any other.
    """
    check_kind("curves", curves, Curves, "such as `diffelec.materials.nmc532()`")
    if isinstance(curves.open_circuit_potential, NMC811):
        return NMC811_CONCENTRATION
    return NMC532_CONCENTRATION


def nmc532_diffusivity() -> PchipCurve:
    """D(x) of NMC532: flat near 2e-15 m2/s, four decades lower at full lithiation.

    A table through Colclasure 2020; with R = 5 um at C/20 it loses 9.6 % of the first
    charge, the paper's "roughly 10 %".
    """
    return PchipCurve(
        [0.30, 0.70, 0.88, 0.92, 0.94, 0.96, 0.98, 1.00],
        [-14.60, -14.75, -14.80, -14.95, -15.30, -16.00, -17.20, -19.00],
        unit="m2/s",
        source="table through Colclasure 2020 (NMC532)",
    )


def nmc532_conductivity(log10_pristine: float = -5.3) -> RoundedLinearCurve:
    """kappa(x) of NMC532: steep over the first tenth of lithium removed, then slow.

    Amin and Chiang 2016 (erratum 2018: the "523" sample) for x <= 0.9, as digitised
    by a third party; no data exist between 0.9 and 1, and laboratories differ by three
    decades at x = 1: `log10_pristine` [S/m] is the parameter to infer.
    """
    return RoundedLinearCurve(
        [0.25, 0.50, 0.70, 0.90, 1.00],
        [0.14, -0.82, -1.00, -1.55, log10_pristine],
        unit="S/m",
        source="Amin and Chiang 2016 (NMC532), x = 1 chosen",
    )


def rate_constant(
    exchange_current_density: float = 1.0,
    maximum_concentration: float = NMC532_CONCENTRATION,
) -> ConstantCurve:
    r"""Constant k [m/s] from i0 [A/m2] at x = 0.5: $$ k = 2 i_0 / (F c_{max}) $$.

    4.18e-10 m/s at 1 A/m2 for NMC532; for any transfer coefficient, since both powers
    of 1/2 multiply to 1/2.
    """
    check_positive("exchange_current_density", exchange_current_density, "A/m2")
    check_positive("maximum_concentration", maximum_concentration, "mol/m3")
    return ConstantCurve(
        2.0 * exchange_current_density / (FARADAY * maximum_concentration),
        unit="m/s",
        source="i0 = 1 A/m2: between Tsai 2018 and Xu 2019",
    )


def autocatalytic_rate_constant(
    exchange_current_density: float = 1.0,
    maximum_concentration: float = NMC532_CONCENTRATION,
) -> PchipCurve:
    r"""k(x) [m/s] of a reaction that delithiation speeds up: i0 by four decades from
    x = 0.98 to 0.5.

    $$ i_0 = k_0 / (1 + e^{25 (x - 0.6)}), \quad
       k = i_0 / (F c_{max} \sqrt{x (1 - x)}) $$

    of Park 2021, as coded in MPET, tabulated up to x = 0.98, beyond which it stays.

    Args:
        exchange_current_density: i0 at x = 0.5 [A/m2].
        maximum_concentration: lithium sites [mol/m3].
    """
    check_positive("exchange_current_density", exchange_current_density, "A/m2")
    check_positive("maximum_concentration", maximum_concentration, "mol/m3")
    knots = np.array([0.3, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 0.95, 0.98])
    shape = 1.0 / (1.0 + np.exp(25.0 * (knots - 0.6)))
    scale = exchange_current_density * (1.0 + np.exp(-2.5))
    concentration = maximum_concentration * np.sqrt(knots * (1.0 - knots))
    rate = scale * shape / (FARADAY * concentration)
    return PchipCurve(
        knots,
        np.log10(rate),
        unit="m/s",
        source="table through Park 2021 (NMC532), i0 = 1 A/m2 at x = 0.5 unless given",
    )


def nmc532(
    conductivity: AbstractCurve | None = None,
    diffusivity: AbstractCurve | None = None,
    exchange_current_density: float = 1.0,
    maximum_concentration: float = NMC532_CONCENTRATION,
) -> Curves:
    """LiNi0.5Mn0.3Co0.2O2; the exchange current density [A/m2] is that of an electrode
    with this maximum concentration [mol/m3].
    """
    return Curves(
        conductivity=nmc532_conductivity() if conductivity is None else conductivity,
        diffusivity=nmc532_diffusivity() if diffusivity is None else diffusivity,
        rate_constant=rate_constant(exchange_current_density, maximum_concentration),
        open_circuit_potential=NMC532(),
    )


def nmc811(
    conductivity: AbstractCurve | None = None,
    diffusivity: AbstractCurve | None = None,
    exchange_current_density: float = 1.0,
) -> Curves:
    """LiNi0.8Mn0.1Co0.1O2; D after McClelland 2023 as tabulated from MPET, kappa(1) ten
    times that of NMC532 (Noh 2013's ratio, unverified) with the same shape.
    """
    table = PchipCurve(
        [0.3, 0.5, 0.7, 0.8, 0.9, 1.0],
        [-13.796, -14.056, -14.268, -15.268, -16.268, -17.268],
        unit="m2/s",
        source="McClelland 2023 (NMC811); x = 1 extended by the last slope",
    )
    return Curves(
        conductivity=nmc532_conductivity(-4.3)
        if conductivity is None
        else conductivity,
        diffusivity=table if diffusivity is None else diffusivity,
        rate_constant=rate_constant(exchange_current_density, NMC811_CONCENTRATION),
        open_circuit_potential=NMC811(),
    )
