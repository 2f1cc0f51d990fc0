"""Axis names and array aliases shared by every floor.

Axes: `particle`, `site` (patches of surface, one a particle by default), `shell`
(radial nodes of a column, centre first), `node` (collector, carbon nodes, sites, in
this order), `edge`, `step` (of a protocol), `time` (instants saved).
"""

import numbers

import numpy as np
from jaxtyping import Array, Float

type_alias = Float[Array, "..."] | Float[np.ndarray, "..."] | float

Stoichiometry = type_alias
Scalar = Float[Array, ""] | Float[np.ndarray, ""] | float


def as_leaf(value):
    """A floating leaf: NumPy float64 until a traced function decides its precision.

    JAX arrays, tracers and placeholders (as `jax.tree_util` puts into modules) pass
    through unchanged.
    """
    if isinstance(value, int | float | list | tuple | np.ndarray | np.generic):
        return np.asarray(value, dtype=np.float64)
    return value


def is_whole_number(value) -> bool:
    """Whether a value may count something: an integer of any type, but no truth."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
