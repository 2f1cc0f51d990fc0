"""From the start of a protocol step to its end: error control and event location."""

from typing import TYPE_CHECKING, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..sums import largest
from .accepted import (
    AT_END,
    AT_EVENT,
    CHUNK,
    OUT_OF_STEPS,
    RUNNING,
    SETTLING,
    TOO_SMALL,
    Last,
    Made,
    Marched,
    Rows,
    Steps,
    bends,
    end_of_step,
    watch,
)
from .blocks import AbstractFactors
from .cutoff import Ending, corrected
from .parts import Parts
from .quiet import Quiet
from .rosenbrock import error_norm, rosenbrock_step
from .serial import any_lane, arrays_of, serial_or_plain
from .system import System
from .tableaus import Tableau
from .tangent import tangents

if TYPE_CHECKING:
    import diffrax

_FIRST_STEP = 1.0  # s; the controller finds its own from there
_SAFETY, _LEAST_FACTOR, _LARGEST_FACTOR = 0.9, 0.2, 10.0
_LEAST_ERROR = 1e-10  # of those that the next step's size follows
_MEMORY = 0.7  # share of the errors before in what the next step's size follows
_NEWTON = 1e-3  # of the last step: below, a step serves to mend its potentials
_FAR_OFF = 0.01  # V, of potentials off their equations, for the next step to mend
_AGAIN = 0.25  # of the size of a step that left them further off, to make it again
_SHORTEST = 1e-14  # of the time reached: below, a step does not move the clock
_INSTANT = 1e-12  # of a step: in which columns stand still


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
    start, size, end and dense coefficients; `ending` is of one that meets a cut-off.
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
    ending: Ending


def march(
    system: System,
    parts: Parts,
    span: Float[Array, ""],
    tolerances: Tolerances,
    meter: "diffrax.AbstractProgressMeter | Quiet",
    begin: Float[Array, ""],
) -> Marched:
    """Integrates from `parts` at `begin` until the margin of the system's control is 0,
    or until `span` [s]; at once over where that is `begin`.

    Differentiable (forward and reverse mode) in the system, the columns and the span:
    potentials follow the columns, at the start and at the end (see `settled`).
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
    settings["tolerances"] = tolerances
    marched, made = _search(*primals, **settings, record=True)
    moved = tangents(primals, moving, marched, made, tolerances.tableau)
    return (marched[:3], marched[3:]), (moved, (None,) * len(marched[3:]))


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

    quiet = isinstance(meter, Quiet)
    one = quiet and system.is_one
    return (serial_or_plain(serial, plain) if one else plain)(arrays)


def _adapt(system, parts, span, begin, tolerances, meter, *, record):
    """The loop over trial steps, and the end of the last one."""
    loop = _empty(system, parts, span, begin, tolerances, record=record)

    def unfinished(carry):
        status = carry[0].status
        return any_lane((status == RUNNING) | (status == SETTLING))

    def advance(carry):
        loop, progress = carry
        loop = _try_step(system, loop, span, tolerances)
        if not system.serial:
            share = loop.time / jnp.where(span > 0, span, 1.0)
            progress = meter.step(progress, share)
        return loop, progress

    loop, progress = jax.lax.while_loop(unfinished, advance, (loop, meter.init()))
    if not isinstance(meter, Quiet):
        meter.close(progress)
    made = Made(begin, loop.steps, Last(loop.start, loop.parts, loop.dense))
    return _finish(system, loop), made if record else None


def _empty(system, parts, span, begin, tolerances, *, record) -> _Loop:
    """The loop before its first step."""
    rows = _num_rows(tolerances)
    seen = watch(system, parts)
    powers = len(tolerances.tableau.dense)
    zero = jnp.zeros_like(span)

    def zeros(leaf, *shape):
        return jnp.zeros((*shape, *leaf.shape), leaf.dtype)

    def buffer(leaf):
        return zeros(leaf, rows)

    dense = jax.tree.map(lambda leaf: zeros(leaf, powers), parts)
    first = Rows(zero + begin, seen, bends(system, dense))
    knots = jax.tree.map(lambda leaf: zeros(leaf, rows + 1), first)
    # Of the sites alone: to narrow the whole buffer in the end would copy it.
    starts = jax.tree.map(buffer, system.own(parts))
    steps = Steps(buffer(zero), buffer(zero), starts)
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
        rows=_put(knots, 0, first),
        steps=steps if record else None,
        ending=Ending(zero + 1.0, parts, jnp.asarray(0)),
    )


def _try_step(system, loop: _Loop, span, tolerances) -> _Loop:
    """One trial step from the last one's end, or from where that meets its cut-off."""
    settling = loop.status == SETTLING
    room = system.control.next_stop(loop.time, span) - loop.time
    size = jnp.minimum(loop.proposal, room)
    beginning = (loop.time, size, loop.parts)
    theta, parts, _ = loop.ending
    place = loop.time - (1.0 - theta) * loop.size
    inside = (place, _INSTANT * loop.size, parts)
    time, size, state = _chosen(settling, inside, beginning)
    tried = rosenbrock_step(system, tolerances.tableau, time, size, state)
    return _settle(system, _judge(system, loop, tried, span, tolerances), tried[0])


