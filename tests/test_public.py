"""Everything that diffelec exports says what it is."""

import importlib
import inspect
import pkgutil

import pytest

import diffelec

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


def test_what_the_package_exports_is_defined_in_it():
    exported = {name for name in vars(diffelec) if not name.startswith("_")}
    assert {"Electrode", "Protocol", "Solution", "simulate", "RESULTS"} <= exported
    assert {"curves", "kinetics", "open_circuit", "edges", "graphs"} <= exported
