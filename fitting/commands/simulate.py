"""`diffelec simulate`: any electrode over any protocol, to files and figures."""

import argparse
import inspect
import sys
from pathlib import Path

from . import idle, study

_RULES = (idle.Rule(("film_frames",), ("film_sites",)),)
_FORMS = ("slices", "sectors", "patches")
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
        "study.json and figures to the folder --out; sites.csv, fronts.csv and "
        "site_maps.png too where particles are cut into sites.",
    )
    which = parser.add_mutually_exclusive_group()
    study.add_electrode(which)
    _add_sites(parser)
    add_protocol(parser)
    _add_instants(parser)
    add_tolerances(parser, rtol=1e-5, most=None)
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


def _add_sites(parser: argparse.ArgumentParser) -> None:
    """How particles are cut into sites."""
    parser.add_argument(
        "--sites",
        metavar="N",
        type=int,
        help="cut every particle into N sites, so that fronts can run over it",
    )
    parser.add_argument(
        "--site-form",
        choices=_FORMS,
        help=f"how they are cut (default {_FORMS[0]}, along the height)",
    )
    parser.add_argument(
        "--coverage",
        metavar="SHARE",
        type=float,
        help="share of a particle's surface that carbon may touch (default 1)",
    )
    parser.add_argument(
        "--film-sites",
        metavar="FILE",
        type=Path,
        help="also write a film of the sites' surfaces: a .gif or .tif",
    )
    parser.add_argument(
        "--film-frames",
        metavar="N",
        type=int,
        default=60,
        help="frames of that film, evenly in time (default 60)",
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
        default=study.SAVED,
        help=f"instants saved per step, evenly (default {study.SAVED})",
    )


def add_tolerances(
    parser: argparse.ArgumentParser, *, rtol: float, most: int | None
) -> None:
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
        default=most,
        help="of the integrator in one protocol step (default 2000"
        + ("; 20000 of more than a hundred sites)" if most is None else ")"),
    )


def run(arguments) -> None:
    """Reads, solves, writes."""
    if arguments.cycles < 1:
        raise ValueError(f"--cycles must be 1 or more, but is {arguments.cycles}.")
    study.check_most(arguments, "cycles", "saved", "max_steps", "film_frames")
    idle.refuse(arguments, _RULES, _add_sites)
    import diffelec

    from .. import files

    study.check_output(arguments)
    protocol = diffelec.Protocol.from_strings(arguments.protocol * arguments.cycles)
    electrode = _cut(electrode_of(arguments), arguments)
    _check_film(electrode, arguments)
    settings = {"rtol": arguments.rtol}
    if arguments.max_steps is not None:
        settings["max_steps"] = arguments.max_steps
    if arguments.times is not None:
        settings["times"] = files.read_times(arguments.times)
    else:
        settings["num_saved"] = arguments.saved
    solution = study.solve(electrode, protocol, settings)
    _check_instants(arguments, solution)
    study.write(arguments, electrode, solution, settings)
    if arguments.film_sites is not None:
        _film(arguments, electrode, solution)


def _check_instants(arguments, solution) -> None:
    """Says which of `--times` lie outside the run, where nothing is known; refuses to
    write of nothing else.
    """
    if arguments.times is None:
        return
    import numpy as np

    from ..wording import counted

    outside = np.isnan(np.asarray(solution.voltage))
    name, end = arguments.times.name, float(solution.step_end_times[-1])
    if outside.all():
        raise ValueError(
            f"{name}, column time_s, must hold an instant within the run, which ends at"
            f" {end:.8g} s, but has {float(solution.time[0]):g} first; correct it."
        )
    if outside.any():
        rows = counted(int(outside.sum()), "row")
        print(
            f"note: {name}: {rows} of {outside.size} outside the run, which ends at "
            f"{end:.8g} s, left empty.",
            file=sys.stderr,
        )


def _film(arguments, electrode, solution) -> None:
    """The film of sites; the results are there by now, which it says if interrupted."""
    from .. import site_film

    path = arguments.film_sites
    try:
        site_film.write_site_film(path, electrode, solution, arguments.film_frames)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; the results are in '{arguments.out}', but '{path}' was not "
            "written."
        ) from None
    print(f"wrote {path}", file=sys.stderr)


def _cut(electrode, arguments):
    """The electrode with its particles cut into sites, where the arguments ask so."""
    form = {"number": arguments.sites, "form": arguments.site_form or _FORMS[0]}
    if arguments.coverage is not None:
        form["coverage"] = arguments.coverage
        if arguments.sites is not None and not 0 < arguments.coverage <= 1:
            raise ValueError(
                "--coverage must lie above 0 and up to 1, but is "
                f"{arguments.coverage:g}; leave it out for all of the surface."
            )
    if arguments.sites is None:
        if arguments.site_form is not None or arguments.coverage is not None:
            raise ValueError(
                "--site-form and --coverage need --sites, the number of sites a "
                "particle is cut into."
            )
        return electrode
    from .. import cuts

    return cuts.cut_electrode(electrode, form)


def _check_film(electrode, arguments) -> None:
    """Refuses, before any computation, a film that could not be made."""
    if arguments.film_sites is None:
        return
    from .. import site_film

    site_film.check_film(arguments.film_sites)
    if arguments.film_frames < 1:
        raise ValueError(
            f"--film-frames must be 1 or more, but is {arguments.film_frames}."
        )
    if electrode.network.topology.positions is None:
        raise ValueError(
            "--film-sites needs an electrode with positions, but this one has none."
        )


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
