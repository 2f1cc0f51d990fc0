"""The figure of `refinement`: what more sites change, by rule and cut."""

from fitting.style import OKABE_ITO, blank, styled

MARKS = ("o", "s", "^")
DASHES = {"slices": "-", "patches": "--"}


def _events(axes, found: dict, contact: str, rule: str, event: str) -> None:
    """An event of the top particles against the number of sites."""
    for cut, dash in DASHES.items():
        rows = found["families"][f"{contact}, {rule}, {cut}"]["counts"]
        counts = [int(count) for count in rows]
        for k, mark in enumerate(MARKS):
            axes.plot(
                counts,
                [row[event][k] for row in rows.values()],
                **{"color": OKABE_ITO[k], "ls": dash, "marker": mark, "ms": 3},
                label=f"{k} in the way, {cut}",
            )
    _counts(axes)


def _counts(axes) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 4, 8, 16, 32], ["1", "4", "8", "16", "32"])
    axes.set_xlabel("sites a particle")


def _voltages(axes, found: dict) -> None:
    """Voltage against that of the most sites."""
    colours = {"a = 0.5 um, mean": 0, "a = 0.5 um, surface": 5, "a = 1.5 um": 2}
    for name, family in found["families"].items():
        colour = next(c for start, c in colours.items() if name.startswith(start))
        cut = name.rsplit(", ", 1)[1]
        rows = {c: row for c, row in family["counts"].items() if int(c) < 32}
        axes.plot(
            [int(c) for c in rows],
            [row["voltage_rms_mV"] for row in rows.values()],
            **{"color": OKABE_ITO[colour], "ls": DASHES[cut], "marker": "o", "ms": 3},
            label=name.replace("um", "µm").replace("kappa", "κ"),
        )
    _counts(axes)
    axes.set(yscale="log", ylabel="voltage against 32 sites (mV rms)")


def _resistances(axes, found: dict) -> None:
    """Error of the resistance between two contacts."""
    found = found["resistance"]
    kinds = (
        ("slices_poles_percent", "slices, poles", 0, "-"),
        ("patches_opposite_percent", "patches, opposite", 1, "--"),
        ("patches_right_angle_percent", "patches, right angle", 2, ":"),
    )
    for name, label, colour, dash in kinds:
        axes.plot(
            found["counts"],
            [abs(value) for value in found[name]],
            **{"color": OKABE_ITO[colour], "ls": dash, "marker": "o", "ms": 3},
            label=label,
        )
    _counts(axes)
    axes.set(yscale="log", ylabel="error of the resistance (%)", ylim=(0.1, 100))
    axes.legend(frameon=False, loc="upper left")


@styled
def figure(found: dict):
    """Onsets with either rule and with wide contacts; durations, voltages, errors of
    the resistance.
    """
    drawn = blank(170, 150)
    above, below = drawn.subfigures(2, 1, height_ratios=(1, 1.15))
    mean, surface, wide = above.subplots(1, 3)
    duration, voltage, error = below.subplots(1, 3)
    panels = (
        (mean, "a = 0.5 um", "mean", "onset_h", "a  κ at the mean x"),
        (surface, "a = 0.5 um", "surface", "onset_h", "b  κ at the surface x"),
        (wide, "a = 1.5 um, kappa/3", "mean", "onset_h", "c  mean x, a = 1.5 µm, κ/3"),
        (duration, "a = 0.5 um", "mean", "duration_h", "d  κ at the mean x"),
    )
    for axes, contact, rule, event, title in panels:
        _events(axes, found, contact, rule, event)
        axes.set_title(title, loc="left")
        axes.set_ylabel("onset (h)" if event == "onset_h" else "duration (h)")
        axes.set_ylim(bottom=0)
    handles, labels = mean.get_legend_handles_labels()
    above.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    _voltages(voltage, found)
    voltage.set_title("e  voltages", loc="left")
    handles, labels = voltage.get_legend_handles_labels()
    below.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    _resistances(error, found)
    error.set_title("f  between contacts of R/10", loc="left")
    return drawn
