"""Chains against posteriors that are known: in closed form, by quadrature."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from jaxtyping import Array, Float
from numpyro.infer import NUTS as NumpyroNUTS

from fitting import chunks, independent, parted, posterior, samplers, sampling
from fitting.events import Event, Events

from .linear import (
    HOUR,
    MATRIX,
    assert_of_the_posterior,
    exact,
    linear_problem,
    off_centre,
    problem_of,
)

SAMPLER = samplers.NUTS(100)  # one, so that it is compiled once


def sampled(folder, problem, centre, sampler, plan, **fields):
    store = chunks.Store(folder / "chunks")
    store.create({})
    target = posterior.Posterior.about(problem, centre)
    return sampling.sample(target, sampler, store, plan, **fields)


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    """NUTS on the linear problem, from a centre beside its optimum."""
    told = []
    found = sampled(
        *(tmp_path_factory.mktemp("linear"), linear_problem(), off_centre()),
        *(SAMPLER, sampling.Plan(4, 500, 0, 100)),
        callback=told.append,
    )
    return found, told


def test_mean_and_covariance_are_those_of_the_closed_form(linear):
    draws = linear[0].draws.raw
    assert draws.shape == (4, 500, 3)
    assert_of_the_posterior(draws)


def test_draws_carry_what_their_solves_said(linear):
    draws = linear[0].draws
    problem = linear_problem()
    raw = jnp.asarray(draws.raw[2, 17])
    np.testing.assert_allclose(draws.log_density[2, 17], problem.log_density(raw))
    rows, found = problem.log_densities(raw)
    np.testing.assert_allclose(draws.log_likelihoods[2, 17], rows)
    np.testing.assert_allclose(draws.times[2, 17], found.times)
    times = HOUR * (5.0 + draws.raw @ MATRIX.T)
    np.testing.assert_allclose(draws.times, times, rtol=1e-9)
    assert np.all(draws.log_weight == 0)


def test_warm_up_finds_a_step_and_is_kept_apart(linear):
    found, told = linear
    assert found.warmup.raw.shape == (4, 100, 3)
    steps = found.draws.step_size
    assert np.all(steps == steps[:, :1])
    assert np.all((steps > 0.2) & (steps < 2.0))
    assert 0.7 < found.draws.acceptance.mean() < 0.95
    assert told[-1].num_done == told[-1].num_total == told[-1].num_new == 2400
    solves = found.draws.num_solves.sum() + found.warmup.num_solves.sum()
    assert told[-1].num_solves == solves


def test_nothing_failed_where_nothing_can(linear):
    for part in linear[0]:
        assert part.num_failed.sum() == 0
        assert np.all(np.isfinite(part.raw))


def one_number(events, fails_beyond=np.inf):
    return problem_of(
        np.ones((len(events.kind), 1)), events, fails_beyond, edge_sd=1800
    )


def by_quadrature(problem):
    """Mean and standard deviation of one raw number."""
    grid = np.linspace(-8.0, 8.0, 4001)
    logarithm = jax.jit(jax.vmap(lambda z: problem.log_density(z[None])))(grid)
    weight = np.exp(logarithm - np.max(logarithm))
    mean = np.sum(grid * weight) / np.sum(weight)
    return mean, np.sqrt(np.sum((grid - mean) ** 2 * weight) / np.sum(weight))


def test_bounds_and_failures_give_the_truncated_posterior(tmp_path):
    rows = [
        Event("seen", "onset", time=5.0 * HOUR, sd=2.0 * HOUR),
        Event("never", "onset", after=6.0 * HOUR, before=np.inf),
        Event("between", "onset", after=4.0 * HOUR, before=6.5 * HOUR),
    ]
    problem = one_number(Events.from_rows(rows), fails_beyond=1.5)
    centre = posterior.Centre(np.array([1.0]), np.array([[0.3]]))
    plan = sampling.Plan(4, 700, 1, 100)
    told = []
    every = sampled(tmp_path, problem, centre, SAMPLER, plan, callback=told.append)
    found = every.draws
    mean, sd = by_quadrature(problem)
    np.testing.assert_allclose(found.raw.mean(), mean, atol=0.1 * sd)
    np.testing.assert_allclose(found.raw.std(), sd, rtol=0.1)
    assert found.raw.max() <= 1.5
    # Nothing else sends a trajectory of this smooth density astray.
    assert found.num_failed.sum() > 50
    assert not found.diverging.any()
    assert found.num_failed.max() == 1
    assert max(progress.num_diverging for progress in told) == 0
    all_failed = found.num_failed.sum() + every.warmup.num_failed.sum()
    assert max(progress.num_failed for progress in told) == all_failed


class WalkState(NamedTuple):
    u: Any
    found: Any
    key: Any
    ready: Any


class Walk(samplers.AbstractSampler):
    """Metropolis' walk, as somebody may write it: numbers where arrays are meant."""

    scale: Float[Array, ""]
    num_warmup: int = eqx.field(static=True, default=20)

    def start(self, target, key):
        u = jnp.zeros(target.size)
        shapes = jax.eval_shape(target.evaluate, u)
        blank = jax.tree.map(lambda like: jnp.zeros(like.shape, like.dtype), shapes)
        return WalkState(u, blank._replace(log_density=-jnp.inf), key, False)

    def advance(self, target, state):
        key, key_step, key_choice = jax.random.split(state.key, 3)
        step = self.scale * jax.random.normal(key_step, (target.size,))
        u = jnp.where(state.ready, state.u + step, state.u)
        raw = target.raw(u)
        found = target.evaluate(raw)
        density = lambda u, found: found.log_density + target.log_volume(u)
        gain = density(u, found) - density(state.u, state.found)
        taken = jnp.log(jax.random.uniform(key_choice)) < gain
        u, found = jax.tree.map(
            lambda new, old: jnp.where(taken, new, old), (u, found), state[:2]
        )
        draw = samplers.Draw(
            raw=target.raw(u),
            log_density=found.log_density,
            log_weight=0.0,
            log_likelihoods=found.log_likelihoods,
            times=found.times,
            energy=-found.log_density,
            acceptance=1.0 * taken,
            step_size=self.scale,
            num_solves=1,
            depth=0,
            diverging=False,
            num_failed=0,
        )
        return WalkState(u, found, key, state.ready | taken), draw


