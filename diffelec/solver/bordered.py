r"""The linear algebra of a step: tridiagonal columns bordered by a network.

Every column (one a site) is a tridiagonal block; it meets the network only through the
reaction current at its surface node and through the stoichiometry that its
conductivity is taken at. Solving W v = r is then one Thomas sweep over all columns and
one small dense solve:

$$ W = \begin{pmatrix} \frac{1}{h\gamma} - T & -B \\ -C & -G \end{pmatrix} $$

T tridiagonal, B one entry a site, C one entry a site (surface) plus the edges' rows
(probe), G the network: conductances of edges, slopes of reactions, the control's row.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..topology import INVERT_UP_TO, Topology
from .parts import Parts
from .serial import serial_or_plain


class BorderedJacobian(eqx.Module):
    """dF/dy of the system in the form above.

    Attributes:
        lower, diagonal, upper: bands of T, row k in position k; the first of `lower`
            and the last of `upper` are 0.
        drive: B, d(surface rate)/d(potential of the site's node).
        surface: d(balance of the site's node)/d(surface stoichiometry).
        edge_tail, edge_head: d(edge current)/d(probed stoichiometry at either end).
        conductance: d(edge current)/d(its potential drop).
        reaction: d(balance of the site's node)/d(its potential).
        control: d(control)/d(collector's potential), d(control)/d(current).
        probe: weights that turn a column into the probed stoichiometry.
        topology: who is joined to whom.
        serial: all of this is compiled into one function already (`System.serial`).
    """

    lower: Float[Array, "shell site"]
    diagonal: Float[Array, "shell site"]
    upper: Float[Array, "shell site"]
    drive: Float[Array, " site"]
    surface: Float[Array, " site"]
    edge_tail: Float[Array, " edge"]
    edge_head: Float[Array, " edge"]
    conductance: Float[Array, " edge"]
    reaction: Float[Array, " site"]
    control: Float[Array, "2"]
    probe: Float[Array, " shell"]
    topology: Topology = eqx.field(static=True)
    serial: bool = eqx.field(static=True, default=False)

    def _sites(self, vector):
        first = self.topology.first_site
        return vector[first : first + self.drive.shape[0]]

    def _border(self, surface, probed):
        """C v: rows of the network from a column vector's surface and probed values."""
        tail, head = self.topology.at_ends(probed)
        rows = self.topology.outflow(self.edge_tail * tail + self.edge_head * head)
        first = self.topology.first_site
        sites = rows[first:] + self.surface * surface
        return jnp.concatenate([rows[:first], sites, jnp.zeros_like(rows[:1])])

    def _border_transposed(self, rows):
        """C^T v as (surface part, probed part), both (site,)."""
        change = self.topology.drop(rows[:-1])
        ends = (self.edge_tail * change, self.edge_head * change)
        return self.surface * self._sites(rows), self.topology.from_ends(*ends)

    def product(self, parts: Parts) -> Parts:
        """J v."""
        x, z = parts
        nothing = jnp.zeros_like(x[:1])
        columns = self.diagonal * x
        columns = columns + self.lower * jnp.concatenate([nothing, x[:-1]])
        columns = columns + self.upper * jnp.concatenate([x[1:], nothing])
        surface = columns[-1:] + self.drive * self._sites(z)
        columns = jnp.concatenate([columns[:-1], surface])
        return Parts(columns, self._network(z) + self._border(x[-1], self.probe @ x))

    def _network(self, z):
        """G z."""
        first = self.topology.first_site
        rows = self.topology.outflow(self.conductance * self.topology.drop(z[:-1]))
        control = self.control[0] * z[:1] + self.control[1] * z[-1:]
        fed = rows[:1] - z[-1:]  # the current enters at the collector
        sites = rows[first:] + self.reaction * self._sites(z)
        return jnp.concatenate([fed, rows[1:first], sites, control])

    def _schur(self, shift):
        """Thomas factors of shift - T, the columns' response (shift - T)^-1 B, and the
        network block with the columns folded into it: S = -G - C (shift - T)^-1 B.
        """
        bands = (shift - self.diagonal, -self.lower, -self.upper)
        factors = self._looped(factorise)(bands)
        unit = jnp.zeros_like(self.diagonal).at[-1].set(1.0)
        response = self.drive * self._looped(back_substitute)((factors, unit))
        tail, head = self.topology.at_ends(self.probe @ response)
        block = network_block(
            self.topology,
            self.edge_tail * tail + self.conductance,
            self.edge_head * head - self.conductance,
            self.surface * response[-1] + self.reaction,
            self.control,
        )
        return factors, response, -block

    def _looped(self, sweep):
        """A sweep over shells or nodes, compiled into one function where it is not
        within one already.
        """
        small = self.topology.is_small and not self.serial
        return serial_or_plain(sweep, sweep) if small else sweep

    def factorised(self, shift: Float[Array, ""]) -> "Factorised":
        """W = shift M - J, ready to be solved with."""
        factors, response, schur = self._schur(shift)
        if schur.shape[0] <= INVERT_UP_TO:
            network = (self._looped(gauss_jordan)(schur),)
        else:
            network = jax.scipy.linalg.lu_factor(schur)
        return Factorised(self, factors, response, network)

    def solver(self, shift: Float[Array, ""]) -> Callable[[Parts], Parts]:
        """R -> W^-1 r with W = shift M - J, factorised once.

        The derivative of the solve is that of the linear system, not of its sweeps.
        """
        frozen = jax.lax.stop_gradient(self)
        factorised = frozen.factorised(jax.lax.stop_gradient(shift))

        def matvec(v):
            image = self.product(v)
            return Parts(shift * v.columns - image.columns, -image.algebraic)

        return lambda r: jax.lax.custom_linear_solve(
            matvec,
            r,
            lambda _, r: factorised.solve(r),
            transpose_solve=lambda _, r: factorised.solve_transposed(r),
        )


class Factorised(eqx.Module):
    """W of a step, factorised.

    Attributes:
        jacobian: J.
        factors: of the columns' bands, by Thomas.
        response: (shift - T)^-1 B.
        network: inverse of the network block with the columns folded in, or its LU.
    """

    jacobian: BorderedJacobian
    factors: tuple
    response: Float[Array, "shell site"]
    network: tuple

    def solve(self, right: Parts) -> Parts:
        """W^-1 r."""
        own = self.jacobian
        x = own._looped(back_substitute)((self.factors, right.columns))
        z = self._network(right.algebraic + own._border(x[-1], own.probe @ x))
        return Parts(x + self.response * own._sites(z), z)

    def solve_transposed(self, right: Parts) -> Parts:
        """W^-T r."""
        own = self.jacobian
        sweeps = own._looped(back_substitute_transposed)
        x = sweeps((self.factors, right.columns))
        rows = jnp.pad(own.drive * x[-1], (own.topology.first_site, 1))
        z = self._network_transposed(right.algebraic + rows)
        surface, probed = own._border_transposed(z)
        load = own.probe[:, None] * probed
        load = jnp.concatenate([load[:-1], load[-1:] + surface])
        return Parts(sweeps((self.factors, right.columns + load)), z)

    def _network(self, r):
        if len(self.network) == 1:
            return self.network[0] @ r
        return jax.scipy.linalg.lu_solve(self.network, r)

    def _network_transposed(self, r):
        if len(self.network) == 1:
            return r @ self.network[0]
        return jax.scipy.linalg.lu_solve(self.network, r, trans=1)


def network_block(topology, by_tail, by_head, by_site, control):
    """d(balance, control)/d(potentials, current), (unknown, unknown).

    From d(edge current)/d(potential at its tail, its head), d(balance of a site's
    node)/d(its potential) besides the edges, and the two slopes of the control.
    """
    nodes = topology.laplacian(by_tail, by_head)
    diagonal = jnp.pad(by_site, (topology.first_site, 0))
    nodes = nodes + diagonal * np.eye(diagonal.size, dtype=diagonal.dtype)
    fed = -np.eye(diagonal.size, 1, dtype=diagonal.dtype)  # at the collector
    nothing = jnp.zeros_like(diagonal[1:])
    row = jnp.concatenate([control[:1], nothing, control[1:]])
    return jnp.concatenate([jnp.concatenate([nodes, fed], axis=1), row[None]], axis=0)


def invert(matrix):
    """Inverse of a network block."""
    small = matrix.shape[0] <= INVERT_UP_TO
    return gauss_jordan(matrix) if small else jnp.linalg.inv(matrix)


def gauss_jordan(matrix):
    """Inverse by elimination in place, row by row, without pivoting.

    One small kernel a row: several times faster than a library call at this size. The
    network block is a Laplacian plus reaction slopes on the diagonal, with the control
    row last, so pivots do not vanish; where folding the columns in were to spoil that,
    the step's error estimate rejects the step.
    """

    def eliminate(k, a):
        pivot = 1.0 / a[k, k]
        column = a[:, k].at[k].set(0.0)
        row = (a[k] * pivot).at[k].set(pivot)
        a = a.at[:, k].set(0.0).at[k].set(row)
        return a - column[:, None] * row[None]

    return jax.lax.fori_loop(0, matrix.shape[0], eliminate, matrix)


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

    _, pivots = jax.lax.scan(sweep, jnp.zeros_like(diagonal[0]), (diagonal, crossed))
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
    _, values = jax.lax.scan(down, start, (multipliers, right))
    _, solved = jax.lax.scan(up, start, (values, pivots, upper), reverse=True)
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
    _, values = jax.lax.scan(down, start, (right, up_before, pivots))
    _, solved = jax.lax.scan(up, start, (values, after), reverse=True)
    return solved
