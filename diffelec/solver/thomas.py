"""Sweeps over tridiagonal columns that lie side by side, (shell, site)."""

import jax
import jax.numpy as jnp

from ..small_calls import turns_at_once


def _scan(body, carry, rows, *, reverse: bool = False):
    """The rows that come out of `jax.lax.scan`."""
    turns = turns_at_once()
    return jax.lax.scan(body, carry, rows, reverse=reverse, unroll=turns)[1]


def factorise(bands):
    """Thomas factors of tridiagonal columns (diagonal, lower, upper), side by side.

    Returns (multipliers, inverse pivots, upper), each (shell, site). Diagonally
    dominant for a positive shift: no pivoting.
    """
    diagonal, lower, upper = bands
    # Only the pivots are sequential; multipliers follow from them in one go.
    crossed = jnp.concatenate([jnp.zeros_like(upper[:1]), lower[1:] * upper[:-1]])

    def sweep(inverse_pivot, row):
        d, product = row
        inverse_pivot = 1.0 / (d - product * inverse_pivot)
        return inverse_pivot, inverse_pivot

    pivots = _scan(sweep, jnp.zeros_like(diagonal[0]), (diagonal, crossed))
    before = jnp.concatenate([jnp.zeros_like(pivots[:1]), pivots[:-1]])
    return lower * before, pivots, upper


def back_substitute(factors_and_right):
    """Solves the factorised columns for a right-hand side (shell, site)."""
    (multipliers, pivots, upper), right = factors_and_right

    def down(before, row):
        multiplier, r = row
        value = r - multiplier * before
        return value, value

    def up(after, row):
        value, pivot, u = row
        solved = (value - u * after) * pivot
        return solved, solved

    start = jnp.zeros_like(right[0])
    values = _scan(down, start, (multipliers, right))
    solved = _scan(up, start, (values, pivots, upper), reverse=True)
    return solved


def back_substitute_transposed(factors_and_right):
    """Solves the transposed columns with the factors of the columns."""
    (multipliers, pivots, upper), right = factors_and_right
    up_before = jnp.concatenate([jnp.zeros_like(upper[:1]), upper[:-1]])
    after = jnp.concatenate([multipliers[1:], jnp.zeros_like(multipliers[:1])])

    def down(before, row):
        r, u, pivot = row
        value = (r - u * before) * pivot
        return value, value

    def up(later, row):
        value, multiplier = row
        solved = value - multiplier * later
        return solved, solved

    start = jnp.zeros_like(right[0])
    values = _scan(down, start, (right, up_before, pivots))
    solved = _scan(up, start, (values, after), reverse=True)
    return solved
