r"""Coordinates in which a posterior is straight: what the data tell, they tell of one.

Raw numbers are best where data say little. Where they say much, a posterior in them is
a thin curved sheet, along which chains creep:

- Members of a population are $a_k = m + \sigma z_k$. Data that fix a_k bind m, sigma
  and z_k to a curved surface; in the coordinate a_k itself it is flat (the centred
  form; Papaspiliopoulos et al. 2007, doi 10.1214/088342307000000014).
- A contact's radius a is known only times the conductivity on the way: what the time
  of a reaction fixes is $$ \log_{10} a_k - \log_{10} \int_{x_m}^1 dx / \kappa(x). $$
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .events import Events
from .parameters import CONTACTS, ParameterSpace
from .priors import Hierarchical

_CENTRED_BELOW = 0.5  # posterior over population's spread, of a member to be centred
_PATH = np.linspace(0.75, 1.0, 101)  # stoichiometries up to the middle of a jump
_KAPPA = "log10 conductivity"


class Coordinates(eqx.Module):
    r"""Raw numbers z as a smooth one-to-one function of coordinates w.

    Members that the data tell have $$ w_k = (m + \sigma z_k - g(\kappa)) / s $$ with
    the prior's middle s of the spread; g is the logarithm of the resistance on the way
    (of contacts, where the conductivity is free; else 0). All other w are z.

    Attributes:
        electrode: whose curves the space changes.
        space: of the raw numbers.
        centred: components that are members told by the data (component,).
    """

    electrode: eqx.Module
    space: ParameterSpace
    centred: Bool[np.ndarray, " component"]

    @staticmethod
    def about(problem, raw, covariance) -> "Coordinates":
        """The coordinates that suit an optimum and its covariance."""
        space, sd = problem.space, np.sqrt(np.diag(covariance))
        centred = np.zeros(space.size, bool)
        for first, prior in populations(space).values():
            # A member in units of the spread: its own slope is 1, the others' follow.
            slope = np.zeros((prior.count, space.size))
            members = np.arange(first + 2, first + 2 + prior.count)
            slope[np.arange(prior.count), members] = 1.0
            slope[:, first] = prior.sd_mean / (
                prior.spread * prior.factor_spread ** raw[first + 1]
            )
            slope[:, first + 1] = np.log(prior.factor_spread) * raw[members]
            sd = np.sqrt(np.einsum("ki,ij,kj->k", slope, covariance, slope))
            centred[members] = sd < _CENTRED_BELOW
        return Coordinates(problem.electrode, space, centred)

    def raw(self, w: Float[Array, " component"]) -> Float[Array, " component"]:
        """Raw numbers of coordinates."""
        return self._moved(w, lambda s, spread, middle: (s - middle) / spread)

    def inverse(self, raw: Float[Array, " component"]) -> Float[Array, " component"]:
        """Coordinates of raw numbers."""
        return self._moved(raw, lambda z, spread, middle: middle + spread * z)

    def log_det(self, w: Float[Array, " component"]) -> Float[Array, ""]:
        """Log |dz/dw|, the logarithm of what a volume shrinks by."""
        total = jnp.zeros(())
        for first, prior in populations(self.space).values():
            count = jnp.sum(self.centred[first + 2 : first + 2 + prior.count])
            total = total - count * jnp.log(prior.factor_spread) * w[first + 1]
        return total

    def _moved(self, given, law):
        """Members by the law of (member, spread, middle), all in units of s."""
        moved = given
        for name, (first, prior) in populations(self.space).items():
            members = slice(first + 2, first + 2 + prior.count)
            spread = prior.factor_spread ** given[first + 1]
            middle = prior.sd_mean / prior.spread * given[first]
            if name == CONTACTS:
                middle = middle - self._on_the_way(given) / prior.spread
            own = jnp.where(
                self.centred[members],
                law(given[members], spread, middle),
                given[members],
            )
            moved = moved.at[members].set(own)
        return moved

    def _on_the_way(self, given):
        """Decades of resistance on the way of lithium, 0 where nothing changes it."""
        names = [free.name for free in self.space.parts]
        if _KAPPA not in names:
            return jnp.zeros(())
        free = self.space.parts[names.index(_KAPPA)]
        part = self.space.unflatten(given)[_KAPPA]
        log_kappa = free.law(free.prior.constrain(part), free.where(self.electrode))
        electrode = eqx.tree_at(free.where, self.electrode, log_kappa)
        kappa = electrode.curves.conductivity(_PATH)
        return jnp.log10(jnp.mean(1.0 / kappa))


def populations(space: ParameterSpace) -> dict[str, tuple[int, Hierarchical]]:
    """First component and prior of every hierarchical quantity, by name."""
    sizes = [free.prior.size for free in space.parts]
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    return {
        free.name: (start, free.prior)
        for start, free in zip(starts, space.parts, strict=True)
        if isinstance(free.prior, Hierarchical)
    }


def only_bounded(
    space: ParameterSpace, events: Events, fitted: Bool[np.ndarray, " event"]
) -> Bool[np.ndarray, "..."]:
    """Members of populations that are particles of which no fitted event has a time,
    nor an interval that is closed, such as one that was never seen to react
    (component,); none where no event is fitted, as under whole traces of all.
    """
    closed = events.exact | ~(events.right_censored | events.left_censored)
    owners = np.array(events.particles)[events.particle]
    return members(space, set(owners[fitted]) - set(owners[fitted & closed]))


def members(space: ParameterSpace, particles: set[str]) -> Bool[np.ndarray, "..."]:
    """Members of populations that belong to some particles (component,)."""
    found = np.zeros(space.size, bool)
    labels = {free.name: free.components[2:] for free in space.parts}
    for name, (first, _) in populations(space).items():
        for k, label in enumerate(labels[name]):
            found[first + 2 + k] = label in particles
    return found


def spread_in(coordinates: Coordinates, raw, covariance):
    """A covariance of raw numbers as one of coordinates, by the slope at `raw`."""
    slope = np.asarray(jax.jacfwd(coordinates.inverse)(jnp.asarray(raw)))
    return slope @ covariance @ slope.T
