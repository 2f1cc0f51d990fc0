r"""The derivative of a march: that of its accepted steps at their sizes.

$$ y_{n+1} = \Phi(y_n, h_n), \qquad
   d\theta_{end} = - dg / \partial_\theta g \text{ at } g(y(\theta)) = 0 $$

A discrete tangent, and by transposition a discrete adjoint. The step sizes are not
functions of the parameters; the end of the last step moves as its cut-off asks.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from .accepted import CHUNK, Last, Made, Rows, bends, moved_end, watch
from .adjoint import transposed
from .rosenbrock import rosenbrock_step
from .serial import (
    Whole,
    arrays_of,
    largest_lane,
    transposed_or_plain,
    unwrapped,
)

_TINY_STEP = 1e-9  # s, stands in where no step was made


def tangents(primals, moving, marched, made: Made, tableau):
    """Tangents of the floating outputs of a march.

    Args:
        primals: system, state at the start, span.
        moving: their tangents, None at the leaves of the system that do not move.
        marched: what the march gave.
        made: the steps that it made.
        tableau: of its method.
    """
    system, parts, span = primals
    d_system, d_parts, d_span = moving
    d_made = _along_steps(
        (system, parts), (d_system, _filled(d_parts, parts)), marched, made, tableau
    )
    ending = (made, marched)
    return _at_end(system, span, (d_system, _filled(d_span, span)), d_made, *ending)


def _along_steps(primals, inputs, marched, made: Made, tableau):
    """Tangents of (the last step, rows of seen values, rows of higher coefficients),
    the last step's rows left at 0.

    In forward mode, step by step; in reverse mode, where `adjoint` has it, by that.
    """
    system, _ = primals
    count = marched.num_accepted

    def forward(inputs):
        return _forward(primals, inputs, count, made.steps, tableau)

    drive_moves = bool(jax.tree.leaves(inputs[0].control.drive))
    if drive_moves or not system.is_one_back:  # it holds no scatter
        return forward(inputs)
    large = lambda tree: jax.tree.map(Whole, tree)
    steps = made.steps._replace(start=large(made.steps.start))
    arrays, together = arrays_of((primals, count, steps))
    wanted = jax.tree.map(lambda _: True, inputs[0])

    def plain(residuals, cotangents):
        primals, count, steps = unwrapped(together(residuals))
        linear = lambda inputs: _forward(primals, inputs, count, steps, tableau)
        return jax.linear_transpose(linear, inputs)(unwrapped(cotangents))[0]

    def serial(residuals, cotangents):
        (system, _), count, steps = unwrapped(together(residuals))
        of_steps = (count, steps, unwrapped(cotangents))
        return transposed(system, wanted, *of_steps, tableau)

    backward = transposed_or_plain(serial, plain)

    def back(cotangents):
        of_last, *of_rows = cotangents
        return backward(arrays, (of_last, *large(of_rows)))

    outputs = (made.last, marched.rows.seen, marched.rows.higher)
    return linear_map(forward, back, inputs, outputs)


def _at_end(system, span, moving, d_made, made: Made, marched):
    """Tangents of (state at the end, duration, rows) from those of the steps."""
    d_system, d_span = moving
    d_last, *d_rows = d_made
    count = marched.num_accepted
    row = jnp.maximum(count - 1, 0)
    time, size = (leaf[row] for leaf in made.steps[:2])
    size = jnp.where(count > 0, size, _TINY_STEP)

    def end_of(system, last, span):
        return moved_end(system, last, time, size, span, marched.theta, marched.status)

    primals = (system, made.last, span)
    _, (end, *seen) = eqx.filter_jvp(end_of, primals, (d_system, d_last, d_span))
    duration, *seen = (jnp.where(count > 0, leaf, 0.0) for leaf in seen)
    d_rows = (jnp.zeros_like(marched.rows.time), *d_rows)
    added = zip(d_rows, (duration, *seen), strict=True)
    return end, duration, Rows(*(rows.at[count].add(leaf) for rows, leaf in added))


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


def _forward(primals, moving, count, steps, tableau):
    """`_along_steps`, step by step."""
    system, parts = primals
    d_system, d_parts = moving
    # Rows after the last repeat the first step: one that is known to be finite.
    harmless = jnp.where(count > 0, steps.size[0], _TINY_STEP)

    def one(moving, row):
        index, (time, size, start) = row
        used, last = index < count, index == count - 1
        size = jnp.where(used, size, harmless)
        start = jax.tree.map(lambda a, b: jnp.where(used, a, b), start, parts)

        def step(system, start):
            new, _, dense, _ = rosenbrock_step(system, tableau, time, size, start)
            return Last(start, new, dense)

        _, made = eqx.filter_jvp(step, (system, start), (d_system, moving.parts))
        moving = jax.tree.map(lambda a, b: jnp.where(used, a, b), made, moving)
        seen = (watch(system, made.parts), bends(system, made.dense))  # both are linear
        return moving, tuple(jnp.where(used & ~last, leaf, 0.0) for leaf in seen)

    still = jax.tree.map(jnp.zeros_like, d_parts)
    powers = jax.tree.map(lambda leaf: jnp.stack([leaf] * len(tableau.dense)), still)
    rows = (jnp.arange(steps.time.size), steps)
    moving = Last(still, d_parts, powers)
    first = (watch(system, d_parts), bends(system, powers))
    moving, seen = _scan_up_to(largest_lane(count), one, moving, rows)
    behind = lambda first, rows: jnp.concatenate([first[None], rows])
    return moving, *map(behind, first, seen)


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
