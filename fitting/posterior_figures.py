"""Figures of a posterior: bands of curves, predictions, traces, ranks, pairs; ranks of
truths.
"""

import textwrap

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import hypergeom, rankdata

from .calibration import Uniformity
from .colors import colors_of
from .fit_figures import curve_handles, draw_curves, marker_of
from .inference import Inference
from .style import OKABE_ITO, blank, legend_names, row_names, styled

HOUR = 3600.0
_SHOWN = 6  # numbers in traces and ranks
_PAIRED = 4  # numbers in the plot of pairs
_POINTS = 500  # in a cloud
_BINS = 20
_BARS = 30  # of a histogram of many draws; of few their root
_TICK = 4  # pt, at the ends of an interval


@styled
def curves_figure(found: Inference) -> Figure:
    """Median and 90 % band of every curve over the prior's and the literature's."""
    figure = blank(170, 75)
    draw_curves(figure, found.bands)
    handles = [
        Line2D([], [], color="black", label="posterior median"),
        Patch(color="0.6", label="90 % of the posterior"),
        *curve_handles("literature", "90 % of the prior"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return figure


@styled
def predictive_figure(found: Inference) -> Figure:
    """Every event as measured, beside what should have been measured: 50 % and 90 %
    intervals, and 90 % with the particle left out where that is known.

    A segment is an interval, an arrow a bound; a hollow mark was not fitted.
    """
    durations = found.setup.events.is_duration
    groups = [("instants of events", ~durations), ("durations of jumps", durations)]
    groups = [(title, np.flatnonzero(mask)) for title, mask in groups if mask.any()]
    most = max(len(rows) for _, rows in groups)
    figure = blank(170 if len(groups) > 1 else 120, 30 + 8 * most)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, (title, rows) in zip(panels, groups, strict=True):
        _draw_predictive(axes, found, rows)
        axes.set_title(title)
    handles = [
        Line2D([], [], color="0.3", linewidth=4, alpha=0.5, label="50 % predicted"),
        Line2D([], [], color="0.3", linewidth=1.2, label="90 % predicted"),
        Line2D([], [], marker="o", color="black", linestyle="", label="measured"),
    ]
    if found.left_out is not None:
        dashed = {"linestyle": ":", "linewidth": 1.2, "color": "0.3"}
        handles.append(Line2D([], [], label="90 % without the particle", **dashed))
    if _goes_beyond(found):
        handles.append(beyond_handle())
    place = {"loc": "outside lower center", "ncols": 4 if len(groups) > 1 else 2}
    figure.legend(handles=handles, frameon=False, **place)
    return figure


def _goes_beyond(found: Inference) -> bool:
    """Whether any interval is cut at the end of a half cycle."""
    without = () if found.left_out is None else found.left_out.quantiles
    return bool(np.isinf(found.predicted.quantiles).any() or np.isinf(without).any())


def _draw_predictive(axes, found: Inference, rows) -> None:
    """One row an event: intervals below, the measurement on top of them."""
    events, predicted = found.setup.events, found.predicted
    colors = colors_of(events.particles)
    sides = events.time - events.sd, events.time + events.sd
    own = np.concatenate([c[rows] for c in (*sides, events.after, events.before)])
    every = [predicted.quantiles]
    if found.left_out is not None:
        every.append(found.left_out.quantiles)
    drawn = np.minimum(np.concatenate(every), predicted.ends)[:, rows] / HOUR
    shown = np.concatenate([own / HOUR, drawn.ravel()])
    shown = shown[np.isfinite(shown)]
    span = shown.min(), shown.max()
    width = max(span[1] - span[0], 0.5)
    for height, k in enumerate(reversed(rows)):
        color = colors[events.particle[k]]
        times, end = predicted.quantiles[:, k], predicted.ends[k]
        thin = {"color": color, "linewidth": 1.2}
        draw_interval(axes, times, end, height, **thin)
        axes.plot(
            *(np.minimum(times[[1, 3]], end) / HOUR, [height] * 2),
            color=color,
            linewidth=5,
            alpha=0.5,
        )
        if found.left_out is not None:
            without = found.left_out.quantiles[:, k]
            draw_interval(axes, without, end, height - 0.3, linestyle=":", **thin)
        draw_measured(axes, found.setup, k, height + 0.25, width)
    particles = legend_names(events.particles)
    names = [f"{particles[events.particle[k]]}, {events.title_of(k)}" for k in rows]
    axes.set_yticks(np.arange(len(rows)), names[::-1])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(span[0] - 0.08 * width, span[1] + 0.2 * width)
    axes.set_xlabel("time (h)")


def draw_interval(axes, times, end: float, height: float, *, color, **style) -> None:
    """From the first to the last of some times [s], in h, with ticks at both, which are
    seen where the times are one; an arrow head where a half cycle ends if they go on
    beyond it.
    """
    hours = np.minimum(times, end) / HOUR
    ends = hours[[0, -1]], [height] * 2
    axes.plot(*ends, color=color, marker="|", markersize=_TICK, **style)
    if np.isinf(times[-1]):
        axes.plot(hours[-1], height, ">", color=color, markersize=5)


def beyond_handle() -> Line2D:
    """What a legend says of the arrow heads of `draw_interval`."""
    label = "beyond the half cycle"
    return Line2D([], [], marker=">", color="0.3", linestyle="", label=label)


def draw_measured(axes, setup, k: int, height: float, width: float) -> None:
    """What is known of one event of a `Setup`, in h: mark and bar, segment, or arrow (a
    part of `width` long).
    """
    events = setup.events
    if events.exact[k]:
        face = "black" if setup.fitted[k] else "white"
        axes.errorbar(
            *(events.time[k] / HOUR, height),
            xerr=events.sd[k] / HOUR,
            marker=marker_of(events.kind[k]),
            markerfacecolor=face,
            color="black",
            markersize=4,
            linewidth=0.8,
            capsize=2,
        )
        return
    after, before = events.after[k] / HOUR, events.before[k] / HOUR
    if np.isfinite(after) and np.isfinite(before):
        axes.plot([after, before], [height] * 2, "|-", color="black", linewidth=1.6)
        return
    start, sign = (after, 1) if np.isfinite(after) else (before, -1)
    arrow = {"arrowstyle": "->", "color": "black", "linewidth": 1.2}
    tip = (start + sign * 0.12 * width, height)
    axes.annotate("", tip, (start, height), arrowprops=arrow, annotation_clip=False)
    axes.plot(start, height, "|", color="black", markersize=6)


def _hardest(found: Inference, count: int) -> list[int]:
    """The numbers without diagnostics, then those of the least effective size."""
    described = found.diagnosis.quantities
    told = [np.nan_to_num((q.bulk, q.rhat)) for q in described]
    order = sorted(range(len(told)), key=lambda k: (told[k][0], -told[k][1]))
    return order[:count]


@styled
def traces_figure(found: Inference) -> Figure:
    """The numbers that are told worst, draw by draw, one colour a chain."""
    chosen = _hardest(found, _SHOWN)
    figure = blank(170, 20 + 24 * ((len(chosen) + 1) // 2))
    panels = figure.subplots((len(chosen) + 1) // 2, 2, squeeze=False, sharex=True)
    for axes, k in zip(panels.ravel(), chosen, strict=False):
        for chain, color in zip(found.values[..., k], _cycled(found), strict=True):
            axes.plot(chain, color=color, linewidth=0.5, alpha=0.8)
        axes.set_title(_wrapped(found.labels[k]), loc="left")
    for axes in _lowest(panels, len(chosen)):
        axes.set_xlabel("draw")
    return figure


@styled
def ranks_figure(found: Inference) -> Figure:
    """How often each chain holds which ranks among all draws; even where chains agree.

    The grey band holds 99 % of bins of independent draws.
    """
    chosen = _hardest(found, _SHOWN)
    figure = blank(170, 20 + 24 * ((len(chosen) + 1) // 2))
    panels = figure.subplots((len(chosen) + 1) // 2, 2, squeeze=False, sharex=True)
    low, high = even_band(*found.values.shape[:2])
    for axes, k in zip(panels.ravel(), chosen, strict=False):
        axes.axhspan(low, high, color="0.9")
        counts = rank_counts(found.values[..., k])
        for chain, color in zip(counts, _cycled(found), strict=True):
            sides = np.linspace(0, 1, _BINS + 1)
            axes.stairs(chain, sides, color=color, linewidth=1.0)
        axes.set_title(_wrapped(found.labels[k]), loc="left")
        axes.set_ylim(0, None)
        axes.set_xlim(0, 1)
    for axes in _lowest(panels, len(chosen)):
        axes.set_xlabel("rank among the draws of all chains (share)")
    for axes in panels[:, 0]:
        axes.set_ylabel("draws")
    band = Patch(color="0.9", label="99 % of bins of independent draws")
    figure.legend(handles=[band], loc="outside lower center", frameon=False)
    return figure


def rank_counts(
    values: Float[np.ndarray, "chain draw"],
) -> Int[np.ndarray, "chain bin"]:
    """How many ranks each chain has in each of even bins, among all draws."""
    # The k-th of N ranks lies in the middle of the k-th of N even parts.
    shares = (rankdata(values, axis=None) - 0.5).reshape(values.shape) / values.size
    return np.array([np.histogram(row, _BINS, (0, 1))[0] for row in shares])


def even_band(num_chains: int, num_draws: int) -> tuple[float, float]:
    """Between what 99 % of the counts of a chain's ranks in a bin lie, or somewhat
    more, where draws are independent and of one law.

    The chains share the ranks of a bin among them, so that counts are hypergeometric;
    bins differ by a rank where their number is no divisor of that of ranks.
    """
    total = num_chains * num_draws
    sizes = np.array([total // _BINS, -(-total // _BINS)])
    low, high = hypergeom.interval(0.99, total, sizes, num_draws)
    return float(low[0]) - 0.5, float(high[1]) + 0.5


def _lowest(panels, count: int) -> list:
    """The lowest used panel of each column, with numbers at its ticks; blank those
    behind the first `count`.
    """
    for axes in panels.ravel()[count:]:
        axes.set_axis_off()
    used = np.arange(panels.size).reshape(panels.shape) < count
    lowest = [
        column[mask][-1]
        for column, mask in zip(panels.T, used.T, strict=True)
        if mask.any()
    ]
    for axes in lowest:
        axes.tick_params(labelbottom=True)
    return lowest


def most_correlated(values, count: int) -> list[int]:
    """Components that lie in the strongest correlations, strongest first; those that
    do not vary come last.
    """
    flat = values.reshape(-1, values.shape[-1])
    still = np.ptp(flat, axis=0) == 0  # a deviation from a rounded mean may not be 0
    usable = np.flatnonzero(~still)
    strength = np.zeros((len(usable), len(usable)))
    if len(usable) > 1:
        strength = np.abs(np.corrcoef(flat[:, usable].T)) - np.eye(len(usable))
    chosen: list[int] = []
    for place in np.argsort(-strength, axis=None):
        for k in np.unravel_index(place, strength.shape):
            if int(usable[k]) not in chosen:
                chosen.append(int(usable[k]))
        if len(chosen) >= count:
            break
    return [*chosen, *np.flatnonzero(still).tolist()][:count]


@styled
def pairs_figure(found: Inference) -> Figure:
    """Clouds of the numbers that are tied to each other most; crosses, which a legend
    tells of: draws whose trajectory diverged.
    """
    chosen = most_correlated(found.values, min(_PAIRED, found.values.shape[-1]))
    flat = found.values.reshape(-1, found.values.shape[-1])
    astray = np.asarray(found.draws.diverging).reshape(-1)
    some = np.linspace(0, len(flat) - 1, min(_POINTS, len(flat))).astype(int)
    count, names = len(chosen), row_names(found.labels)
    figure = blank(170, 40 * max(count, 2))
    panels = figure.subplots(count, count, squeeze=False, sharex="col")
    for row, i in enumerate(chosen):
        for column, j in enumerate(chosen):
            axes = panels[row, column]
            if column > row:
                axes.set_axis_off()
                continue
            if row == column:
                bins = int(np.clip(np.sqrt(len(flat)), 5, _BARS))
                axes.hist(flat[:, i], bins, color=OKABE_ITO[0], alpha=0.6)
                axes.set_yticks([])
            else:
                axes.plot(*flat[some][:, [j, i]].T, ".", color=OKABE_ITO[0], ms=1.5)
                axes.plot(*flat[astray][:, [j, i]].T, "x", color=OKABE_ITO[5], ms=4)
            if row == count - 1:
                axes.set_xlabel(_wrapped(names[j], 16))
            if column == 0 and row > 0:
                axes.set_ylabel(_wrapped(names[i], 20))
    if astray.any():
        label = "draw whose trajectory diverged"
        cross = Line2D(
            [], [], marker="x", color=OKABE_ITO[5], ms=4, linestyle="", label=label
        )
        figure.legend(handles=[cross], loc="outside upper right", frameon=False)
    return figure


def _cycled(found: Inference) -> list:
    """A colour for each chain."""
    count = found.values.shape[0]
    return [OKABE_ITO[k % len(OKABE_ITO)] for k in range(count)]


def _wrapped(label: str, width: int = 60) -> str:
    return textwrap.fill(label, width)


@styled
def calibration_figure(cases: dict[str, Uniformity], labels) -> Figure:
    """Distribution of ranks less the uniform one, with the band of 95 % of sets of
    uniform ranks, a panel for each case.
    """
    figure = blank(170, 75)
    panels = figure.subplots(1, len(cases), squeeze=False, sharey=True)[0]
    colors = colors_of(labels)
    for axes, (name, found) in zip(panels, cases.items(), strict=True):
        axes.fill_between(found.points, found.low, found.high, color="0.9", lw=0)
        for row, color in zip(found.difference, colors, strict=True):
            axes.plot(found.points, row, color=color, linewidth=0.9)
        axes.set_title(f"{name}: probability {found.family:.2g}")
        axes.set_xlabel("rank of the truth / draws")
    panels[0].set_ylabel("share of truths below, less uniform")
    handles = [
        Line2D([], [], color=color, label=label)
        for color, label in zip(colors, labels, strict=True)
    ]
    handles.append(Patch(color="0.9", label="95 % of uniform sets"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure
