r"""The offset between the film's clock and the cycler's, by the hinges of intensity.

Where the current turns or stops, the mean intensity of the particles changes its slope.
A first offset is where intensity and charge agree best; then every hinge is fitted by
two lines in the charge passed (in time where the cell rests), joined at the instant at
which the recording says that the current changed, moved by the offset sought:

$$ I(t) = a + b\,q^-(t + \delta) + c\,q^+(t + \delta) + r\,\ell_\tau(t + \delta). $$
Light shows surfaces, which are ahead of their particles' means by what a current of
late has left there: $\ell$ is the current smoothed over a time $\tau$, as a sphere or
a film does. Without it the hinge would come out where the two lines meet, early by
minutes. The offset is averaged over lags, and over whether there is one.

Source: two joined lines after Hudson, J. Am. Stat. Assoc. 61 (1966) 1097; the median
slope of the drift after Theil (1950) and Sen (1968); lead of a sphere's surface after
Crank, *The Mathematics of Diffusion*, 2nd ed. (1975), section 6.3.3.
"""

import dataclasses
import itertools
import math

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from ..recording import Recording
from ..wording import counted
from .traces import Traces

_REST_SHARE = 0.01  # of the largest current, below which the cell rests
_LEAST_FRAMES = 6  # on each side of a hinge
_WINDOW_SHARE = 0.3  # of a run beside a hinge, that its line is drawn over
_REST_WINDOW = 0.9  # the same of a rest, in which nothing bends
_SEEN_SHARE = 0.9  # of the frames, in which a particle must be valid to be averaged
_COARSE = 400  # offsets that are tried at first, at least
_LEAST_AGREEMENT = 0.5  # correlation of intensity and charge
_NEARLY_AS_GOOD = 0.02  # in correlation, of another offset
_NUM_OFFSETS, _NUM_LAGS, _STAGES = 41, 5, 3
_WIDE = 5.0  # deviations on each side that offsets cover
_SPHERE = (4.493409, 7.725252, 10.904122, 14.066194, 17.220755)  # tan x = x
_WITHOUT = 0.2  # probability beforehand that surfaces are not ahead
_UNLIKE = 1.2  # widens deviations: no real lead is quite that of a sphere or a film
_MAD = 1.4826  # per standard deviation of a normal law
_MEDIAN_COST = 1.25  # standard error of a median over that of a mean
_PER_UNIFORM = 1 / math.sqrt(12)  # standard deviation of a uniform law of width 1
_LEAST_FOR_DRIFT = 3


