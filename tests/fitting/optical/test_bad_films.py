"""Films that cannot be made are refused in one sentence that names the setting."""

import dataclasses
import math

import numpy as np
import pytest

from fitting.optical.film import write_film
from fitting.optical.film_circles import (
    Circles,
    particles_at_random,
    particles_on_a_grid,
)
from fitting.optical.film_plan import Camera, FilmPlan, Lamp, Scenery, Stage
from fitting.optical.film_rises import Intensities, Rise

PLAN = FilmPlan((64, 64), 8, 60.0, snr=10.0)
CIRCLES = particles_on_a_grid(2, (64, 64), 8.0)
INTENSITIES = Intensities.of_rises([Rise(240.0, 60.0)] * 2, PLAN.time)
VALUES = INTENSITIES.values


def plan(**fields):
    return lambda: dataclasses.replace(PLAN, **fields)


def film(name="film.tif", circles=CIRCLES, intensities=INTENSITIES, **fields):
    return lambda: write_film(
        name, dataclasses.replace(PLAN, **fields), circles, intensities
    )


def circle(x=20.0, y=20.0, radius=8.0, label="1"):
    """Two circles, of which the first is as asked for."""
    columns = ([x, 45.0], [y, 45.0], [radius, 8.0])
    return Circles((label, "2"), *(np.array(c) for c in columns))


def arrays(values, labels=("1", "2")):
    return Intensities.of_arrays(labels, values, PLAN.time)


REFUSED = [
    ("frame too small", plan(shape=(16, 64)), "height and a width of 32 px or more"),
    ("one frame", plan(num_frames=1), "2 frames or more, but has 1"),
    ("no interval", plan(interval=0.0), "`interval` must be positive, but is 0 s"),
    ("infinite interval", plan(interval=math.inf), "`interval` must be positive"),
    ("negative snr", plan(snr=-1.0), "`snr` must be positive or None, but is -1"),
    ("negative seed", plan(seed=-1), "`seed` must be 0 or more"),
    ("blur after the end", plan(defocus=((8, 1.0),)), "`defocus` must name frames"),
    ("no blur", plan(defocus=((3, 0.0),)), "blur of frame 3 must be above 0"),
    ("drop after the end", plan(dropped=(9,)), "`dropped` must name frames.* names 9"),
    ("all dropped", plan(dropped=range(7)), "must be left, but 7 of 8 are dropped"),
    (
        "jump after the end",
        plan(stage=Stage(jump=(1, 1), jump_frame=8)),
        "`jump_frame` must name frames from 0 to 7, but names 8",
    ),
    (
        "jump out of the frame",
        plan(stage=Stage(jump=(40, 0), jump_frame=2)),
        "not move the specimen by more than half the frame",
    ),
    ("drift of nan", lambda: Stage(drift=(math.nan, 0)), "two finite displacements"),
    ("jump of three", lambda: Stage(jump=(1, 2, 3)), "`jump` must be two finite"),
    ("backward walk", lambda: Stage(wander=-0.1), "`wander` must be between 0 and inf"),
    ("wild lamp", lambda: Lamp(flicker=1.5), "`flicker` must be between 0 and 0.5"),
    ("no warm-up time", lambda: Lamp(warm_up_time=0.0), "`warm_up_time` must be pos"),
    ("12 bits", lambda: Camera(bits=12), "`bits` must be 8 or 16, but is 12"),
    ("no exposure", lambda: Camera(exposure=0.0), "`exposure` must be above 0"),
    ("bright dark", lambda: Camera(dark=0.9), "`dark` must be between 0 and 0.5"),
    ("noise of nan", lambda: Camera(read_noise=math.nan), "`read_noise` must be bet"),
    ("no electrons", lambda: Camera(electrons=0.0), "`electrons` must be positive"),
    ("too fine a grain", lambda: Scenery(grain=0.2), "`grain` must be between 0.8"),
    ("too sharp an edge", lambda: Scenery(edge=0.0), "`edge` must be between 0.5"),
    ("instant rise", lambda: Rise(1.0, 0.0), "`duration` and .* must be positive"),
    ("rise at nan", lambda: Rise(math.nan, 1.0), "`midpoint` must be finite"),
    ("nan", lambda: arrays(np.full((2, 8), math.nan)), "'1' must lie between 0 and 1"),
    ("too bright", lambda: arrays(VALUES + 0.6), "between 0 and 1, but is 1.05 in"),
    ("same labels", lambda: arrays(VALUES, ("a", "a")), "must have different labels"),
    ("frames missing", lambda: arrays(VALUES[:, 1:]), r"shape \(2, 7\)"),
    ("rows missing", lambda: arrays(VALUES[:1]), "one row per particle"),
    ("tiny circle", lambda: circle(radius=1.0), "'1' must have .* a radius of 2 px"),
    ("circle at nan", lambda: circle(x=math.nan), "'1' must have a finite place"),
    ("circle outside", film(circles=circle(x=60.0)), "'1' must lie in the frame"),
    ("circles overlap", film(circles=circle(44.0, 40.0)), "'2' and '1' do"),
    ("other particles", film(circles=circle(label="9")), "of the same particles"),
    ("short plan", film(num_frames=7), "one column per planned frame, 7, but have 8"),
    ("a movie", film("film.mp4"), "to a .tif file or a folder, but 'film.mp4' ends"),
    (
        "noisy camera",
        film(camera=Camera(read_noise=0.5), snr=50.0),
        "`snr` must be 8.51 or less, where the pixels' noise puts particle '1'",
    ),
    (
        "nothing rises",
        film(intensities=arrays(np.full((2, 8), 0.3))),
        "`snr` must be None where no particle rises",
    ),
    (
        "no place left",
        lambda: particles_at_random(50, (64, 64), 8.0, seed=0),
        "has no place for number",
    ),
    (
        "no room for one",
        lambda: particles_at_random(1, (64, 64), 40.0, seed=0),
        "has no place for number 1",
    ),
    ("full grid", lambda: particles_on_a_grid(30, (64, 64), 8.0), "in the frame|overl"),
    ("no particles", lambda: particles_on_a_grid(0, (64, 64)), "must be 1 or more"),
]


@pytest.mark.parametrize(
    ("make", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_film_that_cannot_be_is_refused(make, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert str(caught.value).count("\n") == 0
    assert not list(tmp_path.iterdir())
