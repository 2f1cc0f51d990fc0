"""Particles left out, against integrals over the population that are exact."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
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


class Bent(EachItsOwn):
    """Jumps that come exponentially late, and beyond 16 h go on slowly."""

    def __call__(self, electrode):
        hours = 2.0 + 4.0 * 10.0**-electrode.values
        late = 16.0 * (2.0 - 16.0 / hours)
        times = HOUR * jnp.where(hours < 16.0, hours, late)
        return Prediction(times, jnp.zeros(0), jnp.any(~jnp.isfinite(times)))


def times_of(count, sd):
    return Events.from_rows(
        [
            Event(str(k), "midpoint", time=HOUR * t, sd=HOUR * sd)
            for k, t in enumerate(SEEN[:count])
        ]
    )


def setup_of(count, events=None, forward=EachItsOwn):
    events = times_of(count, SD) if events is None else events
    free = Free(
        name="log10 contact radius",
        prior=dataclasses.replace(PRIOR, count=count),
        where=lambda electrode: electrode.values,
        law=members_of,
    )
    problem = Problem(
        *(Numbers(np.zeros(count)), ParameterSpace((free,)), forward()),
        EventNoise.of(events, edge_sd=60.0),
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
    raw = drawn(2000, np.random.default_rng(0))
    first, second = raw[:, 0], raw[:, 1]
    spread = PRIOR.spread * PRIOR.factor_spread**second
    times = HOUR * (5.0 - 2.0 * (first[:, None] + spread[:, None] * raw[:, 2:]))
    return left_out.leave_out(setup, raw, times, count=2000)


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


def integrals(setup, raw):
    """Of each particle's data over its number, by brute force."""
    z = np.linspace(-8.0, 8.0, 160_001)
    spread = PRIOR.spread * PRIOR.factor_spread ** raw[1]
    line = jnp.repeat(jnp.asarray(raw[0] + spread * z)[:, None], len(raw) - 2, axis=1)
    times = jax.vmap(lambda a: setup.forward(Numbers(a)).times)(line)
    logs = jax.vmap(setup.problem.noise.log_densities)(times, jnp.zeros(len(z)))
    return logsumexp(np.asarray(logs) + norm.logpdf(z)[:, None], axis=0) + np.log(1e-4)


def density_of_one(setup, raw):
    """What a single draw says of its particles, whatever the others are."""
    spread = PRIOR.spread * PRIOR.factor_spread ** raw[1]
    times = setup.forward(Numbers(raw[0] + spread * raw[2:])).times
    return left_out.leave_out(setup, raw[None], np.asarray(times)[None]).log_densities


def test_times_known_to_a_second_are_integrated():
    setup = setup_of(4, times_of(4, 1.0 / HOUR))
    raw = np.array([0.1, 0.3, 0.0, 0.0, 0.0, 0.0])
    spread = PRIOR.spread * PRIOR.factor_spread ** raw[1]
    raw[2:] = ((5.0 - SEEN) / 2.0 - raw[0]) / spread
    np.testing.assert_allclose(
        density_of_one(setup, raw), integrals(setup, raw), atol=0.01
    )


def test_bounds_and_times_are_integrated_where_times_bend():
    rows = [
        Event("0", "midpoint", after=9.0 * HOUR, before=np.inf),
        Event("1", "midpoint", after=15.9 * HOUR, before=np.inf),
        Event("2", "midpoint", after=5.0 * HOUR, before=5.5 * HOUR),
        Event("3", "midpoint", time=13.0 * HOUR, sd=600.0),
    ]
    setup = setup_of(4, Events.from_rows(rows), Bent)
    for mean, spread in ((0.0, 0.5), (0.3, -0.5), (0.3, 1.5)):
        raw = np.array([mean, spread, 0.0, 0.0, 0.0, 0.0])
        wide = PRIOR.spread * PRIOR.factor_spread**spread
        hours = np.array([12.0, 18.0, 5.2, 13.0])
        raw[2:] = (-np.log10((hours - 2.0) / 4.0) - mean) / wide
        np.testing.assert_allclose(
            density_of_one(setup, raw), integrals(setup, raw), atol=0.01
        )


def test_draws_that_are_repeated_count_as_often():
    setup, rng = setup_of_four(), np.random.default_rng(1)
    raw = drawn(60, rng)
    often = rng.integers(1, 30, 60)
    spread = PRIOR.spread * PRIOR.factor_spread ** raw[:, 1]
    times = HOUR * (5.0 - 2.0 * (raw[:, :1] + spread[:, None] * raw[:, 2:]))
    every = rng.permutation(np.repeat(np.arange(60), often))
    found = left_out.leave_out(setup, raw[every], times[every], count=100)
    assert found.num_draws == 60
    # The weight of a draw in the mean of 1 / p is how often it came.
    wide = np.hypot(2.0 * spread, SD)[:, None]
    each = norm.logpdf(SEEN, 5.0 - 2.0 * raw[:, :1], wide) - np.log(HOUR)
    known = np.log(often.sum()) - logsumexp(-each, b=often[:, None], axis=0)
    smooth = found.shapes < 0.3
    assert smooth.any()
    np.testing.assert_allclose(found.log_densities[smooth], known[smooth], atol=0.05)


def test_of_many_draws_those_that_repeat_stand_for_themselves():
    rng = np.random.default_rng(2)
    raw = rng.standard_normal((300, 2))
    often = np.where(np.arange(300) < 10, 50, 1)
    taken, worth = left_out._distinct(np.repeat(raw, often, axis=0), 100)
    assert len(taken) == len(worth) == len(np.unique(taken)) == 100
    np.testing.assert_allclose(worth.sum(), often.sum())
    np.testing.assert_allclose(worth[:10], 50.0)
    np.testing.assert_allclose(worth[10:], 290.0 / 90.0)


def test_predictions_scatter_as_the_law_of_the_noise_says():
    setup = setup_of_four()
    wide = EventNoise.of(setup.events, StudentT(1.0))
    setup = dataclasses.replace(
        setup, problem=dataclasses.replace(setup.problem, noise=wide)
    )
    far, level = np.full((2, 4), 500.0 * HOUR), np.array([[-4.0] * 4, [4.0] * 4])
    line = left_out._Line(level, far, far, np.zeros((1, 4)))
    found = left_out._predictions(setup, [line] * 300, np.zeros(300), seed=0)
    ends = (found.quantiles[[0, -1]] - 500.0 * HOUR) / setup.events.sd
    np.testing.assert_allclose(ends, [[-6.31] * 4, [6.31] * 4], rtol=0.15)
