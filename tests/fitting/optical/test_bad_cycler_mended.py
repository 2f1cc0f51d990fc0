"""Cyclers' files that can be mended, or read with a doubt: each leaves one note."""

import re

import numpy as np
import pytest

from fitting.optical.cycler import read_cycler

from . import vendor_files as vendor
from .bad_rows import (
    HOUR,
    TOP,
    dated,
    dates_and_time,
    resets,
    rows,
    spring_dates,
    swapped,
    with_line,
    written,
)

CHARGE = 0.01 * np.arange(40) + 3.5
SECONDS = 10.0 * np.arange(40)
MENDED = {
    # time, on request
    "one row that falls to zero": (
        [TOP, *rows()[:10], "0.0,3.6000,0.1", *rows()[10:]],
        {"repair_time": True},
        "line 12 whose time fell back or jumped ahead took the time of the row before",
        np.insert(SECONDS, 10, 90.0),
    ),
    "one row that jumps ahead": (
        [TOP, *rows()[:10], "9999,3.6000,0.1", *rows()[10:]],
        {"repair_time": True},
        "line 12 whose time fell back or jumped ahead",
        np.insert(SECONDS, 10, 90.0),
    ),
    "time that begins anew": (
        resets(10),
        {"repair_time": True},
        "line 12 and 2 more started time anew; it was made to go on",
        np.concatenate([90.0 * k + 10.0 * np.arange(10) for k in range(4)]),
    ),
    "time 3600 times too large": (
        [TOP, *rows(step=10 * HOUR)],
        {"repair_time": True},
        "was 3600 times too large and was divided by it .regular steps 10 s",
        SECONDS,
    ),
    "hours beside dates, repaired": (
        dates_and_time(1 / HOUR),
        {"repair_time": True},
        "was 0.000278 times the dates' span; it was divided by that",
        6 * SECONDS,
    ),
    "a clock set back, repaired": (
        dated(spring_dates(4)),
        {"repair_time": True},
        "line 14 set the clock back by one hour; it was added again",
        60 * SECONDS[:24],
    ),
    # time, always
    "the newest row first": (
        [TOP, *rows()[::-1]],
        {},
        "its rows were in reverse; turned round",
        SECONDS,
    ),
    "rows out of the order of their numbers": (
        swapped(
            ["Data Point,Test Time (s),Voltage (V)"]
            + [f"{k + 1},{10 * k},{3.5 + 0.01 * k:.4f}" for k in range(40)],
            *(5, 9),
        ),
        {},
        r"not in the order of Data Point \(first line 6\); sorted by it",
        SECONDS,
    ),
    "rows that are repeated": (
        with_line(8, rows()[5]),
        {},
        "1 row repeats the row before .first line 8.; left aside",
        SECONDS,
    ),
    "a gap in the record": (
        [TOP, *rows()[:20], *(f"{4000 + 10 * k},3.8,0.1" for k in range(20))],
        {},
        "no row was recorded for 1.06 h before line 22",
        np.concatenate([SECONDS[:20], 4000 + SECONDS[:20]]),
    ),
    "durations as on a clock": (
        ["Time(h:min:s.ms),Voltage(V)"]
        + [f"{vendor.clock_reading(9e4 + 10 * k)},{v}" for k, v in enumerate(CHARGE)],
        {},
        "has no current",
        9e4 + SECONDS,
    ),
    "durations with days": (
        ["Test Time,Voltage(V)"]
        + [f"1d 00:{k // 6:02d}:{k % 6 * 10:02d},{v}" for k, v in enumerate(CHARGE)],
        {},
        "has no current",
        86400 + SECONDS,
    ),
    "serial dates of Excel": (
        dated([f"{45730.5 + k / 8640:.9f}" for k in range(40)]),
        {},
        "column Date, holds dates as numbers of Excel",
        SECONDS,
    ),
    "dates of one day in unknown order": (
        dated([f"03/04/2025 10:{k:02d}:00" for k in range(40)]),
        {},
        "the month was taken to come first in '03/04/2025'; if it does not, give day_f",
        6 * SECONDS,
    ),
    "dates without time zone": (
        dated([f"2025-03-14 10:{k:02d}:00" for k in range(40)]),
        {},
        "names no time zone; its dates were taken as UTC",
        6 * SECONDS,
    ),
    "dates set forward beside a time": (
        ["time_s,Date,voltage_V"]
        + [
            f"{600 * k},2025-03-30 {k // 6 + (k >= 12):02d}:{k % 6}0:00,{v}"
            for k, v in enumerate(CHARGE)
        ],
        {},
        "the clock of the dates was set by an hour at line 14; dates go on",
        60 * SECONDS,
    ),
    "dates set forward": (
        dated(
            [f"2025-03-30 {k // 6 + (k >= 12):02d}:{k % 6}0:00" for k in range(40)],
        ),
        {},
        "dates leave out an hour before line 14, .* a column of the time of the test",
        60 * SECONDS + 3600.0 * (np.arange(40) >= 12),
    ),
    # table
    "a header that is repeated": (
        with_line(20, TOP),
        {},
        "the header is repeated 1 time; left aside",
        SECONDS,
    ),
    "text below the table": (
        [TOP, *rows(), "", "End of file"],
        {},
        "text below the table, line 43, was left aside",
        SECONDS,
    ),
    "two columns of voltage": (
        ["time/s,Ecell/V,Ewe/V"] + [f"{10 * k},{v},{v}" for k, v in enumerate(CHARGE)],
        {},
        "of its columns of voltage, Ecell/V was read, Ewe/V not",
        SECONDS,
    ),
    "thousands separators": (
        ["time_s\tvoltage_V"]
        + [f"{1000 + 10 * k:,}\t{v:.3f}" for k, v in enumerate(CHARGE)],
        {},
        "has no current",
        1000 + SECONDS,
    ),
    # electrochemistry
    "no current": (
        ["time_s,voltage_V"] + [f"{10 * k},{v}" for k, v in enumerate(CHARGE)],
        {},
        "has no current; half cycles cannot be told",
        SECONDS,
    ),
    "two currents at once, as of limits": (
        ["time_s,voltage_V,Charge Current(A),Discharge Current(A)"]
        + [f"{10 * k},{v},0.1,0.1" for k, v in enumerate(CHARGE)],
        {},
        r"Charge Current\(A\), Discharge Current\(A\) were not read as currents",
        SECONDS,
    ),
    "a current's range and no current": (
        ["time_s,voltage_V,I Range"]
        + [f"{10 * k},{v},1 mA" for k, v in enumerate(CHARGE)],
        {},
        "I Range was not read as a current",
        SECONDS,
    ),
    "volts in a column of millivolts": (
        ["time_s,voltage_mV"] + [f"{10 * k},{v}" for k, v in enumerate(CHARGE)],
        {},
        "the voltage is at most 3.89 mV; check its unit",
        SECONDS,
    ),
    "a current of the opposite sign": (
        [TOP, *rows(current=-0.1)],
        {},
        "the voltage falls while the current is positive; .*give discharge_positive",
        SECONDS,
    ),
    "poles exchanged": (
        ["time_s,voltage_V"] + [f"{10 * k},{-v}" for k, v in enumerate(CHARGE)],
        {},
        "the voltage is negative in 40 rows; .* poles exchanged",
        SECONDS,
    ),
    "a sign that contradicts the states": (
        ["time_s,voltage_V,current_A,State"]
        + [f"{10 * k},{v},-0.1,CC Chg" for k, v in enumerate(CHARGE)],
        {},
        "positive where the states say discharge; its sign was changed",
        SECONDS,
    ),
    "a current without sign beside states": (
        ["time_s,voltage_V,current_A,State"]
        + [f"{10 * k},{7.4 - v:.3f},0.1,D" for k, v in enumerate(CHARGE)],
        {},
        "the current has no sign; that of the states was given it",
        SECONDS,
    ),
    "a test of some seconds": (
        [TOP, *rows(count=5)],
        {},
        "spans 40 s only; check its unit of time",
        SECONDS[:5],
    ),
}


