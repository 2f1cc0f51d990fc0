"""From a sheet of text to columns in SI: which instrument, which column, which unit."""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .. import columns as names
from .. import wording
from ..columns import CYCLER, Column, find, first, matches, plain
from . import cells, cycler_current, cycler_time
from .cycler_text import Sheet, looks_numeric
from .cycler_time import Options, Table

_TIME, _VOLTAGE, _CURRENT = "test_time_second", "voltage_volt", "current_ampere"
_UNIX = "unix_time_second"
_NEEDED = (_TIME, _VOLTAGE, _CURRENT)
_COUNTS = ("cycle_count", "step_count", "step_id")
MACCOR, NEWARE = "Maccor", "Neware"
_AMPERES = re.compile(r"(density )?[a-zµ]?a(mp(s|eres?)?)?( (per )?[a-zµ]*m-?[2²])?")
_BRACKETS = re.compile(r"[\[\](){}\s]")


class Found(NamedTuple):
    """Columns in SI with their names in the file, the lines of rows, and notes."""

    columns: Mapping[str, Float[np.ndarray, " row"]]
    labels: Mapping[str, str]
    lines: Int[np.ndarray, " row"]
    notes: tuple[str, ...]


def is_header(row: Sequence[str]) -> bool:
    """Whether cells are those of a header of a cycler's table."""
    has_time = any(matches(row, CYCLER[name]) for name in (_TIME, _UNIX))
    return has_time and bool(matches(row, CYCLER[_VOLTAGE]))


def instrument_of(sheet: Sheet) -> str:
    """Whose layout a sheet has."""
    top = "\n".join(sheet.preamble[:200])
    header = {plain(label) for label in sheet.header}
    lab = re.search(r"(EC|BT)-Lab (ASCII|binary)", top, re.IGNORECASE)
    if lab or "ox red" in header:
        return "BioLogic"
    if "ns changes" in header and any(c.startswith("time") for c in header):
        return "BioLogic"
    if "Basytec" in top or "t-step s" in header:
        return "Basytec"
    if "Novonix" in top or ("[Summary]" in top and "[Data]" in top):
        return "Novonix"
    if header & {"dpt time", "cycle c", "cyc#", "cycle p"} or "Date of Test" in top:
        return MACCOR
    if {"data point", "test time s"} <= header or "internal resistance ohm" in header:
        return "Arbin"
    if header & {"record id", "record index", "datapoint", "step type", "total time"}:
        return NEWARE
    if "test_time_second" in sheet.header or "Test Time / s" in sheet.header:
        return "Battery Data Format"
    return "plain table"


def read_columns(sheet: Sheet, instrument: str, options: Options) -> Found:
    """Time, voltage, current, dates and counts of a sheet, checked.

    Raises:
        ValueError: one sentence naming file, line, column and value.
    """
    sheet = _with_units_row(sheet)
    found = {key: first(sheet.header, CYCLER[key]) for key in CYCLER}
    found |= {key: find(sheet.name, sheet.header, CYCLER[key]) for key in _NEEDED}
    _check_present(sheet, found)
    needed = [found[key] for key in _NEEDED if found[key]]
    texts = [sheet.cells(column.index) for column in needed]
    # Points and commas of dates and clocks are not those of numbers.
    texts = [column for column in texts if not _is_instant(column)]
    table = Table(sheet, found, cells.separators_of(sheet.name, texts), options)
    clock = cycler_time.read(table, restarts=instrument == NEWARE)
    table = table._replace(sheet=clock.sheet)
    voltage = _voltage_of(table, bare=instrument == MACCOR)
    result = {_TIME: clock.time, _VOLTAGE: voltage}
    counts = {k: _counts(table, k) for k in _COUNTS if found[k]}
    current, notes = _current_of(table, instrument, clock.time, voltage, counts)
    if current is not None:
        result[_CURRENT] = current
    if clock.unix is not None:
        result[_UNIX] = clock.unix
    result |= {key: v for key, v in counts.items() if v is not None}
    notes = (*_choices(table), *clock.notes, *notes)
    return _without_twins(table, result, notes)


def _is_instant(texts: Sequence[str]) -> bool:
    """Whether a column is of dates, or of readings of a clock."""
    first = next((text for text in texts if text), "")
    return cells.is_date(first) or cells.is_clock(first)


