"""Films of OME that go on in a second file, as where a camera fills 4 GB."""

import numpy as np
import pytest
import tifffile

from fitting.optical import frames

GREY = np.random.default_rng(0).integers(20, 200, (6, 40, 50), dtype=np.uint8)
NAMES = ("film.ome.tif", "film_1.ome.tif")
FIRST = 4  # frames in the first file
SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def described(part):
    """What each file says of all frames; parts are told apart by their own names."""
    keys = [f"urn:uuid:00000000-0000-0000-0000-00000000000{k}" for k in range(2)]
    told = ""
    for t in range(len(GREY)):
        k = int(t >= FIRST)
        told += (
            f'<TiffData FirstT="{t}" IFD="{t - FIRST * k}" PlaneCount="1">'
            f'<UUID FileName="{NAMES[k]}">{keys[k]}</UUID></TiffData>'
        )
    return (
        f'<OME xmlns="{SCHEMA}" UUID="{keys[part]}"><Image ID="Image:0"><Pixels '
        'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="50" SizeY="40" '
        'SizeC="1" SizeZ="1" SizeT="6"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f"{told}</Pixels></Image></OME>"
    )


def written(folder):
    for part, values in enumerate((GREY[:FIRST], GREY[FIRST:])):
        fields = {"photometric": "minisblack", "metadata": None}
        fields["description"] = described(part)
        tifffile.imwrite(folder / NAMES[part], values, **fields)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_all_frames_are_read_whichever_file_is_named(tmp_path, name):
    film = frames.open_film(written(tmp_path) / name, interval=60.0)
    assert film.num_frames == 6
    for k in (5, 0, 3):
        np.testing.assert_allclose(film.frame(k), GREY[k] / 255, rtol=2e-6)


def test_a_file_that_is_absent_or_cut_off_is_told(tmp_path):
    first, second = (written(tmp_path) / name for name in NAMES)
    second.write_bytes(second.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"is cut off after frame 5; copy it again\."):
        frames.open_film(first, interval=60.0)
    second.unlink()
    words = r"after frame 4; copy it again, and beside it the files that hold the rest"
    with pytest.raises(ValueError, match=words):
        frames.open_film(first, interval=60.0)


def test_a_file_that_is_cut_off_among_its_tags_is_no_whole_one(tmp_path):
    path = written(tmp_path) / NAMES[1]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"must be a whole TIFF, .*; copy it again"):
        frames.open_film(path, interval=60.0)
