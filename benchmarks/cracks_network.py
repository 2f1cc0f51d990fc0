"""The cracked particle of `cracks`: its network, its fragments' times."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from diffelec import Network, bodies, graphs
from diffelec.edges import Edge, carbon_contact, disc_shape
from diffelec.presets import electrode_of
from diffelec.resolve import resolve
from diffelec.topology import COLLECTOR, Topology

HOUR, MINUTE = 3600.0, 60.0
RADIUS = 5e-6  # m
PATCHES, SMALLER = 16, 0.31  # sites of the particle, share of the smaller fragment
LABEL = "cracked"
UNIT = 1e-6  # m: radii of the contacts of an electrode before `with_contacts`
AWAY = (1.0, 0.0, 0.0)  # where the smaller fragment is


def cracked_body(count: int = PATCHES, share: float = SMALLER) -> bodies.Body:
    """A particle in two pieces; fragment 1 is the smaller."""
    return bodies.cracked(bodies.patches(count), share, np.array(AWAY))


def beside(network: Network, label: str, carbon_radius: float) -> Network:
    """The network and one more particle, the last, on the collector's carbon."""
    topology, names = network.topology, network.topology.node_labels
    edges = [
        Edge(
            names[topology.tail[e]],
            names[topology.head[e]],
            float(network.series_resistance[e]),
            float(network.shape_tail[e]),
            float(network.shape_head[e]),
        )
        for e in range(topology.num_edges)
    ]
    edges.append(carbon_contact(COLLECTOR, label, disc_shape(carbon_radius)))
    places = np.asarray(topology.positions)
    beyond = places.max(axis=0) * np.array([1.0, 0.0]) + 2.0 * RADIUS
    return Network.from_edges(
        edges,
        [*topology.particle_labels, label],
        positions=np.concatenate([places, beyond[None]]),
    )


def electrode(
    body: bodies.Body, touched, *, at_surface: bool = False, columns=(0, 1, 2, 3, 4)
):
    """Fig. 4a of Sharma 2022 and, beside it, a particle of this body, whose sites
    `touched` are on carbon. Its two contacts have the radius `UNIT`.
    """
    network = beside(graphs.columns(columns), LABEL, UNIT)
    network = resolve(
        network,
        RADIUS,
        {LABEL: body},
        coverage={LABEL: touched},
        crack_contact=UNIT,
    )
    return electrode_of(network, radius=RADIUS, conduct_at_surface=at_surface)


def with_contacts(electrode, carbon, bridge=None):
    """The electrode with other radii [m] of the cracked particle's contact with carbon
    and (not None) of the bridge across its crack; differentiable.
    """
    topology = electrode.network.topology
    first = topology.first_site + np.flatnonzero(
        topology.site_particle == topology.num_particles - 1
    )
    on_carbon = (topology.tail == 0) & np.isin(topology.head, first)
    scale = jnp.where(on_carbon, UNIT / carbon, 1.0)
    if bridge is not None:
        scale = scale.at[-1].set(UNIT / bridge)  # `resolve` puts bridges last
    network = electrode.network
    return eqx.tree_at(
        lambda e: (e.network.shape_tail, e.network.shape_head),
        electrode,
        (network.shape_tail * scale, network.shape_head * scale),
    )


def by_group(solution, group):
    """The solution with sites in groups (numbered from 0) in place of particles: means,
    onsets and crossings are then those of each group.
    """
    old, group = solution.topology, np.asarray(group)
    share = old.site_share / np.bincount(group, old.site_share)[group]
    new = Topology(
        old.tail,
        old.head,
        [f"group {k}" for k in range(group.max() + 1)],
        old.carbon_labels,
        site_particle=group,
        site_share=share,
    )
    return dataclasses.replace(solution, topology=new)


def by_fragment(solution, body: bodies.Body):
    """The solution by the cracked particle's fragments: 0 the larger, 1 the smaller,
    2 all other particles.
    """
    own = solution.topology.site_particle == solution.topology.num_particles - 1
    group = np.full(own.size, 2)
    group[own] = body.fragment
    return by_group(solution, group)


def by_site(solution):
    """The solution with each site in place of a particle."""
    return by_group(solution, np.arange(solution.topology.num_sites))
