"""Layouts of tables of intensities: what each column of a sheet is.

This package's `traces.csv` and other wide tables, long ones, and ImageJ's Multi
Measure. To accept another layout, add a function that gives `Series`.

Source of ImageJ's names of columns: `RoiManager.multiMeasure` of ImageJ 1.53.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..columns import matches, plain
from ..wording import counted
from . import cells
from .cycler_text import Sheet, looks_numeric
from .trace_clocks import CLOCK, DATE, Clock, check_clock, clocks, dated, past_midnight

_FRAMES = ("frame", "slice")
_STATISTIC = re.compile(
    r"(?P<what>Area|Mean|Min|Max|StdDev|Mode|Median|IntDen|RawIntDen|X|Y|XM|YM|Perim\.|"
    r"Circ\.|Skew|Kurt|%Area|Slice|Feret|Solidity|AR|Round)"
    r"(?:(?P<number>\d+)|\((?P<name>.+)\))?"
)
_SURE = ("Area", "Mean", "Median", "Min", "Max", "IntDen", "RawIntDen")
_LABELS = ("track id", "label", "particle", "roi", "name")
_INDEX = re.compile(r"unnamed: \d+")  # of a column that pandas read without a name
_VALUES = ("mean", "intensity", "value", "median", "gray")
_OWN = ("frame", "time_s")  # as `trace_files.write_traces` begins


class Series(NamedTuple):
    """What a layout yields; times, and numbers of frames, may be None."""

    time: Float[np.ndarray, " frame"] | None
    number: Float[np.ndarray, " frame"] | None
    labels: tuple[str, ...]
    intensity: Float[np.ndarray, "particle frame"]
    notes: tuple[str, ...] = ()
    start: float = float("nan")  # instant at time 0 [s since 1970, UTC]


def is_header(row: Sequence[str]) -> bool:
    """Whether cells are those of a header of a table of intensities."""
    small = [plain(cell) for cell in row]
    return len(row) > 1 and (
        bool(clocks(row))
        or any(name in small for name in (*_FRAMES, *_LABELS))
        or any(_STATISTIC.fullmatch(cell) for cell in row)
    )


def series(sheet: Sheet, statistic: str) -> tuple[Sheet, Series]:
    """The series of a sheet by its layout."""
    sheet = _without_names(sheet)
    kinds = [_STATISTIC.fullmatch(label) for label in sheet.header]
    wide = [k for k in kinds if k and (k["number"] or k["name"])]
    small = [plain(label) for label in sheet.header]
    labelled = next((small.index(n) for n in _LABELS if n in small), None)
    valued = [
        k for k, n in enumerate(small) if n.split()[:1] and n.split()[0] in _VALUES
    ]
    long = labelled is not None and bool(valued) and _names_rows(sheet, labelled)
    if sheet.header[:2] == _OWN and not long:  # whatever particles are called
        return sheet, _wide(sheet)
    if any(k["what"] in _SURE for k in wide):
        return sheet, _multi_measure(sheet, statistic)
    if long:
        return sheet, _long(sheet, labelled, valued, statistic)
    several = 0 < _num_instants(sheet) < len(sheet.rows)
    if labelled is not None and not valued and several:
        raise ValueError(
            f"{sheet.name} must name its column of brightness, as it has one row a "
            f"particle and frame, one of {', '.join(_VALUES)}, but has "
            f"{', '.join(sheet.header)}; rename the column that holds it."
        )
    if clocks(sheet.header) or any(n in small for n in _FRAMES):
        return sheet, _wide(sheet)
    raise ValueError(
        f"{sheet.name} must be a table of intensities, with time_h and a column a "
        f"particle, or of ImageJ's Multi Measure, but has {', '.join(sheet.header)}."
    )


def _without_names(sheet: Sheet) -> Sheet:
    """The sheet without rows of mere words below its header, as TrackMate writes."""
    worded = [any(row) and not any(map(looks_numeric, row)) for row in sheet.rows]
    count = worded.index(False) if False in worded else 0
    if not count:
        return sheet
    note = (
        f"{sheet.name}: {counted(count, 'line')} of words below the header, from line "
        f"{sheet.lines[0]} on, left aside."
    )
    kept = {"rows": sheet.rows[count:], "lines": sheet.lines[count:]}
    return dataclasses.replace(sheet, **kept, notes=(*sheet.notes, note))


def _num_instants(sheet: Sheet) -> int:
    """How many instants rows are of, by the column that tells most apart; 0: none."""
    columns = [column.index for column in clocks(sheet.header)]
    columns += [k for k, n in enumerate(sheet.header) if plain(n) in _FRAMES]
    return max((len(set(sheet.cells(k))) for k in columns), default=0)


def _names_rows(sheet: Sheet, index: int) -> bool:
    """Whether a column says whose each row is, and is not the trace of a particle that
    is called so: numbers with fractions, and an instant of its own in every row.
    """
    alone = _num_instants(sheet) == len(sheet.rows)
    return not (alone and _are_fractions(sheet.cells(index)))


def _are_fractions(texts: Sequence[str]) -> bool:
    """Whether cells are numbers that change, some of them with a decimal sign."""
    known = {text for text in texts if text}
    some = any(set(",.") & set(text) for text in known)
    return some and len(known) > 1 and all(map(looks_numeric, known))


def _is_remark(sheet: Sheet, index: int) -> bool:
    """Whether a column of a wide table is no trace: blank, or labels of slices."""
    name = plain(sheet.header[index])
    if name == "label":
        return not _are_fractions(sheet.cells(index))
    return name in ("", *_FRAMES) or bool(_INDEX.fullmatch(name))


def _numbers(sheet: Sheet, index: int, ways, *, required: bool):
    """A column; cells that are empty or NaN are NaN, other text is refused."""
    texts = sheet.cells(index)
    label = sheet.header[index] or f"{index + 1}"
    found = cells.numbers(
        sheet.name, sheet.lines, label, texts, ways, required=required
    )
    for k in np.flatnonzero(np.isnan(found)):
        if texts[k].lower().lstrip("+-") not in (
            "",
            "nan",
            "na",
            "n/a",
            "null",
            "#n/a",
        ):
            cells.numbers(sheet.name, sheet.lines, label, texts, ways)
    return np.where(np.isfinite(found), found, np.nan)


def _ways(sheet: Sheet, indices: Sequence[int]):
    columns = [sheet.cells(index) for index in indices]
    columns = [c for c in columns if not (c and cells.is_date(c[0]))]
    texts = [[t for t in column if not cells.is_clock(t)] for column in columns]
    return cells.separators_of(sheet.name, texts)


def _multi_measure(sheet: Sheet, statistic: str) -> Series:
    """ImageJ's Multi Measure, one row a slice; frames are rows."""
    found = _columns_of(sheet, statistic)
    if not found:
        raise ValueError(
            f"{sheet.name} must have the columns {statistic}1, {statistic}2, …, but "
            f"has {', '.join(sheet.header[:6])}, …; tick '{statistic}' in Set "
            "Measurements."
        )
    ways = _ways(sheet, list(found.values()))
    values = [_numbers(sheet, k, ways, required=False) for k in found.values()]
    kinds = {m["what"] for m in map(_STATISTIC.fullmatch, sheet.header) if m}
    notes = []
    if len(kinds) > 1:
        left = ", ".join(sorted(kinds - {statistic}))
        notes.append(
            f"{sheet.name}: {statistic} was read of its statistics, not {left}."
        )
    clock = clocks(sheet.header)
    read = _clock(sheet, clock[0], ways) if clock else None
    return _series(sheet, read, tuple(found), np.array(values), tuple(notes))


