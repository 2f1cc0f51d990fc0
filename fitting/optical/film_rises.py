"""Intensities that a made film shows, and when they truly rise.

A shape of a rise is a function `shape(time, midpoint, duration)` that goes from 0 to 1,
passes 0.5 at its midpoint, and takes its duration from 0.1 to 0.9. To add one, write
such a function.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import expit

LEVELS = (0.1, 0.5, 0.9)
_STREAM_RISES = 5
_SPHERE = (0.000922, 0.030547, 0.182985)  # theta at which a sphere is at LEVELS
_LN2, _LN9 = math.log(2.0), math.log(9.0)


def logistic(time, midpoint: float, duration: float):
    """Symmetric, with exponential flanks."""
    return expit(2 * _LN9 * (np.asarray(time) - midpoint) / duration)


def exponential(time, midpoint: float, duration: float):
    """Sets in at once and slows down: 1 - exp(-t/tau) from its start on."""
    tau = duration / _LN9
    past = np.asarray(time) - (midpoint - _LN2 * tau)
    return -np.expm1(-np.maximum(past, 0.0) / tau)


def ramp(time, midpoint: float, duration: float):
    """Straight between two corners."""
    return np.clip(0.5 + 0.8 * (np.asarray(time) - midpoint) / duration, 0.0, 1.0)


def diffusion(time, midpoint: float, duration: float):
    r"""Mean of a sphere whose surface was set to its end value at an instant.

    $$ 1 - \frac{6}{\pi^2} \sum_n \frac{1}{n^2} e^{-n^2 \pi^2 \theta} $$
    and, where theta is small, $6 \sqrt{\theta / \pi} - 3 \theta$.

    Source: Crank, *The Mathematics of Diffusion*, 2nd ed. (1975), section 6.3.1.
    """
    early, middle, late = _SPHERE
    scale = (late - early) / duration
    theta = np.maximum(middle + scale * (np.asarray(time) - midpoint), 0.0)
    number = np.arange(1, 7)
    waves = np.exp(-np.multiply.outer(theta, (np.pi * number) ** 2)) / number**2
    series = 1.0 - 6.0 / np.pi**2 * waves.sum(axis=-1)
    return np.where(theta < 0.05, 6.0 * np.sqrt(theta / np.pi) - 3.0 * theta, series)


SHAPES = (logistic, exponential, ramp, diffusion)


@dataclasses.dataclass(frozen=True)
class Rise:
    """How one particle brightens.

    Attributes:
        midpoint: of the rise [s].
        duration: from 10 to 90 % of it [s].
        base: intensity before.
        amplitude: of the rise; 0 for a particle that stays silent, negative for one
            that darkens.
        shape: see above.
        drift: of the intensity, evenly over the film.
        later: brightening that sets in at 90 % of the rise, on its way to this share of
            the amplitude.
        later_time: in which 63 % of that comes [s].
    """

    midpoint: float
    duration: float
    base: float = 0.3
    amplitude: float = 0.3
    shape: Callable = logistic
    drift: float = 0.0
    later: float = 0.0
    later_time: float = 4 * 3600.0

    def __post_init__(self):
        if not (0 < self.duration < math.inf and 0 < self.later_time < math.inf):
            raise ValueError(
                "`duration` and `later_time` must be positive, but are "
                f"{self.duration:g} and {self.later_time:g} s."
            )
        if not math.isfinite(self.midpoint):
            raise ValueError(
                f"`midpoint` must be finite, but is {self.midpoint:g} s; a particle "
                "that never rises has the amplitude 0."
            )

    def intensity(self, time: Float[np.ndarray, " frame"]):
        """At instants, without noise."""
        share = self.shape(time, self.midpoint, self.duration)
        past = np.maximum(time - self.crossings()[2], 0.0)
        later = -self.later * np.expm1(-past / self.later_time)
        slow = self.drift * time / max(float(time[-1]), 1e-12)
        return self.base + self.amplitude * (share + later) + slow

    def crossings(self) -> tuple[float, float, float]:
        """When 10, 50 and 90 % of the rise are reached [s]."""
        near = np.linspace(-1.5, 1.5, 3001) * self.duration + self.midpoint
        share = self.shape(near, self.midpoint, self.duration)
        return tuple(float(np.interp(level, share, near)) for level in LEVELS)


@dataclasses.dataclass(frozen=True)
class Intensities:
    """What particles show at planned frames, and when that truly rises.

    Attributes:
        labels: of the particles.
        values: share of full scale in settled light.
        amplitude: of each particle's rise.
        crossings: when it is at 10, 50 and 90 % of that [s, film's clock]; NaN for a
            particle that does not rise.
        shapes: name of each rise's shape.

    Raises:
        ValueError: naming the particle and what its intensity must be.
    """

    labels: tuple[str, ...]
    values: Float[np.ndarray, "particle frame"]
    amplitude: Float[np.ndarray, " particle"]
    crossings: Float[np.ndarray, "particle 3"]
    shapes: tuple[str, ...]

    def __post_init__(self):
        count = len(self.labels)
        if self.values.ndim != 2 or len(self.values) != count or not count:
            raise ValueError(
                "Intensities must have one row per particle, one or more, but have the "
                f"shape {self.values.shape} for {count} particles."
            )
        if len(set(self.labels)) != count:
            raise ValueError(
                "Particles must have different labels, but these are "
                f"{', '.join(self.labels)}."
            )
        for label, row in zip(self.labels, self.values, strict=True):
            wrong = np.flatnonzero(~((row >= 0) & (row <= 1)))
            if wrong.size:
                raise ValueError(
                    f"The intensity of particle '{label}' must lie between 0 and 1, "
                    f"but is {row[wrong[0]]:g} in frame {wrong[0]}; lower its base, "
                    "amplitude or drift."
                )

    @staticmethod
    def of_rises(
        rises: Sequence[Rise],
        time: Float[np.ndarray, " frame"],
        labels: Sequence[str] | None = None,
    ) -> "Intensities":
        """Of made-up rises, numbered from 1 unless labelled."""
        if labels is None:
            labels = [str(k + 1) for k in range(len(rises))]
        silent = (math.nan,) * len(LEVELS)
        return Intensities(
            tuple(labels),
            np.array([rise.intensity(time) for rise in rises]),
            np.array([rise.amplitude for rise in rises]),
            np.array([r.crossings() if r.amplitude else silent for r in rises]),
            tuple(r.shape.__name__ if r.amplitude else "silent" for r in rises),
        )

    @staticmethod
    def of_arrays(
        labels: Sequence[str],
        values: Float[np.ndarray, "particle frame"],
        time: Float[np.ndarray, " frame"],
        end: float = math.inf,
    ) -> "Intensities":
        """Of any intensities; a rise is from the first value to the largest.

        Args:
            labels: of the particles.
            values: without noise.
            time: of the frames [s].
            end: of the rises, where something else follows (a discharge) [s].
        """
        values = np.asarray(values, float)
        if values.ndim != 2 or values.shape[1] != len(time):
            raise ValueError(
                "`values` must have one row per particle and one column per frame, "
                f"{len(time)}, but has the shape {values.shape}."
            )
        inside = np.asarray(time) <= end
        part = values[:, inside]
        amplitude = part.max(axis=1) - part[:, 0]
        rows = [crossings_of(time[inside], row) for row in part]
        shapes = ("given",) * len(labels)
        return Intensities(tuple(labels), values, amplitude, np.array(rows), shapes)


def rises_at_random(
    count: int,
    span: float,
    *,
    seed: int,
    shortest: float = 240.0,
    longest: float = 1800.0,
    shapes: Sequence[Callable] = SHAPES,
) -> list[Rise]:
    """Rises of all shapes in turn, with slow brightening and drift, never too bright.

    Args:
        count: of particles.
        span: of the film [s]; midpoints lie between 15 and 85 % of it.
        seed: of the draws.
        shortest: duration from 10 to 90 % [s]; their logarithms are spread evenly.
        longest: the same.
        shapes: that rises have in turn.
    """
    rng = np.random.default_rng([seed, _STREAM_RISES])
    rises = []
    for k in range(count):
        amplitude = rng.uniform(0.2, 0.35)
        rise = Rise(
            midpoint=span * rng.uniform(0.15, 0.85),
            duration=math.exp(rng.uniform(math.log(shortest), math.log(longest))),
            base=rng.uniform(0.2, 0.35),
            amplitude=amplitude,
            shape=shapes[k % len(shapes)],
            drift=amplitude * rng.uniform(-0.15, 0.15),
            later=rng.uniform(0.0, 0.4),
            later_time=span * rng.uniform(0.2, 0.5),
        )
        rises.append(rise)
    return rises


def crossings_of(
    time: Float[np.ndarray, " frame"], values: Float[np.ndarray, " frame"]
) -> list[float]:
    """First instants at which a trace is at 10, 50, 90 % between its first value and
    its largest, linear between frames [s]; NaN where it does not rise.
    """
    amplitude = float(values.max() - values[0])
    if not amplitude > 0:
        return [math.nan] * len(LEVELS)
    share = np.maximum.accumulate((values - values[0]) / amplitude)
    found = []
    for level in LEVELS:
        k = int(np.argmax(share >= level))
        low, high = share[k - 1], share[k]
        part = (level - low) / (high - low)
        found.append(float(time[k - 1] + part * (time[k] - time[k - 1])))
    return found


def intensity_of_stoichiometry(
    stoichiometry: Float[np.ndarray, "*any"],
    *,
    base: float = 0.25,
    gain: float = 0.5,
    exponent: float = 1.0,
) -> Float[np.ndarray, "*any"]:
    r"""Scattered light of a surface that brightens as lithium leaves it.

    $$ I = b + g (1 - x)^\gamma $$
    """
    empty = np.clip(1.0 - np.asarray(stoichiometry, float), 0.0, 1.0)
    return base + gain * empty**exponent


def intensities_of_solution(
    solution,
    time: Float[np.ndarray, " frame"],
    *,
    end: float = math.inf,
    base: float = 0.25,
    gain: float = 0.5,
    exponent: float = 1.0,
) -> Intensities:
    """Of the imaged particles of a `diffelec.Solution`, by their surfaces.

    Args:
        solution: its saved instants should be as close as the frames or closer.
        time: of the frames on the protocol's clock [s]; the last saved state stays
            after the end.
        end: of the rises [s].
        base: intensity of a surface full of lithium.
        gain: what an empty one has more.
        exponent: of the law, see `intensity_of_stoichiometry`.
    """
    topology = solution.topology
    chosen = np.flatnonzero(np.asarray(topology.imaged))
    saved, surface = (
        np.asarray(solution.time),
        np.asarray(solution.surface_stoichiometry),
    )
    known = np.isfinite(saved)
    rows = [np.interp(time, saved[known], surface[known, k]) for k in chosen]
    values = intensity_of_stoichiometry(
        np.array(rows), base=base, gain=gain, exponent=exponent
    )
    labels = [topology.particle_labels[k] for k in chosen]
    return Intensities.of_arrays(labels, values, time, end)
