"""The share of particles that have reacted, from times, intervals and bounds.

Source: Turnbull, *J. R. Stat. Soc. B* 38, 290 (1976); without intervals it is the
estimator of Kaplan and Meier, *J. Am. Stat. Assoc.* 53, 457 (1958).
"""

import dataclasses
import itertools
import math

import numpy as np
from jaxtyping import Bool, Float

_MAX_STEPS, _TOLERANCE = 500, 1e-7


@dataclasses.dataclass(frozen=True)
class Reacted:
    """Mass of particles over instants; what never reacts has its mass at infinity.

    Attributes:
        time: of each mass, the middle of its interval, increasing [s].
        mass: that sums to 1.
    """

    time: Float[np.ndarray, " mass"]
    mass: Float[np.ndarray, " mass"]

    def at(self, time: Float[np.ndarray, " instant"]) -> Float[np.ndarray, " instant"]:
        """The share that has reacted by each instant."""
        share = np.concatenate([[0.0], np.cumsum(self.mass)])
        return share[np.searchsorted(self.time, time, "right")]

    def quantile(self, share: float) -> float:
        """When a share has reacted [s]; infinite where that was never seen."""
        reached = np.cumsum(self.mass) >= share - 1e-9
        return float(self.time[np.argmax(reached)]) if reached.any() else math.inf

    def restricted_mean(self, horizon: float) -> float:
        """Mean time to react, none being counted as later than a horizon [s]."""
        return float(self.mass @ np.minimum(self.time, horizon))


@dataclasses.dataclass(frozen=True)
class Innermost:
    """The intervals that can hold mass, and which of them each particle may be in."""

    time: Float[np.ndarray, " mass"]
    may: Bool[np.ndarray, "particle mass"]

    def reacted(self, weight: Float[np.ndarray, " particle"]) -> Reacted:
        """The most likely masses, particles counting by their weights."""
        used = weight > 0
        may, count = self.may[used].astype(float), weight[used] / weight.sum()
        mass = may.T @ (count / may.sum(axis=1))
        for _ in range(_MAX_STEPS):
            expected = mass * (may.T @ (count / (may @ mass)))
            done = np.max(np.abs(expected - mass)) < _TOLERANCE
            mass = expected
            if done:
                break
        return Reacted(self.time, mass)


def innermost(
    after: Float[np.ndarray, " particle"], before: Float[np.ndarray, " particle"]
) -> Innermost:
    """Turnbull's intervals of (after, before]; an exact time has both equal [s]."""
    exact = after == before
    # At one instant: a time begins, then ends (as intervals do), then bounds begin.
    begins = [(t, 0 if e else 2) for t, e in zip(after, exact, strict=True)]
    ends = [(t, 1) for t in before]
    order = sorted({*begins, *ends})
    rank = {key: k for k, key in enumerate(order)}
    pairs = [
        (low, high)
        for low, high in itertools.pairwise(order)
        if low[1] != 1 and high[1] == 1
    ]
    middle = np.array([_middle(low[0], high[0]) for low, high in pairs])
    first = np.array([rank[low] for low, _ in pairs])
    last = np.array([rank[high] for _, high in pairs])
    low = np.array([rank[key] for key in begins])[:, None]
    high = np.array([rank[key] for key in ends])[:, None]
    return Innermost(middle, (first >= low) & (last <= high))


def _middle(low: float, high: float) -> float:
    """Of an interval; its finite end where one is infinite on the left."""
    if math.isinf(high):
        return math.inf
    return high if math.isinf(low) else 0.5 * (low + high)
