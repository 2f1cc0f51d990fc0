"""Bad films and times: each refused in one sentence, or repaired with a note.

One line of a table is one bad input: its name, how it is made, and what must be said.
"""

import os
import re

import numpy as np
import PIL.Image
import pytest
import tifffile

from fitting.optical import frames

SHAPE = (40, 50)
GREY = np.random.default_rng(0).integers(20, 200, (12, *SHAPE)).astype(np.uint8)


def stack(folder, values=GREY, name="film.tif", axes="TYX", **metadata):
    if values.ndim == 3 or values.shape[-1] in (3, 4):
        axes = {4: "TYXS"}.get(values.ndim, axes)
    metadata = {"axes": axes, "finterval": 120.0} | metadata
    tifffile.imwrite(folder / name, values, imagej=True, metadata=metadata)
    return folder / name


def plain(folder, values=GREY, **fields):
    with tifffile.TiffWriter(folder / "film.tif") as writer:
        for value in values:
            writer.write(value, metadata=None, contiguous=False, **fields)
    return folder / "film.tif"


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def text(folder, content, name="film.tif"):
    (folder / name).write_text(content)
    return folder / name


def pictures(folder, names=None, values=GREY, mtime=None, **fields):
    """A folder of PNG files."""
    inner = folder / "frames"
    inner.mkdir()
    names = names or [f"img{k}.png" for k in range(len(values))]
    for k, name in enumerate(names):
        PIL.Image.fromarray(values[k]).save(inner / name, **fields)
        if mtime is not None:
            os.utime(inner / name, (1e9 + mtime * k,) * 2)
    return inner


def turned(folder, every=True):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    inner = pictures(folder, values=GREY[:4], exif=exif)
    if not every:
        PIL.Image.fromarray(GREY[0]).save(inner / "img0.png")
    return inner


def odd_size(folder):
    inner = pictures(folder, mtime=60)
    PIL.Image.fromarray(GREY[0][:20]).save(inner / "img7.png")
    return inner


def palette(folder):
    inner = folder / "frames"
    inner.mkdir()
    for k in range(4):
        PIL.Image.fromarray(GREY[k]).convert("P").save(inner / f"t{60 * k}s.png")
    return inner


def jpeg(folder):
    names = [f"shot_{60 * k}s.jpg" for k in range(4)]
    return pictures(folder, names)


def with_stack(folder):
    inner = pictures(folder)
    tifffile.imwrite(inner / "all.tif", GREY)
    return inner


def half_picture(folder):
    inner = pictures(folder, mtime=60)
    cut(inner / "img0.png", 0.9)
    return inner


