"""The house has floors: a module imports from floors below its own only."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

# From the ground up. A module of the solver has its own floors.
FLOORS = (
    {
        "_typing",
        "compiler",
        "constants",
        "linear",
        "results",
        "solver.parts",
        "solver.quiet",
        "solver.tableaus",
        "once",
        "spheres",
    },
    {"checks", "small_calls"},
    {"sums", "solver.thomas"},
    {"bodies", "curves", "kinetics", "edges", "control", "columns", "topology"}
    | {"solver.serial"},
    {"asked", "network_checks"},
    {
        "batches",
        "open_circuit",
        "kirchhoff",
        "network",
        "steps",
        "solver.exchange",
        "solver.pattern",
    },
    {"protocol", "solver.blocks", "solver.by_rows"},
    {"solver.bordered", "solver.elimination"},
    {"graphs", "electrode", "electrolyte", "resolve"},
    {"materials", "tables"}
    | {"solver.rosenbrock", "solver.consistent", "solver.standing"},
    {"presets", "solver.system"},
    {"solver.accepted"},
    {"solver.cutoff", "solver.settled", "solver.pull"},
    {"solver.again", "solver.push"},
    {"solver.adjoint", "solver.onward"},
    {"solver.tangent"},
    {"solver.march"},
    {"solver.integrate"},
    {"solver"},
    {"arguments", "records", "solution", "stretches"},
    {"simulate", "fronts"},
    {""},
)


def modules_of(package):
    """{dotted name inside the package: path}, '' for its own __init__."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


DIFFELEC = modules_of("diffelec")
FITTING = modules_of("fitting")


def imported_names(package, module, path):
    """Absolute dotted names of all imports of a module, local ones included."""
    own = [package, *([] if not module else module.split("."))]
    if path.name != "__init__.py":
        own = own[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = own[: len(own) + 1 - node.level] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imports_within(module, package="diffelec", modules=DIFFELEC):
    """Modules of a package that one of its modules imports, anywhere in it."""
    found = set()
    for name in imported_names(package, module, modules[module]):
        head, _, rest = name.partition(".")
        if head != package:
            continue
        while rest and rest not in modules:
            rest = rest.rpartition(".")[0]
        found.add(rest)
    return found


def floor_of(module):
    return next(n for n, floor in enumerate(FLOORS) if module in floor)


def test_every_module_stands_on_one_floor():
    placed = [module for floor in FLOORS for module in floor]
    assert sorted(placed) == sorted(DIFFELEC)


@pytest.mark.parametrize("module", [m for m in DIFFELEC if m])
def test_a_module_imports_only_from_floors_below_its_own(module):
    above = {m for m in imports_within(module) if floor_of(m) >= floor_of(module)}
    assert not above


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imports_within(module) for module in DIFFELEC}
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert order[-1] == ""


@pytest.mark.parametrize("module", DIFFELEC)
def test_the_model_has_never_heard_of_fitting(module):
    names = imported_names("diffelec", module, DIFFELEC[module])
    assert "fitting" not in {name.partition(".")[0] for name in names}


def public_names():
    """What diffelec/__init__ exports."""
    tree = ast.parse(DIFFELEC[""].read_text(encoding="utf-8"))
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def uses_of_diffelec(module, path):
    """Dotted names under diffelec that a module of fitting imports or spells out."""
    for name in imported_names("fitting", module, path):
        if name.startswith("diffelec."):
            yield name.removeprefix("diffelec.")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            spelt = ast.unparse(node)
            if spelt.startswith("diffelec."):
                yield spelt.removeprefix("diffelec.")


@pytest.mark.skipif(not FITTING, reason="there is no package `fitting` to check")
@pytest.mark.parametrize("module", FITTING)
def test_fitting_uses_diffelec_by_its_public_names_only(module):
    public = public_names()
    private = {
        name
        for name in uses_of_diffelec(module, FITTING[module])
        if name.partition(".")[0] not in public
        or any(part.startswith("_") for part in name.split(".") if part != "__name__")
    }
    assert not private


def test_importing_diffelec_changes_no_setting_and_makes_no_array():
    script = (
        "import jax, diffrax, interpax, optimistix\n"
        "before = dict(jax.config.values)\n"
        "import diffelec\n"
        "assert dict(jax.config.values) == before, 'a setting changed'\n"
        "assert jax.config.jax_enable_x64 is False, 'x64 is on'\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized(), 'a backend was started'\n"
        "assert not jax.live_arrays(), 'an array was made'\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
