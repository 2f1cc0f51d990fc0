"""What the builders wire: who touches whom, and by what."""

import networkx
import numpy as np
import pytest

from diffelec import graphs, presets

THREE = np.eye(3) * 1e-5


def distances(net):
    """Contacts between the collector and each particle, by label."""
    lengths = networkx.shortest_path_length(net.to_networkx(), "collector")
    return {label: lengths[label] for label in net.topology.particle_labels}


def contacts(net):
    """{frozenset of two particle numbers: edge number}, carbon left out."""
    topology = net.topology
    return {
        frozenset((int(t) - 1, int(h) - 1)): e
        for e, (t, h) in enumerate(zip(topology.tail, topology.head, strict=True))
        if t > 0 and h > 0
    }


def test_the_figure_has_fifteen_particles_of_which_five_are_imaged():
    topology = presets.sharma2022().network.topology
    assert topology.num_particles == 15
    assert topology.num_edges == 15
    imaged = np.array(topology.particle_labels)[topology.imaged]
    assert imaged.tolist() == [f"top {n}" for n in range(5)]
    assert np.all(topology.imaged[:5])


@pytest.mark.parametrize("top", range(5))
def test_a_top_particle_of_the_figure_has_as_many_others_below_it(top):
    found = distances(presets.sharma2022().network)
    assert found[f"top {top}"] - 1 == top


def test_the_contacts_of_the_figure_have_the_default_numbers():
    net = graphs.columns()
    from_carbon = net.topology.tail == 0
    assert from_carbon.sum() == 5
    assert np.all(net.topology.head != 0)
    np.testing.assert_array_equal(net.shape_tail[from_carbon], 0.0)
    np.testing.assert_allclose(net.shape_head[from_carbon], 1.56e4)
    np.testing.assert_allclose(net.shape_tail[~from_carbon], 1 / (4 * 0.5e-6))
    np.testing.assert_allclose(net.shape_head[~from_carbon], 1 / (4 * 0.5e-6))
    np.testing.assert_array_equal(net.series_resistance, 0.0)


def test_columns_stand_above_one_another():
    net = graphs.columns((2,), spacing=1.0)
    places = dict(
        zip(net.topology.particle_labels, net.topology.positions, strict=True)
    )
    assert places["below 0.0"][1] < places["below 0.1"][1] < places["top 0"][1]


@pytest.mark.parametrize(
    "obstructions",
    [(), (1, -1), 3, [1.5], [np.inf], ["a"], [True, False], None, [[1], [1, 2]]],
)
def test_columns_without_a_height_are_refused(obstructions):
    with pytest.raises(ValueError, match="`obstructions` must hold one whole number"):
        graphs.columns(obstructions)


@pytest.mark.parametrize("spacing", [0, -1e-5, np.nan, 10.0, "a", None])
def test_columns_on_top_of_each_other_or_in_micrometres_are_refused(spacing):
    with pytest.raises(
        ValueError, match=r"`spacing` must be positive \[m\], 1 at most"
    ):
        graphs.columns(spacing=spacing)


@pytest.mark.parametrize("builder", [graphs.columns, graphs.chain])
@pytest.mark.parametrize("radius", ["1e-6", None, True, np.inf])
def test_a_contact_that_is_no_number_is_refused(builder, radius):
    with pytest.raises(ValueError, match=r"`contact_radius` must be positive \[m\], 0"):
        builder((2,) if builder is graphs.columns else 2, radius)


def test_a_chain_is_as_far_from_the_collector_as_it_is_long():
    net = graphs.chain(5, contact_radius=2e-7, carbon_shape=3e4)
    assert distances(net) == {f"p{n}": n + 1 for n in range(5)}
    np.testing.assert_allclose(net.shape_head, [3e4, *[1 / (4 * 2e-7)] * 4])


def test_every_particle_of_a_star_touches_the_collector_by_its_own_contact():
    net = graphs.star(3, [1e4, 2e4, 3e4])
    assert set(distances(net).values()) == {1}
    np.testing.assert_allclose(net.shape_head, [1e4, 2e4, 3e4])
    np.testing.assert_array_equal(net.shape_tail, 0.0)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("a", "be one number or one per particle, but is 'a'"),
        (["a", "b"], r"but is \['a', 'b'\]"),
        ([1e4], "has 1 values for 2 particles"),
        ([[1e4, 1e4]], r"has the shape \(1, 2\) for 2 particles"),
    ],
)
def test_carbon_of_a_star_that_is_not_one_number_each_is_refused(shape, words):
    with pytest.raises(ValueError, match=f"`carbon_shape` must .*{words}"):
        graphs.star(2, shape)


@pytest.mark.parametrize("builder", [graphs.chain, graphs.star])
def test_no_particles_are_refused(builder):
    with pytest.raises(ValueError, match="one particle or more, but has none"):
        builder(0)


@pytest.mark.parametrize("builder", [graphs.chain, graphs.star, graphs.random_packing])
@pytest.mark.parametrize("count", [2.5, True, "3", None])
def test_a_number_of_particles_that_is_not_whole_is_refused(builder, count):
    with pytest.raises(
        ValueError, match="`num_particles` must be a whole number, 1 or"
    ):
        builder(count)


