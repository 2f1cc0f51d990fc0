"""Consistent potentials are found from any guess, in every kind of control."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffelec.solver.consistent import consistent_algebraic
from diffelec.solver.parts import Parts
from diffelec.solver.settled import begun
from tests.solver.test_bordered import make


@pytest.mark.parametrize("step", ["current", "voltage"])
def test_search_converges_from_any_guess(step):
    system, _ = make(step)
    solve = jax.jit(consistent_algebraic)
    balance = jax.jit(lambda x, z: system.balance(0.0, x, z))
    rng = np.random.default_rng(5)
    answers = []
    for spread in (0.0, 0.1, 1.0, 10.0):
        for x in (0.5, 0.9, 0.999):
            columns = jnp.full((7, 6), x)
            guess = 3.7 + spread * rng.normal(size=system.topology.num_nodes + 1)
            found = solve(system, 0.0, columns, jnp.asarray(guess))
            rows = balance(columns, found.algebraic)
            assert bool(found.found)
            assert float(jnp.max(jnp.abs(rows))) < 1e-9
            answers.append(np.asarray(found.algebraic))
    answers = np.stack(answers).reshape(4, 3, -1)
    np.testing.assert_allclose(answers, answers[:1] + 0 * answers, atol=1e-8)


def test_derivative_of_the_potentials_is_that_of_the_equations():
    system, _ = make("current")
    guess = jnp.append(jnp.full(system.topology.num_nodes, 3.7), 0.0)

    @jax.jit
    def voltage(x):
        columns = jnp.full((7, 6), x)
        found = consistent_algebraic(system, 0.0, columns, guess).algebraic
        return begun(system, Parts(columns, found), 0.0).algebraic[0]

    exact = jax.jit(jax.grad(voltage))(0.97)
    difference = (voltage(0.97 + 1e-6) - voltage(0.97 - 1e-6)) / 2e-6
    assert np.isfinite(exact)
    np.testing.assert_allclose(exact, difference, rtol=1e-6)
