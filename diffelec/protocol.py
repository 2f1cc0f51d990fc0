"""What the cycler imposes: steps in order, and the half cycles that they make."""

import dataclasses
from collections.abc import Iterable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ._typing import is_traced
from .checks import as_series, check_kind, check_leaves
from .control import Drive, Row
from .steps import AbstractStep as AbstractStep
from .steps import ConstantCurrent as ConstantCurrent
from .steps import ConstantPower as ConstantPower
from .steps import ConstantVoltage as ConstantVoltage
from .steps import CutOff as CutOff
from .steps import Recorded as Recorded
from .steps import Rest as Rest
from .steps import parse_step as parse_step

_PHRASES = "phrases, such as ['Rest for 1 hour']"
_STEPS = (
    "steps, such as [diffelec.protocol.Rest(diffelec.protocol.CutOff(duration=60))]"
)


class Protocol(eqx.Module):
    """Steps in order, as stacked rows (floating leaves) and their names (static).

    Attributes:
        rows: a `Row` whose leaves are (step,).
        texts: what each step is, for messages.
        half_cycles: (step,) number of the half cycle of each step, -1 for none.
        drive: the recorded series that `Recorded` steps follow, or None.
        spans: (start, end) [s] of half cycles read off a recorded current, which stay
            where its instants move under a derivative, or None.
    """

    rows: Row
    texts: tuple[str, ...] = eqx.field(static=True)
    half_cycles: tuple[int, ...] = eqx.field(static=True)
    drive: Drive | None = None
    spans: tuple[tuple[float, float], ...] | None = eqx.field(static=True, default=None)

    @property
    def num_steps(self) -> int:
        return len(self.texts)

    @staticmethod
    def from_steps(
        steps: Sequence[AbstractStep], drive: Drive | None = None
    ) -> "Protocol":
        """A protocol of steps; raises ValueError naming the step that has no end, or a
        number that cannot be.
        """
        steps = _listed("steps", steps, AbstractStep, _STEPS)
        if drive is not None:
            check_kind("drive", drive, Drive, "such as Drive(time, voltage)")
        rows, signs = [], []
        for number, step in enumerate(steps):
            _check_text(step, number)
            try:
                rows.append(_checked(step.row(), drive))
                signs.append(_checked_sign(step.sign))
            except ValueError as error:
                raise ValueError(
                    f"Step {number + 1} of the protocol ('{step.text}') cannot be "
                    f"used: {str(error).rstrip('.')}."
                ) from None
        leaves = {
            field.name: _stacked([getattr(row, field.name) for row in rows])
            for field in dataclasses.fields(Row)
        }
        texts = tuple(step.text for step in steps)
        return Protocol(Row(**leaves), texts, _half_cycles(signs), drive)

    @staticmethod
    def from_strings(strings: Sequence[str]) -> "Protocol":
        """A protocol of PyBaMM-style phrases.

        "Charge at C/20 until 4.3 V", "Discharge at 2 mA for 3 hours or until 2.5 V",
        "Hold at 4.3 V until C/50", "Rest for 10 minutes", "Charge at 1 mW for 1 hour".

        Raises:
            ValueError: naming the phrase, the part that is not understood, and an
                example.
        """
        phrases = _listed("strings", strings, str, _PHRASES)
        return Protocol.from_steps([parse_step(text) for text in phrases])

    @staticmethod
    def from_recording(
        time, *, current=None, voltage=None, control: str = "voltage"
    ) -> "Protocol":
        """Drive by a recorded current [A] or voltage [V] at instants `time` [s].

        Half cycles are runs of one sign of the recorded current (where it is given).

        Raises:
            ValueError: for a series that is missing, not finite or not in order.
        """
        series = {"current": current, "voltage": voltage}
        if not isinstance(control, str) or control not in series:
            raise ValueError(
                f"`control` must be 'current' or 'voltage', but is {control!r}."
            )
        if series[control] is None:
            raise ValueError(
                f"`{control}` must be given to drive by it; pass the recorded column."
            )
        if is_traced((time, current)):
            raise ValueError(
                "`time` and `current` must be known, as half cycles are read off them, "
                "but a transformation holds their numbers; make the protocol of plain "
                "numbers, and put the others into `drive` by equinox.tree_at."
            )
        time = as_series("time", time, "s")
        for name, unit in (("current", "A"), ("voltage", "V")):
            if series[name] is not None:
                series[name] = as_series(name, series[name], unit)
        drive = Drive(time, series[control])
        if current is not None:
            current = series["current"]
            Drive(time, current)  # checked alike
        span = float(drive.time[-1] - drive.time[0])
        protocol = Protocol.from_steps(
            [Recorded(control, span, f"recorded {control}")], drive
        )
        spans = _spans_of_sign(drive.time - drive.time[0], current)
        return Protocol(protocol.rows, protocol.texts, (0,), drive, spans)


