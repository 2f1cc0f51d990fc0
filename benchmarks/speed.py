"""All figures of speed in one command, and the page and plot that hold them.

    python -m benchmarks.speed [--page] [PART ...]

Runs each part in a process of its own (forward, integrators, gradient, pybamm_network,
batch, scaling, large, emitters, gpu_program); one that lacks a package is left out, one
that fails is told of, and the others go on. On a GPU the batch has 10,000 lanes;
without one the parts run on the CPU and say so. Then writes benchmarks/results/speed.md
and work_precision.png from all results that are there; `--page` does only that. Leave
the machine alone meanwhile.
"""

import argparse
import importlib.util
import subprocess
import sys

from benchmarks import speed_figure, speed_page
from benchmarks.machine import RESULTS

PARTS = {
    "forward": "casadi",
    "integrators": "sksundae",
    "gradient": None,
    "pybamm_network": "pybamm",
    "batch": None,
    "scaling": None,
    "large": None,
    "emitters": None,
    "gpu_program": "jax_plugins",
}  # and the package that each needs beside our own
_WORDS = {"large": ("--rtol", "1e-2")}
_WORDS_ON_GPU = {"batch": ("--lanes", "10000", "--chunk", "2500")}


def on_gpu() -> bool:
    """Whether JAX finds a GPU; asked in another process, which then lets go of it."""
    program = "import jax; print(jax.default_backend())"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1] == "gpu"


def run(part: str, words) -> str | None:
    """Runs a part; why there is no result, or None."""
    needed = PARTS[part]
    if needed is not None and importlib.util.find_spec(needed) is None:
        extra = "gpu" if needed == "jax_plugins" else "bench"
        return f"left out, as {needed} is not installed (extra `{extra}`)"
    command = [sys.executable, "-m", f"benchmarks.{part}", *words]
    print(f"== {' '.join(command[1:])}", flush=True)
    code = subprocess.run(command, check=False).returncode
    return None if code == 0 else f"failed with exit status {code}"


def write_page() -> list:
    """The page and the plot, from the results that are there."""
    page, plot = RESULTS / "speed.md", RESULTS / "work_precision.png"
    page.write_text(speed_page.page(RESULTS), encoding="utf-8")
    speed_figure.write(RESULTS, plot)
    return [page, plot]


def main() -> int:
    """Runs, prints, writes; 1 where a part failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--page", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"parts must be of {', '.join(PARTS)}, but {unknown} were given")
    failed = []
    if not arguments.page:
        gpu = on_gpu()
        print("GPU and CPU" if gpu else "no GPU here: the CPU part only")
        words = _WORDS | _WORDS_ON_GPU if gpu else _WORDS
        for part in arguments.parts or PARTS:
            reason = run(part, words.get(part, ()))
            if reason is not None:
                print(f"{part}: {reason}", flush=True)
                failed += [part] * reason.startswith("failed")
    print(*write_page(), sep="\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
