r"""LU factors of the network's block on a pattern known beforehand, number by number.

$$ A = L D U, \quad a_{ij} \mathrel{-}= a_{ik} a_{kj} / a_{kk}
   \text{ for all } i, j \text{ joined to } k, \; k = 1, 2, \dots $$

Which numbers meet is found once a topology; what is left is a loop of a few operations
a number, for a single solve that is compiled into one function (`serial`). A tree of n
nodes takes some 10 n of them, where an inverse takes n^3. The order keeps factors
sparse and the current last: its diagonal is 0 where a voltage is asked for. Without
pivoting, as in `blocks.gauss_jordan`.
"""

import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..small_calls import made_once
from ..sums import added_up, picked, places, row_at, with_row
from ..topology import Topology
from .blocks import AbstractFactors
from .pattern import pattern_of

_KEPT = 64  # plans of as many topologies are kept


class Plan(NamedTuple):
    """Which numbers of a pattern meet. Numbers stand: the diagonal, then below it
    column by column, then what mirrors that above it.

    Attributes:
        slot: (entry,) where the entries of `Pattern` belong.
        updates: (4, update) the numbers a_ij, a_ik, a_kj and a_kk of each operation.
        low, high: (pair,) k and i > k of the numbers below the diagonal.
        order: (unknown,) which unknown stands at each place.
        place: (unknown,) the inverse of that.
    """

    slot: Int[np.ndarray, " entry"]
    updates: Int[np.ndarray, "4 update"]
    low: Int[np.ndarray, " pair"]
    high: Int[np.ndarray, " pair"]
    order: Int[np.ndarray, " unknown"]
    place: Int[np.ndarray, " unknown"]


@functools.lru_cache(_KEPT)
def plan_of(topology: Topology) -> Plan:
    """The plan of a topology's block."""
    pattern = pattern_of(topology)
    place, size = pattern.place, pattern.size
    rows, columns = place[pattern.rows], place[pattern.columns]
    joined = _filled(rows, columns, size)
    counts = np.array([later.size for later in joined])
    low, high = np.repeat(np.arange(size), counts), np.concatenate(joined)
    starts = size + np.concatenate([[0], np.cumsum(counts)])
    above = low.size  # from a number below the diagonal to its mirror above

    def slots(i, j):
        """Slots of the numbers in rows i and columns j."""
        first, last = np.minimum(i, j), np.maximum(i, j)
        keys, wanted = low * size + high, first * size + last
        found = size + np.searchsorted(keys, wanted) + np.where(i < j, above, 0)
        return np.where(i == j, i, found)

    updates = [np.zeros((4, 0), int)]
    for k, later in enumerate(joined):
        i, j = np.repeat(later, later.size), np.tile(later, later.size)
        of_row = starts[k] + np.repeat(np.arange(later.size), later.size)
        of_column = starts[k] + above + np.tile(np.arange(later.size), later.size)
        updates.append(np.stack([slots(i, j), of_row, of_column, np.full(i.size, k)]))
    return Plan(
        slot=slots(rows, columns),
        updates=np.concatenate(updates, axis=1),
        low=low,
        high=high,
        order=np.argsort(place),
        place=place,
    )


def _filled(rows, columns, size: int) -> list[Int[np.ndarray, " later"]]:
    """Which later unknowns each is joined to once those before it are eliminated."""
    joined = [set() for _ in range(size)]
    for i, j in zip(rows.tolist(), columns.tolist(), strict=True):
        if i != j:
            joined[min(i, j)].add(max(i, j))
    for later in joined:
        if later:
            # What is joined to one is joined to each other from then on: it is enough
            # to tell the first of them.
            first = min(later)
            joined[first] |= later - {first}
    return [np.array(sorted(later), int) for later in joined]


class Eliminated(AbstractFactors):
    """The factors of a `Plan`, with ones on the diagonals of L and U.

    Attributes:
        inverse_pivots: 1 / D.
        lower, upper: (pair,) the numbers of L below, of U above the diagonal.
    """

    inverse_pivots: Float[Array, " unknown"]
    lower: Float[Array, " pair"]
    upper: Float[Array, " pair"]
    topology: Topology = eqx.field(static=True)

    @classmethod
    def of(cls, topology, values):
        plan = plan_of(topology)
        size, pairs = plan.place.size, plan.low.size
        tables = [places(row) for row in plan.updates]

        def update(turn, numbers):
            of, row, column, pivot = (row_at(table, turn) for table in tables)
            change = row_at(numbers, row) * row_at(numbers, column)
            change = change / row_at(numbers, pivot)
            return with_row(numbers, row_at(numbers, of) - change, of)

        numbers = added_up(values, plan.slot, size + 2 * pairs)
        numbers = jax.lax.fori_loop(0, tables[0].size, update, numbers)
        inverse = made_once(1.0 / numbers[:size])
        pivots = picked(inverse, plan.low)
        lower, upper = jnp.split(numbers[size:], 2)
        return cls(inverse, *made_once((lower * pivots, upper * pivots)), topology)

    def solve(self, right):
        return self._solve(right, self.lower, self.upper)

    def solve_transposed(self, right):
        return self._solve(right, self.upper, self.lower)

    def _solve(self, right, forward, backward):
        """Two substitutions, the pivots between them."""
        plan = plan_of(self.topology)
        low, high = places(plan.low), places(plan.high)

        def substitute(factor, of, by):
            def one(k, found):
                target, source = row_at(of, k), row_at(by, k)
                change = row_at(factor, k) * row_at(found, source)
                return with_row(found, row_at(found, target) - change, target)

            return one

        last = plan.low.size - 1
        found = picked(right, plan.order)
        down = substitute(forward, high, low)
        found = jax.lax.fori_loop(0, last + 1, down, found)
        up = substitute(backward, low, high)
        found = jax.lax.fori_loop(
            0, last + 1, lambda k, x: up(last - k, x), found * self.inverse_pivots
        )
        return picked(found, plan.place)
