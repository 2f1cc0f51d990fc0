"""Folders of results are complete or absent, and replace only what is theirs."""

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from fitting import files, folders


def results(out, *names, **more):
    """Results of files of those names, in a folder that may hold earlier ones."""
    with folders.result_folder(out, overwrite=True) as folder:
        for name in names:
            (folder / name).write_text("results")
        files.write_json(
            folder / "study.json", {"files": [*names, "study.json"], **more}
        )


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_infinite_numbers_become_empty_cells(tmp_path):
    files.write_csv(
        tmp_path / "t.csv", ["a_s", "b_s"], [[np.float64(np.inf), 0.1], [1, np.nan]]
    )
    assert (tmp_path / "t.csv").read_text().splitlines() == ["a_s,b_s", ",0.1", "1,"]


def test_nothing_is_left_of_a_failed_writing(tmp_path):
    def write_half():
        with folders.result_folder(tmp_path / "out") as folder:
            (folder / "a.csv").write_text("half")
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_overwriting_spares_files_of_other_origin(tmp_path):
    out = tmp_path / "out"
    with folders.result_folder(out) as folder:
        (folder / "old.png").write_text("old")
        files.write_json(folder / "study.json", {"files": ["old.png", "../safe"]})
    (out / "notes.txt").write_text("mine")
    (tmp_path / "safe").write_text("mine")
    with pytest.raises(ValueError, match=r"holds files; .* --overwrite"):
        folders.check_folder(out, overwrite=False)
    with folders.result_folder(out, overwrite=True) as folder:
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
        with folders.result_folder(out, overwrite=True) as folder:
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
    with folders.result_folder(out) as folder:
        (folder / "traces.csv").write_text("kept")
        (folder / "film").mkdir()
        listed = {"format": "diffelec traces", "files": ["traces.csv", "study.json"]}
        files.write_json(folder / "study.json", listed)
    (out / "mine.csv").write_text("of other origin")
    for read in (table, out, tmp_path):
        with pytest.raises(
            ValueError, match=r"would remove results in .* that are read"
        ):
            folders.check_spared(out, [read], command="onsets")
    spared = [out / "mine.csv", out / "study.json", inside, tmp_path / "traces.csv"]
    folders.check_spared(out, spared, command="onsets")
    folders.check_spared(out, [table, tmp_path], command="traces")
    folders.check_spared(tmp_path / "new", [table, out], command="onsets")


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=r"can be made, but '.*file' is a file"):
        folders.check_folder(tmp_path / "file" / "in", overwrite=False)
    folders.check_folder(tmp_path / "a" / "b", overwrite=False)
    monkeypatch.setattr(folders.os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="may not be written to; choose another"):
        folders.check_folder(tmp_path / "a" / "b", overwrite=False)


def test_a_folder_that_was_only_looked_at_is_empty(tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    folders.check_folder(tmp_path, overwrite=False)
    with folders.result_folder(tmp_path) as folder:
        files.write_json(folder / "study.json", {"files": ["study.json"]})
    assert names_in(tmp_path) == [".DS_Store", "study.json"]
    with pytest.raises(ValueError, match="holds files"):
        folders.check_folder(tmp_path, overwrite=False)


def test_a_link_to_nothing_is_refused_before_any_work(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder in (tmp_path / "link", tmp_path / "link" / "in"):
        with pytest.raises(ValueError, match=r"link' is a link to what is not there;"):
            folders.check_folder(folder, overwrite=True)


def test_a_link_to_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "place")
    results(tmp_path / "link", "a.csv")
    assert names_in(tmp_path / "place") == ["a.csv", "study.json"]
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("before", [(), ("old.png",)])
def test_results_may_be_on_another_file_system(before, tmp_path, monkeypatch):
    place, replace = tmp_path / "disk", Path.replace
    place.mkdir()
    (tmp_path / "link").symlink_to(place)
    if before:
        results(place, *before)

    def within_the_disk(path, target):
        if not path.resolve().is_relative_to(place):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", within_the_disk)
    results(tmp_path / "link", "new.png")
    assert names_in(place) == ["new.png", "study.json"]


def at_the_second(monkeypatch, happens):
    """Lets something happen when the second file is put in its place."""
    replace, moved = Path.replace, []

    def move(path, target):
        moved.append(path)
        if len(moved) == 2:
            happens()
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", move)


def test_old_results_stay_where_new_ones_cannot_be_put(tmp_path, monkeypatch):
    out = tmp_path / "out"
    results(out, "a.csv", "old.png", title="old")

    def fail():
        raise OSError(errno.EIO, "Input/output error")

    at_the_second(monkeypatch, fail)
    with pytest.raises(OSError, match="Input/output"):
        results(out, "a.csv", "b.csv", title="new")
    assert names_in(out) == ["a.csv", "old.png", "study.json"]
    assert files.read_json(out / "study.json")["title"] == "old"


@pytest.fixture
def handler():
    """That of a terminal; what runs in the background may ignore interruptions."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_an_interruption_waits_until_all_is_in_place(tmp_path, monkeypatch, handler):
    out = tmp_path / "out"
    results(out, "a.csv", "old.png")
    at_the_second(monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match=r"the results are in '.*out'\."):
        results(out, "a.csv", "b.csv")
    assert names_in(out) == ["a.csv", "b.csv", "study.json"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_folders_among_old_results_go_with_what_is_theirs(tmp_path):
    out = tmp_path / "out"
    with folders.result_folder(out) as folder:
        for name in ("traces", "onsets"):
            (folder / name).mkdir()
            (folder / name / "t.csv").write_text("old")
            listed = ["t.csv", "study.json"]
            files.write_json(folder / name / "study.json", {"files": listed})
        listed = ["traces", "onsets", "study.json"]
        files.write_json(folder / "study.json", {"files": listed})
    (out / "onsets" / "mine.txt").write_text("kept")
    results(out, "a.csv")
    assert names_in(out) == ["a.csv", "onsets", "study.json"]
    assert names_in(out / "onsets") == ["mine.txt"]


def test_tables_in_a_folder_among_old_results_are_not_read_to_replace_them(tmp_path):
    out = tmp_path / "out"
    table = out / "traces" / "traces.csv"
    with folders.result_folder(out) as folder:
        (folder / "traces").mkdir()
        (folder / "traces" / "traces.csv").write_text("kept")
        listed = {"format": "diffelec fit", "files": ["traces", "study.json"]}
        files.write_json(folder / "study.json", listed)
    for command in ("fit", "infer"):
        for read in (table, table.parent):
            with pytest.raises(ValueError, match="would remove results in 'out'"):
                folders.check_spared(out, [read], command=command)
    folders.check_spared(tmp_path / "new", [table], command="fit")
