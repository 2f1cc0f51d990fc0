"""Digests: equal for equal things, different for different ones."""

import copy
import functools
import pathlib

import equinox as eqx
import jax
import numpy as np
import pytest

import diffelec
from diffelec.topology import Topology
from fitting import identity, samplers

from .linear import linear_problem


def test_a_digest_sees_what_functions_close_over():
    def adds(number):
        return lambda x: x + number

    assert identity.digest(adds(1)) == identity.digest(adds(1))
    assert identity.digest(adds(1)) != identity.digest(adds(2))
    assert identity.digest(np.zeros(3)) == identity.digest(jax.numpy.zeros(3))
    assert identity.digest(np.zeros(3)) != identity.digest(np.zeros((3, 1)))


class Slotted:
    __slots__ = ("size",)

    def __init__(self, size):
        self.size = size

    def grow(self):
        return self.size


class Kept:
    def __init__(self, size):
        self.size = size

    grow = Slotted.grow


def keyed(number):
    def adds(x, *, by=number):
        return x + by

    return adds


def power(x, by=2.0):
    return x**by


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (functools.partial(power, by=2.0), functools.partial(power, by=3.0)),
        (functools.partial(power, 2.0), functools.partial(power, 3.0)),
        (Kept(1).grow, Kept(2).grow),
        (Slotted(1), Slotted(2)),
        ({1, 2}, {1, 3}),
        (frozenset([1]), frozenset([2])),
        (pathlib.Path("a"), pathlib.Path("b")),
        (slice(1), slice(2)),
        (range(3), range(4)),
        (np.dtype(float), np.dtype(int)),
        (np.array([1, None]), np.array([2, None])),
        (keyed(1), keyed(2)),
        (jax.numpy.sin, jax.numpy.cos),
        (jax.numpy.add, jax.numpy.multiply),
        (np.sin, np.cos),
        (len, sum),
        (int, float),
        (jax.jit(power), jax.jit(keyed(1))),
        (jax.jit(keyed(1)), jax.jit(keyed(2))),
        (((1,), 2), ((1, 2),)),
        ([[1.0], 2.0], [[1.0, 2.0]]),
        ({"a": {}, "b": 1}, {"a": {"b": 1}}),
        ((b"a\0b",), (b"a", b"b")),
    ],
)
def test_a_digest_tells_different_things_apart(one, other):
    assert identity.digest(one) != identity.digest(other)
    again = one if callable(one) else copy.deepcopy(one)
    assert identity.digest(one) == identity.digest(again)


def test_what_tells_nothing_has_no_digest():
    with pytest.raises(ValueError, match="does not tell what it holds; use"):
        identity.digest((1.0, object()))


def test_a_digest_is_the_same_after_a_solve():
    electrode = diffelec.presets.sharma2022(obstructions=(0, 1), num_shells=4)
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 for 1 hour"])
    before, kept = identity.digest(electrode), set(vars(electrode.network.topology))
    diffelec.simulate(electrode, protocol, rtol=1e-3, num_saved=2)
    topology = electrode.network.topology
    for name in ("node_labels", "in_vectors"):
        getattr(topology, name)
    assert set(vars(topology)) > kept
    assert identity.digest(electrode) == before


def test_a_digest_tells_topologies_apart():
    made = Topology((0, 1), (1, 2), ("a", "b"))
    others = (
        Topology((0, 0), (1, 2), ("a", "b")),
        Topology((0, 1), (1, 2), ("a", "c")),
        Topology((0, 1), (1, 2), ("a", "b"), imaged=(True, False)),
        Topology((0, 1), (1, 2), ("a", "b"), positions=[[0.0, 1], [1, 2]]),
    )
    told = [identity.digest(one) for one in (made, made.in_vectors, *others)]
    assert len(set(told)) == len(told)


class Walk(samplers.AbstractSampler):
    """A sampler of one's own, with an array among its settings."""

    steps: np.ndarray
    num_warmup: int = eqx.field(static=True, default=10)

    def start(self, target, key):
        raise NotImplementedError

    def advance(self, target, state):
        raise NotImplementedError


def test_an_identity_tells_numbers_in_arrays_of_a_sampler():
    told = [
        identity.identity_of(linear_problem(), Walk(np.array(steps)), 0, 10)["sampler"]
        for steps in ([0.5, 1.0], [0.5, 1.0], [0.25, 1.0])
    ]
    assert told[0] == told[1] != told[2]
