r"""Each particle as all the others predict it, without sampling anew.

A draw s of the whole posterior, its contact of particle p integrated out over the
population, has the weight

$$ w_s \propto 1 / p(y_p | s), \quad
   p(y_p | s) = \int p(y_p | T_p(z)) N(z; 0, 1) dz, $$

in the posterior of the other particles' data (integrated importance sampling, Vehtari
et al. 2016, arXiv 1412.7461). Without the integral the weights would never hold: a
particle's own data fix its contact to a small part of the population's spread. T_p(z)
is solved at a few nodes that all particles share, at the draw's own, and then at nodes
of each particle's own: where cubics through the nodes and straight lines disagree most
about its integral.

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

# The law's tails beyond hold 6e-7; a particle out there has weights that do not hold.
_FARTHEST = 5.0
_NODES = np.array([-5.0, -2.8, -2.0, -1.3, -0.6, 0.0, 0.6, 1.3, 2.0, 2.8, 5.0])
_MORE = 4  # nodes of each particle's own
_EVEN = np.linspace(-_FARTHEST, _FARTHEST, 1001)
# A time known to a second leaves next to nothing of the population's spread.
_ABOUT = np.geomspace(1e-6, 1.0, 120)
_ROUGH = 5  # every which of these tells where nodes are wanted
_PER_DRAW = 40  # predictions of each draw


class LeftOut(NamedTuple):
    """Events of each particle as all the others predict them.

    Attributes:
        quantiles: of what should be measured, at 5, 50 and 95 %, infinite beyond the
            end of the half cycle (3, event) [s].
        shapes: k of the weights, of each particle (particle,); above `limit` neither
            the intervals nor the densities hold.
        log_densities: of each particle's own data, times in s (particle,).
        num_draws: distinct ones of the whole posterior, that were weighted.
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
        count: of distinct draws that are taken, at most; one that is repeated counts
            as often as it came.
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
    chosen, worth = _distinct(raws, count)
    own, members = times[chosen], _members(setup)
    ends = ends_of(setup, raws[0]) if ends is None else ends
    # A duration that does not end is not told as the time that data are held to.
    lasts = setup.events.is_duration
    known = np.where(lasts & (own > ends), np.inf, own)
    lines = _lines(setup, raws[chosen], members, known, own)
    found = _predictions(setup, lines, np.log(worth), seed)
    quantiles = measurable(found.quantiles, setup.events)
    return found._replace(quantiles=within(quantiles, ends))


def _distinct(raws, count: int):
    """Rows of distinct draws, `count` at most, and how many draws each stands for.

    One that is repeated more often than `count` draws can show stays as it is; of the
    others every so many are taken.

    Source: Fearnhead and Clifford 2003, doi 10.1111/1467-9868.00421.
    """
    _, first, times = np.unique(raws, axis=0, return_index=True, return_counts=True)
    order = np.argsort(first)
    first, times = first[order], times[order].astype(float)
    if len(first) <= count:
        return first, times
    sure = np.zeros(len(first), bool)
    while True:
        rate = (count - sure.sum()) / times[~sure].sum()
        if not np.any(rate * times[~sure] >= 1.0):
            break
        sure |= rate * times >= 1.0
    passed = np.floor(np.cumsum(np.where(sure, 1.0, rate * times)) + 0.5)
    taken = sure | (np.diff(passed, prepend=0.0) > 0)
    return first[taken], np.where(sure, times, 1.0 / rate)[taken]


class _Line(NamedTuple):
    """What a draw says along the number z of each particle.

    Attributes:
        nodes: numbers that were solved (node, particle).
        held: times as data are held to them [s], not finite where not known
            (node, event).
        told: as they are told [s] (node, event).
        logs: of p(y | T(z)) N(z; 0, 1) and of the width that each z stands for, of the
            data of each particle (point, particle).
    """

    nodes: Float[np.ndarray, "node particle"]
    held: Float[np.ndarray, "node event"]
    told: Float[np.ndarray, "node event"]
    logs: Float[np.ndarray, "point particle"]


def _lines(setup, raws, members, held, told) -> list[_Line]:
    """Of every draw, of whose own times one is what data are held to, one is told."""
    at, weigh = _solver(setup, members), _weigher(setup)

    def line(draw: int) -> _Line:
        raw, placed = jnp.asarray(raws[draw]), raws[draw][members]
        grid = _grid(placed)
        rough = grid[::_ROUGH]
        shared = np.repeat(_NODES[:, None], len(members), axis=1)
        nodes = np.vstack([shared, placed])
        both = np.stack([*(at(raw, z) for z in shared), [held[draw], told[draw]]])
        for _ in range(_MORE):
            fresh = _between(rough, nodes, *weigh(rough, nodes, both[:, 0]))
            nodes = np.vstack([fresh, nodes])
            both = np.concatenate([at(raw, fresh)[None], both])
        (logs,) = weigh(grid, nodes, both[:, 0], (False,))
        return _Line(nodes, both[:, 0], both[:, 1], logs)

    first = line(0)  # compiled once, before the threads
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        return [first, *pool.map(line, range(1, len(raws)))]


