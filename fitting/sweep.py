"""Many simulations of one electrode, in chunks that any number of processes share.

A lane is one simulation. Which lanes there are, and in which chunk each is, depends on
the sweep alone, so a chunk is the same whoever computes it: processes take those that
nobody has, one that is killed costs its chunk, and whoever finds all of them there
collects.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import diffelec

from . import identity, parameters, results
from .chunks import Store
from .owners import check_uncut
from .parameters import ParameterSpace
from .quantities import QUANTITIES, Range, check_rates, ends_of, free_of

_MOST_LANES = 10_000_000
SUCCESSFUL = "successful"
"""How a lane ended that did not fail."""


class Sweep(NamedTuple):
    """What is simulated.

    Attributes:
        electrode: that is changed.
        protocol: of all lanes.
        space: what is varied.
        values: of each lane (lane, component), in the units of `space.labels`.
        rtol, max_steps: of `simulate`.
        chunk: lanes a file.
    """

    electrode: diffelec.Electrode
    protocol: diffelec.Protocol
    space: ParameterSpace
    values: Float[np.ndarray, "lane component"]
    rtol: float = 1e-4
    max_steps: int = 2000
    chunk: int = 64

    @property
    def num_chunks(self) -> int:
        return -(-len(self.values) // self.chunk)

    def rows(self, number: int) -> slice:
        """Lanes of a chunk."""
        return slice(number * self.chunk, (number + 1) * self.chunk)

    def question(self) -> dict:
        """Name and value of what is asked."""
        return {
            "electrode": identity.digest(self.electrode),
            "protocol": identity.digest(self.protocol),
            "varied quantities": list(self.space.labels),
            "values of the lanes": identity.digest(self.values),
            "rtol": self.rtol,
            "max_steps": self.max_steps,
        }

    def identity(self) -> dict:
        """Name and value of what its lanes depend on, besides the machine."""
        own = {"lanes in a file": self.chunk}
        return self.question() | own | identity.surroundings()


class Lanes(NamedTuple):
    """What is kept of simulations; times from the start of the half cycle.

    Attributes:
        outcome: number of the lane's member of `RESULTS`; `message_of` reads it.
        num_steps: accepted steps of the integrator.
        levels: when 10, 50 and 90 % of a particle's own change are passed [s].
        changes: when a change of 0.066 and of 0.33 in mean stoichiometry is passed [s];
            infinite where never, NaN where the lane failed.
        capacity: charge that a half cycle passes [C], positive on charge.
    """

    outcome: Int[Array, "*lane"]
    num_steps: Int[Array, "*lane"]
    levels: Float[Array, "*lane half 3 particle"]
    changes: Float[Array, "*lane half 2 particle"]
    capacity: Float[Array, "*lane half"]

    @property
    def failed(self):
        """Lanes without an end."""
        return np.asarray(self.outcome) != _number(diffelec.RESULTS.successful)


def grid(ranges: Sequence[Range]) -> Float[np.ndarray, "lane component"]:
    """Every combination of the values of the ranges, the last one fastest; a range of
    one value has its middle.

    Raises:
        ValueError: for a range without a count, or too many lanes.
    """
    for one in ranges:
        if one.count is None:
            raise ValueError(
                f"A grid needs a number of values of each quantity, but '{one.name}' "
                f"has none: write {one.name}={one.low:g}:{one.high:g}:5, or ask for "
                "draws."
            )
    _check_number(int(np.prod([one.count for one in ranges], dtype=float)))
    axes = [
        np.linspace(*ends_of(one), one.count)
        if one.count > 1
        else [np.mean(ends_of(one))]
        for one in ranges
    ]
    return np.array(list(itertools.product(*axes)))


def draws(space: ParameterSpace, count: int, seed: int):
    """Independent draws of the priors (lane, component); a longer run begins alike.

    Raises:
        ValueError: for a number of draws that cannot be.
    """
    _check_number(count)
    if seed < 0:
        raise ValueError(f"`seed` must be 0 or more, but is {seed}.")
    raw = np.random.default_rng(seed).standard_normal((count, space.size))
    constrained = jax.jit(lambda z: space.flatten(space.constrain(z)))
    return np.array([np.asarray(constrained(jnp.asarray(z))) for z in raw])


def _check_number(count: int) -> None:
    if not 1 <= count <= _MOST_LANES:
        raise ValueError(
            f"A sweep must have 1 to {_MOST_LANES} lanes, but is asked for {count}."
        )


def space_of(electrode, ranges: Sequence[Range], knots: Sequence[str] = ()):
    """The space of ranges, and of curves whose knots are drawn from their prior.

    Raises:
        ValueError: for nothing to vary, a thing varied twice, or one that is not what
            it seems in particles cut into sites.
    """
    for one in ranges:
        if QUANTITIES[one.name].is_of_uncut:
            check_uncut(one.name, electrode, range(electrode.num_particles))
        curve = QUANTITIES[one.name].curve
        if curve in knots:  # they would replace what the factor has raised
            drawn = curve.replace("_", "-")
            raise ValueError(
                "Either a factor on a curve or its knots must vary, but both do; drop "
                f"the range of '{one.name}' or the knots of '{drawn}'."
            )
    frees = [free_of(one) for one in ranges]
    frees += [parameters.curve_values(electrode, curve) for curve in knots]
    if not frees:
        raise ValueError("A sweep must vary something; name a range or a curve.")
    return ParameterSpace(tuple(frees))


def begin(store: Store, sweep: Sweep, *, resume: bool, join: bool) -> None:
    """Opens the folder of a sweep: a new one, one to resume, or whichever it is.

    Raises:
        ValueError: for another sweep's folder, or where there is none to resume; for
            what `simulate` refuses, and a current that varies but is no C-rate.
    """
    if max(sweep.protocol.half_cycles, default=-1) < 0:
        raise ValueError(
            "A sweep's protocol must have a charge or a discharge, in which onsets are "
            "looked for, but has none; add a step."
        )
    if not np.any(sweep.electrode.network.topology.imaged):
        raise ValueError(
            "A sweep's electrode must have an imaged particle, whose times are "
            "compared, but has none; mark those that were seen as imaged."
        )
    check_rates(sweep.space, sweep.protocol)
    jax.eval_shape(_lane_of(sweep), sweep.values[0])  # refuses what no lane can be
    if join:
        store.join(sweep.identity())
    elif resume:
        store.check(sweep.identity())
    else:
        store.create(sweep.identity())


def advance(
    store: Store, sweep: Sweep, callback: Callable[[int], None] | None = None
) -> Lanes | None:
    """Computes the chunks that nobody has or works on; all lanes once all are there,
    None while other processes still work on some.

    Args:
        store: a folder that was begun.
        sweep: whose folder it is.
        callback: told how far it has come, in lanes.
    """
    function, worked = _lane_of(sweep), True
    while worked:  # once more for what a killed process has left behind
        worked = False
        for number in range(sweep.num_chunks):
            if not store.begun:  # another process has written the results
                return None
            worked |= _computed(store, sweep, number, function, callback)
            if callback is not None:
                callback(min(sweep.rows(number).stop, len(sweep.values)))
    return collected(store, sweep)


def _computed(store, sweep, number: int, function, callback) -> bool:
    """Computes a chunk where nobody has it or works on it; whether it did."""
    name, rows = _name(number), sweep.rows(number)
    told = None
    if callback is not None:
        told = lambda done, _: callback(rows.start + done)
    with store.claim(name) as mine:
        if not mine or store.kept(name) is not None or not store.begun:
            return False
        found = diffelec.batch(function, sweep.values[rows], callback=told)
        store.keep(name, found._asdict())
        return True


def collected(store: Store, sweep: Sweep) -> Lanes | None:
    """All lanes; None where some are missing."""
    parts = [store.kept(_name(k)) for k in range(sweep.num_chunks)]
    if any(part is None for part in parts):
        return None
    return Lanes(*(np.concatenate([p[name] for p in parts]) for name in Lanes._fields))


def _name(number: int) -> str:
    return f"{number:06d}"


def _lane_of(sweep: Sweep) -> Callable[[Array], Lanes]:
    """What is kept of the simulation with some values; traceable."""

    def lane(values):
        electrode = sweep.space.insert(sweep.electrode, sweep.space.unflatten(values))
        solution = diffelec.simulate(
            *(electrode, sweep.protocol),
            rtol=sweep.rtol,
            max_steps=sweep.max_steps,
            num_saved=2,
            throw=False,
        )
        levels, changes = results.crossings(solution)
        halves = range(solution.num_half_cycles)
        capacity = [solution.half_cycle_capacity(k) for k in halves]
        return Lanes(
            outcome=_number(solution.result),
            num_steps=jnp.sum(solution.num_steps[..., 0]),
            levels=levels,
            changes=changes,
            capacity=jnp.stack(capacity),
        )

    return lane


def _number(result):
    """That of a member of `RESULTS`."""
    return jax.tree.leaves(result)[0]


def message_of(outcome: int) -> str:
    """The sentence of a lane's outcome."""
    if outcome == _number(diffelec.RESULTS.successful):
        return SUCCESSFUL
    form = jax.tree.structure(diffelec.RESULTS.successful)
    return diffelec.RESULTS[jax.tree.unflatten(form, [np.asarray(outcome, np.int32)])]
