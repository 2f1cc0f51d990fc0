"""The Jacobian is exact, and the structured solve is the solve of that Jacobian."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.control import Control
from diffelec.edges import Edge
from diffelec.network import Network
from diffelec.protocol import (
    ConstantCurrent,
    ConstantPower,
    ConstantVoltage,
    CutOff,
    Protocol,
)
from diffelec.solver import DenseLU, Krylov, SparseLU, blocks
from diffelec.solver.blocks import Inverse
from diffelec.solver.consistent import consistent_algebraic
from diffelec.solver.elimination import Eliminated
from diffelec.solver.parts import Parts
from diffelec.solver.system import System

STEPS = {
    "current": ConstantCurrent(rate=0.05, end=CutOff(voltage=4.3)),
    "voltage": ConstantVoltage(4.1, CutOff(rate=0.02)),
    "power": ConstantPower(1e-9, CutOff(voltage=4.3)),
}


def make(step="current", **fields):
    """A system and a random state near which everything is curved."""
    electrode = diffelec.presets.sharma2022(
        obstructions=(0, 1, 2),
        num_shells=7,
        multiplicity=[1.0, 3.0, 2.0, 3.0, 2.0, 2.0],
        series_resistance=1e6,
        counter_exchange_current=1e-9,
        **fields,
    )
    protocol = Protocol.from_steps([STEPS[step]])
    electrode, protocol = jax.device_put((electrode, protocol))
    row = jax.tree.map(lambda leaf: leaf[0], protocol.rows)
    system = System.of(electrode, Control.of(electrode, row))
    rng = np.random.default_rng(3)
    columns = jnp.asarray(rng.uniform(0.85, 0.995, (7, 6)))
    nodes = jnp.asarray(rng.uniform(3.5, 3.9, system.topology.num_nodes))
    return system, Parts(columns, jnp.append(nodes, 0.04))


def cut(*, exchange=True, electrolyte=True, factors=None, at_surface=False):
    """A system of particles cut into sites, with an electrolyte that resists."""
    edges = [
        Edge("collector", "carbon", 1e6),
        Edge("carbon", "a/0", 2e6, 0.0, 1.5e4),
        Edge("a/0", "a/1", 0.0, 2e5, 3e5),
        Edge("a/2", "a/1", 1e5, 2.5e5, 1e5),
        Edge("a/1", "b/0", 0.0, 5e5, 4e5),
        Edge("b/1", "b/0", 0.0, 2e5, 2e5),
        Edge("c", "carbon", 3e6, 2e4, 0.0),
        Edge("c", "b/1", 0.0, 5e5, 5e5),
    ]
    sites = {
        "site_particle": [0, 0, 0, 1, 1, 2],
        "site_share": [0.5, 0.2, 0.3, 0.6, 0.4, 1.0],
    }
    if electrolyte:
        edges += [Edge("separator", "deep", 3e7), Edge("far", "deep", 2e7)]
        sites["electrolyte_labels"] = ["separator", "deep", "far"]
        sites["site_electrolyte"] = [0, 1, 1, 2, 2, 1]
    if exchange:
        sites |= {"exchange": [[0, 1], [2, 1], [4, 3]]}
        sites["exchange_shape"] = [4e-6, 7e-6, 3e-6]
    network = Network.from_edges(edges, ["a", "b", "c"], ["carbon"], **sites)
    electrode = diffelec.presets.electrode_of(
        network,
        radius=[5e-6, 4e-6, 6e-6],
        multiplicity=2.0,
        num_shells=6,
        conduct_at_surface=at_surface,
    )
    protocol = Protocol.from_steps([STEPS["current"]])
    electrode, protocol = jax.device_put((electrode, protocol))
    row = jax.tree.map(lambda leaf: leaf[0], protocol.rows)
    system = System.of(electrode, Control.of(electrode, row), factors=factors)
    rng = np.random.default_rng(4)
    columns = jnp.asarray(rng.uniform(0.6, 0.97, (6, 6)))
    unknowns = np.full(system.topology.num_unknowns, 0.04)
    unknowns[:8] = rng.uniform(3.6, 3.9, 8)
    unknowns[8:-1] = rng.uniform(-0.02, 0.02, len(unknowns) - 9)
    return system, Parts(columns, jnp.asarray(unknowns))


CUTS = {
    "cut": {},
    "no exchange": {"exchange": False},
    "uniform electrolyte": {"electrolyte": False},
    "kappa at the surface": {"at_surface": True},
}


def flat(parts):
    return jnp.concatenate([parts.columns.reshape(-1), parts.algebraic])


def dense_jacobian(system, state):
    size, shape = state.columns.size, state.columns.shape

    def right(y):
        return flat(system.residual(0.0, Parts(y[:size].reshape(shape), y[size:])))

    return np.asarray(jax.jit(jax.jacfwd(right))(flat(state)))


@functools.cache
def dense_of(name):
    """The Jacobian of a system of `CUTS`, whichever way solves its network."""
    return dense_jacobian(*cut(**CUTS[name]))


@pytest.mark.parametrize(
    ("step", "at_surface"),
    [("current", True), *((step, False) for step in STEPS)],
)
def test_jacobian_is_the_derivative_of_the_residual(step, at_surface):
    check_jacobian(*make(step, conduct_at_surface=at_surface))


@pytest.mark.parametrize("name", CUTS)
def test_jacobian_of_particles_cut_into_sites_is_exact(name):
    check_jacobian(*cut(**CUTS[name]))


product = jax.jit(lambda jacobian, v: jacobian.product(v))


def check_jacobian(system, state):
    jacobian = jax.jit(lambda s: system.jacobian(0.0, s))(state)
    exact = dense_jacobian(system, state)
    rng = np.random.default_rng(0)
    for _ in range(3):
        v = Parts(
            jnp.asarray(rng.normal(size=state.columns.shape)),
            jnp.asarray(rng.normal(size=state.algebraic.shape)),
        )
        got = np.asarray(flat(product(jacobian, v)))
        want = exact @ np.asarray(flat(v))
        scale = np.abs(exact) @ np.abs(np.asarray(flat(v)))
        assert np.all(np.isfinite(got))
        assert np.max(np.abs(got - want) / scale) < 1e-12


def test_structured_solve_and_its_transpose_solve_the_dense_matrix():
    system, state = make()
    check_solves(system, state, dense_jacobian(system, state), rtol=1e-8)


def test_spare_lanes_repeat_the_last_site_and_load_nothing():
    system, state = make()
    wide = system.with_loops()
    right = Parts(jnp.sin(jnp.arange(42.0)).reshape(7, 6), 1.0 + state.algebraic)
    muted = right._replace(columns=jnp.pad(right.columns, ((0, 0), (0, 2))))

    @jax.jit
    def solved(state, right, muted):
        plain = system.jacobian(0.0, state).factorised(1e-3)
        lanes = wide.jacobian(0.0, wide.filled(state)).factorised(1e-3)
        ways = (plain.solve, plain.solve_transposed)
        there, back = lanes.solve(wide.filled(right)), lanes.solve_transposed(muted)
        return [way(right) for way in ways], there, back

    want, there, back = solved(state, right, muted)
    assert there.columns.shape == (7, 8)
    for expected, found in zip(want, wide.own((there, back)), strict=True):
        np.testing.assert_allclose(flat(found), flat(expected), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(there.columns[:, 6:].T, there.columns[:, [5, 5]].T)
    np.testing.assert_array_equal(back.columns[:, 6:], 0.0)


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("kind", [Inverse, DenseLU, SparseLU, Krylov, Eliminated])
def test_every_way_to_solve_a_network_solves_it(kind, name):
    check_solves(*cut(factors=kind, **CUTS[name]), dense_of(name), rtol=1e-7)


def check_solves(system, state, exact, rtol):
    shift = jnp.asarray(1e-3)
    size = state.columns.size
    mass = np.diag(np.r_[np.ones(size), np.zeros(state.algebraic.size)])
    matrix = 1e-3 * mass - exact
    right = jnp.asarray(np.random.default_rng(1).normal(size=matrix.shape[0]))

    def unflat(y):
        return Parts(y[:size].reshape(state.columns.shape), y[size:])

    def solve(r):
        return flat(system.jacobian(0.0, state).solver(shift)(unflat(r)))

    @jax.jit
    def there_and_back(r):
        found, pull = jax.vjp(solve, r)
        return found, pull(r)[0]

    got, back = there_and_back(right)
    assert np.all(np.isfinite(got))
    np.testing.assert_allclose(got, np.linalg.solve(matrix, right), rtol=rtol)
    np.testing.assert_allclose(back, np.linalg.solve(matrix.T, right), rtol=rtol)


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("held", [4.1, None])
def test_potentials_of_cut_particles_solve_the_network(held, name):
    system, state = cut(**CUTS[name])
    if held is not None:
        row = Protocol.from_steps([STEPS["voltage"]]).rows
        row = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), row)
        system = dataclasses.replace(system, control=Control.of(system.electrode, row))
    columns = 0.999 - 0.3 * (0.97 - state.columns)
    start = jnp.zeros_like(state.algebraic).at[:8].set(3.7)

    @jax.jit
    def solved(columns, start):
        found = consistent_algebraic(system, 0.0, columns, start)
        return found, system.balance(0.0, columns, found.algebraic)

    found, rows = solved(columns, start)
    assert bool(found.found)
    assert np.max(np.abs(rows)) < 1e-10
    if system.topology.separator is not None:
        assert abs(found.algebraic[system.topology.separator]) < 1e-14


def test_a_way_to_solve_is_chosen_by_size():
    small, _ = cut()
    assert small.network_factors is Inverse
    hundreds = diffelec.graphs.star(100).topology
    assert blocks.chosen(hundreds) is DenseLU
    assert blocks.chosen(diffelec.graphs.star(1000).topology) is SparseLU


def test_a_singular_network_gives_nan_and_not_an_exception():
    topology = diffelec.graphs.star(3).topology
    values = jnp.zeros(blocks.pattern_of(topology).rows.size)
    found = SparseLU.of(topology, values).solve(jnp.ones(topology.num_unknowns))
    assert np.all(np.isnan(found))


def test_factors_that_gave_way_to_later_ones_are_made_again(monkeypatch):
    monkeypatch.setattr(blocks, "_KEPT", 1)
    system, state = cut(factors=SparseLU)
    first, second = (
        system.jacobian(0.0, state).factorised(shift) for shift in (1e-3, 1e-2)
    )
    right = jnp.ones_like(state.algebraic)
    now = np.asarray(second.network.solve(right))
    again = np.asarray(first.network.solve(right))
    assert np.all(np.isfinite(again))
    assert not np.allclose(now, again)
    want = DenseLU.of(system.topology, first.network.values).solve(right)
    np.testing.assert_allclose(again, want, rtol=1e-9)


def test_derivative_of_a_solve_is_that_of_the_linear_system():
    system, state = make()
    right = Parts(jnp.ones_like(state.columns), jnp.ones_like(state.algebraic))

    def total(scale):
        moved = Parts(state.columns * scale, state.algebraic)
        found = system.jacobian(0.0, moved).solver(jnp.asarray(1e-3))(right)
        return jnp.sum(found.columns) + jnp.sum(found.algebraic)

    exact = jax.jit(lambda s: jax.jvp(total, (s,), (1.0,))[1])(1.0)
    step, total_of = 1e-6, jax.jit(total)
    difference = (total_of(1.0 + step) - total_of(1.0 - step)) / (2 * step)
    assert np.isfinite(exact)
    np.testing.assert_allclose(exact, difference, rtol=1e-5)
    back = jax.jit(jax.grad(total))(1.0)
    np.testing.assert_allclose(back, exact, rtol=1e-9)


def test_gauss_jordan_inverts_a_diagonally_dominant_matrix():
    rng = np.random.default_rng(2)
    matrix = rng.normal(size=(9, 9)) + 12 * np.eye(9)
    got = np.asarray(blocks.gauss_jordan(jnp.asarray(matrix)))
    np.testing.assert_allclose(got @ matrix, np.eye(9), atol=1e-13)
