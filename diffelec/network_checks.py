"""What a resistor network must be: its names, ends, sites, pairs and numbers."""

from collections.abc import Sequence

import numpy as np

from ._typing import as_leaf
from .checks import check_places
from .topology import COLLECTOR, Topology


def check_names(names: Sequence[str]) -> None:
    """Raises ValueError for a name of two nodes."""
    if len(set(names)) == len(names):
        return
    twice = next(n for n in names if names.count(n) > 1)
    if twice == COLLECTOR:
        raise ValueError(
            f"A particle or carbon node must not be named '{COLLECTOR}', as every "
            "network has a node of that name already; rename it."
        )
    raise ValueError(f"Node names must differ, but '{twice}' is given twice.")


def check_lengths(topology: Topology) -> None:
    """Raises ValueError unless there is one mark and one place a particle."""
    for name in ("imaged", "positions"):
        value = getattr(topology, name)
        if value is not None and value.shape[:1] != (topology.num_particles,):
            raise ValueError(
                f"`{name}` must have one entry per particle, but has "
                f"{len(np.atleast_1d(value))} for {topology.num_particles} particles."
            )
    if topology.positions is not None:
        check_places("positions", topology.positions, topology.particle_labels)


def check_sites(topology: Topology) -> None:
    """Raises ValueError unless every particle is cut into sites that make it up."""
    count, shares = topology.num_particles, topology.site_share
    owners = topology.site_particle
    for name in ("site_share", "site_electrolyte", "site_centres"):
        value = getattr(topology, name)
        if value is not None and value.shape[:1] != (topology.num_sites,):
            raise ValueError(
                f"`{name}` must have one entry per site, but has "
                f"{len(np.atleast_1d(value))} for {topology.num_sites} sites."
            )
    centres = topology.site_centres
    shape = None if centres is None else centres.shape[1:]
    if shape not in (None, (3,)) or (shape and not np.all(np.isfinite(centres))):
        raise ValueError(
            "`site_centres` must hold three finite coordinates of each site, but is "
            f"{centres.tolist()[:8]}."
        )
    sums = np.bincount(owners, shares, count)
    wrong = np.flatnonzero(~(np.abs(sums - 1.0) < 1e-9))
    if wrong.size or not np.all(shares > 0):
        worst = int(wrong[0]) if wrong.size else int(owners[np.argmin(shares)])
        raise ValueError(
            "`site_share` must be positive and add up to 1 for each particle, but adds "
            f"up to {sums[worst]:g} for '{topology.particle_labels[worst]}'."
        )
    known = max(len(topology.electrolyte_labels), 1)
    into = topology.site_electrolyte
    if np.any((into < 0) | (into >= known)):
        raise ValueError(
            f"`site_electrolyte` must be 0 to {known - 1}, its nodes, "
            f"but is {into.min()} to {into.max()}."
        )


def check_exchange(network) -> None:
    """Raises ValueError unless pairs are sites of one particle, each with a shape."""
    topology, shape = network.topology, network.exchange_shape
    pairs = topology.exchange
    given = (0,) if shape is None else np.shape(shape)
    if given[-1:] != (len(pairs),):
        raise ValueError(
            f"`exchange_shape` must have one value per pair of sites, but has "
            f"{given[-1] if given else 'one number'} for {len(pairs)} pairs."
        )
    if isinstance(shape, np.ndarray) and not np.all((shape >= 0) & np.isfinite(shape)):
        raise ValueError(
            f"`exchange_shape` must be 0 or more [m], but is {shape.min():g}."
        )
    inside = np.all((pairs >= 0) & (pairs < topology.num_sites))
    owners = topology.site_particle[pairs if inside else []].reshape(-1, 2)
    if (
        not inside
        or np.any(owners[:, 0] != owners[:, 1])
        or np.any(np.diff(pairs) == 0)
    ):
        raise ValueError(
            "`exchange` must join two different sites of one particle, but joins "
            f"sites {pairs.min() if pairs.size else 0} to "
            f"{pairs.max() if pairs.size else 0} of several, or one to itself; lithium "
            "does not cross from particle to particle."
        )


