"""What may be differentiated once."""

import functools

import equinox as eqx
import jax
from jax.custom_derivatives import SymbolicZero


def differentiable_once(tree):
    """The pytree; a derivative of a derivative in its arrays raises
    NotImplementedError, for `simulate` and `Solution` do not have it: neither the sizes
    of steps, nor the written-out adjoint, nor the slope by which a crossing moves have
    a derivative, and zeros would be wrong.
    """
    arrays, rest = eqx.partition(tree, eqx.is_array)
    return eqx.combine(_once(arrays), rest)


@jax.custom_jvp
def _once(arrays):
    return arrays


@functools.partial(_once.defjvp, symbolic_zeros=True)
def _once_jvp(primals, tangents):
    return _never_again(primals[0]), tangents[0]


@jax.custom_jvp
def _never_again(arrays):
    """The arrays, which must not be differentiated."""
    return arrays


@functools.partial(_never_again.defjvp, symbolic_zeros=True)
def _never_again_jvp(primals, tangents):
    leaves = jax.tree.leaves(tangents, is_leaf=_is_zero)
    if not all(_is_zero(leaf) for leaf in leaves):
        raise NotImplementedError(
            "`simulate` and the onsets of its solution can be differentiated once, but "
            "were asked for a second derivative; take differences of the gradient, or "
            "J^T J of the Jacobian J."
        )
    return primals[0], tangents[0]


def _is_zero(tangent):
    return isinstance(tangent, SymbolicZero)
