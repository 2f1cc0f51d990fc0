import math

import numpy as np
import pytest

from fitting.readers import read_events, read_recording
from fitting.recording import Recording

HOUR = 3600.0
EVENTS = "particle,event,time_h,sd_h,after_h,before_h,radius_um,change"


@pytest.fixture
def written(tmp_path):
    """Writes lines to a file and gives its path."""

    def write(*lines, name="table.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def charge(hours=14.0):
    return Recording(HOUR * np.linspace(2.0, 2.0 + hours, 8), np.linspace(3.2, 4.5, 8))


@pytest.mark.parametrize(
    ("header", "row", "time", "current"),
    [
        ("time_h,voltage_V,current_A", "2,3.5,0.1", 7200.0, 0.1),
        ("time_s,voltage_mV,current_mA", "7200,3500,100", 7200.0, 0.1),
        ("Test Time / s,Voltage / V,Current / A", "7200,3.5,0.1", 7200.0, 0.1),
        ("test_time_second,voltage_volt,current_ampere", "7200,3.5,.1", 7200.0, 0.1),
        ("time/s;Ewe/V;I/mA;(Q-Qo)/mA.h", "7200;3.5;100;x", 7200.0, 0.1),
        ("Test_Time(s),Voltage(V),Current(A)", "7200,3.5,0.1", 7200.0, 0.1),
        ("Time[min]\tU[V]\tI[A]", "120\t3.5\t0.1", 7200.0, 0.1),
        ("time_h,voltage_V,current_mA_per_g", "2,3.5,50", 7200.0, 0.1),
        ("cycle,time_h,voltage_V,step_time_s", "1,2,3.5,9", 7200.0, None),
    ],
)
def test_common_headers_are_read(written, header, row, time, current):
    first = row.replace("7200", "0").replace("120", "0")
    first = "1,0,3.4,9" if current is None else first
    first = "0" + first[1:] if first[0] == "2" else first
    recording = read_recording(written(header, first, row), mass=2e-3)
    np.testing.assert_allclose(recording.time, [0.0, time])
    assert recording.voltage[-1] == pytest.approx(3.5)
    if current is None:
        assert recording.current is None
    else:
        assert recording.current[-1] == pytest.approx(current)


def test_decimal_commas_are_read(written):
    path = written("time_h;voltage_V", "0;3,1", "1,5;3,2")
    recording = read_recording(path)
    np.testing.assert_allclose(recording.time, [0.0, 5400.0])
    np.testing.assert_allclose(recording.voltage, [3.1, 3.2])


def test_of_rows_with_one_instant_the_last_counts(written):
    path = written("time_h,voltage_V", "0,3.0", "1,3.5", "1,3.6", "2,3.7")
    np.testing.assert_array_equal(read_recording(path).voltage, [3.0, 3.6, 3.7])


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([""], "must have a header line, but is empty"),
        (["time_h,voltage_V"], "one row or more below its header"),
        (["time_h,amps", "0,1"], "a column of voltage such as voltage_V, but has time"),
        (["voltage_V", "3"], "a column of time such as time_h, but has voltage_V"),
        (["time,voltage_V", "0,3"], "column time, must name its unit, one of s, min"),
        (["time_h,time_s,voltage_V", "0,0,3"], "column of time, but has time_h and ti"),
        (["time_h,voltage_V", "0,3", "x,4"], "line 3, column time_h.* but is 'x'"),
        (["time_h,voltage_V", "0,3", "1,nan"], "line 3, column voltage_V.* is 'nan'"),
        (["time_h,voltage_V", "0,3", "1,"], "line 3, column voltage_V.* but is ''"),
        (["time_h,voltage_V", "0,3", "1"], "line 3, must have 2 cells, but has 1"),
        (["time_h,voltage_V", "0,3", '1,"4'], "line 3.* quotation mark"),
        (
            ["time_h,voltage_V", "0,3", "# a pause", "2,3.1", "1,3.2"],
            "line 5, column time_h.* goes from 7200 back to 3600 s",
        ),
        (["time_h,voltage_V", "0,3", "0,4"], "one value per instant and two instants"),
        (["time_h,voltage_V", "0,3", "99999,4"], "ten years.* check its unit"),
        (["time_h,voltage_V", "0,3500", "1,3600"], "0 and 6 V.* check its unit"),
        (
            ["time_h,voltage_V,current_A", "0,3.0,-1", "1,3.5,-1", "2,4.0,-1"],
            "falls while the current is positive; change the sign",
        ),
        (["time_h,voltage_V,current_mA/g", "0,3,1", "1,4,1"], "a current per mass"),
    ],
)
def test_a_cycler_table_that_cannot_be_used_is_refused(written, lines, words):
    path = written(*lines, name="cell.csv")
    with pytest.raises(ValueError, match=words) as caught:
        read_recording(path)
    assert str(caught.value).startswith("cell.csv")
    assert str(caught.value).count("\n") == 0


