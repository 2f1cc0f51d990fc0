"""Event times of particles, with what is known of each: a time, an interval, a bound.

Every event names its definition: by how much the particle's stoichiometry has moved
since its half cycle began. To add a kind of event, give it a change in `CHANGES`.
"""

import dataclasses
import math
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

CHANGES = {"onset": 0.05, "midpoint": 0.25, "completion": 0.40, "duration": 0.40}
"""Kinds of events, and the change of stoichiometry that each means by default."""
SEEN = -1
"""Stands for the number of the half cycle that a fit says was seen."""
MOST_HALF_CYCLES = 10**6
_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Event:
    """One row of a table of events: `time` and `sd`, or `after` and `before` [s].

    `change` is the default of the kind where it is None, `radius` [m] is NaN where it
    is not known, `half_cycle` (0 first) is None for the one that was seen; give it
    where several were. `after = -inf`: already on at the first frame; `before = inf`:
    never seen.
    """

    particle: str
    kind: str
    time: float = math.nan
    sd: float = math.nan
    after: float = math.nan
    before: float = math.nan
    change: float | None = None
    radius: float = math.nan
    half_cycle: int | None = None


def _floats(values):
    return np.asarray(values, float) if isinstance(values, Sequence) else values


class Events(eqx.Module):
    r"""What is known of the times of events, one row an event, times in s.

    The time of an event is that at which the particle's stoichiometry (at its surface,
    where `surface` holds, else its volume mean) has moved by `change` since its half
    cycle began; of a "duration", the time between a change of `CHANGES["onset"]` and
    one of `change`. An exact row has $t \pm \sigma$; an interval row
    $t \in (\mathrm{after}, \mathrm{before}]$, its other two numbers being NaN.

    Attributes:
        particles: labels, in the order of their first row.
        particle: (event,) index into `particles`.
        change: (event,) absolute change of stoichiometry that defines the event.
        kind: "onset", "midpoint", "completion" or "duration" of each event.
        time, sd: (event,) and standard deviation, NaN for interval rows.
        after, before: (event,) bounds, NaN for exact rows. `after = -inf`: already on
            at the first frame (left-censored); `before = inf`: never seen
            (right-censored).
        surface: whether the surface was seen (light) or the volume mean (X-rays).
        radius: (particle,) [m], NaN where not known.
        half_cycle: (event,) 0 first; `SEEN` for the one that a fit says was seen.

    Raises:
        ValueError: naming the particle and event that cannot be used, and why.

    Source: definitions of censoring after Klein and Moeschberger, *Survival Analysis*,
        2nd ed. (2003), chapter 3.
    """

    particles: tuple[str, ...] = eqx.field(static=True)
    particle: Int[np.ndarray, " event"]
    change: Float[np.ndarray, " event"] = eqx.field(converter=_floats)
    kind: tuple[str, ...] = eqx.field(static=True)
    time: Float[np.ndarray, " event"] = eqx.field(converter=_floats)
    sd: Float[np.ndarray, " event"] = eqx.field(converter=_floats)
    after: Float[np.ndarray, " event"] = eqx.field(converter=_floats)
    before: Float[np.ndarray, " event"] = eqx.field(converter=_floats)
    surface: bool = eqx.field(static=True)
    radius: Float[np.ndarray, " particle"] = eqx.field(converter=_floats)
    half_cycle: Int[np.ndarray, " event"]

    @staticmethod
    def from_rows(rows: Sequence[Event], *, surface: bool = False) -> "Events":
        """Events of rows; a particle's radius may be given in any of its rows."""
        labels = tuple(dict.fromkeys(row.particle for row in rows))
        radius = np.full(len(labels), math.nan)
        for row in rows:
            index, known = labels.index(row.particle), math.isfinite(row.radius)
            if known and np.isfinite(radius[index]) and radius[index] != row.radius:
                raise ValueError(
                    f"Particle '{row.particle}' must have one radius, but has "
                    f"{1e6 * radius[index]:g} and {1e6 * row.radius:g} um; correct one."
                )
            radius[index] = row.radius if known else radius[index]
        columns = {
            name: np.array([getattr(row, name) for row in rows], float)
            for name in ("time", "sd", "after", "before")
        }
        _check_half_cycles(rows)
        changes = [
            CHANGES.get(row.kind, math.nan) if row.change is None else row.change
            for row in rows
        ]
        return Events(
            particles=labels,
            particle=np.array([labels.index(row.particle) for row in rows], int),
            change=np.array(changes, float),
            kind=tuple(row.kind for row in rows),
            surface=surface,
            radius=radius,
            half_cycle=np.array(
                [SEEN if row.half_cycle is None else row.half_cycle for row in rows],
                int,
            ),
            **columns,
        )

    def __check_init__(self):
        columns = (self.particle, self.change, self.time, self.sd)
        columns += (self.after, self.before, self.half_cycle)
        if not all(isinstance(c, np.ndarray) for c in (*columns, self.radius)):
            return
        if any(c.shape != (len(self.kind),) for c in columns):
            raise ValueError(
                "Every column of events must have one value per event, but the columns "
                f"have {[len(self.kind), *(c.size for c in columns)]} values."
            )
        _check_particles(self)
        seen = set()
        for k, kind in enumerate(self.kind):
            label = self.particles[self.particle[k]]
            where = self.name_of(k)
            _check_definition(where, kind, self.change[k])
            _check_bounds(where, kind, *(float(c[k]) for c in columns[2:6]))
            if self.half_cycle[k] < SEEN:
                raise ValueError(
                    f"{where} must be of half cycle 0 or later, but is of "
                    f"{self.half_cycle[k]}."
                )
            key = (label, kind, float(self.change[k]), int(self.half_cycle[k]))
            if key in seen:
                raise ValueError(f"{where} is given twice; keep one of its rows.")
            seen.add(key)

    def name_of(self, event: int) -> str:
        """What to call an event in a message."""
        label = self.particles[self.particle[event]]
        return f"The {self.title_of(event)} of particle '{label}'"

    def title_of(self, event: int) -> str:
        """Its kind, and its half cycle (1 first) where that was given."""
        number = self.number_of(event)
        own = "" if number is None else f", half cycle {number}"
        return f"{self.kind[event]}{own}"

    def number_of(self, event: int) -> int | None:
        """Its half cycle, 1 first; None for the one that was seen."""
        number = int(self.half_cycle[event])
        return None if number == SEEN else number + 1

    @property
    def exact(self) -> Bool[np.ndarray, " event"]:
        """Rows with a time and a standard deviation."""
        return np.isfinite(self.time)

    @property
    def interval(self) -> Bool[np.ndarray, " event"]:
        """Rows with bounds, one of which may be infinite."""
        return ~self.exact

    @property
    def right_censored(self) -> Bool[np.ndarray, " event"]:
        """Rows of events never seen."""
        return np.isposinf(self.before)

    @property
    def left_censored(self) -> Bool[np.ndarray, " event"]:
        """Rows of events that were over when the first frame was taken."""
        return np.isneginf(self.after)

    def half_cycles(self, seen: int) -> tuple[int, ...]:
        """Number of the half cycle of each event, where `seen` is the one seen.

        Raises:
            ValueError: for an event of which one row tells the half cycle, another not.
        """
        found = tuple(seen if h == SEEN else int(h) for h in self.half_cycle)
        met = set()
        for k, half in enumerate(found):
            key = (int(self.particle[k]), self.kind[k], float(self.change[k]), half)
            if key in met:
                raise ValueError(
                    f"{self.name_of(k)} is given twice: half cycle {half + 1} is the "
                    "one that was seen, which a row without a number means; keep one "
                    "of its rows."
                )
            met.add(key)
        return found

    @property
    def is_duration(self) -> Bool[np.ndarray, " event"]:
        """Rows whose times are differences, which no clock shifts."""
        return np.array([kind == "duration" for kind in self.kind])

    def shift(self, offset: float | Float[np.ndarray, " event"]) -> "Events":
        """The same events on a clock that reads `offset` [s] more; not durations."""
        moved = np.where(self.is_duration, 0.0, offset)
        return dataclasses.replace(
            self,
            time=self.time + moved,
            after=self.after + moved,
            before=self.before + moved,
        )

    def select(self, kept: Bool[np.ndarray, " event"]) -> "Events":
        """The events of a mask; particles that have none of them are gone."""
        rows = np.flatnonzero(kept)
        used = list(dict.fromkeys(self.particle[rows].tolist()))
        columns = ("change", "time", "sd", "after", "before", "half_cycle")
        return Events(
            particles=tuple(self.particles[k] for k in used),
            particle=np.array([used.index(k) for k in self.particle[rows]], int),
            kind=tuple(self.kind[k] for k in rows),
            surface=self.surface,
            radius=self.radius[used],
            **{name: getattr(self, name)[rows] for name in columns},
        )

    def describe(self) -> str:
        """Counts, as a sentence for people."""
        two_sided = self.interval & ~self.right_censored & ~self.left_censored
        counts = {
            "exact": self.exact,
            "known to an interval": two_sided,
            "never seen": self.right_censored,
            "over at the first frame": self.left_censored,
        }
        parts = [f"{m.sum()} {name}" for name, m in counts.items() if m.any()]
        events, particles = len(self.kind), len(self.particles)
        return (
            f"{events} event{'s' * (events != 1)} of {particles} "
            f"particle{'s' * (particles != 1)}: {', '.join(parts)}"
        )


