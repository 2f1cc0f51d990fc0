"""`diffelec sweep`: files, resuming, sharing, what it refuses."""

import csv
import json
import os
import shlex
import signal

import numpy as np
import pytest

import diffelec
from fitting import chunks, cli, files, sweep, sweep_files
from fitting.commands import study

from . import shared_sweep


@pytest.fixture
def command(monkeypatch):
    """Runs `diffelec sweep` in this process on the closed form."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    monkeypatch.setattr(sweep, "_lane_of", shared_sweep.closed_form)
    charge = ["--protocol", *shared_sweep.CHARGE]
    return lambda *words: cli.main(["sweep", *charge, *map(str, words)])


def rows_of(path):
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_command_writes_tables_and_a_study_that_repeats_it(
    command, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    assert command("--vary", "diffusivity=0.1:10:5", "--chunk", 2, "--out", out) == 0
    assert "4 of 5 simulations ended" in capsys.readouterr().out
    names = {path.name for path in out.iterdir()}
    study = json.loads((out / "study.json").read_text())
    assert names == set(study["files"])
    assert {"lanes.csv", "onsets.csv", "onsets.png", "spread.png"} <= names
    assert not (tmp_path / "out.chunks").exists()
    lanes = rows_of(out / "lanes.csv")
    assert [row["result"] == "successful" for row in lanes] == [False, *[True] * 4]
    decades = [float(row["scale of diffusivity [decades]"]) for row in lanes]
    np.testing.assert_allclose(decades, [-1.0, -0.5, 0.0, 0.5, 1.0])
    assert [row["spread_1_h"] for row in lanes[:3]] == ["", "", "4.0"]
    assert lanes[2]["capacity_1_mAh"] == "1e-06"
    onsets = rows_of(out / "onsets.csv")
    assert [row["half_cycle"] for row in onsets] == 5 * 5 * ["1"]
    third = [row for row in onsets if row["lane"] == "2"]
    midpoints = [float(row["midpoint_h"]) for row in third]
    np.testing.assert_allclose(midpoints, 0.9 * np.arange(1, 6))
    monkeypatch.chdir(out)
    words = study["command"].replace("diffelec sweep", "").strip()
    assert cli.main(["sweep", *shlex.split(words)]) == 0
    assert (out / "again" / "lanes.csv").read_text() == (out / "lanes.csv").read_text()


def test_a_sweep_says_which_midpoint_is_meant_where(command, tmp_path, capsys):
    out = tmp_path / "out"
    assert command("--vary", "diffusivity=0.5:2:2", "--out", out) == 0
    assert "a midpoint is a change of 0.33" in capsys.readouterr().out
    columns = json.loads((out / "study.json").read_text())["columns"]
    said = " ".join(columns)
    assert ("spread_N_h" in said, "midpoint_h" in said) == (True, True)
    assert "changed by 0.33" in columns["lanes.csv: spread_N_h"]
    assert "10, 50, 90 % of" in columns["onsets.csv: onset_h, midpoint_h, completion_h"]
    assert cli.main(["sweep", "--help"]) == 0
    assert "change of 0.33" in " ".join(capsys.readouterr().out.split())


def test_the_netcdf_holds_every_particle(command, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    out = tmp_path / "out"
    assert command("--vary", "diffusivity=0.1:10:3", "--out", out) == 0
    with xarray.open_dataset(out / "sweep.nc", engine="h5netcdf") as found:
        assert dict(found.sizes) == {
            **{"lane": 3, "component": 1, "half_cycle": 1},
            **{"level": 3, "change": 2, "particle": 15},
        }
        middle = found.change_time.sel(change=0.33).sel(half_cycle=1).isel(lane=1)
        np.testing.assert_allclose(middle, 3600.0 * np.arange(1, 16))
        assert found.failed.values.tolist() == [1, 0, 0]


def test_interrupted_the_command_says_how_to_go_on(
    command, tmp_path, capsys, monkeypatch
):
    out, vary = tmp_path / "out", ("--vary", "diffusivity=0.1:10:5", "--chunk", 2)
    kept = chunks.Store.keep

    def stop(store, name, arrays):
        if name == "000001":
            raise KeyboardInterrupt
        kept(store, name, arrays)

    monkeypatch.setattr(chunks.Store, "keep", stop)
    assert command(*vary, "--out", out) == 130
    assert "run the same command with --resume to go on" in capsys.readouterr().err
    assert not out.exists()
    monkeypatch.setattr(chunks.Store, "keep", kept)
    assert command(*vary, "--out", out) == 2
    assert "add --resume to go on with it" in capsys.readouterr().err
    assert command(*vary, "--resume", "--out", out) == 0
    assert (out / "lanes.csv").exists()


@pytest.mark.parametrize("held", [True, False])
def test_interrupted_at_the_end_the_command_says_where_the_results_are(
    held, command, tmp_path, capsys, monkeypatch
):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    out, remove = tmp_path / "out", chunks.Store.remove

    def stop(store):
        os.kill(os.getpid(), signal.SIGINT)
        remove(store)

    if held:
        monkeypatch.setattr(chunks.Store, "remove", stop)
    else:  # just before
        monkeypatch.setattr(study, "remove", stop)
    try:
        assert command("--vary", "diffusivity=0.1:10:3", "--out", out) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"diffelec: interrupted; the results are in '{out}'."
    left = {path.name for path in tmp_path.iterdir()}
    assert left == ({"out"} if held else {"out", "out.chunks"})


def test_results_may_go_where_one_stands(command, tmp_path, monkeypatch):
    place = tmp_path / "grid"
    place.mkdir()
    monkeypatch.chdir(place)
    assert command("--vary", "diffusivity=0.1:10:3", "--out", ".") == 0
    assert (place / "lanes.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["grid"]
    study = json.loads((place / "study.json").read_text())
    assert {path.name for path in place.iterdir()} == set(study["files"])


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ((), "run the same command with --resume to go on"),
        (("--join",), "run the same command again to go on"),
    ],
)
@pytest.mark.parametrize("where", ["collected", "message_of"])  # before and in writing
def test_interrupted_anywhere_the_command_says_what_it_would_take(
    option, remedy, where, command, tmp_path, capsys, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    words = ("--vary", "diffusivity=0.1:10:5", "--out", tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(sweep_files if where == "message_of" else sweep, where, stop)
        assert command(*words, *option) == 130
    assert remedy in capsys.readouterr().err
    again = option or ("--resume",)
    assert command(*words, *again) == 0


def test_who_joins_leaves_the_end_to_others_and_what_is_done_alone(
    command, tmp_path, capsys
):
    out, vary = tmp_path / "out", ("--vary", "diffusivity=0.1:10:5", "--chunk", 2)
    store = chunks.Store(tmp_path / "out.chunks")
    store.folder.mkdir()
    with store.claim("000001"):
        assert command(*vary, "--join", "--out", out) == 0
    assert "simulated by other processes" in capsys.readouterr().err
    assert not out.exists()
    assert command(*vary, "--join", "--out", out) == 0
    before = (out / files.STUDY).stat().st_mtime_ns
    capsys.readouterr()
    assert command(*vary, "--join", "--out", out) == 0
    assert "holds the results already" in capsys.readouterr().err
    assert (out / files.STUDY).stat().st_mtime_ns == before
    assert not store.folder.exists()


def test_who_comes_second_to_the_results_says_so(command, tmp_path, capsys):
    words = ("--vary", "diffusivity=0.1:10:3", "--join", "--out", tmp_path / "out")
    store = chunks.Store(tmp_path / "out.chunks")
    store.folder.mkdir()
    with store.claim("results"):
        assert command(*words) == 0
    assert "results are written by another process" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [(), ("--overwrite",)])
def test_who_joins_after_the_end_leaves_the_results_as_they_are(
    option, command, tmp_path, capsys, monkeypatch
):
    out, begin = tmp_path / "out", sweep.begin
    words = ("--vary", "diffusivity=0.1:10:5", "--join", "--out", out)

    def late(*given, **how):
        monkeypatch.setattr(sweep, "begin", begin)
        assert command(*words) == 0
        capsys.readouterr()
        begin(*given, **how)

    monkeypatch.setattr(sweep, "begin", late)
    assert command(*words, *option) == 0
    printed = capsys.readouterr()
    assert printed.err == f"'{out}' holds the results already\n"
    assert printed.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_who_comes_while_another_ends_leaves_it_to_that(command, tmp_path, capsys):
    out = tmp_path / "out"
    words = ("--vary", "diffusivity=0.1:10:3", "--join", "--out", out)
    assert command(*words) == 0
    chunks.Store.beside(out).create({})
    assert command(*words) == 0
    assert "holds the results already" in capsys.readouterr().err


@pytest.mark.parametrize("option", [(), ("--join",)])
def test_a_sweep_of_which_nothing_ends_has_failed(option, command, tmp_path, capsys):
    out = tmp_path / "out"
    words = ("--vary", "diffusivity=0.01:0.1:3", *option, "--out", out)
    assert command(*words) == 1
    printed = capsys.readouterr()
    assert "0 of 3 simulations ended" in printed.out
    assert "half cycle" not in printed.out
    sentence = printed.err.splitlines()[-1]
    assert sentence.startswith("diffelec: None of 3 simulations ended (see '")
    assert sentence.endswith(sweep.message_of(1))
    study = json.loads((out / files.STUDY).read_text())
    assert study["ends"] == {sweep.message_of(1): 3}
    assert {path.name for path in out.iterdir()} == set(study["files"])
    assert not list(out.glob("*.png"))
    assert command(*words[:2], "--join", "--out", out) == 1
    assert "None of 3 simulations ended" in capsys.readouterr().err


def test_a_sweep_of_which_nothing_is_seen_is_refused(command, tmp_path, capsys):
    electrode, path = diffelec.presets.single_particle(), tmp_path / "e.json"
    told = files.electrode_to_dict(electrode)
    told["network"]["particles"][0]["imaged"] = False
    files.write_json(path, told)
    words = ("--electrode", path, "--vary", "diffusivity=1:2:2")
    assert command(*words, "--out", tmp_path / "out") == 2
    assert "must have an imaged particle" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]


def test_times_that_are_never_passed_are_not_drawn(command, tmp_path):
    out = tmp_path / "out"
    grid = ("--vary", "diffusivity=0.2:0.4:2", "--vary", "radius=1:2:2")
    assert command(*grid, "--out", out) == 0
    assert not (out / "map.png").exists()
    assert (out / "spread.png").exists()


def test_results_of_another_sweep_are_not_joined(command, tmp_path, capsys):
    out, vary = tmp_path / "out", ("--vary", "diffusivity=0.1:10:3", "--join")
    assert command(*vary, "--out", out) == 0
    assert command(*vary, "--chunk", 2, "--out", out) == 0
    capsys.readouterr()
    for words, change in (
        ((*vary, "--rtol", 0.01), "the rtol changed from 0.0001 to 0.01"),
        (("--vary", "radius=0.5:2:3", "--join"), "the varied quantities changed from"),
        (
            ("--vary", "diffusivity=0.1:9:3", "--join"),
            "the values of the lanes changed;",
        ),
    ):
        assert command(*words, "--out", out) == 2
        assert f"of this sweep to be joined, but {change}" in capsys.readouterr().err
    (out / files.STUDY).write_text("{}")
    assert command(*vary, "--out", out) == 2
    assert "they do not tell of which they are" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "A sweep must vary something: add --vary"),
        (
            ("--vary", "diffusivity=0.1:10"),
            "'diffusivity' has none: write diffusivity=",
        ),
        (("--knots", "diffusivity"), "drawn at random: add --draws N"),
        (("--vary", "diffusivity=1:2:3", "--draws", 4), "ranges without a count, but"),
        (("--vary", "diffusivity=1:2", "--draws", 0), "1 to 10000000 lanes"),
        (("--vary", "radius=1:2:9999", "--vary", "current=1:2:9999"), "99980001"),
        (("--vary", "radius=1:2", "--draws", 4, "--seed", -1), "must be 0 or more"),
        (("--vary", "radius=1:2:3", "--seed", 4), "--seed must come with --draws"),
        (("--vary", "radius=1:2:3", "--chunk", 0), "--chunk must be 1 or more"),
        (("--vary", "radius=1:2:3", "--cycles", 0), "--cycles must be 1 or more"),
        (("--vary", "radius=1:2:3", "--max-steps", 10**12), "must be 1000000 or less"),
        (
            ("--vary", "radius=1:2:3", "--vary", "radius=1:2:3"),
            "--vary must name a quantity once, but names 'radius' 2 times; keep one",
        ),
        (
            ("--knots", "rate-constant", "rate_constant", "--draws", 4),
            "--knots must name a quantity once, but names 'rate_constant' 2 times;",
        ),
        (
            ("--vary", "diffusivity=1:2", "--knots", "diffusivity", "--draws", 4),
            "drop the range of 'diffusivity' or the knots of 'diffusivity'.",
        ),
        (("--vary", "radius=1:2:3", "--resume"), "but there is none; leave --resume"),
        (("--vary", "radius=1:2:3", "--preset", "nmc"), "--preset must be one of"),
    ],
)
def test_what_cannot_be_swept_is_refused(words, sentence, command, tmp_path, capsys):
    assert command(*words, "--out", tmp_path / "out") == 2
    printed = capsys.readouterr().err
    assert printed.startswith("diffelec: ")
    assert printed.count("\n") == 1
    assert sentence in printed
    assert list(tmp_path.iterdir()) == []


def test_a_curve_is_named_as_fit_names_it():
    words = ["sweep", "--knots", "rate-constant", "--draws", "4", "--out", "out"]
    assert cli.parser().parse_args(words).knots == ["rate_constant"]
