"""From a film and regions to traces: the brightness of particles in every frame."""

import dataclasses
import functools
import os
import zlib
from collections.abc import Callable

import numpy as np

from .. import wording
from . import illumination
from .frames import Film, in_order
from .illumination import NO_CORRECTION, Correction, Ground
from .quality import Quality, quality_notes
from .regions import Regions
from .registration import Shifts, register
from .sampling import MOST_GAPS, filled, in_field, moved_back, values_at
from .traces import Traces

_IN_FIELD = 0.9  # of a particle's pixels, for its intensity to count
_FILLED = 0.1  # of a value, from where it does not count
_TRIMMED = 0.1  # at each end


def median(values: np.ndarray) -> float:
    """The median of a particle's pixels."""
    return float(np.median(values))


def mean(values: np.ndarray) -> float:
    """The mean of a particle's pixels."""
    return float(values.mean())


def trimmed_mean(values: np.ndarray) -> float:
    """The mean without the darkest and the brightest 10 %."""
    cut = int(_TRIMMED * values.size)
    inner = np.partition(values, (cut, values.size - 1 - cut))
    return float(inner[cut : values.size - cut].mean())


@dataclasses.dataclass(frozen=True)
class _Look:
    """What one frame shows."""

    intensity: np.ndarray
    sd: np.ndarray
    num_pixels: np.ndarray
    num_saturated: np.ndarray
    num_gaps: int
    gain: float
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
    that does not react. Regions move with the scene. Frames that are flagged are NaN.

    Args:
        film: its frames.
        regions: of the particles, in the frame whose shift is 0.
        shifts: of the frames; found here where they are not given.
        statistic: of a particle's pixels: `trimmed_mean`, `mean` or `median`, which
            moves in whole grey levels where a film has 8 bits.
        correct: taken off every frame.
        workers: threads; by default one per core.
        shown: called with the number of frames done.

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
    pixels = np.concatenate(regions.pixels, axis=1)
    ends = np.cumsum([p.shape[1] for p in regions.pixels])
    look = functools.partial(
        _look, film, shifts, ground, correct, statistic, pixels, ends
    )
    looks = []
    for found in in_order(look, range(film.num_frames), workers=workers):
        looks.append(found)
        shown(len(looks))
    return _gathered(film, regions, shifts, ground, looks)


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
    full = np.split(nearest >= film.white, ends[:-1])
    seen = [v if np.all(w) else v[w] for v, w in zip(values, inside, strict=True)]
    enough = [v.size >= _IN_FIELD * w.size for v, w in zip(seen, inside, strict=True)]
    pairs = list(zip(seen, enough, strict=True))
    return _Look(
        np.array([statistic(v) if e else np.nan for v, e in pairs]),
        np.array([v.std() if e else np.nan for v, e in pairs]),
        np.array([v.size for v in seen]),
        np.array([np.sum(s & w) for s, w in zip(full, inside, strict=True)]),
        num_gaps,
        ground.gain(frame),
        ground.focus(frame, k),
        zlib.crc32(raw),
    )


def _gathered(film, regions, shifts, ground, looks) -> tuple[Traces, Quality]:
    """Traces and their quality from what all frames show."""
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
    with np.errstate(divide="ignore", invalid="ignore"):
        intensity = np.stack([look.intensity for look in looks], axis=1) / gain
        sd = np.stack([look.sd for look in looks], axis=1) / gain
    intensity[:, ~kept] = np.nan
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
    notes += quality_notes(quality, regions.labels, shifts.jumped, shifts.search)
    notes += _field_notes(regions, intensity, kept, gaps[kept])
    traces = Traces(film.time, regions.labels, intensity, film.scale, film.start, notes)
    return traces, quality


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
