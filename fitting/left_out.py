r"""Each particle as all the others predict it, without sampling anew.

A draw s of the whole posterior, its contact of particle p integrated out over the
population, has the weight

$$ w_s \propto 1 / p(y_p | s), \quad
   p(y_p | s) = \int p(y_p | T_p(z)) N(z; 0, 1) dz, $$

in the posterior of the other particles' data (integrated importance sampling, Vehtari
et al. 2016, arXiv 1412.7461). T_p(z) is solved at nodes and interpolated. Without the
integral the weights would never hold: a particle's own data fix its contact to a small
part of the population's spread.

The density of the particle's own data there, its logarithm summed over particles, says
how well a model predicts what it has not seen:

$$ \log p(y_p | y_{-p}) = \log \sum_s w_s\, p(y_p | s) / \sum_s w_s $$

That needs particles that do not feel each other: a recorded voltage drives them. Then
one solve moves the numbers of all of them at once (contacts, or what another mechanism
gives each of them).
"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import PchipInterpolator
from scipy.special import logsumexp

from .coordinates import populations
from .ends import ends_of, measurable, within
from .pareto import largest_shape, smooth_weights

# The law's tails beyond hold 6e-5; a particle out there has weights that do not hold.
_NODES = np.array([-4.0, -2.8, -2.0, -1.3, -0.6, 0.0, 0.6, 1.3, 2.0, 2.8, 4.0])
_FINE = np.linspace(-4.0, 4.0, 1601)
_PER_DRAW = 40  # predictions of each draw


class LeftOut(NamedTuple):
    """Events of each particle as all the others predict them.

    Attributes:
        quantiles: of what should be measured, at 5, 50 and 95 %, infinite beyond the
            end of the half cycle (3, event) [s].
        shapes: k of the weights, of each particle (particle,); above `limit` neither
            the intervals nor the densities hold.
        log_densities: of each particle's own data, times in s (particle,).
        num_draws: of the whole posterior, that were weighted.
    """

    quantiles: Float[np.ndarray, "3 event"]
    shapes: Float[np.ndarray, " particle"]
    log_densities: Float[np.ndarray, " particle"]
    num_draws: int

    @property
    def limit(self) -> float:
        """What the shape of so many weights must stay below."""
        return largest_shape(self.num_draws)

    @property
    def doubtful(self) -> Bool[np.ndarray, " particle"]:
        """Of which particles the weights do not hold."""
        return ~(self.shapes < self.limit)


def can_leave_out(setup) -> bool:
    """Whether particles are driven one by one, each by a number of one population, and
    are two or more: without the only one, nothing is left that its prior did not say.
    """
    several = len(setup.events.particles) > 1
    by_times = setup.drive == "voltage" and setup.seen is None
    return several and by_times and _members(setup) is not None


def _members(setup):
    """Components that are the numbers of the events' particles; None without."""
    count = len(setup.events.particles)
    for first, prior in populations(setup.problem.space).values():
        if prior.count == count:
            return first + 2 + np.arange(count)
    return None


def leave_out(
    setup,
    raws: Float[np.ndarray, "draw component"],
    times: Float[np.ndarray, "draw event"],
    *,
    count: int = 240,
    seed: int = 0,
    ends: Float[np.ndarray, " event"] | None = None,
) -> LeftOut:
    """Events of each particle as the others predict them.

    Args:
        setup: what was fitted.
        raws: draws of the posterior of all.
        times: of all events, that they predict [s].
        count: of the draws that are taken, evenly.
        seed: of the predictions' scatter.
        ends: the latest time that each event can have; by default that of the first
            draw [s] (event,).

    Raises:
        ValueError: where particles feel each other, or there is one.
    """
    if not can_leave_out(setup):
        raise ValueError(
            "Particles must be two or more, fitted by their times, driven by a "
            "recorded voltage, each through a number of one population, to leave one "
            "out; fit the others alone instead."
        )
    chosen = np.linspace(0, len(raws) - 1, min(count, len(raws))).astype(int)
    members = _members(setup)
    at_nodes, told = _at_nodes(setup, raws[chosen], members)  # (draw, node, event)
    placed, own = raws[chosen][:, members], times[chosen]
    ends = ends_of(setup, raws[0]) if ends is None else ends
    # A duration that does not end is not told as the time that data are held to.
    lasts = setup.events.is_duration
    known = np.where(lasts & (own > ends), np.inf, own)
    fine = _interpolated(setup, at_nodes, known, placed)
    told = _interpolated(setup, told, own, placed) if lasts.any() else fine
    noise = setup.problem.noise.over(setup.events)
    logs = np.asarray(
        jax.jit(jax.vmap(jax.vmap(lambda t: noise.log_densities(t, 0.0))))(fine)
    )
    found = _predictions(setup, told, logs, noise, seed)
    quantiles = measurable(found.quantiles, setup.events)
    return found._replace(quantiles=within(quantiles, ends))


