"""What the lamp, the focus and the camera did, seen on ground that does not react."""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int

from .frames import Film, in_order
from .registration import Shifts
from .sampling import filled, moved_back, values_at
from .tilts import Tilt, tilt_of

_SAMPLES = 32  # frames by which steady ground is chosen
_LOOKED_AT = 5  # frames by which the film's light is told from the dark
_CANDIDATES, _LEAST = 60_000, 60  # px
_HALOS = (1.0, 0.5, 0.25)  # radii beyond the edge of a region
_DIM, _BRIGHT = 0.2, 3.0  # of the ground's typical brightness
_OUTLIER = 5.0  # robust standard deviations
_WINDOW = 31  # frames of the running median
_LEAST_BLUR = 0.05  # relative change of the focus score that can be a flag
_FOCUS_GONE = 1 / 3  # of the film's typical focus score
_NORMAL = 1.4826  # standard deviation over median deviation, of a normal distribution
_OWN_LIGHT = 1.25  # ratio of brightest to darkest, from which light changes much
_KEEPING, _MANY = 0.3, 0.05  # of that change; share of the ground that keeps its own


@dataclasses.dataclass(frozen=True)
class Correction:
    """What a camera adds and how it shades, taken off every frame.

    Attributes:
        dark: a frame without light, in units of the film's scale; None for 0.
        flat: an even field, its mean 1; None for 1.
    """

    dark: Float[np.ndarray, "height width"] | None = None
    flat: Float[np.ndarray, "height width"] | None = None

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """(frame - dark) / flat."""
        if self.dark is not None:
            frame = frame - self.dark
        return frame if self.flat is None else frame / self.flat


NO_CORRECTION = Correction()


def correction_of(film: Film, dark=None, flat=None) -> Correction:
    """The correction by raw images of the camera.

    Args:
        film: in whose scale they were taken.
        dark: image without light, raw.
        flat: image of an even field, raw, with the dark frame still in it.

    Raises:
        ValueError: for images of another size, or that cannot be what they are said.
    """
    images = []
    for name, image in (("dark", dark), ("flat", flat)):
        if image is not None:
            image = np.asarray(image, np.float32)
            image = image[..., :3].mean(axis=2) if image.ndim == 3 else image
            if image.shape != film.shape:
                raise ValueError(
                    f"The {name} frame must be as large as the film, {film.shape[1]} x "
                    f"{film.shape[0]} px, but has {image.shape[1]} x {image.shape[0]}."
                )
            image = image / np.float32(film.scale)
        images.append(image)
    dark, flat = images
    if dark is not None:
        _check_dark(film, dark)
    if flat is not None:
        flat = flat if dark is None else flat - dark
        if not np.all(flat > 0):
            raise ValueError(
                "The flat field must be brighter than the dark frame in every pixel, "
                f"but is not in {np.sum(~(flat > 0))}; take it with more light."
            )
        flat = flat / flat.mean()
    return Correction(dark, flat)


def _check_dark(film: Film, dark: np.ndarray) -> None:
    """Raises ValueError for a dark frame that is not darker than a typical frame."""
    chosen = np.linspace(0, film.num_frames - 1, _LOOKED_AT).astype(int)
    levels = [np.median(filled(film.frame(int(k)))[0]) for k in chosen]
    level, usual = float(np.median(dark)), float(np.median(levels))
    if level >= usual:
        raise ValueError(
            "The dark frame must be darker than the film, but its median is "
            f"{level:.3g} and that of a typical frame {usual:.3g}; check that it is "
            "the right file."
        )


