import sys
import types
from fractions import Fraction

import numpy as np
import pytest

from fitting.optical import frames

GREY = np.random.default_rng(0).integers(20, 200, (12, 40, 50)).astype(np.uint8)


def text(folder, content, name):
    (folder / name).write_text(content)
    return folder / name


def fake_av(num_frames, declared):
    """The part of PyAV that is used."""

    codec = types.SimpleNamespace(lossless=True, lossy=True)
    component = types.SimpleNamespace(bits=8)

    class Frame:
        format = types.SimpleNamespace(
            name="yuv420p", is_rgb=False, components=(component,) * 3
        )

        def __init__(self, k):
            self.k, self.time = k, None

        def to_ndarray(self, format):
            assert format == "rgb24"
            return np.stack([GREY[self.k]] * 3, -1)

    class Container:
        def __init__(self):
            stream = types.SimpleNamespace(
                frames=declared,
                thread_type="",
                codec_context=types.SimpleNamespace(codec=codec),
            )
            self.streams = types.SimpleNamespace(video=[stream])

        def decode(self, stream):
            return map(Frame, range(num_frames))

        def close(self):
            pass

    error = types.SimpleNamespace(FFmpegError=RuntimeError)
    return types.SimpleNamespace(open=lambda path: Container(), error=error)


def test_frames_of_a_video_are_counted_by_decoding(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", fake_av(10, 12))
    path = text(tmp_path, "x", "film.mp4")
    film = frames.open_film(path, interval=60.0)
    assert film.num_frames == 10
    assert any("declares 12 frames, but 10 can be decoded" in n for n in film.notes)
    for k in (3, 4, 1):
        np.testing.assert_allclose(film.frame(k), GREY[k] / 255, rtol=1e-6)


def test_the_rate_at_which_a_video_plays_is_not_its_time(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", fake_av(10, 10))
    with pytest.raises(ValueError, match="is played is not it"):
        frames.open_film(text(tmp_path, "x", "film.mp4"))


def test_a_video_without_its_reader_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    path = text(tmp_path, "x", "film.mp4")
    with pytest.raises(ValueError, match=r'pip install "diffelec\[video\]"'):
        frames.open_film(path)


def coded(path, codec, pixels, images, given="gray"):
    """A film that PyAV wrote."""
    av = pytest.importorskip("av", reason="the extra `video` is not installed")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(10))
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt = pixels
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format=given)
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode())
    return path


def brightening(num_frames=40):
    """A pattern that grows brighter by a step in one corner, at frame 25."""
    y, x = np.mgrid[:64, :96]
    scene = 90 + 40 * np.sin(x / 7) + 30 * np.cos(y / 5)
    films = np.stack([scene] * num_frames)
    films[25:, :20, :30] += 30
    return films.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "error"),
    [
        ("film.mkv", "ffv1", "gray", 0.0),  # without loss
        ("film.mp4", "libx264", "yuv420p", 1.5),  # frames that depend on later ones
        ("film.avi", "mjpeg", "yuvj420p", 4.0),
        ("film.webm", "libvpx-vp9", "yuv420p", 1.5),
    ],
)
def test_frames_of_a_real_video_in_any_order(tmp_path, name, codec, pixels, error):
    images = brightening()
    film = frames.open_film(coded(tmp_path / name, codec, pixels, images), interval=60)
    assert film.num_frames == 40
    np.testing.assert_array_equal(film.time, 60.0 * np.arange(40))
    corner = [255 * film.frame(k)[:16, :24].mean() for k in (26, 23, 24, 25)]
    before, after = corner[1:3], [corner[0], corner[3]]
    np.testing.assert_allclose(np.diff(before), 0, atol=3)
    np.testing.assert_allclose(np.subtract(after, before), 30, atol=3)
    for k in (0, 39, 3):
        assert np.abs(255 * film.frame(k) - images[k]).mean() <= error + 1e-4


@pytest.mark.parametrize(
    ("pixels", "full"), [("gray", 255), ("gray12le", 4095), ("gray16le", 65535)]
)
def test_a_video_without_loss_keeps_its_bits(tmp_path, pixels, full):
    share = np.linspace(0.05, 0.95, 64 * 96).reshape(64, 96)
    kind, given = (np.uint8, "gray") if full == 255 else (np.uint16, pixels)
    images = np.rint(full * np.stack([share, share[::-1]])).astype(kind)
    path = coded(tmp_path / "film.mkv", "ffv1", pixels, images, given)
    film = frames.open_film(path, interval=60.0)
    for k in (1, 0):
        np.testing.assert_allclose(film.frame(k), images[k] / full, atol=0.1 / full)
    assert film.notes == ()


def test_colours_of_more_than_8_bits_are_kept(tmp_path):
    share = np.linspace(0.05, 0.95, 64 * 96 * 3).reshape(64, 96, 3)
    images = np.rint(65535 * np.stack([share, share[::-1]])).astype(np.uint16)
    path = coded(tmp_path / "film.mkv", "ffv1", "gbrp16le", images, "rgb48le")
    film = frames.open_film(path, interval=60.0)
    np.testing.assert_allclose(film.frame(1), images[1].mean(2) / 65535, atol=1e-4)
    assert not any("with loss" in note for note in film.notes)


def test_a_video_that_was_cut_off_gives_the_frames_that_it_has(tmp_path):
    whole = coded(tmp_path / "film.avi", "mjpeg", "yuvj420p", brightening())
    cut = tmp_path / "cut.avi"
    data = whole.read_bytes()
    cut.write_bytes(data[: 6 * len(data) // 10])
    film = frames.open_film(cut, interval=60.0)
    assert 10 < film.num_frames < 40
    assert any("declares 40 frames" in note for note in film.notes)
    assert film.frame(film.num_frames - 1).shape == (64, 96)


def test_a_file_that_is_no_video_or_has_no_pictures_is_refused(tmp_path):
    av = pytest.importorskip("av", reason="the extra `video` is not installed")
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(np.random.default_rng(1).bytes(20000))
    with pytest.raises(ValueError, match=r"noise.mp4 must be a video, but cannot"):
        frames.open_film(noise, interval=60.0)
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        stream.layout = "mono"
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"sound.mp4 must hold pictures"):
        frames.open_film(sound, interval=60.0)


@pytest.mark.parametrize(("dropped", "noted"), [((), False), ((17, 18, 30), True)])
def test_a_video_of_which_frames_were_dropped_is_noted(tmp_path, dropped, noted):
    av = pytest.importorskip("av", reason="the extra `video` is not installed")
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(30))
        stream.height, stream.width, stream.pix_fmt = 64, 96, "gray"
        for k, image in enumerate(brightening()):
            frame = av.VideoFrame.from_ndarray(image, format="gray")
            frame.pts = k
            container.mux(stream.encode(frame) if k not in dropped else [])
        container.mux(stream.encode())
    film = frames.open_film(tmp_path / "film.mkv", interval=60.0)
    words = "0.033 s apart, but with 2 longer steps, one of 0.1 s after frame 17, as"
    assert [words in note for note in film.notes] == [True] * noted
