"""What the resistor network must obey, and what it refuses by which words."""

import dataclasses
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffelec import Network, graphs, network
from diffelec import topology as topologies
from diffelec.edges import Edge, carbon_contact, particle_contact, wire
from diffelec.network_checks import check_multiplicity
from tests.helpers import tree_allclose


def bridge():
    """Six nodes with carbon, a loop and a pair of parallel edges, all asymmetric."""
    return Network.from_edges(
        [
            wire("collector", "carbon", 7.0),
            carbon_contact("carbon", "a", 2.0, 0.5),
            carbon_contact("collector", "b", 3.0),
            Edge("a", "b", 1.5, 5.0, 5.0),
            Edge("b", "c", 2.5, 4.0, 9.0),
            Edge("c", "b", 1.0, 1.0, 0.0),
            Edge("c", "a", 0.0, 6.0, 8.0),
        ],
        ["a", "b", "c"],
        ["carbon"],
    )


def laplacian(net, resistivity):
    """Kirchhoff's matrix from the code's own outflow and resistances."""
    topology = net.topology

    def outflow(potential):
        drop = potential[topology.tail] - potential[topology.head]
        return topology.outflow(drop / net.resistance(resistivity))

    return np.asarray(jax.jacfwd(outflow)(jnp.zeros(topology.num_nodes)))


def test_the_incidence_sends_every_edge_from_one_node_to_another():
    matrix = bridge().topology.incidence
    assert np.all(matrix.sum(axis=0) == 0)
    assert np.all(np.abs(matrix).sum(axis=0) == 2)


def test_what_leaves_all_nodes_adds_up_to_nothing(rng):
    topology = bridge().topology
    outflow = topology.outflow(jnp.asarray(rng.standard_normal(topology.num_edges)))
    assert np.all(np.isfinite(outflow))
    np.testing.assert_allclose(np.sum(outflow), 0.0, atol=1e-14)


def test_an_edge_leaves_its_tail_and_enters_its_head():
    topology = bridge().topology
    outflow = topology.outflow(jnp.zeros(topology.num_edges).at[4].set(2.0))
    expected = {"b": 2.0, "c": -2.0}
    names = topology.node_labels
    np.testing.assert_array_equal(outflow, [expected.get(name, 0.0) for name in names])


@pytest.mark.parametrize("build", [bridge, lambda: graphs.columns()])
def test_scattering_and_multiplying_give_one_outflow(build, rng, monkeypatch):
    topology = build().topology
    edges = jnp.asarray(rng.standard_normal(topology.num_edges))
    monkeypatch.setattr(topologies, "_DENSE_UP_TO", 10**9)
    dense = topology.outflow(edges)
    monkeypatch.setattr(topologies, "_DENSE_UP_TO", 0)
    scattered = topology.outflow(edges)
    assert np.all(np.isfinite(dense))
    np.testing.assert_allclose(dense, scattered, rtol=1e-14, atol=1e-15)


def test_the_network_is_reciprocal_and_passes_no_current_at_one_potential():
    matrix = laplacian(bridge(), jnp.array([0.3, 1.1, 2.9]))
    assert np.all(np.isfinite(matrix))
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-13)
    np.testing.assert_allclose(matrix @ np.ones(5), 0.0, atol=1e-13)
    assert np.all(np.linalg.eigvalsh(matrix)[1:] > 0)


def test_a_resistance_is_its_series_part_and_both_constrictions():
    resistance = bridge().resistance(jnp.array([0.3, 1.1, 2.9]))
    disc = 1 / (4 * 0.05)
    expected = [
        7.0,
        0.5 + 2.0 * 0.3,
        3.0 * 1.1,
        1.5 + disc * (0.3 + 1.1),
        2.5 + 4.0 * 1.1 + 9.0 * 2.9,
        1.0 + 1.0 * 2.9,
        6.0 * 2.9 + 8.0 * 0.3,
    ]
    assert np.all(np.isfinite(resistance))
    np.testing.assert_allclose(resistance, expected, rtol=1e-14)


