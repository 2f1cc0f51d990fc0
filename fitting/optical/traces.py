"""Intensities of particles at the instants of frames: what optical rooms exchange."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

LEAST_FRAMES = 8
"""With an intensity, from which on an onset is looked for in a trace."""


@dataclasses.dataclass(frozen=True)
class Traces:
    """Intensity of each particle at each frame.

    Attributes:
        time: of the frames, increasing [s], on the film's own clock.
        labels: of the particles.
        intensity: per particle and frame, in units of `scale`; NaN where not valid.
        scale: raw value that 1 stands for (255 for 8 bit), NaN where it is not known.
        start: instant at which the film's clock reads 0 [s since 1970, UTC], NaN where
            it is not known.
        notes: what was repaired or looks wrong, one sentence each, for the report.

    Raises:
        ValueError: naming the particle or frame that cannot be used, and why.
    """

    time: Float[np.ndarray, " frame"]
    labels: tuple[str, ...]
    intensity: Float[np.ndarray, "particle frame"]
    scale: float = float("nan")
    start: float = float("nan")
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        shape = (len(self.labels), len(self.time))
        if self.intensity.shape != shape:
            raise ValueError(
                f"`intensity` must have one row per particle and one column per frame, "
                f"{shape}, but has shape {self.intensity.shape}."
            )
        if not self.labels:
            raise ValueError("Traces must hold one particle or more, but hold none.")
        twice = [k for k in self.labels if self.labels.count(k) > 1]
        if twice:
            raise ValueError(
                f"Every particle must have one trace, but '{twice[0]}' has "
                f"{self.labels.count(twice[0])}; rename or remove one."
            )
        if not np.all(np.isfinite(self.time)):
            bad = int(np.flatnonzero(~np.isfinite(self.time))[0])
            raise ValueError(
                f"Frame {bad + 1} must have a finite time, but has {self.time[bad]}; "
                "give the interval between frames, or correct the time."
            )
        back = np.flatnonzero(np.diff(self.time) <= 0)
        if back.size:
            k = int(back[0])
            raise ValueError(
                f"Frames must be in the order of time, but frame {k + 2} at "
                f"{self.time[k + 1]:g} s follows frame {k + 1} at {self.time[k]:g} s; "
                "sort the frames, or give the interval between them."
            )

    @property
    def valid(self) -> Bool[np.ndarray, "particle frame"]:
        """Where an intensity is known."""
        return np.isfinite(self.intensity)
