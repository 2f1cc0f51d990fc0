"""An electrolyte that resists, in layers between separator and collector."""

import numpy as np

from .checks import check_kind, check_positive, check_radii, check_whole, one_each
from .network import Network
from .topology import Topology


def with_electrolyte(
    network: Network,
    *,
    effective_conductivity: float,
    area: float,
    thickness: float,
    num_layers: int = 10,
    radius=None,
) -> Network:
    r"""The network with layers of electrolyte in series beneath a separator.

    Layers of equal height h fill the electrode from the collector at height 0 to the
    separator at `thickness`; neighbours are joined by

    $$ R = h / (\kappa_{eff} A) $$

    and the topmost to the separator by half of that. A site reacts into the layer that
    its middle lies in: heights are the last coordinate of the positions, to which sites
    of cut particles add R times the mean of their normal.

    Args:
        network: with positions; particles may be cut into sites.
        effective_conductivity: of the electrolyte in its pores [S/m], about 0.1.
        area: of the electrode that these particles are all of [m2].
        thickness: of the electrode [m].
        num_layers: how many.
        radius: of each particle, or of all [m]; needed where particles are cut.

    Raises:
        ValueError: for a network without positions or with an electrolyte, particles
            outside the electrode, numbers that are not positive.
    """
    check_kind("network", network, Network, "such as `diffelec.graphs.columns()`")
    old = network.topology
    _check(
        old,
        {
            "effective_conductivity": (effective_conductivity, "S/m"),
            "area": (area, "m2"),
            "thickness": (thickness, "m"),
        },
        num_layers,
    )
    heights = _heights(old, thickness, radius)
    layer = np.floor(heights / thickness * num_layers).astype(int)
    resistance = thickness / num_layers / (effective_conductivity * area)
    series = np.full(num_layers, resistance)
    series[0] /= 2.0
    nothing = np.zeros(num_layers)
    return Network(
        np.concatenate([network.series_resistance, series]),
        np.concatenate([network.shape_tail, nothing]),
        np.concatenate([network.shape_head, nothing]),
        _with_layers(old, np.clip(layer, 0, num_layers - 1), num_layers),
        network.exchange_shape,
    )


def _with_layers(old: Topology, layer, num_layers: int) -> Topology:
    """With a separator and a chain of layers beneath it, the topmost first; `layer`
    of each site, counted from the collector.
    """
    separator = old.num_nodes
    below = separator + 1 + np.arange(num_layers)[::-1]
    return Topology(
        np.concatenate([old.tail, [separator], below[:-1]]),
        np.concatenate([old.head, below]),
        old.particle_labels,
        old.carbon_labels,
        old.imaged,
        old.positions,
        old.site_particle,
        site_share=old.site_share,
        site_centres=old.site_centres,
        exchange=old.exchange,
        electrolyte_labels=["separator", *(f"layer {k}" for k in range(num_layers))],
        site_electrolyte=1 + layer,
    )


def _check(old: Topology, given: dict, num_layers: int) -> None:
    """Raises ValueError for numbers or networks that layers cannot be made of."""
    for name, (value, unit) in given.items():
        check_positive(name, value, unit)
    check_whole("num_layers", num_layers, 1)
    if old.electrolyte_labels:
        raise ValueError("`with_electrolyte` takes networks without an electrolyte.")


def _heights(old: Topology, thickness: float, radius) -> np.ndarray:
    """Height of each site's middle above the collector [m]."""
    if old.positions is None:
        raise ValueError(
            "A network must have positions to lie in an electrolyte, but has none; "
            "give `positions`."
        )
    up = old.positions.shape[1] - 1
    centres = old.positions[:, up]
    outside = np.flatnonzero(~((centres >= 0) & (centres <= thickness)))
    if outside.size:
        p = int(outside[0])
        raise ValueError(
            f"Particles must lie between the collector at height 0 and the separator "
            f"at {thickness:g} m, but '{old.particle_labels[p]}' is at "
            f"{centres[p]:g} m."
        )
    if radius is not None:
        radius = one_each("radius", radius, old.num_particles)
        check_radii("radius", radius, old.particle_labels)
    heights = centres[old.site_particle]
    if old.site_centres is None:
        return heights
    if radius is None:
        raise ValueError(
            "`radius` must be given [m] where particles are cut, but is None."
        )
    return heights + radius[old.site_particle] * old.site_centres[:, up]
