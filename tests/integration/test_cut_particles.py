"""Particles cut into sites, an electrolyte that resists, sparse networks."""

import operator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import graphs, stretches
from diffelec.edges import Edge, carbon_contact, wire
from diffelec.solver import DenseLU, Krylov, SparseLU, accepted

CHARGE = diffelec.Protocol.from_strings(["Charge at C/20 for 6 hours"])
NO_CONTACT = 1e30  # 1/m: passes less than rounding
SITES = {
    "site_particle": [0, 0, 0],
    "site_share": [0.5, 0.3, 0.2],
    "exchange": [[0, 1], [1, 2]],
    "exchange_shape": [9e-6, 6e-6],
}


def one_particle(shapes, *, electrolyte=1e-3, **fields):
    """A particle of three sites in an electrolyte of some resistance (ohm); carbon on
    them by constrictions of some shape (1/m). All share one topology, and its code.
    """
    edges = [
        carbon_contact("collector", f"p/{k}", shape) for k, shape in enumerate(shapes)
    ]
    edges += [Edge("p/0", "p/1", 0.0, 6e4, 6e4), Edge("p/1", "p/2", 0.0, 9e4, 9e4)]
    edges += [wire("separator", "deep", electrolyte)]
    sites = SITES | {"electrolyte_labels": ["separator", "deep"]}
    sites |= {"site_electrolyte": [1, 1, 1]}
    network = diffelec.Network.from_edges(edges, ["p"], **sites)
    return diffelec.presets.electrode_of(network, num_shells=8, **fields)


def coated(**fields):
    """Carbon all around, as resistive in all as the preset's single particle."""
    shape = graphs.DEFAULT_CARBON_SHAPE
    return one_particle([shape / share for share in SITES["site_share"]], **fields)


def test_a_particle_coated_evenly_is_as_one_of_one_site():
    whole = diffelec.presets.single_particle(num_shells=8)
    one = diffelec.simulate(whole, CHARGE, rtol=1e-6)
    cut = diffelec.simulate(coated(), CHARGE, rtol=1e-6)
    assert np.all(np.isfinite(cut.voltage))
    np.testing.assert_allclose(cut.voltage, one.voltage, atol=2e-6)
    np.testing.assert_allclose(cut.stoichiometry, one.stoichiometry, atol=1e-7)
    spread = np.ptp(cut.site_stoichiometry, axis=1)
    assert np.max(spread) < 1e-9


def test_one_function_and_the_plain_form_solve_cut_particles_alike():
    electrode = one_particle([3e4, 6e4, NO_CONTACT])
    settings = {"rtol": 1e-5, "num_saved": 21}
    one, plain = (
        diffelec.simulate(electrode, CHARGE, network_solver=kind, **settings)
        for kind in (None, DenseLU)
    )
    assert np.max(np.ptp(one.site_stoichiometry, axis=1)) > 0.01
    np.testing.assert_array_equal(one.num_steps, plain.num_steps)
    for name in ("voltage", "site_stoichiometry", "potentials"):
        want = getattr(plain, name)
        np.testing.assert_allclose(getattr(one, name), want, rtol=1e-8, atol=1e-9)


def test_lithium_that_sites_exchange_stays_in_the_particle():
    """Fed at one site only: the charge is that of the lithium that left."""
    electrode = one_particle([3e4, NO_CONTACT, NO_CONTACT])
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/20 for 6 hours", "Rest for 10 hours"]
    )
    found = diffelec.simulate(electrode, protocol, rtol=1e-5)
    current = float(electrode.one_c_current) / 20
    charge, rest = np.asarray(found.step_capacities)
    np.testing.assert_allclose(charge, current * 6 * 3600, rtol=1e-10)
    assert abs(rest) < 1e-12 * charge
    spread = np.ptp(np.asarray(found.site_stoichiometry), axis=1)
    mean = np.asarray(found.stoichiometry)[:, 0]
    assert np.max(spread) > 0.03
    assert spread[-1] < 0.8 * spread[101]
    np.testing.assert_allclose(mean[101:], mean[101], rtol=1e-12)


