"""Events of measured traces: whether a particle jumped, when, and how surely.

For data only: decisions are made on numbers. What is differentiated is in `estimators`.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .estimators import LN9, Jump, fit_jump
from .events import Event, Events

_LEAST_EVIDENCE = 10.0  # difference of BIC between a jump and a straight line
_LEAST_SIGNAL = 5.0  # amplitude over noise
_LEAST_SHARE = 0.2  # of the median amplitude of those that clearly jump
_NUM_JUMP, _NUM_LINE = 6, 2  # parameters
_NEAR = 6  # frames on each side from which a line is drawn
_PER_UNIFORM = 1 / math.sqrt(12)  # standard deviation of a uniform law of width 1


class Found(NamedTuple):
    """A trace with its jump, in s and in units of the trace."""

    jump: Jump
    evidence: float  # BIC of a straight line less that of the jump
    half: float  # midpoint by the half-step height [s], NaN where there is none
    duration: float  # from 10 to 90 % by the step height [s]
    variance: float  # inflation of the covariance of the fit
    noise: float


def find_jump(
    times: Float[np.ndarray, " frame"], trace: Float[np.ndarray, " frame"], noise: float
) -> Found:
    """A trace's jump and what tells how far to trust it.

    Args:
        times: of the frames [s].
        trace: rising in its jump.
        noise: standard deviation of the trace, in its unit; reading, quantisation.
    """
    size = max(float(np.ptp(trace)), noise)
    jump = fit_jump(times, np.asarray(trace, float), noise / size)
    rest = np.asarray(trace - jump.trace(times))
    line = trace - np.polyval(np.polyfit(times, trace, 1), times)
    count = len(times)
    squares = [max(np.sum(r**2), count * noise**2) for r in (rest, line)]
    evidence = count * math.log(squares[1] / squares[0])
    evidence -= (_NUM_JUMP - _NUM_LINE) * math.log(count)
    half, duration = _step_heights(times, np.asarray(trace, float), jump)
    scatter = np.sum(rest**2) / max(count - _NUM_JUMP, 1) / noise**2
    alike = np.corrcoef(rest[:-1], rest[1:])[0, 1] if np.ptp(rest) > 0 else 0.0
    alike = float(np.clip(alike, 0.0, 2 / 3))
    variance = max(scatter, 1.0) * (1 + alike) / (1 - alike)
    return Found(jump, evidence, half, duration, variance, noise)


def _step_heights(times, trace, jump) -> tuple[float, float]:
    """50 % and 10 to 90 % crossings between lines drawn before and after a jump [s].

    Free of the logistic's shape; NaN where a side has no frame.
    """
    onset, completion = float(jump.onset), float(jump.completion)
    before = np.flatnonzero(times < onset)[-_NEAR:]
    after = np.flatnonzero(times > completion)[:_NEAR]
    if not (before.size and after.size):
        return math.nan, math.nan
    low, high = (_line(times, trace, part) for part in (before, after))
    share = np.maximum.accumulate((trace - low) / (high - low))
    inside = slice(before[-1], after[0] + 1)
    at = [np.interp(q, share[inside], times[inside]) for q in (0.1, 0.5, 0.9)]
    return float(at[1]), float(at[2] - at[0])


def _line(times, trace, part):
    """A straight line through the frames `part`; a level for two of them or fewer."""
    degree = 1 if part.size > 2 else 0
    return np.polyval(np.polyfit(times[part], trace[part], degree), times)


def midpoint_deviation(found: Found, spacing: float) -> float:
    r"""Standard deviation of a midpoint [s].

    $$ \sigma^2 = \sigma_{fit}^2 + \Delta t^2/12 + (t_{50} - t_{half})^2/4 $$
    """
    jump = found.jump
    shape = 0.0
    if math.isfinite(found.half):
        shape = 0.5 * (float(jump.midpoint) - found.half)
    fit = found.variance * float(jump.covariance[0, 0])
    return math.sqrt(fit + (_PER_UNIFORM * spacing) ** 2 + shape**2)


def duration_deviation(found: Found, spacing: float) -> float:
    r"""Standard deviation of a duration [s]: both its ends are blurred by frames."""
    shape = 0.0
    if math.isfinite(found.duration):
        shape = 0.5 * (float(found.jump.duration) - found.duration)
    fit = found.variance * (2 * LN9) ** 2 * float(found.jump.covariance[1, 1])
    return math.sqrt(fit + 2 * (_PER_UNIFORM * spacing) ** 2 + shape**2)


def find_events(
    times: Float[np.ndarray, " frame"],
    traces: Mapping[str, Float[np.ndarray, " frame"]],
    noise: float,
    *,
    surface: bool = False,
) -> Events:
    """Midpoints and durations of particles, as far as their traces tell.

    A particle that jumps has both, with standard deviations that hold the frames'
    spacing and the difference of two estimators; a duration below its own deviation is
    left out. One that jumps at its first or last
    frame has an interval; one that does not jump was never seen (right-censored) or,
    where it is as bright as others after their jump, was on from the start.

    Args:
        times: of the frames, increasing [s].
        traces: of each particle, rising in its jump.
        noise: standard deviation of the traces, in their unit.
        surface: whether the traces tell of the surface of particles.

    Raises:
        ValueError: for traces that cannot be used.
    """
    times = np.asarray(times, float)
    for label, trace in traces.items():
        _check_trace(label, times, np.asarray(trace))
    edges = {label: _edge(np.asarray(trace)) for label, trace in traces.items()}
    found = {k: find_jump(times, np.asarray(v), noise) for k, v in traces.items()}
    clear = [k for k in found if not edges[k] and _is_clear(found[k], 0.0)]
    typical = np.median([float(found[k].jump.amplitude) for k in clear] or [0.0])
    jumps = {k for k in found if _is_clear(found[k], _LEAST_SHARE * typical)}
    levels = _levels(times, [(found[k], traces[k]) for k in clear])
    rows = []
    for label, trace in traces.items():
        if label not in jumps:
            on = levels is not None and np.median(trace) > sum(levels) / 2
            bounds = (-math.inf, times[0]) if on else (times[-1], math.inf)
            rows.append(_bounds(label, *bounds))
        elif edges[label]:
            k = edges[label]
            rows.append(_bounds(label, times[k - 1], times[k]))
        else:
            rows.extend(_exact(label, times, found[label]))
    return Events.from_rows(rows, surface=surface)


def _check_trace(label: str, times, trace) -> None:
    if trace.shape != times.shape or times.size < _NUM_JUMP + 2:
        raise ValueError(
            f"The trace of '{label}' must have one value per frame and "
            f"{_NUM_JUMP + 2} frames or more, but has {trace.size} for {times.size}."
        )
    if not (np.all(np.isfinite(trace)) and np.all(np.diff(times) > 0)):
        raise ValueError(
            f"The trace of '{label}' must be finite, at increasing times; remove the "
            "frames where it is not."
        )


def _edge(trace) -> int:
    """The frame that begins the best single step, if it is the first or last; or 0."""
    count = len(trace)
    costs = [
        np.var(trace[:k]) * k + np.var(trace[k:]) * (count - k) for k in range(1, count)
    ]
    k = 1 + int(np.argmin(costs))
    return k if k in (1, count - 1) else 0


def _is_clear(found: Found, least_amplitude: float) -> bool:
    amplitude = float(found.jump.amplitude)
    return (
        found.evidence > _LEAST_EVIDENCE
        and amplitude > _LEAST_SIGNAL * found.noise
        and amplitude > least_amplitude
    )


def _levels(times, jumped):
    """Median levels before and after the jumps of those that jumped, or None."""
    if not jumped:
        return None
    before, after = [], []
    for found, trace in jumped:
        before.append(np.median(np.asarray(trace)[times <= float(found.jump.midpoint)]))
        after.append(np.median(np.asarray(trace)[times > float(found.jump.midpoint)]))
    return float(np.median(before)), float(np.median(after))


def _bounds(label: str, after: float, before: float) -> Event:
    return Event(label, "midpoint", after=float(after), before=float(before))


def _exact(label: str, times, found: Found) -> list[Event]:
    """Midpoint and duration of a particle that jumps well within the frames."""
    middle, duration = float(found.jump.midpoint), float(found.jump.duration)
    k = int(np.clip(np.searchsorted(times, middle), 1, len(times) - 1))
    spacing = float(times[k] - times[k - 1])
    midpoint = Event(
        label, "midpoint", time=middle, sd=midpoint_deviation(found, spacing)
    )
    deviation = duration_deviation(found, spacing)
    if deviation > duration:
        return [midpoint]
    return [midpoint, Event(label, "duration", time=duration, sd=deviation)]
