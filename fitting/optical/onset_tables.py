"""Onsets as events for a fit, as tables, and as words for a terminal.

Instants are on the clock of the cycler: that of the film plus the offset. The offset's
own deviation moves all particles together; it is stated beside the table, not added to
the deviation of each.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import files
from ..events import Event, Events
from ..style import time_unit
from .half_cycles import StateOfCharge
from .onsets import HalfOnsets
from .population import Population
from .verdicts import UNTIMED, Onset, Outcome

HOUR = 3600.0
_SECONDS = {"h": HOUR, "min": 60.0, "s": 1.0}
_FINER = {"h": "min", "min": "s", "s": "s"}  # unit of durations, by that of instants
EVENT_COLUMNS = ("particle", "event", "time_h", "sd_h", "after_h", "before_h", "change")
ALL_COLUMNS = (
    "half_cycle",
    "name",
    "particle",
    "outcome",
    "reasons",
    "t10_h",
    "t10_sd_h",
    "t50_h",
    "t50_sd_h",
    "t90_h",
    "t90_sd_h",
    "duration_h",
    "duration_sd_h",
    "after_h",
    "before_h",
    "half_step_h",
    "soc_t10",
    "soc_t50",
    "soc_t90",
    "amplitude",
    "level",
    "noise",
    "evidence_bic",
    "frames",
    "frames_inside",
)


def to_events(
    one: HalfOnsets,
    *,
    offset: float = 0.0,
    surface: bool = True,
    change: float | None = None,
) -> Events | None:
    """Midpoints of a half cycle, and of X-rays durations; None where nothing is known.

    Light that is linear in 1 - x is halfway up a jump from x = 1 to 1/2 where the
    surface has changed by 1/4, as `fitting.events.CHANGES` has it of a midpoint.
    Before a jump a surface gives off some hundredths of lithium slowly, and after it
    goes on so: 10 to 90 % of the jump are not the changes that define a duration, and
    may be passed ten times as fast, so of light there is none. Left out as well are
    durations below their own deviation, ambiguous, steady and excluded particles.

    Args:
        one: the half cycle.
        offset: what the cycler's clock reads when the film's reads 0 [s].
        surface: whether light saw the particles (else X-rays, their volume mean).
        change: of stoichiometry at a midpoint, where it is not that of `CHANGES`.
    """
    rows = [row for onset in one.onsets for row in _events(onset, change, not surface)]
    return Events.from_rows(rows, surface=surface).shift(offset) if rows else None


def _events(onset: Onset, change: float | None, with_duration: bool) -> list[Event]:
    """The events of one particle."""
    if onset.outcome in UNTIMED:
        return []
    label = onset.particle
    if onset.outcome is not Outcome.EXACT:
        bounds = {"after": onset.after, "before": onset.before}
        return [Event(label, "midpoint", **bounds, change=change)]
    known = {"time": onset.midpoint, "sd": onset.midpoint_sd, "change": change}
    found = [Event(label, "midpoint", **known)]
    if with_duration and onset.duration_sd < onset.duration:
        found.append(
            Event(label, "duration", time=onset.duration, sd=onset.duration_sd)
        )
    return found


def write_events(
    path: str | os.PathLike, events: Events, comments: Sequence[str] = ()
) -> None:
    """Writes events as `fitting.readers.read_events` reads them, comments above."""
    rows = []
    for k, kind in enumerate(events.kind):
        numbers = (events.time[k], events.sd[k], events.after[k], events.before[k])
        hours = [float(number) / HOUR for number in numbers]
        label = events.particles[events.particle[k]]
        rows.append([label, kind, *hours, float(events.change[k])])
    _write(path, comments, EVENT_COLUMNS, rows)


def write_all(
    path: str | os.PathLike,
    found: Sequence[HalfOnsets],
    charge: StateOfCharge | None = None,
    *,
    offset: float = 0.0,
    comments: Sequence[str] = (),
) -> None:
    """Writes everything that is known of every particle in every half cycle."""
    rows = [_row(one, onset, charge, offset) for one in found for onset in one.onsets]
    _write(path, comments, ALL_COLUMNS, rows)


def _row(one: HalfOnsets, onset: Onset, charge, offset: float) -> list:
    """One row in the order of `ALL_COLUMNS`."""
    instants = (onset.onset, onset.midpoint, onset.completion)
    deviations = (onset.onset_sd, onset.midpoint_sd, onset.completion_sd)
    pairs = zip(instants, deviations, strict=True)
    hours = [v / HOUR for t, sd in pairs for v in (t + offset, sd)]
    hours += [onset.duration / HOUR, onset.duration_sd / HOUR]
    bounds = (onset.after, onset.before, onset.half_step)
    hours += [(t + offset) / HOUR for t in bounds]
    known = charge is not None
    states = [float(charge.at(t)) if known else math.nan for t in instants]
    names = [one.half.number, one.half.name, onset.particle, str(onset.outcome)]
    return [
        *names,
        "; ".join(onset.reasons),
        *hours,
        *states,
        onset.amplitude,
        one.sign * onset.level,
        onset.noise,
        onset.evidence,
        onset.num_frames,
        onset.num_inside,
    ]


def _write(path, comments, header, rows) -> None:
    """A table below lines of comment."""
    path = Path(path)
    files.write_csv(path, header, rows)
    above = "".join(f"# {' '.join(line.split())}\n" for line in comments)
    path.write_text(above + path.read_text(encoding="utf-8"), encoding="utf-8")


def text(one: HalfOnsets, people: Population | None, offset: float = 0.0) -> str:
    """A half cycle as a table for a terminal, in a unit of time that suits it."""
    seconds, unit = time_unit(one.half.end - one.half.start)
    start, end = ((t + offset) / seconds for t in (one.half.start, one.half.end))
    lines = [f"{one.half.name} ({start:.2f} to {end:.2f} {unit}): {one.describe()}"]
    width = max(8, *(len(o.particle) for o in one.onsets))
    heads = f"midpoint ({unit})", f"duration ({_FINER[unit]})"
    lines.append(f"  {'particle':{width}s}  {heads[0]:18s} {heads[1]:16s} remark")
    for onset in sorted(one.onsets, key=order):
        lines.append(f"  {onset.particle:{width}s}  {_line(onset, offset, unit)}")
    if people is not None:
        lines.append("  population, with 95 % intervals:")
        lines += [f"    {line}" for line in measure_lines(people, seconds, unit)]
    lines += [f"  note: {note}" for note in one.notes]
    return "\n".join(lines)


def order(onset: Onset) -> float:
    """By what to sort particles: earliest first, what is not known last."""
    if onset.outcome is Outcome.EXACT:
        return onset.midpoint
    if onset.outcome in UNTIMED:
        return math.inf
    if math.isinf(onset.before):
        return 1e15 + onset.after
    return onset.before if math.isinf(onset.after) else (onset.after + onset.before) / 2


def _line(onset: Onset, offset: float, unit: str) -> str:
    """Midpoint, duration and remark of one particle."""
    seconds, finer = _SECONDS[unit], _SECONDS[_FINER[unit]]
    after, before = (t + offset for t in (onset.after, onset.before))
    when, remark = "-", "; ".join(onset.reasons)
    if onset.outcome is Outcome.EXACT:
        deviation = max(onset.midpoint_sd / seconds, 1e-3)
        when = f"{(onset.midpoint + offset) / seconds:.3f} +- {deviation:.3f}"
    elif onset.outcome is Outcome.RIGHT:
        when = f"> {after / seconds:.3f}"
    elif onset.outcome is Outcome.LEFT:
        when = f"< {before / seconds:.3f}"
    elif onset.outcome is Outcome.INTERVAL:
        when = f"{after / seconds:.3f} to {before / seconds:.3f}"
    else:
        remark = f"{onset.outcome}: {remark}"
    long = "-"
    if onset.outcome is Outcome.EXACT:
        long = f"{onset.duration / finer:.1f} +- {onset.duration_sd / finer:.1f}"
    return f"{when:18s} {long:16s} {remark}".rstrip()


_MEANINGS = {
    "asynchrony": "asynchrony ratio (spread of midpoints / duration; > 1 in turn)",
    "segregation": "segregation index (1 all or nothing, 0 alike)",
    "coherence": "slope coherence (1 together)",
    "active": "active fraction (current per active particle = 1 / this)",
    "reacted": "reacted by the last frame",
    "restricted_mean": "mean time to react, restricted to the film ({unit})",
}


def measure_lines(people: Population, seconds=HOUR, unit="h") -> list[str]:
    """Each measure with its interval, as words; times in a unit of so many seconds."""
    lines = []
    for name, measure in people.measures._asdict().items():
        size = seconds if name == "restricted_mean" else 1.0
        value, low, high = (number / size for number in measure)
        shown = "not known" if math.isnan(value) else f"{value:.2f}"
        if np.isfinite([low, high]).all():
            shown += f" ({low:.2f} to {high:.2f})"
        elif math.isfinite(low):
            shown += f" ({low:.2f} or more)"
        elif math.isfinite(value):
            shown += " (interval not known)"
        lines.append(f"{_MEANINGS[name].format(unit=unit)}: {shown}")
    return lines


def measures_as_json(people: Population, *, offset: float = 0.0) -> dict:
    """Measures and curves of a half cycle, units in the keys, None for NaN; times are
    those of the film plus an offset [s].
    """

    def known(number) -> float | None:
        return float(number) if math.isfinite(number) else None

    measures = {}
    for name, measure in people.measures._asdict().items():
        hours = name == "restricted_mean"
        key, unit = (f"{name}_h", HOUR) if hours else (name, 1.0)
        value, low, high = (known(number / unit) for number in measure)
        measures[key] = {"value": value, "interval_95": [low, high]}
    axis, progress = "soc", people.degrees.progress
    if people.degrees.is_time:
        axis, progress = "time_h", (progress + offset) / HOUR
    curves = {axis: [known(x) for x in progress]}
    for name, curve in people.curves._asdict().items():
        curves[name] = [known(x) for x in curve.value]
    return {
        "half_cycle": people.half.number,
        "name": people.half.name,
        "particles": len(people.degrees.particles),
        "measures": measures,
        "curves": curves,
    }
