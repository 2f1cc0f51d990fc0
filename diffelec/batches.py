"""Many simulations, or gradients, at once: one call, two ways to run it.

A time step is serial work on small arrays. On a CPU one solve keeps one core busy and a
vectorised batch waits for its slowest lane at every step, so lanes run one by one in as
many threads as there are cores (compiled code runs outside Python's lock). On a GPU
lanes share every operation, so they run in vectorised chunks, each of lanes that are
expected to take equally long.
"""

import inspect
import os
import types
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from ._typing import is_traced
from .checks import as_floats, check_whole
from .compiler import compiled

_CHUNK = 1024  # lanes that are vectorised together on a device of unknown memory
_LANE = 2**24  # bytes that a lane may take: a gradient of 15 particles takes 10 MB


def stack(lanes) -> PyTree:
    """Equal pytrees as one, with a leading axis of lanes; what `batch` takes.

    Raises:
        ValueError: for no lanes, or for lanes that differ in structure or shape, or
            hold masked or traced numbers.
    """
    if not isinstance(lanes, Iterable):
        raise ValueError(
            f"`lanes` must be a list of equal pytrees, but is a {type(lanes).__name__}."
        )
    lanes = list(lanes)
    if not lanes:
        raise ValueError("`lanes` must hold one lane or more, but holds none.")
    _check_known(lanes)
    forms = {jax.tree.structure(lane) for lane in lanes}
    if len(forms) > 1:
        raise ValueError(
            "`lanes` must be alike but for the values of their arrays, but differ in "
            "structure (labels, edges, laws, the texts of protocols); run those apart, "
            "or put arrays of lanes into one of them by `equinox.tree_at`."
        )
    leaves = [[_array(leaf) for leaf in jax.tree.leaves(lane)] for lane in lanes]
    for column in zip(*leaves, strict=True):
        shapes = {leaf.shape for leaf in column}
        if len(shapes) > 1:
            raise ValueError(
                f"`lanes` must hold arrays of equal shapes, but hold {sorted(shapes)}; "
                "run those apart."
            )
    return jax.tree.map(lambda *leaf: _numpy_of(leaf[0]).stack(leaf), *lanes)


def batch(
    function: Callable[[PyTree], PyTree],
    lanes: PyTree,
    *,
    executor: Literal["threads", "vectorised"] | None = None,
    chunk: int | None = None,
    cost: Float[np.ndarray, " lane"] | None = None,
    callback: Callable[[int, int], Any] | None = None,
) -> PyTree:
    """A function of every lane.

        batch(lambda e: simulate(e, protocol, throw=False), stack(electrodes))
        batch(jax.value_and_grad(loss), raw)

    A lane that fails is one whose own `result` says so: ask for `throw=False`. A
    function is compiled once, so keep it for further batches; a new one compiles anew.
    Processes of one's own must not be forked once JAX runs: start them by "spawn". In
    `jax.shard_map` of one's own, a simulation needs `check_vma=False`.

    Args:
        function: of one lane; traceable by JAX.
        lanes: arrays, each with a leading axis of lanes; of random keys, too.
        executor: how lanes run; by the kind of the device unless given.
        chunk: lanes that are vectorised together, at most; by the memory of the device
            unless given, at 16 MiB a lane: larger networks need a smaller number.
        cost: how long each lane is expected to take, in any unit (the `num_steps` of
            an earlier batch, say); vectorised chunks are of lanes alike in it.
        callback: told how many lanes are done, and of how many.

    Returns:
        What the function returns, its arrays with the leading axis of lanes, on the
        host.

    Raises:
        ValueError: for arrays without a common axis of lanes, an unknown executor, a
            chunk below 1, costs of another number, what cannot be called, and where a
            transformation of JAX holds some of the numbers of `lanes` or of `function`.
        MemoryError: for a chunk that the memory of the device does not hold.
    """
    for name, called in (("function", function), ("callback", callback)):
        if not (callable(called) or (called is None and name == "callback")):
            raise ValueError(
                f"`{name}` must be what can be called, but is {called!r}; pass a "
                "function, such as a lambda."
            )
    count = _count(lanes)
    if executor is None:
        executor = "threads" if jax.default_backend() == "cpu" else "vectorised"
    if not isinstance(executor, str) or executor not in _EXECUTORS:
        known = " or ".join(f"'{name}'" for name in _EXECUTORS)
        raise ValueError(f"`executor` must be {known}, but is {executor!r}.")
    if chunk is not None:
        check_whole("chunk", chunk, 1)
    order = np.arange(count) if cost is None else _by_cost(cost, count)
    lanes = jax.tree.map(lambda leaf: _array(leaf)[order], lanes)
    run, parts, workers = _EXECUTORS[executor](function, lanes, count, chunk)
    found, done = [], 0
    for rows in _worded(function, _in_turn(run, parts, workers)):
        found.append(rows)
        done += jax.tree.leaves(rows)[0].shape[0] if jax.tree.leaves(rows) else 0
        if callback is not None:
            callback(done, count)
    back = np.argsort(order, kind="stable")
    joined = lambda *parts: _numpy_of(parts[0]).concatenate(parts)[back]
    return jax.tree.map(joined, *found)


