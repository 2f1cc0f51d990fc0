"""Opens folders of pictures (PNG, JPEG, TIFF), one per frame, and single pictures."""

import re
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image

from ..wording import counted
from . import tiff
from .sources import CURVED, Source, check_content, check_one_size, natural_key
from .stamps import Stamps, hour_twice, is_day_first, read_stamps, without_stamp

_PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_TIFFS = (".tif", ".tiff")
_USUAL = 0.8  # of the pictures, whose names are of one form
_PNG, _DEPTH = b"\x89PNG\r\n\x1a\n", 24  # how it begins; place of its bits
_ORIENTATION, _EXIF, _TAKEN, _PART, _WRITTEN = 0x0112, 0x8769, 0x9003, 0x9291, 0x0132


def open_folder(path: Path) -> Source:
    """The pictures of a folder in the natural order of their names (img2 < img10).

    Where names differ in their instants only, that is the order of these.

    Raises:
        ValueError: naming the folder or the picture that cannot be used.
    """
    files = sorted(
        (p for p in path.iterdir() if p.is_file() and not p.name.startswith(".")),
        key=lambda p: natural_key(p.name),
    )
    images = [p for p in files if p.suffix.lower() in (*_PICTURES, *_TIFFS)]
    images = _in_order_of_time(path, images)
    if not images:
        raise ValueError(
            f"{path.name} must hold PNG, JPEG or TIFF pictures, but holds "
            f"{files[0].name if files else 'no files'}; name the folder of the frames."
        )
    heads = [_head(p) for p in images]
    check_one_size([p.name for p in images], [head.size for head in heads])
    names = [p.stem for p in images]
    notes = _folder_notes(images, heads, len(files) - len(images))
    notes += _odd_names(images)
    stamps = [
        read_stamps([head.date for head in heads], "dates of the pictures"),
        read_stamps(names, "names of the files"),
    ]
    if stamps[-1] is None and is_day_first(names[0]):
        notes.append(
            f"The date in {images[0].name} does not begin with the year, so day and "
            "month cannot be told apart; it was not used."
        )
    # What never changes is no frame's instant, but an exposure or the day of a run.
    told = (s for s in stamps if s is not None and np.ptp(s.seconds) > 0)
    modified = np.array([p.stat().st_mtime for p in images])
    return Source(
        lambda k: read_picture(images[k]),
        len(images),
        tuple(told),
        numbers=_numbers(names),
        modified=Stamps(modified, "dates at which the files were written", dated=True),
        notes=tuple(notes),
    )


def _numbers(names: Sequence[str]) -> np.ndarray | None:
    """Numbers of pictures from 0, where their names differ by one number and leave some
    out; None where they do not.
    """
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({len(part) for part in parts}) > 1:
        return None
    columns = list(zip(*parts, strict=True))
    differ = [k for k, column in enumerate(columns) if len(set(column)) > 1]
    if len(differ) != 1 or differ[0] % 2 == 0:
        return None
    values = np.array([int(text) for text in columns[differ[0]]], float)
    steps = np.diff(values)
    usual = np.median(steps)
    if not usual > 0 or np.all(steps == usual) or np.any(steps <= 0):
        return None
    numbers = (values - values[0]) / usual
    return numbers if np.all(numbers == np.round(numbers)) else None


def _odd_names(images: Sequence[Path]) -> list[str]:
    """A note on few pictures whose names are of another form than those of others."""
    forms = [re.sub(r"\d+", "#", path.stem) for path in images]
    ((usual, count),) = Counter(forms).most_common(1)
    odd = [p.name for p, form in zip(images, forms, strict=True) if form != usual]
    if not odd or count < _USUAL * len(images):
        return []
    several = "pictures have names of another form than others"
    names = counted(len(odd), "picture has a name of another form than others", several)
    return [f"{names} (the first is {odd[0]}); take out what is no frame of its own."]


def _in_order_of_time(folder: Path, images: Sequence[Path]) -> list[Path]:
    """Pictures by the instants in their names, where these say nothing else.

    Raises:
        ValueError: where they cannot be in order, as a clock was set back.
    """
    names = [p.stem for p in images]
    stamps = read_stamps(names, "names of the files")
    if stamps is None or len(set(map(without_stamp, names))) > 1:
        return list(images)
    hour = hour_twice(stamps.seconds) if stamps.local else None
    if hour is not None:
        raise ValueError(
            f"{folder.name} must tell the order of its pictures, but {hour} holds "
            "twice as many as the hours beside it, as where a clock is set back in "
            "autumn; put a number before their names, and give the interval."
        )
    return [images[k] for k in np.argsort(stamps.seconds, kind="stable")]


