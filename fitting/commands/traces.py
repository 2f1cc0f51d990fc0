"""`diffelec traces`: from a film and regions to the brightness of every particle."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

from . import study
from .idle import Rule, refuse

_PACKAGES = ("numpy", "scipy", "tifffile", "roifile", "pillow", "matplotlib")
_STATISTICS = ("trimmed-mean", "mean", "median")
_HOUR = 3600.0
_SEARCH = 64.0  # px
MEASURE = ("pixel_um", "erode_px", "statistic", "dark", "flat")
"""Arguments of what is measured in regions."""


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `traces` and its arguments."""
    parser = subparsers.add_parser(
        "traces",
        help="measure the brightness of particles in a film",
        description="Follows shifts of the stage (a rotation is not followed), takes "
        "out the lamp's flicker, masks bad frames, and writes the brightness of every "
        "particle (traces.csv) with figures and tables of its quality to the folder "
        "--out.",
    )
    _add_arguments(parser)
    study.add_folder(parser, required=True)
    return parser


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    """All but where the results go."""
    parser.add_argument(
        "film",
        metavar="FILM",
        type=Path,
        help="TIFF stack, folder of PNG, JPEG or TIFF pictures, or video",
    )
    _add_regions(parser)
    add_times(parser)
    add_measure(parser)


def _add_regions(parser: argparse.ArgumentParser) -> None:
    regions = parser.add_argument_group("particles")
    which = regions.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--regions",
        metavar="FILE",
        type=Path,
        help="circles (CSV: particle, x_px, y_px, r_px), ImageJ's .roi or .zip, or a "
        "label image",
    )
    which.add_argument(
        "--propose",
        action="store_true",
        help="find what changes instead, and write regions.csv and a drawing for "
        "approval; nothing is measured",
    )


def add_times(parser: argparse.ArgumentParser) -> None:
    """The arguments that say when frames were taken."""
    times = parser.add_argument_group(
        "times of frames (by default what the film tells)"
    ).add_mutually_exclusive_group()
    times.add_argument(
        "--interval-s", metavar="SECONDS", type=float, help="between frames"
    )
    times.add_argument(
        "--times",
        metavar="FILE",
        type=Path,
        help="CSV with a column time_s, time_min or time_h, one row per frame",
    )


def add_measure(parser: argparse.ArgumentParser) -> None:
    """The arguments that say how particles are measured."""
    group = parser.add_argument_group("measurement")
    group.add_argument(
        "--pixel-um",
        metavar="SIZE",
        type=float,
        help="size of a pixel, for circles in columns x_um, y_um, r_um",
    )
    group.add_argument(
        "--erode-px",
        metavar="DEPTH",
        type=float,
        default=1.0,
        help="taken off the edges of regions (default 1)",
    )
    group.add_argument(
        "--statistic",
        choices=_STATISTICS,
        default="trimmed-mean",
        help="of a particle's pixels (default trimmed-mean, which leaves out the "
        "darkest and the brightest 10 %% of particles that no front is seen to cross, "
        "and would cut a front's ends; of 8 bit films the median moves in steps)",
    )
    group.add_argument(
        "--dark", metavar="FILE", type=Path, help="picture without light, taken off"
    )
    group.add_argument(
        "--flat", metavar="FILE", type=Path, help="picture of an even field"
    )
    group.add_argument(
        "--search-px",
        metavar="RANGE",
        type=float,
        default=_SEARCH,
        help=f"largest shift of the stage (default {_SEARCH:g})",
    )


class Measured(NamedTuple):
    """What was measured, ready to be written."""

    film: Any  # optical.frames.Film
    regions: Any  # optical.regions.Regions
    traces: Any  # optical.traces.Traces
    quality: Any  # optical.quality.Quality


def run(arguments) -> None:
    """Opens, registers, measures, prints, writes."""
    from .. import folders

    check(arguments)
    refuse(arguments, (Rule(MEASURE, ("regions",)),), _add_arguments)
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    film = opened(arguments)
    if arguments.propose:
        propose(arguments, film)
        return
    found = measure(arguments, film)
    with study.result_folder(arguments) as folder:
        names = write(folder, arguments, found)
    _print_written(names, arguments)
    path = shlex.quote(str(arguments.out / "traces.csv"))
    drawn = ["--film", str(arguments.film)]
    for name in ("regions", "quality"):
        drawn += [f"--{name}", str(arguments.out / f"{name}.csv")]
    drawn = shlex.join(drawn)
    print(f"next: diffelec onsets {path} --cycler FILE {drawn} --out onsets")


def opened(arguments):
    """The film, after saying what it is."""
    from ..optical import frames

    film = frames.open_film(
        arguments.film, interval=arguments.interval_s, times=arguments.times
    )
    print(describe(film))
    return film


