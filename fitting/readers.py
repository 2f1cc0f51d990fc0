"""Opens what an experiment brings: cycler tables and tables of event times (CSV).

Column names carry the unit; spellings are in `columns`. Values are checked here, where
line and column are known, and again by the classes that they fill.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .columns import LENGTH, TIME
from .events import (
    CHANGES,
    MOST_HALF_CYCLES,
    SEEN,
    Event,
    Events,
    check_informative,
)
from .optical.cycler import read_cycler
from .recording import Recording
from .sheets import check_radius, read_number, read_rows

_EVENT_TIMES = ("time", "after", "before")
_INFINITE = ("inf", "infinity", "infinite", "∞")
_COMPARED = {">": "after", "≥": "after", "<": "before", "≤": "before"}
_EXAMPLE = (
    "particle, event, time_h, sd_h (or after_h, before_h), radius_um, change, "
    "half_cycle"
)


def read_recording(path: str | os.PathLike, **options) -> Recording:
    """The recording in a cycler's file, whichever instrument wrote it.

    A plain table has columns time, voltage and, if there is one, current, each with its
    unit in its name: `time_h`, `Test Time / s`, `test_time_second`, `voltage_V`,
    `Ewe/V`, `current_mA`, `I/mA`, …; other columns are left aside. Of rows with one
    instant (a cycler writes two where it switches) the last counts.

    Args:
        path: a text export, an Excel book or a binary of Neware.
        options: of `fitting.optical.cycler.read_cycler`: current_unit, mass [kg],
            repair_time, ….

    Raises:
        ValueError: one sentence naming file, line, column and value.
        OSError: for a file that cannot be read.
    """
    return read_cycler(path, **options).recording()


def read_events(
    path: str | os.PathLike,
    *,
    recording: Recording | None = None,
    half_cycle: int | None = None,
    origin: float = 0.0,
    surface: bool = False,
) -> Events:
    """The events in a table: one row each, a time and its deviation, or bounds.

    Columns `particle`, `event` (onset, midpoint, completion, duration), `time_h` and
    `sd_h` or `after_h` and `before_h` (an empty bound is infinite), and if wanted
    `radius_um`, `change` and `half_cycle` (1 first; where several were seen); `_s`,
    `_min` and `_d` serve too, one unit for all instants.

    Args:
        path: a CSV file.
        recording: to check the events against, each in its half cycle.
        half_cycle: that rows are of which do not say; 0 first. None: the whole of the
            recording.
        origin: the instant on the recording's clock that the table calls 0 [s].
        surface: whether the surface of particles was seen, not their volume.

    Returns:
        events on the recording's clock.

    Raises:
        ValueError: one sentence naming file, line, column and value.
        OSError: for a file that cannot be read.
    """
    header, rows = read_rows(path)
    units = _event_units(path, header)
    read, lines = [], {}
    for line, cells in rows:
        event = _event(path, line, cells, units)
        half = half_cycle if event.half_cycle is None else event.half_cycle
        key = (event.particle, event.kind, event.change, half)
        if key in lines:
            raise ValueError(
                f"{Path(path).name}, line {line}, must be another event, but gives the "
                f"{event.kind} of particle '{event.particle}' again (first in line "
                f"{lines[key]}); keep one of the two."
            )
        lines[key] = line
        read.append(event)
    numbers = list(lines.values())
    try:
        events = Events.from_rows(read, surface=surface).shift(origin)
        check_informative(events)
        if recording is not None:
            _check_in(recording, half_cycle, events, numbers, units)
    except ValueError as error:
        raise ValueError(f"{Path(path).name}: {error}") from None
    return events


def _check_in(recording, seen: int | None, events: Events, lines, units) -> None:
    """Refuses events that their half cycle of a recording cannot hold."""
    for number in np.unique(events.half_cycle):
        rows = np.flatnonzero(events.half_cycle == number)
        of_half = seen if number == SEEN else int(number)
        part = recording if of_half is None else recording.half_cycle(of_half)

        def place(k: int, base: str, rows=rows) -> str:
            row = rows[k]
            label = events.particles[events.particle[row]]
            what = f"{events.kind[row]} of particle '{label}'"
            return f"line {lines[row]}, column {units[base][0]} ({what}),"

        part.check_events(events.select(events.half_cycle == number), place)


def _event_units(path, header) -> dict[str, tuple[str, float]]:
    """{"time", "sd", …: (column, factor to SI)} of a table of events."""
    name, units = Path(path).name, {}
    for label in header:
        base, _, unit = label.rpartition("_")
        family = LENGTH if base == "radius" else TIME
        if label in ("particle", "event", "change", "half_cycle"):
            base, factor = label, 1.0
        elif base in (*_EVENT_TIMES, "sd", "radius") and unit in family:
            factor = family[unit]
        else:
            raise ValueError(
                f"{name} has the column '{label}', but columns are {_EXAMPLE}."
            )
        if base in units:
            raise ValueError(
                f"{name} must have one column of {base}, but has {units[base][0]} and "
                f"{label}; use one unit."
            )
        units[base] = (label, factor)
    instants = [units[base] for base in _EVENT_TIMES if base in units]
    if len({factor for _, factor in instants}) > 1:
        raise ValueError(
            f"{name} must give its instants in one unit, but has "
            f"{' and '.join(label for label, _ in instants)}; convert one of them."
        )
    missing = [base for base in ("particle", "event") if base not in units]
    if not instants:
        missing.append("time_h")
    if "time" in units and "sd" not in units:
        missing.append("sd" + units["time"][0].removeprefix("time"))
    if missing:
        raise ValueError(
            f"{name} must have the column {missing[0]}, but has {', '.join(header)}."
        )
    return units


def _event(path, line: int, cells: dict, units: dict) -> Event:
    """One row; an empty bound beside a given one is infinite."""
    file = f"{Path(path).name}, line {line}"
    particle, kind = cells["particle"], cells["event"]
    if not particle:
        raise ValueError(f"{file}, column particle, must be a label, but is empty.")
    if kind not in CHANGES:
        raise ValueError(
            f"{file}, column event, must be one of {', '.join(CHANGES)}, but is "
            f"'{kind}'."
        )
    given = {}
    for base, (label, factor) in units.items():
        text = cells[label]
        if base not in ("particle", "event") and text:
            given[base] = factor * _signed(path, line, label, text)
            if base == "radius":
                check_radius(path, line, label, given[base])
    for base in ("time", "before") if kind == "duration" else ():
        if given.get(base, 1.0) <= 0:
            label = units[base][0]
            raise ValueError(
                f"{file}, column {label}, must be positive in a row of a duration, but "
                f"is {cells[label]}; correct or remove the row."
            )
    _check_row(file, given, lambda base: (units[base][0], cells[units[base][0]]))
    if "half_cycle" in given:
        given["half_cycle"] = _counted(file, given["half_cycle"])
    if "time" not in given:
        given = {"after": -math.inf, "before": math.inf} | given
    given.setdefault("change", CHANGES[kind])
    return Event(particle, kind, **given)


def _counted(file: str, number: float) -> int:
    """A half cycle counted from 0, of one counted from 1."""
    if not 1 <= number <= MOST_HALF_CYCLES or number != round(number):
        raise ValueError(
            f"{file}, column half_cycle, must be a whole number, 1 to "
            f"{MOST_HALF_CYCLES}, but is {number:g}."
        )
    return int(number) - 1


def _signed(path, line: int, label: str, text: str) -> float:
    """A number, which must be positive where it is a deviation or a size."""
    _check_bound(path, line, label, text)
    value = read_number(path, line, label, text)
    if value <= 0 and label.partition("_")[0] in ("sd", "radius", "change"):
        raise ValueError(
            f"{Path(path).name}, line {line}, column {label}, must be positive, but is "
            f"{text}."
        )
    return value


def _check_bound(path, line: int, label: str, text: str) -> None:
    """Raises ValueError for a bound that is written as people write one."""
    base, _, unit = label.partition("_")
    remedy = ""
    if base in ("after", "before") and text.lower().lstrip("+-") in _INFINITE:
        remedy = "leave the cell empty where there is no bound"
    elif base in _EVENT_TIMES and text[:1] in _COMPARED:
        remedy = f"write the number alone into {_COMPARED[text[0]]}_{unit}"
    if remedy:
        raise ValueError(
            f"{Path(path).name}, line {line}, column {label}, must be a finite number, "
            f"but is '{text}'; {remedy}."
        )


def _check_row(file: str, given: dict, cell: Callable[[str], tuple[str, str]]) -> None:
    """Raises ValueError unless a row is either a time or bounds.

    `cell` tells the column's name and the text of "time", "sd", "after" or "before".
    """
    bounds = [base for base in ("after", "before") if base in given]
    if ("time" in given) == bool(bounds):
        raise ValueError(
            f"{file}, must give either a time or bounds, but gives "
            f"{'both' if bounds else 'neither'}; leave the other cells empty."
        )
    if "time" in given and "sd" not in given:
        raise ValueError(
            f"{file}, column {cell('sd')[0]}, must hold the standard deviation of the "
            "time, but is empty; give it, or bounds in place of the time."
        )
    if bounds and "sd" in given:
        label, text = cell("sd")
        raise ValueError(
            f"{file}, column {label}, must be empty in a row of bounds, but is {text}; "
            "remove it."
        )
    if len(bounds) == 2 and given["before"] <= given["after"]:
        (after, low), (before, high) = cell("after"), cell("before")
        raise ValueError(
            f"{file}, column {before}, must be later than {after}, but is {high} and "
            f"that {low}; exchange them."
        )
