import itertools
import zoneinfo
from datetime import UTC, datetime, timedelta

import numpy as np
import PIL.Image
import pytest
import tifffile

from fitting.optical import frames, stamps

RNG = np.random.default_rng(0)
GREY = RNG.integers(20, 200, (12, 40, 50)).astype(np.uint8)
COLOUR = RNG.integers(20, 200, (12, 40, 50, 3)).astype(np.uint8)


def imagej(folder, values, axes="TYX", **metadata):
    path = folder / "film.tif"
    fields = {"axes": axes, "finterval": 120.0} | metadata
    tifffile.imwrite(path, values, imagej=True, metadata=fields)
    return path


def pages(folder, values, dates=None, **fields):
    path = folder / "film.tif"
    with tifffile.TiffWriter(path) as writer:
        for k, value in enumerate(values):
            date = None if dates is None else dates[k]
            writer.write(
                value, metadata=None, contiguous=False, datetime=date, **fields
            )
    return path


def ome(folder, values, **fields):
    path = folder / "film.ome.tif"
    tifffile.imwrite(path, values, metadata={"axes": "TYX"} | fields)
    return path


def one_directory(folder):
    """As ImageJ writes more than 4 GB: one directory, all frames behind its own."""
    path = folder / "film.tif"
    text = "ImageJ=1.53t\nimages=12\nframes=12\nfinterval=120\n"
    tifffile.imwrite(path, GREY[0], description=text, metadata=None)
    with path.open("ab") as stream, tifffile.TiffFile(path) as film:
        (start,) = film.pages[0].dataoffsets
        assert path.stat().st_size == start + GREY[0].nbytes
        stream.write(GREY[1:].tobytes())
    return path


WAYS = [
    ("ImageJ", lambda d: imagej(d, GREY), GREY / 255),
    ("ImageJ in colour", lambda d: imagej(d, COLOUR, "TYXS"), COLOUR.mean(3) / 255),
    ("ImageJ above 4 GB", one_directory, GREY / 255),
    ("OME", lambda d: ome(d, GREY), GREY / 255),
    ("plain pages", lambda d: pages(d, GREY), GREY / 255),
    ("packed", lambda d: pages(d, GREY, compression="zlib"), GREY / 255),
    ("one by one", lambda d: one_by_one(d, GREY), GREY / 255),
    (
        "packed one by one",
        lambda d: one_by_one(d, GREY, compression="zlib"),
        GREY / 255,
    ),
    (
        "colours one by one",
        lambda d: one_by_one(d, COLOUR, photometric="rgb"),
        COLOUR.mean(3) / 255,
    ),
    ("ImageJ without axes", lambda d: imagej(d, GREY, None), GREY / 255),
    (
        "ImageJ without axes in colour",
        lambda d: imagej(d, COLOUR, None),
        COLOUR.mean(3) / 255,
    ),
    ("big-endian", lambda d: big_endian(d), GREY.astype(float) * 300 / 65535),
    ("floats", lambda d: imagej(d, (GREY / 255).astype(np.float32)), GREY / 255),
    (
        "planes of colour",
        lambda d: pages(
            d, COLOUR.transpose(0, 3, 1, 2), photometric="rgb", planarconfig="separate"
        ),
        COLOUR.mean(3) / 255,
    ),
]


def one_by_one(folder, values, **fields):
    """As Python programs write frames while a camera runs."""
    path = folder / "film.tif"
    with tifffile.TiffWriter(path) as writer:
        for value in values:
            writer.write(value, **fields)
    return path


def big_endian(folder):
    path = folder / "film.tif"
    deep = GREY.astype(">u2") * 300
    tifffile.imwrite(path, deep, byteorder=">", metadata=None, photometric="minisblack")
    return path


