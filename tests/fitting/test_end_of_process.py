"""How the process of a command ends: interrupted, terminated, or as usual."""

import importlib
import io
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

import diffelec
from fitting import cli, interruptions
from fitting.commands import demo

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment and signals."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    numbers = interruptions.STOPS
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def test_an_interrupted_process_ends_before_anything_is_freed(capsys, monkeypatch):
    class Held:
        """What a compilation in another thread still reads."""

    class Ended(Exception):
        pass

    freed = []

    def interrupt(*_, **__):
        held = Held()
        weakref.finalize(held, freed.append, "freed")
        raise KeyboardInterrupt

    def end(status):
        assert not freed
        raise Ended(status)

    monkeypatch.setattr(diffelec, "simulate", interrupt)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(sys, "argv", ["diffelec", "demo", "--no-fit"])
    with pytest.raises(Ended, match="130"):
        cli.main_and_exit()
    assert capsys.readouterr().err == "diffelec: interrupted; nothing was written.\n"


def test_a_process_that_is_not_interrupted_exits_as_usual(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["diffelec", "demo", "--seed", "1"])
    with pytest.raises(SystemExit, match="2"):
        cli.main_and_exit()
    assert "unrecognized arguments: --seed" in capsys.readouterr().err
    # What libraries still do at the end is not to be interrupted.
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_letters_that_the_output_does_not_know_end_nothing(monkeypatch):
    known = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(demo, "run", lambda _: print("0, 1, … ± 2 µm"))
    monkeypatch.setattr(sys, "stdout", known)
    monkeypatch.setattr(sys, "argv", ["diffelec", "demo", "--no-fit"])
    with pytest.raises(SystemExit) as ended:
        cli.main_and_exit()
    assert ended.value.code == 0
    known.seek(0)
    assert known.read() == "0, 1, ? ± 2 µm\n"


PROGRAM = """
import contextlib, gc, os, signal, sys, tempfile, time, weakref
import diffelec
from fitting import cli

stop, how = int(sys.argv[1]), sys.argv[2]
default = signal.default_int_handler if stop == signal.SIGINT else signal.SIG_DFL
signal.signal(stop, default)  # tests themselves may run where it is ignored (nohup)

class Held:
    def __del__(self):
        os.kill(os.getpid(), stop)
        time.sleep(0.1)

def wait(*_, **__):
    with tempfile.TemporaryDirectory(), contextlib.ExitStack() as stack:
        if how == "impatient":
            stack.callback(os.kill, os.getpid(), stop)
        if how == "unheard":
            Held()
        elif how == "loading":
            import loading
        else:
            os.kill(os.getpid(), stop)
        time.sleep(600)  # which an interruption ends

diffelec.simulate = wait
sys.argv = ["diffelec", "demo", "--no-fit"]
cli.main_and_exit()
"""


# What C code does that gets an exception while it begins.
LOADING = """
import os, sys, time
try:
    os.kill(os.getpid(), int(sys.modules["__main__"].stop))
    time.sleep(0.1)
except BaseException:
    os.abort()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of another kind")
@pytest.mark.parametrize("how", ["once", "impatient", "unheard", "loading"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_process_that_is_told_to_stop_leaves_nothing_behind(name, how, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "loading.py").write_text(LOADING, encoding="utf-8")
    known = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    own = known | {"TMPDIR": str(inside), "JAX_ENABLE_X64": "1"}
    number = getattr(signal, name)
    run = [sys.executable, "-c", PROGRAM, str(int(number)), how]
    told = {"capture_output": True, "text": True, "timeout": 300}
    ended = subprocess.run(run, env=os.environ | own, check=False, **told)
    assert ended.returncode == 128 + number
    assert ended.stderr == "diffelec: interrupted; nothing was written.\n"
    assert list(inside.iterdir()) == []


LOADED = """
import sys
from fitting.interruptions import _loads

within = _loads(sys._getframe())
inside = {"__name__": "fitting.cli", "sys": sys, "_loads": _loads}
exec("found = _loads(sys._getframe())", inside)
"""


def test_what_runs_a_command_while_it_is_loaded_can_be_interrupted(
    tmp_path, monkeypatch
):
    (tmp_path / "loaded_here.py").write_text(LOADED, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    loaded = importlib.import_module("loaded_here")
    assert (loaded.within, loaded.inside["found"]) == (True, False)


def test_commands_are_loaded_when_interruptions_are_heard():
    told = "import sys; from fitting import cli; print(*sys.modules)"
    run = {"env": os.environ | {"PYTHONPATH": str(ROOT)}, "check": True, "text": True}
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, **run)
    modules = loaded.stdout.split()
    assert "fitting.interruptions" in modules
    assert not [name for name in modules if name.startswith("fitting.commands.")]


PRINTING = """
import sys
from fitting import cli
from fitting.commands import demo

def told(arguments):
    print("a table")
    sys.stdout.flush()
    print("a remark", file=sys.stderr, flush=True)
    arguments.out.mkdir()

demo.run = told
sys.argv = ["diffelec", "demo", "--out", sys.argv[1]]
cli.main_and_exit()
"""


@pytest.mark.skipif(os.name != "posix", reason="says where it prints as a shell does")
@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        ("| true", 0, "a remark\n"),
        ("2>&1 | true", 0, ""),
        (">&-", 0, "a remark\n"),
        ("2>&-", 0, ""),
        ("2>&- | true", 0, ""),
        (
            ">/dev/full",
            2,
            "a remark\ndiffelec: What is printed cannot be written: No space left on "
            "device.\n",
        ),
    ],
)
def test_no_results_are_lost_where_nobody_reads_what_is_printed(
    tmp_path, where, status, said
):
    if "full" in where and not Path("/dev/full").exists():
        pytest.skip("a system without a full device")
    out = tmp_path / "out"
    shell = f'("$0" -c "$1" "$2" {where}; echo $? >"$3")'
    if "|" in where:  # a process takes seconds to begin, by when the reader has left
        shell = f'("$0" -c "$1" "$2"; echo $? >"$3") {where}'
    words = [sys.executable, PRINTING, str(out), str(tmp_path / "status")]
    own = {"PYTHONPATH": str(ROOT), "JAX_ENABLE_X64": "1"}
    ended = subprocess.run(
        ["bash", "-c", shell, *words],
        env=os.environ | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.is_dir()
    assert (tmp_path / "status").read_text() == f"{status}\n"
    assert ended.stderr == said
