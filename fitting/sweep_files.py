"""Tables and NetCDF of a sweep."""

from pathlib import Path

import numpy as np

from . import files, netcdf
from .results import CHANGES, HOUR, LEVELS
from .sweep import SUCCESSFUL, Lanes, Sweep, message_of
from .wording import counted

_MILLIAMPERE_HOUR = 3.6  # C
_ROUNDING = 1e-9  # of a time, which no solve is as close to
COLUMNS = {
    "lanes.csv: spread_N_h": "latest minus earliest time at which the mean "
    f"stoichiometry of an imaged particle has changed by {CHANGES[1]:g} since half "
    "cycle N began, the midpoint of the figures; empty where one never gets there",
    "onsets.csv: onset_h, midpoint_h, completion_h": "when "
    f"{', '.join(f'{100 * level:g}' for level in LEVELS)} % of the particle's own "
    "change over the half cycle are passed, from its start; empty where that change "
    "is below 0.05",
}
"""What columns of the tables mean, of which two tell of midpoints in different ways."""


def spreads(sweep: Sweep, lanes: Lanes) -> np.ndarray:
    """Latest minus earliest midpoint (a change of 0.33) of the imaged particles [h]
    (lane, half cycle); infinite where one never gets there, 0 where no more than
    rounding parts them.
    """
    imaged = np.asarray(sweep.electrode.network.topology.imaged)
    midpoints = lanes.changes[..., 1, :][..., imaged]
    last = midpoints.max(axis=-1)
    with np.errstate(invalid="ignore"):
        between = last - midpoints.min(axis=-1)
    between = np.where(between < _ROUNDING * last, 0.0, between)
    return np.where(np.isinf(midpoints).any(axis=-1), np.inf, between / HOUR)


def ends(lanes: Lanes) -> dict[str, int]:
    """How many lanes ended how, in the order of their first."""
    outcomes, first, counts = np.unique(
        lanes.outcome, return_index=True, return_counts=True
    )
    order = np.argsort(first)
    return {message_of(outcomes[k]): int(counts[k]) for k in order}


def text(sweep: Sweep, lanes: Lanes) -> str:
    """How the lanes ended, and their spreads, a line each."""
    ended, count = ~lanes.failed, len(lanes.outcome)
    lines = [f"{ended.sum()} of {counted(count, 'simulation')} ended"]
    lines += [
        f"{number} failed: {message}"
        for message, number in ends(lanes).items()
        if message != SUCCESSFUL
    ]
    found = spreads(sweep, lanes)[ended]
    for half, column in enumerate(found.T if len(found) else (), 1):
        known = column[np.isfinite(column)]
        passed = counted(len(known), "lane")
        line = f"half cycle {half}: all imaged particles passed in {passed}"
        if len(known):
            low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
            line += f", spread of midpoints {middle:.2f} h ({low:.2f} to {high:.2f})"
        lines.append(line)
    if np.isfinite(found).any():
        lines.append(f"a midpoint is a change of {CHANGES[1]:g} in mean stoichiometry")
    return "\n".join(lines)


def write(folder: Path, sweep: Sweep, lanes: Lanes) -> None:
    """lanes.csv, onsets.csv and, where the extra `io` is installed, sweep.nc."""
    _write_lanes(folder / "lanes.csv", sweep, lanes)
    _write_onsets(folder / "onsets.csv", sweep, lanes)
    if netcdf.missing() is None:
        _write_netcdf(folder / "sweep.nc", sweep, lanes)


def _write_lanes(path: Path, sweep: Sweep, lanes: Lanes) -> None:
    halves = range(1, lanes.capacity.shape[1] + 1)
    header = ["lane", *sweep.space.labels, "result", "accepted_steps"]
    header += [f"capacity_{h}_mAh" for h in halves]
    header += [f"spread_{h}_h" for h in halves]
    found, messages = spreads(sweep, lanes), {}
    rows = []
    for k, outcome in enumerate(lanes.outcome.tolist()):
        message = messages.setdefault(outcome, message_of(outcome))
        steps, capacity = int(lanes.num_steps[k]), lanes.capacity[k] / _MILLIAMPERE_HOUR
        rows.append([k, *sweep.values[k], message, steps, *capacity, *found[k]])
    files.write_csv(path, header, rows)


def _write_onsets(path: Path, sweep: Sweep, lanes: Lanes) -> None:
    """Of the imaged particles: `simulate`'s columns, lane by lane."""
    topology = sweep.electrode.network.topology
    imaged, labels = np.flatnonzero(topology.imaged), topology.particle_labels
    header = ["lane", "half_cycle", "particle", "onset_h", "midpoint_h", "completion_h"]
    hours = lanes.levels / HOUR
    files.write_csv(
        path,
        header,
        (
            [k, half + 1, labels[p], *hours[k, half, :, p]]
            for k in range(len(hours))
            for half in range(hours.shape[1])
            for p in imaged
        ),
    )


def _write_netcdf(path: Path, sweep: Sweep, lanes: Lanes) -> None:
    axes = {
        "values": (("lane", "component"), sweep.values, "", "what was varied"),
        "failed": (("lane",), lanes.failed.astype(np.int8), "1", "has no end"),
        "accepted_steps": (("lane",), lanes.num_steps, "1", "of the integrator"),
        "level_time": (
            ("lane", "half_cycle", "level", "particle"),
            *(lanes.levels, "s", "share of a particle's own change is passed"),
        ),
        "change_time": (
            ("lane", "half_cycle", "change", "particle"),
            *(lanes.changes, "s", "change of mean stoichiometry is passed"),
        ),
        "capacity": (("lane", "half_cycle"), lanes.capacity, "C", "charge passed"),
    }
    topology = sweep.electrode.network.topology
    held = netcdf.Group(
        {
            name: (dims, values, {"units": unit, "long_name": meaning})
            for name, (dims, values, unit, meaning) in axes.items()
        },
        {
            "component": list(sweep.space.labels),
            "half_cycle": np.arange(1, lanes.capacity.shape[1] + 1),
            "level": list(LEVELS),
            "change": list(CHANGES),
            "particle": list(topology.particle_labels),
            "imaged": (("particle",), np.asarray(topology.imaged, np.int8), {}),
        },
    )
    about = {"title": "diffelec sweep", "protocol": "; ".join(sweep.protocol.texts)}
    netcdf.write(path, {"": held}, about)
