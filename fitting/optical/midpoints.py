r"""Midpoint and duration of a rise whose shape is not known, with honest deviations.

The rise is one of `shapes.SHAPES`, each as likely as the others beforehand, between two
slopes, both of which may bend: what brightens ever faster before its rise would else be
a part of it. Given midpoint and duration the model is linear, so its other six
parameters are integrated out in closed form, and midpoint and logarithm of duration
over a grid that closes in on where the posterior is. What results is averaged over the
shapes by their evidence. A jump between two frames thus comes out as likely anywhere
between them; no term for the spacing of frames is added by hand.

Source: Hoeting et al., "Bayesian model averaging", *Stat. Sci.* 14, 382 (1999).
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float

from .jump_fit import NUM_JUMP, WIDTHS, Jump
from .shapes import ENDS, SHAPES, hinge

_REACH = 6.0  # durations on each side of the midpoint that are looked at, and
_LEAST_REACH = 90.0  # spacings of frames at least: slopes hold nearby only
_FINE = 40  # frames in a duration; more are averaged, which loses nothing
_NUM_TIMES, _NUM_DURATIONS = 17, 9
_LEAST_STAGES, _MOST_STAGES = 3, 8
_NEARBY = 3.0  # durations, or steps of frames, on each side of a first grid at most
_WIDE = 4.0  # deviations on each side that the grid covers
_COARSE = 1.5  # deviations between its points at most
_LEAST_DURATION, _STRETCH = 0.05, 1.2  # in spacings; in natural logarithms
# Weak priors of the bends of the later and earlier slope, in ranges over all frames
# squared: a rise that begins ever faster is common, and one that goes on bends little.
_BENDS = (0.25, 1.0)


@dataclasses.dataclass(frozen=True)
class Rise:
    """Instants and deviations [s], averaged over shapes.

    Attributes:
        midpoint, onset, completion: 50, 10 and 90 % of the rise.
        duration: from 10 to 90 %.
        midpoint_sd, onset_sd, completion_sd, duration_sd: their deviations.
        inflation: of the noise's variance by what no shape explains.
        later: what the slope after the rise, as it sets in, adds to that before it in
            one duration, in amplitudes.
        shares: probability of each of `SHAPES`.
    """

    midpoint: float
    onset: float
    completion: float
    duration: float
    midpoint_sd: float
    onset_sd: float
    completion_sd: float
    duration_sd: float
    inflation: float
    later: float
    shares: Float[np.ndarray, " shape"]


@dataclasses.dataclass(frozen=True)
class _Frames:
    """Frames near a jump, divided by their noise; what the grid is evaluated on."""

    time: Float[np.ndarray, " frame"]
    trace: Float[np.ndarray, " frame"]
    weight: Float[np.ndarray, " frame"]
    spacing: float
    ridge: Float[np.ndarray, " 6"]


def find_rise(
    time: Float[np.ndarray, " frame"],
    trace: Float[np.ndarray, " frame"],
    noise: float,
    jump: Jump,
) -> Rise:
    """Midpoint and duration near a jump.

    Args:
        time: of the valid frames, increasing [s].
        trace: at them.
        noise: standard deviation, in units of the trace.
        jump: where to look, by `jump_fit.fit_jump`.
    """
    frames = _near(time, trace, noise, jump)
    # The fit's deviation of a jump between two frames is huge and tells nothing.
    gap = _gap(frames, jump.midpoint)
    wide = max(0.35 * jump.duration, 0.75 * gap)
    nearby = _NEARBY * max(jump.duration, gap)
    spread = max(wide, min(6 * jump.midpoint_sd, nearby)), _STRETCH
    centre = (jump.midpoint, math.log(max(jump.duration, frames.spacing)))
    grids = [_close_in(shape, frames, centre, spread, 1.0) for shape in SHAPES]
    best = max(range(len(SHAPES)), key=lambda k: grids[k].height)
    inflation, later = _beside(SHAPES[best], frames, grids[best])
    if inflation > 1.0:
        grids = [_close_in(s, frames, centre, spread, inflation) for s in SHAPES]
    return _averaged(grids, inflation, later)


def _near(time, trace, noise, jump: Jump) -> _Frames:
    """The frames in reach of a jump, averaged in blocks where they are many."""
    spacing = float(np.median(np.diff(time)))
    reach = max(_REACH * jump.duration, _LEAST_REACH * spacing)
    kept = np.abs(time - jump.midpoint) <= reach
    t, y = time[kept], trace[kept]
    weight = np.sqrt(jump.trust[kept]) / noise
    block = int(jump.duration / (_FINE * spacing))
    if block > 1:
        edges = np.arange(0, len(t), block)
        squares = np.add.reduceat(weight**2, edges)
        t, y = (np.add.reduceat(weight**2 * v, edges) / squares for v in (t, y))
        weight = np.sqrt(squares)
    ridge = 1 / (np.array([*WIDTHS, *_BENDS]) * float(np.ptp(y))) ** 2
    return _Frames(t, y, weight, spacing, ridge)


def _gap(frames: _Frames, midpoint: float) -> float:
    """The widest step between the frames around an instant."""
    after = int(np.searchsorted(frames.time, midpoint))
    first = min(max(after - 2, 0), len(frames.time) - 2)
    return float(np.max(np.diff(frames.time[first : after + 2])))


@dataclasses.dataclass(frozen=True)
class _Grid:
    """Posterior of one shape on a grid of midpoints and log durations."""

    midpoint: Float[np.ndarray, " point"]
    log_duration: Float[np.ndarray, " point"]
    share: Float[np.ndarray, " point"]
    height: float  # largest log density
    evidence: float


def _close_in(shape, frames: _Frames, centre, spread, inflation: float) -> _Grid:
    """A grid that covers where the posterior is, found in a few stages."""
    middle, half = np.array(centre), np.array(spread)
    least = math.log(_LEAST_DURATION * frames.spacing)
    most = math.log(frames.time[-1] - frames.time[0])
    for stage in range(_MOST_STAGES):
        low = middle - half
        low[1] = np.clip(low[1], least, most - 0.1)
        high = np.maximum(middle + half, low + np.array([0.0, 0.1]))
        high[1] = min(high[1], most)
        axes = np.linspace(low[0], high[0], _NUM_TIMES)
        others = np.linspace(low[1], high[1], _NUM_DURATIONS)
        t, d = (a.ravel() for a in np.meshgrid(axes, others, indexing="ij"))
        density = _log_density(shape, frames, t, np.exp(d)) / inflation
        height = float(np.max(density))
        share = np.exp(density - height)
        cell = math.log((axes[1] - axes[0]) * (others[1] - others[0]))
        evidence = height + math.log(np.sum(share)) + cell
        share /= np.sum(share)
        step = np.array([axes[1] - axes[0], others[1] - others[0]])
        middle = np.array([share @ t, share @ d])
        away = np.stack([t - middle[0], d - middle[1]])
        deviation = np.sqrt(away**2 @ share)
        closer = _WIDE * deviation + step / (1 + stage)
        half = np.minimum(half, closer) if stage == 0 else closer
        if stage + 1 >= _LEAST_STAGES and np.all(step < _COARSE * deviation):
            break
    return _Grid(t, d, share, height, evidence)


def _log_density(shape, frames: _Frames, midpoint, duration):
    """Of midpoints and durations, the linear part integrated out: (point,)."""
    normal, right, total = _normal(shape, frames, midpoint, duration)
    solved = np.linalg.solve(normal, right[..., None])[..., 0]
    squares = total - np.einsum("pk,pk->p", right, solved)
    density = -0.5 * squares - 0.5 * np.linalg.slogdet(normal)[1]
    return np.where(solved[:, 2] > 0, density, -1e300)


def _normal(shape, frames: _Frames, midpoint, duration):
    """Normal equations of level, slope, amplitude, later slope and bends at points."""
    columns = _columns(shape, frames, midpoint, duration)
    weighed = frames.weight * frames.trace
    normal = columns @ columns.transpose(0, 2, 1) + np.diag(frames.ridge)
    return normal, columns @ weighed, float(weighed @ weighed)


def _columns(shape, frames: _Frames, midpoint, duration):
    """(point, 6, frame), divided by the noise."""
    span = frames.time[-1] - frames.time[0]
    x = (frames.time - frames.time[0]) / span - 0.5
    w = (frames.time - midpoint[:, None]) / duration[:, None]
    columns = np.empty((len(midpoint), 6, len(x)))
    columns[:, 0], columns[:, 1] = frames.weight, frames.weight * x
    columns[:, 2] = shape(w)
    columns[:, 3] = hinge(w) * (duration / span)[:, None]
    columns[:, 4] = columns[:, 3] ** 2
    columns[:, 5] = (hinge(-w) * (duration / span)[:, None]) ** 2
    columns[:, 2:] *= frames.weight
    return columns


def _beside(shape, frames: _Frames, grid: _Grid) -> tuple[float, float]:
    """(inflation, later slope) of a `Rise`, where a grid is highest.

    Residuals exceed white noise in size and in likeness of neighbours; only what is
    beyond chance (two deviations) counts.
    """
    best = int(np.argmax(grid.share))
    at = grid.midpoint[best : best + 1], np.exp(grid.log_duration[best : best + 1])
    normal, right, _ = _normal(shape, frames, *at)
    columns = _columns(shape, frames, *at)[0]
    solved = np.linalg.solve(normal[0], right[0])
    rest = frames.weight * frames.trace - solved @ columns
    count = len(rest)
    scatter = float(np.sum(rest**2)) / max(count - NUM_JUMP, 1)
    scatter = scatter if scatter > 1 + 2 * math.sqrt(2 / count) else 1.0
    alike = float(rest[1:] @ rest[:-1]) / max(float(rest @ rest), 1e-300)
    alike = min(alike, 2 / 3) if alike > 2 / math.sqrt(count) else 0.0
    span = frames.time[-1] - frames.time[0]
    later = solved[3] / solved[2] * at[1][0] / span
    return scatter * (1 + alike) / (1 - alike), float(later)


def _averaged(grids, inflation: float, later: float) -> Rise:
    """Moments over all points of all shapes, by the shapes' evidence."""
    evidence = np.array([grid.evidence for grid in grids])
    shares = np.exp(evidence - evidence.max())
    shares /= shares.sum()
    share = np.concatenate([s * g.share for s, g in zip(shares, grids, strict=True)])
    middle = np.concatenate([grid.midpoint for grid in grids])
    duration = np.exp(np.concatenate([grid.log_duration for grid in grids]))
    ends = np.repeat(ENDS, [len(grid.share) for grid in grids], axis=0)
    found = {}
    values = (
        ("midpoint", middle),
        ("onset", middle + ends[:, 0] * duration),
        ("completion", middle + ends[:, 1] * duration),
        ("duration", duration),
    )
    for name, value in values:
        mean = float(share @ value)
        found[name] = mean
        found[f"{name}_sd"] = math.sqrt(float(share @ (value - mean) ** 2))
    return Rise(**found, inflation=inflation, later=later, shares=shares)
