"""`diffelec sweep`: a study over a grid or over draws, in chunks, resumable.

Any number of processes may work on one sweep: each runs the same command with --join.
"""

import argparse
import contextlib
import shlex
import sys

from . import idle, simulate, study

_CHUNKS = {"cpu": 64}  # lanes a file
_CHUNK_ELSEWHERE = 1024
_PACKAGES = ("jax", "jaxlib", "diffrax", "equinox", "numpy")
_RULES = (idle.Rule(("seed",), ("draws",)),)


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `sweep` and its arguments."""
    parser = subparsers.add_parser(
        "sweep",
        help="simulate over a grid of quantities or draws of their priors",
        description="Simulates an electrode many times, with quantities varied over a "
        "grid or drawn at random, and writes lanes.csv, onsets.csv, sweep.nc, "
        "study.json and figures to the folder --out. A midpoint is a change of 0.33 in "
        "stoichiometry in lanes.csv (spread_N_h) and figures, and half of a particle's "
        "own change in onsets.csv (midpoint_h), as `simulate` has it. An interrupted "
        "or killed run goes on with --resume; with --join several processes share one.",
    )
    which = parser.add_mutually_exclusive_group()
    study.add_electrode(which)
    simulate.add_protocol(parser)
    _add_varied(parser)
    simulate.add_tolerances(parser, rtol=1e-4, most=2000)
    parser.add_argument(
        "--chunk",
        metavar="N",
        type=int,
        help="simulations a file, what a kill costs (default 64; on a GPU 1024)",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--resume", action="store_true", help="go on with a run that was interrupted"
    )
    how.add_argument(
        "--join",
        action="store_true",
        help="begin the run or share it with other processes that do the same; the "
        "last one writes the results",
    )
    study.add_folder(parser, required=True)
    return parser


def _add_varied(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--vary",
        metavar="NAME=LOW:HIGH[:COUNT]",
        action="append",
        default=[],
        help="conductivity, diffusivity, exchange-current, contact-radius, radius or "
        "current (C-rates) by factors, evenly in their logarithm; "
        "initial-stoichiometry, "
        "temperature (K) or series-resistance (ohm) by values; may be given again; "
        "COUNT values make a grid (1: the middle), none are drawn",
    )
    parser.add_argument(
        "--knots",
        metavar="CURVE",
        nargs="+",
        default=[],
        type=lambda name: name.replace("-", "_"),
        choices=("conductivity", "diffusivity", "rate_constant"),
        help="draw the knots of these curves (conductivity, diffusivity, "
        "rate-constant) from a smooth prior about them (0.5 decades)",
    )
    parser.add_argument(
        "--draws", metavar="N", type=int, help="draw at random so many times"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of the draws (default 0)"
    )


def run(arguments) -> None:
    """Reads, simulates what nobody has, writes once all is there."""
    from .. import files, folders, sweep
    from ..chunks import Store

    store = Store.beside(arguments.out)
    before = _written(arguments.out / files.STUDY)
    others = not store.begun or not arguments.overwrite  # or who wrote them ends
    if arguments.join and before is not None and others:
        _end(arguments.out, _joined(arguments.out, sweep_of(arguments)))
        return
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    asked = sweep_of(arguments)
    how = "again" if arguments.join else "with --resume"
    with study.resumable(arguments, store, "finished simulations", how=how):
        sweep.begin(store, asked, resume=arguments.resume, join=arguments.join)
        if arguments.join and _written(arguments.out / files.STUDY) != before:
            # By others, meanwhile: what was joined has ended, or was begun after it.
            found = _joined(arguments.out, asked)
            store.remove()
            _end(arguments.out, found)
            return
        _share(arguments, store, asked)


def _written(path):
    """What another file of that name would change; None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _end(folder, study: dict) -> None:
    """Ends with results that are there."""
    print(f"'{folder}' holds the results already", file=sys.stderr)
    _check_ends(study.get("ends"), folder)


def _share(arguments, store, asked) -> None:
    """Simulates what nobody has, writes once all is there."""
    from .. import sweep_files

    lanes = solve(store, asked)
    if lanes is None:
        print(
            "the rest is being simulated by other processes; the last one writes the "
            "results",
            file=sys.stderr,
        )
        return
    with store.claim("results") as mine:
        if mine and store.begun:
            names = write(arguments, asked, lanes)
            study.remove(store)
            print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)
            _check_ends(sweep_files.ends(lanes), arguments.out)
            return
    print("the results are written by another process", file=sys.stderr)


def _check_ends(ends, folder) -> None:
    """Raises SimulationError where no simulation ended; `ends` counts them by how."""
    import diffelec

    from .. import sweep
    from ..wording import counted

    if not isinstance(ends, dict) or not ends or sweep.SUCCESSFUL in ends:
        return
    first, count = next(iter(ends)), sum(ends.values())
    none = (
        "The only simulation did not end"
        if count == 1
        else (f"None of {counted(count, 'simulation')} ended")
    )
    raise diffelec.SimulationError(f"{none} (see '{folder / 'lanes.csv'}'): {first}")


