"""Text exports of instruments as a `Sheet`: header, rows and the line of every row.

Encoding, separators, preambles, units rows, repeated headers and text at the end are
dealt with here; what a column means is not.
"""

import dataclasses
import itertools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..contents import check_text
from ..sheets import delimiter_of, opens_like_a_name, split_line
from ..wording import counted
from .cycler_nested import flattened

_COMMENTS = ("#", "~")
_HEADER_WITHIN = 400  # lines, of which one must be the header
_LINE = re.compile(r"\r\n|\r|\n")
_BIOLOGIC = re.compile(r"Nb header lines\s*:\s*(\d+)")
_TABLE = re.compile(r"(\w+)\tTABLE(\t\d*)?\s*")  # above each table of Gamry's files
_NUMBER = re.compile(r"[-+]?[\d.,\s']*\d[\d.,\s']*([eE][-+]?\d+)?|[-+]?(nan|inf)")
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


@dataclasses.dataclass(frozen=True)
class Sheet:
    """A table of text: `rows` of cells below `header`, row k being line `lines[k]`.

    `preamble` holds the lines above the header, `notes` what was left aside.
    """

    name: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    lines: Sequence[int]
    delimiter: str = ""
    preamble: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def cells(self, index: int) -> list[str]:
        """The cells of a column."""
        return [row[index] for row in self.rows]


def read_sheet(
    path: str | os.PathLike, is_header: Callable[[Sequence[str]], bool]
) -> Sheet:
    """The table in a text file.

    Args:
        path: a file in UTF-8, UTF-16 or Latin-1; commas, semicolons or tabs.
        is_header: whether cells are those of the header; where no line's are, the
            first line is taken.

    Raises:
        ValueError: one sentence naming file and line.
        OSError: for a file that cannot be read.
    """
    name = Path(path).name
    text, notes = decode(path)
    lines, more = _curves_alone(name, _LINE.split(text))
    notes += more
    start, cells, delimiter = _find_header(name, lines, is_header)
    header = _without_empty_end([cell.strip().strip("~").strip() for cell in cells])
    rows, numbers, marked, repeated = _rows(name, lines, start, header, delimiter)
    above = [line.split(delimiter) for line in lines[max(start - 2, 0) : start]]
    flat = flattened([[c.strip() for c in row] for row in above], header, rows, numbers)
    if flat is not None:
        header, rows, numbers = flat
    if marked:
        notes.append(
            f"{name}: lines that begin with #, the first of them line {marked[0]}, "
            "were left aside; put a name that begins so in quotes."
        )
    if repeated:
        times = counted(repeated, "time")
        notes.append(f"{name}: the header is repeated {times}; left aside.")
    dropped = _drop_end(rows, numbers, len(header))
    if dropped:
        notes.append(f"{name}: text below the table, line {dropped}, was left aside.")
    _check_rows(name, rows, numbers, len(header), delimiter)
    preamble = tuple(lines[:start])
    return Sheet(name, tuple(header), rows, numbers, delimiter, preamble, tuple(notes))


def decode(path: str | os.PathLike) -> tuple[str, list[str]]:
    """The text of a file and what had to be assumed of its encoding."""
    name, data = Path(path).name, Path(path).read_bytes()
    if data.startswith(b"version https://git-lfs"):
        raise ValueError(
            f"{name} must be a table, but is the pointer of a file in large-file "
            "storage; fetch the file itself."
        )
    check_text(path)
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding, errors="replace").lstrip("\ufeff"), []
    if data[1:200:2].count(0) > 0.4 * len(data[1:200:2]) > 1:
        return data.decode("utf-16-le", errors="replace"), []
    if b"\0" in data:
        raise ValueError(
            f"{name} must be a table of text, but is binary; export it as text (CSV) "
            "from the program that wrote it."
        )
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        note = f"{name} is not in UTF-8 and was read as Latin-1."
        return data.decode("latin-1"), [note]


