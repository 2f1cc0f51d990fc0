"""Fits of which a recorded current is the drive, and drives that cannot be."""

import json
import shlex

import pytest

from fitting import cli, optimise

from .test_fit import FAST, interrupt, written


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


def test_a_current_of_the_other_sign_is_mended_by_an_option(
    tmp_path, capsys, monkeypatch
):
    rows = ["time_h,voltage_V,current_A", "0,3.6,-1", "10,3.9,-1", "20,4.3,-1"]
    command = ["fit", *written(tmp_path, cycler=rows), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2
    said = capsys.readouterr().err
    assert said.endswith("while the current is positive; add --discharge-positive.\n")
    monkeypatch.setattr(optimise, "fit", interrupt)
    assert cli.main([*command, "--discharge-positive"]) == 130
    written(tmp_path, cycler=[row.replace("-", "") for row in rows])
    assert cli.main([*command, "--discharge-positive"]) == 2
    assert "; leave --discharge-positive out." in capsys.readouterr().err


CURRENT = [
    "time_h,voltage_V,current_A",
    *("0,3.2,0.001", "0.2,3.8,0.001", "1,3.95,0.001", "5,4.05,0.001", "9,4.3,0.001"),
]


def test_a_recorded_current_can_drive(tmp_path):
    words = ["--drive", "current", "--capacity-mAh", "15", "--voltage-sd-mV", "40"]
    words += [*FAST, "--max-steps", "2", "--leave-out", "duration"]
    words += ["--out", str(tmp_path / "out")]
    assert cli.main(["fit", *written(tmp_path, cycler=CURRENT), *words]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["driven_by"] == "current"
    assert summary["search"]["settled"] is False  # after two steps
    assert 0 < summary["voltage_rms_difference_V"] < 2
    labels = [parameter["parameter"] for parameter in summary["parameters"]]
    assert "parasitic share" in labels
    study = json.loads((tmp_path / "out" / "study.json").read_text())
    assert study["choices"]["capacity_C"] == pytest.approx(54.0)
    duration = summary["events"][2]
    assert duration["fitted"] is False
    assert 0.01 < duration["predicted_h"] < 5.0
    repeated = shlex.split(study["command"])
    assert repeated[repeated.index("--leave-out") + 1] == "duration"
    assert repeated[repeated.index("--drive") + 1] == "current"
    assert repeated[repeated.index("--voltage-sd-mV") + 1] == "40.0"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--capacity-mAh", "15"], "--capacity-mAh must come with --drive current"),
        (["--voltage-sd-mV", "15"], "--voltage-sd-mV must come with --drive current"),
        (["--series-ohm", "5"], "c.csv must hold a current for --series-ohm to take"),
        (["--drive", "current"], "The current must be recorded to drive the model"),
        (
            ["--drive", "current", "--capacity-mAh", "-1"],
            "--capacity-mAh must be finite and positive, but is -1",
        ),
    ],
)
def test_a_drive_that_cannot_be_is_refused(tmp_path, capsys, words, sentence):
    arguments = [*written(tmp_path), *words, "--out", str(tmp_path / "out")]
    assert cli.main(["fit", *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
