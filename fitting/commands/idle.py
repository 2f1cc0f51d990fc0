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
    for options, beside in rules:
        if any(getattr(arguments, n) != parser.get_default(n) for n in beside):
            continue
        for name in options:
            if getattr(arguments, name) != parser.get_default(name):
                raise ValueError(
                    f"{as_typed(name)} must come with "
                    f"{' or '.join(map(as_typed, beside))}, without which it has no "
                    "effect; leave it out."
                )


def as_typed(name: str) -> str:
    """An argument as it is typed."""
    return f"--{name.replace('_', '-')}"
