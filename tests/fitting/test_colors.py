import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba

from fitting.colors import colors_of
from fitting.style import OKABE_ITO

from .test_fit_figures import DRAWN, many_of

BLUE, ORANGE, _, PINK, *_ = OKABE_ITO


def test_particles_named_by_a_colour_have_it_whatever_others_are_called():
    assert colors_of(("red", "gold")) == ["#d62728", "gold"]
    assert colors_of(("a", "red")) == [BLUE, "#d62728"]
    # What looks like a colour that is named is no one else's.
    seen = colors_of(("yellow", "green", "other 1", "other 2"))
    assert seen == [(0.75, 0.75, 0.0), "#2ca02c", BLUE, PINK]
    assert BLUE not in colors_of(("a", "blue"))


def test_colours_that_look_alike_or_are_not_seen_are_replaced():
    light, dark = colors_of(("white", "black"))
    assert light == (0.75, 0.75, 0.75)
    assert dark == "black"
    assert colors_of(("grey", "gray")) == [BLUE, ORANGE]


def test_every_particle_has_a_colour_of_its_own():
    named = ["red", "green", "blue", "orange"]
    for labels in (
        [f"p{k}" for k in range(7)],
        [f"p{k}" for k in range(30)],
        [*named, "a", "b", "c"],
        [*named, *(f"p{k}" for k in range(30))],
    ):
        found = colors_of(labels)
        assert len({to_rgb(color) for color in found}) == len(labels)


@pytest.mark.parametrize("draw", ["parity", "lithium", "voltage"])
def test_a_scale_of_colours_names_many_particles(draw):
    figure = DRAWN[draw](many_of(30))
    (bar,) = [axes for axes in figure.axes if axes.get_ylabel() == "particle"]
    named = [text.get_text() for text in bar.get_yticklabels()]
    assert named[0] == "p0"
    assert named[-1] == "p29"
    scale = bar._colorbar
    shown = scale.cmap(scale.norm(np.arange(30.0)))
    expected = [to_rgba(color) for color in colors_of([f"p{k}" for k in range(30)])]
    np.testing.assert_allclose(shown, expected)
