"""Pareto-smoothed importance sampling: weights that can be relied on, or a warning."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_LEAST = (
    1e-100  # of the largest weight; where the tail reaches below, one outweighs all
)


class Smoothed(NamedTuple):
    """Normalised weights, and what they are worth.

    Attributes:
        weights: that sum to 1 (draw,).
        shape: k of their tail; averages may be relied on below `largest_shape`.
        effective: number of equal weights that would be worth as much.
    """

    weights: Float[np.ndarray, " draw"]
    shape: float
    effective: float


def largest_shape(count: int) -> float:
    r"""Shape k above which averages over that many weights mean nothing.

    $$ \min(1 - 1/\log_{10} S, 0.7) $$

    0.55 of 160 weights, 0.64 of 600, 0.7 from 2200 on.

    Source: Vehtari et al. 2024, arXiv 1507.02646.
    """
    return float(min(1.0 - 1.0 / np.log10(max(count, 2)), 0.7))


def smooth_weights(log_weights: Float[np.ndarray, " draw"]) -> Smoothed:
    r"""The largest weights replaced by quantiles of the Pareto law that they follow.

    The tail is the largest $$ \min(S/5, 3 \sqrt S) $$ of S weights. Weights of zero
    (log -inf) are allowed. With fewer than 5 in the tail, or a quarter of
    it equal or next to nothing, k is infinite: nothing is known. It is minus infinity
    where 5 or more are all the same.

    Raises:
        ValueError: where no weight is above zero, or one is no number.

    Source: Vehtari et al. 2024, arXiv 1507.02646; the fit is that of Zhang and
        Stephens 2009, doi 10.1198/tech.2009.08017.
    """
    logs = np.asarray(log_weights, float)
    bad = np.flatnonzero(np.isnan(logs) | np.isposinf(logs))
    if bad.size:
        raise ValueError(
            f"Logarithms of weights must be finite, or -inf, but that of draw {bad[0]} "
            f"is {logs[bad[0]]}; leave it out."
        )
    if not np.any(np.isfinite(logs)):
        raise ValueError("One weight or more must be above zero, but none is.")
    logs = logs - np.max(logs)
    count = int(min(np.ceil(logs.size / 5), np.ceil(3 * np.sqrt(logs.size))))
    order = np.argsort(logs)
    tail, threshold = order[-count:], np.exp(logs[order[max(-count - 1, -logs.size)]])
    excess = np.exp(logs[tail]) - threshold
    shape = np.inf
    if count >= 5 and np.sort(excess)[int(count / 4 + 0.5) - 1] > _LEAST:
        shape, scale = _fitted(np.sort(excess))
        chance = (np.arange(count) + 0.5) / count
        smoothed = np.log(threshold + _quantiles(chance, shape, scale))
        above_zero = np.isfinite(logs[tail])  # few may be, where most solves failed
        logs[tail] = np.where(above_zero, np.minimum(smoothed, 0.0), -np.inf)
    elif count >= 5 and np.ptp(excess) == 0:
        shape = -np.inf
    weights = np.exp(logs - np.max(logs))
    weights = weights / np.sum(weights)
    return Smoothed(weights, float(shape), float(1.0 / np.sum(weights**2)))


def _quantiles(chance, shape: float, scale: float):
    """Of the generalised Pareto law."""
    if abs(shape) < 1e-12:
        return -scale * np.log1p(-chance)
    return scale * np.expm1(-shape * np.log1p(-chance)) / shape


def _fitted(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of excesses in increasing order, with a weak prior of 0.5 on the
    shape that counts as 10 of them.
    """
    count = excess.size
    num = 30 + int(np.sqrt(count))
    quartile = excess[int(count / 4 + 0.5) - 1]
    places = np.arange(1, num + 1) - 0.5
    bent = (1 - np.sqrt(num / places)) / (3 * quartile) + 1 / excess[-1]
    shapes = np.mean(np.log1p(-bent[:, None] * excess), axis=1)
    likelihood = count * (np.log(-bent / shapes) - shapes - 1)
    weights = 1 / np.sum(np.exp(likelihood - likelihood[:, None]), axis=1)
    middle = np.sum(bent * weights)
    shape = np.mean(np.log1p(-middle * excess))
    scale = -shape / middle
    return float((count * shape + 10 * 0.5) / (count + 10)), float(scale)
