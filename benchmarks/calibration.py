"""Do posteriors hold what they promise? Simulation-based calibration of `infer`.

    python -m benchmarks.calibration [--sampler slice] [--trials 300]

Each trial draws a truth from the prior (two contacts, a diffusivity), lets the two
particles react under a recorded voltage, scatters midpoints and durations, stops
imaging before slow ones have reacted, and samples the posterior as `diffelec infer`
does (`--sampler nuts` as well). The truth's ranks must be uniform; with deviations
taken for half of what they are, and with particles never seen to react left out, they
must not. Trials are kept in --folder: a run that is stopped goes on where it was.
Writes benchmarks/results/calibration.json and .png (of NUTS calibration_nuts).
"""

import argparse
import dataclasses
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist
import scipy.stats

from benchmarks.machine import RESULTS, write_result
from fitting import calibration, imaged, parameters, posterior_figures, priors, style
from fitting.calibration import Experiment, Trial
from fitting.events import Event, Events
from fitting.noise import EventNoise
from fitting.problem import Problem, Simulated

HOUR = 3600.0
HOURS = np.array([0.0, 0.1, 1.0, 4.0, 7.0, 10.0])
VOLTAGE = np.array([3.2, 3.7, 3.95, 4.0, 4.15, 4.3])
LABELS = ("p", "q")
SD = 0.15 * HOUR
LAST_FRAME = 7.5 * HOUR
DRAWS = 155
THINNING = 5  # where a particle was not seen, a draw is worth a fifth of one in tails
SAMPLERS = {
    "nuts": calibration.of_nuts(80),
    "slice": calibration.of_law(4, 150),
}


def problem() -> Problem:
    """Two particles on a recorded voltage."""
    rows = []
    for label in LABELS:
        rows.append(Event(label, "midpoint", time=5.0 * HOUR, sd=SD))
        rows.append(Event(label, "duration", time=HOUR, sd=SD))
    events = Events.from_rows(rows)
    electrode = imaged.imaged_electrode(LABELS, num_shells=6)
    each = priors.Independent(dist.Normal(-6.6, 0.35), len(LABELS))
    space = parameters.ParameterSpace(
        (
            parameters.contacts(electrode, LABELS, each),
            parameters.curve_scale("diffusivity"),
        )
    )
    drive = imaged.voltage_drive(HOUR * HOURS, VOLTAGE)
    forward = Simulated.of(electrode, drive, events, origin=0.0, rtol=1e-4)
    return Problem(electrode, space, forward, EventNoise.of(events, edge_sd=SD))


def measure(noise, times, rng):
    """Data until the last frame."""
    return calibration.scattered(noise, times, LAST_FRAME, rng)


def halved(noise):
    """The same data, taken for twice as certain as they are."""
    return dataclasses.replace(noise, sd=0.5 * noise.sd)


def forgetful(noise):
    """The same data without the particles that were never seen to react."""
    return dataclasses.replace(noise, after=np.full(len(noise.after), -np.inf))


CASES = {"right": lambda noise: noise, "halved": halved, "forgetful": forgetful}


def kept(path: Path, make) -> Trial:
    """A trial, from its file where there is one."""
    if not path.exists():
        part = path.with_suffix(".part")
        with open(part, "wb") as stream:
            np.savez(stream, **make()._asdict())
        os.replace(part, path)
    with np.load(path) as found:
        columns = {name: found[name] for name in Trial._fields}
    numbers = ("num_draws", "num_failed", "num_diverging")
    return Trial(**columns | {name: int(columns[name]) for name in numbers})


def run(
    name: str, sampler: str, count: int, seed: int, folder: Path, workers: int
) -> list[Trial]:
    """Trials of a case, some at a time."""
    chain = SAMPLERS[sampler], DRAWS, THINNING
    experiment = Experiment(problem(), measure, CASES[name], *chain)
    folder = folder / f"{sampler}-{name}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)

    def one(number):
        make = lambda: calibration.trial(experiment, seed, number)
        found = kept(folder / f"{number:05d}.npz", make)
        if number % 20 == 0:
            print(f"{name} {number}: {time.perf_counter() - begin:.0f} s", flush=True)
        return found

    begin = time.perf_counter()
    first = one(0)  # compiled by one thread
    with ThreadPoolExecutor(workers) as pool:
        return [first, *pool.map(one, range(1, count))]


def figures_of(
    trials: list[Trial], labels: list[str]
) -> tuple[dict, calibration.Uniformity]:
    """What is kept of a case."""
    ranks = np.stack([trial.ranks for trial in trials])
    found = calibration.uniformity(ranks, trials[0].num_draws)
    rows = {}
    for k, label in enumerate(labels):
        rows[label] = {"probability_of_ranks": float(found.probability[k])}
        for level in (50, 90):
            inside = sum(getattr(trial, f"inside{level}")[k] for trial in trials)
            test = scipy.stats.binomtest(int(inside), len(trials), level / 100)
            rows[label][f"covered_{level}"] = round(int(inside) / len(trials), 4)
            rows[label][f"probability_{level}"] = round(test.pvalue, 5)
    all90 = np.mean([trial.inside90[:-1] for trial in trials])
    return {
        "trials": len(trials),
        "draws_ranked_against": trials[0].num_draws,
        "family_wise_probability": found.family,
        "coverage_of_90_over_all_parameters": round(float(all90), 4),
        "failed": sum(trial.num_failed for trial in trials),
        "divergences": sum(trial.num_diverging for trial in trials),
        "quantities": rows,
    }, found


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sampler", choices=SAMPLERS, default="slice")
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--broken", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, default=Path("calibrated"))
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    labels = [*problem().space.labels, "log likelihood"]
    results, shown = {}, {}
    for name in arguments.cases:
        count = arguments.trials if name == "right" else arguments.broken
        how = arguments.seed, arguments.folder, arguments.workers
        trials = run(name, arguments.sampler, count, *how)
        results[name], shown[name] = figures_of(trials, labels)
        print(name, results[name])
    figure = posterior_figures.calibration_figure(shown, labels)
    stem = "calibration" + ("_nuts" if arguments.sampler == "nuts" else "")
    style.save(figure, RESULTS / f"{stem}.png")
    how = {"sampler": arguments.sampler, "seed": arguments.seed}
    print(write_result(stem, how | {"cases": results}))


if __name__ == "__main__":
    main()
