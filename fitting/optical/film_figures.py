"""Figures on the frames of a film: onset map, montage, kymograph."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from matplotlib.patches import Circle as Disc
from matplotlib.patheffects import withStroke
from scipy.ndimage import map_coordinates

from ..style import OKABE_ITO, blank, styled
from .circles import Circle
from .half_cycles import StateOfCharge
from .onsets import HalfOnsets
from .optical_figures import HOUR, colors_of, when
from .verdicts import Outcome

_GRAY = (1, 99)  # percentiles of a frame that are drawn black and white
_ALIKE = 1e-3  # of a half cycle, within which instants are drawn as one
_LINES = OKABE_ITO[5]  # in a kymograph, in which masked frames are white


def _show(axes, image: Float[np.ndarray, "height width"], limits=None) -> None:
    """A frame in grays, without axes."""
    low, high = _limits(image) if limits is None else limits
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
    axes.set_xticks([])
    axes.set_yticks([])


def _limits(images) -> tuple[float, float]:
    """What is drawn black and white, by the pixels that hold a finite number."""
    return tuple(np.percentile(images[np.isfinite(images)], _GRAY))


def check_circles(circles: Sequence[Circle], shape: tuple[int, int], one: HalfOnsets):
    """Circles of particles with onsets; ValueError where none is on the frame."""
    known = {onset.particle for onset in one.onsets}
    height, width = shape
    named = [c for c in circles if c.particle in known]
    if not named:
        raise ValueError(
            "One region or more must have the name of a trace, but regions are "
            f"{', '.join(c.particle for c in circles[:5])} … and traces "
            f"{', '.join(sorted(known)[:5])} …; rename them."
        )
    inside = [c for c in named if 0 <= c.x < width and 0 <= c.y < height]
    if not inside:
        raise ValueError(
            f"Regions must lie on the frames of {width} x {height} px, but none of "
            f"{len(named)} does; give them in pixels, from the top left corner."
        )
    return inside


@styled
def onset_map(
    image: Float[np.ndarray, "height width"],
    circles: Sequence[Circle],
    one: HalfOnsets,
    charge: StateOfCharge | None = None,
    *,
    offset: float = 0.0,
) -> Figure:
    """Particles on a frame, filled by when they reacted; hatched where never seen to.

    Bounds on both sides are filled by their middle, with a dashed rim. Ambiguous and
    excluded particles are empty.
    """
    circles = check_circles(circles, image.shape, one)
    by_label = {onset.particle: onset for onset in one.onsets}
    height, width = image.shape
    figure = blank(125, float(np.clip(95 * height / width + 12, 50, 180)))
    axes = figure.add_subplot()
    _show(axes, image)
    times = {c.particle: when(by_label[c.particle]) for c in circles}

    def value_at(time: float) -> float:
        return (time + offset) / HOUR if charge is None else float(charge.at(time))

    values = {label: value_at(time) for label, time in times.items()}
    ends = [value_at(time) for time in (one.half.start, one.half.end)]
    norm = _norm_of(list(values.values()), ends)
    for circle in circles:
        onset, value = by_label[circle.particle], values[circle.particle]
        axes.add_patch(_disc(circle, onset, value, norm))
        _name(axes, circle)
    label = "midpoint (h)" if charge is None else "state of charge at midpoint (–)"
    mappable = matplotlib.cm.ScalarMappable(norm, "viridis")
    figure.colorbar(mappable, ax=axes, label=label, pad=0.02)
    axes.set_title(f"{one.half.name}; hatched: censored; empty: not judged")
    return figure


def _norm_of(values: Sequence[float], ends: Sequence[float]):
    """Colours from the least to the largest value; of one instant, between the ends."""
    shown = [v for v in values if math.isfinite(v)]
    known = [v for v in ends if math.isfinite(v)] + shown
    if not shown or np.ptp(shown) <= _ALIKE * np.ptp(known):
        shown = known or [0.0, 1.0]
    return matplotlib.colors.Normalize(min(shown), max(shown))


def _name(axes, circle: Circle) -> None:
    axes.annotate(
        circle.particle,
        (circle.x, circle.y),
        ha="center",
        va="center",
        color="white",
        fontsize=6,
        path_effects=[withStroke(linewidth=1.2, foreground="black")],
    )


def _disc(circle: Circle, onset, value: float, norm) -> Disc:
    """A particle as its outcome is drawn."""
    place, radius = (circle.x, circle.y), circle.radius
    if math.isfinite(value):
        dashed = "--" if onset.outcome is Outcome.INTERVAL else "-"
        color = matplotlib.colormaps["viridis"](norm(value))
        return Disc(place, radius, fc=color, ec="white", lw=0.8, ls=dashed, alpha=0.85)
    if onset.outcome in (Outcome.RIGHT, Outcome.LEFT):
        face = "0.25" if onset.outcome is Outcome.RIGHT else "0.75"
        return Disc(
            place, radius, fc=face, ec="white", lw=0.8, hatch="/////", alpha=0.8
        )
    return Disc(place, radius, fill=False, ec="white", lw=0.8, ls=":")


@styled
def montage(
    film,
    circles: Sequence[Circle],
    one: HalfOnsets,
    charge: StateOfCharge | None = None,
    *,
    num_frames: int = 10,
    offset: float = 0.0,
    kept: Bool[np.ndarray, " frame"] | None = None,
) -> Figure:
    """Frames at equal steps of a half cycle, with circles and times (Figs. 2 and 3).

    Args:
        film: with `time` (frame,) [s], `shape` and `frame(k)`.
        circles: of the particles; solid once they have reacted.
        one: the half cycle.
        charge: for equal steps of the state of charge; by default of time.
        num_frames: that are shown.
        offset: what the cycler's clock reads when the film's reads 0 [s].
        kept: the frames that may be shown; by default all.
    """
    circles = check_circles(circles, film.shape, one)
    shown = _evenly(film, one, charge, num_frames, kept)
    figure, panels = _panels(len(shown), film.shape)
    images = [np.asarray(film.frame(int(k)), float) for k in shown]
    limits = _limits(np.stack(images))
    colors = colors_of(one)
    reacted = {onset.particle: when(onset) for onset in one.onsets}
    reacted |= {onset.particle: onset.before for onset in one.of(Outcome.LEFT)}
    for axes, k, image in zip(panels, shown, images, strict=False):
        time = float(film.time[k])
        _show(axes, image, limits)
        for circle in circles:
            over = reacted[circle.particle] <= time
            axes.add_patch(_ring(circle, colors[circle.particle], over))
        state = "" if charge is None else f", SOC {float(charge.at(time)):.2f}"
        axes.set_title(f"{(time + offset) / HOUR:.2f} h{state}", fontsize=7)
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def _panels(count: int, shape):
    """A figure with a panel for each of `count` frames of a shape, five in a row."""
    columns = min(5, count)
    rows = -(-count // columns)
    tall = 168 / columns * shape[0] / shape[1] + 6.5
    figure = blank(170, float(np.clip(rows * tall, 30, 220)))
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def _ring(circle: Circle, color, over: bool) -> Disc:
    """A circle around a particle, solid once it has reacted."""
    return Disc(
        (circle.x, circle.y),
        circle.radius,
        fill=False,
        ec=color,
        lw=1.1,
        ls="-" if over else "--",
        path_effects=[withStroke(linewidth=1.8, foreground="0.9")],
    )


def _frames_in(film, one: HalfOnsets, kept=None):
    """The frames of a half cycle that are kept; ValueError where it has none."""
    inside = one.half.holds(np.asarray(film.time))
    inside = np.flatnonzero(inside if kept is None else inside & kept)
    if not inside.size:
        raise ValueError(
            f"The film must have a frame in {one.half.name}, but has none; correct the "
            "clock offset."
        )
    return inside


def _evenly(film, one: HalfOnsets, charge, count: int, kept):
    """Frames of a half cycle at equal steps, of those that are kept."""
    inside = _frames_in(film, one, kept)
    along = np.asarray(film.time)[inside]
    along = along if charge is None else charge.at(along)
    good = np.isfinite(along)
    inside, along = inside[good], along[good]
    wanted = np.linspace(along[0], along[-1], count)
    nearest = np.argmin(np.abs(along[:, None] - wanted), axis=0)
    return inside[np.unique(nearest)]


def lines_through(
    circle: Circle, angle: float = 0.0, reach: float = 1.3
) -> Float[np.ndarray, "2 place"]:
    """(y, x) of places [px] on a line through a particle's centre, some 1 px apart.

    Args:
        circle: the particle.
        angle: from the x axis, downwards [rad].
        reach: of the line on each side, in radii.
    """
    half = reach * circle.radius
    along = np.linspace(-half, half, max(int(2 * half) + 1, 5))
    return np.stack(
        [circle.y + along * math.sin(angle), circle.x + along * math.cos(angle)]
    )


@styled
def kymograph(
    film,
    circle: Circle,
    one: HalfOnsets,
    *,
    angle: float | None = None,
    pixel: float | None = None,
    offset: float = 0.0,
    most_frames: int = 400,
    kept: Bool[np.ndarray, " frame"] | None = None,
) -> Figure:
    """Intensity along a line through a particle, or over its radius, against time.

    Args:
        film: with `time` (frame,) [s], `shape` and `frame(k)`.
        circle: the particle.
        one: the half cycle.
        angle: of the line from the x axis [rad]; None takes rings about the centre.
        pixel: size of a pixel [um], where known.
        offset: what the cycler's clock reads when the film's reads 0 [s].
        most_frames: that are read, evenly chosen.
        kept: the frames that are shown, others being left white; by default all.
    """
    inside = _frames_in(film, one)
    inside = inside[:: -(-inside.size // most_frames)]
    place, profiles = _profiles(film, circle, inside, angle)
    if kept is not None:
        profiles[~kept[inside]] = np.nan
    figure = blank(125, 75)
    axes = figure.add_subplot()
    hours = (np.asarray(film.time)[inside] + offset) / HOUR
    painted = axes.pcolormesh(
        *(hours, place * (pixel or 1.0), profiles.T), cmap="cividis", shading="nearest"
    )
    title = f"particle {circle.particle}, {one.half.name}"
    for onset in one.of(Outcome.EXACT):
        if onset.particle == circle.particle:
            title += "; lines: 10 % (dotted) and 50 % of its rise"
            for time, style in ((onset.onset, ":"), (onset.midpoint, "-")):
                at = (time + offset) / HOUR
                axes.axvline(at, color=_LINES, lw=0.9, ls=style)
    axes.set_xlabel("time (h)")
    what = "distance from centre" if angle is None else "place along the line"
    axes.set_ylabel(f"{what} ({'px' if pixel is None else 'µm'})")
    axes.set_title(title)
    figure.colorbar(painted, ax=axes, label="intensity (of scale)", pad=0.02)
    return figure


def _profiles(film, circle: Circle, frames, angle):
    """(places [px], (frame, place) intensities) along a line or over rings; NaN where
    nothing of them is on the frame.
    """
    if angle is not None:
        line = lines_through(circle, angle)
        place = np.hypot(*(line - [[circle.y], [circle.x]]))
        place[: len(place) // 2] *= -1
        return place, np.array([_values(film.frame(int(k)), line) for k in frames])
    angles = np.linspace(0, 2 * math.pi, max(int(2 * math.pi * circle.radius), 8))
    place = np.arange(0.0, 1.3 * circle.radius, 1.0)
    rings = np.stack(
        [
            circle.y + place[:, None] * np.sin(angles),
            circle.x + place[:, None] * np.cos(angles),
        ]
    )
    rows = np.array([_values(film.frame(int(k)), rings) for k in frames])
    seen = np.isfinite(rows)
    total, count = np.where(seen, rows, 0.0).sum(axis=-1), seen.sum(axis=-1)
    return place, np.divide(total, count, np.full(total.shape, np.nan), where=count > 0)


def _values(image, places):
    """Brightness at places (y, x) between pixels; NaN outside of the frame."""
    return map_coordinates(np.asarray(image, float), places, order=1, cval=np.nan)
