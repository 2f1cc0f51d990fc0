"""The verb: runs a protocol on an electrode."""

import dataclasses

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from . import stretches
from .arguments import (
    as_instants,
    check_numbers,
    check_precision,
    check_problem,
    check_ways,
)
from .compiler import compiled, uncollected
from .constants import FARADAY
from .control import Control
from .electrode import Electrode
from .joined import arrange, stacked
from .once import differentiable_once
from .protocol import Protocol
from .results import RESULTS
from .solution import Solution
from .solver import (
    MANY_SITES,
    RODAS4P2,
    AbstractFactors,
    System,
    Tableau,
    Tolerances,
    Track,
    integrate_step,
)
from .tables import Tables


class _Settings(eqx.Module):
    """What a caller of `simulate` chooses beside electrode and protocol."""

    tolerances: Tolerances
    meter: diffrax.AbstractProgressMeter
    num_saved: int = eqx.field(static=True)
    instants: Float[Array, " time"] | None


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
    max_steps: int | None = None,
    dtype=np.float64,
    method: Tableau = RODAS4P2,
    network_solver: type[AbstractFactors] | None = None,
    meter: diffrax.AbstractProgressMeter | None = None,
) -> Solution:
    """Solves the electrode's equations over a protocol.

    Works under `jax.jit`, `jax.grad` and `jax.vmap` in the electrode and protocol.

    Args:
        electrode: the particles, their material and their network.
        protocol: what the cycler does.
        rtol: relative tolerance of stoichiometries and potentials (the largest over
            the columns of each column's RMS).
        atol: absolute tolerance; rtol / 10 unless given.
        num_saved: instants saved a protocol step, evenly from its start to its end.
        times: instants to save instead [s from the start of the protocol]; those after
            its end are NaN.
        throw: raise where a step fails; otherwise the failed and later steps are NaN
            and `result` and `failed_step` tell.
        max_steps: of the integrator in one protocol step. Unless given 2000, or 20000
            of more than a hundred sites, and 16 an instant of a recorded series; under
            transformations, where room for them costs time, 2000 and 4 an instant.
        dtype: float64, or, where JAX runs in single precision, float32 for screening.
        method: `solver.RODAS4P2` or `solver.RODAS5P` (pays off from rtol = 1e-6 down).
        network_solver: one of `solver.DenseLU`, `solver.SparseLU`, `solver.Krylov`; as
            suits the size of the network unless given, which is faster.
        meter: a diffrax progress meter. Of concrete arguments it is moved between the
            steps of the protocol, and within them where there are more than a hundred
            sites; under `jax.jit` by every step of the integrator, which is slower.

    Raises:
        ValueError: an argument that cannot be, or a precision that JAX does not run in;
            a limit of the first step already passed at its start.
        SimulationError: any other failure.
    """
    check_problem(electrode, protocol)
    check_precision(dtype)
    if max_steps is None:
        traced = _is_traced((electrode, protocol, times))
        max_steps = stretches.most_steps(electrode, protocol.drive, traced=traced)
    check_numbers(rtol, atol, num_saved, max_steps)
    check_ways(method, network_solver, meter)
    instants = None if times is None else as_instants(times, dtype)
    tolerances = Tolerances(
        np.asarray(rtol, dtype),
        np.asarray(rtol / 10 if atol is None else atol, dtype),
        int(max_steps),
        method,
        network_solver,
    )
    settings = _Settings(
        tolerances,
        diffrax.NoProgressMeter() if meter is None else meter,
        int(num_saved),
        instants,
    )
    electrode, protocol = jax.tree.map(
        lambda leaf: _of_type(leaf, dtype), (electrode, protocol)
    )
    with uncollected():
        solution = _simulate(electrode, protocol, settings)
    return _raise_failure(solution) if throw else solution


def _of_type(leaf, dtype):
    """A leaf of the asked type; as it is where it has it, which costs nothing."""
    if isinstance(leaf, np.ndarray | jax.Array) and leaf.dtype == dtype:
        return leaf
    return jnp.asarray(leaf, dtype)


def _raise_failure(solution: Solution) -> Solution:
    """Raises what went wrong, at once or (under a transformation) when it runs."""
    if isinstance(solution.failed_step, jax.core.Tracer):
        return solution.result.error_if(solution, solution.result != RESULTS.successful)
    failed = np.asarray(solution.failed_step)
    if np.any(failed >= 0):
        outside = solution.result == RESULTS.start_outside_limits
        kind = ValueError if bool(jnp.all(outside)) else SimulationError
        raise kind(solution.message())
    return solution


