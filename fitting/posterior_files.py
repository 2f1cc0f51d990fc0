"""The files of a posterior: NetCDF in ArviZ's groups, tables, the summary."""

import math
from pathlib import Path

import numpy as np

from . import files, netcdf, posterior_figures, style
from .ends import told_interval
from .inference import LEVELS, Inference
from .summary import aligned, known
from .tempering import Tempered

HOUR = 3600.0
_FIGURES = {
    "curves": posterior_figures.curves_figure,
    "predictive": posterior_figures.predictive_figure,
    "traces": posterior_figures.traces_figure,
    "ranks": posterior_figures.ranks_figure,
    "pairs": posterior_figures.pairs_figure,
}
PARAMETER_COLUMNS = (
    "parameter",
    "mean",
    "sd",
    "low_90",
    "median",
    "high_90",
    "rhat",
    "ess_bulk",
    "ess_tail",
)
EVENT_COLUMNS = (
    *("particle", "event", "half_cycle", "change", "fitted"),
    *("time_h", "sd_h", "after_h", "before_h"),
    *(f"predicted_{100 * level:g}_h" for level in LEVELS),
    *("left_out_5_h", "left_out_50_h", "left_out_95_h", "left_out_pareto_k"),
    "half_cycle_end_h",
)
_CURVE_COLUMNS = (
    *("curve", "stoichiometry", "median_SI", "low_90_SI", "high_90_SI"),
    *("prior_low_90_SI", "prior_high_90_SI", "before_SI"),
)


def _hours(seconds) -> float | None:
    return files.finite(seconds / HOUR)


def parameter_rows(found: Inference) -> list[list]:
    """One row a number, in the order of `PARAMETER_COLUMNS`; units in the labels."""
    return [
        [q.label, *(files.finite(n) for n in q[1:])] for q in found.diagnosis.quantities
    ]


def event_rows(found: Inference) -> list[list]:
    """One row an event, in the order of `EVENT_COLUMNS`; None for a time beyond the
    end of the half cycle, and where nothing is known.
    """
    events, rows = found.setup.events, []
    for k, kind in enumerate(events.kind):
        measured = (events.time[k], events.sd[k], events.after[k], events.before[k])
        without = [None] * 4
        if found.left_out is not None:
            ends = [_hours(end) for end in found.left_out.quantiles[:, k]]
            without = [*ends, files.finite(found.left_out.shapes[events.particle[k]])]
        rows.append(
            [
                *(events.particles[events.particle[k]], kind, events.number_of(k)),
                float(events.change[k]),
                bool(found.setup.fitted[k]),
                *(_hours(float(number)) for number in measured),
                *(_hours(float(end)) for end in found.predicted.quantiles[:, k]),
                *without,
                _hours(found.predicted.ends[k]),
            ]
        )
    return rows


def summary(found: Inference) -> dict:
    """Everything that a posterior states, with units in the keys; no NaN."""
    diagnosis = found.diagnosis
    known, half, most = found.coverage
    return {
        "title": found.title,
        "verdict": diagnosis.verdict(),
        "trusted": not diagnosis.doubts,
        "chains": diagnosis.num_chains,
        "draws_per_chain": diagnosis.num_draws,
        "divergences": diagnosis.num_diverging,
        "failed_solves": diagnosis.num_failed,
        "failed_solves_in_warmup": diagnosis.num_failed_warmup,
        "trajectories_at_full_depth": diagnosis.num_deep,
        "solves": diagnosis.num_solves,
        "e_bfmi": list(diagnosis.ebfmi),
        "weights_pareto_k": None
        if diagnosis.shape is None
        else files.finite(diagnosis.shape),
        **_tempered(found.tempered),
        "events_with_a_time": known,
        "of_them_in_50_percent_interval": half,
        "of_them_in_90_percent_interval": most,
        "parameters": [
            dict(zip(PARAMETER_COLUMNS, row, strict=True))
            for row in parameter_rows(found)
        ],
        "events": [
            dict(zip(EVENT_COLUMNS, row, strict=True)) for row in event_rows(found)
        ],
        "remarks": list(found.setup.problem.space.remarks),
    }


