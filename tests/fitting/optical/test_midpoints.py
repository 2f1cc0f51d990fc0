import math

import numpy as np
import pytest
from scipy.special import expit

from benchmarks.onset_bias import ALL, MINUTE, closed_form, made_trace
from fitting.optical import midpoints
from fitting.optical.jump_fit import fit_jump, half_step, noise_of
from fitting.optical.midpoints import find_rise
from fitting.optical.shapes import ENDS, SHAPES
from fitting.optical.verdicts import judge, look_at


@pytest.mark.parametrize(("shape", "ends"), list(zip(SHAPES, ENDS, strict=True)))
def test_a_shape_takes_one_duration_from_ten_to_ninety_per_cent(shape, ends):
    at = np.array([ends[0], 0.0, ends[1]])
    np.testing.assert_allclose(shape(at), [0.1, 0.5, 0.9], atol=1e-12)
    assert ends[1] - ends[0] == pytest.approx(1.0)


CASES = [(name, 10, 20) for name in ALL] + [("approach", 30, 20), ("approach", 10, 5)]


@pytest.fixture(scope="module")
def found():
    """{case: (errors, deviations) [min]} of five made traces each."""
    results = {}
    for name, minutes, signal in CASES:
        generator = np.random.default_rng([minutes, signal, *name.encode()])
        rows = []
        for _ in range(5):
            times, trace, middle = made_trace(
                generator, ALL[name], minutes * MINUTE, signal
            )
            onset = judge(look_at("p", times, trace, None), 1.0, 0.0)
            rows.append([onset.midpoint - middle, onset.midpoint_sd])
        results[name, minutes, signal] = np.array(rows).T / MINUTE
    return results


@pytest.mark.parametrize("case", CASES, ids=str)
def test_midpoints_are_close_whatever_the_shape(found, case):
    errors, _ = found[case]
    bias, rms = (1.0, 2.0) if case[2] == 20 else (2.0, 4.0)
    assert abs(np.mean(errors)) < bias
    assert np.sqrt(np.mean(errors**2)) < rms


def test_deviations_of_midpoints_hold(found):
    errors, deviations = np.concatenate(list(found.values()), axis=1)
    held = np.mean(np.abs(errors) < 1.96 * deviations)
    assert held > 0.85  # 45 draws: 93 % less two standard errors
    assert np.mean((errors / deviations) ** 2) < 1.6


def test_deviations_of_slow_rises_hold_that_a_later_slope_sets_in_somewhere():
    generator, found = np.random.default_rng(3), []
    for shape in ALL.values():
        for _ in range(5):
            times, trace, middle = made_trace(
                generator, shape, 120 * MINUTE, 20, saturating=True
            )
            onset = judge(look_at("p", times, trace, None), 1.0, 0.0)
            found.append((onset.midpoint - middle) / onset.midpoint_sd)
    away = np.abs([z for z in found if np.isfinite(z)])
    assert np.mean(away < 1.96) > 0.75  # 42 % if it set in at midpoints
    assert np.sqrt(np.mean(away**2)) < 1.8


