r"""The derivative of a march: that of its accepted steps at their sizes.

$$ y_{n+1} = \Phi(y_n, h_n), \qquad
   d\theta_{end} = - dg / \partial_\theta g \text{ at } g(y(\theta)) = 0 $$

A discrete tangent, and by transposition a discrete adjoint. The step sizes are not
functions of the parameters; the end of the last step moves as its cut-off asks.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from .accepted import AT_END, AT_EVENT, CHUNK, Rows, end_of_step
from .rosenbrock import evaluate_polynomial, higher_coefficients, rosenbrock_step
from .serial import largest_lane

_TINY_STEP = 1e-9  # s, stands in where no step was made


def _moving_theta(system, start, new, dense, span, size, theta, at_event, at_end):
    """`theta` with its derivative: that of the cut-off's crossing, or of the span."""
    bends = higher_coefficients(dense.algebraic)

    def margin(theta):
        return system.margin(
            evaluate_polynomial(start.algebraic, new.algebraic, bends, theta)
        )

    gap, slope = jax.jvp(margin, (theta,), (jnp.ones_like(theta),))
    slope = jax.lax.stop_gradient(slope)
    crossing = (jax.lax.stop_gradient(gap) - gap) / jnp.where(slope != 0, slope, 1.0)
    lengthening = (span - jax.lax.stop_gradient(span)) / size
    theta = theta + jnp.where(at_event & (slope != 0), crossing, 0.0)
    return theta + jnp.where(at_end, lengthening, 0.0)


def tangents(system, parts, span, d_system, d_parts, d_span, marched, steps, tableau):
    """Tangents of the floating outputs of `_march`, step by step."""
    count = marched.num_accepted
    most = largest_lane(count)
    # Rows after the last repeat the first step: one that is known to be finite.
    harmless = jnp.where(count > 0, steps.size[0], _TINY_STEP)

    def one(moving, row):
        index, (time, size, start) = row
        used, last = index < count, index == count - 1
        size = jnp.where(used, size, harmless)
        start = jax.tree.map(lambda a, b: jnp.where(used, a, b), start, parts)
        theta = jnp.where(last, marched.theta, 1.0)
        at_event = last & (marched.status == AT_EVENT)
        at_end = last & (marched.status == AT_END)

        def step(system, start, span):
            new, _, dense = rosenbrock_step(system, tableau, time, size, start)
            moved = _moving_theta(
                system, start, new, dense, span, size, theta, at_event, at_end
            )
            return end_of_step(system, start, new, dense, time, size, moved)

        _, (end, *seen) = eqx.filter_jvp(
            step, (system, start, span), (d_system, moving, d_span)
        )

        def masked(tangent, otherwise):
            return jnp.where(used, tangent, otherwise)

        moving = jax.tree.map(masked, end, moving)
        return moving, jax.tree.map(lambda leaf: masked(leaf, 0.0), Rows(*seen))

    def chunk(moving, rows):
        first = rows[0][0]

        def work(moving):
            return jax.lax.scan(jax.checkpoint(one, prevent_cse=False), moving, rows)

        def rest(moving):
            shapes = jax.eval_shape(work, moving)[1]
            return moving, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        return jax.lax.cond(first < most, work, rest, moving)

    rows = (jnp.arange(steps.time.size), steps)
    rows = jax.tree.map(lambda leaf: leaf.reshape(-1, CHUNK, *leaf.shape[1:]), rows)
    moving, seen = jax.lax.scan(chunk, _filled(d_parts, parts), rows)
    seen = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), seen)
    last = jnp.maximum(count - 1, 0)
    return moving, jnp.where(count > 0, seen.time[last], 0.0), seen


def _filled(tangent, primal):
    """A tangent with zeros in the place of those that are not there."""
    is_none = lambda leaf: leaf is None
    return jax.tree.map(
        lambda t, p: jnp.zeros_like(p) if t is None else t,
        tangent,
        primal,
        is_leaf=is_none,
    )
