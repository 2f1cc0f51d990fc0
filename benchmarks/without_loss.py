"""Without the loss of the first cycle, does asynchrony go on? The paper's network.

    python -m benchmarks.without_loss

Sharma 2022 argues that particles react together from the second charge on because the
first discharge ends at a stoichiometry where NMC conducts, and says that without this
loss "the asynchronous reactions would have continued". Parts that are asked apart:

    cycles   whole cycles with one D: the table of NMC532, or constant ("fast")
    relays   charges with the table, the discharge between with fast D: each leg starts
             from the particles' means that the one before left
    reset    a charge from one stoichiometry of all particles
    mixed    a charge from one of the particles on carbon, another of all behind them
    shares   what is lost with and without obstruction, with the table and fast D

C/20, 2.5-4.3 V, hold at 4.3 V to C/50. Onset and midpoint: a change of 0.066 and 0.33
of a particle's mean stoichiometry since its charge began; spreads are over the five top
particles, behind 0 to 4 others. Loss: 1 - Q(discharge)/Q(charge), holds included.
Writes benchmarks/results/without_loss.json and without_loss.png.
"""

import time

import equinox as eqx
import jax
import numpy as np

import diffelec
from benchmarks.machine import RESULTS, write_result
from benchmarks.without_loss_figure import figure
from benchmarks.without_loss_network import HOUR, TOPS, network_at, places, where_lost
from fitting import style
from fitting.files import finite

SAVED = 101
FAST = -14.0  # log10 of D [m2/s] that loses nothing in a single particle
CHARGE = ["Charge at C/20 until 4.3 V", "Hold at 4.3 V until C/50"]
DISCHARGE = ["Discharge at C/20 until 2.5 V"]
STARTS = (
    0.999,
    0.9975,
    0.995,
    0.9925,
    0.99,
    0.985,
    0.98,
    0.97,
    0.96,
    0.95,
    0.935,
    0.92,
)
SLOWER = (50, 100, 200, 500, 1000, 2000, 5000)  # C/…
HOLDS = (1, 3, 10, 30, 100, 300)  # h at 2.5 V, fast D
LONG_HOLDS = (10, 100, 1000, 10000, 100000)  # h at 2.5 V, the table
LOOKS = (0, 50, 80, 90, 94, 96, 98, 99, 100)  # saved instants of the first discharge
PRISTINE = (-4.0, -4.5, -5.0, -5.5)  # log10 kappa(1) [S/m]; the preset has -5.3


def with_constant_diffusivity(electrode, log10: float):
    """The same curve with all its knots at one value: nothing compiles anew."""
    table = electrode.curves.diffusivity.log10_values
    return eqx.tree_at(
        lambda e: e.curves.diffusivity.log10_values,
        electrode,
        np.full_like(table, log10),
    )


def with_conductivity(electrode, log10_values):
    """Other values of kappa at the knots, log10 [S/m]."""
    return eqx.tree_at(
        lambda e: e.curves.conductivity.log10_values,
        electrode,
        np.asarray(log10_values, float),
    )


def starting_at(electrode, stoichiometry):
    """The electrode with particles uniform at `stoichiometry`, one or one each."""
    old = electrode.initial_stoichiometry
    start = np.broadcast_to(np.asarray(stoichiometry, float), old.shape).copy()
    return eqx.tree_at(lambda e: e.initial_stoichiometry, electrode, start)


def simulated(electrode, steps, **settings):
    """A solution, failed or not; a failure is printed."""
    protocol = diffelec.Protocol.from_strings(steps)
    found = diffelec.simulate(
        electrode, protocol, num_saved=SAVED, throw=False, **settings
    )
    if found.message() != "successful":
        print(found.message(), flush=True)
    return found


def end_of(solution, half_cycle: int) -> np.ndarray:
    """Mean stoichiometry of each particle where a half cycle ends."""
    steps = [k for k, h in enumerate(solution.half_cycles) if h == half_cycle]
    return np.asarray(solution.stoichiometry)[(steps[-1] + 1) * SAVED - 1]


def seen(solution, half_cycle: int) -> dict:
    """When the top particles react in a half cycle [h], and over which spread.

    `own_…` are by a tenth and half of each particle's own change instead.
    """
    events = {
        "onset": solution.change_times(half_cycle, 0.066),
        "midpoint": solution.change_times(half_cycle, 0.33),
        "own_onset": solution.onset_times(half_cycle, 0.1),
        "own_midpoint": solution.onset_times(half_cycle, 0.5),
    }
    found = {}
    for name, times in events.items():
        hours = np.asarray(times)[:TOPS] / HOUR
        spread = np.ptp(hours) if np.all(np.isfinite(hours)) else np.nan
        found[f"{name}_h"] = [finite(hour) for hour in hours]
        found[f"{name}_spread_h"] = finite(spread)
    return found


def percent_lost(charge, discharge) -> float | None:
    """1 - Q(discharge)/Q(charge) [%] of two charges passed [C]."""
    return finite(100.0 * (1.0 + float(discharge) / float(charge)))


