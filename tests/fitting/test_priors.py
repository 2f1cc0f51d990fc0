"""Priors: one to one, standard normal in raw coordinates, densities as they say."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from fitting import priors
from tests.helpers import examples

ONE_NUMBER = [
    dist.Normal(2.0, 3.0),
    dist.LogNormal(-1.0, 0.7),
    dist.Uniform(-7.5, -5.0),
    dist.TruncatedNormal(0.3, 1.2, low=0.0),
    dist.Cauchy(0.3, 1.2),
]


@pytest.mark.parametrize("prior", examples(priors.AbstractPrior))
def test_unconstrain_undoes_constrain(prior, key):
    raw = jax.random.normal(key, (prior.size,))
    again = prior.unconstrain(prior.constrain(raw))
    assert np.all(np.isfinite(again))
    np.testing.assert_allclose(again, raw, atol=1e-9)


@pytest.mark.parametrize("prior", examples(priors.AbstractPrior))
def test_every_component_moves_its_values(prior, key):
    slopes = jax.jacfwd(prior.constrain)(jax.random.normal(key, (prior.size,)))
    assert np.linalg.slogdet(slopes)[1] > -50.0
    assert np.all(np.isfinite(slopes))


@pytest.mark.parametrize("law", ONE_NUMBER, ids=lambda law: type(law).__name__)
def test_values_have_the_density_of_their_distribution(law):
    prior = priors.Independent(law)
    for z in (-2.1, 0.2, 1.7):
        raw = jnp.array([z])
        slope = jax.jacfwd(prior.constrain)(raw)[0, 0]
        density = law.log_prob(prior.constrain(raw)[0]) + jnp.log(jnp.abs(slope))
        np.testing.assert_allclose(density, dist.Normal().log_prob(z), rtol=1e-6)


def test_a_correlated_prior_has_the_density_of_its_covariance(key):
    prior = priors.Correlated.example()
    law = dist.MultivariateNormal(prior.mean, scale_tril=prior.cholesky)
    raw = jax.random.normal(key, (4,))
    slopes = jax.jacfwd(prior.constrain)(raw)
    density = law.log_prob(prior.constrain(raw)) + jnp.linalg.slogdet(slopes)[1]
    expected = jnp.sum(dist.Normal().log_prob(raw))
    np.testing.assert_allclose(density, expected, rtol=1e-10)


def test_a_bounded_value_stays_within_its_bounds_however_far_raw_goes():
    prior = priors.Independent(dist.Uniform(-7.5, -5.0))
    for z in (-1e3, 1e3):
        value = prior.constrain(jnp.array([z]))[0]
        assert -7.5 <= value <= -5.0
        assert np.isfinite(jax.jacfwd(prior.constrain)(jnp.array([z]))[0, 0])


def test_a_smooth_prior_lets_a_straight_deviation_through():
    knots = np.array([0.3, 0.5, 0.9, 1.0])
    prior = priors.smooth(knots, np.zeros(4), sd=1.0, roughness=0.05)
    precision = np.linalg.inv(prior.cholesky @ prior.cholesky.T)
    straight = 0.4 + 0.3 * knots
    bent = straight * np.array([1.0, -1.0, 1.0, -1.0])
    np.testing.assert_allclose(straight @ precision @ straight, straight @ straight)
    assert bent @ precision @ bent > 100.0 * bent @ bent


def test_fixing_a_knot_of_a_smooth_prior_is_conditioning():
    knots = np.array([0.3, 0.5, 0.9, 1.0])
    whole = priors.smooth(knots, np.zeros(4), sd=1.0, roughness=0.2)
    fixed = priors.smooth(knots, np.zeros(4), sd=1.0, roughness=0.2, free=[0, 1, 2])
    covariance = whole.cholesky @ whole.cholesky.T
    cross = covariance[:3, 3:]
    expected = covariance[:3, :3] - cross @ cross.T / covariance[3, 3]
    np.testing.assert_allclose(fixed.cholesky @ fixed.cholesky.T, expected, rtol=1e-9)


def test_a_monotone_prior_never_turns(key):
    prior = priors.Monotone.example()
    draws = jax.vmap(prior.constrain)(10.0 * jax.random.normal(key, (200, 4)))
    assert np.all(np.diff(draws, axis=1) < 0)
    assert np.std(draws[:, -1]) > 0


def test_members_of_a_hierarchy_follow_the_mean_of_their_population():
    prior = priors.Hierarchical(3, -6.3, 1.0, 0.5)
    one = prior.constrain(jnp.array([0.0, 0.0, 0.5, -1.0, 2.0]))
    other = prior.constrain(jnp.array([0.7, 0.0, 0.5, -1.0, 2.0]))
    np.testing.assert_allclose(one, [-6.3, 0.5, -6.05, -6.8, -5.3], rtol=1e-12)
    np.testing.assert_allclose(np.delete(other - one, 1), 0.7, rtol=1e-12)


def test_what_cannot_be_a_prior_is_refused_by_name():
    with pytest.raises(ValueError, match="give `count` instead"):
        priors.Independent(dist.Normal(np.zeros(2), 1.0))
    with pytest.raises(ValueError, match="must have quantiles"):
        priors.Independent(dist.VonMises(0.0, 1.0))
    with pytest.raises(ValueError, match="must go one way"):
        priors.Monotone(np.array([0.0, 1.0, 0.5]), 0.5, 0.4)
    with pytest.raises(ValueError, match="must be positive"):
        priors.smooth([0.0, 1.0], [0.0, 0.0], 0.5, 0.0)
    with pytest.raises(ValueError, match="`spread` must be positive"):
        priors.Hierarchical(3, -6.3, 1.0, 0.0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: priors.Independent("x"), "one of numpyro's, but is 'x'"),
        (lambda: priors.Independent(dist.Normal(0.0, 1.0), 0), "`count` must be .* 0"),
        (
            lambda: priors.Hierarchical(0, 0.0, 1.0, 0.5),
            "`count` must be a number of 1 or more, but is 0",
        ),
        (
            lambda: priors.Correlated(np.zeros(2), np.eye(3)),
            r"the shapes \(3, 3\) and \(2,\)",
        ),
        (
            lambda: priors.Monotone(np.array([0.0, 1.0]), -1.0, 0.4),
            "`sd_start` must be positive, but is -1.0",
        ),
        (
            lambda: priors.smooth([0.1, 0.5], [0.0, 0.0], 1.0, 1.0, free=[5]),
            r"indices of the 2 knots, but is \[5\]",
        ),
        (
            lambda: priors.smooth([0.5, 0.1], [0.0, 0.0], 1.0, 1.0),
            r"must increase, but are \[0.5, 0.1\]",
        ),
        (
            lambda: priors.smooth([0.1, 0.1], [0.0, 0.0], 1.0, 1.0),
            "must increase",
        ),
        (
            lambda: priors.smooth([0.1, 0.5], [0.0, np.nan], 1.0, 1.0),
            "`mean` must be a finite value for each of the 2 knots",
        ),
        (
            lambda: priors.smooth([0.1, 0.5], [0.0, 0.0, 0.0], 1.0, 1.0),
            "`mean` must be a finite value for each of the 2 knots",
        ),
    ],
)
def test_what_describes_no_prior_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
