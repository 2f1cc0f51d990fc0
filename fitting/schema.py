"""The JSON Schema of an electrode file, and its violations as one sentence.

To add a curve form or a law, add its entry to `CURVE_FORMS` or `LAWS` here and its
class to `electrodes.py`.
"""

import contextlib

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import relevance

_NUMBER, _TEXT, _FLAG = {"type": "number"}, {"type": "string"}, {"type": "boolean"}
_NUMBERS = {"type": "array", "items": _NUMBER}
_NUMBER_OR_NUMBERS = {"type": ["number", "array"], "items": _NUMBER}
_COUNT = {"type": "integer", "minimum": 0}
_LABEL = {**_TEXT, "pattern": r"\S"}
_PARTICLE_COUNT = {**_COUNT, "maximum": 100_000}

CURVE_FORMS = {
    "pchip": {"knots": _NUMBERS, "log10_values": _NUMBERS},
    "rounded_linear": {"knots": _NUMBERS, "log10_values": _NUMBERS, "width": _NUMBER},
    "constant": {"value": _NUMBER},
    "sigmoid": {
        "log10_delithiated": _NUMBER,
        "log10_lithiated": _NUMBER,
        "centre": _NUMBER,
        "width": _NUMBER,
    },
    "divacancy": {"prefactor": _NUMBER, "floor": _NUMBER},
}
LAWS = {
    "NMC532": {"coefficients": {**_NUMBERS, "minItems": 15, "maxItems": 15}},
    "NMC811": {},
    "LinearPotential": {"intercept": _NUMBER, "slope": _NUMBER},
}
BUILDERS = {
    "columns": {
        "obstructions": {"type": "array", "items": _PARTICLE_COUNT},
        "contact_radius_m": _NUMBER,
        "carbon_shape_per_m": _NUMBER,
        "spacing_m": _NUMBER,
    },
    "chain": {
        "num_particles": _PARTICLE_COUNT,
        "contact_radius_m": _NUMBER,
        "carbon_shape_per_m": _NUMBER,
    },
    "star": {
        "num_particles": _PARTICLE_COUNT,
        "carbon_shape_per_m": _NUMBER_OR_NUMBERS,
    },
}
SITE_FORMS = {
    "slices": {"axis": {**_NUMBERS, "minItems": 3, "maxItems": 3}},
    "sectors": {},
    "patches": {},
}
_OPTIONAL = {  # by form, law or builder; all other fields must be given
    "rounded_linear": {"width"},
    "NMC532": {"coefficients"},
    "columns": set(BUILDERS["columns"]),
    "chain": {"contact_radius_m", "carbon_shape_per_m"},
    "star": {"carbon_shape_per_m"},
    "slices": {"axis"},
}


