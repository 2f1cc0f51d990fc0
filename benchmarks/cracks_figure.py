"""The figure of `cracks`: delay against the bridge, and the fitted charges."""

import numpy as np

from benchmarks.cracks_network import HOUR, by_fragment
from fitting.style import OKABE_ITO, blank, styled

RULES = {"mean": ("κ at the mean x", 0, "o"), "surface": ("κ at the surface x", 5, "s")}


def _against_bridge(axes, found: dict, values, label: str) -> None:
    """A quantity of the swept bridges for both rules, carbon coated or poorly wired."""
    kinds = (("swept", "-", "coated"), ("swept_poor_carbon", "--", "poor carbon"))
    for rule, (name, colour, mark) in RULES.items():
        for kind, dash, carbon in kinds:
            rows = found[rule][kind]
            axes.plot(
                [row["bridge_radius_um"] for row in rows],
                [np.nan if values(row) is None else values(row) for row in rows],
                **{"color": OKABE_ITO[colour], "ls": dash, "marker": mark, "ms": 2.5},
                label=f"{name}, {carbon}",
            )
    axes.set(xscale="log", xlabel="radius of the bridge a (µm)", ylabel=label)


def _charge(axes, found: dict, solution, body, title: str) -> None:
    """Sites (thin) and fragments (thick) over the charge with the fitted radii."""
    hours = np.asarray(solution.time) / HOUR
    sites = np.asarray(solution.site_stoichiometry)[:, -body.num_sites :]
    pieces = np.asarray(by_fragment(solution, body).stoichiometry)
    names = ("larger, on carbon", "smaller, on the bridge")
    for k, (name, colour, dash) in enumerate(
        zip(names, (0, 1), ("-", "--"), strict=True)
    ):
        own = {"color": OKABE_ITO[colour]}
        axes.plot(hours, sites[:, body.fragment == k], lw=0.4, alpha=0.6, **own)
        axes.plot(hours, pieces[:, k], ls=dash, label=name, **own)
    axes.plot(hours, pieces[:, 2], color="0.55", ls=":", label="other particles, mean")
    for event, y in zip(found["onset_h"], (0.95, 0.95), strict=True):
        axes.axvline(event, color="0.7", lw=0.6, zorder=0)
        axes.annotate(f"{event:.1f} h", (event, y), rotation=90, va="top", ha="right")
    axes.set(xlim=(0, 21), ylim=(0.3, 1.02), xlabel="time in charge (h)")
    axes.set_title(title, loc="left")


@styled
def figure(found: dict, shown: dict, body):
    """Above: delay and transit against the bridge; below: charges with both onsets."""
    drawn = blank(170, 140)
    above, below = drawn.subfigures(2, 1, height_ratios=(1.15, 1))
    (delay, transit), charges = above.subplots(1, 2), below.subplots(1, 2)
    _against_bridge(delay, found, lambda row: row["delay_h"], "delay of onset (h)")
    target = 3.2
    delay.axhline(target, color="0.4", lw=0.8, ls=":")
    delay.annotate("Sharma 2022: 3.2 h", (2.5, target), ha="right", va="bottom")
    delay.set(yscale="log")
    delay.set_title("a  smaller fragment after the larger", loc="left")
    handles, labels = delay.get_legend_handles_labels()
    above.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    _against_bridge(
        *(transit, found),
        lambda row: row["transit_min"][1],
        "first to last site (min)",
    )
    for minutes in (2, 14):
        transit.axhline(minutes, color="0.4", lw=0.8, ls=":")
    transit.annotate("Sharma 2022: 2 and 14 min", (0.01, 14), va="bottom")
    transit.set(yscale="log")
    transit.set_title("b  transit in the smaller fragment", loc="left")
    for axes, rule, letter in zip(charges, RULES, "cd", strict=True):
        title = f"{letter}  {RULES[rule][0]}"
        _charge(axes, found[rule]["onsets"], shown[rule]["onsets"], body, title)
    charges[0].set_ylabel("stoichiometry x")
    charges[0].legend(frameon=False, loc="lower left")
    return drawn
