"""Where particles are on a frame, for drawing: circles in pixels."""

from typing import NamedTuple


class Circle(NamedTuple):
    """A particle on a frame: its centre and radius [px], y downwards."""

    particle: str
    x: float
    y: float
    radius: float
