"""From the start of a protocol step to its end: error control and event location."""

import functools
from typing import NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, Int

from .accepted import (
    AT_END,
    AT_EVENT,
    CHUNK,
    OUT_OF_STEPS,
    RUNNING,
    TOO_SMALL,
    Last,
    Made,
    Marched,
    Rows,
    Steps,
    bends,
    end_of_step,
    margin_along,
    watch,
)
from .blocks import AbstractFactors
from .parts import Parts
from .rosenbrock import error_norm, rosenbrock_step
from .serial import any_lane, arrays_of, serial_or_plain
from .system import System
from .tableaus import Tableau
from .tangent import tangents

_FIRST_STEP = 1.0  # s; the controller finds its own from there
_SAFETY, _LEAST_FACTOR, _LARGEST_FACTOR = 0.9, 0.2, 10.0
_LEAST_ERROR = 1e-10  # of those that the next step's size follows
_MEMORY = 0.7  # share of the errors before in what the next step's size follows
_NEWTON = 1e-3  # of the last step: below, a step serves to mend its potentials
_FAR_OFF = 0.01  # V, of potentials off their equations, for the next step to mend
_AGAIN = 0.25  # of the size of a step that left them further off, to make it again
_SHORTEST = 1e-14  # of the time reached: below, a step does not move the clock
_BISECTIONS = 48
_CORRECTIONS = 12  # of where a cut-off is met, each some 1e-2 of the one before
_ROUNDING = 1e-14  # of a step, to find its end with
_FARTHEST = 1.25  # steps, that a cut-off may lie off where the dense output has it


class Tolerances(eqx.Module):
    """How accurately to solve, by what, and how far to go."""

    rtol: Float[Array, ""]
    atol: Float[Array, ""]
    max_steps: int = eqx.field(static=True)
    tableau: Tableau = eqx.field(static=True)
    network_solver: type[AbstractFactors] | None = eqx.field(static=True, default=None)


class _Loop(NamedTuple):
    """Carry of the search for the step sizes. `error` is what `_followed` has made of
    those so far; `start`, `size`, `parts` and `dense` are the last accepted step's: its
    start, size, end and dense coefficients.
    """

    time: Float[Array, ""]
    proposal: Float[Array, ""]
    error: Float[Array, ""]
    start: Parts
    size: Float[Array, ""]
    parts: Parts
    dense: Parts
    status: Int[Array, ""]
    num_accepted: Int[Array, ""]
    num_rejected: Int[Array, ""]
    rows: Rows
    steps: Steps | None


def march(
    system: System,
    parts: Parts,
    span: Float[Array, ""],
    tolerances: Tolerances,
    meter: diffrax.AbstractProgressMeter,
    begin: Float[Array, ""],
) -> Marched:
    """Integrates from `parts` at `begin` until the margin of the system's control is 0,
    or until `span` [s]; at once over where that is `begin`.

    Differentiable (forward and reverse mode) in the system, the state and the span.
    """
    settings = {"tolerances": tolerances, "meter": meter, "begin": begin}
    floats, integers = _march(system, parts, span, **settings)
    return Marched(*floats, *integers)


@eqx.filter_custom_jvp
def _march(system, parts, span, **settings):
    marched, _ = _search(system, parts, span, **settings, record=False)
    return marched[:3], marched[3:]


@_march.def_jvp
def _march_jvp(primals, moving, *, tolerances, **settings):
    arrays, together = arrays_of(primals)
    primals = together(_once_only(arrays))
    settings["tolerances"] = tolerances
    marched, made = _search(*primals, **settings, record=True)
    moved = tangents(primals, moving, marched, made, tolerances.tableau)
    return (marched[:3], marched[3:]), (moved, (None,) * len(marched[3:]))


@jax.custom_jvp
def _once_only(arrays):
    """The arrays, which must not be differentiated again: neither the sizes of steps
    nor the written-out adjoint have a derivative, and zeros would be wrong.
    """
    return arrays


@functools.partial(_once_only.defjvp, symbolic_zeros=True)
def _once_only_jvp(primals, tangents):
    leaves = jax.tree.leaves(tangents, is_leaf=_is_zero)
    if not all(_is_zero(leaf) for leaf in leaves):
        raise NotImplementedError(
            "`simulate` can be differentiated once, but was asked for a second "
            "derivative; take differences of its gradient, or J^T J of its Jacobian J."
        )
    return primals[0], tangents[0]


def _is_zero(tangent):
    return isinstance(tangent, SymbolicZero)


