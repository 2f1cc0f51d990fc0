r"""How alike particles react: one after another or together, in numbers with intervals.

Every particle has a degree of reaction $z_i \in [0, 1]$: its trace above its own level
before the rise, over its own rise. The measures are of z over a half cycle, at equal
steps of the state of charge (of time, where none is known). Intervals are from drawing
particles again with replacement; they do not hold what all particles share.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from .half_cycles import StateOfCharge
from .onsets import HalfOnsets
from .survival import Innermost, Reacted, innermost
from .traces import Traces
from .verdicts import Onset, Outcome

ACTIVE = (0.1, 0.9)  # degrees of reaction between which a particle is active
_MOST_POINTS = 100
_LEAST_SPREAD = 0.02  # of mean z (1 - z), below which nothing is told apart
_PER_QUARTILES = 1 / 1.349  # deviation of a normal law over its interquartile range
_NUM_DRAWS = 400


@dataclasses.dataclass(frozen=True)
class Degrees:
    """Degrees of reaction at equal steps along a half cycle; NaN where not seen.

    `progress` is the state of charge, or the time [s] where `is_time` holds.
    """

    particles: tuple[str, ...]
    progress: Float[np.ndarray, " point"]
    time: Float[np.ndarray, " point"]
    degree: Float[np.ndarray, "particle point"]
    is_time: bool


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number with its 95 % interval; NaN where there is none, and why."""

    value: float
    low: float
    high: float
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Curve:
    """A number at every point of a half cycle, with its 95 % band."""

    value: Float[np.ndarray, " point"]
    low: Float[np.ndarray, " point"]
    high: Float[np.ndarray, " point"]


@dataclasses.dataclass(frozen=True)
class Population:
    """What all particles together do in one half cycle.

    `curves` and `measures` are named: "mean degree", "segregation", "active", "reacted";
    "asynchrony", "segregation", "coherence", "active", "reacted", "restricted mean"
    ([s] from the start of the half cycle).
    """

    degrees: Degrees
    curves: dict[str, Curve]
    measures: dict[str, Measure]


def degrees_of(
    traces: Traces,
    one: HalfOnsets,
    charge: StateOfCharge | None = None,
    amplitude: float | None = None,
) -> Degrees:
    """Degrees of reaction of all particles that were not excluded.

    Args:
        traces: that the onsets were found in.
        one: the half cycle.
        charge: for steps of the state of charge; by default of time.
        amplitude: of every rise, in units of the traces; by default each one's own, and
            the median of all for one that did not react.

    Raises:
        ValueError: where no particle can be used.
    """
    used = [o for o in one.onsets if o.outcome is not Outcome.EXCLUDED]
    if not used:
        raise ValueError(
            f"One particle or more must have a usable trace in {one.half.name}, but "
            f"none of {len(one.onsets)} has; see the reasons in events_all.csv."
        )
    inside = one.half.holds(traces.time)
    time = traces.time[inside]
    along = time if charge is None else charge.at(time)
    known = np.isfinite(along)
    along, time = along[known], time[known]
    seen = [o.amplitude for o in used if o.has_reacted]
    typical = amplitude or (float(np.median(seen)) if seen else math.nan)
    rows = []
    for onset in used:
        row = one.sign * traces.intensity[traces.labels.index(onset.particle)]
        rows.append(_degree(row[inside][known], onset, typical, amplitude))
    steps = _steps(along)
    count = len(np.unique(steps))
    return Degrees(
        particles=tuple(o.particle for o in used),
        progress=_means(along[None], steps, count)[0],
        time=_means(time[None], steps, count)[0],
        degree=_means(np.array(rows), steps, count),
        is_time=charge is None,
    )


def _degree(row, onset: Onset, typical: float, amplitude: float | None):
    """Above the level before the rise, over the rise, between 0 and 1."""
    if math.isnan(typical):
        return np.where(np.isfinite(row), 0.0, np.nan)
    if onset.outcome is Outcome.LEFT:
        return np.where(np.isfinite(row), 1.0, np.nan)
    own = onset.amplitude if onset.has_reacted else typical
    return np.clip((row - onset.level) / (amplitude or own), 0.0, 1.0)


def _steps(along) -> np.ndarray:
    """(frame,) which of equal steps along a half cycle a frame is in."""
    count = min(len(along), _MOST_POINTS)
    edges = np.linspace(along.min(), along.max(), count + 1)[1:-1]
    return np.unique(np.searchsorted(edges, along, "right"), return_inverse=True)[1]


def _means(values, steps, count: int):
    """Means of (row, frame) over steps, NaN left aside: (row, step)."""
    total, number = np.zeros((2, len(values), count))
    for row in range(len(values)):
        good = np.isfinite(values[row])
        total[row] = np.bincount(steps[good], values[row][good], count)
        number[row] = np.bincount(steps[good], minlength=count)
    return np.divide(total, number, np.full_like(total, np.nan), where=number > 0)


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
    """Of the slopes of degrees along the half cycle, between particles."""
    slopes = np.array([_slope(found.progress, row) for row in found.degree])
    good = np.all(np.isfinite(slopes), axis=0)
    away = slopes[:, good] - slopes[:, good].mean(axis=1, keepdims=True)
    size = np.sqrt(np.sum(away**2, axis=1))
    size = np.where(size > 0, size, np.inf)
    return away @ away.T / np.outer(size, size)


def _slope(progress, row):
    """Slope of a row; NaN is bridged, and held at the ends."""
    good = np.isfinite(row)
    filled = np.interp(progress, progress[good], row[good]) if good.any() else row
    return np.gradient(filled, progress) if len(progress) > 1 else np.zeros_like(row)


def coherence(
    alike: Float[np.ndarray, "particle particle"],
    weight: Float[np.ndarray, " particle"],
) -> float:
    """Mean correlation of slopes over pairs of different particles; NaN for one."""
    pairs = np.outer(weight, weight)
    np.fill_diagonal(pairs, 0.0)
    total = pairs.sum()
    return float(np.sum(pairs * alike) / total) if total else math.nan


def bounds_of(one: HalfOnsets) -> tuple[list[Onset], np.ndarray, np.ndarray]:
    """(onsets, after, before) of those that are known or bounded [s]."""
    used = [o for o in one.onsets if o.outcome not in _LEFT_OUT]
    exact = [o.outcome is Outcome.EXACT for o in used]
    pairs = zip(used, exact, strict=True)
    after = np.array([o.midpoint if e else o.after for o, e in pairs])
    pairs = zip(used, exact, strict=True)
    before = np.array([o.midpoint if e else o.before for o, e in pairs])
    return used, after, before


_LEFT_OUT = (Outcome.EXCLUDED, Outcome.AMBIGUOUS)


def asynchrony(
    reacted: Reacted, durations: Float[np.ndarray, " particle"], weight
) -> float:
    """Spread of midpoints over the median duration: above 1 one after another.

    The spread is the standard deviation where all are known, else that of the
    quartiles; NaN where a quartile or every duration is not known.
    """
    known = np.isfinite(durations) & (weight > 0)
    if not known.any():
        return math.nan
    typical = float(np.median(np.repeat(durations[known], weight[known].astype(int))))
    if np.isfinite(reacted.time[reacted.mass > 1e-9]).all():
        middle = float(reacted.mass @ reacted.time)
        spread = math.sqrt(float(reacted.mass @ (reacted.time - middle) ** 2))
        return spread / typical
    quartiles = [reacted.quantile(share) for share in (0.25, 0.75)]
    spread = _PER_QUARTILES * (quartiles[1] - quartiles[0])
    return spread / typical if math.isfinite(spread) else math.nan
