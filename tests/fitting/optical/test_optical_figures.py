import dataclasses

import matplotlib
import matplotlib.colors
import numpy as np
import pytest

from fitting.optical import film_figures, optical_figures, quality_figures
from fitting.optical.circles import Circle
from fitting.optical.degrees import degrees_of
from fitting.optical.half_cycles import from_bounds, state_of_charge
from fitting.optical.onsets import find_onsets
from fitting.optical.population import population
from fitting.optical.regions import Regions
from fitting.optical.verdicts import Outcome
from fitting.recording import Recording
from fitting.style import save

from .made_traces import HOUR, TIMES, rise, traces_of


class StillFilm:
    """Frames of 24 x 30 px with a disc that brightens."""

    shape = (24, 30)
    time = TIMES

    def frame(self, k):
        y, x = np.mgrid[:24, :30]
        inside = (x - 15) ** 2 + (y - 12) ** 2 < 36
        return np.where(inside, 0.2 + rise(3.0)[k], 0.1).astype(np.float32)


CIRCLES = (Circle("a", 15.0, 12.0, 6.0), Circle("b", 4.0, 4.0, 3.0))


@pytest.fixture(scope="module")
def shown():
    """(traces, half cycle, its population, state of charge)."""
    rows = {"a": rise(3.0), "b": np.zeros(TIMES.size), "c": rise(8.013, 0.01)}
    traces = traces_of(rows)
    hours = np.linspace(0, 12, 50)
    charge = state_of_charge(
        Recording(HOUR * hours, 3.6 + 0.05 * hours, np.full(50, 1e-3))
    )
    (one,) = find_onsets(traces)
    people = population(degrees_of(traces, one, charge), one, num_draws=20)
    return traces, one, people, charge


def words(figure):
    """All texts of a figure."""
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text)]


def test_half_cycles_stand_beside_one_another_with_slopes_below():
    halves = from_bounds([(0.0, 6 * HOUR, True), (6 * HOUR, 12 * HOUR, False)])
    traces = traces_of({"a": rise(3.0) - rise(9.0), "b": rise(4.0) - rise(8.0)})
    figure = optical_figures.half_cycles_figure(traces, find_onsets(traces, halves))
    assert len(figure.axes) == 4
    text = words(figure)
    assert {"charge 1", "discharge 1", "time (h)", "slope dI/dt (per h)"} <= set(text)
    assert "intensity I (of scale)" in text


