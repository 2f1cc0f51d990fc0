"""Cyclers' files as they should not be: refused by name, or mended with a note."""

import sys

import pytest

from fitting.optical.cycler import read_cycler
from tests.helpers import data_file

from .bad_rows import (
    HOUR,
    TOP,
    dated,
    dates_and_time,
    maccor_rows,
    resets,
    rows,
    spring_dates,
    swapped,
    with_charge,
    with_line,
    written,
)

REFUSED = {
    # time
    "time goes back": (
        swapped([TOP, *rows()], 10, 14),
        {},
        "line 11, column time_s, .* goes from 120 back to 90 s .*repair_time",
    ),
    "time begins anew in steps": (
        resets(10),
        {},
        r"line 12, .* from 90 back to 0 s \(and 2 more rows do\)",
    ),
    "time is 3600 times too large": (
        [TOP, *rows(step=10 * HOUR)],
        {},
        "39 step.*of 10 h, 3600 times a usual 10 s.*repair_time divides by it",
    ),
    "time is 1000 times too large": (
        [TOP, *rows(step=6e4)],
        {},
        "of 16.7 h, 1000 times a usual 60 s",
    ),
    "time has steps of no unit": (
        [TOP, *rows(step=7e4)],
        {},
        "step.* of 19.4 h, and it spans 758.3 h; check its unit .give time_unit",
    ),
    "hours in a column of seconds": (
        [TOP, *rows(step=0.0001)],
        {},
        "rows are 0.0001 s apart; check its unit .are they hours",
    ),
    "hours beside dates": (
        dates_and_time(1 / HOUR),
        {},
        "must agree with the dates, but spans 0.65 s where they span 2340 s",
    ),
    "milliseconds beside dates": (
        dates_and_time(1000.0),
        {},
        "must agree with the dates, but spans 2.34e.06 s where",
    ),
    "minutes beside dates": (
        dates_and_time(1 / 60),
        {},
        "must agree with the dates, but spans 39 s where they span 2340 s",
    ),
    "a time without unit": (
        ["Time,voltage_V", "0,3", "1,3"],
        {},
        "column Time, must name its unit, one of s, min",
    ),
    "a unit of time that is none": (
        [TOP, *rows()],
        {"time_unit": "fortnight"},
        "unit of time must be one of s, min.* but is 'fortnight'",
    ),
    "a duration that is none": (
        ["Test Time,voltage_V", "0:00:00,3", "0:00:10,3", "later,3"],
        {},
        "line 4, column Test Time, must be a duration such as 12:34:56, .* 'later'",
    ),
    "a clock set back in autumn": (
        dated(spring_dates(4)),
        {},
        "line 14, column Date, .* goes back by 3000 s; as clocks do in autumn",
    ),
    "day and month in unknown order": (
        dated(["03/04/2025 23:00:00", "04/04/2025 01:00:00"]),
        {},
        "whether the day or the month comes first, but has '03/04/2025.*day_first",
    ),
    "day and month in two orders": (
        dated(["13/04/2025 23:00:00", "04/14/2025 01:00:00"]),
        {},
        "dates of one order, but has 13 as its first and 14 as its second",
    ),
    "a date that is none": (
        dated(["2025-03-14 10:00:00", "2025-03-14 10:01:00", "soon"]),
        {},
        "line 4, column Date, must be a date such as .* but is 'soon'",
    ),
    "the 31st of April": (
        dated(["2025-04-30 23:00:00", "2025-04-31 00:00:00"]),
        {},
        "line 3, column Date, must be a date .* but is '2025-04-31 00:00:00'",
    ),
    "a time zone that is none": (
        dated(["2025-04-30 23:00:00", "2025-04-30 23:10:00"]),
        {"zone": "Middle/Earth"},
        "time zone must be one such as Europe/Paris, but is 'Middle/Earth'",
    ),
    # table
    "an empty file": ([""], {}, "must have a header line, but is empty"),
    "a header alone": ([TOP], {}, "one row or more below its header, but has none"),
    "no column of voltage": (
        ["time_s,current_A", "0,1"],
        {},
        "a column of voltage such as voltage_V, but has time_s, current_A",
    ),
    "two columns of time": (
        ["time_s,time_h,voltage_V", "0,0,3"],
        {},
        "one column of time, but has time_s and time_h; remove all but one",
    ),
    "a header cut off": (
        ["EC-Lab ASCII FILE", "Nb header lines : 60", "", "time/s\tEwe/V"],
        {},
        "must have 60 header lines, as its line 2 says, but has 5 lines; .*cut off",
    ),
    "an empty cell": (with_line(5, "25,,0.1"), {}, "line 5, column voltage_V.* is ''"),
    "NaN": (with_line(5, "25,NaN,0.1"), {}, "line 5, column voltage_V.* is 'NaN'"),
    "Inf": (with_line(5, "25,3.5,inf"), {}, "line 5, column current_A.* is 'inf'"),
    "an error of Excel": (
        with_line(5, "25,#DIV/0!,0.1"),
        {},
        "line 5, column voltage_V.* is '#DIV/0!'",
    ),
    "text in the middle": (
        with_line(5, "paused by operator"),
        {},
        "line 5, must have 3 cells, but has 1",
    ),
    "a last line cut off": (
        [TOP, *rows(), "400,3.9"],
        {},
        "line 42, must have 3 cells",
    ),
    "decimal commas between commas": (
        [TOP, "0,0,3,5,0,1", "1,0,3,6,0,1"],
        {},
        "line 2, must have 3 cells, but has 6; where commas are decimal, export",
    ),
    "two decimal signs": (
        ["time_s;voltage_V", "0;3,5", "60;3.6"],
        {},
        "numbers in one way, but has '3,5' beside decimal points",
    ),
    "an open quotation mark": (
        [TOP, '0,"3.5,0.1', "10,3.5,0.1"],
        {},
        "line 2, must be a row of cells.* quotation mark that is not closed",
    ),
    "a pointer of a large file": (
        ["version https://git-lfs.github.com/spec/v1", "oid sha256:1", "size 9"],
        {},
        "is the pointer of a file in large-file storage; fetch the file",
    ),
    # electrochemistry
    "millivolts as volts": (
        ["time_s,voltage_V", "0,3500", "60,3600"],
        {},
        "line 3, column voltage_V, must lie between 0 and 6 V, but is 3600 V",
    ),
    "a voltage without unit": (
        ["time_s,Voltage", "0,3.5", "60,3.6"],
        {},
        "column Voltage, must name its unit, one of v",
    ),
    "a current without unit": (
        ["time_s,voltage_V,Current", "0,3.5,1", "60,3.6,1"],
        {},
        "column Current, must name its unit, one of a",
    ),
    "Maccor's current without unit": (
        maccor_rows(),
        {},
        "column Current, .*A or mA as it was set up; give current_unit as 'A' or 'mA'",
    ),
    "a current in kiloamperes": (
        [TOP.replace("current_A", "current_kA"), *rows()],
        {},
        "column current_kA, must be a current in A, mA, uA, nA or pA, or per gram",
    ),
    "a current in an unknown unit per area": (
        [TOP.replace("current_A", "I/mA/cm2"), *rows()],
        {},
        "column I/mA/cm2, must be a current in .* what is per area by the area",
    ),
    "a current in A/m² by its density": (
        [TOP.replace("current_A", "Current density (A/m²)"), *rows()],
        {},
        r"column Current density \(A/m²\), must be a current in .* by the area",
    ),
    "a unit of current that is none": (
        maccor_rows(),
        {"current_unit": "amp"},
        "must be one of A, mA, uA, nA, pA, but is 'amp'",
    ),
    "a current without sign or direction": (
        maccor_rows(voltage=lambda k: 4.2),
        {"current_unit": "mA"},
        "lines 2 to 41, must show whether its current charges, .* no sign, no state",
    ),
    "mA for A beside a capacity": (
        with_charge(100.0),
        {},
        "pass the charge that its column Capacity.Ah. counts, .*1e.03 times as much",
    ),
    "A for mA beside a capacity": (
        with_charge(0.1, "time_s,voltage_V,current_mA,Capacity(Ah)"),
        {},
        "make 0.001 times as much; check the units .mA and A",
    ),
    "mAh for Ah": (
        with_charge(0.1, "time_s,voltage_V,current_A,Capacity(mAh)"),
        {},
        "make 1e.03 times as much; check the units",
    ),
    "thousands of amperes": (
        [TOP, *rows(current=2500.0)],
        {},
        "line 2, column current_A, must be at most 2000 A, but is 2500 A",
    ),
    "a current that its mass cannot take": (
        [TOP, *rows(count=400)],
        {"mass": 1e-6},
        "at most 6000 mAh per g in a half cycle, but passes 1.11e.05 for 1 mg",
    ),
    "a current per gram without mass": (
        ["time_s,voltage_V,current_mA/g", "0,3,1", "60,4,1"],
        {},
        "column current_mA/g, is a current per mass; give the mass",
    ),
    "a mass that is none": (
        ["time_s,voltage_V,current_mA/g", "0,3,1", "60,4,1"],
        {"mass": -1.0},
        "mass must be positive, but is -1 kg",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_right_is_refused_in_one_sentence(name, tmp_path):
    lines, options, words = REFUSED[name]
    path = written(tmp_path / "cell.csv", lines)
    with pytest.raises(ValueError, match=words) as caught:
        read_cycler(path, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert options or str(caught.value).startswith("cell.csv")


FILES = {
    "cell.mpr": (
        b"BIO-LOGIC MODULAR",
        "must be a file of BioLogic, but cannot be read",
    ),
    "cell.mps": (b"EC-LAB SETTING", "is BioLogic's settings; export the .mpr as text"),
    "cell.res": (b"\x00\x01\x00\x00Standard Jet DB", "is Arbin's database; export it"),
    "cell.res.gz": (b"\x1f\x8b", "is Arbin's database; export it as CSV"),
    "cell.csv.gz": (b"\x1f\x8b", "is compressed; unpack it"),
    "cell.xls": (b"\xd0\xcf\x11\xe0", "old Excel book; save it as .xlsx or CSV"),
    "cell.xlsx": (b"PK\x03\x04 no", "must be an Excel book, but cannot be read"),
    "cell.nda": (b"NEWAREX", "must be a file of Neware, but cannot be read"),
    "cell.ndax": (b"PK", "must be a file of Neware, but cannot be read"),
    "cell.dat": (b"time\x00\x01\x02\x03", "must be a table of text, but is binary"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_binary_that_cannot_be_read_is_refused_with_its_remedy(name, tmp_path):
    data, words = FILES[name]
    if name.endswith(("nda", "ndax")):
        pytest.importorskip("NewareNDA")
    if name.endswith("mpr"):
        pytest.importorskip("galvani", reason="the extra `biologic` is not installed")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=words) as caught:
        read_cycler(tmp_path / name)
    assert str(caught.value).startswith(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mits7-0.res.gz", "is Arbin's database"),
        ("Experiment_Record.xlsx", "a sheet with columns of time and voltage, but has"),
    ],
)
def test_a_real_file_without_reader_or_records_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        read_cycler(data_file(name))


@pytest.mark.parametrize(
    ("suffix", "module", "extra"),
    [
        (".xlsx", "openpyxl", "excel"),
        (".ndax", "NewareNDA", "neware"),
        (".mpr", "galvani", "biologic"),
    ],
)
def test_a_reader_that_is_not_installed_is_named(
    suffix, module, extra, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    path = tmp_path / f"cell{suffix}"
    path.write_bytes(b"PK")
    words = rf"reader {module}.*, which is not installed; "
    words += rf'run pip install "diffelec\[{extra}'
    with pytest.raises(ValueError, match=words):
        read_cycler(path)
