"""Tops of correlations: in whole pixels, and between them."""

import numpy as np
import scipy.fft

_NEWTON_STEPS, _TOLERANCE = 6, 1e-3  # px; towards the top of the correlation


def highest(surface: np.ndarray, reach: float, whole) -> tuple[int, int]:
    """Whole shift of the largest correlation within reach of no shift at all."""
    axes = []
    for n, w in zip(surface.shape, whole, strict=True):
        far = np.fft.fftfreq(n, 1 / n).astype(int)
        axes.append(far[np.abs(far + w) <= reach])
    part = surface[np.ix_(*axes)]
    i, j = np.unravel_index(np.argmax(part), part.shape)
    return int(axes[0][i]), int(axes[1][j])


def refined(spectrum, shape, whole) -> tuple[float, float, float]:
    """Peak of the correlation between pixels, and its height.

    The Fourier sum and its derivatives are evaluated where they are needed by products
    of matrices (Guizar-Sicairos, Thurman and Fienup, Opt. Lett. 33, 156, 2008), here
    for Newton's steps to the very top instead of a fine grid.
    """
    fy = 2 * np.pi * scipy.fft.fftfreq(shape[0]).astype(np.float32)
    fx = 2 * np.pi * scipy.fft.rfftfreq(shape[1]).astype(np.float32)
    # Of a real image half the spectrum is stored; the other half doubles it.
    weight = np.full(fx.size, 2.0, np.float32)
    weight[0] = 1.0
    if shape[1] % 2 == 0:
        weight[-1] = 1.0
    y, x = float(whole[0]), float(whole[1])
    for _ in range(_NEWTON_STEPS):
        table = _derivatives(spectrum, fy, fx, weight, y, x)
        gradient = np.array([table[1, 0], table[0, 1]])
        bend = np.array([[table[2, 0], table[1, 1]], [table[1, 1], table[0, 2]]])
        if bend[0, 0] >= 0 or np.linalg.det(bend) <= 0:
            break
        step = np.clip(-np.linalg.solve(bend, gradient), -0.5, 0.5)
        y, x = y + step[0], x + step[1]
        if np.max(np.abs(step)) < _TOLERANCE:
            break
    if max(abs(y - whole[0]), abs(x - whole[1])) > 1.5:
        y, x = float(whole[0]), float(whole[1])
    return y, x, float(table[0, 0]) / (shape[0] * shape[1])


def _derivatives(spectrum, fy, fx, weight, y: float, x: float) -> np.ndarray:
    """Derivatives of the correlation, by order in y and x up to two."""
    rows = np.exp(1j * y * fy)
    columns = np.exp(1j * x * fx) * weight
    left = np.stack([rows, 1j * fy * rows, -(fy**2) * rows])
    right = np.stack([columns, 1j * fx * columns, -(fx**2) * columns], axis=1)
    # Not `@`: its own threads and ours would wait for each other.
    return np.einsum("iw,wj->ij", np.einsum("ih,hw->iw", left, spectrum), right).real
