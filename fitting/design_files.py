"""Which experiment would tell, in words, tables and figures."""

import math
from pathlib import Path

import numpy as np

from . import design_figures, files, style, uncertainty
from .design import Expected, Findings
from .summary import aligned

_CANDIDATES = (
    "candidate",
    "gain_bits",
    "gain_spread_bits",
    "gain_at_optimum_bits",
    "curve_gain_bits",
    "curve_gain_at_optimum_bits",
    "directions_told",
    "widest_direction_prior_sd",
    "events",
    "events_seen",
    "failed_solves",
    "sharpens_most",
    "sd_before",
    "sd_after",
    "description",
)
_SHARPENING = ("number", "candidate", "sd_before", "sd_after")
_SPECTRUM = ("direction", "information", "told_by_data", "combination")
_PROFILES = ("number", "value", "loss_rise")


def _sharpest(one: Expected) -> int | None:
    """Index of the number whose standard deviation shrinks most."""
    return int(np.argmin(one.shrinkage)) if math.isfinite(one.gain) else None


def _row(found: Findings, one: Expected) -> list:
    """A candidate in the order of `_CANDIDATES`."""
    most = _sharpest(one)
    own = ["", math.nan, math.nan]
    if most is not None:
        own = [found.labels[most], one.sd_before[most], one.sd_after[most]]
    numbers = [one.mean, one.spread, one.gain, one.curve_mean, one.curve_gain]
    counts = [one.num_events, one.num_seen, one.num_failed]
    return [
        *(one.name, *(float(number) for number in numbers)),
        *(one.num_told, float(one.widest), *counts),
        *(own[0], *(float(number) for number in own[1:]), one.text),
    ]


def text(found: Findings) -> str:
    """The table, the most telling candidate first, and what it takes for granted."""
    size = len(found.directions)
    rows = [("candidate", "gain (bits)", "of the curves", "told", "sd: now", "then")]
    names = ["of what is sharpened most"]
    for one in found.expected:
        if not math.isfinite(one.mean):
            rows.append((one.name, "failed", *[""] * 4))
            names.append("")
            continue
        spread = f" ± {one.spread:.1f}" if math.isfinite(one.spread) else ""
        gains = f"{one.mean:.1f}{spread}", f"{one.curve_mean:.1f}"
        most = _sharpest(one)
        if most is None:
            rows.append((one.name, *gains, "", "", ""))
            names.append("(fails at the optimum)")
            continue
        sds = f"{one.sd_before[most]:.2g}", f"{one.sd_after[most]:.2g}"
        rows.append((one.name, *gains, f"{one.num_told}", *sds))
        names.append(found.labels[most])
    columns = zip(aligned(rows, left=1), names, strict=True)
    lines = [*(f"{row}  {name}".rstrip() for row, name in columns), ""]
    lines += [f"{one.name}: {one.text}" for one in found.expected]
    lines += ["", f"the data so far tell {found.num_told} of {size} directions"]
    lines += [_profile_line(one) for one in found.profiles]
    return "\n".join([*lines, *found.remarks])


def _profile_line(one) -> str:
    low, high = (
        "open" if not math.isfinite(end) else f"{end:.4g}"
        for end in one.profile.interval()
    )
    estimate, least = one.estimate, float(one.profile.losses.min(initial=0.0))
    astray = (
        f"; along the profile the loss falls {-least:.2g} below the fit's, so that "
        "neither holds: raise --max-steps or --starts"
    )
    told = astray if least < -uncertainty.BELOW else ""
    return (
        f"{estimate.label}: 95 % of the profile {low} to {high}, of the normal law "
        f"{estimate.lower:.4g} to {estimate.upper:.4g}{told}"
    )


def summary(found: Findings) -> dict:
    """Everything that is stated, with units in the keys; no NaN, no infinity."""
    finite = lambda v: None if isinstance(v, float) and not math.isfinite(v) else v
    rows = [
        {k: finite(v) for k, v in zip(_CANDIDATES, _row(found, e), strict=True)}
        for e in found.expected
    ]
    for row, one in zip(rows, found.expected, strict=True):
        row["combination_sharpened_most"] = one.direction
        row["gains_at_draws_bits"] = [finite(float(g)) for g in one.gains]
    return {
        "title": found.title,
        "candidates": rows,
        "directions_told_so_far": found.num_told,
        "spectrum": [
            {"information": d.information, "told": d.determined, "combination": d.name}
            for d in found.directions
        ],
        "profiles": [_profile_summary(one) for one in found.profiles],
        "remarks": list(found.remarks),
    }


def _profile_summary(one) -> dict:
    ends = [end if math.isfinite(end) else None for end in one.profile.interval()]
    return {
        "number": one.estimate.label,
        "value": one.estimate.value,
        "profile_95": ends,
        "normal_95": [one.estimate.lower, one.estimate.upper],
        "failed_solves": one.profile.num_failed,
    }


def write(folder: Path, found: Findings) -> None:
    """summary.json, tables and figures; no figure of what is sharpened where every
    candidate fails at the optimum.
    """
    files.write_json(folder / "summary.json", summary(found))
    rows = [_row(found, one) for one in found.expected]
    files.write_csv(folder / "design.csv", _CANDIDATES, rows)
    rows = [
        (label, one.name, float(one.sd_before[k]), float(one.sd_after[k]))
        for one in found.expected
        for k, label in enumerate(found.labels)
    ]
    files.write_csv(folder / "sharpening.csv", _SHARPENING, rows)
    rows = [
        (k + 1, d.information, int(d.determined), d.name)
        for k, d in enumerate(found.directions)
    ]
    files.write_csv(folder / "spectrum.csv", _SPECTRUM, rows)
    figures = {"gains": design_figures.gains_figure(found)}
    if any(math.isfinite(one.gain) for one in found.expected):
        figures["sharpening"] = design_figures.sharpening_figure(found)
    figures["spectrum"] = design_figures.spectrum_figure(found)
    if found.profiles:
        rows = [
            (one.estimate.label, float(target), float(loss))
            for one in found.profiles
            for target, loss in zip(
                one.profile.targets, one.profile.losses, strict=True
            )
        ]
        files.write_csv(folder / "profiles.csv", _PROFILES, rows)
        figures["profiles"] = design_figures.profiles_figure(found.profiles)
    for name, figure in figures.items():
        style.save(figure, folder / f"{name}.png")
