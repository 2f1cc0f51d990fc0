"""A sphere between two contacts, and rings about an axis, by Legendre series."""

import functools

import numpy as np
import pytest

from diffelec import bodies, spheres
from tests.helpers import observed_order

DEGREES = np.arange(1, 20001)


def polynomials(x, count):
    """P_0 … P_{count} of numbers x, by recursion."""
    x = np.asarray(x, float)
    rows = [np.ones_like(x), x]
    for l in range(1, count):
        rows.append(((2 * l + 1) * x * rows[-1] - l * rows[-2]) / (l + 1))
    return np.array(rows)


def cap_harmonics(rim):
    """Means of P_l over a cap whose density is (cos t - cos rim)^(-1/2)."""
    l = DEGREES
    return np.sin((l + 0.5) * rim) / ((2 * l + 1) * np.sin(0.5 * rim))


@functools.cache
def sphere_between_contacts(contact_radius, cosine):
    """kappa R times the resistance between two caps, the angle's cosine apart."""
    spread = (2 * DEGREES + 1) / DEGREES * cap_harmonics(np.arcsin(contact_radius)) ** 2
    apart = 1 - polynomials(cosine, len(DEGREES))[1:]
    return 2 * np.sum(spread * apart) / (4 * np.pi)


def body_between_contacts(body, one, other, contact_radius):
    """The same of the network of a body's sites."""
    i, j = body.site_of(np.array([one, other]))
    ends = sum(bodies.contact_shape(body, k, contact_radius, 1.0) for k in (i, j))
    if i == j:
        return ends
    ground = np.ones((body.num_sites, body.num_sites)) / body.num_sites
    matrix = spheres.laplacian(body.num_sites, body.pairs, 1 / body.resistance)
    current = np.eye(body.num_sites)[i] - np.eye(body.num_sites)[j]
    return ends + current @ np.linalg.solve(matrix + ground, current)


def error_between(body, one, other, contact_radius=0.1):
    found = body_between_contacts(body, one, other, contact_radius)
    assert np.isfinite(found)
    cosine = round(float(np.dot(one, other)), 9)
    return found / sphere_between_contacts(contact_radius, cosine) - 1


def exact_ring_transfer(count, degrees=40000):
    """`spheres.transfer` of rings of equal height: the mean of P_l over a ring is a
    difference of (P_{l+1} - P_{l-1}) / (2l + 1) over its height.
    """
    bound = np.linspace(1.0, -1.0, count + 1)
    total = np.zeros((count, count))
    before, now = np.ones(count + 1), bound
    for l in range(1, degrees):
        after = ((2 * l + 1) * bound * now - l * before) / (l + 1)
        mean = np.diff((after - before) / (2 * l + 1)) / np.diff(bound)
        total += (2 * l + 1) / l * np.outer(mean, mean)
        before, now = now, after
    return total / (4 * np.pi)


@pytest.mark.parametrize("angle", [0.3, 1.2, 2.5, np.pi])
def test_the_closed_form_of_a_point_current_is_the_sum_of_its_harmonics(angle):
    # Abel's means of the series, which itself does not converge.
    p = polynomials(np.cos(angle), len(DEGREES))[1:]
    fading = [np.exp(-DEGREES * e) for e in (2e-3, 1e-3)]
    terms = (2 * DEGREES + 1) / DEGREES * p / (4 * np.pi)
    rough, fine = (np.sum(terms * f) for f in fading)
    found = spheres.neumann(np.sin(angle / 2))
    np.testing.assert_allclose(found, 2 * fine - rough, atol=2e-5)


@pytest.mark.parametrize("contact_radius", [0.01, 0.1, 0.3, 0.5, 0.8])
def test_the_closed_form_of_a_cap_is_the_sum_of_its_harmonics(contact_radius):
    terms = (2 * DEGREES + 1) / DEGREES * cap_harmonics(np.arcsin(contact_radius)) ** 2
    # Terms fall as 1/l^2 with an oscillation of mean 1/2.
    rest = 0.25 / np.sin(0.5 * np.arcsin(contact_radius)) ** 2 / DEGREES[-1]
    found = spheres.cap_spreading(contact_radius)
    np.testing.assert_allclose(found, (np.sum(terms) + rest) / (4 * np.pi), rtol=1e-4)


@pytest.mark.parametrize("contact_radius", [0.1, 0.3, 0.5, 0.8])
def test_an_isothermal_cap_has_hardly_less_resistance(contact_radius):
    # The least dissipation among mixtures of caps with rims up to the contact's own.
    rims = np.arcsin(contact_radius) * np.linspace(0.15, 1.0, 12)
    harmonics = np.stack([cap_harmonics(rim) for rim in rims])
    energy = (harmonics * (2 * DEGREES + 1) / DEGREES) @ harmonics.T / (4 * np.pi)
    mixture = np.linalg.lstsq(energy, np.ones(len(rims)), rcond=1e-12)[0]
    found = spheres.cap_spreading(contact_radius) * np.sum(mixture)
    assert 0.999 < found < 1.001


def test_a_small_cap_is_a_disc_on_a_half_space_and_a_logarithm():
    a = np.array([1e-3, 1e-2])
    leading = 1 / (4 * a) + (np.log(1 / (2 * a)) - 0.5) / (4 * np.pi)
    np.testing.assert_allclose(spheres.cap_spreading(a), leading, rtol=3e-5)


@pytest.mark.parametrize(("count", "error"), [(2, 0.001), (8, 0.005), (32, 0.03)])
def test_rings_see_each_other_as_their_legendre_series_says(count, error):
    height = 1 - (2 * np.arange(count) + 1) / count
    centres = height[:, None] * np.array([0.0, 0.0, 1.0])
    found = spheres.transfer(centres, np.full(count, 1 / count))
    exact = exact_ring_transfer(count)
    assert np.all(np.isfinite(found))
    np.testing.assert_allclose(found, exact, atol=error * np.max(exact))


def test_two_polar_contacts_see_one_sphere_through_its_rings_and_patches():
    pole = np.array([0.0, 0.0, 1.0])
    for body in (bodies.slices(32), bodies.patches(32)):
        assert abs(error_between(body, pole, -pole)) < 0.01


def test_contacts_at_a_right_angle_see_one_sphere_through_its_patches():
    one, other = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0])
    for count, error in ((1, 0.03), (16, 0.01), (32, 0.02)):
        assert abs(error_between(bodies.patches(count), one, other)) < error


def test_contacts_anywhere_see_one_sphere_through_its_patches(rng):
    body, opposite, across = bodies.patches(32), [], []
    for _ in range(100):
        frame = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        opposite.append(error_between(body, frame[0], -frame[0]))
        across.append(error_between(body, frame[0], frame[1]))
    assert np.max(np.abs(opposite)) < 0.01
    assert np.max(np.abs(across)) < 0.05


def test_the_resistance_between_poles_comes_nearer_with_every_halving_of_the_rings():
    # By the exact transfer between rings: thinned edges are right to 1 % and no more.
    counts = np.array([2, 4, 8, 16, 32])
    errors = []
    for count in counts:
        transfer = exact_ring_transfer(count, 4000)
        cap = spheres.cap_spreading(0.1)
        errors.append(2 * (cap - transfer[0, -1]) / sphere_between_contacts(0.1, -1.0))
    order = observed_order(1 / counts, np.abs(np.array(errors) - 1))
    assert np.all(order > 0.9)
