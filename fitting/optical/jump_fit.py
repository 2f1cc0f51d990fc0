r"""A logistic jump between two slopes: where a trace rises, and whether it does.

$$ y = b + m_0 (t - t_m) + A\,S(w) + m_1 D\,h(w), \quad w = (t - t_{50})/D $$
with the logistic S and its integral h (`shapes`). This finds the jump of a measured
trace of tens to thousands of frames; `fitting.estimators` holds the same model in a
form that can be differentiated, for the traces that a model predicts.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression, least_squares

from .shapes import hinge, logistic

NUM_JUMP, NUM_LINE = 6, 2  # parameters
LEAST_EVIDENCE = 10.0  # difference of BIC between a jump and a straight line
LEAST_SURE = 5.0  # amplitude over its deviation
LEAST_SIGNAL = 3.0  # amplitude over the noise of one frame
_BEAR = 3.0  # noises, from which on a residual counts less (soft L1)
# Weak priors of level, slope, amplitude and later slope, in ranges of the trace (and
# over all frames for slopes): what keeps a trace of few frames determined.
WIDTHS = (3.0, 1.0, 3.0, 1.0)
_MANY = 64  # frames; below, a jump is tried between any two of them
_NUM_DURATIONS = 6  # of the grid of starts
_NEAR = 3.0  # durations on each side from which lines are drawn
_LEAST_LINE = 6  # frames on each side from which they are drawn at least
_NUM_STARTS = 2  # that are followed to their ends
_MAX_EVALUATIONS = 100
_LEAST_SECOND = 1 / 3  # of a jump, from which on another one beside it counts
_AS_STEEP = 5.0  # times the other's duration at most
_LEAST_FRAMES = 8  # in which another one is looked for
_SPLITS = (0.0, -0.25, 0.25, -0.5, 0.5)  # durations from the middle of a wide rise
_STEP = 0.6  # of the slope in two jumps, below which there is a step between them


@dataclasses.dataclass(frozen=True)
class Jump:
    """A jump, times in s, the rest in units of the trace.

    Attributes:
        midpoint: 50 % of the jump.
        duration: from 10 to 90 %.
        amplitude: of the jump, without the slopes; `amplitude_sd` at this midpoint and
            duration.
        level: before the jump, at its midpoint; `slope` per s before it.
        midpoint_sd: by Gauss and Newton, for white noise and this shape.
        evidence: BIC of a straight line less that of the jump.
        trust: (frame,) what each frame counts, below 1 for outliers.
    """

    midpoint: float
    duration: float
    amplitude: float
    amplitude_sd: float
    level: float
    slope: float
    midpoint_sd: float
    evidence: float
    trust: Float[np.ndarray, " frame"]


def noise_of(trace: Float[np.ndarray, " frame"]) -> float:
    r"""Standard deviation of a trace's noise, by what neighbours differ.

    $$ s = 1.4826\,\mathrm{MAD}(\Delta y)/\sqrt2 $$
    and not less than what the spacing of its values (8 bit) leaves open.

    Source: Rousseeuw and Croux, *J. Am. Stat. Assoc.* 88, 1273 (1993).
    """
    steps = np.diff(trace)
    spread = 1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / math.sqrt(2)
    apart = np.diff(np.unique(trace))
    grain = float(np.min(apart)) / math.sqrt(12) if apart.size else 0.0
    return max(spread, grain, 1e-9 * float(np.max(np.abs(trace), initial=0.0)))


def fit_jump(
    time: Float[np.ndarray, " frame"], trace: Float[np.ndarray, " frame"], noise: float
) -> Jump | None:
    """The jump that fits a trace best; None where none of a positive size does.

    Args:
        time: of the frames, increasing [s].
        trace: rising in its jump.
        noise: standard deviation, in units of the trace.
    """
    span, size = float(time[-1] - time[0]), float(np.ptp(trace))
    x = (time - 0.5 * (time[0] + time[-1])) / span
    y, sd = (trace - np.min(trace)) / size, noise / size
    least = 0.25 * float(np.median(np.diff(x)))
    low = [-np.inf, -np.inf, 0.0, -np.inf, -0.5, math.log(least)]
    high = [np.inf, np.inf, np.inf, np.inf, 0.5, 0.0]
    found = None
    for start in _starts(x, y, least):
        one = least_squares(
            _residual,
            np.clip(start, np.add(low, 1e-9), np.subtract(high, 1e-9)),
            _jacobian,
            bounds=(low, high),
            loss="soft_l1",
            f_scale=_BEAR,
            x_scale="jac",
            args=(x, y, sd),
            max_nfev=_MAX_EVALUATIONS,
        )
        if found is None or one.cost < found.cost:
            found = one
    return None if found is None else _jump(found, x, y, sd, time, size, np.min(trace))


def _columns(parameters, x):
    """Of the four linear parameters: (frame, 4); and w."""
    midpoint, duration = parameters[4], math.exp(parameters[5])
    w = (x - midpoint) / duration
    return np.stack([np.ones_like(x), x, logistic(w), duration * hinge(w)], 1), w


def _residual(parameters, x, y, sd):
    columns, _ = _columns(parameters, x)
    misfit = (columns @ parameters[:4] - y) / sd
    return np.concatenate([misfit, parameters[:4] / WIDTHS])


def _jacobian(parameters, x, y, sd):
    columns, w = _columns(parameters, x)
    _, _, amplitude, slope = parameters[:4]
    duration = math.exp(parameters[5])
    steep = 2 * math.log(9.0) * columns[:, 2] * (1 - columns[:, 2])
    shift = -amplitude * steep / duration - slope * columns[:, 2]
    stretch = -amplitude * steep * w
    stretch += slope * (columns[:, 3] - duration * w * columns[:, 2])
    upper = np.column_stack([columns, shift, stretch]) / sd
    return np.vstack([upper, np.eye(4, 6) / np.reshape(WIDTHS, (4, 1))])


def _starts(x, y, least) -> list:
    """The best of a grid of midpoints and durations, with their best linear parts."""
    durations = np.geomspace(6 * least, 0.5, _NUM_DURATIONS)
    tried = []
    for midpoint in _places(x, y):
        for duration in durations:
            start = np.array([0, 0, 0, 0, midpoint, math.log(duration)], float)
            columns, _ = _columns(start, x)
            start[:4] = np.linalg.lstsq(columns, y, rcond=None)[0]
            if start[2] > 0:
                misfit = float(np.sum(np.abs(columns @ start[:4] - y)))
                tried.append((misfit, start))
    tried.sort(key=lambda one: one[0])
    return [start for _, start in tried[:_NUM_STARTS]]


def _places(x, y) -> list:
    """Where a jump may be: the best single step and the two steepest points."""
    between = 0.5 * (x[:-1] + x[1:])
    count = len(x)
    if count <= _MANY:
        return list(between)
    places = [between[np.argmax(_steps(y))]]
    for reach in (3, max(4, count // 24)):
        kernel = np.concatenate([np.ones(reach), -np.ones(reach)])
        rise = np.convolve(y, kernel, "valid")
        places.append(between[int(np.argmax(rise)) + reach - 1])
    return places


def _steps(y) -> Float[np.ndarray, " between"]:
    """By how much a single upward step between two frames lowers the squares."""
    k = np.arange(1, len(y))
    total, count = np.cumsum(y), len(y)
    below, above = total[:-1] / k, (total[-1] - total[:-1]) / (count - k)
    return np.sign(above - below) * (above - below) ** 2 * k * (count - k) / count


def best_step(trace: Float[np.ndarray, " frame"]) -> int:
    """The frame that begins the best single upward step."""
    return 1 + int(np.argmax(_steps(np.asarray(trace, float))))


def steps_down(trace: Float[np.ndarray, " frame"]) -> bool:
    """Whether the best single step is downward."""
    steps = _steps(np.asarray(trace, float))
    return float(-np.min(steps)) > float(np.max(steps))


def _jump(found, x, y, sd, time, size, lowest) -> Jump:
    """In units of the trace and of time, with what tells how far to trust it."""
    span, p = float(time[-1] - time[0]), found.x
    # `found.jac` is weighed by the loss; the covariance is that of the plain one.
    jacobian = _jacobian(p, x, y, sd)
    normal = jacobian.T @ jacobian
    covariance = np.linalg.pinv(normal)
    misfit = _residual(p, x, y, sd)[: len(x)]
    trust = 1 / np.sqrt(1 + (misfit / _BEAR) ** 2)
    line = np.polyval(np.polyfit(x, y, 1), x) - y
    squares = [max(float(r @ r), len(x)) for r in (line / sd, misfit)]
    evidence = len(x) * math.log(squares[0] / squares[1])
    evidence -= (NUM_JUMP - NUM_LINE) * math.log(len(x))
    return Jump(
        midpoint=0.5 * (time[0] + time[-1]) + span * p[4],
        duration=span * math.exp(p[5]),
        amplitude=size * p[2],
        amplitude_sd=size * math.sqrt(np.linalg.pinv(normal[:4, :4])[2, 2]),
        level=lowest + size * (p[0] + p[1] * p[4]),
        slope=size / span * p[1],
        midpoint_sd=span * math.sqrt(covariance[4, 4]),
        evidence=evidence,
        trust=trust,
    )


def is_clear(jump: Jump | None, noise: float, part: float = 1.0) -> bool:
    """Whether a jump exceeds (a part of) the limits for one."""
    return (
        jump is not None
        and jump.evidence > LEAST_EVIDENCE
        and jump.amplitude > part * LEAST_SURE * jump.amplitude_sd
        and jump.amplitude > part * LEAST_SIGNAL * noise
    )


def other_jump(
    time: Float[np.ndarray, " frame"],
    trace: Float[np.ndarray, " frame"],
    noise: float,
    jump: Jump,
) -> Jump | None:
    """Another jump beside this one, by a third of it or more; None where there is none.

    It must say more than a cubic does and be about as steep: a surface that loses
    lithium ever faster before its jump, or goes on after it, jumps once. And it must
    lead further: what goes back and rises again is not a part of the same rise.
    """
    for side in (-1, 1):
        beside = side * (time - jump.midpoint) > jump.duration
        t, y = time[beside], trace[beside]
        least = _LEAST_SECOND * jump.amplitude
        if len(t) < _LEAST_FRAMES or np.ptp(y) < least:
            continue
        other = fit_jump(t, y, noise)
        if (
            is_clear(other, noise)
            and min(other.amplitude, _further(jump, other, side)) > least
            and _as_steep(jump, other, float(np.median(np.diff(time))))
            and other.evidence > _of_cubic(t, y, noise) + LEAST_EVIDENCE
        ):
            return other
    return None


def close_pair(
    time: Float[np.ndarray, " frame"],
    trace: Float[np.ndarray, " frame"],
    noise: float,
    wide: Jump,
) -> tuple[Jump, Jump] | None:
    """The two jumps with a step between them to which one wide rise was fitted; None
    where there are none. Each must be what `other_jump` asks for.
    """
    found, flattest = None, _STEP
    for share in _SPLITS:
        later = time >= wide.midpoint + share * wide.duration
        parts = [(time[part], trace[part]) for part in (~later, later)]
        if min(len(t) for t, _ in parts) < _LEAST_FRAMES:
            continue
        pair = [fit_jump(t, y, noise) for t, y in parts if np.ptp(y) > 0]
        if len(pair) < 2 or not all(is_clear(jump, noise) for jump in pair):
            continue
        least = _LEAST_SECOND * max(jump.amplitude for jump in pair)
        further = _further(pair[1], pair[0], -1), _further(pair[0], pair[1], 1)
        if (
            min(*further, *(jump.amplitude for jump in pair)) > least
            and _as_steep(*pair, float(np.median(np.diff(time))))
            and _steepness_between(*pair) < flattest
            and all(
                jump.evidence > _of_cubic(t, y, noise) + LEAST_EVIDENCE
                for jump, (t, y) in zip(pair, parts, strict=True)
            )
        ):
            found, flattest = tuple(pair), _steepness_between(*pair)
    return found


def _steepness_between(first: Jump, last: Jump) -> float:
    """Slope between two jumps over that in the flatter one; infinite where they touch.

    From 10 to 90 % a jump rises by 0.8 of its amplitude in its duration.
    """
    gap = last.midpoint - first.midpoint - 0.5 * (first.duration + last.duration)
    risen = last.level - first.level + 0.1 * (last.amplitude - first.amplitude)
    risen -= 0.8 * first.amplitude
    inside = min(0.8 * jump.amplitude / jump.duration for jump in (first, last))
    return risen / gap / inside if gap > 0 else math.inf


def _further(jump: Jump, other: Jump, side: int) -> float:
    """By how much another jump begins below this one, or ends above it."""
    if side < 0:
        return jump.level - other.level
    return other.level + other.amplitude - jump.level - jump.amplitude


def _as_steep(jump: Jump, other: Jump, spacing: float) -> bool:
    """Whether durations, as far as frames tell them, differ by few times."""
    short, long = sorted(max(one.duration, 2 * spacing) for one in (jump, other))
    return long < _AS_STEEP * short


def _of_cubic(time, trace, noise: float) -> float:
    """BIC of a straight line less that of a cubic."""
    x = (time - np.mean(time)) / np.ptp(time)
    rests = (trace - np.polyval(np.polyfit(x, trace, n), x) for n in (1, 3))
    line, cubic = (max(float(rest @ rest) / noise**2, len(x)) for rest in rests)
    return len(x) * math.log(line / cubic) - 2 * math.log(len(x))


def half_step(
    time: Float[np.ndarray, " frame"], trace: Float[np.ndarray, " frame"], jump: Jump
) -> float:
    """Midpoint by the half step height [s], free of any shape; NaN without both sides.

    Lines are drawn through the frames before and after the jump; the trace between
    them, made monotone by pooling neighbours, crosses one half.

    Source: pool adjacent violators, Barlow et al., *Statistical Inference under Order
        Restrictions* (1972).
    """
    onset, completion = (jump.midpoint + s * 0.75 * jump.duration for s in (-1, 1))
    before, after = np.flatnonzero(time < onset), np.flatnonzero(time > completion)
    if not (before.size and after.size):
        return math.nan
    reach = _NEAR * jump.duration
    before = before[-max(_LEAST_LINE, int(np.sum(time[before] > onset - reach))) :]
    after = after[: max(_LEAST_LINE, int(np.sum(time[after] < completion + reach)))]
    low, high = (_line(time, trace, part) for part in (before, after))
    inside = slice(before[-1], after[0] + 1)
    gap = (high - low)[inside]
    if np.any(gap <= 0):
        return math.nan
    share = isotonic_regression((trace - low)[inside] / gap).x
    return _crossing(time[inside], share, 0.5)


def _crossing(time, share, level) -> float:
    """Where a monotone curve crosses a level; the middle of where it lies on it."""
    first = float(np.interp(level, *_strict(share, time)))
    last = -float(np.interp(-level, *_strict(-share[::-1], -time[::-1])))
    return 0.5 * (first + last)


def _strict(share, time):
    """The points of a monotone curve at which it rises, and the first of all."""
    kept = np.concatenate([[True], np.diff(share) > 0])
    return share[kept], time[kept]


def _line(time, trace, part):
    """A straight line through the frames `part`; a level for two of them or fewer."""
    degree = 1 if part.size > 2 else 0
    middle = float(np.mean(time[part]))
    fitted = np.polyfit(time[part] - middle, trace[part], degree)
    return np.polyval(fitted, time - middle)
