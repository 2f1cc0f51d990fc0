"""What `diffelec fit` does before a fit: it copies its tables, and of a film or of
traces it does what two other commands do.

Tables are read from copies in a temporary place, which go to the results at the end:
what lies there is what was read, whatever became of the files meanwhile. The other
commands' results are written to folders of their own in that place.
"""

import argparse
import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import film_clock, onset_files, onsets, traces
from .idle import Rule

TRACES, ONSETS, INTENSITIES = "traces", "onsets", "intensities.csv"
"""Folders of the two commands' results inside that of the fit, and a table."""
_QUALITY = "quality.csv"
_TABLES = ("onsets", "cycler", "intensities")  # that are read from copies
_SOURCES = ("onsets", "film", "regions", "traces", "intensities", "cycler", "example")
_HOUR, _MINUTE = 3600.0, 60.0
RULES = (
    Rule((*traces.MEASURE, "search_px"), ("film",)),
    Rule(
        (
            *("interval_s", "times", "clock_offset_s", "reversals_h", "whole_traces"),
            *("discharge_first", "noise", "exposure_s", "change", "inverted"),
        ),
        ("film", "traces"),
    ),
    Rule(("intensity_sd",), ("intensities", "whole_traces")),
)
"""What says nothing of a table of events, or nothing of traces."""


