"""Observed orders: of the step, of its dense output, of the mesh."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from diffelec.columns import RadialMesh
from diffelec.solver import RODAS4P2, RODAS5P
from diffelec.solver.parts import Parts
from diffelec.solver.rosenbrock import (
    evaluate_polynomial,
    higher_coefficients,
    rosenbrock_step,
)


class Driven(eqx.Module):
    """A nonlinear index-1 problem driven by time in both rows, with known solution.

    y' = Y' - 2 (y^2 - Y^2) + (z - Z),  0 = y z - Y Z + (z^3 - Z^3)/10,
    Y = 2 + sin t, Z = 2 + cos(t/2).
    """

    def exact(self, t):
        return jnp.array([2 + jnp.sin(t), 2 + jnp.cos(0.5 * t)])

    def _right(self, t, v):
        big = self.exact(t)
        slope = jax.jvp(self.exact, (t,), (jnp.ones_like(t),))[1]
        f = slope[0] - 2 * (v[0] ** 2 - big[0] ** 2) + (v[1] - big[1])
        g = v[0] * v[1] - big[0] * big[1] + 0.1 * (v[1] ** 3 - big[1] ** 3)
        return jnp.array([f, g])

    def made_once(self, tree):
        return tree

    def residual(self, t, state):
        out = self._right(t, jnp.array([state.columns[0, 0], state.algebraic[0]]))
        return Parts(out[:1, None], out[1:])

    def time_slope(self, t, state):
        v = jnp.array([state.columns[0, 0], state.algebraic[0]])
        out = jax.jvp(lambda s: self._right(s, v), (t,), (jnp.ones_like(t),))[1]
        return Parts(out[:1, None], out[1:])

    def jacobian(self, t, state):
        v = jnp.array([state.columns[0, 0], state.algebraic[0]])
        return DenseJacobian(jax.jacfwd(lambda u: self._right(t, u))(v))


class DenseJacobian(eqx.Module):
    """A 2 x 2 Jacobian with the interface of the bordered one."""

    matrix: jax.Array

    def off(self, imbalance):
        return jnp.abs(imbalance[0] / self.matrix[1, 1])

    def solver(self, shift):
        w = shift * jnp.diag(jnp.array([1.0, 0.0])) - self.matrix

        def solve(r):
            out = jnp.linalg.solve(w, jnp.array([r.columns[0, 0], r.algebraic[0]]))
            return Parts(out[:1, None], out[1:])

        return solve


def as_vector(parts):
    return jnp.array([parts.columns[0, 0], parts.algebraic[0]])


def march(tableau, count):
    """Errors at the end and of the dense output, with `count` steps over [0, 2]."""
    system, h = Driven(), 2.0 / count
    start = system.exact(0.0)
    state = Parts(start[:1, None], start[1:])

    def advance(state, k):
        t = k * h
        new, _, dense, _ = rosenbrock_step(system, tableau, t, h, state)
        seen = [
            evaluate_polynomial(
                as_vector(state),
                as_vector(new),
                higher_coefficients(jax.vmap(as_vector)(dense)),
                theta,
            )
            - system.exact(t + theta * h)
            for theta in (0.3, 0.6)
        ]
        return new, jnp.max(jnp.abs(jnp.stack(seen)))

    state, inside = jax.lax.scan(advance, state, jnp.arange(count) * 1.0)
    return jnp.max(jnp.abs(as_vector(state) - system.exact(2.0))), jnp.max(inside)


def slopes(errors):
    errors = np.asarray(errors)
    assert np.all(np.isfinite(errors))
    return np.log2(errors[:-1] / errors[1:])


@pytest.mark.parametrize(("tableau", "dense"), [(RODAS4P2, 3), (RODAS5P, 4)])
def test_step_and_dense_output_have_their_order_on_a_driven_problem(tableau, dense):
    counts = [32, 64, 128, 256]
    ends, insides = zip(*(march(tableau, n) for n in counts), strict=True)
    assert slopes(ends)[-1] == pytest.approx(tableau.order, abs=0.15)
    assert slopes(insides)[-1] > dense - 0.15


def diffusion_error(num_shells):
    """Error of the surface for x_t = lap x with flux 1 at the surface, at t = 0.1.

    Time is integrated exactly (matrix exponential), so only the mesh errs. Exact:
    Crank, The Mathematics of Diffusion, 1975, eq. 6.45.
    """
    mesh = RadialMesh(num_shells)
    operator = mesh.divergence @ mesh.differences
    load = np.zeros(num_shells)
    load[-1] = 1.0 / mesh.volumes[-1]
    block = np.zeros((num_shells + 1, num_shells + 1))
    block[:-1, :-1], block[:-1, -1] = operator, load
    found = scipy.linalg.expm(0.1 * block)[:-1, -1]
    return abs(found[-1] - crank_surface(0.1))


def crank_surface(time, terms=200):
    """Rise at the surface of a unit sphere under unit flux at a time."""
    roots = sphere_roots(terms)
    series = np.sum(np.exp(-(roots**2) * time) / roots**2)
    return 3 * time + 0.2 - 2 * series


def sphere_roots(terms):
    """Positive roots of tan a = a."""
    guess = (np.arange(1, terms + 1) + 0.5) * np.pi
    for _ in range(50):
        guess = np.arctan(guess) + np.arange(1, terms + 1) * np.pi
    return guess


def test_mesh_converges_at_second_order():
    errors = [diffusion_error(n) for n in (20, 40, 80, 160)]
    assert slopes(errors)[-1] == pytest.approx(2.0, abs=0.15)
