r"""The unseen rest of a cell, which carries the current of all but a few particles.

Imaged particles hang on contacts of their own beside a bath; each particle of the bath
stands for many. Two baths: one of given contacts, for a published protocol, and a
population whose contacts are free, $$ \log_{10} a_k = \mu + \sigma z_k, $$ with even
steps in z and shares $$ w_k \propto \exp(-z_k^2 / 2) $$.

A recorded current I of a cell of capacity Q is scaled to the electrode's,
$$ I Q_e / Q $$. Where a share p of it only feeds side reactions, (1 - p) I is left:
that is an electrode of 1/(1 - p) times as many particles, which is how p becomes a free
quantity of the electrode.
"""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from numpyro.distributions.transforms import SigmoidTransform

import diffelec
from diffelec.edges import carbon_contact, disc_shape
from diffelec.topology import COLLECTOR

from .parameters import Free
from .priors import Correlated, Independent

# Each class of a population reacts in its turn, which ripples the voltage: by 13, 15,
# 26 mV rms for 12 classes and spreads of 0.3, 0.5, 0.8 decades, against 65 classes
# (quantiles of equal shares, or Gauss-Hermite nodes: 40 to 80 mV).
_CLASSES = np.linspace(-2.4, 2.4, 12)
_SHARES = np.exp(-0.5 * _CLASSES**2) / np.sum(np.exp(-0.5 * _CLASSES**2))
RIPPLE = 0.02
"""By how much the classes of a population move its voltage [V]."""
# Before the data: contacts as the imaged ones are believed to have.
_MEAN, _MEAN_SD, _SPREAD, _SPREAD_SD = -6.3, 1.0, 0.5, 0.3
_PARASITIC, _PARASITIC_SD = -2.0, 1.0  # of logit p: p = 0.02 to 0.5, half below 0.12
_CAPACITY_SD = 0.05  # decades, where the capacity is told by the charge


class Bath(NamedTuple):
    """Contact radii of its particles [m], and how many each of them stands for."""

    contacts: Sequence[float]
    copies: Sequence[float]


GIVEN = Bath((16e-6, 0.8e-6, 0.4e-6, 0.2e-6, 0.1e-6), (80.0, 40.0, 40.0, 40.0, 40.0))
"""A third is coated by carbon and carries the current at first; the rest reacts one
part after another, so that the cell's voltage is that of an asynchronous cathode."""
POPULATION = Bath(10.0 ** (_MEAN + _SPREAD * _CLASSES), 1200.0 * _SHARES)
"""Classes of a population; the imaged particles carry a hundredth of its current."""


def bath_electrode(
    particles: Sequence[str],
    curves: diffelec.Curves,
    bath: Bath,
    *,
    radius: Sequence[float],
    bath_radius: float,
    num_shells: int,
) -> diffelec.Electrode:
    """Imaged particles and a bath of unseen ones, all on the collector.

    Args:
        particles: labels of the imaged ones.
        curves: of all particles; they tell the material's lithium sites as well.
        bath: `GIVEN` or `POPULATION`.
        radius: of the imaged particles [m].
        bath_radius: of the unseen ones [m].
        num_shells: of all.
    """
    unseen = [f"bath {k}" for k in range(len(bath.contacts))]
    shapes = [disc_shape(diffelec.graphs.DEFAULT_CONTACT_RADIUS)] * len(particles)
    shapes += [disc_shape(contact) for contact in bath.contacts]
    labels = [*particles, *unseen]
    network = diffelec.Network.from_edges(
        [carbon_contact(COLLECTOR, *pair) for pair in zip(labels, shapes, strict=True)],
        labels,
        imaged=[label in particles for label in labels],
    )
    return diffelec.presets.electrode_of(
        network,
        curves,
        radius=[*radius, *[bath_radius] * len(unseen)],
        multiplicity=[1.0] * len(particles) + list(bath.copies),
        num_shells=num_shells,
    )


def population_contacts(electrode: diffelec.Electrode) -> Free:
    """Mean and spread of log10(contact radius/m) of a `POPULATION`."""
    unseen = np.flatnonzero(~np.asarray(electrode.network.topology.imaged))

    def law(values, network):
        radii = values[0] + 10.0 ** values[1] * _CLASSES
        shape = jnp.asarray(network.shape_head).at[unseen].set(0.25 * 10.0**-radii)
        return eqx.tree_at(lambda n: n.shape_head, network, shape)

    return Free(
        name="unseen contact radius",
        prior=Correlated(
            np.array([_MEAN, np.log10(_SPREAD)]), np.diag([_MEAN_SD, _SPREAD_SD])
        ),
        where=lambda electrode: electrode.network,
        law=law,
        components=("log10 mean [log10(m)]", "log10 spread [log10(decades)]"),
    )


def parasitic_share() -> Free:
    """Share p of the current that does not intercalate; 0.02 to 0.5 before the data."""
    normal = dist.Normal(_PARASITIC, _PARASITIC_SD)
    return Free(
        name="parasitic share",
        prior=Independent(dist.TransformedDistribution(normal, SigmoidTransform())),
        where=lambda electrode: electrode.multiplicity,
        law=lambda values, old: jnp.asarray(old) / (1.0 - values[0]),
    )


def capacity_factor() -> Free:
    """Decades by which the cell's capacity exceeds what its charge suggests.

    Parasitic current is in it too: without a known capacity the two are one number.
    """
    return Free(
        name="capacity over that of the charge",
        prior=Independent(dist.Normal(0.0, _CAPACITY_SD)),
        where=lambda electrode: electrode.multiplicity,
        law=lambda values, old: jnp.asarray(old) * 10.0 ** values[0],
        unit="decades",
    )


def capacity_of_charge(
    electrode: diffelec.Electrode, charge: float, voltage: float
) -> float:
    """Capacity of a cell [C], all its lithium, that ends a first charge of `charge` [C]
    in equilibrium at `voltage` [V].

    Raises:
        ValueError: where that voltage takes out no lithium.
    """
    x = np.linspace(1e-3, 0.9999, 4001)
    potential = np.asarray(electrode.curves.open_circuit_potential(x))
    end = float(np.interp(-voltage, -potential, x))
    taken = float(np.mean(electrode.initial_stoichiometry)) - end
    if not taken > 0.01 or not charge > 0:
        raise ValueError(
            "The capacity of the cell must be given, but neither is it nor does the "
            f"recorded half cycle tell it ({charge:.3g} C until {voltage:.2f} V); give "
            "--capacity-mAh."
        )
    return charge / taken
