"""Tables of shifts that cannot be, each refused in one sentence."""

import types

import numpy as np
import pytest

from fitting.optical.still_film import read_still

REFUSED = [
    ("no shifts", "frame,time_s,dy_px\n1,0,0\n", "dy_px and dx_px, but has no dx_px"),
    (
        "another film",
        "dy_px,dx_px\n0,0\n",
        "per frame of the film, 2, but has 1",
    ),
    ("an empty cell", "dy_px,dx_px\n0,0\n,0\n", "frame 2, column dy_px, .* but is ''"),
    ("a row cut short", "dy_px,dx_px\n0,0\n1\n", "frame 2, column dx_px, .* finite"),
]


@pytest.mark.parametrize(
    ("text", "words"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_shifts_that_cannot_be_are_refused(tmp_path, text, words):
    (tmp_path / "quality.csv").write_text(text)
    film = types.SimpleNamespace(time=np.arange(2.0), shape=(9, 9))
    with pytest.raises(ValueError, match=words):
        read_still(tmp_path / "quality.csv", film)
