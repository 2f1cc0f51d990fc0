"""Evidence and adapted laws, against posteriors that are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from fitting import chunks, diagnostics, evidence, optimise, posterior, sampling
from fitting.events import Event, Events
from fitting.noise import EventNoise
from fitting.problem import AbstractForward, Prediction
from fitting.slices import Elliptical

from .linear import (
    HOUR,
    MATRIX,
    SD,
    SEEN,
    assert_of_the_posterior,
    exact,
    known_evidence,
    linear_events,
    linear_problem,
    off_centre,
    problem_of,
)
from .test_sampling import by_quadrature, one_number


class Squared(AbstractForward):
    """A time 5 h + v^2: two values explain each one."""

    def __call__(self, electrode):
        times = HOUR * (5.0 + electrode.values**2)
        return Prediction(times, jnp.zeros(0), jnp.any(~jnp.isfinite(times)))


@pytest.fixture(scope="module")
def linear():
    told = []
    found = evidence.adapted(
        *(linear_problem(), off_centre()), rounds=6, count=400, callback=told.append
    )
    return *found, told


def test_the_evidence_of_linear_times_is_exact(linear):
    found, _, told = linear
    assert 0.001 < found.sd < 0.03
    assert abs(found.log_evidence - known_evidence()) < 4 * found.sd
    assert found.shape < 0.5
    assert found.log_evidence < found.bound
    assert (found.num_solves, found.num_failed, told[-1]) == (2400, 0, 2400)


def test_draws_and_law_are_the_posteriors(linear):
    found, law, _ = linear
    mean, covariance = exact()
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.raw.mean(0), mean, atol=0.15 * sd.min())
    np.testing.assert_allclose(np.cov(found.raw.T), covariance, atol=0.15 * sd.max())
    np.testing.assert_allclose(
        found.times, HOUR * (5.0 + found.raw @ MATRIX.T), rtol=1e-9
    )
    target = posterior.Posterior.about(linear_problem(), off_centre())
    np.testing.assert_allclose(target.raw(law.middle), mean, atol=0.15 * sd.min())


def test_the_bound_is_of_all_that_was_solved_whatever_its_weight(monkeypatch):
    """Where the weights do not hold, the draws that are kept may be one or two."""
    solved, solve = [], evidence._solved
    monkeypatch.setattr(
        evidence, "_solved", lambda *a: solved.append(solve(*a)) or solved[-1]
    )
    size = 20
    rows = [
        Event(str(k), "onset", time=(5 + 0.1 * k) * HOUR, sd=0.5 * HOUR)
        for k in range(size)
    ]
    problem = problem_of(0.7 * np.eye(size), Events.from_rows(rows), fails_beyond=7.0)
    beside = posterior.Centre(np.linspace(0.0, 1.8, size) + 1.5, 3.0 * np.eye(size))
    found, _ = evidence.adapted(problem, beside, rounds=1, count=60, seed=1)
    drawn, optima = solved
    assert drawn.failed.any()
    assert len(np.unique(found.log_likelihood)) < 6
    assert found.log_likelihood.max() < found.bound - 10.0
    each = [part.log_likelihood[~part.failed].max() for part in (drawn, optima)]
    assert found.bound == max(each)


def test_the_bound_is_of_the_optimum_which_few_draws_of_many_numbers_do_not_meet():
    rows = [
        Event(str(k), "onset", time=(5 + 0.1 * k) * HOUR, sd=0.5 * HOUR)
        for k in range(20)
    ]
    problem = problem_of(0.7 * np.eye(20), Events.from_rows(rows))
    fit = optimise.fit(problem, np.zeros(20), optimise.LevenbergMarquardt())
    found, _ = evidence.adapted(problem, fit, rounds=1, count=8)
    best = float(problem.log_likelihood(fit.raw))
    assert found.log_likelihood.max() < best - 2.0
    assert found.bound == pytest.approx(best, abs=1e-6)


def test_there_are_more_rounds_where_the_weights_do_not_hold():
    problem = linear_problem()
    beside = posterior.Centre(exact()[0] + 0.2, 0.01 * np.eye(3))
    once, _ = evidence.adapted(problem, beside, rounds=2, count=100)
    assert (once.num_solves, once.reliable) == (200, False)
    found = evidence.evidence(problem, beside, rounds=2, count=100)
    assert (found.num_solves, found.reliable) == (600, True)
    assert abs(found.log_evidence - known_evidence()) < 4 * found.sd
    known = evidence.evidence(problem, off_centre(), rounds=3, count=400)
    assert (known.num_solves, known.reliable) == (1200, True)


def test_the_evidence_of_many_numbers_is_not_too_low(rng):
    """Laws that are fitted to their own draws say 0.31 too little here."""
    matrix = 0.3 * rng.standard_normal((4, 20))
    weighted = matrix / SD[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted + np.eye(20))
    mean = covariance @ weighted.T @ ((SEEN - 5.0) / SD)
    problem = problem_of(matrix, linear_events())
    found = evidence.evidence(problem, posterior.Centre(mean, covariance))
    assert abs(found.log_evidence - known_evidence(matrix)) < 3 * found.sd < 0.15
    assert found.shape < 0.3


def test_draws_fewer_than_folds_adapt_all_the_same():
    problem, centre = linear_problem(), off_centre()
    for count in (1, 2, 5):
        found = evidence.evidence(problem, centre, rounds=1, count=count)
        assert found.num_solves == 3 * count  # their weights cannot hold
        assert np.isfinite(found.log_evidence)


def test_both_of_two_modes_count():
    events = Events.from_rows([Event("0", "onset", time=6.0 * HOUR, sd=0.1 * HOUR)])
    problem = problem_of(np.eye(1), events)
    problem = type(problem)(
        problem.electrode, problem.space, Squared(), EventNoise.of(events)
    )
    fit = optimise.fit(problem, [[-2.0], [2.0]], optimise.LevenbergMarquardt())
    assert len(fit.optima) == 2
    found = evidence.evidence(problem, fit, rounds=3, count=400)
    grid = np.linspace(-6.0, 6.0, 20001)
    density = norm.pdf(6.0, 5.0 + grid**2, 0.1) * norm.pdf(grid) / HOUR
    known = np.log(np.trapezoid(density, grid))
    assert abs(found.log_evidence - known) < max(4 * found.sd, 0.01)
    assert 0.4 < np.mean(found.raw[:, 0] > 0) < 0.6
    one = fit.optima[0]._replace(num_starts=2)
    alone = evidence.evidence(
        problem, posterior.Centre(one.raw, 0.01 * np.eye(1)), rounds=1, count=400
    )
    assert abs(alone.log_evidence - (known - np.log(2.0))) < 0.1


def test_where_solves_fail_the_density_is_zero_and_they_are_counted():
    problem = linear_problem(fails_beyond=float(exact()[0][0]))
    centre = off_centre()
    found = evidence.evidence(problem, centre, rounds=4, count=300)
    whole = evidence.evidence(linear_problem(), centre, rounds=4, count=300)
    assert 0.2 < found.num_failed / found.num_solves < 0.8
    assert found.log_evidence < whole.log_evidence - 0.3
    assert found.raw[:, 0].max() < exact()[0][0]
    with pytest.raises(ValueError, match="none is; narrow the priors"):
        evidence.evidence(linear_problem(fails_beyond=-50.0), centre, rounds=1)


@pytest.mark.parametrize("name", ["rounds", "count"])
def test_an_evidence_without_draws_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be 1 or more, but is 0"):
        evidence.evidence(linear_problem(), off_centre(), **{name: 0})


def sliced(target, middle, factor, folder, count=1000, alone=None):
    store = chunks.Store(folder)
    store.create({})
    plan = sampling.Plan(4, count, 3, 200)
    alone = jnp.zeros(len(middle), bool) if alone is None else jnp.asarray(alone)
    sampler = Elliptical(jnp.asarray(middle), jnp.asarray(factor), alone)
    return sampling.sample(target, sampler, store, plan)


def test_slices_along_ellipses_keep_to_the_posterior(linear, tmp_path):
    _, law, _ = linear
    target = posterior.Posterior.about(linear_problem(), off_centre())
    samples = sliced(target, law.middle, law.factor, tmp_path / "near")
    raw = samples.draws.raw
    assert_of_the_posterior(raw)
    assert np.all(np.any(np.diff(raw, axis=1) != 0, axis=-1))  # it never stays
    # The law is wider than the posterior, or the first angle would always do.
    assert 1.0 < samples.draws.num_solves.mean() < 3.0
    labels = ("a", "b", "c")
    said = diagnostics.diagnose(samples, raw, labels)
    assert said.ebfmi == ()
    assert said.verdict().startswith("The draws may be trusted: R-hat is at most 1.0")
    rows = linear_problem().log_densities(jnp.asarray(raw[1, 7]))[0]
    np.testing.assert_allclose(samples.draws.log_likelihoods[1, 7], rows)


def test_a_law_beside_the_posterior_makes_slices_slower_but_not_wrong(linear, tmp_path):
    target = posterior.Posterior.about(linear_problem(), off_centre())
    middle = linear[1].middle + np.array([1.0, -1.0, 0.5])
    samples = sliced(target, middle, 0.7 * np.eye(3), tmp_path / "beside", 2500)
    raw = samples.draws.raw
    mean, covariance = exact()
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_array_less(np.abs(raw.mean((0, 1)) - mean), 0.15 * sd)
    found = np.cov(raw.reshape(-1, 3).T)
    np.testing.assert_allclose(found, covariance, atol=0.15 * sd.max() ** 2)
    assert samples.draws.num_solves.mean() > 1.5


def test_numbers_that_walk_alone_keep_to_the_posterior(linear, tmp_path):
    target = posterior.Posterior.about(linear_problem(), off_centre())
    law = linear[1]
    samples = sliced(*(target, law.middle, law.factor), tmp_path, 700, [1, 0, 1])
    raw = samples.draws.raw
    assert_of_the_posterior(raw)
    assert samples.draws.num_solves.min() >= 3
    solves = samples.draws.num_solves
    np.testing.assert_allclose(samples.draws.acceptance * solves, 3.0)


def test_beyond_a_bound_a_number_walks_by_its_prior_where_the_law_is_narrow(tmp_path):
    never = Event("never", "onset", after=5.8 * HOUR, before=np.inf)
    problem = one_number(Events.from_rows([never]))
    centre = posterior.Centre(np.array([1.0]), np.array([[0.01]]))
    target = posterior.Posterior.about(problem, centre)
    law = np.zeros(1), 0.1 * np.eye(1)
    mean, sd = by_quadrature(problem)
    (tmp_path / "law").mkdir()
    stays = sliced(*(target, *law), tmp_path / "law" / "a", 300).draws.raw
    assert abs(stays.mean() - mean) > 0.1 * sd or abs(stays.std() / sd - 1.0) > 0.1
    (tmp_path / "alone").mkdir()
    found = sliced(*(target, *law), tmp_path / "alone" / "a", 300, [True]).draws.raw
    np.testing.assert_allclose(found.mean(), mean, atol=0.1 * sd)
    np.testing.assert_allclose(found.std(), sd, rtol=0.1)


def test_failures_on_an_ellipse_are_counted_and_never_drawn(linear, tmp_path):
    edge = float(exact()[0][0])
    target = posterior.Posterior.about(linear_problem(fails_beyond=edge), off_centre())
    samples = sliced(target, linear[1].middle, linear[1].factor, tmp_path / "edge", 200)
    assert samples.draws.raw[..., 0].max() <= edge
    assert samples.draws.num_failed.sum() > 100
    assert np.all(np.isfinite(samples.draws.log_density))
