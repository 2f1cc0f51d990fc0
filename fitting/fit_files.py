"""The files of a fit: copies of what was read, tables, figures, the summary."""

import shutil
from pathlib import Path

import numpy as np

from . import files, fit_figures, style, summary
from .report import Brightness, Report

_FIGURES = {
    "curves": fit_figures.curves_figure,
    "parity": fit_figures.parity_figure,
    "voltage": fit_figures.voltage_figure,
    "lithium": fit_figures.lithium_figure,
    "lithium_map": fit_figures.raster_figure,
    "parameters": fit_figures.parameters_figure,
}
_BRIGHTNESS = ("particle", "time_h", "measured", "fitted")
# Told by their names when they are read again.
_BINARY = (".xlsx", ".xlsm", ".nda", ".ndax", ".mpr")
_CURVE_COLUMNS = (
    "curve",
    "stoichiometry",
    "fitted_SI",
    "low_95_SI",
    "high_95_SI",
    "before_SI",
)


def cycler_name(cycler: Path) -> str:
    """What the copy of a cycler's file is called; text of any layout is CSV."""
    suffix = cycler.suffix.lower()
    return f"cycler{suffix if suffix in _BINARY else '.csv'}"


def write_inputs(
    folder: Path, onsets: Path, cycler: Path | None, intensities: Path | None = None
) -> None:
    """Copies of the tables that were read, under names of their own."""
    shutil.copyfile(onsets, folder / "onsets.csv")
    if cycler is not None:
        shutil.copyfile(cycler, folder / cycler_name(cycler))
    if intensities is not None:
        shutil.copyfile(intensities, folder / "intensities.csv")


def write_report(folder: Path, report: Report) -> None:
    """summary.json, events.csv, curves.csv, trajectories.csv and six figures; of whole
    traces, brightness.csv and one figure more.
    """
    files.write_json(folder / "summary.json", summary.summary(report))
    files.write_csv(
        folder / "events.csv", summary.EVENT_COLUMNS, summary.event_rows(report)
    )
    columns = ("x", "fitted", "low", "high", "before")
    rows = [
        (band.name, *row)
        for band in report.bands
        for row in np.stack([getattr(band, c) for c in columns], axis=1).tolist()
    ]
    files.write_csv(folder / "curves.csv", _CURVE_COLUMNS, rows)
    run = report.trajectories
    files.write_csv(
        folder / "trajectories.csv",
        ["time_h", "voltage_V"]
        + [f"x_mean_{label}" for label in run.labels]
        + [f"x_surface_{label}" for label in run.labels],
        np.column_stack([run.time / summary.HOUR, run.voltage, run.mean, run.surface]),
    )
    for name, draw in _FIGURES.items():
        style.save(draw(report), folder / f"{name}.png")
    if report.brightness is not None:
        _write_brightness(folder, report.brightness)


def _write_brightness(folder: Path, seen: Brightness) -> None:
    """Traces beside those of the model, as a table and a figure."""
    hours = (seen.time / summary.HOUR).tolist()
    rows = [
        (label, *row)
        for label, *pair in zip(seen.labels, seen.measured, seen.fitted, strict=True)
        for row in zip(hours, *(part.tolist() for part in pair), strict=True)
        if np.isfinite(row[1])
    ]
    files.write_csv(folder / "brightness.csv", _BRIGHTNESS, rows)
    style.save(fit_figures.brightness_figure(seen), folder / "brightness.png")
