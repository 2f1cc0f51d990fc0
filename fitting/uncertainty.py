r"""How sure a fit is: covariance, directions, bands, profiles, goodness of fit.

In raw numbers the prior has unit information in every direction, so the eigenvalues of
the data's information J^T J say how much the data add: 1 is as much as the prior; far
below, the answer is the prior's.

An event known to an interval tells of it as a time would, with the variance of a time
that may lie anywhere in there (`EventNoise.informing`); one with a bound on one side
tells by the slope that its row has at the optimum, which may be none.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, Int, PyTree

from .optimise import AbstractOptimiser, Fit, LevenbergMarquardt, fit
from .parameters import ParameterSpace
from .problem import Problem
from .question import AbstractQuestion

_NAMED = 3  # components named of a direction
_PIN = 1e-3  # width of a pinned quantity, in its standard deviations
_REACHED = 10.0  # widths off within which a target counts as reached


class Direction(NamedTuple):
    """One eigen-direction of the data's information, in raw numbers."""

    information: float  # relative to the prior's, which is 1
    vector: np.ndarray  # (component,)
    name: str  # its largest components, such as '0.83 kappa at x=1 - 0.51 ...'

    @property
    def determined(self) -> bool:
        """Whether the data say more than the prior."""
        return self.information > 1.0


def name_of(vector: Float[np.ndarray, " component"], labels: Sequence[str]) -> str:
    """What to call a direction: its largest components."""
    largest = np.argsort(-np.abs(vector))[:_NAMED]
    lead = np.sign(vector[largest[0]])
    terms = [(lead * vector[k], labels[k]) for k in largest]
    terms = [(w, label) for w, label in terms if abs(w) > 0.2]
    text = " ".join(f"{'-' if w < 0 else '+'} {abs(w):.2f} {x}" for w, x in terms)
    return text.removeprefix("+ ")


def directions(space: ParameterSpace, fitted: Fit) -> tuple[Direction, ...]:
    """Directions of the data's information, the best determined one first."""
    information, vectors = np.linalg.eigh(fitted.slopes.T @ fitted.slopes)
    order = np.argsort(-information)
    return tuple(
        Direction(
            max(float(information[k]), 0.0),
            vectors[:, k],
            name_of(vectors[:, k], space.labels),
        )
        for k in order
    )


def draws(fitted: Fit, count: int, seed: int) -> Float[np.ndarray, "draw component"]:
    """Raw numbers from the normal approximation at the optimum (Laplace)."""
    rng = np.random.default_rng(seed)
    factor = np.linalg.cholesky(fitted.covariance)
    return fitted.raw + rng.standard_normal((count, fitted.raw.size)) @ factor.T


class Estimate(NamedTuple):
    """One component of the values: where it is and how sure that is."""

    label: str  # with its unit
    value: float
    sd: float  # by the slope of the value at the optimum
    lower: float  # 95 % interval, of the approximation at the optimum
    upper: float
    sd_prior: float  # before the data, by the slope at the prior's middle
    sd_data: float  # of the data alone; infinite where they leave it open
    share: float  # sd over that of the prior, both by the slope at the optimum

    @property
    def learnt(self) -> float:
        """Share of the prior's variance that the data took away, 0 to 1."""
        return max(0.0, 1.0 - self.share**2)

    @property
    def determined(self) -> bool:
        """Whether the data took away more than half of the prior's variance."""
        return self.learnt > 0.5


def _sd(slopes, covariance):
    return np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes))


def estimates(space: ParameterSpace, fitted: Fit) -> tuple[Estimate, ...]:
    """Every component of the values with its uncertainty.

    The interval is the values of raw mean -+ 1.96 standard deviations along the slope,
    so it keeps within the bounds that the prior sets. Where only a bound on a time
    speaks (a particle never seen to react), the truth is one-sided: take `profile`.
    Within an interval the data leave all times alike, so that values may stand near an
    end of it, where all else pulls; `sd` is right, and the law no normal one.

    What the data took away is told where the fit is: a value may have another slope at
    the middle of its prior, so that `sd_prior` is not what `sd` began as.
    """
    flat = jax.jit(lambda raw: space.flatten(space.constrain(raw)))
    jacobian = jax.jit(jax.jacfwd(flat))
    raw = jnp.asarray(fitted.raw)
    values, slopes = np.asarray(flat(raw)), np.asarray(jacobian(raw))
    middle = np.asarray(jacobian(jnp.zeros_like(raw)))
    sd, sd_prior = _sd(slopes, fitted.covariance), np.sqrt(np.sum(middle**2, axis=1))
    sd_data = _sd_of_data(slopes, fitted.slopes)
    before = np.sqrt(np.sum(slopes**2, axis=1))
    share = np.divide(sd, before, out=np.ones_like(sd), where=before > 0)
    flats = jax.jit(jax.vmap(flat))
    # The raw numbers move along C g / sd, the most probable way to a changed value.
    ways = fitted.covariance @ slopes.T / np.where(sd > 0, sd, 1.0)
    ends = [
        np.diag(np.asarray(flats(fitted.raw + sign * 1.96 * ways.T)))
        for sign in (-1.0, 1.0)
    ]
    columns = (values, sd, *ends, sd_prior, sd_data, share)
    return tuple(
        Estimate(label, *(float(c[k]) for c in columns))
        for k, label in enumerate(space.labels)
    )


