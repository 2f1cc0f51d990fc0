"""Figures of traces and of what all particles do, in the house's style.

Where no state of charge is known, axes are of time: that of the film plus `offset`,
what the cycler's clock reads when the film's reads 0 [s].
"""

import textwrap
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ..style import OKABE_ITO, blank, left_out, legend_names, name_below, styled
from ..wording import counted
from .degrees import Degrees
from .half_cycles import StateOfCharge
from .onset_tables import order
from .onsets import HalfOnsets
from .population import ACTIVE, Curve, Population
from .traces import Traces
from .verdicts import Onset, Outcome

HOUR = 3600.0
_WIDTH = 0.015  # of the weights of a local slope, in lengths of a half cycle
_NUM_SLOPES = 200
_MOST_NAMED = 40  # particles whose names fit beside a raster
_SHADES = (0.1, 0.95)  # of viridis: neither black nor white
_MOST_COLUMNS = 4  # half cycles beside one another
_BEYOND = 0.02  # of a half cycle, that an axis goes on behind it


def colors_of(one: HalfOnsets) -> dict:
    """A colour of each particle, the earliest first: of few particles by their order in
    the traces, as on the figure of regions; of many by the order of reaction.
    """
    early = sorted_labels(one)
    if len(early) <= len(OKABE_ITO):
        colors = {o.particle: c for o, c in zip(one.onsets, OKABE_ITO, strict=False)}
        return {label: colors[label] for label in early}
    shades = matplotlib.colormaps["viridis"](np.linspace(*_SHADES, len(early)))
    return dict(zip(early, shades, strict=True))


def sorted_labels(one: HalfOnsets) -> list[str]:
    """Particles, the earliest first."""
    return [onset.particle for onset in sorted(one.onsets, key=order)]


def local_slope(
    along: Float[np.ndarray, " frame"],
    values: Float[np.ndarray, " frame"],
    places: Float[np.ndarray, " place"],
    width: float,
) -> Float[np.ndarray, " place"]:
    """Slope of a straight line drawn near each place; NaN where nothing is near.

    Args:
        along: state of charge or time of each frame.
        values: NaN where not valid.
        places: where slopes are wanted.
        width: standard deviation of the weights, in units of `along`.

    Source: local linear regression, Cleveland, *J. Am. Stat. Assoc.* 74, 829 (1979).
    """
    good = np.isfinite(values) & np.isfinite(along)
    x, y = along[good], values[good]
    away = x[None, :] - places[:, None]
    weight = np.exp(-0.5 * (away / width) ** 2)
    total, number = weight.sum(axis=1), np.sum(np.abs(away) < 2 * width, axis=1)
    total = np.where(number > 3, total, np.nan)
    centre = (weight @ x / total)[:, None]
    spread = np.sum(weight * (x - centre) ** 2, axis=1)
    return np.sum(weight * (x - centre) * y, axis=1) / np.where(
        spread > 0, spread, np.nan
    )


def when(onset: Onset) -> float:
    """When a particle reacted, by its time or the middle of its bounds [s]."""
    if onset.outcome is Outcome.EXACT:
        return onset.midpoint
    if onset.outcome is Outcome.INTERVAL:
        return 0.5 * (onset.after + onset.before)
    return float("nan")


def axis_name(is_time: bool, charge: StateOfCharge | None) -> str:
    """Of the axis along a half cycle."""
    if is_time or charge is None:
        return "time (h)"
    return f"state of charge {charge.source}"


def _along(time, charge: StateOfCharge | None, offset: float):
    """State of charge, or time [h] where none is known."""
    return (time + offset) / HOUR if charge is None else charge.at(time)


def _progress(degrees: Degrees, offset: float):
    """The points of degrees of reaction: states of charge, or times [h]."""
    shift, unit = (offset, HOUR) if degrees.is_time else (0.0, 1.0)
    return (degrees.progress + shift) / unit


