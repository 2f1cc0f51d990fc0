"""What a GPU is given to run: printed as numbers, got by running it on a CPU, and as
whether it is translated for CUDA. A process of its own, since JAX keeps what it traced.
"""

import json

import equinox as eqx
import jax
import numpy as np

import diffelec
from diffelec import bodies, graphs

PROTOCOL = diffelec.Protocol.from_strings(
    ["Charge at C/5 until 4.1 V", "Hold at 4.1 V until C/10", "Rest for 10 minutes"]
)
STARTS = (0.9, 0.95, 0.3, np.nan)  # the third is above the limit before it begins


def electrode():
    """Two particles of two slices each, between which lithium moves."""
    network = diffelec.resolve(graphs.star(2), 5e-6, bodies.slices(2))
    return diffelec.presets.electrode_of(network, radius=5e-6, num_shells=6)


def shown(raw):
    """A number that all steps matter to, from a start and factors of radii and of D."""
    start, *factors = raw
    leaves = lambda e: (
        e.initial_stoichiometry,
        e.radius,
        e.curves.diffusivity.log10_values,
    )
    before, radius, log_d = leaves(electrode())
    log_d = log_d + jax.numpy.log10(factors[1])
    changed = (before * 0.0 + start, radius * factors[0], log_d)
    moved = eqx.tree_at(leaves, electrode(), changed)
    found = diffelec.simulate(moved, PROTOCOL, rtol=1e-6, num_saved=2, throw=False)
    onsets = jax.numpy.sum(found.onset_times(level=0.2)) / 3600.0
    return onsets + 10.0 * found.voltage[-1] + found.step_end_times[1] / 3600.0


def lanes():
    """One for each of `STARTS`."""
    return np.array([[start, 1.0 + 0.1 * k, 0.7] for k, start in enumerate(STARTS)])


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    jax.default_backend = lambda: "gpu"
    asked = jax.jit(jax.vmap(jax.value_and_grad(shown)))
    traced = asked.trace(lanes())
    translated = traced.lower(lowering_platforms=("cuda",)).as_text()
    value, slope = traced.lower().compile()(lanes())
    found = {"value": value.tolist(), "slope": slope.tolist()}
    print(json.dumps(found | {"translated": "stablehlo.while" in translated}))


if __name__ == "__main__":
    main()
