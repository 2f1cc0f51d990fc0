r"""Hinges of the mean intensity, where the current turns or stops, and when they are.

Every hinge is fitted by two lines in the charge passed (in time where the cell rests),
joined at the instant at which the recording says that the current changed, moved by
the offset sought:

$$ I(t) = a + b\,q^-(t + \delta) + c\,q^+(t + \delta) + r\,\ell_\tau(t + \delta). $$
Light shows surfaces, which are ahead of their particles' means by what a current of
late has left there: $\ell$ is the current smoothed over a time $\tau$, as a sphere or
a film does. Without it the hinge would come out where the two lines meet, early by
minutes. The offset is averaged over lags, and over whether there is one.

Particles that react one after another make a mean that leaves its lines for long, as a
random walk does, and so frames do not tell how well the hinge is known: particles do.
Its deviation is that of the fit and a jackknife's over groups of particles. Where there
are too few for that, frames that follow one another count the less, the more alike
their residuals are, and often none can tell the hinge then.

Source: two joined lines after Hudson, J. Am. Stat. Assoc. 61 (1966) 1097; lead of a
sphere's surface after Crank, *The Mathematics of Diffusion*, 2nd ed. (1975), section
6.3.3; the jackknife after Tukey, Ann. Math. Stat. 29 (1958) 614; the count of alike
frames after Bayley and Hammersley, J. R. Stat. Soc. Suppl. 8 (1946) 184.
"""

import dataclasses
import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter

from ..recording import Recording

LEAST_FRAMES = 6  # on each side of a hinge
GROUPS = 10  # of particles, each of which is left out once
_FEW = 16  # particles, below which leaving some out does not tell enough
_WINDOW_SHARE = 0.3  # of a run beside a hinge, that its line is drawn over
_REST_WINDOW = 0.9  # the same of a rest, in which nothing bends
_NUM_OFFSETS, _NUM_LAGS, _STAGES = 41, 5, 3
_WIDE = 5.0  # deviations on each side that offsets cover
_SPHERE = (4.493409, 7.725252, 10.904122, 14.066194, 17.220755)  # tan x = x
_WITHOUT = 0.2  # probability beforehand that surfaces are not ahead
_UNLIKE = 1.2  # widens deviations: no real lead is quite that of a sphere or a film


class Hinge(NamedTuple):
    """When the current turned or stopped, and by how much the clocks differ then [s].

    Attributes:
        instant: on the cycler's clock.
        offset: what is added to a time of the film.
        sd: its standard deviation.
    """

    instant: float
    offset: float
    sd: float


@dataclasses.dataclass(frozen=True)
class Charge:
    """Charge passed [C] at instants [s], and where the current turns or stops.

    A hinge is (start, end, run before, run after): the current is that of neither run
    between start and end; runs are (start, end, sign).
    """

    time: np.ndarray
    passed: np.ndarray
    hinges: tuple

    @staticmethod
    def of(recording: Recording, shortest: float) -> "Charge":
        time, current = recording.time, recording.active_current()
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
        return Charge(time, passed, tuple(_hinges(runs, shortest)))

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


def shown(frames, charge: Charge, number: int, guess: float) -> bool:
    """Whether the film has frames enough on each side of a hinge.

    Args:
        frames: their times on the film's clock [s].
        charge: with the hinge.
        number: of the hinge.
        guess: of the offset [s].
    """
    start, end, *_ = charge.hinges[number]
    moved = (frames + guess)[_window(frames, charge, number, guess)]
    return min(np.sum(moved < start), np.sum(moved > end)) >= LEAST_FRAMES


def hinge(frames, rows, charge: Charge, number: int, guess: float) -> Hinge | None:
    """A hinge that the film shows; None where it cannot be told when it is.

    Args:
        frames: their times on the film's clock [s].
        rows: (particle, frame) intensities, each from 0 to 1.
        charge: with the hinge.
        number: of the hinge.
        guess: of the offset [s].
    """
    few = len(rows) < _FEW
    whole = _fit(frames, rows.mean(axis=0), charge, number, guess, few)
    if whole is None or len(rows) == 1:
        return whole
    # Neighbours in a table may react in turn: groups are drawn, the same every time.
    group = np.random.default_rng(0).permutation(len(rows)) % GROUPS
    offsets = []
    for left_out in range(group.max() + 1):
        mean = rows[group != left_out].mean(axis=0)
        part = _fit(frames, mean, charge, number, guess, few)
        if part is None:  # all rests on these particles
            return None
        offsets.append(part.offset)
    apart = (len(offsets) - 1) * float(np.var(offsets))
    sd = math.hypot(whole.sd, math.sqrt(apart))
    return whole._replace(sd=sd) if _is_known(sd, charge, number) else None