def cycles(name: str, electrode, discharge=tuple(DISCHARGE), count=2, **settings):
    """(row, solution) of cycles that run into each other."""
    found = simulated(electrode, [*CHARGE, *discharge] * count, **settings)
    passed = [found.half_cycle_capacity(k) for k in range(2 * count)]
    row = {
        "name": name,
        "outcome": found.message(),
        "loss_percent": [
            percent_lost(*passed[2 * k : 2 * k + 2]) for k in range(count)
        ],
        "end_of_discharge": [finite(x) for x in end_of(found, 1)[:TOPS]],
        "charges": [seen(found, 2 * k) for k in range(count)],
    }
    return row, found


def relay(name: str, charged, discharged, discharge=tuple(DISCHARGE)):
    """(row, second charge) where `charged` charges twice and `discharged` discharges
    between.
    """
    legs = [simulated(charged, CHARGE)]
    for electrode, steps in ((discharged, discharge), (charged, CHARGE)):
        if legs[-1].message() != "successful":
            return {"name": name, "outcome": legs[-1].message()}, None
        start = end_of(legs[-1], 0)
        legs.append(simulated(starting_at(electrode, start), steps))
    passed = [leg.half_cycle_capacity(0) for leg in legs]
    row = {
        "name": name,
        "outcome": legs[-1].message(),
        "loss_percent": [percent_lost(*passed[:2])],
        "end_of_discharge": [finite(x) for x in end_of(legs[1], 0)[:TOPS]],
        "charges": [seen(legs[0], 0), seen(legs[2], 0)],
    }
    return row, legs[2]


def reset(table, fast) -> list[dict]:
    """A charge from each of `STARTS`."""
    rows = []
    for start in STARTS:
        for name, electrode in (("table", table), ("fast", fast)):
            found = simulated(starting_at(electrode, start), CHARGE)
            row = {"diffusivity": name, "start": start, "outcome": found.message()}
            rows.append(row | seen(found, 0))
    return rows


def mixed(table) -> list[dict]:
    """A charge where particles on carbon are full and those behind are not, and where
    it is the other way round.
    """
    _, way = places(table.network.topology)
    rows = []
    for on_carbon, behind in ((0.999, 0.935), (0.935, 0.999)):
        start = np.where(way == 0, on_carbon, behind)
        found = simulated(starting_at(table, start), CHARGE)
        row = {"on_carbon": on_carbon, "behind": behind, "outcome": found.message()}
        rows.append(row | seen(found, 0))
    return rows


def half_point(rows, event: str) -> float:
    """Start from which the spread of an event is half of that from the fullest."""
    pairs = sorted((row["start"], row[f"{event}_spread_h"]) for row in rows)
    starts, spreads = np.array(pairs).T
    return float(np.interp(0.5 * spreads[-1], spreads, starts))


def shares(table, fast) -> dict:
    """What the first cycle loses [%], by causes, and Shapley's share of each."""
    free = np.full(np.asarray(table.curves.conductivity.log10_values).shape, 2.0)
    cases = {
        "both": table,
        "obstruction": fast,
        "diffusion": with_conductivity(table, free),
        "neither": with_conductivity(fast, free),
    }
    rows = {name: cycles(name, electrode)[0] for name, electrode in cases.items()}
    lost = {name: row["loss_percent"][0] for name, row in rows.items()}
    with_other = lost["both"] - lost["obstruction"], lost["both"] - lost["diffusion"]
    alone = lost["diffusion"] - lost["neither"], lost["obstruction"] - lost["neither"]
    return {
        "loss_percent": lost,
        "share_of_diffusion": 0.5 * (with_other[0] + alone[0]),
        "share_of_obstruction": 0.5 * (with_other[1] + alone[1]),
        "rows": list(rows.values()),
    }


def by_pristine_conductivity(table) -> list[dict]:
    """The table's cycles, and the relay, for other kappa(1)."""
    rows = []
    for value in PRISTINE:
        knots = np.asarray(table.curves.conductivity.log10_values).copy()
        knots[-1] = value
        own = with_conductivity(table, knots)
        fast = with_constant_diffusivity(own, FAST)
        name = f"log10 kappa(1) = {value}"
        rows.append(cycles(f"{name}, table", own)[0])
        rows.append(relay(f"{name}, relay", own, fast)[0])
    return rows


