"""The fitted experiment as a place to build others from: particles, frames, drives."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

import diffelec

from . import bath, imaged, setup
from .design import Experiment
from .events import Event, Events
from .problem import AbstractForward, Simulated
from .scatter import information


@dataclasses.dataclass(frozen=True)
class Frames:
    r"""How well a time would be known: to a frame, and no better than a floor,
    $$ \sigma^2 = \Delta^2 / 12 + \sigma_0^2, $$ twice that for the difference of two.

    Attributes:
        interval: Delta, from frame to frame [s].
        floor: sigma_0, what noise leaves however many frames there are [s].
    """

    interval: float
    floor: float

    def __post_init__(self):
        if not 0 < self.interval < math.inf:
            raise ValueError(
                "The interval between frames must be finite and positive, but is "
                f"{self.interval:g} s."
            )
        if not 0 <= self.floor < math.inf:
            raise ValueError(
                f"The floor of times must be finite and 0 or more, but is "
                f"{self.floor:g} s."
            )

    def deviations(self, is_duration, discrepancy: float = 0.0) -> np.ndarray:
        """Standard deviations [s] (event,); `discrepancy` is that of the model."""
        variance = self.interval**2 / 12.0 + self.floor**2
        times = np.where(is_duration, 2.0, 1.0)
        return np.sqrt(times * variance + discrepancy**2)


class Kind(NamedTuple):
    """An event that was fitted, whichever particle's; of half cycle 0 first."""

    name: str
    change: float  # of stoichiometry
    half_cycle: int


def looked_for(events: Events, choices: setup.Choices) -> Bool[np.ndarray, " event"]:
    """Events that were fitted, by their times or by whole traces in place of those."""
    return np.array([kind not in choices.left_out for kind in events.kind])


def interval_of(events: Events, fitted) -> float:
    r"""Interval between frames [s] that the fitted events suggest: the median of
    $$ \sqrt{12}\,\sigma $$ of times (durations count as two) and of the widths of
    intervals.

    Raises:
        ValueError: where all of them are bounds on one side.
    """
    with np.errstate(invalid="ignore"):
        widths = events.before - events.after
    counted = np.sqrt(12.0 / np.where(events.is_duration, 2.0, 1.0)) * events.sd
    known = np.where(events.exact, counted, widths)[fitted]
    known = known[np.isfinite(known)]
    if not known.size:
        raise ValueError(
            "The interval between frames must be given, since no fitted event has a "
            "time or two bounds; add --frame-interval-min."
        )
    return float(np.median(known))


class Watched(AbstractForward):
    """The times of a simulation; those of events that do not happen within their half
    cycle have no slopes, since not to see them tells nothing to first order.
    """

    simulated: Simulated

    def __call__(self, electrode):
        model = self.simulated
        solution = model.solve(electrode)
        found = model.observe(solution)
        particle, own = np.array(model.particle, int), np.array(model.half_cycles)
        moved = jnp.zeros(found.times.shape)
        for number in dict.fromkeys(model.half_cycles):
            ends = solution.half_cycle_ends(number, surface=model.surface)
            by = jnp.abs(ends[1] - ends[0])[particle]
            moved = jnp.where(own == number, by, moved)
        happens = moved >= np.array(model.change)
        still = jax.lax.stop_gradient(found.times)
        times = jnp.where(happens, found.times, still)
        return dataclasses.replace(found, times=times)


