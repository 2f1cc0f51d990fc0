r"""Potentials that satisfy the network and the control at given stoichiometries.

At fixed columns the equations are monotone: the balances are the gradient of a strictly
convex function of the potentials (ohmic power plus the integral of the reaction
currents), and a voltage asked for through a series drop keeps them so. The residual
along Newton's direction then rises steadily from a negative value; a step is shortened
until it has not turned up, so the iteration cannot diverge.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..sums import largest, total
from .serial import arrays_of, serial_or_plain

_MAX_ITERATIONS = 400
_LEAST_PART = 1e-6
_ROUNDING = 4e3  # units of rounding of a slope (V times the 1C current)
_POTENTIAL_TOLERANCE = 1e-9  # V; the step after it is 1e-16 by quadratic convergence
_POTENTIAL_ROUNDING = 64.0  # units of rounding, of 1 V: what single precision can do


class Consistent(NamedTuple):
    """Potentials and current, and whether they were found."""

    algebraic: Float[Array, " unknown"]
    found: Bool[Array, ""]


class _Search(NamedTuple):
    """Newton's iterate, the step to try from it, and how steep it started."""

    algebraic: Float[Array, " unknown"]
    direction: Float[Array, " unknown"]
    part: Float[Array, ""]
    steepness: Float[Array, ""]
    count: Int[Array, ""]


def consistent_algebraic(system, time, columns, guess) -> Consistent:
    """Solves balance(time, columns, z) = 0 for z, from any guess. Without derivative:
    `settled.begun` adds it.
    """
    frozen = jax.lax.stop_gradient((system, time, columns, guess))
    arrays, together = arrays_of(frozen)

    def plain(arrays):
        return _search(*together(arrays))

    def serial(arrays):
        system, time, columns, guess = together(arrays)
        system = system.with_loops()
        return _search(system, time, system.topology.filled(columns), guess)

    z, count = (serial_or_plain(serial, plain) if system.is_one else plain)(arrays)
    found = (count < _MAX_ITERATIONS) & jnp.all(jnp.isfinite(z))
    return Consistent(z, found)


def _search(system, time, columns, guess):
    """(potentials, rates of exchange and current; iterations), the last step taken."""
    conductance = system.conductance_at(columns)
    start = _on_control(system, time, guess)
    holds_voltage = system.control.row.weight_voltage != 0
    num_nodes = system.topology.num_nodes
    unit = float(jnp.finfo(start.dtype).eps)
    tolerance = max(_POTENTIAL_TOLERANCE, _POTENTIAL_ROUNDING * unit)

    def along(rows, direction):
        """The residual along a direction; the row of a current or power asked for does
        not belong to the monotone part, nor do the rates of exchange, which do not
        depend on the potentials.
        """
        control = jnp.where(holds_voltage, rows[-1] * direction[-1], 0.0)
        nodes = rows[:num_nodes] * direction[:num_nodes]
        return total(nodes) + control

    def improve(carry: _Search):
        """Tries the step at hand; takes it and finds the next, or halves it."""
        trial = carry.algebraic + carry.part * carry.direction
        rows, block = system.network_rows(time, columns, conductance, trial)
        slope = along(rows, carry.direction)
        falls = slope <= 0.1 * carry.steepness + _ROUNDING * unit
        taken = falls | (carry.part < _LEAST_PART)
        direction = -system.network_solve(block)(rows)
        steepness = jnp.abs(along(rows, direction))
        new = (trial, direction, jnp.ones_like(slope), steepness)
        old = (carry.algebraic, carry.direction, 0.5 * carry.part, carry.steepness)
        chosen = (jnp.where(taken, a, b) for a, b in zip(new, old, strict=True))
        return _Search(*chosen, carry.count + 1)

    def unfinished(carry: _Search):
        size = largest(jnp.abs(carry.direction))
        settled = (carry.count > 0) & (size <= tolerance)
        return ~settled & (carry.count < _MAX_ITERATIONS)

    none = jnp.zeros_like(start)
    search = _Search(start, none, none[0] + 1.0, none[0] + jnp.inf, 0)
    search = jax.lax.while_loop(unfinished, improve, search)
    return search.algebraic + search.direction, search.count


def _on_control(system, time, guess):
    """Moves a guess onto the control equation where that is linear: the asked current,
    or all potentials shifted to the asked voltage. Newton's steps then stay on it.
    """
    control = system.control
    voltage, current = system.voltage(guess), system.current(guess)
    by_voltage, by_current = control.slopes(time, voltage, current)
    residual = control.residual(time, voltage, current)
    holds_voltage = control.row.weight_voltage != 0
    shift = jnp.where(
        holds_voltage, residual / jnp.where(holds_voltage, by_voltage, 1), 0
    )
    scaled = by_current * control.scale
    change = jnp.where(holds_voltage, 0, residual / jnp.where(scaled != 0, scaled, 1))
    topology = system.topology
    ends = topology.first_site + topology.num_sites  # of what conducts electrons
    nodes, others = guess[:ends] - shift, guess[ends:-1]
    return jnp.concatenate([nodes, others, guess[-1:] - change])
