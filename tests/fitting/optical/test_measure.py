import csv
import dataclasses

import numpy as np
import pytest

from fitting.optical import illumination, measure, proposal, trace_files
from fitting.optical.frames import Film
from fitting.optical.regions import ellipse, regions_of
from fitting.optical.registration import register

from .made_film import made_film

SHAPE, COUNT = (160, 200), 40


@pytest.fixture(scope="module")
def made():
    """(film, truth, regions, shifts) that all look at."""
    film, truth = made_film(COUNT, SHAPE, 8, blurred=(9, 22), seed=4)
    return film, truth, regions(truth), register(film)


def regions(truth):
    labels = [f"p{k + 1}" for k in range(len(truth["circles"]))]
    masks = [ellipse(y, x, r, r) for x, y, r in truth["circles"]]
    return regions_of("circles.csv", labels, masks, SHAPE)


def share(values):
    """From 0 at the first frames to 1 at the last."""
    low, high = (
        np.nanmedian(v, axis=1)[:, None] for v in (values[:, :5], values[:, -5:])
    )
    return (values - low) / (high - low)


def relative(values):
    return values / np.nanmedian(values[:, :5], axis=1, keepdims=True)


@pytest.mark.parametrize(
    "statistic", [measure.median, measure.mean, measure.trimmed_mean]
)
def test_traces_follow_the_particles_and_not_lamp_or_stage(made, statistic):
    film, truth, drawn, shifts = made
    traces, quality = measure.measure(film, drawn, shifts=shifts, statistic=statistic)
    # Light of the ground at soft edges scales the rise, but does not change its course.
    error = share(traces.intensity) - share(truth["brightness"])
    assert np.flatnonzero(~quality.kept).tolist() == [9, 22]
    assert np.nanmax(np.abs(np.nanmedian(error, axis=1))) < 0.01
    assert np.nanstd(error) < 0.015


def test_even_rises_of_grainy_particles_are_no_fronts(made):
    film, _, drawn, shifts = made
    traces, _ = measure.measure(film, drawn, shifts=shifts)
    assert not any("front" in note for note in traces.notes)


def test_the_lamp_is_known_to_a_thousandth(made):
    film, truth, drawn, shifts = made
    _, quality = measure.measure(film, drawn, shifts=shifts)
    ratio = quality.gain / truth["gain"] * truth["gain"][0]
    assert np.std(ratio[quality.kept]) < 1e-3


def test_frames_by_which_ground_was_chosen_look_no_sharper():
    film, truth = made_film(96, (96, 128), 2, blurred=(), noise=0.03, jump=(0, 0))
    drawn = regions_of(
        "c", ["a"], [ellipse(y, x, r, r) for x, y, r in truth["circles"][:1]], (96, 128)
    )
    _, quality = measure.measure(film, drawn)
    sampled = np.unique(np.linspace(0, 95, 32).astype(int))
    others = np.setdiff1d(np.arange(96), sampled)
    between = np.std(quality.focus[others]) / np.sqrt(sampled.size)
    apart = quality.focus[sampled].mean() - quality.focus[others].mean()
    assert abs(apart) < 3 * between


@pytest.mark.parametrize("defocused", [(), (10, 51, 75)])
@pytest.mark.parametrize("seed", [0, 1])
def test_only_frames_out_of_focus_are_blurred(seed, defocused):
    shape = (110, 140)
    film, truth = made_film(
        90, shape, 4, blurred=defocused, noise=0.03, seed=seed, drift=(2.0, 1.0)
    )
    masks = [ellipse(y, x, r, r) for x, y, r in truth["circles"]]
    drawn = regions_of("c", [str(k) for k in range(len(masks))], masks, shape)
    _, quality = measure.measure(film, drawn)
    assert np.flatnonzero(quality.flags["blurred"]).tolist() == list(defocused)


def test_a_sharper_frame_is_not_blurred():
    score = np.random.default_rng(0).normal(1, 0.005, 60)
    score[[20, 40]] = 1.4, 0.6
    found = illumination.is_blurred(score, np.ones(60, bool))
    assert np.flatnonzero(found).tolist() == [40]


def test_intensity_is_in_units_of_the_scale(made):
    film, _, drawn, shifts = made
    traces, _ = measure.measure(film, drawn, shifts=shifts)
    assert traces.scale == 255
    np.testing.assert_allclose(traces.intensity[:, :3], 0.3, rtol=0.12)