def sweeps(table, fast) -> dict:
    """Slower discharges and longer holds, by D."""
    found = {"slower": [], "slower_relay": [], "hold": [], "hold_relay": []}
    for rate in SLOWER:
        steps = [f"Discharge at C/{rate} until 2.5 V"]
        found["slower"].append(cycles(f"fast, C/{rate}", fast, steps)[0])
        found["slower_relay"].append(relay(f"relay, C/{rate}", table, fast, steps)[0])
    ends = ["until C/50", *(f"for {hours} hours" for hours in HOLDS)]
    for end in ends:
        steps = [*DISCHARGE, f"Hold at 2.5 V {end}"]
        found["hold"].append(cycles(f"fast, 2.5 V {end}", fast, steps)[0])
        found["hold_relay"].append(relay(f"relay, 2.5 V {end}", table, fast, steps)[0])
    ends = ["until C/50", *(f"for {hours} hours" for hours in LONG_HOLDS)]
    steps = [[*DISCHARGE, f"Hold at 2.5 V {end}"] for end in ends]
    found["hold_table"] = [
        cycles(f"table, 2.5 V {end}", table, own)[0]
        for end, own in zip(ends, steps, strict=True)
    ]
    return found


def finer() -> list[dict]:
    """The preset and fast D on a mesh twice as fine, at a tenth of the tolerance."""
    table = diffelec.presets.sharma2022(num_shells=40)
    both = {"table": table, "fast": with_constant_diffusivity(table, FAST)}
    return [
        cycles(f"{name}, 40 shells, rtol 1e-6", own, rtol=1e-6, max_steps=20000)[0]
        for name, own in both.items()
    ]


def described(row: dict) -> str:
    """A line of the table: loss, ends of the discharge, and the second charge."""
    if row["outcome"] != "successful":
        return f"{row['name']:34} {row['outcome']}"
    second = row["charges"][1]
    columns = (
        ("%6.2f", row["loss_percent"][:1]),
        ("%.4f", row["end_of_discharge"]),
        ("%5.2f", second["onset_h"]),
        ("%5.2f", [second["onset_spread_h"], second["midpoint_spread_h"]]),
    )
    parts = [
        " ".join("never" if value is None else form % value for value in values)
        for form, values in columns
    ]
    return "  ".join([f"{row['name']:34}", *parts])


def rows_of(figures) -> list[dict]:
    """Every row with an outcome, however deep."""
    if isinstance(figures, dict):
        own = [figures] if "outcome" in figures else []
        return own + [row for part in figures.values() for row in rows_of(part)]
    if isinstance(figures, list):
        return [row for part in figures for row in rows_of(part)]
    return []


def measured() -> tuple[dict, dict]:
    """(figures, solutions that the figure shows)."""
    table = diffelec.presets.sharma2022()
    fast = with_constant_diffusivity(table, FAST)
    faster = with_constant_diffusivity(table, -13.0)
    filled = [*DISCHARGE, "Hold at 2.5 V for 100 hours"]
    preset, first = cycles("table", table, count=3)
    constant, run = cycles("fast, D = 1e-14 m2/s", fast, count=3)
    control, _ = relay("relay of the table with itself", table, table)
    passed, empty = relay("relay, C/20", table, fast)
    _, full = relay("relay, filled", table, fast, filled)
    found = {
        "cycles": [preset, constant, cycles("fast, D = 1e-13 m2/s", faster)[0]],
        "relays": [control, passed],
        "reset": reset(table, fast),
        "mixed": mixed(table),
        "shares": shares(table, fast),
        "where_lost": where_lost(fast, end_of(run, 1)),
        "first_charge": [network_at(fast, run, k) for k in (0, 10, 20)],
        "first_discharge": [network_at(fast, run, 2 * SAVED + k) for k in LOOKS],
        "sweeps": sweeps(table, fast),
        "pristine_conductivity": by_pristine_conductivity(table),
        "finer": finer(),
    }
    of_table = [row for row in found["reset"] if row["diffusivity"] == "table"]
    found["half_of_spread_from"] = {
        event: half_point(of_table, event) for event in ("onset", "midpoint")
    }
    shown = {"preset": first, "no diffusion loss": empty, "no loss": full}
    return found, shown


def main() -> None:
    """Measures, prints, draws, writes."""
    jax.config.update("jax_enable_x64", True)
    begin = time.perf_counter()
    found, shown = measured()
    print(
        f"{'':34} loss 1 %  x of the tops at the end of discharge 1; second charge: "
        "onsets (h), spread of onsets, of midpoints (h)"
    )
    every = rows_of(found)
    for row in every:
        if "charges" in row:
            print(described(row))
    for row in found["reset"] + found["mixed"]:
        names = ("start", "diffusivity", "on_carbon", "behind")
        start = {name: row[name] for name in names if name in row}
        spreads = [row[f"{event}_spread_h"] for event in ("onset", "midpoint")]
        print(start, "spread of onsets, of midpoints (h)", np.round(spreads, 2))
    for name in ("half_of_spread_from", "where_lost"):
        print(name, found[name])
    print("end of the first discharge", found["first_discharge"][-1])
    print({key: value for key, value in found["shares"].items() if key != "rows"})
    failed = [row["outcome"] for row in every if row["outcome"] != "successful"]
    print(f"{len(failed)} of {len(every)} failed", failed)
    found |= {"failures": failed, "seconds": time.perf_counter() - begin}
    style.save(figure(found, shown), RESULTS / "without_loss.png")
    print(write_result("without_loss", found))


if __name__ == "__main__":
    main()
