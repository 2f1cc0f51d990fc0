"""Whole protocols over particles that are cut into sites."""

import numpy as np

from diffelec import Protocol, bodies, graphs, presets, resolve, simulate

CHARGE = Protocol.from_strings(["Charge at C/20 until 4.3 V"])


def test_a_particle_coated_all_over_reacts_as_one_site_however_it_is_cut():
    net = graphs.star(1, 2e4)
    whole, cut = (
        simulate(presets.electrode_of(n), CHARGE, rtol=1e-5, num_saved=21)
        for n in (net, resolve(net, 5e-6, bodies.patches(4)))
    )
    assert np.all(np.isfinite(cut.voltage))
    assert np.ptp(whole.stoichiometry) > 0.6
    np.testing.assert_allclose(cut.voltage, whole.voltage, atol=1e-9)
    np.testing.assert_allclose(cut.stoichiometry, whole.stoichiometry, atol=1e-9)
