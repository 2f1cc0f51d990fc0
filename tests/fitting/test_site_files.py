"""Sites and electrolyte in electrode files, and label images as particles."""

import json

import numpy as np
import pytest
import tifffile

import diffelec
from diffelec.bodies import cracked, patches, slices
from diffelec.electrolyte import with_electrolyte
from fitting import cuts, files, labels

from .test_files import assert_equal_electrodes

UP = (0.0, 1.0, 0.0)
SLICES = {"form": "slices", "number": 3}
SOAKED = {
    "effective_conductivity_S_per_m": 0.1,
    "area_m2": 1e-9,
    "thickness_m": 4e-5,
    "num_layers": 3,
}


def chain_file(**network):
    return {"network": {"builder": "chain", "num_particles": 2, **network}}


def cut_and_soaked():
    network = diffelec.resolve(
        diffelec.graphs.chain(3),
        4e-6,
        {"p0": cracked(slices(3, UP), 0.3, UP), "p2": patches(4)},
        coverage=0.5,
        crack_contact=2e-7,
    )
    network = with_electrolyte(
        network, effective_conductivity=0.1, area=1e-9, thickness=4e-5, radius=4e-6
    )
    return diffelec.presets.electrode_of(network, radius=4e-6, num_shells=6)


def test_cut_particles_and_electrolyte_survive_the_way_through_a_file(tmp_path):
    electrode = cut_and_soaked()
    files.write_electrode(tmp_path / "electrode.json", electrode)
    again = files.read_electrode(tmp_path / "electrode.json")
    assert_equal_electrodes(electrode, again)
    assert again.network.topology == electrode.network.topology


def test_a_builder_may_ask_for_sites_and_an_electrolyte():
    data = chain_file(sites=SLICES | {"coverage": 0.4, "seed": 3}, electrolyte=SOAKED)
    data["particles"] = {"radius_m": 4e-6}
    cut = diffelec.resolve(
        diffelec.graphs.chain(2), 4e-6, slices(3, UP), coverage=0.4, seed=3
    )
    expected = with_electrolyte(
        cut,
        effective_conductivity=0.1,
        area=1e-9,
        thickness=4e-5,
        num_layers=3,
        radius=4e-6,
    )
    assert_equal_electrodes(
        files.electrode_from_dict(data),
        diffelec.presets.electrode_of(expected, radius=4e-6),
    )


def test_cracks_are_of_the_particles_named():
    crack = {"share": 0.3, "direction": [0, 1, 0]}
    form = SLICES | {"cracks": {"p1": crack}, "crack_contact_radius_m": 2e-7}
    cut = cuts.cut_network(diffelec.graphs.chain(2), 5e-6, form)
    body = slices(3, UP)
    expected = diffelec.resolve(
        diffelec.graphs.chain(2),
        5e-6,
        {"p0": body, "p1": cracked(body, 0.3, UP)},
        crack_contact=2e-7,
    )
    assert cut.topology == expected.topology
    np.testing.assert_array_equal(cut.shape_tail, expected.shape_tail)


def test_a_table_of_spheres_is_cut_along_its_height(tmp_path):
    rows = "particle,x_um,y_um,z_um,radius_um\na,0,0,5,5\nb,0,0,14,4\n"
    (tmp_path / "particles.csv").write_text(rows)
    network = {"particle_table": "particles.csv", "sites": SLICES}
    (tmp_path / "e.json").write_text(json.dumps({"network": network}))
    topology = files.read_electrode(tmp_path / "e.json").network.topology
    assert topology.site_particle.tolist() == [0, 0, 0, 1, 1, 1]
    names = topology.node_labels
    ends = {
        names[t] + names[h] for t, h in zip(topology.tail, topology.head, strict=True)
    }
    assert "a/0b/2" in ends  # the upper slice of the lower one, and the other's lower


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ({"sites": {"form": "cubes"}}, r"sites\.form must be one of 'slices', 'sect"),
        ({"sites": {"form": "slices"}}, r"sites must have the key 'number'"),
        ({"sites": SLICES | {"number": 99}}, r"network\.sites: The number of sites"),
        ({"sites": {"form": "patches", "number": 4, "axis": [0, 0, 1]}}, "'axis'"),
        ({"sites": SLICES | {"cracks": {"p9": {"share": 0.3}}}}, "key 'direction'"),
        (
            {"sites": SLICES | {"cracks": {"p9": {"share": 0.3, "direction": UP}}}},
            "names the particle 'p9', which does not exist",
        ),
        (
            {"sites": SLICES | {"cracks": {"p1": {"share": 0.3, "direction": UP}}}},
            "`crack_contact_radius_m` must be given",
        ),
        ({"sites": SLICES | {"coverage": 0}}, "`coverage` must lie above 0"),
        ({"electrolyte": SOAKED | {"area_m2": -1}}, r"electrolyte: `area` must be pos"),
    ],
)
def test_what_cannot_be_cut_so_is_one_sentence(network, words):
    data = json.loads(json.dumps(chain_file(**network)))
    with pytest.raises(ValueError, match=words) as caught:
        files.electrode_from_dict(data)
    assert "\n" not in str(caught.value)


def two_boxes():
    """Boxes of 4 x 4 x 4 and 4 x 2 x 2 voxels that share 2 x 2 faces, one above."""
    image = np.zeros((9, 6, 6), np.uint16)
    image[1:5, 1:5, 1:5] = 7
    image[5:9, 2:4, 1:3] = 3
    return image


