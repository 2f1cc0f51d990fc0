"""First charge of the paper's network, its parameters moved by raw numbers."""

import equinox as eqx
import jax.numpy as jnp

import diffelec

PROTOCOL = diffelec.Protocol.from_strings(["Charge at C/20 until 4.3 V"])
RTOL = 1e-4


def moved(electrode, raw):
    """Logarithms of the curves moved by `raw`: 4 knots of kappa, 5 of D, and where
    there are more: the other 3 of D, the rate constant, the C-rate, the radius and the
    contacts, one a particle.
    """
    kappa = electrode.curves.conductivity.log10_values
    diffusivity = jnp.asarray(electrode.curves.diffusivity.log10_values)
    curves = (
        jnp.asarray(kappa).at[-4:].add(raw[:4]),
        diffusivity.at[-5:].add(raw[4:9]).at[: raw[9:12].size].add(raw[9:12]),
    )
    electrode = eqx.tree_at(
        lambda e: (
            e.curves.conductivity.log10_values,
            e.curves.diffusivity.log10_values,
        ),
        electrode,
        curves,
    )
    if raw.size <= 12:  # nothing else has a derivative
        return electrode
    raw = jnp.concatenate([raw, jnp.zeros(30 - raw.size)])
    contacts = 10.0 ** raw[15:]
    tail, head = electrode.network.shape_tail, electrode.network.shape_head
    return eqx.tree_at(
        lambda e: (
            e.curves.rate_constant.value,
            e.one_c_range,
            e.radius,
            e.network.shape_tail,
            e.network.shape_head,
        ),
        electrode,
        (
            electrode.curves.rate_constant.value * 10.0 ** raw[12],
            electrode.one_c_range * 10.0 ** raw[13],
            electrode.radius * 10.0 ** raw[14],
            tail * contacts,
            head * contacts,
        ),
    )
