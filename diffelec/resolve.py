"""Particles of a network cut into sites, with what touches them put where it touches.

Plain NumPy, outside any traced function.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from .bodies import Body, contact_shape, whole
from .checks import (
    as_wholes,
    check_kind,
    check_positive,
    check_radii,
    check_whole,
    is_number,
    one_each,
)
from .constants import LARGEST_RADIUS
from .edges import Edge, disc_shape
from .network import Network
from .topology import Topology

_CUT = "such as `diffelec.bodies.slices(8)`"


def resolve(
    network: Network,
    radius: float | Sequence[float],
    body: Body | Mapping[str, Body],
    *,
    coverage: float | Mapping[str, Sequence[int]] = 1.0,
    seed: int = 0,
    crack_contact: float | None = None,
) -> Network:
    r"""The network with its particles cut into the sites of their bodies.

    - Inside a particle of radius R: $$ s = resistance / 2R $$ at either end of an edge,
      exchange shapes $$ S = exchange\, R $$.
    - A contact between particles goes to the sites in its direction. Its radius is
      that of its shape, a = 1/(4 s), and its shape becomes `bodies.contact_shape`.
    - Carbon spreads over the sites that it covers in proportion to their surface; all
      in all it is as resistive as before, wherever it goes.
    - A crack's sides touch over a disc, s = 1/(4a).

    A particle whose body is `whole` stays as it is.

    Args:
        network: one site a particle; positions where particles that are cut touch.
        radius: of each particle, or one for all [m].
        body: for all particles, or by label; others stay whole.
        coverage: share of each particle's surface that carbon may touch (sites drawn
            with `seed` until it is reached), or the numbers of these sites by label.
        seed: of the draw.
        crack_contact: radius of the contact across a crack [m].

    Raises:
        ValueError: for particles that are cut already, that touch without positions,
            or whose contacts are wider than their sites.
    """
    check_kind("network", network, Network, "such as `diffelec.graphs.columns()`")
    old = network.topology
    if old.num_sites != old.num_particles:
        raise ValueError("`resolve` takes networks with one site a particle.")
    radii = one_each("radius", radius, old.num_particles)
    check_radii("radius", radii, old.particle_labels)
    check_whole("seed", seed, 0)
    if crack_contact is not None:
        check_positive("crack_contact", crack_contact, "m", LARGEST_RADIUS)
    bodies = _bodies_of(old.particle_labels, body)
    cut = _Cut(network, radii, bodies, _covered(old, bodies, coverage, seed))
    edges = [new for e in range(old.num_edges) for new in cut.edges_for(e)]
    for p in range(old.num_particles):
        edges += cut.edges_within(p, crack_contact)
    return _network(old, bodies, radii, cut.first, edges)


class _Cut:
    """Where the nodes and edges of a network go when its particles are cut."""

    def __init__(self, network, radius, bodies, covered):
        self.network, self.radius = network, radius
        self.bodies, self.covered = bodies, covered
        counts = [body.num_sites for body in bodies]
        self.first = network.topology.first_site + np.cumsum([0, *counts])

    def particle(self, node):
        """Number of the particle that a node of the uncut network is, or None."""
        p = node - self.network.topology.first_site
        return p if 0 <= p < len(self.bodies) else None

    def node(self, node):
        """Number of a node that is not a particle once particles are cut."""
        old = self.network.topology
        beyond = node >= old.first_site + old.num_sites
        return node + (self.first[-1] - old.first_site - old.num_sites) * beyond

    def edges_for(self, e):
        """What becomes of an edge of the uncut network."""
        old, network = self.network.topology, self.network
        ends = int(old.tail[e]), int(old.head[e])
        shapes = float(network.shape_tail[e]), float(network.shape_head[e])
        series = float(network.series_resistance[e])
        owners = [self.particle(node) for node in ends]
        if owners[0] is not None and owners[1] is not None:
            found = [self.contact(owners[k], owners[1 - k], shapes[k]) for k in (0, 1)]
            (tail, shape_tail), (head, shape_head) = found
            return [Edge(tail, head, series, shape_tail, shape_head)]
        if owners[0] is None and owners[1] is None:
            return [Edge(self.node(ends[0]), self.node(ends[1]), series, *shapes)]
        on = 1 if owners[0] is None else 0
        p, other = owners[on], self.node(ends[1 - on])
        sites = self.covered[p]
        share = self.bodies[p].share[sites]
        edges = []
        for site, part in zip(self.first[p] + sites, share / share.sum(), strict=True):
            scaled = [shapes[0] / part, shapes[1] / part]
            pair = (other, int(site)) if on else (int(site), other)
            edges.append(Edge(*pair, series / part, *scaled))
        return edges

    def contact(self, p, other, shape):
        """(node, shape) of the site of particle p that touches another particle."""
        body, positions = self.bodies[p], self.network.topology.positions
        if body.num_sites == 1:
            return int(self.first[p]), shape
        labels = self.network.topology.particle_labels
        if positions is None:
            raise ValueError(
                f"A network must have positions, or '{labels[p]}' and "
                f"'{labels[other]}' touch in no direction; give `positions`."
            )
        towards = np.zeros(3)
        towards[: positions.shape[1]] = positions[other] - positions[p]
        site = int(body.site_of(towards))
        if shape > 0:
            try:
                shape = contact_shape(body, site, 1 / (4 * shape), self.radius[p])
            except ValueError as error:
                raise ValueError(
                    f"The contact of '{labels[p]}' with '{labels[other]}' cannot be "
                    f"resolved: {error}"
                ) from None
        return int(self.first[p]) + site, shape

    def edges_within(self, p, crack_contact):
        """Edges between the sites of one particle."""
        body, first = self.bodies[p], int(self.first[p])
        shapes = body.resistance / (2.0 * self.radius[p])
        edges = [
            Edge(first + int(i), first + int(j), 0.0, float(s), float(s))
            for (i, j), s in zip(body.pairs, shapes, strict=True)
        ]
        label = self.network.topology.particle_labels[p]
        for i, j in body.bridge:
            if crack_contact is None:
                raise ValueError(
                    f"`crack_contact` must be the radius [m] of what joins the pieces "
                    f"of cracked particles, but is None and '{label}' is cracked."
                )
            if crack_contact > self.radius[p]:
                raise ValueError(
                    "`crack_contact` must not exceed the radius of a particle that is "
                    f"cracked, but is {crack_contact:g} where that of '{label}' is "
                    f"{self.radius[p]:g}; give a narrower one, in metres."
                )
            shape = disc_shape(crack_contact)
            edges.append(Edge(first + int(i), first + int(j), 0.0, shape, shape))
        return edges


def _bodies_of(labels, body) -> list[Body]:
    """One body a particle."""
    if isinstance(body, Body):
        return [body] * len(labels)
    if not isinstance(body, Mapping):
        raise ValueError(
            "`body` must be a diffelec.bodies.Body, or hold one by the label of each "
            f"particle that is cut, but is {body!r}; make one, {_CUT}."
        )
    _check_known("body", body, labels)
    for label, cut in body.items():
        check_kind(f"body['{label}']", cut, Body, _CUT)
    uncut = whole()
    return [body.get(label, uncut) for label in labels]


def _check_known(name: str, by_label: Mapping, labels) -> None:
    """Raises ValueError for a label of no particle."""
    known = set(labels)
    unknown = [label for label in by_label if label not in known]
    if unknown:
        raise ValueError(
            f"`{name}` names the particle {unknown[0]!r}, which does not exist; "
            f"particles are {', '.join(labels[:8])}{' …' if len(labels) > 8 else ''}."
        )


def _covered(old: Topology, bodies, coverage, seed) -> list[np.ndarray]:
    """Numbers of the sites of each particle that carbon may touch."""
    if isinstance(coverage, Mapping):
        _check_known("coverage", coverage, old.particle_labels)
        return [
            _sites_of(label, body, coverage.get(label, range(body.num_sites)))
            for label, body in zip(old.particle_labels, bodies, strict=True)
        ]
    if not (is_number(coverage) and 0 < coverage <= 1):
        raise ValueError(
            f"`coverage` must lie above 0 and up to 1, but is {coverage!r}; give a "
            "share of the surface, not percent, or sites by the label of their "
            "particle."
        )
    rng = np.random.default_rng(seed)
    found = []
    for body in bodies:
        order = rng.permutation(body.num_sites)
        enough = np.cumsum(body.share[order]) >= coverage - 1e-9
        found.append(np.sort(order[: 1 + int(np.argmax(enough))]))
    return found


def _sites_of(label: str, body: Body, given) -> np.ndarray:
    """Numbers of sites of a particle, each once."""
    due = f"name sites 0 to {body.num_sites - 1} of '{label}'"
    sites = as_wholes("coverage", given, due)
    known = np.all((sites >= 0) & (sites < body.num_sites))
    if sites.ndim != 1 or sites.size == 0 or not known:
        raise ValueError(
            f"`coverage` must {due}, but names {sites.tolist()}; pass a list of them."
        )
    return np.unique(sites)


def _network(old: Topology, bodies, radius, first, edges) -> Network:
    """The network of these edges between the sites of these bodies."""
    counts = [body.num_sites for body in bodies]
    starts = first[:-1] - old.first_site
    pairs = [b.neighbours + s for b, s in zip(bodies, starts, strict=True)]
    shapes = [b.exchange * r for b, r in zip(bodies, radius, strict=True)]
    exchanging = sum(len(shape) for shape in shapes) > 0
    several = max(counts) > 1
    particles = np.repeat(np.arange(len(bodies)), counts)
    topology = Topology(
        [edge.tail for edge in edges],
        [edge.head for edge in edges],
        old.particle_labels,
        old.carbon_labels,
        old.imaged,
        old.positions,
        particles,
        site_share=np.concatenate([body.share for body in bodies]),
        site_centres=np.concatenate([b.centres for b in bodies]) if several else None,
        exchange=np.concatenate(pairs),
        electrolyte_labels=old.electrolyte_labels,
        site_electrolyte=old.site_electrolyte[particles],
    )
    return Network(
        [edge.series_resistance for edge in edges],
        [edge.shape_tail for edge in edges],
        [edge.shape_head for edge in edges],
        topology,
        np.concatenate(shapes) if exchanging else None,
    )
