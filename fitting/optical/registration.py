"""Shifts of frames against a reference: rigid, to a few hundredths of a pixel.

A frame is band-passed (difference of Gaussians over the local deviation), tapered and
correlated with the reference. Both steps keep brightness and flicker out of the shift;
particles, whose edges grow with their brightness, are left out of the reference.
"""

import dataclasses
import functools
import os
from collections.abc import Callable

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float

from .bands import Bands, Ground, band_passed, bands_of, ground_of
from .frames import Film, in_order
from .peaks import highest, refined
from .sampling import MOST_GAPS, filled

_AVERAGED = 24  # frames whose mean is the reference
_BLOCK = 32  # frames between looks at whether the reference still serves
_DROP = 0.5  # of the correlation, at which the reference is taken anew
_LOW = 0.25  # of a good frame's correlation, below which a shift is not believed
_GOOD = 0.9  # quantile of a film's correlations: that of a good frame
_SAMPLES = 12  # frames, spread over the film, by which the first reference is chosen
_AGREEING = 4  # more than one in so many of them show what it shows
_CHANCE, _MOST_CHANCE = 16.0, 0.3  # see `_Reference.chance`
_SURE = 1.25  # times chance, from where two frames agree without doubt
_PEAKS, _APART = 6, 4  # tried of a frame that agrees badly; px between them
_MOSTLY = 0.5  # of all frames; where so many are lost, particles are looked at too
_AGREES = 0.7  # of a good frame's correlation, from where one of them is right


@dataclasses.dataclass(frozen=True)
class Shifts:
    """By how much the scene lies further down and right in each frame.

    Attributes:
        dy: downwards [px].
        dx: to the right [px].
        correlation: normalised, of the band-passed frame with its reference, -1 to 1.
        lost: frames whose shift is not to be believed.
        at_edge: frames whose best shift lies at the edge of the search range.
        jumped: frames that moved by more than `jump` since the one before.
        references: frames that served as reference.
        search: largest shift that was looked for [px].
        notes: what a user should know of them.
    """

    dy: Float[np.ndarray, " frame"]
    dx: Float[np.ndarray, " frame"]
    correlation: Float[np.ndarray, " frame"]
    lost: Bool[np.ndarray, " frame"]
    at_edge: Bool[np.ndarray, " frame"]
    jumped: Bool[np.ndarray, " frame"]
    references: tuple[int, ...]
    search: float
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Reference:
    ground: Ground | None  # None where nothing is left out
    weights: np.ndarray  # squared window, and 0 where it is left out
    of_weights: np.ndarray  # conjugate spectrum
    of_image: np.ndarray  # that of the band-passed image times its weights
    tapered: np.ndarray  # that of the band-passed image times the window
    energy: float  # weighted; 0 where there is nothing in it
    dy: float  # where the reference frame itself lies
    dx: float

    @property
    def chance(self) -> float:
        """Largest correlation, over all shifts, with a frame of something else.

        That of n independent numbers is a few times 1 / sqrt(n). Here n is the number
        of pixels that have weight, of which some ten beside each other depend on each
        other.
        """
        n = self.weights.sum() ** 2 / np.vdot(self.weights, self.weights)
        return min(_CHANCE / float(np.sqrt(n)), _MOST_CHANCE)


