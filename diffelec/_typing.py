"""Axis names and array aliases shared by every floor.

Axes: `particle`, `site` (patches of surface, one a particle by default), `shell`
(radial nodes of a column, centre first), `node` (collector, carbon nodes, sites, in
this order), `edge`, `step` (of a protocol), `time` (instants saved).
"""

import numbers

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

type_alias = Float[Array, "..."] | Float[np.ndarray, "..."] | float

Stoichiometry = type_alias
Scalar = Float[Array, ""] | Float[np.ndarray, ""] | float


def as_leaf(value):
    """A floating leaf: NumPy float64 until a traced function decides its precision.

    Tracers and placeholders (as `jax.tree_util` puts into modules) pass through
    unchanged, and so does what holds no numbers, which `checks.check_leaves` refuses.
    What a mask hides is NaN, which checks refuse by name.
    """
    if np.ma.is_masked(value):
        value = value.astype(np.float64).filled(np.nan)
    plain = isinstance(value, int | float | list | tuple | np.ndarray | np.generic)
    known = isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)
    if not (plain or known):
        return value
    try:
        found = np.asarray(value)
    except jax.errors.TracerArrayConversionError:  # a list that holds some
        return jnp.asarray(value)
    except ValueError:  # rows of unequal length
        return value
    return found.astype(np.float64) if found.dtype.kind in "biuf" else found.tolist()


def is_traced(tree) -> bool:
    """Whether a transformation of JAX holds an array of a pytree."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def is_whole_number(value) -> bool:
    """Whether a value may count something: an integer of any type, but no truth."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
