"""`diffelec onsets`: from intensities of particles to when they reacted."""

import argparse
import dataclasses
import itertools
import shlex
import sys
from pathlib import Path

from . import cycler_file, film_clock, study
from .idle import Rule, refuse
from .onset_files import Found, check_kymographs, write
from .traces import add_times

_HOUR, _MILLIAMPERE_HOUR = 3600.0, 3.6
_STEPS = "Charge at C/20 until 4.3 V", "Discharge at C/20 until 3 V"  # for one to mend
_RULES = (
    Rule(("clock_offset_s", "clock_sd_s", "capacity_mAh"), ("cycler",)),
    *cycler_file.RULES,
)
_CHANGE = "(default 0.25, of a jump from 1 to about 0.5)"


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `onsets` and its arguments."""
    parser = subparsers.add_parser(
        "onsets",
        help="find when particles reacted, from their intensities",
        description="Finds when each particle reacted in each half cycle, how surely, "
        "and what all of them do together; writes onsets.csv (for `diffelec fit`), "
        "events_all.csv, population.json and figures to the folder --out.",
    )
    parser.add_argument(
        "traces",
        metavar="TRACES",
        type=Path,
        help="CSV of intensities: time_s and one column a particle (as `diffelec "
        "traces` writes), or an ImageJ Multi Measure table",
    )
    _add_clock(parser)
    add_times(parser)
    add_reading(parser).add_argument(
        "--seed", metavar="N", type=int, default=0, help="of the intervals (default 0)"
    )
    film = parser.add_argument_group("figures on the film")
    film.add_argument("--film", metavar="FILM", type=Path, help="stack or folder")
    film.add_argument(
        "--regions",
        metavar="FILE",
        type=Path,
        help="CSV: particle, x_px, y_px, r_px (as `diffelec traces` writes)",
    )
    film.add_argument(
        "--quality",
        metavar="FILE",
        type=Path,
        help="CSV: dy_px, dx_px (as `diffelec traces` writes), by which frames are "
        "moved back under the regions",
    )
    film.add_argument(
        "--kymograph",
        metavar="PARTICLE",
        nargs="+",
        default=[],
        help="particles to draw over radius and time",
    )
    study.add_folder(parser, required=True)
    return parser


def _add_clock(parser: argparse.ArgumentParser) -> None:
    """What bounds the half cycles."""
    clock = parser.add_argument_group("half cycles and clocks")
    clock.add_argument(
        "--cycler",
        metavar="FILE",
        type=Path,
        help="the cycler's table: half cycles and states of charge",
    )
    cycler_file.add_arguments(clock)
    add_offset(clock)
    clock.add_argument(
        "--half-cycle",
        metavar="N",
        type=int,
        help="whose table is written for the fit; 1 first (default: the first charge)",
    )
    clock.add_argument(
        "--capacity-mAh",
        metavar="CAPACITY",
        type=float,
        help="charge that is a state of charge of 1 (default: that of the first half "
        "cycle)",
    )


def add_offset(clock) -> None:
    """Arguments on how the clocks of film and cycler differ, and on half cycles that
    no cycler tells.
    """
    clock.add_argument(
        "--clock-offset-s",
        metavar="SECONDS",
        help="what the cycler's clock reads when the film's reads 0, or auto to find "
        "it from the reversals of current (default 0)",
    )
    clock.add_argument(
        "--clock-sd-s",
        metavar="SECONDS",
        type=float,
        help="standard deviation of the offset (default one frame; 300 in a fit to a "
        "table of events whose --free names the clock), with which a fit carries it as "
        "a number of its own; 0 holds it",
    )
    clock.add_argument(
        "--reversals-h",
        metavar="HOURS",
        type=float,
        nargs="+",
        default=[],
        help="where no cycler recorded: when the current reversed, on the film's clock",
    )
    clock.add_argument(
        "--discharge-first",
        action="store_true",
        help="where no cycler recorded: the film begins with a discharge",
    )


def add_reading(parser: argparse.ArgumentParser):
    """The arguments that say what traces are; their group."""
    reading = parser.add_argument_group("traces")
    numbers = (
        ("--noise", None, "of an intensity (default: from neighbouring frames)"),
        ("--exposure-s", 0.0, "over which one frame is gathered (default 0)"),
        ("--change", None, f"of surface stoichiometry halfway up a rise {_CHANGE}"),
    )
    for name, default, text in numbers:
        reading.add_argument(
            name, metavar="NUMBER", type=float, default=default, help=text
        )
    reading.add_argument(
        "--inverted",
        action="store_true",
        help="particles darken in a charge (graphite) instead of brightening",
    )
    return reading


def run(arguments) -> None:
    """Reads, finds, prints, writes."""
    from .. import folders, progress

    check(arguments)
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    with progress.Waiting("finding onsets"):
        found = find(arguments)
    print(text(found))
    with (
        study.result_folder(arguments) as folder,
        progress.Waiting("writing files and figures"),
    ):
        names = write(folder, found)
    print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)
    print(_next(found))


def check(arguments) -> None:
    """Refuses arguments that cannot go together or cannot be."""
    if arguments.cycler is not None and (
        arguments.reversals_h or arguments.discharge_first
    ):
        raise ValueError(
            "--reversals-h and --discharge-first must not be given with --cycler, "
            "whose current tells both (without a current, whether its voltage falls)."
        )
    refuse(arguments, _RULES, _add_clock)
    if arguments.clock_sd_s is not None and not arguments.clock_sd_s >= 0:
        raise ValueError(
            f"--clock-sd-s must be 0 or more, but is {arguments.clock_sd_s:g}."
        )
    if arguments.half_cycle is not None and arguments.half_cycle < 1:
        raise ValueError(
            f"--half-cycle must be 1 or more, but is {arguments.half_cycle}."
        )
    if arguments.regions is not None and arguments.film is None:
        raise ValueError("--regions must come with --film, on which they are drawn.")
    if arguments.film is not None and arguments.regions is None:
        raise ValueError("--film must come with --regions, the circles of particles.")
    if arguments.quality is not None and arguments.film is None:
        raise ValueError("--quality must come with --film and --regions.")
    if arguments.kymograph and arguments.film is None:
        raise ValueError("--kymograph must come with --film and --regions.")
    if arguments.seed < 0:
        raise ValueError(f"--seed must be 0 or more, but is {arguments.seed}.")
    if arguments.change is not None and not 0 < arguments.change < 1:
        raise ValueError(
            f"--change must lie between 0 and 1, but is {arguments.change:g}."
        )


def find(arguments) -> Found:
    """Everything that is found, before anything is written."""
    from ..optical import half_cycles, onset_tables, onsets, trace_tables

    traces = trace_tables.read_traces(
        arguments.traces, interval=arguments.interval_s, times=arguments.times
    )
    check_kymographs(arguments, traces)
    offset, sd, drift, charge, notes = 0.0, 0.0, 0.0, None, list(traces.notes)
    if arguments.cycler is None:
        halves = _given_halves(arguments, traces)
    else:
        recording, remarks = _recording(arguments)
        clock, remark = film_clock.offset(arguments, traces, recording)
        notes += [*remarks, remark]
        # Both clocks then go alike, and differ by what they do when the film's reads 0.
        offset, drift = float(clock.on_cycler(0.0)), clock.sure_drift
        traces = dataclasses.replace(traces, time=(1.0 + drift) * traces.time)
        halves = half_cycles.of_recording(recording, offset)
        capacity = arguments.capacity_mAh
        charge = half_cycles.state_of_charge(
            recording, offset, capacity and _MILLIAMPERE_HOUR * capacity
        )
    found = onsets.find_onsets(
        traces,
        halves,
        noise=arguments.noise,
        exposure=arguments.exposure_s,
        inverted=arguments.inverted,
    )
    notes += half_cycles.left_over(traces, halves)
    if arguments.film is not None and arguments.quality is None:
        notes.append(
            "Frames are drawn as they are, so particles may lie beside their circles; "
            "give --quality quality.csv of `diffelec traces` to move them back."
        )
    people = tuple(_people(traces, one, charge, arguments.seed) for one in found)
    chosen = _chosen(found, arguments.half_cycle)
    if arguments.cycler is not None:
        middle = 0.5 * (chosen.half.start + chosen.half.end) / (1.0 + drift)
        given = arguments.clock_sd_s
        sd = clock.sd_at(middle) if given is None else given
    zero = zero_of(arguments, chosen.half, offset)
    events = onset_tables.to_events(chosen, offset=zero, change=arguments.change)
    return Found(
        *(arguments, traces, found, people, charge, offset, sd, chosen, events),
        notes=tuple(note for note in notes if note),
        drift=drift,
    )


def zero_of(arguments, half, offset: float) -> float:
    """What the events' clock reads when the film's reads 0 [s]."""
    # Without a cycler, a fit is driven by a protocol, whose clock starts with it.
    return -half.start if arguments.cycler is None else offset


def _given_halves(arguments, traces):
    """Half cycles from the reversals that are given; the whole film without any."""
    from ..optical import half_cycles

    first, last = float(traces.time[0]), float(traces.time[-1])
    reversals = [_HOUR * hours for hours in arguments.reversals_h]
    outside = [t for t in reversals if not first < t < last]
    if outside:
        raise ValueError(
            f"--reversals-h must lie within the film, {first / _HOUR:.4g} to "
            f"{last / _HOUR:.4g} h, but holds {outside[0] / _HOUR:g} h."
        )
    edges = [first, *reversals, last]
    charges = not arguments.discharge_first
    return half_cycles.from_bounds(
        [
            (start, end, charges if k % 2 == 0 else not charges)
            for k, (start, end) in enumerate(itertools.pairwise(edges))
        ]
    )


def _recording(arguments):
    """(recording, notes) of a cycler's table."""
    table = cycler_file.read(arguments)
    return cycler_file.recording(arguments, table), tuple(table.notes)


