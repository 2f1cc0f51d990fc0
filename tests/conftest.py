"""What every test shares: double precision and seeded random numbers."""

import os

# Checks inside libraries come back as NaN, as on the command line.
os.environ.setdefault("EQX_ON_ERROR", "nan")

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)


@pytest.fixture
def key():
    """The key that every random JAX number of a test descends from."""
    return jax.random.key(0)


@pytest.fixture
def rng():
    """The generator that every random NumPy number of a test comes from."""
    return np.random.default_rng(0)
