"""What a person decides about a fit, and what of it cannot be."""

import dataclasses
import inspect
import math

import diffelec

from .mechanisms import NETWORK, diffusion_lengths, mechanism

_CURVES = ("conductivity", "diffusivity")
_KNOTS_AND_SCALES = (
    ("diffusivity", "diffusivity-scale"),
    ("rate-constant", "exchange-current"),
)
FREE = (
    *("conductivity", "diffusivity", "diffusivity-scale"),
    *("rate-constant", "exchange-current", "radius", "clock"),
)
"""What may be free beside the number of each particle, which always is."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """What a person decides about a fit.

    Attributes:
        mechanism: a name of `mechanisms.MECHANISMS`.
        free: names of `FREE` beside the number of each particle.
        material: a function of `diffelec.materials` that gives curves.
        radius: of particles whose table gives none [m].
        num_shells: of a particle.
        left_out: kinds of events that are predicted but not fitted.
        discrepancy: by how much the model may be off in any time [s].
        edge_sd: of the bounds of intervals [s].
        clock_sd: of the zero of the events' clock, where "clock" is free [s].
        robust: Student's law in place of the normal one, of times and of a voltage;
            whole traces keep theirs.
        series_resistance: taken off a recorded voltage, or added to a predicted one
            [ohm].
        capacity: of the cell if it gave all its lithium [C]; None where it is not
            known. Says what a recorded current means.
        voltage_sd: by which a predicted voltage may be off [V]; None leaves the
            recorded voltage out of the data.
        intensity_sd: by which a whole trace of intensities may be off the model, in
            units of its range.
        rtol: of the simulations.
    """

    mechanism: str = NETWORK
    free: tuple[str, ...] = _CURVES
    material: str = "nmc532"
    radius: float = 5e-6
    num_shells: int = 16
    left_out: tuple[str, ...] = ()
    discrepancy: float = 0.0
    edge_sd: float = 300.0
    clock_sd: float = 300.0
    robust: bool = False
    series_resistance: float = 0.0
    capacity: float | None = None
    voltage_sd: float | None = None
    intensity_sd: float = 0.05
    rtol: float = 1e-4

    def __post_init__(self):
        unknown = [name for name in self.free if name not in FREE]
        if unknown:
            raise ValueError(
                f"What is free must be among {', '.join(FREE)}, but '{unknown[0]}' is "
                "not; the number of each particle always is."
            )
        for knots, scale in _KNOTS_AND_SCALES:
            if {knots, scale} <= set(self.free):
                raise ValueError(
                    f"Either the knots of a curve or its scale must be free, but both "
                    f"are; drop one of '{knots}' and '{scale}'."
                )
        own = mechanism(self.mechanism).own
        if "radius" in self.free and own is diffusion_lengths:
            raise ValueError(
                f"'radius' must not be free with the mechanism '{self.mechanism}', "
                "whose number of each particle it is; drop it."
            )
        if not 1e-8 <= self.radius <= 1e-3:
            raise ValueError(
                "The radius must lie between 0.01 and 1000 um, but is "
                f"{1e6 * self.radius:g} um."
            )
        for name in ("discrepancy", "edge_sd", "clock_sd", "series_resistance"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"`{name}` must be finite and 0 or more, but is {value:g}."
                )
        if "clock" in self.free and self.clock_sd == 0:
            raise ValueError(
                "`clock_sd` must be positive where 'clock' is free, but is 0, which "
                "holds it; drop 'clock'."
            )
        for name in ("capacity", "voltage_sd", "intensity_sd"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(
                    f"`{name}` must be finite and positive, but is {value:g}."
                )


def material(name: str) -> diffelec.Curves:
    """The curves that a function of `diffelec.materials` gives by default.

    Raises:
        ValueError: for a name that is none of them.
    """
    known = {
        key: value
        for key, value in vars(diffelec.materials).items()
        if inspect.isfunction(value)
        and inspect.signature(value).return_annotation is diffelec.Curves
    }
    if name not in known:
        raise ValueError(
            f"The material must be one of {', '.join(known)}, but is '{name}'."
        )
    return known[name]()
