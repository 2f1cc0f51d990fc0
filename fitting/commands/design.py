"""`diffelec design`: what the data tell, and which next experiment would tell more.

Takes what `fit` takes and searches as it does.
"""

import argparse
import math
import shlex
import sys

from . import from_film, job, job_arguments, study

_MINUTE = 60.0
_OWN = ("frame_interval_min", "floor_min", "draws")


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `design` and its arguments."""
    parser = subparsers.add_parser(
        "design",
        help="say which next experiment would tell most",
        description="Searches as `diffelec fit` does, then says how much the data tell "
        "of each number (the spectrum of their information, profiles) and what "
        "candidate experiments are expected to add, in bits, and writes tables and "
        "figures to the folder --out.",
    )
    job_arguments.add_arguments(parser)
    _add_design(parser)
    study.add_folder(parser, required=True)
    return parser


def _add_design(parser: argparse.ArgumentParser) -> None:
    design = parser.add_argument_group("next experiments")
    design.add_argument(
        "--candidates",
        metavar="NAME",
        nargs="+",
        help="again, frames, particles, second-cycle, faster, slower, hold, "
        "known-paths (default: all that the fit can offer)",
    )
    design.add_argument(
        "--frame-interval-min",
        metavar="NUMBER",
        type=float,
        help="from frame to frame; a time is known to a frame (default: that of a film "
        "or its traces, else what the deviations of the fitted events suggest)",
    )
    design.add_argument(
        "--floor-min",
        metavar="NUMBER",
        type=float,
        default=2.0,
        help="deviation of a time however many frames there are (default 2)",
    )
    design.add_argument(
        "--draws",
        metavar="N",
        type=int,
        default=8,
        help="of the normal law at which gains are taken again (default 8)",
    )
    design.add_argument(
        "--profile",
        metavar="NAME",
        nargs="+",
        default=[],
        help="numbers to profile, by their label or how it begins",
    )


def run(arguments) -> None:
    """Reads, searches, reckons, prints, writes."""
    from .. import design_files, folders, progress

    check(arguments)
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    with from_film.stages(arguments) as before:
        prepared = job.prepare(before.arguments)._replace(
            sources=before.sources, folders=before.folders
        )
        found = solve(prepared)
        print(design_files.text(found))
        with study.result_folder(arguments) as folder:
            with progress.Waiting("writing files and figures"):
                job.copy_sources(folder, prepared)
                design_files.write(folder, found)
            again = command(prepared.arguments)
            names = job.write_study(folder, prepared, "diffelec design", again)
    print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)


def check(arguments) -> None:
    """Refuses arguments that cannot go together or cannot be."""
    job_arguments.check(arguments)
    for name, least in (("frame_interval_min", 1e-3), ("floor_min", 0.0)):
        value = getattr(arguments, name)
        if value is not None and not least <= value < math.inf:
            raise ValueError(
                f"--{name.replace('_', '-')} must be finite and {least:g} or more, but "
                f"is {value:g}."
            )
    if arguments.draws < 0:
        raise ValueError(f"--draws must be 0 or more, but is {arguments.draws}.")
    study.check_most(arguments, "draws")


def solve(prepared):
    """The findings, with progress on stderr.

    Raises:
        SimulationError: where the model fails at the optimum, or every candidate.
        ValueError: for names of candidates or numbers that there are none of.
    """
    from .. import candidates, design, uncertainty

    arguments, space = prepared.arguments, prepared.setup.problem.space
    bench = _bench(prepared)
    offered, left_out = candidates.build(bench, arguments.candidates)
    wanted = named(space.labels, arguments.profile)
    fitted = job.search(prepared)
    print(f"search: {fitted.message()}", file=sys.stderr)
    expected = _expected(prepared, fitted, offered)
    return design.Findings(
        title=prepared.title,
        labels=space.labels,
        expected=tuple(design.ranked(expected)),
        directions=uncertainty.directions(space, fitted),
        profiles=_profiles(prepared, fitted, wanted),
        remarks=(*_remarks(bench, expected, arguments.draws), *left_out),
    )


def _bench(prepared):
    """The fit as the place to build experiments from."""
    from .. import bench

    arguments, setup = prepared.arguments, prepared.setup
    interval = arguments.frame_interval_min
    if interval is None:
        fitted = bench.looked_for(setup.events, prepared.choices)
        interval = bench.interval_of(setup.events, fitted) / _MINUTE
    frames = bench.Frames(_MINUTE * interval, _MINUTE * arguments.floor_min)
    return bench.Bench(setup, prepared.choices, frames)


def _expected(prepared, fitted, offered) -> list:
    """What every candidate is expected to tell."""
    import diffelec

    from .. import design, progress

    arguments, space = prepared.arguments, prepared.setup.problem.space
    found = []
    total = len(offered) * (arguments.draws + 1)
    with progress.Counted("candidates", total) as shown:
        for one in offered:
            found.append(
                design.expect(
                    *(space, fitted, one),
                    num_draws=arguments.draws,
                    seed=arguments.seed,
                    callback=lambda name=one.name: shown(name),
                )
            )
    if not any(math.isfinite(one.mean) for one in found):
        raise diffelec.SimulationError(
            "The model fails in every candidate. Tighten --rtol, or "
            "name others by --candidates."
        )
    return found


def _profiles(prepared, fitted, wanted: list[int]) -> tuple:
    """Profiles of the numbers of some indices."""
    from .. import design, progress, uncertainty

    problem, found = prepared.setup.problem, []
    every = uncertainty.estimates(problem.space, fitted) if wanted else ()
    with progress.Counted("profiles", len(wanted)) as shown:
        for index in wanted:
            quantity = uncertainty.Component(problem.space, index)
            profile = uncertainty.profile(problem, fitted, quantity)
            found.append(design.Profiled(every[index], profile))
            shown(every[index].label)
    return tuple(found)


def named(labels, names) -> list[int]:
    """Indices of the labels that begin by one of the names.

    Raises:
        ValueError: for a name by which none begins.
    """
    for name in names:
        if not any(label.startswith(name) for label in labels):
            raise ValueError(
                f"--profile must name a number of the fit, but '{name}' does not; they "
                f"are {', '.join(labels)}."
            )
    return [k for k, x in enumerate(labels) if any(x.startswith(n) for n in names)]


def _remarks(bench, expected, num_draws: int) -> list[str]:
    """What the gains take for granted."""
    frames = bench.frames
    sd = float(frames.deviations(False)) / _MINUTE
    kinds = ", ".join(dict.fromkeys(kind.name for kind in bench.kinds))
    failed = sum(one.num_failed for one in expected)
    total = len(expected) * (num_draws + 1)
    over = f"mean and standard deviation over {num_draws} draws of it"
    if num_draws < 2:
        over = "at one draw of it" if num_draws else "without draws of it"
    outliers = ""
    if bench.worth > 1.0:
        outliers = (
            f"; times that may be outliers tell as normal ones to {bench.worth:.3g} "
            "times as much"
        )
    return [
        f"A candidate measures {kinds} of every particle; a time to {sd:.3g} min (a "
        f"frame every {frames.interval / _MINUTE:.3g} min, and "
        f"{frames.floor / _MINUTE:.3g} min besides){outliers}.",
        f"Gains are of the normal law at the optimum: {over}; {failed} of {total} "
        "solves failed.",
    ]


def command(arguments) -> str:
    """The command line that repeats a run from within its folder of results."""
    own = []
    for name in _OWN:
        if getattr(arguments, name) is not None:
            own += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    for name in ("candidates", "profile"):
        given = getattr(arguments, name)
        own += [f"--{name}", *given] if given else []
    words = ["diffelec", "design", *job_arguments.words(arguments), *own]
    return shlex.join([*words, "--out", "again"])
