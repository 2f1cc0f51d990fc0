r"""The derivative of a march: that of its accepted steps at their sizes.

$$ y_{n+1} = \Phi(y_n, h_n), \qquad
   d\theta_{end} = - dg / \partial_\theta g \text{ at } g(y(\theta)) = 0 $$

A discrete tangent, and by transposition a discrete adjoint. The step sizes are not
functions of the parameters, but for instants of a recorded series, where steps end:
they move with these. The end of the last step moves as its cut-off asks.
"""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp

from ..linear import linear_map
from ..sums import fits
from .accepted import CHUNK, TINY_STEP, Last, Made, Marched, Rows, bends, watch
from .adjoint import transposed
from .onward import carried
from .parts import Parts
from .pull import pulled
from .rosenbrock import rosenbrock_step
from .serial import Whole, arrays_of, largest_lane, linear_or_plain, unwrapped
from .settled import begun, ended

_POWERS = 3  # of a dense output, or fewer


def tangents(primals, moving, marched: Marched, made: Made, tableau):
    """Tangents of (state at the end, duration, rows) of a march.

    Args:
        primals: system, state at the start, span.
        moving: their tangents, None at the leaves that do not move; those of the
            potentials are not read, which follow the columns.
        marched: what the march gave.
        made: the steps that it made.
        tableau: of its method.
    """
    system, start, span = primals
    d_system, d_start, d_span = moving
    columns = _filled(d_start.columns, start.columns)
    d_start = Parts(columns, jnp.zeros_like(start.algebraic))
    of_start = (d_system, d_start)
    d_start = _at_one_state(begun, (system, start, made.begin), start, of_start, start)
    made_by = (marched.num_accepted, made, marched.rows, tableau)
    d_last, *d_rows = _along_steps((system, start), (d_system, d_start), *made_by)
    of_end = (d_system, (d_last, _filled(d_span, span)))
    return _at_end(system, span, of_end, d_rows, marched, made)


def _at_end(system, span, moving, d_rows, marched: Marched, made: Made):
    """Tangents of (state at the end, duration, rows) from those of (the system, the
    last step and the span) and of the rows but for the last one.
    """
    count, rows = marched.num_accepted, marched.rows
    size = made.steps.size[jnp.maximum(count - 1, 0)]
    solved = (marched._replace(rows=None), size)
    given = (system, (made.last, span), solved)
    outputs = (*marched[:2], jax.tree.map(lambda leaf: leaf[0], rows))
    end, duration, row = _at_one_state(ended, given, marched.parts, moving, outputs)
    when = lambda system: system.control.moved(rows.time)
    _, d_time = eqx.filter_jvp(when, (system,), moving[:1])
    before = jnp.arange(rows.time.size) < count  # the last one's is in its row
    d_rows = Rows(jnp.where(before, _filled(d_time, rows.time), 0.0), *d_rows)
    return end, duration, jax.tree.map(lambda a, b: a.at[count].add(b), d_rows, row)


def _at_one_state(function, given, state: Parts, moving, outputs):
    """Tangents of function(system, at, fixed) from those of the first two, `moving`;
    it looks up tables at the columns of one state.
    """
    moves = jax.tree.map(lambda _: True, moving[0])

    def forward(system, at, fixed, state, moving):
        del state
        of = lambda system, at: function(system, at, fixed)
        return eqx.filter_jvp(of, (system, at), moving)[1]

    def back(system, at, fixed, state, cotangents, loops):
        own = (system, moves, at, fixed, state, cotangents)
        return pulled(function, *own, loops=loops)

    # An instant moves a whole state, and all that is watched of it by its powers: what
    # either tells of the instant is one sum.
    topology = given[0].topology
    columns = len(state.columns) * topology.in_vectors.num_lanes
    watched = 2 * topology.num_sites + topology.num_unknowns
    sums = (columns, _POWERS * watched)
    return _linear(forward, back, (*given, state), moving, outputs, sums=sums)


