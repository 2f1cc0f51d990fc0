r"""Where the entries of the network's block stand: static, from the topology alone.

Unknowns are the potentials of the nodes, the rates at which sites of one particle
exchange lithium (if they do), and the current. A site i is joined to the node b_i of
the electrolyte that it reacts into, u_i = phi_i - phi_{b_i} being what its column
answers to; b_i does not exist where the electrolyte is uniform.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..topology import Topology

_KEPT = 64  # patterns of as many topologies are kept


class Entries(NamedTuple):
    """Values of a block by where they stand, in the order of `Pattern`.

    Attributes:
        by_tail, by_head: (edge,) d(edge current)/d(potential at the tail, the head).
        answer_tail, answer_head: (edge,) the parts of these that columns answer.
        reaction: (site,) d(current through the surface)/d(u).
        control: d(control)/d(collector's potential), d(control)/d(current).
        exchange: what there is of exchange, or None.
    """

    by_tail: Float[Array, " edge"]
    by_head: Float[Array, " edge"]
    answer_tail: Float[Array, " edge"]
    answer_head: Float[Array, " edge"]
    reaction: Float[Array, " site"]
    control: Float[Array, "2"]
    exchange: "ExchangeEntries | None" = None


class ExchangeEntries(NamedTuple):
    """Entries of the rows and columns of exchange.

    Attributes:
        edge_tail, edge_head: (edge,) d(edge current)/d(rate of the site at that end).
        surface: (site,) d(current through the surface)/d(rate).
        to_tail, to_head: (4, pair) d(loss of the tail's, the head's rate row)/d(u of
            the tail, rate of the tail, u of the head, rate of the head).
    """

    edge_tail: Float[Array, " edge"]
    edge_head: Float[Array, " edge"]
    surface: Float[Array, " site"]
    to_tail: Float[Array, "4 pair"]
    to_head: Float[Array, "4 pair"]


def held_columns(topology: Topology, conductance, reaction, control) -> Entries:
    """Entries of the block where columns do not move."""
    nothing, exchange = jnp.zeros_like(conductance), None
    if topology.num_exchanging:
        pairs = jnp.zeros((4, len(topology.exchange)), conductance.dtype)
        exchange = ExchangeEntries(
            nothing, nothing, topology.own(0.0 * reaction), pairs, pairs
        )
    numbers = (conductance, -conductance, nothing, nothing, reaction, control)
    return Entries(*numbers, exchange)


class Pattern:
    """Rows and columns of the entries, and the compressed form they add up to.

    Attributes:
        rows, columns: (entry,) of each entry; several may fall onto one place.
        kept: (entry,) which of all entries they are: those of the separator's
            balance are replaced by its potential, 0.
        place: (unknown,) where each stands in an order that keeps factors sparse; the
            current, whose diagonal may be 0, last.
        slot: (entry,) place in the compressed columns.
        indices, starts: rows and column starts of those, in that order (CSC).
    """

    def __init__(self, topology: Topology):
        rows, columns = _places(topology)
        keep = np.ones(len(rows), bool)
        if topology.separator is not None:
            keep = rows != topology.separator
        self.kept = np.flatnonzero(keep)
        rows, columns = rows[keep], columns[keep]
        if topology.separator is not None:
            rows = np.append(rows, topology.separator)
            columns = np.append(columns, topology.separator)
        self.size = topology.num_unknowns
        self.rows, self.columns = rows.astype(np.int32), columns.astype(np.int32)
        self.place = _sparse_order(rows, columns, self.size - 1)
        at = self.place[columns] * self.size + self.place[rows]
        places, slot = np.unique(at, return_inverse=True)
        self.slot = slot.reshape(-1).astype(np.int32)
        self.indices = (places % self.size).astype(np.int32)
        counts = np.bincount(places // self.size, minlength=self.size)
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)


def _sparse_order(rows, columns, size: int) -> Int[np.ndarray, " unknown"]:
    """Places of the first `size` unknowns by minimum degree, as SuperLU has it, and of
    the last one behind them.
    """
    from scipy.sparse import coo_array, eye_array
    from scipy.sparse.linalg import splu

    inner = (rows < size) & (columns < size)
    entries = (np.ones(inner.sum()), (rows[inner], columns[inner]))
    matrix = coo_array(entries, (size, size)) + size * eye_array(size)
    factors = splu(
        matrix.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    return np.append(factors.perm_c, size).astype(np.int64)


@functools.lru_cache(_KEPT)
def pattern_of(topology: Topology) -> Pattern:
    """The pattern of a topology's block."""
    return Pattern(topology)


def values_of(topology: Topology, entries: Entries) -> Float[Array, " entry"]:
    """Values of all entries, in the order of `Pattern`."""
    t, h = entries.by_tail, entries.by_head
    r, x = topology.own(entries.reaction), entries.exchange
    fed = jnp.full_like(entries.control[:1], -1.0)  # the current, at the collector
    parts = [t, -t, h, -h, r, fed, entries.control]
    if topology.separator is not None:
        a, b = entries.answer_tail, entries.answer_head
        tail, head = _on_sites(topology)
        parts += [-a[tail], a[tail], -b[head], b[head], -r, -r, r]
    if x is not None:
        tail, head = _on_sites(topology)
        a, b = x.edge_tail[tail], x.edge_head[head]
        parts += [a, -a, b, -b, x.surface, jnp.ones_like(x.surface)]
        parts += [x.to_tail.reshape(-1), x.to_head.reshape(-1)]
        if topology.separator is not None:
            pairs = (x.to_tail[0], x.to_tail[2], x.to_head[0], x.to_head[2])
            parts += [-x.surface, *(-part for part in pairs)]
    values = jnp.concatenate(parts)
    if topology.separator is None:
        return values
    return jnp.append(values[pattern_of(topology).kept], jnp.ones_like(values[:1]))


def _places(topology: Topology) -> tuple[Int[np.ndarray, "e"], Int[np.ndarray, "e"]]:
    """Rows and columns of all entries, in the order in which `values_of` writes."""
    t, h = topology.tail.astype(np.int64), topology.head.astype(np.int64)
    site = topology.first_site + np.arange(topology.num_sites)
    last = np.array([topology.num_unknowns - 1])
    zero = 0 * last
    rows = [t, h, t, h, site, zero, last, last]
    columns = [t, t, h, h, site, last, zero, last]
    tail, head = _on_sites(topology)
    if topology.separator is not None:
        b = topology.separator + topology.site_electrolyte.astype(np.int64)
        of_tail, of_head = b[t[tail] - site[0]], b[h[head] - site[0]]
        rows += [t[tail], h[tail], t[head], h[head], site, b, b]
        columns += [of_tail, of_tail, of_head, of_head, b, site, b]
    if topology.num_exchanging:
        rate = topology.num_nodes + np.arange(topology.num_sites)
        of_tail, of_head = rate[t[tail] - site[0]], rate[h[head] - site[0]]
        rows += [t[tail], h[tail], t[head], h[head], site, rate]
        columns += [of_tail, of_tail, of_head, of_head, rate, rate]
        p, q = topology.exchange.T
        rows += [rate[p]] * 4 + [rate[q]] * 4
        columns += [site[p], rate[p], site[q], rate[q]] * 2
        if topology.separator is not None:
            rows += [b, rate[p], rate[p], rate[q], rate[q]]
            columns += [rate, b[p], b[q], b[p], b[q]]
    return np.concatenate(rows), np.concatenate(columns)


def _on_sites(topology: Topology):
    """Which edges have their tail, their head on a site, as indices."""
    first, after = topology.first_site, topology.first_site + topology.num_sites
    ends = (topology.tail, topology.head)
    return tuple(np.flatnonzero((end >= first) & (end < after)) for end in ends)
