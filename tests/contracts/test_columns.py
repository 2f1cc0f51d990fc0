"""What the radial mesh must obey: it loses no lithium and converges."""

import numpy as np
import pytest

from diffelec import RadialMesh
from tests.helpers import observed_order

MESHES = [
    pytest.param(RadialMesh(), id="default"),
    pytest.param(RadialMesh(3), id="three shells"),
    pytest.param(RadialMesh(7, 0.01), id="nearly uniform"),
    pytest.param(RadialMesh(60), id="fine"),
]


@pytest.mark.parametrize("mesh", MESHES)
def test_the_volumes_fill_the_sphere(mesh):
    assert np.all(mesh.volumes > 0)
    np.testing.assert_allclose(mesh.volumes.sum(), 1 / 3, rtol=1e-14)


@pytest.mark.parametrize("mesh", MESHES)
def test_the_weights_add_up_to_one(mesh):
    assert mesh.weights.shape == (mesh.num_shells,)
    np.testing.assert_allclose(mesh.weights.sum(), 1.0, rtol=1e-14)


@pytest.mark.parametrize("mesh", MESHES)
def test_the_nodes_run_from_the_centre_to_the_surface(mesh):
    assert mesh.nodes[0] == 0.0
    assert mesh.nodes[-1] == 1.0
    assert np.all(np.diff(mesh.nodes) > 0)
    assert np.all((mesh.nodes[:-1] < mesh.faces) & (mesh.faces < mesh.nodes[1:]))


def test_neighbouring_shells_of_twenty_nodes_differ_by_a_quarter():
    thickness = np.diff(RadialMesh(20).nodes)
    assert np.all(np.isfinite(thickness))
    np.testing.assert_allclose(thickness[:-1] / thickness[1:], 1.25, rtol=1e-12)


@pytest.mark.parametrize("mesh", MESHES)
def test_a_constant_does_not_diffuse(mesh):
    change = mesh.divergence @ (mesh.differences @ np.full(mesh.num_shells, 0.7))
    assert np.all(np.isfinite(change))
    size = np.abs(mesh.divergence) @ (np.abs(mesh.differences) @ np.ones(len(change)))
    assert np.all(np.abs(change) <= 1e-15 * size)


@pytest.mark.parametrize("mesh", MESHES)
def test_diffusion_moves_lithium_and_makes_none(mesh):
    total = mesh.weights @ mesh.divergence
    assert np.all(np.isfinite(total))
    np.testing.assert_allclose(total, 0.0, atol=1e-13)


@pytest.mark.parametrize("mesh", MESHES)
def test_diffusion_is_symmetric_and_only_evens_out(mesh):
    matrix = mesh.volumes[:, None] * (mesh.divergence @ mesh.differences)
    assert np.all(np.isfinite(matrix))
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-14)
    assert np.max(np.linalg.eigvalsh(matrix)) < 1e-12
    assert np.linalg.matrix_rank(matrix) == mesh.num_shells - 1


def test_the_fluxes_of_a_parabola_are_exact():
    # The difference over a cell is the slope of a parabola at its midpoint.
    mesh = RadialMesh(20)
    flux = mesh.differences @ (1.0 - mesh.nodes**2)
    assert np.all(np.isfinite(flux))
    np.testing.assert_allclose(flux, -2.0 * mesh.faces**3, rtol=1e-11)


def test_the_divergence_of_a_parabola_is_exact_inside_and_closes_at_the_surface():
    mesh = RadialMesh(20)
    change = mesh.divergence @ (mesh.differences @ (1.0 - mesh.nodes**2))
    surface_flux = -2.0  # of 1 - xi^2 at xi = 1
    change[-1] += surface_flux / mesh.volumes[-1]
    assert np.all(np.isfinite(change))
    np.testing.assert_allclose(change, -6.0, rtol=1e-9)


def test_the_mean_of_a_parabola_converges_at_second_order():
    sizes = [20, 40, 80, 160, 320]
    errors = [abs(m.weights @ m.nodes**2 - 0.6) for m in (RadialMesh(n) for n in sizes)]
    order = observed_order(1.0 / (np.array(sizes) - 1), errors)
    np.testing.assert_allclose(order[-3:], 2.0, atol=0.1)


def test_the_fluxes_of_a_wave_converge_at_second_order():
    sizes = [20, 40, 80, 160, 320]
    errors = []
    for size in sizes:
        mesh = RadialMesh(size)
        flux = mesh.differences @ np.cos(3.0 * mesh.nodes)
        exact = -3.0 * np.sin(3.0 * mesh.faces) * mesh.faces**2
        errors.append(np.max(np.abs(flux - exact)))
    order = observed_order(1.0 / (np.array(sizes) - 1), errors)
    np.testing.assert_allclose(order[-3:], 2.0, atol=0.1)


@pytest.mark.parametrize("count", [2, 0, -1, 5.5, 20.0])
def test_a_mesh_of_too_few_shells_or_parts_of_them_is_refused(count):
    with pytest.raises(ValueError, match=f"whole number, 3 or more, but is {count}"):
        RadialMesh(count)


@pytest.mark.parametrize("clustering", [0.0, -1.0])
def test_a_mesh_clustered_to_nowhere_is_refused(clustering):
    with pytest.raises(ValueError, match="`clustering` must be positive"):
        RadialMesh(20, clustering)
