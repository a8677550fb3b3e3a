"""Joints between key frames: somebody places them on a few frames, optical flow carries them through the others.

From each key frame every joint is followed by pyramidal Lucas-Kanade (OpenCV), forward to the next key frame and
backward to the previous one. A track arrives beside the place that was given there; that drift is spread over its
steps in proportion to their forward-backward error, so both tracks go through both key frames, and the closer they
came to it the less they are bent. Between two key frames a and b

    place(t) = (1 - w) forward(t) + w backward(t),    w = 1/v_b / (1/v_a + 1/v_b),

where v_a is the error gathered since a and v_b the error still to come until b: near a key frame its own track counts.
Where nothing can be followed the errors are equal at every step, and what is left is a straight line: interpolation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from training.errors import ClipError

SIDE = 384
"""Longest side of the frames that are tracked on; larger ones are shrunk for it."""
WINDOW, LEVELS = 17, 3
SPREAD = 4.0
AROUND, VOTES = ((0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1)), 3
"""Points that are followed for a joint, `SPREAD` pixels apart; the median step of the best of them is the joint's."""
LOST = 10.0
"""Pixels of error of a point that is not found again."""
FLOOR = 0.3
"""Pixels of error of a perfect step: what a hand and a pixel grid leave."""
BODY_PART, NEAR = 0.1, 0.2
"""A place counts as right within a tenth of the body; `NEAR` is measured (`python -m tests.benchmarks.hand_placed`)."""
LEAST_TRACKED, MOST_TRACKED = 0.05, 0.99
"""Confidence of a tracked joint: 0 is for what is not seen, 1 for what somebody placed."""
REMEMBERED = 256

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Tracked:
    """Joints of every frame."""

    joints: np.ndarray
    """[T, M, J, 2] float32."""
    score: np.ndarray
    """[T, M, J] float32: 1 where placed, else the expected share of joints within a tenth of the body; 0 is unseen."""


def interpolate_joints(places: np.ndarray, key: np.ndarray) -> np.ndarray:
    """[T, J, 2]: straight lines between the key frames (`key` [T] bool), held before the first and after the last."""
    keys = np.flatnonzero(key)
    if not len(keys):
        raise ClipError("Joints can be interpolated from one key frame on; none was given.")
    time = np.arange(len(key))
    flat = places.reshape(len(key), -1)
    columns = [np.interp(time, keys, flat[keys, i]) for i in range(flat.shape[1])]
    return np.stack(columns, axis=1).reshape(places.shape).astype(np.float32)


