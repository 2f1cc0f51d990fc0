"""Where a benchmark ran: machine and versions beside every figure."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess

RESULTS = pathlib.Path(__file__).parent / "results"
_PACKAGES = (
    *("jax", "jaxlib", "diffrax", "equinox", "numpy", "scipy"),
    *("casadi", "pybamm", "scikit-fem"),
)


def describe() -> dict:
    """Processor, cores, Python and package versions, commit."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    model = platform.processor()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next(
            (line.split(":")[1].strip() for line in lines if "model name" in line),
            model,
        )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit.stdout.strip(),
    }


def write_result(name: str, figures: dict) -> pathlib.Path:
    """Writes results/NAME.json with the machine beside the figures."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    text = json.dumps({"machine": describe(), "figures": figures}, indent=1)
    path.write_text(text + "\n")
    return path
