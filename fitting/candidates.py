"""Experiments that could be done next, built from the one that was fitted.

A first charge happens once: what starts from pristine particles is done on a *fresh*
cell of the same material, whose particles have contacts of their own, unknown before.
Only a second cycle sees the same particles again. Where a recorded voltage drove the
fit, a voltage is imposed (a potentiostat does it), since nothing is known of what else
carries the cell's current; hence "faster" is the recorded voltage run through in less
time. To add a candidate, add a function of a `Bench` to `CANDIDATES`.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

import diffelec

from .bench import Bench
from .design import Candidate
from .wording import counted

_SPEED = 4.0  # of "faster" and "slower"
_FRAMES = 4.0  # times as frequent
_PATHS = (0, 1, 2)  # particles in the way
_EMPTY = 2.5  # V at which a cell counts as discharged


def at_speed(protocol: diffelec.Protocol, speed: float) -> diffelec.Protocol:
    """The same in 1/`speed` of the time: currents times `speed`, voltages as before."""
    rows = protocol.rows
    scaled = ("current", "current_rate", "power", "least_current", "least_rate")
    rows = dataclasses.replace(
        rows,
        **{name: speed * np.asarray(getattr(rows, name)) for name in scaled},
        duration=np.asarray(rows.duration) / speed,
    )
    drive, spans = protocol.drive, protocol.spans
    if drive is not None:
        follows_current = np.any(np.asarray(rows.weight_current * rows.follow) > 0)
        value = np.asarray(drive.value) * (speed if follows_current else 1.0)
        time = np.asarray(drive.time)
        drive = dataclasses.replace(
            drive, time=time[0] + (time - time[0]) / speed, value=value
        )
    if spans is not None:
        spans = tuple((start / speed, end / speed) for start, end in spans)
    return dataclasses.replace(protocol, rows=rows, drive=drive, spans=spans)


def again(bench: Bench) -> Candidate:
    """The fitted experiment on another cell."""
    cast = counted(len(bench.particles), "particle")
    text = f"a fresh cell, {cast}, driven and filmed as before"
    return Candidate("again", text, bench.on_fresh_cell(bench.protocol))


def frames(bench: Bench) -> Candidate:
    """More frames."""
    finer = dataclasses.replace(bench.frames, interval=bench.frames.interval / _FRAMES)
    text = f"a fresh cell, a frame every {finer.interval / 60:.3g} min"
    return Candidate("frames", text, bench.on_fresh_cell(bench.protocol, frames=finer))


def particles(bench: Bench) -> Candidate:
    """More particles."""
    count = 2 * len(bench.particles)
    experiment = bench.watched(bench.fresh(count), bench.protocol)
    return Candidate("particles", f"a fresh cell, {count} particles", (experiment,))


def faster(bench: Bench) -> Candidate:
    """Another rate."""
    text = f"a fresh cell, {_speed(bench)} {_SPEED:g} times as fast"
    fast = at_speed(bench.protocol, _SPEED)
    return Candidate("faster", text, bench.on_fresh_cell(fast))


def slower(bench: Bench) -> Candidate:
    """Another rate."""
    text = f"a fresh cell, {_speed(bench)} in {_SPEED:g} times the time"
    slow = at_speed(bench.protocol, 1.0 / _SPEED)
    return Candidate("slower", text, bench.on_fresh_cell(slow))


def _speed(bench: Bench) -> str:
    """What is done faster or slower: a protocol may charge and nothing else."""
    drive = bench.setup.drive
    return f"the {'' if drive == 'protocol' else 'recorded '}{drive} run through"


def hold(bench: Bench) -> Candidate:
    """A step of the potential."""
    bench.needs_voltage("hold")
    if bench.half_cycles[0] != 0:
        raise ValueError(
            "The candidate 'hold' needs a fit of the first half cycle, but this one is "
            f"of number {bench.half_cycles[0] + 1}; leave it out."
        )
    time, value = _series(bench, 0)
    mean = float(np.trapezoid(value, time) / (time[-1] - time[0]))
    levels = np.where(np.arange(len(time)) == 0, value[0], mean)
    # The first knot after the start is where the level is reached.
    instants = np.concatenate([time[:1], np.linspace(60.0, time[-1], len(time) - 1)])
    drive = dataclasses.replace(
        bench.protocol.drive, time=instants, value=levels.astype(float)
    )
    stepped = bench.imposed(drive)
    text = (
        f"a fresh cell, held at {mean:.2f} V for {(time[-1] - time[0]) / 3600:.3g} h "
        "from the start"
    )
    return Candidate("hold", text, bench.on_fresh_cell(stepped, again={0: 0}))


def known_paths(bench: Bench) -> Candidate:
    """Particles of which one knows how many others are in the way."""
    bench.needs_voltage("known-paths")
    model = bench.fresh(len(bench.particles), _PATHS)
    ways = ", ".join(str(k) for k in _PATHS)
    text = f"a fresh cell, particles known to sit behind {ways} others, in turn"
    return Candidate("known-paths", text, (bench.watched(model, bench.protocol),))


def second_cycle(bench: Bench) -> Candidate:
    """The same particles in the next cycle."""
    if bench.setup.drive == "voltage":
        protocol = _and_back_again(bench)
        how = "the recorded voltage run back, then forth again"
    else:
        protocol = _and_charged_again(bench)
        how = "discharged and charged again"
    problem = bench.setup.problem
    model = problem.electrode, problem.space, bench.particles
    last = bench.half_cycles[-1]
    again = {k: k + 2 for k in bench.half_cycles if k > last - 2}
    experiment = bench.watched(model, protocol, again=again)
    cast = counted(len(bench.particles), "particle")
    text = f"the same {cast} in the next cycle: {how}"
    return Candidate("second-cycle", text, (experiment,))


def _series(bench: Bench, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Instants [s from the start] and values of the series that drives, to the end of
    a half cycle, without the instant at which the next one begins.
    """
    protocol = bench.model.protocol
    time, value = np.asarray(protocol.drive.time), np.asarray(protocol.drive.value)
    time, end = time - time[0], protocol.spans[last][1]
    kept = (time < end) | (end >= time[-1])
    return time[kept], value[kept]


