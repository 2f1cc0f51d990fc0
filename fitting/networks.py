"""Networks as plain data (what a JSON file holds), and back.

Four forms: explicit nodes and edges (what `network_to_dict` writes), a named builder
with its arguments, a table of spheres joined where they touch, and an image whose
labels are particles. The last three may ask for `sites` and an `electrolyte`.
"""

import numpy as np

import diffelec
from diffelec.constants import LARGEST_RADIUS
from diffelec.edges import Edge, carbon_contact, particle_contact
from diffelec.topology import COLLECTOR, Topology

from . import cuts

_BUILDERS = {
    "columns": diffelec.graphs.columns,
    "chain": diffelec.graphs.chain,
    "star": diffelec.graphs.star,
}
_EDGE_NUMBERS = {
    "series_resistance_ohm": "series_resistance",
    "shape_tail_per_m": "shape_tail",
    "shape_head_per_m": "shape_head",
}


def plain(value):
    """A leaf as numbers and lists."""
    return np.asarray(value, float).tolist()


def spread(values, count: int) -> np.ndarray:
    """One value a particle, of one for all or one each."""
    values = np.asarray(values, float)
    return np.full(count, values) if values.ndim == 0 else values


def network_to_dict(electrode) -> dict:
    """Nodes and edges in the explicit form."""
    network, topology = electrode.network, electrode.network.topology
    reactivity = spread(electrode.reactivity, topology.num_particles)
    particles = []
    for k, label in enumerate(topology.particle_labels):
        particle = {
            "label": label,
            "radius_m": plain(electrode.radius[k]),
            "initial_stoichiometry": plain(electrode.initial_stoichiometry[k]),
            "multiplicity": plain(electrode.multiplicity[k]),
            "reactivity": plain(reactivity[k]),
            "imaged": bool(topology.imaged[k]),
        }
        if topology.positions is not None:
            particle["position_m"] = topology.positions[k].tolist()
        particles.append(particle)
    names = topology.node_labels
    edges = [
        {"tail": names[topology.tail[e]], "head": names[topology.head[e]]}
        | {
            key: plain(getattr(network, field)[e])
            for key, field in _EDGE_NUMBERS.items()
        }
        for e in range(topology.num_edges)
    ]
    data = {
        "particles": particles,
        "carbon": list(topology.carbon_labels),
        "edges": edges,
    }
    return data | _sites_to_dict(network)


def _sites_to_dict(network) -> dict:
    """What the explicit form tells of sites and of nodes of the electrolyte."""
    topology, data = network.topology, {}
    if topology.num_sites != topology.num_particles:
        data["site_particle"] = topology.site_particle.tolist()
        data["site_share"] = topology.site_share.tolist()
    if topology.site_centres is not None:
        data["site_centres"] = topology.site_centres.tolist()
    if network.exchange_shape is not None:
        data["exchange"] = [
            {"sites": pair, "exchange_shape_m": shape}
            for pair, shape in zip(
                topology.exchange.tolist(), plain(network.exchange_shape), strict=True
            )
        ]
    if topology.electrolyte_labels:
        data["electrolyte_nodes"] = list(topology.electrolyte_labels)
        data["site_electrolyte"] = topology.site_electrolyte.tolist()
    return data


def network_from_dict(data: dict, table):
    """The network, and the fields of its particles."""
    network, given = data["network"], dict(data.get("particles", {}))
    defaults = {
        "radius": given.get("radius_m", 5e-6),
        "initial_stoichiometry": given.get("initial_stoichiometry", 0.999),
        "multiplicity": given.get("multiplicity", 1.0),
        "reactivity": given.get("reactivity", 1.0),
    }
    forms = {"builder": _built, "particle_table": _touching, "label_image": _imaged}
    for key, build in forms.items():
        if key in network:
            bare, fields = build(network, given, defaults, table)
            return _resolved(bare, fields["radius"], network), fields
    if given:
        raise ValueError(
            "electrode.particles must be left out where electrode.network lists its "
            "particles; write their values there."
        )
    return _explicit(network)


def _resolved(network, radius, data: dict) -> diffelec.Network:
    """The network cut into sites and with an electrolyte, where `data` says so."""
    for key, change in (("sites", cuts.cut_network), ("electrolyte", cuts.soaked)):
        if key in data:
            try:
                network = change(network, radius, data[key])
            except ValueError as error:
                raise ValueError(f"electrode.network.{key}: {error}") from None
    return network


def _built(data: dict, given: dict, defaults: dict, table):
    """A network by a named builder; its keys less their units are the arguments."""
    del given, table
    arguments = {
        key.removesuffix("_per_m").removesuffix("_m"): value
        for key, value in data.items()
        if key not in ("builder", "sites", "electrolyte")
    }
    return _BUILDERS[data["builder"]](**arguments), defaults


def _touching(data: dict, given: dict, defaults: dict, table):
    """A network of the spheres in a table, and the fields of its particles."""
    _check_table("particle_table", data, given, table)
    options = {k: data[k] for k in ("reach", "carbon_share", "seed") if k in data}
    if "carbon_shape_per_m" in data:
        options["carbon_shape"] = data["carbon_shape_per_m"]
    if "contact_radius_um" in data:
        options["contact_radius"] = 1e-6 * data["contact_radius_um"]
    bare = diffelec.graphs.touching_spheres(
        table["position"], table["radius"], labels=list(table["particle"]), **options
    )
    t = bare.topology
    topology = Topology(
        t.tail, t.head, t.particle_labels, t.carbon_labels, table["imaged"], t.positions
    )
    network = diffelec.Network(
        bare.series_resistance, bare.shape_tail, bare.shape_head, topology
    )
    return network, {k: table.get(k, default) for k, default in defaults.items()}


