"""Tables of intensities, one trace a particle, into `Traces`.

Layouts are in `trace_layouts`; here are the times of frames, the scale, and what looks
wrong.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .. import wording
from .cycler_text import Sheet, read_sheet
from .frame_times import check_order, read_times
from .trace_clocks import check_clock
from .trace_layouts import Series, is_header, series
from .traces import LEAST_FRAMES, Traces

_SCALES = (1.0, 3.0, 255.0, 765.0, 4095.0, 65535.0)  # of 1, RGB sums, 8, 12, 16 bit
_TOLD_APART, _UNSTEADY = 0.9, 0.25  # of frames, by values and by turns of a noisy trace
_COMMENT = re.compile(r"#\s*(scale|start)\s*[:=]\s*(\S+)")


def read_traces(
    path: str | os.PathLike,
    *,
    interval: float | None = None,
    times: Sequence[float] | str | os.PathLike | None = None,
    scale: float | None = None,
    inverted: bool = False,
    statistic: str = "Mean",
) -> Traces:
    """The traces in a table, whichever program wrote it.

    Args:
        path: a text file; commas, semicolons or tabs.
        interval: between frames [s], for tables without times; where they number
            their frames, times are those of these numbers, the first being at 0.
        times: of the frames [s], or a CSV with a column of them (`time_s`, `time_min`,
            `time_h`), likewise.
        scale: raw value that is to be 1; None: as the table says, else it is left as
            it is.
        inverted: whether particles darken when they give off lithium; their traces are
            turned over, so that a reaction of charge rises.
        statistic: column of ImageJ that is the intensity.

    Raises:
        ValueError: one sentence naming file, row, particle and remedy.
        OSError: for a file that cannot be read.
    """
    sheet = read_sheet(path, is_header)
    comments = _comments(sheet)
    sheet, found = series(sheet, statistic)
    time = _times(sheet.name, found, interval, times)
    notes = [*sheet.notes, *found.notes]
    intensity, given = found.intensity, comments.get("scale", np.nan)
    if scale is not None:
        _check_scale(sheet.name, scale, given)
        intensity, given = intensity / scale, scale
    order, time, told = _in_order(sheet.name, time)
    intensity = intensity[:, order]
    notes += [*told, *_remarks(sheet.name, found.labels, intensity, given)]
    intensity, told = _without_repeats(sheet.name, intensity)
    notes += told
    if inverted:
        intensity = _turned(intensity)
        notes.append(f"{sheet.name}: traces were turned over (inverted contrast).")
    try:
        return Traces(
            *(time, found.labels, intensity),
            scale=given,
            start=comments.get("start", found.start),
            notes=tuple(notes),
        )
    except ValueError as error:
        raise ValueError(f"{sheet.name}: {error}") from None


def _check_scale(file: str, scale: float, given: float) -> None:
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"The scale must be positive, but is {scale:g}.")
    if np.isfinite(given):
        raise ValueError(
            f"{file} is in units of its own scale, {given:g}; leave out the scale of "
            f"{scale:g}."
        )


def _comments(sheet: Sheet) -> dict[str, float]:
    """Scale and start that comment lines tell."""
    found = {}
    for line in sheet.preamble:
        told = _COMMENT.match(line.strip())
        if told:
            try:
                found[told[1]] = float(told[2])
            except ValueError:
                raise ValueError(
                    f"{sheet.name}, comment '{line.strip()}', must hold a number, but "
                    f"holds '{told[2]}'; correct or remove it."
                ) from None
    return found


def _times(file: str, found: Series, interval, times) -> Float[np.ndarray, " frame"]:
    """Time of the frames [s]: of the table, or else as it is given."""
    count = found.intensity.shape[1]
    if found.time is not None:
        if interval is not None or times is not None:
            raise ValueError(
                f"{file} has times of its own; leave out the interval and the times."
            )
        return found.time
    if (interval is None) == (times is None):
        raise ValueError(
            f"{file} has {count} frames without times; give either the interval "
            "between them in s, or their times."
        )
    if interval is not None:
        if not (np.isfinite(interval) and interval > 0):
            raise ValueError(f"The interval must be positive, but is {interval:g} s.")
        number = np.arange(count) if found.number is None else found.number
        return interval * (number - np.min(number))
    named = isinstance(times, str | os.PathLike)
    given = np.asarray(read_times(times) if named else times, float)
    where = Path(times).name if named else "`times`"
    if given.shape != (count,):
        raise ValueError(
            f"{where} must have one time per frame of {file}, {count}, but has "
            f"{given.size}."
        )
    if named:
        check_order(file, given, f"times from {where}")
    if found.number is not None:
        return given[np.argsort(np.argsort(found.number))]
    return given


def _in_order(file: str, time):
    """(order of the frames, their times, notes): sorted; of one instant, the first."""
    notes = []
    if not np.all(np.isfinite(time)):
        return np.arange(len(time)), time, notes  # `Traces` names the frame
    check_clock(file, time)
    order = np.argsort(time, kind="stable")
    if np.any(np.diff(order) < 0):
        k = int(np.flatnonzero(np.diff(time) < 0)[0])
        notes.append(f"{file}: frames were not in the order of time (frame {k + 2}).")
    later = np.append(True, np.diff(time[order]) > 0)
    if not later.all():
        twins = wording.counted(int(np.sum(~later)), "frame")
        notes.append(f"{file}: {twins} at the time of another; left aside.")
    return order[later], time[order[later]], notes


def _without_repeats(file: str, intensity):
    """(intensities, notes): none where all are those of the frame before.

    Masked in a film as well, such frames show an instant that is past. Values of few
    grey levels, and traces without noise, may come twice by themselves.
    """
    known = np.isfinite(intensity)
    same = intensity[:, 1:] == intensity[:, :-1]
    same |= ~(known[:, 1:] | known[:, :-1])
    repeated = np.append(False, np.all(same, axis=0)) & np.any(known, axis=0)
    if not repeated.any() or not any(map(_is_noisy, intensity[:, ~repeated])):
        return intensity, []
    return np.where(repeated, np.nan, intensity), [
        f"{file}: {wording.counted(int(repeated.sum()), 'frame')} of {repeated.size} "
        "repeat the one before in every particle, as where a camera stood still or a "
        "film was given another rate; left aside."
    ]


def _is_noisy(trace) -> bool:
    """Whether hardly any value comes twice, and the trace goes up and down."""
    known = trace[np.isfinite(trace)]
    turns = np.sum(np.diff(np.sign(np.diff(known))) != 0)
    distinct = np.unique(known).size
    return distinct > _TOLD_APART * known.size and turns > _UNSTEADY * known.size


def _turned(intensity):
    """Each trace upside down between its own extremes."""
    turned = intensity.copy()
    for trace in turned:
        known = trace[np.isfinite(trace)]
        if known.size:
            trace[:] = known.min() + known.max() - trace
    return turned


def _remarks(file: str, labels, intensity, scale: float) -> list[str]:
    """What looks wrong; raises ValueError for traces that tell nothing."""
    notes, count = [], intensity.shape[1]
    if count < 2:
        raise ValueError(f"{file} must have two frames or more, but has {count}.")
    if count < LEAST_FRAMES:
        notes.append(
            f"{file} has {count} frames only; an onset is looked for in "
            f"{LEAST_FRAMES} or more."
        )
    if not np.any(np.isfinite(intensity)):
        raise ValueError(
            f"{file} must have an intensity in one frame or more, but has none for any "
            "of its particles; measure it again."
        )
    notes += _particle_remarks(file, labels, intensity)
    return notes + _scale_remarks(file, intensity, scale)


def _particle_remarks(file: str, labels, intensity) -> list[str]:
    """Which particles tell nothing, or not in all frames."""
    count, notes = intensity.shape[1], []
    known = [trace[np.isfinite(trace)] for trace in intensity]
    pairs = list(zip(labels, known, strict=True))

    def note(found, one: str, several: str, rest: str):
        if found:
            verb = wording.verb(found, one, several)
            names = wording.particles(list(found))
            notes.append(f"{file}: {names[0].lower()}{names[1:]} {verb} {rest}.")

    absent = [label for label, v in pairs if not v.size]
    note(absent, "has", "have", "no intensity in any frame")
    still = {label: v[0] for label, v in pairs if v.size and np.ptp(v) == 0}
    note(still, "is", "are", f"constant at {wording.span(still.values() or [0])}")
    part = {label: count - v.size for label, v in pairs if 0 < v.size < count}
    gone = wording.span(part.values() or [0])
    note(part, "has", "have", f"no intensity in {gone} of {count} frames")
    return notes


def _scale_remarks(file: str, intensity, scale: float) -> list[str]:
    """What intensities tell of their scale."""
    notes, low, top = [], float(np.nanmin(intensity)), float(np.nanmax(intensity))
    if np.isnan(scale):
        likely = next((s for s in _SCALES if top <= s), None)
        guess = (
            f" (its largest value, {top:.4g}, fits 0 to {likely:g})" if likely else ""
        )
        notes.append(
            f"{file} does not tell the raw value of 1{guess}; intensities are as in "
            "the file."
        )
    elif top > 1.0:
        notes.append(
            f"{file}: intensities reach {top:.4g} in units of the "
            f"scale {scale:g}; check it."
        )
    if low < 0:
        notes.append(f"{file}: intensities fall to {low:.4g}, below 0.")
    return notes
