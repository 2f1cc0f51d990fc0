"""The time of a cycler's rows, from columns of numbers, durations or dates."""

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .. import columns as names
from ..columns import CYCLER, Column, first, is_clock, plain
from . import cells, time_axis
from .cycler_text import Sheet
from .stamps import hour_missing

_TIME, _UNIX = "test_time_second", "unix_time_second"
_START = re.compile(
    r"(Acquisition started on|Start of Test|Started|Date of Test)\s*[:,]+\s*(.+)"
)
_STEPS = ("step_count", "step_id")


class Options(NamedTuple):
    """What a user says of a file; the arguments of `read_cycler`."""

    current_unit: str | None = None
    time_unit: str | None = None
    mass: float | None = None
    day_first: bool | None = None
    zone: str | None = None
    discharge_positive: bool = False
    repair_time: bool = False


class Table(NamedTuple):
    """A sheet with its columns found, how it writes numbers, and what is said of it."""

    sheet: Sheet
    found: Mapping[str, Column | None]
    separators: cells.Separators
    options: Options

    def numbers(
        self, column: Column, *, required: bool = True
    ) -> Float[np.ndarray, " row"]:
        """A column as numbers, in the unit of the file."""
        return cells.numbers(
            *(self.sheet.name, self.sheet.lines, column.label),
            *(self.sheet.cells(column.index), self.separators),
            required=required,
        )


class Clock(NamedTuple):
    """Time of the test and, where known, since 1970 [s], of the rows of `sheet`."""

    sheet: Sheet
    time: Float[np.ndarray, " row"]
    unix: Float[np.ndarray, " row"] | None
    notes: tuple[str, ...]


def read(table: Table, *, restarts: bool) -> Clock:
    """The time of the rows, which are put in order where they are evidently not.

    Args:
        table: the sheet.
        restarts: whether a column named Time is that of the step, as Neware has it.

    Raises:
        ValueError: for a time that cannot be true, naming line and column.
    """
    order, note = _order(table, _raw(table)[0])
    if order is not None:
        table = table._replace(sheet=_reordered(table.sheet, order))
    time, is_date, notes = _raw(table)
    options, label = table.options, (table.found[_TIME] or table.found[_UNIX]).label
    if restarts and plain(label).split()[0] == "time" and not is_date:
        time, told = _whole(table, time)
        notes += told
    axis = time_axis.Axis(table.sheet.name, label, time, table.sheet.lines)
    axis = time_axis.in_order(axis, repair=options.repair_time, is_date=is_date)
    if is_date:
        axis = time_axis.in_seconds(axis, repair=options.repair_time)
        unix = mended = axis.time
        notes += _skipped(axis) if options.zone is None else ()
        axis = axis._replace(time=axis.time - axis.time[0])
    else:
        unix, told = _dates(table) if table.found[_UNIX] else (None, ())
        none = np.full(len(axis.time), np.nan)
        if options.time_unit is None:
            axis = time_axis.against_dates(
                axis, none if unix is None else unix, repair=options.repair_time
            )
        if unix is None:
            unix, told = _started(table, axis.time)
        notes += told
        mended = None if unix is None else time_axis.without_set_clock(axis, unix)
    notes = (*note, *notes, *axis.notes, *time_axis.remarks(axis, unix, mended))
    return Clock(table.sheet, axis.time, mended, notes)


def _skipped(axis: time_axis.Axis) -> tuple[str, ...]:
    """A note where a clock on the wall seems to have been set forward."""
    k = hour_missing(axis.time)
    if k is None:
        return ()
    return (
        f"{axis.file}: dates leave out an hour before line {axis.lines[k]}, in the "
        "night to a Sunday, as where a clock is set forward in spring; if so, later "
        "times are an hour late; give a column of the time of the test.",
    )


def _raw(table: Table):
    """(time [s] as it is written, whether since 1970, notes)."""
    sheet, column = table.sheet, table.found[_TIME]
    if column is None:
        column = table.found[_UNIX]
        found = _dates_in(table, column)
        return _complete(sheet, column, found.unix), True, found.notes
    texts = sheet.cells(column.index)
    first = next((text for text in texts if text), "")
    if cells.is_clock(first):
        found = cells.durations(sheet.name, sheet.lines, column.label, texts)
        return found, False, ()
    if cells.is_date(first):
        found = _dates_in(table, column)
        return _complete(sheet, column, found.unix), True, found.notes
    cells.check_clock(sheet.name, sheet.lines[0], column.label, first)
    return _factor(table, column) * table.numbers(column), False, ()


