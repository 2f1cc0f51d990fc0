"""Diagnostics against ArviZ 0.23.4, and the sentence that they end in."""

import numpy as np
import pytest
import scipy.special

from fitting import diagnostics, pareto
from fitting.diagnostics import Diagnosis, Quantity
from fitting.samplers import Draw
from fitting.sampling import Samples

# ArviZ 0.23.4 on the same chains: rhat(method="rank"), ess(method="bulk" and "tail"),
# mean of bfmi; psislw's k and 1/sum(w^2).
BY_ARVIZ = {
    (0.5, False, 0.0): (1.00451, 547.158, 1310.81, 0.949993),
    (0.9, False, 0.0): (1.03696, 132.028, 190.148, 0.226561),
    (-0.4, False, 0.0): (0.999682, 4114.07, 2182.96, 2.74076),
    (0.6, True, 0.0): (1.00869, 519.66, 949.739, 1.12092),
    (0.3, False, 0.3): (1.0668, 51.0592, 1167.51, 1.41798),
}
WEIGHTS_BY_ARVIZ = (
    (3.5855904140424983, 1.048967853644549),
    (1.4730010768168078, 3.795104341383613),
    (-1.5234155293782794, 865.7304155602526),
)


@pytest.fixture(scope="module")
def made():
    """Chains with memory, with heavy tails, apart from each other; then weights."""
    rng = np.random.default_rng(7)
    chains = {}
    for memory, heavy, apart in BY_ARVIZ:
        noise = rng.standard_normal((4, 500))
        x = np.zeros((4, 500))
        for t in range(1, 500):
            x[:, t] = memory * x[:, t - 1] + noise[:, t]
        x = np.sinh(x) if heavy else x
        chains[memory, heavy, apart] = x + apart * np.arange(4)[:, None]
    logs = [np.abs(rng.standard_t(df, 1000)) for df in (2, 5)]
    return chains, [*logs, -0.5 * rng.standard_normal(1000) ** 2]


@pytest.mark.parametrize("case", BY_ARVIZ)
def test_chains_are_judged_as_by_arviz(case, made):
    chains, expected = made[0][case], BY_ARVIZ[case]
    assert diagnostics.rhat(chains) == pytest.approx(expected[0], rel=1e-5)
    # ArviZ takes quantiles otherwise, and ends Geyer's sequence an odd term later.
    assert diagnostics.bulk_size(chains) == pytest.approx(expected[1], rel=0.02)
    assert diagnostics.tail_size(chains) == pytest.approx(expected[2], rel=0.02)
    bfmi = diagnostics.ebfmi(chains).mean()
    assert bfmi == pytest.approx(expected[3], rel=0.005)


@pytest.mark.parametrize("k", range(3))
def test_weights_are_smoothed_as_by_arviz(k, made):
    smoothed = pareto.smooth_weights(made[1][k])
    shape, effective = WEIGHTS_BY_ARVIZ[k]
    assert smoothed.shape == pytest.approx(shape, rel=1e-9)
    assert smoothed.effective == pytest.approx(effective, rel=1e-9)
    assert smoothed.weights.sum() == pytest.approx(1.0)


def test_weights_of_zero_count_for_nothing():
    logs = np.r_[np.random.default_rng(0).standard_normal(500), np.full(100, -np.inf)]
    smoothed = pareto.smooth_weights(logs)
    assert np.all(smoothed.weights[500:] == 0)
    assert np.isfinite(smoothed.shape)
    with pytest.raises(ValueError, match="must be above zero"):
        pareto.smooth_weights(np.full(3, -np.inf))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=f"or -inf, but that of draw 1 is {bad}"):
            pareto.smooth_weights(np.array([0.0, bad, 1.0]))


def test_weights_of_zero_count_for_nothing_where_most_of_them_are():
    """As where nine solves in ten fail: the tail is longer than what is above zero."""
    logs = np.full(1200, -np.inf)  # 104 in the tail
    logs[::13] = np.random.default_rng(0).standard_normal(93)
    smoothed = pareto.smooth_weights(logs)
    assert np.isfinite(smoothed.shape)
    np.testing.assert_array_equal(smoothed.weights > 0, np.isfinite(logs))
    assert smoothed.weights.sum() == pytest.approx(1.0)


def test_a_tail_of_equal_weights_tells_nothing():
    logs = np.repeat(np.random.default_rng(0).standard_normal(12), 40)
    assert pareto.smooth_weights(logs).shape == np.inf


@pytest.mark.parametrize("logs", [[0.0], [-3.0], [0.0, -9.0], [0.0, 0.0, -9.0]])
def test_a_few_weights_are_what_they_are_and_tell_nothing(logs):
    smoothed = pareto.smooth_weights(np.array(logs))
    assert smoothed.shape == np.inf
    np.testing.assert_allclose(smoothed.weights, scipy.special.softmax(logs))


