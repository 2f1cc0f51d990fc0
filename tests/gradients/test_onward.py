"""Tangents that one function carries on are those that a batch finds by itself."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import bodies, graphs
from diffelec.electrolyte import with_electrolyte

POROUS = {"effective_conductivity": 0.2, "area": 1e-9, "thickness": 20e-6}
CHARGE = ["Charge at C/5 until 4.1 V", "Hold at 4.1 V for 20 minutes"]


def electrode_of(network):
    return diffelec.presets.electrode_of(network, num_shells=4)


def cut():
    return diffelec.resolve(graphs.chain(2), 5e-6, bodies.slices(3, (0.0, 1.0, 0.0)))


def recorded():
    """A current, which is a share of what the electrode's own numbers make of 1C."""
    time = np.array([0.0, 3600.0, 9000.0, 15000.0])
    current = 4e-11 * np.array([1.0, 1.5, 0.5, 2.0])
    return diffelec.Protocol.from_recording(time, current=current, control="current")


STEPS = diffelec.Protocol.from_strings(CHARGE)
CASES = {
    "the paper's network": lambda: (
        diffelec.presets.sharma2022(obstructions=(0, 2)),
        STEPS,
    ),
    "a recorded current": lambda: (
        diffelec.presets.single_particle(num_shells=5),
        recorded(),
    ),
    "slices that exchange lithium": lambda: (electrode_of(cut()), STEPS),
    "an electrolyte": lambda: (
        electrode_of(with_electrolyte(graphs.chain(2), **POROUS, num_layers=4)),
        STEPS,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_tangents_are_those_of_a_batch(case):
    """Of every number of the electrode at once, three ways."""
    electrode, protocol = CASES[case]()
    moving, fixed = eqx.partition(electrode, eqx.is_inexact_array)
    moving = jax.tree.map(jnp.asarray, moving)
    rng = np.random.default_rng(11)
    known = lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, 0.0)  # limits may not be
    ways = jax.tree.map(
        lambda leaf: 0.01 * known(leaf) * rng.normal(size=(3, *leaf.shape)), moving
    )

    def outputs(moving):
        electrode = eqx.combine(moving, fixed)
        found = diffelec.simulate(electrode, protocol, rtol=1e-3, num_saved=7)
        ends = (found.step_end_times / 3600.0, found.onset_times(0) / 3600.0)
        charge = found.step_capacities / electrode.theoretical_capacity
        return jnp.concatenate([*ends, charge, found.voltage, found.stoichiometry[-1]])

    along = lambda at, way: jax.jvp(outputs, (at,), (way,))[1]
    found = jax.jit(jax.vmap(along, in_axes=(None, 0)))(moving, ways)
    each = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), moving)
    expected = jax.jit(jax.vmap(along))(each, ways)
    largest = np.max(np.abs(expected), axis=0)
    assert largest.max() > 1e-3
    # What does not move is rounding.
    assert np.all(np.abs(found - expected) < 1e-6 * largest + 1e-12 * largest.max())
