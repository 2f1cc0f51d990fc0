r"""The derivative of a march: that of its accepted steps at their sizes.

$$ y_{n+1} = \Phi(y_n, h_n), \qquad
   d\theta_{end} = - dg / \partial_\theta g \text{ at } g(y(\theta)) = 0 $$

A discrete tangent, and by transposition a discrete adjoint. The step sizes are not
functions of the parameters; the end of the last step moves as its cut-off asks.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from .accepted import CHUNK, Rows, moved_end
from .adjoint import transposed
from .parts import Parts
from .rosenbrock import rosenbrock_step
from .serial import arrays_of, fits, largest_lane, transposed_or_plain

_TINY_STEP = 1e-9  # s, stands in where no step was made


def tangents(primals, moving, marched, steps, tableau):
    """Tangents of the floating outputs of a march.

    In forward mode, step by step; in reverse mode, where `adjoint` has it, by that.

    Args:
        primals: system, state at the start, span.
        moving: their tangents, None at the leaves of the system that do not move.
        marched: what the march gave.
        steps: that it made.
        tableau: of its method.
    """
    system, parts, span = primals
    d_system, d_parts, d_span = moving
    inputs = (d_system, _filled(d_parts, parts), _filled(d_span, span))

    def forward(inputs):
        return _forward(primals, inputs, marched, steps, tableau)

    drive_moves = bool(jax.tree.leaves(d_system.control.drive))
    if drive_moves or not is_small(system, parts):  # it holds no scatter
        return forward(inputs)
    arrays, together = arrays_of((primals, marched, steps))
    wanted = jax.tree.map(lambda _: True, d_system)

    def plain(residuals, cotangents):
        primals, marched, steps = together(residuals)
        linear = lambda inputs: _forward(primals, inputs, marched, steps, tableau)
        return jax.linear_transpose(linear, inputs)(cotangents)[0]

    def serial(residuals, cotangents):
        (system, _, span), marched, steps = together(residuals)
        return transposed(system, wanted, span, marched, steps, cotangents, tableau)

    backward = transposed_or_plain(serial, plain)
    return linear_map(forward, lambda c: backward(arrays, c), inputs, marched[:3])


def is_small(system, parts: Parts) -> bool:
    """Whether a march, and the way back, may be one function."""
    return system.topology.is_small and fits(parts.columns.size)


def linear_map(forward, backward, inputs, outputs):
    """forward(inputs), a linear function of the shapes of `outputs`, transposed by
    `backward`.

    JAX has this as a solve: of the identity on (inputs, outputs), which batches and
    differentiates like any.
    """
    zeros = lambda like: jax.tree.map(jnp.zeros_like, like)
    # A solve is transposed for all of its right-hand side or not at all.
    some = jax.tree.leaves(inputs)[0].reshape(-1)[0]
    moving = lambda leaf: jnp.where(False, some, leaf)
    _, found = jax.lax.custom_linear_solve(
        lambda pair: pair,
        jax.tree.map(moving, (inputs, zeros(outputs))),
        lambda _, pair: (zeros(inputs), forward(pair[0])),
        transpose_solve=lambda _, pair: (backward(pair[1]), zeros(outputs)),
    )
    return found


def _forward(primals, moving, marched, steps, tableau):
    """The tangents, step by step."""
    system, parts, span = primals
    d_system, d_parts, d_span = moving
    count = marched.num_accepted
    # Rows after the last repeat the first step: one that is known to be finite.
    harmless = jnp.where(count > 0, steps.size[0], _TINY_STEP)

    def one(moving, row):
        index, (time, size, start) = row
        used, last = index < count, index == count - 1
        size = jnp.where(used, size, harmless)
        start = jax.tree.map(lambda a, b: jnp.where(used, a, b), start, parts)
        theta = jnp.where(last, marched.theta, 1.0)

        def step(system, start, span):
            new, _, dense = rosenbrock_step(system, tableau, time, size, start)
            ending = (theta, last, marched.status)
            return moved_end(system, start, new, dense, time, size, span, *ending)

        _, (end, *seen) = eqx.filter_jvp(
            step, (system, start, span), (d_system, moving, d_span)
        )

        def masked(tangent, otherwise):
            return jnp.where(used, tangent, otherwise)

        moving = jax.tree.map(masked, end, moving)
        return moving, jax.tree.map(lambda leaf: masked(leaf, 0.0), Rows(*seen))

    rows = (jnp.arange(steps.time.size), steps)
    moving, seen = _scan_up_to(largest_lane(count), one, d_parts, rows)
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
