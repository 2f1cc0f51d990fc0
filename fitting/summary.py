"""A fit in words and numbers: the summary file, the tables, the text for a terminal."""

import math
from collections.abc import Sequence

import numpy as np

from .ends import told
from .events import Events
from .report import Report
from .wording import counted

HOUR = 3600.0
EVENT_COLUMNS = (
    "particle",
    "event",
    "half_cycle",
    "change",
    "fitted",
    "time_h",
    "sd_h",
    "after_h",
    "before_h",
    "predicted_h",
    "predicted_sd_h",
    "misfit",
    "half_cycle_end_h",
)


def _hours(value: float) -> float | None:
    """In h, None where there is none or no bound."""
    return value / HOUR if math.isfinite(value) else None


def event_rows(report: Report) -> list[list]:
    """One row an event, in the order of `EVENT_COLUMNS`; None where nothing is known.

    `misfit` is in standard deviations, as `Report` says. A prediction beyond the end of
    the half cycle is None.
    """
    events = report.events
    rows = []
    for k, kind in enumerate(events.kind):
        numbers = [events.time[k], events.sd[k], events.after[k], events.before[k]]
        told_sd = report.predicted_sd[k] > 0 and np.isfinite(report.predicted[k])
        deviation = report.predicted_sd[k] if told_sd else math.nan
        numbers += [report.predicted[k], deviation]
        rows.append(
            [
                events.particles[events.particle[k]],
                kind,
                events.number_of(k),
                float(events.change[k]),
                bool(report.fitted[k]),
                *(_hours(float(number)) for number in numbers),
                float(report.misfit[k]),
                _hours(float(report.ends[k])),
            ]
        )
    return rows


def summary(report: Report) -> dict:
    """Everything that a fit states, with units in the keys; no NaN, no infinity."""
    return {
        "title": report.title,
        "chi_square": report.chi_square,
        "chi_square_rows": report.num_rows,
        "degrees_of_freedom": report.degrees,
        "probability_of_larger": report.probability
        if math.isfinite(report.probability)
        else None,
        "search": report.statistics,
        "driven_by": report.drive,
        "whole_traces": _traces(report),
        "voltage_rms_difference_V": voltage_difference(report),
        "observable": "surface stoichiometry"
        if report.events.surface
        else "mean stoichiometry",
        "events": [
            dict(zip(EVENT_COLUMNS, row, strict=True)) for row in event_rows(report)
        ],
        "parameters": [
            {
                "parameter": p.label,
                "value": p.value,
                "standard_deviation": p.sd,
                "interval_95": [p.low, p.high],
                "prior_standard_deviation": p.prior_sd,
                "share_of_prior_standard_deviation": p.share,
                "determined_by_data": bool(p.determined),
            }
            for p in report.parameters
        ],
        "undetermined_directions": list(report.undetermined),
        "remarks": list(report.remarks),
    }


def _traces(report: Report) -> list[dict] | None:
    """How well each whole trace is met; None where only times were fitted."""
    seen = report.brightness
    if seen is None:
        return None
    bins = np.isfinite(seen.measured).sum(axis=1)
    return [
        {
            "particle": label,
            "bins": int(bins[j]),
            "chi_square": float(seen.chi_square[j]),
            "rms_difference_of_range": float(seen.rms[j]),
        }
        for j, label in enumerate(seen.labels)
    ]


def voltage_difference(report: Report) -> float | None:
    """Root mean square of the predicted voltage less the recorded one [V], over time;
    None where that voltage drove the model, or none was recorded.
    """
    time, voltage = report.recorded
    run = report.trajectories
    if report.drive == "voltage" or not len(time):
        return None
    fine = np.linspace(max(time[0], run.time[0]), min(time[-1], run.time[-1]), 1001)
    off = np.interp(fine, run.time, run.voltage) - np.interp(fine, time, voltage)
    return float(np.sqrt(np.mean(off**2)))


def decimals_of(events: Events) -> int:
    """Decimals of hours in which every deviation and interval of a table has a digit:
    2, or more.
    """
    widths = events.before - events.after
    known = np.where(events.exact, events.sd, widths) / HOUR
    least = np.min(known, initial=1.0, where=np.isfinite(known))
    return max(2, math.ceil(-math.log10(least)))


def known(events: Events, k: int) -> str:
    """What was measured of an event, in h."""
    style = f".{decimals_of(events)}f"
    if events.exact[k]:
        return f"{events.time[k] / HOUR:{style}} ± {events.sd[k] / HOUR:{style}}"
    after, before = events.after[k] / HOUR, events.before[k] / HOUR
    if math.isinf(before):
        return f"after {after:{style}}"
    if math.isinf(after):
        return f"before {before:{style}}"
    return f"{after:{style}} to {before:{style}}"


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Cells in columns of one width, those of the first `left` to the left."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if c < left else cell.rjust(w)
            for c, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def text(report: Report) -> str:
    """The events with their predictions, the misfit, and what stayed open."""
    events, decimals = report.events, decimals_of(report.events)
    rows = [("particle", "event", "measured (h)", "model (h)", "misfit (sd)")]
    for k in range(len(events.kind)):
        rows.append(
            (
                events.particles[events.particle[k]],
                events.title_of(k) + ("" if report.fitted[k] else " (not fitted)"),
                known(events, k),
                told(report.predicted[k], report.ends[k], decimals),
                f"{report.misfit[k]:z.1f}",
            )
        )
    lines = [*aligned(rows, left=2), "", _quality(report)]
    off = voltage_difference(report)
    if off is not None:
        lines.append(
            f"the predicted voltage is {1e3 * off:.0f} mV rms off the recorded"
        )
    if report.brightness is not None:
        seen = report.brightness
        worst = int(np.argmax(seen.rms))
        lines.append(
            f"{counted(len(seen.labels), 'whole trace was', 'whole traces were')} "
            f"fitted; the worst, of "
            f"{seen.labels[worst]}, is {100 * seen.rms[worst]:.1f} % of its range off "
            "(rms)"
        )
    lines.append(f"search: {report.statistics['outcome']}")
    if not report.statistics["settled"]:
        lines.append(
            "Values, intervals and chi-square are those where it stopped, not those of "
            "an optimum."
        )
    open_numbers = [p.label for p in report.parameters if not p.determined]
    if open_numbers:
        lines.append(
            f"{len(report.undetermined)} of {len(report.parameters)} directions, and "
            "these numbers, are told by the prior rather than by the data:"
        )
        lines += [f"  {label}" for label in open_numbers]
    return "\n".join([*lines, *report.remarks])


def _quality(report: Report) -> str:
    """Chi-square as a sentence."""
    if report.num_rows == 0:
        return "no fitted event has a time, so there is no chi-square"
    likely = ""
    if math.isfinite(report.probability):
        likely = f"; a larger one has a probability of {report.probability:.2g}"
    timed = int(np.sum(report.events.exact & report.fitted))
    names = ("row of data", "rows of data") if report.num_rows != timed else ("time",)
    return (
        f"chi-square {report.chi_square:.2f} of {counted(report.num_rows, *names)}, "
        f"{report.degrees:.1f} degrees of freedom left{likely}"
    )
