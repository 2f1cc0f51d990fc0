"""CSV files as header and rows, with the line of every cell at hand for messages."""

import csv
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from diffelec.constants import LARGEST_RADIUS, SMALLEST_RADIUS

from .contents import check_text

DELIMITERS = (",", ";", "\t")
_NO_COMMENT = re.compile(r"#[^#\s]")  # a name, or a row with a mark before it


def read_text(path: str | os.PathLike) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    check_text(path)
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{Path(path).name} must be text in UTF-8, but is not; save it as such."
        ) from None


def read_rows(path: str | os.PathLike) -> tuple[list[str], list[tuple[int, dict]]]:
    """Header and (line number, cells by column) of a CSV file.

    Cells are separated by what separates the header's: a comma, semicolon or tab. `#`
    opens a comment, beneath the header with a space behind it. Rows of empty cells are
    left out.
    """
    name, kept = Path(path).name, []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        comment = line.lstrip().startswith("#")
        if comment and kept:
            _check_comment(name, number, line)
        if line.strip() and not comment:
            kept.append((number, line))
    if not kept:
        raise ValueError(f"{name} must have a header line, but is empty.")
    cells = _cells(name, kept)
    header = cells[0]
    _check_header(name, header)
    rows = []
    for (number, _), row in zip(kept[1:], cells[1:], strict=True):
        if not any(row):  # as a spreadsheet writes below its last row
            continue
        if len(row) != len(header):
            raise ValueError(
                f"{name}, line {number}, must have {len(header)} cells, but has "
                f"{len(row)}."
            )
        rows.append((number, dict(zip(header, row, strict=True))))
    if not rows:
        raise ValueError(
            f"{name} must have one row or more below its header, but has none."
        )
    return header, rows


def _check_header(name: str, header: Sequence[str]) -> None:
    """Refuses a name of two columns: cells of one of them would not be read."""
    twice = [label for label in header if label and header.count(label) > 1]
    if twice:
        raise ValueError(
            f"{name} must have every column once, but has {twice[0]} "
            f"{header.count(twice[0])} times; rename or remove all but one."
        )


def opens_like_a_name(line: str) -> bool:
    """Whether a line that begins with # may be a row: `#1,…` is, `# 1,…` is not."""
    return _NO_COMMENT.match(line.lstrip()) is not None


def _check_comment(name: str, number: int, line: str) -> None:
    """Refuses a line that may be a row: rows must not vanish silently."""
    if opens_like_a_name(line):
        word = re.split(r"[,;\s]", line.strip(), maxsplit=1)[0]
        raise ValueError(
            f"{name}, line {number}, must be a row or a comment, but begins with "
            f'{word}; write "{word}" in quotes if that is a name, or a space behind '
            "the # to leave the line out."
        )


def write_rows(
    stream: TextIO, rows: Iterable[Sequence], lineterminator: str = "\r\n"
) -> None:
    """Writes rows of cells; in quotes a first one that begins like a comment."""

    class Quoting:
        def write(self, line: str) -> int:
            return stream.write(re.sub(r"^#[^,\r\n]*", r'"\g<0>"', line))

    csv.writer(Quoting(), lineterminator=lineterminator).writerows(rows)


def _cells(name: str, kept: Sequence[tuple[int, str]]) -> list[list[str]]:
    """The cells of every line; one line is one row."""
    delimiter = delimiter_of(*(line for _, line in kept[:2]))
    return [split_line(name, number, line, delimiter) for number, line in kept]


def delimiter_of(line: str, below: str = "") -> str:
    """What parts the cells of a header: a comma, semicolon or tab.

    Tabs before semicolons before commas, where the line below holds as many, for names
    of columns may hold commas; else what the header holds most of.
    """
    for delimiter in reversed(DELIMITERS):
        if 0 < line.count(delimiter) == below.count(delimiter):
            return delimiter
    return max(DELIMITERS, key=line.count)


def split_line(name: str, number: int, line: str, delimiter: str) -> list[str]:
    """The cells of a line, without the spaces around them.

    Raises:
        ValueError: naming file and line, for a quotation mark that is not closed.
    """
    if '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)]
    try:
        (row,) = csv.reader([line], delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise ValueError(
            f"{name}, line {number}, must be a row of cells, but is not ({error}); "
            "look for a quotation mark that is not closed."
        ) from None
    return [cell.strip() for cell in row]


def is_plain(text: str) -> bool:
    """Whether a text has neither of what Python takes in numbers and tables do not
    mean so: `1_000`, and digits of other scripts.
    """
    return text.isascii() and "_" not in text


def as_number(text: str) -> float:
    """The number of a cell, NaN for what is none."""
    try:
        return float(text) if is_plain(text) else math.nan
    except ValueError:
        return math.nan


def read_number(path: str | os.PathLike, line: int, column: str, text: str) -> float:
    """The finite number in a cell."""
    value = as_number(text)
    if not math.isfinite(value):
        comma = "," in text and "." not in text
        remedy = "write a decimal point" if comma else "correct or remove the row"
        raise ValueError(
            f"{Path(path).name}, line {line}, column {column}, must be a finite "
            f"number, but is '{text}'; {remedy}."
        )
    return value


def check_radius(
    path: str | os.PathLike, line: int, column: str, radius: float
) -> None:
    """Raises ValueError for a radius [m] that no particle has."""
    if radius > LARGEST_RADIUS or 0 < radius < SMALLEST_RADIUS:
        raise ValueError(
            f"{Path(path).name}, line {line}, column {column}, must be a radius of "
            f"{1e9 * SMALLEST_RADIUS:g} nm to {1e3 * LARGEST_RADIUS:g} mm, but is "
            f"{radius:g} m; check the unit in the name of the column."
        )