def test_exchange_brings_means_together_as_its_shape_says():
    r"""Without reactions, conduction or gradients: d(x1 - x2)/dt = -S D (1/V1 + 1/V2)
    (x1 - x2) for two sites and a constant D, from what a charge of one of them left.
    """
    constant = diffelec.curves.ConstantCurve
    diffusivity, shape = 1e-9, 3e-10
    curves = diffelec.Curves(
        conductivity=constant(1e-9, unit="S/m"),
        diffusivity=constant(diffusivity, unit="m2/s"),
        rate_constant=constant(1e-13, unit="m/s"),
        open_circuit_potential=diffelec.open_circuit.LinearPotential(4.7, 1.0),
    )
    network = diffelec.Network.from_edges(
        [wire("collector", "p/0", 1.0), Edge("p/0", "p/1", 1e25)],
        ["p"],
        site_particle=[0, 0],
        site_share=[0.4, 0.6],
        exchange=[[0, 1]],
        exchange_shape=[shape],
    )
    electrode = diffelec.presets.electrode_of(
        network, curves, initial_stoichiometry=0.9, num_shells=6
    )
    protocol = diffelec.Protocol.from_strings(
        ["Charge at 1C for 6 minutes", "Rest for 1 hour"]
    )
    found = diffelec.simulate(electrode, protocol, rtol=1e-7)
    x, time = np.asarray(found.site_stoichiometry)[101:], np.asarray(found.time)[101:]
    volume = float(electrode.particle_volume[0]) * np.array([0.4, 0.6])
    rate = shape * diffusivity * np.sum(1 / volume)
    want = np.exp(-rate * (time - time[0])) * (x[0, 1] - x[0, 0])
    assert x[0, 1] - x[0, 0] > 0.02
    assert 0.5 < rate * 3600 < 20
    np.testing.assert_allclose(x[:, 1] - x[:, 0], want, atol=2e-6)


def test_an_electrolyte_that_resists_is_a_resistance_in_series():
    resistance = 3e9  # ohm: 3 mV
    through = diffelec.simulate(coated(electrolyte=resistance), CHARGE, rtol=3e-7)
    inside = diffelec.simulate(coated(series_resistance=resistance), CHARGE, rtol=3e-7)
    assert np.all(np.isfinite(through.voltage))
    np.testing.assert_allclose(through.voltage, inside.voltage, atol=2e-6)
    drop = through.potentials[1:, -1] - through.potentials[1:, -2]
    np.testing.assert_allclose(drop, through.current[1:] * resistance, rtol=1e-9)


@pytest.fixture(scope="module")
def packed():
    """Forty spheres that touch, half of them on carbon."""
    centres, radii = graphs.random_packing(40, seed=1)
    network = graphs.touching_spheres(
        centres, radii, contact_radius=0.5e-6, carbon_share=0.5, reach=0.1
    )
    return diffelec.presets.electrode_of(network, radius=radii, num_shells=8)


def test_sparse_and_dense_networks_give_one_solution(packed):
    dense, sparse = (
        diffelec.simulate(packed, CHARGE, rtol=1e-4, num_saved=21, network_solver=kind)
        for kind in (DenseLU, SparseLU)
    )
    assert np.all(np.isfinite(sparse.voltage))
    np.testing.assert_array_equal(sparse.num_steps, dense.num_steps)
    for name in ("voltage", "site_stoichiometry", "potentials"):
        one, other = getattr(dense, name), getattr(sparse, name)
        # Rounding, which sizes of steps that follow their errors make larger.
        np.testing.assert_allclose(other, one, atol=3e-8)


def test_iterations_give_the_solution_of_factors(packed):
    settings = {"rtol": 1e-4, "num_saved": 21}
    dense, iterated = (
        diffelec.simulate(packed, CHARGE, network_solver=kind, **settings)
        for kind in (DenseLU, Krylov)
    )
    assert np.all(np.isfinite(iterated.voltage))
    np.testing.assert_allclose(iterated.voltage, dense.voltage, atol=1e-5)
    x, y = iterated.site_stoichiometry, dense.site_stoichiometry
    np.testing.assert_allclose(x, y, atol=1e-5)


MOVED = {
    "network.exchange_shape": [1.0, -0.5],
    "network.shape_tail": [0.3] * 6,
    "network.series_resistance": [0.7] * 6,
    "temperature": 0.2,
}


def fed_at_one_site():
    """(numbers of an electrode whose sites drift apart, a loss of them)."""
    electrode = one_particle(
        [3e4, NO_CONTACT, NO_CONTACT], electrolyte=3e9, counter_exchange_current=1e-9
    )
    electrode = jax.tree.map(jnp.asarray, electrode)
    floats, rest = eqx.partition(electrode, eqx.is_inexact_array)

    def loss(floats, **settings):
        found = diffelec.simulate(
            eqx.combine(floats, rest), CHARGE, num_saved=5, **settings
        )
        halfway = found.site_stoichiometry[2]  # where they are furthest apart
        return jnp.sum(found.voltage) + jnp.sum(halfway**2 * jnp.arange(3.0))

    return floats, loss


def directions(floats):
    """Tangents of the logarithms that `MOVED` names, one by one."""
    zeros = jax.tree.map(jnp.zeros_like, floats)
    for name, weights in MOVED.items():
        place = operator.attrgetter(name)
        yield eqx.tree_at(place, zeros, place(floats) * jnp.asarray(weights))


def inner(a, b):
    return sum(jax.tree.leaves(jax.tree.map(lambda a, b: jnp.sum(a * b), a, b)))


