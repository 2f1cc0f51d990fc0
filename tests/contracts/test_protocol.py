"""Phrases, rows, half cycles and recordings."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffelec import protocol
from diffelec.control import Row
from diffelec.protocol import CutOff, Protocol

INF = np.inf
HOUR = CutOff(duration=3600.0)


def row_of(text):
    """The fields of a phrase's row that differ from an empty row."""
    rows = Protocol.from_strings([text]).rows
    fields = {name: float(value[0]) for name, value in vars(rows).items()}
    empty = {name: float(value) for name, value in vars(Row()).items()}
    return {name: v for name, v in fields.items() if v != empty[name]}


def current_row(**fields):
    return {"weight_current": 1.0, **fields}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Charge at C/20 until 4.3 V",
            current_row(current_rate=0.05, upper_voltage=4.3),
        ),
        (
            "Discharge at C/20 until 2.5 V",
            current_row(current_rate=-0.05, lower_voltage=2.5),
        ),
        ("Charge at 0.5C until 4.3V", current_row(current_rate=0.5, upper_voltage=4.3)),
        ("Charge at 1C for 30 minutes", current_row(current_rate=1.0, duration=1800.0)),
        (
            "Discharge at 2 mA for 3 hours or until 2.5 V",
            current_row(current=-2e-3, duration=10800.0, lower_voltage=2.5),
        ),
        (
            "Charge at 2e-11 A until 4.3 V or for 90 seconds",
            current_row(current=2e-11, duration=90.0, upper_voltage=4.3),
        ),
        (
            "Charge at 20 pA for 2 hours or until 4.3 V",
            current_row(current=2e-11, duration=7200.0, upper_voltage=4.3),
        ),
        (
            "Charge at 1 mW for 1 hour",
            {"weight_power": 1.0, "power": 1e-3, "duration": 3600.0},
        ),
        (
            "Discharge at 3 uW until 3000 mV",
            {"weight_power": 1.0, "power": -3e-6, "lower_voltage": 3.0},
        ),
        (
            "Hold at 4.3 V until C/50",
            {"weight_voltage": 1.0, "voltage": 4.3, "least_rate": 0.02},
        ),
        (
            "Hold at 4.3 V until 5 uA",
            {"weight_voltage": 1.0, "voltage": 4.3, "least_current": 5e-6},
        ),
        (
            "Hold at 2.5 V for 2 hours or until C/100",
            {
                "weight_voltage": 1.0,
                "voltage": 2.5,
                "least_rate": 0.01,
                "duration": 7200.0,
            },
        ),
        (
            "Hold at 4.3 V until C/50 or until 5 uA",
            {
                "weight_voltage": 1.0,
                "voltage": 4.3,
                "least_rate": 0.02,
                "least_current": 5e-6,
            },
        ),
        (
            "HOLD AT 2.5 V FOR 2 H OR UNTIL C/100",
            {
                "weight_voltage": 1.0,
                "voltage": 2.5,
                "least_rate": 0.01,
                "duration": 7200.0,
            },
        ),
        ("Rest for 1 hour", current_row(duration=3600.0)),
        ("rest for 10 min", current_row(duration=600.0)),
        ("  REST FOR 1 DAY ", current_row(duration=86400.0)),
        ("Rest for 45 s", current_row(duration=45.0)),
    ],
)
def test_a_phrase_becomes_its_row(text, expected):
    found = row_of(text)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-14)


