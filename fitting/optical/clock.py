"""The offset between the film's clock and the cycler's, by the hinges of intensity.

Where the current turns or stops, the mean intensity of the particles changes its slope.
A first offset is where intensity and charge agree best; then `hinges` tells the offset
at every hinge that the film shows, and its deviation. Offset and drift are medians of
those of hinges and of pairs of them, which count as their deviations have it.

Source: the median slope of the drift after Theil (1950) and Sen (1968); degrees of
freedom after Satterthwaite, Biometrics Bull. 2 (1946) 110.
"""

import dataclasses
import math

import numpy as np
import scipy.special
from jaxtyping import Float

from ..recording import Recording
from ..wording import counted
from . import hinges
from .hinges import Charge
from .traces import Traces

_SEEN_SHARE = 0.9  # of the frames, in which a particle must be valid to be averaged
_COARSE = 400  # offsets that are tried at first, at least
_LEAST_AGREEMENT = 0.5  # correlation of intensity and charge
_NEARLY_AS_GOOD = 0.02  # in correlation, of another offset
_MEDIAN_COST = 1.25  # standard error of a median over that of a mean
_PER_UNIFORM = 1 / math.sqrt(12)  # standard deviation of a uniform law of width 1
_LEAST_SHARE = 1e-3  # of an interval between frames, that a deviation is at least
_LEAST_FOR_DRIFT = 3
_REMEDY = "give the offset (--clock-offset-s), in Python `near` and `within`"
_SURE = 0.975  # of Student's law, beyond which a drift is sure


