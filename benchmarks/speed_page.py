"""The page of `speed`: tables of what results/*.json hold, machine beside each."""

import json
import pathlib

_HEAD = """# How fast

Made by `python -m benchmarks.speed` from the JSON files in this folder. Times are wall
times of one thread where nothing else is said; compilation is apart. An error stands
beside every time that depends on one. Machines differ from table to table: compare
within a table.

![time against error](work_precision.png)
"""


def page(folder: pathlib.Path) -> str:
    """The page of all results that the folder has."""
    parts = [_HEAD]
    for name, section in _SECTIONS.items():
        path = folder / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            title, *blocks = section(found["figures"])
            parts.append("\n\n".join([f"## {title}", *blocks, _where(found, path)]))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _where(found: dict, path: pathlib.Path) -> str:
    """Machine and versions of a result."""
    machine = found["machine"]
    known = {k: v for k, v in machine["versions"].items() if v is not None}
    versions = ", ".join(f"{name} {version}" for name, version in known.items())
    return (
        f"*{machine['processor']}, {machine['cores']} cores, Python "
        f"{machine['python']}; {versions}; commit {machine['commit']}; "
        f"`{path.name}`.*"
    )


def _table(heads, rows) -> str:
    """A table; numbers are strings already."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}"


def _small(number: float | None) -> str:
    return "" if number is None else f"{number:.1e}"


def _solvers(figures: dict) -> str:
    """Times and errors of solvers, by tolerance."""
    rows = [
        (
            *(row["solver"], f"{row['rtol']:.0e}", _ms(row["median_s"])),
            *(row["steps"], _small(row["error_x"]), _small(row["error_V"])),
        )
        for row in figures["rows"]
    ]
    heads = ("solver", "rtol", "median ms", "steps", "error of x", "error of V (V)")
    return _table(heads, rows)


def _forward(figures: dict):
    """Solvers by tolerance, ratios at equal error, start-up."""
    names = list(dict.fromkeys(key.rsplit(" at ", 1)[0] for key in figures["ratios"]))
    errors = list(dict.fromkeys(key.rsplit(" at ", 1)[1] for key in figures["ratios"]))
    ratios = [
        (name, *(f"{figures['ratios'][f'{name} at {error}']:.2f}" for error in errors))
        for name in names
    ]
    start = figures["start_up"]
    return (
        "One first charge of the paper's network (15 particles, 20 shells)",
        _solvers(figures),
        "Our time over theirs at equal error of x:",
        _table(("", *(f"at {error}" for error in errors)), ratios),
        f"First call in a new process, imports apart: {start['first_solve_cold_s']:.1f}"
        f" s, with a warm cache on disk {start['first_solve_warm_s']:.1f} s; imports "
        f"{start['imports_warm_s']:.1f} s.",
    )


def _integrators(figures: dict):
    """The same equations in other hands."""
    first = [f"{name} {s:.0f} s" for name, s in figures["first_call_s"].items()]
    return (
        "The same equations by general integrators",
        _solvers(figures),
        "IDA (scikit-sundae) is called back for residual and dense Jacobian, compiled "
        "by JAX, and its evaluations are counted, not its steps; Kvaerno5 (diffrax) "
        "has the potentials solved for inside the right-hand side. First calls: "
        f"{', '.join(first)}.",
    )


def _gradient(figures: dict):
    """Derivatives against the value."""
    rows = [
        (
            *(count, name, _ms(row["seconds"])),
            *(f"{row['ratio']:.1f}", f"{row['first_s']:.1f}"),
        )
        for count, names in figures["coefficients"].items()
        for name, row in names.items()
    ]
    heads = ("coefficients", "asked", "median ms", "of the onsets", "first call s")
    return "Derivatives of its five onsets", _table(heads, rows)


def _batch(figures: dict):
    """Lanes a second."""
    rows = [
        (
            name.replace("_", " "),
            *(f"{figures[name]['lanes_a_second'][k]:.3g}" for k in ("loop", "batch")),
            f"{figures[name]['batch_over_loop']:.2f}",
            figures[name]["failed_lanes"],
        )
        for name in ("value", "value_and_gradient")
    ]
    heads = ("asked", "loop, lanes/s", "batch, lanes/s", "ratio", "failed lanes")
    return f"A batch of {figures['lanes']} draws", _table(heads, rows)


def _scaling(figures: dict):
    """Time against particles and shells."""
    blocks = []
    kinds = {
        "particles": "particles",
        "particles_dense": "particles, the network by a dense LU",
        "shells": "shells",
    }
    for kind, name in kinds.items():
        if kind not in figures:
            continue
        found = figures[kind]
        rows = [
            (
                *(row["size"], _ms(row["seconds"])),
                f"{row['accepted_steps']} + {row['rejected_steps']}",
                *(_small(row[k]) for k in ("error_of_steps_h",)),
                _small(row.get("error_of_mesh_h")),
            )
            for row in found["rows"]
        ]
        heads = (name, "ms", "steps + refused", "error of steps (h)", "of the mesh (h)")
        slopes = found["exponent"]
        blocks += [
            _table(heads, rows),
            f"Exponent of time to {name}: {slopes['all']} over all, "
            f"{slopes['upper_half']} over the upper half"
            + (f", {slopes['a_step']} of a step." if "a_step" in slopes else "."),
        ]
    return "Time against size", *blocks


def _large(figures: dict):
    """Thousands of particles."""
    rows = [
        (
            *(row["kind"], row["particles"], row["seconds"], row["peak_memory_GB"]),
            f"{row['accepted_steps']} + {row['rejected_steps']}",
            f"{row['error_of_onsets_s']:.0f}" if "error_of_onsets_s" in row else "",
        )
        for kind in ("copies", "packing")
        for row in figures[kind]["rows"]
    ]
    heads = (
        "network",
        "particles",
        "s",
        "GB",
        "steps + refused",
        "error of onsets (s)",
    )
    gradient = figures["gradient"]
    return (
        f"Thousands of particles, first charge (one solve, rtol {figures['rtol']})",
        _table(heads, rows),
        f"Exponents: copies {figures['copies']['exponent']['all']}, packing "
        f"{figures['packing']['exponent']['all']}. Value and gradient to "
        f"{gradient['parameters']} parameters at {gradient['particles']} particles: "
        f"{gradient['ratio']} times the value.",
    )


def _pybamm(figures: dict):
    """Values and gradients beside PyBaMM."""
    rows, ratios = [], []
    for kind, found in figures["costs"].items():
        if kind not in ("values", "gradients"):
            continue
        for name in ("diffelec", "pybamm"):
            rows += [
                (kind, name, f"{row['rtol']:.0e}", _ms(row["process_s"]),
                 _small(row["error"]))
                for row in found[name]
            ]  # fmt: skip
        equal = found["equal_error"]
        ratios.append(f"{kind} {equal['ratio']:.1f} times at {equal['error']:.1e}")
    heads = ("asked", "by", "rtol", "processor ms", "error")
    return (
        f"Beside PyBaMM/IDAKLU: {figures['particles']} particles, 20 shells, 18 "
        "coefficients",
        _table(heads, rows),
        f"Faster at equal error: {'; '.join(ratios)}.",
    )


def _posteriors(figures: dict):
    """What a posterior costs."""
    rows = [
        (
            *(name, f"{found['chains']} x {found['draws_per_chain']}"),
            *(found["solves"], found["seconds"]),
            *(f"{found['largest_rhat']:.3f}", f"{found['least_bulk_ess']:.0f}"),
            f"{found['least_tail_ess']:.0f}",
        )
        for name, found in figures.items()
    ]
    heads = ("set", "draws", "solves", "s (two threads)", "R-hat", "bulk", "tail ESS")
    return "Posteriors of measured sets", _table(heads, rows)


def _emitters(figures: dict):
    """Code generators of XLA."""
    rows = [
        (name, which, f"{own['first_processor_s']:.1f}", _ms(own["later_s"]))
        for name, found in figures.items()
        for which, own in found.items()
    ]
    heads = ("case", "code generation", "first call, processor s", "later ms")
    title = "Ways to make code for CPUs (emitters of XLA, level and loops of LLVM)"
    return title, _table(heads, rows)


def _gpu_program(figures: dict):
    """What a GPU would run."""
    rows = []
    for name in ("value", "value_and_gradient"):
        found = figures[name]
        steps = found["kernels_a_step_forwards_and_backwards"]
        memory = f"{found['memory_a_lane_MB']:.1f}"
        seconds = f"{found['compilation_processor_s']:.0f}"
        rows.append((name, " + ".join(map(str, steps)), memory, seconds))
    heads = ("asked", "kernels a time step", "MB a lane", "compilation, processor s")
    title = f"Programs for a GPU ({figures['device']}), compiled without one, not run"
    return title, _table(heads, rows)


_SECTIONS = {
    "forward": _forward,
    "integrators": _integrators,
    "gradient": _gradient,
    "pybamm_costs": _pybamm,
    "batch": _batch,
    "batch_gpu": _batch,
    "gpu_program": _gpu_program,
    "scaling": _scaling,
    "large": _large,
    "posteriors": _posteriors,
    "emitters": _emitters,
}
