"""One march, however it is compiled."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.solver import Tolerances, blocks
from diffelec.solver.consistent import consistent_algebraic
from diffelec.solver.march import _empty, _norm, _try_step
from diffelec.solver.parts import Parts
from tests.solver.test_bordered import make

STEPS = ["Charge at C/10 until 4.1 V", "Hold at 4.1 V until C/20"]


class Silent(diffrax.AbstractProgressMeter):
    """A meter that shows nothing, but keeps a compiled loop in its plain form."""

    def init(self):
        return jnp.asarray(0)

    def step(self, state, progress):
        return state + 1

    def close(self, state):
        pass


def in_plain_form(electrode, protocol, **settings):
    solve = lambda *args: diffelec.simulate(*args, meter=Silent(), **settings)
    return eqx.filter_jit(solve)(electrode, protocol)


@pytest.fixture(scope="module")
def electrode():
    return diffelec.presets.sharma2022(obstructions=(0, 1))


@pytest.fixture(scope="module")
def protocol():
    return diffelec.Protocol.from_strings(STEPS)


def scaled(electrode, factor):
    return eqx.tree_at(
        lambda e: e.network.shape_head, electrode, electrode.network.shape_head * factor
    )


@pytest.fixture(scope="module")
def alone(electrode, protocol):
    """Solutions for three contacts, one by one."""
    return [
        diffelec.simulate(scaled(electrode, f), protocol, rtol=1e-6)
        for f in (0.5, 1.0, 2.0)
    ]


def test_plain_and_single_function_forms_agree(electrode, protocol, alone):
    plain = in_plain_form(electrode, protocol, rtol=1e-6)
    np.testing.assert_array_equal(plain.num_steps, alone[1].num_steps)
    np.testing.assert_allclose(plain.voltage, alone[1].voltage, atol=1e-8)
    np.testing.assert_allclose(plain.stoichiometry, alone[1].stoichiometry, atol=1e-8)


def test_lanes_of_a_batch_are_their_own_solves(electrode, protocol, alone):
    def ends(factor):
        solution = diffelec.simulate(scaled(electrode, factor), protocol, rtol=1e-6)
        return solution.step_end_times, solution.stoichiometry[-1], solution.num_steps

    batch = jax.jit(jax.vmap(ends))(jnp.asarray([0.5, 1.0, 2.0]))
    counts = np.asarray(batch[2])
    assert len(np.unique(counts[:, 0, 0])) > 1  # lanes end at different steps
    for lane, solution in enumerate(alone):
        np.testing.assert_allclose(batch[0][lane], solution.step_end_times, rtol=1e-6)
        np.testing.assert_allclose(
            batch[1][lane], solution.stoichiometry[-1], atol=1e-6
        )


@pytest.mark.parametrize("first", [jax.jacfwd, jax.jacrev])
@pytest.mark.parametrize("second", [jax.jacfwd, jax.jacrev])
@pytest.mark.parametrize("steps", [1, 2])
def test_second_derivatives_are_refused(electrode, steps, first, second):
    protocol = diffelec.Protocol.from_strings(["Rest for 1 hour"] * steps)

    def end(factor, temperature):
        moved = scaled(electrode, factor)
        moved = eqx.tree_at(lambda e: e.temperature, moved, temperature)
        return diffelec.simulate(moved, protocol, rtol=1e-3).voltage[-1]

    once = jax.eval_shape(first(end), 1.0, 300.0)
    assert once.shape == ()
    for other in (0, 1):  # mixed ones too
        with pytest.raises(NotImplementedError, match=r"asked for a second"):
            jax.eval_shape(second(first(end), other), 1.0, 300.0)


RECORDED = diffelec.Protocol.from_recording(
    np.linspace(0.0, 14400.0, 9), voltage=3.9 + 0.05 * np.sin(np.arange(9.0))
)


def test_jacobian_by_reverse_mode_is_that_by_forward_mode():
    electrode = diffelec.presets.sharma2022(
        obstructions=(0, 1), reactivity=[1.0, 0.5, 2.0]
    )
    leaves = lambda e: (
        e.radius,
        e.curves.diffusivity.log10_values,
        e.curves.rate_constant.value,
        e.temperature,
        e.network.shape_head,
        e.reactivity,
    )

    def outputs(raw):
        factors = jnp.split(10.0**raw, len(raw))
        moved = [v * f for v, f in zip(leaves(electrode), factors, strict=True)]
        moved[2] = moved[2].reshape(())
        moved[3] = moved[3].reshape(())
        solution = diffelec.simulate(
            eqx.tree_at(leaves, electrode, tuple(moved)),
            RECORDED,
            rtol=1e-5,
            num_saved=2,
        )
        ends = (solution.step_end_times / 3600.0, solution.step_capacities)
        return jnp.concatenate([*ends, solution.stoichiometry[-1], solution.voltage])

    at = jnp.asarray([0.05, 0.01, -0.1, 0.0, 0.1, 0.02])
    # One direction at a time: both transforms without a batch compile in half the time.
    along = jax.jit(lambda d: jax.jvp(outputs, (at,), (d,)))
    forward = np.stack([along(d)[1] for d in jnp.eye(len(at))], axis=1)
    back = jax.jit(lambda u: jax.vjp(outputs, at)[1](u)[0])
    reverse = np.stack([back(u) for u in jnp.eye(len(forward))])
    assert np.all(np.max(np.abs(forward), axis=0) > 0)
    np.testing.assert_allclose(reverse, forward, rtol=1e-8, atol=1e-10)


def test_derivatives_hold_within_the_last_step_of_a_charge(electrode):
    charge = diffelec.Protocol.from_strings(STEPS[:1])
    found = diffelec.simulate(electrode, charge, rtol=1e-5)
    inside = np.unique(found.tracks.time[0])[-2:].mean()

    def voltage(raw):
        radius = 10.0**raw * jnp.asarray(electrode.radius)
        moved = eqx.tree_at(lambda e: e.radius, electrode, radius)
        return diffelec.simulate(moved, charge, rtol=1e-5, times=[inside]).voltage[0]

    along = jax.jit(lambda raw: jax.jvp(voltage, (raw,), (1.0,)))
    reverse, (_, forward) = jax.jit(jax.grad(voltage))(0.0), along(0.0)
    np.testing.assert_allclose(reverse, forward, rtol=1e-10)
    difference = (along(1e-5)[0] - along(-1e-5)[0]) / 2e-5
    np.testing.assert_allclose(forward, difference, rtol=0.02)  # sizes of steps move


def test_voltages_have_a_derivative_in_the_instants_asked_for(electrode):
    charge = diffelec.Protocol.from_strings(["Charge at C/20 for 2 hours"])

    def voltage(instant):
        asked = [600.0, instant]
        return diffelec.simulate(electrode, charge, rtol=1e-4, times=asked).voltage[1]

    slope = jax.grad(voltage)(3000.0)
    difference = (voltage(3001.0) - voltage(2999.0)) / 2.0
    assert slope != 0.0
    np.testing.assert_allclose(slope, difference, rtol=1e-4)


@pytest.mark.parametrize("count", [62, 63])
def test_networks_on_either_side_of_the_explicit_inverse_run(count):
    network = diffelec.graphs.star(count)
    electrode = diffelec.presets.electrode_of(network, num_shells=5)
    assert (blocks.chosen(network.topology) is blocks.Inverse) == (count == 62)
    hour = diffelec.Protocol.from_strings(["Charge at C/20 for 1 hour"])
    found = in_plain_form(electrode, hour, rtol=1e-4, num_saved=2)
    passed = electrode.one_c_range / 20
    moved = found.stoichiometry[0] - found.stoichiometry[-1]
    np.testing.assert_allclose(moved, passed, rtol=1e-6)


def test_columns_too_long_for_one_function_are_solved_too():
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 for 20 minutes"])
    found = [
        diffelec.simulate(
            diffelec.presets.sharma2022(num_shells=shells),
            protocol,
            rtol=1e-4,
            num_saved=2,
        )
        for shells in (20, 140, 276)  # 4140 numbers to reduce: a library's
    ]
    coarse, *finer = (solution.stoichiometry[-1] for solution in found)
    assert np.ptp(coarse) > 0.01  # five particles have lost lithium
    for fine in finer:
        np.testing.assert_allclose(fine, coarse, atol=1e-4)


def test_potentials_that_a_step_left_off_their_equations_do_not_stop_the_next():
    """From the steep end of U: as short as steps became, their error stayed above the
    tolerance, since it was that of the potentials that they began with.
    """
    edges = [
        diffelec.edges.carbon_contact("collector", f"p{k}", shape)
        for k, shape in enumerate((9e4, 7e4, 5e4))
    ]
    network = diffelec.Network.from_edges(edges, ["p0", "p1", "p2"])
    electrode = diffelec.presets.electrode_of(
        network, initial_stoichiometry=0.999, num_shells=16
    )
    drive = diffelec.Protocol.from_recording(
        np.array([0.0, 576.0, 1188.0, 1836.0]), voltage=[2.33, 2.78, 3.06, 3.25]
    )
    loose, tight = (
        diffelec.simulate(electrode, drive, rtol=rtol, num_saved=9)
        for rtol in (1e-4, 1e-7)
    )
    assert int(loose.num_steps.sum()) < 100
    np.testing.assert_allclose(loose.stoichiometry, tight.stoichiometry, atol=1e-6)
    np.testing.assert_allclose(loose.potentials, tight.potentials, atol=5e-4)


def test_few_steps_are_refused_though_their_errors_scatter():
    charge = diffelec.Protocol.from_strings(STEPS[:1])
    electrode = diffelec.presets.sharma2022()
    (made, refused), *_ = diffelec.simulate(electrode, charge, rtol=1e-4).num_steps
    assert refused < 0.25 * (made + refused)


@pytest.mark.parametrize("name", ["single_particle", "sharma2022"])
def test_a_hold_starts_with_the_current_that_the_charge_ended_with(name):
    """Where U rises slowly, an error of 0.1 mV in the cut-off's place is 14 s, and as
    the overpotential is 1 mV, 14 % of the current.
    """
    electrode = getattr(diffelec.presets, name)()
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/20 until 4.3 V", "Hold at 4.3 V until C/50"]
    )
    solve = lambda rtol: diffelec.simulate(electrode, protocol, rtol=rtol, num_saved=3)
    found, tight = solve(1e-5), solve(1e-7)
    last, first = found.current[2:4]
    np.testing.assert_allclose(first, last, rtol=1e-9)
    np.testing.assert_allclose(found.voltage[2:4], 4.3, atol=1e-12)
    np.testing.assert_allclose(
        found.step_end_times[0], tight.step_end_times[0], atol=0.05
    )


@pytest.mark.parametrize(("off", "returns"), [(0.002, False), (0.05, True)])
def test_a_step_that_left_its_potentials_far_off_is_made_again_shorter(off, returns):
    """At the steep end of U one does, by 45 mV that its estimate does not see."""
    system, _ = make("current")
    columns = jnp.full((7, 6), 0.9)
    guess = jnp.append(jnp.full(system.topology.num_nodes, 3.7), 0.0)
    exact = consistent_algebraic(system, 0.0, columns, guess).algebraic
    start, parts = Parts(columns, exact), Parts(columns, exact.at[3].add(off))
    tolerances = Tolerances(
        jnp.asarray(1e-4), jnp.asarray(1e-5), 50, diffelec.solver.RODAS4P2
    )
    span = jnp.asarray(1e4)
    first = _empty(system, start, span, jnp.asarray(0.0), tolerances, record=False)
    loop = first._replace(
        time=jnp.asarray(100.0),
        size=jnp.asarray(8.0),
        proposal=jnp.asarray(1e-3),
        parts=parts,
        num_accepted=jnp.asarray(3),
    )
    new = jax.jit(_try_step)(system, loop, span, tolerances)
    if not returns:
        assert float(new.time) >= 100.0
        assert int(new.num_accepted) >= 3
        return
    assert (float(new.time), float(new.proposal), int(new.num_accepted)) == (92, 2, 2)
    np.testing.assert_array_equal(new.parts.algebraic, exact)
    again = jax.jit(_try_step)(system, new, span, tolerances)
    assert (float(again.time), int(again.num_accepted)) == (94, 3)


@pytest.mark.parametrize(
    ("x", "size", "begins", "leaves"),
    [
        (1.001, 100.0, 0.9, True),
        (-1e-6, 100.0, 0.9, True),
        (0.999, 100.0, 0.9, False),
        (1.001, 0.5, 0.9, False),
        (1.002, 100.0, 1.001, False),
    ],
)
def test_a_long_step_that_leaves_the_domain_is_a_wrong_one(x, size, begins, leaves):
    """Short ones are taken, and those from outside: laws may lead there."""
    system, _ = make("current")
    columns = jnp.full((7, 6), 0.9)
    algebraic = jnp.full(system.topology.num_unknowns, 3.7)
    start = Parts(columns.at[-1, 3].set(begins), algebraic)
    tolerances = Tolerances(
        jnp.asarray(1e-3), jnp.asarray(1e-4), 50, diffelec.solver.RODAS4P2
    )
    still = (jnp.asarray(1e4), jnp.asarray(0.0), tolerances)
    loop = _empty(system, start, *still, record=False)
    new = Parts(columns.at[-1, 3].set(x), algebraic)
    no_error = jax.tree.map(jnp.zeros_like, new)
    norm = _norm(loop, jnp.asarray(size), (new, no_error), tolerances)
    assert float(norm) == (np.inf if leaves else 0.0)


def test_loose_discharges_end_where_the_potential_falls_steeply():
    """One of six left the interval (0, 1), or ended beside its cut-off, in a step that
    its estimate found good.
    """
    electrode = diffelec.presets.sharma2022()
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/20 until 4.3 V", "Discharge at C/20 until 3 V"]
    )
    laws = lambda e: (e.curves.conductivity.log10_values, e.curves.diffusivity)
    kappa, diffusivity = laws(electrode)
    shifts = np.random.default_rng(0).uniform([-0.5, -1.0], [0.5, 1.0], (60, 2))

    def run(shift):
        curve = eqx.tree_at(
            lambda c: c.log10_values,
            diffusivity,
            jnp.asarray(diffusivity.log10_values) + shift[1],
        )
        moved = eqx.tree_at(laws, electrode, (jnp.asarray(kappa) + shift[0], curve))
        found = diffelec.simulate(moved, protocol, rtol=1e-2, num_saved=2, throw=False)
        return found.failed_step

    failed = diffelec.batch(run, shifts)
    assert np.sum(np.asarray(failed) >= 0) <= 2
