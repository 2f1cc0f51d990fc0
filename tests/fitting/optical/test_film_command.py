"""`diffelec film` writes what the commands after it read."""

import csv
import json
import shlex

import numpy as np
import pytest
import tifffile

import diffelec
from fitting import cli, files
from fitting.readers import read_recording

SMALL = ("--rises", "3", "--frames", "20", "--size", "96")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


def made(folder, *arguments):
    """The folder of a film, made without an error."""
    command = ["film", *SMALL, *arguments, "--out", str(folder / "out")]
    assert cli.main(command) == 0
    return folder / "out"


def test_a_film_comes_with_its_cycler_file_regions_and_truth(tmp_path, capsys):
    out = made(tmp_path)
    names = {path.name for path in out.iterdir()}
    files = {"film.tif", "particles.zip", "circles.csv", "cycler.csv", "frames.csv"}
    assert names == files | {"truth.json", "truth.csv", "study.json"}
    study = json.loads((out / "study.json").read_text())
    assert sorted(names) == study["files"]
    asked = study["arguments"]
    assert (asked["rises"], asked["preset"], asked["protocol"]) == (3, None, None)
    assert tifffile.imread(out / "film.tif").shape == (20, 96, 96)
    printed = capsys.readouterr().out
    assert "20 frames of 96 x 96 px, 120 s apart, of 3 particles" in printed
    assert f"diffelec traces {out}/film.tif --regions {out}/particles.zip" in printed


def test_the_commands_that_lead_on_find_the_frames_moved_back(tmp_path, capsys):
    out = made(tmp_path)
    _, told = capsys.readouterr().out.split("Next:\n")
    for line in told.splitlines():
        assert cli.main(shlex.split(line)[1:]) == 0
    printed = capsys.readouterr()
    assert (out / "onsets" / "onset_map_1.png").exists()
    assert "particles may lie beside" not in printed.out + printed.err
    assert f"--quality {out}/traces/quality.csv" in told


def test_the_cycler_outlasts_the_film(tmp_path, capsys):
    out = made(tmp_path, "--delay-s", "300.000125")
    assert "--clock-offset-s 300.000125 " in capsys.readouterr().out
    recording = read_recording(out / "cycler.csv")
    assert recording.end >= 300.0 + 19 * 120.0
    assert recording.current.min() > 0


def test_one_particle_of_made_up_rises_stays_silent(tmp_path):
    out = made(tmp_path, "--perfect")
    particles = json.loads((out / "truth.json").read_text())["particles"]
    assert [p["shape"] == "silent" for p in particles] == [False, False, True]
    assert particles[2]["t50_s"] is None


def test_a_later_camera_sees_the_cell_at_later_instants(tmp_path):
    command = ["film", "--preset", "single_particle", "--size", "64", "--frames", "5"]
    command += ["--protocol", "Charge at C/2 for 30 minutes", "--perfect"]
    rows = []
    for delay in ("0", "240"):
        out = tmp_path / delay
        assert cli.main([*command, "--delay-s", delay, "--out", str(out)]) == 0
        with open(out / "truth.csv", newline="") as stream:
            rows.append([list(row.values())[2] for row in csv.DictReader(stream)])
    early, late = np.array(rows, float)
    np.testing.assert_allclose(late[:3], early[2:], atol=1e-6)
    assert np.all(np.diff(early) > 0)


def test_a_film_that_begins_with_a_discharge_is_refused(tmp_path, capsys):
    half = diffelec.presets.single_particle(num_shells=5, initial_stoichiometry=0.5)
    files.write_electrode(tmp_path / "half.json", half)
    command = ["film", "--electrode", str(tmp_path / "half.json"), "--size", "64"]
    command += ["--frames", "5", "--protocol", "Discharge at C/2 for 5 minutes"]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == cli.BAD_INPUT
    assert (
        "'Discharge at C/2 for 5 minutes' discharges; begin" in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_a_camera_that_starts_after_the_charge_is_refused(tmp_path, capsys):
    command = ["film", "--preset", "single_particle", "--size", "64", "--frames", "5"]
    steps = "Charge at C/2 for 30 minutes", "Discharge at C/9 for 5 minutes"
    command += ["--protocol", *steps, "--perfect", "--delay-s", "2000"]
    assert cli.main([*command, "--out", str(tmp_path / "out")]) == cli.BAD_INPUT
    assert "--delay-s must be less than 1800, as the" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_later_camera_sees_rises_earlier_on_its_own_clock(tmp_path):
    told = []
    for delay in (0, 1800):
        out = tmp_path / str(delay)
        command = ["film", *SMALL, "--delay-s", str(delay)]
        assert cli.main([*command, "--perfect", "--out", str(out)]) == 0
        particles = json.loads((out / "truth.json").read_text())["particles"]
        told.append([p[f"t{k}_s"] for p in particles[:1] for k in (10, 50, 90)])
    np.testing.assert_allclose(np.subtract(*told), 1800)


def test_images_need_their_interval_told(tmp_path, capsys):
    out = made(tmp_path, "--png")
    assert len(list((out / "film").glob("*.png"))) == 20
    assert "--interval-s 120" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--interval-s", "0"), "--interval-s must be above 0, but is 0"),
        (("--hours", "-1"), "--hours must be above 0"),
        (("--snr", "nan"), "--snr must be above 0"),
        (("--delay-s", "-5"), "--delay-s must be 0 or more, but is -5"),
        (("--frames", "9", "--hours", "2"), "Either --hours or --frames"),
        (("--delay-s", "nan"), "--delay-s must be 0 or more, but is nan"),
        (("--delay-s", "inf"), "--delay-s must be 3.15576e+07 or less, but is inf"),
        (("--seed", "-1"), "--seed must be 0 or more, but is -1"),
        (("--size", "1000000"), "--size must be 8192 or less, but is 1e+06"),
        (("--hours", "1e12"), "--hours must be 8766 or less, but is 1e+12"),
        (("--hours", "99", "--interval-s", "0.01"), "99 h of 0.01 s have 3.56e+07"),
        (("--frames", "9999", "--interval-s", "1e5"), "last 1.157e+04 days"),
        (("--protocol", "Charge at 1C until 4 V"), "must not be given with --rises"),
        (("--rises", "1"), "--rises must be 2 or more, but is 1"),
        (("--rises", "100000000"), "--rises must be 10000 or less, but is 1e+08"),
        (("--png", "--no-interval"), "--no-interval must not be given with --png"),
        (("--frames", "1"), "--frames must be 2 or more, but is 1"),
        (("--bits", "12"), "--bits must be 8 or 16"),
        (("--size", "20"), "--size must be 32 or more, but is 20."),
        (("--um-per-px", "0.05"), "has no place for number"),
    ],
)
def test_a_film_that_cannot_be_asked_for_is_refused(tmp_path, capsys, arguments, words):
    basis = [] if "--hours" in arguments else SMALL
    command = ["film", *basis, *arguments, "--out", str(tmp_path / "out")]
    if "--rises" not in command:
        command += ["--rises", "3"]
    assert cli.main(command) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1
    assert not list(tmp_path.iterdir())