def test_every_form_of_event_is_read_onto_the_recordings_clock(written):
    path = written(
        "# source",
        EVENTS,
        "a,midpoint,3.5,0.2,,,5,",
        "b,onset,,,1,2,,0.066",
        "c,midpoint,,,9,,,",
        "d,midpoint,,,,0.5,,",
        "a,duration,1,0.3,,,,",
    )
    events = read_events(path, recording=charge(), origin=2 * HOUR, surface=True)
    assert events.particles == ("a", "b", "c", "d")
    np.testing.assert_allclose(events.time[[0, 4]], [5.5 * HOUR, HOUR])
    np.testing.assert_allclose(events.sd[[0, 4]], [0.2 * HOUR, 0.3 * HOUR])
    np.testing.assert_allclose(events.after[1:3], [3 * HOUR, 11 * HOUR])
    np.testing.assert_allclose(events.before[[1, 3]], [4 * HOUR, 2.5 * HOUR])
    assert events.before[2] == math.inf
    assert events.after[3] == -math.inf
    np.testing.assert_allclose(events.change, [0.25, 0.066, 0.25, 0.25, 0.4])
    assert events.radius[0] == pytest.approx(5e-6)
    assert events.surface


@pytest.mark.parametrize(("unit", "size"), [("s", 1.0), ("min", 60.0)])
def test_instants_may_be_in_seconds_or_minutes(written, unit, size):
    rows = (f"particle,event,time_{unit},sd_h", "a,onset,300,0.1")
    events = read_events(written(*rows))
    assert events.time[0] == 300 * size
    assert events.sd[0] == pytest.approx(360.0)


GOOD = "a,midpoint,3.5,0.2,,,,"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([""], "must have a header line, but is empty"),
        ([EVENTS], "one row or more below its header"),
        (["particle,event,time,sd", "a,onset,1,1"], "has the column 'time', but col"),
        (["particle,event,time_w,sd_w", "a,onset,1,1"], "has the column 'time_w'"),
        (["event,time_h,sd_h", "onset,1,1"], "must have the column particle"),
        (["particle,time_h,sd_h", "a,1,1"], "must have the column event"),
        (["particle,event,sd_h", "a,onset,1"], "must have the column time_h"),
        (["particle,event,time_s", "a,onset,1"], "must have the column sd_s"),
        (
            ["particle,event,time_h,time_s,sd_h", "a,onset,1,3600,1"],
            "one column of time, but has time_h and time_s; use one unit",
        ),
        (
            ["particle,event,time_h,sd_h,after_s,before_s", "a,onset,1,1,,"],
            "in one unit, but has time_h and after_s and before_s",
        ),
        ([EVENTS, ",onset,1,1,,,,"], "line 2, column particle, must be a label"),
        ([EVENTS, "a,start,1,1,,,,"], "line 2, column event.* but is 'start'"),
        ([EVENTS, GOOD, "b,onset,soon,1,,,,"], "line 3, column time_h.* is 'soon'"),
        (
            ["particle;event;time_h;sd_h", "a;onset;3,1;1"],
            "is '3,1'; write a decimal point",
        ),
        ([EVENTS, "a,onset,nan,1,,,,"], "line 2, column time_h.* is 'nan'"),
        ([EVENTS, "a,onset,1,-1,,,,"], "line 2, column sd_h, must be positive.* -1"),
        ([EVENTS, "a,onset,1,0,,,,"], "line 2, column sd_h, must be positive"),
        ([EVENTS, "a,onset,1,,,,,"], "line 2, column sd_h, must hold the standard"),
        ([EVENTS, "a,onset,1,1,,,-5,"], "line 2, column radius_um, must be positive"),
        ([EVENTS, "a,onset,1,1,,,,2"], "change of stoichiometry between 0 and 1"),
        ([EVENTS, "a,onset,1,1,2,,,"], "either a time or bounds, but gives both"),
        ([EVENTS, "a,onset,,,,,,"], "either a time or bounds, but gives neither"),
        ([EVENTS, "a,onset,,1,2,,,"], "line 2, column sd_h, must be empty in a row of"),
        ([EVENTS, "a,onset,,,3,2,,"], "column before_h, must be later than after_h"),
        ([EVENTS, "a,onset,,,3,inf,,"], "column before_h.*'inf'; leave the cell empty"),
        ([EVENTS, "a,onset,,,-inf,3,,"], "column after_h.*; leave the cell empty wh"),
        ([EVENTS, "a,onset,>9.8,,,,,"], "time_h.*'>9.8'; write the number .* after_h"),
        ([EVENTS, "a,onset,<2,1,,,,"], "time_h.*'<2'; write the number .* before_h"),
        ([EVENTS, "a,onset,,,2,2,,"], "column before_h, must be later than after_h"),
        ([EVENTS, GOOD, GOOD], "line 3, must be another event.*first in line 2"),
        (
            [EVENTS, "a,onset,1,1,,,4,", "a,midpoint,2,1,,,5,"],
            "'a' must have one radius, but has 4 and 5 um",
        ),
        ([EVENTS, "a,onset,,,9,,,", "b,onset,,,,1,,"], "all 2 are censored"),
        ([EVENTS, "a,onset,20,1,,,,"], "line 2, column time_h .* after its end"),
        ([EVENTS, "a,onset,1,1,,,,"], "line 2, column time_h .* before its start"),
        ([EVENTS, GOOD, "b,onset,,,17,,,"], "line 3, column after_h .*is at 17 h"),
        ([EVENTS, "a,midpoint,3.5,720,,,,"], "line 2, column sd_h .* check its unit"),
        (
            ["particle,event,time_h,sd_h", "a,onset,12600,0.2"],
            "is at 1.26e.04 h, after its end; check the unit and the clock",
        ),
    ],
)
def test_an_event_table_that_cannot_be_used_is_refused(written, lines, words):
    path = written(*lines, name="onsets.csv")
    with pytest.raises(ValueError, match=words) as caught:
        read_events(path, recording=charge())
    assert str(caught.value).startswith("onsets.csv")
    assert str(caught.value).count("\n") == 0


