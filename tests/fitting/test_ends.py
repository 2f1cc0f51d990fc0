"""What is predicted beyond the end of a half cycle is told as that, not as a time."""

import dataclasses
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from fitting import (
    compare,
    compare_figures,
    compare_files,
    ends,
    inference,
    left_out,
    posterior_figures,
    posterior_files,
)
from fitting.events import Event, Events
from fitting.inference import LEVELS
from fitting.left_out import LeftOut
from fitting.noise import AbstractScatter, EventNoise
from fitting.posterior import Centre, Posterior
from fitting.recording import Recording
from fitting.setup import Choices, by_voltage

from .linear import HOUR
from .test_compare import SEARCHED, evidence_of
from .test_left_out import PRIOR, EachItsOwn, drawn, setup_of_four

FREE = "log10 contact radius"
END = np.array([9.0, 9.0, 9.0, 7.0]) * HOUR
SPANS = {0: (0.0, 9.0 * HOUR), 2: (20.0 * HOUR, 31.0 * HOUR)}


def forward(**fields):
    given = {"half_cycles": (0, 2, 2), "duration": (False, False, True)}
    return SimpleNamespace(**given | {"origin": None} | fields)


def test_instants_end_with_their_half_cycle_and_durations_with_its_length():
    found = ends.ends_in(forward(origin=2.0 * HOUR), SPANS)
    np.testing.assert_allclose(found / HOUR, [11.0, 33.0, 11.0])
    alone = ends.ends_in(forward(half_cycles=(0, 0, 0)), SPANS)  # from its start on
    np.testing.assert_allclose(alone / HOUR, [9.0, 9.0, 9.0])
    late = ends.ends_in(forward(origin=2.0 * HOUR), SPANS, 0.5 * HOUR)
    np.testing.assert_allclose(late / HOUR, [11.5, 33.5, 11.0])


def test_intervals_are_told_up_to_the_end():
    end = 9.0 * HOUR
    times = ends.within([8.0 * HOUR, end, 17.0 * HOUR], end)
    np.testing.assert_array_equal(times, [8.0 * HOUR, end, np.inf])
    told = [ends.told_interval(low, high, end) for low, high in (times[:2], times[1:])]
    assert told == ["8.00 to 9.00", "9.00 to after 9.00"]
    assert ends.told_interval(np.inf, np.inf, end) == "after 9.00"


def test_nothing_ends_where_no_half_cycle_is_simulated():
    assert np.all(np.isinf(ends.ends_of(setup_of_four(), np.zeros(6))))


def test_a_free_clock_moves_the_ends_of_instants():
    """Those of a recorded drive, for which nothing is solved."""
    hours = np.array([0.0, 10.0])
    recording = Recording(HOUR * hours, np.array([3.4, 4.2]))
    rows = [Event("a", "midpoint", time=5 * HOUR, sd=300.0)]
    rows += [Event("a", "duration", time=HOUR, sd=300.0)]
    choices = Choices(free=("clock",), clock_sd=600.0, num_shells=3)
    prepared = by_voltage(Events.from_rows(rows), recording, choices)
    raw = np.zeros(prepared.problem.space.size)
    np.testing.assert_allclose(ends.ends_of(prepared, raw) / HOUR, [10.0, 10.0])
    raw[-1] = 3.0  # standard deviations
    np.testing.assert_allclose(ends.ends_of(prepared, raw) / HOUR, [10.5, 10.0])


class Ongoing(EachItsOwn):
    """Durations of which those beyond 7 h do not end, and are told as 20 h."""

    def __call__(self, electrode):
        found = super().__call__(electrode)
        told = jnp.where(found.times > 7.0 * HOUR, 20.0 * HOUR, found.times)
        return dataclasses.replace(found, told=told)


def setup_of_durations():
    plain = setup_of_four()
    events = dataclasses.replace(plain.events, kind=("duration",) * 4)
    problem = dataclasses.replace(plain.problem, forward=Ongoing())
    return dataclasses.replace(
        plain, problem=problem, forward=problem.forward, events=events
    )


def test_draws_tell_durations_that_do_not_end_as_longer_than_their_half_cycle():
    problem = setup_of_durations().problem
    at = Posterior.about(problem, Centre(np.zeros(6), np.eye(6)))
    raw = jnp.array([0.0, 0.0, -1.0, 0.0, 1.0, -4.0])
    times = HOUR * (5.0 - 2.0 * np.asarray(problem.space.constrain(raw)[FREE][2:]))
    assert times[3] > 7.0 * HOUR > times[:3].max()
    found = at.evaluate(raw)
    np.testing.assert_allclose(found.times, [*times[:3], 20.0 * HOUR])
    plain = Posterior.about(setup_of_four().problem, Centre(np.zeros(6), np.eye(6)))
    np.testing.assert_array_equal(
        found.log_likelihoods, plain.evaluate(raw).log_likelihoods
    )