def test_both_letters_mu_and_numbers_that_begin_with_a_point_are_read():
    rows = [
        row_of(f"Charge at {x}A for 1 h") for x in ("50 \u00b5", "50 \u03bc", ".05e-3 ")
    ]
    assert rows[0] == rows[1]
    for name, value in rows[0].items():
        np.testing.assert_allclose(rows[2][name], value, rtol=1e-14)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Explode at C/20 until 4.3 V", "'explode' is not one of Charge, Discharge"),
        ("Charge until 4.3 V", "'charge' needs an amount after 'at'"),
        ("Hold for 2 hours", "'hold' needs an amount"),
        ("Charge at C/0 until 4.3 V", "'C/0' is not an amount with a unit"),
        ("Charge at 5 until 4.3 V", "'5' is not an amount with a unit"),
        ("Charge at 1e400 A until 4.3 V", "'1e400 A' is not an amount with a unit"),
        ("Charge at 2 parsec until 4.3 V", "the unit 'parsec' is unknown"),
        ("Charge at 4.3 V until C/50", "cannot charge at '4.3 V'; give a C-rate"),
        ("Hold at 2 mA until 4.3 V", "a hold is at a voltage, not at '2 mA'"),
        ("Charge at -2 mA until 4.3 V", "'-2 mA' must be positive; the verb gives"),
        ("Charge at 0C until 4.3 V", "must be positive; the verb gives"),
        ("Charge at C/20 for 4.3 V", "'for 4.3 V' is not an end of a step"),
        ("Charge at C/20 until 2 hours", "'until 2 hours' is not an end of a step"),
        ("Hold at 4.3 V until 50 mA or 2 hours", "'2 hours' does not begin with 'for'"),
        ("Charge at C/20 until 4.3 V or", "'4.3 V or' is not an amount"),
        ("Charge at C/20 for -2 hours", "time in 'for -2 hours' must be positive"),
        ("Rest for 0 s", "the time in 'for 0 s' must be positive, or the step left"),
        ("Charge at C/20 until", "not"),
        ("", "not of the form 'VERB at AMOUNT until LIMIT'"),
    ],
)
def test_a_phrase_that_means_nothing_is_quoted_with_an_example(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        Protocol.from_strings([text])
    assert f"'{text}' is not understood" in str(caught.value)
    assert "Charge at C/20 until 4.3 V" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Charge at C/20", r"it has no end; add 'until 4\.3 V' or 'for 2 hours'"),
        ("Hold at 4.3 V", "it has no end"),
        ("Rest", "a rest needs a time; write 'Rest for 1 hour'"),
        ("Hold at 4.3 V until 4.2 V", "a hold cannot end at a voltage"),
    ],
)
def test_a_step_without_an_end_is_refused_by_its_number(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        Protocol.from_strings(["Rest for 1 hour", text])
    assert f"Step 2 of the protocol ('{text}')" in str(caught.value)


def test_one_phrase_in_place_of_a_list_is_refused():
    with pytest.raises(ValueError, match=r"must be a list of phrases.*\['Rest for 1 h"):
        Protocol.from_strings("Rest for 1 hour")


@dataclasses.dataclass(frozen=True)
class Load(protocol.AbstractStep):
    """A step of one's own: through a resistor, V + r I / I_1C = 0."""

    sign: object = -1
    text: object = "through a load"

    def row(self):
        return Row(weight_voltage=1.0, weight_current=40.0, lower_voltage=2.5)


class Nameless(protocol.AbstractStep):
    sign = -1

    def row(self):
        return Row(weight_current=1.0, current=-1e-9, duration=60.0)


class Own(protocol.AbstractStep):
    """A step of one's own, of any numbers."""

    sign, text = 1, "of one's own"

    def __init__(self, **numbers):
        self.numbers = numbers

    def row(self):
        return Row(**self.numbers)


@pytest.mark.parametrize("sign", [-1, -1.0, np.int64(-1), jnp.array(-1)])
def test_a_step_of_ones_own_opens_a_half_cycle_by_its_sign(sign):
    steps = [protocol.parse_step("Charge at C/20 until 4.3 V"), Load(sign)]
    assert Protocol.from_steps(steps).half_cycles == (0, 1)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([Load(-5)], r"'through a load'\).* its sign must be 1, -1, 0 or None.*is -5"),
        ([Load("-1")], "its sign must be 1, -1, 0 or None"),
        ([Load(text=None)], "Step 1 .* `text` must be what messages call it.* is None"),
        ([Nameless()], "Step 1 .*Nameless.* `text` must be what messages call it"),
        ([Own(duration=60.0)], "its row must weigh .* but weighs none"),
        ([Own(weight_current=1.0, current_rate=0.05)], "its row has no end; give it a"),
        (None, "`steps` must be a list of steps, such as .* but is None"),
        (["Rest for 1 hour"], r"but number 0 \(from 0\) is 'Rest for 1 hour'"),
        (
            [protocol.Recorded("power", 60.0)],
            "its quantity must be 'current' or 'voltage'",
        ),
        (
            [protocol.Recorded("current", 60.0)],
            "follows a recorded series, but there is n",
        ),
        (
            [protocol.Rest(protocol.CutOff(duration=-60.0))],
            "duration must be above 0 .*-60",
        ),
        (
            [protocol.Rest(protocol.CutOff(duration=np.nan))],
            "must be one finite number.*nan",
        ),
        (
            [protocol.ConstantVoltage(2.5, CutOff(current=-1e-12, duration=60.0))],
            "its least_current is a magnitude, 0 or more, but is -1e-12",
        ),
        (
            [protocol.ConstantVoltage(2.5, CutOff(rate=-0.02, duration=60.0))],
            "its least_rate is a magnitude, 0 or more, but is -0.02",
        ),
        (
            [protocol.ConstantCurrent(1e-9, -0.05, HOUR)],
            "its current, 1e-09 A, and its rate, -0.05 C, must be of one sign",
        ),
        (
            [protocol.ConstantVoltage(np.inf, HOUR)],
            "its voltage must be one finite number",
        ),
        (
            [protocol.ConstantVoltage(None, HOUR)],
            "`voltage` must hold numbers, but is None",
        ),
        (
            [protocol.ConstantCurrent("1e-9", end=HOUR)],
            "its `current` must be a number, but is '1e-9'",
        ),
        (
            [protocol.ConstantCurrent(np.nan, end=HOUR)],
            "its current must be one finite number, but is nan",
        ),
        ([protocol.ConstantPower(None, HOUR)], "its `power` must be a number, but is"),
        (
            [protocol.ConstantVoltage(2.5, CutOff(rate="C/50"))],
            "its `end.rate` must be a number, but is 'C/50'",
        ),
        ([protocol.Rest(60.0)], "its `end` must be a .*CutOff, such as .* but is 60.0"),
        (
            [protocol.ConstantCurrent(1e-9, end=4.3)],
            "its `end` must be a .*CutOff, such as .* but is 4.3",
        ),
    ],
)
def test_steps_that_cannot_be_are_refused_as_they_are_put_together(steps, message):
    with pytest.raises(ValueError, match=message):
        Protocol.from_steps(steps)


