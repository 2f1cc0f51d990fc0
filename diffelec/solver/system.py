r"""The semi-explicit differential-algebraic system of an electrode under control.

    d(stoichiometry)/dt = rate(stoichiometry, potentials, rates of exchange)
                      0 = balance(stoichiometry, potentials)    one row a node
                      0 = exchange(stoichiometry, rates)        one row a site, if any
                      0 = control(time, voltage, current)       one row

Residual and exact Jacobian share their ingredients. Balances are over the 1C current,
rows of a site times its multiplicity, so that the network block stays symmetric.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..control import Control
from ..electrode import Electrode
from ..kirchhoff import KirchhoffTable
from ..small_calls import made_once
from ..sums import fits, spread
from ..tables import Tables, with_slope
from . import exchange
from .blocks import AbstractFactors, chosen, frozen_solve
from .bordered import BorderedJacobian
from .by_rows import diffusivity_by_rows, gain_by_rows
from .elimination import Eliminated
from .exchange import RATE
from .parts import Parts, with_columns
from .pattern import held_columns, values_of
from .standing import Standing


class System(eqx.Module):
    """Residual, Jacobian and events of one electrode under one `Control`.

    `serial` chooses between two ways of writing the same arithmetic: loops over shells
    that compile into one plain function (a single solve on a CPU), or products and
    gathers over whole arrays (batches, accelerators, differentiation). In a `wide`
    system (site,) means lanes: the sites and copies of the last one behind them.
    """

    electrode: Electrode
    control: Control
    tables: Tables
    standing: Standing
    factors: type[AbstractFactors] | None = eqx.field(static=True)
    serial: bool = eqx.field(static=True, default=False)
    wide: bool = eqx.field(static=True, default=False)

    @staticmethod
    def of(
        electrode: Electrode,
        control: Control,
        tables: Tables | None = None,
        factors: type[AbstractFactors] | None = None,
    ) -> "System":
        """Tabulates what stays the same over a solve, unless it is at hand; solves the
        network by `factors`, or, where that is None, as suits its size.
        """
        tables = Tables.of(electrode) if tables is None else tables
        standing = Standing.of(electrode, control.scale)
        return System(electrode, control, tables, standing, factors)

    def with_loops(self) -> "System":
        """The same system written for a single solve on a CPU; wide, but for a site by
        itself, which is no faster so.
        """
        topology = self.electrode.network.topology
        wide = topology.num_sites > 1
        standing = self.standing.filled(topology.in_vectors) if wide else self.standing
        kinds = {"factors": Eliminated, "serial": True, "wide": wide}
        return dataclasses.replace(self, standing=standing, **kinds)

    @property
    def is_one(self) -> bool:
        """Whether a solve may be one function (`serial`)."""
        return self.factors is None

    @property
    def is_one_back(self) -> bool:
        """Whether the way back may be one function: its sums over sites, edges and
        pairs are reductions.
        """
        topology = self.electrode.network.topology
        numbers = (topology.num_edges, len(topology.exchange))
        most = max(topology.in_vectors.num_lanes, *numbers)
        return self.is_one and fits(most)

    def plain(self) -> "System":
        """The inverse of `with_loops`."""
        if not self.serial:
            return self
        standing = self.standing.own(self.topology)
        kinds = {"factors": None, "serial": False, "wide": False}
        return dataclasses.replace(self, standing=standing, **kinds)

    @property
    def network_factors(self) -> type[AbstractFactors]:
        """How the network is solved."""
        return chosen(self.topology) if self.factors is None else self.factors

    def filled(self, tree):
        """A pytree whose `Parts` are those of the sites, with them in all lanes."""
        return with_columns(self.topology.filled, tree)

    def own(self, tree):
        """The inverse: the sites alone."""
        return with_columns(self.topology.own, tree)

    def muted(self, tree):
        """Cotangents of what `filled` gives: zeros in lanes that repeat a site."""
        return with_columns(self.topology.muted, tree)

    def made_once(self, tree):
        """Arrays that are computed once, however often they are used."""
        return made_once(tree) if self.serial else tree

    def at(self, columns) -> "System":
        """The same system with what it looks up at `columns` instead of tables."""
        tables = self.tables.at(*self.looked_at(columns), self.made_once)
        return dataclasses.replace(self, tables=tables)

    def looked_at(self, columns):
        """Stoichiometries that the tables are looked up at: those of the nodes and,
        where sites exchange lithium, of their means in one more row; of the surfaces;
        probed.
        """
        nodes = columns
        if self.topology.num_exchanging:
            nodes = jnp.concatenate([columns, self.mean(columns)[None]])
        return nodes, columns[-1], self.probed(columns)

    @property
    def _theta(self):
        """What gives Theta at the nodes, and at the means of the sites."""
        theta = self.tables.theta
        if isinstance(theta, KirchhoffTable) or not self.topology.num_exchanging:
            return theta, theta
        return tuple(
            jax.tree.map(lambda leaf, at=at: leaf[at], theta)
            for at in (np.s_[:-1], np.s_[-1])
        )

    def mean(self, columns):
        """Mean stoichiometry of each site."""
        return self.electrode.mesh.weights @ columns

    @property
    def topology(self):
        topology = self.electrode.network.topology
        return topology.in_vectors if self.wide else topology

    @property
    def probe(self) -> np.ndarray:
        """Weights of the stoichiometry that the conductivity is taken at."""
        mesh = self.electrode.mesh
        if self.electrode.conduct_at_surface:
            return np.eye(mesh.num_shells)[-1]
        return mesh.weights

    def site_kinetics(self, surface):
        """(U [V], i0 [A/m2]) of each site and their slopes in x."""
        (rest, rate), (rest_slope, rate_slope) = self.tables.kinetics(
            surface, self.made_once
        )
        own = self.standing.reactivity
        return (rest, own * rate), (rest_slope, own * rate_slope)

    def current(self, algebraic):
        """Cell current [A]."""
        return algebraic[-1] * self.control.scale

    def voltage(self, algebraic):
        """Cell voltage [V]."""
        return algebraic[0] + self.electrode.terminal_drop(self.current(algebraic))

    def margin(self, algebraic):
        """Distance to the nearest cut-off of the step; it ends where this is 0."""
        return self.control.margin(self.voltage(algebraic), self.current(algebraic))

    def site_potential(self, algebraic):
        """Potential across the surface of each site."""
        return self.topology.across_surface(algebraic[: self.topology.num_nodes])

    def _exchange_rates(self, algebraic):
        """Rates at which the means of the sites change by exchange [1/s], in all lanes;
        None where there is no exchange.
        """
        if not self.topology.num_exchanging:
            return None
        return RATE * self.topology.filled(algebraic[self.topology.num_nodes : -1])

    def _exchanging(self, columns):
        """Arguments of what `exchange` computes, but for the last; (Theta, D) at the
        means of the sites.
        """
        given = (self.topology, self.electrode.network.exchange_shape)
        of_means = self._theta[1](self.mean(columns), self.made_once)
        return (*given, self.standing.per_volume), of_means

    def current_density(self, surface, potential):
        """Reaction current density [A/m2] of each site."""
        (rest, rate), _ = self.site_kinetics(surface)
        eta, rate = self.made_once((potential - rest, rate))
        return self.made_once(
            self.electrode.kinetics.current_density(
                eta, rate, self.electrode.temperature
            )
        )

    def current_density_slopes(self, surface, potential):
        """d(density)/d(surface x), U(x) followed, and d(density)/d(potential)."""
        (rest, rate), (rest_slope, rate_slope) = self.site_kinetics(surface)

        def law(eta, i0):
            return self.electrode.kinetics.current_density(
                eta, i0, self.electrode.temperature
            )

        _, by_potential = with_slope(lambda eta: law(eta, rate), potential - rest)
        _, by_rate = with_slope(lambda i0: law(potential - rest, i0), rate)
        return by_rate * rate_slope - by_potential * rest_slope, by_potential

    def probed(self, columns):
        """The stoichiometry that each site's conductivity is taken at."""
        return self.probe @ columns

    def edge_conductance(self, resistivity):
        """Conductance of an edge over the current scale, all its copies [1/V]."""
        ends = self.topology.at_ends(self.made_once(resistivity))
        resistance = self.electrode.network.resistance_between(*ends)
        return self.standing.copies / resistance

    def _resistivity(self, columns):
        """(1/kappa, its slope) of each site."""
        return self.tables.resistivity(self.probed(columns), self.made_once)

    def conductance_at(self, columns):
        """`edge_conductance` at the columns' probed stoichiometries."""
        resistivity, _ = self._resistivity(columns)
        return self.edge_conductance(resistivity)

    def drop(self, algebraic):
        return self.topology.drop(algebraic[: self.topology.num_nodes])

    def _balance(self, time, conductance, density, algebraic, gains):
        """Rows of the network, of the exchange and of the control."""
        reaction = self.standing.reaction * density
        nodes = self.topology.outflow(conductance * self.drop(algebraic))
        nodes = nodes + self.topology.through_surface(reaction)
        nodes = jnp.concatenate([nodes[:1] - algebraic[-1:], nodes[1:]])
        separator = self.topology.separator
        if separator is not None:
            nodes = nodes.at[separator].set(algebraic[separator])
        control = self.control.residual(
            time, self.voltage(algebraic), self.current(algebraic)
        )
        rows = [nodes, control[None]]
        if gains is not None:
            rows.insert(1, algebraic[self.topology.num_nodes : -1] - gains)
        return jnp.concatenate(rows)

    def _gains(self, columns):
        """What sites gain by exchange, in units of its rate; None without exchange."""
        if not self.topology.num_exchanging:
            return None
        given, (theta, _) = self._exchanging(columns)
        return exchange.gains(*given, self.made_once(theta))

    def balance(self, time, columns, algebraic) -> Float[Array, " unknown"]:
        """The algebraic rows alone."""
        density = self.current_density(columns[-1], self.site_potential(algebraic))
        conductance, gains = self.conductance_at(columns), self._gains(columns)
        return self._balance(time, conductance, density, algebraic, gains)

    def _rate(self, columns, density, exchange_rates):
        """dx/dt of every node from the columns, the surface current density and the
        rates of exchange.
        """
        mesh = self.electrode.mesh
        if self.serial:
            gain = gain_by_rows(self._theta[0], mesh, columns)
        else:
            # Products are not fused, so that Theta is evaluated once and not once a use
            theta, _ = self._theta[0](columns)
            gain = mesh.divergence @ (mesh.differences @ theta)
        surface = gain[-1:] - self.standing.charge * density
        rate = jnp.concatenate([gain[:-1], surface]) * self._per_area()
        return rate if exchange_rates is None else rate + self._in_rows(exchange_rates)

    def _per_area(self):
        """1/R^2 of every site's nodes [1/m2]."""
        return self._in_rows(self.standing.per_area)

    def _in_rows(self, values):
        """Values of the sites at all their nodes."""
        rows = self.electrode.mesh.num_shells
        return spread(values, rows) if self.serial else values

    def _diffusivity(self, columns):
        """D of every node."""
        theta, _ = self._theta
        return diffusivity_by_rows(theta, columns) if self.serial else theta(columns)[1]

    def residual(self, time, state: Parts) -> Parts:
        """F(t, y): rates of the columns, imbalance of the network."""
        columns, algebraic = state
        density = self.current_density(columns[-1], self.site_potential(algebraic))
        conductance, gains = self.conductance_at(columns), self._gains(columns)
        return Parts(
            self._rate(columns, density, self._exchange_rates(algebraic)),
            self._balance(time, conductance, density, algebraic, gains),
        )

    def time_slope(self, time, state: Parts) -> Parts:
        """dF/dt at fixed state: the control row alone moves; None for the columns,
        which do not know the time.
        """
        slope = self.control.residual_slope(time)
        return Parts(None, jnp.zeros_like(state.algebraic).at[-1].set(slope))

    def jacobian(self, time, state: Parts) -> BorderedJacobian:
        """dF/dy, exact."""
        columns, algebraic = state
        electrode, topology, mesh = self.electrode, self.topology, self.electrode.mesh
        standing, diffusivity = self.standing, self._diffusivity(columns)
        by_surface, by_potential = self.made_once(
            self.current_density_slopes(columns[-1], self.site_potential(algebraic))
        )
        below, at, above = mesh.bands
        scaled = self.made_once(diffusivity * self._per_area())
        charge = standing.charge * standing.per_area
        diagonal = at[:, None] * scaled
        resistivity, slope = self._resistivity(columns)
        slope_tail, slope_head = topology.at_ends(self.made_once(slope))
        conductance = self.edge_conductance(resistivity)
        bend = -(conductance**2) * self.drop(algebraic) / standing.copies
        nothing = jnp.zeros_like(scaled[:1])
        return BorderedJacobian(
            lower=below[:, None] * jnp.concatenate([nothing, scaled[:-1]]),
            diagonal=jnp.concatenate(
                [diagonal[:-1], diagonal[-1:] - charge * by_surface]
            ),
            upper=above[:, None] * jnp.concatenate([scaled[1:], nothing]),
            drive=-charge * by_potential,
            surface=standing.reaction * by_surface,
            edge_tail=bend * electrode.network.shape_tail * slope_tail,
            edge_head=bend * electrode.network.shape_head * slope_head,
            conductance=conductance,
            reaction=standing.reaction * by_potential,
            control=self.control_slopes(time, algebraic),
            probe=jnp.asarray(self.probe),
            mean=jnp.asarray(mesh.weights),
            exchange=self._exchange_slopes(columns),
            topology=topology,
            factors=self.network_factors,
            serial=self.serial,
        )

    def _exchange_slopes(self, columns):
        """Slopes of the exchange in the means of the sites; None without exchange."""
        if not self.topology.num_exchanging:
            return None
        given, (_, diffusivity) = self._exchanging(columns)
        return exchange.slopes(*given, self.made_once(diffusivity))

    def network_rows(self, time, columns, conductance, algebraic):
        """Balances and control at fixed columns, and the values of their Jacobian's
        entries.
        """
        potential = self.site_potential(algebraic)
        density = self.current_density(columns[-1], potential)
        _, slope = self.current_density_slopes(columns[-1], potential)
        reaction = self.standing.reaction * slope
        control = self.control_slopes(time, algebraic)
        rows = self._balance(
            time, conductance, density, algebraic, self._gains(columns)
        )
        held = held_columns(self.topology, conductance, reaction, control)
        return rows, values_of(self.topology, held)

    def network_solve(self, block):
        """The map from right-hand sides to solutions, by what `network_rows` gave; the
        block is a constant of it.
        """
        return frozen_solve(self.network_factors, self.topology, block)

    def control_slopes(self, time, algebraic):
        """d(control)/d(collector's potential), d(control)/d(current unknown)."""
        current = self.current(algebraic)
        by_voltage, by_current = self.control.slopes(
            time, self.voltage(algebraic), current
        )
        _, drop_slope = with_slope(self.electrode.terminal_drop, current)
        by_current = (by_current + by_voltage * drop_slope) * self.control.scale
        return jnp.stack([by_voltage, by_current])
