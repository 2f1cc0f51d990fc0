import copy

import jax
import numpy as np
import pytest

import diffelec
from fitting import files, schema


def explicit():
    return {
        "network": {
            "particles": [
                {"label": "a", "radius_m": 5e-6},
                {"label": "b", "radius_m": 4e-6, "imaged": False},
            ],
            "carbon": ["c"],
            "edges": [
                {"tail": "collector", "head": "c", "series_resistance_ohm": 100.0},
                {"tail": "c", "head": "a", "carbon_shape_per_m": 1.5e4},
                {"tail": "a", "head": "b", "contact_radius_m": 5e-7},
            ],
        }
    }


def assert_equal_electrodes(one, other):
    leaves, structure = jax.tree.flatten(one)
    other_leaves, other_structure = jax.tree.flatten(other)
    assert structure == other_structure
    for leaf, other_leaf in zip(leaves, other_leaves, strict=True):
        np.testing.assert_array_equal(leaf, other_leaf)


def asymmetric_electrode():
    """Every field differs from its default; every curve form but one is used."""
    return diffelec.presets.electrode_of(
        diffelec.graphs.chain(2, 4e-7, 1e4),
        diffelec.Curves(
            conductivity=diffelec.curves.SigmoidCurve(-1.0, -5.3, 0.9, 0.01, "S/m"),
            diffusivity=diffelec.curves.DivacancyCurve.example(),
            rate_constant=diffelec.curves.ConstantCurve(3e-11, unit="m/s"),
            open_circuit_potential=diffelec.open_circuit.LinearPotential.example(),
        ),
        radius=[3e-6, 4e-6],
        initial_stoichiometry=[0.9, 1 / 3],
        multiplicity=[3.0, 3.0],
        maximum_concentration=4.5e4,
        num_shells=7,
        temperature=310.0,
        one_c_range=0.6,
        series_resistance=12.0,
        counter_exchange_current=1e-6,
        kinetics=diffelec.kinetics.ButlerVolmer.example(),
        conduct_at_surface=True,
    )


@pytest.mark.parametrize(
    "make",
    [
        diffelec.presets.sharma2022,
        diffelec.presets.single_particle,
        asymmetric_electrode,
    ],
)
def test_electrode_survives_the_way_through_a_file(make, tmp_path):
    electrode = make()
    files.write_electrode(tmp_path / "electrode.json", electrode)
    assert_equal_electrodes(
        electrode, files.read_electrode(tmp_path / "electrode.json")
    )


def test_electrode_with_two_sites_a_particle_survives():
    topology = diffelec.network.Topology(
        [0, 1], [1, 2], ["p"], imaged=[True], site_particle=[0, 0]
    )
    network = diffelec.Network([1.0, 2.0], [0.0, 3.0], [4.0, 5.0], topology)
    electrode = diffelec.presets.electrode_of(network)
    again = files.electrode_from_dict(files.electrode_to_dict(electrode))
    assert_equal_electrodes(electrode, again)


def test_study_can_be_read_as_an_electrode(tmp_path):
    electrode = diffelec.presets.single_particle()
    data = {"format": "diffelec study", "electrode": files.electrode_to_dict(electrode)}
    files.write_json(tmp_path / "study.json", data)
    assert_equal_electrodes(electrode, files.read_electrode(tmp_path / "study.json"))


def test_the_study_of_a_fit_says_where_its_electrode_is(tmp_path):
    study, beside = tmp_path / "study.json", tmp_path / "electrode.json"
    study.write_text('{"format": "diffelec fit", "version": 1}')
    with pytest.raises(ValueError, match=r"electrode, but is of 'diffelec fit'\.$"):
        files.read_electrode(study)
    files.write_electrode(beside, diffelec.presets.single_particle())
    with pytest.raises(ValueError, match=r"'diffelec fit'; take '.*electrode.json'\.$"):
        files.read_electrode(study)


def test_short_forms_of_edges_are_the_contacts_of_the_library():
    electrode = files.electrode_from_dict(explicit())
    network = electrode.network
    np.testing.assert_allclose(network.shape_head, [0.0, 1.5e4, 5e5])
    np.testing.assert_allclose(network.shape_tail, [0.0, 0.0, 5e5])
    assert network.topology.imaged.tolist() == [True, False]
    assert electrode.initial_stoichiometry.tolist() == [0.999, 0.999]


