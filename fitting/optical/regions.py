"""Where the particles lie in the reference frame."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int

from .. import wording

_LEAST_PIXELS = 9  # after erosion
_FEW_PIXELS = 50
_NAMED = 20  # regions that are too small, beyond which they are counted
_SAME = 0.8  # shared part of two regions that are one


@dataclasses.dataclass(frozen=True)
class Regions:
    """Pixels of each particle; the centre of the first pixel is at (0, 0).

    Attributes:
        labels: of the particles.
        pixels: per particle, rows and columns.
        centre: y and x of each [px].
        radius: of a circle of the same area, before erosion [px].
        shape: (height, width) of the frame.
        notes: what was repaired or looks wrong.
    """

    labels: tuple[str, ...]
    pixels: tuple[Int[np.ndarray, "2 pixel"], ...]
    centre: Float[np.ndarray, "particle 2"]
    radius: Float[np.ndarray, " particle"]
    shape: tuple[int, int]
    notes: tuple[str, ...] = ()

    def mask(self, k: int) -> Bool[np.ndarray, "height width"]:
        """Pixels of one particle as an image."""
        image = np.zeros(self.shape, bool)
        image[tuple(self.pixels[k])] = True
        return image

    def around(self, margin: float) -> Bool[np.ndarray, "height width"]:
        """Pixels in a region, or at most `margin` px away from one."""
        image = np.ones(self.shape, bool)
        for pixels in self.pixels:
            image[tuple(pixels)] = False
        return scipy.ndimage.distance_transform_edt(image) <= margin

    def near(self, halo: float = 1.0) -> Bool[np.ndarray, "height width"]:
        """Pixels in a region, or nearer to its edge than `halo` times its radius.

        With 1 that is two radii around the centre of a circle.
        """
        image = np.zeros(self.shape, bool)
        y, x = np.ogrid[: self.shape[0], : self.shape[1]]
        for (row, column), r, pixels in zip(
            self.centre, self.radius, self.pixels, strict=True
        ):
            # Beyond the farthest pixel of a region by as much as around a circle.
            far = np.hypot(pixels[0] - row, pixels[1] - column).max()
            reach = max(far, r) + halo * r
            image |= (y - row) ** 2 + (x - column) ** 2 <= reach**2
        return image


def ellipse(y: float, x: float, half_height: float, half_width: float):
    """Mask of an ellipse by the centres of pixels, and its first row and column."""
    row, column = int(np.floor(y - half_height)), int(np.floor(x - half_width))
    rows = np.arange(row, int(np.ceil(y + half_height)) + 1)[:, None]
    columns = np.arange(column, int(np.ceil(x + half_width)) + 1)
    mask = ((rows - y) / half_height) ** 2 + ((columns - x) / half_width) ** 2 <= 1
    return mask, row, column


def middle_and_radius(mask: np.ndarray, row: int, column: int):
    """(y, x) of the middle of a mask, and the radius of a circle of its area [px]; NaN
    and 0 of an empty one.
    """
    y, x = np.nonzero(mask)
    if not y.size:
        return (np.nan, np.nan), 0.0
    middle = float(y.mean() + row), float(x.mean() + column)
    return middle, float(np.sqrt(y.size / np.pi))


def regions_of(
    name: str,
    labels: Sequence[str],
    masks: Sequence[tuple[np.ndarray, int, int]],
    shape: tuple[int, int],
    *,
    erode: float = 1.0,
) -> Regions:
    """Regions from the shapes of particles.

    Args:
        name: of the file that they come from, for messages.
        labels: one per particle.
        masks: of each, a small image, and the row and column of its first pixel.
        shape: (height, width) of the film.
        erode: taken off the edge, where light of neighbours mixes in [px].

    Raises:
        ValueError: naming the particle that lies outside or twice, or all too small.
    """
    if not labels:
        raise ValueError(f"{name} must hold one region or more, but holds none.")
    _check_labels(name, labels)
    pixels, centre, radius, cut, areas = [], [], [], {}, []
    for label, (mask, row, column) in zip(labels, masks, strict=True):
        areas.append(int(mask.sum()))
        middle, circle = middle_and_radius(mask, row, column)
        centre.append(middle)
        radius.append(circle)
        inner = np.argwhere(_eroded(mask, erode)).T + np.array([[row], [column]])
        pixels.append(_inside(name, label, inner, middle, shape))
        if pixels[-1].shape[1] < inner.shape[1]:
            cut[label] = 1 - pixels[-1].shape[1] / inner.shape[1]
    _check_sizes(name, labels, pixels, areas, centre)
    few = {
        label: p.shape[1]
        for label, p in zip(labels, pixels, strict=True)
        if p.shape[1] < _FEW_PIXELS
    }
    pixels, shared = _apart(name, labels, pixels, shape)
    notes = _notes(cut, few, shared)
    return Regions(
        tuple(labels),
        tuple(pixels),
        np.array(centre),
        np.array(radius),
        shape,
        notes,
    )


def _notes(cut, few, shared) -> tuple[str, ...]:
    """On particles with a share outside, with few pixels, and with shared ones."""
    notes = []
    if cut:
        verb, their = wording.verb(cut, "is its", "are their").split()
        notes.append(
            f"{wording.particles(list(cut))} {verb} cut by the edge of the frame; "
            f"{wording.span(cut.values(), '.0%')} of {their} pixels are left out."
        )
    if few:
        verb, their = wording.verb(few, "covers its", "cover their").split()
        notes.append(
            f"{wording.particles(list(few))} {verb} {wording.span(few.values())} px "
            f"only, so {their} brightness is noisy."
        )
    if shared:
        notes.append(
            f"{wording.particles(list(shared))} overlap; the "
            f"{wording.span(shared.values())} px that each shares are left out."
        )
    return tuple(notes)


def _check_labels(name: str, labels: Sequence[str]) -> None:
    for k, label in enumerate(labels):
        if not label.strip():
            raise ValueError(
                f"{name}, region {k + 1}, must have a name, but has none; name it."
            )
        if label in labels[:k]:
            raise ValueError(
                f"{name} must name every particle once, but names '{label}' twice "
                f"(regions {labels.index(label) + 1} and {k + 1}); rename one."
            )


def _eroded(mask: np.ndarray, depth: float) -> np.ndarray:
    """Pixels more than `depth` away from the outside."""
    if depth <= 0:
        return mask
    padded = np.pad(mask, 1)
    return (scipy.ndimage.distance_transform_edt(padded) > depth)[1:-1, 1:-1]


def _inside(name, label, pixels, middle, shape) -> np.ndarray:
    """The pixels within the frame."""
    height, width = shape
    y, x = middle
    if np.isnan(y):
        raise ValueError(
            f"{name}, particle '{label}', must have an area, but covers no pixel; draw "
            "it around the particle, or remove it."
        )
    if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
        remedy = "check the file, and that it belongs to this film"
        if -height <= y < 0:
            remedy = "its y axis seems to point up; count y downwards from the top"
        elif 0 <= y < width and 0 <= x < height:
            remedy = "its x and y seem to be exchanged"
        raise ValueError(
            f"{name}, particle '{label}', must lie in the frame of {width} x {height} "
            f"px, but its centre is at x = {x:.4g}, y = {y:.4g}; {remedy}."
        )
    rows, columns = pixels
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return pixels[:, within]


def _check_sizes(name: str, labels, pixels, areas, centre) -> None:
    """Raises ValueError naming all regions that are too small to be measured."""
    small = [k for k, p in enumerate(pixels) if p.shape[1] < _LEAST_PIXELS]
    if not small:
        return
    y, x = np.array(centre)[small].T
    places = [
        f"'{labels[k]}' (x = {column:.4g}, y = {row:.4g})"
        for k, row, column in zip(small, y, x, strict=True)
    ]
    inside = wording.span([pixels[k].shape[1] for k in small])
    whole = wording.span([areas[k] for k in small])
    what, its, edge, cover = wording.verb(
        places, "particle its edge covers", "particles their edges cover"
    ).split()
    raise ValueError(
        f"{name}, {what} {wording.named(places, _NAMED)}, must cover {_LEAST_PIXELS} "
        f"px or more inside {its} {edge}, but {cover} {inside} ({whole} with {its} "
        f"{edge}); remove what is a speck, draw the rest larger, or check that it is "
        "in pixels."
    )


def _apart(name, labels, pixels, shape):
    """Pixels that belong to one region only, and how many others each shares."""
    codes = [p[0].astype(np.int64) * shape[1] + p[1] for p in pixels]
    counted = np.bincount(np.concatenate(codes), minlength=shape[0] * shape[1])
    if counted.max() < 2:
        return pixels, {}
    kept, shared = [], {}
    for k, code in enumerate(codes):
        free = counted[code] == 1
        if np.all(free):
            kept.append(pixels[k])
            continue
        other, share = _largest_share(codes, k)
        if share > _SAME:
            raise ValueError(
                f"{name} must draw every particle once, but '{labels[k]}' and "
                f"'{labels[other]}' share {share:.0%} of their pixels; remove one."
            )
        if free.sum() < _LEAST_PIXELS:
            raise ValueError(
                f"{name}, particle '{labels[k]}', must have {_LEAST_PIXELS} px of its "
                f"own, but shares all but {free.sum()} with others such as "
                f"'{labels[other]}'; draw them apart."
            )
        shared[labels[k]] = int(np.sum(~free))
        kept.append(pixels[k][:, free])
    return kept, shared


def _largest_share(codes, k: int) -> tuple[int, float]:
    """The region that has most in common with one, and how much of both that is."""
    shares = [
        np.isin(code, codes[k]).sum() / len(np.union1d(code, codes[k])) if j != k else 0
        for j, code in enumerate(codes)
    ]
    best = int(np.argmax(shares))
    return best, float(shares[best])
