"""Many sites: a protocol step in stretches, so that memory follows the steps made.

What a march keeps of its steps lies in buffers as long as the steps allowed, and of
many sites there may be thousands of steps. So a step runs in stretches of a few hundred
steps of the integrator; what they kept goes to the host, of thousands of sites in
single precision.
"""

import dataclasses

import jax
import numpy as np

from .results import RESULTS
from .solver import Track

_LENGTH = 512  # steps of the integrator in a stretch
_SOME_SITES = 100  # above, there are stretches
_MOST_STEPS, _MOST_STEPS_OF_MANY = 2000, 20000
# Of a recorded series, each of which ends a step: noise of 1 mV asks for 13.
_STEPS_AN_INSTANT, _STEPS_AN_INSTANT_TRACED = 16, 4


def suit(topology) -> bool:
    """Whether a network has so many sites."""
    return topology.num_sites > _SOME_SITES


def most_steps(electrode, drive, *, traced: bool) -> int:
    """How many steps of the integrator a caller allows who does not say; fewer under
    transformations, where there are no stretches and room for many costs time.
    """
    many = suit(electrode.network.topology) and not traced
    instants = 0 if drive is None else drive.time.size
    each = _STEPS_AN_INSTANT_TRACED if traced else _STEPS_AN_INSTANT
    return (_MOST_STEPS_OF_MANY if many else _MOST_STEPS) + each * instants


def joined(integrate, state, tolerances, *, single: bool):
    """(outcome, charge) of a protocol step from those of its stretches.

    Args:
        integrate: of (columns and guess, instant to go on from, tolerances).
        state: columns and guess at the step's start.
        tolerances: of the whole step; `max_steps` holds for all stretches together.
        single: keep what was seen in single precision, and no knot twice; otherwise the
            last knot repeats to whole stretches, so that solutions are of few lengths.
    """
    length = min(_LENGTH, tolerances.max_steps)
    short = dataclasses.replace(tolerances, max_steps=length)
    begin, charge, left = np.zeros(()), 0.0, tolerances.max_steps
    tracks, counts = [], np.zeros(2, int)
    while True:
        outcome, passed = integrate(state, begin, short)
        made = np.array([outcome.num_accepted, outcome.num_rejected])
        tracks.append(_on_host(outcome.track, int(made[0]), bool(tracks), single))
        counts, charge, left = counts + made, charge + passed, left - made.sum()
        ended = not bool(outcome.result == RESULTS.max_steps_reached)
        if ended or left <= 0:
            break
        state, begin = outcome.parts, outcome.duration
    track = _end_to_end(tracks)
    whole = dataclasses.replace(
        outcome,
        track=_filled_up(track, 1 if single else length),
        num_accepted=counts[0],
        num_rejected=counts[1],
    )
    return whole, charge


def _on_host(track: Track, count: int, follows: bool, single: bool) -> Track:
    """The knots of a stretch's steps; its first is the last of the one before."""
    # Cut here: each length of a piece would be a program of its own on the device.
    used = slice(int(follows), count + 1)
    leaves = (track.time, track.value, track.higher)
    time, value, higher = (np.array(np.asarray(leaf)[used]) for leaf in leaves)
    if single:
        value, higher = value.astype(np.float32), higher.astype(np.float32)
    return Track(time, value, higher)


def _end_to_end(tracks: list[Track]) -> Track:
    """One track of several, leaf by leaf."""
    leaves = [jax.tree.leaves(track) for track in tracks]
    structure = jax.tree.structure(tracks[0])
    tracks.clear()
    whole = []
    for number in range(structure.num_leaves):
        whole.append(np.concatenate([own[number] for own in leaves]))
        for own in leaves:
            own[number] = None
    return jax.tree.unflatten(structure, whole)


def _filled_up(track: Track, length: int) -> Track:
    """A track whose last knot repeats, so that it has `length` steps, or a multiple of
    it; also where the first one failed.
    """
    steps = length * max(-(-(track.time.size - 1) // length), 1)
    more = steps + 1 - track.time.size
    if not more:
        return track  # of thousands of sites a copy is gigabytes

    def filled(leaf):
        return np.concatenate([leaf, np.repeat(leaf[-1:], more, axis=0)])

    return jax.tree.map(filled, track)