def test_builder_form_calls_the_builder():
    data = {
        "network": {
            "builder": "columns",
            "obstructions": [0, 2],
            "contact_radius_m": 1e-6,
        },
        "particles": {"radius_m": 3e-6},
        "material": "nmc811",
    }
    electrode = files.electrode_from_dict(data)
    expected = diffelec.presets.electrode_of(
        diffelec.graphs.columns((0, 2), 1e-6),
        diffelec.materials.nmc811(),
        radius=3e-6,
        maximum_concentration=diffelec.materials.NMC811_CONCENTRATION,
    )
    assert_equal_electrodes(electrode, expected)


def changed(path, value):
    data = copy.deepcopy(explicit())
    target = data
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("network", "particles", 1, "radius_m"),
            "big",
            r"^electrode\.network\.particles\[1\]\.radius_m must be a number, but is "
            r"'big'\.$",
        ),
        (
            ("network", "particles", 0),
            {"label": "a"},
            r"particles\[0\] must have the key 'radius_m', but has 'label'\.$",
        ),
        (
            ("network", "edges", 0, "conductance"),
            1.0,
            r"edges\[0\] has the unknown key 'conductance'; known are tail, head,",
        ),
        (
            ("curves",),
            {"diffusivity": {"form": "spline"}},
            r"curves\.diffusivity\.form must be one of 'pchip', .* but is 'spline'\.$",
        ),
        (
            ("curves",),
            {"diffusivity": {"form": "constant", "value": 1e-15, "valu": 2}},
            r"curves\.diffusivity has the unknown key 'valu'; known are form, value,",
        ),
        (
            ("network",),
            {"builder": "star"},
            r"electrode\.network must have the key 'num_particles'",
        ),
        (("mesh",), {"num_shells": 2}, r"mesh\.num_shells must be 3 or more, but is 2"),
        (
            ("network", "particles", 1, "label"),
            "",
            r"particles\[1\]\.label must be a label that is not empty, but is ''\.$",
        ),
        (("network", "carbon"), [" "], r"carbon\[0\] must be a label that is not"),
        (("mesh",), {"num_shells": 3_000_000}, r"num_shells must be 1000 or less, but"),
        (
            ("mesh",),
            {"num_shells": 3.0},
            r"num_shells must be a whole number, but is 3\.0; write 3\.$",
        ),
        (("mesh",), {"num_shells": 3.5}, r"be a whole number, but is 3\.5\.$"),
        (
            ("network",),
            {"builder": "star", "num_particles": 3.0},
            r"network\.num_particles must be a whole number, but is 3\.0; write 3\.$",
        ),
        (
            ("network",),
            {"builder": "columns", "obstructions": [1.0, 0]},
            r"obstructions\[0\] must be a whole number, but is 1\.0; write 1\.$",
        ),
        (
            ("network",),
            {"builder": "columns", "sites": {"form": "slices", "number": 4.0}},
            r"sites\.number must be a whole number, but is 4\.0; write 4\.$",
        ),
        (("temprature_K",), 300.0, r"electrode has the unknown key 'temprature_K'"),
    ],
)
def test_schema_violation_is_one_sentence(path, value, message):
    with pytest.raises(ValueError, match=message) as caught:
        files.electrode_from_dict(changed(path, value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ("network", "particles", 1, "radius_m"),
            -4e-6,
            "`radius` must be positive .* particle 'b' has -4e-06",
        ),
        (("network", "edges"), explicit()["network"]["edges"][:2], "but b has none"),
        (("network", "particles"), [], "one particle or more, but has none"),
        (
            ("network", "edges", 2, "head"),
            "z",
            "names the node 'z', which does not exist",
        ),
        (
            ("network", "particles", 0, "position_m"),
            [0.0, 0.0],
            "must all have position_m of the same length",
        ),
        (
            ("network", "edges", 2, "shape_tail_per_m"),
            1.0,
            r"edges\[2\] must have .* keep one form",
        ),
        (
            ("network", "edges", 1),
            {"tail": "a", "head": "c", "carbon_shape_per_m": 1e4},
            r"edges\[1\]\.tail must be carbon .* but is 'a'",
        ),
        (("particles",), {"radius_m": 1e-6}, "particles must be left out"),
        (
            ("network", "site_particle"),
            [0, 1, 2],
            r"network\.site_particle\[2\] must be the number of a particle, 0 to 1, "
            r"but is 2; add the particle",
        ),
        (
            ("curves",),
            {"rate_constant": {"form": "constant", "value": -1.0}},
            r"electrode\.curves\.rate_constant\.value must lie .* not its log10",
        ),
    ],
)
def test_impossible_electrode_is_refused_by_name(path, value, message):
    with pytest.raises(ValueError, match=message):
        files.electrode_from_dict(changed(path, value))