def _simulate(electrode, protocol, settings: _Settings) -> Solution:
    """All steps of the protocol.

    Concrete arguments: a loop over one compiled step, which protocols of any length
    share. Under a transformation: a scan, so that the step is traced once; a single
    step is traced as it is where the caller compiles, since a derivative of a scan (or
    of a compiled step) traces it anew.
    """
    numbers = np.arange(protocol.num_steps)
    traced = _is_traced((electrode, protocol, settings.instants))
    if traced:
        electrode, protocol = differentiable_once((electrode, protocol))
    staged = isinstance(jnp.zeros(()), jax.core.Tracer)  # the caller compiles
    start = _started if staged else _start_traced if traced else _start
    carry, tables = start(electrode)

    def advance(one, carry, number, row):
        return one(electrode, tables, protocol.drive, settings, carry, number, row)

    if staged and protocol.num_steps == 1:
        row = jax.tree.map(lambda leaf: leaf[0], protocol.rows)
        carry, records = advance(_advanced_alone, carry, numbers[0], row)
    elif staged or traced:
        carry, records = jax.lax.scan(
            lambda carry, step: advance(_advanced, carry, *step),
            _moving(carry, (electrode, protocol)),
            (numbers, protocol.rows),
        )
    else:
        suited = stretches.suit(electrode.network.topology)
        # Moved from here: callbacks would keep a solve from being one function.
        meter = settings.meter
        settings = dataclasses.replace(settings, meter=diffrax.NoProgressMeter())
        found = []
        for number in range(protocol.num_steps):
            row, shown = _row(protocol, number), meter.init()
            one = _advance_by_stretches(meter, shown) if suited else _advance
            carry, record = advance(one, carry, numbers[number], row)
            meter.close(shown)
            found.append(record)
        records = stacked(found)
    return _solution(electrode, protocol, carry, records, settings.instants)


def _is_traced(tree) -> bool:
    """Whether a transformation holds some of its leaves."""
    leaves = jax.tree.leaves(tree)
    return any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)


def _moving(carry, inputs):
    """The carry, with a derivative (of 0) in case the inputs have one: the derivative
    of a scan is traced again once it finds that the carry has one.
    """
    traced = lambda leaf: isinstance(leaf, jax.core.Tracer) and leaf.size
    some = [jnp.ravel(leaf)[0] for leaf in filter(traced, jax.tree.leaves(inputs))]
    floats, others = eqx.partition(carry, eqx.is_inexact_array)
    floats = jax.tree.map(lambda leaf: jnp.where(False, sum(some), leaf), floats)
    return eqx.combine(floats, others)


class _Record(eqx.Module):
    """What is kept of a protocol step; times from the start of the protocol."""

    time: Float[Array, " time"]
    seen: Float[Array, "time quantity"]
    voltage: Float[Array, " time"]
    current: Float[Array, " time"]
    start: Float[Array, ""]
    end: Float[Array, ""]
    capacity: Float[Array, ""]
    result: RESULTS
    num_steps: Int[Array, "2"]
    track: Track


def _started(electrode):
    """(time, columns, guess of the potentials, result and failed step at the start) and
    the tabulated material.
    """
    topology = electrode.network.topology
    shape = (electrode.mesh.num_shells, topology.num_sites)
    initial = electrode.initial_stoichiometry[topology.site_particle]
    columns = jnp.broadcast_to(initial, shape)
    zero = jnp.zeros((), columns.dtype)
    guess = _guess(electrode, columns)
    # Of one type with what a step leaves (an array of a bare -1 is of a weak one), so
    # that the second step needs no code of its own.
    failed = jnp.asarray(np.asarray(-1))
    carry = (zero, columns, guess, RESULTS.successful, failed)
    return carry, Tables.of(electrode)


def _advanced(electrode, tables, drive, settings: _Settings, carry, number, row):
    """One protocol step: the state after it, and what is kept of it."""
    arguments = (electrode, tables, drive, settings, carry, number, row)
    return _kept(*arguments, *_integrated(*arguments))


def _advanced_alone(*arguments):
    """The same, where what is kept has an axis of steps, of this one."""
    carry, record = _advanced(*arguments)
    return carry, jax.tree.map(lambda leaf: leaf[None], record)


_start, _advance = compiled(_started), compiled(_advanced_alone)
_start_traced = eqx.filter_jit(_started)  # whose derivative is within another's code


def _advance_by_stretches(meter, shown):
    """The same for many sites: the steps of the integrator in stretches, each of which
    leaves what is kept of it on the host, and is shown by a meter in some state.
    """

    def advance(electrode, tables, drive, settings: _Settings, carry, number, row):
        start, _, _, *rest = carry
        longest = Control(row, drive).longest(electrode)
        progress = [shown]

        def integrate(state, begin, tolerances):
            short = dataclasses.replace(settings, tolerances=tolerances)
            now = (start, *state, *rest)
            found = _integrate(electrode, tables, drive, short, now, number, row, begin)
            progress[0] = meter.step(progress[0], found[0].duration / longest)
            return found

        outcome, charge = stretches.joined(
            *(integrate, carry[1:3], settings.tolerances),
            single=electrode.network.topology.num_sites > MANY_SITES,
        )
        arguments = (electrode, tables, drive, settings, carry, number, row)
        carry, record = _keep(*arguments, outcome, charge)
        return carry, jax.tree.map(lambda leaf: np.asarray(leaf)[None], record)

    return advance


