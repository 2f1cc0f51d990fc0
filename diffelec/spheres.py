r"""Currents on a conducting sphere that is cut into sites: what `bodies` is made of.

Lengths are in units of the radius R, resistances in units of 1/(kappa R). Directions
are unit vectors. A partition is given by its centres: the centroid vectors c of the
unit normal over each site, |c| < 1; a direction p belongs to the nearest centre.
"""

import numpy as np

_POINTS_A_SITE = 64
_POINTS = 2048


def neumann(half_chord):
    r"""Potential of a unit current into the surface that leaves evenly all over it.

    At the angle g from the source, with s = sin(g/2), the harmonics' coefficients
    follow from kappa d(phi)/dr at R:

    $$ N = \frac{1}{4\pi} \sum_{l \ge 1} \frac{2l+1}{l} P_l(\cos g)
         = \frac{1}{4\pi} [1/s - 2 - \ln(s + s^2)] $$

    Its mean over the sphere is 0.
    """
    s = half_chord
    return (1.0 / s - 2.0 - np.log(s + s * s)) / (4.0 * np.pi)


def cap_spreading(contact_radius):
    r"""Resistance between a small contact and the mean of the surface.

    The contact is a cap whose rim is at the angle b, sin b = a/R. Its current has the
    density (cos t - cos b)^(-1/2) at the angle t, which is that of an isothermal disc
    as b -> 0. By Mehler's integral its harmonics are
    c_l = sin((l + 1/2) b) / ((2l + 1) sin(b/2)); with what they dissipate,

    $$ \frac{1}{4\pi} \sum_{l \ge 1} \frac{2l+1}{l} c_l^2 = \frac{1}{8\pi \sin^2(b/2)}
       [2 - 2 \ln 2 + \cos b \ln(2 \sin b) + (\pi/2 - b) \sin b
        + \ln \cot(b/2) - 2 \cos b] $$

    Little of it is left beyond Holm's 1/(4a): R/(4a) + [ln(R/2a) - 1/2]/(4 pi). By
    Thomson's principle an isothermal cap has no more than this.
    """
    b = np.arcsin(contact_radius)
    series = (
        2.0
        - 2.0 * np.log(2.0)
        + np.cos(b) * np.log(2.0 * np.sin(b))
        + (0.5 * np.pi - b) * np.sin(b)
        - np.log(np.tan(0.5 * b))
        - 2.0 * np.cos(b)
    )
    return series / (8.0 * np.pi * np.sin(0.5 * b) ** 2)


def quasi_uniform(count: int) -> np.ndarray:
    """(count, 3) directions on a Fibonacci spiral, evenly spaced in height."""
    k = np.arange(count) + 0.5
    z, turn = 1.0 - 2.0 * k / count, np.pi * (1.0 + np.sqrt(5.0)) * k
    across = np.sqrt(1.0 - z * z)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=1)


def nearest(directions: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Number of the centre that is nearest to each direction (..., 3)."""
    return np.argmax(_closeness(directions, centres), axis=-1)


def settled_centres(
    count: int, num_points: int = 20000, rounds: int = 100
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and shares of `count` sites of nearly equal size.

    Lloyd's rounds from a Fibonacci spiral: every centre moves to the centroid of its
    own site, so that in the end the centres are the centroids of what they define.
    """
    points, centres = quasi_uniform(num_points), quasi_uniform(count)
    size = np.ones(count)
    for _ in range(rounds):
        site = nearest(points, centres)
        total = np.stack(
            [np.bincount(site, axis, minlength=count) for axis in points.T], axis=1
        )
        size = np.bincount(site, minlength=count)
        centres = total / size[:, None]
    return centres, size / num_points


def transfer(centres: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(site, site) mean potential of one site for a unit current spread over another.

    Means of `neumann` over pairs of quasi-uniform points. A point's own term is what
    makes its row add up to the mean of `neumann`, 0. The means weighted by `share` are
    0 too.
    """
    count = len(centres)
    points = quasi_uniform(max(_POINTS, _POINTS_A_SITE * count))
    site = nearest(points, centres)
    member = (site[:, None] == np.arange(count)) / np.bincount(site, minlength=count)
    seen = np.empty_like(member)
    for rows in np.array_split(np.arange(len(points)), len(points) // 512):
        dot = points[rows] @ points.T
        own = (np.arange(len(rows)), rows)
        dot[own] = 0.0
        part = neumann(np.sqrt(0.5 * (1.0 - dot)))
        part[own] = 0.0
        part[own] = -np.sum(part, axis=1)
        seen[rows] = part @ member
    return from_mean(member.T @ seen, share)


def from_mean(matrix: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Potentials less their mean over the surface, for currents that leave evenly."""
    gauge = np.eye(len(share)) - share
    return gauge @ matrix @ gauge.T


def laplacian(count: int, pairs: np.ndarray, conductance: np.ndarray) -> np.ndarray:
    """Kirchhoff's matrix (site, site) of edges between sites."""
    matrix = np.zeros((count, count))
    np.add.at(matrix, (pairs[:, 0], pairs[:, 1]), -conductance)
    matrix = matrix + matrix.T
    return matrix - np.diag(matrix.sum(axis=1))


def transfer_of(pairs: np.ndarray, conductance: np.ndarray, share: np.ndarray):
    """`transfer` as a network of edges between sites has it."""
    matrix = laplacian(len(share), pairs, conductance)
    return from_mean(np.linalg.inv(matrix + 1.0 / len(share)), share)


def borders(centres: np.ndarray, num_samples: int = 4096):
    r"""Pairs of sites that share a border, its length and its circle's radius.

    The border of i and j lies on the circle 2 p.(c_i - c_j) = |c_i|^2 - |c_j|^2; its
    length is the share of the circle on which no other centre is nearer.
    """
    turn = 2.0 * np.pi * (np.arange(num_samples) + 0.5) / num_samples
    found, length, circle = [], [], []
    for i, j in _candidates(centres):
        normal = centres[i] - centres[j]
        apart = np.linalg.norm(normal)
        height = (centres[i] @ centres[i] - centres[j] @ centres[j]) / (2.0 * apart)
        radius = np.sqrt(1.0 - height**2)
        one, other = _across(normal / apart)
        points = height * normal / apart + radius * (
            np.cos(turn)[:, None] * one + np.sin(turn)[:, None] * other
        )
        closeness = _closeness(points, centres)
        on = closeness[:, i] > np.max(closeness, axis=1) - 1e-9
        if np.any(on):
            found.append((i, j))
            length.append(2.0 * np.pi * radius * np.mean(on))
            circle.append(radius)
    return np.array(found), np.array(length), np.array(circle)


def _closeness(directions, centres):
    """Grows as |p - c|^2 falls, (..., site)."""
    return 2.0 * directions @ centres.T - np.sum(centres**2, axis=1)


def _across(axis):
    """Two unit vectors at right angles to `axis` and to each other."""
    least = np.eye(3)[np.argmin(np.abs(axis))]
    one = np.cross(axis, least)
    one = one / np.linalg.norm(one)
    return one, np.cross(axis, one)


def _candidates(centres):
    """Pairs of sites that hold neighbouring points of a triangulated sphere."""
    from scipy.spatial import ConvexHull

    points = quasi_uniform(max(_POINTS, _POINTS_A_SITE * len(centres)))
    corners = nearest(points, centres)[ConvexHull(points).simplices]
    sides = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    sides = np.sort(sides, axis=1)
    return np.unique(sides[sides[:, 0] < sides[:, 1]], axis=0)