@pytest.mark.parametrize("radii", [[], [5e-6], [5e-6, 5e-6, 5e-6]])
@pytest.mark.parametrize("cut", [{}, {"sites": {"form": "slices", "number": 2}}])
def test_radii_are_one_a_particle(radii, cut):
    network = {"builder": "star", "num_particles": 2, **cut}
    with pytest.raises(ValueError, match=r"`radius` must .* for 2 particles"):
        files.electrode_from_dict(
            {"network": network, "particles": {"radius_m": radii}}
        )


def test_nan_in_json_is_refused(tmp_path):
    (tmp_path / "e.json").write_text('{"temperature_K": NaN}')
    with pytest.raises(ValueError, match=r"e\.json cannot be used: it holds NaN"):
        files.read_electrode(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"mesh": {"num_shells": 8, "num_shells": 9}}', "the key 'num_shells' twice;"),
        ('{"temperature_K": 1e400}', "it holds the number 1e400, which is too large"),
        ('{"temperature_K": 1%s}' % ("0" * 400), "1000000000… of 401 digits, which"),
        ('{"temperature_K": 1%s}' % ("0" * 9999), "1000000000… of 10000 digits, which"),
        *((n * "[" + n * "]", "too deeply; remove brackets") for n in (10**4, 10**6)),
        *((n * '{"a":' + "1" + n * "}", "too deeply; remove") for n in (10**4, 10**6)),
    ],
)
def test_json_that_cannot_be_meant_is_refused(text, words, tmp_path):
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(ValueError, match=words) as caught:
        files.read_electrode(tmp_path / "e.json")
    assert str(caught.value).startswith("e.json cannot be used: ")


@pytest.mark.parametrize("depth", [300, 600, 900, 950, 980])
def test_what_is_nested_deeply_is_refused_in_a_sentence(depth, tmp_path):
    (tmp_path / "e.json").write_text('{"network":' + depth * "[" + depth * "]" + "}")
    with pytest.raises(ValueError, match=r"^e\.json"):
        files.read_electrode(tmp_path / "e.json")


def test_whole_numbers_of_json_stay_whole(tmp_path):
    (tmp_path / "e.json").write_text("[0, -3, 2.0, 12345678901234567891]")
    read = files.read_json(tmp_path / "e.json")
    assert [type(value) for value in read] == [int, int, float, int]
    assert read == [0, -3, 2.0, 12345678901234567891]


def test_broken_json_names_the_line(tmp_path):
    (tmp_path / "e.json").write_text('{\n"a": }')
    with pytest.raises(ValueError, match=r"e\.json must be JSON, .* line 2, column 6"):
        files.read_electrode(tmp_path / "e.json")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ('{"a": 1,\n}', "remove the comma behind the last entry"),
        ("[1, 2 , ]", "remove the comma behind the last entry"),
        ('{"a": 1} // of March', "JSON has no comments, remove this one"),
        ('# of March\n{"a": 1}', "JSON has no comments, remove this one"),
        ("{'a': 1}", "write straight double quotes"),
        ("{“a”: 1}", "write straight double quotes"),
        ('{"a": 1,5}', "write numbers with a decimal point"),
    ],
)
def test_slips_of_who_writes_json_by_hand_have_a_remedy(text, remedy, tmp_path):
    (tmp_path / "e.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"line \d, column \d+: {remedy}\.$"):
        files.read_json(tmp_path / "e.json")


@pytest.mark.parametrize("number", ["5e-6", "0,5"])
def test_a_number_in_quotes_is_to_be_written_without(number):
    data = {"network": {"builder": "chain", "num_particles": 2}, "temperature_K": 298}
    data["series_resistance_ohm"] = number
    told = f"be a number, but is '{number}'; write it without quotes"
    with pytest.raises(ValueError, match=told):
        schema.check(data)
    with pytest.raises(ValueError, match=r"be a number, but is 'some'\.$"):
        schema.check(data | {"series_resistance_ohm": "some"})


def test_times_must_increase(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("time_s\n0\n10\n10\n")
    with pytest.raises(ValueError, match=r"line 4, column time_s, must be later"):
        files.read_times(path)
    path.write_text("time_s\n0\n10\n")
    assert files.read_times(path).tolist() == [0.0, 10.0]
