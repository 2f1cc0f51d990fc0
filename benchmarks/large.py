"""Thousands of particles: time and memory of a first charge, and of its gradient.

    python -m benchmarks.large [--sizes 100 300 1000 3000 10000] [--rtol 1e-3]

Two kinds of electrode, each charged at C/20 to 4.3 V with 20 shells a particle:

- `copies`: the paper's network beside copies of itself, on one collector. All copies
  react at the same instants, so that the integrator makes as many steps as for one:
  what is left is the cost of a step.
- `packing`: spheres of all sizes in a random packing, two in five of them on carbon.
  Every particle that others obstruct jumps at an instant of its own, and steps resolve
  each jump (the error is the largest over the columns): their number grows with the
  particles until some particle or other jumps all the time.

Beside each time stands the largest error in an onset against rtol 1e-5 (up to 1000
particles). Every size runs in a process of its own, for its peak memory; compilation
apart. Then two ways to solve the network against each other, and a gradient at 1000
particles. Writes benchmarks/results/large.json.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks.machine import write_result
from diffelec import graphs

SIZES = (100, 300, 1000, 3000, 10_000)
FINE, MOST_FINE = 1e-5, 1000
PAPER = (0, 1, 2, 3, 4)
CHARGE = ["Charge at C/20 until 4.3 V"]
MOST_STEPS = 40_000


def electrode_of(kind: str, size: int):
    """About `size` particles."""
    if kind == "copies":
        return diffelec.presets.sharma2022(obstructions=PAPER * round(size / 15))
    centres, radii = graphs.random_packing(size, seed=1)
    network = graphs.touching_spheres(
        centres, radii, contact_radius=0.5e-6, carbon_share=0.4, reach=0.1
    )
    return diffelec.presets.electrode_of(network, radius=radii)


def charged(electrode, rtol: float, steps=None, **settings):
    """The solution of a charge."""
    protocol = diffelec.Protocol.from_strings(CHARGE if steps is None else steps)
    settings = {"max_steps": MOST_STEPS, "num_saved": 11} | settings
    if electrode.num_particles <= 1000:  # buffers are as long as the steps allowed
        settings["max_steps"] = min(settings["max_steps"], 8000)
    found = diffelec.simulate(electrode, protocol, rtol=rtol, **settings)
    return jax.block_until_ready(found)


def one(kind: str, size: int, rtol: float) -> dict:
    """A row for one size."""
    electrode = electrode_of(kind, size)
    begin = time.perf_counter()
    charged(electrode, rtol, ["Charge at C/20 for 20 minutes"])
    first = time.perf_counter() - begin
    begin, busy = time.perf_counter(), time.process_time()
    found = charged(electrode, rtol)
    seconds, busy = time.perf_counter() - begin, time.process_time() - busy
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    onsets = np.asarray(found.change_times(0))
    accepted, rejected = np.asarray(found.num_steps)[0].tolist()
    row = {
        "kind": kind,
        "particles": electrode.num_particles,
        "edges": electrode.network.topology.num_edges,
        "first_call_s": round(first, 1),
        "seconds": round(seconds, 2),
        "processor_s": round(busy, 2),
        "peak_memory_GB": round(memory, 2),
        "accepted_steps": accepted,
        "rejected_steps": rejected,
        "reacted": int(np.isfinite(onsets).sum()),
        "charge_h": float(found.step_end_times[0]) / 3600,
    }
    if size <= MOST_FINE:
        fine = np.asarray(charged(electrode, FINE).change_times(0))
        row["error_of_onsets_s"] = float(np.max(np.abs(onsets - fine)))
    return row


def in_a_process(*arguments) -> dict:
    """What this program prints last when it is called with these arguments."""
    command = [sys.executable, "-m", "benchmarks.large", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def exponent(rows: list[dict]) -> dict:
    """Slopes of log time against log size, over all sizes and over the upper three."""
    logs = np.log([[row["particles"], row["seconds"]] for row in rows]).T
    slope = lambda part: round(float(np.polyfit(*part, 1)[0]), 3)
    return {"all": slope(logs), "upper": slope(logs[:, -3:])}


def agreement(size: int = 300) -> dict:
    """How far SuperLU's factors are from elimination in one function, on a packing."""
    electrode = electrode_of("packing", size)
    chosen, sparse = (
        charged(electrode, 1e-4, network_solver=kind)
        for kind in (None, diffelec.solver.SparseLU)
    )
    far = lambda name: float(
        np.max(np.abs(getattr(chosen, name) - getattr(sparse, name)))
    )
    return {
        "particles": size,
        "steps": np.asarray(sparse.num_steps)[0].tolist(),
        "stoichiometry": far("site_stoichiometry"),
        "voltage_V": far("voltage"),
        "end_s": far("step_end_times"),
    }


def gradient(size: int, rtol: float) -> dict:
    """A loss of all particles' stoichiometries and the voltage after six hours, its
    gradient to all parameters, and what that costs.
    """
    electrode = jax.tree.map(jnp.asarray, electrode_of("packing", size))
    weight = jnp.arange(size) / size

    def loss(electrode):
        steps = ["Charge at C/20 for 6 hours"]
        found = charged(electrode, rtol, steps, num_saved=2, max_steps=1280)
        return jnp.sum(weight * found.stoichiometry[-1]) + found.voltage[-1]

    def seconds(function):
        jax.block_until_ready(function(electrode))
        begin = time.perf_counter()
        found = jax.block_until_ready(function(electrode))
        return time.perf_counter() - begin, found

    value, _ = seconds(eqx.filter_jit(loss))
    both, (_, slopes) = seconds(eqx.filter_jit(eqx.filter_value_and_grad(loss)))
    leaves = jax.tree.leaves(eqx.filter(slopes, eqx.is_array))
    return {
        "particles": size,
        "value_s": round(value, 2),
        "value_and_gradient_s": round(both, 2),
        "ratio": round(both / value, 2),
        "parameters": sum(leaf.size for leaf in leaves),
        "finite": all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves),
        "peak_memory_GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        * 1024
        / 1e9,
    }


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    if arguments.one:
        kind, size = arguments.one
        parts = {"agreement": agreement, "gradient": gradient}
        if kind in parts:
            own = (int(size),) if kind == "agreement" else (int(size), arguments.rtol)
            print(json.dumps(parts[kind](*own)))
        else:
            print(json.dumps(one(kind, int(size), arguments.rtol)))
        return
    results = {"rtol": arguments.rtol}
    for kind in ("copies", "packing"):
        rows = []
        for size in arguments.sizes:
            rows.append(in_a_process("--one", kind, size, "--rtol", arguments.rtol))
            print(rows[-1], flush=True)
        results[kind] = {"rows": rows, "exponent": exponent(rows)}
        print(kind, results[kind]["exponent"], flush=True)
        write_result("large", results)
    for kind, size in (("agreement", 300), ("gradient", 1000)):
        results[kind] = in_a_process("--one", kind, size, "--rtol", arguments.rtol)
        print(kind, results[kind], flush=True)
    print(write_result("large", results))


if __name__ == "__main__":
    main()
