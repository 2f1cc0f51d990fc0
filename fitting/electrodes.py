"""Electrodes as plain data (what a JSON file holds), and back.

Three forms of network: explicit nodes and edges (what `electrode_to_dict` writes), a
named builder with its arguments, and a table of spheres joined where they touch.
Keys carry their units.
"""

import dataclasses

import numpy as np

import diffelec
from diffelec.edges import Edge, carbon_contact, particle_contact
from diffelec.topology import COLLECTOR, Topology

from . import schema

_CURVES = {
    "pchip": diffelec.curves.PchipCurve,
    "rounded_linear": diffelec.curves.RoundedLinearCurve,
    "constant": diffelec.curves.ConstantCurve,
    "sigmoid": diffelec.curves.SigmoidCurve,
    "divacancy": diffelec.curves.DivacancyCurve,
}
_LAWS = {
    "NMC532": diffelec.open_circuit.NMC532,
    "NMC811": diffelec.open_circuit.NMC811,
    "LinearPotential": diffelec.open_circuit.LinearPotential,
}
_BUILDERS = {
    "columns": diffelec.graphs.columns,
    "chain": diffelec.graphs.chain,
    "star": diffelec.graphs.star,
}
_MATERIALS = {
    "nmc532": (diffelec.materials.nmc532, diffelec.materials.NMC532_CONCENTRATION),
    "nmc811": (diffelec.materials.nmc811, diffelec.materials.NMC811_CONCENTRATION),
}
_SCALARS = {  # key in the file: field of the electrode
    "maximum_concentration_mol_per_m3": "maximum_concentration",
    "temperature_K": "temperature",
    "one_c_range": "one_c_range",
    "series_resistance_ohm": "series_resistance",
    "counter_exchange_current_A": "counter_exchange_current",
}
_EDGE_NUMBERS = {
    "series_resistance_ohm": "series_resistance",
    "shape_tail_per_m": "shape_tail",
    "shape_head_per_m": "shape_head",
}


def electrode_to_dict(electrode: diffelec.Electrode) -> dict:
    """An electrode as JSON-ready data that `electrode_from_dict` turns back.

    Raises:
        ValueError: for a curve or law that has no form in files.
    """
    curves = electrode.curves
    data = {
        "format": "diffelec electrode",
        "version": 1,
        "network": _network_to_dict(electrode),
        "curves": {
            name: _fields_to_dict("form", _CURVES, getattr(curves, name))
            for name in ("conductivity", "diffusivity", "rate_constant")
        },
        "kinetics": _kinetics_to_dict(electrode.kinetics),
        "mesh": dataclasses.asdict(electrode.mesh),
        "conduct_at_surface": electrode.conduct_at_surface,
    }
    data["curves"]["open_circuit_potential"] = _fields_to_dict(
        "law", _LAWS, curves.open_circuit_potential
    )
    for key, field in _SCALARS.items():
        value = _plain(getattr(electrode, field))
        data[key] = None if value == np.inf else value
    schema.check(data)
    return data


def electrode_from_dict(data: dict, table=None) -> diffelec.Electrode:
    """The electrode that `data` describes.

    Args:
        data: as read from JSON; checked against `schema.ELECTRODE`.
        table: what `particle_table` names, as arrays (see `files.read_particle_table`).

    Raises:
        ValueError: one sentence with the path in the data, or the node, that is wrong.
    """
    schema.check(data)
    network, particles = _network_from_dict(data, table)
    build, concentration = _MATERIALS[data.get("material", "nmc532")]
    fields = {"maximum_concentration": concentration}
    for key, field in _SCALARS.items():
        if key in data:
            fields[field] = np.inf if data[key] is None else data[key]
    if "kinetics" in data:
        chosen = {k: v for k, v in data["kinetics"].items() if k != "law"}
        fields["kinetics"] = diffelec.kinetics.ButlerVolmer(**chosen)
    count = network.topology.num_particles
    mesh = diffelec.RadialMesh(**data.get("mesh", {}))
    return diffelec.Electrode(
        network=network,
        curves=_curves_from_dict(data.get("curves", {}), build()),
        mesh=mesh,
        conduct_at_surface=data.get("conduct_at_surface", False),
        **{name: _spread(values, count) for name, values in particles.items()},
        **fields,
    )


def _plain(value):
    """A leaf as numbers and lists."""
    return np.asarray(value, float).tolist()


def _spread(values, count: int) -> np.ndarray:
    values = np.asarray(values, float)
    return np.full(count, values) if values.ndim == 0 else values


def _fields_to_dict(tag: str, classes: dict, instance) -> dict:
    """A curve or law as its tag and its fields."""
    names = [name for name, kind in classes.items() if type(instance) is kind]
    if not names:
        raise ValueError(
            f"A {type(instance).__name__} has no form in an electrode file; use one "
            f"of {', '.join(classes)}."
        )
    data = {tag: names[0]}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        data[field.name] = value if isinstance(value, str) else _plain(value)
    return data


