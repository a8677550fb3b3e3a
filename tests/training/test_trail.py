"""Trails: where joints go between the frames that are read, by a literal walk along the track, and through everything
that is done to a clip before the network reads it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.config import TRAIL
from training.clip import Clip
from training.clip_file import load_clip, save_clip
from training.errors import ClipError
from training.evaluate import hide, shuffled
from training.skeleton import JHMDB
from training.trail import PLACES, trail_of
from training.transforms import Augmentation, Normalisation, batch, vary
from training.view import View, centre_view, fit_matrix
from xai.edits import take_frames, take_joints

READ = np.array([1, 6, 9, 10])


def swinging(frames: int = 13, height: int = 40, width: int = 70) -> Clip:
    """Joints that go to and fro, each in its own way, seen in all frames but one."""
    t, joint = np.mgrid[:frames, :15]
    joints = np.stack([35 + 10 * np.sin(t * (1 + joint / 10)), 20 + 6 * np.cos(t * joint / 9)], -1)[:, None]
    score = np.ones((frames, 1, 15), np.float32)
    score[7, 0, 3] = 0
    picture = np.random.default_rng(0).integers(0, 255, (frames, height, width, 3), np.uint8)
    return Clip(picture, joints.astype(np.float32), score, JHMDB, np.arange(frames) / 10)


def literal(clip: Clip, index: np.ndarray) -> np.ndarray:
    """One joint, one frame and one moment at a time."""
    found = np.zeros((len(index), clip.people, len(clip.layout), 5, 2))
    for slot, frame in enumerate(index):
        for moment, part in enumerate((-0.4, -0.2, 0.0, 0.2, 0.4)):
            neighbour = slot - 1 if part < 0 else slot + 1
            if neighbour < 0:
                step = index[1] - index[0]
            elif neighbour == len(index):
                step = index[-1] - index[-2]
            else:
                step = abs(index[neighbour] - frame)
            place = min(max(frame + part * step, 0), len(clip) - 1)
            before, after = int(np.floor(place)), int(np.ceil(place))
            for joint in range(len(clip.layout)):
                if not (clip.score[before, 0, joint] and clip.score[after, 0, joint] and clip.score[frame, 0, joint]):
                    continue
                a, b = clip.joints[before, 0, joint], clip.joints[after, 0, joint]
                found[slot, 0, joint, moment] = a + (b - a) * (place - before) - clip.joints[frame, 0, joint]
    return found


def test_both_floors_agree_on_its_length() -> None:
    assert PLACES == TRAIL


def test_equals_a_literal_walk() -> None:
    clip = swinging()
    trail = trail_of(clip.joints, clip.score, READ)
    assert np.allclose(trail, literal(clip, READ), atol=1e-5)
    assert np.abs(trail).max() > 3
    assert not trail[:, :, :, PLACES // 2].any()
    assert not trail_of(clip.joints, clip.score, READ[:1]).any()


def test_the_end_of_one_frame_is_a_fifth_of_the_way_before_the_start_of_the_next() -> None:
    clip = swinging()
    clip = replace(clip, joints=np.broadcast_to(np.arange(13.0)[:, None, None, None], (13, 1, 15, 2)).astype("f4"))
    places = clip.joints[READ][..., None, :] + trail_of(clip.joints, np.ones_like(clip.score), READ)
    line = places[:, 0, 0, :, 0]
    assert np.allclose(line[1:, 0] - line[:-1, -1], np.diff(READ) / 5)


@pytest.mark.parametrize("mirrored", [False, True])
def test_goes_through_the_view_as_places_do(mirrored: bool) -> None:
    clip = swinging()
    view = View(READ, fit_matrix((10, 3, 50, 36), (48, 32), mirrored), (48, 32), mirrored)
    _, joints, _ = view.apply(clip, trail=True)
    _, places, _ = view.apply(clip)
    assert joints.shape == (4, 1, 15, 5, 2)
    assert np.array_equal(joints[..., 2, :], places)
    order = list(JHMDB.mirrored) if mirrored else list(range(15))
    way = clip.joints[READ][..., None, :] + trail_of(clip.joints, clip.score, READ)
    assert np.allclose(joints, view.to_model(way)[:, :, order], atol=1e-3)


def test_a_clip_cut_down_to_its_frames_reads_the_same() -> None:
    clip = swinging()
    view = View(READ, fit_matrix((10, 3, 50, 36), (48, 32)), (48, 32))
    shown = view.shown(clip)
    again = replace(view, frame_index=np.arange(4))
    for one, other in zip(view.apply(clip, True), again.apply(shown, True), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(view.shown(clip).take(np.arange(4)[::-1]).trail, shown.trail[::-1, :, :, ::-1])  # type: ignore[index]
    assert shown.fingerprint != replace(shown, trail=np.zeros_like(shown.trail)).fingerprint
    with pytest.raises(ClipError, match="trail"):
        replace(shown, trail=shown.trail[:, :, :, :3])  # type: ignore[index]


def test_is_kept_in_a_file(tmp_path: Path) -> None:
    shown = centre_view(swinging(), 4, 32).shown(swinging())
    save_clip(tmp_path / "a.npz", shown)
    assert np.array_equal(load_clip(tmp_path / "a.npz").trail, shown.trail)  # type: ignore[arg-type]


def test_what_is_held_stands_still() -> None:
    shown = centre_view(swinging(), 4, 32).shown(swinging())
    gone = np.zeros(shown.score.shape, bool)
    gone[1, 0, 4] = True
    for how in ("first", "mean"):
        trail = take_joints(shown, gone, how).trail  # type: ignore[arg-type]
        assert trail is not None
        assert shown.trail is not None
        assert not trail[gone].any()
        beside = np.zeros_like(gone)
        beside[[0, 2], 0, 4] = True
        assert np.array_equal(trail[~gone & ~beside], shown.trail[~gone & ~beside])
        assert not trail[0, 0, 4, 3:].any()  # on the way to where it is gone
        assert not trail[2, 0, 4, :2].any()
        assert np.array_equal(trail[0, 0, 4, :3], shown.trail[0, 0, 4, :3])
        assert np.array_equal(trail[2, 0, 4, 2:], shown.trail[2, 0, 4, 2:])
    frames = np.array([False, True, False, False])
    held = take_frames(shown, frames, "hold")
    assert held.trail is not None
    assert shown.trail is not None
    assert not held.trail[1].any()
    assert not held.trail[0, :, :, 3:].any()
    assert not held.trail[2, :, :, :2].any()
    assert np.array_equal(held.trail[2, :, :, 2:], shown.trail[2, :, :, 2:])
    assert np.array_equal(held.trail[3], shown.trail[3])
    moved = take_frames(shown, frames, "interpolate")
    assert moved.trail is not None
    seen = (shown.score[[0, 2]] > 0).all(0)
    way = (np.array([-2, -1, 0, 1, 2])[:, None] / 5 * ((shown.joints[2] - shown.joints[0]) / 2)[..., None, :])[seen]
    assert np.allclose(moved.trail[1][seen], way, atol=1e-4)
    assert np.allclose(moved.trail[0][seen][:, 3:], way[:, 3:], atol=1e-4)
    assert np.allclose(moved.trail[2][seen][:, :2], way[:, :2], atol=1e-4)
    assert np.array_equal(moved.trail[3], shown.trail[3])


def test_a_still_film_and_a_shuffled_one_have_no_way_between_frames() -> None:
    shown = centre_view(swinging(), 6, 32).shown(swinging())
    assert shown.trail is not None
    still = take_frames(shown, np.arange(6) != 3, "hold")
    assert still.trail is not None
    assert not still.trail.any()
    order = np.array([2, 3, 0, 5, 4, 1])
    mixed = shown.take(order).trail
    assert mixed is not None
    assert np.array_equal(mixed[0], shown.trail[2])  # the film begins as it ran, 2 to 3
    assert np.array_equal(mixed[1, :, :, :3], shown.trail[3, :, :, :3])
    assert not mixed[1, :, :, 3:].any()
    assert not mixed[2].any()
    assert not mixed[3, :, :, :2].any()
    assert np.array_equal(mixed[3, :, :, 3:], shown.trail[5, :, :, 1::-1])  # 5 to 4, backwards
    assert np.array_equal(mixed[4, :, :, :2], shown.trail[4, :, :, :2:-1])
    assert not mixed[5].any()
    joints = torch.from_numpy(shown.joints)[None, ..., None, :] + torch.from_numpy(shown.trail)[None]
    numbers = (7,)
    hidden = hide((torch.zeros(1, 3, 6, 8, 8), joints, torch.ones(1, 6, 1, 15)), "order", numbers)[1][0].numpy()
    drawn = shuffled(6, 7).numpy()
    expected = shown.take(drawn)
    assert np.allclose(hidden, expected.joints[..., None, :] + expected.trail, atol=1e-4)  # type: ignore[operator]


def test_noise_moves_a_joint_and_its_trail_together() -> None:
    clip = swinging()
    sample = centre_view(clip, 4, 32).apply(clip, trail=True)
    noisy = vary(sample, Augmentation(joint_noise=0.05, joint_shift=0.1), np.random.default_rng(0))[1] - sample[1]
    assert np.allclose(noisy, noisy[..., :1, :], atol=1e-4)
    assert np.abs(noisy).max() > 1
    still = vary(sample, Augmentation(joint_noise=0, joint_shift=0.1), np.random.default_rng(0))[1] - sample[1]
    assert np.allclose(still, still[:1], atol=1e-4)
    assert np.abs(still).max() > 1
    score = vary(sample, Augmentation(joint_dropout=0, joint_gone=0.4), np.random.default_rng(0))[2] > 0
    gone = ~score.any(0)
    assert gone.any()
    assert score[:, ~gone].mean() > 0.9


def test_reaches_the_batch_in_window_order() -> None:
    clip = swinging()
    sample = centre_view(clip, 4, 32).apply(clip, trail=True)
    joints = batch([sample], JHMDB, Normalisation())[1]
    assert np.array_equal(joints[0].numpy(), sample[1][:, :, list(JHMDB.window_order)])
