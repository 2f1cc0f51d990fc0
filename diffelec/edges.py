"""Kinds of electronic contact, each as three numbers.

    R = shape_tail / kappa(tail) + series_resistance + shape_head / kappa(head)

`shape_*` [1/m] is the constriction through the material at that end, 0 at carbon and
at the collector (their conductivity is 1e4 S/m and more). To add a kind of edge, add
one function here that returns an `Edge`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .checks import check_positive
from .constants import LARGEST_RADIUS


class Edge(NamedTuple):
    """A contact between two nodes, given by their names or numbers."""

    tail: int | str
    head: int | str
    series_resistance: float = 0.0  # ohm
    shape_tail: float = 0.0  # 1/m
    shape_head: float = 0.0  # 1/m


def as_edges(edges: Sequence) -> list[Edge]:
    """Tuples as edges; ValueError for one that is no edge, by its number."""
    try:
        given = list(edges)
    except TypeError:
        raise ValueError(
            f"`edges` must be a list of edges, but is {edges!r}; pass a list, of one "
            "edge too."
        ) from None
    return [_as_edge(edge, number) for number, edge in enumerate(given)]


def _as_edge(edge, number: int) -> Edge:
    """A tuple as an edge, of ends that are a name or a whole number."""
    try:
        if isinstance(edge, str | dict):
            raise TypeError  # letters and keys are no ends
        edge = Edge(*edge)
    except TypeError:
        raise ValueError(
            f"Edge {number} must be a tuple ({', '.join(Edge._fields)}), of which the "
            f"last three are 0 unless given, but is {edge!r}; pass a list of such "
            "tuples."
        ) from None
    ends = [_as_end(end, number) for end in edge[:2]]
    return Edge(*ends, *map(_as_float, [number] * 3, Edge._fields[2:], edge[2:]))


def _as_end(end, number: int) -> int | str:
    """A node's name, or its number as an int."""
    if isinstance(end, str):
        return str(end)
    if not _is_whole(end):
        raise ValueError(
            f"Edge {number} must join nodes by their names or whole numbers, but names "
            f"{end!r}; write a name in quotes."
        )
    return int(end)


def _is_whole(value) -> bool:
    """Whether a value is a whole number, such as 2 or 2.0."""
    try:
        single = np.ndim(value) == 0 and not isinstance(value, bool | np.bool_)
        return single and bool(value % 1 == 0)
    except TypeError:
        return False


def _as_float(number: int, name: str, value) -> float:
    """One of the three numbers of an edge."""
    try:
        if isinstance(value, str | bytes | bool | np.bool_):
            raise TypeError  # of digits, too
        return float(value)
    except (TypeError, OverflowError):
        raise ValueError(
            f"`{name}` of edge {number} must be a number, but is {value!r}; leave it "
            "out where it is 0."
        ) from None


def _positive(name: str, value: float, unit: str) -> float:
    check_positive(name, value, unit)
    return value


def disc_shape(radius: float) -> float:
    r"""Constriction of a disc contact, one side: $$ s = 1/(4a) $$ [1/m], a [m].

    Holm's spreading resistance; right to 25 % for a/R <= 0.5 with the bulk included.

    Raises:
        ValueError: for a radius that is not positive, or in another unit.
    """
    check_positive("contact_radius", radius, "m", LARGEST_RADIUS)
    return 1.0 / (4.0 * radius)


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