def _num_rows(tolerances) -> int:
    """Rows of the buffers: the steps allowed, in whole chunks."""
    return -(-tolerances.max_steps // CHUNK) * CHUNK


def _search(system, parts, span, *, tolerances, meter, begin, record):
    """(the march, what its derivative needs where `record`) by adaptive steps."""
    frozen = jax.lax.stop_gradient((system, parts, span, begin, tolerances))
    arrays, together = arrays_of(frozen)

    def plain(arrays):
        return _adapt(*together(arrays), meter, record=record)

    def serial(arrays):
        system, parts, *rest = together(arrays)
        system = system.with_loops()
        found = _adapt(system, system.filled(parts), *rest, meter, record=record)
        return system.own(found)

    quiet = isinstance(meter, diffrax.NoProgressMeter)
    one = quiet and system.is_one
    return (serial_or_plain(serial, plain) if one else plain)(arrays)


def _adapt(system, parts, span, begin, tolerances, meter, *, record):
    """The loop over trial steps, and the end of the last one."""
    loop = _empty(system, parts, span, begin, tolerances, record=record)

    def unfinished(carry):
        return any_lane(carry[0].status == RUNNING)

    def advance(carry):
        loop, progress = carry
        loop = _try_step(system, loop, span, tolerances)
        if not system.serial:
            share = loop.time / jnp.where(span > 0, span, 1.0)
            progress = meter.step(progress, share)
        return loop, progress

    loop, progress = jax.lax.while_loop(unfinished, advance, (loop, meter.init()))
    if not isinstance(meter, diffrax.NoProgressMeter):
        meter.close(progress)
    made = Made(loop.steps, Last(loop.start, loop.parts, loop.dense))
    return _finish(system, loop), made if record else None


def _empty(system, parts, span, begin, tolerances, *, record) -> _Loop:
    """The loop before its first step."""
    rows = _num_rows(tolerances)
    seen = watch(system, parts)
    powers = len(tolerances.tableau.dense)
    zero = jnp.zeros_like(span)

    def zeros(leaf, *shape):
        return jnp.zeros((*shape, *leaf.shape), leaf.dtype)

    def buffer(leaf, *shape):
        return zeros(leaf, rows, *shape)

    dense = jax.tree.map(lambda leaf: zeros(leaf, powers), parts)
    curved = bends(system, dense)
    steps = Steps(buffer(zero), buffer(zero), jax.tree.map(buffer, parts))
    return _Loop(
        time=zero + begin,
        proposal=jnp.minimum(_FIRST_STEP, span - begin),
        error=zero + _LEAST_ERROR,
        start=parts,
        size=zero,
        parts=parts,
        dense=dense,
        status=jnp.where(span > begin, RUNNING, AT_END),
        num_accepted=jnp.asarray(0),
        num_rejected=jnp.asarray(0),
        rows=Rows(buffer(zero), buffer(seen), buffer(curved)),
        steps=steps if record else None,
    )


def _try_step(system, loop: _Loop, span, tolerances) -> _Loop:
    """One trial step: kept if accurate, and the next size in any case. Lanes of a batch
    that are done stay as they are.
    """
    active = loop.status == RUNNING
    stop = system.control.next_stop(loop.time, span)
    room = stop - loop.time
    size = jnp.minimum(loop.proposal, room)
    new, error, dense, off = rosenbrock_step(
        system, tolerances.tableau, loop.time, size, loop.parts
    )
    # Where the last step left potentials off their equations by more than the
    # tolerance, they stay so however short the next one is. That one corrects them, as
    # an iteration of Newton's would, so that it is let pass once it is short.
    slack = jnp.maximum(1.0, _NEWTON * loop.size / size)
    norm = error_norm(error, loop.parts, new, tolerances.rtol, tolerances.atol, slack)
    # Where U is steep, a step may leave them further off, unseen by its estimate, than
    # Newton converges from: that one is made again, shorter.
    back = active & (loop.size > 0) & (off > _FAR_OFF)
    good = active & ~back & (norm <= 1.0)
    error = _followed(norm, loop.error)
    proposal = size * _growth(error, tolerances.tableau.order)
    cut = good & (room <= loop.proposal)  # by a stop, not by its error
    proposal = jnp.where(cut, jnp.maximum(proposal, loop.proposal), proposal)
    time = jnp.where(room <= loop.proposal, stop, loop.time + size)
    row = loop.num_accepted  # overwritten by the next trial where this one fails
    seen = Rows(time, watch(system, new), bends(system, dense))
    steps = loop.steps
    if steps is not None:
        steps = _put(steps, row, Steps(loop.time, size, loop.parts))
    before = (
        jnp.where(back, loop.time - loop.size, loop.time),
        loop.start,
        jnp.where(back, 0.0, loop.size),
        _chosen(back, loop.start, loop.parts),
        loop.dense,
    )
    kept = _chosen(good, (time, loop.parts, size, new, dense), before)
    accepted = loop.num_accepted + good - back
    rejected = loop.num_rejected + (active & ~good) + back
    proposal = jnp.where(back, _AGAIN * loop.size, proposal)
    status = jnp.select(
        [
            good & (system.margin(new.algebraic) <= 0),
            good & (time >= span),
            accepted + rejected >= tolerances.max_steps,
            proposal <= _SHORTEST * jnp.maximum(time, _FIRST_STEP),
        ],
        [AT_EVENT, AT_END, OUT_OF_STEPS, TOO_SMALL],
        RUNNING,
    )
    return _Loop(
        kept[0],
        jnp.where(active, proposal, loop.proposal),
        jnp.where(active, jnp.minimum(error, 1.0), loop.error),
        *kept[1:],
        jnp.where(active, status, loop.status).astype(loop.status.dtype),
        accepted,
        rejected,
        _put(loop.rows, row, seen),
        steps,
    )


def _chosen(condition, one, other):
    """The one pytree where a condition holds, else the other."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def _followed(norm, before):
    """The error that the size of the next step follows: that of this one, or, where
    that is smaller than those before, between them in logarithms. Estimates of steps
    scatter, and after one that happens to be small the next step would be refused.
    """
    norm = jnp.where(jnp.isfinite(norm), jnp.maximum(norm, _LEAST_ERROR), jnp.inf)
    return jnp.maximum(norm, norm ** (1.0 - _MEMORY) * before**_MEMORY)


def _growth(error, order):
    """Factor from a step's size to the next one's, from the error of the first."""
    return jnp.clip(_SAFETY * error ** (-1.0 / order), _LEAST_FACTOR, _LARGEST_FACTOR)


def _put(buffers, row, values):
    """Buffers with one row replaced."""
    return jax.tree.map(
        lambda leaf, value: jax.lax.dynamic_update_index_in_dim(leaf, value, row, 0),
        buffers,
        values,
    )


def _finish(system, loop: _Loop) -> Marched:
    """The end of the last step, at the cut-off where that ended it."""
    event = loop.status == AT_EVENT
    theta, algebraic = _on_equations(system, loop, _crossing(system, loop), event)
    theta = jnp.where(event, theta, 1.0)
    start = loop.time - loop.size
    end, time, higher = end_of_step(
        system, loop.start, loop.parts, loop.dense, start, loop.size, theta
    )
    end = end._replace(algebraic=jnp.where(event, algebraic, end.algebraic))
    last = loop.num_accepted - 1
    seen = watch(system, end)
    rows = _put(loop.rows, jnp.maximum(last, 0), Rows(time, seen, higher))
    rows = rows._replace(time=jnp.where(event, rows.time, loop.rows.time))
    duration = jnp.where(event, time, loop.time)
    return Marched(
        end, duration, rows, theta, loop.status, loop.num_accepted, loop.num_rejected
    )


def _crossing(system, loop: _Loop):
    """Where along the last step its dense output meets the cut-off."""
    margin = margin_along(system, loop.start, loop.parts, loop.dense)

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        inside = margin(middle) > 0
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    one = jnp.ones_like(loop.time)
    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (0.0 * one, one))
    return 0.5 * (low + high)


def _on_equations(system, loop: _Loop, theta, event):
    """(theta, potentials there) of the cut-off that the equations meet.

    The dense output has an error of the tolerance's in the potentials, which is many
    seconds where they rise slowly, and the step after, from potentials that solve the
    equations, would start with a jump of its current.
    """
    arguments = (system, loop.start, loop.parts, loop.dense)
    margin = margin_along(*arguments)

    def unfinished(carry):
        _, _, moved, count = carry
        return any_lane(event & (jnp.abs(moved) > _ROUNDING) & (count < _CORRECTIONS))

    def correct(carry):
        theta, algebraic, _, count = carry
        columns = end_of_step(*arguments, loop.time, loop.size, theta)[0].columns
        time = loop.time - (1.0 - theta) * loop.size
        conductance = system.conductance_at(columns)
        off, block = system.network_rows(time, columns, conductance, algebraic)
        algebraic = algebraic - system.network_solve(block)(off)
        _, slope = jax.jvp(margin, (theta,), (jnp.ones_like(theta),))
        falls = slope < 0
        later = -system.margin(algebraic) / jnp.where(falls, slope, -1.0)
        later = jnp.where(falls, later, 0.0)
        return jnp.clip(theta + later, 0.0, _FARTHEST), algebraic, later, count + 1

    end, *_ = end_of_step(*arguments, loop.time, loop.size, theta)
    carry = (theta, end.algebraic, jnp.ones_like(theta), jnp.asarray(0))
    theta, algebraic, *_ = jax.lax.while_loop(unfinished, correct, carry)
    return theta, algebraic
