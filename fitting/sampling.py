"""Runs chains of a sampler: in threads or batched, in stretches that a store keeps.

A draw depends on the seed, its chain and its number, never on the order in which
chains are advanced: a run that was killed and resumed gives the same bits. On CPU
chains take turns in as many threads as there are cores (compiled code runs outside
Python's lock); on a GPU they advance together.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from .chunks import Store
from .jumps import AbstractJumper, Jumping
from .mixtures import Mixture, fit_mixture
from .posterior import Posterior
from .samplers import AbstractSampler, Draw

_LAW = "law"  # file of what chains jump to
_PARTS_OF_LAW = ("share", "middle", "factor")
_TRIES = 60  # halvings of a start; 2^-60 of a standard deviation is the optimum


class Plan(NamedTuple):
    """How many draws of which chains.

    Attributes:
        num_chains: that run.
        num_draws: of each, after warm-up.
        seed: of all.
        chunk: draws a file.
    """

    num_chains: int
    num_draws: int
    seed: int
    chunk: int = 10

    def check(self) -> None:
        """Raises ValueError for counts that cannot be."""
        for name, least in (("num_chains", 1), ("num_draws", 4), ("chunk", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"`{name}` must be {least} or more, but is {value}.")
        if self.seed < 0:
            raise ValueError(f"`seed` must be 0 or more, but is {self.seed}.")


class Progress(NamedTuple):
    """What a callback is told after every draw; from any thread, one at a time."""

    num_done: int  # draws of all chains, warm-up included, before and after a resume
    num_total: int
    num_new: int  # draws of this process
    num_solves: int  # of this process
    num_diverging: int  # after warm-up, of this process; not by a failed solve
    num_failed: int  # solves, of this process


class Samples(NamedTuple):
    """The draws of all chains, each array (chain, draw, ...).

    Attributes:
        draws: after warm-up.
        warmup: the ones before.
    """

    draws: Draw
    warmup: Draw


def sample(
    target: Posterior,
    sampler: AbstractSampler,
    store: Store,
    plan: Plan,
    *,
    batched: bool = False,
    callback: Callable[[Progress], Any] | None = None,
) -> Samples:
    """Advances all chains to the end of the plan, from wherever the store has them.

    Args:
        target: what is sampled.
        sampler: how.
        store: a run that was begun, and checked against this target and sampler.
        plan: how many draws.
        batched: chains advance together in one batch (on a GPU).
        callback: told of every draw.

    Raises:
        ValueError: for a plan that cannot be, or where the density is zero at the
            optimum.
    """
    plan.check()
    with store.lock():
        found = _collected(store, plan, sampler.num_warmup)
        if found is None:
            starts = _starts(target, sampler, plan)
            advance = lambda states: _advance(target, sampler, states)
            # Compiled here once: threads that meet at the first call would each do it.
            jax.block_until_ready(advance(starts[: None if batched else 1]))
            work = _Work(advance, store, plan, sampler.num_warmup, callback)
            (_together if batched else _in_threads)(work, starts)
            found = _collected(store, plan, sampler.num_warmup)
        return found


def sample_jumping(
    target: Posterior,
    inner: AbstractJumper,
    store: Store,
    plan: Plan,
    num_pilot: int,
    **options,
) -> Samples:
    """The same, with jumps to a law that is fitted to a pilot in front.

    Args:
        target: what is sampled.
        inner: how the pilot is drawn, and what moves there are between jumps.
        store: a run that was begun; it keeps the law too.
        plan: how many draws, behind the pilot.
        num_pilot: draws of the pilot behind the other's warm-up, with which they must
            fill whole files; 0 for neither pilot nor jumps.
        options: of `sample`.

    Raises:
        ValueError: as `sample` does; for a pilot that fills no whole files.
    """
    if not num_pilot:
        return sample(target, inner, store, plan, **options)
    front = inner.num_warmup + num_pilot
    if front % plan.chunk:
        raise ValueError(
            f"Warm-up and pilot must fill whole files of {plan.chunk} draws, but are "
            f"{front} draws."
        )
    pilot = sample(target, inner, store, plan._replace(num_draws=num_pilot), **options)
    law = store.kept(_LAW)
    if law is None:
        raw = jnp.asarray(pilot.draws.raw.reshape(-1, target.size))
        points = np.asarray(points_of(target, raw))
        fitted = fit_mixture(points, seed=plan.seed)
        law = {name: np.asarray(getattr(fitted, name)) for name in _PARTS_OF_LAW}
        store.keep(_LAW, law)
    law = Mixture(*(jnp.asarray(law[name]) for name in _PARTS_OF_LAW))
    return sample(target, Jumping(inner, law, num_pilot), store, plan, **options)


@eqx.filter_jit
def points_of(target: Posterior, raw: Float[Array, "draw component"]):
    """Points u of raw numbers."""
    return jax.vmap(target.point)(raw)


@eqx.filter_jit
def _start(target, sampler, key):
    return jax.tree.map(_strong, sampler.start(target, key))


def _starts(target, sampler, plan: Plan) -> list:
    """The first state of every chain, by its number alone."""
    root = jax.random.key(plan.seed)
    keys = [jax.random.fold_in(root, chain) for chain in range(plan.num_chains)]
    return [_start(target, sampler, key) for key in keys]


def _strong(leaf):
    """The same as an array without a weak type, so that what goes in fits what came
    out.
    """
    leaf = jnp.asarray(leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return leaf
    return lax.convert_element_type(leaf, leaf.dtype)


@eqx.filter_jit
def _advance(target, sampler, states: list) -> list:
    """States to (state, draw) of each, in one batch where there are several."""
    if len(states) == 1:
        found = [sampler.advance(target, states[0])]
    else:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        moved = jax.vmap(lambda state: sampler.advance(target, state))(stacked)
        found = [
            jax.tree.map(lambda leaf, k=k: leaf[k], moved) for k in range(len(states))
        ]
    return jax.tree.map(_strong, found)


class _Chain:
    """A chain under way: its state, and the number of its next stretch."""

    def __init__(self, number: int, state, stretch: int):
        self.number, self.state, self.stretch = number, state, stretch
        self.busy = False


class _Work:
    """What workers share: the compiled draw, the store, counts, the wish to stop."""

    def __init__(self, advance, store, plan, num_warmup, callback):
        self.advance, self.store, self.plan = advance, store, plan
        self.num_warmup, self.callback = num_warmup, callback
        self.total = num_warmup + plan.num_draws
        self.num_stretches = -(-self.total // plan.chunk)
        self.stop = threading.Event()
        self.lock = threading.Condition()
        self.counts = np.zeros(5, int)  # done, new, solves, diverging, failed

    def size(self, stretch: int) -> int:
        """Draws of a stretch; the last one may be shorter."""
        return min(self.plan.chunk, self.total - stretch * self.plan.chunk)

    def opened(self, number: int, state, limit: int | None = None) -> _Chain:
        """A chain behind its last whole stretch, or behind `limit` of them."""
        stretch, limit = 0, self.num_stretches if limit is None else limit
        while stretch < limit:
            found = self.store.read(number, stretch, like=state)
            if found is None or len(found[0].log_density) != self.size(stretch):
                break
            state = found[1]
            stretch += 1
        return _Chain(number, state, stretch)

    def begin(self, chains: list[_Chain]) -> None:
        """Counts what is there already."""
        here = (min(c.stretch * self.plan.chunk, self.total) for c in chains)
        self.counts[0] = sum(here)

    def ready(self, states):
        """States from which the first draw can be made."""
        for _ in range(_TRIES):
            waiting = [k for k, state in enumerate(states) if not bool(state.ready)]
            if not waiting or self.stop.is_set():
                return states
            found = self.advance(states)
            states = [found[k][0] if k in waiting else s for k, s in enumerate(states)]
        raise ValueError(
            "The posterior must have a density at its optimum, but the solve fails "
            "there; search again from other starts."
        )

    def stretch(self, chains) -> bool:
        """Draws and keeps the next stretch of chains that are at the same one; False
        where it was stopped.
        """
        number = chains[0].stretch
        states = self.ready([chain.state for chain in chains])
        draws: list[list[Draw]] = [[] for _ in chains]
        for k in range(self.size(number)):
            if self.stop.is_set():
                return False
            found = jax.block_until_ready(self.advance(states))
            states = [state for state, _ in found]
            for own, (_, draw) in zip(draws, found, strict=True):
                own.append(jax.tree.map(np.asarray, draw))
                self._tell(own[-1], number * self.plan.chunk + k >= self.num_warmup)
        for chain, own, state in zip(chains, draws, states, strict=True):
            stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *own)
            self.store.write(chain.number, number, stacked, state)
            chain.state, chain.stretch = state, number + 1
        return True

    def _tell(self, draw: Draw, counts: bool) -> None:
        with self.lock:
            astray = counts & bool(draw.diverging)
            new = [1, 1, draw.num_solves, astray, draw.num_failed]
            self.counts += np.array(new, int)
            done, new, solves, diverging, failed = self.counts.tolist()
            total = self.plan.num_chains * self.total
            if self.callback is not None:
                self.callback(Progress(done, total, new, solves, diverging, failed))


def _together(work: _Work, starts: list) -> None:
    """All chains in one batch; those that are ahead draw some stretches anew."""
    every = list(enumerate(starts))
    first = min(work.opened(c, state).stretch for c, state in every)
    chains = [work.opened(c, state, limit=first) for c, state in every]
    work.begin(chains)
    while chains[0].stretch < work.num_stretches:
        work.stretch(chains)


def _in_threads(work: _Work, starts: list) -> None:
    """Chains in turn, the one that is furthest behind first."""
    chains = [work.opened(c, state) for c, state in enumerate(starts)]
    work.begin(chains)
    num = max(1, min(os.cpu_count() or 1, len(chains)))
    with ThreadPoolExecutor(num) as pool:
        running = [pool.submit(_labour, work, chains) for _ in range(num)]
        try:
            for future in running:
                future.result()
        finally:
            work.stop.set()


def _labour(work: _Work, chains: list[_Chain]) -> None:
    """One thread: takes chains until none is left."""
    while not work.stop.is_set():
        with work.lock:
            open_ = [c for c in chains if not c.busy and c.stretch < work.num_stretches]
            if not open_:
                return
            chain = min(open_, key=lambda c: (c.stretch, c.number))
            chain.busy = True
        try:
            work.stretch([chain])
        except BaseException:
            work.stop.set()
            raise
        finally:
            with work.lock:
                chain.busy = False


def _collected(store: Store, plan: Plan, num_warmup: int) -> Samples | None:
    """All draws of a finished run; None where some are missing."""
    total = num_warmup + plan.num_draws
    chains = []
    for chain in range(plan.num_chains):
        read = [store.read(chain, k) for k in range(-(-total // plan.chunk))]
        if any(part is None for part in read):
            return None
        parts = [draws for draws, _ in read]
        if sum(len(part.energy) for part in parts) != total:
            return None
        chains.append(jax.tree.map(lambda *a: np.concatenate(a), *parts))
    every = jax.tree.map(lambda *leaves: np.stack(leaves), *chains)
    return Samples(
        jax.tree.map(lambda a: a[:, num_warmup:], every),
        jax.tree.map(lambda a: a[:, :num_warmup], every),
    )
