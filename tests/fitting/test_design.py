"""Expected information against closed forms of linear normal models."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from fitting import design, optimise, uncertainty
from fitting.design import Candidate, Experiment
from fitting.parameters import Free, ParameterSpace
from fitting.priors import Independent

from .linear import HOUR, Linear, Numbers, linear_problem, values_of
from .stand_in import closed_problem

OTHER = np.array([[0.2, 1.0, 0.4], [1.5, 0.0, -0.7]])  # h, of another experiment
OTHER_SD = np.array([0.2, 0.6])  # h
BITS = 1.0 / np.log(2.0)


@pytest.fixture(scope="module")
def fitted():
    problem = linear_problem()
    return problem.space, optimise.fit(
        problem, np.zeros(3), optimise.LevenbergMarquardt(1e-12)
    )


def experiment(space, matrix=OTHER, sd=OTHER_SD, fails_beyond=np.inf):
    electrode = Numbers(np.zeros(matrix.shape[1]))
    forward = Linear(matrix, np.asarray(fails_beyond))
    return Experiment(electrode, space, forward, HOUR * np.asarray(sd))


def candidate(*parts, name="other"):
    return Candidate(name, "an experiment", parts)


def expected(fitted, *parts, **fields):
    space, fit = fitted
    return design.expect(space, fit, candidate(*parts), **fields)


def entropy(covariance):
    """Of a normal law, up to a constant that depends on the size only [bits]."""
    return 0.5 * BITS * np.linalg.slogdet(covariance)[1]


def test_the_gain_is_the_mutual_information_of_a_linear_model(fitted):
    space, fit = fitted
    found = expected(fitted, experiment(space))
    predicted = OTHER @ fit.covariance @ OTHER.T + np.diag(OTHER_SD**2)
    exact = entropy(predicted) - entropy(np.diag(OTHER_SD**2))
    assert exact > 0.9
    np.testing.assert_allclose(found.gain, exact, rtol=1e-10)
    np.testing.assert_allclose(found.gains, np.full(8, exact), rtol=1e-10)
    assert found.spread < 1e-9
    assert found.num_events == found.num_seen == 2


def test_the_spread_afterwards_is_that_of_a_fit_to_both_data_sets(fitted):
    space, fit = fitted
    found = expected(fitted, experiment(space), num_draws=0)
    rows = OTHER / OTHER_SD[:, None]
    exact = np.linalg.inv(np.linalg.inv(fit.covariance) + rows.T @ rows)
    np.testing.assert_allclose(found.covariance, exact, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.sd_after, np.sqrt(np.diag(exact)), rtol=1e-8)
    np.testing.assert_allclose(found.sd_before, np.sqrt(np.diag(fit.covariance)))
    assert np.all(found.shrinkage < 1.0)


def test_the_same_experiment_twice_is_one_with_deviations_over_root_two(fitted):
    part = experiment(fitted[0])
    twice = expected(fitted, part, part, num_draws=0)
    better = experiment(fitted[0], sd=OTHER_SD / np.sqrt(2.0))
    np.testing.assert_allclose(
        twice.gain, expected(fitted, better, num_draws=0).gain, rtol=1e-10
    )
    once = expected(fitted, part, num_draws=0)
    assert once.gain < twice.gain < 2.0 * once.gain


def test_what_tells_nothing_gains_nothing(fitted):
    found = expected(fitted, experiment(fitted[0], np.zeros((2, 3))), num_draws=2)
    assert found.gain == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_allclose(found.gains, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.shrinkage, 1.0)
    assert (found.num_events, found.num_seen) == (2, 0)


def test_less_frequent_frames_tell_less(fitted):
    gains = [
        expected(fitted, experiment(fitted[0], sd=k * OTHER_SD), num_draws=0).gain
        for k in (0.25, 1.0, 4.0, 1e4)
    ]
    assert np.all(np.diff(gains) < 0)
    assert 0.0 < gains[-1] < 1e-6


def named_space(labels):
    """Independent standard normal numbers of these names."""
    prior = Independent(dist.Normal(0.0, 1.0), len(labels))
    free = Free(name="v", prior=prior, where=values_of, components=tuple(labels))
    return ParameterSpace((free,))


def test_numbers_of_its_own_are_marginalised(fitted):
    _, fit = fitted
    space = named_space(["0", "1", "2"])
    wide = named_space(["2", "mine", "0", "1", "also mine"])  # by name, not by place
    matrix = np.array([[0.3, 2.0, 1.0, 0.0, 0.5], [1.0, 0.0, 0.4, 1.2, -1.0]])
    found = design.expect(space, fit, candidate(experiment(wide, matrix)), num_draws=3)
    # In the order of the fit, then the two that are new.
    rows = (matrix / OTHER_SD[:, None])[:, [2, 3, 0, 1, 4]]
    whole = np.linalg.inv(fit.covariance)
    whole = np.block([[whole, np.zeros((3, 2))], [np.zeros((2, 3)), np.eye(2)]])
    after = np.linalg.inv(whole + rows.T @ rows)[:3, :3]
    np.testing.assert_allclose(found.covariance, after, rtol=1e-8, atol=1e-10)
    exact = entropy(fit.covariance) - entropy(after)
    np.testing.assert_allclose(found.gain, exact, rtol=1e-8)
    np.testing.assert_allclose(found.gains, exact, rtol=1e-8)
    known = design.gain(fit.covariance, rows[:, :3].T @ rows[:, :3])
    assert found.gain < 0.9 * known


def test_two_parts_share_a_new_number_of_one_name(fitted):
    _, fit = fitted
    space, wide = named_space(["0", "1", "2"]), named_space(["0", "1", "2", "mine"])
    rows = [np.array([[1.0, 0.0, 0.0, 3.0]]), np.array([[0.0, 1.0, 0.0, 3.0]])]
    parts = [experiment(wide, row, sd=[0.1]) for row in rows]
    together = design.expect(space, fit, candidate(*parts), num_draws=0)
    # Their difference knows nothing of the nuisance.
    difference = 10.0 * np.array([[1.0, -1.0, 0.0]]) / np.sqrt(2.0)
    least = design.gain(fit.covariance, difference.T @ difference)
    assert together.gain > least > 1.0


def test_the_gain_about_some_numbers_is_of_their_marginal_law(fitted):
    _, fit = fitted
    information = OTHER.T @ OTHER
    after = np.linalg.inv(np.linalg.inv(fit.covariance) + information)
    about = np.array([0, 2])
    block = np.ix_(about, about)
    exact = entropy(fit.covariance[block]) - entropy(after[block])
    found = design.gain(fit.covariance, information, about)
    np.testing.assert_allclose(found, exact, rtol=1e-8)
    assert found < design.gain(fit.covariance, information)
    assert design.gain(fit.covariance, information, np.array([], int)) == 0.0


def test_numbers_of_the_curves_are_found_by_their_names():
    space = closed_problem().space
    assert design.curve_numbers(space).size == 0
    prior = space.frees[1].prior
    renamed = Free(name="log10 diffusivity", prior=prior, where=values_of)
    space = ParameterSpace((space.frees[0], renamed))
    np.testing.assert_array_equal(design.curve_numbers(space), [4, 5, 6])


def test_failed_solves_are_counted_and_left_out_of_the_mean(fitted):
    space, fit = fitted
    limit = float(np.max(fit.raw)) + 0.3
    found = expected(fitted, experiment(space, fails_beyond=limit), num_draws=40)
    some = uncertainty.draws(fit, 40, 0)
    fails = np.any(some > limit, axis=1)
    assert 0 < fails.sum() < 40
    np.testing.assert_array_equal(np.isnan(found.gains), fails)
    assert found.num_failed == fails.sum()
    np.testing.assert_allclose(found.mean, found.gain, rtol=1e-9)


def test_a_candidate_that_fails_at_the_optimum_comes_last(fitted):
    space, _ = fitted
    good = expected(fitted, experiment(space), num_draws=0)
    bad = expected(fitted, experiment(space, fails_beyond=-9.0), num_draws=2)
    better = expected(fitted, experiment(space, sd=0.1 * OTHER_SD), num_draws=0)
    assert np.isnan(bad.gain)
    assert bad.num_failed == 3
    assert design.ranked([bad, good, better]) == [better, good, bad]


def test_what_is_sharpened_most_is_named(fitted):
    space, fit = fitted
    found = expected(fitted, experiment(space, np.array([[0.0, 3.0, 0.0]]), [0.01]))
    assert np.argmin(found.shrinkage) == 1
    assert found.direction.startswith("1.00 v 1")
    information = fit.slopes.T @ fit.slopes
    told = np.sum(np.linalg.eigvalsh(information) > 1)
    assert told <= found.num_told <= told + 1
    assert found.widest <= np.sqrt(np.linalg.eigvalsh(fit.covariance)[-1])


def test_draws_are_the_same_for_every_candidate_and_told_of(fitted):
    space, fit = fitted
    calls = []
    design.expect(
        *(space, fit, candidate(experiment(space))),
        num_draws=5,
        callback=lambda: calls.append(1),
    )
    assert len(calls) == 6


def test_slopes_are_taken_anew_at_each_draw(fitted):
    space, fit = fitted

    class Bent(Linear):
        def __call__(self, electrode):
            found = super().__call__(electrode)
            bent = HOUR * jnp.exp(found.times / HOUR - 5.0)
            return type(found)(bent, found.voltage, found.failed)

    part = experiment(space)
    bent = Experiment(part.electrode, space, Bent(OTHER, np.asarray(np.inf)), part.sd)
    found = expected(fitted, bent, num_draws=6)
    some = uncertainty.draws(fit, 6, 0)
    rows = np.exp(some @ OTHER.T)[:, :, None] * OTHER / OTHER_SD[:, None]
    exact = [design.gain(fit.covariance, r.T @ r) for r in rows]
    np.testing.assert_allclose(found.gains, exact, rtol=1e-8)
    assert found.spread > 0.05
