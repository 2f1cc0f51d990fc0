r"""The linear algebra of a step: tridiagonal columns bordered by a network.

Every column (one a site) is a tridiagonal block; it meets the network only through the
reaction current at its surface node, through the stoichiometry that its conductivity
is taken at and, where sites of a particle exchange lithium, through its mean and one
rate. Solving W v = r is then one Thomas sweep over all columns and one solve of the
network:

$$ W = \begin{pmatrix} \frac{1}{h\gamma} - T & -B \\ -C & -G \end{pmatrix} $$

T tridiagonal, B one entry a site (drive) and one a shell (exchange), C one entry a site
(surface) plus the edges' rows (probe) and the exchange's (mean), G the network:
conductances of edges, slopes of reactions, the rates of exchange, the control's row.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..small_calls import made_once
from ..sums import largest, over_rows, spread
from ..topology import Topology
from .blocks import AbstractFactors, Inverse
from .exchange import RATE, Exchange
from .parts import Parts
from .pattern import Entries, ExchangeEntries, values_of
from .serial import serial_or_plain
from .thomas import back_substitute, back_substitute_transposed, factorise


class BorderedJacobian(eqx.Module):
    """dF/dy of the system in the form above.

    Attributes:
        lower, diagonal, upper: bands of T, row k in position k; the first of `lower`
            and the last of `upper` are 0.
        drive: B, d(surface rate)/d(potential across the site's surface).
        surface: d(current through the site's surface)/d(surface stoichiometry).
        edge_tail, edge_head: d(edge current)/d(probed stoichiometry at either end).
        conductance: d(edge current)/d(its potential drop).
        reaction: d(current through the site's surface)/d(potential across it).
        control: d(control)/d(collector's potential), d(control)/d(current).
        probe: weights that turn a column into the probed stoichiometry.
        mean: weights that turn a column into its mean.
        exchange: of lithium between sites, or None.
        topology: who is joined to whom.
        factors: how the network is solved.
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
    mean: Float[Array, " shell"]
    exchange: Exchange | None
    topology: Topology = eqx.field(static=True)
    factors: type[AbstractFactors] = eqx.field(static=True, default=Inverse)
    serial: bool = eqx.field(static=True, default=False)

    def off(self, imbalance: Float[Array, " unknown"]) -> Float[Array, ""]:
        """How far the potentials are off their balances [V]: the most that one node's
        alone would have to move, at the potentials of the others.
        """
        topology = self.topology
        first, sites = topology.first_site, topology.num_sites
        met = topology.met(self.conductance)[first : first + sites]
        slopes = met + topology.own(self.reaction)
        return largest(jnp.abs(imbalance[first : first + sites]) / slopes)

    def _across(self, z):
        """Potentials across the surfaces of the sites."""
        return self.topology.across_surface(z[: self.topology.num_nodes])

    def _rates(self, z):
        """Rates of exchange; None where there is none."""
        if self.exchange is None:
            return None
        return z[self.topology.num_nodes : -1]

    def _fed(self, x, z):
        """Columns with B z added."""
        if self.exchange is not None:
            x = x + self._in_rows(RATE * self.topology.filled(self._rates(z)))
        return jnp.concatenate([x[:-1], x[-1:] + self.drive * self._across(z)])

    def _in_rows(self, values):
        """Values of the sites in every row."""
        return spread(values, len(self.diagonal)) if self.serial else values

    def border(self, x):
        """C v: rows of the network from columns."""
        tail, head = self.topology.at_ends(self.probe @ x)
        nodes = self.topology.outflow(self.edge_tail * tail + self.edge_head * head)
        nodes = nodes + self.topology.through_surface(self.surface * x[-1])
        rates = self._exchanged(self.mean @ x)
        return self._rows(nodes, rates, jnp.zeros_like(nodes[:1]))

    def _rows(self, nodes, rates, control):
        """Rows of the network from its parts; the separator's holds its potential."""
        separator = self.topology.separator
        if separator is not None:
            nodes = nodes.at[separator].set(0.0)
        parts = [nodes, control] if rates is None else [nodes, rates, control]
        return jnp.concatenate(parts)

    def _exchanged(self, mean):
        """Rows of the rates: minus what sites gain where their means are `mean`."""
        if self.exchange is None:
            return None
        tail, head = self.topology.at_pairs(mean)
        flow = self.exchange.tail * tail + self.exchange.head * head
        return self.exchange.per_volume * self.topology.from_pairs(flow, -flow)

    def _border_transposed(self, rows):
        """C^T v as a load of the columns, (shell, site)."""
        topology = self.topology
        nodes = rows[: topology.num_nodes]
        if topology.separator is not None:
            nodes = nodes.at[topology.separator].set(0.0)
        change = topology.drop(nodes)
        probed = topology.from_ends(self.edge_tail * change, self.edge_head * change)
        load = self.probe[:, None] * probed
        if self.exchange is not None:
            tail, head = topology.at_pairs(self.exchange.per_volume * self._rates(rows))
            ends = (self.exchange.tail, self.exchange.head)
            means = topology.from_pairs(*(end * (tail - head) for end in ends))
            load = load + self.mean[:, None] * topology.muted(means)
        surface = topology.muted(self.surface * topology.across_surface(nodes))
        return jnp.concatenate([load[:-1], load[-1:] + surface])

    def _fed_transposed(self, answers: "Answers", x):
        """The transposed answers to columns: rows of the network."""
        nodes = self.topology.through_surface(over_rows(answers.driven * x))
        parts = [nodes, jnp.zeros_like(nodes[:1])]
        if answers.fed is not None:
            parts.insert(1, self.topology.own(over_rows(answers.fed * x)))
        return jnp.concatenate(parts)

    def product(self, parts: Parts) -> Parts:
        """J v."""
        x, z = parts
        nothing = jnp.zeros_like(x[:1])
        columns = self.diagonal * x
        columns = columns + self.lower * jnp.concatenate([nothing, x[:-1]])
        columns = columns + self.upper * jnp.concatenate([x[1:], nothing])
        return Parts(self._fed(columns, z), self._network(z) + self.border(x))

    def _network(self, z):
        """G z."""
        topology = self.topology
        potentials = z[: topology.num_nodes]
        nodes = topology.outflow(self.conductance * topology.drop(potentials))
        nodes = nodes + topology.through_surface(self.reaction * self._across(z))
        nodes = jnp.concatenate([nodes[:1] - z[-1:], nodes[1:]])  # fed at the collector
        control = self.control[0] * z[:1] + self.control[1] * z[-1:]
        rows = self._rows(nodes, self._rates(z), control)
        if topology.separator is not None:
            rows = rows.at[topology.separator].set(potentials[topology.separator])
        return rows

    def _folded(self, shift):
        """Thomas factors of shift - T, the columns' answers (shift - T)^-1 B, and the
        values of the network block with the columns folded in: G + C (shift - T)^-1 B.
        """
        bands = (shift - self.diagonal, -self.lower, -self.upper)
        factors = self._looped(factorise)(bands)
        unit = jnp.zeros_like(self.diagonal).at[-1].set(1.0)
        sweep = self._looped(back_substitute)
        driven = self.drive * sweep((factors, unit))
        fed = None
        if self.exchange is not None:
            fed = RATE * sweep((factors, jnp.ones_like(self.diagonal)))
        return factors, Answers(driven, fed), self._entries(Answers(driven, fed))

    def _entries(self, answers: "Answers") -> Entries:
        """The network block with what the columns answer folded in."""
        driven, fed = answers
        tail, head = self.topology.at_ends(self.probe @ driven)
        answer_tail, answer_head = self.edge_tail * tail, self.edge_head * head
        exchange = None
        if self.exchange is not None:
            exchange = self._exchange_entries(driven, fed)
        return Entries(
            by_tail=answer_tail + self.conductance,
            by_head=answer_head - self.conductance,
            answer_tail=answer_tail,
            answer_head=answer_head,
            reaction=self.surface * driven[-1] + self.reaction,
            control=self.control,
            exchange=exchange,
        )

    def _exchange_entries(self, driven, fed) -> ExchangeEntries:
        """Rows and columns of the rates of exchange, the columns folded in."""
        edge_tail, edge_head = self.topology.at_ends(self.probe @ fed)
        tail, head = self.topology.exchange.T
        by_drive, by_rate = self.mean @ driven, self.mean @ fed
        slope_tail, slope_head = self.exchange.tail, self.exchange.head
        flow = jnp.stack(
            [
                slope_tail * by_drive[tail],
                slope_tail * by_rate[tail],
                slope_head * by_drive[head],
                slope_head * by_rate[head],
            ]
        )
        return ExchangeEntries(
            edge_tail=self.edge_tail * edge_tail,
            edge_head=self.edge_head * edge_head,
            surface=self.topology.own(self.surface * fed[-1]),
            to_tail=self.exchange.per_volume[tail] * flow,
            to_head=-self.exchange.per_volume[head] * flow,
        )

    def _looped(self, sweep):
        """A sweep over shells, compiled into one function where it is not within one
        already.
        """
        return sweep if self.serial else serial_or_plain(sweep, sweep)

    def factorised(self, shift: Float[Array, ""]) -> "Factorised":
        """W = shift M - J, ready to be solved with."""
        factors, answers, entries = self._folded(shift)
        entries = made_once(entries) if self.serial else entries
        values = values_of(self.topology, entries)
        network = self.factors.of(self.topology, -values)
        return Factorised(self, factors, answers, network)

    def solver(self, shift: Float[Array, ""]) -> Callable[[Parts], Parts]:
        """R -> W^-1 r with W = shift M - J, factorised once.

        The derivative of the solve is that of the linear system, not of its sweeps;
        within one function it has none.
        """
        frozen = jax.lax.stop_gradient(self)
        factorised = frozen.factorised(jax.lax.stop_gradient(shift))
        if self.serial:
            return factorised.solve

        def matvec(v):
            image = self.product(v)
            return Parts(shift * v.columns - image.columns, -image.algebraic)

        return lambda r: jax.lax.custom_linear_solve(
            matvec,
            r,
            lambda _, r: factorised.solve(r),
            transpose_solve=lambda _, r: factorised.solve_transposed(r),
        )


class Answers(NamedTuple):
    """(shift - T)^-1 B: what columns answer to a potential across their surface, and to
    a rate of exchange (None where there is none).
    """

    driven: Float[Array, "shell site"]
    fed: Float[Array, "shell site"] | None


class Factorised(eqx.Module):
    """W of a step, factorised.

    Attributes:
        jacobian: J.
        factors: of the columns' bands, by Thomas.
        answers: of the columns.
        network: the network block with the columns folded in, factorised.
    """

    jacobian: BorderedJacobian
    factors: tuple
    answers: Answers
    network: AbstractFactors

    def solve(self, right: Parts) -> Parts:
        """W^-1 r."""
        own = self.jacobian
        x = own._looped(back_substitute)((self.factors, right.columns))
        z = self.network.solve(right.algebraic + own.border(x))
        x = x + self.answers.driven * own._across(z)
        if self.answers.fed is not None:
            x = x + self.answers.fed * own.topology.filled(own._rates(z))
        return Parts(x, z)

    def solve_transposed(self, right: Parts) -> Parts:
        """W^-T r."""
        own = self.jacobian
        # B^T (shift - T)^-T r is what the columns' answers make of r: no sweep.
        rows = right.algebraic + own._fed_transposed(self.answers, right.columns)
        z = self.network.solve_transposed(rows)
        load = own._border_transposed(z)
        sweeps = own._looped(back_substitute_transposed)
        return Parts(sweeps((self.factors, right.columns + load)), z)
