"""The electrode behind real data, and the table of times on a recorded voltage."""

import pathlib

import numpy as np
import pytest

import diffelec
from fitting import imaged

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data" / "wolfman2023"


def test_imaged_particles_without_others_are_a_star():
    network = imaged.imaged_network(["blue", "red"], [1e-6, 5e-7])
    assert network.topology.particle_labels == ("blue", "red")
    np.testing.assert_allclose(network.shape_head, [2.5e5, 5e5])
    np.testing.assert_array_equal(network.shape_tail, 0.0)


def test_unseen_particles_stand_in_the_way_of_theirs_only():
    network = imaged.imaged_network(["blue", "red"], 1e-6, obstructions=[0, 2])
    topology = network.topology
    assert topology.particle_labels == ("blue", "red", "before red.0", "before red.1")
    np.testing.assert_array_equal(topology.imaged, [True, True, False, False])
    ends = set(zip(topology.tail.tolist(), topology.head.tolist(), strict=True))
    assert ends == {(0, 1), (0, 3), (3, 4), (4, 2)}


def test_radii_of_imaged_and_unseen_particles_are_apart():
    electrode = imaged.imaged_electrode(
        ["blue", "red"], obstructions=[0, 1], radius=[4e-6, np.nan], unseen_radius=6e-6
    )
    np.testing.assert_allclose(electrode.radius, [4e-6, 6e-6, 6e-6])


def test_the_drop_of_the_recorded_current_is_taken_off_the_voltage():
    time, voltage, current = np.arange(3.0), np.full(3, 4.0), np.full(3, 2e-3)
    drive = imaged.voltage_drive(
        time, voltage, current, series_resistance=10.0, counter_exchange_current=1e-3
    ).drive
    metal = 2 * 0.0256926 * np.arcsinh(1.0)
    np.testing.assert_allclose(drive.value, 4.0 - 0.02 - metal, rtol=1e-6)
    plain = imaged.voltage_drive(time, voltage).drive
    np.testing.assert_array_equal(plain.value, voltage)


def test_a_population_has_its_mean_and_spread():
    logarithms = np.log10(imaged.population_radii(-6.4, 0.5, 2000))
    np.testing.assert_allclose(np.mean(logarithms), -6.4, atol=1e-9)
    np.testing.assert_allclose(np.std(logarithms), 0.5, rtol=2e-3)


def test_what_cannot_be_built_is_refused_by_name():
    with pytest.raises(ValueError, match="`contact_radius` must be one number"):
        imaged.imaged_network(["a", "b"], [1e-6, 1e-6, 1e-6])
    with pytest.raises(ValueError, match="'a' is given twice"):
        imaged.imaged_network(["a", "a"])
    with pytest.raises(ValueError, match="must name one or more"):
        imaged.imaged_network([])
    with pytest.raises(ValueError, match="`current` must be given"):
        imaged.voltage_drive(np.arange(3.0), np.ones(3), series_resistance=1.0)


@pytest.mark.skipif(
    not SHARED.exists(), reason="the recorded voltage of Wolfman 2023 is not here"
)
def test_literature_curves_on_a_recorded_voltage_give_the_known_times():
    # log10(4 a / m) against midpoint and duration [h], computed independently.
    expected = np.array(
        [
            [-6.50, 11.4, 0.20],
            [-6.25, 9.0, 0.24],
            [-6.00, 7.0, 0.42],
            [-5.75, 5.5, 0.53],
            [-5.50, 4.5, 0.58],
            [-5.25, 3.9, 0.59],
            [-5.00, 3.6, 0.58],
        ]
    )
    path = SHARED / "nmc333_charge1_fine_voltage.csv"
    hours, voltage = np.loadtxt(path, delimiter=",", skiprows=1).T
    charge = hours > 2.77
    electrode = imaged.imaged_electrode(
        [f"p{k}" for k in range(7)], contact_radius=10 ** expected[:, 0] / 4.0
    )
    drive = imaged.voltage_drive(3600.0 * hours[charge], voltage[charge])
    solution = diffelec.simulate(electrode, drive)
    early, middle, late = (
        np.asarray(solution.change_times(0, change)) / 3600.0 + hours[charge][0]
        for change in (0.05, 0.25, 0.40)
    )
    np.testing.assert_allclose(middle, expected[:, 1], atol=0.07)
    np.testing.assert_allclose(late - early, expected[:, 2], atol=0.02)


def test_rows_that_lines_replace_are_not_needed():
    time = np.linspace(0.0, 10.0, 1001)
    voltage = np.interp(time, [0.0, 4.0, 4.1, 10.0], [3.5, 3.7, 3.6, 4.3])
    kept = imaged.rows_needed(time, voltage, 1e-6)
    np.testing.assert_allclose(time[kept], [0.0, 4.0, 4.1, 10.0])


def test_no_row_left_out_is_missed_by_more_than_the_tolerance():
    rng = np.random.default_rng(3)
    time = np.cumsum(rng.uniform(1.0, 60.0, 3000))
    voltage = 3.8 + 0.2 * np.sin(time / 9e3) + 1e-4 * rng.standard_normal(3000)
    kept = imaged.rows_needed(time, voltage, 5e-4)
    line = np.interp(time, time[kept], voltage[kept])
    assert np.abs(line - voltage).max() <= 5e-4
    assert kept.sum() < 150


def test_a_thinned_drive_has_the_half_cycles_of_the_recording():
    time = np.linspace(0.0, 7200.0, 721)
    current = np.where(time < 3605.0, 1e-3, -1e-3)
    voltage = 4.0 - np.abs(time - 3605.0) * 1e-4
    whole, thin = (
        imaged.voltage_drive(time, voltage, current, tolerance=tolerance)
        for tolerance in (0.0, 2e-3)
    )
    assert thin.spans == whole.spans
    assert len(thin.drive.time) == 4
