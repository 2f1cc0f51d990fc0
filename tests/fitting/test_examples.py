import csv

import numpy as np
import pytest

from fitting import examples
from fitting.optical.onset_tables import to_events
from fitting.optical.onsets import find_onsets
from fitting.optical.traces import Traces
from tests.helpers import data_file

from .data_folder import whiteline_traces

HOUR = 3600.0
SETS = {
    "wolfman2023-nmc333": ("nmc333_charge1_fine", 0.05, 3.0),
    "wolfman2023-nmc532": ("nmc532_charge1", 0.1, 2.0),
}


@pytest.mark.parametrize("name", examples.names())
def test_a_set_is_read_with_its_source(name):
    found = examples.load(name)
    assert found.citation.split()[1] in ("Wolfman", "Sharma")
    assert found.events.exact.any() or found.events.interval.any()
    assert (found.recording is None) == bool(found.steps)
    with examples.tables(name) as paths:
        assert "Source" in paths[0].read_text()


def test_the_sets_hold_every_form_of_event():
    nmc333, nmc532, sharma = (
        examples.load(name).events
        for name in ("wolfman2023-nmc333", "wolfman2023-nmc532", "sharma2022")
    )
    assert nmc333.describe() == "12 events of 6 particles: 12 exact"
    assert nmc532.right_censored.sum() == 1
    assert (nmc532.interval & ~nmc532.right_censored).sum() == 1
    assert sharma.right_censored.sum() == 2
    np.testing.assert_allclose(sharma.before[:2] / HOUR, [3.6, 6.9])
    assert sharma.surface
    assert not nmc333.surface


def test_a_set_drives_the_cell_from_the_start_of_its_charge():
    found = examples.load("wolfman2023-nmc333")
    assert found.recording.start == pytest.approx(2.77 * HOUR)
    assert float(found.protocol.drive.at(0.0)) == 3.21
    assert len(found.recording.time) == 15
    assert examples.load("sharma2022").protocol.num_steps == 2


def test_a_set_that_is_not_there_is_refused_by_name():
    with pytest.raises(ValueError, match=r"wolfman2023-nmc333, .* but is 'nmc'"):
        examples.load("nmc")


@pytest.mark.parametrize("name", SETS)
def test_packaged_events_are_those_of_the_traces(name):
    file, noise, _ = SETS[name]
    times, rows = whiteline_traces(file)
    traces = Traces(times, tuple(rows), np.array(list(rows.values())))
    spacing = float(np.median(np.diff(times)))
    (one,) = find_onsets(traces, noise=noise, exposure=spacing)
    found = {onset.particle: onset for onset in one.onsets}
    packaged = examples.load(name).events
    for k in np.flatnonzero(~packaged.is_duration):
        onset = found[packaged.particles[packaged.particle[k]]]
        if packaged.exact[k]:
            assert abs(onset.midpoint - packaged.time[k]) < 0.5 * packaged.sd[k]
        else:
            bounds = np.array([onset.after, onset.before]) / HOUR
            known = np.array([packaged.after[k], packaged.before[k]]) / HOUR
            np.testing.assert_allclose(bounds, known, atol=0.006)
    exact = to_events(one, surface=False).exact.sum()
    assert exact >= packaged.exact.sum() - 4


@pytest.mark.parametrize("name", SETS)
def test_packaged_voltages_are_within_ten_millivolts(name):
    file, _, risen = SETS[name]
    with open(data_file(f"{file}_voltage.csv"), newline="") as stream:
        hours, volts = np.array(list(csv.reader(stream))[1:], float).T
    recording = examples.load(name).recording
    inside = (hours >= recording.start / HOUR) & (hours <= recording.end / HOUR)
    away = np.abs(np.interp(hours, recording.time / HOUR, recording.voltage) - volts)
    assert away[inside & (hours > risen)].max() < 0.010
    assert away[inside].max() < 0.045