def register(
    film: Film,
    *,
    away: Callable[[float], Bool[np.ndarray, "height width"]] | None = None,
    reference: int | None = None,
    search: float = 64.0,
    jump: float = 5.0,
    workers: int | None = None,
    shown: Callable[[int], None] = lambda _: None,
) -> Shifts:
    """The shift of every frame against one that is kept as long as it serves.

    Args:
        film: its frames must have something to hold on to beside the particles.
        away: gives the pixels, in the reference, of what changes and of so many px
            around it, such as `Regions.around`; they are left out, unless most frames
            are then lost and fewer than half of these are with them.
        reference: frame whose shift is 0; by default the first that shows what others
            show.
        search: largest shift that is looked for [px]; at most a third of the frame.
        jump: step from one frame to the next that is flagged [px].
        workers: threads; by default one per core.
        shown: called with the number of frames done.

    Returns:
        shifts; those of lost frames are the neighbours' by linear interpolation.
    """
    workers = workers or os.cpu_count() or 1
    search = min(search, min(film.shape) / 3)
    bands, count = bands_of(film.shape), film.num_frames
    ground, notes = ground_of(film.shape, bands, away)
    found = np.full((count, 3), np.nan)
    begin = reference
    if begin is None:
        begin = _first_of_many(film, bands, ground, search)
    order = [*range(begin, count), *range(begin - 1, -1, -1)]
    kept = _reference(film, bands, ground, search, order[:_AVERAGED])
    references, best, k = [begin], 0.0, 0
    while k < count:
        block = order[k : k + _BLOCK]
        near = found[order[k - 1], :2] if k else (0.0, 0.0)
        one = functools.partial(_shift, film, bands, kept, search, near)
        found[block] = list(in_order(one, block, workers=workers))
        _seek(film, bands, kept, search, found, order[: k + _BLOCK], block, workers)
        typical = _median(found[block, 2])
        last = _last_good(found, order[:k], best)
        if typical < _DROP * best and last != references[-1]:
            # The block is looked at again, from the last frame that still agreed.
            place = order.index(last)
            recent = order[max(place - _AVERAGED + 1, 0) : place + 1][::-1]
            kept = _reference(film, bands, ground, search, recent, found[last, :2])
            references.append(last)
            best = 0.0
            continue
        best = max(best, typical)
        k += len(block)
        shown(k)
    shifts = _judged(found, search, jump, references, kept.chance, bands.binning)
    if reference is None:
        shifts = _from_first_good(shifts)
    shifts = dataclasses.replace(shifts, notes=notes + shifts.notes)
    if ground is None or np.mean(shifts.lost) < _MOSTLY:
        return shifts
    options = {"search": search, "jump": jump, "workers": workers, "shown": shown}
    whole = register(film, reference=reference, **options)
    return _the_whole(whole) if whole.lost.sum() < 0.5 * shifts.lost.sum() else shifts


def _the_whole(shifts: Shifts) -> Shifts:
    """Shifts by whole frames, with a note on why."""
    note = (
        "What lies between the particles shows too little to tell most shifts by, so "
        "they were taken from the particles too, whose change may move them by up to "
        "0.1 px."
    )
    return dataclasses.replace(shifts, notes=(note, *shifts.notes))


def _seek(film, bands, kept, search, found, done, block, workers) -> None:
    """Looks again, at several places, for frames of a block that agree badly.

    Where little is left of a small frame beside particles, the largest correlation of
    whole pixels may be one by chance.
    """
    again = functools.partial(_best_of_peaks, film, bands, kept, search)
    for _ in block:
        good = _good(found[done, 2])
        known = np.array([k for k in done if found[k, 2] >= _DROP * good])
        bad = [k for k in block if found[k, 2] < _DROP * good]
        if not (known.size and bad):
            return
        near = [found[known[np.argmin(np.abs(known - k))], :2].copy() for k in bad]
        news = np.array(
            list(in_order(again, zip(bad, near, strict=True), workers=workers))
        )
        right = news[:, 2] >= _AGREES * good
        if not np.any(right):
            return
        # Those that now agree show where to look for the others.
        found[np.array(bad)[right]] = news[right]


def _good(correlation) -> float:
    """That of a good frame; 0 where there is none."""
    finite = correlation[np.isfinite(correlation)]
    return float(np.quantile(finite, _GOOD)) if finite.size else 0.0


def _first_of_many(film, bands: Bands, ground, search: float) -> int:
    """The first frame that shows what a part of a spread sample shows.

    A frame that is dark or of another scene does not. Where the scene changes, no frame
    agrees with most others, so more than a quarter is enough; where none agrees with so
    many, it is the one that agrees with most.
    """
    sample = np.unique(np.linspace(0, film.num_frames - 1, _SAMPLES).astype(int))
    enough = len(sample) // _AGREEING + 1
    best, most = 0, -1
    for k in [*range(min(_AVERAGED, film.num_frames)), *sample.tolist()]:
        kept, agreeing = _reference(film, bands, ground, search, [k]), 0
        for other in sample if kept.energy > 0 else ():
            alike = _shift(film, bands, kept, search, (0.0, 0.0), int(other))[2]
            agreeing += other != k and alike > _SURE * kept.chance
            if agreeing == enough:
                return k
        if kept.energy > 0 and agreeing > most:
            best, most = k, agreeing
    return best


