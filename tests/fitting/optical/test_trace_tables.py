"""Tables of intensities: every layout reads to the same traces."""

import numpy as np
import pytest

from fitting.optical.trace_files import write_traces
from fitting.optical.trace_tables import read_traces
from fitting.optical.traces import Traces
from tests.helpers import data_file

HOUR = 3600.0
FRAMES = 12
TIME = 120.0 * np.arange(FRAMES)
INTENSITY = np.round(
    40.0 + 100.0 / (1 + np.exp(-(TIME - np.array([[400.0], [800.0]])) / 100.0)), 3
)
LABELS = ("0001-0123", "blue")


def own(sign=","):
    lines = ["# scale: 255", "# start: 1741987805.0", "frame,time_s,0001-0123,blue"]
    rows = zip(TIME, *(INTENSITY / 255.0), strict=True)
    return lines + [
        f"{k},{t},{float(a)!r},{float(b)!r}" for k, (t, a, b) in enumerate(rows)
    ]


def multi_measure(separator=",", point="."):
    """ImageJ's, one row a slice; the first header is blank."""
    names = [f"{what}({name})" for name in LABELS for what in ("Area", "Mean", "Min")]
    lines = [separator.join([" ", "Label", *names])]
    for k, (a, b) in enumerate(INTENSITY.T):
        cells = [str(k + 1), "film.tif", "314", a, "9", "314", b, "9"]
        line = separator.join(str(cell) for cell in cells)
        lines.append(line.replace(".", point) if point != "." else line)
    return lines


def numbered():
    lines = [" ,Mean1,Mean2"]
    return lines + [f"{k + 1},{a},{b}" for k, (a, b) in enumerate(INTENSITY.T)]


def results():
    """ImageJ's long form: one row a region and slice."""
    lines = [" \tLabel\tArea\tMean\tSlice"]
    for k, pair in enumerate(INTENSITY.T):
        for label, value in zip(LABELS, pair, strict=True):
            lines.append(
                f"{len(lines)}\tfilm.tif:{label}:{k + 1}\t314\t{value}\t{k + 1}"
            )
    return lines


def wide():
    lines = ["time_h;0001-0123;blue"]
    rows = zip(TIME / HOUR, *INTENSITY, strict=True)
    return lines + [f"{t:.9f};{a};{b}".replace(".", ",") for t, a, b in rows]


def long():
    lines = ["time_min,particle,intensity"]
    for label, trace in zip(LABELS, INTENSITY, strict=True):
        lines += [f"{t / 60},{label},{y}" for t, y in zip(TIME, trace, strict=True)]
    return lines


def clock():
    lines = ["Time,0001-0123,blue"]
    rows = zip(TIME, *INTENSITY, strict=True)
    return lines + [f"0:{t // 60:02.0f}:{t % 60:02.0f},{a},{b}" for t, a, b in rows]


def trackmate():
    """Spots of TrackMate: four lines of names, one row a spot."""
    lines = ["LABEL,ID,TRACK_ID,POSITION_T,FRAME,MEAN_INTENSITY_CH1"]
    lines += ["Label,Spot ID,Track ID,T,Frame,Mean intensity ch1"]
    lines += ["Label,Spot ID,Track ID,T,Frame,Mean ch1", ",,,(sec),,(counts)"]
    for k, pair in enumerate(INTENSITY.T):
        for label, value in zip(LABELS, pair, strict=True):
            lines.append(f"ID{len(lines)},{len(lines)},{label},{TIME[k]},{k},{value}")
    return lines


def indexed():
    """As pandas writes what it read with its own index."""
    lines = ["Unnamed: 0,time_s,0001-0123,blue"]
    rows = zip(TIME, *INTENSITY, strict=True)
    return lines + [f"{k},{t},{a},{b}" for k, (t, a, b) in enumerate(rows)]


LAYOUTS = {
    "own": (own(), {}),
    "multi measure": (multi_measure(), {"interval": 120.0}),
    "multi measure of Excel": (multi_measure(";", ","), {"times": TIME}),
    "numbered": (numbered(), {"times": TIME}),
    "results": (results(), {"interval": 120.0}),
    "wide": (wide(), {}),
    "long": (long(), {}),
    "clock": (clock(), {}),
    "TrackMate": (trackmate(), {"interval": 120.0}),
    "pandas": (indexed(), {}),
}


