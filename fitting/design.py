r"""Which next experiment would tell: what candidates are expected to add to a fit.

About the optimum the fit knows raw numbers with a covariance C. A candidate predicts
times whose slopes, in standard deviations of what would be measured, are J along the
numbers of the fit and K along numbers of its own (contacts of particles that nobody
has seen yet: standard normal, independent). Its information and expected gain are
$$ S = J^T (1 + K K^T)^{-1} J, \quad
   \tfrac12 \log_2 \det(1 + L^T S L), \quad C = L L^T, $$
which is the mutual information of data and numbers where times are linear in them, and
$$ C' = (C^{-1} + S)^{-1} $$ is the covariance afterwards, whatever is measured.

Source: D. V. Lindley, Ann. Math. Statist. 27 (1956), 986; K. Chaloner and I.
Verdinelli, Statist. Sci. 10 (1995), 273.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree
from scipy.special import ndtri

from .optimise import Fit
from .parameters import ParameterSpace
from .problem import AbstractForward
from .uncertainty import Direction, Estimate, Profile, draws, name_of

_CURVES = ("conductivity", "diffusivity", "rate_constant")
_BLIND = 1e-12  # largest slope [sd per raw number] of an event that tells nothing


class Experiment(eqx.Module):
    """A half cycle in which particles would be watched.

    Attributes:
        electrode: into which values are inserted.
        space: its free quantities. A number whose label the fit has too is that number;
            any other one is new, and standard normal.
        forward: from an electrode to the times that would be measured.
        sd: of those times [s], or of normal ones that tell as much.
    """

    electrode: PyTree
    space: ParameterSpace
    forward: AbstractForward
    sd: Float[np.ndarray, " event"]


class Candidate(NamedTuple):
    """An experiment that could be done next; `parts` are independent, given numbers."""

    name: str
    text: str  # what would be done, in a sentence
    parts: tuple[Experiment, ...]

    def new_labels(self, space: ParameterSpace) -> tuple[str, ...]:
        """Numbers of the candidate that the fit does not have."""
        every = (label for part in self.parts for label in part.space.labels)
        return tuple(dict.fromkeys(x for x in every if x not in space.labels))


class Expected(NamedTuple):
    """What a candidate is expected to tell of the numbers of the fit.

    Attributes:
        name, text: of the candidate.
        gain: about all numbers, at the optimum [bits]; NaN where a solve failed there.
        curve_gain: about the material's curves alone, contacts being unknown [bits].
        gains, curve_gains: the same with slopes at draws of the normal law, NaN where
            a solve failed (draw,).
        covariance: of raw numbers afterwards (component, component).
        sd_before, sd_after: of the values, in their own units (component,).
        num_told: directions of raw numbers of which data say more than the prior.
        widest: the largest standard deviation of any direction left; 1 is the prior.
        direction: combination of raw numbers that is sharpened most.
        num_events, num_seen: times that would be measured, and those that happen.
    """

    name: str
    text: str
    gain: float
    curve_gain: float
    gains: Float[np.ndarray, " draw"]
    curve_gains: Float[np.ndarray, " draw"]
    covariance: Float[np.ndarray, "component component"]
    sd_before: Float[np.ndarray, " component"]
    sd_after: Float[np.ndarray, " component"]
    num_told: int
    widest: float
    direction: str
    num_events: int
    num_seen: int

    @property
    def num_failed(self) -> int:
        """Solves that failed, the one at the optimum included."""
        return int(np.isnan(self.gain)) + int(np.sum(np.isnan(self.gains)))

    @property
    def mean(self) -> float:
        """Mean of the gain over draws; at the optimum where there are none [bits]."""
        return _mean(self.gains, self.gain)

    @property
    def curve_mean(self) -> float:
        """The same of the gain about the curves [bits]."""
        return _mean(self.curve_gains, self.curve_gain)

    @property
    def spread(self) -> float:
        """Standard deviation of the gain from draw to draw [bits]; NaN for fewer than
        two.
        """
        good = self.gains[np.isfinite(self.gains)]
        return float(np.std(good, ddof=1)) if good.size > 1 else np.nan

    @property
    def shrinkage(self) -> Float[np.ndarray, " component"]:
        """Standard deviation of each value afterwards, over that before."""
        return self.sd_after / np.where(self.sd_before > 0, self.sd_before, 1.0)


def _mean(values, otherwise: float) -> float:
    good = values[np.isfinite(values)]
    return float(np.mean(good)) if good.size else otherwise


def gain(
    covariance: Float[np.ndarray, "component component"],
    information: Float[np.ndarray, "component component"],
    about: Int[np.ndarray, " part"] | None = None,
) -> float:
    """Expected gain [bits] of data with an information S about numbers with a
    covariance C; about some of the numbers, the others being unknown, if given.
    """
    if about is None:
        factor = np.linalg.cholesky(covariance)
        inside = np.eye(len(factor)) + factor.T @ information @ factor
        return float(0.5 * np.linalg.slogdet(inside)[1] / np.log(2.0))
    if not len(about):
        return 0.0
    block = np.ix_(about, about)
    before = np.linalg.slogdet(covariance[block])[1]
    after = np.linalg.slogdet(afterwards(covariance, information)[block])[1]
    return float(0.5 * (before - after) / np.log(2.0))


def afterwards(covariance, information) -> Float[np.ndarray, "component component"]:
    """Covariance (C^-1 + S)^-1 once the data are there."""
    factor = np.linalg.cholesky(covariance)
    inside = np.eye(len(factor)) + factor.T @ information @ factor
    return factor @ np.linalg.solve(inside, factor.T)


def curve_numbers(space: ParameterSpace) -> Int[np.ndarray, " part"]:
    """Indices of the numbers that are of the material's curves."""
    belongs = [
        any(curve in part.name for curve in _CURVES)
        for part in space.parts
        for _ in range(part.prior.size)
    ]
    return np.flatnonzero(belongs)


