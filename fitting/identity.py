"""What makes two runs the same: a digest of data, model, priors and versions."""

import dataclasses
import enum
import functools
import hashlib
import inspect
import pathlib
import types
from importlib import metadata
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .samplers import AbstractSampler

_PACKAGES = ("jax", "jaxlib", "numpyro", "diffrax", "equinox", "interpax", "diffelec")


_PLAIN = (
    *(type(None), bool, int, float, complex, str, bytes, range, slice, enum.Enum),
    *(pathlib.PurePath, np.dtype),
)


def digest(thing: Any) -> str:
    """16 hexadecimal digits that change with anything inside: numbers bit by bit,
    static settings, the names of functions and what they close over.

    Raises:
        ValueError: for a thing that tells nothing of what it is made of.
    """
    told = hashlib.sha256()
    for part in _parts(thing):
        told.update(f"{len(part)} ".encode())
        told.update(part)
    return told.hexdigest()[:16]


def _parts(thing):
    """The bytes of a tree of modules, arrays, functions and plain values."""
    is_array = isinstance(thing, np.ndarray | np.generic | jax.Array)
    if is_array and not np.dtype(thing.dtype).hasobject:
        array = np.asarray(thing)
        yield f"array {array.dtype}{array.shape}".encode()
        yield np.ascontiguousarray(array).tobytes()
        return
    yield type(thing).__qualname__.encode()
    if isinstance(thing, _PLAIN):
        yield repr(thing).encode()
        return
    made_of = thing.tolist() if is_array else _made_of(thing)
    yield str(len(made_of)).encode()  # says where nested ones end
    for part in made_of:
        yield from _parts(part)


def _made_of(thing) -> list:
    """What a thing that is no plain value holds."""
    if isinstance(thing, tuple | list):
        return list(thing)
    if isinstance(thing, dict):
        return [(key, thing[key]) for key in sorted(thing, key=repr)]
    if isinstance(thing, set | frozenset):
        return sorted(digest(item) for item in thing)
    if isinstance(thing, type | types.ModuleType):
        return [getattr(thing, "__module__", ""), thing.__name__]
    if isinstance(thing, functools.partial):
        return [thing.func, thing.args, thing.keywords]
    if isinstance(thing, types.MethodType):
        return [thing.__func__, thing.__self__]
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        return [thing.__qualname__, cells, thing.__defaults__, thing.__kwdefaults__]
    if dataclasses.is_dataclass(thing):
        fields = dataclasses.fields(thing)
        return [(field.name, getattr(thing, field.name)) for field in fields]
    if hasattr(thing, "__wrapped__"):  # compiled by `jax.jit`
        return [thing.__wrapped__]
    if isinstance(thing, np.ufunc | jnp.ufunc | types.BuiltinFunctionType):
        return [thing.__name__, getattr(thing, "__self__", None)]
    return [(name, _field(thing, name)) for name in _fields_of(thing)]


def _field(thing, name: str):
    own = getattr(thing, "__dict__", {})
    return own.get(name) if name not in _slots(thing) else getattr(thing, name, None)


def _slots(thing) -> list[str]:
    every = [vars(kind).get("__slots__", ()) for kind in type(thing).__mro__]
    return [n for s in every for n in ((s,) if isinstance(s, str) else s)]


def _fields_of(thing) -> list[str]:
    """What another object is made of, without what it works out from that: a
    distribution's parameters, public attributes of anything else.
    """
    if hasattr(thing, "gather_pytree_data_fields"):
        return sorted(thing.gather_pytree_data_fields())
    names = [*getattr(thing, "__dict__", ()), *_slots(thing)]
    # A class of one's own says by its name what it is, one without attributes not.
    if not names and not hasattr(thing, "__dict__"):
        raise ValueError(
            f"A run that can be resumed must be made of values, but {thing!r} does not "
            "tell what it holds; use a dataclass or a function in its place."
        )
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
        "sampler": f"{sampler!r} {digest(sampler)}",  # arrays are not written out
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
