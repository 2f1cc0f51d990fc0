"""What a fit found, as plain numbers: what figures draw and the summary states."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .events import Events


class Band(NamedTuple):
    """A fitted material curve over stoichiometry, in SI.

    Attributes:
        name: of the curve ("conductivity").
        label: with symbol and unit, for an axis.
        x: stoichiometries (point,).
        fitted: the curve (point,).
        low, high: of the 95 % band (point,).
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
        prior_sd: standard deviation before the data.
        share: of its information that comes from the data, 0 to 1.
    """

    label: str
    value: float
    sd: float
    prior_sd: float
    share: float


class Trajectories(NamedTuple):
    """The fitted model's run, on the events' clock.

    Attributes:
        time: saved instants [s].
        voltage: of the model's cell [V].
        current: of the model's cell [A].
        labels: of the particles of the table of events.
        mean, surface: stoichiometries (time, particle).
    """

    time: Float[np.ndarray, " time"]
    voltage: Float[np.ndarray, " time"]
    current: Float[np.ndarray, " time"]
    labels: tuple[str, ...]
    mean: Float[np.ndarray, "time particle"]
    surface: Float[np.ndarray, "time particle"]


class Report(NamedTuple):
    """A fit.

    Attributes:
        title: what was fitted.
        events: measured.
        predicted: times of the events [s].
        predicted_sd: what the parameters' uncertainty makes of it [s].
        misfit: standardised rows, one an event.
        bands: of the material curves.
        parameters: in the order of the fit.
        trajectories: of the fitted model.
        recorded: instants [s] and voltages [V] of the cell, empty where not recorded.
        driven_by_voltage: whether the recorded voltage drove the model.
        chi_square: of the data, and `degrees` of freedom.
        undetermined: sentences naming directions that the data do not determine.
        remarks: what can be identified at all.
        statistics: counts of the search (starts, evaluations, failed solves).
    """

    title: str
    events: Events
    predicted: Float[np.ndarray, " event"]
    predicted_sd: Float[np.ndarray, " event"]
    misfit: Float[np.ndarray, " event"]
    bands: tuple[Band, ...]
    parameters: tuple[Parameter, ...]
    trajectories: Trajectories
    recorded: tuple[np.ndarray, np.ndarray]
    driven_by_voltage: bool
    chi_square: float
    degrees: float
    undetermined: tuple[str, ...]
    remarks: tuple[str, ...]
    statistics: dict