def _people(traces, one, charge, seed: int):
    """What all particles do; None where nothing is known of any."""
    from ..optical import degrees, population

    try:
        return population.population(
            degrees.degrees_of(traces, one, charge), one, seed=seed
        )
    except ValueError:
        return None


def _chosen(found, number: int | None):
    """The half cycle whose table is written for the fit."""
    if number is None:
        return next((one for one in found if one.half.charges), found[0])
    for one in found:
        if one.half.number == number:
            return one
    numbers = ", ".join(str(one.half.number) for one in found)
    raise ValueError(
        f"--half-cycle must be one that has frames, {numbers}, but is {number}."
    )


def text(found: Found) -> str:
    """All half cycles and notes for a terminal."""
    from ..optical import onset_tables

    pairs = zip(found.halves, found.people, strict=True)
    parts = [onset_tables.text(one, people, found.offset) for one, people in pairs]
    if found.charge is not None:
        parts.append(f"state of charge: {found.charge.source}")
    parts.append("\n".join(f"note: {note}" for note in found.notes))
    return "\n\n".join(part for part in parts if part)


def can_fit(found: Found) -> bool:
    """Whether the table for the fit determines anything."""
    import numpy as np

    events = found.events
    return events is not None and not np.all(
        events.right_censored | events.left_censored
    )


