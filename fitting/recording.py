"""What a cycler recorded, in SI and checked; no file is opened here."""

from collections.abc import Callable

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

import diffelec

from .events import Events
from .wording import counted, first_of

_REST_SHARE = 0.01  # of the largest current, below which the cell rests
_CHARGE_SHARE = 0.2  # of the charge there is, that no rest passes
_SLOWEST = 7.2e5  # s (200 h), in which a current that is no leak passes that charge
_VOLTAGE_RANGE = (0.0, 6.0)  # V, of any cell there is
_SPAN_RANGE = (60.0, 3e8)  # s: a minute to ten years
_LEAST_SHARE = 0.01  # of a half cycle, by which one event or more has happened
_LEAST_SD_SHARE = 1e-5  # of a half cycle, below which no deviation is credible
_HOUR = 3600.0


class Recording(eqx.Module):
    """Cell voltage [V] and, where known, current [A], at instants `time` [s].

    A positive current charges the cell. The zero of the clock is the recording's own.

    Raises:
        ValueError: naming the row (from 0) and the value that cannot be.
    """

    time: Float[np.ndarray, " instant"] = eqx.field(converter=np.asarray)
    voltage: Float[np.ndarray, " instant"] = eqx.field(converter=np.asarray)
    current: Float[np.ndarray, " instant"] | None = None

    def __check_init__(self):
        diffelec.Protocol.from_recording(
            self.time, voltage=self.voltage, current=self.current
        )
        low, high = _VOLTAGE_RANGE
        outside = np.flatnonzero((self.voltage < low) | (self.voltage > high))
        if outside.size:
            raise ValueError(
                f"The recorded voltage must lie between {low:g} and {high:g} V, but "
                f"row {outside[0]} has {self.voltage[outside[0]]:g} V; check its unit."
            )
        span = self.end - self.start
        if not _SPAN_RANGE[0] <= span <= _SPAN_RANGE[1]:
            raise ValueError(
                "The recorded time must span a minute to ten years, but spans "
                f"{span:g} s ({span / _HOUR:g} h); check its unit."
            )

    @property
    def start(self) -> float:
        """First instant [s]."""
        return float(self.time[0])

    @property
    def end(self) -> float:
        """Last instant [s]."""
        return float(self.time[-1])

    def active_current(self) -> Float[np.ndarray, " instant"] | None:
        """The current [A], 0 where the cell rests (see `flows`); None where none is
        known.
        """
        if self.current is None:
            return None
        return np.where(flows(self.time, self.current), self.current, 0.0)

    def half_cycles(self) -> tuple[tuple[float, float], ...]:
        """(start, end) [s] of the runs of one sign of current, on this clock.

        A rest belongs to the run before it; one at the beginning belongs to none, and
        the last instant alone is no run. Without a current the recording is one half
        cycle.
        """
        return tuple(run for run in self._runs() if run[0] < self.end)

    def _runs(self) -> tuple[tuple[float, float], ...]:
        """`half_cycles`, and what begins at the last instant."""
        protocol = diffelec.Protocol.from_recording(
            self.time, voltage=self.voltage, current=self.active_current()
        )
        return tuple((self.start + a, self.start + b) for a, b in protocol.spans)

    def half_cycle(self, number: int = 0) -> "Recording":
        """The part of the recording that is one half cycle, on the same clock."""
        return self.part(number, number)

    def part(self, first: int, last: int) -> "Recording":
        """The recording from the start of one half cycle to the end of another.

        The instant at which the next one begins is left out.

        Raises:
            ValueError: for half cycles that it does not have, or of one instant.
        """
        kept = self.inside(first, last)
        if kept.sum() < 2:
            raise ValueError(
                f"Half cycle {first + 1} of the recording must have two instants or "
                f"more, but has one, at {self.time[kept][0] / _HOUR:.4g} h, where the "
                "current changes its sign; remove that row."
            )
        current = None if self.current is None else self.active_current()[kept]
        return Recording(self.time[kept], self.voltage[kept], current)

    def inside(self, first: int, last: int) -> Bool[np.ndarray, " instant"]:
        """Which instants `part` holds."""
        spans = self.half_cycles()
        if not 0 <= first <= last < len(spans):
            raise ValueError(
                f"The half cycle must be {first_of(len(spans))}, but is number "
                f"{last + 1}; the recording has {counted(len(spans), 'run')} of one "
                "sign of current."
            )
        start, end = spans[first][0], spans[last][1]
        is_last = last == len(self._runs()) - 1
        return (self.time >= start) & ((self.time < end) | is_last)

    def protocol(self, control: str = "voltage") -> diffelec.Protocol:
        """Drives a cell by the recorded "voltage" or "current", from the first instant.

        Its time is 0 at `start`.
        """
        return diffelec.Protocol.from_recording(
            self.time,
            voltage=self.voltage,
            current=self.active_current(),
            control=control,
        )

    def check_sign(self) -> None:
        """Raises ValueError where the voltage falls while the current charges."""
        if self.current is None or not np.any(self.current):
            return
        sign = np.sign(self.active_current())
        rise = np.diff(self.voltage)
        steady = (sign[1:] == sign[:-1]) & (sign[1:] != 0)
        if np.sum(sign[1:][steady] * rise[steady]) < 0:
            raise ValueError(
                "A positive current must charge the cell, but the recorded voltage "
                "falls while the current is positive; change the sign of the current."
            )

    def check_events(
        self, events: Events, place: Callable[[int, str], str] | None = None
    ) -> None:
        """Raises ValueError for events that this recording cannot hold.

        Those are instants outside it, and numbers that only make sense in another unit
        of time.

        Args:
            events: on this recording's clock.
            place: what to call the value of an event (its index, the name of its
                column among time, sd, after, before); by default its particle.
        """
        span, latest = self.end - self.start, -np.inf
        name_of = place or (lambda k, _: events.name_of(k))
        for k, duration in enumerate(events.is_duration):
            zero = 0.0 if duration else self.start
            for name in ("time", "after", "before"):
                value = float(getattr(events, name)[k])
                if np.isfinite(value):
                    _check_instant(name_of(k, name), value, zero, zero + span)
                    latest = max(latest, (value - zero) / span)
            if np.isfinite(events.sd[k]):
                _check_deviation(name_of(k, "sd"), float(events.sd[k]), span)
        if latest < _LEAST_SHARE:
            raise ValueError(
                f"One event or more must be later than {_LEAST_SHARE:.0%} of the half "
                f"cycle of {span / _HOUR:.3g} h, but the latest is at {latest:.2g} of "
                "it; check the unit of their times, and their clock."
            )


