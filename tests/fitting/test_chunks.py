"""Runs that are killed, resumed, refused."""

import dataclasses
import errno
import json
import os
import pathlib
import subprocess
import sys

import filelock
import jax
import numpy as np
import pytest

from fitting import chunks, identity, parameters, samplers

from . import killed
from .linear import linear_problem

ROOT = pathlib.Path(__file__).parents[2]
IDENTITY = {"data": "0123456789abcdef", "seed": 0, "sampler": "NUTS()"}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return killed.draws_in(tmp_path_factory.mktemp("whole") / "chunks")


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("nuts", (1, 4, 7)), ("slice", (1, 2, 5)), ("tempered", (3, 20, 12))],
)
def test_killed_in_writes_and_resumed_the_draws_are_the_same_bits(
    name, numbers, tmp_path
):
    uninterrupted = killed.draws_in(tmp_path / "whole", name)
    environment = dict(os.environ)
    environment |= {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }
    folder, ends = tmp_path / "chunks", []
    for number in numbers:
        command = [sys.executable, "-m", "tests.fitting.killed", str(folder)]
        command += [name, str(number)]
        ended = subprocess.run(command, env=environment, check=False, cwd=ROOT)
        ends.append(ended.returncode)
        assert list(folder.rglob("*.part"))
    assert ends == [-9, -9, -9]
    assert_same(killed.draws_in(folder, name), uninterrupted)
    assert not list(folder.rglob("*.part"))


class Stopped(Exception):
    pass


def test_stopped_between_draws_and_resumed_the_draws_are_the_same_bits(
    uninterrupted, tmp_path
):
    def stop_at(count):
        def stop(progress):
            if progress.num_new == count:
                raise Stopped

        return stop

    told = []
    with pytest.raises(Stopped):
        killed.draws_in(tmp_path / "chunks", callback=stop_at(30))
    assert_same(
        killed.draws_in(tmp_path / "chunks", callback=told.append), uninterrupted
    )
    # The other thread may have ended a stretch meanwhile, but no more than that.
    assert 0 < told[0].num_done - 1 <= 40
    assert told[-1].num_done == told[-1].num_total == 86


def test_a_damaged_stretch_is_drawn_again(uninterrupted, tmp_path):
    first = killed.draws_in(tmp_path / "chunks")
    assert_same(first, uninterrupted)
    path = tmp_path / "chunks" / "chain-1" / "00004.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    told = []
    assert_same(
        killed.draws_in(tmp_path / "chunks", callback=told.append), uninterrupted
    )
    assert told[-1].num_new == 43 - 4 * 6
    told.clear()
    killed.draws_in(tmp_path / "chunks", callback=told.append)
    assert told == []


def test_a_damaged_file_is_as_good_as_absent_wherever_the_damage_is(tmp_path):
    store = chunks.Store(tmp_path)
    arrays = {"x": np.arange(7.0), "outcome": np.array([1, 2], np.int32)}
    store.keep("000000", arrays)
    path = tmp_path / "000000.npz"
    whole = path.read_bytes()
    assert_same(store.kept("000000"), arrays)
    with np.load(path) as found:
        assert_same(dict(found), arrays)
    bits = np.random.default_rng(0).integers(8, size=len(whole))
    for at, bit in enumerate(bits):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(bit)
        for content in (bytes(flipped), whole[:at]):
            path.write_bytes(content)
            assert store.kept("000000") is None


def test_a_file_of_the_run_is_never_seen_half_written(tmp_path, monkeypatch):
    store = chunks.Store(tmp_path / "chunks")
    store.create(IDENTITY)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError))
    with pytest.raises(OSError):  # noqa: PT011
        store.keep("centre", {"raw": np.zeros(3)})
    assert store.kept("centre") is None
    with store.lock():
        assert not list(store.folder.rglob("*.part"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "the seed changed from 0 to 1;"),
        ({"data": "f123456789abcdef"}, "the data changed;"),
        (
            {"sampler": "Laplace()"},
            r"the sampler changed from NUTS\(\) to Laplace\(\);",
        ),
    ],
)
def test_another_run_is_not_resumed(change, words, tmp_path):
    store = chunks.Store(tmp_path / "chunks")
    store.create(IDENTITY)
    store.check(IDENTITY)
    with pytest.raises(ValueError, match=words):
        store.check(IDENTITY | change)


def test_a_run_is_neither_begun_twice_nor_resumed_from_nothing(tmp_path):
    store = chunks.Store(tmp_path / "chunks")
    with pytest.raises(ValueError, match="There must be a run in"):
        store.check(IDENTITY)
    store.create(IDENTITY)
    with pytest.raises(ValueError, match="add --resume to go on with it"):
        store.create(IDENTITY)
    (store.folder / chunks.MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="but is damaged"):
        store.check(IDENTITY)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    with pytest.raises(ValueError, match="holds other files"):
        chunks.Store(tmp_path / "mine").create(IDENTITY)


