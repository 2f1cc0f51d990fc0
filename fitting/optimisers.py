"""Optimisers: from one iterate of a search to the next, as pure functions.

To add one, add one final class with `init`, `advance` and `finish`.
"""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int

from .question import AbstractQuestion, Lines

_DOUBTED, _REFUSED = 6, 8  # steps in a row after which a search may end
_LONGEST = 2.0  # of one step, in standard deviations of the prior
_DAMPING_LEAST = 1e-8
_INNER, _PRECISE = 100, 1e-8  # steps to where rows are least, and how closely


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
    def init(
        self, question: AbstractQuestion, raw: Float[Array, " component"]
    ) -> Iterate:
        """The iterate of a start; nothing is solved yet."""

    @abc.abstractmethod
    def advance(self, question: AbstractQuestion, iterate: Iterate) -> Iterate:
        """One iteration."""

    @abc.abstractmethod
    def finish(self, question: AbstractQuestion, iterate: Iterate):
        """Rows of the data, the slopes that say what they tell, and the prediction at
        the iterate.
        """


class LevenbergMarquardt(AbstractOptimiser):
    r"""Damped steps to where the rows would be least.

    About a point, numbers n are taken for lines and rows r as they are: a step v is
    where
    $$ \tfrac12 |r(n + S v + b(v))|^2 + \tfrac12 |z + v|^2 + \tfrac12 \lambda |v|^2 $$
    is least, which takes no solve to find. Where rows are straight this is Levenberg's
    and Marquardt's step. But bounds have a slope on one side only, and straight rows
    lead far beyond them. The bend b is what slopes at the ends of the last step say of
    second derivatives, and lets steps follow narrow valleys (`_Ahead.bend`).

    It has settled where a step without damping and bend promises to lower the loss by
    less than `tolerance`: 1e-3 means within sqrt(2e-3) = 0.045 standard deviations of
    the optimum, in every direction. It has stalled where steps are refused though the
    next one, damped, promises no more than that. No step is longer than two deviations
    of the prior: precise times that are far off ask for longer ones, which end where
    nothing has a slope any more.

    Source: Burke and Ferris 1995, doi 10.1007/BF01585997, for steps by lines within a
    convex function.
    """

    tolerance: float = eqx.field(static=True, default=1e-3)

    def init(self, question, raw):
        # Without the slopes, whose tracing would take as long as a first step's.
        asked = lambda question, raw: question.numbers(raw)
        shapes = eqx.filter_eval_shape(asked, question, raw)
        numbers, prediction = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), shapes
        )
        slopes = jnp.zeros((numbers.size, raw.size), raw.dtype)
        zero, infinite = jnp.asarray(0), jnp.asarray(jnp.inf, raw.dtype)
        ahead = _Ahead(
            lines=Lines(numbers, slopes, prediction),
            raw=raw,
            expected=infinite,
            damping=jnp.ones_like(infinite),
            refused=zero,
            last=jnp.zeros_like(raw),
            turned=slopes,
        )
        return Iterate(raw, infinite, infinite, jnp.asarray(False), zero, zero, ahead)

    def advance(self, question, iterate):
        at = iterate.inner.raw
        tried = question.lines(at)
        rows = question.rows_or_failed(tried.numbers, tried.prediction.failed)
        rows = jnp.concatenate([rows, question.space.prior_residual(at)])
        loss = 0.5 * jnp.sum(rows**2)
        better = loss < iterate.loss
        raw = jnp.where(better, at, iterate.raw)
        ahead = iterate.inner.after(tried, at - iterate.raw, iterate.loss - loss)
        loss = jnp.where(better, loss, iterate.loss)
        ahead, promised = _looked_ahead(question, raw, loss, ahead)
        settled = (promised < self.tolerance) & ~ahead.lines.prediction.failed
        nearly = (promised < 10.0 * self.tolerance) & (ahead.refused >= _DOUBTED)
        stalled = (ahead.expected < self.tolerance) & (ahead.refused >= _REFUSED)
        lost = ~jnp.isfinite(promised)  # slopes are no numbers
        return Iterate(
            raw=raw,
            loss=loss,
            promised=promised,
            done=settled | nearly | stalled | lost,
            num_evaluations=iterate.num_evaluations + 1,
            num_failed=iterate.num_failed + tried.prediction.failed,
            inner=ahead,
        )

    def finish(self, question, iterate):
        known = iterate.inner.lines, iterate.raw
        rows, _, informing, prediction = _finished(question, *known)
        return rows, informing, prediction


