r"""A march's tangents, written out: from its first step to its last.

For the stages $W k_i = F(u_i) + M \sum_j c_{ij} k_j / h$ of a step, with
$u_i = y_0 + \sum_j a_{ij} k_j$ and $W = M/(h \gamma) - J(y_0)$,

$$ W \dot k_i = F'(u_i) \dot u_i + F_p(u_i) \dot p + \dot J k_i
   + M \sum_j c_{ij} \dot k_j / h $$

One factorisation a step for all tangents, and for each of them one solve a stage. A
form that compiles into one function on a CPU (`serial`), as `adjoint` is of cotangents.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ..sums import row_at
from .accepted import Last, Steps, bends, watch
from .again import Again, at_start, numbers_of
from .parts import Parts
from .pull import Model, lane_of, with_lane
from .push import TableRows, push
from .rosenbrock import end_of, over_stages
from .system import System
from .tableaus import Tableau


def carried(
    system: System,
    start: Parts,
    count: Int[Array, ""],
    steps: Steps,
    moving: tuple[System, Parts],
    tableau: Tableau,
):
    """Tangents of (the last step, rows of seen values, rows of higher coefficients) of
    a march, lane by lane, the last step's rows left at 0.

    Args:
        system: of the march.
        start: its state at the start.
        count: of its steps.
        steps: that it made.
        moving: tangents of the system and of the start, with a leading axis of lanes;
            None at the system's leaves that do not move.
        tableau: of its method.
    """
    del start  # in the first of the steps
    d_system, d_start = moving
    model = Model.of(system, d_system, True, tableau)
    tables = TableRows.of(d_system.tables)
    system, d_system = model.whole, model.tangents(d_system)
    every = _at_first(system.filled(d_start), len(tableau.dense))
    lanes, knots = len(every.parts.columns), steps.time.size + 1

    def told(last: Last):
        return watch(system, last.parts), bends(system, last.dense)

    def rows_of(first):
        rows = jnp.zeros((lanes, knots, *first.shape[1:]), first.dtype)
        return jax.lax.dynamic_update_slice(rows, first[:, None], [0] * rows.ndim)

    def onward(row, carry):
        step = jax.tree.map(lambda leaf: row_at(leaf, row), steps)
        step = step._replace(start=system.filled(step.start))
        again, ends = Again.of(model, step), row == count - 1

        def one(lane, carry):
            every, rows = carry
            own, before = lane_of((d_system, every), lane)
            at_lane = lambda looked: tables.looked_up(looked, lane)
            last = _step(model, step, again, (own, at_lane, before.parts))

            def put(leaf, values):
                values = jnp.where(ends, 0.0, values)[None, None]
                place = (lane, row + 1, *[0] * (leaf.ndim - 2))
                return jax.lax.dynamic_update_slice(leaf, values, place)

            rows = jax.tree.map(put, rows, told(last))
            return with_lane(every, last, lane), rows

        return jax.lax.fori_loop(0, lanes, one, carry)

    rows = jax.tree.map(rows_of, jax.vmap(told)(every))
    last, rows = jax.lax.fori_loop(0, count, onward, (every, rows))
    return system.own(last), *rows


def _at_first(d_start: Parts, powers: int) -> Last:
    """Tangents of the last step where there was none yet, lanes first."""
    still = jax.tree.map(jnp.zeros_like, d_start)
    dense = jax.tree.map(lambda leaf: jnp.stack([leaf] * powers, axis=1), still)
    return Last(still, d_start, dense)


def _step(model: Model, step: Steps, again: Again, moving) -> Last:
    """Tangents of a step from those of (the system, what is looked up, the start)."""
    d_system, at_lane, d_start = moving
    tableau, (time, size, start) = model.tableau, step
    looked, jacobian = again.looked_at_start, numbers_of(again.jacobian)
    d_jacobian, d_slope = model.made_once(
        push(
            *(model, at_start(time), start, looked.cubics),
            (d_system, at_lane(looked), d_start),
        )
    )

    def stage_of(node, time_weight, ahead, memory, row):
        state, value, looked = row

        def residual(system, state):
            return system.residual(time + node * size, state)

        own = (d_system, at_lane(looked), ahead)
        force = push(model, residual, state, looked.cubics, own)
        product = lambda numbers: again.product(numbers, value)
        _, turned = jax.jvp(product, (jacobian,), (d_jacobian,))
        columns = force.columns + turned.columns + memory / size
        slope = jnp.zeros_like(force.algebraic).at[-1].set(time_weight * size * d_slope)
        right = Parts(columns, force.algebraic + turned.algebraic + slope)
        return model.made_once(again.factorised.solve(right)), None

    given = (again.states, again.stages, again.looked)
    d_stages, _ = over_stages(tableau, d_start, stage_of, given)
    return Last(d_start, *end_of(tableau, d_start, d_stages))
