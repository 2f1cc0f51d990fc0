"""What is known of one particle in one half cycle, and the rules that decide it."""

import dataclasses
import enum
import math

import numpy as np
from jaxtyping import Bool, Float

from ..wording import counted
from .jump_fit import (
    LEAST_EVIDENCE,
    LEAST_SIGNAL,
    LEAST_SURE,
    Jump,
    best_step,
    close_pair,
    fit_jump,
    half_step,
    is_clear,
    noise_of,
    other_jump,
    steps_down,
)
from .midpoints import Rise, find_rise
from .traces import LEAST_FRAMES

FALLS = "falls instead of rising"
LEAST_SHARE = 0.2  # of the median amplitude of those that clearly jump
_DOUBT = 0.5  # of these limits, from which a jump is ambiguous
_LEAST_INSIDE = 2  # frames between 10 and 90 % that make a time out of bounds
_WITHIN, _SLACK = 2.2, 0.15  # deviations less spacings on each side of a midpoint
_ODD = 8.0  # noises by which a single frame is an outlier
_LEAST_FOR_OUTLIERS = 20  # frames, of which one may be left aside
_DISAGREE = 3.0  # deviations between two estimators that are worth a reason
_UNSHAPED = 0.01  # of a duration, by which shapes that no one knows differ
_SETS_IN = 0.3  # of a duration, by which it is not known where a later slope sets in
_MEDIAN_COST = 1.25  # standard error of a median over that of a mean
_PER_UNIFORM = 1 / math.sqrt(12)  # deviation of a uniform law of width 1


class Outcome(enum.StrEnum):
    """What is known of a particle in a half cycle."""

    EXACT = "exact"
    INTERVAL = "interval"
    RIGHT = "right-censored"
    LEFT = "left-censored"
    AMBIGUOUS = "ambiguous"
    STEADY = "steady"
    EXCLUDED = "excluded"


UNTIMED = (Outcome.AMBIGUOUS, Outcome.STEADY, Outcome.EXCLUDED)
"""Outcomes that tell of no time, so that neither fits nor shares count them."""


@dataclasses.dataclass(frozen=True)
class Onset:
    """What is known of a particle in a half cycle; times [s] on the film's clock.

    `midpoint`, `onset` and `completion` are 50, 10 and 90 % of the rise, NaN where
    there is none; `after` and `before` bound the midpoint of what is not exact.
    `half_step` is the midpoint free of any shape; `level` is that before the rise, or
    where there is none of all or of the first frames (the lower), in units of the
    trace; `first` is the particle's first valid frame. Of what is right-censored,
    `early` is the level of the first frames and `change` what the last (those before
    `after`, where a rise begins) have more, 0 where noise may make it; `step` is the
    best single step up where there is no rise. `reasons` say why.
    """

    particle: str
    outcome: Outcome
    reasons: tuple[str, ...] = ()
    midpoint: float = math.nan
    midpoint_sd: float = math.nan
    onset: float = math.nan
    onset_sd: float = math.nan
    completion: float = math.nan
    completion_sd: float = math.nan
    duration: float = math.nan
    duration_sd: float = math.nan
    after: float = math.nan
    before: float = math.nan
    half_step: float = math.nan
    amplitude: float = math.nan
    level: float = math.nan
    noise: float = math.nan
    early: float = math.nan
    change: float = 0.0
    step: float = 0.0
    evidence: float = math.nan
    first: float = math.nan
    num_frames: int = 0
    num_inside: int = 0

    @property
    def has_reacted(self) -> bool:
        """Whether a rise was seen."""
        return math.isfinite(self.amplitude) and self.outcome in (
            Outcome.EXACT,
            Outcome.INTERVAL,
        )


@dataclasses.dataclass(frozen=True)
class Seen:
    """A particle's valid frames in a half cycle, rising in a reaction.

    `spacing` is that of the film [s]; `jump` is None where no rise fits; `end_step` is
    the size of a step at the first or last frame, where it says more than a line;
    `falls` tells that the trace clearly falls instead of rising; `num_odd` single
    frames were left aside as outliers.
    """

    particle: str
    time: Float[np.ndarray, " frame"]
    trace: Float[np.ndarray, " frame"]
    spacing: float
    noise: float = math.nan
    jump: Jump | None = None
    end_step: float = 0.0
    falls: bool = False
    num_odd: int = 0
    refused: str = ""

    @property
    def is_clear(self) -> bool:
        """Whether a rise well within the frames is beyond doubt."""
        clear = is_clear(self.jump, self.noise)
        return clear and not (self.end_step or self.falls)


