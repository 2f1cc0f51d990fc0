"""Problems: predictions through one observable, rows and densities that agree."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import diffelec
from fitting import imaged, mechanisms, parameters, priors
from fitting.events import Event, Events
from fitting.intensities import IntensityNoise
from fitting.noise import EventNoise, TraceNoise
from fitting.problem import (
    FAILED_ROW,
    AbstractForward,
    Prediction,
    Problem,
    Simulated,
)
from tests.fitting.stand_in import START, ClosedForm, closed_problem, closed_space

HOUR = 3600.0
HOURS = np.array([2.0, 2.1, 3.0, 6.0, 9.0, 12.0])
VOLTAGE = np.array([3.2, 3.7, 3.95, 4.0, 4.15, 4.3])


def rows_of(problem):
    """Half the squares of the data's rows, and their log density, at a raw vector."""

    @jax.jit
    def both(raw):
        rows, _ = problem.data_residual(raw)
        return 0.5 * jnp.sum(rows**2), problem.log_likelihood(raw)

    return both


def test_rows_and_log_density_differ_by_a_constant(key):
    problem = closed_problem(discrepancy=200.0, space=closed_space(clock_sd=900.0))
    both = rows_of(problem)
    draws = 0.7 * jax.random.normal(key, (10, problem.space.size))
    sums = [sum(both(raw)) for raw in draws]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-9)
    raw = draws[0]
    half = 0.5 * jnp.sum(problem.residual(raw) ** 2)
    other = 0.5 * jnp.sum(problem.residual(draws[1]) ** 2)
    difference = problem.log_density(raw) - problem.log_density(draws[1])
    np.testing.assert_allclose(half - other, -difference, rtol=1e-9)


def test_the_clock_moves_onsets_and_leaves_durations():
    problem = closed_problem(space=closed_space(clock_sd=600.0))
    raw = jnp.zeros(problem.space.size)
    slopes = jax.jit(jax.jacfwd(lambda z: problem.data_residual(z)[0]))(raw)[:, -1]
    np.testing.assert_allclose(slopes[np.array([0, 2, 4])], -1.0, rtol=1e-12)
    np.testing.assert_array_equal(slopes[1::2], 0.0)


def test_a_failed_solve_is_large_finite_and_reported():
    problem = closed_problem(forward=ClosedForm(fails_beyond=0.1))
    raw = jnp.full(problem.space.size, 0.5)
    rows, found = eqx.filter_jit(problem.data_residual)(raw)
    assert bool(found.failed)
    np.testing.assert_array_equal(rows, FAILED_ROW)
    assert problem.log_density(raw) < -1e6
    slopes = jax.jit(jax.jacfwd(problem.residual))(raw)
    assert np.all(np.isfinite(slopes))


PARTICLE = ("fast", "fast", "fast", "slow", "never")  # of each event


def events_of_two():
    rows = [
        Event("fast", "onset", time=3.0 * HOUR, sd=600.0),
        Event("fast", "midpoint", time=3.5 * HOUR, sd=600.0),
        Event("fast", "duration", time=0.6 * HOUR, sd=600.0),
        Event("slow", "midpoint", time=8.0 * HOUR, sd=600.0),
        Event("never", "midpoint", after=12.0 * HOUR, before=np.inf),
    ]
    return Events.from_rows(rows)


@pytest.fixture(scope="module")
def simulated():
    """A problem on a recorded voltage, and what is compiled of it."""
    labels = ("fast", "slow", "never")
    electrode = imaged.imaged_electrode(
        labels, contact_radius=[7e-7, 1.4e-7, 1e-9], num_shells=8
    )
    drive = imaged.voltage_drive(HOUR * HOURS, VOLTAGE)
    events = events_of_two()
    space = parameters.ParameterSpace(
        (
            parameters.contacts(
                electrode,
                labels,
                priors.Correlated(np.log10([7e-7, 1.4e-7, 1e-9]), 0.2 * np.eye(3)),
            ),
            parameters.curve_scale(
                "diffusivity", priors.Independent(dist.Normal(0.0, 0.2))
            ),
            parameters.radii(electrode, labels),
            mechanisms.reactivities(
                electrode, labels, priors.Correlated(np.zeros(3), 0.2 * np.eye(3))
            ),
        )
    )
    forward = Simulated.of(electrode, drive, events, origin=HOUR * HOURS[0], rtol=1e-6)
    noise = EventNoise.of(events, edge_sd=600.0)
    problem = Problem(electrode, space, forward, noise)

    @eqx.filter_jit
    def rows_and_slopes(problem, raw):
        def rows(z):
            found, prediction = problem.data_residual(z)
            return prediction.times, (found, prediction)

        slopes, (found, prediction) = jax.jacfwd(rows, has_aux=True)(raw)
        return found, prediction, slopes

    return problem, rows_and_slopes


