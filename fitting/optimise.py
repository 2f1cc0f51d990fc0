"""Search for the most probable values from many starts, and what was found.

`fit` drives an optimiser one iteration at a time from Python, so that progress shows,
Ctrl-C works between iterations, and one compiled iteration serves every start and
every data set of one shape.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtri
from scipy.stats import qmc

from .optimisers import AbstractOptimiser as AbstractOptimiser
from .optimisers import FirstOrder as FirstOrder
from .optimisers import Iterate as Iterate
from .optimisers import LevenbergMarquardt as LevenbergMarquardt
from .problem import Prediction, Problem
from .wording import counted

_PROMISED = 0.02  # loss that may be left at an optimum: 0.2 standard deviations
_SAME = 0.05  # raw units within which two optima are one


class FIT_RESULTS(eqx.Enumeration):
    """How a fit can end: one sentence of cause, one of remedy."""

    converged = ""
    max_steps_reached = (
        "The search used up its steps before it settled. Raise `max_steps` "
        "(--max-steps), or start from the best values found."
    )
    solve_failed = (
        "The simulation fails at the best values that were found, so they mean "
        "nothing. Start from other values (--starts tries more of them), or narrow "
        "the priors towards values that can be simulated."
    )
    stalled = (
        "The search cannot improve any more, though the slopes say that it should: the "
        "error of the simulation is in the way. Tighten `rtol` (--rtol)."
    )
    stopped = "The search was stopped before it settled. Run it again to go on."


class Optimum(NamedTuple):
    """Where one start (or several) ended."""

    raw: np.ndarray  # (component,)
    loss: float
    result: FIT_RESULTS
    num_starts: int  # that ended there
    num_steps: int  # of the first of them


class Progress(NamedTuple):
    """What a callback is told after every iteration."""

    start: int  # number of the start, from 0
    num_starts: int
    step: int  # iterations of this start so far
    max_steps: int
    loss: float  # of this start
    best: float  # of all starts so far
    num_failed: int  # solves that failed so far


class Fit(eqx.Module):
    """The most probable values, and what is needed to say how sure they are.

    Attributes:
        values: by name.
        raw: the same in raw numbers (component,).
        residual: rows of the data, in standard deviations (row,).
        slopes: J, of the rows with respect to raw numbers (row, component); that of an
            event known to a closed interval is of the time that it counts as
            (`EventNoise.informing`), since a wide one has a flat row.
        covariance: of raw numbers, (J^T J + I)^-1.
        prediction: event times and voltage there.
        loss: half the sum of squared rows, prior included.
        result: how the best search ended.
        num_evaluations, num_failed: solves of all starts, and how many failed.
        optima: distinct ends of all starts, best first.
        starts: raw numbers that searches began from (start, component).
    """

    values: dict
    raw: Float[np.ndarray, " component"]
    residual: Float[np.ndarray, " row"]
    slopes: Float[np.ndarray, "row component"]
    covariance: Float[np.ndarray, "component component"]
    prediction: Prediction
    loss: float
    result: FIT_RESULTS
    num_evaluations: int
    num_failed: int
    optima: tuple[Optimum, ...]
    starts: Float[np.ndarray, "start component"]

    @property
    def settled(self) -> bool:
        """Whether the best search ended at an optimum."""
        return bool(self.result == FIT_RESULTS.converged)

    def message(self) -> str:
        """The outcome as a sentence."""
        if self.settled:
            found = sum(o.num_starts for o in self.optima[:1])
            return (
                f"converged; {found} of {counted(len(self.starts), 'start')} ended "
                f"there, {self.num_failed} of {counted(self.num_evaluations, 'solve')} "
                "failed"
            )
        return FIT_RESULTS[self.result]


def latin_hypercube(size: int, count: int, seed: int) -> Float[np.ndarray, "start _"]:
    """Starts that spread over the prior evenly in every direction; the first one is
    its middle.
    """
    if count < 1:
        raise ValueError(f"`count` must be 1 or more, but is {count}.")
    cells = qmc.LatinHypercube(size, rng=np.random.default_rng(seed)).random(count)
    return np.concatenate([np.zeros((1, size)), ndtri(cells)[1:]])


def fit(
    problem: Problem,
    starts: Float[Array, "start component"],
    optimiser: AbstractOptimiser,
    *,
    max_steps: int = 60,
    batched: bool = False,
    callback: Callable[[Progress], bool | None] | None = None,
) -> Fit:
    """Searches from every start and keeps the best end.

    Args:
        problem: what to fit.
        starts: raw numbers, one row a start, such as `latin_hypercube`.
        optimiser: `LevenbergMarquardt()` or `FirstOrder(optax.adam(0.05))`.
        max_steps: iterations from one start; first order needs hundreds.
        batched: advance all starts together (on a GPU) instead of one after another.
        callback: told of every iteration; where it returns true, the search stops and
            the best so far is returned. What it raises passes through.

    Raises:
        ValueError: for starts that do not fit the problem, or no step.
    """
    if max_steps < 1:
        raise ValueError(f"`max_steps` must be 1 or more, but is {max_steps}.")
    starts = np.atleast_2d(np.asarray(starts, float))
    size = problem.space.size
    if starts.shape[1] != size or not len(starts) or not np.all(np.isfinite(starts)):
        raise ValueError(
            f"`starts` must be finite with {size} raw numbers in each of one row or "
            f"more, but has the shape {starts.shape}."
        )
    groups = [starts] if batched else [row[None] for row in starts]
    ends: list[_End] = []
    for number, group in enumerate(groups):
        told = _Reporter(callback, number, len(groups), max_steps, tuple(ends))
        found, stopped = _search(problem, optimiser, group, told)
        ends += found
        if stopped:
            break
    return _collect(problem, starts, ends)


class _End(NamedTuple):
    """Where one start ended."""

    raw: np.ndarray
    loss: float
    result: FIT_RESULTS
    num_failed: int
    num_evaluations: int
    solved: tuple  # rows, slopes, prediction


class _Reporter(NamedTuple):
    """Tells a callback of an iteration, and what it answers."""

    callback: Callable | None
    start: int
    num_starts: int
    max_steps: int
    ends: tuple[_End, ...]

    def __call__(self, step: int, iterates: Iterate) -> bool:
        if self.callback is None:
            return False
        loss = float(np.asarray(iterates.loss).min())
        failed = int(np.asarray(iterates.num_failed).sum())
        progress = Progress(
            start=self.start,
            num_starts=self.num_starts,
            step=step,
            max_steps=self.max_steps,
            loss=loss,
            best=min([loss, *(end.loss for end in self.ends)]),
            num_failed=failed + sum(end.num_failed for end in self.ends),
        )
        return bool(self.callback(progress))


@eqx.filter_jit
def _begun(optimiser, problem, starts):
    """Iterates (lane, ...) of a group of starts."""
    return jax.vmap(lambda start: optimiser.init(problem, start))(starts)


@eqx.filter_jit
def _advance(optimiser, problem, iterates):
    """One iteration of all iterates (lane, ...); those that are done stay."""

    def one(iterate):
        moved = optimiser.advance(problem, iterate)
        keep = lambda new, old: jnp.where(iterate.done, old, new)
        return jax.tree.map(keep, moved, iterate)

    if iterates.loss.size == 1:
        single = one(jax.tree.map(lambda leaf: leaf[0], iterates))
        return jax.tree.map(lambda leaf: leaf[None], single)
    return jax.vmap(one)(iterates)


def _search(problem, optimiser, starts, report) -> tuple[list[_End], bool]:
    """Ends of a group of starts, and whether the search was stopped."""
    iterates, stopped = _begun(optimiser, problem, starts), False
    for step in range(report.max_steps):
        iterates = _advance(optimiser, problem, iterates)
        stopped = report(step + 1, iterates)
        if stopped or np.asarray(iterates.done).all():
            break
    iterates, ends = jax.device_get(iterates), []
    for k in range(len(starts)):
        iterate = jax.tree.map(lambda leaf, k=k: leaf[k], iterates)
        solved = optimiser.finish(problem, iterate)
        result = _judge(iterate, bool(solved[2].failed), stopped)
        counts = int(iterate.num_failed), int(iterate.num_evaluations)
        raw, loss = np.asarray(iterate.raw), float(iterate.loss)
        ends.append(_End(raw, loss, result, *counts, solved))
    return ends, stopped


def _judge(iterate: Iterate, failed: bool, stopped: bool) -> FIT_RESULTS:
    """How a search ended."""
    if failed:
        return FIT_RESULTS.solve_failed
    if bool(iterate.done):
        near = float(iterate.promised) <= _PROMISED  # NaN is not
        return FIT_RESULTS.converged if near else FIT_RESULTS.stalled
    return FIT_RESULTS.stopped if stopped else FIT_RESULTS.max_steps_reached


@eqx.filter_jit
def _constrained(space, raw):
    return space.constrain(raw)


def _collect(problem, starts, ends) -> Fit:
    """The best end as a `Fit`, the others joined where they agree."""
    order = sorted(
        ends, key=lambda end: (end.result == FIT_RESULTS.solve_failed, end.loss)
    )
    optima: list[Optimum] = []
    for raw, loss, result, _, steps, _ in order:
        for k, known in enumerate(optima):
            if np.max(np.abs(known.raw - raw)) < _SAME:
                optima[k] = known._replace(num_starts=known.num_starts + 1)
                break
        else:
            optima.append(Optimum(raw, loss, result, 1, steps))
    raw, loss, result, _, _, (rows, slopes, prediction) = order[0]
    rows, slopes = np.asarray(rows), np.asarray(slopes)
    information = slopes.T @ slopes + np.eye(raw.size)
    values = _constrained(problem.space, jnp.asarray(raw))
    return Fit(
        values={name: np.asarray(value) for name, value in values.items()},
        raw=raw,
        residual=rows,
        slopes=slopes,
        covariance=np.linalg.inv(information),
        prediction=jax.tree.map(np.asarray, prediction),
        loss=loss,
        result=result,
        num_evaluations=sum(end.num_evaluations for end in ends),
        num_failed=sum(end.num_failed for end in ends),
        optima=tuple(optima),
        starts=starts,
    )
