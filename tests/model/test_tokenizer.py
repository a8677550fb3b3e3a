"""Joint tokens: Eq. 1 by hand, where joints are read, and what an unseen joint is worth."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch

from model.tokenizer import Track, joint_features, joint_geometry, resize_time
from tests.model.networks import build, inputs


def dense(features: torch.Tensor, joint: tuple[float, float], sigma: float) -> torch.Tensor:
    """Eq. 1 with the heatmap written out: features [C, h, w], joint in image pixels (x, y)."""
    _, height, width = features.shape
    total = torch.zeros(features.shape[0])
    for j in range(height):
        for i in range(width):
            squared = (i - joint[0] / 2) ** 2 + (j - joint[1] / 2) ** 2
            total += features[:, j, i] * math.exp(-squared / (2 * sigma**2))
    return total


def test_separable_sum_equals_the_heatmap_sum() -> None:
    features = torch.randn(1, 3, 2, 9, 13)
    joints = torch.tensor([[[[7.3, 11.9], [20.0, 2.2]], [[0.0, 0.0], [25.0, 17.0]]]])
    read = joint_features(features, joints, torch.ones(1, 2, 2), 1.3, normalise=False)
    for t in range(2):
        for r in range(2):
            expected = dense(features[0, :, t], tuple(joints[0, t, r].tolist()), 1.3)
            assert torch.allclose(read[0, t, r], expected, atol=1e-5)


def test_a_constant_map_gives_two_pi_sigma_squared_or_the_constant() -> None:
    features = torch.full((1, 1, 1, 60, 80), 3.0)
    joint, score = torch.tensor([[[[80.0, 60.0]]]]), torch.ones(1, 1, 1)
    literal = joint_features(features, joint, score, 2.0, normalise=False).item()
    assert literal == pytest.approx(3 * 2 * math.pi * 4, rel=1e-4)
    assert joint_features(features, joint, score, 2.0, normalise=True).item() == pytest.approx(3, rel=1e-5)


def test_a_painted_dot_is_read_by_the_joint_on_it_and_by_no_other() -> None:
    features = torch.zeros(1, 1, 3, 12, 20)
    features[0, 0, 1, 5, 14] = 1  # frame 1, image pixel (28, 10)
    joints = torch.tensor([28.0, 10.0]).expand(1, 3, 1, 2).clone()
    read = joint_features(features, joints, torch.ones(1, 3, 1), 0.5, normalise=True).flatten()
    assert read.argmax().item() == 1
    assert read[1] > 0.5
    assert read[0] == read[2] == 0
    swapped = joint_features(features, joints.flip(-1), torch.ones(1, 3, 1), 0.5, normalise=True)
    assert swapped.max() < 1e-6


def test_score_scales_and_zero_silences() -> None:
    features, joints = torch.rand(1, 2, 1, 8, 8), torch.full((1, 1, 3, 2), 6.0)
    read = joint_features(features, joints, torch.tensor([[[1.0, 0.5, 0.0]]]), 1.0, normalise=True)
    assert torch.allclose(read[0, 0, 1], read[0, 0, 0] / 2)
    assert (read[0, 0, 2] == 0).all()


def test_geometry_by_hand() -> None:
    joints = torch.tensor([[[[[0.0, 0.0], [10.0, 0.0]]], [[[0.0, 0.0], [10.0, 4.0]]]]])  # (1, 2, 1, 2, 2)
    out = joint_geometry(joints, torch.ones(1, 2, 1, 2))
    scale = math.sqrt(25 + 3)  # variances over four points: x 25, y 3
    assert out.shape == (1, 2, 1, 2, 5)
    assert out[0, 0, 0, 0].tolist() == pytest.approx([-5 / scale, -1 / scale, 0, 0, 1], abs=1e-5)
    assert out[0, 1, 0, 1].tolist() == pytest.approx([5 / scale, 3 / scale, 0, 4 * 2 / scale, 1], abs=1e-5)
    shifted = joint_geometry(joints * 3 + 7, torch.ones(1, 2, 1, 2))
    assert torch.allclose(out, shifted, atol=1e-5)


def test_distances_by_hand() -> None:
    joints = torch.tensor([[[[[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]]]])
    score = torch.tensor([[[[1.0, 1.0, 0.0]]]])
    apart = joint_geometry(joints, score, distances=True)[0, 0, 0, :, 5:]
    scale = math.sqrt(1.5**2 + 2**2)  # of the two that are seen
    expected = torch.tensor([[0, 5 / scale, 0], [5 / scale, 0, 0], [0, 0, 0]])
    assert torch.allclose(apart, expected, atol=2e-3)
    doubled = joint_geometry(joints * 2 + 1, score, distances=True)[0, 0, 0, :, 5:]
    assert torch.allclose(apart, doubled, atol=1e-3)


def test_trail_by_hand() -> None:
    still = torch.tensor([[[[[0.0, 0.0], [10.0, 0.0]]], [[[0.0, 0.0], [10.0, 4.0]]]]])  # (1, 2, 1, 2, 2)
    joints = still[..., None, :].repeat(1, 1, 1, 1, 5, 1)
    joints[0, 0, 0, 1, :, 1] = torch.tensor([-2.0, -1.0, 0.0, 1.0, 1.5])
    score = torch.tensor([[[[1.0, 1.0]], [[0.0, 1.0]]]])
    out = joint_geometry(joints, score)
    assert out.shape == (1, 2, 1, 2, 15)
    assert torch.equal(out[..., :5], joint_geometry(still, score))
    scale = float(joints[0, :, 0, 1, 2, 0].sub(20 / 3).square().sum() + (20 / 3) ** 2) / 3  # of the three that are seen
    scale = math.sqrt(scale + float(((torch.tensor([0.0, 0.0, 4.0]) - 4 / 3) ** 2).mean()))
    steps = out[0, :, 0, :, 5:].unflatten(-1, (5, 2)) * scale / 10
    assert not steps[:, 0].any()
    assert steps[0, 1, :, 1].tolist() == pytest.approx([0, 1, 1, 1, 0.5], abs=1e-5)
    assert steps[1, 1, :, 1].tolist() == pytest.approx([2.5, 0, 0, 0, 0], abs=1e-5)
    assert not steps[..., 0].any()


def moments_one_by_one(trail: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """What `Track` convolves for one person: trail [T, J, 5, 2], seen [T, J] -> [5 T, features]."""
    frames, joints = seen.shape
    places = [trail[t, j, 2] for t in range(frames) for j in range(joints) if seen[t, j]]
    centre = torch.stack(places).mean(0)
    size = max(math.sqrt(sum(float((p - centre).square().sum()) for p in places) / len(places)), 1.0)
    rows, before = [], [None] * joints
    for t in range(frames):
        for k in range(5):
            now = [(trail[t, j, k] - centre) / size if seen[t, j] else None for j in range(joints)]
            row = [torch.zeros(2) if place is None else place for place in now]
            for place, last in zip(now, before, strict=True):
                row.append(torch.zeros(2) if place is None or last is None else 10 * (place - last))
            for one, other in combinations(now, 2):
                row.append(torch.zeros(1) if one is None or other is None else (one - other).norm()[None])
            rows.append(torch.cat(row))
            before = now
    return torch.stack(rows)


def test_track_against_moments_taken_one_by_one() -> None:
    torch.manual_seed(0)
    score = (torch.rand(2, 3, 2, 4) > 0.3).float()
    trail = 20 * torch.rand(2, 3, 2, 4, 5, 2)
    track = Track(4, 8, dropout=0.0).eval()
    for norm in (layer for layer in track.layers if isinstance(layer, torch.nn.BatchNorm1d)):
        assert norm.running_mean is not None
        norm.running_mean.uniform_(-1, 1)
    with torch.no_grad():
        out = track(trail, score)
        assert out.shape == (2, 3, 2, 8)
        for b in range(2):
            for m in range(2):
                expected = track.layers(moments_one_by_one(trail[b, :, m], score[b, :, m] > 0).T[None])[0].T
                assert torch.allclose(out[b, :, m], expected, atol=1e-3)


def test_a_track_needs_a_trail() -> None:
    with pytest.raises(ValueError, match="pose_track reads the moments of pose_trail"):
        build(pose_geometry=True, pose_track=True)


@pytest.mark.parametrize("distances", [False, True])
@pytest.mark.parametrize(("trail", "track"), [(False, False), (True, False), (True, True)])
def test_unseen_joints_change_nothing_wherever_they_are(distances: bool, trail: bool, track: bool) -> None:
    network = build(pose_geometry=True, pose_distances=distances, pose_trail=trail, pose_track=track)
    video, joints, score = inputs()
    if trail:
        joints = joints[..., None, :] + torch.randn(*joints.shape[:-1], 5, 2)
    unseen = (score == 0).reshape(*score.shape, *(1,) * (joints.ndim - score.ndim))
    moved = torch.where(unseen, joints + 1000.0, joints)
    with torch.no_grad():
        assert torch.equal(network(video, joints, score), network(video, moved, score))


def test_time_is_resized_linearly() -> None:
    ramp = torch.arange(4.0)[:, None].expand(4, 3)
    assert torch.equal(resize_time(ramp, 4), ramp)
    assert torch.allclose(resize_time(ramp, 8)[:, 0], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))
    assert resize_time(ramp[None], 1).shape == (1, 1, 3)
