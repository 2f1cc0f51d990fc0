"""A small run of chains for a process of its own, which may kill itself in a write.

    python -m tests.fitting.killed FOLDER SAMPLER [NUMBER]

SAMPLER: nuts, slice (with a pilot and jumps), or tempered. NUMBER: of the file in whose
writing, before its last name is given, the process dies.
"""

import os
import signal
import sys
from pathlib import Path

import jax
import numpy as np

from fitting import (
    chunks,
    identity,
    posterior,
    samplers,
    sampling,
    slices,
    tempering,
)
from tests.fitting.linear import linear_problem, off_centre

PLAN = sampling.Plan(num_chains=2, num_draws=23, seed=3, chunk=6)
PILOTS = {"nuts": 0, "slice": 12, "tempered": 0}  # draws in front of jumps
SAMPLERS = {
    "nuts": lambda: samplers.NUTS(num_warmup=20),
    "slice": slices.Elliptical.example,
    "tempered": lambda: tempering.Tempering(num_walkers=6, num_draws=8),
}


def draws_in(folder: Path, name: str = "nuts", callback=None) -> sampling.Samples:
    """Begins or resumes the run in a folder, and takes it to its end."""
    problem, sampler = linear_problem(fails_beyond=1.2), SAMPLERS[name]()
    store = chunks.Store(folder)
    same = identity.identity_of(problem, sampler, PLAN.seed, PLAN.chunk)
    (store.check if store.begun else store.create)(same)
    target = posterior.Posterior.about(problem, off_centre())
    if isinstance(sampler, tempering.Tempering):
        alone = np.zeros(target.size, bool)
        work = (target, alone, store, PLAN, sampler)
        return tempering.sample_tempered(*work, callback=callback)[0]
    work = (target, sampler, store, PLAN, PILOTS[name])
    return sampling.sample_jumping(*work, callback=callback)


def die_in_write(number: int) -> None:
    """Kills this process between a file's last byte and its name."""
    replace, count = os.replace, [0]

    def replace_or_die(*names):
        count[0] += 1
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*names)

    os.replace = replace_or_die


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    if len(sys.argv) > 3:
        die_in_write(int(sys.argv[3]))
    draws_in(Path(sys.argv[1]), sys.argv[2])