def _columns_of(sheet: Sheet, statistic: str) -> dict[str, int]:
    """The column of a statistic of each particle, by its name or number."""
    found: dict[str, int] = {}
    for index, label in enumerate(sheet.header):
        kind = _STATISTIC.fullmatch(label)
        name = kind and (kind["name"] or kind["number"])
        if not name or kind["what"] != statistic:
            continue
        if name in found:
            raise ValueError(
                f"{sheet.name} must have one column a particle, but columns "
                f"{found[name] + 1} and {index + 1}, {sheet.header[found[name]]} and "
                f"{label}, are both of particle '{name}'; rename one."
            )
        found[name] = index
    return found


def _series(sheet: Sheet, clock: Clock | None, labels, values, notes=()) -> Series:
    """What rows of frames yield."""
    if clock is None:
        return Series(None, _frame_numbers(sheet), labels, values, notes)
    return Series(clock.time, None, labels, values, (*notes, *clock.notes), clock.start)


def _clock(sheet: Sheet, column, ways, owners: Sequence[str] = ()) -> Clock:
    """Time of rows; its column names its unit, or is read as on a clock or as dates.

    Args:
        sheet: the table.
        column: of its times.
        ways: in which it writes numbers.
        owners: whose each row is, where rows are not all of one film.
    """
    texts, label = sheet.cells(column.index), column.label
    if texts and cells.is_clock(texts[0]):
        time = cells.durations(sheet.name, sheet.lines, label, texts)
        return past_midnight(sheet, label, time, owners)
    if texts and (cells.is_date(texts[0]) or matches([label], DATE)):
        return dated(sheet, label, texts)
    cells.check_clock(sheet.name, sheet.lines[0], label, texts[0] if texts else "")
    if np.isnan(column.factor):
        raise ValueError(
            f"{sheet.name}, column {label}, must name its unit, one of s, min, h; "
            f"write, for instance, '{label}_h'."
        )
    return Clock(column.factor * _numbers(sheet, column.index, ways, required=True))


