"""What every way of cutting a particle into sites must obey."""

import dataclasses
import re

import numpy as np
import pytest

from diffelec import bodies, spheres

CUTS = [
    pytest.param(lambda: bodies.whole(), id="whole"),
    pytest.param(lambda: bodies.slices(2), id="slices 2"),
    pytest.param(lambda: bodies.slices(5, (1.0, 2.0, -0.5)), id="slices 5, oblique"),
    pytest.param(lambda: bodies.sectors(2), id="sectors 2"),
    pytest.param(lambda: bodies.sectors(6), id="sectors 6"),
    pytest.param(lambda: bodies.patches(2), id="patches 2"),
    pytest.param(lambda: bodies.patches(12), id="patches 12"),
    pytest.param(lambda: bodies.patches(32), id="patches 32"),
]
CUT_IN_TWO_OR_MORE = CUTS[1:]


def exchange_rates(body):
    """(site, site): minus d(mean x)/dt by mean x, in D/R^2, for a constant D."""
    matrix = spheres.laplacian(body.num_sites, body.neighbours, body.exchange)
    return matrix / (body.share[:, None] * 4 / 3 * np.pi)


def harmonic(body, function):
    """Means over the sites of a function of the direction."""
    points = spheres.quasi_uniform(20000)
    site = body.site_of(points)
    total = np.bincount(site, function(points), minlength=body.num_sites)
    return total / np.bincount(site, minlength=body.num_sites)


@pytest.mark.parametrize("cut", CUTS)
def test_shares_add_up_to_the_sphere_and_are_what_the_sites_cover(cut):
    body = cut()
    np.testing.assert_allclose(np.sum(body.share), 1.0, rtol=1e-12)
    site = body.site_of(spheres.quasi_uniform(50000))
    covered = np.bincount(site, minlength=body.num_sites) / 50000
    np.testing.assert_allclose(covered, body.share, rtol=0.02)


@pytest.mark.parametrize("cut", CUTS)
def test_centres_are_the_centroids_of_the_sites_that_they_define(cut):
    body = cut()
    for axis in range(3):
        mean = harmonic(body, lambda p, axis=axis: p[:, axis])
        np.testing.assert_allclose(mean, body.centres[:, axis], atol=3e-3)


@pytest.mark.parametrize("cut", CUTS)
def test_a_centre_lies_in_its_own_site(cut):
    body = cut()
    apart = np.linalg.norm(body.centres[:, None] - body.centres, axis=2)
    assert np.all(np.argmin(apart, axis=1) == np.arange(body.num_sites))


@pytest.mark.parametrize("cut", CUT_IN_TWO_OR_MORE)
def test_edges_reproduce_what_sites_see_of_each_other(cut):
    body = cut()
    exact = spheres.transfer(body.centres, body.share)
    found = spheres.transfer_of(body.pairs, 1 / body.resistance, body.share)
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, exact, atol=0.035)
    np.testing.assert_allclose(np.diag(found), body.spreading, rtol=1e-9)


@pytest.mark.parametrize("cut", CUT_IN_TWO_OR_MORE)
def test_edges_are_positive_and_join_all_sites(cut):
    body = cut()
    assert np.all(np.isfinite(body.resistance))
    assert np.all(body.resistance > 0)
    assert np.all(body.pairs[:, 0] < body.pairs[:, 1])
    matrix = spheres.laplacian(body.num_sites, body.pairs, 1 / body.resistance)
    assert np.linalg.eigvalsh(matrix)[1] > 1e-3


def test_patches_need_edges_between_neighbours_only():
    for count in (8, 16, 32):
        body = bodies.patches(count)
        np.testing.assert_array_equal(body.pairs, body.neighbours)


