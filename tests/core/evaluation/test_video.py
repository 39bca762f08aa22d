"""Videos to read: the frames of real ones, and no other file is opened for those that are not."""

import socket

import cv2
import numpy as np
import pytest

from core.evaluation.predictor import PredictionError
from core.evaluation.video import _FFMPEG_OPTIONS, Video


def film(path, codec="mp4v", levels=(0, 128, 255)):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    assert writer.isOpened()
    for level in levels:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "mp4v"), ("a.mov", "mp4v"), ("a.wmv", "WMV1"), ("100%d.mp4", "mp4v")],
)  # fmt: skip
def test_usual_containers_are_read(tmp_path, name, codec):
    with Video(film(tmp_path / name, codec)) as video:
        assert video.size == (64, 48)
        assert video.rate == 10
        levels = [int(image.mean()) for image in video.images()]
    assert np.allclose(levels, [0, 128, 255], atol=8)


def test_a_transport_stream_is_read(tmp_path):
    film(tmp_path / "a.ts", levels=range(0, 250, 5)).rename(tmp_path / "a.mpg")
    with Video(tmp_path / "a.mpg") as video:
        assert len(list(video.images())) == 50


LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile secret.mp4\n",
    "a playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "an address": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "a session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n",
}


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("sniffs", [True, False], ids=["sniffed", "left to ffmpeg"])
def test_a_text_that_names_other_files_is_refused(tmp_path, monkeypatch, capfd, text, sniffs):
    """By its first bytes; and where those were got around, by FFmpeg's own list of formats."""
    film(tmp_path / "secret.mp4")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        (tmp_path / "film.mp4").write_text(text.format(port=server.getsockname()[1]))
        if not sniffs:
            monkeypatch.setattr("core.evaluation.video._check_container", lambda path: None)
        with pytest.raises(PredictionError, match=r"film\.mp4 cannot be read as a video"):
            Video(tmp_path / "film.mp4")
        with pytest.raises(TimeoutError):
            server.accept()


def test_ffmpeg_alone_would_follow_such_a_text(tmp_path, monkeypatch):
    film(tmp_path / "secret.mp4")
    (tmp_path / "film.mp4").write_text(LISTS["ffconcat"])
    monkeypatch.delenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", raising=False)
    assert cv2.VideoCapture(str(tmp_path / "film.mp4"), cv2.CAP_FFMPEG).isOpened()
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", _FFMPEG_OPTIONS)
    assert not cv2.VideoCapture(str(tmp_path / "film.mp4"), cv2.CAP_FFMPEG).isOpened()


def test_a_folder_and_a_missing_file_are_a_sentence(tmp_path):
    for path in (tmp_path, tmp_path / "none.mp4"):
        with pytest.raises(PredictionError, match="cannot be opened"):
            Video(path)


def test_any_frame_can_be_read(tmp_path):
    with Video(film(tmp_path / "a.mp4", levels=range(0, 250, 25))) as video:
        assert video.length == 10
        levels = [int(video.frame(index).mean()) for index in (7, 2, 9, 0)]
        assert np.allclose(levels, [175, 50, 225, 0], atol=10)
        with pytest.raises(PredictionError, match="Frame 99"):
            video.frame(99)
