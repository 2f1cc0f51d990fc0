"""Fits: the truth comes back, failures are counted, progress is told."""

import itertools
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.optimize
import scipy.stats

from fitting.events import Event, Events
from fitting.optimise import (
    FIT_RESULTS,
    FirstOrder,
    LevenbergMarquardt,
    fit,
    latin_hypercube,
)
from tests.fitting.stand_in import (
    HOUR,
    PARTICLES,
    TRUTH,
    ClosedForm,
    closed_events,
    closed_problem,
    closed_space,
)

PRECISE = LevenbergMarquardt(1e-12)


@pytest.fixture(scope="module")
def problem():
    return closed_problem(closed_events(key=np.random.default_rng(5)))


@pytest.fixture(scope="module")
def fitted(problem):
    starts = latin_hypercube(problem.space.size, 4, seed=1)
    return fit(problem, starts, PRECISE, max_steps=100)


def test_the_optimum_is_that_of_an_independent_optimiser(problem, fitted):
    reference = scipy.optimize.least_squares(
        lambda raw: np.asarray(problem.residual(jnp.asarray(raw))),
        fitted.starts[1],
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
    )
    assert fitted.result == FIT_RESULTS.converged
    np.testing.assert_allclose(fitted.raw, reference.x, atol=1e-5)
    np.testing.assert_allclose(fitted.loss, reference.cost, rtol=1e-8)


def test_the_truth_is_within_its_uncertainty(fitted, problem):
    contact = fitted.values["contact"]
    sd = 600.0 / (3.0 * 3600.0)  # sd of a contact [decades]
    seen = np.arange(3)  # the fourth is censored
    assert np.all(np.abs(contact[seen] - TRUTH.contact[seen]) < 4.0 * sd)
    assert contact[3] < -0.9


def test_rows_slopes_and_covariance_are_those_of_the_optimum(problem, fitted):
    rows = lambda raw: problem.data_residual(raw)[0]
    slopes = jax.jacfwd(rows)(jnp.asarray(fitted.raw))
    np.testing.assert_allclose(fitted.residual, rows(fitted.raw), atol=1e-7)
    np.testing.assert_allclose(fitted.slopes, slopes, atol=1e-6)  # none is closed
    expected = np.linalg.inv(slopes.T @ slopes + np.eye(len(fitted.raw)))
    np.testing.assert_allclose(fitted.covariance, expected, rtol=1e-5, atol=1e-8)


def test_a_few_iterations_bring_the_loss_to_its_least(problem, fitted):
    found = fit(problem, fitted.starts[1], LevenbergMarquardt())
    assert found.result == FIT_RESULTS.converged
    assert found.num_evaluations < 30
    assert found.loss - fitted.loss < 1e-3


def test_starts_that_agree_are_one_optimum(fitted):
    assert sum(o.num_starts for o in fitted.optima) == len(fitted.starts) == 4
    assert fitted.optima[0].num_starts >= 3
    assert "4 starts" in fitted.message()


def test_batched_starts_end_where_single_ones_do(problem, fitted):
    batch = fit(problem, fitted.starts, PRECISE, max_steps=100, batched=True)
    np.testing.assert_allclose(batch.raw, fitted.raw, atol=1e-6)
    ends = [o.num_starts for o in batch.optima]
    assert ends == [o.num_starts for o in fitted.optima]


def test_first_order_ends_where_least_squares_does(problem, fitted):
    rule = optax.adam(optax.exponential_decay(0.05, 100, 0.5), b2=0.9)
    search = FirstOrder(rule, patience=200)
    found = fit(problem, fitted.raw + 0.2, search, max_steps=2000)
    assert found.result == FIT_RESULTS.converged
    np.testing.assert_allclose(found.loss, fitted.loss, atol=0.2)
    np.testing.assert_allclose(found.residual, fitted.residual, atol=0.2)
    begun = problem.residual(jnp.asarray(fitted.raw + 0.2))
    assert found.loss < 0.5 * np.sum(begun**2) - 10.0


@pytest.mark.parametrize("search", [PRECISE, FirstOrder(optax.adam(0.05))])
def test_the_loss_of_a_fit_is_half_the_sum_of_its_squared_rows(problem, search):
    found = fit(problem, np.zeros(7), search, max_steps=5)
    expected = 0.5 * (np.sum(found.residual**2) + np.sum(found.raw**2))
    np.testing.assert_allclose(found.loss, expected)