def read_picture(path: Path) -> np.ndarray:
    """The raw values of one picture, (height, width) or (height, width, channel).

    Raises:
        ValueError: naming a file that is no picture, cut off, or would lose values.
    """
    if path.suffix.lower() in _TIFFS:
        return tiff.read_image(path)
    try:
        with PIL.Image.open(path) as image:
            mode = image.mode
            if image.mode in ("P", "PA"):
                image = image.convert("RGBA" if "A" in image.mode else "RGB")
            elif image.mode == "LA":
                image = image.convert("L")
            elif image.mode == "CMYK":
                image = image.convert("RGB")
            raw = np.asarray(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        PIL.Image.DecompressionBombError,
    ) as error:
        raise ValueError(
            f"{path.name} must be a whole picture, but cannot be read ({error}); copy "
            "it again."
        ) from None
    _check_depth(path, mode)
    return raw.astype(np.uint16) if raw.dtype == np.int32 else raw


def _check_depth(path: Path, mode: str) -> None:
    """Raises ValueError for a PNG of 16 bits of which Pillow gives the upper 8 only."""
    with path.open("rb") as stream:
        head = stream.read(_DEPTH + 1)
    if head.startswith(_PNG) and head[_DEPTH] == 16 and not mode.startswith("I"):
        raise ValueError(
            f"{path.name} must be gray without transparency where it has 16 bits, but "
            "has several channels, of which only 8 bits could be read; save it as TIFF."
        )


class _Head(NamedTuple):
    """What a picture tells without its pixels."""

    size: tuple[int, ...]  # height, width
    mode: str
    orientation: int
    date: str
    notes: tuple[str, ...] = ()


def _head(path: Path) -> _Head:
    """What a picture tells without its pixels."""
    check_content(path)
    if path.suffix.lower() in _TIFFS:
        return _tiff_head(path)
    try:
        with PIL.Image.open(path) as image:
            # Where a PNG has no such data, Pillow decodes all of it to look for some.
            empty = image.format == "PNG" and "exif" not in image.info
            exif = PIL.Image.Exif() if empty else image.getexif()
            taken = exif.get_ifd(_EXIF)
            date = str(taken.get(_TAKEN) or exif.get(_WRITTEN) or "").strip("\0 ")
            if _PART in taken:
                date += f".{str(taken[_PART]).strip()}"
            size = (image.height, image.width)
            notes = _curve_notes(path, image)
            return _Head(size, image.mode, exif.get(_ORIENTATION, 1), date, notes)
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{path.name} must be a picture, but cannot be read ({error}); copy it "
            "again, or take it out of the folder."
        ) from None


def _curve_notes(path: Path, image) -> tuple[str, ...]:
    """A note on a PNG that tells of a curve (gAMA or sRGB)."""
    linear = image.info.get("gamma", 1.0) == 1.0 and "srgb" not in image.info
    if image.format != "PNG" or linear:
        return ()
    return (
        f"{path.name} tells that it keeps brightness on a curve (gamma, sRGB): where "
        f"that is so, and not only told, {CURVED}.",
    )


def _tiff_head(path: Path) -> _Head:
    """As `_head`, of a TIFF."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as stack:
            pages, page = len(stack.pages), stack.pages[0]
            shape = (page.imagelength, page.imagewidth)
            tag = page.tags.get("DateTime")
            orientation = page.tags.get("Orientation")
            notes = tiff.tint_notes(path, stack)
    except (tifffile.TiffFileError, struct.error, IndexError) as error:
        raise ValueError(
            f"{path.name} must be a whole TIFF, but cannot be read ({error}); copy it "
            "again."
        ) from None
    if pages != 1:
        raise ValueError(
            f"{path.name} must hold one image, as it is one of the frames of a folder, "
            f"but holds {pages}; name the stack itself, or save its images one by one."
        )
    value = 1 if orientation is None else int(orientation.value)
    date = "" if tag is None else str(tag.value)
    return _Head(shape, "TIFF", value, date, notes)


def _folder_notes(images: Sequence[Path], heads, num_others: int) -> list[str]:
    notes = []
    if num_others:
        several = "files of the folder are no pictures"
        others = counted(num_others, "file of the folder is no picture", several)
        notes.append(f"{others}; left aside.")
    pairs = list(zip(images, heads, strict=True))
    turned = [p.name for p, head in pairs if head.orientation != 1]
    if 0 < len(turned) < len(images):
        raise ValueError(
            f"All frames must be turned alike, but {turned[0]} is marked as turned "
            f"(EXIF) and {len(images) - len(turned)} others are not; save them alike."
        )
    if turned:
        notes.append(
            f"{turned[0]} and all others are marked as turned (EXIF); pixels were left "
            "as stored, as ImageJ does, so draw regions on them unturned."
        )
    modes = {head.mode for head in heads}
    if modes & {"P", "PA"}:
        notes.append("Pictures with a palette were turned into colours.")
    if any(p.suffix.lower() in (".jpg", ".jpeg") for p in images):
        notes.append(
            f"JPEG keeps brightness on a curve (gamma) and loses detail: {CURVED}."
        )
    tinted = [note for head in heads for note in head.notes]
    if tinted:
        so = f"So it is in {len(tinted)} of {len(images)} pictures."
        notes.append(f"{tinted[0]} {so}")
    if len(modes) > 1:
        notes.append(f"Pictures are of several kinds: {', '.join(sorted(modes))}.")
    return notes
