"""Fronts run over particles in the first charge and hardly in the second."""

import numpy as np
import pytest

import diffelec
from diffelec import bodies, fronts, graphs, presets

STEPS = [
    "Charge at C/20 until 4.3 V",
    "Discharge at C/20 until 2.5 V",
    "Charge at C/20 until 4.3 V",
]


@pytest.fixture(scope="module")
def solution():
    """Two particles in four slices each; carbon at the foot of the lower one."""
    cut = diffelec.resolve(
        graphs.chain(2), 5e-6, bodies.slices(4, (0.0, 1.0, 0.0)), coverage={"p0": [3]}
    )
    electrode = presets.electrode_of(cut, num_shells=6)
    protocol = diffelec.Protocol.from_strings(STEPS)
    return diffelec.simulate(electrode, protocol, rtol=1e-3)


def test_the_front_enters_where_electrons_do_and_runs_up(solution):
    times = np.asarray(solution.site_change_times(0, fronts.ONSET))
    for particle in (0, 1):
        own = times[4 * particle : 4 * particle + 4]  # from the tip down
        assert np.all(np.diff(own) < 0)
    assert times[7] > times[0]  # the upper particle after the lower


def test_fronts_are_much_faster_in_the_second_charge(solution):
    first, second = (fronts.transit_times(solution, k, fronts.ONSET) for k in (0, 2))
    assert np.all(np.asarray(first) > 5 * np.asarray(second))
    assert np.all(np.asarray(second) > 0)
    uneven = [np.asarray(fronts.largest_spreads(solution, k)) for k in (0, 2)]
    assert np.all(uneven[0] > 5 * uneven[1])
    waited = [np.asarray(fronts.homogenising_times(solution, k)) for k in (0, 2)]
    assert np.isfinite(waited[0][0])
    assert waited[0][0] > 0
    assert np.all(waited[1] == 0)


def test_speeds_are_the_diameter_over_the_transit(solution):
    speed = fronts.front_speeds(solution, np.full(2, 5e-6), 0, fronts.ONSET)
    transit = fronts.transit_times(solution, 0, fronts.ONSET)
    crossed = 1.5 * 5e-6  # between the middles of the outermost slices
    np.testing.assert_allclose(speed, crossed / np.asarray(transit), rtol=0.5)
