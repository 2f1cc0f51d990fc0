"""What goes wrong before a camera: each is found, masked or noted, and named."""

import dataclasses
import re

import numpy as np
import pytest
import tifffile

from fitting.optical import frames, illumination, measure
from fitting.optical.frames import Film
from fitting.optical.regions import ellipse, regions_of
from fitting.optical.registration import register

from .made_film import made_film

SHAPE, COUNT = (110, 140), 24
FILM, TRUTH = made_film(
    COUNT, SHAPE, 4, drift=(2.0, -1.0), jump=(0.0, 0.0), blurred=(), flicker=0.03
)


def changed(change, frames=(12,)):
    """The film with some of its raw frames changed."""
    values = TRUTH["frames"].copy()
    for k in frames:
        values[k] = change(values[k].astype(float)).clip(0, 255).astype(np.uint8)
    return dataclasses.replace(FILM, read=values.__getitem__)


def regions(circles=None):
    circles = TRUTH["circles"] if circles is None else circles
    labels = [str(k + 1) for k in range(len(circles))]
    masks = [ellipse(y, x, r, r) for x, y, r in circles]
    return regions_of("circles.csv", labels, masks, SHAPE)


def moved(rows):
    """A frame of which the stage has moved on, its border repeated."""
    return lambda frame: frame[np.clip(np.arange(SHAPE[0]) - rows, 0, SHAPE[0] - 1)]


def smooth(frame):
    for _ in range(12):
        frame = (frame + np.roll(frame, 1, 0) + np.roll(frame, 1, 1)) / 3
        frame = (frame + np.roll(frame, -1, 0) + np.roll(frame, -1, 1)) / 3
    return frame


def noise(frame):
    return np.random.default_rng(1).uniform(0, 255, frame.shape)


def repeated():
    values = TRUTH["frames"].copy()
    values[13] = values[12]
    return dataclasses.replace(FILM, read=values.__getitem__)


def refocused():
    """From frame 13 on softer and darker: a refocus, not a reaction."""
    return changed(lambda f: 0.7 * (0.5 * f + 0.5 * smooth(f)), range(12, COUNT))


SCENES = [
    ("lamp off", changed(lambda f: 0.02 * f), "dark", "too dark or too bright"),
    ("flash", changed(lambda f: 7 * f + 9), "dark|lost", "1 frame .13. masked"),
    ("out of focus", changed(smooth), "blurred", "1 frame .13. masked: out of focus"),
    ("another scene", changed(noise), "lost|blurred", "1 frame .13. masked"),
    ("black frame", changed(lambda f: 0 * f), "dark|lost", "could not be registered"),
    ("same image twice", repeated(), "repeated", "1 frame .14. masked: the same image"),
    ("refocused", refocused(), "artefact", "focus and brightness jumped together"),
    (
        "stage far away",
        changed(moved(60)),
        "lost|blurred",
        "1 frame .13. masked",
    ),
]


@pytest.mark.parametrize(
    ("film", "flag", "words"), [pytest.param(*row[1:], id=row[0]) for row in SCENES]
)
def test_a_bad_frame_is_masked_and_named(film, flag, words):
    traces, quality = measure.measure(film, regions())
    k = 13 if "14" in words else 12
    assert re.search(flag, quality.reasons(k))
    assert np.all(np.isnan(traces.intensity[:, k]))
    assert any(re.search(words, note) for note in traces.notes)
    assert np.sum(~quality.kept) == 1


def test_no_frame_of_a_good_film_is_masked():
    _, quality = measure.measure(FILM, regions())
    assert np.all(quality.kept)


def test_a_stage_jump_is_followed_and_noted():
    film = changed(moved(8), range(12, COUNT))
    traces, quality = measure.measure(film, regions())
    assert any("stage jumped at frame 13;" in note for note in traces.notes)
    assert np.all(quality.kept)


def test_a_jump_beyond_the_search_range_is_not_believed():
    shifts = register(changed(moved(12)), search=6.0)
    assert shifts.lost[12]
    assert np.sum(shifts.lost) == 1


def test_frames_that_may_lie_beyond_the_search_range_name_the_remedy():
    film, truth = made_film(40, (128, 160), 3, blurred=(), drift=(0, 0), jump=(40, 0))
    masks = [ellipse(y, x, r, r) for x, y, r in truth["circles"]]
    drawn = regions_of("circles.csv", ["1", "2", "3"], masks, film.shape)
    shifts = register(film, away=drawn.around, search=30.0)
    traces, _ = measure.measure(film, drawn, shifts=shifts)
    remedy = "more than the 30 px that were searched; .* search further .--search-px"
    assert any(re.search(remedy, note) for note in traces.notes)
    assert not any(
        re.search("out of focus|stage jumped", note) for note in traces.notes
    )


def test_a_black_frame_is_not_sought_further_away():
    film = changed(lambda f: 0 * f)
    traces, _ = measure.measure(film, regions())
    assert not any("--search-px" in note for note in traces.notes)


