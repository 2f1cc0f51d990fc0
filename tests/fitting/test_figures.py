import dataclasses
import itertools

import jax
import matplotlib
import numpy as np
import pytest
from PIL import Image

import diffelec
from diffelec.solver import Track
from diffelec.topology import Topology
from fitting import electrodes, figures, results, style

HOUR = 3600.0


def tracks_of(means, surfaces, halves):
    """Tracks of half cycles of 10 h with a knot every hour."""
    value = np.concatenate([means, surfaces], axis=1).reshape(halves, 11, -1)
    time = np.tile(np.linspace(0, 10 * HOUR, 11), (halves, 1))
    return Track(time, value, np.zeros((halves, 11, 0, 0)))


def made_up(electrode, cycles=2):
    """A Solution with straight lines: charge 10 h, discharge 10 h, and so on."""
    halves = 2 * cycles
    time = np.repeat(10 * HOUR * np.arange(halves), 11)
    time = time + np.tile(np.linspace(0, 10 * HOUR, 11), halves)
    ramp = np.concatenate([np.linspace(0, 1, 11), np.linspace(1, 0, 11)] * cycles)
    count = electrode.num_particles
    x = 0.95 - np.outer(ramp, np.linspace(0.3, 0.6, count))
    sign = np.repeat(np.tile([1.0, -1.0], cycles), 11)
    edges = 10 * HOUR * np.arange(halves + 1)
    return diffelec.Solution(
        time=time,
        voltage=3.7 + 0.5 * ramp,
        current=2e-10 * sign,
        potentials=np.zeros((len(time), electrode.network.topology.num_nodes)),
        site_stoichiometry=x,
        site_surface_stoichiometry=x - 0.01,
        step_start_times=edges[:-1],
        step_end_times=edges[1:],
        step_capacities=7.2e-6 * np.tile([1.0, -1.0], cycles),
        step_results=None,
        result=None,
        failed_step=np.array(-1),
        num_steps=np.ones((halves, 2), int),
        tracks=tracks_of(x, x - 0.01, halves),
        topology=electrode.network.topology,
        texts=("step",) * halves,
        half_cycles=tuple(range(halves)),
        spans=None,
    )


@pytest.fixture(scope="module")
def electrode():
    return diffelec.presets.sharma2022(obstructions=(0, 1, 2))


@pytest.fixture(scope="module")
def solution(electrode):
    return made_up(electrode)


def labels(figure):
    return [t for a in figure.axes for t in (a.get_xlabel(), a.get_ylabel()) if t]


def test_half_cycles_are_named_by_direction(solution):
    found = results.half_cycles(solution)
    assert [h.name for h in found] == [
        "charge 1",
        "discharge 1",
        "charge 2",
        "discharge 2",
    ]
    assert found[1].start == 10 * HOUR


def test_stoichiometry_of_imaged_particles_only(solution):
    axes = figures.stoichiometry_figure(solution).axes[0]
    solid = [line for line in axes.lines if line.get_linestyle() == "-"]
    names = [line.get_label() for line in solid]
    assert names == ["top 0", "top 1", "top 2", "volume mean"]
    assert labels(axes.figure) == ["time (h)", "stoichiometry x in Li$_x$MO$_2$ (–)"]
    np.testing.assert_allclose(solid[1].get_ydata(), solution.stoichiometry[:, 1])
    np.testing.assert_allclose(solid[1].get_xdata(), solution.time / HOUR)


def test_a_scale_of_colours_names_some_of_many_particles():
    many = diffelec.presets.electrode_of(diffelec.graphs.star(30))
    axes, scale = figures.stoichiometry_figure(made_up(many)).axes
    what = "mean stoichiometry x in Li$_x$MO$_2$ (–)"
    assert labels(axes.figure) == ["time (h)", what, "particle"]
    named = [text.get_text() for text in scale.get_yticklabels()]
    assert named == ["p0", "p4", "p7", "p11", "p14", "p18", "p22", "p25", "p29"]
    shown = matplotlib.cm.ScalarMappable(scale._colorbar.norm, scale._colorbar.cmap)
    for name, place in zip(named, scale.get_yticks(), strict=True):
        (line,) = [line for line in axes.lines if line.get_label() == name]
        np.testing.assert_allclose(line.get_color(), shown.to_rgba(place), atol=0.01)


