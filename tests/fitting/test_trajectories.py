"""Trajectories of a chosen length, against posteriors that are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitting import posterior, samplers, sampling, trajectories
from fitting.events import Event, Events

from . import test_sampling
from .linear import HOUR, assert_of_the_posterior, linear_problem, off_centre
from .test_sampling import by_quadrature, one_number

SAMPLER = trajectories.HMC(100)


def sampled(folder, problem, centre, plan, **fields):
    folder.mkdir(exist_ok=True)
    return test_sampling.sampled(folder, problem, centre, SAMPLER, plan, **fields)


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    folder = tmp_path_factory.mktemp("linear")
    plan = sampling.Plan(4, 500, 0, 100)
    return sampled(folder, linear_problem(), off_centre(), plan)


def test_mean_and_covariance_are_those_of_the_closed_form(linear):
    draws = linear.draws.raw
    assert_of_the_posterior(draws)


def test_chains_make_as_many_leapfrogs_as_their_lengths_ask_for(linear):
    solves = linear.draws.num_solves
    steps = linear.draws.step_size
    assert np.all(steps == steps[:, :1])
    # The same numbers of jitter in every chain: 0.5, 0.25, 0.75, ... from draw 0.
    jitter = np.array([trajectories._van_der_corput(k) for k in range(100, 600)])
    for own, step in zip(solves, steps[:, 0], strict=True):
        ratios = own / (2.0 * jitter / step)  # at least the length, but whole
        length = ratios.min()
        assert 0.5 * np.pi * 0.99 < length < np.pi
        wanted = np.clip(np.ceil(2.0 * jitter * length / step), 1, SAMPLER.most)
        assert np.mean(own == wanted) > 0.98


def test_a_trajectory_of_fine_steps_keeps_its_energy(key):
    target = posterior.Posterior.about(linear_problem(), off_centre())
    fine = dataclasses.replace(SAMPLER, step_size=0.02)
    advance = jax.jit(lambda state: fine.advance(target, state))
    state = fine.start(target, key)
    while not state.ready:
        state, _ = advance(state)
    _, key_momentum, _ = jax.random.split(state.key, 3)
    momentum = jax.random.normal(key_momentum, (3,))  # the mass is 1 still
    begin = state.potential + 0.5 * jnp.sum(momentum**2)
    after, draw = advance(state)
    assert draw.num_solves > 50
    np.testing.assert_allclose(draw.energy, begin, rtol=1e-3)
    assert abs(after.potential - state.potential) > 0.1
    log_volume = target.log_volume(after.place.u)
    np.testing.assert_allclose(draw.log_density, -after.potential - log_volume)


def test_bounds_and_failures_give_the_truncated_posterior(tmp_path):
    rows = [
        Event("seen", "onset", time=5.0 * HOUR, sd=2.0 * HOUR),
        Event("never", "onset", after=6.0 * HOUR, before=np.inf),
        Event("between", "onset", after=4.0 * HOUR, before=6.5 * HOUR),
    ]
    problem = one_number(Events.from_rows(rows), fails_beyond=1.5)
    centre = posterior.Centre(np.array([1.0]), np.array([[0.3]]))
    found = sampled(tmp_path / "a", problem, centre, sampling.Plan(4, 900, 1, 100))
    draws = found.draws
    mean, sd = by_quadrature(problem)
    np.testing.assert_allclose(draws.raw.mean(), mean, atol=0.1 * sd)
    np.testing.assert_allclose(draws.raw.std(), sd, rtol=0.1)
    assert draws.raw.max() <= 1.5
    assert draws.num_failed.sum() > 50
    assert draws.num_failed.max() == 1
    assert not draws.diverging.any()
    assert np.all(draws.acceptance[draws.num_failed > 0] == 0)


def test_a_start_that_fails_moves_towards_the_optimum(tmp_path):
    problem = linear_problem(fails_beyond=1.0)
    centre = posterior.Centre(np.array([0.99, 0.0, 0.0]), 9.0 * np.eye(3))
    found = sampled(tmp_path / "a", problem, centre, sampling.Plan(4, 4, 0, 52))
    assert np.all(np.isfinite(found.warmup.log_density))
    assert found.warmup.raw.max() <= 1.0


def test_chains_in_a_batch_draw_what_chains_in_threads_do(tmp_path):
    target = linear_problem(), off_centre(), sampling.Plan(2, 6, 5, 53)
    threads = sampled(tmp_path / "a", *target)
    batch = sampled(tmp_path / "b", *target, batched=True)
    # Only the first draws: adaptation of the step size multiplies what rounding left.
    ours, theirs = (part.warmup.raw[:, :20] for part in (threads, batch))
    np.testing.assert_allclose(theirs, ours, atol=1e-9)
    ours, theirs = (part.warmup.num_solves[:, :20] for part in (threads, batch))
    np.testing.assert_array_equal(theirs, ours)
    assert len(np.unique(ours)) > 5


@pytest.mark.parametrize(("widest", "expected"), [(1.0, 1.0), (4.0, 4.0)])
def test_the_widest_direction_is_told_from_the_scatter_of_few_draws(
    rng, widest, expected
):
    size, count, found = 20, 60, []
    for _ in range(40):
        along = rng.standard_normal(size)
        along /= np.linalg.norm(along)
        u = rng.standard_normal((count, size))
        u += (widest - 1.0) * np.outer(u @ along, along)
        spread = trajectories.Spread.empty(size)
        for row in u:
            spread = spread.plus(jnp.asarray(row))
        np.testing.assert_allclose(spread.products / (count - 1), np.cov(u.T))
        found.append(float(spread.widest(jnp.ones(size))))
        # In units of the mass: the same draws, twice as wide.
        twice = scaled(spread, 2.0)
        np.testing.assert_allclose(twice.widest(4.0 * jnp.ones(size)), found[-1])
    np.testing.assert_allclose(np.mean(found), expected, rtol=0.1)


def scaled(spread, factor):
    return spread._replace(
        mean=factor * spread.mean, products=factor**2 * spread.products
    )


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="`num_warmup` must be 10 or more, but is 3"):
        trajectories.HMC(3)
    with pytest.raises(ValueError, match="`acceptance` must lie between 0 and 1"):
        dataclasses.replace(SAMPLER, acceptance=1.0)
    for sampler, name in ((SAMPLER, "most"), (samplers.NUTS(), "max_depth")):
        with pytest.raises(ValueError, match=f"`{name}` must be 1 or more, but is 0"):
            dataclasses.replace(sampler, **{name: 0})
        for size in (0.0, -1.0, np.nan):
            with pytest.raises(ValueError, match="`step_size` must be positive, but"):
                dataclasses.replace(sampler, step_size=size)


def test_van_der_corput_numbers_fill_the_interval_evenly():
    found = jax.vmap(trajectories._van_der_corput)(jnp.arange(127))
    np.testing.assert_allclose(found[:3], [0.5, 0.25, 0.75])
    np.testing.assert_allclose(np.sort(found), np.arange(1, 128) / 128)
