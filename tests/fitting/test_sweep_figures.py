"""Figures of sweeps: maps, spreads, named factors, half cycles that are left out."""

import itertools

import matplotlib
import numpy as np
import pytest

import diffelec
from fitting import quantities, style, sweep, sweep_figures, sweep_files

from . import shared_sweep
from .shared_sweep import lanes_of


def test_two_quantities_on_a_grid_make_a_map(tmp_path):
    ranges = [
        quantities.parsed("diffusivity=0.1:10:4"),
        quantities.parsed("temperature=280:300:3"),
    ]
    asked = shared_sweep.made_up()
    asked = asked._replace(
        space=sweep.space_of(asked.electrode, ranges), values=sweep.grid(ranges)
    )
    drawn = dict(sweep_figures.figures_of(asked, lanes_of(asked)))
    assert set(drawn) == {"spread", "map"}
    mesh = drawn["map"].axes[0].collections[0]
    shade = np.ma.filled(mesh.get_array(), np.nan)
    spread = sweep_files.spreads(asked, lanes_of(asked)).reshape(4, 3)
    np.testing.assert_allclose(shade, np.where(np.isfinite(spread), spread, np.nan).T)
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], 10 ** (np.arange(5) / 1.5 - 4 / 3))
    np.testing.assert_allclose(corners[:, 0, 1], [275, 285, 295, 305])
    (under,) = drawn["map"].axes[0].patches  # no colour that the map has too
    (told,) = drawn["map"].legends[0].get_patches()
    assert under.get_hatch() == told.get_hatch() == "////"
    assert under.get_zorder() <= mesh.get_zorder()


def test_factors_within_a_decade_are_named_and_flat_times_stand_off_the_rim():
    asked = shared_sweep.made_up()
    factors = np.array([0.58, 0.7, 1.05, 1.06, 1.3, 1.7])
    asked = asked._replace(values=np.log10(factors)[:, None])
    found = lanes_of(asked)
    alike = 37620.0 + 1e-4 * found.changes
    drawn = dict(sweep_figures.figures_of(asked, found._replace(changes=alike)))
    for figure in drawn.values():
        figure.draw_without_rendering()
        axes = figure.axes[0]
        low, high = axes.get_xlim()
        named = [t for t in axes.get_xticks() if low <= t <= high]
        np.testing.assert_allclose(named, [0.7, 1.0, 1.5])
    assert drawn["onsets"].axes[0].get_ylim()[1] > 10.7


def test_rounding_is_no_spread_and_has_no_correlation():
    asked = shared_sweep.made_up()
    found = lanes_of(asked)
    noise = 1e-12 * np.random.default_rng(3).standard_normal(found.changes.shape)
    found = found._replace(changes=37620.0 * (1.0 + noise))
    assert np.all(sweep_files.spreads(asked, found) == 0.0)
    figure = dict(sweep_figures.figures_of(asked, found))["spread"]
    assert figure.axes[0].get_title() == ""


@pytest.mark.parametrize(
    ("low", "high", "named"),
    [
        (0.8, 1.2, [0.8, 0.9, 1.0, 1.1, 1.2]),
        (1.01, 1.49, [1.2, 1.4]),
        (0.55, 1.25, [0.6, 0.8, 1.0, 1.2]),
    ],
)
def test_factors_that_are_much_alike_are_named_evenly(low, high, named):
    asked = shared_sweep.made_up()
    asked = asked._replace(values=np.log10(np.linspace(low, high, 9))[:, None])
    figure = dict(sweep_figures.figures_of(asked, lanes_of(asked)))["spread"]
    figure.draw_without_rendering()
    ticks = figure.axes[0].xaxis.get_major_ticks()
    shown = [t for t in ticks if low <= round(t.get_loc(), 9) <= high]
    assert [float(t.label1.get_text()) for t in shown] == named
    boxes = [t.label1.get_window_extent() for t in shown]
    assert not any(one.overlaps(two) for one, two in itertools.pairwise(boxes))


