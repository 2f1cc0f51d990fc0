"""A fit that nobody made, with every form of event, for figures and summaries."""

import numpy as np

from fitting.events import Event, Events
from fitting.report import Band, Half, Parameter, Report, Trajectories

HOUR = 3600.0


def made_up_events(surface=False):
    rows = [
        Event("blue", "midpoint", time=6.5 * HOUR, sd=0.2 * HOUR),
        Event("blue", "duration", time=0.9 * HOUR, sd=0.3 * HOUR),
        Event("red", "midpoint", after=8.5 * HOUR, before=9.8 * HOUR),
        Event("purple", "midpoint", after=9.8 * HOUR, before=np.inf),
        Event("brown", "onset", after=-np.inf, before=2.9 * HOUR),
    ]
    return Events.from_rows(rows, surface=surface)


def made_up_band(name, label, flat):
    x = np.linspace(0.3, 1.0, 60)
    before = 10.0 ** np.interp(x, [0.3, 0.9, 1.0], flat)
    fitted = before * 10 ** (0.3 * np.sin(6 * x))
    width = 10 ** (0.2 + 0.8 * (x > 0.9))
    return Band(
        *(name, label, x, fitted, fitted / width, fitted * width),
        *(fitted / 9, fitted * 9, before),
        *(np.array([0.3, 0.9, 1.0]), 10.0 ** np.array(flat), "made up for a test"),
    )


def made_up_report(**changes):
    events = made_up_events()
    time = HOUR * np.linspace(2.77, 14.0, 200)
    middles = HOUR * np.array([6.4, 9.0, 11.5, 2.9])
    mean = 0.999 - 0.5 / (1 + np.exp(-(time[:, None] - middles) / 1200.0))
    run = Trajectories(
        *(time, np.linspace(3.4, 4.6, 200), np.full(200, 1e-9)),
        *(events.particles, mean, mean - 0.02, 0, {0: Half(time[0], True)}),
    )
    fields = {
        "title": "made up",
        "events": events,
        "fitted": np.array([True, False, True, True, True]),
        "predicted": HOUR * np.array([6.4, 0.7, 9.0, 11.5, 2.8]),
        "ends": np.full(5, 14.0 * HOUR),
        "predicted_sd": HOUR * np.array([0.15, 0.2, 0.4, 0.7, 0.1]),
        "misfit": np.array([0.5, 0.7, 0.1, 0.05, 0.2]),
        "bands": (
            made_up_band("conductivity", "conductivity κ (S m$^{-1}$)", [0, -1.5, -5]),
            made_up_band(
                *("diffusivity", "diffusivity D (m$^2$ s$^{-1}$)", [-14.6, -15, -19])
            ),
        ),
        "parameters": (
            Parameter(
                "log10 contact radius blue [log10(m)]",
                -6.4,
                0.1,
                -6.6,
                -6.2,
                0.5,
                0.25,
                True,
            ),
            Parameter(
                "log10 diffusivity at x=0.98",
                -17.2,
                0.49,
                -18.2,
                -16.2,
                0.5,
                0.98,
                False,
            ),
        ),
        "trajectories": run,
        "recorded": (time[::20], np.linspace(3.4, 4.6, 10)),
        "chi_square": 0.81,
        "num_rows": 1,
        "degrees": 0.4,
        "probability": np.nan,
        "undetermined": ("0.98 log10 diffusivity at x=0.98",),
        "remarks": ("Only the product of conductivity and contact radius …",),
        "statistics": {
            **{"outcome": "converged", "settled": True},
            **{"starts": 3, "failed_solves": 1},
        },
    }
    return Report(**fields | changes)
