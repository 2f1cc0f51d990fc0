"""Tangents of what looks up tables, of one lane in a loop over many."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..tables import Tables
from .pull import LookedUp, Model


class TableRows(NamedTuple):
    """Tangents of the coefficients of `Tables`, in rows as `TableSums`."""

    theta: Array | None
    surface: Array | None
    conductivity: Array | None

    @staticmethod
    def of(moving) -> "TableRows":
        """Of tangents of tables, lanes first, None where nothing moves them."""

        def rows(name):
            coefficients = getattr(moving, name).coefficients
            if coefficients is None:
                return None
            last = jnp.moveaxis(coefficients, -1, 1)  # intervals
            return last.reshape(last.shape[0] * last.shape[1], -1)

        return TableRows(*map(rows, TableRows._fields))

    def looked_up(self, looked: LookedUp, lane) -> tuple:
        """Tangents of the first two coefficients of one state's cubics, by which their
        values and slopes move as by those of all four.
        """

        def first_two(name, offset):
            rows, own = getattr(self, name), getattr(looked.cubics, name)
            if rows is None:
                return None
            index = own.index.reshape(-1) + lane * own.count
            found = rows.at[index].get(mode="promise_in_bounds")
            c0, c1, c2, c3 = jnp.split(found, 4, axis=1)
            s, shape = offset.reshape(-1, 1), own.coefficients[0].shape
            constant = c0 - s * s * (c2 + 2.0 * s * c3)
            linear = c1 + s * (2.0 * c2 + 3.0 * s * c3)
            return constant.T.reshape(shape), linear.T.reshape(shape)

        return tuple(map(first_two, TableRows._fields, looked.offsets))


def push(model: Model, function, state, cubics: Tables, tangents):
    """Tangents of function(system, state), where the system looks up those cubics, from
    those of (system, `TableRows.looked_up`, state).
    """
    d_system, d_pairs, d_state = tangents
    tables = (getattr(cubics, name) for name in TableRows._fields)
    pairs = tuple(
        None if moving is None else table.coefficients[:2]
        for table, moving in zip(tables, d_pairs, strict=True)
    )

    def of(moving, pairs, state):
        whole = cubics
        for name, pair in zip(TableRows._fields, pairs, strict=True):
            if pair is not None:
                rest = getattr(cubics, name).coefficients[2:]
                place = lambda t, name=name: getattr(t, name).coefficients
                whole = eqx.tree_at(place, whole, (*pair, *rest))
        system = dataclasses.replace(model.system(moving), tables=whole)
        return function(system, state)

    given = (model.moving, pairs, state)
    return jax.jvp(of, given, (d_system, d_pairs, d_state))[1]
