"""Numbers of an electrode that were meant otherwise are refused."""

import dataclasses
import functools

import numpy as np
import pytest

from diffelec import RadialMesh, edges, graphs, materials, network, presets
from diffelec.curves import AbstractCurve, ConstantCurve


def wired(resistance):
    """Two carbon nodes in line, with a wire between them, and a particle."""
    return network.Network.from_edges(
        [
            edges.wire("collector", "near", 10.0),
            edges.wire("near", "far", resistance),
            edges.carbon_contact("far", "p0", 1e5),
        ],
        ["p0"],
        ["near", "far"],
    )


def own():
    """A user's curve, whose texts are not static; no class of it at collection, when
    others look for all there are.
    """

    class Own(AbstractCurve):
        unit: str = "S/m"
        source: str = "me"

        def __call__(self, stoichiometry):
            return 1.0 + 0.0 * stoichiometry

        @property
        def valid_range(self):
            return (0.0, 1.0)

    return Own()


@pytest.mark.parametrize(
    "made",
    [
        presets.sharma2022,
        presets.single_particle,
        functools.partial(presets.electrode_of, graphs.chain(2)),
    ],
)
def test_a_preset_takes_a_mesh_or_a_number_of_shells(made):
    assert made(mesh=RadialMesh(7)).mesh.num_shells == 7
    assert made(num_shells=8).mesh.num_shells == 8
    assert made().mesh.num_shells == 20
    with pytest.raises(ValueError, match=r"`num_shells` must be left out .* is 8\."):
        made(mesh=RadialMesh(7), num_shells=8)
    with pytest.raises(ValueError, match=r"`mesh` must be a .*\.RadialMesh"):
        made(mesh=7)


SPHERES = (np.array([[0.0, 0.0, 5e-6], [0.0, 0.0, 15e-6]]), np.full(2, 5e-6))
CASES = {
    "a radius in micrometres": (
        lambda: presets.single_particle(radius=5.0),
        r"`radius` must be positive \[m\], 0.001 at most, but particle 'p0' has 5",
    ),
    "a range in percent": (
        lambda: presets.single_particle(one_c_range=63.0),
        "`one_c_range` must be a share of the sites, .* 1, but is 63.0; divide",
    ),
    "a particle contact in micrometres": (
        lambda: edges.particle_contact("a", "b", 0.5),
        r"`contact_radius` must be positive \[m\], 0.001 at most, but is 0.5",
    ),
    "an electrode for its curves": (
        lambda: materials.maximum_concentration_of(presets.single_particle()),
        r"`curves` must be a diffelec\.electrode\.Curves, but is a Electrode; make",
    ),
    "a contact in micrometres": (
        lambda: presets.sharma2022(contact_radius=0.5),
        r"`contact_radius` must be positive \[m\], 0.001 at most, but is 0.5",
    ),
    "a contact of no width": (
        lambda: graphs.touching_spheres(*SPHERES, contact_radius=0.0),
        r"`contact_radius` must be positive \[m\], 0.001 at most, but is 0.0",
    ),
    "more carbon than particles": (
        lambda: graphs.touching_spheres(*SPHERES, carbon_share=2.0),
        "`carbon_share` must lie between 0 and 1, but is 2.0",
    ),
    "a unit of another quantity": (
        lambda: dataclasses.replace(
            materials.nmc532(), conductivity=ConstantCurve(1.0, unit="mS/cm")
        ),
        "`conductivity` must be in S/m, but its unit is 'mS/cm'; convert",
    ),
    "a text among the numbers": (
        lambda: dataclasses.replace(materials.nmc532(), conductivity=own()),
        r"but holds 'S/m'; declare that field of Own by `equinox.field\(static=True\)`",
    ),
    "a number in the network's place": (
        lambda: presets.electrode_of(3),
        "`network` must be a diffelec.network.Network, but is a int; make one, such",
    ),
    "a number in the curves' place": (
        lambda: presets.electrode_of(graphs.chain(2), curves=3),
        "`curves` must be a diffelec.electrode.Curves, but is a int; make one, such",
    ),
    "a law's name in its place": (
        lambda: presets.single_particle(kinetics="ButlerVolmer"),
        r"`kinetics` must be a diffelec\.kinetics\.AbstractKinetics, but is a str",
    ),
    "a radius in two brackets": (
        lambda: presets.single_particle(radius=[[5e-6]]),
        r"`radius` must be one .* has the shape \(1, 1\) for 1 particles",
    ),
    "a text for a start": (
        lambda: presets.single_particle(initial_stoichiometry="a"),
        "`initial_stoichiometry` must be one number or one per particle, but is 'a'",
    ),
    "a text for a temperature": (
        lambda: presets.single_particle(temperature="300"),
        "`temperature` must hold numbers, but is '300'",
    ),
    "a text for a choice": (
        lambda: presets.single_particle(conduct_at_surface="no"),
        "`conduct_at_surface` must be True or False, but is 'no'",
    ),
    "a text for a concentration": (
        lambda: presets.single_particle(maximum_concentration="a"),
        r"`maximum_concentration` must be positive \[mol/m3\], but is 'a'",
    ),
    "a reaction backwards": (
        lambda: materials.autocatalytic_rate_constant(-1.0),
        r"`exchange_current_density` must be positive \[A/m2\], but is -1\.0",
    ),
    "a text for a width": (
        lambda: RadialMesh(clustering="a"),
        "`clustering` must be positive, and 20 at most, but is 'a'",
    ),
    "shells without a width": (
        lambda: RadialMesh(clustering=1000.0),
        "`clustering` must be positive, and 20 at most, but is 1000.0",
    ),
    "a wire that parts nothing": (
        lambda: presets.electrode_of(wired(1e-9)),
        "wire from near to far must have .* ohm or more, .* but has 1e-09; merge",
    ),
}


