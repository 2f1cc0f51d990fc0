import math

import numpy as np
import pytest

from fitting.optical.half_cycles import from_bounds, state_of_charge
from fitting.optical.onset_tables import to_events
from fitting.optical.onsets import find_onsets
from fitting.optical.traces import Traces
from fitting.optical.verdicts import Outcome
from fitting.recording import Recording
from tests.fitting.data_folder import whiteline_traces

from .made_traces import HOUR, TIMES, rise, traces_of


def by_label(one):
    return {onset.particle: onset for onset in one.onsets}


@pytest.fixture(scope="module")
def seen():
    """Particles that rise, at the ends, never, and before the first frame."""
    rows = {
        "early": rise(3.0),
        "late": rise(8.0, 1.0),
        "sudden": rise(5.013, 0.01),
        "end": rise(11.8, 1.0),
        "last": np.where(TIMES[-1] == TIMES, 0.3, 0.0),
        "first": np.where(TIMES[0] == TIMES, 0.0, 0.3),
        "never": np.zeros(TIMES.size),
        "before": np.full(TIMES.size, 0.3),
        "small": rise(6.0, amplitude=0.05),
        "smaller": rise(6.0, amplitude=0.025),
    }
    (one,) = find_onsets(traces_of(rows, 0.005))
    return by_label(one)


@pytest.mark.parametrize(("particle", "middle"), [("early", 3.0), ("late", 8.0)])
def test_a_rise_within_the_frames_has_times(seen, particle, middle):
    onset = seen[particle]
    assert onset.outcome is Outcome.EXACT
    assert abs(onset.midpoint - middle * HOUR) < 3 * onset.midpoint_sd
    assert onset.midpoint_sd < 60.0
    duration = {"early": 0.5, "late": 1.0}[particle] * HOUR
    assert onset.duration == pytest.approx(duration, abs=3 * onset.duration_sd)
    assert onset.onset < onset.midpoint < onset.completion
    assert onset.half_step == pytest.approx(onset.midpoint, abs=120.0)


@pytest.mark.parametrize(
    ("particle", "outcome", "after", "before"),
    [
        ("sudden", "interval", TIMES[100], TIMES[101]),
        ("last", "interval", TIMES[-2], TIMES[-1]),
        ("first", "interval", TIMES[0], TIMES[1]),
        ("never", "right-censored", TIMES[-1], math.inf),
        ("before", "left-censored", -math.inf, TIMES[0]),
    ],
)
def test_what_the_frames_do_not_resolve_has_bounds(
    seen, particle, outcome, after, before
):
    onset = seen[particle]
    assert onset.outcome == outcome
    assert onset.after == pytest.approx(after)
    assert onset.before == pytest.approx(before)


def test_a_rise_that_the_film_cuts_off_is_not_over_before_its_end(seen):
    assert seen["end"].outcome is Outcome.RIGHT
    assert 10.5 * HOUR < seen["end"].after < 11.5 * HOUR


def test_rises_far_below_those_of_others_are_doubted_or_none(seen):
    assert seen["small"].outcome is Outcome.AMBIGUOUS
    assert seen["smaller"].outcome is Outcome.RIGHT


def only_at(frame, value):
    return np.where(TIMES[frame] == TIMES, value, 0.0)


@pytest.mark.parametrize("others", [{}, {"other": rise(6.0)}])
def test_the_beginning_of_a_rise_at_the_last_frame_is_not_over(others):
    rows = {"end": only_at(-1, 0.09)} | others
    onset = find_onsets(traces_of(rows, 0.003))[0].onsets[0]
    assert onset.outcome is Outcome.RIGHT
    assert onset.reasons == ("under way at the last frame",)
    assert (onset.after, onset.before) == (TIMES[-2], math.inf)


@pytest.mark.parametrize("others", [{}, {"other": rise(6.0)}])
def test_the_end_of_a_rise_at_the_first_frame_may_be_over_before(others):
    rows = {"first": 0.3 - only_at(0, 0.09)} | others
    onset = find_onsets(traces_of(rows, 0.003))[0].onsets[0]
    assert onset.outcome is Outcome.LEFT
    assert onset.reasons == ("under way at the first frame",)
    assert (onset.after, onset.before) == (-math.inf, TIMES[1])


