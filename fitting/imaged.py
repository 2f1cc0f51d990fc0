r"""The electrode behind real data: imaged particles, each on a contact of its own.

A cell that records its voltage decouples the imaged particles from all that nobody
sees: the collector is at
$$ \phi_c(t) = V - R_s I - \tfrac{2RT}{F}\,\mathrm{asinh}(I / 2 I_{Li}) $$
with the *recorded* current I, and each imaged particle meets it through its own path.
The electrode's own current is that of a few particles and drops nothing; hence it has
no series resistance, and the drop is taken off the recorded voltage instead.

(R, D, a, i0) -> (l R, l^2 D, l^3 a, l i0) leaves every time unchanged under a voltage:
hold the radius at a measured or assumed value.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

import diffelec
from diffelec.constants import ROOM_TEMPERATURE, thermal_voltage
from diffelec.edges import carbon_contact, disc_shape, particle_contact
from diffelec.topology import COLLECTOR


def _spread(name: str, values, particles: Sequence[str]) -> list:
    """One number a particle, of one for all or one each."""
    values = np.asarray(values)
    if values.ndim and values.shape != (len(particles),):
        raise ValueError(
            f"`{name}` must be one number or one per imaged particle, but has "
            f"{values.size} values for {len(particles)} particles."
        )
    return np.broadcast_to(values, (len(particles),)).tolist()


def imaged_network(
    particles: Sequence[str],
    contact_radius: float | Sequence[float] = diffelec.graphs.DEFAULT_CONTACT_RADIUS,
    *,
    obstructions: int | Sequence[int] = 0,
    carbon_shape: float = diffelec.graphs.DEFAULT_CARBON_SHAPE,
) -> diffelec.Network:
    """Imaged particles, each on its own path to the collector.

    Args:
        particles: their labels.
        contact_radius: of the contact through which each takes its electrons [m].
        obstructions: number of unseen particles in the way of each. The first of them
            touches carbon by `carbon_shape`, and they touch one another by the
            contact radius of the imaged one. Labels are `before LABEL.k`, k counting
            from the collector.
        carbon_shape: constriction in the first unseen particle of a way [1/m].

    Raises:
        ValueError: for labels given twice, or a number of values that fits none.
    """
    if not particles:
        raise ValueError("`particles` must name one or more, but is empty.")
    radii = _spread("contact_radius", contact_radius, particles)
    counts = _spread("obstructions", obstructions, particles)
    edges, unseen = [], []
    for label, radius, count in zip(particles, radii, counts, strict=True):
        way = [f"before {label}.{k}" for k in range(count)]
        unseen += way
        shape = carbon_shape if way else disc_shape(radius)
        edges.append(carbon_contact(COLLECTOR, (way or [label])[0], shape))
        for lower, upper in itertools.pairwise([*way, label]):
            edges.append(particle_contact(lower, upper, radius))
    labels = [*particles, *unseen]
    return diffelec.Network.from_edges(
        edges, labels, imaged=[label in particles for label in labels]
    )


def imaged_electrode(
    particles: Sequence[str],
    curves: diffelec.Curves | None = None,
    *,
    contact_radius: float | Sequence[float] = diffelec.graphs.DEFAULT_CONTACT_RADIUS,
    obstructions: int | Sequence[int] = 0,
    radius: float | Sequence[float] = 5e-6,
    unseen_radius: float = 5e-6,
    **fields,
) -> diffelec.Electrode:
    """An electrode of imaged particles, NMC532 unless other curves are given.

    Args:
        particles: labels of the imaged ones.
        curves: of all particles; they tell the material's lithium sites as well.
        contact_radius: see `imaged_network`.
        obstructions: see `imaged_network`.
        radius: of the imaged particles [m]; NaN stands for `unseen_radius`.
        unseen_radius: of the particles in the way [m].
        fields: of `diffelec.presets.electrode_of` (initial_stoichiometry, num_shells).
    """
    network = imaged_network(particles, contact_radius, obstructions=obstructions)
    own = np.asarray(_spread("radius", radius, particles), float)
    own = np.where(np.isnan(own), unseen_radius, own)
    others = np.full(network.topology.num_particles - len(own), unseen_radius)
    return diffelec.presets.electrode_of(
        network, curves, radius=np.concatenate([own, others]), **fields
    )


def population_radii(
    mean: float, spread: float, count: int
) -> Float[np.ndarray, " particle"]:
    """Contact radii [m] of particles that stand for equal shares of a population whose
    log10(radius/m) is normal: its quantiles at the middle of each share.

    For the unseen rest of a cell that is driven by its current.
    """
    shares = (np.arange(count) + 0.5) / count
    return 10.0 ** (mean + spread * ndtri(shares))


def voltage_drive(
    time,
    voltage,
    current=None,
    *,
    series_resistance: float = 0.0,
    counter_exchange_current: float = np.inf,
    temperature: float = ROOM_TEMPERATURE,
    tolerance: float = 0.0,
) -> diffelec.Protocol:
    """Imposes the collector potential that a recorded cell voltage implies.

    A solve takes a step or more from one recorded instant to the next, so a cycler's
    thousands of rows are thinned to those that lines between them do not replace.

    Args:
        time: of the record [s].
        voltage: of the cell [V].
        current: of the cell [A], positive on charge; needed for the drops below.
        series_resistance: between the cell's terminals and the collector [ohm].
        counter_exchange_current: of the lithium metal [A]; infinite is no drop.
        temperature: of the cell [K].
        tolerance: by which the imposed potential may miss a row that is left out [V].

    Raises:
        ValueError: for a series that cannot drive, or a drop without a current.
    """
    drops = series_resistance != 0 or np.isfinite(counter_exchange_current)
    if drops and current is None:
        raise ValueError(
            "`current` must be given for the series resistance or the lithium metal "
            "to drop a voltage; pass the recorded column, or leave both out."
        )
    potential = np.asarray(voltage, float)
    if drops:
        flow = np.asarray(current, float)
        scale = 2.0 * thermal_voltage(temperature)
        metal = scale * np.arcsinh(flow / (2.0 * counter_exchange_current))
        potential = potential - series_resistance * flow - metal
    if tolerance > 0:
        kept = rows_needed(time, potential, tolerance)
        if current is not None:
            kept |= rows_of_turns(current)
            current = np.asarray(current, float)[kept]
        time, potential = np.asarray(time, float)[kept], potential[kept]
    return diffelec.Protocol.from_recording(time, voltage=potential, current=current)


def rows_of_turns(current: Float[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
    """The rows on both sides of each change of sign: without them, half cycles of a
    thinned record would begin elsewhere.
    """
    kept = np.zeros(len(current), bool)
    turns = np.flatnonzero(np.diff(np.sign(current)) != 0)
    kept[turns] = kept[turns + 1] = True
    return kept


def rows_needed(
    time: Float[np.ndarray, " row"], value: Float[np.ndarray, " row"], tolerance: float
) -> Bool[np.ndarray, " row"]:
    """The rows between which straight lines miss no other row by more than a tolerance.

    Source: Douglas and Peucker, *Cartographica* 10 (1973), 112.
    """
    time, value = np.asarray(time, float), np.asarray(value, float)
    kept = np.zeros(len(time), bool)
    kept[[0, -1]] = True
    spans = [(0, len(time) - 1)]
    while spans:
        first, last = spans.pop()
        inside = slice(first + 1, last)
        line = np.interp(time[inside], time[[first, last]], value[[first, last]])
        miss = np.abs(value[inside] - line)
        # A value that is no number is kept: the protocol refuses it by its row.
        if miss.size and not miss.max() <= tolerance:
            middle = first + 1 + int(np.argmax(miss))
            kept[middle] = True
            spans += [(first, middle), (middle, last)]
    return kept
