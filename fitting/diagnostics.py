r"""Whether draws may be trusted: R-hat, effective sizes, energies, what went wrong.

All are of rank-normalised, split chains: ranks r of S draws become
$$ \Phi^{-1}((r - 3/8) / (S + 1/4)) $$, so that heavy tails are no excuse.

Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner 2021, doi 10.1214/20-BA1221.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpyro.diagnostics import effective_sample_size, gelman_rubin
from scipy.special import ndtri
from scipy.stats import rankdata

from .pareto import largest_shape, smooth_weights
from .samplers import Draw
from .sampling import Samples
from .wording import counted, named

MAX_RHAT, MIN_SIZE, MIN_EBFMI = 1.01, 400, 0.3
"""What a run must reach, of all chains and in every number."""
_FEW_FAILURES = 0.01  # failed solves, or trajectories cut off, a draw


def _split(chains):
    """Each chain as two."""
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, -half:]])


def _normalised(chains):
    """Normal scores of the ranks among all draws."""
    ranks = rankdata(chains, axis=None).reshape(chains.shape)
    return ndtri((ranks - 0.375) / (chains.size + 0.25))


def _constant(chains) -> bool:
    return not np.all(np.isfinite(chains)) or np.ptp(chains) == 0


def rhat(chains: Float[np.ndarray, "chain draw"]) -> float:
    """The larger R-hat of the place and of the spread; NaN for a constant."""
    if _constant(chains):
        return np.nan
    halves = _split(chains)
    folded = np.abs(halves - np.median(halves))
    found = (float(gelman_rubin(_normalised(part))) for part in (halves, folded))
    return max(found)


def bulk_size(chains: Float[np.ndarray, "chain draw"]) -> float:
    """Independent draws that would tell the middle as well."""
    if _constant(chains):
        return np.nan
    return _size(_normalised(_split(chains)))


def tail_size(chains: Float[np.ndarray, "chain draw"]) -> float:
    """Independent draws that would tell the 5 % and 95 % quantiles as well."""
    if _constant(chains):
        return np.nan
    halves = _split(chains)
    ends = np.quantile(chains, [0.05, 0.95])
    return min(_size((halves <= end).astype(float)) for end in ends)


def _size(chains) -> float:
    """Effective size by Geyer's monotone sequence; at most S log10(S)."""
    if _constant(chains):
        return float(chains.size)
    found = float(effective_sample_size(chains))
    most = chains.size * np.log10(chains.size)
    return min(found, most) if found > 0 else most


def ebfmi(energy: Float[np.ndarray, "chain draw"]) -> Float[np.ndarray, " chain"]:
    """Energy steps against the spread of energies; below 0.3, tails are not reached.

    Source: Betancourt 2016, arXiv 1604.00695.
    """
    steps = np.mean(np.diff(energy, axis=1) ** 2, axis=1)
    return steps / np.var(energy, axis=1)


class Quantity(NamedTuple):
    """One number's posterior, and how well its draws tell it."""

    label: str  # with its unit
    mean: float
    sd: float
    low: float  # 5 % quantile
    median: float
    high: float  # 95 % quantile
    rhat: float
    bulk: float
    tail: float


