"""Posteriors of the measured sets: time, effective sizes, coverage, left-out particles.

    python -m benchmarks.posteriors [--sampler hmc] [--draws 600] [SET ...]

Runs `diffelec infer` on each set as a user would and keeps what it says of itself. A
run that is stopped goes on where it was.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np

from . import machine

SETS = ("wolfman2023-nmc333", "wolfman2023-nmc532")


def inferred(name: str, folder: pathlib.Path, words: list[str]) -> tuple[dict, float]:
    """The summary of a set's posterior, and the seconds that it took."""
    out = folder / name
    command = [sys.executable, "-m", "fitting", "infer", "--example", name]
    command += ["--out", str(out), "--overwrite", "--keep-chunks", *words]
    if (folder / f"{name}.chunks" / "manifest.json").exists():
        command.append("--resume")
    begin = time.monotonic()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - begin
    return json.loads((out / "summary.json").read_text(encoding="utf-8")), seconds


def inside(event: dict, low: str, high: str) -> bool | None:
    """Whether a measured time lies within an interval; None without either."""
    if event["time_h"] is None or event[low] is None:
        return None
    return event[low] <= event["time_h"] <= event[high]


def figures_of(summary: dict, seconds: float) -> dict:
    """What is kept of one set."""
    parameters, events = summary["parameters"], summary["events"]
    total = summary["chains"] * summary["draws_per_chain"]
    without = [inside(e, "left_out_5_h", "left_out_95_h") for e in events]
    known = [found for found in without if found is not None]
    return {
        "seconds_of_this_process": round(seconds),
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
    parser.add_argument("--sampler", default="hmc")
    parser.add_argument("--draws", default="600")
    parser.add_argument("--warmup", default="200")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    words = ["--sampler", arguments.sampler]
    words += ["--draws", arguments.draws, "--warmup", arguments.warmup]
    found = {}
    for name in arguments.sets:
        found[name] = figures_of(*inferred(name, arguments.folder, words))
        print(json.dumps(found[name], indent=1))
    print(machine.write_result("posteriors", found))


if __name__ == "__main__":
    main()
