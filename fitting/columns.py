"""Names and units of the columns of tables: the only place that lists them.

To accept another spelling of a column, add it to `CYCLER`; another unit, to a table of
units. Names are compared in the form that `plain` gives them.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

TIME = {"s": 1.0, "min": 60.0, "h": 3600.0, "ms": 1e-3}
TIME |= {"sec": 1.0, "second": 1.0, "seconds": 1.0, "minute": 60.0, "minutes": 60.0}
TIME |= {"hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0, "day": 86400.0}
TIME |= {"mins": 60.0, "days": 86400.0, "d": 86400.0}
TIME |= {"millisecond": 1e-3, "milliseconds": 1e-3, "msec": 1e-3}
VOLTAGE = {"v": 1.0, "volt": 1.0, "mv": 1e-3, "volts": 1.0}
VOLTAGE |= {"v vs ref": 1.0, "v vs li li+": 1.0}
CURRENT = {"a": 1.0, "ampere": 1.0, "ma": 1e-3, "ua": 1e-6, "µa": 1e-6, "na": 1e-9}
CURRENT |= {"amps": 1.0, "mamps": 1e-3, "pa": 1e-12}
SPECIFIC = {"a g": 1e3, "ma g": 1.0, "a per g": 1e3, "ma per g": 1.0}  # A/kg
SPECIFIC |= {"ma g-1": 1.0, "a g-1": 1e3}
LENGTH = {"um": 1e-6, "nm": 1e-9, "m": 1.0}
CHARGE = {"ah": 3600.0, "a h": 3600.0, "mah": 3.6, "ma h": 3.6, "uah": 3.6e-3}
CHARGE |= {"ah cyc": 3600.0, "amp-hr": 3600.0, "ahr": 3600.0, "mahr": 3.6, "c": 1.0}


class Quantity(NamedTuple):
    """What a column may hold: a word for messages, names best first, factors to SI."""

    word: str
    names: tuple[str, ...]
    units: Mapping[str, float]
    example: str = ""


_TEST_TIMES = ("test time", "run time", "elapsed time", "total time", "testtime")
_TEST_TIMES += ("test", "time", "t")
_VOLTAGES = ("cell voltage", "voltage", "volts", "volt", "potential", "ecell", "ewe")
_VOLTAGES += ("we 1 potential", "working electrode", "u", "v", "vf", "e")
_DATES = ("unix time", "date time", "datetime", "date and time", "dpt time", "date")
_DATES += ("timestamp", "absolute time", "realtime", "system time", "systime")
_DATES += ("dpt-time",)
_CYCLES = ("cycle count", "cycle index", "cycle number", "cycle id", "cycle", "cycle c")
_CYCLES += ("cyc#", "cyc-count", "cycle p")
_CHARGES = ("q-qo", "net capacity", "step capacity", "capacity", "charge capacity")
_CHARGES += ("ah", "chg cap", "discharge capacity", "amp-hr")
_NONE = {"": 1.0, "1": 1.0}
CYCLER = {
    "test_time_second": Quantity("time", _TEST_TIMES, TIME, "time_h"),
    "voltage_volt": Quantity(
        "voltage",
        _VOLTAGES,
        VOLTAGE,
        "voltage_V",
    ),
    "current_ampere": Quantity(
        "current",
        ("current", "curr", "we 1 current", "amps", "mamps", "amp", "i", "im"),
        CURRENT | SPECIFIC,
        "current_mA",
    ),
    "unix_time_second": Quantity(
        "date",
        _DATES,
        TIME | _NONE,
    ),
    "cycle_count": Quantity(
        "cycle",
        _CYCLES,
        _NONE,
    ),
    "step_count": Quantity("step", ("step count",), _NONE),
    "step_id": Quantity(
        "step",
        ("step id", "step index", "step number", "step", "ns", "line"),
        _NONE,
    ),
}
"""Columns of the Battery Data Format and the names that instruments give them."""
RECORD = Quantity(
    "record", ("record id", "record index", "data point", "rec", "rec#"), _NONE
)
STATE = Quantity(
    "state",
    ("state", "status", "step type", "md", "command", "step name", "mode"),
    _NONE,
)
PASSED = Quantity(
    "charge",
    _CHARGES,
    CHARGE,
)
CHARGING = Quantity(
    "current",
    ("charge current", "charging current", "chg current", "current charge"),
    CURRENT,
)
DISCHARGING = Quantity(
    "current",
    (
        "discharge current",
        "discharging current",
        "dchg current",
        "dischg current",
        "current discharge",
    ),
    CURRENT,
)
SIGNED_CHARGE = Quantity("charge", ("q-qo", "net capacity"), CHARGE)
STEP_CHARGE = Quantity("charge", ("dq",), CHARGE)


class Column(NamedTuple):
    """A column that was found: its place, its name and its factor to SI.

    The factor is NaN where the name holds no unit.
    """

    index: int
    label: str
    factor: float


def plain(label: str) -> str:
    """A column's name in small letters, signs between its words being spaces."""
    small = label.lower().replace("\u03bc", "\u00b5")
    return re.sub(r"[\s/_()\[\]<>{},.]+", " ", small).strip()


