"""Can data tell why particles react one after another? Known truths, then real cells.

    python -m benchmarks.mechanisms [--sets 10] [--designs plain informative real]
        [--truths network autocatalytic diffusion]

Truths are drawn from the prior of each mechanism: four particles behind a recorded
voltage, midpoints and durations known to 9 minutes, each mechanism with one number a
particle and a curve of its own. `plain`: the first charge, every particle on a contact
with the collector. `informative`: the particles are known to sit behind 0, 1, 2 and 3
others, and a second charge is seen too. Every rival is fitted to every set and weighed
by its evidence. `real`: the packaged measured sets. Sets are kept in --folder: a run
that is stopped goes on where it was. Writes benchmarks/results/mechanisms.json.
"""

import argparse
import functools
import itertools
import json
from pathlib import Path
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.machine import write_result
from fitting import (
    compare,
    compare_files,
    coordinates,
    ends,
    evidence,
    examples,
    left_out,
    mechanisms,
    optimise,
    setup,
    uncertainty,
)
from fitting.calibration import scattered
from fitting.events import Event, Events
from fitting.files import finite, write_json
from fitting.imaged import imaged_electrode, voltage_drive
from fitting.noise import EventNoise
from fitting.optimisers import LevenbergMarquardt
from fitting.problem import Problem, Simulated

HOUR = 3600.0
LABELS = ("p", "q", "r", "s")
RIVALS = ("network", "autocatalytic", "diffusion")
REAL = ("wolfman2023-nmc333", "wolfman2023-nmc532")
SD = 0.15 * HOUR
CHARGE_HOURS = np.array([0.0, 0.1, 1.0, 6.0, 12.0, 16.0, 18.0])
CHARGE = np.array([3.2, 3.7, 3.9, 3.97, 4.03, 4.15, 4.3])
DISCHARGE_HOURS = np.array([18.05, 19.0, 26.0, 30.0])
DISCHARGE = np.array([4.25, 4.05, 3.7, 3.2])
TIMES_SEEN = 2  # particles that must react in the first charge for a set to be kept
_TRIES = 200


def drive(cycles: int):
    """A recorded voltage: slow charges, with a discharge between."""
    hours, volts = CHARGE_HOURS, CHARGE
    current = np.ones(hours.size)
    for _ in range(cycles - 1):
        start = DISCHARGE_HOURS[-1] + 0.05
        hours = np.concatenate([hours, DISCHARGE_HOURS, start + CHARGE_HOURS])
        volts = np.concatenate([volts, DISCHARGE, CHARGE])
        signs = [-np.ones(DISCHARGE.size), np.ones(CHARGE.size)]
        current = np.concatenate([current, *signs])
    return voltage_drive(HOUR * hours, volts, current)


class Design:
    """What is filmed: charges, and how many particles are in the way of each."""

    def __init__(self, charges: int, obstructions):
        self.charges = tuple(2 * k for k in range(charges))
        self.obstructions = obstructions
        self.protocol = drive(charges)
        rows = [
            Event(label, kind, time=HOUR, sd=SD, half_cycle=half_cycle)
            for half_cycle, label, kind in itertools.product(
                self.charges, LABELS, ("midpoint", "duration")
            )
        ]
        self.events = Events.from_rows(rows)
        starts = [0.0, *([DISCHARGE_HOURS[-1] + 0.05] * (charges - 1))]
        lasts = HOUR * (np.array(starts) + CHARGE_HOURS[-1])
        self.last = np.repeat(lasts, len(LABELS))

    @functools.cache  # noqa: B019 - there are two designs; one problem compiles once
    def problem(self, name: str) -> Problem:
        """The fit of a mechanism; its data are to be replaced."""
        rival = mechanisms.mechanism(name)
        choices = setup.Choices(mechanism=name, free=rival.free)
        electrode = imaged_electrode(
            LABELS,
            rival.curves(setup.material("nmc532")),
            obstructions=self.obstructions,
            num_shells=6,
        )
        forward = Simulated.of(
            *(electrode, self.protocol, self.events),
            origin=0.0,
            delithiates=[k % 2 == 0 for k in range(self.charges[-1] + 1)],
            rtol=1e-4,
        )
        noise = EventNoise.of(self.events, edge_sd=SD)
        space = setup.space_of(electrode, LABELS, choices)
        return Problem(electrode, space, forward, noise)


DESIGNS = {"plain": Design(1, 0), "informative": Design(2, (0, 1, 2, 3))}


@eqx.filter_jit
def _predicted(problem, raw):
    return problem.predict(problem.space.constrain(raw))


def data_of(design: Design, name: str, rng) -> EventNoise:
    """Data of a truth of a mechanism's prior, in which some particles react."""
    problem = design.problem(name)
    for _ in range(_TRIES):
        truth = rng.standard_normal(problem.space.size)
        made = _predicted(problem, jnp.asarray(truth))
        if bool(made.failed):
            continue
        noise = scattered(problem.noise, np.asarray(made.times), design.last, rng)
        if noise.exact[::2][: len(LABELS)].sum() >= TIMES_SEEN:
            return noise
    raise ValueError(f"No truth of '{name}' in {_TRIES} reacts in the first charge.")


