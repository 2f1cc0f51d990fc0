"""The numbers people ask of a solution, as NumPy arrays.

All crossing times of a solution come from one compiled function: asked one by one,
each of its operations would be compiled alone, which takes seconds.
"""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffelec

HOUR = 3600.0
CHANGES = (0.066, 0.33)  # of mean stoichiometry: onset, midpoint
LEVELS = (0.1, 0.5, 0.9)  # onset, midpoint, completion


class HalfCycle(NamedTuple):
    """A charge or discharge with the hold and rest after it."""

    name: str  # "charge 1", "discharge 1", "charge 2", …
    start: float  # s
    end: float  # s
    charges: bool


@eqx.filter_jit
def crossings(solution):
    """What `crossing_times` gives, of a solution with a half cycle; traceable.

    One search a half cycle for what `onset_times` and `change_times` look for: to trace
    them one by one takes longer than they do.
    """
    levels, changes = jnp.array(LEVELS)[:, None], jnp.array(CHANGES)[:, None]
    by_level, by_change = [], []
    for k in range(solution.num_half_cycles):
        start, end = solution.half_cycle_ends(k)
        own = end - start
        targets = [end - (1.0 - levels) * own, start + changes * jnp.sign(own)]
        find = jax.vmap(lambda target, k=k: solution.crossing_times(target, k))
        of_own, of_given = jnp.split(find(jnp.concatenate(targets)), [len(LEVELS)])
        still = (jnp.abs(own) < solution.least_change) & ~jnp.isnan(of_own)
        by_level.append(jnp.where(still, jnp.inf, of_own))
        by_change.append(of_given)
    return jnp.stack(by_level), jnp.stack(by_change)


def crossing_times(solution: diffelec.Solution) -> tuple[np.ndarray, np.ndarray]:
    """When particles pass 10, 50, 90 % of their change, and changes of 0.066, 0.33.

    Returns:
        Two arrays, (half cycle, 3, particle) and (half cycle, 2, particle), in s from
        the start of the half cycle; infinite where never.
    """
    count = solution.topology.num_particles
    if solution.num_half_cycles == 0:
        return np.zeros((0, 3, count)), np.zeros((0, 2, count))
    by_level, by_change = crossings(solution)
    return np.asarray(by_level), np.asarray(by_change)


def half_cycles(solution: diffelec.Solution) -> list[HalfCycle]:
    """The half cycles of a solution in order, named and counted by direction."""
    solution = jax.device_get(solution)  # to take of arrays there is a program for each
    time, current = solution.time, solution.current
    found, counts = [], {True: 0, False: 0}
    for k in range(solution.num_half_cycles):
        start, end = (float(t) for t in solution.half_cycle_span(k))
        passed = np.nan  # unless told by the steps, whatever instants were saved
        if solution.spans is None:
            passed = float(solution.half_cycle_capacity(k))
        if np.isnan(passed):
            inside = (time >= start) & (time <= end)
            passed = np.nanmean(current[inside]) if np.any(inside) else 0.0
        charges = bool(passed >= 0)
        counts[charges] += 1
        word = "charge" if charges else "discharge"
        found.append(HalfCycle(f"{word} {counts[charges]}", start, end, charges))
    return found


class AlongSteps(NamedTuple):
    """What a solution went through, at the ends of its accepted steps: finer than the
    instants that were saved, and there whatever was asked for.
    """

    time: np.ndarray  # (knot,) from the start of the protocol [s]
    surfaces: np.ndarray  # (knot, site) stoichiometry
    particles: np.ndarray  # (knot, particle) mean stoichiometry

    @staticmethod
    def of(solution) -> "AlongSteps":
        """Of all steps that did not fail."""
        sites, tracks = solution.topology.num_sites, solution.tracks
        start = np.asarray(solution.step_start_times)[:, None]
        time = (start + np.asarray(tracks.time)).reshape(-1)
        value = np.asarray(tracks.value).reshape(time.size, -1)
        good = np.isfinite(time) & np.all(np.isfinite(value[:, : 2 * sites]), axis=1)
        time, value = time[good], value[good]
        means, surfaces = value[:, :sites], value[:, sites : 2 * sites]
        at_knots = dataclasses.replace(solution, site_stoichiometry=means)
        return AlongSteps(time, surfaces, np.asarray(at_knots.stoichiometry))

    def mean(self, electrode) -> np.ndarray:
        """Mean over all particles, weighted by volume and multiplicity, (knot,)."""
        weight = np.asarray(electrode.multiplicity) * np.asarray(electrode.radius) ** 3
        weight = np.broadcast_to(weight, self.particles.shape[1:])
        return self.particles @ (weight / weight.sum())


class CycleRow(NamedTuple):
    """One charge, hold and discharge; times in h, voltages in V, loss in %."""

    cycle: int
    charge_h: float
    hold_h: float
    discharge_h: float
    onsets_h: np.ndarray  # of the imaged particles, 0.066 change
    midpoints_h: np.ndarray  # 0.33 change
    spread_h: float
    loss_percent: float
    voltage_start_V: float
    voltage_5h_V: float


def cycle_table(solution: diffelec.Solution) -> list[CycleRow]:
    """Rows of a protocol made of (charge, hold, discharge) times any number."""
    starts = np.asarray(solution.step_start_times) / HOUR
    ends = np.asarray(solution.step_end_times) / HOUR
    charge = np.asarray(solution.step_capacities)
    imaged = solution.topology.imaged
    hours = np.asarray(solution.time) / HOUR
    _, changes = crossing_times(solution)
    rows = []
    for cycle in range(len(ends) // 3):
        k = 3 * cycle
        onsets, midpoints = changes[2 * cycle][:, imaged] / HOUR
        inside = (hours >= starts[k]) & (hours <= ends[k])
        inside &= np.asarray(solution.current) > 0
        voltage = np.asarray(solution.voltage)[inside]
        at = np.interp([0.0, 5.0], hours[inside] - starts[k], voltage)
        rows.append(
            CycleRow(
                cycle + 1,
                *(ends[k : k + 3] - starts[k : k + 3]),
                onsets,
                midpoints,
                float(np.max(midpoints) - np.min(midpoints)),
                100.0 * (1.0 + charge[k + 2] / (charge[k] + charge[k + 1])),
                *at,
            )
        )
    return rows