def flows(
    time: Float[np.ndarray, " instant"], current: Float[np.ndarray, " instant"]
) -> Bool[np.ndarray, " instant"]:
    """Whether a current [A] flows at instants [s], or the cell rests.

    Below a hundredth of the largest current it rests; there a cycler reads nanoamperes,
    or an offset. Beside a pulse a slow charge lies there too. What passes a fifth of
    the charge there is, and could pass all of it in 200 h, is therefore no rest: it is
    judged by its own largest current.
    """
    size, whole = np.abs(current), np.ptp(_passed(time, current))
    largest = np.max(size)
    while True:
        limit = _REST_SHARE * largest
        small = np.where(size < limit, current, 0.0)
        largest = np.max(np.abs(small))
        little = np.ptp(_passed(time, small)) <= _CHARGE_SHARE * whole
        if little or largest * _SLOWEST < whole:
            return size > limit


def _passed(time, current) -> Float[np.ndarray, " instant"]:
    """Charge [C] that a current has passed since the first instant."""
    steps = 0.5 * (current[1:] + current[:-1]) * np.diff(time)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _check_instant(where: str, value: float, start: float, end: float) -> None:
    if start <= value <= end:
        return
    raise ValueError(
        f"{where} must lie within the recorded half cycle, {start / _HOUR:.4g} to "
        f"{end / _HOUR:.4g} h, but is at {value / _HOUR:.4g} h, "
        f"{'after its end' if value > end else 'before its start'}; check the unit and "
        "the clock of the table."
    )


def _check_deviation(where: str, value: float, span: float) -> None:
    least = _LEAST_SD_SHARE * span
    if not least <= value <= span:
        raise ValueError(
            f"{where} must be between {least:.2g} s and the half cycle's "
            f"{span / _HOUR:.3g} h, but is {value:.3g} s; check its unit."
        )
