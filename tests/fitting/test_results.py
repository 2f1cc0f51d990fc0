"""Numbers of a whole solution, found together, against those asked for one by one."""

import numpy as np
import pytest

import diffelec
from fitting import results


@pytest.fixture(scope="module")
def solution():
    """A charge, a discharge of which 3 % go back, and a charge beyond what there is."""
    electrode = diffelec.presets.sharma2022(num_shells=5)
    steps = ["Charge at C/5 until 4.2 V", "Hold at 4.2 V for 10 min"]
    steps += ["Discharge at C/10 for 20 min", "Charge at C/5 for 20 hours"]
    protocol = diffelec.Protocol.from_strings(steps)
    return diffelec.simulate(electrode, protocol, rtol=1e-4, num_saved=2, throw=False)


def test_times_of_all_half_cycles_are_those_of_each(solution):
    levels, changes = results.crossing_times(solution)
    assert levels.shape == (3, 3, 15)
    for k in range(3):
        for at, level in enumerate(results.LEVELS):
            own = solution.onset_times(k, level)
            np.testing.assert_allclose(levels[k, at], own, rtol=1e-12)
        for at, change in enumerate(results.CHANGES):
            own = solution.change_times(k, change)
            np.testing.assert_allclose(changes[k, at], own, rtol=1e-12)


def test_the_cases_above_are_all_there(solution):
    """Times, particles that hardly react, and a half cycle that failed."""
    levels, changes = results.crossing_times(solution)
    assert np.isfinite(levels[0]).any()
    assert np.isinf(levels[1]).all(axis=0).any()
    assert np.isnan(levels[2]).all()
    assert np.isnan(changes[2]).all()


def test_a_recorded_rest_has_no_half_cycle_as_a_step_of_rest_has_none():
    electrode = diffelec.presets.single_particle(num_shells=5)
    time, current = np.array([0.0, 600.0]), np.zeros(2)
    protocol = diffelec.Protocol.from_recording(
        time, current=current, control="current"
    )
    solution = diffelec.simulate(electrode, protocol, rtol=1e-3, num_saved=2)
    assert solution.num_half_cycles == 0
    assert results.half_cycles(solution) == []
    assert [found.shape[0] for found in results.crossing_times(solution)] == [0, 0]