def test_nothing_of_a_run_that_ended_is_claimed_or_made_anew(tmp_path):
    store = chunks.Store(tmp_path / "gone")
    with store.claim("results") as mine:
        assert not mine
    assert list(tmp_path.iterdir()) == []


def test_a_run_ends_once_whoever_ends_it(tmp_path):
    store = chunks.Store(tmp_path / "chunks")
    store.join(IDENTITY)
    store.remove()
    store.remove()
    assert list(tmp_path.iterdir()) == []


def test_who_joins_while_a_run_ends_begins_it_anew(tmp_path, monkeypatch):
    store, write = chunks.Store(tmp_path / "chunks"), chunks.Store._write

    def ends_once(store, *given):
        monkeypatch.setattr(chunks.Store, "_write", write)
        store.remove()
        write(store, *given)

    monkeypatch.setattr(chunks.Store, "_write", ends_once)
    store.join(IDENTITY)
    store.check(IDENTITY)


def test_nothing_is_claimed_of_a_run_that_ends_meanwhile(tmp_path, monkeypatch):
    store = chunks.Store(tmp_path / "chunks")
    store.join(IDENTITY)

    def gone(lock, **_):
        raise FileNotFoundError(errno.ENOENT, "No such file", lock.lock_file)

    with monkeypatch.context() as patch:
        patch.setattr(filelock.FileLock, "acquire", gone)
        with store.claim("results") as mine:
            assert not mine
    monkeypatch.setattr(pathlib.Path, "is_dir", lambda _: store.remove() or True)
    with store.claim("results"):  # for which the lock makes the folder anew
        assert store.folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def missing(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", missing)
    store = chunks.Store(tmp_path)
    with (
        pytest.raises(ValueError, match=r"that locks files, .* \(No locks available\)"),
        store.claim("results"),
    ):
        pass


def test_two_processes_do_not_work_in_one_folder(tmp_path):
    store = chunks.Store(tmp_path / "chunks")
    store.create(IDENTITY)
    with (
        store.lock(),
        pytest.raises(ValueError, match="another one does"),
        chunks.Store(store.folder).lock(),
    ):
        pass


def changed(problem, **fields):
    return dataclasses.replace(problem, **fields)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("data and noise", lambda p: {"noise": changed(p.noise, discrepancy=1.0)}),
        (
            "data and noise",
            lambda p: {"noise": changed(p.noise, time=p.noise.time + 1e-9)},
        ),
        ("electrode", lambda p: {"electrode": changed(p.electrode, values=np.ones(3))}),
        (
            "model of the data",
            lambda p: {"forward": changed(p.forward, fails_beyond=np.array(9.0))},
        ),
        (
            "free quantities and priors",
            lambda p: {"space": changed(p.space, clock=parameters.clock(9.0))},
        ),
    ],
)
def test_an_identity_tells_what_was_changed(name, change):
    problem, sampler = linear_problem(), samplers.NUTS(20)
    before = identity.identity_of(problem, sampler, 0, 10)
    assert before == identity.identity_of(linear_problem(), sampler, 0, 10)
    after = identity.identity_of(changed(problem, **change(problem)), sampler, 0, 10)
    assert [key for key in before if before[key] != after[key]] == [name]


def test_an_identity_follows_settings_and_survives_the_manifest(tmp_path):
    problem = linear_problem()
    before = identity.identity_of(problem, samplers.NUTS(20), 0, 10)
    assert before["version of jax"] == jax.__version__
    for other in (
        identity.identity_of(problem, samplers.NUTS(21), 0, 10),
        identity.identity_of(problem, samplers.NUTS(20), 1, 10),
        identity.identity_of(problem, samplers.NUTS(20), 0, 11),
    ):
        assert sum(before[key] != other[key] for key in before) == 1
    store = chunks.Store(tmp_path / "chunks")
    store.create(before)
    store.check(before)
    assert json.loads((store.folder / chunks.MANIFEST).read_text())["seed"] == 0


def test_an_identity_is_the_same_in_every_process():
    program = (
        "from fitting import examples, identity, samplers, setup;"
        "example = examples.load('wolfman2023-nmc333');"
        "free = ('conductivity', 'exchange-current', 'clock', 'radius');"
        "chosen = setup.Choices(free=free);"
        "made = setup.by_voltage(example.events, example.recording, chosen);"
        "print(identity.identity_of(made.problem, samplers.NUTS(20), 0, 10))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
