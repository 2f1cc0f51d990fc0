"""Everything between an experiment and a posterior: files, figures, command line.

Uses `diffelec` by its public names only. The namespaces are imported when first
asked for, so that the command line answers `--help` at once.
"""

import importlib

_NAMESPACES = (
    "bath",
    "bench",
    "calibration",
    "candidates",
    "choices",
    "chunks",
    "cli",
    "columns",
    "compare",
    "compare_figures",
    "compare_files",
    "contents",
    "coordinates",
    "crossings",
    "cuts",
    "design",
    "design_figures",
    "design_files",
    "diagnostics",
    "electrodes",
    "ends",
    "estimators",
    "events",
    "evidence",
    "examples",
    "figures",
    "files",
    "fit_figures",
    "fit_files",
    "identity",
    "imaged",
    "independent",
    "inference",
    "jumps",
    "intensities",
    "labels",
    "left_out",
    "mechanisms",
    "meters",
    "mixtures",
    "networks",
    "noise",
    "optical",
    "optimise",
    "optimisers",
    "owners",
    "page",
    "parameters",
    "pareto",
    "parted",
    "plausible",
    "posterior",
    "posterior_figures",
    "posterior_files",
    "priors",
    "problem",
    "progress",
    "quantities",
    "readers",
    "recording",
    "report",
    "results",
    "review",
    "samplers",
    "sampling",
    "scales",
    "scatter",
    "schema",
    "setup",
    "sheets",
    "site_files",
    "site_film",
    "site_maps",
    "slices",
    "style",
    "summary",
    "sweep",
    "sweep_figures",
    "sweep_files",
    "tempering",
    "trajectories",
    "uncertainty",
    "whole",
    "wording",
)


def __getattr__(name: str):
    if name in _NAMESPACES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__():
    return sorted([*globals(), *_NAMESPACES])
