"""Maps of the lithium at the surface of particles that are cut into sites (Fig. 5)."""

import dataclasses

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from .figures import (
    LEAST_HEIGHT,
    NARROWEST,
    STATES,
    at_instant,
    panel_title,
    time_of_state,
)
from .results import AlongSteps, half_cycles
from .style import blank, lay_out, left_out, name_below, styled

_PIXELS = 64  # across the median particle
_LEAST_PIXELS, _MOST_PIXELS = 480, 1200  # along the longer side of the map
_MICRO = 1e-6
_LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)  # um, of scale bars
_FOOT = 0.07  # of the height, for the bar of the scale
_APART = 3  # pt between that bar and the collector's, however flat the map
_COLOURS = "viridis"
_LABEL = "surface stoichiometry x (–)"


@dataclasses.dataclass(frozen=True)
class SiteMap:
    """Which site one sees at each pixel of a drawing.

    Two coordinates of positions are drawn across and up, one looks along the third. Of
    three coordinates x goes across and z up, seen from the side of low y.

    Attributes:
        site: (row, column) number of the site, -1 where there is no particle; the
            lowest row first.
        extent: left, right, bottom, top [m].
        particle: (row, column) number of its particle, -1 where there is none.
    """

    site: np.ndarray
    particle: np.ndarray
    extent: tuple[float, float, float, float]

    @staticmethod
    def of(electrode) -> "SiteMap":
        """The map of an electrode; ValueError without positions."""
        topology = electrode.network.topology
        if topology.positions is None:
            raise ValueError(
                "A map of sites needs the positions of particles, but the electrode "
                "has none; give `positions`."
            )
        radius = np.asarray(electrode.radius, float)
        places = topology.positions[:, [0, -1]]
        flat = topology.positions.shape[1] == 2
        depth = np.zeros(len(places)) if flat else topology.positions[:, 1]
        margin = 0.1 * radius.max()
        low = (places - radius[:, None]).min(axis=0) - margin
        high = (places + radius[:, None]).max(axis=0) + margin
        side = np.max(high - low)
        pixel = 2 * np.median(radius) / _PIXELS
        pixel = np.clip(pixel, side / _MOST_PIXELS, side / _LEAST_PIXELS)
        counts = np.ceil((high - low) / pixel).astype(int)
        site = np.full(counts[::-1], -1)
        nearest = np.full(counts[::-1], np.inf)
        for p in range(len(radius)):
            _paint(
                site, nearest, p, topology, places[p], depth[p], radius[p], low, pixel
            )
        right, top = low + counts * pixel
        particle = np.where(site < 0, -1, topology.site_particle[site])
        return SiteMap(site, particle, (low[0], right, low[1], top))

    def picture(self, values: np.ndarray) -> np.ma.MaskedArray:
        """Values of the sites where one sees them, (row, column)."""
        return np.ma.masked_where(self.site < 0, np.asarray(values)[self.site])

    def outlines(self) -> np.ndarray:
        """Dark where one particle ends, clear elsewhere (row, column, RGBA)."""
        around = np.pad(self.particle, 1, constant_values=-1)
        inner = around[1:-1, 1:-1]
        beside = (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2])
        border = np.any([inner > n for n in (*beside, around[1:-1, 2:])], axis=0)
        colour = np.zeros((*self.site.shape, 4), np.uint8)
        colour[border] = (60, 60, 60, 255)
        return colour


