"""One page of several folders of results: what was asked, found, drawn.

The page is one HTML file that needs nothing beside it: figures are inside.
"""

import base64
import csv
import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from . import files
from .optical.cycler_columns import is_header
from .optical.cycler_text import decode, read_sheet
from .sheets import delimiter_of
from .wording import counted

_CYCLER = "cycler"  # the copy of a cycler's own file, of whatever layout
_MOST_ROWS, _MOST_COLUMNS = 60, 20  # of a table that is shown
_DIGITS = 4
_NAMES = {"particle", "site", "region", "curve", "parameter", "mechanism"}  # columns
_STYLE = """
body { font: 15px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
h2 { border-top: 1px solid #999; padding-top: 1em; margin-top: 2em }
table { border-collapse: collapse; font-size: 13px; margin: 0.5em 0 1.5em }
td, th { border-bottom: 1px solid #ddd; padding: 0.1em 0.6em; text-align: right }
td:first-child, th:first-child { text-align: left }
img { max-width: 100%; display: block }
figure { margin: 1em 0 2em }
code { background: #f3f3f3; padding: 0.1em 0.3em; overflow-wrap: anywhere }
.scroll { overflow-x: auto }
"""


class Part(NamedTuple):
    """One folder of results.

    Attributes:
        name: of the folder, as it is to be called.
        study: what its study.json holds.
        folder: where tables and figures are.
    """

    name: str
    study: dict
    folder: Path


def parts_of(folder: Path) -> list[Part]:
    """A folder of results and those inside it.

    Raises:
        ValueError: for a folder that holds no results.
        OSError: for one that cannot be read.
    """
    found = []
    for path in sorted(folder.rglob(files.STUDY), key=lambda p: (len(p.parts), p)):
        study = _read(path)
        if not isinstance(study, dict):
            raise ValueError(f"{path} must hold an object, but does not.")
        name = Path(folder.resolve().name) / path.parent.relative_to(folder)
        found.append(Part(str(name), study, path.parent))
    if not found:
        raise ValueError(
            f"'{folder}' must be a folder of results, but neither it nor a folder in it"
            f" has a {files.STUDY}."
        )
    return found


def _read(path: Path):
    """What a file of JSON holds; its folder is named where it is damaged."""
    try:
        return files.read_json(path)
    except ValueError as error:
        raise ValueError(f"{path.parent}: {error}") from None


def page(parts: list[Part]) -> str:
    """The HTML of all parts."""
    title = "; ".join(dict.fromkeys(_title(part) for part in parts))
    body = "\n".join(line for part in parts for line in _section(part))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head><body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def _title(part: Part) -> str:
    return str(part.study.get("title") or part.name)


def _section(part: Part) -> Iterator[str]:
    study, folder = part.study, part.folder
    kind = str(study.get("format", "results")).removeprefix("diffelec ")
    yield f"<h2>{escape(part.name)}: {escape(kind)}</h2>"
    told = [str(study[key]) for key in ("title", "date") if study.get(key)]
    yield f"<p>{escape(', '.join(told))}</p>"
    if study.get("command"):
        yield f"<p><code>{escape(str(study['command']))}</code></p>"
    for sentence in _outcomes(part):
        yield f"<p><strong>{escape(sentence)}</strong></p>"
    for path in sorted(folder.glob("*.png")):
        name = path.stem.replace("_", " ")
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        yield (
            f'<figure><img alt="{escape(name)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(name)}</figcaption></figure>"
        )
    for path in sorted(folder.glob("*.csv")):
        yield _table(path)
    versions = study.get("versions")
    if isinstance(versions, dict):
        text = ", ".join(f"{name} {value}" for name, value in versions.items())
        yield f"<p>Versions: {escape(text)}</p>"


def _outcomes(part: Part) -> list[str]:
    """What a run says of itself."""
    found = [part.study.get("outcome")]
    summary = part.folder / "summary.json"
    if summary.exists():
        told = _read(summary)
        told = told if isinstance(told, dict) else {}
        found.append(told.get("verdict"))
        remarks = told.get("remarks")
        found += map(str, remarks if isinstance(remarks, list) else [])
    return list(dict.fromkeys(text for text in found if isinstance(text, str) and text))


def _table(path: Path) -> str:
    """A table, or where it is long or wide its size, or why it cannot be shown."""
    name = f"<h3>{escape(path.name)}</h3>"
    try:
        rows = _rows(path)
    except (ValueError, OSError, csv.Error) as error:
        return f"{name}<p>not shown: {escape(str(error))}</p>"
    if not rows:
        return f"{name}<p>empty</p>"
    if len(rows) > _MOST_ROWS or len(rows[0]) > _MOST_COLUMNS:
        size = counted(len(rows) - 1, "row"), counted(len(rows[0]), "column")
        return f"{name}<p>{' of '.join(size)}</p>"
    named = {k for k, label in enumerate(rows[0]) if label.strip() in _NAMES}
    head = "".join(f"<th>{escape(label)}</th>" for label in rows[0])
    body = ("".join(_cells(row, named)) for row in rows[1:])
    inside = "".join(f"<tr>{row}</tr>" for row in (head, *body))
    return f'{name}<div class="scroll"><table>{inside}</table></div>'


def _rows(path: Path) -> list[Sequence[str]]:
    """Header and rows; of copies of users' files as their readers take them."""
    if path.stem == _CYCLER:
        sheet = read_sheet(path, is_header)
        return [sheet.header, *sheet.rows]
    lines = [line for line in decode(path)[0].splitlines() if line.strip()]
    while lines and lines[0].startswith("#"):
        del lines[0]
    if not lines:
        return []
    delimiter = delimiter_of(*lines[:2])
    return [row for row in csv.reader(lines, delimiter=delimiter) if row]


def _cells(row: Sequence[str], named: set[int]) -> Iterator[str]:
    """The cells of a row; those of `named` columns are names, even "2.10"."""
    for k, cell in enumerate(row):
        yield f"<td>{escape(cell if k in named else _short(cell))}</td>"


def _short(cell: str) -> str:
    """A number in few digits; other text as it is."""
    try:
        value = float(cell)
    except ValueError:
        return cell
    if not math.isfinite(value) or cell.lstrip("-").isdigit():
        return cell
    return f"{value:.{_DIGITS}g}"