def disordered(events: Events) -> list[str]:
    """Labels of particles of which one half cycle has an event surely before another of
    a smaller change: by more than two deviations, or by bounds that do not overlap.
    """
    timed = np.flatnonzero(~events.is_duration)
    sd = np.where(events.exact, events.sd, 0.0)[timed]
    low = np.where(events.exact, events.time, events.after)[timed]
    high = np.where(events.exact, events.time, events.before)[timed]
    group = np.stack([events.particle, events.half_cycle])[:, timed]
    same = np.all(group[:, :, None] == group[:, None, :], axis=0)
    larger = events.change[timed][None, :] > events.change[timed][:, None]
    late = low[:, None] > high[None, :] + 2.0 * np.hypot(sd[:, None], sd[None, :])
    found = np.flatnonzero(np.any(same & larger & late, axis=1))
    return list(dict.fromkeys(events.particles[k] for k in group[0, found]))


def check_informative(events: Events) -> None:
    """Raises ValueError where every event is a bound on one side only."""
    if np.all(events.right_censored | events.left_censored):
        count = len(events.kind)
        told = "the only one is" if count == 1 else f"all {count} are"
        raise ValueError(
            "One event or more must have a time or two bounds, but "
            f"{told} censored (never seen, or over at the first "
            "frame); such a table determines no parameter."
        )