def test_hours_in_a_column_of_seconds_are_noticed(written):
    rows = ["particle,event,time_s,sd_s", "a,midpoint,3.5,1"]
    with pytest.raises(ValueError, match="check the unit of their times"):
        read_events(written(*rows), recording=charge(), origin=charge().start)


def test_events_of_several_half_cycles_are_checked_each_in_its_own(written):
    time = HOUR * np.array([0.0, 4.0, 4.01, 8.0, 8.01, 12.0])
    cycled = Recording(
        time,
        np.array([3.2, 4.3, 4.2, 3.0, 3.3, 4.3]),
        np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0]),
    )
    head = "particle,event,time_h,sd_h,half_cycle"
    rows = ("a,midpoint,2,0.1,1", "a,midpoint,9,0.1,3", "b,midpoint,3,0.1,")
    events = read_events(written(head, *rows), recording=cycled, half_cycle=0)
    assert events.half_cycles(0) == (0, 2, 0)
    assert events.title_of(1) == "midpoint, half cycle 3"
    assert events.title_of(2) == "midpoint"
    for row, words in (
        ("a,midpoint,2,0.1,3", r"line 2, column time_h .* before its start"),
        ("a,midpoint,2,0.1,4", "among the first 3, but is number 4"),
        ("a,midpoint,2,0.1,1.5", "half_cycle, must be a whole number, .* but is 1.5"),
        ("a,midpoint,2,0.1,0", "half_cycle, must be a whole number, 1 to 1000000"),
        ("a,midpoint,2,0.1,1e30", "half_cycle, must be .* 1 to 1000000, but is 1e.30"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read_events(written(head, row), recording=cycled)
        assert str(caught.value).startswith("table.csv")


def test_an_event_is_not_counted_twice_with_and_without_its_half_cycle(written):
    rows = ("a,midpoint,6.5,0.3,", "a,midpoint,6.5,0.3,2", "a,midpoint,6.5,0.3,1")
    path = written("particle,event,time_h,sd_h,half_cycle", *rows)
    with pytest.raises(ValueError, match=r"line 4, .* again \(first in line 2\)"):
        read_events(path, half_cycle=0)
    events = read_events(path)
    with pytest.raises(ValueError, match="'a' is given twice: half cycle 2 is the one"):
        events.half_cycles(1)
    assert events.half_cycles(2) == (2, 1, 0)


@pytest.mark.parametrize(("unit", "radius"), [("m", 5), ("um", 5000), ("um", 5e-6)])
def test_a_radius_in_another_unit_than_its_column_is_refused(unit, radius, written):
    head = f"particle,event,time_h,sd_h,radius_{unit}"
    path = written(head, f"a,midpoint,6.5,0.3,{radius}")
    words = rf"line 2, column radius_{unit}, must be .* 1 nm to 1 mm, but is .*5.* m"
    with pytest.raises(ValueError, match=words):
        read_events(path)


def test_times_may_be_in_days(written):
    events = read_events(written("particle,event,time_d,sd_d", "a,onset,0.5,0.25"))
    assert (events.time[0], events.sd[0]) == (12 * HOUR, 6 * HOUR)
    found = read_recording(written("time_d,voltage_V", "0,3.5", "0.5,3.6"))
    assert found.time[-1] == 12 * HOUR


def test_bounds_in_the_wrong_order_are_told_as_written(written):
    words = "column before_h, must be later than after_h, but is 2 and that 9.5; exch"
    with pytest.raises(ValueError, match=words):
        read_events(written("particle,event,after_h,before_h", "a,onset,9.5,2"))
    words = "column sd_h, must be empty in a row of bounds, but is 0.5; remove it"
    with pytest.raises(ValueError, match=words):
        read_events(written("particle,event,time_h,sd_h,after_h", "a,onset,,0.5,2"))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (
            "a,duration,-1,0.5,,,,",
            "line 2, column time_h, must be positive in a row of",
        ),
        ("a,duration,,,-2,-1,,", "column before_h, must be positive .* but is -1;"),
    ],
)
def test_a_duration_is_positive(written, row, words):
    with pytest.raises(ValueError, match=words):
        read_events(written(EVENTS, row))
