"""Kinds of electronic contact, each as three numbers.

    R = shape_tail / kappa(tail) + series_resistance + shape_head / kappa(head)

`shape_*` [1/m] is the constriction through the material at that end, 0 at carbon and
at the collector (their conductivity is 1e4 S/m and more). To add a kind of edge, add
one function here that returns an `Edge`.
"""

from typing import NamedTuple


class Edge(NamedTuple):
    """A contact between two nodes, given by their names or numbers."""

    tail: int | str
    head: int | str
    series_resistance: float = 0.0  # ohm
    shape_tail: float = 0.0  # 1/m
    shape_head: float = 0.0  # 1/m


def _positive(name: str, value: float, unit: str) -> float:
    if not value > 0:
        raise ValueError(f"`{name}` must be positive [{unit}], but is {value}.")
    return value


def disc_shape(radius: float) -> float:
    r"""Constriction of a disc contact, one side: $$ s = 1/(4a) $$ [1/m], a [m].

    Holm's spreading resistance; right to 25 % for a/R <= 0.5 with the bulk included.
    """
    return 1.0 / (4.0 * _positive("contact_radius", radius, "m"))


def particle_contact(
    tail: int | str,
    head: int | str,
    contact_radius: float,
    series_resistance: float = 0.0,
) -> Edge:
    """Two particles that touch over a disc of `contact_radius` [m]."""
    shape = disc_shape(contact_radius)
    return Edge(tail, head, series_resistance, shape, shape)


def carbon_contact(
    carbon: int | str, site: int | str, shape: float, series_resistance: float = 0.0
) -> Edge:
    """Carbon (or the collector) on a particle: constriction `shape` [1/m] through the
    particle's own material only.
    """
    return Edge(
        carbon, site, series_resistance, 0.0, _positive("carbon_shape", shape, "1/m")
    )


def wire(tail: int | str, head: int | str, resistance: float) -> Edge:
    """An ohmic strand, such as carbon between carbon nodes [ohm]."""
    return Edge(tail, head, _positive("resistance", resistance, "ohm"))


def carbon_strand(
    tail: int | str,
    head: int | str,
    length: float,
    cross_section: float,
    conductivity: float = 1e4,
) -> Edge:
    """A strand of carbon binder: length / (conductivity * cross_section) [m, m2, S/m].

    Source of 1e4 S/m: Sharma 2022; 760 S/m: Khan 2021.
    """
    return wire(
        tail,
        head,
        _positive("length", length, "m")
        / (
            _positive("conductivity", conductivity, "S/m")
            * _positive("cross_section", cross_section, "m2")
        ),
    )
