"""Closed forms: two particles in series, a recorded drive, every kind of step."""

import functools
import sys

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import solution
from diffelec.control import Drive, Row
from diffelec.solver import RODAS5P
from tests.integration.lumped import RESISTANCE, lumped_pair


def test_two_particles_in_series_follow_their_closed_form():
    r"""With U = U0 - s x and charge Q a particle, d(x1 - x2)/dt = -(I - 2 I2)/Q and
    R I2 = s (x2 - x1): I2 = I/2 (1 - exp(-t/tau)), tau = R Q/(2 s)."""
    electrode = lumped_pair()
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 for 8 hours"])
    found = diffelec.simulate(electrode, protocol, rtol=1e-8)
    charge = float(electrode.theoretical_capacity) / 2
    current = float(electrode.one_c_current) / 20
    tau = RESISTANCE * charge / 2.0
    time = np.asarray(found.time)
    far = current / 2 * (time - tau * (1 - np.exp(-time / tau))) / charge
    x = np.asarray(found.stoichiometry)
    assert np.all(np.isfinite(x))
    assert 0.2 < time[-1] / tau < 20
    np.testing.assert_allclose(x[:, 1], 0.9 - far, atol=1e-6)
    np.testing.assert_allclose(x.sum(axis=1), 1.8 - current * time / charge, atol=1e-11)


def test_a_recorded_current_is_followed():
    electrode = lumped_pair()
    one_c = float(electrode.one_c_current)
    knots = np.array([0.0, 1000.0, 1500.0, 4000.0])
    current = one_c / 10 * np.array([0.0, 1.0, -0.5, 0.5])
    protocol = diffelec.Protocol.from_recording(
        knots, current=current, control="current"
    )
    times = np.linspace(0.0, 4000.0, 81)
    found = diffelec.simulate(electrode, protocol, times=times, rtol=1e-6)
    np.testing.assert_allclose(
        found.current, np.interp(times, knots, current), atol=1e-6 * one_c
    )
    passed = np.trapezoid(current, knots)
    # Nanoamperes through a contact of 1 ohm: what rounding leaves of the potentials.
    np.testing.assert_allclose(found.step_capacities[0], passed, rtol=1e-8)
    assert found.num_half_cycles == 3


@pytest.mark.parametrize(
    ("quantity", "values"),
    [("current", [0.1, 0.1, 0.05]), ("voltage", [3.9, 3.9, 3.8])],
)
def test_a_recorded_series_stays_at_its_last_value(quantity, values):
    electrode = lumped_pair()
    values = np.array(values)
    if quantity == "current":
        values = values * float(electrode.one_c_current)
    times = np.linspace(1001.0, 2000.0, 101)
    found = []
    for time, value in (
        ([0.0, 1000.0, 1001.0], values),
        ([0.0, 1000.0, 1001.0, 9000.0], np.append(values, values[-1])),
    ):
        protocol = diffelec.Protocol.from_steps(
            [diffelec.protocol.Recorded(quantity, 2000.0)], Drive(time, value)
        )
        found.append(diffelec.simulate(electrode, protocol, times=times))
    short, long = found
    np.testing.assert_allclose(getattr(short, quantity), values[-1], rtol=1e-9)
    np.testing.assert_allclose(short.voltage, long.voltage, rtol=1e-9)
    np.testing.assert_allclose(short.step_capacities, long.step_capacities, rtol=1e-9)


def test_a_recorded_current_of_thousands_of_rows_needs_no_more_words():
    electrode, time = lumped_pair(), np.linspace(0.0, 20000.0, 2500)
    noise = np.random.default_rng(0).standard_normal(time.size)
    current = float(electrode.one_c_current) * (0.05 + 0.005 * noise)
    row = diffelec.Protocol.from_recording(time, current=current, control="current")
    found = diffelec.simulate(electrode, row, rtol=1e-3)
    assert int(found.num_steps.sum()) > 2000
    passed = np.trapezoid(current, time)
    np.testing.assert_allclose(found.step_capacities[0], passed, rtol=1e-6)
    ends = jax.jit(lambda e: diffelec.simulate(e, row, rtol=1e-3).step_capacities[0])
    np.testing.assert_allclose(ends(electrode), passed, rtol=1e-6)


