"""Figures of a solution; `style` says how they look."""

import textwrap

import equinox as eqx
import matplotlib
import numpy as np
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from .colors import colors_of, name_shades
from .results import AlongSteps, half_cycles
from .style import (
    OKABE_ITO,
    SpanName,
    blank,
    lay_out,
    left_out,
    legend_names,
    name_below,
    styled,
    time_unit,
)
from .style import save as save

_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))
_TITLE = 24  # letters in a line above one of three panels
STATES = (0.02, 0.25, 0.5, 0.75, 0.98)
_MOST_NAMED = 40  # half cycles
_MOST_WORDS = 5  # panels in a row that have room for words above them
_BAR, _BAR_OF_ALL = 0.25, 0.03  # height of the bar: of the least radius, of the sides
_DRAWN, _RIM = 0.92, OKABE_ITO[5]  # share of a radius; of what others would hide
NARROWEST = 0.42  # width over height of a panel, for the words above it
_FLAT = 8.0  # width over height of a network of which panels stand below each other
LEAST_HEIGHT = 44  # mm, of a network: the words beside its scale need as much


def _clock(solution) -> tuple[np.ndarray, float, str]:
    """(the instants in a unit for an axis, that unit in s, its name); NaN those outside
    the run, of which nothing is known.
    """
    known = np.isfinite(np.asarray(solution.voltage))
    time = np.where(known, np.asarray(solution.time), np.nan)
    seconds, name = time_unit(float(np.ptp(time[np.isfinite(time)])))
    return time / seconds, seconds, name


def _marker(time) -> str:
    """Of lines over time: a dot where there is one instant, of which no line is."""
    return "o" if np.isfinite(time).sum() == 1 else ""


def _mark_half_cycles(axes, solution, *, named: bool) -> None:
    """Shades every second half cycle and names above the axes those with room; of each
    what lies between the first and the last instant.
    """
    time, seconds, _ = _clock(solution)
    finite = time[np.isfinite(time)]
    ends = finite.min(), finite.max()
    spans = half_cycles(solution)
    for number, half in enumerate(spans):
        span = np.clip([half.start / seconds, half.end / seconds], *ends)
        if not span[0] < span[1]:
            continue
        if number % 2:
            axes.axvspan(*span, color="0.92", zorder=0, linewidth=0)
        if named and len(spans) <= _MOST_NAMED:
            SpanName(axes, tuple(span), half.name)
    if ends[0] < ends[1]:
        axes.set_xlim(*ends)


@styled
def stoichiometry_figure(solution) -> Figure:
    """Stoichiometry of the imaged particles against time (as in the paper's Fig. 4d).

    All are shown where none is imaged. The volume mean is solid, the surface dashed
    (left out for more than seven particles, of which a scale of colours names some);
    half cycles are shaded.
    """
    topology = solution.topology
    shown = np.flatnonzero(topology.imaged | ~np.any(topology.imaged))
    time, _, unit = _clock(solution)
    mean = np.asarray(solution.stoichiometry)
    surface = np.asarray(solution.surface_stoichiometry)
    figure = blank(170, 85)
    axes = figure.add_subplot()
    marks = {"marker": _marker(time), "markersize": 3}
    many = len(shown) > len(OKABE_ITO)
    names = [topology.particle_labels[k] for k in shown]
    colors, labels = colors_of(names), names if many else legend_names(names)
    for number, k in enumerate(shown):
        color = colors[number]
        if not many:
            look = {"color": color, "linewidth": 0.7, "markerfacecolor": "white"}
            axes.plot(time, surface[:, k], "--", **look, **marks)
        look = {"color": color, "linewidth": 0.6 if many else 1.2}
        axes.plot(time, mean[:, k], label=labels[number], **look, **marks)
    _mark_half_cycles(axes, solution, named=True)
    axes.set_xlabel(f"time ({unit})")
    what = "mean stoichiometry" if many else "stoichiometry"
    axes.set_ylabel(f"{what} x in Li$_x$MO$_2$ (–)")
    if many:
        name_shades(axes, names)
        return figure
    axes.plot([], [], color="0.4", label="volume mean")
    axes.plot([], [], "--", color="0.4", linewidth=0.7, label="surface")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _prefixed(values) -> tuple[float, str]:
    """Divisor and SI prefix that bring the largest of `values` between 1 and 1000."""
    largest = np.nanmax(np.abs(values), initial=0.0)
    for factor, prefix in _PREFIXES:
        if largest >= factor:
            return factor, prefix
    return _PREFIXES[-1] if largest > 0 else _PREFIXES[0]


@styled
def voltage_figure(solution) -> Figure:
    """Cell voltage and current against time, one above the other."""
    time, _, unit = _clock(solution)
    current = np.asarray(solution.current)
    divisor, prefix = _prefixed(current)
    figure = blank(170, 95)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    marks = {"marker": _marker(time), "markersize": 3}
    upper.plot(time, np.asarray(solution.voltage), color=OKABE_ITO[0], **marks)
    upper.set_ylabel("cell voltage (V)")
    lower.axhline(0.0, color="0.6", linewidth=0.6)
    lower.plot(time, current / divisor, color=OKABE_ITO[5], **marks)
    lower.set_ylabel(f"current ({prefix}A)\n(> 0 charges)")
    lower.set_xlabel(f"time ({unit})")
    _mark_half_cycles(upper, solution, named=True)
    _mark_half_cycles(lower, solution, named=False)
    figure.align_ylabels()
    return figure


