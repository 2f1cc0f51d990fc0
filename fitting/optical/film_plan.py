"""What a made film shall be: its stage, lamp, camera and scenery, checked on entry.

Every class holds settings of one part of a microscope. A setting that does nothing at
its default leaves a perfect instrument.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

_BITS = (8, 16)
LEAST_SIDE = 32  # px


def _check(settings, name: str, least: float, most: float) -> None:
    value = getattr(settings, name)
    if not least <= value <= most:
        raise ValueError(
            f"`{name}` must be between {least:g} and {most:g}, but is {value:g}."
        )


@dataclasses.dataclass(frozen=True)
class Stage:
    """How the specimen moves under the lens; displacements are (down, right) [px].

    Attributes:
        drift: from the first frame to the last, evenly.
        wander: standard deviation of each step of a random walk, in both directions.
        jump: at `jump_frame`, at once and for good.
        jump_frame: first frame after the jump, counted from 0; None for none.
    """

    drift: tuple[float, float] = (0.0, 0.0)
    wander: float = 0.0
    jump: tuple[float, float] = (0.0, 0.0)
    jump_frame: int | None = None

    def __post_init__(self):
        for name in ("drift", "jump"):
            pair = getattr(self, name)
            if np.shape(pair) != (2,) or not np.all(np.isfinite(pair)):
                raise ValueError(
                    f"`{name}` must be two finite displacements in px (down, right), "
                    f"but is {pair}."
                )
        _check(self, "wander", 0.0, math.inf)


@dataclasses.dataclass(frozen=True)
class Lamp:
    """How bright the light is, as a share of its settled level.

    Attributes:
        flicker: largest deviation of its slow, smooth changes.
        white: standard deviation from frame to frame.
        warm_up: share that is missing at first.
        warm_up_time: in which 63 % of that share comes [s].
    """

    flicker: float = 0.0
    white: float = 0.0
    warm_up: float = 0.0
    warm_up_time: float = 1800.0

    def __post_init__(self):
        for name in ("flicker", "white", "warm_up"):
            _check(self, name, 0.0, 0.5)
        if not 0 < self.warm_up_time < math.inf:
            raise ValueError(
                f"`warm_up_time` must be positive, but is {self.warm_up_time:g} s."
            )


@dataclasses.dataclass(frozen=True)
class Camera:
    """What a camera adds; levels are shares of its full scale.

    Attributes:
        bits: 8 or 16 per pixel; full scale is 2**bits - 1 and saturates.
        exposure: level of a pixel of intensity 1 in settled light.
        dark: level without light.
        vignette: share of the light that corners lack, growing as the distance squared.
        read_noise: standard deviation per pixel.
        electrons: at full scale; their counting noise is sqrt(level / electrons).
    """

    bits: int = 16
    exposure: float = 1.0
    dark: float = 0.0
    vignette: float = 0.0
    read_noise: float = 0.0
    electrons: float = math.inf

    def __post_init__(self):
        if self.bits not in _BITS:
            raise ValueError(f"`bits` must be 8 or 16, but is {self.bits}.")
        if not 0 < self.exposure <= 4:
            raise ValueError(
                "`exposure` must be above 0 and at most 4 (times full scale), but is "
                f"{self.exposure:g}."
            )
        _check(self, "dark", 0.0, 0.5)
        _check(self, "vignette", 0.0, 0.9)
        _check(self, "read_noise", 0.0, 0.5)
        if not self.electrons > 0:
            raise ValueError(
                f"`electrons` must be positive (inf for no counting noise), but is "
                f"{self.electrons:g}."
            )

    @property
    def full_scale(self) -> int:
        """Largest raw value."""
        return 2**self.bits - 1

    def pixel_noise(
        self, level: Float[np.ndarray, "*any"]
    ) -> Float[np.ndarray, "*any"]:
        """Standard deviation of a pixel at a level, rounding included."""
        counted = np.clip(level, 0.0, 1.0) / self.electrons
        rounded = 1.0 / (12.0 * self.full_scale**2)
        return np.sqrt(self.read_noise**2 + counted + rounded)


@dataclasses.dataclass(frozen=True)
class Scenery:
    """What lies still in the specimen.

    Attributes:
        level: mean intensity of the carbon and binder around particles.
        contrast: standard deviation of its speckle over that mean.
        grain: finest size in the speckle, standard deviation of a Gaussian [px].
        texture: standard deviation of the speckle in particles over their intensity.
        edge: width of the particles' edges, standard deviation of a Gaussian [px].
    """

    level: float = 0.15
    contrast: float = 0.2
    grain: float = 1.5
    texture: float = 0.05
    edge: float = 0.7

    def __post_init__(self):
        _check(self, "level", 0.0, 1.0)
        _check(self, "contrast", 0.0, 0.3)
        _check(self, "texture", 0.0, 0.3)
        for name, least in (("grain", 0.8), ("edge", 0.5)):
            # finer structure than this has no exact shift on a grid of pixels
            _check(self, name, least, 20.0)


@dataclasses.dataclass(frozen=True)
class FilmPlan:
    """All settings of a made film.

    Attributes:
        shape: (height, width) of frames [px].
        num_frames: planned, dropped ones included.
        interval: between frames [s].
        stage, lamp, camera, scenery: see there.
        snr: A/s, the rise A of a particle's mean intensity over the standard deviation
            s of that mean in one frame, the mean being over the whole disc. What the
            pixels' own noise leaves over is made up by a white shimmer of the particle
            as a whole. None for no shimmer. A particle that does not rise takes the
            median A of those that do.
        defocus: (frame, standard deviation of the Gaussian blur [px]) of each frame out
            of focus.
        dropped: frames that are not written; the others keep their times.
        seed: of all that is random.

    Raises:
        ValueError: naming the setting that cannot be, and what it must be.
    """

    shape: tuple[int, int]
    num_frames: int
    interval: float
    stage: Stage = Stage()
    lamp: Lamp = Lamp()
    camera: Camera = Camera()
    scenery: Scenery = Scenery()
    snr: float | None = None
    defocus: Sequence[tuple[int, float]] = ()
    dropped: Sequence[int] = ()
    seed: int = 0

    def __post_init__(self):
        if np.shape(self.shape) != (2,) or min(self.shape) < LEAST_SIDE:
            raise ValueError(
                f"`shape` must be a height and a width of {LEAST_SIDE} px or more, "
                f"but is {self.shape}."
            )
        if self.num_frames < 2:
            raise ValueError(
                f"A film must have 2 frames or more, but has {self.num_frames}."
            )
        if not 0 < self.interval < math.inf:
            raise ValueError(
                f"`interval` must be positive, but is {self.interval:g} s."
            )
        if self.snr is not None and not self.snr > 0:
            raise ValueError(f"`snr` must be positive or None, but is {self.snr:g}.")
        if self.seed < 0:
            raise ValueError(f"`seed` must be 0 or more, but is {self.seed}.")
        self._check_frames()
        reach = np.abs(self.stage.drift) + np.abs(self.stage.jump)
        if np.any(reach > 0.5 * np.array(self.shape)):
            raise ValueError(
                "Drift and jump must not move the specimen by more than half the "
                f"frame, but move it by {reach[0]:g} px down or {reach[1]:g} px right "
                f"in {self.shape[0]} x {self.shape[1]} px."
            )

    def _check_frames(self) -> None:
        """Refuses frames that the film does not have."""
        jump = self.stage.jump_frame
        named = [("jump_frame", jump)] if jump is not None else []
        named += [("defocus", frame) for frame, _ in self.defocus]
        named += [("dropped", frame) for frame in self.dropped]
        for name, frame in named:
            if not 0 <= frame < self.num_frames:
                raise ValueError(
                    f"`{name}` must name frames from 0 to {self.num_frames - 1}, but "
                    f"names {frame}."
                )
        for frame, blur in self.defocus:
            if not 0 < blur <= 20:
                raise ValueError(
                    f"The blur of frame {frame} must be above 0 and at most 20 px, but "
                    f"is {blur:g}."
                )
        if len(set(self.dropped)) > self.num_frames - 2:
            raise ValueError(
                f"Two frames or more must be left, but {len(set(self.dropped))} of "
                f"{self.num_frames} are dropped."
            )

    @property
    def time(self) -> Float[np.ndarray, " frame"]:
        """Of all planned frames, the first being at 0 [s]."""
        return self.interval * np.arange(self.num_frames, dtype=float)
