"""The offset of the film's clock: recovered, with a deviation that holds."""

import functools

import numpy as np
import pytest
from scipy.signal import lfilter

from fitting.optical.clock import Offset, clock_offset
from fitting.optical.traces import Traces
from fitting.recording import Recording

HOUR = 3600.0
CYCLE = ((0.5, 0), (5, 1), (0.5, 0), (5, -1), (0.5, 0))
THREE_TURNS = ((5, 1), (5, -1), (5, 1), (4, -1))
ONE_TURN = ((6, 1), (6, -1))


@functools.cache
def recorded(program):
    """(recording, charge) of hours at a sign of current, a row a minute."""
    time, current, now = [], [], 0.0
    for hours, sign in program:
        count = int(hours * 60)
        time += list(now + 60.0 * np.arange(count) + 0.01 * bool(time))
        current += [1e-3 * sign] * (count + 1)
        now += 60.0 * count
        time.append(now)
    time, current = np.array(time), np.array(current)
    steps = 0.5 * (current[1:] + current[:-1]) * np.diff(time)
    charge = np.concatenate([[0.0], np.cumsum(steps)])
    share = (charge - charge.min()) / np.ptp(charge)
    return Recording(time, 3.6 + 0.7 * share, current), share


def filmed(seed, program, *, noise=0.005, drift=0.0, interval=120.0, bend=1.0):
    """(traces, recording, true offset at the middle of the film)."""
    rng = np.random.default_rng(seed)
    recording, share = recorded(program)
    offset = rng.uniform(-3.0, 3.0) * HOUR
    on_cycler = np.arange(0.2 * HOUR, recording.end, interval)
    seen = np.interp(on_cycler, recording.time, share) ** bend
    time = (on_cycler - offset) / (1.0 + drift)
    intensity = 0.2 + 0.3 * (seen + noise * rng.normal(size=(5, len(time))))
    traces = Traces(time, tuple("abcde"), intensity)
    return traces, recording, float(np.mean(on_cycler - time))


def errors(count, program, **film):
    """(error, deviation) [s] at the middle of the film, of many draws."""
    found = []
    for seed in range(count):
        traces, recording, offset = filmed(seed, program, **film)
        middle = np.mean(traces.time)
        clock = clock_offset(traces, recording)
        found.append((clock.on_cycler(middle) - middle - offset, clock.sd))
    return np.array(found).T


def test_the_offset_is_within_its_deviation_in_nine_of_ten_films():
    error, sd = errors(30, THREE_TURNS)
    assert np.all(np.isfinite(error))
    assert np.mean(np.abs(error) <= sd) >= 0.9
    assert np.median(sd) < 60.0  # half a frame


@pytest.mark.parametrize(
    ("program", "film"),
    [
        (CYCLE, {"noise": 0.02}),
        (CYCLE, {"bend": 0.7}),
        (THREE_TURNS, {"drift": 1e-3}),
        (ONE_TURN, {"noise": 0.02}),
    ],
)
def test_two_deviations_hold_nine_of_ten_films(program, film):
    error, sd = errors(20, program, **film)
    assert np.mean(np.abs(error) <= 2 * sd) >= 0.9


@functools.cache
def held(lag, lead, hold):
    """(recording, intensity) of a charge, a hold and a discharge; surfaces lead.

    `lead` [share of capacity] at the charge's current, with the modes of a sphere of
    which the slowest takes `lag` [h]; the hold's current decays.
    """
    time = np.arange(0.0, (12 + hold) * HOUR, 30.0)
    decay = np.exp(-(time - 6 * HOUR) / (0.4 * HOUR))
    current = np.where(time < 6 * HOUR, 1.0, decay)
    current = np.where(time < (6 + hold) * HOUR, current, -1.0)
    charge = np.concatenate([[0.0], 30.0 * np.cumsum(current[:-1])])
    share, ahead = charge / charge.max(), 0.0
    for mode in (1.0, 2.956, 5.889, 9.799, 14.688):  # squares of roots of tan x = x
        keep = np.exp(-30.0 * mode / (lag * HOUR))
        ahead = ahead + lfilter([1 - keep], [1, -keep], current) * lead / (2 * mode)
    return Recording(time, 3.6 + 0.5 * share, 1e-3 * current), share + ahead


