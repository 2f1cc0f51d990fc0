"""Bad regions: each refused in one sentence, or repaired with a note.

One line of a table is one bad input: its name, how it is made, and what must be said.
"""

import re

import numpy as np
import PIL.Image
import pytest
import roifile
import tifffile

from fitting.optical import region_files

SHAPE = (40, 50)


def text(folder, content, name):
    (folder / name).write_text(content)
    return folder / name


def circles(folder, *rows, header="particle,x_px,y_px,r_px"):
    return text(folder, "\n".join([header, *rows]) + "\n", "circles.csv")


def rois(folder, *found):
    path = folder / "rois.zip"
    roifile.roiwrite(path, list(found), mode="w")
    return path


def labels(folder, image, name="labels.tif"):
    if name.endswith(".tif"):
        tifffile.imwrite(folder / name, image)
    else:
        PIL.Image.fromarray(image).save(folder / name)
    return folder / name


def line_roi():
    roi = roifile.ImagejRoi.frompoints([[1, 1], [20, 20], [30, 10]], name="scale")
    roi.roitype = roifile.ROI_TYPE.POLYLINE
    return roi


MASK = np.zeros(SHAPE, np.uint16)
MASK[5:15, 5:15], MASK[20:32, 25:40] = 1, 7


def spots(*spans):
    """An image of squares numbered 1 and 2 on the diagonal; here 1 is the first two."""
    image = np.zeros(SHAPE, np.uint16)
    for number, (first, last) in zip((1, 2), spans, strict=True):
        image[first:last, first:last] = number
    return image


def pieces():
    image = MASK.copy()
    image[34:39, 3:9] = 1
    return image


def speck():
    image = np.where(MASK > 0, 255, 0).astype(np.uint8)
    image[36, 4] = 255
    return image


def specks():
    image = speck()
    image[37, 25:27] = image[38, 47] = 255
    return image


