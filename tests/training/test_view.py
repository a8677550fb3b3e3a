"""Views: a painted dot follows its joint through crop, scale and mirror, and every place comes back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.clip import Clip
from training.skeleton import JHMDB, LAYOUTS
from training.transforms import Augmentation, Normalisation, Sample, batch, mute_or_swap, random_view, vary
from training.view import View, centre_view, clips_and_crops, fit_matrix, segment_middles


def dotted(x: int, y: int, frames: int = 3, height: int = 60, width: int = 100, frame: int = 1) -> Clip:
    """Black frames with one 5 x 5 dot in one frame, and every joint on it."""
    video = np.zeros((frames, height, width, 3), np.uint8)
    video[frame, y - 2 : y + 3, x - 2 : x + 3] = 255
    joints = np.full((frames, 1, 15, 2), [x, y], np.float32)
    return Clip(video, joints, np.ones((frames, 1, 15), np.float32), JHMDB, np.arange(frames) / 10)


def centroid(image: np.ndarray) -> tuple[float, float]:
    weight = image[..., 0].astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((weight * x).sum() / weight.sum()), float((weight * y).sum() / weight.sum())


@settings(max_examples=60, deadline=None)
@given(
    left=st.floats(0, 20), top=st.floats(0, 8), wide=st.floats(45, 75), high=st.floats(30, 45),
    size=st.sampled_from([(40, 64), (64, 40), (96, 72), (32, 32)]), mirrored=st.booleans(),
    x=st.integers(24, 40), y=st.integers(14, 23),
)  # fmt: skip
def test_a_painted_dot_follows_its_joint(
    left: float, top: float, wide: float, high: float, size: tuple[int, int], mirrored: bool, x: int, y: int
) -> None:
    view = View(np.array([1, 0, 1]), fit_matrix((left, top, wide, high), size, mirrored), size, mirrored)
    frames, joints, score = view.apply(dotted(x, y))
    assert (score > 0).all()
    assert frames[1].max() == 0
    for t in (0, 2):
        assert centroid(frames[t]) == pytest.approx(joints[t, 0, 0].tolist(), abs=0.25)
    assert np.allclose(view.to_clip(joints[0, 0, 0]), [x, y], atol=1e-3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_there_and_back_is_the_identity(seed: int) -> None:
    generator = np.random.default_rng(seed)
    view = random_view(dotted(50, 30), 4, 64, Augmentation(flip=True), generator)
    places = generator.uniform(-50, 200, (7, 2))
    assert np.allclose(view.to_clip(view.to_model(places)), places, atol=1e-6)


def test_the_whole_frame_at_its_own_size_is_the_clip() -> None:
    clip = dotted(40, 20)
    view = View(np.arange(3), fit_matrix((-0.5, -0.5, 100, 60), (60, 100)), (60, 100))
    frames, joints, score = view.apply(clip)
    assert np.array_equal(frames, clip.frames)
    assert np.allclose(joints, clip.joints)
    assert np.array_equal(score, clip.score)
    assert view.box().tolist() == [[-0.5, -0.5], [99.5, -0.5], [99.5, 59.5], [-0.5, 59.5]]


def test_mirroring_twice_is_the_identity_and_swaps_left_and_right() -> None:
    clip = dotted(40, 20)
    joints = clip.joints + np.arange(15)[:, None]
    clip = Clip(clip.frames, joints.astype(np.float32), clip.score, JHMDB, clip.time)
    view = View(np.arange(3), fit_matrix((-0.5, -0.5, 100, 60), (60, 100), True), (60, 100), True)
    frames, mirrored, score = view.apply(clip)
    assert np.array_equal(frames, clip.frames[:, :, ::-1])
    wrist = {name: JHMDB.joints.index(name) for name in ("left wrist", "right wrist", "neck")}
    assert mirrored[0, 0, wrist["left wrist"], 0] == pytest.approx(99 - joints[0, 0, wrist["right wrist"], 0])
    assert mirrored[0, 0, wrist["neck"], 0] == pytest.approx(99 - joints[0, 0, wrist["neck"], 0])
    again = view.apply(Clip(frames, mirrored, score, JHMDB, clip.time))
    assert np.array_equal(again[0], clip.frames)
    assert np.allclose(again[1], clip.joints, atol=1e-4)


def test_joints_that_leave_the_view_are_not_seen() -> None:
    view = View(np.arange(3), fit_matrix((60, 0, 40, 40), (40, 40)), (40, 40))
    clip = dotted(40, 20)
    assert (view.apply(clip)[2] == 0).all()
    _, joints, score = view.apply(replace(clip, amodal=True))
    assert (score == clip.score[:3]).all()
    assert np.allclose(joints, view.to_model(clip.joints[:3]))


def test_centre_views_crop_or_pad() -> None:
    clip = dotted(50, 30)
    assert centre_view(clip, 4, 32).box().tolist() == [[19.5, -0.5], [79.5, -0.5], [79.5, 59.5], [19.5, 59.5]]
    padded = centre_view(clip, 4, 32, "pad").box()
    assert padded.min(0).tolist() == [-0.5, -20.5]
    assert padded.max(0).tolist() == [99.5, 79.5]


def walking(x: int, y: int) -> Clip:
    """Joints that walk 24 pixels to the right in three frames, on the dot in the middle one; one is lost far away."""
    clip = dotted(x, y)
    joints = clip.joints.copy()
    joints[..., 0] += np.array([-12, 0, 12])[:, None, None]
    joints[:, :, 3] += [[0, -18]]
    score = clip.score.copy()
    joints[2, 0, 5], score[2, 0, 5] = (-400, 300), 0
    return Clip(clip.frames, joints, score, JHMDB, clip.time)


def test_the_view_of_a_person_lies_around_every_joint_that_is_seen() -> None:
    clip = walking(60, 30)  # x from 48 to 72, y from 12 to 30
    side = 1.3 * 24
    wanted = [60 - side / 2, 21 - side / 2, 60 + side / 2, 21 + side / 2]
    view = centre_view(clip, 3, 32, "person")
    assert [*view.box().min(0), *view.box().max(0)] == pytest.approx(wanted)
    _, joints, score = view.apply(clip)
    assert np.array_equal(score, clip.score)
    assert centroid(view.apply(clip)[0][1]) == pytest.approx(joints[1, 0, 0].tolist(), abs=0.25)
    (same,) = clips_and_crops(clip, 3, 32, fit="person")
    assert np.array_equal(same.matrix, view.matrix)
    still = dotted(60, 30)
    assert np.ptp(centre_view(still, 3, 32, "person").box(), 0).tolist() == pytest.approx([1.3 * 8] * 2)


def test_without_a_joint_the_view_of_a_person_is_the_frame() -> None:
    clip = dotted(50, 30)
    gone = Clip(clip.frames, clip.joints, np.zeros_like(clip.score), JHMDB, clip.time)
    assert np.array_equal(centre_view(gone, 4, 32, "person").matrix, centre_view(gone, 4, 32).matrix)
    nobody = Clip(clip.frames, clip.joints[:, :0], clip.score[:, :0], JHMDB, clip.time)
    assert np.array_equal(centre_view(nobody, 4, 32, "person").matrix, centre_view(nobody, 4, 32).matrix)


def test_random_views_of_a_person_stay_around_it() -> None:
    clip = walking(60, 30)
    augmentation = Augmentation(smallest=0.8, aspect=1.0, outside=0.05)
    corners = []
    for seed in range(60):
        view = random_view(clip, 3, 32, augmentation, np.random.default_rng(seed), "person")
        low, high = view.box().min(0), view.box().max(0)
        assert 0.8 * 1.3 * 24 - 1e-6 <= (high - low)[0] <= 1.3 * 24 + 1e-6
        assert (low >= np.array([60, 21]) - 1.3 * 12 - 0.05 * 1.3 * 24 - 1e-6).all()
        assert (high <= np.array([60, 21]) + 1.3 * 12 + 0.05 * 1.3 * 24 + 1e-6).all()
        corners.append(low)
    assert (np.ptp(corners, axis=0) > 1).all()


def test_clips_and_crops_cover_the_time_and_the_longer_side() -> None:
    clip = dotted(50, 30, frames=24)
    (one,) = clips_and_crops(clip, 4, 32)
    usual = centre_view(clip, 4, 32)
    assert np.array_equal(one.frame_index, usual.frame_index)
    assert np.array_equal(one.matrix, usual.matrix)
    views = clips_and_crops(clip, 4, 32, clips=3, crops=3)
    assert [view.frame_index.tolist() for view in views[::3]] == [[1, 7, 13, 19], [3, 9, 15, 21], [5, 11, 17, 23]]
    assert [view.box()[0].tolist() for view in views[:3]] == [[-0.5, -0.5], [19.5, -0.5], [39.5, -0.5]]
    assert np.array_equal(views[0].frame_index, views[2].frame_index)
    high = dotted(20, 50, frames=5, height=90, width=40)
    assert [view.box()[0].tolist() for view in clips_and_crops(high, 2, 32, 1, 2)] == [[-0.5, -0.5], [-0.5, 49.5]]
    with pytest.raises(ValueError, match="0 x 1"):
        clips_and_crops(clip, 4, 32, 0)


def test_frames_are_the_middles_of_equal_segments() -> None:
    assert segment_middles(16, 4).tolist() == [2, 6, 10, 14]
    assert segment_middles(16, 16).tolist() == list(range(16))
    assert segment_middles(3, 7).tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert segment_middles(1, 2).tolist() == [0, 0]


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    joints = np.zeros((1, 0, 15, 2), np.float32)
    clip = Clip(stripes, joints, np.zeros((1, 0, 15), np.float32), JHMDB, np.zeros(1))
    small = centre_view(clip, 1, 16).apply(clip)[0]
    assert small[0, 4:-4, 4:-4].std() < 8


def test_random_views_take_a_frame_of_each_segment_and_repeat_with_the_seed() -> None:
    clip = dotted(50, 30, frames=12)
    views = [random_view(clip, 4, 32, Augmentation(), np.random.default_rng(seed)) for seed in range(20)]
    for view in views:
        assert (view.frame_index // 3 == np.arange(4)).all()
        assert not view.mirrored
    assert len({tuple(view.frame_index) for view in views}) > 10
    again = random_view(clip, 4, 32, Augmentation(), np.random.default_rng(3))
    assert np.array_equal(again.matrix, views[3].matrix)


def test_a_painted_dot_follows_its_joint_through_a_turn() -> None:
    turned = Augmentation(rotation=40, smallest=0.9, aspect=1.0, outside=0)
    angles = set()
    for seed in range(20):
        view = random_view(dotted(50, 30, frames=1, frame=0), 1, 64, turned, np.random.default_rng(seed))
        frames, joints, score = view.apply(dotted(50, 30, frames=1, frame=0))
        if score.all() and ((joints[0, 0, 0] > 4) & (joints[0, 0, 0] < 60)).all():
            assert centroid(frames[0]) == pytest.approx(joints[0, 0, 0].tolist(), abs=0.25)
            angles.add(round(float(np.degrees(np.arctan2(view.matrix[1, 0], view.matrix[0, 0])))))
    assert min(angles) < -15
    assert max(angles) > 15


def test_a_part_of_the_time_is_shown_in_order() -> None:
    clip = dotted(50, 30, frames=30)
    spans = []
    for seed in range(40):
        index = random_view(clip, 6, 32, Augmentation(shortest=0.5), np.random.default_rng(seed)).frame_index
        assert (np.diff(index) >= 0).all()
        assert index[0] >= 0
        assert index[-1] <= 29
        spans.append(index[-1] - index[0])
    assert min(spans) < 17
    assert max(spans) > 22


def test_one_modality_is_muted_or_swapped_and_never_both() -> None:
    def sample(colour: int, place: float) -> Sample:
        pixels = np.full((2, 8, 8, 3), colour, np.uint8)
        return pixels, np.full((2, 1, 15, 2), place, np.float32), np.ones((2, 1, 15), np.float32)

    often = Augmentation(mute_frames=0.2, mute_joints=0.3, swap_frames=0.15, swap_joints=0.25)
    mine, quiet = sample(200, 4.0), Normalisation()
    seen: Counter[tuple[str, str]] = Counter()
    for seed in range(2000):
        frames, joints, score = mute_or_swap(mine, often, np.random.default_rng(seed), quiet, lambda: sample(90, 7.0))
        grey = np.allclose(frames / 255, quiet.mean, atol=0.003)
        pictures = "none" if grey else {200: "own", 90: "other's"}[int(frames[0, 0, 0, 0])]
        seen[pictures, {4.0: "own", 7.0: "other's"}[float(joints[0, 0, 0, 0])] if score.any() else "none"] += 1
    assert (mine[0] == 200).all()
    assert mine[2].all()
    wanted = {
        ("none", "own"): 0.2, ("own", "none"): 0.3, ("other's", "own"): 0.15, ("own", "other's"): 0.25,
        ("own", "own"): 0.1,
    }  # fmt: skip
    assert {kind: count / 2000 for kind, count in seen.items()} == pytest.approx(wanted, abs=0.03)


def test_more_than_all_clips_cannot_be_muted_or_swapped() -> None:
    with pytest.raises(ValueError, match="their sum at most 1"):
        Augmentation(mute_frames=0.5, swap_joints=0.6)


def test_varying_changes_pixels_not_places_and_leaves_the_sample() -> None:
    frames = np.full((2, 8, 8, 3), 100, np.uint8)
    sample = (frames, np.full((2, 1, 15, 2), 4.0, np.float32), np.ones((2, 1, 15), np.float32))
    plain = Augmentation(joint_noise=0, joint_dropout=0)
    coloured, joints, score = vary(sample, plain, np.random.default_rng(1))
    assert (frames == 100).all()
    assert not np.array_equal(coloured, frames)
    assert np.array_equal(joints, sample[1])
    assert (score == 1).all()
    dropped = vary(sample, Augmentation(joint_dropout=0.5), np.random.default_rng(1))[2]
    assert 0 < dropped.mean() < 1


def test_batches_are_normalised_ordered_and_padded() -> None:
    generator = np.random.default_rng(0)
    one, two = (
        (
            generator.integers(0, 256, (2, 8, 16, 3), dtype=np.uint8),
            generator.uniform(0, 8, (2, people, 15, 2)).astype(np.float32),
            np.ones((2, people, 15), np.float32),
        )
        for people in (1, 2)
    )
    frames, joints, score = batch([one, two], JHMDB, Normalisation())
    assert frames.shape == (2, 3, 2, 8, 16)
    assert frames[1, 2, 0, 3, 5].item() == pytest.approx((two[0][0, 3, 5, 2] / 255 - 0.37645) / 0.216989, abs=1e-5)
    assert joints.shape == (2, 2, 2, 15, 2)
    assert torch.equal(joints[1, 0, 1, 0], torch.from_numpy(two[1][0, 1, JHMDB.window_order[0]]))
    assert (score[0, :, 1] == 0).all()
    empty = (one[0], np.zeros((2, 0, 15, 2), np.float32), np.zeros((2, 0, 15), np.float32))
    assert batch([empty], JHMDB, Normalisation())[1].shape == (1, 2, 1, 15, 2)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts_are_consistent(layout: object) -> None:
    assert sorted(layout.window_order) == list(range(len(layout)))
    for left, right in layout.swaps:
        assert layout.joints[left].replace("left", "right") == layout.joints[right]
        assert (
            layout.limbs[layout.limb_of[left]][0] != layout.limbs[layout.limb_of[right]][0]
            or "head" in (layout.limbs[layout.limb_of[left]][0])
        )
    named = [i for i, joint in enumerate(layout.joints) if "left" in joint]
    assert sorted(left for left, _ in layout.swaps) == named
    assert all(layout.mirrored[layout.mirrored[j]] == j for j in range(len(layout)))
    assert {j for bone in layout.bones for j in bone} == set(range(len(layout)))
