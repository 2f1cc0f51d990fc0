"""Proposes regions where a film changes, for a person to approve (extra `segment`)."""

import os

import numpy as np
import scipy.ndimage

from .frames import Film, in_order
from .regions import Regions, ellipse, regions_of
from .registration import Shifts, register
from .sampling import filled, moved_back

_SAMPLES = 24  # frames that are compared
_SMOOTH = 1.5  # px
_LEAST_RADIUS = 3.0  # px
_SADDLE = 1.0  # px, by which what joins two particles is narrower than both
_ROUND = 0.8  # of a circle of a particle's area, that lies on the particle


def propose_regions(
    film: Film,
    *,
    shifts: Shifts | None = None,
    least_radius: float = _LEAST_RADIUS,
    workers: int | None = None,
) -> Regions:
    """Circles around what brightens or darkens between frames.

    The standard deviation over frames, freed of shifts and of the lamp's flicker, is
    cut at Otsu's threshold, and what touches is split by a watershed of the distance to
    the outside.

    The circle of what is not round is the largest one that lies on it.

    Args:
        film: that has particles which react.
        shifts: of its frames; found here where they are not given.
        least_radius: of a particle [px].
        workers: threads; by default one per core.

    Raises:
        ValueError: where nothing changes, or scikit-image is absent.
    """
    try:
        from skimage import filters, morphology, segmentation
    except ImportError:
        raise ValueError(
            "Proposing regions needs scikit-image; install it with "
            '`pip install "diffelec[segment]"`, or give a file of regions.'
        ) from None
    workers = workers or os.cpu_count() or 1
    shifts = register(film, workers=workers) if shifts is None else shifts
    change = temporal_change(film, shifts, workers)
    mask = change > filters.threshold_otsu(change)
    mask = scipy.ndimage.binary_fill_holes(scipy.ndimage.binary_opening(mask))
    depth = scipy.ndimage.gaussian_filter(scipy.ndimage.distance_transform_edt(mask), 1)
    # The ridge of what is elongated has many peaks, but no saddle between them.
    seeds, _ = scipy.ndimage.label(morphology.h_maxima(depth, _SADDLE))
    labels = segmentation.watershed(-depth, seeds, mask=mask)
    return _circles(film, labels, least_radius)


def temporal_change(film: Film, shifts: Shifts, workers: int) -> np.ndarray:
    """Standard deviation of every pixel over frames, moved back and of equal light."""
    good = np.flatnonzero(~shifts.lost)
    if good.size < 2:
        raise ValueError(
            f"{film.name} must have two frames that can be registered, but has "
            f"{good.size}; give a file of regions."
        )
    chosen = good[np.unique(np.linspace(0, good.size - 1, _SAMPLES).astype(int))]

    def look(k):
        frame, _ = filled(film.frame(int(k)))
        frame = scipy.ndimage.gaussian_filter(frame, _SMOOTH)
        seen = moved_back(frame, float(shifts.dy[k]), float(shifts.dx[k]))
        return seen / max(float(np.median(seen)), 1e-12)

    # Welford's sums need one frame at a time only.
    mean, total = np.zeros(film.shape), np.zeros(film.shape)
    for n, seen in enumerate(in_order(look, chosen, workers=workers), start=1):
        away = seen - mean
        mean += away / n
        total += away * (seen - mean)
    change = np.sqrt(total / len(chosen))
    margin = 1 + int(np.ceil(max(abs(shifts.dy).max(), abs(shifts.dx).max())))
    inner = np.zeros_like(change)
    cut = (slice(margin, -margin),) * 2
    inner[cut] = change[cut]
    return inner


def _circles(film: Film, labels: np.ndarray, least_radius: float) -> Regions:
    """Circles of the areas of a label image, from left to right and top to bottom."""
    found = []
    for k, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        y, x, radius = _circle(labels[box] == k)
        if radius >= least_radius:
            found.append((y + box[0].start, x + box[1].start, radius))
    if not found:
        raise ValueError(
            f"{film.name} must show particles that change to propose regions, but "
            "shows none; draw them, for instance with ImageJ, and give the file."
        )
    labels = [str(k + 1) for k in range(len(found))]
    masks = [ellipse(y, x, r, r) for y, x, r in found]
    return regions_of(film.name, labels, masks, film.shape)


def _circle(mask: np.ndarray) -> tuple[float, float, float]:
    """Middle (y, x) and radius [px] of a circle on an area of an image."""
    rows, columns = np.nonzero(mask)
    y, x, radius = rows.mean(), columns.mean(), np.sqrt(rows.size / np.pi)
    if np.mean(np.hypot(rows - y, columns - x) <= radius) < _ROUND:
        depth = scipy.ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(np.argmax(depth), depth.shape)
        radius = depth[y, x] - 0.5  # depths are to the centres of pixels
    return float(y), float(x), float(radius)
