"""What commands share that read a cycler's file: its arguments, and the table."""

import argparse

from .idle import Rule, as_typed

_MILLIGRAM = 1e-6  # kg
_OF_CURRENT = ("mass_mg", "current_unit", "discharge_positive", "capacity_mAh")
RULES = (Rule((*_OF_CURRENT[:3], "repair_time", "day_first"), ("cycler",)),)
"""What has no effect without a cycler's file."""


def add_arguments(group: argparse.ArgumentParser) -> None:
    """The arguments that say what a file leaves open."""
    group.add_argument(
        "--mass-mg", metavar="MASS", type=float, help="for a current per gram"
    )
    group.add_argument(
        "--current-unit",
        choices=("A", "mA", "uA"),
        help="for a cycler's file that names none (Maccor)",
    )
    group.add_argument(
        "--repair-time",
        action="store_true",
        help="repair a cycler's time that starts anew or is in another unit",
    )
    group.add_argument(
        "--day-first",
        action=argparse.BooleanOptionalAction,
        help="whether 03/04/2025 is in April, where a cycler's file does not show it",
    )
    group.add_argument(
        "--discharge-positive",
        action="store_true",
        help="the cycler's positive current discharges",
    )


def read(arguments):
    """The table of `arguments.cycler`.

    Raises:
        ValueError: one sentence naming file, line, column and value, or the option
            that the file needs.
    """
    from ..optical import cycler

    mass = arguments.mass_mg
    try:
        table = cycler.read_cycler(
            arguments.cycler,
            current_unit=arguments.current_unit,
            mass=None if mass is None else _MILLIGRAM * mass,
            repair_time=arguments.repair_time,
            day_first=arguments.day_first,
            discharge_positive=arguments.discharge_positive,
        )
    except ValueError as error:
        raise ValueError(_as_option(str(error))) from None
    given = [name for name in _OF_CURRENT if getattr(arguments, name, None)]
    if given and table.current is None:
        raise ValueError(
            f"{as_typed(given[0])} must come with a current, but {table.source} holds "
            "none; leave it out."
        )
    return table


def recording(arguments, table):
    """The recording in the table that was read.

    Raises:
        ValueError: as `read`, naming the option where its current has the other sign.
    """
    given = arguments.discharge_positive
    remedy = f"{'leave' if given else 'add'} --discharge-positive{' out' * given}"
    try:
        return table.recording()
    except ValueError as error:
        sentence = str(error).replace("change the sign of the current", remedy)
        raise ValueError(sentence) from None


def words(arguments) -> list[str]:
    """The arguments again, for another command."""
    found = []
    if arguments.mass_mg is not None:
        found += ["--mass-mg", str(arguments.mass_mg)]
    if arguments.current_unit is not None:
        found += ["--current-unit", arguments.current_unit]
    if arguments.day_first is not None:
        found.append("--day-first" if arguments.day_first else "--no-day-first")
    for name in ("repair_time", "discharge_positive"):
        found += [f"--{name.replace('_', '-')}"] * getattr(arguments, name)
    return found


def _as_option(sentence: str) -> str:
    """The sentence, naming options of the command in place of arguments."""
    for name in ("current_unit", "repair_time", "day_first", "discharge_positive"):
        sentence = sentence.replace(name, f"--{name.replace('_', '-')}")
    sentence = sentence.replace("give its zone, or ", "")  # which no option tells
    return sentence.replace("give time_unit", "correct it in the column's name")