def test_a_first_order_search_leaves_failed_solves_by_half_the_way_back():
    problem = closed_problem(forward=ClosedForm(fails_beyond=1.25))
    search, within = FirstOrder(optax.sgd(0.001)), jnp.zeros(7)
    best = search.advance(problem, search.init(problem, within))
    beyond = within.at[0].set(2.0)
    lost = eqx.tree_at(lambda i: i.inner, best, (beyond, *best.inner[1:]))
    found = search.advance(problem, lost)
    assert found.num_failed == 1
    np.testing.assert_array_equal(found.raw, within)
    np.testing.assert_array_equal(found.inner[0], 0.5 * beyond)
    # Truth has a contact of 1.2 decades; strides of 0.3 end beyond 1.25.
    rule = optax.adam(optax.exponential_decay(0.3, 50, 0.5))
    whole = fit(problem, within, FirstOrder(rule, patience=100), max_steps=1000)
    assert whole.num_failed >= 1
    assert whole.result == FIT_RESULTS.converged
    np.testing.assert_allclose(whole.values["contact"][0], 1.2, atol=0.05)


def test_failed_solves_are_counted_and_avoided():
    problem = closed_problem(forward=ClosedForm(fails_beyond=2.0))
    found = fit(problem, np.r_[2.0, np.zeros(6)], PRECISE)
    assert found.num_failed >= 1
    assert found.result == FIT_RESULTS.converged
    assert not bool(found.prediction.failed)
    np.testing.assert_allclose(found.values["contact"][0], 1.2, atol=0.1)
    lost = closed_problem(forward=ClosedForm(fails_beyond=-1.0))
    found = fit(lost, np.zeros(7), PRECISE)
    assert found.result == FIT_RESULTS.solve_failed
    assert found.num_failed == found.num_evaluations
    assert "--starts tries more" in found.message()


class Counted(ClosedForm):
    """Notes each time that it is traced."""

    traced: ClassVar[list] = []

    def __call__(self, electrode):
        self.traced.append(type(electrode))
        return super().__call__(electrode)


@pytest.mark.parametrize("search", [PRECISE, FirstOrder(optax.adam(0.05))])
def test_a_model_is_traced_as_often_for_many_starts_as_for_one(search):
    problem = closed_problem(forward=Counted())
    starts = latin_hypercube(problem.space.size, 4, seed=1)
    Counted.traced.clear()
    found = fit(problem, starts, search, max_steps=3)
    assert found.num_evaluations == 12
    assert len(Counted.traced) == 2


class Noisy(ClosedForm):
    """A forward model whose error is larger than what is left to gain."""

    def __call__(self, electrode):
        found = super().__call__(electrode)
        jitter = 400.0 * jnp.sin(1e6 * jax.lax.stop_gradient(found.times))
        return eqx.tree_at(lambda p: p.times, found, found.times + jitter)


def test_a_search_that_its_solver_holds_up_says_so():
    found = fit(closed_problem(forward=Noisy()), 0.3 * np.ones(7), PRECISE)
    assert found.result == FIT_RESULTS.stalled
    assert "Tighten `rtol` (--rtol)" in found.message()
    assert found.num_evaluations < 60


class Slopeless(ClosedForm):
    """A forward model whose slopes are no numbers."""

    def __call__(self, electrode):
        found = super().__call__(electrode)
        none = jnp.sqrt(0.0 * electrode.kappa + 0.0 * electrode.contact[0])
        return eqx.tree_at(lambda p: p.times, found, found.times + none)


def test_a_search_without_slopes_ends_and_is_not_said_to_have_settled():
    found = fit(closed_problem(forward=Slopeless()), np.zeros(7), PRECISE)
    assert found.result == FIT_RESULTS.stalled
    assert found.num_evaluations == 1


class Saturating(ClosedForm):
    """Onsets between 2.5 and 40.5 h, which have no slope at either end."""

    def __call__(self, electrode):
        found = super().__call__(electrode)
        share = jax.nn.sigmoid(found.times[::2] / HOUR - 9.0)
        onset = HOUR * (2.5 + 38.0 * share)
        return eqx.tree_at(lambda p: p.times, found, found.times.at[::2].set(onset))


@pytest.mark.parametrize("start", [-1.5, -1.0, 1.0, 1.5])
def test_precise_times_are_met_from_starts_that_are_far_off(start):
    times = np.asarray(Saturating()(TRUTH).times)
    named = itertools.product(PARTICLES, ("onset", "duration"))
    rows = [
        Event(*name, time=time, sd=60.0)
        for name, time in zip(named, times.tolist(), strict=True)
    ]
    problem = closed_problem(Events.from_rows(rows), forward=Saturating())
    found = fit(problem, start * np.ones(7), LevenbergMarquardt())
    assert found.result == FIT_RESULTS.converged
    assert found.loss < 1.0  # half the square of the prior's numbers


class Bent(ClosedForm):
    """Onsets that contacts may hold while a curve moves: along a parabola."""

    def __call__(self, electrode):
        found = super().__call__(electrode)
        bend = 0.9 * HOUR * electrode.diffusivity[2] ** 2
        return eqx.tree_at(lambda p: p.times, found, found.times.at[::2].add(-bend))


