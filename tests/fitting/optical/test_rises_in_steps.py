import numpy as np
import pytest

from fitting.optical.degrees import degrees_of
from fitting.optical.onsets import find_onsets
from fitting.optical.verdicts import Outcome

from .made_traces import HOUR, TIMES, rise, traces_of

OTHERS = {"a": rise(3.0), "b": rise(5.0), "c": rise(8.0)}


def found_in(row, noise):
    traces = traces_of({"row": row} | OTHERS, noise)
    (one,) = find_onsets(traces)
    return traces, one, one.onsets[0]


@pytest.mark.parametrize("share", [0.4, 0.5, 0.65])
@pytest.mark.parametrize("duration", [0.1, 0.4])
def test_what_rises_in_two_steps_lies_between_their_ends(share, duration):
    """As the two pieces of a cracked particle."""
    row = rise(3.0, duration, 0.3 * share) + rise(8.0, duration, 0.3 * (1 - share))
    traces, one, onset = found_in(row, 0.002)
    assert onset.outcome is Outcome.INTERVAL
    assert onset.reasons == ("rises more than once",)
    ends = 3.0 - 0.5 * duration, 8.0 + 0.5 * duration
    assert ends[0] - 0.2 < onset.after / HOUR < ends[0]
    assert ends[1] < onset.before / HOUR < ends[1] + 0.2
    assert np.isnan(onset.midpoint)
    assert np.isnan(onset.duration)
    degree = degrees_of(traces, one).degree[0]
    np.testing.assert_allclose(degree[[5, 45, -5]], [0.0, share, 1.0], atol=0.06)


def once(kind):
    """A rise of 0.3 at 6 h that is not all of its trace's change."""
    away = TIMES / HOUR - 6.0
    before, after = np.minimum(away, 0.0), np.maximum(away, 0.0)
    return (
        rise(6.0)
        + {
            "ever faster before": 0.2 * np.exp(before / 1.5),
            "ever slower after": 0.3 * (1 - np.exp(-after / 1.5)),
            "at a rate after": 0.05 * after,
            "from another rate on after": 0.1 * np.maximum(after - 2.0, 0.0),
            "on after a pause": 0.1 * np.clip(after - 1.5, 0.0, 3.0),
            "back and forth": rise(9.0, 1.0, 0.15) - rise(8.0, 0.4, 0.15),
            "back in part": -0.15 * (1 - np.exp(-after)),
            "a small step after": rise(9.0, 0.1, 0.05),
        }[kind]
    )


@pytest.mark.parametrize("noise", [0.001, 0.006])
@pytest.mark.parametrize(
    "kind",
    [
        "ever faster before",
        "ever slower after",
        "at a rate after",
        "from another rate on after",
        "on after a pause",
        "back and forth",
        "back in part",
        "a small step after",
    ],
)
def test_slow_changes_beside_a_rise_are_no_second_one(kind, noise):
    onset = found_in(once(kind), noise)[2]
    assert onset.outcome is Outcome.EXACT
    assert onset.midpoint / HOUR == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("noise", [0.001, 0.006])
@pytest.mark.parametrize("gap", [2.5, 3.5, 5.0])
@pytest.mark.parametrize("share", [0.4, 0.6])
def test_steps_close_to_each_other_are_not_one_wide_rise(share, gap, noise):
    """Halfway up their sum, with a step there, no time of a rise can be told."""
    row = rise(6.0, 0.5, 0.3 * share) + rise(6.0 + 0.5 * gap, 0.5, 0.3 * (1 - share))
    onset = found_in(row, noise)[2]
    assert onset.reasons == ("rises more than once",)
    ends = 5.75, 6.25 + 0.5 * gap
    assert ends[0] - 0.4 < onset.after / HOUR < ends[0] + 0.1
    assert ends[1] - 0.1 < onset.before / HOUR < ends[1] + 0.4


@pytest.mark.parametrize("duration", [0.5, 2.0])
@pytest.mark.parametrize("power", [2, 3])
def test_a_front_that_shrinks_is_one_rise(power, duration):
    """Of a disc or a sphere, from its rim inwards: fast at first, never at rest."""
    row = 0.3 * (1 - (1 - np.clip((TIMES / HOUR - 5.0) / duration, 0, 1)) ** power)
    onset = found_in(row, 0.0015)[2]
    assert onset.outcome is Outcome.EXACT
