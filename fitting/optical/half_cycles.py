"""Half cycles on the film's clock, and the state of charge at its instants."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from ..recording import Recording
from .traces import Traces

_MILLIAMPERE_HOUR = 3.6  # C


@dataclasses.dataclass(frozen=True)
class HalfCycle:
    """A run of one sign of current: its bounds [s] on the film's clock, its direction.

    `number` counts from 1; `order` counts the charges, or the discharges, from 1.
    """

    number: int
    start: float
    end: float
    charges: bool
    order: int

    @property
    def name(self) -> str:
        """Such as "charge 1"."""
        return f"{'charge' if self.charges else 'discharge'} {self.order}"

    def holds(self, time: Float[np.ndarray, " frame"]) -> Bool[np.ndarray, " frame"]:
        """The frames in it."""
        return (time >= self.start) & (time <= self.end)


def from_bounds(bounds: Sequence[tuple[float, float, bool]]) -> tuple[HalfCycle, ...]:
    """Half cycles of (start, end, charges), times [s] on the film's clock.

    Raises:
        ValueError: for bounds that are no time or overlap.
    """
    found, counts, last = [], {True: 0, False: 0}, -math.inf
    for number, (start, end, charges) in enumerate(bounds, 1):
        if not (math.isfinite(start) and math.isfinite(end) and last <= start < end):
            raise ValueError(
                f"Half cycle {number} must start after the one before and end after "
                f"its start, but goes from {start:g} to {end:g} s; give the half "
                "cycles in the order of time."
            )
        counts[charges] += 1
        found.append(HalfCycle(number, start, end, charges, counts[charges]))
        last = end
    return tuple(found)


def whole_film(traces: Traces, *, charges: bool = True) -> tuple[HalfCycle, ...]:
    """All frames as one half cycle, where no cycler recorded."""
    return from_bounds([(float(traces.time[0]), float(traces.time[-1]), charges)])


def of_recording(recording: Recording, offset: float = 0.0) -> tuple[HalfCycle, ...]:
    """The half cycles of a recording on the film's clock.

    Args:
        recording: of the cycler; without a current it is one half cycle, a charge
            unless its voltage falls.
        offset: what the cycler's clock reads when the film's reads 0 [s].
    """
    spans = recording.half_cycles()
    if not spans:
        raise ValueError(
            "The recording must hold one charge or discharge, but its current is zero "
            "throughout; look at its unit, or leave the current out."
        )
    bounds = []
    for number in range(len(spans)):
        part = recording.half_cycle(number)
        if part.current is None:
            charges = bool(part.voltage[-1] >= part.voltage[0])
        else:
            charges = bool(np.sum(part.current) >= 0)
        bounds.append((part.start - offset, part.end - offset, charges))
    return from_bounds(bounds)


def check_overlap(traces: Traces, halves: Sequence[HalfCycle]) -> None:
    """Raises ValueError where no half cycle holds two frames."""
    if any(half.holds(traces.time).sum() > 1 for half in halves):
        return
    first, last = traces.time[0] / 3600, traces.time[-1] / 3600
    raise ValueError(
        "The film must overlap the recording by two frames of a half cycle or more, "
        f"but lasts from {first:.4g} to {last:.4g} h and the half cycles from "
        f"{halves[0].start / 3600:.4g} to {halves[-1].end / 3600:.4g} h on its clock; "
        "correct the clock offset."
    )


def left_over(traces: Traces, halves: Sequence[HalfCycle]) -> tuple[str, ...]:
    """Notes on frames outside all half cycles, and on half cycles without frames."""
    inside = np.array([half.holds(traces.time) for half in halves])
    notes = []
    outside = traces.time[~inside.any(axis=0)]
    if outside.size:
        lie, are = ("lies", "is") if outside.size == 1 else ("lie", "are")
        early, late = outside < halves[0].start, outside > halves[-1].end
        places = {"before the first": early, "after the last": late}
        # A rest belongs to the half cycle before it, so no row lies between two.
        places["between two, where the recording has no row"] = ~(early | late)
        where = [f"{np.sum(k)} {place}" for place, k in places.items() if np.any(k)]
        notes.append(
            f"{outside.size} of {len(traces.time)} frames {lie} in no half cycle "
            f"({', '.join(where)}) and {are} left aside."
        )
    bare = [h.name for h, row in zip(halves, inside, strict=True) if row.sum() < 2]
    if bare:
        notes.append(f"No onset is known in {', '.join(bare)}, which no frame shows.")
    return tuple(notes)


@dataclasses.dataclass(frozen=True)
class StateOfCharge:
    """Charge passed since the least charged instant, over a reference.

    Attributes:
        time: on the film's clock [s].
        share: charge passed over the reference.
        reference: [C].
        source: what the reference is, for the labels of axes.
    """

    time: Float[np.ndarray, " instant"]
    share: Float[np.ndarray, " instant"]
    reference: float
    source: str

    def at(self, time: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """At instants on the film's clock; NaN outside the recording."""
        return np.interp(time, self.time, self.share, left=math.nan, right=math.nan)


def state_of_charge(
    recording: Recording, offset: float = 0.0, reference: float | None = None
) -> StateOfCharge | None:
    """The state of charge of a recording; None where it has no current.

    Args:
        recording: of the cycler.
        offset: what the cycler's clock reads when the film's reads 0 [s].
        reference: charge that is 1 [C]; by default that of the first half cycle which
            passes half as much as the largest.

    Raises:
        ValueError: for a reference that is not positive, or where no charge flows.
    """
    if recording.current is None:
        return None
    steps = np.diff(recording.time)
    middle = 0.5 * (recording.current[1:] + recording.current[:-1])
    charge = np.concatenate([[0.0], np.cumsum(middle * steps)])
    source = "as given"
    if reference is None:
        spans = np.array(recording.half_cycles())
        passed = np.abs(np.diff(np.interp(spans, recording.time, charge))[:, 0])
        # A stub of a half cycle, as at the start of a record, is no reference.
        number = int(np.argmax(passed >= 0.5 * passed.max()))
        reference = float(passed[number])
        source = "first half cycle" if number == 0 else f"half cycle {number + 1}"
    if not 0 < reference < math.inf:
        raise ValueError(
            "The reference of the state of charge must be positive, but is "
            f"{reference / _MILLIAMPERE_HOUR:g} mAh; give the capacity."
        )
    source = f"Q/Q_ref, Q_ref = {reference / _MILLIAMPERE_HOUR:.3g} mAh ({source})"
    share = (charge - charge.min()) / reference
    return StateOfCharge(recording.time - offset, share, reference, source)
