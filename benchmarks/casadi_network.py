"""First charge of a network of particles with CasADi and IDAS: a peer for benchmarks.

Sites diffuse lithium along their radius, react by Butler-Volmer kinetics and share charge through contacts that follow
the stoichiometry: one semi-explicit system, integrated by IDAS with exact sparse Jacobians in a single call.

    solver = build(paper_case(), end_time=75100.0, times=np.linspace(0.0, 75100.0, 101), reltol=1e-5, abstol=1e-6)
    result = solver()

Each site's mean stoichiometry is a state of its own (its rate is the reaction's, so it equals the volume mean), which
leaves the balances of charge one unknown per site, not a whole radius. ``theta`` names how diffusion meets D(x):
"table", cubic Hermite look-up by index; "bspline", CasADi's own interpolant.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from dataclasses import dataclass

import casadi as ca
import numpy as np
from scipy.interpolate import PchipInterpolator

FARADAY, GAS, TEMPERATURE = 96485.33212, 8.31446261815324, 298.15
THERMAL_VOLTAGE = GAS * TEMPERATURE / FARADAY
LOG10 = np.log(10.0)
LOWEST, HIGHEST = 0.25, 1.0  # the table of theta; linear continuation beyond
THETA_FORMS = ("table", "bspline")
COMPILER = {"flags": ["-O2", "-march=native"], "cleanup": False}
CORNER, STEP_WIDTH = (
    0.004,
    1e-5,
)  # rounding of the conductivity's corners and of the open-circuit step
LAST_SMOOTH = 0.9998  # beyond, the open-circuit logarithm continues along its tangent
OPEN_CIRCUIT = (
    5.3147356330003, -4.15827660360906, 27.2340921804213, -272.485166844578, 1190.22342119331, -2073.76554757481,
    -829.790460410703, 8698.11275534872, -10743.7433318619, -2057.80887352635, 12656.3097851240, -1571.09426436509,
    -14557.4206229139, 13176.5754448427, -3640.11769200149,
)  # fmt: skip

Symbol = ca.SX | ca.MX | ca.DM


@dataclass(frozen=True)
class NetworkCase:
    """A network of particles under constant charging current.

    Attributes:
        radii, initial_stoichiometry, site_node: Per site, radius (m), uniform start, network node (0 is the collector).
        c_max: Concentration of lithium sites (mol/m3).
        xi: Radial nodes in units of the radius, from 0 to 1.
        tail, head, series_resistance: Per edge, its nodes and the constant part of its resistance (ohm).
        shape_tail, shape_head: Per edge, shape factors of the contact (1/m), 0 at a node without a site.
        current: Total current (A), positive on charge.
        log_diffusivity: Knots and values of log10 of D (m2/s), joined by PCHIP; one value means a constant.
        log_conductivity: Knots and values of log10 of kappa (S/m), rounded corners; one value means a constant.
        exchange, constant_exchange: Exchange current density at x = 0.5 (A/m2), and whether it ignores x.
        linear_open_circuit: Intercept and slope of U(x), or None for the NMC532 curve.
        voltage_limit: Voltage at which the charge ends, for whoever chooses the end time; the integration ignores it.
    """

    radii: np.ndarray
    c_max: float
    xi: np.ndarray
    site_node: np.ndarray
    tail: np.ndarray
    head: np.ndarray
    series_resistance: np.ndarray
    shape_tail: np.ndarray
    shape_head: np.ndarray
    initial_stoichiometry: np.ndarray
    current: float
    log_diffusivity: tuple[np.ndarray, np.ndarray]
    log_conductivity: tuple[np.ndarray, np.ndarray]
    exchange: float = 1.0
    constant_exchange: bool = False
    linear_open_circuit: tuple[float, float] | None = None
    voltage_limit: float = 4.3

    @property
    def geometry(self) -> tuple[np.ndarray, np.ndarray]:
        """Control volumes over 4 pi R^3 and, per face, area over node distance in units of the radius."""
        faces = 0.5 * (self.xi[1:] + self.xi[:-1])
        return np.diff(
            np.concatenate([[0.0], faces, [1.0]]) ** 3
        ) / 3.0, faces**2 / np.diff(self.xi)


def paper_case(nodes: int = 20) -> NetworkCase:
    """Five columns of one to five particles at C/20, with literature curves; 4.3 V comes after about 20.84 h."""
    tail, head = [], []
    for column in range(5):
        chain = [0, *range(len(head) + 1, len(head) + column + 2)]
        tail += chain[:-1]
        head += chain[1:]
    sites, at_collector, grading = (
        len(head),
        np.array(tail) == 0,
        1.25 ** -np.arange(float(nodes)),
    )
    radius, c_max = 5e-6, 49600.0
    x_d = np.array([0.30, 0.70, 0.88, 0.92, 0.94, 0.96, 0.98, 1.00])
    log_d = np.array([-14.60, -14.75, -14.80, -14.95, -15.30, -16.00, -17.20, -19.00])
    return NetworkCase(
        radii=np.full(sites, radius),
        c_max=c_max,
        xi=(1.0 - grading) / (1.0 - grading[-1]),
        site_node=np.arange(1, sites + 1),
        tail=np.array(tail),
        head=np.array(head),
        series_resistance=np.zeros(sites),
        shape_tail=np.where(at_collector, 0.0, 5e5),
        shape_head=np.where(at_collector, 1.56e4, 5e5),
        initial_stoichiometry=np.full(sites, 0.999),
        current=sites
        * FARADAY
        * c_max
        * 4.0
        / 3.0
        * np.pi
        * radius**3
        * 0.63
        / 72000.0,
        log_diffusivity=(x_d, log_d),
        log_conductivity=(
            np.array([0.25, 0.50, 0.70, 0.90, 1.00]),
            np.array([0.14, -0.82, -1.00, -1.55, -5.30]),
        ),
    )


def softplus(x: Symbol, width: float) -> Symbol:
    """Ramp max(x, 0) with its corner rounded over a width, without overflow."""
    return ca.fmax(x, 0.0) + width * ca.log1p(ca.exp(-ca.fabs(x) / width))


def open_circuit(case: NetworkCase, x: Symbol) -> Symbol:
    """Equilibrium potential (V)."""
    if case.linear_open_circuit is not None:
        return case.linear_open_circuit[0] + case.linear_open_circuit[1] * x
    polynomial = functools.reduce(
        lambda value, coefficient: value * x + coefficient, OPEN_CIRCUIT[::-1]
    )
    inside = ca.fmin(x, LAST_SMOOTH)
    logarithm = ca.log1p(-(inside**60)) - 60.0 * LAST_SMOOTH**59 / (
        1.0 - LAST_SMOOTH**60
    ) * (x - inside)
    tail = 5.573191762723310e-04 * ca.exp(
        6.560240842659690 * ca.fmin(ca.fmax(x, 0.0), 1.01) ** 41.48209275061330
    )
    return (
        polynomial
        - tail
        + THERMAL_VOLTAGE * logarithm
        - 2000.0 * softplus(x - 0.9995, STEP_WIDTH)
    )


def exchange_current_density(case: NetworkCase, x: Symbol) -> Symbol | float:
    """Exchange current density (A/m2), held constant within 1e-4 of the empty and the full lattice."""
    if case.constant_exchange:
        return case.exchange
    inside = ca.fmin(ca.fmax(x, 1e-4), 1.0 - 1e-4)
    return 2.0 * case.exchange * ca.sqrt(inside * (1.0 - inside))


def resistivity(case: NetworkCase, x: Symbol) -> Symbol | np.ndarray:
    """Inverse of the conductivity (ohm m): piecewise linear in log10 with rounded corners."""
    knots, values = case.log_conductivity
    if values.size == 1:
        return np.full(case.radii.size, 10.0 ** -values[0])
    slopes = np.diff(values) / np.diff(knots)
    log_kappa = values[0] + slopes[0] * (x - knots[0])
    for knot, change in zip(knots[1:-1], np.diff(slopes), strict=True):
        log_kappa = log_kappa + change * softplus(x - knot, CORNER)
    return ca.exp(-LOG10 * log_kappa)


def tabulate_theta(
    case: NetworkCase, points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Uniform grid, theta (integral of D from 1 to x, summed from 1 downwards to keep its digits) and D on it."""
    law = PchipInterpolator(*case.log_diffusivity)
    grid, step = np.linspace(LOWEST, HIGHEST, points, retstep=True)
    nodes, weights = np.polynomial.legendre.leggauss(10)
    panels = (
        10.0 ** law(grid[:-1, None] + step * 0.5 * (nodes + 1.0)) @ weights * step * 0.5
    )
    return grid, np.append(-np.cumsum(panels[::-1])[::-1], 0.0), 10.0 ** law(grid)


