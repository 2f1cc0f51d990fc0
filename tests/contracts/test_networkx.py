"""Networks to graphs of networkx and back, and graphs that are refused."""

import networkx
import pytest

from diffelec import Network, electrolyte, graphs
from diffelec.edges import carbon_contact
from tests.helpers import tree_allclose

from .test_network import bridge


@pytest.mark.parametrize("build", [bridge, graphs.columns, lambda: graphs.chain(4)])
def test_a_network_comes_back_from_networkx_as_the_same_pytree(build):
    net = build()
    back = Network.from_networkx(net.to_networkx())
    assert tree_allclose(net, back, rtol=0)
    assert net.topology == back.topology


def test_edges_may_be_tuples():
    edge = carbon_contact("collector", "a", 2.0)
    one, other = (Network.from_edges([e], ["a"]) for e in (edge, tuple(edge)))
    assert tree_allclose(one, other, rtol=0)


def test_a_network_with_an_electrolyte_is_not_one_of_networkx():
    net = electrolyte.with_electrolyte(
        graphs.columns(), effective_conductivity=0.1, area=1e-9, thickness=5e-5
    )
    with pytest.raises(ValueError, match="a uniform electrolyte, but this one has 15"):
        net.to_networkx()


def test_a_graph_with_a_node_of_an_unknown_kind_is_refused():
    graph = graphs.chain(2).to_networkx()
    graph.nodes["p1"]["kind"] = "Particle"
    with pytest.raises(ValueError, match="but is 'Particle' for 'p1'; correct"):
        Network.from_networkx(graph)


def test_a_graph_of_directed_edges_is_refused():
    """There and back, each contact would count twice."""
    graph = graphs.chain(2).to_networkx().to_directed()
    with pytest.raises(ValueError, match=r"undirected .*Di.*; pass `graph.to_undir"):
        Network.from_networkx(graph)


def test_which_end_a_shape_is_at_must_be_told_by_a_graph():
    """A graph gives the ends of an edge in the order of its nodes."""
    graph = networkx.Graph()
    graph.add_node("current collector", kind="collector")
    graph.add_edge("p", "current collector", shape_tail=1e4, series_resistance=5.0)
    with pytest.raises(
        ValueError, match=r"`tail` of the edge between 'current .* 'p' .*, but is None"
    ):
        Network.from_networkx(graph)
    graph.edges["p", "current collector"]["tail"] = "p"
    net = Network.from_networkx(graph)
    assert net.topology.node_labels[net.topology.tail[0]] == "p"
    renamed = networkx.relabel_nodes(graph, {"p": "other"})
    with pytest.raises(ValueError, match="but is 'p'; set it, also where nodes were"):
        Network.from_networkx(renamed)
    graph.add_edge("p", "q", shape_tail=1e5, shape_head=1e5)
    assert Network.from_networkx(graph).topology.num_edges == 2


def test_what_is_no_graph_is_refused():
    with pytest.raises(ValueError, match=r"an undirected .*, but is a list"):
        Network.from_networkx([("collector", "a")])


def test_a_graph_without_a_collector_is_refused():
    graph = graphs.chain(2).to_networkx()
    graph.nodes["collector"]["kind"] = "carbon"
    with pytest.raises(ValueError, match="one node of kind 'collector', but has none"):
        Network.from_networkx(graph)