class Tracker:
    """The frames of one clip, ready to be tracked on. What was tracked is remembered: a new key frame is two gaps."""

    def __init__(self, frames: np.ndarray) -> None:
        """`frames` [T, H, W, 3] uint8."""
        length, height, width = frames.shape[:3]
        self.scale = min(1.0, SIDE / max(height, width))
        size = max(1, round(width * self.scale)), max(1, round(height * self.scale))
        self._factor = np.array([size[0] / width, size[1] / height])
        self._grey = [
            cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA) for frame in frames
        ]
        self._length, self._size = length, (height, width)
        self._gaps: OrderedDict[tuple[object, ...], Arrays] = OrderedDict()

    def track(
        self,
        places: np.ndarray,
        seen: np.ndarray,
        key: np.ndarray,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tracked:
        """Joints of every frame from those of the key frames.

        Args:
            places: [T, M, J, 2] pixels of the frames; read at key frames only.
            seen: [T, M, J] bool, read at key frames only. A joint that is not seen in one key frame and is seen in the
                next counts as seen in the half of the gap that is nearer to the next.
            key: [T, M] bool: on which frames each person was placed. Somebody without key frames is not there.

        Raises ClipError for arrays that do not fit the frames or each other, and for places that are not numbers.
        """
        self._check(places, seen, key)
        joints = np.zeros(places.shape, np.float32)
        score = np.zeros(places.shape[:3], np.float32)
        gaps = [(m, a, b) for m in range(key.shape[1]) for a, b in _gaps(key[:, m])]
        for done, (m, a, b) in enumerate(gaps):
            if progress:
                progress(done, len(gaps))
            start = None if a is None else (places[a, m], seen[a, m])
            end = None if b is None else (places[b, m], seen[b, m])
            first, last = a or 0, self._length - 1 if b is None else b
            joints[first : last + 1, m], score[first : last + 1, m] = self._remembered(first, last, start, end)
        for t, m in zip(*np.nonzero(key), strict=True):
            joints[t, m], score[t, m] = places[t, m], seen[t, m]
        return Tracked(joints, score)

    def _check(self, places: np.ndarray, seen: np.ndarray, key: np.ndarray) -> None:
        if places.ndim != 4 or places.shape[0] != self._length or places.shape[3] != 2:
            raise ClipError(
                f"Joints to track are [T, M, J, 2] with T = {self._length} frames, not {list(places.shape)}."
            )
        if seen.shape != places.shape[:3] or key.shape != places.shape[:2]:
            raise ClipError(
                f"`seen` {list(seen.shape)} and `key` {list(key.shape)} do not fit joints {list(places.shape)}."
            )
        if not np.isfinite(places[key]).all():
            raise ClipError("Joints of a key frame must be numbers; mark what cannot be seen as unseen instead.")

    def _remembered(self, first: int, last: int, start: Arrays | None, end: Arrays | None) -> Arrays:
        parts = [b"" if side is None else side[0].astype("<f4").tobytes() + side[1].tobytes() for side in (start, end)]
        name = (first, last, *parts)
        if name not in self._gaps:
            self._gaps[name] = self._gap(first, last, start, end)
        self._gaps.move_to_end(name)
        while len(self._gaps) > REMEMBERED:
            self._gaps.popitem(last=False)
        return self._gaps[name]

    def _gap(self, first: int, last: int, start: Arrays | None, end: Arrays | None) -> Arrays:
        """Joints [N, J, 2] and confidence [N, J] of frames first ... last, a key frame at one end or at both."""
        order = list(range(first, last + 1))
        sides = [
            None if side is None else self._follow(side[0], order if side is start else order[::-1])
            for side in (start, end)
        ]
        forward, backward = sides[0], None if sides[1] is None else (sides[1][0][::-1], sides[1][1][::-1])
        if start is None or end is None or forward is None or backward is None:
            one, given = (forward, start) if backward is None else (backward, end)
            assert one is not None
            assert given is not None
            return one[0], np.where(given[1], _confidence(_alone(*one), given[0]), 0)
        (place_a, seen_a), (place_b, seen_b) = start, end
        joints, doubt = _between(forward, backward, place_a, place_b)
        trust = _confidence(doubt, np.concatenate([place_a, place_b]))
        near_a = (np.arange(len(order)) < len(order) / 2)[:, None]
        for (places, error), own, seen_here, other, half in (
            (forward, place_a, seen_a, seen_b, near_a), (backward, place_b, seen_b, seen_a, ~near_a)
        ):  # fmt: skip
            only = seen_here & ~other
            joints = np.where(only[:, None], places, joints)
            trust = np.where(only, np.where(half, _confidence(_alone(places, error), own), 0), trust)
        return joints, np.where(seen_a | seen_b, trust, 0)

    def _follow(self, places: np.ndarray, order: list[int]) -> Arrays:
        """Tracks [N, J, 2] from `places` through the frames `order`, and the error [N, J] gathered on the way."""
        here = (np.asarray(places, np.float64) + 0.5) * self._factor - 0.5
        margin = WINDOW  # a joint may leave the frame and comes back to the nearer key frame's track
        low, high = -margin, np.array(self._grey[0].shape[::-1]) + margin
        tracks, errors = [here], [np.zeros(len(here))]
        for a, b in pairwise(order):
            step, error = _steps(self._grey[a], self._grey[b], here)
            here = np.clip(here + step, low, high)
            tracks.append(here)
            errors.append(errors[-1] + error + FLOOR)
        back = (np.stack(tracks) + 0.5) / self._factor - 0.5
        return back, np.stack(errors) / self._factor.mean()


def track_joints(frames: np.ndarray, places: np.ndarray, seen: np.ndarray, key: np.ndarray) -> Tracked:
    """`Tracker(frames).track(places, seen, key)`."""
    return Tracker(frames).track(places, seen, key)


def _gaps(key: np.ndarray) -> list[tuple[int | None, int | None]]:
    """(key frame before, key frame after) of every stretch of frames in [T] bool, None at the ends of the clip."""
    keys = [int(t) for t in np.flatnonzero(key)]
    if not keys:
        return []
    inner = [(a, b) for a, b in pairwise(keys) if b > a + 1]
    return [(None, keys[0])] * (keys[0] > 0) + inner + [(keys[-1], None)] * (keys[-1] < len(key) - 1)


def _steps(before: np.ndarray, after: np.ndarray, places: np.ndarray) -> Arrays:
    """How far each joint [J, 2] moves from one frame to the next [J, 2], and its error [J] in pixels.

    A few points are followed there and back; those that come back closest vote.
    """
    points = (places[:, None] + SPREAD * np.array(AROUND)).reshape(-1, 1, 2).astype(np.float32)
    window = {"winSize": (WINDOW, WINDOW), "maxLevel": LEVELS}
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, **window)  # type: ignore[call-overload]
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **window)  # type: ignore[call-overload]
    error = np.linalg.norm(back - points, axis=-1).reshape(len(places), -1)
    error = np.where((found & again).reshape(error.shape) > 0, np.minimum(error, LOST), LOST)
    step = (there - points).reshape(*error.shape, 2).astype(np.float64)
    best = np.argsort(error, axis=1)[:, :VOTES]
    votes = np.take_along_axis(step, best[..., None], axis=1)
    votes = np.where(np.take_along_axis(error, best, axis=1)[..., None] < LOST, votes, 0)  # lost: stays where it is
    return np.median(votes, axis=1), np.take_along_axis(error, best, axis=1).mean(1) + votes.std(1).mean(-1)


