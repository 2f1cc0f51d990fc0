"""The figure of a network: where its particles stand, and what they hold when."""

import dataclasses
import itertools

import matplotlib
import numpy as np
import pytest
from PIL import Image

import diffelec
from diffelec.topology import Topology
from fitting import figures, results, site_maps, style

from .test_figures import made_up


def test_network_has_a_row_per_half_cycle_and_a_column_per_state():
    electrode = diffelec.presets.sharma2022(obstructions=(0, 1, 2))
    solution = made_up(electrode)
    figure = figures.network_figure(electrode, solution, (0.1, 0.5))
    panels, bar = figure.axes[:-1], figure.axes[-1]
    assert len(panels) == 6
    assert bar.get_ylabel() == "mean stoichiometry x (–)"
    assert panels[0].get_title() == "10 % of charge\n1.0 h"
    assert panels[2].get_title() == "50 % of discharge\n5.0 h"
    circles = panels[1].collections[1]
    at_half = 0.95 - 0.5 * np.linspace(0.3, 0.6, electrode.num_particles)
    np.testing.assert_allclose(circles.get_array(), at_half, atol=1e-9)
    assert figure.get_supxlabel() == "the first 3 of 4 half cycles"
    one_cycle = figures.network_figure(electrode, made_up(electrode, 1), (0.5,))
    assert len(one_cycle.axes) == 3
    assert one_cycle.get_supxlabel() == ""


def test_states_of_charge_do_not_hang_on_the_instants_that_were_saved():
    electrode = diffelec.presets.sharma2022(obstructions=(0, 1, 2))
    solution = made_up(electrode)
    names = ("time", "current", "voltage", "potentials", "site_stoichiometry")
    few = {name: getattr(solution, name)[[0, 5]] for name in names}
    surface = solution.site_surface_stoichiometry[[0, 5]]
    sparse = dataclasses.replace(solution, **few, site_surface_stoichiometry=surface)
    halves = results.half_cycles(sparse)
    assert halves == results.half_cycles(solution)
    drawn = [
        figures.network_figure(electrode, one, (0.1, 0.5)) for one in (solution, sparse)
    ]
    titles = [[axes.get_title() for axes in one.axes] for one in drawn]
    assert titles[0] == titles[1]


def network_of(positions, carbon=()):
    """Two particles: in a chain, or side by side on a carbon node."""
    ends = ([0, 1, 1], [1, 2, 3]) if carbon else ([0, 1], [1, 2])
    topology = Topology(*ends, ["a", "b"], carbon, positions=positions)
    ones, zeros = np.ones(len(ends[0])), np.zeros(len(ends[0]))
    return diffelec.presets.electrode_of(diffelec.Network(ones, zeros, ones, topology))


@pytest.mark.parametrize(
    "electrode",
    [
        network_of(None),
        network_of(None, carbon=["c"]),
        network_of(1e-5 * np.array([[0, 3, 0.5], [0, 2, 1.5]])),
    ],
    ids=["bare", "carbon", "3-D"],
)
def test_any_network_can_be_drawn(electrode):
    figure = figures.network_figure(electrode, made_up(electrode, 1), (0.5,))
    one, other = (path.vertices.mean(axis=0) for path in circles_of(figure))
    assert np.hypot(*(one - other)) > 5e-6


@pytest.mark.parametrize("there", [0, 1])
@pytest.mark.parametrize(
    ("other", "hidden"), [((3, 0), ()), ((0, 2), (1,)), ((0.3, 1.5), (1,))]
)
def test_a_particle_on_carbon_above_others_has_a_rim_and_no_line(other, hidden, there):
    places = 1e-5 * np.array([[0, 0.5], other])
    if there:  # three coordinates, the second of which is drawn behind the first
        places = np.insert(places, 1, [0.0, 1e-5], axis=1)
    electrode = network_of(places, carbon=["c"])
    figure = figures.network_figure(electrode, made_up(electrode, 1), (0.5,))
    lines, circles = figure.axes[0].collections
    rims = [matplotlib.colors.to_hex(color) for color in circles.get_edgecolors()]
    order = [1, 0] if there else [0, 1]
    expected = ["#d55e00" if k in hidden else "#000000" for k in order]
    assert rims == expected
    starts = [segment[0].tolist() for segment in lines.get_segments()]
    free = [k for k in (0, 1) if k not in hidden]
    assert starts == places[free][:, [0, -1]].tolist()
    told = "orange rim: on carbon or the collector" if hidden else ""
    assert figure.get_supxlabel() == told


def test_the_words_beside_the_scale_of_a_flat_network_are_drawn_whole():
    electrode = network_of(1e-5 * np.array([[0, 0, 0.5], [3, 0, 0.5]]))
    figure = figures.network_figure(electrode, made_up(electrode, 1), num_rows=1)
    with matplotlib.rc_context(style._STYLE):
        figure.draw_without_rendering()
        words = figure.axes[-1].yaxis.label.get_window_extent()
    assert figure.bbox.y0 < words.y0 < words.y1 < figure.bbox.y1


@pytest.mark.parametrize("draw", [figures.network_figure, site_maps.site_figure])
def test_titles_of_the_first_of_three_half_cycles_are_whole(draw, tmp_path):
    electrode = diffelec.presets.sharma2022()
    style.save(draw(electrode, made_up(electrode)), tmp_path / "network.png")
    image = np.asarray(Image.open(tmp_path / "network.png").convert("L"))
    assert np.all(image[:6] == 255)


@pytest.mark.parametrize("draw", [figures.network_figure, site_maps.site_figure])
@pytest.mark.parametrize("count", [5, 12])
def test_titles_of_panels_beside_each_other_are_apart(draw, count):
    electrode = diffelec.presets.sharma2022()
    states = tuple(np.linspace(0.0, 1.0, count))
    figure = draw(electrode, made_up(electrode, 1), states)
    with matplotlib.rc_context(style._STYLE):
        figure.draw_without_rendering()
        titles = [axes.title.get_window_extent() for axes in figure.axes[:count]]
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(titles))


def circles_of(figure):
    return figure.axes[0].collections[1].get_paths()


def test_panels_of_a_flat_network_stand_below_each_other():
    star = diffelec.presets.electrode_of(diffelec.graphs.star(40))
    figure = figures.network_figure(star, made_up(star, 1), (0.1, 0.5))
    figure.draw_without_rendering()
    boxes = [axes.get_position() for axes in figure.axes[:-1]]
    assert len(boxes) == 4
    assert all(box.width > 0.6 for box in boxes)
    assert all(a.y0 > b.y1 for a, b in itertools.pairwise(boxes))
    (bar,) = figure.axes[0].patches
    lowest = min(path.vertices[:, 1].min() for path in circles_of(figure))
    assert bar.get_y() + bar.get_height() < lowest


def test_words_above_the_panels_of_a_tall_network_are_apart_from_those_beside():
    tall = diffelec.presets.electrode_of(diffelec.graphs.chain(12))
    figure = figures.network_figure(tall, made_up(tall, 1))
    check_words_apart(figure)


def check_words_apart(figure):
    """Titles of panels end before the scale of colours, behind names of rows."""
    with matplotlib.rc_context(style._STYLE):
        style.lay_out(figure)
        figure.draw_without_rendering()
        *panels, scale = figure.axes
        titles = [axes.title.get_window_extent() for axes in panels]
        names = [axes.yaxis.label for axes in panels if axes.get_ylabel()]
        assert max(t.x1 for t in titles) < scale.get_window_extent().x0
        beside = max(name.get_window_extent().x1 for name in names)
        assert beside < min(title.x0 for title in titles)
