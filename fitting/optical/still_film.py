"""A film as if its stage had stood still, by shifts that were found before."""

import contextlib
import csv
import dataclasses
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from .sampling import in_field, moved_back

_COLUMNS = ("dy_px", "dx_px")


@dataclasses.dataclass(frozen=True)
class StillFilm:
    """Frames moved back.

    Attributes:
        film: with `time` (frame,) [s], `shape` and `frame(k)`.
        dy: by which its frames lie further down [px].
        dx: and to the right.
    """

    film: Any
    dy: Float[np.ndarray, " frame"]
    dx: Float[np.ndarray, " frame"]

    @property
    def time(self) -> Float[np.ndarray, " frame"]:
        """Of the frames [s]."""
        return self.film.time

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width [px]."""
        return self.film.shape

    def frame(self, k: int) -> Float[np.ndarray, "height width"]:
        """A frame as it would be without its shift; NaN where it shows nothing."""
        dy, dx = float(self.dy[k]), float(self.dx[k])
        image = moved_back(self.film.frame(k), dy, dx)
        if dy == dx == 0:
            return image
        inside = in_field(np.indices(image.shape), image.shape, dy, dx)
        return np.where(inside, image, np.float32(np.nan))


def read_still(path: str | os.PathLike, film) -> StillFilm:
    """A film with the shifts in `quality.csv`, one row per frame.

    Raises:
        ValueError: naming the file and line that cannot be.
        OSError: for a file that cannot be read.
    """
    name, count = Path(path).name, len(film.time)
    with open(path, newline="", encoding="utf-8-sig") as stream:
        lines = csv.DictReader(line for line in stream if not line.startswith("#"))
        rows, header = list(lines), lines.fieldnames or []
    absent = [column for column in _COLUMNS if column not in header]
    if absent:
        raise ValueError(
            f"{name} must have the columns {' and '.join(_COLUMNS)}, but has no "
            f"{absent[0]}; give the quality.csv of `diffelec traces`."
        )
    if len(rows) != count:
        raise ValueError(
            f"{name} must have one row per frame of the film, {count}, but has "
            f"{len(rows)}; give the quality.csv of the same film."
        )
    dy, dx = (_numbers(name, rows, column) for column in _COLUMNS)
    return StillFilm(film, dy, dx)


def _numbers(name: str, rows, column: str) -> Float[np.ndarray, " frame"]:
    found = np.full(len(rows), np.nan)
    for k, row in enumerate(rows):
        with contextlib.suppress(TypeError, ValueError):
            found[k] = float(row[column])
        if not math.isfinite(found[k]):
            raise ValueError(
                f"{name}, frame {k + 1}, column {column}, must be a finite number, but "
                f"is '{row[column]}'; correct it."
            )
    return found
