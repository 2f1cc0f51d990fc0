"""What `fit` and `infer` share: what their arguments name, the search, the study."""

import argparse
import contextlib
import dataclasses
import math
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from . import cycler_file, study

_HOUR = 3600.0
_PACKAGES = ("jax", "jaxlib", "diffrax", "equinox", "optimistix", "numpyro", "numpy")


class Job(NamedTuple):
    """What the arguments name, ready to run."""

    arguments: argparse.Namespace
    choices: Any  # setup.Choices
    setup: Any  # setup.Setup
    title: str
    sources: dict[str, str] | None = None  # what was given to be read
    folders: tuple[Path, ...] = ()  # of what came before


def prepare(arguments) -> Job:
    """Reads what the arguments name."""
    from .. import choices, mechanisms

    if arguments.free is not None:
        free = tuple(arguments.free)
    elif arguments.mechanism == mechanisms.NETWORK:
        free = choices.Choices.free
    else:
        free = mechanisms.mechanism(arguments.mechanism).free
    return prepare_one(arguments, arguments.mechanism, free)


def prepare_one(
    arguments, mechanism: str, free: tuple[str, ...], *, quiet: bool = False
) -> Job:
    """Reads what the arguments name, for a mechanism and what is free in it; describes
    the cycler's table on stderr unless `quiet`.
    """
    from .. import examples, setup

    given = {"clock_sd": arguments.clock_sd_s}
    given["edge_sd"] = _times(_HOUR, arguments.edge_h)
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.clock_sd_s and "clock" not in free:
        free = (*free, "clock")  # what is not known of it is in no time's deviation
    choices = setup.Choices(
        mechanism=mechanism,
        free=free,
        material=arguments.material,
        radius=1e-6 * arguments.radius_um,
        num_shells=arguments.shells,
        left_out=tuple(arguments.leave_out),
        discrepancy=_HOUR * arguments.discrepancy_h,
        robust=arguments.robust,
        series_resistance=arguments.series_ohm,
        capacity=_times(3.6, arguments.capacity_mAh),
        voltage_sd=_times(1e-3, arguments.voltage_sd_mV),
        intensity_sd=arguments.intensity_sd,
        rtol=arguments.rtol,
        **given,
    )
    half_cycle = (arguments.half_cycle or 1) - 1
    if arguments.example is None:
        found = _from_files(arguments, choices, half_cycle, quiet)
        if not quiet:
            _note_disorder(found.events)
        source = arguments.film or arguments.traces or arguments.onsets
        return Job(arguments, choices, found, f"{source.name}, {_of_events(found)}")
    example = examples.load(arguments.example)
    if example.recording is None:
        _check_driven(example.name, mechanism)
        driven, drive = setup.by_protocol, example.protocol
    else:
        driven, drive = setup.by_voltage, example.recording
    found = driven(example.events, drive, choices, half_cycle)
    return Job(arguments, choices, found, f"{example.title}: {example.citation}")


def _check_driven(example: str, mechanism: str) -> None:
    """Refuses a mechanism that an example without a recorded voltage cannot tell of."""
    from .. import examples, mechanisms

    if mechanism == mechanisms.NETWORK:
        return
    driven = [n for n in examples.names() if examples.load(n).recording is not None]
    raise ValueError(
        f"The mechanism '{mechanism}' must be driven by a recorded voltage, but that of"
        f" '{example}' is not known; take another --example ({', '.join(driven)}), or "
        "--onsets with --cycler."
    )


def _of_events(found) -> str:
    """The half cycles that events are of, 1 first."""
    from ..wording import named, verb

    numbers = [str(k + 1) for k in sorted(set(found.forward.half_cycles))]
    return f"{verb(numbers, 'half cycle', 'half cycles')} {named(numbers)}"


def _times(unit: float, value: float | None) -> float | None:
    return None if value is None else unit * value


def _from_files(arguments, choices, half_cycle: int, quiet: bool):
    """The setup of a table and a recording or a protocol."""
    driven = _behind_protocol if arguments.cycler is None else _behind_recording
    found, span, origin = driven(arguments, choices, half_cycle, quiet)
    if arguments.intensities is None:
        return found
    if choices.robust and not quiet:
        print("note: --robust bears with no outliers of whole traces.", file=sys.stderr)
    return _whole(arguments, choices, found, span, origin, quiet)


def _behind_protocol(arguments, choices, half_cycle: int, quiet: bool):
    """The setup, and as `_behind_recording` of instants on the events' own clock."""
    import diffelec

    from .. import readers, setup

    del quiet
    protocol = diffelec.Protocol.from_strings(arguments.protocol)
    events = readers.read_events(
        arguments.onsets,
        half_cycle=half_cycle,
        surface=arguments.seen == "surface",
    )
    found = setup.by_protocol(
        *(events, protocol, choices, half_cycle),
        from_start=arguments.clock == "cycler",
    )
    return found, (-math.inf, math.inf), 0.0


