"""The arguments that `fit` and `infer` share: data, model, search."""

import argparse
import math
from pathlib import Path

from . import cycler_file, from_film, idle, study

_EDGE = "default 0.083; of a film or its traces the time of a frame"
_KINDS = ("onset", "midpoint", "completion", "duration")
_OF_CURRENT = ("capacity_mAh", "voltage_sd_mV")
_RULES = (
    *from_film.RULES,
    *cycler_file.RULES,
    idle.Rule(("series_ohm",), ("cycler",)),
)


def add_arguments(parser: argparse.ArgumentParser, *, rivals: bool = False) -> None:
    """All that names the data, the model and the search; of `rivals`, nothing that says
    which mechanism it is.
    """
    _add_data(parser)
    from_film.add_arguments(parser)
    model = parser.add_argument_group("model")
    if not rivals:
        _add_mechanism(model)
    _add_model(model)
    _add_search(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    """What was measured."""
    what = parser.add_argument_group("what was measured")
    _add_tables(what)
    _add_drive(what)
    _add_meaning(what)
    cycler_file.add_arguments(what)


def _add_tables(what) -> None:
    """What was seen of the particles."""
    what.add_argument(
        "--onsets",
        metavar="FILE",
        type=Path,
        help="CSV: particle, event (onset, midpoint, completion, duration), time_h and "
        "sd_h or after_h and before_h; radius_um and change if wanted",
    )
    what.add_argument(
        "--intensities",
        metavar="FILE",
        type=Path,
        help="CSV of the particles' brightness on the clock of the onsets: fitted as "
        "it is, in place of the times of its particles; see --whole-traces",
    )
    what.add_argument(
        "--example",
        metavar="NAME",
        help="a packaged set instead: wolfman2023-nmc333, wolfman2023-nmc532, "
        "sharma2022",
    )


def _add_drive(what) -> None:
    """What drives the model."""
    drive = what.add_mutually_exclusive_group()
    drive.add_argument(
        "--cycler",
        metavar="FILE",
        type=Path,
        help="export of a cycler (BioLogic, Arbin, Maccor, Neware, Basytec, Novonix) "
        "or CSV: time, voltage and, if known, current; the voltage drives the model",
    )
    drive.add_argument(
        "--protocol",
        metavar="STEP",
        nargs="+",
        help="steps in quotes that drive the model, where no voltage was recorded",
    )
    what.add_argument(
        "--drive",
        choices=("voltage", "current"),
        default="voltage",
        help="what of the cycler file drives the model: the voltage (default), under "
        "which the particles that were seen need no others, or the current, which "
        "unseen particles with free contacts carry",
    )


def _add_meaning(what) -> None:
    """When and of what the events tell."""
    what.add_argument(
        "--clock",
        choices=("cycler", "half-cycle"),
        help="zero of the table's times: that of the cycler file (default with "
        "--cycler) or the start of the half cycle (default with --protocol)",
    )
    what.add_argument(
        "--half-cycle",
        metavar="N",
        type=int,
        help="that was seen; 1 first (default: 1, of a film its first charge)",
    )
    what.add_argument(
        "--seen",
        choices=("mean", "surface"),
        help="what the events tell of: a particle's mean (X-rays, default of tables) "
        "or its surface (light, default of films)",
    )


def _add_mechanism(model) -> None:
    """What explains the data, and what of it is free."""
    model.add_argument(
        "--mechanism",
        metavar="NAME",
        default="network",
        help="why particles react one after another: network (default), autocatalytic, "
        "diffusion, network+autocatalytic, autocatalytic+diffusion; `compare` "
        "compares them",
    )
    model.add_argument(
        "--free",
        metavar="NAME",
        nargs="*",
        help="beside the number of each particle: conductivity, diffusivity, "
        "rate-constant (knots), diffusivity-scale, exchange-current, radius (known to "
        "10 %%), clock (default: conductivity diffusivity, of another mechanism its "
        "own)",
    )


def _add_model(model) -> None:
    """What is assumed."""
    model.add_argument(
        "--leave-out",
        metavar="KIND",
        nargs="+",
        choices=_KINDS,
        default=[],
        help=f"kinds of events ({', '.join(_KINDS)}) to predict but not to fit",
    )
    model.add_argument(
        "--material",
        metavar="NAME",
        default="nmc532",
        help="literature curves to begin from: nmc532 (default), nmc811",
    )
    _add_numbers(model)
    model.add_argument(
        "--robust",
        action="store_true",
        help="bear with outliers of times and of --voltage-sd-mV, not of whole traces",
    )
    model.add_argument(
        "--shells", metavar="N", type=int, default=16, help="per particle (default 16)"
    )
    model.add_argument(
        "--rtol", metavar="TOL", type=float, default=1e-4, help="default 1e-4"
    )


def _add_numbers(model) -> None:
    """What is known of the cell and of the data, in units of their names."""
    numbers = (
        ("--radius-um", 5.0, "of particles whose table gives none"),
        ("--series-ohm", 0.0, "resistance taken off the recorded voltage"),
        ("--edge-h", None, f"deviation of the bounds of intervals ({_EDGE})"),
        ("--discrepancy-h", 0.0, "by how much the model may be off in any time"),
        ("--capacity-mAh", None, "of the cell, all its lithium, for --drive current"),
        ("--voltage-sd-mV", None, "makes the voltage data too, for --drive current"),
        ("--intensity-sd", 0.05, "by how much whole traces may be off, of their range"),
    )
    for name, default, text in numbers:
        model.add_argument(
            name,
            metavar="NUMBER",
            type=float,
            default=default,
            help=text if default is None else f"{text} (default {default:.3g})",
        )


def _add_search(parser: argparse.ArgumentParser) -> None:
    search = parser.add_argument_group("search")
    search.add_argument(
        "--starts",
        metavar="N",
        type=int,
        default=3,
        help="searches: from the literature's values, then from draws (default 3)",
    )
    search.add_argument(
        "--max-steps",
        metavar="N",
        type=int,
        default=40,
        help="iterations of each search (default 40)",
    )
    search.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of the draws (default 0)"
    )


