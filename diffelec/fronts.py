"""Reaction fronts inside particles of several sites: how long, how fast, how uneven.

A site reacts when its surface has changed by `change` since the half cycle began: by
0.066 a front shows best, by 0.25 lithium has mostly evened out behind it.
Particles of one site have no front: their times and speeds are 0.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._typing import is_traced
from .checks import as_floats, check_radii, is_number
from .solution import Solution

ONSET = 0.066  # of surface stoichiometry, by which a site begins to react
CHANGE = 0.25  # by which it has reacted
AT_ONCE = 1e-3  # s, within which sites react at once
LEVEL = 0.05  # of spread, below which a particle is even


def transit_times(
    solution: Solution, half_cycle: int = 0, change: float = CHANGE
) -> Float[Array, " particle"]:
    """From the first to the last site of each particle that reacts [s]; infinite where
    a site never does, NaN where a step of the half cycle failed. Differentiable.
    """
    times = solution.site_change_times(half_cycle, change)
    first, last = _first(solution, times), _last(solution, times)
    known = jnp.isfinite(last)
    span = jnp.where(known, last, 0.0) - jnp.where(known, first, 0.0)
    never = jnp.where(jnp.isnan(last), jnp.nan, jnp.inf)
    return jnp.where(known | _alone(solution), span, never)


def front_speeds(
    solution: Solution,
    radius: Float[Array, " particle"] | Float[Array, ""] | float,
    half_cycle: int = 0,
    change: float = ONSET,
) -> Float[Array, " particle"]:
    r"""Speed of the front in each particle [m/s], from the site first reached on.

    $$ v = \frac{\sum_i d_i \tau_i}{\sum_i \tau_i^2}, \quad
       d_i = R\,|c_i - c_{first}|, \quad \tau_i = t_i - t_{first} $$

    The slope of distance against time over the sites that react; c is the mean of the
    unit normal over a site, R in `radius` [m], of each particle or of all. Infinite
    where all react within a ms, NaN where fewer than two react.

    Raises:
        ValueError: for radii of another number of particles.
    """
    topology = solution.topology
    radius = _radii(radius, topology)
    owners, alone = topology.site_particle, _alone(solution)
    if topology.site_centres is None:
        return jnp.zeros(topology.num_particles)
    times = solution.site_change_times(half_cycle, change)
    reached = jnp.isfinite(times)
    since = jnp.where(reached, times, jnp.inf)
    first = _first(solution, since)
    delay = jnp.where(reached, since - first[owners], 0.0)
    # Of sites that react at once, the one with the lowest number.
    number = jnp.where(reached & (delay == 0), np.arange(topology.num_sites), jnp.inf)
    origin = _first(solution, number)
    origin = jnp.where(jnp.isfinite(origin), origin, 0).astype(int)
    centres = jnp.asarray(topology.site_centres)
    apart = centres - centres[origin][owners]
    distance = radius[owners] * jnp.linalg.norm(apart, axis=1)
    squares = _sum(solution, delay**2)
    slope = _sum(solution, distance * delay) / jnp.where(squares > 0, squares, 1.0)
    count = _sum(solution, 1.0 * reached)
    slope = jnp.where(squares > AT_ONCE**2, slope, jnp.inf)
    return jnp.where(alone, 0.0, jnp.where(count > 1, slope, jnp.nan))


def _radii(radius, topology):
    """The radius of each particle; ValueError for those of another number of them, or
    for what is none.
    """
    count = topology.num_particles
    if not is_traced(radius):
        radius = as_floats("radius", radius, "be one number or one per particle [m]")
    if radius.shape not in ((), (count,)):
        raise ValueError(
            f"`radius` must be one number, or one for each of {count} particles, but "
            f"has the shape {radius.shape}; pass `electrode.radius`."
        )
    if not is_traced(radius):
        radius = np.broadcast_to(radius, (count,))
        check_radii("radius", radius, topology.particle_labels)
    return jnp.broadcast_to(radius, (count,))


def surface_spread(solution: Solution) -> Float[Array, "time particle"]:
    """Largest less smallest surface stoichiometry of the sites of each particle."""
    return _spread(solution, solution.site_surface_stoichiometry)


def largest_spreads(solution: Solution, half_cycle: int = 0):
    """The largest `surface_spread` of each particle in a half cycle, (particle,); NaN
    where a step of it failed.
    """
    _, spread = _spread_along(solution, half_cycle)
    return jnp.max(spread, axis=0)


def homogenising_times(
    solution: Solution,
    half_cycle: int = 0,
    change: float = ONSET,
    level: float = LEVEL,
) -> Float[Array, " particle"]:
    """From when the first site of each particle begins to react until the spread of its
    surface stays below `level` for the rest of the half cycle [s].

    Looked for eight times in every accepted step, linear between. 0 where the spread
    is below by then, infinite where it never stays below or no site reacts.

    Raises:
        ValueError: for a level that is not above 0.
    """
    if not (is_traced(level) or (is_number(level) and level > 0)):
        raise ValueError(f"`level` must be above 0, but is {level!r}; 0.05 is usual.")
    instants, spread = _spread_along(solution, half_cycle)
    first = _first(solution, solution.site_change_times(half_cycle, change))
    apart = spread >= level
    count = len(instants)
    last = count - 1 - jnp.argmax(apart[::-1], axis=0)
    after = jnp.minimum(last + 1, count - 1)
    particle = np.arange(spread.shape[1])
    above, below = spread[last, particle], spread[after, particle]
    share = (above - level) / jnp.where(above > below, above - below, 1.0)
    end = instants[last] + share * (instants[after] - instants[last])
    uneven = jnp.any(apart, axis=0)
    waited = jnp.where(uneven, jnp.maximum(end - first, 0.0), 0.0)
    waited = jnp.where(uneven & (last == count - 1), jnp.inf, waited)
    waited = jnp.where(jnp.isfinite(first), waited, first)
    return jnp.where(_alone(solution), 0.0, waited)


def _spread_along(solution, half_cycle):
    """Instants of a half cycle from its start, and the spread of each particle then:
    all NaN, the instants 0, where it failed.
    """
    instants, values = solution.site_trajectories(half_cycle)
    failed = jnp.isnan(instants)
    instants = jnp.where(failed, 0.0, instants)
    start, end = solution.half_cycle_span(half_cycle)
    inside = (instants >= 0) & (instants <= end - start)
    number = np.arange(len(instants))
    first = jnp.argmax(inside)
    last = len(instants) - 1 - jnp.argmax(inside[::-1])
    kept = jnp.clip(number, first, last)  # before and after, the first and the last
    spread = _spread(solution, values[kept])
    return instants[kept], jnp.where(failed[:, None], jnp.nan, spread)


def _spread(solution, values):
    """Largest less smallest of values (…, site) in each particle."""
    along = values.T
    return (_last(solution, along) - _first(solution, along)).T


def _alone(solution) -> np.ndarray:
    """(particle,) whether it is one site."""
    topology = solution.topology
    return np.bincount(topology.site_particle, minlength=topology.num_particles) == 1


def _first(solution, sites):
    topology = solution.topology
    return jax.ops.segment_min(sites, topology.site_particle, topology.num_particles)


def _last(solution, sites):
    topology = solution.topology
    return jax.ops.segment_max(sites, topology.site_particle, topology.num_particles)


def _sum(solution, sites):
    topology = solution.topology
    return jax.ops.segment_sum(sites, topology.site_particle, topology.num_particles)
