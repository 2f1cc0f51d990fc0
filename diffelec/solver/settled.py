r"""The derivative of a march's start and end, on the network's equations and, where the
end is at a cut-off, on that.

Potentials at the start solve the balances b(t, x, z) = 0, and so must those at the end:
they come out of a time step with its error, e. At the end of a march the next step
solves for them again, at the columns alone: what e did to the columns' derivative is
then multiplied by dU/dx, which is 2000 V where a cathode is full. So derivatives are
taken with potentials z(x) that solve the balances, and the cut-off g(z(x)) = 0 is kept
along the dense output of the columns, which it is found on,

$$ dz = -b_z^{-1}(b_x dx + b_p dp + b_t dt), \quad
   dt_{end} = -dg / \dot g, \quad dx \mathrel{+}= \dot x\, dt_{end} $$

(Along the columns' own rates, other ones by the error of a step, dt_end is off by a
hundred times its size at loose tolerances: where a cathode is full, nearly all of dg is
made up for by the columns.) Functions here add terms to values that are known: terms
that are 0, but not their derivative.
"""

import jax
import jax.numpy as jnp

from .accepted import (
    AT_END,
    AT_EVENT,
    TINY_STEP,
    Rows,
    along,
    bends,
    cut,
    watch,
)
from .parts import Parts
from .system import System

_frozen = jax.lax.stop_gradient


def begun(system: System, start: Parts, time) -> Parts:
    """The state at a start, whose potentials follow the columns."""
    columns, algebraic = start
    solve = _solve(*_frozen((system, time, start)))
    return Parts(columns, _following(system, time, columns, _frozen(algebraic), solve))


def ended(system: System, at, marched_from):
    """(state at the end, duration, the row of both) of a march, whose row is left as it
    is where there was no step.

    Args:
        system: of the march.
        at: its last step and the span.
        marched_from: what it gave, but for its rows, and the size of its last step.
    """
    (last, span), (marched, size) = at, marched_from
    theta, some = marched.theta, marched.num_accepted > 0
    size = jnp.where(some, size, TINY_STEP)
    at, still = marched.parts, _frozen(last)
    time = marched.duration + system.control.moved(marched.duration)
    columns = along(*last, theta).columns
    _, rates = jax.jvp(lambda t: along(*still, t).columns, (theta,), (1.0 / size,))
    solve = _solve(_frozen(system), time, at)
    rates = Parts(rates, _rates(_frozen(system), time, at, rates, solve))
    columns = system.made_once(_moving(at.columns, columns))
    algebraic = _following(system, time, columns, at.algebraic, solve)
    later = _later(system, algebraic, rates.algebraic, span - time, marched.status)
    algebraic, later = system.made_once((algebraic, later))
    moved = lambda value, rate: value + rate * later
    parts = jax.tree.map(moved, Parts(columns, algebraic), rates)
    higher = cut(bends(system, last.dense), theta + later / size)
    row = Rows(time + later, watch(system, parts), higher)
    row = jax.tree.map(lambda leaf: jnp.where(some, leaf, _frozen(leaf)), row)
    return parts, time + later, row


def _later(system: System, algebraic, rates, left, status):
    """How much later the end is: it moves as its cut-off asks, or with what is left of
    the span.
    """
    _, slope = jax.jvp(_frozen(system).margin, (_frozen(algebraic),), (rates,))
    gap, moves = system.margin(algebraic), (status == AT_EVENT) & (slope != 0)
    crossing = (_frozen(gap) - gap) / jnp.where(moves, slope, 1.0)
    otherwise = jnp.where(status == AT_END, left - _frozen(left), 0.0)
    return jnp.where(moves, crossing, otherwise)


def _moving(value, like):
    """A value with the derivative of another one."""
    return _frozen(value) + (like - _frozen(like))


def _following(system: System, time, columns, algebraic, solve):
    """Potentials that solve the balances, wherever time, columns and system move."""
    off = system.balance(time, columns, algebraic)
    return algebraic - solve(off - _frozen(off))


def _solve(system: System, time, parts: Parts):
    """The solve with b_z at one state."""
    columns, algebraic = parts
    conductance = system.conductance_at(columns)
    _, block = system.network_rows(time, columns, conductance, algebraic)
    return system.network_solve(block)


def _rates(system: System, time, parts: Parts, rates, solve):
    """dz/dt along dx/dt at one state."""
    off = system.jacobian(time, parts).border(rates)
    return -solve(off + system.time_slope(time, parts).algebraic)
