r"""What a cycler may be told to do, as rows of numbers and as phrases.

Every step is one row of numbers of the control equation of `control`, so that all steps
of all protocols share one compiled solve. Positive current charges the cell.
To add a step, add one final class with a `row`, a `sign` and a `text` (and, for a
phrase of its own, a branch in `_parse_control`).
"""

import abc
import dataclasses
import re

import jax
import numpy as np

from ._typing import is_traced
from .checks import is_number
from .control import Row

_HOURS = 3600.0


class AbstractStep(abc.ABC):
    """What the cycler does until a cut-off or for a time; `text` is what messages call
    it.
    """

    text: str

    @abc.abstractmethod
    def row(self) -> Row:
        """The step as numbers."""

    @property
    @abc.abstractmethod
    def sign(self) -> int | None:
        """1 charges, -1 discharges, 0 rests, None goes on with what was before."""


@dataclasses.dataclass(frozen=True)
class CutOff:
    """Where a step ends besides its duration [s], at what is met first; None where
    nothing is said.
    """

    voltage: float | None = None
    current: float = 0.0  # A, magnitude
    rate: float = 0.0  # C
    duration: float | None = None

    def fields(self, sign: int | None) -> dict:
        """The fields of a `Row`; a voltage limit lies above on charge, else below."""
        limits = {}
        if self.voltage is not None:
            limits["lower_voltage" if sign == -1 else "upper_voltage"] = self.voltage
        for name in ("current", "rate"):
            _check_number(f"end.{name}", getattr(self, name))
        least = [is_traced(v) or v > 0 for v in (self.current, self.rate)]
        ends = self.voltage is not None or any(least)
        if self.duration is None and not ends:
            raise ValueError("it has no end; add 'until 4.3 V' or 'for 2 hours'")
        return limits | {
            "least_current": self.current,
            "least_rate": self.rate,
            "duration": np.inf if self.duration is None else self.duration,
        }


@dataclasses.dataclass(frozen=True)
class ConstantCurrent(AbstractStep):
    """CC at `current` [A] or at `rate` [C], of one sign; positive charges."""

    current: float = 0.0
    rate: float = 0.0
    end: CutOff = CutOff()
    text: str = "constant current"

    @property
    def sign(self):
        signs = {_sign_of("current", self.current), _sign_of("rate", self.rate)} - {0}
        if len(signs) > 1:  # which is the larger one, the electrode alone tells
            raise ValueError(
                f"its current, {self.current} A, and its rate, {self.rate} C, must be "
                "of one sign, as they add up; give one of them"
            )
        return signs.pop() if signs else 0

    def row(self):
        return Row(
            weight_current=1.0,
            current=self.current,
            current_rate=self.rate,
            **_end_of(self).fields(self.sign),
        )


@dataclasses.dataclass(frozen=True)
class ConstantVoltage(AbstractStep):
    """CV at `voltage` [V]."""

    voltage: float
    end: CutOff = CutOff()
    text: str = "constant voltage"

    @property
    def sign(self):
        return None

    def row(self):
        if _end_of(self).voltage is not None:
            raise ValueError("a hold cannot end at a voltage; give a current or a time")
        fields = self.end.fields(None)
        return Row(weight_voltage=1.0, voltage=self.voltage, **fields)


@dataclasses.dataclass(frozen=True)
class ConstantPower(AbstractStep):
    """CP at `power` [W]; positive charges."""

    power: float
    end: CutOff = CutOff()
    text: str = "constant power"

    @property
    def sign(self):
        return _sign_of("power", self.power)

    def row(self):
        fields = _end_of(self).fields(self.sign)
        return Row(weight_power=1.0, power=self.power, **fields)


@dataclasses.dataclass(frozen=True)
class Rest(AbstractStep):
    """Open circuit."""

    end: CutOff = CutOff()
    text: str = "rest"

    @property
    def sign(self):
        return 0

    def row(self):
        if _end_of(self).duration is None:
            raise ValueError("a rest needs a time; write 'Rest for 1 hour'")
        if self.end != CutOff(duration=self.end.duration):
            raise ValueError("a rest ends after a time only; drop its 'until'")
        return Row(weight_current=1.0, duration=self.end.duration)


@dataclasses.dataclass(frozen=True)
class Recorded(AbstractStep):
    """The recorded series as `"current"` or `"voltage"`, from its first instant on."""

    quantity: str
    duration: float
    text: str = "recorded series"

    @property
    def sign(self):
        return None

    def row(self):
        if self.quantity not in ("current", "voltage"):
            raise ValueError(
                f"its quantity must be 'current' or 'voltage', but is {self.quantity!r}"
            )
        by_current = float(self.quantity == "current")
        return Row(
            weight_current=by_current,
            weight_voltage=1.0 - by_current,
            follow=1.0,
            duration=self.duration,
        )


def _end_of(step) -> CutOff:
    """Where a step ends; ValueError, as part of a sentence, for what is no `CutOff`."""
    if isinstance(step.end, CutOff):
        return step.end
    raise ValueError(
        "its `end` must be a diffelec.protocol.CutOff, such as CutOff(voltage=4.3), "
        f"but is {step.end!r}"
    )


def _check_number(name: str, value) -> None:
    """Refuses what is no number, nor a transformation's, as part of a sentence."""
    if not (is_traced(value) or is_number(value)):
        raise ValueError(f"its `{name}` must be a number, but is {value!r}")


