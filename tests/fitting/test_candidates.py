"""Candidate experiments: what they would do to which particles, seen how well."""

import dataclasses

import jax
import numpy as np
import pytest

import diffelec
from fitting import candidates, setup, whole
from fitting.bench import Bench, Frames, Watched, interval_of
from fitting.events import Event, Events
from fitting.intensities import binned
from fitting.problem import Simulated
from fitting.recording import Recording

HOUR = 3600.0
FRAMES = Frames(600.0, 60.0)
CHOICES = setup.Choices(free=("diffusivity-scale",), num_shells=5)


def events_of(*rows):
    return Events.from_rows(rows)


EVENTS = events_of(
    Event("p", "midpoint", time=2.6 * HOUR, sd=600.0),
    Event("q", "midpoint", after=4.0 * HOUR, before=5.0 * HOUR),
    Event("p", "duration", time=0.9 * HOUR, sd=900.0),
)


def bench_of(events=EVENTS, **changes):
    """A fit behind a recorded voltage as the place to build others from."""
    time = HOUR * np.array([1.0, 1.2, 2.0, 6.0, 10.0])
    recording = Recording(time, np.array([3.2, 3.8, 3.95, 4.05, 4.3]))
    choices = dataclasses.replace(CHOICES, **changes)
    return Bench(setup.by_voltage(events, recording, choices), choices, FRAMES)


@pytest.fixture(scope="module")
def bench():
    return bench_of()


@pytest.fixture(scope="module")
def charged():
    steps = ["Charge at C/20 until 4.3 V", "Hold at 4.3 V until C/50"]
    protocol = diffelec.Protocol.from_strings(steps)
    return Bench(setup.by_protocol(EVENTS, protocol, CHOICES), CHOICES, FRAMES)


def sized(*radii):
    """The same events of particles whose table gives their radii."""
    return dataclasses.replace(EVENTS, radius=np.array(radii))


def drive_of(candidate):
    """Instants [h] from the start and values of the series that would be imposed."""
    drive = candidate.parts[0].forward.simulated.protocol.drive
    time = np.asarray(drive.time)
    return (time - time[0]) / HOUR, np.asarray(drive.value)


def seen_in(candidate):
    """Half cycle, change and direction of what would be measured of each particle."""
    model = candidate.parts[0].forward.simulated
    columns = model.particle, model.half_cycles, model.change, model.delithiates
    return sorted(zip(*columns, strict=True))


def test_a_time_is_known_to_a_frame_and_no_better_than_the_floor():
    sd = FRAMES.deviations(np.array([False, True]))
    np.testing.assert_allclose(sd[0] ** 2, 600.0**2 / 12.0 + 60.0**2)
    np.testing.assert_allclose(sd[1], np.sqrt(2.0) * sd[0])
    more = FRAMES.deviations(np.array([False, True]), 500.0)
    np.testing.assert_allclose(more**2, sd**2 + 500.0**2)


def test_times_that_may_be_outliers_tell_less_of_every_candidate(bench):
    plain, _ = candidates.build(bench, ["again"])
    robust, _ = candidates.build(bench_of(robust=True), ["again"])
    sd, wider = (found[0].parts[0].sd for found in (plain, robust))
    # Of Student's law of 4 degrees: (4 + 1) / (4 + 3) of the information.
    np.testing.assert_allclose(wider**2, 7.0 / 5.0 * sd**2, rtol=1e-6)


def test_the_frames_of_a_table_are_those_its_deviations_suggest():
    fitted = np.array([True, True, True])
    widths = [np.sqrt(12.0) * 600.0, HOUR, np.sqrt(6.0) * 900.0]
    np.testing.assert_allclose(interval_of(EVENTS, fitted), np.median(widths))
    only = np.array([False, True, False])
    np.testing.assert_allclose(interval_of(EVENTS, only), HOUR)
    bound = events_of(Event("p", "midpoint", after=HOUR, before=np.inf))
    with pytest.raises(ValueError, match="add --frame-interval-min"):
        interval_of(bound, np.array([True]))


@pytest.mark.parametrize(("interval", "floor"), [(0.0, 1.0), (np.inf, 1.0), (60.0, -1)])
def test_frames_that_cannot_be_are_refused(interval, floor):
    with pytest.raises(ValueError, match="must be finite and"):
        Frames(interval, floor)


