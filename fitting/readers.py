"""Opens what an experiment brings: cycler tables and tables of event times (CSV).

Column names carry the unit. To accept another spelling, add it to `_UNITS` or to the
names of a quantity below. Values are checked here, where line and column are known,
and again by the classes that they fill.
"""

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .events import CHANGES, Event, Events, check_informative
from .recording import Recording
from .sheets import read_number, read_rows

_TIME = {"s": 1.0, "min": 60.0, "h": 3600.0, "ms": 1e-3}
_TIME |= {"sec": 1.0, "second": 1.0, "seconds": 1.0, "minute": 60.0, "minutes": 60.0}
_TIME |= {"hr": 3600.0, "hour": 3600.0, "hours": 3600.0}
_VOLTAGE = {"v": 1.0, "volt": 1.0, "mv": 1e-3}
_CURRENT = {"a": 1.0, "ampere": 1.0, "ma": 1e-3, "ua": 1e-6, "µa": 1e-6, "na": 1e-9}
_SPECIFIC = {"a g": 1e3, "ma g": 1.0, "a per g": 1e3, "ma per g": 1.0}  # A/kg
_SPECIFIC |= {"ma g-1": 1.0, "a g-1": 1e3}
_CYCLER = {
    "time": (("test time", "run time", "elapsed time", "total time", "time"), _TIME),
    "voltage": (
        ("cell voltage", "voltage", "potential", "ewe", "ecell", "u"),
        _VOLTAGE,
    ),
    "current": (("current", "i"), _CURRENT | _SPECIFIC),
}
_EVENT_TIMES = ("time", "after", "before")
_LENGTH = {"um": 1e-6, "nm": 1e-9, "m": 1.0}
_EXAMPLE = "particle, event, time_h, sd_h (or after_h, before_h), radius_um, change"


def read_recording(path: str | os.PathLike, *, mass: float | None = None) -> Recording:
    """The recording in a cycler table.

    Columns time, voltage and, if there is one, current, each once and with its unit in
    its name: `time_h`, `Test Time / s`, `test_time_second`, `voltage_V`, `Voltage / V`,
    `Ewe/V`, `current_mA`, `I/mA`, …; other columns are left aside. Of rows with one
    instant (a cycler writes two where it switches) the last counts.

    Args:
        path: a CSV file; cells separated by commas, semicolons or tabs.
        mass: of active material [kg], for a current per gram.

    Raises:
        ValueError: one sentence naming file, line, column and value.
        OSError: for a file that cannot be read.
    """
    header, rows = read_rows(path)
    found = {name: _find(path, header, name, *_CYCLER[name]) for name in _CYCLER}
    for name in ("time", "voltage"):
        if found[name] is None:
            raise ValueError(
                f"{Path(path).name} must have a column of {name} such as "
                f"{'time_h' if name == 'time' else 'voltage_V'}, but has "
                f"{', '.join(header)}."
            )
    columns = {
        name: np.array([read_number(path, n, label, c[label]) for n, c in rows]) * unit
        for name, (label, unit) in ((k, v) for k, v in found.items() if v)
    }
    if found["current"] is not None:
        columns["current"] *= _mass_of(path, found["current"][0], mass)
    _check_order(path, found["time"][0], [n for n, _ in rows], columns["time"])
    last = np.append(np.diff(columns["time"]) > 0, True)
    try:
        recording = Recording(
            **{name: values[last] for name, values in columns.items()}
        )
        recording.check_sign()
    except ValueError as error:
        raise ValueError(f"{Path(path).name}: {error}") from None
    return recording


def _plain(name: str) -> str:
    """A column's name in small letters, signs between its words being spaces."""
    return re.sub(r"[\s/_()\[\]<>,.]+", " ", name.lower()).strip()


def _find(path, header, quantity: str, names, units: dict):
    """(label, factor to SI) of the column of a quantity; None where there is none."""
    found, bare = [], []
    for label in header:
        plain = _plain(label)
        for name in names:
            rest = plain.removeprefix(name)
            if rest == plain or (rest and not rest.startswith(" ")):
                continue
            if rest.strip() in units:
                found.append((label, units[rest.strip()]))
            elif not rest:
                bare.append(label)
            break
    if len(found) > 1:
        raise ValueError(
            f"{Path(path).name} must have one column of {quantity}, but has "
            f"{' and '.join(label for label, _ in found)}; remove all but one."
        )
    if bare and not found:
        raise ValueError(
            f"{Path(path).name}, column {bare[0]}, must name its unit, one of "
            f"{', '.join(units)}; write, for instance, '{bare[0]}_{next(iter(units))}'."
        )
    return found[0] if found else None


