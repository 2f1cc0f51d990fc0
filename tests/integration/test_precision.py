"""Double and single precision: which must be asked for, and how near they come."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from tests.integration.lumped import lumped_pair


def test_single_precision_must_be_asked_for():
    protocol = diffelec.Protocol.from_strings(["Rest for 1 hour"])
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(ValueError, match="float32"):
            diffelec.simulate(lumped_pair(), protocol)
    finally:
        jax.config.update("jax_enable_x64", True)


SINGLE = """
import jax.numpy as jnp
import numpy as np
import diffelec

electrode = diffelec.presets.single_particle()
protocol = diffelec.Protocol.from_strings(
    ["Charge at C/20 until 4.3 V", "Hold at 4.3 V until C/50"]
)
found = diffelec.simulate(electrode, protocol, rtol=1e-3, dtype=jnp.float32)
assert found.voltage.dtype == np.float32
print(*np.asarray(found.step_end_times), float(found.onset_times(0)[0]))
"""


def test_screening_in_single_precision_comes_near_double():
    """In a process of its own: constants of double precision would stay in caches."""
    out = subprocess.run(
        [sys.executable, "-c", SINGLE], capture_output=True, text=True, check=True
    )
    electrode = diffelec.presets.single_particle()
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/20 until 4.3 V", "Hold at 4.3 V until C/50"]
    )
    found = diffelec.simulate(electrode, protocol, rtol=1e-6)
    want = [*np.asarray(found.step_end_times), float(found.onset_times(0)[0])]
    np.testing.assert_allclose(list(map(float, out.stdout.split())), want, rtol=2e-3)
    with pytest.raises(ValueError, match="leave jax_enable_x64 off"):
        diffelec.simulate(electrode, protocol, dtype=jnp.float32)


BOTH = """
import jax
import numpy as np
import diffelec

protocol = diffelec.Protocol.from_strings(["Charge at C/20 for 2 hours"])
electrode = diffelec.presets.sharma2022(obstructions=(0, 1))

def end(kind):
    jax.config.update("jax_enable_x64", kind == np.float64)
    found = diffelec.simulate(electrode, protocol, rtol=1e-3, dtype=kind)
    return float(found.voltage[-1])

first, other = FIRST_AND_OTHER
print(end(first))
try:
    end(other)
except ValueError as error:
    print(error)
print(end(first))
"""


@pytest.mark.parametrize("kinds", [("float64", "float32"), ("float32", "float64")])
def test_a_process_that_has_solved_in_one_precision_refuses_the_other(kinds):
    """JAX's caches of constants would fail deep within."""
    program = BOTH.replace("FIRST_AND_OTHER", f"np.{kinds[0]}, np.{kinds[1]}")
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert out.returncode == 0, out.stderr
    first, words, again = out.stdout.splitlines()
    assert float(first) == float(again) > 3.0
    assert f"`dtype` must be {kinds[0]}" in words
    assert f"but is {kinds[1]}; solve in each precision in a process" in words
