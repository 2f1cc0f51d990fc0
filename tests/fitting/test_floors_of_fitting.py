"""No rooms of `fitting` lead to each other in a circle, and its doors open lazily.

Every import counts, those inside functions too: they are there so that the command
line starts fast, not to break a circle. A package's own `__init__` imports none of its
rooms, so that one can be entered without all others.
"""

import ast
import graphlib
import importlib
import pathlib
import subprocess
import sys

import pytest

import fitting.optical

from ..test_floors import FITTING, imports_within

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ("", "optical", "commands")
LAZY = {"": fitting, "optical": fitting.optical}


IMPORTS = {m: imports_within(m, "fitting", FITTING) for m in FITTING}


def test_no_modules_of_fitting_import_each_other_in_a_circle():
    order = list(graphlib.TopologicalSorter(IMPORTS).static_order())
    assert set(order) == set(FITTING)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_none_of_its_rooms_by_itself(package):
    assert not IMPORTS[package]


@pytest.mark.parametrize("module", FITTING)
def test_commands_are_known_to_the_command_line_only(module):
    above = {name for name in IMPORTS[module] if name.startswith("commands.")}
    if module.startswith("commands.") or module == "cli":
        above = set()
    if module != "__main__":
        above |= IMPORTS[module] & {"cli", "__main__"}
    assert not above


def rooms_in(package):
    """Names of the modules and packages right inside a package, private ones not."""
    start = f"{package}." if package else ""
    names = {name.removeprefix(start) for name in FITTING if name.startswith(start)}
    return {n for n in names if n and "." not in n and not n.startswith("_")}


@pytest.mark.parametrize("package", LAZY)
def test_every_room_can_be_asked_for(package):
    rooms = rooms_in(package) - {"commands"}
    assert rooms == set(LAZY[package]._NAMESPACES)
    assert rooms <= set(dir(LAZY[package]))


@pytest.mark.parametrize("room", sorted(rooms_in("optical")))
def test_the_optical_side_says_what_each_room_is_for(room):
    lines = [
        line for line in fitting.optical.__doc__.splitlines() if f"`{room}`:" in line
    ]
    assert len(lines) == 1
    assert importlib.import_module(f"fitting.optical.{room}").__doc__.strip()


def test_the_list_of_optical_rooms_is_from_the_ground_up():
    tree = ast.parse(FITTING["optical"].read_text(encoding="utf-8"))
    told = [
        word.split("`")[1]
        for word in ast.get_docstring(tree).splitlines()
        if "`" in word
    ]
    for n, room in enumerate(told):
        above = {f"optical.{other}" for other in told[n:]}
        assert not IMPORTS[f"optical.{room}"] & above, room


def test_a_room_opens_without_jax_and_without_the_rooms_beside_it():
    script = (
        "import sys, fitting\n"
        "assert fitting.optical.shapes.__name__ == 'fitting.optical.shapes'\n"
        "loaded = [m for m in sys.modules if m.startswith('fitting')]\n"
        "assert loaded == ['fitting', 'fitting.optical', 'fitting.optical.shapes']\n"
        "assert 'jax' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
