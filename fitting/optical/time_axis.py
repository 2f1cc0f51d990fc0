"""Whether a cycler's time can be its time: order, restarts, unit; repairs on request.

A wrong clock is never mended silently: harmless repairs leave a note, all others are
made only when asked for.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..wording import counted

_HOUR, _DAY = 3600.0, 86400.0
_LEAST_ROWS = 20  # of which the steps of time tell something
_LONGEST_STEP = 6 * _HOUR  # between rows, of a cycler that is recording
_MANY = 3  # such steps, that a pause of the cycler does not explain
_SHORTEST_STEP = 2e-4  # s, in the median
_TEN_YEARS = 3e8  # s
_FACTORS = (3600.0, 1000.0, 60.0)  # h for s, s for ms, min for s
_ROUND = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)  # s
_ROUND_WITHIN = 0.01  # relative
_RATE_WITHIN = 0.05  # of two clocks of one table
_GAP = 50.0  # median steps that make a gap worth telling
_LEAST_GAP = 600.0  # s
_REPAIRS = {
    "single": "whose time fell back or jumped ahead took the time of the row before",
    "anew": "started time anew; it was made to go on from the row before",
    "hour": "set the clock back by one hour; it was added again",
    "day": "began a new day on a clock of the day; it was added",
}


class Axis(NamedTuple):
    """Time [s] of rows, with what names them in messages.

    Attributes:
        file: name of the file.
        label: of the column.
        time: (row,) [s].
        lines: of the rows in the file.
        notes: what was found and repaired.
    """

    file: str
    label: str
    time: Float[np.ndarray, " row"]
    lines: Sequence[int]
    notes: tuple[str, ...] = ()

    def changed(self, time, note: str) -> "Axis":
        """The same rows at other times."""
        return self._replace(time=time, notes=(*self.notes, f"{self.file}: {note}"))


def in_order(axis: Axis, *, repair: bool, is_date: bool = False) -> Axis:
    """The axis, not decreasing.

    Rows that fall back for one row, jump ahead for one row, or start anew are named;
    with `repair` the first two take the time of the row before, and what starts anew
    goes on from there; where a clock was set back by an hour or passed midnight, the
    hour or the day is added.

    Raises:
        ValueError: naming the first line that is earlier than the one before.
    """
    back = np.flatnonzero(np.diff(axis.time) < 0) + 1
    if not back.size:
        return axis
    if not repair:
        raise _order_error(axis, back, is_date)
    time = axis.time.copy()
    typical = float(np.median(np.abs(np.diff(time))))
    mended: dict[str, list[int]] = {}
    while back.size:
        how, k = _mend(time, int(back[0]), typical, is_date)
        mended.setdefault(how, []).append(axis.lines[k])
        back = np.flatnonzero(np.diff(time) < 0) + 1
    for how, note in _REPAIRS.items():
        if how in mended:
            axis = axis.changed(time, f"{_these(mended[how])} {note}.")
    return axis


def _mend(time, k: int, typical: float, is_date: bool) -> tuple[str, int]:
    """Mends `time` in place where row k falls back; how, and which row is to blame."""
    fall = time[k - 1] - time[k]
    later = time[k + 1] if k + 1 < len(time) else np.inf
    if k > 1 and time[k] >= time[k - 2] and later < time[k - 1]:
        time[k - 1] = time[k - 2]
        return "single", k - 1
    if later >= time[k - 1]:
        time[k] = time[k - 1]
        return "single", k
    for how, period, is_likely in (("hour", _HOUR, is_date), ("day", _DAY, True)):
        if is_likely and abs(fall - period) <= 2 * typical:
            time[k:] += max(period, fall)
            return how, k
    time[k:] += fall
    return "anew", k


def _these(lines: Sequence[int]) -> str:
    count = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"line {lines[0]}{count}"


def _order_error(axis: Axis, back, is_date: bool) -> ValueError:
    k = int(back[0])
    before, now = axis.time[k - 1], axis.time[k]
    if is_date:
        told = f"goes back by {before - now:g} s"
        typical = float(np.median(np.abs(np.diff(axis.time))))
        hour = abs(before - now - _HOUR) <= 2 * typical
        remedy = "as clocks do in autumn; give its zone, or " if hour else ""
        remedy += "repair_time makes time go on"
    else:
        told = f"goes from {before:g} back to {now:g} s"
        remedy = "use the time of the whole test, not of its steps, or repair_time"
    more = f" (and {len(back) - 1} more rows do)" if len(back) > 1 else ""
    return ValueError(
        f"{axis.file}, line {axis.lines[k]}, column {axis.label}, must not be earlier "
        f"than the row before, but {told}{more}; {remedy}."
    )


def in_seconds(axis: Axis, *, repair: bool) -> Axis:
    """The axis, if its steps and its span can be those of a cycler in s.

    With `repair`, time is divided by the factor of 3600, 1000 or 60 that makes its
    regular steps the round ones of a cycler, if there is such a factor.

    Raises:
        ValueError: saying what the steps are.
    """
    time, steps = axis.time, np.diff(axis.time)
    if len(time) < _LEAST_ROWS:
        return axis
    span, long = float(np.ptp(time)), steps[steps > _LONGEST_STEP]
    typical = float(np.median(steps[steps > 0])) if np.any(steps > 0) else 0.0
    if 0 < typical < _SHORTEST_STEP:
        raise ValueError(
            f"{axis.file}, column {axis.label}, must be in the unit that it names, but "
            f"its rows are {typical:.2g} s apart; check its unit (are they hours?) and "
            "give time_unit."
        )
    if len(long) < _MANY and span <= _TEN_YEARS:
        return axis
    regular = float(np.median(long)) if len(long) else typical
    fitting = [f for f in _FACTORS if _is_round(regular / f)]
    factor = fitting[0] if fitting else float("nan")
    likely = f", {factor:g} times a usual {regular / factor:.3g} s" if fitting else ""
    if not (repair and fitting):
        several = "steps between rows are"
        steps = counted(max(len(long), 1), "step between rows is", several)
        remedy = "repair_time divides by it" if fitting else "give time_unit"
        raise ValueError(
            f"{axis.file}, column {axis.label}, must be in the unit that it names, but "
            f"{steps} of {regular / _HOUR:.3g} h{likely}, and it spans "
            f"{span / _HOUR:.4g} h; check its unit ({remedy})."
        )
    note = f"column {axis.label} was {factor:g} times too large and was divided by it"
    return axis.changed(
        time / factor, f"{note} (regular steps {regular / factor:.3g} s)."
    )


def _is_round(step: float) -> bool:
    return any(abs(step / usual - 1) < _ROUND_WITHIN for usual in _ROUND)


def reversed_rows(time) -> bool:
    """Whether the newest row comes first throughout."""
    return len(time) > 2 and bool(np.all(np.diff(time) < 0))


def against_dates(axis: Axis, unix, *, repair: bool) -> Axis:
    """The axis, which must run as fast as the dates of its rows [s since 1970].

    Where dates tell nothing, its steps must be those of a cycler (`in_seconds`).

    Raises:
        ValueError: where one runs faster than the other by a usual factor.
    """
    ratios = _ratios(axis, unix)
    if all(abs(ratio - 1) < _RATE_WITHIN for ratio in ratios):
        return axis
    for factor in (f**sign for f in _FACTORS for sign in (1, -1)):
        if any(not abs(ratio / factor - 1) < _RATE_WITHIN for ratio in ratios):
            continue
        elapsed, passed = np.ptp(axis.time), np.nanmax(unix) - np.nanmin(unix)
        if not repair:
            raise ValueError(
                f"{axis.file}, column {axis.label}, must agree with the dates, but "
                f"spans {elapsed:.4g} s where they span {passed:.4g} s; check its "
                "unit (repair_time makes it that of the dates)."
            )
        note = f"column {axis.label} was {factor:.3g} times the dates' span"
        return axis.changed(axis.time / factor, f"{note}; it was divided by that.")
    return in_seconds(axis, repair=repair)


def _ratios(axis: Axis, unix) -> tuple[float, float]:
    """Of the spans of time and dates, and of their steps in the median; NaN: none."""
    known = np.flatnonzero(np.isfinite(unix))
    if known.size < 3:
        return math.nan, math.nan
    steps, since = np.diff(axis.time[known]), np.diff(unix[known])
    seen = since >= 1.0  # dates often have whole seconds
    if not seen.any() or np.ptp(unix[known]) <= 0:
        return math.nan, math.nan
    whole = np.ptp(axis.time[known]) / np.ptp(unix[known])
    return float(whole), float(np.median(steps[seen] / since[seen]))


def without_set_clock(axis: Axis, unix) -> Float[np.ndarray, " row"]:
    """Dates without the hour by which their clock was set while the test went on."""
    ahead = unix - axis.time
    jumps = np.flatnonzero(np.abs(np.abs(np.diff(ahead)) - _HOUR) < 5.0)
    for k in jumps:
        ahead[k + 1 :] -= np.sign(ahead[k + 1] - ahead[k]) * _HOUR
    return ahead + axis.time


def remarks(axis: Axis, unix, mended) -> tuple[str, ...]:
    """Notes on gaps and on clocks that were set."""
    notes, steps = [], np.diff(axis.time)
    positive = steps[steps > 0]
    if len(axis.time) >= _LEAST_ROWS and positive.size:
        k = int(np.argmax(steps))
        if steps[k] > max(_GAP * np.median(positive), _LEAST_GAP):
            notes.append(
                f"{axis.file}: no row was recorded for {steps[k] / _HOUR:.3g} h before "
                f"line {axis.lines[k + 1]}."
            )
    if unix is not None:
        changed = np.flatnonzero(np.abs(mended - unix) > 1.0)
        if changed.size:
            notes.append(
                f"{axis.file}: the clock of the dates was set by an hour at line "
                f"{axis.lines[changed[0]]}; dates go on as before it."
            )
        ahead = (mended - axis.time)[np.isfinite(mended)]
        drift = float(np.ptp(ahead)) if ahead.size else 0.0
        if drift > 60.0:
            notes.append(
                f"{axis.file}: dates and the time of the test move apart by "
                f"{drift / _HOUR:.3g} h (pauses of the test are not in its time)."
            )
    return tuple(notes)