def _from_first_good(shifts: Shifts) -> Shifts:
    """Shifts against the first frame that is surely right, as regions are drawn on it.

    That is the first reference, or a frame before it that agrees with it after all.
    """
    sure = ~shifts.lost & (shifts.correlation > _DROP * shifts.correlation.max())
    first = int(np.argmax(sure[: shifts.references[0] + 1]))
    if shifts.references[0] == 0 or not sure[first]:
        return shifts
    notes = ()
    if first:
        notes = (
            f"Shifts are counted from frame {first + 1}, the first that shows what "
            "others show, so regions must be drawn on it.",
        )
    dy, dx = shifts.dy - shifts.dy[first], shifts.dx - shifts.dx[first]
    return dataclasses.replace(shifts, dy=dy, dx=dx, notes=notes)


def _median(values) -> float:
    """Median of the finite values, 0 where there is none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else 0.0


def _last_good(found, frames, best: float) -> int:
    """The latest frame whose correlation is still a typical one."""
    for k in reversed(frames):
        if found[k, 2] > _DROP * best:
            return k
    return frames[0] if frames else -1


def _judged(found, search, jump, references, chance: float, binning: int) -> Shifts:
    """Flags, and shifts in place of those that cannot be believed."""
    dy, dx, correlation = found.T
    with np.errstate(invalid="ignore"):
        agreeing = correlation[correlation > chance]
        good = _good(agreeing) if agreeing.size else chance
        at_edge = np.maximum(np.abs(dy), np.abs(dx)) >= search - binning
        lost = ~(correlation > max(_LOW * good, chance)) | at_edge
    # A reference that agrees with itself alone tells nothing.
    lost |= np.sum(~lost) < 2
    known = np.flatnonzero(~lost)
    every = np.arange(len(dy))
    if known.size:
        dy, dx = (np.interp(every, known, d[known]) for d in (dy, dx))
    else:
        dy = dx = np.zeros(len(every))
    step = np.hypot(np.diff(dy, prepend=dy[0]), np.diff(dx, prepend=dx[0]))
    return Shifts(
        dy,
        dx,
        np.nan_to_num(correlation),
        lost,
        at_edge,
        (step > jump) & ~lost,
        tuple(references),
        search,
    )


def _reference(film, bands: Bands, ground, search: float, frames, place=(0.0, 0.0)):
    """A first frame at a known place, and others that agree with it, averaged."""
    weights = (bands.rows * bands.columns) ** 2
    if ground is not None:
        ground = ground.moved(tuple(round(float(n) / bands.binning) for n in place))
        weights = weights * ground.inner
    frame, _ = filled(film.frame(frames[0]))
    total = scipy.fft.rfft2(band_passed(bands, frame, ground, (0, 0)))
    first, number = _of_spectrum(total, weights, ground), 1
    fy = scipy.fft.fftfreq(weights.shape[0]).astype(np.float32)[:, None]
    fx = scipy.fft.rfftfreq(weights.shape[1]).astype(np.float32)
    places = [_shift(film, bands, first, search, (0.0, 0.0), k) for k in frames[1:]]
    # A few frames at a wrong place would draw others there.
    most = max((c for *_, c in places if np.isfinite(c)), default=0.0)
    for k, (y, x, correlation) in zip(frames[1:], places, strict=True):
        if not correlation > max(_LOW, _DROP * most):
            continue
        y, x = y / bands.binning, x / bands.binning
        frame, _ = filled(film.frame(k))
        fine = band_passed(bands, frame, ground, (round(y), round(x)))
        angle = 2 * np.pi * ((y - round(y)) * fy + (x - round(x)) * fx)
        total = total + scipy.fft.rfft2(fine) * np.exp(1j * angle).astype(np.complex64)
        number += 1
    return _of_spectrum(total / number, weights, ground, place)


def _of_spectrum(spectrum, weights, ground, place=(0.0, 0.0)) -> _Reference:
    """The reference of a band-passed image."""
    image = scipy.fft.irfft2(spectrum, s=weights.shape)
    images = weights, image * weights, image * np.sqrt(weights)
    return _Reference(
        *(ground, weights),
        *(np.conj(scipy.fft.rfft2(one)) for one in images),
        float(np.vdot(image, images[1])),
        *map(float, place),
    )


def _shift(film, bands: Bands, kept: _Reference, search: float, near, k: int):
    """(dy, dx, correlation) of a frame f; NaN for one with nothing in it.

    A window that follows the scene finds the whole pixel; `near` is looked at first.
    Then comes the shift d with the largest sum over x of
    w(x) [r(x) f(x + d) - a f(x + d)^2 / 2], w being the weights of the reference r:
    with a = 1 that of the least squared difference. Without the square, shifts would
    be drawn to where f is strong. Where the scene has changed, a = <w r f> / <w r^2>
    is less.
    """
    frame = _frame(film, kept, k)
    if frame is None:
        return np.nan, np.nan, np.nan
    return _placed(bands, kept, search, frame, _whole(bands, kept, near))


def _frame(film, kept: _Reference, k: int):
    """A frame that can be compared with the reference; None where it cannot."""
    frame, gaps = filled(film.frame(k))
    empty = kept.energy == 0 or frame.min() == frame.max()
    return None if empty or gaps > MOST_GAPS * frame.size else frame


def _whole(bands: Bands, kept: _Reference, near) -> tuple[int, int]:
    """A shift in whole (binned) pixels from the reference, 0 where it is not known."""
    return tuple(
        round((float(n) - o) / bands.binning) if np.isfinite(n) else 0
        for n, o in zip(near, (kept.dy, kept.dx), strict=True)
    )


def _best_of_peaks(film, bands: Bands, kept: _Reference, search: float, frame_near):
    """As `_shift`, the best of what `near` and several peaks of correlation lead to."""
    k, near = frame_near
    frame = _frame(film, kept, k)
    if frame is None:
        return np.nan, np.nan, np.nan
    surface, _ = _surface(bands, kept, frame, (0, 0))
    starts = [_whole(bands, kept, near)]
    for _ in range(_PEAKS):
        starts.append(highest(surface, search / bands.binning, (0, 0)))
        rows, columns = (
            np.arange(n - _APART, n + _APART + 1) % size
            for n, size in zip(starts[-1], surface.shape, strict=True)
        )
        surface[np.ix_(rows, columns)] = -np.inf
    places = (_placed(bands, kept, search, frame, start) for start in starts)
    return max(places, key=lambda place: place[2])


def _surface(bands: Bands, kept: _Reference, frame, whole):
    """Correlation by further whole shifts, and the band-passed frame."""
    seen = band_passed(bands, frame, kept.ground, whole)
    spectrum = scipy.fft.rfft2(seen * bands.rows * bands.columns) * kept.tapered
    return scipy.fft.irfft2(spectrum, s=seen.shape), seen


def _placed(bands: Bands, kept: _Reference, search: float, frame, whole):
    """(dy, dx, correlation) of a frame, looked for from a whole shift on."""
    for _ in range(3):
        surface, seen = _surface(bands, kept, frame, whole)
        step = highest(surface, search / bands.binning, whole)
        if max(map(abs, step)) <= 1:
            break
        whole = (whole[0] + step[0], whole[1] + step[1])
        step = (0, 0)
    squared = seen**2
    strength = max(float(np.vdot(kept.weights, squared)), 1e-20)
    half = 0.5 * float(np.clip(surface[step] / kept.energy, 0.0, 1.0))
    difference = scipy.fft.rfft2(seen) * kept.of_image
    difference -= half * scipy.fft.rfft2(squared) * kept.of_weights
    y, x, top = refined(difference, seen.shape, step)
    return (
        kept.dy + bands.binning * (whole[0] + y),
        kept.dx + bands.binning * (whole[1] + x),
        (top + half * strength) / np.sqrt(kept.energy * strength),
    )
