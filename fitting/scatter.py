"""Laws of scatter: how likely it is to be so many scales off, to any distance.

Tails are computed as logarithms, never as differences of probabilities. To add a law,
add one final class.
"""

import abc
import functools
import numbers

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betainc, gammaln, log_ndtr
from jaxtyping import Array, Float
from scipy.special import ndtri_exp

_FAR = 32.0  # scales beyond which tails of Student's law are series; e-512 within
_TERMS = 8  # of the series, the last one below 1e-17 there
_NEVER = -1e30  # log of the probability beyond an infinite bound, finite for slopes
_AMID = 1e-3  # scales from an interval's middle within which rows are lines
_ENDS = 25.0  # of asinh z, to which densities are integrated
_SURE = 1e-8  # probability outside an interval below which -log(1 - p) is p


def check_number(name: str, value, *, positive: bool = True, unit: str = "") -> None:
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


def check_scatter(value) -> None:
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
        check_number("`degrees`", self.degrees)

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


def interval_row(
    scatter: AbstractScatter, lower: Float[Array, "..."], upper: Float[Array, "..."]
) -> Float[Array, "..."]:
    r"""The row r of an interval (l, u) in scales from the prediction, above 0 where the
    interval lies later,
    $$ \tfrac12 r^2 = \ln P_0 - \ln[F(u) - F(l)], $$
    $P_0$ being the probability of an interval about the prediction.

    Least squares would go astray by rows of $-\ln[F(u) - F(l)]$ itself: where that is
    least it is not 0, but has no slope. Amid the interval, $$ r = d \sqrt{-2 f'(h)/P_0}
    $$ for its middle, d off, and half its width, h.
    """
    half, middle = 0.5 * (upper - lower), 0.5 * (upper + lower)
    least = log_surprise(scatter, -half, half)
    amid = jnp.abs(middle) < _AMID
    off = jnp.where(amid, 1.0, middle)
    more = log_surprise(scatter, off - half, off + half) - least
    log_of_more = more + _log1mexp(more)  # log(exp(more) - 1)
    beyond = jnp.exp(0.5 * (np.log(2.0) + least + log_of_more))
    density, slope = jax.jvp(scatter.log_density, (half,), (jnp.ones_like(half),))
    bend = jnp.exp(0.5 * (np.log(2.0) + density + jnp.exp(least))) * jnp.sqrt(-slope)
    return jnp.where(amid, bend * middle, jnp.sign(off) * beyond)


def information(scatter: AbstractScatter) -> float:
    r"""What a time under a law tells, over what it would under the normal law of the
    same scale: Fisher's information of the middle,
    $$ \int p(z)\, (\ln p)'(z)^2\, dz, $$ which is $(\nu + 1)/(\nu + 3)$ of Student's.
    """
    if isinstance(scatter, Normal):
        return 1.0
    places = np.linspace(-_ENDS, _ENDS, 4001)
    z = np.sinh(places)  # dense in the middle, and far in the tails
    with jax.ensure_compile_time_eval():
        both = jax.jvp(scatter.log_density, (jnp.asarray(z),), (jnp.ones_like(z),))
    log_density, slope = map(np.asarray, both)
    each = np.exp(log_density) * slope**2 * np.cosh(places)
    return float(np.trapezoid(each, places))


def normal_score(
    scatter: AbstractScatter, z: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    r"""How many standard deviations off is as probable under the normal law,
    $$ \Phi^{-1}(F(z)) $$, which is standard normal where z is of the law.
    """
    if isinstance(scatter, Normal):
        return np.asarray(z)
    beyond = np.asarray(scatter.log_cdf(-jnp.abs(z)))
    return -np.sign(z) * ndtri_exp(beyond)