@pytest.mark.parametrize(
    ("make", "values"), [pytest.param(*row[1:], id=row[0]) for row in WAYS]
)
def test_frames_of_every_kind_of_stack_are_read(tmp_path, make, values):
    film = frames.open_film(make(tmp_path), interval=60.0)
    assert film.num_frames == 12
    assert film.shape == (40, 50)
    for k in (11, 0, 5):
        assert film.frame(k).dtype == np.float32
        np.testing.assert_allclose(film.frame(k), values[k], rtol=2e-6)
    np.testing.assert_array_equal(film.time, 60.0 * np.arange(12))


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    return path


def places(folder):
    path = folder / "film.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for value in GREY:
            writer.write(value, metadata={"axes": "YX"})
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: cut(one_by_one(d, GREY)), "cut off after frame 7; copy"),
        (lambda d: one_by_one(d, [GREY[0] > 9, *GREY]), "one series .* holds 13"),
        (lambda d: one_by_one(d, [GREY[:6], GREY[6:]]), "one series .* holds 2"),
        (lambda d: one_by_one(d, [GREY[0][9:], *GREY]), "page 2 of .* 50 x 40 px"),
        (places, "one series of frames, but holds 12"),
        (lambda d: imagej(d, GREY[:7], None), "has 7 channels; .*the axes TYX"),
    ],
)
def test_images_that_are_no_film_are_refused(tmp_path, make, words):
    with pytest.raises(ValueError, match=words):
        frames.open_film(make(tmp_path), interval=60.0)


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (GREY[0][9:], "page 10 of film.tif has 50 x 31 px and page 1"),
        (GREY[0].astype(np.uint16), "page 10 of film.tif holds gray of uint16 and pag"),
        (COLOUR[0], "page 10 of film.tif holds 3 channels of uint8 and page 1 gray"),
    ],
)
@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}])
def test_one_page_of_another_kind_far_into_a_stack_is_refused(
    tmp_path, odd, words, how
):
    with pytest.raises(ValueError, match=words):
        frames.open_film(
            pages(tmp_path, [*GREY[:9], odd, *GREY[10:]], **how), interval=60.0
        )


def test_a_packed_frame_that_is_damaged_is_named(tmp_path):
    path = pages(tmp_path, GREY, compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as stack:
        start = stack.pages[4].dataoffsets[0]
    content[start + 100 : start + 200] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"film.tif, frame 5, must be .* cannot be dec"
    ):
        frames.open_film(path, interval=60.0).frame(4)


def test_a_pixel_that_is_not_finite_does_not_lose_a_film(tmp_path):
    values = (GREY / 100).astype(np.float32)
    values[3, 1, 2], values[4, 5, 6] = np.inf, -np.inf
    film = frames.open_film(imagej(tmp_path, values))
    assert film.scale == 1
    np.testing.assert_array_equal(film.frame(3), values[3])
    (note,) = film.notes
    assert "numbers up to 1.99;" in note


@pytest.mark.parametrize("ending", ["png", "tif", "bmp"])
def test_pictures_are_read_in_the_order_of_their_numbers(tmp_path, ending):
    for k in range(12):
        PIL.Image.fromarray(GREY[k]).save(tmp_path / f"img{k}.{ending}")
    film = frames.open_film(tmp_path, interval=60.0)
    for k, frame in enumerate(film):
        np.testing.assert_allclose(frame, GREY[k] / 255, rtol=2e-6)


def test_pictures_of_16_bit_keep_them(tmp_path):
    for k in range(3):
        PIL.Image.fromarray(GREY[k].astype(np.uint16) * 257).save(tmp_path / f"{k}.png")
    film = frames.open_film(tmp_path, interval=60.0)
    assert film.scale == 65535
    np.testing.assert_allclose(film.frame(2), GREY[2] / 255, rtol=2e-6)


def test_a_film_is_not_held_in_memory(tmp_path):
    film = frames.open_film(imagej(tmp_path, GREY))
    loop = iter(film)
    next(loop)
    assert film.read.__closure__ is not None
    held = [c.cell_contents for c in film.read.__closure__]
    assert not any(isinstance(item, np.ndarray) for item in held)


