"""What a file or the command line says of sites and of an electrolyte, made so.

To add a form of cut, add it to `FORMS` and its keys to `schema.SITE_FORMS`.
"""

import dataclasses

import numpy as np

import diffelec
from diffelec.electrolyte import with_electrolyte

FORMS = {
    "slices": diffelec.bodies.slices,
    "sectors": diffelec.bodies.sectors,
    "patches": diffelec.bodies.patches,
}


def cut_electrode(electrode: diffelec.Electrode, form: dict) -> diffelec.Electrode:
    """The electrode with its particles cut into sites as `form` says (the key `sites`
    of an electrode file).

    Raises:
        ValueError: for what cannot be cut so, or is cut already.
    """
    network = cut_network(electrode.network, electrode.radius, form)
    return dataclasses.replace(electrode, network=network)


def cut_network(network: diffelec.Network, radius, form: dict) -> diffelec.Network:
    """The network with its particles, of `radius` [m], cut into sites.

    Slices stand along their `axis`, which is that of the height unless given: the last
    coordinate of positions.
    """
    labels = network.topology.particle_labels
    body = _body(network, form)
    _check_places(network.topology, body)
    cracks = form.get("cracks", {})
    unknown = sorted(set(cracks) - set(labels))
    if unknown:
        raise ValueError(
            f"`cracks` names the particle '{unknown[0]}', which does not exist; "
            f"particles are {', '.join(labels[:8])}{' …' if len(labels) > 8 else ''}."
        )
    bodies = {label: body for label in labels}
    for label, crack in cracks.items():
        bodies[label] = diffelec.bodies.cracked(
            body, crack["share"], crack["direction"]
        )
    contact = form.get("crack_contact_radius_m")
    if cracks and contact is None:
        raise ValueError(
            "`crack_contact_radius_m` must be given where particles are cracked, but "
            "is not; it is the radius of what joins their pieces."
        )
    return diffelec.resolve(
        network,
        radius,
        bodies,
        coverage=form.get("coverage", 1.0),
        seed=form.get("seed", 0),
        crack_contact=contact,
    )


def _check_places(topology, body) -> None:
    """Raises ValueError where particles touch in directions that nobody knows."""
    ends = np.minimum(topology.tail, topology.head)  # a site where both ends are
    touch = np.any(ends >= topology.first_site)
    if body.num_sites > 1 and topology.positions is None and touch:
        raise ValueError(
            "Particles that touch must have positions to be cut into sites, but have "
            "none; give each particle its `position_m` in the electrode file."
        )


def _body(network, form: dict) -> diffelec.bodies.Body:
    """How every particle is cut."""
    if form["form"] != "slices":
        return FORMS[form["form"]](form["number"])
    axis = form.get("axis")
    if axis is None:
        positions = network.topology.positions
        flat = positions is not None and positions.shape[1] == 2
        axis = (0.0, 1.0, 0.0) if flat else (0.0, 0.0, 1.0)
    return diffelec.bodies.slices(form["number"], tuple(map(float, axis)))


def soaked(network: diffelec.Network, radius, form: dict) -> diffelec.Network:
    """The network with the key `electrolyte` of an electrode file."""
    return with_electrolyte(
        network,
        effective_conductivity=form["effective_conductivity_S_per_m"],
        area=form["area_m2"],
        thickness=form["thickness_m"],
        num_layers=form.get("num_layers", 10),
        radius=radius,
    )
