"""Jumps between the moves of other samplers, against posteriors that are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitting import chunks, mixtures, posterior, sampling, trajectories
from fitting.events import Event, Events
from fitting.jumps import Jumping
from fitting.slices import Elliptical

from .linear import (
    HOUR,
    assert_of_the_posterior,
    exact,
    linear_problem,
    off_centre,
    problem_of,
)
from .test_evidence import Squared
from .test_sampling import by_quadrature

INNER = {
    "hmc": trajectories.HMC(100),
    "slice": Elliptical(jnp.zeros(3), jnp.eye(3), jnp.zeros(3, bool)),
}


def begun(folder):
    store = chunks.Store(folder)
    store.create({})
    return store


def two_modes():
    """One number v with a time 5 h + v^2 = 7.25 h, seen to 0.3 h; a centre at 1.5."""
    events = Events.from_rows([Event("0", "onset", time=7.25 * HOUR, sd=0.3 * HOUR)])
    problem = dataclasses.replace(problem_of(np.eye(1), events), forward=Squared())
    return problem, posterior.Centre(np.array([1.5]), np.array([[0.01]]))


def law_of(target, values, width):
    """A mixture of laws of one number about some of its values."""
    middle = [target.point(jnp.array([value])) for value in values]
    share = jnp.full(len(values), 1.0 / len(values))
    factor = jnp.full((len(values), 1, 1), width / target.factor[0, 0])
    return mixtures.Mixture(share, jnp.stack(middle), factor)


def test_chains_cross_between_modes_by_jumps_alone(tmp_path):
    problem, centre = two_modes()
    target = posterior.Posterior.about(problem, centre)
    inner, plan = trajectories.HMC(60), sampling.Plan(4, 500, 0, 560)
    stays = sampling.sample(target, inner, begun(tmp_path / "without"), plan)
    assert np.all(stays.draws.raw > 0)
    # A law beside the modes, of shares unlike theirs: slower, but not wrong.
    law = law_of(target, (-1.7, -1.4, 1.4), 0.15)
    sampler = Jumping(inner, law, num_pilot=20, tries=3)
    found = sampling.sample(target, sampler, begun(tmp_path / "with"), plan)
    raw = found.draws.raw[..., 0]
    assert np.all(np.abs(np.mean(raw > 0, axis=1) - 0.5) < 0.1)
    mean, sd = by_quadrature(problem)
    np.testing.assert_allclose(raw.mean(), mean, atol=0.1 * sd)
    np.testing.assert_allclose(raw.std(), sd, rtol=0.01)
    size = np.abs(raw)
    grid = np.linspace(0.0, 4.0, 2001)
    density = np.exp(-0.5 * ((grid**2 - 2.25) / 0.3) ** 2 - 0.5 * grid**2)
    middle = np.average(grid, weights=density)
    width = np.sqrt(np.average((grid - middle) ** 2, weights=density))
    np.testing.assert_allclose(size.mean(), middle, atol=0.1 * width)
    np.testing.assert_allclose(size.std(), width, rtol=0.1)


@pytest.fixture(scope="module", params=list(INNER))
def jumping(request, tmp_path_factory):
    """(target, sampler, samples) about the linear problem, beyond an edge of which
    solves fail; the law is half beside it.
    """
    problem = linear_problem(fails_beyond=float(exact()[0][0]) + 1.0)
    target = posterior.Posterior.about(problem, off_centre())
    law = mixtures.Mixture(
        jnp.array([0.5, 0.5]),
        jnp.stack([jnp.zeros(3), jnp.full(3, 2.0)]),
        jnp.stack([jnp.eye(3), 0.7 * jnp.eye(3)]),
    )
    sampler = Jumping(INNER[request.param], law, num_pilot=20, tries=2)
    plan = sampling.Plan(4, 600, 0, 1000)
    store = begun(tmp_path_factory.mktemp(request.param) / "chunks")
    return target, sampler, sampling.sample(target, sampler, store, plan)


def test_jumps_keep_to_the_posterior(jumping):
    raw = jumping[2].draws.raw
    assert raw.shape == (4, 600, 3)
    assert_of_the_posterior(raw)


def test_draws_carry_what_their_solves_said_wherever_they_came_from(jumping):
    target, _, samples = jumping
    raw = jnp.asarray(samples.draws.raw[1, ::20])
    found = jax.jit(jax.vmap(target.evaluate))(raw)
    draws = jax.tree.map(lambda leaf: leaf[1, ::20], samples.draws)
    np.testing.assert_allclose(draws.log_density, found.log_density, rtol=1e-9)
    np.testing.assert_allclose(draws.log_likelihoods, found.log_likelihoods, rtol=1e-8)
    np.testing.assert_allclose(draws.times, found.times, rtol=1e-9)


def test_trajectories_begin_with_the_slope_of_where_a_jump_ended(key):
    target = posterior.Posterior.about(linear_problem(), off_centre())
    # Steps so fine that a trajectory from the right slope keeps its energy.
    fine = dataclasses.replace(INNER["hmc"], step_size=0.02)
    law = mixtures.Mixture(jnp.ones(1), jnp.zeros((1, 3)), jnp.eye(3)[None])
    mover = Jumping(fine, law, num_pilot=20, tries=20)
    advance = jax.jit(lambda state: mover.advance(target, state))
    for own in jax.random.split(key, 5):
        state = fine.start(target, own)
        while not state.ready:
            state, _ = advance(state)
        assert not state.stale
        state, draw = advance(state)
        assert draw.acceptance > 0.9995
        assert not state.stale


def test_failed_jumps_are_counted_and_are_no_divergences(jumping):
    _, sampler, samples = jumping
    draws = samples.draws
    assert draws.num_failed.sum() > 100
    assert draws.num_failed.max() > 1  # of two jumps
    assert np.all(np.isfinite(draws.log_density))
    assert not draws.diverging.any()
    assert np.all(draws.num_solves > sampler.tries)


def test_a_pilot_gives_the_law_and_is_kept_apart(tmp_path):
    problem, centre = two_modes()
    target = posterior.Posterior.about(problem, centre)
    store, plan = begun(tmp_path / "chunks"), sampling.Plan(2, 30, 0, 10)
    inner = trajectories.HMC(60)
    told = []
    found = sampling.sample_jumping(
        *(target, inner, store, plan, 40), callback=told.append
    )
    assert found.draws.raw.shape == (2, 30, 1)
    assert found.warmup.raw.shape == (2, 100, 1)
    assert (told[-1].num_done, told[-1].num_total) == (260, 260)
    pilot = found.warmup.raw[:, 60:].reshape(-1, 1)
    points = np.asarray(jax.vmap(target.point)(jnp.asarray(pilot)))
    law = mixtures.fit_mixture(points, seed=plan.seed)
    np.testing.assert_array_equal(store.kept("law")["middle"], law.middle)
    # The same stretches without the last ones, and the law by itself, give the rest.
    for name in ("law.npz", *(f"chain-{c}/{k:05d}.npz" for c in (0, 1) for k in (11,))):
        (store.folder / name).unlink()
    again = sampling.sample_jumping(target, inner, store, plan, 40)
    np.testing.assert_array_equal(again.draws.raw, found.draws.raw)
    # Without a pilot there are no jumps.
    (tmp_path / "plain").mkdir()
    plain = begun(tmp_path / "plain" / "chunks")
    alone = sampling.sample_jumping(target, inner, plain, plan, 0)
    np.testing.assert_array_equal(alone.draws.raw[:, :30], found.warmup.raw[:, 60:90])
    with pytest.raises(ValueError, match="whole files of 10 draws, but are 105 draws"):
        sampling.sample_jumping(target, inner, plain, plan, 45)


def test_fewer_draws_than_none_or_no_tries_are_refused():
    law = mixtures.Mixture.example()
    with pytest.raises(ValueError, match="`tries` must be 1 or more, but is 0"):
        Jumping(INNER["hmc"], law, num_pilot=10, tries=0)
    with pytest.raises(ValueError, match="`num_pilot` must be 0 or more, but is -1"):
        Jumping(INNER["hmc"], law, num_pilot=-1)
