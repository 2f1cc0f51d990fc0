"""Pictures of one file each: what their bits and their names tell."""

import os
import re
import struct
import zlib

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from fitting.optical import frames, pictures
from fitting.optical.sources import natural_key
from fitting.optical.stamps import elapsed_seconds, read_stamps

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


def written(folder, names, values=GREY):
    """Pictures, written a minute after each other."""
    for k, name in enumerate(names):
        PIL.Image.fromarray(values[k]).save(folder / name)
        os.utime(folder / name, (1e9 + 60 * k,) * 2)
    return folder


CONSTANT = ["img_500ms_{}.png", "T25C_2h_{}.png", "run_20240105_120000_{}.png"]


@pytest.mark.parametrize("form", CONSTANT)
def test_a_time_that_all_names_share_is_no_time_of_frames(tmp_path, form):
    names = [form.format(k) for k in range(5)]
    film = frames.open_film(written(tmp_path, names))
    np.testing.assert_allclose(film.time, 60.0 * np.arange(5))
    assert "dates at which the files were written" in film.time_source


def test_black_and_white_is_no_film_but_may_tell_particles(tmp_path):
    masks = (GREY > 100)[:3]
    written(tmp_path, ["0.png", "1.png", "2.png"], masks)
    np.testing.assert_array_equal(pictures.read_picture(tmp_path / "1.png"), masks[1])
    with pytest.raises(ValueError, match="holds only black and white"):
        frames.open_film(tmp_path, interval=60.0)


@pytest.mark.parametrize(
    ("name", "value", "noted"),
    [
        (b"gAMA", 45455, True),
        (b"gAMA", 100000, False),
        (b"sRGB", 0, True),
        (b"tEXt", 0, False),
    ],
)
def test_a_curve_of_brightness_that_a_png_tells_of_is_noted(
    tmp_path, name, value, noted
):
    told = PIL.PngImagePlugin.PngInfo()
    told.add(name, value.to_bytes(1 if name == b"sRGB" else 4, "big"))
    for k in range(3):
        PIL.Image.fromarray(GREY[k]).save(tmp_path / f"{k}.png", pnginfo=told)
    notes = frames.open_film(tmp_path, interval=60.0).notes
    words = "0.png tells that it keeps brightness on a curve .* So it is in 3 of 3 pict"
    assert any(re.search(words, note) for note in notes) == noted


def test_numbers_that_are_no_decimals_sort_as_text():
    names = ["p1²10", "p1²9", "p1"]
    assert sorted(names, key=natural_key) == ["p1", "p1²9", "p1²10"]


@pytest.mark.parametrize("decimals", ["123456", "1234567", "123456789", "1"])
def test_stamps_may_have_up_to_nine_decimals(decimals):
    texts = [f"2024-01-01T12:00:0{k}.{decimals}+02:00" for k in range(2)]
    stamps = read_stamps(texts, "labels")
    zero = 1704103200 + float(f"0.{decimals}")
    np.testing.assert_allclose(stamps.seconds - zero, [0, 1], atol=2e-6)
    assert not stamps.note


HALF_DAYS = ["2024-03-05 {} {}.png", "m_20240305_{}{}_x.png", "2024.03.05 {} {}.m..png"]


@pytest.mark.parametrize("form", HALF_DAYS)
def test_a_clock_of_twelve_hours_goes_on_at_noon(tmp_path, form):
    clocks = ["11.20.00", "11.50.00", "12.20.00", "12.50.00", "01.20.00"]
    halves = ["AM", "am", "PM", "PM", "pm"] if ".m." not in form else "aappp"
    names = [form.format(*pair) for pair in zip(clocks, halves, strict=True)]
    film = frames.open_film(written(tmp_path, names))
    assert "names of the files" in film.time_source
    np.testing.assert_allclose(film.time, 1800.0 * np.arange(5))


def test_a_clock_of_twelve_hours_goes_on_at_midnight():
    texts = ["2024:03:05 11:59:00 PM +01:00", "2024:03:06 12:00:00 AM +01:00"]
    stamps = read_stamps(texts, "tags")
    np.testing.assert_allclose(stamps.seconds, 1709679540 + np.array([0, 60]))


@pytest.mark.parametrize(
    "form",
    ["f_{h}h_{m}min", "f {h}h {m} min", "f_{h:02d}h{m:02d}min{s}s", "0d-{h}h{m}min"],
)
def test_instants_in_hours_and_minutes_are_their_sum(tmp_path, form):
    names = [form.format(h=k // 3, m=20 * (k % 3), s=0) for k in range(5)]
    film = frames.open_film(written(tmp_path, [f"{name}.png" for name in names]))
    assert "names of the files" in film.time_source
    np.testing.assert_allclose(film.time, 1200.0 * np.arange(5))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1d_2h", 93600.0),
        ("map_3d_001_120s", 120.0),
        ("2h_SOC5", 7200.0),
        ("T=3d", None),
    ],
)
def test_days_are_read_before_smaller_parts_only(text, seconds):
    assert elapsed_seconds(text) == seconds


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (["i7", "i8", "i10", "i11", "i12"], [0, 1, 3, 4, 5]),
        (["a2_010", "a2_020", "a2_030", "a2_050", "a2_060"], [0, 1, 2, 4, 5]),
        (["i10", "i20", "i30", "i40", "i50"], range(5)),
        (["i1", "i4", "i9", "i16", "i25"], range(5)),
        (["r1_1", "r1_2", "r2_1", "r2_2", "r2_4"], range(5)),
        (["i1", "i2", "i3", "i4", "x9"], range(5)),
    ],
)
def test_an_interval_counts_numbers_that_names_leave_out(names, numbers, tmp_path):
    """As tables do with numbers of frames."""
    written(tmp_path, [f"{name}.png" for name in names])
    film = frames.open_film(tmp_path, interval=60.0)
    np.testing.assert_allclose(film.time, 60.0 * np.array(numbers))
    told = [note for note in film.notes if "leave out 1 number, the first" in note]
    assert len(told) == (numbers != range(5))


def test_a_copy_beside_a_picture_is_noted(tmp_path):
    written(tmp_path, ["i1.png", "i2.png", "i3.png", "i3 (1).png", "i4.png"])
    notes = frames.open_film(tmp_path, interval=60.0).notes
    assert any(r"1 picture has a name of another form" in note for note in notes)
    assert any("i3 (1).png" in note for note in notes)