def test_every_candidate_can_be_built_where_a_voltage_drives(bench):
    found, left_out = candidates.build(bench)
    assert [one.name for one in found] == list(candidates.CANDIDATES)
    assert left_out == []
    for one in found:
        for part in one.parts:
            num_events = len(part.forward.simulated.change)
            assert part.sd.shape == (num_events,)
            assert num_events % len(bench.kinds) == 0


@pytest.mark.parametrize("mechanism", ["network", "diffusion"])
def test_radii_of_a_table_and_of_the_option_make_the_same_fresh_cells(mechanism):
    free = ("diffusivity",)
    by_column = bench_of(sized(3e-6, 3e-6), mechanism=mechanism, free=free)
    by_option = bench_of(mechanism=mechanism, free=free, radius=3e-6)
    for paths in ((0,), (0, 1, 2)):
        (ours, space, _), (theirs, other, _) = (
            each.fresh(3, paths) for each in (by_column, by_option)
        )
        np.testing.assert_allclose(ours.radius, 3e-6)
        np.testing.assert_allclose(ours.radius, theirs.radius)
        raw = np.linspace(-1.0, 1.0, space.size)
        values = [s.flatten(s.constrain(raw)) for s in (space, other)]
        np.testing.assert_allclose(*values, rtol=1e-10)


@pytest.mark.parametrize("mechanism", ["network", "diffusion"])
def test_numbers_that_a_fresh_cell_shares_mean_what_they_meant_in_the_fit(mechanism):
    fitted = bench_of(sized(2e-6, 8e-6), mechanism=mechanism, free=("diffusivity",))
    before = fitted.setup.problem.space
    raw = np.linspace(-1.0, 1.0, before.size)
    known = dict(zip(before.labels, before.flatten(before.constrain(raw)), strict=True))
    numbers = dict(zip(before.labels, raw, strict=True))
    for count, paths in ((5, (0,)), (3, (0, 1, 2))):
        _, space, _ = fitted.fresh(count, paths)
        same = np.array([numbers.get(label, 0.0) for label in space.labels])
        values = space.flatten(space.constrain(same))
        shared = dict(zip(space.labels, values, strict=True))
        assert len(shared.keys() & known.keys()) == before.size - 2
        for label in shared.keys() & known.keys():
            np.testing.assert_allclose(shared[label], known[label], rtol=1e-12)


def test_fresh_particles_have_names_of_their_own():
    particles = ("new 2", "q")
    taken = bench_of(dataclasses.replace(EVENTS, particles=particles))
    space, labels = taken.fresh(3)[1:]
    assert labels == ("new 1", "new 3", "new 4")
    shared = {*space.labels} & {*taken.setup.problem.space.labels}
    assert not any(name in label for label in shared for name in (*particles, *labels))


def test_fresh_particles_are_as_large_as_the_fitted_ones_in_turn(charged):
    behind = bench_of(sized(2e-6, 8e-6))
    np.testing.assert_allclose(behind.fresh(3)[0].radius, [2e-6, 8e-6, 2e-6])
    with_way = behind.fresh(2, (0, 1))[0].radius
    np.testing.assert_allclose(with_way, [2e-6, 8e-6, 5e-6])
    protocol = charged.model.protocol
    beside = Bench(
        setup.by_protocol(sized(2e-6, 8e-6), protocol, CHOICES), CHOICES, FRAMES
    )
    electrode = beside.fresh(2)[0]
    np.testing.assert_allclose(electrode.radius, beside.setup.problem.electrode.radius)


def test_only_a_second_cycle_sees_the_same_particles(bench):
    space = bench.setup.problem.space
    for one in candidates.build(bench)[0]:
        new = one.new_labels(space)
        if one.name == "second-cycle":
            assert new == ()
        else:
            count = 4 if one.name == "particles" else 2
            assert len(new) == count
            assert all("contact radius new" in label for label in new)


def test_frames_four_times_as_frequent_leave_the_floor(bench):
    (coarse,), (fine,) = (
        candidates.CANDIDATES[name](bench).parts for name in ("again", "frames")
    )
    variance = coarse.sd**2 - fine.sd**2
    lasting = np.array([1.0, 2.0, 1.0, 2.0])
    expected = lasting * (600.0**2 - 150.0**2) / 12.0
    np.testing.assert_allclose(variance, expected, rtol=1e-10)


