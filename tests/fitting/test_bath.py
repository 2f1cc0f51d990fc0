"""The unseen rest of a cell, and the setup of a fit that a recorded current drives."""

import equinox as eqx
import numpy as np
import pytest

import diffelec
from fitting import bath, setup
from fitting.events import Event, Events
from fitting.noise import StudentT
from fitting.recording import Recording

HOUR = 3600.0


def electrode_of(particles=("p",)):
    return bath.bath_electrode(
        *(particles, diffelec.materials.nmc532(), bath.POPULATION),
        radius=[5e-6] * len(particles),
        bath_radius=5e-6,
        num_shells=5,
    )


def inserted(electrode, free, values):
    part = free.law(np.asarray(values), free.where(electrode))
    return eqx.tree_at(free.where, electrode, part)


def charged(electrode, current):
    protocol = diffelec.Protocol.from_recording(
        np.array([0.0, 5 * HOUR]), current=np.full(2, current), control="current"
    )
    return diffelec.simulate(electrode, protocol, rtol=1e-6, num_saved=21)


def test_a_parasitic_share_is_a_current_that_never_comes():
    electrode = electrode_of()
    current = float(electrode.theoretical_capacity) / (25 * HOUR)
    less = charged(electrode, 0.8 * current)
    shared = inserted(electrode, bath.parasitic_share(), [0.2])
    same = charged(shared, current)
    np.testing.assert_allclose(same.voltage, less.voltage, atol=1e-6)
    np.testing.assert_allclose(same.stoichiometry, less.stoichiometry, atol=1e-7)
    whole = charged(electrode, current)
    assert np.abs(whole.voltage - less.voltage).max() > 0.02


def test_the_share_lies_between_none_and_all_before_the_data():
    prior = bath.parasitic_share().prior
    low, middle, high = (float(prior.constrain(np.array([z]))[0]) for z in (-2, 0, 2))
    assert 0.01 < low < 0.03
    assert middle == pytest.approx(0.119, abs=0.001)
    assert 0.45 < high < 0.55


def test_a_population_spreads_about_its_mean():
    electrode = electrode_of(("p", "q"))
    free = bath.population_contacts(electrode)
    moved = inserted(electrode, free, [-6.0, np.log10(0.4)])
    radii = 0.25 / np.asarray(moved.network.shape_head)
    before = 0.25 / np.asarray(electrode.network.shape_head)
    np.testing.assert_allclose(radii[:2], before[:2], rtol=1e-12)
    logarithms, weights = np.log10(radii[2:]), np.asarray(moved.multiplicity)[2:]
    mean = np.average(logarithms, weights=weights)
    assert mean == pytest.approx(-6.0, abs=1e-9)
    spread = np.sqrt(np.average((logarithms - mean) ** 2, weights=weights))
    assert spread == pytest.approx(0.4, rel=0.05)  # the tails are cut at 2.4


def test_the_capacity_is_told_by_a_charge_that_ends_in_equilibrium():
    electrode = electrode_of()
    end = float(electrode.curves.open_circuit_potential(0.45))
    start = float(electrode.initial_stoichiometry[0])
    found = bath.capacity_of_charge(electrode, 7.2 * (start - 0.45), end)
    assert found == pytest.approx(7.2, rel=1e-4)
    with pytest.raises(ValueError, match="give --capacity-mAh"):
        bath.capacity_of_charge(electrode, 7.2, 2.5)


def events():
    rows = [
        Event("p", "midpoint", time=4 * HOUR, sd=600.0),
        Event("q", "midpoint", time=6 * HOUR, sd=600.0),
    ]
    return Events.from_rows(rows)


def recording(current=(0.0, 1e-3, 1e-3, 1e-3, -1e-3, -1e-3)):
    """A rest, a charge from 1 h to 9 h and a discharge to 15 h."""
    hours = np.array([0.5, 1.0, 5.0, 9.0, 9.1, 15.0])
    voltage = np.array([3.2, 3.3, 3.9, 4.3, 4.2, 3.0])
    current = None if current is None else np.array(current)
    return Recording(HOUR * hours, voltage, current)


def test_a_recorded_current_is_scaled_by_the_capacities():
    record = recording().part(0, 0)
    prepared = setup.by_current(events(), record, setup.Choices(capacity=36.0))
    electrode, forward = prepared.problem.electrode, prepared.forward
    charge = 28.8 / 36.0 * float(electrode.theoretical_capacity)
    value = float(forward.protocol.drive.value[-1])
    assert value * 8 * HOUR == pytest.approx(charge, rel=1e-6)
    assert (forward.origin, all(forward.delithiates)) == (HOUR, True)
    assert prepared.drive == "current"
    labels = prepared.problem.space.labels
    assert "parasitic share" in labels
    assert any("unseen contact radius" in label for label in labels)
    assert prepared.problem.trace is None


def test_without_a_capacity_that_is_free_instead():
    record = recording().part(0, 0)
    prepared = setup.by_current(events(), record, setup.Choices())
    labels = prepared.problem.space.labels
    assert "capacity over that of the charge [decades]" in labels
    assert "parasitic share" not in labels


def test_the_drop_of_a_series_resistance_is_that_of_the_cell():
    choices = setup.Choices(capacity=36.0, series_resistance=50.0)
    prepared = setup.by_current(events(), recording().part(0, 0), choices)
    drive = prepared.forward.protocol.drive
    drop = float(prepared.problem.electrode.series_resistance) * float(drive.value[-1])
    assert drop == pytest.approx(50.0 * 1e-3, rel=1e-9)


def test_the_recorded_voltage_is_data_where_that_is_asked_for():
    choices = setup.Choices(capacity=36.0, voltage_sd=0.03)
    prepared = setup.by_current(events(), recording().part(0, 0), choices)
    times, trace = prepared.problem.forward.trace_times, prepared.problem.trace
    assert times[0] > 0
    assert times[-1] < 8 * HOUR
    np.testing.assert_allclose(
        trace.measured, np.interp(times, [0, 4 * HOUR, 8 * HOUR], [3.3, 3.9, 4.3])
    )
    assert len(prepared.forward.trace_times) == 0
    assert float(trace.scale) == pytest.approx(np.sqrt(3 * (0.03**2 + 0.02**2)))


def test_a_robust_fit_bears_with_outliers_of_times_and_voltage():
    choices = setup.Choices(capacity=36.0, voltage_sd=0.03, robust=True)
    problem = setup.by_current(events(), recording().part(0, 0), choices).problem
    assert isinstance(problem.noise.scatter, StudentT)
    assert isinstance(problem.trace.scatter, StudentT)


def test_a_later_half_cycle_is_seen_on_the_same_clock():
    late = events().shift(6 * HOUR)
    prepared = setup.by_current(late, recording(), setup.Choices(capacity=36.0), 1)
    assert prepared.forward.half_cycle == 1
    assert not any(prepared.forward.delithiates)


def test_a_recording_without_a_current_cannot_drive():
    with pytest.raises(ValueError, match="add its column, or let the voltage drive"):
        setup.by_current(events(), recording(None), setup.Choices())


@pytest.mark.parametrize("name", ["capacity", "voltage_sd"])
def test_choices_that_cannot_be_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be finite and positive"):
        setup.Choices(**{name: -1.0})


def test_a_clock_that_is_known_is_not_free():
    with pytest.raises(ValueError, match=r"but is 0, which holds it; drop 'clock'\."):
        setup.Choices(free=("clock",), clock_sd=0.0)
