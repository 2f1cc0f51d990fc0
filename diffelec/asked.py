"""Questions to a solution: checked before they are compiled, and compiled once."""

import functools
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._typing import is_traced
from .checks import as_floats, check_truth, is_number


def asked(method):
    """The method by `equinox.filter_jit`, once for all levels and changes asked for:
    numbers that are arrays to it, and not constants of the code.
    """
    run, signature = eqx.filter_jit(method), inspect.signature(method)

    @functools.wraps(method)
    def called(*arguments, **named):
        given = signature.bind(*arguments, **named)
        given.apply_defaults()
        for name in {"level", "change", "target"}.intersection(given.arguments):
            value = given.arguments[name]
            if name == "target":
                _check_target(value, given.arguments["self"].topology.num_particles)
            else:
                _check_share(name, value)
            given.arguments[name] = jnp.asarray(value, float)
        for name in {"half_cycle", "surface"}.intersection(given.arguments):
            value = given.arguments[name]
            known = isinstance(value, np.generic | np.ndarray | jax.Array)
            if known and not is_traced(value) and value.ndim == 0:
                given.arguments[name] = value.item()
        # Here, since to a compiled function True is 1.
        given.arguments["self"]._steps_of(given.arguments["half_cycle"])
        check_truth("surface", given.arguments.get("surface", False))
        return run(*given.args, **given.kwargs)

    return called


def _check_share(name: str, value) -> None:
    """Raises ValueError for a part of a change, or of all lithium, that cannot be."""
    if not is_traced(value) and not (is_number(value) and 0 < value <= 1):
        raise ValueError(
            f"`{name}` must be above 0 and at most 1, but is {value!r}; an onset is at "
            "the level 0.1, or at a change of stoichiometry by 0.066."
        )


def _check_target(target, count: int) -> None:
    """Raises ValueError unless there is a number for each particle."""
    if not is_traced(target):
        target = as_floats("target", target, "be a stoichiometry for each particle")
    if np.shape(target) != (count,):
        raise ValueError(
            f"`target` must hold a stoichiometry for each of {count} particles, but is "
            f"of the shape {np.shape(target)}; for one and the same pass "
            "jnp.full(solution.topology.num_particles, x)."
        )
