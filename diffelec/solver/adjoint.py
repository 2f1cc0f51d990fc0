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
from jaxtyping import Array, Float

from .accepted import Marched, Rows, Steps, moved_end
from .bordered import BorderedJacobian, Factorised
from .parts import Parts
from .rosenbrock import end_weights, flat, stages_of, unflat
from .system import System
from .tableaus import Tableau

_OF_JACOBIAN = ("lower", "diagonal", "upper", "drive", "surface")
_OF_JACOBIAN += ("edge_tail", "edge_head", "conductance", "reaction", "control")


class TableSums(NamedTuple):
    """Cotangents of the coefficients of `Tables`, (interval, coefficient and law) each;
    None where nothing moves the table.
    """

    theta: Array | None
    surface: Array | None
    conductivity: Array | None

    @staticmethod
    def of(tables, moving) -> "TableSums":
        """Zeros for the tables whose coefficients are not None in `moving`."""

        def zeros(name):
            if getattr(moving, name).coefficients is None:
                return None
            coefficients = getattr(tables, name).coefficients
            rows = coefficients.shape[-1]
            return jnp.zeros((rows, coefficients.size // rows), coefficients.dtype)

        return TableSums(*map(zeros, TableSums._fields))

    def plus(self, pulled, cubics, offsets) -> "TableSums":
        """With the cotangents `pulled` of cubics, taken at offsets in their intervals,
        added to the tables' rows.
        """

        def add(name, offset):
            sums, own = getattr(self, name), getattr(cubics, name)
            if sums is None:
                return None
            constant, linear, *_ = getattr(pulled, name).coefficients
            shape = (-1, own.index.size)
            parts = (part.reshape(shape) for part in (constant, linear))
            return _add_rows(sums, own.index.reshape(-1), *parts, offset.reshape(-1))

        return TableSums(*map(add, TableSums._fields, offsets))

    def into(self, tables):
        """As coefficients of tables; zeros become None."""
        for name, sums in zip(TableSums._fields, self, strict=True):
            table = getattr(tables, name)
            shape = table.coefficients.shape
            value = None if sums is None else sums.T.reshape(shape)
            place = lambda t, name=name: getattr(t, name).coefficients
            tables = eqx.tree_at(place, tables, value, is_leaf=lambda x: x is None)
        return tables


def _add_rows(sums, index, constant, linear, offset):
    """`sums` with rows added at `index`, one after another: some may coincide.

    A cubic's value and slope are linear in its coefficients, so the cotangents of the
    first two (law, point) tell those of the others.
    """

    def add(k, sums):
        at, s, c0, c1 = index[k], offset[k], constant[:, k], linear[:, k]
        u = c1 - s * c0
        row = jnp.concatenate([c0, c1, s * (c1 + u), s * s * (c1 + 2.0 * u)])
        row = row + jax.lax.dynamic_index_in_dim(sums, at, 0, False)
        return jax.lax.dynamic_update_index_in_dim(sums, row, at, 0)

    return jax.lax.fori_loop(0, index.size, add, sums)


class _Sums(NamedTuple):
    """Cotangents gathered on the way back."""

    state: Float[Array, " unknown"]
    system: Any  # floating leaves that move, but for the tables
    span: Float[Array, ""]
    tables: TableSums


class _Model(NamedTuple):
    """The system in two, and the method."""

    moving: Any
    fixed: Any
    tableau: Tableau

    def system(self, moving) -> System:
        return eqx.combine(moving, self.fixed)


class _Again(NamedTuple):
    """What a step computed, computed again."""

    jacobian: BorderedJacobian
    factorised: Factorised
    stages: Float[Array, "stage unknown"]
    states: Float[Array, "stage unknown"]


def transposed(
    system: System,
    moves,
    span: Float[Array, ""],
    marched: Marched,
    steps: Steps,
    cotangents: tuple[Parts, Array, Rows],
    tableau: Tableau,
):
    """Cotangents of (the system's leaves, the state at the start, the span) from those
    of (the state at the end, the duration, the rows) of a march.

    Args:
        system: of the march.
        moves: like the system, None at the leaves whose cotangents are not wanted.
        span: of the march [s].
        marched: what it gave.
        steps: that it made.
        cotangents: of what it gave.
        tableau: of its method.
    """
    end, duration, rows = cotangents
    system, moves = system.with_loops(), moves.with_loops()
    count = marched.num_accepted
    rows = rows._replace(time=rows.time.at[jnp.maximum(count - 1, 0)].add(duration))
    wanted = jax.tree.map(
        lambda leaf: leaf is not None, moves, is_leaf=lambda leaf: leaf is None
    )
    no_tables = jax.tree.map(lambda _: False, wanted.tables)
    wanted = eqx.tree_at(lambda w: w.tables, wanted, no_tables)
    model = _Model(*eqx.partition(system, wanted), tableau)

    def back(turn, sums):
        row = count - 1 - turn
        of_row = lambda leaf: jax.lax.dynamic_index_in_dim(leaf, row, 0, False)
        step, seen = jax.tree.map(of_row, (steps, rows))
        last = turn == 0
        ending = (jnp.where(last, marched.theta, 1.0), last, marched.status)
        return _step_back(model, step, span, ending, seen, sums)

    sums = _Sums(
        flat(end),
        jax.tree.map(jnp.zeros_like, model.moving),
        jnp.zeros_like(span),
        TableSums.of(system.tables, moves.tables),
    )
    sums = jax.lax.fori_loop(0, count, back, sums)
    of_tables = sums.tables.into(system.tables)
    of_system = eqx.tree_at(
        lambda s: s.tables, sums.system, of_tables, is_leaf=lambda x: x is None
    )
    of_system = dataclasses.replace(of_system, serial=False)
    return of_system, unflat(sums.state, end), sums.span


def _step_back(model: _Model, step: Steps, span, ending, seen: Rows, sums: _Sums):
    """One accepted step, backwards."""
    time, size, start = step
    tableau, system = model.tableau, model.system(model.moving)
    jacobian = system.jacobian(time, start)
    factorised = jacobian.factorised(1.0 / (size * tableau.gamma))
    solve = factorised.solve
    stages, states = stages_of(system, tableau, time, size, start, solve)
    weights = np.vstack([end_weights(tableau)[None], tableau.dense])
    change, *dense = (
        sum(w * stage for w, stage in zip(row, stages, strict=True) if w)
        for row in weights
    )

    def end_of(moving, start, change, dense, span):
        new, old = (unflat(v, step.start) for v in (start + change, start))
        dense = unflat(jnp.stack(dense), step.start)
        system = model.system(moving)
        return moved_end(system, old, new, dense, time, size, span, *ending)

    _, pull = jax.vjp(end_of, model.moving, flat(start), change, dense, span)
    of_system, of_start, of_change, of_dense, of_span = pull(
        (unflat(sums.state, start), *seen)
    )
    combined = zip(weights, (of_change, *of_dense), strict=True)
    of_stages = sum(row[:, None] * part for row, part in combined)
    sums = _Sums(
        of_start,
        jax.tree.map(jnp.add, sums.system, of_system),
        sums.span + of_span,
        sums.tables,
    )
    again = _Again(jacobian, factorised, stages, states)
    return _stages_back(model, step, again, of_stages, sums)


def _stages_back(model: _Model, step: Steps, again: _Again, of_stages, sums: _Sums):
    """The stages of a step backwards, the last first, then its Jacobian."""
    time, size, start = step
    tableau, dtype = model.tableau, of_stages.dtype
    shown = {name: getattr(again.jacobian, name) for name in _OF_JACOBIAN}
    nothing = (jax.tree.map(jnp.zeros_like, shown), jnp.zeros_like(size))

    def stage(carry, row):
        sums, of_stages, of_jacobian, of_slope = carry
        index, a, c, node, time_weight = row
        state = unflat(again.states[index], start)
        value = unflat(again.stages[index], start)
        found = again.factorised.solve_transposed(unflat(of_stages[index], start))

        def product(shown):
            return dataclasses.replace(again.jacobian, **shown).product(value)

        def residual(system, state):
            return system.residual(time + node * size, state)

        (here,) = jax.vjp(product, shown)[1](found)
        of_state, sums = _pulled(model, residual, state, found, sums)
        memory = jnp.pad(found.columns.reshape(-1) / size, (0, found.algebraic.size))
        return (
            sums._replace(state=sums.state + of_state),
            of_stages + a[:, None] * of_state + c[:, None] * memory,
            jax.tree.map(jnp.add, of_jacobian, here),
            of_slope + time_weight * size * found.algebraic[-1],
        ), None

    rows = (
        np.arange(tableau.num_stages),
        jnp.asarray(tableau.a, dtype),
        jnp.asarray(tableau.c_matrix, dtype),
        jnp.asarray(tableau.nodes, dtype),
        jnp.asarray(tableau.time_weights, dtype),
    )
    carry = (sums, of_stages, *nothing)
    (sums, _, *of_start), _ = jax.lax.scan(stage, carry, rows, reverse=True)

    def begun(system, state):
        jacobian = system.jacobian(time, state)
        slope = system.time_slope(time, state).algebraic[-1]
        return [{name: getattr(jacobian, name) for name in _OF_JACOBIAN}, slope]

    of_state, sums = _pulled(model, begun, start, of_start, sums)
    return sums._replace(state=sums.state + of_state)


def _pulled(model: _Model, function, state: Parts, cotangent, sums: _Sums):
    """(cotangent of the state, sums with those of the system) of function(system,
    state), whose look-ups are those of the tables at the state.
    """
    system = model.system(model.moving)
    tables = system.at(state.columns).tables
    offsets = tables.offsets(state.columns, system.probed(state.columns))
    cubics, index = eqx.partition(tables, eqx.is_inexact_array)

    def of(moving, cubics, state):
        here = eqx.combine(cubics, index)
        system = dataclasses.replace(model.system(moving), tables=here)
        return function(system, state)

    _, pull = jax.vjp(of, model.moving, cubics, state)
    of_system, of_cubics, of_state = pull(cotangent)
    return flat(of_state), sums._replace(
        system=jax.tree.map(jnp.add, sums.system, of_system),
        tables=sums.tables.plus(of_cubics, tables, offsets),
    )
