"""Particles of a label image, such as a segmented tomogram: where, how large, touching.

Every pixel or voxel holds the number of its particle, 0 where there is none.
"""

import os
from pathlib import Path

import numpy as np

from .contents import kind_of

_LARGEST_CONTACT = 0.5  # of the smaller particle's radius, as of touching spheres


def read_label_image(path: str | os.PathLike, size: float) -> dict[str, np.ndarray]:
    """Particles and contacts of a TIFF with labels.

    A stack (z, y, x) has its first page at the collector. One page is a section (z, x)
    with the collector below its last row.

    Args:
        path: of the file.
        size: of a pixel or voxel [m].

    Returns:
        As `particles_of`.

    Raises:
        ValueError: one sentence naming the file and why it is no label image.
    """
    image = _read(Path(path))
    try:
        return particles_of(image[::-1] if image.ndim == 2 else image, size)
    except ValueError as error:
        raise ValueError(f"{Path(path).name}: {error}") from None


def _read(path: Path) -> np.ndarray:
    """The whole numbers in a TIFF.

    Of colours only the last axis is one of samples: some software marks a stack of
    three or four slices as RGB too, whose first axis then seems to be one.
    """
    import tifffile

    kind = kind_of(path)
    if kind is not None and "TIFF" not in kind:
        raise ValueError(
            f"{path.name} must be a TIFF with labels, but is {kind}; save the labels "
            "as a single-channel TIFF, without compression with losses."
        )
    try:
        with tifffile.TiffFile(path) as stack:
            axes, image = stack.series[0].axes, stack.asarray()
    except (tifffile.TiffFileError, ValueError) as error:
        raise ValueError(
            f"{path.name} must be a TIFF with labels, but cannot be read ({error})."
        ) from None
    if axes.endswith("S"):
        raise ValueError(
            f"{path.name} must have one channel with the number of a particle in every "
            f"voxel, but has {image.shape[-1]} (RGB); colours are no labels, so save "
            "it as a single-channel image of whole numbers."
        )
    return image


def particles_of(labels: np.ndarray, size: float) -> dict[str, np.ndarray]:
    r"""Particles and contacts of an array of labels (z, y, x) or (z, x), z upwards.

    Radii are those of the sphere of equal volume, in a section of the disc of equal
    area. Two particles touch where faces are shared; with n_k faces across axis k,

    $$ \pi a^2 = h^2 |n| \; (3D), \quad 2 a = h\, |n| \; (2D), $$

    which counts the steps of an oblique flat border as the border; a is half of the
    smaller radius at most.

    Returns:
        `particle` (labels), `position` (particle, 3 or 2) [m], `radius` [m], `pairs`
        (contact, 2) of particles, `contact_radius` [m].

    Raises:
        ValueError: for an array that holds no labels, or none but 0; a mask, or shades
            of grey; a size that is not positive.
    """
    if not (size > 0 and np.isfinite(size)):
        raise ValueError(f"The size of a voxel must be positive [m], but is {size}.")
    labels = _whole(np.asarray(labels))
    if labels.min(initial=0) < 0:
        raise ValueError(
            "A label image must hold 0 outside and numbers above 0 in particles, but "
            f"holds {labels.min()}; write 0 where there is no particle."
        )
    names, number = np.unique(labels, return_inverse=True)
    number = number.reshape(labels.shape) - int(np.sum(names == 0))
    names = names[names > 0]
    if len(names) == 0:
        raise ValueError(
            "A label image must hold one particle or more, but holds no number above 0."
        )
    _check_numbers(names, number)
    inside = np.nonzero(number >= 0)
    owner = number[inside]
    count = np.bincount(owner)
    axes = [np.bincount(owner, at + 0.5) / count for at in inside[::-1]]
    cells = count / np.pi if labels.ndim == 2 else 0.75 * count / np.pi
    radius = size * cells ** (1.0 / labels.ndim)
    pairs, faces = _shared(number)
    wide = np.linalg.norm(faces, axis=1)
    contact = size * (0.5 * wide if labels.ndim == 2 else np.sqrt(wide / np.pi))
    largest = _LARGEST_CONTACT * np.min(radius[pairs], axis=1)
    return {
        "particle": np.array([str(name) for name in names]),
        "position": size * np.stack(axes, axis=1),
        "radius": radius,
        "pairs": pairs,
        "contact_radius": np.minimum(contact, largest),
    }


def _whole(labels: np.ndarray) -> np.ndarray:
    """Labels as integers; some software writes whole numbers as floating ones."""
    known = labels.ndim in (2, 3) and labels.dtype.kind in "biuf"
    if known and np.all(np.isfinite(labels)) and np.all(labels == np.rint(labels)):
        return labels if labels.dtype.kind in "iu" else labels.astype(np.int64)
    others = ", not all of them whole" if known else ""
    raise ValueError(
        "A label image must hold whole numbers in two or three dimensions, but holds "
        f"{labels.dtype} in {labels.ndim}{others}; write one number a particle, 0 "
        "outside."
    )


def _check_numbers(names: np.ndarray, number: np.ndarray) -> None:
    """Raises ValueError where numbers are no particles: a mask, or shades of grey."""
    if len(names) == 1:
        around = np.ones((3,) * number.ndim)
        from scipy import ndimage  # half a second of a start, for label images alone

        _, pieces = ndimage.label(number == 0, around)
        if pieces > 1:
            raise ValueError(
                f"A label image must hold a number for each particle, but holds one, "
                f"{names[0]}, in {pieces} pieces, as a mask does; label its particles "
                "first, and take out specks."
            )
    cells, faces = np.bincount(number[number >= 0]), np.zeros(len(names), int)
    for axis in range(number.ndim):
        along = np.moveaxis(number, axis, 0)
        same = along[:-1][(along[:-1] == along[1:]) & (along[:-1] >= 0)]
        faces += np.bincount(same, minlength=len(names))
    thin = np.sum(faces < cells)  # lines and single voxels; 2 x 2 have a face each
    if 2 * thin > len(names):
        raise ValueError(
            "A label image must hold a number for each particle, but most of its "
            f"numbers, {thin} of {len(names)}, are scattered as shades of grey are; "
            "save labels without smoothing, scaling or compression with losses."
        )


def _shared(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (contact, 2) of particles that touch, and their shared faces by axis."""
    found = []
    for axis in range(number.ndim):
        before, after = (
            np.moveaxis(number, axis, 0)[part].reshape(-1)
            for part in (slice(None, -1), slice(1, None))
        )
        border = (before != after) & (before >= 0) & (after >= 0)
        ends = np.sort(np.stack([before[border], after[border]], axis=1), axis=1)
        found.append(np.column_stack([ends, np.full(len(ends), axis)]))
    rows, times = np.unique(np.concatenate(found), axis=0, return_counts=True)
    pairs, place = np.unique(rows[:, :2], axis=0, return_inverse=True)
    faces = np.zeros((len(pairs), number.ndim))
    faces[place.reshape(-1), rows[:, 2]] = times
    return pairs, faces
