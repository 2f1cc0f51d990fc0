"""Derivatives of the paper's network beside central differences, one by one.

    python -m benchmarks.derivatives

Charge at C/20 until 4.3 V, hold until C/50, rest, discharge until 2.5 V, charge until
4.1 V, at rtol 1e-9. Rows: the onsets of the five top particles in the first charge, and
a voltage loss (sum of squares about 3.8 V at the saved instants). Components: every
knot of kappa and D and every contact, as log10. Forward mode, reverse mode, and central
differences extrapolated from steps h and 2h, the best of three h a component; errors
are over the largest component of a row. Writes benchmarks/results/derivatives.json.
"""

import os
import time

os.environ.setdefault("NPROC", "1")  # one thread for XLA's executor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

import diffelec
from benchmarks.machine import write_result

STEPS = [
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Rest for 1 hour",
    "Discharge at C/20 until 2.5 V",
    "Charge at C/20 until 4.1 V",
]
STEP_SIZES = (1e-4, 3e-4, 1e-3)  # decades
RTOL = 1e-9


def leaves(electrode):
    """What moves: knots of both curves, shapes of all contacts."""
    return (
        electrode.curves.conductivity.log10_values,
        electrode.curves.diffusivity.log10_values,
        electrode.network.shape_tail,
        electrode.network.shape_head,
    )


def outputs_of(electrode):
    """(rows of raw numbers, how many numbers)."""
    top = np.flatnonzero(electrode.network.topology.imaged)
    kappa, diffusivity, tail, head = leaves(electrode)
    protocol = diffelec.Protocol.from_strings(STEPS)
    cuts = np.cumsum([len(kappa), len(diffusivity)])

    def outputs(raw):
        first, second, contacts = jnp.split(raw, cuts)
        factor = 10.0**contacts
        moved = (kappa + first, diffusivity + second, tail * factor, head * factor)
        solution = diffelec.simulate(
            eqx.tree_at(leaves, electrode, moved),
            protocol,
            rtol=RTOL,
            num_saved=21,
            method=diffelec.solver.RODAS5P,
            max_steps=8000,
        )
        onsets = solution.change_times(0, 0.066)[top] / 3600.0
        loss = jnp.sum((solution.voltage - 3.8) ** 2)
        return jnp.concatenate([onsets, loss[None]])

    return outputs, len(kappa) + len(diffusivity) + len(tail)


def differences(values, size):
    """Jacobians by extrapolated central differences, one a step size."""
    found = np.zeros((len(STEP_SIZES), values(jnp.zeros(size)).size, size))
    for k in tqdm(range(size), desc="differences", disable=None):
        unit = jnp.zeros(size).at[k].set(1.0)
        central = {}
        for h in sorted({m * h for h in STEP_SIZES for m in (1, 2)}):
            central[h] = (values(h * unit) - values(-h * unit)) / (2 * h)
        for n, h in enumerate(STEP_SIZES):
            found[n, :, k] = (4.0 * central[h] - central[2 * h]) / 3.0
    return found


def main():
    """Measures, prints and writes."""
    jax.config.update("jax_enable_x64", True)
    outputs, size = outputs_of(diffelec.presets.sharma2022())
    values = jax.jit(outputs)
    begun = time.perf_counter()
    forward = np.asarray(jax.jit(jax.jacfwd(outputs))(jnp.zeros(size)))
    reverse = np.asarray(jax.jit(jax.jacrev(outputs))(jnp.zeros(size)))
    by_differences = differences(values, size)
    largest = np.max(np.abs(reverse), axis=1, keepdims=True)
    modes = np.max(np.abs(forward - reverse) / largest, axis=1)
    errors = np.min(np.abs(by_differences - reverse), axis=0) / largest
    names = [f"onset {k + 1}" for k in range(len(largest) - 1)] + ["voltage loss"]
    figures = {"rtol": RTOL, "components": size, "rows": {}}
    for name, mode, error in zip(names, modes, errors, strict=True):
        print(
            f"{name:13s} forward - reverse {mode:.1e}   differences {error.max():.1e}"
        )
        figures["rows"][name] = {"modes": float(mode), "differences": error.tolist()}
    print(f"{size} components, {time.perf_counter() - begun:.0f} s")
    print(f"written to {write_result('derivatives', figures)}")


if __name__ == "__main__":
    main()
