"""Pictures of one file each: what their bits and their names tell."""

import struct
import zlib

import numpy as np
import pytest

from fitting.optical import frames, pictures

GREY = np.random.default_rng(7).integers(20, 200, (5, 40, 50), dtype=np.uint8)


def chunk(kind, content):
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def deep_png(path, values):
    """A PNG of 16 bits, which Pillow only writes without colours."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    parts = (
        chunk(b"IHDR", head),
        chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b""),
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_pictures_of_16_bit_in_colour_are_refused(tmp_path, channels):
    for k in range(4):
        deep_png(tmp_path / f"{k}.png", np.full((32, 32, channels), 600 + 40 * k))
    words = "0.png must be gray .* 16 bits.* save it as TIFF"
    with pytest.raises(ValueError, match=words):
        pictures.read_picture(tmp_path / "0.png")
    with pytest.raises(ValueError, match=words):
        frames.open_film(tmp_path, interval=60.0)


def test_gray_of_16_bit_keeps_its_lower_byte(tmp_path):
    deep_png(tmp_path / "0.png", np.full((32, 32, 1), 640))
    assert np.all(pictures.read_picture(tmp_path / "0.png") == 640)