def test_the_legend_gives_each_particle_the_colour_of_its_trace(shown):
    traces, one, _, charge = shown
    figure = optical_figures.half_cycles_figure(traces, [one], charge)
    (legend,) = figure.legends
    named = {
        text.get_text(): line.get_color()
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert sorted(named) == sorted(traces.labels)
    for line in figure.axes[0].get_lines():
        if line.get_linestyle() != "-" or len(line.get_xdata()) < 2:
            continue
        known = [
            np.isclose(line.get_ydata(), y, equal_nan=True).all()
            for y in traces.intensity
        ]
        assert named[traces.labels[known.index(True)]] == line.get_color()


def test_the_axis_names_the_reference_of_the_state_of_charge(shown):
    traces, one, people, charge = shown
    figure = optical_figures.half_cycles_figure(traces, [one], charge)
    expected = "state of charge Q/Q_ref, Q_ref = 12 mAh (first half cycle)"
    assert expected in words(figure)
    assert expected in words(optical_figures.activity_figure([people], charge))


def test_all_axes_of_time_are_those_of_the_cycler_s_clock(shown):
    traces, one, _, _ = shown
    people = population(degrees_of(traces, one), one, num_draws=5)
    drawn = (
        (optical_figures.half_cycles_figure, (traces, [one])),
        (optical_figures.raster_figure, (one, people)),
        (optical_figures.reacted_figure, (one, people)),
        (optical_figures.activity_figure, ([people],)),
    )
    for draw, given in drawn:
        ends = []
        for offset in (0.0, 2 * HOUR):
            axes = draw(*given, offset=offset).axes[0]
            lines = np.concatenate([line.get_xdata() for line in axes.get_lines()])
            ends.append([*axes.get_xlim(), *np.unique(lines)])
        np.testing.assert_allclose(ends[1], np.add(ends[0], 2.0))


def test_a_local_slope_is_that_of_a_straight_line():
    x = np.linspace(0, 1, 200)
    y = 3 * x + np.where(x > 2, 1.0, 0.0)
    y[50:60] = np.nan
    slope = optical_figures.local_slope(x, y, np.array([0.0, 0.27, 1.0, 5.0]), 0.05)
    np.testing.assert_allclose(slope[:3], 3.0)
    assert np.isnan(slope[3])


def test_the_raster_has_the_earliest_at_the_top(shown):
    _, one, people, charge = shown
    figure = optical_figures.raster_figure(one, people, charge)
    labels = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert labels == ["a", "c", "b"]
    assert figure.axes[0].yaxis_inverted()


def test_the_reacted_share_marks_the_censored(shown):
    _, one, people, charge = shown
    figure = optical_figures.reacted_figure(one, people, charge)
    assert "censored" in words(figure)
    assert "reacted share (–)" in words(figure)


def test_what_is_censored_at_the_last_frame_stands_off_the_axes_rim(shown):
    _, one, people, charge = shown
    (axes,) = optical_figures.reacted_figure(one, people, charge).axes
    (mark,) = (n for n in axes.get_lines() if n.get_marker() == "|")
    (inside,) = axes.transLimits.transform([[mark.get_xdata()[0], 0.0]])
    assert 0.9 < inside[0] < 0.99


def test_the_raster_shortens_long_names(shown):
    traces, _, _, _ = shown
    name = "the particle in the upper left corner of the field"
    longer = dataclasses.replace(traces, labels=(name, "b", "c"))
    (one,) = find_onsets(longer)
    people = population(degrees_of(longer, one), one, num_draws=5)
    axes = optical_figures.raster_figure(one, people).axes[0]
    labels = [t.get_text() for t in axes.get_yticklabels()]
    assert labels == ["the particle…f the field", "c", "b"]


def test_half_cycles_that_a_figure_leaves_out_are_counted(shown):
    traces, _, people, _ = shown
    halves = [(2 * k * HOUR, 2 * (k + 1) * HOUR, k % 2 == 0) for k in range(6)]
    found = find_onsets(traces, from_bounds(halves))
    for count, figure in (
        *((n, optical_figures.half_cycles_figure(traces, found[:n])) for n in (4, 6)),
        *((n, optical_figures.activity_figure([people] * n)) for n in (4, 6)),
    ):
        left_out = "time (h)\nthe first 4 of 6 half cycles"
        assert figure.get_supxlabel() == ("time (h)" if count == 4 else left_out)
        assert len(figure.axes) == 8


def test_the_reacted_share_steps_where_particles_react(shown):
    _, one, people, charge = shown
    times = sorted(optical_figures.when(o) for o in one.onsets if o.has_reacted)
    figure = optical_figures.reacted_figure(one, people, charge)
    (line,) = (n for n in figure.axes[0].get_lines() if n.get_drawstyle() != "default")
    x, y = line.get_data()
    jumps = x[1:][np.diff(y) > 0.1]
    np.testing.assert_allclose(jumps, charge.at(np.array(times)), rtol=1e-9)
    np.testing.assert_allclose(y[[0, -1]], [0, 2 / 3])
    (mark,) = (n for n in figure.axes[0].get_lines() if n.get_marker() == "|")
    np.testing.assert_allclose(mark.get_ydata(), 2 / 3)


def test_the_map_fills_by_onset_and_hatches_the_censored(shown):
    _, one, _, charge = shown
    figure = film_figures.onset_map(StillFilm().frame(0), CIRCLES, one, charge)
    discs = [p for p in figure.axes[0].patches if hasattr(p, "radius")]
    assert [disc.get_hatch() for disc in discs] == [None, "/////"]
    assert "state of charge at midpoint (–)" in words(figure)


def test_the_map_of_one_particle_has_the_scale_of_its_half_cycle():
    """Not of a nanosecond around its midpoint."""
    (one,) = find_onsets(traces_of({"a": rise(4.0)}))
    image, circle = StillFilm().frame(0), Circle("a", 15.0, 12.0, 6.0)
    _, bar = film_figures.onset_map(image, [circle], one, offset=HOUR).axes
    np.testing.assert_allclose(bar.get_ylim(), (1.0, 13.0))


def test_the_montage_says_when_its_frames_are(shown):
    _, one, _, charge = shown
    figure = film_figures.montage(
        StillFilm(), CIRCLES, one, charge, num_frames=4, offset=360.0
    )
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert titles[0] == "0.10 h, SOC 0.00"
    assert titles[-1].endswith("SOC 1.00")
    assert len(titles) == 4
    styles = [[p.get_linestyle() for p in axes.patches] for axes in figure.axes]
    assert styles[0] == ["--", "--"]
    assert styles[-1] == ["-", "--"]


def test_the_montage_has_what_is_over_by_a_bound_over_from_there(shown):
    one, left = shown[1], {"outcome": Outcome.LEFT, "before": 7 * HOUR}
    onsets = [dataclasses.replace(onset, **left) for onset in one.onsets]
    one = dataclasses.replace(one, onsets=tuple(onsets))
    figure = film_figures.montage(StillFilm(), CIRCLES, one, num_frames=3)
    styles = [axes.patches[0].get_linestyle() for axes in figure.axes]
    assert styles == ["--", "--", "-"]


@pytest.mark.parametrize("angle", [None, 0.5])
def test_the_kymograph_shows_the_particle_brighten(shown, angle):
    _, one, _, _ = shown
    figure = film_figures.kymograph(
        StillFilm(), CIRCLES[0], one, angle=angle, pixel=0.5, most_frames=30
    )
    values = figure.axes[0].collections[0].get_array()
    middle = values.shape[0] // 2 if angle is not None else 0
    assert values[middle, -1] > values[middle, 0] + 0.2
    assert any("(µm)" in text for text in words(figure))
    assert "lines: 10 % (dotted) and 50 % of its rise" in figure.axes[0].get_title()
    colors = {line.get_color() for line in figure.axes[0].get_lines()}
    assert len(colors) == 1
    assert "white" not in colors  # as masked frames are


def test_the_kymograph_leaves_masked_frames_white(shown):
    _, one, _, _ = shown
    kept = np.arange(TIMES.size) % 7 != 0
    figure = film_figures.kymograph(StillFilm(), CIRCLES[0], one, kept=kept)
    values = figure.axes[0].collections[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(values).all(axis=0), ~kept)
    assert np.isfinite(values[:, kept]).all()


@pytest.mark.parametrize("angle", [None, 0.0])
def test_what_lies_outside_of_the_frame_is_not_black_in_a_kymograph(shown, angle):
    """Of a field without a particle that is bright everywhere."""
    _, one, _, _ = shown
    film = StillFilm()
    film.frame = lambda k: np.full(film.shape, 0.5, np.float32)
    rim = Circle("a", 2.0, 12.0, 6.0)
    figure = film_figures.kymograph(film, rim, one, angle=angle)
    values = np.ma.filled(figure.axes[0].collections[0].get_array(), np.nan)
    np.testing.assert_allclose(values[np.isfinite(values)], 0.5, rtol=1e-6)
    outside = np.isnan(values).all(axis=1).sum()
    assert outside == (0 if angle is None else 6)  # 7.8 px beyond the middle


def test_figures_fit_a_page_and_are_written(shown, tmp_path):
    traces, one, people, charge = shown
    for figure in (
        optical_figures.half_cycles_figure(traces, [one], charge),
        optical_figures.activity_figure([people], charge),
        film_figures.onset_map(StillFilm().frame(0), CIRCLES, one),
    ):
        assert figure.get_figwidth() * 25.4 <= 170.001
        save(figure, tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 5000


def of_particles(*midpoints):
    """A half cycle in which particles react at some hours."""
    traces = traces_of({f"p{k}": rise(time) for k, time in enumerate(midpoints)})
    return traces, find_onsets(traces)[0]


def test_many_particles_have_different_colours():
    _, one = of_particles(*np.linspace(1.0, 11.0, 30))
    colors = optical_figures.colors_of(one)
    assert len({matplotlib.colors.to_hex(c) for c in colors.values()}) == 30


def test_a_particle_has_one_colour_in_all_figures():
    traces, one = of_particles(6.0, 3.0)
    circles = [Circle("p0", 15.0, 12.0, 6.0), Circle("p1", 4.0, 4.0, 3.0)]
    curves = optical_figures.half_cycles_figure(traces, [one])
    montage = film_figures.montage(StillFilm(), circles, one, num_frames=2)
    centres, radii = np.array([[12.0, 15.0], [4.0, 4.0]]), np.array([6.0, 3.0])
    regions = Regions(traces.labels, ((), ()), centres, radii, StillFilm.shape)
    drawn = quality_figures.regions_figure(StillFilm().frame(0), regions)
    (legend,) = curves.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["p1", "p0"]  # in order of reaction
    lines = [line.get_color() for line in legend.get_lines()][::-1]
    rings = [ring.get_edgecolor() for ring in montage.axes[0].patches]
    marks = [line.get_color() for line in drawn.axes[0].get_lines()]
    as_hex = [
        [matplotlib.colors.to_hex(c) for c in row] for row in (lines, rings, marks)
    ]
    assert as_hex[0] == as_hex[1] == as_hex[2]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_without_a_number_leave_the_rest_of_a_frame_visible(shown, value):
    image = StillFilm().frame(200)
    image[0, :20] = value
    place = np.array([[12.0, 15.0]]), np.array([6.0])
    regions = Regions(("a",), ((),), *place, StillFilm.shape)
    figures = (
        quality_figures.regions_figure(image, regions),
        film_figures.onset_map(image, CIRCLES, shown[1]),
    )
    for figure in figures:
        (drawn,) = figure.axes[0].get_images()
        assert drawn.norm.vmin == pytest.approx(0.1)
        assert drawn.norm.vmax == pytest.approx(image[12, 15], rel=0.05)
