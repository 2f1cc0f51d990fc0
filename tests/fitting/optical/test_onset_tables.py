import csv
import dataclasses
import math

import numpy as np
import pytest

from fitting.events import CHANGES
from fitting.optical import onset_tables
from fitting.optical.half_cycles import state_of_charge
from fitting.optical.onsets import find_onsets
from fitting.readers import read_events
from fitting.recording import Recording

from .made_traces import HOUR, TIMES, rise, traces_of


@pytest.fixture(scope="module")
def one():
    rows = {
        "exact": rise(3.0),
        "between": rise(5.013, 0.01),
        "never": np.zeros(TIMES.size),
        "before": np.full(TIMES.size, 0.3),
        "constant": np.zeros(TIMES.size),
    }
    traces = traces_of(rows, 0.005)
    traces.intensity[4] = 0.5
    return find_onsets(traces)[0]


def test_events_are_of_the_surface_and_leave_out_what_is_excluded(one):
    events = onset_tables.to_events(one)
    assert events.surface
    assert set(events.particles) == {"exact", "between", "never", "before"}
    assert set(events.kind) == {"midpoint"}
    assert events.right_censored.sum() == events.left_censored.sum() == 1
    midpoints = np.array(events.kind) == "midpoint"
    np.testing.assert_allclose(events.change[midpoints], CHANGES["midpoint"])


def test_durations_are_events_of_the_volume_only(one):
    events = onset_tables.to_events(one, surface=False)
    assert set(events.kind) == {"midpoint", "duration"}


def test_the_change_at_midpoints_can_be_given(one):
    events = onset_tables.to_events(one, change=0.3, surface=False)
    midpoints = ~events.is_duration
    np.testing.assert_allclose(events.change[midpoints], 0.3)
    np.testing.assert_allclose(events.change[~midpoints], CHANGES["duration"])


def test_events_are_on_the_clock_of_the_cycler(one):
    film, cycler = (
        onset_tables.to_events(one, offset=s, surface=False) for s in (0.0, 600.0)
    )
    midpoint = np.flatnonzero(film.exact & ~film.is_duration)
    duration = np.flatnonzero(film.is_duration)
    np.testing.assert_allclose(cycler.time[midpoint] - film.time[midpoint], 600.0)
    np.testing.assert_allclose(cycler.time[duration], film.time[duration])


def test_a_table_of_events_reads_back_as_it_was(one, tmp_path):
    events = onset_tables.to_events(one, offset=30.0)
    path = tmp_path / "onsets.csv"
    onset_tables.write_events(path, events, ("Found in x.csv.", "Two\nlines."))
    again = read_events(path, surface=True)
    assert again.particles == events.particles
    assert again.kind == events.kind
    for name in ("time", "sd", "after", "before", "change"):
        np.testing.assert_allclose(getattr(again, name), getattr(events, name))
    assert path.read_text().startswith("# Found in x.csv.\n# Two lines.\nparticle,")


def test_a_table_fits_into_the_half_cycle_it_is_of(one, tmp_path):
    hours = np.linspace(0, 12, 50)
    recording = Recording(HOUR * hours, 3.6 + 0.05 * hours, np.full(50, 1e-3))
    path = tmp_path / "onsets.csv"
    onset_tables.write_events(path, onset_tables.to_events(one))
    assert read_events(path, recording=recording, surface=True).surface


def test_the_full_table_has_every_particle_with_its_reason(one, tmp_path):
    hours = np.linspace(0, 12, 50)
    recording = Recording(HOUR * hours, 3.6 + 0.05 * hours, np.full(50, 1e-3))
    path = tmp_path / "all.csv"
    onset_tables.write_all(path, [one], state_of_charge(recording), offset=600.0)
    with open(path, newline="") as stream:
        rows = {row["particle"]: row for row in csv.DictReader(stream)}
    assert rows["constant"]["reasons"] == "constant trace"
    assert rows["constant"]["t50_h"] == ""
    assert float(rows["exact"]["t50_h"]) == pytest.approx(3.0 + 600 / HOUR, abs=0.02)
    assert float(rows["exact"]["soc_t50"]) == pytest.approx(3 / 12, abs=0.01)
    assert rows["never"]["outcome"] == "right-censored"
    assert float(rows["exact"]["level"]) == pytest.approx(0.2, abs=0.01)
    assert set(rows["exact"]) == set(onset_tables.ALL_COLUMNS)


def test_words_for_a_terminal_name_every_outcome(one):
    words = onset_tables.text(one, None)
    assert "charge 1 (0.00 to 12.00 h): 1 exact, 1 interval, 1 right-censored" in words
    assert "> 12.000" in words
    assert "< 0.000" in words
    assert "5.000 to 5.050" in words
    assert "excluded: constant trace" in words
    lines = words.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["before", "exact"]


def test_nothing_known_makes_no_events():
    traces = traces_of({"a": np.zeros(TIMES.size)})
    traces.intensity[0] = 0.5
    assert onset_tables.to_events(find_onsets(traces)[0]) is None


def test_what_is_not_known_is_null_in_json():
    from fitting.optical.degrees import degrees_of
    from fitting.optical.population import population

    traces = traces_of({"a": rise(5.0)})
    (only,) = find_onsets(traces)
    people = population(degrees_of(traces, only), only, num_draws=10)
    data = onset_tables.measures_as_json(people)
    assert data["measures"]["coherence"] == {"value": None, "interval_95": [None] * 2}
    assert data["measures"]["restricted_mean_h"]["value"] == pytest.approx(5, abs=0.1)
    later = onset_tables.measures_as_json(people, offset=7200.0)
    hours = np.array(data["curves"].pop("time_h"))
    np.testing.assert_allclose(later["curves"].pop("time_h"), hours + 2)
    assert later == data
    words = onset_tables.measure_lines(people)
    assert "reacted by the last frame: 1.00 (interval not known)" in words
    assert not any(
        isinstance(v, float) and math.isnan(v) for v in data["curves"]["mean"]
    )


def test_short_half_cycles_are_told_in_minutes():
    from fitting.optical.degrees import degrees_of
    from fitting.optical.population import population

    slow = traces_of({"a": rise(5.0), "b": rise(7.0)})
    (one,) = find_onsets(dataclasses.replace(slow, time=slow.time / 60))
    people = population(degrees_of(slow, find_onsets(slow)[0]), one, num_draws=10)
    lines = onset_tables.text(one, people).splitlines()
    assert lines[0].startswith("charge 1 (0.00 to 12.00 min): 2 exact")
    head = "particle midpoint (min) duration (s) remark"
    assert " ".join(lines[1].split()) == head
    midpoint, _, deviation, duration = lines[2].split()[1:5]
    assert float(midpoint) == pytest.approx(5.0, abs=0.05)
    assert 0.002 < float(deviation) < 0.05
    assert float(duration) == pytest.approx(30.0, abs=4.0)
    assert any("restricted to the film (min)" in line for line in lines)
