"""Do more sites a particle converge? Onsets, durations, voltage, resistances.

    python -m benchmarks.refinement

First charge at C/20 to 4.3 V of three columns of Fig. 4a of Sharma 2022 (top particles
behind 0, 1 and 2 others), each particle cut into 1, 4, 8, 16 or 32 slices about the
column's axis, or patches; kappa at the mean or at the surface x of a site. Contacts of
0.5 um, and of 1.5 um with a third of kappa: as resistive, and as large as a site of
some 4/(a/R)^2 = 44 (400 for 0.5 um). Then, without time: the resistance between two
contacts of R/10 through one sphere against its Legendre series, and an evenly coated
particle, which more sites must not change.

Onset and midpoint: change of the mean x by 0.066 and 0.33; duration: from 0.05 to 0.40;
transit: from the first to the last of a top particle's sites whose own mean has changed
by 0.066. Rate: log2 of the ratio of differences between successive halvings of a site.

With kappa at the mean x, onsets behind contacts of 0.5 um do not converge by 32 sites:
each doubling still takes about an hour off the third top's, at rates of -0.1 to 0.6. A
contact is fed through its own site, which loses its lithium first, the sooner the
smaller it is, until sites are as small as the contact. Behind contacts of 1.5 um they
converge, at rates of 0.9 to 2.6. With kappa at the surface x onsets drift by 0.01 to
0.02 h a doubling, the top on carbon later, the third earlier: 1 %, hardly falling.

Writes benchmarks/results/refinement.json and refinement.png.
"""

import itertools
import time

import equinox as eqx
import jax
import numpy as np

from benchmarks.cracks_network import HOUR, MINUTE, RADIUS, by_site
from benchmarks.machine import RESULTS, write_result
from benchmarks.refinement_figure import figure
from diffelec import Protocol, bodies, graphs, presets, simulate
from diffelec.materials import nmc532, nmc532_conductivity
from diffelec.resolve import resolve
from fitting import style
from fitting.files import finite
from tests.reference.test_sphere_resistance import error_between

RTOL, TOPS, SAVED = 1e-4, 3, 801
PROTOCOL = Protocol.from_strings(["Charge at C/20 until 4.3 V"])
COUNTS = (1, 4, 8, 16, 32)
CUTS = {
    "slices": lambda count: bodies.slices(count, axis=(0.0, 1.0, 0.0)),
    "patches": bodies.patches,
}
RULES = {"mean": False, "surface": True}
CONTACTS = {"a = 0.5 um": (0.5e-6, 1.0), "a = 1.5 um, kappa/3": (1.5e-6, 1.0 / 3.0)}
POLE, SIDE = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
FRAMES, SEED = 30, 0


def electrode(body, at_surface: bool, contact_radius: float, scale: float):
    """Three columns whose particles have this body; kappa times `scale`."""
    network = graphs.columns(tuple(range(TOPS)), contact_radius)
    kappa = nmc532_conductivity()
    moved = kappa.log10_values + np.log10(scale)
    return presets.electrode_of(
        resolve(network, RADIUS, body),
        nmc532(eqx.tree_at(lambda curve: curve.log10_values, kappa, moved)),
        radius=RADIUS,
        conduct_at_surface=at_surface,
    )


def charged(base):
    """(events of the top particles, solution) of one charge."""
    began = time.perf_counter()
    solution = simulate(base, PROTOCOL, rtol=RTOL, num_saved=SAVED, throw=False)
    wall = time.perf_counter() - began
    start = float(base.initial_stoichiometry[0])
    count = base.num_particles

    def crossing(change):
        found = solution.crossing_times(np.full(count, start - change))
        return np.asarray(found)[:TOPS] / HOUR

    owners = base.network.topology.site_particle
    sites = np.asarray(by_site(solution).change_times(0, 0.066)) / MINUTE
    events = {
        "onset_h": crossing(0.066),
        "midpoint_h": crossing(0.33),
        "duration_h": crossing(0.40) - crossing(0.05),
        "transit_min": np.array([np.ptp(sites[owners == k]) for k in range(TOPS)]),
    }
    row = {name: [finite(v) for v in values] for name, values in events.items()}
    row |= {
        "end_h": float(solution.step_end_times[0]) / HOUR,
        "steps": int(solution.num_steps[0, 0]),
        "first_call_s": wall,
        "outcome": solution.message(),
    }
    return row, solution


def voltage_rms(solution, finest) -> float:
    """Difference of the voltages over the shorter charge, from 5 min on [mV]."""
    ends = [float(s.step_end_times[0]) for s in (solution, finest)]
    instants = np.linspace(300.0, min(ends), 400)
    one, other = (
        np.interp(instants, np.asarray(s.time), np.asarray(s.voltage))
        for s in (solution, finest)
    )
    return 1e3 * float(np.sqrt(np.mean((one - other) ** 2)))


