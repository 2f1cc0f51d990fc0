"""CSV files as header and rows, with the line of every cell at hand for messages."""

import csv
import math
import os
from collections.abc import Sequence
from pathlib import Path

_DELIMITERS = (",", ";", "\t")


def read_text(path: str | os.PathLike) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            f"{Path(path).name} must be text in UTF-8, but is not; save it as such."
        ) from None


def read_rows(path: str | os.PathLike) -> tuple[list[str], list[tuple[int, dict]]]:
    """Header and (line number, cells by column) of a CSV file; `#` opens a comment.

    Cells are separated by what separates the header's: a comma, semicolon or tab.
    """
    name = Path(path).name
    lines = read_text(path).splitlines()
    kept = [
        (n + 1, line)
        for n, line in enumerate(lines)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not kept:
        raise ValueError(f"{name} must have a header line, but is empty.")
    cells = _cells(name, kept)
    header = cells[0]
    rows = []
    for (number, _), row in zip(kept[1:], cells[1:], strict=True):
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


def _cells(name: str, kept: Sequence[tuple[int, str]]) -> list[list[str]]:
    """The cells of every line; one line is one row."""
    delimiter = max(_DELIMITERS, key=kept[0][1].count)
    return [split_line(name, number, line, delimiter) for number, line in kept]


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


def read_number(path: str | os.PathLike, line: int, column: str, text: str) -> float:
    """The finite number in a cell."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        comma = "," in text and "." not in text
        remedy = "write a decimal point" if comma else "correct or remove the row"
        raise ValueError(
            f"{Path(path).name}, line {line}, column {column}, must be a finite "
            f"number, but is '{text}'; {remedy}."
        )
    return value