def test_weights_that_are_all_the_same_have_no_tail():
    smoothed = pareto.smooth_weights(np.zeros(100))
    assert smoothed.shape == -np.inf
    assert smoothed.effective == pytest.approx(100.0)


@pytest.mark.parametrize("spread", [30.0, 150.0, 416.0, 425.0, 434.0, 1e3, 1e6])
def test_weights_of_which_one_outweighs_all_are_finite_and_not_relied_on(spread):
    # From 416 to 434 the quartile of the tail is too small a number to divide by.
    logs = spread * np.random.default_rng(0).standard_normal(750)
    with np.errstate(all="raise", under="ignore"):
        smoothed = pareto.smooth_weights(logs)
    assert np.isfinite(smoothed.weights).all()
    assert smoothed.weights.sum() == pytest.approx(1.0)
    assert np.argmax(smoothed.weights) == np.argmax(logs)
    assert smoothed.shape > pareto.largest_shape(logs.size)


def test_few_weights_must_have_shorter_tails():
    # 1 - 1/log10(S), and 0.7 at most (Vehtari et al. 2024)
    limits = [pareto.largest_shape(count) for count in (100, 316, 1000, 2200, 10**6)]
    np.testing.assert_allclose(limits, [0.5, 0.6, 2 / 3, 0.7, 0.7], atol=1e-3)
    few = diagnosis(num_chains=1, num_draws=160, shape=0.6)
    many = diagnosis(num_chains=1, num_draws=1600, shape=0.6)
    assert "below 0.69" in many.verdict()
    doubted = diagnostics._doubts_of_weights(few)
    assert any("above 0.55" in doubt for doubt in doubted)
    assert not any("shape" in d for d in diagnostics._doubts_of_weights(many))
    near = diagnosis(num_chains=1, num_draws=160, shape=0.547)
    doubted = diagnostics._doubts_of_weights(near)
    assert any("shape 0.547 (above 0.546)" in doubt for doubt in doubted)


def test_constants_have_no_diagnostics():
    flat = np.ones((4, 100))
    assert np.isnan(diagnostics.rhat(flat))
    assert np.isnan(diagnostics.bulk_size(flat))


def quantity(**changes):
    fields = {
        **{"label": "a [m]", "mean": 1.0, "sd": 0.1, "low": 0.8, "median": 1.0},
        **{"high": 1.2, "rhat": 1.004, "bulk": 900.0, "tail": 700.0},
    }
    return Quantity(**fields | changes)


def diagnosis(*quantities, **changes):
    fields = {
        "quantities": (quantity(), *quantities),
        **{"num_chains": 4, "num_draws": 500, "ebfmi": (0.9, 1.0, 0.8, 1.1)},
        **{"num_diverging": 0, "num_failed": 0, "num_failed_warmup": 3},
        **{"num_deep": 0, "num_solves": 9000, "shape": None},
    }
    return Diagnosis(**fields | changes)


def test_the_remedy_is_one_that_the_sampler_has():
    assert diagnosis(num_diverging=2).verdict().endswith("longer warm-up may mend it.")
    few = diagnosis(quantity(bulk=20.0), shape=0.3).verdict()
    assert few.endswith("(below 400). More draws may mend it.")
    far = diagnosis(shape=0.9).verdict()
    assert far.endswith(
        "to the posterior. Sample with chains (--sampler nuts, hmc or slice) instead."
    )
    for shape in (None, 0.3):  # more draws fail as often
        cut = diagnosis(num_failed=21, shape=shape).verdict()
        assert cut.endswith(
            "solved. Tighten --rtol, or hold fixed what leads to where solves fail."
        )
    both = diagnosis(num_failed=21, num_diverging=2).verdict()
    assert both.endswith("longer warm-up may mend it.")


def test_one_divergence_is_no_plural():
    one = diagnosis(num_diverging=1, num_failed=2).counts()
    assert one == "1 divergence, 2 failed solves (and 3 in warm-up), 9000 solves"
    other = diagnosis(num_failed=1).counts()
    assert other.startswith("0 divergences, 1 failed solve (")


def test_a_good_run_may_be_trusted():
    found = diagnosis()
    assert found.doubts == ()
    assert found.verdict() == (
        "The draws may be trusted: R-hat is at most 1.004, effective sizes are at "
        "least 900 (bulk) and 700 (tail), E-BFMI at least 0.80, and no trajectory "
        "diverged."
    )
    assert "; 2 solves failed" in diagnosis(num_failed=2).verdict()
    assert "; 1 solve failed" in diagnosis(num_failed=1).verdict()
    doubts = diagnosis(num_diverging=1, num_chains=1).doubts
    assert "1 trajectory diverged" in doubts
    assert doubts[0] == "only 1 chain ran (4 or more should)"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (diagnosis(quantity(label="b", rhat=1.02)), "R-hat of b is 1.020"),
        (diagnosis(quantity(label="b", bulk=300.0)), "bulk effective size of b is 300"),
        (diagnosis(quantity(label="b", tail=99.0)), "tail effective size of b is 99"),
        (diagnosis(num_diverging=1), "1 trajectory diverged"),
        (diagnosis(num_failed=21), "21 solves failed on the way to 2000 draws"),
        (diagnosis(num_deep=21), "21 trajectories were cut off"),
        (diagnosis(ebfmi=(0.9, 0.2)), "E-BFMI is 0.20"),
        (diagnosis(num_chains=2), "only 2 chains ran"),
        (diagnosis(shape=0.9), "have the shape 0.90"),
        (diagnosis(quantity(bulk=20.0), shape=0.3), "worth 20 draws"),
        (diagnosis(num_failed=21, shape=0.3), "21 solves failed on the way to 2000 dr"),
    ],
)
def test_every_reason_for_doubt_is_told(found, words):
    assert len(found.doubts) == 1
    assert found.verdict().startswith("The draws must not be trusted yet: ")
    assert words in found.verdict()


