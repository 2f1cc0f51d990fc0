"""Wiring: builders of networks (plain NumPy, outside any traced function).

To add a builder, add one function here that returns a `Network`.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from ._typing import is_whole_number
from .checks import (
    as_floats,
    as_labels,
    as_pairs,
    as_wholes,
    check_number,
    check_places,
    check_positive,
    check_radii,
    check_whole,
    is_number,
    one_each,
)
from .constants import LARGEST_RADIUS
from .edges import Edge, carbon_contact, particle_contact
from .network import Network
from .topology import COLLECTOR

DEFAULT_CONTACT_RADIUS = 0.5e-6  # m; only kappa * radius is identifiable
DEFAULT_CARBON_SHAPE = 1.56e4  # 1/m; as if a = 16 um: a carbon-coated particle
_WIDEST = 1.0  # m; an electrode said to be wider is in another unit
_PACKED_RADII = (2e-6, 9e-6)  # m; smallest and largest of a random packing


def columns(
    obstructions: Sequence[int] = (0, 1, 2, 3, 4),
    contact_radius: float = DEFAULT_CONTACT_RADIUS,
    carbon_shape: float = DEFAULT_CARBON_SHAPE,
    spacing: float = 10e-6,
) -> Network:
    """The paper's Fig. 4a: top particles, each behind a number of others.

    Column c is a chain collector - bottom particle - … - top particle with
    `obstructions[c]` particles below the top one. Top particles (labels `top 0`, …)
    come first and are the imaged ones; `below c.k` counts from the collector.
    """
    due = "hold one whole number, 0 or more, per column"
    counts = as_wholes("obstructions", obstructions, due)
    if counts.ndim != 1 or counts.size == 0 or np.any(counts < 0):
        raise ValueError(f"`obstructions` must {due}, but is {obstructions!r}.")
    obstructions = counts.tolist()
    check_positive("contact_radius", contact_radius, "m", LARGEST_RADIUS)
    check_positive("spacing", spacing, "m", _WIDEST)
    tops = [f"top {c}" for c in range(len(obstructions))]
    below, edges, place = [], [], {}
    for c, count in enumerate(obstructions):
        chain_nodes = [f"below {c}.{k}" for k in range(count)] + [tops[c]]
        below += chain_nodes[:-1]
        edges.append(carbon_contact(COLLECTOR, chain_nodes[0], carbon_shape))
        for lower, upper in itertools.pairwise(chain_nodes):
            edges.append(particle_contact(lower, upper, contact_radius))
        for k, name in enumerate(chain_nodes):
            place[name] = (spacing * c, spacing * (k + 0.5))
    labels = tops + below
    return Network.from_edges(
        edges,
        labels,
        imaged=[label in tops for label in labels],
        positions=[place[label] for label in labels],
    )


def chain(
    num_particles: int,
    contact_radius: float = DEFAULT_CONTACT_RADIUS,
    carbon_shape: float = DEFAULT_CARBON_SHAPE,
) -> Network:
    """Particles in one row: collector - p0 - p1 - …, p0 touching carbon."""
    _check_count(num_particles)
    check_positive("contact_radius", contact_radius, "m", LARGEST_RADIUS)
    labels = [f"p{k}" for k in range(num_particles)]
    edges = [
        carbon_contact(COLLECTOR, label, carbon_shape)
        if k == 0
        else particle_contact(labels[k - 1], label, contact_radius)
        for k, label in enumerate(labels)
    ]
    return Network.from_edges(
        edges, labels, positions=[(0.0, 1e-5 * (k + 0.5)) for k in range(num_particles)]
    )


def star(
    num_particles: int, carbon_shape: float | Sequence[float] = DEFAULT_CARBON_SHAPE
) -> Network:
    """Particles that each touch the collector's carbon by a contact of their own.

    `carbon_shape` [1/m]: one for all, or one a particle (1/(4a) of a contact radius a).
    """
    _check_count(num_particles)
    shapes = one_each("carbon_shape", carbon_shape, num_particles)
    labels = [f"p{k}" for k in range(num_particles)]
    edges = [
        carbon_contact(COLLECTOR, label, float(shape))
        for label, shape in zip(labels, shapes, strict=True)
    ]
    return Network.from_edges(
        edges, labels, positions=[(1e-5 * k, 0.5e-5) for k in range(num_particles)]
    )


def touching_spheres(
    centres: np.ndarray,
    radii: np.ndarray,
    *,
    contact_radius: float | None = None,
    reach: float = 0.02,
    carbon_share: float = 1.0,
    carbon_shape: float = DEFAULT_CARBON_SHAPE,
    seed: int = 0,
    labels: Sequence[str] | None = None,
) -> Network:
    r"""A network of spheres whose surfaces touch.

    Two spheres are joined where their distance is below (1 + reach)(R_i + R_j). The
    contact radius is that of the overlap, $$ a^2 = R_i^2 - z^2 $$ with z the distance
    of the lens' plane, at least 5 % and at most half of the smaller radius, unless
    `contact_radius` [m] is given for all. A share `carbon_share` of the spheres, drawn
    with `seed` (always including the lowest of each connected cluster), touches carbon.
    """
    centres, radii, _ = _as_spheres(centres, radii, labels)
    check_number("reach", reach, 0.0, "of the sum of two radii")
    pairs = _touching_pairs(centres, radii, reach)
    if contact_radius is None:
        widths = [
            _overlap_radius(centres[i], centres[j], radii[[i, j]]) for i, j in pairs
        ]
    else:
        check_positive("contact_radius", contact_radius, "m", LARGEST_RADIUS)
        widths = np.full(len(pairs), contact_radius)
        _check_widths("contact_radius", widths, pairs, radii)
    return joined_spheres(
        *(centres, radii, pairs, widths),
        carbon_share=carbon_share,
        carbon_shape=carbon_shape,
        seed=seed,
        labels=labels,
    )


def joined_spheres(
    centres: np.ndarray,
    radii: np.ndarray,
    pairs: np.ndarray,
    contact_radii: Sequence[float] | np.ndarray,
    *,
    carbon_share: float = 1.0,
    carbon_shape: float = DEFAULT_CARBON_SHAPE,
    seed: int = 0,
    labels: Sequence[str] | None = None,
) -> Network:
    """A network of spheres whose contacts are known, as from an image.

    `pairs` (contact, 2) are numbers of spheres, `contact_radii` [m] theirs; carbon as
    in `touching_spheres`.
    """
    centres, radii, names = _as_spheres(centres, radii, labels)
    pairs = _as_pairs(pairs, len(radii))
    widths = as_floats("contact_radii", contact_radii, "hold one number a pair [m]")
    _check_widths("contact_radii", widths, pairs, radii)
    edges: list[Edge] = [
        particle_contact(names[i], names[j], float(width))
        for (i, j), width in zip(pairs, widths, strict=True)
    ]
    wired = _carbon_coated(centres, pairs, carbon_share, seed)
    edges += [carbon_contact(COLLECTOR, names[i], carbon_shape) for i in wired]
    return Network.from_edges(edges, names, positions=centres)


def random_packing(
    num_particles: int,
    median_radius: float = 5e-6,
    spread: float = 0.3,
    thickness: float = 60e-6,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Centres (particle, 3) and radii (particle,) of spheres dropped one by one [m].

    Radii are lognormal with `spread`, cut at 2 and 9 um. Each sphere of a seeded
    sequence rolls no further than the first sphere (or floor) below a random spot, so
    it touches what carries it; the box is as wide as fills `thickness` to 55 %.
    """
    _check_count(num_particles)
    smallest, largest = _PACKED_RADII
    check_number("median_radius", median_radius, smallest, "m", largest)
    check_number("spread", spread, 0.0, "of ln R")
    check_number("thickness", thickness, 1e-6, "m", _WIDEST)
    check_whole("seed", seed, 0)
    rng = np.random.default_rng(seed)
    radii = median_radius * np.exp(spread * rng.standard_normal(num_particles))
    radii = np.clip(radii, smallest, largest)
    width = np.sqrt(np.sum(4 / 3 * np.pi * radii**3) / 0.55 / thickness)
    width = max(width, 2.2 * radii.max())
    centres = np.zeros((num_particles, 3))
    for k, radius in enumerate(radii):
        spots = rng.uniform(radius, width - radius, size=(8, 2))
        heights = [_rest_height(s, radius, centres[:k], radii[:k]) for s in spots]
        best = int(np.argmin(heights))
        centres[k] = (*spots[best], heights[best])
    return centres, radii


