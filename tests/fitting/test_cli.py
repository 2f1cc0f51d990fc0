import csv
import gc
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import diffelec
from fitting import cli, files
from fitting.commands import demo

SHORT = ["Charge at C/20 until 3.75 V", "Discharge at C/10 for 2 hours"]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """One successful `simulate`, shared by all that look at its files."""
    out = tmp_path_factory.mktemp("simulate") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        command = ["simulate", "--preset", "single_particle", "--saved", "11"]
        status = cli.main([*command, "--protocol", *SHORT, "--out", str(out)])
    return status, out


def columns(path):
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {name: [row[name] for row in rows] for name in rows[0]}


def refused(capsys, *arguments):
    """The sentence on stderr of a command that ends with status 2."""
    assert cli.main([str(a) for a in arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("diffelec: ")
    assert printed.err.count("\n") == 1
    return printed.err


def electrode_file(folder, **changes):
    data = files.electrode_to_dict(diffelec.presets.single_particle())
    data["network"] |= changes
    files.write_json(folder / "e.json", data)
    return folder / "e.json"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("simulate", "--protocol STEP"),
        ("film", "--rises N"),
        ("traces", "--regions FILE"),
        ("onsets", "--cycler FILE"),
        ("fit", "--onsets FILE"),
        ("infer", "--chains N"),
        ("compare", "--mechanisms NAME"),
        ("report", "FOLDER"),
        ("design", "--candidates NAME"),
    ],
)
def test_help_needs_no_heavy_library(command, shown):
    program = (
        "import sys; from fitting import cli;"
        f"status = cli.main(['{command}', '--help']);"
        "heavy = {'jax', 'diffelec', 'matplotlib', 'numpy', 'scipy', 'tifffile'};"
        "heavy &= set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert shown in ended.stdout


def test_simulate_writes_all_files_and_only_those(run_once):
    status, out = run_once
    assert status == 0
    written = sorted(path.name for path in out.iterdir())
    assert written == json.loads((out / "study.json").read_text())["files"]
    tables = {"timeseries.csv", "steps.csv", "onsets.csv", "solution.nc", "study.json"}
    drawings = {"stoichiometry.png", "voltage.png", "network.png", "curves.png"}
    assert set(written) == tables | drawings
    assert [p.name for p in out.parent.iterdir()] == ["out"]


def test_time_series_is_finite_and_ends_where_the_steps_do(run_once):
    _, out = run_once
    series = columns(out / "timeseries.csv")
    names = ["time_s", "voltage_V", "current_A", "x_mean_p0", "x_surface_p0"]
    assert list(series) == names
    values = np.array([series[name] for name in names], float)
    assert values.shape == (5, 22)
    assert np.all(np.isfinite(values))
    steps = columns(out / "steps.csv")
    assert steps["step"] == SHORT
    assert float(steps["end_s"][-1]) == values[0, -1]
    assert values[1, 10] == pytest.approx(3.75, abs=1e-6)
    charge, discharge = (float(c) for c in steps["capacity_C"])
    assert charge > 0 > discharge
    assert float(steps["capacity_mAh"][0]) == pytest.approx(charge / 3.6)
    assert int(steps["accepted_steps"][0]) > 0


def test_onsets_have_a_row_per_half_cycle_and_particle(run_once):
    _, out = run_once
    onsets = columns(out / "onsets.csv")
    assert onsets["half_cycle"] == ["1", "2"]
    assert onsets["particle"] == ["p0", "p0"]
    assert onsets["imaged"] == ["1", "1"]
    times = [float(onsets[n][0]) for n in ("onset_h", "midpoint_h", "completion_h")]
    assert 0 < times[0] < times[1] < times[2]
    charge_end = float(columns(out / "steps.csv")["end_s"][0]) / 3600
    assert times[1] == pytest.approx(0.5 * charge_end, rel=0.02)


def test_instants_outside_the_run_are_told_or_refused(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("time_s\n0\n60\n1e9\n")
    (tmp_path / "none.csv").write_text("time_s\n1e9\n")
    command = ["simulate", "--preset", "single_particle", "--protocol", *SHORT]
    command += ["--times", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 0
    end = float(columns(tmp_path / "out" / "steps.csv")["end_s"][-1])
    note = f"t.csv: 1 row of 3 outside the run, which ends at {end:.8g} s, left empty."
    assert note in capsys.readouterr().err
    voltages = columns(tmp_path / "out" / "timeseries.csv")["voltage_V"]
    assert [v != "" for v in voltages] == [True, True, False]
    command[-3:] = [str(tmp_path / "none.csv"), "--out", str(tmp_path / "none")]
    assert "none.csv, column time_s, must hold an instant within" in refused(
        capsys, *command
    )
    assert not (tmp_path / "none").exists()


def test_a_fit_goes_with_the_demo_that_it_belongs_to(tmp_path, monkeypatch):
    """As all files that a study lists do where its folder is used again."""
    monkeypatch.setattr(demo, "_fit", lambda: fill)

    def fill(folder):
        files.write_json(folder / "study.json", {"files": ["study.json", "a.csv"]})
        (folder / "a.csv").write_text("1")

    command = ["demo", "--quick", "--cycles", "1", "--out", str(tmp_path / "out")]
    assert cli.main(command) == 0
    study = json.loads((tmp_path / "out" / "study.json").read_text())
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert "fit" in written
    assert written == set(study["files"])
    assert cli.main([*command, "--no-fit", "--overwrite"]) == 0
    assert not (tmp_path / "out" / "fit").exists()


def test_study_repeats_the_run(run_once):
    _, out = run_once
    study = json.loads((out / "study.json").read_text())
    assert study["protocol"] == SHORT
    assert study["settings"]["rtol"] == 1e-5
    assert {"diffelec", "jax", "jaxlib", "diffrax", "numpy", "python"} <= set(
        study["versions"]
    )
    electrode = files.read_electrode(out / "study.json")
    assert electrode.radius == diffelec.presets.single_particle().radius


def test_netcdf_holds_the_series_with_units(run_once):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    _, out = run_once
    with xarray.open_dataset(out / "solution.nc", engine="h5netcdf") as data:
        voltage = np.array(columns(out / "timeseries.csv")["voltage_V"], float)
        np.testing.assert_array_equal(data["voltage"], voltage)
        assert data["voltage"].attrs["units"] == "V"
        assert data["stoichiometry"].dims == ("time", "particle")


def test_folder_with_results_is_not_overwritten(run_once, capsys):
    _, out = run_once
    before = (out / "study.json").stat().st_mtime_ns
    sentence = refused(capsys, "simulate", "--out", out)
    assert "holds files" in sentence
    assert "--overwrite" in sentence
    assert (out / "study.json").stat().st_mtime_ns == before


def test_limit_passed_at_the_start_is_bad_input(tmp_path, capsys):
    step = "Charge at C/20 until 3.0 V"
    sentence = refused(
        capsys,
        *("simulate", "--preset", "single_particle", "--saved", "2"),
        *("--protocol", step, "--out", tmp_path / "out"),
    )
    assert f"Step 1 ('{step}') failed: The voltage (or current) limit" in sentence
    assert list(tmp_path.iterdir()) == []


def test_failed_simulation_ends_with_its_sentence(tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise diffelec.SimulationError("Step 2 ('Rest') failed: it\nhas `rtol`.")

    monkeypatch.setattr(diffelec, "simulate", fail)
    assert cli.main(["simulate", "--out", str(tmp_path / "out")]) == 1
    assert (
        capsys.readouterr().err == "diffelec: Step 2 ('Rest') failed: it has --rtol.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_interruption_ends_in_one_line(tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(diffelec, "simulate", interrupt)
    assert cli.main(["demo", "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "diffelec: interrupted; nothing was written.\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("146 TiB"),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory."),
    ],
)
def test_too_little_memory_ends_in_one_line(error, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(diffelec, "simulate", fail)
    assert cli.main(["simulate", "--out", str(tmp_path / "out")]) == 1
    sentence = "diffelec: The run needs more memory than there is; ask for fewer"
    assert capsys.readouterr().err.startswith(sentence)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_jax_are_not_hidden(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    monkeypatch.setattr(diffelec, "simulate", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        cli.main(["demo", "--no-fit"])


def test_programming_errors_are_not_hidden(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(diffelec, "simulate", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(["demo", "--no-fit"])


def test_unknown_word_in_a_protocol(tmp_path, capsys):
    arguments = ("simulate", "--protocol", "Change at C/20 until 4.3 V")
    sentence = refused(capsys, *arguments, "--out", tmp_path / "out")
    assert "'change' is not one of Charge, Discharge, Hold, Rest" in sentence


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"particles": [{"label": "p0", "radius_m": -1e-6}]}, "'p0' has -1e-06"),
        ({"carbon": ["far"]}, "path to the collector, but far has none"),
        ({"particles": [], "edges": []}, "one particle or more, but has none"),
        ({"edges": {}}, "electrode.network.edges must be a list, but is {}"),
        ({"wires": 1}, "electrode.network has the unknown key 'wires'"),
    ],
)
def test_bad_electrode_file(changes, words, tmp_path, capsys):
    path = electrode_file(tmp_path, **changes)
    sentence = refused(
        capsys, "simulate", "--electrode", path, "--out", tmp_path / "out"
    )
    assert sentence.startswith("diffelec: e.json: ")
    assert words in sentence
    assert not (tmp_path / "out").exists()


def test_nan_in_a_particle_table(tmp_path, capsys):
    (tmp_path / "p.csv").write_text(
        "particle,x_um,y_um,z_um,radius_um\na,0,0,5,5\nb,0,0,nan,5\n"
    )
    files.write_json(tmp_path / "e.json", {"network": {"particle_table": "p.csv"}})
    sentence = refused(
        capsys, "simulate", "--electrode", tmp_path / "e.json", "--out", tmp_path / "o"
    )
    assert "p.csv, line 3, column z_um, must be a finite number" in sentence


def test_a_particle_of_a_table_has_a_label(tmp_path, capsys):
    (tmp_path / "p.csv").write_text("particle,x_um,y_um,z_um,radius_um\n,0,0,5,5\n")
    files.write_json(tmp_path / "e.json", {"network": {"particle_table": "p.csv"}})
    sentence = refused(
        capsys, "simulate", "--electrode", tmp_path / "e.json", "--out", tmp_path / "o"
    )
    assert "p.csv, line 2, column particle, must be a label, but is empty." in sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--electrode", "missing.json"],
            "'missing.json' cannot be used: No such file",
        ),
        (["--preset", "nmc"], "one of sharma2022, single_particle, but is 'nmc'"),
        (["--cycles", "0"], "--cycles must be 1 or more, but is 0"),
        (["--soc", "0.5", "2"], "--soc must lie between 0 and 1, but holds 2"),
        (["--rtol", "0"], "--rtol must lie between 0 and 1, but is 0.0"),
        (["--max-steps", "0"], "--max-steps must be a whole number, 1 or more, but is"),
        (["--saved", "1"], "--saved must be a whole number, 2 or more, but is 1"),
        (["--saved", "1" + 12 * "0"], "--saved must be 1000000 or less, but is 1000"),
        (["--max-steps", "1" + 12 * "0"], "--max-steps must be 1000000 or less, but"),
        (["--cycles", "1" + 30 * "0"], "--cycles must be 10000 or less, but is 1000"),
    ],
)
def test_bad_argument(arguments, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refused(capsys, "simulate", *arguments, "--out", "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["simulate", "--film-frames", "5", "--out", "out"], "come with --film-sites"),
        (["demo", "--soc", "0.5"], "--soc must come with --out"),
        (["demo", "--overwrite"], "--overwrite must come with --out"),
    ],
)
def test_options_without_an_effect_are_refused(command, words, capsys, monkeypatch):
    monkeypatch.setattr(diffelec, "simulate", None)
    assert f"{words}, without which it has no effect" in refused(capsys, *command)


def test_a_path_may_begin_at_home(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    electrode_file(home)
    command = ["simulate", "--electrode=~/e.json", "--saved", "2"]
    assert cli.main([*command, "--protocol", *SHORT, "--out=~/run"]) == 0
    assert (home / "run" / "study.json").exists()
    assert list(tmp_path.iterdir()) == [home]
    assert cli.main(["report", "~/nothing", "--out=~/page"]) == 2
    assert str(home / "nothing") in capsys.readouterr().err


@pytest.mark.parametrize("words", [("q\udcff",), ("q", "--out", "q\udcff")])
def test_a_name_that_is_not_in_utf8_is_refused(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sentence = refused(capsys, "report", "--out", "page", *words)
    assert r"must be text in UTF-8, but 'q\xff' is not; rename the file." in sentence
    assert list(tmp_path.iterdir()) == []


def test_unknown_command_is_bad_input(capsys):
    assert cli.main(["simulat"]) == 2
    assert "invalid choice: 'simulat'" in capsys.readouterr().err


def test_single_precision_is_bad_input(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("JAX_ENABLE_X64", "0")
    jax.config.update("jax_enable_x64", False)
    try:
        status = cli.main(["simulate", "--preset", "sharma2022", f"--out={tmp_path}/x"])
    finally:
        jax.config.update("jax_enable_x64", True)
    assert status == 2
    assert "but is '0'; unset it." in capsys.readouterr().err


def test_what_is_loaded_is_kept_from_the_collector_once(monkeypatch, capsys, tmp_path):
    frozen = []
    cli._keep_loaded.cache_clear()
    monkeypatch.setattr(cli.gc, "freeze", lambda: frozen.append(True))
    for _ in range(2):
        refused(capsys, "onsets", tmp_path / "none.csv", "--out", tmp_path / "out")
    assert frozen == [True]
    assert gc.get_threshold()[0] > 10_000
