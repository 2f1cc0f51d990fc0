"""What cells of cyclers' files mean: durations, clocks, states, charges, commas."""

import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from fitting.optical.cells import separators_of
from fitting.optical.cycler import read_cycler
from fitting.optical.cycler_current import state_signs
from fitting.optical.trace_tables import read_traces

MINUTE, HOUR = 60.0, 3600.0


def rises_and_falls(k, count=60):
    """A voltage [V] that rises in the first half of the rows and falls in the rest."""
    return 3.5 + 0.6 * min(k, count - k) / (count / 2)


def written(path, header, rows):
    path.write_text("\n".join([header, *rows]))
    return path


@pytest.mark.parametrize("form", ["hh:mm:ss", "[h]:mm:ss", "d hh:mm:ss"])
def test_durations_of_a_day_and_more_in_books_are_as_written(form, tmp_path):
    book = pytest.importorskip("openpyxl").Workbook()
    sheet, hours = book.active, 2.4 * np.arange(34)
    sheet.append(["Total Time", "Voltage(V)", "Current(A)"])
    for k, duration in enumerate(hours):
        sheet.append([duration / 24, 3.6 + 0.001 * k, 0.001])
        sheet.cell(k + 2, 1).number_format = form
    book.save(tmp_path / "cell.xlsx")
    table = read_cycler(tmp_path / "cell.xlsx")
    np.testing.assert_allclose(table.time, HOUR * hours, atol=1.0)


@pytest.mark.parametrize(
    ("sign", "states"),
    [
        (1, ("C", "CC Chg", "Hold Charge", "End Charge", "Second charge", "HoldChg")),
        (-1, ("D", "DChg", "CC_DChg", "CCDChg", "CCCV_DChg", "Dis-charge", "HoldDChg")),
        (0, ("Rest", "Charge/Discharge")),
    ],
)
def test_states_tell_charge_from_discharge(sign, states):
    assert dict(zip(states, state_signs(states), strict=True)) == dict.fromkeys(
        states, sign
    )


def test_a_counter_of_charge_that_starts_anew_is_no_current(tmp_path):
    rows = [f"{60 * k},{3.5 + 0.001 * k},{0.1 * (k % 100) / 60}" for k in range(300)]
    path = written(tmp_path / "cell.csv", "time_s,voltage_V,Net capacity(mAh)", rows)
    table = read_cycler(path)
    np.testing.assert_allclose(table.current, 1e-4, rtol=1e-6)
    assert table.notes[-1].endswith("which starts anew at line 102 and 1 more.")


def autumn(path):
    """Six hours of a clock in Paris that is set back by one, 4 min a row."""
    first, zone = (
        datetime(2024, 10, 26, 23, tzinfo=UTC),
        zoneinfo.ZoneInfo("Europe/Paris"),
    )
    times = [(first + timedelta(minutes=4 * k)).astimezone(zone) for k in range(90)]
    rows = [
        f"{at:%Y-%m-%d %H:%M:%S},{3.5 + 0.001 * k},0.001" for k, at in enumerate(times)
    ]
    return written(path, "Date,Voltage(V),Current(A)", rows), first.timestamp()


@pytest.mark.parametrize("repair", [False, True])
def test_a_zone_tells_the_hour_that_its_clocks_show_twice(repair, tmp_path):
    path, start = autumn(tmp_path / "cell.csv")
    table = read_cycler(path, zone="Europe/Paris", repair_time=repair)
    np.testing.assert_allclose(table.time, 4 * MINUTE * np.arange(90))
    assert table.start == start


def test_a_clock_set_back_without_a_zone_is_mended_on_request(tmp_path):
    path, _ = autumn(tmp_path / "cell.csv")
    with pytest.raises(ValueError, match="in autumn; give its zone, or repair_time"):
        read_cycler(path)
    table = read_cycler(path, repair_time=True)
    np.testing.assert_allclose(table.time, 4 * MINUTE * np.arange(90))


def test_a_clock_of_the_day_passes_midnight_on_request(tmp_path):
    clock = [(22 * 60 + 4 * k) % (24 * 60) for k in range(800)]
    rows = [
        f"{at // 60:02d}:{at % 60:02d}:00,{3.5 + 0.001 * k},0.001"
        for k, at in enumerate(clock)
    ]
    path = written(tmp_path / "cell.csv", "time,voltage_V,current_A", rows)
    table = read_cycler(path, repair_time=True)
    np.testing.assert_allclose(np.diff(table.time), 4 * MINUTE)
    assert "line 32 and 2 more began a new day" in table.notes[-1]


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_names_of_columns_may_hold_commas(delimiter, tmp_path):
    rows = [
        delimiter.join((f"{60 * k}", f"{3.5 + 0.01 * k}", "1.0")) for k in range(30)
    ]
    header = delimiter.join(("Time, s", "Voltage, V", "Current, mA"))
    table = read_cycler(written(tmp_path / "cell.txt", header, rows))
    np.testing.assert_allclose(table.time, 60.0 * np.arange(30))
    np.testing.assert_allclose(table.current, 1e-3)


