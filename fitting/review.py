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
from .uncertainty import Estimate, band, directions, estimates, goodness

_NUM_POINTS = 201
CURVES = {
    "conductivity": "conductivity κ (S m$^{-1}$)",
    "diffusivity": "diffusivity D (m$^2$ s$^{-1}$)",
    "rate_constant": "rate constant k (m s$^{-1}$)",
}
"""Curves of a material that may be free, and what to call them on an axis."""


@eqx.filter_jit
def _run(electrode, forward):
    """The solution of the fitted electrode, and what it says of all events."""
    solution = diffelec.simulate(
        electrode,
        forward.protocol,
        rtol=forward.rtol,
        num_saved=forward.num_saved,
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
    quality = goodness(problem, fit)
    weak = [d for d in directions(space, fit) if not d.determined]
    return Report(
        title=title,
        events=setup.events,
        fitted=setup.fitted,
        predicted=predicted + moved,
        predicted_sd=_predicted_deviation(setup, fit),
        misfit=np.asarray(rows),
        bands=_bands(problem, fit, seed),
        parameters=tuple(_parameter(found) for found in estimates(space, fit)),
        trajectories=_trajectories(setup, solution, offset),
        recorded=(np.zeros(0), np.zeros(0))
        if recording is None
        else (recording.time, recording.voltage),
        chi_square=quality.chi_square,
        num_rows=quality.num_rows,
        degrees=quality.degrees,
        probability=quality.probability,
        undetermined=tuple(direction.name for direction in weak),
        remarks=space.remarks,
        statistics={
            "outcome": fit.message(),
            "starts": len(fit.starts),
            "distinct_optima": len(fit.optima),
            "solves": fit.num_evaluations,
            "failed_solves": fit.num_failed,
        },
        drive=setup.drive,
    )


def fitted_electrode(setup: Setup, fit: Fit) -> diffelec.Electrode:
    """The electrode at the optimum, with NumPy leaves."""
    space = setup.problem.space
    found = space.insert(setup.problem.electrode, space.constrain(jnp.asarray(fit.raw)))
    return jax.tree.map(np.asarray, found)


def _predicted_deviation(setup: Setup, fit: Fit) -> np.ndarray:
    """Standard deviation of the predicted times of rows with a time; 0 elsewhere [s].

    A row is (datum - prediction) / scale, so its slope is that of the prediction.
    """
    slopes = fit.slopes[: int(np.sum(setup.fitted))]  # a voltage's rows come after
    variance = np.einsum("ri,ij,rj->r", slopes, fit.covariance, slopes)
    scale = np.asarray(setup.problem.noise.scale)
    own = np.where(setup.problem.noise.exact, scale * np.sqrt(variance), 0.0)
    found = np.zeros(len(setup.events.kind))
    found[setup.fitted] = own
    return found


def _bands(problem, fit: Fit, seed: int) -> tuple[Band, ...]:
    """Conductivity and diffusivity, and the rate constant where it is free."""
    bands = []
    free = [part.name for part in problem.space.frees]
    for name, label in CURVES.items():
        if name == "rate_constant" and not any(name in part for part in free):
            continue
        curve = getattr(problem.electrode.curves, name)
        low, high = (float(np.clip(end, 0.0, 1.0)) for end in curve.valid_range)
        x = np.linspace(low, high, _NUM_POINTS)
        found = band(
            *(problem, fit),
            lambda electrode, x, name=name: getattr(electrode.curves, name)(x),
            x,
            seed=seed,
        )
        table = hasattr(curve, "log10_values")
        bands.append(
            Band(
                name=name,
                label=label,
                x=x,
                fitted=found.fitted,
                low=found.lower,
                high=found.upper,
                prior_low=found.prior_lower,
                prior_high=found.prior_upper,
                before=np.asarray(curve(x)),
                knots=np.asarray(curve.knots) if table else np.zeros(0),
                values=10.0 ** np.asarray(curve.log10_values) if table else np.zeros(0),
                source=curve.source,
            )
        )
    return tuple(bands)


def _parameter(found: Estimate) -> Parameter:
    return Parameter(
        label=found.label,
        value=found.value,
        sd=found.sd,
        low=found.lower,
        high=found.upper,
        prior_sd=found.sd_prior,
        determined=found.determined,
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