def check(arguments) -> None:
    """Refuses arguments that cannot go together or cannot be."""
    names = ("onsets", "example", "film", "traces")
    sources = [f"--{name}" for name in names if getattr(arguments, name) is not None]
    if len(sources) != 1:
        given = f"{' and '.join(sources)} are" if sources else "none is"
        raise ValueError(
            "One of --onsets, --example, --film and --traces must be given, and only "
            f"one, but {given}."
        )
    driven = arguments.cycler is not None or arguments.protocol is not None
    if arguments.example is None and not driven:
        raise ValueError(
            f"{sources[0]} must come with --cycler, the recorded voltage, or "
            "--protocol."
        )
    from_film.check(arguments)
    own = {"--cycler": arguments.cycler, "--protocol": arguments.protocol}
    own |= {"--seen": arguments.seen, "--clock": arguments.clock}
    own |= {"--intensities": arguments.intensities}
    own |= {"--half-cycle": arguments.half_cycle}
    given = [name for name, value in own.items() if value is not None]
    if arguments.example is not None and given:
        raise ValueError(
            f"{given[0]} must not be given with --example, which brings its own."
        )
    if arguments.clock_sd_s == 0 and "clock" in (
        getattr(arguments, "free", None) or ()
    ):
        raise ValueError(
            "--clock-sd-s must be positive where --free names the clock, but is 0, "
            "which holds it; leave one of the two out."
        )
    idle.refuse(arguments, _RULES, add_arguments)
    _check_drive(arguments)
    for name in ("starts", "max_steps", "half_cycle"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(
                f"--{name.replace('_', '-')} must be 1 or more, but is {value}."
            )
    _check_numbers(arguments)
    study.check_most(arguments, "starts", "max_steps", "shells")
    if arguments.shells < 4:
        raise ValueError(f"--shells must be 4 or more, but is {arguments.shells}.")
    if arguments.seed < 0:
        raise ValueError(f"--seed must be 0 or more, but is {arguments.seed}.")


def _check_numbers(arguments) -> None:
    """In the units of their options, which are not those of the library."""
    positive = ("capacity_mAh", "voltage_sd_mV", "intensity_sd")
    for name in ("edge_h", "discrepancy_h", "clock_sd_s", "series_ohm", *positive):
        value = getattr(arguments, name)
        if value is None or 0 < value < math.inf:
            continue
        if name in positive or value != 0:
            least = "positive" if name in positive else "0 or more"
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} must be finite and {least}, but is {value:g}.")


def _check_drive(arguments) -> None:
    """Refuses what only a recorded current can drive."""
    given = [name for name in _OF_CURRENT if getattr(arguments, name) is not None]
    by_current = arguments.drive == "current"
    asked = ["--drive current"] * by_current + [idle.as_typed(name) for name in given]
    if asked and arguments.example is not None:
        raise ValueError(
            f"{asked[0]} must not be given with --example, none of which has a current."
        )
    if by_current and arguments.cycler is None:
        raise ValueError("--drive current must come with --cycler, which has it.")
    if given and not by_current:
        raise ValueError(f"{asked[0]} must come with --drive current.")


def words(arguments) -> list[str]:
    """The arguments again, as they are from within a folder of results."""
    from ..fit_files import cycler_name

    words = []
    if arguments.example is not None:
        words += ["--example", arguments.example]
    else:
        words += ["--onsets", "onsets.csv"]
    if arguments.cycler is not None:
        words += ["--cycler", cycler_name(arguments.cycler)]
    if arguments.intensities is not None:
        words += ["--intensities", "intensities.csv"]
        words += ["--intensity-sd", str(arguments.intensity_sd)]
    words += cycler_file.words(arguments)
    names = ("protocol", "drive", "clock", "clock_sd_s", "half_cycle", "seen")
    names += ("mechanism", "free", "leave_out", "capacity_mAh", "voltage_sd_mV")
    names += ("material", "radius_um", "series_ohm", "edge_h", "discrepancy_h")
    names += ("robust", "shells", "rtol", "starts", "max_steps", "seed")
    for name in names:
        value, option = getattr(arguments, name, None), f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif isinstance(value, list):
            words += [option, *value] if value or name == "free" else []
        elif value is not None and value is not False:
            words += [option, str(value)]
    return words
