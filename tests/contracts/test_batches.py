"""Batches, with functions that cost nothing: order, chunks, costs, errors."""

import os
import pathlib
import subprocess
import sys
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import batches

ROOT = pathlib.Path(__file__).parents[2]
LANES = {"x": np.arange(7.0), "matrix": np.arange(28.0).reshape(7, 2, 2)}


def function(lane):
    return {"sum": lane["x"] + jnp.sum(lane["matrix"]), "twice": 2.0 * lane["matrix"]}


def assert_right(found):
    np.testing.assert_array_equal(found["twice"], 2.0 * LANES["matrix"])
    sums = LANES["x"] + LANES["matrix"].sum((1, 2))
    np.testing.assert_array_equal(found["sum"], sums)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"executor": "threads", "cost": [3, 1, 4, 1, 5, 9, 2]},
        {"executor": "vectorised"},
        {"executor": "vectorised", "chunk": 3},
        {"executor": "vectorised", "chunk": 1},
        {"executor": "vectorised", "chunk": 3, "cost": [3, 1, 4, 1, 5, 9, 2]},
    ],
)
def test_every_lane_comes_back_in_its_place(how):
    told = []
    found = diffelec.batch(function, LANES, **how, callback=lambda *n: told.append(n))
    assert_right(found)
    assert told[-1] == (7, 7)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_chunks_are_of_lanes_that_cost_alike():
    seen = []

    def looks(x):
        jax.debug.callback(lambda v: seen.append(float(v)), x)
        return x

    cost = np.array([1.0, 9.0, 2.0, 8.0])
    diffelec.batch(looks, cost, executor="vectorised", chunk=2, cost=cost)
    jax.effects_barrier()
    assert [set(seen[:2]), set(seen[2:])] == [{9.0, 8.0}, {1.0, 2.0}]


def test_a_function_is_compiled_once_for_all_lanes():
    traced = []

    def counted(x):
        traced.append(threading.get_ident())
        return x + 1.0

    for executor in ("threads", "vectorised"):
        diffelec.batch(counted, np.arange(9.0), executor=executor, chunk=4)
    assert len(traced) == 2


def test_gradients_of_a_batch_are_those_of_each_lane():
    raw = np.linspace(0.0, 1.0, 12).reshape(4, 3)
    pair = jax.value_and_grad(lambda x: jnp.sum(jnp.sin(x)))
    value, slope = diffelec.batch(pair, raw)
    np.testing.assert_allclose(value, np.sin(raw).sum(1))
    np.testing.assert_allclose(slope, np.cos(raw))


def test_an_error_ends_the_batch_with_the_lanes_under_way():
    begun, ran = [], []

    def counted(x):
        jax.debug.callback(lambda v: ran.append(float(v)), x)
        return x

    def stops(done, count):
        begun.append(done)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diffelec.batch(counted, np.arange(5000.0), callback=stops)
    assert begun == [1, 2]
    assert len(ran) < 4000


@pytest.mark.parametrize(
    ("stats", "lanes"),
    [(None, 1024), ({"bytes_limit": 40 * 2**30}, 2560), ({"bytes_limit": 1}, 1)],
)
def test_a_device_holds_lanes_of_16_mebibytes_each(stats, lanes):
    device = types.SimpleNamespace(memory_stats=lambda: stats)
    assert batches._held_by(device) == lanes


def test_chunks_are_as_large_as_a_device_holds(monkeypatch):
    monkeypatch.setattr(batches, "_held_by", lambda _: 3)
    told = []
    found = diffelec.batch(
        function, LANES, executor="vectorised", callback=lambda *n: told.append(n)
    )
    assert_right(found)
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_lanes_that_memory_does_not_hold_are_told_of_with_a_remedy():
    def needs_much(x):
        return jnp.sort(jnp.arange(10**13) + x)[0]

    words = "`chunk` must be what the memory of .* holds, which 3 lanes are not; pass"
    with pytest.raises(MemoryError, match=words):
        diffelec.batch(needs_much, np.arange(3.0), executor="vectorised")


def test_all_devices_take_their_part():
    program = (
        "import jax, numpy as np, diffelec\n"
        "jax.config.update('jax_enable_x64', True)\n"
        "used = set()\n"
        "put = jax.device_put\n"
        "jax.device_put = lambda x, d: (used.add(d.id), put(x, d))[1]\n"
        "y = diffelec.batch(lambda x: 2 * x, np.arange(7.0), "
        "executor='vectorised', chunk=2)\n"
        "assert np.array_equal(y, 2 * np.arange(7.0)), y\n"
        "print(sorted(used))\n"
    )
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | flags | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[0, 1, 2]"


