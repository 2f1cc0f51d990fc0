"""Opens TIFF stacks: of ImageJ, OME, and plain ones of many pages."""

import contextlib
import logging
import lzma
import struct
import threading
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from .sources import Source, check_content, check_one_size
from .stamps import UNITS, Stamps, date_seconds, read_stamps, zone_seconds

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DATE_TAG = 306
_TIME_AXES = "TZIQ"  # as which a film may be stored; ImageJ often says Z
_LUMA = np.array([0.299, 0.587, 0.114])  # of red, green, blue
_MOST_CHANNELS = 7  # of ImageJ; tifffile says C of a film whose axes it is not told


def open_tiff(path: Path) -> Source:
    """The frames of a TIFF stack.

    Raises:
        ValueError: naming the file and why it is no film.
    """
    if check_content(path)[:4] not in _MAGIC:
        raise ValueError(
            f"{path.name} must be a TIFF by its name, but is not by its content; give "
            "it the ending of what it is."
        )
    try:
        with _complaints() as said:
            stack = tifffile.TiffFile(path)
            try:
                return _source(path, stack, said)
            except BaseException:
                stack.close()
                raise
    except (
        tifffile.TiffFileError,
        struct.error,
        IndexError,
        OverflowError,
    ) as error:
        raise ValueError(
            f"{path.name} must be a whole TIFF, but cannot be read ({error}); copy it "
            "again."
        ) from None


def read_image(path: Path) -> np.ndarray:
    """The one image in a TIFF file.

    Raises:
        ValueError: for a stack.
    """
    source = open_tiff(path)
    if source.num_frames != 1:
        raise ValueError(
            f"{path.name} must hold one image, but holds {source.num_frames}; give one "
            "of them."
        )
    return source.read(0)


@contextlib.contextmanager
def _complaints():
    """What tifffile logs inside the block, kept from the terminal."""
    said: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())

    logger, listener = logging.getLogger("tifffile"), Listener(logging.WARNING)
    passes, logger.propagate = logger.propagate, False
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)
        logger.propagate = passes


def _source(path: Path, stack: tifffile.TiffFile, said: list[str]) -> Source:
    """The frames of an open stack; closes it where it is not needed any more."""
    if not stack.pages:
        raise ValueError(f"{path.name} must hold images, but holds none.")
    series, single = stack.series[0], len(stack.series) == 1
    if single:
        pages = series.pages
        if series.kind == "uniform":
            _check_uniform(path)
        num_frames, notes = _count_frames(path, series.axes, series.shape)
    else:
        _check_alike(path, stack)
        pages, num_frames, notes = stack.pages, len(stack.pages), ()
    notes += _turned_notes(path, stack) + tint_notes(path, stack)
    in_one_piece = single and series.dataoffset is not None
    _check_whole(path, stack, pages, num_frames, in_one_piece, said)
    stamps, interval, origin = _stamps(stack, num_frames)
    if in_one_piece:
        stack.close()
        read = _read_plain(path, series, num_frames)
    else:
        read = _read_pages(path, stack, pages, num_frames)
    return Source(read, num_frames, stamps, interval, origin, notes=notes)


def _check_alike(path: Path, stack) -> None:
    """Raises ValueError unless several series are frames that were written one by one.

    tifffile makes a series of each where they were, and where sizes differ.
    """
    pages, count = stack.pages, len(stack.series)
    names = [f"page {k + 1} of {path.name}" for k in range(len(pages))]
    check_one_size(names, [page.shape for page in pages])
    kinds = {(page.shape, page.dtype) for page in pages}
    # Series of OME are places in the specimen.
    if len(pages) != count or len(kinds) > 1 or stack.is_ome:
        raise ValueError(
            f"{path.name} must hold one series of frames, but holds {count}; save the "
            "film alone."
        )


def _check_uniform(path: Path) -> None:
    """Raises ValueError unless all pages are alike, of which tifffile looks at a few
    and reads the others by the first.
    """
    with tifffile.TiffFile(path) as stack:
        stack.pages.useframes = False
        kinds = [(page.shape, page.dtype) for page in stack.pages]
    names = [f"page {k + 1} of {path.name}" for k in range(len(kinds))]
    check_one_size(names, [shape for shape, _ in kinds])
    for name, kind in zip(names, kinds, strict=True):
        if kind != kinds[0]:
            raise ValueError(
                f"All frames must be of one kind, but {name} holds {_kind(*kind)} and "
                f"page 1 {_kind(*kinds[0])}; save them alike."
            )


def _kind(shape, dtype) -> str:
    """`gray of uint8` or `3 channels of uint16`."""
    return f"{'gray' if len(shape) == 2 else f'{shape[2]} channels'} of {dtype}"


