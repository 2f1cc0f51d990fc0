"""The figure of `fronts`: the network as fronts pass, and how uneven particles are."""

import matplotlib
import numpy as np

from diffelec import fronts
from fitting.site_maps import SiteMap, draw_map, draw_scale
from fitting.style import OKABE_ITO, blank, styled

HOUR, MINUTE = 3600.0, 60.0
TOPS = 5
CHARGES = ((0, "charge 1"), (2, "charge 2"))
DASHES = ("-", (0, (5, 1)), (0, (3, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def _maps(subfigure, electrode, solution) -> None:
    """The network when each top particle in turn is most uneven."""
    seen = SiteMap.of(electrode)
    owners = solution.topology.site_particle
    panels = subfigure.subplots(len(CHARGES), TOPS)
    norm = matplotlib.colors.Normalize(0.75, 1.0)
    for (half, name), line in zip(CHARGES, panels, strict=True):
        instants, values = (np.asarray(v) for v in solution.site_trajectories(half))
        for p, axes in enumerate(line):
            moment = np.argmax(np.ptp(values[:, owners == p], axis=1))
            image = draw_map(axes, seen, values[moment], norm)
            axes.set_title(f"{p} in the way\n{instants[moment] / HOUR:.2f} h")
        line[0].set_ylabel(name)
    draw_scale(panels[-1, 0], seen)
    subfigure.colorbar(
        image,
        ax=panels,
        label="surface stoichiometry x (–)",
        extend="min",
        shrink=0.8,
        aspect=30,
    )


def _passages(axes, solution, half_cycle: int, name: str) -> None:
    """How high the front is in each top particle against time."""
    times = np.asarray(solution.site_change_times(half_cycle, fronts.ONSET))
    topology = solution.topology
    for p in range(TOPS):
        own = np.flatnonzero(topology.site_particle == p)
        since = (times[own] - times[own].min()) / MINUTE
        height = topology.site_centres[own, 1]
        axes.plot(
            *(since, height),
            **{"color": OKABE_ITO[p], "ls": DASHES[p], "marker": ".", "ms": 3},
            label=f"{p} in the way",
        )
    axes.set_title(name, loc="left")
    axes.set_xlabel("time since the first (min)")
    axes.set_ylabel("height of the slice over R (–)")


def _spreads(axes, solution) -> None:
    """The spread of each top particle against time, in both charges."""
    for half, _ in CHARGES:
        instants, values = (np.asarray(v) for v in solution.site_trajectories(half))
        owners = solution.topology.site_particle
        for p in range(TOPS):
            own = values[:, owners == p]
            axes.semilogy(
                instants / HOUR,
                np.maximum(own.max(axis=1) - own.min(axis=1), 1e-6),
                color=OKABE_ITO[p] if half == 0 else "0.6",
                ls=DASHES[p],
                linewidth=1.0,
                zorder=2 if half == 0 else 1,
            )
    axes.set(xlim=(0, 14), ylim=(1e-5, 0.5))
    axes.set_title("c  charge 1 (grey: charge 2)", loc="left")
    axes.set_xlabel("time in charge (h)")
    axes.set_ylabel("spread of surface x (–)")


@styled
def figure(electrode, solution):
    """Maps above; passages of the fronts and spreads inside particles below."""
    drawn = blank(170, 145)
    upper, lower = drawn.subfigures(2, 1, height_ratios=(85, 60))
    _maps(upper, electrode, solution)
    panels = lower.subplots(1, 3)
    _passages(panels[0], solution, 0, "a  charge 1")
    _passages(panels[1], solution, 2, "b  charge 2")
    _spreads(panels[2], solution)
    handles = panels[0].get_legend_handles_labels()
    lower.legend(*handles, frameon=False, loc="outside lower center", ncols=TOPS)
    return drawn
