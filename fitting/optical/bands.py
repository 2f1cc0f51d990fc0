"""Frames as they are compared: band-passed, without what changes by itself."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float

_NARROW, _WIDE, _LOCAL = 1.25, 4.0, 10.0  # px, of the band and of the local deviation
_LARGE = 600 * 800  # px; larger frames are binned by two
_MARGINS = (3.0, 1.0)  # px around regions that are left out with them
_RIM = 2  # px further, where the band-pass misses what was left out
_LEAST_GROUND = 0.1  # of the frame, by the weight of its window


@dataclasses.dataclass(frozen=True)
class Bands:
    """What is the same for all frames of a size."""

    binning: int
    narrow: np.ndarray  # transfer function of the narrower Gaussian
    wide: np.ndarray
    local: np.ndarray  # that of the local mean
    rows: np.ndarray  # Hann window
    columns: np.ndarray


@dataclasses.dataclass(frozen=True)
class Ground:
    """What is not left out of frames, in the place where the reference lies.

    Attributes:
        mask: 1 where frames count, 0 where not.
        inner: 1 where the band-pass sees next to none of the mask's edge.
        narrow: the mask smoothed by the narrower Gaussian.
        wide: by the wider.
        local: by that of the local deviation.
    """

    mask: np.ndarray
    inner: np.ndarray
    narrow: np.ndarray
    wide: np.ndarray
    local: np.ndarray

    def moved(self, whole: tuple[int, int]) -> "Ground":
        """Further down and to the right."""
        images = dataclasses.astuple(self)
        return Ground(*(np.roll(image, whole, (0, 1)) for image in images))


def ground_of(
    shape: tuple[int, int],
    bands: Bands,
    away: Callable[[float], Bool[np.ndarray, "height width"]] | None,
) -> tuple[Ground | None, tuple[str, ...]]:
    """What shifts are taken from, None for all; and notes."""
    if away is None:
        return None, ()
    weight = (bands.rows * bands.columns) ** 2
    for margin in _MARGINS:
        mask, inner = (
            _outside(shape, bands.binning, away(margin + rim))
            for rim in (0, _RIM * bands.binning)
        )
        if np.vdot(inner, weight) >= _LEAST_GROUND * weight.sum():
            spectrum = scipy.fft.rfft2(mask)
            smoothed = (
                np.maximum(scipy.fft.irfft2(spectrum * kernel, s=mask.shape), 1e-3)
                for kernel in (bands.narrow, bands.wide, bands.local)
            )
            return Ground(mask, inner, *smoothed), ()
    return None, (
        "Particles leave too little of the frame to tell its shifts by, so shifts were "
        "taken from the particles too, whose change may move them by up to 0.1 px.",
    )


def _outside(shape, binning: int, left_out) -> np.ndarray:
    """Binned pixels none of which is left out."""
    if left_out.shape != shape:
        raise ValueError(
            f"Regions must be of frames as large as the film, {shape}, but are of "
            f"{left_out.shape}."
        )
    return (_binned(left_out.astype(np.float32), binning) == 0).astype(np.float32)


@functools.lru_cache(maxsize=4)
def bands_of(shape: tuple[int, int]) -> Bands:
    """Transfer functions and window for frames of a size."""
    binning = 2 if shape[0] * shape[1] > _LARGE else 1
    height, width = (n // binning for n in shape)
    fy = scipy.fft.fftfreq(height).astype(np.float32)[:, None]
    fx = scipy.fft.rfftfreq(width).astype(np.float32)
    square = -2 * np.pi**2 * (fy**2 + fx**2)
    low, high, local = (np.exp(square * s**2) for s in (_WIDE, _NARROW, _LOCAL))
    rows, columns = (
        np.hanning(n + 2)[1:-1].astype(np.float32) for n in (height, width)
    )
    return Bands(binning, high, low, local, rows[:, None], columns)


def _binned(frame: np.ndarray, binning: int) -> np.ndarray:
    if binning == 1:
        return frame
    height, width = (n // 2 * 2 for n in frame.shape)
    f = frame[:height, :width]
    return f[::2, ::2] + f[1::2, ::2] + f[::2, 1::2] + f[1::2, 1::2]


def band_passed(
    bands: Bands,
    frame: Float[np.ndarray, "height width"],
    ground: Ground | None,
    whole: tuple[int, int],
) -> Float[np.ndarray, "rows columns"]:
    """The difference of Gaussians over its local deviation, moved back by whole pixels.

    Averages are over the ground only, so that nothing of what is left out gets into
    what lies beside it.
    """
    image = _binned(frame, bands.binning)
    image = np.roll(image - image.mean(), (-whole[0], -whole[1]), (0, 1))
    if ground is None:
        fine = _smoothed(image, bands.narrow - bands.wide)
        power = _smoothed(fine**2, bands.local)
    else:
        spectrum = scipy.fft.rfft2(image * ground.mask)
        fine = scipy.fft.irfft2(spectrum * bands.narrow, s=image.shape) / ground.narrow
        fine -= scipy.fft.irfft2(spectrum * bands.wide, s=image.shape) / ground.wide
        fine *= ground.mask
        power = _smoothed(fine**2, bands.local) / ground.local
    floor = 1e-3 * float(power.mean()) + 1e-20
    return _in_view(fine / np.sqrt(np.maximum(power, floor)), whole)


def _smoothed(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return scipy.fft.irfft2(scipy.fft.rfft2(image) * kernel, s=image.shape)


def _in_view(image: np.ndarray, whole) -> np.ndarray:
    """An image that was rolled back; 0 where it came in again from the other side."""
    for axis, w in enumerate(whole):
        border = np.moveaxis(image, axis, 0)
        if w > 0:
            border[-w:] = 0
        elif w < 0:
            border[:-w] = 0
    return image
