"""The control equation: met at its set-point, with its slopes, cut-offs and length."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffelec.control import Control, Drive, Row

CELL = types.SimpleNamespace(one_c_current=0.02, theoretical_capacity=50.0)
INF = np.inf
DRIVE = Drive([5.0, 7.0, 11.0], [0.3, 0.8, -0.1])
CONTROLS = [
    pytest.param(Control.of(CELL, Row(weight_current=1.0, current=0.3)), id="current"),
    pytest.param(
        Control.of(CELL, Row(weight_current=1.0, current_rate=-0.4)), id="C-rate"
    ),
    pytest.param(Control.of(CELL, Row(weight_voltage=1.0, voltage=4.1)), id="voltage"),
    pytest.param(Control.of(CELL, Row(weight_power=1.0, power=0.7)), id="power"),
    pytest.param(
        Control.of(CELL, Row(weight_current=1.0, current=0.1, follow=1.0), DRIVE),
        id="recorded current",
    ),
    pytest.param(
        Control.of(CELL, Row(weight_voltage=1.0, voltage=0.0, follow=1.0), DRIVE),
        id="recorded voltage",
    ),
    pytest.param(
        Control.of(CELL, Row(weight_power=1.0, power=0.0, follow=1.0), DRIVE),
        id="recorded power",
    ),
    pytest.param(
        Control.of(
            CELL, Row(weight_current=0.3, weight_voltage=0.7, follow=0.0), DRIVE
        ),
        id="recording not followed",
    ),
]


@pytest.mark.parametrize(
    ("row", "voltage", "current"),
    [
        (Row(weight_current=1.0, current=-0.3), 3.9, -0.3),
        (Row(weight_current=1.0, current_rate=0.25), 3.9, 0.25 * 0.02),
        (Row(weight_voltage=1.0, voltage=4.1), 4.1, 0.7),
        (Row(weight_power=1.0, power=-0.6), 4.0, -0.15),
    ],
)
def test_a_control_is_met_where_its_set_point_is(row, voltage, current):
    residual = Control.of(CELL, row).residual(0.0, voltage, current)
    assert np.isfinite(residual)
    np.testing.assert_allclose(residual, 0.0, atol=1e-13)
    missed = Control.of(CELL, row).residual(0.0, voltage + 0.1, current + 0.1)
    assert abs(missed) > 0.05


@pytest.mark.parametrize("quantity", ["current", "voltage"])
def test_a_followed_series_is_the_set_point(quantity):
    row = Row(**{f"weight_{quantity}": 1.0}, follow=1.0)
    at = {"voltage": 9.0, "current": 9.0, quantity: 0.55}  # half way at 1 s
    residual = Control.of(CELL, row, DRIVE).residual(1.0, at["voltage"], at["current"])
    assert np.isfinite(residual)
    np.testing.assert_allclose(residual, 0.0, atol=1e-13)


@pytest.mark.parametrize("control", CONTROLS)
def test_the_slopes_of_a_control_are_its_gradients(control):
    at = (1.3, 3.7, 0.011)
    _, by_voltage, by_current = jax.grad(
        lambda t, v, i: control.residual(t, v, i) + 0.0 * t, argnums=(0, 1, 2)
    )(*at)
    slopes = control.slopes(*at)
    assert np.all(np.isfinite(slopes))
    np.testing.assert_allclose(slopes, (by_voltage, by_current), rtol=1e-12)


@pytest.mark.parametrize("time", [1.3, 4.4])
@pytest.mark.parametrize("control", CONTROLS)
def test_the_slope_in_time_of_a_control_is_its_gradient(control, time):
    slope = jax.grad(lambda t: control.residual(t, 3.7, 0.011) + 0.0 * t)(time)
    found = control.residual_slope(time)
    assert np.isfinite(found)
    np.testing.assert_allclose(found, slope, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("follow", [1.0, -0.5, 3.0])
def test_an_instant_that_moves_with_the_recorded_ones_keeps_its_set_point(follow):
    def residual(time):
        drive = Drive(time, jnp.asarray(DRIVE.value))
        control = Control.of(CELL, Row(weight_voltage=1.0, follow=follow), drive)
        return control.residual(1.3 + control.moved(1.3), 3.7, 0.011)

    slopes = jax.grad(residual)(jnp.asarray(DRIVE.time))
    np.testing.assert_allclose(slopes, 0.0, atol=1e-14)


@pytest.mark.parametrize(
    ("fields", "voltage", "current", "margin"),
    [
        ({"upper_voltage": 4.3}, 4.0, 0.01, 0.3),
        ({"upper_voltage": 4.3}, 4.4, 0.01, -0.1),
        ({"lower_voltage": 2.5}, 2.7, -0.01, 0.2),
        ({"lower_voltage": 2.5}, 2.4, -0.01, -0.1),
        ({"least_rate": 0.1}, 4.3, -0.004, 0.1),
        ({"least_rate": 0.1}, 4.3, 0.001, -0.05),
        ({"least_current": 0.004}, 4.3, 0.005, 0.05),
        ({"upper_voltage": 4.3, "least_rate": 0.1}, 4.2, 0.003, 0.05),
        ({"least_current": 0.004, "least_rate": 0.1}, 4.3, 0.005, 0.05),
        ({"least_current": 0.001, "least_rate": 0.1}, 4.3, 0.001, -0.05),
        ({}, 4.2, 0.0, 1e6 - 4.2),
    ],
)
def test_the_margin_is_the_least_distance_to_a_cut_off(
    fields, voltage, current, margin
):
    found = Control.of(CELL, Row(**fields)).margin(voltage, current)
    np.testing.assert_allclose(found, margin, rtol=1e-10)


def test_a_step_lasts_its_duration_or_twice_the_capacity_or_two_hundred_hours():
    timed = Control.of(CELL, Row(weight_current=1.0, current=0.01, duration=60.0))
    passing = Control.of(CELL, Row(weight_current=1.0, current_rate=-0.5))
    powered = Control.of(CELL, Row(weight_power=1.0, power=0.02))
    hold = Control.of(CELL, Row(weight_voltage=1.0, voltage=4.3, least_rate=0.02))
    np.testing.assert_allclose(powered.longest(CELL), 2 * 50.0 / (0.02 / 5.0))
    assert float(timed.longest(CELL)) == 60.0
    np.testing.assert_allclose(passing.longest(CELL), 2 * 50.0 / (0.5 * 0.02))
    assert float(hold.longest(CELL)) == 200 * 3600.0
    assert not timed.must_end
    assert passing.must_end
