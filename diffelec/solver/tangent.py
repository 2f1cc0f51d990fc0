r"""The derivative of a march: that of its accepted steps at their sizes.

$$ y_{n+1} = \Phi(y_n, h_n), \qquad
   d\theta_{end} = - dg / \partial_\theta g \text{ at } g(y(\theta)) = 0 $$

A discrete tangent, and by transposition a discrete adjoint. The step sizes are not
functions of the parameters; the end of the last step moves as its cut-off asks.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from .accepted import AT_END, AT_EVENT, CHUNK, Rows, end_of_step, margin_along
from .rosenbrock import rosenbrock_step
from .serial import largest_lane

_TINY_STEP = 1e-9  # s, stands in where no step was made


def _moving_theta(system, start, new, dense, span, size, theta, at_event, at_end):
    """`theta` with its derivative: that of the cut-off's crossing, or of the span."""
    margin = margin_along(system, start, new, dense)
    gap, slope = jax.jvp(margin, (theta,), (jnp.ones_like(theta),))
    slope = jax.lax.stop_gradient(slope)
    crossing = (jax.lax.stop_gradient(gap) - gap) / jnp.where(slope != 0, slope, 1.0)
    lengthening = (span - jax.lax.stop_gradient(span)) / size
    theta = theta + jnp.where(at_event & (slope != 0), crossing, 0.0)
    return theta + jnp.where(at_end, lengthening, 0.0)


def tangents(system, parts, span, d_system, d_parts, d_span, marched, steps, tableau):
    """Tangents of the floating outputs of `_march`, step by step."""
    count = marched.num_accepted
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

    rows = (jnp.arange(steps.time.size), steps)
    moving, seen = _scan_up_to(largest_lane(count), one, _filled(d_parts, parts), rows)
    last = jnp.maximum(count - 1, 0)
    return moving, jnp.where(count > 0, seen.time[last], 0.0), seen


def _scan_up_to(count, body, carry, rows):
    """`jax.lax.scan` over the first `count` rows, and up to a chunk more; zeros come
    out of those that are left. Reverse mode computes the body again.
    """

    def chunk(carry, rows):
        def work(carry):
            return jax.lax.scan(jax.checkpoint(body, prevent_cse=False), carry, rows)

        def rest(carry):
            shapes = jax.eval_shape(work, carry)[1]
            return carry, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

        return jax.lax.cond(rows[0][0] < count, work, rest, carry)

    rows = jax.tree.map(lambda leaf: leaf.reshape(-1, CHUNK, *leaf.shape[1:]), rows)
    carry, out = jax.lax.scan(chunk, carry, rows)
    return carry, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), out)


def _filled(tangent, primal):
    """A tangent with zeros in the place of those that are not there."""
    is_none = lambda leaf: leaf is None
    return jax.tree.map(
        lambda t, p: jnp.zeros_like(p) if t is None else t,
        tangent,
        primal,
        is_leaf=is_none,
    )