def _sd_of_data(slopes, rows) -> np.ndarray:
    """Standard deviations that the data alone give, infinite in their null space."""
    information, vectors = np.linalg.eigh(rows.T @ rows)
    seen = information > 1e-8
    along = slopes @ vectors
    lost = np.sum(along[:, ~seen] ** 2, axis=1)
    total = np.sum(along**2, axis=1)
    variance = np.sum(along[:, seen] ** 2 / information[seen], axis=1)
    blind = lost > 1e-6 * np.where(total > 0, total, 1.0)
    return np.where(blind, np.inf, np.sqrt(variance))


class Band(NamedTuple):
    """A curve with its 95 % band on a grid, and that of the prior alone."""

    grid: np.ndarray
    fitted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    prior_lower: np.ndarray
    prior_upper: np.ndarray


def band(
    problem: Problem,
    fitted: Fit,
    curve: Callable[[PyTree, Array], Array],
    grid: Float[Array, " point"],
    *,
    seed: int,
    count: int = 500,
) -> Band:
    """A quantity of the electrode over a grid, with draws of the approximation at the
    optimum and of the prior.

    Args:
        problem: what was fitted.
        fitted: its result.
        curve: (electrode, grid) to values, such as
            `lambda e, x: e.curves.conductivity(x)`.
        grid: where, such as stoichiometries.
        seed: of the draws.
        count: of draws.
    """
    grid = jnp.asarray(grid)

    @jax.jit
    def on_grid(raws):
        def one(raw):
            values = problem.space.constrain(raw)
            return curve(problem.space.insert(problem.electrode, values), grid)

        return jax.vmap(one)(raws)

    rng = np.random.default_rng(seed + 1)
    prior = rng.standard_normal((count, fitted.raw.size))
    some = np.concatenate([fitted.raw[None], draws(fitted, count, seed), prior])
    found = np.asarray(on_grid(jnp.asarray(some)))
    levels = [0.025, 0.975]
    posterior = np.quantile(found[1 : count + 1], levels, axis=0)
    before = np.quantile(found[count + 1 :], levels, axis=0)
    return Band(np.asarray(grid), found[0], *posterior, *before)


class Goodness(NamedTuple):
    """How well the rows with a time (or a voltage) are met.

    Under another law than the normal one a row counts by its normal score: so many
    standard deviations as are as improbable.
    """

    chi_square: float
    num_rows: int
    num_independent: float  # that they stand for, where neighbours err alike
    num_fitted: float  # degrees of freedom that the fit used up in them
    probability: float  # of a larger chi-square; NaN where nothing is left to test
    largest: float  # row, in standard deviations

    @property
    def degrees(self) -> float:
        """Degrees of freedom left; none where neighbours that err alike stand for fewer
        numbers than the fit used up in their rows.
        """
        return max(self.num_independent - self.num_fitted, 0.0)

    def describe(self) -> str:
        """As a sentence."""
        return (
            f"chi-square {self.chi_square:.2f} of {self.num_rows} rows, of which the "
            f"fit used up {self.num_fitted:.1f}; the largest is {self.largest:.2f} "
            "standard deviations"
        )


def goodness(problem: Problem, fitted: Fit) -> Goodness:
    """Chi-square of the rows that are not bounds. Degrees used up are the trace of
    J (J^T J + I)^-1 J^T, since the prior carries a part of the parameters.
    """
    counts = problem.counts
    known = counts > 0
    rows, slopes = _scores(problem, fitted)[known], fitted.slopes[known]
    used = float(np.trace(slopes @ fitted.covariance @ slopes.T))
    if problem.intensities is not None:  # a level and a gain each
        used += 2.0 * len(problem.intensities.value)
    independent = float(np.sum(counts))
    chi_square, left = float(np.sum(rows**2)), independent - used
    tail = scipy.stats.chi2.sf(chi_square, left) if left > 0.5 else np.nan
    largest = float(np.max(np.abs(rows), initial=0.0))
    return Goodness(chi_square, rows.size, independent, used, float(tail), largest)


def _scores(problem, fitted) -> Float[np.ndarray, " row"]:
    """Rows of the data, those of times and voltages as normal scores."""
    found, rows = fitted.prediction, fitted.residual
    if bool(found.failed):
        return rows
    shift = problem.space.clock_offset(fitted.values)
    parts = [problem.noise.scores(found.times, shift)]
    if problem.trace is not None:
        parts.append(problem.trace.scores(found.voltage))
    scores = np.concatenate(parts)
    return np.concatenate([scores, rows[scores.size :]])


