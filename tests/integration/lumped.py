"""Two particles whose equations have a closed form."""

import diffelec
from diffelec.curves import ConstantCurve

RESISTANCE = 1e10  # ohm between the two particles


def lumped_pair(**fields):
    """Two particles without inner gradients or reaction losses, in series."""
    curves = diffelec.Curves(
        conductivity=ConstantCurve(1e6, unit="S/m"),
        diffusivity=ConstantCurve(1e-8, unit="m2/s"),
        rate_constant=ConstantCurve(1e-5, unit="m/s"),
        open_circuit_potential=diffelec.open_circuit.LinearPotential(4.7, 1.0),
    )
    edges = diffelec.edges
    network = diffelec.Network.from_edges(
        [edges.wire("collector", "near", 1.0), edges.wire("near", "far", RESISTANCE)],
        ["near", "far"],
    )
    return diffelec.presets.electrode_of(
        network, curves, initial_stoichiometry=0.9, num_shells=6, **fields
    )