class Stages(NamedTuple):
    """What comes before a fit.

    Attributes:
        arguments: of the fit, with copies of the tables, and with what was found.
        sources: what was given to be read, by the names of the arguments.
        folders: of results that came before; none where it begins at a table of events.
    """

    arguments: argparse.Namespace
    sources: dict[str, str]
    folders: tuple[Path, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `diffelec traces` and `diffelec onsets` that a fit takes."""
    group = parser.add_argument_group(
        "from a film or its traces, in place of --onsets",
        "The same as `diffelec traces` and `diffelec onsets`, whose --help tells more.",
    )
    group.add_argument(
        "--film", metavar="FILM", type=Path, help="stack, folder of pictures or video"
    )
    group.add_argument(
        "--regions",
        metavar="FILE",
        type=Path,
        help="of the particles: circles (CSV), ImageJ's .roi or .zip, a label image",
    )
    group.add_argument(
        "--traces",
        metavar="FILE",
        type=Path,
        help="CSV of intensities, in place of the film",
    )
    group.add_argument(
        "--whole-traces",
        action="store_true",
        help="fit the traces as they are, with a level and a gain of each particle, in "
        "place of the times that are found in them",
    )
    onsets.add_offset(group)
    traces.add_times(parser)
    traces.add_measure(parser)
    onsets.add_reading(parser)


def begins(arguments) -> bool:
    """Whether the fit begins at a film or at traces."""
    return arguments.film is not None or arguments.traces is not None


def check(arguments) -> None:
    """Refuses arguments that cannot go together, before anything is read."""
    if arguments.film is None and arguments.regions is not None:
        raise ValueError("--regions must come with --film, on which they are drawn.")
    if not begins(arguments):
        return
    if arguments.intensities is not None:
        raise ValueError(
            "--intensities must come with --onsets; of a film or its traces, "
            "--whole-traces fits them as they are."
        )
    if arguments.film is not None and arguments.regions is None:
        raise ValueError(
            "--film must come with --regions, the particles; `diffelec traces FILM "
            "--propose --out regions` finds some."
        )
    if arguments.clock is not None:
        raise ValueError(
            "--clock must come with --onsets: those of a film are on the cycler's "
            "clock already, see --clock-offset-s."
        )
    traces.check(arguments)
    onsets.check(_for_onsets(arguments, arguments.traces))


def _for_onsets(arguments, table: Path | None, film=None, regions=None):
    """Arguments of `diffelec onsets`."""
    own = {"traces": table, "film": film, "regions": regions, "kymograph": []}
    own |= {"quality": None}
    if film is not None:  # the table that was measured has times
        own |= {"interval_s": None, "times": None, "quality": table.parent / _QUALITY}
    return argparse.Namespace(**(vars(arguments) | own | {"capacity_mAh": None}))


def sources_of(arguments) -> dict[str, str]:
    """What is given to be read, by the names of the arguments."""
    given = {name: getattr(arguments, name) for name in _SOURCES}
    return {name: str(value) for name, value in given.items() if value is not None}


@contextlib.contextmanager
def stages(arguments) -> Iterator[Stages]:
    """What comes before the fit, valid inside the block.

    Raises:
        ValueError: where the film or the traces cannot be used, or tell no event.
    """
    sources = sources_of(arguments)
    with tempfile.TemporaryDirectory(prefix="diffelec-") as name:
        place = Path(name)
        arguments = _with_copies(arguments, place)
        if not begins(arguments):
            yield Stages(arguments, sources)
            return
        if arguments.film is not None:
            table = _measure(arguments, place / TRACES)
            regions = place / TRACES / "regions.csv"
            given = _for_onsets(arguments, table, arguments.film, regions)
        else:
            given = _for_onsets(arguments, arguments.traces)
        found = _find(given, place / ONSETS, sources)
        own = {
            "onsets": place / ONSETS / "onsets.csv",
            "half_cycle": found.chosen.half.number,
            "seen": arguments.seen or "surface",
            "clock_sd_s": found.offset_sd or None,
        }
        frame = film_clock.frame_time(found.traces)
        if arguments.edge_h is None:
            own["edge_h"] = frame / _HOUR
        if getattr(arguments, "frame_interval_min", 0.0) is None:  # of `design`
            own["frame_interval_min"] = frame / _MINUTE
        if arguments.whole_traces:
            own["intensities"] = _write_intensities(place / INTENSITIES, found)
        known = argparse.Namespace(**(vars(arguments) | own))
        folders = tuple(place / part for part in (TRACES, ONSETS))
        folders = tuple(folder for folder in folders if folder.is_dir())
        yield Stages(known, sources, folders)


def _with_copies(arguments, place: Path):
    """The arguments, with copies of the tables that they name, under the same names."""
    own = {}
    for name in _TABLES:
        path = getattr(arguments, name)
        if path is not None:
            own[name] = place / f"given-{name}" / path.name
            own[name].parent.mkdir()
            own[name].write_bytes(path.read_bytes())
    return argparse.Namespace(**(vars(arguments) | own))


def _measure(arguments, folder: Path) -> Path:
    """Measures the film as `diffelec traces` does; the table that it wrote."""
    measured = traces.measure(arguments, traces.opened(arguments))
    folder.mkdir()
    traces.write(folder, arguments, measured)
    return folder / "traces.csv"


def _find(given, folder: Path, sources: dict[str, str]):
    """Finds and writes what `diffelec onsets` does."""
    from .. import progress

    with progress.Waiting("finding onsets"):
        found = onsets.find(given)
    print(f"\n{onsets.text(found)}\n", flush=True)
    if not onsets.can_fit(found):
        raise ValueError(
            f"No particle's time is known in {found.chosen.half.name} of "
            f"{given.traces.name}, so there is nothing to fit; `diffelec onsets` tells "
            "why, and --half-cycle takes another one."
        )
    folder.mkdir()
    with progress.Waiting("drawing onsets"):
        onset_files.write(folder, found._replace(arguments=_as_written(given, sources)))
    return found


def _write_intensities(path: Path, found) -> Path:
    """The half cycle's traces on the clock of the events."""
    from ..optical import trace_files

    half, traces = found.chosen.half, found.traces
    inside = half.holds(traces.time)
    zero = onsets.zero_of(found.arguments, half, found.offset)
    trace_files.write_traces(
        path,
        dataclasses.replace(
            traces,
            time=traces.time[inside] + zero,
            intensity=traces.intensity[:, inside],
            start=float("nan"),
            notes=(),
        ),
    )
    return path


def _as_written(given, sources: dict[str, str]):
    """The arguments, with the table's place in the folder of the fit, and where the
    cycler's file was.
    """
    own = {}
    if given.film is not None:
        own["traces"] = Path(TRACES) / "traces.csv"
    if given.cycler is not None:
        own["cycler"] = Path(sources["cycler"])
    return argparse.Namespace(**(vars(given) | own))