def hermite_theta(case: NetworkCase, x: ca.MX, points: int = 1501) -> ca.MX:
    """Cubic Hermite table with uniform steps, looked up by index: MX gathers the four coefficients of every node."""
    grid, theta, slope = tabulate_theta(case, points)
    step = grid[1] - grid[0]
    rise, left, right = np.diff(theta), slope[:-1] * step, slope[1:] * step
    columns = [
        theta[:-1],
        left,
        3.0 * rise - 2.0 * left - right,
        left + right - 2.0 * rise,
    ]
    below, above = [theta[0] - left[0], left[0], 0.0, 0.0], [0.0, right[-1], 0.0, 0.0]
    tables = [
        ca.MX(ca.DM(np.concatenate([[b], c, [a]])))
        for b, c, a in zip(below, columns, above, strict=True)
    ]
    place = (x - (LOWEST - step)) / step
    row = ca.fmin(ca.fmax(ca.floor(place), 0.0), float(points))
    offset = place - row
    c0, c1, c2, c3 = (table.nz[row] for table in tables)
    return c0 + offset * (c1 + offset * (c2 + offset * c3))


def bspline_theta(case: NetworkCase, x: ca.MX, points: int = 1501) -> ca.MX:
    """CasADi's cubic B-spline interpolant of theta, scaled to order one."""
    grid, theta, slope = tabulate_theta(case, points)
    scale, options = (
        np.abs(theta).max(),
        {"lookup_mode": ["binary"], "linear_solver": "qr"},
    )
    spline = ca.interpolant("theta", "bspline", [grid], theta / scale, options)
    inside = ca.fmin(ca.fmax(x, LOWEST), HIGHEST)
    return scale * spline(inside.T).T + ca.if_else(x > HIGHEST, slope[-1], slope[0]) * (
        x - inside
    )


