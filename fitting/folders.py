"""Folders of results: complete or absent, and replaced file by file.

A folder's `study.json` lists what is its own; all else in it is somebody's.
"""

import contextlib
import itertools
import os
import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .files import STUDY, read_json
from .interruptions import STOPS

_OF_THE_SYSTEM = {".DS_Store", "Thumbs.db", "desktop.ini"}  # of who looked inside


def check_folder(folder: str | os.PathLike, *, overwrite: bool) -> None:
    """Raises ValueError unless results may go into `folder`."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out must name a folder, but '{folder}' is a file.")
    whole = folder.absolute()
    above = next(p for p in (whole, *whole.parents) if p.exists() or p.is_symlink())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        kind = "is a link to what is not there"
        if above.exists():
            kind = "may not be written to" if above.is_dir() else "is a file"
        raise ValueError(
            f"--out must name a folder that can be made, but '{above}' {kind}; choose "
            "another one."
        )
    inside = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if inside - _OF_THE_SYSTEM and not overwrite:
        raise ValueError(
            f"--out must name a new or empty folder, but '{folder}' holds files; "
            "choose another one or add --overwrite."
        )


def check_spared(
    folder: str | os.PathLike, inputs: Iterable[Path], *, command: str
) -> None:
    """Raises ValueError where `--overwrite` would remove what a command is to read.

    A command that goes on from tables among its own earlier results copies them anew,
    as every command does with `study.json`; not from those in a folder among them.
    """
    folder = Path(folder).resolve()
    study = _study_in(folder)
    own = study.get("format") == f"diffelec {command}"
    listed = {folder / name for name in _listed(study) if name != STUDY}
    folders = {path for path in listed if path.is_dir()}
    within = {folder} if own else {folder, *folder.parents}
    lost = within | folders if own else within | listed
    for path in map(Path.resolve, inputs):
        if study and (path in lost or folders.intersection(path.parents)):
            raise ValueError(
                "--out must name another folder, since --overwrite would remove "
                f"results in '{folder.name}' that are read ('{path.name}')."
            )


def _study_in(folder: Path) -> dict:
    """What the run says whose results are in a folder; nothing where none does."""
    with contextlib.suppress(OSError, ValueError):
        study = read_json(folder / STUDY)
        return study if isinstance(study, dict) else {}
    return {}


def _listed(study: dict) -> list[str]:
    """The names of files that a study calls its own; in its folder, not elsewhere."""
    names = study.get("files")
    names = names if isinstance(names, list) else []
    return [name for name in names if isinstance(name, str) and Path(name).name == name]


def _warn(place: Path) -> None:
    warnings.warn(f"The results are in '{place}'.", stacklevel=4)  # at the block


@contextlib.contextmanager
def result_folder(
    folder: str | os.PathLike,
    *,
    overwrite: bool = False,
    elsewhere: Callable[[Path], None] = _warn,
) -> Iterator[Path]:
    """A temporary folder whose files are put into `folder` when the block succeeds.

    It is inside of a folder that is there, which may be on another file system than the
    one above it, and beside one that is not. With `overwrite`, the files that an
    earlier study lists as its own are removed once all new ones are in place; files of
    other origin stay unless one of the new files has their name.

    Without it, nothing that is there by then is replaced, and yet no work is lost: what
    finds other results there, or files of the same names, goes into a folder of its own
    beside `folder`, or in it where nothing may be beside. `elsewhere` is told which.

    Raises:
        KeyboardInterrupt: when all is in place, for an interruption meanwhile.
    """
    folder = Path(folder)
    placed = folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = folder if folder.is_dir() else folder.parent
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=place))
    try:
        yield partial
        try:
            with uninterrupted():
                placed = _put(partial, folder, overwrite=overwrite)
        except KeyboardInterrupt:
            sentence = f"interrupted; the results are in '{placed}'."
            raise KeyboardInterrupt(sentence) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if placed != folder:
        elsewhere(placed)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Holds interruptions back until the block has ended."""
    came, before = [], {}
    if threading.current_thread() is threading.main_thread():  # which they come to
        before = {number: signal.getsignal(number) for number in STOPS}
    kept = {number: how for number, how in before.items() if how is not None}
    for number in kept:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, how in kept.items():
            signal.signal(number, how)
    for number in came:
        signal.raise_signal(number)


def _put(partial: Path, folder: Path, *, overwrite: bool) -> Path:
    """Puts the files of a temporary folder where they belong; the folder with them."""
    if folder.is_dir() and (overwrite or not _would_replace(partial, folder)):
        _replace_files(partial, folder)
        return folder
    partial.chmod(0o777 & ~_umask())
    try:
        return _rename(
            partial, itertools.chain([folder], _numbered(folder.parent, folder))
        )
    except OSError:  # another file system above, or one that may not be written to
        if not folder.is_dir():
            raise
        return _rename(partial, _numbered(folder, folder))


def _numbered(place: Path, folder: Path) -> Iterator[Path]:
    """Names like that of a folder, in a place: without end."""
    name = os.path.basename(os.path.abspath(folder))  # of `.` and `..` too
    return (place / f"{name}-{number}" for number in itertools.count(2))


def _rename(partial: Path, places: Iterator[Path]) -> Path:
    """Renames a folder to the first of endless places that is free; which that is."""
    while True:
        place = next(places)
        if os.path.lexists(place):
            continue
        try:
            return partial.replace(place)
        except OSError:
            if not os.path.lexists(place):  # else another run was faster
                raise


def _would_replace(source: Path, folder: Path) -> bool:
    """Whether files of `source` would replace others, or be among other results."""
    names = {STUDY, *(path.name for path in source.iterdir())}
    return any(os.path.lexists(folder / name) for name in names)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _replace_files(source: Path, folder: Path) -> None:
    """Puts the files of `source` in place of those of the study in `folder`: the new
    study last, and only then are those of the old one removed.
    """
    old = _listed(_study_in(folder))
    new = sorted(
        [path.name for path in source.iterdir()], key=lambda name: name == STUDY
    )
    for name in new:
        if (source / name).is_dir() and (folder / name).is_dir():
            _replace_files(source / name, folder / name)
        else:
            (source / name).replace(folder / name)
    for name in old:
        if name not in new:
            _remove(folder / name)


def _remove(path: Path) -> None:
    """Removes a file, or a folder of results but for what is somebody's in it."""
    with contextlib.suppress(OSError):
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return
        study = _study_in(path)
        for name in {*_listed(study), STUDY} if study else ():
            _remove(path / name)
        path.rmdir()
