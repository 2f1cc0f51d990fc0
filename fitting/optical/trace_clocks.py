"""Times of rows of tables of intensities: by a unit, a clock of the day, or dates."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..columns import CYCLER, TIME, Quantity, matches
from ..wording import counted
from . import cells
from .cycler_text import Sheet

CLOCK = Quantity("time", ("time", "t", "elapsed time"), TIME, "time_h")
DATE = CYCLER["unix_time_second"]
_DAY, _NEXT = 86400.0, 10.0  # s; usual steps, within which midnight is passed
_COVERED = 2  # frames on each side, from which on a stretch of time is covered twice


class Clock(NamedTuple):
    """Time [s] of rows, the instant at 0 [s since 1970] where known, and notes."""

    time: Float[np.ndarray, " row"]
    start: float = float("nan")
    notes: tuple[str, ...] = ()


def clocks(header: Sequence[str]) -> list:
    """Columns of time, those that name their unit first, and behind them of dates."""
    return [column for what in (CLOCK, DATE) for _, column in matches(header, what)]


def past_midnight(sheet: Sheet, label: str, time, owners) -> Clock:
    """Readings of a clock of the day, which go on where it begins anew."""
    times, count = time.copy(), 0
    whose = np.array(owners or [""] * len(time))
    for owner in dict.fromkeys(whose.tolist()):
        own = whose == owner
        steps = np.diff(time[own])
        ahead = steps + _DAY
        usual = np.median(np.abs(steps)) if steps.size else 0.0
        passed = (steps < 0) & (ahead > 0) & (ahead <= _NEXT * usual)
        times[own] += _DAY * np.append(0, np.cumsum(passed))
        count = max(count, int(passed.sum()))
    if not count or np.max(time) >= _DAY:
        return Clock(time)
    note = (
        f"{sheet.name}: column {label} is of a clock of the day, which passes midnight "
        f"{counted(count, 'time')}; days were added."
    )
    return Clock(times, notes=(note,))


def dated(sheet: Sheet, label: str, texts: Sequence[str]) -> Clock:
    """Times since the first of dates."""
    found = cells.dates(sheet.name, label, texts)
    bad = np.flatnonzero(~np.isfinite(found.unix))
    if bad.size:
        raise ValueError(
            f"{sheet.name}, line {sheet.lines[bad[0]]}, column {label}, must be a date "
            f"such as 2025-04-03 12:34:56, but is '{texts[bad[0]]}'; correct the row, "
            "or give a column such as time_s."
        )
    start = float(np.min(found.unix))
    return Clock(found.unix - start, start, found.notes)


def check_clock(where: str, time) -> None:
    """Raises ValueError where a clock was set back into what it had covered.

    Each part then goes on by itself, and sorting would mix them. Shuffled frames, and
    a stray one, cover nothing twice.

    Args:
        where: the times are from, for the message.
        time: of frames in the order in which they are given [s].
    """
    falls = np.flatnonzero(np.diff(time) < 0) + 1
    for before, after in itertools.pairwise(np.split(time, falls)):
        low, high = max(before[0], after[0]), min(before[-1], after[-1])
        twice = [np.sum((low <= part) & (part <= high)) for part in (before, after)]
        if min(twice) < _COVERED:
            return
    if falls.size:
        k = int(falls[0])
        lost = time[k - 1] - time[k] + float(np.median(np.abs(np.diff(time))))
        others = counted(len(falls) - 1, "more frame does", "more frames do")
        more = f" (and {others})" if len(falls) > 1 else ""
        raise ValueError(
            f"{where}, frame {k + 1}, must not be earlier than the frame before, but "
            f"goes from {time[k - 1]:g} back to {time[k]:g} s{more}, among times that "
            "the film had already, as where a clock is set back; add about "
            f"{lost:g} s to the times from there on, or sort the rows if they are only "
            "out of order."
        )
