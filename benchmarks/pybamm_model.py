"""A particle network as a custom PyBaMM model: a peer for benchmarks.

The same equations, mesh and material curves as `diffelec`, written with PyBaMM's
symbols: shells by finite volumes as sparse matrix products, node potentials as
algebraic unknowns, the current imposed. The 18 coefficients of kappa and D are
`InputParameter`s, so that IDAKLU gives forward sensitivities to them.
"""

import os

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")

import numpy as np
import pybamm
import scipy.sparse as sp

from diffelec.constants import FARADAY, ROOM_TEMPERATURE, thermal_voltage

LN10 = float(np.log(10.0))
VT = thermal_voltage(ROOM_TEMPERATURE)
NAMES = tuple([f"kappa {k}" for k in range(9)] + [f"D {k}" for k in range(9)])


class SizedVariable(pybamm.Variable):
    """A variable whose domain is named by its size, "shells 600": PyBaMM checks shapes
    before it discretises, with sizes drawn from the names of domains.
    """

    def _evaluate_for_shape(self):
        return np.full((int(self.domain[0].split()[-1]), 1), np.nan)


def softplus(x, width):
    """max(x, 0) with its corner rounded over `width`, without overflow."""
    small = pybamm.exp(-pybamm.AbsoluteValue(x) / width)
    return pybamm.maximum(x, 0.0) + width * pybamm.log(1.0 + small)


def open_circuit(x, coefficients):
    """U(x) of `diffelec.open_circuit.NMC532` within its range, tails included [V]."""
    value = pybamm.Scalar(coefficients[-1])
    for c in coefficients[-2::-1]:
        value = value * x + c
    power = pybamm.exp(41.4820927506133 * pybamm.log(pybamm.maximum(x, 1e-3)))
    value = value - 5.57319176272331e-4 * pybamm.exp(6.56024084265969 * power)
    end, power = 0.9998, 60
    slope = -VT * power * end ** (power - 1) / (1.0 - end**power)
    inside = pybamm.minimum(pybamm.maximum(x, 0.0), end)
    value = value + VT * pybamm.log(1.0 - inside**power)
    value = value + slope * pybamm.maximum(x - end, 0.0)
    beyond = 5e-4 - x
    value = value + 1000.0 * (beyond + pybamm.sqrt(beyond**2 + 4e-10))
    return value - 2000.0 * softplus(x - 0.9995, 1e-5)


def exchange_current(x, scale):
    """i0 [A/m2] with equal transfer coefficients, as `diffelec.kinetics`."""

    def positive(y):
        low = pybamm.minimum(y, 1e-4)
        return pybamm.maximum(y, 1e-4) + 1e-8 / (2e-4 - low) - 1e-4

    return scale * pybamm.sqrt(positive(1.0 - x) * positive(x))


def kirchhoff(x, knots, values):
    """Integral of a piecewise linear D from its last knot to x, closed form."""
    slopes = [
        (values[k + 1] - values[k]) / (knots[k + 1] - knots[k])
        for k in range(len(knots) - 1)
    ]
    integral = values[-1] * (x - knots[-1])
    for k in range(len(knots) - 1, 0, -1):
        after = slopes[k] if k < len(slopes) else 0.0
        change = after - slopes[k - 1]
        ramp = pybamm.maximum(knots[k] - x, 0.0)
        integral = integral - 0.5 * change * ramp**2
    return integral


def resistivity(x, curve, values):
    """1/kappa [ohm m] of a `diffelec.curves.RoundedLinearCurve`, inside its knots."""
    knots = curve.knots
    slopes = [
        (values[k + 1] - values[k]) / (knots[k + 1] - knots[k])
        for k in range(len(knots) - 1)
    ]
    log10 = values[0] + slopes[0] * (x - knots[0])
    for k in range(1, len(knots) - 1):
        change = slopes[k] - slopes[k - 1]
        log10 = log10 + change * softplus(x - knots[k], curve.width)
    return pybamm.exp(-LN10 * log10)


def matrices(electrode):
    """{name: sparse matrix} of the network and of the shells, site after site."""
    topology, mesh = electrode.network.topology, electrode.mesh
    sites, shells = topology.num_sites, mesh.num_shells
    radius = np.asarray(electrode.radius)
    one = sp.identity(sites)
    charge = FARADAY * float(electrode.maximum_concentration)
    last = np.zeros((shells, 1))
    last[-1] = -1.0 / mesh.volumes[-1]
    at_site = sp.csr_matrix(
        np.eye(topology.num_nodes)[topology.first_site :]
    )  # (site, node)
    ends = [
        sp.csr_matrix(np.eye(topology.num_nodes)[end]) @ at_site.T
        for end in (topology.tail, topology.head)
    ]
    network = electrode.network
    return {
        "diffuse": sp.kron(
            sp.diags(1.0 / radius**2), mesh.divergence @ mesh.differences
        ),
        "react": sp.kron(sp.diags(1.0 / (charge * radius)), last),
        "surface": sp.kron(one, np.eye(shells)[-1:]),
        "mean": sp.kron(one, mesh.weights[None]),
        "site": at_site,
        "shape": sp.diags(network.shape_tail) @ ends[0]
        + sp.diags(network.shape_head) @ ends[1],
        "incidence": sp.csr_matrix(topology.incidence),
        "area": at_site.T @ sp.diags(4.0 * np.pi * radius**2),
    }