@pytest.fixture(scope="module")
def answer(simulated):
    problem, rows_and_slopes = simulated
    return rows_and_slopes(problem, jnp.zeros(problem.space.size))


@pytest.fixture(scope="module")
def solution(simulated):
    """The same electrode and protocol, simulated by themselves."""
    problem, _ = simulated
    return diffelec.simulate(
        problem.electrode, problem.forward.protocol, rtol=1e-6, num_saved=401
    )


def test_predicted_times_are_those_of_the_solution(answer, solution):
    _, found, _ = answer
    onset, middle, late = (
        np.asarray(solution.change_times(0, c)) for c in (0.05, 0.25, 0.4)
    )
    np.testing.assert_allclose(found.times[0], onset[0] + 2.0 * HOUR, rtol=1e-6)
    np.testing.assert_allclose(found.times[1], middle[0] + 2.0 * HOUR, rtol=1e-6)
    np.testing.assert_allclose(found.times[2], late[0] - onset[0], rtol=1e-4)
    np.testing.assert_allclose(found.times[3], middle[1] + 2.0 * HOUR, rtol=1e-6)
    assert not bool(found.failed)


def test_a_particle_that_never_reacts_is_placed_beyond_the_end(answer, solution):
    rows, found, slopes = answer
    moved = float(solution.stoichiometry[0, 2] - solution.stoichiometry[-1, 2])
    assert 0 <= moved < 0.25
    expected = 12.0 * HOUR + 10.0 * HOUR * (0.25 - moved) / 0.25
    np.testing.assert_allclose(found.times[4], expected, rtol=1e-6)
    assert rows[4] < 1e-6
    assert slopes[4, 2] < 0  # a larger contact brings it nearer


def test_slopes_of_times_are_finite_differences(simulated, answer):
    problem, rows_and_slopes = simulated
    _, _, slopes = answer
    assert np.all(np.isfinite(slopes))
    for k in (0, 1, 3, 4, 8):
        step = 1e-3 * jnp.eye(problem.space.size)[k]
        up = rows_and_slopes(problem, step)[1].times
        down = rows_and_slopes(problem, -step)[1].times
        expected = (up - down) / 2e-3
        scale = np.max(np.abs(slopes[:, k])) + 1.0
        np.testing.assert_allclose(slopes[:, k], expected, atol=2e-3 * scale)


def test_what_is_another_particle_s_own_moves_nothing(answer):
    """A recorded voltage decouples particles."""
    slopes = np.abs(np.asarray(answer[2]))
    # Columns of its contact, radius and reactivity.
    own = {name: [k, 4 + k, 7 + k] for k, name in enumerate(("fast", "slow", "never"))}
    for row, particle in zip(slopes, PARTICLE, strict=True):
        for name, columns in own.items():
            if name != particle:
                assert np.max(row[columns]) < 1e-9 * np.max(row)


def test_the_gradient_by_reverse_mode_is_that_of_the_rows(simulated, answer):
    problem, _ = simulated
    raw = jnp.zeros(problem.space.size)
    rows, _, slopes = answer
    # Normal rows: d(log density)/d(time) = row / scale; the bound of the last is 0.
    by_time = np.asarray(rows)[:4] / np.asarray(problem.noise.scale)[:4]
    expected = by_time @ np.asarray(slopes)[:4] - np.asarray(raw)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda z, p: p.log_density(z)))(
        raw, problem
    )
    assert np.all(np.isfinite(gradient))
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)


