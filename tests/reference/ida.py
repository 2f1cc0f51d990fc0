"""An independent integrator on the same residual: SUNDIALS IDA (scikit-sundae)."""

import jax
import jax.numpy as jnp
import numpy as np
from sksundae.ida import IDA

from diffelec.control import Control
from diffelec.solver.consistent import consistent_algebraic
from diffelec.solver.parts import Parts
from diffelec.solver.system import System


def system_of(electrode, protocol, step: int = 0) -> System:
    """The system of one protocol step."""
    electrode, protocol = jax.device_put((electrode, protocol))
    row = jax.tree.map(lambda leaf: leaf[step], protocol.rows)
    return System.of(electrode, Control.of(electrode, row, protocol.drive))


def initial_columns(electrode):
    shape = (electrode.mesh.num_shells, electrode.num_particles)
    return jnp.broadcast_to(jnp.asarray(electrode.initial_stoichiometry), shape)


def start_of(system: System) -> Parts:
    """A consistent state at the start."""
    columns = initial_columns(system.electrode)
    nodes = jnp.full(system.topology.num_nodes, 3.7)
    found = consistent_algebraic(
        system, 0.0, columns, jnp.concatenate([nodes, jnp.zeros(1)])
    )
    assert bool(found.found)
    return Parts(columns, found.algebraic)


def solve_by_ida(system: System, times, rtol: float, atol: float):
    """(stoichiometry (time, particle), surface (time, particle), voltage (time,))."""
    return solver_of(system, times, rtol, atol)()[:3]


def solver_of(system: System, times, rtol: float, atol: float):
    """A call that gives these, and the number of steps."""
    start = start_of(system)
    shape, size = start.columns.shape, start.columns.size

    def unpack(y):
        return Parts(y[:size].reshape(shape), y[size:])

    def flat(parts):
        return jnp.concatenate([parts.columns.reshape(-1), parts.algebraic])

    right = jax.jit(lambda t, y: flat(system.residual(t, unpack(y))))
    slope = jax.jit(jax.jacfwd(lambda y: flat(system.residual(0.0, unpack(y)))))
    differential = np.arange(size)

    def residual(t, y, yp, res):
        res[:] = np.asarray(right(t, y))
        res[differential] -= yp[differential]

    def jacobian(t, y, yp, res, cj, jac):
        jac[:] = np.asarray(slope(y))
        jac[differential, differential] -= cj

    y0 = np.asarray(flat(start))
    yp0 = np.asarray(right(0.0, y0)).copy()
    yp0[size:] = 0.0

    def solve():
        solver = IDA(
            residual,
            jacfn=jacobian,
            algebraic_idx=np.arange(size, y0.size),
            rtol=rtol,
            atol=atol,
            max_num_steps=100000,
            calc_initcond="yp0",
            calc_init_dt=1e-3,
        )
        found = solver.solve(np.asarray(times, float), y0, yp0)
        assert found.success, found.message
        columns = found.y[:, :size].reshape(-1, *shape)
        means = np.einsum("k,tkp->tp", system.electrode.mesh.weights, columns)
        return means, columns[:, -1], found.y[:, size], found.nfev

    return solve
