r"""The question of a fit: which values of the free quantities explain the data?

    raw -> values -> electrode -> simulation -> event times -> rows and log density

Datum and prediction pass through one observable: the time at which a particle's mean
(X-rays) or surface (light) stoichiometry has moved by a given amount. Everything is a
pure function of `raw` and a pytree, so that one compiled solve serves all data sets of
one shape.
"""

import abc
import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

import diffelec

from . import crossings
from .events import CHANGES, Events
from .intensities import IntensityNoise
from .noise import EventNoise, TraceNoise
from .parameters import ParameterSpace
from .question import FAILED_ROW as FAILED_ROW
from .question import AbstractQuestion

# Instants between which the crossing of a surface is a line: a jump takes a minute of
# a day, and where both ends of a line lie outside it, slopes are a third of the truth.
_FINE = 2001
_COURSE = 401  # of a whole recording, beside those of the half cycles looked at


class Prediction(eqx.Module):
    """What a model says of the data.

    Attributes:
        times: of the events, durations included [s] (event,).
        voltage: of the cell at the instants of the trace [V] (time,), empty without.
        failed: whether the solve failed; nothing else is meant then.
        instants: of the course, on the events' clock [s] (instant,), empty without.
        course: stoichiometries that intensities follow (instant, particle).
        told: `times` as they are told [s] (event,): of a duration that does not end,
            the completion's, counted from the start of the half cycle, which is longer
            than that lasts. None where `times` are.
    """

    times: Float[Array, " event"]
    voltage: Float[Array, " time"]
    failed: Bool[Array, ""]
    instants: Float[Array, " instant"] = eqx.field(default_factory=lambda: np.zeros(0))
    course: Float[Array, "instant particle"] = eqx.field(
        default_factory=lambda: np.zeros((0, 0))
    )
    told: Float[Array, " event"] | None = None

    @property
    def stated(self) -> Float[Array, " event"]:
        """The times, beyond the end of the half cycle where an event is not in it."""
        return self.times if self.told is None else self.told


class AbstractForward(eqx.Module):
    """From an electrode to what is compared with data."""

    @abc.abstractmethod
    def __call__(self, electrode: PyTree) -> Prediction:
        """The prediction of an electrode."""


