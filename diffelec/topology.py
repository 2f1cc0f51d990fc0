"""Which nodes a network has and which edges join them: what is static of it.

Nodes are numbered collector (0), carbon nodes, sites, nodes of the electrolyte (if it
has any: the separator, where its potential is 0, and others).
"""

import functools
import inspect
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .checks import as_floats, as_labels, as_list, as_marks, as_pairs, as_wholes
from .sums import added_up, picked

COLLECTOR = "collector"
INVERT_UP_TO = 64  # nodes and the control row: below, an inverse beats two sweeps
_DENSE_UP_TO = 4096  # nodes times edges: below, a product beats scattering


class Topology:
    """Hashable description of nodes and edges (static under `jax.jit`).

    Attributes:
        tail, head: (edge,) node numbers.
        particle_labels: one name a particle.
        carbon_labels: one name a carbon node.
        imaged: (particle,) true where the microscope sees the particle.
        positions: (particle, 2) or (particle, 3) centres [m], or None.
        site_particle, site_share: (site,) particle of each site and its share of that
            particle's surface and volume.
        site_centres: (site, 3) mean of the unit normal over each site's surface, in
            its particle: a direction belongs to the site with the nearest centre.
            None where every particle is one site.
        exchange: (pair, 2) sites of one particle between which lithium diffuses.
        electrolyte_labels: one name a node of the electrolyte, the separator first;
            empty where the electrolyte is uniform.
        site_electrolyte: (site,) which of them each site reacts into.
        spare: lanes behind the sites that repeat the last one, so that rows of them
            fill whole vectors of a processor; nothing feels them.
        looped: sums at nodes are loops, for one function (`solver.serial`).
    """

    def __init__(
        self,
        tail,
        head,
        particle_labels: Sequence[str],
        carbon_labels: Sequence[str] = (),
        imaged=None,
        positions=None,
        site_particle=None,
        *,
        site_share=None,
        site_centres=None,
        exchange=None,
        electrolyte_labels: Sequence[str] = (),
        site_electrolyte=None,
        spare: int = 0,
        looped: bool = False,
    ):
        self.tail = _whole("tail", tail)
        self.head = _whole("head", head)
        self.particle_labels = as_labels("particle_labels", particle_labels)
        if len(self.tail) != len(self.head):
            raise ValueError(
                "`tail` and `head` must have one entry per edge, but have "
                f"{len(self.tail)} and {len(self.head)}."
            )
        self.carbon_labels = as_labels("carbon_labels", carbon_labels)
        count = len(self.particle_labels)
        self.imaged = (
            np.ones(count, bool) if imaged is None else as_marks("imaged", imaged)
        )
        due = "hold the coordinates of each particle [m]"
        self.positions = _floats("positions", positions, due)
        self.site_particle = _owners(site_particle, count)
        sites = np.bincount(self.site_particle, minlength=count)
        self.site_share = (
            1.0 / np.maximum(sites, 1)[self.site_particle]
            if site_share is None
            else as_list(
                "site_share", as_floats("site_share", site_share, "hold numbers")
            )
        )
        due = "hold the three coordinates of each site"
        self.site_centres = _floats("site_centres", site_centres, due)
        pairs = () if exchange is None else exchange
        self.exchange = as_pairs(
            "exchange", pairs, "hold two whole numbers a pair"
        ).astype(np.int32)
        self.electrolyte_labels = as_labels("electrolyte_labels", electrolyte_labels)
        self.site_electrolyte = (
            np.zeros(self.num_sites, np.int32)
            if site_electrolyte is None
            else _whole("site_electrolyte", site_electrolyte)
        )
        self.spare, self.looped = spare, looped
        parts = [
            value.tobytes() if isinstance(value, np.ndarray) else value
            for value in vars(self).values()
        ]
        self._key = tuple(parts)
        self._hash = hash(self._key)

    def __getstate__(self):
        """Without the hash, which is another one in another process."""
        return {k: v for k, v in vars(self).items() if k != "_hash"}

    def __setstate__(self, state):
        vars(self).update(state)
        self._hash = hash(self._key)

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        return isinstance(other, Topology) and (
            self is other or (self._hash == other._hash and self._key == other._key)
        )

    def __repr__(self):
        return (
            f"Topology({self.num_particles} particles, {len(self.carbon_labels)} "
            f"carbon nodes, {self.num_edges} edges)"
        )

    @property
    def num_particles(self) -> int:
        return len(self.particle_labels)

    @property
    def num_sites(self) -> int:
        return len(self.site_particle)

    @property
    def first_site(self) -> int:
        """Number of the first site's node: after the collector and the carbon."""
        return 1 + len(self.carbon_labels)

    @property
    def separator(self) -> int | None:
        """Number of the separator's node; None where the electrolyte is uniform."""
        if not self.electrolyte_labels:
            return None
        return self.first_site + self.num_sites

    @property
    def num_nodes(self) -> int:
        return self.first_site + self.num_sites + len(self.electrolyte_labels)

    @property
    def num_exchanging(self) -> int:
        """Unknown rates of lithium exchange: one a site, or none."""
        return self.num_sites if len(self.exchange) else 0

    @property
    def num_unknowns(self) -> int:
        """Potentials, rates of exchange, and the current."""
        return self.num_nodes + self.num_exchanging + 1

    @property
    def num_edges(self) -> int:
        return len(self.tail)

    @functools.cached_property
    def node_labels(self) -> tuple[str, ...]:
        sites = np.bincount(self.site_particle, minlength=self.num_particles)
        seen = np.zeros(self.num_particles, int)
        names = []
        for particle in self.site_particle:
            label = self.particle_labels[particle]
            names.append(label if sites[particle] == 1 else f"{label}/{seen[particle]}")
            seen[particle] += 1
        return (COLLECTOR, *self.carbon_labels, *names, *self.electrolyte_labels)

    @functools.cached_property
    def in_vectors(self) -> "Topology":
        """The same for one function (`solver.serial`): with lanes that fill vectors of
        four numbers, and sums at nodes as loops.
        """
        fields = {name: getattr(self, name) for name in _FIELDS}
        return Topology(**fields | {"spare": -self.num_sites % 4, "looped": True})

    @property
    def num_lanes(self) -> int:
        return self.num_sites + self.spare

    def filled(self, sites: Float[Array, "... site"]) -> Float[Array, "... lane"]:
        """The sites' values in all lanes."""
        if not self.spare:
            return sites
        return jnp.concatenate([sites, *[sites[..., -1:]] * self.spare], axis=-1)

    def own(self, lanes: Float[Array, "... lane"]) -> Float[Array, "... site"]:
        """The values of the sites alone."""
        return lanes[..., : self.num_sites]

    def muted(self, lanes: Float[Array, "... _"]) -> Float[Array, "... lane"]:
        """The sites' values with zeros in the spare lanes, which have no load."""
        own = self.own(lanes)
        return jnp.pad(own, [(0, 0)] * (own.ndim - 1) + [(0, self.spare)])

    def at_pairs(self, sites: Float[Array, " site"]):
        """Values of the sites at the tail and the head of every pair of `exchange`."""
        tail, head = self.exchange.T
        if self.looped:
            return jnp.split(picked(sites, np.concatenate([tail, head])), 2)
        return sites[tail], sites[head]

    def from_pairs(self, at_tail, at_head) -> Float[Array, " site"]:
        """What the ends of pairs add up to at the sites."""
        tail, head = self.exchange.T
        if self.looped:
            ends, at = jnp.concatenate([at_tail, at_head]), np.concatenate([tail, head])
            return added_up(ends, at, self.num_sites)
        nothing = jnp.zeros(self.num_sites, at_tail.dtype)
        return nothing.at[tail].add(at_tail).at[head].add(at_head)

    def at_sites(self, particles: Float[Array, " particle"]):
        """Values of the particles at their sites."""
        if self.num_sites == self.num_particles:
            return self.filled(particles)
        if self._is_dense:
            one = self.site_particle[:, None] == np.arange(self.num_particles)
            return self.filled((1.0 * one) @ particles)
        if self.looped:
            return self.filled(picked(particles, self.site_particle))
        return self.filled(particles[self.site_particle])

    def at_ends(self, sites: Float[Array, " site"], elsewhere: float = 0.0):
        """Values of the sites at the tail and the head of every edge; `elsewhere` at
        ends on carbon.
        """
        if self._is_dense:
            carbon = elsewhere * (1.0 - np.sum(self._ends, axis=2))
            return tuple(m @ sites + c for m, c in zip(self._ends, carbon, strict=True))
        if self.looped:
            padded = jnp.pad(self.own(sites), (0, 1), constant_values=elsewhere)
            return tuple(picked(padded, at) for at in self._sites_at)
        nodes = jnp.full(self.num_nodes, elsewhere, sites.dtype)
        # A scatter, since a slice would be fused into the look-ups: all that `sites`
        # are made of would be computed again at every end.
        place = self.first_site + np.arange(self.num_sites)
        nodes = nodes.at[place].set(sites, unique_indices=True)
        return nodes[self.tail], nodes[self.head]

    def from_ends(self, at_tail, at_head) -> Float[Array, " site"]:
        """The transpose of `at_ends`: what the ends of edges add up to at the sites."""
        if self._is_dense:
            return at_tail @ self._ends[0] + at_head @ self._ends[1]
        if self.looped:
            ends = jnp.concatenate([at_tail, at_head])
            sums = added_up(ends, self._sites_at.reshape(-1), self.num_sites + 1)
            return self.muted(sums)
        nodes = jnp.zeros(self.num_nodes, at_tail.dtype)
        nodes = nodes.at[self.tail].add(at_tail).at[self.head].add(at_head)
        return self.of_sites(nodes)

    def of_sites(self, nodes: Float[Array, " node"]) -> Float[Array, " site"]:
        """Values of the nodes at the sites."""
        return self.filled(nodes[self.first_site : self.first_site + self.num_sites])

    def across_surface(self, nodes: Float[Array, " node"]) -> Float[Array, " site"]:
        """Value at each site less that of the electrolyte that it reacts into."""
        if self.separator is None:
            return self.of_sites(nodes)
        at = self.separator + self.site_electrolyte
        below = picked(nodes, at) if self.looped else nodes[at]
        return self.of_sites(nodes) - self.filled(below)

    def through_surface(self, sites: Float[Array, " site"]) -> Float[Array, " node"]:
        """The transpose of `across_surface`: what leaves each node by reactions."""
        before, after = self.first_site, len(self.electrolyte_labels)
        nodes = jnp.pad(self.own(sites), (before, after))
        if self.separator is None:
            return nodes
        at = self.separator + self.site_electrolyte
        if self.looped:
            return nodes - added_up(self.own(sites), at, self.num_nodes)
        return nodes.at[at].add(-sites)

    def drop(self, nodes: Float[Array, " node"]) -> Float[Array, " edge"]:
        """Value at the tail of every edge less that at its head."""
        if self._is_dense:
            return nodes @ self.incidence
        if self.looped:
            tail, head = jnp.split(picked(nodes, self._ends_at), 2)
            return tail - head
        return nodes[self.tail] - nodes[self.head]

    def outflow(self, edges: Float[Array, " edge"]) -> Float[Array, " node"]:
        """What leaves each node along the edges, tail to head."""
        if self._is_dense:
            return self.incidence @ edges
        if self.looped:
            ends = jnp.concatenate([edges, -edges])
            return added_up(ends, self._ends_at, self.num_nodes)
        nodes = jnp.zeros(self.num_nodes, edges.dtype)
        return nodes.at[self.tail].add(edges).at[self.head].add(-edges)

    def met(self, edges: Float[Array, " edge"]) -> Float[Array, " node"]:
        """Sums over the edges that end at each node, whichever way they go."""
        if self._is_dense:
            return np.abs(self.incidence) @ edges
        if self.looped:
            return added_up(jnp.tile(edges, 2), self._ends_at, self.num_nodes)
        nodes = jnp.zeros(self.num_nodes, edges.dtype)
        return nodes.at[self.tail].add(edges).at[self.head].add(edges)

    @property
    def _is_dense(self) -> bool:
        return not self.looped and self.num_edges * self.num_nodes <= _DENSE_UP_TO

    @functools.cached_property
    def _ends(self) -> np.ndarray:
        """(2, edge, site): 1 where the site is the tail, the head of the edge."""
        sites = self.first_site + np.arange(self.num_sites)
        return np.stack([end[:, None] == sites for end in (self.tail, self.head)]) * 1.0

    @functools.cached_property
    def _sites_at(self) -> np.ndarray:
        """(2, edge): the site at the tail, the head; the number of sites on carbon."""
        ends = np.stack([self.tail, self.head]) - self.first_site
        return np.where((ends >= 0) & (ends < self.num_sites), ends, self.num_sites)

    @property
    def _ends_at(self) -> np.ndarray:
        return np.concatenate([self.tail, self.head])

    @property
    def incidence(self) -> np.ndarray:
        """(node, edge): 1 where the edge leaves, -1 where it enters."""
        matrix = np.zeros((self.num_nodes, self.num_edges))
        edge = np.arange(self.num_edges)
        matrix[self.tail, edge] = 1.0
        matrix[self.head, edge] = -1.0
        return matrix

    def unreachable(self) -> tuple[list[int], list[int]]:
        """Nodes that conduct electrons without a path to the collector, and nodes of
        the electrolyte without one to the separator.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import breadth_first_order

        ones = np.ones(self.num_edges)
        graph = coo_array(
            (ones, (self.tail, self.head)), shape=(self.num_nodes, self.num_nodes)
        ).tocsr()

        def lost(start, nodes):
            found = breadth_first_order(
                graph, start, directed=False, return_predecessors=False
            )
            return sorted(set(nodes) - set(found.tolist()))

        ends = self.first_site + self.num_sites
        of_electrolyte = []
        if self.separator is not None:
            of_electrolyte = lost(self.separator, range(ends, self.num_nodes))
        return lost(0, range(ends)), of_electrolyte


def _floats(name: str, values, due: str) -> np.ndarray | None:
    """An array of floats, where there is one."""
    return None if values is None else as_floats(name, values, due)


def _whole(name: str, values) -> np.ndarray:
    """A list of numbers of nodes or sites, as JAX indexes by them."""
    found = as_wholes(name, values, "hold whole numbers")
    return as_list(name, found).astype(np.int32)


def _owners(given, count: int) -> np.ndarray:
    """The particle of each site; ValueError unless each particle has one or more."""
    if given is None:
        return np.arange(count)
    owners = as_list(
        "site_particle", as_wholes("site_particle", given, "hold whole numbers")
    )
    disordered = len(owners) == count and np.any(owners != np.arange(count))
    if set(owners.tolist()) != set(range(count)) or disordered:
        raise ValueError(
            f"`site_particle` must name each of {count} particles, numbered from 0 (in "
            f"order, where each is one site), but is {owners.tolist()[:8]}."
        )
    return owners


_FIELDS = tuple(inspect.signature(Topology).parameters)
