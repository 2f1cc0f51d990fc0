"""What a GPU is given to run, compiled without one: kernels a step, memory a lane.

    pip install ".[gpu]"
    python -m benchmarks.gpu_program [--lanes 1000]

XLA compiles for a GPU that it is told of, here an H200. A time step is a few hundred
small kernels that follow one another, each of which takes some microseconds however
little it does: until thousands of lanes fill the device, their number is what a step
costs. Times are not told; `batch` measures those where there is a GPU.
Writes benchmarks/results/gpu_program.json.
"""

import argparse
import os
import re
import time

os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # it would want a driver

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

import diffelec
from benchmarks.batch import functions
from benchmarks.machine import write_result

# Compute capability 9.0 (CUDA programming guide) and the H200's memory (its data
# sheet).
_H200 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 149000000000 memory_bandwidth: 4800000000000
  cuda_compute_capability { major: 9 minor: 0 }
}
platform_name: "CUDA"
dnn_version_info { major: 9 }
device_description_str: "NVIDIA H200"
"""
# Which product of matrices is fastest is tried out on a device; a library's otherwise.
_OPTIONS = {"xla_gpu_enable_triton_gemm": False}
_NO_KERNEL = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast"}
_STEP = 100  # kernels, of a loop over time steps; others have fewer


def compiled(function, lanes: int):
    """(the program, processor time of its making [s]) of a batch of a function."""
    place = topologies.get_topology_desc(
        "h200", platform="cuda", target_config=_H200, topology="1x1x1"
    )
    on = SingleDeviceSharding(place.devices[0])
    raw = jax.ShapeDtypeStruct((lanes, 9), np.float64, sharding=on)
    begin = time.process_time()
    asked = jax.jit(jax.vmap(function), out_shardings=on)
    translated = asked.trace(raw).lower(lowering_platforms=("cuda",))
    program = translated.compile(compiler_options=_OPTIONS)
    return program, time.process_time() - begin


def computations(text: str) -> dict[str, list[str]]:
    """Lines of each computation of a program by its name."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        begins = re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\) -> .*\{$", line)
        if begins:
            lines = found.setdefault("ENTRY" if begins[1] else begins[2], [])
        elif " = " in line:
            lines.append(line.strip())
    return found


def kernels(parts: dict[str, list[str]], name: str, steps: list[int]) -> int:
    """Kernels of a computation, those of loops as often as these turn; of a loop that
    turns as often as it needs none, but those of a turn in `steps`.
    """
    count = 0
    for line in parts[name]:
        kind = re.search(r" = (?:\(.*?\)|\S+) ([\w\-]+)\(", line)
        if kind is None or kind[1] in _NO_KERNEL:
            continue
        if kind[1] != "while":
            count += 1
            continue
        body = re.search(r"body=%?([\w.\-]+)", line)[1]
        turns = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
        own = kernels(parts, body, steps)
        if turns:
            count += int(turns[1]) * own
        elif own > _STEP:
            steps.append(own)
    return count


def main() -> None:
    """Compiles, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lanes", type=int, default=1000)
    lanes = parser.parse_args().lanes
    jax.config.update("jax_enable_x64", True)
    jax.default_backend = lambda: "gpu"  # which form is chosen by
    results = {"device": "NVIDIA H200", "lanes": lanes}
    asked = functions(diffelec.presets.sharma2022())
    for name in ("value", "value_and_gradient"):
        program, seconds = compiled(asked[name], lanes)
        steps: list[int] = []
        kernels(computations(program.as_text()), "ENTRY", steps)
        memory = program.memory_analysis().temp_size_in_bytes
        results[name] = {
            "kernels_a_step_forwards_and_backwards": steps,
            "memory_a_lane_MB": memory / (1e6 * lanes),
            "compilation_processor_s": seconds,
        }
        print(name, results[name], flush=True)
    print(write_result("gpu_program", results))


if __name__ == "__main__":
    main()