def test_a_dark_frame_and_a_flat_field_are_taken_out(made):
    film, truth, drawn, shifts = made
    plain, _ = measure.measure(film, drawn, shifts=shifts)
    y = np.linspace(0.8, 1.2, SHAPE[0])[:, None] * np.ones(SHAPE)
    dark = 12.0 + 3 * np.cos(np.arange(SHAPE[1]) / 9) * np.ones(SHAPE)
    shaded = dataclasses.replace(
        film, read=lambda k: (truth["frames"][k] * y + dark).astype(np.float32)
    )
    correct = illumination.correction_of(shaded, dark, 150 * y + dark)
    traces, _ = measure.measure(shaded, drawn, shifts=shifts, correct=correct)
    np.testing.assert_allclose(traces.intensity, plain.intensity, rtol=0.012)


def test_without_a_flat_field_shading_would_be_seen(made):
    film, truth, drawn, shifts = made
    plain, _ = measure.measure(film, drawn, shifts=shifts)
    y = 1 + 0.4 * np.cos(np.arange(SHAPE[0]) / 9)[:, None]  # no plane follows that
    shaded = dataclasses.replace(film, read=lambda k: truth["frames"][k] * y)
    traces, _ = measure.measure(shaded, drawn, shifts=shifts)
    assert (
        np.nanmax(np.abs(relative(traces.intensity) - relative(plain.intensity))) > 0.02
    )


def test_trimmed_means_leave_out_both_ends():
    values = np.array([-1e9, *range(1, 9), 1e9])
    assert measure.trimmed_mean(np.random.default_rng(0).permutation(values)) == 4.5


def test_threads_change_nothing(made):
    film, _, drawn, shifts = made
    one, four = (
        measure.measure(film, drawn, shifts=shifts, workers=n)[0] for n in (1, 4)
    )
    np.testing.assert_array_equal(one.intensity, four.intensity)


