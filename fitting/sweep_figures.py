"""Figures of a sweep: spreads against what was varied, onsets, a map of two."""

import textwrap
from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from scipy.stats import rankdata, spearmanr

from .results import HOUR
from .style import OKABE_ITO, blank, left_out, legend_names, name_below, styled
from .sweep import Lanes, Sweep
from .sweep_files import spreads

_PANELS = 6
_EDGES = (
    "not all react (upper edge, ranked highest), or failed (lower edge, not ranked)"
)
_LETTERS = {1: 26, 2: 42}  # of a line of that, by the columns of a legend
_MARKERS = "o^sD"  # of half cycles; later ones are not drawn
_DASHES = ("-", "--")
_DECADES = 5  # with a tick; of more, every second or third has one
_COARSE, _FINE = (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # ticks of factors
_NARROW = 2.5  # largest over least, up to which not two of the fine ticks may be seen


def figures_of(sweep: Sweep, lanes: Lanes) -> Iterator[tuple[str, Figure]]:
    """(name, figure) of all that a sweep has something to show in."""
    if np.all(lanes.failed):
        return
    yield "spread", spread_figure(sweep, lanes)
    varied = [k for k in range(sweep.space.size) if np.ptp(sweep.values[:, k]) > 0]
    imaged = np.asarray(sweep.electrode.network.topology.imaged)
    if len(varied) == 1 and np.isfinite(lanes.changes[..., 1, imaged]).any():
        yield "onsets", onsets_figure(sweep, lanes, varied[0])
    is_map = len(varied) == 2 and _is_grid(sweep.values[:, varied])
    if is_map and np.isfinite(spreads(sweep, lanes)[:, 0]).any():
        yield "map", map_figure(sweep, lanes, *varied)


def _is_grid(values) -> bool:
    """Whether two columns are all pairs of their values."""
    return len(values) == np.prod([len(np.unique(column)) for column in values.T])


def _axis(sweep: Sweep, component: int) -> tuple[np.ndarray, str, str]:
    """(values, label, scale) of what was varied; factors instead of decades."""
    label = sweep.space.labels[component]
    values = sweep.values[:, component]
    if label.endswith(" [decades]"):
        name = label.removesuffix(" [decades]").removeprefix("scale of ")
        return 10.0**values, f"factor on {name.replace('_', ' ')} (–)", "log"
    return values, label.replace("[", "(").replace("]", ")"), "linear"


def _scale(axes, side: str, scale: str) -> None:
    """Sets the scale of "x" or "y"; factors in plain numbers at 1, 2 and 5, at more
    within a decade, evenly where they are much alike, and at decades where there are
    many.
    """
    if scale != "log":
        return
    axes.set(**{f"{side}scale": scale})
    axis = getattr(axes, f"{side}axis")
    low, high = axis.get_view_interval()
    subs = _FINE if high < 10.0 * low else _COARSE if high < 1e3 * low else (1.0,)
    ticks = LogLocator(subs=subs, numticks=_DECADES)
    if high < _NARROW * low:
        ticks = MaxNLocator(5, steps=[1, 2, 5, 10])
    axis.set_major_locator(ticks)
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _telling(sweep: Sweep, spread, failed) -> list[tuple[int, float]]:
    """(component, rank correlation with a spread) of those that tell most.

    An infinite spread, where a particle never gets there, ranks above all others: to
    leave those lanes out would leave out the most asynchronous. Failed ones tell none.
    """
    known = np.isfinite(spread) | (np.isinf(spread) & ~failed)
    found = []
    for k in range(sweep.space.size):
        values, ranks = sweep.values[known, k], rankdata(spread[known])
        if known.sum() < 3 or np.ptp(values) == 0 or np.ptp(ranks) == 0:
            found.append((k, np.nan))
        else:
            found.append((k, float(spearmanr(values, ranks).statistic)))
    order = sorted(found, key=lambda one: -np.nan_to_num(abs(one[1])))
    return order[:_PANELS]


@styled
def spread_figure(sweep: Sweep, lanes: Lanes) -> Figure:
    """Spread of midpoints against what was varied, a mark for each half cycle; the six
    that tell most, with their rank correlation in the first. Ticks on the upper edge
    are lanes in which a particle never gets there, which rank above all others, and on
    the lower edge failed ones, which have no rank.
    """
    spread = spreads(sweep, lanes)
    shown = _telling(sweep, spread[:, 0], lanes.failed)
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    halves = min(spread.shape[1], len(_MARKERS))
    told = [left_out(halves, spread.shape[1])]
    if len(shown) < sweep.space.size:
        told.append(f"the {len(shown)} that tell most of {sweep.space.size} quantities")
    told = [line for line in told if line]
    wide = min(columns, 2)
    lines = -(-halves // wide) + len(told)
    handles = _half_handles(halves)
    if not np.isfinite(spread[:, 0]).all():
        handles.append(_edge_handle(_LETTERS[wide]))
        lines += 3 * (wide == 1)
    figure = blank(max(5 + 55 * columns, 70), 16 + 4 * lines + 45 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, (component, correlation) in zip(panels.flat, shown, strict=False):
        values, label, scale = _axis(sweep, component)
        for half, column in enumerate(spread.T[: len(_MARKERS)]):
            look = {"color": OKABE_ITO[half], "markersize": 3, "alpha": 0.7}
            axes.plot(values, column, _MARKERS[half], **look)
        _mark_edges(axes, values, spread[:, 0], lanes.failed)
        _scale(axes, "x", scale)
        axes.set_xlabel(textwrap.fill(label, 26))
        if np.isfinite(correlation):
            which = ", half cycle 1" if spread.shape[1] > 1 else ""
            axes.set_title(f"rank correlation {correlation:.2f}{which}")
    for axes in panels.flat[len(shown) :]:
        axes.remove()
    for axes in panels[:, 0]:
        axes.set_ylabel("spread of midpoints (h)")
    place = {"loc": "outside lower center", "ncols": wide}
    title = "\n".join(told) or None
    figure.legend(handles=handles, title=title, frameon=False, **place)
    return figure


def _mark_edges(axes, values, spread, failed) -> None:
    """Ticks at the edges for lanes without a spread."""
    whole = axes.get_xaxis_transform()
    never = np.isinf(spread) & ~failed
    for mask, height in ((never, 1.0), (failed, 0.0)):
        heights = np.full(mask.sum(), height)
        axes.plot(values[mask], heights, "|", color="0.2", transform=whole)


def _edge_handle(letters: int) -> Line2D:
    text = textwrap.fill(_EDGES, letters)
    return Line2D([], [], label=text, marker="|", color="0.2", linestyle="")


def _half_handles(count: int) -> list[Line2D]:
    return [
        Line2D(
            *([], []),
            marker=_MARKERS[half],
            color=OKABE_ITO[half],
            linestyle="",
            label=f"half cycle {half + 1}",
        )
        for half in range(count)
    ]


@styled
def onsets_figure(sweep: Sweep, lanes: Lanes, component: int) -> Figure:
    """Midpoints of the imaged particles against the one quantity that was varied, a
    style of line for each half cycle; up to seven particles.
    """
    topology = sweep.electrode.network.topology
    known = np.flatnonzero(topology.imaged)
    imaged = known[: len(OKABE_ITO)]
    values, label, scale = _axis(sweep, component)
    order = np.argsort(values)
    figure = blank(120, 75)
    axes = figure.subplots()
    midpoints = np.where(np.isfinite(lanes.changes), lanes.changes, np.nan)[..., 1, :]
    halves = range(min(midpoints.shape[1], len(_DASHES)))
    names = legend_names([topology.particle_labels[k] for k in imaged])
    for color, particle, label_of in zip(OKABE_ITO, imaged, names, strict=False):
        for half in halves:
            hours = midpoints[order, half, particle] / HOUR
            look = {"color": color, "linestyle": _DASHES[half], "markersize": 3}
            name = label_of if half == 0 else None
            axes.plot(values[order], hours, marker=_MARKERS[half], label=name, **look)
    if len(halves) > 1:
        for half in halves:
            dashes = {"color": "0.4", "linestyle": _DASHES[half]}
            axes.plot([], [], label=f"half cycle {half + 1}", **dashes)
    _scale(axes, "x", scale)
    if np.isfinite(midpoints).any():
        axes.set_ylim(0.0, 1.05 * np.nanmax(midpoints) / HOUR)
    axes.set_xlabel(label)
    name_below(
        figure,
        left_out(len(halves), midpoints.shape[1]),
        left_out(len(imaged), len(known), "imaged particles"),
    )
    axes.set_ylabel("midpoint after the start\nof the half cycle (h)")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _edges(values, scale: str):
    """Edges of cells about values, half-way on the scale."""
    places = np.log(values) if scale == "log" else values
    middles = 0.5 * (places[1:] + places[:-1])
    ends = 2 * places[0] - middles[0], 2 * places[-1] - middles[-1]
    edges = np.concatenate([ends[:1], middles, ends[1:]])
    return np.exp(edges) if scale == "log" else edges


@styled
def map_figure(sweep: Sweep, lanes: Lanes, first: int, second: int) -> Figure:
    """Spread of midpoints in the first half cycle over two quantities on a grid;
    hatched where a particle never gets there or the lane failed.
    """
    across, label_across, scale_across = _axis(sweep, first)
    up, label_up, scale_up = _axis(sweep, second)
    columns, rows = np.unique(across), np.unique(up)
    shade = np.full((len(rows), len(columns)), np.nan)
    spread = spreads(sweep, lanes)[:, 0]
    place = np.searchsorted(rows, up), np.searchsorted(columns, across)
    shade[place] = np.where(np.isfinite(spread), spread, np.nan)
    figure = blank(100, 75)
    axes = figure.subplots()
    hatched = {"facecolor": "white", "edgecolor": "0.5", "hatch": "////", "lw": 0}
    axes.add_patch(Rectangle((0, 0), 1, 1, transform=axes.transAxes, **hatched))
    edges = _edges(columns, scale_across), _edges(rows, scale_up)
    most = np.nanmax(shade) or 0.1  # h; of all 0, as of one particle, 0 is the least
    drawn = axes.pcolormesh(*edges, shade, cmap="cividis", vmin=0.0, vmax=most)
    _scale(axes, "x", scale_across)
    _scale(axes, "y", scale_up)
    axes.set(xlabel=label_across, ylabel=label_up)
    figure.colorbar(drawn, label="spread of midpoints, half cycle 1 (h)")
    if np.isnan(shade).any():
        none = Patch(label="not all react, or failed", **hatched)
        figure.legend(handles=[none], loc="outside lower center", frameon=False)
    return figure
