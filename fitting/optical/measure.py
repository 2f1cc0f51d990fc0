"""From a film and regions to traces: the brightness of particles in every frame."""

import dataclasses
import functools
import math
import os
import warnings
import zlib
from collections.abc import Callable

import numpy as np

from .. import wording
from . import illumination
from .frames import Film, in_order
from .illumination import NO_CORRECTION, Correction, Ground
from .quality import SATURATED, Quality, quality_notes
from .regions import Regions
from .registration import Shifts, register
from .sampling import MOST_GAPS, filled, in_field, moved_back, values_at
from .tilts import Tilt, gains_of
from .traces import Traces

_IN_FIELD = 0.9  # of a particle's pixels, for its intensity to count
_FILLED = 0.1  # of a value, from where it does not count
_AT_WHITE = 1.0001  # whites, up to where a value is white: 12 bits part by more
_TRIMMED = 0.1  # at each end
_SPARED, _LEAST_SPARED = 0.1, 15  # share and number of pixels that are never full
_AS_MUCH = 0.9  # of the change of all pixels
_TILT = ("slope", "chance")
_PLATEAU, _RISING = 0.1, 0.25  # of a trace's range at each end, inside and outside
_CROSSED = 1 / 4  # of that range, by which pixels differ where a front crosses (1/2)


def median(values: np.ndarray) -> float:
    """The median of a particle's pixels."""
    return float(np.median(values))


def mean(values: np.ndarray) -> float:
    """The mean of a particle's pixels."""
    return float(values.mean())


def trimmed_mean(values: np.ndarray) -> float:
    """The mean without the darkest and the brightest 10 %, which must not be those that
    react first and last.
    """
    cut = int(_TRIMMED * values.size)
    inner = np.partition(values, (cut, values.size - 1 - cut))
    return float(inner[cut : values.size - cut].mean())


@dataclasses.dataclass(frozen=True)
class _Look:
    """What one frame shows."""

    intensity: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    num_pixels: np.ndarray
    num_saturated: np.ndarray
    full: np.ndarray
    num_gaps: int
    gain: float
    tilt: Tilt
    focus: float
    checksum: int


def measure(
    film: Film,
    regions: Regions,
    *,
    shifts: Shifts | None = None,
    statistic: Callable[[np.ndarray], float] = trimmed_mean,
    correct: Correction = NO_CORRECTION,
    workers: int | None = None,
    shown: Callable[[int], None] = lambda _: None,
) -> tuple[Traces, Quality]:
    """The intensity of every particle in every frame, and how good it is.

    I = statistic[(raw - dark) / flat] g(0) / g(t), g being the brightness of ground
    that does not react, beside the particle where light leans to a side (`tilts`).
    Regions move with the scene. Frames that are flagged are NaN. Of a particle that a
    front crosses, trimming would cut its first and its last pixels to react, and a
    fifth of its duration: there `trimmed_mean` gives way to `mean`. Of a particle that
    saturates, pixels that do so in one frame are left out of all, where 10 % or more of
    them (and 15) remain that change by as much; the film is then read twice.

    Args:
        film: its frames.
        regions: of the particles, in the frame whose shift is 0.
        shifts: of the frames; found here where they are not given.
        statistic: of a particle's pixels: `trimmed_mean`, `mean` or `median`, which
            moves in whole grey levels where a film has 8 bits.
        correct: taken off every frame.
        workers: threads; by default one per core.
        shown: called with the number of frames done, anew where it is read twice.

    Raises:
        ValueError: for regions of another size, or a film without a usable frame.
    """
    if regions.shape != film.shape:
        raise ValueError(
            f"Regions must be of frames as large as the film, {film.shape}, but are of "
            f"{regions.shape}."
        )
    workers = workers or os.cpu_count() or 1
    if shifts is None:
        shifts = register(film, away=regions.around, workers=workers)
    ground = illumination.find_ground(
        film, shifts, regions.near, correct, workers=workers
    )
    look = functools.partial(_look, film, shifts, ground, correct, statistic)
    looks, spared = _unclipped(look, regions, shifts.lost, workers, shown)
    traces, quality, means = _gathered(film, regions, shifts, ground, looks, spared)
    traces = _with_spared(traces, spared)
    if statistic is trimmed_mean:
        traces = _with_fronts(traces, quality.sd, means)
    return traces, quality


