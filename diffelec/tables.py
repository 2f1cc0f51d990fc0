"""Material curves tabulated once a solve, so that a law costs the same whatever it is.

The right-hand side meets every curve at hundreds of nodes, six times a step; a cubic
Hermite table answers in a few operations. Values and slopes at the table's nodes are
those of the law; the slope a table returns is its own exact derivative, which a
Rosenbrock method needs. Differentiable in the parameters of the laws.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .electrode import Electrode
from .kirchhoff import KirchhoffCubics, KirchhoffTable, as_it_is, cubic, tabulate

_SMALLEST = 2.0**-20  # distance from 0 and 1 at which a table's last node lies
_OCTAVES = 19  # from there to 1/2
_PER_OCTAVE = 32


class OctaveTable(eqx.Module):
    r"""Cubic Hermite table of laws whose intervals widen with the distance from 0 or 1.

    The distance to the nearer end, 2^-20 to 1/2, is cut into octaves and each octave
    into 2^n equal intervals: fine where potentials and rates are steep, and the number
    of an interval is the leading bits of a distance, so that no logarithm is needed to
    find it. Beyond, the table goes on along its tangent, so that value and slope stay
    finite and continuous. Rows of `coefficients`: one law each, its intervals from 0
    to 1/2, then those from 1 back to 1/2.
    """

    coefficients: Float[Array, "4 law interval"]

    def __call__(self, stoichiometry: Float[Array, "..."], keep=as_it_is):
        """(values, slopes) of every law, each (law, ...)."""
        return self.at(stoichiometry, keep)(stoichiometry)

    def at(self, stoichiometry: Float[Array, "..."], keep=as_it_is):
        """The table's `OctaveCubics` in whose intervals the stoichiometries lie."""
        count = self.coefficients.shape[2]
        half = count // 2
        upper, distance = _distance(stoichiometry)
        bits = _Bits.of(half, distance.dtype)
        number = bits.number(jax.lax.stop_gradient(_within(distance)))
        number = jnp.clip(number, 0, half - 1).astype(jnp.int32)
        index = keep(jnp.where(upper, number + half, number))
        rows = [
            row.at[:, index].get(mode="promise_in_bounds") for row in self.coefficients
        ]
        return OctaveCubics(tuple(rows), index, count)


class OctaveCubics(eqx.Module):
    """One cubic a law of an `OctaveTable` for each of some stoichiometries."""

    coefficients: tuple[Float[Array, "law ..."], ...]
    index: Int[Array, "..."]
    count: int = eqx.field(static=True)

    def __call__(self, stoichiometry: Float[Array, "..."], keep=None):
        """(values, slopes) of every law, each in its own interval's cubic."""
        del keep  # what it is for was looked up already
        upper, distance, within, start, per_width = self._places(stoichiometry)
        value, slope = cubic(self.coefficients, (within - start) * per_width)
        slope = slope * per_width
        value = value + slope * (distance - within)
        return value, jnp.where(upper, -slope, slope)

    def offset(self, stoichiometry: Float[Array, "..."]) -> Float[Array, "..."]:
        """Place within the interval, 0 to 1."""
        _, _, within, start, per_width = self._places(stoichiometry)
        return (within - start) * per_width

    def _places(self, stoichiometry):
        """(whether 1 is the nearer end, distance to it, that within the table, start of
        its interval, 1 / its width).
        """
        upper, distance = _distance(stoichiometry)
        half = self.count // 2
        bits = _Bits.of(half, distance.dtype)
        number = self.index - jnp.where(self.index < half, 0, half)
        return upper, distance, _within(distance), *bits.interval(number)


