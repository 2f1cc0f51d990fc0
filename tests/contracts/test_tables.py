"""Tables stand for the laws that they were made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.tables import Tables, octave_table

INSIDE = np.concatenate(
    [
        np.geomspace(1e-4, 0.3, 60),
        np.linspace(0.3, 0.9, 60),
        1 - np.geomspace(1e-1, 1e-4),
    ]
)


@pytest.fixture(scope="module")
def electrode():
    return diffelec.presets.sharma2022()


@pytest.fixture(scope="module")
def tables(electrode):
    return jax.jit(Tables.of)(electrode)


def test_potential_and_rate_are_the_laws(electrode, tables):
    (potential, rate), _ = tables.kinetics(jnp.asarray(INSIDE))
    curves = electrode.curves
    expected = electrode.kinetics.exchange_current_density(
        INSIDE, curves.rate_constant(INSIDE), electrode.maximum_concentration
    )
    law = curves.open_circuit_potential(jnp.asarray(INSIDE))
    # The corners of the steep lines at both ends are 1e-5 wide in x.
    np.testing.assert_allclose(potential, law, atol=5e-5)
    middle = (INSIDE > 0.01) & (INSIDE < 0.999)
    np.testing.assert_allclose(potential[middle], law[middle], atol=1e-7)
    np.testing.assert_allclose(rate, expected, rtol=1e-4)


def test_resistivity_is_that_of_the_conductivity(electrode, tables):
    value, _ = tables.resistivity(jnp.asarray(INSIDE))
    kappa = electrode.curves.conductivity(jnp.asarray(INSIDE))
    np.testing.assert_allclose(value * kappa, 1.0, rtol=2e-4)


def test_slopes_are_those_of_the_table_itself(tables):
    x = jnp.asarray([0.0123, 0.4, 0.77, 0.9531, 0.99953])
    for look_up in (tables.kinetics, tables.resistivity):
        value = lambda x, f=look_up: jnp.stack(jax.tree.leaves(f(x)[0]))
        slopes = jnp.stack(jax.tree.leaves(look_up(x)[1]))
        _, expected = jax.jvp(value, (x,), (jnp.ones_like(x),))
        np.testing.assert_allclose(slopes, expected, rtol=1e-9)


def test_beyond_both_ends_rates_stay_positive_and_values_finite(tables):
    x = jnp.asarray([-0.5, -1e-3, 0.0, 1.0, 1.001, 1.5])
    (potential, rate), (slope, _) = tables.kinetics(x)
    resistivity, _ = tables.resistivity(x)
    assert np.all(np.isfinite(potential))
    assert np.all(rate >= 0)
    assert np.all(resistivity > 0)
    assert np.all(np.isfinite(resistivity))
    assert np.all(slope < 0)  # a slope that leads back


def test_values_and_slopes_join_smoothly_at_the_ends(tables):
    for edge in (2.0**-20, 1.0 - 2.0**-20):
        x = jnp.asarray([edge - 1e-12, edge + 1e-12])
        (potential, _), (slope, _) = tables.kinetics(x)
        assert abs(potential[1] - potential[0]) < 1e-6
        assert abs(slope[1] / slope[0] - 1.0) < 1e-3


def test_a_finer_table_errs_with_the_fourth_power():
    law = lambda x: jnp.tanh(8.0 * (x - 0.5))
    x = jnp.linspace(0.1, 0.9, 4001)
    errors = [
        np.max(np.abs(octave_table([law], n)(x)[0][0] - law(x))) for n in (8, 16, 32)
    ]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders[-1] == pytest.approx(4.0, abs=0.25)


@pytest.mark.parametrize(("dtype", "off"), [(np.float64, 1e-8), (np.float32, 5e-3)])
def test_intervals_meet_at_their_ends(dtype, off):
    law = lambda x: jnp.log(x) - jnp.log1p(-x)
    table = jax.tree.map(lambda leaf: leaf.astype(dtype), octave_table([law], 4))
    quarters = np.outer(2.0 ** np.arange(-20, -1), [1.0, 1.25, 1.5, 1.75]).reshape(-1)
    ends = np.concatenate([quarters, [0.5], 1.0 - quarters]).astype(dtype)
    for towards in (0, 0.5, 1):  # just below, at, just above
        x = ends if towards == 0.5 else np.nextafter(ends, dtype(towards))
        x = np.clip(x, ends[0], 1 - ends[0])
        (value,), (slope,) = table(jnp.asarray(x))
        exact = np.asarray(x, np.float64)
        np.testing.assert_allclose(value, law(exact), rtol=off / 10, atol=off / 10)
        np.testing.assert_allclose(slope * exact * (1 - exact), 1.0, rtol=off)


def test_a_place_that_is_no_number_stays_none(tables):
    nothing = np.copysign(np.nan, [1.0, -1.0])  # of either sign
    cubics = tables.surface.at(jnp.asarray([*nothing, 0.5]))
    assert np.all((cubics.index >= 0) & (cubics.index < cubics.count))
    (potential, rate), _ = tables.kinetics(jnp.asarray([*nothing, 0.5]))
    np.testing.assert_array_equal(np.isnan(potential), [True, True, False])
    np.testing.assert_array_equal(np.isnan(rate), [True, True, False])