def _unclipped(look, regions, lost, workers: int, shown):
    """(what every frame shows, which particles without pixels that saturate in one that
    is not lost: a flash fills all).
    """
    pixels = np.concatenate(regions.pixels, axis=1)
    ends = np.cumsum([p.shape[1] for p in regions.pixels])
    at = functools.partial(look, pixels, ends)
    lost = lost & ~np.all(lost)
    looks, full = _looks(at, lost, workers, shown)
    own = np.split(np.arange(pixels.shape[1]), ends[:-1])
    seen = [looks[k] for k in np.flatnonzero(~lost)]
    kept, spared = _unsaturated(seen, own, full)
    if any(spared):  # again, for a pixel must count in all frames or in none
        ends = np.cumsum([k.size for k in kept])
        at = functools.partial(look, pixels[:, np.concatenate(kept)], ends)
        again, _ = _looks(at, lost, workers, shown)
        spared = np.array(spared) & _react_as_much(looks, again)
        looks = [_of_some(*both, spared) for both in zip(looks, again, strict=True)]
    return looks, spared


def _looks(look, lost, workers: int, shown):
    """What every frame shows, and whether a pixel is full in one that is not lost."""
    looks, full = [], np.zeros(0, bool)
    for found in in_order(look, range(len(lost)), workers=workers):
        own = found.full & ~lost[len(looks)]
        full = own | full if full.size else own
        looks.append(dataclasses.replace(found, full=np.zeros(0, bool)))
        shown(len(looks))
    return looks, full


def _unsaturated(looks, own, full) -> tuple[list[np.ndarray], list[bool]]:
    """(the pixels that count of every particle, whether some do not).

    A pixel that is full after a rise shows less of it, and makes it early and short;
    others show all. Of a particle with few others these may not be its own.
    """
    share = SATURATED * np.array([look.num_pixels for look in looks])
    worst = np.any(np.array([look.num_saturated for look in looks]) > share, axis=0)
    left = [k[~full[k]] for k in own]
    enough = [
        k.size >= max(_SPARED * o.size, _LEAST_SPARED)
        for k, o in zip(left, own, strict=True)
    ]
    spared = [bool(w and e) for w, e in zip(worst, enough, strict=True)]
    pairs = zip(spared, left, own, strict=True)
    return [new if s else old for s, new, old in pairs], spared


def _react_as_much(looks, again) -> np.ndarray:
    """Whether pixels that are never full change by as much as all, or more.

    Else they are not the particle's own, or of a part that does not react.
    """
    changes = []
    for seen in (looks, again):
        levels = np.stack([look.intensity / look.gain for look in seen], axis=1)
        with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of frames without any
            low, high = np.nanpercentile(levels, (5, 95), axis=1)
            changes.append((high - low) / low)
    return changes[1] > _AS_MUCH * changes[0]


def _of_some(first: _Look, again: _Look, spared) -> _Look:
    """A look at all pixels with values of some of them for particles so measured."""
    values = {
        name: np.where(spared, getattr(again, name), getattr(first, name))
        for name in ("intensity", "mean", "sd")
    }
    return dataclasses.replace(first, **values)


def _with_spared(traces: Traces, spared) -> Traces:
    """The traces, with a note on particles whose full pixels were left out."""
    names = [k for k, is_one in zip(traces.labels, spared, strict=True) if is_one]
    if not names:
        return traces
    were = wording.verb(names, "was", "were")
    note = (
        f"{wording.particles(names)} {were} measured in all frames without the pixels "
        "that are saturated in one of them, so that no rise is cut."
    )
    return dataclasses.replace(traces, notes=(*traces.notes, note))


