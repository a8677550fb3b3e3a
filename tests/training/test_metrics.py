"""Scores of four hand-made predictions."""

import math

import pytest
import torch

from training.metrics import score_logits

LABELS = ("a", "b", "c")
# true a a a b; predicted a a b b; class c has no clip
LOGITS = torch.tensor([[2.0, 1, 0], [2, 0, 1], [0, 2, 1], [0, 3, 0]])
TARGET = torch.tensor([0, 0, 0, 1])


def test_scores_by_hand() -> None:
    scores = score_logits(LOGITS, TARGET, LABELS, ["pose", "pose", "time", None])
    assert scores.clips == 4
    assert scores.top1 == 0.75
    assert scores.top5 == 1.0  # three classes: everything is in the top three
    assert scores.mean_class == pytest.approx((2 / 3 + 1) / 2)
    assert scores.per_class == {"a": pytest.approx(2 / 3), "b": 1.0}
    assert scores.per_kind == {"pose": 1.0, "time": 0.0}
    assert scores.confusion == ((2, 1, 0), (0, 1, 0), (0, 0, 0))


def test_loss_is_the_mean_cross_entropy() -> None:
    uniform = score_logits(torch.zeros(2, 3), torch.tensor([0, 2]), LABELS)
    assert uniform.loss == pytest.approx(math.log(3))


def test_top5_counts_the_first_five_only() -> None:
    logits = torch.arange(8.0).repeat(2, 1)  # ranked 7 6 5 4 3
    scores = score_logits(logits, torch.tensor([3, 2]), [str(i) for i in range(8)])
    assert (scores.top1, scores.top5) == (0.0, 0.5)


def test_scores_become_plain_json() -> None:
    import json

    text = json.dumps(score_logits(LOGITS, TARGET, LABELS).to_dict())
    assert json.loads(text)["confusion"] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="K = 2 labels"):
        score_logits(LOGITS, TARGET, ("a", "b"))
    with pytest.raises(ValueError, match="N > 0"):
        score_logits(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), LABELS)
