r"""The transpose of a march's tangent, written out: from its last step to its first.

For the stages $W k_i = F(u_i) + M \sum_j c_{ij} k_j / h$ of a step, with
$u_i = y_0 + \sum_j a_{ij} k_j$ and $W = M/(h \gamma) - J(y_0)$,

$$ W^T v_i = \bar k_i, \quad \bar u_i = F'(u_i)^T v_i, \quad
   \bar k_j \mathrel{+}= a_{ij} \bar u_i + c_{ij} M v_i / h, \quad
   \bar J \mathrel{+}= v_i k_i^T $$

One factorisation a step and one transposed solve a stage, as automatic transposition
has it, which takes twice as many kernels on a GPU; and in a form that compiles into one
function on a CPU (`serial`): what was looked up in tables is added to their rows in
place.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..sums import row_at
from .accepted import Last, Steps, bends, watch
from .again import Again, at_start, numbers_of
from .parts import Parts
from .pull import Model, TableSums, lane_of, pull, with_lane, zeros_of_lanes
from .rosenbrock import end_weights
from .serial import largest_lane
from .system import System
from .tableaus import Tableau


class _Sums(NamedTuple):
    """Cotangents gathered on the way back, of one lane or of all."""

    state: Parts
    system: Any  # floating leaves that move, but for the tables

    def plus(self, system, state) -> "_Sums":
        """With cotangents of the system and of the state added."""
        return _Sums(*jax.tree.map(jnp.add, tuple(self), (state, system)))


class _Turns(NamedTuple):
    """From the last step to the first: of a solve by itself, or of one in a batch, all
    lanes of which turn as often as the one with the most steps.
    """

    count: Int[Array, ""]
    most: Int[Array, ""]
    alone: bool

    @staticmethod
    def of(count, alone: bool) -> "_Turns":
        return _Turns(count, count if alone else largest_lane(count), alone)

    def at(self, turn):
        """(the row of a step, whether it is the last one, whether it counts)."""
        row = self.most - 1 - turn
        if self.alone:
            return row, turn == 0, True
        last = self.count - 1
        return jnp.clip(row, 0, jnp.maximum(last, 0)), row == last, row <= last

    def only(self, used, values, others=None):
        """The values where they count, else the others, or zeros."""
        if self.alone:
            return values
        others = jax.tree.map(jnp.zeros_like, values) if others is None else others
        return jax.tree.map(lambda a, b: jnp.where(used, a, b), values, others)


def transposed(
    system: System,
    moves,
    count: Int[Array, ""],
    steps: Steps,
    cotangents: tuple[Last, Array, Array],
    tableau: Tableau,
    *,
    loops: bool,
):
    """Cotangents of (the system's leaves, the state at the start) from those of (the
    last step, the rows of seen values and of higher coefficients) of a march, lane by
    lane. Those of the last step's rows are not read. Where no step was made, what they
    pull back through steps is 0.

    Args:
        system: of the march.
        moves: like the system, None at the leaves whose cotangents are not wanted.
        count: of its steps.
        steps: that it made.
        cotangents: of what it gave, with a leading axis of lanes.
        tableau: of its method.
        loops: whether as one function, for a solve by itself.
    """
    model, turns = Model.of(system, moves, loops, tableau), _Turns.of(count, loops)
    system = model.whole
    last, *rows = cotangents
    last, lanes = system.muted(last), len(rows[0])

    def back(turn, carry):
        row, ends, used = turns.at(turn)
        step = jax.tree.map(lambda leaf: row_at(leaf, row), steps)
        step = step._replace(start=system.filled(step.start))
        again = Again.of(model, step)

        def one(lane, carry):
            every, tables = carry
            knots = [row_at(row_at(leaf, lane), row + 1) for leaf in rows]
            seen = [jnp.where(ends, 0.0, leaf) for leaf in turns.only(used, knots)]
            own, sums = lane_of((last, every), lane)
            own = jax.tree.map(lambda leaf: jnp.where(ends, leaf, 0.0), own)
            of_end = (turns.only(used, sums.state), own.dense, seen)
            of_stages, of_start = _end_back(model, step, *of_end)
            of_start = jax.tree.map(jnp.add, of_start, own.start)
            summed = (sums._replace(state=of_start), (tables, lane))
            found, tables = _stages_back(model, step, again, of_stages, *summed)
            state = turns.only(used, found.state, sums.state)
            return with_lane(every, found._replace(state=state), lane), tables

        return jax.lax.fori_loop(0, lanes, one, carry)

    nothing = (
        _Sums(last.parts, zeros_of_lanes(model.moving, lanes)),
        TableSums.of(system.tables, moves.tables, lanes),
    )
    found = jax.lax.fori_loop(0, turns.most, back, nothing)
    every, tables = turns.only(count > 0, found, nothing)
    begun = partial(_start_back, system, rows[0])
    state = jax.lax.fori_loop(0, lanes, begun, every.state)
    return tables.into(every.system, system), system.own(state)


def _start_back(system: System, rows, lane, state: Parts):
    """Cotangents of the start with those of what is seen of it, in one lane."""
    seen, own = row_at(row_at(rows, lane), 0), lane_of(state, lane)
    (of_start,) = jax.vjp(lambda start: watch(system, start), own)[1](seen)
    return with_lane(state, jax.tree.map(jnp.add, own, of_start), lane)


def _end_back(model, step: Steps, of_end, of_dense: Parts, seen):
    """Cotangents of (a step's stages, its start) from those of (its end, its dense
    coefficients, its rows of seen values and of higher coefficients).
    """
    system, tableau = model.whole, model.tableau
    weights = np.vstack([end_weights(tableau)[None], tableau.dense])
    rows_of = lambda end, dense: (watch(system, end), bends(system, dense))  # linear
    still = jax.tree.map(jnp.zeros_like, (step.start, of_dense))
    seen_end, seen_dense = jax.vjp(rows_of, *still)[1](tuple(seen))
    of_end, of_dense = jax.tree.map(jnp.add, (of_end, of_dense), (seen_end, seen_dense))

    def of_stages(end, dense):
        combined = zip(weights, (end, *dense), strict=True)
        return sum(jnp.multiply.outer(row, part) for row, part in combined)

    return jax.tree.map(of_stages, of_end, of_dense), of_end


def _stages_back(model, step: Steps, again: Again, of_stages, sums: _Sums, tables):
    """(sums, table sums) after the stages of a step, the last first, and after its
    Jacobian. `tables` are the table sums and the lane that they are for.
    """
    time, size, start = step
    tables, lane = tables
    tableau, dtype = model.tableau, of_stages.columns.dtype
    shown = numbers_of(again.jacobian)
    nothing = (jax.tree.map(jnp.zeros_like, shown), jnp.zeros_like(size))
    per_step = 1.0 / size

    def stage(carry, row):
        sums, of_stages, of_jacobian, of_slope = carry
        (index, a, c, node, time_weight), state, value, cubics = row
        right = jax.tree.map(lambda leaf: leaf[index], of_stages)
        found = model.made_once(again.factorised.solve_transposed(right))

        def residual(system, state):
            return system.residual(time + node * size, state)

        (here,) = jax.vjp(lambda s: again.product(s, value), shown)[1](found)
        of_system, of_cubics, of_state = pull(model, residual, state, cubics, found)
        of_state = model.made_once(of_state)
        earlier = jax.tree.map(lambda leaf: jnp.multiply.outer(a, leaf), of_state)
        memory = jnp.multiply.outer(c * per_step, found.columns)
        earlier = earlier._replace(columns=earlier.columns + memory)
        return (
            sums.plus(of_system, of_state),
            jax.tree.map(jnp.add, of_stages, earlier),
            jax.tree.map(jnp.add, of_jacobian, here),
            of_slope + time_weight * size * found.algebraic[-1],
        ), tables.parts(of_cubics, cubics)

    rows = (
        np.arange(tableau.num_stages),
        jnp.asarray(tableau.a, dtype),
        jnp.asarray(tableau.c_matrix, dtype),
        jnp.asarray(tableau.nodes, dtype),
        jnp.asarray(tableau.time_weights, dtype),
    )
    rows = (rows, again.states, again.stages, again.looked.cubics)
    carry = (sums, of_stages, *nothing)
    (sums, _, *of_start), parts = jax.lax.scan(stage, carry, rows, reverse=True)

    cubics = again.looked_at_start.cubics
    begun = at_start(time)
    of_system, of_cubics, of_state = pull(model, begun, start, cubics, tuple(of_start))
    # The first stage is at the start: what it looked up, the Jacobian looked up too.
    first = lambda part, here: jnp.concatenate([part[:1] + here, part[1:]])
    parts = jax.tree.map(first, parts, tables.parts(of_cubics, cubics))
    tables = tables.plus(parts, again.looked, lane, model.add_rows)
    return sums.plus(of_system, of_state), tables
