"""Noise laws: densities, rows of least squares and their tails."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats

from fitting import noise
from fitting import scatter as scatter_laws
from fitting.events import Event, Events
from fitting.scatter import normal_score
from tests.helpers import examples

SCATTERS = examples(noise.AbstractScatter)
REFERENCE = {"Normal": scipy.stats.norm, "StudentT": scipy.stats.t(4.0)}
HOUR = 3600.0


def event_noise(scatter=None, **scales):
    rows = [
        Event("a", "onset", time=4.0 * HOUR, sd=600.0),
        Event("a", "duration", time=1.0 * HOUR, sd=900.0),
        Event("b", "onset", after=5.0 * HOUR, before=6.0 * HOUR),
        Event("c", "onset", after=13.0 * HOUR, before=np.inf),
        Event("d", "onset", after=-np.inf, before=2.0 * HOUR),
    ]
    scales = {"edge_sd": 300.0} | scales
    return noise.EventNoise.of(Events.from_rows(rows), scatter, **scales)


@eqx.filter_jit
def looked_at(law, times):
    """Log density of all rows with its slopes; log densities of each, and rows of least
    squares, with theirs.
    """
    whole = jax.value_and_grad(law.log_density)(times)
    each = law.log_densities(times), jax.jacfwd(law.log_densities)(times)
    return whole, each, (law.residual(times), jax.jacrev(law.residual)(times))


PREDICTED = HOUR * np.array([4.3, 0.6, 5.2, 13.4, 1.7])


@pytest.mark.parametrize("scatter", SCATTERS)
def test_density_and_probability_are_those_of_the_reference(scatter):
    law = REFERENCE[type(scatter).__name__]
    z = np.array([-40.0, -7.0, -1.0, 0.0, 0.3, 6.0, 40.0])
    np.testing.assert_allclose(scatter.log_density(z), law.logpdf(z), rtol=1e-10)
    np.testing.assert_allclose(scatter.log_cdf(z), law.logcdf(z), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("scatter", SCATTERS)
def test_the_slope_of_the_probability_is_the_density(scatter):
    z = jnp.array([-40.0, -2.0, 0.0, 2.0, 40.0])
    slope = jax.vmap(jax.grad(lambda z: scatter.log_cdf(z)))(z)
    expected = jnp.exp(scatter.log_density(z) - scatter.log_cdf(z))
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


@pytest.mark.parametrize("scatter", SCATTERS)
def test_half_the_square_of_the_row_is_the_loss_of_log_density(scatter):
    z = np.array([-40.0, -3.0, -1e-4, 0.0, 1e-5, 0.7, 12.0])
    row = scatter.residual(z)
    loss = scatter.log_density(0.0) - scatter.log_density(z)
    np.testing.assert_allclose(0.5 * row**2, loss, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(np.sign(row), np.sign(z))
    slope = jax.vmap(jax.grad(scatter.residual))(jnp.asarray(z))
    assert np.all(np.isfinite(slope))
    assert np.all(slope > 0)


@pytest.mark.parametrize("degrees", [1.0, 4.0, 30.0])
def test_times_under_students_law_tell_less_than_normal_ones(degrees):
    told = scatter_laws.information(noise.StudentT(degrees))
    np.testing.assert_allclose(told, (degrees + 1) / (degrees + 3), rtol=1e-6)
    assert scatter_laws.information(noise.Normal()) == 1.0


@pytest.mark.parametrize("scatter", SCATTERS)
def test_rows_that_inform_have_the_slopes_of_rows_or_what_times_tell(scatter):
    law = event_noise(scatter)
    near, far = (np.array([*ab, 13.4, 1.7]) for ab in ([4, 1, 5.2], [4.3, 0.6, 50]))
    most = np.sqrt(scatter_laws.information(scatter)) / law.scale
    for hours in (PREDICTED / HOUR, near, far):
        times = jnp.asarray(HOUR * hours)
        slopes, told = (
            np.diag(jax.jacfwd(row)(times)) for row in (law.residual, law.informing)
        )
        np.testing.assert_allclose(told[[3, 4]], slopes[[3, 4]], rtol=1e-12)
        expected = np.maximum(slopes[:2], -most[:2])  # both fall
        np.testing.assert_allclose(told[:2], expected, rtol=1e-12)
    # 44 h outside, the interval of an hour is a time.
    np.testing.assert_allclose(told[2], slopes[2], rtol=0.05)


@pytest.mark.parametrize("scatter", SCATTERS)
def test_nineteen_of_twenty_times_lie_within_two_deviations_that_they_tell(scatter):
    """Nearly so under a law with tails; by its slope in the middle, 85 in 100."""
    law = event_noise(scatter)
    told = jax.jacfwd(law.informing)(jnp.asarray(law.time))[0, 0]
    beyond = -1.96 / (-told * law.scale[0])
    assert 0.91 < 1.0 - 2.0 * np.exp(scatter.log_cdf(beyond)) < 0.951


@pytest.mark.parametrize("predicted", [5.1, 5.5, 5.9])
def test_an_interval_informs_by_its_width_and_scale(predicted):
    law = event_noise(edge_sd=1.0)  # s: nothing pulls within
    times = jnp.asarray(HOUR * np.array([4.0, 1.0, predicted, 13.4, 1.7]))
    told = np.diag(jax.jacfwd(law.informing)(times))[2]
    np.testing.assert_allclose(1.0 / told**2, HOUR**2 / 12.0 + 1.0, rtol=1e-9)


@pytest.mark.parametrize("scatter", SCATTERS)
@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-1.0, 2.0),
        (-9.0, -8.0),
        (20.0, 20.5),
        (-0.01, 0.01),
        (-6.0, 7.0),
        (3.0, np.inf),
    ],
)
def test_the_probability_of_an_interval_is_the_integral_of_the_density(
    scatter, low, high
):
    law = REFERENCE[type(scatter).__name__]
    middle = low if low > 0 else min(high, 0.0)
    scale = law.logpdf(middle)
    share = scipy.integrate.quad(
        lambda z: np.exp(law.logpdf(z) - scale), low, high, epsrel=1e-12
    )[0]
    found = -np.exp(noise.log_surprise(scatter, jnp.array(low), jnp.array(high)))
    np.testing.assert_allclose(found, scale + np.log(share), rtol=1e-7, atol=1e-13)


def test_a_certain_event_has_the_logarithm_of_what_lies_outside():
    found = noise.log_surprise(noise.Normal(), jnp.array(-40.0), jnp.array(jnp.inf))
    np.testing.assert_allclose(found, scipy.special.log_ndtr(-40.0), rtol=1e-12)


FAR = np.array([31.9, 32.1, 200.0, 9990.0, 10001.0, 1e6])


@pytest.mark.parametrize("degrees", [0.5, 4.0, 300.0, 1000.0, 1e5])
def test_tails_of_students_law_are_integrals_of_its_density_however_far(degrees):
    law, density = noise.StudentT(degrees), scipy.stats.t(degrees).logpdf

    def beyond(d):
        over = lambda s: d * np.exp(s + density(d * np.exp(s)) - density(d))
        fall = degrees * d**2 / (degrees + d**2)  # of its logarithm at s = 0
        ends = np.array([0.0, 0.1, 1.0, 10.0, 100.0]) / fall
        parts = [scipy.integrate.quad(over, *e)[0] for e in itertools.pairwise(ends)]
        return density(d) + np.log(sum(parts))

    found = law.log_cdf(-FAR)
    np.testing.assert_allclose(found, [beyond(d) for d in FAR], rtol=1e-9)
    slopes = jax.vmap(jax.grad(law.log_cdf))(-jnp.asarray(FAR))
    step = 1e-4 * FAR
    change = (law.log_cdf(step - FAR) - law.log_cdf(-step - FAR)) / (2 * step)
    np.testing.assert_allclose(slopes, change, rtol=1e-6)


@pytest.mark.parametrize("scatter", [*SCATTERS, noise.StudentT(1000.0)])
def test_an_infinite_bound_is_exactly_that_at_any_distance(scatter):
    seen = lambda low, high: -jnp.exp(noise.log_surprise(scatter, low, high))
    for d in FAR:
        one = jax.value_and_grad(seen)(d, jnp.inf)
        other = jax.value_and_grad(seen, argnums=1)(-jnp.inf, -d)
        expected = jax.value_and_grad(scatter.log_cdf)(-d)
        np.testing.assert_allclose(one, [expected[0], -expected[1]], rtol=1e-12)
        np.testing.assert_allclose(other, expected, rtol=1e-12)
    # Bounds of an event of which nothing is known say nothing.
    nothing = jax.value_and_grad(seen)(-jnp.inf, jnp.inf)
    np.testing.assert_array_equal(nothing, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "exact"),
    [(13.0, np.inf, True), (-np.inf, 2.0, True), (5.0, 6.0, False)],
    ids=["never seen", "over at the first frame", "interval"],
)
def test_bounds_forty_scales_away_still_push(low, high, exact):
    rows = [Event("a", "onset", after=low * HOUR, before=high * HOUR)]
    bounded = noise.EventNoise.of(Events.from_rows(rows), edge_sd=300.0)
    off = 40.0 * 300.0
    wrong = low * HOUR - off if np.isfinite(low) else high * HOUR + off
    (value, slopes), _, (_, row) = looked_at(bounded, jnp.array([wrong]))
    slope = slopes[0] * 300.0
    if exact:
        np.testing.assert_allclose(value, scipy.special.log_ndtr(-40.0), rtol=1e-12)
    assert value < -800.0
    np.testing.assert_allclose(abs(slope), 40.0, rtol=0.02)
    np.testing.assert_allclose(abs(row[0]) * 300.0, 1.0, rtol=0.02)


@pytest.mark.parametrize("scatter", SCATTERS)
def test_rows_and_density_of_events_agree_for_every_prediction(scatter, rng):
    law = event_noise(scatter, discrepancy=400.0)
    moved = PREDICTED + 3.0 * HOUR * rng.standard_normal((40, 5))
    sums = jax.vmap(lambda t: 0.5 * jnp.sum(law.residual(t) ** 2) + law.log_density(t))
    values = sums(jnp.asarray(moved))
    assert np.all(np.isfinite(values))
    np.testing.assert_allclose(values, values[0], rtol=1e-9)


@pytest.mark.parametrize("scatter", SCATTERS)
def test_slopes_of_events_are_finite_differences_everywhere(scatter, rng):
    law = event_noise(scatter)
    step = 1e-3
    for far in (0.1, 1.0, 8.0):
        moved = jnp.asarray(PREDICTED + far * HOUR * rng.standard_normal(5))
        at, up, down = (looked_at(law, moved + d)[1:] for d in (0.0, step, -step))
        for (_, slopes), (above, _), (below, _) in zip(at, up, down, strict=True):
            slopes = np.diag(slopes)
            assert np.all(np.isfinite(slopes))
            change = (above - below) / (2 * step)
            np.testing.assert_allclose(slopes, change, rtol=2e-4, atol=1e-9)


def test_rows_of_bounds_are_smooth_where_the_event_is_certain():
    law = event_noise()
    certain = HOUR * jnp.array([4.0, 1.0, 5.5, 500.0, -500.0])
    rows, slopes = looked_at(law, certain)[2]
    assert np.all(np.isfinite(rows))
    assert np.all(np.isfinite(slopes))
    np.testing.assert_array_equal(rows[3:], 0.0)
    near = HOUR * jnp.array([4.0, 1.0, 5.5, 13.5, 1.5])
    assert np.all(np.array(looked_at(law, near)[2][0][3:]) > 0)
    second = jax.jit(jax.jacfwd(jax.jacfwd(law.residual)))(near)
    assert np.all(np.isfinite(second))


def test_bounded_rows_fall_towards_the_side_that_they_allow():
    law = event_noise()
    later = HOUR * jnp.linspace(0.0, 30.0, 61)
    each = jax.jit(jax.vmap(lambda t: law.log_densities(jnp.full(5, t))))(later)
    assert np.all(np.diff(each[:, 3]) >= 0)
    assert np.all(np.diff(each[:, 4]) <= 0)
    assert np.all(each[:, 2:] <= 0)


@pytest.mark.parametrize("scatter", SCATTERS)
@pytest.mark.parametrize("width", [0.01, 0.3, 2.0, 20.0, 3000.0])
def test_the_row_of_an_interval_crosses_zero_amid_it(scatter, width):
    """Steeply where it is narrow: it is nearly a time. Flat amid a wide one."""
    row = lambda d: scatter_laws.interval_row(scatter, d - width / 2, d + width / 2)
    far = np.geomspace(1e-5, 2e3, 41)
    off = np.concatenate([-far[::-1], [0.0], far])
    rows, slopes = np.asarray(row(off)), np.asarray(jax.vmap(jax.grad(row))(off))
    assert np.all(np.isfinite(slopes) & (slopes >= 0))
    assert np.all(np.diff(rows) >= -1e-9)
    assert row(0.0) == 0.0
    if width < 1:
        exact = scatter.residual(off)
        np.testing.assert_allclose(rows, exact, atol=0.6 * width)
        steep = np.diff(np.asarray(scatter.residual(off[40:43])))
        np.testing.assert_allclose(np.diff(rows[40:43]), steep, rtol=0.02)
    else:
        assert abs(row(0.25 * width)) < 0.7


def test_a_shift_of_the_clock_moves_times_but_not_durations():
    law = event_noise()
    shifted = law.log_densities(PREDICTED, 500.0)
    moved = law.log_densities(PREDICTED + 500.0 * np.array([1, 0, 1, 1, 1]))
    np.testing.assert_allclose(shifted, moved, rtol=1e-12)
    assert shifted[1] == law.log_densities(PREDICTED)[1]


def test_discrepancy_adds_in_quadrature():
    law = event_noise(discrepancy=800.0)
    np.testing.assert_allclose(law.scale[0], 1000.0)
    np.testing.assert_allclose(law.scale[2], np.hypot(300.0, 800.0))
    np.testing.assert_allclose(law.residual(PREDICTED)[0], -0.3 * HOUR / 1000.0)


def test_the_density_is_a_sum_over_events_in_any_order():
    law = event_noise()
    order = np.array([3, 1, 4, 0, 2])
    mixed = jax.tree.map(lambda leaf: leaf[order] if np.ndim(leaf) else leaf, law)
    np.testing.assert_allclose(
        mixed.log_density(PREDICTED[order]), law.log_density(PREDICTED), rtol=1e-12
    )
    total = jnp.sum(law.log_densities(PREDICTED))
    np.testing.assert_allclose(law.log_density(PREDICTED), total, rtol=1e-12)


def test_an_outlier_pulls_less_under_student_than_under_the_normal():
    far = jnp.asarray(PREDICTED).at[0].add(-5.0 * HOUR)
    pulls = [
        abs(looked_at(law, far)[0][1][0])
        for law in (event_noise(), event_noise(noise.StudentT(4.0)))
    ]
    assert 0 < pulls[1] < 0.05 * pulls[0]


def test_a_trace_counts_its_points_by_the_thinning():
    measured = np.array([3.9, 4.0, 4.1])
    law = noise.TraceNoise(measured, 0.003, discrepancy=0.004, thinning=9.0)
    np.testing.assert_allclose(law.residual(measured - 0.015), 1.0)
    one, other = law.log_density(measured), law.log_density(measured - 0.015)
    np.testing.assert_allclose(one - other, 1.5)


def test_noise_that_cannot_be_is_refused_by_name():
    with pytest.raises(ValueError, match="`discrepancy` must be 0 or more"):
        event_noise(discrepancy=-1.0)
    with pytest.raises(ValueError, match="give `edge_sd` or `discrepancy`"):
        event_noise(edge_sd=0.0)
    with pytest.raises(ValueError, match="`degrees` must be positive"):
        noise.StudentT(0.0)
    with pytest.raises(ValueError, match="`sd` of a trace must be positive"):
        noise.TraceNoise(np.ones(2), 0.0)
    with pytest.raises(ValueError, match="row 1 is nan"):
        noise.TraceNoise(np.array([1.0, np.nan]), 0.1)


@pytest.mark.parametrize("scatter", SCATTERS)
def test_a_normal_score_is_as_probable_under_the_normal_law(scatter):
    law = REFERENCE[type(scatter).__name__]
    z = np.array([-30.0, -4.0, -0.1, 0.0, 1e-3, 2.0, 37.0])
    found = normal_score(scatter, z)
    expected = np.sign(z) * scipy.stats.norm.isf(law.sf(np.abs(z)))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    far = normal_score(scatter, np.array([-1e8, 1e8]))
    assert np.all(np.isfinite(far))
    np.testing.assert_array_equal(np.sign(far), [-1.0, 1.0])


@pytest.mark.parametrize("scatter", SCATTERS)
def test_what_is_drawn_is_of_the_law(scatter, rng):
    drawn = scatter.sample(rng, (40, 50))
    assert drawn.shape == (40, 50)
    cdf = lambda z: np.exp(scatter.log_cdf(z))
    assert scipy.stats.kstest(drawn.ravel(), cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sd": jnp.asarray(np.nan)}, "`sd` of a trace must be positive, but is Array"),
        ({"sd": "0.1"}, "`sd` of a trace must be positive, but is '0.1'"),
        ({"discrepancy": -0.1}, "`discrepancy` of a trace must be 0 or more"),
        ({"thinning": 0.0}, "`thinning` of a trace must be positive, but is 0.0"),
        ({"thinning": [1.0, 2.0]}, "`thinning` of a trace must be positive"),
        ({"scatter": "normal"}, "`scatter` must be a law .* but is 'normal'"),
        ({"measured": [1.0, "a"]}, "must be an array of numbers, but is .1.0, 'a'."),
        ({"measured": jnp.array([1.0, jnp.inf])}, "row 1 is inf"),
    ],
)
def test_noise_of_a_trace_that_cannot_be_is_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        noise.TraceNoise(**{"measured": np.ones(2), "sd": 0.1} | changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: event_noise(noise.Normal), "`scatter` must be a law"),
        (lambda: event_noise(edge_sd=None), "`edge_sd` must be 0 or more .s., but is"),
        (lambda: event_noise(discrepancy=np.nan), "`discrepancy` must be 0 or more"),
        (lambda: noise.EventNoise.of([1.0]), "`events` must be .* but is a list"),
        (lambda: noise.StudentT(np.inf), "`degrees` must be positive, but is inf"),
        (lambda: noise.StudentT("4"), "`degrees` must be positive, but is '4'"),
    ],
)
def test_laws_and_scales_of_events_that_cannot_be_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_traced_scales_of_a_trace_may_be_anything():
    density = lambda sd: noise.TraceNoise(np.ones(2), sd).log_density(np.zeros(2))
    slope = jax.jit(jax.grad(density))(0.5)
    assert slope == pytest.approx(2 * (1 / 0.5**3 - 1 / 0.5))
