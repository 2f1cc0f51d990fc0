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
from scipy.constants import physical_constants
from scipy.interpolate import PchipInterpolator

# ----------------------------------------------------------------- constants
F = physical_constants["Faraday constant"][0]
R_GAS = physical_constants["molar gas constant"][0]
T = 298.15
VT = R_GAS * T / F

R_P = 5e-6  # particle radius, m
C_MAX = 49600.0  # mol/m3
X_INIT = 0.999
I_C20 = F * C_MAX * 0.63 * R_P / 3 / 72000.0  # A/m2 of particle surface
CUT_RATIO = 0.4  # C/50 over C/20
V_MAX, V_MIN = 4.3, 2.5

X_KNOTS = [0.30, 0.70, 0.88, 0.92, 0.94, 0.96, 0.98, 1.00]
LOG10_D = [-14.60, -14.75, -14.80, -14.95, -15.30, -16.00, -17.20, -19.00]
PCHIP = PchipInterpolator(X_KNOTS, LOG10_D)

P_COEF = [
    5.3147356330003,
    -4.15827660360906,
    27.2340921804213,
    -272.485166844578,
    1190.22342119331,
    -2073.76554757481,
    -829.790460410703,
    8698.11275534872,
    -10743.7433318619,
    -2057.80887352635,
    12656.3097851240,
    -1571.09426436509,
    -14557.4206229139,
    13176.5754448427,
    -3640.11769200149,
]
E_A, E_B, E_P = 5.573191762723310e-04, 6.560240842659690, 41.48209275061330
W_SP = 1e-5
X_LIN = 0.9998

X_LO, X_HI = 0.2, 1.002  # range of the tables of D and Phi
N_TAB = 4011  # points in the tables (spacing 2e-4)


# ------------------------------------------------------- material functions
def open_circuit_potential(x, lib):
    """U(x) in V; ``lib`` is numpy or pybamm (same formula for both)."""
    poly = P_COEF[-1]
    for c in P_COEF[-2::-1]:
        poly = poly * x + c
    u = poly - E_A * lib.exp(E_B * x**E_P)
    # VT*log1p(-x^60), continued linearly (value and slope) above X_LIN
    x60 = X_LIN**60
    val, slope = np.log1p(-x60), -60 * X_LIN**59 / (1 - x60)
    xc = lib.minimum(x, X_LIN)
    u = u + VT * (lib.log(1 - xc**60) + slope * (x - xc))
    assert abs(np.log(1 - x60) - val) < 1e-12
    # softplus without overflow
    z = (x - 0.9995) / W_SP
    softplus = lib.maximum(z, 0) + lib.log(1 + lib.exp(-abs(z)))
    return u - 2000 * W_SP * softplus


def exchange_current_density(x, lib):
    return 2 * lib.sqrt(lib.maximum(x * (1 - x), 1e-12))


def log10_diffusivity(x):
    """PCHIP of log10 D; PCHIP's own cubic below 0.30, constant above 1."""
    return PCHIP(np.minimum(x, 1.0))


def build_tables(n_tab):
    """log10 D and the Kirchhoff potential -int_x^1 D ds (m2/s) on a grid."""
    xg = np.linspace(X_LO, X_HI, n_tab)
    gx, gw = np.polynomial.legendre.leggauss(8)
    a, b = xg[:-1], xg[1:]
    mid, half = (a + b) / 2, (b - a) / 2
    nodes = mid[:, None] + half[:, None] * gx
    cell = half * (10.0 ** log10_diffusivity(nodes) @ gw)
    # accumulate downwards from the top so that small values near x = 1 keep
    # their relative precision
    phi = -np.concatenate([np.cumsum(cell[::-1])[::-1], [0.0]])
    return xg, log10_diffusivity(xg), phi


XG, LOGD_TAB, PHI_TAB = build_tables(N_TAB)
PHI_SCALE = R_P**2  # the model works with Phi / R^2 in 1/s and r / R


def phi_of(x):
    return pybamm.Interpolant(
        XG, PHI_TAB / PHI_SCALE, x, interpolator="cubic", name="kirchhoff_potential"
    )


def diffusivity_of(x):
    """D(x)/R^2 in 1/s."""
    logd = pybamm.Interpolant(XG, LOGD_TAB, x, interpolator="cubic", name="log10_D")
    return pybamm.exp(np.log(10.0) * logd) / PHI_SCALE


