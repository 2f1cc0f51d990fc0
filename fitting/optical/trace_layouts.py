"""Layouts of tables of intensities: what each column of a sheet is.

This package's `traces.csv` and other wide tables, long ones, and ImageJ's Multi
Measure. To accept another layout, add a function that gives `Series`.

Source of ImageJ's names of columns: `RoiManager.multiMeasure` of ImageJ 1.53.
"""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..columns import TIME, Quantity, matches, plain
from ..wording import counted
from . import cells
from .cycler_text import Sheet, looks_numeric

_COVERED = 2  # frames on each side, from which on a stretch of time is covered twice
_CLOCK = Quantity("time", ("time", "t", "elapsed time"), TIME, "time_h")
_FRAMES = ("frame", "slice")
_STATISTIC = re.compile(
    r"(?P<what>Area|Mean|Min|Max|StdDev|Mode|Median|IntDen|RawIntDen|X|Y|XM|YM|Perim\.|"
    r"Circ\.|Skew|Kurt|%Area|Slice|Feret|Solidity|AR|Round)"
    r"(?:(?P<number>\d+)|\((?P<name>.+)\))?"
)
_SURE = ("Area", "Mean", "Median", "Min", "Max", "IntDen", "RawIntDen")
_LABELS = ("label", "particle", "roi", "name")
_VALUES = ("mean", "intensity", "value", "median", "gray")
_OWN = ("frame", "time_s")  # as `trace_files.write_traces` begins


class Series(NamedTuple):
    """What a layout yields; times, and numbers of frames, may be None."""

    time: Float[np.ndarray, " frame"] | None
    number: Float[np.ndarray, " frame"] | None
    labels: tuple[str, ...]
    intensity: Float[np.ndarray, "particle frame"]
    notes: tuple[str, ...] = ()


def is_header(row: Sequence[str]) -> bool:
    """Whether cells are those of a header of a table of intensities."""
    small = [plain(cell) for cell in row]
    return len(row) > 1 and (
        bool(matches(row, _CLOCK))
        or any(name in small for name in (*_FRAMES, *_LABELS))
        or any(_STATISTIC.fullmatch(cell) for cell in row)
    )


def series(sheet: Sheet, statistic: str) -> tuple[Sheet, Series]:
    """The series of a sheet by its layout."""
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
    if any(matches(sheet.header, _CLOCK)) or any(n in small for n in _FRAMES):
        return sheet, _wide(sheet)
    raise ValueError(
        f"{sheet.name} must be a table of intensities, with time_h and a column a "
        f"particle, or of ImageJ's Multi Measure, but has {', '.join(sheet.header)}."
    )


def _names_rows(sheet: Sheet, index: int) -> bool:
    """Whether a column says whose each row is, and is not the trace of a particle that
    is called so: numbers with fractions, and an instant of its own in every row.
    """
    instants = [column.index for _, column in matches(sheet.header, _CLOCK)]
    instants += [k for k, n in enumerate(sheet.header) if plain(n) in _FRAMES]
    alone = any(len(set(sheet.cells(k))) == len(sheet.rows) for k in instants)
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
    return name in ("", *_FRAMES)


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
    clock = matches(sheet.header, _CLOCK)
    time = _clock(sheet, clock[0][1], ways) if clock else None
    number = None if clock else _frame_numbers(sheet)
    return Series(time, number, tuple(found), np.array(values), tuple(notes))


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


def _clock(sheet: Sheet, column, ways) -> Float[np.ndarray, " row"]:
    """Time [s] of rows; its column names its unit, or is read as on a clock."""
    texts = sheet.cells(column.index)
    if texts and cells.is_clock(texts[0]):
        return cells.durations(sheet.name, sheet.lines, column.label, texts)
    if np.isnan(column.factor):
        raise ValueError(
            f"{sheet.name}, column {column.label}, must name its unit, one of s, min, "
            f"h; write, for instance, '{column.label}_h'."
        )
    return column.factor * _numbers(sheet, column.index, ways, required=True)


def _wide(sheet: Sheet) -> Series:
    """A column of time or frame, and one column a particle."""
    clock = [c for _, c in matches(sheet.header, _CLOCK)]
    known = [c for c in clock if not np.isnan(c.factor)]
    if len(known) > 1:
        raise ValueError(
            f"{sheet.name} must have one column of time, but has "
            f"{' and '.join(c.label for c in known)}; remove all but one."
        )
    clock = known or clock
    aside = {c.index for c in clock}
    first = sheet.header[:2] if sheet.header[:2] == _OWN else sheet.header
    aside |= {k for k in range(len(first)) if _is_remark(sheet, k)}
    kept = [k for k in range(len(sheet.header)) if k not in aside]
    if not kept:
        raise ValueError(
            f"{sheet.name} must have one column a particle beside its time, but has "
            f"{', '.join(sheet.header)}."
        )
    ways = _ways(sheet, [*kept, *(c.index for c in clock)])
    time = _clock(sheet, clock[0], ways) if clock else None
    values = [_numbers(sheet, k, ways, required=False) for k in kept]
    labels = tuple(sheet.header[k] for k in kept)
    number = None if clock else _frame_numbers(sheet)
    return Series(time, number, labels, np.array(values))


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
    clock = matches(sheet.header, _CLOCK)
    frame = _frame_column(sheet)
    if not clock and frame is None:
        raise ValueError(
            f"{sheet.name} must tell the frame of each row in a column such as "
            f"time_h, Slice or Frame, but has {', '.join(sheet.header)}; tick 'Stack "
            "position' in Set Measurements."
        )
    chosen = [value] + ([clock[0][1].index] if clock else [frame])
    ways = _ways(sheet, chosen)
    when = (
        _clock(sheet, clock[0][1], ways)
        if clock
        else _numbers(sheet, frame, ways, required=True)
    )
    values = _numbers(sheet, value, ways, required=False)
    instants, place = np.unique(when, return_inverse=True)
    names = [_particle_of(text) for text in sheet.cells(labelled)]
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
    return Series(time, number, labels, table)


def _particle_of(text: str) -> str:
    """A particle's name in ImageJ's label "stack.tif:name:slice label"."""
    parts = text.split(":")
    return parts[1] if len(parts) > 1 and parts[1] else parts[0]


def check_clock(where: str, time) -> None:
    """Raises ValueError where a clock was set back into what it had covered.

    Each part then goes on by itself, and sorting would mix them. Shuffled frames, and
    a stray one, cover nothing twice.

    Args:
        where: the times are from, for the message.
        time: of frames in the order in which they are given [s].
    """
    falls = np.flatnonzero(np.diff(time) < 0) + 1
    for before, after in itertools.pairwise(np.split(time, falls)):
        low, high = max(before[0], after[0]), min(before[-1], after[-1])
        twice = [np.sum((low <= part) & (part <= high)) for part in (before, after)]
        if min(twice) < _COVERED:
            return
    if falls.size:
        k = int(falls[0])
        lost = time[k - 1] - time[k] + float(np.median(np.abs(np.diff(time))))
        others = counted(len(falls) - 1, "more frame does", "more frames do")
        more = f" (and {others})" if len(falls) > 1 else ""
        raise ValueError(
            f"{where}, frame {k + 1}, must not be earlier than the frame before, but "
            f"goes from {time[k - 1]:g} back to {time[k]:g} s{more}, among times that "
            "the film had already, as where a clock is set back; add about "
            f"{lost:g} s to the times from there on, or sort the rows if they are only "
            "out of order."
        )
