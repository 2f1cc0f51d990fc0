"""What a sweep varies: how ranges are written, and what they change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from fitting import parameters, quantities


def varied(text, electrode, value):
    """The electrode with a quantity at a value, in what its `Free` counts in."""
    free = quantities.free_of(quantities.parsed(text))
    space = parameters.ParameterSpace((free,))
    return space.insert(electrode, {free.name: jnp.array([value])})


@pytest.mark.parametrize(
    ("text", "part", "factor"),
    [
        ("conductivity", lambda e: e.curves.conductivity(jnp.array(0.9)), 2.0),
        ("diffusivity", lambda e: e.curves.diffusivity(jnp.array(0.9)), 2.0),
        ("exchange-current", lambda e: e.curves.rate_constant(jnp.array(0.9)), 2.0),
        ("contact-radius", lambda e: e.network.shape_tail, 0.5),
        ("contact-radius", lambda e: e.network.shape_head, 0.5),
        ("radius", lambda e: e.radius, 2.0),
        ("current", lambda e: e.one_c_range, 2.0),
    ],
)
def test_a_factor_multiplies(text, part, factor):
    before = diffelec.presets.sharma2022()
    after = varied(f"{text}=0.1:10", before, np.log10(2.0))
    np.testing.assert_allclose(part(after), factor * part(before), rtol=1e-12)
    same = [
        np.array_equal(one, other)
        for one, other in zip(
            jax.tree.leaves(before), jax.tree.leaves(after), strict=True
        )
    ]
    changed = 2 if text == "contact-radius" else 1
    assert same.count(False) == changed


@pytest.mark.parametrize(
    ("text", "part", "value"),
    [
        ("initial-stoichiometry=0.5:0.9", lambda e: e.initial_stoichiometry, 0.7),
        ("temperature=280:320", lambda e: e.temperature, 300.0),
        ("series-resistance=0:100", lambda e: e.series_resistance, 30.0),
    ],
)
def test_a_value_replaces(text, part, value):
    before = diffelec.presets.sharma2022()
    after = varied(text, before, value)
    assert np.shape(part(after)) == np.shape(part(before))
    np.testing.assert_array_equal(part(after), value)


def test_every_quantity_is_tried():
    tried = {"initial-stoichiometry", "temperature", "series-resistance"} | {
        *("conductivity", "diffusivity", "exchange-current"),
        *("contact-radius", "radius", "current"),
    }
    assert set(quantities.QUANTITIES) == tried


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (["Charge at C/20 until 4.3 V"], None),
        (["Rest for 1 hour", "Discharge at C/5 until 3 V"], None),
        (["Hold at 4.2 V until C/50"], None),
        (["Charge at 30 pA for 2 hours"], r"step 1 \('Charge at 30 pA for 2 hours'\)"),
        (["Charge at C/20 until 4.3 V", "Discharge at 1 nA until 3 V"], "step 2"),
        (["Charge at C/9 until 4 V", "Discharge at 1 nW until 3 V"], "step 2"),
        (["Charge at C/9 until 4 V", "Hold at 4 V until 1 pA"], "step 2"),
        (["Hold at 4.2 V for 1 hour"], "but it has none; write such as C/10"),
    ],
)
def test_a_factor_on_the_current_is_one_on_rates(steps, words):
    protocol = diffelec.Protocol.from_strings(steps)
    one, other = (
        parameters.ParameterSpace((quantities.free_of(quantities.parsed(text)),))
        for text in ("current=0.5:2", "diffusivity=0.5:2")
    )
    quantities.check_rates(other, protocol)
    if words is None:
        quantities.check_rates(one, protocol)
        return
    with pytest.raises(ValueError, match=words):
        quantities.check_rates(one, protocol)


def test_a_factor_on_a_recorded_current_is_refused():
    time, values = np.array([0.0, 1.0]), np.array([1.0, 1.0])
    free = quantities.free_of(quantities.parsed("current=0.5:2"))
    space = parameters.ParameterSpace((free,))
    for drive, words in (("current", "step 1"), ("voltage", "it has none")):
        protocol = diffelec.Protocol.from_recording(
            time, **{drive: values}, control=drive
        )
        with pytest.raises(ValueError, match=words):
            quantities.check_rates(space, protocol)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "porosity=1:2",
            "among conductivity, .* names 'porosity'; write NAME=LOW:HIGH",
        ),
        ("diffusivity", "must be NAME=LOW:HIGH, .* but is 'diffusivity'"),
        ("diffusivity=1:x", "must be NAME=LOW:HIGH, .* but is 'diffusivity=1:x'"),
        ("diffusivity=1:2:3:4", "must be NAME=LOW:HIGH"),
        ("diffusivity=1:2:2.5", "must be NAME=LOW:HIGH"),
        ("diffusivity=1_0:20", "must be NAME=LOW:HIGH, .* is 'diffusivity=1_0:20'"),
        ("diffusivity=1:2:1_0", "must be NAME=LOW:HIGH"),
        ("diffusivity=٣:5", "must be NAME=LOW:HIGH"),
        ("diffusivity=2:1:3", "the lower one first, but are 2 and 1"),
        ("diffusivity=nan:1:3", "must be numbers"),
        ("temperature=1:inf:3", "must be numbers"),
        (
            "diffusivity=0:1:3",
            "factors on 'diffusivity' must be positive, but .* from 0",
        ),
        ("temperature=-5:300", "values of 'temperature' must be 200 or more, but"),
        ("temperature=20:60", r"from 20 to 60; add 273\.15 to a value in °C"),
        ("series-resistance=-1:1", "must be 0 or more, but"),
        ("initial-stoichiometry=0.5:1:3", "must be positive and below 1, but .* to 1"),
        ("initial-stoichiometry=0:0.5:3", "must be positive and below 1, but"),
        ("diffusivity=0.1:1:0", "1 value or more, but 'diffusivity=0.1:1:0' asks none"),
        ("diffusivity=1:1", "a range with two ends, but 'diffusivity=1:1' has one"),
    ],
)
def test_a_range_that_cannot_be_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        quantities.parsed(text)