def rates(rows: dict) -> dict:
    """Largest differences between successive counts, 4 and up, and their rates."""
    found = {}
    for name in ("onset_h", "midpoint_h", "duration_h", "transit_min"):
        values = [np.array(rows[c][name], float) for c in COUNTS if c > 1]
        apart = [float(np.max(np.abs(b - a))) for a, b in itertools.pairwise(values)]
        steps = [float(np.log2(a / b)) for a, b in itertools.pairwise(apart)]
        found[name] = {"differences": apart, "rates": steps}
    return found


def families(cut: str) -> dict:
    """All counts of one way to cut: each rule with the usual contact, and kappa at the
    mean x with the wide one.
    """
    usual, wide = CONTACTS
    kinds = [(rule, usual) for rule in RULES] + [("mean", wide)]
    rows = {kind: {} for kind in kinds}
    solutions = {kind: {} for kind in kinds}
    for count in COUNTS:
        for rule, contact in kinds:
            base = electrode(CUTS[cut](count), RULES[rule], *CONTACTS[contact])
            row, found = charged(base)
            rows[rule, contact][count], solutions[rule, contact][count] = row, found
            print(_line(f"{contact}, {rule}, {count} {cut}", row), flush=True)
        # Each count is another program; compiled ones are large.
        jax.clear_caches()
    named = {}
    for rule, contact in kinds:
        name = f"{contact}, {rule}, {cut}"
        named[name] = compared(name, rows[rule, contact], solutions[rule, contact])
    return named


def compared(name: str, rows: dict, solutions: dict) -> dict:
    """The rows with voltages against the most sites, and rates of convergence."""
    finest = solutions[COUNTS[-1]]
    for count in COUNTS:
        rows[count]["voltage_rms_mV"] = voltage_rms(solutions[count], finest)
    found = rates(rows)
    print(name)
    for event, row in found.items():
        print(f"  {event:12} differences {_row(row['differences'])}, ", end="")
        print(f"rates {_row(row['rates'])}")
    rms = [rows[count]["voltage_rms_mV"] for count in COUNTS]
    print(f"  voltage rms against {COUNTS[-1]} (mV) {_row(rms)}", flush=True)
    return {"counts": rows, "rates": found}


def _row(values) -> str:
    return " ".join("never" if v is None else f"{v:.3f}" for v in values)


def _line(name: str, row: dict) -> str:
    """A row of the printed table."""
    return (
        f"{name:40} onset {_row(row['onset_h'])} | midpoint {_row(row['midpoint_h'])} "
        f"| duration {_row(row['duration_h'])} h | transit {_row(row['transit_min'])} "
        f"min | end {row['end_h']:.3f} h, {row['first_call_s']:.0f} s"
    )


def resistances() -> dict:
    """Errors of the resistance between two contacts of R/10 [%], by count: through
    slices between their poles, and the largest over turned patches.
    """
    frames = np.linalg.qr(np.random.default_rng(SEED).standard_normal((FRAMES, 3, 3))).Q
    counts = (2, 4, 8, 16, 32)
    slices = [100 * error_between(bodies.slices(n), POLE, -POLE) for n in counts]
    opposite, across = [], []
    for count in counts:
        body = bodies.patches(count)
        turned = [error_between(body, f[0], -f[0]) for f in frames]
        opposite.append(100 * float(np.max(np.abs(turned))))
        turned = [error_between(body, f[0], f[1]) for f in frames]
        across.append(100 * float(np.max(np.abs(turned))))
    found = {
        "counts": counts,
        "slices_poles_percent": [float(v) for v in slices],
        "patches_opposite_percent": opposite,
        "patches_right_angle_percent": across,
    }
    for name, values in found.items():
        print(f"  {name:30} {_row(values)}")
    return found


def symmetric() -> dict:
    """A coated particle of many sites against one: largest differences."""
    whole = presets.single_particle()
    found = {}
    for count in (4, 32):
        network = resolve(whole.network, RADIUS, bodies.patches(count))
        cut = eqx.tree_at(lambda e: e.network, whole, network)
        one, many = (
            simulate(base, PROTOCOL, rtol=RTOL, num_saved=101) for base in (whole, cut)
        )
        spread = np.ptp(np.asarray(many.site_stoichiometry), axis=1)
        found[count] = {
            "voltage_V": float(np.max(np.abs(many.voltage - one.voltage))),
            "stoichiometry": float(
                np.max(np.abs(many.stoichiometry - one.stoichiometry))
            ),
            "between_sites": float(np.max(spread)),
        }
        print(f"coated, {count} patches against one site: {found[count]}", flush=True)
    return found


def main() -> None:
    """Measures, prints, draws, writes."""
    jax.config.update("jax_enable_x64", True)
    begin = time.perf_counter()
    found = {"resistance": resistances(), "symmetric": symmetric(), "families": {}}
    for cut in CUTS:
        found["families"] |= families(cut)
        found["wall_s"] = time.perf_counter() - begin
        write_result("refinement", found)
    style.save(figure(found), RESULTS / "refinement.png")
    print(f"{found['wall_s']:.0f} s")


if __name__ == "__main__":
    main()
