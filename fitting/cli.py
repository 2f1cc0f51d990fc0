"""The command `diffelec`: parses arguments, runs one sub-command, reports its end.

The only module that exits. To add a sub-command, add a module to `commands` with
`add_parser(subparsers)` and `run(arguments)`, and name it in `_COMMANDS`. Libraries
that take seconds to import are imported inside the run functions only.
"""

import argparse
import contextlib
import functools
import gc
import importlib
import importlib.util
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from . import interruptions, streams

_COMMANDS = (  # loaded when interruptions are listened to
    *("demo", "simulate", "sweep", "film", "traces", "onsets"),
    *("fit", "infer", "compare", "design", "report"),
)
_CACHE_BYTES = 2 * 1024**3
_NEW_OBJECTS = 20_000  # that the garbage collector lets gather; 700 unless told
_BEING_WRITTEN = 60.0  # s within which another process may still be at an entry

_OPTIONS = {  # that are not called as the library's argument
    "num_saved": "saved",
    "num_warmup": "warmup",
    "edge_sd": "edge_h",
    "clock_sd": "clock_sd_s",
    "discrepancy": "discrepancy_h",
}

_TOO_LARGE = (
    "The run needs more memory than there is; ask for fewer particles, shells, "
    "instants or steps."
)

_OF_SIGNALS = 128  # the status of a process that one ends, less its number
SUCCESS, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def parser() -> argparse.ArgumentParser:
    """The argument parser with all sub-commands."""
    top = argparse.ArgumentParser(
        prog="diffelec",
        description="Particle-network model of lithium-ion cathodes.",
        epilog="Exit status: 0 success, 1 the simulation failed or had no memory, "
        "2 bad input, 129 hung up, 130 interrupted, 143 terminated.",
    )
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _COMMANDS:
        command = importlib.import_module(f".commands.{name}", __package__)
        sub = command.add_parser(subparsers)
        sub.set_defaults(run=command.run)
        sub.add_argument(
            "--no-cache",
            action="store_true",
            help="compile anew instead of reading and filling the cache on disk",
        )
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one sub-command and returns the exit status.

    0 on success, 1 where a simulation failed or the memory did not suffice, 2 on bad
    input (one sentence on stderr), 130 when interrupted.
    """
    try:
        return _main(argv)
    except KeyboardInterrupt as stopped:
        return _interrupted(stopped)


def main_and_exit() -> NoReturn:
    """The process: `main` of its words, and its end.

    XLA compiles in threads of its own, which an interruption does not stop. What they
    read is freed with the exception's frames, and with the caches at a usual exit, and
    then they crash the process. So it ends before either, without a usual exit.

    SIGTERM, which batch systems send, is an interruption with a status of its own, and
    so is SIGHUP.
    """
    stops = interruptions.Interruptions()
    stops.listen()
    with contextlib.suppress(AttributeError):  # without a stdout, or of another kind
        # A letter that a terminal does not know is no reason to lose results.
        sys.stdout.reconfigure(errors="replace")
    streams.keep_on()  # nor is a reader who left
    try:
        status = _printed(_main(None))
    except KeyboardInterrupt as stopped:
        status = _interrupted(stopped)
        with contextlib.suppress(OSError):  # a pipe that is closed
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(_OF_SIGNALS + stops.first if stops.first else status)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # too late, and libraries still end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(status)


def _printed(status: int) -> int:
    """The status, of what was printed too."""
    sys.stdout.flush()
    why = streams.lost()
    if why is None or status != SUCCESS:
        return status
    return _end(BAD_INPUT, f"What is printed cannot be written: {why}.")


def _main(argv: Sequence[str] | None) -> int:
    """`main`, but for interruptions."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as ended:
        return int(ended.code or 0)
    try:
        _check_words(sys.argv[1:] if argv is None else argv)
        _expand_home(arguments)
        prepare_environment(os.environ, cache=not arguments.no_cache)
        _check_precision(os.environ)
        _keep_loaded()
        _check_inputs(arguments)
        _run(arguments)
    except OSError as error:
        return _end(BAD_INPUT, _file_sentence(error))
    except ValueError as error:
        return _end(BAD_INPUT, _as_options(str(error), arguments))
    except MemoryError:
        return _end(FAILED, _TOO_LARGE)
    except RuntimeError as error:
        if _is_exhausted(error):
            return _end(FAILED, _TOO_LARGE)
        if not _is_simulation_error(error):
            raise
        return _end(FAILED, _as_options(str(error), arguments))
    return SUCCESS


def _run(arguments) -> None:
    """Runs the command; an interruption behind its results says where they are."""
    try:
        arguments.run(arguments)
    except KeyboardInterrupt as stopped:
        if str(stopped) or not hasattr(arguments, "written"):
            raise
        sentence = f"interrupted; the results are in '{arguments.written}'."
        raise KeyboardInterrupt(sentence) from None


def _check_words(words: Sequence[str]) -> None:
    """Raises ValueError for what no file of results could name."""
    for word in words:
        given = os.fsencode(word)
        told = given.decode("utf-8", "backslashreplace")
        if told != word:
            if told.encode() == given:
                raise ValueError(
                    "Names and arguments must be read as UTF-8, but Python reads them "
                    f"as {sys.getfilesystemencoding()} here; set the environment "
                    "variable PYTHONUTF8=1."
                )
            raise ValueError(
                f"Names and arguments must be text in UTF-8, but '{told}' is not; "
                "rename the file."
            )


