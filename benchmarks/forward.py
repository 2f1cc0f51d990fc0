"""First charge of the paper's network: time against error, beside CasADi/IDAS.

    python -m benchmarks.forward [--repeats 15] [--no-compiled]

Both integrate the same equations (20 shells, 15 particles) over the first 75,000 s and
give 101 outputs; one thread each; solves in turn, so that all meet the same machine,
each after one of its own that is not counted, so that none meets the caches of another.
Errors are the largest over outputs and particles of the mean stoichiometry, and of the
voltage, against Rodas5P at rtol 1e-9. CasADi appears in four forms:
diffusivity by a B-spline (`casadi.interpolant`) or by a hand-made Hermite look-up, both
with the means as extra states, each interpreted and compiled with gcc. Prints the
table and the ratio of times at equal error (interpolated in logarithms), and writes
benchmarks/results/forward.json.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("NPROC", "1")  # one thread for XLA's executor

import jax
import numpy as np

import diffelec
from benchmarks import casadi_network
from benchmarks.machine import write_result

END = 75000.0
TIMES = np.linspace(0.0, END, 101)
OURS = (3e-3, 1e-3, 3e-4, 1e-4, 1e-5, 1e-6)
THEIRS = (1e-4, 1e-5, 1e-6, 1e-7)


def our_solver(rtol: float, method=diffelec.solver.RODAS4P2, max_steps: int = 2000):
    """A call that solves by this package."""
    electrode = diffelec.presets.sharma2022()
    protocol = diffelec.Protocol.from_strings([f"Charge at C/20 for {END:.0f} s"])

    def solve():
        found = diffelec.simulate(
            electrode,
            protocol,
            rtol=rtol,
            times=TIMES,
            method=method,
            max_steps=max_steps,
        )
        found.voltage.block_until_ready()
        steps = int(np.asarray(found.num_steps).sum())
        return np.asarray(found.stoichiometry), np.asarray(found.voltage), steps

    return solve


def their_solver(rtol: float, form: str, compiled: bool):
    """A call that solves by CasADi/IDAS; particles in our order."""
    case = casadi_network.paper_case()
    solver = casadi_network.build(
        case, END, TIMES, rtol, 0.1 * rtol, theta=form, compiled=compiled
    )
    ends = np.cumsum(np.arange(1, 6)) - 1
    order = np.r_[ends, np.setdiff1d(np.arange(15), ends)]

    def solve():
        found = solver()
        return found["xbar"][:, order], found["voltage"], found["num_steps"]

    return solve


def contenders(compiled: bool) -> dict:
    """{(name, rtol): solve} of all forms."""
    found = {("diffelec Rodas4P2", r): our_solver(r) for r in OURS}
    forms = [("bspline", False), ("table", False)]
    forms += [("bspline", True), ("table", True)] if compiled else []
    for form, gcc in forms:
        name = f"CasADi/IDAS {form}{' gcc' if gcc else ''}"
        found |= {(name, r): their_solver(r, form, gcc) for r in THEIRS}
    return found


def measure(solvers: dict, repeats: int, reference) -> list[dict]:
    """Best and median times of solves in turn, with errors and steps."""
    answers = {key: solve() for key, solve in solvers.items()}
    spent = {key: [] for key in solvers}
    for _ in range(repeats):
        for key, solve in solvers.items():
            solve()
            began = time.perf_counter()
            solve()
            spent[key].append(time.perf_counter() - began)
    rows = []
    for (name, rtol), times in spent.items():
        x, voltage, steps = answers[name, rtol]
        rows.append(
            {
                "solver": name,
                "rtol": rtol,
                "best_s": min(times),
                "median_s": float(np.median(times)),
                "steps": steps,
                "error_x": float(np.abs(x - reference[0]).max()),
                "error_V": float(np.abs(voltage - reference[1]).max()),
            }
        )
    return rows


def time_at(rows: list[dict], name: str, error: float) -> float:
    """Median time of a solver at an error of x, by interpolation in logarithms."""
    own = sorted((r["error_x"], r["median_s"]) for r in rows if r["solver"] == name)
    errors, times = np.log(np.array(own)).T
    return float(np.exp(np.interp(np.log(error), errors, times)))


def start_up() -> dict:
    """Seconds of imports and first solve in a fresh process: cold and warm cache."""
    program = (
        "import time; a = time.perf_counter()\n"
        "import jax; jax.config.update('jax_enable_x64', True)\n"
        "import diffelec; b = time.perf_counter()\n"
        "e = diffelec.presets.sharma2022()\n"
        "p = diffelec.Protocol.from_strings(['Charge at C/20 until 4.3 V'])\n"
        "s = diffelec.simulate(e, p).voltage.block_until_ready()\n"
        "print(b - a, time.perf_counter() - b)"
    )
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        settings = {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
            "EQX_ON_ERROR": "nan",
        }
        environment = {k: v for k, v in os.environ.items() if k != "NPROC"} | settings
        for name in ("cold", "warm"):
            out = subprocess.run(
                [sys.executable, "-c", program],
                env=environment,
                capture_output=True,
                text=True,
                check=True,
            )
            imports, first = map(float, out.stdout.split())
            found |= {f"imports_{name}_s": imports, f"first_solve_{name}_s": first}
    return found


def main():
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--no-compiled", action="store_true")
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    starts = start_up()
    print(" ".join(f"{k} {v:.1f}" for k, v in starts.items()))
    reference = our_solver(1e-9, diffelec.solver.RODAS5P, max_steps=8000)()
    rows = measure(contenders(not arguments.no_compiled), arguments.repeats, reference)
    print("solver                     rtol    best_s median_s steps error_x error_V")
    for row in rows:
        print(
            f"{row['solver']:26s} {row['rtol']:.0e} {row['best_s']:8.4f} "
            f"{row['median_s']:8.4f} {row['steps']:5d} {row['error_x']:.1e} "
            f"{row['error_V']:.1e}"
        )
    ratios = {}
    for name in dict.fromkeys(r["solver"] for r in rows if "IDAS" in r["solver"]):
        for error in (3e-4, 1e-4, 3e-5):
            ratio = time_at(rows, "diffelec Rodas4P2", error) / time_at(
                rows, name, error
            )
            ratios[f"{name} at {error:.0e}"] = ratio
            print(f"time ratio to {name:24s} at error {error:.0e}: {ratio:.2f}")
    write_result("forward", {"start_up": starts, "rows": rows, "ratios": ratios})


if __name__ == "__main__":
    main()
