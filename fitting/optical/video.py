"""Opens films in MP4, AVI and the like, with PyAV (the extra `video`)."""

import threading
import weakref
from pathlib import Path

import numpy as np

from .sources import CURVED, Source, check_content

ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".wmv")
_UNEVEN = 1.5  # usual steps from a frame to the next, from which on one is longer


def open_video(path: Path) -> Source:
    """The frames of a video, counted by decoding it once.

    Containers may declare a wrong number of frames, and their rate is that at which to
    play them, so neither is used.

    Raises:
        ValueError: where PyAV is absent, or the file is no video.
    """
    check_content(path)
    try:
        import av
    except ImportError:
        raise ValueError(
            f"{path.name} is a video, which needs PyAV; install it with "
            '`pip install "diffelec[video]"`, or save the frames as a TIFF stack.'
        ) from None
    try:
        decoder = _Decoder(path)
        num_frames, declared = decoder.count()
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path.name} must be a video, but cannot be decoded ({error.strerror}); "
            "copy it again."
        ) from None
    notes = []
    if not decoder.exact:
        notes.append(
            "Video keeps brightness on a curve (gamma), in a limited range and with "
            f"loss: {CURVED}."
        )
    if declared and declared != num_frames:
        notes.append(
            f"{path.name} declares {declared} frames, but {num_frames} can be decoded; "
            "those were counted."
        )
    notes += _step_notes(path, decoder.played)
    return Source(decoder, num_frames, notes=tuple(notes))


def _step_notes(path: Path, played) -> tuple[str, ...]:
    """A note where frames are not played evenly, so that no interval can be theirs."""
    if len(played) < 3 or None in played:
        return ()
    steps = np.diff(np.array(played, float))
    usual = float(np.median(steps))
    longer = np.flatnonzero(steps > _UNEVEN * usual)
    if not (longer.size and usual > 0):
        return ()
    k = int(longer[np.argmax(steps[longer])])
    what = "a longer step" if longer.size == 1 else f"{longer.size} longer steps, one"
    return (
        f"{path.name} plays its frames {usual:.3g} s apart, but with {what} of "
        f"{steps[k]:.3g} s after frame {k + 1}, as where frames were dropped; if so, "
        "with an interval later times are too early: give the times of all frames.",
    )


def _pixels(frame) -> np.ndarray:
    """Gray, or red, green and blue, of 8 bits, or of 16 where there are more than 8."""
    deep = max(one.bits for one in frame.format.components) > 8
    if _is_gray(frame):
        return frame.to_ndarray(format="gray16le" if deep else "gray")
    return frame.to_ndarray(format="rgb48le" if deep else "rgb24")


def _is_gray(frame) -> bool:
    """Whether a frame holds nothing but brightness, in the whole range."""
    return frame.format.name.startswith("gray")


class _Decoder:
    """Frames by number; quick where they are asked for in order.

    Attributes:
        exact: whether they are coded without loss, once they were counted.
        played: when each is played [s], None where that is not told, likewise.
    """

    def __init__(self, path: Path):
        self.path, self.exact, self.played = path, False, []
        self._lock = threading.Lock()
        self._container, self._frames, self._next = None, None, 0
        self._rewind()

    def _rewind(self) -> None:
        import av

        if self._container is not None:
            self._close()
        self._container = av.open(str(self.path))
        self._close = weakref.finalize(self, self._container.close)
        if not self._container.streams.video:
            raise ValueError(
                f"{self.path.name} must hold pictures, but has no stream of them."
            )
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        self._frames, self._next = self._container.decode(stream), 0

    def count(self) -> tuple[int, int]:
        """Number of frames that can be decoded, and the number that is declared.

        Raises:
            FFmpegError: where not even the first can be.
        """
        import av

        with self._lock:
            stream = self._container.streams.video[0]
            declared, total, codec = stream.frames, 0, stream.codec_context.codec
            try:
                for frame in self._frames:
                    total += 1
                    self.played.append(frame.time)
                    # Some codecs can do both, and do not tell which they did.
                    self.exact = codec.lossless and not codec.lossy
                    self.exact &= _is_gray(frame) or frame.format.is_rgb
            except av.error.FFmpegError:
                if not total:
                    raise
            self._rewind()
        return total, declared

    def __call__(self, k: int) -> np.ndarray:
        with self._lock:
            if k < self._next:
                self._rewind()
            for frame in self._frames:
                self._next += 1
                if self._next == k + 1:
                    return _pixels(frame)
        raise ValueError(f"{self.path.name} must hold frame {k + 1}, but ends before.")