@pytest.mark.parametrize("count", [2, 4, 16, 32])
def test_lithium_evens_out_between_slices_as_on_layers_of_a_sphere(count):
    # A layer's l-th harmonic fades at l (l + 1) D/r^2, which is 3 l (l + 1) over cones.
    rates = np.linalg.eigvals(exchange_rates(bodies.slices(count))).real
    exact = 3.0 * np.arange(count) * (np.arange(count) + 1)
    np.testing.assert_allclose(np.sort(rates)[:2], exact[:2], atol=1e-6)
    np.testing.assert_allclose(np.sort(rates)[:4], exact[:4], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize("count", [2, 6, 12, 32])
def test_a_cosine_evens_out_between_patches_at_six_times_d_over_r_squared(count):
    body = bodies.patches(count)
    for axis in range(3):
        x = body.centres[:, axis]
        rate = x @ (body.share * (exchange_rates(body) @ x)) / (x @ (body.share * x))
        if np.max(np.abs(x)) > 0.05:
            np.testing.assert_allclose(rate, 6.0, rtol=0.02)


def test_the_second_harmonic_evens_out_the_better_the_more_patches():
    errors = []
    for count in (8, 16, 32, 64):
        body = bodies.patches(count)
        x = harmonic(body, lambda p: 1.5 * p[:, 2] ** 2 - 0.5)
        rate = x @ (body.share * (exchange_rates(body) @ x)) / (x @ (body.share * x))
        errors.append(abs(rate / 18.0 - 1.0))
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 0.1


@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_a_cosine_evens_out_between_sectors_as_their_faces_and_centroids_say(count):
    body = bodies.sectors(count)
    rate = np.sort(np.linalg.eigvals(exchange_rates(body)).real)[1]
    width = 2 * np.pi / count
    expected = 4 * (2 - 2 * np.cos(width)) / width**2
    np.testing.assert_allclose(rate, expected, rtol=1e-9)


def test_a_crack_parts_the_sites_nearest_to_a_direction_from_the_rest():
    body = bodies.cracked(bodies.patches(32), 0.3, (0.0, 0.0, 1.0))
    part = body.share[body.fragment == 1]
    np.testing.assert_allclose(np.sum(part), 0.3, atol=0.02)
    lowest = np.min(body.centres[body.fragment == 1, 2])
    assert lowest > np.max(body.centres[body.fragment == 0, 2])
    for pairs in (body.pairs, body.neighbours):
        assert len(pairs) > 0
        assert np.all(body.fragment[pairs[:, 0]] == body.fragment[pairs[:, 1]])
    assert body.bridge.shape == (1, 2)
    assert set(body.fragment[body.bridge[0]].tolist()) == {0, 1}
    apart = np.linalg.norm(body.centres[:, None] - body.centres, axis=2)
    across = apart[body.fragment == 0][:, body.fragment == 1]
    np.testing.assert_allclose(apart[tuple(body.bridge[0])], np.min(across), rtol=1e-6)


def test_each_piece_of_a_cracked_particle_holds_together():
    body = bodies.cracked(bodies.patches(24), 0.25, (1.0, 1.0, 0.0))
    matrix = spheres.laplacian(body.num_sites, body.pairs, 1 / body.resistance)
    # As many potentials without a current as there are pieces.
    assert np.sum(np.abs(np.linalg.eigvalsh(matrix)) < 1e-9) == 2


def test_bodies_are_equal_by_content_and_cannot_be_written_to():
    body = bodies.patches(4)
    again = dataclasses.replace(body)
    assert again == body
    assert hash(again) == hash(body)
    assert dataclasses.replace(body, exchange=2 * body.exchange) != body
    with pytest.raises(ValueError, match="read-only"):
        body.share[0] = 1.0


def test_a_contact_and_its_sites_spreading_make_up_its_cap():
    body = bodies.patches(8)
    shape = bodies.contact_shape(body, 3, 0.5e-6, 5e-6)
    total = shape * 5e-6 + body.spreading[3]
    np.testing.assert_allclose(total, spheres.cap_spreading(0.1), rtol=1e-12)
    # One site: Holm's constriction and a logarithm.
    shape = bodies.contact_shape(bodies.whole(), 0, 0.5e-6, 5e-6)
    np.testing.assert_allclose(shape * 4 * 0.5e-6, 1.033, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: bodies.contact_shape(bodies.patches(32), 0, 2e-6, 5e-6), "fewer"),
        (lambda: bodies.contact_shape(bodies.whole(), 0, 6e-6, 5e-6), "radius, but"),
        (lambda: bodies.slices(0), "between 1 and 32, but is 0"),
        (lambda: bodies.patches(65), "between 1 and 64, but is 65"),
        (lambda: bodies.cracked(bodies.whole(), 0.3, (0, 0, 1)), "two sites or more"),
        (lambda: bodies.cracked(bodies.patches(4), 1.2, (0, 0, 1)), "but is 1.2"),
        (lambda: bodies.cracked(4, 0.3, (0, 0, 1)), "must be a diffelec.bodies.Body"),
        (lambda: bodies.patches(4).site_of("z"), "`directions` must be .* is 'z'"),
        (lambda: bodies.cracked(bodies.patches(4), "a", (0, 0, 1)), "but is 'a'"),
        (lambda: bodies.patches(4).site_of([0.0, 0.0, 0.0]), "that are not all 0"),
        (lambda: bodies.slices(4, "z"), "`axis` must be x, y, z that .*, but is 'z'"),
        (lambda: bodies.slices(4, [1, 0]), r"not all 0, but is \[1\.0, 0\.0\]"),
        (lambda: bodies.slices(4, [[0, 0, 1]]), r"not all 0, but is \[\[0\.0"),
        (lambda: bodies.slices(4, [0, 0, np.nan]), r"not all 0, but is \[0\.0, 0"),
        (
            lambda: dataclasses.replace(bodies.patches(4), share=[0.5] * 4),
            "add up to 1, but adds up to 2",
        ),
        (
            lambda: bodies.contact_shape("p0", 0, 5e-7, 5e-6),
            "`body` must be a diffelec.bodies.Body, but is a str",
        ),
        (
            lambda: bodies.contact_shape(bodies.whole(), 1, 5e-7, 5e-6),
            "`site` must be 0 to 0 for this body, but is 1",
        ),
        (
            lambda: bodies.contact_shape(bodies.slices(4), -1, 5e-7, 5e-6),
            "`site` must be 0 to 3 for this body, but is -1",
        ),
        (
            lambda: bodies.contact_shape(bodies.whole(), 0, 5e-7, "5 um"),
            r"`radius` must be positive \[m\], but is '5 um'",
        ),
        (
            lambda: dataclasses.replace(bodies.patches(4), spreading=0.1),
            "`spreading` must be one list of numbers, but",
        ),
        (
            lambda: dataclasses.replace(bodies.patches(4), centres=np.ones((4, 2))),
            "`centres` must hold three finite coordinates of each site",
        ),
        (
            lambda: dataclasses.replace(bodies.patches(4), fragment=None),
            "`fragment` must hold whole numbers, but is None",
        ),
        (
            lambda: dataclasses.replace(bodies.slices(2), bridge=[[0, 2]]),
            "`bridge` must name sites 0 to 1, but names 0 to 2",
        ),
        (
            lambda: dataclasses.replace(bodies.slices(2), pairs=[0, 1]),
            r"`pairs` must hold two sites a pair, but has the shape \(2,\)",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize("form", [bodies.slices, bodies.sectors, bodies.patches])
@pytest.mark.parametrize("count", [2.5, True, "8", 0, [8]])
def test_a_number_of_sites_that_is_not_whole_is_refused(form, count):
    with pytest.raises(ValueError, match=f"is {re.escape(repr(count))}; give a whole"):
        form(count)


@pytest.mark.parametrize("axis", [[1, 0, 0], np.array([2.0, 0.0, 0.0])])
def test_an_axis_may_be_any_list_of_three(axis):
    assert bodies.slices(4, axis) is bodies.slices(np.int64(4), (1.0, 0.0, 0.0))
