"""The table of bad inputs, BAD_INPUTS.md, from the cases of the tests.

    python -m tests.fitting.optical.bad_inputs

writes it anew.
"""

import importlib
import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
TABLE = FOLDER / "BAD_INPUTS.md"
_OUTCOMES = {"refused": "refused", "not_installed": "refused", "masked": "masked"}
_OUTCOMES |= {"judged": "judged with a reason"}


class Case(NamedTuple):
    """A bad input: of which part, what is wrong, what becomes of it, what is said."""

    part: str
    wrong: str
    outcome: str
    words: str


def cases() -> list[Case]:
    """Every parametrised case of the tests of bad inputs."""
    found = []
    for path in sorted(FOLDER.glob("test_bad_*.py")):
        module = importlib.import_module(f"{__package__}.{path.stem}")
        part = path.stem.removeprefix("test_bad_").replace("_", " ")
        for name, test in inspect.getmembers(module, inspect.isfunction):
            for mark in getattr(test, "pytestmark", []):
                if mark.name == "parametrize":
                    found += _of_mark(part, name, mark)
    return found


def _of_mark(part: str, test: str, mark) -> Iterator[Case]:
    names, values = mark.args
    names = [names] if isinstance(names, str) else list(names)
    outcome = next((o for word, o in _OUTCOMES.items() if word in test), "noted")
    ids = list(mark.kwargs.get("ids", [None] * len(values)))
    for value, given in zip(values, ids, strict=True):
        fields, label = _fields(values, names, value)
        said = fields.get("words", fields.get("reason", ""))
        if isinstance(values, dict):
            said = [text for text in fields.values() if isinstance(text, str)][-1]
        texts = [text for text in fields.values() if isinstance(text, str)]
        yield Case(part, label or given or texts[0], outcome, said)


def _fields(values, names, value) -> tuple[dict, str | None]:
    """A case's values by name, and its own label if it has one."""
    if isinstance(values, dict):
        return dict(enumerate(values[value])), value
    if hasattr(value, "values") and hasattr(value, "id"):
        return dict(zip(names, value.values, strict=True)), value.id
    several = value if len(names) > 1 else (value,)
    return dict(zip(names, several, strict=True)), None


def table() -> str:
    """The text of BAD_INPUTS.md."""
    found = cases()
    counts = Counter(case.outcome for case in found)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    lines = [
        f"# {len(found)} bad inputs: {told}",
        "",
        "Written by `python -m tests.fitting.optical.bad_inputs` from the cases of the "
        "files test_bad_*.py; *noted* ones are mended or doubtful, and a note says so. "
        "Words are regular expressions.",
        "",
        "| part | what is wrong | outcome | words |",
        "|---|---|---|---|",
    ]
    for case in found:
        cells = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in case)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