def test_a_recorded_voltage_gives_back_the_current_that_made_it():
    electrode = lumped_pair()
    charge = diffelec.Protocol.from_strings(["Charge at C/20 for 8 hours"])
    made = diffelec.simulate(electrode, charge, rtol=1e-8)
    time = np.asarray(made.time)
    driven = diffelec.simulate(
        electrode,
        diffelec.Protocol.from_recording(time, voltage=np.asarray(made.voltage)),
        rtol=1e-6,
    )
    assert np.all(np.isfinite(driven.current))
    # The knots are joined by straight lines, so the current is right on average.
    passed, wanted = driven.step_capacities[0], made.step_capacities[0]
    np.testing.assert_allclose(passed, wanted, rtol=1e-3)
    np.testing.assert_allclose(driven.voltage[-1], made.voltage[-1], atol=1e-6)


def test_every_kind_of_step_runs_and_rests_relax():
    electrode = lumped_pair()
    one_c = float(electrode.one_c_current)
    protocol = diffelec.Protocol.from_strings(
        [
            "Rest for 10 minutes",
            f"Charge at {one_c * 1e12 / 5} pA for 1 hour",
            "Hold at 3.95 V for 30 minutes",
            "Rest for 30 hours",
            f"Discharge at {one_c * 3.9 / 10 * 1e9} nW for 1 hour or until 3.0 V",
        ]
    )
    found = diffelec.simulate(electrode, protocol)
    voltage = np.asarray(found.voltage).reshape(5, 101)
    current = np.asarray(found.current).reshape(5, 101)
    assert np.all(np.isfinite(voltage))
    np.testing.assert_allclose(current[[0, 3]], 0.0, atol=1e-12 * one_c)
    np.testing.assert_allclose(current[1], one_c / 5, rtol=1e-9)
    np.testing.assert_allclose(voltage[2], 3.95, atol=1e-7)
    np.testing.assert_allclose(voltage[4] * current[4], -one_c * 3.9 / 10, rtol=1e-5)
    x = np.asarray(found.stoichiometry)[303:404]
    assert abs(x[-1, 0] - x[-1, 1]) < 1e-4
    assert np.ptp(x[:, 0]) > 1e-3
    assert found.half_cycles == (-1, 0, 0, 0, 1)


def test_all_steps_of_a_protocol_run_the_code_of_the_first(monkeypatch):
    module = sys.modules["diffelec.simulate"]
    traced = []

    def counted(*arguments):
        traced.append(arguments)
        return module._advanced_from(*arguments)

    monkeypatch.setattr(module, "_advance", eqx.filter_jit(counted))
    protocol = [
        "Rest for 1 hour",
        "Charge at C/20 for 1 hour",
        "Hold at 4 V until C/50",
    ]
    diffelec.simulate(lumped_pair(), diffelec.Protocol.from_strings(protocol))
    assert len(traced) == 1


def test_a_later_step_whose_limit_is_passed_ends_at_once():
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/20 for 2 hours", "Charge at C/20 until 3.7 V", "Rest for 1 hour"]
    )
    found = diffelec.simulate(lumped_pair(), protocol)
    ends = np.asarray(found.step_end_times)
    assert ends[1] == ends[0] == pytest.approx(7200.0)
    assert ends[2] == pytest.approx(7200.0 + 3600.0)


def test_what_is_no_electrode_or_protocol_is_refused_by_name():
    strings = ["Rest for 1 hour"]
    with pytest.raises(ValueError, match=r"`protocol` must be .* but is a list; make"):
        diffelec.simulate(lumped_pair(), strings)
    protocol = diffelec.Protocol.from_strings(strings)
    with pytest.raises(ValueError, match=r"`electrode` must be .* but is a Network"):
        diffelec.simulate(lumped_pair().network, protocol)


