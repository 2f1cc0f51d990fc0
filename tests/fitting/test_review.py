"""What a report states of a fit: on one clock, each row once, deviations that hold."""

import dataclasses
from types import SimpleNamespace

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fitting import review, setup, summary
from fitting.events import Event, Events
from fitting.noise import EventNoise, Normal, StudentT
from fitting.optimise import fit
from fitting.optimisers import LevenbergMarquardt
from fitting.recording import Recording

from .linear import HOUR, MATRIX, SD, SEEN, problem_of


@pytest.mark.parametrize("scatter", [Normal(), StudentT()])
@pytest.mark.parametrize("off", [0.0, 2.0])
def test_deviations_of_predicted_times_are_those_of_the_numbers(scatter, off):
    """Also where a robust row says less of its time the farther that is off [h]."""
    seen = SEEN + np.array([0.0, 0.0, off, 0.0])
    pairs = enumerate(zip(seen, SD, strict=True))
    rows = [Event(str(k), "onset", time=HOUR * t, sd=HOUR * s) for k, (t, s) in pairs]
    rows.append(Event("4", "onset", after=4.0 * HOUR, before=np.inf))
    rows.append(Event("5", "onset", after=4.0 * HOUR, before=6.0 * HOUR))
    events = Events.from_rows(rows)
    matrix = np.concatenate([MATRIX, [[0.5, 0.0, 0.2], [0.2, 0.4, 0.1]]])
    problem = problem_of(matrix, events, scatter=scatter, edge_sd=600.0)
    best = fit(problem, np.zeros((1, 3)), LevenbergMarquardt(1e-12))
    prepared = SimpleNamespace(problem=problem, events=events, fitted=np.ones(6, bool))
    found = review._predicted_deviation(prepared, best, 0.0)
    slopes = HOUR * matrix
    exact = np.sqrt(np.einsum("ri,ij,rj->r", slopes, best.covariance, slopes))
    exact[4] = 0.0  # only a bound on one side
    np.testing.assert_allclose(found, exact, rtol=1e-6)


@pytest.mark.parametrize("law", [scipy.stats.norm(), scipy.stats.t(4.0)])
@pytest.mark.parametrize("offset", [0.0, 900.0])
def test_a_misfit_is_how_far_off_an_event_is_however_narrow_its_interval(law, offset):
    """The interval of a minute is met, and told to 5; one time is 10 deviations off."""
    rows = [
        Event("0", "onset", time=6 * HOUR, sd=HOUR / 10),
        Event("1", "onset", after=HOUR, before=HOUR + 60.0),
        Event("2", "onset", after=HOUR, before=HOUR + 60.0),
        Event("3", "onset", after=4 * HOUR, before=np.inf),
    ]
    scatter = StudentT() if law.dist.name == "t" else Normal()
    noise = EventNoise.of(Events.from_rows(rows), scatter, edge_sd=300.0)
    predicted = np.array([5 * HOUR, HOUR + 30.0, HOUR + 630.0, 4 * HOUR])
    found = review._misfits(noise, jnp.asarray(predicted - offset), offset)
    held = law.cdf(0.1) - law.cdf(-0.1), law.cdf(-1.9) - law.cdf(-2.1)
    off = -scipy.stats.norm.ppf(law.sf(10.0))
    due = [off, 0.0, np.sqrt(2 * np.log(held[0] / held[1])), np.sqrt(2 * np.log(2.0))]
    np.testing.assert_allclose(found, due, atol=1e-6)


@pytest.fixture(scope="module")
def run():
    """A setup behind a recorded current, and its solution with the numbers of 0."""
    rows = [Event("a", "onset", time=5 * HOUR, sd=300.0)]
    time = HOUR * np.array([0.0, 6.0, 6.1, 8.0])
    current = 1e-3 * np.array([1.0, 1.0, -1.0, -1.0])
    recording = Recording(time, np.array([3.6, 4.1, 4.0, 3.8]), current)
    choices = setup.Choices(free=("clock",), capacity=20 * 3.6, num_shells=3)
    prepared = setup.by_current(Events.from_rows(rows), recording, choices)
    solve = eqx.filter_jit(lambda forward, electrode: forward.solve(electrode))
    return prepared, solve(prepared.forward, prepared.problem.electrode)


@pytest.mark.parametrize("offset", [0.0, 1200.0])
def test_a_free_clock_moves_prediction_and_record_alike(run, offset):
    prepared, solution = run
    time, first = np.unique(solution.time, return_index=True)
    made = Recording(time, np.asarray(solution.voltage)[first])
    report = SimpleNamespace(
        drive="current",
        recorded=review._recorded(made, offset),
        trajectories=review._trajectories(prepared, solution, offset),
    )
    moved = report.trajectories.time[[0, -1]] - offset
    np.testing.assert_allclose(moved, [0.0, 8.0 * HOUR], atol=1e-6)
    assert summary.voltage_difference(report) < 1e-4


def test_a_trajectory_holds_each_row_once_and_both_sides_of_a_leap(run):
    prepared, solution = run
    times = np.asarray(solution.time)
    twice = np.flatnonzero(np.diff(times) == 0)
    assert len(twice) > 2
    leaps = solution.voltage.at[int(twice[2]) + 1 :].add(0.5)
    leap = dataclasses.replace(solution, voltage=leaps)
    for one, more in ((solution, 0), (leap, 1)):
        found = review._trajectories(prepared, one, 0.0)
        rows = np.column_stack([found.time, found.voltage, found.current])
        assert len(np.unique(rows, axis=0)) == len(rows)
        assert len(rows) == len(np.unique(times)) + more
        assert len(found.mean) == len(found.surface) == len(rows)
        assert set(found.time) == set(times)


@pytest.mark.parametrize("offset", [0.0, 1200.0])
def test_half_cycles_with_a_clock_each_begin_where_the_run_has_them(run, offset):
    """Within a free clock of both, the clock of the run is that of the second."""
    prepared, solution = run
    forward = dataclasses.replace(
        prepared.forward,
        **{"origin": None, "half_cycle": 1, "half_cycles": (0, 1)},
        delithiates=(True, False),
    )
    own = SimpleNamespace(forward=forward, events=prepared.events)
    (first, second) = (float(solution.half_cycle_span(k)[0]) for k in (0, 1))
    halves = review._trajectories(own, solution, offset).halves
    assert halves[0] == (first - second + offset, True, first - second)
    assert halves[1] == (offset, False, 0.0)
    one = review._trajectories(prepared, solution, offset).halves
    assert [half.zero for half in one.values()] == [0.0]