def _between(forward: Arrays, backward: Arrays, place_a: np.ndarray, place_b: np.ndarray) -> Arrays:
    """Places [N, J, 2] through both key frames, and how far they may be off, [N, J] pixels."""
    (ahead, error_a), (behind, error_b) = forward, backward
    part_a, part_b = error_a / error_a[-1], error_b / error_b[0]
    drift_a, drift_b = place_b - ahead[-1], place_a - behind[0]
    ahead = ahead + part_a[..., None] * drift_a
    behind = behind + part_b[..., None] * drift_b
    trust_a, trust_b = 1 / (error_a + FLOOR), 1 / (error_b + FLOOR)
    weight = (trust_b / (trust_a + trust_b))[..., None]
    steps = len(ahead) - 1
    nearer = np.minimum(np.arange(steps + 1), np.arange(steps, -1, -1))[:, None] / max(steps / 2, 1)
    drift = np.minimum(np.linalg.norm(drift_a, axis=-1), np.linalg.norm(drift_b, axis=-1))
    apart = np.linalg.norm(ahead - behind, axis=-1)
    doubt = (apart + drift * nearer + 1 / (trust_a + trust_b)) / 2
    return (1 - weight) * ahead + weight * behind, doubt


def _alone(places: np.ndarray, error: np.ndarray) -> np.ndarray:
    """How far a track with a key frame at one end only may be off: the error it gathered and part of its way."""
    origin = places[-1] if error[0].any() else places[0]
    return error + np.linalg.norm(places - origin, axis=-1) / 2


def _confidence(doubt: np.ndarray, placed: np.ndarray) -> np.ndarray:
    """Share of joints to expect within a tenth of the body when they may be `doubt` pixels off."""
    body = max(float(np.linalg.norm(np.ptp(placed, axis=0))), 1.0)
    share = 1 / (1 + (doubt / (NEAR * body)) ** 2)
    return np.clip(share, LEAST_TRACKED, MOST_TRACKED).astype(np.float32)