@pytest.mark.parametrize("hold", [0.0, 1.0])
def test_surfaces_that_lead_do_not_move_the_offset_beyond_two_deviations(hold):
    missed, count, sds = 0, 0, []
    for lag, lead in ((0.1, 0.02), (0.3, 0.04), (0.8, 0.08)):
        recording, seen = held(lag, lead, hold)
        for seed in range(14):
            rng = np.random.default_rng([seed, 11])
            film = np.arange(0.2 * HOUR, recording.end, 120.0)
            row = np.interp(film, recording.time, seen)
            rows = row + 0.01 * rng.normal(size=(5, len(film)))
            offset = rng.uniform(-1.0, 1.0) * HOUR
            traces = Traces(film - offset, tuple("abcde"), rows)
            clock = clock_offset(traces, recording)
            missed += abs(clock.seconds - offset) > 2 * clock.sd
            sds.append(clock.sd)
            count += 1
    assert missed <= 0.05 * count
    assert np.median(sds) < 240.0  # two frames


def test_a_deviation_is_at_least_that_of_a_frame():
    traces, recording, _ = filmed(0, THREE_TURNS, noise=1e-6)
    assert clock_offset(traces, recording).sd >= 120.0 / np.sqrt(12)


def test_a_drift_is_told_from_three_reversals():
    traces, recording, _ = filmed(1, THREE_TURNS, noise=0.001, drift=2e-3)
    clock = clock_offset(traces, recording)
    assert clock.count == 3
    assert clock.drift == pytest.approx(2e-3, abs=3 * clock.drift_sd)
    assert clock.drift > 5 * clock.drift_sd
    assert clock.sure_drift == clock.drift
    assert not clock.notes


def test_a_drift_cannot_be_told_from_one_reversal():
    traces, recording, offset = filmed(2, ONE_TURN)
    clock = clock_offset(traces, recording)
    assert clock.count == 1
    assert np.isnan(clock.drift)
    assert "cannot be told from 1 reversal; three are needed" in clock.notes[0]
    np.testing.assert_allclose(clock.on_cycler(0.0), clock.seconds)
    assert clock.seconds == pytest.approx(offset, abs=3 * clock.sd)


def in_turn(seed, count, cycles=1):
    """(traces, recording) of clocks that differ by 1234 s; only in the first charge
    particles react one after another.
    """
    rng = np.random.default_rng([seed, count])
    recording, _ = recorded(((20, 1), (20, -1)) * cycles)
    moved = np.arange(1234.0, recording.end - 600.0, 600.0)
    half, share = np.divmod(moved / (20 * HOUR), 1.0)
    onset = rng.uniform(0.4, 19.6, (count, 1)) * HOUR
    risen = 1 / (1 + np.exp(-np.clip((moved - onset) / 270.0, -60.0, 60.0)))
    seen = np.where(half == 0, risen, np.where(half % 2, 1 - share, share))
    seen = seen + 0.01 * rng.normal(size=seen.shape)
    labels = tuple(str(k + 1) for k in range(count))
    return Traces(moved - 1234.0, labels, 0.3 + 0.3 * seen), recording


def test_particles_that_react_in_turn_widen_the_deviation_of_the_offset():
    clocks = [clock_offset(*in_turn(seed, 20)) for seed in range(12)]
    pulls = np.array([(clock.seconds - 1234.0) / clock.sd for clock in clocks])
    assert np.sqrt(np.mean(pulls**2)) < 2.0
    assert np.median([clock.sd for clock in clocks]) < 3000.0


def test_particles_that_react_in_turn_make_no_drift():
    early = 10 * HOUR
    for seed in range(6):
        clock = clock_offset(*in_turn(seed, 20, cycles=2))
        assert clock.sure_drift == 0.0
        error = clock.on_cycler(early) - early - 1234.0
        assert abs(error) < 2 * clock.sd_at(early) < 600.0


def test_few_particles_that_react_in_turn_do_not_tell_the_clock():
    told, refused = [], []
    for seed in range(6):
        try:
            clock = clock_offset(*in_turn(seed, 6))
            told.append((clock.seconds - 1234.0) / clock.sd)
        except ValueError as error:
            refused.append(str(error))
    assert np.all(np.abs(told) < 2.0)
    words = "does not at 1 reversal that the film shows, as where few particles react"
    assert sum(words in one for one in refused) >= 3


@pytest.mark.parametrize(("freedom", "least"), [(1, 12.7), (4, 2.8), (np.inf, 1.96)])
def test_a_drift_is_sure_where_few_hinges_would_not_show_it_by_chance(freedom, least):
    for times in (-1.1, -0.9, 0.9, 1.1):
        drift = times * least * 1e-4
        clock = Offset(0.0, 1.0, drift, 3, 1e-4, freedom)
        assert clock.sure_drift == (drift if abs(times) > 1 else 0.0)


