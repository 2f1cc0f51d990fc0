"""From traces to what is known of each particle's rise, per half cycle.

A particle that reacts within the frames has times with deviations; one whose rise falls
between two frames, into a gap or over an end of the film has bounds; one that does not
react is censored; one that changes steadily throughout, has no reaction to undo, or
cannot be judged, is left out. `verdicts` holds the rules.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..wording import counted
from .half_cycles import HalfCycle, check_overlap, whole_film
from .jump_fit import LEAST_SIGNAL
from .traces import Traces
from .verdicts import FALLS, LEAST_FRAMES, Onset, Outcome, Seen, judge, look_at

_APART = 3.0  # spreads of levels before rises, by which rises must exceed to tell
_FEW = 6  # levels, of which the median deviation may be that of those that agree
_STEADY = 1 / 3  # of a rise, from which on a change without one is not "unchanged"
_DOUBTFUL = 0.5  # of a rise, from which on a step without one may be one
_UNSURE = 1.2  # of a noise, its deviation if one frame told it; goes with their root
_UNEVEN = 1.5  # times that shares of changes at midpoints may differ
_ENDS = 20  # of all frames, the part at each end that a change is taken from
_PAUSE = 3.0  # spacings of frames that make a pause of the camera
_ROBUST = 1.4826  # of a normal law, its deviation over its median deviation


@dataclasses.dataclass(frozen=True)
class HalfOnsets:
    """All particles in one half cycle, and what is to be said of it.

    `sign` is 1 where particles brighten in it and -1 where they darken; levels and
    amplitudes of `onsets` are of the trace times this sign.
    """

    half: HalfCycle
    onsets: tuple[Onset, ...]
    sign: float = 1.0
    notes: tuple[str, ...] = ()

    def of(self, *outcomes: Outcome) -> tuple[Onset, ...]:
        """Those with one of these outcomes."""
        return tuple(one for one in self.onsets if one.outcome in outcomes)

    def describe(self) -> str:
        """Counts of outcomes, as words."""
        counts = {o: len(self.of(o)) for o in Outcome}
        return ", ".join(f"{n} {o}" for o, n in counts.items() if n)


def find_onsets(
    traces: Traces,
    halves: Sequence[HalfCycle] | None = None,
    *,
    noise: float | None = None,
    exposure: float = 0.0,
    inverted: bool = False,
) -> tuple[HalfOnsets, ...]:
    """What is known of every particle in every half cycle that has frames.

    Args:
        traces: on the film's clock.
        halves: from `half_cycles`; by default the whole film is one charge.
        noise: standard deviation of the traces, in their unit; by default of each from
            what its neighbouring frames differ.
        exposure: over which a frame is gathered [s]; widens every deviation.
        inverted: whether particles darken in a charge (graphite) instead of brighten.

    Raises:
        ValueError: where no frame lies in a half cycle, or for numbers that cannot be.
    """
    if not 0 <= exposure < math.inf:
        raise ValueError(f"The exposure must be 0 s or more, but is {exposure:g} s.")
    if noise is not None and not 0 < noise < math.inf:
        raise ValueError(f"The noise must be positive, but is {noise:g}.")
    if len(traces.time) < 2:
        raise ValueError(
            f"Traces must have 2 frames or more, but have {len(traces.time)}; give "
            "the whole film."
        )
    halves = whole_film(traces) if halves is None else halves
    check_overlap(traces, halves)
    found = []
    for half in halves:
        inside = half.holds(traces.time)
        if inside.sum() > 1:
            sign = 1.0 if half.charges != inverted else -1.0
            found.append(_half(traces, half, inside, sign, noise, exposure))
    found = [_with_steady(one, found) for one in found]
    found = [_with_levels(one, found) for one in found]
    spacing = float(np.median(np.diff(traces.time)))
    for k in range(1, len(found)):
        found[k] = _without_the_idle(found[k], found[k - 1], spacing)
    return tuple(found)


def _half(traces, half, inside, sign, noise, exposure) -> HalfOnsets:
    """One half cycle; who was on from the start is not yet known."""
    time = traces.time[inside]
    rows = [
        look_at(label, time, sign * row[inside], noise)
        for label, row in zip(traces.labels, traces.intensity, strict=True)
    ]
    clear = [row.jump.amplitude for row in rows if row.is_clear]
    typical = float(np.median(clear)) if clear else 0.0
    onsets = tuple(judge(row, typical, exposure) for row in rows)
    notes = _coverage(half, traces.time, time) + _contrast(half, onsets, sign)
    notes += _uneven(half, rows, onsets)
    return HalfOnsets(half, onsets, sign, notes)


def _contrast(half: HalfCycle, onsets, sign: float) -> tuple[str, ...]:
    """A note where more particles change against the direction expected."""
    against = sum(FALLS in onset.reasons for onset in onsets)
    if against <= sum(onset.has_reacted for onset in onsets):
        return ()
    verbs = ("darken", "brighten") if sign > 0 else ("brighten", "darken")
    particles = counted(len(onsets), "particle")
    told = (
        f"{verbs[0]}s, where it is" if against == 1 else f"{verbs[0]}, where they are"
    )
    return (
        f"{half.name}: {against} of {particles} {told} expected to "
        f"{verbs[1]}; look at the contrast (--inverted) and at the sign of "
        "the current.",
    )


def _uneven(half: HalfCycle, rows, onsets) -> tuple[str, ...]:
    """A note where the middles of rises cannot all be one change of stoichiometry.

    What particles change by in all ends at about one stoichiometry, a middle after a
    slow change before its rise, or in a small rise, does not.
    """
    pairs = zip(rows, onsets, strict=True)
    found = [_share(row) for row, one in pairs if one.outcome is Outcome.EXACT]
    shares, deviations = np.array([pair for pair in found if pair]).reshape(-1, 2).T
    if len(shares) < 2:
        return ()
    low, high = np.percentile(shares, (10, 90))  # few may be odd
    if not high > max(_UNEVEN * low, low + _APART * float(np.median(deviations))):
        return ()
    return (
        f"{half.name}: the middles of rises lie at {100 * low:.0f} to {100 * high:.0f} "
        "% of what particles change by in all, so they are not one change of "
        "stoichiometry, for which a fit takes these times; --whole-traces of `diffelec "
        "fit` fits the brightness itself.",
    )


def _share(row: Seen) -> tuple[float, float] | None:
    """A trace at the middle of its jump as a share of all that it changes by, and its
    deviation; None where the jump is at an end, or most of it is undone.
    """
    jump, count = row.jump, max(len(row.trace) // _ENDS, LEAST_FRAMES // 2)
    away = jump.midpoint - row.time[count - 1], row.time[-count] - jump.midpoint
    first = float(np.median(row.trace[:count]))
    whole = float(np.median(row.trace[-count:])) - first
    if min(away) < jump.duration or whole < 0.5 * jump.amplitude:
        return None
    middle = jump.level + 0.5 * jump.amplitude - first
    deviation = math.hypot(jump.amplitude_sd, row.noise * math.sqrt(2 / count))
    return middle / whole, deviation / whole


def _coverage(half: HalfCycle, all_time, time) -> tuple[str, ...]:
    """Notes on the parts of a half cycle that no frame shows."""
    notes, spacing = [], float(np.median(np.diff(all_time)))
    late, early = time[0] - half.start, half.end - time[-1]
    if late > 2 * spacing:
        notes.append(
            f"{half.name}: its first frame is {late / 3600:.3g} h after it begins; "
            "what reacted before has one bound only."
        )
    if early > 2 * spacing:
        notes.append(
            f"{half.name}: its last frame is {early / 3600:.3g} h before it ends; what "
            "reacted after has one bound only."
        )
    steps = np.diff(time)
    if steps.max() > _PAUSE * spacing:
        k, pauses = int(np.argmax(steps)), int(np.sum(steps > _PAUSE * spacing))
        notes.append(
            f"{half.name}: the camera paused {counted(pauses, 'time')}, at most for "
            f"{steps[k] / 60:.3g} min at {time[k] / 3600:.4g} h."
        )
    return tuple(notes)


def _with_steady(one: HalfOnsets, found: Sequence[HalfOnsets]) -> HalfOnsets:
    """Tells those that change throughout, or may have risen, from those that stay.

    A change is measured by the particle's own rises in other half cycles, else by those
    of others in this one, else in any; by noise alone where nothing rose.
    """
    onsets = []
    for onset in one.onsets:
        if onset.outcome is Outcome.RIGHT:
            usual = _usual_rise(onset.particle, one, found)
            onsets.append(_or_doubtful(_steady_or_not(onset, one.sign, usual), usual))
        else:
            onsets.append(onset)
    return dataclasses.replace(one, onsets=tuple(onsets))


def _steady_or_not(onset: Onset, sign: float, usual: float) -> Onset:
    """The verdict "steady" for a change that is not small beside a rise."""
    size = abs(onset.change)
    # A rise that the film cuts off (its amplitude is known) is one to measure by too.
    if not size > _STEADY * np.fmax(usual, onset.amplitude):
        return onset
    way = "brightens" if sign * onset.change > 0 else "darkens"
    return dataclasses.replace(
        onset,
        outcome=Outcome.STEADY,
        reasons=(f"{way} by {size:.2g} throughout, without a jump", *onset.reasons[1:]),
        level=onset.early,
        after=math.nan,
        before=math.nan,
    )


def _or_doubtful(onset: Onset, usual: float) -> Onset:
    """The verdict "ambiguous" for a step that may be a rise, as of few frames, whose
    noise is not known well.
    """
    noise = onset.noise / (1 + _UNSURE / math.sqrt(onset.num_frames))  # or less
    least = _DOUBTFUL * usual or LEAST_SIGNAL * noise
    if onset.outcome is not Outcome.RIGHT or not onset.step > least:
        return onset
    reason = f"no clear rise, but a step of {onset.step:.2g}"
    return dataclasses.replace(
        onset,
        outcome=Outcome.AMBIGUOUS,
        reasons=(reason, *onset.reasons[1:]),
        after=math.nan,
        before=math.nan,
    )


def _usual_rise(particle: str, one: HalfOnsets, found: Sequence[HalfOnsets]) -> float:
    """Median size of the rises that a particle is measured by; 0 where nothing rose."""
    rises = [o for half in found for o in half.onsets if o.has_reacted]
    own = [o for o in rises if o.particle == particle]
    beside = [o for o in one.onsets if o.has_reacted]
    sizes = [o.amplitude for o in own or beside or rises]
    return float(np.median(sizes)) if sizes else 0.0


def _with_levels(one: HalfOnsets, found: Sequence[HalfOnsets]) -> HalfOnsets:
    """Tells who was on from the start among those that did not react.

    By the particle's own levels in another half cycle, else by those of all others in
    this one.
    """
    onsets = []
    for onset in one.onsets:
        if onset.outcome is Outcome.RIGHT and not math.isfinite(onset.amplitude):
            own = _own_levels(onset.particle, found)
            if own is not None:
                before, after = own if one.sign > 0 else (-own[1], -own[0])
                onset = _left_or_right(onset, before, after)
            else:
                onset = _beside_others(onset, one)
        onsets.append(onset)
    return dataclasses.replace(one, onsets=tuple(onsets))


def _left_or_right(onset: Onset, before: float, after: float) -> Onset:
    """The verdict by levels before and after a rise."""
    if onset.level <= 0.5 * (before + after):
        return onset
    return dataclasses.replace(
        onset,
        outcome=Outcome.LEFT,
        reasons=("no rise, and as others after theirs",),
        after=-math.inf,
        before=onset.first,
    )


def _beside_others(onset: Onset, one: HalfOnsets) -> Onset:
    """The verdict by levels of those that reacted.

    Rises may differ much in size; it is how far levels *before* them scatter that says
    whether a level tells anything.
    """
    reacted = [other for other in one.onsets if other.has_reacted]
    if not reacted:
        return onset
    levels = np.array([other.level for other in reacted])
    before = float(np.median(levels))
    after = float(np.median([other.level + other.amplitude for other in reacted]))
    if after - before > _APART * _scatter(levels):
        return _left_or_right(onset, before, after)
    if onset.level <= np.max(levels):
        return onset
    return dataclasses.replace(
        onset,
        outcome=Outcome.AMBIGUOUS,
        reasons=("no rise, and beyond all others before theirs",),
        after=math.nan,
        before=math.nan,
    )


def _without_the_idle(
    one: HalfOnsets, before: HalfOnsets, spacing: float
) -> HalfOnsets:
    """Leaves out what looks over at the first frame, but has nothing to undo.

    A particle that does not react in a charge is dark in the discharge that follows,
    as one is that has reacted there. Where the film shows neither the end of the one
    nor the start of the other, it may have done both.
    """
    follows = one.half.number == before.half.number + 1
    if not follows or one.half.charges == before.half.charges:
        return one
    last = {onset.particle: onset for onset in before.onsets}
    ends = before.half.end - 2 * spacing, one.half.start + 2 * spacing
    reason = f"did not react in {before.half.name}, so has nothing to undo"
    left = {"outcome": Outcome.EXCLUDED, "reasons": (reason,)}
    left |= {"after": math.nan, "before": math.nan}
    onsets = []
    for onset in one.onsets:
        mine = last[onset.particle]
        over = onset.outcome is Outcome.LEFT and math.isnan(onset.amplitude)
        idle = mine.outcome is Outcome.RIGHT and math.isnan(mine.amplitude)
        if over and idle and (mine.after >= ends[0] or onset.first <= ends[1]):
            onset = dataclasses.replace(onset, **left)
        onsets.append(onset)
    return dataclasses.replace(one, onsets=tuple(onsets))


def _scatter(levels: Float[np.ndarray, " particle"]) -> float:
    """Their standard deviation: of many by the median one, which of few may be 0 where
    most agree and one lies far away.
    """
    if 1 < levels.size < _FEW:
        return float(np.std(levels, ddof=1))
    return _ROBUST * float(np.median(np.abs(levels - np.median(levels))))


def _own_levels(particle: str, found: Sequence[HalfOnsets]):
    """(dark, bright) of a particle in the first half cycle in which it reacted."""
    for half in found:
        for onset in half.onsets:
            if onset.particle == particle and onset.has_reacted:
                ends = onset.level, onset.level + onset.amplitude
                return tuple(sorted(half.sign * end for end in ends))
    return None
