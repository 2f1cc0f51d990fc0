"""Instants of frames, from the most trusted of the sources that tell them."""

import dataclasses
import os
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..sheets import read_number, read_rows
from ..wording import counted
from .sources import Source
from .stamps import UNITS, Stamps, hour_missing

_YEAR = 365.25 * 86400.0
_GAP = 3.0  # median intervals
_LEAST_STEP = 1e-3  # s, between frames of anything that a cycler drives
_HOUR_CHANGE = 3600.0  # s, by which clocks jump in autumn


@dataclasses.dataclass(frozen=True)
class FrameTimes:
    """Instants [s], a sentence on their origin, and the date of their zero."""

    time: Float[np.ndarray, " frame"]
    origin: str
    start: float = float("nan")
    notes: tuple[str, ...] = ()


def frame_times(path: Path, source: Source, interval, times) -> FrameTimes:
    """Instants of frames, in the order of trust.

    That is: what the user says, the camera, names of files, the interval in the file,
    dates of files.

    Raises:
        ValueError: naming the frame, where instants are missing or out of order.
    """
    count, name = source.num_frames, path.name
    index = np.arange(count, dtype=float)
    if times is not None:
        values, origin = _given_times(times, name, count)
        found = FrameTimes(values, f"Times of frames are from {origin}.")
    elif interval is not None:
        if not 0 < interval < np.inf:
            raise ValueError(
                f"The interval between frames must be positive, but is {interval:g} s."
            )
        origin = f"Times of frames are their numbers times {interval:g} s, as asked."
        number = index if source.numbers is None else source.numbers
        found = FrameTimes(interval * number, origin, notes=_left_out(source.numbers))
    elif source.stamps:
        found = _from_stamps(name, source.stamps[0])
    elif np.isfinite(source.interval):
        origin = (
            f"Times of frames are their numbers times {source.interval:g} s, the "
            f"{source.interval_origin}."
        )
        found = FrameTimes(source.interval * index, origin)
    else:
        found = _from_files(name, source.modified)
    _check_span(name, found.time)
    return dataclasses.replace(found, notes=found.notes + _gap_notes(found.time))


def _left_out(numbers) -> tuple[str, ...]:
    """A note where names of frames leave out numbers."""
    if numbers is None:
        return ()
    gaps = np.flatnonzero(np.diff(numbers) > 1)
    count = int(numbers[-1]) + 1 - len(numbers)
    left_out = counted(count, "number")
    return (
        f"Names of pictures leave out {left_out}, the first after picture "
        f"{gaps[0] + 1}, as where frames are missing; the interval counts them too. "
        "Where none is missing, give the times of frames.",
    )


def _from_stamps(name: str, stamps: Stamps) -> FrameTimes:
    check_order(name, stamps.seconds, stamps.origin)
    zero = float(stamps.seconds[0])
    notes = (stamps.note,) if stamps.note else ()
    skipped = hour_missing(stamps.seconds) if stamps.local else None
    if skipped is not None:
        notes += (
            f"The {stamps.origin} leave out an hour before frame {skipped + 1}, in the "
            "night to a Sunday, as where a clock is set forward in spring; if so, "
            "times from there on are an hour late: give the interval, or all times.",
        )
    return FrameTimes(
        stamps.seconds - zero,
        f"Times of frames are from the {stamps.origin}.",
        zero if stamps.dated else float("nan"),
        notes,
    )


def _from_files(name: str, modified: Stamps | None) -> FrameTimes:
    """Instants at which files were written, where those can be of the recording."""
    remedy = "give the interval between frames, or their times"
    if modified is None:
        raise ValueError(
            f"{name} must tell when its frames were taken, but does not (the rate at "
            f"which a film is played is not it); {remedy}."
        )
    steps = np.diff(modified.seconds)
    if np.any(steps <= 0) or np.median(steps) < 1.0:
        raise ValueError(
            f"{name} must tell when its frames were taken, but has only the dates at "
            f"which its files were copied; {remedy}."
        )
    found = _from_stamps(name, modified)
    note = (
        "Times of frames are those at which their files were last written, which "
        "copying may have changed; give the interval to be sure."
    )
    return dataclasses.replace(found, notes=(note,))


def _given_times(times, name: str, count: int) -> tuple[np.ndarray, str]:
    """The user's own times [s], and what to call their source."""
    if isinstance(times, str | os.PathLike):
        origin = Path(times).name
        values = read_times(times)
    else:
        origin, values = "the user", np.asarray(times, float)
    if values.shape != (count,):
        raise ValueError(
            f"Times must be given for each of the {count} frames of {name}, but "
            f"{origin} gives {values.size}; add or remove rows."
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise ValueError(
            f"Times of frames must be finite, but {origin} gives {values[bad[0]]} for "
            f"frame {bad[0] + 1}."
        )
    check_order(name, values, f"times from {origin}")
    return values, origin


def read_times(path: str | os.PathLike) -> Float[np.ndarray, " frame"]:
    """The column of times of a CSV file [s]: `time_s`, `time_min`, `time_h`.

    Raises:
        ValueError: naming file, line and column.
    """
    header, rows = read_rows(path)
    columns = {
        column: UNITS[column.rpartition("_")[2]]
        for column in header
        if column.startswith("time_") and column.rpartition("_")[2] in UNITS
    }
    if len(columns) != 1:
        raise ValueError(
            f"{Path(path).name} must have one column of times with its unit in its "
            f"name, such as time_s, but has {', '.join(header)}."
        )
    ((column, unit),) = columns.items()
    return unit * np.array([read_number(path, n, column, c[column]) for n, c in rows])


def check_order(name: str, seconds, origin: str) -> None:
    """Raises ValueError for instants of a film that do not increase."""
    back = np.flatnonzero(np.diff(seconds) <= 0)
    if not back.size:
        return
    k = int(back[0])
    step = float(seconds[k + 1] - seconds[k])
    remedy = "sort the frames, or give the interval between them"
    if step == 0:
        what = f"frame {k + 2} has the same time as frame {k + 1}"
    else:
        what = f"frame {k + 2} is {-step:g} s before frame {k + 1}"
    median = float(np.median(np.diff(seconds)))
    if back.size == 1 and abs(step + _HOUR_CHANGE - median) < 0.2 * _HOUR_CHANGE:
        remedy = "the clock seems to have been set back by an hour; give the interval"
    raise ValueError(
        f"{name}: the {origin} must increase from frame to frame, but {what}; {remedy}."
    )


def _check_span(name: str, time) -> None:
    """Raises ValueError for times that only another unit can explain."""
    span, step = float(time[-1] - time[0]), float(np.median(np.diff(time)))
    if span > _YEAR:
        raise ValueError(
            f"{name} must last less than a year, but its {len(time)} frames span "
            f"{span / 86400:.3g} days; check the unit of times or interval (s)."
        )
    if step < _LEAST_STEP or (step < 0.01 and span < 10):
        raise ValueError(
            f"Frames of {name} must be 10 ms apart or more, but are {step:.2g} s; "
            "check the unit of their times (a day is 1 in dates of spreadsheets)."
        )


def _gap_notes(time) -> tuple[str, ...]:
    steps = np.diff(time)
    median = float(np.median(steps))
    wide = np.flatnonzero(steps > _GAP * median)
    if not wide.size:
        return ()
    k = int(wide[np.argmax(steps[wide])])
    one = wide.size == 1
    gaps = "is 1 wider gap," if one else f"are {wide.size} wider gaps, the widest"
    return (
        f"Frames are {median:g} s apart, but there {gaps} of {steps[k]:g} s after "
        f"frame {k + 1}; events inside are intervals.",
    )
