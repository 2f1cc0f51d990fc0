"""`diffelec fit` from a film or from traces, up to what is fitted."""

import argparse
import json
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from fitting import (
    cli,
    compare_files,
    design_files,
    files,
    fit_files,
    posterior_files,
    review,
    style,
)
from fitting.commands import compare, design, fit, infer, onset_files, onsets
from fitting.commands.job import prepare as job_of
from fitting.optical import quality_figures, trace_tables
from fitting.readers import read_events

from ..made_up import made_up_report
from .made_film import made_film

FRAMES, INTERVAL = 60, 600.0


class Fitted:
    """In place of an optimum."""

    def message(self):
        return "converged"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a film of four discs, their circles and a cycler's file."""
    folder = tmp_path_factory.mktemp("inputs")
    _, truth = made_film(FRAMES, (110, 140), 4, blurred=(6,), jump=(0, 0))
    metadata = {"axes": "TYX", "finterval": INTERVAL}
    tifffile.imwrite(
        folder / "film.tif", truth["frames"], imagej=True, metadata=metadata
    )
    rows = [f"p{k},{x},{y},{r}" for k, (x, y, r) in enumerate(truth["circles"])]
    (folder / "circles.csv").write_text("\n".join(["particle,x_px,y_px,r_px", *rows]))
    time = np.linspace(0.0, FRAMES * INTERVAL, 200)
    cycler = [f"{t},{3.6 + 0.7 * t / time[-1]},1e-3" for t in time]
    (folder / "cycler.csv").write_text(
        "\n".join(["time_s,voltage_V,current_A", *cycler])
    )
    return folder


def without_figures(patch):
    """Figures have tests of their own; here, files of their names."""
    patch.setattr(style, "save", lambda _, path: path.touch())
    drawn = dict.fromkeys(("regions_figure", "quality_figure"), lambda *_: None)
    for name, draw in drawn.items():
        patch.setattr(quality_figures, name, draw)
    patch.setattr(onset_files, "_draw", lambda *_: None)
    patch.setattr(
        onset_files, "_draw_film", lambda folder, _: (folder / "map.png").touch()
    )
    patch.setattr(fit_files, "_FIGURES", {})


