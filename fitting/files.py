"""Opens electrode, particle and result files, and writes tables and JSON.

Columns and keys carry their units: `radius_um`, `time_s`, `voltage_V`.
"""

import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import diffelec
from diffelec.constants import LARGEST_RADIUS

from .electrodes import electrode_from_dict as electrode_from_dict
from .electrodes import electrode_to_dict as electrode_to_dict
from .labels import read_label_image
from .sheets import check_radius, read_number, read_rows, read_text, write_rows

STUDY = "study.json"
_MICRO = 1e-6
_SLIPS = {
    **dict.fromkeys("/#", "JSON has no comments, remove this one"),
    **dict.fromkeys("'`“”„‘’", "write straight double quotes"),
}
_DEEPEST = 100  # lists and objects of JSON in each other
_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_TABLE_COLUMNS = ("particle", "x_um", "y_um", "z_um", "radius_um")
_TABLE_OPTIONAL = ("imaged", "multiplicity", "initial_stoichiometry")


def read_electrode(path: str | os.PathLike) -> diffelec.Electrode:
    """The electrode in a JSON file, or in the `study.json` of an earlier run.

    A particle table or a label image is looked for beside the file.

    Raises:
        ValueError: one sentence naming the file and what is wrong in it.
        OSError: for a file that cannot be read.
    """
    path = Path(path)
    data = read_json(path)
    kind = data.get("format") if isinstance(data, dict) else None
    if kind == "diffelec study":
        data = data.get("electrode")
    elif str(kind).startswith("diffelec ") and kind != "diffelec electrode":
        beside = path.with_name("electrode.json")
        remedy = f"; take '{beside}'" if beside.exists() else ""
        raise ValueError(
            f"{path.name} must be of a simulation to hold an electrode, but is of "
            f"'{kind}'{remedy}."
        )
    try:
        network = data.get("network") if isinstance(data, dict) else None
        return electrode_from_dict(data, _table_beside(path.parent, network))
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _table_beside(folder: Path, network):
    """What the network's particle table or label image says; None without either."""
    if not isinstance(network, dict):
        return None
    name, image = network.get("particle_table"), network.get("label_image")
    if isinstance(name, str):
        return read_particle_table(folder / name)
    size = network.get("voxel_um")
    if isinstance(image, str) and isinstance(size, int | float):
        return _labelled(folder / image, size)
    return None


def _labelled(path: Path, size: float) -> dict[str, np.ndarray]:
    """The particles of a label image with voxels of a size [um]."""
    if not size > 0:
        raise ValueError(
            f"electrode.network.voxel_um must be positive, but is {size:g}."
        )
    table = read_label_image(path, _MICRO * size)
    largest = int(np.argmax(table["radius"]))
    if table["radius"][largest] > LARGEST_RADIUS:
        raise ValueError(
            f"electrode.network.voxel_um must be the size of a voxel in um, but with "
            f"{size:g} the particle '{table['particle'][largest]}' has a radius of "
            f"{1e3 * table['radius'][largest]:.3g} mm, and {1e3 * LARGEST_RADIUS:g} mm "
            "is the most; check the unit."
        )
    return table


def write_electrode(path: str | os.PathLike, electrode: diffelec.Electrode) -> None:
    """Writes an electrode in the explicit form."""
    write_json(path, electrode_to_dict(electrode))


def read_json(path: str | os.PathLike):
    """The data of a JSON file; ValueError for what is no JSON, NaN included."""

    def refuse(constant):
        raise ValueError(f"it holds {constant}, which is not a number of JSON")

    text = read_text(path)
    try:
        data = json.loads(
            text,
            parse_constant=refuse,
            parse_float=_json_number,
            parse_int=_json_count,
            object_pairs_hook=_json_object,
        )
        _check_depth(data)
        return data
    except RecursionError:
        raise ValueError(
            f"{Path(path).name} cannot be used: its lists and objects stand in each "
            "other too deeply; remove brackets."
        ) from None
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{Path(path).name} must be JSON, but is not at line {error.lineno}, "
            f"column {error.colno}: {_slip(text, error.pos) or error.msg}."
        ) from None
    except ValueError as error:
        raise ValueError(f"{Path(path).name} cannot be used: {error}.") from None


def _slip(text: str, at: int) -> str | None:
    """What to do where a text is no JSON any more, of what people write by hand."""
    here, before, after = text[at : at + 1], text[:at].rstrip(), text[at + 1 :].lstrip()
    # Python from 3.13 on points at the comma, and others at what is behind it.
    if re.match(r"[}\]]", here if before.endswith(",") else after * (here == ",")):
        return "remove the comma behind the last entry"
    if here.isdigit() and text[:at].endswith(","):
        return "write numbers with a decimal point"
    return _SLIPS.get(here)