def _paint(site, nearest, p, topology, place, depth, radius, low, pixel) -> None:
    """Puts particle `p` into the map where it is nearer than what is there."""
    first = np.maximum(((place - radius - low) / pixel).astype(int), 0)
    last = ((place + radius - low) / pixel).astype(int) + 2
    window = (slice(first[1], last[1]), slice(first[0], last[0]))
    rows, columns = np.indices(site[window].shape)
    across = (low[0] + (first[0] + columns + 0.5) * pixel - place[0]) / radius
    up = (low[1] + (first[1] + rows + 0.5) * pixel - place[1]) / radius
    squared = across**2 + up**2
    towards = np.sqrt(np.maximum(1.0 - squared, 0.0))
    distance = np.where(squared <= 1.0, depth - radius * towards, np.inf)
    seen = distance < nearest[window]
    flat = topology.positions.shape[1] == 2
    axes = (across, up, towards) if flat else (across, -towards, up)
    own = np.flatnonzero(topology.site_particle == p)
    if len(own) > 1:
        directions = np.stack(axes, axis=-1)
        centres = topology.site_centres[own]
        # The nearest: |d - c|^2 less |d|^2, without all differences in memory.
        apart = np.sum(centres**2, axis=1) - 2.0 * directions @ centres.T
        own = own[np.argmin(apart, axis=-1)]
    site[window] = np.where(seen, own, site[window])
    nearest[window] = np.where(seen, distance, nearest[window])


@styled
def site_figure(electrode, solution, states=STATES, num_rows: int = 3) -> Figure:
    """Lithium at the surface of every site, at states of charge (as in Fig. 5).

    One row per half cycle, up to `num_rows`; one column per state: the share of the
    half cycle's own charge that has passed, in a discharge the share that is left.
    """
    found = half_cycles(solution)
    rows = found[:num_rows]
    if not rows:
        raise ValueError(
            "A map of sites needs one charge or discharge, but the protocol has none."
        )
    seen = SiteMap.of(electrode)
    left, right, bottom, top = seen.extent
    beside = 0.5 * max(NARROWEST * (top - bottom) - (right - left), 0.0)
    tall = float(np.clip(140 / len(states) * (top - bottom) / (right - left), 20, 70))
    figure = blank(170, max(6 + len(rows) * (11 + tall), LEAST_HEIGHT))
    panels = figure.subplots(len(rows), len(states), squeeze=False)
    along = AlongSteps.of(solution)
    x = along.surfaces
    norm = matplotlib.colors.Normalize(np.min(x), np.max(x))
    for half, line in zip(rows, panels, strict=True):
        ordered = states if half.charges else states[::-1]
        for state, axes in zip(ordered, line, strict=True):
            time = time_of_state(electrode, along, half, state)
            painted = draw_map(axes, seen, at_instant(along.time, x, time), norm)
            axes.set_title(panel_title(half, state, time, len(states)))
            axes.set_xlim(left - beside, right + beside)
        line[0].set_ylabel(half.name, visible=True)
    draw_scale(panels[-1, 0], seen)
    name_below(figure, left_out(len(rows), len(found)))
    figure.colorbar(painted, ax=panels, label=_LABEL, shrink=0.8, aspect=30, pad=0.02)
    lay_out(figure)
    return figure


def draw_map(axes, seen: SiteMap, values, norm):
    """The particles of one panel above the collector's bar, coloured by values of their
    sites.
    """
    image = axes.imshow(
        seen.picture(values),
        extent=seen.extent,
        origin="lower",
        cmap=_COLOURS,
        norm=norm,
        interpolation="nearest",
    )
    axes.imshow(seen.outlines(), extent=seen.extent, origin="lower", zorder=2)
    left, right, bottom, top = seen.extent
    axes.plot([left, right], [bottom, bottom], color="black", linewidth=2)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom - _FOOT * (top - bottom), top)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    return image


def draw_scale(axes, seen: SiteMap) -> None:
    """A bar of a round length in um under a panel."""
    left, right, bottom, top = seen.extent
    wide = (right - left) / _MICRO
    length = max([n for n in _LENGTHS if n <= 0.35 * wide], default=_LENGTHS[0])
    below = bottom - _FOOT * (top - bottom)
    ends = [left, left + length * _MICRO]
    inches = axes.figure.dpi_scale_trans
    apart = axes.transData + ScaledTranslation(0, -_APART / 72, inches)
    (bar,) = axes.plot(ends, [below, below], color="black", linewidth=1.5)
    bar.set(clip_on=False, transform=apart)
    axes.annotate(
        f"{length} µm",
        (np.mean(ends), below),
        xytext=(0, -2 - _APART),
        textcoords="offset points",
        ha="center",
        va="top",
        annotation_clip=False,
    )
