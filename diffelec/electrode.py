"""The electrode: particles, their material and the network that feeds them."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._typing import as_leaf
from .checks import check_kind, check_leaves
from .columns import RadialMesh
from .constants import (
    COLDEST,
    FARADAY,
    LARGEST_RADIUS,
    ROOM_TEMPERATURE,
    thermal_voltage,
)
from .curves import AbstractCurve
from .kinetics import AbstractKinetics, ButlerVolmer
from .network import Network
from .network_checks import check_edge_numbers, check_multiplicity
from .open_circuit import AbstractOpenCircuitPotential
from .sums import total

_ROUNDING_OF_POTENTIALS = 4.0 * 2.2e-16  # V
_SHARE_OF_ROUNDING = 0.1  # of the 1C current, from which solves fail
_UNITS = {  # of the curves; a curve that says none is taken to have it
    "conductivity": "S/m",
    "diffusivity": "m2/s",
    "rate_constant": "m/s",
}


class Curves(eqx.Module):
    """The material as callables of stoichiometry, in SI units.

    Raises:
        ValueError: at construction, for a number or a function in a curve's place, or
            a curve of another unit.
    """

    conductivity: AbstractCurve  # S/m
    diffusivity: AbstractCurve  # m2/s
    rate_constant: AbstractCurve  # m/s
    open_circuit_potential: AbstractOpenCircuitPotential  # V

    def __check_init__(self):
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), AbstractCurve
            if field.name == "open_circuit_potential":
                kind = AbstractOpenCircuitPotential
            if not isinstance(value, kind):
                raise ValueError(
                    f"`{field.name}` must be a curve of diffelec, but is {value!r}; "
                    "take `diffelec.curves.ConstantCurve` for a number, or derive a "
                    f"class from `{kind.__name__}` for a law of your own."
                )
            texts = [leaf for leaf in jax.tree.leaves(value) if isinstance(leaf, str)]
            if texts:
                raise ValueError(
                    f"`{field.name}` must hold numbers besides static fields, but "
                    f"holds {texts[0]!r}; declare that field of "
                    f"{type(value).__name__} by `equinox.field(static=True)`."
                )
            unit = _UNITS.get(field.name)
            if unit is not None and value.unit not in ("", unit):
                raise ValueError(
                    f"`{field.name}` must be in {unit}, but its unit is "
                    f"{value.unit!r}; convert its values and write {unit!r}."
                )


_PARTS = {  # of an electrode, and how to make one
    "network": (Network, "such as `diffelec.graphs.columns()`"),
    "curves": (Curves, "such as `diffelec.materials.nmc532()`"),
    "kinetics": (AbstractKinetics, "such as `diffelec.kinetics.ButlerVolmer()`"),
    "mesh": (RadialMesh, "such as `diffelec.RadialMesh(20)`"),
}


class Electrode(eqx.Module):
    r"""A particle-network electrode: everything `simulate` needs to know of the cell.

    Site (radial column of a particle), shell by shell:
    $$ \dot x = r^{-2} \partial_r (r^2 D(x) \partial_r x), \quad
       -D\, \partial_r x |_R = i / (F c_{max}), \quad i_0 \to \rho\, i_0 $$
    Node: $$ \sum_e I_e + A\, i = 0, \quad \eta = \phi - U(x_s) $$
    Terminal: $$ V = \phi_c + R_s I + \tfrac{2RT}{F}\,\mathrm{asinh}(I / 2 I_{Li}) $$

    Every floating leaf is an independent parameter. Current is positive on charge.

    Attributes:
        radius: of each particle [m].
        initial_stoichiometry: of each particle, uniform over its radius.
        multiplicity: how many identical copies each particle stands for.
        maximum_concentration: lithium sites [mol/m3].
        one_c_range: change of stoichiometry that 1C passes in an hour.
        series_resistance: in the cell voltage [ohm].
        counter_exchange_current: of the lithium metal, i0 times its area [A];
            infinite (off) by default.
        reactivity: exchange current of each particle over the material's, or one
            number for all: what a film on it, or dry surface, leaves of it.
        conduct_at_surface: evaluate kappa at the surface instead of the mean.

    Raises:
        ValueError: at construction, naming the quantity, the particle and the remedy.
    """

    network: Network
    curves: Curves
    radius: Float[Array, " particle"] = eqx.field(converter=as_leaf)
    initial_stoichiometry: Float[Array, " particle"] = eqx.field(converter=as_leaf)
    multiplicity: Float[Array, " particle"] = eqx.field(converter=as_leaf)
    maximum_concentration: Float[Array, ""] = eqx.field(converter=as_leaf)
    temperature: Float[Array, ""] = eqx.field(
        converter=as_leaf, default=ROOM_TEMPERATURE
    )
    one_c_range: Float[Array, ""] = eqx.field(converter=as_leaf, default=0.63)
    series_resistance: Float[Array, ""] = eqx.field(converter=as_leaf, default=0.0)
    counter_exchange_current: Float[Array, ""] = eqx.field(
        converter=as_leaf, default=np.inf
    )
    reactivity: Float[Array, " particle"] | Float[Array, ""] = eqx.field(
        converter=as_leaf, default=1.0
    )
    kinetics: AbstractKinetics = eqx.field(default_factory=ButlerVolmer)
    mesh: RadialMesh = eqx.field(default_factory=RadialMesh)
    conduct_at_surface: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        for name, (kind, remedy) in _PARTS.items():
            check_kind(name, getattr(self, name), kind, remedy)
        if not isinstance(self.conduct_at_surface, bool | np.bool_):
            raise ValueError(
                "`conduct_at_surface` must be True or False, but is "
                f"{self.conduct_at_surface!r}."
            )
        check_leaves(self)
        check_values(self)
        _check_wires(self)
        if isinstance(self.multiplicity, np.ndarray):
            check_multiplicity(self.network.topology, self.multiplicity)

    @property
    def num_particles(self) -> int:
        return self.network.topology.num_particles

    @property
    def particle_volume(self) -> Float[Array, " particle"]:
        """4/3 pi R^3 [m3]."""
        return 4.0 / 3.0 * np.pi * jnp.asarray(self.radius) ** 3

    @property
    def theoretical_capacity(self) -> Float[Array, ""]:
        """Charge of all lithium sites of all copies [C]."""
        moles = self.maximum_concentration * self.particle_volume
        return FARADAY * total(self.multiplicity * moles)

    @property
    def one_c_current(self) -> Float[Array, ""]:
        """Current that passes `one_c_range` in an hour [A]."""
        return self.one_c_range * self.theoretical_capacity / 3600.0

    def terminal_drop(self, current: Float[Array, "..."]) -> Float[Array, "..."]:
        """Cell voltage minus collector potential at a current [V]."""
        scale = 2.0 * thermal_voltage(self.temperature)
        metal = scale * jnp.arcsinh(current / (2.0 * self.counter_exchange_current))
        return self.series_resistance * current + metal


def check_values(electrode: Electrode) -> None:
    """Raises ValueError for numbers of the particles, the edges or the cell that cannot
    be; of those alone that no transformation holds.
    """
    _check_particles(electrode)
    _check_cell(electrode)
    _check_edges(electrode.network)


def _known(value):
    """A number on the host, None where a transformation holds it."""
    value = value if isinstance(value, np.ndarray) else as_leaf(value)
    return value if isinstance(value, np.ndarray) else None


def _first_wrong(holds, values: np.ndarray) -> int | None:
    """Where the first number is that a rule does not hold of; None where it holds of
    all.
    """
    # A call of `simulate` asks this: of few numbers, NumPy would take ten times longer.
    numbers = values.ravel().tolist()
    if all(map(holds, numbers)):
        return None
    return next(k for k, number in enumerate(numbers) if not holds(number))


_OF_PARTICLES = {  # what must hold, and how to say it
    "radius": (
        lambda v: 0 < v <= LARGEST_RADIUS,
        f"be positive [m], {LARGEST_RADIUS:g} at most",
    ),
    "multiplicity": (lambda v: 0 < v < np.inf, "be positive and finite"),
    "reactivity": (lambda v: 0 < v < np.inf, "be positive and finite"),
    "initial_stoichiometry": (
        lambda v: 0 < v < 1,
        "lie strictly between 0 and 1 (0.999 is pristine)",
    ),
}


def _check_particles(electrode: Electrode) -> None:
    labels = electrode.network.topology.particle_labels
    for name, (holds, phrase) in _OF_PARTICLES.items():
        values = _known(getattr(electrode, name))
        if values is None:
            continue
        alone = name == "reactivity" and values.ndim == 0
        if not alone and values.shape[-1:] != (len(labels),):
            raise ValueError(
                f"`{name}` must have one value per particle, but has {values.size} "
                f"values for {len(labels)} particles."
            )
        wrong = _first_wrong(holds, values)
        if wrong is not None:
            raise ValueError(
                f"`{name}` must {phrase}, but particle '{labels[wrong % len(labels)]}' "
                f"has {values.flat[wrong]:g}."
            )


_OF_CELL = {
    "maximum_concentration": (
        lambda v: 0 < v < np.inf,
        "be positive and finite [mol/m3], but is {}",
    ),
    "one_c_range": (
        lambda v: 0 < v <= 1,
        "be a share of the sites, above 0 and at most 1, but is {}; divide percent by "
        "100",
    ),
    "counter_exchange_current": (lambda v: v > 0, "be positive [A], but is {}"),
    "series_resistance": (
        lambda v: 0 <= v < np.inf,
        "be 0 or more, and finite [ohm], but is {}",
    ),
    "temperature": (
        lambda v: COLDEST <= v < np.inf,
        f"be {COLDEST:g} K or more, and finite, but is {{}}; add 273.15 to a value in "
        "°C",
    ),
}


def _check_cell(electrode: Electrode) -> None:
    for name, (holds, phrase) in _OF_CELL.items():
        value = _known(getattr(electrode, name))
        if value is not None and _first_wrong(holds, value) is not None:
            raise ValueError(f"`{name}` must {phrase.format(value)}.")


def _check_edges(network: Network) -> None:
    for name in ("series_resistance", "shape_tail", "shape_head"):
        values = _known(getattr(network, name))
        if values is not None and _first_wrong(_is_resistance, values) is not None:
            check_edge_numbers(network)  # which tells the edge


def _is_resistance(value: float) -> bool:
    return 0 <= value < np.inf


def _check_wires(electrode: Electrode) -> None:
    """Raises ValueError for a wire of so little resistance that the rounding of its
    ends' potentials is a current like the cell's (concrete values only).
    """
    network = electrode.network
    shapes = (network.shape_tail, network.shape_head)
    cell = (electrode.radius, electrode.multiplicity, electrode.one_c_range)
    numbers = (*cell, electrode.maximum_concentration, network.series_resistance)
    if not all(isinstance(v, np.ndarray) for v in (*numbers, *shapes)):
        return
    if [v.ndim for v in (*numbers, *shapes)] != [1, 1, 0, 0, 1, 1, 1]:
        return  # a batch
    volume = np.sum(electrode.multiplicity * 4.0 / 3.0 * np.pi * electrode.radius**3)
    charge = electrode.one_c_range * FARADAY * electrode.maximum_concentration * volume
    least = _ROUNDING_OF_POTENTIALS / (_SHARE_OF_ROUNDING * charge / 3600.0)
    wires = np.where(shapes[0] + shapes[1] == 0, network.series_resistance, np.inf)
    if np.any(wires < least):
        topology, e = network.topology, int(np.argmin(wires))
        ends = (
            topology.node_labels[topology.tail[e]],
            topology.node_labels[topology.head[e]],
        )
        raise ValueError(
            f"The wire from {ends[0]} to {ends[1]} must have {least:.1g} ohm or more, "
            f"below which rounding is a current like the cell's, but has "
            f"{wires[e]:g}; merge the two nodes, which it does not part."
        )