def _expand_home(arguments) -> None:
    """Puts the home folder for a leading ~, which no shell does in --out=~/run, and
    which some libraries that open a file do and others do not.
    """

    def expanded(value):
        if isinstance(value, list):
            return [expanded(item) for item in value]
        return Path(os.path.expanduser(value)) if isinstance(value, Path) else value

    for name, value in vars(arguments).items():
        setattr(arguments, name, expanded(value))


def _check_inputs(arguments) -> None:
    """Refuses a folder of results that are read, where they would be replaced."""
    out = getattr(arguments, "out", None)
    if out is None or not getattr(arguments, "overwrite", False):
        return
    from . import folders

    given = [value for name, value in vars(arguments).items() if name != "out"]
    lists = [value if isinstance(value, list) else [value] for value in given]
    paths = [item for items in lists for item in items if isinstance(item, Path)]
    folders.check_spared(out, paths, command=arguments.command)


def prepare_environment(environment, *, cache: bool) -> None:
    """Sets what JAX, Equinox and Matplotlib read at import, where the user has not.

    `EQX_ON_ERROR=nan` replaces run-time checks, of linear solves for one, which call
    back to the host and so keep what holds them out of the cache, by NaN.
    """
    defaults = {
        "JAX_ENABLE_X64": "1",
        "MPLBACKEND": "Agg",
        "EQX_ON_ERROR": "nan",
    }
    if cache:
        if "JAX_COMPILATION_CACHE_DIR" not in environment:
            folder = _cache_folder(environment)
            if folder is not None:
                defaults["JAX_COMPILATION_CACHE_DIR"] = str(folder)
        defaults |= {
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        }
        if importlib.util.find_spec("filelock"):  # JAX needs it to count bytes
            defaults["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(_CACHE_BYTES)
            if "JAX_COMPILATION_CACHE_DIR" in defaults:
                _mend_cache(folder)
    else:
        environment["JAX_ENABLE_COMPILATION_CACHE"] = "0"
    for name, value in defaults.items():
        environment.setdefault(name, value)
    import diffelec  # loads JAX, which reads what is set here later

    diffelec.set_compiler(environment)


def _check_precision(environment) -> None:
    """Raises ValueError where JAX was told to run in single precision."""
    import jax

    if not jax.config.jax_enable_x64:
        given = environment.get("JAX_ENABLE_X64")
        raise ValueError(
            "The environment variable JAX_ENABLE_X64 must be 1 or unset, as "
            f"numbers are float64, but is '{given}'; unset it."
        )


@functools.cache  # once a process
def _keep_loaded() -> None:
    """Keeps the garbage collector from what is loaded by now, which stays: to go
    through it again and again takes a seventh of the time of tracing. From what is new,
    which is mostly kept, too, until there is more of it.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)


def _cache_folder(environment) -> Path | None:
    """The user's own folder for compiled code (mode 0700); None if it cannot be."""
    home = environment.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(home).expanduser() / "diffelec" / "jax"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except (OSError, RuntimeError):  # or a user who has no home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _mend_cache(folder: Path) -> None:
    """Removes entries of which nobody knows when they were used.

    JAX looks at that time of every entry before it writes one, and writes none where
    one lacks it: after a kill in between, or runs that did not count bytes.
    """
    now = time.time()
    for entry in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            known = entry.with_name(f"{entry.name.removesuffix('cache')}atime").exists()
            if not known and now - entry.stat().st_mtime > _BEING_WRITTEN:
                entry.unlink()


def _is_simulation_error(error: BaseException) -> bool:
    """Whether a simulation failed (only then is `diffelec` loaded)."""
    diffelec = sys.modules.get("diffelec")
    return diffelec is not None and isinstance(error, diffelec.SimulationError)


def _is_exhausted(error: BaseException) -> bool:
    """Whether a device had no memory left (only then is JAX loaded)."""
    jax = sys.modules.get("jax")
    own = jax is not None and isinstance(error, jax.errors.JaxRuntimeError)
    return own and "RESOURCE_EXHAUSTED" in str(error)


def _as_options(sentence: str, arguments) -> str:
    """The sentence, naming options of the command in place of arguments."""

    def option(found: re.Match) -> str:
        name = _OPTIONS.get(found[1], found[1])
        known = name in vars(arguments)
        return f"--{name.replace('_', '-')}" if known else found[0]

    return re.sub(r"`(\w+)`", option, sentence)


def _file_sentence(error: OSError) -> str:
    """What is wrong with which file."""
    if error.filename is None:
        try:
            os.getcwd()
        except OSError:
            return (
                "The folder in which the command runs must be there, but is not any "
                "more; change into another one."
            )
        return f"A file cannot be read or written: {error.strerror or error}."
    return f"'{error.filename}' cannot be used: {error.strerror}."


def _interrupted(stopped: KeyboardInterrupt) -> int:
    """Says what an interruption leaves."""
    return _end(INTERRUPTED, str(stopped) or "interrupted; nothing was written.")


def _end(status: int, sentence: str) -> int:
    """Prints one line on stderr."""
    print(f"diffelec: {' '.join(sentence.split())}", file=sys.stderr)
    return status