def _count_frames(path: Path, axes: str, shape) -> tuple[int, tuple[str, ...]]:
    """Number of frames, and notes, of a series with these axes."""
    sizes = {a: n for a, n in zip(axes, shape, strict=True) if n > 1 or a in "YX"}
    moving = [a for a in sizes if a in _TIME_AXES]
    if not moving and sizes.get("C", 0) > _MOST_CHANNELS:
        return sizes["C"], (
            f"{path.name} calls its {sizes['C']} images channels; they were taken for "
            "frames in time.",
        )
    if "C" in sizes:
        remedy = "split them, or make the stack RGB"
        if not moving:
            remedy += ", or save frames with the axes TYX"
        raise ValueError(
            f"{path.name} must have one channel or be RGB, but has {sizes['C']} "
            f"channels; {remedy}."
        )
    if len(moving) > 1:
        found = ", ".join(f"{a} of {sizes[a]}" for a in moving)
        raise ValueError(
            f"{path.name} must be a stack over time, but has the axes {found}; keep "
            "one slice of each instant."
        )
    strange = [a for a in sizes if a not in _TIME_AXES + "YXS"]
    if strange or "Y" not in sizes or "X" not in sizes:
        raise ValueError(
            f"{path.name} must be a stack of images over time, but has the axes {axes}."
        )
    if not moving:
        return 1, ()
    if moving == ["Z"]:
        return sizes["Z"], (
            f"{path.name} calls its {sizes['Z']} images slices in depth; they were "
            "taken for frames in time.",
        )
    return sizes[moving[0]], ()


def _turned_notes(path: Path, stack) -> tuple[str, ...]:
    """A note on frames that are shown turned or mirrored."""
    orientation = stack.pages[0].tags.get("Orientation")
    if orientation is None or orientation.value == 1:
        return ()
    return (
        f"{path.name} is marked as turned (Orientation); pixels were left as stored, "
        "as ImageJ does, so draw regions on them unturned.",
    )


def tint_notes(path: Path, stack) -> tuple[str, ...]:
    """Notes on numbers that are not shown as grays from black to white.

    ImageJ measures numbers, and only shows them in the colours of a table.

    Raises:
        ValueError: where numbers name colours in no order of brightness.
    """
    page = stack.pages[0]
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        return (
            f"{path.name} shows small numbers bright (MinIsWhite); they were read as "
            "stored, so that what is shown bright is dark here.",
        )
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return ()
    colors = np.asarray(page.colormap, float)
    if np.ptp(colors, axis=0).max() == 0 and np.all(np.diff(colors[0]) > 0):
        return ()  # grays
    if not stack.is_imagej and np.any(np.diff(_LUMA @ colors) < 0):
        raise ValueError(
            f"{path.name} must hold brightness, but its numbers name colours of a "
            "table (palette); save it as gray or RGB."
        )
    return (
        f"{path.name} shows its numbers in the colours of a table (palette); the "
        "numbers were read, not the colours.",
    )


def _check_whole(path, stack, pages, num_frames: int, in_one_piece: bool, said) -> None:
    """Raises ValueError for a file that ends before its last frame; of OME, frames may
    go on in files beside it.
    """
    declared = num_frames
    if stack.is_imagej:
        declared = max(num_frames, int(stack.imagej_metadata.get("images", 1)))
    series = stack.series[0]
    if in_one_piece:
        each = series.nbytes // num_frames
        held = max(0, path.stat().st_size - series.dataoffset) // each
    else:
        cut = (k for k, page in enumerate(pages) if not _is_whole(page))
        held = next(cut, len(pages))
    broken = any("invalid page offset" in text for text in said)
    if held < declared or (broken and held <= declared):
        whole = f"of {declared} frames" if declared > 1 else "of frames"
        absent = any("failed to read" in text for text in said)
        rest = ", and beside it the files that hold the rest" if absent else ""
        raise ValueError(
            f"{path.name} must be a whole stack {whole}, but is cut off after "
            f"frame {min(held, declared)}; copy it again{rest}."
        )


def _is_whole(page) -> bool:
    """Whether all of a page is in its file; not where there is no page."""
    if page is None:
        return False
    parts = zip(page.dataoffsets, page.databytecounts, strict=True)
    size = Path(page.parent.filehandle.path).stat().st_size
    return max(start + count for start, count in parts) <= size