def _judge(system, loop: _Loop, tried, span, tolerances) -> _Loop:
    """A trial step is kept if accurate, and the next size found in any case. Lanes of a
    batch that are done, or settle, stay as they are.
    """
    new, _, dense, off = tried
    active = loop.status == RUNNING
    stop = system.control.next_stop(loop.time, span)
    room = stop - loop.time
    size = jnp.minimum(loop.proposal, room)
    norm = _norm(loop, size, tried, tolerances)
    good = active & (norm <= 1.0)
    # Where U is steep, a step may leave potentials further off their equations, unseen
    # by its estimate, than Newton converges from. Where the next one fails because of
    # that, that one is made again, shorter.
    back = active & ~good & (loop.size > 0) & (off > _FAR_OFF)
    error = _followed(norm, loop.error)
    proposal = size * _growth(error, tolerances.tableau.order)
    cut = good & (room <= loop.proposal)  # by a stop, not by its error
    proposal = jnp.where(cut, jnp.maximum(proposal, loop.proposal), proposal)
    proposal = jnp.where(back, _AGAIN * loop.size, proposal)
    time = jnp.where(room <= loop.proposal, stop, loop.time + size)
    after = (time, loop.parts, size, new, dense)
    loop = _recorded(system, loop, size, after)
    before = (
        jnp.where(back, loop.time - loop.size, loop.time),
        loop.start,
        jnp.where(back, 0.0, loop.size),
        _chosen(back, loop.start, loop.parts),
        loop.dense,
    )
    kept = _chosen(good, after, before)
    accepted = loop.num_accepted + good - back
    rejected = loop.num_rejected + (active & ~good) + back
    status = jnp.select(
        [
            good & (system.margin(new.algebraic) <= 0),
            good & (time >= span),
            accepted + rejected >= tolerances.max_steps,
            proposal <= _SHORTEST * jnp.maximum(time, _FIRST_STEP),
        ],
        [SETTLING, AT_END, OUT_OF_STEPS, TOO_SMALL],
        RUNNING,
    )
    names = ("time", "start", "size", "parts", "dense")
    return loop._replace(
        **dict(zip(names, kept, strict=True)),
        proposal=jnp.where(active, proposal, loop.proposal),
        error=jnp.where(active, jnp.minimum(error, 1.0), loop.error),
        status=jnp.where(active, status, loop.status).astype(loop.status.dtype),
        num_accepted=accepted,
        num_rejected=rejected,
    )


def _norm(loop: _Loop, size, tried, tolerances):
    """The error of a trial step in units of the tolerance.

    Where the last step left potentials off their equations by more than that, they stay
    so however short the next one is. That one corrects them, as an iteration of
    Newton's would, so that it is let pass once it is short.
    """
    new, error, *_ = tried
    slack = jnp.maximum(1.0, _NEWTON * loop.size / size)
    norm = error_norm(error, loop.parts, new, tolerances.rtol, tolerances.atol, slack)
    # A long step that leaves (0, 1) is a wrong one, whatever its estimate: U is steep
    # there. A short one is taken, lest laws that do lead out are met step by step.
    leaves = _inside(loop.parts) & ~_inside(new) & (size > _FIRST_STEP)
    return jnp.where(leaves, jnp.inf, norm)


def _inside(parts: Parts):
    """Whether surfaces, where extremes are, lie between the stoichiometries 0 and 1."""
    return largest(jnp.abs(parts.columns[-1] - 0.5)) < 0.5


def _recorded(system, loop: _Loop, size, after) -> _Loop:
    """With the trial step in the row behind the last accepted one's; the next trial
    overwrites it where this one fails.
    """
    time, _, _, new, dense = after
    row, steps = loop.num_accepted, loop.steps
    seen = Rows(time, watch(system, new), bends(system, dense))
    if steps is not None:
        steps = _put(steps, row, Steps(loop.time, size, system.own(loop.parts)))
    return loop._replace(rows=_put(loop.rows, row + 1, seen), steps=steps)


def _settle(system, loop: _Loop, new: Parts) -> _Loop:
    """Corrects where the last step meets its cut-off by a trial of an instant there."""
    settling = loop.status == SETTLING
    last = Last(loop.start, loop.parts, loop.dense)
    ending, ended = corrected(system, last, loop.ending, new.algebraic, settling)
    status = jnp.where(ended, AT_EVENT, loop.status).astype(loop.status.dtype)
    return loop._replace(status=status, ending=ending)


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
    theta = jnp.where(event, loop.ending.theta, 1.0)
    start = loop.time - loop.size
    end, time, higher = end_of_step(
        system, loop.start, loop.parts, loop.dense, start, loop.size, theta
    )
    settled = jnp.where(event, loop.ending.parts.algebraic, end.algebraic)
    end = end._replace(algebraic=settled)
    duration = jnp.where(event, time, loop.time)
    last = Rows(duration, watch(system, end), higher)
    rows = _put(loop.rows, loop.num_accepted, last)
    return Marched(
        end, duration, rows, theta, loop.status, loop.num_accepted, loop.num_rejected
    )
