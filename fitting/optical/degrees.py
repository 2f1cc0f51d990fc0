"""How far each particle has reacted along a half cycle, from 0 to 1.

A degree of reaction is the trace above its own level before the rise, over its own
rise; along equal steps of the state of charge (of time, where none is known).
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from .half_cycles import StateOfCharge
from .onsets import HalfOnsets
from .traces import Traces
from .verdicts import Onset, Outcome

_MOST_POINTS = 100


@dataclasses.dataclass(frozen=True)
class Degrees:
    """Degrees of reaction at equal steps along a half cycle; NaN where not seen or
    not known.

    `progress` is the state of charge, or the time [s] where `is_time` holds; points are
    in the order of time, so that it falls in a discharge.
    """

    particles: tuple[str, ...]
    progress: Float[np.ndarray, " point"]
    time: Float[np.ndarray, " point"]
    degree: Float[np.ndarray, "particle point"]
    is_time: bool


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
            the median of all for one that did not react, or changed without a jump by
            more than that.

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
    rows = _rows(traces, one, used, amplitude)[:, inside][:, known]
    steps, count = _steps(along)
    mean_time = _means(time[None], steps, count)[0]
    forth = np.argsort(mean_time)
    return Degrees(
        particles=tuple(o.particle for o in used),
        progress=_means(along[None], steps, count)[0, forth],
        time=mean_time[forth],
        degree=_means(rows, steps, count)[:, forth],
        is_time=charge is None,
    )


def _rows(traces: Traces, one: HalfOnsets, used, amplitude: float | None):
    """Degrees of reaction of particles at all frames: (particle, frame)."""
    seen = [o.amplitude for o in used if o.has_reacted]
    typical = amplitude or (float(np.median(seen)) if seen else math.nan)
    rows = []
    for onset in used:
        row = one.sign * traces.intensity[traces.labels.index(onset.particle)]
        rows.append(_degree(traces.time, row, onset, typical, amplitude))
    return np.array(rows)


def _degree(time, row, onset: Onset, typical: float, amplitude: float | None):
    """Above the level before the rise, over the rise, between 0 and 1; NaN before the
    bound of what is over by then, as its level before is not known.
    """
    if onset.outcome is Outcome.LEFT:
        over = np.isfinite(row) & (time >= onset.before)
        return np.where(over, 1.0, np.nan)
    if math.isnan(typical):
        return np.where(np.isfinite(row), 0.0, np.nan)
    own = onset.amplitude if onset.has_reacted else typical
    if onset.outcome is Outcome.STEADY and onset.change > 0:
        # By the same yardstick as others, whose slide beyond their jump does not count.
        own = min(onset.change, typical)
    return np.clip((row - onset.level) / (amplitude or own), 0.0, 1.0)


def _steps(along) -> tuple[np.ndarray, int]:
    """(frame,) which of equal steps along a half cycle each is in, and their number."""
    count = min(len(along), _MOST_POINTS)
    edges = np.linspace(along.min(), along.max(), count + 1)[1:-1]
    used, steps = np.unique(np.searchsorted(edges, along, "right"), return_inverse=True)
    return steps, len(used)


def _means(values, steps, count: int):
    """Means of (row, frame) over steps, NaN left aside: (row, step)."""
    total, number = np.zeros((2, len(values), count))
    for row in range(len(values)):
        good = np.isfinite(values[row])
        total[row] = np.bincount(steps[good], values[row][good], count)
        number[row] = np.bincount(steps[good], minlength=count)
    return np.divide(total, number, np.full_like(total, np.nan), where=number > 0)
