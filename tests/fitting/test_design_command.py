"""`diffelec design`, from tables to the folder of results."""

import csv
import itertools
import json
import shlex
import types

import matplotlib
import numpy as np
import pytest

from fitting import (
    bench,
    cli,
    design,
    design_figures,
    design_files,
    optimise,
    style,
    uncertainty,
)
from fitting.commands import design as command
from fitting.commands import job

from .linear import exact, linear_problem
from .test_fit import FAST, written

PICKED = ["--candidates", "slower", "again", "--draws", "2", "--floor-min", "1"]
REPEATED = [*PICKED, "--profile", "log10 contact radius p"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


def searched(prepared):
    """A fit that nobody made, at the middle of the prior."""
    size = prepared.setup.problem.space.size
    slopes = 3.0 * np.random.default_rng(0).standard_normal((3, size))
    raw, covariance = np.zeros(size), np.linalg.inv(slopes.T @ slopes + np.eye(size))
    return types.SimpleNamespace(
        raw=raw, slopes=slopes, covariance=covariance, message=lambda: "converged"
    )


def slopes_of(experiment, raw):
    """Slopes [s] that differ from place to place, without a simulation."""
    shape = experiment.sd.size, experiment.space.size
    rows = np.random.default_rng(1).standard_normal(shape)
    lasts = float(experiment.forward.simulated.protocol.rows.duration[0])
    scale = 900.0 * 32400.0 / lasts  # the slower tells less
    return scale * np.exp(0.3 * np.asarray(raw)) * rows, np.asarray(False)


@pytest.fixture(scope="module")
def designed(tmp_path_factory):
    """One run, shared by all that look at its files; solves are left out."""
    folder = tmp_path_factory.mktemp("design")
    out = folder / "out"
    arguments = [*written(folder), *FAST, *PICKED]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        patch.setattr(job, "search", searched)
        patch.setattr(design, "_slopes", slopes_of)
        status = cli.main(["design", *arguments, "--out", str(out)])
    return status, out


def table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_all_files_are_there_and_only_those(designed):
    status, out = designed
    assert status == 0
    names = sorted(path.name for path in out.iterdir())
    study = json.loads((out / "study.json").read_text())
    assert names == study["files"]
    figures = {"gains.png", "sharpening.png", "spectrum.png"}
    tables = {"design.csv", "sharpening.csv", "spectrum.csv"}
    inputs = {"cycler.csv", "onsets.csv"}
    assert set(names) == figures | tables | inputs | {"summary.json", "study.json"}
    assert study["format"] == "diffelec design"


def test_candidates_are_there_once_the_most_telling_first(designed):
    rows = table(designed[1] / "design.csv")
    assert [row["candidate"] for row in rows] == ["again", "slower"]
    gains = [float(row["gain_bits"]) for row in rows]
    assert gains[0] > gains[1] > 0.0
    for row in rows:
        assert float(row["gain_spread_bits"]) > 0
        assert float(row["curve_gain_bits"]) < float(row["gain_bits"])
        assert float(row["sd_after"]) < float(row["sd_before"])
        assert (row["failed_solves"], row["events"]) == ("0", "4")


def test_the_spectrum_is_of_all_directions_the_best_told_first(designed):
    rows = table(designed[1] / "spectrum.csv")
    information = [float(row["information"]) for row in rows]
    assert len(information) == 5
    assert np.all(np.diff(information) <= 0)
    told = [row["told_by_data"] == "1" for row in rows]
    assert told == [value > 1 for value in information]


def test_profiles_stand_beside_the_normal_law(tmp_path, monkeypatch):
    problem, profile = linear_problem(), uncertainty.profile
    mean, covariance = exact()
    sds = np.sqrt(np.diag(covariance))
    near = np.array([-2.0, -1.9, 0.0, 1.9, 2.0])  # the ends lie between two of them

    def profile_near(problem, fitted, quantity):
        k = int(quantity.index)
        return profile(problem, fitted, quantity, mean[k] + sds[k] * near)

    monkeypatch.setattr(uncertainty, "profile", profile_near)
    fitted = optimise.fit(problem, np.zeros(3), optimise.LevenbergMarquardt())
    job = types.SimpleNamespace(setup=types.SimpleNamespace(problem=problem))
    found = made_up()._replace(profiles=command._profiles(job, fitted, [2, 0]))
    design_files.write(tmp_path, found)
    stated = json.loads((tmp_path / "summary.json").read_text())["profiles"]
    assert [one["number"] for one in stated] == ["v 2", "v 0"]
    for one, k in zip(stated, [2, 0], strict=True):
        ends = [mean[k] - 1.96 * sds[k], mean[k] + 1.96 * sds[k]]
        np.testing.assert_allclose(one["profile_95"], ends, atol=0.02)
        np.testing.assert_allclose(one["normal_95"], ends, atol=0.01)
        assert one["failed_solves"] == 0
    rows = table(tmp_path / "profiles.csv")
    assert len(rows) == 2 * 5
    assert (tmp_path / "profiles.png").exists()
    assert "v 2: 95 % of the profile" in design_files.text(found)


def test_what_gains_take_for_granted_is_stated(designed):
    summary = json.loads((designed[1] / "summary.json").read_text())
    first, second = summary["remarks"]
    assert first == (
        "A candidate measures midpoint, duration of every particle; a time to 12.8 min "
        "(a frame every 44.1 min, and 1 min besides)."
    )
    assert second.endswith("over 2 draws of it; 0 of 6 solves failed.")


@pytest.mark.parametrize(
    ("num_draws", "said"),
    [
        (0, "without draws of it; 0 of 2"),
        (1, "at one draw of it; 0 of 4"),
        (2, "mean and standard deviation over 2 draws of it; 0 of 6"),
    ],
)
def test_means_are_stated_of_as_many_draws_as_there_are(num_draws, said):
    frames = bench.Frames(600.0, 60.0)
    made = types.SimpleNamespace(frames=frames, kinds=(), worth=1.0)
    expected = [one._replace(gains=np.ones(num_draws)) for one in made_up().expected]
    last = command._remarks(made, expected, num_draws)[-1]
    start = "Gains are of the normal law at the optimum: "
    assert last == f"{start}{said} solves failed."


def test_what_times_tell_that_may_be_outliers_is_stated():
    frames = bench.Frames(600.0, 60.0)
    made = types.SimpleNamespace(frames=frames, kinds=(), worth=1.1832)
    first = command._remarks(made, made_up().expected, 2)[0]
    assert first.endswith(
        "and 1 min besides); times that may be outliers tell as normal ones to 1.18 "
        "times as much."
    )


def test_the_command_is_repeatable():
    given = ["design", "--example", "sharma2022", *FAST, *REPEATED, "--out", "x"]
    parsed = cli.parser().parse_args(given)
    again = cli.parser().parse_args(shlex.split(command.command(parsed))[1:])
    assert again.candidates == ["slower", "again"]
    assert again.profile == ["log10 contact radius p"]
    assert str(again.out) == "again"
    changed = {k for k, v in vars(parsed).items() if vars(again)[k] != v}
    assert changed == {"out"}
    plain = cli.parser().parse_args(["design", "--example", "sharma2022", "--out", "x"])
    assert "--profile" not in command.command(plain)
    assert "--frame-interval-min" not in command.command(plain)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--candidates", "telepathy"], "A candidate must be one of again, frames, "),
        (
            ["--frame-interval-min", "0"],
            "--frame-interval-min must be finite and 0.001",
        ),
        (["--floor-min", "-1"], "--floor-min must be finite and 0 or more, but is -1"),
        (["--draws", "-1"], "--draws must be 0 or more, but is -1"),
        (["--draws", "9" * 11], "--draws must be 10000000 or less, but is 9999"),
        (["--profile", "luck"], "--profile must name a number of the fit, but 'luck'"),
        (["--starts", "0"], "--starts must be 1 or more"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, more, sentence):
    arguments = [*written(tmp_path), *FAST, *more, "--out", str(tmp_path / "out")]
    assert cli.main(["design", *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"diffelec: {sentence}")
    assert not (tmp_path / "out").exists()


def made_up(gains=(2.0, 1.0), failed=0):
    """Findings that nobody made."""
    labels = tuple(f"log10 conductivity at x={k / 10} [log10(S/m)]" for k in range(4))
    expected = []
    for number, bits in enumerate(gains):
        before = np.full(4, 0.5)
        after = before / (1.0 + bits * np.arange(4.0))
        spread = np.array([0.7, 1.0, 1.3, np.nan]) * bits
        expected.append(
            design.Expected(
                name=f"experiment {number}",
                text="a fresh cell on which much is done that takes many words to say",
                gain=bits,
                curve_gain=0.5 * bits,
                gains=spread,
                curve_gains=0.5 * spread,
                covariance=np.eye(4),
                sd_before=before,
                sd_after=after,
                num_told=3,
                widest=1.0,
                direction="1.00 this",
                num_events=8,
                num_seen=6,
            )
        )
    nowhere = np.full(4, np.nan)
    lost = expected[0]._replace(
        name="lost", gain=np.nan, curve_gain=np.nan, gains=nowhere, sd_after=nowhere
    )
    directions = tuple(
        uncertainty.Direction(10.0 ** (2 - 2 * k), np.eye(4)[k], f"1.00 {labels[k]}")
        for k in range(4)
    )
    return design.Findings(
        *("made up", labels, (*expected, *[lost] * failed), directions, (), ("So.",))
    )


def test_a_candidate_that_failed_has_a_row_without_numbers(tmp_path):
    found = made_up(failed=1)
    lines = design_files.text(found).splitlines()
    assert lines[1].split()[:5] == ["experiment", "0", "2.0", "±", "0.6"]
    assert lines[3].split() == ["lost", "failed"]
    design_files.write(tmp_path, found)
    last = table(tmp_path / "design.csv")[-1]
    assert (last["candidate"], last["gain_bits"], last["failed_solves"]) == (
        *("lost", ""),
        "5",
    )
    assert (
        json.loads((tmp_path / "summary.json").read_text())["candidates"][2][
            "gain_bits"
        ]
        is None
    )


def test_a_candidate_that_failed_at_the_optimum_alone_is_told_by_its_draws(tmp_path):
    found = made_up(failed=1)
    draws = np.array([3.0, 3.2, 3.1, np.nan])
    half = found.expected[2]._replace(name="half", gains=draws, curve_gains=0.5 * draws)
    ranked = tuple(design.ranked([*found.expected, half]))
    lines = design_files.text(found._replace(expected=ranked)).splitlines()
    told = [*("half", "3.1", "±", "0.1", "1.6"), *["(fails", "at", "the", "optimum)"]]
    assert lines[1].split() == told
    assert lines[4].split() == ["lost", "failed"]
    design_files.write(tmp_path, found._replace(expected=(half,)))
    assert (tmp_path / "gains.png").exists()
    assert not (tmp_path / "sharpening.png").exists()


def test_bars_of_gains_are_their_means(tmp_path):
    found = made_up()
    axes = design_figures.gains_figure(found).axes[0]
    widths = sorted(bar.get_width() for bar in axes.patches)
    np.testing.assert_allclose(widths, [0.5, 1.0, 1.0, 2.0])
    assert axes.get_xlabel() == "expected gain of information (bits)"


def test_the_spectrum_marks_the_prior_and_starts_below_it():
    axes = design_figures.spectrum_figure(made_up()).axes[0]
    assert axes.get_xscale() == "log"
    low, high = axes.get_xlim()
    assert low < 1e-4 < 1 < 100 < high
    assert [float(x) for x in axes.lines[0].get_xdata()] == [1.0, 1.0]


def test_directions_of_which_the_data_tell_nothing_have_no_row():
    found = made_up()
    first, *others = found.directions
    nothing = [d._replace(information=1e-15 / 7**k) for k, d in enumerate(others)]
    told = found._replace(directions=(first, *nothing))
    figure = design_figures.spectrum_figure(told)
    (axes,) = figure.axes
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["1.00 log10 conductivity at x=0.0"]
    assert [bar.get_width() for bar in axes.patches] == [100.0]
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "3 more directions, told less"


def test_numbers_that_nothing_sharpens_are_left_out_of_the_map():
    axes = design_figures.sharpening_figure(made_up()).axes[0]
    shown = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(shown) == 3
    assert not any("x=0.0" in label for label in shown)


def test_the_map_of_one_number_has_room_for_what_its_colours_mean():
    found = made_up()
    one = [e._replace(sd_after=np.array([0.5, 0.2, 0.5, 0.5])) for e in found.expected]
    figure = design_figures.sharpening_figure(found._replace(expected=tuple(one)))
    figure.draw_without_rendering()
    assert len(figure.axes[0].get_yticks()) == 1
    words = figure.axes[1].yaxis.label.get_window_extent()
    assert 0 < words.y0 < words.y1 < figure.bbox.height


def profiled(losses):
    """A profile whose loss over the fit's goes through some numbers."""
    targets = np.linspace(-1.0, 1.0, len(losses))
    estimate = uncertainty.Estimate("v 2", 0.0, 0.3, -0.6, 0.6, 0.5, 0.4, 0.6)
    profile = uncertainty.Profile(targets, np.array(losses), targets, 0)
    return made_up()._replace(profiles=(design.Profiled(estimate, profile),))


def test_a_profile_below_the_fit_is_told_and_drawn_whole():
    found = profiled([4.0, -3.0, -3.5, -2.0, 4.0])
    (axes,) = design_figures.profiles_figure(found.profiles).axes
    assert axes.get_ylim()[0] < -3.5
    told = "along the profile the loss falls 3.5 below the fit's"
    assert told in design_files.text(found)
    settled = profiled([4.0, 1.0, -1e-3, 1.0, 4.0])
    assert "below" not in design_files.text(settled)


def test_numbers_below_profiles_do_not_run_into_each_other():
    middle = -14.64
    label = "log10 diffusivity at x=0.7 [log10(m2/s)]"
    targets = middle + np.linspace(-0.89, 0.89, 13)
    estimate = uncertainty.Estimate(label, middle, 0.3, -15.2, -14.0, 0.5, 0.4, 0.6)
    profile = uncertainty.Profile(targets, np.linspace(-2, 2, 13) ** 2, targets, 0)
    figure = design_figures.profiles_figure((design.Profiled(estimate, profile),))
    with matplotlib.rc_context(style._STYLE):
        figure.set_dpi(style.DPI)
        figure.draw_without_rendering()
        (axes,) = figure.axes
        shown = [text.get_window_extent() for text in axes.get_xticklabels()]
    assert len(shown) > 4
    assert min(b.x0 - a.x1 for a, b in itertools.pairwise(shown)) > 5


def test_names_of_numbers_are_labels_or_how_they_begin():
    labels = ("log10 kappa at x=0.5", "log10 kappa at x=0.9", "scale")
    assert command.named(labels, ["log10 kappa"]) == [0, 1]
    assert command.named(labels, ["scale", "log10 kappa at x=0.9"]) == [1, 2]
    assert command.named(labels, []) == []
