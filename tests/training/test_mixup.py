"""Mixup: against a loop over single numbers; joints that one clip lacks; what training makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from model.framewise_config import tiny as tiny_vit
from tests.training.test_engine import STILL, small, start
from training.config import ConfigError
from training.mixup import mixup
from training.optimiser import OptimiserConfig


def clips(count: int = 5, places: tuple[int, ...] = ()) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(count, 3, 4, 6, 8))
    joints = rng.uniform(0, 8, size=(count, 4, 2, 15, *places, 2))
    score = rng.random((count, 4, 2, 15)) * (rng.random((count, 4, 2, 15)) < 0.7)
    return tuple(torch.from_numpy(each).float() for each in (frames, joints, score))  # type: ignore[return-value]


@pytest.mark.parametrize("places", [(), (3,)], ids=["places", "trails"])
def test_two_clips_are_mixed_number_by_number(places: tuple[int, ...]) -> None:
    frames, joints, score = clips(places=places)
    mixed = mixup(frames, joints, score, 0.8, seed=3)
    assert 0.5 <= mixed.share < 1
    assert sorted(mixed.partner.tolist()) == list(range(5))
    share = mixed.share
    for a, b in enumerate(mixed.partner.tolist()):
        torch.testing.assert_close(mixed.frames[a], share * frames[a] + (1 - share) * frames[b])
        for index in np.ndindex(*score.shape[1:]):
            own, other = share * float(score[a][index]), (1 - share) * float(score[b][index])
            assert float(mixed.score[a][index]) == pytest.approx(own + other if own else 0, abs=1e-6)
            if not own:
                assert torch.equal(mixed.joints[a][index], joints[a][index])
            else:
                for axis in np.ndindex(*places, 2):
                    place = own * float(joints[a][index][axis]) + other * float(joints[b][index][axis])
                    assert float(mixed.joints[a][index][axis]) == pytest.approx(place / (own + other), abs=1e-4)


def test_a_clip_decides_which_joints_are_there() -> None:
    frames, joints, score = clips(2)
    score[0], score[1] = 0, 1
    seed = next(s for s in range(20) if mixup(frames, joints, score, 1.0, s).partner.tolist() == [1, 0])
    mixed = mixup(frames, joints, score, 1.0, seed)
    assert not mixed.score[0].any(), "a clip without joints shows those of another"
    assert torch.equal(mixed.joints[1], joints[1])
    assert mixed.score[1].unique().tolist() == pytest.approx([mixed.share])


def test_shares_follow_beta_and_seeds() -> None:
    given = clips(2)
    shares = np.array([mixup(*given, 0.2, seed).share for seed in range(4000)])
    drawn = np.random.default_rng(1).beta(0.2, 0.2, 40_000)
    assert shares.mean() == pytest.approx(np.maximum(drawn, 1 - drawn).mean(), abs=0.01)
    assert mixup(*given, 0.2, 7).share == shares[7]


def test_the_loss_of_a_step_is_that_of_both_names(tmp_path: Path) -> None:
    config = small(augmentation=STILL, optimiser=OptimiserConfig(mixup=1.0, label_smoothing=0.1))
    run = start(config, tmp_path)
    data = next(run._batches(run.plan.epochs[0]))
    given: list[torch.Tensor] = []
    mixing: list[float] = []
    network = run.network.forward

    def seen(frames: torch.Tensor, joints: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        logits = network(frames, joints, score)
        # which clips these are made of is found from the pixels: least squares over the batch
        flat = data.frames.flatten(1)
        weights = torch.linalg.lstsq(flat.T, frames.flatten(1).T).solution.T  # [B, B]
        logs = F.log_softmax(logits, -1)
        names = F.one_hot(data.target, logs.shape[1]) * 0.9 + 0.1 / logs.shape[1]
        given.append(-(weights @ names * logs).sum())
        mixing.append(float(weights.max(1).values.min()))
        return logits

    run.network.forward = seen  # type: ignore[method-assign, assignment]
    run._backward(data, 0)
    assert mixing[0] < 0.999, "nothing was mixed"
    assert float(run.sums[3]) == pytest.approx(float(given[0].detach()), rel=1e-4)


def test_it_is_refused_beside_a_task_about_one_clip(tmp_path: Path) -> None:
    config = small(architecture="framewise", model=tiny_vit(width=16))
    with pytest.raises(ConfigError, match="lays two clips over each other"):
        start(replace(config, optimiser=OptimiserConfig(mixup=0.2, joint_task=1.0)), tmp_path)