def _kinetics_to_dict(kinetics) -> dict:
    if type(kinetics) is not diffelec.kinetics.ButlerVolmer:
        raise ValueError(
            f"{type(kinetics).__name__} kinetics have no form in an electrode file; "
            "use ButlerVolmer."
        )
    return {
        "law": "ButlerVolmer",
        "anodic_transfer": _plain(kinetics.anodic_transfer),
    }


def _curves_from_dict(data: dict, material: diffelec.Curves) -> diffelec.Curves:
    """The material's curves with those that `data` names in their place."""
    chosen = {}
    for field in dataclasses.fields(material):
        if field.name not in data:
            chosen[field.name] = getattr(material, field.name)
            continue
        is_law = field.name == "open_circuit_potential"
        tag, classes = ("law", _LAWS) if is_law else ("form", _CURVES)
        given = dict(data[field.name])
        kind = classes[given.pop(tag)]
        if "valid_range" in given:
            given["valid_range"] = tuple(given["valid_range"])
        try:
            chosen[field.name] = kind(**given)
        except ValueError as error:
            raise ValueError(f"electrode.curves.{field.name}: {error}") from None
    return diffelec.Curves(**chosen)


def _network_to_dict(electrode) -> dict:
    """Nodes and edges in the explicit form."""
    network, topology = electrode.network, electrode.network.topology
    reactivity = _spread(electrode.reactivity, topology.num_particles)
    particles = []
    for k, label in enumerate(topology.particle_labels):
        particle = {
            "label": label,
            "radius_m": _plain(electrode.radius[k]),
            "initial_stoichiometry": _plain(electrode.initial_stoichiometry[k]),
            "multiplicity": _plain(electrode.multiplicity[k]),
            "reactivity": _plain(reactivity[k]),
            "imaged": bool(topology.imaged[k]),
        }
        if topology.positions is not None:
            particle["position_m"] = topology.positions[k].tolist()
        particles.append(particle)
    names = topology.node_labels
    edges = [
        {"tail": names[topology.tail[e]], "head": names[topology.head[e]]}
        | {
            key: _plain(getattr(network, field)[e])
            for key, field in _EDGE_NUMBERS.items()
        }
        for e in range(topology.num_edges)
    ]
    data = {
        "particles": particles,
        "carbon": list(topology.carbon_labels),
        "edges": edges,
    }
    if topology.num_sites != topology.num_particles:
        data["site_particle"] = topology.site_particle.tolist()
    return data


def _network_from_dict(data: dict, table):
    """The network, and the fields of its particles."""
    network, given = data["network"], dict(data.get("particles", {}))
    defaults = {
        "radius": given.get("radius_m", 5e-6),
        "initial_stoichiometry": given.get("initial_stoichiometry", 0.999),
        "multiplicity": given.get("multiplicity", 1.0),
        "reactivity": given.get("reactivity", 1.0),
    }
    if "builder" in network:
        return _built(network), defaults
    if "particle_table" in network:
        return _touching(network, given, defaults, table)
    if given:
        raise ValueError(
            "electrode.particles must be left out where electrode.network lists its "
            "particles; write their values there."
        )
    return _explicit(network)


def _built(data: dict) -> diffelec.Network:
    """A network by a named builder; its keys less their units are the arguments."""
    arguments = {
        key.removesuffix("_per_m").removesuffix("_m"): value
        for key, value in data.items()
        if key != "builder"
    }
    return _BUILDERS[data["builder"]](**arguments)


def _touching(data: dict, given: dict, defaults: dict, table):
    """A network of the spheres in a table, and the fields of its particles."""
    if table is None:
        raise ValueError(
            f"electrode.network.particle_table names '{data['particle_table']}', which "
            "was not read; use `files.read_electrode`."
        )
    if "radius_m" in given:
        raise ValueError(
            "electrode.particles.radius_m must be left out with a particle table; "
            "radii are its column radius_um."
        )
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
    fields = {k: table.get(k, default) for k, default in defaults.items()}
    return network, fields


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
    edges = [_edge(edge, carbon, k) for k, edge in enumerate(data["edges"])]
    if "site_particle" not in data:
        return diffelec.Network.from_edges(edges, labels, carbon, imaged, positions)
    owners = data["site_particle"]
    names = Topology([], [], labels, carbon, imaged, positions, owners).node_labels
    sites = list(names[1 + len(carbon) :])
    flat = diffelec.Network.from_edges(edges, sites, carbon)
    topology = Topology(
        flat.topology.tail,
        flat.topology.head,
        labels,
        carbon,
        imaged,
        positions,
        owners,
    )
    return diffelec.Network(
        flat.series_resistance, flat.shape_tail, flat.shape_head, topology
    )


def _edge(data: dict, carbon, number: int) -> Edge:
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
