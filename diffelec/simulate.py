"""The verb: runs a protocol on an electrode."""

import dataclasses
from typing import TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from . import stretches
from ._typing import is_traced
from .arguments import (
    as_instants,
    as_meter,
    check_laws,
    check_numbers,
    check_one_precision,
    check_precision,
    check_problem,
    check_ways,
    in_precision,
)
from .compiler import compiled, uncollected
from .control import Control
from .electrode import Electrode
from .once import differentiable_once
from .protocol import Protocol
from .records import Record, charge, flattened, joined, kept
from .results import RESULTS
from .solution import Solution
from .solver import (
    MANY_SITES,
    RODAS4P2,
    AbstractFactors,
    Quiet,
    System,
    Tableau,
    Tolerances,
    integrate_step,
)
from .tables import Tables

if TYPE_CHECKING:
    import diffrax


class _Settings(eqx.Module):
    """What a caller of `simulate` chooses beside electrode and protocol."""

    tolerances: Tolerances
    meter: "diffrax.AbstractProgressMeter | Quiet"
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
    meter: "diffrax.AbstractProgressMeter | None" = None,
) -> Solution:
    """Solves the electrode's equations over a protocol.

    Works under `jax.jit`, `jax.grad` and `jax.vmap` in the electrode and protocol; what
    it needs itself is compiled at its first call, derivatives too. Of more than a
    thousand sites, surfaces and inner potentials are lines between the steps of the
    integrator and, but under transformations, values saved are rounded to single
    precision.

    Args:
        electrode: the particles, their material and their network.
        protocol: what the cycler does.
        rtol: relative tolerance of stoichiometries and potentials (the largest over
            the columns of each column's RMS). A limit that is passed by a few such
            tolerances, and left again, within one step of the integrator ends nothing.
        atol: absolute tolerance; rtol / 10 unless given.
        num_saved: instants saved a protocol step, evenly from its start to its end.
        times: instants to save instead [s from the start of the protocol]; those before
            it and after its end are NaN.
        throw: raise where a step fails; otherwise the failed and later steps are NaN,
            of which the derivatives are 0, and `result` and `failed_step` tell.
        max_steps: of the integrator in one protocol step. Unless given 2000, or 20000
            of more than a hundred sites, and 16 an instant of a recorded series; under
            transformations, where room for them costs time, 2000 and 4 an instant.
        dtype: float64, or, where JAX runs in single precision, float32 for screening;
            the same in all of a process.
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
    leaves = jax.tree.leaves((electrode, protocol))
    staged = _is_staged()
    traced = staged or is_traced((leaves, times))
    if max_steps is None:
        max_steps = stretches.most_steps(electrode, protocol.drive, traced=traced)
    check_numbers(rtol, atol, num_saved, max_steps)
    check_ways(method, network_solver)
    check_one_precision(dtype)
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
        as_meter(meter),
        int(num_saved),
        instants,
    )
    if not all(getattr(leaf, "dtype", None) == dtype for leaf in leaves):
        electrode, protocol = in_precision((electrode, protocol), dtype)
    with uncollected():
        run = _staged if staged else _traced if traced else _eager
        found = run(electrode, protocol, settings)
        solution = _solution(electrode, protocol, *found)
    return _raise_failure(solution, electrode) if throw else solution


def _raise_failure(solution: Solution, electrode) -> Solution:
    """Raises what went wrong, at once or (under a transformation) when it runs."""
    if isinstance(solution.failed_step, jax.core.Tracer):
        return solution.result.error_if(solution, solution.result != RESULTS.successful)
    failed = np.asarray(solution.failed_step)
    if np.any(failed >= 0):
        if not is_traced(electrode):
            check_laws(electrode)  # not before: it costs as much as a short solve
        outside = solution.result == RESULTS.start_outside_limits
        kind = ValueError if bool(jnp.all(outside)) else SimulationError
        raise kind(solution.message())
    return solution


def _staged(electrode, protocol, settings: _Settings):
    """(state, record) after all steps of the protocol where the caller compiles.

    A scan, so that a step is traced once; a single step is traced as it is, since a
    derivative of a scan (or of a compiled step) traces it anew.
    """
    electrode, protocol = differentiable_once((electrode, protocol))
    carry, tables = _started(electrode)

    def advance(carry, step):
        return _advanced(electrode, tables, protocol.drive, settings, carry, *step)

    steps = (np.arange(protocol.num_steps), protocol.rows)
    if protocol.num_steps == 1:
        carry, record = advance(carry, jax.tree.map(lambda leaf: leaf[0], steps))
    else:
        carry = _moving(carry, (electrode, protocol))
        carry, records = jax.lax.scan(advance, carry, steps)
        record = flattened(records, settings.instants)
    # What a caller gave as `times` is as it was.
    return jax.tree.map(jnp.asarray, (carry, record))


# Under a transformation alone: of what is compiled, JAX keeps derivatives too. It takes
# no options for these.
_traced = eqx.filter_jit(_staged)


def _eager(electrode, protocol, settings: _Settings):
    """(state, record) after all steps of the protocol, of concrete arguments: a loop
    over one compiled step, which protocols of any length share.
    """
    many, drive = stretches.suit(electrode.network.topology), protocol.drive
    # Moved from here: callbacks would keep a solve from being one function.
    meter = settings.meter
    if not isinstance(meter, Quiet):
        settings = dataclasses.replace(settings, meter=Quiet())
    carry, tables = _start(electrode) if many else (_nothing(electrode), None)
    found = []
    for number in range(protocol.num_steps):
        shown = meter.init()
        step = (settings, carry, np.asarray(number), _row(protocol, number))
        if many:
            one = _advance_by_stretches(meter, shown)
            carry, record = one(electrode, tables, drive, *step)
        else:
            carry, record = _advance(electrode, drive, *step)
        meter.close(shown)
        found.append(record)
    if len(found) == 1 and not many:
        return carry, record
    # At once: leaf by leaf takes three times as long.
    return carry, jax.device_put(joined(found, settings.instants))


def _is_staged() -> bool:
    """Whether the caller compiles."""
    return isinstance(_constant(), jax.core.Tracer)


@jax.jit  # what costs least to ask
def _constant():
    return 0.0


def _moving(carry, inputs):
    """The carry, with a derivative (of 0) in case the inputs have one: the derivative
    of a scan is traced again once it finds that the carry has one.
    """
    traced = lambda leaf: isinstance(leaf, jax.core.Tracer) and leaf.size
    some = [jnp.ravel(leaf)[0] for leaf in filter(traced, jax.tree.leaves(inputs))]
    floats, others = eqx.partition(carry, eqx.is_inexact_array)
    floats = jax.tree.map(lambda leaf: jnp.where(False, sum(some), leaf), floats)
    return eqx.combine(floats, others)


def _started(electrode):
    """(time, columns, guess of the potentials, result and failed step at the start) and
    the tabulated material.
    """
    tables = Tables.of(electrode)  # first, as it names a law that cannot be
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
    return carry, tables


def _nothing(electrode):
    """What stands for the state before the start, which `_advanced_from` makes."""
    topology, mesh = electrode.network.topology, electrode.mesh
    dtype = electrode.initial_stoichiometry.dtype
    columns = np.zeros((mesh.num_shells, topology.num_sites), dtype)
    guess = np.zeros(topology.num_unknowns, dtype)
    return np.zeros((), dtype), columns, guess, RESULTS.successful, np.asarray(-1)


def _advanced(electrode, tables, drive, settings: _Settings, carry, number, row):
    """One protocol step: the state after it, and what is kept of it."""
    arguments = (electrode, tables, drive, settings, carry, number, row)
    return _kept(*arguments, *_integrated(*arguments))


def _advanced_from(electrode, drive, settings: _Settings, carry, number, row):
    """The same with what there is before the first step: that costs less to make in
    each step than a call of its own does.
    """
    begun, tables = _started(electrode)
    first = number == 0
    carry = jax.tree.map(lambda a, b: jnp.where(first, a, b), begun, carry)
    return _advanced(electrode, tables, drive, settings, carry, number, row)


_start, _advance = (compiled(f, plain=True) for f in (_started, _advanced_from))


def _advance_by_stretches(meter, shown):
    """The same for many sites: the steps of the integrator in stretches, each of which
    leaves what is kept of it on the host, and is shown by a meter in some state.
    """

    def advance(electrode, tables, drive, settings: _Settings, carry, number, row):
        start, _, _, *rest = carry
        longest = Control.of(electrode, row, drive).longest(electrode)
        progress = [shown]

        def integrate(state, begin, tolerances):
            short = dataclasses.replace(settings, tolerances=tolerances)
            now = (start, *state, *rest)
            found = _integrate(electrode, tables, drive, short, now, number, row, begin)
            progress[0] = meter.step(progress[0], found[0].duration / longest)
            return found

        outcome, passed = stretches.joined(
            *(integrate, carry[1:3], settings.tolerances),
            single=electrode.network.topology.num_sites > MANY_SITES,
        )
        arguments = (electrode, tables, drive, settings, carry, number, row)
        return _keep(*arguments, outcome, passed)

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
    return outcome, charge(system, outcome.track)


_integrate = compiled(_integrated, plain=True)


def _system(electrode, tables, drive, settings: _Settings, row) -> System:
    factors = settings.tolerances.network_solver
    return System.of(electrode, Control.of(electrode, row, drive), tables, factors)


def _kept(
    electrode, tables, drive, settings: _Settings, carry, number, row, outcome, passed
) -> tuple[tuple, Record]:
    """The state after a protocol step, and what is kept of it."""
    start, _, _, result, failed = carry
    system = _system(electrode, tables, drive, settings, row)
    now = RESULTS.where(failed >= 0, result, outcome.result)
    failed = jnp.where((failed < 0) & (now != RESULTS.successful), number, failed)
    wanted = settings.num_saved if settings.instants is None else settings.instants
    record = kept(system, outcome, start, passed, now, failed >= 0, wanted)
    end = start + outcome.duration
    return (end, *outcome.parts, now, failed), record


_keep = compiled(_kept, plain=True)


def _row(protocol: Protocol, number: int):
    return jax.tree.map(lambda leaf: np.asarray(leaf[number]), protocol.rows)


def _guess(electrode, columns):
    """All that conducts electrons at the mean open-circuit potential, no current."""
    potential = electrode.curves.open_circuit_potential(columns[-1])
    topology = electrode.network.topology
    ends = topology.first_site + topology.num_sites
    nodes = jnp.full(ends, jnp.mean(potential))
    return jnp.pad(nodes, (0, topology.num_unknowns - ends))


def _solution(electrode, protocol, carry, record: Record) -> Solution:
    """What there is after all steps, and what is kept of them, by its names."""
    saved = record.saved
    return Solution(
        time=saved.time,
        voltage=saved.voltage,
        current=saved.current,
        potentials=saved.potentials,
        site_stoichiometry=saved.means,
        site_surface_stoichiometry=saved.surfaces,
        step_start_times=record.start,
        step_end_times=record.end,
        step_capacities=record.capacity,
        step_results=record.result,
        result=carry[3],
        failed_step=carry[4],
        num_steps=record.num_steps,
        tracks=record.track,
        topology=electrode.network.topology,
        texts=protocol.texts,
        half_cycles=protocol.half_cycles,
        spans=protocol.spans,
    )
