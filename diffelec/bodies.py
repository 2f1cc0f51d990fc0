"""How one spherical particle is cut into sites, so that fronts can run over it.

A site is a patch of the surface with the cone of material under it. To add a way to
cut, write a function that gives the sites' centres to `_cut`.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from . import spheres
from ._typing import is_whole_number
from .checks import (
    as_floats,
    as_list,
    as_pairs,
    as_wholes,
    check_kind,
    check_positive,
    is_number,
)

_MOST_SITES = 64
_TOLERANCE = 0.035  # of the transfer resistances, in 1/(kappa R)
_WEAK = 1e-3  # of the largest conductance: an edge without a use
_PAIRS = ("pairs", "neighbours", "bridge")
_SHARES = (np.inf, 0.1, 0.07, 0.05, 0.03, 0.02, 0.015, 0.01, 0.005, 0.002, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Body:
    r"""A sphere cut into sites, in units of its radius R; equal by content.

    Electrons between sites i and j: $$ R_{ij} = resistance / (\kappa R) $$, one half in
    each site's own conductivity. Lithium into i, with Theta the integral of D(x):
    $$ \dot{\bar x}_i\, share_i \tfrac43 \pi R^3 = \sum_j exchange\, R\,
       [\Theta(\bar x_j) - \Theta(\bar x_i)] $$

    Attributes:
        centres: (site, 3) means of the unit normal over each site. A direction belongs
            to the site with the nearest centre.
        share: (site,) of the surface and of the volume.
        spreading: (site,) mean potential of a site over the surface's for a current
            that enters through it and leaves evenly everywhere, in I/(kappa R).
        pairs: (pair, 2) sites joined by an electronic edge.
        resistance: (pair,) of those edges, in 1/(kappa R).
        neighbours: (border, 2) sites between which lithium diffuses.
        exchange: (border,) shape factor of that diffusion, in R.
        fragment: (site,) which piece of a cracked particle each site belongs to.
        bridge: (contact, 2) sites that a contact across a crack joins.
    """

    centres: np.ndarray
    share: np.ndarray
    spreading: np.ndarray
    pairs: np.ndarray
    resistance: np.ndarray
    neighbours: np.ndarray
    exchange: np.ndarray
    fragment: np.ndarray
    bridge: np.ndarray

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = _array(field.name, getattr(self, field.name))
            value.flags.writeable = False
            object.__setattr__(self, field.name, value)
        _check(self)

    @functools.cached_property
    def _key(self):
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return tuple((value.shape, value.tobytes()) for value in values)

    def __hash__(self):
        return hash(self._key)

    def __eq__(self, other):
        return isinstance(other, Body) and self._key == other._key

    def __repr__(self):
        return (
            f"Body({self.num_sites} sites, {len(self.pairs)} edges, "
            f"{len(np.unique(self.fragment))} fragments)"
        )

    @property
    def num_sites(self) -> int:
        return len(self.share)

    def site_of(self, directions: np.ndarray) -> np.ndarray:
        """Numbers of the sites that directions (..., 3) from the middle point at."""
        return spheres.nearest(_unit("directions", directions), self.centres)


def whole() -> Body:
    """A particle of one site."""
    one, none, pairs = np.zeros(1), np.zeros(0), np.zeros((0, 2))
    return Body(np.zeros((1, 3)), one + 1, one, pairs, none, pairs, none, one, pairs)


def slices(count: int, axis: Sequence[float] = (0.0, 0.0, 1.0)) -> Body:
    """Rings of equal height, hence of equal area, about an axis, from its tip down.

    Rings see each other through the bulk, so that many pairs need an edge: 12 for 8
    rings, 40 for 16, 208 for 32. A contact is spread over its ring: right at the tips,
    12 % too little between two contacts opposite each other on the equator.
    """
    _check_count(count, 32)
    return _slices(int(count), tuple(_unit("axis", axis, one=True).tolist()))


@functools.lru_cache(maxsize=64)
def _slices(count: int, axis: tuple[float, float, float]) -> Body:
    if count == 1:
        return whole()
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    return _cut(height[:, None] * np.array(axis), np.full(count, 1.0 / count))


def sectors(count: int) -> Body:
    r"""Wedges about the z axis: what one sees looking down on a particle.

    Wedges meet on the axis, where layers of cones would touch over no distance. Hence
    exchange by the face between two of them, pi R^2/2, over the distance of their
    centroids, which are 3 pi R/16 from the axis:
    $$ S = (\pi R^2 / 2) / (\tfrac{3\pi}{16} R\, \Delta\phi) = 8 R / (3 \Delta\phi) $$
    """
    _check_count(count, 32)
    return _sectors(int(count))


@functools.lru_cache(maxsize=64)
def _sectors(count: int) -> Body:
    if count == 1:
        return whole()
    angle = 2.0 * np.pi * (np.arange(count) + 0.5) / count
    distance = 0.25 * np.pi * np.sinc(1.0 / count)  # of the wedge's mean normal
    centres = distance * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    body = _cut(centres, np.full(count, 1.0 / count))
    faces = 2.0 if count == 2 else 1.0
    exchange = faces * 8.0 / 3.0 * count / (2.0 * np.pi)
    return dataclasses.replace(body, exchange=np.full(len(body.neighbours), exchange))


def patches(count: int) -> Body:
    """Patches of nearly equal size (10 % either way) and of no preferred direction.

    Their centres come from Lloyd's rounds on a Fibonacci spiral. Up to 32 patches,
    edges join neighbours only: 18 for 8, 42 for 16, 90 for 32; 64 need 489.
    Between two contacts of radius R/10 anywhere, 32 are right to 1 % where they are
    opposite and to 4 % at a right angle.
    """
    _check_count(count, _MOST_SITES)
    return _patches(int(count))


@functools.lru_cache(maxsize=64)
def _patches(count: int) -> Body:
    if count == 1:
        return whole()
    return _cut(*spheres.settled_centres(count))


def cracked(body: Body, share: float, direction: np.ndarray) -> Body:
    """The body with a crack between the `share` of its surface nearest to `direction`
    (fragment 1; at least one site) and the rest (fragment 0).

    Nothing crosses the crack but one electronic contact, between the two sites nearest
    to each other on either side; how wide it is, is for the network to say.
    """
    check_kind("body", body, Body, "such as `diffelec.bodies.slices(8)`")
    if np.any(body.fragment) or body.num_sites < 2:
        raise ValueError(
            "A body to crack must be whole and have two sites or more, but its number "
            f"of sites is {body.num_sites}, of pieces {len(np.unique(body.fragment))}."
        )
    if not (is_number(share) and 0 < share < 1):
        raise ValueError(f"`share` must lie between 0 and 1, but is {share!r}.")
    direction = _unit("direction", direction, one=True)
    order = np.argsort(-(body.centres @ direction), kind="stable")
    taken = np.cumsum(body.share[order])[:-1]
    broken = np.zeros(body.num_sites, int)
    broken[order[: 1 + np.argmin(np.abs(taken - share))]] = 1

    def kept(pairs):
        return broken[pairs[:, 0]] == broken[pairs[:, 1]]

    across = np.argwhere((broken[:, None] == 0) & (broken == 1))
    gap = body.centres[across[:, 0]] - body.centres[across[:, 1]]
    closest = np.argmin(np.round(np.linalg.norm(gap, axis=1), 9))
    return dataclasses.replace(
        body,
        pairs=body.pairs[kept(body.pairs)],
        resistance=body.resistance[kept(body.pairs)],
        neighbours=body.neighbours[kept(body.neighbours)],
        exchange=body.exchange[kept(body.neighbours)],
        fragment=broken,
        bridge=across[[closest]],
    )


def contact_shape(body: Body, site: int, contact_radius: float, radius: float) -> float:
    r"""Constriction [1/m] of a contact of radius a [m] on a site of a particle of
    radius R [m].

    $$ s = [cap(a/R) - spreading_i] / R $$

    From the contact to the mean of its site: what the site's own spreading, which the
    edges between sites hold, leaves of `spheres.cap_spreading`.

    Raises:
        ValueError: where the contact is larger than the site, or there is no such site.
    """
    check_kind("body", body, Body, "such as `diffelec.bodies.slices(8)`")
    if not is_whole_number(site) or not 0 <= site < body.num_sites:
        raise ValueError(
            f"`site` must be 0 to {body.num_sites - 1} for this body, but is {site!r}."
        )
    check_positive("radius", radius, "m")
    if not (is_number(contact_radius) and 0 < contact_radius < radius):
        raise ValueError(
            "`contact_radius` must lie between 0 and the particle's radius, but is "
            f"{contact_radius} m on a particle of {radius} m."
        )
    cap = spheres.cap_spreading(contact_radius / radius)
    if not cap > body.spreading[site]:
        raise ValueError(
            f"A contact must be smaller than its site, but {contact_radius:g} m is too "
            f"wide for site {site} of {body.num_sites} on a particle of {radius:g} m; "
            "cut the particle into fewer sites."
        )
    return float((cap - body.spreading[site]) / radius)


def _cut(centres: np.ndarray, share: np.ndarray) -> Body:
    r"""The body whose sites have these centres.

    Lithium between neighbours crosses layer after layer of their cones; a layer's
    border is l r long and its sites' middles are d r apart, so that

    $$ S_{ij} = \int_0^R \frac{l\, r}{d\, r}\, dr = R\, l / d $$

    With d = |c_i - c_j| / rho, rho the radius of the border's circle, the flow is exact
    for any x that is linear in the direction (as the angle between them in the end).
    """
    neighbours, length, circle = spheres.borders(centres)
    apart = centres[neighbours[:, 0]] - centres[neighbours[:, 1]]
    distance = np.linalg.norm(apart, axis=1) / circle
    pairs, conductance = _edges(spheres.transfer(centres, share), neighbours, share)
    return Body(
        centres=centres,
        share=share,
        spreading=np.diag(spheres.transfer_of(pairs, conductance, share)),
        pairs=pairs,
        resistance=1.0 / conductance,
        neighbours=neighbours,
        exchange=length / distance,
        fragment=np.zeros(len(share)),
        bridge=np.zeros((0, 2)),
    )


def _edges(transfer, neighbours, share):
    r"""Pairs of sites and positive conductances that reproduce the transfer matrix.

    The inverse of the transfer matrix Z is a Laplacian whose off-diagonal entries are
    not all negative: sites two apart may have up to -18 % of the largest conductance.
    Edges that are positive and above a share of the largest, and those of neighbours,
    are kept and fitted to Z; the highest share whose network has all of Z within 0.035
    wins, which is 0.6 % of the resistance between two contacts of radius R/10.
    """
    count = len(share)
    i, j = np.triu_indices(count, 1)
    centring = np.eye(count) - 1.0 / count
    exact = -np.linalg.pinv(centring @ transfer @ centring, rcond=1e-10)[i, j]
    largest = np.max(exact)
    border = np.zeros((count, count), bool)
    border[tuple(neighbours.T)] = True
    best, least_error, tried = (neighbours, np.ones(len(neighbours))), np.inf, -1
    for least in _SHARES:
        chosen = border[i, j] | (exact > least * largest)
        if np.sum(chosen) == tried:
            continue
        tried = np.sum(chosen)
        pairs = np.stack([i, j], axis=1)[chosen]
        start = np.maximum(exact[chosen], 1e-3 * largest)
        conductance, _ = _fitted(transfer, pairs, start, share)
        strong = conductance > _WEAK * np.max(conductance)
        pairs, start = pairs[strong], conductance[strong]
        conductance, error = _fitted(transfer, pairs, start, share)
        if error < least_error:
            best, least_error = (pairs, conductance), error
        if error <= _TOLERANCE:
            break
    return best


def _fitted(transfer, pairs, start, share, rounds: int = 40):
    """Conductances of the pairs by damped Gauss-Newton steps in their logarithm, and
    the largest error of their transfer resistances.
    """
    row, column = np.triu_indices(len(share))
    logarithm, damping = np.log(start), 1e-3

    def misfit(logarithm):
        found = spheres.transfer_of(pairs, np.exp(logarithm), share)
        return found, (found - transfer)[row, column]

    found, error = misfit(logarithm)
    for _ in range(rounds):
        drop = found[:, pairs[:, 0]] - found[:, pairs[:, 1]]
        slope = -drop[row] * drop[column] * np.exp(logarithm)
        normal, gradient = slope.T @ slope, slope.T @ error
        ridge = damping * np.max(np.diag(normal)) * np.eye(len(pairs))
        step = np.clip(np.linalg.solve(normal + ridge, -gradient), -2.0, 2.0)
        floor = np.max(logarithm) - 9.0
        trial = np.maximum(logarithm + step, floor)
        trial_found, trial_error = misfit(trial)
        gain = error @ error - trial_error @ trial_error
        if gain > 0:
            logarithm, found, error = trial, trial_found, trial_error
            damping = 0.2 * damping
            if gain < 1e-6 * (error @ error):
                break
        else:
            damping = 10.0 * damping
    return np.exp(logarithm), np.max(np.abs(error))


def _unit(name: str, vectors, one: bool = False) -> np.ndarray:
    """Vectors (..., 3) over their lengths; only one vector, where there is but one."""
    due = "be x, y, z that are not all 0"
    vectors = as_floats(name, vectors, due)
    known = vectors.shape == (3,) if one else vectors.shape[-1:] == (3,)
    length = np.linalg.norm(np.atleast_1d(vectors), axis=-1, keepdims=True)
    if not (known and np.all((length > 0) & (length < np.inf))):
        raise ValueError(f"`{name}` must {due}, but is {vectors.tolist()}.")
    return vectors / length


def _check_count(count: int, most: int) -> None:
    if not is_whole_number(count) or not 1 <= count <= most:
        raise ValueError(
            f"The number of sites must lie between 1 and {most}, but is {count!r}; "
            "give a whole number in between."
        )


def _array(name: str, values) -> np.ndarray:
    """What a body holds by a name, as an array of its own; ValueError for no numbers,
    or of another shape.
    """
    if name in _PAIRS:
        return as_pairs(name, values, "hold two sites a pair")
    if name == "fragment":
        return as_list(name, as_wholes(name, values, "hold whole numbers"))
    found = as_floats(name, values, "hold numbers")
    if name != "centres":
        return as_list(name, found)
    if found.ndim != 2 or found.shape[1] != 3 or not np.all(np.isfinite(found)):
        raise ValueError(
            "`centres` must hold three finite coordinates of each site, but is "
            f"{found.tolist()}."
        )
    return found


def _check(body: Body) -> None:
    """Raises ValueError for a body that cannot be."""
    if not (np.all(body.share > 0) and np.isclose(np.sum(body.share), 1.0)):
        raise ValueError(
            "`share` must be positive and add up to 1, but adds up to "
            f"{np.sum(body.share):g}."
        )
    for name in ("centres", "spreading", "fragment"):
        if len(getattr(body, name)) != body.num_sites:
            raise ValueError(
                f"`{name}` must have one entry per site, but has "
                f"{len(getattr(body, name))} for {body.num_sites} sites."
            )
    for name in _PAIRS:
        sites = getattr(body, name)
        if not np.all((sites >= 0) & (sites < body.num_sites)):
            raise ValueError(
                f"`{name}` must name sites 0 to {body.num_sites - 1}, but names "
                f"{sites.min()} to {sites.max()}."
            )
    for ends, name in (("pairs", "resistance"), ("neighbours", "exchange")):
        value = getattr(body, name)
        if len(value) != len(getattr(body, ends)) or not np.all(value > 0):
            raise ValueError(
                f"`{name}` must be one positive number for each of `{ends}`, but is "
                f"{value.tolist()}."
            )
