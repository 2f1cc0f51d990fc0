#!/usr/bin/env python3
"""Independent PyBaMM reference for a single-particle NMC532 half cell.

What it is
----------
One spherical NMC particle against an ideal lithium electrode: no electrolyte,
no lithium overpotential, no series resistance, so the cell voltage V is the
particle potential against Li.  Protocol:

  step 0  charge at C/20 up to 4.3 V               (event located by the solver)
  step 1  hold 4.3 V until the current is C/50     (0.4 of the C/20 current)
  step 2  discharge at C/20 down to 2.5 V          (event located by the solver)

The particle equation

    dx/dt = r^-2 d/dr ( r^2 D(x) dx/dr ),   -D dx/dr |_R = i / (F c_max)

is a custom ``pybamm.BaseModel`` discretised by PyBaMM's own spherical finite
volumes (``pybamm.div`` / ``pybamm.grad``) on a user-supplied, surface-clustered
mesh and integrated by ``pybamm.IDAKLUSolver``.

D falls by four decades as x -> 1, so the flux is written with the Kirchhoff
potential:  D(x) grad x = grad Phi(x),  Phi(x) = -int_x^1 D(s) ds.  This is the
same equation, but it needs no averaging of D to the cell edges, the boundary
flux enters exactly (charge is conserved to solver tolerance), and the surface
stoichiometry is the root of  Phi(x_s) = surf(Phi), where surf(Phi) extrapolates
from the last node with the known boundary gradient.  ``surf(Phi)`` is smooth
where x itself is not.  x_s (and, in the hold, the current density) are
algebraic unknowns of the DAE.

``--plain`` repeats the run with the textbook flux  D(x)*grad(x)  and PyBaMM's
own edge averaging, as a check on the Kirchhoff form.  It tends to the same
solution but only about linearly in the cell size, because the averaged D holds
the moving front back: 35, 19, 7.5 mV off in the early charge on the first three
meshes, where the Kirchhoff form is within about 0.2 mV on the first.

The first CSV row is the exact limit t -> 0+ (surface still at 0.999): a mesh
value there contains half a surface cell of the infinitely thin boundary layer.
The refinement table prints that difference; it is gone by the second row.

How to run
----------
    pip install pybamm            (written for PyBaMM 26.x, Python 3.12)
    python make_pybamm_spm.py               refinement table + CSV
    python make_pybamm_spm.py --no-refine   CSV only, no convergence figures
    python make_pybamm_spm.py --plain       also the D*grad(x) check

Output: pybamm_spm_nmc532.csv in the current directory, with columns
step, time_s, voltage_V, current_density_A_m2, mean_stoichiometry,
surface_stoichiometry (200 + 50 + 200 rows, current positive on charge).
"""

import argparse
import os
import platform
import time

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pybamm
from pybamm_spm_model import (
    C_MAX,
    I_C20,
    N_TAB,
    R_P,
    VT,
    X_INIT,
    X_KNOTS,
    F,
    build_model,
    build_tables,
    exchange_current_density,
    mesh_edges,
    open_circuit_potential,
)

N_ROWS = (200, 50, 200)
T_MAX = (100000.0, 40000.0, 100000.0)


