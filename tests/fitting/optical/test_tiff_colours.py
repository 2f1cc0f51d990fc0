"""TIFFs whose numbers are shown in other tints than grays from black to white."""

import numpy as np
import pytest
import tifffile

from fitting.optical import frames, pictures

GREY = np.tile(np.arange(32, dtype=np.uint8) * 8, (3, 32, 1))
RAMP = np.arange(256)
SHUFFLED = np.random.default_rng(0).permutation(256)
IMAGEJ = "ImageJ=1.53t\nimages=3\nframes=3\nfinterval=9\n"


def film(folder, colors, description=None, **fields):
    path = folder / "film.tif"
    fields |= {"photometric": "palette", "metadata": None, "description": description}
    tifffile.imwrite(path, GREY, colormap=257 * np.uint16(colors), **fields)
    return path


def test_numbers_that_name_colours_in_no_order_are_refused(tmp_path):
    path = film(tmp_path, [SHUFFLED] * 3)
    with pytest.raises(ValueError, match=r"film.tif must hold brightness, but its num"):
        frames.open_film(path, interval=9.0)
    tifffile.imwrite(
        path, GREY[0], photometric="palette", colormap=257 * np.uint16([SHUFFLED] * 3)
    )
    with pytest.raises(ValueError, match="save it as gray or RGB"):
        pictures.read_picture(path)


@pytest.mark.parametrize(
    ("colors", "description", "noted"),
    [
        ([RAMP] * 3, None, False),
        ([0 * RAMP, RAMP, 0 * RAMP], None, True),
        ([SHUFFLED] * 3, IMAGEJ, True),  # labels in colours, or a film in "Fire"
    ],
)
def test_numbers_are_read_where_colours_only_show_them(
    tmp_path, colors, description, noted
):
    read = frames.open_film(film(tmp_path, colors, description), interval=9.0)
    np.testing.assert_allclose(read.frame(1), GREY[1] / 255, atol=1e-6)
    assert any("numbers were read, not the colours" in n for n in read.notes) == noted


def test_a_film_that_shows_small_numbers_bright_is_noted(tmp_path):
    tifffile.imwrite(tmp_path / "f.tif", GREY, photometric="miniswhite", metadata=None)
    read = frames.open_film(tmp_path / "f.tif", interval=9.0)
    np.testing.assert_allclose(read.frame(0), GREY[0] / 255, atol=1e-6)
    assert any("(MinIsWhite); they were read as stored" in n for n in read.notes)


def test_a_film_that_is_marked_as_turned_is_noted(tmp_path):
    fields = {"photometric": "minisblack", "extratags": [(274, "H", 1, 6, True)]}
    tifffile.imwrite(tmp_path / "f.tif", GREY, metadata=None, **fields)
    read = frames.open_film(tmp_path / "f.tif", interval=9.0)
    np.testing.assert_allclose(read.frame(0), GREY[0] / 255, atol=1e-6)
    assert any("as turned (Orientation); pixels were left" in n for n in read.notes)


def test_a_folder_of_tiffs_has_the_notes_of_its_pictures(tmp_path):
    for k, kind in enumerate(["minisblack", "miniswhite", "miniswhite"]):
        name = tmp_path / f"{k}.tif"
        tifffile.imwrite(name, GREY[k], photometric=kind, metadata=None)
    read = frames.open_film(tmp_path, interval=9.0)
    (note,) = read.notes
    assert note.startswith("1.tif shows small numbers bright (MinIsWhite)")
    assert note.endswith("dark here. So it is in 2 of 3 pictures.")
