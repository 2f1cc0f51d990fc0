"""Tempering from prior to posterior, against posteriors that are known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from fitting import posterior, sampling, tempering
from fitting.events import Event, Events
from fitting.problem import AbstractForward, Prediction
from fitting.samplers import Place

from .linear import (
    HOUR,
    MATRIX,
    SD,
    SEEN,
    assert_of_the_posterior,
    exact,
    known_evidence,
    linear_problem,
    off_centre,
    problem_of,
)
from .test_jumps import begun

WALKERS = tempering.Tempering(num_walkers=50, num_draws=20)
PLAN = sampling.Plan(4, 1000, 7, 250)


def tempered(folder, problem, centre, plan=PLAN, walkers=WALKERS, **options):
    target = posterior.Posterior.about(problem, centre)
    alone = np.zeros(target.size, bool)
    arguments = (target, alone, begun(folder), plan, walkers)
    return tempering.sample_tempered(*arguments, **options)


@pytest.fixture(scope="module")
def linear(tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("linear") / "chunks", []
    found = tempered(folder, linear_problem(), off_centre(), callback=told.append)
    return *found, folder, told


def test_walkers_that_predict_no_events_are_particles_too(linear):
    draws = linear[0].draws
    without = draws._replace(times=np.zeros((4, 1000, 0)))  # under whole traces
    target = posterior.Posterior.about(linear_problem(), off_centre())
    full, bare = (tempering._particles(target, d, 0.0) for d in (draws, without))
    assert bare.place.times.shape == (4000, 0)
    np.testing.assert_array_equal(bare.log_likelihood, full.log_likelihood)


def test_chains_behind_the_walkers_are_of_the_posterior(linear):
    samples = linear[0]
    assert samples.draws.raw.shape == (4, 1000, 3)
    assert samples.warmup.raw.shape == (4, 0, 3)
    assert_of_the_posterior(samples.draws.raw)
    # They set out from draws of it, not from one place.
    assert np.all(np.std(samples.draws.raw[:, 0], axis=0) > 0.05)


def test_the_evidence_is_that_of_the_closed_form(linear):
    found = linear[1]
    assert 0.01 < found.sd < 0.1
    assert abs(found.log_evidence - known_evidence()) < 3 * found.sd
    assert found.powers[-1] == 1.0
    assert np.all(np.diff((0.0, *found.powers)) > 0)
    assert len(found.powers) > 2


def test_particles_of_every_power_have_its_law(linear):
    _, found, folder, _ = linear
    for k, power in enumerate(found.powers[:-1], start=1):
        store = tempering.Store(folder / f"power-{k:02d}")
        read = [store.read(walker, 0)[0].raw for walker in range(50)]
        raw = np.stack(read)
        weighted = MATRIX / SD[:, None]
        covariance = np.linalg.inv(power * weighted.T @ weighted + np.eye(3))
        mean = power * covariance @ weighted.T @ ((SEEN - 5.0) / SD)
        sd = np.sqrt(np.diag(covariance))
        assert np.all(np.abs(raw.mean((0, 1)) - mean) < 0.15 * sd)
        np.testing.assert_allclose(raw.std((0, 1)), sd, rtol=0.1)


def test_a_callback_is_told_of_every_draw(linear):
    _, found, _, told = linear
    assert len(told) == len(found.powers) * 1000 + 4000
    assert [t.num_done for t in told] == list(range(1, len(told) + 1))
    assert told[0].power == 0.0
    assert told[-1].power == 1.0
    assert told[-1].num_total == len(told)
    assert told[-1].progress.num_done == 4000
    # One step before the last power is reached it is known to be the last.
    before = [t for t in told if t.power == found.powers[-2]]
    assert before[-1].num_total == len(told)
    solves = [t.progress.num_solves for t in told if t.progress.num_done == 1000]
    assert sum(solves[: len(found.powers)]) == found.num_solves


class Lopsided(AbstractForward):
    """A time 5 h + v^2 where v > 0, else 5 h + v^2 / 4: two values explain one."""

    def __call__(self, electrode):
        v = electrode.values
        times = HOUR * (5.0 + jnp.where(v > 0, v**2, 0.25 * v**2))
        return Prediction(times, jnp.zeros(0), jnp.any(~jnp.isfinite(times)))


def test_modes_that_the_optimum_does_not_know_get_their_share(tmp_path):
    events = Events.from_rows([Event("0", "onset", time=6.0 * HOUR, sd=0.1 * HOUR)])
    problem = dataclasses.replace(problem_of(np.eye(1), events), forward=Lopsided())
    centre = posterior.Centre(np.array([1.0]), np.array([[0.0025]]))
    found, summary = tempered(tmp_path / "chunks", problem, centre)
    grid = np.linspace(-6.0, 6.0, 24001)
    times = np.where(grid > 0, grid**2, 0.25 * grid**2)
    density = norm.pdf(1.0, times, 0.1) * norm.pdf(grid)
    known = np.log(np.trapezoid(density, grid) / HOUR)
    share = np.sum(density[grid > 0]) / np.sum(density)
    assert 0.6 < share < 0.8
    assert abs(np.mean(found.draws.raw > 0) - share) < 0.04
    assert np.all(np.abs(np.mean(found.draws.raw > 0, axis=(1, 2)) - share) < 0.1)
    assert abs(summary.log_evidence - known) < 3 * summary.sd
    assert summary.sd < 0.1


def test_where_solves_fail_the_density_is_zero_and_they_are_counted(tmp_path):
    edge = float(exact()[0][0])
    problem = linear_problem(fails_beyond=edge)
    found, summary = tempered(tmp_path / "chunks", problem, off_centre())
    assert summary.num_failed > 100
    assert found.draws.raw[..., 0].max() < edge
    mean, covariance = exact()
    # What is left is the share of the posterior with all numbers below the edge.
    left = multivariate_normal(mean, covariance).cdf(np.full(3, edge))
    assert left < 0.3
    known = known_evidence() + np.log(left)
    assert abs(summary.log_evidence - known) < 3 * summary.sd


def test_what_is_killed_goes_on_to_the_same_bits(tmp_path):
    walkers = tempering.Tempering(num_walkers=6, num_draws=8)
    plan = sampling.Plan(2, 12, 1, 6)
    few = {"plan": plan, "walkers": walkers}
    whole = tempered(tmp_path / "whole", linear_problem(), off_centre(), **few)
    told = []

    def stop(stage):
        told.append(stage)
        if len(told) == 70:
            raise KeyboardInterrupt

    target = posterior.Posterior.about(linear_problem(), off_centre())
    store = begun(tmp_path / "killed")
    arguments = (target, np.zeros(3, bool), store, plan, walkers)
    with pytest.raises(KeyboardInterrupt):
        tempering.sample_tempered(*arguments, callback=stop)
    again = tempering.sample_tempered(*arguments, callback=told.append)
    assert again[1] == whole[1]
    for a, b in zip(again[0].draws, whole[0].draws, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_prior_of_which_nothing_can_be_solved_is_refused(tmp_path):
    problem = linear_problem(fails_beyond=-50.0)
    with pytest.raises(ValueError, match="but 0 can; narrow the priors"):
        tempered(tmp_path / "chunks", problem, off_centre())


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("num_walkers", 1, "`num_walkers` must be 2 or more, but is 1"),
        ("num_draws", 3, "`num_draws` must be 4 or more, but is 3"),
        ("worth", 1.0, "`worth` must lie between 0 and 1, but is 1.0"),
        ("tries", 0, "`tries` must be 1 or more, but is 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(field, value, words):
    with pytest.raises(ValueError, match=words):
        tempering.Tempering(**{field: value})


def test_chains_set_out_from_places_by_their_weights(key):
    target = posterior.Posterior.about(linear_problem(), off_centre())
    half = dataclasses.replace(target, power=jnp.asarray(0.5))
    u = jax.random.normal(key, (3, 3))
    found = jax.vmap(lambda point: target.evaluate(target.raw(point)))(u)
    rows = found.log_likelihoods
    place = Place(u, rows, found.times, jnp.zeros(3, int))
    total = np.asarray(rows).sum(axis=1)
    prior = np.asarray(found.log_density) - total
    particles = tempering._Particles(0.2, place, total, prior)
    law = {
        "share": jnp.ones(1),
        "middle": jnp.zeros((1, 3)),
        "factor": jnp.eye(3)[None],
    }
    law |= {"own_middle": jnp.zeros(3), "own_factor": jnp.eye(3)}
    weights = np.log([0.6, 0.3, 0.1])
    sampler = tempering._departing(
        law, np.zeros(3, bool), particles, weights, 0.5, WALKERS
    )
    start = jax.jit(jax.vmap(lambda own: sampler.start(half, own)))
    states = start(jax.random.split(key, 4000))
    chosen = np.argmin(
        np.linalg.norm(np.asarray(states.place.u)[:, None] - np.asarray(u), axis=-1),
        axis=1,
    )
    share = np.bincount(chosen, minlength=3) / 4000
    np.testing.assert_allclose(share, [0.6, 0.3, 0.1], atol=0.03)
    # What a chain believes of its place is what a solve there says at that power.
    known = jax.vmap(lambda point: half.evaluate(half.raw(point)).log_density)(u)
    np.testing.assert_allclose(states.log_density, known[chosen], rtol=1e-9)
    np.testing.assert_array_equal(states.place.log_likelihoods, rows[chosen])