BESIDE = {
    "square": lambda t, end: 0.3 * np.clip(t / end, 0, 1) ** 2,
    "cube": lambda t, end: 0.3 * np.clip(t / end, 0, 1) ** 3,
    "half of the way": lambda t, end: 0.3 * np.clip(2 * t / end - 1, 0, 1),
    "a fall after it": lambda t, end: -0.3 * np.clip((t - end - 1000) / 6000, 0, 1),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_intervals_hold_beside_slopes_that_bend(beside):
    """Most of 20; of durations none to 11 were, before slopes could bend early."""
    times, held = 60.0 * np.arange(150), []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        middle, long = rng.uniform(0.35, 0.75) * times[-1], rng.uniform(300, 1800)
        trace = expit(2 * np.log(9) * (times - middle) / long)
        trace = trace + BESIDE[beside](times, middle) + rng.normal(0, 0.01, 150)
        found = judge(look_at("p", times, trace, None), 1.0, 0.0)
        held.append(
            (
                abs(found.midpoint - middle) < 1.96 * found.midpoint_sd,
                abs(found.duration - long) < 1.645 * found.duration_sd,
            )
        )
    assert np.all(np.sum(held, axis=0) >= (18, 15))


def test_deviations_are_near_the_closed_form_without_a_term_for_frames(found):
    ratios = [
        np.mean(deviations) * MINUTE / closed_form(minutes * MINUTE, signal)
        for (_, minutes, signal), (_, deviations) in found.items()
    ]
    assert 0.9 < np.mean(ratios) < 1.5


def test_a_jump_between_two_frames_is_as_likely_anywhere_between_them():
    times = np.arange(0.0, 7200.0, 60.0)
    trace = np.where(times < 3590.0, 0.0, 1.0)
    trace = trace + 0.01 * np.random.default_rng(2).standard_normal(times.size)
    rise = find_rise(times, trace, 0.01, fit_jump(times, trace, 0.01))
    assert rise.midpoint == pytest.approx(3570.0, abs=8.0)
    assert 0.6 < rise.midpoint_sd / (60.0 / math.sqrt(12)) < 1.2


def test_deviations_of_jumps_between_frames_hold():
    times, ratios = 1800.0 * np.arange(33), []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        middle = times[-1] * generator.uniform(0.3, 0.7)
        trace = 0.3 * (times > middle) + 0.015 * generator.standard_normal(33)
        found = judge(look_at("p", times, trace, None), 1.0, 0.0)
        assert 0.2 < found.midpoint_sd / 1800.0 < 0.3
        ratios.append((found.midpoint - middle) / found.midpoint_sd)
    assert 0.7 < np.sqrt(np.mean(np.square(ratios))) < 1.3


@pytest.mark.parametrize("seed", [4, 6])
def test_a_jump_is_as_likely_anywhere_in_a_pause_of_the_camera(seed):
    times = 60.0 * np.append(np.arange(51), np.arange(70, 120))
    trace = (times > 3600.0) + 0.05 * np.random.default_rng(seed).standard_normal(101)
    rise = find_rise(times, trace, 0.05, fit_jump(times, trace, 0.05))
    pause = 60.0 * 20
    assert rise.midpoint == pytest.approx(3600.0, abs=0.1 * pause)
    assert 0.22 < rise.midpoint_sd / pause < 0.3


def on_a_fine_grid(times, trace, noise, jump):
    """Mean and deviation of the midpoint by plain sums over a wide grid."""
    frames = midpoints._near(times, trace, noise, jump)
    at = jump.midpoint + frames.spacing * np.linspace(-4, 4, 161)
    shortest, longest = 0.05 * frames.spacing, times[-1] - times[0]
    duration = np.geomspace(shortest, longest, 61)
    points = [a.ravel() for a in np.meshgrid(at, duration)]
    density = [midpoints._log_density(shape, frames, *points) for shape in SHAPES]
    share = np.exp(np.array(density) - np.max(density)).sum(0)
    share /= share.sum()
    mean = share @ points[0]
    return mean, math.sqrt(share @ (points[0] - mean) ** 2)


@pytest.mark.parametrize("frames_long", [0.3, 1.5, 4.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_grid_that_closes_in_finds_what_a_fine_one_does(frames_long, seed):
    generator, times = np.random.default_rng(seed), 1800.0 * np.arange(40)
    middle = 1800.0 * generator.uniform(15, 25)
    trace = SHAPES[0]((times - middle) / (1800.0 * frames_long))
    trace = trace + 0.05 * generator.standard_normal(40)
    jump = fit_jump(times, trace, 0.05)
    rise = find_rise(times, trace, 0.05, jump)
    mean, deviation = on_a_fine_grid(times, trace, 0.05, jump)
    assert rise.inflation == 1.0
    assert rise.midpoint_sd == pytest.approx(deviation, rel=0.12)
    assert rise.midpoint == pytest.approx(mean, abs=0.1 * deviation)


def test_an_outlier_moves_a_midpoint_by_less_than_its_deviation():
    times, trace, _ = made_trace(
        np.random.default_rng(5), ALL["logistic"], 20 * MINUTE, 20
    )
    clean = judge(look_at("p", times, trace, None), 1.0, 0.0)
    at = np.searchsorted(times, clean.midpoint) + 15
    trace[at] -= 1.0
    spoilt = judge(look_at("p", times, trace, None), 1.0, 0.0)
    assert abs(spoilt.midpoint - clean.midpoint) < clean.midpoint_sd


def test_noise_is_told_from_a_rise():
    _, trace, _ = made_trace(np.random.default_rng(3), ALL["ramp"], 30 * MINUTE, 20)
    assert noise_of(trace) == pytest.approx(0.05, rel=0.15)


def test_noise_is_not_below_what_eight_bits_leave_open():
    trace = np.round(np.linspace(0, 3, 200))
    assert noise_of(trace) == pytest.approx(1 / math.sqrt(12))


def test_the_half_step_height_needs_no_shape():
    times = np.arange(0.0, 36000.0, 60.0)
    trace = np.clip((times - 18000.0) / 1800.0 + 0.5, 0, 1)
    jump = fit_jump(times, trace, 0.01)
    assert half_step(times, trace, jump) == pytest.approx(18000.0, abs=5.0)


def test_times_scale_with_the_clock_and_not_with_the_intensity():
    times, trace, _ = made_trace(
        np.random.default_rng(4), ALL["approach"], 10 * MINUTE, 20
    )
    one = judge(look_at("p", times, trace, None), 1.0, 0.0)
    other = judge(look_at("p", 3 * times + 7, 255 * trace - 4, None), 255.0, 0.0)
    assert other.midpoint == pytest.approx(3 * one.midpoint + 7, abs=1e-2)
    assert other.midpoint_sd == pytest.approx(3 * one.midpoint_sd, rel=1e-3)


@pytest.mark.parametrize("kind", ["inwards", "outwards"])
def test_a_slow_front_through_a_disc_is_timed_as_it_goes(kind):
    """Its share of a disc is 1 - (1 - u)^2 from the rim on, u^2 from the middle on."""
    times, start, whole = 60.0 * np.arange(200), 4000.0, 2500.0
    u = np.clip((times - start) / whole, 0, 1)
    share = u**2 if kind == "outwards" else 1 - (1 - u) ** 2
    ends = np.sqrt([0.1, 0.5, 0.9])
    ends = ends if kind == "outwards" else 1 - ends[::-1]
    noise = np.random.default_rng(5).standard_normal((4, 200))
    for row in 0.3 + 0.3 * share + 0.0015 * noise:
        onset = judge(look_at("p", times, row, None), 0.3, 0.0)
        assert onset.midpoint == pytest.approx(start + whole * ends[1], abs=25)
        assert onset.duration == pytest.approx(whole * (ends[2] - ends[0]), rel=0.05)
