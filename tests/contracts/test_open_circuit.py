"""What any open-circuit potential must obey, and the numbers of the literature."""

import csv

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diffelec import open_circuit
from tests.helpers import data_file, examples

ALL = examples(open_circuit.AbstractOpenCircuitPotential)
FINE = np.linspace(-1, 2, 30001)
FINE = np.unique(np.concatenate([FINE, np.linspace(0.9990003, 1.0002003, 2401)]))

# Colclasure 2020 without the drop at full lithiation.
NMC532_TABLE = {
    0.25: 4.511,
    0.30: 4.380,
    0.336: 4.299,
    0.385: 4.200,
    0.40: 4.171,
    0.45: 4.080,
    0.50: 3.993,
    0.55: 3.914,
    0.60: 3.845,
    0.65: 3.792,
    0.70: 3.757,
    0.75: 3.735,
    0.80: 3.718,
    0.85: 3.694,
    0.90: 3.664,
    0.935: 3.642,
    0.95: 3.626,
    0.97: 3.580,
    0.98: 3.533,
    0.99: 3.438,
}


@eqx.filter_jit
def evaluate(law, x):
    return law(x)


@eqx.filter_jit
def gradient(law, x):
    return jax.vmap(jax.grad(lambda x: law(x)))(x)


def padded(function, law, x):
    """The function at few or many points, at one shape that compiles once."""
    x = np.asarray(x, float)
    full = np.full(FINE.size, 0.5)
    full[: x.size] = x
    return np.asarray(function(law, jnp.asarray(full)))[: x.size]


def potential(law, x):
    return padded(evaluate, law, x)


def slope_of(law, x):
    return padded(gradient, law, x)


@pytest.mark.parametrize("law", ALL)
def test_a_potential_is_finite_and_falls_everywhere(law):
    value = potential(law, FINE)
    assert np.all(np.isfinite(value))
    assert np.all(np.diff(value) < 0)


@pytest.mark.parametrize("law", ALL)
def test_the_slope_of_a_potential_is_finite_and_negative_everywhere(law):
    slope = slope_of(law, FINE)
    assert np.all(np.isfinite(slope))
    assert np.all(slope < 0)


@pytest.mark.parametrize("law", ALL)
def test_the_slope_of_a_potential_does_not_jump(law):
    ends = [0.0, 1e-3, 5e-4, 0.9995, 0.9998, 1.0, *law.valid_range]
    places = np.concatenate([np.linspace(-0.1, 1.1, 121), ends])
    step = 1e-9  # far below 1e-5, the width of the sharpest corner
    left, middle, right = (slope_of(law, places + s) for s in (-step, 0.0, step))
    assert np.all(np.isfinite(left + right + middle))
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(middle, right, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("law", ALL)
def test_the_slope_of_a_potential_is_what_its_values_differ_by(law):
    places = np.linspace(-0.095, 1.095, 120)
    step = 1e-7
    exact = slope_of(law, places)
    numeric = (potential(law, places + step) - potential(law, places - step)) / 2 / step
    assert np.all(np.isfinite(exact))
    np.testing.assert_allclose(exact, numeric, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("law", ALL)
@settings(deadline=None, max_examples=50)
@given(pairs=st.lists(st.floats(-1.0, 2.0), min_size=2, max_size=2, unique=True))
def test_more_lithium_means_a_lower_potential(law, pairs):
    low, high = sorted(pairs)
    if high - low < 1e-9:
        high = low + 1e-9
    upper, lower = potential(law, [low, high])
    assert np.isfinite(upper)
    assert np.isfinite(lower)
    assert upper > lower


def test_nmc532_is_the_polynomial_of_colclasure():
    x = np.array(list(NMC532_TABLE))
    expected = np.array(list(NMC532_TABLE.values()))
    value = potential(open_circuit.NMC532(), x)
    tail = np.asarray(open_circuit.full_lithiation_tail(jnp.asarray(x)))
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(tail))
    low = x < 0.95  # where the tail is below 1 mV
    np.testing.assert_allclose(value - tail, expected, rtol=0, atol=1.5e-3)
    np.testing.assert_allclose(value[low], expected[low], rtol=0, atol=1.5e-3)


def test_nmc532_is_charged_to_4_3_volts_at_a_third_of_its_lithium():
    value = potential(open_circuit.NMC532(), [0.3355])
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, 4.3, rtol=0, atol=1e-3)