# ---------------------------------------------------------------------- mesh
def mesh_edges(dr_min, dr_max, growth):
    """Edges of r/R: cells grow from dr_min at the surface to dr_max (metres)."""
    h, d, cells = dr_min / R_P, 0.0, []
    while h < dr_max / R_P and d + h < 0.5:
        cells.append(h)
        d += h
        h *= growth
    n = int(np.ceil((1 - d) / (dr_max / R_P)))
    depth = np.concatenate([[0.0], np.cumsum(cells)])
    edges = np.concatenate([np.linspace(0, 1 - d, n + 1)[:-1], 1 - depth[::-1]])
    edges[0], edges[-1] = 0.0, 1.0
    return edges


# --------------------------------------------------------------------- model
def build_model(step, edges, plain):
    """Discretised model of one protocol step (0 charge, 1 hold, 2 discharge)."""
    dom = ["positive particle"]
    model = pybamm.BaseModel(name=f"step {step}")
    x = pybamm.Variable("x", domain=dom)
    xs = pybamm.Variable("x_surf")
    r = pybamm.SpatialVariable("r", domain=dom, coord_sys="spherical polar")

    if step == 1:
        cur = pybamm.Variable("i")
    else:
        cur = pybamm.Scalar(I_C20 if step == 0 else -I_C20)
    q = cur / (F * C_MAX * R_P)  # outward flux of x over R, 1/s

    if plain:
        flux = -diffusivity_of(x) * pybamm.grad(x)
        model.rhs = {x: -pybamm.div(flux)}
        model.boundary_conditions = {
            x: {
                "left": (pybamm.Scalar(0), "Neumann"),
                "right": (-q / diffusivity_of(xs), "Neumann"),
            }
        }
        model.algebraic = {xs: xs - pybamm.surf(x)}
    else:
        phi = phi_of(x)
        model.rhs = {x: pybamm.div(pybamm.grad(phi))}
        model.boundary_conditions = {
            phi: {"left": (pybamm.Scalar(0), "Neumann"), "right": (-q, "Neumann")}
        }
        # divided by D(x_s): a residual in units of stoichiometry
        model.algebraic = {xs: (phi_of(xs) - pybamm.surf(phi)) / diffusivity_of(xs)}

    u = open_circuit_potential(xs, pybamm)
    i0 = exchange_current_density(xs, pybamm)
    eta = 2 * VT * pybamm.arcsinh(cur / (2 * i0))
    volt = u + eta
    model.initial_conditions = {x: pybamm.Scalar(X_INIT), xs: pybamm.Scalar(X_INIT)}
    if step == 1:
        model.algebraic[cur] = volt - V_MAX
        model.initial_conditions[cur] = pybamm.Scalar(I_C20)
        model.events = [pybamm.Event("cut-off", cur / I_C20 - CUT_RATIO)]
    elif step == 0:
        model.events = [pybamm.Event("V max", V_MAX - volt)]
    else:
        model.events = [pybamm.Event("V min", volt - V_MIN)]
    model.variables = {"x": x, "x_surf": xs, "i": cur, "V": volt}

    geometry = {dom[0]: {r: {"min": pybamm.Scalar(0), "max": pybamm.Scalar(1)}}}
    submesh = pybamm.MeshGenerator(pybamm.UserSupplied1DSubMesh, {"edges": edges})
    mesh = pybamm.Mesh(geometry, {dom[0]: submesh}, {r: len(edges) - 1})
    methods = {
        dom[0]: pybamm.FiniteVolume(
            {
                "extrapolation": {
                    "order": {"gradient": "linear", "value": "linear"},
                    "use bcs": True,
                }
            }
        )
    }
    pybamm.Discretisation(mesh, methods).process_model(model)
    return model


N_ROWS = (200, 50, 200)
T_MAX = (100000.0, 40000.0, 100000.0)


def run(edges, rtol, atol, plain=False):
    """Whole protocol; returns the table, the durations and the charges."""
    w = np.diff(edges**3)  # cell volumes over the particle volume
    rows, durations, charges, mean_err, prev, steps = [], [], [], 0.0, None, []
    mean0 = X_INIT
    for step in range(3):
        model = build_model(step, edges, plain)
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
RTOL, ATOL = 1e-8, 1e-10


def report(name, res, wall):
    d = res["durations"]
    print(
        f"{name:34s} n={res['npts']:5d}  t = {d[0]:.4f} {d[1]:.4f} {d[2]:.4f} s  "
        f"loss = {100 * res['loss']:.5f} %  charge error {res['mean_err']:.1e}  "
        f"steps {res['steps']}  {wall:.0f} s",
        flush=True,
    )


