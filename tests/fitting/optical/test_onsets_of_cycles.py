"""Rises over several half cycles, and half cycles off a recording."""

import math

import numpy as np
import pytest

from fitting.optical.half_cycles import from_bounds, of_recording, state_of_charge
from fitting.optical.onsets import find_onsets
from fitting.optical.verdicts import Outcome
from fitting.recording import Recording

from .made_traces import HOUR, rise, traces_of
from .test_onsets import by_label


@pytest.fixture(scope="module")
def cycled():
    """Three half cycles of two particles; the second reacts in the second only."""
    times = HOUR * np.linspace(0.0, 30.0, 601)
    one = rise(4.0, times=times) - rise(16.0, times=times) + rise(27.0, times=times)
    other = 0.3 - rise(14.0, times=times)
    halves = from_bounds(
        [
            (0.0, 10 * HOUR, True),
            (10 * HOUR, 20 * HOUR, False),
            (20 * HOUR, 30 * HOUR, True),
        ]
    )
    return find_onsets(traces_of({"one": one, "other": other}, times=times), halves)


def test_every_half_cycle_has_its_own_direction(cycled):
    middles = [by_label(half)["one"].midpoint / HOUR for half in cycled]
    np.testing.assert_allclose(middles, [4.0, 16.0, 27.0], atol=0.03)
    assert [half.half.name for half in cycled] == [
        "charge 1",
        "discharge 1",
        "charge 2",
    ]


def test_levels_of_other_half_cycles_tell_who_was_on_from_the_start(cycled):
    outcomes = [by_label(half)["other"].outcome for half in cycled]
    assert outcomes == [Outcome.LEFT, Outcome.EXACT, Outcome.RIGHT]


def recorded(end=12.0, offset=0.0):
    """A charge, a rest and a discharge of 1 mA."""
    hours = np.linspace(0.0, end, 400)
    current = np.where(hours < 6, 1e-3, np.where(hours < 7, 0.0, -1e-3))
    volts = 3.6 + 0.1 * np.cumsum(current) / 0.4
    return Recording(HOUR * hours + offset, volts, current)


def test_half_cycles_of_a_recording_are_on_the_clock_of_the_film():
    halves = of_recording(recorded(offset=500.0), 500.0)
    assert [half.charges for half in halves] == [True, False]
    assert halves[0].start == pytest.approx(0.0, abs=200)
    assert halves[1].start == pytest.approx(7 * HOUR, abs=200)


def test_a_recording_without_a_current_is_a_discharge_where_its_voltage_falls():
    time, volts = HOUR * np.arange(3.0), np.array([3.6, 3.9, 4.3])
    (rises,) = of_recording(Recording(time, volts))
    (falls,) = of_recording(Recording(time, volts[::-1]))
    assert (rises.charges, falls.charges) == (True, False)


def test_the_state_of_charge_is_one_after_the_first_half_cycle():
    charge = state_of_charge(recorded(), 0.0)
    assert charge.reference == pytest.approx(6 * 3.6, rel=0.02)
    assert charge.at(6.5 * HOUR) == pytest.approx(1.0, abs=0.02)
    assert math.isnan(charge.at(13 * HOUR))
    assert "Q_ref = 5.98 mAh (first half cycle)" in charge.source


def test_a_stated_capacity_is_the_reference():
    charge = state_of_charge(recorded(), 0.0, 36.0)
    assert charge.at(6.5 * HOUR) == pytest.approx(0.6, abs=0.01)
    assert "10 mAh (as given)" in charge.source
