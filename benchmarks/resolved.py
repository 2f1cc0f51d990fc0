"""A chain of touching spheres resolved in the half disc: the network's yardstick.

    div(kappa(x) grad phi) = 0,  dx/dt = div(D(x) grad x)      in every sphere
    -kappa dphi/dn = i(phi - U(x), x),  -D dx/dn = i / (F c_max)   on its surface

with n outward and i > 0 anodic, as in `diffelec`. phi goes on through the contact
discs, lithium does not cross them. The first sphere is coated with carbon that conducts
well: phi = phi_c all over its surface, up to the rim of the contact. A bath of further
coated spheres, radial columns of which each stands for `bath` copies, takes part of the
current, as the wired particles of an electrode do. The total current is given:

    sum over all surfaces of i dA = I

Whether the electrolyte reaches the neck of a contact is a choice: `dry` is the angle
about a contact's pole within which the surface does not react.
"""

import dataclasses

import numpy as np
import scipy.sparse as sparse

from benchmarks.resolved_curves import Curves
from benchmarks.resolved_mesh import Body, Resolution, sphere
from diffelec.columns import RadialMesh


@dataclasses.dataclass(frozen=True)
class Chain:
    """A chain of coated and uncoated spheres.

    Attributes:
        num_particles: in the chain, the first of them coated.
        bath: further coated particles.
        radius, contact_radius: of the spheres and the discs between them [m].
        initial: stoichiometry of all particles.
        c_rate: 1C passes 0.63 of all lithium in an hour.
        bare: angle about its contact's pole that the first particle's coat leaves
            free [rad]; 0 for a coat up to the rim.
        dry: angle about the poles of contacts within which nothing reacts [rad].
    """

    num_particles: int
    bath: float = 2.0
    radius: float = 5e-6
    contact_radius: float = 0.5e-6
    initial: float = 0.999
    c_rate: float = 1 / 20
    bare: float = 0.0
    dry: float = 0.0

    def bodies(self, resolution: Resolution) -> list[Body]:
        last = self.num_particles - 1
        return [
            sphere(
                self.radius,
                self.contact_radius,
                upper=k < last,
                lower=k > 0,
                resolution=resolution,
                dry=self.dry,
                bare=self.bare if k == 0 else 0.0,
            )
            for k in range(self.num_particles)
        ]


def _column(radius: float, num_shells: int) -> Body:
    """A sphere whose surface is uniform: a row of shells as a `Body`."""
    mesh = RadialMesh(num_shells)
    shell = np.arange(num_shells)
    return Body(
        points=np.stack([0.0 * shell, radius * mesh.nodes]),
        triangles=np.empty((3, 0), int),
        edges=np.stack([shell[:-1], shell[1:]]),
        weights=4.0 * np.pi * radius * mesh.face_conductances,
        volumes=4.0 * np.pi * radius**3 * mesh.volumes,
        areas=np.where(shell == num_shells - 1, 4.0 * np.pi * radius**2, 0.0),
        outer=shell[-1:],
        upper=shell[:0],
        lower=shell[:0],
    )


