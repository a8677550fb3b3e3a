"""Video: right frames with right stamps, and hostile files that end in a sentence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.errors import ClipError
from training.video import VideoLimits, _increasing, frame_count, read_video, write_video


def ramp(frames: int = 9, height: int = 48, width: int = 64) -> np.ndarray:
    """Frame t is grey 20 t + 20, with a white square that moves right."""
    video = np.repeat((np.arange(frames, dtype=np.uint8) * 20 + 20)[:, None, None, None], 3, 3)
    video = np.broadcast_to(video, (frames, height, width, 3)).copy()
    for t in range(frames):
        video[t, 16:32, 4 * t : 4 * t + 16] = 255
    return video


@pytest.mark.parametrize("suffix", [".webm", ".webp", ".gif"])
def test_written_frames_come_back_in_order(tmp_path: Path, suffix: str) -> None:
    frames, path = ramp(), tmp_path / f"clip{suffix}"
    write_video(path, frames, rate=10)
    video = read_video(path)
    assert video.frames.shape == frames.shape
    assert video.frames.dtype == np.uint8
    grey = video.frames[:, 44, 60].mean(-1)
    assert np.abs(grey - (np.arange(9) * 20 + 20)).max() < (40 if suffix == ".gif" else 12)  # GIF has 256 colours
    assert np.allclose(np.diff(video.time), 0.1, atol=0.011)
    assert frame_count(path) == 9
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_every_frame_keeps_its_own_time(tmp_path: Path, suffix: str) -> None:
    """Frames that are shown for unlike times."""
    animation = cv2.Animation()
    animation.frames = [np.full((24, 32, 4), 40 * i + 20, np.uint8) for i in range(6)]
    animation.durations = [50, 200, 100, 400, 50, 100]
    assert cv2.imwriteanimation(str(tmp_path / f"uneven{suffix}"), animation)
    video = read_video(tmp_path / f"uneven{suffix}")
    np.testing.assert_allclose(video.time, [0, 0.05, 0.25, 0.35, 0.75, 0.8], atol=0.002)
    assert (np.diff(video.frames[:, 10, 10, 0].astype(int)) > 20).all()


def test_only_wrong_stamps_are_replaced() -> None:
    np.testing.assert_allclose(_increasing(np.array([0, 0.1, 0.5, 0.6]), 25), [0, 0.1, 0.5, 0.6])
    np.testing.assert_allclose(_increasing(np.array([0, 0.1, 0.05, 0.6, 0.8]), 25), [0, 0.1, 0.35, 0.6, 0.8])
    np.testing.assert_allclose(_increasing(np.array([0, 0.1, 0.2, 0.3, 0.3]), 25), [0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(_increasing(np.zeros(4), 10), [0, 0.1, 0.2, 0.3])
    np.testing.assert_allclose(_increasing(np.zeros(1), 10), [0])


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    frames = np.zeros((3, 48, 64, 3), np.uint8)
    frames[..., 0] = 200
    write_video(tmp_path / "red.webm", frames)
    assert (read_video(tmp_path / "red.webm").frames.mean((0, 1, 2)) > [150, -1, -1]).all()
    assert read_video(tmp_path / "red.webm").frames[..., 2].mean() < 60


def test_large_frames_are_shrunk_while_reading(tmp_path: Path) -> None:
    write_video(tmp_path / "wide.webm", ramp(3, 120, 400))
    video = read_video(tmp_path / "wide.webm", VideoLimits(longest_side=200))
    assert video.frames.shape == (3, 60, 200, 3)
    assert video.original == (120, 400)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("setup.mp4", b"MZ\x90\x00" + b"\0" * 200),
        ("list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x.ts\n"),
        ("concat.avi", b"ffconcat version 1.0\nfile /etc/hostname\n"),
        ("empty.webm", b""),
        ("text.mov", b"hello, this is no video"),
    ],
)
def test_what_is_no_video_is_refused_by_its_bytes(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ClipError, match="does not look like a video") as error:
        read_video(tmp_path / name)
    assert "\n" not in str(error.value)


def test_damage_ends_in_a_sentence_or_in_the_frames_before_it(tmp_path: Path) -> None:
    path = tmp_path / "clip.webm"
    write_video(path, ramp(30))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert 0 < len(read_video(path).frames) < 30
    path.write_bytes(whole[:60])
    with pytest.raises(ClipError, match=r"cannot be opened|no frame"):
        read_video(path)
    path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 8)
    with pytest.raises(ClipError, match=r"cannot be opened|no frame"):
        read_video(path)


def test_limits_hold(tmp_path: Path) -> None:
    path = tmp_path / "clip.webm"
    write_video(path, ramp(9))
    for limits, sentence in [
        (VideoLimits(frames=5), "more than 5 frames"),
        (VideoLimits(frames=1), "at most 1 are read"),
        (VideoLimits(file_bytes=10), "MB are read"),
        (VideoLimits(pixels=100), "is 64x48"),
        (VideoLimits(decoded_bytes=30_000), "decodes to more"),
        (VideoLimits(seconds_to_decode=0), "takes longer"),
    ]:
        with pytest.raises(ClipError, match=sentence):
            read_video(path, limits)
    with pytest.raises(ClipError, match="no video at"):
        read_video(tmp_path / "nothing.mp4")


def test_a_long_4k_video_is_refused_at_once(tmp_path: Path) -> None:
    """The header of a real AVI, changed to claim ten minutes of 30 frames a second."""
    path = tmp_path / "long.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (3840, 2160))
    for _ in range(2):
        writer.write(np.zeros((2160, 3840, 3), np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    stream = data.index(b"strh")
    data[stream + 40 : stream + 44] = (18_000).to_bytes(4, "little")
    data[48:52] = (18_000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ClipError, match="18000 frames; at most 900 are read"):
        read_video(path)


def test_a_name_with_a_pattern_is_a_name(tmp_path: Path) -> None:
    for i in range(3):
        cv2.imwrite(str(tmp_path / f"frame{i}.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ClipError, match="no video at"):
        read_video(tmp_path / "frame%d.png")


def test_only_known_kinds_are_written(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="webm"):
        write_video(tmp_path / "clip.mp4", ramp())


def test_real_samples(data_dir: Path) -> None:
    expected = {
        "mmaction2/demo.mp4": (280, 256, 340),
        "mmaction2/test.avi": (164, 240, 320),
        "exercise/exercise.avi": (393, 288, 384),
        "posetrack/000001_mpiinew_test.mp4": (5, 360, 640),
    }
    for name, shape in expected.items():
        video = read_video(data_dir / "samples" / name)
        assert video.frames.shape == (*shape, 3)
        assert (np.diff(video.time) > 0).all()
