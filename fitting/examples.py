"""Measured events that come with the package, with what drove the cell.

A set is an entry of `tables/examples.json` and the tables that it names; to add one,
add those.
"""

import contextlib
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import diffelec

from .events import Events
from .readers import read_events, read_recording
from .recording import Recording

_INDEX = "examples.json"


class Example(NamedTuple):
    """One set of events.

    Attributes:
        name: by which it is loaded.
        title: what was measured, in a few words.
        citation: whose measurement it is.
        events: on the recording's clock, or from the start of the protocol.
        recording: the cell's voltage, if it is known.
        protocol: that drives the cell from the start of the half cycle: follows the
            recorded voltage, or is the published one.
        steps: phrases of a published protocol, empty for a recording.
    """

    name: str
    title: str
    citation: str
    events: Events
    recording: Recording | None
    protocol: diffelec.Protocol
    steps: tuple[str, ...]


def _index() -> dict:
    folder = resources.files(__package__) / "tables"
    return json.loads((folder / _INDEX).read_text(encoding="utf-8"))


def names() -> tuple[str, ...]:
    """The sets that `load` knows."""
    return tuple(_index())


def _entry(name: str) -> dict:
    index = _index()
    if name not in index:
        raise ValueError(
            f"The example must be one of {', '.join(index)}, but is '{name}'."
        )
    return index[name]


@contextlib.contextmanager
def tables(name: str) -> Iterator[tuple[Path, Path | None]]:
    """Paths of a set's tables, events and recording, valid inside the block."""
    entry = _entry(name)
    folder = resources.files(__package__) / "tables"
    with contextlib.ExitStack() as stack:
        yield tuple(
            stack.enter_context(resources.as_file(folder / entry[key]))
            if key in entry
            else None
            for key in ("onsets", "voltage")
        )


def load(name: str) -> Example:
    """One set of measured events.

    Raises:
        ValueError: for a name that is not one of `names()`.
    """
    entry = _entry(name)
    with tables(name) as (onsets, voltage):
        recording = None if voltage is None else read_recording(voltage)
        events = read_events(onsets, recording=recording, surface=entry["surface"])
    steps = tuple(entry.get("protocol", ()))
    protocol = (
        diffelec.Protocol.from_strings(steps)
        if recording is None
        else recording.protocol()
    )
    return Example(
        name, entry["title"], entry["citation"], events, recording, protocol, steps
    )