@styled
def half_cycles_figure(
    traces: Traces,
    found: Sequence[HalfOnsets],
    charge: StateOfCharge | None = None,
    *,
    offset: float = 0.0,
) -> Figure:
    """Intensity above, its slope below, one column a half cycle (the paper's Fig. 1c).

    Triangles mark midpoints, open ones the middle of bounds. Slopes are of straight
    lines drawn through the frames within some per cent of the half cycle.
    """
    shown = list(found)[:_MOST_COLUMNS]
    figure = blank(170, 105)
    panels = figure.subplots(
        2, len(shown), sharex="col", sharey="row", squeeze=False, height_ratios=(3, 2)
    )
    colors = colors_of(shown[0])
    for one, (upper, lower) in zip(shown, panels.T, strict=True):
        _half_cycle(upper, lower, traces, one, charge, offset, colors)
    unit = "(per h)" if charge is None else "(–)"
    slope = "dI/dt" if charge is None else "dI/dSOC"
    panels[0, 0].set_ylabel("intensity I (of scale)")
    panels[1, 0].set_ylabel(f"slope {slope} {unit}")
    name = axis_name(charge is None, charge)
    name_below(figure, name, left_out(len(shown), len(found)))
    if len(colors) <= len(OKABE_ITO):
        lines = [matplotlib.lines.Line2D([], [], color=c) for c in colors.values()]
        names = legend_names(list(colors))
        figure.legend(lines, names, loc="outside right center", frameon=False)
    else:
        shades = matplotlib.colors.ListedColormap(list(colors.values()))
        mappable = matplotlib.cm.ScalarMappable(
            matplotlib.colors.Normalize(0.5, len(colors) + 0.5), shades
        )
        figure.colorbar(
            mappable,
            ax=panels,
            label=f"order of reaction in {shown[0].half.name}",
            aspect=40,
        )
    figure.align_ylabels()
    return figure


