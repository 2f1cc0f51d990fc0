"""Candidate experiments after a fit of several half cycles."""

import numpy as np
import pytest

from fitting import candidates, setup
from fitting.bench import Bench
from fitting.events import Event
from fitting.recording import Recording

from .test_candidates import CHOICES, FRAMES, HOUR, drive_of, events_of, seen_in


@pytest.fixture(scope="module")
def cycled():
    """A fit of a charge, a discharge and a charge; the last was not seen of p."""
    hours = np.array([0.0, 0.2, 6.0, 9.0, 9.1, 12.0, 15.0, 15.1, 18.0, 24.0])
    volts = [3.2, 3.8, 4.0, 4.3, 4.2, 3.9, 3.2, 3.7, 4.0, 4.3]
    current = np.array([1, 1, 1, 1, -1, -1, -1, 1, 1, 1])
    recording = Recording(HOUR * hours, np.array(volts), current * 1e-3)
    seen = {"p": ((0, 3.0), (1, 11.0)), "q": ((0, 4.0), (1, 12.0), (2, 19.0))}
    rows = [
        Event(label, "midpoint", time=hour * HOUR, sd=600.0, half_cycle=number)
        for label, instants in seen.items()
        for number, hour in instants
    ]
    rows.append(Event("q", "onset", time=18.0 * HOUR, sd=600.0, half_cycle=2))
    fitted = setup.by_voltage(events_of(*rows), recording, CHOICES)
    return Bench(fitted, CHOICES, FRAMES)


def test_what_was_seen_in_several_half_cycles_would_be_seen_in_all_of_them(cycled):
    each = [(0, 0.25, True), (1, 0.25, False), (2, 0.05, True), (2, 0.25, True)]
    expected = [(particle, *kind) for particle in range(2) for kind in each]
    for name in ("again", "frames", "faster", "slower", "known-paths"):
        assert seen_in(candidates.CANDIDATES[name](cycled)) == expected
    assert len(seen_in(candidates.particles(cycled))) == 16


def test_a_hold_of_several_half_cycles_lasts_as_long_as_the_first(cycled):
    time, level = drive_of(candidates.hold(cycled))
    assert time[-1] == pytest.approx(9.0)
    hours, volts = np.array([0.0, 0.2, 6.0, 9.0]), np.array([3.2, 3.8, 4.0, 4.3])
    np.testing.assert_allclose(level[1:], np.trapezoid(volts, hours) / 9.0)
    assert seen_in(candidates.hold(cycled)) == [(0, 0, 0.25, True), (1, 0, 0.25, True)]


def test_the_next_cycle_is_behind_the_last_half_cycle_that_was_fitted(cycled):
    one = candidates.second_cycle(cycled)
    each = [(3, 0.25, False), (4, 0.05, True), (4, 0.25, True)]
    assert seen_in(one) == [(particle, *kind) for particle in range(2) for kind in each]
    model = one.parts[0].forward.simulated
    starts = [start / HOUR for start, _ in model.protocol.spans]
    np.testing.assert_allclose(starts, [0.0, 9.1, 15.1, 24.0, 32.9])


def test_a_discharge_alone_has_no_first_half_cycle_to_hold(cycled):
    late = np.array([k != 0 for k in cycled.setup.events.half_cycle])
    events = cycled.setup.events.select(late)
    recording = cycled.setup.recording
    behind = Bench(setup.by_voltage(events, recording, CHOICES), CHOICES, FRAMES)
    with pytest.raises(ValueError, match="of the first half cycle, but this one is of"):
        candidates.hold(behind)
    assert {row[1] for row in seen_in(candidates.again(behind))} == {1, 2}