def dated(folder, minutes, form="cam_20241120_{:02d}{:02d}00.png"):
    names = [form.format(m // 60, m % 60) for m in minutes]
    return pictures(folder, names)


STAMPS_BACK = [0, 2, 4, 3, 8, 10, 12, 14, 16, 18, 20, 22]
AUTUMN = [100, 110, 120, 130, 80, 90, 100, 110, 120, 130, 140, 150]


def autumn(folder):
    names = [
        f"{k:02d}_20241027_{m // 60:02d}{m % 60:02d}00.png"
        for k, m in enumerate(AUTUMN)
    ]
    return pictures(folder, names)


def deeper(folder):
    inner = pictures(folder, [f"a{k}_{k}min.png" for k in range(12)])
    PIL.Image.fromarray(GREY[11].astype(np.uint16)).save(inner / "a11_11min.png")
    return inner


REFUSED = [
    ("empty file", lambda d: text(d, ""), {}, "is empty; copy"),
    (
        "git-LFS pointer",
        lambda d: text(d, "version https://git-lfs.github.com/spec/v1\noid sha256:1"),
        {},
        "git-LFS pointer .* `git lfs pull`",
    ),
    ("not a TIFF", lambda d: text(d, "hello there"), {}, "but is not by its content"),
    ("cut ImageJ stack", lambda d: cut(stack(d)), {}, "12 frames, but is cut off aft"),
    (
        "cut packed stack",
        lambda d: cut(plain(d, compression="zlib")),
        {"interval": 9.0},
        "is cut off after frame 7; copy",
    ),
    (
        "pages of two sizes",
        lambda d: plain(d, [*GREY[:3], GREY[3][:20]]),
        {"interval": 9.0},
        "page 4 of film.tif has 50 x 20 px .* crop them alike",
    ),
    (
        "channels",
        lambda d: stack(d, GREY.reshape(6, 2, *SHAPE), axes="TCYX"),
        {},
        "has 2 channels; split them",
    ),
    (
        "depth and time",
        lambda d: stack(d, GREY.reshape(4, 3, *SHAPE), axes="TZYX"),
        {},
        "has the axes T of 4, Z of 3; keep one slice",
    ),
    ("one frame", lambda d: stack(d, GREY[0], axes="YX"), {}, "frames or more, but ho"),
    (
        "no times at all",
        plain,
        {},
        "must tell when its frames were taken, but does not .* give the interval",
    ),
    ("no interval", lambda d: stack(d, finterval=0.0), {}, "must tell when its frames"),
    ("interval of 0", stack, {"interval": 0.0}, "interval .* positive, but is 0 s"),
    ("interval in ms", stack, {"interval": 120e6}, "less than a year, .* check the un"),
    (
        "interval and times",
        stack,
        {"interval": 1.0, "times": np.arange(12.0)},
        "Either times of frames or an interval",
    ),
    ("a time is missing", stack, {"times": np.arange(11.0)}, "of the 12 frames .*s 11"),
    (
        "a time is NaN",
        stack,
        {"times": np.array([0, np.nan, *range(2, 12)])},
        "must be finite, but the user gives nan for frame 2",
    ),
    (
        "times not in order",
        stack,
        {"times": np.array([0.0, 2.0, 1.0, *range(3, 12)])},
        "frame 3 is 1 s before frame 2; sort",
    ),
    (
        "a time twice",
        stack,
        {"times": np.array([0.0, 1.0, 1.0, *range(3, 12)])},
        "frame 3 has the same time as frame 2",
    ),
    (
        "days of a spreadsheet",
        stack,
        {"times": 45600.5 + np.arange(12) / 720},
        "10 ms apart .*a day is 1 in dates of spreadsheets",
    ),
    (
        "playback rate only",
        lambda d: stack(d, finterval=0.0, fps=25.0),
        {},
        "rate at which a film is played is not it",
    ),
    (
        "slice labels out of order",
        lambda d: stack(d, Labels=[f"t={m} min" for m in STAMPS_BACK]),
        {},
        "slice labels must increase .* frame 4 is 60 s before frame 3; sort",
    ),
    (
        "names out of order",
        lambda d: pictures(d, [f"b{k}_{m}min.png" for k, m in enumerate([5, 4, 6])]),
        {},
        "names of the files must increase .* frame 2 is 60 s before frame 1; sort",
    ),
    (
        "clock set back in autumn",
        autumn,
        {},
        "set back by an hour; give the interval",
    ),
    (
        "dates of copying",
        lambda d: pictures(d, mtime=0.01),
        {},
        "its files were copied",
    ),
    ("folder of texts", lambda d: text(d, "x", "a.txt").parent, {}, "but holds a.txt"),
    ("pictures of two sizes", odd_size, {}, "img7.png has 50 x 20 px and img0.png 50"),
    (
        "a stack among pictures",
        with_stack,
        {},
        "all.tif must hold one image.* holds 12",
    ),
    (
        "cut picture",
        half_picture,
        {"interval": 9.0},
        "img0.png must be a whole picture",
    ),
    ("some pictures turned", lambda d: turned(d, False), {}, "img1.png is marked as t"),
    ("another ending", lambda d: text(d, "x", "film.xyz"), {}, "but ends in '.xyz'"),
    (
        "no values but 0",
        lambda d: stack(d, 0 * GREY),
        {},
        "12 of its frames|are black; check the file",
    ),
    (
        "32 bit whole numbers",
        lambda d: plain(d, GREY.astype(np.int32)),
        {"interval": 9.0},
        "8 or 16 bit .* holds int32; save it as unsigned",
    ),
    (
        "black and white",
        lambda d: plain(d, GREY > 100),
        {"interval": 9.0},
        "must hold brightness, .* only black and white .bool.; save .* thresholded",
    ),
    (
        "floats that are not finite",
        lambda d: stack(d, np.where(GREY > 90, np.inf, np.nan).astype(np.float32)),
        {},
        "must hold finite numbers, but .* looked at hold none; check",
    ),
    (
        "bit depth changes",
        deeper,
        {},
        "one bit depth, but holds uint16 and uint8",
    ),
]


@pytest.mark.parametrize(
    ("make", "fields", "words"),
    [pytest.param(*row[1:], id=row[0]) for row in REFUSED],
)
def test_a_film_that_cannot_be_used_is_refused(tmp_path, make, fields, words):
    with pytest.raises(ValueError, match=words) as caught:
        frames.open_film(make(tmp_path), **fields)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).endswith(".")


TIMES_REFUSED = [
    ("no unit", "frame,time\n1,0", "its unit in its name, such as time_s, but has fra"),
    ("two columns", "time_s,time_h\n0,0", "one column of times .* but has time_s, ti"),
    ("a word", "time_s\n" + "x\n" * 12, "line 2, column time_s, .* but is 'x'"),
    ("decimal comma", "time_s;a\n" + "1,5;2\n" * 12, "is '1,5'; write a decimal point"),
    ("empty table", "time_s", "one row or more below its header"),
]


@pytest.mark.parametrize(
    ("content", "words"), [pytest.param(*row[1:], id=row[0]) for row in TIMES_REFUSED]
)
def test_a_table_of_times_that_cannot_be_used_is_refused(tmp_path, content, words):
    path = text(tmp_path, content, "times.csv")
    with pytest.raises(ValueError, match=words):
        frames.open_film(stack(tmp_path), times=path)


def test_a_first_frame_without_a_number_does_not_lose_the_film(tmp_path):
    values = GREY.astype(np.float32) / 255
    values[0] = np.nan
    film = frames.open_film(stack(tmp_path, values))
    assert film.scale == 1


def test_a_film_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        frames.open_film(tmp_path / "film.tif")


NOTED = [
    (
        "slices for frames",
        lambda d: stack(d, axes="ZYX"),
        {},
        "slices in depth; .* tim",
    ),
    (
        "a gap of 138 s",
        stack,
        {"times": np.array([0.0, 10, 20, 30, 168, 178, 188, 198, 208, 218, 228, 238])},
        "10 s apart, but there is 1 wider gap, of 138 s after frame 4",
    ),
    (
        "12 bit in 16",
        lambda d: stack(d, GREY.astype(np.uint16) * 20),
        {},
        "largest is 3980.* 1 stands for 4095",
    ),
    (
        "12 bit shifted up",
        lambda d: stack(d, GREY.astype(np.uint16) * 320),
        {},
        "multiples of 16.* 65520",
    ),
    (
        "floats above 1",
        lambda d: stack(d, GREY.astype(np.float32)),
        {},
        "numbers up to 199; they were left",
    ),
    (
        "negative floats",
        lambda d: stack(d, GREY.astype(np.float32) / 255 - 0.3),
        {},
        "negative numbers down to -0.2",
    ),
    (
        "transparent colours",
        lambda d: stack(d, np.stack([GREY] * 4, -1)),
        {},
        "have 4 channels; .* unweighted mean",
    ),
    (
        "contrast stretched",
        lambda d: stack(d, stretched()),
        {},
        "stretched frame by frame; save raw",
    ),
    ("JPEG", jpeg, {}, "JPEG keeps brightness on a curve"),
    ("palette", palette, {}, "palette were turned into colours"),
    ("all turned", turned, {"interval": 9.0}, "marked as turned .* unturned"),
    (
        "other files",
        lambda d: text(pictures(d, mtime=60), "x", "Thumbs.db").parent,
        {},
        "1 file of the folder is no picture;",
    ),
    ("dates of files", lambda d: pictures(d, mtime=60), {}, "last written, which copy"),
    ("no time zone", lambda d: dated(d, range(12)), {}, "tell no time zone"),
    (
        "day first",
        lambda d: pictures(d, [f"{k}_03.04.2024.png" for k in range(12)], mtime=60),
        {},
        "day and month cannot be told apart",
    ),
]


def stretched():
    values = GREY.copy()
    values[:, 0, 0], values[:, 1, 1] = 0, 255
    return values


@pytest.mark.parametrize(
    ("make", "fields", "words"), [pytest.param(*row[1:], id=row[0]) for row in NOTED]
)
def test_what_is_repaired_or_odd_is_noted(tmp_path, make, fields, words):
    film = frames.open_film(make(tmp_path), **fields)
    assert np.all(np.isfinite(film.frame(film.num_frames - 1)))
    found = [note for note in film.notes if re.search(words, note)]
    assert len(found) == 1
    assert "\n" not in found[0]
