"""Calibration: uniform ranks pass, bent ones do not, and a wrong likelihood is seen."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from fitting import calibration
from fitting.calibration import Experiment, uniformity
from fitting.events import Event, Events
from fitting.noise import EventNoise, StudentT
from fitting.parameters import clock
from fitting.posterior_figures import calibration_figure

from .linear import HOUR, problem_of

pytestmark = pytest.mark.optimised

MATRIX = np.array([[1.5, 0.3], [0.2, 0.0], [-0.4, 1.2], [0.0, 0.1]])
SD, LAST = 0.6 * HOUR, 5.8 * HOUR
TRIALS = 50


def events():
    rows = []
    for label in ("p", "q"):
        rows.append(Event(label, "midpoint", time=5.0 * HOUR, sd=SD))
        rows.append(Event(label, "duration", time=HOUR, sd=SD))
    return Events.from_rows(rows)


def ranks_of(name, rng, total=300, num_draws=63):
    """Ranks of four quantities; the last one's are not uniform."""
    ranks = rng.integers(0, num_draws + 1, (total, 4))
    wide, biased = rng.beta(0.6, 0.6, total), rng.beta(1.35, 1.0, total)
    bent = {"uniform": rng.random(total), "too narrow": wide, "biased": biased}[name]
    ranks[:, 3] = bent * (num_draws + 1)
    return ranks


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("uniform", 0.05, 1.0), ("too narrow", 0.0, 1e-3), ("biased", 0.0, 1e-2)],
)
def test_bent_ranks_are_improbable(name, low, high, rng):
    found = uniformity(ranks_of(name, rng), 63)
    assert low <= found.probability[3] <= high
    assert np.all(found.probability[:3] > 0.05)
    outside = (found.difference < found.low) | (found.difference > found.high)
    np.testing.assert_array_equal(outside.any(axis=1), found.probability < 0.05)
    assert found.family == pytest.approx(min(1.0, 4 * found.probability.min()))


def test_ranks_that_are_all_there_once_do_not_stray():
    found = uniformity(np.arange(64)[:, None], 63)
    np.testing.assert_allclose(found.difference, 0.0, atol=1e-15)
    assert found.points[0] == pytest.approx(1 / 64)
    assert found.probability[0] == pytest.approx(1.0, abs=1e-3)


def test_one_set_of_uniform_ranks_in_twenty_leaves_the_band(rng):
    ranks = rng.integers(0, 64, (200, 600))
    found = uniformity(ranks, 63, seed=1)
    outside = (found.difference < found.low - 1e-12) | (
        found.difference > found.high + 1e-12
    )
    left = np.sum(outside.any(axis=1))
    assert scipy.stats.binomtest(int(left), 600, 0.05).pvalue > 0.01


def test_data_about_a_truth_end_with_the_last_frame(rng):
    noise = EventNoise.of(events(), edge_sd=SD)
    times = HOUR * np.array([5.0, 1.0, 9.0, 2.0])
    found = calibration.scattered(noise, times, LAST, rng)
    np.testing.assert_array_equal(found.exact, [True, True, False, False])
    assert np.all(np.abs(found.time[:2] - times[:2]) < 4 * SD)
    assert found.time[0] != times[0]
    np.testing.assert_array_equal(found.after, [-np.inf, -np.inf, LAST, -np.inf])
    assert np.all(np.isinf(found.before))


def test_a_clock_that_is_off_moves_the_data_too():
    problem = problem_of(MATRIX, events())
    space = dataclasses.replace(problem.space, clock=clock(900.0))
    problem = dataclasses.replace(problem, space=space)
    truth, times, _ = calibration._truth(problem, np.random.default_rng(0))
    own = HOUR * (5.0 + MATRIX @ truth[:2])
    np.testing.assert_allclose(times[::2] - own[::2], 900.0 * truth[2])
    np.testing.assert_allclose(times[1::2], own[1::2])


def measure(noise, times, rng):
    return calibration.scattered(noise, times, LAST, rng)


def forgetful(noise):
    """Particles that were never seen to react are forgotten."""
    return dataclasses.replace(noise, after=np.full(4, -np.inf))


def certain(noise):
    """Deviations are taken for a third of what they are."""
    return dataclasses.replace(noise, sd=noise.sd / 3.0)


CASES = {"right": lambda noise: noise, "forgetful": forgetful, "certain": certain}


@pytest.fixture(scope="module")
def trials():
    """Trials of a posterior that is right, and of two with a wrong likelihood."""
    problem = problem_of(MATRIX, events(), edge_sd=SD)
    made = {}
    for name, believed in CASES.items():
        own = Experiment(problem, measure, believed, calibration.of_nuts(50), 96, 3)
        made[name] = [calibration.trial(own, 7, k) for k in range(TRIALS)]
    return made


def found_of(trials):
    return uniformity(np.stack([t.ranks for t in trials]), trials[0].num_draws)


def test_a_right_posterior_passes(trials):
    found = found_of(trials["right"])
    assert found.family > 0.05
    inside = np.sum([t.inside90 for t in trials["right"]])
    assert scipy.stats.binomtest(int(inside), 3 * TRIALS, 0.9).pvalue > 0.01


@pytest.mark.parametrize("name", ["forgetful", "certain"])
def test_a_wrong_likelihood_is_seen(trials, name):
    assert found_of(trials[name]).family < 0.01


def test_a_trial_is_the_same_again(trials):
    ranks = trials["right"][1].ranks
    assert np.any(ranks != trials["right"][0].ranks)
    assert trials["right"][0].num_draws == 32


def test_the_figure_has_a_panel_for_each_case_and_its_band(trials):
    shown = {name: found_of(own) for name, own in trials.items()}
    figure = calibration_figure(shown, ["v 0", "v 1", "log likelihood"])
    assert len(figure.axes) == 3
    assert all(len(axes.lines) == 3 for axes in figure.axes)
    assert "0.00075" in figure.axes[2].get_title()


def test_data_about_a_truth_scatter_as_the_law_of_the_noise_says(rng):
    noise = EventNoise.of(events(), StudentT(1.0), edge_sd=SD)
    times = HOUR * np.array([50.0, 1.0, 90.0, 2.0])
    found = [calibration.scattered(noise, times, np.inf, rng) for _ in range(3000)]
    off = np.stack([(one.time - times) / SD for one in found])
    ends = np.quantile(off, [0.05, 0.95])
    np.testing.assert_allclose(ends, [-6.31, 6.31], rtol=0.15)


def test_data_about_a_truth_scatter_as_far_as_the_model_may_be_off(rng):
    noise = EventNoise.of(events(), discrepancy=2.0 * SD, edge_sd=SD)
    times = HOUR * np.array([50.0, 1.0, 90.0, 2.0])
    found = [calibration.scattered(noise, times, np.inf, rng) for _ in range(1000)]
    off = np.stack([(one.time - times) / one.scale for one in found])
    np.testing.assert_allclose(off.std(axis=0), 1.0, atol=0.1)


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ([[3], [32]], "among 31 draws must be 0 to 31, but go from 3 to 32"),
        ([[-1], [5]], "go from -1 to 5"),
        (np.zeros((0, 2), int), r"but has the shape \(0, 2\)"),
        ([3, 5], r"but has the shape \(2,\)"),
    ],
)
def test_ranks_that_are_none_are_refused(ranks, words):
    with pytest.raises(ValueError, match=words):
        uniformity(np.array(ranks), 31)
