"""What the command line sets up before JAX starts."""

import os
import pathlib
import stat

import pytest

from fitting import cli
from fitting.cli import prepare_environment


def test_environment_keeps_what_the_user_set(tmp_path):
    own = {"XDG_CACHE_HOME": str(tmp_path), "JAX_ENABLE_X64": "0"}
    prepare_environment(own, cache=True)
    folder = tmp_path / "diffelec" / "jax"
    assert own["JAX_COMPILATION_CACHE_DIR"] == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert own["JAX_ENABLE_X64"] == "0"
    assert own["MPLBACKEND"] == "Agg"
    kept = {"JAX_COMPILATION_CACHE_DIR": "/elsewhere"}
    prepare_environment(kept, cache=True)
    assert kept["JAX_COMPILATION_CACHE_DIR"] == "/elsewhere"


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    def nowhere(_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(pathlib.Path, "expanduser", nowhere)
    own = {}
    prepare_environment(own, cache=True)
    assert "JAX_COMPILATION_CACHE_DIR" not in own


def test_entries_of_the_cache_that_stop_it_are_removed(tmp_path):
    pytest.importorskip("filelock")
    folder = tmp_path / "diffelec" / "jax"
    folder.mkdir(parents=True)
    names = ("whole-cache", "whole-atime", "half-cache", "fresh-cache")
    for name in names:
        (folder / name).touch()
    for name in names[:3]:
        os.utime(folder / name, (1e9, 1e9))
    prepare_environment({"XDG_CACHE_HOME": str(tmp_path)}, cache=True)
    left = {path.name for path in folder.iterdir()}
    assert left == {"whole-cache", "whole-atime", "fresh-cache"}


def test_no_cache_touches_no_folder(tmp_path):
    own = {"XDG_CACHE_HOME": str(tmp_path)}
    prepare_environment(own, cache=False)
    assert "JAX_COMPILATION_CACHE_DIR" not in own
    assert own["JAX_ENABLE_COMPILATION_CACHE"] == "0"
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_are_not_read_as_utf8_say_what_to_set(capsys, monkeypatch):
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    monkeypatch.setattr(os, "fsencode", lambda word: word.encode("latin-1"))
    read = "ü".encode().decode("latin-1")
    assert cli.main(["report", "--out", "page", read]) == 2
    sentence = capsys.readouterr().err
    assert "must be read as UTF-8" in sentence
    assert "PYTHONUTF8=1" in sentence


@pytest.mark.skipif(os.name != "posix", reason="folders that are used stay there")
def test_a_folder_that_is_gone_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    status = cli.main(["simulate", "--out", "run"])
    monkeypatch.chdir(tmp_path)
    assert status == 2
    told = "The folder in which the command runs must be there"
    assert told in capsys.readouterr().err