@pytest.mark.parametrize("start", [-1.5, -1.0])
def test_a_search_follows_a_bent_valley(start):
    """By straight steps these take 105 and 70 solves."""
    rows = []
    for k, name in enumerate(PARTICLES):
        onset = (6.3 + 0.9 * k) * HOUR
        rows.append(Event(name, "onset", time=onset, sd=60.0))
        rows.append(Event(name, "duration", time=0.5 * HOUR, sd=3.0 * HOUR))
    problem = closed_problem(Events.from_rows(rows), forward=Bent())
    found = fit(problem, start * np.ones(7), LevenbergMarquardt(), max_steps=200)
    assert found.result == FIT_RESULTS.converged
    assert found.num_evaluations < 50


SHARED = closed_space(free_kappa=True)


@pytest.mark.parametrize("seed", [1, 13, 19, 27])
def test_bounds_are_met_as_soon_as_times_are(seed):
    """Bounds on either side among times that pull at them. By straight rows these take
    46, 74, 51 and 100 solves.
    """
    rng, rows = np.random.default_rng(seed), []
    for name, (kind, low, high) in itertools.product(
        PARTICLES, (("onset", 4.0, 12.0), ("duration", 0.2, 1.0))
    ):
        time, share = rng.uniform(low, high) * HOUR, rng.random()
        if share < 0.4:
            known = {"time": time, "sd": 60.0}
        elif share < 0.7:
            known = {"after": time, "before": np.inf}
        else:
            known = {"after": -np.inf, "before": time}
        rows.append(Event(name, kind, **known))
    problem = closed_problem(Events.from_rows(rows), SHARED, Bent(), edge_sd=60.0)
    start = np.random.default_rng(100 + seed).standard_normal(8)
    found = fit(problem, start, LevenbergMarquardt(), max_steps=200)
    assert found.result == FIT_RESULTS.converged
    assert found.num_evaluations < 25
    slope = jax.grad(problem.log_density)(jnp.asarray(found.raw))
    assert 0.5 * slope @ found.covariance @ slope < 0.01


@pytest.mark.parametrize("start", [-0.5, 1.0])
def test_intervals_as_narrow_as_their_edges_are_met_as_times_are(start):
    """As of a film with a frame every ten minutes."""
    rows = []
    for name, time in zip(PARTICLES, (5.4, 8.1, 10.2, 13.5), strict=True):
        between = {"after": time * HOUR - 300.0, "before": time * HOUR + 300.0}
        rows.append(Event(name, "onset", **between))
        rows.append(Event(name, "duration", time=0.5 * HOUR, sd=3.0 * HOUR))
    problem = closed_problem(Events.from_rows(rows), edge_sd=600.0, forward=Bent())
    found = fit(problem, start * np.ones(7), LevenbergMarquardt(), max_steps=200)
    assert found.result == FIT_RESULTS.converged
    assert found.num_evaluations < 30
    np.testing.assert_allclose(found.residual[::2], 0.0, atol=0.1)


def test_the_callback_sees_every_iteration_and_can_stop(problem):
    told = []

    def stop_at_three(progress):
        told.append(progress)
        return len(told) == 3

    starts = latin_hypercube(7, 2, seed=1)
    found = fit(problem, starts, PRECISE, callback=stop_at_three)
    assert [p.step for p in told] == [1, 2, 3]
    assert [p.start for p in told] == [0, 0, 0]
    assert told[2].loss <= told[0].loss
    assert found.result == FIT_RESULTS.stopped
    assert found.num_evaluations == 3


def test_what_a_callback_raises_passes_through(problem):
    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(problem, np.zeros(7), PRECISE, callback=interrupt)


def test_a_search_that_runs_out_of_steps_says_so(problem):
    found = fit(problem, np.ones(7), PRECISE, max_steps=2)
    assert found.result == FIT_RESULTS.max_steps_reached
    assert "Raise `max_steps` (--max-steps)" in found.message()


def test_starts_spread_over_the_prior_and_are_seeded():
    starts = latin_hypercube(3, 50, seed=7)
    np.testing.assert_array_equal(starts[0], 0.0)
    cells = np.sort(np.floor(50 * scipy.stats.norm.cdf(starts[1:])), axis=0)
    assert all(len(set(column)) == 49 for column in cells.T)
    np.testing.assert_array_equal(starts, latin_hypercube(3, 50, seed=7))
    assert np.any(starts != latin_hypercube(3, 50, seed=8))


def test_starts_that_do_not_fit_are_refused(problem):
    with pytest.raises(ValueError, match="7 raw numbers"):
        fit(problem, np.zeros(3), PRECISE)
    with pytest.raises(ValueError, match="must be finite"):
        fit(problem, np.full(7, np.nan), PRECISE)
    with pytest.raises(ValueError, match="`max_steps` must be 1 or more, but is 0"):
        fit(problem, np.zeros(7), PRECISE, max_steps=0)
    with pytest.raises(ValueError, match="`count` must be 1 or more"):
        latin_hypercube(3, 0, seed=0)
