"""The Jacobian is exact, and the structured solve is the solve of that Jacobian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.control import Control
from diffelec.protocol import (
    ConstantCurrent,
    ConstantPower,
    ConstantVoltage,
    CutOff,
    Protocol,
)
from diffelec.solver import bordered
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
    electrode, protocol = jax.tree.map(jnp.asarray, (electrode, protocol))
    row = jax.tree.map(lambda leaf: leaf[0], protocol.rows)
    system = System.of(electrode, Control(row))
    rng = np.random.default_rng(3)
    columns = jnp.asarray(rng.uniform(0.85, 0.995, (7, 6)))
    nodes = jnp.asarray(rng.uniform(3.5, 3.9, system.topology.num_nodes))
    return system, Parts(columns, jnp.append(nodes, 0.04))


def flat(parts):
    return jnp.concatenate([parts.columns.reshape(-1), parts.algebraic])


def dense_jacobian(system, state):
    size, shape = state.columns.size, state.columns.shape

    def right(y):
        return flat(system.residual(0.0, Parts(y[:size].reshape(shape), y[size:])))

    return jax.jit(jax.jacfwd(right))(flat(state))


@pytest.mark.parametrize(
    ("step", "at_surface"),
    [("current", True), *((step, False) for step in STEPS)],
)
def test_jacobian_is_the_derivative_of_the_residual(step, at_surface):
    system, state = make(step, conduct_at_surface=at_surface)
    jacobian = jax.jit(lambda s: system.jacobian(0.0, s))(state)
    exact = np.asarray(dense_jacobian(system, state))
    rng = np.random.default_rng(0)
    for _ in range(3):
        v = Parts(
            jnp.asarray(rng.normal(size=state.columns.shape)),
            jnp.asarray(rng.normal(size=state.algebraic.shape)),
        )
        got = np.asarray(flat(jacobian.product(v)))
        want = exact @ np.asarray(flat(v))
        scale = np.abs(exact) @ np.abs(np.asarray(flat(v)))
        assert np.all(np.isfinite(got))
        assert np.max(np.abs(got - want) / scale) < 1e-12


@pytest.mark.parametrize("limit", [0, 64])
def test_structured_solve_and_its_transpose_solve_the_dense_matrix(limit, monkeypatch):
    monkeypatch.setattr(bordered, "INVERT_UP_TO", limit)
    system, state = make()
    shift = jnp.asarray(1e-3)
    size = state.columns.size
    mass = np.diag(np.r_[np.ones(size), np.zeros(state.algebraic.size)])
    matrix = 1e-3 * mass - np.asarray(dense_jacobian(system, state))
    right = jnp.asarray(np.random.default_rng(1).normal(size=matrix.shape[0]))

    def unflat(y):
        return Parts(y[:size].reshape(state.columns.shape), y[size:])

    def solve(r):
        return flat(system.jacobian(0.0, state).solver(shift)(unflat(r)))

    got = np.asarray(jax.jit(solve)(right))
    assert np.all(np.isfinite(got))
    np.testing.assert_allclose(got, np.linalg.solve(matrix, right), rtol=1e-8)
    back = np.asarray(jax.jit(lambda r: jax.vjp(solve, r)[1](r)[0])(right))
    np.testing.assert_allclose(back, np.linalg.solve(matrix.T, right), rtol=1e-8)


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
    got = np.asarray(bordered.gauss_jordan(jnp.asarray(matrix)))
    np.testing.assert_allclose(got @ matrix, np.eye(9), atol=1e-13)
