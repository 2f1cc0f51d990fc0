"""A comparison of mechanisms in words, tables and figures."""

from pathlib import Path

import numpy as np

from . import compare_figures, files, style
from .compare import Comparison
from .mechanisms import MECHANISMS
from .summary import aligned

HOUR = 3600.0
COLUMNS = (
    *("mechanism", "numbers", "chi_square", "probability_of_larger"),
    *("log_evidence", "log_evidence_sd", "evidence_pareto_k", "probability"),
    *("left_out_difference", "left_out_difference_sd", "left_out_pareto_k"),
    *("solves", "failed_solves"),
)
_PARTICLE_COLUMNS = ("mechanism", "particle", "left_out_log_density", "pareto_k")
_EVENT_COLUMNS = (
    *("mechanism", "particle", "event", "half_cycle", "time_h", "sd_h"),
    *("after_h", "before_h", "low_90_h", "median_h", "high_90_h"),
    *("left_out_5_h", "left_out_50_h", "left_out_95_h", "half_cycle_end_h"),
)
_OF_EVENTS = "predictions"
_FIGURES = {
    "evidence": compare_figures.evidence_figure,
    _OF_EVENTS: compare_figures.predictions_figure,
}


def rows(found: Comparison) -> list[list]:
    """One row a mechanism, in the order of `COLUMNS`."""
    differences = found.differences() or [None] * len(found.contenders)
    table = []
    for c, share, off in zip(
        found.contenders, found.probabilities, differences, strict=True
    ):
        e = c.evidence
        without = [None] * 3 if off is None else [files.finite(n) for n in off]
        table.append(
            [
                *(c.name, c.setup.problem.space.size, c.chi_square),
                files.finite(c.probability_of_larger),
                *(e.log_evidence, e.sd, files.finite(e.shape), float(share)),
                *without,
                *(c.fit.num_evaluations + e.num_solves,),
                c.fit.num_failed + e.num_failed,
            ]
        )
    return table


def summary(found: Comparison) -> dict:
    """Everything that a comparison states; no NaN."""
    return {
        "title": found.title,
        "verdict": found.verdict(),
        "favoured": found.favoured,
        "least_probability_of_the_first": found.least_probability,
        "mechanisms": [
            dict(zip(COLUMNS, row, strict=True))
            | {
                "says": MECHANISMS[row[0]].sentence,
                "source": MECHANISMS[row[0]].source,
                "free": list(c.setup.problem.space.labels),
                "search": c.fit.message(),
            }
            for row, c in zip(rows(found), found.contenders, strict=True)
        ],
    }


def text(found: Comparison) -> str:
    """The table for a terminal, and the verdict."""
    table = [
        (
            *("mechanism", "numbers", "chi-square", "ln evidence", "probability"),
            "without particles",
        )
    ]
    for c, row in zip(found.contenders, rows(found), strict=True):
        name, size, chi, _, log, sd, _, share, off, off_sd, *_ = row
        without = "" if off is None else f"{off:.1f}"
        without += "" if off_sd is None else f" ± {off_sd:.1f}"
        if off is not None and np.any(c.left_out.doubtful):
            without += " (!)"
        sure = "" if c.evidence.reliable else " (!)"
        numbers = f"{chi:.1f}", f"{log:.2f} ± {sd:.2f}{sure}", f"{share:.3f}"
        table.append((name, str(size), *numbers, without))
    remarks = []
    if any("(!)" in cell for row in table for cell in row):
        remarks.append(
            "(!): weights with a shape too large for so few (0.55 of 160, 0.64 of 600, "
            "0.7 of 2200 or more), not to be trusted"
        )
    return "\n".join([*aligned(table, left=1), *remarks, "", found.verdict()])


def _event_rows(found: Comparison) -> list[list]:
    """Predictions of every event by every mechanism; None for a time beyond the end of
    the half cycle, and where nothing is known.
    """
    table = []
    for c in found.contenders:
        events, without = c.setup.events, c.left_out
        predicted = c.quantiles([0.05, 0.5, 0.95])
        for k in np.flatnonzero(c.setup.fitted):
            fitted = int(np.sum(c.setup.fitted[:k]))
            measured = (events.time[k], events.sd[k], events.after[k], events.before[k])
            left = [None] * 3 if without is None else without.quantiles[:, k] / HOUR
            label = events.particles[events.particle[k]]
            table.append(
                [
                    *(c.name, label, events.kind[k], events.number_of(k)),
                    *(files.finite(number / HOUR) for number in measured),
                    *(files.finite(end) for end in predicted[:, fitted] / HOUR),
                    *(None if n is None else files.finite(n) for n in left),
                    files.finite(c.ends[k] / HOUR),
                ]
            )
    return table


def write(folder: Path, found: Comparison) -> None:
    """summary.json, three tables and figures; no figure of events where none is fitted,
    as under whole traces.
    """
    files.write_json(folder / "summary.json", summary(found))
    files.write_csv(folder / "mechanisms.csv", COLUMNS, rows(found))
    files.write_csv(folder / "events.csv", _EVENT_COLUMNS, _event_rows(found))
    if found.differences() is not None:
        files.write_csv(
            folder / "particles.csv",
            _PARTICLE_COLUMNS,
            [
                (c.name, label, float(c.left_out.log_densities[k]), float(shape))
                for c in found.contenders
                for k, (label, shape) in enumerate(
                    zip(c.setup.events.particles, c.left_out.shapes, strict=True)
                )
            ],
        )
    fitted = found.contenders[0].setup.fitted.any()
    for name, draw in _FIGURES.items():
        if name == _OF_EVENTS and not fitted:
            continue
        style.save(draw(found), folder / f"{name}.png")
