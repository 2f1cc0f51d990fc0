"""Throughput of batches: the first charge of the paper's network, many parameters.

    python -m benchmarks.batch [--lanes 256] [--repeats 3]

Draws of nine coefficients (knots of kappa and D, 0.3 decades each) as the lanes; what
is asked of each are the onsets of the five top particles, then their sum with its
reverse gradient. A loop of single solves, and `diffelec.batch` by threads; on a GPU
vectorised, lanes alike in cost together, beside a loop over one lane in 32.
Compilation apart; loops and batches alternate; medians. Lanes that fail, and those
whose charge ends before the last onset, are counted.
Writes benchmarks/results/batch.json (on a GPU batch_gpu.json).
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks.charge import PROTOCOL, RTOL, moved
from benchmarks.machine import write_result


def functions(electrode) -> dict:
    """What is asked of a lane: onsets [h]; their sum with its gradient; steps."""
    top = np.flatnonzero(np.asarray(electrode.network.topology.imaged))

    def solved(raw):
        changed = moved(electrode, raw)
        return diffelec.simulate(changed, PROTOCOL, rtol=RTOL, num_saved=2, throw=False)

    onsets = lambda raw: solved(raw).change_times(0, 0.066)[top] / 3600.0
    return {
        "value": onsets,
        "value_and_gradient": jax.value_and_grad(lambda raw: jnp.sum(onsets(raw))),
        "steps": lambda raw: jnp.sum(solved(raw).num_steps),
    }


def loop(function):
    """The same lanes one after the other in one thread."""
    compiled = eqx.filter_jit(function)

    def run(lanes):
        rows = [jax.tree.map(np.asarray, compiled(lane)) for lane in lanes]
        return diffelec.stack(rows)

    return run


def timed(run, lanes) -> tuple[float, object]:
    """(seconds, what it gives)."""
    begin = time.perf_counter()
    found = run(lanes)
    return time.perf_counter() - begin, found


def measure(function, lanes, repeats: int, how: dict, share: int) -> dict:
    """Lanes a second of a loop over one lane in `share`, and of a batch of all."""
    single, seconds = loop(function), {"loop": [], "batch": []}
    both = lambda lanes: diffelec.batch(function, lanes, **how)
    single(lanes[:1]), both(lanes)  # compiled
    for _ in range(repeats):
        spent, alone = timed(single, lanes[::share])
        seconds["loop"].append(spent * share)
        spent, found = timed(both, lanes)
        seconds["batch"].append(spent)
    value, known = (jax.tree.leaves(part)[0] for part in (found, alone))
    rows = value.reshape(len(lanes), -1)
    both_known = np.isfinite(value[::share]) & np.isfinite(known)
    alike = value[::share][both_known]
    ratios = np.divide(seconds["loop"], seconds["batch"])
    return {
        "lanes_a_second": {
            name: len(lanes) / float(np.median(spent))
            for name, spent in seconds.items()
        },
        "batch_over_loop": float(np.median(ratios)),
        "of_each_repeat": ratios.round(3).tolist(),
        "failed_lanes": int(np.isnan(rows).any(axis=1).sum()),
        "lanes_that_end_before_the_last_onset": int(np.isinf(rows).any(axis=1).sum()),
        "largest_difference_h": float(np.max(np.abs(alike - known[both_known]))),
    }


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lanes", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--chunk", type=int, help="on a GPU; what its memory holds")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    gpu = jax.default_backend() == "gpu"
    if not gpu:
        print("no GPU here: threads only")
    rng = np.random.default_rng(0)
    lanes = 0.3 * rng.standard_normal((arguments.lanes, 9))
    asked = functions(diffelec.presets.sharma2022())
    steps = diffelec.batch(asked.pop("steps"), lanes)
    together = {"cost": steps, "chunk": arguments.chunk}
    how, share = (together, 32) if gpu else ({}, 1)
    results = {"lanes": arguments.lanes, "repeats": arguments.repeats}
    results["steps"] = {"mean": float(np.mean(steps)), "most": float(np.max(steps))}
    for name, function in asked.items():
        results[name] = measure(function, lanes, arguments.repeats, how, share)
        print(name, results[name], flush=True)
    print(write_result("batch_gpu" if gpu else "batch", results))


if __name__ == "__main__":
    main()