@pytest.mark.parametrize("halves", [1, 2])
def test_lanes_that_do_not_all_react_rank_above_all_others(halves):
    asked = shared_sweep.made_up(count=5)  # factors 0.1, 0.32, 1, 3.2, 10
    found = lanes_of(asked)
    changes = found.changes * 100.0 ** asked.values[:, :, None, None]
    changes[0] = np.inf  # of a lane that failed before
    changes = np.repeat(changes, halves, axis=1)
    figure = sweep_figures.spread_figure(asked, found._replace(changes=changes))
    # Without the stalled lane 1.00; with it, ranks 4, 1, 2, 3 at rising factors.
    which = "" if halves == 1 else ", half cycle 1"
    assert figure.axes[0].get_title() == f"rank correlation -0.20{which}"
    words = figure.legends[0].get_texts()
    assert "upper edge, ranked highest" in words[-1].get_text().replace("\n", " ")
    with matplotlib.rc_context(style._STYLE):
        figure.draw_without_rendering()
    for drawn in figure.legends[0], figure.axes[0].title:
        box = drawn.get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_factors_over_many_decades_are_named_at_some_of_them():
    ranges = [
        quantities.parsed("diffusivity=0.00001:10000:4"),
        quantities.parsed("conductivity=0.01:10:4"),
    ]
    asked = shared_sweep.made_up()
    space, values = sweep.space_of(asked.electrode, ranges), sweep.grid(ranges)
    asked = asked._replace(space=space, values=values)
    found = lanes_of(asked)
    none = {"changes": np.zeros_like(found.changes), "outcome": 0 * found.outcome}
    alike = found._replace(**none)
    figure = dict(sweep_figures.figures_of(asked, alike))["map"]
    figure.draw_without_rendering()
    axes, colours = figure.axes
    for axis in axes.xaxis, axes.yaxis:
        low, high = axis.get_view_interval()
        shown = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
        assert 3 <= len(shown) <= 5
        powers = np.log10([t.get_loc() for t in shown])
        np.testing.assert_allclose(powers, powers.round(), atol=1e-12)
        boxes = [t.label1.get_window_extent() for t in shown]
        assert not any(one.overlaps(two) for one, two in itertools.pairwise(boxes))
    assert colours.get_ylim()[0] == 0.0  # no spread is less


def test_half_cycles_that_figures_of_a_sweep_leave_out_are_counted():
    asked = shared_sweep.made_up(count=5)
    found = lanes_of(asked)
    often = {n: np.repeat(getattr(found, n), 5, axis=1) for n in ("levels", "changes")}
    for count, lanes in ((1, found), (5, found._replace(**often))):
        drawn = dict(sweep_figures.figures_of(asked, lanes))
        title = drawn["spread"].legends[0].get_title().get_text()
        told = [title, drawn["onsets"].get_supxlabel()]
        with matplotlib.rc_context(style._STYLE):
            drawn["spread"].draw_without_rendering()
            words = drawn["spread"].axes[0].yaxis.label.get_window_extent()
        assert 0 < words.y0 < words.y1 < drawn["spread"].bbox.y1
        shown = ["the first 4 of 5 half cycles", "the first 2 of 5 half cycles"]
        assert told == (shown if count == 5 else ["", ""])


def test_particles_that_figures_of_a_sweep_leave_out_are_counted():
    many = diffelec.presets.electrode_of(diffelec.graphs.star(9))
    asked = shared_sweep.made_up(count=5)._replace(electrode=many)
    drawn = sweep_figures.onsets_figure(asked, lanes_of(asked), 0)
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert names == [f"p{k}" for k in range(7)]
    assert drawn.get_supxlabel() == "the first 7 of 9 imaged particles"


def test_quantities_that_the_spreads_of_a_sweep_leave_out_are_counted():
    asked = shared_sweep.made_up()
    knots = ["diffusivity"]
    ranges = [quantities.parsed("temperature=280:300")]
    space = sweep.space_of(asked.electrode, ranges, knots)
    values = sweep.draws(space, 12, 0)
    asked = asked._replace(space=space, values=values)
    drawn = sweep_figures.spread_figure(asked, lanes_of(asked))
    assert (len(drawn.axes), space.size) == (6, 9)
    title = drawn.legends[0].get_title().get_text()
    assert title == "the 6 that tell most of 9 quantities"