class Diagnosis(NamedTuple):
    """What a run is worth.

    Attributes:
        quantities: every component of the values.
        num_chains, num_draws: of each chain, after warm-up.
        ebfmi: of each chain; empty where draws have no energy.
        num_diverging: trajectories that diverged though every solve succeeded.
        num_failed: solves that failed; each ended a trajectory, or was refused.
        num_failed_warmup: the same in warm-up.
        num_deep: trajectories cut off at the largest depth.
        num_solves: of the model, in and after warm-up.
        shape: k of the weights of draws from an approximation; None without.
    """

    quantities: tuple[Quantity, ...]
    num_chains: int
    num_draws: int
    ebfmi: tuple[float, ...]
    num_diverging: int
    num_failed: int
    num_failed_warmup: int
    num_deep: int
    num_solves: int
    shape: float | None

    @property
    def known(self) -> tuple[Quantity, ...]:
        """The numbers that moved, and whose draws are all finite."""
        return tuple(q for q in self.quantities if not np.isnan(q.bulk))

    @property
    def worst(self) -> tuple[Quantity, Quantity, Quantity]:
        """The known numbers of the largest R-hat, the least bulk and the least tail."""
        return (
            max(self.known, key=lambda q: q.rhat),
            min(self.known, key=lambda q: q.bulk),
            min(self.known, key=lambda q: q.tail),
        )

    @property
    def doubts(self) -> tuple[str, ...]:
        """Every reason not to trust the run."""
        if self.shape is not None:
            return _doubts_of_weights(self)
        found = []
        total = self.num_chains * self.num_draws
        if self.num_chains < 4:
            found.append(
                f"only {counted(self.num_chains, 'chain')} ran (4 or more should)"
            )
        found += _doubts_of_unknown(self)
        if self.known:
            found += _doubts_of_worst(*self.worst)
        if self.ebfmi and min(self.ebfmi) < MIN_EBFMI:
            found.append(f"E-BFMI is {min(self.ebfmi):.2f} (below {MIN_EBFMI})")
        if self.num_diverging:
            paths = counted(self.num_diverging, "trajectory", "trajectories")
            found.append(f"{paths} diverged")
        found += _doubts_of_failures(self)
        if self.num_deep > _FEW_FAILURES * total:
            paths = counted(self.num_deep, "trajectory was", "trajectories were")
            found.append(f"{paths} cut off at full depth")
        return tuple(found)

    @property
    def limit(self) -> float:
        """What the shape of so many weights must stay below."""
        return largest_shape(self.num_chains * self.num_draws)

    def counts(self) -> str:
        """What went wrong how often, and the solves in all."""
        return (
            f"{counted(self.num_diverging, 'divergence')}, "
            f"{counted(self.num_failed, 'failed solve')} "
            f"(and {self.num_failed_warmup} in warm-up), "
            f"{counted(self.num_solves, 'solve')}"
        )

    def verdict(self) -> str:
        """One sentence: whether the run may be trusted, and why (not)."""
        if self.doubts:
            return (
                f"The draws must not be trusted yet: {'; '.join(self.doubts)}. "
                f"{self._remedy()}"
            )
        if self.shape is not None:
            return (
                f"The weighted draws may be trusted: the shape of their weights is "
                f"{self.shape:.2f} (below {self.limit:.2f})."
            )
        rhat, bulk, tail = self.worst
        ends = f"; {counted(self.num_failed, 'solve')} failed"
        energies = ""
        if self.ebfmi:
            energies = f", E-BFMI at least {min(self.ebfmi):.2f}"
        return (
            f"The draws may be trusted: R-hat is at most {rhat.rhat:.3f}, effective "
            f"sizes are at least {bulk.bulk:.0f} (bulk) and {tail.tail:.0f} (tail)"
            f"{energies}, and no trajectory diverged{ends if self.num_failed else ''}."
        )

    def _remedy(self) -> str:
        """What may mend a run that must not be trusted."""
        if len(self.known) < len(self.quantities):
            return (
                "Sample with another seed; hold fixed what does not move then either."
            )
        if self.doubts == tuple(_doubts_of_failures(self)):
            return "Tighten --rtol, or hold fixed what leads to where solves fail."
        if self.shape is None:
            return "More draws or a longer warm-up may mend it."
        if self.shape > self.limit:
            return "Sample with chains (--sampler nuts, hmc or slice) instead."
        return "More draws may mend it."


def _apart(value: float, limit: float, digits: int) -> tuple[str, str]:
    """Two numbers that differ with as many digits, or more, as tell them apart."""
    while f"{value:.{digits}f}" == f"{limit:.{digits}f}":
        digits += 1
    return f"{value:.{digits}f}", f"{limit:.{digits}f}"


def _doubts_of_worst(rhat: Quantity, bulk: Quantity, tail: Quantity) -> list[str]:
    found = []
    if rhat.rhat > MAX_RHAT:
        value, limit = _apart(rhat.rhat, MAX_RHAT, 3)
        found.append(f"R-hat of {rhat.label} is {value} (above {limit.rstrip('0')})")
    for name, quantity, size in (("bulk", bulk, bulk.bulk), ("tail", tail, tail.tail)):
        if size < MIN_SIZE:
            found.append(
                f"the {name} effective size of {quantity.label} is {int(size)} "
                f"(below {MIN_SIZE})"
            )
    return found