def test_values_at_the_ends_on_carbon_are_what_is_asked_for_elsewhere():
    topology = bridge().topology
    tail, head = topology.at_ends(jnp.array([10.0, 20.0, 30.0]), elsewhere=-1.0)
    np.testing.assert_array_equal(tail, [-1, -1, -1, 10, 20, 30, 30])
    np.testing.assert_array_equal(head, [-1, 10, 20, 20, 30, 20, 10])


def test_nodes_are_the_collector_then_carbon_then_particles():
    topology = bridge().topology
    assert topology.node_labels == ("collector", "carbon", "a", "b", "c")
    assert (topology.first_site, topology.num_nodes) == (2, 5)


def test_equal_topologies_are_one_key_and_others_are_not():
    one, other = bridge().topology, bridge().topology
    assert one == other
    assert hash(one) == hash(other)
    assert one != graphs.columns().topology


def test_a_topology_that_was_kept_is_a_key_in_another_process():
    """Hashes of text differ between processes."""
    kept = pickle.dumps(graphs.star(2).topology)
    program = (
        "import pickle, sys; from diffelec import graphs\n"
        "found = pickle.load(sys.stdin.buffer)\n"
        "print({graphs.star(2).topology: 'there'}[found])"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], input=kept, capture_output=True, check=True
    )
    assert out.stdout.split() == [b"there"]


CONTACT = carbon_contact("collector", "a", 1.0)


@pytest.mark.parametrize(
    ("edges", "particles", "message"),
    [
        ([CONTACT], ["a", "lost"], "path to the collector, but lost has none"),
        (
            [CONTACT, wire("x", "y", 1.0)],
            ["a", "x", "y"],
            "path to the collector, but x, y has none",
        ),
        ([CONTACT, Edge("a", "a", 1.0)], ["a"], "Edge 1 .* joins a to itself"),
        (
            [CONTACT, Edge("a", "b", -2.0)],
            ["a", "b"],
            "`series_resistance` must be 0 or more, but is -2.0 .* from a to b",
        ),
        (
            [CONTACT, Edge("a", "b", np.nan)],
            ["a", "b"],
            "`series_resistance` must be 0 or more, but is nan .* from a to b",
        ),
        (
            [CONTACT, Edge("a", "b", 1.0, 0.0, -3.0)],
            ["a", "b"],
            "`shape_head` must be 0 or more, but is -3.0 .* from a to b",
        ),
        (
            [CONTACT, Edge("a", "b")],
            ["a", "b"],
            "edge from a to b must have some resistance",
        ),
        (
            [Edge("collector", "a", 0.0, 1e4, 0.0)],  # a shape where there is no NMC
            ["a"],
            "edge from collector to a must have some resistance",
        ),
        ([CONTACT, Edge("a", "nobody", 1.0)], ["a"], "'nobody', which does not exist"),
        ([CONTACT, Edge("a", 7, 1.0)], ["a"], "Edge 1 must join nodes 0 to 1"),
        ([CONTACT], ["a", "a"], "Node names must differ, but 'a' is given twice"),
        ([], ["collector"], "must not be named 'collector', as every network has"),
        ([], [], "one particle or more, but has none"),
    ],
)
def test_an_impossible_network_is_refused_by_name(edges, particles, message):
    with pytest.raises(ValueError, match=message):
        Network.from_edges(edges, particles)


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ((0, 1.5, 1.0), "Edge 1 must join nodes by .* whole numbers, but names 1.5"),
        ((True, "a", 1.0), "Edge 1 must join nodes by .*, but names True"),
        ((None, "a", 1.0), "Edge 1 must join nodes by .*, but names None"),
        ((np.nan, "a", 1.0), "Edge 1 must join nodes by .*, but names nan"),
        (("a",), r"Edge 1 must be a tuple \(tail, head, .*, but is \('a',\)"),
        (range(6), "Edge 1 must be a tuple"),
        (7, "Edge 1 must be a tuple .*, but is 7; pass a list of such tuples"),
        ("0a", "Edge 1 must be a tuple .*, but is '0a'"),
        ({"tail": 0, "head": 1}, "Edge 1 must be a tuple .*, but is {'tail'"),
        (("a", 0, None), "`series_resistance` of edge 1 must be a number, but is None"),
        (("a", 0, 1, "2"), "`shape_tail` of edge 1 must be a number, but is '2'"),
        (("a", 0, b"2"), "`series_resistance` of edge 1 must be a number, but is b'2'"),
        (("a", 0, True), "`series_resistance` of edge 1 must be a number, but is True"),
    ],
)
def test_what_is_no_edge_is_refused_by_its_number(edge, message):
    with pytest.raises(ValueError, match=message):
        Network.from_edges([CONTACT, edge], ["a"])


