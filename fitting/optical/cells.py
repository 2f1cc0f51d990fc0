"""Cells of instruments' tables as numbers, durations and dates.

Decimal commas, thousands separators, readings of a clock, dates of several orders,
Excel's serial dates.
"""

import itertools
import math
import re
import zoneinfo
from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..sheets import as_number, is_plain, read_number

_CLOCK = re.compile(
    r"(?:(?P<d>\d+)\s*(?:d|days?,?|-)\s*)?(?P<h>\d+):(?P<m>\d{1,2}):"
    r"(?P<s>\d{1,2}(?:[.,]\d+)?)(?::(?P<ms>\d{3}))?"
)
_DATE = re.compile(
    r"(?P<a>\d{1,4})[-/.](?P<b>\d{1,2}|[A-Za-z]{3,})[-/.](?P<c>\d{2,4})"
    r"(?:[T\s]+(?P<h>\d{1,2}):(?P<m>\d{2})(?::(?P<s>\d{1,2}(?:[.,]\d+)?))?"
    r"(?::(?P<ms>\d{3}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<zone>Z|UTC|[-+]\d{2}:?\d{2})?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct")
_MONTHS += ("nov", "dec")
_EXCEL_EPOCH = date(1899, 12, 30).toordinal()
_UNIX_EPOCH = date(1970, 1, 1).toordinal()
_EXCEL_DAYS = (20000.0, 80000.0)  # 1954 to 2119, as serial dates of Excel
_DAY = 86400.0
_UNIX_FROM, _UNIX_MS_FROM = 1e8, 1e11  # 1973, in s and in ms
_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+")
_POINT = re.compile(r"[-+]?\d*\.\d*")
_HUNDREDS = re.compile(r"[-+]?[1-9]\d\d")
# Places of year, month and day in a date.
_YEAR_FIRST, _DAY_FIRST, _MONTH_FIRST = (0, 1, 2), (2, 1, 0), (2, 0, 1)
_CLOSER = 2.0  # how much closer days of one order must lie than those of another


class Separators(NamedTuple):
    """What is removed from numbers, and what stands for the decimal point."""

    thousands: str
    decimal: str


def separators_of(file: str, columns: Sequence[Sequence[str]]) -> Separators:
    """How the numbers of a table's columns are written.

    Raises:
        ValueError: where cells contradict each other, or commas may mean two things.
    """
    mixed, commas, points = [], [], []
    for cell in itertools.chain.from_iterable(columns):
        if "," in cell:
            (mixed if "." in cell else commas).append(cell)
        elif "." in cell:
            points.append(cell)
    if mixed:
        decimal = "." if mixed[0].rfind(".") > mixed[0].rfind(",") else ","
        thousands = "." if decimal == "," else ","
        groups = re.compile(rf"[-+]?\d{{1,3}}(?:\{thousands}\d{{3}})+(?:\{decimal}.*)?")
        # The decimal sign alone parts no groups: of 0,5 beside 1.200,5 there is none.
        alone = commas if thousands == "," else list(filter(_POINT.fullmatch, points))
        strange = [c for c in mixed + alone if not groups.fullmatch(c)]
        if not strange:
            return Separators(thousands, decimal)
        raise ValueError(
            f"{file} must write its numbers in one way, but has '{mixed[0]}' and "
            f"'{strange[0]}'; export it with one decimal sign."
        )
    may_part = commas and all(_THOUSANDS.fullmatch(cell) for cell in commas)
    if commas and points:
        if may_part:
            return Separators(",", ".")
        raise ValueError(
            f"{file} must write its numbers in one way, but has '{commas[0]}' beside "
            "decimal points; export it with one decimal sign."
        )
    if may_part:
        _check_commas(file, columns)
    return Separators("", ",") if commas else Separators("", ".")


