import dataclasses

import matplotlib
import numpy as np
import pytest
from matplotlib.lines import Line2D
from PIL import Image

from fitting import fit_figures, style
from fitting.events import CHANGES, Event, Events
from fitting.report import Half

from .made_up import HOUR, made_up_events, made_up_report

DRAWN = {
    "curves": fit_figures.curves_figure,
    "parity": fit_figures.parity_figure,
    "voltage": fit_figures.voltage_figure,
    "lithium": fit_figures.lithium_figure,
    "lithium_map": fit_figures.raster_figure,
    "parameters": fit_figures.parameters_figure,
}


def units(axes):
    return [text.rpartition("(")[2].rstrip(")") for text in axes]


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_figure_is_written_and_leaves_the_settings_alone(draw, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    style.save(draw(made_up_report()), tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 5000
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("draw", ["parity", "lithium", "voltage"])
def test_an_added_kind_of_event_is_drawn(draw, monkeypatch):
    monkeypatch.setitem(CHANGES, "late", 0.3)
    events = made_up_report().events
    events = dataclasses.replace(events, kind=("late", *events.kind[1:]))
    figure = DRAWN[draw](made_up_report(events=events))
    markers = {str(line.get_marker()) for line in figure.findobj(Line2D)}
    assert "D" in markers


def test_bars_of_numbers_are_the_shares_of_their_priors_that_are_left():
    report = made_up_report()
    (axes,) = fit_figures.parameters_figure(report).axes
    bars = {bar.get_y() + 0.5 * bar.get_height(): bar for bar in axes.patches}
    found = [bars[row].get_width() for row in sorted(bars, reverse=True)]
    assert found == [0.25, 0.98]
    (middle,) = (line.get_xdata()[0] for line in axes.lines)
    assert middle == 1.0


def test_curves_have_log_axes_units_bands_and_the_table_beside_them():
    report = made_up_report()
    figure = fit_figures.curves_figure(report)
    for axes, band in zip(figure.axes, report.bands, strict=True):
        assert axes.get_yscale() == "log"
        assert axes.get_ylabel() == band.label
        prior, fitted = (c.get_paths()[0].vertices[:, 1] for c in axes.collections)
        np.testing.assert_allclose((prior.min(), prior.max()), _ends(band, "prior_"))
        np.testing.assert_allclose((fitted.min(), fitted.max()), _ends(band))
        lines = [line.get_ydata() for line in axes.lines]
        assert any(np.array_equal(line, band.fitted) for line in lines)
        assert any(np.array_equal(line, band.values) for line in lines)


def test_sources_above_three_curves_are_drawn_whole(tmp_path):
    bands = made_up_report().bands
    names = "Amin and Chiang 2016 (NMC532), x = 1 chosen"
    report = made_up_report(bands=(*bands, bands[1]._replace(source=names)))
    style.save(fit_figures.curves_figure(report), tmp_path / "curves.png")
    image = np.asarray(Image.open(tmp_path / "curves.png").convert("L"))
    assert all(np.all(side == 255) for side in (image[:2], image[:, :2], image[:, -2:]))


def _ends(band, prefix=""):
    low, high = (getattr(band, f"{prefix}{end}") for end in ("low", "high"))
    return low.min(), high.max()


def test_parity_has_a_mark_a_segment_and_arrows_for_what_is_known():
    report = made_up_report()
    instants, durations = fit_figures.parity_figure(report).axes
    marked = [bar.lines[0].get_xydata()[0] for bar in instants.containers]
    assert [6.5, 6.4] in np.array(marked).tolist()
    segments = [line.get_xydata() for line in instants.lines]
    assert any(np.allclose(line, [[8.5, 9.0], [9.8, 9.0]]) for line in segments)
    arrows = [note.xy[0] - note.xyann[0] for note in instants.texts]
    assert [np.sign(a) for a in arrows] == [1.0, -1.0]
    hollow = durations.containers[0].lines[0]
    assert hollow.get_markerfacecolor() == "white"
    assert instants.containers[0].lines[0].get_markerfacecolor() != "white"


def test_parity_shows_whole_bars():
    _, durations = fit_figures.parity_figure(made_up_report()).axes
    low, high = durations.get_xlim()
    assert low < 0.6 < 1.2 < high
    assert durations.get_ylim()[0] < 0.7 - 0.2


def only(*rows):
    """A report of some events, as the run met them."""
    events, count = Events.from_rows(list(rows)), len(rows)
    run = made_up_report().trajectories
    first = {name: getattr(run, name)[:, :count] for name in ("mean", "surface")}
    halves = {number: run.halves[0] for number in events.half_cycles(0)}
    return made_up_report(
        events=events,
        fitted=np.ones(count, bool),
        predicted=HOUR * np.linspace(6.7, 9.2, count),
        predicted_sd=np.full(count, 0.1 * HOUR),
        ends=np.full(count, 14.0 * HOUR),
        trajectories=run._replace(labels=events.particles, halves=halves, **first),
    )


def test_bars_of_predictions_stand_on_times_and_amid_intervals():
    exact = Event("blue", "midpoint", time=6.5 * HOUR, sd=0.2 * HOUR)
    report = only(exact, Event("red", "midpoint", after=8 * HOUR, before=10 * HOUR))
    (axes,) = fit_figures.parity_figure(report).axes
    bars = [line for c in axes.collections for line in c.get_segments()]
    upright = sorted(line[0, 0] for line in bars if line[0, 0] == line[1, 0])
    np.testing.assert_allclose(upright, [6.5, 9.0])


def test_labels_of_one_parity_panel_are_whole(tmp_path):
    times = [(6.5, "blue"), (9.0, "red")]
    rows = [Event(name, "midpoint", time=h * HOUR, sd=HOUR / 5) for h, name in times]
    style.save(fit_figures.parity_figure(only(*rows)), tmp_path / "parity.png")
    image = np.asarray(Image.open(tmp_path / "parity.png").convert("L"))
    border = [image[:2], image[-2:], image[:, :2].T, image[:, -2:].T]
    assert all(np.all(rows == 255) for rows in border)


def test_lithium_shows_what_was_seen():
    mean = fit_figures.lithium_figure(made_up_report()).axes[0]
    report = made_up_report(events=made_up_events(surface=True))
    surface = fit_figures.lithium_figure(report).axes[0]
    run = report.trajectories
    np.testing.assert_array_equal(mean.lines[0].get_ydata(), run.mean[:, 0])
    np.testing.assert_array_equal(surface.lines[0].get_ydata(), run.surface[:, 0])
    assert mean.get_ylabel() == "mean stoichiometry x (–)"
    assert surface.get_ylabel() == "surface stoichiometry x (–)"


@pytest.mark.parametrize("seen", ["mean", "surface"])
def test_the_bar_of_a_lithium_map_names_what_was_seen(seen):
    report = made_up_report(events=made_up_events(surface=seen == "surface"))
    axes, bar = fit_figures.raster_figure(report).axes
    shown = np.sort(axes.collections[0].get_array(), axis=0)
    there = getattr(report.trajectories, seen).T
    np.testing.assert_array_equal(shown, np.sort(there, axis=0))
    assert bar.get_ylabel() == f"{seen} stoichiometry x (–)"


def test_events_stand_where_particles_have_moved_since_their_half_cycle_began():
    run = made_up_report().trajectories
    hours = run.time / HOUR
    mean = np.interp(hours, [2.77, 7.0, 9.0, 14.0], [0.99, 0.45, 0.45, 0.95])[:, None]
    report = only(
        Event("a", "midpoint", time=5.0 * HOUR, sd=60.0),
        Event("a", "midpoint", time=11.5 * HOUR, sd=60.0, half_cycle=1),
    )
    both = {0: Half(run.time[0], True), 1: Half(9.0 * HOUR, False)}
    run = report.trajectories._replace(mean=mean, surface=mean, halves=both)
    axes = fit_figures.lithium_figure(report._replace(trajectories=run)).axes[0]
    heights = [float(bars[0].get_ydata()[0]) for bars in axes.containers]
    np.testing.assert_allclose(heights, [0.99 - 0.25, 0.45 + 0.25], atol=3e-3)


def test_events_that_count_from_their_half_cycle_stand_in_it():
    report = only(
        Event("a", "midpoint", time=3.0 * HOUR, sd=60.0),
        Event("b", "midpoint", time=1.0 * HOUR, sd=60.0, half_cycle=1),
    )
    run = report.trajectories
    own = {0: Half(run.time[0], True), 1: Half(9.0 * HOUR, True, zero=9.0 * HOUR)}
    predicted = HOUR * np.array([4.0, 1.5])
    report = report._replace(
        predicted=predicted, drive="protocol", trajectories=run._replace(halves=own)
    )
    lithium = fit_figures.lithium_figure(report).axes[0]
    assert [bars[0].get_xdata()[0] for bars in lithium.containers] == [3.0, 10.0]
    voltage = fit_figures.voltage_figure(report).axes[0]
    assert [line.get_xdata()[0] for line in voltage.lines[-2:]] == [4.0, 10.5]
    lanes = fit_figures.raster_figure(report).axes[0]
    assert [text.get_text() for text in lanes.get_yticklabels()] == ["b", "a"]


def test_lithium_has_room_for_events_after_the_end_of_the_run():
    run = made_up_report().trajectories
    early = run._replace(
        **{name: getattr(run, name)[:50] for name in ("time", "mean", "surface")}
    )
    axes = fit_figures.lithium_figure(made_up_report(trajectories=early)).axes[0]
    assert axes.get_xlim()[1] > 9.8
    assert all(note.xy[0] >= 9.8 for note in axes.texts[:1])


def test_lithium_has_room_for_marks_at_the_ends_of_the_run():
    start, end = made_up_report().trajectories.time[[0, -1]]
    report = only(
        Event("blue", "onset", time=start, sd=60.0),
        Event("red", "midpoint", after=end, before=np.inf),
        Event("brown", "onset", after=-np.inf, before=start),
    )
    axes = fit_figures.lithium_figure(report).axes[0]
    low, high = axes.get_xlim()
    assert low < start / HOUR - 0.1
    assert high > end / HOUR + 0.1
    lengths = [note.xy[0] - note.xyann[0] for note in axes.texts]
    assert min(np.abs(lengths)) > 0.05 * (high - low)


def test_the_map_has_the_first_to_react_on_top():
    axes = fit_figures.raster_figure(made_up_report()).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["purple", "red", "blue", "brown"]


def test_the_map_of_a_discharge_has_the_first_to_react_on_top():
    report = made_up_report()
    run = report.trajectories
    up = run._replace(mean=0.4 + (1.0 - run.mean), halves={0: Half(run.time[0], False)})
    axes = fit_figures.raster_figure(report._replace(trajectories=up)).axes[0]
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == ["purple", "red", "blue", "brown"]


def test_every_event_of_a_particle_is_marked_on_the_voltage():
    rows = [
        Event("blue", "midpoint", time=h * HOUR, sd=60.0, half_cycle=k)
        for k, h in enumerate((6.0, 9.0))
    ]
    axes = fit_figures.voltage_figure(only(*rows)).axes[0]
    assert [float(line.get_xdata()[0]) for line in axes.lines[1:]] == [6.7, 9.2]
    shown = [line.get_label() for line in axes.lines[1:]]
    assert shown[0] == "blue, midpoint fitted"
    assert shown[1].startswith("_")


def test_voltage_is_the_one_that_drives_or_the_models_own():
    report = made_up_report()
    driven = fit_figures.voltage_figure(report).axes[0]
    np.testing.assert_array_equal(driven.lines[0].get_ydata(), report.recorded[1])
    nothing = (np.zeros(0), np.zeros(0))
    own = fit_figures.voltage_figure(
        made_up_report(recorded=nothing, drive="protocol")
    ).axes[0]
    np.testing.assert_array_equal(own.lines[0].get_ydata(), report.trajectories.voltage)
    assert own.lines[0].get_label() == "model"
    assert own.lines[1].get_xdata() == pytest.approx(6.4)
    both = fit_figures.voltage_figure(made_up_report(drive="current")).axes[0]
    assert [line.get_label() for line in both.lines[:2]] == ["recorded", "model"]


def many_of(count):
    """A report of so many particles with one event each."""
    rows = [
        Event(f"p{k}", "midpoint", time=(4 + 9 * k / count) * HOUR, sd=HOUR / 5)
        for k in range(count)
    ]
    events = Events.from_rows(rows)
    run = made_up_report().trajectories
    mean = 0.999 - 0.5 / (1 + np.exp(-(run.time[:, None] - events.time) / 1200.0))
    return made_up_report(
        events=events,
        fitted=np.ones(count, bool),
        predicted=events.time,
        predicted_sd=events.sd,
        ends=np.full(count, 14.0 * HOUR),
        trajectories=run._replace(labels=events.particles, mean=mean, surface=mean),
    )


def test_a_voltage_with_many_events_names_their_kind():
    (legend,) = fit_figures.voltage_figure(many_of(30)).legends
    words = [text.get_text() for text in legend.get_texts()]
    assert words == ["recorded, drives the model", "midpoint fitted"]


@pytest.mark.parametrize("count", [30, 60, 100])
def test_names_beside_the_map_do_not_overlap(count):
    figure = fit_figures.raster_figure(many_of(count))
    figure.draw_without_rendering()
    names = [t for t in figure.axes[0].get_yticklabels() if t.get_text()]
    assert len(names) == (0 if count == 100 else count)
    bottoms = [name.get_window_extent().y0 for name in names]
    tops = [name.get_window_extent().y1 for name in names]
    assert np.all(np.array(tops[:-1]) < np.array(bottoms[1:]) + 1.0)


@pytest.mark.parametrize("surface", [False, True])
def test_the_map_of_one_particle_has_the_words_beside_its_scale_whole(surface):
    report = many_of(1)
    seen = dataclasses.replace(report.events, surface=surface)
    figure = fit_figures.raster_figure(report._replace(events=seen))
    with matplotlib.rc_context(style._STYLE):
        figure.draw_without_rendering()
        words = figure.axes[-1].yaxis.label.get_window_extent()
    assert figure.bbox.y0 < words.y0 < words.y1 < figure.bbox.y1


def test_long_names_leave_the_axes_their_width():
    name = "a particle named after the scanning session of March, third region"
    report = made_up_report()
    label, run = f"log10 contact radius {name} [log10(m)]", report.trajectories
    renamed = made_up_report(
        events=dataclasses.replace(report.events, particles=(name, *run.labels[1:])),
        parameters=(report.parameters[0]._replace(label=label),),
        trajectories=run._replace(labels=(name, *run.labels[1:])),
    )
    for figure, short in (
        (fit_figures.parameters_figure(renamed), f"{label[:26]}…{label[-25:]}"),
        (fit_figures.raster_figure(renamed), "a particle n…hird region"),
    ):
        figure.draw_without_rendering()
        axes = figure.axes[0]
        assert axes.get_position().width > 0.35
        assert short in [text.get_text() for text in axes.get_yticklabels()]


def test_a_curve_that_was_not_fitted_says_so():
    band = made_up_report().bands[0]
    held = dict.fromkeys(("prior_low", "prior_high", "low", "high"), band.fitted)
    report = made_up_report(bands=(band, band._replace(**held)))
    fitted, other = fit_figures.curves_figure(report).axes
    assert not fitted.get_title().startswith("not fitted")
    assert other.get_title().startswith("not fitted: made up")


def test_parameters_have_the_digits_of_their_deviation_and_hollow_bars_a_word():
    report = made_up_report()
    figure = fit_figures.parameters_figure(report)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["-17.20 ± 0.49", "-6.40 ± 0.10"]
    (legend,) = figure.legends
    assert "prior" in legend.get_texts()[0].get_text()
    told = made_up_report(parameters=report.parameters[:1])
    assert not fit_figures.parameters_figure(told).legends


def test_many_particles_are_not_named_in_legends():
    count = 12
    labels = tuple(f"p{k}" for k in range(count))
    run = made_up_report().trajectories
    x = np.repeat(run.mean[:, :1], count, axis=1)
    many = made_up_report(
        trajectories=run._replace(labels=labels + run.labels, mean=np.c_[x, run.mean])
    )
    figure = fit_figures.lithium_figure(many)
    assert figure.legends == []
    arrow_and_margin = 0.14 * (14.0 - 2.77)
    ends = 2.9 - arrow_and_margin, 14.0
    assert figure.axes[0].get_xlim() == pytest.approx(ends)
    assert run.time[0] == 2.77 * HOUR


def test_an_event_that_the_model_never_shows_points_upwards_from_the_end():
    rows = [Event("blue", "midpoint", time=6 * HOUR, sd=HOUR / 5)]
    rows.append(Event("red", "midpoint", after=9 * HOUR, before=np.inf))
    report = only(*rows)
    report.predicted[1] = np.inf
    (axes,) = fit_figures.parity_figure(report).axes
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    starts = [(float(x), float(y)) for x, y in (arrow.xyann for arrow in arrows)]
    assert starts == [(9.0, 14.0)] * 2
    assert max(arrow.xy[1] for arrow in arrows) > 14.0


def test_numbers_beside_bars_end_within_the_axes():
    known = made_up_report().parameters[0]._replace(value=-15.2, sd=0.0089)
    figure = fit_figures.parameters_figure(made_up_report(parameters=(known,)))
    with matplotlib.rc_context(style._STYLE):
        figure.draw_without_rendering()
        (axes,) = figure.axes
        (words,) = axes.texts
        assert words.get_text() == "-15.2000 ± 0.0089"
        assert words.get_window_extent().x1 < axes.get_window_extent().x1
