"""Folders of results are complete or absent, and replace only what is theirs."""

import numpy as np
import pytest

from fitting import files


def test_infinite_numbers_become_empty_cells(tmp_path):
    files.write_csv(
        tmp_path / "t.csv", ["a_s", "b_s"], [[np.float64(np.inf), 0.1], [1, np.nan]]
    )
    assert (tmp_path / "t.csv").read_text().splitlines() == ["a_s,b_s", ",0.1", "1,"]


def test_nothing_is_left_of_a_failed_writing(tmp_path):
    def write_half():
        with files.result_folder(tmp_path / "out") as folder:
            (folder / "a.csv").write_text("half")
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_overwriting_spares_files_of_other_origin(tmp_path):
    out = tmp_path / "out"
    with files.result_folder(out) as folder:
        (folder / "old.png").write_text("old")
        files.write_json(folder / "study.json", {"files": ["old.png", "../safe"]})
    (out / "notes.txt").write_text("mine")
    (tmp_path / "safe").write_text("mine")
    with pytest.raises(ValueError, match=r"holds files; .* --overwrite"):
        files.check_folder(out, overwrite=False)
    with files.result_folder(out, overwrite=True) as folder:
        (folder / "new.png").write_text("new")
    assert sorted(p.name for p in out.iterdir()) == [
        "new.png",
        "notes.txt",
        "study.json",
    ]
    assert (tmp_path / "safe").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "safe"]


def test_a_folder_within_is_replaced_with_its_own_files_only(tmp_path):
    out = tmp_path / "out"
    for text in ("old", "new"):
        with files.result_folder(out, overwrite=True) as folder:
            files.write_json(folder / "study.json", {"files": ["study.json"]})
            (folder / "fit").mkdir()
            names = ["study.json", f"{text}.txt"]
            files.write_json(folder / "fit" / "study.json", {"files": names})
            (folder / "fit" / f"{text}.txt").write_text(text)
        (out / "fit" / "mine.txt").write_text("kept")
    written = sorted(p.name for p in (out / "fit").iterdir())
    assert written == ["mine.txt", "new.txt", "study.json"]


def test_what_a_command_reads_is_not_removed_by_what_it_writes(tmp_path):
    out = tmp_path / "out"
    table, inside = out / "traces.csv", out / "film"
    with files.result_folder(out) as folder:
        (folder / "traces.csv").write_text("kept")
        (folder / "film").mkdir()
        listed = {"format": "diffelec traces", "files": ["traces.csv", "study.json"]}
        files.write_json(folder / "study.json", listed)
    (out / "mine.csv").write_text("of other origin")
    for read in (table, out, tmp_path):
        with pytest.raises(
            ValueError, match=r"would remove results in .* that are read"
        ):
            files.check_spared(out, [read], command="onsets")
    spared = [out / "mine.csv", out / "study.json", inside, tmp_path / "traces.csv"]
    files.check_spared(out, spared, command="onsets")
    files.check_spared(out, [table, tmp_path], command="traces")
    files.check_spared(tmp_path / "new", [table, out], command="onsets")


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"can be made, but '.*file' is a file"):
        files.check_folder(tmp_path / "file" / "in", overwrite=False)
    files.check_folder(tmp_path / "a" / "b", overwrite=False)
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="may not be written to; choose another"):
        files.check_folder(tmp_path / "a" / "b", overwrite=False)
