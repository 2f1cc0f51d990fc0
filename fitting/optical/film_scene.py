"""Frames of a made film, drawn one at a time, shifted exactly by parts of a pixel.

Particles are drawn at their shifted places. The speckle is a random field without
structure finer than its grain; it is shifted by the phases of its Fourier series on a
canvas that exceeds the frame by the farthest shift, so that nothing comes back in at
the other side.
"""

import dataclasses

import numpy as np
import scipy.fft
import scipy.ndimage
from jaxtyping import Complex, Float, UInt
from scipy.special import ndtr

from .film_circles import Circles
from .film_course import Course
from .film_plan import FilmPlan, Scenery

_STREAM_SPECKLE, _STREAM_PIXELS = 3, 4
_COARSEST = 40.0  # px; speckle has no structure larger than this
_EDGES = 5.0  # widths of an edge beyond which a disc is not drawn


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that is needed to draw any frame.

    Attributes:
        plan: its settings.
        circles: of the particles at frame 0.
        course: truth over frames.
        spectrum: Fourier coefficients of the speckle on the canvas.
        canvas: (height, width) of the canvas [px].
        margin: by which it exceeds the frame at each side [px].
        shade: share of the light that reaches each pixel.
        lean: mean speckle under each disc, taken off so that a particle's mean is its
            intensity.
    """

    plan: FilmPlan
    circles: Circles
    course: Course
    spectrum: Complex[np.ndarray, "row half"]
    canvas: tuple[int, int]
    margin: int
    shade: Float[np.ndarray, "height width"]
    lean: Float[np.ndarray, " particle"]

    def reflectance(self, frame: int) -> Float[np.ndarray, "height width"]:
        """The specimen in settled, even light without noise, share of full scale."""
        scenery, shift = self.plan.scenery, self.course.shift[frame]
        speckle = _shifted(self, shift)
        image = scenery.level * (1.0 + scenery.contrast * speckle)
        for k in range(len(self.circles.labels)):
            part, cover = _disc(self, k, shift)
            own = speckle[part] - self.lean[k]
            own = self.course.intensity[k, frame] * (1.0 + scenery.texture * own)
            image[part] += cover * (own - image[part])
        blur = self.course.blur[frame]
        if blur > 0:
            image = scipy.ndimage.gaussian_filter(image, blur, mode="nearest")
        return image

    def frame(self, frame: int) -> UInt[np.ndarray, "height width"]:
        """What the camera records."""
        camera = self.plan.camera
        image = self.reflectance(frame)
        image *= np.float32(camera.exposure * self.course.gain[frame]) * self.shade
        image += np.float32(camera.dark)
        seed = [self.plan.seed, _STREAM_PIXELS, frame]
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed)))
        variance = np.clip(image, 0.0, 1.0)
        variance *= np.float32(1.0 / camera.electrons)
        variance += np.float32(camera.read_noise**2)
        if camera.read_noise > 0 or np.isfinite(camera.electrons):
            noise = rng.standard_normal(image.shape, dtype=np.float32)
            noise *= np.sqrt(variance, out=variance)
            image += noise
        image *= np.float32(camera.full_scale)
        np.rint(image, out=image)
        np.clip(image, 0, camera.full_scale, out=image)
        return image.astype(np.uint8 if camera.bits == 8 else np.uint16)


def scene_of(plan: FilmPlan, circles: Circles, course: Course) -> Scene:
    """Draws the speckle, once for the whole film."""
    margin = int(np.ceil(np.abs(course.shift).max())) + 4
    canvas = tuple(scipy.fft.next_fast_len(n + 2 * margin, True) for n in plan.shape)
    spectrum = _speckle(plan.scenery, canvas, plan.seed)
    bare = np.zeros(len(circles.labels))
    scene = Scene(
        plan, circles, course, spectrum, canvas, margin, _shade(plan), lean=bare
    )
    speckle = _shifted(scene, np.zeros(2))
    lean = bare.copy()
    for k in range(len(bare)):
        part, cover = _disc(scene, k, np.zeros(2))
        lean[k] = np.sum(cover * speckle[part]) / np.sum(cover)
    return dataclasses.replace(scene, lean=lean)


def _speckle(scenery: Scenery, canvas, seed: int):
    """A Gaussian field of mean 0 and deviation 1, structure from grain to coarsest."""
    rng = np.random.default_rng([seed, _STREAM_SPECKLE])
    spectrum = scipy.fft.rfft2(rng.standard_normal(canvas, dtype=np.float32))
    down = np.fft.fftfreq(canvas[0])[:, None]
    right = np.fft.rfftfreq(canvas[1])[None, :]
    squared = down**2 + right**2
    weight = np.exp(-2 * np.pi**2 * scenery.grain**2 * squared)
    weight /= np.sqrt(squared + 1.0 / _COARSEST**2)
    weight[0, 0] = 0.0
    spectrum *= weight
    deviation = scipy.fft.irfft2(spectrum, s=canvas).std()
    return (spectrum / deviation).astype(np.complex64)


def _shifted(scene: Scene, shift) -> Float[np.ndarray, "height width"]:
    """The speckle over the frame, moved by (down, right) px."""
    down = np.fft.fftfreq(scene.canvas[0])[:, None] * shift[0]
    right = np.fft.rfftfreq(scene.canvas[1])[None, :] * shift[1]
    turned = scene.spectrum * np.exp(-2j * np.pi * down).astype(np.complex64)
    turned *= np.exp(-2j * np.pi * right).astype(np.complex64)
    field = scipy.fft.irfft2(turned, s=scene.canvas, overwrite_x=True)
    (height, width), margin = scene.plan.shape, scene.margin
    return field[margin : margin + height, margin : margin + width]


def _disc(scene: Scene, k: int, shift):
    """(part of the frame, share of each of its pixels) that particle k covers."""
    edge, radius = scene.plan.scenery.edge, scene.circles.radius[k]
    y, x = scene.circles.y[k] + shift[0], scene.circles.x[k] + shift[1]
    reach = radius + _EDGES * edge
    height, width = scene.plan.shape
    rows = slice(max(0, int(y - reach)), min(height, int(y + reach) + 2))
    columns = slice(max(0, int(x - reach)), min(width, int(x + reach) + 2))
    down = np.arange(rows.start, max(rows.start, rows.stop), dtype=np.float32)
    right = np.arange(columns.start, max(columns.start, columns.stop), dtype=np.float32)
    away = np.hypot(down[:, None] - np.float32(y), right[None, :] - np.float32(x))
    return (rows, columns), ndtr((np.float32(radius) - away) / np.float32(edge))


def _shade(plan: FilmPlan) -> Float[np.ndarray, "height width"]:
    """Light falls off from the middle of the frame to its corners, as the square."""
    height, width = plan.shape
    down = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    right = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None, :]
    return 1.0 - np.float32(0.5 * plan.camera.vignette) * (down**2 + right**2)
