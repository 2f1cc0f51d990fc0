r"""How measurements scatter about predictions: densities and rows of least squares.

One object gives both, so that least squares and sampling see the same data:
$$ \tfrac12 \sum_k r_k^2 = -\log p + \mathrm{const.} $$ for every prediction. Censored
and interval rows are exact in both, to any distance: their tails are computed as
logarithms, never as differences of probabilities.
"""

import abc
import dataclasses
import reprlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from .events import Events
from .scatter import AbstractScatter as AbstractScatter
from .scatter import Normal as Normal
from .scatter import StudentT as StudentT
from .scatter import (
    check_number,
    check_scatter,
    information,
    interval_row,
    normal_score,
)
from .scatter import log_surprise as log_surprise


class AbstractNoise(eqx.Module):
    """How a prediction is corrupted, for rows of data that the object holds."""

    @abc.abstractmethod
    def log_densities(
        self, predicted: Float[Array, " row"], shift: Float[Array, ""]
    ) -> Float[Array, " row"]:
        """Log density (or log probability) of every row of data."""

    @abc.abstractmethod
    def residual(
        self, predicted: Float[Array, " row"], shift: Float[Array, ""]
    ) -> Float[Array, " row"]:
        """Rows r with sum(r^2)/2 = -log density + a constant."""

    @abc.abstractmethod
    def scores(
        self, predicted: Float[Array, " row"], shift: Float[Array, ""]
    ) -> Float[np.ndarray, " row"]:
        """Standard deviations off that are as probable under the normal law, 0 where
        a row is only a bound.
        """

    def log_density(self, predicted, shift=0.0) -> Float[Array, ""]:
        """Log density of all rows."""
        return jnp.sum(self.log_densities(predicted, shift))


