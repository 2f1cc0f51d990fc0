import dataclasses

import numpy as np
import pytest

from fitting.optical.frames import Film
from fitting.optical.regions import ellipse, regions_of
from fitting.optical.registration import register
from fitting.optical.sampling import moved_back

from .made_film import made_film


def error(shifts, truth):
    """Root mean square of the distance from the true shift [px]."""
    off = np.hypot(shifts.dy - truth["dy"], shifts.dx - truth["dx"])
    assert np.all(np.isfinite(off))
    return np.sqrt(np.mean(off**2))


@pytest.mark.parametrize(("noise", "largest"), [(0.01, 0.03), (0.04, 0.05)])
@pytest.mark.parametrize("seed", [0, 5])
def test_shifts_are_right_to_a_twentieth_of_a_pixel(noise, largest, seed):
    blurred = (8, 15, 21)
    film, truth = made_film(30, noise=noise, seed=seed, blurred=blurred)
    shifts = register(film)
    assert error(shifts, truth) < largest
    assert np.flatnonzero(shifts.jumped).tolist() == [15]
    assert not np.any(shifts.lost)
    assert shifts.references == (0,)


def regions(circles, shape):
    labels = [str(k) for k in range(len(circles))]
    return regions_of("c", labels, [ellipse(y, x, r, r) for x, y, r in circles], shape)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 6])
def test_particles_that_brighten_do_not_pull_where_they_are_left_out(seed):
    shape = (150, 190)
    film, truth = made_film(32, shape, 12, seed=seed, drift=(0.4, -0.3), blurred=())
    drawn = regions(truth["circles"], shape)

    def pulled(shifts):
        off = shifts.dy - truth["dy"], shifts.dx - truth["dx"]
        return np.hypot(*(d[-8:].mean() - d[:8].mean() for d in off))

    found = register(film, away=drawn.around)
    assert pulled(found) < min(0.03, 0.7 * pulled(register(film)))
    assert not found.notes


@pytest.mark.parametrize(("size", "count"), [(110, 5), (160, 14)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_jump_is_followed_where_particles_leave_little_of_a_small_frame(
    seed, size, count
):
    film, truth = made_film(
        *(40, (size, size), count, 0.01, seed, (2.0, -1.0), (16.0, 11.0), (), 0.0)
    )
    found = register(film, away=regions(truth["circles"], (size, size)).around)
    assert not np.any(found.lost)
    assert error(found, truth) < 0.2
    assert np.flatnonzero(found.jumped).tolist() == [20]


def test_particles_that_fill_the_frame_are_not_left_out():
    film, truth = made_film(8, (96, 128), 2, blurred=())
    found = register(film, away=regions([[64.0, 48.0, 70.0]], (96, 128)).around)
    assert error(found, truth) < 0.1
    (note,) = found.notes
    assert "too little of the frame" in note


def test_a_ground_that_shows_nothing_leaves_the_particles_to_hold_on_to():
    shape, noise = (130, 150), np.random.default_rng(4)
    film, truth = made_film(40, shape, 6, 0.0, 2, (1.0, -1.0), (0, 0), (), 0.0)
    drawn = regions(truth["circles"], shape)
    beside = np.hypot(*(n - np.mean(n) for n in np.indices(shape))) < 0
    for x, y, r in truth["circles"]:
        beside |= np.hypot(*(np.indices(shape) - np.reshape((y, x), (2, 1, 1)))) < r + 4
    flat = [
        np.where(beside, film.read(k), 51) + noise.normal(0, 5, shape)
        for k in range(40)
    ]
    flat = np.clip(flat, 0, 255).astype(np.uint8)
    found = register(
        dataclasses.replace(film, read=flat.__getitem__), away=drawn.around
    )
    assert not np.any(found.lost)
    assert error(found, truth) < 0.3
    assert "shows too little" in found.notes[0]


def test_regions_of_another_size_are_refused():
    film, _ = made_film(3, (96, 128), 2, blurred=())
    with pytest.raises(
        ValueError, match=r"as large as the film, \(96, 128\), but are of"
    ):
        register(film, away=regions([[20.0, 20.0, 9.0]], (40, 50)).around)


def test_a_drift_by_a_quarter_of_the_frame_is_followed():
    film, truth = made_film(20, (160, 200), 6, drift=(35.0, -30.0), blurred=())
    assert error(register(film), truth) < 0.05


def test_large_frames_are_binned_without_loss():
    film, truth = made_film(4, (640, 800), 30, drift=(3.3, -2.2), blurred=())
    assert error(register(film), truth) < 0.05


def test_the_reference_is_taken_anew_where_the_scene_has_changed():
    before, _ = made_film(64, (96, 128), 2, blurred=(), drift=(0, 0), jump=(0, 0))
    after, _ = made_film(
        64, (96, 128), 2, seed=9, blurred=(), drift=(0, 0), jump=(0, 0)
    )
    share = np.clip((np.arange(64) - 10) / 40, 0, 1)

    def read(k):
        return (1 - share[k]) * before.read(k) + share[k] * after.read(k)

    film = dataclasses.replace(before, read=read)
    shifts = register(film)
    assert len(shifts.references) > 1
    assert not np.any(shifts.lost)


def test_any_frame_may_be_the_reference():
    film, truth = made_film(20, (160, 200), 6, blurred=())
    shifts = register(film, reference=12)
    moved = {name: truth[name] - truth[name][12] for name in ("dy", "dx")}
    assert error(shifts, moved) < 0.04


def test_threads_change_nothing():
    film, _ = made_film(12, (96, 128), 2, blurred=())
    one, four = (register(film, workers=n) for n in (1, 4))
    np.testing.assert_array_equal(one.dy, four.dy)


def test_empty_frames_are_lost_and_the_others_are_not():
    film, truth = made_film(12, (96, 128), 2, blurred=())
    values = truth["frames"].copy()
    values[5] = 0
    shifts = register(dataclasses.replace(film, read=values.__getitem__))
    assert np.flatnonzero(shifts.lost).tolist() == [5]


SMALL, SMALL_TRUTH = made_film(24, (96, 128), 2, blurred=(), seed=3)


def noise(level, spread):
    """Frames of a camera without light, or of one that is too bright."""
    rng = np.random.default_rng(4)
    return lambda shape: rng.normal(level, spread, shape).clip(0, 255)


def begun_badly(make, count=1, film=SMALL, truth=SMALL_TRUTH):
    """The film whose first frames were replaced."""
    values = truth["frames"].copy()
    values[:count] = [make(film.shape) for _ in range(count)]
    return dataclasses.replace(film, read=values.__getitem__)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        pytest.param(np.zeros, 1, id="black"),
        pytest.param(lambda shape: np.full(shape, 255), 1, id="white"),
        pytest.param(noise(5, 2), 1, id="without light"),
        pytest.param(noise(5, 2), 3, id="without light for a while"),
        pytest.param(noise(128, 80), 1, id="of something else"),
    ],
)
def test_bad_first_frames_cost_themselves_only(make, count):
    shifts = register(begun_badly(make, count))
    assert np.flatnonzero(shifts.lost).tolist() == list(range(count))
    moved = {
        name: SMALL_TRUTH[name] - SMALL_TRUTH[name][count] for name in ("dy", "dx")
    }
    off = np.hypot(shifts.dy - moved["dy"], shifts.dx - moved["dx"])
    assert np.max(off[count:]) < 0.1
    (note,) = shifts.notes
    assert f"counted from frame {count + 1}, the first that shows" in note


