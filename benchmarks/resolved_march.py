"""Time integration of the resolved model: Rodas4P2 with sparse factors."""

import dataclasses
import time

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from diffelec.solver.tableaus import RODAS4P2

_SAFETY, _LARGEST, _SMALLEST = 0.85, 4.0, 0.2


def _factors(matrix):
    """Sparse factors of a matrix with a symmetric pattern and a strong diagonal."""
    return splu(
        matrix,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=1e-3,
        options={"SymmetricMode": True},
    )


def consistent(system, y) -> np.ndarray:
    """Newton's method on the potentials, lithium as it is; steps of 0.1 V at most."""
    y, n = y.copy(), system.num_nodes
    for _ in range(200):
        force = system.residual(y)[n:]
        step = _factors(system.jacobian(y)[n:, n:].tocsc()).solve(-force)
        y[n:] += step * min(1.0, 0.1 / np.max(np.abs(step)))
        if np.max(np.abs(step)) < 1e-11:
            return y
    raise RuntimeError("The potentials at the start did not converge in 200 steps.")


def _step(system, y, step):
    """(new state, error estimate) of one step."""
    tableau = RODAS4P2
    shift = sparse.diags_array(system.mass / (step * tableau.gamma))
    solve = _factors((shift - system.jacobian(y)).tocsc()).solve
    stages = []
    for i in range(tableau.num_stages):
        ahead = y + sum(a * u for a, u in zip(tableau.a[i], stages, strict=False))
        memory = sum(c * u for c, u in zip(tableau.c_matrix[i], stages, strict=False))
        stages.append(solve(system.residual(ahead) + system.mass * memory / step))
    # The last row of `a` with the last stage: see `diffelec.solver.tableaus`.
    return ahead + stages[-1], stages[-1]


def _norm(system, error, y, rtol) -> float:
    """The largest of each body's RMS, its surface's RMS and the potentials' RMS."""
    n = system.num_nodes
    scaled = (error / (rtol * (0.1 + np.abs(y)))) ** 2
    count = len(system.bodies)
    outer = system.body_of[system.outer]
    groups = [
        np.bincount(system.body_of, scaled[:n]) / np.bincount(system.body_of),
        np.bincount(outer, scaled[system.outer]) / np.bincount(outer, minlength=count),
        [np.mean(scaled[n:]), scaled[-1]],
    ]
    return float(np.sqrt(np.max(np.concatenate(groups))))


@dataclasses.dataclass
class March:
    """What came of a run: watched quantities by accepted step, and snapshots."""

    times: np.ndarray  # (step,) s
    seen: dict[str, np.ndarray]  # (step, body) or (step,)
    snapshots: dict[tuple[int, float], tuple[float, np.ndarray]]  # see `charge`
    rejected: int
    wall: float  # s

    def crossing(self, body: int, change: float, name: str = "mean") -> float:
        """When a quantity has fallen by `change` [s]; means by Hermite cubics."""
        values = self.seen[name][:, body]
        return self.falls_below(body, values[0] - change, name)

    def falls_below(self, body: int, level: float, name: str = "mean") -> float:
        """When a quantity first falls below a level [s], inf where never."""
        values = self.seen[name][:, body]
        under = np.flatnonzero((values[1:] <= level) & (values[:-1] > level))
        if under.size == 0:
            return float("inf")
        k = under[0]
        (a, b), (start, end) = values[k : k + 2], self.times[k : k + 2]
        if name != "mean":
            return float(start + (end - start) * (a - level) / (a - b))
        slope, after = self.seen["rate"][k : k + 2, body] * (end - start)
        # s from 0 to 1: the cubic with these values and slopes
        cubic = [2 * (a - b) + slope + after, 3 * (b - a) - 2 * slope - after, slope, a]
        s = np.linspace(0.0, 1.0, 2001)
        first = np.argmax(np.polyval(cubic, s) <= level)
        return float(start + (end - start) * s[max(first, 1)])


def charge(system, limit: float, rtol: float, snapshots=(), meter=None) -> March:
    """Integrates from the uniform start until phi_c reaches a limit [V].

    The last step is shortened until phi_c is within 1e-6 V of it. `snapshots`: pairs
    (body, change); kept is the first accepted (time, state) at which that body's mean
    has fallen by the change. `meter(time, state, steps)` is called after every step.
    """
    began = time.perf_counter()
    y = consistent(system, system.start())
    now, step, rejected = 0.0, 1e-3, 0
    times, seen, kept = [now], [system.watched(y)], {}
    while y[-1] < limit - 1e-6:
        with np.errstate(all="ignore"):
            new, error = _step(system, y, step)
            size = _norm(system, error, new, rtol)
        if not np.isfinite(size) or size > 1.0:
            rejected += 1
            shrink = _SAFETY * size**-0.25 if np.isfinite(size) else 0.0
            step *= max(shrink, _SMALLEST)
            if step < 1e-9:
                raise RuntimeError(f"The step fell below 1e-9 s at {now:g} s.")
            continue
        if new[-1] > limit + 1e-6:
            step *= np.clip((limit - y[-1]) / (new[-1] - y[-1]), 0.05, 0.999)
            continue
        now, y = now + step, new
        step *= np.clip(_SAFETY * max(size, 1e-8) ** -0.25, _SMALLEST, _LARGEST)
        times.append(now)
        seen.append(system.watched(y))
        for body, change in snapshots:
            if seen[0]["mean"][body] - seen[-1]["mean"][body] >= change:
                kept.setdefault((body, change), (now, y))
        if meter:
            meter(now, y, len(times))
    columns = {name: np.stack([s[name] for s in seen]) for name in seen[0]}
    wall = time.perf_counter() - began
    return March(np.array(times), columns, kept, rejected, wall)
