"""Results find their place where theirs was filled while they were computed."""

import contextlib
import errno
import os
import shlex
import signal
from pathlib import Path

import pytest

from fitting import cli, files, folders
from fitting.commands import film


def texts_in(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@contextlib.contextmanager
def a_run(out, text, *names, told, overwrite=False):
    """A run that writes files of those names when the block ends."""
    with folders.result_folder(
        out, overwrite=overwrite, elsewhere=told.append
    ) as folder:
        yield
        for name in names:
            (folder / name).write_text(text)
        files.write_json(folder / "study.json", {"files": [*names, "study.json"]})


@pytest.mark.parametrize("there", [False, True])
def test_runs_at_the_same_time_keep_one_another_whole(there, tmp_path):
    out, told = tmp_path / "out", []
    if there:
        out.mkdir()
    with (
        a_run(out, "third", "b.csv", told=told),
        a_run(out, "second", "a.csv", told=told),
        a_run(out, "first", "a.csv", "more.csv", told=told),
    ):
        pass
    assert told == [tmp_path / "out-2", tmp_path / "out-3"]
    first, second, third = map(texts_in, (out, *told))
    assert (first["a.csv"], first["more.csv"]) == ("first", "first")
    assert (second["a.csv"], third["b.csv"]) == ("second", "third")
    assert {path.name for path in out.iterdir()} == {"a.csv", "more.csv", "study.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out-2", "out-3"}


def test_a_run_that_ended_before_the_writing_is_kept(tmp_path):
    out, told = tmp_path / "out", []
    folders.check_folder(out, overwrite=False)
    for text in ("first", "second"):
        with a_run(out, text, "a.csv", told=told):
            pass
    (place,) = told
    assert (texts_in(out)["a.csv"], texts_in(place)["a.csv"]) == ("first", "second")


@pytest.mark.parametrize("there", [False, True])
def test_files_of_other_origin_do_not_turn_results_away(there, tmp_path):
    out, told = tmp_path / "out", []
    if there:
        out.mkdir()
    with a_run(out, "new", "a.csv", told=told):
        out.mkdir(exist_ok=True)
        (out / ".DS_Store").write_text("mine")
    assert told == []
    assert texts_in(out).items() >= {"a.csv": "new", ".DS_Store": "mine"}.items()


def test_a_file_of_other_origin_is_not_replaced(tmp_path):
    out, told = tmp_path / "out", []
    out.mkdir()
    with a_run(out, "new", "a.csv", told=told):
        (out / "a.csv").write_text("mine")
    assert told == [tmp_path / "out-2"]
    assert texts_in(out) == {"a.csv": "mine"}
    assert texts_in(tmp_path / "out-2")["a.csv"] == "new"


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EACCES])
def test_where_nothing_may_be_beside_results_go_inside(code, tmp_path, monkeypatch):
    out, told, replace = tmp_path / "out", [], Path.replace

    def within_the_folder(path, target):
        if not target.is_relative_to(out):
            raise OSError(code, os.strerror(code))
        return replace(path, target)

    out.mkdir()
    monkeypatch.setattr(Path, "replace", within_the_folder)
    for text in ("first", "second", "third"):
        with a_run(out, text, "a.csv", told=told):
            pass
    assert told == [out / "out-2", out / "out-3"]
    texts = [texts_in(place)["a.csv"] for place in (out, *told)]
    assert texts == ["first", "second", "third"]


def test_a_file_in_place_of_the_folder_is_not_replaced(tmp_path):
    out, told = tmp_path / "out", []
    with a_run(out, "new", "a.csv", told=told):
        out.write_text("mine")
    assert out.read_text() == "mine"
    assert texts_in(*told)["a.csv"] == "new"


def test_overwriting_replaces_what_was_written_meanwhile(tmp_path):
    out, told = tmp_path / "out", []
    with (
        a_run(out, "new", "a.csv", told=told, overwrite=True),
        a_run(out, "old", "a.csv", "old.csv", told=told),
    ):
        pass
    assert told == []
    assert texts_in(out)["a.csv"] == "new"
    assert "old.csv" not in texts_in(out)


def test_a_folder_that_has_no_name_here_gives_its_own(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def write():
        with folders.result_folder(".") as folder:
            (folder / "study.json").write_text("new")
            files.write_json(tmp_path / "here" / "study.json", {})

    with pytest.warns(UserWarning, match="The results are in 'here-2'"):
        write()
    assert texts_in(tmp_path / "here" / "here-2") == {"study.json": "new"}


def test_an_interruption_says_where_the_results_are(tmp_path, monkeypatch):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    put, out = folders._put, tmp_path / "out"

    def interrupted(*given, **how):
        os.kill(os.getpid(), signal.SIGINT)
        return put(*given, **how)

    def write():
        with a_run(out, "new", "a.csv", told=[]):
            out.mkdir()
            (out / "a.csv").write_text("mine")

    monkeypatch.setattr(folders, "_put", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt, match=r"results are in '.*out-2'\."):
            write()
    finally:
        signal.signal(signal.SIGINT, before)
    assert texts_in(tmp_path / "out-2")["a.csv"] == "new"


def test_a_command_names_the_folder_that_it_wrote(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    place, plan = tmp_path / "film", film._plan

    def while_others_write(*given):
        place.mkdir()
        files.write_json(place / "study.json", {"title": "of others"})
        return plan(*given)

    monkeypatch.setattr(film, "_plan", while_others_write)
    words = ("film", "--rises", "2", "--frames", "4", "--size", "64", "--out", place)
    assert cli.main(list(map(str, words))) == 0
    told = capsys.readouterr()
    other = tmp_path / "film-2"
    assert f"'{place}' was filled by another meanwhile" in told.err
    assert told.err.endswith(f"truth.json to {other}\n")
    assert f"--out {shlex.quote(str(other / 'traces'))}" in told.out
    assert files.read_json(place / "study.json") == {"title": "of others"}
    assert (other / "film.tif").exists()
