r"""How measurements scatter about predictions: densities and rows of least squares.

One object gives both, so that least squares and sampling see the same data:
$$ \tfrac12 \sum_k r_k^2 = -\log p + \mathrm{const.} $$ for every prediction. Censored
and interval rows are exact in both, to any distance: their tails are computed as
logarithms, never as differences of probabilities.
"""

import abc
import dataclasses
import functools
import numbers
import reprlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc, gammaln, log_ndtr
from jaxtyping import Array, Bool, Float, Int

from .events import Events

_FAR = 32.0  # scales beyond which tails of Student's law are series; e-512 within
_TERMS = 8  # of the series, the last one below 1e-17 there
_NEVER = -1e30  # log of the probability beyond an infinite bound, finite for slopes
_SURE = 1e-8  # probability outside an interval below which -log(1 - p) is p


def _check_number(name: str, value, *, positive: bool = True, unit: str = "") -> None:
    """Raises ValueError for what is no finite positive number, or 0 where that may be;
    what JAX traces is not looked at.
    """
    if isinstance(value, jax.core.Tracer):
        return
    known = isinstance(value, numbers.Real) or getattr(value, "shape", None) == ()
    least = np.nextafter(0.0, 1.0) if positive else 0.0
    if not (known and least <= value < np.inf):
        due = "positive" if positive else "0 or more"
        raise ValueError(f"{name} must be {due}{unit}, but is {value!r}.")


def _check_scatter(value) -> None:
    """Raises ValueError for what is no law of scatter."""
    if not isinstance(value, AbstractScatter):
        raise ValueError(
            "`scatter` must be a law such as `fitting.noise.Normal()` or `StudentT()`, "
            f"but is {value!r}; derive a class from `AbstractScatter` for one's own."
        )


