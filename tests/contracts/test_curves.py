"""What any curve of stoichiometry must obey, and what each form must give."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from diffelec import curves, materials
from tests.helpers import examples

EVERYWHERE = np.linspace(-3.0, 4.0, 3501)
ALL = examples(curves.AbstractCurve)


@eqx.filter_jit
def evaluate(curve, x):
    return curve(x)


@eqx.filter_jit
def gradient_of_log(curve, x):
    return jax.vmap(jax.grad(lambda x: jnp.log(curve(x))))(x)


def padded(function, curve, x):
    """The function at few or many points, at one shape that compiles once."""
    x = np.asarray(x, float)
    full = np.full(EVERYWHERE.size, 0.5)
    full[: x.size] = x.reshape(-1)
    value = np.asarray(function(curve, jnp.asarray(full)))
    return value[: x.size].reshape(x.shape)


def value_of(curve, x):
    return padded(evaluate, curve, x)


def log10_of(curve, x):
    return np.log10(value_of(curve, x))


def log_slopes(curve, x):
    return padded(gradient_of_log, curve, x)


@pytest.mark.parametrize("curve", ALL)
def test_a_curve_is_positive_and_finite_far_outside_its_range(curve):
    value = value_of(curve, EVERYWHERE)
    assert np.all(np.isfinite(value))
    assert np.all(value > 0)


@pytest.mark.parametrize("curve", ALL)
def test_the_slope_of_the_logarithm_is_finite_everywhere(curve):
    assert np.all(np.isfinite(log_slopes(curve, EVERYWHERE)))


@pytest.mark.parametrize("curve", ALL)
def test_a_curve_is_smooth_once_everywhere_and_at_the_ends_of_its_range(curve):
    knots = np.asarray(getattr(curve, "knots", []))
    places = np.concatenate([np.linspace(-1, 2, 301), knots, curve.valid_range])
    step = 1e-7
    offsets = step * np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    value = log10_of(curve, places[:, None] + offsets)
    # Second-order one-sided slopes; the sharpest bend is 3e-4 wide.
    left = (3 * value[:, 2] - 4 * value[:, 1] + value[:, 0]) / (2 * step)
    right = -(3 * value[:, 2] - 4 * value[:, 3] + value[:, 4]) / (2 * step)
    assert np.all(np.isfinite(left + right))
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("curve", ALL)
def test_the_gradient_is_the_slope_on_either_side_of_every_place(curve):
    knots = np.asarray(getattr(curve, "knots", []))
    inner = np.linspace(-0.985, 1.985, 100)
    places = np.concatenate([inner, knots + 2e-7, knots - 2e-7])
    step = 1e-7
    value = log10_of(curve, places[:, None] + step * np.array([-1.0, 1.0]))
    slope = (value[:, 1] - value[:, 0]) / (2 * step) * np.log(10.0)
    exact = log_slopes(curve, places)
    assert np.all(np.isfinite(exact))
    np.testing.assert_allclose(exact, slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "curve",
    [
        pytest.param(curves.PchipCurve.example(), id="example"),
        pytest.param(materials.nmc532_diffusivity(), id="nmc532"),
    ],
)
def test_pchip_is_the_interpolant_that_scipy_gives(curve):
    x = np.linspace(*curve.valid_range, 701)
    expected = PchipInterpolator(curve.knots, curve.log10_values)(x)
    value = log10_of(curve, x)
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-12)


def test_pchip_stays_between_the_values_of_its_neighbouring_knots():
    curve = curves.PchipCurve.example()
    x = np.linspace(*curve.valid_range, 701)
    value = log10_of(curve, x)
    place = np.clip(np.searchsorted(curve.knots, x, side="right") - 1, 0, 2)
    assert np.all(np.isfinite(value))
    assert np.all(value <= curve.log10_values[place] + 1e-12)
    assert np.all(value >= curve.log10_values[place + 1] - 1e-12)


def test_a_rounded_line_is_the_broken_line_away_from_its_corners():
    curve = curves.RoundedLinearCurve.example()
    x = np.linspace(*curve.valid_range, 751)
    far = np.min(np.abs(x[:, None] - curve.knots[1:-1]), axis=1) > 25 * curve.width
    value = log10_of(curve, x[far])
    expected = np.interp(x[far], curve.knots, curve.log10_values)
    assert far.sum() > 100
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-8)


def test_a_rounded_corner_misses_the_knot_by_width_times_log_two():
    curve = curves.RoundedLinearCurve([0.0, 0.5, 1.0], [-1.0, -2.0, -7.0], width=0.004)
    value = log10_of(curve, 0.5)
    assert np.isfinite(value)
    # The slope changes by -10 + 2 = -8 at the corner.
    np.testing.assert_allclose(value, -2.0 - 8.0 * 0.004 * np.log(2.0), atol=1e-12)


def test_a_constant_is_the_same_number_at_every_stoichiometry():
    curve = curves.ConstantCurve(3e-15)
    np.testing.assert_array_equal(curve(jnp.linspace(-1, 2, 7)), np.full(7, 3e-15))


def test_a_sigmoid_joins_its_plateaus_half_way_at_the_centre():
    curve = curves.SigmoidCurve(-14.0, -18.0, 0.9, 0.01)
    value = log10_of(curve, [0.0, 0.9, 0.9 + 0.01 * np.log(3.0), 1.5])
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, [-14.0, -16.0, -17.0, -18.0], atol=1e-12)


def test_divacancies_give_the_square_of_the_vacant_share():
    curve = curves.DivacancyCurve(1e-13, 1e-20)
    value = value_of(curve, [0.0, 0.5, 0.9, 1.0])
    expected = [1e-13 + 1e-20, 2.5e-14 + 1e-20, 1e-15 + 1e-20, 1e-20]
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("form", [curves.PchipCurve, curves.RoundedLinearCurve])
def test_the_gradient_in_the_values_of_the_knots_is_the_finite_difference(form):
    knots = np.array([0.3, 0.7, 0.92, 1.0])
    values = np.array([-14.6, -14.8, -15.0, -19.0])
    x = jnp.array([0.1, 0.31, 0.55, 0.8, 0.93, 0.99, 1.02])

    @jax.jit
    @jax.value_and_grad
    def total(values):
        return jnp.sum(jnp.sin(jnp.log10(form(knots, values)(x))))

    gradient = np.asarray(total(values)[1])
    step = 1e-6
    numeric = [
        (total(values + step * e)[0] - total(values - step * e)[0]) / (2 * step)
        for e in np.eye(4)
    ]
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient != 0)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("form", [curves.PchipCurve, curves.RoundedLinearCurve])
@pytest.mark.parametrize(
    ("knots", "values", "message"),
    [
        ([0.3, 0.2, 1.0], [-1.0, -2.0, -3.0], "knots` must increase strictly"),
        ([0.3, 0.3, 1.0], [-1.0, -2.0, -3.0], "knots` must increase strictly"),
        ([0.3, 0.5, 1.0], [-1.0, np.nan, -3.0], "log10_values` must be finite.*1 is"),
        ([0.3, np.inf, 1.0], [-1.0, -2.0, -3.0], "knots` must be finite.*entry 1 is"),
        ([0.3, 0.5, 1.0], [-1.0, -2.0], "one value per knot.*2 values for 3 knots"),
        ([0.3], [-1.0], "two knots or more.*1 value for 1 knot"),
    ],
)
def test_a_table_that_is_no_table_is_refused_by_name(form, knots, values, message):
    with pytest.raises(ValueError, match=f"{form.__name__}.*{message}"):
        form(knots, values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: curves.ConstantCurve(0.0), "`value` .* must be positive.*0.0"),
        (lambda: curves.ConstantCurve(np.nan), "`value` .* must be positive.*nan"),
        (lambda: curves.SigmoidCurve(1, 2, 0.5, 0.0), "`width` must be positive"),
        (lambda: curves.DivacancyCurve(-1e-13, 1e-20), "`prefactor` must be positive"),
        (lambda: curves.DivacancyCurve(1e-13, 0.0), "`floor` must be positive"),
    ],
)
def test_a_parameter_that_makes_a_curve_negative_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("form", "name"),
    [
        (curves.ConstantCurve, "value"),
        (curves.SigmoidCurve, "log10_delithiated"),
        (curves.SigmoidCurve, "log10_lithiated"),
        (curves.SigmoidCurve, "centre"),
        (curves.SigmoidCurve, "width"),
        (curves.DivacancyCurve, "prefactor"),
        (curves.DivacancyCurve, "floor"),
    ],
)
def test_a_parameter_of_a_curve_that_is_not_finite_is_refused(form, name, value):
    with pytest.raises(ValueError, match=f"`{name}` .*must be .*, but is {value}"):
        dataclasses.replace(form.example(), **{name: value})


@pytest.mark.parametrize("curve", ALL)
def test_the_gradient_at_the_ends_of_the_range_is_that_beside_them(curve):
    ends = np.array(curve.valid_range)
    at, beside = log_slopes(curve, ends), log_slopes(curve, ends + 1e-12)
    assert np.all(np.isfinite(at))
    np.testing.assert_allclose(at, beside, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("diffusivity", 1e-15), ("open_circuit_potential", lambda x: 4.0 - x)],
)
def test_a_number_or_a_function_is_no_curve_of_a_material(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be a curve of diffelec, but"):
        dataclasses.replace(materials.nmc532(), **{name: value})