def test_a_first_frame_that_agrees_by_chance_is_not_what_regions_are_drawn_on():
    film, truth = made_film(
        30, (64, 64), 0, noise=0.04, blurred=(), drift=(2, -1), jump=(1, 1)
    )
    dark = np.random.default_rng(0).normal(5, 2, film.shape).clip(0, 255)
    shifts = register(begun_badly(lambda _: dark, 1, film, truth))
    assert not shifts.lost[0]
    assert (shifts.dy[1], shifts.dx[1]) == (0, 0)


def test_a_camera_that_stays_dark_for_long_is_not_the_reference():
    film, truth = made_film(130, (96, 128), 2, blurred=(), drift=(0, 0), jump=(0, 0))
    fixed = noise(5, 2)(film.shape)  # its pattern, by which dark frames agree
    shifts = register(begun_badly(lambda _: fixed, 26, film, truth), search=12.0)
    assert np.flatnonzero(shifts.lost).tolist() == list(range(26))
    assert (shifts.dy[26], shifts.dx[26]) == (0, 0)


def test_frames_of_which_no_two_show_the_same_are_all_lost():
    make = noise(128, 40)
    values = np.stack([make((96, 128)) for _ in range(12)]).astype(np.uint8)
    film = dataclasses.replace(SMALL, read=values.__getitem__, time=SMALL.time[:12])
    assert np.all(register(film).lost)


def test_after_a_jump_beyond_the_search_range_no_frame_is_believed():
    film, _ = made_film(40, (128, 160), 3, blurred=(), drift=(0, 0), jump=(40.0, 0.0))
    shifts = register(film, search=30.0)
    assert np.flatnonzero(shifts.lost).tolist() == list(range(20, 40))
    assert not np.any(shifts.jumped)


@pytest.mark.parametrize(
    ("dy", "dx"), [(0, 0), (0.3, -0.4), (5.5, -7), (-20, 49.5), (-99, 99), (3, -60.1)]
)
def test_moving_back_undoes_a_shift(dy, dx):
    y, x = np.mgrid[:60, :50].astype(float)
    scene = lambda y, x: np.sin(0.2 * y) * np.cos(0.15 * x) + 0.1 * y
    moved = moved_back(scene(y - dy, x - dx).astype(np.float32), dy, dx)
    inside = (y + dy >= 2) & (y + dy < 57) & (x + dx >= 2) & (x + dx < 47)
    assert moved.shape == (60, 50)
    np.testing.assert_allclose(moved[inside], scene(y, x)[inside], atol=2e-3)


def test_moving_back_keeps_planes_exactly():
    y, x = np.mgrid[:40, :30].astype(np.float32)
    moved = moved_back(2 * y + 3 * x, 1.37, -2.81)
    expected = 2 * (y + 1.37) + 3 * (x - 2.81)
    np.testing.assert_allclose(moved[5:-5, 5:-5], expected[5:-5, 5:-5], rtol=1e-5)


def test_a_film_of_two_frames_can_be_registered():
    film, _ = made_film(2, (96, 128), 2, blurred=())
    assert isinstance(film, Film)
    assert register(film).dy.shape == (2,)
