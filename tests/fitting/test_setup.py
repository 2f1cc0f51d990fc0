import dataclasses

import numpy as np
import pytest

import diffelec
from fitting import setup
from fitting.events import Event, Events
from fitting.recording import Recording

HOUR = 3600.0


def events():
    rows = [
        Event("p", "midpoint", time=3 * HOUR, sd=600.0, radius=4e-6),
        Event("q", "midpoint", after=5 * HOUR, before=np.inf),
        Event("p", "duration", time=HOUR, sd=600.0),
    ]
    return Events.from_rows(rows)


def recording():
    """A charge from 1 h to 9 h and a discharge to 15 h."""
    hours = np.array([1.0, 5.0, 9.0, 9.1, 15.0])
    voltage, current = [3.3, 3.9, 4.3, 4.2, 3.0], 1e-3 * np.array([1, 1, 1, -1, -1])
    return Recording(HOUR * hours, np.array(voltage), current)


def names(prepared):
    return [free.name for free in prepared.problem.space.frees]


def test_a_recorded_voltage_drives_imaged_particles_alone():
    prepared = setup.by_voltage(events(), recording().half_cycle(), setup.Choices())
    electrode = prepared.problem.electrode
    assert electrode.network.topology.particle_labels == ("p", "q")
    np.testing.assert_allclose(electrode.radius, [4e-6, 5e-6])
    assert prepared.forward.origin == HOUR
    assert all(prepared.forward.delithiates)
    assert names(prepared) == [
        "log10 contact radius",
        "log10 conductivity",
        "log10 diffusivity",
    ]


def test_a_discharge_is_told_by_its_current_where_voltage_rises_in_the_rest_after_it():
    volts = np.array([3.3, 4.2, 4.1, 3.96, 4.15, 4.19])
    current = 1e-3 * np.array([1, 1, -3, -3, 0, 0])
    relaxing = Recording(
        HOUR * np.array([1.0, 9.0, 9.1, 9.5, 9.6, 12.0]), volts, current
    )
    late = events().shift(8 * HOUR)
    prepared = setup.by_voltage(late, relaxing, setup.Choices(), 1)
    assert not any(prepared.forward.delithiates)


def test_a_discharge_is_seen_as_such_after_the_charge_before_it():
    late = events().shift(8 * HOUR)
    prepared = setup.by_voltage(late, recording(), setup.Choices(), 1)
    assert not any(prepared.forward.delithiates)
    assert prepared.forward.half_cycle == 1
    assert prepared.forward.origin == HOUR


@pytest.mark.parametrize("build", [setup.by_voltage, setup.by_current])
def test_what_a_cycler_s_zero_reads_in_a_rest_begins_no_half_cycle(build):
    """Nanoamperes of either sign between a charge and a discharge."""
    time = HOUR * np.arange(0.0, 15.0, 0.25)
    current = np.where(time < 6 * HOUR, 1e-3, np.where(time < 9 * HOUR, 0.0, -1e-3))
    rest = current == 0
    noise = 1e-8 * np.random.default_rng(0).standard_normal(time.size)
    volts = np.interp(time / HOUR, [0, 6, 9, 15], [3.4, 4.3, 4.2, 3.0])
    noisy = Recording(time, volts, np.where(rest, noise, current))
    rows = [
        Event("p", "midpoint", time=t * HOUR, sd=600.0, half_cycle=k)
        for k, t in enumerate((3, 12))
    ]
    prepared = build(Events.from_rows(rows), noisy, setup.Choices(num_shells=3), 1)
    found = prepared.problem.forward
    assert found.delithiates == (True, False)
    np.testing.assert_allclose(found.protocol.spans, noisy.half_cycles(), atol=1e-6)


