"""`diffelec fit`, from tables to the folder of results."""

import csv
import json
import shlex

import numpy as np
import pytest

from diffelec.presets import single_particle
from fitting import choices, cli, examples, files, fit_files, optimise, review, style
from fitting.commands import demo, fit

from .made_up import made_up_report

CYCLER = [
    "time_h,voltage_V",
    *("0,3.2", "0.2,3.8", "1,3.95", "5,4.05", "8,4.3", "9,4.3"),
]
ONSETS = [
    "particle,event,time_h,sd_h,after_h,before_h",
    *("p,midpoint,2.6,0.2,,", "q,midpoint,,,4.0,5.0", "p,duration,0.9,0.3,,"),
]
FAST = ["--free", "diffusivity-scale", "--shells", "5", "--starts", "1"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


def written(folder, onsets=ONSETS, cycler=CYCLER):
    """The two tables as arguments."""
    (folder / "o.csv").write_text("\n".join(onsets) + "\n", encoding="utf-8")
    (folder / "c.csv").write_text("\n".join(cycler) + "\n", encoding="utf-8")
    return ["--onsets", str(folder / "o.csv"), "--cycler", str(folder / "c.csv")]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """One fit, shared by all that look at its files."""
    folder = tmp_path_factory.mktemp("fit")
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        arguments = [*written(folder), *FAST]
        status = cli.main(["fit", *arguments, "--out", str(out)])
    return status, out


def columns(path):
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_a_fit_writes_all_files_and_only_those(fitted):
    status, out = fitted
    assert status == 0
    names = sorted(path.name for path in out.iterdir())
    assert names == json.loads((out / "study.json").read_text())["files"]
    figures = {"curves", "parity", "voltage", "lithium", "lithium_map", "parameters"}
    assert {f"{name}.png" for name in figures} < set(names)
    assert (out / "onsets.csv").read_text() == "\n".join(ONSETS) + "\n"
    assert (out / "cycler.csv").read_text() == "\n".join(CYCLER) + "\n"
    assert [p.name for p in out.parent.iterdir() if p.is_dir()] == ["out"]


def test_a_fit_meets_its_events(fitted):
    _, out = fitted
    summary = json.loads((out / "summary.json").read_text())
    p, q, duration = summary["events"]
    assert p["predicted_h"] == pytest.approx(2.6, abs=0.2)
    assert 4.0 < q["predicted_h"] < 5.0
    assert duration["fitted"] is True
    assert 0.1 < duration["predicted_h"] < 3.0
    assert summary["chi_square"] < 2.0
    assert summary["chi_square_rows"] == 2
    assert summary["search"]["failed_solves"] == 0
    assert summary["search"]["settled"] is True


def test_trajectories_are_on_the_clock_of_the_events(fitted):
    _, out = fitted
    run = {k: np.array(v, float) for k, v in columns(out / "trajectories.csv").items()}
    assert all(np.all(np.isfinite(column)) for column in run.values())
    fallen = run["x_mean_p"][0] - run["x_mean_p"]
    crossed = np.interp(0.25, fallen, run["time_h"])
    event = columns(out / "events.csv")
    assert crossed == pytest.approx(float(event["predicted_h"][0]), abs=0.02)
    np.testing.assert_allclose(np.interp(0.6, run["time_h"], run["voltage_V"]), 3.875)


def test_bands_hold_the_fitted_curve(fitted):
    _, out = fitted
    table = columns(out / "curves.csv")
    low, high, middle = (
        np.array(table[name], float)
        for name in ("low_95_SI", "high_95_SI", "fitted_SI")
    )
    assert set(table["curve"]) == {"conductivity", "diffusivity"}
    assert np.all(low <= middle * 1.001)
    assert np.all(middle <= high * 1.001)
    scale = np.array([name == "diffusivity" for name in table["curve"]])
    assert np.all(high[scale] > 1.5 * low[scale])
    np.testing.assert_allclose(high[~scale], low[~scale])


def test_a_fit_tells_how_to_repeat_it(fitted):
    _, out = fitted
    study = json.loads((out / "study.json").read_text())
    words = shlex.split(study["command"])
    again = cli.parser().parse_args(words[1:])
    assert (again.onsets.name, again.cycler.name) == ("onsets.csv", "cycler.csv")
    ends = {name: text.rpartition("/")[2] for name, text in study["sources"].items()}
    assert ends == {"onsets": "o.csv", "cycler": "c.csv"}
    assert again.free == ["diffusivity-scale"]
    assert again.leave_out == []
    assert (again.shells, again.starts, again.seed) == (5, 1, 0)
    assert {"diffelec", "jax", "optimistix", "python"} <= set(study["versions"])


def test_copies_are_of_what_was_read(tmp_path, monkeypatch):
    given = written(tmp_path)
    before = [(tmp_path / name).read_bytes() for name in ("o.csv", "c.csv")]

    def solved(_):
        (tmp_path / "o.csv").write_text("edited meanwhile")
        (tmp_path / "c.csv").unlink()
        return Found(), made_up_report()

    monkeypatch.setattr(fit, "solve", solved)
    monkeypatch.setattr(fit_files, "write_report", lambda *_: None)
    monkeypatch.setattr(review, "fitted_electrode", lambda *_: single_particle())
    out = tmp_path / "out"
    assert cli.main(["fit", *given, "--out", str(out)]) == 0
    kept = [(out / name).read_bytes() for name in ("onsets.csv", "cycler.csv")]
    assert kept == before
    sources = json.loads((out / "study.json").read_text())["sources"]
    assert sources == {"onsets": given[1], "cycler": given[3]}


def test_the_fit_of_the_demo_names_its_source(monkeypatch):
    monkeypatch.setattr(fit, "solve", lambda _: (Found(), None))
    monkeypatch.setattr(fit, "write", lambda folder, job, *_: job.sources)
    assert demo._fit()(None) == {"example": "wolfman2023-nmc333"}


def test_the_fitted_electrode_can_be_read_again(fitted):
    _, out = fitted
    electrode = files.read_electrode(out / "electrode.json")
    assert electrode.network.topology.particle_labels == ("p", "q")
    parameters = json.loads((out / "summary.json").read_text())["parameters"]
    values = {p["parameter"]: p["value"] for p in parameters}
    radius = 10 ** values["log10 contact radius p [log10(m)]"]
    assert electrode.network.shape_head[0] == pytest.approx(1 / (4 * radius))


def refused(capsys, *arguments):
    """The sentence on stderr of a command that ends with status 2."""
    assert cli.main(["fit", *(str(a) for a in arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("diffelec: ")
    assert printed.err.count("\n") == 1
    return printed.err


@pytest.mark.parametrize(
    ("onsets", "cycler", "words"),
    [
        (["particle,time", "p,1"], CYCLER, "o.csv has the column 'time'"),
        (ONSETS[:1], CYCLER, "o.csv must have one row or more"),
        ([*ONSETS, "r,onset,12600,1,,"], CYCLER, "o.csv: line 5, column time_h"),
        ([*ONSETS, "r,onset,10,1,,"], CYCLER, "after its end"),
        ([*ONSETS, "p,midpoint,3,1,,"], CYCLER, "line 5, must be another event"),
        ([ONSETS[0], "p,onset,,,3,2"], CYCLER, "must be later than after_h"),
        ([ONSETS[0], "p,onset,,,3,"], CYCLER, "but the only one is censored"),
        (ONSETS, [*CYCLER, "1,4.0"], "c.csv, line 8, column time_h, must not be"),
        (ONSETS, ["time,voltage_V", "0,3"], "column time, must name its unit"),
    ],
)
def test_bad_tables_end_in_one_sentence(onsets, cycler, words, tmp_path, capsys):
    arguments = written(tmp_path, onsets, cycler)
    assert words in refused(capsys, *arguments, "--out", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.csv", "o.csv"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "must be given, and only one, but none is"),
        (["--onsets", "o.csv"], "--onsets must come with --cycler"),
        (["--onsets", "o.csv", "--cycler", "no.csv"], "'no.csv' cannot be used"),
        (["--example", "nmc"], "must be one of wolfman2023-nmc333"),
        (["--example", "sharma2022", "--seen", "mean"], "--seen must not be given"),
        (["--example", "sharma2022", "--free", "kappa"], "'kappa' is not"),
        (["--example", "sharma2022", "--half-cycle", "2"], "must not be given with"),
        (["--example", "sharma2022", "--drive", "current"], "must not be given with"),
        (["--example", "sharma2022", "--capacity-mAh", "1"], "must not be given with"),
        (
            ["--example", "sharma2022", "--mechanism", "diffusion"],
            "take another --example (wolfman2023-nmc333, wolfman2023-nmc532), or",
        ),
        (
            ["--example", "sharma2022", "--free", "clock", "--clock-sd-s", "0"],
            "leave one of the two out",
        ),
        (["--example", "sharma2022", "--material", "nmc"], "one of nmc532, nmc811"),
        (["--example", "sharma2022", "--radius-um", "0"], "but is 0 um"),
        (["--example", "sharma2022", "--edge-h", "-1"], "--edge-h must be finite and"),
        (["--example", "wolfman2023-nmc532", "--series-ohm", "1"], "leave it out"),
        (["--example", "sharma2022", "--discrepancy-h", "nan"], "more, but is nan"),
        (["--example", "wolfman2023-nmc532", "--edge-h", "0"], "give --edge-h or --"),
        (["--example", "sharma2022", "--starts", "0"], "--starts must be 1 or more"),
        (["--example", "sharma2022", "--seed", "-1"], "--seed must be 0 or more"),
        (["--example", "sharma2022", "--shells", "2"], "--shells must be 4 or more"),
        (["--example", "sharma2022", "--shells", "9999"], "--shells must be 1000 or l"),
        (["--example", "sharma2022", "--starts", "9" * 12], "must be 10000 or less,"),
        (
            ["--example", "sharma2022", "--leave-out", "onset", "midpoint"],
            "all are left out",
        ),
        (
            ["--example", "sharma2022", "--leave-out", "midpoint"],
            "all 2 are censored",
        ),
        (
            ["--example", "sharma2022", "--free", "diffusivity", "diffusivity-scale"],
            "drop one of",
        ),
    ],
)
def test_bad_arguments_end_in_one_sentence(
    arguments, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o.csv").write_text("\n".join(ONSETS))
    assert words in refused(capsys, *arguments, "--out", "out")
    assert [p.name for p in tmp_path.iterdir()] == ["o.csv"]


def test_events_in_an_order_that_cannot_be_are_noted(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(optimise, "fit", interrupt)
    onsets = [ONSETS[0], "p,onset,6,0.1,,", "p,midpoint,3,0.1,,", *ONSETS[2:3]]
    arguments = [*written(tmp_path, onsets=onsets), *FAST]
    assert cli.main(["fit", *arguments, "--out", str(tmp_path / "out")]) == 130
    assert "note: Particle 'p' has an event before one of" in capsys.readouterr().err


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_an_event_that_never_happens_has_no_predicted_time(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [*written(tmp_path, [*ONSETS, "r,midpoint,,,8.99,"]), *FAST]
    assert cli.main(["fit", *arguments, "--out", str(out)]) == 0
    event = {name: cells[3] for name, cells in columns(out / "events.csv").items()}
    assert (event["particle"], event["predicted_h"]) == ("r", "")
    assert float(event["half_cycle_end_h"]) == 9.0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("r "))
    assert line.split()[-3:-1] == ["after", "9.00"]


def test_interrupted_in_the_search_nothing_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(optimise, "fit", interrupt)
    arguments = ["fit", *written(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 130
    assert capsys.readouterr().err.endswith("interrupted; nothing was written.\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.csv", "o.csv"]


class Found:
    def message(self):
        return "converged"


def test_interrupted_in_writing_no_half_of_it_is_left(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fit, "solve", lambda _: (Found(), made_up_report()))
    saved = []

    def save(figure, path):
        saved.append(path)
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(style, "save", save)
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("kept")
    arguments = ["fit", *written(tmp_path), "--out", str(out), "--overwrite"]
    assert cli.main(arguments) == 130
    assert len(saved) == 3
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.csv", "o.csv", "out"]


def test_a_folder_with_results_is_kept(fitted, tmp_path, capsys):
    _, out = fitted
    before = (out / "study.json").stat().st_mtime_ns
    sentence = refused(capsys, *written(tmp_path), "--out", out)
    assert "--overwrite" in sentence
    assert (out / "study.json").stat().st_mtime_ns == before


def test_an_optimum_that_cannot_be_solved_is_a_failure(tmp_path, capsys, monkeypatch):
    class Failed:
        result = optimise.FIT_RESULTS.solve_failed

        def message(self):
            return "The simulation fails."

    monkeypatch.setattr(optimise, "fit", lambda *_, **__: Failed())
    arguments = ["fit", *written(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 1
    assert "The simulation fails." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", examples.names())
def test_every_example_can_be_set_up(name):
    arguments = cli.parser().parse_args(["fit", "--example", name, "--out", "out"])
    job = fit.prepare(arguments)
    prepared, title = job.setup, job.title
    assert prepared.problem.space.size > 10
    labels = prepared.problem.electrode.network.topology.particle_labels
    assert labels[: len(prepared.events.particles)] == prepared.events.particles
    assert examples.load(name).citation in title
    if prepared.recording is None:
        assert prepared.forward.origin is None
        assert len(labels) > len(prepared.events.particles)
    else:
        assert prepared.forward.origin == prepared.recording.start
        assert labels == prepared.events.particles


def test_the_help_tells_how_well_a_clock_that_is_free_is_known(capsys):
    assert cli.main(["fit", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"{choices.Choices.clock_sd:g} in a fit to a table of events" in told
