"""Is the resolved chain right? Closed forms, conservation and refinement.

    python -m benchmarks.resolved_checks

1  Resistance of a sphere between the discs at its poles, kappa constant, against
       R = [1 + (a / pi R) ln(R / a)] / (2 kappa a)   as a / R -> 0
   (the logarithm: a window in a curved surface, Singer, Schuss and Holcman 2008).
2  The same with the x of a half charged particle: fluxes along edges, as the model has
   them, against Galerkin's elements with kappa(x) at Gauss points.
3  One coated sphere against `diffelec.simulate`: the surface is uniform there.
4  Lithium that left against charge that passed; slopes of the Jacobian.
5  Onset and midpoint on three meshes and at three tolerances, neck wet and neck dry.

Writes benchmarks/results/resolved.json.
"""

import jax
import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import spsolve
from skfem import Basis, BilinearForm, ElementTriP1, MeshTri
from skfem.helpers import dot, grad

from benchmarks.machine import write_result
from benchmarks.resolved import Chain, Resolved
from benchmarks.resolved_curves import Curves
from benchmarks.resolved_march import charge, consistent
from benchmarks.resolved_mesh import Resolution, sphere
from diffelec import Protocol, presets, simulate

RADIUS, LIMIT, HOUR = 5e-6, 4.3, 3600.0
PROTOCOL = ["Charge at C/20 until 4.3 V"]
REFINED = (0.5, 0.7, 1.0)
TOLERANCES = (1e-3, 1e-4, 1e-5)
CASES = {
    "neck wet": Chain(3),
    "neck dry to 1 um": Chain(3, dry=0.2),
}


def _between_discs(matrix, body) -> float:
    """Resistance between the upper and the lower disc [ohm]."""
    matrix = matrix.tocsr()
    held = np.concatenate([body.upper, body.lower])
    free = np.setdiff1d(np.arange(body.num_nodes), held)
    phi = np.zeros(body.num_nodes)
    phi[body.upper] = 1.0
    inner = matrix[free]
    phi[free] = spsolve(inner[:, free].tocsc(), -(inner @ phi))
    return 1.0 / float(np.sum((matrix @ phi)[body.upper]))


def _by_edges(body, conductivity):
    """Stiffness matrix from one conductivity an edge."""
    (i, j), flow = body.edges, body.weights * conductivity
    n = body.num_nodes
    half = sparse.coo_matrix((-flow, (i, j)), (n, n))
    whole = half + half.T
    return whole - sparse.diags_array(np.asarray(whole.sum(axis=1)).ravel())


def resistance(contact_radius: float) -> dict:
    """Check 1 at one contact radius: 2 kappa a R on meshes, extrapolated, and in
    theory.
    """
    found = []
    for factor in (1.0, 2.0, 4.0):
        body = sphere(
            RADIUS,
            contact_radius,
            upper=True,
            lower=True,
            resolution=Resolution().finer(factor),
        )
        ohms = _between_discs(_by_edges(body, 1.0), body)
        found.append(2.0 * contact_radius * ohms)
    ratio = contact_radius / RADIUS
    return {
        "a_over_R": ratio,
        "two_kappa_a_R": found,
        "extrapolated": found[2]
        + (found[2] - found[1]) ** 2 / ((found[1] - found[0]) - (found[2] - found[1])),
        "theory_small_a": 1.0 - ratio / np.pi * np.log(ratio),
    }


def conduction(curves: Curves) -> list[dict]:
    """Check 2: edges and elements through a shell at x = 0.9 around a core at 0.999."""
    rows = []
    for factor in (1.0, 2.0, 4.0):
        body = sphere(
            RADIUS,
            0.5e-6,
            upper=True,
            lower=True,
            resolution=Resolution().finer(factor),
        )
        away = np.hypot(*body.points) / RADIUS
        x = 0.999 - 0.099 / (1.0 + np.exp(-(away - 0.9) / 0.02))
        i, j = body.edges
        edges = _by_edges(body, curves.conductivity(x[i], x[j])[0])
        basis = Basis(MeshTri(body.points, body.triangles), ElementTriP1(), intorder=6)

        @BilinearForm
        def form(u, v, w):
            kappa = 1.0 / curves.path(np.asarray(w.x_nodal), 1)
            return 2.0 * np.pi * w.x[0] * kappa * dot(grad(u), grad(v))

        elements = form.assemble(basis, x_nodal=basis.interpolate(x))
        rows.append(
            {
                "nodes": body.num_nodes,
                "edges_ohm": _between_discs(edges, body),
                "elements_ohm": _between_discs(elements, body),
            }
        )
    return rows


