"""Cotangents of what looks up tables.

What was looked up is added to the rows of its table in place: one by one in the form
that one function on a CPU may hold (`serial`), which has no scatter.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..sums import row_at, with_row
from ..tables import Tables
from .system import System
from .tableaus import Tableau


def _is_none(leaf) -> bool:
    return leaf is None


def _none_of(tree):
    return jax.tree.map(lambda _: False, tree)


class LookedUp(NamedTuple):
    """Cubics of the tables at a state, and the places within their intervals; or those
    at the states of a step's stages, stages first.
    """

    cubics: Tables
    offsets: tuple[Array, ...]

    @staticmethod
    def of(system, columns) -> "LookedUp":
        """What a system looks up at some columns."""
        cubics = system.at(columns).tables
        return LookedUp(cubics, cubics.offsets(*system.looked_at(columns)))


class TableSums(NamedTuple):
    """Cotangents of the coefficients of `Tables`, (lane and interval, coefficient and
    law) each; None where nothing moves the table.
    """

    theta: Array | None
    surface: Array | None
    conductivity: Array | None

    @staticmethod
    def of(tables, moving, lanes: int) -> "TableSums":
        """Zeros for the tables whose coefficients are not None in `moving`."""

        def zeros(name):
            if getattr(moving, name).coefficients is None:
                return None
            coefficients = getattr(tables, name).coefficients
            rows = coefficients.shape[-1]
            width = coefficients.size // rows
            return jnp.zeros((lanes * rows, width), coefficients.dtype)

        return TableSums(*map(zeros, TableSums._fields))

    def parts(self, pulled: Tables, cubics: Tables) -> "TableSums":
        """Of cotangents of cubics, those of the first two coefficients, (point,
        coefficient and law), where the table moves.
        """

        def first_two(name):
            if getattr(self, name) is None:
                return None
            constant, linear, *_ = getattr(pulled, name).coefficients
            points = getattr(cubics, name).index.size
            return jnp.stack([constant, linear]).reshape(-1, points).T

        return TableSums(*map(first_two, TableSums._fields))

    def plus(self, parts: "TableSums", looked: LookedUp, lane, add_rows) -> "TableSums":
        """With `parts` of a state, or of every stage, added to the rows of a lane's
        tables by `Model.add_rows`.
        """

        def add(name, offset):
            sums, part = getattr(self, name), getattr(parts, name)
            if sums is None:
                return None
            own = getattr(looked.cubics, name)
            rows = own.index.reshape(-1) + lane * own.count
            part = part.reshape(-1, part.shape[-1])
            return add_rows(sums, rows, part, offset.reshape(-1))

        return TableSums(*map(add, TableSums._fields, looked.offsets))

    def into(self, of_system: System, system: System) -> System:
        """A system's cotangents with those of its tables, lanes first, as `plain`."""
        tables = system.tables
        for name, sums in zip(TableSums._fields, self, strict=True):
            table = getattr(tables, name)
            shape = table.coefficients.shape
            value = None
            if sums is not None:
                lanes = sums.reshape(-1, shape[-1], sums.shape[1])
                value = jnp.swapaxes(lanes, 1, 2).reshape(-1, *shape)
            place = lambda t, name=name: getattr(t, name).coefficients
            tables = eqx.tree_at(place, tables, value, is_leaf=_is_none)
        return eqx.tree_at(
            lambda s: s.tables, of_system.plain(), tables, is_leaf=_is_none
        )


def _add_rows(sums, index, parts, offset):
    """`sums` with rows added at `index`, one after another: some may coincide."""

    def add(k, sums):
        row, at = _of_all_four(row_at(parts, k), offset[k]), index[k]
        return with_row(sums, row + row_at(sums, at), at)

    return jax.lax.fori_loop(0, index.size, add, sums)


def _add_rows_at_once(sums, index, parts, offset):
    """The same as a scatter, for a batch or an accelerator."""
    rows = _of_all_four(parts, offset[:, None])
    return sums.at[index].add(rows, mode="promise_in_bounds")


def _of_all_four(parts, s):
    """Cotangents of a cubic's four coefficients from those of its first two, `parts`:
    its value and slope are linear in them.
    """
    c0, c1 = jnp.split(parts, 2, axis=-1)
    u = c1 - s * c0
    return jnp.concatenate([c0, c1, s * (c1 + u), s * s * (c1 + 2.0 * u)], axis=-1)