def look_at(
    particle: str,
    time: Float[np.ndarray, " frame"],
    trace: Float[np.ndarray, " frame"],
    noise: float | None,
) -> Seen:
    """A particle's valid frames, with its jump where they hold one.

    Args:
        particle: its label.
        time: of the frames [s].
        trace: rising in a reaction; NaN where not valid.
        noise: its standard deviation; None takes it from neighbouring frames.
    """
    valid, spacing = np.isfinite(trace), float(np.median(np.diff(time)))
    odd = _outliers(trace[valid])
    t, y = time[valid][~odd], trace[valid][~odd]
    if len(t) < LEAST_FRAMES:
        refused = f"{len(t)} valid frames" if len(t) else "no valid frame"
        return Seen(particle, t, y, spacing, refused=refused)
    if np.ptp(y) == 0:
        return Seen(particle, t, y, spacing, refused="constant trace")
    own = noise_of(y) if noise is None else noise
    jump, end = fit_jump(t, y, own), _end_step(t, y, own)
    falls = not end and _falls(t, y, own, jump)
    return Seen(particle, t, y, spacing, own, jump, end, falls, int(odd.sum()))


def _outliers(trace) -> Bool[np.ndarray, " frame"]:
    """Single frames far from their four neighbours, which agree; not at the ends."""
    odd = np.zeros(len(trace), bool)
    if len(trace) < _LEAST_FOR_OUTLIERS:
        return odd
    around = np.stack([trace[:-4], trace[1:-3], trace[3:-1], trace[4:]])
    away = np.abs(trace[2:-2] - np.median(around, axis=0))
    limit = _ODD * noise_of(trace) + 2 * np.ptp(around, axis=0)
    odd[2:-2] = away > limit
    return odd


def _falls(time, trace, noise, jump: Jump | None) -> bool:
    """Whether a fall explains a trace better than a rise does."""
    if not steps_down(trace):
        return False
    fall = fit_jump(time, -trace, noise)
    least = -math.inf if jump is None else jump.evidence
    return is_clear(fall, noise) and fall.evidence > least + LEAST_EVIDENCE


def _end_step(time, trace, noise) -> float:
    """Size of a step at the first or last frame if that is the best; 0 where none."""
    k, count = best_step(trace), len(trace)
    if k not in (1, count - 1):
        return 0.0
    others, end = (trace[1:], trace[0]) if k == 1 else (trace[:-1], trace[-1])
    line = trace - np.polyval(np.polyfit(time - time[0], trace, 1), time - time[0])
    squares = [float(np.sum((v - np.mean(v)) ** 2)) for v in (line, others)]
    least = count * noise**2
    evidence = count * math.log(max(squares[0], least) / max(squares[1], least))
    size = abs(float(end - np.median(others)))
    sure = evidence - math.log(count) > LEAST_EVIDENCE and size > LEAST_SURE * noise
    return size if sure else 0.0


def judge(row: Seen, typical: float, exposure: float) -> Onset:
    """What is known of one particle.

    Args:
        row: what was seen of it.
        typical: amplitude of those that clearly react; 0 where there is none.
        exposure: over which a frame is gathered [s].
    """
    found = _judged(row, typical, exposure)
    if not row.num_odd:
        return found
    remark = f"{counted(row.num_odd, 'outlier frame')} left aside"
    return dataclasses.replace(found, reasons=(*found.reasons, remark))