@eqx.filter_jit
def _slopes(experiment: Experiment, raw):
    """Slopes of the times [s] (event, component), and whether the solve failed."""

    def times(z):
        values = experiment.space.constrain(z)
        electrode = experiment.space.insert(experiment.electrode, values)
        found = experiment.forward(electrode)
        return found.times, found.failed

    return jax.jacfwd(times, has_aux=True)(raw)


def slopes_of(
    candidate: Candidate,
    space: ParameterSpace,
    raw: Float[Array, " component"],
    new: Float[Array, " new"],
) -> Float[np.ndarray, "event number"] | None:
    """Slopes of all times in their standard deviations, along the numbers of the fit,
    then along the new ones; None where a solve failed.
    """
    labels = [*space.labels, *candidate.new_labels(space)]
    numbers = np.concatenate([raw, new])
    blocks = []
    for part in candidate.parts:
        places = [labels.index(label) for label in part.space.labels]
        slopes, failed = _slopes(part, jnp.asarray(numbers[places]))
        if bool(failed) or not np.all(np.isfinite(slopes)):
            return None
        block = np.zeros((len(slopes), len(labels)))
        block[:, places] = np.asarray(slopes) / part.sd[:, None]
        blocks.append(block)
    return np.concatenate(blocks)


def information_of(
    slopes: Float[np.ndarray, "event number"], size: int
) -> Float[np.ndarray, "component component"]:
    """Information about the first `size` numbers, the others (standard normal) being
    unknown: the Schur complement of the whole.
    """
    shared, new = slopes[:, :size], slopes[:, size:]
    own = np.eye(len(slopes)) + new @ new.T
    return shared.T @ np.linalg.solve(own, shared)


