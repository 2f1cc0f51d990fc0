"""What several builders refuse, and by which words.

Every check raises ValueError with the argument's name, what it must be and what it is.
"""

import dataclasses
import numbers
import reprlib

import jax
import numpy as np

from ._typing import as_leaf, is_whole_number
from .constants import LARGEST_RADIUS


def is_number(value) -> bool:
    """Whether a value is one real number of any type, but no truth and no text."""
    if isinstance(value, numbers.Real):
        return not isinstance(value, bool)
    return getattr(value, "shape", None) == () and value.dtype.kind in "iuf"


def check_number(name: str, value, least: float, unit: str, most=np.inf) -> None:
    """Refuses what is not from `least` to `most`, or infinite."""
    if not (is_number(value) and least <= value <= most and value < np.inf):
        above = "or more" if np.isinf(most) else f"to {most:g}"
        raise ValueError(
            f"`{name}` must be {least:g} {above} [{unit}], but is {value!r}."
        )


def check_positive(name: str, value, unit: str, most=np.inf) -> None:
    """Refuses what is not positive, above `most`, or infinite."""
    if not (is_number(value) and 0 < value <= most and value < np.inf):
        bound = "" if np.isinf(most) else f", {most:g} at most"
        raise ValueError(
            f"`{name}` must be positive [{unit}]{bound}, but is {value!r}."
        )


def check_truth(name: str, value) -> None:
    """Refuses a text, which would be true whatever it says, and the like."""
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False, but is {value!r}.")


def check_whole(name: str, value, least: int) -> None:
    """Refuses what counts nothing, or too little."""
    if not is_whole_number(value) or value < least:
        raise ValueError(
            f"`{name}` must be a whole number, {least} or more, but is {value!r}."
        )


def check_kind(name: str, value, kind: type, remedy: str) -> None:
    """Refuses what is of another class."""
    if not isinstance(value, kind):
        raise ValueError(
            f"`{name}` must be a {kind.__module__}.{kind.__name__}, but is a "
            f"{type(value).__name__}; make one, {remedy}."
        )


def check_leaves(module) -> None:
    """Refuses what holds no numbers in fields of numbers, which `as_leaf` leaves as it
    is; None only where it is no default.
    """
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if field.metadata.get("converter") is not as_leaf:
            continue
        if value is None and field.default is None:
            continue
        if getattr(getattr(value, "dtype", None), "kind", "O") not in "iuf":
            shown = reprlib.repr(value)
            raise ValueError(f"`{field.name}` must hold numbers, but is {shown}.")


def check_finite(module) -> None:
    """Refuses what is no finite number in fields of numbers (concrete values only)."""
    check_leaves(module)
    for field in dataclasses.fields(module):
        value = getattr(module, field.name)
        if field.metadata.get("converter") is not as_leaf or value is None:
            continue
        if isinstance(value, np.ndarray) and not np.all(np.isfinite(value)):
            raise ValueError(
                f"`{field.name}` of {type(module).__name__} must be finite, but is "
                f"{value.tolist()}."
            )


def as_floats(name: str, values, due: str) -> np.ndarray:
    """An array of floats, masked ones as NaN; refuses texts, truths, None and rows of
    unequal length.

    `due` is what the argument must do, such as "be one number a particle".
    """
    if np.ma.is_masked(values):
        values = values.astype(float).filled(np.nan)
    try:
        found = np.asarray(values)
        if found.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(
            f"`{name}` must {due}, but is {reprlib.repr(values)}."
        ) from None
    return found.astype(float)


def as_series(name: str, values, unit: str):
    """A list of numbers as an array; as `as_floats`, but for what a transformation
    holds.
    """
    if isinstance(values, jax.core.Tracer):
        return values
    found = as_floats(name, values, f"be a list of numbers [{unit}]")
    if found.ndim != 1:
        raise ValueError(
            f"`{name}` must be one list of numbers [{unit}], but has the shape "
            f"{found.shape}; pass one column."
        )
    return found