def _behind_recording(arguments, choices, half_cycle: int, quiet: bool):
    """The setup, the half cycle's start and end on the cycler's clock, and what that
    reads where tables read 0 [s].
    """
    from .. import readers, setup
    from ..optical import cycler

    table = cycler_file.read(arguments)
    recording = cycler_file.recording(arguments, table)
    if choices.series_resistance and recording.current is None:
        raise ValueError(
            f"{arguments.cycler.name} must hold a current for --series-ohm to take its "
            "drop off the voltage, but holds none; add the column current_A, or leave "
            "--series-ohm out."
        )
    try:
        seen = recording.half_cycle(half_cycle)
    except ValueError as error:
        raise ValueError(f"{arguments.cycler.name}: {error}") from None
    origin = seen.start if arguments.clock == "half-cycle" else 0.0
    events = readers.read_events(
        arguments.onsets,
        recording=recording,
        half_cycle=half_cycle,
        origin=origin,
        surface=arguments.seen == "surface",
    )
    several = set(events.half_cycles(half_cycle))
    if arguments.clock == "half-cycle" and several != {half_cycle}:
        raise ValueError(
            f"{arguments.onsets.name}: times of several half cycles must be on the "
            "cycler's clock, but --clock half-cycle is given; leave it out."
        )
    part = recording.part(0, max(several | {half_cycle}))
    if not quiet:
        print(*cycler.describe(table), sep="\n", file=sys.stderr)
    drive = setup.by_current if arguments.drive == "current" else setup.by_voltage
    return drive(events, part, choices, half_cycle), (seen.start, seen.end), origin


def _whole(arguments, choices, found, span, origin: float, quiet: bool):
    """The setup, to whole traces; `span` of the half cycle."""
    from .. import intensities, whole, wording
    from ..optical import trace_tables

    traces = trace_tables.read_traces(arguments.intensities)
    time = traces.time + origin
    try:
        seen = intensities.binned(time, traces.labels, traces.intensity, span)
        others = [p for p in traces.labels if p not in found.events.particles]
        if others and not quiet:
            print(
                f"note: {arguments.intensities.name}: {wording.particles(others)} not "
                "among the events, left aside; correct names that should be.",
                file=sys.stderr,
            )
        return whole.with_intensities(found, seen, choices.intensity_sd)
    except ValueError as error:
        raise ValueError(f"{arguments.intensities.name}: {error}") from None


def search(job: Job):
    """The optimum, with progress on stderr.

    Raises:
        SimulationError: where the model fails at the best values.
    """
    import diffelec

    from .. import optimise
    from ..wording import counted

    arguments, setup = job.arguments, job.setup
    size, most = setup.problem.space.size, arguments.max_steps
    starts = optimise.latin_hypercube(size, arguments.starts, arguments.seed)
    print(f"fitting {size} numbers to {setup.events.describe()}", file=sys.stderr)
    if setup.times is None:
        found = _searched(setup.problem, starts, most)
    else:
        first = _searched(setup.times, starts, most)
        traces = counted(len(setup.seen.labels), "whole trace")
        print(f"fitting them to {traces} from there", file=sys.stderr)
        found = _searched_on(setup.problem, first, most)
    if found.result == optimise.FIT_RESULTS.solve_failed:
        raise diffelec.SimulationError(found.message())
    return found


def _note_disorder(events) -> None:
    """Says on stderr which particles' events no particle can have."""
    from .. import wording
    from ..events import disordered

    labels = disordered(events)
    if labels:
        has = wording.verb(labels, "has an event", "have events")
        print(
            f"note: {wording.particles(labels)} {has} before one of a smaller change "
            "(a midpoint before an onset, say), which no particle can; look at the "
            "table's rows.",
            file=sys.stderr,
        )


def _searched_on(problem, first, max_steps: int):
    """The best end of searches from where others ended; solves of both count."""
    import numpy as np

    found = _searched(problem, np.stack([o.raw for o in first.optima]), max_steps)
    return dataclasses.replace(
        found,
        num_evaluations=first.num_evaluations + found.num_evaluations,
        num_failed=first.num_failed + found.num_failed,
    )


def _searched(problem, starts, max_steps: int):
    """The best end of searches from starts, with their progress."""
    from .. import optimise, progress

    with progress.Search(len(starts)) as shown:
        return optimise.fit(
            *(problem, starts, optimise.LevenbergMarquardt()),
            max_steps=max_steps,
            callback=shown,
        )


@contextlib.contextmanager
def _inputs(arguments):
    """The paths of the tables that are read, valid inside the block."""
    from .. import examples

    if arguments.example is None:
        yield arguments.onsets, arguments.cycler
    else:
        with examples.tables(arguments.example) as tables:
            yield tables


def _in_units(choices) -> dict:
    """Choices as JSON, units in the names."""
    units = {"radius": "m", "discrepancy": "s", "edge_sd": "s", "clock_sd": "s"}
    units |= {"series_resistance": "ohm", "capacity": "C", "voltage_sd": "V"}
    return {
        f"{name}_{units[name]}" if name in units else name: value
        for name, value in vars(choices).items()
    }


def copy_sources(folder: Path, job: Job) -> None:
    """Copies of what was read, and of what came before, into a folder of results."""
    from .. import fit_files

    with _inputs(job.arguments) as tables:
        fit_files.write_inputs(folder, *tables, job.arguments.intensities)
    for part in job.folders:
        shutil.copytree(part, folder / part.name)


def write_study(folder: Path, job: Job, kind: str, again: str, **more) -> list[str]:
    """study.json, the last of the files in a folder; the names of all of them."""
    from .. import files

    names = sorted([path.name for path in folder.iterdir()] + [files.STUDY])
    files.write_json(
        folder / files.STUDY,
        {
            "format": kind,
            "version": 1,
            "date": study.date(),
            "title": job.title,
            "command": again,
            "sources": job.sources or {},
            "choices": _in_units(job.choices),
            **more,
            "versions": study.versions(_PACKAGES),
            "files": names,
        },
    )
    return names
