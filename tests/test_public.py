"""Everything that diffelec exports says what it is."""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import diffelec

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted(f for p in ("diffelec", "fitting") for f in (ROOT / p).rglob("*.py"))
MODULES = [
    importlib.import_module(found.name)
    for found in pkgutil.walk_packages(diffelec.__path__, "diffelec.")
]
PUBLIC = [
    pytest.param(thing, id=f"{module.__name__}.{name}")
    for module in MODULES
    for name, thing in vars(module).items()
    if (inspect.isclass(thing) or inspect.isroutine(thing))
    and thing.__module__ == module.__name__
    and not name.startswith("_")
]


@pytest.mark.parametrize("module", [diffelec, *MODULES], ids=lambda m: m.__name__)
def test_a_module_says_what_lives_in_it(module):
    assert (module.__doc__ or "").strip()


@pytest.mark.parametrize("thing", PUBLIC)
def test_a_public_name_has_a_docstring_of_its_own(thing):
    text = vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__
    assert (text or "").strip()
    # What dataclasses write by themselves, 'Name(field: type)', says nothing.
    assert not text.startswith(f"{thing.__name__}(")


def test_the_package_exports_what_its_users_call():
    tree = ast.parse(pathlib.Path(diffelec.__file__).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    exported = {alias.asname for node in imports for alias in node.names}
    assert {"Electrode", "Protocol", "Solution", "simulate", "RESULTS"} <= exported
    assert {"curves", "kinetics", "open_circuit", "edges", "graphs"} <= exported


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_sentence_writes_a_plural_in_brackets(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = [text for text in texts if isinstance(text, str)]
    assert not [text for text in texts if re.search(r"\b[a-z]+\((s|es)\)", text)]


def test_a_solve_imports_no_library_that_it_does_not_need():
    lazy = ("diffrax", "optimistix", "matplotlib", "xarray", "scipy.ndimage")
    code = f"import sys, diffelec; print([n for n in {lazy} if n in sys.modules])"
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "[]"
