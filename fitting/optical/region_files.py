"""Opens regions: circles in CSV, ImageJ's .roi and .zip, and label images."""

import dataclasses
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import roifile
import scipy.ndimage

from .. import wording
from ..sheets import read_number, read_rows
from .circles import Circle
from .pictures import read_picture
from .regions import Regions, ellipse, middle_and_radius, regions_of
from .sources import check_content

_CIRCLES = ("x", "y", "r")
_AREAS = (
    roifile.ROI_TYPE.POLYGON,
    roifile.ROI_TYPE.FREEHAND,
    roifile.ROI_TYPE.TRACED,
)
_WHITES = (1, 255, 65535)  # of masks; another number alone is one particle's label
_MOST = 0.5  # of the frame, that no particle covers around another
_HALF = 0.5  # px; ImageJ counts from the corner of the first pixel, we from its centre


def read_regions(
    path: str | os.PathLike,
    shape: tuple[int, int],
    *,
    pixel_size: float | None = None,
    erode: float = 1.0,
) -> Regions:
    """The regions in a file.

    Args:
        path: circles (CSV: `particle,x_px,y_px,r_px`, from the centre of the top left
            pixel, y downwards), ImageJ's .roi or .zip, or a label image (TIFF, PNG;
            0 is background).
        shape: (height, width) of the film.
        pixel_size: for circles in micrometres [um/px].
        erode: taken off the edges [px].

    Raises:
        ValueError: one sentence naming the file and the particle.
        OSError: for a file that cannot be read.
    """
    path = Path(path)
    labels, masks, notes = _drawn(path, shape, pixel_size)
    found = regions_of(path.name, labels, masks, shape, erode=erode)
    return dataclasses.replace(found, notes=tuple(notes) + found.notes)


def read_circles(path: str | os.PathLike, shape: tuple[int, int]) -> tuple[Circle, ...]:
    """Circles of the same centre and area as the regions in a file, to be drawn.

    They may be of any size and overlap: whether a region can be measured is asked where
    it is, and of one that is not a circle, this is not the shape that was.

    Args:
        path: as of `read_regions`.
        shape: (height, width) of the film.

    Raises:
        ValueError: one sentence naming the file and the particle.
        OSError: for a file that cannot be read.
    """
    labels, masks, _ = _drawn(Path(path), shape, None)
    found = []
    for label, mask in zip(labels, masks, strict=True):
        (y, x), radius = middle_and_radius(*mask)
        found.append(Circle(label, x, y, radius))
    return tuple(found)


def _drawn(path: Path, shape, pixel_size: float | None):
    """Labels, masks and notes of the regions in a file, as they are drawn there."""
    check_content(path)
    ending = path.suffix.lower()
    if ending in (".roi", ".zip"):
        return *_imagej(path), ()
    if ending in (".tif", ".tiff", ".png"):
        return _labelled(path, shape)
    if ending in (".csv", ".txt", ".tsv"):
        return *_circles(path, pixel_size, shape), ()
    raise ValueError(
        f"{path.name} must hold regions as .csv, .roi, .zip, .tif or .png, but "
        f"ends in '{path.suffix}'."
    )


def _circles(path: Path, pixel_size: float | None, shape):
    """Labels and masks of the circles in a table."""
    header, rows = read_rows(path)
    unit, size = _circle_unit(path, header, pixel_size)
    labels, masks = [], []
    for line, cells in rows:
        x, y, r = (
            read_number(path, line, f"{c}_{unit}", cells[f"{c}_{unit}"]) / size
            for c in _CIRCLES
        )
        if not 0 < r <= max(shape):
            raise ValueError(
                f"{path.name}, line {line}, column r_{unit}, must be positive and less "
                f"than the frame's {max(shape)} px, but is {r:g} px; check its unit."
            )
        labels.append(cells["particle"])
        masks.append(ellipse(y, x, r, r))
    return labels, masks


def _circle_unit(path: Path, header, pixel_size) -> tuple[str, float]:
    """The unit that columns are in, and how much of it one pixel is."""
    for unit in ("px", "um"):
        if all(f"{c}_{unit}" in header for c in _CIRCLES) and "particle" in header:
            break
    else:
        raise ValueError(
            f"{path.name} must have the columns particle, x_px, y_px, r_px, but has "
            f"{', '.join(header)}."
        )
    if unit == "px":
        return unit, 1.0
    if pixel_size is None or not 0 < pixel_size < np.inf:
        raise ValueError(
            f"{path.name} has circles in um, which needs the size of a pixel; give it, "
            "or give the columns x_px, y_px, r_px."
        )
    return unit, pixel_size


