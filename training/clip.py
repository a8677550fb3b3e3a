"""Clip: a few seconds of video with its skeletons, the unit that every floor above the model works on.

RGB frames and joints share one frame index: `joints[t]` was measured on `frames[t]`. The model multiplies image
features by joint heatmaps frame by frame (Eq. 1), so two index vectors that drift apart would be a silent error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from training.errors import ClipError
from training.skeleton import SkeletonLayout
from training.trail import PLACES, rearranged

CauseKind = Literal["pose", "appearance", "time", "pose+appearance", "time+people"]


@dataclass(frozen=True, eq=False)
class Cause:
    """What decides the label of a clip whose cause is known by construction: the smallest deciding set."""

    kind: CauseKind
    frames: np.ndarray
    """[T] bool: the frames that decide."""
    joints: np.ndarray
    """[T, M, J] bool: the joints that decide, where and when they do."""
    pixels: np.ndarray
    """[T, H, W] bool: the pixels that decide."""


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames and joints of one video. Arrays are read-only by convention: nothing in the project writes to them.

    Joint places are pixels of `frames`, (x, y), with integer coordinates at pixel centres. Absent people and
    joints have score 0 and any finite place. `M` may be 0: a clip without a skeleton.
    """

    frames: np.ndarray
    """[T, H, W, 3] uint8, RGB."""
    joints: np.ndarray
    """[T, M, J, 2] float32, pixels of `frames`, (x, y)."""
    score: np.ndarray
    """[T, M, J] float32 in [0, 1]; 0 means not there."""
    layout: SkeletonLayout
    time: np.ndarray
    """[T] float64, seconds in the source."""
    label: str | None = None
    name: str = ""
    source: str = ""
    person_mask: np.ndarray | None = field(default=None, repr=False)
    """[T, H, W] bool, or None when no mask is known."""
    cause: Cause | None = field(default=None, repr=False)
    amodal: bool = False
    """Joints outside the picture count too: annotators placed the whole body, also where it is cut off."""
    trail: np.ndarray | None = field(default=None, repr=False)
    """[T, M, J, PLACES, 2] float32 of a clip that was cut down to the frames that a network reads: where its joints
    went between them, in pixels from their places (training/trail.py). None for a clip that has all its frames."""

    def __post_init__(self) -> None:
        if self.frames.ndim != 4 or self.frames.shape[-1] != 3 or self.frames.dtype != np.uint8:
            raise ClipError(
                f"A clip needs frames [T, H, W, 3] of uint8, not {self.frames.shape} of {self.frames.dtype}."
            )
        length, height, width = self.frames.shape[:3]
        if length == 0:
            raise ClipError("A clip needs at least one frame, and this one has none.")
        if self.joints.ndim != 4 or self.joints.shape[0] != length or self.joints.shape[2:] != (len(self.layout), 2):
            raise ClipError(
                f"Joints must be [T, M, J, 2] with T = {length} frames and J = {len(self.layout)} joints "
                f"({self.layout.name}), not {list(self.joints.shape)}."
            )
        if self.score.shape != self.joints.shape[:3]:
            raise ClipError(f"Scores {list(self.score.shape)} do not match joints {list(self.joints.shape[:3])}.")
        if not np.isfinite(self.joints).all() or not np.isfinite(self.score).all():
            raise ClipError("Joints and scores must be finite; mark a missing joint with score 0, not with NaN.")
        if self.score.size and (self.score.min() < 0 or self.score.max() > 1):
            raise ClipError(f"Scores lie in [0, 1]; these reach from {self.score.min():.3g} to {self.score.max():.3g}.")
        if self.time.shape != (length,):
            raise ClipError(f"Time stamps {list(self.time.shape)} do not match {length} frames.")
        if self.person_mask is not None and self.person_mask.shape != (length, height, width):
            raise ClipError(
                f"The person mask {list(self.person_mask.shape)} does not match {length} frames of {width}x{height}."
            )
        if self.trail is not None:
            if self.trail.shape != (*self.score.shape, PLACES, 2) or self.trail.dtype.kind != "f":
                raise ClipError(f"A trail [T, M, J, {PLACES}, 2] is needed, not {list(self.trail.shape)}.")
            if not np.isfinite(self.trail).all():
                raise ClipError("The trail of the joints must be finite.")

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames in pixels."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def people(self) -> int:
        return self.joints.shape[1]

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that name the content (frames, joints, scores, layout), not the file it came from."""
        digest = hashlib.sha256(self.layout.name.encode())
        for array in (self.frames, self.joints.astype("<f4"), self.score.astype("<f4")):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        if self.amodal:
            digest.update(b"amodal")
        if self.trail is not None:
            digest.update(np.ascontiguousarray(self.trail, "<f4").tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def identity(self) -> str:
        """Sixteen hex digits that name the content and all that is said of it: label, names, time stamps, masks, cause.
        What is shown of a clip, and measured against its cause, is kept under this name."""
        said = (self.fingerprint, self.label, self.name, self.source, self.cause and self.cause.kind)
        digest = hashlib.sha256(repr(said).encode())
        arrays = [self.time, self.person_mask]
        arrays += [self.cause.frames, self.cause.joints, self.cause.pixels] if self.cause else []
        for array in arrays:
            digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def take(self, indices: np.ndarray) -> Clip:
        """The clip that shows only frames `indices` ([N] int, any order, repeats allowed), everything in step.

        A trail comes along as far as frames keep their neighbours; `View.shown` makes one from frames left out.
        """
        indices = np.asarray(indices)
        cause = self.cause and Cause(
            self.cause.kind, self.cause.frames[indices], self.cause.joints[indices], self.cause.pixels[indices]
        )
        return replace(
            self,
            frames=self.frames[indices],
            joints=self.joints[indices],
            score=self.score[indices],
            time=self.time[indices],
            person_mask=None if self.person_mask is None else self.person_mask[indices],
            cause=cause,
            trail=None if self.trail is None else rearranged(self.trail, indices),
        )