def _mass_of(path, label: str, mass: float | None) -> float:
    """What multiplies a current: 1, or the mass [kg] where it is per mass."""
    if not any(_plain(label).endswith(unit) for unit in _SPECIFIC):
        return 1.0
    if mass is None:
        raise ValueError(
            f"{Path(path).name}, column {label}, is a current per mass; give the mass "
            "of active material, or a column such as current_mA."
        )
    if not 0 < mass < math.inf:
        raise ValueError(f"The mass must be positive, but is {mass:g} kg.")
    return mass


def _check_order(path, label: str, lines, time) -> None:
    back = np.flatnonzero(np.diff(time) < 0)
    if back.size:
        k = back[0] + 1
        raise ValueError(
            f"{Path(path).name}, line {lines[k]}, column {label}, must not be earlier "
            f"than the row before, but goes from {time[k - 1]:g} back to "
            f"{time[k]:g} s; use the time of the whole test, not of its steps."
        )


def read_events(
    path: str | os.PathLike,
    *,
    recording: Recording | None = None,
    origin: float = 0.0,
    surface: bool = False,
) -> Events:
    """The events in a table: one row each, a time and its deviation, or bounds.

    Columns `particle`, `event` (onset, midpoint, completion, duration), `time_h` and
    `sd_h` or `after_h` and `before_h` (an empty bound is infinite), and if wanted
    `radius_um` and `change`; `_s` and `_min` serve as well as `_h`, one unit for all
    instants.

    Args:
        path: a CSV file.
        recording: the half cycle that the events are of, to check them against.
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
        key = (event.particle, event.kind, event.change)
        if key in lines:
            raise ValueError(
                f"{Path(path).name}, line {line}, must be another event, but gives the "
                f"{event.kind} of particle '{event.particle}' again (first in line "
                f"{lines[key]}); keep one of the two."
            )
        lines[key] = line
        read.append(event)
    numbers = list(lines.values())

    def place(k: int, base: str) -> str:
        what = f"{read[k].kind} of particle '{read[k].particle}'"
        return f"line {numbers[k]}, column {units[base][0]} ({what}),"

    try:
        events = Events.from_rows(read, surface=surface).shift(origin)
        check_informative(events)
        if recording is not None:
            recording.check_events(events, place)
    except ValueError as error:
        raise ValueError(f"{Path(path).name}: {error}") from None
    return events


def _event_units(path, header) -> dict[str, tuple[str, float]]:
    """{"time", "sd", …: (column, factor to SI)} of a table of events."""
    name, units = Path(path).name, {}
    for label in header:
        base, _, unit = label.rpartition("_")
        family = _LENGTH if base == "radius" else _TIME
        if label in ("particle", "event", "change"):
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
    _check_row(file, lambda base: units[base][0], given)
    if "time" not in given:
        given = {"after": -math.inf, "before": math.inf} | given
    given.setdefault("change", CHANGES[kind])
    return Event(particle, kind, **given)


def _signed(path, line: int, label: str, text: str) -> float:
    """A number, which must be positive where it is a deviation or a size."""
    value = read_number(path, line, label, text)
    if value <= 0 and label.partition("_")[0] in ("sd", "radius", "change"):
        raise ValueError(
            f"{Path(path).name}, line {line}, column {label}, must be positive, but is "
            f"{text}."
        )
    return value


def _check_row(file: str, label: Callable[[str], str], given: dict) -> None:
    """Raises ValueError unless a row is either a time or bounds."""
    bounds = [base for base in ("after", "before") if base in given]
    if ("time" in given) == bool(bounds):
        raise ValueError(
            f"{file}, must give either a time or bounds, but gives "
            f"{'both' if bounds else 'neither'}; leave the other cells empty."
        )
    if "time" in given and "sd" not in given:
        raise ValueError(
            f"{file}, column {label('sd')}, must hold the standard deviation of the "
            "time, but is empty; give it, or bounds in place of the time."
        )
    if bounds and "sd" in given:
        raise ValueError(
            f"{file}, column {label('sd')}, must be empty in a row of bounds, but is "
            f"{given['sd']:g} s; remove it."
        )
    if len(bounds) == 2 and given["before"] <= given["after"]:
        raise ValueError(
            f"{file}, column {label('before')}, must be later than "
            f"{label('after')}, but is {given['before']:g} s and that "
            f"{given['after']:g} s; exchange them."
        )