def _check_commas(file: str, columns: Sequence[Sequence[str]]) -> None:
    """Raises ValueError where hundreds stand beside what may be thousands."""
    for column in columns:
        comma = next((cell for cell in column if "," in cell), None)
        plain = next((cell for cell in column if _HUNDREDS.fullmatch(cell)), None)
        if comma and plain:
            raise ValueError(
                f"{file} must show whether its commas part thousands or decimals, but "
                f"has '{comma}' and '{plain}' in one column; export it without commas "
                "for thousands, or with decimal points."
            )


def to_number(cell: str, separators: Separators) -> str:
    """A cell as Python writes a number."""
    text = cell.replace("\u00a0", "").replace("\u202f", "").replace("'", "")
    text = re.sub(r"(?<=\d) (?=\d{3})", "", text)
    if separators.thousands:
        text = text.replace(separators.thousands, "")
    return text.replace(separators.decimal, ".").replace("\u2212", "-")


def numbers(
    file: str,
    lines: Sequence[int],
    label: str,
    cells: Sequence[str],
    separators: Separators,
    *,
    required: bool = True,
) -> Float[np.ndarray, " row"]:
    """A column of numbers; where not `required`, other cells are NaN.

    Raises:
        ValueError: naming file, line and column of the first cell that is none.
    """
    # Of points that part thousands, Python would make decimal ones.
    as_they_are = separators.thousands != "." and is_plain("".join(cells))
    try:
        found = np.array(cells, float) if as_they_are else None
    except ValueError:
        found = None
    if found is None:
        texts = [to_number(cell, separators) for cell in cells]
        found = np.array([as_number(text) for text in texts])
    bad = np.flatnonzero(~np.isfinite(found))
    if bad.size and required:
        k = bad[0]
        read_number(file, lines[k], label, cells[k] if cells[k] else "")
    return found


def is_clock(cell: str) -> bool:
    """Whether a cell is a duration such as 27:13:05 or 1-03:13:05."""
    return bool(_CLOCK.fullmatch(cell.strip()))


def check_clock(file: str, line: int, label: str, cell: str) -> None:
    """Raises ValueError for a duration such as 22:38, which may mean two things."""
    if re.fullmatch(r"\d+:\d\d", cell.strip()):
        raise ValueError(
            f"{file}, line {line}, column {label}, must show hours, minutes and "
            f"seconds, but is '{cell}'; write {cell}:00 for hours and minutes, "
            f"0:{cell} for minutes and seconds."
        )


def is_date(cell: str) -> bool:
    """Whether a cell is a date."""
    return bool(_DATE.fullmatch(cell.strip()))


def durations(
    file: str, lines: Sequence[int], label: str, cells: Sequence[str]
) -> Float[np.ndarray, " row"]:
    """Durations [s] of cells such as 27:13:05.5, 1-03:13:05 or 1d 03:13:05."""
    found = np.empty(len(cells))
    for k, cell in enumerate(cells):
        match = _CLOCK.fullmatch(cell.strip())
        if match is None:
            raise ValueError(
                f"{file}, line {lines[k]}, column {label}, must be a duration such as "
                f"12:34:56, but is '{cell}'; correct or remove the row."
            )
        found[k] = _seconds(match) + _DAY * int(match["d"] or 0)
    return found


def _seconds(match: re.Match) -> float:
    """Seconds of hours, minutes and seconds."""
    seconds = float((match["s"] or "0").replace(",", ".")) + int(match["ms"] or 0) / 1e3
    return 3600 * int(match["h"] or 0) + 60 * int(match["m"] or 0) + seconds


class Dates(NamedTuple):
    """Instants [s since 1970], whether their clock's zone is known, and notes."""

    unix: Float[np.ndarray, " row"]
    notes: tuple[str, ...]


