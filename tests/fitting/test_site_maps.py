"""Maps, films and tables of particles that are cut into sites."""

import csv
import dataclasses
import inspect
import json

import matplotlib
import numpy as np
import pytest
import tifffile
from matplotlib.axes import Axes
from PIL import Image

import diffelec
from fitting import cli, cuts, figures, site_film, site_maps, style
from fitting.site_files import site_labels

from .test_figures import HOUR, labels, made_up, tracks_of
from .test_network_figure import check_words_apart

SHORT = ["Charge at C/5 until 4.0 V", "Discharge at C/5 until 3.7 V"]


def cut(network, radius=5e-6, **form):
    electrode = diffelec.presets.electrode_of(network, radius=radius)
    return cuts.cut_electrode(electrode, {"form": "slices", "number": 3} | form)


@pytest.fixture(scope="module")
def electrode():
    return cut(diffelec.graphs.columns((0, 1)))


def on_lines(electrode):
    """Surfaces of sites on straight lines, each with its own end."""
    whole = made_up(electrode)
    ramp = (0.95 - np.asarray(whole.site_stoichiometry)[:, :1]) / 0.3
    ends = np.linspace(0.2, 0.7, electrode.network.topology.num_sites)
    x = 0.95 - ramp * ends
    return dataclasses.replace(
        whole,
        site_stoichiometry=x + 0.005,
        site_surface_stoichiometry=x,
        tracks=tracks_of(x + 0.005, x, len(whole.step_end_times)),
    )


@pytest.fixture(scope="module")
def solution(electrode):
    return on_lines(electrode)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The tests' own caches stay in use."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


def site_at(seen, x, y):
    """The site drawn at a place [m]."""
    left, right, bottom, top = seen.extent
    rows, columns = seen.site.shape
    row = int((y - bottom) / (top - bottom) * rows)
    return int(seen.site[row, int((x - left) / (right - left) * columns)])


def test_slices_lie_above_each_other(electrode):
    """`top 1` of two columns: its centre at 10 and 15 um, in columns of 10 um."""
    seen = site_maps.SiteMap.of(electrode)
    assert [site_at(seen, 10e-6, 15e-6 + up) for up in (4e-6, 0, -4e-6)] == [3, 4, 5]
    assert site_at(seen, 10e-6 + 4.9e-6, 15e-6 + 4.9e-6) == -1
    area = np.sum(seen.site >= 0) / seen.site.size
    left, right, bottom, top = seen.extent
    discs = 3 * np.pi * 25e-12
    assert area * (right - left) * (top - bottom) == pytest.approx(discs, rel=0.02)


@pytest.mark.parametrize("number", [1, 3, 40])
def test_maps_are_as_fine_as_a_page_shows_them(number):
    seen = site_maps.SiteMap.of(cut(diffelec.graphs.chain(number)))
    assert 480 <= max(seen.site.shape) <= 1200


def test_one_sees_the_half_that_faces():
    """From the side of low y where there are three coordinates."""
    network = diffelec.Network.from_edges(
        [diffelec.edges.carbon_contact("collector", "a", 1e4)],
        ["a"],
        positions=[(0.0, 0.0, 0.0)],
    )
    along_y = cut(network, axis=[0, 1, 0])
    seen = site_maps.SiteMap.of(along_y)
    assert set(np.unique(seen.site)) == {-1, 1, 2}  # 0 is at the tip, high y
    assert site_at(seen, 0.0, 0.0) == 2


def test_what_is_nearer_hides_what_is_behind():
    network = diffelec.graphs.touching_spheres(
        np.array([[0, 0, 5e-6], [0, -9e-6, 6e-6]]), np.array([5e-6, 4e-6])
    )
    seen = site_maps.SiteMap.of(cut(network, radius=[5e-6, 4e-6]))
    assert site_at(seen, 0.0, 6e-6) in (3, 4, 5)
    assert site_at(seen, 0.0, 0.5e-6) in (0, 1, 2)


def test_outlines_run_where_particles_end(electrode):
    seen = site_maps.SiteMap.of(electrode)
    dark = seen.outlines()[..., 3] > 0
    rows, columns = np.nonzero(dark)
    left, right, bottom, top = seen.extent
    x = left + (columns + 0.5) * (right - left) / dark.shape[1]
    y = bottom + (rows + 0.5) * (top - bottom) / dark.shape[0]
    places = electrode.network.topology.positions
    away = np.hypot(x[:, None] - places[:, 0], y[:, None] - places[:, 1])
    assert np.all(np.min(np.abs(away - 5e-6), axis=1) < 2.5e-7)
    assert len(rows) > 300


