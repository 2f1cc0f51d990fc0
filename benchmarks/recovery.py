"""Does a fit find what made the data, as often as it claims?

    python -m benchmarks.recovery [--datasets 20] [--seed 0]

Each data set has its own truth, drawn from the prior: contacts of ten particles, the
curves kappa(x) and D(x) at their knots, the rate constant. Particles are driven by a
recorded voltage; midpoints and durations scatter by realistic deviations, and imaging
ends early, so that about a fifth of the particles are never seen to react. For
kappa(x) a (a is the geometric mean of the particles seen to react) and for D(x) at
several x, the table says how often the truth lay in the stated 95 % interval, with the
binomial probability of a count that far off, and how wide the interval is beside that
of the prior: near 1 where the data do not tell. Writes
benchmarks/results/recovery.json.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from benchmarks.machine import write_result
from fitting import examples, imaged, parameters, priors, uncertainty
from fitting.calibration import scattered
from fitting.events import Event, Events
from fitting.noise import EventNoise
from fitting.optimise import LevenbergMarquardt, fit
from fitting.problem import Problem, Simulated

HOUR = 3600.0
NUM_PARTICLES = 10
SD_MIDPOINT, SD_DURATION = 0.12 * HOUR, 0.2 * HOUR
LAST_FRAME = 9.2 * HOUR  # on the recording's clock: about a fifth comes later
CONDUCTIVITY_AT = (1.0, 0.98, 0.95, 0.90)
DIFFUSIVITY_AT = (0.55, 0.65, 0.75, 0.85, 1.0)


class Interval(NamedTuple):
    """One quantity of one data set."""

    quantity: str
    truth: float
    lower: float
    upper: float
    share: float  # of the width of the prior's interval

    @property
    def covers(self) -> bool:
        return bool(self.lower <= self.truth <= self.upper)


def recover(
    problem: Problem,
    truth: np.ndarray,
    quantities: Callable,
    names: list[str],
    last: float,
    rng: np.random.Generator,
    callback: Callable | None = None,
) -> tuple[list[Interval], object]:
    """Makes one data set of a true raw vector, fits it, and compares.

    `quantities` turns raw numbers and which particles were seen to react into the
    values of `names`.
    """
    made = problem.predict(problem.space.constrain(jnp.asarray(truth)))
    noise = scattered(problem.noise, made.times, last, rng)
    fitted = fit(
        dataclasses.replace(problem, noise=noise),
        np.zeros(problem.space.size),
        LevenbergMarquardt(),
        callback=callback,
    )
    seen = jnp.asarray(noise.exact[::2])
    every = jax.jit(jax.vmap(lambda raw: quantities(raw, seen)))
    posterior = uncertainty.draws(fitted, 2000, seed=0)
    prior = rng.standard_normal((2000, truth.size))
    levels = [0.025, 0.975]
    low, high = np.quantile(every(posterior), levels, axis=0)
    widest = np.subtract(*np.quantile(every(prior), levels[::-1], axis=0))
    true = np.asarray(quantities(jnp.asarray(truth), seen))
    columns = (true, low, high, (high - low) / widest)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    found = [Interval(name, *row) for name, row in zip(names, rows, strict=True)]
    return found, (fitted, noise)


def coverage(intervals: list[Interval]) -> list[dict]:
    """Counts of each quantity, with the two-sided binomial probability at 95 %."""
    rows = []
    for name in dict.fromkeys(i.quantity for i in intervals):
        own = [i for i in intervals if i.quantity == name]
        hits = sum(i.covers for i in own)
        test = scipy.stats.binomtest(hits, len(own), 0.95)
        rows.append(
            {
                "quantity": name,
                "covered": hits,
                "data_sets": len(own),
                "binomial_probability": float(test.pvalue),
                "median_width_share": float(np.median([i.share for i in own])),
            }
        )
    return rows


def particle_problem() -> tuple[Problem, Callable, list[str]]:
    """Ten particles on a recorded voltage, and the quantities that are compared."""
    labels = [f"p{k}" for k in range(NUM_PARTICLES)]
    rows = []
    for label in labels:
        rows.append(Event(label, "midpoint", time=5.0 * HOUR, sd=SD_MIDPOINT))
        rows.append(Event(label, "duration", time=1.0 * HOUR, sd=SD_DURATION))
    events = Events.from_rows(rows)
    recording = examples.load("wolfman2023-nmc333").recording
    electrode = imaged.imaged_electrode(labels)
    population = priors.Hierarchical(NUM_PARTICLES, -6.6, 0.15, 0.35, 1.3)
    space = parameters.ParameterSpace(
        (
            parameters.contacts(electrode, labels, population),
            parameters.curve_values(electrode, "conductivity", fixed=[-1]),
            parameters.curve_values(electrode, "diffusivity"),
            parameters.curve_scale("rate_constant"),
        )
    )
    forward = Simulated.of(
        electrode, recording.protocol(), events, origin=recording.start
    )
    noise = EventNoise.of(events, edge_sd=300.0)
    problem = Problem(electrode, space, forward, noise)

    def quantities(raw, seen):
        values = space.constrain(raw)
        curves = space.insert(electrode, values).curves
        contact = jnp.average(values["log10 contact radius"][2:], weights=seen)
        kappa = jnp.log10(curves.conductivity(jnp.array(CONDUCTIVITY_AT))) + contact
        diffusivity = jnp.log10(curves.diffusivity(jnp.array(DIFFUSIVITY_AT)))
        return jnp.concatenate([kappa, diffusivity])

    names = [f"log10 kappa({x:g}) a" for x in CONDUCTIVITY_AT]
    names += [f"log10 D({x:g})" for x in DIFFUSIVITY_AT]
    return problem, quantities, names


def draw_truth(problem: Problem, rng: np.random.Generator) -> np.ndarray:
    """A raw vector of the prior that can be simulated."""
    while True:
        raw = rng.standard_normal(problem.space.size)
        values = problem.space.constrain(jnp.asarray(raw))
        if not bool(problem.predict(values).failed):
            return raw


def main():
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    problem, quantities, names = particle_problem()
    rng = np.random.default_rng(arguments.seed)
    intervals, censored, ends = [], [], []
    for number in range(arguments.datasets):
        began = time.perf_counter()
        found, (fitted, noise) = recover(
            problem, draw_truth(problem, rng), quantities, names, LAST_FRAME, rng
        )
        intervals += found
        censored.append(int(np.sum(~noise.exact[::2])))
        ends.append(fitted.message())
        print(
            f"data set {number + 1}: {censored[-1]} of {NUM_PARTICLES} never seen, "
            f"{sum(i.covers for i in found)} of {len(found)} covered, {ends[-1]}, "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )
    rows = coverage(intervals)
    print("quantity              covered  of  probability  width / prior's")
    for row in rows:
        print(
            f"{row['quantity']:22s} {row['covered']:6d} {row['data_sets']:3d} "
            f"{row['binomial_probability']:12.3f} {row['median_width_share']:16.2f}"
        )
    share = sum(censored) / (NUM_PARTICLES * len(censored))
    print(f"share of particles never seen to react: {share:.2f}")
    write_result(
        "recovery",
        {
            "seed": arguments.seed,
            "share_never_seen": share,
            "coverage": rows,
            "ends": ends,
            "intervals": [i._asdict() | {"covers": bool(i.covers)} for i in intervals],
        },
    )


if __name__ == "__main__":
    main()
