"""Compiling a computation into one plain function, where that pays.

XLA's CPU backend runs a program as a list of small kernels, each dispatched at run time
and compiled on its own. A step of a few dozen particles is some hundreds of kernels of
well under a microsecond, so dispatch is most of its time, and compiling them most of
the first call's. So a whole computation is made a small call (see `small_calls`).

Batched (`jax.vmap`), the plain form is used: a batch turns matrix-vector products into
matrix products.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Bool

from ..small_calls import MARKS, UNMARKED


def serial_or_plain(serial: Callable, plain: Callable) -> Callable:
    """A function of a pytree of arrays that runs `serial` as one compiled function for
    a single solve on a CPU, and `plain` otherwise. Not differentiable.
    """
    if jax.default_backend() != "cpu":
        return plain

    chosen = custom_vmap(lambda arguments: _as_one(serial, arguments))

    @chosen.def_vmap
    def batched(axis_size, in_batched, arguments):
        axes = _axes(in_batched[0])
        out = jax.vmap(plain, in_axes=(axes,), axis_size=axis_size)(arguments)
        return out, jax.tree.map(lambda _: True, out)

    return chosen


def linear_or_plain(serial: Callable, plain: Callable) -> Callable:
    """The same for a function of (residuals, tangents or cotangents), linear in the
    latter, of which `serial` takes several at once along a leading axis: of one solve,
    that is.
    """
    if jax.default_backend() != "cpu":
        return plain
    lanes = custom_vmap(lambda *arguments: _as_one(lambda a: serial(*a), arguments))

    @lanes.def_vmap
    def _(axis_size, in_batched, residuals, cotangents):
        axes = tuple(map(_axes, in_batched))
        each = jax.vmap(plain, in_axes=(None, 0))
        out = jax.vmap(each, axes, axis_size=axis_size)(residuals, cotangents)
        return out, jax.tree.map(lambda _: True, out)

    @custom_vmap
    def chosen(residuals, cotangents):
        first = jax.tree.map(lambda leaf: leaf[None], cotangents)
        return jax.tree.map(lambda leaf: leaf[0], lanes(residuals, first))

    @chosen.def_vmap
    def _(axis_size, in_batched, residuals, cotangents):
        axes = tuple(map(_axes, in_batched))
        if any(jax.tree.leaves(in_batched[0])):
            whole = jax.vmap(plain, in_axes=axes, axis_size=axis_size)
            out = whole(residuals, cotangents)
        else:
            whole = jax.vmap(lambda c: c, in_axes=axes[1:], axis_size=axis_size)
            out = lanes(residuals, whole(cotangents))
        return out, jax.tree.map(lambda _: True, out)

    return chosen


class Whole(NamedTuple):
    """An array that travels by itself into the one function: for what is too large to
    be copied into a vector.
    """

    array: Array


def unwrapped(tree):
    """A pytree with the arrays of `Whole` in its place."""
    return jax.tree.map(
        lambda leaf: leaf.array if _is_whole(leaf) else leaf, tree, is_leaf=_is_whole
    )


def _is_whole(leaf) -> bool:
    return isinstance(leaf, Whole)


def _as_one(function, arguments):
    """function(arguments), compiled into one function.

    The call's function must use every one of its parameters, and not every leaf of a
    system is used: so they travel as one vector. A `Whole` one is used in that one of
    its numbers is given back.
    """
    small, whole = eqx.partition(
        arguments, lambda leaf: not _is_whole(leaf), is_leaf=_is_whole
    )
    flat, unravel = jax.flatten_util.ravel_pytree(small)

    @jax.jit
    def unmarked(flat, whole):
        with set_xla_metadata(**UNMARKED):
            found = function(eqx.combine(unravel(flat), whole, is_leaf=_is_whole))
            return found, [leaf.reshape(-1)[0] for leaf in jax.tree.leaves(whole)]

    with set_xla_metadata(**MARKS):
        found, _ = unmarked(flat, whole)
        return found


def _axes(in_batched):
    return jax.tree.map(lambda batched: 0 if batched else None, in_batched)


@custom_vmap
def any_lane(flag: Bool[Array, ""]) -> Bool[Array, ""]:
    """True while any solve of a batch is: an unbatched predicate of a batch.

    A loop under a batched predicate copies its whole carry at every turn, buffers
    included, to freeze the lanes that are done; under this one the body masks for
    itself.
    """
    return flag


@any_lane.def_vmap
def _any_of_batch(axis_size, in_batched, flag):
    del axis_size, in_batched
    return any_lane(jnp.any(flag)), False


@custom_vmap
def largest_lane(count: Array) -> Array:
    """The largest of a batch, unbatched."""
    return count


@largest_lane.def_vmap
def _largest_of_batch(axis_size, in_batched, count):
    del axis_size, in_batched
    return largest_lane(jnp.max(count)), False


def arrays_of(tree):
    """(arrays of a pytree, a function that puts them back)."""
    arrays, rest = eqx.partition(tree, eqx.is_array)
    return arrays, lambda a: eqx.combine(a, rest)