def _joined(folder, asked) -> dict:
    """The study of results that are joined.

    Raises:
        ValueError: for results that answer another question.
    """
    from .. import chunks, files

    study = files.read_json(folder / files.STUDY)
    found = study.get("question") if isinstance(study, dict) else None
    change = "they do not tell of which they are"
    if isinstance(found, dict):
        change = chunks.change_of(found, asked.question())
    if change is not None:
        raise ValueError(
            f"'{folder}' must hold the results of this sweep to be joined, but "
            f"{change}; repeat the first command, or choose another --out."
        )
    return study


def sweep_of(arguments):
    """The `Sweep` that the arguments ask for.

    Raises:
        ValueError: for arguments that cannot go together or cannot be.
    """
    import jax

    import diffelec

    from .. import quantities, sweep

    _check(arguments)
    ranges = [quantities.parsed(text) for text in arguments.vary]
    electrode = simulate.electrode_of(arguments)
    space = sweep.space_of(electrode, ranges, arguments.knots)
    if arguments.draws is None:
        values = sweep.grid(ranges)
    else:
        values = sweep.draws(space, arguments.draws, arguments.seed)
    chunk = arguments.chunk or _CHUNKS.get(jax.default_backend(), _CHUNK_ELSEWHERE)
    return sweep.Sweep(
        electrode,
        diffelec.Protocol.from_strings(arguments.protocol * arguments.cycles),
        space,
        values,
        rtol=arguments.rtol,
        max_steps=arguments.max_steps,
        chunk=chunk,
    )


def _check(arguments) -> None:
    """Refuses what cannot go together."""
    if arguments.cycles < 1:
        raise ValueError(f"--cycles must be 1 or more, but is {arguments.cycles}.")
    study.check_most(arguments, "cycles", "max_steps")
    if arguments.chunk is not None and arguments.chunk < 1:
        raise ValueError(f"--chunk must be 1 or more, but is {arguments.chunk}.")
    if not arguments.vary and not arguments.knots:
        raise ValueError(
            "A sweep must vary something: add --vary diffusivity=0.1:10:5, or --knots "
            "conductivity with --draws 100."
        )
    names = [text.partition("=")[0] for text in arguments.vary]
    for option, given in (("--vary", names), ("--knots", arguments.knots)):
        twice = [name for name in given if given.count(name) > 1]
        if twice:
            raise ValueError(
                f"{option} must name a quantity once, but names '{twice[0]}' "
                f"{given.count(twice[0])} times; keep one of them."
            )
    counts = [text for text in arguments.vary if text.count(":") > 1]
    if arguments.draws is None and arguments.knots:
        raise ValueError("--knots are drawn at random: add --draws N.")
    if arguments.draws is not None and counts:
        raise ValueError(
            f"--draws takes ranges without a count, but '{counts[0]}' has one; leave "
            "it out, or leave --draws out for a grid."
        )
    idle.refuse(arguments, _RULES, _add_varied)


def solve(store, asked):
    """All lanes, with progress on stderr; None while others work on some."""
    from .. import sweep

    with study.counting_bar("simulations", len(asked.values), "lane") as shown:
        return sweep.advance(store, asked, callback=shown)


def write(arguments, asked, lanes) -> list[str]:
    """All files, complete or not at all; their names."""
    from .. import files, netcdf, style, sweep_figures, sweep_files

    print(sweep_files.text(asked, lanes))
    missing = netcdf.missing()
    if missing is not None:
        print(
            f"diffelec: sweep.nc is left out, as {missing} is not installed; the CSV "
            "files hold the imaged particles.",
            file=sys.stderr,
        )
    with study.result_folder(arguments) as folder:
        sweep_files.write(folder, asked, lanes)
        for name, figure in sweep_figures.figures_of(asked, lanes):
            style.save(figure, folder / f"{name}.png")
        names = sorted([path.name for path in folder.iterdir()] + [files.STUDY])
        files.write_json(
            folder / files.STUDY,
            {
                "format": "diffelec study",
                "version": 1,
                "date": study.date(),
                "electrode": files.electrode_to_dict(asked.electrode),
                "protocol": list(asked.protocol.texts),
                "arguments": study.asked(arguments),
                "command": command(arguments),
                "question": asked.question(),
                "varied": list(asked.space.labels),
                "lanes": len(asked.values),
                "failed": int(lanes.failed.sum()),
                "ends": sweep_files.ends(lanes),
                "columns": sweep_files.COLUMNS,
                "versions": study.versions(_PACKAGES),
                "files": names,
            },
        )
    return names


def command(arguments) -> str:
    """The command line that repeats a sweep from within its folder of results."""
    words = ["diffelec", "sweep", "--electrode", "study.json", "--protocol"]
    words += [*arguments.protocol, "--cycles", str(arguments.cycles)]
    for text in arguments.vary:
        words += ["--vary", text]
    if arguments.knots:
        words += ["--knots", *arguments.knots]
    if arguments.draws is not None:
        words += ["--draws", str(arguments.draws), "--seed", str(arguments.seed)]
    words += ["--rtol", repr(arguments.rtol), "--max-steps", str(arguments.max_steps)]
    return shlex.join([*words, "--out", "again"])