def check(arguments) -> None:
    """Refuses numbers that cannot be."""
    for name in ("pixel_um", "search_px"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < float("inf"):
            raise ValueError(
                f"--{name.replace('_', '-')} must be positive, but is {value:g}."
            )
    if not 0 <= arguments.erode_px < 100:
        raise ValueError(
            "--erode-px must be 0 or more and below 100, but is "
            f"{arguments.erode_px:g}."
        )


def describe(film) -> str:
    """What a film is, in a few lines."""
    height, width = film.shape
    hours = (film.time[-1] - film.time[0]) / _HOUR
    return (
        f"{film.name}: {film.num_frames} frames of {width} x {height} px over "
        f"{hours:.4g} h; 1 stands for the raw value {film.scale:g}\n{film.time_source}"
    )


def propose(arguments, film) -> None:
    """Writes regions for approval."""
    import numpy as np

    from .. import style
    from ..optical import proposal, quality_figures, trace_files
    from ..wording import counted

    shifts = _registered(arguments, film)
    found = proposal.propose_regions(film, shifts=shifts)
    notes = film.notes + shifts.notes + found.notes
    _print_notes(notes)
    print(f"proposed {counted(len(found.labels), 'particle')}")
    with study.result_folder(arguments) as folder:
        trace_files.write_regions(folder / "regions.csv", found)
        first = film.frame(int(np.argmin(shifts.lost)))
        drawn = quality_figures.regions_figure(first, found, film.name)
        style.save(drawn, folder / "regions.png")
        names = _write_study(folder, arguments, notes)
    _print_written(names, arguments)
    again = shlex.join(["diffelec", "traces", str(arguments.film)])
    print(f"look at {arguments.out / 'regions.png'}, correct regions.csv beside it")
    print(
        f"next: {again} --regions {shlex.quote(str(arguments.out / 'regions.csv'))}"
        f"{_words(arguments)} --out traces"
    )


def _words(arguments) -> str:
    """The arguments of times and of the search again, for the next command."""
    found = []
    if arguments.interval_s is not None:
        found += ["--interval-s", str(arguments.interval_s)]
    if arguments.times is not None:
        found += ["--times", str(arguments.times)]
    if arguments.search_px != _SEARCH:
        found += ["--search-px", str(arguments.search_px)]
    return "".join(f" {shlex.quote(word)}" for word in found)


def measure(arguments, film) -> Measured:
    """Traces of the particles and their quality, with bars, notes and a table."""
    from ..optical import illumination, pictures, region_files
    from ..optical import measure as measuring

    regions = region_files.read_regions(
        arguments.regions,
        film.shape,
        pixel_size=arguments.pixel_um,
        erode=arguments.erode_px,
    )
    dark, flat = (
        None if path is None else pictures.read_picture(path)
        for path in (arguments.dark, arguments.flat)
    )
    correct = illumination.correction_of(film, dark, flat)
    shifts = _registered(arguments, film, regions.around)
    with study.counting_bar("measuring", film.num_frames) as shown:
        traces, quality = measuring.measure(
            film,
            regions,
            shifts=shifts,
            statistic=getattr(measuring, arguments.statistic.replace("-", "_")),
            correct=correct,
            shown=shown,
        )
    _print_notes(traces.notes)
    print(summary(traces, quality))
    return Measured(film, regions, traces, quality)


def _registered(arguments, film, away=None):
    """Shifts of the film's frames without what changes, with a bar."""
    from ..optical import registration

    with study.counting_bar("registering", film.num_frames) as shown:
        return registration.register(
            film, away=away, search=arguments.search_px, shown=shown
        )


def _print_notes(notes) -> None:
    for note in notes:
        print(f"note: {note}")


def summary(traces, quality) -> str:
    """A table of the particles, and what became of the frames."""
    import numpy as np

    kept, width = quality.kept, max(12, *map(len, traces.labels))
    lines = [
        f"{kept.sum()} of {kept.size} frames are good; shifts reach "
        f"{np.abs(quality.dx).max():.1f} px across and {np.abs(quality.dy).max():.1f} "
        "px down",
        f"{'particle':>{width}}  {'px':>6}  {'first':>7}  {'last':>7}  {'frames':>6}",
    ]
    for k, label in enumerate(traces.labels):
        good = np.flatnonzero(np.isfinite(traces.intensity[k]))
        ends = ["-", "-"]
        if good.size:
            ends = [f"{value:.4f}" for value in traces.intensity[k, good[[0, -1]]]]
        lines.append(
            f"{label:>{width}}  {quality.num_pixels[k].max():6d}  {ends[0]:>7}  "
            f"{ends[1]:>7}  {good.size:6d}"
        )
    return "\n".join(lines)


def write(folder: Path, arguments, found: Measured) -> list[str]:
    """All files of a measurement into an empty folder; their names."""
    import numpy as np

    from .. import style
    from ..optical import quality_figures, still_film, trace_files

    film, regions, traces, quality = found
    trace_files.write_traces(folder / "traces.csv", traces)
    trace_files.write_quality(folder / "quality.csv", traces, quality)
    trace_files.write_regions(folder / "regions.csv", regions)
    # Regions are those of a frame without a shift.
    still = still_film.StillFilm(film, quality.dy, quality.dx)
    first = still.frame(int(np.argmax(quality.kept)))
    style.save(
        quality_figures.regions_figure(first, regions, film.name),
        folder / "regions.png",
    )
    style.save(
        quality_figures.quality_figure(traces, quality, film.name),
        folder / "quality.png",
    )
    return _write_study(folder, arguments, traces.notes)


def _write_study(folder: Path, arguments, notes) -> list[str]:
    """study.json: what was asked, what was found, and by which versions."""
    from .. import files

    names = sorted([path.name for path in folder.iterdir()] + [files.STUDY])
    files.write_json(
        folder / files.STUDY,
        {
            "format": "diffelec traces",
            "version": 1,
            "date": study.date(),
            "arguments": study.asked(arguments),
            "notes": list(notes),
            "versions": study.versions(_PACKAGES),
            "files": names,
        },
    )
    return names


def _print_written(names, arguments) -> None:
    print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)
