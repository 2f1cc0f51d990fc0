"""Against independent codes: IDA on the same residual, PyBaMM's own half cell."""

import pathlib

import jax
import numpy as np
import pytest

import diffelec
from tests.reference import ida

pytestmark = pytest.mark.optimised

HERE = pathlib.Path(__file__).parent


def test_ida_agrees_to_1e_5_on_the_first_charge_of_the_paper():
    electrode = diffelec.presets.sharma2022()
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 until 4.3 V"])
    times = np.linspace(0.0, 74000.0, 38)
    mean, surface, voltage = ida.solve_by_ida(
        ida.system_of(electrode, protocol), times, rtol=1e-8, atol=1e-9
    )
    ours = diffelec.simulate(
        electrode, protocol, rtol=1e-7, times=times, max_steps=4000
    )
    for got, want in (
        (ours.stoichiometry, mean),
        (ours.surface_stoichiometry, surface),
        (ours.voltage, voltage),
    ):
        assert np.all(np.isfinite(got))
        assert np.max(np.abs(np.asarray(got) - want)) < 1e-5


@pytest.fixture(scope="module")
def pybamm():
    """Rows of the stored run; make_pybamm_spm.py beside it makes them again."""
    path = HERE / "pybamm_spm_nmc532.csv"
    return np.loadtxt(path, delimiter=",", skiprows=2)


@pytest.fixture(scope="module")
def well_wired():
    """One particle whose contact resists nothing, on a mesh of 80 shells."""
    electrode = diffelec.presets.single_particle(
        num_shells=80, conductivity=diffelec.curves.ConstantCurve(1e4, unit="S/m")
    )
    protocol = diffelec.Protocol.from_strings(
        [
            "Charge at C/20 until 4.3 V",
            "Hold at 4.3 V until C/50",
            "Discharge at C/20 until 2.5 V",
        ]
    )
    return diffelec.simulate(
        electrode, protocol, rtol=1e-8, num_saved=200, max_steps=4000
    )


@pytest.mark.parametrize("step", [0, 2])
def test_voltage_is_pybamm_s_within_1_mV_where_kappa_is_large(step, pybamm, well_wired):
    rows = pybamm[pybamm[:, 0] == step]
    track = jax.tree.map(lambda leaf: leaf[step], well_wired.tracks)
    # Row 0 is the limit t -> 0+; the ends of the steps are compared below.
    common = (rows[:, 1] > 0) & (rows[:, 1] < 0.999 * float(track.time[-1]))
    assert common.sum() > 190
    seen = jax.jit(jax.vmap(lambda t: track.at(t)))(rows[common, 1])
    voltage = np.asarray(seen[:, 2])
    assert np.all(np.isfinite(voltage))
    assert np.max(np.abs(voltage - rows[common, 2])) < 1e-3


def test_steps_last_as_long_as_pybamm_s(pybamm, well_wired):
    ends = [pybamm[pybamm[:, 0] == k, 1].max() for k in range(3)]
    ours = np.diff(np.r_[0.0, np.asarray(well_wired.step_end_times)])
    assert np.all(np.isfinite(ours))
    assert np.all(np.abs(ours / ends - 1.0) < [1e-4, 1e-3, 5e-4])


def test_a_single_particle_loses_as_much_as_pybamm_s(well_wired):
    charge, hold, discharge = np.asarray(well_wired.step_capacities)
    loss = 1.0 + discharge / (charge + hold)
    # 80 shells are 2e-4 below the converged 0.0967.
    assert loss == pytest.approx(0.0967, abs=3e-4)