@pytest.fixture(scope="module")
def packing():
    return graphs.random_packing(80, seed=3)


@pytest.fixture(scope="module")
def packed(packing):
    return graphs.touching_spheres(*packing, carbon_share=0.3, seed=5)


def test_a_packing_is_the_same_for_the_same_seed(packing):
    again, other = graphs.random_packing(80, seed=3), graphs.random_packing(80, seed=4)
    assert np.all(np.isfinite(packing[0]))
    np.testing.assert_array_equal(packing[0], again[0])
    np.testing.assert_array_equal(packing[1], again[1])
    assert not np.allclose(packing[0], other[0])


def test_the_spheres_of_a_packing_do_not_overlap_and_lie_on_something(packing):
    centres, radii = packing
    gap = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    gap = gap - radii[:, None] - radii[None]
    np.fill_diagonal(gap, np.inf)
    carried = np.isclose(centres[:, 2], radii) | (gap.min(axis=1) < 1e-9 * radii.min())
    assert np.all(np.isfinite(centres))
    assert gap.min() > -1e-9 * radii.min()
    assert np.all(carried)
    assert np.all((radii >= 2e-6) & (radii <= 9e-6))


def test_spheres_touch_where_brute_force_finds_them_near(packing, packed):
    centres, radii = packing
    near = {
        frozenset((i, j))
        for i in range(len(radii))
        for j in range(i)
        if np.linalg.norm(centres[i] - centres[j]) < 1.02 * (radii[i] + radii[j])
    }
    assert len(near) > 60
    assert set(contacts(packed)) == near


def test_a_contact_is_no_wider_than_half_the_smaller_sphere(packing, packed):
    radii = packing[1]
    for pair, edge in contacts(packed).items():
        smaller = radii[list(pair)].min()
        contact = 1 / (4 * packed.shape_tail[edge])
        assert np.isfinite(contact)
        assert 0.05 * smaller * (1 - 1e-12) <= contact <= 0.5 * smaller * (1 + 1e-12)
        assert packed.shape_head[edge] == packed.shape_tail[edge]


def test_the_contact_of_two_overlapping_spheres_is_the_rim_of_their_lens():
    # A 3-4-5 and a 4-3-5 triangle: rim 2.4 at 1.8 and 3.2 um from the centres.
    net, far = (
        graphs.touching_spheres([[0.0, 0.0], [apart, 0.0]], [3e-6, 4e-6], reach=0.0)
        for apart in (5e-6, 6.9e-6)
    )
    plane = (6.9**2 + 9 - 16) / (2 * 6.9)
    expected = [0.5 * 3e-6, 1e-6 * np.sqrt(9 - plane**2)]
    found = [1 / (4 * n.shape_tail[contacts(n)[frozenset((0, 1))]]) for n in (net, far)]
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_every_sphere_has_a_path_to_the_collector(packed):
    assert len(distances(packed)) == 80
    assert packed.topology.unreachable() == ([], [])


def test_the_carbon_of_a_packing_is_drawn_by_its_seed(packing, packed):
    again = graphs.touching_spheres(*packing, carbon_share=0.3, seed=5)
    other = graphs.touching_spheres(*packing, carbon_share=0.3, seed=6)
    assert again.topology == packed.topology
    assert other.topology != packed.topology
    wired = np.sum(packed.topology.tail == 0)
    assert 8 <= wired <= 60


def test_without_drawn_carbon_the_lowest_sphere_of_each_cluster_is_wired():
    centres = 1e-6 * np.array([[0, 0, 3.0], [0, 0, 1.0], [9, 0, 1.0]])
    net = graphs.touching_spheres(centres, [1e-6, 1e-6, 1e-6], carbon_share=0.0)
    assert sorted(net.topology.head[net.topology.tail == 0].tolist()) == [2, 3]


@pytest.mark.parametrize(
    ("radii", "words"),
    [
        ([1e-6, -1e-6, 1e-6], r"`radii` must be positive \[m\], .* 1 has -1e-06"),
        ([5.0] * 3, r"`radii` must be positive \[m\], 0\.001 at most, .* 0 has 5\.0"),
        (5e-6, r"`radii` must be one number a particle .* the shape \(\); pass a list"),
        (["a", "b", "c"], r"`radii` must be one number a particle \[m\], but is \['a'"),
        (None, r"`radii` must be one number a particle \[m\], but is None"),
        ([], "one particle or more, but has none"),
        ([5e-6] * 2, "`centres` must have one entry per particle, but has 3 for 2"),
    ],
)
@pytest.mark.parametrize(
    "builder",
    [
        lambda radii: graphs.touching_spheres(THREE, radii),
        lambda radii: graphs.joined_spheres(THREE, radii, [[0, 1]], [1e-6]),
    ],
)
def test_spheres_without_a_radius_are_refused_by_number(builder, radii, words):
    with pytest.raises(ValueError, match=words):
        builder(radii)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_particles": 2.5}, "`num_particles` must be a whole number, 1 or more"),
        ({"median_radius": 5.0}, r"`median_radius` must be 2e-06 to 9e-06 \[m\], but"),
        ({"median_radius": -5e-6}, r"`median_radius` must be 2e-06 to 9e-06 \[m\]"),
        ({"spread": -0.3}, r"`spread` must be 0 or more \[of ln R\], but is -0.3"),
        ({"spread": "a"}, r"`spread` must be 0 or more \[of ln R\], but is 'a'"),
        ({"spread": None}, r"`spread` must be 0 or more \[of ln R\], but is None"),
        ({"thickness": 0.0}, r"`thickness` must be 1e-06 to 1 \[m\], but is 0.0"),
        ({"seed": 1.5}, "`seed` must be a whole number, 0 or more, but is 1.5"),
        ({"seed": -1}, "`seed` must be a whole number, 0 or more, but is -1"),
    ],
)
def test_what_no_packing_can_be_made_of_is_refused(given, words):
    with pytest.raises(ValueError, match=words):
        graphs.random_packing(**{"num_particles": 3} | given)


