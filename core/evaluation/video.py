"""Frames of a video file, one in memory at a time. Importable without torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from core.dataset.reading import MAX_PIXELS
from core.evaluation.errors import PredictionError

# FFmpeg takes a text that lists other files (ffconcat, an M3U8 playlist, an SDP) for a video, and opens what it names. Only
# containers that hold their own frames are allowed, from the disk alone.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegvideo,mpegts,asf"
_FFMPEG_OPTIONS = f"protocol_whitelist;file|format_whitelist;{_CONTAINERS}"

# How such containers begin: (position, bytes).
_BEGINNINGS = (
    *((4, name) for name in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),  # MP4, QuickTime
    (8, b"AVI "),
    (0, b"\x1aE\xdf\xa3"),  # Matroska, WebM
    (0, b"\x00\x00\x01\xba"), (0, b"\x00\x00\x01\xb3"),  # MPEG programme and video streams
    (0, b"0&\xb2u\x8ef\xcf\x11"),  # Windows Media
)  # fmt: skip


class Video:
    """A video opened to read. Use as a context manager.

    `length` is the number of frames as the file states it, 0 where it does not; `rate` in frames per second; `size` (width,
    height) in pixels.

    Raises:
        PredictionError: the file is not a video, or holds something else than frames of its own.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _check_container(path)
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FFMPEG_OPTIONS
        # An absolute path, and FFmpeg alone: else `http:/a.mp4` is an address, and `%d` a pattern of several files.
        self._capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise _unreadable(path)
        self.length = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.rate = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        self.size = tuple(int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if self.size[0] * self.size[1] > MAX_PIXELS:
            self._capture.release()
            raise PredictionError(f"{path} claims frames of {self.size[0]} × {self.size[1]} pixels; scale it down.")

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def frame(self, index: int) -> np.ndarray:
        """Return one frame as an RGB image (H, W, 3) uint8. Raises PredictionError where it cannot be decoded."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        found, image = self._capture.read()
        if not found:
            raise PredictionError(f"Frame {index} of {self._path} cannot be decoded; convert it to MP4 (H.264).")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

    def images(self) -> Iterator[np.ndarray]:
        """Yield RGB images (H, W, 3) uint8 in order. Raises PredictionError where there is not one."""
        is_empty = True
        while (read := self._capture.read())[0]:
            is_empty = False
            yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        if is_empty:
            raise PredictionError(f"No frame of {self._path} can be decoded; convert it to MP4 (H.264).")


def _check_container(path: Path) -> None:
    """Refuse what does not begin as a video: above all a text that names other files."""
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise PredictionError(f"{path} cannot be opened: {error.strerror or error}.") from error
    is_stream = head[:1] == head[188:189] == b"G"  # an MPEG transport stream: packets of 188 bytes
    if not is_stream and not any(head[position : position + len(mark)] == mark for position, mark in _BEGINNINGS):
        raise _unreadable(path)


def _unreadable(path: Path) -> PredictionError:
    return PredictionError(f"{path} cannot be read as a video; convert it to MP4 (H.264), for instance by ffmpeg.")
