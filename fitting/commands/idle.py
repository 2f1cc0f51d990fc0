"""Options that have an effect only beside others, and are refused without them.

A command states which in a table of `Rule`s; to say it of another option, name it
there.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Rule(NamedTuple):
    """Options, and those of which one must be given for them to have an effect; both
    by the names of their arguments.
    """

    options: tuple[str, ...]
    beside: tuple[str, ...]
    values: tuple[str, ...] = ()  # of which one it must be; any, where there are none


def refuse(
    arguments, rules: Sequence[Rule], add_arguments: Callable[..., object]
) -> None:
    """Refuses options that have no effect, as they would look as if they had one.

    Args:
        arguments: of the command.
        rules: that hold for it.
        add_arguments: adds the options to a parser, which knows their defaults; an
            option at its default counts as not given.

    Raises:
        ValueError: one sentence naming the option and what it belongs to.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    for options, beside, values in rules:
        if any(_given(arguments, parser, name, values) for name in beside):
            continue
        partners = " or ".join(map(as_typed, beside))
        partners += f" {' or '.join(values)}" if values else ""
        for name in options:
            if getattr(arguments, name) != parser.get_default(name):
                raise ValueError(
                    f"{as_typed(name)} must come with {partners}, without which it has "
                    "no effect; leave it out."
                )


def _given(arguments, parser, name: str, values: tuple[str, ...]) -> bool:
    """Whether an option is given, as one of some values if there are any."""
    value = getattr(arguments, name)
    return value in values if values else value != parser.get_default(name)


def as_typed(name: str) -> str:
    """An argument as it is typed."""
    return f"--{name.replace('_', '-')}"
