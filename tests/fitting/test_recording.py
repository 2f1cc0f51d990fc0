import numpy as np
import pytest

from fitting.events import Event, Events
from fitting.optical.cycler_current import largest_charge
from fitting.optical.half_cycles import of_recording, state_of_charge
from fitting.optical.hinges import Charge
from fitting.recording import Recording, flows

HOUR = 3600.0


def recording(**changes):
    """A rest of 1 h with a zero that is none, 4 h of charge, 2 h of discharge."""
    fields = {
        "time": HOUR * np.array([0.0, 0.9, 1.0, 3.0, 5.0, 5.01, 7.0]),
        "voltage": np.array([3.2, 3.2, 3.6, 3.9, 4.3, 4.1, 3.0]),
        "current": 1e-3 * np.array([1e-4, 1e-4, 1.0, 1.0, 1.0, -2.0, -2.0]),
    }
    return Recording(**fields | changes)


def midpoint(hours, deviation=0.1):
    return Event("a", "midpoint", time=hours * HOUR, sd=deviation * HOUR)


def test_half_cycles_leave_the_rest_and_the_noise_of_the_zero():
    spans = np.array(recording().half_cycles()) / HOUR
    np.testing.assert_allclose(spans, [[1.0, 5.01], [5.01, 7.0]])


def test_a_half_cycle_is_cut_on_the_same_clock():
    charge, discharge = (recording().half_cycle(k) for k in (0, 1))
    np.testing.assert_allclose(charge.time / HOUR, [1.0, 3.0, 5.0])
    np.testing.assert_allclose(discharge.voltage, [4.1, 3.0])
    assert len(charge.half_cycles()) == 1
    assert charge.start == HOUR


def test_a_part_of_all_half_cycles_leaves_only_the_rest_before_them():
    part = recording().part(0, 1)
    np.testing.assert_allclose(part.time / HOUR, [1.0, 3.0, 5.0, 5.01, 7.0])
    np.testing.assert_allclose(part.half_cycles(), recording().half_cycles())


def test_a_recording_without_current_is_one_half_cycle():
    alone = recording(current=None)
    assert alone.half_cycles() == ((0.0, 7 * HOUR),)
    np.testing.assert_array_equal(alone.half_cycle().voltage, alone.voltage)


def test_a_current_that_turns_at_the_last_instant_begins_no_half_cycle():
    current = 1e-3 * np.array([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, -2.0])
    one = recording(current=current)
    np.testing.assert_allclose(np.array(one.half_cycles()) / HOUR, [[1.0, 7.0]])
    np.testing.assert_allclose(one.half_cycle(0).time / HOUR, [1.0, 3.0, 5.0, 5.01])
    assert len(of_recording(one)) == 1