def test_what_is_no_recorded_series_is_refused():
    with pytest.raises(ValueError, match=r"`drive` must be a .*Drive, but is a list"):
        Protocol.from_steps([protocol.Rest(HOUR)], [0.0, 1.0])
    with pytest.raises(ValueError, match=r"`control` must be 'current' or 'voltage'"):
        Protocol.from_recording([0.0, 1.0], voltage=[4.0, 4.1], control=["voltage"])


def test_the_set_point_of_a_hold_may_be_of_a_transformation_but_not_a_sign():
    def held(voltage):
        return Protocol.from_steps(
            [protocol.ConstantVoltage(voltage, HOUR)]
        ).rows.voltage

    assert jax.jit(held)(4.1) == 4.1
    with pytest.raises(
        ValueError, match="its sign must be known, but a transformation"
    ):
        jax.jit(lambda i: Protocol.from_steps([protocol.ConstantCurrent(i, end=HOUR)]))(
            1.0
        )


@pytest.mark.parametrize("name", ["current", "rate", "voltage", "duration"])
def test_where_a_step_ends_may_be_of_a_transformation(name):
    row = {"current": "least_current", "rate": "least_rate", "voltage": "upper_voltage"}

    def ended(value):
        step = protocol.ConstantVoltage(4.1, CutOff(**{name: value}))
        if name == "voltage":
            step = protocol.ConstantCurrent(1e-9, end=CutOff(voltage=value))
        return getattr(Protocol.from_steps([step]).rows, row.get(name, name))

    assert jax.jit(ended)(0.02) == 0.02


@pytest.mark.parametrize("name", ["time", "current"])
def test_what_half_cycles_are_read_off_may_not_be_of_a_transformation(name):
    series = {"time": np.arange(3.0), "current": np.ones(3)}

    def made(values):
        known = series | {name: values}
        return Protocol.from_recording(**known, control="current").drive

    with pytest.raises(
        ValueError, match=r"`time` and `current` must be known.*tree_at"
    ):
        jax.jit(made)(series[name])


def test_dates_of_a_recording_are_refused():
    dates = np.array(["2026-01-01T00", "2026-01-01T01"], "datetime64[ns]")
    with pytest.raises(ValueError, match=r"`time` must be a list of numbers \[s\]"):
        Protocol.from_recording(dates, voltage=[3.7, 3.8])


def test_a_protocol_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="one step or more, but has none"):
        Protocol.from_strings([])


CHARGE, DISCHARGE = "Charge at C/20 until 4.3 V", "Discharge at C/20 until 2.5 V"
HOLD, REST = "Hold at 4.3 V until C/50", "Rest for 1 hour"
POWER = "Charge at 1 mW for 1 hour"


@pytest.mark.parametrize(
    ("strings", "numbers"),
    [
        ([CHARGE, HOLD, DISCHARGE], (0, 0, 1)),
        ([CHARGE, HOLD, REST, DISCHARGE, REST, CHARGE], (0, 0, 0, 1, 1, 2)),
        ([REST, CHARGE, DISCHARGE], (-1, 0, 1)),
        ([REST, REST], (-1, -1)),
        ([HOLD, REST], (0, 0)),
        ([REST, HOLD, DISCHARGE], (-1, 0, 1)),
        ([CHARGE, REST, CHARGE, DISCHARGE], (0, 0, 0, 1)),
        ([CHARGE, POWER, DISCHARGE, DISCHARGE], (0, 0, 1, 1)),
        ([DISCHARGE, CHARGE], (0, 1)),
    ],
)
def test_half_cycles_are_counted_from_each_turn_of_the_current(strings, numbers):
    made = Protocol.from_strings(strings)
    assert made.half_cycles == numbers
    assert made.texts == tuple(strings)
    assert made.rows.duration.shape == (made.num_steps,)


def test_a_voltage_limit_lies_below_on_discharge_and_above_else():
    end = CutOff(voltage=3.0)
    assert end.fields(-1)["lower_voltage"] == 3.0
    assert end.fields(1)["upper_voltage"] == 3.0
    assert "lower_voltage" not in end.fields(1)
    assert protocol.ConstantCurrent(current=-1.0, end=end).row().lower_voltage == 3.0
    assert protocol.ConstantPower(power=1.0, end=end).row().upper_voltage == 3.0
