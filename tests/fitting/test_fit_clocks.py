"""The clock and the half cycle that a fit of tables is on."""

import numpy as np
import pytest

from fitting import cli
from fitting.commands import fit

from .test_fit import written


def test_an_event_is_on_the_clock_that_is_named(tmp_path):
    cycler = ["time_h,voltage_V,current_mA", "0,3.2,0", "2,3.3,1", "9,4.3,1"]
    onsets = ["particle,event,time_h,sd_h", "p,midpoint,3,0.2"]
    files = written(tmp_path, onsets, cycler)
    for clock, hours in (("cycler", 3.0), ("half-cycle", 5.0)):
        command = ["fit", *files, "--clock", clock, "--out", str(tmp_path / "out")]
        prepared = fit.prepare(cli.parser().parse_args(command)).setup
        assert prepared.events.time[0] == pytest.approx(3600 * hours)
        assert prepared.forward.origin == pytest.approx(7200)


@pytest.mark.parametrize(
    ("words", "deviation"),
    [
        ((), None),
        (("--clock-sd-s", "0"), None),
        (("--clock-sd-s", "90"), 90.0),
        (("--free", "diffusivity", "--clock-sd-s", "90"), 90.0),
        (("--mechanism", "autocatalytic", "--clock-sd-s", "90"), 90.0),
        (("--free", "clock", "--clock-sd-s", "90"), 90.0),
        (("--free", "clock"), 300.0),
    ],
)
def test_a_clock_of_which_a_deviation_is_told_is_free(words, deviation, tmp_path):
    cycler = ["time_h,voltage_V,current_mA", "0,3.3,1", "9,4.3,1"]
    onsets = ["particle,event,time_h,sd_h", "p,midpoint,3,0.2"]
    command = ["fit", *written(tmp_path, onsets, cycler), *words, "--out", "out"]
    clock = fit.prepare(cli.parser().parse_args(command)).setup.problem.space.clock
    assert (clock is None) == (deviation is None)
    if clock is not None:
        np.testing.assert_allclose(clock.prior.constrain(np.ones(1)), deviation)


def test_the_half_cycle_that_was_seen_drives_after_those_of_all_events(tmp_path):
    rows = ["0,3.2,1", "9,4.3,1", "9.1,4.2,-1", "18,3,-1", "18.1,3.4,1", "26,4.3,1"]
    onsets = ["particle,event,time_h,sd_h,half_cycle", "p,midpoint,3,0.2,1"]
    files = written(tmp_path, onsets, ["time_h,voltage_V,current_mA", *rows])
    command = ["fit", *files, "--half-cycle", "3", "--out", "out"]
    for more in ([], ["--drive", "current", "--voltage-sd-mV", "40"]):
        arguments = cli.parser().parse_args([*command, *more])
        job = fit.prepare(arguments)
        forward = job.setup.forward
        assert (forward.half_cycle, forward.half_cycles) == (2, (0,))
        assert job.title == "o.csv, half cycle 1"
