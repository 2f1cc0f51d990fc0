"""What `simulate` refuses before it solves anything, in the user's words."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec

ELECTRODE = diffelec.presets.single_particle()
HOUR = diffelec.Protocol.from_strings(["Rest for 1 hour"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rtol": 0.0}, "`rtol` must lie between 0 and 1, but is 0.0"),
        ({"rtol": "1e-5"}, "`rtol` must lie between 0 and 1, but is '1e-5'"),
        ({"atol": np.ones(2)}, r"`atol` must lie between 0 and 1, but is array\("),
        ({"num_saved": 2.5}, "`num_saved` must be a whole number, 2 or more, but is 2"),
        ({"max_steps": True}, "`max_steps` must be a whole number, .*, but is True"),
        ({"max_steps": 0}, "`max_steps` must be a whole number, 1 or more, but is 0"),
        ({"method": "rodas"}, "`RODAS5P`, but is 'rodas'"),
        ({"network_solver": "dense"}, "`Krylov`, but is 'dense'"),
        ({"network_solver": dict}, "`Krylov`, but is <class 'dict'>"),
        ({"meter": "bar"}, r"`diffrax.TqdmProgressMeter\(\)`, but is 'bar'"),
        ({"times": [3.0, None]}, r"number 1 \(from 0\) is none; leave it out"),
        ({"times": jnp.array([jnp.nan, 3.0])}, r"number 0 \(from 0\) is none"),
        ({"times": np.array([3.0j])}, r"`times` must be numbers \[s\], but are array"),
        ({"times": 3.0}, r"one list of instants \[s\], but have the shape \(\)"),
        ({"times": np.zeros((2, 2))}, r"but have the shape \(2, 2\)"),
        ({"times": ["a"]}, r"`times` must be numbers \[s\], but are \['a'\]"),
        (
            {"times": np.ma.array([1.0, 2.0], mask=[0, 1])},
            r"number 1 .* is none; leave",
        ),
        (
            {"times": np.array([0, 9], "datetime64[s]")},
            "`times` must be numbers",
        ),
        ({"times": np.array([0, 9], "timedelta64[s]")}, "`times` must be numbers"),
        ({"rtol": None}, "`rtol` must lie between 0 and 1, but is None"),
        ({"dtype": "double precision"}, "float32, but is 'double precision'"),
        ({"dtype": "float16"}, "`dtype` must be float64 or float32, but is float16"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        diffelec.simulate(ELECTRODE, HOUR, **settings)


def test_a_rest_alone_has_no_onsets():
    rested = diffelec.simulate(ELECTRODE, HOUR, num_saved=np.int64(2))
    with pytest.raises(ValueError, match="this protocol has none, only rests"):
        rested.onset_times(0)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": 25.0}, "must be 200 K or more, .* but is 25"),
        ({"initial_stoichiometry": [0.9, 0.8]}, "2 values for 1 particles"),
        ({"multiplicity": [-1.0]}, "`multiplicity` must be positive"),
        ({"series_resistance": -1.0}, "must be 0 or more, .* but is -1"),
    ],
)
def test_arrays_of_jax_are_checked_as_those_of_numpy(array, fields, message):
    fields = {name: array(value) for name, value in fields.items()}
    with pytest.raises(ValueError, match=message):
        diffelec.presets.single_particle(**fields)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temperature", 25.0, "must be 200 K or more, .* but is 25"),
        ("initial_stoichiometry", [1.001], "must lie strictly .* 'p0' has 1.001"),
        ("radius", [-5e-6], "must be positive .* 'p0' has -5e-06"),
        ("multiplicity", [-1.0], "must be positive .* 'p0' has -1"),
        ("reactivity", -1.0, "must be positive .* 'p0' has -1"),
        ("series_resistance", -1.0, "must be 0 or more, .* but is -1"),
        ("maximum_concentration", -1.0, "must be positive .* but is -1"),
    ],
)
def test_numbers_put_in_one_by_one_are_checked_too(array, name, value, message):
    place = lambda electrode: getattr(electrode, name)
    wrong = eqx.tree_at(place, ELECTRODE, array(value))
    with pytest.raises(ValueError, match=f"`{name}` {message}"):
        diffelec.simulate(wrong, HOUR, throw=False)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
@pytest.mark.parametrize("name", ["series_resistance", "shape_tail", "shape_head"])
def test_so_are_those_of_edges(array, name):
    place = lambda electrode: getattr(electrode.network, name)
    wrong = eqx.tree_at(place, ELECTRODE, array([-3.0]))
    with pytest.raises(ValueError, match=f"`{name}` .* is -3.0 .* collector to p0"):
        diffelec.simulate(wrong, HOUR, throw=False)


@pytest.mark.parametrize("array", [np.asarray, jnp.asarray])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("duration", -60.0, r"be above 0 \[s\], but of 'Rest for 2 hours' is -60"),
        ("duration", np.nan, r"be above 0 \[s\], but of 'Rest for 2 hours' is nan"),
        ("upper_voltage", np.nan, "hold numbers, but of 'Rest for 2 hours' is nan"),
    ],
)
def test_so_are_those_of_steps(array, name, value, message):
    protocol = diffelec.Protocol.from_strings(["Rest for 1 hour", "Rest for 2 hours"])
    place = lambda protocol: getattr(protocol.rows, name)
    wrong = eqx.tree_at(place, protocol, array([60.0, value]))
    with pytest.raises(ValueError, match=f"`rows.{name}` .* must {message}"):
        diffelec.simulate(ELECTRODE, wrong, throw=False)


@pytest.mark.parametrize("value", [["a"], np.array(["a"]), 1j, object(), [[1.0], 2.0]])
def test_what_holds_no_numbers_is_refused_by_its_name(value):
    with pytest.raises(ValueError, match="`temperature` must hold numbers, but is "):
        diffelec.presets.single_particle(temperature=value)
    with pytest.raises(ValueError, match="`value` must hold numbers, but is "):
        diffelec.curves.ConstantCurve(value)
    with pytest.raises(ValueError, match="`anodic_transfer` must hold numbers, but"):
        diffelec.kinetics.ButlerVolmer(value)


def test_numbers_in_a_list_may_be_of_a_transformation():
    def values(top):
        return diffelec.curves.PchipCurve([0.3, 1.0], [-14.0, top]).log10_values

    np.testing.assert_array_equal(jax.jit(values)(-15.0), [-14.0, -15.0])
    whole = jax.vmap(lambda v: diffelec.curves.ConstantCurve(v).value)(jnp.arange(1, 3))
    np.testing.assert_array_equal(whole, [1, 2])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", [300.0, 310.0]),
        ("radius", 5e-6),
        ("initial_stoichiometry", [0.9, 0.8, 0.7]),
        ("multiplicity", [1.0, 1.0]),
    ],
)
def test_numbers_of_other_particles_are_refused_also_under_transformations(name, value):
    def solve(value):
        other = eqx.tree_at(lambda e: getattr(e, name), ELECTRODE, value)
        return diffelec.simulate(other, HOUR).voltage

    for run in (solve, jax.jit(solve)):
        with pytest.raises(ValueError, match=f"`{name}` must have the shape"):
            run(jnp.asarray(value))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2)])
def test_exchange_of_other_pairs_is_refused_also_under_transformations(shape):
    cut = diffelec.resolve(diffelec.graphs.star(1), 5e-6, diffelec.bodies.slices(3))
    electrode = diffelec.presets.electrode_of(cut, num_shells=5)

    def solve(value):
        other = eqx.tree_at(lambda e: e.network.exchange_shape, electrode, value)
        return diffelec.simulate(other, HOUR).voltage

    for run in (solve, jax.jit(solve)):
        with pytest.raises(ValueError, match=r"`exchange_shape` must .* shape \(2,\)"):
            run(jnp.full(shape, 1e-5))


@pytest.mark.parametrize("level", [None, "0.1", [0.1, 0.5], jnp.asarray(2.0), np.nan])
def test_a_level_is_one_number(level):
    rested = diffelec.simulate(ELECTRODE, HOUR, num_saved=2)
    with pytest.raises(ValueError, match="must be above 0 and at most 1, but is"):
        rested.onset_times(level=level)
    with pytest.raises(ValueError, match="must be above 0 and at most 1, but is"):
        rested.change_times(change=level)


class Law(diffelec.curves.AbstractCurve):
    """A curve that a user wrote, of a field of any kind."""

    law: object
    unit: str = eqx.field(static=True, default="m2/s")
    source: str = eqx.field(static=True, default="made up")

    @property
    def valid_range(self):
        return (0.0, 1.0)

    def __call__(self, stoichiometry):
        return self.law(stoichiometry) if callable(self.law) else self.law


class StaticLaw(Law):
    """The same, with its field declared as one that holds no numbers."""

    law: object = eqx.field(static=True)


def with_diffusivity(curve):
    electrode = diffelec.presets.single_particle(diffusivity=curve, num_shells=5)
    charge = diffelec.Protocol.from_strings(["Charge at C/10 for 1 hour"])
    return np.asarray(diffelec.simulate(electrode, charge, num_saved=2).voltage)


def test_a_law_that_is_constant_is_one_of_every_stoichiometry():
    plain = with_diffusivity(diffelec.curves.ConstantCurve(3e-15, unit="m2/s"))
    np.testing.assert_allclose(with_diffusivity(Law(3e-15)), plain, rtol=1e-12)
    np.testing.assert_allclose(
        with_diffusivity(StaticLaw(lambda _: 3e-15)), plain, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (Law(jnp.sin), r"`electrode\.curves\.diffusivity\.law` must hold numbers, but"),
        (StaticLaw(lambda _: None), "`diffusivity` must give .*, but gives None"),
        (StaticLaw(lambda x: x[:3]), r"`diffusivity` must give .* the shape \(3,\)"),
        (
            diffelec.curves.ConstantCurve([3e-15, 1e-15]),
            r"`diffusivity` must give a number .*, but fails: .* \(2,\)",
        ),
        (
            StaticLaw(lambda x: 3e-15 if x > 0.5 else 1e-15),
            "`diffusivity` must give a number for each .*, but fails: The truth value",
        ),
        (
            StaticLaw(lambda x: -3e-15 + 0 * x),
            "`diffusivity` must be positive .*-3e-15",
        ),
    ],
)
def test_a_law_that_cannot_be_is_named(curve, message):
    with pytest.raises(ValueError, match=message):
        with_diffusivity(curve)


class Broken(diffelec.open_circuit.AbstractOpenCircuitPotential):
    """A potential that a user wrote, and is none below x = 0.5."""

    source: str = eqx.field(static=True, default="made up")
    valid_range: tuple = eqx.field(static=True, default=(0.5, 1.0))

    def __call__(self, stoichiometry):
        return 4.7 - jnp.sqrt(stoichiometry - 0.5)


def test_a_potential_that_is_no_number_is_named_where_a_solve_fails():
    curves = dataclasses.replace(ELECTRODE.curves, open_circuit_potential=Broken())
    broken = dataclasses.replace(ELECTRODE, curves=curves, initial_stoichiometry=[0.4])
    with pytest.raises(
        ValueError, match=r"`open_circuit_potential` must be finite at every .*, but is"
    ):
        diffelec.simulate(broken, HOUR, num_saved=2)


class OfOne(Broken):
    """A potential that was written for one number."""

    def __call__(self, stoichiometry):
        return 4.7 - float(stoichiometry)


def test_a_potential_of_single_numbers_is_named():
    curves = dataclasses.replace(ELECTRODE.curves, open_circuit_potential=OfOne())
    electrode = dataclasses.replace(ELECTRODE, curves=curves)
    with pytest.raises(
        ValueError, match="`open_circuit_potential` must give a number for each"
    ):
        diffelec.simulate(electrode, HOUR, num_saved=2)


CHARGE = "Charge at C/20 for 1 hour"
TIME = np.array([0.0, 600.0, 3600.0])
RECORDED = diffelec.Protocol.from_recording(TIME, voltage=3.7 + 1e-5 * TIME)


@pytest.mark.parametrize(
    ("protocol", "where", "value", "message"),
    [
        ([CHARGE], lambda p: p.rows.current_rate, [0.05, 0.1], r"1 steps.*\(2,\)"),
        ([CHARGE] * 2, lambda p: p.rows.current_rate, [0.05], r"2 steps.*\(1,\)"),
        ([CHARGE], lambda p: p.rows.duration, 60.0, r"`rows.duration` .*shape \(\)"),
        (None, lambda p: p.drive.value, [3.7, 3.8], r"shapes \(2,\) and \(3,\)"),
        (None, lambda p: p.drive.value, np.full((2, 3), 3.7), r"use `diffelec.batch`"),
    ],
)
def test_numbers_of_other_steps_are_refused_also_under_transformations(
    protocol, where, value, message
):
    own = RECORDED if protocol is None else diffelec.Protocol.from_strings(protocol)

    def simulated(value):
        changed = eqx.tree_at(where, own, value)
        return diffelec.simulate(ELECTRODE, changed, num_saved=2).voltage

    for run in (simulated, jax.jit(simulated)):
        with pytest.raises(ValueError, match=message):
            run(jnp.asarray(value))


def test_stacked_protocols_are_refused():
    with pytest.raises(ValueError, match="to simulate several protocols, use"):
        diffelec.simulate(ELECTRODE, diffelec.stack([HOUR, HOUR, HOUR]))


def test_what_a_mask_hides_is_not_taken():
    masked = np.ma.masked_array([0.2, 0.5, 1.0], [False, True, False])
    with pytest.raises(ValueError, match="entry 1 is nan"):
        diffelec.curves.PchipCurve(masked, [-1.0, -9.0, -3.0])
    with pytest.raises(ValueError, match=r"`radius` .* has nan"):
        diffelec.presets.electrode_of(diffelec.graphs.chain(3), radius=1e-5 * masked)
    with pytest.raises(ValueError, match="row 1 is nan"):
        diffelec.control.Drive([0.0, 1.0, 2.0], masked)
