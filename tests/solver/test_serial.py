"""What compiles into one function, and what travels into it."""

import jax
import jax.numpy as jnp
import numpy as np

from diffelec.small_calls import made_once
from diffelec.solver.serial import Whole, serial_or_plain, unwrapped


def twice(arguments):
    return 2.0 * arguments["used"]


def test_a_large_array_that_is_not_used_does_no_harm():
    function = jax.jit(serial_or_plain(twice, twice))
    arguments = {"used": jnp.arange(3.0), "large": Whole(jnp.ones((40, 5)))}
    np.testing.assert_array_equal(function(arguments), [0.0, 2.0, 4.0])


def test_large_arrays_arrive_as_they_are():
    def rows(arguments):
        index, table = unwrapped(arguments)
        return table[index]

    table = np.random.default_rng(0).normal(size=(60, 4))
    function = jax.jit(serial_or_plain(rows, rows))
    found = function((jnp.asarray(7), Whole(jnp.asarray(table))))
    np.testing.assert_array_equal(found, table[7])
    lanes = jax.vmap(function, in_axes=((0, None),))
    found = lanes((jnp.asarray([3, 5]), Whole(jnp.asarray(table))))
    np.testing.assert_array_equal(found, table[[3, 5]])


def test_what_is_made_once_has_its_value_and_its_gradient():
    def function(arguments):
        x, index = made_once((jnp.sin(arguments[0]), jnp.arange(4)[::-1]))
        return jnp.concatenate([x, x[index] ** 2])

    x = jnp.linspace(0.1, 0.9, 4)
    once = serial_or_plain(function, function)
    expected = np.concatenate([np.sin(x), np.sin(x)[::-1] ** 2])
    np.testing.assert_allclose(jax.jit(once)((x,)), expected, rtol=1e-15)
    weights = np.arange(1.0, 9.0)
    loss = lambda x: weights @ function((x,))
    slope = np.cos(x) * (weights[:4] + 2 * weights[:3:-1] * np.sin(x))
    np.testing.assert_allclose(jax.jit(jax.grad(loss))(x), slope, rtol=1e-14)
