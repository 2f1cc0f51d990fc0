"""What a search asks of a fit: lines of numbers, and rows, which are the data's."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitting.events import Event, Events
from fitting.intensities import IntensityNoise
from fitting.noise import EventNoise, StudentT, TraceNoise
from fitting.problem import Prediction, Problem
from fitting.question import FAILED_ROW

from .stand_in import HOUR, START, ClosedForm, closed_space

CLOSED = 2  # the row of the event known to an interval
TIME = HOUR * np.linspace(0.0, 12.0, 9)


class Everything(ClosedForm):
    """Times, a voltage and the course of two particles."""

    def __call__(self, electrode):
        found = super().__call__(electrode)
        onset = found.times[:4:2]
        course = jax.nn.sigmoid((onset - TIME[:, None]) / HOUR)
        voltage = 3.7 + 0.1 * jnp.tanh(electrode.kappa + TIME[::4] / found.times[0])
        return Prediction(found.times, voltage, found.failed, TIME, course)


@pytest.fixture(scope="module")
def problem():
    """Times, an interval, bounds, a trace and intensities."""
    rows = []
    for k, name in enumerate("abcd"):
        onset = {"time": (6.0 + k) * HOUR, "sd": 600.0}
        if 2 * k == CLOSED:
            onset = {"after": 5.0 * HOUR, "before": 7.0 * HOUR}
        rows.append(Event(name, "onset", **onset))
        rows.append(Event(name, "duration", after=1800.0 * k, before=np.inf))
    seen = np.random.default_rng(3).standard_normal((2, 8))
    weight = np.full((2, 8), 5.0)
    return Problem(
        START,
        closed_space(free_kappa=True, clock_sd=600.0),
        Everything(fails_beyond=2.5),
        EventNoise.of(Events.from_rows(rows), StudentT(4.0), edge_sd=300.0),
        trace=TraceNoise(np.array([3.7, 3.75, 3.8]), 0.01, scatter=StudentT(4.0)),
        intensities=IntensityNoise(TIME + 100.0, seen, weight, np.ones((2, 8))),
    )


@pytest.fixture(scope="module")
def asked():
    """Rows by lines, and rows by themselves with their slopes."""

    @eqx.filter_jit
    def both(problem, raw):
        lines = problem.lines(raw)
        rows = lambda z: problem.data_residual(z)[0]
        by_itself = rows(raw), jax.jacfwd(rows)(raw)
        return lines, problem.rows_and_slopes(lines), by_itself

    return both


def test_rows_and_slopes_by_lines_are_those_of_the_data(problem, asked, key):
    raw = 0.5 * jax.random.normal(key, (problem.space.size,))
    lines, (rows, slopes, informing), expected = asked(problem, raw)
    np.testing.assert_allclose(rows, expected[0], rtol=1e-12)
    np.testing.assert_allclose(slopes, expected[1], rtol=1e-9, atol=1e-12)
    other = np.arange(len(rows)) != CLOSED
    np.testing.assert_allclose(informing[other], expected[1][other], atol=1e-9)
    shift = problem.space.clock_offset(problem.space.constrain(raw))
    sd = problem.noise.interval_sd(lines.prediction.times, shift)[CLOSED]
    np.testing.assert_allclose(informing[CLOSED], -lines.slopes[CLOSED] / sd)


def test_rows_of_all_kinds_and_their_densities_differ_by_a_constant(problem, key):
    @jax.jit
    def both(raw):
        half = 0.5 * jnp.sum(problem.data_residual(raw)[0] ** 2)
        return half + problem.log_likelihood(raw)

    draws = 0.3 * jax.random.normal(key, (6, problem.space.size))
    sums = [both(raw) for raw in draws]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-9)


def test_a_failed_solve_misses_everything_and_has_no_slopes(problem, asked):
    raw = jnp.full(problem.space.size, 2.0)  # a contact of 2.9 decades
    lines, (rows, slopes, informing), _ = asked(problem, raw)
    assert bool(lines.prediction.failed)
    np.testing.assert_array_equal(rows, FAILED_ROW)
    for part in (slopes, informing):
        np.testing.assert_array_equal(part, 0.0)
