"""The single-particle NMC532 half cell as a PyBaMM model; see make_pybamm_spm.py."""

from typing import NamedTuple

import numpy as np
import pybamm
from scipy.constants import physical_constants
from scipy.interpolate import PchipInterpolator

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


class Tables(NamedTuple):
    """log10 D and the Kirchhoff potential -int_x^1 D ds (m2/s) on a grid of x."""

    x: np.ndarray
    log10_d: np.ndarray
    phi: np.ndarray


def build_tables(n_tab=N_TAB):
    """Tables of n_tab points."""
    xg = np.linspace(X_LO, X_HI, n_tab)
    gx, gw = np.polynomial.legendre.leggauss(8)
    a, b = xg[:-1], xg[1:]
    mid, half = (a + b) / 2, (b - a) / 2
    nodes = mid[:, None] + half[:, None] * gx
    cell = half * (10.0 ** log10_diffusivity(nodes) @ gw)
    # accumulate downwards from the top so that small values near x = 1 keep
    # their relative precision
    phi = -np.concatenate([np.cumsum(cell[::-1])[::-1], [0.0]])
    return Tables(xg, log10_diffusivity(xg), phi)


PHI_SCALE = R_P**2  # the model works with Phi / R^2 in 1/s and r / R


def phi_of(x, tables):
    return pybamm.Interpolant(
        tables.x,
        tables.phi / PHI_SCALE,
        x,
        interpolator="cubic",
        name="kirchhoff_potential",
    )


def diffusivity_of(x, tables):
    """D(x)/R^2 in 1/s."""
    logd = pybamm.Interpolant(
        tables.x, tables.log10_d, x, interpolator="cubic", name="log10_D"
    )
    return pybamm.exp(np.log(10.0) * logd) / PHI_SCALE


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


def build_model(step, edges, tables, plain):
    """Discretised model of one protocol step (0 charge, 1 hold, 2 discharge)."""
    dom = ["positive particle"]
    model = pybamm.BaseModel(name=f"step {step}")
    x = pybamm.Variable("x", domain=dom)
    xs = pybamm.Variable("x_surf")
    if step == 1:
        cur = pybamm.Variable("i")
    else:
        cur = pybamm.Scalar(I_C20 if step == 0 else -I_C20)
    model.initial_conditions = {x: pybamm.Scalar(X_INIT), xs: pybamm.Scalar(X_INIT)}
    (add_plain_diffusion if plain else add_diffusion)(model, x, xs, cur, tables)
    volt = open_circuit_potential(xs, pybamm) + 2 * VT * pybamm.arcsinh(
        cur / (2 * exchange_current_density(xs, pybamm))
    )
    add_control(model, step, cur, volt)
    model.variables = {"x": x, "x_surf": xs, "i": cur, "V": volt}
    discretise(model, edges, dom)
    return model


def outward_flux(cur):
    """Of x over R, 1/s."""
    return cur / (F * C_MAX * R_P)


def add_diffusion(model, x, xs, cur, tables):
    """The particle equation in the Kirchhoff potential."""
    phi = phi_of(x, tables)
    model.rhs = {x: pybamm.div(pybamm.grad(phi))}
    model.boundary_conditions = {
        phi: {
            "left": (pybamm.Scalar(0), "Neumann"),
            "right": (-outward_flux(cur), "Neumann"),
        }
    }
    # divided by D(x_s): a residual in units of stoichiometry
    surface = phi_of(xs, tables) - pybamm.surf(phi)
    model.algebraic = {xs: surface / diffusivity_of(xs, tables)}


def add_plain_diffusion(model, x, xs, cur, tables):
    """The particle equation with D(x) grad(x) and PyBaMM's averaging to edges."""
    model.rhs = {x: -pybamm.div(-diffusivity_of(x, tables) * pybamm.grad(x))}
    slope = -outward_flux(cur) / diffusivity_of(xs, tables)
    model.boundary_conditions = {
        x: {"left": (pybamm.Scalar(0), "Neumann"), "right": (slope, "Neumann")}
    }
    model.algebraic = {xs: xs - pybamm.surf(x)}


def add_control(model, step, cur, volt):
    """What is held in a step, and the event that ends it."""
    if step == 1:
        model.algebraic[cur] = volt - V_MAX
        model.initial_conditions[cur] = pybamm.Scalar(I_C20)
        model.events = [pybamm.Event("cut-off", cur / I_C20 - CUT_RATIO)]
    elif step == 0:
        model.events = [pybamm.Event("V max", V_MAX - volt)]
    else:
        model.events = [pybamm.Event("V min", volt - V_MIN)]


def discretise(model, edges, dom):
    """Finite volumes between edges, in place."""
    r = pybamm.SpatialVariable("r", domain=dom, coord_sys="spherical polar")
    geometry = {dom[0]: {r: {"min": pybamm.Scalar(0), "max": pybamm.Scalar(1)}}}
    submesh = pybamm.MeshGenerator(pybamm.UserSupplied1DSubMesh, {"edges": edges})
    mesh = pybamm.Mesh(geometry, {dom[0]: submesh}, {r: len(edges) - 1})
    order = {"gradient": "linear", "value": "linear"}
    methods = {
        dom[0]: pybamm.FiniteVolume(
            {"extrapolation": {"order": order, "use bcs": True}}
        )
    }
    pybamm.Discretisation(mesh, methods).process_model(model)