def test_a_sampler_of_ones_own_runs_and_its_draws_are_kept(tmp_path):
    plan = sampling.Plan(4, 1500, 0, 100)
    walk = Walk(jnp.asarray(1.4))
    found = sampled(tmp_path, linear_problem(), off_centre(), walk, plan)
    assert_of_the_posterior(found.draws.raw)
    assert np.all(found.draws.num_solves == 1)


def test_a_start_that_fails_moves_towards_the_optimum(tmp_path):
    problem = linear_problem(fails_beyond=1.0)
    centre = posterior.Centre(np.array([0.99, 0.0, 0.0]), 9.0 * np.eye(3))
    plan = sampling.Plan(4, 4, 0, 52)
    found = sampled(tmp_path, problem, centre, SAMPLER, plan)
    assert np.all(np.isfinite(found.warmup.log_density))
    assert found.warmup.raw.max() <= 1.0
    ends = found.warmup.raw[:, 0]
    assert len(np.unique(ends, axis=0)) == 4


def test_a_density_of_zero_at_the_optimum_is_refused(tmp_path):
    centre = posterior.Centre(np.array([1.5, 0.0, 0.0]), 1e-6 * np.eye(3))
    plan = sampling.Plan(1, 4, 0, 7)
    with pytest.raises(ValueError, match="must have a density at its optimum"):
        sampled(tmp_path, linear_problem(fails_beyond=1.0), centre, SAMPLER, plan)


