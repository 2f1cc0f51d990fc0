"""`diffelec infer`, from tables to the folder of results."""

import csv
import json
import shlex

import numpy as np
import pytest

import diffelec
from fitting import cli, files, independent, samplers, sampling, tempering, trajectories
from fitting.commands import infer, job

from .test_fit import CYCLER, FAST, ONSETS, written
from .test_left_out import setup_of_four

DRAWS = ["--sampler", "laplace", "--chains", "2", "--draws", "40"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def inferred(tmp_path_factory):
    """One run that is interrupted and resumed, shared by all that look at its files."""
    folder = tmp_path_factory.mktemp("infer")
    out = folder / "out"
    arguments = [*written(folder), *FAST, *DRAWS]
    command = ["infer", *arguments, "--out", str(out)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(sampling, "sample", interrupt)
            first = cli.main(command)
        between = sorted(p.name for p in folder.iterdir())
        refused = cli.main(command)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(job, "search", None)  # the optimum is known already
            last = cli.main([*command, "--resume"])
    return (first, refused, last), between, out


def table(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_an_interrupted_run_is_resumed_and_leaves_only_results(inferred):
    statuses, between, out = inferred
    assert statuses == (130, 2, 0)
    assert between == ["c.csv", "o.csv", "out.chunks"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["c.csv", "o.csv", "out"]


def test_interrupted_behind_its_draws_a_run_says_where_they_are(
    tmp_path, capsys, monkeypatch
):
    def drawn(prepared, store):
        del prepared
        store.create({})
        raise KeyboardInterrupt

    command = ["infer", *written(tmp_path), *FAST, "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(job, "prepare", interrupt)
        assert cli.main(command) == 130
    assert "nothing was written" in capsys.readouterr().err
    monkeypatch.setattr(infer, "solve", drawn)
    assert cli.main(command) == 130
    said = capsys.readouterr().err
    assert "out.chunks': run the same command with --resume to go on" in said


def test_a_search_that_fails_leaves_no_run_to_resume(tmp_path, capsys, monkeypatch):
    def fail(_):
        raise diffelec.SimulationError("The solve fails.")

    monkeypatch.setattr(job, "search", fail)
    command = ["infer", *written(tmp_path), *FAST, "--out", str(tmp_path / "out")]
    for _ in range(2):  # a second time not refused for the first
        assert cli.main(command) == 1
        assert "The solve fails." in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.csv", "o.csv"]


def test_all_files_are_there_and_only_those(inferred):
    out = inferred[2]
    names = sorted(path.name for path in out.iterdir())
    assert names == json.loads((out / "study.json").read_text())["files"]
    figures = {"curves", "predictive", "traces", "ranks", "pairs"}
    tables = {"events.csv", "parameters.csv", "curves.csv", "summary.json"}
    assert {f"{name}.png" for name in figures} | tables < set(names)
    assert (out / "onsets.csv").read_text() == "\n".join(ONSETS) + "\n"
    assert (out / "cycler.csv").read_text() == "\n".join(CYCLER) + "\n"
    labels = files.read_electrode(out / "electrode.json").network.topology
    assert labels.particle_labels == ("p", "q")


def test_the_summary_says_whether_to_trust_and_what_was_found(inferred):
    summary = json.loads((inferred[2] / "summary.json").read_text())
    assert summary["trusted"] is False
    assert summary["verdict"].startswith("The draws must not be trusted yet: ")
    assert (summary["chains"], summary["draws_per_chain"]) == (2, 40)
    assert summary["failed_solves"] == 0
    assert len(summary["parameters"]) == 5
    p, q, duration = summary["events"]
    low, high = p["predicted_5_h"], p["predicted_95_h"]
    assert 2.0 < low < 2.6 < high < 3.2
    assert 3.7 < q["predicted_50_h"] < 5.3
    assert duration["fitted"] is True
    assert duration["predicted_5_h"] < duration["predicted_95_h"]
    assert [event["half_cycle_end_h"] for event in summary["events"]] == [9.0] * 3
    # What the others say of a particle is vaguer than what its own data say.
    assert p["left_out_95_h"] is None  # beyond the half cycle
    assert p["half_cycle_end_h"] - p["left_out_5_h"] > 2 * (high - low)


def test_tables_agree_with_the_summary(inferred):
    out = inferred[2]
    summary = json.loads((out / "summary.json").read_text())
    for name in ("parameters", "events"):
        rows = table(out / f"{name}.csv")
        assert [next(iter(row.values())) for row in rows] == [
            next(iter(row.values())) for row in summary[name]
        ]
    rows = table(out / "curves.csv")
    low, high = (
        np.array([row[name] for row in rows], float)
        for name in ("low_90_SI", "high_90_SI")
    )
    free = np.array([row["curve"] == "diffusivity" for row in rows])
    assert np.all(high[free] > 1.5 * low[free])
    np.testing.assert_allclose(high[~free], low[~free])


def test_netcdf_has_the_groups_that_arviz_reads(inferred):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with xarray.open_datatree(inferred[2] / "posterior.nc", engine="h5netcdf") as found:
        assert set(found.children) == {
            *("posterior", "sample_stats", "log_likelihood", "posterior_predictive"),
            *("observed_data", "constant_data"),
        }
        posterior = found["posterior"]
        assert posterior["raw"].dims == ("chain", "draw", "component")
        assert posterior["log10_contact_radius"].shape == (2, 40, 4)
        units = posterior["log10_contact_radius"].attrs["units"]
        assert units == "log10(m); population spread: decades"
        assert posterior["scale_of_diffusivity"].dims == ("chain", "draw")
        assert found["sample_stats"]["diverging"].dtype == bool
        assert found["log_likelihood"]["event_time"].shape == (2, 40, 3)
        assert found["posterior_predictive"]["event_time"].shape == (2, 40, 3)
        times = found["observed_data"]["event_time"].values
        np.testing.assert_allclose(times, [2.6 * 3600, np.nan, 0.9 * 3600])
        attributes = posterior.attrs
        assert (attributes["seed"], attributes["rtol"]) == (0, 1e-4)
        assert len(attributes["data_digest"]) == 16
        assert attributes["inference_library"] == "diffelec"  # not numpyro's
        assert "numpyro" in json.loads(attributes["versions"])


def test_a_run_tells_how_to_repeat_it(inferred):
    study = json.loads((inferred[2] / "study.json").read_text())
    assert study["format"] == "diffelec infer"
    again = cli.parser().parse_args(shlex.split(study["command"])[1:])
    assert (again.chains, again.draws, again.sampler) == (2, 40, "laplace")
    assert (again.onsets.name, again.cycler.name) == ("onsets.csv", "cycler.csv")


def refused(capsys, *arguments):
    """The sentence on stderr of a command that ends with status 2."""
    assert cli.main(["infer", *(str(a) for a in arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("diffelec: ")
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "must be given, and only one, but none is"),
        (["--example", "nmc"], "must be one of wolfman2023-nmc333"),
        (["--example", "sharma2022", "--chains", "0"], "--chains must be 1 or more"),
        (["--example", "sharma2022", "--draws", "3"], "--draws must be 4 or more"),
        (["--example", "sharma2022", "--warmup", "2"], "--warmup must be 10 or more"),
        (["--example", "sharma2022", "--draws", "9" * 12], "must be 10000000 or less"),
        (["--example", "sharma2022", "--pilot", "9"], "--pilot must be 0, or 10 or"),
        (["--example", "sharma2022", "--pilot", "-1"], "--pilot must be 0 or more"),
        (["--example", "sharma2022", "--walkers", "1"], "--walkers must be 2 or more"),
        (
            ["--example", "sharma2022", "--warmup", "50", *DRAWS],
            "with --sampler nuts or",
        ),
        (["--example", "sharma2022", "--pilot", "50"], "with --sampler hmc or slice,"),
        (["--example", "sharma2022", "--walkers", "8"], "with --sampler tempered, w"),
        (["--example", "wolfman2023-nmc333", "--resume"], "must be a run in 'out.chun"),
    ],
)
def test_bad_arguments_end_in_one_sentence(
    arguments, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, *arguments, "--out", "out")
    assert list(tmp_path.iterdir()) == []


def test_walkers_go_from_the_prior_to_the_posterior(tmp_path, capsys, monkeypatch):
    few = (8, 4, 0.1, 1)  # walkers, draws, worth, tries
    monkeypatch.setattr(tempering.Tempering.__init__, "__defaults__", few)
    out = tmp_path / "out"
    words = ["--sampler", "tempered", "--walkers", "8", "--chains", "2", "--draws", "4"]
    command = ["infer", *written(tmp_path), *FAST, *words, "--out", str(out)]
    with monkeypatch.context() as inner:
        inner.setattr(tempering, "_next_power", interrupt)
        assert cli.main(command) == 130
    assert "with --resume to go on" in capsys.readouterr().err
    assert cli.main([*command, "--resume"]) == 0
    summary = json.loads((out / "summary.json").read_text())
    powers = summary["powers_of_the_likelihood"]
    assert len(powers) > 1
    assert powers[-1] == 1.0
    assert summary["solves_of_walkers"] > 32 * len(powers)
    assert 0.0 < summary["log_evidence_sd"] < 3.0
    told = f"logarithm of the evidence {summary['log_evidence']:.2f} (+-"
    assert told in capsys.readouterr().out
    again = json.loads((out / "study.json").read_text())["command"]
    assert "--walkers 8 --sampler tempered" in again
    assert "posterior.nc" in [path.name for path in out.iterdir()]
    assert not (tmp_path / "out.chunks").exists()


def test_another_question_does_not_resume_a_run(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ["infer", "--example", "wolfman2023-nmc333", "--out", "out"]

    monkeypatch.setattr(job, "search", interrupt)
    assert cli.main(command) == 130
    told = capsys.readouterr().err
    assert "'out.chunks': run the same command with --resume to go on" in told
    command += ["--resume"]
    assert "the seed changed from 0 to 1" in refused(
        capsys, *command[1:], "--seed", "1"
    )
    for option, name in (("--starts", "number of starts"), ("--max-steps", "limit of")):
        said = refused(capsys, *command[1:], option, "7")
        assert f"the {name}" in said
        assert "to 7; repeat the first command, or remove that folder" in said
    assert "the data and noise changed" in refused(
        capsys, *command[1:], "--discrepancy-h", "0.1"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["out.chunks"]


def test_samplers_take_what_was_asked():
    arguments = cli.parser().parse_args(
        ["infer", "--example", "sharma2022", "--warmup", "77", "--out", "out"]
    )
    assert infer._sampler(arguments) == samplers.NUTS(num_warmup=77)
    arguments.sampler = "hmc"
    assert infer._sampler(arguments) == trajectories.HMC(num_warmup=77)
    # Warm-up and pilot fill whole files of ten draws.
    assert infer._blank(arguments).num_warmup == 280
    arguments.sampler = "slice"
    assert infer._blank(arguments).num_warmup == 200
    arguments.pilot = 0
    assert infer._blank(arguments).num_warmup == 0
    arguments.sampler = "tempered"
    assert infer._sampler(arguments) == infer._blank(arguments)
    assert infer._blank(arguments) == tempering.Tempering(64)
    assert infer._blank(arguments).num_warmup == 0
    arguments.sampler = "laplace"
    assert infer._sampler(arguments) == infer._blank(arguments) == independent.Laplace()


def test_a_law_is_adapted_once_and_kept_with_the_optimum(tmp_path, capsys, monkeypatch):
    words = ["infer", "--example", "wolfman2023-nmc333", "--sampler", "slice"]
    arguments = cli.parser().parse_args([*words, "--out", str(tmp_path / "out")])
    prepared = job.Job(arguments, None, setup_of_four(), "four")
    store = infer._store(arguments)
    store.create({})
    monkeypatch.setattr(infer, "_ADAPTATION", (3, 200))
    first = infer._known(prepared, store)
    assert "adaptation: 600 draws are worth" in capsys.readouterr().err
    monkeypatch.setattr(job, "search", None)  # all is known already
    again = infer._known(prepared, store)
    law = {"law_middle", "law_factor", "law_alone"}
    assert set(first) == set(again) == {"raw", "covariance"} | law
    for name, value in first.items():
        np.testing.assert_array_equal(again[name], value)
    arguments.sampler = "adapted"
    assert infer._blank(arguments) == independent.Weighted.example()
    weighted = infer._sampler(arguments, again)
    np.testing.assert_array_equal(weighted.law.middle, first["law_middle"])
    arguments.sampler = "slice"
    sampler = infer._sampler(arguments, again)
    np.testing.assert_array_equal(sampler.factor, first["law_factor"])
    assert sampler.num_warmup == 0
    assert sampler.alone.shape == (6,)
    assert not sampler.alone.any()
    # In its own coordinates the posterior is near to a unit normal law.
    assert np.all(np.abs(sampler.middle) < 1.0)
    assert 0.1 < np.linalg.det(sampler.factor) < 10.0