def _curves_alone(name: str, lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines, blank where a file of Gamry's holds tables other than its curves, or a
    curve's header again; and notes.
    """
    tables = [
        (k, m[1]) for k, line in enumerate(lines) if (m := _TABLE.fullmatch(line))
    ]
    curves = [k for k, table in tables if table.startswith("CURVE")]
    if len(tables) < 2 or not curves:
        return list(lines), []
    kept, notes = list(lines), []
    ends = [*(k for k, _ in tables[1:]), len(lines)]
    for (k, table), end in zip(tables, ends, strict=True):
        if k not in curves:
            kept[k:end] = [""] * (end - k)
            notes.append(f"{name}: its table {table}, line {k + 1}, was left aside.")
        elif k != curves[0] and lines[k + 1 : k + 2] == lines[curves[0] + 1 :][:1]:
            kept[k : k + 3] = [""] * 3  # its name, header and units
    return kept, notes


def _find_header(name: str, lines: Sequence[str], is_header):
    """(index of the line, its cells, its delimiter)."""
    kept = [
        (k, line)
        for k, line in enumerate(lines[:_HEADER_WITHIN])
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not kept:
        raise ValueError(f"{name} must have a header line, but is empty.")
    first = None
    for k, line in kept[:5]:
        told = _BIOLOGIC.search(line)
        if told:
            first = _counted_header(name, lines, k, int(told[1]))
            if is_header(first[1]):  # not where lines were added above
                return first
            break
    pairs = itertools.zip_longest(kept, kept[1:], fillvalue=(0, ""))
    for (k, line), (_, below) in pairs:
        delimiter = delimiter_of(line, below)
        if line.count(delimiter) == 0 and first is not None:
            continue
        try:
            cells = split_line(name, k + 1, line.lstrip("~"), delimiter)
        except ValueError:
            continue
        first = first or (k, cells, delimiter)
        if is_header(cells):
            return k, cells, delimiter
    return first or (kept[0][0], [kept[0][1]], ",")


def _counted_header(name: str, lines: Sequence[str], mark: int, count: int):
    """The header of a file that says how many lines it has above its rows."""
    k = count - 1
    if k <= mark or k >= len(lines):
        raise ValueError(
            f"{name} must have {count} header lines, as its line {mark + 1} says, but "
            f"has {len(lines)} lines; the file is cut off, export it again."
        )
    delimiter = delimiter_of(*lines[k : k + 2])
    return k, split_line(name, k + 1, lines[k], delimiter), delimiter


def _rows(name: str, lines: Sequence[str], start: int, header, delimiter: str):
    """(rows below a header, their lines, lines that may be rows but begin with #,
    how often the header is repeated).
    """
    rows, numbers, marked, repeated = [], [], [], 0
    for number in range(start + 1, len(lines)):
        line = lines[number]
        units = not rows and _are_units(line, delimiter, len(header))
        if not line.strip() or (line.lstrip().startswith(_COMMENTS) and not units):
            if opens_like_a_name(line):
                marked.append(number + 1)
            continue
        row = _trimmed(split_line(name, number + 1, line, delimiter), len(header))
        if row == header:
            repeated += 1
            continue
        rows.append(row)
        numbers.append(number + 1)
    return rows, numbers, marked, repeated


def _are_units(line: str, delimiter: str, width: int) -> bool:
    """Whether a line has a cell for every column, one of the first two being #.

    Gamry writes so the unit of what counts points, in the row of units.
    """
    cells = [cell.strip() for cell in line.split(delimiter)]
    return "#" in cells[:2] and len(_trimmed(cells, width)) == width


def _without_empty_end(cells: list[str]) -> list[str]:
    while len(cells) > 1 and not cells[-1]:
        cells = cells[:-1]
    return cells


def _trimmed(row: list[str], width: int) -> list[str]:
    """A row without empty cells beyond the header's last."""
    return row[:width] if len(row) > width and not any(row[width:]) else row


def looks_numeric(cell: str) -> bool:
    """Whether a cell holds a number, with points or commas."""
    return bool(_NUMBER.fullmatch(cell.strip().lower()))


def _drop_end(rows: list, numbers: list, width: int) -> int:
    """Removes rows of mere text from the end; the line of the first one, or 0."""
    first = 0
    while rows and not any(looks_numeric(cell) for cell in rows[-1]):
        if len(rows[-1]) == width and len(rows) == 1:
            break
        first = numbers.pop()
        rows.pop()
    return first


def _check_rows(name: str, rows, numbers, width: int, delimiter: str) -> None:
    if not rows:
        raise ValueError(
            f"{name} must have one row or more below its header, but has none."
        )
    for row, number in zip(rows, numbers, strict=True):
        if len(row) == width:
            continue
        remedy = "complete or remove the line"
        if delimiter == "," and len(row) > width:
            remedy = "where commas are decimal, export with semicolons or tabs"
        raise ValueError(
            f"{name}, line {number}, must have {width} cells, but has {len(row)}; "
            f"{remedy}."
        )