def _with_units_row(sheet: Sheet) -> Sheet:
    """The sheet with the units of a row below the header in the header's names."""
    first = [plain(cell) for cell in sheet.rows[0]]
    known = {**names.TIME, **names.VOLTAGE, **names.CURRENT}
    if not any(cell in known for cell in first) or len(sheet.rows) < 2:
        return sheet
    if any(looks_numeric(cell) for cell in sheet.rows[0]):
        return sheet
    units = [_BRACKETS.sub(" ", cell).strip() for cell in sheet.rows[0]]
    header = tuple(
        f"{label} / {unit}" if unit and not _names_unit(label) else label
        for label, unit in zip(sheet.header, units, strict=True)
    )
    rows, lines = sheet.rows[1:], sheet.lines[1:]
    return dataclasses.replace(sheet, header=header, rows=rows, lines=lines)


def _names_unit(label: str) -> bool:
    found = [c for q in CYCLER.values() for _, c in matches([label], q)]
    return any(not math.isnan(column.factor) for column in found)


def _check_present(sheet: Sheet, found: Mapping[str, Column | None]) -> None:
    for key in (_TIME, _VOLTAGE):
        if found[key] is None and not (key == _TIME and found[_UNIX]):
            quantity = CYCLER[key]
            raise ValueError(
                f"{sheet.name} must have a column of {quantity.word} such as "
                f"{quantity.example}, but has {', '.join(sheet.header)}."
            )


def _choices(table: Table) -> list[str]:
    """Which of several columns of a quantity was taken."""
    notes, sheet = [], table.sheet
    for key in (_VOLTAGE, _CURRENT):
        others = [c.label for _, c in matches(sheet.header, CYCLER[key])[1:]]
        if others and table.found[key] is not None:
            notes.append(
                f"{sheet.name}: of its columns of {CYCLER[key].word}, "
                f"{table.found[key].label} was read, {', '.join(others)} not."
            )
    return notes


def _voltage_of(table: Table, *, bare: bool) -> Float[np.ndarray, " row"]:
    """Voltage [V]; `bare`: a column without unit is in V."""
    column, sheet = table.found[_VOLTAGE], table.sheet
    factor = 1.0 if bare and math.isnan(column.factor) else column.factor
    if math.isnan(factor):
        raise names.missing_unit(sheet.name, column.label, CYCLER[_VOLTAGE])
    return factor * table.numbers(column)


def _counts(table: Table, key: str) -> Float[np.ndarray, " row"] | None:
    """Numbers of cycles or steps, NaN where there is none; None where all are NaN."""
    values = table.numbers(table.found[key], required=False)
    return None if np.all(np.isnan(values)) else values


def _current_of(table: Table, instrument: str, time, voltage, counts):
    """(current [A], positive where it charges, or None; notes)."""
    sheet, options = table.sheet, table.options
    column = table.found[_CURRENT]
    if column is None:
        current, notes = _current_of_two(table)
        if current is None:
            current, notes = _current_of_charge(table, time)
        return current, notes if current is not None else _unread_currents(sheet)
    current = _amperes(table, column, instrument)
    step = counts.get("step_count", counts.get("step_id"))
    current, notes = cycler_current.signed(
        *(sheet.name, sheet.lines, time, current, voltage, step, _states(sheet)),
        unsigned=instrument == MACCOR,
    )
    cycler_current.check_size(sheet.name, column.label, sheet.lines, current)
    charge = first(sheet.header, names.PASSED)
    if charge is not None and not math.isnan(charge.factor):
        passed = charge.factor * table.numbers(charge, required=False)
        if np.all(np.isfinite(passed)):
            cycler_current.check_charge(sheet.name, time, current, passed, charge.label)
    if options.mass is not None:
        cycler_current.check_mass(sheet.name, time, current, options.mass)
    if math.isnan(column.factor):
        size = np.max(np.abs(current))
        whole = cycler_current.largest_charge(time, current) / 3600
        notes += (
            f"{sheet.name}: the current was read in {options.current_unit}, as was "
            f"said; it is at most {size:.3g} A, and {whole:.3g} Ah in a half cycle.",
        )
    elif options.current_unit is not None:
        notes += (
            f"{sheet.name}: column {column.label} names its unit, which was taken; the "
            f"current unit {options.current_unit} is for files that name none.",
        )
    return current, notes