def _tempered(tempered: Tempered | None) -> dict:
    """What walkers found, if any went."""
    if tempered is None:
        return {}
    return {
        "log_evidence": tempered.log_evidence,
        "log_evidence_sd": tempered.sd,
        "powers_of_the_likelihood": list(tempered.powers),
        "solves_of_walkers": tempered.num_solves,
        "failed_solves_of_walkers": tempered.num_failed,
    }


def write(folder: Path, found: Inference, attributes: dict) -> None:
    """summary.json, three tables, posterior.nc and figures into a folder."""
    files.write_json(folder / "summary.json", summary(found))
    files.write_csv(folder / "parameters.csv", PARAMETER_COLUMNS, parameter_rows(found))
    files.write_csv(folder / "events.csv", EVENT_COLUMNS, event_rows(found))
    names = ("x", "fitted", "low", "high", "prior_low", "prior_high", "before")
    rows = [
        (band.name, *row)
        for band in found.bands
        for row in np.stack([getattr(band, n) for n in names], axis=1).tolist()
    ]
    files.write_csv(folder / "curves.csv", _CURVE_COLUMNS, rows)
    write_netcdf(folder / "posterior.nc", found, attributes)
    for name, draw in _FIGURES.items():
        style.save(draw(found), folder / f"{name}.png")


def write_netcdf(path: Path, found: Inference, attributes: dict) -> None:
    """Draws as NetCDF in the groups that ArviZ reads; nothing where the packages of
    the extra `io` are missing.

    Args:
        path: of the file.
        found: what to write.
        attributes: texts and numbers that every group carries: versions, seeds,
            tolerances, the digest of the data.
    """
    if netcdf.missing() is not None:
        return
    groups = {
        "posterior": _posterior(found),
        "sample_stats": _statistics(found),
        "log_likelihood": _per_event(
            found, "log_likelihood", {"event_time": (found.draws.log_likelihoods, "1")}
        ),
        "posterior_predictive": _per_event(
            found,
            "all",
            {
                "event_time": (found.predicted.replicated, "s"),
                "event_time_of_model": (found.predicted.times, "s"),
            },
        ),
        "observed_data": _observed(found),
        "constant_data": _constant(found),
    }
    held = {name: _group(*group) for name, group in groups.items()}
    netcdf.write(path, held, attributes)


def _group(variables: dict, coordinates: dict) -> netcdf.Group:
    """Variables as (dims, values, unit) with chains and draws counted from 0."""
    made = {
        name: (dims, values, {"units": unit})
        for name, (dims, values, unit) in variables.items()
    }
    sizes = {}
    for dims, values, _ in variables.values():
        sizes |= dict(zip(dims, np.shape(values), strict=True))
    counted = {n: np.arange(sizes[n]) for n in ("chain", "draw") if n in sizes}
    return netcdf.Group(made, counted | coordinates)


_DRAWN = ("chain", "draw")


def _posterior(found: Inference):
    """Every free quantity by name, and the raw numbers."""
    space = found.setup.problem.space
    variables, coordinates, at = {}, {"component": list(space.labels)}, 0
    variables["raw"] = ((*_DRAWN, "component"), found.draws.raw, "1")
    for free in space.parts:
        size, name = free.prior.size, free.name.replace(" ", "_")
        own = found.values[..., at : at + size]
        at += size
        if size == 1:
            variables[name] = (_DRAWN, own[..., 0], free.unit or "1")
            continue
        variables[name] = ((*_DRAWN, f"{name}_of"), own, _units(free))
        coordinates[f"{name}_of"] = list(free.components or map(str, range(size)))
    return variables, coordinates


def _units(free) -> str:
    """Of a quantity's components, those apart that have another than it."""
    pairs = zip(free.components, free.units, strict=False)
    apart = [f"{name}: {unit}" for name, unit in pairs if unit != free.unit]
    return "; ".join([free.unit or "1", *apart])


def _statistics(found: Inference):
    draws = found.draws
    return {
        "lp": (_DRAWN, draws.log_density, "1"),
        "energy": (_DRAWN, draws.energy, "1"),
        "acceptance_rate": (_DRAWN, draws.acceptance, "1"),
        "step_size": (_DRAWN, draws.step_size, "1"),
        "n_steps": (_DRAWN, draws.num_solves, "1"),
        "tree_depth": (_DRAWN, draws.depth, "1"),
        "diverging": (_DRAWN, draws.diverging, "1"),
        "failed_solves": (_DRAWN, draws.num_failed, "1"),
    }, {}


