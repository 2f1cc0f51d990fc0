"""Values and derivatives of a network of 30 particles, beside PyBaMM's IDAKLU.

    python -m benchmarks.pybamm_network [--repeats 3] [--skip costs|events]

Both solve the same equations (20 shells a particle, 42 contacts) for a charge at C/20
until 4.3 V, with 18 coefficients: log10 of kappa and of D at 9 knots each. D is
piecewise linear, so that its integral has a closed form and both hold it exactly.

Costs: the voltage at 50 instants, and the sum of its squared deviations from a target
with its gradient, by reverse mode here and by IDAKLU's forward sensitivities there.
Errors are against tight references of each one's own (PyBaMM's gradient: central
differences of tight solves); the references' own differences are printed. PyBaMM
returns the voltage alone (`output_variables`), its cheapest way.

Events: derivatives of the voltage of a rest after the charge has ended by its cut-off,
beside central differences. PyBaMM documents that its sensitivities of experiments leave
out the movement of the steps' ends; a column of differences with the end held says so
in numbers. Process times are of all threads. Writes results/pybamm_costs.json and
results/pybamm_events.json.
"""

import argparse
import os
import time

os.environ.setdefault("NPROC", "1")  # one thread for XLA's executor
os.environ.setdefault("OMP_NUM_THREADS", "1")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pybamm

import diffelec
from benchmarks import pybamm_model
from benchmarks.machine import write_result
from diffelec import graphs

CHARGE, REST = "Charge at C/20 until 4.3 V", "Rest for 2 hours"
LIMIT, REST_TIME, PERIOD = 4.3, 7200.0, 600.0
AFTER = PERIOD * np.array([1, 2, 3, 6, 11])  # s after the nominal end of the charge
TIGHT = 1e-8
STEP = 2e-3  # of central differences, in log10
WATCHED = ("D 0", "D 1")
KAPPA_KNOTS = np.array([0.25, 0.40, 0.55, 0.70, 0.80, 0.88, 0.92, 0.96, 1.00])
D_KNOTS = np.round(1024 * np.array([0.25, 0.5, 0.7, 0.84, 0.92, 0.95, 0.97, 0.985, 1]))
D_KNOTS = D_KNOTS / 1024  # nodes of the table that `diffelec` makes: exact there


class LinearCurve(diffelec.curves.AbstractCurve):
    """Piecewise linear between knots, from logarithms of the values at them."""

    knots: jax.Array
    log10_values: jax.Array
    unit: str = eqx.field(static=True, default="m2/s")
    source: str = eqx.field(static=True, default="knots on the literature's table")

    def __call__(self, stoichiometry):
        knots = jnp.asarray(self.knots)
        values = 10.0 ** jnp.asarray(self.log10_values)
        slopes = jnp.diff(values) / jnp.diff(knots)
        change = jnp.append(slopes[1:], 0.0) - slopes
        ramps = jnp.maximum(knots[1:] - stoichiometry[..., None], 0.0)
        return values[-1] + jnp.sum(change * ramps, axis=-1)

    @property
    def valid_range(self):
        return (float(self.knots[0]), float(self.knots[-1]))


def make_electrode():
    """30 touching spheres of a seeded packing, and its 18 coefficients."""
    literature = diffelec.presets.sharma2022().curves
    tables = literature.conductivity, literature.diffusivity
    start = [
        np.interp(knots, table.knots, table.log10_values)
        for knots, table in zip((KAPPA_KNOTS, D_KNOTS), tables, strict=True)
    ]
    start[1][0] += 0.1  # or D is nearly level below the second knot
    centres, radii = graphs.random_packing(30, seed=1)
    network = graphs.touching_spheres(
        centres, radii, contact_radius=0.5e-6, carbon_share=0.3, seed=1
    )
    kappa = diffelec.curves.RoundedLinearCurve(
        KAPPA_KNOTS, start[0], width=0.01, unit="S/m"
    )
    curves = diffelec.materials.nmc532(kappa, LinearCurve(D_KNOTS, start[1]))
    electrode = diffelec.presets.electrode_of(network, curves, radius=radii)
    return electrode, np.concatenate(start)


def moved(electrode, coefficients):
    """The electrode with other logarithms of kappa and D."""
    return eqx.tree_at(
        lambda e: (
            e.curves.conductivity.log10_values,
            e.curves.diffusivity.log10_values,
        ),
        electrode,
        (coefficients[:9], coefficients[9:]),
    )


