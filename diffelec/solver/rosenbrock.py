"""A Rosenbrock step for M y' = F(t, y) and its dense output.

The step knows of the system only `residual`, `time_slope` and `jacobian` (whose
`solver(shift)` returns r -> (shift M - J)^-1 r), so it runs any semi-explicit index-1
system, and anywhere jax.lax runs.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .parts import Parts
from .tableaus import Tableau


def flat(parts: Parts) -> Float[Array, " unknowns"]:
    """Columns and network as one vector."""
    return jnp.concatenate([parts.columns.reshape(-1), parts.algebraic])


def unflat(vector, like: Parts) -> Parts:
    """Vectors (..., unknowns) as `Parts` with the shapes of `like`."""
    size = like.columns.size
    columns = vector[..., :size].reshape(*vector.shape[:-1], *like.columns.shape)
    return Parts(columns, vector[..., size:])


@eqx.filter_jit  # so that a solve traces it once, not once a use
def rosenbrock_step(
    system, tableau: Tableau, time, step, state: Parts
) -> tuple[Parts, Parts, Parts]:
    """One step of size `step` from `time`.

    Returns (new state, error estimate, dense coefficients stacked by power).
    One factorisation, one back-substitution a stage, no iteration.
    """
    solve = system.jacobian(time, state).solver(1.0 / (step * tableau.gamma))
    stages, _ = stages_of(system, tableau, time, step, state, solve)

    def combined(weights):  # not a product: see `stages_of`
        return sum(w * stage for w, stage in zip(weights, stages, strict=True) if w)

    new = unflat(flat(state) + combined(end_weights(tableau)), state)
    dense = unflat(jnp.stack([combined(row) for row in tableau.dense]), state)
    return new, unflat(stages[-1], state), dense


def end_weights(tableau: Tableau) -> np.ndarray:
    """Weights of the stages in the end of a step."""
    last = tableau.a[-1].copy()
    last[-1] = 1.0
    return last


def stages_of(system, tableau: Tableau, time, step, state: Parts, solve):
    """(stages, the states that the residual was taken at), (stage, unknown) each."""
    slope = system.time_slope(time, state)
    start = flat(state)
    count = tableau.num_stages

    def advance(carry, row):
        stages, ahead, memory = carry
        index, a, c, node, time_weight = row
        force = system.residual(time + node * step, unflat(ahead, state))
        right = Parts(
            force.columns
            + unflat(memory, state).columns / step
            + time_weight * step * slope.columns,
            force.algebraic + time_weight * step * slope.algebraic,
        )
        stages = stages.at[index].set(flat(solve(right)))
        # The next stage's arguments, written out and carried: one plain kernel, where
        # a small product costs a library call and look-ups would repeat the sum.
        following = start + sum(a[j] * stages[j] for j in range(count))
        memory = sum(c[j] * stages[j] for j in range(count))
        return (stages, following, memory), ahead

    dtype = start.dtype
    following = np.append(np.arange(1, count), 0)
    rows = (
        np.arange(count),
        jnp.asarray(tableau.a[following], dtype),
        jnp.asarray(tableau.c_matrix[following], dtype),
        jnp.asarray(tableau.nodes, dtype),
        jnp.asarray(tableau.time_weights, dtype),
    )
    empty = jnp.zeros((count, start.size), dtype)
    carry, seen = jax.lax.scan(advance, (empty, start, jnp.zeros_like(start)), rows)
    return carry[0], seen


def higher_coefficients(dense: Float[Array, "power ..."]) -> Float[Array, "power ..."]:
    r"""Monomial coefficients 2, 3, … of a step's dense output.

    $$ y(\theta) = y_0 + a_1 \theta + a_2 \theta^2 + …, \quad a_m = k_m - k_{m-1} $$

    with k = 0 after the last power (the form of `tableaus` multiplied out).
    """
    after = jnp.concatenate([dense[1:], jnp.zeros_like(dense[:1])])
    return after - dense


def evaluate_polynomial(start, end, higher, theta):
    """A step's polynomial at theta in [0, 1] from its ends and higher coefficients."""
    first = end - start - sum(higher)  # no reduction: see `serial.fits`
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
    columns = jnp.mean(jnp.square(scaled.columns), axis=0)
    potentials = jnp.max(jnp.abs(scaled.algebraic)) / slack
    return jnp.maximum(jnp.sqrt(jnp.max(columns)), potentials)