def _imagej(path: Path):
    """Labels and masks of ImageJ's regions."""
    try:
        found = roifile.ImagejRoi.fromfile(path)
    except (
        ValueError,
        struct.error,
        zipfile.BadZipFile,
        IndexError,
        KeyError,
    ) as error:
        raise ValueError(
            f"{path.name} must hold regions of ImageJ, but cannot be read ({error}); "
            "save them again with `More > Save` of the ROI Manager."
        ) from None
    found = found if isinstance(found, list) else [found]
    labels = [roi.name or f"{k + 1}" for k, roi in enumerate(found)]
    masks = [
        _roi_mask(path, label, roi) for label, roi in zip(labels, found, strict=True)
    ]
    return labels, masks


def _roi_mask(path: Path, label: str, roi):
    """Mask of one region of ImageJ, and its first row and column."""
    kind = roi.roitype
    if roi.composite or kind not in (
        roifile.ROI_TYPE.OVAL,
        roifile.ROI_TYPE.RECT,
        *_AREAS,
    ):
        name = "composite" if roi.composite else kind.name.lower()
        raise ValueError(
            f"{path.name}, region '{label}', must be an oval, rectangle, polygon or "
            f"freehand area, but is of the kind {name}; draw it as one area."
        )
    if kind in _AREAS:
        return _polygon(np.asarray(roi.coordinates(), float) - _HALF)
    left, top, width, height = (
        roi.left,
        roi.top,
        roi.right - roi.left,
        roi.bottom - roi.top,
    )
    if roi.subpixelrect:
        left, top, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
    if width <= 0 or height <= 0:
        raise ValueError(
            f"{path.name}, region '{label}', must have an area, but is {width:g} x "
            f"{height:g} px."
        )
    y, x = top + height / 2 - _HALF, left + width / 2 - _HALF
    if kind == roifile.ROI_TYPE.OVAL:
        return ellipse(y, x, height / 2, width / 2)
    corners = [(x - width / 2, y - height / 2), (x + width / 2, y - height / 2)]
    corners += [(x + width / 2, y + height / 2), (x - width / 2, y + height / 2)]
    return _polygon(np.array(corners))


def _polygon(corners: np.ndarray):
    """Mask of a polygon (x, y) by the even-odd rule at the centres of pixels."""
    column, row = np.floor(corners.min(axis=0)).astype(int)
    end_column, end_row = np.ceil(corners.max(axis=0)).astype(int) + 1
    y = np.arange(row, end_row, dtype=float)[:, None]
    x = np.arange(column, end_column, dtype=float)
    mask = np.zeros((y.size, x.size), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        spans = (y1 <= y) != (y2 <= y)
        mask ^= spans & (x < x1 + (y - y1) * (x2 - x1) / (y2 - y1))
    return mask, int(row), int(column)


def _labelled(path: Path, shape):
    """Labels, masks and notes of a label image."""
    image = read_picture(path)
    if image.ndim != 2:
        raise ValueError(
            f"{path.name} must be a label image of one channel, but has the shape "
            f"{image.shape}; save labels as 16 bit gray."
        )
    if image.shape != tuple(shape):
        raise ValueError(
            f"{path.name} must be as large as the film, {shape[1]} x {shape[0]} px, "
            f"but has {image.shape[1]} x {image.shape[0]}; draw it on its frames."
        )
    whole = np.rint(np.nan_to_num(image.astype(float)))
    if np.any(whole != image) or np.any(whole < 0):
        raise ValueError(
            f"{path.name} must hold whole numbers from 0, but holds others; save "
            "labels as 16 bit, without scaling."
        )
    notes, numbers = [], np.unique(whole[whole > 0]).astype(np.int64)
    # Numbers may be any, such as 4294967295, but boxes are found of 1, 2, 3, ….
    labels = np.searchsorted(numbers, whole, "right")
    _check_background(path, labels, numbers)
    if numbers.size == 1 and numbers[0] in _WHITES:
        labels, count = scipy.ndimage.label(labels)
        numbers = np.arange(1, count + 1)
        areas = wording.counted(
            *(count, "connected area was taken for a particle"),
            "connected areas were taken for particles",
        )
        notes.append(f"{path.name} is black and white; its {areas}.")
    names, masks = [str(number) for number in numbers], []
    for place, box in enumerate(scipy.ndimage.find_objects(labels)):
        masks.append((labels[box] == place + 1, box[0].start, box[1].start))
        if scipy.ndimage.label(masks[-1][0], np.ones((3, 3)))[1] > 1:
            notes.append(
                f"Particle '{names[place]}' of {path.name} lies in several pieces."
            )
    return names, masks, notes


def _check_background(path: Path, labels, numbers) -> None:
    """Raises ValueError where what lies around particles has a label, and not 0."""
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    for label in set.intersection(*(set(np.unique(edge)) for edge in edges)) - {0}:
        mask = labels == label
        holes = scipy.ndimage.binary_fill_holes(mask) & ~mask
        if mask.mean() > _MOST and np.any(holes):
            raise ValueError(
                f"{path.name} must be 0 where there is no particle, but its label "
                f"{numbers[label - 1]} covers {mask.mean():.0%} of the frame, around "
                "others; make the background 0, and count labels from 1."
            )
