"""Sums at places, in look-ups and in a loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffelec.sums import added_up, picked

HUB = np.concatenate([np.zeros(90, int), np.arange(200), [7, 7, 7]])  # many at one


@pytest.mark.parametrize(
    ("at", "size"),
    [
        (np.array([3, 0, 3, 2, 3]), 5),
        (np.arange(4), 4),
        (HUB, 201),
        (np.zeros(0, int), 3),
    ],
)
def test_sums_are_those_of_a_scatter_and_their_transpose_look_ups(at, size):
    numbers = np.random.default_rng(0).normal(size=at.size)
    expected = np.zeros(size)
    np.add.at(expected, at, numbers)
    add = jax.jit(lambda x: added_up(x, at, size))
    np.testing.assert_allclose(add(numbers), expected, rtol=1e-13, atol=1e-13)
    values = jnp.asarray(np.random.default_rng(1).normal(size=size))
    (back,) = jax.vjp(add, jnp.asarray(numbers))[1](values)
    np.testing.assert_array_equal(back, values[at])
    (back,) = jax.vjp(jax.jit(lambda x: picked(x, at)), values)[1](jnp.asarray(numbers))
    np.testing.assert_allclose(back, expected, rtol=1e-13, atol=1e-13)


def test_what_is_no_number_stays_at_its_place():
    at = np.array([1, 0, 1])
    found = jax.jit(lambda x: added_up(x, at, 3))(jnp.array([1.0, np.nan, 2.0]))
    np.testing.assert_array_equal(found, [np.nan, 3.0, 0.0])