def test_map_has_a_row_per_half_cycle_and_colours_sites(electrode, solution):
    figure = site_maps.site_figure(electrode, solution, (0.25, 0.5))
    panels, bar = figure.axes[:-1], figure.axes[-1]
    assert len(panels) == 6
    assert bar.get_ylabel() == "surface stoichiometry x (–)"
    assert panels[1].get_title() == "50 % of charge\n5.0 h"
    assert panels[2].get_title() == "50 % of discharge\n5.0 h"
    assert [a.get_ylabel() for a in panels[::2]] == [
        "charge 1",
        "discharge 1",
        "charge 2",
    ]
    drawn = panels[1].images[0].get_array().compressed()
    expected = 0.95 - 0.5 * np.linspace(0.2, 0.7, 9)
    np.testing.assert_allclose(np.unique(np.round(drawn, 9)), expected[::-1])
    assert [t.get_text() for t in panels[4].texts] == ["5 µm"]


def test_a_flat_map_has_its_words_whole_and_its_scale_apart_from_the_collector():
    flat = cut(diffelec.graphs.columns((0,) * 5))
    figure = site_maps.site_figure(flat, on_lines(flat), num_rows=1)
    with matplotlib.rc_context(style._STYLE):
        figure.draw_without_rendering()
        words = figure.axes[-1].yaxis.label.get_window_extent()
        collector, scale = figure.axes[0].get_lines()
        (above,), (below,) = (
            {y for _, y in line.get_transform().transform(line.get_xydata())}
            for line in (collector, scale)
        )
    assert figure.bbox.y0 < words.y0 < words.y1 < figure.bbox.y1
    assert (above - below) / figure.dpi > 3 / 72  # half of either width is 1.75 pt
    assert figure.get_supxlabel() == "the first 1 of 4 half cycles"


def test_words_above_a_tall_map_are_apart_from_those_beside():
    tall = cut(diffelec.graphs.chain(12))
    check_words_apart(site_maps.site_figure(tall, on_lines(tall)))


def test_an_electrode_without_positions_has_no_map(electrode):
    edges = [diffelec.edges.carbon_contact("collector", "a", 1e4)]
    bare = cut(diffelec.Network.from_edges(edges, ["a"]))
    with pytest.raises(ValueError, match="needs the positions"):
        site_maps.SiteMap.of(bare)


def test_the_network_is_drawn_with_its_electrolyte_left_out(electrode, solution):
    soaked = diffelec.electrolyte.with_electrolyte(
        electrode.network,
        effective_conductivity=0.1,
        area=1e-9,
        thickness=3e-5,
        radius=5e-6,
    )
    for positions in (soaked.topology.positions, None):
        topology = soaked.topology
        fields = vars(topology) | {"positions": positions}
        names = inspect.signature(diffelec.topology.Topology.__init__).parameters
        known = {k: v for k, v in fields.items() if k in names}
        network = dataclasses.replace(
            soaked, topology=diffelec.topology.Topology(**known)
        )
        with_it = dataclasses.replace(electrode, network=network)
        soaked_too = dataclasses.replace(solution, topology=network.topology)
        drawn = figures.network_figure(with_it, soaked_too, (0.5,))
        assert labels(drawn)


