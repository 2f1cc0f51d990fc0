r"""Simulation-based calibration: whether posteriors hold what they promise.

A truth is drawn from the prior and data from the truth; then the truth's rank among L
independent draws of the posterior is uniform on 0 to L, whatever the data look like,
and an interval of 90 % holds the truth nine times in ten. A wrong likelihood, a biased
sampler or a wrong prior bends the distribution of the ranks.

Source: Talts et al. 2018, arXiv 1804.06788; bands of all points at once after
    Säilynoja, Bürkner and Vehtari 2022, doi 10.1007/s11222-022-10090-6; the likelihood
    among the ranked quantities after Modrák et al. 2023, doi 10.1214/23-BA1404.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Bool, Float, Int

from .chunks import Store
from .evidence import adapted
from .noise import EventNoise
from .optimise import Fit, LevenbergMarquardt, fit
from .posterior import Posterior
from .problem import Problem
from .samplers import NUTS, AbstractSampler
from .sampling import Plan, sample
from .slices import Elliptical

_SETS = 4000  # of uniform ranks that tell how far those of a right posterior stray
_TRIES = 100  # truths, of which one can be simulated


def scattered(
    noise: EventNoise,
    times: Float[np.ndarray, " event"],
    last: float | Float[np.ndarray, " pair"],
    rng: np.random.Generator,
) -> EventNoise:
    """Data about true times, seen until an instant.

    Rows come in pairs, an instant and the duration that begins there: of a pair whose
    instant is measured to be later than `last`, that alone is known. The scale of
    bounds must be that of the instants for this to be what the likelihood says.

    Args:
        noise: how they scatter.
        times: of the truth [s].
        last: instant of the last frame, of all or of each pair [s].
        rng: of the scatter.
    """
    off = noise.scatter.sample(rng, (len(times),))
    # What the likelihood will take for their scale, also of rows that were bounds.
    measured = np.asarray(times) + np.hypot(noise.sd, noise.discrepancy) * off
    unseen = measured[::2] > last
    exact = ~np.repeat(unseen, 2)
    after = np.full(len(times), -np.inf)
    after[::2][unseen] = np.broadcast_to(last, unseen.shape)[unseen]
    return dataclasses.replace(
        noise,
        time=np.where(exact, measured, 0.0),
        after=after,
        before=np.full(len(times), np.inf),
        exact=exact,
    )


class Trial(NamedTuple):
    """One truth among the draws of its data's posterior.

    Attributes:
        ranks: of the truth, 0 to `num_draws` (quantity,).
        inside50, inside90: whether central intervals of the draws hold it (quantity,);
            of fewer draws than 3 and 19 the intervals are too narrow.
        num_draws: among which it is ranked, thinned to be independent.
        num_failed: truths that could not be simulated, and failed solves of the chain.
        num_diverging: trajectories that no failed solve ended.
    """

    ranks: Int[np.ndarray, " quantity"]
    inside50: Bool[np.ndarray, " quantity"]
    inside90: Bool[np.ndarray, " quantity"]
    num_draws: int
    num_failed: int
    num_diverging: int


class Experiment(NamedTuple):
    """What is calibrated.

    Attributes:
        problem: prior and model; its data are replaced.
        measure: (noise, true times, generator) to the noise that holds data.
        believed: that noise to the one that the posterior is made with; another one
            than it is given breaks the likelihood.
        sampler: (problem with its data, its optimum, number of the trial) to what
            draws one chain of the posterior, such as `of_nuts` and `of_law`.
        num_draws: of the chain, after warm-up.
        thinning: every which draw is ranked against.
    """

    problem: Problem
    measure: Callable[[EventNoise, np.ndarray, np.random.Generator], EventNoise]
    believed: Callable[[EventNoise], EventNoise]
    sampler: Callable[[Problem, Fit, int], AbstractSampler]
    num_draws: int
    thinning: int


def of_nuts(num_warmup: int) -> Callable[[Problem, Fit, int], AbstractSampler]:
    """The no-U-turn sampler, for every posterior alike."""
    return lambda problem, optimum, number: NUTS(num_warmup)


def of_law(rounds: int, count: int) -> Callable[[Problem, Fit, int], AbstractSampler]:
    """Slices along ellipses of a law adapted to each posterior in so many rounds."""

    def made(problem, optimum, number):
        _, law = adapted(problem, optimum, rounds=rounds, count=count, seed=number)
        alone = jnp.zeros(len(law.middle), bool)
        return Elliptical(jnp.asarray(law.middle), jnp.asarray(law.factor), alone)

    return made


def trial(experiment: Experiment, seed: int, number: int) -> Trial:
    """One truth, its data, their posterior, and its ranks in it.

    Quantities are the raw numbers, then the log likelihood.

    Raises:
        ValueError: where no truth of the prior can be simulated.
    """
    problem, rng = experiment.problem, np.random.default_rng([seed, number])
    truth, times, num_failed = _truth(problem, rng)
    noise = experiment.measure(problem.noise, times, rng)
    own = dataclasses.replace(problem, noise=experiment.believed(noise))
    optimum = fit(own, np.zeros((1, truth.size)), LevenbergMarquardt())
    plan = Plan(1, experiment.num_draws, seed=number, chunk=10**6)
    with tempfile.TemporaryDirectory(prefix="diffelec-") as folder:
        store = Store(Path(folder) / "chunks")
        store.create({})
        target = Posterior.about(own, optimum)
        sampler = experiment.sampler(own, optimum, number)
        draws = sample(target, sampler, store, plan).draws
    likelihood = float(_log_likelihood(own, jnp.asarray(truth)))
    values = np.column_stack([draws.raw[0], draws.log_likelihoods[0].sum(axis=-1)])
    return _placed(
        np.append(truth, likelihood),
        values,
        experiment.thinning,
        num_failed + int(draws.num_failed.sum()),
        int(np.sum(draws.diverging)),
    )


def _truth(problem, rng):
    """A truth of the prior, its times on the events' clock [s], and how many truths
    before it failed.
    """
    for num_failed in range(_TRIES):
        truth = rng.standard_normal(problem.space.size)
        times, failed = _predicted(problem, jnp.asarray(truth))
        if not bool(failed):
            return truth, np.asarray(times), num_failed
    raise ValueError(
        f"One truth of the prior in {_TRIES} or more must be one that can be "
        "simulated, but none is; narrow the priors."
    )


def _placed(truth, values, thinning: int, num_failed: int, num_diverging: int) -> Trial:
    """A truth (quantity,) among draws (draw, quantity)."""
    ranked = values[::thinning]
    # Weibull's positions p (n + 1) hold what they promise where they lie within 1 to n:
    # for 50 % from 3 draws on, for 90 % from 19.
    levels = [0.05, 0.25, 0.75, 0.95]
    low90, low50, high50, high90 = np.quantile(ranked, levels, axis=0, method="weibull")
    return Trial(
        ranks=np.sum(ranked < truth, axis=0),
        inside50=(low50 <= truth) & (truth <= high50),
        inside90=(low90 <= truth) & (truth <= high90),
        num_draws=len(ranked),
        num_failed=num_failed,
        num_diverging=num_diverging,
    )


@eqx.filter_jit
def _predicted(problem, raw):
    """Times on the events' clock [s], and whether the solve failed."""
    values = problem.space.constrain(raw)
    found = problem.predict(values)
    shift = problem.noise.moves * problem.space.clock_offset(values)
    return found.times + shift, found.failed