def _array(leaf):
    """On the host, but for random keys, which NumPy has no form for."""
    return leaf if _numpy_of(leaf) is jnp else np.asarray(leaf)


def _numpy_of(leaf):
    """The library that joins arrays such as this one."""
    own = isinstance(leaf, jax.Array)
    return jnp if own and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np


def _check_known(lanes) -> None:
    """Refuses what a transformation holds, since lanes run from the host, or a mask."""
    if is_traced(lanes):
        raise ValueError(_traced("`lanes`"))
    if any(np.ma.is_masked(leaf) for leaf in jax.tree.leaves(lanes)):
        raise ValueError(
            "`lanes` must hold known numbers, but a mask hides some; leave those lanes "
            "out."
        )


def _worded(function, found: Iterator) -> Iterator:
    """The same, where it fails since the function brings along what a transformation
    holds. What it merely keeps, such as a list of what it was traced with, is no fault.
    """
    try:
        yield from found
    except (ValueError, jax.errors.TracerArrayConversionError) as error:
        own = function
        if isinstance(function, types.FunctionType):
            own = inspect.getclosurevars(function).nonlocals
        if not is_traced(own):
            raise
        raise ValueError(_traced("`function`")) from error


def _traced(what: str) -> str:
    return (
        f"{what} must hold known numbers, but a transformation of JAX holds some; "
        "transform the function of one lane instead, or use jax.vmap within."
    )


def _count(lanes) -> int:
    """Length of the leading axis of all arrays."""
    _check_known(lanes)
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(lanes)]
    counts = {shape[0] if shape else None for shape in shapes}
    if len(counts) != 1 or counts & {None, 0}:
        raise ValueError(
            "`lanes` must hold arrays with one leading axis of lanes, not empty, but "
            f"their shapes are {sorted(set(map(str, shapes)))}; see `stack`."
        )
    return counts.pop()


def _by_cost(cost, count: int) -> np.ndarray:
    """Lanes in order of what they cost, the dearest first."""
    cost = as_floats("cost", cost, "be a number for each lane")
    if cost.shape != (count,) or not np.all(np.isfinite(cost)):
        raise ValueError(
            f"`cost` must hold a number for each of {count} lanes, but has shape "
            f"{cost.shape}" + ("." if cost.shape != (count,) else " and gaps.")
        )
    return np.argsort(-cost, kind="stable")


def _threads(function, lanes, count: int, chunk: int | None):
    """One lane after the other, in as many threads as there are cores."""
    del chunk
    run_one = compiled(function)

    def run(k):
        found = run_one(jax.tree.map(lambda leaf: leaf[k], lanes))
        return jax.tree.map(lambda leaf: _array(leaf)[None], found)

    return run, range(count), os.cpu_count() or 1


def _held_by(device) -> int:
    """Lanes that the memory of a device holds, of what JAX may take of it."""
    stats = device.memory_stats() or {}
    limit = stats.get("bytes_limit", 0)
    return max(limit // _LANE, 1) if limit else _CHUNK


def _vectorised(function, lanes, count: int, chunk: int | None):
    """Chunks of one size, so that one is compiled; a device each in turn."""
    run_all, devices = compiled(_all), jax.local_devices()
    most = min(map(_held_by, devices)) if chunk is None else chunk
    size = min(most, count)

    def run(number):
        part = np.arange(number * size, min((number + 1) * size, count))
        padded = np.resize(part, size)  # the last chunk repeats its lanes
        own = jax.tree.map(lambda leaf: leaf[padded], lanes)
        device = devices[number % len(devices)]
        try:
            found = run_all(function, jax.device_put(own, device))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise MemoryError(
                f"`chunk` must be what the memory of {device} holds, which {size} "
                "lanes are not; pass a smaller `chunk`."
            ) from error
        return jax.tree.map(lambda leaf: _array(leaf)[: len(part)], found)

    return run, range(-(-count // size)), len(devices)


def _all(function, lanes):
    return jax.vmap(function)(lanes)


_EXECUTORS = {"threads": _threads, "vectorised": _vectorised}


def _in_turn(run, parts, workers: int) -> Iterator[PyTree]:
    """Results in order; the first alone, so that one thread compiles."""
    # What the caller set for its own thread alone, by JAX's context managers.
    double, device = jax.config.jax_enable_x64, jax.config.jax_default_device

    def alike(part):
        with jax.enable_x64(double), jax.default_device(device):
            return run(part)

    yield run(parts[0])
    with ThreadPoolExecutor(workers) as pool:  # its map drops what an error leaves
        yield from pool.map(alike, parts[1:])
