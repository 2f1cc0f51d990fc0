import numpy as np
import pytest

from fitting.optical.degrees import degrees_of
from fitting.optical.half_cycles import from_bounds
from fitting.optical.onset_tables import to_events
from fitting.optical.onsets import find_onsets

from .made_traces import HOUR, rise, traces_of


def by_label(one):
    return {onset.particle: onset for onset in one.onsets}


def turned(rows, hidden=(0.0, 0.0)):
    """What is found of rows over two charges and two discharges of 10 h, but for the
    frames between two instants [h].
    """
    times = HOUR * np.linspace(0.0, 40.0, 801)
    kept = (times <= hidden[0] * HOUR) | (times >= hidden[1] * HOUR)
    shown = {name: row(times)[kept] for name, row in rows.items()}
    halves = from_bounds(
        [(10 * k * HOUR, 10 * (k + 1) * HOUR, k % 2 == 0) for k in range(4)]
    )
    traces = traces_of(shown, 0.003, times=times[kept])
    return traces, find_onsets(traces, halves)


def ordinary(times):
    ups = [rise(middle, times=times) for middle in (4.0, 16.0, 24.0, 36.0)]
    return ups[0] - ups[1] + ups[2] - ups[3]


def test_what_did_not_react_has_nothing_to_undo():
    """One never reacts; one does not go back, so that it is on in the next charge."""
    rows = {"a": ordinary, "never": lambda times: 0.0 * times}
    rows["stays"] = lambda times: rise(6.0, times=times) - rise(35.0, times=times)
    traces, found = turned(rows)
    outcomes = {k: [str(by_label(one)[k].outcome) for one in found] for k in rows}
    assert outcomes["a"] == ["exact"] * 4
    assert outcomes["never"] == ["right-censored", "excluded"] * 2
    assert outcomes["stays"] == ["exact", "right-censored", "excluded", "exact"]
    reason = "did not react in charge 1, so has nothing to undo"
    assert by_label(found[1])["never"].reasons == (reason,)
    assert set(to_events(found[1]).particles) == {"a", "stays"}
    assert "never" not in degrees_of(traces, found[1]).particles


@pytest.mark.parametrize(
    ("hidden", "outcome"),
    [((8.0, 10.0), "excluded"), ((10.0, 12.0), "excluded"), ((8, 12), "left-censored")],
)
def test_what_may_have_reacted_unseen_and_gone_back_may_be_over(hidden, outcome):
    rows = {"a": ordinary, "never": lambda times: 0.0 * times}
    _, found = turned(rows, hidden)
    assert by_label(found[1])["never"].outcome == outcome