def main():
    global XG, LOGD_TAB, PHI_TAB
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
    args = ap.parse_args()
    pybamm.set_logging_level("ERROR")

    print("PyBaMM", pybamm.__version__, "Python", platform.python_version())
    print(f"C/20 current density {I_C20:.8f} A/m2")
    for xx in (0.3, 0.5, 0.9, 0.999):
        print(f"U({xx}) = {float(open_circuit_potential(np.float64(xx), np)):.5f} V")

    levels = LEVELS[: args.levels]
    if args.no_refine:
        levels = levels[-1:]
    print(
        f"\nMesh refinement (rtol {RTOL:g}, atol {ATOL:g}); durations of charge, "
        "hold, discharge; max |dV| at equal CSV rows"
    )
    results = []
    for lev in levels:
        t0 = time.time()
        res = run(mesh_edges(*lev), RTOL, ATOL)
        report(f"dr {lev[0]:.0e}..{lev[1]:.0e} m", res, time.time() - t0)
        print(
            f"   V(0+) on this mesh differs from the exact limit by {res['dv0']:.3f} mV"
        )
        if results:
            dv = compare(results[-1], res)
            print(
                "   max |dV| to the mesh before, mV (charge, hold, discharge): "
                + ", ".join(f"{v:.4f}" for v in dv),
                flush=True,
            )
        results.append(res)
    best = results[-1]
    conv = compare(results[-2], best) if len(results) > 1 else None

    if not args.no_refine:
        base = results[0]
        print(
            f"\nOther checks, on the first mesh (n={base['npts']}); dV to its row above"
        )
        edges = mesh_edges(*levels[0])
        for name, tol in (
            ("rtol 1e-7, atol 1e-9", (1e-7, 1e-9)),
            ("rtol 3e-9, atol 3e-11", (3e-9, 3e-11)),
        ):
            t0 = time.time()
            res = run(edges, *tol)
            report(name, res, time.time() - t0)
            print("   mV: " + ", ".join(f"{v:.4f}" for v in compare(base, res)))
        keep = XG, LOGD_TAB, PHI_TAB
        XG, LOGD_TAB, PHI_TAB = build_tables(2 * N_TAB - 1)
        t0 = time.time()
        res = run(edges, RTOL, ATOL)
        report("tables twice as fine", res, time.time() - t0)
        print("   mV: " + ", ".join(f"{v:.4f}" for v in compare(base, res)), flush=True)
        XG, LOGD_TAB, PHI_TAB = keep

    step_no = best["table"][:, 0]
    xs = best["table"][:, 5]
    assert xs.min() > X_KNOTS[0], "left the table of D"
    assert xs.max() < 1, "left the table of D"
    conv_text = (
        "not measured"
        if conv is None
        else "max |dV| between the two finest meshes (mV) "
        + ", ".join(
            f"{n} {v:.4f}"
            for n, v in zip(("charge", "hold", "discharge"), conv, strict=True)
        )
    )
    d = best["durations"]
    with open(args.out, "w", newline="\n") as fh:
        fh.write(
            f"# PyBaMM {pybamm.__version__} IDAKLU; Python {platform.python_version()}; "
            f"{best['npts']} finite volumes, {levels[-1][0]:g} m at the surface to "
            f"{levels[-1][1]:g} m; rtol {RTOL:g} atol {ATOL:g}; {conv_text}; "
            f"durations {d[0]:.3f} {d[1]:.3f} {d[2]:.3f} s; loss {100 * best['loss']:.4f} %; "
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
    q = best["charges"]
    print(
        f"\nwrote {args.out}: "
        + ", ".join(f"{int((step_no == k).sum())} rows" for k in range(3))
    )
    print(
        f"durations {d[0]:.4f} s, {d[1]:.4f} s, {d[2]:.4f} s; x_s in "
        f"[{xs.min():.5f}, {xs.max():.5f}]"
    )
    print(f"Q_CC {q[0]:.6f}  Q_CV {q[1]:.6f}  Q_dis {q[2]:.6f} C/m2")
    print(f"loss = 1 - Q_dis/(Q_CC+Q_CV) = {100 * best['loss']:.5f} %")
    print("convergence:", conv_text)

    if args.plain:
        print(
            "\nSame protocol with the flux D(x)*grad(x) and PyBaMM's edge averaging; "
            "dV to the CSV's solution"
        )
        for lev in LEVELS[:3]:
            t0 = time.time()
            try:
                res = run(mesh_edges(*lev), RTOL, ATOL, plain=True)
            except Exception as err:  # a solver failure is a result here
                print(f"dr {lev[0]:.0e}..{lev[1]:.0e} m: {type(err).__name__}: {err}")
                continue
            report(f"plain, dr {lev[0]:.0e}..{lev[1]:.0e} m", res, time.time() - t0)
            print(
                "   mV: " + ", ".join(f"{v:.4f}" for v in compare(best, res)),
                flush=True,
            )


if __name__ == "__main__":
    main()
