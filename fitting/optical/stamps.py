"""Instants written in text: names of files, labels of slices, tags of cameras."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from jaxtyping import Float

_DATE = r"(\d{4})[-_.:]?(\d{2})[-_.:]?(\d{2})"
_CLOCK = r"(\d{2})[-_.:h]?(\d{2})[-_.:m]?(\d{2})(?:[.,](\d{1,9}))?"
_STAMP = re.compile(rf"(?<!\d){_DATE}[T _-]+{_CLOCK}(?!\d)")
_ZONE = re.compile(r"\s?(?:Z|([+-])(\d{2}):?(\d{2}))(?![A-Za-z\d:])")
_NOON = re.compile(
    r"[\s_-]?([AP])\.?M(?![^\W_])\.?", re.IGNORECASE
)  # that follows a clock
_ZONES = 2  # that a film may have, one of them in summer; counters of frames have more
_SUNDAY, _LATEST = 6, 4  # day of the week; hour
_EVEN, _TWICE, _LEAST = 0.6, 1.6, 3  # of pictures in hours beside each other
_LONGEST = 1800.0  # s between frames, of which an hour too much is told from others
_EPOCH = re.compile(r"(?<!\d)(1\d{9})(\d{3})?(?!\d)")
_N = r"(\d+(?:\.\d+)?)\s?"
# Of `2.5 min` or `1d_2h_30min`, parts from days to ms, of which days are none alone.
_ELAPSED = re.compile(
    rf"(?:^|[\s_\-(\[=t])(?=\d)(?:{_N}d[\s_-]?(?=\d))?(?:{_N}(?:h|hours?)[\s_-]?)?"
    rf"(?:{_N}min[\s_-]?)?(?:{_N}(?:s|sec)[\s_-]?)?(?:{_N}ms)?(?=$|[\s_\-)\].,])"
)
_PARTS = (86400.0, 3600.0, 60.0, 1.0, 1e-3)  # s
_HMS = re.compile(r"(?<!\d)(\d+):(\d{2}):(\d{2}(?:\.\d+)?)(?!\d)")
_DAY_FIRST = re.compile(r"(?<!\d)\d{1,2}[-_./]\d{1,2}[-_./]\d{4}(?!\d)")
UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0}
UNITS |= {"minute": 60.0, "minutes": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0}
UNITS |= {"hours": 3600.0, "µs": 1e-6, "us": 1e-6, "day": 86400.0, "days": 86400.0}
UNITS |= {"d": 86400.0}


@dataclasses.dataclass(frozen=True)
class Stamps:
    """Instants of all frames, as one source tells them.

    Attributes:
        seconds: since 1970 where `dated`, else since an instant of the source's own.
        origin: what they were read from, to be named in messages.
        dated: whether they tell the date.
        local: whether that is by a clock whose time zone they do not tell.
    """

    seconds: Float[np.ndarray, " frame"]
    origin: str
    dated: bool = False
    local: bool = False

    @property
    def note(self) -> str:
        """What a user should know of this source; empty where there is nothing."""
        if not self.local:
            return ""
        return (
            f"The {self.origin} tell no time zone; they were taken for UTC, which "
            "matters only where camera and cycler are compared by their dates."
        )


def date_seconds(text: str) -> float | None:
    """Seconds since 1970 of a stamp with the year first, read as UTC; else None.

    A clock of 12 hours tells AM or PM behind it.
    """
    found = _STAMP.search(text)
    if found is None:
        return None
    *date, hour, minute, second, fraction = found.groups()
    part = float(f"0.{fraction or 0}")
    whole = (*date, _of_day(text, found, int(hour)), minute, second)
    try:
        instant = datetime(*map(int, whole), tzinfo=UTC)
    except ValueError:
        return None
    return (instant + timedelta(seconds=part)).timestamp()


def _of_day(text: str, clock: re.Match, hour: int) -> int:
    """The hour of a clock of 24, of one of 12 by the AM or PM behind it."""
    noon = _NOON.match(text, clock.end())
    if noon is None or not 1 <= hour <= 12:
        return hour
    return hour % 12 + (12 if noon[1] in "pP" else 0)


def _end(text: str, clock: re.Match) -> int:
    """Where a clock ends, with the AM or PM behind it."""
    noon = _NOON.match(text, clock.end())
    return clock.end() if noon is None else noon.end()


def zone_seconds(text: str) -> float | None:
    """By how much the zone told after a date, `+0200` or `Z`, is ahead of UTC."""
    date = _STAMP.search(text)
    found = None if date is None else _ZONE.match(text, _end(text, date))
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    if sign is None:
        return 0.0
    return (3600.0 * int(hours) + 60.0 * int(minutes)) * (1 if sign == "+" else -1)


def without_stamp(text: str) -> str:
    """What a text says beside its instant."""
    for pattern in (_STAMP, _EPOCH, _HMS, _ELAPSED):
        found = pattern.search(text)
        if found is not None:
            end = _end(text, found)
            zone = _ZONE.match(text, end) if pattern is _STAMP else None
            return text[: found.start()] + text[end if zone is None else zone.end() :]
    return text


def epoch_seconds(text: str) -> float | None:
    """Seconds since 1970 written as 10 digits, or as 13 in ms; else None."""
    found = _EPOCH.search(text)
    if found is None:
        return None
    return float(found[1]) + float(found[2] or 0) / 1000


def elapsed_seconds(text: str) -> float | None:
    """Seconds of `120s`, `2.5 min`, `t=0.5h`, `1h_20min` or `00:02:00`; else None."""
    clock = _HMS.search(text)
    if clock is not None:
        return (
            3600.0 * _of_day(text, clock, int(clock[1]))
            + 60.0 * int(clock[2])
            + float(clock[3])
        )
    found = _ELAPSED.search(text)
    if found is None:
        return None
    parts = zip(found.groups(), _PARTS, strict=True)
    return sum(float(number) * unit for number, unit in parts if number)


def is_day_first(text: str) -> bool:
    """Whether a date stands there whose day and month cannot be told apart."""
    return date_seconds(text) is None and _DAY_FIRST.search(text) is not None


def read_stamps(texts: Sequence[str], origin: str) -> Stamps | None:
    """The instants in texts, one per frame; None unless all are of one kind."""
    kinds: tuple[tuple[Callable, bool], ...] = (
        (date_seconds, True),
        (epoch_seconds, True),
        (elapsed_seconds, False),
    )
    for read, dated in kinds:
        if not texts or read(texts[0]) is None:
            continue
        values = [read(text) for text in texts]
        if None in values:
            return None
        seconds, local = np.array(values, float), read is date_seconds
        zones = [zone_seconds(text) for text in texts] if local else []
        if local and None not in zones and len(set(zones)) <= _ZONES:
            seconds, local = seconds - np.array(zones), False
        return Stamps(seconds, origin, dated, local)
    return None


def hour_twice(seconds: Float[np.ndarray, " frame"]) -> str | None:
    """The hour of a clock on the wall that a film of one rate has twice, or None.

    Clocks are set back by an hour in the night to a Sunday, before four.
    """
    hours, counts = np.unique(seconds // 3600, return_counts=True)
    held = dict(zip(hours.tolist(), counts.tolist(), strict=True))
    for hour, count in held.items():
        beside = held.get(hour - 1, 0), held.get(hour + 1, 0)
        date = datetime.fromtimestamp(3600 * hour, UTC)
        night = date.weekday() == _SUNDAY and date.hour < _LATEST
        even = min(beside) >= max(_EVEN * max(beside), _LEAST)
        if night and even and count >= _TWICE * max(beside):
            return f"{date:%Y-%m-%d %H} h"
    return None


def hour_missing(seconds: Float[np.ndarray, " frame"]) -> int | None:
    """The frame before which a clock on the wall leaves out an hour, or None.

    Clocks are set forward by an hour in the night to a Sunday, before four.
    """
    steps = np.diff(seconds)
    usual = float(np.median(steps)) if steps.size else np.inf
    if not 0 < usual < _LONGEST:
        return None
    for k in np.flatnonzero(np.abs(steps - usual - 3600.0) < 0.5 * usual) + 1:
        date = datetime.fromtimestamp(float(seconds[k]), UTC)
        if date.weekday() == _SUNDAY and date.hour < _LATEST:
            return int(k)
    return None
