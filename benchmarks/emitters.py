"""XLA's ways to make code for CPUs: time to compile, and time to run.

    python -m benchmarks.emitters [--repeats 3]

Each case is compiled anew in a process of its own, in turn with the newer emitters
(`--xla_cpu_use_fusion_emitters`), with the older ones, with those at LLVM's second
level of effort in place of the third (`--xla_backend_optimization_level`), and with
loops of eight turns and more left as loops besides, at both levels (the third is what
`diffelec.set_compiler` sets); and so with XLA's search for what does not change in a
loop, which `simulate` leaves out otherwise: a first charge of the paper's network and
the gradient of its onsets, a batch of 64 such charges, and 1000 particles (sparse
factors). Seconds of processor time of the first call, seconds of a later one; medians.
Writes
benchmarks/results/emitters.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks.charge import PROTOCOL, RTOL
from benchmarks.gradient import onsets_of
from benchmarks.large import charged, electrode_of
from benchmarks.machine import write_result

CASES = ("charge", "gradient", "batch", "large")
BATCH, LATER = 64, 5
_FLAGS = (
    "--xla_cpu_use_fusion_emitters={} --xla_backend_optimization_level={} "
    "--xla_backend_extra_options=-unroll-full-max-count={}"
)
_ANY = 2**32 - 1  # as LLVM itself
_SEARCH = " --xla_disable_hlo_passes=none"  # a flag that is set stays as it is
WAYS = {
    "newer": _FLAGS.format("true", 3, _ANY),
    "older": _FLAGS.format("false", 3, _ANY),
    "older, level 2": _FLAGS.format("false", 2, _ANY),
    "older, level 2, loops": _FLAGS.format("false", 2, 7),
    "older, loops": _FLAGS.format("false", 3, 7),
    "older, loops, search": _FLAGS.format("false", 3, 7) + _SEARCH,
}


def case_of(name: str):
    """A function of nothing that solves."""
    electrode = diffelec.presets.sharma2022()
    top = np.flatnonzero(electrode.network.topology.imaged)
    onsets, raw = onsets_of(electrode, top), jnp.zeros(9)
    if name == "charge":
        return lambda: diffelec.simulate(electrode, PROTOCOL, rtol=RTOL).voltage
    if name == "gradient":
        function = jax.jit(jax.value_and_grad(lambda r: onsets(r).sum()))
        return lambda: function(raw)
    if name == "batch":
        many = 0.05 * jax.random.normal(jax.random.key(0), (BATCH, 9))
        return lambda: diffelec.batch(onsets, many)
    packing = electrode_of("packing", 1000)
    return lambda: charged(packing, 1e-3, ["Charge at C/20 for 2 hours"])


def one(name: str) -> dict:
    """First and later calls of a case in this process."""
    case = case_of(name)
    begin = time.process_time()
    jax.block_until_ready(jax.tree.leaves(case()))
    first, later = time.process_time() - begin, []
    for _ in range(LATER):
        begin = time.perf_counter()
        jax.block_until_ready(jax.tree.leaves(case()))
        later.append(time.perf_counter() - begin)
    return {"first_processor_s": first, "later_s": float(np.median(later))}


def elsewhere(name: str, flags: str) -> dict:
    """The same in a process of its own that finds nothing compiled."""
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_ENABLE_COMPILATION_CACHE": "0"}
    command = [sys.executable, "-m", "benchmarks.emitters", "--one", name]
    found = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    )
    return json.loads(found.stdout)


def main() -> None:
    """Measures, prints, writes."""
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", choices=CASES)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one)))
        return
    figures = {}
    for name in CASES:
        rows = {way: [] for way in WAYS}
        for _ in range(arguments.repeats):
            for way, own in rows.items():
                own.append(elsewhere(name, WAYS[way]))
        figures[name] = {
            way: {key: float(np.median([row[key] for row in own])) for key in own[0]}
            for way, own in rows.items()
        }
        print(name, json.dumps(figures[name]), flush=True)
    print(write_result("emitters", figures))


if __name__ == "__main__":
    main()
