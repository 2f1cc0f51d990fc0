"""What a fit found, as plain numbers: what figures draw and the summary states."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from .events import Events


class Band(NamedTuple):
    """A fitted material curve over stoichiometry, in SI.

    Attributes:
        name: of the curve ("conductivity").
        label: with symbol and unit, for an axis.
        x: stoichiometries (point,).
        fitted: the curve (point,).
        low, high: of the 95 % band (point,).
        prior_low, prior_high: of the band before the data (point,).
        before: the curve that the fit began from (point,).
        knots, values: of the literature table, empty where there is none.
        source: of the literature curve.
    """

    name: str
    label: str
    x: np.ndarray
    fitted: np.ndarray
    low: np.ndarray
    high: np.ndarray
    prior_low: np.ndarray
    prior_high: np.ndarray
    before: np.ndarray
    knots: np.ndarray
    values: np.ndarray
    source: str


class Parameter(NamedTuple):
    """A fitted number and how far the data tell it.

    Attributes:
        label: with its unit.
        value: fitted.
        sd: standard deviation, of data and prior.
        low, high: of the 95 % interval.
        prior_sd: standard deviation before the data, at the prior's middle.
        share: of the prior's standard deviation that is left, on the scale of the fit.
        determined: whether the data halve its variance, at least.
    """

    label: str
    value: float
    sd: float
    low: float
    high: float
    prior_sd: float
    share: float
    determined: bool


class Half(NamedTuple):
    """A half cycle with events, on the clock of the run.

    Attributes:
        start: [s].
        leaves: whether lithium leaves in it.
        zero: what that clock reads where that of its events reads 0 [s]; 0 unless
            each half cycle has a clock of its own.
    """

    start: float
    leaves: bool
    zero: float = 0.0


class Trajectories(NamedTuple):
    """The fitted model's run, on the clock of the events of `half_cycle`.

    Attributes:
        time: saved instants [s].
        voltage: of the model's cell [V].
        current: of the model's cell [A].
        labels: of the particles of the table of events.
        mean, surface: stoichiometries (time, particle).
        half_cycle: that events are of which name none.
        halves: those with events, by their numbers.
    """

    time: Float[np.ndarray, " time"]
    voltage: Float[np.ndarray, " time"]
    current: Float[np.ndarray, " time"]
    labels: tuple[str, ...]
    mean: Float[np.ndarray, "time particle"]
    surface: Float[np.ndarray, "time particle"]
    half_cycle: int
    halves: dict[int, Half]


class Brightness(NamedTuple):
    """Whole traces that were fitted, in units of each one's range about its mean.

    Attributes:
        labels: of the particles.
        time: middles of the bins, on the events' clock [s] (bin,).
        measured: NaN where nothing was seen (particle, bin).
        fitted: with the best level and gain (particle, bin).
        chi_square: of each particle's bins (particle,).
    """

    labels: tuple[str, ...]
    time: Float[np.ndarray, " bin"]
    measured: Float[np.ndarray, "particle bin"]
    fitted: Float[np.ndarray, "particle bin"]
    chi_square: Float[np.ndarray, " particle"]

    @property
    def rms(self) -> Float[np.ndarray, " particle"]:
        """Root mean square of fitted less measured (particle,)."""
        return np.sqrt(np.nanmean((self.fitted - self.measured) ** 2, axis=1))


class Report(NamedTuple):
    """A fit.

    Attributes:
        title: what was fitted.
        events: measured.
        fitted: events that were fitted; the others were predicted only.
        predicted: times of the events, infinite where beyond `ends` [s].
        predicted_sd: what the parameters' uncertainty makes of it [s], 0 of events with
            a bound on one side only.
        ends: the latest time that each event can have within its half cycle [s].
        misfit: how far off each event is, in standard deviations: of a time so many as
            are as improbable under the normal law, above 0 where it was measured later
            than predicted; of bounds sqrt(2 ln(p / q)) with their probability q and
            that of the best prediction, p: 0 amid an interval, and far beyond a bound
            on one side.
        bands: of the material curves.
        parameters: in the order of the fit.
        trajectories: of the fitted model.
        recorded: instants on the events' clock [s] and voltages [V] of the cell; empty
            where none are known.
        chi_square: of the `num_rows` fitted events that have a time, and other data.
        degrees: of freedom left in them.
        probability: of a larger chi-square, NaN where none are left.
        undetermined: directions in which the prior says more than the data.
        remarks: what can be identified at all.
        statistics: of the search: its outcome, whether it settled, counts (starts,
            evaluations, failed solves).
        drive: of the model, "voltage", "current" or "protocol".
        brightness: whole traces that were fitted; None where only times were.
    """

    title: str
    events: Events
    fitted: Bool[np.ndarray, " event"]
    predicted: Float[np.ndarray, " event"]
    predicted_sd: Float[np.ndarray, " event"]
    ends: Float[np.ndarray, " event"]
    misfit: Float[np.ndarray, " event"]
    bands: tuple[Band, ...]
    parameters: tuple[Parameter, ...]
    trajectories: Trajectories
    recorded: tuple[np.ndarray, np.ndarray]
    chi_square: float
    num_rows: int
    degrees: float
    probability: float
    undetermined: tuple[str, ...]
    remarks: tuple[str, ...]
    statistics: dict
    drive: str = "voltage"
    brightness: Brightness | None = None

    @property
    def _zeros(self) -> Float[np.ndarray, " event"]:
        """What the clock of the run reads where that of each event reads 0 [s]."""
        run = self.trajectories
        numbers = self.events.half_cycles(run.half_cycle)
        return np.array([run.halves[number].zero for number in numbers])

    @property
    def placed(self) -> Events:
        """The events, on the clock of the run."""
        return self.events.shift(self._zeros)

    @property
    def when(self) -> Float[np.ndarray, " event"]:
        """Predicted times of all but durations, on the clock of the run [s]."""
        return self.predicted + self._zeros