def _integrated(
    electrode, tables, drive, settings: _Settings, carry, number, row, begin=0.0
):
    """(outcome of a protocol step, or of a stretch of it; its charge)."""
    _, columns, guess, _, failed = carry
    system = _system(electrode, tables, drive, settings, row)
    outcome = integrate_step(
        system,
        columns,
        guess,
        settings.tolerances,
        meter=settings.meter,
        first=(number == 0) & (begin == 0.0),
        skip=failed >= 0,
        begin=begin,
    )
    return outcome, _charge(system, outcome.track)


_integrate = compiled(_integrated)


def _system(electrode, tables, drive, settings: _Settings, row) -> System:
    factors = settings.tolerances.network_solver
    return System.of(electrode, Control(row, drive), tables, factors)


def _kept(
    electrode, tables, drive, settings: _Settings, carry, number, row, outcome, charge
) -> tuple[tuple, _Record]:
    """The state after a protocol step, and what is kept of it."""
    start, _, _, result, failed = carry
    system = _system(electrode, tables, drive, settings, row)
    now = RESULTS.where(failed >= 0, result, outcome.result)
    failed = jnp.where((failed < 0) & (now != RESULTS.successful), number, failed)

    def kept(leaf):
        return jnp.where(failed >= 0, jnp.nan, leaf)

    grid = _grid(outcome, start, settings)
    seen = jax.vmap(outcome.track.at)(grid).astype(start.dtype)
    # Of zeros where the step failed: slopes at NaN would be NaN for all steps.
    algebraic = jnp.where(failed >= 0, 0.0, seen[:, 2 * system.topology.num_sites :])
    end = start + outcome.duration
    record = _Record(
        time=kept(start + grid),
        seen=kept(seen),
        voltage=kept(jax.vmap(system.voltage)(algebraic)),
        current=kept(jax.vmap(system.current)(algebraic)),
        start=kept(start),
        end=kept(end),
        capacity=kept(charge),
        result=now,
        num_steps=jnp.stack([outcome.num_accepted, outcome.num_rejected]),
        track=outcome.track,
    )
    return (end, *outcome.parts, now, failed), record


_keep = compiled(_kept)


def _row(protocol: Protocol, number: int):
    return jax.tree.map(lambda leaf: np.asarray(leaf[number]), protocol.rows)


def _guess(electrode, columns):
    """All that conducts electrons at the mean open-circuit potential, no current."""
    potential = electrode.curves.open_circuit_potential(columns[-1])
    topology = electrode.network.topology
    ends = topology.first_site + topology.num_sites
    nodes = jnp.full(ends, jnp.mean(potential))
    return jnp.pad(nodes, (0, topology.num_unknowns - ends))


def _grid(outcome, start, settings: _Settings):
    """Instants to evaluate in a step, from its start [s]."""
    if settings.instants is None:
        shares = jnp.linspace(0.0, 1.0, settings.num_saved, dtype=start.dtype)
        return outcome.duration * shares
    return jnp.clip(settings.instants - start, 0.0, outcome.duration)


def _charge(system, track):
    """Charge of a step [C]: that of the lithium that left the particles."""
    electrode, topology = system.electrode, system.topology
    sites = topology.num_sites
    change = track.value[0, :sites] - track.value[-1, :sites]
    volume = electrode.particle_volume[topology.site_particle] * topology.site_share
    weight = system.site_multiplicity() * volume * electrode.maximum_concentration
    return FARADAY * jnp.sum(weight * change)


def _solution(electrode, protocol, carry, records, instants) -> Solution:
    """Records of the steps joined to arrays of instants."""
    topology = electrode.network.topology
    saved = (records.time, records.voltage, records.current, records.seen)
    time, voltage, current, *seen = arrange(topology, saved, records.end, instants)
    means, surfaces, potentials = seen
    solution = Solution(
        time=time,
        voltage=voltage,
        current=current,
        potentials=potentials,
        site_stoichiometry=means,
        site_surface_stoichiometry=surfaces,
        step_start_times=records.start,
        step_end_times=records.end,
        step_capacities=records.capacity,
        step_results=records.result,
        result=carry[3],
        failed_step=carry[4],
        num_steps=records.num_steps,
        tracks=records.track,
        topology=topology,
        texts=protocol.texts,
        half_cycles=protocol.half_cycles,
        spans=protocol.spans,
    )
    if _is_traced(solution):  # `time` alone is what a caller gave, by `times`
        return jax.tree.map(jnp.asarray, solution)
    return jax.device_put(solution)  # at once: leaf by leaf takes three times as long