@styled
def network_figure(electrode, solution, states=STATES, num_rows: int = 3) -> Figure:
    """The network coloured by mean lithium at states of charge (as in Fig. 5).

    One row per half cycle, up to `num_rows`; one column per state: the share of the
    half cycle's own charge that has passed, in a discharge the share that is left. A
    contact with carbon or the collector is a line to the collector's bar, or a rim
    where others would hide that line.
    """
    found = half_cycles(solution)
    rows = found[:num_rows]
    if not rows:
        raise ValueError(
            "A figure of the network needs one charge or discharge, but the protocol "
            "has none."
        )
    places, collector = _places(electrode)
    figure, panels = _panels(places, len(rows), len(states))
    along = AlongSteps.of(solution)
    x = along.particles
    norm = matplotlib.colors.Normalize(np.min(x), np.max(x))
    lines, rimmed = _contacts(electrode, places, collector)
    for half, line in zip(rows, panels, strict=True):
        ordered = states if half.charges else states[::-1]
        for state, axes in zip(ordered, line, strict=True):
            time = time_of_state(electrode, along, half, state)
            here = at_instant(along.time, x, time)
            contacts = LineCollection(lines, colors="0.35", linewidths=1.0, zorder=1)
            axes.add_collection(contacts)
            painted = _draw_particles(axes, electrode, places, rimmed, here, norm)
            _draw_collector(axes, electrode, places, collector)
            axes.set_title(panel_title(half, state, time, len(states)))
        line[0].set_ylabel(half.name, visible=True)
    rims = "orange rim: on carbon or the collector" if rimmed.any() else ""
    name_below(figure, left_out(len(rows), len(found)), rims)
    figure.colorbar(
        painted,
        ax=panels,
        label="mean stoichiometry x (–)",
        shrink=0.8,
        aspect=30,
        pad=0.02,
    )
    lay_out(figure)
    return figure


def panel_title(half, state: float, time: float, count: int) -> str:
    """What share of a half cycle has passed, and after how long; of what, where a row
    of so many panels has room for it.
    """
    passed = state if half.charges else 1.0 - state
    seconds, unit = time_unit(half.end - half.start)
    after = (time - half.start) / seconds
    word = half.name.split()[0]  # the row has its number
    what = f" of {word}" if count <= _MOST_WORDS else ""
    decimals = 1 if after >= 0.95 else 2  # 2 % of two hours are some, too
    return f"{100 * passed:.3g} %{what}\n{after:.{decimals}f} {unit}"


def _panels(places, rows: int, columns: int):
    """A figure and its panels (row, column), which keep the aspect of the network; one
    below the other where it is so flat that beside each other little is seen.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    wide, tall = np.maximum(high - low, 1e-9) + 1.2e-5
    beside = 1 if wide > _FLAT * tall else columns
    panel = np.clip(140 / beside * tall / wide, 20 if beside > 1 else 6, 60)
    lines = rows * columns // beside
    figure = blank(170, max(4 + lines * (11 + float(panel)), LEAST_HEIGHT))
    panels = figure.subplots(lines, beside, squeeze=False)
    return figure, panels.reshape(rows, columns)


def time_of_state(electrode, along: AlongSteps, half, state: float) -> float:
    """When a share of the half cycle's own charge has passed [s]."""
    inside = (along.time >= half.start) & (along.time <= half.end)
    instants, x = along.time[inside], along.mean(electrode)[inside]
    moved = np.abs(x - x[0])
    share = np.maximum.accumulate(moved) / max(moved.max(), np.finfo(float).tiny)
    return float(np.interp(state if half.charges else 1.0 - state, share, instants))


def at_instant(time, values, instant: float) -> np.ndarray:
    """Columns of `values` at an instant, linear between the saved ones."""
    time, good = np.asarray(time), np.isfinite(np.asarray(time))
    return np.array([np.interp(instant, time[good], v[good]) for v in values.T])


def _places(electrode):
    """Two coordinates of every particle [m], drawn x-z, and the collector's height."""
    topology, radius = electrode.network.topology, np.asarray(electrode.radius)
    places = topology.positions
    if places is None:
        places = _layout(electrode)
    places = places[:, [0, -1]]
    return places, float((places[:, 1] - radius).min() - 0.6 * radius.min())


