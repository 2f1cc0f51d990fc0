"""What makes two runs the same: a digest of data, model, priors and versions."""

import dataclasses
import functools
import hashlib
import inspect
import types
from importlib import metadata
from typing import Any

import jax
import numpy as np

from .samplers import AbstractSampler

_PACKAGES = ("jax", "jaxlib", "numpyro", "diffrax", "equinox", "interpax", "diffelec")


def digest(thing: Any) -> str:
    """16 hexadecimal digits that change with anything inside: numbers bit by bit,
    static settings, the names of functions and what they close over.
    """
    told = hashlib.sha256()
    for part in _parts(thing):
        told.update(part)
        told.update(b"\0")
    return told.hexdigest()[:16]


def _parts(thing):
    """The bytes of a tree of modules, arrays, functions and plain values."""
    if isinstance(thing, np.ndarray | np.generic | jax.Array):
        array = np.asarray(thing)
        yield f"array {array.dtype}{array.shape}".encode()
        yield np.ascontiguousarray(array).tobytes()
        return
    yield type(thing).__qualname__.encode()
    if thing is None or isinstance(thing, bool | int | float | complex | str | bytes):
        yield repr(thing).encode()
    elif isinstance(thing, dict):
        for key in sorted(thing, key=repr):
            yield from _parts(key)
            yield from _parts(thing[key])
    elif isinstance(thing, tuple | list):
        for item in thing:
            yield from _parts(item)
    elif isinstance(thing, types.FunctionType):
        yield thing.__qualname__.encode()
        for cell in thing.__closure__ or ():
            yield from _parts(cell.cell_contents)
        yield from _parts(thing.__defaults__)
    elif dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        for field in dataclasses.fields(thing):
            yield field.name.encode()
            yield from _parts(getattr(thing, field.name))
    else:
        for name in _fields_of(thing):
            yield name.encode()
            yield from _parts(vars(thing).get(name))


def _fields_of(thing) -> list[str]:
    """What another object is made of, without what it works out from that: a
    distribution's parameters, public attributes of anything else.
    """
    if hasattr(thing, "gather_pytree_data_fields"):
        return sorted(thing.gather_pytree_data_fields())
    names = getattr(thing, "__dict__", ())
    # A private hash is one that each process makes anew.
    return sorted(n for n in names if not (n.startswith("_") or _is_kept(thing, n)))


def _is_kept(thing, name: str) -> bool:
    """Whether an attribute is there only once it was asked for."""
    own = inspect.getattr_static(type(thing), name, None)
    return isinstance(own, functools.cached_property)


def identity_of(problem, sampler: AbstractSampler, seed: int, chunk: int) -> dict:
    """Name and value of everything that a run's draws depend on, besides the machine.

    Args:
        problem: that is sampled.
        sampler: with its settings.
        seed: of the chains.
        chunk: draws a file.
    """
    return {
        "electrode": digest(problem.electrode),
        "free quantities and priors": digest(problem.space),
        "model of the data": digest(problem.forward),
        "data and noise": data_digest(problem),
        "sampler": repr(sampler),
        "seed": seed,
        "draws in a file": chunk,
    } | surroundings()


def surroundings() -> dict:
    """Device, precision and versions that numbers depend on, by name."""
    return {
        "device": jax.default_backend(),
        "precision": "double" if jax.config.jax_enable_x64 else "single",
    } | {f"version of {name}": _version(name) for name in _PACKAGES}


def data_digest(problem) -> str:
    """A digest of the data alone."""
    return digest((problem.noise, problem.trace, problem.intensities))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