class EventNoise(AbstractNoise):
    r"""Times of events about their predictions T.

    $$ \log p(t | T),\ \log[F(b - T) - F(a - T)],\ \log[1 - F(a - T)],\ \log F(b - T) $$

    for a time, an interval (a, b], an event never seen before a, and one over by b; F
    has the scale $$ \sqrt{\sigma^2 + \sigma_m^2} $$ (bounds: sigma = `edge_sd`).

    Attributes:
        time, sd: (event,) of rows with a time [s]; any finite number elsewhere.
        after, before: (event,) bounds of the others [s], infinite where there is none.
        exact: (event,) rows with a time.
        moves: (event,) 1 where a shift of the clock moves the row, 0 for durations.
        scatter: `Normal()`, or `StudentT()` against outliers.
        discrepancy: sigma_m, how far the model may be off in any time [s].
        edge_sd: of the bounds of intervals [s], such as the time of a frame.
    """

    time: Float[Array, " event"]
    sd: Float[Array, " event"]
    after: Float[Array, " event"]
    before: Float[Array, " event"]
    exact: Bool[Array, " event"]
    moves: Float[Array, " event"]
    scatter: AbstractScatter
    discrepancy: Float[Array, ""] | float
    edge_sd: Float[Array, ""] | float

    @staticmethod
    def of(
        events: Events,
        scatter: AbstractScatter | None = None,
        *,
        discrepancy: float = 0.0,
        edge_sd: float = 0.0,
    ) -> "EventNoise":
        """The noise of a table of events.

        Raises:
            ValueError: for a negative scale, or none where bounds need one.
        """
        for name, value in (("discrepancy", discrepancy), ("edge_sd", edge_sd)):
            check_number(f"`{name}`", value, positive=False, unit=" [s]")
        scatter = Normal() if scatter is None else scatter
        check_scatter(scatter)
        if not isinstance(events, Events):
            raise ValueError(
                "`events` must be a `fitting.events.Events`, but is a "
                f"{type(events).__name__}; make one by `Events.from_rows`."
            )
        if np.any(events.interval) and discrepancy == edge_sd == 0:
            raise ValueError(
                "Events known to an interval need a scale by which its bounds and the "
                "model are uncertain; give `edge_sd` or `discrepancy`, such as 5 min "
                "(0.083 h)."
            )
        exact = np.asarray(events.exact)
        return EventNoise(
            time=np.where(exact, events.time, 0.0),
            sd=np.where(exact, events.sd, 1.0),
            after=np.where(exact, -np.inf, events.after),
            before=np.where(exact, np.inf, events.before),
            exact=exact,
            moves=np.where(events.is_duration, 0.0, 1.0),
            scatter=scatter,
            discrepancy=discrepancy,
            edge_sd=edge_sd,
        )

    def over(self, events: Events) -> "EventNoise":
        """The same law for other events."""
        return EventNoise.of(
            events,
            self.scatter,
            discrepancy=float(self.discrepancy),
            edge_sd=float(self.edge_sd),
        )

    def select(self, rows: Int[np.ndarray, " row"]) -> "EventNoise":
        """The noise of some of the events."""
        columns = ("time", "sd", "after", "before", "exact", "moves")
        kept = {name: np.asarray(getattr(self, name))[rows] for name in columns}
        return dataclasses.replace(self, **kept)

    @property
    def scale(self) -> Float[Array, " event"]:
        """Standard deviation of each row about its prediction [s]."""
        own = jnp.where(self.exact, self.sd, self.edge_sd)
        total = own**2 + self.discrepancy**2
        return jnp.sqrt(jnp.where(total > 0, total, 1.0))

    def _scaled(self, predicted, shift):
        """Distance of exact rows and bounds of the others in scales, safe elsewhere."""
        centre = predicted + self.moves * shift
        z = jnp.where(self.exact, self.time - centre, 0.0) / self.scale
        lower, upper = (
            jnp.where(
                jnp.isfinite(bound),
                (jnp.where(jnp.isfinite(bound), bound, 0.0) - centre) / self.scale,
                bound,
            )
            for bound in (self.after, self.before)
        )
        lower = jnp.where(self.exact, -1.0, lower)
        return z, lower, jnp.where(self.exact, 1.0, upper)

    def log_densities(self, predicted, shift=0.0):
        z, lower, upper = self._scaled(predicted, shift)
        known = self.scatter.log_density(z) - jnp.log(self.scale)
        bounded = -jnp.exp(log_surprise(self.scatter, lower, upper))
        return jnp.where(self.exact, known, bounded)

    def residual(self, predicted, shift=0.0):
        """As the class says. The row of a bound on one side is sqrt(-2 log of its
        probability), positive, and falls to 0 with its slope where the event is
        certain; that of an interval is `interval_row`.
        """
        z, lower, upper = self._scaled(predicted, shift)
        ends = jnp.where(self.closed, lower, -1.0), jnp.where(self.closed, upper, 1.0)
        within = interval_row(self.scatter, *ends)
        bounded = jnp.exp(0.5 * (log_surprise(self.scatter, lower, upper) + np.log(2)))
        bounded = jnp.where(self.closed, within, bounded)
        return jnp.where(self.exact, self.scatter.residual(z), bounded)

    @property
    def closed(self) -> Bool[Array, " event"]:
        """Rows of events known to lie between two times."""
        return ~self.exact & jnp.isfinite(self.after) & jnp.isfinite(self.before)

    def informing(self, predicted, shift=0.0) -> Float[Array, " event"]:
        """Rows with slopes J of which J^T J is what the data tell; they are meant for
        their slopes only.

        Those of `residual`, but for a closed interval and for a time under a law with
        tails. Amid a wide interval the row is flat, and its slope depends on where in
        it a search happened to stop; it counts as the time itself over `interval_sd`.
        Amid such a law the row is steeper than times tell on the whole (by Fisher's
        information, `scatter.information`), which is taken where that is less.
        """
        centre = predicted + self.moves * shift
        timed = -centre / self.interval_sd(predicted, shift)
        z, *_ = self._scaled(*jax.lax.stop_gradient((predicted, jnp.asarray(shift))))
        _, steep = jax.jvp(self.scatter.residual, (z,), (jnp.ones_like(z),))
        share = jnp.minimum(1.0, np.sqrt(information(self.scatter)) / steep)
        own = self.residual(predicted, shift) * jnp.where(self.exact, share, 1.0)
        return jnp.where(self.closed, timed, own)

    def interval_sd(self, predicted, shift=0.0) -> Float[Array, " event"]:
        r"""Standard deviation of the time that an interval stands for [s], 1 elsewhere.

        $$ \sqrt{(s / r'(z))^2 + 1 / (12 / (b - a)^2 + g^2)}. $$

        s is the scale, r' the slope of the scatter's row where the prediction is z
        scales outside (1 of the normal law), and g the slope of log p: at an optimum
        all else pulls by as much, and an interval leaves (b - a)^2/12 where nothing
        pulls, 1/g^2 against its end. So what is far outside is told as by a time.
        """
        held = jax.lax.stop_gradient((predicted, jnp.asarray(shift)))
        _, lower, upper = self._scaled(*held)
        outside = jnp.maximum(lower, 0.0) + jnp.minimum(upper, 0.0)
        outside = jnp.where(self.closed, outside, 0.0)
        ones = jnp.ones_like(outside)
        _, steep = jax.jvp(self.scatter.residual, (outside,), (ones,))
        density = lambda times: self.log_densities(times, held[1])
        _, pull = jax.jvp(density, (held[0],), (ones,))
        width = jnp.where(self.closed, self.before - self.after, 1.0)
        left = 1.0 / (12.0 / width**2 + jnp.where(self.closed, pull, 0.0) ** 2)
        variance = (self.scale / steep) ** 2 + left
        return jnp.where(self.closed, jnp.sqrt(variance), 1.0)

    def scores(self, predicted, shift=0.0):
        return normal_score(self.scatter, self._scaled(predicted, shift)[0])


