"""Opens films: TIFF stacks, folders of pictures and videos, frame by frame."""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from . import frame_times, pictures, tiff, video
from .sources import Source

_SAMPLE = 9  # frames that are looked at when a film is opened
_TWELVE_BITS = 4095


@dataclasses.dataclass(frozen=True)
class Film:
    """Frames and their instants; never more than a few frames are in memory.

    Attributes:
        name: of the file or folder.
        time: of the frames [s], increasing, 0 at the first unless times were given.
        time_source: where they come from, a sentence.
        read: the raw frame of a number; may be called by several threads at once.
        shape: (height, width) [px].
        scale: raw value that 1 stands for.
        white: value at which pixels are full [units of scale], inf where not known;
            where others are above it, it is none.
        start: instant at which `time` is 0 [s since 1970, UTC], NaN where not known.
        notes: what was repaired or looks wrong, one sentence each.
    """

    name: str
    time: Float[np.ndarray, " frame"]
    time_source: str
    read: Callable[[int], np.ndarray]
    shape: tuple[int, int]
    scale: float
    white: float = 1.0
    start: float = float("nan")
    notes: tuple[str, ...] = ()

    @property
    def num_frames(self) -> int:
        """How many frames there are."""
        return len(self.time)

    def frame(self, k: int) -> Float[np.ndarray, "height width"]:
        """A frame in units of `scale`; of colours the unweighted mean, as in ImageJ."""
        raw = self.read(k)
        if raw.shape[:2] != self.shape:
            raise ValueError(
                f"{self.name}, frame {k + 1}, must have {self.shape[1]} x "
                f"{self.shape[0]} px, but has {raw.shape[1]} x {raw.shape[0]}."
            )
        gray = raw.astype(np.float32) if raw.ndim == 2 else _mean_colour(raw)
        gray *= np.float32(1 / self.scale)
        return gray

    def __iter__(self) -> Iterator[Float[np.ndarray, "height width"]]:
        """All frames in order, one being read ahead."""
        return in_order(self.frame, range(self.num_frames), workers=1)


def _mean_colour(raw: np.ndarray) -> np.ndarray:
    """Mean of red, green and blue; what is transparent counts as it is."""
    colours = raw[..., :3] if raw.shape[-1] >= 3 else raw[..., :1]
    total = colours[..., 0].astype(np.float32)
    for channel in range(1, colours.shape[-1]):
        total += colours[..., channel]
    total *= np.float32(1 / colours.shape[-1])
    return total


def in_order(call: Callable, items, *, workers: int) -> Iterator:
    """`call` of every item by threads, in the order of items, a few of them ahead."""
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    waiting: list[concurrent.futures.Future] = []
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) > workers + 1:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def open_film(
    path: str | os.PathLike,
    *,
    interval: float | None = None,
    times: np.ndarray | str | os.PathLike | None = None,
) -> Film:
    """A film and the instants of its frames.

    Instants come from the first of: `times`, `interval`, metadata of the camera, names
    of the files, the interval stored in the file, dates of the files. The rate at
    which a video plays is never taken for them.

    Args:
        path: a TIFF stack, a folder of PNG, JPEG or TIFF pictures, or a video.
        interval: between frames [s], those counted that names of pictures leave out.
        times: of all frames [s], or a CSV file with a column of them (`time_s`).

    Raises:
        ValueError: one sentence naming file or frame, what is wrong, and the remedy.
        OSError: for a file that cannot be read.
    """
    path = Path(path)
    if times is not None and interval is not None:
        raise ValueError(
            "Either times of frames or an interval must be given, not both."
        )
    source = _open(path)
    if source.num_frames < 2:
        raise ValueError(
            f"{path.name} must hold two frames or more, but holds {source.num_frames}; "
            "name the whole stack, or the folder of pictures."
        )
    told = frame_times.frame_times(path, source, interval, times)
    first = source.read(0)
    if first.ndim > 3 or min(first.shape[:2]) < 16:
        raise ValueError(
            f"{path.name} must hold images of 16 x 16 px or more, but the first has "
            f"the shape {first.shape}."
        )
    scale, notes = _scale(path, source, first)
    return Film(
        path.name,
        told.time,
        told.origin,
        source.read,
        first.shape[:2],
        scale,
        float("inf") if first.dtype.kind == "f" else 1.0,
        told.start,
        source.notes + told.notes + notes,
    )


