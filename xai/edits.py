"""What can be done to a clip: joints hidden or held, frames held or interpolated, pixels covered, another background.

Pure functions Clip -> Clip. The clip that comes in is not written to, and what an edit leaves alone is shared with what
comes out: pixels that did not change are the same array, so nobody needs to read them a second time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import cv2
import numpy as np

from training.clip import Clip
from training.trail import AFTER, BEFORE, PARTS, without

JointHow = Literal["unseen", "first", "mean"]
"""As if not detected (score 0); held at the place where it is first seen; held at its mean place."""
FrameHow = Literal["hold", "interpolate"]
"""The nearest frame that stays is shown instead; or a mix of the two that stay on either side."""
Cover = Literal["blur", "inpaint", "mean"]
"""Blurred with itself; filled from its surroundings (Telea 2004); the mean colour of the clip."""


def _known(how: str, hows: Any, what: str) -> None:
    if how not in get_args(hows):
        raise ValueError(f"{what} by {', '.join(get_args(hows))}, not by {how!r}.")


def take_joints(clip: Clip, gone: np.ndarray, how: JointHow) -> Clip:
    """The clip without the joints `gone` [T, M, J] bool."""
    _known(how, JointHow, "Joints are taken away")
    trail = None if clip.trail is None else without(clip.trail, gone)
    if how == "unseen":
        return replace(clip, score=np.where(gone, np.float32(0), clip.score), trail=trail)
    seen = clip.score > 0
    if how == "first":
        rest = np.take_along_axis(clip.joints, seen.argmax(axis=0)[None, ..., None], axis=0)[0]
    else:
        rest = (clip.joints * seen[..., None]).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)[..., None]
    return replace(clip, joints=np.where(gone[..., None], rest, clip.joints).astype(np.float32), trail=trail)


def take_frames(clip: Clip, gone: np.ndarray, how: FrameHow) -> Clip:
    """The clip without what was new in the frames `gone` [T] bool, pictures and joints; its length stays.

    Raises: ValueError when no frame stays.
    """
    _known(how, FrameHow, "Frames are taken away")
    kept = np.flatnonzero(~gone)
    if not len(kept):
        raise ValueError("All frames are taken away; at least one that the network reads must stay.")
    if len(kept) == len(clip):
        return clip
    slots = np.arange(len(clip))
    nearest = kept[np.abs(slots[:, None] - kept).argmin(axis=1)]  # of two equally near ones, the earlier
    held = replace(clip.take(nearest), time=clip.time)
    if how == "hold":
        return held
    after = np.minimum(np.searchsorted(kept, slots), len(kept) - 1)
    before = np.maximum(np.searchsorted(kept, slots, side="right") - 1, 0)
    first, last = kept[before], kept[after]
    part = (slots - first) / np.maximum(last - first, 1)
    frames, joints, score = held.frames.copy(), held.joints.copy(), held.score.copy()
    trail = None if held.trail is None else held.trail.copy()
    for t in np.flatnonzero(gone & (first < last) & (first < slots) & (slots < last)):
        a, b, w = first[t], last[t], part[t]
        frames[t] = cv2.addWeighted(clip.frames[a], 1 - w, clip.frames[b], w, 0)
        both = (clip.score[a] > 0) & (clip.score[b] > 0)  # where one side does not see it, the nearer frame is held
        joints[t][both] = ((1 - w) * clip.joints[a] + w * clip.joints[b])[both]
        score[t][both] = ((1 - w) * clip.score[a] + w * clip.score[b])[both]
    if trail is not None:
        _walk(trail, joints, score, gone)
    return replace(held, frames=frames, joints=joints, score=score, trail=trail)


def _walk(trail: np.ndarray, joints: np.ndarray, score: np.ndarray, gone: np.ndarray) -> None:
    """Straight ways to and from the frames `gone` [T], whose joints lie on the line between two others."""
    both = (score[1:] > 0) & (score[:-1] > 0) & (gone[1:] | gone[:-1])[:, None, None]
    step = np.where(both[..., None], np.diff(joints, axis=0), 0)[..., None, :] * PARTS[:, None]
    trail[:-1][both, AFTER] = step[both, AFTER]
    trail[1:][both, BEFORE] = step[both, BEFORE]


def cover(clip: Clip, gone: np.ndarray, how: Cover) -> Clip:
    """The clip with the pixels `gone` [T, H, W] bool covered; its joints stay. The outline of what was covered may
    still be visible: a mean colour in the shape of a person is still the shape of a person."""
    _known(how, Cover, "Pixels are covered")
    if not gone.any():
        return clip
    frames = clip.frames.copy()
    if how == "mean":
        frames[gone] = np.round(clip.frames.mean(axis=(0, 1, 2))).astype(np.uint8)
        return replace(clip, frames=frames)
    for t in np.flatnonzero(gone.any(axis=(1, 2))):
        rows, columns = np.flatnonzero(gone[t].any(axis=1)), np.flatnonzero(gone[t].any(axis=0))
        margin = 8  # enough for inpainting to see what surrounds the hole
        top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
        window = np.s_[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]
        fill = _inpainted if how == "inpaint" else _blurred
        frames[t][window] = fill(clip.frames[t][window], gone[t][window])
    return replace(clip, frames=frames)


def _inpainted(image: np.ndarray, gone: np.ndarray) -> np.ndarray:
    if gone.all():  # nothing around to fill it from
        return np.broadcast_to(np.round(image.mean(axis=(0, 1))).astype(np.uint8), image.shape)
    filled: np.ndarray = cv2.inpaint(np.ascontiguousarray(image), gone.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return filled


def _blurred(image: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Only pixels of `gone` are mixed, so nothing of what stays leaks in; width grows with what is covered."""
    sigma = float(min(np.sqrt(gone.sum()) / 3, max(4.0, min(image.shape[:2]) / 12)))
    weight = cv2.GaussianBlur(gone.astype(np.float32), (0, 0), sigma)
    colours = cv2.GaussianBlur(image * gone[..., None].astype(np.float32), (0, 0), sigma)
    mixed = colours / np.maximum(weight, 1e-6)[..., None]
    return np.where(gone[..., None], np.round(mixed).clip(0, 255), image).astype(np.uint8)


def plate(clip: Clip) -> np.ndarray:
    """[H, W, 3] uint8: the background of a clip without its people, averaged over the frames that show it; what is
    hidden in all of them is inpainted. Without a person mask, the average of everything."""
    if clip.person_mask is None:
        return np.round(clip.frames.mean(axis=0)).astype(np.uint8)
    shown = ~clip.person_mask[..., None]
    total = np.zeros(clip.frames.shape[1:], np.float64)
    for frame, free in zip(clip.frames, shown, strict=True):
        total += frame * free
    count = shown.sum(axis=0)
    mean = np.round(total / np.maximum(count, 1)).astype(np.uint8)
    return _inpainted(mean, count[..., 0] == 0) if (count == 0).any() else mean


def paste_background(clip: Clip, other: Clip) -> Clip:
    """The people of `clip` before the background of `other`, scaled to fill the frame."""
    if clip.person_mask is None:
        raise ValueError("This clip has no person mask, so its background cannot be exchanged; choose one that has.")
    (height, width), picture = clip.size, plate(other)
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    picture = picture[top : top + height, left : left + width]
    return replace(clip, frames=np.where(clip.person_mask[..., None], clip.frames, picture))
