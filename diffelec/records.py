"""What is kept of each step of a protocol, and how the steps join."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .constants import FARADAY
from .results import RESULTS
from .solver import StepOutcome, System, Track


class Saved(eqx.Module):
    """Instants saved, from the start of the protocol [s], and what there was then; NaN
    at instants that a caller gave and that lie outside of the step.
    """

    time: Float[Array, " time"]
    voltage: Float[Array, " time"]
    current: Float[Array, " time"]
    means: Float[Array, "time site"]
    surfaces: Float[Array, "time site"]
    potentials: Float[Array, "time node"]


class Record(eqx.Module):
    """What is kept of protocol steps, or of one; times from the start of the protocol.
    Every array has one axis, of steps or of all their instants, in front.
    """

    saved: Saved
    start: Float[Array, " step"]
    end: Float[Array, " step"]
    capacity: Float[Array, " step"]
    result: RESULTS
    num_steps: Int[Array, "step 2"]
    track: Track


def kept(
    system: System, outcome: StepOutcome, start, capacity, result, failed, wanted
) -> Record:
    """The record of one protocol step; of NaN where it, or one before it, failed.

    Args:
        system: of the step.
        outcome: of its solve.
        start: of the step [s from the start of the protocol].
        capacity: that passed in the step [C].
        result: of the protocol up to here.
        failed: whether a step failed up to here.
        wanted: instants [s], or how many, evenly from the start to the end.
    """

    def known(leaf):
        return jnp.where(failed, jnp.nan, leaf)

    end = start + outcome.duration
    counts = jnp.stack([outcome.num_accepted, outcome.num_rejected])
    ones = (known(start), known(end), known(capacity), result, counts, outcome.track)
    ones = jax.tree.map(lambda leaf: leaf[None], ones)
    return Record(_saved(system, outcome, start, end, failed, wanted), *ones)


def _saved(system, outcome, start, end, failed, wanted) -> Saved:
    """What was saved of a step, see `kept`."""
    if isinstance(wanted, int):
        shares = jnp.linspace(0.0, 1.0, wanted, dtype=start.dtype)
        grid = outcome.duration * shares
        time, unknown = jnp.where(failed, jnp.nan, start + grid), failed
    else:
        time, unknown = wanted, failed | (wanted < start) | (wanted > end)
        # Not clipped: at the very start and end, that would halve slopes in `wanted`.
        # What rounding puts beyond the end is taken off: there a track has no slope.
        grid = wanted - start
        beyond = jnp.maximum(grid - outcome.duration, 0.0)
        grid = jnp.where(unknown, 0.0, grid - jax.lax.stop_gradient(beyond))
    seen = jax.vmap(outcome.track.at)(grid).astype(start.dtype)
    sites, nodes = system.topology.num_sites, system.topology.num_nodes
    # Of zeros where the step failed: slopes at NaN would be NaN for all steps.
    algebraic = jnp.where(failed, 0.0, seen[:, 2 * sites :])

    def known(leaf):
        mask = unknown.reshape(-1, *(1,) * (leaf.ndim - 1))
        return jnp.where(mask, jnp.nan, leaf)

    return Saved(
        time,
        known(jax.vmap(system.voltage)(algebraic)),
        known(jax.vmap(system.current)(algebraic)),
        known(seen[:, :sites]),
        known(seen[:, sites : 2 * sites]),
        known(seen[:, 2 * sites : 2 * sites + nodes]),
    )


def charge(system: System, track: Track) -> Float[Array, ""]:
    """Charge of a step [C]: that of the lithium that left the particles."""
    electrode, topology = system.electrode, system.topology
    sites = topology.num_sites
    change = track.value[0, :sites] - track.value[-1, :sites]
    volume = (electrode.multiplicity * electrode.particle_volume)[
        topology.site_particle
    ]
    weight = volume * topology.site_share * electrode.maximum_concentration
    return FARADAY * jnp.sum(weight * change)


def joined(records: list[Record], instants) -> Record:
    """Records of protocol steps as one, on the host; shorter tracks repeat their last
    knot. `instants`: those that a caller gave [s], or None.
    """
    longest = max(record.track.time.shape[1] for record in records)

    def filled(leaf):
        leaf = np.asarray(leaf)
        last = np.repeat(leaf[:, -1:], longest - leaf.shape[1], axis=1)
        return np.concatenate([leaf, last], axis=1)

    def long(record):
        if record.track.time.shape[1] == longest:
            return record  # of thousands of sites a copy is gigabytes
        track = jax.tree.map(filled, record.track)
        return eqx.tree_at(lambda r: r.track, record, track)

    whole = jax.tree.map(lambda *leaves: np.concatenate(leaves), *map(long, records))
    return _chosen(whole, instants, np)


def flattened(records: Record, instants) -> Record:
    """Records with an axis of protocol steps in front, as a scan stacks them, as one;
    see `joined`.
    """
    whole = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), records)
    return _chosen(whole, instants, jnp)


def _chosen(whole: Record, instants, numpy) -> Record:
    """With one row an instant that a caller gave, if any: of the step that holds it."""
    if instants is None:
        return whole
    # A failed step holds the rest.
    ends = numpy.where(numpy.isnan(whole.end), numpy.inf, whole.end)
    step = numpy.sum(instants[:, None] > ends, axis=1)
    row = numpy.minimum(step, ends.size - 1) * instants.size + np.arange(instants.size)
    saved = jax.tree.map(lambda leaf: leaf[row], whole.saved)
    return eqx.tree_at(lambda record: record.saved, whole, saved)