def _object(properties: dict, required=()) -> dict:
    """An object without keys besides `properties`."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _tagged(tag: str, forms: dict, shared: dict) -> dict:
    """An object whose other keys follow from the value of `tag`."""
    branches = [
        {
            "if": {"properties": {tag: {"const": name}}, "required": [tag]},
            "then": _object(
                {tag: _TEXT, **fields, **shared},
                [key for key in fields if key not in _OPTIONAL.get(name, ())],
            ),
        }
        for name, fields in forms.items()
    ]
    return {
        "type": "object",
        "required": [tag],
        "properties": {tag: {"enum": list(forms)}},
        "allOf": branches,
    }


_CURVE = _tagged("form", CURVE_FORMS, {"unit": _TEXT, "source": _TEXT})
_RANGE = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_POTENTIAL = _tagged("law", LAWS, {"source": _TEXT, "valid_range": _RANGE})
_PARTICLE = _object(
    {
        "label": _LABEL,
        "radius_m": _NUMBER,
        "initial_stoichiometry": _NUMBER,
        "multiplicity": _NUMBER,
        "reactivity": _NUMBER,
        "imaged": _FLAG,
        "position_m": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 3},
    },
    ["label", "radius_m"],
)
_EDGE = _object(
    {
        "tail": _TEXT,
        "head": _TEXT,
        "series_resistance_ohm": _NUMBER,
        "shape_tail_per_m": _NUMBER,
        "shape_head_per_m": _NUMBER,
        "contact_radius_m": _NUMBER,
        "carbon_shape_per_m": _NUMBER,
    },
    ["tail", "head"],
)
_LABELS = {"type": "array", "items": _LABEL}
_COUNTS = {"type": "array", "items": _COUNT}
_VECTOR = {"type": "array", "items": _NUMBER, "minItems": 3, "maxItems": 3}
_PAIR = {"type": "array", "items": _COUNT, "minItems": 2, "maxItems": 2}
_EXCHANGE = _object(
    {"sites": _PAIR, "exchange_shape_m": _NUMBER}, ["sites", "exchange_shape_m"]
)
_EXPLICIT = _object(
    {
        "particles": {"type": "array", "items": _PARTICLE},
        "carbon": _LABELS,
        "edges": {"type": "array", "items": _EDGE},
        "site_particle": _COUNTS,
        "site_share": _NUMBERS,
        "site_centres": {"type": "array", "items": _VECTOR},
        "exchange": {"type": "array", "items": _EXCHANGE},
        "electrolyte_nodes": _LABELS,
        "site_electrolyte": _COUNTS,
    },
    ["particles", "edges"],
)
_CRACK = _object({"share": _NUMBER, "direction": _VECTOR}, ["share", "direction"])
_SITES = _tagged(
    "form",
    {
        name: {"number": {"type": "integer", "minimum": 1}, **fields}
        for name, fields in SITE_FORMS.items()
    },
    {
        "coverage": _NUMBER,
        "seed": _COUNT,
        "cracks": {"type": "object", "additionalProperties": _CRACK},
        "crack_contact_radius_m": _NUMBER,
    },
)
_ELECTROLYTE = _object(
    {
        "effective_conductivity_S_per_m": _NUMBER,
        "area_m2": _NUMBER,
        "thickness_m": _NUMBER,
        "num_layers": {"type": "integer", "minimum": 1, "maximum": 10_000},
    },
    ["effective_conductivity_S_per_m", "area_m2", "thickness_m"],
)
_RESOLVED = {"sites": _SITES, "electrolyte": _ELECTROLYTE}
_CARBON = {"carbon_share": _NUMBER, "carbon_shape_per_m": _NUMBER, "seed": _COUNT}
_TABLE = _object(
    {
        "particle_table": _TEXT,
        "contact_radius_um": _NUMBER,
        "reach": _NUMBER,
        **_CARBON,
        **_RESOLVED,
    },
    ["particle_table"],
)
_IMAGE = _object(
    {"label_image": _TEXT, "voxel_um": _NUMBER, **_CARBON, **_RESOLVED},
    ["label_image", "voxel_um"],
)
_NETWORK = {
    "type": "object",
    "if": {"required": ["builder"]},
    "then": _tagged("builder", BUILDERS, _RESOLVED),
    "else": {
        "if": {"required": ["particle_table"]},
        "then": _TABLE,
        "else": {
            "if": {"required": ["label_image"]},
            "then": _IMAGE,
            "else": _EXPLICIT,
        },
    },
}
_PARTICLES = _object(
    {
        "radius_m": _NUMBER_OR_NUMBERS,
        "initial_stoichiometry": _NUMBER_OR_NUMBERS,
        "multiplicity": _NUMBER_OR_NUMBERS,
        "reactivity": _NUMBER_OR_NUMBERS,
    }
)
_CURVES = _object(
    {
        "conductivity": _CURVE,
        "diffusivity": _CURVE,
        "rate_constant": _CURVE,
        "open_circuit_potential": _POTENTIAL,
    }
)

ELECTRODE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "diffelec electrode",
    **_object(
        {
            "format": {"const": "diffelec electrode"},
            "version": {"const": 1},
            "network": _NETWORK,
            "particles": _PARTICLES,
            "material": {"enum": ["nmc532", "nmc811"]},
            "curves": _CURVES,
            "kinetics": _object(
                {"law": {"enum": ["ButlerVolmer"]}, "anodic_transfer": _NUMBER}
            ),
            "mesh": _object(
                {
                    "num_shells": {"type": "integer", "minimum": 3, "maximum": 1000},
                    "clustering": _NUMBER,
                }
            ),
            "maximum_concentration_mol_per_m3": _NUMBER,
            "temperature_K": _NUMBER,
            "one_c_range": _NUMBER,
            "series_resistance_ohm": _NUMBER,
            "counter_exchange_current_A": {"type": ["number", "null"]},
            "conduct_at_surface": _FLAG,
        },
        ["network"],
    ),
}

_TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "a text",
    "array": "a list",
    "object": "an object",
    "boolean": "true or false",
    "null": "null",
}


def _is_count(checker, value) -> bool:
    """Whether a number is written whole; JSON Schema takes 3.0 for one as well, of
    which nothing can be counted.
    """
    del checker
    return isinstance(value, int) and not isinstance(value, bool)


_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_count),
)


def check(data, name: str = "electrode") -> None:
    """Raises ValueError naming the first violation: path, what must be, what was."""
    errors = sorted(
        _Validator(ELECTRODE).iter_errors(data), key=relevance, reverse=True
    )
    if errors:
        raise ValueError(sentence(errors[0], name))


def sentence(error, name: str) -> str:
    """One sentence for a violation of the schema."""
    path = name + "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in error.absolute_path
    )
    given, rule = error.instance, error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(key for key in given if key not in known)
        return f"{path} has the unknown key '{unknown}'; known are {', '.join(known)}."
    if error.validator == "required":
        missing = next(key for key in rule if key not in given)
        return f"{path} must have the key '{missing}', but has {_shown(list(given))}."
    phrases = {
        "type": lambda: "be " + _any_of(rule),
        "enum": lambda: "be one of " + ", ".join(f"'{v}'" for v in rule),
        "const": lambda: f"be {rule!r}",
        "minimum": lambda: f"be {rule} or more",
        "pattern": lambda: "be a label that is not empty",
        "maximum": lambda: f"be {rule} or less",
        "minItems": lambda: f"have {rule} entries or more",
        "maxItems": lambda: f"have at most {rule} entries",
    }
    phrase = phrases.get(error.validator, lambda: f"satisfy {error.validator}")()
    remedy = _remedy(rule, given) if error.validator == "type" else ""
    return f"{path} must {phrase}, but is {_shown(given)}{remedy}."


def _remedy(types, given) -> str:
    """What to write for a value of another type that is meant well."""
    types = [types] if isinstance(types, str) else types
    if "integer" in types and isinstance(given, float) and given.is_integer():
        return f"; write {given:.0f}"
    if not {"number", "integer"}.isdisjoint(types) and isinstance(given, str):
        with contextlib.suppress(ValueError):
            float(given.replace(",", "."))
            return "; write it without quotes, with a decimal point"
    return ""


def _any_of(types) -> str:
    names = [types] if isinstance(types, str) else types
    return " or ".join(_TYPES[name] for name in names)


def _shown(value) -> str:
    """A value in a message, cut at 60 characters."""
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        text = ", ".join(f"'{v}'" for v in value) or "none"
    else:
        text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
