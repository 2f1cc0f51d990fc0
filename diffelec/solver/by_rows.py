"""Diffusion written row by row of the shells, for a small call (see `serial`).

A row of look-ups and what becomes of it is one vectorised loop; look-ups over a whole
array are four passes, one a coefficient.
"""

import jax
import jax.numpy as jnp

from ..kirchhoff import KirchhoffCubics, KirchhoffTable
from ..small_calls import made_once


def gain_by_rows(theta: KirchhoffTable | KirchhoffCubics, mesh, columns):
    """What diffusion adds to every node, divergence @ differences @ Theta(x)."""
    if isinstance(theta, KirchhoffCubics):  # looked up already
        value = made_once(theta(columns)[0])
        flux = mesh.face_conductances[:, None] * (value[1:] - value[:-1])
        around = jnp.pad(flux, ((1, 1), (0, 0)))
        return made_once((around[1:] - around[:-1]) / mesh.volumes[:, None])

    def shell(inner, row):
        value, flux = inner
        x, conductance, per_volume = row
        outer, _ = theta(x, made_once)
        across = conductance * (outer - value)
        return (outer, across), (across - flux) * per_volume

    centre, _ = theta(columns[0], made_once)
    rows = (columns[1:], mesh.face_conductances, 1.0 / mesh.volumes[:-1])
    (_, flux), gain = jax.lax.scan(shell, (centre, jnp.zeros_like(centre)), rows)
    return jnp.concatenate([gain, -flux[None] / mesh.volumes[-1]])


def diffusivity_by_rows(theta: KirchhoffTable | KirchhoffCubics, columns):
    """D of every node."""
    if isinstance(theta, KirchhoffCubics):
        return theta(columns)[1]
    return jax.lax.map(lambda x: theta(x, made_once)[1], columns)
