"""Tracking between key frames: painted dots whose places are known, T, H and W all different."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.errors import ClipError
from training.skeleton import LAYOUTS, PENN, SkeletonLayout
from training.standing import standing
from training.track_joints import Tracker, interpolate_joints, track_joints

T, H, W, J = 13, 72, 110, 3


def paths() -> np.ndarray:
    """[T, M = 2, J, 2]: two people; joints on curves that no straight line comes near."""
    time = np.arange(T)
    turn = np.pi * time / (T - 1)
    first = [
        (30 + 2 * time, 20 + 12 * np.sin(turn)),
        (24 + 0 * time, 52 + 0 * time),
        (40 + 1.5 * time, 50 - 1.0 * time),
    ]
    second = [(90 - time, 14 + 10 * np.sin(turn)), (84 + 0 * time, 55 - 1.5 * time), (96 + 0 * time, 60 + 0 * time)]
    return np.array([[np.stack(joint, -1) for joint in person] for person in (first, second)]).transpose(2, 0, 1, 3)


def painted(places: np.ndarray, zoom: int = 1) -> np.ndarray:
    """Frames with a dark-rimmed white dot at each place, on soft texture; `zoom` times as large."""
    ground = cv2.GaussianBlur(np.random.default_rng(4).integers(60, 140, (H, W)).astype(np.uint8), (0, 0), 2)
    frames = np.repeat(cv2.resize(ground, (zoom * W, zoom * H))[None, ..., None], 3, -1)
    frames = np.repeat(frames, len(places), 0)
    for frame, people in zip(frames, places.reshape(len(places), -1, 2), strict=True):
        for x, y in (people + 0.5) * zoom - 0.5:
            centre = (round(16 * float(x)), round(16 * float(y)))
            cv2.circle(frame, centre, 16 * 4 * zoom, (0, 0, 0), -1, cv2.LINE_AA, 4)
            cv2.circle(frame, centre, 16 * 2 * zoom, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return frames


def keys_at(*frames: int) -> np.ndarray:
    key = np.zeros((T, 2), bool)
    key[list(frames)] = True
    return key


def off(joints: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints - truth, axis=-1)


def test_dots_are_followed_where_straight_lines_are_far_off() -> None:
    truth, key = paths(), keys_at(0, T - 1)
    found = track_joints(painted(truth), truth, np.ones(truth.shape[:3], bool), key)
    assert off(found.joints, truth).max() < 0.8
    lines = np.stack([interpolate_joints(truth[:, m], key[:, m]) for m in range(2)], axis=1)
    assert off(lines, truth).max() > 9


def test_key_frames_are_kept_to_the_pixel_and_are_the_only_ones_that_are_certain() -> None:
    truth = paths()
    given = truth + 7.25  # beside the dots: what somebody placed wins
    found = track_joints(painted(truth), given, np.ones(truth.shape[:3], bool), keys_at(0, 6, T - 1))
    assert (found.joints[[0, 6, T - 1]] == given[[0, 6, T - 1]].astype(np.float32)).all()
    assert (found.score[[0, 6, T - 1]] == 1).all()
    between = np.delete(found.score, [0, 6, T - 1], axis=0)
    assert between.max() < 1
    assert between.min() > 0


def test_one_key_frame_is_followed_both_ways_in_time() -> None:
    truth = paths()
    found = track_joints(painted(truth), truth, np.ones(truth.shape[:3], bool), keys_at(5))
    assert off(found.joints, truth).max() < 1.0


def test_turning_time_round_turns_the_answer_round() -> None:
    truth, seen, key = paths(), np.ones((T, 2, J), bool), keys_at(0, 8)
    frames = painted(truth)
    there = track_joints(frames, truth, seen, key)
    back = track_joints(frames[::-1], truth[::-1], seen, key[::-1])
    assert back.joints[::-1] == pytest.approx(there.joints, abs=1e-3)
    assert back.score[::-1] == pytest.approx(there.score, abs=1e-3)


def test_where_nothing_can_be_seen_moving_joints_go_straight_and_are_doubted() -> None:
    truth, key = paths(), keys_at(0, T - 1)
    found = track_joints(np.full((T, H, W, 3), 90, np.uint8), truth, np.ones(truth.shape[:3], bool), key)
    for m in range(2):
        assert found.joints[:, m] == pytest.approx(interpolate_joints(truth[:, m], key[:, m]), abs=0.2)
    followed = track_joints(painted(truth), truth, np.ones(truth.shape[:3], bool), key)
    moving, middle = (0, 0), T // 2
    assert found.score[middle][moving] < 0.6 * followed.score[middle][moving]


def test_large_frames_are_tracked_in_their_own_pixels() -> None:
    truth = paths()
    zoom = 5  # 550 pixels wide: shrunk while tracking
    large = (truth + 0.5) * zoom - 0.5
    found = track_joints(painted(truth, zoom), large, np.ones(truth.shape[:3], bool), keys_at(0, T - 1))
    assert off(found.joints, large).max() < 0.8 * zoom


def test_unseen_joints_and_people_without_key_frames() -> None:
    truth, seen, key = paths(), np.ones((T, 2, J), bool), keys_at(0, 12)
    seen[12, 0, 0] = False
    key[:, 1] = False
    found = track_joints(painted(truth), truth, seen, key)
    assert (found.score[:7, 0, 0] > 0).all()  # nearer to where it was seen: its own track
    assert off(found.joints[:7, 0, 0], truth[:7, 0, 0]).max() < 0.8
    assert (found.score[7:, 0, 0] == 0).all()
    assert (found.score[:, 0, 1:] > 0).all()
    assert (found.score[:, 1] == 0).all()


def test_straight_lines_by_hand() -> None:
    places = np.zeros((5, 1, 2))
    places[1], places[3] = (10, 0), (20, 8)
    lines = interpolate_joints(places, np.array([False, True, False, True, False]))
    assert lines[:, 0].tolist() == [[10, 0], [10, 0], [15, 4], [20, 8], [20, 8]]
    with pytest.raises(ClipError, match="from one key frame on"):
        interpolate_joints(places, np.zeros(5, bool))


def test_a_new_key_frame_changes_its_own_gaps_only() -> None:
    truth, seen = paths(), np.ones((T, 2, J), bool)
    tracker = Tracker(painted(truth))
    before = tracker.track(truth, seen, keys_at(0, 6, 12))
    moved = truth.copy()
    moved[9, 0] += 5
    key = keys_at(0, 6, 12)
    key[9, 0] = True
    after = tracker.track(moved, seen, key)
    assert (after.joints[:7] == before.joints[:7]).all()
    assert (after.joints[:, 1] == before.joints[:, 1]).all()
    assert (after.joints[7:12, 0] != before.joints[7:12, 0]).any()
    fresh = track_joints(painted(truth), moved, seen, key)
    assert (fresh.joints == after.joints).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"places": np.zeros((T - 1, 2, J, 2))}, f"T = {T}"),
        ({"seen": np.ones((T, 2, J + 1), bool)}, "do not fit"),
        ({"key": np.ones((T, 3), bool)}, "do not fit"),
        ({"places": np.full((T, 2, J, 2), np.nan)}, "must be numbers"),
    ],
)
def test_arrays_that_do_not_fit_end_in_a_sentence(change: dict[str, np.ndarray], sentence: str) -> None:
    good = {"places": paths(), "seen": np.ones((T, 2, J), bool), "key": keys_at(0)}
    with pytest.raises(ClipError, match=sentence):
        Tracker(painted(paths())).track(**{**good, **change})


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_everybody_stands_in_the_box_with_the_left_on_the_right(layout: SkeletonLayout) -> None:
    places = standing(layout)
    assert places.shape == (len(layout), 2)
    assert places.min() >= 0
    assert places.max() <= 1
    assert len({tuple(place) for place in places}) == len(layout)
    assert places[list(layout.mirrored)] * [-1, 1] + [1, 0] == pytest.approx(places)
    left, right = layout.swaps[-1]
    assert (places[left, 0] > places[right, 0]) == (layout is not PENN)