def _half_cycle(upper, lower, traces, one, charge, offset, colors) -> None:
    """One column: traces and their slopes."""
    inside = one.half.holds(traces.time)
    along = _along(traces.time[inside], charge, offset)
    known = along[np.isfinite(along)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    places = np.linspace(low, high, _NUM_SLOPES)
    spacing = (high - low) / max(inside.sum(), 1)
    width = max(_WIDTH * (high - low), 1.5 * spacing)
    by_label = {onset.particle: onset for onset in one.onsets}
    for label, color in colors.items():
        row = traces.intensity[traces.labels.index(label), inside]
        upper.plot(along, row, color=color, linewidth=0.8)
        onset = by_label[label]
        if onset.has_reacted:
            time = np.array([when(onset)])
            good = np.isfinite(row)
            height = np.interp(time, traces.time[inside][good], row[good])
            fill = "full" if onset.outcome is Outcome.EXACT else "none"
            place = _along(time, charge, offset)
            upper.plot(place, height, "v", color=color, ms=4, fillstyle=fill, mew=0.8)
        slope = local_slope(along, row, places, width)
        lower.plot(places, slope, color=color, linewidth=0.8)
    lower.axhline(0.0, color="0.6", linewidth=0.5, zorder=0)
    upper.set_title(one.half.name)
    if not one.half.charges and charge is not None:
        upper.set_xlim(high, low)


@styled
def raster_figure(
    one: HalfOnsets,
    people: Population,
    charge: StateOfCharge | None = None,
    *,
    offset: float = 0.0,
) -> Figure:
    """Degree of reaction of every particle, the earliest at the top.

    White lines are midpoints; hatched is what no frame shows, or is not told by any.
    """
    degrees = people.degrees
    labels = [k for k in sorted_labels(one) if k in degrees.particles]
    rows = degrees.degree[[degrees.particles.index(k) for k in labels]]
    along = _progress(degrees, offset)
    figure = blank(170, float(np.clip(25 + 4 * len(labels), 50, 180)))
    axes = figure.add_subplot()
    middle = 0.5 * (along[1:] + along[:-1])
    edges = np.concatenate([along[:1], middle, along[-1:]])
    axes.set_facecolor("0.85")
    _hatch(axes, edges, len(labels))
    painted = axes.pcolormesh(
        edges,
        np.arange(len(labels) + 1),
        np.ma.masked_invalid(rows),
        cmap="cividis",
        vmin=0,
        vmax=1,
    )
    known = None if degrees.is_time else charge
    _mark_midpoints(axes, one, labels, known, offset)
    named = len(labels) <= _MOST_NAMED
    axes.set_yticks(np.arange(len(labels)) + 0.5 if named else [])
    axes.set_yticklabels(legend_names(labels) if named else [])
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(len(labels), 0)
    axes.set_ylabel("particle, in order of reaction")
    axes.set_xlabel(axis_name(degrees.is_time, charge))
    axes.set_title(f"{one.half.name}: {one.describe()}")
    figure.colorbar(painted, ax=axes, label="degree of reaction z (–)", pad=0.02)
    return figure


def _mark_midpoints(axes, one: HalfOnsets, labels, charge, offset: float) -> None:
    by_label = {onset.particle: onset for onset in one.onsets}
    for k, label in enumerate(labels):
        onset = by_label[label]
        if onset.outcome is Outcome.EXACT:
            place = _along(np.array([onset.midpoint]), charge, offset)
            axes.plot([place, place], [k, k + 1], color="white", linewidth=1.4)


def _hatch(axes, edges, count: int) -> None:
    axes.add_patch(
        matplotlib.patches.Rectangle(
            (edges[0], 0),
            edges[-1] - edges[0],
            count,
            hatch="////",
            facecolor="0.9",
            edgecolor="0.6",
            linewidth=0,
        )
    )


@styled
def reacted_figure(
    one: HalfOnsets,
    people: Population,
    charge: StateOfCharge | None = None,
    *,
    offset: float = 0.0,
) -> Figure:
    """Share of particles that have reacted, with its 95 % band.

    Ticks on the line: particles seen so far and no longer (right-censored).
    """
    figure = blank(85, 65)
    axes = figure.add_subplot()
    degrees, curve = people.degrees, people.reacted
    known = None if degrees.is_time else charge
    along = _along(people.steps, known, offset)
    _band(axes, along, curve, OKABE_ITO[0], step="post")
    axes.step(along, curve.value, where="post", color=OKABE_ITO[0])
    censored = [o.after for o in one.of(Outcome.RIGHT)]
    if censored:
        inside = np.clip(censored, people.steps[0], people.steps[-1])
        last = np.searchsorted(people.steps, inside, "right") - 1
        places = _along(inside, known, offset)
        axes.plot(places, curve.value[last], "|k", markersize=8, label="censored")
        axes.legend(frameon=False, loc="upper left")
    beyond = _BEYOND * (along[-1] - along[0])  # what is censored last is seen, too
    axes.set_xlim(along[0], along[-1] + beyond)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(textwrap.fill(axis_name(people.degrees.is_time, charge), 40))
    axes.set_ylabel("reacted share (–)")
    count = counted(len(people.degrees.particles), "particle")
    axes.set_title(f"{one.half.name}, {count}")
    return figure


def _band(axes, along, curve: Curve, color, **fields) -> None:
    axes.fill_between(
        along, curve.low, curve.high, color=color, alpha=0.2, linewidth=0, **fields
    )


@styled
def activity_figure(
    people: Sequence[Population],
    charge: StateOfCharge | None = None,
    *,
    offset: float = 0.0,
) -> Figure:
    """Active share above and segregation index below, against the state of charge."""
    figure = blank(170, 100)
    shown = list(people)[:_MOST_COLUMNS]
    panels = figure.subplots(2, len(shown), sharex="col", sharey=True, squeeze=False)
    for one, (upper, lower) in zip(shown, panels.T, strict=True):
        along = _progress(one.degrees, offset)
        for axes, curve, color in (
            (upper, one.curves.active, OKABE_ITO[2]),
            (lower, one.curves.segregation, OKABE_ITO[5]),
        ):
            _band(axes, along, curve, color)
            axes.plot(along, curve.value, color=color)
            axes.plot(along, one.curves.mean.value, "--", color="0.5", linewidth=0.8)
        upper.set_title(one.half.name)
        upper.set_xlim(along[0], along[-1])
    low, high = ACTIVE
    panels[0, 0].set_ylabel(f"active share ({low:g} < z < {high:g})")
    panels[1, 0].set_ylabel("segregation H (–)")
    panels[0, 0].set_ylim(-0.02, 1.02)
    panels[0, 0].plot([], [], "--", color="0.5", linewidth=0.8, label="mean degree z")
    figure.legend(loc="outside upper right", frameon=False)
    name = axis_name(shown[0].degrees.is_time, charge)
    name_below(figure, name, left_out(len(shown), len(people)))
    figure.align_ylabels()
    return figure