class TraceNoise(AbstractNoise):
    r"""A measured series y about a predicted one, such as the voltage of the cell.

    Neighbouring points of a fine record are not independent: `thinning` says how many
    of them count as one, $$ \sigma^2 \to n (\sigma^2 + \sigma_m^2) $$.

    Attributes:
        measured: the series, in any unit.
        sd: of one point, in that unit.
        discrepancy: sigma_m, how far the model may be off.
        thinning: n.
    """

    measured: Float[Array, " time"]
    sd: Float[Array, ""] | float
    discrepancy: Float[Array, ""] | float = 0.0
    thinning: float = 1.0
    scatter: AbstractScatter = eqx.field(default_factory=Normal)

    def __check_init__(self):
        check_number("`sd` of a trace", self.sd)
        check_number("`discrepancy` of a trace", self.discrepancy, positive=False)
        check_number("`thinning` of a trace", self.thinning)
        check_scatter(self.scatter)
        kind = getattr(getattr(self.measured, "dtype", None), "kind", "")
        if kind not in ("i", "u", "f"):
            raise ValueError(
                "The measured trace must be an array of numbers, but is "
                f"{reprlib.repr(self.measured)}; make one by `numpy.array`."
            )
        if not isinstance(self.measured, jax.core.Tracer):
            bad = np.flatnonzero(~np.isfinite(self.measured))
            if bad.size:
                raise ValueError(
                    f"The measured trace must be finite, but row {bad[0]} is "
                    f"{self.measured[bad[0]]}; remove that row."
                )

    @property
    def scale(self):
        return jnp.sqrt(self.thinning * (self.sd**2 + self.discrepancy**2))

    def _scaled(self, predicted):
        return (jnp.asarray(self.measured) - predicted) / self.scale

    def log_densities(self, predicted, shift=0.0):
        del shift
        return self.scatter.log_density(self._scaled(predicted)) - jnp.log(self.scale)

    def residual(self, predicted, shift=0.0):
        del shift
        return self.scatter.residual(self._scaled(predicted))

    def scores(self, predicted, shift=0.0):
        del shift
        return normal_score(self.scatter, self._scaled(predicted))
