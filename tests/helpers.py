"""What contract tests share: the laws there are, and measures of agreement."""

import inspect
import os
import pathlib

import jax
import numpy as np
import pytest


def final_classes(base):
    """All classes below `base` that can be made, in the order of their definition,
    but for those of tests.
    """
    found = []
    for cls in base.__subclasses__():
        if cls.__module__.startswith("tests."):
            continue
        candidates = [] if inspect.isabstract(cls) else [cls]
        for candidate in candidates + final_classes(cls):
            if candidate not in found:
                found.append(candidate)
    return found


def examples(base):
    """One `pytest.param` of `example()` for every final class below `base`."""
    return [pytest.param(cls.example(), id=cls.__name__) for cls in final_classes(base)]


def observed_order(sizes, errors):
    """Slopes of log error over log size between neighbouring refinements."""
    sizes, errors = np.asarray(sizes, float), np.asarray(errors, float)
    assert np.all(np.isfinite(errors))
    assert np.all(errors > 0)
    return np.diff(np.log(errors)) / np.diff(np.log(sizes))


def tree_allclose(one, other, rtol=1e-12, atol=0.0):
    """Whether two pytrees have one structure and finite leaves that agree."""
    if jax.tree.structure(one) != jax.tree.structure(other):
        return False
    return all(
        np.shape(a) == np.shape(b)
        and bool(np.all(np.isfinite(a)))
        and np.allclose(a, b, rtol=rtol, atol=atol)
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )


def data_file(name):
    """A file of the shared data, or a skip that says why."""
    beside = pathlib.Path(__file__).parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("DIFFELEC_DATA", beside))
    found = sorted(folder.rglob(name)) if folder.is_dir() else []
    if not found:
        pytest.skip(f"there is no {name} under {folder}; set DIFFELEC_DATA")
    return found[0]