def unseen(problem: Problem) -> set[str]:
    """Particles of which no time was measured."""
    seen = np.asarray(problem.noise.exact).reshape(-1, len(LABELS), 2).any(axis=(0, 2))
    return {label for label, known in zip(LABELS, seen, strict=True) if not known}


def weighed(problem: Problem, seed: int) -> dict:
    """Fit and evidence of one mechanism on one set."""
    starts = optimise.latin_hypercube(problem.space.size, 1, seed)
    found = optimise.fit(problem, starts, LevenbergMarquardt(), max_steps=40)
    alone = coordinates.members(problem.space, unseen(problem))
    how = {"rounds": 4, "count": 150, "seed": seed, "alone": alone}
    weight = evidence.evidence(problem, found, **how)
    return {
        "log_evidence": weight.log_evidence,
        "sd": weight.sd,
        "shape": finite(weight.shape),  # infinite where one draw outweighs all
        "reliable": weight.reliable,
        "bound": weight.bound,
        "chi_square": float(np.sum(np.asarray(found.residual) ** 2)),
    }


def set_of(design: str, truth: str, number: int, folder: Path) -> dict:
    """One set weighed by all rivals, from its file where there is one."""
    path = folder / f"{design}-{truth}-{number:03d}.json"
    if not path.exists():
        rng = np.random.default_rng([RIVALS.index(truth), number])
        noise = data_of(DESIGNS[design], truth, rng)
        found = {}
        for name in RIVALS:
            problem = DESIGNS[design].problem(name)
            own = eqx.tree_at(lambda p: p.noise, problem, noise)
            found[name] = weighed(own, number)
        exact = int(noise.exact.sum())
        write_json(path, {"rivals": found, "exact": exact})
    return json.loads(path.read_text(encoding="utf-8"))


def judged(one: dict) -> tuple[str, float, bool]:
    """(first mechanism, its least probability, whether all weights hold) of a set."""
    rivals = one["rivals"]
    order = sorted(rivals, key=lambda name: -rivals[name]["log_evidence"])
    found = [SimpleNamespace(**rivals[name]) for name in order]
    least = compare.least_probability(found)
    return order[0], least, not any(compare.doubtful(found))


def of_design(design: str, truths, count: int, folder: Path) -> dict:
    """Counts of a design: how often the truth is first, sure, and wrongly sure."""
    table, total, wrong = {}, 0, 0
    for truth in truths:
        sets = [set_of(design, truth, k, folder) for k in range(count)]
        found = [judged(one) for one in sets]
        sure = [holds and p >= compare.SURE for _, p, holds in found]
        first = [name == truth for name, *_ in found]
        missed = sum(s and not f for s, f in zip(sure, first, strict=True))
        total, wrong = total + count, wrong + missed
        table[truth] = {
            "sets": count,
            "first": sum(first),
            "favoured": sum(s and f for s, f in zip(sure, first, strict=True)),
            "confidently_wrong": missed,
            "weights_that_do_not_hold": sum(not holds for *_, holds in found),
            "chosen": {n: sum(name == n for name, *_ in found) for n in RIVALS},
            "median_exact_events": float(np.median([one["exact"] for one in sets])),
        }
        print(design, truth, table[truth], flush=True)
    return {"truths": table, "confidently_wrong": f"{wrong} of {total}"}


def of_real(name: str, folder: Path) -> dict:
    """What a measured set says of all mechanisms."""
    path = folder / f"real-{name}.json"
    if not path.exists():
        example, found = examples.load(name), []
        for rival, mechanism in mechanisms.MECHANISMS.items():
            found.append(_contender(example, rival, mechanism))
            print(name, rival, found[-1].evidence.log_evidence, flush=True)
        whole = compare.compared(example.title, found)
        print(compare_files.text(whole), flush=True)
        write_json(path, compare_files.summary(whole))
    return json.loads(path.read_text(encoding="utf-8"))


def _contender(example, rival: str, mechanism) -> compare.Contender:
    choices = setup.Choices(mechanism=rival, free=mechanism.free)
    own = setup.by_voltage(example.events, example.recording, choices)
    starts = optimise.latin_hypercube(own.problem.space.size, 2, 0)
    fit = optimise.fit(own.problem, starts, LevenbergMarquardt(), max_steps=40)
    alone = coordinates.only_bounded(own.problem.space, own.events, own.fitted)
    found = evidence.evidence(own.problem, fit, alone=alone)
    without = left_out.leave_out(own, found.raw, found.times, count=160)
    quality = uncertainty.goodness(own.problem, fit)
    last = ends.ends_of(own, fit.raw)
    numbers = quality.chi_square, quality.probability
    return compare.Contender(rival, own, fit, found, without, last, *numbers)


def main() -> None:
    """Runs, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=Path("weighed"))
    every = [*DESIGNS, "real"]
    parser.add_argument("--designs", nargs="+", choices=every, default=every)
    parser.add_argument("--truths", nargs="+", choices=RIVALS, default=RIVALS)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for design in arguments.designs:
        if design == "real":
            results["real"] = {n: of_real(n, arguments.folder) for n in REAL}
        else:
            results[design] = of_design(
                design, arguments.truths, arguments.sets, arguments.folder
            )
    print(write_result("mechanisms", results))


if __name__ == "__main__":
    main()