def written(folder, lines, encoding="utf-8"):
    path = folder / "traces.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


DATES = {  # of the first frame, two minutes before midnight, and of what follows it
    "ISO": ("2024-11-20T23:58:00", "2024-11-21T00:00:00", 1732147080.0),
    "with a zone": (
        "2024-11-20T23:58:00+01:00",
        "2024-11-21T00:00:00+01:00",
        1732143480.0,
    ),
    "of Excel": ("20.11.2024 23:58:00", "21.11.2024 00:00:00", 1732147080.0),
    "of a clock": ("23:58:00", "00:00:00", np.nan),
}


def dated(kind):
    """Texts of `TIME`'s instants."""
    first, later, _ = DATES[kind]
    minutes = (f"00:{2 * k:02d}:00" for k in range(FRAMES - 1))
    return [first, *(later.replace("00:00:00", now) for now in minutes)]


@pytest.mark.parametrize("kind", DATES)
@pytest.mark.parametrize("column", ["time", "date time"])
@pytest.mark.parametrize("form", ["wide", "long", "multi measure"])
def test_times_may_be_dates_or_of_a_clock_of_the_day(form, column, kind, tmp_path):
    texts = dated(kind)
    if form == "wide":
        lines = [f"{column},a,b"]
        lines += [f"{t},{a},{b}" for t, (a, b) in zip(texts, INTENSITY.T, strict=True)]
    elif form == "long":
        lines = [f"particle,{column},intensity"]
        for label, trace in zip("ab", INTENSITY, strict=True):
            pairs = zip(texts, trace, strict=True)
            lines += [f"{label},{t},{y}" for t, y in pairs]
    else:
        lines = [f"{column},Mean(a),Mean(b)"]
        lines += [f"{t},{a},{b}" for t, (a, b) in zip(texts, INTENSITY.T, strict=True)]
    if kind == "of a clock" and column == "date time":
        column = "elapsed time"
        lines[0] = lines[0].replace("date time", column)
    found = read_traces(written(tmp_path, lines))
    np.testing.assert_allclose(found.time - found.time[0], TIME, atol=1e-6)
    np.testing.assert_allclose(found.intensity, INTENSITY)
    assert found.labels == ("a", "b")
    np.testing.assert_equal(found.start, DATES[kind][2])
    told = "passes midnight 1 time" if kind == "of a clock" else "no time zone"
    assert any(told in note for note in found.notes) == (kind != "with a zone")


def test_dates_beside_a_time_are_left_aside(tmp_path):
    lines = ["Date,time_s,a"]
    lines += [f"2024-11-20 10:00:{k:02d},{60 * k},{k + 0.5}" for k in range(9)]
    found = read_traces(written(tmp_path, lines))
    assert found.labels == ("a",)
    np.testing.assert_allclose(found.time, 60.0 * np.arange(9))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_back_the_same_traces(layout, tmp_path):
    lines, options = LAYOUTS[layout]
    found = read_traces(written(tmp_path, lines), **options)
    assert found.labels == (("1", "2") if layout == "numbered" else LABELS)
    np.testing.assert_allclose(found.time, TIME, atol=1e-4)
    size = 255.0 if layout == "own" else 1.0
    np.testing.assert_allclose(found.intensity * size, INTENSITY, rtol=1e-12)


def test_own_tables_keep_scale_and_start(tmp_path):
    found = read_traces(written(tmp_path, own()))
    assert (found.scale, found.start) == (255.0, 1741987805.0)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("scale", "start"), [(255.0, 1741987805.25), (65535.0, np.nan), (np.nan, 0.0)]
)
def test_what_is_written_is_read_back(tmp_path, scale, start):
    notes = ("3 frames (5, 27, 94) masked: out of focus.", "time_s, a; b: c")
    values = INTENSITY / 255.0
    values[1, 3] = np.nan
    labels = ("0001-0123", "blue, 2")
    write_traces(
        tmp_path / "traces.csv", Traces(TIME, labels, values, scale, start, notes)
    )
    found = read_traces(tmp_path / "traces.csv")
    assert found.labels == labels
    np.testing.assert_allclose((found.scale, found.start), (scale, start))
    np.testing.assert_array_equal(found.time, TIME)
    np.testing.assert_allclose(found.intensity, values, rtol=1e-6)


