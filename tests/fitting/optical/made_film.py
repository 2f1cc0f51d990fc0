"""Films of discs on a grainy ground, with all that a microscope does to them."""

import numpy as np
import scipy.ndimage

from fitting.optical.frames import Film

_MARGIN = 48


def made_film(
    num_frames=60,
    shape=(300, 400),
    num_discs=25,
    noise=0.01,
    seed=0,
    drift=(6.0, -4.0),
    jump=(5.0, -5.0),
    blurred=(20, 33, 47),
    flicker=0.1,
    scale=255,
    interval=120.0,
):
    """(film, truth): discs that double in brightness one after another.

    Truth is a dictionary: `dy`, `dx` [px] by which each frame is moved, `circles` (x,
    y, r) [px], `brightness` (disc, frame), `gain`, `blurred`, `frames` (raw).
    """
    rng = np.random.default_rng(seed)
    size = tuple(n + 2 * _MARGIN for n in shape)
    ground, circles = _ground(rng, size), _circles(rng, shape, num_discs)
    onset = np.linspace(0.15, 0.85, len(circles)) * num_frames
    rise = np.clip((np.arange(num_frames) - onset[:, None]) / 2.0, 0, 1)
    share = np.linspace(0, 1, num_frames)
    wander = np.cumsum(rng.normal(0, 0.1, (2, num_frames)), axis=1)
    after = np.arange(num_frames) >= num_frames // 2
    dy, dx = (
        d * share + j * after + w - w[0]
        for d, j, w in zip(drift, jump, wander, strict=True)
    )
    gain = 1 + flicker * np.sin(np.arange(num_frames) * 1.7)
    discs = [_disc(size, *c) for c in circles]
    grain = [1 + 0.1 * _texture(rng, (d[1].stop - d[1].start,) * 2, 2) for d in discs]
    frames = np.empty((num_frames, *shape), np.uint8 if scale == 255 else np.uint16)
    for k in range(num_frames):
        image = ground.copy()
        for (_, rows, columns, cover), texture, z in zip(
            discs, grain, rise[:, k], strict=True
        ):
            patch = image[rows, columns]
            patch += cover * (0.3 * (1 + z) * texture[: cover.shape[0]] - patch)
        image = _moved(image, dy[k], dx[k], 2.5 if k in blurred else 0.0)
        image = image[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] * gain[k]
        image = image + rng.normal(0, noise, shape)
        frames[k] = np.clip(np.rint(image * scale), 0, scale)
    film = Film(
        "made.tif",
        interval * np.arange(num_frames),
        "Made.",
        frames.__getitem__,
        shape,
        float(scale),
    )
    truth = {"dy": dy, "dx": dx, "circles": circles, "gain": gain, "frames": frames}
    return film, truth | {"brightness": 0.3 * (1 + rise), "blurred": blurred}


def _texture(rng, size, width):
    field = scipy.ndimage.gaussian_filter(rng.standard_normal(size), width, mode="wrap")
    return field / field.std()


def _ground(rng, size):
    return 0.2 + 0.03 * _texture(rng, size, 1.5) + 0.02 * _texture(rng, size, 5)


def _circles(rng, shape, count):
    found = []
    while len(found) < count:
        r = rng.uniform(9, 16)
        y, x = (rng.uniform(25, n - 25) for n in shape)
        if all(np.hypot(x - a, y - b) > r + c + 4 for a, b, c in found):
            found.append((x, y, r))
    return np.array(found)


def _disc(size, x, y, r):
    """Rows, columns and cover of a disc with an edge of about 1 px."""
    y, x = y + _MARGIN, x + _MARGIN
    rows = slice(int(y - r) - 4, int(y + r) + 5)
    columns = slice(int(x - r) - 4, int(x - r) - 4 + rows.stop - rows.start)
    row, column = np.mgrid[rows, columns]
    distance = np.hypot(row - y, column - x)
    return None, rows, columns, 1 / (1 + np.exp((distance - r) / 0.5))


def _moved(image, dy, dx, blur):
    """An image moved and blurred in Fourier space, where both are exact."""
    fy = np.fft.fftfreq(image.shape[0])[:, None]
    fx = np.fft.rfftfreq(image.shape[1])
    factor = np.exp(-2j * np.pi * (fy * dy + fx * dx))
    factor *= np.exp(-2 * (np.pi * np.hypot(blur, 0.7)) ** 2 * (fy**2 + fx**2))
    return np.fft.irfft2(np.fft.rfft2(image) * factor, s=image.shape)