def timed(function):
    """(what it returns, wall seconds, process seconds)."""
    wall, process = time.perf_counter(), time.process_time()
    found = jax.block_until_ready(function())
    return found, time.perf_counter() - wall, time.process_time() - process


def our_voltage(electrode, steps, instants, rtol):
    """Coefficients to voltages at instants, by this package."""
    protocol = diffelec.Protocol.from_strings(steps)
    method = diffelec.solver.RODAS5P if rtol < 1e-6 else diffelec.solver.RODAS4P2

    def voltage(coefficients):
        return diffelec.simulate(
            moved(electrode, coefficients),
            protocol,
            rtol=rtol,
            times=instants,
            method=method,
            max_steps=4000 if rtol > 1e-7 else 10000,
        ).voltage

    return voltage


class TheirCharge:
    """The charge by PyBaMM: built once, then called with coefficients."""

    def __init__(self, electrode, instants, rtol, sensitivities=False):
        self.instants, self.sensitivities = instants, sensitivities
        current = float(electrode.one_c_current) / 20.0

        def build():
            self.model = pybamm_model.discretised(
                *pybamm_model.network_model(electrode, current, LIMIT)
            )

        self.solver = pybamm_model.solver_of(rtol)
        _, _, self.build_s = timed(build)

    def set_up(self, coefficients):
        """Process seconds of PyBaMM's set-up and a solve over one second."""
        _, _, seconds = timed(lambda: self.solve(coefficients, 1.0, [0.5]))
        return seconds

    def solve(self, coefficients, span, instants):
        names = pybamm_model.NAMES
        values = {n: float(v) for n, v in zip(names, coefficients, strict=True)}
        return self.solver.solve(
            self.model,
            [0.0, span],
            inputs=values,
            t_interp=np.asarray(instants),
            calculate_sensitivities=self.sensitivities,
        )

    def __call__(self, coefficients):
        """Voltages at the instants and, where asked for, their derivatives."""
        solution = self.solve(coefficients, 1.5e5, self.instants)
        self.end = solution.t[-1]
        inside = np.isin(solution.t, self.instants)
        voltage = np.asarray(solution["V"].data).ravel()[inside]
        if not self.sensitivities:
            return voltage
        by_name = solution["V"].sensitivities
        columns = [np.asarray(by_name[n]).ravel() for n in pybamm_model.NAMES]
        return voltage, np.stack(columns, axis=1)[inside]


def central(function, point, index, step=STEP):
    """Central difference of a function in one coordinate."""
    shift = step * np.eye(point.size)[index]
    return (function(point + shift) - function(point - shift)) / (2.0 * step)


def row(rtol, error, runs, **more):
    """A row of a table: medians over runs of (wall, process) seconds."""
    wall, process = np.median(np.asarray(runs), axis=0)
    found = {"rtol": rtol, "error": float(error), "wall_s": wall, "process_s": process}
    found |= {f"{k}_s": float(v) for k, v in more.items()}
    print("  ", *(f"{k} {v:<9.3g}" for k, v in found.items()), flush=True)
    return found | {"error": float(error) if np.isfinite(error) else None}


def seconds_at(rows, error):
    """Process time at an error, interpolated between rows in logarithms."""
    logs = np.log([[r["error"], r["process_s"]] for r in rows])
    logs = logs[np.argsort(logs[:, 0])]
    return float(np.exp(np.interp(np.log(error), *logs.T)))


def at_equal_error(ours, theirs):
    """Process times at the middle (in logarithms) of the errors that both reach."""
    ours, theirs = ([r for r in t if r["error"] is not None] for t in (ours, theirs))
    ends = [[min(e), max(e)] for e in ([r["error"] for r in t] for t in (ours, theirs))]
    low, high = max(e[0] for e in ends), min(e[1] for e in ends)
    error = float(np.sqrt(low * high))
    a, b = seconds_at(ours, error), seconds_at(theirs, error)
    found = {"error": error, "both_reach_it": bool(low <= high)}
    found |= {"diffelec_process_s": a, "pybamm_process_s": b, "ratio": b / a}
    print("  at equal error:", {k: f"{v:.3g}" for k, v in found.items()}, flush=True)
    return found


