"""How alike particles react: one after another or together, with intervals.

The measures are of the degrees of reaction z along a half cycle and of the times of
reaction. Intervals are from drawing particles again with replacement; they do not hold
what all particles share, such as the offset of the clock, and there are none where
all draws are alike: of one particle, or where all react, or none.

Source: Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 13.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .degrees import Degrees
from .half_cycles import HalfCycle
from .onsets import HalfOnsets
from .survival import Reacted, innermost
from .verdicts import UNTIMED, Onset, Outcome

ACTIVE = (0.1, 0.9)  # degrees of reaction between which a particle is active
_LEAST_SPREAD = 0.05  # of mean z (1 - z), below which nothing is told apart
_LEAST_MASS = 1e-9
_BEYOND = 1e100  # stands for infinity where percentiles are taken
_ALIKE = 1e-6  # width of an interval over its end, up to which draws are the same
_PER_QUARTILES = 1 / 1.349  # deviation of a normal law over its interquartile range


class Measure(NamedTuple):
    """A number with its 95 % interval; NaN where there is none.

    The upper end is infinite where more draws than 2.5 % are beyond what was seen.
    """

    value: float
    low: float
    high: float


class Curve(NamedTuple):
    """A number at every point of a half cycle, with its 95 % band."""

    value: Float[np.ndarray, " point"]
    low: Float[np.ndarray, " point"]
    high: Float[np.ndarray, " point"]


class Measures(NamedTuple):
    """Numbers of a half cycle.

    `asynchrony`: spread of midpoints over the median duration. `segregation`: 1 where
    every particle is at 0 or 1, 0 where all are alike. `coherence`: mean correlation of
    slopes. `active`: share between 10 and 90 %. `reacted`: share by the last frame.
    `restricted_mean`: time to react from the start of the half cycle [s], none being
    counted as later than its last frame.
    """

    asynchrony: Measure
    segregation: Measure
    coherence: Measure
    active: Measure
    reacted: Measure
    restricted_mean: Measure


class Curves(NamedTuple):
    """Along a half cycle: mean degree, segregation, active share, reacted share."""

    mean: Curve
    segregation: Curve
    active: Curve
    reacted: Curve


@dataclasses.dataclass(frozen=True)
class Population:
    """What all particles together do in one half cycle.

    `steps` [s] are the instants at which the reacted share changes, between the first
    and the last that are shown, and `reacted` is the share there: the points of
    `curves` lie further apart than times are known.
    """

    half: HalfCycle
    degrees: Degrees
    curves: Curves
    measures: Measures
    steps: Float[np.ndarray, " step"]
    reacted: Curve


def segregation(
    degree: Float[np.ndarray, "particle point"], weight: Float[np.ndarray, " particle"]
) -> tuple[Float[np.ndarray, " point"], float]:
    r"""Segregation index at each point, and over all.

    $$ H = \mathrm{Var}_i(z) / [\bar z (1 - \bar z)] $$
    1 where every particle is at 0 or 1, 0 where all are alike; over all, the mean
    weighed by $\bar z (1 - \bar z)$.

    Source: intensity of segregation, Danckwerts, *Appl. Sci. Res. A* 3, 279 (1952).
    """
    mean, square = _mean(degree, weight), _mean(degree**2, weight)
    spread, most = np.maximum(square - mean**2, 0.0), mean * (1 - mean)
    told = most > _LEAST_SPREAD
    index = np.divide(spread, most, np.full_like(most, np.nan), where=told)
    total = float(np.sum(most[told]))
    return index, float(np.sum(spread[told])) / total if total else math.nan


def _mean(values, weight):
    """Weighed mean over particles, NaN left aside: (point,)."""
    good = np.isfinite(values)
    count = weight @ good
    total = weight @ np.where(good, values, 0.0)
    return np.divide(total, count, np.full_like(total, np.nan), where=count > 0)


def active_share(
    degree: Float[np.ndarray, "particle point"], weight: Float[np.ndarray, " particle"]
) -> tuple[Float[np.ndarray, " point"], float]:
    """Share of particles between 10 and 90 %, and its mean while the mean degree is.

    The current per reacting particle is that of all over this share.

    Source: Li et al., *Nat. Mater.* 13, 1149 (2014).
    """
    low, high = ACTIVE
    between = np.where(np.isfinite(degree), (degree > low) & (degree < high), np.nan)
    share, mean = _mean(between, weight), _mean(degree, weight)
    during = (mean > low) & (mean < high)
    return share, float(np.mean(share[during])) if during.any() else math.nan


def correlations(found: Degrees) -> Float[np.ndarray, "particle particle"]:
    """Of the slopes of degrees along the half cycle, between particles; NaN where one
    has no degree.
    """
    slopes = np.array([_slope(found.progress, row) for row in found.degree])
    slopes -= slopes.mean(axis=1, keepdims=True)
    size = np.sqrt(np.sum(slopes**2, axis=1))
    size = np.where(size == 0, np.inf, size)
    return slopes @ slopes.T / np.outer(size, size)


def _slope(progress, row):
    """Slope of a row; NaN is bridged, and held at the ends."""
    good, along = np.isfinite(row), progress
    if progress[-1] < progress[0]:  # a discharge, which undoes the charge
        along = -progress
    filled = np.interp(along, along[good], row[good]) if good.any() else row
    return np.gradient(filled, progress) if len(progress) > 1 else np.zeros_like(row)


def coherence(
    alike: Float[np.ndarray, "particle particle"],
    weight: Float[np.ndarray, " particle"],
) -> float:
    """Mean correlation of slopes over pairs of different particles that have degrees;
    NaN where there is no pair.
    """
    known = np.isfinite(np.diag(alike))
    pairs = np.outer(weight[known], weight[known])
    np.fill_diagonal(pairs, 0.0)
    total = pairs.sum()
    alike = alike[np.ix_(known, known)]
    return float(np.sum(pairs * alike) / total) if total else math.nan


def bounds_of(one: HalfOnsets) -> tuple[list[Onset], np.ndarray, np.ndarray]:
    """(onsets, after, before) of those of which something is known [s]."""
    used = [o for o in one.onsets if o.outcome not in UNTIMED]
    exact = np.array([o.outcome is Outcome.EXACT for o in used], bool)
    middle, after, before = (
        np.array([getattr(o, name) for o in used], float)
        for name in ("midpoint", "after", "before")
    )
    return used, np.where(exact, middle, after), np.where(exact, middle, before)


def asynchrony(
    reacted: Reacted,
    durations: Float[np.ndarray, " particle"],
    weight: Float[np.ndarray, " particle"],
) -> float:
    """Spread of midpoints over the median duration: above 1 one after another.

    The spread is the standard deviation where all are known, else that of the
    quartiles: infinite where the upper one was never seen. NaN where no duration is
    known.
    """
    known = np.isfinite(durations) & (weight > 0)
    if not known.any():
        return math.nan
    typical = float(np.median(np.repeat(durations[known], weight[known].astype(int))))
    held = reacted.mass > _LEAST_MASS
    mass, time = reacted.mass[held], reacted.time[held]
    if np.isfinite(time).all():
        return math.sqrt(float(mass @ (time - mass @ time) ** 2)) / typical
    low, high = (reacted.quantile(share) for share in (0.25, 0.75))
    return _PER_QUARTILES * (high - low) / typical if high < math.inf else math.inf


def population(
    degrees: Degrees, one: HalfOnsets, *, seed: int = 0, num_draws: int = 400
) -> Population:
    """Curves and measures of a half cycle, with 95 % intervals.

    Args:
        degrees: of the same half cycle.
        one: its onsets.
        seed: of the draws of particles.
        num_draws: of them.

    Raises:
        ValueError: where of no particle anything is known.
    """
    used, after, before = bounds_of(one)
    if not used:
        raise ValueError(
            f"One particle or more must be known to react or not in {one.half.name}, "
            "but all are ambiguous, steady or excluded; see events_all.csv for reasons."
        )
    intervals = innermost(after, before)
    changes = intervals.time[np.isfinite(intervals.time)]
    steps = np.unique([*degrees.time[[0, -1]], *changes])
    evaluate = _evaluation(degrees, one, used, intervals, steps)
    labels = list(dict.fromkeys([*degrees.particles, *(o.particle for o in used)]))
    count = len(labels)
    curves, numbers, reacted = evaluate(dict.fromkeys(labels, 1.0))
    generator = np.random.default_rng(seed)
    drawn = [
        evaluate(dict(zip(labels, row.astype(float), strict=True)))
        for row in generator.multinomial(count, np.full(count, 1 / count), num_draws)
        if any(row[labels.index(o.particle)] for o in used)
    ]
    bands, ranges, beside = (
        _band(np.array(values), count) for values in zip(*drawn, strict=True)
    )
    finite = np.where(np.isfinite(ranges), ranges, np.nan)
    ranges[:, np.ptp(finite, axis=0) <= _ALIKE * np.abs(finite[1])] = np.nan
    numbers = [number if math.isfinite(number) else math.nan for number in numbers]
    return Population(
        one.half,
        degrees,
        Curves(*(Curve(*three) for three in zip(curves, *bands, strict=True))),
        Measures(
            *(Measure(*map(float, t)) for t in zip(numbers, *ranges, strict=True))
        ),
        steps,
        Curve(reacted, *beside),
    )


def _evaluation(degrees, one, used, intervals, steps) -> Callable:
    """A function of weights by particle: (curves (4, point), numbers (6,), reacted
    share (step,)).
    """
    alike = correlations(degrees)
    durations = np.array([o.duration for o in used])
    end = max(o.after if math.isfinite(o.after) else 0.0 for o in used)
    end = max(end, float(np.nanmax(degrees.time)))

    def evaluate(weights: dict):
        mine = np.array([weights[label] for label in degrees.particles])
        theirs = np.array([weights[o.particle] for o in used])
        index, segregated = segregation(degrees.degree, mine)
        if len(degrees.particles) < 2:  # one is alike with itself, which tells nothing
            index, segregated = np.full_like(index, np.nan), math.nan
        share, active = active_share(degrees.degree, mine)
        reacted = intervals.reacted(theirs)
        numbers = (
            asynchrony(reacted, durations, theirs) if len(used) > 1 else math.nan,
            segregated,
            coherence(alike, mine),
            active,
            float(reacted.at(np.array([end]))[0]),
            reacted.restricted_mean(end) - one.half.start,
        )
        mean = _mean(degrees.degree, mine)
        curves = np.array([mean, index, share, reacted.at(degrees.time)])
        return curves, numbers, reacted.at(steps)

    return evaluate


def _band(draws, count: int):
    """2.5 and 97.5 % of draws, NaN where half of them or more have none."""
    shape = draws.shape[1:]
    if count < 2:
        return np.full((2, *shape), np.nan)
    known = np.mean(~np.isnan(draws), axis=0) > 0.5
    filled = np.where(known, np.minimum(draws, _BEYOND), 0.0)
    band = np.nanpercentile(filled, [2.5, 97.5], axis=0)
    band[band > 1e-9 * _BEYOND] = np.inf
    return np.where(known, band, np.nan)