def _read_plain(path: Path, series, num_frames: int) -> Callable[[int], np.ndarray]:
    """Reads frames that lie one after another, without holding the file in memory."""
    image = tuple(
        n for a, n in zip(series.axes, series.shape, strict=True) if a in "YXS"
    )
    planar = series.axes.endswith("YX") and "S" in series.axes
    count = int(np.prod(image))
    dtype = series.keyframe.dtype.newbyteorder(series.keyframe.parent.byteorder)
    first = series.dataoffset

    def read(k: int) -> np.ndarray:
        offset = first + k * count * dtype.itemsize
        raw = np.fromfile(path, dtype, count, offset=offset)
        if raw.size != count:
            raise ValueError(
                f"{path.name} must hold frame {k + 1}, but has become shorter."
            )
        raw = raw.reshape(image).astype(dtype.newbyteorder("="), copy=False)
        return np.moveaxis(raw, 0, -1) if planar else raw

    return read


class _Pages:
    """Decodes pages of a stack that stays open as long as this object lives."""

    def __init__(self, name: str, stack, pages):
        self.name, self.pages = name, pages
        for page in pages:  # of OME, those of other files are closed
            if page is not None:
                page.parent.filehandle.open()
        self._lock = threading.Lock()
        weakref.finalize(self, stack.close)

    def __call__(self, k: int) -> np.ndarray:
        page = self.pages[k]
        if page is None:
            raise ValueError(f"{self.name} must hold frame {k + 1}, but does not.")
        try:
            with self._lock:
                raw = page.asarray()
        except (
            ValueError,
            RuntimeError,
            OSError,
            zlib.error,
            lzma.LZMAError,
            tifffile.TiffFileError,
        ) as error:
            raise ValueError(
                f"{self.name}, frame {k + 1}, must be an image, but cannot be decoded "
                f"({error}); copy the file again."
            ) from None
        raw = np.squeeze(raw)
        planar = raw.ndim == 3 and raw.shape[-1] > 4 >= raw.shape[0]
        return np.moveaxis(raw, 0, -1) if planar else raw


def _read_pages(path: Path, stack, pages, num_frames: int) -> Callable:
    """Reads frames that are packed, or not in one piece."""
    if len(pages) != num_frames:
        raise ValueError(
            f"{path.name} must have one page per frame, but has {len(pages)} for "
            f"{num_frames}; save it as a plain stack."
        )
    return _Pages(path.name, stack, list(pages))


def _stamps(stack, num_frames: int) -> tuple[tuple[Stamps, ...], float, str]:
    """Instants by the camera, then the interval [s] and what told it."""
    found, interval, origin = [], float("nan"), ""
    if stack.is_ome:
        planes, interval = _ome_times(stack.ome_metadata, num_frames)
        found += planes
        origin = "TimeIncrement of OME"
    meta = stack.imagej_metadata if stack.is_imagej else None
    if meta:
        labels = meta.get("Labels") or []
        read = (
            read_stamps(labels, "slice labels") if len(labels) == num_frames else None
        )
        found += [read] if read is not None else []
        unit = UNITS.get(str(meta.get("tunit", "sec")).lower(), float("nan"))
        interval = float(meta.get("finterval", float("nan"))) * unit
        origin = "frame interval of ImageJ"
    if num_frames > 1 and len(stack.pages) == num_frames:
        found += _tag_times(stack.pages)
    return tuple(found), interval if interval > 0 else float("nan"), origin


def _tag_times(pages) -> list[Stamps]:
    """Instants by the tag DateTime of every page, where it moves on."""
    ends = [_tag(page) for page in (pages[0], pages[-1])]
    if not all(ends) or ends[0] == ends[1]:
        return []
    texts = [_tag(page) for page in pages]
    read = read_stamps(texts, "DateTime tags")
    return [] if read is None else [read]


def _tag(page) -> str:
    """The tag DateTime of a page; empty where it has none."""
    # Pages that share the tags of the first have none of their own.
    tags = getattr(page, "tags", {})
    return str(getattr(tags.get(_DATE_TAG), "value", ""))


def _ome_times(text: str, num_frames: int) -> tuple[list[Stamps], float]:
    """Instants by DeltaT of the planes, and TimeIncrement [s]."""
    try:
        image = ElementTree.fromstring(text).find("{*}Image")
        pixels = image.find("{*}Pixels")
    except (ElementTree.ParseError, AttributeError):
        return [], float("nan")
    unit = UNITS.get(pixels.get("TimeIncrementUnit", "s"), float("nan"))
    interval = float(pixels.get("TimeIncrement", "nan")) * unit
    planes = pixels.findall("{*}Plane")
    if len(planes) != num_frames or any(p.get("DeltaT") is None for p in planes):
        return [], interval
    delta = np.array(
        [
            float(p.get("DeltaT")) * UNITS.get(p.get("DeltaTUnit", "s"), np.nan)
            for p in planes
        ]
    )
    date = image.find("{*}AcquisitionDate")
    text = "" if date is None else date.text or ""
    begun, zone = date_seconds(text), zone_seconds(text)
    start = (begun or 0.0) - (zone or 0.0)
    return [Stamps(delta + start, "DeltaT of OME", begun is not None)], interval