def test_a_dark_frame_goes_with_a_film_whose_first_frame_is_black():
    film = changed(lambda f: 0 * f, [0])
    correct = illumination.correction_of(film, dark=np.full(SHAPE, 3))
    assert correct.dark.max() == np.float32(3 / 255)


def test_automatic_exposure_is_corrected_and_noted():
    film = changed(lambda f: 0.6 * f, range(12, COUNT))
    traces, _ = measure.measure(film, regions())
    plain, _ = measure.measure(FILM, regions())
    assert any("light jumped by -39% at frame 13, as by" in n for n in traces.notes)
    np.testing.assert_allclose(traces.intensity, plain.intensity, atol=0.01)


def test_values_above_a_guessed_white_are_not_saturated(tmp_path):
    """Twelve bits are guessed from frames before some that hold more."""
    rng = np.random.default_rng(0)
    values = rng.uniform(1500, 1800, (96, 96)) + rng.normal(0, 60, (40, 96, 96))
    disc, row, column = ellipse(48, 48, 12, 12)
    values[31:34, row : row + 25, column : column + 25] += 4200 * disc
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, values.astype(np.uint16), photometric="minisblack")
    film = frames.open_film(path, interval=60.0)
    assert film.scale == 4095
    assert "No value of the 9 frames that were looked at is above 4095" in film.notes[0]
    one = regions_of("r.csv", ["a"], [ellipse(48, 48, 10, 10)], (96, 96))
    traces, quality = measure.measure(film, one)
    assert np.nanmax(traces.intensity) > 1.3
    assert np.max(quality.num_saturated) == 0


def test_a_saturated_particle_is_noted():
    traces, quality = measure.measure(
        changed(lambda f: 1.9 * f, range(COUNT)), regions()
    )
    assert np.max(quality.num_saturated) > 5
    assert any("saturated in more than 0.5 %" in note for note in traces.notes)


def bright(full, dark_part=False):
    """(film, region, brightness) of a grainy disc that doubles, as much as is shown.

    Of its pixels, or where a part stays dark of the others, the share `full` is white.
    """
    rng = np.random.default_rng(3)
    row, column = np.mgrid[:96, :96]
    inside = np.hypot(row - 48, column - 48) < 20
    grain = np.exp(0.2 * rng.standard_normal((96, 96)))
    reacts = inside & ~(dark_part & (column < 44))
    level = 1 / (2 * np.quantile(grain[reacts], 1 - full))
    brightness = level * (1 + 1 / (1 + np.exp(-(np.arange(60) - 30) / 4.0)))
    ground = 0.15 * (1 + 0.2 * rng.standard_normal((96, 96)))
    frames = np.stack([np.where(reacts, b * grain, ground) for b in brightness])
    frames = frames + rng.normal(0, 0.005, frames.shape)
    frames = np.clip(np.rint(65535 * frames), 0, 65535).astype(np.uint16)
    time = 60.0 * np.arange(60)
    film = Film("m.tif", time, "Made.", frames.__getitem__, (96, 96), 65535.0)
    region = regions_of("r.csv", ["a"], [ellipse(48, 48, 17, 17)], (96, 96))
    return film, region, brightness


def test_pixels_that_saturate_count_in_no_frame():
    film, region, brightness = bright(0.5)
    traces, quality = measure.measure(film, region)
    assert np.max(quality.num_saturated) > 0.4 * np.max(quality.num_pixels)
    assert any("without the pixels that are saturated" in n for n in traces.notes)
    assert not any("the bright end is cut" in note for note in traces.notes)
    found = traces.intensity[0] / traces.intensity[0, :5].mean()
    np.testing.assert_allclose(found, brightness / brightness[0], rtol=0.01)


def test_a_flash_does_not_bring_back_pixels_that_saturate():
    film, region, brightness = bright(0.5)
    white = np.full((96, 96), 65535, np.uint16)
    flashed = dataclasses.replace(
        film, read=lambda k: white if k == 9 else film.read(k)
    )
    traces, quality = measure.measure(flashed, region)
    assert np.flatnonzero(~quality.kept).tolist() == [9]
    assert any("without the pixels that are saturated" in n for n in traces.notes)
    found = traces.intensity[0] / traces.intensity[0, :5].mean()
    good = quality.kept
    np.testing.assert_allclose(found[good], (brightness / brightness[0])[good], 0.01)


def test_particles_in_a_flash_are_not_said_to_be_saturated():
    flashed = changed(lambda frame: np.full_like(frame, 255), [9])
    traces, _ = measure.measure(flashed, regions())
    assert any("1 frame (10) masked" in note for note in traces.notes)
    assert not any("saturated" in note for note in traces.notes)


def test_pixels_that_do_not_react_stand_for_none_that_saturate():
    film, region, _ = bright(0.95, dark_part=True)
    traces, _ = measure.measure(film, region)
    assert not any("without the pixels" in note for note in traces.notes)
    assert traces.intensity[0, -1] > 1.4 * traces.intensity[0, 0]


