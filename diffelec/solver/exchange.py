r"""Lithium that sites of one particle exchange, along pairs of them.

$$ q_i = \frac{1}{V_i} \sum_j S_{ij} [\Theta(\bar x_j) - \Theta(\bar x_i)], \quad
   \dot x_i \mathrel{+}= q_i $$

between the means of their columns, S a shape factor [m], Theta the Kirchhoff transform.
The rates q are unknowns of the network's block, in units of `RATE`.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ..topology import Topology

RATE = 1.0 / 3600.0  # 1/s; of the order of a C-rate


class Exchange(eqx.Module):
    """Slopes of the exchange.

    Attributes:
        tail, head: d(flow from tail to head)/d(mean stoichiometry at either end).
        per_volume: 1/V_i in units of the rate.
    """

    tail: Float[Array, " pair"]
    head: Float[Array, " pair"]
    per_volume: Float[Array, " site"]


def per_volume_of(topology: Topology, radius: Float[Array, " site"]):
    """1/V of each site [1/m3] in units of the rate [s/m3], from radii [m]."""
    return 3.0 / (4.0 * np.pi * radius**3 * topology.site_share * RATE)


def gains(topology: Topology, shape, per_volume, theta) -> Float[Array, " site"]:
    """What each site's mean gains, in units of the rate, by Theta at the means."""
    tail, head = topology.at_pairs(theta)
    flow = shape * (tail - head)
    return topology.own(per_volume) * topology.from_pairs(-flow, flow)


def slopes(topology: Topology, shape, per_volume, diffusivity) -> Exchange:
    """Slopes of the flows, by the diffusivity at the means."""
    tail, head = topology.at_pairs(diffusivity)
    return Exchange(shape * tail, -shape * head, topology.own(per_volume))
