"""Trail: where the joints go between the frames that a network reads.

Eight frames of a clip of forty leave out most of a swing or a jump, and joints cost nothing to carry where pixels do.
A trail holds, for every frame that is read, how far each joint is from its place in that frame at five moments: two on
the way from the frame before, the frame itself, two on the way to the frame after. All of them are a fifth of the way
apart, also from one frame's trail to the next.
"""

from __future__ import annotations

import numpy as np

PLACES = 5
PARTS = (np.arange(PLACES) - PLACES // 2) / PLACES
"""Moments of a trail, as parts of the way to the frame before or after."""
BEFORE, AFTER = slice(0, PLACES // 2), slice(PLACES // 2 + 1, PLACES)
"""Moments on the way from the frame before, and to the frame after."""


def trail_of(joints: np.ndarray, score: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The trail of the frames `index` [T] of a track, linear between its frames.

    Args:
        joints: [N, M, J, 2], all frames of the source.
        score: [N, M, J]; a joint that is not seen on the way stands still there.

    Returns: [T, M, J, PLACES, 2] float32, pixels from the joint's place in its frame. Zero if one frame is read.
    """
    index = np.asarray(index)
    step = np.diff(index) if len(index) > 1 else np.zeros(1, int)
    before, after = np.append(step[0], step)[: len(index)], np.append(step, step[-1])[: len(index)]
    at = index[:, None] + np.where(PARTS < 0, before[:, None] * PARTS, after[:, None] * PARTS)
    at = at.clip(0, len(joints) - 1)
    low = np.floor(at).astype(int)
    high = np.ceil(at).astype(int)
    part = (at - low)[..., None, None, None]
    away = joints[low] * (1 - part) + joints[high] * part - joints[index][:, None]  # [T, PLACES, M, J, 2]
    known = (score[low] > 0) & (score[high] > 0) & (score[index] > 0)[:, None]
    return np.moveaxis(np.where(known[..., None], away, 0), 1, 3).astype(np.float32)


def rearranged(trail: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The trail when only the frames `indices` [N] of it are shown, in that order.

    The way to a neighbour is kept where it still is one, and turned round where the film runs backwards; towards a
    frame that was no neighbour nothing is known, and the joint stands still. The ends of the film keep the way that
    leads out of it, in the direction in which the film runs there.
    """
    indices = np.asarray(indices)
    new, back = trail[indices], trail[indices][:, :, :, ::-1]
    step = np.diff(indices)
    # 1: on from its neighbour in the film, -1: backwards, 0: from elsewhere
    way = np.where(np.abs(step) == 1, step, 0)
    ends = (way[0], way[-1]) if len(way) else (0, 0)
    if len(indices) == len(trail) == 1:
        return new
    found = new.copy()
    for moments, direction in ((BEFORE, np.append(ends[0], way)), (AFTER, np.append(way, ends[1]))):
        turn = direction[:, None, None, None, None]
        kept = np.where(turn > 0, new[:, :, :, moments], back[:, :, :, moments])
        found[:, :, :, moments] = np.where(turn == 0, np.float32(0), kept)
    return found


def without(trail: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The trail without what it says of the joints `gone` [T, M, J] bool: in their frames, and on the way to them."""
    left = np.where(gone[..., None, None], np.float32(0), trail)
    left[:-1, :, :, AFTER] = np.where(gone[1:, :, :, None, None], np.float32(0), left[:-1, :, :, AFTER])
    left[1:, :, :, BEFORE] = np.where(gone[:-1, :, :, None, None], np.float32(0), left[1:, :, :, BEFORE])
    return left
