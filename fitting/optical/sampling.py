"""Values of a frame at the same places of a scene that moves."""

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclasses.dataclass(frozen=True)
class Places:
    """Pixels of the reference frame, to be found again in shifted ones.

    Attributes:
        rows: of the pixels.
        columns: of the pixels.
        shape: (height, width) of the frames.
    """

    rows: Int[np.ndarray, " place"]
    columns: Int[np.ndarray, " place"]
    shape: tuple[int, int]

    def every(self, step: int) -> "Places":
        """Every so manyth of the places."""
        return Places(self.rows[::step], self.columns[::step], self.shape)

    def nearest(self, frame: np.ndarray, dy: float, dx: float) -> np.ndarray:
        """Values of the pixels nearest to the shifted places; borders repeat."""
        rows = np.clip(self.rows + round(dy), 0, self.shape[0] - 1)
        columns = np.clip(self.columns + round(dx), 0, self.shape[1] - 1)
        return frame[rows, columns]

    def inside(self, dy: float, dx: float) -> Bool[np.ndarray, " place"]:
        """Whether the shifted places lie in the field."""
        rows, columns = self.rows + dy, self.columns + dx
        within = (rows >= 0) & (rows <= self.shape[0] - 1)
        return within & (columns >= 0) & (columns <= self.shape[1] - 1)

    def interpolated(
        self, frame: np.ndarray, dy: float, dx: float
    ) -> Float[np.ndarray, " place"]:
        """Values at the shifted places by cubic convolution; borders repeat.

        As all places move alike, 16 weights serve them all.

        Source: Keys, IEEE Trans. Acoust. Speech Signal Process. 29, 1153 (1981).
        """
        row, column = math.floor(dy), math.floor(dx)
        down, across = _weights(dy - row), _weights(dx - column)
        height, width = self.shape
        columns = [
            np.clip(self.columns + (column + j - 1), 0, width - 1) for j in range(4)
        ]
        flat, total = frame.reshape(-1), np.zeros(self.rows.size, np.float32)
        for i, weight in enumerate(down):
            if weight == 0:
                continue
            start = np.clip(self.rows + (row + i - 1), 0, height - 1) * width
            for j, other in enumerate(across):
                if other != 0:
                    total += np.float32(weight * other) * flat[start + columns[j]]
        return total


def _weights(t: float) -> tuple[float, float, float, float]:
    """Of the four samples around a point a fraction after the second."""
    return (
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )
