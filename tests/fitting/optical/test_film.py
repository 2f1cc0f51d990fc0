"""Made films: the bytes agree with the truth that is written beside them."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image

from fitting.optical import film_rises
from fitting.optical.film import film_scene, write_film
from fitting.optical.film_circles import (
    particles_at_random,
    particles_on_a_grid,
    write_rois,
)
from fitting.optical.film_plan import Camera, FilmPlan, Lamp, Scenery, Stage
from fitting.optical.film_rises import Intensities, Rise

SHAPE, NUM_FRAMES, INTERVAL = (96, 96), 64, 120.0
STAGE = Stage(drift=(2.5, -1.25), wander=0.05, jump=(3.0, -7.0), jump_frame=30)
LAMP = Lamp(flicker=0.1, white=0.01, warm_up=0.05, warm_up_time=900.0)
CAMERA = Camera(read_noise=0.01, electrons=2e4, dark=0.02, exposure=0.8)
PLAN = FilmPlan(
    SHAPE, NUM_FRAMES, INTERVAL, STAGE, LAMP, CAMERA, snr=20.0, defocus=((40, 2.5),)
)
CIRCLES = particles_at_random(3, SHAPE, [7.0, 9.0, 11.0], seed=4, margin=10.0)
RISES = [
    Rise(3000.0, 240.0, shape=film_rises.logistic),
    Rise(4000.0, 1200.0, shape=film_rises.exponential, later=0.3),
    Rise(0.0, 60.0, amplitude=0.0, drift=0.1),
]
INTENSITIES = Intensities.of_rises(RISES, PLAN.time)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(folder, stack, truth) of one film."""
    folder = tmp_path_factory.mktemp("film")
    write_film(folder / "film.tif", PLAN, CIRCLES, INTENSITIES)
    stack = tifffile.imread(folder / "film.tif")
    return folder, stack, json.loads((folder / "truth.json").read_text())


def rewritten(folder, plan, **fields):
    write_film(folder / "film.tif", plan, CIRCLES, INTENSITIES, **fields)
    return (folder / "film.tif").read_bytes()


def disc_mean(image, circle, shift, inset=2.0):
    """Mean over the pixels well inside a circle that has moved."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    away = np.hypot(y - circle["y_px"] - shift[0], x - circle["x_px"] - shift[1])
    return image[away <= circle["r_px"] - inset].mean()


def test_a_stack_has_all_frames_in_the_bit_depth_asked_for(written):
    assert written[1].shape == (NUM_FRAMES, *SHAPE)
    assert written[1].dtype == np.uint16


def test_the_mean_in_a_disc_is_the_planned_intensity(written):
    _, stack, truth = written
    frames, camera = truth["frames"], truth["plan"]["camera"]
    planned = INTENSITIES.values
    for k, circle in enumerate(truth["particles"]):
        means = np.array(
            [
                disc_mean(image, circle, shift)
                for image, shift in zip(stack, frames["shift_px"], strict=True)
            ]
        )
        level = means / 65535 - camera["dark"]
        found = level / np.array(frames["gain"]) / camera["exposure"]
        sharp = np.array(frames["blur_px"]) == 0
        rest = (found - planned[k])[sharp] / planned[k][sharp]
        # what texture a smaller disc holds is a constant share
        assert abs(rest.mean()) < 0.03
        wrong = (rest - rest.mean()) * planned[k][sharp]
        assert wrong.std() == pytest.approx(circle["noise"], rel=0.35)


def test_noise_of_a_particle_is_its_rise_over_the_snr(written):
    truth = written[2]
    for particle in truth["particles"][:2]:
        ratio = particle["amplitude"] / particle["noise"]
        assert ratio == pytest.approx(PLAN.snr, rel=1e-6)


def test_a_particle_that_darkens_has_noise_of_its_own_fall():
    rises = [Rise(3000.0, 240.0, amplitude=a) for a in (-0.1, 0.2, 0.0)]
    falling = Intensities.of_rises(rises, PLAN.time)
    noise = film_scene(PLAN, CIRCLES, falling).course.noise
    np.testing.assert_allclose(noise * PLAN.snr, [0.1, 0.2, 0.15])
    np.testing.assert_allclose(falling.crossings[0], falling.crossings[1])


@pytest.mark.parametrize("frame", [10, 29, 30, 63])
def test_a_frame_has_moved_by_the_shift_of_the_truth(written, frame):
    """By the phases of low spatial frequencies, of frames without particles' rise."""
    del written
    plan = dataclasses.replace(PLAN, camera=Camera(), lamp=Lamp(), snr=None, defocus=())
    still = Intensities.of_arrays(
        CIRCLES.labels, np.full((3, NUM_FRAMES), 0.4), plan.time
    )
    scene = film_scene(plan, CIRCLES, still)
    first, later = scene.reflectance(0), scene.reflectance(frame)
    expected = scene.course.shift[frame]
    whole = np.round(expected).astype(int)
    later = np.roll(later, -whole, axis=(0, 1))
    window = np.outer(np.hanning(96), np.hanning(96))
    window[:12] = window[-12:] = window[:, :12] = window[:, -12:] = 0.0
    one, two = (np.fft.fft2((a - a.mean()) * window) for a in (first, later))
    cross = one * np.conj(two)
    down, right = np.meshgrid(*(2 * np.pi * np.fft.fftfreq(96),) * 2, indexing="ij")
    low = (np.hypot(down, right) < 0.6) & (np.hypot(down, right) > 0.1)
    matrix = np.column_stack([down[low], right[low]]) * np.abs(cross[low])[:, None]
    angles = np.angle(cross[low]) * np.abs(cross[low])
    found = np.linalg.lstsq(matrix, angles, rcond=None)[0]
    np.testing.assert_allclose(found + whole, expected, atol=0.06)


