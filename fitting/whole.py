"""From a fit of times to one of whole intensity traces."""

import dataclasses

import numpy as np

from .intensities import Intensities, IntensityNoise
from .setup import Setup

_SAVED = 401  # instants of a protocol step, at least


def with_intensities(setup: Setup, seen: Intensities, sd: float) -> Setup:
    """The same fit, to traces in place of the times that were found in them.

    A particle of which only one-sided bounds are known keeps them: a trace without a
    jump cannot tell a particle that did not react from one without contrast. Behind a
    recording, traces are of the half cycle that was seen, and times of others stay.

    Args:
        setup: fits the times.
        seen: intensities, on the clock of those times.
        sd: by how much the model may be off, in units of a trace's range.

    Raises:
        ValueError: where no trace is of a particle with a time or an interval.
    """
    problem, events = setup.problem, setup.events
    owner = np.array(events.particles)[events.particle]
    bounded = events.right_censored | events.left_censored
    timed = set(owner[~bounded & setup.fitted])
    labels = [p for p in events.particles if p in timed and p in seen.labels]
    if not labels:
        raise ValueError(
            "Intensities must be of particles with a time that is fitted, such as "
            f"{', '.join(sorted(timed))[:80]}, but are of {', '.join(seen.labels)[:80]}"
            "; correct the names."
        )
    seen = seen.select(labels)
    traced = np.array(setup.forward.half_cycles) == setup.forward.half_cycle
    traced |= setup.recording is None
    kept = setup.fitted & ~(np.isin(owner, labels) & traced)
    chosen = np.flatnonzero(kept[setup.fitted])
    forward, names = problem.forward, problem.electrode.network.topology.particle_labels
    forward = dataclasses.replace(
        forward.select(chosen),
        followed=tuple(names.index(label) for label in labels),
        num_saved=max(_SAVED, forward.num_saved),
    )
    whole = dataclasses.replace(
        problem,
        forward=forward,
        noise=problem.noise.select(chosen),
        intensities=IntensityNoise.of(seen, sd),
    )
    return dataclasses.replace(
        setup, problem=whole, fitted=kept, seen=seen, times=problem
    )