def _layout(electrode) -> np.ndarray:
    """Positions in layers by the number of contacts to the collector."""
    import networkx

    topology = electrode.network.topology
    graph = networkx.Graph()
    graph.add_nodes_from(range(topology.num_nodes))
    ends = topology.tail.tolist(), topology.head.tolist()
    graph.add_edges_from(zip(*ends, strict=True))
    depth = networkx.single_source_shortest_path_length(graph, 0)
    graph = graph.subgraph(depth)  # no electrolyte
    for node, level in depth.items():
        graph.nodes[node]["level"] = level
    found = networkx.multipartite_layout(graph, "level", align="horizontal")
    spacing = 2.2 * float(np.max(np.asarray(electrode.radius)))
    first = topology.first_site + np.searchsorted(
        topology.site_particle, np.arange(topology.num_particles)
    )
    widest = max(np.bincount(list(depth.values())))
    spots = np.array([found[int(n)] for n in first])
    across = spots[:, 0] / max(np.ptp(spots[:, 0]), 1e-9) * spacing * (widest - 1)
    up = spacing * np.array([depth[int(n)] for n in first])
    return np.stack([across, up], axis=1)


def _draw_particles(axes, electrode, places, rimmed, x, norm):
    """Particles in one panel, the nearest last; returns their circles."""
    topology, radius = electrode.network.topology, np.asarray(electrode.radius)
    depth = np.zeros(len(places))
    if topology.positions is not None and topology.positions.shape[1] == 3:
        depth = -topology.positions[:, 1]
    order = np.argsort(depth, kind="stable")
    widths = np.where(topology.imaged & ~np.all(topology.imaged), 1.0, 0.3)
    widths = widths + np.where(rimmed, 0.7, 0.0)
    circles = PatchCollection(
        [Circle(places[k], _DRAWN * radius[k]) for k in order],
        cmap="viridis",
        norm=norm,
        edgecolors=np.where(rimmed, _RIM, "black")[order],
        linewidths=widths[order],
        zorder=2,
    )
    circles.set_array(x[order])
    axes.add_collection(circles)
    return circles


def _draw_collector(axes, electrode, places, collector) -> None:
    """The collector's bar below all particles, and the limits of a panel."""
    radius = np.asarray(electrode.radius)
    left, right = (places[:, 0] - radius).min(), (places[:, 0] + radius).max()
    tall = (places[:, 1] + radius).max() - collector
    thick = min(_BAR * radius.min(), _BAR_OF_ALL * max(right - left, tall))
    bar = (left, collector - thick), right - left, thick
    axes.add_patch(Rectangle(*bar, color="black", linewidth=0.5))
    margin = 0.3 * radius.max()
    beside = max(margin, 0.5 * (NARROWEST * (tall + 2 * margin) - (right - left)))
    axes.set_xlim(left - beside, right + beside)
    axes.set_ylim(collector - margin, collector + tall + margin)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)


def _contacts(electrode, places, collector) -> tuple[list, np.ndarray]:
    """(line segments of the edges, which particles have a rim in place of one); carbon
    counts as part of the collector's bar.
    """
    topology, radius = electrode.network.topology, np.asarray(electrode.radius)
    segments, rimmed = [], np.zeros(len(places), bool)
    first, after = topology.first_site, topology.first_site + topology.num_sites
    for ends in zip(topology.tail, topology.head, strict=True):
        if max(ends) >= after:
            continue  # electrolyte
        sites = [n - first for n in ends if n >= first]
        own = topology.site_particle[sites]
        spots = list(places[own])
        if len(spots) == 1:
            spots.append(np.array([spots[0][0], collector]))
            across, up = (places - spots[0]).T
            lower = up - radius < -radius[own]
            if np.any((np.abs(across) < _DRAWN * radius) & lower):
                rimmed[own] = True
                continue
        if len(spots) == 2:
            segments.append(np.array(spots))
    return segments, rimmed


@styled
def curves_figure(electrode) -> Figure:
    """D(x), kappa(x) and k(x) on log axes over the range that their sources cover."""
    curves = electrode.curves
    figure = blank(170, 62)
    panels = figure.subplots(1, 3)
    shown = (
        (curves.diffusivity, "diffusivity D (m$^2$ s$^{-1}$)"),
        (curves.conductivity, "conductivity κ (S m$^{-1}$)"),
        (curves.rate_constant, "rate constant k (m s$^{-1}$)"),
    )
    ranges = [curve.valid_range for curve, _ in shown]
    x = [np.linspace(max(low, 0.0), min(high, 1.0), 400) for low, high in ranges]
    y = map(np.asarray, _values([curve for curve, _ in shown], x))
    drawn = zip(panels, shown, x, y, OKABE_ITO, strict=False)
    for axes, (curve, label), x, y, color in drawn:
        axes.semilogy(x, y, color=color)
        if y.max() / y.min() < 10:
            axes.set_ylim(y.min() / 5, y.max() * 5)
        axes.set_xlim(0, 1)
        axes.set_xlabel("stoichiometry x (–)")
        axes.set_ylabel(label)
        axes.set_title(textwrap.fill(curve.source, _TITLE), color="0.35")
    return figure


@eqx.filter_jit
def _values(curves, stoichiometries):
    """Values of curves, each at its own stoichiometries: one program, where each of
    their operations would be one.
    """
    return [f(x) for f, x in zip(curves, stoichiometries, strict=True)]