@dataclasses.dataclass(frozen=True)
class Offset:
    """What is added to a time of the film to have the cycler's.

    Attributes:
        seconds: at `reference` on the film's clock [s].
        sd: its standard deviation [s].
        drift: by which the offset grows per s of the film; NaN where it cannot be told.
        count: hinges that it was found from.
        drift_sd: standard deviation of the drift.
        reference: [s] on the film's clock.
        hinges: (count, 3) instant on the cycler's clock, offset, its deviation [s].
        notes: what could not be told and what the user may give.
    """

    seconds: float
    sd: float
    drift: float
    count: int
    drift_sd: float = math.nan
    reference: float = 0.0
    hinges: tuple[tuple[float, float, float], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sure_drift(self) -> float:
        """The drift, 0 where it is within twice its deviation."""
        sure = abs(self.drift) > 2 * self.drift_sd
        return self.drift if sure else 0.0  # NaN is not sure

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
    frames, mean = _mean(traces)
    shortest = 2 * _LEAST_FRAMES * float(np.median(np.diff(frames)))
    charge = _Charge.of(recording, shortest)
    guess = _coarse(frames, mean, charge, near, within)
    found = [
        hinge
        for k in range(len(charge.hinges))
        if (hinge := _hinge(frames, mean, charge, k, guess)) is not None
    ]
    if not found:
        raise ValueError(
            "The film must show a reversal or the start of a rest with "
            f"{_LEAST_FRAMES} frames or more on each side, but shows none; give the "
            "offset of the film's clock and its deviation."
        )
    return _combined(np.array(found), float(np.median(np.diff(frames))))


def _mean(traces: Traces):
    """(times, mean intensity): each trace from 0 to 1, its gaps bridged by lines.

    Particles that are seen in too few frames would bend the mean where they leave it.
    """
    count = len(traces.time)
    if count < 2 * _LEAST_FRAMES:
        raise ValueError(
            f"The clock needs {2 * _LEAST_FRAMES} frames or more, but there are "
            f"{count}; give the offset of the film's clock and its deviation."
        )
    share = traces.valid.mean(axis=1)
    used = share >= min(_SEEN_SHARE, share.max())
    total, number = np.zeros(count), 0
    for trace, valid in zip(traces.intensity[used], traces.valid[used], strict=True):
        if valid.any() and np.ptp(trace[valid]) > 0:
            whole = np.interp(traces.time, traces.time[valid], trace[valid])
            total += (whole - whole.min()) / np.ptp(whole)
            number += 1
    if not number:
        raise ValueError(
            "The intensity must change, but every trace is constant; the clock cannot "
            "be told from it."
        )
    return traces.time, total / number


@dataclasses.dataclass(frozen=True)
class _Charge:
    """Charge passed [C] at instants [s], and where the current turns or stops.

    A hinge is (start, end, run before, run after): the current is that of neither run
    between start and end; runs are (start, end, sign).
    """

    time: np.ndarray
    passed: np.ndarray
    hinges: tuple

    @staticmethod
    def of(recording: Recording, shortest: float) -> "_Charge":
        time, current = recording.time, recording.current
        size = np.max(np.abs(current))
        current = np.where(np.abs(current) < _REST_SHARE * size, 0.0, current)
        steps = 0.5 * (current[1:] + current[:-1]) * np.diff(time)
        passed = np.concatenate([[0.0], np.cumsum(steps)])
        sign = np.sign(current)
        edges = np.flatnonzero(np.diff(sign)) + 1
        starts = [0, *edges]
        ends = [*edges, len(time) - 1]
        # The current changes between two rows; a cycler writes them close together.
        at = [time[0], *(0.5 * (time[edges - 1] + time[edges])), time[-1]]
        runs = [
            (at[k], at[k + 1], sign[starts[k]])
            for k in range(len(starts))
            if ends[k] > starts[k]
        ]
        return _Charge(time, passed, tuple(_hinges(runs, shortest)))

    def at(self, time):
        """Charge [C] at instants, constant beyond the recording."""
        return np.interp(time, self.time, self.passed)

    def ahead(self, time, lag: float, modes):
        """Lead of surfaces over their means, in any unit.

        Args:
            time: instants [s].
            lag: of the slowest mode [s].
            modes: eigenvalues; a mode's lag and share go with the inverse square.
        """
        count = int(4 * (self.time[-1] - self.time[0]) / lag) + 2
        grid = np.linspace(self.time[0], self.time[-1], count)
        step = grid[1] - grid[0]
        flow = np.diff(np.interp(grid, self.time, self.passed)) / step
        lead = np.zeros(count)
        for mode in modes:
            decay = math.exp(-step / lag * (mode / modes[0]) ** 2)
            lead[1:] += lfilter([1 - decay], [1, -decay], flow) / mode**2
        return np.interp(time, grid, lead)


def _hinges(runs, shortest: float):
    """Changes of sign between runs; shorter runs [s] between two others are gaps."""
    long = [run for run in runs if run[1] - run[0] >= shortest]
    for before, after in itertools.pairwise(long):
        if before[2] != after[2]:
            yield before[1], after[0], before, after


def _coarse(frames, mean, charge: _Charge, near, within) -> float:
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
            "traces as inverted (--inverted), or give `near` and `within`, or the "
            "offset (--clock-offset-s)."
        )
    if not scores[best] > _LEAST_AGREEMENT:
        raise ValueError(
            "The mean intensity must follow the charge, but agrees with it by "
            f"{max(scores[best], -1.0):.2g} at best (1 is perfect); check the contrast "
            "and the half cycles, or give the offset and its deviation."
        )
    _check_alone(offsets, scores, best)
    return float(offsets[best])


def _agreement(frames, mean, charge: _Charge, offsets):
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
    return np.where((count >= 2 * _LEAST_FRAMES) & (size > 0), score, -1.0)


def _check_alone(offsets, scores, best: int) -> None:
    """Raises ValueError where another offset, beyond a worse one, is as good."""
    for side in (scores[best:], scores[best::-1]):
        risen = side - np.minimum.accumulate(side)  # above the worst on the way
        rivals = (side > scores[best] - _NEARLY_AS_GOOD) & (risen > _NEARLY_AS_GOOD)
        if rivals.any():
            apart = int(np.flatnonzero(rivals)[np.argmax(side[rivals])])
            step = offsets[1] - offsets[0]
            raise ValueError(
                f"The offset of the clocks may be {offsets[best]:.4g} s or "
                f"{apart * step:.4g} s away from it, for the half cycles are alike; "
                "give `near` and `within`, or the offset (--clock-offset-s)."
            )


