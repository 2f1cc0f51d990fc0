"""Gradients where sums on the way back are too long for one function."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import graphs

PROTOCOL = diffelec.Protocol.from_strings(["Charge at C/5 until 3.9 V"])


@pytest.mark.parametrize(("particles", "shells"), [(210, 20), (700, 4)])
def test_reverse_mode_is_the_transpose_of_forward_mode(particles, shells):
    """Of all nodes' stoichiometries, and of all that is watched of a step."""
    network = graphs.star(particles)
    settings = {"num_shells": shells, "initial_stoichiometry": 0.8}
    electrode = diffelec.presets.electrode_of(network, **settings)
    electrode = jax.tree.map(jnp.asarray, electrode)

    def end(radius, temperature):
        place = lambda e: (e.radius, e.temperature)
        moved = eqx.tree_at(place, electrode, (radius, temperature))
        found = diffelec.simulate(moved, PROTOCOL, rtol=1e-2, num_saved=2)
        return found.step_end_times[0] / 3600.0 + found.stoichiometry[-1, 0]

    at = (electrode.radius, electrode.temperature)
    slopes = jax.jit(jax.grad(end, (0, 1)))(*at)
    directions = (0.1 * electrode.radius, jnp.asarray(5.0))
    along = jax.jit(lambda: jax.jvp(end, at, directions)[1])()
    exact = sum(jnp.sum(a * b) for a, b in zip(slopes, directions, strict=True))
    assert abs(along) > 1e-3
    np.testing.assert_allclose(exact, along, rtol=1e-7)
