r"""When a trace jumps: one estimator for measured traces and for predicted ones.

A trace is an intensity, an energy or a stoichiometry at the instants of frames; it
rises in a jump between two slopes. The same function, at the same instants, is applied
to a measured and to a simulated trace, so that what the frames blur is blurred in both.
"""

import numbers
import reprlib
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float

LN9 = float(np.log(9.0))  # of a logistic, 10 to 50 % take ln 9 of its scale
_NUM_SCALES = 8  # of the grid of starts
_MAX_STEPS = 200
_TOLERANCE = 1e-10
# Widths of the weak normal priors that keep the least squares regular where the frames
# say nothing; in units of the trace's range, the frames' span and natural logarithms.
_WIDTH_LEVEL, _WIDTH_SLOPE, _WIDTH_MIDPOINT, _WIDTH_SCALE = 3.0, 3.0, 1.0, 1.5


class Jump(eqx.Module):
    r"""A jump of a trace; times in s, the rest in units of the trace.

    $$ y = b + m_0 (t - t_m) + A\,S(u) + m_1 \tau \ln(1 + e^u), \quad
       u = (t - t_{50})/\tau, \; S = 1/(1 + e^{-u}) $$

    Attributes:
        midpoint: $t_{50}$ [s].
        scale: $\tau$ [s].
        amplitude: A of the jump.
        level: b, at the middle $t_m$ of the frames.
        slope_before: $m_0$ per s.
        slope_after: $m_1$ per s, on top of `slope_before`.
        covariance: (2, 2) of midpoint and scale [s²], for the noise assumed.
    """

    midpoint: Float[Array, ""]
    scale: Float[Array, ""]
    amplitude: Float[Array, ""]
    level: Float[Array, ""]
    slope_before: Float[Array, ""]
    slope_after: Float[Array, ""]
    covariance: Float[Array, "2 2"]

    @property
    def onset(self) -> Float[Array, ""]:
        """10 % of the jump [s]."""
        return self.midpoint - LN9 * self.scale

    @property
    def completion(self) -> Float[Array, ""]:
        """90 % of the jump [s]."""
        return self.midpoint + LN9 * self.scale

    @property
    def duration(self) -> Float[Array, ""]:
        """From 10 to 90 % [s], without the slow change after the jump."""
        return 2 * LN9 * self.scale

    def trace(self, times: Float[Array, " frame"]) -> Float[Array, " frame"]:
        """The jump at instants [s] whose middle is that of the frames fitted."""
        middle = 0.5 * (times[0] + times[-1])
        basis = _basis(times - middle, self.midpoint - middle, self.scale)
        weights = (self.level, self.slope_before, self.amplitude, self.slope_after)
        return basis @ jnp.stack(weights)


def _basis(times, midpoint, scale):
    """Columns of the four linear parameters b, m0, A, m1: (frame, 4)."""
    u = (times - midpoint) / scale
    columns = (jnp.ones_like(u), times, jax.nn.sigmoid(u), scale * jax.nn.softplus(u))
    return jnp.stack(columns, axis=-1)


class _Frames(NamedTuple):
    """Scaled instants (-1/2 to 1/2), a scaled trace, and the noise of that trace."""

    times: Float[Array, " frame"]
    trace: Float[Array, " frame"]
    noise: Float[Array, ""]
    least_scale: Float[Array, ""]


_WIDTHS = (_WIDTH_LEVEL, _WIDTH_SLOPE, _WIDTH_LEVEL, _WIDTH_SLOPE)


def _scale_of(raw, least):
    """Jumps shorter than a frame look alike, so the scale has a least value."""
    return least * (1.0 + jnp.exp(raw))


def _residual(parameters, frames: _Frames):
    """Misfit over noise, then the parameters over the widths of their priors."""
    weights, midpoint, raw = parameters
    basis = _basis(frames.times, midpoint, _scale_of(raw, frames.least_scale))
    misfit = (basis @ weights - frames.trace) / frames.noise
    priors = (weights / jnp.array(_WIDTHS), midpoint / _WIDTH_MIDPOINT)
    return misfit, priors, raw / _WIDTH_SCALE


def _start(frames: _Frames):
    """The best of a grid of midpoints and scales, each with its best linear part."""
    middles = jnp.linspace(frames.times[0], frames.times[-1], 4 * frames.times.size)
    raws = jnp.linspace(-2.0, jnp.log(0.25 / frames.least_scale), _NUM_SCALES)
    grid = jnp.meshgrid(middles, raws, indexing="ij")

    def cost(midpoint, raw):
        basis = _basis(frames.times, midpoint, _scale_of(raw, frames.least_scale))
        ridge = jnp.diag((frames.noise / jnp.array(_WIDTHS)) ** 2)
        weights = jnp.linalg.solve(basis.T @ basis + ridge, basis.T @ frames.trace)
        parameters = (weights, midpoint, raw)
        squares = jax.tree.map(lambda r: jnp.sum(r**2), _residual(parameters, frames))
        total = sum(jax.tree.leaves(squares))
        return jnp.where(weights[2] > 0, total, jnp.inf), parameters

    costs, found = jax.vmap(cost)(grid[0].ravel(), grid[1].ravel())
    best = jnp.argmin(costs)
    return jax.tree.map(lambda leaf: leaf[best], found)