def values(electrode, start, instants, references, repeats):
    """Voltages: time against error of both."""
    ours, theirs = [], []
    print("diffelec, values")
    for rtol in (1e-3, 1e-4, 1e-5, 1e-6):
        solve = our_voltage(electrode, [CHARGE], instants, rtol)
        _, first, _ = timed(lambda s=solve: s(start))
        runs = [timed(lambda s=solve: s(start)) for _ in range(repeats)]
        error = np.abs(runs[0][0] - references[0]).max()
        ours.append(row(rtol, error, [r[1:] for r in runs], first=first))
    print("PyBaMM, values")
    for rtol in (1e-3, 1e-4, 1e-5, 1e-6):
        solve = TheirCharge(electrode, instants, rtol)
        first = solve.build_s + solve.set_up(start)
        runs = [timed(lambda s=solve: s(start)) for _ in range(repeats)]
        error = np.abs(runs[0][0] - references[1]).max()
        theirs.append(row(rtol, error, [r[1:] for r in runs], build=first))
    equal = at_equal_error(ours, theirs)
    return {"diffelec": ours, "pybamm": theirs, "equal_error": equal}


def gradients(electrode, start, instants, target, tight, repeats):
    """Sum of squared deviations and its gradient: time against error of both."""

    def misfit(rtol):
        voltage = our_voltage(electrode, [CHARGE], instants, rtol)
        return jax.jit(
            jax.value_and_grad(lambda c: jnp.sum((voltage(c) - target) ** 2))
        )

    def error_of(gradient, reference):
        return np.linalg.norm(gradient - reference) / np.linalg.norm(reference)

    _, ours_tight = misfit(1e-7)(start)
    theirs_tight = np.array(
        [
            central(lambda c: np.sum((tight(c) - target) ** 2), start, k, STEP / 4)
            for k in range(start.size)
        ]
    )
    apart = error_of(ours_tight, theirs_tight)
    print(f"references of the gradient differ by {apart:.2e} of its norm", flush=True)
    ours, theirs = [], []
    print("diffelec, value and gradient")
    for rtol in (1e-3, 1e-4, 1e-5):
        function = misfit(rtol)
        _, first, _ = timed(lambda f=function: f(start))
        runs = [timed(lambda f=function: f(start)) for _ in range(repeats)]
        error = error_of(runs[0][0][1], ours_tight)
        ours.append(row(rtol, error, [r[1:] for r in runs], first=first))
    print("PyBaMM, value and gradient")
    for rtol in (1e-3, 1e-4, 1e-5):
        solve = TheirCharge(electrode, instants, rtol, sensitivities=True)
        first = solve.build_s + solve.set_up(start)
        (voltage, slopes), *seconds = timed(lambda s=solve: s(start))
        error = error_of(2.0 * (voltage - target) @ slopes, theirs_tight)
        theirs.append(row(rtol, error, [seconds], build=first))
    equal = at_equal_error(ours, theirs)
    found = {"diffelec": ours, "pybamm": theirs, "equal_error": equal}
    return found | {"references_differ_by": float(apart)}


def costs(electrode, start, end, repeats):
    """Values and gradients of the charge alone."""
    instants = np.linspace(600.0, 0.97 * end, 50)
    tight = TheirCharge(electrode, instants, TIGHT)
    ours = our_voltage(electrode, [CHARGE], instants, TIGHT)
    references = np.asarray(ours(start)), tight(start)
    apart = float(np.abs(references[0] - references[1]).max())
    ends = [end, float(tight.end)]
    print(f"tight voltages differ by {apart:.2e} V; ends {ends} s", flush=True)
    shift = 0.05 * np.random.default_rng(0).standard_normal(start.size)
    target = tight(start + shift)
    found = {"tight_voltages_differ_by_V": apart, "end_s": ends}
    found["values"] = values(electrode, start, instants, references, repeats)
    found["gradients"] = gradients(electrode, start, instants, target, tight, repeats)
    for name in ("diffelec", "pybamm"):
        share = (
            found["gradients"]["equal_error"][f"{name}_process_s"]
            / found["values"]["equal_error"][f"{name}_process_s"]
        )
        print(f"{name}: gradient {share:.1f} times its value, each at equal error")
        found[f"{name}_gradient_over_value"] = share
    return found