def holed(count, frames=(12,)):
    """The film with so many pixels of some frames that hold no number."""
    values = TRUTH["frames"].astype(np.float32)
    rng = np.random.default_rng(2)
    for k in frames:
        values[k].flat[rng.choice(values[k].size, count, replace=False)] = np.nan
    return dataclasses.replace(FILM, read=values.__getitem__)


HOLES = [
    ("one pixel is NaN", 1, (12,), "left out .* up to 1 in a frame, in 1 of 24"),
    ("100 pixels are NaN", 100, (12,), "up to 100 in a frame, in 1 of 24"),
    ("a NaN in every frame", 1, range(COUNT), "up to 1 in a frame, in 24 of 24 frames"),
    ("100 NaN in every frame", 100, range(COUNT), "up to 100 in a frame, in 24 of 24"),
]


@pytest.mark.parametrize(
    ("count", "frames", "words"),
    [pytest.param(*row[1:], id=row[0]) for row in HOLES],
)
def test_pixels_without_a_number_do_not_lose_their_frame(count, frames, words):
    traces, quality = measure.measure(holed(count, frames), regions())
    plain, known = measure.measure(FILM, regions())
    assert np.all(quality.kept)
    np.testing.assert_allclose(quality.dy, known.dy, atol=0.05)
    np.testing.assert_allclose(traces.intensity, plain.intensity, atol=0.005)
    assert any(re.search(words, note) for note in traces.notes)


def test_a_frame_of_which_much_holds_no_number_is_masked_as_that():
    traces, quality = measure.measure(holed(400), regions())
    assert "gaps" in quality.reasons(12)
    assert np.sum(~quality.kept) == 1
    assert any("1 % of its pixels hold no" in note for note in traces.notes)


def test_a_particle_on_pixels_without_a_number_is_masked_there():
    values = TRUTH["frames"].astype(np.float32)
    x, y, _ = np.rint(TRUTH["circles"][0]).astype(int)
    values[12, y - 5 : y + 6, x - 5 : x + 6] = np.inf
    film = dataclasses.replace(FILM, read=values.__getitem__)
    traces, _ = measure.measure(film, regions())
    assert np.flatnonzero(np.isnan(traces.intensity).any(axis=0)).tolist() == [12]
    assert np.flatnonzero(np.isnan(traces.intensity[:, 12])).tolist() == [0]
    words = r"'1' lies outside the field, or on pixels without a number, by more"
    assert any(re.search(words, note) for note in traces.notes)


def test_a_particle_that_leaves_the_field_is_masked_there():
    film = changed(moved(-14), range(12, COUNT))
    traces, _ = measure.measure(film, regions([[40, 14.0, 9], [70, 60, 9]]))
    assert np.all(np.isnan(traces.intensity[0, 12:]))
    assert np.all(np.isfinite(traces.intensity[:, :12]))
    assert any("'1' lies outside the field by more" in note for note in traces.notes)


def test_a_particle_at_the_border_of_a_still_film_is_measured_in_all_frames():
    noise = np.random.default_rng(0).integers(-4, 5, (COUNT, *SHAPE))
    values = np.clip(FILM.read(0) + noise, 0, 255).astype(np.uint8)
    still = dataclasses.replace(FILM, read=values.__getitem__)
    circles = [[40, 2.0, 9], [70, 60, 9]]
    traces, quality = measure.measure(still, regions(circles))
    assert np.all(np.isfinite(traces.intensity[:, quality.kept]))
    assert not any("outside the field" in note for note in traces.notes)


def test_without_ground_flicker_stays_and_is_noted():
    everywhere = [[70.0, 55.0, 75.0]]
    traces, quality = measure.measure(FILM, regions(everywhere))
    assert np.all(quality.gain == 1)
    assert any("There is no ground" in note for note in traces.notes)


def test_a_film_without_one_good_frame_is_refused():
    film = changed(lambda f: 0 * f + 7, range(COUNT))
    with pytest.raises(ValueError, match="must have a frame that can be used, but all"):
        measure.measure(film, regions())


CORRECTIONS = [
    ("dark of another size", {"dark": np.zeros((9, 9))}, "dark frame must be as large"),
    ("flat of another size", {"flat": np.ones((9, 9))}, "flat frame must be as large"),
    ("dark is bright", {"dark": np.full(SHAPE, 99)}, "must be darker than the film, b"),
    ("flat with holes", {"flat": np.eye(*SHAPE)}, "brighter than the dark .* in every"),
    (
        "flat below dark",
        {"flat": np.full(SHAPE, 9), "dark": np.full(SHAPE, 10)},
        "brighter than the dark frame",
    ),
]


@pytest.mark.parametrize(
    ("images", "words"), [pytest.param(*row[1:], id=row[0]) for row in CORRECTIONS]
)
def test_a_correction_that_cannot_be_is_refused(images, words):
    with pytest.raises(ValueError, match=words):
        illumination.correction_of(FILM, **images)


def test_regions_of_another_film_are_refused():
    small = regions_of("c.csv", ["a"], [ellipse(9, 9, 5, 5)], (40, 50))
    with pytest.raises(ValueError, match="frames as large as the film"):
        measure.measure(FILM, small)