def test_faster_and_slower_run_through_the_same_voltages(bench):
    time, voltage = drive_of(candidates.again(bench))
    for name, speed in (("faster", 4.0), ("slower", 0.25)):
        found, same = drive_of(candidates.CANDIDATES[name](bench))
        np.testing.assert_allclose(found, time / speed, rtol=1e-12)
        np.testing.assert_array_equal(same, voltage)
        part = candidates.CANDIDATES[name](bench).parts[0]
        rows = part.forward.simulated.protocol.rows
        np.testing.assert_allclose(rows.duration, HOUR * found[-1])


def test_what_differs_in_numbers_only_shares_one_compiled_solve(bench):
    names = ("again", "frames", "faster", "slower", "hold")
    parts = [candidates.CANDIDATES[name](bench).parts[0] for name in names]
    trees = [jax.tree.structure(part) for part in parts]
    assert all(tree == trees[0] for tree in trees)
    shapes = [[np.shape(leaf) for leaf in jax.tree.leaves(part)] for part in parts]
    assert all(shape == shapes[0] for shape in shapes)


def test_a_hold_is_at_the_mean_voltage_from_its_first_minute_on(bench):
    before, voltage = drive_of(candidates.again(bench))
    mean = np.trapezoid(voltage, before) / (before[-1] - before[0])
    time, level = drive_of(candidates.hold(bench))
    assert time[-1] == pytest.approx(before[-1])
    assert time[1] == pytest.approx(60.0 / HOUR)
    assert level[0] == voltage[0]
    np.testing.assert_allclose(level[1:], mean, rtol=1e-12)


def test_a_second_cycle_runs_back_and_forth_again(bench):
    time, voltage = drive_of(candidates.again(bench))
    one = candidates.second_cycle(bench)
    model = one.parts[0].forward.simulated
    both, levels = drive_of(one)
    end = time[-1]
    np.testing.assert_allclose(both[-1], 3.0 * end)
    for at in (0.1, 3.3, 6.0):
        level = np.interp(at, time, voltage)
        for again in (at, 2.0 * end - at, 2.0 * end + at):
            np.testing.assert_allclose(np.interp(again, both, levels), level)
    spans = np.array(model.protocol.spans) / HOUR
    np.testing.assert_allclose(spans, end * np.array([[0, 1], [1, 2], [2, 3]]))
    assert model.half_cycle == 2
    assert model.delithiates


def test_particles_and_events_under_whole_traces_are_those_of_the_times(bench):
    frames = HOUR * np.linspace(1.5, 9.5, 40)
    brightness = np.linspace(0.0, 1.0, 40) * np.ones((2, 1))
    for labels in (("p", "q"), ("q", "other")):
        seen = binned(frames, labels, brightness)
        traced = whole.with_intensities(bench.setup, seen, 0.05)
        ours = dataclasses.replace(bench, setup=traced)
        assert (ours.particles, ours.kinds) == (bench.particles, bench.kinds)
        found, left_out = candidates.build(ours)
        assert [one.name for one in found] == list(candidates.CANDIDATES)
        assert left_out == []
        assert seen_in(found[0]) == seen_in(candidates.again(bench))


def test_known_paths_put_others_in_the_way(bench):
    part = candidates.known_paths(bench).parts[0]
    topology = part.electrode.network.topology
    assert topology.particle_labels == ("new 1", "new 2", "before new 2.0")
    assert len(part.forward.simulated.change) == 4


def test_a_protocol_is_run_faster_by_its_rates(charged):
    fast = candidates.faster(charged).parts[0].forward.simulated.protocol.rows
    np.testing.assert_allclose(fast.current_rate, [0.2, 0.0])
    np.testing.assert_allclose(fast.least_rate, [0.0, 0.08])
    np.testing.assert_allclose(fast.voltage, [0.0, 4.3])
    labels = candidates.again(charged).parts[0].electrode.network.topology
    assert labels.particle_labels[:3] == ("new 1", "new 2", "bath 0")


def test_what_is_run_through_faster_is_what_drove_the_fit(bench, charged):
    """That protocol only charges."""
    end = "run through 4 times as fast"
    assert candidates.faster(charged).text == f"a fresh cell, the protocol {end}"
    assert candidates.faster(bench).text == f"a fresh cell, the recorded voltage {end}"
    assert candidates.slower(charged).text.endswith("through in 4 times the time")


