"""Words for notes that hold of several particles at once."""

from collections.abc import Sequence

_NAMED = 4  # things, beyond which they are counted


def particles(labels: Sequence[str]) -> str:
    """`Particle 'a'`, `Particles 'a' and 'b'`, or some of them and the count."""
    names = named([f"'{label}'" for label in labels])
    return f"{verb(labels, 'Particle', 'Particles')} {names}"


def named(names: Sequence[str], most: int = _NAMED) -> str:
    """`a`, `a and b`, or some of them and the count."""
    if len(names) == 1:
        return names[0]
    if len(names) > most + 1:
        names = [*names[:most], f"{len(names) - most} others"]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def verb(labels: Sequence[str], one: str, several: str) -> str:
    """The verb's form for so many."""
    return one if len(labels) == 1 else several


def counted(number: int, one: str, several: str | None = None) -> str:
    """`1 lane`, `3 lanes`."""
    return f"{number} {one if number == 1 else several or f'{one}s'}"


def span(values: Sequence[float], style: str = "g") -> str:
    """`3`, or `3 to 17`."""
    ends = f"{min(values):{style}}", f"{max(values):{style}}"
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def first_of(count: int) -> str:
    """`the first`, or `among the first 3`, of things that are counted from 1."""
    return "the first" if count == 1 else f"among the first {count}"
