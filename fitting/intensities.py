r"""Whole intensity traces as data: how bright each particle was, not only when it rose.

Light (or absorption) is affine in the stoichiometry x that it sees, with a level b and
a gain g of each particle's own:
$$ y_j = b + g\, \overline{x - x_0}_j + \epsilon_j, \quad \epsilon_j \sim N(0,
   \sigma_j^2), \quad b \sim N(\bar y, s_b^2),\ g \sim N(0, s_g^2) $$
The bar is a mean over the time of bin j, in data and in prediction alike. Level and
gain are integrated out in closed form, so a fit has no more numbers to search.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_FEWEST = 8  # frames
_MOST = 120  # bins of a half cycle
_LEVEL, _GAIN = 2.0, 5.0  # s_b, s_g in ranges, and in ranges a unit of stoichiometry
_CORRELATED = 4.0  # neighbouring bins in which the model is off alike
_MAD = 0.6745  # median distance from the middle of a normal law, in deviations


class Intensities(NamedTuple):
    """Intensities of particles, averaged over bins of time.

    Attributes:
        labels: of the particles.
        edges: of the bins, on the events' clock [s] (edge,).
        value: mean intensity, NaN where no frame was valid (particle, bin).
        count: valid frames (particle, bin).
        noise: standard deviation of one frame (particle,).
    """

    labels: tuple[str, ...]
    edges: Float[np.ndarray, " edge"]
    value: Float[np.ndarray, "particle bin"]
    count: Float[np.ndarray, "particle bin"]
    noise: Float[np.ndarray, " particle"]

    @property
    def middle(self) -> Float[np.ndarray, " bin"]:
        """Middle of each bin [s]."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def range(self) -> Float[np.ndarray, " particle"]:
        """From the lowest to the highest hundredths of each trace."""
        low, high = np.nanquantile(self.value, [0.02, 0.98], axis=1)
        return high - low

    def select(self, labels: Sequence[str]) -> "Intensities":
        """The same of some of the particles."""
        unknown = [label for label in labels if label not in self.labels]
        if unknown:
            raise ValueError(
                f"Particle '{unknown[0]}' must be one whose intensity was measured, "
                f"which are {', '.join(self.labels)}."
            )
        rows = [self.labels.index(label) for label in labels]
        return self._replace(
            labels=tuple(labels),
            value=self.value[rows],
            count=self.count[rows],
            noise=self.noise[rows],
        )


def binned(
    time: Float[np.ndarray, " frame"],
    labels: Sequence[str],
    intensity: Float[np.ndarray, "particle frame"],
    span: tuple[float, float] = (-np.inf, np.inf),
) -> Intensities:
    """Traces averaged over at most 120 bins; few frames have a bin each.

    A bin reaches half-way to the frames beside it. The noise of a frame is that of
    differences from one to the next, which a jump does not raise.

    Args:
        time: of the frames, increasing, on the events' clock [s].
        labels: of the particles.
        intensity: NaN where not valid.
        span: start and end of the half cycle on that clock [s].

    Raises:
        ValueError: for fewer than 8 frames in the half cycle, or valid frames of a
            particle, and for traces that have not a row a label and a column a frame.
    """
    _check_traces(time, labels, intensity)
    inside = (time >= span[0]) & (time <= span[1])
    if inside.sum() < _FEWEST:
        raise ValueError(
            f"Intensities must have {_FEWEST} frames or more in the half cycle, but "
            f"have {int(inside.sum())}; fit the times instead."
        )
    time, intensity = time[inside], intensity[:, inside]
    few = np.flatnonzero(np.isfinite(intensity).sum(axis=1) < _FEWEST)
    if few.size:
        raise ValueError(
            f"The trace of particle '{labels[few[0]]}' must have {_FEWEST} valid "
            "frames or more in the half cycle, but has fewer; remove it."
        )
    groups = np.array_split(np.arange(time.size), min(time.size, _MOST))
    first = np.array([group[0] for group in groups])
    inner = 0.5 * (time[first[1:] - 1] + time[first[1:]])
    ends = 1.5 * time[[0, -1]] - 0.5 * time[[1, -2]]
    edges = np.concatenate([ends[:1], inner, ends[1:]]).clip(*span)
    valid = np.isfinite(intensity)
    count = np.add.reduceat(valid, first, axis=1).astype(float)
    total = np.add.reduceat(np.where(valid, intensity, 0.0), first, axis=1)
    value = np.where(count > 0, total / np.maximum(count, 1.0), np.nan)
    noise = np.array([_noise(trace[np.isfinite(trace)]) for trace in intensity])
    return Intensities(tuple(labels), edges, value, count, noise)


def _check_traces(time, labels, intensity) -> None:
    if np.shape(intensity) != (len(labels), np.size(time)):
        raise ValueError(
            f"Intensities must have a row for each of {len(labels)} labels and a "
            f"column for each of {np.size(time)} frames, but have the shape "
            f"{np.shape(intensity)}."
        )
    if not np.all(np.diff(time) > 0):
        raise ValueError(
            "The times of frames must increase, but do not from frame "
            f"{int(np.argmin(np.diff(time) > 0))} to the next; sort them."
        )


def _noise(trace) -> float:
    """Standard deviation of a frame, by neighbouring ones."""
    return float(np.median(np.abs(np.diff(trace))) / (_MAD * np.sqrt(2.0)))


class Matched(NamedTuple):
    """Intensities beside those that a prediction gives, in units of each one's range.

    Attributes:
        fitted: with the most probable level and gain (particle, bin).
        rows: standardised differences, 0 where nothing was seen (particle, bin).
        prior: rows of level and gain (particle, 2).
        volume: log of by how much the data narrow level and gain, twice (particle,).
    """

    fitted: Float[Array, "particle bin"]
    rows: Float[Array, "particle bin"]
    prior: Float[Array, "particle 2"]
    volume: Float[Array, " particle"]