class AbstractScatter(eqx.Module):
    """A symmetric density of unit scale: how far off is how likely?"""

    @abc.abstractmethod
    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """Log of the density at z scales from the middle."""

    @abc.abstractmethod
    def log_cdf(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """Log of the probability below z."""

    @abc.abstractmethod
    def residual(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """The row r of the sign of z with r^2/2 = log p(0) - log p(z)."""

    @abc.abstractmethod
    def sample(
        self, rng: np.random.Generator, shape: tuple[int, ...]
    ) -> Float[np.ndarray, "..."]:
        """How many scales off measurements are, drawn at random."""


class Normal(AbstractScatter):
    """The normal law."""

    def log_density(self, z):
        return -0.5 * z**2 - 0.5 * np.log(2.0 * np.pi)

    def log_cdf(self, z):
        return log_ndtr(z)

    def residual(self, z):
        return z

    def sample(self, rng, shape):
        return rng.standard_normal(shape)

    @staticmethod
    def example() -> "Normal":
        return Normal()


class StudentT(AbstractScatter):
    r"""Student's law: a few times may be far off without pulling the fit.

    $$ r = z \sqrt{(\nu + 1) \ln(1 + u) / (\nu u)}, \quad u = z^2/\nu $$

    Attributes:
        degrees: nu; 4 is robust, 1000 is normal.
    """

    degrees: float = eqx.field(static=True, default=4.0)

    def __check_init__(self):
        _check_number("`degrees`", self.degrees)

    def log_density(self, z):
        nu = self.degrees
        constant = gammaln(0.5 * (nu + 1)) - gammaln(0.5 * nu)
        power = 0.5 * (nu + 1) * jnp.log1p(z**2 / nu)
        return constant - 0.5 * np.log(nu * np.pi) - power

    def log_cdf(self, z):
        return _student_log_cdf(z, self.degrees)

    def residual(self, z):
        nu = self.degrees
        u = z**2 / nu
        small = u < 1e-6
        safe = jnp.where(small, 1.0, u)
        ratio = jnp.where(small, 1.0 - 0.5 * u, jnp.log1p(safe) / safe)
        return z * jnp.sqrt((nu + 1) / nu * ratio)

    def sample(self, rng, shape):
        return rng.standard_t(self.degrees, shape)

    @staticmethod
    def example() -> "StudentT":
        return StudentT(4.0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _student_log_cdf(z, nu):
    # One tail is a small number of its own, the other 1 minus it.
    beyond = _student_log_tail(jnp.abs(z), nu)
    return jnp.where(z < 0, beyond, jnp.log1p(-jnp.exp(beyond)))


def _student_log_tail(d, nu):
    r"""Log of the probability beyond d > 0. Far out, where it may be no number, the
    density times $$ (1/d + d/\nu)\,{}_2F_1(1, 1/2; \nu/2 + 1; -\nu/d^2) $$.
    """
    far = d > _FAR
    near, d = jnp.where(far, 1.0, d), jnp.where(far, d, 2.0 * _FAR)
    share = 0.5 * betainc(0.5 * nu, 0.5, nu / (nu + near**2))
    total = term = jnp.ones_like(d)
    for k in range(_TERMS):
        term = -term * (2 * k + 1) * nu / ((nu + 2 * k + 2) * d**2)
        total = total + term
    ratio = jnp.log1p(d**2 / nu) - jnp.log(d) + jnp.log(total)
    return jnp.where(far, StudentT(nu).log_density(d) + ratio, jnp.log(share))


@_student_log_cdf.defjvp
def _student_log_cdf_jvp(nu, primals, tangents):
    # Density over probability; differentiating `betainc` is 0 times infinity at z = 0.
    (z,), (dz,) = primals, tangents
    value = _student_log_cdf(z, nu)
    return value, jnp.exp(StudentT(nu).log_density(z) - value) * dz


def _log1mexp(x):
    """log(1 - exp(-x)), x > 0."""
    x = jnp.maximum(x, 1e-300)
    near = x < np.log(2.0)
    close, far = jnp.where(near, x, 1.0), jnp.where(near, 1.0, x)
    return jnp.where(near, jnp.log(-jnp.expm1(-close)), jnp.log1p(-jnp.exp(-far)))


def _log_below(scatter, bound):
    """Log of the probability below a bound, `_NEVER` below minus infinity."""
    known = jnp.isfinite(bound)
    return jnp.where(known, scatter.log_cdf(jnp.where(known, bound, 0.0)), _NEVER)


def log_surprise(
    scatter: AbstractScatter, lower: Float[Array, "..."], upper: Float[Array, "..."]
) -> Float[Array, "..."]:
    r"""$$ \log(-\log[F(u) - F(l)]) $$ for bounds l < u in scales from the prediction;
    l may be -inf, and u inf.

    Where the interval holds almost all probability, that is the log of what lies
    outside, which is finite with its slope however certain the event is.
    """
    outside = jnp.logaddexp(_log_below(scatter, lower), _log_below(scatter, -upper))
    inside = outside < np.log(0.5)
    # p below a half: -log(1 - p); below _SURE: p.
    p = jnp.exp(jnp.where(inside, outside, np.log(0.25)))
    sure = p < _SURE
    known = jnp.log(-jnp.log1p(-jnp.where(sure, 0.25, p)))
    certain = jnp.where(sure, outside, known)
    # Otherwise the interval lies in one tail: turn it to the left one.
    turn = lower + upper > 0
    low, high = jnp.where(turn, -upper, lower), jnp.where(turn, -lower, upper)
    low = jnp.where(inside, -2.0, low)
    high = jnp.where(inside, -1.0, high)
    top = scatter.log_cdf(high)
    logarithm = top + _log1mexp(top - _log_below(scatter, low))
    return jnp.where(inside, certain, jnp.log(-logarithm))


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
            _check_number(f"`{name}`", value, positive=False, unit=" [s]")
        scatter = Normal() if scatter is None else scatter
        _check_scatter(scatter)
        if not isinstance(events, Events):
            raise ValueError(
                "`events` must be a `fitting.events.Events`, but is a "
                f"{type(events).__name__}; make one by `Events.from_rows`."
            )
        if np.any(events.interval) and discrepancy == edge_sd == 0:
            raise ValueError(
                "Events known to an interval need a scale by which its bounds and the "
                "model are uncertain; give `edge_sd` or `discrepancy`, such as 5 min."
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
        """As the class says; a row of an interval is sqrt(-2 log of its probability),
        positive, and falls to 0 with its slope where the event is certain.
        """
        z, lower, upper = self._scaled(predicted, shift)
        bounded = jnp.exp(0.5 * (log_surprise(self.scatter, lower, upper) + np.log(2)))
        return jnp.where(self.exact, self.scatter.residual(z), bounded)


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
        _check_number("`sd` of a trace", self.sd)
        _check_number("`discrepancy` of a trace", self.discrepancy, positive=False)
        _check_number("`thinning` of a trace", self.thinning)
        _check_scatter(self.scatter)
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

    def log_densities(self, predicted, shift=0.0):
        del shift
        z = (jnp.asarray(self.measured) - predicted) / self.scale
        return self.scatter.log_density(z) - jnp.log(self.scale)

    def residual(self, predicted, shift=0.0):
        del shift
        return self.scatter.residual(
            (jnp.asarray(self.measured) - predicted) / self.scale
        )
