"""Thumbnails that move: a clip as a small animated WebP, and its most telling frame for who wants no motion.

They are made when a page shows them, kept by the content of the data set, and the oldest go when there are too many.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from training.clip import Clip
from training.view import segment_middles
from xai.dashboard.film import Film

SIDE = 128
"""Pixels of the long side at most."""
FRAMES = 8
QUALITY = 50
SHORTEST = 0.04
"""Seconds a frame stays at least."""


@dataclass(frozen=True)
class Thumbnail:
    """A clip at a glance."""

    moving: bytes
    still: bytes
    """Both WebP, of one size."""
    width: int
    height: int
    clip: str
    """Fingerprint of the whole clip."""
    name: str
    sentence: str = ""
    """Why there is no picture."""

    @classmethod
    def of(cls, clip: Clip) -> Thumbnail:
        height, width = clip.size
        zoom = min(1.0, SIDE / max(height, width))
        size = max(1, round(width * zoom)), max(1, round(height * zoom))
        chosen = sorted(set(segment_middles(len(clip), FRAMES).tolist()))
        telling = Film.of_clip(clip).telling
        pictures = [_small(clip.frames[t], size) for t in chosen]
        done, still = cv2.imencode(".webp", _small(clip.frames[telling], size), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        animation = cv2.Animation()
        animation.frames = pictures
        animation.durations = [round(1000 * _seconds_a_frame(clip, len(chosen)))] * len(chosen)
        animation.loop_count = 0
        moved, moving = cv2.imencodeanimation(".webp", animation, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        if not (done and moved):
            raise ValueError(
                f"OpenCV could not encode {clip.name} as WebP; install opencv-python-headless 4.12 or newer."
            )
        return cls(moving.tobytes(), still.tobytes(), *size, clip.fingerprint, clip.name)

    @classmethod
    def missing(cls, sentence: str) -> Thumbnail:
        """In the place of a clip that cannot be read."""
        return cls(b"", b"", 0, 0, "", "", sentence)


def _small(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.ascontiguousarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA)[..., ::-1])


def _seconds_a_frame(clip: Clip, shown: int) -> float:
    """The clip at its own speed: its length, the last frame included, over the frames that are shown."""
    steps = np.diff(clip.time)
    length = float(clip.time[-1] - clip.time[0] + np.median(steps)) if len(steps) else 0.5
    return max(SHORTEST, length / shown)


def address(picture: bytes) -> str:
    """The picture as the address of an image."""
    return "data:image/webp;base64," + base64.b64encode(picture).decode("ascii") if picture else ""
