"""What a simulation gives: saved instants, events, and trajectories between them."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._typing import is_traced
from .asked import asked
from .checks import check_whole
from .once import differentiable_once
from .results import RESULTS
from .solver import Track, evaluate_polynomial
from .solver.serial import serial_or_plain
from .topology import Topology

_BISECTIONS = 50


class Solution(eqx.Module):
    """Outcome of `simulate`. Times in s, voltages in V, currents in A (charge > 0).

    Between the integrator's steps lie polynomials; of more than a thousand sites only
    of means, voltage and current, of the rest lines.

    Attributes:
        time: instants saved, from the start of the protocol (time,).
        voltage, current: of the cell (time,).
        potentials: of the nodes, collector first (time, node).
        site_stoichiometry, site_surface_stoichiometry: (time, site).
        step_start_times, step_end_times: of each protocol step (step,).
        step_capacities: charge passed, positive on charge [C] (step,).
        step_results: outcome of each step (step,); the steps after a failure repeat it.
        result: the first failure, or `RESULTS.successful`.
        failed_step: number of the step that failed (from 0), -1 for none.
        num_steps: accepted and rejected steps of the integrator, (step, 2).
        tracks: watched quantities over the accepted steps of each protocol step.
        least_change: of mean stoichiometry in a half cycle, for there to be an onset.
    """

    time: Float[Array, " time"]
    voltage: Float[Array, " time"]
    current: Float[Array, " time"]
    potentials: Float[Array, "time node"]
    site_stoichiometry: Float[Array, "time site"]
    site_surface_stoichiometry: Float[Array, "time site"]
    step_start_times: Float[Array, " step"]
    step_end_times: Float[Array, " step"]
    step_capacities: Float[Array, " step"]
    step_results: RESULTS
    result: RESULTS
    failed_step: Int[Array, ""]
    num_steps: Int[Array, "step 2"]
    tracks: Track
    topology: Topology = eqx.field(static=True)
    texts: tuple[str, ...] = eqx.field(static=True)
    half_cycles: tuple[int, ...] = eqx.field(static=True)
    spans: tuple[tuple[float, float], ...] | None = eqx.field(static=True)
    least_change: ClassVar[float] = 0.05

    @property
    def stoichiometry(self) -> Float[Array, "time particle"]:
        """Volume mean of each particle."""
        return self._by_particle(self.site_stoichiometry)

    @property
    def surface_stoichiometry(self) -> Float[Array, "time particle"]:
        """Mean over the surface of each particle."""
        return self._by_particle(self.site_surface_stoichiometry)

    @property
    def num_half_cycles(self) -> int:
        if self.spans is not None:  # of a recorded rest there are none
            return len(self.spans)
        return max(self.half_cycles) + 1

    def message(self) -> str:
        """The outcome as a sentence that names the step (concrete results only)."""
        if np.all(np.asarray(self.failed_step) < 0):
            return "successful"
        self._check_alone()
        number = int(np.asarray(self.failed_step))
        # Of a lane of `batch` it is a number of NumPy, which `RESULTS` does not know.
        result = jax.tree.map(np.asarray, self.result)
        return f"Step {number + 1} ('{self.texts[number]}') failed: {RESULTS[result]}"

    def _check_alone(self) -> None:
        """Raises ValueError for the solutions of a batch, one in the place of each."""
        if jnp.ndim(self.step_end_times) != 1:
            raise ValueError(
                f"A solution must be alone to be asked, but this one is a batch of "
                f"{len(self.step_end_times)}; ask each, by "
                "`jax.vmap(lambda one: one.onset_times())(solution)`."
            )

    def _by_particle(self, sites):
        """Mean over the sites of each particle, weighted by their shares."""
        topology = self.topology
        if topology.num_sites == topology.num_particles:
            return sites
        matrix = np.zeros((topology.num_sites, topology.num_particles))
        matrix[np.arange(topology.num_sites), topology.site_particle] = (
            topology.site_share
        )
        return sites @ jnp.asarray(matrix, sites.dtype)

    def half_cycle_span(self, half_cycle: int = 0):
        """(start, end) of a half cycle [s from the start of the protocol]."""
        first, last = self._steps_of(half_cycle)
        if self.spans is not None:
            own = self.spans[half_cycle]
            return tuple(jnp.asarray(t, self.time.dtype) for t in own)
        return self.step_start_times[first], self.step_end_times[last]

    def half_cycle_capacity(self, half_cycle: int = 0) -> Float[Array, ""]:
        """Charge passed in a half cycle made of protocol steps [C]."""
        if self.spans is not None:
            raise ValueError(
                "`half_cycle_capacity` needs half cycles made of protocol steps, but "
                "these were read off a recorded current; integrate `current` instead."
            )
        first, last = self._steps_of(half_cycle)
        return self.step_capacities[first : last + 1].sum()

    @asked
    def half_cycle_ends(self, half_cycle: int = 0, *, surface: bool = False):
        """Stoichiometry of each particle at the start and at the end of a half cycle,
        (particle,) each: its mean, or the mean over its surface.

        On the dense output: of a recorded current no saved instant need lie there.

        Raises:
            ValueError: no such half cycle.
        """
        knots = self._site_knots(half_cycle, surface=surface)
        ends = self._ends_of(half_cycle, *knots)
        failed = self._failed_in(half_cycle)
        return tuple(jnp.where(failed, jnp.nan, self._by_particle(x)) for x in ends)

    def _steps_of(self, half_cycle: int) -> tuple[int, int]:
        """First and last protocol step of a half cycle."""
        self._check_alone()
        if is_traced(half_cycle):
            raise ValueError(
                "`half_cycle` must be a number, but a transformation holds it; pass a "
                "plain one, static under `jax.jit`."
            )
        if self.spans is not None:
            count, steps = len(self.spans), [0]
        else:
            count = max(self.half_cycles) + 1
            steps = [k for k, h in enumerate(self.half_cycles) if h == half_cycle]
        if count < 1:
            raise ValueError(
                "A half cycle is a charge, a discharge or a hold, but this protocol "
                "has none, only rests."
            )
        if half_cycle not in range(count) or isinstance(half_cycle, bool) or not steps:
            raise ValueError(
                f"`half_cycle` must be 0 to {count - 1} for this protocol, but is "
                f"{half_cycle!r}."
            )
        return steps[0], steps[-1]

    def _failed_in(self, half_cycle: int):
        """Whether a step of a half cycle failed, or one before it."""
        _, last = self._steps_of(half_cycle)
        return jnp.isnan(self.step_end_times[last])

    def _site_knots(self, half_cycle: int, *, surface: bool):
        """Trajectory of the sites over a half cycle, of their means or surfaces: times
        from its start (knot,), values (knot, site), higher coefficients. Times are 0
        where a step failed: slopes at NaN would be NaN for all that is asked.
        """
        first, last = self._steps_of(half_cycle)
        start, sites = self.half_cycle_span(half_cycle)[0], self.topology.num_sites
        wanted = slice(sites, 2 * sites) if surface else slice(0, sites)

        def joined(leaf):
            part = leaf[first : last + 1]
            return part.reshape(-1, *part.shape[2:])

        times = self.tracks.time + self.step_start_times[:, None] - start
        times = jnp.where(jnp.isnan(times), 0.0, times)
        values = self.tracks.value[..., wanted]
        higher = self.tracks.higher
        some = higher.shape[-1] < self.tracks.value.shape[-1]
        if surface and some:  # many sites: surfaces are lines between knots
            shape = (*higher.shape[:-1], sites)
            higher = jnp.zeros(shape, values.dtype)
        else:
            higher = higher[..., wanted]
        return joined(times), joined(values), joined(higher)

    def _knots(self, half_cycle: int):
        """`_site_knots` of the particles' mean stoichiometry."""
        times, values, higher = self._site_knots(half_cycle, surface=False)
        return times, self._by_particle(values), self._by_particle(higher)

    def _ends_of(self, half_cycle: int, times, values, higher):
        """Mean stoichiometries at the start and the end of a half cycle."""
        if self.spans is None:
            return values[0], values[-1]
        start, end = self.half_cycle_span(half_cycle)
        track = Track(times, values, higher)
        return tuple(_value_at(track, time) for time in (0.0 * start, end - start))

    @asked
    def crossing_times(
        self, target: Float[Array, " particle"], half_cycle: int = 0
    ) -> Float[Array, " particle"]:
        """First time in a half cycle at which the mean stoichiometry of each particle
        has moved from its start through `target` [s from the half cycle's start].

        Located on the accepted steps' dense output; infinite where never, NaN where a
        step of the half cycle failed, or the target is none.
        Differentiable by the implicit function, -(dx/dp) / (dx/dt).

        Raises:
            ValueError: no such half cycle; not one target a particle.
        """
        return self._crossings(self._knots(half_cycle), target, half_cycle)

    def _crossings(self, knots, target, half_cycle: int):
        """First times at which trajectories have moved from their start to `target`."""
        times, (start, _) = knots[0], self._ends_of(half_cycle, *knots)
        span, direction = self.half_cycle_span(half_cycle), jnp.sign(target - start)
        inside = (times[1:] > 0.0) & (times[:-1] < span[1] - span[0])
        found = _first_crossings(*knots, target, direction, inside)
        unknown = self._failed_in(half_cycle) | jnp.isnan(target)
        return jnp.where(unknown, jnp.nan, found)

    @asked
    def onset_times(
        self, half_cycle: int = 0, level: float = 0.1
    ) -> Float[Array, " particle"]:
        """When each particle has made the part `level` of its own change of mean
        stoichiometry over a half cycle [s from its start]; infinite where that change
        is below 0.05. 0.1 is the onset, 0.5 the midpoint, 0.9 the completion.

        Raises:
            ValueError: no such half cycle; a level not above 0, or above 1.
        """
        return self._onsets(self._knots(half_cycle), half_cycle, level)

    def _onsets(self, knots, half_cycle: int, level):
        """When trajectories have made the part `level` of their own change."""
        start, end = self._ends_of(half_cycle, *knots)
        target = end - (1.0 - level) * (end - start)  # at 1 the end itself
        found = self._crossings(knots, target, half_cycle)
        still = (jnp.abs(end - start) < self.least_change) & ~jnp.isnan(found)
        return jnp.where(still, jnp.inf, found)

    @asked
    def change_times(
        self, half_cycle: int = 0, change: float = 0.066
    ) -> Float[Array, " particle"]:
        """When each particle's mean stoichiometry has moved by `change`, in the
        direction of its own move over the half cycle [s from its start].
        """
        knots = self._knots(half_cycle)
        start, end = self._ends_of(half_cycle, *knots)
        target = start + change * jnp.sign(end - start)
        return self._crossings(knots, target, half_cycle)

    @asked
    def site_change_times(
        self, half_cycle: int = 0, change: float = 0.066, *, surface: bool = True
    ) -> Float[Array, " site"]:
        """`change_times` of each site: of its surface, or of its mean where `surface`
        is false.
        """
        knots = self._site_knots(half_cycle, surface=surface)
        start, end = self._ends_of(half_cycle, *knots)
        target = start + change * jnp.sign(end - start)
        return self._crossings(knots, target, half_cycle)

    @asked
    def site_onset_times(
        self, half_cycle: int = 0, level: float = 0.1
    ) -> Float[Array, " site"]:
        """`onset_times` of the surface of each site."""
        knots = self._site_knots(half_cycle, surface=True)
        return self._onsets(knots, half_cycle, level)

    def site_trajectories(self, half_cycle: int = 0, parts: int = 8):
        """Surface stoichiometry of the sites, `parts` times in every accepted step of a
        half cycle: times from its start (instant,), values (instant, site); times are
        NaN where a step of the half cycle failed.

        Raises:
            ValueError: no such half cycle; parts that are not a whole number.
        """
        check_whole("parts", parts, 1)
        times, values, higher = self._site_knots(half_cycle, surface=True)
        theta = jnp.arange(1, parts + 1) / parts
        width = jnp.diff(times)[:, None]
        bends = jnp.where(width[..., None] > 0, higher[1:], 0.0)  # else, no step
        along = jax.vmap(evaluate_polynomial, in_axes=(None, None, None, 0))
        dense = jax.vmap(along, in_axes=(0, 0, 0, None))
        found = dense(values[:-1], values[1:], bends, theta)
        apart = times[:-1, None] + theta * width
        instants = jnp.concatenate([times[:1], apart.reshape(-1)])
        every = jnp.concatenate([values[:1], found.reshape(-1, values.shape[1])])
        return jnp.where(self._failed_in(half_cycle), jnp.nan, instants), every


