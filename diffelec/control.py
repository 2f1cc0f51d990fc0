r"""One control equation for every step of every protocol.

$$ w_I (I - I_{set}) / I_{1C} + w_V (V - V_{set}) / 1\,\mathrm{V}
   + w_P (V I - P_{set}) / (1\,\mathrm{V}\, I_{1C}) = 0 $$

with set-points that may follow a recorded series. Weights, set-points and cut-offs are
data, so that all steps share one compiled solve. Positive current charges the cell.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._typing import as_leaf
from .checks import check_leaves

_FAR = 1e6  # V or 1C: stands for no cut-off
_HIGHEST_VOLTAGE = 5.0  # V, at which a power passes charge most slowly
_LONGEST_HOLD = 200.0 * 3600.0  # s, where a cut-off and no duration is given


class Row(eqx.Module):
    """One step as numbers (stacked over steps in a `Protocol`).

    `*_rate` are C-rates, resolved against the electrode inside `simulate`. Cut-offs
    that do not apply are infinite (voltages) or 0 (current magnitude). `follow` is 1
    where the set-point is the recorded series. A duration is infinite where a cut-off
    must end the step.
    """

    weight_current: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    weight_voltage: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    weight_power: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    current: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    current_rate: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    voltage: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    power: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    follow: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    upper_voltage: Float[Array, "..."] = eqx.field(converter=as_leaf, default=np.inf)
    lower_voltage: Float[Array, "..."] = eqx.field(converter=as_leaf, default=-np.inf)
    least_current: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    least_rate: Float[Array, "..."] = eqx.field(converter=as_leaf, default=0.0)
    duration: Float[Array, "..."] = eqx.field(converter=as_leaf, default=np.inf)


class Drive(eqx.Module):
    """A recorded series, piecewise linear in time [s]; values in A or V."""

    time: Float[Array, " knot"] = eqx.field(converter=as_leaf)
    value: Float[Array, " knot"] = eqx.field(converter=as_leaf)

    def __check_init__(self):
        check_leaves(self)
        if not all(isinstance(c, np.ndarray) for c in (self.time, self.value)):
            return
        if self.time.shape != self.value.shape or self.time.size < 2:
            raise ValueError(
                "A recorded series must have one value per instant and two instants or "
                f"more, but has {self.value.size} values for {self.time.size} instants."
            )
        for name, column in (("time", self.time), ("value", self.value)):
            if not np.all(np.isfinite(column)):
                row = int(np.flatnonzero(~np.isfinite(column))[0])
                raise ValueError(
                    f"The recorded {name} must be finite, but row {row} is "
                    f"{column[row]}; remove that row."
                )
        if not np.all(np.diff(self.time) > 0):
            row = int(np.flatnonzero(np.diff(self.time) <= 0)[0]) + 1
            raise ValueError(
                "The recorded time must increase strictly, but does not at row "
                f"{row}; sort the rows and remove repeated instants."
            )

    @property
    def knots(self) -> Float[Array, " knot"]:
        """Instants from the start of the series [s]."""
        return jnp.asarray(self.time) - self.time[0]

    def at(self, time):
        """The value at `time` after the start of the series [s]."""
        return jnp.interp(time, self.knots, self.value)

    def slope(self, time):
        """Right-sided slope at `time` after the start of the series; 0 outside of it,
        where `at` stands still.
        """
        knots, last = self.knots, self.value.size - 1
        after = jnp.searchsorted(knots, time, side="right")
        ends = jnp.clip(after - 1, 0, last), jnp.clip(after, 0, last)  # one outside
        (start, end), (low, high) = (
            [jnp.asarray(column)[end] for end in ends] for column in (knots, self.value)
        )
        return (high - low) / jnp.where(end > start, end - start, 1.0)

    def moved(self, time):
        """0, with the derivative of an instant that keeps its share of the segment
        between two recorded instants when these move.
        """
        knots = self.knots
        still = jax.lax.stop_gradient(knots)
        return jnp.interp(time, still, knots - still)


class Control(eqx.Module):
    """One row in force in a cell: its equation, the slopes of it, and the distance to
    its end. By `of`.

    Attributes:
        row: with currents in A, and cut-offs that are finite.
        scale: the cell's 1C current [A].
        drive: what the set-point follows.
    """

    row: Row
    scale: Float[Array, ""]
    drive: Drive | None = None

    @staticmethod
    def of(electrode, row: Row, drive: Drive | None = None) -> "Control":
        """Resolves C-rates against an electrode."""
        one_c, upper, lower = electrode.one_c_current, *_cut_offs(row)
        resolved = dataclasses.replace(
            row,
            current=row.current + row.current_rate * one_c,
            current_rate=jnp.zeros_like(one_c),
            # Whichever is met first, as the current falls.
            least_current=jnp.maximum(row.least_current, row.least_rate * one_c),
            least_rate=jnp.zeros_like(one_c),
            upper_voltage=upper,
            lower_voltage=lower,
        )
        return Control(resolved, one_c, drive)

    def _set_points(self, time):
        """(current [A], voltage [V], power [W]) asked for at a time of the step."""
        row = self.row
        if self.drive is None:
            return row.current, row.voltage, row.power
        value = row.follow * self.drive.at(time)
        return row.current + value, row.voltage + value, row.power + value

    def residual(self, time, voltage, current):
        """The control equation (dimensionless)."""
        row, scale = self.row, self.scale
        set_current, set_voltage, set_power = self._set_points(time)
        return (
            row.weight_current * (current - set_current) / scale
            + row.weight_voltage * (voltage - set_voltage)
            + row.weight_power * (voltage * current - set_power) / scale
        )

    def slopes(self, time, voltage, current):
        """d(residual)/d(voltage) [1/V] and d(residual)/d(current) [1/A]."""
        del time
        row, scale = self.row, self.scale
        by_voltage = row.weight_voltage + row.weight_power * current / scale
        by_current = (row.weight_current + row.weight_power * voltage) / scale
        return by_voltage, by_current

    def residual_slope(self, time):
        """d(residual)/dt [1/s]: the recorded series moves the set-point."""
        if self.drive is None:
            return jnp.zeros(())
        row = self.row
        by_current = (row.weight_current + row.weight_power) / self.scale
        weight = row.weight_voltage + by_current
        return -row.follow * weight * self.drive.slope(time)

    def margin(self, voltage, current):
        """The least of the distances to the cut-offs; positive inside [V or 1C]."""
        row, least = self.row, self.row.least_current
        over = (jnp.abs(current) - least) / self.scale
        tail = jnp.where(least > 0, over, _FAR)
        below, above = row.upper_voltage - voltage, voltage - row.lower_voltage
        return jnp.minimum(jnp.minimum(below, above), tail)

    def next_stop(self, time, end):
        """The next instant at which the set-point bends, at most `end`."""
        if self.drive is None:
            return end
        knots = self.drive.knots
        index = jnp.searchsorted(knots, time, side="right")
        stop = knots[jnp.minimum(index, knots.size - 1)]
        return jnp.where(stop > time, jnp.minimum(stop, end), end)

    def moved(self, time):
        """`Drive.moved` where the set-point follows the series, else 0."""
        if self.drive is None:
            return jnp.zeros_like(time)
        return jnp.where(self.row.follow != 0, self.drive.moved(time), 0.0)

    @property
    def must_end(self):
        """Whether a cut-off has to end the step."""
        return jnp.isinf(self.row.duration)

    def longest(self, electrode):
        """How long the step may last [s]: its duration; else the time that passes twice
        the theoretical capacity at the asked current, or power at 5 V, or 200 h.
        """
        row = self.row
        asked = jnp.abs(row.current) + jnp.abs(row.power) / _HIGHEST_VOLTAGE
        asked = jnp.where(asked > 0, asked, jnp.inf)
        passing = 2.0 * electrode.theoretical_capacity / asked
        passing = jnp.where(passing > 0, passing, _LONGEST_HOLD)
        return jnp.where(self.must_end, jax.lax.stop_gradient(passing), row.duration)


def _cut_offs(row: Row):
    """(upper, lower) voltages of a row; far ones where nothing cuts off, so that the
    derivative of a distance to them is finite.
    """
    upper = jnp.where(jnp.isinf(row.upper_voltage), _FAR, row.upper_voltage)
    lower = jnp.where(jnp.isinf(row.lower_voltage), -_FAR, row.lower_voltage)
    return upper, lower