def test_gradients_reach_exchange_electrolyte_and_contacts():
    floats, loss = fed_at_one_site()
    value = jax.jit(lambda floats: loss(floats, rtol=1e-8, network_solver=SparseLU))
    slope, step = jax.jit(jax.grad(value))(floats), 1e-3
    for direction in directions(floats):
        up, down = (
            value(jax.tree.map(lambda a, d, by=by: a + by * d, floats, direction))
            for by in (step, -step)
        )
        exact = inner(slope, direction)
        assert abs(exact) > 1e-3
        np.testing.assert_allclose(exact, (up - down) / (2 * step), rtol=1e-3)


def test_the_way_back_of_cut_particles_is_the_transpose_of_the_way_there():
    """At a loose tolerance: at a tight one a solve that leaves something out does no
    harm that could be seen.
    """
    floats, loss = fed_at_one_site()
    value = lambda floats: loss(floats, rtol=1e-3)
    slope = jax.jit(jax.grad(value))(floats)
    along = jax.jit(lambda direction: jax.jvp(value, (floats,), (direction,))[1])
    for direction in directions(floats):
        np.testing.assert_allclose(inner(slope, direction), along(direction), rtol=1e-9)


def test_lanes_of_a_batch_have_factors_of_their_own(packed):
    radii = jnp.stack([packed.radius, 1.05 * packed.radius])
    settings = {"rtol": 1e-3, "num_saved": 21, "network_solver": SparseLU}

    def end(radius):
        electrode = eqx.tree_at(lambda e: e.radius, packed, radius)
        return diffelec.simulate(electrode, CHARGE, **settings).voltage

    found = jax.jit(jax.vmap(end))(radii)
    alone = jnp.stack([end(radius) for radius in radii])
    assert np.all(np.isfinite(found))
    assert not np.allclose(found[0], found[1], atol=1e-6)
    # Not the same arithmetic, so that a step may be tried twice in one of them.
    np.testing.assert_allclose(found, alone, atol=1e-4)


def test_stretches_of_a_step_make_up_the_step(packed, monkeypatch):
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/10 until 4.2 V", "Hold at 4.2 V for 1 hour"]
    )
    settings = {"rtol": 1e-5, "network_solver": DenseLU, "num_saved": 21}
    whole = diffelec.simulate(packed, protocol, **settings)
    monkeypatch.setattr(stretches, "suit", lambda topology: True)
    monkeypatch.setattr(stretches, "_LENGTH", 70)
    parts = diffelec.simulate(packed, protocol, **settings)
    assert int(parts.num_steps[0].sum()) > 3 * 70
    assert parts.tracks.value.dtype == np.float64  # single is for thousands of sites
    assert (parts.tracks.time.shape[1] - 1) % 70 == 0  # so that few lengths occur
    np.testing.assert_allclose(parts.step_end_times, whole.step_end_times, rtol=1e-4)
    charges = (parts.step_capacities[0], whole.step_capacities[0])
    np.testing.assert_allclose(*charges, rtol=1e-4)
    np.testing.assert_allclose(parts.voltage, whole.voltage, atol=1e-3)
    one, other = whole.change_times(0), parts.change_times(0)
    reacted = np.isfinite(one)
    assert reacted.sum() > 10
    np.testing.assert_array_equal(np.isfinite(other), reacted)
    np.testing.assert_allclose(other[reacted], one[reacted], rtol=1e-3)
    monkeypatch.setattr(accepted, "MANY_SITES", 10)  # lines, but for means and the cell
    monkeypatch.setattr(stretches, "_LENGTH", 71)  # or there would be no code of theirs
    lines = diffelec.simulate(packed, protocol, **settings)
    bent = packed.network.topology.num_sites + 2
    assert lines.tracks.higher.shape[-1] == bent < parts.tracks.higher.shape[-1]
    np.testing.assert_allclose(lines.change_times(0)[reacted], one[reacted], rtol=1e-3)
    surface = whole.site_change_times(0, 0.1)
    seen = np.isfinite(surface)
    found = lines.site_change_times(0, 0.1)
    np.testing.assert_allclose(found[seen], surface[seen], rtol=1e-2)
    np.testing.assert_allclose(lines.voltage, parts.voltage, atol=1e-5)
    np.testing.assert_allclose(lines.current, parts.current, rtol=1e-4)
    monkeypatch.setattr(stretches, "_LENGTH", 70)
    few = diffelec.simulate(packed, protocol, throw=False, max_steps=100, **settings)
    assert "max_steps" in few.message()
    monkeypatch.setattr(stretches, "_MOST_STEPS", 100)
    many = diffelec.simulate(packed, protocol, **settings)  # their default is another
    np.testing.assert_array_equal(many.num_steps, parts.num_steps)