@pytest.mark.parametrize("build", [setup.by_voltage, setup.by_current])
def test_half_cycles_begin_where_they_did_in_a_current_that_ramps(build):
    """From charge to discharge along a line, of which thinning needs the ends alone."""
    time = HOUR * np.arange(21.0)
    current = 1e-3 * np.interp(time / HOUR, [7.5, 17.5], [1.0, -1.0])
    volts = np.interp(time / HOUR, [0, 12, 20], [3.4, 4.3, 3.3])
    ramped = Recording(time, volts, current)
    rows = [
        Event("p", "midpoint", time=t * HOUR, sd=600.0, half_cycle=k)
        for k, t in enumerate((3, 18))
    ]
    prepared = build(Events.from_rows(rows), ramped, setup.Choices(num_shells=3), 1)
    found = prepared.problem.forward.protocol.spans
    np.testing.assert_allclose(found, ramped.half_cycles(), atol=1e-6)
    assert found[1][0] == pytest.approx(13 * HOUR)


@pytest.mark.parametrize("build", [setup.by_voltage, setup.by_current])
@pytest.mark.parametrize("known", [True, False])
def test_a_recording_that_begins_with_a_discharge_is_refused(build, known):
    hours = np.array([1.0, 5.0, 9.0, 9.1, 15.0])
    voltage = np.array([4.3, 3.9, 3.0, 3.3, 4.2])
    current = 1e-3 * np.array([-1, -1, -1, 1, 1])
    begun = Recording(HOUR * hours, voltage, current if known else None)
    words = "must begin with the first charge" if known else "first charge|recorded to"
    with pytest.raises(ValueError, match=words):
        build(events(), begun, setup.Choices())


def test_a_voltage_that_is_held_is_no_discharge():
    held = Recording(HOUR * np.array([1.0, 9.0]), np.array([4.3, 4.3]))
    setup.by_voltage(events(), held, setup.Choices())


def test_the_series_drop_is_taken_off_the_recorded_voltage():
    choices = setup.Choices(series_resistance=100.0)
    prepared = setup.by_voltage(events(), recording().half_cycle(), choices)
    first = prepared.forward.protocol.drive.value[0]
    assert first == pytest.approx(3.3 - 100.0 * 1e-3)


def test_kinds_left_out_are_predicted_only():
    choices = setup.Choices(left_out=("duration",))
    prepared = setup.by_voltage(events(), recording().half_cycle(), choices)
    np.testing.assert_array_equal(prepared.fitted, [True, True, False])
    assert len(prepared.problem.forward.change) == 2
    assert len(prepared.forward.change) == 3


def test_intervals_without_a_scale_are_refused_before_a_search_also_if_left_out():
    rows = [
        Event("p", "midpoint", time=3 * HOUR, sd=600.0),
        Event("p", "duration", after=HOUR, before=2 * HOUR),
    ]
    choices = setup.Choices(edge_sd=0.0, left_out=("duration",))
    with pytest.raises(ValueError, match="give `edge_sd` or `discrepancy`"):
        setup.by_voltage(Events.from_rows(rows), recording().half_cycle(), choices)


def test_one_level_of_the_conductivity_is_held():
    prepared = setup.by_voltage(events(), recording().half_cycle(), setup.Choices())
    labels = prepared.problem.space.labels
    assert any("conductivity at x=0.9 " in label for label in labels)
    assert not any("conductivity at x=1 " in label for label in labels)
    assert any("identifiable" in remark for remark in prepared.problem.space.remarks)


@pytest.mark.parametrize(
    ("free", "name"),
    [
        ("diffusivity-scale", "scale of diffusivity"),
        ("exchange-current", "scale of rate_constant"),
        ("radius", "log10 radius"),
    ],
)
def test_what_is_chosen_is_free(free, name):
    choices = setup.Choices(free=(free,))
    prepared = setup.by_voltage(events(), recording().half_cycle(), choices)
    assert names(prepared) == ["log10 contact radius", name]


def test_a_free_clock_belongs_to_the_events():
    choices = setup.Choices(free=("clock",), clock_sd=60.0)
    space = setup.by_voltage(events(), recording().half_cycle(), choices).problem.space
    moved = space.constrain(np.ones(space.size))
    assert float(space.clock_offset(moved)) == pytest.approx(60.0)


