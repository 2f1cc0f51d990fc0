"""`diffelec demo`: the paper's network over full cycles, then a fit to events."""

import argparse
from functools import partial

from . import fit, from_film, idle, study

_CYCLE = (
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Discharge at C/20 until 2.5 V",
)
_RULES = (idle.Rule(("soc", "overwrite"), ("out",)),)
_QUICK_SHELLS, _QUICK_TOLERANCE = 12, 1e-4
_FIT = [
    "--example",
    "wolfman2023-nmc333",
    "--free",
    "diffusivity-scale",
    "--shells",
    "10",
    "--starts",
    "1",
]


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `demo` and its arguments."""
    parser = subparsers.add_parser(
        "demo",
        help="run the network of Sharma 2022, then fit six measured particles",
        description="Runs the 15-particle network of Sharma 2022 (Fig. 4a): charge at "
        "C/20 to 4.3 V, hold until C/50, discharge at C/20 to 2.5 V. Then fits "
        "contacts and the scale of the diffusivity to events of six particles of "
        "NMC333 (Wolfman 2023); see `diffelec fit`.",
    )
    parser.add_argument(
        "--cycles", metavar="N", type=int, default=2, help="full cycles (default 2)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"coarser: {_QUICK_SHELLS} shells a particle, rtol {_QUICK_TOLERANCE:g}",
    )
    parser.add_argument(
        "--no-fit", action="store_true", help="leave out the fit at the end"
    )
    study.add_output(parser, required=False)
    return parser


def run(arguments) -> None:
    """Solves, prints the table, writes the files."""
    if arguments.cycles < 1:
        raise ValueError(f"--cycles must be 1 or more, but is {arguments.cycles}.")
    study.check_most(arguments, "cycles")
    idle.refuse(arguments, _RULES, partial(study.add_output, required=False))
    import diffelec

    study.check_output(arguments)
    fields = {"num_shells": _QUICK_SHELLS} if arguments.quick else {}
    settings = {
        "rtol": _QUICK_TOLERANCE if arguments.quick else 1e-5,
        "max_steps": 2000,
        "num_saved": study.SAVED,
    }
    electrode = diffelec.presets.sharma2022(**fields)
    protocol = diffelec.Protocol.from_strings(_CYCLE * arguments.cycles)
    solution = study.solve(electrode, protocol, settings)
    print(table(solution))
    also = {} if arguments.no_fit else {"fit": _fit()}
    if arguments.out is not None:
        study.write(arguments, electrode, solution, settings, also)


def _fit():
    """Fits the packaged events; a function that writes the results into a folder."""
    parser = argparse.ArgumentParser()
    fit.add_parser(parser.add_subparsers())
    asked = parser.parse_args(["fit", *_FIT, "--out", "fit"])
    job = fit.prepare(asked)._replace(sources=from_film.sources_of(asked))
    print(f"\n{job.title}\n")
    found, report = fit.solve(job)
    return lambda folder: fit.write(folder, job, found, report)


def table(solution) -> str:
    """The table of section "what to expect" as text: one column per cycle."""
    from ..results import cycle_table

    rows = cycle_table(solution)

    def numbers(values):
        return "  ".join(f"{v:.2f}" for v in values)

    lines = [
        ("constant current, charge (h)", [f"{r.charge_h:.2f}" for r in rows]),
        ("constant voltage (h)", [f"{r.hold_h:.2f}" for r in rows]),
        ("discharge (h)", [f"{r.discharge_h:.2f}" for r in rows]),
        ("onset of top particles (h)", [numbers(r.onsets_h) for r in rows]),
        ("midpoint of top particles (h)", [numbers(r.midpoints_h) for r in rows]),
        ("spread of midpoints (h)", [f"{r.spread_h:.2f}" for r in rows]),
        ("capacity loss (%)", [f"{r.loss_percent:z.2f}" for r in rows]),
        ("voltage at start of charge (V)", [f"{r.voltage_start_V:.3f}" for r in rows]),
        ("voltage after 5 h (V)", [f"{r.voltage_5h_V:.3f}" for r in rows]),
    ]
    heads = [f"cycle {r.cycle}" for r in rows]
    widths = [
        max(len(h), *(len(cells[k]) for _, cells in lines)) for k, h in enumerate(heads)
    ]
    names = max(len(name) for name, _ in lines)
    body = [("", heads), *lines]
    text = [
        name.ljust(names)
        + "".join("  " + c.rjust(w) for c, w in zip(cells, widths, strict=True))
        for name, cells in body
    ]
    notes = (
        "onset, midpoint: a change of 0.066, 0.33 of the mean stoichiometry, from the",
        "start of the charge; top particles: behind 0, 1, 2, … others; capacity loss:",
        "1 - Q(discharge) / (Q(constant current) + Q(constant voltage))",
    )
    return "\n".join([*text, "", *notes])
