"""Tables stand for the laws that they were made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.tables import Tables, logit_table

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
    for edge in (1e-6, 1.0 - 1e-6):
        x = jnp.asarray([edge - 1e-12, edge + 1e-12])
        (potential, _), (slope, _) = tables.kinetics(x)
        assert abs(potential[1] - potential[0]) < 1e-6
        assert abs(slope[1] / slope[0] - 1.0) < 1e-3


def test_a_finer_table_errs_with_the_fourth_power():
    law = lambda x: jnp.tanh(8.0 * (x - 0.5))
    x = jnp.linspace(0.1, 0.9, 4001)
    errors = [
        np.max(np.abs(logit_table([law], n)(x)[0][0] - law(x)))
        for n in (256, 512, 1024)
    ]
    orders = np.log2(np.array(errors[:-1]) / np.array(errors[1:]))
    assert orders[-1] == pytest.approx(4.0, abs=0.25)