class Model(NamedTuple):
    """The system in two, and the method of its march."""

    moving: Any  # floating leaves whose cotangents are wanted, but for the tables
    fixed: Any
    tableau: Tableau | None

    @staticmethod
    def of(system: System, moves, loops: bool, tableau=None) -> "Model":
        """A plain system, of which None is in `moves` at the leaves that do not move;
        written `with_loops`, where it is to be one function.
        """
        wanted = jax.tree.map(lambda leaf: not _is_none(leaf), moves, is_leaf=_is_none)
        wanted = eqx.tree_at(lambda w: w.tables, wanted, _none_of(wanted.tables))
        parts = eqx.partition(system, wanted)
        return Model(*(p.with_loops() if loops else p for p in parts), tableau)

    def system(self, moving) -> System:
        return eqx.combine(moving, self.fixed)

    def tangents(self, d_system: System):
        """Tangents of a system, lanes first, as those of `moving`."""
        wanted = jax.tree.map(lambda _: True, d_system)
        wanted = eqx.tree_at(lambda w: w.tables, wanted, _none_of(wanted.tables))
        own = eqx.filter(d_system, wanted)
        return jax.vmap(System.with_loops)(own) if self.fixed.serial else own

    def made_once(self, tree):
        """As the system does."""
        return self.whole.made_once(tree)

    @property
    def whole(self) -> System:
        """The system."""
        return self.system(self.moving)

    @property
    def add_rows(self):
        """How rows are added to sums of tables."""
        return _add_rows if self.fixed.serial else _add_rows_at_once


def lane_of(tree, lane):
    """One lane of a pytree."""
    return jax.tree.map(lambda leaf: row_at(leaf, lane), tree)


def with_lane(tree, values, lane):
    """A pytree with one lane replaced."""
    return jax.tree.map(lambda a, b: with_row(a, b, lane), tree, values)


def zeros_of_lanes(tree, lanes: int):
    """Zeros like a pytree, lanes first."""
    return jax.tree.map(lambda leaf: jnp.zeros((lanes, *leaf.shape), leaf.dtype), tree)


def pulled(function, system: System, moves, at, fixed, state, cotangents, *, loops):
    """Cotangents of (the system's leaves, `at`) from those of function(system, at,
    fixed), lane by lane.

    Args:
        function: that looks up tables at the columns of `state` alone.
        system: its first argument.
        moves: as in `Model.of`.
        at: its argument that has a derivative.
        fixed: its argument that has none.
        state: where it looks up.
        cotangents: of what it gives, with a leading axis of lanes.
        loops: whether as one function.
    """
    model = Model.of(system, moves, loops)
    system = model.whole
    at, fixed, state = system.filled((at, fixed, state))
    looked = LookedUp.of(system, state.columns)
    lanes = len(jax.tree.leaves(cotangents)[0])

    def one(lane, carry):
        found, tables = carry
        given = system.muted(lane_of(cotangents, lane))
        whole = lambda system, at: function(system, at, fixed)
        of_system, of_cubics, of_at = pull(model, whole, at, looked.cubics, given)
        parts = tables.parts(of_cubics, looked.cubics)
        tables = tables.plus(parts, looked, lane, model.add_rows)
        return with_lane(found, (of_system, of_at), lane), tables

    found = zeros_of_lanes((model.moving, at), lanes)
    tables = TableSums.of(system.tables, moves.tables, lanes)
    (of_system, of_at), tables = jax.lax.fori_loop(0, lanes, one, (found, tables))
    return tables.into(of_system, system), system.own(of_at)


def pull(model: Model, function, state, cubics: Tables, cotangent):
    """Cotangents of (system, cubics, state) of function(system, state), where the
    system looks up those cubics.
    """
    floats, index = eqx.partition(cubics, eqx.is_inexact_array)

    def of(moving, floats, state):
        tables = eqx.combine(floats, index)
        system = dataclasses.replace(model.system(moving), tables=tables)
        return function(system, state)

    *pulled, of_state = jax.vjp(of, model.moving, floats, state)[1](cotangent)
    return *pulled, of_state