def test_particles_that_come_and_go_do_not_move_the_offset():
    traces, recording, offset = filmed(3, ONE_TURN)
    turn = int(np.searchsorted(traces.time, 6 * HOUR - offset))
    intensity = traces.intensity.copy()
    intensity[:3, turn - 15 :] = np.nan
    intensity[3, ::11] = np.nan
    gone = Traces(traces.time, traces.labels, intensity)
    clock = clock_offset(gone, recording)
    assert clock.seconds == pytest.approx(offset, abs=2 * clock.sd)


def test_a_current_that_decays_before_it_turns_does_not_move_the_offset():
    time = np.concatenate(
        [np.arange(0.0, 6 * HOUR, 60.0), 6 * HOUR + np.array([0, 1, 6 * HOUR])]
    )
    decay = np.exp(-np.maximum(time - 4 * HOUR, 0.0) / HOUR)
    current = np.where(time <= 6 * HOUR, 1e-3 * decay, -1e-3)
    steps = 0.5 * (current[1:] + current[:-1]) * np.diff(time)
    charge = np.concatenate([[0.0], np.cumsum(steps)])
    share = (charge - charge.min()) / np.ptp(charge)
    recording = Recording(time, 3.6 + 0.7 * share, current)
    film = np.arange(0.0, 11 * HOUR, 120.0)
    seen = np.interp(film, time, share)
    noise = 1e-3 * np.random.default_rng(0).normal(size=len(film))
    traces = Traces(film - 700.0, ("a",), (seen + noise)[None])
    clock = clock_offset(traces, recording)
    assert clock.seconds == pytest.approx(700.0, abs=60.0)


def test_cycles_that_are_alike_need_a_rough_offset():
    many = ((2, 1), (2, -1)) * 6
    recording, share = recorded(many)
    kept = np.arange(4.2 * HOUR, 12.0 * HOUR, 120.0)
    seen = np.interp(kept, recording.time, share)
    seen = seen + 0.01 * np.random.default_rng(0).normal(size=len(kept))
    traces = Traces(kept - 500.0, ("a",), seen[None])
    words = r"may be 29288 s, but as well 43760 s, for the half cycles are alike; give "
    words += r"the offset \(--clock-offset-s\), in Python `near` and `within`"
    with pytest.raises(ValueError, match=words):
        clock_offset(traces, recording)
    clock = clock_offset(traces, recording, near=0.0, within=HOUR)
    assert clock.seconds == pytest.approx(500.0, abs=3 * clock.sd)
    assert clock.count == 3


BAD = {
    "no current": (
        lambda t, r: (t, Recording(r.time, r.voltage)),
        {},
        "needs a recording with a current, but it has none; give the offset",
    ),
    "no reversal": (
        lambda t, r: (
            Traces(t.time, ("a",), np.linspace(0.0, 1.0, len(t.time))[None]),
            recorded(((12, 1),))[0],
        ),
        {},
        "must show a reversal or the start of a rest with 6 frames or more on each",
    ),
    "constant traces": (
        lambda t, r: (Traces(t.time, t.labels, 0 * t.intensity), r),
        {},
        "every trace is constant; the clock cannot be told",
    ),
    "few frames": (
        lambda t, r: (Traces(t.time[:9], t.labels, t.intensity[:, :9]), r),
        {},
        "needs 12 frames or more, but there are 9",
    ),
    "inverted contrast": (
        lambda t, r: (Traces(t.time, t.labels, 1 - t.intensity), r),
        {"near": 0.0, "within": 3.0 * HOUR},
        "must rise while the cell charges, but falls; read the traces as inverted",
    ),
    "nothing but noise": (
        lambda t, r: (
            Traces(t.time, ("a",), np.random.default_rng(0).random((1, len(t.time)))),
            r,
        ),
        {},
        "must follow the charge, but agrees with it by 0.* at best",
    ),
    "half a guess": (
        lambda t, r: (t, r),
        {"near": 0.0},
        "`near` and a positive `within` must be given together",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_clock_that_cannot_be_told_is_refused_in_one_sentence(name):
    change, options, words = BAD[name]
    traces, recording, _ = filmed(4, ONE_TURN)
    with pytest.raises(ValueError, match=words):
        clock_offset(*change(traces, recording), **options)
