"""Numbers of an electrode that were meant otherwise are refused."""

import dataclasses

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


SPHERES = (np.array([[0.0, 0.0, 5e-6], [0.0, 0.0, 15e-6]]), np.full(2, 5e-6))
CASES = {
    "a radius in micrometres": (
        lambda: presets.single_particle(radius=5.0),
        r"`radius` must be positive \[m\], 0.001 at most, but particle 'p0' has 5",
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
