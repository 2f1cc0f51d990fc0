"""How many random electrodes are solved: curves and contacts from broad priors.

    python -m benchmarks.robustness [--draws 1000] [--seed 0]

Paper's network; kappa(1) 1e-7 to 1e-3 S/m, D times 0.1 to 10, i0 0.03 to 10 A/m2, all
log-uniform; radii 2 to 9 um uniform; every contact radius times 0.3 to 3 log-uniform.
One cycle (CC, CV, discharge) at C/20. Prints the count of every outcome and writes it
to benchmarks/results/robustness.json. A draw passes if it succeeds with every
stoichiometry inside (0, 1), or names its failure.
"""

import argparse
import collections
import time

import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks.machine import write_result

PROTOCOL = [
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Discharge at C/20 until 2.5 V",
]


def draw(key) -> diffelec.Electrode:
    """One random electrode."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))

    def spread(low, high, size=None):
        return 10.0 ** rng.uniform(np.log10(low), np.log10(high), size)

    materials = diffelec.materials
    diffusivity = materials.nmc532_diffusivity()
    shifted = diffelec.curves.PchipCurve(
        diffusivity.knots,
        diffusivity.log10_values + np.log10(spread(0.1, 10.0)),
        diffusivity.unit,
        "random draw",
    )
    electrode = diffelec.presets.sharma2022(
        conductivity=materials.nmc532_conductivity(np.log10(spread(1e-7, 1e-3))),
        diffusivity=shifted,
        exchange_current_density=spread(0.03, 10.0),
        radius=rng.uniform(2e-6, 9e-6, 15),
    )
    factor = 1.0 / spread(0.3, 3.0, 15)
    network = electrode.network
    network = diffelec.Network(
        network.series_resistance,
        network.shape_tail * factor,
        network.shape_head * factor,
        network.topology,
    )
    return diffelec.presets.electrode_of(
        network,
        electrode.curves,
        radius=electrode.radius,
    )


def outcome(electrode, protocol, rtol: float) -> tuple[str, float]:
    """(name of the outcome, accepted and rejected steps)."""
    found = diffelec.simulate(electrode, protocol, rtol=rtol, throw=False)
    steps = float(jnp.nansum(found.num_steps))
    for name in (
        "start_outside_limits",
        "no_consistent_start",
        "no_end",
        "max_steps_reached",
        "step_size_too_small",
        "left_domain",
    ):
        if bool(found.result == getattr(diffelec.RESULTS, name)):
            return f"{name} (step {int(found.failed_step) + 1})", steps
    values = np.stack([found.stoichiometry, found.surface_stoichiometry])
    if not np.all(np.isfinite(values)):
        return "SILENT NaN", steps
    if not np.all((values > 0) & (values < 1)):
        return "SILENT range", steps
    return "successful", steps


def main():
    """Runs the draws and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rtol", type=float, default=1e-5)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    protocol = diffelec.Protocol.from_strings(PROTOCOL)
    counts, steps, began = collections.Counter(), [], time.perf_counter()
    for key in jax.random.split(jax.random.key(arguments.seed), arguments.draws):
        name, used = outcome(draw(key), protocol, arguments.rtol)
        counts[name] += 1
        steps.append(used)
    inside = arguments.draws - counts["start_outside_limits (step 1)"]
    share = counts["successful"] / max(inside, 1)
    for name, count in counts.most_common():
        print(f"{count:6d}  {name}")
    print(f"solved, of those that start inside the limits: {100 * share:.2f} %")
    write_result(
        "robustness",
        {
            "draws": arguments.draws,
            "seed": arguments.seed,
            "rtol": arguments.rtol,
            "outcomes": dict(counts),
            "share_solved": share,
            "steps_median": float(np.median(steps)),
            "steps_max": float(np.max(steps)),
            "wall_s": time.perf_counter() - began,
        },
    )


if __name__ == "__main__":
    main()