def run(edges, rtol, atol, plain=False, tables=None):
    """Whole protocol; returns the table, the durations and the charges."""
    w = np.diff(edges**3)  # cell volumes over the particle volume
    rows, durations, charges, mean_err, prev, steps = [], [], [], 0.0, None, []
    mean0 = X_INIT
    tables = build_tables() if tables is None else tables
    for step in range(3):
        model = build_model(step, edges, tables, plain)
        if prev is not None:
            model.set_initial_conditions_from(prev, inplace=True)
        solver = pybamm.IDAKLUSolver(
            rtol=rtol, atol=atol, root_tol=1e-10, options={"max_num_steps": 10_000_000}
        )
        sol = solver.solve(model, [0.0, T_MAX[step]])
        if not sol.termination.startswith("event"):
            raise RuntimeError(f"step {step} ended by {sol.termination}")
        t_end = float(sol.t[-1])
        tt = np.linspace(0.0, t_end, N_ROWS[step])
        volt, xs = sol["V"](tt), sol["x_surf"](tt)
        cur = sol["i"](tt) if step == 1 else np.full_like(tt, I_C20 * (1 - step))
        mean = np.array([w @ col for col in np.asarray(sol["x"](tt)).T])
        # charge per m2 from the change of the mean stoichiometry and, at
        # constant current, from time: their difference checks conservation
        q_mean = F * C_MAX * R_P / 3 * (mean0 - mean[-1])
        if step == 1:
            q_time = q_mean
        else:
            q_time = I_C20 * (1 - step) * t_end
            mean_err = max(mean_err, abs(q_mean - q_time) / abs(q_time))
        charges.append(abs(q_time))
        durations.append(t_end)
        steps.append(len(sol.t))
        mean0 = mean[-1]
        if step == 0:
            # at t = 0+ the surface is still at X_INIT, but the mesh value has
            # half a cell of the (infinitely thin) boundary layer in it: the
            # first row is the exact limit
            v0 = open_circuit_potential(np.float64(X_INIT), np) + 2 * VT * np.arcsinh(
                I_C20 / (2 * exchange_current_density(np.float64(X_INIT), np))
            )
            dv0 = 1e3 * float(volt[0] - v0)
            volt[0], xs[0] = v0, X_INIT
        rows.append(np.column_stack([np.full_like(tt, step), tt, volt, cur, mean, xs]))
        prev = sol
    return dict(
        table=np.vstack(rows),
        durations=durations,
        charges=charges,
        loss=1 - charges[2] / (charges[0] + charges[1]),
        mean_err=mean_err,
        dv0=dv0,
        npts=len(edges) - 1,
        steps=steps,
    )


def compare(a, b):
    """Largest |dV| in mV per step, rows matched by row number."""
    d = 1e3 * np.abs(a["table"][:, 2] - b["table"][:, 2])
    s = a["table"][:, 0]
    return [float(d[s == k].max()) for k in range(3)]


# --------------------------------------------------------------------- main
LEVELS = [  # dr_min, dr_max (m), growth
    (4e-12, 40e-9, 1.40),
    (2e-12, 20e-9, 1.20),
    (1e-12, 10e-9, 1.10),
    (5e-13, 5e-9, 1.05),
]
TOL = 1e-8, 1e-10  # relative, absolute


def report(name, res, wall):
    d = res["durations"]
    print(
        f"{name:34s} n={res['npts']:5d}  t = {d[0]:.4f} {d[1]:.4f} {d[2]:.4f} s  "
        f"loss = {100 * res['loss']:.5f} %  charge error {res['mean_err']:.1e}  "
        f"steps {res['steps']}  {wall:.0f} s",
        flush=True,
    )


def options():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument(
        "--levels",
        type=int,
        default=len(LEVELS),
        help="how many meshes of the refinement table to run",
    )
    ap.add_argument(
        "--no-refine",
        action="store_true",
        help="only the finest mesh asked for, no checks",
    )
    ap.add_argument(
        "--plain",
        action="store_true",
        help="also run the D*grad(x) form on the first three meshes",
    )
    ap.add_argument("--out", default="pybamm_spm_nmc532.csv")
    return ap.parse_args()


def reported(name, edges, tol, **fields):
    """A run, with its line of the table."""
    t0 = time.time()
    res = run(edges, *tol, **fields)
    report(name, res, time.time() - t0)
    return res


def print_difference(one, other, text="   mV: "):
    print(text + ", ".join(f"{v:.4f}" for v in compare(one, other)), flush=True)


def refine(levels):
    """Runs of all meshes, coarsest first."""
    print(
        f"\nMesh refinement (rtol {TOL[0]:g}, atol {TOL[1]:g}); durations of charge, "
        "hold, discharge; max |dV| at equal CSV rows"
    )
    results = []
    for lev in levels:
        res = reported(f"dr {lev[0]:.0e}..{lev[1]:.0e} m", mesh_edges(*lev), TOL)
        print(
            f"   V(0+) on this mesh differs from the exact limit by {res['dv0']:.3f} mV"
        )
        if results:
            text = "   max |dV| to the mesh before, mV (charge, hold, discharge): "
            print_difference(results[-1], res, text)
        results.append(res)
    return results


