"""Which mechanism do the data favour, and can they tell at all?

Two answers that need not agree. The evidence asks how probable each mechanism makes
these data, its priors included; equally probable beforehand, its share of the sum is
its probability. Leaving particles out asks how well each foretells a particle that it
has not seen; there the scatter among the particles says how sure the answer is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from .ends import within
from .evidence import Evidence
from .left_out import LeftOut
from .optimise import Fit
from .setup import Setup

SURE = 0.95
"""Probability from which on a mechanism is said to be favoured."""
_HOPELESS = -5.0  # ln evidence below the best, from which on it does not matter
_ABOVE = float(np.log(20.0))  # by which ln Z is above the true one in 1 of 20 cases
_BAD_FIT = 1e-3  # probability of a larger chi-square, below which none explains them
_FAILED = 0.1  # share of an evidence's solves, from which on that is said


class Contender(NamedTuple):
    """One mechanism, fitted.

    Attributes:
        name: of `mechanisms.MECHANISMS`.
        setup: with its model and priors; the data are those of all.
        fit: the optimum.
        evidence: with draws of the posterior.
        left_out: each particle as the others predict it; None where not worked out.
        ends: the latest time that each event can have within its half cycle [s].
        chi_square: of the rows with a time, at the optimum.
        probability_of_larger: a chi-square; NaN where no degrees of freedom are left.
    """

    name: str
    setup: Setup
    fit: Fit
    evidence: Evidence
    left_out: LeftOut | None
    ends: Float[np.ndarray, " event"]
    chi_square: float
    probability_of_larger: float

    def quantiles(self, levels: Sequence[float]) -> Float[np.ndarray, "level fitted"]:
        """Of the posterior's times of fitted events, infinite beyond their ends [s]."""
        times = np.quantile(self.evidence.times, levels, axis=0)
        return within(times, self.ends[self.setup.fitted])


class Difference(NamedTuple):
    """Log density of left-out particles, less that of the best mechanism.

    Attributes:
        value: sum over particles, 0 or below.
        sd: of it, by the scatter among the particles; NaN of a single one.
        shape: the worst k of the weights.
    """

    value: float
    sd: float
    shape: float


class Comparison(NamedTuple):
    """Mechanisms on the same data, the most probable first."""

    title: str
    contenders: tuple[Contender, ...]

    @property
    def probabilities(self) -> Float[np.ndarray, " contender"]:
        """Of each, if all are equally probable beforehand and one of them is right."""
        return softmax([c.evidence.log_evidence for c in self.contenders])

    @property
    def least_probability(self) -> float:
        """Of the best one, if Monte Carlo errors are two deviations to its harm."""
        return least_probability([c.evidence for c in self.contenders])

    @property
    def unreliable(self) -> tuple[str, ...]:
        """Mechanisms whose evidence is not known, and may be that of the best."""
        doubts = doubtful([c.evidence for c in self.contenders])
        # The likelihood that a search cut off has met bounds nothing.
        cut_off = [not (c.fit.settled or c.evidence.reliable) for c in self.contenders]
        triples = zip(self.contenders, doubts, cut_off, strict=True)
        return tuple(c.name for c, *why in triples if any(why))

    @property
    def failing(self) -> tuple[str, ...]:
        """Mechanisms of whose solves so many failed that the evidence may be larger."""
        found = [(c.name, c.evidence) for c in self.contenders]
        return tuple(n for n, e in found if e.num_failed >= _FAILED * e.num_solves)

    @property
    def unsettled(self) -> tuple[str, ...]:
        """Mechanisms whose search did not end at an optimum."""
        return tuple(c.name for c in self.contenders if not c.fit.settled)

    @property
    def favoured(self) -> str | None:
        """The mechanism that the data tell from all others; None where they do not."""
        sure = not self.unreliable and self.least_probability >= SURE
        return self.contenders[0].name if sure else None

    def differences(self) -> tuple[Difference, ...] | None:
        """How much worse each foretells particles than the best; None where particles
        were not left out.
        """
        parts = [c.left_out for c in self.contenders]
        if any(part is None for part in parts):
            return None
        each = np.stack([part.log_densities for part in parts])
        off = each - each[np.argmax(each.sum(axis=1))]
        scatter = np.full(len(off), np.nan)
        if len(off.T) > 1:
            scatter = np.sqrt(len(off.T) * off.var(axis=1, ddof=1))
        return tuple(
            Difference(float(row.sum()), float(sd), float(part.shapes.max()))
            for row, sd, part in zip(off, scatter, parts, strict=True)
        )

    def verdict(self) -> str:
        """What the data say, in a sentence or two."""
        best = self.contenders[0]
        shares = self.probabilities
        parts = []
        if len(self.contenders) == 1:
            parts.append(f"Only '{best.name}' was fitted: nothing to compare")
        elif self.favoured is not None:
            parts.append(
                f"The data favour '{best.name}': its probability is {shares[0]:.3f} "
                f"(at least {self.least_probability:.3f}) if one of the "
                f"{len(shares)} is right and all were equally probable before"
            )
        else:
            parts.append(
                "The data cannot tell: "
                + ", ".join(
                    f"'{c.name}' {p:.2f}"
                    for c, p in zip(self.contenders, shares, strict=True)
                    if p > 0.01
                )
            )
        return "; ".join([*parts, *self._caveats()]) + "."

    def _caveats(self) -> list[str]:
        """What stands in the way of the verdict."""
        best, parts = self.contenders[0], []
        if self.unreliable:
            parts.append(
                f"the weights behind the evidence of {', '.join(self.unreliable)} do "
                "not hold (shapes too large for so few); raise --draws"
            )
        if self.failing:
            names = ", ".join(f"'{name}'" for name in self.failing)
            parts.append(
                f"a tenth or more of the solves behind the evidence of {names} failed, "
                "and count as impossible, so that it may be larger; tighten --rtol"
            )
        if self.unsettled:
            names = ", ".join(f"'{name}'" for name in self.unsettled)
            parts.append(
                f"the search of {names} did not settle, so that the data may be "
                "explained better than is said here; raise --max-steps, or tighten "
                "--rtol where it stalled"
            )
        if best.fit.settled and best.probability_of_larger < _BAD_FIT:
            parts.append(
                "even the best of them does not explain the data (a larger chi-square "
                f"has a probability of {best.probability_of_larger:.1g})"
            )
        return parts


def least_probability(evidences: Sequence[Evidence]) -> float:
    """Of the first, if Monte Carlo errors are two deviations to its harm.

    Where its own weights do not hold, their mean is too small rather than too large: it
    is above 20 times the evidence in 1 of 20 cases at most (Markov's inequality).
    """
    best, *others = evidences
    off = [2.0 * np.hypot(best.sd, other.sd) for other in others]
    logs = [best.log_evidence - (0.0 if best.reliable else _ABOVE)]
    logs += [o.log_evidence + d for o, d in zip(others, off, strict=True)]
    return float(softmax(logs)[0])


def doubtful(evidences: Sequence[Evidence]) -> list[bool]:
    """Which are not known, and may be that of the first, which is the best; that one's
    own where it need not be ahead of all others.
    """
    best, *others = evidences
    least = best.log_evidence + _HOPELESS
    behind = least_probability(evidences) < SURE
    return [
        not best.reliable and behind,
        *(not one.reliable and one.bound > least for one in others),
    ]


def compared(title: str, contenders: Sequence[Contender]) -> Comparison:
    """Contenders in order, the most probable first."""
    order = sorted(contenders, key=lambda c: -c.evidence.log_evidence)
    return Comparison(title, tuple(order))