def test_a_protocol_is_charged_again_after_a_discharge(charged):
    model = candidates.second_cycle(charged).parts[0].forward.simulated
    assert model.protocol.half_cycles == (0, 0, 1, 2, 2)
    assert model.protocol.texts[2] == "Discharge at 0.05 C until 2.5 V"
    assert model.half_cycle == 2


@pytest.mark.parametrize("amount", ["200 pW", "50 pA"])
def test_a_discharge_is_by_what_the_charge_was_by(amount):
    protocol = diffelec.Protocol.from_strings([f"Charge at {amount} until 4.3 V"])
    fitted = Bench(setup.by_protocol(EVENTS, protocol, CHOICES), CHOICES, FRAMES)
    rows = candidates.second_cycle(fitted).parts[0].forward.simulated.protocol.rows
    for asked in (rows.current, rows.power):
        np.testing.assert_allclose(asked, asked[0] * np.array([1, -1, 1]))


def test_a_first_charge_by_a_voltage_has_no_rate_to_go_back_with():
    protocol = diffelec.Protocol.from_strings(["Hold at 4.1 V for 20 hours"])
    fitted = Bench(setup.by_protocol(EVENTS, protocol, CHOICES), CHOICES, FRAMES)
    with pytest.raises(ValueError, match=r"needs a first charge by a current or a pow"):
        candidates.second_cycle(fitted)


def test_what_a_fit_cannot_offer_is_said(charged):
    found, left_out = candidates.build(charged)
    names = [one.name for one in found]
    assert names == ["again", "frames", "particles", "second-cycle", "faster", "slower"]
    assert [text.split("'")[1] for text in left_out] == ["hold", "known-paths"]
    with pytest.raises(ValueError, match="'hold' needs a fit that a recorded voltage"):
        candidates.build(charged, ["again", "hold"])
    with pytest.raises(ValueError, match="must be one of again, frames"):
        candidates.build(charged, ["telepathy"])


def test_whether_an_event_happens_is_asked_of_its_own_half_cycle():
    electrode = diffelec.presets.single_particle(num_shells=5)
    label = electrode.network.topology.particle_labels[0]
    rows = [  # 0.32 is given off, 0.06 taken up
        Event(label, "midpoint", time=HOUR, sd=60.0, change=change, half_cycle=number)
        for change, number in ((0.2, 0), (0.2, 1), (0.03, 1))
    ]
    steps = ["Charge at C/10 for 5 hours", "Discharge at C/10 for 1 hour"]
    protocol = diffelec.Protocol.from_strings(steps)
    falls = [True, False]
    model = Simulated.of(
        *(electrode, protocol, events_of(*rows)),
        half_cycle=1,
        delithiates=falls,
        num_saved=11,
    )

    def times(current):
        rows = dataclasses.replace(protocol.rows, current_rate=current)
        changed = dataclasses.replace(protocol, rows=rows)
        forward = Watched(dataclasses.replace(model, protocol=changed))
        return forward(electrode).times

    rate = np.asarray(protocol.rows.current_rate)
    slopes = jax.jit(jax.jacfwd(times))(rate)
    told = np.any(np.asarray(slopes) != 0, axis=1)
    np.testing.assert_array_equal(told, [True, False, True])


def test_an_event_that_does_not_happen_has_no_slopes():
    electrode = diffelec.presets.single_particle(num_shells=5)
    label = electrode.network.topology.particle_labels[0]
    rows = [Event(label, "midpoint", time=HOUR, sd=60.0, change=c) for c in (0.05, 0.9)]
    rows.append(Event(label, "duration", time=HOUR, sd=60.0, change=0.9))
    protocol = diffelec.Protocol.from_strings(["Charge at C/10 for 2 hours"])
    model = Simulated.of(electrode, protocol, events_of(*rows), num_saved=11)

    def times(forward, current):
        rows = dataclasses.replace(protocol.rows, current_rate=current[None])
        changed = dataclasses.replace(
            model, protocol=dataclasses.replace(protocol, rows=rows)
        )
        return forward(changed)(electrode).times

    rate = np.asarray(protocol.rows.current_rate)[0]
    plain = jax.jit(jax.jacfwd(lambda c: times(lambda m: m, c)))(rate)
    seen = jax.jit(jax.jacfwd(lambda c: times(Watched, c)))(rate)
    assert np.all(np.abs(plain) > 1.0)
    np.testing.assert_allclose(seen[0], plain[0], rtol=1e-10)
    np.testing.assert_array_equal(seen[1:], 0.0)