def _open(path: Path) -> Source:
    if path.is_dir():
        return pictures.open_folder(path)
    if not path.exists():
        raise FileNotFoundError(2, "there is no such file or folder", str(path))
    ending = path.suffix.lower()
    if ending in (".tif", ".tiff", ".btf", ".tf8"):
        return tiff.open_tiff(path)
    if ending in video.ENDINGS:
        return video.open_video(path)
    raise ValueError(
        f"{path.name} must be a TIFF stack, a folder of pictures or a video, but ends "
        f"in '{path.suffix}'; name the folder of a picture, or save the film as TIFF."
    )


def _scale(path: Path, source: Source, first) -> tuple[float, tuple[str, ...]]:
    """Raw value that 1 stands for, and notes, from a few frames of the film."""
    chosen = np.unique(np.linspace(0, source.num_frames - 1, _SAMPLE).astype(int))
    frames = [source.read(int(k)) for k in chosen]
    kinds = {frame.dtype for frame in frames} | {first.dtype}
    if len(kinds) > 1:
        raise ValueError(
            f"{path.name} must hold frames of one bit depth, but holds "
            f"{' and '.join(sorted(map(str, kinds)))}; save them alike."
        )
    notes = list(_colour_notes(first))
    if first.dtype.kind == "f":
        scale, found = _float_scale(path, frames)
    else:
        scale, found = _whole_scale(path, first.dtype, frames)
    return scale, (*notes, *found)


def _colour_notes(first) -> Iterator[str]:
    if first.ndim == 3:
        yield (
            f"Frames have {first.shape[-1]} channels; the brightness is the unweighted "
            "mean of red, green and blue."
        )


def _float_scale(path: Path, frames):
    """Scale and notes of numbers; of those that are not finite, `measure` tells."""
    finite = [frame[np.isfinite(frame)] for frame in frames]
    if not any(values.size for values in finite):
        raise ValueError(
            f"{path.name} must hold finite numbers, but {len(frames)} of its frames "
            "that were looked at hold none; check the file."
        )
    top = max(float(values.max(initial=-np.inf)) for values in finite)
    bottom = min(float(values.min(initial=np.inf)) for values in finite)
    notes = []
    if top > 1:
        notes.append(
            f"Frames are numbers up to {top:g}; they were left as they are, and 1 "
            "stands for 1."
        )
    if bottom < 0:
        notes.append(
            f"Frames hold negative numbers down to {bottom:g}; a background seems to "
            "have been taken off already."
        )
    return 1.0, tuple(notes)


def _whole_scale(path: Path, dtype, frames):
    """Scale and notes of whole numbers: 255, 4095 where 12 bits suffice, or 65535."""
    top = max(float(frame.max()) for frame in frames)
    if dtype.kind == "b":
        raise ValueError(
            f"{path.name} must hold brightness, but holds only black and white (bool); "
            "save the frames as they were before they were thresholded."
        )
    if dtype.kind != "u" or dtype.itemsize > 2:
        raise ValueError(
            f"{path.name} must hold 8 or 16 bit whole numbers without a sign, or "
            f"floats, but holds {dtype}; save it as unsigned 16 bit (uint16)."
        )
    if top == 0:
        raise ValueError(
            f"{path.name} must show something, but {len(frames)} of its frames that "
            "were looked at are black; check the file."
        )
    full, notes = float(np.iinfo(dtype).max), []
    if full > _TWELVE_BITS >= top:
        full = float(_TWELVE_BITS)
        notes.append(
            f"No value of the {len(frames)} frames that were looked at is above 4095 "
            f"(the largest is {top:.0f}), so the camera was taken for one of 12 bits, "
            "and 1 stands for 4095."
        )
    elif dtype.itemsize == 2 and all(not np.any(frame & 15) for frame in frames):
        full = 65520.0
        notes.append(
            "All values are multiples of 16, as of a camera of 12 bits whose values "
            "were shifted; 1 stands for 65520."
        )
    if len(frames) > 2 and all(f.min() == 0 and f.max() >= full for f in frames):
        notes.append(
            "Every frame that was looked at uses the whole range from black to white, "
            "as if contrast had been stretched frame by frame; save raw frames."
        )
    return full, tuple(notes)
