"""Where particles are on a frame, for drawing: circles in pixels."""

import os
from pathlib import Path
from typing import NamedTuple

from ..sheets import read_number, read_rows

_COLUMNS = ("particle", "x_px", "y_px", "r_px")


class Circle(NamedTuple):
    """A particle on a frame: its centre and radius [px], y downwards."""

    particle: str
    x: float
    y: float
    radius: float


def read_circles(path: str | os.PathLike) -> tuple[Circle, ...]:
    """Circles of a table with the columns particle, x_px, y_px, r_px; others are left.

    Raises:
        ValueError: naming file, line and column of what cannot be used.
    """
    name = Path(path).name
    header, rows = read_rows(path)
    missing = [column for column in _COLUMNS if column not in header]
    if missing:
        raise ValueError(
            f"{name} must have the column {missing[0]}, but has {', '.join(header)}."
        )
    found = []
    for line, cells in rows:
        x, y, radius = (read_number(path, line, c, cells[c]) for c in _COLUMNS[1:])
        if radius <= 0:
            raise ValueError(
                f"{name}, line {line}, column r_px, must be positive, but is {radius:g}."
            )
        found.append(Circle(cells["particle"], x, y, radius))
    return tuple(found)
