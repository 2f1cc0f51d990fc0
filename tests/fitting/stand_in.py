"""A forward model in closed form, for tests in which the simulation is not the point.

An onset comes later through a smaller contact, and a jump lasts longer where D is
small: T = 9 h - 3 h (log10 a + log10 kappa), duration = 0.5 h 10^(-d / 2).
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from fitting.events import Event, Events
from fitting.noise import EventNoise
from fitting.parameters import Free, ParameterSpace, clock
from fitting.priors import Independent, smooth
from fitting.problem import AbstractForward, Prediction, Problem

HOUR = 3600.0
PARTICLES = ("a", "b", "c", "d")


class ClosedElectrode(eqx.Module):
    contact: Float[Array, " particle"]
    kappa: Float[Array, ""]
    diffusivity: Float[Array, " knot"]


class ClosedForm(AbstractForward):
    """Onset and duration of every particle, in turn."""

    fails_beyond: Float[Array, ""] = eqx.field(
        converter=np.asarray, default=np.inf
    )  # decades of contact at which solves fail

    def __call__(self, electrode):
        onset = HOUR * (9.0 - 3.0 * (electrode.contact + electrode.kappa))
        weight = jnp.linspace(0.5, 1.0, len(PARTICLES))
        slow = electrode.diffusivity[0] + weight * electrode.diffusivity[1]
        lasting = 0.5 * HOUR * 10.0 ** (-0.5 * slow)
        times = jnp.stack([onset, lasting], axis=1).reshape(-1)
        failed = jnp.any(jnp.abs(electrode.contact) > self.fails_beyond)
        times = jnp.where(failed, jnp.nan, times)
        return Prediction(times, jnp.zeros(0), failed)


TRUTH = ClosedElectrode(
    contact=np.array([1.2, 0.3, -0.4, -1.5]),
    kappa=np.array(0.0),
    diffusivity=np.array([-0.3, 0.5, 0.0]),
)
START = ClosedElectrode(np.zeros(4), np.array(0.0), np.zeros(3))


def closed_events(truth=TRUTH, sd=600.0, last=12.0 * HOUR, key=None):
    """Events of a truth, scattered by a generator; those after `last` are not seen."""
    times = np.asarray(ClosedForm()(truth).times)
    if key is not None:
        times = times + sd * key.standard_normal(times.size)
    rows = []
    for k, label in enumerate(PARTICLES):
        if times[2 * k] > last:
            rows.append(Event(label, "onset", after=last, before=np.inf))
        else:
            rows.append(Event(label, "onset", time=float(times[2 * k]), sd=sd))
        rows.append(Event(label, "duration", time=float(times[2 * k + 1]), sd=sd))
    return Events.from_rows(rows)


def closed_space(free_kappa=False, clock_sd=None):
    """Contacts within three decades, a curve of three knots, of which two matter."""
    frees = [
        Free(
            name="contact",
            prior=Independent(dist.Uniform(-3.0, 3.0), len(PARTICLES)),
            where=lambda e: e.contact,
            components=PARTICLES,
            unit="decades",
        ),
        Free(
            name="log10 D",
            prior=smooth([0.0, 0.5, 1.0], np.zeros(3), sd=1.0, roughness=5.0),
            where=lambda e: e.diffusivity,
            components=("at x=0", "at x=0.5", "at x=1"),
        ),
    ]
    if free_kappa:
        prior = Independent(dist.Normal(0.0, 1.0))
        frees.append(Free(name="kappa", prior=prior, where=lambda e: e.kappa))
    moving = None if clock_sd is None else clock(clock_sd)
    return ParameterSpace(tuple(frees), moving)


def closed_problem(events=None, space=None, forward=None, **scales):
    """The fit of the stand-in."""
    noise = EventNoise.of(
        closed_events() if events is None else events, **({"edge_sd": 300.0} | scales)
    )
    return Problem(
        START,
        closed_space() if space is None else space,
        ClosedForm() if forward is None else forward,
        noise,
    )