def _listed(name: str, values, kind: type, what: str) -> list:
    """Values as a list; refuses what is none, is empty, or holds another kind."""
    due = f"`{name}` must be a list of {what}, but"
    if isinstance(values, str | AbstractStep) or not isinstance(values, Iterable):
        raise ValueError(f"{due} is {values!r}.")
    found = list(values)
    if not found:
        raise ValueError("A protocol must have one step or more, but has none.")
    for number, value in enumerate(found):
        if not isinstance(value, kind):
            raise ValueError(f"{due} number {number} (from 0) is {value!r}.")
    return found


def _check_text(step: AbstractStep, number: int) -> None:
    """Refuses a step of one's own that messages could not name."""
    text = getattr(step, "text", None)
    if not isinstance(text, str):
        raise ValueError(
            f"Step {number + 1} of the protocol, a {type(step).__name__}, cannot be "
            f"used: its `text` must be what messages call it, but is {text!r}."
        )


def _checked_sign(sign) -> int | None:
    """A step's sign; ValueError, as part of a sentence, for another value."""
    if sign is not None and sign not in (-1, 0, 1):
        raise ValueError(f"its sign must be 1, -1, 0 or None, but is {sign!r}")
    return sign


def _checked(row: Row, drive: Drive | None) -> Row:
    """A step's numbers; ValueError, as part of a sentence, where one cannot be."""
    check_kind("row()", row, Row, "such as Row(weight_voltage=1.0, voltage=4.2)")
    check_leaves(row)
    for field in dataclasses.fields(row):
        value, name = getattr(row, field.name), field.name
        if is_traced(value):
            continue
        endless = name in ("upper_voltage", "lower_voltage", "duration")
        if value.ndim or np.isnan(value) or (np.isinf(value) and not endless):
            raise ValueError(f"its {name} must be one finite number, but is {value}")
        if name in ("least_current", "least_rate") and value < 0:
            raise ValueError(f"its {name} is a magnitude, 0 or more, but is {value}")
        if name == "duration" and not value > 0:
            raise ValueError(f"its duration must be above 0 [s], but is {value}")
        if name == "follow" and value != 0 and drive is None:
            raise ValueError("it follows a recorded series, but there is none; pass it")
    _check_control_and_end(row)
    return row


def _check_control_and_end(row: Row) -> None:
    """Refuses, as part of a sentence, numbers that control nothing or never end."""
    weights = (row.weight_current, row.weight_voltage, row.weight_power)
    if not is_traced(weights) and not np.any(weights):
        raise ValueError(
            "its row must weigh what it controls, a current, a voltage or a power, but "
            "weighs none; give weight_current=1.0, say"
        )
    far = (row.duration, row.upper_voltage, row.lower_voltage)
    least = (row.least_current, row.least_rate)
    if not is_traced((far, least)) and np.all(np.isinf(far)) and not np.any(least):
        raise ValueError(
            "its row has no end; give it a duration, a voltage limit or a least current"
        )


def _stacked(leaves):
    """One row of leaves; on the host where all are known."""
    return jnp.stack(leaves) if is_traced(leaves) else np.stack(leaves)


def _half_cycles(signs: Sequence[int | None]) -> tuple[int, ...]:
    """A charge or discharge opens a half cycle; holds and rests belong to it.

    A leading rest belongs to none; a leading hold opens one; a charge after a charge
    (with nothing opposite between) goes on with the same half cycle.
    """
    numbers, count, last = [], -1, 0
    for sign in signs:
        opens = sign in (1, -1) and sign != last
        if opens or (count < 0 and sign is None):
            count += 1
            last = sign or 0
        elif sign in (1, -1):
            last = sign
        numbers.append(count)
    return tuple(numbers)


def _spans_of_sign(time, current) -> tuple[tuple[float, float], ...]:
    """Runs of one sign of a current (zeros go with the run before), as (start, end)."""
    if current is None:
        return ((0.0, float(time[-1])),)
    signs = np.sign(np.asarray(current, float))
    spans, open_sign, start = [], 0.0, 0.0
    for instant, sign in zip(time, signs, strict=True):
        if sign != 0 and sign != open_sign:
            if open_sign != 0:
                spans.append((float(start), float(instant)))
            open_sign, start = sign, instant
    if open_sign != 0:
        spans.append((float(start), float(time[-1])))
    return tuple(spans)