def to_dm(matrix: np.ndarray) -> ca.DM:
    """Sparse CasADi constant of a dense array."""
    return ca.sparsify(ca.DM(matrix))


def diffusion_rate(case: NetworkCase, x: Symbol, form: str) -> Symbol:
    """Rate of the stoichiometries by diffusion alone (1/s), site after site."""
    (volumes, weights), scale = case.geometry, np.diag(1.0 / case.radii**2)
    difference = np.diff(np.eye(case.xi.size), axis=0)
    divergence = -difference.T / volumes[:, None] * weights
    along = to_dm(np.kron(scale, divergence @ difference))
    if case.log_diffusivity[1].size == 1:
        return along @ x * 10.0 ** case.log_diffusivity[1][0]
    return along @ {"table": hermite_theta, "bspline": bspline_theta}[form](case, x)


def balance(case: NetworkCase, mean: Symbol, reaction: Symbol, phi: Symbol) -> Symbol:
    """Net current leaving each node, in units of the total current."""
    nodes = np.arange(phi.numel())[:, None]
    incidence = (nodes == case.tail).astype(float) - (nodes == case.head)
    at_site = (nodes == case.site_node).astype(float)
    shapes = (
        case.shape_tail[:, None] * at_site[case.tail]
        + case.shape_head[:, None] * at_site[case.head]
    )
    resistance = case.series_resistance + to_dm(shapes) @ resistivity(case, mean)
    edge_current = (to_dm(incidence.T) @ phi) / resistance / case.current
    areas = to_dm(at_site * 4.0 * np.pi * case.radii**2 / case.current)
    return (
        to_dm(incidence) @ edge_current + areas @ reaction - (nodes == 0).astype(float)
    )


def write_dae(case: NetworkCase, form: str) -> dict[str, Symbol]:
    """Semi-explicit system: x is [stoichiometries site after site, means], z the potentials of the nodes."""
    kind = ca.SX if case.log_diffusivity[1].size == 1 else ca.MX
    n, sites = case.xi.size, case.radii.size
    state, phi = (
        kind.sym("x", (n + 1) * sites),
        kind.sym("phi", int(max(case.tail.max(), case.head.max())) + 1),
    )
    x, mean = state[: n * sites], state[n * sites :]
    surface, potential = x[n - 1 :: n], phi[case.site_node.tolist()]
    half = 0.5 * (potential - open_circuit(case, surface)) / THERMAL_VOLTAGE
    reaction = exchange_current_density(case, surface) * (ca.exp(half) - ca.exp(-half))
    removal = 1.0 / (FARADAY * case.c_max * case.radii)
    source = np.kron(np.diag(removal), np.eye(n)[:, [n - 1]]) / case.geometry[0][-1]
    ode = ca.vertcat(
        diffusion_rate(case, x, form) - to_dm(source) @ reaction,
        -3.0 * removal * reaction,
    )
    return {"x": state, "z": phi, "ode": ode, "alg": balance(case, mean, reaction, phi)}