def test_a_half_cycle_of_one_instant_is_named():
    current = 1e-3 * np.array([0.0, 0.0, 1.0, -1.0, 1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"^Half cycle 2 .* one, at 3 h, .* that row"):
        recording(current=current).half_cycle(1)


def steps(*parts):
    """Time [s] every minute and current [A] of (hours, mA) one after another."""
    current = [np.full(round(60 * hours), 1e-3 * level) for hours, level in parts]
    current = np.concatenate(current)
    return 60.0 * np.arange(len(current)), current


PULSE = (0.1, -200.0)


@pytest.mark.parametrize("parts", [((20, 1.0), PULSE), (PULSE, (20, 1.0))])
def test_a_slow_charge_beside_a_strong_pulse_is_no_rest(parts):
    time, current = steps(*parts)
    mixed = Recording(time, np.linspace(3.5, 4.0, len(time)), current)
    assert np.all(mixed.active_current() == current)
    assert [h.charges for h in of_recording(mixed)] == [p[1] > 0 for p in parts]
    assert largest_charge(time, current) == pytest.approx(72.0, rel=0.1)
    assert len(Charge.of(mixed, 60.0).hinges) == 1
    if parts[0][1] > 0:
        assert state_of_charge(mixed).reference == pytest.approx(72.0, rel=0.1)


@pytest.mark.parametrize("offset", [5e-3, -5e-3])
@pytest.mark.parametrize("pulse", [(), (PULSE,)], ids=["alone", "beside a pulse"])
def test_rests_between_small_pulses_stay_rests(offset, pulse):
    time, current = steps(*(20 * ((0.5, 1.0), (6, offset))), *pulse)
    at_rest = np.abs(current) < 6e-6
    np.testing.assert_array_equal(flows(time, current), ~at_rest)
    voltage = np.linspace(3.5, 4.0, len(time))
    assert len(Recording(time, voltage, current).half_cycles()) == 1 + len(pulse)


@pytest.mark.parametrize("rate", [0.05, 0.5, 1.0])
def test_a_rest_of_weeks_with_an_offset_stays_a_rest(rate):
    time, current = steps((1 / rate, rate), (1000, -5e-3 * rate))
    np.testing.assert_array_equal(flows(time, current), current > 0)


def test_the_protocol_follows_the_voltage_from_the_first_instant():
    protocol = recording().half_cycle().protocol()
    assert protocol.texts == ("recorded voltage",)
    assert float(protocol.drive.at(0.0)) == 3.6
    assert float(protocol.drive.at(2 * HOUR)) == 3.9


def test_a_half_cycle_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="among the first 2, but is number 3"):
        recording().half_cycle(2)
    with pytest.raises(ValueError, match="must be the first, but is number 2"):
        recording(current=None).half_cycle(1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"voltage": np.full(7, 3800.0)}, "0 and 6 V, but row 0 has 3800 V"),
        ({"voltage": np.full(7, np.nan)}, "must be finite"),
        ({"voltage": np.full(6, 3.8)}, "6 values for 7 instants"),
        ({"time": np.arange(7.0)}, "a minute to ten years, but spans 6 s"),
        ({"time": np.arange(7.0) * 1e8}, "a minute to ten years, but spans 6e"),
        ({"time": np.zeros(7)}, "must increase strictly"),
        ({"current": np.full(3, 1e-3)}, "3 values for 7 instants"),
    ],
)
def test_a_recording_that_cannot_be_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        recording(**changes)


def test_a_current_of_the_other_sign_is_noticed():
    recording().check_sign()
    with pytest.raises(ValueError, match="voltage falls while the current is positive"):
        recording(current=-recording().current).check_sign()


def test_events_within_the_half_cycle_are_accepted():
    rows = [
        midpoint(4.0),
        Event("a", "duration", time=HOUR, sd=0.2 * HOUR),
        Event("b", "midpoint", after=5.0 * HOUR, before=np.inf),
        Event("c", "midpoint", after=-np.inf, before=1.5 * HOUR),
    ]
    recording().half_cycle().check_events(Events.from_rows(rows))


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (midpoint(5.5), "1 to 5 h, but is at 5.5 h, after its end"),
        (midpoint(0.5), "1 to 5 h, but is at 0.5 h, before its start"),
        (midpoint(4.0, 5.0), "half cycle's 4 h, but is 1.8e.04 s; check its unit"),
        (midpoint(4.0, 1e-6), "0.14 s and .* but is 0.0036 s; check its unit"),
        (midpoint(1.001), "later than 1% of the half cycle of 4 h"),
        (Event("a", "onset", after=6 * HOUR, before=np.inf), "after its end"),
        (Event("a", "duration", time=4.5 * HOUR, sd=HOUR), "0 to 4 h, but is at 4.5 h"),
    ],
)
def test_events_that_the_half_cycle_cannot_hold_are_refused(row, words):
    with pytest.raises(ValueError, match=words) as caught:
        recording().half_cycle().check_events(Events.from_rows([row]))
    assert row.time < 1.01 * HOUR or "particle 'a'" in str(caught.value)
