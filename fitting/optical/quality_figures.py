"""Figures by which a person judges regions and frames."""

import numpy as np
from matplotlib.figure import Figure

from ..style import OKABE_ITO, blank, styled
from .quality import Quality
from .regions import Regions
from .traces import Traces

_HOUR = 3600.0
_WIDTH = 170  # mm
_COLORS = (*OKABE_ITO[:-1], "#FFFFFF")  # black would not show on a frame
_PERCENTILES = (0.5, 99.5)  # of a frame's brightness, drawn black and white


@styled
def regions_figure(frame: np.ndarray, regions: Regions, title: str = "") -> Figure:
    """A frame with the regions drawn and named on it.

    Args:
        frame: in which the regions were drawn.
        regions: of its particles; the circles have their areas.
        title: above the frame.
    """
    height, width = frame.shape
    figure = blank(_WIDTH, min(_WIDTH * height / width, 220) + 12)
    axes = figure.add_subplot()
    low, high = np.percentile(frame[np.isfinite(frame)], _PERCENTILES)
    axes.imshow(frame, cmap="gray", vmin=low, vmax=max(high, low + 1e-9))
    angle = np.linspace(0, 2 * np.pi, 73)
    for k, (label, (y, x), r) in enumerate(
        zip(regions.labels, regions.centre, regions.radius, strict=True)
    ):
        color = _COLORS[k % len(_COLORS)]
        axes.plot(x + r * np.cos(angle), y + r * np.sin(angle), "--", color=color)
        axes.text(
            x,
            y,
            label,
            color="white",
            ha="center",
            va="center",
            bbox={"facecolor": "black", "alpha": 0.5, "pad": 1, "linewidth": 0},
        )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_xlabel("x (px)")
    axes.set_ylabel("y (px)")
    axes.set_title(title)
    return figure


@styled
def quality_figure(traces: Traces, quality: Quality, title: str = "") -> Figure:
    """Shifts, light, focus, saturation and flags of all frames, one above the other."""
    hours = traces.time / _HOUR
    figure = blank(_WIDTH, 150)
    rows = figure.subplots(5, 1, sharex=True, height_ratios=(3, 2, 2, 2, 2))
    shift, light, focus, full, flags = rows
    shift.plot(hours, quality.dx, color=OKABE_ITO[0], label="to the right")
    shift.plot(hours, quality.dy, color=OKABE_ITO[5], label="downwards")
    shift.set_ylabel("shift (px)")
    shift.legend(frameon=False, loc="best", ncols=2)
    light.plot(hours, quality.gain, color=OKABE_ITO[1])
    light.set_ylabel("brightness of\nground (–)")
    focus.plot(hours, quality.focus, color=OKABE_ITO[2])
    focus.set_ylabel("sharpness of\nground (–)")
    share = quality.num_saturated / np.maximum(quality.num_pixels, 1)
    full.plot(hours, 100 * share.max(axis=0), color=OKABE_ITO[3])
    full.axhline(0.5, color="0.6", linewidth=0.6)
    full.set_ylabel("saturated px\n(%, worst)")
    _draw_flags(flags, hours, quality)
    for axes in rows[:-1]:
        for instant in hours[~quality.kept]:
            axes.axvline(instant, color="0.85", linewidth=0.8, zorder=0)
    flags.set_xlabel("time (h)")
    figure.align_ylabels()
    figure.suptitle(title, fontsize=8)
    return figure


def _draw_flags(axes, hours, quality: Quality) -> None:
    """One line per reason, a mark at every frame that it masks."""
    names = list(quality.flags)
    for level, name in enumerate(names):
        found = quality.flags[name]
        axes.plot(hours[found], np.full(found.sum(), level), "|", color=OKABE_ITO[5])
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_ylabel("masked")
