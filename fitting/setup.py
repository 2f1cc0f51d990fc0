"""From an experiment to a `Problem`: the electrode behind it, what is free, the noise.

Three ways to drive the model. A recorded voltage decouples the imaged particles from
all others: each hangs on a contact of its own. A recorded current, or a protocol, needs
unseen particles that carry it, a `bath`; then the voltage is a prediction.
"""

import dataclasses
import inspect
import math

import numpy as np

import diffelec

from . import bath, parameters
from .events import Events, check_informative
from .imaged import imaged_electrode, rows_needed, voltage_drive
from .intensities import Intensities
from .noise import EventNoise, Normal, StudentT, TraceNoise
from .parameters import ParameterSpace
from .problem import Problem, Simulated
from .recording import Recording

_DRIVE_TOLERANCE = 2e-4  # V, about what a cycler resolves; x moves by 3e-4
_CURRENT_TOLERANCE = 1e-3  # of the largest current
_VOLTAGE_POINTS = 24  # of a half cycle at which its voltage is compared
_VOLTAGE_THINNING = 3.0  # of them count as one: a model is off for hours
_CURVES = ("conductivity", "diffusivity")
_JUMP_KNOTS = (0.8, 0.95, 0.98)  # stoichiometries
FREE = (*_CURVES, "diffusivity-scale", "exchange-current", "radius", "clock")
"""What may be free beside the contacts, which always are."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """What a person decides about a fit.

    Attributes:
        free: names of `FREE` beside the contacts.
        material: a function of `diffelec.materials` that gives curves.
        radius: of particles whose table gives none [m].
        num_shells: of a particle.
        left_out: kinds of events that are predicted but not fitted.
        discrepancy: by how much the model may be off in any time [s].
        edge_sd: of the bounds of intervals [s].
        clock_sd: of the zero of the events' clock, where "clock" is free [s].
        robust: Student's law in place of the normal one.
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
                "not; contacts always are."
            )
        if {"diffusivity", "diffusivity-scale"} <= set(self.free):
            raise ValueError(
                "Either the diffusivity's knots or its scale must be free, but both "
                "are; drop one of 'diffusivity' and 'diffusivity-scale'."
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
        for name in ("capacity", "voltage_sd", "intensity_sd"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(
                    f"`{name}` must be finite and positive, but is {value:g}."
                )


@dataclasses.dataclass(frozen=True)
class Setup:
    """A fit ready to run.

    Attributes:
        problem: of the events that are fitted.
        forward: of all events, fitted or not.
        events: all of them.
        fitted: (event,) those that are fitted.
        recording: of the half cycle, or None.
        drive: what drives the model: "voltage", "current" or "protocol".
        seen: intensities that are fitted in place of their particles' times, or None.
        times: the problem of all times, from whose optimum a search for intensities
            begins: where a jump is predicted far from the measured one, a trace does
            not say which way to go. None without intensities.
    """

    problem: Problem
    forward: Simulated
    events: Events
    fitted: np.ndarray
    recording: Recording | None
    drive: str
    seen: Intensities | None = None
    times: Problem | None = None


def by_voltage(
    events: Events, recording: Recording, choices: Choices, half_cycle: int = 0
) -> Setup:
    """The imaged particles behind a recorded voltage.

    Args:
        events: on the recording's clock.
        recording: from the start of the first half cycle, when all is pristine.
        choices: about the fit.
        half_cycle: that was seen.
    """
    electrode = imaged_electrode(
        events.particles,
        _curves(choices),
        radius=_radii(events, choices.radius),
        num_shells=choices.num_shells,
    )
    protocol = voltage_drive(
        recording.time,
        recording.voltage,
        recording.current,
        series_resistance=choices.series_resistance,
        tolerance=_DRIVE_TOLERANCE,
    )
    seen = recording.half_cycle(half_cycle)
    fields = {
        "origin": recording.start,
        "half_cycle": half_cycle,
        "delithiates": bool(seen.voltage[-1] > seen.voltage[0]),
    }
    model = electrode, space_of(electrode, events.particles, choices)
    how = {"drive": "voltage", "recording": recording}
    return _setup(events, model, protocol, choices, fields, **how)


def by_current(
    events: Events, recording: Recording, choices: Choices, half_cycle: int = 0
) -> Setup:
    """The imaged particles beside a population that carries a recorded current.

    Its contacts are free, and so is the share of the current that does not intercalate
    or, where the capacity of the cell is not known, that capacity.

    Args:
        events: on the recording's clock.
        recording: from the start of the first half cycle, when all is pristine.
        choices: about the fit.
        half_cycle: that was seen.

    Raises:
        ValueError: for a recording without a current, or that tells no capacity.
    """
    if recording.current is None:
        raise ValueError(
            "The current must be recorded to drive the model, but the table has none; "
            "add its column, or let the voltage drive."
        )
    electrode, scale = _cell_of(events, recording, choices)
    share = bath.parasitic_share() if choices.capacity else bath.capacity_factor()
    space = space_of(electrode, events.particles, choices)
    unseen = (bath.population_contacts(electrode), share)
    space = dataclasses.replace(space, frees=(*space.frees, *unseen))
    seen = recording.half_cycle(half_cycle)
    fields = {
        "origin": recording.start,
        "half_cycle": half_cycle,
        "delithiates": bool(np.mean(seen.current) > 0),
    }
    trace = None
    if choices.voltage_sd is not None:
        trace = _voltage_trace(seen, recording.start, choices.voltage_sd)
    return _setup(
        *(events, (electrode, space), _scaled_current(recording, scale)),
        *(choices, fields),
        drive="current",
        recording=recording,
        trace=trace,
    )


def _cell_of(events, recording, choices) -> tuple[diffelec.Electrode, float]:
    """The electrode behind a recorded current, and its current over the cell's."""
    electrode = _in_bath(events, choices, bath.POPULATION)
    capacity = choices.capacity
    if capacity is None:
        capacity = bath.capacity_of_charge(electrode, *_first_charge(recording))
    scale = float(electrode.theoretical_capacity) / capacity
    resistance = choices.series_resistance / scale
    return dataclasses.replace(electrode, series_resistance=resistance), scale


def _voltage_trace(seen: Recording, start: float, sd: float):
    """(instants [s] from `start`, noise) of a half cycle's voltage as data."""
    shares = (np.arange(_VOLTAGE_POINTS) + 0.5) / _VOLTAGE_POINTS
    time = seen.start + shares * (seen.end - seen.start)
    measured = np.interp(time, seen.time, seen.voltage)
    return time - start, TraceNoise(measured, sd, bath.RIPPLE, _VOLTAGE_THINNING)


def _first_charge(recording: Recording) -> tuple[float, float]:
    """Charge [C] of the first half cycle, and the voltage [V] at its end."""
    first = recording.half_cycle(0)
    current = np.asarray(first.current)
    charge = float(np.sum(0.5 * (current[1:] + current[:-1]) * np.diff(first.time)))
    return charge, float(first.voltage[-1])


def _scaled_current(recording: Recording, scale: float) -> diffelec.Protocol:
    """Drives by the recorded current times `scale`, thinned to the rows it needs."""
    current = scale * np.asarray(recording.protocol("current").drive.value)
    tolerance = _CURRENT_TOLERANCE * float(np.abs(current).max())
    kept = rows_needed(recording.time, current, tolerance)
    return diffelec.Protocol.from_recording(
        recording.time[kept], current=current[kept], control="current"
    )


def by_protocol(
    events: Events,
    protocol: diffelec.Protocol,
    choices: Choices,
    half_cycle: int = 0,
    *,
    from_start: bool = False,
) -> Setup:
    """The imaged particles beside a bath that carries the protocol's current.

    Args:
        events: on a clock that reads 0 at the start of the half cycle.
        protocol: of the cell.
        choices: about the fit.
        half_cycle: that was seen.
        from_start: the clock reads 0 at the start of the protocol instead.

    Raises:
        ValueError: for a half cycle that the protocol does not have.
    """
    steps = [k for k, h in enumerate(protocol.half_cycles) if h == half_cycle]
    if not steps or half_cycle < 0:
        raise ValueError(
            f"The half cycle must be among the first {max(protocol.half_cycles) + 1}, "
            f"but is number {half_cycle + 1}; add steps to the protocol."
        )
    electrode = _in_bath(events, choices, bath.GIVEN)
    rows = protocol.rows
    currents = np.asarray(rows.current) + np.asarray(rows.current_rate)
    fields = {
        "origin": 0.0 if from_start else None,
        "half_cycle": half_cycle,
        "delithiates": bool(np.sum(currents[steps]) >= 0),
    }
    model = electrode, space_of(electrode, events.particles, choices)
    return _setup(events, model, protocol, choices, fields, drive="protocol")


def _in_bath(events, choices, unseen: bath.Bath) -> diffelec.Electrode:
    """The events' particles beside a bath of unseen ones."""
    return bath.bath_electrode(
        *(events.particles, _curves(choices), unseen),
        radius=_radii(events, choices.radius),
        bath_radius=choices.radius,
        num_shells=choices.num_shells,
    )


def _radii(events: Events, default: float) -> list[float]:
    return np.where(np.isnan(events.radius), default, events.radius).tolist()


def _curves(choices: Choices) -> diffelec.Curves:
    """The material's curves; a conductivity that is free gets knots where particles
    jump, so that data may bend it there.
    """
    curves = material(choices.material)
    table = curves.conductivity
    if "conductivity" not in choices.free or not hasattr(table, "knots"):
        return curves
    finer = parameters.with_knots(table, _JUMP_KNOTS)
    return dataclasses.replace(curves, conductivity=finer)


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


def space_of(electrode, particles, choices: Choices) -> ParameterSpace:
    """The contacts of the particles, and what else is chosen.

    The conductivity is held at full lithiation: only its product with a contact's
    radius is identifiable.
    """
    frees = [parameters.contacts(electrode, particles)]
    if "conductivity" in choices.free:
        frees.append(
            parameters.curve_values(
                electrode, "conductivity", fixed=(-1,), sd=1.0, roughness=0.7
            )
        )
    if "diffusivity" in choices.free:
        frees.append(parameters.curve_values(electrode, "diffusivity"))
    if "diffusivity-scale" in choices.free:
        frees.append(parameters.curve_scale("diffusivity"))
    if "exchange-current" in choices.free:
        frees.append(parameters.curve_scale("rate_constant"))
    if "radius" in choices.free:
        frees.append(parameters.radii(electrode, particles))
    clock = parameters.clock(choices.clock_sd) if "clock" in choices.free else None
    return ParameterSpace(tuple(frees), clock)


def _setup(
    events, model, protocol, choices, fields, *, drive, recording=None, trace=None
) -> Setup:
    """A setup of (electrode, space) and a protocol; `trace`: instants, noise."""
    fitted = np.array([kind not in choices.left_out for kind in events.kind])
    if not fitted.any():
        raise ValueError(
            "One kind of events or more must be fitted, but all are left out "
            f"({', '.join(dict.fromkeys(events.kind))})."
        )
    electrode, space = model
    fields = fields | {"rtol": choices.rtol}
    chosen = events.select(fitted)
    check_informative(chosen)
    times, noise = trace or ((), None)
    problem = Problem(
        electrode=electrode,
        space=space,
        forward=Simulated.of(
            *(electrode, protocol, chosen), trace_times=times, **fields
        ),
        noise=EventNoise.of(
            chosen,
            StudentT() if choices.robust else Normal(),
            discrepancy=choices.discrepancy,
            edge_sd=choices.edge_sd,
        ),
        trace=noise,
    )
    fine = max(401, problem.forward.num_saved)
    forward = Simulated.of(electrode, protocol, events, num_saved=fine, **fields)
    return Setup(problem, forward, events, fitted, recording, drive)
