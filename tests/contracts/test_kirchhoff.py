"""The tabulated Kirchhoff transform against the integral and its own derivative."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import cumulative_simpson, quad

from diffelec import curves, kirchhoff, materials
from tests.helpers import observed_order


@eqx.filter_jit
def look_up(table, x):
    return table(x)


@pytest.fixture(scope="module")
def table():
    return eqx.filter_jit(kirchhoff.tabulate)(materials.nmc532_diffusivity())


def reference(x):
    """The integral by adaptive quadrature with breaks at the knots, on SciPy's own
    interpolant."""
    from scipy.interpolate import PchipInterpolator

    curve = materials.nmc532_diffusivity()
    law = PchipInterpolator(curve.knots, curve.log10_values)
    breaks = [x, *[k for k in curve.knots if k > x + 1e-12]]
    pieces = [
        quad(lambda s: 1e15 * 10.0 ** law(s), a, b, epsabs=0, epsrel=1e-11)[0]
        for a, b in itertools.pairwise(breaks)
    ]
    return -1e-15 * sum(pieces)


def test_the_transform_is_zero_at_full_lithiation(table):
    value, slope = look_up(table, jnp.ones(7))
    assert np.all(np.isfinite(slope))
    np.testing.assert_allclose(value, 0.0, atol=1e-32)


def test_the_transform_is_the_integral_of_the_diffusivity(table, rng):
    x = np.sort(rng.uniform(0.3, 0.999, 7))
    value, _ = look_up(table, jnp.asarray(x))
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, [reference(p) for p in x], rtol=1e-6)


def test_the_slope_at_the_nodes_of_the_table_is_the_diffusivity(table):
    x = jnp.asarray(np.arange(320, 1024) / 1024)
    slope = look_up(table, x)[1]
    expected = eqx.filter_jit(materials.nmc532_diffusivity())(x)
    assert np.all(np.isfinite(slope))
    np.testing.assert_allclose(slope, expected, rtol=1e-9)


def test_the_slope_returned_is_the_gradient_of_the_value(table, rng):
    x = jnp.asarray(rng.uniform(-0.3, 1.3, 301))
    slope = look_up(table, x)[1]
    gradient = jax.jit(jax.vmap(jax.grad(lambda x: table(x)[0])))(x)
    assert np.all(np.isfinite(slope))
    np.testing.assert_allclose(gradient, slope, rtol=1e-12)


def test_the_transform_rises_everywhere(table):
    value, slope = look_up(table, jnp.linspace(-0.5, 1.5, 4001))
    assert np.all(np.isfinite(value))
    assert np.all(np.diff(value) > 0)
    assert np.all(slope > 0)


@pytest.mark.parametrize(("end", "side"), [(0.0, -1.0), (1.0, 1.0)])
def test_beyond_the_ends_the_transform_is_its_tangent(table, end, side):
    steps = np.array([0.0, 1e-9, 0.1, 0.5, 2.0, 3.0, 4.0])
    value, slope = (np.asarray(a) for a in look_up(table, end + side * steps))
    inside = np.asarray(look_up(table, jnp.full(7, end - side * 1e-9))[1])
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(slope, slope[0], rtol=1e-12)
    np.testing.assert_allclose(slope[0], inside, rtol=1e-4)
    tangent = value[0] + side * steps * slope[0]
    np.testing.assert_allclose(value, tangent, rtol=1e-12, atol=1e-34)


def test_neither_value_nor_slope_jumps_between_intervals(table):
    nodes = np.arange(1, 1024) / 1024
    left = look_up(table, jnp.asarray(nodes - 1e-12))
    right = look_up(table, jnp.asarray(nodes + 1e-12))
    assert np.all(np.isfinite(left))
    np.testing.assert_allclose(left[0], right[0], rtol=1e-9, atol=1e-30)
    np.testing.assert_allclose(left[1], right[1], rtol=1e-6)


def test_the_table_of_divacancies_is_their_closed_form():
    curve = curves.DivacancyCurve(1e-13, 1e-20)
    x = np.linspace(0.0, 1.0, 301)
    value, slope = jax.jit(lambda x: kirchhoff.tabulate(curve, 8)(x))(jnp.asarray(x))
    assert np.all(np.isfinite(value))
    expected = -1e-13 * (1 - x) ** 3 / 3 - 1e-20 * (1 - x)
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-27)
    np.testing.assert_allclose(slope, curve(x), rtol=1e-9, atol=1e-26)


def test_the_table_of_a_sigmoid_converges_at_fourth_order():
    curve = curves.SigmoidCurve(0.0, -2.0, 0.6, 0.1)
    grid = np.linspace(0.0, 1.0, 2**15 + 1)
    law = 10.0 ** (-2.0 + 2.0 / (1.0 + np.exp((grid - 0.6) / 0.1)))
    integral = cumulative_simpson(law, x=grid, initial=0.0)
    x, exact = grid[::13], (integral - integral[-1])[::13]
    sizes = [16, 32, 64, 128]
    values = jax.jit(lambda x: [kirchhoff.tabulate(curve, n)(x)[0] for n in sizes])(x)
    errors = [np.max(np.abs(value - exact)) for value in values]
    order = observed_order(1.0 / np.array(sizes), errors)
    np.testing.assert_allclose(order[-2:], 4.0, atol=0.1)


def test_the_gradient_in_the_knots_is_the_finite_difference():
    curve = curves.PchipCurve.example()
    x = jnp.array([0.2, 0.5, 0.9, 0.97, 1.1])

    @jax.jit
    @jax.value_and_grad
    def total(values):
        made = curves.PchipCurve(curve.knots, values)
        value, slope = kirchhoff.tabulate(made, 64)(x)
        return jnp.sum(1e15 * value) + jnp.sum(jnp.log10(slope))

    values = np.asarray(curve.log10_values)
    gradient = np.asarray(total(values)[1])
    step = 1e-6
    numeric = [
        (total(values + step * e)[0] - total(values - step * e)[0]) / (2 * step)
        for e in np.eye(values.size)
    ]
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient != 0)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-7)