def _linear(
    forward, back, residuals, moving, outputs, large=lambda t: t, sums=(0,), onward=None
):
    """forward(*residuals, moving), a linear function of tangents of a system and more;
    in reverse mode by `back`, as one function where that may hold it (see
    `linear_or_plain`), with sums of so many numbers; so in forward mode, of lanes of
    tangents, where `onward` is given. `large` marks cotangents as `Whole`.
    """
    arrays, together = arrays_of(residuals)
    system, drive = unwrapped(residuals)[0], moving[0].control.drive

    def ahead(arrays, moving):
        return forward(*unwrapped(together(arrays)), moving)

    if jax.tree.leaves(drive):  # its instants move steps, which `back` does not know
        return ahead(arrays, moving)

    def lanes_onward(arrays, moving):
        return onward(*unwrapped(together(arrays)), moving)

    def lanes(arrays, cotangents, *, loops):
        return back(*unwrapped(together(arrays)), unwrapped(cotangents), loops)

    def plain(arrays, cotangents):
        first = jax.tree.map(lambda leaf: leaf[None], cotangents)
        found = lanes(arrays, first, loops=False)
        return jax.tree.map(lambda leaf: leaf[0], found)

    one = partial(lanes, loops=True)
    is_one = system.is_one_back and fits(max(sums))
    chosen = linear_or_plain(one, plain) if is_one else plain
    onwards = linear_or_plain(lanes_onward, ahead) if is_one and onward else ahead
    backward = lambda arrays, cotangents: chosen(arrays, large(cotangents))
    return linear_map(onwards, backward, arrays, moving, outputs)


def _along_steps(primals, moving, count, made: Made, rows: Rows, tableau):
    """Tangents of (the last step, rows of seen values, rows of higher coefficients),
    the last step's rows left at 0.

    In forward mode by `onward` in a solve by itself, else automatic; in reverse mode by
    `adjoint`, but where instants of a recorded series move.
    """
    moves = jax.tree.map(lambda _: True, moving[0])
    large = lambda tree: jax.tree.map(Whole, tree)
    steps = made.steps._replace(start=large(made.steps.start))

    def forward(system, start, count, steps, moving):
        return _step_by_step((system, start), moving, count, steps, tableau)

    onward = partial(carried, tableau=tableau)

    def back(system, start, count, steps, cotangents, loops):
        made = (count, steps, cotangents)
        return transposed(system, moves, *made, tableau, loops=loops)

    residuals = (primals[0], primals[1], count, steps)
    outputs = (made.last, rows.seen, rows.higher)
    wrap = lambda cotangents: (cotangents[0], *large(tuple(cotangents[1:])))
    return _linear(forward, back, residuals, moving, outputs, wrap, onward=onward)


def _step_by_step(primals, moving, count, steps, tableau):
    """`_along_steps` in forward mode, by automatic differentiation of each step."""
    system, parts = primals
    d_system, d_parts = moving
    # Rows after the last repeat the first step: one that is known to be finite. Where
    # there was none, slopes may be NaN, as at a start that was not found.
    some = count > 0
    harmless = jnp.where(some, steps.size[0], TINY_STEP)
    known = lambda tree: jax.tree.map(lambda leaf: jnp.where(some, leaf, 0.0), tree)
    d_system = known(d_system)

    def one(moving, row):
        index, (time, size, start) = row
        used, last = index < count, index == count - 1
        size = jnp.where(used, size, harmless)
        start = jax.tree.map(lambda a, b: jnp.where(used, a, b), start, parts)

        def step(system, start):
            begin, end = map(system.control.moved, (time, time + size))
            at = (time + begin, size + end - begin)
            new, _, dense, _ = rosenbrock_step(system, tableau, *at, start)
            return Last(start, new, dense)

        given = (d_system, known(moving.parts))
        _, made = eqx.filter_jvp(step, (system, start), given)
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
