"""What is left where a step of a protocol fails: values and slopes of what came before,
and NaN, not slopes of NaN, of the rest."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import bodies, fronts, graphs, presets, stretches
from tests.integration.lumped import lumped_pair


@pytest.mark.parametrize(
    ("strings", "fields", "kind", "words"),
    [
        (["Charge at C/20 until 3.0 V"], {}, ValueError, "already passed"),
        (
            ["Hold at 9 V until C/50"],
            {"max_steps": 7},
            diffelec.SimulationError,
            "Step 1",
        ),
        (
            ["Charge at C/20 until 4.2 V"],
            {"max_steps": 7},
            diffelec.SimulationError,
            "max_steps",
        ),
    ],
)
def test_failures_name_the_step_the_cause_and_the_remedy(strings, fields, kind, words):
    protocol = diffelec.Protocol.from_strings(strings)
    with pytest.raises(kind, match=words):
        diffelec.simulate(lumped_pair(), protocol, **fields)


def test_failures_can_be_returned_and_leave_nan_from_the_failed_step_on():
    protocol = diffelec.Protocol.from_strings(
        ["Rest for 1 hour", "Charge at C/20 until 4.2 V", "Rest for 1 hour"]
    )
    found = diffelec.simulate(lumped_pair(), protocol, max_steps=7, throw=False)
    assert bool(found.result == diffelec.RESULTS.max_steps_reached)
    assert int(found.failed_step) == 1
    voltage = np.asarray(found.voltage).reshape(3, 101)
    assert np.all(np.isfinite(voltage[0]))
    assert np.all(np.isnan(voltage[1:]))
    # A failed half cycle does not read as particles that never react.
    assert np.all(np.isnan(found.change_times(0)))
    assert np.all(np.isnan(found.onset_times(0)))
    assert "Step 2 ('Charge at C/20 until 4.2 V')" in found.message()


@pytest.mark.parametrize("most_of_some_sites", [1000, 1])
def test_nothing_is_known_where_the_first_step_of_many_sites_fails(
    most_of_some_sites, monkeypatch
):
    """There is no step of the integrator then, between whose ends to look."""
    monkeypatch.setattr(stretches, "suit", lambda topology: True)
    monkeypatch.setattr(
        sys.modules["diffelec.simulate"], "MANY_SITES", most_of_some_sites
    )
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 until 3.0 V"])
    found = diffelec.simulate(lumped_pair(), protocol, throw=False, num_saved=2)
    assert bool(found.result == diffelec.RESULTS.start_outside_limits)
    assert np.all(np.isnan(found.change_times(0)))
    assert np.all(np.isnan(found.onset_times(0)))
    assert np.all(np.isnan(found.half_cycle_ends(0)))
    assert np.all(np.isnan(found.site_trajectories(0)[0]))


def test_an_initial_stoichiometry_that_cannot_be_fails_within_transformations():
    electrode = presets.single_particle(num_shells=6)
    protocol = diffelec.Protocol.from_strings(["Charge at C/5 for 1 hour"] * 2)

    @jax.vmap
    def found(x):
        place = lambda e: e.initial_stoichiometry
        moved = eqx.tree_at(place, electrode, x[None])
        solution = diffelec.simulate(moved, protocol, num_saved=2, throw=False)
        outside = solution.result == diffelec.RESULTS.left_domain
        return outside, solution.failed_step, solution.voltage

    start = jnp.array([0.9, 1.001, 1.0, 0.5, 0.0, -0.001])
    wrong = np.array([False, True, True, False, True, True])
    outside, failed, voltage = found(start)
    np.testing.assert_array_equal(outside, wrong)
    np.testing.assert_array_equal(failed, np.where(wrong, 0, -1))
    np.testing.assert_array_equal(np.isnan(voltage), wrong[:, None] & np.ones(4, bool))


def test_instants_before_a_failed_step_are_kept():
    electrode = diffelec.presets.single_particle()
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/5 for 1 hour", "Hold at 90 V for 1 hour"]
    )
    times = [0.0, 1800.0, 3600.0, 4000.0]
    found = diffelec.simulate(electrode, protocol, times=times, throw=False)
    assert int(found.failed_step) == 1
    np.testing.assert_array_equal(np.isnan(found.voltage), [False] * 3 + [True])
    evenly = diffelec.simulate(electrode, protocol, num_saved=3, throw=False)
    np.testing.assert_allclose(found.voltage[:3], evenly.voltage[:3], rtol=1e-12)


def test_slopes_of_steps_before_a_failed_one_are_finite():
    good = ["Charge at C/5 for 1 hour"]
    loss = {
        name: lambda electrode, steps=steps: jnp.sum(
            diffelec.simulate(
                electrode,
                diffelec.Protocol.from_strings(steps),
                throw=False,
                num_saved=3,
            ).voltage[:3]
        )
        for name, steps in {
            "alone": good,
            "failing": [*good, "Hold at 90 V for 1 h"],
        }.items()
    }
    electrode = jax.tree.map(jnp.asarray, diffelec.presets.single_particle())
    floats, rest = eqx.partition(electrode, eqx.is_inexact_array)
    slopes = {
        name: jax.jit(jax.grad(lambda f, of=of: of(eqx.combine(f, rest))))(floats)
        for name, of in loss.items()
    }
    for alone, failing in zip(*map(jax.tree.leaves, slopes.values()), strict=True):
        np.testing.assert_allclose(failing, alone, rtol=1e-6, atol=1e-12)


def test_slopes_of_lanes_that_fail_amid_others_are_finite():
    electrode = diffelec.presets.single_particle(
        num_shells=4, initial_stoichiometry=0.92
    )
    one_c = float(electrode.one_c_current)
    steps = diffelec.protocol
    brief = steps.CutOff(duration=1.0)
    protocol = steps.Protocol.from_steps(
        [steps.ConstantCurrent(rate=-0.01, end=brief), steps.ConstantPower(-1.0, brief)]
    )

    def before(resistance, power):
        resists = eqx.tree_at(lambda e: e.series_resistance, electrode, resistance)
        asked = eqx.tree_at(
            lambda p: p.rows.power, protocol, -power * np.array([0.0, 1.0])
        )
        found = diffelec.simulate(
            resists, asked, throw=False, num_saved=3, rtol=1e-4, max_steps=50
        )
        return found.voltage[0], found.failed_step

    # At most U^2/4R, 6.7 V times the 1C current, can be had through this resistance.
    power = one_c * jnp.array([0.05, *np.geomspace(8.0, 80.0, 24)])
    slopes = jax.jit(
        jax.vmap(jax.grad(before, has_aux=True), in_axes=(None, 0)),
    )
    slope, failed = slopes(0.5 / one_c, power)
    np.testing.assert_array_equal(failed, [-1] + [1] * 24)
    np.testing.assert_allclose(slope, -0.01 * one_c, rtol=1e-9)


SHOWN = {
    "onset": lambda s: s.onset_times(),
    "change": lambda s: s.change_times(),
    "crossing": lambda s: s.crossing_times(jnp.full(1, 0.9)),
    "site": lambda s: s.site_change_times(),
    "transit": lambda s: fronts.transit_times(s),
    "speed": lambda s: fronts.front_speeds(s, 5e-6),
    "spread": lambda s: fronts.largest_spreads(s),
    "homogenising": lambda s: fronts.homogenising_times(s),
}


@pytest.fixture(scope="module")
def cut():
    """A particle of three slices."""
    network = diffelec.resolve(graphs.star(1), 5e-6, bodies.slices(3))
    return presets.electrode_of(network, num_shells=5)


def after_too_few_steps(electrode, protocol):
    return diffelec.simulate(
        electrode, protocol, rtol=1e-4, num_saved=3, max_steps=15, throw=False
    )


def test_what_a_failed_half_cycle_would_show_is_nan_without_slopes_of_nan(cut):
    protocol = diffelec.Protocol.from_strings(["Charge at C/10 until 4.2 V"])

    def losses(factor):
        radius = factor * jnp.asarray(cut.radius)
        moved = eqx.tree_at(lambda e: e.radius, cut, radius)
        found = after_too_few_steps(moved, protocol)
        fine = found.result == diffelec.RESULTS.successful
        shown = {name: jnp.sum(show(found)) for name, show in SHOWN.items()}
        return {k: jnp.where(fine, v, 0.0) for k, v in shown.items()}, shown

    slopes, shown = jax.jacrev(losses, has_aux=True)(1.0)
    assert {k: bool(np.isnan(v)) for k, v in shown.items()} == dict.fromkeys(
        SHOWN, True
    )
    assert {k: float(v) for k, v in slopes.items()} == dict.fromkeys(SHOWN, 0.0)


@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_so_it_is_of_a_recorded_current_that_fails(show, cut):
    time = np.linspace(0.0, 10 * 3600.0, 50)
    current = np.full(50, 0.1 * float(cut.one_c_current))
    protocol = diffelec.Protocol.from_recording(
        time, current=current, control="current"
    )
    found = after_too_few_steps(cut, protocol)
    assert int(found.failed_step) == 0
    assert np.all(np.isnan(show(found)))
