"""Reaction fronts inside the particles of the paper's network, cycle 1 against 2.

    python -m benchmarks.fronts

Sharma 2022 sees fronts run over particles in the first charge only; lithium evens out
within 14 and 2 min in the two particles that were timed, and its Fig. 5 draws them for
five top particles behind 0 to 4 others. Here every particle of that network is cut into
slices along its height. Carbon touches the lowest particles of the columns: all over
("everywhere") or at their lowest slice ("foot").

A site begins to react when its surface has changed by 0.066 (`onset_transit`, `speed`)
and has reacted at 0.25 (`transit`). Transit: from the first to the last site; spread:
largest less smallest surface stoichiometry inside a particle; homogenising: from the
first site's 0.066 until the spread stays below 0.05. Writes
benchmarks/results/fronts.json and fronts.png.

What comes out: in charge 1 a front enters each particle where it touches the
conducting neighbour and runs up in 17 to 31 min, in charge 2 in 1.4 min or less. The
pattern is the paper's, the pace is not: 22 to 35 min until lithium is even, where less
than 14 and 2 min were seen. And cutting changes when particles react: only the slice at
a contact must turn conductive, so that onsets come earlier the finer the slices are
(top particle behind four others: 13.3, 11.6, 10.3, 8.8 h with 1, 4, 8, 16 slices; not
converged). Half the contact radius brings 16 slices back to 12.6 h.
"""

import time

import jax
import numpy as np

import diffelec
from benchmarks.fronts_figure import figure
from benchmarks.machine import RESULTS, write_result
from diffelec import fronts
from fitting import style
from fitting.files import finite

HOUR, MINUTE = 3600.0, 60.0
TOPS = 5
UP = (0.0, 1.0, 0.0)
STEPS = [
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Discharge at C/20 until 2.5 V",
    "Charge at C/20 until 4.3 V",
]
CHARGES = {"charge 1": 0, "discharge 1": 1, "charge 2": 2}
CASES = (  # slices, where carbon is, contact radius [um]; the preset has 0.5
    (1, "everywhere", 0.5),
    (8, "everywhere", 0.5),
    (4, "foot", 0.5),
    (8, "foot", 0.5),
    (16, "foot", 0.25),
    (16, "foot", 0.5),
)
OBSERVED_MIN = (14.0, 2.0)  # of the paper's two particles, upper limits


def electrode_of(count: int, carbon: str, contact: float) -> diffelec.Electrode:
    """The paper's network with its particles cut into `count` slices, tip first, and
    contacts between them of a radius [um].
    """
    base = diffelec.presets.sharma2022(contact_radius=1e-6 * contact)
    labels = base.network.topology.particle_labels
    foot = {label: [count - 1] for label in labels}
    network = diffelec.resolve(
        base.network,
        base.radius,
        diffelec.bodies.slices(count, UP),
        coverage=foot if carbon == "foot" else 1.0,
    )
    return diffelec.presets.electrode_of(network)


def seen(electrode, solution, half_cycle: int) -> dict:
    """Numbers of the top particles in a half cycle."""
    topology = electrode.network.topology
    columns = {
        "onset_h": solution.change_times(half_cycle, 0.066) / HOUR,
        "midpoint_h": solution.change_times(half_cycle, 0.33) / HOUR,
        "onset_transit_min": fronts.transit_times(solution, half_cycle, fronts.ONSET)
        / MINUTE,
        "transit_min": fronts.transit_times(solution, half_cycle) / MINUTE,
        "speed_nm_per_s": 1e9
        * fronts.front_speeds(solution, electrode.radius, half_cycle),
        "spread": fronts.largest_spreads(solution, half_cycle),
        "homogenising_min": fronts.homogenising_times(solution, half_cycle) / MINUTE,
    }
    found = {
        name: [finite(v) for v in np.asarray(values)[:TOPS]]
        for name, values in columns.items()
    }
    if topology.num_sites == topology.num_particles:
        return {name: found[name] for name in ("onset_h", "midpoint_h")}
    times = np.asarray(solution.site_change_times(half_cycle, fronts.ONSET))
    own = [times[topology.site_particle == p][::-1] for p in range(TOPS)]  # from below
    found["first_slice_from_below"] = [int(np.argmin(np.round(t, 3))) for t in own]
    found["runs_upwards"] = [bool(np.all(np.diff(t) > 0)) for t in own]
    return found


def run(count: int, carbon: str, contact: float) -> tuple:
    """One case: electrode, solution and its numbers."""
    electrode = electrode_of(count, carbon, contact)
    protocol = diffelec.Protocol.from_strings(STEPS)
    began = time.perf_counter()
    solution = diffelec.simulate(electrode, protocol, rtol=1e-4)
    solution.time.block_until_ready()
    topology = electrode.network.topology
    case = {
        "slices": count,
        "carbon": carbon,
        "contact_radius_um": contact,
        "sites": topology.num_sites,
        "unknowns": topology.num_unknowns,
        "seconds_with_compilation": time.perf_counter() - began,
    }
    for name, half_cycle in CHARGES.items():
        case[name] = seen(electrode, solution, half_cycle)
    return electrode, solution, case


def show(case: dict) -> None:
    """Prints a case as a table."""
    print(
        f"\n{case['slices']} slices, carbon {case['carbon']}, contacts of "
        f"{case['contact_radius_um']} um: {case['sites']} sites, "
        f"{case['unknowns']} unknowns, {case['seconds_with_compilation']:.0f} s"
    )
    for name in CHARGES:
        print(name)
        for key, values in case[name].items():
            shown = "  ".join(
                f"{v:9.4g}" if isinstance(v, float) else f"{v!s:>9}" for v in values
            )
            print(f"  {key:24}{shown}")


def main() -> None:
    """Runs all cases and writes what they give."""
    cases = []
    for settings in CASES:
        electrode, solution, case = run(*settings)
        show(case)
        cases.append(case)
    found = {"observed_below_min": list(OBSERVED_MIN), "cases": cases}
    write_result("fronts", found)
    style.save(figure(electrode, solution), RESULTS / "fronts.png")


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
