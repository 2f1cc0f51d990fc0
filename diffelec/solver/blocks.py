"""The network's block of a step's matrix: assembled, and solved as suits its size.

An explicit inverse for dozens of unknowns, a dense LU for hundreds, a sparse LU on the
host (SuperLU) for more on a CPU, preconditioned Krylov iterations on accelerators; for
a single solve on a CPU see `elimination`. To add a way, add a class here and, where it
is to be chosen by itself, a line to `chosen`.
"""

import abc
import functools
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..small_calls import turns_at_once
from ..topology import INVERT_UP_TO, Topology
from .pattern import pattern_of
from .serial import serial_or_plain

_SPARSE_FROM = 400  # unknowns; below, a dense LU is faster than a call of the host
_KEPT = 16  # factorisations are kept, the latest ones
_KRYLOV_TOLERANCE = 1e-13
_KRYLOV_ITERATIONS = 2000


class AbstractFactors(eqx.Module):
    """A block ready to be solved with. `of` factorises."""

    @classmethod
    @abc.abstractmethod
    def of(cls, topology: Topology, values: Float[Array, " entry"]):
        """From the values of its entries, in the order of `pattern.Pattern`."""

    @abc.abstractmethod
    def solve(self, right: Float[Array, " unknown"]) -> Float[Array, " unknown"]:
        """A^-1 r."""

    @abc.abstractmethod
    def solve_transposed(
        self, right: Float[Array, " unknown"]
    ) -> Float[Array, " unknown"]:
        """A^-T r."""


def chosen(topology: Topology) -> type[AbstractFactors]:
    """The way that suits a topology's size, on the device at hand, where a solve is
    not one function (`elimination`).
    """
    if topology.num_unknowns <= INVERT_UP_TO:
        return Inverse
    if topology.num_unknowns < _SPARSE_FROM:
        return DenseLU
    return SparseLU if jax.default_backend() == "cpu" else Krylov


def dense(topology: Topology, values: Float[Array, " entry"]):
    """The block as a matrix."""
    pattern = pattern_of(topology)
    empty = jnp.zeros((pattern.size, pattern.size), values.dtype)
    return empty.at[pattern.rows, pattern.columns].add(values)


def product(topology: Topology, values, vector, *, transposed: bool = False):
    """A v, or A^T v."""
    pattern = pattern_of(topology)
    into, of = pattern.rows, pattern.columns
    into, of = (of, into) if transposed else (into, of)
    return jnp.zeros_like(vector).at[into].add(values * vector[of])


def frozen_solve(kind: type[AbstractFactors], topology: Topology, values):
    """The map r -> A^-1 r, differentiable in r; A is taken for a constant."""
    values = jax.lax.stop_gradient(values)
    factors = kind.of(topology, values)
    return lambda right: jax.lax.custom_linear_solve(
        lambda v: product(topology, values, v),
        right,
        lambda _, r: factors.solve(r),
        transpose_solve=lambda _, r: factors.solve_transposed(r),
    )


class Inverse(AbstractFactors):
    """The inverse, by elimination without pivoting."""

    matrix: Float[Array, "unknown unknown"]

    @classmethod
    def of(cls, topology, values):
        invert = serial_or_plain(gauss_jordan, gauss_jordan)
        return cls(invert(dense(topology, values)))

    def solve(self, right):
        return self.matrix @ right

    def solve_transposed(self, right):
        return right @ self.matrix


class DenseLU(AbstractFactors):
    """LU factors of the whole matrix."""

    factors: tuple[Array, Array]

    @classmethod
    def of(cls, topology, values):
        return cls(jax.scipy.linalg.lu_factor(dense(topology, values)))

    def solve(self, right):
        return jax.scipy.linalg.lu_solve(self.factors, right)

    def solve_transposed(self, right):
        return jax.scipy.linalg.lu_solve(self.factors, right, trans=1)


class SparseLU(AbstractFactors):
    """LU factors of the sparse matrix, by SuperLU, kept on the host.

    A key tells which. The values travel along: factors that gave way to later ones are
    made again, so that a solve does not depend on what else was factorised.
    """

    key: Int[Array, ""]
    values: Float[Array, " entry"]
    topology: Topology = eqx.field(static=True)

    @classmethod
    def of(cls, topology, values):
        shape = jax.ShapeDtypeStruct((), np.int32)
        call = functools.partial(_factorise, topology)
        key = jax.pure_callback(call, shape, values, vmap_method="sequential")
        return cls(key, values, topology)

    def solve(self, right):
        return self._solve(right, "N")

    def solve_transposed(self, right):
        return self._solve(right, "T")

    def _solve(self, right, form: str):
        shape = jax.ShapeDtypeStruct(right.shape, right.dtype)
        call = functools.partial(_solve_on_host, self.topology, form)
        return jax.pure_callback(
            call, shape, self.key, self.values, right, vmap_method="sequential"
        )


