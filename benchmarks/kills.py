"""Kills a run of chains 20 times at random and checks that no bit was lost.

    python -m benchmarks.kills [--sampler slice|tempered]

The run is that of `tests/fitting/killed.py`: NUTS, slices with a pilot and jumps, or
walkers from the prior on, on a posterior that is known, with failed solves. Every
process is killed (SIGKILL) after a random time, or dies in the middle of a random
write; when it has finished, its draws are compared with those of a run that was left
alone, and it is begun anew until 20 kills have struck.
Writes benchmarks/results/kills.json, kills_slice.json or kills_tempered.json.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from fitting.chunks import Store
from tests.fitting.killed import PILOTS, PLAN, SAMPLERS

from . import machine

FILES = {"nuts": 7, "slice": 4, "tempered": 20}  # written by half of a run
ROOT = pathlib.Path(__file__).parents[1]


def started(folder: pathlib.Path, cache: pathlib.Path, *words: str):
    """A process that begins or resumes the run in a folder."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    command = [sys.executable, "-m", "tests.fitting.killed", str(folder), *words]
    return subprocess.Popen(command, env=environment, cwd=ROOT)


def killed_at_random(process, rng, seconds: float) -> bool:
    """Whether a process was killed before it ended; waits for the first file, then for
    a random part of the time that a whole run's writing takes.
    """
    try:
        process.wait(rng.uniform(0.0, seconds))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return process.returncode == -signal.SIGKILL


def contents(folder: pathlib.Path, sampler: str) -> list:
    """All draws of a finished run."""
    front = SAMPLERS[sampler]().num_warmup + PILOTS[sampler]
    store, total = Store(folder), front + PLAN.num_draws
    numbers = range(-(-total // PLAN.chunk))
    return [store.read(c, k)[0] for c in range(PLAN.num_chains) for k in numbers]


def same(one: list, other: list) -> bool:
    """Whether two runs are the same bits."""
    pairs = zip(one, other, strict=True)
    return all(
        np.array_equal(a, b, equal_nan=True)
        for left, right in pairs
        for a, b in zip(left, right, strict=True)
    )


def main() -> None:
    """Kills, compares, writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sampler", choices=SAMPLERS, default="nuts")
    arguments = parser.parse_args()
    rng, sampler = np.random.default_rng(arguments.seed), arguments.sampler
    files = FILES[sampler]
    kills, in_writes, equal, finished, begun = 0, 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        started(place / "whole", place / "cache", sampler).wait()
        begin = time.monotonic()
        started(place / "again", place / "cache", sampler).wait()
        seconds = time.monotonic() - begin
        whole = contents(place / "whole", sampler)
        while kills < arguments.kills:
            folder = place / f"killed-{begun}"
            begun += 1
            while True:
                write = bool(rng.random() < 0.5) and kills < arguments.kills
                words = [str(rng.integers(1, files + 1))] if write else []
                process = started(folder, place / "cache", sampler, *words)
                if kills >= arguments.kills:
                    process.wait()
                struck = killed_at_random(process, rng, 60.0 if write else seconds)
                kills += struck
                in_writes += struck and write
                if not struck:
                    break
            finished += 1
            equal += same(contents(folder, sampler), whole)
            print(f"{kills} kills, {equal} of {finished} runs equal", flush=True)
    figures = {
        "kills": kills,
        "of them in the middle of a write": int(in_writes),
        "runs finished after kills": finished,
        "of them equal bit by bit": equal,
        "seconds of a run left alone": seconds,
    }
    stem = "kills" + ("" if sampler == "nuts" else f"_{sampler}")
    print(machine.write_result(stem, figures))
    if equal != finished:
        raise SystemExit("a resumed run differs")


if __name__ == "__main__":
    main()
