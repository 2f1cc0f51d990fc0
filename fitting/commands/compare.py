"""`diffelec compare`: which mechanism do the data favour, and can they tell?

Takes what `fit` takes, but for what is free: each mechanism has one number a particle
and one curve of its own, as `fitting.mechanisms` says.
"""

import argparse
import math
import shlex
import sys
from pathlib import Path

from . import from_film, job, job_arguments, study

_LEAST_DRAWS = 100


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `compare` and its arguments."""
    parser = subparsers.add_parser(
        "compare",
        help="weigh rival mechanisms against each other on the same data",
        description="Fits every mechanism to the same events of particles behind a "
        "recorded voltage, each with one number a particle and a curve of its own, and "
        "says how probable each makes the data (evidence), how well each foretells a "
        "particle that it has not seen, and whether the data can tell them apart.",
    )
    job_arguments.add_arguments(parser, rivals=True)
    weigh = parser.add_argument_group("comparison")
    weigh.add_argument(
        "--mechanisms",
        metavar="NAME",
        nargs="+",
        help="network (conductivity, Sharma 2022), autocatalytic (rate constant, Park "
        "2021), diffusion, network+autocatalytic, autocatalytic+diffusion (default: "
        "all)",
    )
    weigh.add_argument(
        "--draws",
        metavar="N",
        type=int,
        default=1200,
        help="weighted draws behind each evidence, three times as many where their "
        "weights do not hold (default 1200)",
    )
    study.add_folder(parser, required=True)
    return parser


def run(arguments) -> None:
    """Reads, fits each mechanism, weighs them, prints, writes."""
    from .. import compare_files, folders, mechanisms

    names = arguments.mechanisms or list(mechanisms.MECHANISMS)
    check(arguments, names)
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    with from_film.stages(arguments) as before:
        prepared, found = weigh(before.arguments, names)
        prepared = prepared._replace(sources=before.sources, folders=before.folders)
        print(compare_files.text(found))
        with study.result_folder(arguments) as folder:
            written = write(folder, prepared, found)
    print(f"wrote {', '.join(written)} to {arguments.out}", file=sys.stderr)


def check(arguments, names) -> None:
    """Refuses arguments that cannot go together or cannot be."""
    from .. import mechanisms

    job_arguments.check(arguments)
    for name in names:
        mechanisms.mechanism(name)
    if len(set(names)) < max(len(names), 2):
        raise ValueError(
            "--mechanisms must name two or more, each of them once, but names "
            f"{', '.join(names)}."
        )
    if arguments.draws < _LEAST_DRAWS:
        raise ValueError(
            f"--draws must be {_LEAST_DRAWS} or more, but is {arguments.draws}."
        )
    study.check_most(arguments, "draws")


def weigh(arguments, names):
    """(job of the first mechanism, comparison), with progress on stderr.

    Raises:
        SimulationError: where a mechanism fails at its optimum.
        ValueError: where what drives the model does not serve all mechanisms.
    """
    import diffelec

    from .. import compare, mechanisms

    jobs = {}
    for name in names:
        free = mechanisms.mechanism(name).free
        jobs[name] = job.prepare_one(arguments, name, free, quiet=bool(jobs))
    contenders = []
    for name, prepared in jobs.items():
        print(f"{name}: {mechanisms.MECHANISMS[name].sentence}", file=sys.stderr)
        try:
            contenders.append(_contender(prepared, name, arguments))
        except (ValueError, diffelec.SimulationError) as error:
            failed = isinstance(error, diffelec.SimulationError)
            kind = diffelec.SimulationError if failed else ValueError
            raise kind(
                f"{name}: {error} To weigh the others alone, name them by --mechanisms."
            ) from error
    first = jobs[names[0]]
    return first, compare.compared(first.title, contenders)


def _contender(prepared, name: str, arguments):
    """One mechanism, fitted and weighed."""
    from .. import compare, ends, left_out, progress, uncertainty

    setup = prepared.setup
    fit = job.search(prepared)
    print(f"search: {fit.message()}", file=sys.stderr)
    found = _evidence(setup, fit, name, arguments)
    without, last = None, ends.ends_of(setup, fit.raw)
    if left_out.can_leave_out(setup) and setup.fitted.all():
        with progress.Waiting(f"{name} without each particle"):
            without = left_out.leave_out(
                *(setup, found.raw, found.times),
                count=160,
                seed=arguments.seed,
                ends=last,
            )
    quality = uncertainty.goodness(setup.problem, fit)
    return compare.Contender(
        *(name, setup, fit, found, without),
        ends=last,
        chi_square=quality.chi_square,
        probability_of_larger=quality.probability,
    )


def _evidence(setup, fit, name: str, arguments):
    """The evidence of a mechanism, with progress on stderr."""
    from .. import coordinates, evidence, progress

    rounds = max(3, round(arguments.draws / 240))
    count = math.ceil(arguments.draws / rounds)
    with progress.Counted(f"evidence of {name}", rounds * count) as shown:

        def told(done: int) -> None:
            if done > shown.total:  # another round
                shown.total += count
            shown(f"{done} solves")

        return evidence.evidence(
            *(setup.problem, fit),
            rounds=rounds,
            count=count,
            seed=arguments.seed,
            alone=coordinates.only_bounded(
                setup.problem.space, setup.events, setup.fitted
            ),
            callback=told,
        )


def write(folder: Path, prepared, found) -> list[str]:
    """All files of a comparison into an empty folder; their names."""
    from .. import compare_files, progress

    with progress.Waiting("writing files and figures"):
        job.copy_sources(folder, prepared)
        compare_files.write(folder, found)
        again = command(prepared.arguments)
        return job.write_study(
            *(folder, prepared, "diffelec compare", again),
            mechanisms=[contender.name for contender in found.contenders],
            outcome=found.verdict(),
        )


def command(arguments) -> str:
    """The command line that repeats a run from within its folder of results."""
    words = ["diffelec", "compare", *job_arguments.words(arguments)]
    if arguments.mechanisms:
        words += ["--mechanisms", *arguments.mechanisms]
    words += ["--draws", str(arguments.draws)]
    return shlex.join([*words, "--out", "again"])
