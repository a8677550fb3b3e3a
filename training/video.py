"""Reading and writing video. A file is hostile until its bytes look like a video and its size is within limits.

Frames are read one after the other (`grab`, `retrieve`): seeking lands on wrong frames, and headers lie about how many
there are. Time stamps are those of the frames, so a variable frame rate is no problem.
"""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.errors import ClipError


@dataclass(frozen=True)
class VideoLimits:
    """What is read at most. Everything is checked before or while decoding, never after."""

    file_bytes: int = 200 << 20
    pixels: int = 4096 * 2304
    """Of one frame."""
    frames: int = 900
    decoded_bytes: int = 400 << 20
    longest_side: int = 640
    """Larger frames are shrunk to this while they are read."""
    seconds_to_decode: float = 60.0
    seconds: float = math.inf
    """Length of the video, by its own stamps."""


@dataclass(frozen=True, eq=False)
class Video:
    frames: np.ndarray
    """[T, H, W, 3] uint8 RGB."""
    time: np.ndarray
    """[T] seconds."""
    original: tuple[int, int]
    """(height, width) in the file; frames may have been shrunk."""


def sniff(path: Path) -> str:
    """Kind of container by its first bytes: a name and a suffix prove nothing. ClipError for anything else.

    FFmpeg would follow playlists and concat scripts to other files and addresses; those are text and stop here.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    raise ClipError(f"{path.name} does not look like a video; expected mp4, mov, webm, mkv, avi, gif or webp.")


def _checked(path: str | Path, limits: VideoLimits) -> tuple[Path, str]:
    path = Path(path)
    if not path.is_file():
        raise ClipError(f"There is no video at {path}.")
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise ClipError(
            f"{path.name} has {size >> 20} MB; at most {limits.file_bytes >> 20} MB are read, so cut it first."
        )
    return path, sniff(path)


def read_video(path: str | Path, limits: VideoLimits | None = None) -> Video:
    """All frames of a video. Raises ClipError in one sentence for what is no video, empty, damaged or too large.

    A file that breaks off in the middle gives the frames before the break.
    """
    limits = limits or VideoLimits()
    path, kind = _checked(path, limits)
    if kind == "webp":
        return _read_webp(path, limits)
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise ClipError(f"{path.name} cannot be opened as a video; it may be damaged or use an unknown codec.")
        width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > limits.pixels:
            raise ClipError(f"{path.name} is {width}x{height}; at most {limits.pixels / 1e6:.0f} megapixels are read.")
        claimed = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if claimed > 4 * limits.frames:  # headers lie, but not like that
            raise _too_long(path, f"about {claimed:.0f}", limits)
        return _read(capture, path, limits)
    finally:
        capture.release()


def _too_long(path: Path, found: str, limits: VideoLimits) -> ClipError:
    return ClipError(f"{path.name} has {found} frames; at most {limits.frames} are read, so cut it to a few seconds.")


def _too_slow(path: Path, limits: VideoLimits) -> ClipError:
    return ClipError(f"{path.name} is longer than {limits.seconds:g} s; cut it to a few seconds.")


def _read(capture: cv2.VideoCapture, path: Path, limits: VideoLimits) -> Video:
    frames: list[np.ndarray] = []
    stamps: list[float] = []
    original, held = (0, 0), 0
    deadline = time.monotonic() + limits.seconds_to_decode
    while capture.grab():
        if len(frames) == limits.frames:
            raise _too_long(path, f"more than {limits.frames}", limits)
        if time.monotonic() > deadline:
            raise ClipError(
                f"{path.name} takes longer than {limits.seconds_to_decode:.0f} s to decode; cut or shrink it."
            )
        stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if stamp > limits.seconds:
            raise _too_slow(path, limits)
        read, image = capture.retrieve()
        if not read:
            break
        original = original if frames else image.shape[:2]
        image = _shrink(image, limits.longest_side)
        held += image.nbytes
        if held > limits.decoded_bytes:
            raise ClipError(f"{path.name} decodes to more than {limits.decoded_bytes >> 20} MB; cut or shrink it.")
        if frames and image.shape != frames[0].shape:
            raise ClipError(f"{path.name} changes its size from frame to frame; expected one size throughout.")
        frames.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        stamps.append(stamp)
    if not frames:
        raise ClipError(f"{path.name} has no frame that can be decoded; it may be empty or broken off.")
    rate = capture.get(cv2.CAP_PROP_FPS)
    seconds = _increasing(np.array(stamps), rate if 0 < rate < 1000 else 25.0)
    return Video(np.stack(frames), seconds, (int(original[0]), int(original[1])))


def _increasing(stamps: np.ndarray, rate: float) -> np.ndarray:
    """Stamps that grow. Where a container has none the frame rate speaks; a few wrong ones are put between others."""
    good = np.concatenate([[True], stamps[1:] > np.maximum.accumulate(stamps)[:-1]])
    if good.sum() < max(2, len(stamps) / 2):
        return np.arange(len(stamps)) / rate
    place = np.flatnonzero(good)
    step = float(np.median(np.diff(stamps[place]) / np.diff(place)))
    late = np.maximum(np.arange(len(stamps)) - place[-1], 0) * step
    return np.asarray(np.interp(np.arange(len(stamps)), place, stamps[place]) + late)


def _shrink(image: np.ndarray, longest: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _read_webp(path: Path, limits: VideoLimits) -> Video:
    count = cv2.imcount(str(path))
    if count > limits.frames:
        raise _too_long(path, str(count), limits)
    with open(path, "rb") as file:
        head = file.read(30)
    if head[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(head[i : i + 3], "little") for i in (24, 27))
        if width * height > limits.pixels or width * height * 4 * count > 4 * limits.decoded_bytes:
            raise ClipError(f"{path.name} is {width}x{height} with {count} frames, more than is read; shrink it.")
    read, animation = cv2.imreadanimation(str(path))
    if not read or not len(animation.frames):
        raise ClipError(f"{path.name} has no frame that can be decoded; it may be damaged.")
    original = animation.frames[0].shape[:2]
    code = cv2.COLOR_BGRA2RGB if animation.frames[0].shape[2] == 4 else cv2.COLOR_BGR2RGB
    frames = [cv2.cvtColor(_shrink(frame, limits.longest_side), code) for frame in animation.frames]
    stamps = np.concatenate([[0], np.cumsum(np.maximum(animation.durations, 10))[:-1]]) / 1000
    if stamps[-1] > limits.seconds:
        raise _too_slow(path, limits)
    return Video(np.stack(frames), stamps, (int(original[0]), int(original[1])))


def frame_count(path: str | Path, limits: VideoLimits | None = None) -> int:
    """How many frames there really are, by decoding all of them and keeping none."""
    limits = limits or VideoLimits()
    path, kind = _checked(path, limits)
    if kind == "webp":
        return int(cv2.imcount(str(path)))
    capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    count = 0
    while count <= limits.frames and capture.grab():
        count += 1
    capture.release()
    return count


def write_video(path: str | Path, frames: np.ndarray, rate: float = 10.0) -> None:
    """Write [T, H, W, 3] uint8 RGB as .webm (VP9), .webp or .gif; the file appears complete or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        if path.suffix == ".webm":
            height, width = frames.shape[1:3]
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"VP90"), rate, (width, height))
            for frame in frames:
                writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            writer.release()
            written = temporary.is_file()
        elif path.suffix in (".webp", ".gif"):
            animation = cv2.Animation()
            animation.frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGRA) for frame in frames]
            animation.durations = [round(1000 / rate)] * len(frames)
            written = cv2.imwriteanimation(str(temporary), animation)
        else:
            raise ClipError(f"Videos are written as .webm, .webp or .gif, not {path.suffix!r}.")
        if not written:
            raise ClipError(f"{path.name} could not be written; this build of OpenCV lacks the encoder.")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
