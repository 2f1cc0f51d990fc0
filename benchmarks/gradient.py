"""Cost of derivatives: first charge of the paper's network.

    python -m benchmarks.gradient [--repeats 9]

Times, beside that of the onsets of the five top particles themselves: value and reverse
gradient of their sum, and their whole Jacobian by reverse and by forward mode, for 9
coefficients (knots of kappa and D) and for 30 (those, other knots of D, three scales
and contact factors of single particles). Compilation apart; solves interleaved;
medians. Writes benchmarks/results/gradient.json.
"""

import argparse
import os
import time

os.environ.setdefault("NPROC", "1")  # one thread for XLA's executor

import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks.charge import PROTOCOL, RTOL, moved
from benchmarks.machine import write_result


def onsets_of(electrode, top):
    """Onsets [h] of the particles `top` as a function of raw numbers."""

    def onsets(raw):
        solution = diffelec.simulate(
            moved(electrode, raw), PROTOCOL, rtol=RTOL, num_saved=2, throw=False
        )
        return solution.change_times(0, 0.066)[top] / 3600.0

    return onsets


def measure(functions, point, repeats):
    """{name: (first call, median of later calls)} [s], calls interleaved."""
    first, later = {}, {name: [] for name in functions}
    for name, function in functions.items():
        begun = time.perf_counter()
        jax.block_until_ready(function(point))
        first[name] = time.perf_counter() - begun
    for _ in range(repeats):
        for name, function in functions.items():
            begun = time.perf_counter()
            jax.block_until_ready(function(point))
            later[name].append(time.perf_counter() - begun)
    return {name: (first[name], float(np.median(later[name]))) for name in functions}


def main():
    """Measures, prints and writes."""
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    electrode = diffelec.presets.sharma2022()
    top = np.flatnonzero(electrode.network.topology.imaged)
    onsets = onsets_of(electrode, top)
    functions = {
        "onsets": jax.jit(onsets),
        "value and gradient": jax.jit(jax.value_and_grad(lambda r: onsets(r).sum())),
        "Jacobian by reverse": jax.jit(jax.jacrev(onsets)),
        "Jacobian by forward": jax.jit(jax.jacfwd(onsets)),
    }
    figures = {"rtol": RTOL, "repeats": repeats, "coefficients": {}}
    for count in (9, 30):
        found = measure(functions, jnp.zeros(count), repeats)
        value = found["onsets"][1]
        print(f"{count} coefficients")
        rows = {}
        for name, (first, later) in found.items():
            print(
                f"  {name:20s} {later * 1e3:8.1f} ms   {later / value:5.1f} of the "
                f"onsets   first call {first:5.1f} s"
            )
            rows[name] = {"seconds": later, "ratio": later / value, "first_s": first}
        figures["coefficients"][count] = rows
    print(f"written to {write_result('gradient', figures)}")


if __name__ == "__main__":
    main()