class Resolved:
    """The semi-discrete system M dy/dt = F(y), y = (x of all nodes, free phi, phi_c).

    Rows of lithium are in 1/s, rows of potential over the current. The bath is the last
    body; of it and of the first body's surface phi is phi_c.
    """

    def __init__(self, chain: Chain, resolution: Resolution, curves: Curves):
        self.chain, self.curves = chain, curves
        self.bodies = chain.bodies(resolution)
        copies = [1.0] * chain.num_particles
        if chain.bath > 0:
            self.bodies.append(_column(chain.radius, resolution.num_shells))
            copies.append(chain.bath)
        starts = np.cumsum([0, *(b.num_nodes for b in self.bodies)])
        self.starts, self.num_nodes = starts[:-1], int(starts[-1])
        self.edges = self._joined("edges", axis=1, shifted=True)
        self.weights = self._joined("weights")
        self.volumes = self._joined("volumes")
        areas = self._joined("areas")
        self.outer = np.flatnonzero(areas)
        self.area = areas[self.outer]
        body_of = np.repeat(np.arange(len(self.bodies)), np.diff(starts))
        self.body_of, self.copies = body_of, np.array(copies)
        self.reacting = self.copies[body_of[self.outer]] * self.area
        self._number_potentials()
        lithium = self.copies[body_of] @ self.volumes
        self.current = chain.c_rate * 0.63 * lithium * curves.charge / 3600.0
        self.mass = np.zeros(self.size)
        self.mass[: self.num_nodes] = 1.0

    def _joined(self, name, axis=0, shifted=False):
        """An array of all bodies; node numbers shifted to those of the system."""
        parts = [getattr(b, name) for b in self.bodies]
        if shifted:
            parts = [p + s for p, s in zip(parts, self.starts, strict=True)]
        return np.concatenate(parts, axis=axis)

    def _number_potentials(self):
        """`phi_of`: which unknown is the potential of each node.

        Nodes of one disc share theirs; the coat's are phi_c, the last unknown.
        """
        owner = np.arange(self.num_nodes)
        for k in range(1, self.chain.num_particles):
            below = self.starts[k - 1] + self.bodies[k - 1].upper
            owner[self.starts[k] + self.bodies[k].lower] = owner[below]
        coat = np.zeros(self.num_nodes, bool)
        first = self.bodies[0]
        coat[
            self.starts[0] + first.outer[first.outer_angle >= self.chain.bare - 1e-9]
        ] = True
        if self.chain.bath > 0:
            coat[self.starts[-1] :] = True
        coat = coat[owner]
        kept, place = np.unique(owner[~coat], return_inverse=True)
        self.size = self.num_nodes + len(kept) + 1
        self.phi_of = np.full(self.num_nodes, self.size - 1)
        self.phi_of[~coat] = self.num_nodes + place
        i, j = self.phi_of[self.edges]
        self.wired = np.flatnonzero(i != j)  # edges that carry electrons

    def start(self) -> np.ndarray:
        """Uniform lithium and potentials at rest; potentials are not consistent yet."""
        y = np.full(self.size, self.chain.initial)
        y[self.num_nodes :] = self.curves.surface(self.chain.initial)[0]
        return y

    def residual(self, y) -> np.ndarray:
        """F(y)."""
        x, phi = y[: self.num_nodes], y[self.phi_of]
        i, j = self.edges
        out = np.zeros(self.size)
        theta = self.curves.theta(x)
        flux = self.weights * (theta[j] - theta[i])
        gain = self._scattered(flux, i, j, self.num_nodes)
        density, _, _ = self.curves.reaction(phi[self.outer], x[self.outer])
        gain[self.outer] -= self.area * density / self.curves.charge
        out[: self.num_nodes] = gain / self.volumes
        e = self.wired
        i, j = i[e], j[e]
        kappa, _, _ = self.curves.conductivity(x[i], x[j])
        flow = self.weights[e] * kappa * (phi[j] - phi[i])
        rows = self._scattered(flow, self.phi_of[i], self.phi_of[j], self.size)
        reaction = self.reacting * density
        rows -= np.bincount(self.phi_of[self.outer], reaction, self.size)
        rows[-1] = self.current - np.sum(reaction)
        out[self.num_nodes :] = rows[self.num_nodes :] / self.current
        return out

    @staticmethod
    def _scattered(flow, i, j, size):
        """Flows along edges gained by their ends i, lost by their ends j."""
        return np.bincount(i, flow, size) - np.bincount(j, flow, size)

    def jacobian(self, y) -> sparse.csc_matrix:
        """dF/dy, exact."""
        x, phi = y[: self.num_nodes], y[self.phi_of]
        last = self.size - 1
        i, j = self.edges
        parts = []
        diffusivity = self.curves.theta(x, 1)
        parts.append((i, j, self.weights * diffusivity[j] / self.volumes[i]))
        parts.append((j, i, self.weights * diffusivity[i] / self.volumes[j]))
        parts.append((i, i, -self.weights * diffusivity[i] / self.volumes[i]))
        parts.append((j, j, -self.weights * diffusivity[j] / self.volumes[j]))
        parts += self._electron_entries(x, phi)
        o, p = self.outer, self.phi_of[self.outer]
        _, by_phi, by_x = self.curves.reaction(phi[o], x[o])
        film = self.area / self.curves.charge / self.volumes[o]
        parts += [(o, o, -film * by_x), (o, p, -film * by_phi)]
        share = self.reacting / self.current
        free = p != last
        parts.append((p[free], o[free], -(share * by_x)[free]))
        parts.append((p[free], p[free], -(share * by_phi)[free]))
        bottom = np.full(o.size, last)
        parts += [(bottom, o, -share * by_x), (bottom, p, -share * by_phi)]
        rows, cols, data = (np.concatenate(part) for part in zip(*parts, strict=True))
        shape = (self.size, self.size)
        return sparse.coo_matrix((data, (rows, cols)), shape).tocsc()

    def _electron_entries(self, x, phi):
        """Entries of the rows of potential that stem from the edges."""
        i, j = self.edges[:, self.wired]
        kappa, by_i, by_j = self.curves.conductivity(x[i], x[j])
        weight = self.weights[self.wired] / self.current
        conductance, drop = weight * kappa, weight * (phi[j] - phi[i])
        p, q = self.phi_of[i], self.phi_of[j]
        parts = []
        for row, sign in ((p, 1.0), (q, -1.0)):
            free = row != self.size - 1
            for column, value in (
                (q, conductance),
                (p, -conductance),
                (i, drop * by_i),
                (j, drop * by_j),
            ):
                parts.append((row[free], column[free], sign * value[free]))
        return parts

    def means(self, x) -> np.ndarray:
        """Volume mean of each body."""
        total = np.bincount(self.body_of, self.volumes * x)
        return total / np.bincount(self.body_of, self.volumes)

    def watched(self, y) -> dict[str, np.ndarray]:
        """Quantities kept of every accepted step, (body,) unless scalar."""
        x, phi = y[: self.num_nodes], y[self.phi_of]
        density, _, _ = self.curves.reaction(phi[self.outer], x[self.outer])
        body, surface = self.body_of[self.outer], x[self.outer]
        current = np.bincount(body, self.area * density)
        area, volume = (
            np.bincount(body, self.area),
            np.bincount(self.body_of, self.volumes),
        )
        weighted = np.bincount(body, self.area * density * phi[self.outer])
        splits = np.flatnonzero(np.diff(body)) + 1
        groups = np.split(surface, splits)
        return {
            "mean": self.means(x),
            "rate": -current / volume / self.curves.charge,
            "current": current,
            "potential": weighted / current,
            "surface_mean": np.bincount(body, self.area * surface) / area,
            "surface_low": np.array([g.min() for g in groups]),
            "surface_high": np.array([g.max() for g in groups]),
            "far": np.array([g[0] for g in groups]),
            "near": np.array([g[-1] for g in groups]),
            "voltage": y[-1],
        }
