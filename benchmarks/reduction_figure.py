"""The figure of `reduction`: courses of the chain, and the chain as it starts."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from benchmarks.machine import RESULTS

HOUR, MICRON = 3600.0, 1e-6
STYLES = {
    "1 site, kappa at mean x": "--",
    "1 site, kappa at surface x": ":",
    "16 slices, kappa at mean x": "-.",
}


def _courses(axes, kept):
    """Mean x against time by particle."""
    march, chain = kept["march"], kept["system"].chain
    for k in range(chain.num_particles):
        colour = f"C{k}"
        axes.plot(
            march.times / HOUR,
            march.seen["mean"][:, k],
            color=colour,
            label=f"particle {k + 1}",
        )
        for model, style in STYLES.items():
            time, x, _ = kept[model]
            axes.plot(time / HOUR, x[:, k], style, color=colour, lw=1.0)
    axes.set(xlabel="time [h]", ylabel="mean x", xlim=(0, 21))


def _state(axes, figure, kept):
    """X (left) and potential (right) of the chain when the second particle starts.

    Colours of the potential end at the largest drop before the last sphere.
    """
    system, snapshots = kept["system"], kept["march"].snapshots
    time, y = snapshots[(1, 0.066)]
    x, phi = y[: system.num_nodes], y[system.phi_of]
    radius = system.chain.radius
    drops = 1e3 * (y[-1] - phi)
    low = min(0.5, 0.1 * np.floor(10.0 * x.min()))
    top = max(1.0, drops[: system.starts[system.chain.num_particles - 1]].max())
    for k in range(system.chain.num_particles):
        body, first = system.bodies[k], system.starts[k]
        part = slice(first, first + body.num_nodes)
        across, along = body.points / MICRON
        # The chain grows upwards: particle k + 1 sits on the upper pole of particle k.
        along = along + 2.0 * k * radius / MICRON
        shared = {"triangles": body.triangles.T, "shading": "gouraud"}
        left = axes.tripcolor(
            -across, along, x[part], vmin=low, vmax=1.0, cmap="viridis", **shared
        )
        right = axes.tripcolor(
            across, along, drops[part], vmin=0.0, vmax=top, cmap="magma", **shared
        )
    axes.set_aspect("equal")
    axes.set(xlabel="[um]", title=f"{time / HOUR:.2f} h")
    figure.colorbar(left, ax=axes, location="left", shrink=0.8, label="x")
    figure.colorbar(
        right, ax=axes, location="right", shrink=0.8, label="phi_c - phi [mV]"
    )


def draw(drawn: dict):
    """Writes reduction.png, a row of panels a case."""
    figure, axes = plt.subplots(
        len(drawn),
        2,
        figsize=(11, 4.2 * len(drawn)),
        width_ratios=(1.5, 1.0),
        squeeze=False,
        layout="constrained",
    )
    for row, (name, kept) in zip(axes, drawn.items(), strict=True):
        _courses(row[0], kept)
        row[0].set_title(name)
        _state(row[1], figure, kept)
    handles = [plt.Line2D([], [], color="k", label="resolved")]
    handles += [plt.Line2D([], [], color="k", ls=s, label=m) for m, s in STYLES.items()]
    number = int(
        np.max([kept["system"].chain.num_particles for kept in drawn.values()])
    )
    handles += [
        plt.Line2D([], [], color=f"C{k}", label=f"particle {k + 1}")
        for k in range(number)
    ]
    axes[0][0].legend(handles=handles, fontsize=8)
    path = RESULTS / "reduction.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
