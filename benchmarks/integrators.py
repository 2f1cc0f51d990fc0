"""The same equations by general integrators: time against error of a first charge.

    python -m benchmarks.integrators [--repeats 3]

Our own residual, compiled by JAX, of the paper's network (15 particles, 20 shells) in
the hands of SUNDIALS IDA (scikit-sundae: called back for the residual and its exact,
dense Jacobian) and of diffrax's Kvaerno5 (the potentials solved for inside the right-
hand side, a dense Jacobian of the rest), beside `simulate`. The first 75,000 s, 101
outputs, one thread; solves in turn; compilation apart. Errors as in
`benchmarks.forward`. Writes benchmarks/results/integrators.json.
"""

import argparse
import functools
import os
import time

os.environ.setdefault("NPROC", "1")  # one thread for XLA's executor

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks.forward import END, TIMES, measure, our_solver
from benchmarks.machine import write_result
from diffelec.solver.consistent import consistent_algebraic
from diffelec.solver.parts import Parts
from diffelec.solver.settled import begun
from tests.reference import ida

RTOLS = {"diffelec Rodas4P2": (1e-3, 1e-4, 1e-5), "IDA": (1e-5, 1e-6, 1e-7)}
RTOLS |= {"diffrax Kvaerno5": (1e-3, 1e-4, 1e-5)}


def charged_system():
    """The system of the charge."""
    electrode = diffelec.presets.sharma2022()
    charge = diffelec.Protocol.from_strings([f"Charge at C/20 for {END:.0f} s"])
    return ida.system_of(electrode, charge)


def by_ida(rtol: float):
    """A call that solves by IDA."""
    solve = ida.solver_of(charged_system(), TIMES, rtol, 0.1 * rtol)

    def call():
        mean, _, voltage, steps = solve()
        return mean, voltage, steps

    return call


def by_kvaerno(rtol: float):
    """A call that solves by Kvaerno5."""
    system = charged_system()
    guess = ida.start_of(system).algebraic

    def state(t, columns):
        found = consistent_algebraic(system, t, columns, guess).algebraic
        return begun(system, Parts(columns, found), t)  # with their derivative

    def rates(t, columns, _):
        return system.residual(t, state(t, columns)).columns

    def saved(t, columns, _):
        means = system.electrode.mesh.weights @ columns
        return means, system.voltage(state(t, columns).algebraic)

    @functools.partial(jax.jit, compiler_options=diffelec.compiler_options())
    def solve(columns):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(rates),
            diffrax.Kvaerno5(),
            *(0.0, END, 1.0, columns),
            saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES), fn=saved),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=0.1 * rtol),
            adjoint=diffrax.ForwardMode(),
            max_steps=100_000,
        )

    def call():
        done = solve(ida.initial_columns(system.electrode))
        means, voltage = map(np.asarray, done.ys)
        return means, voltage, int(done.stats["num_steps"])

    return call


MAKERS = {"diffelec Rodas4P2": our_solver, "IDA": by_ida}
MAKERS |= {"diffrax Kvaerno5": by_kvaerno}


def main():
    """Measures, prints, writes."""
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    solvers, first = {}, {}
    for name, make in MAKERS.items():
        for rtol in RTOLS[name]:
            solvers[name, rtol] = make(rtol)
            begun = time.perf_counter()
            solvers[name, rtol]()
            first.setdefault(name, time.perf_counter() - begun)
    reference = our_solver(1e-9, diffelec.solver.RODAS5P, max_steps=8000)()
    rows = measure(solvers, repeats, reference)
    for row in rows:
        print(
            f"{row['solver']:18s} {row['rtol']:.0e} {row['median_s']:9.4f} s "
            f"{row['steps']:5d} {row['error_x']:.1e} {row['error_V']:.1e}"
        )
    print("first calls [s]:", {name: round(s, 1) for name, s in first.items()})
    figures = {"rows": rows, "first_call_s": first}
    print(f"written to {write_result('integrators', figures)}")


if __name__ == "__main__":
    main()
