"""Figures of a comparison of mechanisms: evidence, and what each of them predicts."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .compare import Comparison
from .posterior_figures import beyond_handle, draw_interval, draw_measured
from .style import OKABE_ITO, blank, legend_names, styled

HOUR = 3600.0
_PER_MECHANISM = 0.8  # of the height of an event's row, for all mechanisms


@styled
def evidence_figure(found: Comparison) -> Figure:
    """Evidence of each mechanism, and how much worse each foretells every particle that
    it has not seen, both relative to the best.
    """
    differences = found.differences()
    panels = 1 if differences is None else 2
    count = len(found.contenders)
    figure = blank(85 * panels + 35 * (panels == 1), 32 + 9 * count)
    first, *others = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    heights = np.arange(count)[::-1]
    logs = np.array([c.evidence.log_evidence for c in found.contenders])
    sds = [c.evidence.sd for c in found.contenders]
    for k, (c, share) in enumerate(
        zip(found.contenders, found.probabilities, strict=True)
    ):
        style = {"color": OKABE_ITO[k], "capsize": 2, "markersize": 5}
        face = {} if c.evidence.reliable else {"markerfacecolor": "white"}
        place = logs[k] - logs[0], heights[k]
        first.errorbar(*place, xerr=sds[k], marker="o", **style, **face)
        text = f"{share:.2g}" if share >= 0.01 else "< 0.01"
        first.annotate(text, place, (0, 6), textcoords="offset points", ha="center")
    first.set_xlabel("ln evidence, less the best (± 1 sd)")
    doubtful = not all(c.evidence.reliable for c in found.contenders)
    hollow = "\n(hollow: its weights do not hold)" if doubtful else ""
    first.set_title(f"probability if one is right{hollow}")
    first.set_yticks(heights, [c.name for c in found.contenders])
    first.set_ylim(-0.6, count - 0.3)
    first.axvline(0.0, color="0.7", linewidth=0.8, zorder=0)
    first.margins(x=0.12)
    if others:
        _draw_left_out(others[0], found, differences, heights)
    return figure


def _draw_left_out(axes, found: Comparison, differences, heights) -> None:
    each = np.stack([c.left_out.log_densities for c in found.contenders])
    off = each - each[np.argmax(each.sum(axis=1))]
    for k, (row, total) in enumerate(zip(off, differences, strict=True)):
        color = OKABE_ITO[k]
        axes.plot(row, np.full(row.size, heights[k] - 0.2), "|", color=color)
        axes.errorbar(
            *(total.value, heights[k]),
            xerr=total.sd,
            marker="s",
            color=color,
            capsize=2,
            markersize=4,
        )
    axes.axvline(0.0, color="0.7", linewidth=0.8, zorder=0)
    axes.set_xlabel("ln density of unseen particles, less the best")
    axes.set_title("sum (square, ± 1 sd) and each particle (ticks)")


@styled
def predictions_figure(found: Comparison) -> Figure:
    """Every fitted event as measured (black), and 90 % of each posterior's prediction
    of it (without the scatter of a measurement).
    """
    setup = found.contenders[0].setup
    fitted = np.flatnonzero(setup.fitted)
    durations = setup.events.is_duration[fitted]
    groups = [("instants of events", ~durations), ("durations of jumps", durations)]
    groups = [(title, np.flatnonzero(mask)) for title, mask in groups if mask.any()]
    most = max(len(rows) for _, rows in groups)
    figure = blank(170 if len(groups) > 1 else 120, 34 + 9 * most)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for axes, (title, rows) in zip(panels, groups, strict=True):
        _draw_events(axes, found, fitted, rows)
        axes.set_title(title)
    handles = [
        Line2D([], [], color=OKABE_ITO[k], linewidth=3, label=c.name)
        for k, c in enumerate(found.contenders)
    ]
    handles.append(
        Line2D([], [], marker="o", color="black", linestyle="", label="measured")
    )
    if any(np.isinf(c.quantiles([0.95])).any() for c in found.contenders):
        handles.append(beyond_handle())
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_events(axes, found: Comparison, fitted, rows) -> None:
    """One row an event, one bar a mechanism in it."""
    setup = found.contenders[0].setup
    events = setup.events
    shown = [(c.quantiles([0.05, 0.95]), c.ends[fitted]) for c in found.contenders]
    drawn = [np.minimum(times, ends)[:, rows] for times, ends in shown]
    width = float(np.ptp(drawn)) / HOUR
    step = _PER_MECHANISM / len(found.contenders)
    for height, row in enumerate(reversed(rows)):
        for n, (times, ends) in enumerate(shown):
            level = height + 0.25 - n * step
            how = {"color": OKABE_ITO[n], "linewidth": 2.5}
            draw_interval(axes, times[:, row], ends[row], level, **how)
        draw_measured(axes, setup, fitted[row], height + 0.42, width)
    particles = legend_names(events.particles)
    names = [
        f"{particles[events.particle[k]]}, {events.title_of(k)}" for k in fitted[rows]
    ]
    axes.set_yticks(np.arange(len(rows)), names[::-1])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("time (h)")
    axes.margins(x=0.05)
