import numpy as np
import pytest

from fitting.detection import find_events, find_jump

from .data_folder import whiteline_traces

HOUR = 3600.0
TIMES = HOUR * np.linspace(0.0, 12.0, 33)


def rise(middle, width=0.3, amplitude=2.5):
    return amplitude / (1 + np.exp(-(TIMES / HOUR - middle) / width))


@pytest.fixture(scope="module")
def traces():
    """Particles that jump, at the edges, never, and before the first frame."""
    noise = 0.03 * np.random.default_rng(1).standard_normal((6, TIMES.size))
    rows = {
        "early": rise(3.0),
        "late": rise(8.0),
        "last": np.where(TIMES[-1] == TIMES, 2.5, 0.0),
        "first": np.where(TIMES[0] == TIMES, 0.0, 2.5),
        "never": np.zeros(TIMES.size),
        "before": np.full(TIMES.size, 2.5),
    }
    return {name: row + n for (name, row), n in zip(rows.items(), noise, strict=True)}


@pytest.fixture(scope="module")
def events(traces):
    return find_events(TIMES, traces, 0.03, surface=True)


def row_of(events, particle, kind="midpoint"):
    """The index of an event."""
    pairs = zip(events.particle, events.kind, strict=True)
    labels = [(events.particles[k], name) for k, name in pairs]
    return labels.index((particle, kind))


@pytest.mark.parametrize(("particle", "middle"), [("early", 3.0), ("late", 8.0)])
def test_a_jump_within_the_frames_has_a_time(events, particle, middle):
    k = row_of(events, particle)
    assert events.time[k] / HOUR == pytest.approx(middle, abs=0.1)
    spacing = (TIMES[1] - TIMES[0]) / np.sqrt(12)
    assert spacing < events.sd[k] < 1.5 * spacing
    k = row_of(events, particle, "duration")
    assert events.time[k] / HOUR == pytest.approx(2 * np.log(9) * 0.3, rel=0.2)
    assert 1.4 * spacing < events.sd[k] < 2.5 * spacing


@pytest.mark.parametrize(
    ("particle", "after", "before"),
    [
        ("last", TIMES[-2], TIMES[-1]),
        ("first", TIMES[0], TIMES[1]),
        ("never", TIMES[-1], np.inf),
        ("before", -np.inf, TIMES[0]),
    ],
)
def test_what_the_frames_do_not_resolve_has_bounds(events, particle, after, before):
    k = row_of(events, particle)
    assert (events.after[k], events.before[k]) == (after, before)
    assert particle not in [
        events.particles[events.particle[j]] for j in np.flatnonzero(events.exact)
    ]


def test_what_was_seen_is_kept(events):
    assert events.surface


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        (np.ones(5), "one value per frame and 8 frames or more, but has 5 for 33"),
        (np.full(33, np.nan), "must be finite"),
    ],
)
def test_a_trace_that_cannot_be_used_is_refused(trace, words):
    with pytest.raises(ValueError, match=f"trace of 'p' .*{words}"):
        find_events(TIMES, {"p": trace}, 0.03)


MEASURED = {
    "blue": (6.56, 6.56),
    "orange": (3.80, 3.88),
    "green": (4.44, 4.54),
    "red": (7.90, 7.90),
    "purple": (8.56, 8.56),
    "brown": (8.15, 8.15),
}


def test_published_midpoints_of_nmc333_come_out():
    times, traces = whiteline_traces("nmc333_charge1_fine")
    for particle, (low, high) in MEASURED.items():
        found = find_jump(times, traces[particle], 0.05)
        middle = float(found.jump.midpoint) / HOUR
        assert low - 0.03 <= middle <= high + 0.03
        assert found.half / HOUR == pytest.approx(middle, abs=0.1)
        assert 0.7 < float(found.jump.duration) / HOUR < 1.6


def test_published_events_of_nmc532_come_out():
    times, traces = whiteline_traces("nmc532_charge1")
    events = find_events(times, traces, 0.1)
    expected = {"blue": (3.88, 0.4), "green": (5.4, 0.5), "orange": (8.3, 0.4)}
    for particle, (middle, deviation) in expected.items():
        k = row_of(events, particle)
        assert events.time[k] / HOUR == pytest.approx(middle, abs=deviation)
        assert events.sd[k] / HOUR > 1.33 / np.sqrt(12)
    k = row_of(events, "red")
    bounds = (events.after[k] / HOUR, events.before[k] / HOUR)
    assert bounds == pytest.approx((8.522, 9.851))
    k = row_of(events, "purple")
    assert events.after[k] / HOUR == pytest.approx(9.851)
    assert events.before[k] == np.inf
