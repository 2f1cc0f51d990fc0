"""Cost of a forward solve against the number of particles, and of shells.

    python -m benchmarks.scaling [--repeats 5] [--copies 1 2 4 8 16 32]

First charge of the paper's network. Particles: the network side by side with copies of
itself, on one collector (as many sites as particles, 20 shells), so that the top
particles of every copy react when those of the paper do; the network solved as
`simulate` chooses, and by a dense LU of its block. Shells: the paper's 15 particles.
Beside each time stands the largest error in an onset [h]: of the time steps, against
rtol 1e-6 on the same mesh, and for shells also of the mesh, against one of 320.
Compilation apart; solves interleaved; least times. Fits the exponent of time to the
size, over all sizes and over the upper half, and that of the time a step. Writes
benchmarks/results/scaling.json.
"""

import argparse
import os
import time

os.environ.setdefault("NPROC", "1")  # one thread for XLA's executor

import equinox as eqx
import jax
import numpy as np

import diffelec
from benchmarks.charge import PROTOCOL, RTOL
from benchmarks.machine import write_result

PAPER = (0, 1, 2, 3, 4)
SHELLS = (10, 20, 40, 80, 160)
FINEST, FINE_RTOL = 320, 1e-6
MOST_STEPS = {RTOL: 3000, FINE_RTOL: 20_000}  # buffers are as long as the steps allowed
HOUR = 3600.0


@eqx.filter_jit
def _solved(electrode, rtol: float, way):
    settings = {"num_saved": 2, "max_steps": MOST_STEPS[rtol], "network_solver": way}
    found = diffelec.simulate(electrode, PROTOCOL, rtol=rtol, **settings)
    return found.change_times(0, 0.066), found.num_steps


def onsets(electrode, rtol: float, way=None):
    """Onsets of the top particles [h], and accepted and rejected steps."""
    times, steps = _solved(electrode, rtol, way)
    top = np.flatnonzero(np.asarray(electrode.network.topology.imaged))
    return np.asarray(times)[top] / HOUR, np.asarray(steps).sum(axis=0).tolist()


def measure(electrodes: dict, repeats: int, way=None) -> dict:
    """{size: (first call, least of later calls) [s]}, calls interleaved."""
    first, later = {}, {size: [] for size in electrodes}
    for size, electrode in electrodes.items():
        begin = time.perf_counter()
        onsets(electrode, RTOL, way)
        first[size] = time.perf_counter() - begin
    for _ in range(repeats):
        for size, electrode in electrodes.items():
            begin = time.perf_counter()
            onsets(electrode, RTOL, way)
            later[size].append(time.perf_counter() - begin)
    return {size: (first[size], min(later[size])) for size in electrodes}


def table(electrodes: dict, repeats: int, truth=None, way=None) -> list[dict]:
    """A row for each size."""
    rows = []
    seconds = measure(electrodes, repeats, way)
    for size, electrode in electrodes.items():
        found, (accepted, rejected) = onsets(electrode, RTOL, way)
        fine, _ = onsets(electrode, FINE_RTOL)
        row = {
            "size": size,
            "first_call_s": round(seconds[size][0], 2),
            "seconds": seconds[size][1],
            "accepted_steps": accepted,
            "rejected_steps": rejected,
            "error_of_steps_h": float(np.max(np.abs(found - fine))),
        }
        if truth is not None:
            row["error_of_mesh_h"] = float(np.max(np.abs(fine - truth)))
        rows.append(row)
        print(row, flush=True)
    return rows


def exponent(rows: list[dict]) -> dict:
    """Slopes of log time, and of log time a step tried, against log size."""
    size = np.log([row["size"] for row in rows])
    seconds = np.array([row["seconds"] for row in rows])
    tried = [row["accepted_steps"] + row["rejected_steps"] for row in rows]
    half = len(rows) // 2
    slope = lambda *part: round(float(np.polyfit(*part, 1)[0]), 3)
    return {
        "all": slope(size, np.log(seconds)),
        "upper_half": slope(size[half:], np.log(seconds[half:])),
        "a_step": slope(size, np.log(seconds / tried)),
    }


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    copies = (1, 2, 4, 8, 16, 32)
    parser.add_argument("--copies", type=int, nargs="+", default=copies)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    paper = diffelec.presets.sharma2022
    truth, _ = onsets(paper(num_shells=FINEST), FINE_RTOL)
    by_shells = {n: paper(num_shells=n) for n in SHELLS}
    by_particles = {15 * k: paper(obstructions=PAPER * k) for k in arguments.copies}
    results = {"rtol": RTOL}
    for name, electrodes, known, way in (
        ("shells", by_shells, truth, None),
        ("particles", by_particles, None, None),
        ("particles_dense", by_particles, None, diffelec.solver.DenseLU),
    ):
        rows = table(electrodes, arguments.repeats, known, way)
        results[name] = {"rows": rows, "exponent": exponent(rows)}
        print(name, results[name]["exponent"], flush=True)
    print(write_result("scaling", results))


if __name__ == "__main__":
    main()
