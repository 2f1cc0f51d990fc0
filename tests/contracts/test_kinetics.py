"""What any reaction law must obey, and the closed form of Butler and Volmer."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffelec import constants, kinetics, materials, presets
from tests.helpers import examples

ALL = examples(kinetics.AbstractKinetics)
TEMPERATURE = 310.0
SCALE = constants.GAS * TEMPERATURE / constants.FARADAY
OVERPOTENTIALS = np.concatenate([np.linspace(-60, 60, 241), np.linspace(-1, 1, 200)])


@eqx.filter_jit
def evaluate(law, overpotential, exchange):
    return law.current_density(overpotential, exchange, TEMPERATURE)


@eqx.filter_jit
def evaluate_exchange(law, x, rate_constant, concentration):
    return law.exchange_current_density(x, rate_constant, concentration)


def padded(function, law, points, *rest):
    """The function at few or many points, at one shape that compiles once."""
    points = np.asarray(points, float)
    full = np.full(500, 0.5)
    full[: points.size] = points.reshape(-1)
    value = np.asarray(function(law, jnp.asarray(full), *map(jnp.asarray, rest)))
    return value[: points.size].reshape(points.shape)


def current(law, overpotential, exchange=0.7):
    return padded(evaluate, law, overpotential, exchange)


def exchange_current(law, x, rate_constant=4.18e-10, concentration=49.6e3):
    return padded(evaluate_exchange, law, x, rate_constant, concentration)


@pytest.mark.parametrize("law", ALL)
def test_no_overpotential_drives_no_current(law):
    assert current(law, 0.0) == 0.0


@pytest.mark.parametrize("law", ALL)
def test_more_overpotential_drives_more_current(law):
    value = current(law, np.unique(OVERPOTENTIALS))
    assert np.all(np.isfinite(value))
    assert np.all(np.diff(value) > 0)


@pytest.mark.parametrize("law", ALL)
def test_the_slope_at_equilibrium_is_the_exchange_current(law):
    slope = jax.jit(jax.grad(lambda eta: law.current_density(eta, 0.7, TEMPERATURE)))(
        0.0
    )
    assert np.isfinite(slope)
    np.testing.assert_allclose(slope, 0.7 / SCALE, rtol=1e-12)


@pytest.mark.parametrize("law", ALL)
def test_value_and_gradient_are_finite_at_sixty_volts(law):
    eta = jnp.array([-60.0, 60.0])
    both = jax.jit(
        jax.vmap(
            jax.value_and_grad(lambda eta: law.current_density(eta, 0.7, TEMPERATURE))
        )
    )
    value, gradient = both(eta)
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(gradient))
    assert np.all(gradient >= 0)
    assert value[0] < 0 < value[1]


@pytest.mark.parametrize("law", ALL)
def test_the_current_grows_with_the_exchange_current_in_proportion(law):
    eta = np.linspace(-0.3, 0.3, 13)
    once, twice = current(law, eta, 0.7), current(law, eta, 1.4)
    assert np.all(np.isfinite(once))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-12)


@pytest.mark.parametrize("law", ALL)
def test_the_exchange_current_vanishes_towards_empty_and_full(law):
    value = exchange_current(law, [1e-4, 1e-2, 0.1, 0.5, 0.9, 0.99, 1 - 1e-4])
    assert np.all(np.isfinite(value))
    assert np.all(np.diff(value[:4]) > 0)
    assert np.all(np.diff(value[4:]) < 0)
    assert max(value[0], value[-1]) < 0.1 * value[3]


@pytest.mark.parametrize("law", ALL)
def test_the_exchange_current_is_positive_and_finite_beyond_empty_and_full(law):
    x = jnp.asarray(np.concatenate([np.linspace(-1, 2, 301), [1e-4, 1 - 1e-4]]))
    both = jax.jit(
        jax.vmap(
            jax.value_and_grad(
                lambda x: law.exchange_current_density(x, 4.18e-10, 49.6e3)
            )
        )
    )
    value, gradient = (np.asarray(a) for a in both(x))
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(gradient))
    assert np.all(value > 0)
    assert np.all(np.diff(value[:101]) > 0)  # no flat stretch, so a way back
    assert np.all(np.diff(value[200:301]) < 0)


@pytest.mark.parametrize("law", ALL)
def test_the_exchange_current_is_smooth_once_where_the_power_law_ends(law):
    slope = jax.jit(
        jax.grad(lambda x: jnp.log(law.exchange_current_density(x, 1e-9, 5e4)))
    )
    for end in (1e-4, 1 - 1e-4):
        left, middle, right = (float(slope(end + s)) for s in (-1e-10, 0.0, 1e-10))
        assert np.isfinite([left, middle, right]).all()
        np.testing.assert_allclose([left, middle], right, rtol=1e-4)


@pytest.mark.parametrize("law", ALL)
def test_the_default_rate_constant_means_one_ampere_a_square_metre(law):
    value = exchange_current(law, 0.5, 4.18e-10, materials.NMC532_CONCENTRATION)
    assert np.isfinite(value)
    np.testing.assert_allclose(value, 1.0, rtol=1e-3)
    curve = materials.rate_constant(1.0)
    np.testing.assert_allclose(curve.value, 4.18e-10, rtol=1e-3)


def test_butler_volmer_is_the_difference_of_two_exponentials():
    eta = np.linspace(-0.5, 0.5, 41)
    value = current(kinetics.ButlerVolmer(0.37), eta)
    expected = 0.7 * (np.exp(0.37 * eta / SCALE) - np.exp(-0.63 * eta / SCALE))
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-15)


def test_the_exchange_current_has_the_powers_of_the_transfer_coefficients():
    x = np.linspace(2e-4, 1 - 2e-4, 99)
    value = exchange_current(kinetics.ButlerVolmer(0.37), x)
    expected = constants.FARADAY * 4.18e-10 * 49.6e3 * (1 - x) ** 0.37 * x**0.63
    assert np.all(np.isfinite(value))
    # The bent end adds at most 1e-4^2/(1e-4) of the share, which is at least 2e-4.
    np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_the_tafel_slopes_are_those_of_the_transfer_coefficients():
    law = kinetics.ButlerVolmer(0.37)
    anodic = np.log(current(law, np.array([0.4, 0.5])))
    cathodic = np.log(-current(law, np.array([-0.5, -0.4])))
    assert np.all(np.isfinite([anodic, cathodic]))
    np.testing.assert_allclose(np.diff(anodic) / 0.1, 0.37 / SCALE, rtol=1e-6)
    np.testing.assert_allclose(np.diff(cathodic) / 0.1, -0.63 / SCALE, rtol=1e-6)


@pytest.mark.parametrize("transfer", [0.0, 1.0, -0.2, 1.5, np.nan])
def test_a_transfer_coefficient_outside_zero_to_one_is_refused(transfer):
    with pytest.raises(ValueError, match="`anodic_transfer` must lie strictly between"):
        kinetics.ButlerVolmer(transfer)


@pytest.mark.parametrize("build", [presets.single_particle, presets.sharma2022])
def test_the_exchange_current_of_a_preset_is_that_of_its_own_concentration(build):
    electrode = build(exchange_current_density=2.0, maximum_concentration=4.0e4)
    rate = electrode.curves.rate_constant(0.5)
    found = electrode.kinetics.exchange_current_density(0.5, rate, 4.0e4)
    np.testing.assert_allclose(found, 2.0, rtol=1e-12)