class _Bits(NamedTuple):
    """How numbers of intervals are cut from floating-point numbers of one type."""

    dtype: type
    whole: type  # integers of its size
    fraction: int  # bits of its fraction
    leading: int  # of these, that number the intervals of an octave

    @staticmethod
    def of(half: int, dtype):
        kind = jnp.finfo(dtype)
        whole = jnp.int32 if kind.bits == 32 else jnp.int64
        return _Bits(dtype, whole, kind.nmant, (half // _OCTAVES).bit_length() - 1)

    @property
    def _lowest(self) -> int:
        """Leading bits of the distance that intervals are numbered from."""
        exponent = int(np.log2(_SMALLEST)) + self._bias
        return exponent << self.leading

    @property
    def _bias(self) -> int:
        return 1 - jnp.finfo(self.dtype).minexp

    def number(self, distance):
        """Number of the interval of each distance."""
        bits = jax.lax.bitcast_convert_type(distance, self.whole)
        return (bits >> (self.fraction - self.leading)) - self._lowest

    def interval(self, number):
        """(start of each interval, 1 / its width), both exact."""
        bits = number.astype(self.whole) + self._lowest
        inverse = 2 * self._bias + self.leading - (bits >> self.leading)
        return (
            jax.lax.bitcast_convert_type(
                bits << (self.fraction - self.leading), self.dtype
            ),
            jax.lax.bitcast_convert_type(inverse << self.fraction, self.dtype),
        )


def with_slope(function, x):
    """(f(x), f'(x)) of an elementwise function."""
    return jax.jvp(function, (x,), (jnp.ones_like(x),))


def _distance(stoichiometry):
    """(whether 1 is the nearer end, distance to the nearer one)."""
    upper = stoichiometry > 0.5
    return upper, jnp.where(upper, 1.0 - stoichiometry, stoichiometry)


def _within(distance):
    return jnp.clip(distance, _SMALLEST, 0.5)


def octave_table(laws, per_octave: int = _PER_OCTAVE) -> OctaveTable:
    """Tabulates elementwise laws of stoichiometry; `per_octave` is a power of two."""
    octaves = _SMALLEST * 2.0 ** np.arange(_OCTAVES)
    starts = np.outer(octaves, 1.0 + np.arange(per_octave) / per_octave).reshape(-1)
    width = np.append(starts[1:], 0.5) - starts
    distance = np.append(starts, 0.5)
    share = jnp.asarray(np.concatenate([distance, 1.0 - distance]))
    rows = [with_slope(law, share) for law in laws]
    in_halves = lambda column: jnp.stack(column).reshape(len(rows), 2, -1)
    values, slopes = map(in_halves, zip(*rows, strict=True))
    slopes = slopes * np.array([1.0, -1.0])[:, None]  # away from the nearer end
    start, rise = values[..., :-1], values[..., 1:] - values[..., :-1]
    left, right = width * slopes[..., :-1], width * slopes[..., 1:]
    cubics = [start, left, 3 * rise - 2 * left - right, left + right - 2 * rise]
    return OctaveTable(jnp.stack(cubics).reshape(4, len(rows), -1))


class Tables(eqx.Module):
    """What the right-hand side looks up of an electrode's material.

    Attributes:
        theta: Kirchhoff transform of the diffusivity, and the diffusivity.
        surface: open-circuit potential [V] and ln of the exchange current density
            [A/m2]; as a logarithm it stays positive beyond the table.
        conductivity: ln kappa [S/m].
    """

    theta: KirchhoffTable | KirchhoffCubics
    surface: OctaveTable | OctaveCubics
    conductivity: OctaveTable | OctaveCubics

    def at(self, nodes, surface, probed, keep=as_it_is) -> "Tables":
        """Only what is looked up at one state: a cubic a node instead of tables."""
        return Tables(
            self.theta.at(nodes, keep),
            self.surface.at(surface, keep),
            self.conductivity.at(probed, keep),
        )

    def offsets(self, nodes, surface, probed):
        """Places within the intervals of what `at` looked up."""
        return (
            self.theta.offset(nodes),
            self.surface.offset(surface),
            self.conductivity.offset(probed),
        )

    def kinetics(self, surface: Float[Array, " site"], keep=as_it_is):
        """(U, i0) of each site and their slopes (dU/dx, di0/dx)."""
        (rest, log_rate), (rest_slope, log_slope) = self.surface(surface, keep)
        rate = jnp.exp(log_rate)
        return (rest, rate), (rest_slope, rate * log_slope)

    def resistivity(self, stoichiometry: Float[Array, " site"], keep=as_it_is):
        """1/kappa [ohm m] and its slope."""
        (logarithm,), (slope,) = self.conductivity(stoichiometry, keep)
        value = jnp.exp(-logarithm)
        return value, -slope * value

    @staticmethod
    def of(electrode: Electrode) -> "Tables":
        """Tabulates the electrode's curves."""
        curves, kinetics = electrode.curves, electrode.kinetics
        rate, most = curves.rate_constant, electrode.maximum_concentration

        def exchange(x):
            return kinetics.exchange_current_density(x, rate(x), most)

        exchange = _elementwise("kinetics.exchange_current_density", exchange)
        conductivity = _elementwise("conductivity", curves.conductivity)
        potential = curves.open_circuit_potential
        potential = _elementwise("open_circuit_potential", potential)
        return Tables(
            tabulate(_elementwise("diffusivity", curves.diffusivity)),
            octave_table([potential, lambda x: jnp.log(exchange(x))]),
            octave_table([lambda x: jnp.log(conductivity(x))]),
        )


def _elementwise(name: str, law):
    """A law of stoichiometries that may have been written for one, or be constant."""

    def one_each(x):
        try:
            value = law(x)
        # Such as of numbers that do not fit those asked for, or of an `if` of many.
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`{name}` must give a number for each stoichiometry, the shape "
                f"{x.shape} for {x.shape}, but fails: {error}"
            ) from error
        shape = None if value is None else jnp.shape(value)
        if shape not in (x.shape, ()):
            raise ValueError(
                f"`{name}` must give a number for each stoichiometry, the shape "
                f"{x.shape} for {x.shape}, but gives "
                + ("None." if shape is None else f"the shape {shape}.")
            )
        return jnp.broadcast_to(jnp.asarray(value, x.dtype), x.shape)

    return one_each