def _events(found: Inference, which: str) -> list[str]:
    """Names of all events, or of those that were fitted."""
    events = found.setup.events
    names = [
        f"{events.particles[p]} {events.title_of(k)} {events.change[k]:g}"
        for k, p in enumerate(events.particle)
    ]
    if which == "all":
        return names
    fitted = [n for n, used in zip(names, found.setup.fitted, strict=True) if used]
    problem, seen = found.setup.problem, found.setup.seen
    points = 0 if problem.trace is None else np.size(problem.trace.measured)
    traces = () if seen is None else seen.labels
    voltages = [f"voltage {k}" for k in range(points)]
    return [*fitted, *voltages, *(f"trace of {label}" for label in traces)]


def _per_event(found: Inference, which: str, variables: dict):
    dims = (*_DRAWN, "event")
    made = {name: (dims, values, unit) for name, (values, unit) in variables.items()}
    return made, {"event": _events(found, which)}


def _observed(found: Inference):
    """Times, NaN where only bounds are known; bounds, NaN where a time is."""
    events = found.setup.events
    return {
        "event_time": (("event",), events.time, "s"),
        "event_after": (("event",), events.after, "s"),
        "event_before": (("event",), events.before, "s"),
    }, {"event": _events(found, "all")}


def _constant(found: Inference):
    events = found.setup.events
    return {
        "event_sd": (("event",), events.sd, "s"),
        "event_half_cycle_end": (("event",), found.predicted.ends, "s"),
        "event_change": (("event",), events.change, "1"),
        "event_fitted": (("event",), found.setup.fitted, "1"),
        "event_is_duration": (("event",), np.asarray(events.is_duration), "1"),
        "event_particle": (("event",), events.particle, "1"),
    }, {"event": _events(found, "all"), "particle": list(events.particles)}


def text(found: Inference) -> str:
    """The numbers, the events against their intervals, the verdict."""
    rows = [("number", "mean", "sd", "90 % interval", "R-hat", "bulk", "tail")]
    for q in found.diagnosis.quantities:
        rhat = f"{q.rhat:.3f}" if math.isfinite(q.rhat) else "-"
        sizes = (f"{n:.0f}" if math.isfinite(n) else "-" for n in (q.bulk, q.tail))
        interval = f"{q.low:.4g} to {q.high:.4g}"
        rows.append((q.label, f"{q.mean:.4g}", f"{q.sd:.2g}", interval, rhat, *sizes))
    lines = aligned(rows, left=1)
    lines += ["", *aligned(_event_table(found), left=2), ""]
    num, half, most = found.coverage
    if num:
        lines.append(
            f"of {num} fitted times, {half} lie within the 50 % and {most} within "
            "the 90 % interval of what should have been measured"
        )
    lines.append(found.diagnosis.counts())
    if found.tempered is not None:
        at = found.tempered
        lines.append(
            f"logarithm of the evidence {at.log_evidence:.2f} (+-{at.sd:.2f}), by "
            f"walkers at {len(at.powers)} powers and {at.num_solves} solves of theirs"
        )
    if found.left_out is not None and np.any(found.left_out.doubtful):
        lines.append(
            "The intervals with a particle left out that are marked (!) do not hold: "
            f"their weights have a shape k above {found.left_out.limit:.2f}."
        )
    return "\n".join([*lines, found.diagnosis.verdict()])


def _event_table(found: Inference) -> list[tuple]:
    events = found.setup.events
    rows = [("particle", "event", "measured (h)", "90 % of the posterior (h)")]
    if found.left_out is not None:
        rows[0] += ("90 % without the particle (h)",)
    for k in range(len(events.kind)):
        low, high = found.predicted.quantiles[[0, -1], k]
        end = found.predicted.ends[k]
        row = (
            events.particles[events.particle[k]],
            events.title_of(k) + ("" if found.setup.fitted[k] else " (not fitted)"),
            known(events, k),
            told_interval(low, high, end),
        )
        if found.left_out is not None:
            low, high = found.left_out.quantiles[[0, -1], k]
            bad = found.left_out.doubtful[events.particle[k]]
            row += (f"{told_interval(low, high, end)}{' (!)' if bad else ''}",)
        rows.append(row)
    return rows
