r"""Each particle as all the others predict it, without sampling anew.

A draw s of the whole posterior, its contact of particle p integrated out over the
population, has the weight

$$ w_s \propto 1 / p(y_p | s), \quad
   p(y_p | s) = \int p(y_p | T_p(z)) N(z; 0, 1) dz, $$

in the posterior of the other particles' data (integrated importance sampling, Vehtari
et al. 2016, arXiv 1412.7461). T_p(z) is solved at nodes and interpolated. Without the
integral the weights would never hold: a particle's own data fix its contact to a small
part of the population's spread.

That needs particles that do not feel each other: a recorded voltage drives them. Then
one solve moves the contacts of all of them at once.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import PchipInterpolator

from .coordinates import populations
from .inference import Inference, LeftOut
from .parameters import CONTACTS
from .pareto import smooth_weights

# The law's tails beyond hold 6e-5; a particle out there has weights that do not hold.
_NODES = np.array([-4.0, -2.8, -2.0, -1.3, -0.6, 0.0, 0.6, 1.3, 2.0, 2.8, 4.0])
_FINE = np.linspace(-4.0, 4.0, 1601)
_PER_DRAW = 40  # predictions of each draw


def can_leave_out(setup) -> bool:
    """Whether particles are driven one by one, by contacts of one population."""
    by_times = setup.drive == "voltage" and setup.seen is None
    return by_times and _members(setup) is not None


def _members(setup):
    """Components that are the contacts of the events' particles; None without."""
    found = populations(setup.problem.space)
    if CONTACTS not in found:
        return None
    first, _ = found[CONTACTS]
    return first + 2 + np.arange(len(setup.events.particles))


def leave_out(found: Inference, *, count: int = 240, seed: int = 0) -> LeftOut:
    """Events of each particle as the others predict them.

    Args:
        found: the posterior of all.
        count: of its draws that are taken, evenly.
        seed: of the predictions' scatter.

    Raises:
        ValueError: where particles feel each other.
    """
    setup = found.setup
    if not can_leave_out(setup):
        raise ValueError(
            "Particles must be fitted by their times, driven by a recorded voltage, "
            "each through a contact of one population, to leave one out; fit the "
            "others alone instead."
        )
    flat = found.draws.raw.reshape(-1, found.draws.raw.shape[-1])
    chosen = np.linspace(0, len(flat) - 1, min(count, len(flat))).astype(int)
    members = _members(setup)
    times = _at_nodes(setup, flat[chosen], members)  # (draw, node, event)
    own = found.predicted.times.reshape(-1, times.shape[-1])[chosen]
    fine = _interpolated(setup, times, own, flat[chosen][:, members])
    noise = setup.problem.noise.over(setup.events)
    logs = np.asarray(
        jax.jit(jax.vmap(jax.vmap(lambda t: noise.log_densities(t, 0.0))))(fine)
    )
    return _predictions(setup, fine, logs, noise, seed)


def _at_nodes(setup, raws, members):
    """Times of all events with every contact at each node (draw, node, event) [s]."""
    problem = setup.problem
    forward = problem.forward if setup.fitted.all() else setup.forward

    @eqx.filter_jit
    def solve(forward, problem, raw):
        def one(node):
            values = problem.space.constrain(raw.at[members].set(node))
            found = forward(problem.space.insert(problem.electrode, values))
            return found.times, problem.space.clock_offset(values)

        return jax.lax.map(one, jnp.asarray(_NODES))

    def of(raw):
        times, offset = solve(forward, problem, jnp.asarray(raw))
        moves = np.where(setup.events.is_duration, 0.0, 1.0)
        return np.asarray(times) + np.asarray(offset)[:, None] * moves

    first = of(raws[0])  # compiled once, before the threads
    with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        return np.stack([first, *pool.map(of, raws[1:])])


def _interpolated(setup, times, own, placed):
    """Times on the fine grid of contacts (draw, point, event), through the nodes and
    through the draw's own contact.
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


def _predictions(setup, fine, logs, noise, seed) -> LeftOut:
    rng = np.random.default_rng(seed)
    events = setup.events
    chance = np.exp(-0.5 * _FINE**2)
    chance /= chance.sum()
    quantiles = np.full((3, len(events.kind)), np.nan)
    shapes = np.full(len(events.particles), np.nan)
    picked = rng.choice(_FINE.size, size=(len(fine), _PER_DRAW), p=chance)
    for particle in range(len(events.particles)):
        rows = np.flatnonzero(events.particle == particle)
        of_data = logs[:, :, rows[setup.fitted[rows]]].sum(-1)
        top = of_data.max(axis=1, keepdims=True)
        likelihood = np.log(np.exp(of_data - top) @ chance) + top[:, 0]
        smoothed = smooth_weights(-likelihood)
        shapes[particle] = smoothed.shape
        weights = np.repeat(smoothed.weights / _PER_DRAW, _PER_DRAW)
        for k in rows:
            times = np.take_along_axis(fine[:, :, k], picked, axis=1).ravel()
            scattered = times + noise.scale[k] * rng.standard_normal(times.size)
            quantiles[:, k] = _weighted(scattered, weights)
    return LeftOut(quantiles, shapes)


def _weighted(values, weights):
    """5, 50 and 95 % quantiles of weighted values."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.interp([0.05, 0.5, 0.95], below, values[order])