@pytest.mark.parametrize("inverted", [False, True])
def test_rises_of_any_size_tell_who_was_on_from_the_start(inverted):
    rows = {"on": np.full(TIMES.size, 0.27), "off": 0.0 * TIMES}
    rows |= {"a": rise(3.0, amplitude=0.2), "b": rise(6.0, amplitude=0.36)}
    rows = {name: -row for name, row in rows.items()} if inverted else rows
    found = by_label(find_onsets(traces_of(rows, 0.003), inverted=inverted)[0])
    assert found["on"].outcome is Outcome.LEFT
    assert found["off"].outcome is Outcome.RIGHT


def test_levels_that_tell_nothing_leave_what_is_above_them_all_ambiguous():
    rows = {"a": rise(3.0), "b": 0.4 + rise(6.0)}
    rows |= {"above": np.full(TIMES.size, 0.6), "among": np.full(TIMES.size, 0.3)}
    found = by_label(find_onsets(traces_of(rows, 0.003))[0])
    assert found["above"].outcome is Outcome.AMBIGUOUS
    assert found["above"].reasons == ("no rise, and beyond all others before theirs",)
    assert found["among"].outcome is Outcome.RIGHT


@pytest.mark.parametrize("alike", [2, 3])
def test_levels_of_few_tell_nothing_where_one_lies_apart(alike):
    """Two or three agree to the noise; the level of one more lies beyond them."""
    rows = {f"p{k}": rise(3.0 + k) for k in range(alike)}
    rows |= {"apart": 0.4 + rise(8.0), "above": np.full(TIMES.size, 0.6)}
    found = by_label(find_onsets(traces_of(rows, 0.003))[0])
    assert found["above"].outcome is Outcome.AMBIGUOUS
    del rows["apart"]  # then they tell
    found = by_label(find_onsets(traces_of(rows, 0.003))[0])
    assert found["above"].outcome is Outcome.LEFT


def test_a_gap_over_the_rise_gives_its_two_ends():
    traces = traces_of({"a": rise(5.0, 0.1), "b": rise(3.0)})
    hidden = (TIMES > 4.5 * HOUR) & (TIMES < 6.0 * HOUR)
    intensity = traces.intensity.copy()
    intensity[0, hidden] = np.nan
    (one,) = find_onsets(Traces(TIMES, traces.labels, intensity))
    onset = by_label(one)["a"]
    assert onset.outcome is Outcome.INTERVAL
    assert onset.reasons == ("in a gap",)
    assert onset.after == pytest.approx(
        TIMES[~hidden & (TIMES < 5 * HOUR)][-1], abs=200
    )
    assert onset.before == pytest.approx(
        TIMES[~hidden & (TIMES > 5 * HOUR)][0], abs=200
    )


def test_a_pause_of_the_camera_does_as_a_gap_does():
    kept = (TIMES < 4.5 * HOUR) | (TIMES > 6.0 * HOUR)
    times = TIMES[kept]
    rows = {"a": rise(5.0, 0.1, times=times), "b": rise(3.0, times=times)}
    (one,) = find_onsets(traces_of(rows, times=times))
    assert by_label(one)["a"].outcome is Outcome.INTERVAL
    assert "the camera paused 1 time, at most for 9" in one.notes[0]


def test_a_particle_that_is_lost_is_censored_at_its_last_valid_frame():
    traces = traces_of({"a": rise(9.0), "b": rise(3.0)})
    intensity = traces.intensity.copy()
    intensity[0, 100:] = np.nan
    (one,) = find_onsets(Traces(TIMES, traces.labels, intensity))
    assert by_label(one)["a"].outcome is Outcome.RIGHT
    assert by_label(one)["a"].after == TIMES[99]


def test_particles_that_darken_in_a_charge_are_found_inverted():
    traces = traces_of({"a": -rise(4.0), "b": -rise(7.0)})
    (plain,) = find_onsets(traces)
    (turned,) = find_onsets(traces, inverted=True)
    assert len(plain.of(Outcome.AMBIGUOUS)) == 2
    assert "2 of 2 particles darken, where they are expected to bri" in plain.notes[0]
    assert len(turned.of(Outcome.EXACT)) == 2