def _solver(setup, members):
    """(raw numbers of a draw, number of each particle) to times of all events, as data
    are held to them and as they are told (2, event) [s].
    """
    forward = setup.problem.forward if setup.fitted.all() else setup.forward
    moves = np.where(setup.events.is_duration, 0.0, 1.0)

    @eqx.filter_jit
    def solve(forward, problem, raw, places):
        values = problem.space.constrain(raw.at[members].set(places))
        found = forward(problem.space.insert(problem.electrode, values))
        both = jnp.stack([found.times, found.stated])
        return both, problem.space.clock_offset(values)

    def at(raw, places):
        both, offset = solve(forward, setup.problem, raw, jnp.asarray(places))
        return np.asarray(both) + float(offset) * moves

    return at


def _grid(placed) -> Float[np.ndarray, "point particle"]:
    """Numbers of each particle to integrate over, close together about its own."""
    low, high = np.minimum(placed, -_FARTHEST), np.maximum(placed, _FARTHEST)
    offs = np.concatenate([-_ABOUT, [0.0], _ABOUT])[:, None]
    near = np.clip(placed + offs, low, high)
    even = np.repeat(_EVEN[:, None], len(placed), axis=1)
    return np.sort(np.concatenate([near, even]), axis=0)


def _weigher(setup):
    """(grid, nodes, times) to logarithms of the integrand times the width of each point
    of the grid, by cubics and by straight lines through the nodes (2, point, particle).
    """
    events, noise = setup.events, setup.problem.noise.over(setup.events)
    density = jax.jit(jax.vmap(lambda t: noise.log_densities(t, 0.0)))

    def weigh(grid, nodes, times, straight=(False, True)):
        fine = np.empty((len(straight), len(grid), len(events.particle)))
        for k, p in enumerate(events.particle):
            for i, how in enumerate(straight):
                fine[i, :, k] = _through(nodes[:, p], times[:, k], grid[:, p], how)
        rows = np.asarray(density(fine.reshape(-1, fine.shape[-1]))).reshape(fine.shape)
        with np.errstate(divide="ignore"):  # points that coincide
            wide = np.log(np.gradient(grid, axis=0))
        total = wide - 0.5 * (grid**2 + np.log(2 * np.pi))
        total = np.repeat(total[None], len(straight), axis=0)
        for k in np.flatnonzero(setup.fitted):
            total[:, :, events.particle[k]] += rows[:, :, k]
        return total

    return weigh


def _through(nodes, times, points, straight: bool):
    """Times at points, through those at nodes that are known; level beyond them."""
    known = np.isfinite(times)
    # Rounded, since two nodes next to each other would make any slope.
    x, first = np.unique(np.round(nodes[known], 6), return_index=True)
    y = times[known][first]
    if straight or len(x) < 2:
        return np.interp(points, x, y)
    return PchipInterpolator(x, y)(np.clip(points, x[0], x[-1]))


def _between(grid, nodes, cubic, straight) -> Float[np.ndarray, " particle"]:
    """A node for each particle, amid what two interpolations disagree about, within the
    gap between nodes where that is most.
    """
    found = np.empty(grid.shape[1])
    for p, x in enumerate(np.sort(nodes, axis=0).T):
        top = np.max(cubic[:, p])
        off = np.abs(
            np.exp(cubic[:, p] - top) - np.exp(np.minimum(straight[:, p] - top, 50))
        )
        gap = np.clip(np.searchsorted(x, grid[:, p], side="right") - 1, 0, len(x) - 2)
        worst = np.argmax(np.bincount(gap, off, minlength=len(x) - 1))
        inside = gap == worst
        passed = np.cumsum(off[inside])
        middle = grid[inside, p][np.searchsorted(passed, 0.5 * passed[-1])]
        low, high = x[worst], x[worst + 1]
        found[p] = np.clip(middle, 0.9 * low + 0.1 * high, 0.1 * low + 0.9 * high)
    return found


def _predictions(setup, lines: list[_Line], log_worth, seed) -> LeftOut:
    rng = np.random.default_rng(seed)
    events, noise = setup.events, setup.problem.noise.over(setup.events)
    quantiles = np.full((3, len(events.kind)), np.nan)
    shapes = np.full(len(events.particles), np.nan)
    densities = np.full(len(events.particles), np.nan)
    picked = rng.standard_normal((len(lines), _PER_DRAW))
    likelihoods = np.stack([logsumexp(line.logs, axis=0) for line in lines])
    for particle, likelihood in enumerate(likelihoods.T):
        smoothed = smooth_weights(log_worth - likelihood)
        shapes[particle] = smoothed.shape
        densities[particle] = logsumexp(likelihood, b=smoothed.weights)
        weights = np.repeat(smoothed.weights / _PER_DRAW, _PER_DRAW)
        for k in np.flatnonzero(events.particle == particle):
            pairs = zip(lines, picked, strict=True)
            times = np.concatenate(
                [
                    _through(one.nodes[:, particle], one.told[:, k], z, False)
                    for one, z in pairs
                ]
            )
            off = noise.scatter.sample(rng, times.shape)
            scattered = times + np.asarray(noise.scale[k]) * off
            quantiles[:, k] = _weighted(scattered, weights)
    return LeftOut(quantiles, shapes, densities, len(lines))


def _weighted(values, weights):
    """5, 50 and 95 % quantiles of weighted values."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.interp([0.05, 0.5, 0.95], below, values[order])
