"""Where particles are on a frame, for drawing: circles in pixels."""

from typing import NamedTuple


class Circle(NamedTuple):
    """A particle on a frame: its centre and radius [px], y downwards."""

    particle: str
    x: float
    y: float
    radius: float


def circles_of(regions) -> tuple[Circle, ...]:
    """Circles of the same centre and area as regions.

    Args:
        regions: with `labels`, `centre` (particle, 2) of y and x, and `radius`
            (particle,) [px], such as `regions.Regions`.
    """
    rows = zip(regions.labels, regions.centre, regions.radius, strict=True)
    return tuple(
        Circle(label, float(x), float(y), float(radius))
        for label, (y, x), radius in rows
    )