def test_an_exposure_widens_deviations():
    traces = traces_of({"a": rise(4.0)})
    plain, blurred = (find_onsets(traces, exposure=e)[0].onsets[0] for e in (0, 600.0))
    wider = math.hypot(plain.midpoint_sd, 600.0 / math.sqrt(12))
    assert blurred.midpoint_sd == pytest.approx(wider)
    assert blurred.midpoint == plain.midpoint


def measured(name, noise):
    times, rows = whiteline_traces(name)
    traces = Traces(times, tuple(rows), np.array(list(rows.values())))
    spacing = float(np.median(np.diff(times)))
    return find_onsets(traces, noise=noise, exposure=spacing)[0]


NMC333 = {
    "blue": (6.56, 6.56),
    "orange": (3.80, 3.88),
    "green": (4.44, 4.54),
    "red": (7.90, 7.90),
    "purple": (8.56, 8.56),
    "brown": (8.15, 8.15),
}


def test_published_midpoints_of_nmc333_come_out():
    found = by_label(measured("nmc333_charge1_fine", 0.05))
    for particle, (low, high) in NMC333.items():
        onset = found[particle]
        assert onset.outcome is Outcome.EXACT
        assert low - 0.05 <= onset.midpoint / HOUR <= high + 0.05
        assert onset.half_step == pytest.approx(onset.midpoint, abs=0.1 * HOUR)
        assert 0.10 < onset.midpoint_sd / HOUR < 0.25
        assert 0.6 < onset.duration / HOUR < 1.7


def test_published_events_of_nmc532_come_out():
    one = measured("nmc532_charge1", 0.1)
    found = by_label(one)
    expected = {"blue": (3.88, 0.4), "green": (5.4, 0.5), "orange": (8.3, 0.4)}
    for particle, (middle, deviation) in expected.items():
        onset = found[particle]
        assert onset.midpoint / HOUR == pytest.approx(middle, abs=deviation)
        if onset.outcome is Outcome.INTERVAL:
            assert onset.after / HOUR < middle <= onset.before / HOUR
        else:
            assert onset.midpoint_sd / HOUR > deviation
    bounds = found["red"].after / HOUR, found["red"].before / HOUR
    assert bounds == pytest.approx((8.522, 9.851))
    assert found["purple"].outcome is Outcome.RIGHT
    assert found["purple"].after / HOUR == pytest.approx(9.851)
    assert len(to_events(one, surface=False).particles) == 5


STEADY = ("still", "drifts", "sinks", "climbs")


@pytest.fixture(scope="module")
def slow():
    """Particles that rise in a charge and do as named in the discharge that follows."""
    times = HOUR * np.linspace(0.0, 20.0, 401)
    up = {label: rise(2.0 + k, times=times) for k, label in enumerate(STEADY)}
    part = np.clip(times / HOUR - 10.0, 0.0, None) / 10.0
    ways = {"still": 0.0, "drifts": -0.05, "sinks": -0.25, "climbs": 0.25}
    rows = {label: up[label] + ways[label] * part for label in STEADY}
    halves = from_bounds([(0.0, 10 * HOUR, True), (10 * HOUR, 20 * HOUR, False)])
    return find_onsets(traces_of(rows, 0.015, times=times), halves)


@pytest.mark.parametrize("particle", ["sinks", "climbs"])
def test_a_change_throughout_a_half_cycle_is_steady_and_not_censored(slow, particle):
    onset = by_label(slow[1])[particle]
    assert onset.outcome is Outcome.STEADY
    verb = {"sinks": "darkens", "climbs": "brightens"}[particle]
    assert onset.reasons[0].startswith(f"{verb} by 0.2")
    assert math.isnan(onset.after)
    assert math.isnan(onset.before)


@pytest.mark.parametrize("particle", ["still", "drifts"])
def test_a_change_that_is_small_beside_the_particles_own_rise_is_none(slow, particle):
    assert by_label(slow[1])[particle].outcome is Outcome.RIGHT


