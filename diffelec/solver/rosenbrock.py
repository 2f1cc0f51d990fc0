"""A Rosenbrock step for M y' = F(t, y) and its dense output.

The step knows of the system only `residual`, `time_slope`, `jacobian` (whose
`solver(shift)` returns r -> (shift M - J)^-1 r, and whose `off` says how far potentials
are off) and `made_once` (which may do nothing),
so it runs any semi-explicit index-1 system, and anywhere jax.lax runs.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..sums import largest, over_rows
from .parts import Parts
from .tableaus import Tableau


@eqx.filter_jit  # so that a solve traces it once, not once a use
def rosenbrock_step(
    system, tableau: Tableau, time, step, state: Parts
) -> tuple[Parts, Parts, Parts, Float[Array, ""]]:
    """One step of size `step` from `time`.

    Returns (new state, error estimate, dense coefficients stacked by power, how far the
    potentials that it began with are off their equations).
    One factorisation, one back-substitution a stage, no iteration.
    """
    jacobian = system.jacobian(time, state)
    solve = jacobian.solver(1.0 / (step * tableau.gamma))
    stages, _, imbalances = stages_of(system, tableau, time, step, state, solve)

    new, dense = end_of(tableau, state, stages)
    error = jax.tree.map(lambda leaf: leaf[-1], stages)
    return new, error, dense, jacobian.off(imbalances[0])


def weighted(weights, stages):
    """Sum of stages. Not a product: one plain kernel, where that costs a library call;
    weights that are known to be 0 are left out.
    """
    pairs = zip(weights, stages, strict=True)
    return sum(w * s for w, s in pairs if not isinstance(w, float) or w)


def end_weights(tableau: Tableau) -> np.ndarray:
    """Weights of the stages in the end of a step."""
    last = tableau.a[-1].copy()
    last[-1] = 1.0
    return last


def end_of(tableau: Tableau, state: Parts, stages: Parts) -> tuple[Parts, Parts]:
    """(end of a step from `state`, dense coefficients by power), or tangents."""
    each = jax.tree.map(list, stages)

    def combined(weights):
        return Parts(*(weighted(weights, stage) for stage in each))

    new = jax.tree.map(jnp.add, state, combined(end_weights(tableau)))
    dense = [combined(row) for row in tableau.dense]
    return new, jax.tree.map(lambda *powers: jnp.stack(powers), *dense)


def stages_of(system, tableau: Tableau, time, step, state: Parts, solve):
    """(stages, the states that the residual was taken at, its algebraic part there),
    stages first.
    """
    slope, per_step = system.time_slope(time, state), 1.0 / step

    def stage_of(node, time_weight, ahead, memory, _):
        force = system.residual(time + node * step, ahead)
        right = force._replace(columns=force.columns + per_step * memory)
        moved = lambda f, slope: f if slope is None else f + time_weight * step * slope
        found = system.made_once(solve(Parts(*map(moved, right, slope))))
        return found, (ahead, force.algebraic)

    stages, seen = over_stages(tableau, state, stage_of)
    return stages, *seen


def over_stages(tableau: Tableau, state: Parts, stage_of, given=None):
    """(stages of a step from `state`, or of a tangent of one, and what is seen on the
    way), stages first, by stage_of(node, weight of the slope in time, the state so far,
    sum of c_ij k_j, row of `given`), which gives both of one stage.
    """
    count, dtype = tableau.num_stages, state.columns.dtype

    def advance(carry, row):
        stages, ahead, memory = carry
        (index, a, c, *instant), own = row
        found, seen = stage_of(*instant, ahead, memory, own)
        put = jax.lax.dynamic_update_index_in_dim
        stages = jax.tree.map(lambda all, one: put(all, one, index, 0), stages, found)
        # The next stage's arguments, written out and carried: look-ups would repeat
        # the sums.
        following = jax.tree.map(lambda y, all: y + weighted(a, all), state, stages)
        return (stages, following, weighted(c, stages.columns)), seen

    following = np.append(np.arange(1, count), 0)
    rows = (
        np.arange(count),
        jnp.asarray(tableau.a[following], dtype),
        jnp.asarray(tableau.c_matrix[following], dtype),
        jnp.asarray(tableau.nodes, dtype),
        jnp.asarray(tableau.time_weights, dtype),
    )
    empty = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), dtype), state)
    start = (empty, state, jnp.zeros_like(state.columns))
    (stages, *_), seen = jax.lax.scan(advance, start, (rows, given))
    return stages, seen


def higher_coefficients(dense: Float[Array, "power ..."]) -> Float[Array, "power ..."]:
    r"""Monomial coefficients 2, 3, … of a step's dense output.

    $$ y(\theta) = y_0 + a_1 \theta + a_2 \theta^2 + …, \quad a_m = k_m - k_{m-1} $$

    with k = 0 after the last power (the form of `tableaus` multiplied out).
    """
    after = jnp.concatenate([dense[1:], jnp.zeros_like(dense[:1])])
    return after - dense


def evaluate_polynomial(start, end, higher, theta):
    """A step's polynomial at theta in [0, 1] from its ends and higher coefficients."""
    higher = list(higher)
    first = end - start - sum(higher)  # no reduction: see `sums.fits`
    value = start + theta * first
    power = theta
    for coefficient in higher:
        power = power * theta
        value = value + power * coefficient
    return value


def error_norm(
    error: Parts, old: Parts, new: Parts, rtol, atol, slack=1.0
) -> Float[Array, ""]:
    """The largest over the columns of each column's RMS, and over the potentials, in
    units of the tolerance; that of the potentials is widened by `slack`.

    An RMS over all unknowns would dilute the one particle that jumps, the more the
    larger the network.
    """
    scaled = jax.tree.map(
        lambda e, a, b: e / (atol + rtol * jnp.maximum(jnp.abs(a), jnp.abs(b))),
        error,
        old,
        new,
    )
    columns = over_rows(jnp.square(scaled.columns)) / scaled.columns.shape[0]
    potentials = largest(jnp.abs(scaled.algebraic)) / slack
    return jnp.maximum(jnp.sqrt(largest(columns)), potentials)
