"""Cost of derivatives: first charge of the paper's network.

    python -m benchmarks.gradient [--repeats 9]

Times, beside that of the onsets of the five top particles themselves: value and reverse
gradient of their sum, and their whole Jacobian by reverse and by forward mode, for 9
coefficients (knots of kappa and D) and for 30 (those, other knots of D, three scales
and contact factors of single particles), and for the 9 where every particle is cut into
4 slices. Compiled with `diffelec.compiler_options()`; compilation apart; in turn,
each after a call of its own; medians. Writes benchmarks/results/gradient.json.
"""

import argparse
import os
import time

os.environ.setdefault("NPROC", "1")  # one thread for XLA's executor

import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks import fronts
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


def functions_of(electrode) -> dict:
    """{name: compiled function of raw numbers}."""
    onsets = onsets_of(electrode, np.flatnonzero(electrode.network.topology.imaged))
    functions = {
        "onsets": onsets,
        "value and gradient": jax.value_and_grad(lambda r: onsets(r).sum()),
        "Jacobian by reverse": jax.jacrev(onsets),
        "Jacobian by forward": jax.jacfwd(onsets),
    }
    options = {
        name: diffelec.compiler_options(plain=name == "onsets") for name in functions
    }
    return {
        name: jax.jit(function, compiler_options=options[name])
        for name, function in functions.items()
    }


def measure(functions, point, repeats):
    """{name: (first call, median of later calls)} [s], in turn; each after another call
    of its own, since those of a Jacobian leave neither caches nor memory as they were.
    """
    first, later = {}, {name: [] for name in functions}
    for name, function in functions.items():
        begun = time.perf_counter()
        jax.block_until_ready(function(point))
        first[name] = time.perf_counter() - begun
    for _ in range(repeats):
        for name, function in functions.items():
            jax.block_until_ready(function(point))
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
    whole, cut = diffelec.presets.sharma2022(), fronts.electrode_of(4, "foot", 0.5)
    figures = {"rtol": RTOL, "repeats": repeats, "coefficients": {}}
    cases = ((9, whole, ""), (30, whole, ""), (9, cut, ", particles of 4 slices"))
    for count, electrode, form in cases:
        found = measure(functions_of(electrode), jnp.zeros(count), repeats)
        value = found["onsets"][1]
        print(f"{count} coefficients{form}")
        rows = {}
        for name, (first, later) in found.items():
            print(
                f"  {name:20s} {later * 1e3:8.1f} ms   {later / value:5.1f} of the "
                f"onsets   first call {first:5.1f} s"
            )
            rows[name] = {"seconds": later, "ratio": later / value, "first_s": first}
        figures["coefficients"][f"{count}{form}"] = rows
    print(f"written to {write_result('gradient', figures)}")


if __name__ == "__main__":
    main()
