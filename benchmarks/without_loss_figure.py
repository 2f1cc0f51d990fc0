"""The figure of `without_loss`: charges beside each other, and what they depend on."""

import numpy as np

from benchmarks.without_loss_network import HOUR, TOPS
from fitting.style import OKABE_ITO, blank, styled

DASHES = ("-", (0, (5, 1)), (0, (3, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def _charge(axes, solution, half_cycle: int, title: str) -> None:
    """Mean stoichiometry of the top particles over one charge."""
    start, end = (float(t) for t in solution.half_cycle_span(half_cycle))
    time = np.asarray(solution.time)
    inside = (time >= start) & (time <= end)
    inside &= np.asarray(solution.current) > 0
    hours = (time[inside] - start) / HOUR
    values = np.asarray(solution.stoichiometry)[inside, :TOPS]
    for k in range(TOPS):
        axes.plot(
            hours,
            values[:, k],
            color=OKABE_ITO[k],
            ls=DASHES[k],
            label=f"{k} in the way",
        )
    axes.set(xlim=(0, 21.5), ylim=(0.3, 1.02), xticks=(0, 10, 20))
    axes.set_title(title, loc="left")
    axes.set_xlabel("time in charge (h)")


def _resets(axes, found: dict) -> None:
    """Spreads against the stoichiometry that a charge starts from."""
    kinds = (
        ("table", "table of NMC532", OKABE_ITO[0]),
        ("fast", "1e-14 m²/s", OKABE_ITO[5]),
    )
    for name, label, colour in kinds:
        rows = [row for row in found["reset"] if row["diffusivity"] == name]
        start = [row["start"] for row in rows]
        for event, mark, dash in (("onset", "o", "-"), ("midpoint", "s", "--")):
            spread = [row[f"{event}_spread_h"] for row in rows]
            axes.plot(
                *(start, spread),
                **{"color": colour, "marker": mark, "ls": dash, "ms": 3},
                label=f"{event}s, D {label}",
            )
    ends = found["cycles"][0]["end_of_discharge"]
    axes.axvspan(min(ends), max(ends), color="0.85", lw=0)
    axes.annotate(
        "end of\ndischarge 1\n(D table)",
        (0.5 * (min(ends) + max(ends)), 4.1),
        ha="center",
    )
    axes.set(xlim=(0.915, 1.002), ylim=(-0.4, 14))
    axes.set_xlabel("stoichiometry x at the start of charge, all particles")
    axes.set_ylabel("spread over top particles (h)")
    axes.set_title("e  charge from one stoichiometry", loc="left")
    axes.legend(frameon=False, loc="upper left")


def _losses(axes, found: dict) -> None:
    """Spread of onsets in the second charge against the loss of the first cycle."""
    sweeps, relayed = found["sweeps"], found["relays"][1:2]
    series = (
        (
            [found["cycles"][0], *sweeps["hold_table"]],
            "D table, holds at 2.5 V",
            "o",
            0,
        ),
        (relayed + sweeps["hold_relay"], "discharge with fast D, holds", "^", 5),
        (relayed + sweeps["slower_relay"], "discharge with fast D, slower", "s", 2),
    )
    for rows, label, mark, colour in series:
        rows = [row for row in rows if row["outcome"] == "successful"]
        rows = sorted(rows, key=lambda row: row["loss_percent"][0])
        loss = [row["loss_percent"][0] for row in rows]
        spread = [row["charges"][1]["onset_spread_h"] for row in rows]
        axes.plot(
            *(loss, spread),
            **{"color": OKABE_ITO[colour], "marker": mark, "ms": 4, "lw": 0.8},
            label=label,
        )
    first = found["cycles"][0]["charges"][0]["onset_spread_h"]
    axes.axhline(first, color="0.4", lw=0.8, ls=":")
    axes.annotate("first charge", (9.9, first), ha="right", va="bottom", color="0.3")
    axes.set(xlim=(-0.4, 10), ylim=(-0.4, 14))
    axes.set_xlabel("capacity lost in cycle 1 (%)")
    axes.set_ylabel("spread of onsets, charge 2 (h)")
    axes.set_title("f  less loss, more spread", loc="left")
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.0, 0.9))


@styled
def figure(found: dict, shown: dict):
    """Four charges above, those after the first ever fuller at their start; below,
    spreads against start and loss.
    """
    drawn = blank(170, 120)
    above, below = drawn.subfigures(2, 1, height_ratios=(1, 1.15))
    panels = above.subplots(1, 4, sharey=True)
    charges = (
        ("preset", 0, "a  first charge"),
        ("preset", 2, "b  second charge"),
        ("no diffusion loss", 0, "c  … fast D in discharge"),
        ("no loss", 0, "d  … and 100 h at 2.5 V"),
    )
    for axes, (name, half_cycle, title) in zip(panels, charges, strict=True):
        _charge(axes, shown[name], half_cycle, title)
    panels[0].set_ylabel("mean stoichiometry x")
    handles, labels = panels[0].get_legend_handles_labels()
    above.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    left, right = below.subplots(1, 2)
    _resets(left, found)
    _losses(right, found)
    return drawn
