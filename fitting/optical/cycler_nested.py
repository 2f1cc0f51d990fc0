"""Tables in which rows of cycles, of steps and of records stand below each other.

Neware's software indents them: a record begins with two empty cells, a step with one,
and a header has a line of each kind.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..columns import CYCLER, STATE, matches

_KINDS = ("cycle_count", "step_id")


class Flat(NamedTuple):
    """A table of records: its header, its rows and the line of each."""

    header: list[str]
    rows: list[list[str]]
    lines: list[int]


def flattened(
    above: Sequence[Sequence[str]],
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    lines: Sequence[int],
) -> Flat | None:
    """The records of an indented table, behind the cycle and the step of each.

    A column Step Count numbers the steps through, for cycles count theirs anew.

    Args:
        above: cells of the two lines above the header.
        header: of the records.
        rows: of every kind.
        lines: of the rows.

    Returns:
        None where the table is not indented.
    """
    if len(above) < 2 or any(header[:2]) or not _are_headers(above):
        return None
    state = next((c.index for _, c in matches(above[1], STATE)), None)
    titles = [above[0][0], above[1][1], "Step Count"]
    titles += [] if state is None else [above[1][state]]
    now, count, flat, kept = ["", ""], 0, [], []
    name: list[str] = []
    for row, line in zip(rows, lines, strict=True):
        row = [*row, *[""] * (len(header) - len(row))]
        if row[0]:
            now[0] = row[0]
        elif row[1]:
            now[1], count = row[1], count + 1
            name = [] if state is None else [row[state]]
        else:
            flat.append([*now, str(count), *name, *row[2:]])
            kept.append(line)
    return Flat([*titles, *header[2:]], flat, kept)


def _are_headers(above: Sequence[Sequence[str]]) -> bool:
    """Whether lines are the headers of cycles and of steps, each in its place."""
    return all(
        len(cells) > place
        and not any(cells[:place])
        and bool(matches([cells[place]], CYCLER[kind]))
        for place, (cells, kind) in enumerate(zip(above, _KINDS, strict=True))
    )
