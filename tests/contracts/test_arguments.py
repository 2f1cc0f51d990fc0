"""What `simulate` refuses before it solves anything, in the user's words."""

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
