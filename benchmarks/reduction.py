"""What the network's reduction costs: sites against spheres resolved in the half disc.

    python -m benchmarks.reduction [factor]

First charge at C/20 to 4.3 V of a chain of two or three touching spheres, the first of
them coated, beside a bath of two further coated ones (see `resolved`). Cases differ in
contact, in material, and in whether the electrolyte wets the neck of a contact. The
network has the same contacts (1/(4a) either side), the same curves and a carbon that
conducts well; its particles are one site, or 4 or 16 slices about the chain's axis,
with kappa at the mean or at the surface x of the column. Onset and midpoint: change of
the mean x by 0.066 and 0.33; duration: from 0.05 to 0.40. `factor` refines the
resolved mesh. Writes benchmarks/results/reduction.json and reduction.png.
"""

import dataclasses
import itertools
import sys
import time

import equinox as eqx
import jax
import numpy as np

from benchmarks.machine import write_result
from benchmarks.reduction_figure import draw
from benchmarks.resolved import Chain, Resolved
from benchmarks.resolved_curves import Curves
from benchmarks.resolved_march import charge
from benchmarks.resolved_mesh import Resolution
from diffelec import Protocol, simulate
from diffelec.bodies import slices
from diffelec.edges import carbon_contact, particle_contact
from diffelec.materials import nmc532, nmc532_conductivity
from diffelec.network import Network
from diffelec.presets import electrode_of
from diffelec.resolve import resolve
from diffelec.topology import COLLECTOR

