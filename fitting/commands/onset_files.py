"""What `diffelec onsets` writes: tables, figures, and what it was told and chose."""

import argparse
import re
from pathlib import Path
from typing import Any, NamedTuple

from . import film_clock, study

_PACKAGES = ("numpy", "scipy", "matplotlib")


class Found(NamedTuple):
    """All that the command found, ready to be written; times of the film are without
    its clock's drift against the cycler's.
    """

    arguments: argparse.Namespace
    traces: Any  # optical.traces.Traces
    halves: tuple  # optical.onsets.HalfOnsets
    people: tuple  # optical.population.Population or None, per half cycle
    charge: Any  # optical.half_cycles.StateOfCharge or None
    offset: float
    offset_sd: float
    chosen: Any  # optical.onsets.HalfOnsets of the table for the fit
    events: Any  # events.Events or None
    notes: tuple[str, ...]
    drift: float = 0.0  # s that the cycler's clock gains on the film's in one of it


def write(folder: Path, found: Found) -> list[str]:
    """All files into an empty folder; their names."""
    from .. import files
    from ..optical import onset_tables

    comments = _comments(found)
    onset_tables.write_all(
        folder / "events_all.csv",
        *(found.halves, found.charge),
        offset=found.offset,
        comments=comments,
    )
    if found.events is not None:
        half = found.chosen.half
        head = f"Half cycle {half.number}, {half.name}."
        if found.arguments.cycler is None:
            head += " Times here are from its start."
        onset_tables.write_events(
            folder / "onsets.csv", found.events, (head, *comments)
        )
    known = [people for people in found.people if people is not None]
    files.write_json(
        folder / "population.json",
        [
            onset_tables.measures_as_json(people, offset=found.offset)
            for people in known
        ],
    )
    _draw(folder, found, known)
    if found.arguments.film is not None:
        _draw_film(folder, found)
    names = sorted([path.name for path in folder.iterdir()] + [files.STUDY])
    files.write_json(folder / files.STUDY, _study(found, names))
    return names


def check_kymographs(arguments: argparse.Namespace, traces) -> None:
    """Refuses to draw particles that the regions do not know."""
    from ..optical import frames, region_files

    if not arguments.kymograph:
        return
    film = frames.open_film(arguments.film, times=traces.time)
    marks = region_files.read_circles(arguments.regions, film.shape)
    known = {circle.particle for circle in marks}
    for label in arguments.kymograph:
        if label not in known:
            raise ValueError(
                f"--kymograph must name particles of {arguments.regions.name}, but has "
                f"'{label}'."
            )


def _comments(found: Found) -> tuple[str, ...]:
    """What a reader of the tables must know."""
    clock = "on the film's clock where nothing else is said"
    if found.arguments.cycler is not None:
        gains = f" and {film_clock.gained(found.drift)}" if found.drift else ""
        clock = (
            f"on the cycler's clock, which reads {found.offset:.10g} s when the film's "
            f"reads 0{gains}; that offset's deviation of {found.offset_sd:g} s is "
            "common to all particles and not in sd_h"
        )
    charge = "unknown" if found.charge is None else found.charge.source
    return (
        f"Found in {found.arguments.traces.name}. Times are {clock}.",
        f"State of charge: {charge}.",
    )


def _draw(folder: Path, found: Found, known) -> None:
    """Figures of traces and of all particles."""
    from ..optical import optical_figures as figures
    from ..style import save

    shared = {"charge": found.charge, "offset": found.offset}
    save(
        figures.half_cycles_figure(found.traces, found.halves, **shared),
        folder / "half_cycles.png",
    )
    for one, people in zip(found.halves, found.people, strict=True):
        if people is not None:
            n = one.half.number
            raster = figures.raster_figure(one, people, **shared)
            save(raster, folder / f"raster_{n}.png")
            reacted = figures.reacted_figure(one, people, **shared)
            save(reacted, folder / f"reacted_{n}.png")
    if known:
        save(figures.activity_figure(known, **shared), folder / "activity.png")


def _draw_film(folder: Path, found: Found) -> None:
    """Figures on the film."""
    import numpy as np

    from ..optical import film_figures, frames, region_files, still_film
    from ..style import save

    arguments = found.arguments
    film = frames.open_film(arguments.film, times=found.traces.time)
    if arguments.quality is not None:
        film = still_film.read_still(arguments.quality, film)
    marks = region_files.read_circles(arguments.regions, film.shape)
    kept = np.any(np.isfinite(found.traces.intensity), axis=0)  # masked are empty
    for one in found.halves:
        n, inside = one.half.number, one.half.holds(np.asarray(film.time)) & kept
        if not inside.any():
            continue
        image = np.asarray(film.frame(int(np.argmax(inside))), float)
        shared = {"charge": found.charge, "offset": found.offset}
        drawn = film_figures.onset_map(image, marks, one, **shared)
        save(drawn, folder / f"onset_map_{n}.png")
        drawn = film_figures.montage(film, marks, one, kept=kept, **shared)
        save(drawn, folder / f"montage_{n}.png")
    by_label = {circle.particle: circle for circle in marks}
    for label in arguments.kymograph:
        drawn = film_figures.kymograph(
            film, by_label[label], found.chosen, offset=found.offset, kept=kept
        )
        save(drawn, _own_place(folder, label))


def _own_place(folder: Path, label: str) -> Path:
    """Where a particle's kymograph goes; of names that are alike without what files
    cannot be called, each has its own.
    """
    plain = re.sub(r"[^\w.-]+", "_", label)
    path = folder / f"kymograph_{plain}.png"
    while path.exists():
        path = path.with_stem(f"{path.stem}_")
    return path


def _study(found: Found, names: list[str]) -> dict:
    """The command, what it chose by itself, and versions."""
    arguments = found.arguments
    return {
        "format": "diffelec onsets",
        "version": 1,
        "date": study.date(),
        "traces": str(arguments.traces),
        "cycler": None if arguments.cycler is None else str(arguments.cycler),
        "clock_offset_s": found.offset,
        "clock_sd_s": found.offset_sd,
        "clock_drift": found.drift,
        "half_cycle_of_onsets_csv": found.chosen.half.number,
        "state_of_charge": None if found.charge is None else found.charge.source,
        "settings": {
            "inverted": arguments.inverted,
            "noise": arguments.noise,
            "exposure_s": arguments.exposure_s,
            "change": arguments.change,
            "seed": arguments.seed,
        },
        "notes": list(found.notes) + [n for one in found.halves for n in one.notes],
        "versions": study.versions(_PACKAGES),
        "files": names,
    }