def test_surface_events_come_before_those_of_the_mean(simulated, answer, solution):
    problem, _ = simulated
    forward = dataclasses.replace(problem.forward, surface=True)
    seen = forward.observe(solution).times
    surface = np.asarray(solution.surface_stoichiometry)[:, 0]
    past = np.flatnonzero(surface[0] - surface >= 0.25)[0]
    at = np.asarray(solution.time)[past] + 2.0 * HOUR
    assert at - 100.0 <= seen[1] <= at
    assert seen[1] < answer[1].times[1]


def test_a_voltage_trace_adds_its_rows(simulated, solution):
    problem, _ = simulated
    times = np.array([0.5, 2.0, 7.0]) * HOUR
    forward = Simulated.of(
        problem.electrode, problem.forward.protocol, events_of_two(), trace_times=times
    )
    found = forward.observe(solution).voltage
    recorded = np.interp(times, HOUR * (HOURS - 2.0), VOLTAGE)
    np.testing.assert_allclose(found, recorded, atol=2e-3)
    noise = TraceNoise(recorded + 0.03, 0.01)
    np.testing.assert_allclose(noise.residual(found), 3.0, atol=0.3)


def test_an_unknown_particle_is_refused_by_name(simulated):
    problem, _ = simulated
    events = Events.from_rows([Event("ghost", "onset", time=1.0, sd=1.0)])
    with pytest.raises(ValueError, match="Particle 'ghost' of the events"):
        Simulated.of(problem.electrode, problem.forward.protocol, events)


def there_and_back():
    """A charge, a discharge and a second charge in one recording."""
    return diffelec.Protocol.from_recording(
        HOUR * np.array([0.0, 6.0, 6.1, 12.0, 12.1, 18.0]),
        voltage=np.array([3.4, 4.2, 4.1, 3.3, 3.4, 4.2]),
        current=np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0]),
    )


@pytest.mark.parametrize("surface", [False, True])
def test_a_later_half_cycle_of_a_recording_begins_where_its_particles_are(surface):
    electrode = imaged.imaged_electrode(("a",), contact_radius=5e-7, num_shells=6)
    drive = there_and_back()
    row = Event("a", "midpoint", time=HOUR, sd=60.0, half_cycle=2)
    forward = Simulated.of(
        *(electrode, drive, Events.from_rows([row], surface=surface)),
        **{"half_cycle": 2, "rtol": 1e-6, "delithiates": (True, False, True)},
    )
    start, end = drive.spans[2]
    fine = np.linspace(start, end, 20001)
    seen = diffelec.simulate(electrode, drive, rtol=1e-6, times=fine)
    series = seen.surface_stoichiometry if surface else seen.stoichiometry
    moved = np.asarray(series[0, 0] - series[:, 0])
    first = np.argmax(moved >= 0.25)
    assert 0 < first < 20000
    found = float(forward(electrode).times[0])
    assert fine[first - 1] - 3.0 < start + found < fine[first] + 3.0


def test_voltages_are_compared_where_they_are_measured():
    """Also where a recorded current turns, across which no line may be drawn."""
    electrode = imaged.imaged_electrode(("a",), contact_radius=5e-7, num_shells=6)
    one = 0.1 * float(electrode.one_c_current)
    drive = diffelec.Protocol.from_recording(
        HOUR * np.array([0.0, 4.0, 4.001, 6.0]),
        current=one * np.array([1.0, 1.0, -1.0, -1.0]),
        control="current",
    )
    event = Event("a", "midpoint", time=HOUR, sd=60.0)
    at = HOUR * np.array([3.99, 4.01, 5.5])
    forward = Simulated.of(
        *(electrode, drive, Events.from_rows([event])),
        **{"trace_times": at, "delithiates": (True, False), "rtol": 1e-6},
    )
    want = diffelec.simulate(electrode, drive, rtol=1e-6, times=at).voltage
    np.testing.assert_allclose(forward(electrode).voltage, want, atol=1e-9)
    assert want[0] - want[1] > 0.01


