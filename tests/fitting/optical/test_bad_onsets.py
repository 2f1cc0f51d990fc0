"""What traces, recordings, regions and arguments may have wrong, and what is said."""

import dataclasses
import math
import re
import sys
import types

import numpy as np
import pytest

import fitting.optical
from fitting import cli
from fitting.commands import onset_files
from fitting.optical import film_figures, half_cycles, onset_tables
from fitting.optical.circles import Circle
from fitting.optical.degrees import degrees_of
from fitting.optical.onsets import find_onsets
from fitting.optical.population import population
from fitting.optical.traces import Traces
from fitting.readers import read_events
from fitting.recording import Recording

from .made_traces import HOUR, TIMES, rise, traces_of


def changed(rows, where, value=np.nan, label="a", **fields):
    """Traces with a part of one of them replaced."""
    traces = traces_of(rows, **fields)
    intensity = traces.intensity.copy()
    intensity[traces.labels.index(label), where] = value
    return Traces(traces.time, traces.labels, intensity)


def onset_of(traces, label="a", **fields):
    (one,) = find_onsets(traces, **fields)
    return next(onset for onset in one.onsets if onset.particle == label)


TWO = {"a": rise(5.0), "b": rise(3.0)}
LATE = (TIMES > 6 * HOUR) & (TIMES < 9 * HOUR)
SPIKE = np.arange(TIMES.size) == 200


# Repaired or judged: what comes out, and with which reason or note.
JUDGED = [
    ("constant trace", lambda: changed(TWO, slice(None), 0.4), "excluded", "constant"),
    ("no valid frame", lambda: changed(TWO, slice(None)), "excluded", "no valid frame"),
    ("few frames", lambda: changed(TWO, slice(7, None)), "excluded", "7 valid frames"),
    ("NaN over the rise", lambda: changed(TWO, slice(80, 120)), "interval", "in a gap"),
    ("lost before it rises", lambda: changed(TWO, slice(70, None)), "right", "no rise"),
    ("lost in its rise", lambda: changed(TWO, slice(101, None)), "", "last frame"),
    ("seen only after", lambda: changed(TWO, slice(0, 140)), "left", "as others"),
    ("seen from its rise on", lambda: changed(TWO, slice(0, 100)), "", "first frame"),
    ("NaN elsewhere", lambda: changed(TWO, LATE), "exact", ""),
    ("infinite values", lambda: changed(TWO, SPIKE, np.inf), "exact", ""),
    ("one bright frame", lambda: changed(TWO, SPIKE, 5.0), "exact", "1 outlier fr"),
    ("one dark frame", lambda: changed(TWO, SPIKE, -5.0), "exact", "1 outlier fr"),
    ("every other frame lost", lambda: changed(TWO, slice(None, None, 2)), "exact", ""),
    ("falls", lambda: traces_of(TWO | {"a": -rise(5.0)}), "ambiguous", "falls instead"),
    ("small drift", lambda: traces_of(TWO | {"a": 1e-6 * TIMES}), "right", "no rise"),
    (
        "large drift",
        lambda: traces_of(TWO | {"a": 1e-5 * TIMES}),
        "steady",
        "brightens by 0.39 throughout, without a jump",
    ),
    ("noise only", lambda: traces_of(TWO | {"a": 0 * TIMES}), "right", "no rise"),
    (
        "rise too small",
        lambda: traces_of(
            TWO | {"a": rise(5.0, amplitude=0.045), "c": rise(4.0)}, 0.005
        ),
        "ambiguous",
        "below that of others",
    ),
    ("one jump in a frame", lambda: traces_of(TWO | {"a": rise(5.013, 0.01)}),
     "interval", "between two frames"),
    ("no noise at all", lambda: traces_of(TWO, 0.0), "exact", ""),
    ("eight bits", lambda: rounded(1 / 255), "exact", ""),
    ("three grey levels", lambda: rounded(0.15), "", ""),
    ("raw counts", lambda: scaled(255.0, 0.0), "exact", ""),
    ("negative intensities", lambda: scaled(1.0, -3.0), "exact", ""),
    ("a small second jump",
     lambda: traces_of(TWO | {"a": rise(5.0) + rise(9.0, 0.5, 0.06)}), "exact", ""),
    ("a second jump", lambda: traces_of(TWO | {"a": rise(5.0) + rise(9.0, 0.5, 0.2)}),
     "interval", "rises more than once"),
]  # fmt: skip