def test_particles_left_out_tell_durations_that_do_not_end(monkeypatch):
    monkeypatch.setattr(left_out, "ends_of", lambda *_: np.full(4, 9.0 * HOUR))
    raw = drawn(400, np.random.default_rng(0))
    spread = PRIOR.spread * PRIOR.factor_spread ** raw[:, 1:2]
    times = HOUR * (5.0 - 2.0 * (raw[:, :1] + spread * raw[:, 2:]))
    plain = left_out.leave_out(setup_of_four(), raw, times, count=400)
    told = np.where(times > 7.0 * HOUR, 20.0 * HOUR, times)
    found = left_out.leave_out(setup_of_durations(), raw, told, count=400)
    assert np.all(plain.quantiles[2] < 9.0 * HOUR)
    assert np.all(np.isinf(found.quantiles[2]))
    np.testing.assert_allclose(found.quantiles[:2], plain.quantiles[:2], rtol=0.02)
    np.testing.assert_allclose(found.log_densities, plain.log_densities, atol=0.05)


@pytest.fixture
def predicted(monkeypatch):
    """Draws that put the last of four events at 6 h or 12 h, where 7 h is the end."""
    monkeypatch.setattr(
        inference, "ends_of_each", lambda _, raws: np.tile(END, (len(raws), 1))
    )
    times = np.full((2, 50, 4), 6.0 * HOUR)
    times[1, :, 3] = 12.0 * HOUR
    raw, density = np.zeros((2, 50, 6)), np.zeros((2, 50))
    draws = SimpleNamespace(times=times, raw=raw, log_density=density)
    plain = setup_of_four()
    found = inference._predicted(plain, draws, 0)
    without = LeftOut(np.full((3, 4), np.inf), np.full(4, 0.2), np.zeros(4), 160)
    return SimpleNamespace(setup=plain, predicted=found, left_out=without)


def test_a_posterior_states_no_times_beyond_the_end(predicted):
    rows = [
        dict(zip(posterior_files.EVENT_COLUMNS, row, strict=True))
        for row in posterior_files.event_rows(predicted)
    ]
    assert 6.0 < rows[0]["predicted_95_h"] < 7.0
    assert 5.0 < rows[3]["predicted_5_h"] < 6.0
    assert rows[3]["predicted_95_h"] is None
    assert rows[3]["half_cycle_end_h"] == 7.0
    assert rows[3]["left_out_5_h"] is None
    last = posterior_files._event_table(predicted)[-1]
    assert last[-2].endswith(" to after 7.00")
    assert last[-1] == "after 7.00"


def test_each_draw_ends_its_own_half_cycle(monkeypatch):
    """At 8 h a particle has not reacted in a draw that ends at 7 h."""
    times = np.full((1, 100, 4), 8.0 * HOUR)
    own = np.where(np.arange(100) < 30, 7.0, 19.0)[:, None] * np.full(4, HOUR)
    monkeypatch.setattr(inference, "ends_of_each", lambda *_: own)
    for best in (0, 99):
        density = np.where(np.arange(100) == best, 1.0, 0.0)[None]
        raw = np.zeros((1, 100, 6))
        draws = SimpleNamespace(times=times, raw=raw, log_density=density)
        found = inference._predicted(setup_of_four(), draws, 0)
        assert np.isinf(found.quantiles[3:]).all()  # 75 and 95 %: three in ten never
        assert np.isfinite(found.quantiles[:3]).all()
        np.testing.assert_array_equal(found.ends, own[best])


def test_intervals_without_a_particle_end_where_they_are_told_to():
    raw = drawn(60, np.random.default_rng(0))
    times = np.full((60, 4), 5.0 * HOUR)
    found = left_out.leave_out(setup_of_four(), raw, times, ends=np.full(4, HOUR))
    assert np.isinf(found.quantiles).all()


def test_a_deviation_is_drawn_whole(predicted):
    """Measured far from what is predicted: 6 h."""
    events = predicted.setup.events
    time, sd = np.full(4, 3.0 * HOUR), np.full(4, 2.0 * HOUR)
    events = dataclasses.replace(
        events, time=time, sd=sd, after=np.full(4, np.nan), before=np.full(4, np.nan)
    )
    predicted.setup = dataclasses.replace(predicted.setup, events=events)
    figure = posterior_figures.predictive_figure(predicted)
    low, high = figure.axes[0].get_xlim()
    assert low < 1.0
    assert high > 5.0