def test_the_older_way_of_writing_comments_is_read(tmp_path):
    lines = [line.replace(": ", " = ") for line in own()]
    found = read_traces(written(tmp_path, lines))
    assert (found.scale, found.start) == (255.0, 1741987805.0)


def test_a_note_names_all_particles_that_it_holds_of(tmp_path):
    lines = ["time_s," + ",".join("abcdefgh")]
    lines += [f"{60 * k}," + ",".join(["0.1", *["0.2"] * 7]) for k in range(9)]
    lines += ["540,0.1" + "," * 7, "600,,,,,,,,"]
    notes = read_traces(written(tmp_path, lines)).notes
    still = "particles 'a', 'b', 'c', 'd' and 4 others are constant at 0.1 to 0.2."
    gone = "'d' and 4 others have no intensity in 1 to 2 of 11 frames."
    assert sum(still in note for note in notes) == 1
    assert sum(gone in note for note in notes) == 1
    assert len(notes) == 3


def test_a_scale_that_is_given_divides(tmp_path):
    found = read_traces(written(tmp_path, wide()), scale=255.0)
    np.testing.assert_allclose(found.intensity, INTENSITY / 255.0)
    assert found.scale == 255.0


def test_the_statistic_that_is_read_may_be_another(tmp_path):
    path = written(tmp_path, multi_measure())
    found = read_traces(path, interval=1.0, statistic="Min")
    assert np.all(found.intensity == 9.0)
    mean = read_traces(path, interval=1.0)
    assert "Mean was read of its statistics, not Area, Min" in mean.notes[0]


@pytest.mark.parametrize(("unit", "size"), [("s", 1.0), ("min", 60.0), ("h", HOUR)])
def test_times_may_come_from_a_table_of_their_own(unit, size, tmp_path):
    times = tmp_path / "times.csv"
    given = [f"time_{unit}", *map(str, TIME / size)]
    times.write_text("\n".join(given) + "\n")
    found = read_traces(written(tmp_path, numbered()), times=times)
    np.testing.assert_allclose(found.time, TIME)
    times.write_text("\n".join([*given[:2], given[3], given[2], *given[4:]]))
    with pytest.raises(ValueError, match=r"traces.csv: the times from times.csv must"):
        read_traces(tmp_path / "traces.csv", times=times)


NUMBERED_FRAMES = {
    "rows left out": (["frame,a", "1,10", "2,20", "5,50"], [0.0, 30.0, 120.0]),
    "rows in another order": (["frame,a", "2,20", "1,10", "5,50"], [0.0, 30.0, 120.0]),
    "slices of ImageJ": (
        ["Label,Mean,Slice", "film:a:3,10,3", "film:a:4,20,4", "film:a:7,50,7"],
        [0.0, 30.0, 120.0],
    ),
    "names of frames": (["frame,a", "x1,10", "x2,20", "x5,50"], [0.0, 30.0, 60.0]),
    "all of one slice": (["slice,a", "1,10", "1,20", "1,50"], [0.0, 30.0, 60.0]),
}


@pytest.mark.parametrize("name", NUMBERED_FRAMES)
def test_an_interval_is_between_frames_as_they_are_numbered(name, tmp_path):
    lines, time = NUMBERED_FRAMES[name]
    found = read_traces(written(tmp_path, lines), interval=30.0)
    np.testing.assert_allclose(found.time, time)
    np.testing.assert_allclose(found.intensity, [[10.0, 20.0, 50.0]])


def test_times_are_those_of_frames_as_they_are_numbered(tmp_path):
    lines, _ = NUMBERED_FRAMES["rows in another order"]
    found = read_traces(written(tmp_path, lines), times=[0.0, 7.0, 9.0])
    np.testing.assert_allclose(found.time, [0.0, 7.0, 9.0])
    np.testing.assert_allclose(found.intensity, [[10.0, 20.0, 50.0]])


