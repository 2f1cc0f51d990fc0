import numpy as np
import pytest

from fitting.optical.onsets import find_onsets

from .made_traces import HOUR, TIMES, rise, traces_of


def middles(*rows, noise=0.002):
    """The note on where the middles of rises lie, as a tuple of none or one."""
    named = {f"p{k}": row for k, row in enumerate(rows)}
    (one,) = find_onsets(traces_of(named, noise))
    return tuple(note for note in one.notes if "middles of rises" in note)


def test_middles_that_are_not_one_change_are_noted():
    """All end at 0.4; the rises are of 0.1 to 0.3, and the rest follows slowly."""
    rows = []
    for size, middle in ((0.1, 2.0), (0.16, 4.0), (0.24, 6.0), (0.3, 8.0)):
        after = np.clip((TIMES / HOUR - middle) / (12.0 - middle), 0.0, None)
        rows.append(rise(middle, 0.4, size) + (0.4 - size) * after)
    (note,) = middles(*rows)
    assert "at 15 to 36 % of what particles change by in all" in note
    assert "--whole-traces" in note
    # Neither of one particle alone, nor of noise.
    assert middles(rows[0]) == ()
    assert middles(*rows, noise=0.04) == ()


@pytest.mark.parametrize("sizes", [(0.3, 0.3, 0.3), (0.1, 0.2, 0.4)])
def test_middles_of_sudden_jumps_are_halfway_whatever_their_sizes(sizes):
    assert middles(*(rise(3.0 + k, 0.4, size) for k, size in enumerate(sizes))) == ()


def test_a_few_odd_middles_of_many_are_not_noted():
    many = [rise(2.0 + 0.4 * k, 0.4) for k in range(19)]
    odd = rise(5.0, 0.4, 0.1) + 0.2 * np.clip(TIMES / HOUR - 5.0, 0.0, None) / 7.0
    assert middles(*many, odd) == ()
