"""What the steps of a protocol kept, joined to arrays of instants."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .compiler import compiled


def stacked(records: list):
    """Records of protocol steps, one each, along their axis of steps; shorter tracks
    repeat their last knot.
    """
    if len(records) == 1:
        return records[0]
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

    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *map(long, records))


def arrange(topology, saved, ends, instants):
    """(time, voltage, current, site means, site surfaces, potentials) at all instants
    from what the steps saved, and when they ended.

    Args:
        topology: of the network.
        saved: (time, voltage, current, watched quantities), by step.
        ends: of the steps [s]; NaN where one failed.
        instants: asked for [s], or None for those that the steps saved.
    """
    leaves = jax.tree.leaves((saved, ends, instants))
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    return (_arranged if traced else _arrange)(topology, saved, ends, instants)


def _arranged(topology, saved, ends, instants):
    if instants is None:
        joined = [leaf.reshape(-1, *leaf.shape[2:]) for leaf in saved]
    else:
        joined = [instants, *_by_instant(saved[1:], ends, instants)]
    *rest, seen = joined
    sites, nodes = topology.num_sites, topology.num_nodes
    means, surfaces = seen[:, :sites], seen[:, sites : 2 * sites]
    return *rest, means, surfaces, seen[:, 2 * sites : 2 * sites + nodes]


def _by_instant(saved, ends, instants):
    """What the step that holds each instant saved; NaN outside the protocol."""
    ends = jnp.where(jnp.isnan(ends), jnp.inf, ends)  # a failed step holds the rest
    step = jnp.sum(instants[:, None] > ends, axis=1)
    within = (step < ends.size) & (instants >= 0)
    step = jnp.minimum(step, ends.size - 1)
    place = jnp.arange(instants.size)

    def chosen(leaf):
        value = jnp.asarray(leaf)[step, place]
        mask = within.reshape(-1, *(1,) * (value.ndim - 1))
        return jnp.where(mask, value, jnp.nan)

    return [chosen(leaf) for leaf in saved]


_arrange = compiled(_arranged)