class _Ahead(eqx.Module):
    """What a search knows at its best point, and where it goes next.

    Attributes:
        lines: at the best point.
        raw: where it goes next.
        expected: by how much that should lower the loss; infinite before the start.
        damping: lambda.
        refused: steps in a row that did not lower the loss.
        last: the last step of which both ends were solved.
        turned: by how much slopes differ between these ends.
    """

    lines: Lines
    raw: Float[Array, " component"]
    expected: Float[Array, ""]
    damping: Float[Array, ""]
    refused: Int[Array, ""]
    last: Float[Array, " component"]
    turned: Float[Array, "number component"]

    def after(self, tried: Lines, step, got) -> "_Ahead":
        """The same after a step that led to `tried` and lowered the loss by `got`."""
        better, begun = got > 0, jnp.isfinite(self.expected)
        share = jnp.where(begun, got / self.expected, 0.5)
        factor = jnp.where(share > 0.75, 0.1, jnp.where(share < 0.01, 4.0, 1.0))
        new = begun & ~(tried.prediction.failed | self.lines.prediction.failed)
        turned = tried.slopes - self.lines.slopes
        keep = lambda new, old: jnp.where(better, new, old)
        return dataclasses.replace(
            self,
            lines=jax.tree.map(keep, tried, self.lines),
            damping=jnp.maximum(factor * self.damping, _DAMPING_LEAST),
            refused=jnp.where(better, 0, self.refused + 1),
            last=jnp.where(new, step, self.last),
            turned=jnp.where(new, turned, self.turned),
        )

    def bend(self, v: Float[Array, " component"]) -> Float[Array, " number"]:
        r"""Half of v B v, the bend of numbers along a step.

        B is the least symmetric matrix by which slopes turn by Y over the last step d,
        $$ v^T B v = s\, (2 Y v - s\, Y d), \quad s = d^T v / d^T d. $$

        Source: Powell 1970, doi 10.1016/B978-0-12-597050-1.50006-3 (symmetric secant).
        """
        length = self.last @ self.last
        share = self.last @ v / jnp.where(length > 0, length, 1.0)
        return 0.5 * share * (self.turned @ (2.0 * v - share * self.last))


def _looked_ahead(question, raw, loss, ahead):
    """Where a search from `raw` goes next, and by how much a step without damping and
    bend promises to lower the loss.
    """
    zero = jnp.zeros_like(loss)

    def look(carry):
        count, damping, _, _, promised = carry
        # First without, then with the damping, which doubles until a step is short.
        damping = jnp.where(count > 1, 2.0, 1.0) * damping
        bent = jnp.where(count > 0, 1.0, 0.0)
        step, least = _least(question, raw, ahead, bent * damping, bent)
        promised = jnp.where(count > 0, promised, loss - least)
        return count + 1, damping, step, loss - least, promised

    _, damping, step, expected, promised = jax.lax.while_loop(
        lambda carry: (carry[0] < 2) | (jnp.linalg.norm(carry[2]) > _LONGEST),
        look,
        (jnp.asarray(0), ahead.damping, jnp.zeros_like(raw), zero, zero),
    )
    found = dataclasses.replace(
        ahead, raw=raw + step, expected=expected, damping=damping
    )
    return found, promised


def _least(question, raw, ahead, damping, bent):
    """The step to where the damped loss by lines is least, and the loss there."""
    failed = ahead.lines.prediction.failed

    def rows(step):
        numbers = ahead.lines.numbers + ahead.lines.slopes @ step
        found = question.rows_or_failed(numbers + bent * ahead.bend(step), failed)
        return jnp.concatenate([found, question.space.prior_residual(raw + step)])

    step = optx.least_squares(
        lambda step, _: jnp.concatenate([rows(step), jnp.sqrt(damping) * step]),
        optx.LevenbergMarquardt(_PRECISE, _PRECISE),
        jnp.zeros_like(raw),
        max_steps=_INNER,
        throw=False,
    ).value
    return step, 0.5 * jnp.sum(rows(step) ** 2)


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

    def init(self, question, raw):
        del question
        zero, infinite = jnp.asarray(0), jnp.asarray(jnp.inf, raw.dtype)
        inner = (raw, self.rule.init(raw), infinite, zero)
        return Iterate(
            raw, infinite, 0.0 * raw[0], jnp.asarray(False), zero, zero, inner
        )

    def advance(self, question, iterate):
        at, state, mark, since = iterate.inner

        def loss_of(z):
            rows, prediction = question.data_residual(z)
            prior = question.space.prior_residual(z)
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

    def finish(self, question, iterate):
        rows, _, informing, prediction = _finished(question, None, iterate.raw)
        return rows, informing, prediction


@eqx.filter_jit
def _finished(question, lines, raw):
    """Rows of the data, their slopes, the slopes that say what they tell, and the
    prediction; by lines where these are known.
    """
    lines = question.lines(raw) if lines is None else lines
    return *question.rows_and_slopes(lines), lines.prediction