@eqx.filter_jit
def _log_likelihood(problem, raw):
    return problem.log_likelihood(raw)


class Uniformity(NamedTuple):
    """How far ranks stray from uniform ones.

    Attributes:
        points: shares of the ranks' range (point,).
        difference: empirical distribution of ranks less the points (quantity, point).
        low, high: of the band that 95 % of sets of uniform ranks keep to at every
            point (point,).
        probability: that uniform ranks stray farther (quantity,).
    """

    points: Float[np.ndarray, " point"]
    difference: Float[np.ndarray, "quantity point"]
    low: Float[np.ndarray, " point"]
    high: Float[np.ndarray, " point"]
    probability: Float[np.ndarray, " quantity"]

    @property
    def family(self) -> float:
        """Probability of all quantities together (Bonferroni), 1 at most."""
        return float(min(1.0, len(self.probability) * self.probability.min()))


def uniformity(
    ranks: Int[np.ndarray, "trial quantity"], num_draws: int, seed: int = 0
) -> Uniformity:
    r"""Compares the distribution of ranks with the uniform one, at all points at once.

    At each of the points z the count of N ranks below is binomial; how improbable its
    least probable one is, is compared with sets of uniform ranks.

    Args:
        ranks: 0 to `num_draws`.
        num_draws: L.
        seed: of the uniform sets.

    Raises:
        ValueError: for ranks that are none.
    """
    ranks = np.asarray(ranks)
    _check_ranks(ranks, num_draws)
    total, cells = len(ranks), num_draws + 1
    rng = np.random.default_rng(seed)
    uniform = rng.integers(0, cells, (_SETS, total))
    points = np.arange(1, cells) / cells
    least = _least_probable(_counts_below(uniform, cells), total, points)
    counts = _counts_below(ranks.T, cells)
    own = _least_probable(counts, total, points)
    gamma = np.quantile(least, 0.05)
    law = scipy.stats.binom(total, points)
    return Uniformity(
        points=points,
        difference=counts / total - points,
        low=law.ppf(0.5 * gamma) / total - points,
        high=law.isf(0.5 * gamma) / total - points,
        probability=(1 + np.sum(least[:, None] <= own, axis=0)) / (1 + _SETS),
    )


def _check_ranks(ranks, num_draws: int) -> None:
    if ranks.ndim != 2 or not ranks.size:
        raise ValueError(
            "`ranks` must have a row a trial and a column a quantity, but has the "
            f"shape {ranks.shape}."
        )
    if not np.all((ranks >= 0) & (ranks <= num_draws)):
        raise ValueError(
            f"Ranks among {num_draws} draws must be 0 to {num_draws}, but go from "
            f"{ranks.min()} to {ranks.max()}; give the number of draws after thinning."
        )


def _counts_below(ranks, cells: int):
    """How many ranks of each row lie in the first 1, 2, ... cells (row, point)."""
    counts = np.stack([np.bincount(row, minlength=cells) for row in ranks])
    return np.cumsum(counts, axis=1)[:, :-1]


def _least_probable(counts, total: int, points):
    """Two-sided probability of the least probable count of each row."""
    law = scipy.stats.binom(total, points)
    return np.min(2.0 * np.minimum(law.cdf(counts), law.sf(counts - 1)), axis=1)
