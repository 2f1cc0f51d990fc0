r"""The derivative of a step's end, on the network's equations and on its cut-off.

Potentials come out of a time step with its error, e. At the end of a march the next
step solves for them again, at the columns alone: what e did to the columns' derivative
is then multiplied by dU/dx, which is 2000 V where a cathode is full. So derivatives are
taken with potentials z(x) that solve the balances b(t, x, z) = 0, and the cut-off
g(z(x)) = 0 is kept along the columns' rates,

$$ dz = -b_z^{-1}(b_x dx + b_p dp + b_t dt), \quad
   dt_{end} = -dg / \dot g, \quad dx \mathrel{+}= \dot x\, dt_{end} $$

Values are left as they are.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from .accepted import AT_EVENT, Marched, watch
from .parts import Parts
from .system import System


@eqx.filter_custom_jvp
def settled(system: System, marched: Marched) -> Marched:
    """The march; its derivative has the end on the network and on the cut-off."""
    return marched


@settled.def_jvp
def _settled_jvp(primals, tangents):
    _, moving = eqx.filter_jvp(_corrected, primals, tangents)
    return primals[1], moving


def _corrected(system: System, marched: Marched) -> Marched:
    """The march with terms at its end that are 0, but not their derivative."""
    frozen = jax.lax.stop_gradient
    time, (columns, algebraic) = marched.duration, frozen(marched.parts)
    conductance = system.conductance_at(columns)
    still = frozen(system)
    _, block = still.network_rows(frozen(time), columns, frozen(conductance), algebraic)
    solve = still.network_solve(still.prepared(block))
    rates = frozen(system.residual(time, Parts(columns, algebraic)).columns)

    def potentials(time, columns):
        off = solve(system.balance(time, columns, algebraic))
        return algebraic - (off - frozen(off))

    def margin(time, columns):
        return system.margin(potentials(time, columns))

    along = (jnp.ones_like(time), rates)
    _, slope = jax.jvp(margin, (frozen(time), columns), along)
    columns = marched.parts.columns
    gap, slope = margin(time, columns), frozen(slope)
    moves = (marched.status == AT_EVENT) & (slope != 0)
    later = jnp.where(moves, (frozen(gap) - gap) / jnp.where(moves, slope, 1.0), 0.0)
    time, columns = time + later, columns + rates * later
    parts = Parts(columns, potentials(time, columns))
    last = marched.num_accepted - 1
    rows = marched.rows._replace(
        time=_put(marched.rows.time, last, time),
        seen=_put(marched.rows.seen, last, watch(system, parts)),
    )
    return marched._replace(parts=parts, duration=time, rows=rows)


def _put(rows, last, value):
    """Rows with the last one replaced, where there is one."""
    return jnp.where(last < 0, rows, rows.at[jnp.maximum(last, 0)].set(value))
