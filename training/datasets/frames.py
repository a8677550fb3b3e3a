"""Frames of a sample and the joints measured on them, brought together as one `Clip` whatever the data set.

Every reader hands over what its files say: frames as a video or as numbered pictures, and joints in pixels of the
frames they were measured on. Size, length and scores are reconciled here, once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.clip import Clip
from training.clip_file import seen
from training.errors import ClipError
from training.skeleton import SkeletonLayout
from training.video import Video, VideoLimits

BLANK_SIDE = 320
"""Longest side of the black frames of a clip that has joints only."""
LONGEST_BLANK = 5000
VIDEO_SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".webm", ".gif", ".webp")


def read_pictures(paths: Sequence[Path], rate: float, limits: VideoLimits | None = None) -> Video:
    """Numbered pictures as a video of `rate` frames a second.

    Long sequences are shrunk until they fit the limits: half a clip would be another action.
    """
    limits = limits or VideoLimits()
    if not paths:
        raise ClipError("A sequence of pictures has none; expected one a frame.")
    frames: list[np.ndarray] = []
    original, shape = (0, 0), (0, 0)
    for path in paths:
        # the orientation flag of a camera is not applied: joints are places in the stored pixels
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        try:
            image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
        except (OSError, cv2.error) as error:
            raise ClipError(f"The picture {path.parent.name}/{path.name} cannot be read; get it again.") from error
        if image is None:
            raise ClipError(f"The picture {path.parent.name}/{path.name} is damaged; get it again.")
        height, width = image.shape[:2]
        if not frames:
            original = height, width
            whole = 3 * height * width * len(paths)
            scale = min(1, limits.longest_side / max(original), math.sqrt(limits.decoded_bytes / whole))
            shape = max(1, int(width * scale)), max(1, int(height * scale))
        if (height, width) != original:
            raise ClipError(
                f"{path.parent.name} has pictures of {original[1]}x{original[0]} and of {width}x{height}; "
                "expected one size throughout."
            )
        if shape != (width, height):
            image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
        frames.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return Video(np.stack(frames), np.arange(len(frames)) / rate, original)


def blank_video(length: int, size: tuple[int, int], rate: float) -> Video:
    """Black frames in the aspect of `size` (height, width), for joints whose pictures are not there."""
    if not 0 < length <= LONGEST_BLANK or min(size) < 1:
        raise ClipError(f"Joints of {length} frames of {size[1]}x{size[0]} cannot be shown; expected a short clip.")
    scale = min(1, BLANK_SIDE / max(size))
    shape = [max(1, round(side * scale)) for side in size]
    return Video(np.zeros((length, *shape, 3), np.uint8), np.arange(length) / rate, size)


def shared_length(name: str, frames: int, joints: int) -> int:
    """How many frames of a clip have both. They may differ by two or 5 %: an encoder drops or repeats some at the end.
    Raises ClipError when they differ by more."""
    length = min(frames, joints)
    if max(frames, joints) - length > max(2, length // 20):
        raise ClipError(f"{name} has {frames} frames and joints for {joints}; expected the same number.")
    return length


def make_clip(
    video: Video,
    joints: np.ndarray,
    score: np.ndarray,
    layout: SkeletonLayout,
    *,
    measured: tuple[int, int] | None = None,
    label: str,
    name: str,
    source: str,
) -> Clip:
    """One clip of frames and joints.

    Args:
        joints: [T, M, J, 2] pixels (x, y), from 0; what is no number counts as not there.
        score: [T, M, J]; values outside [0, 1] are brought into it.
        measured: (height, width) of the frames the joints were measured on; those of the file by default.

    Frames beyond the joints, or joints beyond the frames, are left out: see `shared_length`.
    """
    frames = video.frames
    length = shared_length(name, len(frames), len(joints))
    height, width = frames.shape[1:3]
    rows, columns = measured or video.original
    places = np.asarray(joints[:length], np.float32)
    held = np.asarray(score[:length], np.float32)
    valid = np.isfinite(places).all(-1) & np.isfinite(held)
    places = np.where(valid[..., None], places, 0)
    places = ((places + 0.5) * np.array([width / columns, height / rows]) - 0.5).astype(np.float32)
    held = np.clip(np.where(valid, held, 0), 0, 1)
    return Clip(
        frames=frames[:length],
        joints=places,
        score=seen(places, held, height, width),
        layout=layout,
        time=video.time[:length],
        label=label,
        name=name,
        source=source,
    )


def videos_in(folder: Path, depth: int = 2) -> dict[str, Path]:
    """Name without suffix -> path of every video in a folder and its folders, `depth` levels down."""
    found: dict[str, Path] = {}
    waiting = [(folder, depth)]
    while waiting:
        place, levels = waiting.pop()
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            raise ClipError(f"The folder {place} cannot be read ({error.strerror}).") from error
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                if levels > 1:
                    waiting.append((Path(entry.path), levels - 1))
            elif entry.name.lower().endswith(VIDEO_SUFFIXES):
                found.setdefault(entry.name.rpartition(".")[0], Path(entry.path))
    return found