@pytest.mark.parametrize("draw", [figures.stoichiometry_figure, figures.voltage_figure])
@pytest.mark.parametrize("kept", [slice(0, 3), slice(4, 5)], ids=["two hours", "one"])
def test_instants_of_a_part_of_the_run_fill_their_figure(
    draw, kept, solution, tmp_path
):
    """Names of half cycles that are far away would leave the axes no room."""
    names = ("time", "voltage", "current", "potentials", "site_stoichiometry")
    names += ("site_surface_stoichiometry",)
    few = {name: getattr(solution, name)[kept] for name in names}
    figure = draw(dataclasses.replace(solution, **few))
    style.save(figure, tmp_path / "figure.png")
    image = np.asarray(Image.open(tmp_path / "figure.png").convert("L"))
    border = [image[:2], image[-2:], image[:, :2].T, image[:, -2:].T]
    assert all(np.all(rows == 255) for rows in border)
    told = [n for n in figure.findobj(style.SpanName) if n.get_text() == "charge 1"]
    assert len(told) == (kept.stop == 3)


@pytest.mark.parametrize("draw", [figures.stoichiometry_figure, figures.voltage_figure])
def test_instants_outside_the_run_take_no_room_and_one_is_a_dot(draw, solution):
    time, voltage = np.array(solution.time), np.array(solution.voltage)
    time[-1], voltage[-1] = 4000 * HOUR, np.nan
    late = dataclasses.replace(solution, time=time, voltage=voltage)
    assert draw(late).axes[-1].get_xlim() == (0, time[-2] / HOUR)
    first = np.where(np.arange(len(time)) == 0, voltage, np.nan)
    one = dataclasses.replace(solution, voltage=first)
    for figure, mark in ((draw(late), "None"), (draw(one), "o")):
        lines = [line for axes in figure.axes for line in axes.lines]
        drawn = [line for line in lines if len(line.get_xdata()) > 2]
        assert {line.get_marker() or "None" for line in drawn} == {mark}


def test_current_is_drawn_with_a_fitting_prefix(solution):
    figure = figures.voltage_figure(solution)
    assert labels(figure) == [
        "cell voltage (V)",
        "time (h)",
        "current (pA)\n(> 0 charges)",
    ]
    np.testing.assert_allclose(
        figure.axes[1].lines[1].get_ydata(), solution.current / 1e-12
    )


def test_curves_carry_their_units(electrode):
    figure = figures.curves_figure(electrode)
    assert len(figure.axes) == 3
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    for unit in ("m$^2$ s$^{-1}$", "S m$^{-1}$", "m s$^{-1}$"):
        assert any(f"({unit})" in label for label in labels(figure))


def test_curves_are_drawn_by_one_program(electrode, monkeypatch):
    run, traced = diffelec.curves.ConstantCurve.__call__, []

    def noting(curve, x):
        traced.append(isinstance(x, jax.core.Tracer))
        return run(curve, x)

    monkeypatch.setattr(diffelec.curves.ConstantCurve, "__call__", noting)
    new = dataclasses.replace(electrode.curves.rate_constant, source="drawn by nobody")
    curves = dataclasses.replace(electrode.curves, rate_constant=new)
    figures.curves_figure(dataclasses.replace(electrode, curves=curves))
    assert traced == [True]


def test_figures_leave_the_settings_alone(solution, tmp_path):
    with matplotlib.rc_context({"font.size": 11}):
        figures.save(figures.voltage_figure(solution), tmp_path / "v.png")
        assert matplotlib.rcParams["font.size"] == 11
    width, _ = figures.voltage_figure(solution).get_size_inches()
    assert width == pytest.approx(170 / 25.4)
    assert (tmp_path / "v.png").stat().st_size > 1000


def test_names_with_dollar_signs_do_not_end_a_finished_run(tmp_path):
    figure = style.blank(80, 50)
    axes = figure.subplots()
    axes.plot([1, 2], [1, 100], label="a $b_ and $ c")
    axes.set(yscale="log", title="both of 3 $ and $x_2$")
    axes.set_xticks([1, 2], ["p$_{$1", "top $^ 2"])
    axes.legend()
    style.save(figure, tmp_path / "names.png")
    assert (tmp_path / "names.png").stat().st_size > 1000


def test_names_with_dollar_signs_stand_as_they_are_written(tmp_path):
    figure = style.blank(80, 50)
    axes = figure.subplots()
    axes.plot([1, 2], [1e-3, 1e3])
    axes.set(yscale="log", title="contact radius $a$ [m]", xlabel="D (m$^2$ s$^{-1}$)")
    style.save(figure, tmp_path / "names.png")
    assert not axes.title.get_parse_math()
    ours = [axes.xaxis.label, *axes.get_yticklabels()]
    assert "$" in ours[-1].get_text()
    assert all(text.get_parse_math() for text in ours)


def test_letters_that_no_font_has_leave_no_warning(tmp_path):
    figure = style.blank(40, 30)
    figure.add_subplot().set_title("粒子")
    style.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 0


