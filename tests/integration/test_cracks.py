"""A cracked particle whose smaller piece hangs on a bridge."""

import numpy as np
import pytest

import diffelec
from diffelec import bodies, graphs
from diffelec.resolve import resolve

CHARGE = diffelec.Protocol.from_strings(["Charge at C/20 for 8 hours"])
RADIUS, ONSET = 5e-6, 0.066


def onsets(bridge):
    """When the larger piece, on carbon, and the smaller have lost `ONSET` of x [s]."""
    body = bodies.cracked(bodies.patches(4), 0.3, np.array([1.0, 0.0, 0.0]))
    larger, smaller = (body.fragment == k for k in (0, 1))
    assert np.sum(larger) == 3
    network = resolve(
        graphs.star(2),
        RADIUS,
        {"p0": body},
        coverage={"p0": np.flatnonzero(larger)},
        crack_contact=bridge,
    )
    electrode = diffelec.presets.electrode_of(
        network, radius=RADIUS, multiplicity=[1.0, 3.0], num_shells=6
    )
    found = diffelec.simulate(electrode, CHARGE, rtol=1e-4, num_saved=401)
    x = np.asarray(found.site_stoichiometry)[:, :4]
    assert np.all(np.isfinite(x))
    means = (np.average(x[:, s], 1, body.share[s]) for s in (larger, smaller))
    return [np.interp(ONSET, x[0, 0] - mean, found.time) for mean in means]


@pytest.fixture(scope="module")
def by_bridge():
    """Onsets with a narrow and a wide bridge."""
    return onsets(0.2e-6), onsets(1e-6)


def test_the_smaller_worse_connected_piece_reacts_later(by_bridge):
    for larger, smaller in by_bridge:
        assert larger + 1200 < smaller < 8 * 3600


def test_a_wider_bridge_lets_it_react_earlier(by_bridge):
    narrow, wide = by_bridge
    assert wide[1] + 3600 < narrow[1]
    assert abs(wide[0] - narrow[0]) < 600
