"""The resistor network: which nodes there are and which edges join them.

Nodes are numbered collector (0), carbon nodes, sites. Who touches whom is static; the
three numbers of each edge are floating leaves. Reciprocal and charge-conserving by
construction: an edge's current leaves one node and enters the other.
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._typing import as_leaf
from .checks import check_kind, check_leaves
from .edges import Edge, as_edges
from .network_checks import (
    check_edge_numbers,
    check_ends,
    check_exchange,
    check_lengths,
    check_names,
    check_sites,
)
from .topology import COLLECTOR, Topology

_KINDS = (COLLECTOR, "carbon", "particle")  # of nodes, in a graph of networkx


class Network(eqx.Module):
    r"""Edges with their three numbers over a fixed topology.

    $$ I_e = (\phi_{tail} - \phi_{head}) / R_e, \quad
       R_e = s_t/\kappa(x_t) + R_{series} + s_h/\kappa(x_h) $$

    Raises:
        ValueError: at construction, for an edge that names no node or joins a node to
            itself, a negative number, an edge without any resistance, or a node
            without a path to the collector.
    """

    series_resistance: Float[Array, " edge"] = eqx.field(converter=as_leaf)
    shape_tail: Float[Array, " edge"] = eqx.field(converter=as_leaf)
    shape_head: Float[Array, " edge"] = eqx.field(converter=as_leaf)
    topology: Topology = eqx.field(static=True)
    exchange_shape: Float[Array, " pair"] | None = eqx.field(
        converter=as_leaf, default=None
    )

    def __check_init__(self):
        topology = self.topology
        check_kind("topology", topology, Topology, "such as that of another network")
        check_leaves(self)
        if topology.num_particles == 0:
            raise ValueError("A network must have one particle or more, but has none.")
        check_lengths(topology)
        check_ends(topology)
        check_sites(topology)
        check_edge_numbers(self)
        check_exchange(self)
        for lost, home in zip(
            topology.unreachable(), ("the collector", "the separator"), strict=True
        ):
            if lost:
                names = ", ".join(topology.node_labels[n] for n in lost[:5])
                more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
                raise ValueError(
                    f"Every node must have a path to {home}, but {names}{more} "
                    "has none; add an edge or remove it."
                )

    @staticmethod
    def from_edges(
        edges: Sequence[Edge],
        particle_labels: Sequence[str],
        carbon_labels: Sequence[str] = (),
        imaged: Sequence[bool] | None = None,
        positions=None,
        *,
        exchange_shape=None,
        **sites,
    ) -> "Network":
        """A network of `Edge`s (or tuples like them) whose ends are node names or
        numbers.

        `sites` are the arguments of `Topology` that cut particles into sites and tell
        of the electrolyte; sites are named `label/0`, … where a particle has several.
        """
        edges = as_edges(edges)
        bare = Topology(
            (), (), particle_labels, carbon_labels, imaged, positions, **sites
        )
        names = bare.node_labels
        check_names(names)
        numbers = {name: n for n, name in enumerate(names)}

        def number(end):
            if isinstance(end, str):
                if end not in numbers:
                    raise ValueError(
                        f"An edge names the node '{end}', which does not exist; nodes "
                        f"are {', '.join(names[:8])}{' …' if len(names) > 8 else ''}."
                    )
                return numbers[end]
            return end

        topology = Topology(
            [number(e.tail) for e in edges],
            [number(e.head) for e in edges],
            particle_labels,
            carbon_labels,
            imaged,
            positions,
            **sites,
        )
        return Network(
            [e.series_resistance for e in edges],
            [e.shape_tail for e in edges],
            [e.shape_head for e in edges],
            topology,
            exchange_shape,
        )

    def resistance(self, site_resistivity: Float[Array, " site"]):
        """Edge resistances [ohm] from 1/kappa at each site [ohm m]."""
        return self.resistance_between(*self.topology.at_ends(site_resistivity))

    def resistance_between(
        self, at_tail: Float[Array, " edge"], at_head: Float[Array, " edge"]
    ):
        """Edge resistances [ohm] from 1/kappa at the two ends of each [ohm m]."""
        return (
            self.shape_tail * at_tail
            + self.series_resistance
            + self.shape_head * at_head
        )

    def to_networkx(self):
        """A `networkx.MultiGraph`; `from_networkx` is its inverse.

        Nodes carry `kind` (collector, carbon, particle), `imaged` and `position`;
        edges carry the three numbers, `tail` (the end that `shape_tail` is at) and
        their `number` among the network's.
        """
        import networkx

        topology = self.topology
        if topology.num_sites != topology.num_particles or topology.electrolyte_labels:
            raise ValueError(
                "`to_networkx` takes networks with one site a particle and a uniform "
                f"electrolyte, but this one has {topology.num_sites} sites of "
                f"{topology.num_particles} particles and "
                f"{len(topology.electrolyte_labels)} nodes of the electrolyte; cut its "
                "particles and add its electrolyte after the graph."
            )
        graph = networkx.MultiGraph()
        graph.add_node(COLLECTOR, kind="collector")
        for label in topology.carbon_labels:
            graph.add_node(label, kind="carbon")
        for k, label in enumerate(topology.particle_labels):
            graph.add_node(label, kind="particle", imaged=bool(topology.imaged[k]))
            if topology.positions is not None:
                graph.nodes[label]["position"] = tuple(topology.positions[k].tolist())
        labels = topology.node_labels
        for e in range(topology.num_edges):
            tail = labels[topology.tail[e]]
            graph.add_edge(
                tail,
                labels[topology.head[e]],
                tail=tail,
                number=e,
                series_resistance=float(self.series_resistance[e]),
                shape_tail=float(self.shape_tail[e]),
                shape_head=float(self.shape_head[e]),
            )
        return graph

    @staticmethod
    def from_networkx(graph) -> "Network":
        """The inverse of `to_networkx`: reads `kind`, `imaged`, `position` of nodes and
        `series_resistance`, `shape_tail`, `shape_head`, `tail`, `number` of edges;
        edges without a number come last, in the graph's order. `tail` may be left out
        where both shapes are equal: a graph does not keep which end was named first.
        """
        _check_graph(graph)
        kinds = dict(graph.nodes(data="kind", default="particle"))
        for node, kind in kinds.items():
            if kind not in _KINDS:
                raise ValueError(
                    f"`kind` of a node must be one of {', '.join(_KINDS)}, but is "
                    f"{kind!r} for {node!r}; correct `graph.nodes[{node!r}]['kind']`."
                )
        particles = [n for n, kind in kinds.items() if kind == "particle"]
        carbon = [n for n, kind in kinds.items() if kind == "carbon"]
        collectors = sum(kind == "collector" for kind in kinds.values())
        if collectors != 1:
            raise ValueError(
                "A graph must have one node of kind 'collector', but has "
                f"{collectors or 'none'}; set `graph.nodes[name]['kind']`."
            )
        name = {
            n: COLLECTOR if kind == "collector" else str(n) for n, kind in kinds.items()
        }
        edges = []
        last = graph.number_of_edges()
        for u, v, data in sorted(
            graph.edges(data=True), key=lambda edge: edge[2].get("number", last)
        ):
            numbers = [data.get(field, 0.0) for field in Edge._fields[2:]]
            _check_tail((u, v), data, numbers)
            tail, head = (v, u) if data.get("tail") == v else (u, v)
            edges.append(Edge(name[tail], name[head], *numbers))
        positions = [graph.nodes[n].get("position") for n in particles]
        return Network.from_edges(
            edges,
            [name[n] for n in particles],
            [name[n] for n in carbon],
            imaged=[graph.nodes[n].get("imaged", True) for n in particles],
            positions=None if any(p is None for p in positions) else positions,
        )


def _check_graph(graph) -> None:
    """Raises ValueError unless each contact is one edge of a graph."""
    if getattr(graph, "is_directed", lambda: True)():
        raise ValueError(
            "`graph` must be an undirected graph of networkx, but is a "
            f"{type(graph).__name__}; pass `graph.to_undirected()` of a directed one, "
            "with `tail` at edges whose shapes differ."
        )


def _check_tail(ends: tuple, data: dict, numbers: list) -> None:
    """Raises ValueError for an edge of a graph whose shapes could be at either end."""
    _, shape_tail, shape_head = numbers
    if shape_tail != shape_head and data.get("tail") not in ends:
        raise ValueError(
            f"`tail` of the edge between {ends[0]!r} and {ends[1]!r} must be the one "
            f"that `shape_tail` is at, as its shapes differ, but is "
            f"{data.get('tail')!r}; set it, also where nodes were renamed."
        )


def multiplicity_of_edges(topology: Topology, site_multiplicity):
    """How many identical copies of each edge there are, (edge,).

    Edges between carbon nodes stand once; an edge at a site stands as often as the
    site's branch does.
    """
    at_tail, at_head = topology.at_ends(site_multiplicity, elsewhere=1.0)
    first, after = topology.first_site, topology.first_site + topology.num_sites
    on_site = (topology.tail >= first) & (topology.tail < after)
    return jnp.where(on_site, at_tail, at_head)