def test_trees_and_adaptation_are_those_of_numpyro(key):
    target = posterior.Posterior.about(linear_problem(), off_centre())
    sampler = samplers.NUTS(40, step_size=0.3)
    kernel = NumpyroNUTS(
        potential_fn=lambda u: -target.evaluate(target.raw(u)).log_density,
        step_size=0.3,
        max_tree_depth=sampler.max_depth,
    )
    theirs = kernel.init(key, 40, init_params=jnp.array([0.5, -1.0, 2.0]))
    ours = sampler.start(target, key)
    ours = ours._replace(
        index=jnp.asarray(0),
        place=ours.place._replace(u=theirs.z),
        potential=theirs.potential_energy,
        slope=theirs.z_grad,
        adapted=theirs.adapt_state,
        key=theirs.rng_key,
    )
    step = jax.jit(lambda state: kernel.sample(state, (), {}))
    advance = jax.jit(lambda state: sampler.advance(target, state))
    for _ in range(60):
        theirs, (ours, draw) = step(theirs), advance(ours)
        np.testing.assert_allclose(ours.place.u, theirs.z, rtol=1e-6, atol=1e-8)
        assert draw.num_solves == theirs.num_steps
    np.testing.assert_allclose(ours.adapted.step_size, theirs.adapt_state.step_size)


def test_chains_in_a_batch_draw_what_chains_in_threads_do(tmp_path):
    target = linear_problem(), off_centre(), SAMPLER, sampling.Plan(2, 6, 5, 53)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    threads = sampled(tmp_path / "a", *target)
    batch = sampled(tmp_path / "b", *target, batched=True)
    np.testing.assert_allclose(batch.draws.raw, threads.draws.raw, rtol=1e-6)
    np.testing.assert_array_equal(batch.warmup.num_solves, threads.warmup.num_solves)


def test_a_numpyro_model_has_the_same_density():
    problem = linear_problem()
    model = posterior.numpyro_model(problem)
    raw = jnp.array([0.3, -0.2, 1.1])
    density, trace = numpyro.infer.util.log_density(model, (), {}, {"raw": raw})
    np.testing.assert_allclose(density, problem.log_density(raw), rtol=1e-12)
    np.testing.assert_allclose(trace["v"]["value"], raw)
    rows = trace["log_likelihoods"]["value"]
    np.testing.assert_allclose(rows, problem.log_densities(raw)[0])
    model = posterior.numpyro_model(linear_problem(fails_beyond=1.0))
    density, trace = numpyro.infer.util.log_density(model, (), {}, {"raw": raw})
    assert density == -np.inf
    assert bool(trace["failed"]["value"])


@pytest.mark.parametrize(
    "sampler",
    [
        independent.Laplace(),
        independent.Weighted(
            parted.Parted(
                jnp.array([0.4, -0.3, 0.1]),
                jnp.array([[1.2, 0.0, 0.0], [0.3, 0.9, 0.0], [0.0, -0.2, 1.4]]),
                jnp.array([False, True, False]),
            )
        ),
    ],
)
def test_independent_draws_carry_the_weight_of_the_density(sampler, tmp_path):
    plan = sampling.Plan(2, 2000, 0, 1000)
    problem = linear_problem(fails_beyond=2.0)
    found = sampled(tmp_path, problem, off_centre(), sampler, plan).draws
    weight = np.exp(found.log_weight - found.log_weight.max())[..., None]
    mean, covariance = exact()
    weighted = (weight * found.raw).sum((0, 1)) / weight.sum()
    np.testing.assert_allclose(weighted, mean, atol=0.15 * np.sqrt(covariance[0, 0]))
    failed = found.raw.max(-1) > 2.0
    assert failed.any()
    np.testing.assert_array_equal(found.num_failed, failed)
    assert np.all(found.log_weight[failed] == -np.inf)