def test_labels_are_particles_with_their_contacts():
    found = labels.particles_of(two_boxes(), 1e-6)
    assert found["particle"].tolist() == ["3", "7"]
    np.testing.assert_allclose(found["position"][0], [2e-6, 3e-6, 7e-6])
    np.testing.assert_allclose(found["position"][1], [3e-6, 3e-6, 3e-6])
    volume = 4 / 3 * np.pi * found["radius"] ** 3
    np.testing.assert_allclose(volume, [16e-18, 64e-18])
    assert found["pairs"].tolist() == [[0, 1]]
    smaller = found["radius"][0]
    assert found["contact_radius"][0] == pytest.approx(
        min(np.sqrt(4 / np.pi) * 1e-6, 0.5 * smaller)
    )


def test_whole_numbers_written_as_floating_ones_are_labels():
    found = labels.particles_of(two_boxes().astype(np.float32), 1e-6)
    assert found["particle"].tolist() == ["3", "7"]
    np.testing.assert_array_equal(
        found["radius"], labels.particles_of(two_boxes(), 1e-6)["radius"]
    )


def shades():
    """A mask of two discs whose edges were smoothed."""
    z, x = np.mgrid[:40, :80]
    away = np.minimum(np.hypot(z - 19.3, x - 20.2), np.hypot(z - 19.8, x - 60.6))
    return np.rint(255 * np.clip(14.5 - away, 0.0, 1.0)).astype(np.uint8)


def test_a_flat_oblique_border_counts_as_flat():
    z, x = np.mgrid[:160, :160]
    image = np.where(x + 2 * z < 240, 1, 2)
    apart = (np.abs(x + 2 * z - 240) < 8) & ((x < 60) | (x >= 100))
    image[apart] = 0
    found = labels.particles_of(image, 1e-7)
    length = 1e-7 * np.hypot(40, 20)
    assert found["contact_radius"][0] == pytest.approx(0.5 * length, rel=0.02)


def test_a_section_is_read_from_its_last_row_up(tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", two_boxes()[::-1, 2].astype(np.uint8))
    found = labels.read_label_image(tmp_path / "labels.tif", 1e-6)
    np.testing.assert_allclose(found["position"], [[2e-6, 7e-6], [3e-6, 3e-6]])
    np.testing.assert_allclose(np.pi * found["radius"] ** 2, [8e-12, 16e-12])


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])
def test_a_tomogram_three_voxels_deep_is_no_picture(photometric, tmp_path):
    # As RGB, though its pages are slices, tifffile writes it where none is named.
    image = np.zeros((3, 6, 5), np.uint8)
    image[:, 1:4, 1:3] = 1
    path = tmp_path / "labels.tif"
    tifffile.imwrite(path, image, photometric=photometric, planarconfig="separate")
    found = labels.read_label_image(tmp_path / "labels.tif", 1e-6)
    np.testing.assert_allclose(found["position"], [[2e-6, 2.5e-6, 1.5e-6]])


def test_an_electrode_is_made_of_a_tomogram(tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", two_boxes())
    network = {"label_image": "labels.tif", "voxel_um": 2.0, "carbon_share": 0.0}
    data = {"network": network | {"sites": SLICES}}
    (tmp_path / "e.json").write_text(json.dumps(data))
    electrode = files.read_electrode(tmp_path / "e.json")
    found = labels.particles_of(two_boxes(), 2e-6)
    np.testing.assert_allclose(electrode.radius, found["radius"])
    topology = electrode.network.topology
    assert topology.particle_labels == ("3", "7")
    on_carbon = topology.head[topology.tail == 0] - topology.first_site
    assert set(topology.site_particle[on_carbon].tolist()) == {1}  # the lower one


@pytest.mark.parametrize(
    ("image", "size", "words"),
    [
        (np.zeros((5, 5, 5), np.uint8), 1.0, r"labels\.tif: .* holds no number above"),
        (np.ones((4, 5, 3), np.uint8), 1.0, r"has 3 \(RGB\); .* single-channel"),
        (np.ones((4, 5, 4), np.uint8), 1.0, r"has 4 \(RGB\); .* single-channel"),
        (np.full((3, 3), 0.5, np.float32), 1.0, "whole numbers .* float32 in 2, not"),
        (np.full((3, 3), np.nan), 1.0, "whole numbers .* float64 in 2, not all of"),
        (255 * np.eye(5, dtype=np.uint8)[[0, 3]], 1.0, "one, 255, in 2 pieces, as a"),
        (shades(), 1.0, r"most of its numbers, \d+ of \d+, are scattered as shades"),
        (np.full((5, 5), -1, np.int16), 1.0, r"0 outside .* but holds -1; write 0"),
        (b"\x89PNG\r\n", 1.0, "a TIFF with labels, but is a PNG picture; save"),
        (b"\xff\xd8\xff\xe0", 1.0, "a TIFF with labels, but is a JPEG picture"),
        (two_boxes(), -1.0, r"network\.voxel_um must be positive, but is -1\."),
        (two_boxes(), 500.0, r"voxel_um must be .* in um, but with 500 the particle"),
        (b"no image", 1.0, r"labels\.tif must be a TIFF with labels"),
    ],
)
def test_what_is_no_label_image_is_told(image, size, words, tmp_path):
    path = tmp_path / "labels.tif"
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        tifffile.imwrite(path, image)
    data = {"network": {"label_image": "labels.tif", "voxel_um": size}}
    (tmp_path / "e.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=words) as caught:
        files.read_electrode(tmp_path / "e.json")
    assert "\n" not in str(caught.value)