def check_tolerances(base, edges):
    """Other tolerances and finer tables on the mesh of `base`."""
    print(f"\nOther checks, on the first mesh (n={base['npts']}); dV to its row above")
    for tol in ((1e-7, 1e-9), (3e-9, 3e-11)):
        name = f"rtol {tol[0]:g}, atol {tol[1]:g}"
        print_difference(base, reported(name, edges, tol))
    finer = build_tables(2 * N_TAB - 1)
    print_difference(base, reported("tables twice as fine", edges, TOL, tables=finer))


def check_plain(best):
    """The same protocol with the textbook flux."""
    print(
        "\nSame protocol with the flux D(x)*grad(x) and PyBaMM's edge averaging; "
        "dV to the CSV's solution"
    )
    for lev in LEVELS[:3]:
        name = f"plain, dr {lev[0]:.0e}..{lev[1]:.0e} m"
        try:
            res = reported(name, mesh_edges(*lev), TOL, plain=True)
        except Exception as err:  # a solver failure is a result here
            print(f"{name}: {type(err).__name__}: {err}")
            continue
        print_difference(best, res)


def write(path, best, finest, convergence):
    """The CSV, with what made it in its first line."""
    d = best["durations"]
    with open(path, "w", newline="\n") as fh:
        fh.write(
            f"# PyBaMM {pybamm.__version__} IDAKLU; Python {platform.python_version()}; "
            f"{best['npts']} finite volumes, {finest[0]:g} m at the surface to "
            f"{finest[1]:g} m; rtol {TOL[0]:g} atol {TOL[1]:g}; {convergence}; "
            f"durations {d[0]:.3f} {d[1]:.3f} {d[2]:.3f} s; "
            f"loss {100 * best['loss']:.4f} %; "
            "the first row is the exact limit t -> 0+\n"
        )
        fh.write(
            "step,time_s,voltage_V,current_density_A_m2,mean_stoichiometry,"
            "surface_stoichiometry\n"
        )
        for row in best["table"]:
            fh.write(
                f"{int(row[0])},{row[1]:.6f},{row[2]:.8f},{row[3]:.10f},"
                f"{row[4]:.10f},{row[5]:.10f}\n"
            )


def summarise(path, best, convergence):
    """What the CSV holds."""
    step_no, xs = best["table"][:, 0], best["table"][:, 5]
    d, q = best["durations"], best["charges"]
    counts = ", ".join(f"{int((step_no == k).sum())} rows" for k in range(3))
    print(f"\nwrote {path}: {counts}")
    print(
        f"durations {d[0]:.4f} s, {d[1]:.4f} s, {d[2]:.4f} s; x_s in "
        f"[{xs.min():.5f}, {xs.max():.5f}]"
    )
    print(f"Q_CC {q[0]:.6f}  Q_CV {q[1]:.6f}  Q_dis {q[2]:.6f} C/m2")
    print(f"loss = 1 - Q_dis/(Q_CC+Q_CV) = {100 * best['loss']:.5f} %")
    print("convergence:", convergence)


def convergence_of(results):
    """How far the two finest meshes are apart, in words."""
    if len(results) < 2:
        return "not measured"
    pairs = zip(("charge", "hold", "discharge"), compare(*results[-2:]), strict=True)
    return "max |dV| between the two finest meshes (mV) " + ", ".join(
        f"{n} {v:.4f}" for n, v in pairs
    )


def main():
    args = options()
    pybamm.set_logging_level("ERROR")
    print("PyBaMM", pybamm.__version__, "Python", platform.python_version())
    print(f"C/20 current density {I_C20:.8f} A/m2")
    for xx in (0.3, 0.5, 0.9, 0.999):
        print(f"U({xx}) = {float(open_circuit_potential(np.float64(xx), np)):.5f} V")
    levels = LEVELS[: args.levels]
    if args.no_refine:
        levels = levels[-1:]
    results = refine(levels)
    best, convergence = results[-1], convergence_of(results)
    if not args.no_refine:
        check_tolerances(results[0], mesh_edges(*levels[0]))
    xs = best["table"][:, 5]
    assert xs.min() > X_KNOTS[0], "left the table of D"
    assert xs.max() < 1, "left the table of D"
    write(args.out, best, levels[-1], convergence)
    summarise(args.out, best, convergence)
    if args.plain:
        check_plain(best)


if __name__ == "__main__":
    main()
