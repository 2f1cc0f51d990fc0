"""Numbers of an electrode file in another unit are refused by their key."""

import copy

import pytest

from fitting import files

CHAIN = {"network": {"builder": "chain", "num_particles": 2}}
TOUCHING = {
    "network": {
        "particles": [
            {"label": "a", "radius_m": 5e-6, "position_m": [0.0, 0.0]},
            {"label": "b/1", "radius_m": 4e-6, "position_m": [0.0, 9e-6]},
        ],
        "edges": [
            {"tail": "collector", "head": "a", "carbon_shape_per_m": 1.5e4},
            {"tail": "a", "head": "b/1", "contact_radius_m": 4e-6},
        ],
    }
}


def with_curve(name, **fields):
    return CHAIN | {"curves": {name: fields}}


def with_width(width):
    data = copy.deepcopy(TOUCHING)
    data["network"]["edges"][1]["contact_radius_m"] = width
    return data


def soaked(**changed):
    electrolyte = {
        "effective_conductivity_S_per_m": 0.1,
        "area_m2": 1e-8,
        "thickness_m": 4e-5,
    }
    return {"network": CHAIN["network"] | {"electrolyte": electrolyte | changed}}


def pchip(knots, values, name="diffusivity"):
    return with_curve(name, form="pchip", knots=knots, log10_values=values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            with_width(0.5),
            r"edges\[1\]\.contact_radius_m must be positive and at most the radius of "
            r"'a', 5e-06 m, but is 0\.5; give a narrower contact, in metres",
        ),
        (with_width(4.5e-6), r"at most the radius of 'b/1', 4e-06 m, but is 4\.5e-06"),
        (with_width(0.0), r"edges\[1\]\.contact_radius_m must be positive"),
        (
            pchip([20, 100], [-15, -16]),
            "curves.diffusivity.knots must lie between 0 and 1, but is 20; write filled"
            " shares of the sites, not percent",
        ),
        (
            pchip([0.2, 1.0], [1e-15, 1e-16]),
            "diffusivity.log10_values must lie between -40 and -6, but is 1e-15; write "
            "log10 of the value in SI units",
        ),
        (pchip([0.2, 1], [9.0, 1], "conductivity"), "between -30 and 8, but is 9"),
        (
            with_curve("rate_constant", form="constant", value=1.0),
            "rate_constant.value must lie between 0 and 0.001, but is 1; write the "
            "value in SI units",
        ),
        (
            with_curve(
                "conductivity",
                form="sigmoid",
                log10_delithiated=-1.0,
                log10_lithiated=-5.0,
                centre=94.0,
                width=0.01,
            ),
            "conductivity.centre must lie between -1 and 2, but is 94",
        ),
        (
            CHAIN | {"one_c_range": 63},
            "one_c_range must lie between 0 and 1, but is 63; write it as a share",
        ),
        (
            CHAIN | {"maximum_concentration_mol_per_m3": 49.6},
            "between 1000 and 200000, but is 49.6; 1 mol/L is 1000 mol/m3",
        ),
        (CHAIN | {"temperature_K": 1000}, "between 200 and 500, but is 1000"),
        (CHAIN | {"temperature_K": 25}, "is 25; add 273.15 to a value in °C"),
        (
            CHAIN | {"particles": {"radius_m": [5e-6, 5e-12]}},
            "the radius of 'p1' must be 1e-09 m or more, but is 5e-12; give it in met",
        ),
        (
            soaked(thickness_m=40),
            "electrolyte.thickness_m must lie between 1e-07 and 0.01, but is 40; 1 um",
        ),
    ],
)
def test_a_number_in_another_unit_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        files.electrode_from_dict(data)


@pytest.mark.parametrize(
    "data",
    [
        TOUCHING,
        soaked(),
        pchip([0.0, 1.0], [-14.0, -40.0]),
        CHAIN | {"one_c_range": 1, "temperature_K": 200},
        CHAIN | {"particles": {"radius_m": [1e-3, 1e-9]}},
    ],
)
def test_numbers_at_the_bounds_are_read_and_written(data):
    electrode = files.electrode_from_dict(data)
    again = files.electrode_from_dict(files.electrode_to_dict(electrode))
    assert again.radius.tolist() == electrode.radius.tolist()