def _is_known(sd: float, charge: Charge, number: int) -> bool:
    """Whether a deviation [s] is below half of what the lines of a hinge reach."""
    return sd < 0.5 * min(_reaches(charge, number))


def _window(frames, charge: Charge, number: int, guess: float):
    """(frame,) whether the lines of a hinge are drawn over a frame."""
    start, end, *_ = charge.hinges[number]
    left, right = _reaches(charge, number)
    moved = frames + guess
    return (moved > start - left) & (moved < end + right)


def _reaches(charge: Charge, number: int) -> tuple[float, float]:
    """How far the lines of a hinge reach before and after it [s]."""
    left, right = (
        (_WINDOW_SHARE if run[2] else _REST_WINDOW) * (run[1] - run[0])
        for run in charge.hinges[number][2:]
    )
    return left, right


def _fit(frames, mean, charge: Charge, number: int, guess: float, alike: bool):
    """The hinge of a mean; None where it is at the edge of what is tried, or vague.

    Args:
        frames: their times on the film's clock [s].
        mean: intensity.
        charge: with the hinge.
        number: of the hinge.
        guess: of the offset [s].
        alike: whether frames count the less, the more alike their residuals are.
    """
    used = _window(frames, charge, number, guess)
    t, y = frames[used], mean[used]
    reach = 0.5 * min(_reaches(charge, number))
    offsets = guess + np.linspace(-reach, reach, _NUM_OFFSETS)
    for stage in range(_STAGES):
        squares, products = _misfits(t, y, charge, number, offsets, reach)
        if stage == 0 and np.argmin(squares.min(axis=0)) in (0, _NUM_OFFSETS - 1):
            return None
        count = _effective(squares, products, len(t)) if alike else len(t)
        share, step = _posterior(squares, count), offsets[1] - offsets[0]
        offset = float(share @ offsets)
        sd = _UNLIKE * math.sqrt(float(share @ (offsets - offset) ** 2))
        offsets = offset + np.linspace(-1, 1, _NUM_OFFSETS) * (_WIDE * sd + step)
    if not _is_known(sd, charge, number):
        return None
    start, end, *_ = charge.hinges[number]
    return Hinge(0.5 * (start + end), offset, sd)


def _effective(squares, products, count: int) -> float:
    """Independent frames that tell as much as so many, by the best fit's residuals."""
    best = np.argmin(squares)
    alike = max(float(products.flat[best] / squares.flat[best]), 0.0)
    return count * (1 - alike) / (1 + alike)


def _posterior(squares, count: float):
    """(offset,) probability, averaged over lags and over whether there is one."""
    density = -0.5 * max(count - 4, 0.0) * np.log(squares)
    density[0] += math.log(_WITHOUT / (1 - _WITHOUT) * (len(squares) - 1))
    share = np.exp(density - density.max()).sum(axis=0)
    return share / share.sum()


def _misfits(t, y, charge: Charge, number: int, offsets, longest: float):
    """Of residuals without a lead and with that of each lag, (1 + lag, offset) sums.

    They are of their squares, and of the products of neighbours. A lead is never
    negative.
    """
    basis = _basis(t, charge, number, offsets)
    q, _ = np.linalg.qr(basis)
    left = y - np.einsum("okb,ob->ok", q, np.einsum("okb,k->ob", q, y))
    found = [left]
    moved = t + np.asarray(offsets)[:, None]
    spacing = float(np.median(np.diff(t)))
    lags = np.geomspace(spacing, longest, _NUM_LAGS)
    for lag, modes in itertools.product(lags, (_SPHERE[:1], _SPHERE)):
        column = charge.ahead(moved, lag, modes)
        column -= np.einsum("okb,ob->ok", q, np.einsum("okb,ok->ob", q, column))
        size = np.sum(column**2, axis=1)
        along = np.maximum(np.sum(column * left, axis=1), 0.0)
        found.append(left - (along / np.maximum(size, 1e-300))[:, None] * column)
    squares = [np.sum(one**2, axis=1) for one in found]
    products = [np.sum(one[:, 1:] * one[:, :-1], axis=1) for one in found]
    return np.maximum(squares, 1e-300), np.array(products)


def _basis(t, charge: Charge, number: int, offsets):
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
