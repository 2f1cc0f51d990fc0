"""Writes arrays with the names of their axes and their units as NetCDF 4.

The files follow the conventions by which xarray opens them: a variable with the name
of its axis is that axis's coordinate, others that go along name themselves in the
attribute `coordinates`, and flags are bytes marked as `bool`. Importing xarray, which
brings pandas, would take longer than writing.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Group(NamedTuple):
    """What a group of a file holds.

    Attributes:
        variables: name: (axes, values, attributes such as `units`).
        coordinates: values along the axis of their name, or as for a variable.
    """

    variables: Mapping[str, tuple]
    coordinates: Mapping[str, tuple | list | np.ndarray]


def missing() -> str | None:
    """None, or the name of the package of the extra `io` that is missing."""
    try:
        import h5netcdf as _backend  # noqa: F401
        import h5py as _library  # noqa: F401
    except ImportError as error:
        return error.name
    return None


def write(path: str | Path, groups: Mapping[str, Group], attributes: Mapping) -> None:
    """Writes a file; the group '' is the file itself.

    Args:
        path: of the file.
        groups: by name.
        attributes: texts and numbers that every group carries.
    """
    import h5netcdf

    memory = io.BytesIO()  # as HDF5 crashes the process where a disk is full
    with h5netcdf.File(memory, "w") as file:
        for name, group in groups.items():
            _fill(file.create_group(name) if name else file, group, attributes)
    Path(path).write_bytes(memory.getbuffer())


def _fill(place, group: Group, attributes: Mapping) -> None:
    axes = {
        name: given if isinstance(given, tuple) else ((name,), given, {})
        for name, given in group.coordinates.items()
    }
    sizes = {}
    for dims, values, _ in (axes | dict(group.variables)).values():
        sizes |= dict(zip(dims, np.shape(values), strict=True))
    place.dimensions = sizes
    for name, (dims, values, notes) in axes.items():
        _write(place, name, dims, values, notes)
    for name, (dims, values, notes) in group.variables.items():
        beside = [n for n, (own, _, _) in axes.items() if n not in own]
        beside = [n for n in beside if set(axes[n][0]) <= set(dims)]
        along = {"coordinates": " ".join(beside)} if beside else {}
        _write(place, name, dims, values, {**notes, **along})
    place.attrs.update(attributes)


def _write(place, name: str, dims, values, attributes: Mapping) -> None:
    import h5py

    values = np.asarray(values)
    kind, notes = values.dtype, dict(attributes)
    if kind.kind in "US":
        kind, values = h5py.string_dtype(), values.astype(object)
    elif kind.kind == "b":
        kind, notes["dtype"] = np.dtype(np.int8), "bool"
    made = place.create_variable(name, tuple(dims), dtype=kind)
    if values.size:
        made[...] = values.astype(kind)
    made.attrs.update(notes)
