"""What a fit found: bands of curves, deviations, what the data did not determine.

Turns a `Setup` and its `Fit` into a `Report`. The bands are those of the normal law
that the rows' slopes give at the optimum (Laplace's approximation).
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffelec

from .ends import clock_offset, ends_in, within
from .optimise import Fit
from .report import Band, Brightness, Half, Parameter, Report, Trajectories
from .setup import Setup
from .uncertainty import Estimate, band, directions, estimates, goodness

_NUM_POINTS = 201
_CURVES = {
    "conductivity": "conductivity κ (S m$^{-1}$)",
    "diffusivity": "diffusivity D (m$^2$ s$^{-1}$)",
    "rate_constant": "rate constant k (m s$^{-1}$)",
}


@eqx.filter_jit
def _observed(forward, solution):
    return forward.observe(solution)


@eqx.filter_jit
def _residual(noise, predicted, offset):
    return noise.residual(predicted, offset)


def _misfits(noise, predicted, offset: float) -> np.ndarray:
    """How many standard deviations off each event is, as `Report.misfit` says."""
    bounded = np.abs(_residual(noise, predicted, offset))
    return np.where(noise.exact, noise.scores(predicted, offset), bounded)


@eqx.filter_jit
def _row_slopes(noise, predicted, offset):
    """Of each row along its own predicted time, as the fit's slopes are meant."""
    total = lambda times: jnp.sum(noise.informing(times, offset))
    return jax.grad(total)(predicted)


@eqx.filter_jit
def _on_grid(curve, x):
    return curve(x)


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
    solution = setup.forward.solve(fitted_electrode(setup, fit))
    prediction = _observed(setup.forward, solution)
    if bool(prediction.failed):
        raise diffelec.SimulationError(
            f"The model fails at the best values found: {solution.message()}"
        )
    offset = clock_offset(space, fit.raw)
    moved = np.where(setup.events.is_duration, 0.0, offset)
    halves = set(setup.forward.half_cycles)
    spans = {h: solution.half_cycle_span(h) for h in halves}
    ends = ends_in(setup.forward, spans, offset)
    noise = problem.noise.over(setup.events)
    quality = goodness(problem, fit)
    weak = [d for d in directions(space, fit) if not d.determined]
    return Report(
        title=title,
        events=setup.events,
        fitted=setup.fitted,
        predicted=within(np.asarray(prediction.stated) + moved, ends),
        predicted_sd=_predicted_deviation(setup, fit, offset),
        ends=ends,
        misfit=_misfits(noise, prediction.times, offset),
        bands=_bands(problem, fit, seed),
        parameters=tuple(_parameter(found) for found in estimates(space, fit)),
        trajectories=_trajectories(setup, solution, offset),
        recorded=_recorded(setup.recording, offset),
        chi_square=quality.chi_square,
        num_rows=quality.num_rows,
        degrees=quality.degrees,
        probability=quality.probability,
        undetermined=tuple(direction.name for direction in weak),
        remarks=space.remarks,
        statistics=_statistics(fit),
        drive=setup.drive,
        brightness=brightness_of(setup, fit, offset),
    )


