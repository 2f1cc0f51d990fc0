"""A fit whose posterior is known exactly: times are linear in normal numbers."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy.stats import multivariate_normal

from fitting.events import Event, Events
from fitting.noise import EventNoise
from fitting.parameters import Free, ParameterSpace
from fitting.posterior import Centre
from fitting.priors import Independent
from fitting.problem import AbstractForward, Prediction, Problem

HOUR = 3600.0
MATRIX = np.array([[1.0, 0.5, 0.0], [0.3, -1.0, 0.8], [0.9, 0.9, 0.1], [0.0, 2.0, 1.0]])
SD = np.array([0.5, 0.3, 0.7, 0.4])  # h
SEEN = np.array([5.5, 4.2, 6.9, 5.8])  # h


class Numbers(eqx.Module):
    values: jnp.ndarray


class Linear(AbstractForward):
    """Times 5 h + A v, and a solve that fails where a number is too large."""

    matrix: np.ndarray
    fails_beyond: np.ndarray

    def __call__(self, electrode):
        times = HOUR * (5.0 + self.matrix @ electrode.values)
        failed = jnp.any(electrode.values > self.fails_beyond)
        times = jnp.where(failed, jnp.nan, times)
        return Prediction(times, jnp.zeros(0), failed)


def values_of(electrode):
    return electrode.values


def problem_of(matrix, events, fails_beyond=np.inf, **scales):
    """A fit of standard normal numbers through a matrix [h]."""
    size = matrix.shape[1]
    free = Free(
        name="v", prior=Independent(dist.Normal(0.0, 1.0), size), where=values_of
    )
    return Problem(
        Numbers(np.zeros(size)),
        ParameterSpace((free,)),
        Linear(matrix, np.asarray(fails_beyond)),
        EventNoise.of(events, **scales),
    )


def linear_events():
    """Four times."""
    return Events.from_rows(
        [
            Event(str(k), "onset", time=HOUR * SEEN[k], sd=HOUR * SD[k])
            for k in range(len(SD))
        ]
    )


def linear_problem(fails_beyond=np.inf):
    """Three numbers, four times."""
    return problem_of(MATRIX, linear_events(), fails_beyond)


def exact():
    """Mean and covariance of the posterior of `linear_problem`."""
    weighted = MATRIX / SD[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted + np.eye(3))
    return covariance @ weighted.T @ ((SEEN - 5.0) / SD), covariance


def known_evidence(matrix=MATRIX):
    """ln Z of `linear_problem`, or through another matrix; densities are in 1/s."""
    covariance = matrix @ matrix.T + np.diag(SD**2)
    law = multivariate_normal(np.full(4, 5.0), covariance)
    return law.logpdf(SEEN) - 4 * np.log(HOUR)


def off_centre():
    """Where a careless search would have ended: beside the optimum, too wide."""
    mean, covariance = exact()
    return Centre(mean + 0.3, 2.0 * np.diag(np.diag(covariance)))


def assert_of_the_posterior(raw):
    """That thousands of draws (chain, draw, component) have its mean and covariance."""
    mean, covariance = exact()
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(raw.mean((0, 1)), mean, atol=0.1 * sd.min())
    found = np.cov(raw.reshape(-1, raw.shape[-1]).T)
    np.testing.assert_allclose(found, covariance, atol=0.12 * sd.max() ** 2)
