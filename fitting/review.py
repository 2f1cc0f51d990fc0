"""What a fit found: bands of curves, deviations, what the data did not determine.

Turns a `Setup` and its `Fit` into a `Report`. The bands are those of the normal law
that the rows' slopes give at the optimum (Laplace's approximation).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffelec

from .noise import EventNoise
from .optimise import Fit
from .report import Band, Parameter, Report, Trajectories
from .setup import Setup

_NUM_DRAWS = 400
_NUM_POINTS = 201
_NUM_SAVED = 401
_LEAST_SHARE = 0.5  # of a number's information that must come from the data
_QUANTILES = (0.025, 0.975)
_LABELS = {
    "conductivity": "conductivity κ (S m$^{-1}$)",
    "diffusivity": "diffusivity D (m$^2$ s$^{-1}$)",
    "rate_constant": "rate constant k (m s$^{-1}$)",
}


@eqx.filter_jit
def _run(electrode, forward):
    """The solution of the fitted electrode, and what it says of all events."""
    solution = diffelec.simulate(
        electrode,
        forward.protocol,
        rtol=forward.rtol,
        num_saved=_NUM_SAVED,
        throw=False,
    )
    return solution, forward.observe(solution)


def review(setup: Setup, fit: Fit, title: str, seed: int) -> Report:
    """The report of a fit.

    Args:
        setup: what was fitted.
        fit: the optimum.
        title: of the report.
        seed: of the draws that make bands.

    Raises:
        SimulationError: where the model fails at the optimum.
    """
    problem, space = setup.problem, setup.problem.space
    values = space.constrain(jnp.asarray(fit.raw))
    electrode = space.insert(problem.electrode, values)
    solution, prediction = _run(electrode, setup.forward)
    if bool(prediction.failed):
        raise diffelec.SimulationError(
            f"The model fails at the best values found: {solution.message()}"
        )
    offset = float(space.clock_offset(values))
    predicted = np.asarray(prediction.times)
    moved = np.where(setup.events.is_duration, 0.0, offset)
    noise = problem.noise
    rows = EventNoise.of(
        setup.events,
        noise.scatter,
        discrepancy=float(noise.discrepancy),
        edge_sd=float(noise.edge_sd),
    ).residual(predicted, offset)
    recording = setup.recording
    parameters = _parameters(problem, fit)
    return Report(
        title=title,
        events=setup.events,
        fitted=setup.fitted,
        predicted=predicted + moved,
        predicted_sd=_predicted_deviation(setup, fit),
        misfit=np.asarray(rows),
        bands=_bands(problem, electrode, fit, seed),
        parameters=parameters,
        trajectories=_trajectories(setup, solution, offset),
        recorded=(np.zeros(0), np.zeros(0))
        if recording is None
        else (recording.time, recording.voltage),
        chi_square=float(np.sum(fit.residual**2)),
        degrees=_degrees(fit),
        undetermined=tuple(p.label for p in parameters if p.share < _LEAST_SHARE),
        remarks=space.remarks,
        statistics={
            "outcome": fit.message(),
            "starts": len(fit.starts),
            "distinct_optima": len(fit.optima),
            "solves": fit.num_evaluations,
            "failed_solves": fit.num_failed,
        },
    )


def fitted_electrode(setup: Setup, fit: Fit) -> diffelec.Electrode:
    """The electrode at the optimum, with NumPy leaves."""
    space = setup.problem.space
    found = space.insert(setup.problem.electrode, space.constrain(jnp.asarray(fit.raw)))
    return jax.tree.map(np.asarray, found)


def _degrees(fit: Fit) -> float:
    """Number of rows less the number of parameters that they determine."""
    leverage = np.trace(fit.slopes @ fit.covariance @ fit.slopes.T)
    return float(len(fit.residual) - leverage)


def _predicted_deviation(setup: Setup, fit: Fit) -> np.ndarray:
    """Standard deviation of the predicted times of rows with a time; 0 elsewhere [s].

    A row is (datum - prediction) / scale, so its slope is that of the prediction.
    """
    variance = np.einsum("ri,ij,rj->r", fit.slopes, fit.covariance, fit.slopes)
    scale = np.asarray(setup.problem.noise.scale)
    own = np.where(setup.problem.noise.exact, scale * np.sqrt(variance), 0.0)
    found = np.zeros(len(setup.events.kind))
    found[setup.fitted] = own
    return found


@eqx.filter_jit
def _curves(problem, raws, x):
    """Curves of raw numbers (draw, component) at x: {name: (draw, point)}."""

    def one(raw):
        space = problem.space
        curves = space.insert(problem.electrode, space.constrain(raw)).curves
        return {name: getattr(curves, name)(x) for name in _LABELS}

    return jax.lax.map(one, raws)


def _bands(problem, electrode, fit: Fit, seed: int) -> tuple[Band, ...]:
    """Conductivity and diffusivity, and the rate constant where it is free."""
    rng = np.random.default_rng(seed)
    draws = rng.multivariate_normal(fit.raw, fit.covariance, _NUM_DRAWS)
    before = problem.electrode.curves
    bands = []
    for name, label in _LABELS.items():
        curve = getattr(before, name)
        low, high = (float(np.clip(end, 0.0, 1.0)) for end in curve.valid_range)
        x = np.linspace(low, high, _NUM_POINTS)
        drawn = np.asarray(_curves(problem, jnp.asarray(draws), jnp.asarray(x))[name])
        if name == "rate_constant" and np.ptp(drawn) == 0:
            continue
        lower, upper = np.quantile(drawn, _QUANTILES, axis=0)
        table = hasattr(curve, "log10_values")
        bands.append(
            Band(
                name=name,
                label=label,
                x=x,
                fitted=np.asarray(getattr(electrode.curves, name)(x)),
                low=lower,
                high=upper,
                before=np.asarray(curve(x)),
                knots=np.asarray(curve.knots) if table else np.zeros(0),
                values=10.0 ** np.asarray(curve.log10_values) if table else np.zeros(0),
                source=curve.source,
            )
        )
    return tuple(bands)


def _parameters(problem, fit: Fit) -> tuple[Parameter, ...]:
    """Values and deviations of all components, by the slopes of their map."""
    space = problem.space
    flat = lambda raw: space.flatten(space.constrain(raw))
    values = np.asarray(flat(jnp.asarray(fit.raw)))
    slopes = np.asarray(jax.jacfwd(flat)(jnp.asarray(fit.raw)))
    sds = np.sqrt(np.einsum("vi,ij,vj->v", slopes, fit.covariance, slopes))
    priors = np.linalg.norm(slopes, axis=1)
    return tuple(
        Parameter(label, float(v), float(s), float(p), float(1 - (s / p) ** 2))
        for label, v, s, p in zip(space.labels, values, sds, priors, strict=True)
    )


def _trajectories(setup: Setup, solution, offset: float) -> Trajectories:
    """The run on the events' clock, of the particles of the table."""
    labels = solution.topology.particle_labels
    columns = [labels.index(label) for label in setup.events.particles]
    origin = setup.forward.origin
    if origin is None:
        origin = -float(solution.half_cycle_span(setup.forward.half_cycle)[0])
    return Trajectories(
        time=np.asarray(solution.time) + origin + offset,
        voltage=np.asarray(solution.voltage),
        current=np.asarray(solution.current),
        labels=setup.events.particles,
        mean=np.asarray(solution.stoichiometry)[:, columns],
        surface=np.asarray(solution.surface_stoichiometry)[:, columns],
    )