@pytest.mark.parametrize(
    ("lanes", "how", "words"),
    [
        ({}, {}, "arrays with one leading axis of lanes"),
        (np.zeros((0, 3)), {}, "not empty"),
        (1.0, {}, "one leading axis of lanes"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, {}, r"\['\(3,\)', '\(4,\)'\]"),
        (np.zeros(3), {"executor": "gpu"}, "'threads' or 'vectorised', but is 'gpu'"),
        (np.zeros(3), {"executor": ["gpu"]}, r"or 'vectorised', but is \['gpu'\]"),
        (np.zeros(3), {"callback": True}, "`callback` must be .* called, but is True"),
        (
            np.zeros(3),
            {"chunk": 0},
            "`chunk` must be a whole number, 1 or more, but is 0",
        ),
        (np.zeros(3), {"cost": np.ones(2)}, r"each of 3 lanes, but has shape \(2,\)"),
        (np.zeros(2), {"cost": [1.0, np.nan]}, "gaps"),
    ],
)
def test_what_is_no_batch_is_named(lanes, how, words):
    with pytest.raises(ValueError, match=words):
        diffelec.batch(function, lanes, **how)


def test_what_is_no_function_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="`function` must be what can be called, but"):
        diffelec.batch(np.zeros(3), function)


def test_lanes_that_differ_cannot_be_stacked():
    one = {"a": np.zeros(3)}
    found = diffelec.stack([one, {"a": np.ones(3)}])
    np.testing.assert_array_equal(found["a"], [[0, 0, 0], [1, 1, 1]])
    with pytest.raises(ValueError, match="one lane or more"):
        diffelec.stack([])
    with pytest.raises(ValueError, match=r"equal shapes, but hold \[\(2,\), \(3,\)\]"):
        diffelec.stack([one, {"a": np.zeros(2)}])
    with pytest.raises(ValueError, match="differ in structure"):
        diffelec.stack([one, {"b": np.zeros(3)}])


def test_lanes_of_a_transformation_are_refused():
    with pytest.raises(ValueError, match="a transformation of JAX holds some"):
        jax.jit(lambda x: diffelec.batch(jnp.sin, x))(jnp.arange(3.0))
    with pytest.raises(ValueError, match="a transformation of JAX holds some"):
        jax.jit(lambda x: diffelec.stack([x, x]))(1.0)
    for way in jax.jit, jax.grad:
        within = lambda y: diffelec.batch(lambda x: x * y, np.arange(3.0)).sum()
        with pytest.raises(ValueError, match="`function` must hold known numbers"):
            way(within)(2.0)


@pytest.mark.parametrize("executor", ["threads", "vectorised"])
def test_random_keys_are_lanes_too(executor):
    keys = jax.random.split(jax.random.key(0), 3)
    lanes = diffelec.stack([{"key": key} for key in keys])
    draw = lambda lane: (jax.random.normal(lane["key"]), jax.random.split(lane["key"]))
    cost = [1.0, 3.0, 2.0]
    drawn, split = diffelec.batch(draw, lanes, executor=executor, cost=cost, chunk=2)
    for k, key in enumerate(keys):
        assert drawn[k] == jax.random.normal(key)
        assert jnp.all(split[k] == jax.random.split(key))


def test_lanes_behind_a_mask_are_refused():
    lanes = np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False])
    with pytest.raises(ValueError, match="a mask hides some; leave those lanes out"):
        diffelec.batch(jnp.sin, lanes)
    np.testing.assert_array_equal(diffelec.batch(jnp.sin, lanes[::2]), np.sin([1, 3]))


def test_threads_compute_as_the_thread_that_asks_does():
    def kind(x):
        return jnp.asarray(x, float) + jnp.ones(())

    with jax.enable_x64(False):
        found = diffelec.batch(kind, np.arange(3.0), executor="threads")
    assert found.dtype == np.float32


def test_a_failed_lane_tells_why():
    electrode = diffelec.presets.single_particle(num_shells=5)
    protocol = diffelec.Protocol.from_strings(["Discharge at C/10 until 4.0 V"])
    lanes = diffelec.stack([electrode, electrode])
    found = diffelec.batch(
        lambda one: diffelec.simulate(one, protocol, rtol=1e-3, throw=False), lanes
    )
    lane = jax.tree.map(lambda leaf: leaf[1], found)
    assert "limit of the first step is already passed" in lane.message()
