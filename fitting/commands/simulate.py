"""`diffelec simulate`: any electrode over any protocol, to files and figures."""

import argparse
import inspect
from pathlib import Path

from . import study

_PROTOCOL = (
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Discharge at C/20 until 2.5 V",
)


def _quoted(steps) -> str:
    return ", ".join(f'"{step}"' for step in steps)


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `simulate` and its arguments."""
    parser = subparsers.add_parser(
        "simulate",
        help="run a protocol on an electrode and write files and figures",
        description="Writes solution.nc, timeseries.csv, steps.csv, onsets.csv, "
        "study.json and figures to the folder --out.",
    )
    which = parser.add_mutually_exclusive_group()
    study.add_electrode(which)
    add_protocol(parser)
    _add_instants(parser)
    add_tolerances(parser, rtol=1e-5)
    study.add_output(parser, required=True)
    return parser


def add_protocol(parser: argparse.ArgumentParser) -> None:
    """What is done to the cell."""
    parser.add_argument(
        "--protocol",
        metavar="STEP",
        nargs="+",
        default=list(_PROTOCOL),
        help=f"steps, each in quotes (default: {_quoted(_PROTOCOL)})",
    )
    parser.add_argument(
        "--cycles", metavar="N", type=int, default=1, help="repeats of the protocol"
    )


def _add_instants(parser: argparse.ArgumentParser) -> None:
    """Which instants are saved."""
    instants = parser.add_mutually_exclusive_group()
    instants.add_argument(
        "--times",
        metavar="FILE",
        type=Path,
        help="instants to save: CSV with the column time_s, from the start",
    )
    instants.add_argument(
        "--saved",
        metavar="N",
        type=int,
        default=101,
        help="instants saved per step, evenly (default 101)",
    )


def add_tolerances(parser: argparse.ArgumentParser, *, rtol: float) -> None:
    """How closely the equations are solved."""
    parser.add_argument(
        "--rtol",
        metavar="TOL",
        type=float,
        default=rtol,
        help=f"relative tolerance (default {rtol:g})",
    )
    parser.add_argument(
        "--max-steps",
        metavar="N",
        type=int,
        default=2000,
        help="of the integrator in one protocol step (default 2000)",
    )


def run(arguments) -> None:
    """Reads, solves, writes."""
    if arguments.cycles < 1:
        raise ValueError(f"--cycles must be 1 or more, but is {arguments.cycles}.")
    import diffelec

    from .. import files

    study.check_output(arguments)
    protocol = diffelec.Protocol.from_strings(arguments.protocol * arguments.cycles)
    electrode = electrode_of(arguments)
    settings = {"rtol": arguments.rtol, "max_steps": arguments.max_steps}
    if arguments.times is not None:
        settings["times"] = files.read_times(arguments.times)
    else:
        settings["num_saved"] = arguments.saved
    solution = study.solve(electrode, protocol, settings)
    study.write(arguments, electrode, solution, settings)


def electrode_of(arguments):
    """The electrode that the arguments name."""
    from .. import files

    if arguments.electrode is not None:
        return files.read_electrode(arguments.electrode)
    return preset(arguments.preset)


def preset(name: str):
    """The electrode of a function of `diffelec.presets` that needs no arguments.

    Raises:
        ValueError: for a name that is none of them.
    """
    import diffelec

    names = [
        key
        for key, value in vars(diffelec.presets).items()
        if inspect.isfunction(value)
        and value.__module__ == diffelec.presets.__name__
        and not key.startswith("_")
        and all(
            p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            for p in inspect.signature(value).parameters.values()
        )
    ]
    if name not in names:
        raise ValueError(
            f"--preset must be one of {', '.join(sorted(names))}, but is '{name}'."
        )
    return getattr(diffelec.presets, name)()
