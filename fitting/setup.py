"""From an experiment to a `Problem`: the electrode behind it, what is free, the noise.

Three ways to drive the model. A recorded voltage decouples the imaged particles from
all others: each hangs on a contact of its own. A recorded current, or a protocol, needs
unseen particles that carry it, a `bath`; then the voltage is a prediction.
"""

import dataclasses

import numpy as np

import diffelec

from . import bath, parameters
from .choices import Choices as Choices
from .choices import material as material
from .events import Events, check_informative
from .imaged import imaged_electrode, rows_needed, rows_of_turns, voltage_drive
from .intensities import Intensities
from .mechanisms import NETWORK, mechanism
from .noise import EventNoise, Normal, StudentT, TraceNoise
from .parameters import ParameterSpace
from .problem import Problem, Simulated
from .recording import Recording

_DRIVE_TOLERANCE = 2e-4  # V, about what a cycler resolves; x moves by 3e-4
_CURRENT_TOLERANCE = 1e-3  # of the largest current
_VOLTAGE_POINTS = 24  # of a half cycle at which its voltage is compared
_VOLTAGE_THINNING = 3.0  # of them count as one: a model is off for hours
_JUMP_KNOTS = (0.8, 0.95, 0.98)  # stoichiometries


@dataclasses.dataclass(frozen=True)
class Setup:
    """A fit ready to run.

    Attributes:
        problem: of the events that are fitted.
        forward: of all events, fitted or not.
        events: all of them.
        fitted: (event,) those that are fitted; none where whole traces of all particles
            are.
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
        events: on the recording's clock, of one half cycle or several.
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
        recording.active_current(),
        series_resistance=choices.series_resistance,
        tolerance=_DRIVE_TOLERANCE,
    )
    halves = _halves(recording)
    fields = {
        "origin": recording.start,
        "half_cycle": half_cycle,
        "delithiates": [_delithiates(half) for half in halves],
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
    _check_alone(choices, "let the voltage drive (leave `--drive current` out)")
    if recording.current is None:
        raise ValueError(
            "The current must be recorded to drive the model, but the table has none; "
            "add its column, or let the voltage drive."
        )
    halves = _halves(recording)
    electrode, scale = _cell_of(events, recording, choices)
    share = bath.parasitic_share() if choices.capacity else bath.capacity_factor()
    space = space_of(electrode, events.particles, choices)
    unseen = (bath.population_contacts(electrode), share)
    space = dataclasses.replace(space, frees=(*space.frees, *unseen))
    seen = recording.half_cycle(half_cycle)
    fields = {
        "origin": recording.start,
        "half_cycle": half_cycle,
        "delithiates": [_delithiates(half) for half in halves],
    }
    trace = None
    if choices.voltage_sd is not None:
        trace = _voltage_trace(seen, recording.start, choices)
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


def _delithiates(half: Recording) -> bool:
    """Whether lithium leaves in a half cycle: by its current where that is known, since
    voltages go on in the rest after it.
    """
    if half.current is not None:
        return bool(np.sum(half.current) > 0)
    return bool(half.voltage[-1] > half.voltage[0])


def _halves(recording: Recording) -> list[Recording]:
    """All half cycles of a recording, of which the first is no discharge."""
    halves = [recording.half_cycle(k) for k in range(len(recording.half_cycles()))]
    if halves and _lithiates(halves[0]):
        raise ValueError(
            "The recording must begin with the first charge, since particles begin "
            "full of lithium, but its first half cycle is a discharge; take a table "
            "that begins before, or cut the discharge off and count half cycles anew."
        )
    return halves


def _lithiates(half: Recording) -> bool:
    """Whether lithium enters: not where nothing flows, or a voltage is held."""
    if half.current is not None:
        return bool(np.sum(half.current) < 0)
    return bool(half.voltage[-1] < half.voltage[0])


def _scatter(choices: Choices):
    """The law of times, and of a voltage."""
    return StudentT() if choices.robust else Normal()


def _voltage_trace(seen: Recording, start: float, choices: Choices):
    """(instants [s] from `start`, noise) of a half cycle's voltage as data."""
    shares = (np.arange(_VOLTAGE_POINTS) + 0.5) / _VOLTAGE_POINTS
    time = seen.start + shares * (seen.end - seen.start)
    measured = np.interp(time, seen.time, seen.voltage)
    numbers = (choices.voltage_sd, bath.RIPPLE, _VOLTAGE_THINNING)
    return time - start, TraceNoise(measured, *numbers, _scatter(choices))


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
    kept = rows_needed(recording.time, current, tolerance) | rows_of_turns(current)
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
        ValueError: for a half cycle that the protocol does not have, for one that
            begins with a discharge, and for a series resistance.
    """
    _check_alone(choices, "give a recording of it by --cycler, not --protocol")
    if choices.series_resistance != 0:
        raise ValueError(
            "The series resistance must be 0 behind a protocol, whose current is that "
            f"of the particles and no cell's, but is {choices.series_resistance:g} "
            "ohm; leave --series-ohm out."
        )
    if not 0 <= half_cycle <= max(protocol.half_cycles):
        raise ValueError(
            f"The half cycle must be among the first {max(protocol.half_cycles) + 1}, "
            f"but is number {half_cycle + 1}; add steps to the protocol."
        )
    falls = _falls(protocol)
    if not falls[0]:
        raise ValueError(
            "The protocol must begin with a charge, since particles begin full of "
            "lithium, but its first half cycle is a discharge; put a charge in front of"
            " it, and count half cycles from that."
        )
    electrode = _in_bath(events, choices, bath.GIVEN)
    fields = {
        "origin": 0.0 if from_start else None,
        "half_cycle": half_cycle,
        "delithiates": falls,
    }
    model = electrode, space_of(electrode, events.particles, choices)
    return _setup(events, model, protocol, choices, fields, drive="protocol")


def _falls(protocol: diffelec.Protocol) -> list[bool]:
    """Whether lithium leaves in each half cycle."""
    rows = protocol.rows
    signs = np.sign(rows.current) + np.sign(rows.current_rate) + np.sign(rows.power)
    half_cycles = np.asarray(protocol.half_cycles)
    every = range(half_cycles.max() + 1)
    return [bool(np.sum(signs[half_cycles == k]) >= 0) for k in every]


def _check_alone(choices: Choices, remedy: str) -> None:
    """Refuses a mechanism for which there are no unseen particles."""
    if choices.mechanism != NETWORK:
        raise ValueError(
            f"The mechanism '{choices.mechanism}' must be driven by a recorded voltage,"
            " since the unseen particles that carry a current are those of the "
            f"network; {remedy}."
        )


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
    curves = mechanism(choices.mechanism).curves(material(choices.material))
    table = curves.conductivity
    if "conductivity" not in choices.free or not hasattr(table, "knots"):
        return curves
    finer = parameters.with_knots(table, _JUMP_KNOTS)
    return dataclasses.replace(curves, conductivity=finer)


def space_of(electrode, particles, choices: Choices) -> ParameterSpace:
    """The number of each particle, and what else is chosen.

    The conductivity and the rate constant are held at full lithiation: only their
    products with contact radii and reactivities are identifiable.
    """
    frees = [mechanism(choices.mechanism).own(electrode, particles)]
    if "conductivity" in choices.free:
        frees.append(
            parameters.curve_values(
                electrode, "conductivity", fixed=(-1,), sd=1.0, roughness=0.7
            )
        )
    if "rate-constant" in choices.free:
        frees.append(parameters.curve_values(electrode, "rate_constant", fixed=(-1,)))
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
    # Of those left out too, which are weighed where a fit is reviewed.
    of_all = EventNoise.of(
        events,
        _scatter(choices),
        discrepancy=choices.discrepancy,
        edge_sd=choices.edge_sd,
    )
    problem = Problem(
        electrode=electrode,
        space=space,
        forward=Simulated.of(
            *(electrode, protocol, chosen), trace_times=times, **fields
        ),
        noise=of_all.select(np.flatnonzero(fitted)),
        trace=noise,
    )
    fine = max(401, problem.forward.num_saved)
    forward = Simulated.of(electrode, protocol, events, num_saved=fine, **fields)
    return Setup(problem, forward, events, fitted, recording, drive)
