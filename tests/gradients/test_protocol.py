"""Derivatives through every event and change of control of a whole protocol."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.solver import RODAS5P

pytestmark = pytest.mark.optimised

STEPS = [
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Rest for 1 hour",
    "Discharge at C/20 until 2.5 V",
    "Charge at C/20 until 4.1 V",
]
NUM_SAVED = 5
AFTER_DISCHARGE = 8 + 4 * NUM_SAVED  # the voltage at which the last charge begins


def leaves(electrode):
    return (
        electrode.curves.conductivity.log10_values,
        electrode.curves.diffusivity.log10_values,
        electrode.network.shape_tail,
        electrode.network.shape_head,
        electrode.curves.rate_constant.value,
    )


def moved(electrode, raw):
    """The electrode with logarithms of its curves and contacts moved by `raw`."""
    kappa, diffusivity, tail, head, rate = leaves(electrode)
    cuts = np.cumsum([len(kappa), len(diffusivity), len(tail)])
    first, second, third, last = jnp.split(raw, cuts)
    factor = 10.0**third
    values = (kappa + first, diffusivity + second, tail * factor, head * factor)
    values = (*values, rate * 10.0 ** last[0])
    return eqx.tree_at(leaves, electrode, values)


@pytest.fixture(scope="module")
def case():
    """Onsets [h], voltages, end times [h] and charges as a function of raw numbers."""
    electrode = diffelec.presets.sharma2022(obstructions=(0, 2))
    protocol = diffelec.Protocol.from_strings(STEPS)

    def outputs(raw, rtol=1e-9):
        solution = diffelec.simulate(
            moved(electrode, raw),
            protocol,
            rtol=rtol,
            num_saved=NUM_SAVED,
            method=RODAS5P,
            max_steps=3000,
        )
        onsets = solution.change_times(0, 0.066)
        later = solution.onset_times(1, 0.5)
        return jnp.concatenate(
            [
                onsets / 3600.0,
                later / 3600.0,
                solution.voltage,
                solution.step_end_times / 3600.0,
                solution.step_capacities / electrode.theoretical_capacity,
            ]
        )

    size = sum(leaf.size for leaf in leaves(electrode)[:3]) + 1
    return outputs, size


@pytest.fixture(scope="module")
def directions(case):
    _, size = case
    return jnp.asarray(np.random.default_rng(3).normal(size=(2, size))) * 0.1


@pytest.fixture(scope="module")
def values(case):
    return jax.jit(case[0])


@pytest.fixture(scope="module")
def tangents(case, directions):
    """(outputs, their derivative) along each direction, by forward mode."""
    outputs, size = case
    along = jax.jit(lambda d: jax.jvp(outputs, (jnp.zeros(size),), (d,)))
    return [along(direction) for direction in directions]


def test_forward_mode_leaves_values_alone(case, values, tangents):
    plain = values(jnp.zeros(case[1]))
    np.testing.assert_allclose(tangents[0][0], plain, rtol=1e-7, atol=1e-9)


def test_forward_mode_agrees_with_central_differences(values, tangents, directions):
    for direction, (_, found) in zip(directions, tangents, strict=True):
        assert np.all(np.isfinite(found))

        def difference(step, direction=direction):
            up, down = values(step * direction), values(-step * direction)
            return (up - down) / (2 * step)

        # Extrapolated to step 0, from steps that the solver's noise does not reach.
        expected = (4.0 * difference(0.03) - difference(0.06)) / 3.0
        error = np.abs(found - expected) / np.max(np.abs(found))
        # After a discharge the surface is on the steep line of U at full lithiation
        # (2000 V a unit of x), where such wide steps are no differences any more.
        assert error[AFTER_DISCHARGE] < 5e-5
        assert np.max(np.delete(error, AFTER_DISCHARGE)) < 1e-5


def test_remainders_of_taylor_fall_with_the_square(values, tangents, directions):
    base, slope = tangents[0]
    sizes = np.array([0.1, 0.05, 0.025])
    rest = [np.linalg.norm(values(h * directions[0]) - base - h * slope) for h in sizes]
    order = np.log2(np.array(rest[:-1]) / np.array(rest[1:]))
    assert np.all((order > 1.9) & (order < 2.1))


def test_reverse_mode_is_the_transpose_of_forward_mode(case, directions):
    def outputs(raw):
        # At tighter tolerances the error of a step is near rounding, which differs
        # between two programs: so do their steps, and by 1e-8 their derivatives.
        return case[0](raw, rtol=1e-6)

    base = jnp.zeros(case[1])
    along = jax.jit(lambda d: jax.jvp(outputs, (base,), (d,))[1])
    tangents = [along(direction) for direction in directions]
    weights = np.random.default_rng(5).normal(size=tangents[0].size)
    pull = jax.jit(jax.grad(lambda raw, w: jnp.vdot(w, outputs(raw))))
    # On the steep line of U (see above) rounding alone moves a derivative by 1e-8.
    steep = np.arange(weights.size) == AFTER_DISCHARGE
    for band, chosen in ((1e-11, np.where(steep, 0.0, weights)), (1e-8, weights)):
        gradient = pull(base, jnp.asarray(chosen))
        for direction, found in zip(directions, tangents, strict=True):
            forward, reverse = jnp.vdot(chosen, found), jnp.vdot(gradient, direction)
            scale = np.linalg.norm(gradient) * np.linalg.norm(direction)
            assert abs(forward - reverse) < band * scale


def test_the_voltage_after_a_full_discharge_has_its_derivative_at_any_tolerance():
    electrode = diffelec.presets.single_particle(
        num_shells=10, initial_stoichiometry=0.6
    )
    steps = ["Discharge at C/20 until 2.5 V", "Charge at C/20 for 1 hour"]
    protocol = diffelec.Protocol.from_strings(steps)
    knots = lambda electrode: electrode.curves.diffusivity.log10_values

    def ends(decades, rtol):
        moved = eqx.tree_at(knots, electrode, knots(electrode) + decades)
        solution = diffelec.simulate(moved, protocol, rtol=rtol, num_saved=2)
        last, first = solution.voltage[1], solution.voltage[2]
        return jnp.stack([last, first, solution.step_end_times[0]])

    along = jax.jit(lambda: jax.jvp(lambda d: ends(d, 1e-5), (0.0,), (1.0,)))
    (_, first, _), (pinned, *found) = along()
    step = 1e-2  # on the steep line of U a shorter one meets rounding
    difference = (ends(step, 1e-9) - ends(-step, 1e-9)) / (2 * step)
    expected = difference[1:]
    assert first > 2.55
    assert abs(pinned) < 1e-9  # it is the cut-off
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_end_of_a_charge_has_its_derivative_at_a_loose_tolerance():
    """It moves along the dense output that it is found on, where the columns' own rates
    are up to the error of a step other ones: 0.2 h a decade here, of 0.002 h.
    """
    electrode = diffelec.presets.sharma2022()
    size = electrode.curves.conductivity.log10_values.size

    def end(raw, rtol):
        where = lambda e: e.curves.conductivity.log10_values
        kappa = where(electrode) + raw
        solution = diffelec.simulate(
            eqx.tree_at(where, electrode, kappa),
            diffelec.Protocol.from_strings(["Charge at C/20 until 4.3 V"]),
            rtol=rtol,
            num_saved=2,
        )
        return solution.step_end_times[0] / 3600.0

    loose, tight = (
        jax.jit(jax.grad(lambda raw, rtol=rtol: end(raw, rtol)))(jnp.zeros(size))
        for rtol in (1e-3, 1e-5)
    )
    np.testing.assert_allclose(loose, tight, atol=0.01)
    assert np.max(np.abs(tight)) > 1e-3


def test_instants_of_a_recorded_current_move_the_charge_that_it_passes():
    electrode = diffelec.presets.single_particle(num_shells=6)
    time = np.array([0.0, 9000.0, 9010.0, 15000.0, 20000.0])
    current = electrode.one_c_current / 8 * np.array([1.0, 1.0, 0.2, 0.5, 0.7])
    protocol = diffelec.Protocol.from_recording(
        time, current=current, control="current"
    )

    def found(time):
        moved = eqx.tree_at(lambda p: p.drive.time, protocol, time)
        solution = diffelec.simulate(
            electrode, moved, rtol=1e-7, times=np.array([9500.0])
        )
        return jnp.stack([solution.step_capacities[0], solution.voltage[0]])

    slopes = jax.jit(jax.jacrev(found))(jnp.asarray(time))
    # Trapezia; the last instant moves beyond the end of the step, which stays.
    later = (current[:-1] - np.append(current[2:], current[-1])) / 2
    np.testing.assert_allclose(slopes[0], [-later.sum(), *later], rtol=1e-6)
    solve, step = jax.jit(found), np.array([0.0, 0.5, -0.3, 0.2, 0.1])
    apart = (solve(time + step) - solve(time - step)) / 2
    np.testing.assert_allclose(slopes @ step, apart, rtol=1e-2)
    _, ahead = jax.jit(lambda t: jax.jvp(found, (t,), (step,)))(time)
    np.testing.assert_allclose(ahead, slopes @ step, rtol=1e-9)