def _judged(row: Seen, typical: float, exposure: float) -> Onset:
    """The verdict on one particle."""
    known = {"particle": row.particle, "num_frames": len(row.time), "noise": row.noise}
    if row.refused:
        return Onset(outcome=Outcome.EXCLUDED, reasons=(row.refused,), **known)
    known["first"] = float(row.time[0])
    if row.end_step > max(LEAST_SHARE * typical, 0.0):
        return _at_an_end(row, known, typical)
    if row.falls:
        return Onset(outcome=Outcome.AMBIGUOUS, reasons=(FALLS,), **known)
    if not is_clear(row.jump, row.noise, _DOUBT):
        return _silent(row, known, "no rise")
    known |= {"evidence": row.jump.evidence, "amplitude": row.jump.amplitude}
    known["level"] = row.jump.level
    share = row.jump.amplitude / typical if typical else math.inf
    if share < _DOUBT * LEAST_SHARE:
        return _silent(row, known, "rise far below that of others")
    if share < LEAST_SHARE or not is_clear(row.jump, row.noise):
        doubt = "below that of others" if share < LEAST_SHARE else "not clear of noise"
        reasons = (f"rise {doubt}",)
        return Onset(outcome=Outcome.AMBIGUOUS, reasons=reasons, **known)
    return _reacted(row, known, typical, exposure)