def test_nmc532_is_discharged_to_2_5_volts_just_before_full_lithiation():
    value = potential(open_circuit.NMC532(), [0.9990, 0.9996, 0.9999])
    assert np.all(np.isfinite(value))
    assert value[0] > 3.0
    assert value[1] > 2.5 > value[2]


def test_nmc811_has_the_plateaus_of_chen():
    value = potential(open_circuit.NMC811(), [0.27, 0.5, 0.7, 0.9])
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value, [4.27, 3.97, 3.73, 3.57], rtol=0, atol=1e-2)


def test_the_tail_of_full_lithiation_is_nothing_below_nine_tenths():
    tail = np.asarray(open_circuit.full_lithiation_tail(jnp.linspace(-1, 0.85, 20)))
    assert np.all(np.isfinite(tail))
    assert np.all(np.abs(tail) < 1e-5)


def test_the_tail_of_full_lithiation_is_the_lattice_gas_and_a_steep_line():
    x = 0.9997
    tail = float(open_circuit.full_lithiation_tail(jnp.asarray(x)))
    expected = 0.025692579 * np.log1p(-(x**60)) - 2000.0 * (x - 0.9995)
    assert np.isfinite(tail)
    np.testing.assert_allclose(tail, expected, atol=1e-8)


def test_the_tail_of_the_last_lithium_keeps_a_surface_from_emptying():
    tail = np.asarray(open_circuit.last_lithium_tail(jnp.array([-5e-4, 0.0, 0.2])))
    assert np.all(np.isfinite(tail))
    np.testing.assert_allclose(tail[0], 2.0, atol=1e-3)
    np.testing.assert_allclose(tail[1], 1.0, atol=1e-3)
    assert 0 < tail[2] < 1e-5


def test_nmc532_agrees_with_the_stored_table():
    with data_file("nmc532_functions_tabulated.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    x, expected = (
        np.array([float(row[name]) for row in rows])
        for name in ("x_Li", "U_Colclasure2020_V")
    )
    tail = np.asarray(open_circuit.full_lithiation_tail(jnp.asarray(x)))
    value = potential(open_circuit.NMC532(), x) - tail
    known = np.isfinite(expected)
    assert known.sum() > 100
    assert np.all(np.isfinite(value))
    np.testing.assert_allclose(value[known], expected[known], rtol=0, atol=1e-4)


def test_nmc811_agrees_with_the_measured_table():
    x, expected = np.loadtxt(
        data_file("nmc_LGM50_ocp_Chen2020.csv"), delimiter=",", unpack=True
    )
    inside = (x > 0.25) & (x < 0.95)
    value = potential(open_circuit.NMC811(), x[inside])
    assert inside.sum() > 20
    assert np.all(np.isfinite(value))
    assert np.sqrt(np.mean((value - expected[inside]) ** 2)) < 0.03


@pytest.mark.parametrize("slope", [0.0, -1.0, np.nan])
def test_a_line_that_does_not_fall_with_lithium_is_refused(slope):
    with pytest.raises(ValueError, match="`slope` must be positive"):
        open_circuit.LinearPotential(4.7, slope)


def test_numbers_of_a_potential_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="`intercept` of LinearPotential must be fin"):
        open_circuit.LinearPotential(np.nan, 1.2)
    with pytest.raises(ValueError, match="`slope` of LinearPotential must be finite"):
        open_circuit.LinearPotential(4.7, np.inf)
    with pytest.raises(ValueError, match="`coefficients` of NMC532 must be finite"):
        open_circuit.NMC532(np.where(np.arange(15) == 3, np.nan, 1.0))