def test_sources_above_the_curves_are_drawn_whole():
    electrode = diffelec.presets.sharma2022(obstructions=(0,))
    constant = diffelec.curves.ConstantCurve(1e-3)
    curves = dataclasses.replace(electrode.curves, conductivity=constant)
    electrode = dataclasses.replace(electrode, curves=curves)
    figure = figures.curves_figure(electrode)
    figure.draw_without_rendering()
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert titles[0].x0 > 0
    assert titles[-1].x1 < figure.bbox.x1
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(titles))


def test_a_long_name_leaves_the_axes_their_width():
    name = "a particle named after the scanning session of March, third region"
    topology = Topology([0, 0], [1, 2], ["a", name])
    network = diffelec.Network(*np.ones((3, 2)), topology)
    solution = made_up(diffelec.presets.electrode_of(network))
    figure = figures.stoichiometry_figure(solution)
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.5
    (text,) = [t.get_text() for t in figure.legends[0].texts if "…" in t.get_text()]
    assert text == "a particle n…hird region"
    assert style.shortened("x" * 24) == "x" * 24


def test_names_in_a_legend_stay_apart():
    alike = [f"particle number {k} of film A" for k in (1, 11, 21)]
    assert style.legend_names(alike) == [f"…{k} of film A" for k in (1, 11, 21)]
    long = [f"{'a' * 30}{k}{'b' * 30}" for k in (1, 2)]
    assert style.legend_names(long) == long
    assert style.legend_names(["a", "a" * 30]) == ["a", style.shortened("a" * 30)]


@pytest.mark.parametrize(
    ("factor", "unit"), [(1.0, "h"), (1 / 60, "min"), (1 / 3600, "s")]
)
def test_short_runs_are_told_in_short_units(electrode, solution, factor, unit):
    moved = factor * solution.tracks.time
    track = dataclasses.replace(solution.tracks, time=moved)
    times = ("time", "step_start_times", "step_end_times")
    scaled = {name: factor * getattr(solution, name) for name in times}
    short = dataclasses.replace(solution, **scaled, tracks=track)
    figure = figures.network_figure(electrode, short, (0.25,))
    assert figure.axes[0].get_title() == f"25 % of charge\n2.5 {unit}"
    early = figures.network_figure(electrode, short, (0.004,)).axes[0].get_title()
    assert early == f"0.4 % of charge\n0.04 {unit}"
    for draw in (figures.voltage_figure, figures.stoichiometry_figure):
        axes = draw(short).axes[-1]
        assert axes.get_xlabel() == f"time ({unit})"
        assert axes.get_xlim() == pytest.approx((0, 40))


def test_names_of_half_cycles_stand_where_there_is_room(monkeypatch):
    drawn, draw = [], matplotlib.text.Text.draw

    def noting(text, renderer):
        drawn.append(text.get_text())
        draw(text, renderer)

    monkeypatch.setattr(matplotlib.text.Text, "draw", noting)
    figure = style.blank(100, 50)
    axes = figure.subplots()
    axes.set_xlim(0, 10)
    for span in ((0, 8), (8, 8.1), (8.1, 10)):
        style.SpanName(axes, span, f"to {span[1]}")
    style.SpanName(axes, (2, 3), "much too long a name for its span")
    figure.canvas.draw()
    assert [text for text in drawn if text.startswith(("to", "much"))] == [
        "to 8",
        "to 10",
    ]


def test_particles_named_by_a_colour_have_it(electrode):
    data = electrodes.electrode_to_dict(electrode)["network"]
    names = ("red", "green", "blue")
    particles = [{"label": name, "radius_m": 5e-6} for name in names]
    edges = [{**data["edges"][0], "head": name} for name in names]
    network = {"particles": particles, "carbon": data["carbon"], "edges": edges}
    own = electrodes.electrode_from_dict({"network": network})
    axes = figures.stoichiometry_figure(made_up(own)).axes[0]
    colors = {line.get_label(): line.get_color() for line in axes.lines}
    assert [colors[name] for name in names] == ["#d62728", "#2ca02c", "#1f77b4"]


def test_all_particles_are_drawn_where_none_is_imaged():
    data = {"network": {"builder": "chain", "num_particles": 3}}
    data = electrodes.electrode_to_dict(electrodes.electrode_from_dict(data))
    for particle in data["network"]["particles"]:
        particle["imaged"] = False
    unseen = electrodes.electrode_from_dict(data)
    axes = figures.stoichiometry_figure(made_up(unseen)).axes[0]
    names = [line.get_label() for line in axes.lines if line.get_linestyle() == "-"]
    assert names == ["p0", "p1", "p2", "volume mean"]