def _factor(table: Table, column: Column) -> float:
    """Seconds per unit of the column of time."""
    unit = table.options.time_unit
    if unit is not None:
        if unit not in names.TIME:
            raise ValueError(
                f"The unit of time must be one of {', '.join(names.TIME)}, but is "
                f"'{unit}'."
            )
        return names.TIME[unit]
    if math.isnan(column.factor):
        if is_clock(plain(column.label).split(" ", 1)[-1]):
            return 1.0
        raise names.missing_unit(table.sheet.name, column.label, CYCLER[_TIME])
    return column.factor


def _dates_in(table: Table, column: Column) -> cells.Dates:
    sheet, options = table.sheet, table.options
    return cells.dates(
        *(sheet.name, column.label, sheet.cells(column.index)),
        day_first=options.day_first,
        zone=options.zone,
    )


def _complete(sheet: Sheet, column: Column, unix) -> Float[np.ndarray, " row"]:
    """Dates, each of which must be one."""
    bad = np.flatnonzero(~np.isfinite(unix))
    if bad.size:
        cell = sheet.rows[bad[0]][column.index]
        raise ValueError(
            f"{sheet.name}, line {sheet.lines[bad[0]]}, column {column.label}, must be "
            f"a date such as 2025-04-03 12:34:56, but is '{cell}'; correct the row, or "
            "give a column such as time_s."
        )
    return unix


def _dates(table: Table):
    """(dates [s since 1970] or None, notes); a column without any is left aside."""
    column = table.found[_UNIX]
    try:
        found = _dates_in(table, column)
    except ValueError as error:
        if "day_first" not in str(error):
            raise
        return None, (f"{str(error).rstrip('.')}; dates were left aside.",)
    if not np.any(np.isfinite(found.unix)):
        return None, ()
    return found.unix, found.notes


def _started(table: Table, time):
    """(dates [s since 1970] or None, notes) by the start that the preamble tells."""
    for line in table.sheet.preamble:
        told = _START.search(line)
        if told is None or not cells.is_date(told[2].strip(' ,"')):
            continue
        options, text = table.options, told[2].strip(' ,"')
        found = cells.dates(
            *(table.sheet.name, told[1].strip(), [text]),
            day_first=options.day_first,
            zone=options.zone,
        )
        return found.unix[0] + time, found.notes
    return None, ()


def _order(table: Table, time):
    """(order of the rows in time or None, note), where it is not a matter of taste.

    That is where the newest row comes first throughout, or where the numbers that the
    instrument gave its records put the rows in order.
    """
    sheet = table.sheet
    if time_axis.reversed_rows(time):
        note = f"{sheet.name}: its rows were in reverse; turned round."
        return np.arange(len(time))[::-1], (note,)
    if np.all(np.diff(time) >= 0):
        return None, ()
    record = first(sheet.header, names.RECORD)
    if record is None:
        return None, ()
    values = table.numbers(record, required=False)
    back = np.flatnonzero(np.diff(values) < 0)
    order = np.argsort(values, kind="stable")
    if not np.all(np.isfinite(values)) or not back.size:
        return None, ()
    if len(set(map(tuple, sheet.rows))) > len(np.unique(values)):  # anew in every step
        return None, ()
    if np.any(np.diff(time[order]) < 0):
        return None, ()
    return order, (
        f"{sheet.name}: rows were not in the order of {record.label} (first line "
        f"{sheet.lines[back[0] + 1]}); sorted by it.",
    )


def _reordered(sheet: Sheet, order) -> Sheet:
    rows, lines = [sheet.rows[k] for k in order], [sheet.lines[k] for k in order]
    return dataclasses.replace(sheet, rows=rows, lines=lines)


def _whole(table: Table, time):
    """(time of the test [s], note) of a time that begins anew in every step."""
    begins = np.flatnonzero(np.diff(time) < 0) + 1
    if not begins.size or np.max(time[begins]) > 0.01 * np.max(time):
        return time, ()
    for key in _STEPS:
        column = table.found[key]
        if column is None:
            continue
        step = table.numbers(column, required=False)
        if np.all(np.diff(step)[begins - 1] != 0):
            note = (
                f"{table.sheet.name}: its time begins anew in every step; steps were "
                "added up."
            )
            return whole_time(time, step), (note,)
    return time, ()


def whole_time(step_time, step) -> Float[np.ndarray, " row"]:
    """Time of a test [s] from the time of its steps, and what names a step."""
    step_time = np.asarray(step_time, float)
    begins = np.flatnonzero((np.diff(step) != 0) | (np.diff(step_time) < 0)) + 1
    whole, offset = step_time.copy(), 0.0
    for start, end in itertools.pairwise([*begins, len(whole)]):
        offset += step_time[start - 1]
        whole[start:end] = step_time[start:end] + offset
    return whole
