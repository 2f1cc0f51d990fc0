"""Sums, look-ups and their transposes, in a form that one function may hold.

Where a single solve is compiled into one (`small_calls`), XLA allows neither a scatter,
which is look-ups and a loop here, nor a reduction of thousands of numbers, which is a
product. Places are static.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .linear import linear_map
from .small_calls import made_once

_LEAST_OF_LIBRARY = 4096  # numbers of a reduction that XLA calls a library for
_IN_A_ROW = 1024
_FEWEST = 0.02  # of all places, for which a look-up at each is worth it


def picked(values: Float[Array, " place"], at: np.ndarray) -> Float[Array, " number"]:
    """values[at]."""
    return _linear(
        lambda values: values.at[at].get(mode="promise_in_bounds"),
        lambda numbers: _added_up(numbers, at, values.size),
        *(values, np.shape(at)),
    )


def added_up(
    numbers: Float[Array, " number"], at: np.ndarray, size: int
) -> Float[Array, " place"]:
    """Sums of the numbers that belong at each of `size` places."""
    return _linear(
        lambda numbers: _added_up(numbers, at, size),
        lambda values: values.at[at].get(mode="promise_in_bounds"),
        *(numbers, (size,)),
    )


def over_rows(values: Float[Array, "row number"]) -> Float[Array, " number"]:
    """Sums over rows, as a product: XLA hands a reduction of thousands to a library."""
    return np.ones(values.shape[0], values.dtype) @ values


def spread(values: Float[Array, " number"], rows: int) -> Float[Array, "row number"]:
    """The same in every row: the transpose of `over_rows`."""
    wide = (rows, *values.shape)
    return _linear(
        lambda values: jnp.broadcast_to(values, wide), over_rows, values, wide
    )


def fits(size: int) -> bool:
    """Whether so many numbers may be reduced within a small call."""
    return size < _LEAST_OF_LIBRARY


def largest(values: Float[Array, " number"]) -> Float[Array, ""]:
    """The largest of any number of values."""
    if fits(values.size):
        return jnp.max(values)
    rows = _in_rows(values, mode="edge")
    larger = lambda k, most: jnp.maximum(most, rows[k])
    return jnp.max(jax.lax.fori_loop(1, len(rows), larger, rows[0]))


def total(values: Float[Array, " number"]) -> Float[Array, ""]:
    """The sum of any number of values."""
    return jnp.sum(values if fits(values.size) else over_rows(_in_rows(values)))


def _in_rows(values, **padding):
    """Values in rows that may be reduced, the last one filled up."""
    spare = -values.size % _IN_A_ROW
    return jnp.pad(values, (0, spare), **padding).reshape(-1, _IN_A_ROW)


def row_at(values: Float[Array, "row ..."], index) -> Float[Array, "..."]:
    """values[index]: a number, or a row of them."""
    return jax.lax.dynamic_index_in_dim(values, index, 0, keepdims=False)


def with_row(values: Float[Array, "row ..."], row, index) -> Float[Array, "row ..."]:
    """`values` with one row replaced."""
    return jax.lax.dynamic_update_index_in_dim(values, row, index, 0)


def places(at: np.ndarray) -> Array:
    """Places as a loop reads them: unsigned, so that none is counted from the end."""
    return jnp.asarray(np.asarray(at, np.uint32))


def _added_up(numbers, at, size: int):
    """Look-ups of a number for every place, as often as most places have one more;
    then, number by number, what is left where many meet.
    """
    at, numbers = np.asarray(at), made_once(numbers)
    order, rank = _in_turn(at, size)
    count, depth = np.bincount(at, minlength=size), 0
    found = jnp.zeros(size, numbers.dtype)
    while np.mean(count > depth) > _FEWEST:
        source = np.zeros(size, int)
        source[at[order[rank == depth]]] = order[rank == depth]
        looked_up = numbers.at[source].get(mode="promise_in_bounds")
        found = found + jnp.where(count > depth, looked_up, 0.0)
        depth += 1
    left = order[rank >= depth]
    if not left.size:
        return made_once(found)
    source, place = places(left), places(at[left])

    def add(k, values):
        here, number = row_at(place, k), row_at(numbers, row_at(source, k))
        return with_row(values, row_at(values, here) + number, here)

    return jax.lax.fori_loop(0, left.size, add, made_once(found))


def _in_turn(at: np.ndarray, size: int):
    """(numbers in order of their places, how many of its place come before each)."""
    order = np.argsort(at, kind="stable")
    first = np.searchsorted(at[order], np.arange(size))
    return order, np.arange(at.size) - first[at[order]]


def _linear(forward, backward, values, shape):
    """forward(values), of a shape, and its transpose."""
    ahead, back = (lambda _, x, f=f: f(x) for f in (forward, backward))
    given = jax.ShapeDtypeStruct(shape, values.dtype)
    return linear_map(ahead, back, (), values, given)