def matches(header: Sequence[str], quantity: Quantity) -> list[tuple[int, Column]]:
    """(rank of its name, column) of all columns of a quantity, best first."""
    found = []
    for index, label in enumerate(header):
        text = plain(label)
        for rank, name in enumerate(quantity.names):
            rest = text.removeprefix(name)
            if rest == text or (rest and not rest.startswith(" ")):
                continue
            if not rest and name in quantity.units:  # "Volts", "Amps"
                rest = name
            if rest.strip() in quantity.units:
                factor = quantity.units[rest.strip()]
                found.append((rank, Column(index, label, factor)))
            elif not rest or is_clock(rest.strip()):
                found.append((rank, Column(index, label, float("nan"))))
            else:
                continue
            break
    return sorted(found, key=lambda pair: (pair[1].factor != pair[1].factor, pair[0]))


def of_unknown_unit(header: Sequence[str], quantity: Quantity) -> list[tuple[str, str]]:
    """(label, what stands behind the name) of columns that have a quantity's name and
    behind it what is none of its units.
    """
    known = {column.label for _, column in matches(header, quantity)}
    found = []
    for label in set(header) - known:
        text = plain(label)
        names = [n for n in quantity.names if text.startswith(f"{n} ")]
        if names:
            found.append((label, text.removeprefix(max(names, key=len)).strip()))
    return sorted(found)


def is_clock(unit: str) -> bool:
    """Whether a "unit" such as h:min:s says that cells are read as on a clock."""
    return bool(re.fullmatch(r"(d+-|d )?h+:m+(in)?:s+(:| )?(ms|m|f+)?", unit))


def first(header: Sequence[str], quantity: Quantity) -> Column | None:
    """The best named column of a quantity; None where there is none."""
    found = matches(header, quantity)
    return found[0][1] if found else None


def find(file: str, header: Sequence[str], quantity: Quantity) -> Column | None:
    """As `first`, for a quantity that must not be there twice.

    Raises:
        ValueError: where two of equally good names have units.
    """
    found = matches(header, quantity)
    if not found:
        return None
    rank, best = found[0]
    alike = [c.label for r, c in found if r == rank and c.factor == c.factor]
    if len(alike) > 1 and best.factor == best.factor:
        raise ValueError(
            f"{file} must have one column of {quantity.word}, but has "
            f"{' and '.join(alike)}; remove all but one."
        )
    return best


def missing_unit(file: str, label: str, quantity: Quantity) -> ValueError:
    """What to raise for a column that does not name its unit."""
    units = quantity.units
    return ValueError(
        f"{file}, column {label}, must name its unit, one of {', '.join(units)}; "
        f"write, for instance, '{label}_{next(iter(units))}'."
    )


def is_specific(label: str) -> bool:
    """Whether a column is per mass."""
    return any(plain(label).endswith(unit) for unit in SPECIFIC)
