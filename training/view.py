"""View: which frames and which region of a clip the model reads, as one affine map that is used both ways.

Frames and joints go through the same matrix, and every place the model speaks of comes back through its inverse, so a
point is drawn where it was read. Pixel centres have integer coordinates: resizing by s maps x to s (x + 0.5) - 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import cv2
import numpy as np

from training.clip import Clip
from training.trail import rearranged, trail_of

Shown = Literal["crop", "person"]
"""What of a clip there is to see: the frame, whose largest square is taken, or a square around the joints."""
AROUND = 1.3
"""Side of the square that `person` shows, in sides of the smallest one around the joints, which end at the wrists, the
ankles and the middle of the head."""


@dataclass(frozen=True, eq=False)
class View:
    """The part of a clip that the model reads."""

    frame_index: np.ndarray
    """[T] int: the frames of the clip, in order; repeats are allowed."""
    matrix: np.ndarray
    """[2, 3]: pixel (x, y, 1) of the clip -> pixel (x, y) of the model's input."""
    size: tuple[int, int]
    """(height, width) of the model's input."""
    mirrored: bool = False
    """Left and right are exchanged, in the matrix and in the names of the joints."""

    @cached_property
    def inverse(self) -> np.ndarray:
        return cv2.invertAffineTransform(self.matrix.astype(np.float64))

    def to_model(self, xy: np.ndarray) -> np.ndarray:
        """[..., 2] pixels of the clip -> pixels of the model's input."""
        return xy @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_clip(self, xy: np.ndarray) -> np.ndarray:
        """[..., 2] pixels of the model's input -> pixels of the clip."""
        return xy @ self.inverse[:, :2].T + self.inverse[:, 2]

    def box(self) -> np.ndarray:
        """[4, 2] corners, in pixels of the clip, of the region that the model sees."""
        height, width = self.size
        corners = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
        return self.to_clip(corners)

    def trail(self, clip: Clip) -> np.ndarray:
        """[T, M, J, PLACES, 2]: where the joints go between the frames of the view, in pixels of the clip from their
        places. A clip that was cut down to the frames that are read brings its trail along."""
        if clip.trail is not None:
            return rearranged(clip.trail, self.frame_index)
        return trail_of(clip.joints, clip.score, self.frame_index)

    def shown(self, clip: Clip) -> Clip:
        """The frames of the view, uncropped and unscaled, with the trail between them."""
        return replace(clip.take(self.frame_index), trail=self.trail(clip))

    def apply(
        self, clip: Clip, trail: bool = False, pictures: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """frames [T, h, w, 3] uint8, joints [T, M, J, 2] and score [T, M, J] as the model reads them.

        With `trail`, joints [T, M, J, PLACES, 2]: their places on the way too, the middle one in the frame itself.
        Without `pictures` the frames are black, and none is read.
        Joints that left the view get score 0, unless the clip knows where joints are that nobody sees (`amodal`).
        """
        height, width = self.size
        frames = np.zeros((len(self.frame_index), height, width, 3), np.uint8)
        shrink = 1 / np.sqrt(abs(np.linalg.det(self.matrix[:, :2])))
        for slot, index in enumerate(self.frame_index if pictures else ()):
            frame = clip.frames[index]
            if shrink > 1.2:
                # Bilinear reading skips pixels when it shrinks; this blur is what an area average would remove.
                frame = cv2.GaussianBlur(frame, (0, 0), 0.5 * np.sqrt(shrink**2 - 1))
            cv2.warpAffine(frame, self.matrix, (width, height), frames[slot], cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
        joints = self.to_model(clip.joints[self.frame_index]).astype(np.float32)
        x, y = joints[..., 0], joints[..., 1]
        score = clip.score[self.frame_index]
        if not clip.amodal:
            score = score * ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5))
        if trail:
            joints = joints[..., None, :] + (self.trail(clip) @ self.matrix[:, :2].T).astype(np.float32)
        if self.mirrored:
            order = list(clip.layout.mirrored)
            joints, score = joints[:, :, order], score[:, :, order]
        return frames, joints, score.astype(np.float32)


