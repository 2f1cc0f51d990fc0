"""Coordinates: one to one, with the volume that they shrink by."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitting import coordinates, examples, imaged, mechanisms, parameters, setup

from .linear import linear_problem


@pytest.fixture(scope="module")
def problem():
    """A real fit, of which nothing is solved here."""
    example = examples.load("wolfman2023-nmc333")
    choices = setup.Choices(num_shells=5)
    return setup.by_voltage(example.events, example.recording, choices).problem


@pytest.fixture(scope="module")
def mixed(problem):
    """Coordinates of which the data tell three contacts of six."""
    raw = 0.3 * np.random.default_rng(0).standard_normal(problem.space.size)
    variance = np.full(raw.size, 0.04)
    variance[[3, 5, 6]] = 4.0
    return coordinates.Coordinates.about(problem, raw, np.diag(variance))


def test_members_that_the_data_tell_are_centred(mixed):
    assert np.flatnonzero(mixed.centred).tolist() == [2, 4, 7]


def test_coordinates_are_one_to_one(mixed, key):
    raw = jax.random.normal(key, (5, mixed.space.size))
    moved = jax.jit(jax.vmap(mixed.inverse))(raw)
    assert np.all(np.abs(moved - raw).max(0)[mixed.centred] > 0.1)
    np.testing.assert_array_equal(moved[:, ~mixed.centred], raw[:, ~mixed.centred])
    back = jax.jit(jax.vmap(mixed.raw))(moved)
    np.testing.assert_allclose(back, raw, atol=1e-12)


def test_the_volume_is_that_of_the_slopes(mixed, key):
    w = jax.random.normal(key, (4, mixed.space.size))
    slopes = jax.jit(jax.vmap(jax.jacfwd(mixed.raw)))(w)
    expected = np.linalg.slogdet(np.asarray(slopes))[1]
    found = np.array([mixed.log_det(one) for one in w])
    assert np.ptp(expected) > 1.0
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_a_told_contact_moves_with_the_resistance_on_the_way(problem, mixed):
    space = problem.space
    raw = jnp.zeros(space.size)
    values = space.constrain(raw)
    lower = values | {"log10 conductivity": values["log10 conductivity"] - 0.5}
    moved = mixed.inverse(space.unconstrain(lower)) - mixed.inverse(raw)
    told = np.asarray(moved)[mixed.centred]
    assert np.all(told == told[0])
    # Half a decade less on a part of the way, in units of the spread (0.5 decades).
    assert -1.0 < told[0] < -0.1


def test_what_is_no_contact_does_not_move_with_the_resistance_on_the_way():
    """Lithium enters behind it: a reaction, beside contacts that are free as well."""
    labels = ("a", "b")
    electrode = imaged.imaged_electrode(labels, num_shells=5)
    space = parameters.ParameterSpace(
        (
            parameters.contacts(electrode, labels),
            mechanisms.reactivities(electrode, labels),
            parameters.curve_values(electrode, "conductivity", fixed=(-1,)),
        )
    )
    told = np.array(["a" in t.split() or "b" in t.split() for t in space.labels])
    found = coordinates.Coordinates(electrode, space, told)
    lower = np.where(["conductivity" in t for t in space.labels], -1.0, 0.0)
    moved = found.inverse(jnp.asarray(lower)) - found.inverse(jnp.zeros(space.size))
    contact = np.array(["contact radius" in text for text in space.labels])
    assert np.all(np.abs(np.asarray(moved)[told & contact]) > 0.05)
    np.testing.assert_array_equal(np.asarray(moved)[told & ~contact], 0.0)


def test_particles_of_which_only_bounds_are_known_are_told_apart(problem):
    events = examples.load("wolfman2023-nmc333").events
    every = np.ones(len(events.kind), bool)
    assert not coordinates.only_bounded(problem.space, events, every).any()
    space, never = problem.space, np.array([p in (1, 4) for p in events.particle])
    hidden = np.where(never, np.nan, 1.0)
    unseen = dataclasses.replace(
        events,
        time=hidden * events.time,
        sd=hidden * events.sd,
        after=np.where(never, [3600.0, -np.inf] * 6, np.nan),
        before=np.where(never, [np.inf, 7200.0] * 6, np.nan),
    )
    found = coordinates.only_bounded(space, unseen, every)
    names = np.array(space.labels)[found].tolist()
    radius = "log10 contact radius"
    expected = [f"{radius} {events.particles[k]} [log10(m)]" for k in (1, 4)]
    assert names == expected
    # An interval that is closed tells something.
    closed = dataclasses.replace(unseen, before=np.where(never, 7200.0, np.nan))
    closed = dataclasses.replace(closed, after=np.where(never, 3600.0, np.nan))
    assert not coordinates.only_bounded(space, closed, every).any()
    # Under whole traces their events are not fitted: that of one, then all of them.
    left = np.array([p != 1 for p in events.particle])
    names = np.array(space.labels)[coordinates.only_bounded(space, unseen, left)]
    assert names.tolist() == expected[1:]
    assert not coordinates.only_bounded(space, unseen, ~every).any()


def test_without_populations_coordinates_are_the_raw_numbers():
    problem = linear_problem()
    plain = coordinates.Coordinates.about(problem, np.zeros(3), np.eye(3))
    raw = jnp.array([0.5, -2.0, 1.0])
    np.testing.assert_array_equal(plain.inverse(raw), raw)
    assert plain.log_det(raw) == 0.0