REGIONS_REFUSED = [
    (
        "micrometres",
        lambda d: circles(d, "a,9,9,5", header="particle,x_um,y_um,r_um"),
        "needs the size of a pixel",
    ),
    (
        "no radius",
        lambda d: circles(d, "a,9,9", header="particle,x_px,y_px"),
        "must have the columns particle, x_px, y_px, r_px",
    ),
    (
        "negative radius",
        lambda d: circles(d, "a,9,9,-5"),
        "line 2, column r_px, must be positive",
    ),
    (
        "huge radius",
        lambda d: circles(d, "a,9,9,500"),
        "less than the frame's 50 px, but is 500 px; check its unit",
    ),
    (
        "a word",
        lambda d: circles(d, "a,nine,9,5"),
        "line 2, column x_px, .* but is 'nine'",
    ),
    ("y points up", lambda d: circles(d, "a,9,-9,5"), "its y axis seems to point up"),
    (
        "x and y exchanged",
        lambda d: circles(d, "a,20,45,4"),
        "x and y seem to be exchanged",
    ),
    (
        "off the image",
        lambda d: circles(d, "a,90,90,4"),
        "'a', must lie in the frame of 50 x 40 px, .* at x = 90, y = 90; check",
    ),
    (
        "three pixels",
        lambda d: circles(d, "a,9,9,2"),
        "must cover 9 px or more .* draw the rest larger",
    ),
    (
        "a speck in a mask",
        lambda d: labels(d, speck()),
        ".x = 4, y = 36., must .* covers 0 .1 with its edge.; remove what is",
    ),
    (
        "specks in a mask",
        lambda d: labels(d, specks()),
        r"particles '\d' .x = 4, y = 36., '\d' .x = 25.5, y = 37. and '\d' .x = 47, "
        "y = 38., must .* cover 0 .1 to 2 with their edges.; remove what is",
    ),
    ("a name twice", lambda d: circles(d, "a,9,9,5", "a,30,20,5"), "names 'a' twice"),
    ("no name", lambda d: circles(d, ",9,9,5"), "region 1, must have a name"),
    (
        "drawn twice",
        lambda d: circles(d, "a,20,20,9", "b,20.2,20,9"),
        "'a' and 'b' share .* remove one",
    ),
    (
        "hidden by others",
        lambda d: circles(d, "a,20,20,4", "b,20,20,12"),
        "px of its own, but shares all but 0",
    ),
    ("no rows", lambda d: circles(d), "one row or more below its header"),
    (
        "a line",
        lambda d: rois(d, line_roi()),
        "region 'scale', must be an oval.* kind polyline",
    ),
    (
        "an area of nothing",
        lambda d: rois(d, roifile.ImagejRoi.frompoints([[4, 4], [9, 4]], name="s")),
        "particle 's', must have an area, but covers no pixel; draw it around",
    ),
    (
        "broken zip",
        lambda d: text(d, "PKxx", "rois.zip"),
        "cannot be read .* `More > Save`",
    ),
    ("broken roi", lambda d: text(d, "Iout", "a.roi"), "must hold regions of ImageJ"),
    (
        "labels of another size",
        lambda d: labels(d, MASK[:30]),
        "as large as the film, 50 x 40 px, but has 50 x 30",
    ),
    (
        "labels in colour",
        lambda d: labels(d, np.stack([MASK] * 3, -1).astype(np.uint8), "l.png"),
        "of one channel, but has the shape",
    ),
    (
        "labels with fractions",
        lambda d: labels(d, MASK * np.float32(0.3)),
        "whole numbers from 0",
    ),
    ("no label", lambda d: labels(d, 0 * MASK), "one region or more, but holds none"),
    (
        "a background that is not 0",
        lambda d: labels(d, np.where(MASK == 0, 7, MASK - 1).astype(np.uint16)),
        "must be 0 where there is no particle, but its label 7 covers",
    ),
    (
        "black particles on white",
        lambda d: labels(d, np.where(MASK == 0, 255, 0).astype(np.uint8)),
        "must be 0 where there is no particle, but its label 255 covers",
    ),
    (
        "a label of 4 px",
        lambda d: labels(d, spots((5, 7), (20, 35))),
        "particle '1' .x = 5.5, y = 5.5., must cover 9",
    ),
    ("another ending", lambda d: text(d, "x", "regions.json"), "but ends in '.json'"),
]


@pytest.mark.parametrize(
    ("make", "words"), [pytest.param(*row[1:], id=row[0]) for row in REGIONS_REFUSED]
)
def test_regions_that_cannot_be_used_are_refused(tmp_path, make, words):
    with pytest.raises(ValueError, match=words) as caught:
        region_files.read_regions(make(tmp_path), SHAPE)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).endswith(".")


REGIONS_NOTED = [
    (
        "overlap",
        lambda d: circles(d, "a,15,20,8", "b,27,20,8"),
        "Particles 'a' and 'b' overlap; the .* px that each shares are left out",
    ),
    ("cut by the edge", lambda d: circles(d, "a,2,20,8"), "'a' is cut by the edge of"),
    (
        "overlaps of many",
        lambda d: circles(d, *(f"{k},{6 + 5 * k},20,4" for k in range(6))),
        "^Particles '0', '1', '2', '3' and 2 others overlap; the ",
    ),
    ("few pixels", lambda d: circles(d, "a,20,20,4"), "'a' covers .* px only"),
    (
        "black and white",
        lambda d: labels(d, np.where(MASK > 0, 255, 0).astype(np.uint8)),
        "black and white; its 2 connected areas",
    ),
    (
        "in pieces",
        lambda d: labels(d, pieces()),
        "Particle '1' of labels.tif lies in several pieces",
    ),
]


@pytest.mark.parametrize(
    ("make", "words"), [pytest.param(*row[1:], id=row[0]) for row in REGIONS_NOTED]
)
def test_regions_that_are_odd_are_noted(tmp_path, make, words):
    found = region_files.read_regions(make(tmp_path), SHAPE)
    assert sum(bool(re.search(words, note)) for note in found.notes) == 1