def _value_at(track: Track, time):
    """What a track is at an instant: at a knot its value there, which a polynomial has
    but for rounding, so that what ends there reaches all of its change.
    """
    found, last = track.at(time), track.time.size - 1
    index = jnp.minimum(jnp.searchsorted(track.time, time), last)
    off = jax.lax.stop_gradient(track.value[index] - found)
    return found + jnp.where(track.time[index] == time, off, 0.0)


def _first_crossings(times, values, higher, target, direction, inside):
    """Time of the first crossing of each particle's trajectory through its target."""
    progress = direction * (values - target)
    crossed = inside[:, None] & (progress[1:] >= 0) & (progress[:-1] < 0)
    index, own = jnp.argmax(crossed, axis=0), np.arange(target.size)
    start, end = values[index, own], values[index + 1, own]
    bend = jnp.moveaxis(higher[index + 1, :, own], -1, 0)
    start, end, bend, target = differentiable_once((start, end, bend, target))
    frozen = jax.lax.stop_gradient((start, end, bend, target, direction))
    theta = serial_or_plain(_halved, _halved)(frozen)

    def gap(theta):
        return evaluate_polynomial(start, end, bend, theta) - target

    off, slope = jax.jvp(gap, (theta,), (jnp.ones_like(theta),))
    slope = jax.lax.stop_gradient(slope)
    theta = theta - jnp.where(slope != 0, off / jnp.where(slope != 0, slope, 1), 0)
    time = times[index] + theta * (times[index + 1] - times[index])
    return jnp.where(jnp.any(crossed, axis=0), time, jnp.inf)


def _halved(crossing):
    """Where within steps trajectories cross their targets, by bisection."""
    start, end, bend, target, direction = crossing

    def halve(_, bracket):
        low, high = bracket
        middle = 0.5 * (low + high)
        value = evaluate_polynomial(start, end, bend, middle)
        before = direction * (value - target) < 0
        return jnp.where(before, middle, low), jnp.where(before, high, middle)

    bracket = (jnp.zeros_like(target), jnp.ones_like(target))
    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, bracket)
    return 0.5 * (low + high)
