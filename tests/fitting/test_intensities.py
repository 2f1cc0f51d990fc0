"""Whole traces: bins, the density with level and gain integrated out, its rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fitting.intensities import IntensityNoise, binned

HOUR = 3600.0
TIME = np.linspace(0.0, 10.0, 61) * HOUR


def course_of(midpoint):
    """Stoichiometry that falls from 1 to 0.5 within an hour [s]."""
    return 1.0 - 0.5 / (1.0 + np.exp(-(TIME - midpoint) / (0.1 * HOUR)))


def traces(rng, noise=0.02):
    """Two particles, one of them dark and upside down; some frames are not valid."""
    rising = 1.0 - course_of(3.0 * HOUR)
    falling = 7.0 + 0.02 * course_of(6.0 * HOUR)
    made = np.stack([rising, falling])
    size = np.array([[0.5], [0.01]])
    made = made + noise * size * rng.standard_normal(made.shape)
    made[0, 5] = made[1, 58:] = np.nan
    return made


@pytest.fixture
def seen(rng):
    return binned(TIME, ("a", "b"), traces(rng))


def predicted(first=3.0, second=6.0):
    return np.stack([course_of(first * HOUR), course_of(second * HOUR)], axis=1)


def test_few_frames_have_a_bin_each_that_reaches_half_way(seen):
    assert seen.value.shape == (2, 61)
    np.testing.assert_allclose(np.diff(seen.edges), TIME[1])
    np.testing.assert_allclose(seen.middle, TIME, atol=1e-9)
    assert np.isnan(seen.value[0, 5])
    np.testing.assert_array_equal(seen.count[1], np.r_[np.ones(58), np.zeros(3)])


def test_many_frames_share_bins_and_keep_their_mean(rng):
    time = np.linspace(-1.0, 12.0, 2000) * HOUR
    trace = rng.standard_normal((1, 2000))
    trace[0, 700:720] = np.nan
    found = binned(time, ("a",), trace, (0.0, 10.0 * HOUR))
    inside = (time >= 0) & (time <= 10 * HOUR)
    assert found.value.shape == (1, 120)
    assert found.edges[0] >= 0.0
    assert found.edges[-1] <= 10 * HOUR
    assert np.sum(found.count) == inside.sum() - 20
    total = np.nansum(found.value * found.count)
    np.testing.assert_allclose(total, np.nansum(trace[0, inside]), rtol=1e-10)


def test_the_noise_of_a_frame_is_not_raised_by_a_jump(rng):
    time = np.linspace(0.0, 10.0, 601) * HOUR
    trace = (time > 5 * HOUR) + 0.01 * rng.standard_normal((20, 601))
    found = binned(time, tuple(map(str, range(20))), trace)
    assert np.mean(found.noise) == pytest.approx(0.01, rel=0.05)


def test_the_density_is_that_of_a_normal_law_with_level_and_gain_drawn(seen):
    noise = IntensityNoise.of(seen, 0.03)
    found = noise.log_densities(TIME, predicted())
    for p, course in enumerate(predicted().T):
        known = noise.weight[p] > 0
        fine = np.linspace(noise.edges[:-1], noise.edges[1:], 4001, axis=1)
        at = np.clip(fine, TIME[0], TIME[-1])
        change = np.interp(at, TIME, course - course[0])
        mean = np.trapezoid(change, fine, axis=1) / np.diff(noise.edges)
        basis = np.stack([2.0 * np.ones(61), 5.0 * mean], axis=1)[known]
        covariance = basis @ basis.T + np.diag(noise.weight[p, known] ** -2.0)
        law = scipy.stats.multivariate_normal(cov=covariance)
        expected = law.logpdf(noise.value[p, known])
        assert float(found[p]) == pytest.approx(expected, rel=1e-5)


def test_rows_and_density_differ_by_a_constant(seen):
    noise = IntensityNoise.of(seen, 0.03)
    sums = []
    for first, second in ((3.0, 6.0), (2.0, 6.1), (9.0, 1.0)):
        course = predicted(first, second)
        rows = noise.residual(TIME, course)
        density = jnp.sum(noise.log_densities(TIME, course))
        sums.append(float(0.5 * jnp.sum(rows**2) + density))
    np.testing.assert_allclose(sums, sums[0], rtol=1e-9)
    assert noise.row_counts.shape == rows.shape
    assert np.sum(noise.row_counts > 0) == np.sum(seen.count > 0)


@pytest.mark.parametrize(("noise", "sd"), [(0.1, 1e-6), (1e-9, 0.05), (0.03, 0.03)])
def test_bins_count_as_many_as_their_squares_come_to(rng, noise, sd):
    times = np.arange(4000.0)
    alike = np.repeat(rng.standard_normal(1000), 4) * sd
    trace = np.linspace(0.0, 1.0, 4000) + alike + noise * rng.standard_normal(4000)
    weight, counts = [], []
    for part in np.split(np.arange(4000), 40):
        seen = binned(times[part], ("a",), trace[None, part])
        seen = seen._replace(noise=np.array([noise]), value=seen.value * 0 + 1.0)
        seen.value[0, ::2] = 0.0  # a range of 1
        law = IntensityNoise.of(seen, sd)
        weight.append(law.weight[0])
        counts.append(law.counts[0])
    rows = np.concatenate(weight) * (trace - np.linspace(0.0, 1.0, 4000))
    assert np.sum(rows**2) == pytest.approx(np.sum(counts), rel=0.1)


def test_contrast_and_brightness_do_not_matter(seen):
    noise = IntensityNoise.of(seen, 0.03)
    other = seen._replace(value=100.0 - 3.0 * seen.value, noise=3.0 * seen.noise)
    rows = IntensityNoise.of(other, 0.03).residual(TIME, predicted())
    expected = noise.residual(TIME, predicted())
    np.testing.assert_allclose(np.abs(rows), np.abs(expected), rtol=1e-8, atol=1e-10)


def test_the_true_times_are_the_likeliest(seen):
    noise = IntensityNoise.of(seen, 0.01)
    tried = np.linspace(2.0, 7.0, 101)
    found = [noise.log_densities(TIME, predicted(t, t)) for t in tried]
    best = tried[np.argmax(found, axis=0)]
    np.testing.assert_allclose(best, [3.0, 6.0], atol=0.11)


def test_a_clock_that_is_ahead_moves_the_data(seen):
    noise = IntensityNoise.of(seen, 0.03)
    late = binned(
        TIME + 600.0, ("a", "b"), np.where(seen.count > 0, seen.value, np.nan)
    )
    moved = IntensityNoise.of(late, 0.03).residual(TIME, predicted(), 600.0)
    np.testing.assert_allclose(moved, noise.residual(TIME, predicted()), atol=1e-9)


def test_slopes_are_finite_differences_though_bins_are_wider_than_jumps(seen):
    noise = IntensityNoise.of(seen, 0.03)
    width, fine = 60.0, np.linspace(0.0, 10.0, 2001) * HOUR

    def loss(midpoint):
        fall = 0.5 * jax.nn.sigmoid((fine - midpoint) / width)
        course = jnp.stack([1.0 - fall, 1.0 - fall], axis=1)
        return 0.5 * jnp.sum(noise.residual(fine, course) ** 2)

    value = jax.jit(loss)
    for midpoint in (2.5 * HOUR, 3.05 * HOUR, 8.0 * HOUR):
        slope = jax.jit(jax.grad(loss))(midpoint)
        difference = (value(midpoint + 1.0) - value(midpoint - 1.0)) / 2.0
        assert float(slope) == pytest.approx(float(difference), rel=1e-4)
        assert slope != 0


def test_what_cannot_be_used_is_named(rng):
    made = traces(rng)
    with pytest.raises(
        ValueError, match=r"8 frames or more in the half cycle, but hav"
    ):
        binned(TIME, ("a", "b"), made, (0.0, HOUR))
    made[1, 6:] = np.nan
    with pytest.raises(ValueError, match=r"'b' must have 8 valid frames"):
        binned(TIME, ("a", "b"), made)
    flat = binned(TIME, ("a",), np.ones((1, 61)))
    with pytest.raises(ValueError, match=r"'a' must vary, but is constant"):
        IntensityNoise.of(flat, 0.05)
    with pytest.raises(ValueError, match=r"must be positive, but is 0"):
        IntensityNoise.of(flat, 0.0)


@pytest.mark.parametrize(
    ("time", "labels", "words"),
    [
        (TIME[::-1], ("a", "b"), "must increase, but do not from frame 0"),
        (TIME[[0, *range(60)]], ("a", "b"), "must increase, but do not from frame 0"),
        (TIME, ("a", "b", "c"), r"each of 3 labels .* but have the shape \(2, 61\)"),
        (TIME[1:], ("a", "b"), r"each of 60 frames, but have the shape \(2, 61\)"),
    ],
)
def test_traces_of_another_form_are_refused(rng, time, labels, words):
    with pytest.raises(ValueError, match=words):
        binned(time, labels, traces(rng))


def test_a_particle_without_intensities_is_refused(seen):
    with pytest.raises(ValueError, match=r"'zz' must be one whose .* are a, b"):
        seen.select(["a", "zz"])


def test_particles_are_taken_by_name(seen):
    turned = seen.select(("b", "a"))
    np.testing.assert_array_equal(turned.value, seen.value[::-1])
    np.testing.assert_array_equal(turned.noise, seen.noise[::-1])
    assert seen.select(("b",)).labels == ("b",)
