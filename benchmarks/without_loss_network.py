"""Where lithium and potential sit in the preset of `without_loss`, by column."""

import numpy as np

HOUR = 3600.0
TOPS = 5


def places(topology) -> tuple[np.ndarray, np.ndarray]:
    """(column, number of particles in the way) of each particle of the preset."""
    column, way = [], []
    for label in topology.particle_labels:
        kind, where = label.split()
        first, _, below = where.partition(".")
        column.append(int(first))
        way.append(int(first) if kind == "top" else int(below))
    return np.array(column), np.array(way)


def where_lost(electrode, end) -> list[dict]:
    """Lithium that particles lack at mean stoichiometries `end`, by what is in the
    way.
    """
    _, way = places(electrode.network.topology)
    lack = np.asarray(electrode.initial_stoichiometry) - end
    return [
        {
            "in_the_way": int(k),
            "particles": int(np.sum(way == k)),
            "mean_stoichiometry": float(end[way == k].mean()),
            "share_of_lack": float(lack[way == k].sum() / lack.sum()),
        }
        for k in np.unique(way)
    ]


def network_at(electrode, solution, instant: int) -> dict:
    """Where potential drops at a saved instant, column by column.

    Currents are over those of equal shares; `first_contact_mV` is across the contact of
    the particle on carbon with the one behind it, `rest_mV` from there to the top.
    """
    topology = electrode.network.topology
    column, way = places(topology)
    means = np.asarray(solution.stoichiometry)[instant]
    kappa = np.asarray(electrode.curves.conductivity(means))
    potential = np.asarray(solution.potentials)[instant]
    particle = potential[topology.first_site :]
    resistance = np.asarray(electrode.network.resistance(1.0 / kappa))
    current = (potential[topology.tail] - potential[topology.head]) / resistance
    fair = float(solution.current[instant]) / topology.num_particles
    rows = []
    for c in range(TOPS):
        on_carbon = int(np.flatnonzero((column == c) & (way == 0))[0])
        behind = int(np.flatnonzero((column == c) & (way == min(c, 1)))[0])
        feed = topology.head == topology.first_site + on_carbon
        rows.append(
            {
                "column": c,
                "current_over_share": float(current[feed][0] / fair / (c + 1)),
                "on_carbon_mV": 1e3 * float(potential[0] - particle[on_carbon]),
                "first_contact_mV": 1e3 * float(particle[on_carbon] - particle[behind]),
                "rest_mV": 1e3 * float(particle[behind] - particle[c]),
                "on_carbon": float(means[on_carbon]),
                "top": float(means[c]),
                "kappa_on_carbon_S_m": float(kappa[on_carbon]),
                "kappa_top_S_m": float(kappa[c]),
            }
        )
    hours = float(solution.time[instant]) / HOUR
    return {"time_h": hours, "voltage_V": float(solution.voltage[instant])} | {
        "columns": rows
    }