def _sign_of(name: str, value) -> int:
    """1, -1 or 0: which half cycle a step belongs to cannot wait for a number."""
    _check_number(name, value)
    if isinstance(value, jax.core.Tracer):
        raise ValueError(
            "its sign must be known, but a transformation holds its number; make it of "
            "a plain number, and put the other one into `rows` by equinox.tree_at"
        )
    return int(np.sign(value)) if value == value else 0  # NaN is refused in its row


_NUMBER = r"([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)"
_UNITS = {"": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "k": 1e3}
_UNITS["\u03bc"] = _UNITS["µ"]  # the Greek letter, which keyboards give
_TIMES = {"s": 1.0, "second": 1.0, "sec": 1.0, "min": 60.0, "minute": 60.0}
_TIMES |= {"h": _HOURS, "hour": _HOURS, "hr": _HOURS, "day": 24 * _HOURS}
_EXAMPLE = (
    "write a phrase such as 'Charge at C/20 until 4.3 V', 'Hold at 4.3 V until C/50' "
    "or 'Rest for 1 hour'"
)


def _amount(text: str) -> tuple[float, str]:
    """(value in SI or C, unit among A V W C s) of '4.3 V', '2 mA', 'C/20', '1 hour'."""
    text = text.strip()
    divided = re.fullmatch(rf"[cC]\s*/\s*{_NUMBER}", text)
    if divided and float(divided[1]) > 0:
        return 1.0 / float(divided[1]), "C"
    found = re.fullmatch(rf"{_NUMBER}\s*([a-zA-Zµ\u03bc]+)", text)
    if found is None or not np.isfinite(float(found[1])):
        raise ValueError(f"'{text}' is not an amount with a unit")
    value, unit = float(found[1]), found[2]
    if unit in ("C", "c"):
        return value, "C"
    name = unit.lower()
    singular = name[:-1] if name.endswith("s") and len(name) > 1 else name
    if singular in _TIMES:
        return value * _TIMES[singular], "s"
    if unit[-1:] in "AVW" and unit[:-1] in _UNITS:
        return value * _UNITS[unit[:-1]], unit[-1]
    raise ValueError(f"the unit '{unit}' is unknown")


def _parse_end(text: str) -> CutOff:
    """'until 4.3 V', 'for 2 hours', 'for 2 hours or until 4.3 V'."""
    fields: dict[str, float] = {}
    names = {"V": "voltage", "A": "current", "C": "rate"}
    clauses = re.split(r"\s+or\s+", text.strip(), flags=re.IGNORECASE)
    for clause in clauses if text.strip() else []:
        word, _, amount = clause.strip().partition(" ")
        if word.lower() not in ("for", "until"):
            raise ValueError(
                f"'{clause.strip()}' does not begin with 'for' or 'until', as each end "
                "does"
            )
        value, unit = _amount(amount)
        if word.lower() == "for" and unit == "s":
            name = "duration"
            if value <= 0:
                raise ValueError(
                    f"the time in '{clause.strip()}' must be positive, or the step "
                    "left out"
                )
        elif word.lower() == "until" and unit in names:
            name = names[unit]
        else:
            raise ValueError(f"'{clause.strip()}' is not an end of a step")
        if name in fields:
            raise ValueError(f"'{clause.strip()}' is a second end of the same kind")
        fields[name] = abs(value) if unit != "V" else value
    return CutOff(**fields)


def parse_step(text: str) -> AbstractStep:
    """The step that a phrase names; ValueError quotes the part not understood."""
    found = re.fullmatch(
        r"\s*([A-Za-z]+)(?:\s+at\s+(.+?))?((?:\s+or)?\s+(?:for|until)\s+.+)?\s*",
        str(text),
        flags=re.IGNORECASE,
    )
    try:
        if found is None:
            raise ValueError("it is not of the form 'VERB at AMOUNT until LIMIT'")
        return _parse_control(
            found[1].lower(), found[2], _parse_end(found[3] or ""), str(text)
        )
    except ValueError as error:
        raise ValueError(
            f"The protocol step '{text}' is not understood: {error}; {_EXAMPLE}."
        ) from None


def _parse_control(verb: str, amount: str | None, end: CutOff, text: str):
    if verb == "rest" and amount is None:
        return Rest(end, text)
    if verb not in ("charge", "discharge", "hold"):
        raise ValueError(f"'{verb}' is not one of Charge, Discharge, Hold, Rest")
    if amount is None:
        raise ValueError(f"'{verb}' needs an amount after 'at'")
    value, unit = _amount(amount)
    if verb == "hold":
        if unit != "V":
            raise ValueError(f"a hold is at a voltage, not at '{amount}'")
        return ConstantVoltage(value, end, text)
    if value <= 0:
        raise ValueError(f"'{amount}' must be positive; the verb gives the direction")
    sign = 1.0 if verb == "charge" else -1.0
    if unit == "C":
        return ConstantCurrent(0.0, sign * value, end, text)
    if unit == "A":
        return ConstantCurrent(sign * value, 0.0, end, text)
    if unit == "W":
        return ConstantPower(sign * value, end, text)
    raise ValueError(f"cannot {verb} at '{amount}'; give a C-rate, A or W")
