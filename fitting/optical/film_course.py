"""What befalls a made film over its frames: motion, light, focus, shimmer."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from .film_circles import Circles
from .film_plan import FilmPlan, Lamp, Stage
from .film_rises import Intensities

_STREAM_COURSE, _NUM_WAVES = 2, 8


@dataclasses.dataclass(frozen=True)
class Course:
    """The truth of every planned frame.

    Attributes:
        time: [s].
        shift: of the specimen against frame 0, (down, right) [px]: what is at (y, x) in
            frame 0 is at (y, x) + shift.
        gain: of the lamp.
        blur: standard deviation of the Gaussian of a frame out of focus [px], else 0.
        written: frames that are not dropped.
        intensity: of each particle, shimmer included.
        noise: standard deviation s of each particle's mean intensity in one frame.
    """

    time: Float[np.ndarray, " frame"]
    shift: Float[np.ndarray, "frame 2"]
    gain: Float[np.ndarray, " frame"]
    blur: Float[np.ndarray, " frame"]
    written: Bool[np.ndarray, " frame"]
    intensity: Float[np.ndarray, "particle frame"]
    noise: Float[np.ndarray, " particle"]


def course_of(plan: FilmPlan, circles: Circles, intensities: Intensities) -> Course:
    """Draws what is random, once for the whole film.

    Raises:
        ValueError: where the pixels' own noise exceeds what the plan's SNR allows.
    """
    streams = np.random.SeedSequence([plan.seed, _STREAM_COURSE]).spawn(3)
    stage, lamp, shimmer = (np.random.default_rng(stream) for stream in streams)
    blur = np.zeros(plan.num_frames)
    for frame, size in plan.defocus:
        blur[frame] = size
    written = np.ones(plan.num_frames, bool)
    written[list(plan.dropped)] = False
    pixels = _noise_of_pixels(plan, circles, intensities)
    own = _shimmer(plan, circles.labels, intensities.amplitude, pixels)
    white = shimmer.standard_normal(intensities.values.shape)
    return Course(
        plan.time,
        _motion(plan.stage, plan.num_frames, stage),
        _light(plan.lamp, plan.time, lamp),
        blur,
        written,
        intensities.values + own[:, None] * white,
        np.hypot(own, pixels),
    )


def _motion(stage: Stage, count: int, rng) -> Float[np.ndarray, "frame 2"]:
    """Drift, walk and jump together; none at frame 0."""
    steps = stage.wander * rng.standard_normal((count, 2))
    steps[0] = 0.0
    shift = np.cumsum(steps, axis=0)
    shift += np.linspace(0.0, 1.0, count)[:, None] * np.array(stage.drift, float)
    if stage.jump_frame is not None:
        shift[stage.jump_frame :] += np.array(stage.jump, float)
    return shift - shift[0]


def _light(lamp: Lamp, time, rng) -> Float[np.ndarray, " frame"]:
    """Smooth waves of some periods of the film, white noise, warming up."""
    span = max(float(time[-1]), 1e-12)
    waves = rng.uniform(0.5, 30.0, _NUM_WAVES)
    phases = rng.uniform(0.0, 2 * np.pi, _NUM_WAVES)
    smooth = np.sin(2 * np.pi * np.outer(time / span, waves) + phases).sum(axis=1)
    smooth *= lamp.flicker / max(np.abs(smooth).max(), 1e-12)
    white = lamp.white * rng.standard_normal(len(time))
    cold = lamp.warm_up * np.exp(-time / lamp.warm_up_time)
    return np.maximum((1.0 + smooth) * (1.0 + white) * (1.0 - cold), 0.0)


def _noise_of_pixels(
    plan: FilmPlan, circles: Circles, intensities: Intensities
) -> Float[np.ndarray, " particle"]:
    """Of each particle's mean intensity, from its pixels' noise halfway up its rise."""
    camera = plan.camera
    level = intensities.values[:, 0] + 0.5 * intensities.amplitude
    pixel = camera.pixel_noise(camera.exposure * level + camera.dark)
    return pixel / (camera.exposure * circles.radius * np.sqrt(np.pi))


def _shimmer(plan: FilmPlan, labels, amplitude, pixels):
    """What must come on top of the pixels' noise for the wanted SNR, (particle,)."""
    if plan.snr is None:
        return np.zeros(len(labels))
    rise = np.abs(amplitude)
    rising = rise > 0
    if not np.any(rising):
        raise ValueError(
            "`snr` must be None where no particle rises, as it is the rise over the "
            f"noise, but is {plan.snr:g}."
        )
    rise = np.where(rising, rise, np.median(rise[rising]))
    wanted = rise / plan.snr
    short = np.flatnonzero(wanted < pixels)
    if short.size:
        k = int(short[0])
        raise ValueError(
            f"`snr` must be {rise[k] / pixels[k]:.3g} or less, where the pixels' noise "
            f"puts particle '{labels[k]}', but is {plan.snr:g}; lower the noise of "
            "the camera, or enlarge the particle."
        )
    return np.sqrt(wanted**2 - pixels**2)
