"""Particles left out, against integrals over the population that are exact."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from fitting import left_out
from fitting.events import Event, Events
from fitting.noise import EventNoise, StudentT
from fitting.parameters import Free, ParameterSpace
from fitting.priors import Hierarchical
from fitting.problem import AbstractForward, Prediction, Problem
from fitting.setup import Setup

from .linear import HOUR, Numbers

SEEN = np.array([6.0, 6.8, 5.6, 7.7])  # h
SD = 0.3
PRIOR = Hierarchical(4, 0.0, 1.0, 0.4)
CELLS = norm.ppf((np.arange(160) + 0.5) / 160)


class EachItsOwn(AbstractForward):
    """Times 5 h - 2 h a of contacts a, which do not feel each other."""

    def __call__(self, electrode):
        times = HOUR * (5.0 - 2.0 * electrode.values)
        return Prediction(times, jnp.zeros(0), jnp.any(~jnp.isfinite(times)))


def members_of(values, old):
    del old
    return values[2:]


def setup_of(count):
    rows = [
        Event(str(k), "midpoint", time=HOUR * t, sd=HOUR * SD)
        for k, t in enumerate(SEEN[:count])
    ]
    events = Events.from_rows(rows)
    free = Free(
        name="log10 contact radius",
        prior=dataclasses.replace(PRIOR, count=count),
        where=lambda electrode: electrode.values,
        law=members_of,
    )
    problem = Problem(
        *(Numbers(np.zeros(count)), ParameterSpace((free,)), EachItsOwn()),
        EventNoise.of(events),
    )
    fitted = np.ones(count, bool)
    return Setup(problem, problem.forward, events, fitted, None, "voltage")


def setup_of_four():
    return setup_of(4)


def population(seen):
    """Mean and spread on a grid of equal prior chance, and their posterior chance."""
    first, second = (axis.ravel() for axis in np.meshgrid(CELLS, CELLS))
    spread = PRIOR.spread * PRIOR.factor_spread**second
    wide = np.hypot(2.0 * spread, SD)
    logs = sum(norm.logpdf(t, 5.0 - 2.0 * first, wide) for t in seen)
    chance = np.exp(logs - logs.max())
    return first, second, spread, wide, chance / chance.sum()


def drawn(count, rng):
    """Raw numbers of the posterior of all four, exactly."""
    first, second, spread, _, chance = population(SEEN)
    cell = rng.choice(chance.size, count, p=chance)
    first, second, spread = first[cell], second[cell], spread[cell]
    precision = 1 / spread**2 + 4.0 / SD**2
    raw = [first, second]
    for t in SEEN:
        middle = (first / spread**2 + 2.0 * (5.0 - t) / SD**2) / precision
        contact = middle + rng.standard_normal(count) / np.sqrt(precision)
        raw.append((contact - first) / spread)
    return np.stack(raw, axis=1)


@pytest.fixture(scope="module")
def found():
    setup = setup_of_four()
    raw = drawn(3000, np.random.default_rng(0))
    first, second = raw[:, 0], raw[:, 1]
    spread = PRIOR.spread * PRIOR.factor_spread**second
    times = HOUR * (5.0 - 2.0 * (first[:, None] + spread[:, None] * raw[:, 2:]))
    return left_out.leave_out(setup, raw, times, count=3000)


@pytest.mark.parametrize("particle", range(4))
def test_intervals_are_those_of_a_posterior_without_the_particle(found, particle):
    others = np.delete(SEEN, particle)
    first, _, _, wide, chance = population(others)
    grid = np.linspace(-10.0, 20.0, 601)
    below = norm.cdf(grid[:, None], 5.0 - 2.0 * first, wide) @ chance
    exact = np.interp([0.05, 0.5, 0.95], below, grid)
    width = exact[2] - exact[0]
    assert width > 2.0  # the particle's own data would leave a tenth of an hour
    np.testing.assert_allclose(
        found.quantiles[:, particle] / HOUR, exact, atol=0.06 * width
    )


@pytest.mark.parametrize("particle", range(3))
def test_densities_are_those_of_a_posterior_without_the_particle(found, particle):
    first, _, _, wide, chance = population(np.delete(SEEN, particle))
    density = norm.pdf(SEEN[particle], 5.0 - 2.0 * first, wide) @ chance / HOUR
    assert abs(found.log_densities[particle] - np.log(density)) < 0.03


def test_weights_are_worst_of_the_particle_that_is_least_like_the_others(found):
    assert np.all(found.shapes[:3] < 0.5)
    assert 0.5 < found.shapes[3] < 1.0


def test_particles_that_feel_each_other_or_are_alone_are_refused():
    setup = setup_of_four()
    assert left_out.can_leave_out(setup)
    traced = dataclasses.replace(setup, seen="whole traces")
    for other in (dataclasses.replace(setup, drive="current"), traced, setup_of(1)):
        assert not left_out.can_leave_out(other)
        with pytest.raises(ValueError, match="driven by a recorded voltage"):
            left_out.leave_out(other, np.zeros((1, 6)), np.zeros((1, 4)))


def test_predictions_scatter_as_the_law_of_the_noise_says():
    setup = setup_of_four()
    noise = EventNoise.of(setup.events, StudentT(1.0))
    logs = np.zeros((3000, left_out._FINE.size, 4))
    found = left_out._predictions(setup, logs + 500.0 * HOUR, logs, noise, seed=0)
    ends = (found.quantiles[[0, -1]] - 500.0 * HOUR) / setup.events.sd
    np.testing.assert_allclose(ends, [[-6.31] * 4, [6.31] * 4], rtol=0.15)
