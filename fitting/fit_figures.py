"""Figures of a fit: curves with bands, parity of events, lithium, voltage."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from .colors import colors_of, name_shades
from .report import Band, Brightness, Report
from .style import OKABE_ITO, blank, lay_out, legend_names, row_names, styled

HOUR = 3600.0
_MARKERS = {"onset": "^", "midpoint": "o", "completion": "v", "duration": "s"}
_BELOW = {"loc": "outside lower center", "frameon": False}  # of legends
_BAND = 0.18  # opacity
_PRIOR = "0.93"  # grey of its band
_TALLEST = 230  # mm
_ROW = 3.3  # mm, that a line of words needs
_LEAST = 25  # mm, that the words beside a scale of colours need
_MOST_NAMED = int((_TALLEST - 26) / _ROW)  # rows of a map
_ARROW = 0.12  # of the axis, of censored events
_MARGIN = 0.02  # of the run, around marks at its ends


def marker_of(kind: str) -> str:
    """The marker of a kind of event: a diamond of one that was added to `CHANGES`."""
    return _MARKERS.get(kind, "D")


def draw_curves(figure: Figure, bands: Sequence[Band]) -> None:
    """A panel for each curve with its band, over the prior's and the literature's."""
    panels = figure.subplots(1, len(bands), squeeze=False)[0]
    for axes, band, color in zip(panels, bands, OKABE_ITO, strict=False):
        axes.fill_between(band.x, band.prior_low, band.prior_high, color=_PRIOR, lw=0)
        axes.fill_between(band.x, band.low, band.high, color=color, alpha=_BAND, lw=0)
        axes.semilogy(band.x, band.before, "--", color="0.45", linewidth=0.9)
        held = np.allclose(band.prior_low, band.prior_high, rtol=1e-9, atol=0.0)
        axes.semilogy(band.x, band.fitted, color="0.45" if held else color)
        if band.knots.size:
            axes.semilogy(band.knots, band.values, "o", color="0.45", markersize=3)
        shown = np.concatenate([band.prior_low, band.prior_high, band.low, band.high])
        low, high = shown.min(), shown.max()
        if high / low < 10:
            low, high = low / 3, high * 3
        axes.set_ylim(low / 2, high * 2)
        axes.set_xlim(float(band.x.min()), float(band.x.max()))
        axes.set_xlabel("stoichiometry x (–)")
        axes.set_ylabel(band.label)
        source = f"not fitted: {band.source}" if held else band.source
        axes.set_title(
            textwrap.fill(source, 30 if len(bands) < 3 else 24), color="0.35"
        )


def curve_handles(literature: str, prior: str) -> list:
    """What a legend says of the parts that `draw_curves` gives every curve."""
    dashed = {"linestyle": "--", "linewidth": 0.9, "marker": "o", "markersize": 3}
    return [
        Line2D([], [], color="0.45", label=literature, **dashed),
        Patch(color=_PRIOR, label=prior),
    ]


@styled
def curves_figure(report: Report) -> Figure:
    """Fitted curves with 95 % bands on log axes, literature beside them."""
    figure = blank(170, 72)
    draw_curves(figure, report.bands)
    handles = [
        Line2D([], [], color="black", label="fitted, with its 95 % band"),
        *curve_handles("literature, before the fit", "95 % band of the prior"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


@styled
def parity_figure(report: Report) -> Figure:
    """Measured against predicted times; censored events as arrows, upward ones where
    the model says that an event does not happen in its half cycle.

    Bars are one standard deviation; a bar without a mark is an interval; a hollow mark
    was not fitted.
    """
    events, durations = report.events, report.events.is_duration
    groups = [("instants of events", ~durations), ("durations of jumps", durations)]
    groups = [(title, mask) for title, mask in groups if mask.any()]
    many = len(events.particles) > len(OKABE_ITO)
    figure = blank(170 if len(groups) > 1 else 130 if many else 110, 85)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, (title, mask) in zip(panels, groups, strict=True):
        _draw_parity(axes, report, np.flatnonzero(mask))
        axes.set_title(title)
    kinds = dict.fromkeys(events.kind)
    handles = [
        Line2D([], [], marker=marker_of(k), color="0.3", linestyle="", label=k)
        for k in kinds
    ]
    if many:
        name_shades(panels, events.particles)
    else:
        names = legend_names(events.particles)
        handles += [
            Line2D([], [], marker="o", color=color, linestyle="", label=name)
            for color, name in zip(colors_of(events.particles), names, strict=True)
        ]
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    lay_out(figure)
    return figure


def _draw_parity(axes, report: Report, rows) -> None:
    """One panel of `parity_figure` with the events of the given indices."""
    events = report.events
    colors = colors_of(events.particles)
    bars = (events.time - events.sd, events.time + events.sd)
    happens = np.isfinite(report.predicted)
    middle = np.where(events.exact, events.time, 0.5 * (events.after + events.before))
    wide = np.where(np.isfinite(middle) & happens, report.predicted_sd, 0.0)
    heights = np.minimum(report.predicted, report.ends)
    upright = (heights - wide, heights + wide)
    ends = (events.after, events.before, *bars, *upright)
    finite = np.concatenate([column[rows] for column in ends])
    finite = finite[np.isfinite(finite)] / HOUR
    low, high = finite.min(), finite.max()
    margin = 0.08 * max(high - low, 0.5)
    low, high = max(low - margin, 0.0) if low >= 0 else low - margin, high + margin
    axes.plot([low, high], [low, high], color="0.6", linewidth=0.8, zorder=0)
    for k in rows:
        color = colors[events.particle[k]]
        predicted = heights[k] / HOUR
        filled = bool(report.fitted[k])
        _draw_measured(axes, events, k, predicted, color, (low, high), filled)
        if wide[k] > 0:
            axes.errorbar(
                middle[k] / HOUR,
                predicted,
                yerr=wide[k] / HOUR,
                color=color,
                linewidth=0.8,
            )
        if not happens[k]:
            _draw_beyond(axes, events, k, predicted, color, high - low)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_xlabel("measured (h)")
    axes.set_ylabel("fitted model (h)")


def _draw_beyond(axes, events, k: int, height, color, width) -> None:
    """An arrow up from an event that is predicted not to happen in its half cycle."""
    known = (events.time[k], events.after[k], events.before[k])
    at = next(time for time in known if np.isfinite(time))
    how = {"arrowstyle": "->", "color": color, "linewidth": 1.2}
    tip = (at / HOUR, height + 0.08 * width)
    axes.annotate("", tip, (at / HOUR, height), arrowprops=how, annotation_clip=False)


def _draw_measured(axes, events, k: int, height, color, span, filled=True) -> None:
    """What is known of one event, at a height: mark and bar, segment, or arrow.

    An arrow ends within `span`, and a mark is hollow unless `filled`.
    """
    marker = marker_of(events.kind[k])
    if events.exact[k]:
        axes.errorbar(
            events.time[k] / HOUR,
            height,
            xerr=events.sd[k] / HOUR,
            marker=marker,
            color=color,
            markerfacecolor=color if filled else "white",
            markersize=4,
            linewidth=0.8,
            capsize=2,
        )
        return
    after, before = events.after[k] / HOUR, events.before[k] / HOUR
    if np.isfinite(after) and np.isfinite(before):
        axes.plot([after, before], [height] * 2, "|-", color=color, linewidth=2)
        return
    start, sign = (after, 1) if np.isfinite(after) else (before, -1)
    end = start + sign * _ARROW * (span[1] - span[0])
    axes.annotate(
        "",
        (float(np.clip(end, *span)), height),
        (start, height),
        arrowprops={"arrowstyle": "->", "color": color, "linewidth": 1.2},
        annotation_clip=False,
    )
    axes.plot(start, height, "|", color=color, markersize=6)


@styled
def lithium_figure(report: Report) -> Figure:
    """Stoichiometry of the particles against time, with the measured events.

    The observed quantity (mean, or surface) is solid; each event stands where its
    particle has moved by the event's change since its half cycle began.
    """
    run, events = report.trajectories, report.placed
    hours = run.time / HOUR
    seen = run.surface if events.surface else run.mean
    figure = blank(170, 85)
    axes = figure.add_subplot()
    colors = colors_of(run.labels)
    named = len(run.labels) <= len(OKABE_ITO)
    for j, name in enumerate(legend_names(run.labels)):
        label = name if named else None
        axes.plot(hours, seen[:, j], color=colors[j], label=label)
    span = _with_room(events, float(hours.min()), float(hours.max()))
    halves = events.half_cycles(run.half_cycle)
    for k in np.flatnonzero(~events.is_duration):
        j = run.labels.index(events.particles[events.particle[k]])
        half = run.halves[halves[k]]
        moved = -events.change[k] if half.leaves else events.change[k]
        height = np.interp(half.start, run.time, seen[:, j]) + moved
        _draw_measured(axes, events, k, height, colors[j], span)
    axes.set_xlim(*span)
    axes.set_xlabel("time (h)")
    what = "surface" if events.surface else "mean"
    axes.set_ylabel(f"{what} stoichiometry x (–)")
    if named:
        figure.legend(loc="outside right center", frameon=False)
    else:
        name_shades(axes, run.labels)
    return figure


def _with_room(events, low: float, high: float) -> tuple[float, float]:
    """The span of a run [h], wider where marks of events reach beyond its ends."""
    arrow, margin = _ARROW * (high - low), _MARGIN * (high - low)
    exact, after, before = events.exact, events.after / HOUR, events.before / HOUR
    time, sd = events.time / HOUR, events.sd / HOUR
    first = np.where(np.isfinite(after), after, before - arrow)
    last = np.where(np.isfinite(before), before, after + arrow)
    seen = ~events.is_duration
    first = np.where(exact, time - sd, first)[seen]
    last = np.where(exact, time + sd, last)[seen]
    return (
        float(np.min(first - margin, initial=low)),
        float(np.max(last + margin, initial=high)),
    )


@styled
def raster_figure(report: Report) -> Figure:
    """Lithium map: one row a particle, in the order of the first events that the model
    gives, coloured by the observed x (mean, or surface).
    """
    run, events = report.trajectories, report.events
    seen = run.surface if events.surface else run.mean
    when = np.full(len(run.labels), np.inf)
    for k in np.flatnonzero(~events.is_duration):
        j = run.labels.index(events.particles[events.particle[k]])
        when[j] = min(when[j], report.when[k])
    order = np.argsort(when, kind="stable")[::-1]
    named = len(order) <= _MOST_NAMED
    tall = max(6 * min(len(order), 20), min(_ROW * len(order), _TALLEST - 26), _LEAST)
    figure = blank(170, 26 + tall)
    axes = figure.add_subplot()
    edges = np.arange(len(order) + 1)
    middles = 0.5 * (run.time[1:] + run.time[:-1])
    sides = np.concatenate([run.time[:1], middles, run.time[-1:]]) / HOUR
    image = axes.pcolormesh(
        sides, edges, seen[:, order].T, cmap="viridis", rasterized=True
    )
    axes.set_yticks(edges[:-1] + 0.5 if named else [])
    axes.set_yticklabels(legend_names([run.labels[j] for j in order] if named else []))
    axes.set_xlabel("time (h)")
    axes.set_ylabel("particle" if named else "particle, in order of reaction")
    what = "surface" if events.surface else "mean"
    figure.colorbar(image, ax=axes, label=f"{what} stoichiometry x (–)", pad=0.02)
    return figure


@styled
def voltage_figure(report: Report) -> Figure:
    """Cell voltage that drives the model, or that it predicts, with fitted events."""
    run, events = report.trajectories, report.events
    figure = blank(170, 75)
    axes = figure.add_subplot()
    time, voltage = report.recorded
    driven = report.drive == "voltage"
    if len(time):
        label = "recorded, drives the model" if driven else "recorded"
        axes.plot(time / HOUR, voltage, ".-", color="0.35", markersize=4, label=label)
    if not driven:
        axes.plot(run.time / HOUR, run.voltage, color=OKABE_ITO[5], label="model")
    clock, shown = (time, voltage) if driven else (run.time, run.voltage)
    colors = colors_of(events.particles)
    many = len(events.particles) > len(OKABE_ITO)
    for j, name in enumerate(legend_names(events.particles)):
        named = {*events.kind} if many else set()
        for k in np.flatnonzero((events.particle == j) & ~events.is_duration):
            at, kind = report.when[k], events.kind[k]
            if clock[0] <= at <= clock[-1]:
                label = None if kind in named else f"{name}, {kind} fitted"
                height = np.interp(at, clock, shown)
                how = {"color": colors[j], "markersize": 5, "label": label}
                axes.plot(at / HOUR, height, marker_of(kind), **how)
                named.add(kind)
    if many:
        for kind in sorted(
            {events.kind[k] for k in np.flatnonzero(~events.is_duration)}
        ):
            axes.plot([], [], marker_of(kind), color="0.4", label=f"{kind} fitted")
        name_shades(axes, events.particles)
    axes.set_xlabel("time (h)")
    axes.set_ylabel("cell voltage (V)")
    figure.legend(loc="outside right center", frameon=False)
    return figure


@styled
def brightness_figure(seen: Brightness) -> Figure:
    """Measured traces (dots) and those of the model (lines), one above the other."""
    count = len(seen.labels)
    figure = blank(170, min(max(25 + 16 * count, 60), _TALLEST))
    axes = figure.add_subplot()
    size = min(3.0, 60.0 / count)
    for j, color in enumerate(colors_of(seen.labels)):
        height = 1.3 * (count - 1 - j)
        hours = seen.time / HOUR
        axes.plot(hours, height + seen.measured[j], ".", color="0.55", markersize=size)
        axes.plot(hours, height + seen.fitted[j], color=color)
    axes.set_yticks(1.3 * np.arange(count)[::-1], legend_names(seen.labels))
    axes.set_xlabel("time (h)")
    broken = "\n" if count < 5 else " "  # the figure is lower than the sentence
    axes.set_ylabel(f"intensity over its range,{broken}one particle above another")
    handles = [
        Line2D([], [], marker=".", linestyle="", color="0.55", label="measured"),
        Line2D([], [], color="black", label="model, with a level and gain each"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


@styled
def parameters_figure(report: Report) -> Figure:
    """Each fitted number and its standard deviation, over that of its prior where the
    fit is.

    1 is what the prior alone gives; hollow bars are numbers that the prior tells rather
    than the data.
    """
    count = len(report.parameters)
    told = all(p.determined for p in report.parameters)
    figure = blank(170, (22 if told else 28) + 4.5 * count)
    axes = figure.add_subplot()
    for row, parameter in enumerate(reversed(report.parameters)):
        share = parameter.share
        face = OKABE_ITO[0] if parameter.determined else "white"
        axes.barh(row, share, height=0.6, facecolor=face, edgecolor=OKABE_ITO[0])
        text = _with_deviation(parameter.value, parameter.sd)
        axes.text(max(share, 1.0) + 0.03, row, text, va="center")
    axes.axvline(1.0, color="0.4", linewidth=0.8)
    names = row_names([p.label for p in reversed(report.parameters)])
    axes.set_yticks(np.arange(count), names)
    widest = max(1.0, *(p.share for p in report.parameters))
    axes.set_xlim(0, 1.45 * widest)
    axes.set_ylim(-0.6, count - 0.4)
    axes.set_xlabel("standard deviation after the fit, in units of the prior's")
    if not told:
        hollow = Patch(facecolor="white", edgecolor=OKABE_ITO[0])
        figure.legend([hollow], ["told by the prior rather than by the data"], **_BELOW)
    return figure


def _with_deviation(value: float, sd: float) -> str:
    """A number with as many decimals as two digits of its deviation have."""
    if not 1e-6 < sd < 1e6:
        return f"{value:.4g} ± {sd:.2g}"
    decimals = max(1 - math.floor(math.log10(sd)), 0)
    return f"{value:.{decimals}f} ± {sd:.{decimals}f}"
