"""What a run of chains says: numbers, bands of curves, predictions with their scatter.

Turns a `Setup` and the `Samples` of its posterior into an `Inference`, which figures
draw and files hold.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from .diagnostics import Diagnosis, diagnose, resampled
from .ends import ends_of_each, measurable, quantiles_within
from .left_out import LeftOut
from .report import Band
from .review import curve_bands
from .samplers import Draw
from .sampling import Samples
from .setup import Setup
from .tempering import Tempered

_NUM_POINTS = 151
_MOST = 1000  # draws that bands are made of
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Quantiles that predictions are stated by: intervals of 90 % and 50 %."""


class Prediction(NamedTuple):
    """What the posterior says of every event, fitted or not [s].

    Attributes:
        times: of the model, on the events' clock (chain, draw, event).
        replicated: the same with the scatter of a measurement (chain, draw, event).
        quantiles: of `replicated`, at `LEVELS`, each infinite beyond the end of the
            half cycle in its own draw (level, event).
        ends: the latest time that each event can have within its half cycle, in the
            most probable draw (event,).
    """

    times: Float[np.ndarray, "chain draw event"]
    replicated: Float[np.ndarray, "chain draw event"]
    quantiles: Float[np.ndarray, "level event"]
    ends: Float[np.ndarray, " event"]


class Inference(NamedTuple):
    """A posterior.

    Attributes:
        title: what was fitted.
        setup: with data, model and priors.
        draws: of the posterior (chain, draw, ...).
        values: of the free quantities (chain, draw, component).
        labels: of the components, with their units.
        diagnosis: whether all this may be trusted.
        bands: of the material curves, 90 % (`low`, `high`) about the median.
        predicted: event times.
        tempered: what walkers found on the way; None where draws were had otherwise.
        left_out: the same without each particle in turn; None where not worked out.
    """

    title: str
    setup: Setup
    draws: Draw
    values: Float[np.ndarray, "chain draw component"]
    labels: tuple[str, ...]
    diagnosis: Diagnosis
    bands: tuple[Band, ...]
    predicted: Prediction
    tempered: Tempered | None = None
    left_out: LeftOut | None = None

    @property
    def coverage(self) -> tuple[int, int, int]:
        """Fitted events with a time, and how many of them lie within the 50 % and the
        90 % interval of what their measurement should have given.
        """
        events, quantiles = self.setup.events, self.predicted.quantiles
        known = events.exact & self.setup.fitted
        time = events.time[known]
        inside = [
            int(
                np.sum(
                    (time >= quantiles[low, known]) & (time <= quantiles[high, known])
                )
            )
            for low, high in ((1, 3), (0, 4))
        ]
        return int(known.sum()), *inside


def infer(
    setup: Setup,
    samples: Samples,
    title: str,
    *,
    seed: int,
    max_depth: int | None = None,
    tempered: Tempered | None = None,
) -> Inference:
    """What the draws of a problem's posterior say.

    Args:
        setup: what was sampled.
        samples: its chains.
        title: of the whole.
        seed: of the scatter of replicated measurements, and of resampling.
        max_depth: of the sampler's trees.
        tempered: what walkers found on the way, if any went.
    """
    space = setup.problem.space
    draws = resampled(samples.draws, seed)
    values = _values(space, draws.raw)
    return Inference(
        title=title,
        setup=setup,
        draws=draws,
        values=values,
        labels=space.labels,
        diagnosis=diagnose(samples, values, space.labels, max_depth),
        bands=_bands(setup.problem, draws.raw, seed),
        predicted=_predicted(setup, draws, seed),
        tempered=tempered,
    )


def _values(space, raw):
    """Components of the values of raw numbers (chain, draw, component)."""
    flat = jax.jit(jax.vmap(lambda z: space.flatten(space.constrain(z))))
    found = np.asarray(flat(jnp.asarray(raw.reshape(-1, raw.shape[-1]))))
    return found.reshape(raw.shape)


def _thinned(raw, most: int):
    """Some of the draws, evenly (draw, component)."""
    flat = raw.reshape(-1, raw.shape[-1])
    chosen = np.linspace(0, len(flat) - 1, min(most, len(flat))).astype(int)
    return flat[chosen]


def _bands(problem, raw, seed: int) -> tuple[Band, ...]:
    """Median and 90 % band of the draws, and of the prior, of every curve."""
    chosen = _thinned(raw, _MOST)
    prior = np.random.default_rng(seed + 1).standard_normal(chosen.shape)

    def found(name, x):
        own, before = (_on_grid(problem, name, x, some) for some in (chosen, prior))
        ends = (np.quantile(part, [0.05, 0.95], axis=0) for part in (own, before))
        return np.median(own, axis=0), *next(ends), *next(ends)

    return curve_bands(problem, _NUM_POINTS, found)


def _on_grid(problem, name: str, x, raws):
    """A curve of many draws (draw, point)."""

    def one(raw):
        electrode = problem.space.insert(
            problem.electrode, problem.space.constrain(raw)
        )
        return getattr(electrode.curves, name)(x)

    return np.asarray(jax.jit(jax.vmap(one))(jnp.asarray(raws)))


@eqx.filter_jit
def _times_of(setup_forward, problem, raw):
    """Times of all events on their clock, of one draw."""
    values = problem.space.constrain(raw)
    found = setup_forward(problem.space.insert(problem.electrode, values))
    return found.stated, problem.space.clock_offset(values)


def _predicted(setup: Setup, draws: Draw, seed: int) -> Prediction:
    """Event times of every draw; solved anew only where some were not fitted."""
    events = setup.events
    if setup.fitted.all():
        times = draws.times
    else:
        shape = draws.raw.shape[:2]
        found = [
            _times_of(setup.forward, setup.problem, jnp.asarray(raw))
            for raw in draws.raw.reshape(-1, draws.raw.shape[-1])
        ]
        moves = np.where(events.is_duration, 0.0, 1.0)
        times = np.stack([np.asarray(t) + float(o) * moves for t, o in found])
        times = times.reshape(*shape, -1)
    noise = setup.problem.noise
    whole = noise.over(events)
    rng = np.random.default_rng(seed + 2)
    off = noise.scatter.sample(rng, times.shape)
    replicated = measurable(times + off * np.asarray(whole.scale), events)
    ends = ends_of_each(setup, draws.raw.reshape(-1, draws.raw.shape[-1]))
    flat = replicated.reshape(-1, times.shape[-1])
    quantiles = quantiles_within(flat, ends, LEVELS)
    return Prediction(times, replicated, quantiles, ends[np.argmax(draws.log_density)])