LABELS = [f"2024-11-20 11:{2 * k:02d}:00.500" for k in range(12)]
DATES = [f"2024:11:20 11:{2 * k:02d}:00" for k in range(12)]
DELTAS = {"Plane": {"DeltaT": [2.0 * k for k in range(12)], "DeltaTUnit": ["min"] * 12}}
ORIGINS = [
    ("OME", lambda d: ome(d, GREY, **DELTAS), "DeltaT of OME"),
    ("labels", lambda d: imagej(d, GREY, Labels=LABELS, finterval=1.0), "slice labels"),
    ("tags", lambda d: pages(d, GREY, DATES), "DateTime tags"),
    ("interval", lambda d: imagej(d, GREY), "frame interval of ImageJ"),
    (
        "interval in min",
        lambda d: imagej(d, GREY, finterval=2.0, tunit="min"),
        "ImageJ",
    ),
    ("increment", lambda d: ome(d, GREY, TimeIncrement=120.0), "TimeIncrement of OME"),
]


@pytest.mark.parametrize(
    ("make", "origin"), [pytest.param(*row[1:], id=row[0]) for row in ORIGINS]
)
def test_times_come_from_the_best_source_there_is(tmp_path, make, origin):
    film = frames.open_film(make(tmp_path))
    assert origin in film.time_source
    np.testing.assert_allclose(film.time, 120.0 * np.arange(12))


def test_a_date_gives_the_clock_its_zero(tmp_path):
    film = frames.open_film(imagej(tmp_path, GREY, Labels=LABELS))
    assert film.start == pytest.approx(1732100400.5)


@pytest.mark.parametrize(
    ("date", "start"),
    [("2024-11-20T11:00:00", 1732100400), ("2024-11-20T13:00:00+02:00", 1732100400)],
)
def test_a_date_of_ome_gives_the_clock_its_zero(tmp_path, date, start):
    film = frames.open_film(ome(tmp_path, GREY, AcquisitionDate=date, **DELTAS))
    assert film.start == start


NAMES = [
    "cam_20241120_1100{:02d}.png",
    "2024-11-20T11-00-{:02d}.png",
    "x_{:d}s.png",
    "t={:d} s.png",
    "frame_17321004{:02d}.png",
    "a_17321004{:02d}000.png",
    "00h_0:00:{:02d}.png",
]


@pytest.mark.parametrize("form", NAMES)
def test_times_are_read_from_names_of_files(tmp_path, form):
    for k in range(12):
        name = form.format(5 * k)
        PIL.Image.fromarray(GREY[k]).save(tmp_path / name)
    film = frames.open_film(tmp_path)
    assert "names of the files" in film.time_source
    np.testing.assert_allclose(film.time, 5.0 * np.arange(12))


def named(folder, names):
    for k, name in enumerate(names):
        PIL.Image.fromarray(GREY[k % 12]).save(folder / f"{name}.png")
    return folder


@pytest.mark.parametrize(
    "names", [("c_0.5h", "c_1h", "c_1.5h"), ("90s", "10min", "1h"), ("9.5 s", "10 s")]
)
def test_pictures_whose_names_are_their_instants_are_in_their_order(tmp_path, names):
    film = frames.open_film(named(tmp_path, names))
    assert np.all(np.diff(film.time) > 0)
    for k, frame in enumerate(film):
        np.testing.assert_allclose(frame, GREY[k] / 255, rtol=2e-6)


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("2024-03-01T10-{:02d}-00+0200", 1709280000.0),
        ("cell 2024-03-01 10-{:02d}-00-0330 a", 1709299800.0),
        ("20240301_10{:02d}00Z", 1709287200.0),
    ],
)
def test_a_time_zone_in_names_is_read(tmp_path, form, start):
    film = frames.open_film(named(tmp_path, [form.format(k) for k in range(12)]))
    assert film.start == start
    assert film.notes == ()


def test_a_number_after_a_date_is_no_time_zone(tmp_path):
    names = [f"20240301_10{k:02d}00-{k:04d}" for k in range(12)]
    film = frames.open_film(named(tmp_path, names))
    np.testing.assert_array_equal(film.time, 60.0 * np.arange(12))
    assert film.start == 1709287200.0