def _imaged(data: dict, given: dict, defaults: dict, table):
    """A network of the labels in an image, and the fields of its particles."""
    _check_table("label_image", data, given, table)
    options = {k: data[k] for k in ("carbon_share", "seed") if k in data}
    if "carbon_shape_per_m" in data:
        options["carbon_shape"] = data["carbon_shape_per_m"]
    network = diffelec.graphs.joined_spheres(
        *(table["position"], table["radius"], table["pairs"], table["contact_radius"]),
        labels=list(table["particle"]),
        **options,
    )
    return network, defaults | {"radius": table["radius"]}


def _check_table(key: str, data: dict, given: dict, table) -> None:
    """Raises ValueError unless the file named by `key` was read and gives the radii."""
    if table is None:
        raise ValueError(
            f"electrode.network.{key} names '{data[key]}', which was not read; use "
            "`files.read_electrode`."
        )
    if "radius_m" in given:
        source = {
            "particle_table": "with a particle table; radii are its column radius_um",
            "label_image": "with a label image; radii are those of its labels",
        }
        raise ValueError(
            f"electrode.particles.radius_m must be left out {source[key]}."
        )


def _explicit(data: dict):
    """A network of listed nodes and edges, and the fields of its particles."""
    particles = data["particles"]
    if not particles:
        raise ValueError(
            "electrode.network.particles must list one particle or more, but has none."
        )
    positions = [p.get("position_m") for p in particles]
    placed = {None if p is None else len(p) for p in positions}
    if len(placed) > 1:
        raise ValueError(
            "electrode.network.particles must all have position_m of the same length, "
            "or none, but some differ."
        )
    network = _joined(
        [p["label"] for p in particles],
        data,
        np.array([p.get("imaged", True) for p in particles], bool),
        None if placed == {None} else positions,
    )
    return network, {
        "radius": [p["radius_m"] for p in particles],
        "initial_stoichiometry": [
            p.get("initial_stoichiometry", 0.999) for p in particles
        ],
        "multiplicity": [p.get("multiplicity", 1.0) for p in particles],
        "reactivity": [p.get("reactivity", 1.0) for p in particles],
    }


def _joined(labels, data: dict, imaged, positions) -> diffelec.Network:
    """Edges between nodes named by their labels (`label/0`, … for sites)."""
    carbon = data.get("carbon", [])
    radii = {p["label"]: p["radius_m"] for p in data["particles"]}
    edges = [_edge(edge, carbon, radii, k) for k, edge in enumerate(data["edges"])]
    exchange = data.get("exchange")
    _check_owners(data.get("site_particle", ()), len(labels))
    keys = ("site_particle", "site_share", "site_centres", "site_electrolyte")
    sites = {key: data[key] for key in keys if key in data}
    return diffelec.Network.from_edges(
        *(edges, labels, carbon, imaged, positions),
        exchange=exchange and [pair["sites"] for pair in exchange],
        exchange_shape=exchange and [pair["exchange_shape_m"] for pair in exchange],
        electrolyte_labels=data.get("electrolyte_nodes", ()),
        **sites,
    )


def _check_owners(owners, count: int) -> None:
    """Raises ValueError for a site of a particle that is not listed, by whose label it
    would be named.
    """
    for site, owner in enumerate(owners):
        if owner >= count:
            raise ValueError(
                f"electrode.network.site_particle[{site}] must be the number of a "
                f"particle, 0 to {count - 1}, but is {owner}; add the particle, or "
                "correct the number."
            )


def _edge(data: dict, carbon, radii: dict, number: int) -> Edge:
    """An edge by its three numbers, or by a contact radius or a carbon shape."""
    ends, resistance = (data["tail"], data["head"]), data.get("series_resistance_ohm")
    forms = [k for k in ("contact_radius_m", "carbon_shape_per_m") if k in data]
    shapes = [k for k in ("shape_tail_per_m", "shape_head_per_m") if k in data]
    if len(forms) > 1 or (forms and shapes):
        raise ValueError(
            f"electrode.network.edges[{number}] must have shape_tail_per_m and "
            "shape_head_per_m, or contact_radius_m, or carbon_shape_per_m, but has "
            f"{' and '.join(forms + shapes)}; keep one form."
        )
    if "contact_radius_m" in data:
        _check_width(*ends, data["contact_radius_m"], radii, number)
        return particle_contact(*ends, data["contact_radius_m"], resistance or 0.0)
    if "carbon_shape_per_m" not in data:
        keys = ("shape_tail_per_m", "shape_head_per_m")
        return Edge(*ends, resistance or 0.0, *(data.get(key, 0.0) for key in keys))
    if data["tail"] != COLLECTOR and data["tail"] not in carbon:
        raise ValueError(
            f"electrode.network.edges[{number}].tail must be carbon or the collector "
            f"where carbon_shape_per_m is given, but is '{data['tail']}'; swap the "
            "ends."
        )
    return carbon_contact(*ends, data["carbon_shape_per_m"], resistance or 0.0)


def _check_width(tail: str, head: str, width: float, radii: dict, number: int) -> None:
    """Raises ValueError for a disc wider than the particles that touch [m]."""
    for end in (tail, head):
        name = end if end in radii else end.rpartition("/")[0]  # of a site
        most = radii.get(name, LARGEST_RADIUS)
        if most > 0 and not 0 < width <= most:
            raise ValueError(
                f"electrode.network.edges[{number}].contact_radius_m must be positive "
                f"and at most the radius of '{end}', {most:g} m, but is {width:g}; "
                "give a narrower contact, in metres."
            )
