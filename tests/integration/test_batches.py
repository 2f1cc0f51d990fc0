"""Batches of electrodes: the same as one by one, failures lane by lane."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import RESULTS

PROTOCOL = diffelec.Protocol.from_strings(["Charge at C/10 until 4.2 V"])
STARTS = (0.93, 0.95, 0.3)  # the last is above the limit before it begins


def electrode(start):
    return diffelec.presets.single_particle(initial_stoichiometry=start, num_shells=8)


def solved(one):
    return diffelec.simulate(one, PROTOCOL, rtol=1e-4, num_saved=5, throw=False)


@pytest.fixture(scope="module")
def lanes():
    return diffelec.stack([electrode(start) for start in STARTS])


@pytest.mark.parametrize(
    ("executor", "rtol"), [("threads", 1e-10), ("vectorised", 1e-9)]
)
def test_lanes_are_what_they_are_alone(lanes, executor, rtol):
    found = diffelec.batch(solved, lanes, executor=executor)
    for k, start in enumerate(STARTS[:2]):
        alone = solved(electrode(start))
        own = jax.tree.map(lambda leaf, k=k: leaf[k], found)
        np.testing.assert_allclose(own.voltage, alone.voltage, rtol=rtol)
        np.testing.assert_allclose(own.time, alone.time, rtol=rtol)
        assert bool(own.result == RESULTS.successful)
    last = jax.tree.map(lambda leaf: leaf[2], found)
    assert bool(last.result == RESULTS.start_outside_limits)
    assert np.all(np.isnan(last.voltage))
    assert found.voltage.shape == (3, 5)


def test_gradients_of_a_batch_at_instants_of_one_s_own_are_each_lane_s():
    """Instants are known while all else is traced, by axes that differ."""
    protocol = diffelec.Protocol.from_strings(["Charge at C/5 for 1 hour"])
    electrode = diffelec.presets.single_particle(num_shells=6)

    def last(scale):
        moved = eqx.tree_at(lambda e: e.radius, electrode, scale * electrode.radius)
        found = diffelec.simulate(moved, protocol, times=[600.0, 3000.0], throw=False)
        return found.voltage[-1]

    slopes = jax.vmap(jax.grad(last))(jnp.array([1.0, 1.1]))
    for slope, at in zip(slopes, (1.0, 1.1), strict=True):
        difference = (last(at + 1e-2) - last(at - 1e-2)) / 2e-2
        assert float(slope) == pytest.approx(float(difference), rel=1e-2)


def test_numbers_of_numpy_ask_a_solution_as_those_of_python_do():
    solution = solved(electrode(0.95))
    found = solution.onset_times(np.array(0), np.array(0.5, np.float32))
    np.testing.assert_array_equal(found, solution.onset_times(0, 0.5))
    with pytest.raises(ValueError, match="`level` must be above 0 and at most 1"):
        solution.onset_times(0, np.array(1.5))
    count = solution.topology.num_particles
    crossed = solution.crossing_times([0.5] * count, np.int64(0))
    np.testing.assert_array_equal(crossed, solution.crossing_times(np.full(count, 0.5)))
    for target in (0.5, [0.5] * (count + 1)):
        with pytest.raises(ValueError, match="`target` must hold a stoichiometry for"):
            solution.crossing_times(target)
    found = solution.onset_times(np.int64(0), np.float32(0.5))
    np.testing.assert_allclose(found, solution.onset_times(0, 0.5))
    with pytest.raises(ValueError, match="`level` must be above 0 and at most 1"):
        solution.onset_times(0, np.float32(1.3))
