"""A folder that a long run can be killed into and resumed from.

    manifest.json            what the run is; a resume must agree with it
    centre.npz               the optimum that coordinates are about
    chain-0/00000.npz, ...   a stretch of one chain's draws and its state behind them
    000000.npz, ...          a part of a sweep

Every file is complete or absent: written under another name, flushed to the disk, then
renamed. A file that is damaged is as good as absent. What an interrupted run has
lost is the stretch under way in each chain.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .samplers import Draw

MANIFEST = "manifest.json"
_PARTIAL = ".part"
_WHOLE = "run"  # what who works alone claims
_STATE = "state "
_TRIES = 9  # to join a run that others may end
# What is raised where they do: of making a folder that was there, that it exists.
_TAKEN_AWAY = (FileNotFoundError, FileExistsError)


@dataclasses.dataclass(frozen=True)
class Store:
    """The folder of one run.

    Attributes:
        folder: where; made by `create`.
    """

    folder: Path

    @staticmethod
    def beside(results: Path) -> "Store":
        """That of a run whose results go to a folder, which may be called `.` too."""
        whole = results
        if whole.name in ("", ".."):
            whole = Path(os.path.abspath(whole))
        return Store(whole.parent / f"{whole.name}.chunks")

    @property
    def begun(self) -> bool:
        """Whether a run was begun here."""
        return (self.folder / MANIFEST).exists()

    def create(self, identity: dict) -> None:
        """Begins a run.

        Raises:
            ValueError: where one was begun before, or the folder holds anything else.
        """
        if self.begun:
            raise ValueError(
                f"'{self.folder}' holds a run that was not finished; add --resume to "
                "go on with it, or remove that folder."
            )
        if self.folder.exists() and any(_others(self.folder)):
            raise ValueError(
                f"'{self.folder}' must be new or empty to hold the draws of a run, but "
                "holds other files; remove it or choose another --out."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(MANIFEST, _manifest(identity))

    def check(self, identity: dict) -> None:
        """Refuses to go on with another run.

        Raises:
            ValueError: naming the first thing that differs; where there is no run.
        """
        try:
            self._agree(identity)
        except FileNotFoundError:
            raise ValueError(
                f"There must be a run in '{self.folder}' to resume, but there is none; "
                "leave --resume out."
            ) from None

    def _agree(self, identity: dict) -> None:
        """`check`, but FileNotFoundError where there is no run."""
        try:
            found = json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError):
            found = None
        if not isinstance(found, dict):
            raise ValueError(
                f"'{self.folder / MANIFEST}' must be the manifest of a run, but is "
                "damaged; remove that folder and begin anew."
            )
        change = change_of(found, identity)
        if change is not None:
            raise ValueError(
                f"The run in '{self.folder}' must be resumed as it was begun, but "
                f"{change}; repeat the first command, or remove that folder to begin "
                "anew."
            )

    def join(self, identity: dict) -> None:
        """Begins a run, or goes on with it beside others that do the same.

        Raises:
            ValueError: where the run here is another one.
        """
        for left in reversed(range(_TRIES)):
            try:
                if not self.begun:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self._write(MANIFEST, _manifest(identity))  # the same of all
                return self._agree(identity)
            except _TAKEN_AWAY:
                if not left:
                    raise

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Held while a process works here alone; a killed process lets go of it.

        Raises:
            ValueError: where another process holds it.
        """
        with self.claim(_WHOLE) as mine:
            if not mine:
                raise ValueError(
                    f"Only one process may work in '{self.folder}', but another one "
                    "does; wait for it to end."
                )
            self._sweep()
            yield

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Whether this process may work on a part, which it holds until the block ends
        or it is killed; never where the run has ended.

        Raises:
            ValueError: on a file system without locks.
        """
        import filelock

        if not self.folder.is_dir():  # which the lock would make anew
            yield False
            return
        held = filelock.FileLock(self.folder / f"{name}.lock")
        try:
            held.acquire(timeout=0)
        except (filelock.Timeout, *_TAKEN_AWAY):
            yield False
            return
        except (OSError, NotImplementedError) as error:
            if getattr(error, "filename", None) is not None:  # which may not be made
                raise
            why = getattr(error, "strerror", None) or "it has none"
            raise ValueError(
                f"'{self.folder}' must be on a file system that locks files, so that "
                f"no two processes do the same, but a lock there failed ({why}); "
                "choose another --out."
            ) from None
        try:
            yield True
        finally:
            held.release()
            if not self.begun:  # at whose end the lock may have made its folder anew
                with contextlib.suppress(OSError):
                    os.unlink(held.lock_file)
                    self.folder.rmdir()

    def remove(self) -> None:
        """Ends the run, unless another process has: first its folder has another name,
        so that nobody joins it any more, then it goes.
        """
        ended = self.folder.with_name(f"{self.folder.name}.{_unique()}{_PARTIAL}")
        with contextlib.suppress(FileNotFoundError):
            self.folder.rename(ended)
        shutil.rmtree(ended, ignore_errors=True)

    def keep(self, name: str, arrays: dict[str, np.ndarray]) -> None:
        """Keeps arrays under a name of their own."""
        self._write(f"{name}.npz", _packed(arrays))

    def kept(self, name: str) -> dict[str, np.ndarray] | None:
        """What was kept under a name; None where it is not there whole."""
        return _unpacked(self.folder / f"{name}.npz")

    def write(self, chain: int, number: int, draws: Draw, state: Any) -> None:
        """One stretch of a chain (draw, ...) and the state behind it."""
        leaves = [_plain(leaf) for leaf in jax.tree.leaves(state)]
        arrays = {name: np.asarray(value) for name, value in draws._asdict().items()}
        arrays |= {f"{_STATE}{k}": leaf for k, leaf in enumerate(leaves)}
        (self.folder / f"chain-{chain}").mkdir(exist_ok=True)
        self._write(_name(chain, number), _packed(arrays))

    def read(
        self, chain: int, number: int, like: Any = None
    ) -> tuple[Draw, Any] | None:
        """A stretch, and the state behind it in the form of `like` (None: without);
        None where it is not there whole.
        """
        arrays = _unpacked(self.folder / _name(chain, number))
        if arrays is None:
            return None
        draws = Draw(*(arrays[name] for name in Draw._fields))
        if like is None:
            return draws, None
        leaves, form = jax.tree.flatten(like)
        again = [
            _wrapped(arrays[f"{_STATE}{k}"], leaf) for k, leaf in enumerate(leaves)
        ]
        return draws, jax.tree.unflatten(form, again)

    def _write(self, name: str, content: bytes) -> None:
        """Writes a file whole or not at all, and waits until the disk has it."""
        path = self.folder / name
        # A name that no other process gives: several may write the same file.
        partial = path.with_name(f"{path.name}.{_unique()}{_PARTIAL}")
        with open(partial, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
        _sync_folder(path.parent)

    def _sweep(self) -> None:
        """Removes what a killed process was writing."""
        for path in self.folder.rglob(f"*{_PARTIAL}"):
            path.unlink(missing_ok=True)


def _unique() -> str:
    return uuid.uuid4().hex[:8]


def _others(folder: Path) -> list[Path]:
    """What is in a folder besides traces of a run killed before its manifest, or of one
    that has ended.
    """
    partial = lambda name: name.startswith(MANIFEST) and name.endswith(_PARTIAL)
    names = (path for path in folder.iterdir() if path.suffix != ".lock")
    return [path for path in names if not partial(path.name)]


def _name(chain: int, number: int) -> str:
    return f"chain-{chain}/{number:05d}.npz"


def _manifest(identity: dict) -> bytes:
    return _text({"format": "diffelec chunks", **identity})


def _text(data: dict) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()


def change_of(found: dict, identity: dict) -> str | None:
    """The first thing that changed since a run was begun, in words; None for none."""
    for name, now in json.loads(_text(identity)).items():
        was = found.get(name)
        if was != now:
            opaque = isinstance(now, str) and len(now) == 16 and " " not in now
            return f"the {name} changed" + ("" if opaque else f" from {was} to {now}")
    return None


def _packed(arrays: dict[str, np.ndarray]) -> bytes:
    """What NumPy reads, and behind it the digest of that."""
    memory = io.BytesIO()
    np.savez(memory, **arrays)
    content = memory.getvalue()
    return content + hashlib.sha256(content).digest()


def _unpacked(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a file; None where it is absent or damaged."""
    try:
        whole = path.read_bytes()
    except FileNotFoundError:
        return None
    size = hashlib.sha256().digest_size
    content, digest = whole[:-size], whole[-size:]
    # Sums inside do not cover all of it, and readers of damage fail in many ways.
    if hashlib.sha256(content).digest() != digest:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def _plain(leaf) -> np.ndarray:
    """A leaf as numbers; keys as the words that they are made of."""
    if jnp.issubdtype(jnp.asarray(leaf).dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _wrapped(array: np.ndarray, like):
    """Numbers as the leaf that they were."""
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(jnp.asarray(array))
    return jnp.asarray(array, like.dtype)


def _sync_folder(folder: Path) -> None:
    """Makes renames in a folder last; not every system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