def segment_middles(length: int, frames: int) -> np.ndarray:
    """The middle frame of each of `frames` equal segments of `length` frames; short clips repeat frames."""
    return np.minimum(((np.arange(frames) + 0.5) * length / frames).astype(int), length - 1)


def fit_matrix(source: tuple[float, float, float, float], size: tuple[int, int], mirrored: bool = False) -> np.ndarray:
    """The matrix that shows the rectangle (left, top, width, height) of the clip as an image of `size` (h, w).

    Edges lie half a pixel outside the outer pixel centres, so (-0.5, -0.5, W, H) is the whole frame.
    """
    left, top, wide, high = source
    sx, sy = size[1] / wide, size[0] / high
    # x' + 0.5 = sx (x - left), and likewise in y
    matrix = np.array([[sx, 0, -sx * left - 0.5], [0, sy, -sy * top - 0.5]])
    if mirrored:
        matrix[0] = [-sx, 0, size[1] - 1 + sx * left + 0.5]
    return matrix


def shown_region(clip: Clip, fit: Shown | Literal["pad"] = "crop") -> tuple[float, float, float, float]:
    """The rectangle (left, top, width, height) of a clip that there is to see, in pixels of the clip.

    `crop` and `pad`: the frame. `person`: the smallest square around every place of every joint that is seen in the
    clip, `AROUND` times as wide, one for all frames, so that who walks still moves; the frame if no joint is seen.
    """
    height, width = clip.size
    seen = clip.score > 0
    if fit != "person" or not seen.any():
        return -0.5, -0.5, float(width), float(height)
    places = clip.joints[seen].astype(np.float64)
    low, high = places.min(0), places.max(0)
    side = AROUND * max(float((high - low).max()), 8.0)
    left, top = (low + high - side) / 2
    return float(left), float(top), side, side


def centre_view(clip: Clip, frames: int, size: int, fit: Shown | Literal["pad"] = "crop") -> View:
    """The view for testing: the middle frame of `frames` segments, and the centre square of what there is to see.

    `crop` scales the short side of the frame to `size` and crops the rest (the paper's test protocol); `pad` shows the
    whole frame, `person` what lies around the joints.
    """
    left, top, wide, high = shown_region(clip, fit)
    side = max(wide, high) if fit == "pad" else min(wide, high)
    source = (left + (wide - side) / 2, top + (high - side) / 2, side, side)
    return View(segment_middles(len(clip), frames), fit_matrix(source, (size, size)), (size, size))


def clips_and_crops(
    clip: Clip, frames: int, size: int, clips: int = 1, crops: int = 1, fit: Shown = "crop"
) -> list[View]:
    """`clips` x `crops` views of one clip, whose answers are averaged in testing; 1 x 1 is `centre_view`.

    Each of the `clips` reads its own frame of every segment, evenly spread over it; each of the `crops` is the largest
    square at its own place along the longer side of what there is to see, from end to end. What lies around a person
    is one square, and so are all crops of it.

    Raises: ValueError if there is not at least one of each.
    """
    if clips < 1 or crops < 1:
        raise ValueError(f"At least 1 x 1 views are needed, not {clips} x {crops}.")
    left, top, wide, high = shown_region(clip, fit)
    side = min(wide, high)
    views = []
    for part in (np.arange(clips) + 0.5) / clips:
        index = np.minimum(((np.arange(frames) + part) * len(clip) / frames).astype(int), len(clip) - 1)
        for place in np.linspace(0, 1, crops) if crops > 1 else (0.5,):
            source = (left + (wide - side) * place, top + (high - side) * place, side, side)
            views.append(View(index, fit_matrix(source, (size, size)), (size, size)))
    return views
