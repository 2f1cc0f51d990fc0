r"""Tempering: from the prior to the posterior by degrees, however many modes it has.

Walkers draw from one after another of the laws

$$ p_b(z) \propto p(y | z)^b N(z; 0, 1), \quad 0 = b_0 < b_1 < \dots < b_n = 1 $$

The draws of one are particles of the next, of weight $$ w = p(y | z)^{b' - b} $$; the
next power b' is the one at which weights are worth a share of the particles. Walkers
set out from particles chosen by their weights, and every draw of theirs is a particle,
not the last one alone. Where a search from some starts finds some modes, this begins
with all of the prior. The evidence is the product of the weights' means.

Source: Del Moral, Doucet and Jasra 2006, doi 10.1111/j.1467-9868.2006.00553.x; Dau and
    Chopin 2022, doi 10.1111/rssb.12475 (every draw counts); Jasra et al. 2011,
    doi 10.1111/j.1467-9469.2010.00723.x (powers by what weights are worth).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.optimize import brentq
from scipy.special import logsumexp

from .chunks import Store
from .evidence import matched
from .independent import Prior
from .jumps import Jumping
from .mixtures import Mixture, fit_mixture
from .posterior import Posterior
from .samplers import AbstractSampler, Place
from .sampling import Plan, Progress, Samples, points_of, sample
from .slices import Elliptical

_MOST_POWERS = 200
_TYPICAL_POWERS = 12


class Departing(AbstractSampler):
    """Another sampler with jumps, each chain of which sets out from one of many places.

    Attributes:
        jumping: the other sampler.
        places: to set out from (place, ...).
        levels: log density of u there, as `AbstractJumper.level` has it (place,).
        log_weights: of each place's chance to be chosen (place,).
    """

    jumping: Jumping
    places: Place
    levels: Float[Array, " place"]
    log_weights: Float[Array, " place"]

    @property
    def num_warmup(self):
        return self.jumping.num_warmup

    def start(self, target, key):
        key, own = jax.random.split(key)
        inner = self.jumping.inner
        k = jax.random.categorical(own, self.log_weights)
        place = jax.tree.map(lambda leaf: leaf[k], self.places)
        return inner.put(target, inner.start(target, key), place, self.levels[k])

    def advance(self, target, state):
        return self.jumping.advance(target, state)

    @staticmethod
    def example() -> "Departing":
        u, rows, count = jnp.zeros((1, 3)), jnp.zeros((1, 4)), jnp.zeros(1, int)
        place = Place(u, rows, rows, count)
        inner = Jumping(Elliptical.example(), Mixture.example(), num_pilot=0)
        return Departing(inner, place, jnp.zeros(1), jnp.zeros(1))


@dataclasses.dataclass(frozen=True)
class Tempering:
    """How walkers go from the prior to the posterior.

    Attributes:
        num_walkers: of every law.
        num_draws: of each walker, from every law.
        worth: share of the particles that their weights are worth at the next power.
        tries: jumps before each draw.
    """

    num_walkers: int = 64
    num_draws: int = 16
    worth: float = 0.5
    tries: int = 4

    def __post_init__(self):
        for name, least in (("num_walkers", 2), ("num_draws", 4), ("tries", 1)):
            value = getattr(self, name)
            if value < least:
                raise ValueError(f"`{name}` must be {least} or more, but is {value}.")
        if not 0 < self.worth < 1:
            raise ValueError(
                f"`worth` must lie between 0 and 1, but is {self.worth}; 0.5 is usual."
            )

    @property
    def num_warmup(self) -> int:
        """Draws of the posterior's chains that are thrown away: none, as they set out
        from draws of it.
        """
        return 0


class Tempered(NamedTuple):
    """What tempering found.

    Attributes:
        log_evidence: ln Z; densities of times are in 1/s.
        sd: of it, by how much walkers differ.
        powers: b, from the first above 0 to 1.
        num_solves, num_failed: of the walkers.
    """

    log_evidence: float
    sd: float
    powers: tuple[float, ...]
    num_solves: int
    num_failed: int

    @property
    def power(self) -> float:
        """The last one."""
        return self.powers[-1] if self.powers else 0.0


class Stage(NamedTuple):
    """What a callback is told after every draw.

    Attributes:
        power: that walkers draw at, 0 for the prior, 1 for the posterior's own chains.
        num_done: draws at all powers.
        num_total: the same at the end; powers grow about geometrically, so how many
            are left is reckoned from their last step.
        progress: of this power's draws.
    """

    power: float
    num_done: int
    num_total: int
    progress: Progress


class _Particles(NamedTuple):
    """Draws of one law, in the order of their walkers."""

    power: float
    place: Place  # (particle, ...)
    log_likelihood: np.ndarray  # -inf where the solve failed
    level: np.ndarray  # of u in the prior, log density


def sample_tempered(
    target: Posterior,
    alone: Bool[np.ndarray, " component"],
    store: Store,
    plan: Plan,
    tempering: Tempering,
    *,
    batched: bool = False,
    callback: Callable[[Stage], Any] | None = None,
) -> tuple[Samples, Tempered]:
    """Walkers go to the posterior, then chains of its own set out from their draws.

    Args:
        target: what is sampled.
        alone: raw numbers that walk along their own prior's ellipse too (component,).
        store: a run that was begun, and checked against this target and tempering; each
            power has a folder in it.
        plan: of the posterior's own chains.
        tempering: how walkers go there.
        batched: chains advance together in one batch (on a GPU).
        callback: told of every draw.

    Raises:
        ValueError: for a plan that cannot be; where no draw of the prior can be solved,
            or the posterior is not reached.
    """
    plan.check()
    count, found = tempering.num_draws, Tempered(0.0, 0.0, (), 0, 0)
    at, sampler = target, Prior()

    def run(own_store, own_plan):
        told = _teller(callback, found.powers, plan, tempering)
        return sample(at, sampler, own_store, own_plan, batched=batched, callback=told)

    while found.power < 1.0:
        number = len(found.powers)
        own = Store(store.folder / f"power-{number:02d}")
        own.join({})
        seed = _seed(plan.seed, number)
        draws = run(own, Plan(tempering.num_walkers, count, seed, count)).draws
        particles = _particles(target, draws, found.power)
        found, log_weights = _weighed(found, draws, particles, tempering)
        at = dataclasses.replace(target, power=jnp.asarray(found.power))
        law = _law(store, particles, log_weights, number + 1, plan.seed)
        sampler = _departing(law, alone, particles, log_weights, found.power, tempering)
    return run(store, plan), found


def _teller(callback, powers, plan: Plan, tempering: Tempering):
    """What tells a callback of the draws at the last of some powers."""
    if callback is None:
        return None
    each = tempering.num_walkers * tempering.num_draws
    power, before, ahead = powers[-1] if powers else 0.0, len(powers) * each, 0
    if power < 1.0:
        ahead = each * _powers_left(powers) + plan.num_chains * plan.num_draws

    def told(progress):
        counts = before + progress.num_done, before + progress.num_total + ahead
        callback(Stage(power, *counts, progress))

    return told


def _powers_left(powers: tuple[float, ...]) -> int:
    """How many more there are between the last one and 1, about."""
    if len(powers) < 2:
        return _TYPICAL_POWERS - len(powers)
    ratio = powers[-1] / powers[-2]
    return int(np.ceil(-np.log(powers[-1]) / np.log(ratio))) - 1


def _seed(seed: int, number: int) -> int:
    """Of the walkers at a power, unlike that of any other power or of the chains."""
    made = np.random.SeedSequence([seed, 1 + number]).generate_state(1)
    return int(made[0])


def _weighed(found: Tempered, draws, particles: _Particles, tempering: Tempering):
    """What is found with one more power, and the logarithms of the weights there."""
    power, log_weights = _next_power(particles, tempering.worth)
    gain, variance = _mean_weight(log_weights.reshape(tempering.num_walkers, -1))
    found = Tempered(
        log_evidence=found.log_evidence + gain,
        sd=float(np.hypot(found.sd, np.sqrt(variance))),
        powers=(*found.powers, power),
        num_solves=found.num_solves + int(draws.num_solves.sum()),
        num_failed=found.num_failed + int(draws.num_failed.sum()),
    )
    if len(found.powers) > _MOST_POWERS:
        raise ValueError(
            f"The posterior must be reached within {_MOST_POWERS} powers, but walkers "
            f"are at {power:.3g} only; give more walkers, or narrow the priors."
        )
    return found, log_weights


@eqx.filter_jit
def _prior_level(target, raw, u):
    """Log density of u in the prior."""
    at = lambda z, point: target.problem.space.log_prior(z) + target.log_volume(point)
    return jax.vmap(at)(raw, u)


def _particles(target, draws, power: float) -> _Particles:
    """All draws of all walkers."""
    flat = lambda leaf: leaf.reshape(draws.energy.size, *leaf.shape[2:])
    raw, rows = jnp.asarray(flat(draws.raw)), flat(draws.log_likelihoods)
    u = points_of(target, raw)
    failed = ~np.isfinite(flat(draws.log_density))
    total = np.where(failed, -np.inf, rows.sum(axis=-1))
    place = Place(u, rows, flat(draws.times), np.zeros(len(rows), int))
    level = np.asarray(_prior_level(target, raw, u))
    return _Particles(power, place, total, level)


def _next_power(particles: _Particles, worth: float):
    """The power at which weights are worth that share of the particles, or 1, and the
    logarithms of the weights.
    """
    logs, left = particles.log_likelihood, 1.0 - particles.power
    solved = logs[np.isfinite(logs)]
    if solved.size < 2:
        raise ValueError(
            f"Two of {logs.size} draws of the prior or more must be ones that can be "
            f"solved, but {solved.size} can; narrow the priors."
        )

    def excess(step):
        weights = np.exp(step * (solved - solved.max()))
        return weights.sum() ** 2 / np.sum(weights**2) / solved.size - worth

    if excess(left) >= 0:
        return 1.0, left * logs
    # Near to 0 the worth falls from 1; a power's logarithm is what is looked for.
    low = np.log(left) - 1.0
    while excess(np.exp(low)) < 0:
        low -= 5.0
    step = np.exp(brentq(lambda log: excess(np.exp(log)), low, np.log(left)))
    return float(particles.power + step), step * logs


def _mean_weight(log_weights) -> tuple[float, float]:
    """Logarithm of the mean of weights (walker, draw), and its variance by walkers."""
    total = logsumexp(log_weights) - np.log(log_weights.size)
    own = np.mean(np.exp(log_weights - total), axis=1)
    return float(total), float(np.var(own, ddof=1) / own.size)


def _law(store, particles, log_weights, number: int, seed: int) -> dict:
    """Laws near to the next one, fitted once to weighted particles and kept."""
    name = f"law-{number:02d}"
    law = store.kept(name)
    if law is None:
        points, size = np.asarray(particles.place.u), len(log_weights)
        chance = np.exp(log_weights - logsumexp(log_weights))
        rng = np.random.default_rng([seed, number])
        mixture = fit_mixture(points[rng.choice(size, size, p=chance)], seed=seed)
        student = matched(points, log_weights)
        law = {
            "own_middle": student.loc,
            "own_factor": np.linalg.cholesky(student.shape),
            "share": np.asarray(mixture.share),
            "middle": np.asarray(mixture.middle),
            "factor": np.asarray(mixture.factor),
        }
        store.keep(name, law)
    return {name: jnp.asarray(value) for name, value in law.items()}


def _departing(law, alone, particles, log_weights, power, tempering) -> Departing:
    """Slices and jumps by the laws, from the weighted particles."""
    mixture = Mixture(law["share"], law["middle"], law["factor"])
    slices = Elliptical(law["own_middle"], law["own_factor"], jnp.asarray(alone))
    jumping = Jumping(slices, mixture, num_pilot=0, tries=tempering.tries)
    levels = particles.level + power * particles.log_likelihood
    place = jax.tree.map(jnp.asarray, particles.place)
    return Departing(jumping, place, jnp.asarray(levels), jnp.asarray(log_weights))
