"""What stands still in a solve: computed once for it, not once a use."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..constants import FARADAY
from ..electrode import Electrode
from ..network import multiplicity_of_edges
from ..topology import Topology
from .exchange import per_volume_of


class Standing(eqx.Module):
    """Numbers of the sites and of the edges that follow from an electrode's leaves.

    Attributes:
        per_area: 1/R^2 [1/m2].
        charge: R/(F c_max V), V the last shell's share of R^3 [m4/C].
        reaction: reacting area of all copies over the current scale [m2/A].
        reactivity: exchange current over the material's.
        per_volume: 1/V in units of the rate of exchange [s/m3]; None without exchange.
        copies: of each edge over the current scale [1/A].
    """

    per_area: Float[Array, " lane"]
    charge: Float[Array, " lane"]
    reaction: Float[Array, " lane"]
    reactivity: Float[Array, " lane"]
    per_volume: Float[Array, " lane"] | None
    copies: Float[Array, " edge"]

    @staticmethod
    def of(electrode: Electrode, scale: Float[Array, ""]) -> "Standing":
        """From an electrode and the current scale [A]."""
        topology, mesh = electrode.network.topology, electrode.mesh
        radius = topology.at_sites(jnp.asarray(electrode.radius))
        multiplicity = topology.at_sites(jnp.asarray(electrode.multiplicity))
        own = jnp.broadcast_to(electrode.reactivity, (electrode.num_particles,))
        area = 4.0 * np.pi * radius**2 * topology.site_share
        concentration = electrode.maximum_concentration * mesh.volumes[-1]
        exchanging = topology.num_exchanging
        per_volume = per_volume_of(topology, radius) if exchanging else None
        return Standing(
            per_area=1.0 / radius**2,
            charge=radius / (FARADAY * concentration),
            reaction=multiplicity * area / scale,
            reactivity=topology.at_sites(own),
            per_volume=per_volume,
            copies=multiplicity_of_edges(topology, multiplicity) / scale,
        )

    def filled(self, topology: Topology) -> "Standing":
        """With the sites' numbers in all lanes."""
        return self._with_sites(topology.filled)

    def own(self, topology: Topology) -> "Standing":
        """With those of the sites alone."""
        return self._with_sites(topology.own)

    def _with_sites(self, function) -> "Standing":
        sites = jax.tree.map(function, dataclasses.replace(self, copies=None))
        return dataclasses.replace(sites, copies=self.copies)