@dataclasses.dataclass(frozen=True, eq=False)
class Bench:
    """The fitted experiment as the place to build others from.

    Every kind of event that was fitted would be measured of every particle, from the
    start of its half cycle, on a clock that needs no offset. A fit of whole traces
    counts as one of the times that are found in them.
    """

    setup: setup.Setup
    choices: setup.Choices
    frames: Frames

    @property
    def model(self) -> Simulated:
        """What was fitted."""
        return self.setup.problem.forward

    def delithiates(self, half_cycle: int) -> bool:
        """Whether x falls in a half cycle (a charge); those beyond the ones that were
        seen go on alternating.
        """
        model = self.setup.forward
        known = dict(zip(model.half_cycles, model.delithiates, strict=True))
        last = max(known)
        return known.get(half_cycle, known[last] == ((half_cycle - last) % 2 == 0))

    @functools.cached_property
    def fitted(self) -> Bool[np.ndarray, " event"]:
        """Events that were fitted."""
        return looked_for(self.setup.events, self.choices)

    @property
    def particles(self) -> tuple[str, ...]:
        """Labels of those that were fitted."""
        events = self.setup.events
        numbers = dict.fromkeys(events.particle[self.fitted].tolist())
        return tuple(events.particles[k] for k in numbers)

    @property
    def radii(self) -> tuple[float, ...]:
        """Those of the particles that were fitted [m]."""
        electrode = self.setup.problem.electrode
        labels = electrode.network.topology.particle_labels
        radius = np.broadcast_to(electrode.radius, (len(labels),))
        return tuple(float(radius[labels.index(label)]) for label in self.particles)

    @functools.cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """Those of the fitted events."""
        events, numbers = self.setup.events, self.setup.forward.half_cycles
        return tuple(
            dict.fromkeys(
                Kind(events.kind[k], float(events.change[k]), numbers[k])
                for k in np.flatnonzero(self.fitted)
            )
        )

    @property
    def half_cycles(self) -> tuple[int, ...]:
        """Numbers of those that the fitted events are of."""
        return tuple(sorted({kind.half_cycle for kind in self.kinds}))

    def needs_voltage(self, name: str) -> None:
        """Raises ValueError unless an imposed voltage drives the fit."""
        if self.setup.drive != "voltage":
            raise ValueError(
                f"The candidate '{name}' needs a fit that a recorded voltage drives, "
                f"but this one is driven by a {self.setup.drive}; leave it out."
            )

    def _new_labels(self, count: int) -> tuple[str, ...]:
        """Names that no particle has: numbers are told apart by their names."""
        topology = self.setup.problem.electrode.network.topology
        known = {*self.setup.events.particles, *topology.particle_labels}
        names = (f"new {k}" for k in itertools.count(1))
        return tuple(itertools.islice((n for n in names if n not in known), count))

    @functools.lru_cache  # noqa: B019  one compiled solve serves what shares a model
    def fresh(self, count: int, paths: tuple[int, ...] = (0,)):
        """(electrode, space, labels) of `count` particles that nobody has seen.

        They are as large as those that were fitted, in turn. `paths` tells how many
        others, of their mean radius, are in the way of each, in turn.
        """
        fitted, choices = self.setup.problem, self.choices
        labels = self._new_labels(count)
        curves, shells = fitted.electrode.curves, choices.num_shells
        radii = [self.radii[k % len(self.radii)] for k in range(count)]
        if self.setup.drive == "voltage":
            electrode = imaged.imaged_electrode(
                *(labels, curves),
                obstructions=[paths[k % len(paths)] for k in range(count)],
                radius=radii,
                unseen_radius=float(np.mean(self.radii)),
                num_shells=shells,
            )
            return electrode, self._space_of(electrode, labels), labels
        by_current = self.setup.drive == "current"
        unseen = bath.POPULATION if by_current else bath.GIVEN
        electrode = bath.bath_electrode(
            *(labels, curves, unseen),
            radius=radii,
            bath_radius=choices.radius,
            num_shells=shells,
        )
        electrode = dataclasses.replace(
            electrode, series_resistance=fitted.electrode.series_resistance
        )
        space = self._space_of(electrode, labels)
        if by_current:
            share = fitted.space.frees[-1]
            more = (bath.population_contacts(electrode), share)
            space = dataclasses.replace(space, frees=(*space.frees, *more))
        return electrode, space, labels

    def _space_of(self, electrode, labels):
        """What is free of new particles: members of the population that was fitted, or,
        where a prior does not count any, of what the mechanism gives so many particles.
        """
        space = setup.space_of(electrode, labels, self.choices)
        own, *others = space.frees
        population = self.setup.problem.space.frees[0].prior
        if hasattr(population, "count"):
            prior = dataclasses.replace(population, count=len(labels))
            own = dataclasses.replace(own, prior=prior)
        return dataclasses.replace(space, frees=(own, *others))

    def watched(
        self,
        model,
        protocol: diffelec.Protocol,
        *,
        again: Mapping[int, int] | None = None,
        frames: Frames | None = None,
    ) -> Experiment:
        """The particles of a model, (electrode, space, labels), under a protocol.

        `again` says as which half cycle of it each of the fit would be seen again; as
        the same unless given, and one that is not named would not be.
        """
        electrode, space, labels = model
        again = {k: k for k in self.half_cycles} if again is None else again
        rows = [
            Event(label, *(name, 3600.0, 1.0), change=change, half_cycle=again[number])
            for label in labels
            for name, change, number in self.kinds
            if number in again
        ]
        events = Events.from_rows(rows, surface=self.model.surface)
        last = int(events.half_cycle.max())
        simulated = Simulated.of(
            *(electrode, protocol, events),
            half_cycle=last,
            delithiates=[self.delithiates(k) for k in range(last + 1)],
            rtol=self.choices.rtol,
            num_saved=self.model.num_saved,
        )
        sd = (frames or self.frames).deviations(
            events.is_duration, self.choices.discrepancy
        )
        return Experiment(electrode, space, Watched(simulated), self.worth * sd)

    @functools.cached_property
    def worth(self) -> float:
        """Deviation of normal times that tell as much, over that of the candidates':
        above 1 where the fit bears with outliers.
        """
        return information(self.setup.problem.noise.scatter) ** -0.5

    def on_fresh_cell(self, protocol: diffelec.Protocol, **fields) -> tuple:
        """As many particles as were fitted, of another cell, under a protocol."""
        model = self.fresh(len(self.particles))
        return (self.watched(model, protocol, **fields),)

    @functools.cached_property
    def protocol(self) -> diffelec.Protocol:
        """That of the fit; a single imposed series as one step, so that it compiles
        alike whatever its length.
        """
        own = self.model.protocol
        if own.drive is None or len(own.spans or ()) != 1 or own.spans[0][0] > 0:
            return own
        return self.imposed(own.drive)

    def imposed(self, drive) -> diffelec.Protocol:
        """One step, a half cycle, by a series of what drove the fit."""
        step = diffelec.protocol.Recorded(
            "voltage" if self.setup.drive == "voltage" else "current",
            float(drive.time[-1] - drive.time[0]),
            "imposed series",
        )
        return diffelec.Protocol.from_steps([step], drive)
