"""What every kind of film brings: raw frames by number, and when they were taken."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .stamps import Stamps

_LFS = b"version https://git-lfs"
CURVED = (
    "times of sudden jumps hold, midpoints of slow ones come early (by 4 % of their "
    "duration where brightness doubles, by 8 % where it grows fourfold), and slopes "
    "and durations may be off"
)
"""What a curve of brightness (gamma of 2.2) does; shifts are those of a logistic."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Frames as they were stored.

    Attributes:
        read: the raw frame of a number, (height, width) or (height, width, channel);
            may be called by several threads at once.
        num_frames: that can be read.
        stamps: instants of the frames, the most trusted source first.
        interval: between frames, where the file tells it [s], else NaN.
        interval_origin: what told it.
        numbers: of the frames, 0 first and some left out, where their names tell.
        modified: instants at which the files were last written, if one per frame.
        notes: what was repaired or looks wrong.
    """

    read: Callable[[int], np.ndarray]
    num_frames: int
    stamps: tuple[Stamps, ...] = ()
    interval: float = float("nan")
    interval_origin: str = ""
    numbers: np.ndarray | None = None
    modified: Stamps | None = None
    notes: tuple[str, ...] = ()


def natural_key(name: str) -> list:
    """A key that sorts img2 before img10."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts]


def check_content(path: Path) -> bytes:
    """The first bytes of a file.

    Raises:
        ValueError: for an empty file, or a pointer in place of a large file.
    """
    with path.open("rb") as stream:
        head = stream.read(64)
    if not head:
        raise ValueError(f"{path.name} must be an image, but is empty; copy it again.")
    if head.startswith(_LFS):
        raise ValueError(
            f"{path.name} must be an image, but is a git-LFS pointer to one; fetch it "
            "with `git lfs pull`."
        )
    return head


def check_one_size(names: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises ValueError naming the first frame that is not as large as the first."""
    for name, shape in zip(names, shapes, strict=True):
        if shape[:2] != shapes[0][:2]:
            raise ValueError(
                f"All frames must have one size, but {name} has "
                f"{shape[1]} x {shape[0]} px and {names[0]} {shapes[0][1]} x "
                f"{shapes[0][0]} px; crop them alike, or take out what is no frame."
            )