def _hinge(frames, mean, charge: _Charge, number: int, guess: float):
    """(instant, offset, deviation) of a hinge; None where the film does not show it."""
    start, end, before, after = charge.hinges[number]
    moved = frames + guess
    left, right = (
        (_WINDOW_SHARE if run[2] else _REST_WINDOW) * (run[1] - run[0])
        for run in (before, after)
    )
    width = min(left, right)
    used = (moved > start - left) & (moved < end + right)
    sides = (np.sum(moved[used] < start), np.sum(moved[used] > end))
    if min(sides) < _LEAST_FRAMES:
        return None
    t, y = frames[used], mean[used]
    reach = 0.5 * width
    offsets = guess + np.linspace(-reach, reach, _NUM_OFFSETS)
    for stage in range(_STAGES):
        squares = _misfits(t, y, charge, number, offsets, reach)
        if stage == 0 and np.argmin(squares.min(axis=0)) in (0, _NUM_OFFSETS - 1):
            return None
        share, step = _posterior(squares, len(t)), offsets[1] - offsets[0]
        offset = float(share @ offsets)
        sd = _UNLIKE * math.sqrt(float(share @ (offsets - offset) ** 2))
        offsets = offset + np.linspace(-1, 1, _NUM_OFFSETS) * (_WIDE * sd + step)
    if not sd < 0.5 * width:
        return None
    return 0.5 * (start + end), offset, sd


def _posterior(squares, count: int):
    """(offset,) probability, averaged over lags and over whether there is one."""
    density = -0.5 * (count - 4) * np.log(squares)
    density[0] += math.log(_WITHOUT / (1 - _WITHOUT) * (len(squares) - 1))
    share = np.exp(density - density.max()).sum(axis=0)
    return share / share.sum()


def _misfits(t, y, charge: _Charge, number: int, offsets, longest: float):
    """(1 + lag, offset) sums of squares without a lead and with that of each lag.

    A lead is never negative.
    """
    basis = _basis(t, charge, number, offsets)
    q, _ = np.linalg.qr(basis)
    left = y - np.einsum("okb,ob->ok", q, np.einsum("okb,k->ob", q, y))
    squares = [np.sum(left**2, axis=1)]
    moved = t + np.asarray(offsets)[:, None]
    spacing = float(np.median(np.diff(t)))
    lags = np.geomspace(spacing, longest, _NUM_LAGS)
    for lag, modes in itertools.product(lags, (_SPHERE[:1], _SPHERE)):
        column = charge.ahead(moved, lag, modes)
        column -= np.einsum("okb,ob->ok", q, np.einsum("okb,ok->ob", q, column))
        size = np.sum(column**2, axis=1)
        along = np.maximum(np.sum(column * left, axis=1), 0.0)
        squares.append(squares[0] - along**2 / np.maximum(size, 1e-300))
    return np.maximum(squares, 1e-300)


def _basis(t, charge: _Charge, number: int, offsets):
    """(offset, frame, 3): 1, charge before the hinge, after it; time where it rests."""
    start, end, before, after = charge.hinges[number]
    moved = t + np.asarray(offsets)[:, None]
    early, late = np.minimum(moved, start), np.maximum(moved, end)
    sides = (
        charge.at(early) - charge.at(start) if before[2] else early - start,
        charge.at(late) - charge.at(end) if after[2] else late - end,
    )
    sizes = [max(float(np.max(np.abs(side))), 1e-300) for side in sides]
    ones = np.ones(moved.shape)
    return np.stack([ones, sides[0] / sizes[0], sides[1] / sizes[1]], axis=-1)


def _combined(found, interval: float) -> Offset:
    """The offset of all hinges, with a drift where there are enough."""
    instants, offsets, sds = found.T
    count, notes = len(found), []
    seconds = float(np.median(offsets))
    drift = drift_sd = math.nan
    spread = offsets - seconds
    if count >= _LEAST_FOR_DRIFT:
        drift, drift_sd, spread = _drift(instants, offsets, sds)
    else:
        notes.append(
            "The drift of the film's clock cannot be told from "
            f"{counted(count, 'reversal')}; three are needed, or give the times of "
            "frames from a common clock."
        )
    scatter = _MAD * float(np.median(np.abs(spread - np.median(spread))))
    formal = float(np.sqrt(np.mean(sds**2)))
    each = max(scatter, formal) * (_MEDIAN_COST if count > 2 else 1.0)
    sd = math.hypot(each / math.sqrt(count), _PER_UNIFORM * interval)
    reference = float(np.median(instants)) - seconds
    hinges = tuple(tuple(map(float, row)) for row in found)
    return Offset(
        *(seconds, sd, drift, count, drift_sd, reference), hinges, tuple(notes)
    )


def _drift(instants, offsets, sds):
    """(median slope, its deviation, what is left of the offsets)."""
    first, second = np.triu_indices(len(instants), 1)
    apart = instants[second] - instants[first]
    drift = float(np.median((offsets[second] - offsets[first]) / apart))
    spread = offsets - drift * (instants - instants.mean())
    spread = spread - np.median(spread)
    each = max(_MAD * float(np.median(np.abs(spread))), float(np.sqrt(np.mean(sds**2))))
    size = math.sqrt(float(np.sum((instants - instants.mean()) ** 2)))
    return drift, _MEDIAN_COST * each / size, spread