@dataclasses.dataclass(frozen=True)
class Offset:
    """What is added to a time of the film to have the cycler's.

    Attributes:
        seconds: at `reference` on the film's clock [s].
        sd: its standard deviation [s].
        drift: by which the offset grows per s of the film; NaN where it cannot be told.
        count: hinges that it was found from.
        drift_sd: standard deviation of the drift.
        drift_freedom: degrees of freedom of that.
        reference: [s] on the film's clock.
        hinges: (count, 3) instant on the cycler's clock, offset, its deviation [s].
        notes: what could not be told and what the user may give.
    """

    seconds: float
    sd: float
    drift: float
    count: int
    drift_sd: float = math.nan
    drift_freedom: float = math.inf
    reference: float = 0.0
    hinges: tuple[tuple[float, float, float], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sure_drift(self) -> float:
        """The drift, 0 where it may well be by chance (5 % or more, Student's law)."""
        return _sure(self.drift, self.drift_sd, self.drift_freedom)

    def on_cycler(self, time: Float[np.ndarray, " frame"]):
        """Times of the film [s] on the cycler's clock, by the drift that is sure."""
        away = np.asarray(time) - self.reference
        return time + self.seconds + self.sure_drift * away

    def sd_at(self, time: float) -> float:
        """Standard deviation of the offset at a time of the film [s]."""
        if not self.sure_drift:
            return self.sd
        return math.hypot(self.sd, self.drift_sd * (time - self.reference))


def clock_offset(
    traces: Traces,
    recording: Recording,
    *,
    near: float | None = None,
    within: float | None = None,
) -> Offset:
    """The offset at which the mean intensity follows the current.

    The intensity is taken to rise while the cell charges.

    Args:
        traces: of the particles, on the film's clock.
        recording: with a current, on the cycler's clock.
        near: an offset that is known roughly [s]; with it, `within`.
        within: by how much it may be wrong [s].

    Raises:
        ValueError: where the offset cannot be told, saying what to give instead.
    """
    if recording.current is None:
        raise ValueError(
            "The clock needs a recording with a current, but it has none; give the "
            "offset of the film's clock and its deviation."
        )
    if (near is None) != (within is None) or (within is not None and within <= 0):
        raise ValueError(
            "`near` and a positive `within` must be given together, in s, or neither."
        )
    frames, rows = traces.time, _rows(traces)
    interval = float(np.median(np.diff(frames)))
    charge = Charge.of(recording, 2 * hinges.LEAST_FRAMES * interval)
    guess = _coarse(frames, rows.mean(axis=0), charge, near, within)
    shown = [
        k for k in range(len(charge.hinges)) if hinges.shown(frames, charge, k, guess)
    ]
    found = [hinges.hinge(frames, rows, charge, k, guess) for k in shown]
    known = np.array([hinge for hinge in found if hinge is not None])
    if not known.size:
        raise _unknown(len(shown))
    return _combined(known, min(len(rows), hinges.GROUPS) - 1, interval)


def _unknown(shown: int) -> ValueError:
    """Why no hinge of those that a film shows tells the offset."""
    remedy = (
        "give the offset of the film's clock and its deviation (--clock-offset-s, "
        "--clock-sd-s)"
    )
    if not shown:
        return ValueError(
            "The film must show a reversal or the start of a rest with "
            f"{hinges.LEAST_FRAMES} frames or more on each side, but shows none; "
            f"{remedy}."
        )
    return ValueError(
        "The mean intensity must tell when the current turned, but does not at "
        f"{counted(shown, 'reversal')} that the film shows, as where few particles "
        f"react one after another; {remedy}."
    )


def _rows(traces: Traces) -> Float[np.ndarray, "particle frame"]:
    """Each trace from 0 to 1, its gaps bridged by lines.

    Particles that are seen in too few frames would bend the mean where they leave it.
    """
    count = len(traces.time)
    if count < 2 * hinges.LEAST_FRAMES:
        raise ValueError(
            f"The clock needs {2 * hinges.LEAST_FRAMES} frames or more, but there are "
            f"{count}; give the offset of the film's clock and its deviation."
        )
    share = traces.valid.mean(axis=1)
    used = share >= min(_SEEN_SHARE, share.max())
    rows = []
    for trace, valid in zip(traces.intensity[used], traces.valid[used], strict=True):
        if valid.any() and np.ptp(trace[valid]) > 0:
            whole = np.interp(traces.time, traces.time[valid], trace[valid])
            rows.append((whole - whole.min()) / np.ptp(whole))
    if not rows:
        raise ValueError(
            "The intensity must change, but every trace is constant; the clock cannot "
            "be told from it."
        )
    return np.array(rows)


def _coarse(frames, mean, charge: Charge, near, within) -> float:
    """The offset at which intensity and charge correlate best [s]."""
    span = frames[-1] - frames[0]
    covered = min(span, charge.time[-1] - charge.time[0])
    if near is None:
        low = charge.time[0] - frames[-1] + 0.5 * covered
        high = charge.time[-1] - frames[0] - 0.5 * covered
    else:
        low, high = near - within, near + within
    step = min(2 * float(np.median(np.diff(frames))), max((high - low) / _COARSE, 1e-3))
    offsets = np.linspace(low, high, max(int((high - low) / step) + 1, 3))
    scores = _agreement(frames, mean, charge, offsets)
    best = int(np.argmax(scores))
    if -scores[scores > -1.0].min(initial=0.0) > scores[best] + _NEARLY_AS_GOOD:
        raise ValueError(
            "The mean intensity must rise while the cell charges, but falls; read the "
            f"traces as inverted (--inverted), or {_REMEDY}."
        )
    if not scores[best] > _LEAST_AGREEMENT:
        raise ValueError(
            "The mean intensity must follow the charge, but agrees with it by "
            f"{max(scores[best], -1.0):.2g} at best (1 is perfect); check the contrast "
            "and the half cycles, or give the offset and its deviation."
        )
    _check_alone(offsets, scores, best)
    return float(offsets[best])


def _agreement(frames, mean, charge: Charge, offsets):
    """(offset,) correlation of intensity and charge in frames inside the recording."""
    moved = frames + offsets[:, None]
    inside = (moved >= charge.time[0]) & (moved <= charge.time[-1])
    count = inside.sum(axis=1)
    passed, seen = charge.at(moved), np.broadcast_to(mean, moved.shape)
    span = np.ptp(np.where(inside, passed, passed[:, :1]), axis=1)

    def centred(values):
        total = np.sum(np.where(inside, values, 0.0), axis=1, keepdims=True)
        return np.where(inside, values - total / np.maximum(count, 1)[:, None], 0.0)

    x, y = centred(passed), centred(seen)
    size = np.sqrt(np.sum(x**2, axis=1) * np.sum(y**2, axis=1))
    # A part of the film that shows no hinge agrees at any offset: prefer the whole.
    share = span / np.ptp(charge.passed) * count / len(frames)
    score = np.sum(x * y, axis=1) / np.where(size > 0, size, 1.0) * share**0.1
    return np.where((count >= 2 * hinges.LEAST_FRAMES) & (size > 0), score, -1.0)


def _check_alone(offsets, scores, best: int) -> None:
    """Raises ValueError where another offset, beyond a worse one, is as good."""
    for step, side in ((1, scores[best:]), (-1, scores[best::-1])):
        risen = side - np.minimum.accumulate(side)  # above the worst on the way
        rivals = (side > scores[best] - _NEARLY_AS_GOOD) & (risen > _NEARLY_AS_GOOD)
        if rivals.any():
            apart = int(np.flatnonzero(rivals)[np.argmax(side[rivals])])
            raise ValueError(
                f"The offset of the clocks may be {offsets[best]:.0f} s, but as well "
                f"{offsets[best + step * apart]:.0f} s, for the half cycles are alike; "
                f"{_REMEDY}."
            )


def _combined(found, freedom: int, interval: float) -> Offset:
    """The offset of all hinges, with a drift where there are enough.

    Args:
        found: (hinge, 3) instant, offset, deviation [s].
        freedom: degrees of freedom of the deviations.
        interval: between frames [s].
    """
    instants, offsets, sds = found.T
    sds = np.maximum(sds, _LEAST_SHARE * interval)
    weights, count, notes = sds**-2, len(found), []
    middle = float(np.average(instants, weights=weights))
    drift, drift_sd, drift_freedom = math.nan, math.nan, math.inf
    if count >= _LEAST_FOR_DRIFT:
        drift, drift_sd, drift_freedom = _drift(instants, offsets, sds, freedom)
    else:
        notes.append(
            "The drift of the film's clock cannot be told from "
            f"{counted(count, 'reversal')}; three are needed, or give the times of "
            "frames from a common clock."
        )
    sure = _sure(drift, drift_sd, drift_freedom)
    flat = offsets - sure * (instants - middle)
    seconds = _median(flat, weights)
    wider = _excess((flat - seconds) / sds, count - 1 - bool(sure))
    cost = _MEDIAN_COST if count > 2 else 1.0
    each = cost * wider / math.sqrt(float(np.sum(weights)))
    return Offset(
        seconds,
        math.hypot(each, _PER_UNIFORM * interval),
        drift,
        count,
        drift_sd,
        drift_freedom,
        reference=middle - seconds,
        hinges=tuple(tuple(map(float, row)) for row in found),
        notes=tuple(notes),
    )


def _drift(instants, offsets, sds, freedom: int) -> tuple[float, float, float]:
    """(median slope, its deviation, degrees of freedom of that).

    Those of the hinges' own deviations hold while these explain how the hinges scatter
    about a line; as far as they do not, those of that scatter (after Welch and
    Satterthwaite).
    """
    first, second = np.triu_indices(len(instants), 1)
    apart = instants[second] - instants[first]
    slopes = (offsets[second] - offsets[first]) / apart
    drift = _median(slopes, apart**2 / (sds[first] ** 2 + sds[second] ** 2))
    weights, left_over = sds**-2, len(instants) - 2
    away = instants - np.average(instants, weights=weights)
    flat = offsets - drift * away
    wider = _excess((flat - _median(flat, weights)) / sds, left_over)
    # Of three hinges this slope is that of least squares, of many nearly as good.
    sd = wider / math.sqrt(float(np.sum(weights * away**2)))
    own = 1 / max(freedom, left_over)
    return drift, sd, wider**4 / (own + (wider**2 - 1) ** 2 / left_over)


def _sure(drift: float, sd: float, freedom: float) -> float:
    """The drift, 0 where it may well be by chance."""
    sure = abs(drift) > scipy.special.stdtrit(freedom, _SURE) * sd
    return drift if sure else 0.0  # NaN is not sure


def _excess(deviates, freedom: int) -> float:
    """By how much values scatter more than their deviations tell, at least 1."""
    if freedom < 1:
        return 1.0
    return max(1.0, math.sqrt(float(np.sum(deviates**2)) / freedom))


def _median(values, weights) -> float:
    """Value with half of the weight on each side; between two, by their weights."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    below = np.cumsum(weights) - 0.5 * weights
    return float(np.interp(0.5 * np.sum(weights), below, values))
