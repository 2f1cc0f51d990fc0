r"""Potentials that satisfy the network and the control at given stoichiometries.

At fixed columns the network is monotone: its balances are the gradient of a strictly
convex function of the potentials (ohmic power plus the integral of the reaction
currents). Newton's direction descends it, and a step is shortened until the slope
along it has not turned up, so the iteration cannot diverge.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

_MAX_ITERATIONS = 200
_MAX_HALVINGS = 40
_POTENTIAL_TOLERANCE = 1e-9  # V; the step after it is 1e-16 by quadratic convergence


class Consistent(NamedTuple):
    """Potentials and current, and whether they were found."""

    algebraic: Float[Array, " unknown"]
    found: Bool[Array, ""]


def consistent_algebraic(system, time, columns, guess) -> Consistent:
    """Solves balance(time, columns, z) = 0 for z, from any guess.

    The result is differentiable (implicitly, by one Newton step at the solution).
    """
    frozen, fixed = jax.lax.stop_gradient((system, columns))
    start = _on_control(frozen, time, jax.lax.stop_gradient(guess))
    resistivity, _ = frozen.node_resistivity(fixed)
    conductance = frozen.edge_conductance(resistivity)
    reaction = frozen.site_multiplicity() * frozen.site_area()

    def block(z):
        _, slope = frozen._surface_slopes(fixed[-1], frozen.site_potential(z))
        return frozen.network_block(time, conductance, reaction * slope, z)

    def balance(z):
        density = frozen.current_density(fixed[-1], frozen.site_potential(z))
        return frozen._balance(time, conductance, density, z)

    def shorten(z, direction):
        """The part of Newton's step along which the convex function falls."""
        along = direction[:-1]
        steepness = jnp.abs(jnp.dot(balance(z)[:-1], along))

        def too_long(carry):
            part, count = carry
            slope = jnp.dot(balance(z + part * direction)[:-1], along)
            return ~(slope <= 0.1 * steepness) & (count < _MAX_HALVINGS)

        def halve(carry):
            return 0.5 * carry[0], carry[1] + 1

        part, _ = jax.lax.while_loop(too_long, halve, (jnp.ones_like(steepness), 0))
        return part

    def improve(carry):
        z, _, count = carry
        direction = -jnp.linalg.solve(block(z), balance(z))
        part = shorten(z, direction)
        return z + part * direction, jnp.max(jnp.abs(direction)), count + 1

    def unfinished(carry):
        _, size, count = carry
        return ~(size <= _POTENTIAL_TOLERANCE) & (count < _MAX_ITERATIONS)

    z, size, _ = jax.lax.while_loop(unfinished, improve, (start, jnp.inf, 0))
    z = jax.lax.stop_gradient(z)
    correction = jnp.linalg.solve(
        jax.lax.stop_gradient(block(z)), system.balance(time, columns, z)
    )
    found = (size <= _POTENTIAL_TOLERANCE) & jnp.all(jnp.isfinite(z))
    return Consistent(z - correction, found)


def _on_control(system, time, guess):
    """Moves a guess onto the control equation where that is linear: the asked current,
    or all potentials shifted to the asked voltage. Newton's steps then stay on it."""
    control = system.control
    voltage, current = system.voltage(guess), system.current(guess)
    by_voltage, by_current = control.slopes(time, voltage, current, system.electrode)
    residual = control.residual(time, voltage, current, system.electrode)
    holds_voltage = by_voltage != 0
    shift = jnp.where(holds_voltage, residual / jnp.where(holds_voltage, by_voltage, 1), 0)
    scaled = by_current * system.current_scale
    change = jnp.where(holds_voltage, 0, residual / jnp.where(scaled != 0, scaled, 1))
    return jnp.concatenate([guess[:-1] - shift, guess[-1:] - change])