def test_a_current_of_one_sign_under_a_voltage_that_turns_leaves_a_note(tmp_path):
    header = "time_s,voltage_V,current_A"
    rows = [f"{60 * k},{rises_and_falls(k)},0.001" for k in range(60)]
    doubtful = read_cycler(written(tmp_path / "a.csv", header, rows))
    assert "never negative" in doubtful.notes[-1]
    assert "rises by 0.6 V and falls by 0.58 V" in doubtful.notes[-1]
    rows = [f"{60 * k},{rises_and_falls(k, 200)},0.001" for k in range(60)]
    assert not read_cycler(written(tmp_path / "b.csv", header, rows)).notes


def written_dates(path, form, first, days=(0, 1), time=False):
    """Two rows, at 18 and at 22 o'clock, on each of some days; `time` beside."""
    at = [first + timedelta(days=d, hours=h) for d in days for h in (18, 22)]
    rows = [f"{t:{form}} {t:%H:%M:%S},{3.5 + 0.001 * k}" for k, t in enumerate(at)]
    if time:
        rows = [
            f"{row},{(t - at[0]).total_seconds()}"
            for row, t in zip(rows, at, strict=True)
        ]
    header = "Date,voltage_V,time_s" if time else "Date,voltage_V"
    return written(path, header, rows), at