def test_a_steady_change_is_counted_and_never_in_the_table_for_a_fit(slow):
    assert "2 right-censored, 2 steady" in slow[1].describe()
    assert set(to_events(slow[1]).particles) == {"still", "drifts"}


@pytest.mark.parametrize(
    ("slope", "outcome"), [(0.25, Outcome.STEADY), (0.05, Outcome.RIGHT)]
)
def test_a_steady_change_is_measured_by_the_rises_of_others(slope, outcome):
    rows = {"a": rise(4.0), "b": rise(8.0), "c": slope * TIMES / TIMES[-1]}
    (one,) = find_onsets(traces_of(rows, 0.01))
    assert by_label(one)["c"].outcome is outcome


def test_a_steady_change_is_measured_by_noise_where_nothing_rose():
    rows = {"flat": 0 * TIMES, "slow": 0.25 * TIMES / TIMES[-1]}
    (one,) = find_onsets(traces_of(rows, 0.01))
    assert by_label(one)["flat"].outcome is Outcome.RIGHT
    assert by_label(one)["slow"].outcome is Outcome.STEADY


def test_a_small_rise_cut_off_after_a_steady_change_is_not_censored():
    times = HOUR * np.linspace(0.0, 20.0, 401)
    part = np.clip(times / HOUR - 10.0, 0.0, None) / 10.0
    end = rise(20.0, 1.3, 0.1, times=times)
    halves = from_bounds([(0.0, 10 * HOUR, True), (10 * HOUR, 20 * HOUR, False)])
    rows = {"a": rise(4.0, 0.5, 0.2, times=times) - 0.3 * part - end}
    onset = find_onsets(traces_of(rows, 0.002, times=times), halves)[1].onsets[0]
    assert onset.outcome is Outcome.STEADY
    assert "under way" not in onset.reasons[0]


def test_a_stub_at_the_start_of_a_record_is_no_reference():
    hours = np.array([0.0, 0.01, 0.02, 1.0, 11.0, 12.0])
    current = np.array([-1e-3, -1e-3, 0.0, 2e-3, 2e-3, 0.0])
    recording = Recording(3600.0 * hours, np.full(6, 3.7), current)
    assert len(recording.half_cycles()) == 2
    charge = state_of_charge(recording, 0.0)
    assert "(half cycle 2)" in charge.source
    assert charge.reference > 3600.0 * 10 * 2e-3
    assert np.ptp(charge.share) < 1.1


def test_what_may_have_risen_within_few_frames_is_not_censored_after_them():
    times, outcomes = HOUR * np.arange(8), []
    for seed in range(12):
        draws = np.random.default_rng(seed)
        middles = {name: draws.uniform(1.0, 5.5) for name in "abcd"}
        rows = {k: rise(m, 0.3, times=times) for k, m in middles.items()}
        (one,) = find_onsets(traces_of(rows | {"silent": 0 * times}, 0.04, times, seed))
        silent = by_label(one)["silent"].outcome
        outcomes += [(o.outcome, silent) for o in one.onsets if o.particle != "silent"]
    told, silent = (np.array(row) for row in zip(*outcomes, strict=True))
    assert np.mean(np.isin(told, (Outcome.RIGHT, Outcome.LEFT))) < 0.05
    assert np.mean(silent == Outcome.RIGHT) > 0.9


def test_a_rise_alone_at_five_noises_of_few_frames_is_seldom_censored():
    times, told = HOUR * np.arange(10), []
    for seed in range(60):
        middle = np.random.default_rng(seed).uniform(1.5, 7.5)
        for amplitude in (0.3, 0.0):
            row = {"a": rise(middle, 1.0, amplitude, times)}
            (one,) = find_onsets(traces_of(row, 0.06, times, seed))
            told.append(one.onsets[0].outcome)
    censored = np.array(told) == Outcome.RIGHT
    assert np.mean(censored[::2]) < 0.1
    assert np.mean(censored[1::2]) > 0.7


def test_a_published_rise_beyond_the_noise_of_few_frames_is_not_censored():
    orange = by_label(measured("nmc532_charge1", None))["orange"]
    assert orange.outcome is Outcome.AMBIGUOUS
    assert orange.reasons == ("no clear rise, but a step of 2.3",)