def as_wholes(name: str, values, due: str) -> np.ndarray:
    """An array of ints, of whole numbers such as 2 or 2.0; otherwise as `as_floats`."""
    found = as_floats(name, values, due)
    wrong = found[~((np.abs(found) < 2.0**31) & (np.floor(found) == found))]
    if wrong.size:
        raise ValueError(f"`{name}` must {due}, but has {wrong[0]:g}.")
    return found.astype(int)


def as_list(name: str, values: np.ndarray) -> np.ndarray:
    """The values; refuses what is not one list."""
    if values.ndim != 1:
        raise ValueError(
            f"`{name}` must be one list of numbers, but has the shape {values.shape}; "
            "pass a list, of one number too."
        )
    return values


def as_pairs(name: str, values, due: str) -> np.ndarray:
    """(pair, 2) whole numbers; otherwise as `as_wholes`."""
    found = as_wholes(name, values, due)
    if found.size and (found.ndim != 2 or found.shape[1] != 2):
        raise ValueError(
            f"`{name}` must {due}, but has the shape {found.shape}; pass one row each."
        )
    return found.reshape(-1, 2)


def one_each(name: str, values, count: int) -> np.ndarray:
    """(particle,) floats, of one for all or one each."""
    due = "be one number or one per particle"
    found = as_floats(name, values, due)
    if found.shape not in ((), (count,)):
        size = f"{found.size} values"
        if found.ndim > 1:
            size = f"the shape {found.shape}"
        raise ValueError(f"`{name}` must {due}, but has {size} for {count} particles.")
    return np.full(count, found) if found.ndim == 0 else found


def check_radii(name: str, radii: np.ndarray, labels) -> None:
    """Refuses radii (particle,) that are none, or in another unit."""
    bad = np.flatnonzero(~((radii > 0) & (radii <= LARGEST_RADIUS)))
    if bad.size:
        raise ValueError(
            f"`{name}` must be positive [m], {LARGEST_RADIUS:g} at most, but particle "
            f"{labels[bad[0]]!r} has {radii[bad[0]]}."
        )


def check_places(name: str, places: np.ndarray, labels) -> None:
    """Refuses what does not hold two or three finite coordinates a particle."""
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise ValueError(
            f"`{name}` must hold the two or three coordinates of each particle [m], "
            f"but has the shape {places.shape}; pass one row a particle."
        )
    lost = np.flatnonzero(~np.all(np.isfinite(places), axis=1))
    if lost.size:
        raise ValueError(
            f"`{name}` must be finite numbers [m], but particle "
            f"{labels[lost[0]]!r} has {places[lost[0]].tolist()}."
        )


def as_labels(name: str, labels) -> tuple[str, ...]:
    """Names as a tuple; refuses one text, whose letters would be names."""
    try:
        if isinstance(labels, str | bytes):
            raise TypeError
        found = tuple(labels)
    except TypeError:
        raise ValueError(
            f"`{name}` must be a list of names, but is {labels!r}; pass a list, of one "
            "name too."
        ) from None
    for number, label in enumerate(found):
        if not isinstance(label, str):
            raise ValueError(
                f"`{name}` must be a list of names, but number {number} (from 0) is "
                f"{label!r}; write it in quotes."
            )
    return tuple(map(str, found))


def as_marks(name: str, marks) -> np.ndarray:
    """Truths as an array, also of 0 and 1; refuses texts, which would all be true."""
    due = "be True or False for each particle"
    try:
        is_truth = np.asarray(marks).dtype == bool
    except ValueError:  # rows of unequal length
        is_truth = False
    found = np.asarray(marks) * 1.0 if is_truth else as_floats(name, marks, due)
    if found.ndim != 1 or not np.all((found == 0) | (found == 1)):
        raise ValueError(f"`{name}` must {due}, but is {reprlib.repr(marks)}.")
    return found.astype(bool)