def test_a_shift_there_and_back_draws_the_first_frame_again():
    plan = FilmPlan(SHAPE, 3, 60.0, Stage(jump=(0.5, -0.25), jump_frame=1))
    still = Intensities.of_arrays(CIRCLES.labels, np.full((3, 3), 0.4), plan.time)
    scene = film_scene(plan, CIRCLES, still)
    whole = dataclasses.replace(
        scene,
        course=dataclasses.replace(
            scene.course, shift=np.array([[0, 0], [2, -3], [0.0, 0]])
        ),
    )
    first, moved = whole.reflectance(0), whole.reflectance(1)
    np.testing.assert_allclose(moved[2:, :-3], first[:-2, 3:], atol=2e-6)
    assert not np.allclose(scene.reflectance(1), first, atol=1e-3)


def test_a_film_does_not_come_back_in_at_the_other_side():
    plan = FilmPlan(SHAPE, 2, 60.0, Stage(jump=(0.0, 20.0), jump_frame=1))
    still = Intensities.of_arrays(CIRCLES.labels, np.full((3, 2), 0.2), plan.time)
    first, moved = map(film_scene(plan, CIRCLES, still).reflectance, (0, 1))
    alike = np.corrcoef(moved[:, :16].ravel(), first[:, -16:].ravel())[0, 1]
    assert abs(alike) < 0.5