class IntensityNoise(eqx.Module):
    r"""Intensities about predictions, level and gain of each particle integrated out.

    In standardised rows r of the data and A of (1, x - x_0), prior of unit width:
    $$ -2 \log p = |r - A\beta|^2 + |\beta|^2 + \log|1 + A^T A| + \mathrm{const.},
       \quad \beta = (1 + A^T A)^{-1} A^T r $$

    Attributes:
        edges: of bins on the events' clock [s] (edge,).
        value: in units of each particle's range about its mean (particle, bin).
        weight: one over the standard deviation, 0 where nothing was seen.
        counts: for how many independent numbers a bin stands, 1 where its scatter is
            the frames' alone, a quarter where it is the model's.
    """

    edges: Float[Array, " edge"]
    value: Float[Array, "particle bin"]
    weight: Float[Array, "particle bin"]
    counts: Float[Array, "particle bin"]

    @staticmethod
    def of(seen: Intensities, sd: float) -> "IntensityNoise":
        """The noise of intensities.

        Args:
            seen: the data.
            sd: by how much the model may be off, in units of a trace's range; alike
                in four neighbouring bins, which therefore count as one.

        Raises:
            ValueError: for a deviation that is none, or a trace without a range.
        """
        if not 0 < sd < np.inf:
            raise ValueError(
                f"The deviation of intensities must be positive, but is {sd:g}."
            )
        flat = np.flatnonzero(~(seen.range > 0))
        if flat.size:
            raise ValueError(
                f"The trace of particle '{seen.labels[flat[0]]}' must vary, but is "
                "constant; remove it."
            )
        size = seen.range[:, None]
        middle = np.nanmean(seen.value, axis=1, keepdims=True)
        known = seen.count > 0
        frame = (seen.noise[:, None] / size) ** 2 / np.maximum(seen.count, 1.0)
        variance = frame + _CORRELATED * sd**2
        return IntensityNoise(
            edges=seen.edges,
            value=np.where(known, (seen.value - middle) / size, 0.0),
            weight=np.where(known, 1.0 / np.sqrt(variance), 0.0),
            counts=np.where(known, (frame + sd**2) / variance, 0.0),
        )

    def match(self, instants, course, shift=0.0) -> Matched:
        """The data beside a predicted course of stoichiometries.

        Args:
            instants: on the events' clock, not decreasing [s] (time,).
            course: stoichiometries (time, particle).
            shift: seconds by which the data's clock is ahead of that.
        """
        instants, course = jnp.asarray(instants), jnp.asarray(course)
        mean = jax.vmap(_means, in_axes=(None, 1, None))
        change = mean(instants, course - course[:1], self.edges - shift)
        basis = jnp.stack([_LEVEL * jnp.ones_like(change), _GAIN * change], axis=-1)
        rows, sides = self.weight * self.value, self.weight[..., None] * basis
        normal = jnp.eye(2) + jnp.einsum("pbi,pbj->pij", sides, sides)
        beta = jnp.linalg.solve(
            normal, jnp.einsum("pbi,pb->pi", sides, rows)[..., None]
        )
        beta = beta[..., 0]
        return Matched(
            fitted=jnp.einsum("pbi,pi->pb", basis, beta),
            rows=rows - jnp.einsum("pbi,pi->pb", sides, beta),
            prior=beta,
            volume=jnp.linalg.slogdet(normal)[1],
        )

    def residual(self, instants, course, shift=0.0) -> Float[Array, " row"]:
        """Rows r with sum(r^2)/2 = -log density + a constant: those of bins, of levels
        and gains, of volumes.
        """
        found = self.match(instants, course, shift)
        rows = (found.rows, found.prior, jnp.sqrt(found.volume))
        return jnp.concatenate([jnp.ravel(part) for part in rows])

    @property
    def row_counts(self) -> np.ndarray:
        """`counts` of the rows of `residual`, 0 for those that are no measurement."""
        counts = np.asarray(self.counts)
        return np.concatenate([counts.ravel(), np.zeros(3 * len(counts))])

    def log_densities(self, instants, course, shift=0.0) -> Float[Array, " particle"]:
        """Log density of each particle's trace."""
        found = self.match(instants, course, shift)
        known = self.weight > 0
        scale = jnp.log(jnp.where(known, self.weight, 1.0)) - 0.5 * np.log(2.0 * np.pi)
        return (
            jnp.sum(jnp.where(known, scale, 0.0), axis=1)
            - 0.5 * jnp.sum(found.rows**2, axis=1)
            - 0.5 * jnp.sum(found.prior**2, axis=1)
            - 0.5 * found.volume
        )


def _means(time, series, edges):
    """Means of a series over bins, along lines between its instants, constant beyond
    them; smooth in instants and series alike.
    """
    width = time[1:] - time[:-1]
    area = 0.5 * (series[1:] + series[:-1]) * width
    area = jnp.concatenate([jnp.zeros(1), jnp.cumsum(area)])
    at = jnp.clip(edges, time[0], time[-1])
    k = jnp.clip(jnp.searchsorted(time, at, side="right") - 1, 0, len(time) - 2)
    share = (at - time[k]) / jnp.where(width[k] > 0, width[k], 1.0)
    value = series[k] + share * (series[k + 1] - series[k])
    total = area[k] + 0.5 * (series[k] + value) * (at - time[k])
    total = total + (edges - at) * value
    return (total[1:] - total[:-1]) / (edges[1:] - edges[:-1])
