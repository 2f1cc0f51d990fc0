"""Calls that XLA's CPU backend emits as one function, instead of a kernel each.

XLA makes them of short loops by itself, and of a whole computation where its call
carries the marks set here. It may hold elementwise operations, reductions, look-ups,
slices, matrix-vector products and loops, but no matrix product, scatter or library
call; nor a reduction of 4096 numbers or more, which XLA hands to a library (see
`diffelec.sums`). The marks mean nothing to other backends, which have kernels only.
"""

import equinox as eqx
import jax
from jax.dtypes import float0
from jax.experimental.xla_metadata import set_xla_metadata

from .linear import linear_map

MARKS = {"xla_cpu_small_call": "true", "inlineable": "false"}
UNMARKED = {"xla_cpu_small_call": "false", "inlineable": "true"}
_TURNS = 32  # written out; more take long to compile


@jax.custom_jvp
def made_once(tree):
    """A pytree of arrays within a small call, computed once: XLA would compute it
    again in every loop that reads it, and in one that joins arrays number by number.
    So are its tangents and cotangents.
    """
    return _same(tree)


def _same(tree):
    @jax.jit
    def same(tree):
        return jax.tree.map(lambda leaf: leaf, tree)

    with set_xla_metadata(**MARKS):
        return same(tree)


@made_once.defjvp
def _tangents_made_once(primals, tangents):
    (tree,), (moving,) = primals, tangents
    floats, others = eqx.partition(moving, lambda leaf: leaf.dtype != float0)
    same = lambda _, leaves: _same(leaves)
    return made_once(tree), eqx.combine(
        linear_map(same, same, (), floats, floats), others
    )


def turns_at_once() -> int:
    """How many turns of a short loop, each of which follows from the one before, are
    written out. On a GPU every turn starts kernels of its own, which take longer than
    what they do; of turns that are written out XLA makes a few kernels. A CPU needs
    none of that, and compiles a loop sooner.
    """
    return 1 if jax.default_backend() == "cpu" else _TURNS