def _look(film, shifts, ground: Ground, correct, statistic, pixels, ends, k) -> _Look:
    """What one frame shows in regions, which end in the row of pixels at `ends`."""
    dy, dx = float(shifts.dy[k]), float(shifts.dx[k])
    raw = film.frame(k)
    corrected = correct(raw)
    whole, num_gaps = filled(corrected)
    frame = moved_back(whole, dy, dx)
    inside = in_field(pixels, film.shape, dy, dx)
    if num_gaps:
        gaps = moved_back((~np.isfinite(corrected)).astype(np.float32), dy, dx)
        inside &= values_at(gaps, pixels) < _FILLED
    values = np.split(values_at(frame, pixels), ends[:-1])
    inside = np.split(inside, ends[:-1])
    nearest = values_at(raw, pixels, round(dy), round(dx))
    # What is above the white of a film that was guessed from a few frames is not cut.
    at_white = (nearest >= film.white) & (nearest <= _AT_WHITE * film.white)
    full = np.split(at_white, ends[:-1])
    near = at_white
    if dy % 1 or dx % 1:  # a value is then made of its neighbours' too
        white = (raw >= film.white) & (raw <= _AT_WHITE * film.white)
        if white.any():
            part = moved_back(white.astype(np.float32), dy, dx)
            near = at_white | (np.abs(values_at(part, pixels)) >= _FILLED)
    seen = [v if np.all(w) else v[w] for v, w in zip(values, inside, strict=True)]
    enough = [v.size >= _IN_FIELD * w.size for v, w in zip(seen, inside, strict=True)]
    pairs = list(zip(seen, enough, strict=True))
    return _Look(
        np.array([statistic(v) if e else np.nan for v, e in pairs]),
        np.array([v.mean() if e else np.nan for v, e in pairs]),
        np.array([v.std() if e else np.nan for v, e in pairs]),
        np.array([v.size for v in seen]),
        np.array([np.sum(s & w) for s, w in zip(full, inside, strict=True)]),
        near,
        num_gaps,
        ground.gain(frame),
        ground.tilt(frame),
        ground.focus(frame, k),
        zlib.crc32(raw),
    )


def _gathered(
    film, regions, shifts, ground, looks, spared
) -> tuple[Traces, Quality, np.ndarray]:
    """Traces, their quality and plain means from what all frames show."""
    gain = np.array([look.gain for look in looks])
    focus = np.array([look.focus for look in looks])
    gaps = np.array([look.num_gaps for look in looks])
    flags = {"gaps": gaps > MOST_GAPS * np.prod(film.shape)}
    flags |= _flags(shifts, gain, focus, [look.checksum for look in looks])
    kept = ~np.any(list(flags.values()), axis=0)
    if not np.any(kept):
        counts = ", ".join(f"{name} {found.sum()}" for name, found in flags.items())
        raise ValueError(
            f"{film.name} must have a frame that can be used, but all "
            f"{film.num_frames} are flagged ({counts}); look at the film."
        )
    gain = gain / gain[np.argmax(kept)]
    beside, told = _beside(looks, ground, regions, kept)
    with np.errstate(divide="ignore", invalid="ignore"):
        intensity, means, sd = (
            np.stack([getattr(look, name) for look in looks], axis=1) / (gain * beside)
            for name in ("intensity", "mean", "sd")
        )
    intensity[:, ~kept] = means[:, ~kept] = np.nan
    quality = Quality(
        shifts.dy,
        shifts.dx,
        shifts.correlation,
        gain,
        focus,
        flags,
        np.stack([look.num_pixels for look in looks], axis=1),
        sd,
        np.stack([look.num_saturated for look in looks], axis=1),
    )
    notes = film.notes + regions.notes + shifts.notes + ground.notes
    cut = ~np.asarray(spared)
    notes += quality_notes(quality, regions.labels, shifts.jumped, shifts.search, cut)
    notes += told + _field_notes(regions, intensity, kept, gaps[kept])
    traces = Traces(film.time, regions.labels, intensity, film.scale, film.start, notes)
    return traces, quality, means


