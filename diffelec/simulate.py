"""The verb: runs a protocol on an electrode."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .constants import FARADAY
from .electrode import Electrode
from .protocol import Control, Protocol
from .results import RESULTS
from .solution import Solution
from .solver import (
    RODAS4P2,
    Numerics,
    System,
    Tableau,
    integrate_step,
)


class SimulationError(RuntimeError):
    """A simulation that did not succeed; the message names the step and the cause."""


def simulate(
    electrode: Electrode,
    protocol: Protocol,
    *,
    rtol: float = 1e-5,
    atol: float | None = None,
    num_saved: int = 101,
    times: Float[Array, " time"] | None = None,
    throw: bool = True,
    max_steps: int = 2000,
    dtype=np.float64,
    method: Tableau = RODAS4P2,
    adjoint: diffrax.AbstractAdjoint | None = None,
    meter: diffrax.AbstractProgressMeter | None = None,
) -> Solution:
    """Solves the electrode's equations over a protocol.

    Works under `jax.jit`, `jax.grad` and `jax.vmap` in the electrode and protocol.

    Args:
        rtol, atol: relative and absolute tolerance of stoichiometries and potentials
            (the largest over the columns of each column's RMS); atol = rtol / 10 unless
            given.
        num_saved: instants saved a protocol step, evenly from its start to its end.
        times: instants to save instead [s from the start of the protocol]; those after
            its end are NaN.
        throw: raise where a step fails; otherwise the failed and later steps are NaN
            and `result` and `failed_step` tell.
        max_steps: of the integrator in one protocol step.
        dtype: float64, or float32 for screening.
        method: `solver.RODAS4P2` or `solver.RODAS5P` (pays off from rtol = 1e-6 down).
        adjoint: how diffrax differentiates; `diffrax.ForwardMode()` for `jax.jvp`.
        meter: a diffrax progress meter.

    Raises:
        ValueError: float64 asked for while JAX runs in single precision; a limit of
            the first step already passed at its start.
        SimulationError: any other failure.
    """
    _check_arguments(rtol, atol, num_saved, max_steps, dtype)
    numerics = Numerics(
        float(rtol),
        float(rtol / 10 if atol is None else atol),
        int(max_steps),
        method,
        diffrax.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        diffrax.NoProgressMeter() if meter is None else meter,
    )
    electrode, protocol = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, dtype), (electrode, protocol)
    )
    instants = None if times is None else jnp.asarray(times, dtype)
    solution = _simulate(electrode, protocol, numerics, int(num_saved), instants)
    return _raise_failure(solution) if throw else solution


def _check_arguments(rtol, atol, num_saved, max_steps, dtype):
    if np.dtype(dtype) == np.float64 and not jax.config.jax_enable_x64:
        raise ValueError(
            "`simulate` computes in float64, but JAX runs in single precision; call "
            "jax.config.update('jax_enable_x64', True) first, or pass "
            "dtype=jax.numpy.float32 for screening."
        )
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"`{name}` must lie between 0 and 1, but is {value}.")
    for name, value, least in (("num_saved", num_saved, 2), ("max_steps", max_steps, 1)):
        if value < least:
            raise ValueError(f"`{name}` must be {least} or more, but is {value}.")


def _raise_failure(solution: Solution) -> Solution:
    """Raises what went wrong, at once or (under a transformation) when it runs."""
    if isinstance(solution.failed_step, jax.core.Tracer):
        return solution.result.error_if(
            solution, solution.result != RESULTS.successful
        )
    failed = np.asarray(solution.failed_step)
    if np.any(failed >= 0):
        outside = solution.result == RESULTS.start_outside_limits
        kind = ValueError if bool(jnp.all(outside)) else SimulationError
        raise kind(solution.message())
    return solution


@eqx.filter_jit
def _simulate(electrode, protocol, numerics, num_saved, instants) -> Solution:
    """The protocol as one scan over its steps: one compiled solve for all."""
    topology = electrode.network.topology
    system = System.of(electrode, Control(_row(protocol, 0), protocol.drive))
    shape = (electrode.mesh.num_shells, topology.num_sites)
    initial = jnp.asarray(electrode.initial_stoichiometry)[topology.site_particle]
    columns = jnp.broadcast_to(initial, shape)
    guess = _guess(system, columns)
    carry = (jnp.zeros((), columns.dtype), columns, guess, RESULTS.successful, -1)

    def advance(carry, numbered):
        number, row = numbered
        start, columns, guess, result, failed = carry
        here = eqx.tree_at(lambda s: s.control.row, system, row)
        outcome = integrate_step(
            here, columns, guess, numerics, first=number == 0, skip=failed >= 0
        )
        now = RESULTS.where(failed >= 0, result, outcome.result)
        failed = jnp.where((failed < 0) & (now != RESULTS.successful), number, failed)
        grid = _grid(outcome, start, num_saved, instants)
        saved = jax.vmap(outcome.track.at)(grid)
        saved = jnp.where(failed >= 0, jnp.nan, saved)
        moved = _charge(here, outcome.track)
        record = (grid, saved, start, outcome, now, moved)
        carry = (start + outcome.duration, *outcome.parts, now, failed)
        return carry, record

    numbers = jnp.arange(protocol.num_steps)
    carry, record = jax.lax.scan(advance, carry, (numbers, protocol.rows))
    return _solution(system, protocol, carry, record, instants)


def _row(protocol: Protocol, number: int):
    return jax.tree.map(lambda leaf: leaf[number], protocol.rows)


def _guess(system, columns):
    """All nodes at the mean open-circuit potential, no current."""
    potential = system.electrode.curves.open_circuit_potential(columns[-1])
    nodes = jnp.full(system.topology.num_nodes, jnp.mean(potential))
    return jnp.concatenate([nodes, jnp.zeros(1, nodes.dtype)])


def _grid(outcome, start, num_saved, instants):
    """Instants to evaluate in a step, from its start [s]."""
    if instants is None:
        return outcome.duration * jnp.linspace(0.0, 1.0, num_saved, dtype=start.dtype)
    return jnp.clip(instants - start, 0.0, outcome.duration)


def _charge(system, track):
    """Charge of a step [C]: that of the lithium that left the particles."""
    electrode, topology = system.electrode, system.topology
    sites = topology.num_sites
    change = track.value[0, :sites] - track.value[-1, :sites]
    volume = electrode.particle_volume[topology.site_particle] * topology.site_share
    weight = system.site_multiplicity() * volume * electrode.maximum_concentration
    return FARADAY * jnp.sum(weight * change)


def _solution(system, protocol, carry, record, instants) -> Solution:
    """Arrays of the steps joined to arrays of instants."""
    grid, saved, starts, outcomes, results, moved = record
    _, _, _, result, failed = carry
    ok = (failed < 0) | (jnp.arange(protocol.num_steps) < failed)
    ends = starts + outcomes.duration
    if instants is None:
        time = (starts[:, None] + grid).reshape(-1)
        time = jnp.where(jnp.repeat(ok, grid.shape[1]), time, jnp.nan)
        seen = saved.reshape(-1, saved.shape[-1])
    else:
        time = instants
        step = jnp.sum(instants[:, None] > ends, axis=1)
        within = (step < protocol.num_steps) & (instants >= 0)
        step = jnp.minimum(step, protocol.num_steps - 1)
        seen = saved[step, jnp.arange(instants.size)]
        seen = jnp.where(within[:, None], seen, jnp.nan)
    sites = system.topology.num_sites
    algebraic = seen[:, 2 * sites :]
    return Solution(
        time=time,
        voltage=jax.vmap(system.voltage)(algebraic),
        current=jax.vmap(system.current)(algebraic),
        potentials=algebraic[:, :-1],
        site_stoichiometry=seen[:, :sites],
        site_surface_stoichiometry=seen[:, sites : 2 * sites],
        step_start_times=jnp.where(ok, starts, jnp.nan),
        step_end_times=jnp.where(ok, ends, jnp.nan),
        step_capacities=jnp.where(ok, moved, jnp.nan),
        step_results=results,
        result=result,
        failed_step=failed,
        num_steps=jnp.stack([outcomes.num_accepted, outcomes.num_rejected], axis=1),
        tracks=outcomes.track,
        topology=system.topology,
        texts=protocol.texts,
        half_cycles=protocol.half_cycles,
        spans=protocol.spans,
    )
