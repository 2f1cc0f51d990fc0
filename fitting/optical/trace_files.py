"""Writes traces, their quality and regions as tables."""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from ..sheets import write_rows
from .quality import Quality
from .regions import Regions
from .traces import Traces


def write_traces(path: str | os.PathLike, traces: Traces) -> None:
    """`frame,time_s,<label>` and so on: one row per frame, empty cells where not valid.

    Lines with `#` above the header give scale, start and notes.
    """
    comments = []
    if np.isfinite(traces.scale):
        comments.append(f"scale: {traces.scale:.10g}")
    if np.isfinite(traces.start):
        date = datetime.fromtimestamp(traces.start, UTC).isoformat(timespec="seconds")
        comments += [f"start: {traces.start:.3f}", f"start_date: {date}"]
    comments += [f"note: {note}" for note in traces.notes]
    rows = (
        [k + 1, f"{time:.10g}", *map(_value, values)]
        for k, (time, values) in enumerate(
            zip(traces.time, traces.intensity.T, strict=True)
        )
    )
    _write(path, ["frame", "time_s", *traces.labels], rows, comments)


def write_quality(path: str | os.PathLike, traces: Traces, quality: Quality) -> None:
    """One row per frame: shifts, light, focus, flags, and three columns per particle.

    These are its pixels in the field, their standard deviation, and how many of them
    are saturated.
    """
    header = ["frame", "time_s", "dy_px", "dx_px", "correlation", "gain", "focus"]
    header.append("flags")
    for label in traces.labels:
        header += [f"n_px_{label}", f"sd_{label}", f"n_saturated_{label}"]
    rows = []
    for k, time in enumerate(traces.time):
        row = [k + 1, f"{time:.10g}", _value(quality.dy[k]), _value(quality.dx[k])]
        row += [_value(quality.correlation[k]), _value(quality.gain[k])]
        row += [_value(quality.focus[k]), quality.reasons(k)]
        for p in range(len(traces.labels)):
            row += [int(quality.num_pixels[p, k]), _value(quality.sd[p, k])]
            row.append(int(quality.num_saturated[p, k]))
        rows.append(row)
    _write(path, header, rows)


def write_regions(path: str | os.PathLike, regions: Regions) -> None:
    """Circles of the same centre and area, `particle,x_px,y_px,r_px`, and pixels."""
    rows = (
        [label, f"{x:.3f}", f"{y:.3f}", f"{r:.3f}", pixels.shape[1]]
        for label, (y, x), r, pixels in zip(
            regions.labels, regions.centre, regions.radius, regions.pixels, strict=True
        )
    )
    _write(path, ["particle", "x_px", "y_px", "r_px", "n_px"], rows)


def _value(value: float) -> str:
    """Seven digits; an empty cell for what is not finite."""
    return f"{value:.7g}" if np.isfinite(value) else ""


def _write(
    path: str | os.PathLike,
    header: Sequence[str],
    rows: Iterable[Sequence],
    comments: Sequence[str] = (),
) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        stream.writelines(f"# {line}\n" for line in comments)
        write_rows(stream, [header, *rows], lineterminator="\n")
