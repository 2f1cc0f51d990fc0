"""Laws that forget what is known by bounds only, against closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, multivariate_t, norm

from fitting import evidence, parted, posterior
from fitting.events import Event, Events

from .linear import HOUR, problem_of
from .test_left_out import setup_of_four

SHIFT = jnp.array([0.3, -0.2, 0.1, 0.4, -0.3, 0.2])
FACTOR = jnp.eye(6) + 0.2 * jnp.tril(jnp.ones((6, 6)), -1)


def of_four(centred):
    """(posterior of a population of four, law of which the last member is apart)."""
    problem = setup_of_four().problem
    # A spread far from its middle, so that the volume of a centred member is not 1.
    middle, width = np.array([0.0, 2.0, 0.2, 0.3, 0.4, 0.5]), np.linspace(0.3, 1.0, 6)
    centre = posterior.Centre(middle, np.diag(width))
    target = posterior.Posterior.about(problem, centre)
    told = np.array([False, False, True, True, True, centred])
    around = dataclasses.replace(target.coordinates, centred=told)
    target = dataclasses.replace(target, coordinates=around)
    return target, parted.Parted(SHIFT, FACTOR, jnp.arange(6) == 5)


@pytest.mark.parametrize("centred", [True, False])
def test_the_density_is_that_of_the_draws(centred, key):
    target, law = of_four(centred)
    draws = jax.jit(jax.vmap(lambda own: law.draw(target, own)))
    u = draws(jax.random.split(key, 40000))
    log_q = jax.jit(jax.vmap(lambda point: law.log_density(target, point)))(u)
    # Of a density f that is known, the mean of f / q over draws of q is 1.
    for scale in (0.6, 0.9):
        shape = scale**2 * np.asarray(FACTOR @ FACTOR.T)
        log_f = multivariate_normal(SHIFT, shape).logpdf(u)
        ratio = np.exp(log_f - log_q)
        error = ratio.std() / np.sqrt(ratio.size)
        assert error < 0.015
        assert abs(ratio.mean() - 1.0) < 3.5 * error


def test_with_nothing_apart_it_is_students_law(key):
    target, law = of_four(True)
    law = dataclasses.replace(law, alone=jnp.zeros(6, bool))
    u = jax.random.normal(key, (5, 6))
    found = jax.vmap(lambda point: law.log_density(target, point))(u)
    known = multivariate_t(SHIFT, FACTOR @ FACTOR.T, df=5).logpdf(u)
    np.testing.assert_allclose(found, known, rtol=1e-10)


def test_the_evidence_counts_all_that_lies_beyond_a_bound():
    events = Events.from_rows(
        [
            Event("0", "onset", time=6.0 * HOUR, sd=0.3 * HOUR),
            Event("1", "onset", after=5.2 * HOUR, before=np.inf),
        ]
    )
    problem = problem_of(np.eye(2), events, edge_sd=0.05 * HOUR)
    # As a search ends: beside the bound, and sure of it.
    centre = posterior.Centre(np.array([0.9, 0.25]), np.diag([0.08, 0.002]))
    known = norm.logpdf(1.0, 0.0, np.hypot(1.0, 0.3)) - np.log(HOUR)
    known += norm.logcdf(-0.2 / np.hypot(1.0, 0.05))
    how = {"rounds": 4, "count": 300}
    alone = np.array([False, True])
    found, law = evidence.adapted(problem, centre, alone=alone, **how)
    assert found.sd < 0.05
    assert abs(found.log_evidence - known) < 4 * found.sd
    beyond = found.raw[:, 1]
    assert abs(np.mean(beyond > 1.0) - norm.sf(1.0) / norm.sf(0.2)) < 0.06
    np.testing.assert_array_equal(law.alone, alone)