def _silent(row: Seen, known: dict, reason: str) -> Onset:
    """A particle that did not react as long as it was seen."""
    early = row.trace[: max(len(row.trace) // 10, LEAST_FRAMES)]
    level = min(float(np.median(row.trace)), float(np.median(early)))
    known |= {"level": level, "amplitude": math.nan} | _change(row, row.time[-1])
    k = best_step(row.trace)
    known["step"] = float(np.mean(row.trace[k:]) - np.mean(row.trace[:k]))
    bounds = {"after": float(row.time[-1]), "before": math.inf}
    return Onset(outcome=Outcome.RIGHT, reasons=(reason,), **known, **bounds)


def _change(row: Seen, end: float) -> dict:
    """The first tenth of a trace up to an instant, and what the last tenth has more."""
    trace = row.trace[row.time <= end]
    count = max(len(trace) // 10, LEAST_FRAMES // 2)
    early = float(np.median(trace[:count]))
    change = float(np.median(trace[-count:])) - early
    chance = _MEDIAN_COST * row.noise * math.sqrt(2 / count)
    sure = abs(change) > max(LEAST_SURE * chance, LEAST_SIGNAL * row.noise)
    return {"early": early, "change": change if sure else 0.0}


def _at_an_end(row: Seen, known: dict, typical: float) -> Onset:
    """A particle whose first or last frame alone differs.

    What is not half of others' rises may be the end or the beginning of a rise.
    """
    first = best_step(row.trace) == 1
    others = row.trace[1:] if first else row.trace[:-1]
    known["level"] = float(row.trace[0] if first else np.median(others))
    known["amplitude"] = row.end_step
    if first:
        reason, bounds = "under way at the first frame", row.time[:2]
    else:
        reason, bounds = "under way at the last frame", row.time[-2:]
    whole = typical > 0 and row.end_step >= 0.5 * typical
    if first and not whole:
        bounds = (-math.inf, bounds[1])
    elif not whole:
        bounds = (bounds[0], math.inf)
        known |= _change(row, bounds[0])
    return _bounded(known, bounds, reason)


def _bounded(known: dict, bounds, reason: str) -> Onset:
    """A particle of whose midpoint bounds are known."""
    after, before = (float(bound) for bound in bounds)
    outcome = Outcome.INTERVAL
    if math.isinf(before):
        outcome = Outcome.RIGHT
    elif math.isinf(after):
        outcome = Outcome.LEFT
    known |= {"after": after, "before": before}
    return Onset(outcome=outcome, reasons=(reason,), **known)


def _reacted(row: Seen, known: dict, typical: float, exposure: float) -> Onset:
    """A particle that reacted: a time where the frames resolve it, else bounds."""
    other = other_jump(row.time, row.trace, row.noise, row.jump)
    if other is not None:
        return _rose_twice(row, known, row.jump, other)
    rise = find_rise(row.time, row.trace, row.noise, row.jump)
    if rise.inflation > 1:  # no shape of one rise explains it
        pair = close_pair(row.time, row.trace, row.noise, row.jump)
        if pair is not None:
            return _rose_twice(row, known, *pair)
    check = half_step(row.time, row.trace, row.jump)
    differ = _differ(row, rise, check)
    shape = 0.5 * (check - rise.midpoint) if differ else 0.0
    known |= _times(rise, shape, exposure) | {"half_step": check}
    inside = int(np.sum((row.time > rise.onset) & (row.time < rise.completion)))
    known["num_inside"] = inside
    if rise.onset < row.time[0]:
        bounds = _under_way_first(row, rise)
        return _bounded(known, bounds, "under way at the first frame")
    if rise.completion > row.time[-1]:
        bounds = _under_way_last(row, rise, typical)
        known |= _change(row, bounds[0])
        return _bounded(known, bounds, "under way at the last frame")
    if inside < _LEAST_INSIDE:
        bounds = _between(row, rise)
        wide = bounds[1] - bounds[0] > 2 * row.spacing
        return _bounded(known, bounds, "in a gap" if wide else "between two frames")
    reasons = ("half-step height differs",) if differ else ()
    return Onset(outcome=Outcome.EXACT, reasons=reasons, **known)


def _rose_twice(row: Seen, known: dict, *jumps: Jump) -> Onset:
    """A particle that rises in steps: its midpoint lies between the frames around both.

    Which step holds half of the change of its surface is not for its light to tell.
    """
    first, last = sorted(jumps, key=lambda jump: jump.midpoint)
    known["level"] = first.level
    known["amplitude"] = last.level + last.amplitude - first.level
    start, end = (
        jump.midpoint + side * 0.75 * jump.duration
        for jump, side in ((first, -1), (last, 1))
    )
    k = max(int(np.searchsorted(row.time, start, "right")) - 1, 0)
    n = min(int(np.searchsorted(row.time, end)), len(row.time) - 1)
    return _bounded(known, (row.time[k], row.time[n]), "rises more than once")


def _times(rise: Rise, shape: float, exposure: float) -> dict:
    """Times with deviations that hold exposure, shape and the difference of estimators.

    Rises that none of the shapes describes came out up to 1 % of their duration off.
    What a later slope gains until it is sure to have set in may be of the rise: an end
    of it then moves by about twice as much as its middle, and a duration with it.
    """
    blur, values = _PER_UNIFORM * exposure, dataclasses.asdict(rise)
    unshaped = math.hypot(_UNSHAPED, _SETS_IN * rise.later) * rise.duration
    shape = math.hypot(shape, unshaped)
    found = {}
    for name in ("midpoint", "onset", "completion", "duration"):
        found[name] = values[name]
        deviation = values[f"{name}_sd"]
        found[f"{name}_sd"] = math.hypot(deviation, blur, shape)
    slopes = 2 * _SETS_IN * rise.later * rise.duration
    found["duration_sd"] = math.hypot(rise.duration_sd, math.sqrt(2) * blur, slopes)
    return found


def _differ(row: Seen, rise: Rise, check: float) -> bool:
    """Whether the half-step height lies elsewhere by more than chance."""
    if not math.isfinite(check):
        return False
    coarse = 1.25 * row.noise / row.jump.amplitude * rise.duration
    chance = math.hypot(rise.midpoint_sd, _PER_UNIFORM * row.spacing, coarse)
    return abs(check - rise.midpoint) > _DISAGREE * chance


def _under_way_first(row: Seen, rise: Rise) -> tuple[float, float]:
    """Bounds where the film begins in a rise."""
    over = row.time[row.time >= rise.completion]
    return -math.inf, over[0] if over.size else row.time[-1]


def _under_way_last(row: Seen, rise: Rise, typical: float) -> tuple[float, float]:
    """Bounds where the film ends in a rise; open where less than half of it is seen."""
    start = rise.onset - 2 * rise.onset_sd
    after = row.time[max(int(np.searchsorted(row.time, start)) - 1, 0)]
    risen = float(np.median(row.trace[-3:])) - row.jump.level
    enough = typical > 0 and risen > 0.75 * typical
    return after, row.time[-1] if enough else math.inf


def _between(row: Seen, rise: Rise) -> tuple[float, float]:
    """The frames between which a midpoint lies.

    A law that is even between two frames keeps within them: 2.2 of its deviations less
    0.15 of their spacing are 0.49 spacings.
    """
    last = len(row.time) - 1
    k = np.clip(np.searchsorted(row.time, rise.midpoint), 1, last)
    slack = _SLACK * (row.time[k] - row.time[k - 1])
    half = max(_WITHIN * rise.midpoint_sd - slack, rise.midpoint_sd)
    low, high = rise.midpoint - half, rise.midpoint + half
    first = np.clip(np.searchsorted(row.time, low, "right") - 1, 0, last - 1)
    second = np.clip(np.searchsorted(row.time, high), first + 1, last)
    return row.time[first], row.time[second]