LIMIT, HOUR, RTOL = 4.3, 3600.0, 1e-4
PROTOCOL = Protocol.from_strings(["Charge at C/20 until 4.3 V"])
CARBON_SHAPE = 1.0  # 1/m: 0.2 Mohm at the start, nothing
CHANGES = {"onset": 0.066, "midpoint": 0.33, "first": 0.05, "last": 0.40}
MODELS = {  # (sites a particle, whether kappa is taken at the surface)
    "1 site, kappa at mean x": (1, False),
    "1 site, kappa at surface x": (1, True),
    "4 slices, kappa at mean x": (4, False),
    "16 slices, kappa at mean x": (16, False),
    "16 slices, kappa at surface x": (16, True),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A chain and its curve kappa: log10 at x = 1, and a shift of all log10."""

    chain: Chain
    log10_pristine: float = -5.3
    shift: float = 0.0

    def curves(self):
        """The material."""
        kappa = nmc532_conductivity(self.log10_pristine)
        moved = kappa.log10_values + self.shift
        return nmc532(eqx.tree_at(lambda curve: curve.log10_values, kappa, moved))

    def network(self) -> Network:
        """One site a particle, the bath last."""
        chain = self.chain
        names = [f"p{k}" for k in range(chain.num_particles)]
        edges = [
            carbon_contact(COLLECTOR, name, CARBON_SHAPE) for name in ("p0", "bath")
        ]
        for one, other in itertools.pairwise(names):
            edges.append(particle_contact(one, other, chain.contact_radius))
        places = [(0.0, 0.0, 2.0 * chain.radius * k) for k in range(len(names))]
        places.append((4.0 * chain.radius, 0.0, 0.0))
        return Network.from_edges(edges, [*names, "bath"], positions=places)

    def electrode(self, count: int, at_surface: bool, num_shells: int):
        """The reduced model with `count` sites in each particle of the chain."""
        chain, network = self.chain, self.network()
        names = [f"p{k}" for k in range(chain.num_particles)]
        if count > 1:
            body = slices(count)
            network = resolve(network, chain.radius, dict.fromkeys(names, body))
        return electrode_of(
            network,
            self.curves(),
            radius=chain.radius,
            initial_stoichiometry=chain.initial,
            multiplicity=[1.0] * len(names) + [chain.bath],
            num_shells=num_shells,
            conduct_at_surface=at_surface,
        )


CASES = {
    "3 spheres": Case(Chain(3)),
    "3 spheres, neck dry to 1 um": Case(Chain(3, dry=0.2)),
    "3 spheres, neck dry to 2 um": Case(Chain(3, dry=0.4)),
    "3 spheres, kappa(1) = 1e-7 S/m": Case(Chain(3), log10_pristine=-7.0),
    "3 spheres, a = 1 um": Case(Chain(3, contact_radius=1e-6)),
    "2 spheres": Case(Chain(2)),
    "3 spheres, coat ends 2.5 um from the pole": Case(Chain(3, bare=0.5)),
    "3 spheres, kappa a tenth": Case(Chain(3), shift=-1.0),
}
DRAWN = (
    "3 spheres",
    "3 spheres, neck dry to 1 um",
    "3 spheres, neck dry to 2 um",
)


def _times(crossing, number: int) -> dict:
    """Times of the changes of mean x [h] by particle; None where never."""
    found = {
        name: np.array([crossing(k, change) for k in range(number)]) / HOUR
        for name, change in CHANGES.items()
    }
    with np.errstate(invalid="ignore"):
        found["duration"] = found.pop("last") - found.pop("first")
    return {
        f"{name}_h": [round(float(t), 4) if np.isfinite(t) else None for t in times]
        for name, times in found.items()
    }


def resolved(case: Case, resolution: Resolution):
    """(figures, system, run) of the resolved model."""
    chain = case.chain
    curves = Curves.of(case.electrode(1, False, 3))
    system = Resolved(chain, resolution, curves)
    march = charge(system, LIMIT, RTOL, snapshots=[(1, 0.066)])
    number = chain.num_particles
    spread = march.seen["surface_high"] - march.seen["surface_low"]
    started = march.times > 300.0  # the first minutes: x falls past U's tail
    figures = _times(march.crossing, number) | {
        "front_enters_h": [
            march.falls_below(k, 0.9, "near") / HOUR for k in range(number)
        ],
        "front_leaves_h": [
            march.falls_below(k, 0.9, "far") / HOUR for k in range(number)
        ],
        "largest_surface_spread": spread[started, :number].max(axis=0).tolist(),
        "end_h": float(march.times[-1] / HOUR),
        "unknowns": system.size,
        "steps": len(march.times),
        "wall_s": march.wall,
    }
    return figures, system, march


def reduced(case: Case, count: int, at_surface: bool, num_shells: int, march):
    """(figures, solution) of the network."""
    electrode = case.electrode(count, at_surface, num_shells)
    instants = np.linspace(300.0, march.times[-1], 400)
    walls = []
    for _ in range(2):
        began = time.perf_counter()
        solution = simulate(electrode, PROTOCOL, rtol=RTOL, times=instants, throw=False)
        end = float(solution.step_end_times[0])
        walls.append(time.perf_counter() - began)
    start = case.chain.initial
    number = case.chain.num_particles

    def crossing(k, change):
        return solution.crossing_times(np.full(number + 1, start - change))[k]

    reference = np.interp(instants, march.times, march.seen["voltage"])
    difference = np.asarray(solution.voltage) - reference
    figures = _times(crossing, number) | {
        "end_h": end / HOUR,
        "voltage_rms_mV": 1e3 * float(np.sqrt(np.nanmean(difference**2))),
        "result": solution.message(),
        "compile_s": walls[0] - walls[1],
        "wall_s": walls[1],
    }
    return figures, solution


def _line(name: str, row: dict) -> str:
    """A row of the printed table."""

    def column(values):
        return " ".join("     -" if v is None else f"{v:6.2f}" for v in values)

    return (
        f"  {name:28s} {column(row['onset_h'])} |{column(row['midpoint_h'])} |"
        f"{column(row['duration_h'])} | {row['end_h']:5.2f} "
        f"{row.get('voltage_rms_mV', 0.0):7.2f} {row['wall_s']:9.3f}"
    )


def compare(name: str, case: Case, resolution: Resolution):
    """(figures of one case, what the figure needs)."""
    print(f"{name}: onset | midpoint | duration | end [h], V rms [mV], wall [s]")
    figures, system, march = resolved(case, resolution)
    print(_line("resolved", figures), flush=True)
    rows, drawn = {"resolved": figures}, {"system": system, "march": march}
    for model, (count, at_surface) in MODELS.items():
        row, solution = reduced(case, count, at_surface, resolution.num_shells, march)
        rows[model] = row
        drawn[model] = (
            np.asarray(solution.time),
            np.asarray(solution.stoichiometry),
            np.asarray(solution.voltage),
        )
        print(_line(model, row), flush=True)
    return rows, drawn


def main():
    """Runs all cases."""
    jax.config.update("jax_enable_x64", True)
    factor = float(sys.argv[1]) if len(sys.argv) > 1 else 0.7
    resolution = Resolution().finer(factor)
    figures, drawn = {"resolution": dataclasses.asdict(resolution)}, {}
    for name, case in CASES.items():
        figures[name], kept = compare(name, case, resolution)
        if name in DRAWN:
            drawn[name] = kept
            print(draw(drawn))
        path = write_result("reduction", figures)
    print(path)


if __name__ == "__main__":
    main()
