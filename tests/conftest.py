"""What every test shares: double precision, seeded random numbers, compiled code."""

import os
import pathlib

# Checks inside libraries come back as NaN, as on the command line.
os.environ.setdefault("EQX_ON_ERROR", "nan")
# Compilation is most of what tests take: workers and later runs share it. Its size is
# counted, since JAX locks a cache that it counts.
_CACHE = pathlib.Path(__file__).parents[1] / ".pytest_cache" / "jax"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(4 * 1024**3))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
# Most programs run for a moment only, here and in what tests start: XLA leaves out its
# costly optimisations. Files marked `optimised` run long, or what users run.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")

import diffelec

diffelec.set_compiler()  # as on the command line

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)


@pytest.fixture(autouse=True, scope="module")
def _effort(request):
    """How much compilers make of the code of a file."""
    optimised = request.node.get_closest_marker("optimised") is not None
    jax.config.update("jax_disable_most_optimizations", not optimised)


@pytest.fixture
def key():
    """The key that every random JAX number of a test descends from."""
    return jax.random.key(0)


@pytest.fixture
def rng():
    """The generator that every random NumPy number of a test comes from."""
    return np.random.default_rng(0)


# Files that compile most come first, so that no worker ends long after the other.
_FIRST = ("solver", "gradients", "integration", "reference", "fitting")


def pytest_collection_modifyitems(items):
    def rank(item):
        folder = item.path.parent.name
        return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)

    items.sort(key=rank)