def _check_depth(data) -> None:
    """Raises RecursionError where whoever looks into the data would."""
    level = [[data]]
    for _ in range(_DEEPEST):
        inside = (x.values() if isinstance(x, dict) else x for x in level)
        level = [v for values in inside for v in values if isinstance(v, dict | list)]
        if not level:
            return
    raise RecursionError


def _json_number(text: str) -> float:
    """A number; JSON has no largest one."""
    value = float(text)
    if math.isinf(value):
        shown = text if len(text) <= 20 else f"{text[:10]}… of {len(text)} digits"
        raise ValueError(f"it holds the number {shown}, which is too large")
    return value


def _json_count(text: str) -> int:
    _json_number(text)
    return int(text)


def _json_object(pairs: list[tuple]) -> dict:
    """An object; of keys given twice JSON would keep the last in silence."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it gives the key '{key}' twice; keep one of the two")
        found[key] = value
    return found


def finite(number: float) -> float | None:
    """A number as JSON can hold it: None where it is none, or infinite."""
    return float(number) if math.isfinite(number) else None


def write_json(path: str | os.PathLike, data) -> None:
    """Writes JSON, indented, without NaN."""
    text = json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_particle_table(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Particles as arrays, from CSV.

    Columns particle, x_um, y_um, z_um, radius_um and, if wanted, imaged (1 or 0),
    multiplicity, initial_stoichiometry.

    Returns:
        `particle` (labels), `position` (particle, 3) [m], `radius` [m], `imaged`, and
        `multiplicity` and `initial_stoichiometry` where the table has them.

    Raises:
        ValueError: naming line and column of what is no number or not positive.
    """
    header, rows = read_rows(path)
    _check_header(path, header)
    table = {"particle": np.array([cells["particle"] for _, cells in rows])}
    columns = {
        name: np.array([read_number(path, n, name, cells[name]) for n, cells in rows])
        for name in header
        if name not in ("particle", "imaged")
    }
    for name in ("radius_um", "multiplicity"):
        for (line, cells), value in zip(rows, columns.get(name, []), strict=False):
            if value <= 0:
                raise ValueError(
                    f"{Path(path).name}, line {line}, column {name}, must be positive, "
                    f"but is {value:g} (particle '{cells['particle']}')."
                )
            if name == "radius_um":
                check_radius(path, line, name, _MICRO * value)
    for line, cells in rows:
        if not cells["particle"]:
            raise ValueError(
                f"{Path(path).name}, line {line}, column particle, must be a label, "
                "but is empty."
            )
    axes = [columns.pop(f"{axis}_um") for axis in "xyz"]
    table["position"] = _MICRO * np.stack(axes, axis=1)
    table["radius"] = _MICRO * columns.pop("radius_um")
    table["imaged"] = np.array([_flag(path, *row) for row in rows])
    return table | columns


def _check_header(path, header: Sequence[str]) -> None:
    missing = [name for name in _TABLE_COLUMNS if name not in header]
    unknown = [n for n in header if n not in (*_TABLE_COLUMNS, *_TABLE_OPTIONAL)]
    if missing:
        raise ValueError(
            f"{Path(path).name} must have the column {missing[0]}, but has "
            f"{', '.join(header)}."
        )
    if unknown:
        raise ValueError(
            f"{Path(path).name} has the column '{unknown[0]}', but columns are "
            f"{', '.join((*_TABLE_COLUMNS, *_TABLE_OPTIONAL))}, each once."
        )


def _flag(path, line: int, cells: dict) -> bool:
    text = cells.get("imaged", "1").lower()
    if text not in _FLAGS:
        raise ValueError(
            f"{Path(path).name}, line {line}, column imaged, must be 1 or 0, but is "
            f"'{text}'."
        )
    return _FLAGS[text]


def read_times(path: str | os.PathLike) -> np.ndarray:
    """Instants [s] from the column `time_s` of a CSV file, increasing."""
    header, rows = read_rows(path)
    if "time_s" not in header:
        raise ValueError(
            f"{Path(path).name} must have the column time_s, but has "
            f"{', '.join(header)}."
        )
    values = [read_number(path, n, "time_s", cells["time_s"]) for n, cells in rows]
    for k in range(1, len(values)):
        if values[k] <= values[k - 1]:
            raise ValueError(
                f"{Path(path).name}, line {rows[k][0]}, column time_s, must be later "
                f"than the row before, but is {values[k]:g}; sort the rows."
            )
    return np.array(values)


def write_csv(
    path: str | os.PathLike, header: Sequence[str], rows: Iterable[Sequence]
) -> None:
    """Writes a table; numbers in full precision, infinite or NaN ones as empty cells.

    `header` names the columns with their units.
    """
    with open(path, "w", newline="", encoding="utf-8") as stream:
        write_rows(stream, [header])
        write_rows(stream, ([_cell(value) for value in row] for row in rows))


def _cell(value):
    if isinstance(value, float | np.floating):
        return repr(float(value)) if math.isfinite(value) else ""
    return value