def rounded(step):
    traces = traces_of(TWO)
    return dataclasses.replace(
        traces, intensity=step * np.round(traces.intensity / step)
    )


def scaled(factor, shift):
    traces = traces_of(TWO)
    return dataclasses.replace(traces, intensity=factor * traces.intensity + shift)


@pytest.mark.parametrize(
    ("make", "outcome", "reason"),
    [row[1:] for row in JUDGED],
    ids=[r[0] for r in JUDGED],
)
def test_a_bad_trace_is_judged_with_a_reason(make, outcome, reason):
    onset = onset_of(make())
    assert outcome in onset.outcome
    assert reason in "; ".join(onset.reasons)
    if onset.outcome == "exact":
        assert onset.midpoint == pytest.approx(5 * HOUR, abs=6 * onset.midpoint_sd)
        assert 0 < onset.midpoint_sd < 300
    if onset.outcome == "interval":
        assert onset.after < 5.02 * HOUR < onset.before


def recording(start=0.0, end=12.0, current=1e-3):
    hours = np.linspace(start, end, 100)
    return Recording(HOUR * hours, 3.6 + 0.02 * hours, np.full(100, current))


def over(made):
    return half_cycles.of_recording(made)


REFUSED = [
    (
        "film before the recording",
        lambda: find_onsets(traces_of(TWO), over(recording(20.0, 30.0))),
        r"film must overlap .* 0 to 12 h .* 20 to 30 h .*correct the clock offset",
    ),
    (
        "offset in the wrong unit",
        lambda: find_onsets(
            traces_of(TWO), half_cycles.of_recording(recording(), 600 * HOUR)
        ),
        r"film must overlap the recording.* -600 to -588 h",
    ),
    (
        "one frame",
        lambda: find_onsets(Traces(TIMES[:1], ("a",), np.ones((1, 1)))),
        r"2 frames or more, but have 1",
    ),
    (
        "negative exposure",
        lambda: find_onsets(traces_of(TWO), exposure=-1.0),
        r"exposure must be 0 s or more, but is -1 s",
    ),
    (
        "no noise",
        lambda: find_onsets(traces_of(TWO), noise=0.0),
        r"noise must be positive, but is 0",
    ),
    (
        "half cycles out of order",
        lambda: half_cycles.from_bounds([(0.0, 10.0, True), (5.0, 15.0, False)]),
        r"Half cycle 2 must start after the one before .* from 5 to 15 s",
    ),
    (
        "half cycle that ends before it starts",
        lambda: half_cycles.from_bounds([(10.0, 0.0, True)]),
        r"Half cycle 1 .* goes from 10 to 0 s",
    ),
    (
        "no current flows",
        lambda: over(recording(current=0.0)),
        r"one charge or discharge, but its current is zero throughout",
    ),
    (
        "capacity of nothing",
        lambda: half_cycles.state_of_charge(recording(), 0.0, -3.6),
        r"reference .* must be positive, but is -1 mAh",
    ),
    (
        "no particle can be used",
        lambda: degrees_of(*with_halves(changed({"a": rise(5.0)}, slice(None), 0.4))),
        r"One particle or more must have a usable trace in charge 1, but none of 1",
    ),
    (
        "only ambiguous particles",
        lambda: people_of(traces_of({"a": -rise(5.0)})),
        r"all are ambiguous, steady or excluded",
    ),
    (
        "regions of other names",
        lambda: mapped((Circle("1", 5, 5, 3),)),
        r"name of a trace, but regions are 1 … and traces a, b",
    ),
    (
        "regions off the frame",
        lambda: mapped((Circle("a", 500, 5, 3),)),
        r"lie on the frames of 30 x 20 px, but none of 1 does",
    ),
    (
        "film without a frame in the half cycle",
        lambda: film_figures.kymograph(
            types.SimpleNamespace(time=TIMES + 50 * HOUR, shape=(20, 30)),
            Circle("a", 5, 5, 3),
            find_onsets(traces_of(TWO))[0],
        ),
        r"film must have a frame in charge 1, but has none; correct the clock",
    ),
]  # fmt: skip


