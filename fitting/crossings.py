r"""When a particle has moved by so much, and what stands for that where it never has.

A half cycle of length s moves a particle by m. A change c > m gets the time

$$ T = s + s (c - m) / c, $$

continuous where m passes c, later the less the particle moves, and never infinite: a
search knows which way to go. The time T - T_o from the onset, a change c_o, would tend
to 0 as both go on beyond the end. It is continued as

$$ T - w T_o, \quad w = 3 u^2 - 2 u^3, \quad u = (m - c_o) / (c - c_o) \in [0, 1], $$

so that a particle that does not react at all lasts the longest, up to 2 s.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def of_series(time, series, target, sign, start, end):
    """First time within (start, end] at which a sampled series passes the target, along
    lines between samples [s from start]; infinite where never, NaN where it is NaN.
    """
    gap = sign * (series - target)
    within = (time[1:] > start) & (time[:-1] < end)
    passed = (gap[:-1] < 0) & (gap[1:] >= 0) & within
    index = jnp.argmax(passed)
    low, high = gap[index], gap[index + 1]
    # Where nothing is passed, a slope of 1 keeps derivatives finite.
    rise = jnp.where(jnp.any(passed), high - low, 1.0)
    width = time[index + 1] - time[index]
    found = time[index] - start - low / rise * width
    found = jnp.where(jnp.any(passed), found, jnp.inf)
    return jnp.where(jnp.any(jnp.isnan(series)), jnp.nan, found)


def continued(
    crossed: Float[Array, "..."],
    change: Float[Array, "..."],
    moved: Float[Array, "..."],
    length: Float[Array, ""],
) -> Float[Array, "..."]:
    """Times of changes, T of the module's docstring where they never came [s].

    Args:
        crossed: [s from the start of the half cycle], infinite where never.
        change: c.
        moved: m.
        length: s [s].
    """
    beyond = length * (2.0 - moved / change)
    return jnp.where(jnp.isinf(crossed), beyond, crossed)


def lasting(
    completed: Float[Array, "..."],
    onset: Float[Array, "..."],
    over: Bool[Array, "..."],
    share: Float[Array, "..."],
) -> Float[Array, "..."]:
    """Durations, continued as the module's docstring says where they do not end [s].

    Args:
        completed: T [s from the start of the half cycle].
        onset: T_o [s from there].
        over: where the completion came.
        share: u, of any size.
    """
    u = jnp.clip(share, 0.0, 1.0)
    return completed - jnp.where(over, 1.0, u**2 * (3.0 - 2.0 * u)) * onset
