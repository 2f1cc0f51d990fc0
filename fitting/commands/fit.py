"""`diffelec fit`: from event times, or a film, to curves with their uncertainty."""

import argparse
import shlex
import sys
from pathlib import Path

from . import from_film, study
from .job import Job, copy_sources, prepare, search, write_study
from .job_arguments import add_arguments, check, words


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `fit` and its arguments."""
    parser = subparsers.add_parser(
        "fit",
        help="fit contacts and material curves to measured event times",
        description="Fits contacts of the particles and curves of the material to the "
        "times at which particles reacted (from a table, or found in a film or its "
        "traces), and writes figures, tables, summary.json and study.json to the "
        "folder --out.",
    )
    add_arguments(parser)
    study.add_folder(parser, required=True)
    return parser


def run(arguments) -> None:
    """Reads, fits, prints, writes."""
    from .. import folders

    check(arguments)
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    with from_film.stages(arguments) as before:
        job = prepare(before.arguments)._replace(
            sources=before.sources, folders=before.folders
        )
        found, report = solve(job)
        with study.result_folder(arguments) as folder:
            names = write(folder, job, found, report)
    print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)


def solve(job: Job):
    """(fit, report), with progress on stderr and the table on stdout.

    Raises:
        SimulationError: where the model fails at the best values.
    """
    from .. import progress, review, summary

    found = search(job)
    with progress.Waiting("bands and trajectories"):
        report = review.review(job.setup, found, job.title, job.arguments.seed)
    print(summary.text(report))
    return found, report


def write(folder: Path, job: Job, found, report) -> list[str]:
    """All files of a fit into an empty folder; their names."""
    from .. import files, fit_files, progress, review

    with progress.Waiting("writing files and figures"):
        copy_sources(folder, job)
        fit_files.write_report(folder, report)
        files.write_electrode(
            folder / "electrode.json", review.fitted_electrode(job.setup, found)
        )
        again = command(job.arguments)
        return write_study(folder, job, "diffelec fit", again, outcome=found.message())


def command(arguments) -> str:
    """The command line that repeats a fit from within its folder of results."""
    return shlex.join(["diffelec", "fit", *words(arguments), "--out", "again"])