def dates(
    file: str,
    label: str,
    cells: Sequence[str],
    *,
    day_first: bool | None = None,
    zone: str | None = None,
) -> Dates:
    """Instants of a column of dates; NaN for what is none.

    Args:
        file: name, for messages.
        label: of the column.
        cells: dates, serial dates of Excel or seconds since 1970.
        day_first: whether 03/04/2025 is in April, and no date with a year of two
            digits begins with it; None: as the column shows.
        zone: of the instrument's clock, such as "Europe/Paris"; None: UTC.

    Raises:
        ValueError: where the order of day, month and year cannot be told.
    """
    texts = [cell.strip().replace("\ufeff", "") for cell in cells]
    if texts and not is_date(next((t for t in texts if t), "")):
        return _serial_dates(file, label, texts)
    found = [_DATE.fullmatch(text) for text in texts]
    notes = []
    order = _DAY_FIRST if day_first else _MONTH_FIRST
    if day_first is None:
        order, note = _order(file, label, found)
        notes += [note] if note else []
    known = any(match and match["zone"] for match in found)
    if not known and zone is None:
        notes.append(
            f"{file}, column {label}, names no time zone; its dates were taken as UTC."
        )
    tz = UTC if zone is None else _zone(zone)
    days: dict = {}
    unix = np.array([_instant(m, order, tz, days) for m in found])
    if tz is not UTC:
        late = np.array([_instant(m, order, tz, days, fold=1) for m in found])
        _unfold(unix, late)
    return Dates(unix, tuple(notes))


def _unfold(unix, late) -> None:
    """Takes the hour that a clock shows twice for its second where it falls back."""
    for k in np.flatnonzero(late > unix):
        if k and unix[k] < unix[k - 1]:
            unix[k] = late[k]


def _zone(name: str):
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(
            f"The time zone must be one such as Europe/Paris, but is '{name}'."
        ) from None


def _serial_dates(file: str, label: str, texts: Sequence[str]) -> Dates:
    """Seconds since 1970, or days since 1899 as Excel counts them."""
    values = np.array([as_number(text.replace(",", ".")) for text in texts])
    values = np.where(np.isfinite(values), values, np.nan)
    known = values[np.isfinite(values)]
    low, high = _EXCEL_DAYS
    if known.size and np.all((known > low) & (known < high)):
        note = (
            f"{file}, column {label}, holds dates as numbers of Excel; they were read "
            "as days since 1899-12-30, UTC."
        )
        return Dates((values + _EXCEL_EPOCH - _UNIX_EPOCH) * _DAY, (note,))
    if known.size and np.all(known > _UNIX_FROM):
        return Dates(values / (1e3 if known.min() > _UNIX_MS_FROM else 1.0), ())
    return Dates(np.full(len(texts), np.nan), ())


def _order(file: str, label: str, found) -> tuple[tuple[int, ...], str]:
    """(places of year, month and day, note): as the numbers of a column show."""
    short = [m for m in found if m and len(m["a"]) < 3]
    if _is_year_first(file, label, short):
        return _YEAR_FIRST, ""
    numeric = [m for m in short if m["b"].isdigit()]
    first = max((int(m["a"]) for m in numeric), default=13)
    second = max((int(m["b"]) for m in numeric), default=0)
    if first > 12 and second > 12:
        raise ValueError(
            f"{file}, column {label}, must hold dates of one order, but has {first} as "
            f"its first and {second} as its second number."
        )
    days = {m[0].split()[0] for m in numeric}
    if first > 12 or second > 12:
        order = _DAY_FIRST if first > 12 else _MONTH_FIRST
        return order, _year_note(file, label, numeric[0]) if len(days) == 1 else ""
    day = "." in numeric[0][0].split()[0]
    if day or len(days) == 1:
        note = "the day" if day else "the month"
        return _DAY_FIRST if day else _MONTH_FIRST, (
            f"{file}, column {label}: {note} was taken to come first in "
            f"'{numeric[0][0].split()[0]}'; if it does not, give day_first."
        )
    raise ValueError(
        f"{file}, column {label}, must show whether the day or the month comes first, "
        f"but has '{numeric[0][0]}' to '{numeric[-1][0]}'; give day_first."
    )