def test_tables_hold_what_was_measured(made, tmp_path):
    film, _, drawn, shifts = made
    traces, quality = measure.measure(film, drawn, shifts=shifts)
    traces = dataclasses.replace(traces, start=1732100400.5)
    trace_files.write_traces(tmp_path / "traces.csv", traces)
    trace_files.write_quality(tmp_path / "quality.csv", traces, quality)
    lines = (tmp_path / "traces.csv").read_text().splitlines()
    comments = [line for line in lines if line.startswith("#")]
    assert "# scale: 255" in comments
    assert "# start: 1732100400.500" in comments
    rows = list(csv.DictReader(lines[len(comments) :]))
    assert list(rows[0]) == ["frame", "time_s", *drawn.labels]
    assert rows[9]["p1"] == ""
    assert float(rows[7]["p3"]) == pytest.approx(traces.intensity[2, 7], rel=1e-6)
    assert [float(row["time_s"]) for row in rows] == traces.time.tolist()
    with (tmp_path / "quality.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[9]["flags"] == "blurred"
    assert int(rows[0]["n_px_p2"]) == drawn.pixels[1].shape[1]


def test_regions_are_proposed_where_the_film_changes(made):
    pytest.importorskip("skimage")
    film, truth, _, shifts = made
    found = proposal.propose_regions(film, shifts=shifts)
    assert len(found.labels) == len(truth["circles"])
    places = truth["circles"][:, [1, 0]]
    for centre, radius in zip(found.centre, found.radius, strict=True):
        k = np.argmin(np.hypot(*(places - centre).T))
        assert np.hypot(*(places[k] - centre)) < 1.0
        assert radius == pytest.approx(truth["circles"][k, 2], abs=1.5)


def test_a_film_without_change_proposes_nothing():
    pytest.importorskip("skimage")
    film, truth = made_film(6, (96, 128), 2, blurred=(), jump=(0, 0), noise=0)
    still = dataclasses.replace(film, read=lambda k: truth["frames"][0])
    with pytest.raises(ValueError, match="shows none; draw them"):
        proposal.propose_regions(still)


def test_what_is_elongated_or_touches_another_is_proposed_once():
    pytest.importorskip("skimage")
    y, x = np.mgrid[:120, :160]
    shapes = (
        np.hypot(x - 35, y - 35) < 14,
        np.hypot(x - 64, y - 35) < 14,
        np.hypot((x - 115) / 28, (y - 30) / 9) < 1,
        (np.abs(x - 115) < 25) & (np.abs(y - 80) < 12),
    )
    draws = np.random.default_rng(3)
    ground = made_film(2, (120, 160), 1, blurred=())[1]["frames"][0] / 255
    ground[ground > 0.28] = 0.2  # without its disc
    images = []
    for k in range(40):
        image = ground + draws.normal(0, 0.01, ground.shape)
        for j, shape in enumerate(shapes):
            image[shape] = 0.3 + 0.3 * (k > 6 + 8 * j)
        images.append(np.rint(255 * image.clip(0, 1)).astype(np.uint8))
    time = 60.0 * np.arange(40)
    film = Film("f.tif", time, "", images.__getitem__, (120, 160), 255.0)
    found = proposal.propose_regions(film)
    assert len(found.labels) == 4
    owners = [
        [s for s, shape in enumerate(shapes) if np.mean(shape[tuple(pixels)]) > 0.9]
        for pixels in found.pixels
    ]
    assert sorted(owners) == [[0], [1], [2], [3]]
    assert found.notes == ()


@pytest.mark.parametrize(("radius", "noted"), [(11, True), (6, False)])
def test_a_ground_that_reacts_itself_is_noted(radius, noted):
    """25 discs double in brightness together; one of them is drawn."""
    y, x = np.mgrid[:125, :125]
    discs = np.hypot(x % 25 - 12, y % 25 - 12) < radius
    grain = 1 + 0.1 * np.random.default_rng(5).standard_normal(discs.shape)
    lamp = 1 + 0.08 * np.sin(1.7 * np.arange(40))
    images = [
        np.rint(255 * lamp[k] * grain * np.where(discs, 0.3 + 0.3 * (k > 19), 0.2))
        for k in range(40)
    ]
    time, read = 60.0 * np.arange(40), [i.astype(np.uint8) for i in images]
    film = Film("f.tif", time, "", read.__getitem__, discs.shape, 255.0)
    drawn = regions_of("c", ["a"], [ellipse(62, 62, radius, radius)], film.shape)
    traces, _ = measure.measure(film, drawn)
    rise = np.nanmedian(traces.intensity[0, 25:]) - np.nanmedian(
        traces.intensity[0, :15]
    )
    assert (rise < 0.05) == noted
    words = "of the ground keeps its brightness, as where particles react together"
    assert any(words in note for note in traces.notes) == noted


def leaning(made, tilt):
    """The film of `made` in light that leans to the right, by `tilt` in each frame."""
    film, truth, *_ = made
    across = np.linspace(-0.5, 0.5, SHAPE[1])
    frames = truth["frames"] * (1 + tilt[:, None, None] * across)
    frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return dataclasses.replace(film, read=frames.__getitem__)


@pytest.mark.parametrize("kind", ["slowly", "in every frame"])
def test_light_that_leans_to_a_side_is_taken_out(made, kind):
    _, truth, drawn, shifts = made
    tilt = np.linspace(0.0, 0.3, COUNT)
    if kind == "in every frame":
        tilt = 0.1 * np.random.default_rng(1).standard_normal(COUNT)
        tilt[0] = 0.0
    traces, _ = measure.measure(leaning(made, tilt), drawn, shifts=shifts)
    (note,) = (n for n in traces.notes if "leans to a side" in n)
    assert f"{np.abs(tilt).max():.0%}"[0] in note
    even, _ = measure.measure(made[0], drawn, shifts=shifts)
    assert not any("leans" in n for n in even.notes)
    error = traces.intensity / even.intensity
    error = error / np.nanmedian(error, axis=1, keepdims=True)
    # Of a tilt of 0.3, the ones at the rims would be off by 0.1.
    assert np.nanmax(np.abs(error - 1)) < 0.02
    assert len(truth["circles"]) == len(error)


def test_scores_that_scatter_by_chance_are_not_out_of_focus():
    score, usable = np.random.default_rng(0).normal(1.0, 0.4, 200), np.ones(200, bool)
    assert not np.any(illumination.is_blurred(score, usable))
    # Sharp ones tell more, also of a focus that is gone for longer than a window.
    score = np.random.default_rng(0).normal(1.0, 0.1, 200)
    score[150:] -= 0.8
    assert np.sum(illumination.is_blurred(score, usable)[150:]) > 45
