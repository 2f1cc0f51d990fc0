"""Values of a frame at the same places of a scene that moves."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int

MOST_GAPS = 0.01  # of a frame's pixels, for what is filled to tell its shift
_BLOCK = 64  # rows
_HALF = 0.5  # px


def filled(
    frame: Float[np.ndarray, "height width"],
) -> tuple[Float[np.ndarray, "height width"], int]:
    """The frame with its median for pixels that hold no finite number; their count."""
    if np.isfinite(frame.sum()):
        return frame, 0
    known = np.isfinite(frame)
    middle = np.median(frame[known]) if np.any(known) else 0.0
    return np.where(known, frame, np.float32(middle)), int(np.sum(~known))


def moved_back(
    frame: Float[np.ndarray, "height width"], dy: float, dx: float
) -> Float[np.ndarray, "height width"]:
    """The frame as it would be without its shift, by cubic convolution.

    What comes from outside the field repeats its border.

    Args:
        frame: in which the scene lies further down and right.
        dy: by so many pixels downwards.
        dx: and to the right.

    Source: Keys, IEEE Trans. Acoust. Speech Signal Process. 29, 1153 (1981).
    """
    if dy == dx == 0:
        return frame
    height = frame.shape[0]
    found = np.empty_like(frame)
    # In blocks of rows that stay in the cache of a core.
    for first in range(0, height, _BLOCK):
        last = min(first + _BLOCK, height)
        found[first:last] = _across(_down(frame, first, last, dy), dx)
    return found


def _down(frame: np.ndarray, first: int, last: int, shift: float) -> np.ndarray:
    """Rows of the frame moved back along its columns."""
    whole = math.floor(shift)
    rows = np.clip(np.arange(first - 1, last + 2) + whole, 0, frame.shape[0] - 1)
    block, count = frame[rows], last - first
    return _weighted([block[k : k + count] for k in range(4)], shift - whole)


def _across(block: np.ndarray, shift: float) -> np.ndarray:
    """Rows moved back along themselves."""
    whole, width = math.floor(shift), block.shape[1]
    start, stop = min(max(1 - whole, 0), width + 3), max(width + 1 - whole, 0)
    padded = np.empty((block.shape[0], width + 3), block.dtype)
    padded[:, :start] = block[:, :1]
    stop = min(stop, width + 3)
    padded[:, start:stop] = block[:, start + whole - 1 : stop + whole - 1]
    padded[:, stop:] = block[:, -1:]
    return _weighted([padded[:, k : k + width] for k in range(4)], shift - whole)


def _weighted(parts, fraction: float) -> np.ndarray:
    """The sum of four neighbours by the weights of a fraction."""
    if fraction == 0:
        return parts[1]
    weights = [np.float32(w) for w in _weights(fraction)]
    total = parts[0] * weights[0]
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total += part * weight
    return total


def _weights(t: float) -> tuple[float, float, float, float]:
    """Of the four samples around a point a fraction after the second."""
    return (
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )


def values_at(
    frame: np.ndarray, pixels: Int[np.ndarray, "2 pixel"], down: int = 0, right: int = 0
) -> np.ndarray:
    """Values of pixels (rows, columns), or of those beside them; borders repeat."""
    rows = np.clip(pixels[0] + down, 0, frame.shape[0] - 1)
    columns = np.clip(pixels[1] + right, 0, frame.shape[1] - 1)
    return frame.reshape(-1)[rows * frame.shape[1] + columns]


def in_field(
    pixels: Int[np.ndarray, "2 *pixel"], shape, dy: float, dx: float
) -> Bool[np.ndarray, " *pixel"]:
    """Whether the scene at these pixels is in the field of a shifted frame.

    A pixel reaches half a pixel beyond its centre, so that no shift by chance puts what
    lies at the border outside.
    """
    rows, columns = pixels[0] + dy, pixels[1] + dx
    within = (rows >= -_HALF) & (rows <= shape[0] - 1 + _HALF)
    return within & (columns >= -_HALF) & (columns <= shape[1] - 1 + _HALF)
