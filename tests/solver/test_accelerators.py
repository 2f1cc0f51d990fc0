"""The form for a GPU, run on a CPU, gives the numbers of single solves."""

import json
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from .as_on_a_gpu import lanes, shown

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found():
    command = [sys.executable, "-m", "tests.solver.as_on_a_gpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alone():
    function = jax.jit(jax.value_and_grad(shown))
    return [jax.tree.map(np.asarray, function(lane)) for lane in lanes()]


def test_lanes_and_their_gradients_are_those_of_single_solves(found, alone):
    for value, slope, one in zip(found["value"], found["slope"], alone, strict=True):
        np.testing.assert_allclose(value, one[0], rtol=1e-8)
        np.testing.assert_allclose(slope, one[1], rtol=1e-6, atol=1e-6)
    assert np.isfinite(found["value"]).tolist() == [True, True, False, False]
    assert np.all(np.isfinite(found["slope"][:2]))


def test_xla_is_given_a_program_for_cuda(found):
    assert found["translated"]