def test_decimals_of_three_figures_are_read(tmp_path):
    lines = ["time_s;a;b", *(f"{60 * k};0,{125 + k};{k + 1},250" for k in range(10))]
    found = read_traces(written(tmp_path, lines))
    np.testing.assert_allclose(found.intensity[:, 1], [0.126, 2.25])


def test_inverted_traces_rise_where_they_fell(tmp_path):
    found = read_traces(written(tmp_path, wide()), inverted=True)
    assert np.all(np.diff(found.intensity) <= 0)
    np.testing.assert_allclose(np.ptp(found.intensity, axis=1), np.ptp(INTENSITY, 1))
    assert "turned over" in found.notes[-1]


def test_results_of_one_unnamed_region_are_one_trace(tmp_path):
    lines = [" ,Label,Mean,Slice"]
    lines += [f"{k},film.tif:{k},{y},{k}" for k, y in enumerate(INTENSITY[0])]
    found = read_traces(written(tmp_path, lines), interval=1.0)
    assert found.labels == ("film.tif",)
    np.testing.assert_allclose(found.intensity[0], INTENSITY[0])


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("nmc333_charge1_fine_whiteline_traces.csv", (6, 33)),
        ("nmc532_charge1_whiteline_traces.csv", (5, 8)),
    ],
)
def test_real_traces_are_read(name, shape):
    found = read_traces(data_file(name))
    assert found.intensity.shape == shape
    assert found.labels[0] == "particle_blue_dwhiteline_eV"
    first = {6: 2.582, 5: 0.543}[shape[0]]
    assert found.time[0] == pytest.approx(first * HOUR)
    assert np.all(found.valid)


@pytest.mark.parametrize("word", ["Area", "Mean", "Slice", "Mean(1)", "Label"])
def test_particles_may_be_called_as_columns_of_imagej_are(word, tmp_path):
    labels = (f"{word}1", word)
    write_traces(tmp_path / "t.csv", Traces(TIME, labels, INTENSITY / 255.0, 255.0))
    read = read_traces(tmp_path / "t.csv")
    assert read.labels == labels
    np.testing.assert_allclose(read.intensity, INTENSITY / 255.0, rtol=1e-6)


@pytest.mark.parametrize("first", ["frame,time_s", "time_s", "Frame"])
@pytest.mark.parametrize("labels", [("Label", "Mean"), ("intensity", "name")])
def test_traces_are_not_taken_for_a_column_of_labels(labels, first, tmp_path):
    lines = [",".join([first, *labels])]
    for time, values in zip(TIME, INTENSITY.T, strict=True):
        cells = [time] * (1 + first.count(",")) + [*values]
        lines.append(",".join(map(str, cells)))
    given = {"interval": 1.0} if first == "Frame" else {}
    found = read_traces(written(tmp_path, lines), **given)
    assert found.labels == labels
    np.testing.assert_allclose(found.intensity, INTENSITY)


@pytest.mark.parametrize(("noise", "digits"), [(0.01, 6), (0.01, 1), (0.0, 6)])
def test_frames_that_repeat_the_one_before_are_left_aside(noise, digits, tmp_path):
    times = 60.0 * np.arange(60)
    rows = 0.2 + 0.3 / (1 + np.exp(-(times - np.array([[900.0], [2000.0]])) / 9.0))
    rows += noise * np.random.default_rng(2).standard_normal(rows.shape)
    rows = np.round(rows, digits)
    rows[:, 30::10] = rows[:, 29:59:10]
    write_traces(tmp_path / "t.csv", Traces(times, LABELS, rows, 1.0))
    read, told = read_traces(tmp_path / "t.csv"), noise > 0 and digits > 1
    assert np.all(np.isnan(read.intensity[:, 30::10])) == told
    assert np.isfinite(read.intensity).sum() == 2 * (57 if told else 60)
    assert any("3 frames of 60 repeat the one" in note for note in read.notes) == told


def test_two_columns_of_one_particle_are_refused(tmp_path):
    lines = [" ,Mean1,Mean(1),Mean3"]
    lines += [f"{k + 1},{10 + k},{100 + k},{50 + k}" for k in range(10)]
    (tmp_path / "mm.csv").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"2 and 3, Mean1 and Mean\(1\), are both"):
        read_traces(tmp_path / "mm.csv", interval=10.0)
