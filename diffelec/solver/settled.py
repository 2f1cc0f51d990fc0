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
    time, columns, algebraic = marched.duration, *frozen(marched.parts)
    rates, along, solve = _flow(*frozen((system, time)), Parts(columns, algebraic))
    columns = marched.parts.columns
    off = system.balance(time, columns, algebraic)
    algebraic = algebraic - solve(off - frozen(off))
    gap = system.margin(algebraic)
    _, slope = jax.jvp(frozen(system).margin, (frozen(algebraic),), (along,))
    moves = (marched.status == AT_EVENT) & (slope != 0)
    later = jnp.where(moves, (frozen(gap) - gap) / jnp.where(moves, slope, 1.0), 0.0)
    time = time + later
    parts = Parts(columns + rates * later, algebraic + along * later)
    last = marched.num_accepted
    rows = marched.rows._replace(
        time=_put(marched.rows.time, last, time),
        seen=_put(marched.rows.seen, last, watch(system, parts)),
    )
    return marched._replace(parts=parts, duration=time, rows=rows)


def _flow(system: System, time, parts: Parts):
    """(dx/dt, dz/dt along it, the solve with b_z) at one state."""
    columns, algebraic = parts
    conductance = system.conductance_at(columns)
    _, block = system.network_rows(time, columns, conductance, algebraic)
    solve = system.network_solve(block)
    rates = system.residual(time, parts).columns
    balance = lambda time, columns: system.balance(time, columns, algebraic)
    _, off = jax.jvp(balance, (time, columns), (jnp.ones_like(time), rates))
    return rates, -solve(off), solve


def _put(rows, last, value):
    """Rows with the last step's replaced, where there is one."""
    return rows.at[last].set(jnp.where(last > 0, value, rows[last]))