def _doubts_of_unknown(found: Diagnosis) -> list[str]:
    """Of numbers without diagnostics: every free quantity should move, and be one."""
    unknown = [q for q in found.quantities if np.isnan(q.bulk)]
    still = [q.label for q in unknown if np.isfinite(q.mean)]
    lost = [q.label for q in unknown if not np.isfinite(q.mean)]
    doubts = []
    if lost:
        doubts.append(f"some draws of {named(lost)} are no finite numbers")
    if still:
        doubts.append(f"{named(still)} never moved")
    return doubts


def _doubts_of_failures(found: Diagnosis) -> list[str]:
    total = found.num_chains * found.num_draws
    if found.num_failed <= _FEW_FAILURES * total:
        return []
    return [
        f"{counted(found.num_failed, 'solve')} failed on the way to {total} draws, so "
        "the posterior is cut off where the model cannot be solved"
    ]


def _doubts_of_weights(found: Diagnosis) -> tuple[str, ...]:
    doubts = _doubts_of_unknown(found)
    if found.shape > found.limit:
        shape, limit = _apart(found.shape, found.limit, 2)
        doubts.append(
            f"the weights of the approximation have the shape {shape} (above {limit}), "
            "it is not near enough to the posterior"
        )
    least = min((q.bulk for q in found.known), default=np.inf)
    if least < MIN_SIZE:
        doubts.append(f"the weights are worth {int(least)} draws (below {MIN_SIZE})")
    return tuple(doubts + _doubts_of_failures(found))


def quantities(
    values: Float[np.ndarray, "chain draw component"], labels: tuple[str, ...]
) -> tuple[Quantity, ...]:
    """Each component's summary and diagnostics."""
    found = []
    for k, label in enumerate(labels):
        chains = values[..., k]
        ends = np.quantile(chains, [0.05, 0.5, 0.95]).tolist()
        numbers = (float(chains.mean()), float(chains.std(ddof=1)), *ends)
        sizes = rhat(chains), bulk_size(chains), tail_size(chains)
        found.append(Quantity(label, *numbers, *sizes))
    return tuple(found)


def diagnose(
    samples: Samples,
    values: Float[np.ndarray, "chain draw component"],
    labels: tuple[str, ...],
    max_depth: int | None = None,
) -> Diagnosis:
    """What a run is worth.

    Args:
        samples: all draws.
        values: of the draws, after any weighting.
        labels: of their components.
        max_depth: of trees, where the sampler grows trees.
    """
    draws, warmup = samples
    shape = None
    described = quantities(values, labels)
    if np.any(draws.log_weight != 0):
        smoothed = smooth_weights(draws.log_weight.reshape(-1))
        shape = smoothed.shape
        described = tuple(
            q._replace(
                rhat=np.nan,
                bulk=np.nan if np.isnan(q.bulk) else smoothed.effective,
                tail=np.nan,
            )
            for q in described
        )
    energies = shape is None and not np.any(np.isnan(draws.energy))
    deep = 0 if max_depth is None else int(np.sum(draws.depth >= max_depth))
    return Diagnosis(
        quantities=described,
        num_chains=draws.energy.shape[0],
        num_draws=draws.energy.shape[1],
        ebfmi=tuple(ebfmi(draws.energy).tolist()) if energies else (),
        num_diverging=int(np.sum(draws.diverging)),
        num_failed=int(np.sum(draws.num_failed)),
        num_failed_warmup=int(np.sum(warmup.num_failed)),
        num_deep=deep,
        num_solves=int(np.sum(draws.num_solves) + np.sum(warmup.num_solves)),
        shape=shape,
    )


def resampled(draws: Draw, seed: int) -> Draw:
    """Draws of an approximation drawn again by their smoothed weights, so that they
    are of the posterior; others as they are.
    """
    if not np.any(draws.log_weight != 0):
        return draws
    shape = draws.energy.shape
    weights = smooth_weights(draws.log_weight.reshape(-1)).weights
    rng = np.random.default_rng(seed)
    chosen = rng.choice(weights.size, size=weights.size, p=weights)

    def pick(leaf):
        flat = leaf.reshape(weights.size, *leaf.shape[2:])
        return flat[chosen].reshape(*shape, *leaf.shape[2:])

    return Draw(*(pick(leaf) for leaf in draws))._replace(log_weight=np.zeros(shape))