def test_events_of_several_half_cycles_are_found_each_in_its_own():
    """A second charge, in which the particles start from where the discharge left."""
    electrode = imaged.imaged_electrode(("a", "b"), contact_radius=5e-7, num_shells=6)
    drive = there_and_back()
    solution = diffelec.simulate(electrode, drive, rtol=1e-6)
    kinds = ("onset", "midpoint", "duration")

    def rows(number):
        return [
            Event(label, kind, time=HOUR, sd=60.0, half_cycle=number)
            for label in ("a", "b")
            for kind in kinds
        ]

    def found(rows, half_cycle, origin):
        falls = (True, False, True)
        forward = Simulated.of(
            *(electrode, drive, Events.from_rows(rows)),
            **{"origin": origin, "half_cycle": half_cycle, "delithiates": falls},
        )
        return np.asarray(forward.observe(solution).times)

    for origin in (None, HOUR):
        alone = [found(rows(None), k, origin) for k in range(3)]
        both = found(rows(2) + rows(None) + rows(1), 0, origin)
        together = np.concatenate([alone[2], alone[0], alone[1]])
        np.testing.assert_array_equal(both, together)
        for k, sign in enumerate((-1.0, 1.0, -1.0)):
            start, _ = solution.half_cycle_span(k)
            x = solution.half_cycle_ends(k)[0][0]
            crossed = solution.crossing_times(jnp.full(2, x + sign * 0.25), k)[0]
            zero = 0.0 if origin is None else origin + start
            np.testing.assert_allclose(alone[k][1], zero + crossed, rtol=1e-9)
    with pytest.raises(ValueError, match="among the first 3, but is number 4"):
        found(rows(3), 0, None)


class Answer(AbstractForward):
    """The same prediction of every electrode."""

    prediction: Prediction

    def __call__(self, electrode):
        return self.prediction


def answering(num_times=1, num_voltages=2, num_followed=1):
    """A problem of one event, two voltages and one trace, and a model of others."""
    prediction = Prediction(
        *(jnp.full(num_times, 5e3), jnp.zeros(num_voltages), jnp.asarray(False)),
        instants=1e3 * jnp.arange(4.0),
        course=jnp.linspace(1.0, 0.5, 4)[:, None] * jnp.ones(num_followed),
    )
    events = Events.from_rows([Event("p0", "midpoint", time=5e3, sd=300.0)])
    seen = np.ones((1, 2))
    return Problem(
        *(START, closed_space(), Answer(prediction), EventNoise.of(events)),
        trace=TraceNoise(np.zeros(2), 0.1),
        intensities=IntensityNoise(np.array([0.0, 1e3, 2e3]), seen, seen, seen),
    )


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"num_times": 3}, r"`times` .* shape \(1,\) of the events .* has \(3,\)"),
        ({"num_times": 0}, r"`times` .* shape \(1,\) of the events .* has \(0,\)"),
        ({"num_voltages": 1}, r"`voltage` .* shape \(2,\) of the trace .* \(1,\)"),
        ({"num_followed": 2}, r"`course` .* shape \(1, 1\) of the .* has \(2, 1\)"),
    ],
)
def test_predictions_of_something_else_than_the_data_are_refused(others, words):
    problem, raw = answering(), np.zeros(closed_space().size)
    assert np.isfinite(problem.log_density(raw))
    problem = answering(**others)
    for function in (problem.log_density, jax.jit(lambda z: problem.residual(z))):
        with pytest.raises(ValueError, match=words):
            function(raw)


@pytest.mark.parametrize("shape", [(), (1,), (9,), (2, 4)])
def test_raw_numbers_of_another_shape_are_refused(shape):
    problem = closed_problem()
    space = problem.space
    assert shape != (space.size,)
    words = f"must be a vector of {space.size}, one for each of .*the shape "
    for function in (
        problem.log_density,
        jax.jit(lambda z: problem.residual(z)),
        space.log_prior,
        space.constrain,
    ):
        with pytest.raises(ValueError, match=words):
            function(np.zeros(shape))
    listed = [0.1] * space.size
    expected = float(problem.log_density(np.array(listed)))
    assert problem.log_density(listed) == pytest.approx(expected)
