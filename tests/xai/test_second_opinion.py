"""Our deletion and insertion against those of torch-cam: the same curves, so the same area under them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torchcam.metrics import DeletionInsertionMetric

from tests.xai.clips import noise_clip, random_recognizer
from xai.explanation import Explanation
from xai.faithfulness import RUNS, Units, faithfulness
from xai.methods import answer
from xai.question import Question

FRAMES, SIDE = RUNS, 32


class AsPixels(torch.nn.Module):
    """The network as torch-cam wants it: frames [B, 3, T, H, W] in 0 ... 255 -> [B, 2], the score and its opposite."""

    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question, self.rerun = question, Units(question, "tubelets").rerun

    def forward(self, x: Tensor) -> Tensor:
        films = x.permute(0, 2, 3, 4, 1).round().to(torch.uint8).numpy()
        variants = [self.rerun.variant(replace(self.rerun.seen, frames=film)) for film in films]
        score = self.question.score(self.rerun.logits(variants))
        return torch.stack([score, -score], dim=1)


class Ours:
    """An extractor of torch-cam whose map is ours."""

    def __init__(self, model: AsPixels, cam: np.ndarray) -> None:
        self.model, self.cam = model, torch.from_numpy(cam)[None].float()

    def __call__(self, *_: object, **__: object) -> list[Tensor]:
        return [self.cam]

    fuse_cams = staticmethod(lambda cams: cams[0])
    _hooks_off = staticmethod(nullcontext)


@pytest.fixture(scope="module")
def question() -> Question:
    recognizer = random_recognizer(size=SIDE, frames=FRAMES, width=4)
    return Question.ask(recognizer, noise_clip(FRAMES, SIDE, SIDE, 1), 1)


@pytest.mark.parametrize("method", ["saliency", "input x gradient"])
def test_the_same_areas_as_torch_cam(question: Question, method: str) -> None:
    explanation: Explanation = answer(question, method, on="frames")
    units = Units(question, "tubelets")
    assert (units.cells >= 0).all()  # the network sees the whole frame, so every pixel belongs to one tubelet
    worth = units.values(explanation)
    assert len(np.unique(worth)) == len(worth)  # a tie would leave the order open
    ours = faithfulness(question, explanation, orders=2, steps=len(units))
    assert len(ours.share) == len(units) + 1

    seen = units.rerun.seen.frames
    baseline = torch.from_numpy(np.round(seen.mean(axis=(0, 1, 2)))).float().view(3, 1, 1, 1)
    ranked = np.argsort(np.argsort(worth)).astype(float)  # resized to its own size, a map may move by a rounding
    metric = DeletionInsertionMetric(Ours(AsPixels(question), ranked[units.cells]), steps=len(units), baseline=baseline)
    metric.update(torch.from_numpy(seen).permute(3, 0, 1, 2)[None].float(), class_idx=0)
    theirs = metric.summary()
    assert np.trapezoid(ours.deletion, ours.share) == pytest.approx(theirs["deletion_auc"], abs=1e-4)
    assert np.trapezoid(ours.insertion, ours.share) == pytest.approx(theirs["insertion_auc"], abs=1e-4)
    assert abs(theirs["insertion_auc"] - theirs["deletion_auc"]) > 1e-3  # or any order would do
