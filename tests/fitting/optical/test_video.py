import sys
import types

import numpy as np
import pytest

from fitting.optical import frames

GREY = np.random.default_rng(0).integers(20, 200, (12, 40, 50)).astype(np.uint8)


def text(folder, content, name):
    (folder / name).write_text(content)
    return folder / name


def fake_av(num_frames, declared):
    """The part of PyAV that is used."""

    class Frame:
        def __init__(self, k):
            self.k = k

        def to_ndarray(self, format):
            assert format == "rgb24"
            return np.stack([GREY[self.k]] * 3, -1)

    class Container:
        def __init__(self):
            stream = types.SimpleNamespace(frames=declared, thread_type="")
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