def expect(
    space: ParameterSpace,
    fitted: Fit,
    candidate: Candidate,
    *,
    num_draws: int = 8,
    seed: int = 0,
    callback: Callable[[], object] | None = None,
) -> Expected:
    """What a candidate is expected to tell.

    Args:
        space: of the fit.
        fitted: its result.
        candidate: the experiment.
        num_draws: at which slopes are taken again, to see what the optimum's are worth:
            draws of the normal law about it, with new numbers from their prior.
        seed: of the draws; the same ones for every candidate of one seed.
        callback: called after every point (num_draws + 1 times).
    """
    count = len(candidate.new_labels(space))
    rng = np.random.default_rng([seed, 1])
    points = [(fitted.raw, _even(count))]
    some = draws(fitted, num_draws, seed) if num_draws else ()
    points += [(raw, rng.standard_normal(count)) for raw in some]
    found, seen, events = [], 0, sum(part.sd.size for part in candidate.parts)
    for number, (raw, new) in enumerate(points):
        slopes = slopes_of(candidate, space, raw, new)
        found.append(None if slopes is None else information_of(slopes, space.size))
        if number == 0 and slopes is not None:
            seen = int(np.sum(np.max(np.abs(slopes), axis=1) > _BLIND))
        if callback is not None:
            callback()
    return _expected(space, fitted, candidate, found)._replace(
        num_events=events, num_seen=seen
    )


def _even(count: int) -> np.ndarray:
    """New numbers that stand for their prior: its quantiles, large and small in turn
    so that neighbours differ.
    """
    quantiles = ndtri((np.arange(count) + 0.5) / max(count, 1))
    order = np.argsort(np.arange(count) * 0.6180339887 % 1.0)
    return quantiles[order]


def _expected(space, fitted, candidate, found) -> Expected:
    """Of informations at the optimum and at draws, None where a solve failed."""
    about, before = curve_numbers(space), fitted.covariance
    size = space.size

    def bits(information, about=None):
        return np.nan if information is None else gain(before, information, about)

    slopes = _value_slopes(space, fitted.raw)
    here = np.full((size, size), np.nan) if found[0] is None else found[0]
    failed = found[0] is None
    after = here if failed else afterwards(before, here)
    data = fitted.slopes.T @ fitted.slopes
    return Expected(
        name=candidate.name,
        text=candidate.text,
        gain=bits(found[0]),
        curve_gain=bits(found[0], about),
        gains=np.array([bits(one) for one in found[1:]]),
        curve_gains=np.array([bits(one, about) for one in found[1:]]),
        covariance=after,
        sd_before=_deviations(slopes, before),
        sd_after=_deviations(slopes, after),
        num_told=0 if failed else int(np.sum(np.linalg.eigvalsh(data + here) > 1.0)),
        widest=np.nan if failed else float(np.sqrt(np.linalg.eigvalsh(after)[-1])),
        direction="" if failed else _sharpened(before, here, space.labels),
        num_events=0,
        num_seen=0,
    )


def _value_slopes(space: ParameterSpace, raw) -> np.ndarray:
    """Slopes of the values along raw numbers."""
    flat = lambda z: space.flatten(space.constrain(z))
    return np.asarray(jax.jacfwd(flat)(jnp.asarray(raw)))


def _deviations(slopes, covariance) -> np.ndarray:
    return np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes))


def _sharpened(covariance, information, labels) -> str:
    """The combination g of raw numbers with the largest g^T C g / g^T C' g."""
    factor = np.linalg.cholesky(covariance)
    _, vectors = np.linalg.eigh(factor.T @ information @ factor)
    along = np.linalg.solve(factor.T, vectors[:, -1])
    return name_of(along / np.linalg.norm(along), labels)


def ranked(found: Sequence[Expected]) -> list[Expected]:
    """The most telling first; those without a number last."""
    return sorted(found, key=lambda e: -e.mean if np.isfinite(e.mean) else np.inf)


class Profiled(NamedTuple):
    """A number of the fit with its profile beside its normal law."""

    estimate: Estimate
    profile: Profile


class Findings(NamedTuple):
    """What can be told, and which experiment would tell more.

    Attributes:
        title: of the fit.
        labels: of its numbers.
        expected: of the candidates, the most telling first.
        directions: of the data that were fitted, the best told first.
        profiles: of the numbers that were asked for.
        remarks: sentences on what was assumed or could not be offered.
    """

    title: str
    labels: tuple[str, ...]
    expected: tuple[Expected, ...]
    directions: tuple[Direction, ...]
    profiles: tuple[Profiled, ...]
    remarks: tuple[str, ...]

    @property
    def num_told(self) -> int:
        """Directions of which the fitted data say more than the prior."""
        return sum(d.determined for d in self.directions)
