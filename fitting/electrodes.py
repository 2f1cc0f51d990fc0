"""Electrodes as plain data (what a JSON file holds), and back. Keys carry their units.

`networks` tells the forms that a network may have.
"""

import dataclasses

import numpy as np

import diffelec

from . import plausible, schema
from .networks import network_from_dict, network_to_dict, plain, spread

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
_MATERIALS = {
    "nmc532": diffelec.materials.nmc532,
    "nmc811": diffelec.materials.nmc811,
}
_SCALARS = {  # key in the file: field of the electrode
    "maximum_concentration_mol_per_m3": "maximum_concentration",
    "temperature_K": "temperature",
    "one_c_range": "one_c_range",
    "series_resistance_ohm": "series_resistance",
    "counter_exchange_current_A": "counter_exchange_current",
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
        "network": network_to_dict(electrode),
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
        value = plain(getattr(electrode, field))
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
    plausible.check_scalars(data)
    network, particles = network_from_dict(data, table)
    material = _MATERIALS[data.get("material", "nmc532")]()
    sites = diffelec.materials.maximum_concentration_of(material)
    fields = {"maximum_concentration": sites}
    for key, field in _SCALARS.items():
        if key in data:
            fields[field] = np.inf if data[key] is None else data[key]
    if "kinetics" in data:
        chosen = {k: v for k, v in data["kinetics"].items() if k != "law"}
        fields["kinetics"] = diffelec.kinetics.ButlerVolmer(**chosen)
    count = network.topology.num_particles
    radii = spread(particles["radius"], count)
    plausible.check_radii(network.topology.particle_labels, radii)
    mesh = diffelec.RadialMesh(**data.get("mesh", {}))
    return diffelec.Electrode(
        network=network,
        curves=_curves_from_dict(data.get("curves", {}), material),
        mesh=mesh,
        conduct_at_surface=data.get("conduct_at_surface", False),
        **{name: spread(values, count) for name, values in particles.items()},
        **fields,
    )


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
        data[field.name] = value if isinstance(value, str) else plain(value)
    return data


def _kinetics_to_dict(kinetics) -> dict:
    if type(kinetics) is not diffelec.kinetics.ButlerVolmer:
        raise ValueError(
            f"{type(kinetics).__name__} kinetics have no form in an electrode file; "
            "use ButlerVolmer."
        )
    return {
        "law": "ButlerVolmer",
        "anodic_transfer": plain(kinetics.anodic_transfer),
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
        plausible.check_curve(field.name, given)
        kind = classes[given.pop(tag)]
        if "valid_range" in given:
            given["valid_range"] = tuple(given["valid_range"])
        try:
            chosen[field.name] = kind(**given)
        except ValueError as error:
            raise ValueError(f"electrode.curves.{field.name}: {error}") from None
    return diffelec.Curves(**chosen)