class Krylov(AbstractFactors):
    """Preconditioned iterations (BiCGSTAB, Jacobi), where factorising is slow.

    The collector's potential and the current border the others: what the rest answers
    to the collector is solved for once, so that neither the row of the control, whose
    diagonal may be 0, nor the collector's long one is iterated on.
    """

    values: Float[Array, " entry"]
    response: Float[Array, " unknown"]
    response_transposed: Float[Array, " unknown"]
    border: Float[Array, "2 2"]
    topology: Topology = eqx.field(static=True)

    @classmethod
    def of(cls, topology, values):
        at_collector = jnp.zeros(topology.num_unknowns, values.dtype).at[0].set(1.0)
        column = product(topology, values, at_collector)
        row = product(topology, values, at_collector, transposed=True)
        inner = _inner(topology, values)
        response = inner(column, False)
        current = jnp.zeros_like(at_collector).at[-1].set(1.0)
        fed = product(topology, values, current)
        inner_row = row.at[jnp.array([0, -1])].set(0.0)
        corner = jnp.array(
            [[column[0] - inner_row @ response, fed[0]], [column[-1], fed[-1]]]
        )
        return cls(values, response, inner(row, True), corner, topology)

    def solve(self, right):
        return self._solve(right, self.response, self.border, transposed=False)

    def solve_transposed(self, right):
        border = self.border.T
        return self._solve(right, self.response_transposed, border, transposed=True)

    def _solve(self, right, response, border, *, transposed: bool):
        """Block elimination: the inner unknowns, then the border, then the rest."""
        found = _inner(self.topology, self.values)(right, transposed)
        left = right - product(self.topology, self.values, found, transposed=transposed)
        ends = jnp.array([0, -1])
        outer = jnp.linalg.solve(border, left[ends])
        found = found - response * outer[0]
        return found.at[ends].set(outer)


def _inner(topology, values):
    """(r, transposed) -> the solution of the block without its first and last row and
    column; 0 there.
    """
    pattern = pattern_of(topology)
    inside = np.ones(pattern.size, values.dtype)
    inside[[0, -1]] = 0.0
    on_diagonal = np.flatnonzero(pattern.rows == pattern.columns)
    diagonal = jnp.zeros(pattern.size, values.dtype)
    diagonal = diagonal.at[pattern.rows[on_diagonal]].add(values[on_diagonal])
    scale = inside / jnp.where(inside * diagonal != 0, diagonal, 1.0)

    def solve(right, transposed):
        def matvec(v):
            image = product(topology, values, inside * v, transposed=transposed)
            return scale * image + (1.0 - inside) * v

        found, _ = jax.scipy.sparse.linalg.bicgstab(
            matvec, scale * right, tol=_KRYLOV_TOLERANCE, maxiter=_KRYLOV_ITERATIONS
        )
        return found

    return solve


def gauss_jordan(matrix):
    """Inverse by elimination in place, row by row, without pivoting.

    One small kernel a row, or fewer: several times faster than a library call at this
    size. The network block is a Laplacian plus reaction slopes on the diagonal, with
    the control row last, so pivots do not vanish; where folding the columns in were to
    spoil that, the step's error estimate rejects the step.
    """
    index = np.arange(matrix.shape[0])

    def eliminate(k, a):
        here = index == k
        row, column = a[k], a[:, k]
        pivot = 1.0 / row[k]
        row = jnp.where(here, pivot, row * pivot)
        column = jnp.where(here, 0.0, column)
        rest = jnp.where(here, 0.0, a) - column[:, None] * row
        return jnp.where(here[:, None], row, rest)

    size = matrix.shape[0]
    return jax.lax.fori_loop(0, size, eliminate, matrix, unroll=turns_at_once())


_SINGULAR = object()
_factors: OrderedDict[int, object] = OrderedDict()
_keys = count()


@functools.cache
def _worker() -> ThreadPoolExecutor:
    """The one thread that factorises and solves: SciPy gives the memory of SuperLU's
    factors back only in the thread that made them, and callbacks come from any.
    """
    return ThreadPoolExecutor(1, thread_name_prefix="sparse networks")


def _factorise(topology: Topology, values) -> np.ndarray:
    """Factorises on the host; the key under which the factors are kept."""
    key = next(_keys) % (2**31 - 1)
    _worker().submit(_keep, key, topology, np.asarray(values)).result()
    return np.asarray(key, np.int32)


def _solve_on_host(topology: Topology, form: str, key, values, right) -> np.ndarray:
    """Solves with kept factors, or with new ones where they are gone."""
    arguments = (int(key), topology, np.asarray(values), np.asarray(right), form)
    return _worker().submit(_solve_kept, *arguments).result()


def _solve_kept(key: int, topology: Topology, values, right, form: str) -> np.ndarray:
    if key not in _factors:
        _keep(key, topology, values)
    factors, place = _factors[key], pattern_of(topology).place
    if factors is _SINGULAR:
        return np.full_like(right, np.nan)
    ordered = np.empty(right.shape)
    ordered[place] = right
    return factors.solve(ordered, form)[place].astype(right.dtype)


def _keep(key: int, topology: Topology, values) -> None:
    _factors[key] = _sparse_factors(topology, values)
    while len(_factors) > _KEPT:
        _factors.popitem(last=False)


def _sparse_factors(topology: Topology, values):
    """SuperLU's factors, or a mark where the block is singular or not finite: its
    solutions are NaN then, so that the step is rejected.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    pattern = pattern_of(topology)
    data = np.bincount(pattern.slot, np.asarray(values, np.float64))
    if not np.all(np.isfinite(data)):
        return _SINGULAR
    matrix = csc_array((data, pattern.indices, pattern.starts), (pattern.size,) * 2)
    try:
        return splu(
            matrix,
            permc_spec="NATURAL",  # `Pattern` is in a good order already
            diag_pivot_thresh=0.01,
            options={"SymmetricMode": True},
        )
    except RuntimeError:
        return _SINGULAR