def one_sphere(curves: Curves) -> list[dict]:
    """Check 3: differences from `diffelec.simulate` on meshes."""
    electrode = presets.single_particle(carbon_shape=1.0, num_shells=160)
    rows = []
    for factor in REFINED:
        resolution = Resolution().finer(factor)
        march = charge(Resolved(Chain(1, bath=0.0), resolution, curves), LIMIT, 1e-5)
        later = (march.times > 60.0) & (march.times < march.times[-1])
        solution = simulate(
            electrode,
            Protocol.from_strings(PROTOCOL),
            rtol=1e-7,
            times=march.times[later],
            throw=False,
        )
        voltage = np.asarray(solution.voltage) - march.seen["voltage"][later]
        surface = (
            np.asarray(solution.surface_stoichiometry)[:, 0]
            - march.seen["surface_mean"][later, 0]
        )
        uneven = march.seen["surface_high"] - march.seen["surface_low"]
        rows.append(
            {
                "shells": resolution.num_shells,
                "voltage_rms_mV": 1e3 * float(np.sqrt(np.nanmean(voltage**2))),
                "surface_rms": float(np.sqrt(np.nanmean(surface**2))),
                "uneven_surface": float(uneven.max()),
                "end_difference_s": float(
                    march.times[-1] - np.asarray(solution.step_end_times)[0]
                ),
            }
        )
    return rows


def jacobian_error(curves: Curves) -> float:
    """Check 4: largest relative error of J v against central differences."""
    system = Resolved(Chain(3), Resolution(12, 0.6), curves)
    generator = np.random.default_rng(0)
    y = system.start()
    y[: system.num_nodes] -= generator.uniform(0.0, 0.3, system.num_nodes)
    y = consistent(system, y)
    direction = generator.standard_normal(system.size)
    exact, worst = system.jacobian(y) @ direction, 0.0
    ahead, behind = (system.residual(y + s * 1e-7 * direction) for s in (1, -1))
    for part in (slice(0, system.num_nodes), slice(system.num_nodes, None)):
        error = np.abs((ahead - behind) / 2e-7 - exact)[part].max()
        worst = max(worst, float(error / np.abs(exact[part]).max()))
    return worst


def imbalance(system: Resolved, march) -> dict:
    """Check 4: lithium that left over the charge passed, and currents over I."""
    volume = system.copies * np.bincount(system.body_of, system.volumes)
    left = (march.seen["mean"][0] - march.seen["mean"]) @ volume
    passed = system.current * march.times
    lithium = left * system.curves.charge / np.maximum(passed, 1e-30) - 1.0
    currents = march.seen["current"] @ system.copies / system.current - 1.0
    return {
        "lithium": float(np.abs(lithium[march.times > 60.0]).max()),
        "current": float(np.abs(currents).max()),
    }


def refined(chain: Chain, curves: Curves, factor: float, rtol: float) -> dict:
    """Check 5: one run."""
    system = Resolved(chain, Resolution().finer(factor), curves)
    march = charge(system, LIMIT, rtol)
    chained = range(chain.num_particles)
    row = {
        "factor": factor,
        "rtol": rtol,
        "unknowns": system.size,
        "steps": len(march.times),
        "wall_s": round(march.wall, 1),
        "onset_h": [march.crossing(k, 0.066) / HOUR for k in chained],
        "midpoint_h": [march.crossing(k, 0.33) / HOUR for k in chained],
        "end_h": float(march.times[-1] / HOUR),
        "off_balance": imbalance(system, march),
    }
    print(
        f"{factor:5.2f} {rtol:.0e} {system.size:6d} {len(march.times):5d} steps "
        f"{march.wall:6.1f} s  onset",
        *(f"{t:7.4f}" for t in row["onset_h"]),
        " midpoint",
        *(f"{t:7.4f}" for t in row["midpoint_h"]),
        f" h  off {row['off_balance']['lithium']:.1e}",
        flush=True,
    )
    return row


def main():
    """Runs all checks."""
    jax.config.update("jax_enable_x64", True)
    curves = Curves.of(presets.single_particle())
    figures = {
        "resistance": [resistance(a) for a in (0.125e-6, 0.25e-6, 0.5e-6, 1e-6)],
        "conduction": conduction(curves),
        "one_sphere": one_sphere(curves),
        "jacobian_error": jacobian_error(curves),
    }
    for name, rows in figures.items():
        print(name, *(rows if isinstance(rows, list) else [rows]), sep="\n  ")
    for name, chain in CASES.items():
        print(name)
        rows = [refined(chain, curves, factor, 1e-4) for factor in REFINED]
        rows += [
            refined(chain, curves, 0.5, rtol) for rtol in TOLERANCES if rtol != 1e-4
        ]
        figures[name] = rows
    print(write_result("resolved", figures))


if __name__ == "__main__":
    main()
