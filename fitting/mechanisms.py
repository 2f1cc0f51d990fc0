r"""Rival explanations of why particles react one after another.

Each gives every particle one number of its own, drawn from a population, and a curve of
stoichiometry that the particles share; all else is the same. So none of them wins by
having more to adjust. To add one, add one entry to `MECHANISMS`.

Contacts and reactivities delay a jump; a long way to diffuse stretches it. The first
two are told apart by how their curves depend on potential (a resistance is linear, a
reaction exponential), which one charge hardly shows: what shows it is a path of known
length, or a second cycle.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import diffelec
from diffelec.curves import ConstantCurve

from . import parameters
from .owners import check_uncut, numbers_of, population_names
from .parameters import Free
from .priors import AbstractPrior, Hierarchical

_METAL = 1.0  # S/m: through a contact of 0.5 um C/20 then drops 10 uV
NETWORK = "network"


class Mechanism(NamedTuple):
    """An explanation.

    Attributes:
        sentence: what it says.
        source: who proposed it.
        curves: a material's curves to those that the mechanism has them be.
        own: (electrode, labels) to the number of each particle.
        free: names of what is free beside it, unless a person says otherwise; the
            curve that makes the mechanism is first.
    """

    sentence: str
    source: str
    curves: Callable[[diffelec.Curves], diffelec.Curves]
    own: Callable[[diffelec.Electrode, Sequence[str]], Free]
    free: tuple[str, ...]


def reactivities(
    electrode: diffelec.Electrode,
    particles: Sequence[str],
    prior: AbstractPrior | None = None,
) -> Free:
    """Exchange current of every particle over the material's, log10.

    Only its product with the rate constant is identifiable: hold one knot of that.

    Args:
        electrode: whose particles are meant.
        particles: their labels.
        prior: one a particle, behind the population's mean and spread; unless given
            about -0.5 known to a decade, with a spread of half a decade (surfaces of
            one powder; Park 2021 finds rates of single particles to differ so).
    """
    prior = Hierarchical(len(particles), -0.5, 1.0, 0.5) if prior is None else prior
    return _members(
        *("log10 reactivity", electrode, particles, prior),
        where=lambda electrode: electrode.reactivity,
    )


def diffusion_lengths(
    electrode: diffelec.Electrode,
    particles: Sequence[str],
    prior: AbstractPrior | None = None,
) -> Free:
    """Radius R of every particle as diffusion has it, log10(R/m): D/R^2 is its own.

    Args:
        electrode: whose particles are meant.
        particles: their labels.
        prior: one a particle, behind the population's mean and spread; unless given
            about the electrode's known to a factor of two, with a spread of a fifth of
            a decade, that of a powder.

    Raises:
        ValueError: for a particle that is unknown, named twice or cut into sites.
    """
    check_uncut("diffusion length", electrode, numbers_of(electrode, particles))
    if prior is None:
        now = np.log10(np.asarray(electrode.radius, float))
        prior = Hierarchical(len(particles), float(now.mean()), 0.3, 0.2)
    return _members(
        *("log10 diffusion length", electrode, particles, prior),
        where=lambda electrode: electrode.radius,
        unit="log10(m)",
    )


def _members(name, electrode, particles, prior, *, where, unit="") -> Free:
    """A number a particle, as a power of ten, of a population."""
    numbers = numbers_of(electrode, particles)
    extra = population_names(name, particles, prior)
    count = len(electrode.network.topology.particle_labels)

    def law(values, old):
        old = jnp.broadcast_to(old, (count,))
        return old.at[numbers].set(10.0 ** values[len(extra) :])

    return Free(
        name=name,
        prior=prior,
        where=where,
        law=law,
        unit=unit,
        components=(*extra, *particles),
    )


def _as_is(curves: diffelec.Curves) -> diffelec.Curves:
    return curves


def _metallic(curves: diffelec.Curves) -> diffelec.Curves:
    """Electrons meet no resistance."""
    metal = ConstantCurve(_METAL, unit="S/m", source="assumed: no resistance")
    return dataclasses.replace(curves, conductivity=metal)


def _autocatalytic(curves: diffelec.Curves) -> diffelec.Curves:
    """The reaction is slow until lithium has left."""
    sites = diffelec.materials.maximum_concentration_of(curves)
    rate = diffelec.materials.autocatalytic_rate_constant(maximum_concentration=sites)
    return dataclasses.replace(curves, rate_constant=rate)


def _autocatalytic_alone(curves: diffelec.Curves) -> diffelec.Curves:
    return _metallic(_autocatalytic(curves))


_SHARMA = "Sharma, de Vasconcelos et al. 2022"
_PARK = "Park et al. 2021"
MECHANISMS = {
    NETWORK: Mechanism(
        "electrons reach a particle through pristine material that hardly conducts",
        _SHARMA,
        _as_is,
        parameters.contacts,
        ("conductivity", "diffusivity-scale"),
    ),
    "autocatalytic": Mechanism(
        "a particle's reaction is slow until some of its lithium has left",
        _PARK,
        _autocatalytic_alone,
        reactivities,
        ("rate-constant", "diffusivity-scale"),
    ),
    "diffusion": Mechanism(
        "lithium hardly moves in pristine material, and particles differ in size",
        "Grenier et al. 2020",
        _metallic,
        diffusion_lengths,
        ("diffusivity", "exchange-current"),
    ),
    "network+autocatalytic": Mechanism(
        "contacts delay a particle, and so does its slow reaction",
        f"{_SHARMA}; {_PARK}",
        _autocatalytic,
        parameters.contacts,
        ("conductivity", "exchange-current", "diffusivity-scale"),
    ),
    "autocatalytic+diffusion": Mechanism(
        "particles differ in size, and all react slowly until some lithium has left",
        f"{_PARK}; Grenier et al. 2020",
        _autocatalytic_alone,
        diffusion_lengths,
        ("diffusivity", "exchange-current"),
    ),
}


def mechanism(name: str) -> Mechanism:
    """The mechanism of a name.

    Raises:
        ValueError: for a name that is none of `MECHANISMS`.
    """
    if name not in MECHANISMS:
        raise ValueError(
            f"The mechanism must be one of {', '.join(MECHANISMS)}, but is '{name}'."
        )
    return MECHANISMS[name]