def _check_count(value) -> None:
    """Raises ValueError for what is no number of particles."""
    if is_whole_number(value) and value == 0:
        raise ValueError("A network must have one particle or more, but has none.")
    check_whole("num_particles", value, 1)


def _as_spheres(centres, radii, labels) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Centres, radii and names; ValueError for spheres that cannot be."""
    due = "be one number a particle [m]"
    radii = as_floats("radii", radii, due)
    if radii.ndim != 1:
        raise ValueError(
            f"`radii` must {due}, but has the shape {radii.shape}; pass a list."
        )
    count = len(radii)
    if count == 0:
        raise ValueError("A packing must have one particle or more, but has none.")
    names = [f"p{k}" for k in range(count)]
    if labels is not None:
        names = list(as_labels("labels", labels))
    due = "hold the coordinates of each particle [m]"
    centres = as_floats("centres", centres, due)
    for name, column in (("centres", np.atleast_1d(centres)), ("labels", names)):
        if len(column) != count:
            raise ValueError(
                f"`{name}` must have one entry per particle, but has {len(column)} for "
                f"{count} radii."
            )
    called = range(count) if labels is None else names
    check_radii("radii", radii, called)
    check_places("centres", centres, called)
    _check_apart(centres, called)
    return centres, radii, names


def _check_apart(centres, names) -> None:
    """Raises ValueError unless every sphere has a place of its own."""
    _, first, place = np.unique(centres, axis=0, return_index=True, return_inverse=True)
    earliest = first[place.reshape(-1)]
    again = np.flatnonzero(earliest != np.arange(len(centres)))
    if again.size:
        raise ValueError(
            f"`centres` must differ, but particles {names[earliest[again[0]]]} and "
            f"{names[again[0]]} share one; remove the duplicate."
        )


def _as_pairs(pairs, count: int) -> np.ndarray:
    """(contact, 2) numbers of spheres; ValueError where they are none."""
    pairs = as_pairs("pairs", pairs, "hold two whole numbers a contact")
    if pairs.size == 0:
        return pairs
    outside = np.flatnonzero(np.any((pairs < 0) | (pairs >= count), axis=1))
    if outside.size:
        raise ValueError(
            f"`pairs` must hold numbers of spheres, 0 to {count - 1}, but pair "
            f"{outside[0]} is {pairs[outside[0]].tolist()}."
        )
    _, first = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    again = np.setdiff1d(np.arange(len(pairs)), first)
    if again.size:
        raise ValueError(
            "`pairs` must name every contact once, but pair "
            f"{again[0]}, {pairs[again[0]].tolist()}, stands there before, whichever "
            "way; remove one of the two."
        )
    return pairs


def _check_widths(name: str, widths, pairs, radii) -> None:
    """Raises ValueError for contacts that are not of the spheres that touch."""
    if widths.shape != (len(pairs),):
        found = len(widths) if widths.ndim == 1 else f"the shape {widths.shape}"
        raise ValueError(
            f"`{name}` must have one value per pair, but has {found} for {len(pairs)} "
            "pairs."
        )
    smaller = np.min(radii[pairs], axis=1)
    wrong = np.flatnonzero(~((widths > 0) & (widths <= smaller)))
    if wrong.size:
        k = int(wrong[0])
        raise ValueError(
            f"`{name}` must be positive and must not exceed the radii of the spheres "
            f"that touch, but pair {k} has {widths[k]:g} where one has "
            f"{smaller[k]:g}; give a narrower contact, and all in metres."
        )


def _touching_pairs(centres, radii, reach):
    """Index pairs of spheres closer than (1 + reach) times the sum of their radii."""
    from scipy.spatial import cKDTree

    tree = cKDTree(centres)
    pairs = tree.query_pairs(2 * (1 + reach) * radii.max(), output_type="ndarray")
    distance = np.linalg.norm(centres[pairs[:, 0]] - centres[pairs[:, 1]], axis=1)
    near = distance < (1 + reach) * (radii[pairs[:, 0]] + radii[pairs[:, 1]])
    return pairs[near]


def _overlap_radius(one, other, radii) -> float:
    """Radius of the lens of two spheres, between 5 % and half of the smaller one."""
    distance = np.linalg.norm(one - other)
    plane = (distance**2 + radii[0] ** 2 - radii[1] ** 2) / (2 * distance)
    squared = max(radii[0] ** 2 - plane**2, 0.0)
    smaller = radii.min()
    return float(np.clip(np.sqrt(squared), 0.05 * smaller, 0.5 * smaller))


def _carbon_coated(centres, pairs, share, seed):
    """A drawn share of the spheres and the lowest of every cluster, as indices."""
    if not (is_number(share) and 0 <= share <= 1):
        raise ValueError(f"`carbon_share` must lie between 0 and 1, but is {share!r}.")
    share = float(share)
    check_whole("seed", seed, 0)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(centres)
    graph = coo_array(
        (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count)
    )
    clusters, member = connected_components(graph, directed=False)
    drawn = np.random.default_rng(seed).random(count) < share
    for c in range(clusters):
        inside = np.flatnonzero(member == c)
        drawn[inside[np.argmin(centres[inside, -1])]] = True
    return np.flatnonzero(drawn).tolist()


def _rest_height(spot, radius, centres, radii) -> float:
    """Height at which a sphere falling at `spot` first touches a sphere or floor."""
    if len(radii) == 0:
        return radius
    reach = radius + radii
    offset2 = np.sum((centres[:, :2] - spot) ** 2, axis=1)
    below = offset2 < reach**2
    tops = centres[below, 2] + np.sqrt(reach[below] ** 2 - offset2[below])
    return float(max(radius, tops.max(initial=radius)))