def network_model(electrode, current, upper_voltage=None, own_means=True):
    """PyBaMM model of an electrode under a current [A], and its `spaces`.

    Args:
        electrode: a `diffelec.Electrode` with NMC532, piecewise linear D (knots and
            log10 values) and a rounded linear kappa.
        current: a number or a PyBaMM symbol, positive on charge.
        upper_voltage: where the charge ends [V], or None.
        own_means: mean stoichiometries as states of their own, so that the rows of
            the network couple to one unknown a particle and not to all shells.
    """
    m = {k: pybamm.Matrix(sp.csr_matrix(v)) for k, v in matrices(electrode).items()}
    topology, curves = electrode.network.topology, electrode.curves
    num_shells = topology.num_sites * electrode.mesh.num_shells
    shells, sites = f"shells {num_shells}", f"sites {topology.num_sites}"
    nodes, edges = f"nodes {topology.num_nodes}", f"edges {topology.num_edges}"
    x = SizedVariable("x", domain=shells)
    phi = SizedVariable("phi", domain=nodes)
    inputs = [pybamm.InputParameter(name) for name in NAMES]
    values = [pybamm.exp(LN10 * p) for p in inputs[9:]]

    def product(name, other, domain):
        result = m[name] @ other
        result.domains = {"primary": [domain]}
        return result

    surface = product("surface", x, sites)
    mean = product("mean", x, sites)
    mean_state = SizedVariable("own mean", domain=sites) if own_means else mean
    rest = open_circuit(surface, np.asarray(curves.open_circuit_potential.coefficients))
    rate = float(curves.rate_constant.value) * FARADAY
    i0 = exchange_current(surface, rate * float(electrode.maximum_concentration))
    half = (product("site", phi, sites) - rest) / (2.0 * VT)
    density = 2.0 * i0 * pybamm.sinh(half)
    theta = kirchhoff(x, curves.diffusivity.knots, values)
    rho = resistivity(mean_state, curves.conductivity, inputs[:9])
    resistance = product("shape", rho, edges) + pybamm.Vector(
        np.asarray(electrode.network.series_resistance), domain=edges
    )
    drop = pybamm.Matrix(m["incidence"].entries.T.tocsr()) @ phi
    drop.domains = {"primary": [edges]}
    scale = float(electrode.one_c_current)
    collector = pybamm.Vector(np.eye(topology.num_nodes)[0], domain=nodes)
    outflow = product("incidence", drop / resistance, nodes)
    outflow = outflow + product("area", density, nodes)
    model = pybamm.BaseModel("network")
    model.rhs = {
        x: product("diffuse", theta, shells) + product("react", density, shells)
    }
    model.algebraic = {phi: outflow / scale - collector * (current / scale)}
    if own_means:
        charge = FARADAY * float(electrode.maximum_concentration)
        gain = pybamm.Vector(-3.0 / (charge * electrode.radius), domain=sites)
        model.rhs[mean_state] = gain * density
    begin(model, electrode, x, phi, mean_state if own_means else None)
    observe(model, phi, current, upper_voltage)
    return model, spaces((shells, nodes, sites, edges))


def begin(model, electrode, x, phi, means):
    """Initial values of a network's unknowns; `means` may be None."""
    start = np.asarray(electrode.initial_stoichiometry)
    rest = float(electrode.curves.open_circuit_potential(start).mean())
    values = {
        x: np.repeat(start, electrode.mesh.num_shells),
        phi: np.full(electrode.network.topology.num_nodes, rest),
    }
    if means is not None:
        values[means] = start
    model.initial_conditions = {
        unknown: pybamm.Vector(value, domain=unknown.domain)
        for unknown, value in values.items()
    }


def observe(model, phi, current, upper_voltage):
    """The variables that PyBaMM and its experiments ask for, and the cut-off."""
    first = pybamm.Matrix(sp.csr_matrix(np.eye(1, int(phi.domain[0].split()[-1]))))
    voltage = first @ phi
    voltage.domains = {}
    names = ("V", "Voltage [V]", "Battery voltage [V]")
    model.variables = dict.fromkeys(names, voltage)
    model.variables["Current [A]"] = pybamm.Scalar(-1.0) * current
    model.summary_variables = []  # which an experiment asks for
    if upper_voltage is not None:
        model.events = [pybamm.Event("upper voltage", upper_voltage - voltage)]


def spaces(domains):
    """Geometry, meshes, points and methods of domains that merely count unknowns."""
    places = {n: pybamm.SpatialVariable(f"s {n}", domain=[n]) for n in domains}
    ends = {"min": pybamm.Scalar(0), "max": pybamm.Scalar(1)}
    return {
        "geometry": {n: {s: dict(ends)} for n, s in places.items()},
        "submesh_types": {n: pybamm.Uniform1DSubMesh for n in domains},
        "var_pts": {s: int(n.split()[-1]) for n, s in places.items()},
        "spatial_methods": {n: pybamm.FiniteVolume() for n in domains},
    }


def discretised(model, parts):
    """The model over its `spaces`."""
    mesh = pybamm.Mesh(parts["geometry"], parts["submesh_types"], parts["var_pts"])
    pybamm.Discretisation(mesh, parts["spatial_methods"]).process_model(model)
    return model


def solver_of(rtol, outputs=("V",), **options):
    """IDAKLU at a tolerance (absolute: a tenth of it), returning `outputs` only."""
    return pybamm.IDAKLUSolver(
        rtol=rtol,
        atol=0.1 * rtol,
        root_tol=1e-9,
        output_variables=list(outputs) if outputs else None,
        options={"max_num_steps": 1_000_000} | options,
    )
