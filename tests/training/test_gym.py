"""The gym's clips: same seed, same bytes; joints on the body; causes where they should be; minimal pairs minimal."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training import gym
from training.clip import Clip
from training.gym.film import expose
from training.gym.palette import PALETTES, SPLITS
from training.gym.scene import draw_scene
from training.skeleton import JHMDB

SIZE = 64
JOINT = {name: index for index, name in enumerate(JHMDB.joints)}
IN_TIME = [name for name, pair in gym.PAIRS.items() if pair.reversed_in_time]
NOT_IN_TIME = [name for name, pair in gym.PAIRS.items() if not pair.reversed_in_time]


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    """The mask [T, H, W] and everything within `by` pixels."""
    kernel = np.ones((2 * by + 1, 2 * by + 1), np.uint8)
    return np.stack([cv2.dilate(frame.astype(np.uint8), kernel) > 0 for frame in mask])


def both(pair: str, seed: int, size: int = SIZE) -> tuple[Clip, Clip]:
    first, second = gym.PAIRS[pair].labels
    return gym.clip(first, seed, size), gym.clip(second, seed, size)


def same(a: Clip, b: Clip) -> bool:
    return a.fingerprint == b.fingerprint and np.array_equal(a.person_mask, b.person_mask)


def test_every_label_belongs_to_one_pair() -> None:
    assert len(gym.LABELS) == len(set(gym.LABELS)) == 2 * len(gym.PAIRS) == 18
    assert all(label in gym.pair_of(label).labels for label in gym.LABELS)


def test_same_arguments_same_bytes() -> None:
    a, b = gym.clip("kick left", 5, SIZE), gym.clip("kick left", 5, SIZE)
    assert same(a, b)
    assert np.array_equal(a.cause.pixels, b.cause.pixels)
    assert not same(a, gym.clip("kick left", 6, SIZE))
    assert not same(a, gym.clip("kick left", 5, SIZE, split="test"))


def test_scene_does_not_change_with_the_size() -> None:
    small, large = gym.clip("bow", 4, 56), gym.clip("bow", 4, 112)
    place = (small.joints[small.score > 0] + 0.5) * 2 - 0.5
    np.testing.assert_allclose(place, large.joints[small.score > 0], atol=1e-3)


@pytest.mark.parametrize("label", gym.LABELS)
def test_clip_is_whole(label: str) -> None:
    clip = gym.clip(label, 11, SIZE, frames=12, split="val")
    assert clip.frames.shape == (12, SIZE, SIZE, 3)
    assert clip.joints.shape == (12, 2, 15, 2)
    assert clip.layout is JHMDB
    assert clip.label == label
    assert clip.name == f"gym/val/{label}/11"
    assert clip.source == "gym"
    np.testing.assert_allclose(np.diff(clip.time), 0.1)
    cause = clip.cause
    assert cause.kind == gym.pair_of(label).kind
    assert cause.frames.shape == (12,)
    assert cause.joints.shape == clip.score.shape
    assert cause.pixels.shape == clip.frames.shape[:3]
    assert cause.frames.any()
    assert cause.pixels.any()
    assert cause.pixels.mean() < 0.2
    assert cause.joints.any() == (cause.kind != "appearance")
    assert not cause.joints[~cause.frames].any()
    assert not cause.pixels[~cause.frames].any()
    assert 0.03 < clip.person_mask.mean() < 0.5


@pytest.mark.parametrize("label", gym.LABELS)
def test_joints_lie_on_the_people(label: str) -> None:
    for seed in (0, 1):
        clip = gym.clip(label, seed, 112)
        sure = clip.score > 0.5  # behind an occluder the mask ends and the score is low
        assert sure[:, 0].mean() > 0.75
        near = grown(clip.person_mask, 3)
        frame, person, joint = np.nonzero(sure)
        x, y = np.clip(np.round(clip.joints[frame, person, joint]).astype(int).T, 0, 111)
        assert near[frame, y, x].mean() > 0.985


def test_second_slot_is_empty_or_filled() -> None:
    clips = [gym.clip("wave left hand", seed, 32, 4) for seed in range(12)]
    there = [bool(clip.score[:, 1].any()) for clip in clips]
    assert any(there)
    assert not all(there)
    assert gym.clip("hand over", 0, 32, 4).score[:, 1].any()
    for clip, filled in zip(clips, there, strict=True):
        assert filled or not clip.joints[:, 1].any()


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("wave left hand", {"left elbow", "left wrist"}),
        ("wave right hand", {"right elbow", "right wrist"}),
        ("kick left", {"left knee", "left ankle"}),
        ("kick right", {"right knee", "right ankle"}),
    ],
)
def test_cause_names_the_moving_limb(label: str, names: set[str]) -> None:
    for seed in range(3):
        clip = gym.clip(label, seed, SIZE)
        cause = clip.cause
        assert {JHMDB.joints[joint] for joint in np.nonzero(cause.joints.any(axis=(0, 1)))[0]} == names
        assert 4 <= cause.frames.sum() <= 9
        assert not cause.joints[:, 1].any()
        joint = JOINT[sorted(names)[0]]
        frames = np.flatnonzero(cause.joints[:, 0, joint] & (clip.score[:, 0, joint] > 0.5))
        x, y = np.clip(np.round(clip.joints[frames, 0, joint]).astype(int).T, 0, SIZE - 1)
        assert grown(cause.pixels, 3)[frames, y, x].mean() > 0.8


def test_left_is_the_persons_own_left() -> None:
    # People of the waving pair face the camera within 35 degrees: their left is on the right of the image.
    for seed in range(4):
        clip = gym.clip("wave left hand", seed, SIZE)
        frames = clip.cause.frames
        shift = clip.joints[frames, 0, JOINT["left wrist"], 0] - clip.joints[frames, 0, JOINT["neck"], 0]
        assert shift.mean() > 2
        assert (clip.joints[:, 0, JOINT["left hip"], 0] > clip.joints[:, 0, JOINT["right hip"], 0]).all()


def test_time_pairs_are_the_same_frames_reversed() -> None:
    for pair in IN_TIME:
        forward, backward = both(pair, 2)
        turned = forward.take(np.arange(len(forward))[::-1])
        assert same(turned, backward)
        assert np.array_equal(turned.cause.frames, backward.cause.frames)
        assert np.array_equal(turned.cause.pixels, backward.cause.pixels)
        assert (np.diff(backward.time) > 0).all()
        assert not same(forward, backward)


def test_pose_pairs_differ_only_while_somebody_acts() -> None:
    for pair in ("wave", "kick", "bow"):
        a, b = both(pair, 3)
        rest = gym.clip_without_cause(a.label, 3, SIZE)
        acting = a.cause.frames | b.cause.frames
        idle = ~np.convolve(acting, [1, 1, 1], "same").astype(bool)
        assert idle[0]
        assert np.array_equal(a.frames[0], b.frames[0])
        quiet = np.abs(a.frames[idle].astype(int) - b.frames[idle]).mean(axis=(1, 2, 3))
        loud = np.abs(a.frames[acting].astype(int) - b.frames[acting]).mean(axis=(1, 2, 3))
        assert quiet.max() < 0.25 * loud.max()
        assert np.array_equal(rest.frames[0], a.frames[0])


def test_appearance_pair_differs_only_in_the_thing() -> None:
    for seed in range(4):
        cup, phone = both("raise", seed, 96)
        assert np.array_equal(cup.joints, phone.joints)
        assert np.array_equal(cup.score, phone.score)
        different = (cup.frames != phone.frames).any(axis=-1)
        assert different.any()
        # Every pixel that the cup or the phone touched, also where a finger covers it later.
        scene = draw_scene("raise", seed)
        cup_touched, phone_touched = (expose(scene, clip.label, 96, 16).thing for clip in (cup, phone))
        assert not (different & ~(cup_touched | phone_touched)).any()
        assert not (cup.cause.pixels & ~cup_touched).any()
        assert (different & ~grown(cup.cause.pixels | phone.cause.pixels, 2)).sum() < 0.02 * different.sum()
        height = np.ptp(np.nonzero(cup.cause.pixels[-1])[0]) + 1
        assert height >= 8  # of 96: large enough to be told apart


def test_step_is_decided_by_the_sign_and_the_direction_together() -> None:
    for seed in range(8):
        toward, away = both("step", seed, 48)
        side = draw_scene("step", seed).script.sign_side
        belly = JOINT["belly"]
        assert np.array_equal(toward.frames[0], away.frames[0])
        for clip, sign in ((toward, side), (away, -side)):
            hips = clip.joints[:, 0, [belly, JOINT["left hip"], JOINT["right hip"]], 0].mean(axis=1)
            assert np.sign(hips[-1] - hips[0]) == sign


def test_clap_comes_in_the_first_or_the_last_third() -> None:
    early, late = both("clap", 7)

    def moment(clip: Clip) -> int:
        wrists = clip.joints[:, 0, [JOINT["left wrist"], JOINT["right wrist"]]]
        apart = np.linalg.norm(wrists[:, 0] - wrists[:, 1], axis=-1)
        return int(np.where(clip.cause.frames, apart, np.inf).argmin())

    assert moment(early) < 6
    assert moment(late) > 9


@pytest.mark.parametrize("pair", gym.PAIRS)
def test_without_its_cause_the_two_sides_are_one(pair: str) -> None:
    first, second = gym.PAIRS[pair].labels
    a, b = gym.clip_without_cause(first, 9, SIZE), gym.clip_without_cause(second, 9, SIZE)
    assert same(a, b)
    assert a.cause is None
    whole = gym.clip(first, 9, SIZE)
    assert not same(a, whole)
    if pair in IN_TIME:  # order destroyed: the same frames, each once
        assert sorted(frame.tobytes() for frame in a.frames) == sorted(frame.tobytes() for frame in whole.frames)


def test_flip_swaps_left_and_right_and_nothing_else() -> None:
    assert gym.flip_label("wave left hand") == "wave right hand"
    assert gym.flip_label("kick right") == "kick left"
    for label in gym.LABELS:
        assert gym.flip_label(gym.flip_label(label)) == label
        assert (gym.flip_label(label) != label) == ("left" in label or "right" in label)
    # A mirrored step toward the sign still goes toward it: sign and direction change sides together.
    assert gym.flip_label("step toward sign") == "step toward sign"
    with pytest.raises(ValueError, match="known are"):
        gym.flip_label("step left")


def test_splits_share_no_colour_and_no_build() -> None:
    for name in ("skins", "hairs", "cloths", "trousers", "accents", "walls", "floors", "greens", "builds"):
        sets = [set(getattr(PALETTES[split], name)) for split in SPLITS]
        assert sum(map(len, sets)) == len(set.union(*sets)), name


def test_wrong_arguments_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="Unknown gym label 'dance'; known are wave left hand"):
        gym.clip("dance", 0)
    with pytest.raises(ValueError, match="counts from 0"):
        gym.clip("bow", -1)
    with pytest.raises(ValueError, match="at least 4 frames"):
        gym.clip("bow", 0, frames=1)
    with pytest.raises(ValueError, match="Unknown split 'dev'"):
        gym.clip("bow", 0, split="dev")