class Simulated(AbstractForward):
    r"""Event times from a simulated protocol.

    Within the half cycle of each: the first time at which stoichiometry x has moved by
    the event's change c. A particle that has moved by less, m < c, at the end t_e of
    the half cycle of length s gets the continuation
    $$ T = t_e + s (c - m) / c $$, which is beyond every observation and never infinite;
    a duration that does not end is continued so that it is longest where nothing reacts
    (`crossings`).

    The crossing of mean x is taken on the integrator's dense output; that of surface x
    between neighbouring saved instants, along a line.

    Attributes:
        protocol: what the cycler did.
        origin: reading of the events' clock at the start of the protocol [s]; None
            where events count from the start of the half cycle.
        trace_times: instants from the start of the protocol at which the voltage is
            compared [s]; empty where it is not.
        particle: index into the electrode's particles, of each event.
        change: of stoichiometry, of each event.
        duration: whether each event is a duration, counted from the onset's change.
        surface: events are of the surface, not the mean.
        half_cycle: number of the half cycle that was seen.
        half_cycles: number of the half cycle of each event.
        delithiates: x falls in the half cycle of each event (a charge).
        rtol: of the simulation.
        num_saved: instants saved a protocol step; of a recorded drive, which is one
            step, in each half cycle that is looked at, and some of the whole besides.
        followed: index into the electrode's particles, of each intensity trace.
    """

    protocol: diffelec.Protocol
    origin: float | None
    trace_times: Float[Array, " time"]
    particle: tuple[int, ...] = eqx.field(static=True)
    change: tuple[float, ...] = eqx.field(static=True)
    duration: tuple[bool, ...] = eqx.field(static=True)
    surface: bool = eqx.field(static=True)
    half_cycle: int = eqx.field(static=True)
    half_cycles: tuple[int, ...] = eqx.field(static=True)
    delithiates: tuple[bool, ...] = eqx.field(static=True)
    rtol: float = eqx.field(static=True)
    num_saved: int = eqx.field(static=True)
    followed: tuple[int, ...] = eqx.field(static=True, default=())

    @staticmethod
    def of(
        electrode: diffelec.Electrode,
        protocol: diffelec.Protocol,
        events: Events,
        *,
        origin: float | None = None,
        trace_times=(),
        half_cycle: int = 0,
        delithiates: bool | Sequence[bool] = True,
        rtol: float = 1e-5,
        num_saved: int | None = None,
    ) -> "Simulated":
        """The forward model of a table of events; see the class for the arguments.

        `delithiates` is of all half cycles, or of each from the first.

        Raises:
            ValueError: for a particle that the electrode does not have, or a half
                cycle that the protocol does not.
        """
        own = events.half_cycles(half_cycle)
        every = max(max(own), half_cycle) + 1
        falls = [delithiates] * every if isinstance(delithiates, bool) else delithiates
        if len(falls) < every:
            raise ValueError(
                f"The half cycle must be among the first {len(falls)}, but is number "
                f"{every}; record or give the protocol of more."
            )
        labels = electrode.network.topology.particle_labels
        missing = [label for label in events.particles if label not in labels]
        if missing:
            raise ValueError(
                f"Particle '{missing[0]}' of the events must be one of the electrode's,"
                f" which are {', '.join(labels[:8])}; correct one of the two names."
            )
        traced = len(np.atleast_1d(trace_times)) > 0 and protocol.spans is None
        fine = _FINE if events.surface else 401 if traced else 3
        return Simulated(
            protocol=protocol,
            origin=origin,
            trace_times=np.asarray(trace_times, float),
            particle=tuple(labels.index(events.particles[k]) for k in events.particle),
            change=tuple(float(c) for c in events.change),
            duration=tuple(bool(d) for d in events.is_duration),
            surface=events.surface,
            half_cycle=half_cycle,
            half_cycles=own,
            delithiates=tuple(bool(falls[h]) for h in own),
            rtol=rtol,
            num_saved=fine if num_saved is None else num_saved,
        )

    def select(self, events: Sequence[int]) -> "Simulated":
        """The same of some of the events."""
        columns = ("particle", "change", "duration", "half_cycles", "delithiates")
        kept = {name: tuple(getattr(self, name)[k] for k in events) for name in columns}
        return dataclasses.replace(self, **kept)

    def __call__(self, electrode):
        return self.observe(self.solve(electrode))

    def solve(self, electrode) -> diffelec.Solution:
        """The electrode's solution of the protocol, with failures as results."""
        instants = self._instants()
        saved = {"num_saved": self.num_saved}
        if instants is not None:
            saved = {"times": instants}
        return diffelec.simulate(
            electrode, self.protocol, rtol=self.rtol, throw=False, **saved
        )

    def _instants(self) -> Float[Array, " time"] | None:
        """What is saved of a recorded drive [s]; None where each step is saved evenly.

        Half cycles are parts of a recording of any length, and the voltage leaps where
        its current does: what is compared there is saved there.
        """
        spans = self.protocol.spans
        if spans is None:
            return None
        time = self.protocol.drive.time
        seen = sorted({self.half_cycle, *self.half_cycles})
        whole = jnp.linspace(0.0, time[-1] - time[0], min(self.num_saved, _COURSE))
        even = [jnp.linspace(*spans[h], self.num_saved) for h in seen]
        return jnp.sort(jnp.concatenate([whole, *even, self.trace_times]))

    def observe(self, solution: diffelec.Solution) -> Prediction:
        """The prediction that a solution of the protocol makes."""
        start, _ = solution.half_cycle_span(self.half_cycle)
        both = jnp.zeros((2, len(self.particle)), solution.time.dtype)
        for half_cycle in dict.fromkeys(self.half_cycles):
            rows = np.flatnonzero(np.array(self.half_cycles) == half_cycle)
            both = both.at[:, rows].set(self._times_in(solution, half_cycle, rows))
        times, told = both
        voltage = jnp.interp(self.trace_times, solution.time, solution.voltage)
        course = self._series(solution)[:, np.array(self.followed, int)]
        finite = [jnp.all(jnp.isfinite(part)) for part in (times, voltage, course)]
        instants = solution.time + (-start if self.origin is None else self.origin)
        instants = instants if self.followed else instants[:0]
        course = course if self.followed else course[:0]
        failed = ~jnp.all(jnp.stack(finite))
        return Prediction(times, voltage, failed, instants, course, told)

    def _times_in(self, solution, half_cycle: int, rows) -> Float[Array, "2 row"]:
        """Times of the events of one half cycle, and as told, on their clock [s]."""
        start, end = solution.half_cycle_span(half_cycle)
        shift = 0.0 if self.origin is None else self.origin + start
        pick = lambda column, kind: np.array([column[k] for k in rows], kind)
        change, who = pick(self.change, float), pick(self.particle, int)
        lasts, first = pick(self.duration, bool), CHANGES["onset"]
        levels = np.array(sorted({*change.tolist(), first}))
        sign = -1.0 if self.delithiates[rows[0]] else 1.0
        crossed, moved = self._crossed(solution, levels, half_cycle, sign)
        reached = crossings.continued(crossed, levels[:, None], moved, end - start)
        at = np.searchsorted(levels, change), who
        share = (moved[who] - first) / np.where(lasts, change - first, 1.0)
        onset = reached[np.searchsorted(levels, first), who]
        over = ~jnp.isinf(crossed[at])
        duration = crossings.lasting(reached[at], onset, over, share)
        instant = reached[at] + shift
        told = jnp.where(over, duration, reached[at])
        return jnp.where(lasts, jnp.stack([duration, told]), instant)

    def _series(self, solution) -> Float[Array, "time particle"]:
        """What was seen of the particles."""
        if self.surface:
            return solution.surface_stoichiometry
        return solution.stoichiometry

    def _crossed(
        self, solution, levels, half_cycle: int, sign: float
    ) -> tuple[Float[Array, "level particle"], Float[Array, " particle"]]:
        """When each particle has moved by each of `levels` [s from the half cycle's
        start], infinite where never, and by how much it has at its end.
        """
        start, end = solution.half_cycle_span(half_cycle)
        first, last = solution.half_cycle_ends(half_cycle, surface=self.surface)
        targets = first + sign * levels[:, None]
        if self.surface:
            find = jax.vmap(crossings.of_series, in_axes=(None, 1, 0, None, None, None))
            series = self._series(solution)
            along = (solution.time, series, targets, sign, start, end)
            crossed = jax.vmap(find, in_axes=(None, None, 0, None, None, None))(*along)
        else:
            crossed = jax.vmap(solution.crossing_times, in_axes=(0, None))(
                targets, half_cycle
            )
        return crossed, sign * (last - first)


