"""A Rosenbrock step for M y' = F(t, y), and its adapter to diffrax.

The pure step knows of the system only `residual`, `time_slope` and `jacobian` (whose
`solver(shift)` returns r -> (shift M - J)^-1 r), so it runs any semi-explicit index-1
system, and anywhere jax.lax runs.
"""

from collections.abc import Callable

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .parts import Parts
from .tableaus import Tableau


def _flat(parts: Parts) -> Float[Array, " unknowns"]:
    return jnp.concatenate([parts.columns.reshape(-1), parts.algebraic])


def _unflat(vector, like: Parts) -> Parts:
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
    dtype = state.columns.dtype
    solve = system.jacobian(time, state).solver(1.0 / (step * tableau.gamma))
    slope = system.time_slope(time, state)

    start = _flat(state)
    count = tableau.num_stages

    def advance(carry, row):
        stages, ahead, memory = carry
        index, a, c, node, time_weight = row
        force = system.residual(time + node * step, _unflat(ahead, state))
        right = Parts(
            force.columns
            + _unflat(memory, state).columns / step
            + time_weight * step * slope.columns,
            force.algebraic + time_weight * step * slope.algebraic,
        )
        stages = stages.at[index].set(_flat(solve(right)))
        # The next stage's arguments, written out and carried: one plain kernel, where
        # a small product costs a library call and look-ups would repeat the sum.
        ahead = start + sum(a[j] * stages[j] for j in range(count))
        memory = sum(c[j] * stages[j] for j in range(count))
        return (stages, ahead, memory), None

    following = np.append(np.arange(1, count), 0)
    rows = (
        np.arange(count),
        jnp.asarray(tableau.a[following], dtype),
        jnp.asarray(tableau.c_matrix[following], dtype),
        jnp.asarray(tableau.nodes, dtype),
        jnp.asarray(tableau.time_weights, dtype),
    )
    empty = jnp.zeros((count, start.size), dtype)
    carry, _ = jax.lax.scan(advance, (empty, start, jnp.zeros_like(start)), rows)
    stages = carry[0]
    last = tableau.a[-1].copy()
    last[-1] = 1.0
    ends = jnp.asarray(np.concatenate([last[None], tableau.dense]), dtype) @ stages
    new = _unflat(start + ends[0], state)
    return new, _unflat(stages[-1], state), _unflat(ends[1:], state)


class Travelling(eqx.Module):
    """The state as diffrax carries it: the unknowns and what was seen of the last step.

    `watched` holds the second and higher coefficients of the watched quantities'
    polynomials over the step that ends here, so that a solve can store trajectories
    without storing columns.
    """

    parts: Parts
    watched: Float[Array, "power quantity"]


def higher_coefficients(dense: Float[Array, "power ..."]) -> Float[Array, "power ..."]:
    r"""Monomial coefficients 2, 3, … of a step's dense output.

    $$ y(\theta) = y_0 + a_1 \theta + a_2 \theta^2 + …, \quad a_m = k_m - k_{m-1} $$

    with k = 0 after the last power (the form of `tableaus` multiplied out).
    """
    after = jnp.concatenate([dense[1:], jnp.zeros_like(dense[:1])])
    return after - dense


def evaluate_polynomial(start, end, higher, theta):
    """A step's polynomial at theta in [0, 1] from its ends and higher coefficients."""
    first = end - start - jnp.sum(higher, axis=0)
    value = start + theta * first
    power = theta
    for coefficient in higher:
        power = power * theta
        value = value + power * coefficient
    return value


class StepPolynomial(diffrax.AbstractLocalInterpolation):
    """Dense output of one step, for event location by diffrax."""

    t0: Float[Array, ""]
    t1: Float[Array, ""]
    start: Parts
    end: Parts
    dense: Parts
    watched: Float[Array, "power quantity"]

    def evaluate(self, t0, t1=None, left=True):
        del left
        if t1 is not None:
            raise ValueError("`StepPolynomial` evaluates at one instant, not a span.")
        theta = (t0 - self.t0) / (self.t1 - self.t0)
        parts = jax.tree.map(
            lambda a, b, k: evaluate_polynomial(a, b, higher_coefficients(k), theta),
            self.start,
            self.end,
            self.dense,
        )
        powers = theta ** jnp.arange(2, 2 + self.watched.shape[0])
        return Travelling(parts, self.watched * powers[:, None])


class Rosenbrock(diffrax.AbstractAdaptiveSolver):
    """`rosenbrock_step` as a diffrax solver.

    `args` is the system; the term's vector field is not used. `watch` maps `Parts` to
    the quantities whose polynomials travel with the state (linear).
    """

    tableau: Tableau = eqx.field(static=True)
    watch: Callable = eqx.field(static=True)

    term_structure = diffrax.AbstractTerm
    interpolation_cls = StepPolynomial

    def order(self, terms):
        return self.tableau.order

    def error_order(self, terms):
        return float(self.tableau.order)

    def init(self, terms, t0, t1, y0, args):
        return None

    def func(self, terms, t0, y0, args):
        return Travelling(args.residual(t0, y0.parts), jnp.zeros_like(y0.watched))

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        del terms, made_jump
        new, error, dense = rosenbrock_step(args, self.tableau, t0, t1 - t0, y0.parts)
        seen = jax.vmap(self.watch, in_axes=(None, 0))(args, dense)
        watched = higher_coefficients(seen)
        y1 = Travelling(new, watched)
        y_error = Travelling(error, jnp.zeros_like(watched))
        dense_info = dict(start=y0.parts, end=new, dense=dense, watched=watched)
        return y1, y_error, dense_info, solver_state, diffrax.RESULTS.successful


def error_norm(scaled: Travelling) -> Float[Array, ""]:
    """The largest over the columns of each column's RMS, and over the potentials.

    An RMS over all unknowns would dilute the one particle that jumps, the more the
    larger the network.
    """
    columns = jnp.mean(jnp.square(scaled.parts.columns), axis=0)
    return jnp.maximum(
        jnp.sqrt(jnp.max(columns)), jnp.max(jnp.abs(scaled.parts.algebraic))
    )
