"""Traces made for tests, with their truth."""

import numpy as np

from fitting.optical.traces import Traces

HOUR = 3600.0
TIMES = HOUR * np.linspace(0.0, 12.0, 241)


def rise(middle, duration=0.5, amplitude=0.3, times=TIMES):
    """A logistic rise; middle and duration (10 to 90 %) in h."""
    w = (times / HOUR - middle) / duration
    return amplitude / (1 + np.exp(np.clip(-2 * np.log(9) * w, -50, 50)))


def traces_of(rows, noise=0.01, times=TIMES, seed=1):
    """Traces of {label: values}, with white noise."""
    draws = noise * np.random.default_rng(seed).standard_normal((len(rows), len(times)))
    return Traces(times, tuple(rows), 0.2 + np.array(list(rows.values())) + draws)