def _at_nodes(setup, raws, members):
    """Times of all events with every number at each node, as data are held to them,
    and as they are told (draw, node, event) [s].
    """
    problem = setup.problem
    forward = problem.forward if setup.fitted.all() else setup.forward

    @eqx.filter_jit
    def solve(forward, problem, raw):
        def one(node):
            values = problem.space.constrain(raw.at[members].set(node))
            found = forward(problem.space.insert(problem.electrode, values))
            both = jnp.stack([found.times, found.stated])
            return both, problem.space.clock_offset(values)

        return jax.lax.map(one, jnp.asarray(_NODES))

    def of(raw):
        both, offset = solve(forward, problem, jnp.asarray(raw))
        moves = np.where(setup.events.is_duration, 0.0, 1.0)
        moved = np.asarray(both) + np.asarray(offset)[:, None, None] * moves
        return moved.swapaxes(0, 1)

    first = of(raws[0])  # compiled once, before the threads
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        return np.stack([first, *pool.map(of, raws[1:])], axis=1)


def _interpolated(setup, times, own, placed):
    """Times on the fine grid of numbers (draw, point, event), through the nodes and
    through the draw's own.
    """
    fine = np.empty((len(times), len(_FINE), times.shape[-1]))
    for s in range(len(times)):
        for k, particle in enumerate(setup.events.particle):
            x = np.append(_NODES, placed[s, particle])
            y = np.append(times[s, :, k], own[s, k])
            x, first = np.unique(np.round(x, 6), return_index=True)
            y = y[first]
            known = np.isfinite(y)
            fine[s, :, k] = PchipInterpolator(x[known], y[known])(_FINE)
    return fine


def _predictions(setup, told, logs, noise, seed) -> LeftOut:
    rng = np.random.default_rng(seed)
    events = setup.events
    chance = np.exp(-0.5 * _FINE**2)
    chance /= chance.sum()
    quantiles = np.full((3, len(events.kind)), np.nan)
    shapes = np.full(len(events.particles), np.nan)
    densities = np.full(len(events.particles), np.nan)
    picked = rng.choice(_FINE.size, size=(len(told), _PER_DRAW), p=chance)
    for particle in range(len(events.particles)):
        rows = np.flatnonzero(events.particle == particle)
        of_data = logs[:, :, rows[setup.fitted[rows]]].sum(-1)
        top = of_data.max(axis=1, keepdims=True)
        likelihood = np.log(np.exp(of_data - top) @ chance) + top[:, 0]
        smoothed = smooth_weights(-likelihood)
        shapes[particle] = smoothed.shape
        densities[particle] = logsumexp(likelihood, b=smoothed.weights)
        weights = np.repeat(smoothed.weights / _PER_DRAW, _PER_DRAW)
        for k in rows:
            times = np.take_along_axis(told[:, :, k], picked, axis=1).ravel()
            off = noise.scatter.sample(rng, times.shape)
            scattered = times + np.asarray(noise.scale[k]) * off
            quantiles[:, k] = _weighted(scattered, weights)
    return LeftOut(quantiles, shapes, densities, len(told))


def _weighted(values, weights):
    """5, 50 and 95 % quantiles of weighted values."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.interp([0.05, 0.5, 0.95], below, values[order])
