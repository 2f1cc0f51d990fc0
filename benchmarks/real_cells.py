"""Two measured cells: what a fit meets, and what it says that was not fitted.

    python -m benchmarks.real_cells

For the six NMC333 and five NMC532 particles of Wolfman 2023, driven by the recorded
voltage: (1) contacts and curves are fitted to the midpoints alone, and the durations
that follow are set beside the measured ones; (2) both are fitted, and chi-square and
what stayed undetermined are printed; (3) a population of unseen particles with contacts
around the fitted ones carries the cell's current, and the overshoot of its voltage at
the start of the charge is set beside the recorded one. Writes
benchmarks/results/real_cells.json.
"""

import dataclasses
import time

import jax
import numpy as np

import diffelec
from benchmarks.machine import write_result
from fitting import examples, imaged, parameters, uncertainty
from fitting.noise import EventNoise
from fitting.optimise import LevenbergMarquardt, fit, latin_hypercube
from fitting.problem import Problem, Simulated

HOUR = 3600.0
NUM_STARTS = 3
THEORETICAL = 278.0  # mAh/g, of LiNixMnyCozO2
# Recorded: current [mA/g], and the voltage's first maximum and the minimum after it.
CELLS = {
    "wolfman2023-nmc333": {"current": 25.35, "peak_V": 3.988, "after_V": 3.881},
    "wolfman2023-nmc532": {"current": 25.91, "peak_V": 3.857, "after_V": 3.833},
}
SHIFTS = (0.0, 0.2, 0.4, 0.6)  # decades, of the unseen contacts above the imaged ones


def problem_of(example: examples.Example) -> Problem:
    """Contacts, kappa(x) but for kappa(1), D(x) and the scale of k of a cell.

    No literature covers kappa between x = 0.9 and 1, and laboratories differ by three
    decades at 1: hence knots there, and a wide prior.
    """
    events = example.events
    curves = diffelec.materials.nmc532()
    finer = parameters.with_knots(curves.conductivity, [0.8, 0.95, 0.98])
    electrode = imaged.imaged_electrode(
        events.particles,
        dataclasses.replace(curves, conductivity=finer),
        radius=events.radius,
    )
    space = parameters.ParameterSpace(
        (
            parameters.contacts(electrode, events.particles),
            parameters.curve_values(
                electrode, "conductivity", fixed=[-1], sd=1.0, roughness=0.7
            ),
            parameters.curve_values(electrode, "diffusivity"),
            parameters.curve_scale("rate_constant"),
        )
    )
    forward = Simulated.of(
        electrode, example.protocol, events, origin=example.recording.start
    )
    return Problem(electrode, space, forward, EventNoise.of(events, edge_sd=360.0))


def without_durations(problem: Problem) -> Problem:
    """The same problem, in which nothing is known of durations."""
    noise = problem.noise
    unknown = noise.moves == 0
    silent = dataclasses.replace(
        noise,
        exact=noise.exact & ~unknown,
        after=np.where(unknown, -np.inf, noise.after),
        before=np.where(unknown, np.inf, noise.before),
    )
    return dataclasses.replace(problem, noise=silent)


def rows_of(events, fitted) -> list[dict]:
    """Measured and predicted times [h], a row an event."""
    rows = []
    for k, kind in enumerate(events.kind):
        columns = (events.time, events.sd, events.after, events.before)
        time_h, sd_h, after_h, before_h = (
            float(c[k]) / HOUR if np.isfinite(c[k]) else None for c in columns
        )
        row = {"particle": events.particles[events.particle[k]], "event": kind}
        row |= {"time_h": time_h, "sd_h": sd_h, "after_h": after_h}
        row |= {"before_h": before_h}
        row["predicted_h"] = float(fitted.prediction.times[k]) / HOUR
        rows.append(row)
    return rows


def overshoot(mean: float, spread: float, rate: float) -> dict:
    """Voltage of a current-driven population at the start of its charge.

    `mean` and `spread` of log10(contact radius / m), `rate` in theoretical capacities
    an hour.
    """
    radii = imaged.population_radii(mean, spread, 15)
    labels = [f"p{k}" for k in range(radii.size)]
    electrode = imaged.imaged_electrode(labels, contact_radius=radii)
    current = rate * float(electrode.theoretical_capacity) / HOUR
    end = diffelec.protocol.CutOff(voltage=8.0, duration=2.0 * HOUR)
    step = diffelec.protocol.ConstantCurrent(current=current, end=end)
    solution = diffelec.simulate(
        electrode, diffelec.Protocol.from_steps([step]), num_saved=721, throw=False
    )
    voltage = np.asarray(solution.voltage)
    if not np.all(np.isfinite(voltage)) or solution.time[-1] < HOUR:
        return {"peak_V": None, "after_V": None}
    # The first instants are the charging of the blocked surfaces.
    peak = int(np.argmax(voltage[1:200])) + 1
    return {
        "peak_V": float(voltage[peak]),
        "after_V": float(np.min(voltage[peak:])),
        "peak_h": float(solution.time[peak]) / HOUR,
    }


def study(name: str) -> dict:
    """All three parts for one cell, printed."""
    example = examples.load(name)
    problem, events = problem_of(example), example.events
    starts = latin_hypercube(problem.space.size, NUM_STARTS, seed=0)
    began = time.perf_counter()
    alone = fit(without_durations(problem), starts, LevenbergMarquardt())
    both = fit(problem, starts, LevenbergMarquardt())
    found = uncertainty.goodness(problem, both)
    print(f"\n{name}: {events.describe()}; {time.perf_counter() - began:.0f} s")
    print(f"midpoints alone: {alone.message()}\nboth: {both.message()}")
    print(found.describe())
    print("particle    event       measured or bounds (h)    midpoints alone   both")
    tables = [rows_of(events, f) for f in (alone, both)]
    for one, other in zip(*tables, strict=True):
        if one["time_h"] is None:
            text = f"({one['after_h']}, {one['before_h']}]"
        else:
            text = f"{one['time_h']:.2f} +- {one['sd_h']:.2f}"
        print(
            f"{one['particle']:11s} {one['event']:10s} {text:>20s} "
            f"{one['predicted_h']:16.2f} {other['predicted_h']:10.2f}"
        )
    estimates = uncertainty.estimates(problem.space, both)
    told = [f"{e.label} {e.value:.2f} +- {e.sd:.2f}" for e in estimates if e.determined]
    open_ = [e.label for e in estimates if not e.determined]
    print("determined by the data:", "; ".join(told))
    print("left to the prior:", "; ".join(open_))
    for remark in problem.space.remarks:
        print(remark)
    contact = both.values["log10 contact radius"]
    cell, starts_V = CELLS[name], []
    for shift in SHIFTS:
        voltages = overshoot(
            contact[0] + shift, contact[1], cell["current"] / THEORETICAL
        )
        starts_V.append({"shift_decades": shift} | voltages)
        print(f"unseen contacts {shift:+.1f} decades: {voltages}; recorded {cell}")
    return {
        "midpoints_alone": tables[0],
        "both": tables[1],
        "goodness": found._asdict(),
        "determined": told,
        "left_to_the_prior": open_,
        "messages": [alone.message(), both.message()],
        "overshoot": {"recorded": cell, "predicted": starts_V},
    }


def main():
    """Measures, prints, writes."""
    jax.config.update("jax_enable_x64", True)
    write_result("real_cells", {name: study(name) for name in CELLS})


if __name__ == "__main__":
    main()
