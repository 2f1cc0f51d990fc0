"""Where half cycles end: what is predicted beyond is predicted not to happen in them.

Beyond the end a model continues times smoothly (`problem.Simulated`), so that a search
knows which way to go. As the time of an event such a number means nothing.
"""

from collections.abc import Mapping, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .problem import Simulated

HOUR = 3600.0
_NEVER = 1e100  # stands for infinity where quantiles are taken


def ends_of(setup, raw: Float[np.ndarray, " component"]) -> Float[np.ndarray, " event"]:
    """The latest time that each event can have, as `ends_in` says; by the clock of
    `raw` and its electrode, where cut-offs end half cycles, and infinite where times
    are no simulation's.
    """
    forward = setup.forward
    if not isinstance(forward, Simulated):
        return np.full(len(setup.events.kind), np.inf)
    spans = forward.protocol.spans
    if spans is None:
        spans = _solved(forward, setup.problem, jnp.asarray(raw))
    spans = {h: spans[h] for h in set(forward.half_cycles)}
    return ends_in(forward, spans, clock_offset(setup.problem.space, raw))


def ends_of_each(
    setup, raws: Float[np.ndarray, "draw component"]
) -> Float[np.ndarray, "draw event"]:
    """The same of many draws, which are solved where cut-offs end half cycles."""
    return np.stack([ends_of(setup, raw) for raw in raws])


def clock_offset(space, raw: Float[np.ndarray, " component"]) -> float:
    """What raw numbers add to the times of instants [s]; 0 where no clock is free."""
    return float(_offset(space, jnp.asarray(raw)))


@eqx.filter_jit
def _offset(space, raw):
    return space.clock_offset(space.constrain(raw))


@eqx.filter_jit
def _solved(forward, problem, raw):
    """Spans of the half cycles of events in one solution."""
    electrode = problem.space.insert(problem.electrode, problem.space.constrain(raw))
    solution = forward.solve(electrode)
    return {h: solution.half_cycle_span(h) for h in set(forward.half_cycles)}


def ends_in(
    forward: Simulated, spans: Mapping[int, tuple], offset: float = 0.0
) -> Float[np.ndarray, " event"]:
    """The latest time that each event can have, on its clock [s]: the end of its half
    cycle, and of a duration, how long that lasts.

    Args:
        forward: with the events.
        spans: (start, end) of each half cycle [s from the start of the protocol].
        offset: of that clock, which moves all but durations [s].
    """
    start, end = np.array([spans[h] for h in forward.half_cycles], float).T
    shift = 0.0 if forward.origin is None else forward.origin + start
    return end - start + np.where(forward.duration, 0.0, shift + offset)


def measurable(times, events) -> np.ndarray:
    """Times with the scatter of a measurement, of which durations are not below 0."""
    return np.where(events.is_duration, np.maximum(times, 0.0), times)


def within(times, ends) -> np.ndarray:
    """Times of events as told (`Prediction.stated`), infinite beyond the ends."""
    return np.where(np.asarray(times) > ends, np.inf, times)


def quantiles_within(
    times: Float[np.ndarray, "draw event"],
    ends: Float[np.ndarray, "draw event"],
    levels: Sequence[float],
) -> Float[np.ndarray, "level event"]:
    """Quantiles of times over draws that each have ends of their own, infinite where
    they are beyond.
    """
    found = np.quantile(np.where(times > ends, _NEVER, times), levels, axis=0)
    return np.where(found > 1e-9 * _NEVER, np.inf, found)


def told(time: float, end: float, decimals: int = 2) -> str:
    """A time of `within`, in h."""
    style = f".{decimals}f"
    if np.isfinite(time):
        return f"{time / HOUR:{style}}"
    return f"after {end / HOUR:{style}}"


def told_interval(low: float, high: float, end: float) -> str:
    """An interval of such times, in h."""
    if np.isinf(low):
        return told(low, end)
    return f"{told(low, end)} to {told(high, end)}"
