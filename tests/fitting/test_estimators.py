import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitting.estimators import LN9, Jump, fit_jump

HOUR = 3600.0
TIMES = HOUR * np.linspace(2.0, 14.0, 33)
TRUTH = Jump(
    midpoint=6.3 * HOUR,
    scale=0.5 * HOUR,
    amplitude=2.5,
    level=0.3,
    slope_before=0.02 / HOUR,
    slope_after=0.1 / HOUR,
    covariance=None,
)


def sigmoid_trace(parameters):
    """A rise that is no logistic, so that the fit leaves a residual."""
    middle, width = parameters
    rise = 1 / (1 + jnp.exp(-(TIMES - middle * HOUR) / (width * HOUR))) ** 1.3
    return 0.1 + 0.3 * rise + 0.01 * TIMES / HOUR


def jump_numbers(parameters):
    jump = fit_jump(TIMES, sigmoid_trace(parameters))
    return jnp.stack([jump.midpoint / HOUR, jump.duration / HOUR, jump.amplitude])


@pytest.fixture(scope="module")
def jacobians():
    """Forward, reverse and by central differences, of three numbers to two."""
    at = jnp.array([7.3, 0.4])
    step = 1e-3 * jnp.eye(2)
    columns = [(jump_numbers(at + s) - jump_numbers(at - s)) / 2e-3 for s in step]
    forward = jax.jacfwd(jump_numbers)(at)
    return forward, jax.jacrev(jump_numbers)(at), np.stack(columns, axis=1)


def test_a_jump_without_noise_is_found_exactly():
    found = fit_jump(TIMES, TRUTH.trace(TIMES), 1e-5)
    for name in ("midpoint", "scale", "amplitude", "level"):
        assert getattr(found, name) == pytest.approx(getattr(TRUTH, name), rel=1e-4)
    assert found.slope_before * HOUR == pytest.approx(0.02, abs=1e-4)
    assert found.slope_after * HOUR == pytest.approx(0.1, abs=1e-4)
    np.testing.assert_allclose(found.trace(TIMES), TRUTH.trace(TIMES), atol=1e-4)


def test_onset_and_completion_are_a_tenth_and_nine_tenths_of_the_jump():
    u = (np.array([TRUTH.onset, TRUTH.completion]) - TRUTH.midpoint) / TRUTH.scale
    np.testing.assert_allclose(1 / (1 + np.exp(-u)), [0.1, 0.9])
    assert TRUTH.duration == pytest.approx(TRUTH.completion - TRUTH.onset)


@pytest.mark.parametrize("shift", [-0.41, 0.0, 0.17, 3.03])
def test_a_midpoint_follows_its_trace_between_frames(shift):
    here = fit_jump(TIMES, sigmoid_trace((6.0 + shift, 0.4))).midpoint
    assert (here - fit_jump(TIMES, sigmoid_trace((6.0, 0.4))).midpoint) == (
        pytest.approx(shift * HOUR, abs=0.01 * HOUR)
    )


def test_units_and_zeros_of_a_trace_do_not_matter():
    trace = TRUTH.trace(TIMES)
    one, other = fit_jump(TIMES, trace), fit_jump(TIMES + 50.0, 7.0 * trace - 300.0)
    assert other.midpoint - 50.0 == pytest.approx(float(one.midpoint), rel=1e-9)
    assert other.scale == pytest.approx(float(one.scale), rel=1e-7)
    assert other.amplitude == pytest.approx(7.0 * float(one.amplitude), rel=1e-7)


def test_the_scatter_of_midpoints_is_the_deviation_stated(rng):
    noise = 0.1
    noisy = TRUTH.trace(TIMES) + noise * rng.standard_normal((60, TIMES.size))
    size = jnp.ptp(TRUTH.trace(TIMES))
    found = [fit_jump(TIMES, trace, float(noise / size)) for trace in noisy]
    variances = np.mean([np.diag(jump.covariance) for jump in found], axis=0)
    seen = [np.std([j.midpoint for j in found]), np.std([j.scale for j in found])]
    np.testing.assert_allclose(seen, np.sqrt(variances), rtol=0.3)


