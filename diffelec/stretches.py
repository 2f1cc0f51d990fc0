"""Many sites: a protocol step in stretches, so that memory follows the steps made.

What a march keeps of its steps lies in buffers as long as the steps allowed. Of
thousands of sites that is more than a machine has, so a step runs in stretches of a few
hundred steps of the integrator; what they kept goes to the host, in single precision.
"""

import dataclasses

import jax
import numpy as np

from .results import RESULTS
from .solver import MANY_SITES, Track

_LENGTH = 512  # steps of the integrator in a stretch


def suit(topology) -> bool:
    """Whether a network has so many sites."""
    return topology.num_sites > MANY_SITES


def joined(integrate, state, tolerances):
    """(outcome, charge) of a protocol step from those of its stretches.

    Args:
        integrate: of (columns and guess, instant to go on from, tolerances).
        state: columns and guess at the step's start.
        tolerances: of the whole step; `max_steps` holds for all stretches together.
    """
    length = min(_LENGTH, tolerances.max_steps)
    short = dataclasses.replace(tolerances, max_steps=length)
    begin, charge, left = np.zeros(()), 0.0, tolerances.max_steps
    tracks, counts = [], np.zeros(2, int)
    while True:
        outcome, passed = integrate(state, begin, short)
        made = np.array([outcome.num_accepted, outcome.num_rejected])
        tracks.append(_on_host(outcome.track, int(made[0]), bool(tracks)))
        counts, charge, left = counts + made, charge + passed, left - made.sum()
        ended = not bool(outcome.result == RESULTS.max_steps_reached)
        if ended or left <= 0:
            break
        state, begin = outcome.parts, outcome.duration
    whole = dataclasses.replace(
        outcome,
        track=_end_to_end(tracks),
        num_accepted=counts[0],
        num_rejected=counts[1],
    )
    return whole, charge


def _on_host(track: Track, count: int, follows: bool) -> Track:
    """The knots of a stretch's steps; its first is the last of the one before."""
    # Cut here: each length of a piece would be a program of its own on the device.
    used = slice(int(follows), count + 1)
    return Track(
        np.array(np.asarray(track.time)[used]),
        np.asarray(track.value)[used].astype(np.float32),
        np.asarray(track.higher)[used].astype(np.float32),
    )


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
