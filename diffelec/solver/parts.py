"""The two halves of every state, rate and right-hand side."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Parts(NamedTuple):
    """Columns (differential rows) and network (algebraic rows).

    Attributes:
        columns: stoichiometry of every radial node of every site.
        algebraic: node potentials [V], then the cell current over the 1C current.
    """

    columns: Float[Array, "shell site"]
    algebraic: Float[Array, " unknown"]
