r"""The transpose of a march's tangent, written out: from its last step to its first.

For the stages $W k_i = F(u_i) + M \sum_j c_{ij} k_j / h$ of a step, with
$u_i = y_0 + \sum_j a_{ij} k_j$ and $W = M/(h \gamma) - J(y_0)$,

$$ W^T v_i = \bar k_i, \quad \bar u_i = F'(u_i)^T v_i, \quad
   \bar k_j \mathrel{+}= a_{ij} \bar u_i + c_{ij} M v_i / h, \quad
   \bar J \mathrel{+}= v_i k_i^T $$

One factorisation a step and one transposed solve a stage, as automatic transposition
has it; but in a form that compiles into one function on a CPU (`serial`): what was
looked up in tables is added to their rows in place.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..sums import row_at, with_row
from ..tables import Tables
from .accepted import Last, Steps, bends, watch
from .bordered import BorderedJacobian, Factorised
from .parts import Parts
from .rosenbrock import end_weights, stages_of
from .system import System
from .tableaus import Tableau

_OF_JACOBIAN = ("lower", "diagonal", "upper", "drive", "surface")
_OF_JACOBIAN += ("edge_tail", "edge_head", "conductance", "reaction", "control")
_OF_JACOBIAN += ("exchange",)


class TableSums(NamedTuple):
    """Cotangents of the coefficients of `Tables`, (lane and interval, coefficient and
    law) each; None where nothing moves the table.
    """

    theta: Array | None
    surface: Array | None
    conductivity: Array | None

    @staticmethod
    def of(tables, moving, lanes: int) -> "TableSums":
        """Zeros for the tables whose coefficients are not None in `moving`."""

        def zeros(name):
            if getattr(moving, name).coefficients is None:
                return None
            coefficients = getattr(tables, name).coefficients
            rows = coefficients.shape[-1]
            width = coefficients.size // rows
            return jnp.zeros((lanes * rows, width), coefficients.dtype)

        return TableSums(*map(zeros, TableSums._fields))

    def parts(self, pulled: Tables, cubics: Tables) -> "TableSums":
        """Of cotangents of cubics, those of the first two coefficients, (point,
        coefficient and law), where the table moves.
        """

        def first_two(name):
            if getattr(self, name) is None:
                return None
            constant, linear, *_ = getattr(pulled, name).coefficients
            points = getattr(cubics, name).index.size
            return jnp.stack([constant, linear]).reshape(-1, points).T

        return TableSums(*map(first_two, TableSums._fields))

    def plus(self, parts: "TableSums", looked: "_LookedUp", lane) -> "TableSums":
        """With `parts` of every stage (stage, point, coefficient and law) added to the
        rows of a lane's tables.
        """

        def add(name, offset):
            sums, part = getattr(self, name), getattr(parts, name)
            if sums is None:
                return None
            own = getattr(looked.cubics, name)
            rows = own.index.reshape(-1) + lane * own.count
            part = part.reshape(-1, part.shape[-1])
            return _add_rows(sums, rows, part, offset.reshape(-1))

        return TableSums(*map(add, TableSums._fields, looked.offsets))

    def into(self, tables):
        """As coefficients of tables, lanes first; zeros become None."""
        for name, sums in zip(TableSums._fields, self, strict=True):
            table = getattr(tables, name)
            shape = table.coefficients.shape
            value = None
            if sums is not None:
                lanes = sums.reshape(-1, shape[-1], sums.shape[1])
                value = jnp.swapaxes(lanes, 1, 2).reshape(-1, *shape)
            place = lambda t, name=name: getattr(t, name).coefficients
            tables = eqx.tree_at(place, tables, value, is_leaf=lambda x: x is None)
        return tables


def _add_rows(sums, index, parts, offset):
    """`sums` with rows added at `index`, one after another: some may coincide.

    A cubic's value and slope are linear in its coefficients, so the cotangents of the
    first two, `parts`, tell those of the others.
    """

    def add(k, sums):
        at, s = index[k], offset[k]
        c0, c1 = jnp.split(row_at(parts, k), 2)
        u = c1 - s * c0
        row = jnp.concatenate([c0, c1, s * (c1 + u), s * s * (c1 + 2.0 * u)])
        return with_row(sums, row + row_at(sums, at), at)

    return jax.lax.fori_loop(0, index.size, add, sums)


class _Sums(NamedTuple):
    """Cotangents gathered on the way back, of one lane or of all."""

    state: Parts
    system: Any  # floating leaves that move, but for the tables

    def plus(self, system, state) -> "_Sums":
        """With cotangents of the system and of the state added."""
        return _Sums(*jax.tree.map(jnp.add, tuple(self), (state, system)))


class _Model(NamedTuple):
    """The system in two, and the method."""

    moving: Any
    fixed: Any
    tableau: Tableau

    def system(self, moving) -> System:
        return eqx.combine(moving, self.fixed)

    def made_once(self, tree):
        """As the system does."""
        return self.system(self.moving).made_once(tree)


class _LookedUp(NamedTuple):
    """Cubics of the tables at the states of a step's stages, and the places within
    their intervals; stages first.
    """

    cubics: Tables
    offsets: tuple[Array, ...]


class _Again(NamedTuple):
    """What a step computed, computed again."""

    jacobian: BorderedJacobian
    factorised: Factorised
    stages: Parts
    states: Parts
    looked: _LookedUp


def transposed(
    system: System,
    moves,
    count: Int[Array, ""],
    steps: Steps,
    cotangents: tuple[Last, Array, Array],
    tableau: Tableau,
):
    """Cotangents of (the system's leaves, the state at the start) from those of (the
    last step, the rows of seen values and of higher coefficients) of a march, lane by
    lane. Those of the last step's rows are not read.

    Args:
        system: of the march.
        moves: like the system, None at the leaves whose cotangents are not wanted.
        count: of its steps.
        steps: that it made.
        cotangents: of what it gave, with a leading axis of lanes.
        tableau: of its method.
    """
    parted = eqx.partition(system, _but_tables(moves))
    model = _Model(*(part.with_loops() for part in parted), tableau)
    system = system.with_loops()
    last, *rows = cotangents
    last = Last(*(_muted(system, parts) for parts in last))
    lanes = len(rows[0])

    def back(turn, carry):
        row, ends = count - 1 - turn, turn == 0
        step = jax.tree.map(lambda leaf: row_at(leaf, row), steps)
        step = step._replace(start=system.filled(step.start))
        again = _compute_again(model, step)

        def one(lane, carry):
            every, tables = carry
            knots = (row_at(row_at(leaf, lane), row + 1) for leaf in rows)
            seen = [jnp.where(ends, 0.0, leaf) for leaf in knots]
            own = jax.tree.map(lambda leaf: row_at(leaf, lane), last)
            own = jax.tree.map(lambda leaf: jnp.where(ends, leaf, 0.0), own)
            sums = jax.tree.map(lambda leaf: row_at(leaf, lane), every)
            of_end = (sums.state, own.dense, seen)
            of_stages, of_start = _end_back(model, step, *of_end)
            of_start = jax.tree.map(jnp.add, of_start, own.start)
            sums = sums._replace(state=of_start)
            summed = (sums, (tables, lane))
            sums, tables = _stages_back(model, step, again, of_stages, *summed)
            return jax.tree.map(lambda a, b: with_row(a, b, lane), every, sums), tables

        return jax.lax.fori_loop(0, lanes, one, carry)

    def begun(lane, state):
        seen = row_at(row_at(rows[0], lane), 0)
        own = jax.tree.map(lambda leaf: row_at(leaf, lane), state)
        (of_start,) = jax.vjp(lambda start: watch(system, start), own)[1](seen)
        own = jax.tree.map(jnp.add, own, of_start)
        return jax.tree.map(lambda a, b: with_row(a, b, lane), state, own)

    like = lambda leaf: jnp.zeros((lanes, *leaf.shape), leaf.dtype)
    carry = (
        _Sums(last.parts, jax.tree.map(like, model.moving)),
        TableSums.of(system.tables, moves.tables, lanes),
    )
    every, tables = jax.lax.fori_loop(0, count, back, carry)
    state = jax.lax.fori_loop(0, lanes, begun, every.state)
    of_system = eqx.tree_at(
        lambda s: s.tables,
        every.system.plain(),
        tables.into(system.tables),
        is_leaf=lambda leaf: leaf is None,
    )
    return of_system, system.own(state)


def _muted(system: System, parts: Parts) -> Parts:
    """Cotangents of columns in all lanes; zeros in those that repeat a site."""
    return parts._replace(columns=system.topology.muted(parts.columns))


def _but_tables(moves):
    """Which leaves of a system move, its tables left out."""
    is_none = lambda leaf: leaf is None
    wanted = jax.tree.map(lambda leaf: leaf is not None, moves, is_leaf=is_none)
    none = jax.tree.map(lambda _: False, wanted.tables)
    return eqx.tree_at(lambda w: w.tables, wanted, none)


def _compute_again(model: _Model, step: Steps) -> _Again:
    """One accepted step, forwards."""
    time, size, start = step
    tableau, system = model.tableau, model.system(model.moving)
    jacobian = system.jacobian(time, start)
    factorised = jacobian.factorised(1.0 / (size * tableau.gamma))
    solve = factorised.solve
    stages, states, _ = stages_of(system, tableau, time, size, start, solve)

    def look_up(_, columns):
        cubics, places = system.at(columns).tables, system.looked_at(columns)
        return None, _LookedUp(cubics, cubics.offsets(*places))

    _, looked = jax.lax.scan(look_up, None, states.columns)
    return _Again(jacobian, factorised, stages, states, looked)


def _end_back(model, step: Steps, of_end, of_dense: Parts, seen):
    """Cotangents of (a step's stages, its start) from those of (its end, its dense
    coefficients, its rows of seen values and of higher coefficients).
    """
    system, tableau = model.system(model.moving), model.tableau
    weights = np.vstack([end_weights(tableau)[None], tableau.dense])
    rows_of = lambda end, dense: (watch(system, end), bends(system, dense))  # linear
    still = jax.tree.map(jnp.zeros_like, (step.start, of_dense))
    seen_end, seen_dense = jax.vjp(rows_of, *still)[1](tuple(seen))
    of_end, of_dense = jax.tree.map(jnp.add, (of_end, of_dense), (seen_end, seen_dense))

    def of_stages(end, dense):
        combined = zip(weights, (end, *dense), strict=True)
        return sum(jnp.multiply.outer(row, part) for row, part in combined)

    return jax.tree.map(of_stages, of_end, of_dense), of_end


def _stages_back(model, step: Steps, again: _Again, of_stages, sums: _Sums, tables):
    """(sums, table sums) after the stages of a step, the last first, and after its
    Jacobian. `tables` are the table sums and the lane that they are for.
    """
    time, size, start = step
    tables, lane = tables
    tableau, dtype = model.tableau, of_stages.columns.dtype
    shown = {name: getattr(again.jacobian, name) for name in _OF_JACOBIAN}
    nothing = (jax.tree.map(jnp.zeros_like, shown), jnp.zeros_like(size))
    per_step = 1.0 / size

    def stage(carry, row):
        sums, of_stages, of_jacobian, of_slope = carry
        (index, a, c, node, time_weight), state, value, cubics = row
        right = jax.tree.map(lambda leaf: leaf[index], of_stages)
        found = model.made_once(again.factorised.solve_transposed(right))

        def product(shown):
            return dataclasses.replace(again.jacobian, **shown).product(value)

        def residual(system, state):
            return system.residual(time + node * size, state)

        (here,) = jax.vjp(product, shown)[1](found)
        of_system, of_cubics, of_state = _pull(model, residual, state, cubics, found)
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

    def begun(system, state):
        jacobian = system.jacobian(time, state)
        slope = system.time_slope(time, state).algebraic[-1]
        return [{name: getattr(jacobian, name) for name in _OF_JACOBIAN}, slope]

    cubics = jax.tree.map(lambda leaf: leaf[0], again.looked.cubics)
    of_system, of_cubics, of_state = _pull(model, begun, start, cubics, of_start)
    # The first stage is at the start: what it looked up, the Jacobian looked up too.
    first = lambda part, here: jnp.concatenate([part[:1] + here, part[1:]])
    parts = jax.tree.map(first, parts, tables.parts(of_cubics, cubics))
    return sums.plus(of_system, of_state), tables.plus(parts, again.looked, lane)


def _pull(model: _Model, function, state: Parts, cubics: Tables, cotangent):
    """Cotangents of (system, cubics, state) of function(system, state), where the
    system looks up those cubics.
    """
    floats, index = eqx.partition(cubics, eqx.is_inexact_array)

    def of(moving, floats, state):
        tables = eqx.combine(floats, index)
        system = dataclasses.replace(model.system(moving), tables=tables)
        return function(system, state)

    *pulled, of_state = jax.vjp(of, model.moving, floats, state)[1](cotangent)
    return *pulled, of_state