def with_halves(traces):
    return traces, find_onsets(traces)[0]


def people_of(traces):
    one = find_onsets(traces)[0]
    return population(degrees_of(traces, one), one, num_draws=5)


def mapped(circles):
    return film_figures.onset_map(
        np.zeros((20, 30)), circles, find_onsets(traces_of(TWO))[0]
    )


@pytest.mark.parametrize(
    ("make", "words"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_cannot_be_is_refused_in_one_sentence(make, words):
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


NOTED = [
    ("camera starts late", (-3.0, 12.0), "first frame is 3 h after it begins"),
    ("camera ends early", (0.0, 16.0), "last frame is 4 h before it ends"),
    ("recording shorter than film", (2.0, 8.0), "frames lie in no half"),
]


@pytest.mark.parametrize(
    ("span", "words"), [row[1:] for row in NOTED], ids=[r[0] for r in NOTED]
)
def test_what_film_and_recording_do_not_share_is_noted(span, words):
    halves = half_cycles.from_bounds([(HOUR * span[0], HOUR * span[1], True)])
    traces = traces_of(TWO)
    (one,) = find_onsets(traces, halves)
    notes = one.notes + half_cycles.left_over(traces, halves)
    assert any(words in note for note in notes)


def test_frames_in_no_half_cycle_are_told_by_their_place():
    """A rest of 1 h, then rows every 30 min, between two of which the current turns."""
    hours = np.arange(0.0, 10.1, 0.5)
    current = np.where(hours < 1.0, 0.0, np.where(hours < 5.0, 1e-3, -1e-3))
    made = Recording(HOUR * hours, 3.6 + 0.0 * hours, current)
    notes = half_cycles.left_over(traces_of(TWO), over(made))
    assert notes == (
        "69 of 241 frames lie in no half cycle (20 before the first, 40 after the "
        "last, 9 between two, where the recording has no row) and are left aside.",
    )


def test_one_frame_in_a_half_cycle_is_no_overlap():
    halves = half_cycles.from_bounds([(HOUR * 12, HOUR * 20, True)])
    assert np.sum(halves[0].holds(traces_of(TWO).time)) == 1
    with pytest.raises(ValueError, match=r"two frames .*, but lasts from 0 to 12 h"):
        find_onsets(traces_of(TWO), halves)


def test_a_half_cycle_without_frames_is_named():
    bounds = [(0.0, 12 * HOUR, True), (12 * HOUR, 20 * HOUR, False)]
    halves = half_cycles.from_bounds(bounds)
    notes = half_cycles.left_over(traces_of(TWO), halves)
    assert notes == ("No onset is known in discharge 1, which no frame shows.",)
    assert len(find_onsets(traces_of(TWO), halves)) == 1


def test_a_rise_before_the_first_frame_is_left_censored_among_others():
    rows = {"a": rise(-1.0), "b": rise(3.0), "c": rise(5.0), "d": rise(7.0)}
    assert onset_of(traces_of(rows)).outcome == "left-censored"


def test_levels_that_overlap_tell_nothing():
    rows = {"a": np.full(TIMES.size, 0.5), "b": rise(3.0), "c": 2 + rise(5.0)}
    assert onset_of(traces_of(rows)).outcome == "right-censored"


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs `diffelec onsets` on made traces; (status, text on stderr, stdout)."""

    def stub(name, **members):
        module = types.ModuleType(f"fitting.optical.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(fitting.optical, name, module, raising=False)

    monkeypatch.setattr(onset_files, "_draw", lambda *_: None)

    def run(capsys, *options, traces=None, record=None):
        table = types.SimpleNamespace(
            recording=lambda: record or recording(), notes=("Read as it is.",)
        )
        stub("trace_tables", read_traces=lambda path, **_: traces or traces_of(TWO))
        stub("cycler", read_cycler=lambda path, **_: table)
        words = ["onsets", "traces.csv", "--out", str(tmp_path / "out"), *options]
        status = cli.main(words)
        caught = capsys.readouterr()
        return status, caught.err, caught.out

    return run


ARGUMENTS = [
    (["--film", "f.tif"], "--film must come with --regions"),
    (["--regions", "r.csv"], "--regions must come with --film"),
    (["--quality", "quality.csv"], "--quality must come with --film and --regions"),
    (["--kymograph", "a"], "--kymograph must come with --film"),
    (["--clock-offset-s", "5"], "--clock-offset-s must come with --cycler"),
    (["--clock-sd-s", "5"], "--clock-sd-s must come with --cycler"),
    (["--capacity-mAh", "5"], "--capacity-mAh must come with --cycler"),
    (["--cycler", "c.csv", "--reversals-h", "5"], "--reversals-h and .* --cycler"),
    (["--cycler", "c.csv", "--clock-sd-s", "-1"], "--clock-sd-s must be 0 or more"),
    (["--cycler", "c.csv", "--clock-offset-s", "soon"], "seconds or auto.* is 'soon'"),
    (["--cycler", "c.csv", "--clock-offset-s", "nan"], "seconds or auto.* is 'nan'"),
    (["--cycler", "c.csv", "--clock-offset-s", "1e7"], "film must overlap"),
    (["--cycler", "c.csv", "--capacity-mAh", "0"], "must be positive, but is 0 mAh"),
    (["--reversals-h", "15"], "--reversals-h must lie within the film, 0 to 12 h"),
    (["--reversals-h", "7", "5"], "Half cycle 2 must start after"),
    (["--half-cycle", "0"], "--half-cycle must be 1 or more, but is 0"),
    (["--half-cycle", "3"], "--half-cycle must be one that has frames, 1, but is 3"),
    (["--seed", "-1"], "--seed must be 0 or more, but is -1"),
    (["--noise", "-0.1"], "noise must be positive, but is -0.1"),
    (["--exposure-s", "-3"], "exposure must be 0 s or more"),
]


@pytest.mark.parametrize(
    ("options", "words"), ARGUMENTS, ids=[" ".join(row[0]) for row in ARGUMENTS]
)
def test_arguments_that_cannot_be_are_refused(
    command, capsys, tmp_path, options, words
):
    status, said, _ = command(capsys, *options)
    assert status == cli.BAD_INPUT
    assert len(said.strip().splitlines()) == 1
    assert re.search(words, said)
    assert not (tmp_path / "out").exists()


def test_when_all_are_censored_there_is_nothing_to_fit(command, capsys, tmp_path):
    still = traces_of({"a": np.zeros(TIMES.size), "b": np.zeros(TIMES.size)})
    status, _, said = command(capsys, traces=still)
    assert status == cli.SUCCESS
    assert "next: no particle's time is known in charge 1" in said
    assert "reacted by the last frame: 0.00" in said
    assert (tmp_path / "out" / "events_all.csv").exists()


def test_one_particle_is_enough(command, capsys, tmp_path):
    status, _, said = command(capsys, traces=traces_of({"a": rise(5.0)}))
    assert status == cli.SUCCESS
    assert "slope coherence (1 together): not known" in said
    assert (tmp_path / "out" / "onsets.csv").exists()


def test_without_a_cycler_a_table_counts_from_the_start_of_its_half_cycle(
    command, capsys, tmp_path
):
    late = traces_of({"a": rise(3.0), "b": rise(4.0)})
    late = dataclasses.replace(late, time=late.time + 5 * HOUR)
    status, _, said = command(capsys, traces=late)
    assert status == cli.SUCCESS
    assert "--protocol 'Charge at C/20 until 4.3 V' --edge-h 0.05 --seen" in said
    events = read_events(tmp_path / "out" / "onsets.csv", surface=True)
    midpoint = events.time[events.exact & ~events.is_duration]
    np.testing.assert_allclose(midpoint, [3 * HOUR, 4 * HOUR], atol=120)


def test_a_recording_without_a_current_is_one_charge_without_charge(command, capsys):
    bare = Recording(HOUR * np.linspace(0, 12, 50), 3.6 + np.linspace(0, 0.5, 50))
    status, _, said = command(capsys, "--cycler", "c.csv", record=bare)
    assert status == cli.SUCCESS
    assert "state of charge" not in said


def test_unknown_events_are_infinite_bounds_and_not_nan():
    (one,) = find_onsets(traces_of({"a": np.zeros(TIMES.size), "b": rise(3.0)}))
    events = onset_tables.to_events(one)
    assert events.before[events.right_censored][0] == math.inf
