import numpy as np
import pytest
import roifile
import tifffile

from fitting.optical import trace_files
from fitting.optical.region_files import read_circles, read_regions
from fitting.optical.regions import ellipse, regions_of

SHAPE = (60, 80)


def circles(folder, *rows, header="particle,x_px,y_px,r_px"):
    path = folder / "circles.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def disc(x, y, r):
    row, column = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (row - y) ** 2 + (column - x) ** 2 <= r**2


def test_a_circle_covers_the_pixels_whose_centres_it_holds(tmp_path):
    found = read_regions(circles(tmp_path, "a,30.5,20,8"), SHAPE, erode=0)
    np.testing.assert_array_equal(found.mask(0), disc(30.5, 20, 8))


def test_erosion_takes_off_the_edge_and_nothing_else(tmp_path):
    path = circles(tmp_path, "a,30,20,8")
    inner = read_regions(path, SHAPE, erode=1.0).mask(0)
    outer = disc(30, 20, 8)
    edge = outer & ~inner
    neighbours = np.roll(outer, 1, 0) & np.roll(outer, -1, 0)
    neighbours &= np.roll(outer, 1, 1) & np.roll(outer, -1, 1)
    np.testing.assert_array_equal(edge, outer & ~neighbours)


def test_micrometres_are_divided_by_the_size_of_a_pixel(tmp_path):
    path = circles(tmp_path, "a,15,10,4", header="particle,x_um,y_um,r_um")
    found = read_regions(path, SHAPE, pixel_size=0.5, erode=0)
    np.testing.assert_array_equal(found.mask(0), disc(30, 20, 8))


def oval():
    roi = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.OVAL, left=22, top=12, right=39, bottom=29, name="one"
    )
    return roi, disc(30, 20, 8.5)


def rectangle():
    roi = roifile.ImagejRoi(
        roitype=roifile.ROI_TYPE.RECT, left=22, top=12, right=39, bottom=29, name="box"
    )
    inside = np.zeros(SHAPE, bool)
    inside[12:29, 22:39] = True
    return roi, inside


def polygon():
    corners = [[22, 12], [39, 12], [39, 29], [22, 29]]
    return roifile.ImagejRoi.frompoints(corners, name="box"), rectangle()[1]


def subpixel():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    corners = np.stack([31.0 + 8.3 * np.cos(angle), 20.8 + 8.3 * np.sin(angle)], axis=1)
    roi = roifile.ImagejRoi.frompoints(corners.astype(np.float32), name="free")
    roi.roitype = roifile.ROI_TYPE.FREEHAND
    return roi, disc(30.5, 20.3, 8.3)


@pytest.mark.parametrize("make", [oval, rectangle, polygon, subpixel])
def test_regions_of_imagej_cover_what_imagej_says(tmp_path, make):
    roi, inside = make()
    roi.tofile(tmp_path / "one.roi")
    found = read_regions(tmp_path / "one.roi", SHAPE, erode=0)
    assert found.labels == (roi.name,)
    assert np.sum(found.mask(0) != inside) <= (2 if make is subpixel else 0)


def test_a_zip_holds_all_regions_by_their_names(tmp_path):
    first, _ = oval()
    second = roifile.ImagejRoi.frompoints([[50, 30], [70, 30], [60, 50]], name="tri")
    roifile.roiwrite(tmp_path / "set.zip", [first, second], mode="w")
    found = read_regions(tmp_path / "set.zip", SHAPE)
    assert found.labels == ("one", "tri")
    np.testing.assert_allclose(found.centre[0], [20.0, 30.0], atol=1e-9)


def test_labels_of_an_image_keep_their_numbers(tmp_path):
    image = np.zeros(SHAPE, np.uint16)
    image[5:15, 5:15], image[20:32, 25:40] = 3, 700
    tifffile.imwrite(tmp_path / "labels.tif", image)
    found = read_regions(tmp_path / "labels.tif", SHAPE, erode=0)
    assert found.labels == ("3", "700")
    np.testing.assert_array_equal(found.mask(1), image == 700)
    image = np.where(image == 700, np.uint32(2**32 - 1), image)
    tifffile.imwrite(tmp_path / "labels.tif", image)
    again = read_regions(tmp_path / "labels.tif", SHAPE, erode=0)
    assert again.labels == ("3", "4294967295")
    np.testing.assert_array_equal(again.mask(1), found.mask(1))


def test_one_area_of_a_mask_is_one_particle(tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", np.uint8(255) * disc(30, 20, 8))
    found = read_regions(tmp_path / "mask.tif", SHAPE)
    assert found.notes == (
        "mask.tif is black and white; its 1 connected area was taken for a particle.",
    )


def test_a_label_alone_keeps_its_name(tmp_path):
    tifffile.imwrite(tmp_path / "labels.tif", np.uint8(5) * disc(30, 20, 8))
    found = read_regions(tmp_path / "labels.tif", SHAPE)
    assert (found.labels, found.notes) == (("5",), ())


def test_the_halo_of_a_circle_reaches_two_radii():
    found = regions_of("c", ["a"], [ellipse(30, 40, 10, 10)], SHAPE)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(y - 30, x - 40)
    near = found.near(1.0)
    assert np.all(near[distance < 19.5])
    assert not np.any(near[distance > 20.5])


def test_pixels_that_two_regions_share_belong_to_none(tmp_path):
    found = read_regions(circles(tmp_path, "a,25,30,9", "b,38,30,9"), SHAPE)
    shared = set(map(tuple, found.pixels[0].T)) & set(map(tuple, found.pixels[1].T))
    assert not shared


def test_what_is_written_is_read_again(tmp_path):
    first = read_regions(circles(tmp_path, "a,25,30,9", "b,48.25,30.5,9"), SHAPE)
    trace_files.write_regions(tmp_path / "again.csv", first)
    again = read_regions(tmp_path / "again.csv", SHAPE)
    assert again.labels == first.labels
    np.testing.assert_allclose(again.centre, first.centre, atol=0.2)
    np.testing.assert_allclose(again.radius, first.radius, rtol=0.02)


def test_circles_are_drawn_of_regions_too_small_to_measure_again(tmp_path):
    """Erosion was that of the measurement, and is not done twice."""
    first = read_regions(circles(tmp_path, "a,30,20,2"), SHAPE, erode=0)
    trace_files.write_regions(tmp_path / "small.csv", first)
    (found,) = read_circles(tmp_path / "small.csv", SHAPE)
    assert found.particle == "a"
    assert found[1:] == pytest.approx((30, 20, 2), rel=0.05)
    path = circles(tmp_path, "a,30,20,2", "b,50,20,1", "c,70.4,20.4,0.1")
    *_, speck = read_circles(path, SHAPE)
    assert speck.radius == 0


def test_circles_of_a_core_and_its_shell_may_lie_on_one_another(tmp_path):
    shell = np.where(disc(30, 30, 11), 2, 0)
    image = np.where(disc(30, 30, 7.8), 1, shell).astype(np.uint16)
    tifffile.imwrite(tmp_path / "labels.tif", image)
    first = read_regions(tmp_path / "labels.tif", SHAPE, erode=0)
    trace_files.write_regions(tmp_path / "areas.csv", first)
    core, around = read_circles(tmp_path / "areas.csv", SHAPE)
    assert core.radius == pytest.approx(7.8, rel=0.02)
    assert around.radius == pytest.approx(np.sqrt(11**2 - 7.8**2), rel=0.02)