def fit_jump(
    times: Float[np.ndarray, " frame"] | Float[Array, " frame"],
    trace: Float[Array, " frame"],
    noise: float = 0.01,
) -> Jump:
    """The jump that fits a trace best, by least squares from the best of a grid.

    Differentiable with respect to the trace in forward and in reverse mode, by the
    implicit function theorem at the optimum (the search itself is not differentiated).

    Args:
        times: of the frames, increasing [s].
        trace: at the frames, rising in its jump; whole numbers, as cameras count, are
            as good as others.
        noise: standard deviation of the trace over its range (largest minus smallest).

    Returns:
        the jump; that of a trace without one has an amplitude of some noise.

    Raises:
        ValueError: for times that do not increase, and numbers that are none or of the
            wrong shape; values that JAX traces are not looked at.

    Source: logistic jump between sloped baselines; its derivative after Krantz and
        Parks, *The Implicit Function Theorem* (2013).
    """
    times, trace = _floating("times", times), _floating("trace", trace)
    _check_frames(times, trace, noise)
    # As arrays, so that another noise or other frames compile nothing anew.
    return _fit(times, trace, jnp.asarray(noise, trace.dtype))


def _is_known(value) -> bool:
    return not isinstance(value, jax.core.Tracer)


def _floating(name: str, values) -> Float[Array, "..."]:
    """Whole numbers as floats, whose fractions the fit needs; floats as they are."""
    traced = any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(values))
    if not traced and getattr(values, "dtype", None) not in (np.float32, np.float64):
        try:
            values = np.asarray(values, float)
        except (TypeError, ValueError):
            shown = reprlib.repr(values)
            raise ValueError(f"`{name}` must be numbers, but is {shown}.") from None
    found = jnp.asarray(values)
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(float)


def _check_frames(times, trace, noise) -> None:
    """Raises ValueError for frames that have no jump; sees shapes of what is traced."""
    if times.ndim != 1 or times.size < 2 or times.shape != trace.shape:
        raise ValueError(
            "`trace` must be one number at each of `times`, two or more, but they have "
            f"the shapes {trace.shape} and {times.shape}; pass one trace at a time."
        )
    for name, values in (("times", times), ("trace", trace)):
        wrong = np.flatnonzero(~np.isfinite(values)) if _is_known(values) else ()
        if len(wrong):
            raise ValueError(
                f"`{name}` must be finite, but entry {wrong[0]} is "
                f"{values[wrong[0]]}; leave that frame out."
            )
    back = np.flatnonzero(np.diff(times) <= 0) if _is_known(times) else ()
    if len(back):
        now, then = float(times[back[0] + 1]), float(times[back[0]])
        raise ValueError(
            f"`times` must increase [s], but entry {back[0] + 1} is {now:g} after "
            f"{then:g}; sort the frames, and leave out those that repeat a time."
        )
    scalar = isinstance(noise, numbers.Real) or getattr(noise, "shape", None) == ()
    if _is_known(noise) and not (scalar and 0 < noise < np.inf):
        raise ValueError(
            "`noise` must be above 0, as a share of the trace's range, but is "
            f"{noise!r}; pass 0.01 where none is known."
        )


@eqx.filter_jit
def _fit(times, trace, noise) -> Jump:
    span, middle = times[-1] - times[0], 0.5 * (times[0] + times[-1])
    # Of the trace as it is: priors and noise are in units of the range.
    low, size = jnp.min(trace), jnp.max(trace) - jnp.min(trace)
    size = jnp.where(size > 0, size, 1.0)
    spacing = jnp.median(jnp.diff(times)) / span
    frames = _Frames(
        (times - middle) / span,
        (trace - low) / size,
        noise,
        spacing / (4 * LN9),
    )
    start = _start(jax.tree.map(jax.lax.stop_gradient, frames))
    found = optx.least_squares(
        _residual,
        optx.LevenbergMarquardt(_TOLERANCE, _TOLERANCE),
        start,
        args=frames,
        max_steps=_MAX_STEPS,
        throw=False,
    ).value
    weights, midpoint, raw = found
    covariance = span**2 * _covariance(found, frames)
    return Jump(
        midpoint=middle + span * midpoint,
        scale=span * _scale_of(raw, frames.least_scale),
        amplitude=size * weights[2],
        level=low + size * weights[0],
        slope_before=size / span * weights[1],
        slope_after=size / span * weights[3],
        covariance=covariance,
    )


def _covariance(parameters, frames: _Frames):
    """Of midpoint and scale, (2, 2), by Gauss and Newton, scaled as the frames."""
    flat, rebuild = jax.flatten_util.ravel_pytree(parameters)

    def residual(vector):
        return jax.flatten_util.ravel_pytree(_residual(rebuild(vector), frames))[0]

    def shown(vector):
        _, midpoint, raw = rebuild(vector)
        return jnp.stack([midpoint, _scale_of(raw, frames.least_scale)])

    jacobian, seen = jax.jacfwd(residual)(flat), jax.jacfwd(shown)(flat)
    return seen @ jnp.linalg.solve(jacobian.T @ jacobian, seen.T)