def _unread_currents(sheet: Sheet) -> tuple[str, ...]:
    """A note of columns that may be a current, in a sheet without one.

    Raises:
        ValueError: for a current in a unit that is not known: it must not be taken for
            none.
    """
    others = names.of_unknown_unit(sheet.header, CYCLER[_CURRENT])
    for label, unit in others:
        if _AMPERES.fullmatch(unit):
            raise ValueError(
                f"{sheet.name}, column {label}, must be a current in A, mA, uA, nA or "
                "pA, or per gram; convert it, multiplying what is per area by the "
                "area, or rename the column if it is none."
            )
    labels = [label for label, _ in others]
    # Such as one for charges beside one for discharges.
    labels += [label for label in sheet.header if "current" in plain(label).split()]
    labels = list(dict.fromkeys(labels))
    was = wording.verb(labels, "was not read as a current", "were not read as currents")
    return (f"{sheet.name}: {', '.join(labels)} {was}.",) if labels else ()


def _amperes(table: Table, column: Column, instrument: str):
    """The current [A] as it is written, or turned where its discharge is positive."""
    sheet, options, factor = table.sheet, table.options, column.factor
    if math.isnan(factor):
        if options.current_unit is None and instrument != MACCOR:
            raise names.missing_unit(sheet.name, column.label, CYCLER[_CURRENT])
        unit = options.current_unit
        factor = cycler_current.unit_factor(sheet.name, column.label, unit)
    elif names.is_specific(column.label):
        factor *= cycler_current.mass_factor(sheet.name, column.label, options.mass)
    sign = -1.0 if options.discharge_positive else 1.0
    return sign * factor * table.numbers(column)


def _states(sheet: Sheet) -> Int[np.ndarray, " row"] | None:
    """What the instrument says that it does, as signs."""
    for _, column in matches(sheet.header, names.STATE):
        texts = sheet.cells(column.index)
        if not any(looks_numeric(text) for text in texts[:20]):
            return cycler_current.state_signs(texts)
    return None


def _current_of_two(table: Table):
    """The current [A] of a column of charges less that of one of discharges; None where
    there are not both, or both flow at once, as limits do that were set.
    """
    sheet = table.sheet
    columns = [first(sheet.header, q) for q in (names.CHARGING, names.DISCHARGING)]
    if any(column is None or math.isnan(column.factor) for column in columns):
        return None, ()
    up, down = (
        np.abs(column.factor * np.nan_to_num(table.numbers(column, required=False)))
        for column in columns
    )
    if np.any((up > 0) & (down > 0)):
        return None, ()
    labels = [column.label for column in columns]
    for label, current in zip(labels, (up, down), strict=True):
        cycler_current.check_size(sheet.name, label, sheet.lines, current)
    note = f"{sheet.name}: the current is {labels[0]} less {labels[1]}."
    return up - down, (note,)


def _current_of_charge(table: Table, time):
    """The current [A] that a column of charge implies, where there is no current."""
    sheet, steps = table.sheet, np.diff(time, prepend=time[:1])
    whole = first(sheet.header, names.SIGNED_CHARGE)
    part = first(sheet.header, names.STEP_CHARGE)
    column = whole or part
    if column is None or math.isnan(column.factor):
        return None, ()
    charge = column.factor * table.numbers(column)
    moved = np.diff(charge, prepend=charge[:1]) if whole else charge
    with np.errstate(divide="ignore", invalid="ignore"):
        current = np.where(steps > 0, moved / steps, np.nan)
    anew = cycler_current.restarts(charge, current) if whole else np.empty(0, int)
    current[anew] = np.nan
    known = np.flatnonzero(np.isfinite(current))
    if not known.size:
        return None, ()
    current = current[
        known[np.searchsorted(known, np.arange(len(time))).clip(max=known.size - 1)]
    ]
    note = f"{sheet.name} has no current; it was taken from its column {column.label}."
    if anew.size:
        more = f" and {anew.size - 1} more" if anew.size > 1 else ""
        note = f"{note[:-1]}, which starts anew at line {sheet.lines[anew[0]]}{more}."
    return current, (note,)


def _without_twins(table: Table, result: dict, notes) -> Found:
    """The columns without rows that repeat the row before in every value."""
    shown = [result[key] for key in (_TIME, _VOLTAGE, _CURRENT) if key in result]
    twin = np.append(False, np.all([np.diff(values) == 0 for values in shown], axis=0))
    lines = np.asarray(table.sheet.lines, int)
    if twin.any():
        first = lines[np.flatnonzero(twin)[0]]
        rows = wording.counted(twin.sum(), "row repeats", "rows repeat")
        notes += (
            f"{table.sheet.name}: {rows} the row before (first line "
            f"{first}); left aside.",
        )
    kept = {key: values[~twin] for key, values in result.items()}
    labels = {key: c.label for key, c in table.found.items() if c is not None}
    return Found(kept, labels, lines[~twin], tuple(notes))