def initial_potentials(
    case: NetworkCase, dae: dict[str, Symbol], state: np.ndarray
) -> np.ndarray:
    """Node potentials that balance every node's charge, by damped Newton from the open-circuit potentials."""
    residual = ca.Function(
        "balance", [dae["x"], dae["z"]], [dae["alg"], ca.jacobian(dae["alg"], dae["z"])]
    )
    start = open_circuit(case, ca.DM(case.initial_stoichiometry)).full().ravel()
    phi = np.full(dae["z"].numel(), start.mean())
    phi[case.site_node] = start
    for _ in range(200):
        value, slope = (out.full() for out in residual(state, phi))
        change = -np.linalg.solve(slope, value).ravel()
        phi += change * min(1.0, 0.1 / np.abs(change).max())
        if np.abs(change).max() < 1e-12:
            return phi
    raise RuntimeError("no consistent initial potentials found")


@dataclass
class NetworkSolver:
    """One integration from zero to the end time, ready to be called as often as needed."""

    integrator: ca.Function
    state: np.ndarray
    potentials: np.ndarray
    times: np.ndarray
    sites: int

    def __call__(self) -> dict:
        """Integrate and return times, mean stoichiometries, collector voltage and the counts of the integrator."""
        out = self.integrator(x0=self.state, z0=self.potentials)
        stats, instants = self.integrator.stats(), slice(self.times.size)
        mean, voltage = (
            out["xf"][-self.sites :, instants].full().T,
            out["zf"][0, instants].full().ravel(),
        )
        counts = {
            "num_steps": stats["nsteps"],
            "num_residuals": stats["nfevals"],
            "num_jacobians": stats["nlinsetups"],
        }
        return {"times": self.times, "xbar": mean, "voltage": voltage} | counts


def build(
    case: NetworkCase,
    end_time: float,
    times: np.ndarray,
    reltol: float = 1e-5,
    abstol: float = 1e-6,
    theta: str = "table",
    compiled: bool = False,
    **options,
) -> NetworkSolver:
    """Set up the integration of a case.

    Args:
        case: The network.
        end_time: Last instant (s), reached even when no output asks for it.
        times: Output times (s), increasing, between zero and the end time; they cost no steps.
        reltol: Relative tolerance.
        abstol: Absolute tolerance, on stoichiometries and volts alike.
        theta: One of `THETA_FORMS`; irrelevant to a constant diffusivity.
        compiled: Whether residual and Jacobian become C, compiled with gcc (seconds in MX forms, minutes in SX).
        **options: More options of CasADi's IDAS; they override those set here.
    """
    times, dae = np.asarray(times, dtype=float), write_dae(case, theta)
    state = np.concatenate(
        [
            np.repeat(case.initial_stoichiometry, case.xi.size),
            case.initial_stoichiometry,
        ]
    )
    potentials = initial_potentials(case, dae, state)
    slope = (
        ca.Function("ode", [dae["x"], dae["z"]], [dae["ode"]])(state, potentials)
        .full()
        .ravel()
    )
    grid = times.tolist() + ([end_time] if end_time > times[-1] else [])
    settings = {
        "reltol": reltol,
        "abstol": abstol,
        "max_num_steps": 10**6,
        "init_xdot": slope.tolist(),
    }
    settings |= {
        "calc_ic": False,
        "linear_solver": "csparse",
        "newton_scheme": "direct",
        "show_eval_warnings": False,
    }
    if compiled:
        settings |= {
            "jit": True,
            "jit_cleanup": False,
            "compiler": "shell",
            "jit_options": COMPILER,
        }
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        integrator = ca.integrator(
            "network", "idas", dae, 0.0, grid, settings | options
        )
    return NetworkSolver(integrator, state, potentials, times, case.radii.size)
