"""The two halves of every state, rate and right-hand side."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float


class Parts(NamedTuple):
    """Columns (differential rows) and network (algebraic rows).

    Attributes:
        columns: stoichiometry of every radial node of every site.
        algebraic: node potentials [V], then the cell current over the 1C current.
    """

    columns: Float[Array, "shell site"]
    algebraic: Float[Array, " unknown"]


def with_columns(function, tree):
    """A pytree with a function of the columns in all of its `Parts`."""

    def changed(leaf):
        if not isinstance(leaf, Parts):
            return leaf
        return leaf._replace(columns=function(leaf.columns))

    return jax.tree.map(changed, tree, is_leaf=lambda x: isinstance(x, Parts))
