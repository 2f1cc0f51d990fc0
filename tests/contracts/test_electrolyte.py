"""Layers of electrolyte between separator and collector."""

import numpy as np
import pytest

import diffelec
from diffelec import bodies, graphs
from diffelec.electrolyte import with_electrolyte

POROUS = {"effective_conductivity": 0.2, "area": 1e-9, "thickness": 20e-6}


def test_a_particle_reacts_into_the_layer_at_its_height():
    network = with_electrolyte(graphs.chain(2), **POROUS, num_layers=4)
    topology = network.topology
    assert topology.electrolyte_labels[0] == "separator"
    # Centres at 5 and 15 um in layers of 5 um: the second and the fourth.
    assert topology.site_electrolyte.tolist() == [2, 4]
    names = topology.node_labels
    ionic = np.flatnonzero(topology.tail >= topology.separator)
    ends = [(names[topology.tail[e]], names[topology.head[e]]) for e in ionic]
    assert ends == [
        ("separator", "layer 3"),
        ("layer 3", "layer 2"),
        ("layer 2", "layer 1"),
        ("layer 1", "layer 0"),
    ]


def test_layers_add_up_to_thickness_over_conductivity_and_area():
    network = with_electrolyte(graphs.chain(2), **POROUS, num_layers=8)
    ionic = network.series_resistance[-8:]
    whole = 20e-6 / (0.2 * 1e-9)
    assert np.sum(ionic) + 0.5 * ionic[-1] == pytest.approx(whole)


def test_sites_of_one_particle_react_into_their_own_layers():
    cut = diffelec.resolve(graphs.chain(2), 5e-6, bodies.slices(4, (0.0, 1.0, 0.0)))
    topology = with_electrolyte(cut, **POROUS, num_layers=4, radius=5e-6).topology
    # From the tip down: 3.75 and 1.25 um above and below the middle.
    assert topology.site_electrolyte.tolist() == [2, 2, 1, 1, 4, 4, 3, 3]
    with pytest.raises(ValueError, match=r"`radius` must be given \[m\]"):
        with_electrolyte(cut, **POROUS)
    with pytest.raises(ValueError, match=r"`radius` must be one .*, but has 3 values"):
        with_electrolyte(cut, **POROUS, radius=[5e-6] * 3)
    with pytest.raises(ValueError, match=r"`radius` must be positive .*'p0' has 5\.0"):
        with_electrolyte(cut, **POROUS, radius=5.0)


@pytest.mark.parametrize(
    ("network", "changes", "words"),
    [
        (graphs.chain(2), {"area": 0.0}, r"`area` must be positive \[m2\], but is 0.0"),
        (
            graphs.chain(2),
            {"num_layers": 0},
            "`num_layers` must be a whole number, 1 or",
        ),
        (graphs.chain(2), {"num_layers": 2.5}, "`num_layers` must be .*, but is 2.5"),
        (graphs.chain(2), {"area": "a"}, r"`area` must be positive \[m2\], but is 'a'"),
        (graphs.chain(2), {"radius": "a"}, "`radius` must be one number .*, .* is 'a'"),
        (3, {}, "`network` must be a diffelec.network.Network, but is a int; make"),
        (graphs.chain(3), {}, "but 'p2' is at 2.5e-05 m"),
        (with_electrolyte(graphs.chain(1), **POROUS), {}, "without an electrolyte"),
    ],
)
def test_what_cannot_be_is_named(network, changes, words):
    with pytest.raises(ValueError, match=words):
        with_electrolyte(network, **(POROUS | changes))


def test_networks_must_have_positions():
    edges = [diffelec.edges.carbon_contact("collector", "a", 1e4)]
    with pytest.raises(ValueError, match="must have positions"):
        with_electrolyte(diffelec.Network.from_edges(edges, ["a"]), **POROUS)


def test_what_is_far_from_the_separator_lags_where_the_electrolyte_resists():
    """Two like particles on carbon: the upper one gives its lithium first."""

    def lag(conductivity):
        network = with_electrolyte(
            diffelec.Network.from_edges(
                [
                    diffelec.edges.carbon_contact("collector", name, 1.56e4)
                    for name in ("low", "high")
                ],
                ["low", "high"],
                positions=[(0.0, 5e-6), (0.0, 15e-6)],
            ),
            **(POROUS | {"effective_conductivity": conductivity}),
            num_layers=2,
        )
        electrode = diffelec.presets.electrode_of(network, num_shells=6)
        protocol = diffelec.Protocol.from_strings(["Charge at C/5 for 2 hours"])
        x = diffelec.simulate(electrode, protocol, rtol=1e-4, num_saved=3)
        return float(x.stoichiometry[-1, 0] - x.stoichiometry[-1, 1])

    assert abs(lag(1e3)) < 1e-3
    assert lag(1e-5) > 0.05