def _check_half_cycles(rows: Sequence[Event]) -> None:
    for row in rows:
        number = SEEN if row.half_cycle is None else row.half_cycle
        if not number < MOST_HALF_CYCLES:
            raise ValueError(
                f"The {row.kind} of particle '{row.particle}' must be of a half cycle "
                f"below {MOST_HALF_CYCLES}, but is of {number:g}."
            )


def _check_particles(events: Events) -> None:
    if len(events.kind) == 0:
        raise ValueError("A set of events must have one event or more, but has none.")
    used = set(events.particle.tolist())
    if used != set(range(len(events.particles))):
        raise ValueError(
            "`particle` must use every index into `particles`, but uses "
            f"{sorted(used)} of {len(events.particles)} labels."
        )
    if len(set(events.particles)) != len(events.particles):
        raise ValueError(f"`particles` must be unique, but are {events.particles}.")
    if events.radius.shape != (len(events.particles),):
        raise ValueError(
            "`radius` must have one value per particle, but has "
            f"{events.radius.size} for {len(events.particles)} particles."
        )
    for label, radius in zip(events.particles, events.radius, strict=True):
        if not (math.isnan(radius) or 0 < radius < math.inf):
            raise ValueError(
                f"The radius of particle '{label}' must be positive, but is "
                f"{1e6 * radius:g} um; leave it out where it is not known."
            )


def _check_definition(where: str, kind: str, change: float) -> None:
    if kind not in CHANGES:
        raise ValueError(
            f"{where} must be one of {', '.join(CHANGES)}; correct its name."
        )
    low = CHANGES["onset"] if kind == "duration" else 0.0
    if not low < change < 1:
        raise ValueError(
            f"{where} must be at a change of stoichiometry between {low:g} and 1, but "
            f"is at {change:g}."
        )


def _check_bounds(where: str, kind: str, time, sd, after, before) -> None:
    if math.isnan(time) == (math.isnan(after) and math.isnan(before)):
        raise ValueError(
            f"{where} must have either a time or bounds (after, before), but has "
            f"{'neither' if math.isnan(time) else 'both'}."
        )
    least = 0.0 if kind == "duration" else -math.inf
    if not math.isnan(time):
        if not (math.isfinite(time) and time > least):
            due = "positive and finite" if kind == "duration" else "a finite time"
            raise ValueError(f"{where} must be {due}, but is {time / _HOUR:g} h.")
        if not 0 < sd < math.inf:
            raise ValueError(
                f"{where} must have a positive standard deviation, but has {sd:g} s."
            )
        return
    if not math.isnan(sd) or math.isnan(after) or math.isnan(before):
        raise ValueError(
            f"{where} must have both bounds and no standard deviation, but has after "
            f"{after:g}, before {before:g}, sd {sd:g} s; an infinite bound is inf."
        )
    if not (after < before and before > least):
        raise ValueError(
            f"{where} must be after a time before the other, but is after {after:g} s "
            f"and before {before:g} s; exchange them."
        )
    if math.isinf(after) and math.isinf(before):
        raise ValueError(
            f"{where} must have one finite bound or more, but has none; remove its row."
        )