@pytest.fixture(scope="module")
def done(inputs):
    """The folder with results of traces, onsets, fit --film and fit --traces."""
    jobs = []

    def solve(job):
        jobs.append(job)
        return Fitted(), made_up_report()

    film, circles = inputs / "film.tif", inputs / "circles.csv"
    cycler, table = inputs / "cycler.csv", inputs / "traces" / "traces.csv"
    drive = ["--cycler", cycler, "--clock-offset-s", "60"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        without_figures(patch)
        patch.setattr(fit, "solve", solve)
        patch.setattr(
            review, "fitted_electrode", lambda made, _: made.problem.electrode
        )
        for words in (
            ["traces", film, "--regions", circles, "--out", inputs / "traces"],
            ["onsets", table, *drive, "--out", inputs / "onsets"],
            [
                "fit",
                "--film",
                film,
                "--regions",
                circles,
                *drive,
                "--out",
                inputs / "a",
            ],
            ["fit", "--traces", table, *drive, "--out", inputs / "b"],
            ["fit", "--traces", table, *drive, "--whole-traces", "--out", inputs / "c"],
        ):
            assert cli.main([str(word) for word in words]) == cli.SUCCESS
    return inputs, jobs


def test_one_command_finds_what_three_find(done):
    folder, (film, table, _) = done
    expected = read_events(folder / "onsets" / "onsets.csv", surface=True)
    for job, name in ((film, "a"), (table, "b")):
        found = job.setup.events
        assert found.surface
        assert job.choices.edge_sd == pytest.approx(INTERVAL)
        assert found.particles == expected.particles
        for column in ("time", "sd", "after", "before", "change"):
            np.testing.assert_array_equal(
                getattr(found, column), getattr(expected, column)
            )
        copy = folder / name / "onsets" / "onsets.csv"
        assert copy.read_text() == (folder / "onsets" / "onsets.csv").read_text()
        assert copy.read_text() == (folder / name / "onsets.csv").read_text()
    same = (folder / "traces" / "traces.csv").read_text()
    assert (folder / "a" / "traces" / "traces.csv").read_text() == same


def test_the_command_that_onsets_prints_fits_as_one_that_begins_at_the_film(done):
    folder, (film, *_) = done
    drive = ["--cycler", folder / "cycler.csv", "--clock-offset-s", "60"]
    words = ["onsets", folder / "traces" / "traces.csv", *drive]
    words += ["--out", folder / "onsets"]
    given = cli.parser().parse_args([str(word) for word in words])
    printed = onsets._next(onsets.find(given)).rpartition("next: ")[2]
    again = cli.parser().parse_args(shlex.split(printed)[1:])
    fit.check(again)
    choices = job_of(again).choices
    assert choices.edge_sd == pytest.approx(film.choices.edge_sd, rel=1e-5)
    assert choices.clock_sd == pytest.approx(film.choices.clock_sd)


def test_whole_traces_are_fitted_on_the_clock_of_the_events(done, monkeypatch):
    folder, (_, _, job) = done
    traces = trace_tables.read_traces(folder / "traces" / "traces.csv")
    seen = job.setup.seen
    assert set(seen.labels) <= set(traces.labels)
    assert len(seen.labels) > 1
    inside = (traces.time + 60.0 >= 0) & (traces.time + 60.0 <= FRAMES * INTERVAL)
    np.testing.assert_allclose(seen.middle[1:-1], traces.time[inside][1:-1] + 60.0)
    rows = [traces.labels.index(label) for label in seen.labels]
    np.testing.assert_allclose(seen.value, traces.intensity[rows][:, inside])
    # The command in the folder fits the same.
    monkeypatch.chdir(folder / "c")
    study = files.read_json(folder / "c" / "study.json")
    again = cli.parser().parse_args(shlex.split(study["command"])[1:])
    fit.check(again)
    repeated = job_of(again).setup
    np.testing.assert_allclose(repeated.seen.value, seen.value, rtol=1e-6)
    np.testing.assert_allclose(repeated.seen.edges, seen.edges)
    np.testing.assert_array_equal(repeated.fitted, job.setup.fitted)


def test_the_folder_holds_what_the_steps_before_wrote(done):
    folder, _ = done
    for name, parts in (("a", ("traces", "onsets")), ("b", ("onsets",))):
        for part in parts:
            inside = {p.name for p in (folder / name / part).iterdir()}
            alone = {p.name for p in (folder / part).iterdir()}
            assert alone <= inside
            assert files.read_json(folder / name / part / "study.json")["files"]
    assert not (folder / "b" / "traces").exists()
    # Only a film has pictures to draw on.
    assert (folder / "a" / "onsets" / "map.png").exists()
    assert not (folder / "b" / "onsets" / "map.png").exists()


def test_the_study_names_its_sources_and_a_command_that_repeats_the_fit(done):
    folder, _ = done
    study = json.loads((folder / "a" / "study.json").read_text())
    given = {"film": "film.tif", "regions": "circles.csv", "cycler": "cycler.csv"}
    assert study["sources"] == {k: str(folder / name) for k, name in given.items()}
    assert {"traces", "onsets", "onsets.csv", "cycler.csv"} < set(study["files"])
    again = cli.parser().parse_args(shlex.split(study["command"])[1:])
    fit.check(again)
    assert (again.onsets.name, again.cycler.name) == ("onsets.csv", "cycler.csv")
    assert (again.seen, again.half_cycle) == ("surface", 1)
    known = json.loads((folder / "a" / "onsets" / "study.json").read_text())
    assert known["traces"] == "traces/traces.csv"
    assert known["cycler"] == str(folder / "cycler.csv")
    assert known["clock_offset_s"] == 60.0


IDLE = {
    "--onsets o --cycler c": (
        *("inverted", "discharge-first", "noise 0.1", "exposure-s 60", "dark d"),
        *("flat d", "erode-px 3", "statistic median", "search-px 9", "pixel-um 0.1"),
        *("intensity-sd 0.3", "clock-offset-s 0", "reversals-h 3"),
    ),
    "--traces t --cycler c": (
        *("dark d", "erode-px 5", "statistic mean", "search-px 3", "intensity-sd 1"),
    ),
    "--onsets o --protocol Rest": ("mass-mg 3", "discharge-positive", "series-ohm 2"),
    "--example sharma2022": (
        *("mass-mg 3", "current-unit mA", "repair-time", "no-day-first", "inverted"),
        *("intensity-sd 0.3", "dark d"),
    ),
}


@pytest.mark.parametrize("source", IDLE)
@pytest.mark.parametrize("name", ["fit", "infer", "design", "compare"])
def test_an_option_without_an_effect_is_refused(source, name):
    command = [name, *source.split(), "--out", "x"]
    names = (["network", "diffusion"],) if name == "compare" else ()
    check = {"fit": fit, "infer": infer, "design": design, "compare": compare}[name]
    check.check(cli.parser().parse_args(command), *names)
    for words in IDLE[source]:
        given = cli.parser().parse_args([*command, *f"--{words}".split()])
        option = words.split()[0].removeprefix("no-")
        with pytest.raises(ValueError, match=f"--{option} must come with --"):
            check.check(given, *names)


@pytest.mark.parametrize("name", ["infer", "design", "compare"])
def test_other_commands_name_one_that_repeats_theirs(name, done, tmp_path, monkeypatch):
    folder, (_, _, fitted) = done
    found = SimpleNamespace(contenders=(), verdict=lambda: "made up")
    found.diagnosis = found
    weighed = lambda arguments, _: (job_of(arguments), found)
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    without_figures(monkeypatch)
    monkeypatch.setattr(infer, "solve", lambda *_: (None, found))
    monkeypatch.setattr(design, "solve", lambda _: found)
    monkeypatch.setattr(compare, "weigh", lambda a, n: weighed(vars_of(a), n))
    monkeypatch.setattr(review, "fitted_electrode", lambda s, _: s.problem.electrode)
    for module in (posterior_files, design_files, compare_files):
        monkeypatch.setattr(module, "text", lambda _: "made up")
        monkeypatch.setattr(module, "write", lambda *_: None)
    words = [name, "--traces", folder / "traces" / "traces.csv", "--whole-traces"]
    words += ["--cycler", folder / "cycler.csv", "--clock-offset-s", "60"]
    words += ["--keep-chunks"] if name == "infer" else []
    words = [str(word) for word in (*words, "--out", tmp_path / "out")]
    assert cli.main(words) == cli.SUCCESS
    study = files.read_json(tmp_path / "out" / "study.json")
    again = cli.parser().parse_args(shlex.split(study["command"])[1:])
    monkeypatch.chdir(tmp_path / "out")
    repeated = job_of(vars_of(again))
    assert repeated.choices.edge_sd == pytest.approx(INTERVAL)
    assert repeated.choices.clock_sd == fitted.choices.clock_sd
    assert repeated.setup.events.surface
    np.testing.assert_allclose(repeated.setup.seen.edges, fitted.setup.seen.edges)
    interval = getattr(again, "frame_interval_min", INTERVAL / 60)
    assert interval == pytest.approx(INTERVAL / 60)  # of the traces


def vars_of(arguments):
    """Arguments of any command as those of one mechanism."""
    blank = {"mechanism": "network", "free": None}
    return argparse.Namespace(**(blank | vars(arguments)))


def test_a_vague_clock_of_the_film_is_a_number_of_the_fit(done):
    for job in done[1]:
        assert job.choices.clock_sd == INTERVAL
        prior = job.setup.problem.space.clock.prior
        np.testing.assert_allclose(prior.constrain(np.ones(1)), INTERVAL)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--film f.tif --cycler c.csv", "--film must come with --regions"),
        ("--film f.tif --regions r.csv", "--film must come with --cycler"),
        ("--traces t.csv", "--traces must come with --cycler"),
        ("--film f --onsets o --cycler c", "but --onsets and --film are"),
        ("--traces t --film f --cycler c", "but --film and --traces are"),
        ("--traces t --regions r --cycler c", "--regions must come with --film"),
        ("--traces t --cycler c --clock cycler", "--clock must come with --onsets"),
        ("--traces t --cycler c --change 1.5", "--change must lie between 0 and 1"),
        ("--traces t --cycler c --reversals-h 3", "--reversals-h and --discharge"),
        ("--onsets o --cycler c --change 0.2", "--change must come with --film"),
        ("--onsets o --cycler c --times t", "--times must come with --film"),
        ("--onsets o --cycler c --whole-traces", "--whole-traces must come with"),
        ("--traces t --cycler c --intensities i", "--intensities must come with --on"),
        ("--example sharma2022 --intensities i", "--intensities must not be given"),
        (
            "--onsets o --cycler c --intensities i --intensity-sd 0",
            "--intensity-sd must be finite and p",
        ),
        ("--example sharma2022 --interval-s 9", "--interval-s must come with --film"),
        (
            "--film f --regions r --cycler c --erode-px -1",
            "--erode-px must be 0 or mor",
        ),
        ("--traces no.csv --protocol Rest", "'no.csv' cannot be used: No such file"),
    ],
)
def test_what_cannot_go_together_is_refused(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fit", *words.split(), "--out", "x"]) == cli.BAD_INPUT
    sentence = capsys.readouterr().err
    assert said in sentence
    assert sentence.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_rises_there_is_nothing_to_fit(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    time = np.arange(0.0, 36000.0, 600.0)
    noise = np.random.default_rng(1).normal(0.3, 0.003, time.size)
    rows = [f"{t},{x}" for t, x in zip(time, noise, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["time_s,p", *rows]))
    words = ["fit", "--traces", str(tmp_path / "t.csv")]
    words += ["--protocol", "Charge at C/20 until 4.3 V"]
    assert cli.main([*words, "--out", str(tmp_path / "out")]) == cli.BAD_INPUT
    assert "No particle's time is known in charge 1 of t.csv" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
