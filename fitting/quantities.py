"""What a sweep varies: factors on an electrode's values, or the values themselves.

To add a quantity, add one entry to `QUANTITIES`.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import diffelec
from diffelec.constants import COLDEST

from . import parameters
from .parameters import Free, ParameterSpace
from .priors import AbstractPrior, Independent
from .sheets import is_plain

_CURRENT = "current"


class Quantity(NamedTuple):
    """Something a sweep may vary.

    Attributes:
        free: of its prior.
        is_factor: a range is of factors, spread evenly in their logarithm; otherwise of
            values.
        below: what values must lie below.
        least: the lowest value; None for any above 0.
        remedy: for values that are not.
        curve: that a factor raises as a whole; empty for what is no curve.
        is_of_uncut: edges within particles that are cut into sites depend on it, in
            ways that a factor does not reach.
    """

    free: Callable[[AbstractPrior], Free]
    is_factor: bool = True
    below: float = math.inf
    least: float | None = None
    remedy: str = ""
    curve: str = ""
    is_of_uncut: bool = False


class Range(NamedTuple):
    """Where a quantity is varied.

    Attributes:
        name: of `QUANTITIES`.
        low, high: ends, as factors or in its unit.
        count: values of a grid; None for draws.
    """

    name: str
    low: float
    high: float
    count: int | None = None


def _curve(name: str) -> Quantity:
    """A factor on a whole curve."""
    return Quantity(lambda prior: parameters.curve_scale(name, prior), curve=name)


def _factor(name: str, where, *, is_of_uncut: bool = False) -> Quantity:
    """A factor on a whole leaf."""
    law = lambda values, old: jnp.asarray(old) * 10.0 ** values[0]
    free = lambda prior: Free(name, prior, where, law, unit="decades")
    return Quantity(free, is_of_uncut=is_of_uncut)


def _value(name: str, where, unit: str, **ends) -> Quantity:
    """One value for a whole leaf."""
    law = lambda values, old: jnp.full(jnp.shape(old), values[0])
    free = lambda prior: Free(name, prior, where, law, unit=unit)
    return Quantity(free, is_factor=False, **ends)


def _contact_radius(prior: AbstractPrior) -> Free:
    """A factor on the radius of all contacts."""

    def law(values, network):
        shapes = lambda n: (n.shape_tail, n.shape_head)
        scaled = [jnp.asarray(s) * 10.0 ** -values[0] for s in shapes(network)]
        return eqx.tree_at(shapes, network, scaled)

    where = lambda electrode: electrode.network
    return Free("contact radius", prior, where, law, unit="decades")


QUANTITIES = {
    "conductivity": _curve("conductivity"),
    "diffusivity": _curve("diffusivity"),
    "exchange-current": _curve("rate_constant"),
    "contact-radius": Quantity(_contact_radius, is_of_uncut=True),
    "radius": _factor("radius", lambda e: e.radius, is_of_uncut=True),
    _CURRENT: _factor(_CURRENT, lambda e: e.one_c_range),
    "initial-stoichiometry": _value(
        "initial stoichiometry", lambda e: e.initial_stoichiometry, "1", below=1.0
    ),
    "temperature": _value(
        "temperature",
        lambda e: e.temperature,
        "K",
        least=COLDEST,
        remedy="; add 273.15 to a value in °C",
    ),
    "series-resistance": _value(
        "series resistance",
        lambda e: e.series_resistance,
        "ohm",
        least=0.0,
    ),
}


def parsed(text: str) -> Range:
    """The range that a person wrote: "NAME=LOW:HIGH" or "NAME=LOW:HIGH:COUNT".

    Raises:
        ValueError: naming what is wrong in it.
    """
    name, _, ends = text.partition("=")
    form = (
        "NAME=LOW:HIGH, or NAME=LOW:HIGH:COUNT for a grid, such as diffusivity=0.1:10"
    )
    if name not in QUANTITIES:
        raise ValueError(
            f"What varies must be among {', '.join(QUANTITIES)}, but '{text}' names "
            f"'{name}'; write {form}."
        )
    parts = ends.split(":") if is_plain(ends) else []
    try:
        low, high = float(parts[0]), float(parts[1])
        count = int(parts[2]) if len(parts) == 3 else None
    except (ValueError, IndexError):
        parts = []
    if len(parts) not in (2, 3):
        raise ValueError(f"A range must be {form}, but is '{text}'.")
    found = Range(name, low, high, count)
    _check(found, text)
    return found


def _check(one: Range, text: str) -> None:
    """Refuses ends and counts that cannot be."""
    if not -math.inf < one.low <= one.high < math.inf:
        raise ValueError(
            f"The ends of a range must be numbers, the lower one first, but are "
            f"{one.low:g} and {one.high:g} in '{text}'."
        )
    quantity = QUANTITIES[one.name]
    least = quantity.least
    begins = one.low > 0 if least is None else one.low >= least
    if not begins or one.high >= quantity.below:
        kind = "factors on" if quantity.is_factor else "values of"
        bounds = "positive" if least is None else f"{least:g} or more"
        bounds += f" and below {quantity.below:g}" if quantity.below < math.inf else ""
        raise ValueError(
            f"The {kind} '{one.name}' must be {bounds}, but '{text}' goes from "
            f"{one.low:g} to {one.high:g}{quantity.remedy}."
        )
    if one.count is not None and one.count < 1:
        raise ValueError(f"A grid must have 1 value or more, but '{text}' asks none.")
    if one.count is None and one.low == one.high:
        raise ValueError(
            f"Draws need a range with two ends, but '{text}' has one; write another "
            "end, or change the electrode."
        )


def check_rates(space: ParameterSpace, protocol: diffelec.Protocol) -> None:
    """Refuses a protocol that a factor on the current, if it varies, does not reach:
    it is one on the 1C current, of which C-rates are multiples.

    Raises:
        ValueError: naming the first step in amperes or watts; for no step at a C-rate.
    """
    if _CURRENT not in [free.name for free in space.frees]:
        return
    rows = protocol.rows
    given = np.abs([rows.current, rows.weight_power, rows.least_current])
    fixed = given.sum(axis=0) + rows.weight_current * rows.follow > 0
    due = f"Where '{_CURRENT}' varies, a protocol's currents must be C-rates"
    if np.any(fixed):
        k = int(np.argmax(fixed))
        raise ValueError(
            f"{due}, which it is a factor on, but step {k + 1} "
            f"('{protocol.texts[k]}') has one in amperes or watts; write such as C/10."
        )
    if not np.any(np.abs([rows.current_rate, rows.least_rate]) > 0):
        raise ValueError(
            f"{due}, which it is a factor on, but it has none; write such as C/10."
        )


def ends_of(one: Range) -> tuple[float, float]:
    """Ends in what the `Free` counts in: decades for factors."""
    if QUANTITIES[one.name].is_factor:
        return math.log10(one.low), math.log10(one.high)
    return one.low, one.high


def free_of(one: Range) -> Free:
    """The quantity, even over its range."""
    low, high = ends_of(one)
    width = high - low if high > low else 1.0  # a grid of one value draws none
    prior = Independent(dist.Uniform(low, low + width))
    return QUANTITIES[one.name].free(prior)
