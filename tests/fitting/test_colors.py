from matplotlib.colors import to_rgb

from fitting.colors import colors_of
from fitting.style import OKABE_ITO

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
