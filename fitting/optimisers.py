"""Optimisers: from one iterate of a search to the next, as pure functions.

To add one, add one final class with `init`, `advance` and `finish`.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int

from .problem import Problem

_DOUBTED, _REJECTED = 6, 8  # steps in a row after which a search may end
_LONGEST = 2.0  # of one step, in standard deviations of the prior
_ALIKE = 0.5  # squared cosine between steps that go the same way
_SHARE = 0.375  # of a step, that its bend may add at most


class Iterate(eqx.Module):
    """Where a search is.

    Attributes:
        raw: best point so far.
        loss: half the sum of squared rows there, prior included.
        promised: how much lower the slopes say that it could be; 0 where not known.
        done: whether the search is over.
        num_evaluations: solves so far.
        num_failed: how many of them failed.
        inner: what else the optimiser keeps.
    """

    raw: Float[Array, " component"]
    loss: Float[Array, ""]
    promised: Float[Array, ""]
    done: Bool[Array, ""]
    num_evaluations: Int[Array, ""]
    num_failed: Int[Array, ""]
    inner: Any


class AbstractOptimiser(eqx.Module):
    """From one iterate to the next; pure, so that iterations compile and batch."""

    @abc.abstractmethod
    def init(self, problem: Problem, raw: Float[Array, " component"]) -> Iterate:
        """The iterate of a start; nothing is solved yet."""

    @abc.abstractmethod
    def advance(self, problem: Problem, iterate: Iterate) -> Iterate:
        """One iteration."""

    @abc.abstractmethod
    def finish(self, problem: Problem, iterate: Iterate):
        """Rows of the data, the slopes that say what they tell, and the prediction at
        the iterate.
        """


class LevenbergMarquardt(AbstractOptimiser):
    r"""Damped Gauss-Newton on the rows (optimistix), Jacobian by forward mode.

    It has settled where a full step promises to lower the loss by less than
    `tolerance`, $$ \tfrac12 g^T (J^T J)^{-1} g < \epsilon $$: 1e-3 means within
    sqrt(2e-3) = 0.045 standard deviations of the optimum, in every direction. It has
    stalled where steps are refused though the next one, damped, promises no more than
    that. No step is longer than two deviations of the prior: precise times that are far
    off ask for longer ones, which end where nothing has a slope any more. Few precise
    times leave narrow valleys that bend, and steps bend with them (see `_bent`).
    """

    tolerance: float = eqx.field(static=True, default=1e-3)

    @property
    def _solver(self):
        solver = optx.LevenbergMarquardt(rtol=1e-12, atol=1e-12)
        # Damping falls where a step does 3/4 of what was promised, not 99 %.
        search = optx.ClassicalTrustRegion(high_cutoff=0.75, high_constant=10.0)
        return eqx.tree_at(lambda s: s.search, solver, search)

    def init(self, problem, raw):
        # Without the slopes, whose tracing would take as long as a first step's.
        asked = lambda problem, raw: problem.data_residual(raw)
        found, prediction = eqx.filter_eval_shape(asked, problem, raw)
        rows = jax.ShapeDtypeStruct((found.size + raw.size,), raw.dtype)
        aux = jax.ShapeDtypeStruct((found.size, raw.size), raw.dtype), prediction

        def blank(z, _):
            del z
            fill = lambda leaf: jnp.zeros(leaf.shape, leaf.dtype)
            return fill(rows), jax.tree.map(fill, aux)

        state = self._solver.init(
            blank, raw, None, {"jac": "bwd"}, rows, aux, frozenset()
        )
        zero = jnp.asarray(0)
        infinite = jnp.asarray(jnp.inf, raw.dtype)
        return Iterate(raw, infinite, infinite, jnp.asarray(False), zero, zero, state)

    def advance(self, problem, iterate):
        at = iterate.inner.y_eval
        rows, slopes, *aux = problem.rows_and_slopes(at)
        rows = jnp.concatenate([rows, problem.space.prior_residual(at)])
        slopes = jnp.concatenate([slopes, jnp.eye(at.size, dtype=at.dtype)])

        def linear(z, _):
            # The step evaluates and differentiates at `at` only: one solve gives both.
            return rows + slopes @ (z - at), tuple(aux)

        options, tags = {"jac": "bwd"}, frozenset()
        raw, state, _ = self._solver.step(
            linear, iterate.raw, None, options, iterate.inner, tags
        )
        state = _shortened(raw, state)
        state = _bent(iterate, (at, slopes, aux[1].failed), raw, state)
        done, result = self._solver.terminate(linear, raw, None, options, state, tags)
        rows, slopes = state.f_info.residual, state.f_info.jac.as_matrix()
        gradient = slopes.T @ rows
        promised = 0.5 * gradient @ jnp.linalg.solve(slopes.T @ slopes, gradient)
        settled = (promised < self.tolerance) & ~state.aux[1].failed
        rejected = state.num_steps_since_acceptance
        nearly = (promised < 10.0 * self.tolerance) & (rejected >= _DOUBTED)
        change = slopes @ (state.y_eval - raw)  # of the rows, by the step to come
        left = -(rows + 0.5 * change) @ change
        stalled = (rejected >= _REJECTED) & (left < self.tolerance)
        settled = settled | nearly | stalled
        return Iterate(
            raw=raw,
            loss=0.5 * jnp.sum(rows**2),
            promised=promised,
            done=done | settled | (result != optx.RESULTS.successful),
            num_evaluations=iterate.num_evaluations + 1,
            num_failed=iterate.num_failed + aux[1].failed,
            inner=state,
        )

    def finish(self, problem, iterate):
        state, size = iterate.inner, problem.space.size
        return state.f_info.residual[:-size], *state.aux


def _shortened(raw, state):
    """The state of a search with the step to come damped until it is no longer than
    `_LONGEST`.
    """
    slopes, rows = state.f_info.jac.as_matrix(), state.f_info.residual
    squares, axes = jnp.linalg.eigh(slopes.T @ slopes)
    along = axes.T @ (slopes.T @ rows)
    step = lambda damping: -along / (squares + damping)
    least = 1.0 / state.search_state.step_size
    damping = jax.lax.while_loop(
        lambda damping: jnp.linalg.norm(step(damping)) > _LONGEST,
        lambda damping: 2.0 * damping,
        least,
    )
    y_eval = jnp.where(damping > least, raw + axes @ step(damping), state.y_eval)
    parts = lambda state: (state.y_eval, state.search_state.step_size)
    return eqx.tree_at(parts, state, (y_eval, 1.0 / damping))


def _bent(iterate, tried, raw, state):
    r"""The state of a search whose step to come goes along the bend of the rows.

    A step $v$ changes rows by $J v + \tfrac12 \partial_v^2 r$; what parameters can take
    back of the second term is another
    $$ a = -\tfrac12 (J^T J + \lambda)^{-1} J^T \partial_v^2 r $$
    (geodesic acceleration: Transtrum and Sethna, arXiv:1201.5885). It costs no solve
    where the step before, $d$, went the same way: by the slopes at both of its ends,
    $\partial_v^2 r \approx (v^T d / d^T d) \Delta J\, v$. Left out where it did not,
    where a solve failed, and where the bend is too strong to be told. `tried` holds
    where that step led, the slopes there and whether its solve failed.
    """
    at, slopes, failed = tried
    before = iterate.inner.f_info.jac.as_matrix()
    last, ahead = at - iterate.raw, state.y_eval - raw
    inner, lengths = ahead @ last, (last @ last, ahead @ ahead)
    alike = inner**2 > _ALIKE * lengths[0] * lengths[1]
    bend = (slopes - before) @ ahead * (inner / jnp.where(alike, lengths[0], 1.0))
    base = state.f_info.jac.as_matrix()
    damping = jnp.eye(raw.size) / state.search_state.step_size
    more = -0.5 * jnp.linalg.solve(base.T @ base + damping, base.T @ bend)
    told = more @ more < _SHARE**2 * lengths[1]
    known = (iterate.num_evaluations > 0) & ~(failed | iterate.inner.aux[1].failed)
    y_eval = jnp.where(known & alike & told, state.y_eval + more, state.y_eval)
    return eqx.tree_at(lambda state: state.y_eval, state, y_eval)


class FirstOrder(AbstractOptimiser):
    """An optax rule on the loss, whose gradient comes by reverse mode.

    For many free quantities or many data; Levenberg-Marquardt is faster otherwise. A
    point whose solve fails is left by half the way back to the best one.

    Attributes:
        rule: such as `optax.adam(0.05)`.
        tolerance: fall of the loss that counts as one.
        patience: iterations without one after which it has settled.
    """

    rule: optax.GradientTransformation = eqx.field(static=True)
    tolerance: float = eqx.field(static=True, default=1e-3)
    patience: int = eqx.field(static=True, default=40)

    def init(self, problem, raw):
        del problem
        zero, infinite = jnp.asarray(0), jnp.asarray(jnp.inf, raw.dtype)
        inner = (raw, self.rule.init(raw), infinite, zero)
        return Iterate(
            raw, infinite, 0.0 * raw[0], jnp.asarray(False), zero, zero, inner
        )

    def advance(self, problem, iterate):
        at, state, mark, since = iterate.inner

        def loss_of(z):
            rows, prediction = problem.data_residual(z)
            prior = problem.space.prior_residual(z)
            return 0.5 * (jnp.sum(rows**2) + jnp.sum(prior**2)), prediction.failed

        (loss, failed), slope = jax.value_and_grad(loss_of, has_aux=True)(at)
        # A failed solve has a finite loss, and slopes that mean nothing.
        failed = failed | ~(jnp.isfinite(loss) & jnp.all(jnp.isfinite(slope)))
        steps, moved = self.rule.update(jnp.where(failed, 0.0, slope), state, at)
        state = jax.tree.map(lambda new, old: jnp.where(failed, old, new), moved, state)
        better = ~failed & (loss < iterate.loss)
        raw = jnp.where(better, at, iterate.raw)
        ahead = better & (loss < mark - self.tolerance)
        since = jnp.where(ahead, 0, since + 1)
        following = jnp.where(failed, 0.5 * (at + raw), at + steps)
        return Iterate(
            raw=raw,
            loss=jnp.where(better, loss, iterate.loss),
            promised=iterate.promised,
            done=since >= self.patience,
            num_evaluations=iterate.num_evaluations + 1,
            num_failed=iterate.num_failed + failed,
            inner=(following, state, jnp.where(ahead, loss, mark), since),
        )

    def finish(self, problem, iterate):
        rows, _, informing, prediction = _rows_and_slopes(problem, iterate.raw)
        return rows, informing, prediction


@eqx.filter_jit
def _rows_and_slopes(problem, raw):
    return problem.rows_and_slopes(raw)
