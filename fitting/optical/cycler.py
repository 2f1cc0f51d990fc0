"""Files of cyclers as one table: names of the Battery Data Format, values in SI.

`read_cycler` opens text exports of BioLogic, Arbin, Maccor, Neware, Basytec and
Novonix, plain tables, Excel books and Neware's binaries. Encodings and layout are in
`cycler_text`, books and binaries in `cycler_books`, numbers and dates in `cells`, the
clock in `time_axis`, the sign of the current in `cycler_current`, and the names of
columns in `fitting.columns`.

Source of the names: Battery Data Format, Battery Data Alliance (2025).
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from ..recording import Recording, flows
from ..wording import counted
from . import cycler_columns, cycler_current, cycler_time
from .cycler_books import read_biologic, read_book, read_neware, refuse_binary
from .cycler_text import read_sheet

_HOUR = 3600.0
_VOLTAGE_LIMIT = 6.0  # V, of any cell there is, in either polarity
_LEAST_VOLTAGE = 0.02  # V; a cell whose voltage never exceeds it is in another unit
_EXCEL = (".xlsx", ".xlsm")
_NEWARE = (".nda", ".ndax")
_BIOLOGIC = ".mpr"


@dataclasses.dataclass(frozen=True)
class CyclerTable:
    """What a cycler recorded, one row an instant.

    Attributes:
        source: name of the file.
        instrument: whose layout it has.
        columns: {name of the Battery Data Format: (row,) values in SI}; always
            test_time_second and voltage_volt, where they are known current_ampere
            (positive charges the cell), unix_time_second, cycle_count, step_count,
            step_id.
        lines: of the rows in the file.
        notes: what was repaired or looks wrong, one sentence each.
    """

    source: str
    instrument: str
    columns: Mapping[str, Float[np.ndarray, " row"]]
    lines: Int[np.ndarray, " row"]
    notes: tuple[str, ...] = ()

    @property
    def time(self) -> Float[np.ndarray, " row"]:
        """Time of the test [s]."""
        return self.columns["test_time_second"]

    @property
    def voltage(self) -> Float[np.ndarray, " row"]:
        """Voltage of the cell [V]."""
        return self.columns["voltage_volt"]

    @property
    def current(self) -> Float[np.ndarray, " row"] | None:
        """Current [A], positive where it charges; None where it is not known."""
        return self.columns.get("current_ampere")

    @property
    def start(self) -> float:
        """Instant at which the time of the test is 0 [s since 1970]; NaN: unknown."""
        unix = self.columns.get("unix_time_second")
        known = [] if unix is None else np.flatnonzero(np.isfinite(unix))
        return float(unix[known[0]] - self.time[known[0]]) if len(known) else np.nan

    def recording(self) -> Recording:
        """The recording to fit to; of rows with one instant the last counts.

        Raises:
            ValueError: where the table cannot be one, naming file and reason.
        """
        last = np.append(np.diff(self.time) > 0, True)
        current = None if self.current is None else self.current[last]
        try:
            recording = Recording(self.time[last], self.voltage[last], current)
            recording.check_sign()
        except ValueError as error:
            raise ValueError(f"{self.source}: {error}") from None
        return recording


def read_cycler(
    path: str | os.PathLike,
    *,
    current_unit: str | None = None,
    time_unit: str | None = None,
    mass: float | None = None,
    day_first: bool | None = None,
    zone: str | None = None,
    discharge_positive: bool = False,
    repair_time: bool = False,
) -> CyclerTable:
    """The table in a cycler's file, whichever instrument wrote it.

    Args:
        path: a text export, an Excel book or a binary of Neware.
        current_unit: "A" or "mA", for files that name none (Maccor).
        time_unit: of the time of the test, in place of the one that its column names;
            given, steps and dates are not asked whether it can be true.
        mass: of active material [kg], for a current per gram.
        day_first: whether 03/04/2025 is in April, where the file does not show it.
        zone: of the instrument's clock, such as "Europe/Paris"; UTC where None.
        discharge_positive: whether the file's positive current discharges.
        repair_time: whether a time that cannot be true is repaired (with a note).

    Raises:
        ValueError: one sentence naming file, line, column and value.
        OSError: for a file that cannot be read.
    """
    refuse_binary(path)
    suffix = Path(path).suffix.lower()
    is_header = cycler_columns.is_header
    if suffix in _EXCEL:
        sheet = read_book(path, is_header)
    elif suffix in _NEWARE:
        sheet = read_neware(path)
    elif suffix == _BIOLOGIC:
        sheet = read_biologic(path)
    else:
        sheet = read_sheet(path, is_header)
    options = cycler_time.Options(
        current_unit, time_unit, mass, day_first, zone, discharge_positive, repair_time
    )
    instrument = cycler_columns.instrument_of(sheet)
    found = cycler_columns.read_columns(sheet, instrument, options)
    _check_voltage(sheet.name, found.labels, found.lines, found.columns)
    notes = (*sheet.notes, *found.notes, *_remarks(sheet.name, found.columns))
    return CyclerTable(sheet.name, instrument, found.columns, found.lines, notes)


def _check_voltage(file: str, labels, lines, columns) -> None:
    voltage = columns["voltage_volt"]
    k = int(np.argmax(np.abs(voltage)))
    if abs(voltage[k]) > _VOLTAGE_LIMIT:
        raise ValueError(
            f"{file}, line {lines[k]}, column {labels['voltage_volt']}, must lie "
            f"between 0 and 6 V, but is {voltage[k]:g} V; check its unit."
        )


def _remarks(file: str, columns) -> list[str]:
    """What a table may hold but a recording may not."""
    notes = []
    time, voltage = columns["test_time_second"], columns["voltage_volt"]
    below = np.sum(voltage < 0)
    if below:
        notes.append(
            f"{file}: the voltage is negative in {counted(below, 'row')}; a cell with "
            "a cathode has its poles exchanged or was not connected."
        )
    largest = np.max(np.abs(voltage))
    if 0 < largest < _LEAST_VOLTAGE:
        notes.append(
            f"{file}: the voltage is at most {1e3 * largest:.3g} mV; check its unit."
        )
    current = columns.get("current_ampere")
    if current is None:
        notes.append(f"{file} has no current; half cycles cannot be told.")
    elif np.any(current):
        sign = np.where(flows(time, current), current, 0)
        same = (np.sign(sign[1:]) == np.sign(sign[:-1])) & (sign[1:] != 0)
        if np.sum(np.sign(sign[1:])[same] * np.diff(voltage)[same]) < 0:
            notes.append(
                f"{file}: the voltage falls while the current is positive; if the "
                "file's positive current discharges, give discharge_positive."
            )
    if np.ptp(time) < 60.0:
        notes.append(f"{file} spans {np.ptp(time):.3g} s only; check its unit of time.")
    return notes


def describe(table: CyclerTable) -> list[str]:
    """What was found in a file, one line each, for people."""
    span = np.ptp(table.time) / _HOUR
    low, high = table.voltage.min(), table.voltage.max()
    lines = [
        f"{table.source}: {table.instrument}, {len(table.time)} rows, {span:.4g} h, "
        f"{low:.3g} to {high:.3g} V",
        *_half_cycle_lines(table),
    ]
    names = [n for n in table.columns if n not in _ALWAYS]
    if names:
        lines.append(f"  also {', '.join(names)}")
    return lines + [f"  note: {note}" for note in table.notes]


_ALWAYS = ("test_time_second", "voltage_volt", "current_ampere")


def _half_cycle_lines(table: CyclerTable) -> Sequence[str]:
    """Duration, charge and rate of each half cycle."""
    if table.current is None:
        return ["  no current: one half cycle"]
    try:
        recording = table.recording()
        count = len(recording.half_cycles())
    except ValueError as error:
        return [f"  cannot be fitted to: {error}"]
    lines = []
    for number in range(min(count, 10)):
        inside = recording.inside(number, number)
        current, time = recording.current[inside], recording.time[inside]
        passed = np.sum(0.5 * (current[1:] + current[:-1]) * np.diff(time)) / 3.6
        size = float(np.max(np.abs(current)))
        rate = abs(passed) / (1e3 * size)
        word = "charge" if passed > 0 else "discharge"
        lines.append(
            f"  half cycle {number + 1}: {word}, {time[0] / _HOUR:.4g} to "
            f"{time[-1] / _HOUR:.4g} h, {abs(passed):.4g} mAh at up to "
            f"{1e3 * size:.4g} mA (C/{rate:.3g})"
        )
    if count > 10:
        lines.append(f"  and {count - 10} more")
    return lines or ["  the cell rests throughout: no half cycle"]


def largest_charge(table: CyclerTable) -> float:
    """Charge [C] of the largest half cycle; NaN without a current."""
    if table.current is None:
        return float("nan")
    return cycler_current.largest_charge(table.time, table.current)