def _is_year_first(file: str, label: str, found: Sequence[re.Match]) -> bool:
    """Whether dates such as 24/01/05 begin with the year, as their days lie closer.

    Days of the wrong order are a year apart where they follow one another in truth.

    Raises:
        ValueError: where days lie as close if the year comes last.
    """
    days = set(map(_parts, found))
    if len(days) < 2 or any(len(a) != 2 or len(c) != 2 for a, _, c in days):
        return False
    bad, first = _span(days, _YEAR_FIRST)
    others, last = min(_span(days, _DAY_FIRST), _span(days, _MONTH_FIRST))
    if bad > others or first >= _CLOSER * last:
        return False
    if last >= _CLOSER * first:
        return True
    raise ValueError(
        f"{file}, column {label}, must show whether the year comes first or last, but "
        f"has '{found[0][0]}' to '{found[-1][0]}'; give day_first if it comes "
        "last, or write dates as 2025-04-03."
    )


def _span(
    days: Collection[tuple[str, str, str]], order: tuple[int, ...]
) -> tuple[int, float]:
    """(how many are no days, days from the first to the last of the others)."""
    known = [day.toordinal() for day in (_day(d, order) for d in days) if day]
    span = max(known) - min(known) if known else math.inf
    return len(days) - len(known), span


def _year_note(file: str, label: str, match: re.Match) -> str:
    """A note where the one day of a column may begin with its year; else empty."""
    parts, text = _parts(match), match[0].split()[0]
    other = _day(parts, _YEAR_FIRST) if len(parts[0]) == len(parts[2]) == 2 else None
    if other is None or other == _day(parts, _DAY_FIRST):
        return ""
    return (
        f"{file}, column {label}: the year was taken to come last in '{text}'; if it "
        f"comes first, write {other}."
    )


def _instant(
    match, order: tuple[int, ...], zone, days: dict, *, fold: int = 0
) -> float:
    """Seconds since 1970 of a date."""
    if match is None:
        return float("nan")
    key = _parts(match)
    if key not in days:
        days[key] = _day(key, order)
    if days[key] is None or int(match["h"] or 0) > 23 or int(match["m"] or 0) > 59:
        return float("nan")
    seconds = _seconds(match)
    if match["half"]:
        hour = int(match["h"] or 0)
        late = match["half"][0].lower() == "p"
        seconds += 43200 * (late and hour < 12) - 43200 * (not late and hour == 12)
    if match["zone"] and match["zone"][0] in "+-":
        sign = -1 if match["zone"][0] == "-" else 1
        shift = 3600 * int(match["zone"][1:3]) + 60 * int(match["zone"][-2:])
        seconds -= sign * shift
    elif not match["zone"] and zone is not UTC:
        local = datetime.combine(days[key], datetime.min.time(), zone)
        hours = int(seconds // 3600)
        local = local.replace(hour=hours, minute=int(seconds % 3600 // 60), fold=fold)
        seconds -= local.utcoffset().total_seconds()
    return (days[key].toordinal() - _UNIX_EPOCH) * _DAY + seconds


def _parts(match: re.Match) -> tuple[str, str, str]:
    """The three parts of a date."""
    return match["a"], match["b"], match["c"]


def _day(parts: tuple[str, str, str], order: tuple[int, ...]) -> date | None:
    """The day of three parts of a date."""
    if len(parts[0]) == 4:
        order = _YEAR_FIRST
    elif order == _MONTH_FIRST and not parts[1].isdigit():
        order = _DAY_FIRST
    year, month, day = (parts[k] for k in order)
    if not month.isdigit():
        if month[:3].lower() not in _MONTHS:
            return None
        month = str(_MONTHS.index(month[:3].lower()) + 1)
    century = 2000 if len(year) == 2 else 0
    try:
        return date(century + int(year), int(month), int(day))
    except ValueError:
        return None