def test_one_seed_makes_the_same_bytes(written, tmp_path):
    folder = written[0]
    assert rewritten(tmp_path, PLAN) == (folder / "film.tif").read_bytes()
    for name in ("truth.json", "circles.csv", "frames.csv", "truth.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_another_seed_makes_another_film(written, tmp_path):
    other = dataclasses.replace(PLAN, seed=1)
    rewritten(tmp_path, other)
    stack = tifffile.imread(tmp_path / "film.tif")
    assert np.mean(stack == written[1]) < 0.01
    shift = json.loads((tmp_path / "truth.json").read_text())["frames"]["shift_px"]
    assert shift != written[2]["frames"]["shift_px"]


def test_dropped_frames_leave_a_gap_in_time(tmp_path):
    plan = dataclasses.replace(PLAN, dropped=(5, 6, 20))
    rewritten(tmp_path, plan)
    with open(tmp_path / "frames.csv", newline="") as stream:
        time = [float(row["time_s"]) for row in csv.DictReader(stream)]
    assert len(time) == NUM_FRAMES - 3
    assert len(tifffile.imread(tmp_path / "film.tif")) == len(time)
    assert sorted(set(np.diff(time).tolist())) == [120.0, 240.0, 360.0]


def interval_told(path):
    with tifffile.TiffFile(path) as stack:
        return stack.imagej_metadata.get("finterval")


def test_a_stack_tells_its_interval_only_where_wanted_and_true(written, tmp_path):
    assert interval_told(written[0] / "film.tif") == INTERVAL
    rewritten(tmp_path, PLAN, with_interval=False)
    assert interval_told(tmp_path / "film.tif") is None
    rewritten(tmp_path, dataclasses.replace(PLAN, dropped=(9,)))
    assert interval_told(tmp_path / "film.tif") is None


def test_eight_bits_round_what_sixteen_bits_hold():
    scenes = [
        film_scene(
            dataclasses.replace(PLAN, camera=dataclasses.replace(CAMERA, bits=bits)),
            CIRCLES,
            INTENSITIES,
        )
        for bits in (8, 16)
    ]
    coarse, fine = (scene.frame(3).astype(float) for scene in scenes)
    assert np.abs(coarse / 255 - fine / 65535).max() < 0.6 / 255


def test_too_long_an_exposure_saturates():
    camera = Camera(exposure=4.0)
    plan = dataclasses.replace(PLAN, camera=camera, snr=None)
    image = film_scene(plan, CIRCLES, INTENSITIES).frame(60)
    assert image.max() == 65535
    assert np.mean(image == 65535) > 0.01


def sharpness(image):
    return np.var(np.diff(image.astype(float), axis=0))


def test_frames_out_of_focus_are_the_blurred_ones():
    plan = dataclasses.replace(PLAN, camera=Camera())
    scene = film_scene(plan, CIRCLES, INTENSITIES)
    assert sharpness(scene.frame(40)) < 0.3 * sharpness(scene.frame(39))


def test_images_in_a_folder_hold_the_frames_of_the_stack(written, tmp_path):
    plan = dataclasses.replace(PLAN, dropped=(1,))
    write_film(tmp_path / "images", plan, CIRCLES, INTENSITIES)
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert len(names) == NUM_FRAMES - 1
    assert names[1] == "frame_00002.png"
    image = np.asarray(Image.open(tmp_path / "images" / names[1]))
    np.testing.assert_array_equal(image, written[1][2])


def test_nothing_is_left_of_a_film_that_is_interrupted(tmp_path):
    def stop(count):
        if count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_film(tmp_path / "film.tif", PLAN, CIRCLES, INTENSITIES, on_frame=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", film_rises.SHAPES, ids=lambda f: f.__name__)
def test_a_rise_passes_its_levels_when_it_says(shape):
    rise = Rise(5000.0, 900.0, shape=shape)
    onset, middle, completion = rise.crossings()
    assert middle == pytest.approx(5000.0, abs=1.0)
    assert completion - onset == pytest.approx(900.0, rel=2e-3)
    levels = (rise.intensity(np.array(rise.crossings())) - 0.3) / 0.3
    np.testing.assert_allclose(levels, film_rises.LEVELS, atol=2e-3)


def test_rises_of_any_trace_are_read_off_it():
    time = np.arange(0.0, 7200.0, 60.0)
    planned = Intensities.of_rises([Rise(3000.0, 900.0)], time)
    read = Intensities.of_arrays(("1",), planned.values, time)
    np.testing.assert_allclose(read.crossings, planned.crossings, atol=10.0)


def test_light_of_a_surface_grows_as_lithium_leaves():
    light = film_rises.intensity_of_stoichiometry(
        np.array([1.0, 0.5, 0.0]), base=0.1, gain=0.6, exponent=2.0
    )
    np.testing.assert_allclose(light, [0.1, 0.25, 0.7])


def test_placed_circles_are_apart_and_inside():
    for circles in (
        particles_at_random(20, (200, 150), 6.0, seed=1),
        particles_on_a_grid(14, (200, 150), 12.0),
    ):
        circles.check_inside((200, 150))
        circles.check_apart()


def test_regions_of_imagej_have_the_circles_places(tmp_path):
    write_rois(tmp_path / "particles.zip", CIRCLES)
    rois = roifile.roiread(tmp_path / "particles.zip")
    assert [roi.name for roi in rois] == list(CIRCLES.labels)
    for k, roi in enumerate(rois):
        centre = roi.coordinates().mean(axis=0) - 0.5
        np.testing.assert_allclose(centre, [CIRCLES.x[k], CIRCLES.y[k]], atol=0.01)


def test_grain_and_edge_leave_nothing_beyond_the_pixels_reach():
    """The speckle has no power near the Nyquist frequency, so that shifts are exact."""
    plan = dataclasses.replace(PLAN, scenery=Scenery(grain=1.0))
    spectrum = np.abs(film_scene(plan, CIRCLES, INTENSITIES).spectrum)
    middle = spectrum.shape[0] // 2
    assert spectrum[middle].max() < 1e-3 * spectrum.max()
