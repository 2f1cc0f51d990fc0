"""The plot of `speed`: time against error, this package and its peers."""

import json
import pathlib

from matplotlib.ticker import LogLocator

from fitting.style import OKABE_ITO, blank, save, styled

_LOOKS = {
    "diffelec Rodas4P2": (5, "o", "-"),
    "CasADi/IDAS bspline": (1, "s", "-"),
    "CasADi/IDAS bspline gcc": (1, "s", "--"),
    "CasADi/IDAS table": (3, "^", "-"),
    "CasADi/IDAS table gcc": (3, "^", "--"),
    "IDA": (0, "v", ":"),
    "diffrax Kvaerno5": (4, "P", ":"),
    "diffelec": (5, "o", "-"),
    "pybamm": (2, "D", "-"),
}  # colour, mark, dashes


def write(folder: pathlib.Path, path: pathlib.Path) -> None:
    """Draws what the folder has of forward, integrators and pybamm_costs."""
    found = {}
    for name in ("forward", "integrators", "pybamm_costs"):
        file = folder / f"{name}.json"
        if file.exists():
            found[name] = json.loads(file.read_text(encoding="utf-8"))["figures"]
    if found:
        save(figure(found), path)


@styled
def figure(found: dict):
    """Two panels of the first charge, two beside PyBaMM."""
    drawn = blank(170, 140)
    above, below = drawn.subfigures(2, 1, height_ratios=(1.15, 1))
    if "forward" in found:
        rows = list(found["forward"]["rows"])
        known = {row["solver"] for row in rows}
        others = found.get("integrators", {"rows": []})["rows"]
        rows += [row for row in others if row["solver"] not in known]
        _forward(above.subplots(1, 2), rows)
        _finish(above, ncols=3)
    if "pybamm_costs" in found:
        _pybamm(below.subplots(1, 2), found["pybamm_costs"]["costs"])
        _finish(below, ncols=2)
    return drawn


def _finish(part, ncols: int) -> None:
    """Scales, and one legend for two panels."""
    for axes in part.axes:
        axes.set(xscale="log", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    handles, labels = part.axes[0].get_legend_handles_labels()
    where = {"loc": "outside lower center", "ncols": ncols, "frameon": False}
    part.legend(handles, labels, **where)


def _line(axes, name: str, errors, times) -> None:
    colour, mark, dash = _LOOKS[name]
    axes.plot(
        *(errors, times),
        **{"color": OKABE_ITO[colour], "marker": mark, "ls": dash, "ms": 3.5},
        label=name,
    )


def _forward(axes, rows: list) -> None:
    """Median wall time against the error of x and of the voltage."""
    panels = (
        ("error_x", "largest error of a mean x", "a  first charge, 15 particles"),
        ("error_V", "largest error of the voltage (V)", "b  the same"),
    )
    for one, (key, label, title) in zip(axes, panels, strict=True):
        for name in dict.fromkeys(row["solver"] for row in rows):
            own = [row for row in rows if row["solver"] == name]
            errors = [row[key] for row in own]
            _line(one, name, errors, [1e3 * row["median_s"] for row in own])
        one.set(xlabel=label, ylabel="median time (ms)")
        one.set_title(title, loc="left")


def _pybamm(axes, costs: dict) -> None:
    """Processor time against the error of a voltage and of a gradient."""
    panels = (
        ("values", "largest error of the voltage (V)", "c  a charge, 30 particles"),
        ("gradients", "relative error of the gradient", "d  18 sensitivities"),
    )
    for one, (kind, label, title) in zip(axes, panels, strict=True):
        for name in ("diffelec", "pybamm"):
            own = [row for row in costs[kind][name] if row["error"] is not None]
            errors = [row["error"] for row in own]
            _line(one, name, errors, [1e3 * row["process_s"] for row in own])
        one.set(xlabel=label, ylabel="processor time (ms)")
        one.set_title(title, loc="left")