def _next(found: Found) -> str:
    """What to do next."""
    arguments = found.arguments
    if not can_fit(found):
        return (
            f"next: no particle's time is known in {found.chosen.half.name}, so there "
            "is nothing to fit; see the reasons in events_all.csv, or choose another "
            "--half-cycle."
        )
    words = ["diffelec", "fit", "--onsets", str(arguments.out / "onsets.csv")]
    number, before = found.chosen.half.number, 0
    if arguments.cycler is None:
        # Cells begin full of lithium: a charge is before the first discharge.
        before = int(found.chosen.half.charges == (number % 2 == 0))
        steps = itertools.cycle(_STEPS)
        words += ["--protocol", *itertools.islice(steps, number + before)]
    else:
        words += ["--cycler", str(arguments.cycler), *cycler_file.words(arguments)]
    if number + before > 1:
        words += ["--half-cycle", str(number + before)]
    # As of a fit that begins at the traces.
    words += ["--edge-h", f"{film_clock.frame_time(found.traces) / _HOUR:.6g}"]
    if found.offset_sd:
        words += ["--clock-sd-s", f"{found.offset_sd:.6g}"]
    seen = "half_cycles" if arguments.film is None else f"onset_map_{number}"
    fit = shlex.join([*words, "--seen", "surface", "--out", "fit"])
    return f"look at {arguments.out / seen}.png\nnext: {fit}"