@pytest.mark.parametrize("name", ["film.gif", "film.tif"])
def test_a_film_has_the_frames_asked_for(name, electrode, solution, tmp_path):
    site_film.write_site_film(tmp_path / name, electrode, solution, 4)
    if name.endswith("gif"):
        with Image.open(tmp_path / name) as film:
            assert film.n_frames == 4
            size = film.size
    else:
        stack = tifffile.imread(tmp_path / name)
        assert stack.shape[0] == 4
        lower = stack[:, stack.shape[1] // 2 :]  # without the title
        assert np.any(lower[0] != lower[1])
        size = stack.shape[2:0:-1]
    assert min(size) > 100


def test_a_film_is_of_the_instants_within_the_run(electrode, solution):
    """Beyond the end nothing is known of what was asked for."""
    beyond = dataclasses.replace(
        solution,
        time=np.append(solution.time, 100 * HOUR),
        voltage=np.append(solution.voltage, np.nan),
        site_surface_stoichiometry=np.pad(
            solution.site_surface_stoichiometry,
            ((0, 1), (0, 0)),
            constant_values=np.nan,
        ),
    )
    frames = [site_film.site_frames(electrode, one, 3) for one in (solution, beyond)]
    np.testing.assert_array_equal(*frames)
    none = dataclasses.replace(solution, voltage=np.nan * solution.voltage)
    with pytest.raises(ValueError, match="needs an instant within the run"):
        site_film.site_frames(electrode, none, 3)


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def run_cut(tmp_path_factory):
    """One `simulate` of two particles in three slices each."""
    folder = tmp_path_factory.mktemp("cut")
    network = {"builder": "chain", "num_particles": 2}
    data = {"network": network, "mesh": {"num_shells": 6}}
    data["particles"] = {"initial_stoichiometry": 0.95}
    (folder / "e.json").write_text(json.dumps(data))
    command = ["simulate", "--electrode", str(folder / "e.json"), "--saved", "201"]
    command += ["--sites", "3", "--coverage", "0.3", "--rtol", "1e-3"]
    command += ["--film-sites", str(folder / "film.gif"), "--film-frames", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        command += ["--protocol", *SHORT, "--out", str(folder / "out")]
        assert cli.main(command) == 0
    return folder


def test_simulate_writes_what_it_knows_of_sites(run_cut):
    out = run_cut / "out"
    written = {path.name for path in out.iterdir()}
    assert {"sites.csv", "fronts.csv", "site_maps.png"} <= written
    assert (run_cut / "film.gif").stat().st_size > 0
    sites = rows_of(out / "sites.csv")
    assert [row["site"] for row in sites[:4]] == ["p0/0", "p0/1", "p0/2", "p1/0"]
    assert [row["half_cycle"] for row in sites] == ["1"] * 6 + ["2"] * 6
    times = [float(sites[0][k]) for k in ("onset_h", "midpoint_h", "completion_h")]
    assert 0 < times[0] < times[1] < times[2]
    found = rows_of(out / "fronts.csv")
    assert [(r["half_cycle"], r["particle"]) for r in found] == [
        ("1", "p0"),
        ("1", "p1"),
        ("2", "p0"),
        ("2", "p1"),
    ]
    assert float(found[0]["largest_spread"]) > 0


@pytest.mark.parametrize("where", ["site_frames", "_write"])
def test_interrupted_in_the_film_the_results_are_told_of(
    where, tmp_path, capsys, monkeypatch
):
    def stop(path, *_):
        if where == "_write":
            path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    monkeypatch.setattr(site_film, where, stop, raising=False)
    monkeypatch.chdir(tmp_path)
    chain = {"builder": "chain", "num_particles": 1}
    (tmp_path / "e.json").write_text(
        json.dumps({"network": chain, "mesh": {"num_shells": 4}})
    )
    command = ["simulate", "--electrode", "e.json", "--sites", "2", "--saved", "11"]
    command += ["--film-sites", "f.gif", "--film-frames", "2", "--rtol", "1e-3"]
    assert cli.main([*command, "--protocol", SHORT[0], "--out", "out"]) == 130
    sentence = "interrupted; the results are in 'out', but 'f.gif' was not written."
    assert sentence in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"e.json", "out"}


def test_fronts_in_the_table_are_those_of_its_sites(run_cut):
    """The front of p0 in the charge, from the study that the run left."""
    import xarray

    with xarray.open_dataset(run_cut / "out" / "solution.nc") as data:
        assert data["site_surface_stoichiometry"].dims == ("time", "site")
        assert data["site"].values.tolist()[:2] == ["p0/0", "p0/1"]
        surface = data["site_surface_stoichiometry"].values
        assert data["site_particle"].values.tolist() == [0, 0, 0, 1, 1, 1]
    charged = surface[:201, :3]
    seen = np.max(charged.max(axis=1) - charged.min(axis=1))
    table = float(rows_of(run_cut / "out" / "fronts.csv")[0]["largest_spread"])
    assert table == pytest.approx(seen, rel=0.1)


def test_particles_that_touch_are_not_cut_without_positions(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    particles = [{"label": label, "radius_m": 5e-6} for label in "ab"]
    edges = [
        {"tail": "collector", "head": "a", "carbon_shape_per_m": 1e6},
        {"tail": "a", "head": "b", "contact_radius_m": 5e-7},
    ]
    path, network = tmp_path / "e.json", {"particles": particles, "edges": edges}
    path.write_text(json.dumps({"network": network}))
    command = ["simulate", "--electrode", str(path), "--sites", "4"]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "give each particle its `position_m` in" in capsys.readouterr().err


def test_sites_are_named_after_their_particles(electrode):
    names = site_labels(electrode.network.topology)
    assert names[:4] == ("top 0/0", "top 0/1", "top 0/2", "top 1/0")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--coverage", "0.5"], "--site-form and --coverage need --sites"),
        (["--sites", "0"], "The number of sites must lie between 1 and 32, but is 0"),
        (["--sites", "4", "--coverage", "2"], "--coverage must lie above 0"),
        (["--sites", "4", "--coverage", "0"], "but is 0; leave it out for all of the"),
        (["--film-sites", "f.mp4"], "ends with .gif, .tif, .tiff, but is 'f.mp4'"),
        (["--film-sites", "no/f.gif"], "in a folder that exists, but is 'no/f.gif'"),
        (["--film-sites", "f.gif", "--film-frames", "0"], "--film-frames must be 1"),
    ],
)
def test_bad_argument(arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["simulate", *arguments, "--out", "out"]) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_film_tells_the_clock_of_the_run(electrode, solution, monkeypatch):
    told = []
    later = dataclasses.replace(solution, time=solution.time + 5 * HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(Axes, "set_title", lambda *args: told.append(args[1]))
        site_film.site_frames(electrode, later, 2)
    ends = [f"{time / HOUR:.1f} h" for time in later.time[[0, -1]]]
    assert [text.split(",")[0] for text in told[-2:]] == ends
