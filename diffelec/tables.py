"""Material curves tabulated once a solve, so that a law costs the same whatever it is.

The right-hand side meets every curve at hundreds of nodes, six times a step; a cubic
Hermite table answers in a few operations. Values and slopes at the table's nodes are
those of the law; the slope a table returns is its own exact derivative, which a
Rosenbrock method needs. Differentiable in the parameters of the laws.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .electrode import Electrode
from .kirchhoff import KirchhoffCubics, KirchhoffTable, as_it_is, cubic, tabulate

_SMALLEST = 1e-6  # distance from 0 and 1 at which a table's last node lies
_LOWEST = float(np.log(_SMALLEST) - np.log1p(-_SMALLEST))
_NUM_INTERVALS = 1024


def _logit(x):
    return jnp.log(x / (1.0 - x))


class LogitTable(eqx.Module):
    r"""Cubic Hermite table of laws over equidistant nodes of ln(x / (1 - x)).

    From x = 1e-6 to 1 - 1e-6: fine where potentials and rates are steep, at both ends.
    Beyond, the table goes on along its tangent in x, so that value and slope stay
    finite and continuous. Rows of `coefficients`: one law each.
    """

    coefficients: Float[Array, "4 law interval"]

    def __call__(self, stoichiometry: Float[Array, "..."], keep=as_it_is):
        """(values, slopes) of every law, each (law, ...)."""
        return self.at(stoichiometry, keep)(stoichiometry)

    def at(self, stoichiometry: Float[Array, "..."], keep=as_it_is):
        """The table's `LogitCubics` in whose intervals the stoichiometries lie."""
        count = self.coefficients.shape[2]
        _, position = _position(stoichiometry, count)
        index = keep(jnp.clip(position.astype(jnp.int32), 0, count - 1))
        rows = [
            row.at[:, index].get(mode="promise_in_bounds") for row in self.coefficients
        ]
        return LogitCubics(tuple(rows), index, count)


class LogitCubics(eqx.Module):
    """One cubic a law of a `LogitTable` for each of some stoichiometries."""

    coefficients: tuple[Float[Array, "law ..."], ...]
    index: Int[Array, "..."]
    count: int = eqx.field(static=True)

    def __call__(self, stoichiometry: Float[Array, "..."], keep=None):
        """(values, slopes) of every law, each in its own interval's cubic."""
        del keep  # what it is for was looked up already
        inside, position = _position(stoichiometry, self.count)
        value, slope = cubic(self.coefficients, position - self.index)
        slope = slope / (_spacing(self.count) * inside * (1.0 - inside))
        return value + slope * (stoichiometry - inside), slope

    def offset(self, stoichiometry: Float[Array, "..."]) -> Float[Array, "..."]:
        """Place within the interval, 0 to 1."""
        return _position(stoichiometry, self.count)[1] - self.index


def _spacing(count: int) -> float:
    return -2.0 * _LOWEST / count


def _position(stoichiometry, count: int):
    """(stoichiometry within the table, its place among `count` intervals)."""
    inside = jnp.clip(stoichiometry, _SMALLEST, 1.0 - _SMALLEST)
    return inside, (_logit(inside) - _LOWEST) / _spacing(count)


def logit_table(laws, num_intervals: int = _NUM_INTERVALS) -> LogitTable:
    """Tabulates elementwise laws of stoichiometry."""
    nodes = np.linspace(_LOWEST, -_LOWEST, num_intervals + 1)
    share = jnp.asarray(1.0 / (1.0 + np.exp(-nodes)))
    width = jnp.asarray(nodes[1] - nodes[0]) * share * (1.0 - share)
    rows = [jax.jvp(law, (share,), (width,)) for law in laws]
    values, slopes = (jnp.stack(column) for column in zip(*rows, strict=True))
    rise = values[:, 1:] - values[:, :-1]
    left, right = slopes[:, :-1], slopes[:, 1:]
    return LogitTable(
        jnp.stack(
            [values[:, :-1], left, 3 * rise - 2 * left - right, left + right - 2 * rise]
        )
    )


class Tables(eqx.Module):
    """What the right-hand side looks up of an electrode's material.

    Attributes:
        theta: Kirchhoff transform of the diffusivity, and the diffusivity.
        surface: open-circuit potential [V] and ln of the exchange current density
            [A/m2]; as a logarithm it stays positive beyond the table.
        conductivity: ln kappa [S/m].
    """

    theta: KirchhoffTable | KirchhoffCubics
    surface: LogitTable | LogitCubics
    conductivity: LogitTable | LogitCubics

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
        curves = electrode.curves

        def log_exchange(x):
            return jnp.log(
                electrode.kinetics.exchange_current_density(
                    x, curves.rate_constant(x), electrode.maximum_concentration
                )
            )

        return Tables(
            tabulate(curves.diffusivity),
            logit_table([curves.open_circuit_potential, log_exchange]),
            logit_table([lambda x: jnp.log(curves.conductivity(x))]),
        )