JANUARY, CROSSING = datetime(2024, 1, 5, tzinfo=UTC), datetime(2023, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("mark", ["/", "-", "."])
@pytest.mark.parametrize(
    ("parts", "first", "days"),
    [
        ("%y %m %d", JANUARY, (0, 1)),
        ("%y %m %d", datetime(2011, 3, 5, tzinfo=UTC), (0, 1)),
        ("%y %m %d", datetime(2024, 1, 31, tzinfo=UTC), (0, 1, 2)),
        ("%y %m %d", CROSSING, (0, 1, 2, 3)),
        ("%y %b %d", CROSSING, (0, 1, 2, 3)),
        ("%d %b %y", JANUARY, (0, 1)),
        ("%d %m %y", datetime(2026, 1, 24, tzinfo=UTC), (0, 1)),
        ("%d %m %y", datetime(2025, 1, 31, tzinfo=UTC), (0, 1)),
        ("%d %m %y", CROSSING, (0, 1, 2, 3)),
        ("%m %d %y", datetime(2024, 1, 12, tzinfo=UTC), (0, 1)),
        ("%m %d %y", CROSSING, (0, 1, 2, 3)),
        ("%d %m %y", datetime(2024, 1, 13, tzinfo=UTC), (0, 40, 80)),
    ],
)
def test_a_year_of_two_digits_stands_where_days_follow(
    parts, first, days, mark, tmp_path
):
    form = parts.replace(" ", mark)
    path, at = written_dates(tmp_path / "cell.csv", form, first, days)
    table = read_cycler(path)
    expected = [(t - at[0]).total_seconds() for t in at]
    np.testing.assert_allclose(table.time, expected)
    assert table.start == at[0].timestamp()
    assert len(table.notes) == 2  # no time zone, no current


def test_a_date_that_is_none_does_not_move_the_year(tmp_path):
    rows = [f"{d}/01/24 18:00:00,3.5" for d in (24, 45, 25)]
    path = written(tmp_path / "cell.csv", "Date,voltage_V", rows)
    with pytest.raises(ValueError, match=r"line 3, column Date, .* is '45/01/24 18"):
        read_cycler(path)


def test_dates_that_begin_with_the_year_are_right_beside_a_time(tmp_path):
    path, at = written_dates(tmp_path / "a.csv", "%y/%m/%d", JANUARY, time=True)
    assert read_cycler(path).start == at[0].timestamp()


def test_a_day_that_may_begin_with_its_year_leaves_a_note(tmp_path):
    path, at = written_dates(
        tmp_path / "a.csv", "%d/%m/%y", JANUARY.replace(day=24), (0,)
    )
    assert read_cycler(path).start == at[0].timestamp()
    words = "the year was taken to come last in '24/01/24'"
    assert not any(words in note for note in read_cycler(path).notes)
    path, at = written_dates(
        tmp_path / "b.csv", "%d/%m/%y", datetime(2026, 1, 24, tzinfo=UTC), (0,)
    )
    table = read_cycler(path)
    assert table.start == at[0].timestamp()
    words = (
        "the year was taken to come last in '24/01/26'; if it comes first, write 2024"
    )
    assert words in table.notes[0]


def test_a_year_that_may_come_first_or_last_is_refused(tmp_path):
    path, _ = written_dates(
        tmp_path / "a.csv", "%y/%m/%d", JANUARY.replace(day=15), (0, 31)
    )
    words = "the year comes first or last, but has '24/01/15.*as 2025-04-03"
    with pytest.raises(ValueError, match=words):
        read_cycler(path)
    last = read_cycler(path, day_first=True)
    assert last.start == datetime(2015, 1, 24, 18, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("swap", [False, True], ids=["points", "commas"])
def test_a_decimal_sign_may_stand_beside_groups_of_thousands(swap, tmp_path):
    swapped = str.maketrans(",.", ".,") if swap else {}
    rows = [f"{k * 100:,.1f}\t3.{k % 10}\t0.001".translate(swapped) for k in range(30)]
    table = read_cycler(
        written(tmp_path / "cell.txt", "time_s\tvoltage_V\tcurrent_A", rows)
    )
    np.testing.assert_allclose(table.time, 100.0 * np.arange(30))
    np.testing.assert_allclose(table.voltage, 3 + 0.1 * (np.arange(30) % 10))


def test_a_column_of_thousands_alone_is_parted_as_the_others_are(tmp_path):
    swapped = str.maketrans(",.", ".,")
    rows = [f"{k * 100:,.1f}\t{3500 + k:,d}\t0.5".translate(swapped) for k in range(30)]
    table = read_cycler(
        written(tmp_path / "cell.txt", "time_s\tvoltage_mV\tcurrent_mA", rows)
    )
    np.testing.assert_allclose(table.voltage, 3.5 + 1e-3 * np.arange(30))


def test_points_that_part_both_decimals_and_thousands_are_refused():
    with pytest.raises(ValueError, match=r"one way, but has '1.200,5' and '0.5'"):
        separators_of("cell.csv", [["1.200,5", "0.5"]])


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M:%S", "%H:%M:%S.000"])
def test_points_of_dates_and_clocks_are_no_decimal_points(form, tmp_path):
    first = datetime(2025, 4, 13, tzinfo=UTC)
    times = [f"{first + timedelta(minutes=k):{form}}" for k in range(30)]
    rows = [f"{at};{3500 + k},{k:02d};0,5" for k, at in enumerate(times)]
    path = written(tmp_path / "cell.csv", "Time;Voltage(mV);Current(mA)", rows)
    table = read_cycler(path)
    np.testing.assert_allclose(table.time, MINUTE * np.arange(30))
    np.testing.assert_allclose(table.voltage, 3.5 + 1.01e-3 * np.arange(30))
    np.testing.assert_allclose(table.current, 5e-4)


@pytest.mark.parametrize(
    "header",
    [
        "SysTime,Voltage/V,Amp(mA)",
        "DPt-Time,Working Electrode (V),Current (mA)",
        "Date,WE(1).Potential (V),WE(1).Current (mA)",
    ],
)
def test_columns_of_landt_autolab_and_maccor_are_known(header, tmp_path):
    first = datetime(2025, 4, 13, tzinfo=UTC)
    rows = [
        f"{first + timedelta(minutes=k):%Y-%m-%d %H:%M:%S},{3.5 + k / 100:.2f},2.0"
        for k in range(30)
    ]
    table = read_cycler(written(tmp_path / "cell.csv", header, rows))
    assert table.start == first.timestamp()
    np.testing.assert_allclose(table.time, MINUTE * np.arange(30))
    np.testing.assert_allclose(table.voltage, 3.5 + np.arange(30) / 100)
    np.testing.assert_allclose(table.current, 2e-3)


_GAMRY = "\tPt\tT\tVf\tIm\tVu\tOver\n\t#\ts\tV vs. Ref.\tA\tV\tbits"


@pytest.mark.parametrize("indent", ["\t", "    "])
def test_a_file_of_gamry_is_read_with_its_units(indent, tmp_path):
    header = "EXPLAIN\nTAG\tPWR800\nCURVE\tTABLE\t30\n" + _GAMRY
    rows = [f"\t{k}\t{60 * k}\t{3.5 + k / 100}\t5.0E-004\t0\t...." for k in range(30)]
    rows.append("EXPERIMENTABORTED\tTOGGLE\tF\tExperiment Aborted")
    lines = [line.replace("\t", indent, line[0] == "\t") for line in rows]
    header = header.replace("\n\t", f"\n{indent}")
    table = read_cycler(written(tmp_path / "cell.DTA", header, lines))
    np.testing.assert_allclose(table.time, MINUTE * np.arange(30))
    np.testing.assert_allclose(table.voltage, 3.5 + np.arange(30) / 100)
    np.testing.assert_allclose(table.current, 5e-4)


def test_of_the_tables_of_gamry_the_curves_are_read_as_one(tmp_path):
    names = ["EXPLAIN", "TAG\tPWR800", "OCVCURVE\tTABLE\t3"]
    rest = ["\tPt\tT\tVf\tVm", "\t#\ts\tV vs. Ref.\tV"]
    rest += [f"\t{k}\t{k}\t3.4\t0" for k in range(3)]
    lines = ["EOC\tQUANT\t3.4\tOpen Circuit (V)"]
    for part, sign in enumerate([1, -1]):
        lines += [f"CURVE{part + 1}\tTABLE\t15", _GAMRY]
        for k in range(15 * part, 15 * part + 15):
            lines.append(f"\t{k}\t{60 * k}\t{3.5 + k / 100}\t{5e-4 * sign}\t0\t....")
    table = read_cycler(written(tmp_path / "a.DTA", "\n".join(names + rest), lines))
    np.testing.assert_allclose(table.time, MINUTE * np.arange(30))
    np.testing.assert_allclose(table.voltage, 3.5 + np.arange(30) / 100)
    np.testing.assert_allclose(table.current, np.repeat([5e-4, -5e-4], 15))
    assert any("OCVCURVE, line 3, was left aside" in note for note in table.notes)


@pytest.mark.parametrize("header", ["time /s,E /V,I /mA", "Elapsed Time(s),E(V),I(mA)"])
def test_a_potential_named_e_is_the_voltage(header, tmp_path):
    rows = [f"{60 * k},{3.5 + k / 100},0.5" for k in range(30)]
    table = read_cycler(written(tmp_path / "cell.csv", header, rows))
    np.testing.assert_allclose(table.voltage, 3.5 + np.arange(30) / 100)
    np.testing.assert_allclose(table.current, 5e-4)


@pytest.mark.parametrize("padded", [False, True])
def test_records_indented_below_cycles_and_steps_are_read(padded, tmp_path):
    records = "Record ID,Time(h:min:s.ms),Voltage(V),Current(mA),DCIR(O)"
    lines = [",Step ID,Step Name,,,,DCIR(O)", f",,{records}"]
    for cycle, first in enumerate([3.5, 3.6], 1):
        lines += [f"{cycle},,,,,,"]
        for step, (name, sign) in enumerate([("CC Chg", 1), ("CC DChg", -1)], 1):
            lines += [f",{step},{name},,,,0.01"]
            for k in range(61):
                clock = f"{k // 60}:{k % 60:02d}:00.000"
                volts = first + sign * k / 1000
                lines += [f",,{k + 1},{clock},{volts:.4f},{0.5 * sign},"]
    if not padded:
        lines = [line.rstrip(",") for line in lines]
    path = tmp_path / "cell.csv"
    path.write_text("Cycle ID,,,,,,\n" + "\n".join(lines) + "\n")
    table = read_cycler(path)
    whole = np.concatenate([3600 * n + MINUTE * np.arange(61) for n in range(4)])
    np.testing.assert_allclose(table.time, whole)
    np.testing.assert_allclose(table.current, np.repeat([5e-4, -5e-4] * 2, 61))
    np.testing.assert_array_equal(table.columns["cycle_count"], np.repeat([1, 2], 122))
    np.testing.assert_array_equal(table.lines[[0, 61]], [6, 68])


def test_records_that_are_counted_anew_in_every_step_sort_no_rows(tmp_path):
    header = "Step Index,Record ID,Time(h:min:s.ms),Voltage(V),Current(mA)"
    rows = [
        f"{step},{k + 1},{k // 60}:{k % 60:02d}:00.000,{3.5 + k / 1000:.4f},{current}"
        for step, current in [(1, 0.5), (2, 0.2), (3, 0.1)]
        for k in range(61)
    ]
    table = read_cycler(written(tmp_path / "cell.csv", header, rows))
    np.testing.assert_allclose(table.current, np.repeat([5e-4, 2e-4, 1e-4], 61))
    assert table.time[-1] == 3 * 3600


@pytest.mark.parametrize("label", ["time", "time_h"])
@pytest.mark.parametrize("read", [read_cycler, read_traces])
def test_a_clock_without_seconds_is_refused_with_what_to_write(read, label, tmp_path):
    values = "voltage_V" if read is read_cycler else "p1"
    rows = [f"00:{k:02d},3.5" for k in range(30)]
    path = written(tmp_path / "cell.csv", f"{label},{values}", rows)
    with pytest.raises(ValueError, match="'00:00'; write 00:00:00 for hours and min"):
        read(path)
    rows = [f"00:{k:02d}:00,{3.5 + k / 100}" for k in range(30)]
    time = read(written(path, f"{label},{values}", rows)).time
    np.testing.assert_allclose(time, MINUTE * np.arange(30))
