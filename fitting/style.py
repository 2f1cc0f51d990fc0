"""How figures look: sizes of a printed page, 8 pt text, colours of Okabe and Ito.

Figures are functions that return a Matplotlib `Figure`, without global state; their
widths are those of a page (170 mm) or of one column (85 mm).
"""

import itertools
import re
import warnings
from collections.abc import Sequence
from typing import final

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

OKABE_ITO = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#000000",
)
DPI = 200
_MM = 1 / 25.4  # inch
_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))  # of time
_LONGEST = 24  # letters of a name in a legend, which takes its width from the axes
_LONGEST_ROW = 52  # letters of what stands beside a row of a figure as wide as a page
_FORMULA = re.compile(r"\$(\^\d|\^\{-\d\}|_[x\d]|\\[a-z]+[^$]*)\$")  # of units, ticks
_STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.solid_capstyle": "butt",  # thick lines are intervals, and end where these do
}


def save(figure: Figure, path) -> None:
    """Writes a figure as PNG at 200 dots per inch.

    Names of a user's stand in it as they are written: between their dollar signs
    Matplotlib would look for mathematics. Letters that no font has are boxes.
    """
    for text in figure.findobj(Text):
        if "$" in _FORMULA.sub("", text.get_text()):
            text.set_parse_math(False)
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.dpi = DPI
        # By itself Matplotlib goes through all that there is twice more for it.
        lay_out(figure)
        figure.set_layout_engine("none")
        FigureCanvasAgg(figure).print_png(path)


def shortened(name: str, longest: int = _LONGEST) -> str:
    """A name for a legend: the middle of a long one left out."""
    if len(name) <= longest:
        return name
    return f"{name[: longest // 2]}…{name[1 - longest // 2 :]}"


def row_names(names: Sequence[str]) -> list[str]:
    """Names beside rows, such as of parameters; shortened as `legend_names` are."""
    return legend_names(names, _LONGEST_ROW)


def legend_names(names: Sequence[str], longest: int = _LONGEST) -> list[str]:
    """Names for a legend, shortened so that they stay apart: of those whose ends are
    alike, what they begin with alike is left out; in full where nothing else helps.
    """
    found = [shortened(name, longest) for name in names]
    for short in {text for text in found if found.count(text) > 1}:
        alike = [k for k, text in enumerate(found) if text == short]
        letters = zip(*(names[k] for k in alike), strict=False)
        same = itertools.takewhile(lambda at: len(set(at)) == 1, letters)
        start = re.sub(r"[^\W_]*$", "", "".join(at[0] for at in same))  # whole words
        rests = [shortened(f"…{names[k][len(start) :]}", longest) for k in alike]
        if len(set(rests)) < len(rests):
            rests = [names[k] for k in alike]
        for k, rest in zip(alike, rests, strict=True):
            found[k] = rest
    return found


def left_out(shown: int, count: int, what: str = "half cycles") -> str:
    """What a figure says where there are more half cycles, or others, than it shows."""
    return f"the first {shown} of {count} {what}" if shown < count else ""


def name_below(figure: Figure, *lines: str) -> None:
    """Lines of text below all panels of a figure; nothing where all are empty."""
    text = "\n".join(line for line in lines if line)
    if text:
        figure.supxlabel(text, fontsize=_STYLE["axes.labelsize"])


def time_unit(span: float) -> tuple[float, str]:
    """(seconds, name) of the unit in which a span of time [s] is read with ease: the
    largest of which it holds two.
    """
    return next((unit for unit in _UNITS if span >= 2 * unit[0]), _UNITS[-1])


@final
class SpanName(Text):
    """A word above a span of the horizontal axis, drawn where the span is as wide."""

    def __init__(self, axes, span: tuple[float, float], word: str):
        place = {"ha": "center", "va": "bottom", "clip_on": False}
        super().__init__(sum(span) / 2, 1.02, word, **place)
        self._span = span
        self.set_transform(axes.get_xaxis_transform())
        axes.add_artist(self)

    def draw(self, renderer):
        """As any text, or not at all."""
        ends = [self.get_transform().transform((x, 0))[0] for x in self._span]
        if self.get_window_extent(renderer).width <= ends[1] - ends[0]:
            super().draw(renderer)


def lay_out(figure: Figure) -> None:
    """Places panels of an equal aspect, as a figure needs to be asked twice for: what
    they leave free is not known before the first time, and titles are cut.
    """
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)


def blank(width_mm: float, height_mm: float) -> Figure:
    """An empty figure of a size in mm."""
    figure = Figure(figsize=(width_mm * _MM, height_mm * _MM), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def styled(draw):
    """Draws with the house style, without touching the user's settings."""

    def drawn(*args, **fields):
        with matplotlib.rc_context(_STYLE):
            return draw(*args, **fields)

    drawn.__doc__, drawn.__name__ = draw.__doc__, draw.__name__
    return drawn