def autumn(minutes, zone=""):
    """Names by a clock that was set back from 3 to 2, every few minutes for 5 h."""
    begun = datetime(2024, 10, 26, 23, tzinfo=UTC)
    paris = zoneinfo.ZoneInfo("Europe/Paris")
    taken = [begun + timedelta(minutes=minutes * k) for k in range(300 // minutes)]
    return [f"c_{t.astimezone(paris):%Y%m%d_%H%M%S{zone}}" for t in taken]


def test_pictures_by_a_clock_that_was_set_back_are_not_mixed(tmp_path):
    with pytest.raises(ValueError, match=r"2024-10-27 02 h holds twice .* a number"):
        frames.open_film(named(tmp_path, autumn(7)), interval=420.0)


def test_pictures_by_a_clock_that_was_set_back_are_in_order_by_its_zone(tmp_path):
    film = frames.open_film(named(tmp_path, autumn(7, "%z")))
    np.testing.assert_array_equal(film.time, 420.0 * np.arange(42))
    np.testing.assert_allclose(film.frame(20), GREY[8] / 255, rtol=2e-6)


@pytest.mark.parametrize("minutes", [range(0, 300, 7), range(120, 180, 7)])
def test_a_night_to_a_sunday_is_no_clock_set_back(tmp_path, minutes):
    names = [f"20241027_{m // 60:02d}{m % 60:02d}00" for m in minutes]
    assert frames.open_film(named(tmp_path, names)).num_frames == len(minutes)


def test_pictures_by_a_clock_that_was_set_forward_are_noted(tmp_path):
    minutes = [7 * k + 60 * (k > 16) for k in range(30)]  # no 2 o'clock
    names = [f"20250330_{m // 60:02d}{m % 60:02d}00" for m in minutes]
    film = frames.open_film(named(tmp_path, names))
    assert any("leave out an hour before frame 18," in note for note in film.notes)
    assert stamps.hour_missing(film.start + film.time) == 17
    assert stamps.hour_missing(film.start + 86400.0 + film.time) is None
    assert stamps.hour_missing(film.start + 420.0 * np.arange(30)) is None


def test_what_the_user_says_outranks_the_camera(tmp_path):
    path = imagej(tmp_path, GREY, Labels=LABELS)
    times = 7.0 + 30.0 * np.arange(12)
    table = tmp_path / "times.csv"
    table.write_text(
        "frame,time_min\n" + "".join(f"{k},{t / 60}\n" for k, t in enumerate(times))
    )
    np.testing.assert_allclose(frames.open_film(path, times=times).time, times)
    np.testing.assert_allclose(frames.open_film(path, times=table).time, times)
    assert "30 s, as asked" in frames.open_film(path, interval=30.0).time_source


def test_the_dates_of_cameras_outrank_names_of_files(tmp_path):
    exif = PIL.Image.Exif()
    for k in range(4):
        exif[0x0132] = f"2024:11:20 11:00:{10 + k:02d}"
        PIL.Image.fromarray(GREY[k]).save(tmp_path / f"t{60 * k}s.jpg", exif=exif)
    film = frames.open_film(tmp_path)
    assert "dates of the pictures" in film.time_source
    np.testing.assert_allclose(film.time, np.arange(4.0))


def test_frames_come_in_order_whatever_the_threads():
    slow = lambda k: k + 0 * sum(range(20000 * (3 - k % 4)))
    assert list(frames.in_order(slow, range(20), workers=4)) == list(range(20))


def test_no_more_frames_are_begun_than_threads_can_use():
    numbers = iter(range(100))
    loop = frames.in_order(lambda k: k, numbers, workers=2)
    assert list(itertools.islice(loop, 3)) == [0, 1, 2]
    loop.close()
    assert next(numbers) < 10


@pytest.mark.parametrize("text", ["20241320_110000", "img_0012", "v1.2s3"])
def test_what_is_no_instant_is_not_taken_for_one(text):
    assert stamps.read_stamps([text], "names") is None
