"""What belongs to particles that are named by their labels."""

from collections.abc import Sequence

import numpy as np

import diffelec

from .priors import AbstractPrior, Hierarchical, check_prior


def numbers_of(electrode: diffelec.Electrode, particles: Sequence[str]) -> np.ndarray:
    """Indices of particles by label."""
    labels = electrode.network.topology.particle_labels
    missing = [label for label in particles if label not in labels]
    if missing:
        raise ValueError(
            f"Particle '{missing[0]}' must be one of the electrode's, which are "
            f"{', '.join(labels[:8])}{' …' if len(labels) > 8 else ''}."
        )
    twice = [label for k, label in enumerate(particles) if label in particles[:k]]
    if twice:
        raise ValueError(
            f"`particles` must name each one once, but '{twice[0]}' comes twice; leave "
            "the second out."
        )
    return np.array([labels.index(label) for label in particles], int)


def population_names(
    name: str, particles: Sequence[str], prior: AbstractPrior
) -> tuple[str, ...]:
    """What stands in front of one value a particle: the population's mean and spread
    under a `priors.Hierarchical`, else nothing.

    Raises:
        ValueError: for a prior of another number of values.
    """
    check_prior(name, prior)
    hierarchical = isinstance(prior, Hierarchical)
    count = prior.count if hierarchical else prior.size
    if count != len(particles):
        raise ValueError(
            f"`prior` of '{name}' must be of one value for each of the "
            f"{len(particles)} particles named, but the {type(prior).__name__} is of "
            f"{count}; give it that many."
        )
    return ("population mean", "population spread") if hierarchical else ()


def check_uncut(name: str, electrode: diffelec.Electrode, particles) -> None:
    """Refuses particles, by their numbers, that are cut into sites.

    Resistances and exchange within them, and the contacts that spread into them, hold
    for the radii that `diffelec.resolve` was given.

    Raises:
        ValueError: naming the first one.
    """
    topology = electrode.network.topology
    sites = np.bincount(topology.site_particle, minlength=topology.num_particles)
    for p in particles:
        if sites[p] > 1:
            raise ValueError(
                f"'{name}' must be of particles that are not cut into sites, but "
                f"'{topology.particle_labels[p]}' is cut into {sites[p]}, whose edges "
                "hold for one radius and one contact; leave it out, or cut the network "
                "anew for each value."
            )


def contacts_of(
    electrode: diffelec.Electrode, particles: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges that are the particles' contacts, the place in `particles` of each one's
    owner, and the share of its contact that each is (1 unless its particle is cut).
    """
    topology = electrode.network.topology
    first, sites = topology.first_site, topology.site_particle
    places = {p: k for k, p in enumerate(numbers_of(electrode, particles).tolist())}
    is_cut = np.bincount(sites, minlength=topology.num_particles) > 1
    particle_at = {first + k: int(p) for k, p in enumerate(sites)}
    found = []
    for e, ends in enumerate(np.stack([topology.tail, topology.head], axis=1).tolist()):
        at = [particle_at.get(node) for node in ends]
        if None not in at and np.any(is_cut[at]):
            continue  # within a particle, or worked out by `diffelec.resolve`
        own = [k for k in (0, 1) if at[k] in places]
        if len(own) == 2:
            one, other = (particles[places[p]] for p in at)
            raise ValueError(
                f"A contact must belong to one particle, but '{one}' and '{other}' "
                "touch; free the contact of one of them."
            )
        found += [(e, places[at[k]], ends[k], ends[1 - k]) for k in own]
    edges, owners, own, far = np.array(found, int).reshape(-1, 4).T
    for k in np.setdiff1d(np.arange(len(particles)), owners):
        raise ValueError(
            f"Particle '{particles[k]}' must touch carbon or the collector to have a "
            "contact that is free, but touches nothing but sites of particles that are "
            "cut; leave it out, or take the network before it was cut."
        )
    return edges, owners, _parts(topology.site_share[own - first], own, owners, far)


def _parts(share, own, owners, far) -> np.ndarray:
    """Share of each edge in its particle's contact with the node `far`, which is spread
    over the sites `own` as their surface is.
    """
    groups = list(zip(owners.tolist(), far.tolist(), strict=True))
    totals = dict.fromkeys(groups, 0.0)
    _, once = np.unique(np.stack([own, far]), axis=1, return_index=True)
    for k in once:
        totals[groups[k]] += share[k]
    return share / np.array([totals[group] for group in groups])
