"""Tables of solutions whose particles have several sites."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from diffelec import fronts

from .files import write_csv
from .results import HOUR, LEVELS

_MINUTE = 60.0
_SITE_COLUMNS = (
    *("half_cycle", "site", "particle", "share"),
    *("onset_h", "midpoint_h", "completion_h"),
)
_FRONT_COLUMNS = (
    *("half_cycle", "particle", "onset_transit_min", "speed_nm_per_s", "transit_min"),
    *("largest_spread", "homogenising_min"),
)


def is_cut(topology: diffelec.topology.Topology) -> bool:
    """Whether a particle has several sites."""
    return topology.num_sites > topology.num_particles


def site_labels(topology: diffelec.topology.Topology) -> tuple[str, ...]:
    """One name a site: `label/0`, … where its particle has several."""
    first = topology.first_site
    return topology.node_labels[first : first + topology.num_sites]


@eqx.filter_jit
def _site_times(solution):
    """When surfaces pass 10, 50, 90 % of their change, (half cycle, 3, site) [s]."""
    levels = jnp.array(LEVELS)
    return jnp.stack(
        [
            jax.vmap(lambda v, k=k: solution.site_onset_times(k, v))(levels)
            for k in range(solution.num_half_cycles)
        ]
    )


@eqx.filter_jit
def front_numbers(solution, radius):
    """Of the fronts in each half cycle and particle: transit times of the onset [s],
    speeds [m/s], transit times of the reaction [s], largest spreads, homogenising times
    [s]; (5, half cycle, particle).
    """
    halves = range(solution.num_half_cycles)
    found = [
        [fronts.transit_times(solution, k, fronts.ONSET) for k in halves],
        [fronts.front_speeds(solution, radius, k) for k in halves],
        [fronts.transit_times(solution, k) for k in halves],
        [fronts.largest_spreads(solution, k) for k in halves],
        [fronts.homogenising_times(solution, k) for k in halves],
    ]
    return jnp.stack([jnp.stack(rows) for rows in found])


def write_site_tables(folder: Path, electrode, solution) -> None:
    """sites.csv and fronts.csv; nothing of them without half cycles.

    sites.csv: when the surface of each site has made a tenth, half and nine tenths of
    its own change in a half cycle. fronts.csv: what `diffelec.fronts` tells of each
    particle that has several sites.
    """
    topology = solution.topology
    if solution.num_half_cycles == 0:
        return
    owners, labels = topology.site_particle, topology.particle_labels
    times = np.asarray(_site_times(solution)) / HOUR
    names = site_labels(topology)
    write_csv(
        folder / "sites.csv",
        _SITE_COLUMNS,
        [
            [half, names[s], labels[p], topology.site_share[s], *rows[:, s]]
            for half, rows in enumerate(times, 1)
            for s, p in enumerate(owners)
        ],
    )
    numbers = np.array(front_numbers(solution, jnp.asarray(electrode.radius)))
    units = np.array([1 / _MINUTE, 1e9, 1 / _MINUTE, 1.0, 1 / _MINUTE])
    numbers *= units[:, None, None]
    several = np.flatnonzero(np.bincount(owners) > 1)
    write_csv(
        folder / "fronts.csv",
        _FRONT_COLUMNS,
        [
            [half + 1, labels[p], *numbers[:, half, p]]
            for half in range(solution.num_half_cycles)
            for p in several
        ],
    )


def site_variables(solution) -> dict:
    """Name: (axes, values, unit, meaning) of what solution.nc holds of sites."""
    site = ("time", "site")
    return {
        "site_stoichiometry": (site, solution.site_stoichiometry, "1", "volume mean"),
        "site_surface_stoichiometry": (
            *(site, solution.site_surface_stoichiometry, "1"),
            "at the surface",
        ),
        "site_particle": (
            *(("site",), solution.topology.site_particle, "1"),
            "number of its particle, from 0",
        ),
        "site_share": (
            *(("site",), solution.topology.site_share, "1"),
            "of its particle's surface and volume",
        ),
    }
