"""Posteriors of the measured sets: time, effective sizes, coverage, left-out particles.

    python -m benchmarks.posteriors [--folder inferred] [SET ...]

Runs `diffelec infer` on each set as a user would and keeps what it says of itself. A
run that is stopped goes on where it was; one that is finished is read again.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np

from . import machine

SETS = {
    "wolfman2023-nmc333": "--sampler hmc --warmup 200 --pilot 300 --draws 1400",
    "wolfman2023-nmc532": "--sampler slice --pilot 300 --draws 1500",
}


PAUSE = 600.0
"""Seconds without a file after which a run was stopped: it writes several a minute."""


def inferred(name: str, folder: pathlib.Path) -> tuple[dict, float]:
    """The summary of a set's posterior, and the seconds from its first file to its
    last draws, without those in which it was stopped.
    """
    out, chunks = folder / name, folder / f"{name}.chunks"
    if not (out / "summary.json").exists():
        command = [sys.executable, "-m", "fitting", "infer", "--example", name]
        command += ["--out", str(out), "--overwrite", "--keep-chunks"]
        command += SETS[name].split()
        if (chunks / "manifest.json").exists():
            command.append("--resume")
        subprocess.run(command, check=True)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    return summary, seconds_between([chunks / "manifest.json", *chunks.rglob("*.npz")])


def seconds_between(paths: list[pathlib.Path]) -> float:
    """From the oldest file to the newest [s], without pauses."""
    steps = np.diff(sorted(path.stat().st_mtime for path in paths))
    return float(np.sum(steps[steps < PAUSE]))


def inside(event: dict, low: str, high: str) -> bool | None:
    """Whether a measured time lies within an interval; None without either."""
    if event["time_h"] is None or event[low] is None:
        return None
    ends = event[high] is None  # beyond the half cycle, where no time is
    return event[low] <= event["time_h"] and (ends or event["time_h"] <= event[high])


def figures_of(name: str, summary: dict, seconds: float) -> dict:
    """What is kept of one set."""
    parameters, events = summary["parameters"], summary["events"]
    total = summary["chains"] * summary["draws_per_chain"]
    without = [inside(e, "left_out_5_h", "left_out_95_h") for e in events]
    known = [found for found in without if found is not None]
    return {
        "words": SETS[name],
        "seconds": round(seconds),
        "verdict": summary["verdict"],
        "chains": summary["chains"],
        "draws_per_chain": summary["draws_per_chain"],
        "largest_rhat": max(p["rhat"] for p in parameters),
        "least_bulk_ess": min(p["ess_bulk"] for p in parameters),
        "least_tail_ess": min(p["ess_tail"] for p in parameters),
        "divergences": summary["divergences"],
        "failed_solves": summary["failed_solves"],
        "solves": summary["solves"],
        "solves_per_kept_draw": round(summary["solves"] / total, 1),
        "e_bfmi": np.round(summary["e_bfmi"], 2).tolist(),
        "events_with_a_time": summary["events_with_a_time"],
        "in_50_percent": summary["of_them_in_50_percent_interval"],
        "in_90_percent": summary["of_them_in_90_percent_interval"],
        "left_out_known": len(known),
        "left_out_in_90_percent": sum(known),
        "events": [
            {
                key: value if not isinstance(value, float) else round(value, 3)
                for key, value in event.items()
                if key not in ("change", "fitted")
            }
            for event in events
        ],
    }


def main() -> None:
    """Infers, prints, writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("inferred"))
    arguments = parser.parse_args()
    unknown = set(arguments.sets) - set(SETS)
    if unknown:
        parser.error(f"SET must be of {', '.join(SETS)}, but is {unknown.pop()}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in arguments.sets:
        found[name] = figures_of(name, *inferred(name, arguments.folder))
        print(json.dumps(found[name], indent=1))
    print(machine.write_result("posteriors", found))


if __name__ == "__main__":
    main()
