"""The recovery study, on one data set of the stand-in and on made-up counts."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import recovery
from tests.fitting.stand_in import HOUR, closed_problem


def test_a_data_set_is_made_censored_fitted_and_compared():
    problem = closed_problem()
    truth = np.array([0.5, 0.1, -0.2, -1.0, 0.3, -0.4, 0.8])

    def quantities(raw, seen):
        assert seen.shape == (4,)
        return jnp.concatenate(list(problem.space.constrain(raw).values()))

    names = [f"q{k}" for k in range(7)]
    rng = np.random.default_rng(2)
    found, (fitted, noise) = recovery.recover(
        problem, truth, quantities, names, 14.0 * HOUR, rng
    )
    np.testing.assert_array_equal(noise.exact, [1, 1, 1, 1, 1, 1, 0, 0])
    assert noise.after[6] == 14.0 * HOUR
    assert np.isneginf(noise.after[7])
    assert fitted.residual[7] < 1e-6
    assert sum(interval.covers for interval in found) >= 5
    assert found[0].share < 0.1  # its onset was seen
    assert 0.9 < found[6].share < 1.1  # no datum sees the last knot


def test_coverage_counts_and_tests_each_quantity():
    good = [recovery.Interval("good", 0.0, -1.0, 1.0, 0.2)] * 19
    good += [recovery.Interval("good", 2.0, -1.0, 1.0, 0.2)]
    bad = [recovery.Interval("bad", 2.0, -1.0, 1.0, 0.4)] * 10
    bad += [recovery.Interval("bad", 0.0, -1.0, 1.0, 0.4)] * 10
    one, other = recovery.coverage(good + bad)
    assert (one["covered"], one["data_sets"]) == (19, 20)
    assert one["binomial_probability"] == pytest.approx(1.0)
    assert other["covered"] == 10
    assert other["binomial_probability"] < 1e-6
    assert other["median_width_share"] == pytest.approx(0.4)