class Problem(AbstractQuestion):
    r"""Data, model and priors of one fit, as functions of raw numbers z.

    $$ \log p(z | y) = \log p(y | T(z)) - z^T z / 2 + \mathrm{const.} $$

    Attributes:
        electrode: into which values are inserted.
        space: its free quantities and the clock.
        forward: from an electrode to predictions.
        noise: of the events.
        trace: of the voltage at `forward.trace_times`, if that is data too.
        intensities: of the particles that `forward` follows, if they are data too.
    """

    electrode: PyTree
    space: ParameterSpace
    forward: AbstractForward
    noise: EventNoise
    trace: TraceNoise | None = None
    intensities: IntensityNoise | None = None

    @property
    def counts(self) -> Float[np.ndarray, " row"]:
        """For how many independent numbers each row of data stands: 1 for a time, less
        where neighbours err alike, 0 for bounds and for levels and gains.
        """
        parts = [np.asarray(self.noise.exact, float)]
        if self.trace is not None:
            size = np.size(self.trace.measured)
            parts.append(np.full(size, 1.0 / self.trace.thinning))
        if self.intensities is not None:
            parts.append(self.intensities.row_counts)
        return np.concatenate(parts)

    def predict(self, values: dict) -> Prediction:
        """What the electrode with these values would show."""
        return self.forward(self.space.insert(self.electrode, values))

    def numbers(
        self, raw: Float[Array, " component"]
    ) -> tuple[Float[Array, " number"], Prediction]:
        """Times of the events on the data's clock, the voltage's trace, and rows of
        intensities; 0 where the solve failed.
        """
        found, shift = self._found(raw)
        parts = [found.times + self.noise.moves * shift]
        if self.trace is not None:
            parts.append(found.voltage)
        if self.intensities is not None:
            course = jnp.where(found.failed, 0.0, found.course)
            instants = jnp.where(found.failed, 0.0, found.instants)
            parts.append(self.intensities.residual(instants, course, shift))
        return jnp.where(found.failed, 0.0, jnp.concatenate(parts)), found

    def rows_of(self, numbers):
        return self._rows(numbers, self.noise.residual)

    def telling_of(self, numbers):
        return self._rows(numbers, self.noise.informing)

    def _rows(self, numbers, law):
        """Rows of all data, those of events by a law."""
        size = len(self.noise.time)
        parts, numbers = [law(numbers[:size])], numbers[size:]
        if self.trace is not None:
            size = np.size(self.trace.measured)
            parts.append(self.trace.residual(numbers[:size]))
            numbers = numbers[size:]
        if self.intensities is not None:
            parts.append(numbers)
        return jnp.concatenate(parts)

    def log_densities(
        self, raw: Float[Array, " component"]
    ) -> tuple[Float[Array, " row"], Prediction]:
        """Log density of every row of the data (events, the voltage's trace, a row for
        each trace of intensities), and the prediction; -`FAILED_ROW`^2/2 each where the
        solve failed.
        """
        found, shift = self._found(raw)
        safe = lambda part: jnp.where(found.failed, 0.0, part)
        parts = [self.noise.log_densities(safe(found.times), shift)]
        if self.trace is not None:
            parts.append(self.trace.log_densities(safe(found.voltage)))
        if self.intensities is not None:
            course = safe(found.instants), safe(found.course)
            parts.append(self.intensities.log_densities(*course, shift))
        rows = jnp.concatenate(parts)
        return jnp.where(found.failed, -0.5 * FAILED_ROW**2, rows), found

    def _found(self, raw) -> tuple[Prediction, Float[Array, ""]]:
        """The prediction, and the shift of the clock [s]."""
        values = self.space.constrain(raw)
        found = self.predict(values)
        self._check_shapes(found)
        return found, self.space.clock_offset(values)

    def _check_shapes(self, found: Prediction) -> None:
        """Raises ValueError for a prediction of something else than the data."""
        parts = [("times", "events", found.times, self.noise.time)]
        if self.trace is not None:
            parts.append(("voltage", "trace", found.voltage, self.trace.measured))
        if self.intensities is not None:
            each = found.course[:1].T, self.intensities.value[:, :1]
            parts.append(("course", "intensities", *each))
        for name, kind, predicted, seen in parts:
            if jnp.shape(predicted) != jnp.shape(seen):
                raise ValueError(
                    f"`{name}` of the forward model's prediction must have the shape "
                    f"{jnp.shape(seen)} of the {kind} that are data, but has "
                    f"{jnp.shape(predicted)}; make `forward` and the noise of one "
                    "table."
                )

    def log_likelihood(self, raw: Float[Array, " component"]) -> Float[Array, ""]:
        """Log density of the data; -`FAILED_ROW`^2/2 a row where the solve failed."""
        return jnp.sum(self.log_densities(raw)[0])

    def log_density(self, raw: Float[Array, " component"]) -> Float[Array, ""]:
        """Log of likelihood times prior."""
        return self.log_likelihood(raw) + self.space.log_prior(raw)