def made_up(rng, **changes):
    shape = (4, 50)
    fields = {name: np.zeros(shape) for name in Draw._fields}
    fields |= {name: rng.standard_normal((*shape, 2)) for name in ("raw", "times")}
    fields |= {"energy": rng.standard_normal(shape), "num_solves": np.full(shape, 7)}
    fields |= {name: np.zeros(shape, int) for name in ("depth", "num_failed")}
    fields |= {"diverging": np.zeros(shape, bool)}
    return Draw(**fields | changes)


def test_failed_solves_are_told_apart_from_divergences(rng):
    diverging, failed = np.zeros((2, 4, 50), int)
    diverging[0, 3:5] = 1
    failed[0, :3] = 1
    draws = made_up(rng, diverging=diverging.astype(bool), num_failed=failed)
    warmup = made_up(rng, num_failed=failed)
    found = diagnostics.diagnose(
        Samples(draws, warmup), draws.raw, ("a", "b"), max_depth=5
    )
    assert (found.num_diverging, found.num_failed) == (2, 3)
    assert found.num_failed_warmup == 3
    assert found.num_solves == 2 * 7 * 200
    assert found.num_deep == 0
    assert [q.label for q in found.quantities] == ["a", "b"]


def test_weighted_draws_are_drawn_again_by_their_weights(rng):
    logs = np.where(np.arange(200).reshape(4, 50) % 2 == 0, -np.inf, 0.1)
    draws = made_up(rng, log_weight=logs)
    again = diagnostics.resampled(draws, seed=0)
    assert again.raw.shape == draws.raw.shape
    kept = draws.raw[logs > -1][:, 0]
    assert np.all(np.isin(again.raw[..., 0], kept))
    assert np.all(again.log_weight == 0)
    assert diagnostics.resampled(made_up(rng), 0).raw.shape == draws.raw.shape
    # Under whole traces there are no events to predict.
    without = draws._replace(times=np.zeros((4, 50, 0)))
    assert diagnostics.resampled(without, seed=0).times.shape == (4, 50, 0)


def verdict_of(rng, bent=None, **changes):
    """Of three numbers, the first two of which a function has bent."""
    shape = (4, 1000)
    values = rng.standard_normal((*shape, 3))
    if bent is not None:
        bent(values)
    fields = {name: np.zeros(shape) for name in Draw._fields}
    fields |= {"raw": values, "diverging": np.zeros(shape, bool)}
    draws = Draw(**fields | {"energy": np.full(shape, np.nan)} | changes)
    with np.errstate(all="ignore"):
        found = diagnostics.diagnose(Samples(draws, draws), values, ("a", "b", "c"))
        return found.verdict()


def one_lost(values):
    values[2, 17, 0] = np.nan


def all_lost(values):
    values[..., :2] = np.inf


def still(values):
    values[..., 0] = 0.1


def all_still(values):
    values[:] = 0.0


def lost_and_still(values):
    one_lost(values)
    values[..., 1] = 3.0


def stuck_apart(values):
    values[..., 0] = np.arange(4.0)[:, None]


@pytest.mark.parametrize(
    ("bent", "words"),
    [
        (one_lost, "some draws of a are no finite numbers"),
        (all_lost, "some draws of a and b are no finite numbers"),
        (still, "a never moved"),
        (all_still, "a, b and c never moved"),
        (lost_and_still, "some draws of a are no finite numbers; b never moved"),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_that_are_none_or_never_move_must_not_be_trusted(
    bent, words, weighted, rng
):
    weights = 0.1 * rng.standard_normal((4, 1000)) if weighted else np.zeros((4, 1000))
    assert "may be trusted" in verdict_of(rng, log_weight=weights)
    assert verdict_of(rng, bent, log_weight=weights) == (
        f"The draws must not be trusted yet: {words}. Sample with another seed; hold "
        "fixed what does not move then either."
    )


def test_chains_that_are_each_stuck_elsewhere_must_not_be_trusted(rng):
    assert "R-hat of a is inf (above 1.01)" in verdict_of(rng, stuck_apart)
