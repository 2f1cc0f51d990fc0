import numpy as np
import pytest
import scipy.ndimage

from fitting.optical import measure
from fitting.optical.frames import Film
from fitting.optical.regions import ellipse, regions_of
from fitting.optical.registration import register

SHAPE, COUNT, RADIUS = (64, 100), 50, 8
CENTRES = (28, 72)


@pytest.fixture(scope="module")
def crossed():
    """(film, regions, shares): a front crosses one disc in 20 frames, another brightens
    evenly in them; one of its pixels is hot, in the middle of the film.
    """
    rng = np.random.default_rng(2)
    image = 0.2 + 0.15 * scipy.ndimage.gaussian_filter(rng.standard_normal(SHAPE), 1.2)
    masks = [ellipse(32, x, RADIUS, RADIUS) for x in CENTRES]
    drawn = regions_of("circles.csv", ("front", "even"), masks, SHAPE)
    along = np.indices(SHAPE)[1] - CENTRES[0]
    frames, shares = np.empty((COUNT, *SHAPE), np.uint16), np.empty((2, COUNT))
    front, even = (np.zeros(SHAPE, bool) for _ in range(2))
    for one, (y, x) in zip((front, even), drawn.pixels, strict=True):
        one[y.astype(int), x.astype(int)] = True
    for k in range(COUNT):
        past = np.clip((k - 15) / 20, 0, 1)
        over = front & (along < RADIUS * (2 * past - 1))
        shares[:, k] = over[front].mean(), past
        shown = image + 0.3 * over + 0.3 * past * even
        if k == 25:
            shown[32, CENTRES[1]] = 1.0
        shown = shown + rng.normal(0, 0.005, SHAPE)
        frames[k] = np.clip(np.rint(shown * 65535), 0, 65535)
    times = 300.0 * np.arange(COUNT)
    film = Film("made.tif", times, "Made.", frames.__getitem__, SHAPE, 65535.0)
    return film, drawn, shares


def test_a_front_is_not_cut_at_its_ends(crossed):
    film, drawn, shares = crossed
    shifts = register(film, away=drawn.around)
    traces, _ = measure.measure(film, drawn, shifts=shifts)
    first, last = (
        traces.intensity[:, k].mean(axis=1) for k in (slice(5), slice(-5, 50))
    )
    risen = ((traces.intensity.T - first) / (last - first)).T
    # Trimming the darkest and the brightest tenth would leave out up to a tenth.
    assert np.max(np.abs(risen - shares)) < 0.03
    assert sum("Particle 'front' is crossed by a front" in n for n in traces.notes) == 1


def test_what_brightens_evenly_is_trimmed_as_before(crossed):
    film, drawn, _ = crossed
    shifts = register(film, away=drawn.around)
    found, plain, trimmed = (
        measure.measure(film, drawn, shifts=shifts, statistic=one)[0].intensity
        for one in (measure.trimmed_mean, measure.mean, _trimmed)
    )
    np.testing.assert_array_equal(found[1], trimmed[1])
    np.testing.assert_array_equal(found[0], plain[0])
    assert np.max(np.abs(plain[1, 24:27] - trimmed[1, 24:27])) > 1e-3


def _trimmed(values):
    return measure.trimmed_mean(values)