def check_ends(topology: Topology) -> None:
    """Raises ValueError unless every edge joins two different existing nodes."""
    for e, (tail, head) in enumerate(zip(topology.tail, topology.head, strict=True)):
        if not (0 <= tail < topology.num_nodes and 0 <= head < topology.num_nodes):
            raise ValueError(
                f"Edge {e} must join nodes 0 to {topology.num_nodes - 1}, but joins "
                f"{tail} and {head}."
            )
        if tail == head:
            raise ValueError(
                f"Edge {e} must join two different nodes, but joins "
                f"{topology.node_labels[tail]} to itself; remove it."
            )
    if topology.separator is None:
        return
    ionic = np.stack([topology.tail, topology.head]) >= topology.separator
    mixed = np.flatnonzero(ionic[0] != ionic[1])
    if mixed.size:
        e = int(mixed[0])
        raise ValueError(
            f"Edge {e} must join two nodes that conduct electrons or two of the "
            f"electrolyte, but joins {topology.node_labels[topology.tail[e]]} and "
            f"{topology.node_labels[topology.head[e]]}; only reactions cross between."
        )


def check_edge_numbers(network) -> None:
    """Raises ValueError for negative or missing resistances (concrete values only)."""
    names = ("series_resistance", "shape_tail", "shape_head")
    columns = [as_leaf(getattr(network, name)) for name in names]
    if not all(isinstance(c, np.ndarray) for c in columns):
        return
    labels, topology = network.topology.node_labels, network.topology
    for name, column in zip(names, columns, strict=True):
        if column.shape[-1:] != (topology.num_edges,):
            raise ValueError(
                f"`{name}` must have one value per edge, but has {column.size} values "
                f"for {topology.num_edges} edges."
            )
        bad = np.flatnonzero(~(np.isfinite(column) & (column >= 0)))
        if bad.size:
            e = int(bad[0]) % topology.num_edges
            raise ValueError(
                f"`{name}` must be 0 or more, but is {column.flat[bad[0]]} on the edge "
                f"from {labels[topology.tail[e]]} to {labels[topology.head[e]]}."
            )
    series, *shapes = columns
    first, last = topology.first_site, topology.first_site + topology.num_sites - 1
    for end, shape in zip((topology.tail, topology.head), shapes, strict=True):
        series = series + shape * ((end >= first) & (end <= last))
    empty = np.flatnonzero(series <= 0)
    if empty.size:
        e = int(empty[0]) % topology.num_edges
        raise ValueError(
            f"The edge from {labels[topology.tail[e]]} to {labels[topology.head[e]]} "
            "must have some resistance, but all of its numbers are 0 (shapes count at "
            "ends on particles); merge the two nodes or give it a series resistance."
        )


def check_multiplicity(topology: Topology, multiplicity: np.ndarray) -> None:
    """Raises ValueError where an edge joins sites of unequal multiplicity."""
    first, after = topology.first_site, topology.first_site + topology.num_sites
    ends = np.stack([topology.tail, topology.head])
    inner = ends[:, np.all((ends >= first) & (ends < after), axis=0)]
    site = multiplicity[..., topology.site_particle].reshape(-1, topology.num_sites)
    at_tail, at_head = site[:, inner[0] - first], site[:, inner[1] - first]
    unequal = np.argwhere(at_tail != at_head)
    if unequal.size:
        lane, k = unequal[0]
        tail, head = (topology.node_labels[node] for node in inner[:, k])
        raise ValueError(
            "`multiplicity` must be equal at both ends of an edge between particles, "
            f"but {tail} has {at_tail[lane, k]:g} and {head} has "
            f"{at_head[lane, k]:g}; it belongs to a whole branch between carbon nodes."
        )