@pytest.mark.parametrize(
    ("centres", "settings", "words"),
    [
        (THREE[0], {}, r"coordinates of each particle \[m\], but has the shape \(3,\)"),
        (THREE * np.nan, {}, r"must be finite numbers \[m\], but particle 0 has \[nan"),
        (THREE[[0, 1, 0]], {"labels": ["a", "b", "c"]}, "particles a and c share one"),
        (THREE[:, :1], {}, r"two or three coordinates .* has the shape \(3, 1\)"),
        (["a", "b", "c"], {}, r"`centres` must hold the coordinates .* is \['a', 'b'"),
        (THREE, {"reach": -2.0}, r"`reach` must be 0 or more .*, but is -2\.0"),
        (THREE, {"reach": "a"}, "`reach` must be 0 or more .*, but is 'a'"),
        (THREE, {"labels": "abc"}, "`labels` must be a list of names, but is 'abc'"),
        (
            THREE,
            {"labels": [5, 6, 7]},
            r"`labels` must be .* number 0 \(from 0\) is 5;",
        ),
        (THREE, {"labels": 5}, "`labels` must be a list of names, but is 5; pass a"),
        (THREE, {"labels": []}, "`labels` must have one entry per particle, but has 0"),
        (
            THREE,
            {"carbon_share": "a"},
            "`carbon_share` must lie between 0 and 1, .*'a'",
        ),
        (THREE, {"carbon_share": None}, "`carbon_share` must lie between .* is None"),
        (THREE, {"seed": 1.5}, "`seed` must be a whole number, 0 or more, but is 1.5"),
        (THREE, {"contact_radius": 5.0}, "`contact_radius` must be .* at most, .* 5.0"),
        (
            THREE / 2,
            {"contact_radius": 6e-6},
            "`contact_radius` .* must not exceed .* pair 0 has 6e-06",
        ),
    ],
)
def test_spheres_without_a_place_of_their_own_are_refused(centres, settings, words):
    with pytest.raises(ValueError, match=words):
        graphs.touching_spheres(centres, np.full(3, 5e-6), **settings)


@pytest.mark.parametrize(
    ("pairs", "widths", "words"),
    [
        ([[0, 1], [0, 5]], [1e-6, 1e-6], r"0 to 2, but pair 1 is \[0, 5\]"),
        ([[0, -1]], [1e-6], r"0 to 2, but pair 0 is \[0, -1\]"),
        ([[0, 1]], [1e-6, 1e-6], "one value per pair, but has 2 for 1 pairs"),
        ([[0, 1.5]], [1e-6], r"two whole numbers a contact, but has .*1\.5"),
        ([[0, 1, 2], [0, 1, 2]], [1e-6] * 3, r"two whole .* the shape \(2, 3\)"),
        ([[0, 1], [1, 2]], [1e-6, 6e-6], "but pair 1 has 6e-06 where one has 5e-06"),
        ([[0, 1]], [5.0], "must not exceed .* pair 0 has 5 where .* in metres"),
        ([[0, 1]], [-1e-6], "`contact_radii` must be positive .* pair 0 has -1e-06"),
        (
            [[0, 1]],
            None,
            r"`contact_radii` must hold one number a pair .*, but is None",
        ),
        ([[0, 1]], ["a"], r"`contact_radii` must hold one number .*, but is \['a'\]"),
        ([[0, 1]], 1e-6, r"`contact_radii` .* one value per pair, .* the shape \(\)"),
        ([[0, 1], [1, 2], [1, 0]], [1e-6] * 3, r"once, but pair 2, \[1, 0\], stands"),
    ],
)
def test_contacts_of_spheres_that_there_are_not_are_refused(pairs, widths, words):
    with pytest.raises(ValueError, match=words):
        graphs.joined_spheres(THREE, np.full(3, 5e-6), pairs, widths)


def test_names_of_spheres_may_come_in_an_array():
    names = np.array(["a", "b", "c"])
    net = graphs.touching_spheres(THREE, np.full(3, 5e-6), labels=names)
    assert net.topology.particle_labels == ("a", "b", "c")