def test_a_level_of_1_is_reached_at_the_end_and_others_are_refused():
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 for 10 hours"])
    found = diffelec.simulate(diffelec.presets.sharma2022(), protocol, rtol=1e-3)
    times = found.onset_times(0, 1.0)
    change = np.abs(np.asarray(found.stoichiometry[-1] - found.stoichiometry[0]))
    moved = change > 0.05
    assert 5 < moved.sum() < 15
    assert np.all(np.isfinite(times) == moved)
    # Those that take lithium back from their neighbours were there before.
    steady = np.all(np.diff(found.stoichiometry, axis=0) <= 0, axis=0) & moved
    assert 2 < steady.sum() < moved.sum()
    np.testing.assert_allclose(times[steady], 36000.0, rtol=1e-9)
    assert np.all(times[moved & ~steady] < 36000.0)
    for level in (0.0, -0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match="`level` must be above 0 and at most 1"):
            found.onset_times(0, level)


def test_onsets_of_all_levels_are_one_compilation(monkeypatch):
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 for 2 hours"])
    found = diffelec.simulate(diffelec.presets.single_particle(), protocol)
    traced, first = [], solution._first_crossings
    counted = lambda *arguments: traced.append(1) or first(*arguments)
    monkeypatch.setattr(solution, "_first_crossings", counted)
    times = [float(found.onset_times(0, level)[0]) for level in (0.2, 0.4, 0.8)]
    times += [float(found.change_times(0, change)[0]) for change in (0.01, 0.02)]
    assert times[0] < times[1] < times[2]
    assert times[3] < times[4]
    assert len(traced) == 2
    with pytest.raises(ValueError, match="`change` must be above 0 and at most 1, but"):
        found.change_times(0, -0.05)


def test_a_batch_is_asked_one_by_one():
    protocol = diffelec.Protocol.from_strings(["Charge at C/5 for 1 hour"])
    found = jax.vmap(
        lambda temperature: diffelec.simulate(
            diffelec.presets.single_particle(temperature=temperature),
            protocol,
            rtol=1e-3,
            num_saved=2,
        )
    )(jnp.array([298.0, 310.0]))
    for ask in (found.half_cycle_capacity, found.half_cycle_span, found.onset_times):
        with pytest.raises(ValueError, match=r"a batch of 2; ask each, by `jax.vmap"):
            ask(0)
    charges = jax.vmap(lambda one: one.half_cycle_capacity(0))(found)
    np.testing.assert_allclose(charges, found.step_capacities[:, 0])


def test_kvaerno_with_potentials_solved_inside_agrees():
    """A method with other failure modes: ESDIRK on the columns alone."""
    from diffelec.solver.consistent import consistent_algebraic
    from diffelec.solver.parts import Parts
    from diffelec.solver.settled import begun
    from tests.reference.ida import initial_columns, system_of

    electrode = diffelec.presets.sharma2022(obstructions=(0, 1), num_shells=8)
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 for 6 hours"])
    system = system_of(electrode, protocol)
    guess = jnp.append(jnp.full(system.topology.num_nodes, 3.7), 0.05)

    def field(t, columns, args):
        found = consistent_algebraic(args, t, columns, guess)
        state = begun(args, Parts(columns, found.algebraic), t)
        return args.residual(t, state).columns

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Kvaerno3(),
        0.0,
        6 * 3600.0,
        1.0,
        initial_columns(electrode),
        args=system,
        stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-7),
        adjoint=diffrax.ForwardMode(),
        max_steps=20000,
    )
    means = electrode.mesh.weights @ np.asarray(solution.ys[0])
    ours = diffelec.simulate(electrode, protocol, rtol=1e-7, method=RODAS5P)
    assert np.all(np.isfinite(means))
    np.testing.assert_allclose(ours.stoichiometry[-1], means, atol=2e-5)


def test_simulate_composes_with_jit_vmap_and_grad():
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/10 until 4.2 V", "Hold at 4.2 V for 1 hour", "Rest for 1 hour"]
    )
    electrode = diffelec.presets.sharma2022(obstructions=(0, 1), num_shells=8)
    base = jnp.asarray(electrode.curves.conductivity.log10_values)

    def outcome(shift):
        moved = eqx.tree_at(
            lambda e: e.curves.conductivity.log10_values,
            electrode,
            base.at[-1].add(shift),
        )
        found = diffelec.simulate(moved, protocol, rtol=1e-7, throw=False)
        return found.change_times(0, 0.1)[1] / 3600.0 + found.voltage[-1]

    slopes = jax.jit(jax.vmap(jax.grad(outcome)))(jnp.array([0.0, 0.1]))
    assert np.all(np.isfinite(slopes))
    for slope, at in zip(slopes, (0.0, 0.1), strict=True):
        difference = (outcome(at + 3e-3) - outcome(at - 3e-3)) / 6e-3
        assert float(slope) == pytest.approx(float(difference), rel=1e-4)


