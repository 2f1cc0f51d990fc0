"""Batches of electrodes: the same as one by one, failures lane by lane."""

import jax
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