class _Pinned(AbstractQuestion):
    """A problem with one row more, which holds a quantity at a target."""

    problem: Problem
    quantity: Callable[[dict], Array]
    target: Float[Array, ""]
    width: Float[Array, ""]

    @property
    def space(self):
        return self.problem.space

    def numbers(self, raw):
        numbers, prediction = self.problem.numbers(raw)
        off = (self.quantity(self.space.constrain(raw)) - self.target) / self.width
        return jnp.append(numbers, off), prediction

    def rows_of(self, numbers):
        return jnp.append(self.problem.rows_of(numbers[:-1]), numbers[-1])

    def telling_of(self, numbers):
        return jnp.append(self.problem.telling_of(numbers[:-1]), numbers[-1])


class Component(eqx.Module):
    """One of the values by its index. All components of a fit share the compiled search
    of their profiles.
    """

    space: ParameterSpace
    index: Int[Array, ""] = eqx.field(converter=jnp.asarray)

    def __call__(self, values: dict) -> Float[Array, ""]:
        return self.space.flatten(values)[self.index]


BELOW = 0.1
"""Of the loss, by which a profile is above that of an optimum but for rounding."""


class Profile(NamedTuple):
    """Loss against a quantity, everything else at its best."""

    targets: np.ndarray
    losses: np.ndarray  # above the fit's; infinite where the search failed
    raws: np.ndarray  # (target, component)
    num_failed: int  # solves
    value: float = np.nan  # at the fit, where the loss is 0; NaN: look at targets only

    def interval(self, drop: float = 1.9207) -> tuple[float, float]:
        """Where the loss has risen by `drop` (1.92: 95 %) above its least, its root
        being a line between neighbours among the targets and the fit; infinite on a
        side where it does not within the targets.

        A fit whose loss is above the profile's by `BELOW` is no point of it.
        """
        x, least = self.targets, self.losses.min(initial=0.0)
        loss = self.losses - least
        if np.isfinite(self.value) and least > -BELOW:
            x, loss = np.append(x, self.value), np.append(loss, -least)
        order = np.argsort(x)
        x, y = x[order], np.sqrt(np.maximum(loss, 0.0))[order] - np.sqrt(drop)
        least = int(np.argmin(y))
        ends = [-np.inf, np.inf]
        for side, path in enumerate((range(least, 0, -1), range(least, len(x) - 1))):
            for k in path:
                j = k - 1 if side == 0 else k + 1
                if y[k] < 0 <= y[j]:
                    share = -y[k] / (y[j] - y[k]) if np.isfinite(y[j]) else 1.0
                    ends[side] = float(x[k] + share * (x[j] - x[k]))
                    break
        return ends[0], ends[1]


def profile(
    problem: Problem,
    fitted: Fit,
    quantity: Callable[[dict], Float[Array, ""]],
    targets: Float[Array, " target"] | None = None,
    *,
    optimiser: AbstractOptimiser | None = None,
    callback: Callable | None = None,
) -> Profile:
    """Profile likelihood (with the prior) of a quantity of the values.

    Each target starts from the end of the one nearer to the optimum. The quantity is
    held by a row of width 1e-3 of its standard deviation; the loss is infinite at a
    target that the search does not reach to ten of these, or whose solve fails, and at
    those beyond it.

    Args:
        problem: what was fitted.
        fitted: its result.
        quantity: of the values, such as `lambda v: v["log10 radius"][0]`.
        targets: of the quantity; 3 standard deviations to either side unless given.
        optimiser: Levenberg-Marquardt unless given.
        callback: as for `fit`.

    Source: Raue et al. 2009, doi 10.1093/bioinformatics/btp358.
    """
    raw = jnp.asarray(fitted.raw)
    value, slope = jax.value_and_grad(lambda z: quantity(problem.space.constrain(z)))(
        raw
    )
    sd = float(np.sqrt(slope @ fitted.covariance @ slope))
    if targets is None:
        targets = float(value) + sd * np.linspace(-3.0, 3.0, 13)
    targets = np.asarray(targets, float)
    search = LevenbergMarquardt() if optimiser is None else optimiser
    losses, raws = np.full(targets.size, np.inf), np.zeros((targets.size, raw.size))
    num_failed = 0
    for side in (-1.0, 1.0):
        offset = side * (targets - float(value))
        now = np.asarray(fitted.raw)
        for k in np.argsort(offset)[np.sort(offset) >= 0]:
            pinned = _Pinned(
                problem, quantity, jnp.asarray(targets[k]), jnp.asarray(_PIN * sd)
            )
            found = fit(pinned, now, search, callback=callback)
            num_failed += found.num_failed
            if bool(found.prediction.failed) or abs(found.residual[-1]) > _REACHED:
                break
            now, raws[k] = found.raw, found.raw
            losses[k] = found.loss - 0.5 * found.residual[-1] ** 2 - fitted.loss
    return Profile(targets, losses, raws, num_failed, float(value))