@dataclasses.dataclass(frozen=True)
class Ground:
    """Pixels that do not react, and what they look like.

    Attributes:
        pixels: rows and columns in the reference frame; none where there is no ground.
        brightness: mean over the frames by which they were chosen.
        textured: rows and columns of pixels by which focus is judged, not only of
            steady ones: where noise was chosen to be small, frames look alike.
        grain: Laplacian of those frames over their level, the mean of all.
        sampled: numbers of those frames.
        notes: what a user should know of them.
    """

    pixels: Int[np.ndarray, "2 pixel"]
    brightness: Float[np.ndarray, " pixel"]
    textured: Int[np.ndarray, "2 place"]
    grain: Float[np.ndarray, " place"]
    sampled: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def gain(self, frame: Float[np.ndarray, "height width"]) -> float:
        """Median brightness, in a frame moved back, against that when it was chosen.

        A median of ratios, for a median of values could only move by whole grey levels.
        """
        if not self.brightness.size:
            return 1.0
        return float(np.median(values_at(frame, self.pixels) / self.brightness))

    def tilt(self, frame: Float[np.ndarray, "height width"]) -> Tilt:
        """How its light leans, in a frame moved back, against when it was chosen."""
        if not self.brightness.size:
            return tilt_of(self.brightness, self.pixels)
        return tilt_of(values_at(frame, self.pixels) / self.brightness, self.pixels)

    def focus(self, frame: Float[np.ndarray, "height width"], number: int) -> float:
        """Sharpness of its grain, in a frame moved back, against the usual.

        The variance of the Laplacian over the squared mean is the common score, but of
        8 bit frames it is mostly noise. Its covariance with the Laplacian of the usual
        frame is not, once a frame has been taken out of what it is compared with.
        """
        if not self.brightness.size:
            return float("nan")
        grain, usual = _grain(*_laplacian(frame, self.textured)), self.grain
        count = len(self.sampled)
        if number in self.sampled and count > 1:
            usual = (count * usual - grain) / (count - 1)
        return float(np.vdot(grain, usual) / np.vdot(self.grain, self.grain))


def _laplacian(frame, pixels) -> tuple[np.ndarray, np.ndarray]:
    """Values of pixels, and their Laplacian over two pixels."""
    middle = values_at(frame, pixels)
    around = sum(
        values_at(frame, pixels, i, j) for i, j in ((2, 0), (-2, 0), (0, 2), (0, -2))
    )
    return middle, around - 4 * middle


def _grain(middle, laplacian) -> np.ndarray:
    """The Laplacian, its mean taken off, against the level of light."""
    level = max(float(np.median(middle)), 1e-12)
    return (laplacian - laplacian.mean()) / level


def find_ground(
    film: Film,
    shifts: Shifts,
    near: Callable[[float], Bool[np.ndarray, "height width"]],
    correct: Correction,
    *,
    workers: int = 1,
) -> Ground:
    """The steadiest pixels away from all particles.

    Never the mean of whole frames: that contains what the particles do.

    Args:
        film: of which a few frames, spread over all, are looked at.
        shifts: of its frames.
        near: gives the pixels of regions and of a halo of so many radii.
        correct: taken off every frame.
        workers: threads.
    """
    good = np.flatnonzero(~shifts.lost)
    if not good.size:
        return _no_ground("no frame could be registered")
    chosen = good[np.unique(np.linspace(0, good.size - 1, _SAMPLES).astype(int))]
    margin = 3 + int(np.ceil(max(abs(shifts.dy).max(), abs(shifts.dx).max())))
    pixels, notes = _candidates(film.shape, near, margin)
    if pixels is None:
        return _no_ground("regions and their surroundings fill the frame")

    def look(k):
        frame, _ = filled(correct(film.frame(int(k))))
        frame = moved_back(frame, float(shifts.dy[k]), float(shifts.dx[k]))
        return _laplacian(frame, pixels)

    seen, laplacian = (
        np.stack(part)
        for part in zip(*in_order(look, chosen, workers=workers), strict=True)
    )
    lit, kept, brightness = _steadiest(seen, film.white)
    if kept.size < _LEAST:
        return _no_ground("what lies between the particles is not lit")
    notes += _reacting_notes(seen[:, lit])
    grain = np.mean(
        [_grain(*one) for one in zip(seen[:, lit], laplacian[:, lit], strict=True)],
        axis=0,
    )
    steady = pixels[:, kept], brightness[kept]
    return Ground(*steady, pixels[:, lit], grain, tuple(chosen.tolist()), notes)


def _no_ground(why: str) -> Ground:
    note = (
        f"There is no ground to tell the lamp's brightness by, as {why}; flicker was "
        "not taken out, and focus was judged by the registration only."
    )
    empty = np.zeros(0, np.float32)
    none = np.zeros((2, 0), np.int64)
    return Ground(none, empty, none, empty, notes=(note,))


