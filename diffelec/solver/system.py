r"""The semi-explicit differential-algebraic system of an electrode under control.

    d(stoichiometry)/dt = rate(stoichiometry, potentials)
                      0 = balance(stoichiometry, potentials)    one row a node
                      0 = control(time, voltage, current)       one row

Residual and exact Jacobian share their ingredients. Balances are over the 1C current,
rows of a site times its multiplicity, so that the network block stays symmetric.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..constants import FARADAY
from ..control import Control
from ..electrode import Electrode
from ..kirchhoff import KirchhoffTable, tabulate
from ..network import multiplicity_of_edges
from .bordered import BorderedJacobian
from .parts import Parts


def with_slope(function, x):
    """(f(x), f'(x)) of an elementwise function."""
    return jax.jvp(function, (x,), (jnp.ones_like(x),))


class System(eqx.Module):
    """Residual, Jacobian and events of one electrode under one `Control`."""

    electrode: Electrode
    control: Control
    theta: KirchhoffTable
    current_scale: Float[Array, ""]

    @staticmethod
    def of(electrode: Electrode, control: Control) -> "System":
        """Tabulates what stays the same over a solve."""
        scale = jax.lax.stop_gradient(electrode.one_c_current)
        theta = tabulate(electrode.curves.diffusivity)
        return System(electrode, control, theta, scale)

    @property
    def topology(self):
        return self.electrode.network.topology

    @property
    def probe(self) -> np.ndarray:
        """Weights of the stoichiometry that the conductivity is taken at."""
        mesh = self.electrode.mesh
        if self.electrode.conduct_at_surface:
            return np.eye(mesh.num_shells)[-1]
        return mesh.weights

    def site_radius(self):
        return jnp.asarray(self.electrode.radius)[self.topology.site_particle]

    def site_area(self):
        """Reacting area of a site over the current scale [m2/A]."""
        share = self.topology.site_share
        return 4.0 * np.pi * self.site_radius() ** 2 * share / self.current_scale

    def site_multiplicity(self):
        return jnp.asarray(self.electrode.multiplicity)[self.topology.site_particle]

    def current(self, algebraic):
        """Cell current [A]."""
        return algebraic[-1] * self.current_scale

    def voltage(self, algebraic):
        """Cell voltage [V]."""
        return algebraic[0] + self.electrode.terminal_drop(self.current(algebraic))

    def margin(self, algebraic):
        """Distance to the nearest cut-off of the step; it ends where this is 0."""
        return self.control.margin(
            self.voltage(algebraic), self.current(algebraic), self.electrode
        )

    def site_potential(self, algebraic):
        return algebraic[self.topology.first_site : self.topology.num_nodes]

    def exchange_current_density(self, surface):
        """i0 [A/m2] of each site."""
        electrode = self.electrode
        return electrode.kinetics.exchange_current_density(
            surface,
            electrode.curves.rate_constant(surface),
            electrode.maximum_concentration,
        )

    def current_density(self, surface, potential):
        """Reaction current density [A/m2] of each site."""
        electrode = self.electrode
        overpotential = potential - electrode.curves.open_circuit_potential(surface)
        return electrode.kinetics.current_density(
            overpotential, self.exchange_current_density(surface), electrode.temperature
        )

    def current_density_slopes(self, surface, potential):
        """d(density)/d(surface x), U(x) followed, and d(density)/d(potential)."""
        electrode = self.electrode
        rest, rest_slope = with_slope(electrode.curves.open_circuit_potential, surface)
        exchange, exchange_slope = with_slope(self.exchange_current_density, surface)
        overpotential = potential - rest

        def law(eta, i0):
            return electrode.kinetics.current_density(eta, i0, electrode.temperature)

        _, by_potential = with_slope(lambda eta: law(eta, exchange), overpotential)
        _, by_exchange = with_slope(lambda i0: law(overpotential, i0), exchange)
        return by_exchange * exchange_slope - by_potential * rest_slope, by_potential

    def site_resistivity(self, columns):
        """1/kappa of each site [ohm m]."""
        return 1.0 / self.electrode.curves.conductivity(self.probe @ columns)

    def edge_copies(self):
        return multiplicity_of_edges(self.topology, self.site_multiplicity())

    def edge_conductance(self, resistivity):
        """Conductance of an edge over the current scale, all its copies [1/V]."""
        resistance = self.electrode.network.resistance(resistivity)
        return self.edge_copies() / (resistance * self.current_scale)

    def drop(self, algebraic):
        return algebraic[self.topology.tail] - algebraic[self.topology.head]

    def _balance(self, time, conductance, density, algebraic):
        """Rows of the network and of the control."""
        reaction = self.site_multiplicity() * self.site_area() * density
        nodes = self.topology.outflow(conductance * self.drop(algebraic))
        nodes = nodes.at[self.topology.first_site :].add(reaction)
        nodes = nodes.at[0].add(-algebraic[-1])
        control = self.control.residual(
            time, self.voltage(algebraic), self.current(algebraic), self.electrode
        )
        return jnp.concatenate([nodes, control[None]])

    def balance(self, time, columns, algebraic) -> Float[Array, " unknown"]:
        """The algebraic rows alone."""
        density = self.current_density(columns[-1], self.site_potential(algebraic))
        conductance = self.edge_conductance(self.site_resistivity(columns))
        return self._balance(time, conductance, density, algebraic)

    def _rate(self, theta, density):
        """dx/dt of every node from Theta and the surface current density.

        As products with two small matrices: they are not fused, so that XLA evaluates
        Theta once and not once a use.
        """
        mesh, radius = self.electrode.mesh, self.site_radius()
        gain = mesh.divergence @ (mesh.differences @ theta)
        charge = radius / (FARADAY * self.electrode.maximum_concentration)
        gain = gain.at[-1].add(-charge * density / mesh.volumes[-1])
        return gain / radius**2

    def residual(self, time, state: Parts) -> Parts:
        """F(t, y): rates of the columns, imbalance of the network."""
        columns, algebraic = state
        theta, _ = self.theta(columns)
        density = self.current_density(columns[-1], self.site_potential(algebraic))
        conductance = self.edge_conductance(self.site_resistivity(columns))
        return Parts(
            self._rate(theta, density),
            self._balance(time, conductance, density, algebraic),
        )

    def time_slope(self, time, state: Parts) -> Parts:
        """dF/dt at fixed state: the control row alone moves."""
        columns, algebraic = state
        slope = self.control.residual_slope(time, self.electrode)
        return Parts(
            jnp.zeros_like(columns), jnp.zeros_like(algebraic).at[-1].set(slope)
        )

    def jacobian(self, time, state: Parts) -> BorderedJacobian:
        """dF/dy, exact."""
        columns, algebraic = state
        electrode, topology, mesh = self.electrode, self.topology, self.electrode.mesh
        radius = self.site_radius()
        _, diffusivity = self.theta(columns)
        by_surface, by_potential = self.current_density_slopes(
            columns[-1], self.site_potential(algebraic)
        )
        bands = mesh.divergence @ mesh.differences
        below, above = (
            np.pad(np.diag(bands, -1), (1, 0)),
            np.pad(np.diag(bands, 1), (0, 1)),
        )
        scaled = diffusivity / radius**2
        charge = 1.0 / (FARADAY * electrode.maximum_concentration * radius)
        charge = charge / mesh.volumes[-1]
        diagonal = np.diag(bands)[:, None] * scaled
        reaction = self.site_multiplicity() * self.site_area()
        resistivity, slope = with_slope(
            lambda x: 1.0 / electrode.curves.conductivity(x), self.probe @ columns
        )
        slope_tail, slope_head = topology.at_ends(slope)
        conductance = self.edge_conductance(resistivity)
        bend = -(conductance**2) * self.drop(algebraic) * self.current_scale
        bend = bend / self.edge_copies()
        return BorderedJacobian(
            lower=below[:, None] * jnp.roll(scaled, 1, axis=0),
            diagonal=diagonal.at[-1].add(-charge * by_surface),
            upper=above[:, None] * jnp.roll(scaled, -1, axis=0),
            drive=-charge * by_potential,
            surface=reaction * by_surface,
            edge_tail=bend * electrode.network.shape_tail * slope_tail,
            edge_head=bend * electrode.network.shape_head * slope_head,
            algebraic=self.network_block(
                time, conductance, reaction * by_potential, algebraic
            ),
            probe=jnp.asarray(self.probe),
            topology=topology,
        )

    def network_rows(self, time, surface, conductance, algebraic):
        """Balances and control at fixed columns, and their Jacobian."""
        potential = self.site_potential(algebraic)
        density = self.current_density(surface, potential)
        _, slope = self.current_density_slopes(surface, potential)
        reaction = self.site_multiplicity() * self.site_area() * slope
        return (
            self._balance(time, conductance, density, algebraic),
            self.network_block(time, conductance, reaction, algebraic),
        )

    def network_block(self, time, conductance, reaction_slope, algebraic):
        """G: d(balance, control)/d(potentials, current)."""
        topology = self.topology
        tail, head, first = topology.tail, topology.head, topology.first_site
        sites = first + np.arange(topology.num_sites)
        block = jnp.zeros((algebraic.size, algebraic.size), algebraic.dtype)
        rows = np.concatenate([tail, head, tail, head, sites])
        columns = np.concatenate([tail, head, head, tail, sites])
        values = jnp.concatenate(
            [conductance, conductance, -conductance, -conductance, reaction_slope]
        )
        block = block.at[rows, columns].add(values)
        block = block.at[0, -1].add(-1.0)
        by_voltage, by_current = self.control.slopes(
            time, self.voltage(algebraic), self.current(algebraic), self.electrode
        )
        _, drop_slope = with_slope(
            self.electrode.terminal_drop, self.current(algebraic)
        )
        by_current = by_current + by_voltage * drop_slope
        return (
            block.at[-1, 0]
            .set(by_voltage)
            .at[-1, -1]
            .set(by_current * self.current_scale)
        )