@pytest.mark.parametrize(("make", "message"), CASES.values(), ids=CASES.keys())
def test_what_cannot_have_been_meant_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_wires_of_carbon_are_no_such():
    assert presets.electrode_of(wired(1e-3)).num_particles == 1


@pytest.mark.parametrize(
    ("curves", "sites"),
    [
        (None, materials.NMC532_CONCENTRATION),
        (materials.nmc532(), materials.NMC532_CONCENTRATION),
        (materials.nmc811(), materials.NMC811_CONCENTRATION),
    ],
)
def test_lithium_sites_are_those_of_the_curves_material_unless_given(curves, sites):
    made = functools.partial(presets.electrode_of, graphs.chain(1), curves)
    assert made().maximum_concentration == sites
    assert made(maximum_concentration=3e4).maximum_concentration == 3e4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"radius": [5e-6, -1e-6]}, "`radius` must be positive .* 'p1' has -1e-06"),
        ({"radius": [5e-6, np.nan]}, "`radius` must be positive .* 'p1' has nan"),
        ({"radius": [5e-6] * 3}, "`radius` .* has 3 values for 2 particles"),
        (
            {"initial_stoichiometry": [0.9, 1.0]},
            "`initial_stoichiometry` must lie strictly between 0 and 1 .* 'p1' has 1",
        ),
        (
            {"initial_stoichiometry": 0.0},
            "`initial_stoichiometry` must lie strictly between 0 and 1 .* 'p0' has 0",
        ),
        ({"multiplicity": [0.0, 1.0]}, "`multiplicity` must be positive.* 'p0' has 0"),
        ({"multiplicity": [1.0, 2.0]}, "but p0 has 1 and p1 has 2"),
        ({"temperature": -3.0}, "`temperature` must be 200 K or more, .* but is -3"),
        ({"temperature": 25.0}, r"`temp.* but is 25\.0; add 273\.15 to a value in °C"),
        ({"temperature": np.nan}, "`temperature` must be 200 K or more, .* but is nan"),
        ({"temperature": np.inf}, "`temperature` must be .* finite, but is inf"),
        ({"maximum_concentration": 0.0}, "`maximum_concentration` must be positive"),
        ({"series_resistance": -1.0}, "`series_resistance` must be 0 or more"),
        (
            {"series_resistance": np.inf},
            r"`series_resistance` must be .* finite \[ohm\], but is inf",
        ),
        (
            {"maximum_concentration": np.inf, "curves": materials.nmc532()},
            r"`maximum_concentration` must be .* finite \[mol/m3\], but is inf",
        ),
        (
            {"multiplicity": np.inf},
            "`multiplicity` must be .* finite, but particle 'p0' has inf",
        ),
    ],
)
def test_an_impossible_particle_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        presets.electrode_of(graphs.chain(2), **fields)