def _and_back_again(bench: Bench) -> diffelec.Protocol:
    """The imposed voltage, its last half cycle backwards, and once more forwards."""
    time, value = _series(bench, bench.half_cycles[-1])
    spans = bench.model.protocol.spans[: bench.half_cycles[-1] + 1]
    start, end = spans[-1][0], time[-1]
    inside = time >= start
    last, level, length = time[inside] - start, value[inside], end - start
    time = np.concatenate(
        [time, end + (length - last[::-1])[1:], end + length + last[1:]]
    )
    value = np.concatenate([value, level[::-1][1:], level[1:]])
    turns = [s for s, _ in spans] + [end, end + length]
    number = np.searchsorted(turns, time, side="right")  # 0 before the first
    sign = np.where(number == 0, 0.0, np.where(number % 2, 1.0, -1.0))
    return diffelec.Protocol.from_recording(time, voltage=value, current=sign)


def _and_charged_again(bench: Bench) -> diffelec.Protocol:
    """The steps of the fit, back to 2.5 V at the same rate, and the steps once more."""
    own, number = bench.model.protocol, bench.half_cycles[-1]
    if bench.setup.drive != "protocol" or number != 0 or not bench.delithiates(0):
        raise ValueError(
            "The candidate 'second-cycle' needs a fit by a recorded voltage, or of the "
            "first charge of a protocol of steps; leave it out."
        )
    if max(own.half_cycles) >= 2:
        return own
    first = own.half_cycles.index(0)
    columns = {"current_rate": "C", "current": "A", "power": "W"}
    asked = {u: float(getattr(own.rows, name)[first]) for name, u in columns.items()}
    amounts = [f"{value:.6g} {unit}" for unit, value in asked.items() if value > 0]
    if not amounts:
        raise ValueError(
            "The candidate 'second-cycle' needs a first charge by a current or a power "
            f"to discharge with, but that is '{own.texts[first]}'; leave it out."
        )
    back = (
        [] if 1 in own.half_cycles else [f"Discharge at {amounts[0]} until {_EMPTY} V"]
    )
    return diffelec.Protocol.from_strings([*own.texts, *back, *own.texts])


CANDIDATES = {
    "again": again,
    "frames": frames,
    "particles": particles,
    "second-cycle": second_cycle,
    "faster": faster,
    "slower": slower,
    "hold": hold,
    "known-paths": known_paths,
}
"""Every candidate, by the name that the command line knows."""


def check_names(names: Sequence[str]) -> None:
    """Raises ValueError for a name that no candidate has."""
    unknown = [name for name in names if name not in CANDIDATES]
    if unknown:
        raise ValueError(
            f"A candidate must be one of {', '.join(CANDIDATES)}, but is "
            f"'{unknown[0]}'."
        )


def build(bench: Bench, names: Sequence[str] | None = None):
    """(candidates, sentences about those that this fit cannot offer).

    Raises:
        ValueError: for a candidate that is asked for by name and cannot be offered.
    """
    check_names(names or ())
    found, left_out = [], []
    for name in CANDIDATES if names is None else dict.fromkeys(names):
        try:
            found.append(CANDIDATES[name](bench))
        except ValueError as error:
            if names is not None:
                raise
            left_out.append(str(error))
    return found, left_out