def _beside(looks, ground: Ground, regions, kept):
    """Light beside particles over that in the middle, (particle, frame), and notes."""
    tilts = Tilt(*(np.array([getattr(look.tilt, n) for look in looks]) for n in _TILT))
    beside, most = gains_of(tilts, ground.pixels, regions.centre, kept)
    if not most:
        return beside, ()
    return beside, (
        f"The light leans to a side by up to {most:.0%} over the ground more than in "
        "the first frame; it was corrected where particles lie.",
    )


def _with_fronts(traces: Traces, sd, means) -> Traces:
    """The traces, with the plain means of particles that a front crosses."""
    pairs = zip(traces.intensity, sd, strict=True)
    crossed = np.array([_is_crossed(row, spread) for row, spread in pairs])
    if not np.any(crossed):
        return traces
    names = [k for k, is_one in zip(traces.labels, crossed, strict=True) if is_one]
    are, their = wording.verb(names, "is its", "are their").split()
    note = (
        f"{wording.particles(names)} {are} crossed by a front, so that all of {their} "
        "pixels count: trimmed, durations would come out short."
    )
    return dataclasses.replace(
        traces,
        intensity=np.where(crossed[:, None], means, traces.intensity),
        notes=(*traces.notes, note),
    )


def _is_crossed(row: np.ndarray, sd: np.ndarray) -> bool:
    """Whether pixels differ by far more while a particle rises than before and after.

    Of two levels, 1 apart and half of the pixels at each, the deviation is 1/2.
    """
    row, sd = row[np.isfinite(row)], sd[np.isfinite(row)]
    if not row.size:
        return False
    low, high = np.percentile(row, (1, 99))
    share = (row - low) / max(high - low, 1e-12)
    rising = (share > _RISING) & (share < 1 - _RISING)
    ends = [sd[share < _PLATEAU], sd[share > 1 - _PLATEAU]]
    usual = max((float(np.median(end)) for end in ends if end.size), default=0.0)
    # Where a trace changes by less than its pixels differ, it may be noise.
    if not rising.any() or high - low < usual:
        return False
    more = math.sqrt(max(float(np.median(sd[rising])) ** 2 - usual**2, 0.0))
    return more > _CROSSED * (high - low)


def _flags(shifts: Shifts, gain, focus, checksums) -> dict[str, np.ndarray]:
    """Frames to mask, by reason."""
    repeated = np.diff(checksums, prepend=checksums[0] + 1) == 0
    dark = illumination.is_dark(gain)
    usable = ~(dark | shifts.lost | repeated)
    blurred = illumination.is_blurred(focus, usable)
    blurred |= illumination.is_blurred(shifts.correlation, usable)
    good = usable & ~blurred
    artefact = np.zeros(len(gain), bool)
    if good.sum() > 2 and np.all(np.isfinite(focus[good])):
        at = np.flatnonzero(good)
        both = illumination.jumps(gain[at]) & illumination.jumps(focus[at])
        artefact[at[both]] = True
    return {
        "lost": shifts.lost,
        "dark": dark,
        "blurred": blurred,
        "artefact": artefact,
        "repeated": repeated,
    }


def _field_notes(regions: Regions, intensity, kept, gaps) -> tuple[str, ...]:
    """On pixels without a number, and on particles that leave the field."""
    notes, where = (), ""
    if np.any(gaps):
        where = ", or on pixels without a number,"
        notes = (
            "Pixels without a finite number were left out of intensities: up to "
            f"{gaps.max()} in a frame, in {np.sum(gaps > 0)} of {gaps.size} frames.",
        )
    missing = np.sum(~np.isfinite(intensity[:, kept]), axis=1)
    out = {k: n for k, n in zip(regions.labels, missing.tolist(), strict=True) if n}
    if not out:
        return notes
    lie, it = wording.verb(out, "lies", "lie"), wording.verb(out, "it", "them")
    return (
        *notes,
        f"{wording.particles(list(out))} {lie} outside the field{where} by more than "
        f"10 % in {wording.span(out.values())} frames, which are masked for {it}.",
    )
