"""Half discs of touching spheres, turned about the chain's axis, by scikit-fem.

A sphere of radius R that touches others at its poles is cut by the planes of the
contacts, z = +-sqrt(R^2 - a^2). Its half disc is meshed in polar form: rays clustered
at the contacts' rims, nodes along them clustered at the surface as in
`diffelec.columns.RadialMesh`. Linear triangles with lumped masses and areas: on this
nearly orthogonal mesh that is a finite-volume scheme, which keeps x within (0, 1).
"""

import dataclasses
import itertools

import numpy as np
from skfem import (
    Basis,
    BilinearForm,
    ElementTriP1,
    FacetBasis,
    LinearForm,
    MeshTri,
)
from skfem.helpers import dot, grad

from diffelec.columns import RadialMesh

_RIM, _REACH = 0.01, 0.3  # rad: rays thin out from the rims over this range


@BilinearForm
def _stiffness(u, v, w):
    return 2.0 * np.pi * w.x[0] * dot(grad(u), grad(v))


@LinearForm
def _measure(v, w):
    return 2.0 * np.pi * w.x[0] * v


@dataclasses.dataclass(frozen=True)
class Resolution:
    """How fine a body is meshed.

    Attributes:
        num_shells: nodes along a ray.
        angle: spacing of the rays over their distance to the nearest rim.
    """

    num_shells: int = 28
    angle: float = 0.25

    def finer(self, factor: float) -> "Resolution":
        """Spacings over `factor`, at the same clustering."""
        return Resolution(
            round(1 + factor * (self.num_shells - 1)), self.angle / factor
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Body:
    """One sphere of a chain: what the equations need of its mesh.

    Attributes:
        points: (2, node) distance from the axis and height over the centre [m].
        triangles: (3, triangle) node numbers.
        edges: (2, edge) node numbers, the lower one first.
        weights: (edge,) minus the entries of the stiffness matrix for a coefficient
            of 1 [m]: flux from one node to the other per difference.
        volumes: (node,) lumped, adding up to the body's [m3].
        areas: (node,) lumped area of the reacting surface [m2], 0 off it.
        outer: nodes of the sphere's surface between the contacts' rims, from the upper
            end to the lower one.
        upper, lower: nodes of the contact discs from axis to rim; empty without one.
    """

    points: np.ndarray
    triangles: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    volumes: np.ndarray
    areas: np.ndarray
    outer: np.ndarray
    upper: np.ndarray
    lower: np.ndarray

    @property
    def num_nodes(self) -> int:
        return self.points.shape[1]

    @property
    def outer_angle(self) -> np.ndarray:
        """Polar angle of the `outer` nodes from the upper pole."""
        return np.arctan2(*self.points[:, self.outer])


def _thinning(angle: np.ndarray, rims: list[float]) -> np.ndarray:
    """Spacing of the rays at an angle in units of `Resolution.angle` [rad]."""
    if not rims:
        return np.full_like(angle, _REACH)
    distance = np.min(np.abs(angle[:, None] - np.array(rims)), axis=1)
    return _RIM + distance / (1.0 + distance / _REACH)


def ray_angles(upper: list[float], lower: list[float], spacing: float):
    """Angles of the rays from the upper pole.

    `upper`, `lower`: angles from either pole at which boundary conditions change, in
    order; there are rays at them, and rays cluster there.
    """
    marks = [*upper, *(np.pi - angle for angle in reversed(lower))]
    pieces = [np.zeros(1)]
    for start, end in zip([0.0, *marks], [*marks, np.pi], strict=True):
        fine = np.linspace(start, end, 4001)
        density = 1.0 / _thinning(fine, marks)
        steps = 0.5 * np.diff(fine) * (density[1:] + density[:-1])
        share = np.concatenate([[0.0], np.cumsum(steps)])
        count = max(2, round(share[-1] / spacing))
        pieces.append(np.interp(np.linspace(0, share[-1], count + 1), share, fine)[1:])
    return np.concatenate(pieces)


def _points(radius, contact_radius, angles, upper, lower, num_shells):
    """Nodes of the half disc (2, node): the centre, then rays within shells."""
    flat = np.sqrt(radius**2 - contact_radius**2)
    cosine = np.cos(angles)
    bound = np.full_like(angles, radius)
    for touches, side in ((upper, cosine), (lower, -cosine)):
        if touches:
            bound = np.minimum(bound, flat / np.maximum(side, 1e-9))
    away = np.outer(RadialMesh(num_shells).nodes[1:], bound)
    across, height = away * np.sin(angles), away * cosine
    across[:, [0, -1]] = 0.0
    return np.stack([np.append(0.0, across), np.append(0.0, height)])


def _halves(points, rays: int) -> tuple[MeshTri, MeshTri]:
    """The half disc in triangles, its cells halved along either diagonal.

    The mean of both gives a node on the axis the volume that belongs to its area; one
    alone would favour a pole over its surroundings.
    """
    number = np.arange(1, points.shape[1]).reshape(-1, rays)
    fan = [np.zeros(rays - 1, int), number[0, :-1], number[0, 1:]]
    a, b = number[:-1, :-1].ravel(), number[:-1, 1:].ravel()
    c, d = number[1:, :-1].ravel(), number[1:, 1:].ravel()
    first = np.concatenate([fan, [a, c, d], [a, d, b]], axis=1)
    second = np.concatenate([fan, [a, c, b], [b, c, d]], axis=1)
    return MeshTri(points, first), MeshTri(points, second)


def sphere(
    radius: float,
    contact_radius: float,
    *,
    upper: bool,
    lower: bool,
    resolution: Resolution,
    dry: float = 0.0,
    bare: float = 0.0,
) -> Body:
    """A sphere that touches a neighbour at its upper and lower pole, or not.

    Args:
        radius: of the sphere [m].
        contact_radius: of the contact discs [m].
        upper: whether there is a contact at the upper pole.
        lower: whether there is one at the lower pole.
        resolution: how fine.
        dry: angle about the pole of a contact within which the surface does not react.
        bare: a further such angle to place a ray at.
    """
    contact_angle = float(np.arcsin(contact_radius / radius))
    marks = sorted({contact_angle, max(dry, contact_angle), max(bare, contact_angle)})
    angles = ray_angles(marks * upper, marks * lower, resolution.angle)
    shells, rays = resolution.num_shells, len(angles)
    points = _points(radius, contact_radius, angles, upper, lower, shells)
    meshes = _halves(points, rays)
    bases = [Basis(mesh, ElementTriP1()) for mesh in meshes]
    matrix = sum(0.5 * _stiffness.assemble(basis) for basis in bases).tocoo()
    pair = matrix.row < matrix.col
    from_upper = angles if upper else np.full(rays, np.pi)
    from_lower = np.pi - angles if lower else np.full(rays, np.pi)
    near = np.minimum(from_upper, from_lower) + 1e-9
    surface = 1 + (shells - 2) * rays + np.arange(rays)
    return Body(
        points=points,
        triangles=meshes[0].t,
        edges=np.stack([matrix.row[pair], matrix.col[pair]]),
        weights=-matrix.data[pair],
        volumes=sum(0.5 * _measure.assemble(basis) for basis in bases),
        areas=_areas(meshes[0], surface[near >= max(dry, contact_angle)]),
        outer=surface[near >= contact_angle],
        upper=surface[from_upper <= contact_angle + 1e-9],
        lower=surface[from_lower <= contact_angle + 1e-9][::-1],
    )


def _areas(mesh: MeshTri, nodes: np.ndarray) -> np.ndarray:
    """Lumped area of the facets that join neighbours of a row of nodes."""
    wanted = {tuple(sorted(pair)) for pair in itertools.pairwise(nodes.tolist())}
    boundary = mesh.boundary_facets()
    ends = np.sort(mesh.facets[:, boundary], axis=0).T
    chosen = boundary[[tuple(pair) in wanted for pair in ends.tolist()]]
    area = _measure.assemble(FacetBasis(mesh, ElementTriP1(), facets=chosen))
    return np.where(np.isin(np.arange(area.size), nodes), area, 0.0)