def _candidates(shape, near, margin: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Pixels outside a halo, that never leave the field; None where there are few."""
    field = np.zeros(shape, bool)
    field[margin : shape[0] - margin, margin : shape[1] - margin] = True
    for halo in _HALOS:
        pixels = np.stack(np.nonzero(field & ~near(halo)))
        if pixels.shape[1] >= 4 * _LEAST:
            break
    else:
        return None, ()
    # At random, for a regular choice could fall in step with the sensor's rows.
    order = np.random.default_rng(0).permutation(pixels.shape[1])[:_CANDIDATES]
    notes = ()
    if halo != _HALOS[0]:
        notes = (
            "Particles lie close to each other, so ground was taken from "
            f"{halo:g} radii beyond their edges, where their light may reach.",
        )
    return pixels[:, order], notes


def _steadiest(seen: np.ndarray, white: float):
    """Indices of lit pixels, of their steadier half, and the mean of every pixel."""
    mean = seen.mean(axis=0)
    lit = (mean > _DIM * np.median(mean)) & (mean > 0) & np.all(seen < white, axis=0)
    if not np.any(lit):
        return np.zeros(0, int), np.zeros(0, int), mean
    for _ in range(2):
        gain = np.median(seen[:, lit] / mean[lit], axis=1)
        level = seen / np.where(gain > 0, gain, 1)[:, None]
        mean = np.median(level, axis=0)
        mean = np.where(mean > 0, mean, 1)
    spread = level.std(axis=0) / mean
    kept = np.flatnonzero(lit & (spread <= np.median(spread[lit])))
    # The mean has no steps of grey levels in it, which the median has.
    return np.flatnonzero(lit), kept, level.mean(axis=0)


def _reacting_notes(seen: np.ndarray) -> tuple[str, ...]:
    """A note where the ground seems to react, by its lit pixels in some frames.

    No lamp leaves a part of what it lights as it is.
    """
    order, third = np.argsort(np.median(seen, axis=1)), max(len(seen) // 3, 1)
    dark, bright = (
        np.maximum(np.median(seen[part], axis=0), 1e-12)
        for part in (order[:third], order[-third:])
    )
    change = np.log(bright / dark)
    usual = float(np.median(change))
    share = float(np.mean(np.abs(change) < _KEEPING * usual))
    if not (usual > np.log(_OWN_LIGHT) and share > _MANY):
        return ()
    return (
        f"The light on the ground changes by {np.expm1(usual):.0%}, but {share:.0%} of "
        "the ground keeps its brightness, as where particles react together that no "
        "region is of: their reaction is then taken for the lamp's, and out of all "
        "traces. Look at quality.png; give regions of all particles.",
    )


def is_dark(gain) -> Bool[np.ndarray, " frame"]:
    """Frames with a fifth of the typical light or less, or with three times as much."""
    ratio = np.asarray(gain) / np.nanmedian(gain)
    return ~((ratio > _DIM) & (ratio < _BRIGHT))


def is_blurred(focus, usable) -> Bool[np.ndarray, " frame"]:
    """Frames less sharp than those around, or whose sharpness has gone for good."""
    score = np.where(usable, focus, np.nan)
    if np.sum(np.isfinite(score)) < 5:
        return np.zeros(len(score), bool)
    typical = np.nanmedian(score)
    with np.errstate(invalid="ignore"):
        away = _running_median(score) - score
        spread = _NORMAL * np.nanmedian(np.abs(away))
        apart = away > max(_OUTLIER * spread, _LEAST_BLUR * typical)
        # Of ground that shows little, scores scatter so far by chance.
        gone = (score < _FOCUS_GONE * typical) & (typical - score > _OUTLIER * spread)
        return apart | gone


def _running_median(values: np.ndarray) -> np.ndarray:
    """Median over a window; gaps are bridged."""
    known = np.isfinite(values)
    every = np.arange(len(values))
    filled = np.interp(every, every[known], values[known])
    window = min(_WINDOW, len(values) // 2 * 2 - 1)
    return scipy.ndimage.median_filter(filled, max(window, 1), mode="nearest")


def jumps(values) -> Bool[np.ndarray, " frame"]:
    """Frames at which a series leaves its usual steps."""
    with np.errstate(invalid="ignore"):
        step = np.abs(np.diff(values, prepend=values[0]))
        spread = _NORMAL * np.nanmedian(step)
        return step > max(_OUTLIER * spread, _LEAST_BLUR * np.nanmedian(values))