def test_no_duration_is_predicted_to_be_measured_below_0(monkeypatch):
    monkeypatch.setattr(
        inference, "ends_of_each", lambda _, raws: np.tile(END, (len(raws), 1))
    )
    setup = setup_of_four()
    long = dataclasses.replace(setup.events, kind=("midpoint",) * 3 + ("duration",))
    setup = dataclasses.replace(setup, events=long)
    times, density = np.full((2, 50, 4), 60.0), np.zeros((2, 50))
    draws = SimpleNamespace(times=times, raw=np.zeros((2, 50, 6)), log_density=density)
    found = inference._predicted(setup, draws, 0)
    assert found.quantiles[0, 3] == 0.0 < found.quantiles[-1, 3]
    assert found.replicated[..., 3].min() == 0.0
    assert found.quantiles[0, 0] < 0.0  # an instant may be before the clock's zero


def test_thick_intervals_end_where_they_do(predicted):
    (axes,) = posterior_figures.predictive_figure(predicted).axes
    thick = [line for line in axes.get_lines() if line.get_linewidth() > 3]
    assert {line.get_solid_capstyle() for line in thick} == {"butt"}


def reach(figure):
    """The latest time that is drawn [h]."""
    lines = [line for axes in figure.axes for line in axes.get_lines()]
    return max(np.max(line.get_xdata()) for line in lines)


def test_a_posterior_is_drawn_up_to_the_end(predicted):
    figure = posterior_figures.predictive_figure(predicted)
    assert 8.5 < reach(figure) <= 9.0  # where intervals without particles end
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "beyond the half cycle" in texts
    within = predicted.predicted._replace(quantiles=np.full((len(LEVELS), 4), 6 * HOUR))
    predicted.predicted, predicted.left_out = within, None
    figure = posterior_figures.predictive_figure(predicted)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "beyond the half cycle" not in texts


LONG = "a particle named after the scanning session of March, third region"


def names_beside(figure):
    """Names beside the rows of a figure whose panel has kept its width."""
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.4
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


def test_long_names_leave_predictions_their_width(predicted):
    events = predicted.setup.events
    events = dataclasses.replace(events, particles=(LONG, *events.particles[1:]))
    predicted.setup = dataclasses.replace(predicted.setup, events=events)
    names = names_beside(posterior_figures.predictive_figure(predicted))
    assert names[-1].startswith("a particle n…hird region, ")
    found = evidence_of(-5.0)._replace(times=np.full((4, 4), 6.0 * HOUR))
    one = compare.Contender(
        *("network", predicted.setup, SEARCHED, found, None, END),
        chi_square=4.0,
        probability_of_larger=0.5,
    )
    both = compare.compared("made up", [one, one._replace(name="diffusion")])
    assert names_beside(compare_figures.predictions_figure(both)) == names


def test_a_comparison_states_and_draws_no_times_beyond_the_end():
    setup = setup_of_four()
    times = np.full((4, 4), 6.0 * HOUR)
    times[2:, 3] = 12.0 * HOUR
    found = evidence_of(-5.0)._replace(times=times)
    one = compare.Contender(
        *("network", setup, SEARCHED, found, None, END),
        chi_square=4.0,
        probability_of_larger=0.5,
    )
    both = compare.compared("made up", [one, one._replace(name="diffusion")])
    rows = compare_files._event_rows(both)
    shown = dict(zip(compare_files._EVENT_COLUMNS, rows[3], strict=True))
    assert (shown["low_90_h"], shown["high_90_h"]) == (6.0, None)
    assert shown["half_cycle_end_h"] == 7.0
    figure = compare_figures.predictions_figure(both)
    assert reach(figure) < 9.0


def test_replicates_scatter_as_the_law_of_one_s_own_says(monkeypatch):
    class Cauchy(AbstractScatter):
        def log_density(self, z):
            return -jnp.log(np.pi * (1.0 + z**2))

        def log_cdf(self, z):
            return jnp.log(0.5 + jnp.arctan(z) / np.pi)

        def residual(self, z):
            return jnp.sign(z) * jnp.sqrt(2.0 * jnp.log1p(z**2))

        def sample(self, rng, shape):
            return rng.standard_cauchy(shape)

    monkeypatch.setattr(inference, "ends_of_each", lambda *_: np.full((1, 4), np.inf))
    setup = setup_of_four()
    law = EventNoise.of(setup.events, Cauchy())
    problem = dataclasses.replace(setup.problem, noise=law)
    setup = dataclasses.replace(setup, problem=problem)
    times, density = np.full((2, 5000, 4), 500.0 * HOUR), np.zeros((2, 5000))
    raw = np.zeros((2, 5000, 6))
    draws = SimpleNamespace(times=times, raw=raw, log_density=density)
    found = inference._predicted(setup, draws, 0)
    ends = (found.quantiles[[0, -1]] - 500.0 * HOUR) / setup.events.sd
    np.testing.assert_allclose(ends, [[-6.31] * 4, [6.31] * 4], rtol=0.15)