def test_edges_that_are_no_list_are_refused():
    with pytest.raises(ValueError, match="`edges` must be a list of edges, but is 3"):
        Network.from_edges(3, ["a"])


def test_whole_floats_are_numbers_of_nodes():
    rows = np.array([[0.0, 1.0, 2.0, 0.0, 3.0]])
    one, other = (Network.from_edges(e, ["a"]) for e in (rows, [(0, 1, 2, 0, 3)]))
    assert tree_allclose(one, other, rtol=0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"particle_labels": "ab"},
            "`particle_labels` must be a list .* is 'ab'; pass",
        ),
        ({"particle_labels": [5, 6]}, r"`particle_labels` .* 0 \(from 0\) is 5; write"),
        ({"carbon_labels": "c"}, "`carbon_labels` must be a list of names, but is 'c'"),
        (
            {"site_particle": [0, 0.5]},
            "`site_particle` must hold whole .*, but has 0.5",
        ),
        (
            {"site_particle": [1, 0]},
            r"`site_particle` must name .*in order, where each is .* is \[1, 0\]",
        ),
        ({"site_particle": [0, 2]}, r"`site_particle` must name .*, but is \[0, 2\]"),
        ({"site_particle": [0, -1]}, r"`site_particle` must name .*is \[0, -1\]"),
        (
            {"site_particle": 0},
            r"`site_particle` must be one list of numbers.* shape \(\)",
        ),
        ({"site_share": 1.0}, "`site_share` must be one list of numbers, but"),
        ({"site_electrolyte": 0}, "`site_electrolyte` must be one list of numbers"),
        ({"site_electrolyte": [0, 2**32]}, "`site_electrolyte` must hold whole .*4.29"),
        ({"site_centres": 1.0}, "`site_centres` must have one entry per site, but has"),
        ({"site_centres": [1.0, 2.0]}, r"`site_centres` .* three .* is \[1.0, 2.0\]"),
        (
            {"site_centres": [[0, 0, np.nan]] * 2},
            "`site_centres` must hold three",
        ),
        ({"exchange_shape": 1.0}, "`exchange_shape` must .*has one number for 0 pairs"),
        ({"exchange": [0, 1, 1]}, r"`exchange` must hold two .*has the shape \(3,\)"),
        ({"site_electrolyte": [0, 0.5]}, "`site_electrolyte` must .*, but has 0.5"),
        ({"exchange": [[0, 0.5]]}, "`exchange` must hold two whole .*, but has 0.5"),
        (
            {"site_share": ["x", 1]},
            r"`site_share` must hold numbers, but is \['x', 1\]",
        ),
        ({"imaged": ["no", "yes"]}, r"`imaged` must be True or .* is \['no', 'yes'\]"),
        ({"imaged": [0.5, 1]}, r"`imaged` must be True or False .* is \[0\.5, 1\]"),
        ({"imaged": True}, "`imaged` must be True or False for each .*, but is True"),
        ({"imaged": [True]}, "`imaged` must have one entry per particle, but has 1"),
        ({"positions": ["a", "b"]}, r"`positions` must hold the coord.* is \['a', 'b'"),
        ({"positions": [0.0, 1.0]}, r"`positions` must hold .* has the shape \(2,\)"),
        ({"positions": 1.0}, "`positions` must have one entry per particle, but has 1"),
        (
            {"positions": [[0, 0], [0, np.nan]]},
            r"`positions` must be finite numbers .*, but particle 'b' has \[0.0, nan",
        ),
    ],
)
def test_what_does_not_tell_of_particles_is_refused(fields, message):
    edges = [CONTACT, particle_contact("a", "b", 1e-6)]
    with pytest.raises(ValueError, match=message):
        Network.from_edges(edges, **{"particle_labels": ["a", "b"]} | fields)


