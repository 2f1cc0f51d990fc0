"""Free quantities of particles that are cut into sites."""

import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.edges import carbon_contact, particle_contact, wire
from fitting import mechanisms, parameters, priors

RADII_OF_CONTACTS = jnp.array([-6.3, -6.9])


@pytest.mark.parametrize("coverage", [1.0, 0.4])
def test_contacts_of_cut_particles_are_those_of_whole_ones_cut(coverage):
    edges, labels = [], ("p0", "p1", "p2")
    for label, shape in zip(labels, (1e5, 2e5, 4e5), strict=True):
        edges.append(carbon_contact("collector", label, shape))
        edges.append(carbon_contact("c", label, 3 * shape))
    edges.append(wire("collector", "c", 7.0))
    whole = diffelec.Network.from_edges(edges, labels, ["c"])
    body = {"p0": diffelec.bodies.patches(6), "p2": diffelec.bodies.slices(4)}
    cut = lambda net: diffelec.resolve(net, 5e-6, body, coverage=coverage)
    laws = [
        parameters.contacts(
            diffelec.presets.electrode_of(network),
            ["p2", "p1"],
            priors.Correlated(np.full(2, -6.3), np.eye(2)),
        ).law
        for network in (whole, cut(whole))
    ]
    expected = cut(laws[0](RADII_OF_CONTACTS, whole))
    found = laws[1](RADII_OF_CONTACTS, cut(whole))
    assert np.any(found.shape_head != cut(whole).shape_head)
    for name in ("shape_tail", "shape_head"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=1e-12
        )


def test_where_cut_particles_touch_stays():
    whole = diffelec.Network.from_edges(
        [
            carbon_contact("collector", "p0", 1e5),
            particle_contact("p0", "p1", 1e-6),
            particle_contact("p1", "p2", 1e-6),
        ],
        ["p0", "p1", "p2"],
        positions=1e-5 * np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]),
    )
    network = diffelec.resolve(whole, 5e-6, {"p1": diffelec.bodies.slices(4)})
    electrode = diffelec.presets.electrode_of(network)
    prior = priors.Correlated(np.array([-6.3]), np.eye(1))
    found = parameters.contacts(electrode, ["p0"], prior).law(jnp.ones(1), network)
    labels, topology = network.topology.node_labels, network.topology
    changed = np.flatnonzero(
        (found.shape_tail != network.shape_tail)
        | (found.shape_head != network.shape_head)
    )
    ends = [{labels[topology.tail[e]], labels[topology.head[e]]} for e in changed]
    assert ends == [{"collector", "p0"}]
    with pytest.raises(ValueError, match="Particle 'p1' must touch carbon"):
        parameters.contacts(electrode, ["p1"], prior)


@pytest.mark.parametrize(
    ("quantity", "name"),
    [
        (parameters.radii, "radius"),
        (mechanisms.diffusion_lengths, "diffusion length"),
    ],
)
def test_the_radius_of_a_cut_particle_is_refused(quantity, name):
    """What conducts and exchanges within it would stay as it was."""
    network = diffelec.resolve(
        diffelec.graphs.star(2), 5e-6, {"p1": diffelec.bodies.slices(4)}
    )
    electrode = diffelec.presets.electrode_of(network)
    assert quantity(electrode, ["p0"]).components[-1] == "p0"
    words = f"'{name}' must be of particles that are not cut .* 'p1' is cut into 4,"
    with pytest.raises(ValueError, match=words):
        quantity(electrode, ["p0", "p1"])
