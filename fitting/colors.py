"""Colours of particles, and what tells which is whose where there are many."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.colors import CSS4_COLORS, TABLEAU_COLORS, ListedColormap, to_rgb

from .style import OKABE_ITO, legend_names

_LIGHT, _LIGHTEST = (0.299, 0.587, 0.114), 0.85  # of red, green, blue; of all
_APART = 0.35  # in (red, green, blue), of colours that are told apart
_MOST_SHADES = 9  # that a scale of colours names


def colors_of(labels: Sequence[str]) -> list:
    """One colour a particle: that which its label names, if no two of those look alike,
    and for others of a list what looks like none of them, or of a map where there are
    many.
    """
    own = {k: _named(name) for k, name in enumerate(labels) if name in CSS4_COLORS}
    if len({to_rgb(color) for color in own.values()}) < len(own):
        own = {}
    rest = [color for color in OKABE_ITO if _is_apart(color, own.values())]
    if len(labels) - len(own) <= len(rest):
        others = iter(rest)
        return [own[k] if k in own else next(others) for k in range(len(labels))]
    if len(labels) <= len(OKABE_ITO):
        return list(OKABE_ITO[: len(labels)])
    return list(matplotlib.colormaps["cividis"](np.linspace(0, 1, len(labels))))


def _named(name: str):
    """The colour of a name, or darker where it is hardly seen on white."""
    spelt = name.replace("grey", "gray")
    color = TABLEAU_COLORS.get(f"tab:{spelt}", spelt)
    rgb = np.array(to_rgb(color))
    return tuple((0.75 * rgb).tolist()) if rgb @ _LIGHT > _LIGHTEST else color


def _is_apart(color, others) -> bool:
    away = [np.subtract(to_rgb(color), to_rgb(other)) for other in others]
    return all(np.linalg.norm(difference) > _APART for difference in away)


def name_shades(axes, labels: Sequence[str]) -> None:
    """A scale of the colours of many particles, in their order, beside axes, of which
    there may be several; some have names on it.
    """
    last = len(labels) - 1
    order = matplotlib.colors.Normalize(-0.5, last + 0.5)
    shades = matplotlib.cm.ScalarMappable(order, ListedColormap(colors_of(labels)))
    told = np.unique(np.linspace(0, last, _MOST_SHADES).round().astype(int))
    figure = np.ravel(axes)[0].figure
    bar = figure.colorbar(shades, ax=axes, ticks=told, label="particle", pad=0.02)
    bar.set_ticklabels(legend_names([labels[k] for k in told]))
    bar.ax.invert_yaxis()  # the first above, as in a legend
