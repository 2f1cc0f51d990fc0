import numpy as np

from fitting.optical import measure, trace_files
from fitting.optical.regions import ellipse, regions_of
from fitting.optical.still_film import StillFilm, read_still

from .made_film import made_film

SHAPE = (96, 128)


def test_frames_are_moved_back_by_the_shifts_that_traces_wrote(tmp_path):
    film, truth = made_film(12, SHAPE, 2, blurred=(), flicker=0.0, seed=2)
    masks = [ellipse(y, x, r, r) for x, y, r in truth["circles"]]
    traces, quality = measure.measure(film, regions_of("c", ["a", "b"], masks, SHAPE))
    trace_files.write_quality(tmp_path / "quality.csv", traces, quality)
    still = read_still(tmp_path / "quality.csv", film)
    ground = np.zeros(SHAPE, bool)
    ground[20:-20, 20:-20] = True
    for x, y, r in truth["circles"]:
        i, j = np.ogrid[: SHAPE[0], : SHAPE[1]]
        ground &= np.hypot(i - y, j - x) > r + 4
    first, last = (still.frame(k)[ground] for k in (0, 11))
    assert np.std(last - first) < 0.7 * np.std(film.frame(11)[ground] - first)
    assert still.shape == SHAPE
    assert len(still.time) == 12


def test_what_a_moved_frame_does_not_show_has_no_brightness():
    film, _ = made_film(4, SHAPE, 2, blurred=(), seed=2)
    still = StillFilm(film, np.array([0.0, 3.2, 0.0, -0.2]), np.array([0, 0, -5, 0.3]))
    gaps = [~np.isfinite(still.frame(k)) for k in range(4)]
    assert not np.any(gaps[0])
    assert not np.any(gaps[3])
    assert np.all(gaps[1][-3:])
    assert not np.any(gaps[1][:-3])
    assert np.all(gaps[2][:, :5])
    assert not np.any(gaps[2][:, 5:])