def test_a_protocol_counts_from_its_half_cycle_or_from_its_start():
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/20 until 4.3 V", "Discharge at C/20 for 1 hour"]
    )
    for from_start, origin in ((False, None), (True, 0.0)):
        for half, charges in ((0, True), (1, False)):
            forward = setup.by_protocol(
                *(events(), protocol, setup.Choices(), half), from_start=from_start
            ).forward
            assert (forward.origin, all(forward.delithiates)) == (origin, charges)
    with pytest.raises(ValueError, match="among the first 2, but is number 3"):
        setup.by_protocol(events(), protocol, setup.Choices(), 2)


def test_a_protocol_that_begins_with_a_discharge_of_full_particles_is_refused():
    protocol = diffelec.Protocol.from_strings(
        [
            "Rest for 1 hour",
            "Discharge at C/20 until 2.5 V",
            "Charge at C/20 for 1 hour",
        ]
    )
    for half in (0, 1):
        with pytest.raises(
            ValueError, match=r"begin with a charge, .* is a discharge;"
        ):
            setup.by_protocol(events(), protocol, setup.Choices(), half)


def test_a_protocol_has_no_current_of_a_cell_for_a_resistance_to_drop():
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 until 4.3 V"])
    with pytest.raises(ValueError, match=r"must be 0 behind a protocol, .* is 100"):
        setup.by_protocol(events(), protocol, setup.Choices(series_resistance=100.0))


@pytest.mark.parametrize("amount", ["C/5", "50 pA", "200 pW"])
def test_a_discharge_lithiates_whatever_controls_it(amount):
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/5 until 4.2 V", f"Discharge at {amount} until 3 V"]
    )
    prepared = setup.by_protocol(events(), protocol, setup.Choices(), 1)
    assert not any(prepared.forward.delithiates)


def test_the_bath_carries_the_current_of_an_asynchronous_cathode():
    protocol = diffelec.Protocol.from_strings(["Charge at C/20 until 4.3 V"])
    prepared = setup.by_protocol(events(), protocol, setup.Choices(num_shells=6))
    solution = diffelec.simulate(
        prepared.problem.electrode, protocol, rtol=1e-4, num_saved=21
    )
    midpoints = np.asarray(solution.change_times(0, 0.25)) / HOUR
    bath = midpoints[2:]
    assert 18.0 < float(solution.step_end_times[0]) / HOUR < 22.0
    assert np.all(np.diff(bath) > 1.0)
    assert bath[-1] < 16.0
    at_5h = np.interp(5.0, np.asarray(solution.time) / HOUR, solution.voltage)
    assert 3.7 < at_5h < 3.95


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"free": ("kappa",)}, "'kappa' is not"),
        ({"free": ("diffusivity", "diffusivity-scale")}, "drop one of"),
        ({"radius": 5.0}, "between 0.01 and 1000 um, but is 5e"),
        ({"edge_sd": -1.0}, "`edge_sd` must be finite and 0 or more"),
        ({"discrepancy": np.nan}, "`discrepancy` must be finite"),
    ],
)
def test_choices_that_cannot_be_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(setup.Choices(), **changes)


def test_materials_are_those_that_are_there():
    assert isinstance(setup.material("nmc811"), diffelec.Curves)
    for name in ("nmc532_diffusivity", "rate_constant", "nmc"):
        with pytest.raises(ValueError, match="one of nmc532, nmc811"):
            setup.material(name)


@pytest.mark.parametrize(
    ("build", "mechanism"),
    [
        (setup.by_voltage, "network"),
        (setup.by_voltage, "autocatalytic"),
        (setup.by_current, "network"),
    ],
)
def test_a_material_brings_its_lithium_sites_and_keeps_its_reaction(build, mechanism):
    """i0 at x = 0.5 is 1 A/m2, whatever the material and the explanation."""
    choices = setup.Choices(mechanism, ("diffusivity",), "nmc811", num_shells=3)
    electrode = build(events(), recording(), choices).problem.electrode
    assert electrode.maximum_concentration == diffelec.materials.NMC811_CONCENTRATION
    rate = electrode.curves.rate_constant(0.5)
    i0 = electrode.kinetics.exchange_current_density(
        0.5, rate, electrode.maximum_concentration
    )
    assert float(i0) == pytest.approx(1.0, rel=1e-6)
