"""Figures of what experiments would tell: gains, sharpening, spectrum, profiles."""

import re
import textwrap

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .design import Findings, Profiled
from .style import OKABE_ITO, blank, row_names, styled
from .wording import counted

_RISE = 1.92  # of the loss, at the ends of a 95 % interval
_SHRINKS = 0.98  # numbers that no candidate shrinks below this share are left out
_LEAST = 1e-6  # information below which a direction is not drawn
_SHOWN = 12  # directions
_TICKS = 5  # at most so many steps, whose numbers such as -14.75 stay apart


@styled
def gains_figure(found: Findings) -> Figure:
    """Expected gain of every candidate, and how much of it is about the curves.

    A bar is the mean over draws, a line its standard deviation from draw to draw, a
    mark the value at the optimum.
    """
    shown = [e for e in found.expected if np.isfinite(e.mean)][::-1]
    figure = blank(170, 32 + 12 * len(shown))
    axes = figure.add_subplot()
    for row, e in enumerate(shown):
        axes.barh(row + 0.18, e.mean, height=0.34, color=OKABE_ITO[0])
        axes.barh(row - 0.18, e.curve_mean, height=0.34, color=OKABE_ITO[1])
        if np.isfinite(e.spread):
            axes.plot(
                [max(e.mean - e.spread, 0.0), e.mean + e.spread],
                [row + 0.18] * 2,
                *("|-",),
                color="black",
                linewidth=0.8,
                markersize=4,
            )
        axes.plot(e.gain, row + 0.18, "D", color="white", mec="black", markersize=3.5)
    names = [f"{e.name}\n{textwrap.fill(e.text, 42)}" for e in shown]
    axes.set_yticks(np.arange(len(shown)), names)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("expected gain of information (bits)")
    handles = [
        Patch(color=OKABE_ITO[0], label="about all numbers of the fit"),
        Patch(color=OKABE_ITO[1], label="about the material's curves"),
        Line2D([], [], color="black", linewidth=0.8, label="spread over draws"),
        Line2D(
            *([], []),
            **{"marker": "D", "color": "white", "mec": "black", "markersize": 3.5},
            label="at the optimum",
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure


@styled
def sharpening_figure(found: Findings) -> Figure:
    """Standard deviation of each number after each candidate, over that before.

    Numbers that no candidate would sharpen are left out.
    """
    shown = [e for e in found.expected if np.isfinite(e.gain)]
    shares = np.array([e.shrinkage for e in shown])
    rows = np.flatnonzero(shares.min(axis=0) < _SHRINKS)
    rows = rows if rows.size else np.arange(shares.shape[1])
    figure = blank(170, max(38 + 6 * rows.size, 65))
    axes = figure.add_subplot()
    values = shares[:, rows].T
    image = axes.imshow(values, cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        color = "black" if value > 0.5 else "white"
        text = f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", color=color)
    names = [e.name for e in shown]
    turned = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(np.arange(len(names)), names, **turned)
    labels = row_names([found.labels[k] for k in rows])
    axes.set_yticks(np.arange(rows.size), labels)
    axes.set_xlabel("candidate, the most telling first")
    figure.colorbar(image, ax=axes, label="standard deviation,\nafter over before")
    return figure


@styled
def spectrum_figure(found: Findings) -> Figure:
    """Information of the fitted data along its directions; the prior's is 1.

    Directions that it tells nothing of but for rounding have no row.
    """
    told = [d for d in found.directions if d.information > _LEAST]
    shown = (told or found.directions[:1])[:_SHOWN]
    figure = blank(170, 26 + 11.5 * len(shown))
    axes = figure.add_subplot()
    for row, direction in enumerate(reversed(shown)):
        face = OKABE_ITO[0] if direction.determined else "white"
        width = max(direction.information, _LEAST)
        axes.barh(row, width, height=0.6, facecolor=face, edgecolor=OKABE_ITO[0])
    axes.set_xscale("log")
    widths = [max(d.information, _LEAST) for d in shown]
    axes.set_xlim(min(*widths, 1.0) / 3.0, max(*widths, 1.0) * 3.0)
    axes.axvline(1.0, color="black", linewidth=0.8)
    names = [re.sub(r" \[[^]]*\]", "", d.name) for d in reversed(shown)]
    axes.set_yticks(np.arange(len(shown)), [textwrap.fill(n, 46) for n in names])
    axes.set_xlabel("information of the data (–), in units of the prior's")
    axes.set_ylabel("direction of raw numbers (weights)")
    left = len(found.directions) - len(shown)
    handles = [
        Patch(color=OKABE_ITO[0], label="told by the data"),
        Patch(facecolor="white", edgecolor=OKABE_ITO[0], label="told by the prior"),
        Line2D([], [], color="black", linewidth=0.8, label="as much as the prior"),
    ]
    title = f"{counted(left, 'more direction')}, told less" if left else None
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=3,
        frameon=False,
        title=title,
    )
    return figure


@styled
def profiles_figure(profiles: tuple[Profiled, ...]) -> Figure:
    """Rise of the loss along each number, all others at their best, beside the parabola
    of the normal law; 95 % intervals are where the rise is 1.92.
    """
    columns = min(2, len(profiles))
    lines = -(-len(profiles) // columns)
    figure = blank(85 * columns, 18 + 55 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, one in zip(panels, profiles, strict=False):
        _draw_profile(axes, one)
    for axes in panels[len(profiles) :]:
        axes.set_visible(False)
    handles = [
        Line2D([], [], color=OKABE_ITO[0], marker="o", markersize=3, label="profile"),
        Line2D([], [], color=OKABE_ITO[5], linestyle="--", label="normal law"),
        Line2D([], [], color="0.5", linewidth=0.8, label="95 %"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _draw_profile(axes, one: Profiled) -> None:
    targets, losses = one.profile.targets, one.profile.losses
    good = np.isfinite(losses)
    x = np.linspace(targets.min(), targets.max(), 101)
    parabola = 0.5 * ((x - one.estimate.value) / one.estimate.sd) ** 2
    axes.plot(x, parabola, "--", color=OKABE_ITO[5])
    axes.plot(targets[good], losses[good], "o-", color=OKABE_ITO[0], markersize=3)
    axes.axhline(_RISE, color="0.5", linewidth=0.8)
    axes.set_ylim(losses[good].min(initial=0.0) - 0.2, 5.0)
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
    axes.set_xlabel(textwrap.fill(one.estimate.label, 45))
    axes.set_ylabel("rise of the loss (–)")
