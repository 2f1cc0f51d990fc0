import dataclasses
import math

import numpy as np
import pytest

from fitting.events import CHANGES, Event, Events, disordered

NAN, INF = math.nan, math.inf


def rows():
    """One row of every form there is."""
    return [
        Event("b", "midpoint", time=3600.0, sd=60.0, radius=4e-6),
        Event("a", "onset", after=100.0, before=200.0),
        Event("b", "duration", time=900.0, sd=90.0),
        Event("c", "midpoint", after=5000.0, before=INF),
        Event("d", "onset", after=-INF, before=50.0, change=0.1),
    ]


def test_columns_follow_the_rows():
    events = Events.from_rows(rows(), surface=True)
    assert events.particles == ("b", "a", "c", "d")
    np.testing.assert_array_equal(events.particle, [0, 1, 0, 2, 3])
    np.testing.assert_array_equal(events.change, [0.25, 0.05, 0.4, 0.25, 0.1])
    np.testing.assert_array_equal(events.time, [3600.0, NAN, 900.0, NAN, NAN])
    np.testing.assert_array_equal(events.before, [NAN, 200.0, NAN, INF, 50.0])
    np.testing.assert_array_equal(events.radius, [4e-6, NAN, NAN, NAN])
    assert events.surface


@pytest.mark.parametrize("number", [10**30, 1e30, INF, NAN])
def test_a_half_cycle_that_no_cell_reaches_is_refused(number):
    row = Event("a", "midpoint", time=3600.0, sd=60.0, half_cycle=number)
    with pytest.raises(ValueError, match="particle 'a' must be of a half cycle below"):
        Events.from_rows([row])


def test_masks_tell_the_four_forms_apart():
    events = Events.from_rows(rows())
    np.testing.assert_array_equal(events.exact, [1, 0, 1, 0, 0])
    np.testing.assert_array_equal(events.interval, [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(events.right_censored, [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(events.left_censored, [0, 0, 0, 0, 1])


def test_description_counts_the_forms():
    assert Events.from_rows(rows()).describe() == (
        "5 events of 4 particles: 2 exact, 1 known to an interval, 1 never seen, 1 "
        "over at the first frame"
    )
    assert Events.from_rows(rows()[:1]).describe() == ("1 event of 1 particle: 1 exact")


def test_a_shift_of_the_clock_leaves_durations():
    moved = Events.from_rows(rows()).shift(10.0)
    np.testing.assert_array_equal(moved.time, [3610.0, NAN, 900.0, NAN, NAN])
    np.testing.assert_array_equal(moved.after, [NAN, 110.0, NAN, 5010.0, -INF])
    np.testing.assert_array_equal(moved.before, [NAN, 210.0, NAN, INF, 60.0])


def test_a_selection_drops_the_particles_that_have_no_event_left():
    part = Events.from_rows(rows()).select(np.array([False, False, True, True, False]))
    assert part.particles == ("b", "c")
    assert part.kind == ("duration", "midpoint")
    np.testing.assert_array_equal(part.particle, [0, 1])
    np.testing.assert_array_equal(part.radius, [4e-6, NAN])
    np.testing.assert_array_equal(part.after, [NAN, 5000.0])


def test_one_particle_may_have_events_at_several_changes():
    first = Event("a", "onset", time=1.0, sd=1.0)
    events = Events.from_rows([first, dataclasses.replace(first, change=0.066)])
    assert events.particles == ("a",)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Event("a", "start", time=1.0, sd=1.0), "must be one of onset, midpoint"),
        (Event("a", "onset"), "either a time or bounds .* has neither"),
        (Event("a", "onset", 1.0, 1.0, 0.0, 2.0), "has both"),
        (Event("a", "onset", INF, 1.0), "must be a finite time, but is inf"),
        (Event("a", "onset", 1.0), "positive standard deviation, but has nan"),
        (Event("a", "onset", 1.0, -2.0), "positive standard deviation, but has -2"),
        (Event("a", "onset", 1.0, 0.0), "positive standard deviation, but has 0"),
        (Event("a", "onset", after=1.0), "must have both bounds"),
        (Event("a", "onset", sd=1.0, after=1.0, before=2.0), "no standard deviation"),
        (Event("a", "onset", after=2.0, before=2.0), "exchange them"),
        (Event("a", "onset", after=-INF, before=INF), "one finite bound or more"),
        (Event("a", "onset", 1.0, 1.0, change=1.2), "between 0 and 1, but is at 1.2"),
        (Event("a", "duration", 1.0, 1.0, change=0.05), "between 0.05 and 1"),
        (
            Event("a", "duration", -1.0, 1.0),
            "positive and finite, but is -0.000277778 h",
        ),
        (Event("a", "onset", 1.0, 1.0, radius=-5e-6), "must be positive, but is -5 um"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_by_name(row, words):
    with pytest.raises(ValueError, match=words) as caught:
        Events.from_rows([row])
    assert "article 'a'" in str(caught.value)


def test_rows_given_twice_are_refused():
    row = Event("a", "onset", time=1.0, sd=1.0)
    with pytest.raises(ValueError, match="onset of particle 'a' is given twice"):
        Events.from_rows([row, row])


def test_two_radii_of_one_particle_are_refused():
    first = Event("a", "onset", time=1.0, sd=1.0, radius=4e-6)
    second = Event("a", "midpoint", time=2.0, sd=1.0, radius=5e-6)
    with pytest.raises(ValueError, match="one radius, but has 4 and 5 um"):
        Events.from_rows([first, second])


def test_no_events_are_refused():
    with pytest.raises(ValueError, match="one event or more, but has none"):
        Events.from_rows([])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sd": [1.0]}, "one value per event"),
        ({"particle": np.array([0, 0, 0, 0, 1])}, "every index into `particles`"),
        ({"particles": ("a", "a", "c", "d")}, "must be unique"),
        ({"radius": [1e-6]}, "`radius` must have one value per particle"),
    ],
)
def test_columns_that_do_not_fit_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(Events.from_rows(rows()), **fields)


def test_an_onset_comes_before_a_midpoint_and_that_before_a_completion():
    assert CHANGES["onset"] < CHANGES["midpoint"] < CHANGES["completion"]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([("onset", 9.0, 0.1), ("midpoint", 6.0, 0.1), ("completion", 4.0, 0.1)], True),
        (
            [("onset", 4.0, 0.1), ("midpoint", 6.0, 0.1), ("completion", 9.0, 0.1)],
            False,
        ),
        ([("onset", 6.1, 0.1), ("midpoint", 6.0, 0.1)], False),
        ([("onset", 9.0, 0.1), ("duration", 1.0, 0.1)], False),
    ],
)
def test_events_in_an_order_that_cannot_be_are_found(rows, found):
    steady = [Event("b", "onset", 1.0, 0.1), Event("b", "midpoint", 2.0, 0.1)]
    events = [Event("a", kind, time, sd) for kind, time, sd in rows]
    assert disordered(Events.from_rows([*steady, *events])) == ["a"] * found


def test_bounds_tell_an_order_too():
    late = Event("a", "onset", after=5.0, before=INF)
    early = Event("a", "midpoint", after=1.0, before=4.0)
    assert disordered(Events.from_rows([late, early])) == ["a"]
    other = dataclasses.replace(early, half_cycle=1)
    assert disordered(Events.from_rows([late, other])) == []
    overlap = dataclasses.replace(early, before=6.0)
    assert disordered(Events.from_rows([late, overlap])) == []
