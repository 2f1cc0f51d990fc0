"""Where the particles of a made film lie: circles, placed and written.

The centre of the pixel in row 0, column 0 is at (0, 0). ImageJ has it at (0.5, 0.5),
which its files of regions account for.
"""

import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..sheets import write_rows

_LEAST_RADIUS = 2.0  # px
_TRIES = 2000  # draws for a place before a frame is called full
_ROI_POINTS = 72


@dataclasses.dataclass(frozen=True)
class Circles:
    """Outlines of particles at the first frame [px]; x to the right, y down.

    Raises:
        ValueError: naming the circle that cannot be.
    """

    labels: tuple[str, ...]
    x: Float[np.ndarray, " particle"]
    y: Float[np.ndarray, " particle"]
    radius: Float[np.ndarray, " particle"]

    def __post_init__(self):
        count = len(self.labels)
        for name in ("x", "y", "radius"):
            if getattr(self, name).shape != (count,):
                raise ValueError(
                    f"`{name}` must have one value per circle, {count}, but has "
                    f"{getattr(self, name).size}."
                )
        for k, label in enumerate(self.labels):
            numbers = self.x[k], self.y[k], self.radius[k]
            if not (np.all(np.isfinite(numbers)) and numbers[2] >= _LEAST_RADIUS):
                raise ValueError(
                    f"Circle '{label}' must have a finite place and a radius of "
                    f"{_LEAST_RADIUS:g} px or more, but is at x = {numbers[0]:g}, "
                    f"y = {numbers[1]:g} px with r = {numbers[2]:g} px."
                )

    def check_inside(self, shape: tuple[int, int]) -> None:
        """Raises ValueError for a circle that is not wholly in the frame."""
        height, width = shape
        for k, label in enumerate(self.labels):
            x, y, radius = self.x[k], self.y[k], self.radius[k]
            room = min(x, y, width - 1 - x, height - 1 - y)
            if room < radius:
                raise ValueError(
                    f"Circle '{label}' must lie in the frame of {height} x {width} px "
                    f"(height x width), but reaches {radius - room:.3g} px beyond it; "
                    "move it, or enlarge the frame."
                )

    def check_apart(self) -> None:
        """Raises ValueError for two circles that overlap."""
        for k, label in enumerate(self.labels):
            away = np.hypot(self.x[:k] - self.x[k], self.y[:k] - self.y[k])
            close = np.flatnonzero(away < self.radius[:k] + self.radius[k])
            if close.size:
                raise ValueError(
                    f"Circles must not overlap, but '{label}' and "
                    f"'{self.labels[close[0]]}' do; move one of them."
                )


def _numbered(count: int, labels: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(labels or [str(k + 1) for k in range(count)])


def particles_on_a_grid(
    count: int,
    shape: tuple[int, int],
    radius: float | Sequence[float] = 8.0,
    labels: Sequence[str] | None = None,
) -> Circles:
    """Circles in rows and columns that fill a frame evenly.

    Raises:
        ValueError: where they do not fit.
    """
    if count < 1:
        raise ValueError(f"`count` must be 1 or more, but is {count}.")
    height, width = shape
    columns = min(count, max(1, math.ceil(math.sqrt(count * width / height))))
    rows = math.ceil(count / columns)
    index = np.arange(count)
    circles = Circles(
        _numbered(count, labels),
        (index % columns + 0.5) * width / columns - 0.5,
        (index // columns + 0.5) * height / rows - 0.5,
        np.broadcast_to(np.asarray(radius, float), (count,)).copy(),
    )
    circles.check_inside(shape)
    circles.check_apart()
    return circles


def particles_at_random(
    count: int,
    shape: tuple[int, int],
    radius: float | Sequence[float] = 8.0,
    *,
    seed: int,
    gap: float = 4.0,
    margin: float = 12.0,
    labels: Sequence[str] | None = None,
) -> Circles:
    """Circles at random places, at sub-pixel positions, none overlapping.

    Args:
        count: of circles.
        shape: (height, width) of the frame [px].
        radius: of all, or of each [px].
        seed: of the draws.
        gap: least distance between edges [px].
        margin: least distance of edges from those of the frame [px].
        labels: numbers from 1 unless given.

    Raises:
        ValueError: where no place is left.
    """
    rng = np.random.default_rng([seed, 1])
    radii = np.broadcast_to(np.asarray(radius, float), (count,)).copy()
    low, high = margin + radii, np.array(shape)[:, None] - 1 - margin - radii
    places = np.empty((2, 0))
    for k in range(count):
        tries = low[k] + rng.random((_TRIES, 2)) * (high[:, k] - low[k])
        apart = np.hypot(*(tries.T[:, :, None] - places[:, None, :]))
        free = np.all(apart >= radii[:k] + radii[k] + gap, axis=1)
        if not np.any(free) or np.any(high[:, k] < low[k]):
            raise ValueError(
                f"A frame of {shape[0]} x {shape[1]} px must hold {count} circles, but "
                f"has no place for number {k + 1} (r = {radii[k]:g} px); take fewer, "
                "smaller ones, or a larger frame."
            )
        places = np.column_stack([places, tries[np.argmax(free)]])
    return Circles(_numbered(count, labels), places[1], places[0], radii)


def write_circles(path: str | os.PathLike, circles: Circles) -> None:
    """Writes `particle,x_px,y_px,r_px`, one row a circle."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        columns = (circles.x, circles.y, circles.radius)
        numbers = zip(*(column.tolist() for column in columns), strict=True)
        rows = (
            [label, *(f"{value:.4f}" for value in row)]
            for label, row in zip(circles.labels, numbers, strict=True)
        )
        write_rows(stream, [["particle", "x_px", "y_px", "r_px"], *rows])


def write_rois(path: str | os.PathLike, circles: Circles) -> None:
    """Writes a zip of polygons that ImageJ's ROI Manager opens, at sub-pixel places."""
    import roifile

    angle = 2 * np.pi * np.arange(_ROI_POINTS) / _ROI_POINTS
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    rois = []
    for k, label in enumerate(circles.labels):
        centre = np.array([circles.x[k], circles.y[k]]) + 0.5
        points = (centre + circles.radius[k] * ring).astype(np.float32)
        roi = roifile.ImagejRoi.frompoints(points, name=label)
        roi.roitype = roifile.ROI_TYPE.POLYGON
        rois.append(roi)
    roifile.roiwrite(path, rois, mode="w")
