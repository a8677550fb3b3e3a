"""Scores of four hand-made predictions."""

import math

import pytest
import torch

from training.metrics import calibrate, score_logits, wilson

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


def test_the_interval_of_top1_is_wilsons() -> None:
    # 7 of 10: (0.7 + 0.19207) / 1.38415 +- 1.96 sqrt(0.021 + 0.0096036) / 1.38415
    assert wilson(7, 10) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)
    low, high = score_logits(LOGITS, TARGET, LABELS).interval
    assert low < 0.75 < high


def test_calibration_by_hand() -> None:
    # 15 bins of 1/15: 0.5 and 0.52 lie in bin 7 (0.467, 0.533], 0.9 in bin 13 (0.867, 0.933], 1.0 in the last
    confidence = torch.tensor([0.5, 0.52, 0.9, 1.0], dtype=torch.float64)
    bins = calibrate(confidence, torch.tensor([True, False, False, True]))
    assert len(bins) == 15
    assert [(i, b.clips) for i, b in enumerate(bins) if b.clips] == [(7, 2), (13, 1), (14, 1)]
    assert (bins[7].confidence, bins[7].accuracy) == (pytest.approx(0.51), 0.5)
    error = (2 * 0.01 + 0.9 + 0) / 4
    logits = torch.stack([confidence.log(), torch.tensor([0.5, 0.48, 0.1, 1e-300], dtype=torch.float64).log()], 1)
    scores = score_logits(logits, torch.tensor([0, 1, 1, 0]), ("a", "b"))
    assert scores.ece == pytest.approx(error, abs=1e-9)


def test_an_edge_belongs_to_the_bin_below_it() -> None:
    assert [b.clips for b in calibrate(torch.tensor([0.5, 0.5000001]), torch.tensor([True, True]), bins=2)] == [1, 1]


def test_scores_say_what_was_left_out_and_hidden() -> None:
    from dataclasses import replace

    scores = score_logits(LOGITS, TARGET, LABELS, damaged=["clip 3 is broken."])
    text = str(replace(scores, hidden={"rgb only": 0.5}))
    assert "; rgb only 50.0%; 1 damaged clips left out" in text
    assert "(4 clips)" in text
