"""Named electrodes."""

from collections.abc import Sequence

from .checks import check_kind, one_each
from .columns import RadialMesh
from .curves import AbstractCurve
from .electrode import Curves, Electrode
from .graphs import DEFAULT_CARBON_SHAPE, DEFAULT_CONTACT_RADIUS, columns, star
from .materials import NMC532_CONCENTRATION, maximum_concentration_of, nmc532
from .network import Network


def electrode_of(
    network: Network,
    curves: Curves | None = None,
    *,
    radius: float | Sequence[float] = 5e-6,
    initial_stoichiometry: float | Sequence[float] = 0.999,
    multiplicity: float | Sequence[float] = 1.0,
    reactivity: float | Sequence[float] = 1.0,
    maximum_concentration: float | None = None,
    num_shells: int | None = None,
    mesh: RadialMesh | None = None,
    **fields,
) -> Electrode:
    """An electrode over any network: NMC532, R = 5 um, pristine, unless given.

    Numbers spread to all particles; `num_shells` (20) stands for `RadialMesh` of so
    many where no `mesh` is given; lithium sites are those of
    `materials.maximum_concentration_of` the curves where no `maximum_concentration`
    [mol/m3] is given. `fields` go to `Electrode`.

    Raises:
        ValueError: as `Electrode`; for a mesh and a number of shells at once.
    """
    check_kind("network", network, Network, "such as `diffelec.graphs.columns()`")
    count = network.topology.num_particles
    if mesh is None:
        mesh = RadialMesh() if num_shells is None else RadialMesh(num_shells)
    elif num_shells is not None:
        raise ValueError(
            "`num_shells` must be left out where there is a mesh, which says it, but "
            f"is {num_shells}."
        )
    if curves is None:
        known = {"maximum_concentration": maximum_concentration}
        curves = nmc532(**({} if maximum_concentration is None else known))
    check_kind("curves", curves, Curves, "such as `diffelec.materials.nmc532()`")
    if maximum_concentration is None:
        maximum_concentration = maximum_concentration_of(curves)
    return Electrode(
        network=network,
        curves=curves,
        radius=one_each("radius", radius, count),
        initial_stoichiometry=one_each(
            "initial_stoichiometry", initial_stoichiometry, count
        ),
        multiplicity=one_each("multiplicity", multiplicity, count),
        reactivity=one_each("reactivity", reactivity, count),
        maximum_concentration=maximum_concentration,
        mesh=mesh,
        **fields,
    )


def sharma2022(
    *,
    obstructions: Sequence[int] = (0, 1, 2, 3, 4),
    contact_radius: float = DEFAULT_CONTACT_RADIUS,
    carbon_shape: float = DEFAULT_CARBON_SHAPE,
    conductivity: AbstractCurve | None = None,
    diffusivity: AbstractCurve | None = None,
    exchange_current_density: float = 1.0,
    maximum_concentration: float = NMC532_CONCENTRATION,
    **fields,
) -> Electrode:
    """Fig. 4a of Sharma 2022: five top particles behind 0 to 4 others, NMC532.

    15 particles; the first five, `top 0` … `top 4`, are the imaged ones. `fields` are
    those of `electrode_of` (radius, initial_stoichiometry, mesh, …).
    """
    return electrode_of(
        columns(obstructions, contact_radius, carbon_shape),
        nmc532(
            conductivity, diffusivity, exchange_current_density, maximum_concentration
        ),
        maximum_concentration=maximum_concentration,
        **fields,
    )


def single_particle(
    *,
    carbon_shape: float = DEFAULT_CARBON_SHAPE,
    conductivity: AbstractCurve | None = None,
    diffusivity: AbstractCurve | None = None,
    exchange_current_density: float = 1.0,
    maximum_concentration: float = NMC532_CONCENTRATION,
    **fields,
) -> Electrode:
    """One NMC532 particle on the collector's carbon; arguments as `sharma2022`."""
    return electrode_of(
        star(1, carbon_shape),
        nmc532(
            conductivity, diffusivity, exchange_current_density, maximum_concentration
        ),
        maximum_concentration=maximum_concentration,
        **fields,
    )
