"""Elimination on a known pattern, and the one function that it belongs to."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import graphs
from diffelec.solver import blocks
from diffelec.solver.elimination import Eliminated, plan_of
from diffelec.sums import added_up, largest, picked, total


def packing(count):
    centres, radii = graphs.random_packing(count, seed=2)
    return graphs.touching_spheres(
        centres, radii, contact_radius=0.5e-6, carbon_share=0.4, reach=0.1
    )


def doubled():
    """A ring of six with every edge twice: parallel edges, and fill."""
    names = [f"p{k}" for k in range(6)]
    ring = [(names[k], names[(k + 1) % 6]) for k in range(6)] * 2
    edges = [diffelec.edges.particle_contact(*pair, 0.5e-6) for pair in ring]
    top = diffelec.edges.carbon_contact("collector", "p0", 2e5)
    return diffelec.Network.from_edges([*edges, top], names)


NETWORKS = {"ring": doubled, "packing": lambda: packing(70)}


def shuffled(topology, seed=0):
    """Values of a block that need no pivoting, but for the current's row."""
    pattern = blocks.pattern_of(topology)
    rng = np.random.default_rng(seed)
    values = -rng.uniform(0.5, 1.5, pattern.rows.size)
    values[pattern.rows == pattern.columns] *= -8.0
    last = pattern.size - 1
    values[(pattern.rows == last) & (pattern.columns == last)] = 0.0
    return values


@pytest.mark.parametrize("name", NETWORKS)
def test_elimination_solves_what_a_dense_solve_does(name):
    topology = NETWORKS[name]().topology
    values = shuffled(topology)
    matrix = np.asarray(blocks.dense(topology, jnp.asarray(values)))
    assert matrix[-1, -1] == 0.0
    right = np.random.default_rng(1).normal(size=topology.num_unknowns)

    @jax.jit
    def solved(values, right):
        factors = Eliminated.of(topology, values)
        return factors.solve(right), factors.solve_transposed(right)

    there, back = solved(values, right)
    np.testing.assert_allclose(there, np.linalg.solve(matrix, right), rtol=1e-9)
    np.testing.assert_allclose(back, np.linalg.solve(matrix.T, right), rtol=1e-9)


def test_a_tree_fills_nothing_in():
    plan = plan_of(diffelec.presets.sharma2022().network.topology)
    assert len(plan.low) == 15 + 1  # its edges, and the current's at the collector
    assert plan.updates.shape == (4, 16)
    tree = plan_of(graphs.star(300).topology)
    assert len(tree.low) == len(graphs.star(300).topology.tail) + 1


def test_values_are_picked_and_added_up_at_places_that_repeat():
    at = np.array([2, 0, 2, 2, 1])
    values, numbers = jnp.asarray([3.0, 5.0, 7.0, 11.0]), jnp.arange(1.0, 6.0)
    np.testing.assert_array_equal(picked(values, at), [7, 3, 7, 7, 5])
    np.testing.assert_array_equal(added_up(numbers, at, 4), [2, 5, 8, 0])
    (back,) = jax.vjp(lambda v: picked(v, at), values)[1](numbers)
    np.testing.assert_array_equal(back, [2, 5, 8, 0])
    (back,) = jax.vjp(lambda n: added_up(n, at, 4), numbers)[1](values)
    np.testing.assert_array_equal(back, [7, 3, 7, 7, 5])


@pytest.mark.parametrize("name", NETWORKS)
def test_sums_over_edges_are_those_of_products(name):
    plain = NETWORKS[name]().topology
    looped = plain.in_vectors
    incidence = plain.incidence
    rng = np.random.default_rng(4)
    edges, nodes, sites = (
        jnp.asarray(rng.normal(size=size))
        for size in (plain.num_edges, plain.num_nodes, plain.num_sites)
    )
    np.testing.assert_allclose(looped.outflow(edges), incidence @ edges, atol=1e-14)
    np.testing.assert_allclose(looped.drop(nodes), nodes @ incidence, atol=1e-14)
    first = plain.first_site
    padded = np.concatenate([np.full(first, 0.5), sites])  # 0.5 on carbon
    ends = looped.at_ends(looped.filled(sites), elsewhere=0.5)
    np.testing.assert_array_equal(ends, padded[[plain.tail, plain.head]])
    back = looped.from_ends(edges, 2.0 * edges)
    want = np.zeros(plain.num_nodes)
    np.add.at(want, plain.tail, edges)
    np.add.at(want, plain.head, 2.0 * edges)
    np.testing.assert_allclose(back[: plain.num_sites], want[first:], atol=1e-14)
    np.testing.assert_array_equal(back[plain.num_sites :], 0.0)


@pytest.mark.parametrize("name", NETWORKS)
def test_one_function_and_the_plain_form_agree(name):
    """A single solve and gradient beside those of a batch, on networks with loops."""
    electrode = diffelec.presets.electrode_of(NETWORKS[name](), num_shells=5)
    hours = diffelec.Protocol.from_strings(["Charge at C/10 for 2 hours"])
    weights = jnp.arange(1.0, 1.0 + electrode.num_particles)

    def outcome(raw):
        moved = eqx.tree_at(
            lambda e: (e.network.shape_tail, e.radius),
            electrode,
            (
                jnp.exp(raw[0]) * electrode.network.shape_tail,
                jnp.exp(raw[1]) * electrode.radius,
            ),
        )
        found = diffelec.simulate(moved, hours, rtol=1e-4, num_saved=2)
        final = found.stoichiometry[-1]
        return weights @ final + found.voltage[-1], final

    both = jax.value_and_grad(outcome, has_aux=True)
    at = jnp.asarray([0.1, -0.05])
    (one, final), slope = jax.jit(both)(at)
    assert np.ptp(final) > 1e-3
    (lanes, finals), slopes = jax.jit(jax.vmap(both))(jnp.stack([at, at]))
    np.testing.assert_allclose(finals, np.stack([final, final]), atol=1e-9)
    np.testing.assert_allclose(lanes, [one, one], rtol=1e-9)
    np.testing.assert_allclose(slopes, np.stack([slope, slope]), rtol=1e-5)


def test_more_sites_than_a_reduction_may_have_are_solved_too():
    count = 4200
    electrode = diffelec.presets.electrode_of(graphs.star(count), num_shells=3)
    minutes = diffelec.Protocol.from_strings(["Charge at C/2 for 5 minutes"])
    found = diffelec.simulate(electrode, minutes, rtol=1e-3, num_saved=2, max_steps=99)
    moved = found.stoichiometry[0] - found.stoichiometry[-1]
    np.testing.assert_allclose(moved, electrode.one_c_range / 24, rtol=1e-5)


def test_reductions_of_thousands_are_those_of_numpy():
    values = np.random.default_rng(5).normal(size=5001)
    np.testing.assert_allclose(total(jnp.asarray(values)), values.sum(), rtol=1e-12)
    below = -1.0 - values**2
    for at in (0, 1500, 2500, 3500, 4500, 5000):
        assert largest(jnp.asarray(below).at[at].set(-0.5)) == -0.5


def test_plans_of_equal_networks_are_made_once():
    first, second = packing(20).topology, packing(20).topology
    assert first is not second
    assert plan_of(first) is plan_of(second)
