"""Networks whose particles are cut into sites: what stays as it was."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffelec import Network, bodies, graphs, resolve, spheres
from diffelec.edges import carbon_contact, particle_contact, wire
from tests.helpers import tree_allclose

RADIUS = 5e-6
CONTACT = 0.5e-6


def between(network, one, other, resistivity=1.0):
    """Resistance between two nodes, by name [ohm]."""
    topology = network.topology
    resistivities = jnp.full(topology.num_sites, resistivity)
    edges = 1 / np.asarray(network.resistance(resistivities))
    ends = np.stack([topology.tail, topology.head], axis=1)
    matrix = spheres.laplacian(topology.num_nodes, ends, edges)
    names = topology.node_labels
    current = np.zeros(topology.num_nodes)
    current[[names.index(one), names.index(other)]] = 1.0, -1.0
    return current @ np.linalg.lstsq(matrix, current)[0]


def through_the_middle():
    """Carbon on two particles, a third between them along (1, 2, 2)."""
    along = np.array([1.0, 2.0, 2.0]) / 3
    return Network.from_edges(
        [
            carbon_contact("collector", "left", 1e4),
            particle_contact("left", "middle", CONTACT),
            particle_contact("middle", "right", CONTACT, 3.0),
            carbon_contact("collector", "right", 1e4),
        ],
        ["left", "middle", "right"],
        positions=[-2 * RADIUS * along, 0 * along, 2 * RADIUS * along],
    )


def branched():
    """Wires, carbon on either end of an edge, two bonds, shapes all different."""
    return Network.from_edges(
        [
            wire("collector", "carbon", 7.0),
            carbon_contact("carbon", "a", 2e4, 0.5),
            particle_contact("b", "a", CONTACT, 1.5),
            carbon_contact("collector", "b", 3e4, 40.0),
            carbon_contact("collector", "c", 5e4),
            particle_contact("b", "c", 0.4 * CONTACT),
        ],
        ["a", "b", "c"],
        ["carbon"],
        imaged=[True, False, True],
        positions=[(0.0, 0.0), (9e-6, 2e-6), (12e-6, 11e-6)],
    )


def test_whole_bodies_leave_a_network_as_it_is():
    for net in (branched(), through_the_middle(), graphs.columns()):
        assert tree_allclose(resolve(net, RADIUS, bodies.whole()), net, rtol=0)
        assert resolve(net, RADIUS, bodies.whole()).topology == net.topology


@pytest.mark.parametrize("body", [bodies.slices(4), bodies.patches(12)])
def test_sites_are_numbered_particle_by_particle(body):
    topology = resolve(branched(), RADIUS, {"b": body}).topology
    names = ["a", *(f"b/{k}" for k in range(body.num_sites)), "c"]
    assert topology.node_labels == ("collector", "carbon", *names)
    assert topology.imaged.tolist() == [True, False, True]
    np.testing.assert_allclose(topology.site_share[1:-1], body.share)
    np.testing.assert_allclose(topology.site_centres[1:-1], body.centres)
    np.testing.assert_array_equal(topology.exchange, body.neighbours + 1)


@pytest.mark.parametrize("coverage", [1.0, 0.4, {"p0": [3], "p2": [0, 5]}])
def test_carbon_is_as_resistive_as_before_wherever_it_goes(coverage):
    series = [70.0, 0.0, 5e3]
    net = Network.from_edges(
        [
            carbon_contact("collector", f"p{k}", shape, series[k])
            for k, shape in enumerate([2e4, 3e4, 5e4])
        ],
        ["p0", "p1", "p2"],
    )
    cut = resolve(net, RADIUS, bodies.patches(8), coverage=coverage)
    topology = cut.topology
    conductance = 1 / np.asarray(cut.resistance(jnp.ones(topology.num_sites)))
    to_carbon = topology.tail == 0
    owner = topology.site_particle[topology.head[to_carbon] - topology.first_site]
    total = np.bincount(owner, conductance[to_carbon])
    np.testing.assert_allclose(1 / total, [2e4 + 70, 3e4, 5e4 + 5e3], rtol=1e-12)


def test_carbon_covers_the_share_asked_for_and_the_sites_named():
    net, body = graphs.star(40), bodies.patches(16)

    def covered(**how):
        topology = resolve(net, RADIUS, body, **how).topology
        sites = topology.head[topology.tail == 0] - topology.first_site
        return np.bincount(
            topology.site_particle[sites], topology.site_share[sites], 40
        ), frozenset(sites.tolist())

    share, sites = covered(coverage=0.4, seed=1)
    assert np.all((share >= 0.4) & (share < 0.5))
    assert covered(coverage=0.4, seed=1)[1] == sites
    assert covered(coverage=0.4, seed=2)[1] != sites
    share, sites = covered(coverage={"p1": [2, 7]})
    assert sites.isdisjoint({16 + k for k in range(16)} - {16 + 2, 16 + 7})
    np.testing.assert_allclose(np.delete(share, 1), 1.0)


@pytest.mark.parametrize(
    "body", [bodies.slices(8, (1.0, 2.0, 2.0)), bodies.patches(16), bodies.patches(2)]
)
def test_a_particle_between_two_contacts_resists_as_its_body_does(body):
    net = through_the_middle()
    cut = resolve(net, RADIUS, {"middle": body})
    sides = np.array([[-1.0, -2.0, -2.0], [1.0, 2.0, 2.0]])
    i, j = body.site_of(sides)
    matrix = spheres.laplacian(body.num_sites, body.pairs, 1 / body.resistance)
    current = np.eye(body.num_sites)[i] - np.eye(body.num_sites)[j]
    inside = current @ np.linalg.lstsq(matrix, current)[0] / RADIUS
    inside += sum(bodies.contact_shape(body, k, CONTACT, RADIUS) for k in (i, j))
    outside = 2 / (4 * CONTACT)
    # Both carbon contacts lead to one collector: the ring of the three particles.
    loop = [1e4, outside + inside + 3.0, 1e4]
    expected = loop[1] * (loop[0] + loop[2]) / sum(loop)
    np.testing.assert_allclose(between(cut, "left", "right"), expected, rtol=1e-9)


def test_a_contact_is_at_the_site_that_faces_the_other_particle():
    body = bodies.patches(16)
    topology = resolve(branched(), RADIUS, {"a": body, "b": body}).topology
    names = topology.node_labels
    joined = {
        frozenset((names[t], names[h]))
        for t, h in zip(topology.tail, topology.head, strict=True)
    }
    a, b, toward_c = body.site_of([[9.0, 2.0, 0.0], [-9.0, -2.0, 0.0], [3.0, 9.0, 0.0]])
    assert {f"a/{a}", f"b/{b}"} in joined
    assert {f"b/{toward_c}", "c"} in joined


def test_edges_are_halved_between_the_conductivities_of_their_sites():
    body = bodies.patches(4)
    cut = resolve(graphs.star(1), RADIUS, body)
    resistivity = np.array([1.0, 2.0, 5.0, 11.0])
    resistance = np.asarray(cut.resistance(jnp.asarray(resistivity)))
    inside = cut.topology.tail >= cut.topology.first_site
    mean = 0.5 * np.sum(resistivity[body.pairs], axis=1)
    np.testing.assert_allclose(
        resistance[inside], body.resistance / RADIUS * mean, rtol=1e-12
    )


def test_lithium_shapes_are_the_bodys_times_the_radius():
    radii, body = np.array([4e-6, 6e-6, 5e-6]), bodies.sectors(3)
    cut = resolve(branched(), radii, {"a": body, "c": body})
    expected = np.concatenate([body.exchange * 4e-6, body.exchange * 5e-6])
    np.testing.assert_allclose(cut.exchange_shape, expected, rtol=1e-12)


def test_pieces_of_a_cracked_particle_touch_over_the_contact_given():
    body = bodies.cracked(bodies.patches(12), 0.3, (0.0, 0.0, 1.0))
    cut = resolve(graphs.star(1), RADIUS, body, crack_contact=0.1e-6)
    ends = np.stack([cut.topology.tail, cut.topology.head]) - cut.topology.first_site
    inside = np.all(ends >= 0, axis=0)
    across = inside & (body.fragment[ends[0]] != body.fragment[ends[1]])
    assert np.sum(across) == 1
    np.testing.assert_allclose(cut.shape_tail[across], 1 / (4 * 0.1e-6))
    pairs = cut.topology.exchange
    assert np.all(body.fragment[pairs[:, 0]] == body.fragment[pairs[:, 1]])


def test_naming_particles_otherwise_or_turning_all_of_it_changes_no_resistance():
    net, body = through_the_middle(), bodies.patches(12)
    turned = Network.from_edges(
        [
            carbon_contact("collector", "z", 1e4),
            particle_contact("y", "z", CONTACT),
            particle_contact("x", "y", CONTACT, 3.0),
            carbon_contact("collector", "x", 1e4),
        ],
        ["x", "y", "z"],
        positions=net.topology.positions[::-1],
    )
    one = resolve(net, RADIUS, {"middle": body})
    other = resolve(turned, RADIUS, {"y": body})
    site = body.site_of([[-1.0, -2.0, -2.0], [1.0, 2.0, 2.0]])[0]
    np.testing.assert_allclose(
        between(one, "collector", f"middle/{site}"),
        between(other, "collector", f"y/{site}"),
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: resolve(
                resolve(branched(), RADIUS, bodies.patches(4)), RADIUS, bodies.whole()
            ),
            "one site a particle",
        ),
        (
            lambda: resolve(
                Network.from_edges(
                    [
                        carbon_contact("collector", "a", 1.0),
                        particle_contact("a", "b", CONTACT),
                    ],
                    ["a", "b"],
                ),
                RADIUS,
                bodies.patches(4),
            ),
            "'a' and 'b' touch in no direction",
        ),
        (
            lambda: resolve(branched(), 2e-6, bodies.patches(64)),
            "The contact of 'b' with 'a' cannot be resolved: .* fewer sites",
        ),
        (
            lambda: resolve(branched(), RADIUS, {"d": bodies.patches(4)}),
            "'d', which does not exist",
        ),
        (
            lambda: resolve(branched(), RADIUS, bodies.patches(4), coverage=0.0),
            "but is 0.0",
        ),
        (
            lambda: resolve(branched(), RADIUS, bodies.patches(4), coverage={"a": [4]}),
            r"sites 0 to 3 of 'a', but names \[4\]",
        ),
        (
            lambda: resolve(
                branched(),
                RADIUS,
                bodies.cracked(bodies.patches(4), 0.3, (0, 0, 1)),
            ),
            "`crack_contact` must be the radius",
        ),
        (
            lambda: resolve(branched(), [RADIUS] * 2, bodies.patches(4)),
            r"one per particle, but has 2 values for \d particles",
        ),
    ],
)
def test_what_cannot_be_resolved_is_refused_with_a_remedy(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"network": 3}, "`network` must be a diffelec.network.Network, but is a int"),
        ({"body": None}, "`body` must be a diffelec.bodies.Body, or .* is None; make"),
        ({"body": "slices"}, "`body` must be a diffelec.bodies.Body, .*'slices'; make"),
        ({"body": {"a": 4}}, r"`body\['a'\]` must be a diffelec.bodies.Body, .* a int"),
        ({"radius": -RADIUS}, "`radius` must be positive .* particle 'a' has -5e-06"),
        ({"radius": "a"}, "`radius` must be one number or one per particle, .* is 'a'"),
        ({"radius": 5.0}, "`radius` must be positive .* 0.001 at most, .* 'a' has 5.0"),
        ({"coverage": None}, "`coverage` must lie above 0 and up to 1, but is None"),
        ({"coverage": 50}, "but is 50; give a share of the surface, not percent"),
        ({"coverage": {"d": [0]}}, "`coverage` names the particle 'd', which does not"),
        ({"coverage": {"a": [1.5]}}, r"name sites 0 to 3 of 'a', but has 1\.5"),
        ({"coverage": {"a": 2}}, "name sites 0 to 3 of 'a', but names 2; pass a list"),
        ({"coverage": {"a": []}}, r"name sites 0 to 3 of 'a', but names \[\]"),
        ({"coverage": {"a": ["b"]}}, r"name sites 0 to 3 of 'a', but is \['b'\]"),
        ({"coverage": {"a": None}}, "name sites 0 to 3 of 'a', but is None"),
        ({"seed": 1.5}, "`seed` must be a whole number, 0 or more, but is 1.5"),
        ({"crack_contact": "a"}, "`crack_contact` must be positive .*, but is 'a'"),
        ({"crack_contact": 1e-3}, "`crack_contact` must not exceed .* 0.001 .* 5e-06;"),
    ],
)
def test_settings_of_cuts_that_cannot_be_are_refused(settings, words):
    cracked = bodies.cracked(bodies.patches(4), 0.3, (0, 0, 1))
    given = {"network": branched(), "radius": RADIUS, "body": cracked}
    given |= {"crack_contact": 2e-7} | settings
    with pytest.raises(ValueError, match=words):
        resolve(**given)