def their_rest(electrode, rtol, end_held=None, period=PERIOD):
    """Coefficients to (solution, voltages) of charge and rest, as an Experiment."""
    current = float(electrode.one_c_current) / 20.0
    load = pybamm.Parameter("Current function [A]")
    cut_off = {"duration": 1.5e5, "termination": f"{LIMIT} V"}
    cut_off = {"duration": end_held} if end_held else cut_off
    charge = pybamm.step.current(-current, period=3600.0, **cut_off)
    rest = pybamm.step.rest(duration=REST_TIME, period=period)
    values = {"Current function [A]": 0.0, "Nominal cell capacity [A.h]": 20 * current}
    values["Ambient temperature [K]"] = 298.15

    def solve(coefficients, sensitivities=False):
        model, parts = pybamm_model.network_model(electrode, pybamm.Scalar(-1) * load)
        simulation = pybamm.Simulation(
            model,
            experiment=pybamm.Experiment([charge, rest]),
            parameter_values=pybamm.ParameterValues(values),
            solver=pybamm_model.solver_of(rtol, None),
            **parts,
        )
        names = pybamm_model.NAMES
        inputs = {n: float(v) for n, v in zip(names, coefficients, strict=True)}
        return simulation.solve(inputs=inputs, calculate_sensitivities=sensitivities)

    return solve


def events(electrode, start, end):
    """Derivatives of the voltage after the first event, side by side."""
    rtol = 1e-7
    solution = their_rest(electrode, rtol)(start, list(WATCHED))
    switch = float(solution.cycles[0].t[-1])
    print(f"the charge ends after {end:.3f} s (diffelec), {switch:.3f} s (PyBaMM)")
    instants = switch + AFTER
    place = np.array([np.argmin(np.abs(solution.t - t)) for t in instants])
    # Fine periods: between them PyBaMM joins an experiment's voltages by lines
    held = their_rest(electrode, rtol, switch, period=10.0)
    free = their_rest(electrode, rtol, period=10.0)
    ours = our_voltage(electrode, [CHARGE, REST], instants, rtol)
    along = jax.jit(lambda one: jax.jvp(ours, (jnp.asarray(start),), (one,))[1])
    found = {"instants_after_end_s": AFTER.tolist(), "rtol": rtol, "step": STEP}
    for name in WATCHED:
        index = pybamm_model.NAMES.index(name)
        one = np.eye(start.size)[index]
        columns = {
            "PyBaMM sensitivity": np.asarray(solution["V"].sensitivities[name]).ravel()[
                place
            ],
            "PyBaMM difference": central(
                lambda c: free(c)["V"](instants), start, index
            ),
            "PyBaMM difference, end held": central(
                lambda c: held(c)["V"](instants), start, index
            ),
            "diffelec derivative": along(one),
            "diffelec difference": central(ours, start, index),
        }
        print(f"d(voltage)/d({name}) [V]: " + ", ".join(columns))
        for k, after in enumerate(AFTER):
            row = "".join(f"{float(c[k]):14.6f}" for c in columns.values())
            print(f"  {after:6.0f} s after{row}", flush=True)
        found[name] = {k: np.asarray(c).tolist() for k, c in columns.items()}
    return found


def main():
    """Measures, prints and writes."""
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip", choices=("costs", "events"), action="append")
    arguments = parser.parse_args()
    skipped = arguments.skip or []
    electrode, start = make_electrode()
    protocol = diffelec.Protocol.from_strings([CHARGE])
    solved = diffelec.simulate(
        electrode, protocol, rtol=TIGHT, method=diffelec.solver.RODAS5P, max_steps=10000
    )
    end = float(solved.step_end_times[0])
    setting = {
        "note": "the machine was shared with other work: process times count",
        "pybamm": pybamm.__version__,
        "particles": electrode.num_particles,
        "edges": electrode.network.topology.num_edges,
        "load_average": os.getloadavg(),
    }
    if "events" not in skipped:
        found = setting | {"events": events(electrode, start, end)}
        print(f"written to {write_result('pybamm_events', found)}")
    if "costs" not in skipped:
        found = setting | {"costs": costs(electrode, start, end, arguments.repeats)}
        print(f"written to {write_result('pybamm_costs', found)}")


if __name__ == "__main__":
    main()