@pytest.mark.parametrize(
    ("tail", "head", "message"),
    [
        (0, [1], r"`tail` must be one list of numbers, but has the shape \(\); pass"),
        ([0], [[1]], r"`head` must be one list of numbers, but has the shape \(1, 1\)"),
        ([0, 0], [1], "`tail` and `head` must have one entry per edge, .* 2 and 1"),
        ([0], [2**32 + 1], "`head` must hold whole numbers, but has 4.29"),
    ],
)
def test_ends_that_are_no_two_lists_of_numbers_of_nodes_are_refused(
    tail, head, message
):
    with pytest.raises(ValueError, match=message):
        topologies.Topology(tail, head, ["a"])


def test_marks_of_what_is_imaged_may_be_0_and_1():
    topology = Network.from_edges([CONTACT], np.array(["a"]), imaged=[0]).topology
    assert topology.imaged.tolist() == [False]


@pytest.mark.parametrize("name", ["series_resistance", "shape_tail", "shape_head"])
def test_numbers_that_are_not_one_per_edge_are_refused(name):
    fields = {"series_resistance": [1, 1], "shape_tail": [1, 1], "shape_head": [1, 1]}
    fields[name] = [1.0, 2.0, 3.0]
    with pytest.raises(ValueError, match=f"`{name}` .* has 3 values for 2 edges"):
        Network(**fields, topology=graphs.chain(2).topology)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: particle_contact("a", "b", 0.0), "`contact_radius` must be positive"),
        (lambda: particle_contact(0, 1, "a"), "`contact_radius` .* positive .* is 'a'"),
        (lambda: carbon_contact(0, 1, -1.0), "`carbon_shape` must be positive"),
        (lambda: carbon_contact(0, 1, None), "`carbon_shape` must be .*, but is None"),
        (lambda: wire(0, 1, 0.0), "`resistance` must be positive"),
        (lambda: wire(0, 1, np.nan), "`resistance` must be positive"),
    ],
)
def test_a_contact_without_an_extent_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"series_resistance": "a"}, "`series_resistance` must hold numbers, .* 'a'"),
        ({"shape_tail": None}, "`shape_tail` must hold numbers, but is None"),
        ({"exchange_shape": 1.0}, "`exchange_shape` must .*has one number for 0 pairs"),
        (
            {"topology": 3},
            "`topology` must be a diffelec.topology.Topology, but is a i",
        ),
    ],
)
def test_fields_of_a_network_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(graphs.chain(2), **fields)


def test_copies_of_unequal_number_cannot_touch():
    topology = graphs.chain(3).topology
    check_multiplicity(topology, np.array([2.0, 2.0, 2.0]))
    with pytest.raises(ValueError, match=r"but p1 has 2 and p2 has 3; it belongs"):
        check_multiplicity(topology, np.array([2.0, 2.0, 3.0]))
    check_multiplicity(graphs.star(2).topology, np.array([2.0, 3.0]))


def test_numbers_of_a_batch_are_checked_lane_by_lane():
    topology = graphs.chain(3).topology
    check_multiplicity(topology, np.array([[2.0] * 3, [1.0] * 3]))
    with pytest.raises(ValueError, match="but p1 has 1 and p2 has 3; it belongs"):
        check_multiplicity(topology, np.array([[2.0] * 3, [1.0, 1.0, 3.0]]))
    whole = graphs.chain(3)
    lanes = {"shape_head": np.stack([whole.shape_head] * 2)}
    dataclasses.replace(whole, **lanes)
    lanes["shape_head"][1, 2] = -1.0
    with pytest.raises(ValueError, match=r"`shape_head` .* is -1.0 .* from p1 to p2"):
        dataclasses.replace(whole, **lanes)
    lanes["shape_head"][1, 2], lanes["shape_tail"] = 0.0, 0.0 * lanes["shape_head"]
    with pytest.raises(ValueError, match="edge from p1 to p2 must have some resista"):
        dataclasses.replace(whole, **lanes)


def test_an_edge_stands_as_often_as_the_branch_it_is_in():
    topology = bridge().topology
    copies = network.multiplicity_of_edges(topology, jnp.array([2.0, 2.0, 2.0]))
    np.testing.assert_array_equal(copies, [1, 2, 2, 2, 2, 2, 2])
