"""Small videos whose content says where and when it is: one white dot on grey, which moves a pixel a frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def dot_frames(length: int, height: int, width: int, x: int = 10, y: int = 12) -> np.ndarray:
    """[T, H, W, 3] uint8; the dot of 5x5 is centred at (x + t, y) in frame t."""
    frames = np.full((length, height, width, 3), 90, np.uint8)
    for t in range(length):
        frames[t, y - 2 : y + 3, x + t - 2 : x + t + 3] = 255
    return frames


def dot_places(frames: np.ndarray) -> np.ndarray:
    """[T, 2] (x, y): where the dot is found."""
    found = []
    for frame in frames:
        ys, xs = np.nonzero(frame.min(-1) > 190)
        found.append((xs.mean(), ys.mean()))
    return np.array(found)


def write_avi(path: Path, frames: np.ndarray, rate: float = 10.0) -> None:
    """Motion JPEG in an .avi, which every build of OpenCV writes and reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames.shape[1:3]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()


def write_pictures(folder: Path, frames: np.ndarray, pattern: str) -> None:
    """Numbered pictures, from 1; `pattern` is like `{:06d}.jpg`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=1):
        cv2.imwrite(str(folder / pattern.format(number)), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