@pytest.mark.parametrize("name", MENDED)
def test_what_is_mended_or_doubtful_leaves_a_note(name, tmp_path):
    lines, options, words, time = MENDED[name]
    table = read_cycler(written(tmp_path / "cell.csv", lines), **options)
    np.testing.assert_allclose(table.time, time, atol=1e-2)
    notes = [note for note in table.notes if re.search(words, note)]
    assert len(notes) == 1, table.notes
    assert notes[0].startswith("cell.csv")
    assert notes[0].endswith(".")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_of_unicode_are_told_by_themselves(encoding, tmp_path):
    path = written(
        tmp_path / "cell.csv",
        [TOP + ",Temp °C", *(f"{r},25" for r in rows())],
        encoding,
    )
    table = read_cycler(path)
    np.testing.assert_allclose(table.voltage, CHARGE)
    assert not table.notes


def test_latin_1_is_read_with_a_note(tmp_path):
    path = written(tmp_path / "cell.csv", [TOP, *rows(), "# 25 °C"], "latin-1")
    assert "not in UTF-8 and was read as Latin-1" in read_cycler(path).notes[0]


def test_day_first_settles_the_order_of_a_date(tmp_path):
    path = written(
        tmp_path / "cell.csv", dated(["03/04/2025 23:00:00", "04/04/2025 01:00:00"])
    )
    day, month = (read_cycler(path, day_first=first) for first in (True, False))
    assert day.time[-1] == 2 * HOUR
    assert month.time[-1] == pytest.approx(31 * 24 * HOUR - 22 * HOUR)
    assert day.start - month.start == 30 * 24 * HOUR


def test_a_unit_that_is_given_stands_in_place_of_the_named_one(tmp_path):
    path = written(tmp_path / "cell.csv", [TOP, *rows(step=10 / HOUR)])
    np.testing.assert_allclose(read_cycler(path, time_unit="h").time, SECONDS)
