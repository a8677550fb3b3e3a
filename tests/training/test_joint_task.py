"""The second task of networks that see pixels only, against a loop over joints, and in a run that is stopped."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model import FrameWise
from model.framewise_config import tiny
from tests.training.squares import Squares
from tests.training.test_engine import STILL, small, start
from training.clip import Clip
from training.config import ConfigError
from training.joint_task import JointTask, patch_of
from training.optimiser import OptimiserConfig


def test_every_joint_is_asked_for_in_the_patch_it_lies_in() -> None:
    places = torch.tensor([[[[0.0, 0.0], [7.4, 0.0], [7.6, 4.0], [23.4, 15.4], [23.6, 3.0], [-0.6, 3.0]]]])
    joints, score = places[None], torch.ones(1, 1, 1, 6)
    target, asked = patch_of(joints, score, 8, (16, 24))  # two rows of three patches
    assert asked[0, 0].tolist() == [1, 1, 1, 1, 0, 0]
    assert target[0, 0, :, :4].argmax(0).tolist() == [0, 0, 1, 5]
    assert target.sum(2)[0, 0].tolist() == [1, 1, 1, 1, 0, 0]
    assert patch_of(joints, 0 * score, 8, (16, 24))[1].sum() == 0


def test_several_people_have_equal_parts() -> None:
    joints = torch.tensor([[1.0, 1.0], [9.0, 1.0], [1.0, 1.0]]).view(1, 1, 3, 1, 2)
    target, asked = patch_of(joints, torch.ones(1, 1, 3, 1), 8, (8, 16))
    assert target[0, 0, :, 0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert asked.tolist() == [[[1.0]]]


def test_loss_against_a_loop() -> None:
    torch.manual_seed(0)
    task = JointTask(6, 3)
    patches, joints = torch.randn(2, 2, 6, 6), 30 * torch.rand(2, 2, 2, 3, 2) - 2
    score = (torch.rand(2, 2, 2, 3) > 0.3).float()
    found = task(patches, joints, score, 8, (16, 24))
    for b in range(2):
        losses = []
        for t in range(2):
            said = task.head(task.norm(patches[b, t]))
            for j in range(3):
                cells = []
                for m in range(2):
                    x, y = (float(value) for value in joints[b, t, m, j])
                    column, row = math.floor((x + 0.5) / 8), math.floor((y + 0.5) / 8)
                    if score[b, t, m, j] and 0 <= column < 3 and 0 <= row < 2:
                        cells.append(3 * row + column)
                if cells:
                    losses.append(-sum(float(said[:, j].detach().log_softmax(0)[cell]) for cell in cells) / len(cells))
        assert float(found[b].detach()) == pytest.approx(sum(losses) / len(losses), abs=1e-5)


def test_a_run_adds_it_to_its_loss_and_keeps_it_out_of_the_checkpoint(tmp_path: Path) -> None:
    config = small(architecture="framewise", model=tiny(width=16), augmentation=STILL)
    run = start(replace(config, optimiser=OptimiserConfig(joint_task=0.5)), tmp_path / "x", Squares(train=8))
    data = next(run._batches(run.plan.epochs[0]))
    run._backward(data, 0)
    assert isinstance(run.network, FrameWise)
    assert run.task is not None
    tokens = run.network.tokens(data.frames)
    logits = run.network(data.frames)
    size = data.frames.shape[-1]
    second = run.task(tokens[:, :, 1:], data.joints, data.score, run.network.config.patch, (size, size))
    smooth = run.config.optimiser.label_smoothing
    total = F.cross_entropy(logits, data.target, label_smoothing=smooth) + 0.5 * second.mean()
    for part in (run.network, run.task):
        weights = [weight for weight in part.parameters() if weight.grad is not None]
        assert weights
        for weight, gradient in zip(weights, torch.autograd.grad(total, weights, retain_graph=True), strict=True):
            assert weight.grad is not None
            assert torch.allclose(weight.grad, gradient, atol=1e-6)
    assert float(run.sums[7]) == pytest.approx(float(second.detach().sum()), rel=1e-5)
    assert run.train()
    assert not [name for name in run.evaluated.state_dict() if "task" in name]


def test_its_gradient_is_clipped_with_that_of_the_network(tmp_path: Path) -> None:
    config = small(architecture="framewise", model=tiny(width=16), augmentation=STILL)
    run = start(replace(config, optimiser=OptimiserConfig(joint_task=5.0)), tmp_path / "x", Squares(train=8))
    run._backward(next(run._batches(run.plan.epochs[0])), 0)
    assert run.task is not None
    parts = [[w.grad for w in part.parameters() if w.grad is not None] for part in (run.network, run.task)]
    alone, both = (torch.cat([g.flatten() for g in grads]).norm() for grads in (parts[0], [*parts[0], *parts[1]]))
    assert both > 1.01 * alone
    run._update()
    assert float(run.sums[1]) == pytest.approx(float(both), rel=1e-5)


class Unmarked(Squares):
    """Squares whose joints nobody knows."""

    def clip(self, index: int) -> Clip:
        clip = super().clip(index)
        return replace(clip, score=np.zeros_like(clip.score))


@pytest.mark.parametrize(("data", "said"), [(Squares, 0), (Unmarked, 1)])
def test_a_run_says_when_no_joint_could_teach_it(tmp_path: Path, data: type[Squares], said: int) -> None:
    config = small(architecture="framewise", model=tiny(width=16), optimiser=OptimiserConfig(joint_task=1.0))
    run = start(config, tmp_path / "x", data(train=8))
    assert run.train()
    assert sum("nothing to teach" in sentence for sentence in run.said) == said  # type: ignore[attr-defined]


def test_networks_that_are_given_joints_refuse_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this one is given the joints"):
        start(small(optimiser=OptimiserConfig(joint_task=1.0)), tmp_path / "x")