def test_a_particle_of_little_reactivity_is_one_of_a_smaller_rate_constant():
    """Each particle hears of its own only: a recorded voltage decouples them."""
    drive = diffelec.Protocol.from_recording([0.0, 7200.0], voltage=[3.7, 4.1])
    network = diffelec.graphs.star(2)

    def simulated(own, shared):
        curves = diffelec.materials.nmc532(exchange_current_density=shared)
        electrode = diffelec.presets.electrode_of(
            network, curves, reactivity=own, num_shells=6
        )
        return diffelec.simulate(electrode, drive, rtol=1e-7, num_saved=9)

    both = simulated([1.0, 0.003], 0.1)
    slow, fast = simulated(1.0, 0.0003), simulated(1.0, 0.1)
    x = np.asarray(both.stoichiometry)
    assert np.max(x[:, 1] - x[:, 0]) > 0.05
    np.testing.assert_allclose(x[:, 0], fast.stoichiometry[:, 0], atol=1e-6)
    np.testing.assert_allclose(x[:, 1], slow.stoichiometry[:, 1], atol=1e-6)


def test_slopes_in_instants_are_whole_at_the_very_start_and_end():
    electrode = diffelec.presets.single_particle(num_shells=6)
    protocol = diffelec.Protocol.from_strings(["Charge at C/10 for 1 hour"])

    def mean(times):
        found = diffelec.simulate(electrode, protocol, rtol=1e-6, times=times)
        return found.stoichiometry[:, 0]

    times = jnp.array([0.0, 1800.0, 3600.0])
    _, slopes = jax.jvp(mean, (times,), (jnp.ones(3),))
    np.testing.assert_allclose(slopes, -0.63 / 36000.0, rtol=1e-6)


def test_slopes_in_instants_are_whole_at_the_ends_of_all_steps(rng):
    """Less the start of its step, the end of one may lie beyond it by rounding."""
    electrode = diffelec.presets.single_particle(num_shells=6)
    seconds = rng.uniform(100.0, 900.0, 12)
    steps = [f"Charge at C/10 for {duration} s" for duration in seconds]
    protocol = diffelec.Protocol.from_strings(steps)
    solve = functools.partial(diffelec.simulate, electrode, protocol, rtol=1e-5)
    ends = solve(num_saved=2).step_end_times
    mean = lambda times: solve(times=times).stoichiometry[:, 0]
    _, slopes = jax.jit(lambda: jax.jvp(mean, (ends,), (jnp.ones(12),)))()
    np.testing.assert_allclose(slopes, -0.63 / 36000.0, rtol=1e-6)


class Load(diffelec.protocol.AbstractStep):
    """A resistance between the electrodes, V + R I = 0; I over that of 1C."""

    text, sign = "load", -1

    def row(self):
        return Row(
            weight_voltage=1.0, weight_current=0.2, duration=6000.0, lower_voltage=2.5
        )


def test_a_step_that_weighs_a_voltage_against_a_current_has_its_slopes():
    electrode = diffelec.presets.single_particle(num_shells=6)
    charge = diffelec.protocol.parse_step("Charge at C/10 for 5 hours")
    protocol = diffelec.Protocol.from_steps([charge, Load()])

    def passed(range_of_1c):
        moved = eqx.tree_at(lambda e: e.one_c_range, electrode, range_of_1c)
        return diffelec.simulate(moved, protocol, rtol=1e-7).step_capacities[1]

    up, down = (float(passed(0.63 * (1.0 + by))) for by in (1e-3, -1e-3))
    slope = float(jax.jit(jax.grad(passed))(0.63))
    np.testing.assert_allclose(slope, (up - down) / (2e-3 * 0.63), rtol=1e-3)
