"""Recorded series: what is followed between instants, and what cannot be."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffelec.control import Drive
from diffelec.protocol import Protocol


def test_a_drive_is_piecewise_linear_with_the_slope_of_what_follows():
    drive = Drive([10.0, 12.0, 15.0], [1.0, 5.0, -1.0])
    times = jnp.array([-3.0, 0.0, 1.0, 2.0, 3.5, 5.0, 8.0])
    values = [1.0, 1.0, 3.0, 5.0, 2.0, -1.0, -1.0]
    np.testing.assert_allclose(drive.at(times), values, rtol=1e-14)
    slopes = [0.0, 2.0, 2.0, -2.0, -2.0, 0.0, 0.0]
    np.testing.assert_allclose([drive.slope(t) for t in times], slopes, rtol=1e-14)
    later = (drive.at(times + 1e-3) - drive.at(times)) / 1e-3
    np.testing.assert_allclose(drive.slope(times), later, rtol=1e-10)


@pytest.mark.parametrize(
    ("time", "value", "message"),
    [
        ([0, 1, 2], [1, np.nan, 3], "recorded value must be finite, but row 1 is nan"),
        ([0, np.inf, 2], [1, 2, 3], "recorded time must be finite, but row 1 is inf"),
        ([0, 2, 1], [1, 2, 3], "must increase strictly, but does not at row 2"),
        ([0, 1, 1], [1, 2, 3], "must increase strictly, but does not at row 2"),
        ([0, 1, 2], [1, 2], "2 values for 3 instants"),
        ([0], [1], "1 values for 1 instants"),
    ],
)
def test_a_series_that_cannot_be_followed_is_refused_by_row(time, value, message):
    with pytest.raises(ValueError, match=message):
        Drive(time, value)


def test_a_recording_gives_the_spans_of_one_sign_of_its_current():
    time = 100.0 + np.arange(8.0)
    current = [0.0, 1.0, 1.0, 0.0, -1.0, -1.0, 2.0, 2.0]
    made = Protocol.from_recording(time, voltage=np.ones(8), current=current)
    assert made.spans == ((1.0, 4.0), (4.0, 6.0), (6.0, 7.0))
    assert float(made.rows.duration[0]) == 7.0
    assert float(made.rows.weight_voltage[0]) == 1.0
    assert float(made.rows.weight_current[0]) == 0.0
    assert float(made.rows.follow[0]) == 1.0


def test_a_recording_can_drive_by_its_current():
    made = Protocol.from_recording([0, 1, 2], current=[1, 1, 1], control="current")
    assert float(made.rows.weight_current[0]) == 1.0
    assert float(made.rows.weight_voltage[0]) == 0.0
    assert made.spans == ((0.0, 2.0),)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"current": [1, 1]}, "`voltage` must be given to drive by it"),
        ({"voltage": [1, 1], "control": "current"}, "`current` must be given"),
        (
            {"voltage": [1, 1], "control": "power"},
            "must be 'current' or 'voltage', but",
        ),
        ({"voltage": [1, np.nan]}, "recorded value must be finite, but row 1"),
        (
            {"voltage": np.ma.array([1.0, -9999.0], mask=[0, 1])},
            "recorded value must be finite, but row 1",
        ),
        ({"voltage": [1.0, 2.0j]}, r"`voltage` must be a list of numbers \[V\]"),
        ({"voltage": [[1.0, 2.0]]}, r"but has the shape \(1, 2\); pass one column"),
    ],
)
def test_a_recording_that_lacks_a_column_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Protocol.from_recording([0.0, 1.0], **fields)
