"""Uncertainty against closed forms and independent computations."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
import scipy.optimize
import scipy.stats

from fitting import uncertainty
from fitting.events import Event, Events
from fitting.noise import StudentT
from fitting.optimise import FirstOrder, LevenbergMarquardt, fit
from fitting.parameters import Free, ParameterSpace
from fitting.priors import Hierarchical, Independent
from tests.fitting.linear import HOUR, MATRIX, exact, linear_problem, problem_of
from tests.fitting.stand_in import closed_events, closed_problem, closed_space

PRECISE = LevenbergMarquardt(1e-12)
SD_CONTACT = 600.0 / (3.0 * 3600.0)  # of a contact whose onset is known to 600 s


@pytest.fixture(scope="module")
def problem():
    return closed_problem(closed_events(key=np.random.default_rng(5)))


@pytest.fixture(scope="module")
def fitted(problem):
    return fit(problem, np.zeros(problem.space.size), PRECISE)


def test_the_spread_of_a_contact_is_that_of_its_onset(problem, fitted):
    found = uncertainty.estimates(problem.space, fitted)
    for estimate in found[:3]:
        np.testing.assert_allclose(estimate.sd_data, SD_CONTACT, rtol=1e-3)
        assert estimate.sd < estimate.sd_data
        width = estimate.upper - estimate.lower
        np.testing.assert_allclose(width, 3.92 * estimate.sd, rtol=0.02)
        assert estimate.determined
        assert estimate.learnt > 0.99


def test_a_knot_that_no_datum_sees_keeps_its_prior_and_says_so(problem, fitted):
    last = uncertainty.estimates(problem.space, fitted)[-1]
    assert last.label == "log10 D at x=1"
    assert last.sd_data == np.inf
    assert not last.determined
    assert last.learnt < 0.2
    assert 0.9 * last.sd_prior < last.sd <= last.sd_prior
    prior = problem.space.frees[1].prior
    expected = np.sqrt(np.diag(prior.cholesky @ prior.cholesky.T))[-1]
    np.testing.assert_allclose(last.sd_prior, expected, rtol=1e-9)


@pytest.mark.parametrize("raw", [0.0, -1.5, 2.0])
def test_what_data_took_away_is_told_on_the_scale_of_the_fit(fitted, raw):
    # The spread of a population is lognormal, a share within bounds is steep in the
    # middle: by the slopes there, either could seem known to anything.
    frees = (
        Free("population", Hierarchical(2, -6.3, 1.0, 0.5), where=lambda e: e),
        Free("share", Independent(dist.Uniform(0.0, 1.0)), where=lambda e: e),
    )
    space, size = ParameterSpace(frees), 5
    blind = dataclasses.replace(
        fitted,
        raw=np.full(size, raw),
        slopes=np.zeros((1, size)),
        covariance=np.eye(size),
    )
    halved = dataclasses.replace(blind, covariance=0.5 * np.eye(size))
    for before, after in zip(
        uncertainty.estimates(space, blind),
        uncertainty.estimates(space, halved),
        strict=True,
    ):
        np.testing.assert_allclose(before.learnt, 0.0, atol=1e-12)
        assert not before.determined
        np.testing.assert_allclose(after.learnt, 0.5)
    # What is said of the prior does not depend on where the fit is.
    np.testing.assert_allclose(before.sd_prior, scipy.stats.norm.pdf(0.0))


def interval_problem(matrix, times, width, edge_sd):
    """Times [h] of which frames `width` [h] apart tell the interval."""
    low = np.floor(np.asarray(times) / width) * width
    rows = [
        Event(str(k), "onset", after=HOUR * a, before=HOUR * (a + width))
        for k, a in enumerate(low)
    ]
    return problem_of(matrix, Events.from_rows(rows), edge_sd=edge_sd)


def mean_and_sd(problem, axes):
    """Of the posterior, by its density on a grid."""
    points = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1)
    density = np.asarray(jax.vmap(problem.log_density)(jnp.asarray(points)))
    weight = np.exp(density - density.max())
    mean = weight @ points / weight.sum()
    return mean, np.sqrt(weight @ (points - mean) ** 2 / weight.sum())


@pytest.mark.parametrize("width", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("off", [0.05, 1.05, -2.05])
def test_the_spread_behind_one_interval_is_that_of_the_posterior(width, off):
    # Also where the prior pulls to an end of the interval.
    problem = interval_problem(np.ones((1, 1)), [5.0 + off], width, 300.0)
    fitted = fit(problem, np.zeros(1), LevenbergMarquardt())
    (found,) = uncertainty.estimates(problem.space, fitted)
    mean, sd = mean_and_sd(problem, [np.linspace(-5.0, 5.0, 20_001)])
    np.testing.assert_allclose(found.sd, sd, rtol=0.12)
    assert found.lower < mean < found.upper


def test_the_spread_behind_intervals_is_that_of_the_posterior(rng):
    ratios, grid = [], np.linspace(-4.0, 4.0, 321)
    for _ in range(8):
        times = 5.0 + MATRIX[:, :2] @ rng.standard_normal(2)
        problem = interval_problem(MATRIX[:, :2], times, 0.5, 300.0)
        fitted = fit(problem, np.zeros(2), LevenbergMarquardt())
        found = [e.sd for e in uncertainty.estimates(problem.space, fitted)]
        ratios.append(found / mean_and_sd(problem, [grid, grid])[1])
    np.testing.assert_allclose(ratios, 1.0, atol=0.3)


def test_what_an_interval_tells_does_not_hang_on_where_the_search_stopped():
    problem = interval_problem(np.ones((1, 1)), [5.3], 1.0, 60.0)
    ends = [fit(problem, np.full(1, x), LevenbergMarquardt()) for x in (0.0, 0.2, 0.9)]
    assert np.ptp([end.raw[0] for end in ends]) > 0.005
    sds = [np.sqrt(end.covariance[0, 0]) for end in ends]
    np.testing.assert_allclose(sds, sds[0], rtol=0.02)
    loose = [uncertainty.directions(problem.space, end)[0] for end in ends]
    assert all(direction.determined for direction in loose)


def test_a_censored_contact_is_bounded_on_one_side_by_its_profile(problem, fitted):
    censored = uncertainty.estimates(problem.space, fitted)[3]
    assert censored.sd > 4.0 * SD_CONTACT
    found = uncertainty.profile(
        problem,
        fitted,
        lambda values: values["contact"][3],
        np.linspace(-2.9, -0.7, 23),
        optimiser=PRECISE,
    )
    lower, upper = found.interval()
    # Seen not to react by 12 h, known to 300 s: contact below -1 + 1.96 * 0.028.
    assert -1.0 < upper < -0.9
    assert lower < -2.4


def test_directions_are_those_of_the_information(problem, fitted):
    found = uncertainty.directions(problem.space, fitted)
    matrix = fitted.slopes.T @ fitted.slopes
    for direction in found:
        np.testing.assert_allclose(
            matrix @ direction.vector,
            direction.information * direction.vector,
            atol=1e-6 * found[0].information,
        )
    assert found[0].information >= found[-1].information >= 0
    assert "log10 D at x=1" in found[-1].name
    assert not found[-1].determined
    assert found[0].determined


def test_two_quantities_that_only_matter_together_are_named_together():
    # The onset knows contact + kappa only.
    problem = closed_problem(space=closed_space(free_kappa=True))
    fitted = fit(problem, np.zeros(8), LevenbergMarquardt())
    found = uncertainty.directions(problem.space, fitted)
    assert sum(d.information < 1e-6 for d in found) >= 1
    ridge = [d for d in found if not d.determined and "kappa" in d.name]
    assert ridge
    kappa = uncertainty.estimates(problem.space, fitted)[-1]
    assert kappa.sd_data == np.inf


def test_draws_have_the_covariance_of_the_fit(fitted):
    some = uncertainty.draws(fitted, 40_000, seed=3)
    np.testing.assert_allclose(np.mean(some, axis=0), fitted.raw, atol=0.03)
    np.testing.assert_allclose(np.cov(some.T), fitted.covariance, atol=0.03)
    again = uncertainty.draws(fitted, 40_000, seed=3)
    np.testing.assert_array_equal(some, again)


def test_a_band_is_narrow_where_data_are_and_the_priors_elsewhere(problem, fitted):
    found = uncertainty.band(
        problem,
        fitted,
        lambda e, x: jnp.interp(x, jnp.array([0.0, 0.5, 1.0]), e.diffusivity),
        np.array([0.0, 0.5, 1.0]),
        seed=0,
        count=4000,
    )
    assert np.all((found.lower < found.fitted) & (found.fitted < found.upper))
    width, prior = found.upper - found.lower, found.prior_upper - found.prior_lower
    np.testing.assert_allclose(width[2] / prior[2], 1.0, atol=0.1)
    # What durations know: the value at 0 plus three quarters of that at 0.5.
    sd = np.array([e.sd for e in uncertainty.estimates(problem.space, fitted)[4:]])
    np.testing.assert_allclose(width / 3.92, sd, rtol=0.08)
    assert width[1] < 0.9 * prior[1]


def test_chi_square_is_of_rows_with_a_time_only(problem, fitted):
    found = uncertainty.goodness(problem, fitted)
    rows = np.delete(fitted.residual, 6)  # the censored onset
    np.testing.assert_allclose(found.chi_square, np.sum(rows**2))
    assert found.num_rows == found.num_independent == 7
    # Three contacts and about one direction of the curve are used up.
    assert 3.5 < found.num_fitted < 5.0
    expected = scipy.stats.chi2.sf(found.chi_square, found.degrees)
    np.testing.assert_allclose(found.probability, expected)
    assert "of 7 rows" in found.describe()


def test_no_fewer_degrees_than_none_are_left():
    """Eight bins of two traces stand for 4 numbers; a level and a gain each use 4."""
    found = uncertainty.Goodness(7.3, 16, 4.0, 6.0, np.nan, 1.3)
    assert found.degrees == 0.0
    assert found._replace(num_fitted=1.5).degrees == 2.5


def test_a_profile_is_that_of_an_independent_optimiser(problem, fitted):
    def quantity(values):
        return values["log10 D"][0]

    value = float(fitted.values["log10 D"][0])
    targets = value + np.array([-0.8, -0.4, 0.0, 0.4, 0.8])
    found = uncertainty.profile(problem, fitted, quantity, targets, optimiser=PRECISE)
    assert np.all(np.isfinite(found.losses))
    np.testing.assert_allclose(found.losses[2], 0.0, atol=1e-4)

    def loss(raw):
        return float(0.5 * jnp.sum(problem.residual(jnp.asarray(raw)) ** 2))

    constraint = {
        "type": "eq",
        "fun": lambda raw: float(
            quantity(problem.space.constrain(jnp.asarray(raw))) - targets[4]
        ),
    }
    reference = scipy.optimize.minimize(
        loss,
        found.raws[4] + 0.01,
        constraints=constraint,
        method="SLSQP",
        options={"ftol": 1e-10, "maxiter": 300},
    )
    np.testing.assert_allclose(found.losses[4], reference.fun - fitted.loss, atol=5e-3)
    free = fitted.raw + fitted.covariance[:, 4]
    assert loss(free) > fitted.loss


def test_chi_square_of_students_law_is_of_normal_scores(rng):
    # Data of the law that is assumed: one in twenty has a probability below 0.05.
    num_rows, sd, probabilities = 40, 0.3, []
    matrix, law = rng.standard_normal((num_rows, 3)), StudentT(3.0)
    for _ in range(60):
        off = law.sample(rng, (num_rows,))
        times = 5.0 + matrix @ rng.standard_normal(3) + sd * off
        rows = [
            Event(str(k), "onset", time=HOUR * time, sd=HOUR * sd)
            for k, time in enumerate(times)
        ]
        problem = problem_of(matrix, Events.from_rows(rows), scatter=law)
        fitted = fit(problem, np.zeros(3), PRECISE)
        found = uncertainty.goodness(problem, fitted)
        probabilities.append(found.probability)
    assert scipy.stats.kstest(probabilities, "uniform").pvalue > 0.05
    z = (times - fitted.prediction.times / HOUR) / sd
    scores = scipy.stats.norm.isf(scipy.stats.t(3.0).sf(np.abs(z)))
    np.testing.assert_allclose(found.chi_square, np.sum(scores**2))
    np.testing.assert_allclose(found.largest, np.max(scores))


def test_profiles_of_first_order_searches_are_those_of_least_squares():
    problem = linear_problem()
    mean, covariance = exact()
    quantity = uncertainty.Component(problem.space, 0)
    rule = optax.adam(optax.exponential_decay(0.1, 100, 0.5))
    search = FirstOrder(rule, patience=200)
    fitted = fit(problem, np.zeros(3), search, max_steps=600)
    sds = np.linspace(-2.0, 2.0, 5)
    targets = mean[0] + np.sqrt(covariance[0, 0]) * sds
    for optimiser, error in ((None, 1e-3), (search, 0.1)):
        found = uncertainty.profile(
            problem, fitted, quantity, targets, optimiser=optimiser
        )
        np.testing.assert_allclose(found.losses, 0.5 * sds**2, atol=error)


def test_the_interval_of_a_profile_is_where_the_loss_has_risen():
    targets = np.linspace(-3.0, 3.0, 601)
    whole = uncertainty.Profile(targets, 0.5 * targets**2, np.zeros((601, 1)), 0)
    np.testing.assert_allclose(whole.interval(), (-1.96, 1.96), atol=1e-3)
    open_above = whole._replace(losses=np.where(targets > 0, 0.0, 0.5 * targets**2))
    lower, upper = open_above.interval()
    assert upper == np.inf
    np.testing.assert_allclose(lower, -1.96, atol=1e-3)


def test_the_interval_of_a_profile_below_the_fit_is_about_its_least():
    targets = np.linspace(-3.0, 3.0, 601)
    losses = 0.5 * targets**2 - 3.5
    astray = uncertainty.Profile(targets, losses, np.zeros((601, 1)), 0, value=0.5)
    np.testing.assert_allclose(astray.interval(), (-1.96, 1.96), atol=1e-3)


def test_a_target_that_no_solve_reaches_has_an_infinite_loss():
    problem = linear_problem(fails_beyond=0.9)
    quantity = uncertainty.Component(problem.space, 0)
    fitted = fit(problem, np.zeros(3), LevenbergMarquardt())
    targets = np.array([0.2, 0.5, 0.8, 1.2, 1.5])
    found = uncertainty.profile(problem, fitted, quantity, targets)
    assert fitted.raw[0] < 0.8
    np.testing.assert_allclose(found.raws[:3, 0], targets[:3], atol=1e-2)
    np.testing.assert_array_equal(np.isfinite(found.losses), targets < 0.9)
    assert 0.8 <= found.interval()[1] <= 1.2


def test_an_interval_between_two_targets_holds_the_fit():
    problem, (mean, covariance) = linear_problem(), exact()
    fitted = fit(problem, np.zeros(3), PRECISE)
    quantity, sd = uncertainty.Component(problem.space, 0), np.sqrt(covariance[0, 0])
    exact_ends = mean[0] - 1.96 * sd, mean[0] + 1.96 * sd
    for offsets, ends in (
        ([-6.0, -2.0, 4.0], exact_ends),
        ([1.0, 3.0], (-np.inf, exact_ends[1])),
    ):
        targets = mean[0] + sd * np.array(offsets)
        found = uncertainty.profile(problem, fitted, quantity, targets)
        np.testing.assert_allclose(found.interval(), ends, atol=2e-3)