def test_forward_and_reverse_derivatives_agree(jacobians):
    forward, reverse, _ = jacobians
    np.testing.assert_allclose(forward, reverse, atol=1e-9)


@pytest.mark.parametrize("extreme", [np.argmin, np.argmax])
def test_derivatives_know_that_the_range_is_that_of_the_frames(extreme):
    """The largest and the smallest frame move the units of priors and noise too."""
    scatter = 0.02 * np.random.default_rng(0).standard_normal(TIMES.size)
    trace = TRUTH.trace(TIMES) + scatter * TRUTH.amplitude

    @jax.jit
    def midpoint(trace):
        return fit_jump(TIMES, trace, 0.05).midpoint / HOUR

    step = 1e-3 * (np.arange(TIMES.size) == extreme(trace))
    difference = (midpoint(trace + step) - midpoint(trace - step)) / 2e-3
    found = jax.grad(midpoint)(trace) @ step / 1e-3
    assert found == pytest.approx(float(difference), rel=2e-3)


def test_derivatives_are_those_of_differences(jacobians):
    forward, _, differences = jacobians
    assert np.all(np.isfinite(forward))
    scale = np.abs(differences).max(axis=1, keepdims=True)
    np.testing.assert_allclose(forward / scale, differences / scale, atol=1e-4)


def test_a_step_between_two_frames_has_the_least_duration():
    step = np.where(TIMES < 6.3 * HOUR, 0.0, 1.0)
    found = fit_jump(TIMES, step)
    spacing = TIMES[1] - TIMES[0]
    assert found.scale == pytest.approx(spacing / (4 * LN9), rel=0.5)
    k = np.searchsorted(TIMES, 6.3 * HOUR)
    assert TIMES[k - 1] <= found.midpoint <= TIMES[k]


def test_a_constant_trace_gives_finite_numbers():
    found = fit_jump(TIMES, jnp.full(TIMES.size, 3.0))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found))
    assert abs(found.amplitude) < 0.01


@pytest.mark.parametrize("kind", [int, np.uint16, np.float32])
def test_counts_of_a_camera_give_the_jump_of_their_numbers(kind):
    counts = np.round(1000.0 * TRUTH.trace(TIMES)).astype(kind)
    found, expected = fit_jump(TIMES, counts), fit_jump(TIMES, counts.astype(float))
    assert found.midpoint == pytest.approx(float(expected.midpoint), rel=1e-4)
    assert found.amplitude == pytest.approx(2500.0, rel=0.05)


def test_whole_instants_and_lists_are_numbers_too():
    trace = TRUTH.trace(TIMES)
    found = fit_jump(TIMES.astype(int).tolist(), trace.tolist())
    assert found.midpoint == pytest.approx(TRUTH.midpoint, rel=1e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"noise": 0.0}, "`noise` must be above 0.*but is 0.0"),
        ({"noise": np.nan}, "`noise` must be above 0.*but is nan"),
        ({"times": TIMES[::-1]}, "`times` must increase.* entry 1 is"),
        ({"times": np.where(np.arange(33) > 9, np.inf, TIMES)}, "entry 10 is inf"),
        ({"trace": np.where(np.arange(33) == 3, np.nan, 1.0)}, "entry 3 is nan"),
        ({"trace": "abc"}, "`trace` must be numbers, but is 'abc'"),
        ({"trace": np.ones(5)}, "one number at each .* shapes \\(5,\\) and \\(33,\\)"),
        ({"times": TIMES[:1], "trace": np.ones(1)}, "two or more"),
    ],
)
def test_frames_that_cannot_be_fitted_are_refused_by_name(changes, words):
    given = {"times": TIMES, "trace": TRUTH.trace(TIMES), "noise": 0.01}
    with pytest.raises(ValueError, match=words):
        fit_jump(**given | changes)


def test_frames_that_are_traced_are_fitted_as_before():
    trace = TRUTH.trace(TIMES)
    found = jax.jit(lambda *frames: fit_jump(*frames).midpoint)(TIMES, trace, 0.01)
    assert found == pytest.approx(float(fit_jump(TIMES, trace).midpoint), rel=1e-9)