def _wide(sheet: Sheet) -> Series:
    """A column of time or frame, and one column a particle."""
    clock = clocks(sheet.header)
    known = [c for c in clock if matches([c.label], CLOCK) and c.factor == c.factor]
    if len(known) > 1:
        raise ValueError(
            f"{sheet.name} must have one column of time, but has "
            f"{' and '.join(c.label for c in known)}; remove all but one."
        )
    aside = {c.index for c in clock}
    clock = known or clock
    first = sheet.header[:2] if sheet.header[:2] == _OWN else sheet.header
    aside |= {k for k in range(len(first)) if _is_remark(sheet, k)}
    kept = [k for k in range(len(sheet.header)) if k not in aside]
    if not kept:
        raise ValueError(
            f"{sheet.name} must have one column a particle beside its time, but has "
            f"{', '.join(sheet.header)}."
        )
    ways = _ways(sheet, [*kept, *(c.index for c in clock[:1])])
    read = _clock(sheet, clock[0], ways) if clock else None
    values = [_numbers(sheet, k, ways, required=False) for k in kept]
    labels = tuple(sheet.header[k] for k in kept)
    return _series(sheet, read, labels, np.array(values))


def _frame_column(sheet: Sheet) -> int | None:
    """The column of frames or slices that tells most rows apart."""
    found = [k for k, label in enumerate(sheet.header) if plain(label) in _FRAMES]
    return max(found, key=lambda k: len(set(sheet.cells(k))), default=None)


def _frame_numbers(sheet: Sheet) -> Float[np.ndarray, " row"] | None:
    """Numbers of the rows' frames; None where they are names, or all the same."""
    index = _frame_column(sheet)
    texts = [] if index is None else sheet.cells(index)
    if len(set(texts)) < 2 or not all(looks_numeric(text) for text in texts):
        return None
    return _numbers(sheet, index, _ways(sheet, [index]), required=True)


def _long(sheet: Sheet, labelled: int, valued: Sequence[int], statistic: str):
    """One row a particle and frame: of ImageJ, or time, particle, intensity."""
    small = [plain(label) for label in sheet.header]
    wanted = [k for k in valued if small[k].split()[0] == statistic.lower()]
    value = (wanted or list(valued))[0]
    clock = clocks(sheet.header)
    frame = _frame_column(sheet)
    if not clock and frame is None:
        raise ValueError(
            f"{sheet.name} must tell the frame of each row in a column such as "
            f"time_h, Slice or Frame, but has {', '.join(sheet.header)}; tick 'Stack "
            "position' in Set Measurements."
        )
    chosen = [value] + ([clock[0].index] if clock else [frame])
    ways = _ways(sheet, chosen)
    names = [_particle_of(text) for text in sheet.cells(labelled)]
    if clock:
        read = _clock(sheet, clock[0], ways, names)
    else:
        read = Clock(_numbers(sheet, frame, ways, required=True))
    when = read.time
    values = _numbers(sheet, value, ways, required=False)
    instants, place = np.unique(when, return_inverse=True)
    if len(set(names)) == len(names) == len(instants):  # labels of slices
        names = [sheet.cells(labelled)[0].split(":")[0]] * len(names)
    labels = tuple(dict.fromkeys(names))
    table = np.full((len(labels), len(instants)), np.nan)
    seen: dict = {}
    rows = {label: k for k, label in enumerate(labels)}
    for k, name in enumerate(names):
        key = (rows[name], int(place[k]))
        if key in seen:
            raise ValueError(
                f"{sheet.name}, line {sheet.lines[k]}, must be another frame of "
                f"particle '{name}', but repeats that of line {seen[key]}; remove one."
            )
        seen[key] = sheet.lines[k]
        table[key] = values[k]
    for label in labels if clock else ():
        own = when[np.array(names) == label]
        check_clock(f"{sheet.name}, particle '{label}'", own)
    time, number = (instants, None) if clock else (None, instants)
    return Series(time, number, labels, table, read.notes, read.start)


def _particle_of(text: str) -> str:
    """A particle's name in ImageJ's label "stack.tif:name:slice label"."""
    parts = text.split(":")
    return parts[1] if len(parts) > 1 and parts[1] else parts[0]
