"""The paper's network over two cycles: asynchronous, then synchronous."""

import pathlib

import equinox as eqx
import numpy as np
import pytest

import diffelec

pytestmark = pytest.mark.optimised

CYCLE = [
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Discharge at C/20 until 2.5 V",
]
HOUR = 3600.0


@pytest.fixture(scope="module")
def electrode():
    return diffelec.presets.sharma2022()


@pytest.fixture(scope="module")
def solution(electrode):
    protocol = diffelec.Protocol.from_strings(CYCLE * 2)
    return diffelec.simulate(electrode, protocol, rtol=1e-5)


def loss(solution, cycle):
    charge, hold, discharge = np.asarray(solution.step_capacities)[3 * cycle :][:3]
    return 1.0 + discharge / (charge + hold)


def test_top_particles_start_in_the_order_of_their_obstruction(solution):
    onsets = np.asarray(solution.change_times(0, 0.066))[:5] / HOUR
    assert np.all(np.isfinite(onsets))
    assert np.all(np.diff(onsets) > 0)
    # An independent event-exact run, the same on a mesh twice as fine.
    np.testing.assert_allclose(onsets, [0.70, 4.76, 7.95, 10.79, 13.27], atol=0.15)


@pytest.mark.parametrize(("half_cycle", "low", "high"), [(0, 9.8, 10.4), (2, 0, 0.7)])
def test_midpoints_spread_in_the_first_charge_only(solution, half_cycle, low, high):
    midpoints = np.asarray(solution.change_times(half_cycle, 0.33))[:5] / HOUR
    assert np.all(np.isfinite(midpoints))
    assert low <= np.ptp(midpoints) <= high


def test_a_tenth_of_the_first_charge_is_lost_and_nothing_of_the_second(solution):
    assert loss(solution, 0) == pytest.approx(0.0965, abs=2e-3)
    assert abs(loss(solution, 1)) < 1e-3


def test_asynchrony_returns_when_all_loss_is_undone_not_that_of_diffusion(electrode):
    """With D = 1e-14 m2/s, which loses nothing in a single particle."""
    fast = eqx.tree_at(
        lambda e: e.curves.diffusivity.log10_values, electrode, np.full(8, -14.0)
    )
    discharged, spread = {}, {}
    for hold in ((), ("Hold at 2.5 V for 100 hours",)):
        protocol = diffelec.Protocol.from_strings([*CYCLE, *hold, *CYCLE[:2]])
        found = diffelec.simulate(fast, protocol, rtol=1e-5)
        first, second = (np.asarray(found.change_times(k))[:5] / HOUR for k in (0, 2))
        spread[len(hold)] = np.ptp(second) / np.ptp(first)
        lost = 1 + found.half_cycle_capacity(1) / found.half_cycle_capacity(0)
        discharged[len(hold)] = float(lost)
    assert discharged[0] == pytest.approx(0.077, abs=3e-3)
    assert spread[0] < 0.4
    assert abs(discharged[1]) < 3e-3
    assert spread[1] == pytest.approx(1.0, abs=0.05)


def test_steps_end_exactly_at_their_events(solution, electrode):
    voltage = np.asarray(solution.voltage).reshape(6, -1)
    current = np.asarray(solution.current).reshape(6, -1)
    one_c = float(electrode.one_c_current)
    np.testing.assert_allclose(voltage[[0, 3], -1], 4.3, atol=1e-8)
    np.testing.assert_allclose(voltage[[2, 5], -1], 2.5, atol=1e-8)
    np.testing.assert_allclose(current[[1, 4], -1], one_c / 50, rtol=1e-8)
    np.testing.assert_allclose(voltage[[1, 4]], 4.3, atol=1e-5)
    np.testing.assert_allclose(current[0], one_c / 20, rtol=1e-9)


def test_charge_passed_is_the_lithium_that_left(solution, electrode):
    # At constant current the charge is known without the model.
    duration = np.asarray(solution.step_end_times - solution.step_start_times)
    passed = float(electrode.one_c_current) / 20 * duration
    moved = np.asarray(solution.step_capacities)
    np.testing.assert_allclose(moved[[0, 3]], passed[[0, 3]], rtol=1e-10)
    np.testing.assert_allclose(moved[[2, 5]], -passed[[2, 5]], rtol=1e-10)


def test_no_lithium_comes_or_goes_while_particles_exchange_it_in_a_rest(electrode):
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/20 for 5 hours", "Rest for 5 hours"]
    )
    found = diffelec.simulate(electrode, protocol)
    rest = np.asarray(found.stoichiometry)[101:]
    assert np.max(np.ptp(rest, axis=0)) > 1e-3
    assert np.max(np.abs(rest.mean(axis=1) - rest[0].mean())) < 1e-12


def test_onset_is_a_tenth_of_a_particle_s_own_change(solution):
    onset = np.asarray(solution.onset_times(0, 0.1))
    midpoint = np.asarray(solution.onset_times(0, 0.5))
    assert onset.shape == (15,)
    assert np.all(onset < midpoint)
    times = np.asarray(solution.time)[:202]
    for k in (0, 4):
        x = np.asarray(solution.stoichiometry)[:202, k]
        target = x[0] + 0.5 * (x[-1] - x[0])
        # Saved instants bracket the crossing.
        before = np.searchsorted(-x, -target)
        assert times[before - 1] <= midpoint[k] <= times[before]


def test_multiplicity_stands_for_copies():
    """Two equal columns are one column of multiplicity two, at twice the current."""
    charge = diffelec.Protocol.from_strings(["Charge at C/20 for 5 hours"])
    twins = diffelec.presets.sharma2022(obstructions=(1, 1), num_shells=10)
    single = diffelec.presets.sharma2022(
        obstructions=(1,), num_shells=10, multiplicity=2.0
    )
    pair, one = (diffelec.simulate(e, charge, rtol=1e-7) for e in (twins, single))
    assert np.all(np.isfinite(one.voltage))
    np.testing.assert_allclose(pair.voltage, one.voltage, atol=1e-7)
    np.testing.assert_allclose(pair.current, one.current, rtol=1e-12)
    np.testing.assert_allclose(pair.step_capacities, one.step_capacities, rtol=1e-9)


def test_the_example_of_the_readme_runs(solution, capsys):
    text = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    example = text.split("```python")[1].split("```")[0]
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "nan" not in printed
    first = float(printed.strip("[").split()[0])
    assert first == pytest.approx(float(solution.onset_times(0)[0]) / HOUR, abs=0.01)