def _recorded(recording, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Instants on the events' clock [s] and voltages [V], empty without a recording."""
    if recording is None:
        return np.zeros(0), np.zeros(0)
    return recording.time + offset, recording.voltage


def brightness_of(setup: Setup, fit: Fit, offset: float) -> Brightness | None:
    """Measured and fitted traces; None without."""
    if setup.seen is None:
        return None
    noise, predicted = setup.problem.intensities, fit.prediction
    course = jnp.asarray(predicted.instants), jnp.asarray(predicted.course)
    found = noise.match(*course, offset)
    return Brightness(
        labels=setup.seen.labels,
        time=setup.seen.middle,
        measured=np.where(noise.weight > 0, noise.value, np.nan),
        fitted=np.asarray(found.fitted),
        chi_square=np.asarray(jnp.sum(found.rows**2, axis=1)),
    )


def _statistics(fit: Fit) -> dict:
    """Counts of the search."""
    return {
        "outcome": fit.message(),
        "settled": fit.settled,
        "starts": len(fit.starts),
        "distinct_optima": len(fit.optima),
        "solves": fit.num_evaluations,
        "failed_solves": fit.num_failed,
    }


def fitted_electrode(setup: Setup, fit: Fit) -> diffelec.Electrode:
    """The electrode at the optimum, with NumPy leaves."""
    found = _inserted(setup.problem, jnp.asarray(fit.raw))
    return jax.tree.map(np.asarray, found)


@eqx.filter_jit
def _inserted(problem, raw):
    return problem.space.insert(problem.electrode, problem.space.constrain(raw))


def _predicted_deviation(setup: Setup, fit: Fit, offset: float) -> np.ndarray:
    """Standard deviation of the predicted times of rows with a time or two bounds; 0
    elsewhere [s].

    A row is a function of its prediction, so its slope over the slope of that function
    is the slope of the prediction.
    """
    noise = setup.problem.noise
    slopes = fit.slopes[: int(np.sum(setup.fitted))]  # a voltage's rows come after
    variance = np.einsum("ri,ij,rj->r", slopes, fit.covariance, slopes)
    along = _row_slopes(noise, jnp.asarray(fit.prediction.times), jnp.asarray(offset))
    told = np.asarray(noise.exact | noise.closed)
    own = np.where(told, np.sqrt(variance) / np.where(told, np.abs(along), 1.0), 0.0)
    found = np.zeros(len(setup.events.kind))
    found[setup.fitted] = own
    return found


def curve_bands(problem, num_points: int, found: Callable) -> tuple[Band, ...]:
    """Bands of conductivity and diffusivity, and of the rate constant where it is free.

    Args:
        problem: whose curves are meant.
        num_points: of each.
        found: (name, stoichiometries) to the curve, the ends of its band and the ends
            of the prior's band.
    """
    bands = []
    free = [part.name for part in problem.space.frees]
    for name, label in _CURVES.items():
        if name == "rate_constant" and not any(name in part for part in free):
            continue
        curve = getattr(problem.electrode.curves, name)
        low, high = (float(np.clip(end, 0.0, 1.0)) for end in curve.valid_range)
        x = np.linspace(low, high, num_points)
        table = hasattr(curve, "log10_values")
        bands.append(
            Band(
                *(name, label, x, *found(name, x)),
                before=np.asarray(_on_grid(curve, x)),
                knots=np.asarray(curve.knots) if table else np.zeros(0),
                values=10.0 ** np.asarray(curve.log10_values) if table else np.zeros(0),
                source=curve.source,
            )
        )
    return tuple(bands)


def _bands(problem, fit: Fit, seed: int) -> tuple[Band, ...]:
    """Fitted curves with their 95 % bands."""

    def found(name, x):
        curve = lambda electrode, x: getattr(electrode.curves, name)(x)
        own = band(problem, fit, curve, x, seed=seed)
        return own.fitted, own.lower, own.upper, own.prior_lower, own.prior_upper

    return curve_bands(problem, _NUM_POINTS, found)


def _parameter(found: Estimate) -> Parameter:
    return Parameter(
        label=found.label,
        value=found.value,
        sd=found.sd,
        low=found.lower,
        high=found.upper,
        prior_sd=found.sd_prior,
        share=found.share,
        determined=found.determined,
    )


def _trajectories(setup: Setup, solution, offset: float) -> Trajectories:
    """The run on the events' clock, of the particles of the table."""
    labels = solution.topology.particle_labels
    columns = [labels.index(label) for label in setup.events.particles]
    forward = setup.forward
    begins = lambda number: float(solution.half_cycle_span(number)[0])
    own_clocks = forward.origin is None
    origin = -begins(forward.half_cycle) if own_clocks else forward.origin
    rows = np.stack([solution.time, solution.voltage, solution.current], axis=1)
    # What is saved of the whole and of a half cycle meets; a leap has one instant too.
    new = np.append(True, np.any(np.diff(rows, axis=0) != 0, axis=1))
    time, voltage, current = rows[new].T
    clock = origin + offset
    halves = {
        number: Half(
            *(begins(number) + clock, leaves),
            zero=begins(number) + origin if own_clocks else 0.0,
        )
        for number, leaves in zip(forward.half_cycles, forward.delithiates, strict=True)
    }
    return Trajectories(
        time=time + clock,
        voltage=voltage,
        current=current,
        labels=setup.events.particles,
        mean=np.asarray(solution.stoichiometry)[new][:, columns],
        surface=np.asarray(solution.surface_stoichiometry)[new][:, columns],
        half_cycle=forward.half_cycle,
        halves=halves,
    )
