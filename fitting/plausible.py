"""Bounds of what an electrode file may say: beyond them a number is in another unit.

They are wide, and asked of files only: who writes a program may try what cannot be. To
bound another key, add it to a table here.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from diffelec.constants import SMALLEST_RADIUS


class Bound(NamedTuple):
    """What a number may be, and what to do about one that is not."""

    low: float
    high: float
    remedy: str


_SHARE = "write it as a share, not in percent"
_STOICHIOMETRY = Bound(0.0, 1.0, "write filled shares of the sites, not percent")
_POINTS = {  # keys of a curve that are stoichiometries or lengths of them
    "knots": _STOICHIOMETRY,
    "centre": Bound(-1.0, 2.0, _STOICHIOMETRY.remedy),
    "width": Bound(0.0, 1.0, _STOICHIOMETRY.remedy),
}
_VALUES = ("value", "prefactor", "floor")
_LOGARITHMS = ("log10_values", "log10_delithiated", "log10_lithiated")
_DECADES = {  # of SI values, from below the slowest solid to above the fastest
    "conductivity": (-30.0, 8.0),
    "diffusivity": (-40.0, -6.0),
    "rate_constant": (-40.0, -3.0),
}
_SCALARS = {
    "maximum_concentration_mol_per_m3": Bound(
        1e3, 2e5, "1 mol/L is 1000 mol/m3, and NMC has about 50000"
    ),
    "temperature_K": Bound(200.0, 500.0, "add 273.15 to a value in °C"),
    "one_c_range": Bound(0.0, 1.0, _SHARE),
}
_ELECTROLYTE = {
    "effective_conductivity_S_per_m": Bound(0.0, 1e3, "1 mS/cm is 0.1 S/m"),
    "thickness_m": Bound(1e-7, 1e-2, "1 um is 1e-6 m"),
}


def check_scalars(data: Mapping) -> None:
    """Raises ValueError for a number of the cell or of its electrolyte beyond bounds,
    by its key in the file.
    """
    _check_keys("electrode", data, _SCALARS)
    soaked = data["network"].get("electrolyte", {})
    _check_keys("electrode.network.electrolyte", soaked, _ELECTROLYTE)


def check_curve(name: str, curve: Mapping) -> None:
    """Raises ValueError for a curve of the file whose numbers cannot be stoichiometries
    or SI values, or logarithms of them.
    """
    place = f"electrode.curves.{name}"
    _check_keys(place, curve, _POINTS)
    if name not in _DECADES:
        return
    low, high = _DECADES[name]
    logarithms = Bound(low, high, "write log10 of the value in SI units")
    values = Bound(0.0, 10**high, "write the value in SI units, not its log10")
    _check_keys(place, curve, dict.fromkeys(_LOGARITHMS, logarithms))
    _check_keys(place, curve, dict.fromkeys(_VALUES, values))


def check_radii(labels: Iterable[str], radii: Sequence[float]) -> None:
    """Raises ValueError for a particle that is smaller than a few atoms [m]; that there
    is a radius of each is asked elsewhere.
    """
    for label, radius in zip(labels, radii, strict=False):
        if 0 < radius < SMALLEST_RADIUS:
            raise ValueError(
                f"electrode: the radius of '{label}' must be {SMALLEST_RADIUS:g} m or "
                f"more, but is {radius:g}; give it in metres."
            )


def _check_keys(place: str, data: Mapping, bounds: Mapping[str, Bound]) -> None:
    for key, bound in bounds.items():
        for value in np.atleast_1d(data.get(key, [])).tolist():
            if not bound.low <= value <= bound.high and math.isfinite(value):
                raise ValueError(
                    f"{place}.{key} must lie between {bound.low:g} and {bound.high:g}, "
                    f"but is {value:g}; {bound.remedy}."
                )
