r"""What a search asks of a fit: numbers that a model predicts, and rows by which data
miss them.

    raw -> numbers (a simulation) -> rows (a formula)

Numbers are dear and nearly straight in raw numbers over a step. Rows cost nothing, but
bend sharply: that of a bound has a slope on one side of it and none on the other. So a
search that takes lines for the numbers, and rows as they are, sees the bound before it
is beyond it.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from .parameters import ParameterSpace

FAILED_ROW = 1e3
"""Standard deviations by which every row of data misses where a solve failed."""


class AbstractQuestion(eqx.Module):
    """Numbers and rows of a fit, as pure functions of raw numbers z.

    A prediction is any pytree with an attribute `failed`.
    """

    space: eqx.AbstractVar[ParameterSpace]

    @abc.abstractmethod
    def numbers(self, raw: Float[Array, " component"]):
        """What data are compared with (number,), finite even where the solve failed,
        and the prediction.
        """

    @abc.abstractmethod
    def rows_of(self, numbers: Float[Array, " number"]) -> Float[Array, " number"]:
        """Rows r of the data with sum(r^2)/2 = -log density + a constant, each of its
        own number.
        """

    @abc.abstractmethod
    def telling_of(self, numbers: Float[Array, " number"]) -> Float[Array, " number"]:
        """Rows with slopes J of which J^T J is what the data tell; each of its own
        number, too.
        """

    def data_residual(self, raw: Float[Array, " component"]):
        """Rows of the data (row,), and the prediction that they compare with.

        A failed solve misses every row by `FAILED_ROW`; `prediction.failed` says so.
        """
        numbers, prediction = self.numbers(raw)
        return self.rows_or_failed(numbers, prediction.failed), prediction

    def residual(self, raw: Float[Array, " component"]) -> Float[Array, " row"]:
        """Rows of the data, then those of the prior."""
        rows, _ = self.data_residual(raw)
        return jnp.concatenate([rows, self.space.prior_residual(raw)])

    def rows_or_failed(
        self, numbers: Float[Array, " number"], failed: Bool[Array, ""]
    ) -> Float[Array, " row"]:
        """Rows of the data, `FAILED_ROW` where the solve failed."""
        return jnp.where(failed, FAILED_ROW, self.rows_of(numbers))

    def lines(self, raw: Float[Array, " component"]) -> "Lines":
        """Numbers and their slopes, by forward mode: all in one solve."""

        def both(z):
            numbers, prediction = self.numbers(z)
            return numbers, (numbers, prediction)

        slopes, (numbers, prediction) = jax.jacfwd(both, has_aux=True)(raw)
        return Lines(numbers, slopes, prediction)

    def rows_and_slopes(self, lines: "Lines"):
        """Rows of the data (row,), their slopes (row, component), and the slopes that
        say what they tell, `telling_of`.
        """
        failed = lines.prediction.failed

        def both(numbers):
            return self.rows_or_failed(numbers, failed), self.telling_of(numbers)

        ones = jnp.ones_like(lines.numbers)
        (rows, _), (steep, telling) = jax.jvp(both, (lines.numbers,), (ones,))
        telling = jnp.where(failed, 0.0, telling)
        return rows, *(each[:, None] * lines.slopes for each in (steep, telling))


class Lines(eqx.Module):
    """Numbers about a point, to first order.

    Attributes:
        numbers: (number,).
        slopes: (number, component).
        prediction: that they are of.
    """

    numbers: Float[Array, " number"]
    slopes: Float[Array, "number component"]
    prediction: PyTree
