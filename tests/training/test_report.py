"""Scores as files: the numbers in the tables are those of the scores, and the pictures are pictures."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import cv2
import pytest
import torch

from training.metrics import score_logits
from training.report import confusion_figure, write_report

LABELS = ("wave, left", "sit", "bow")
# true a a a b; predicted a a b b; class c has no clip
SCORES = score_logits(
    torch.tensor([[2.0, 1, 0], [2, 0, 1], [0, 2, 1], [0, 3, 0]]), torch.tensor([0, 0, 0, 1]), LABELS
)  # fmt: skip


def rows(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def test_tables_hold_the_scores(tmp_path: Path) -> None:
    names = write_report(tmp_path, SCORES, {"split": "test"})
    assert sorted(names) == sorted(file.name for file in tmp_path.iterdir())
    assert rows(tmp_path / "confusion.csv") == [
        ["true \\ predicted", *LABELS],
        ["wave, left", "2", "1", "0"],
        ["sit", "0", "1", "0"],
        ["bow", "0", "0", "0"],
    ]
    assert rows(tmp_path / "per_class.csv") == [
        ["label", "clips", "accuracy"], ["wave, left", "3", "0.666667"], ["sit", "1", "1.000000"],
    ]  # fmt: skip
    table = rows(tmp_path / "calibration.csv")
    assert len(table) == 16
    assert sum(int(row[2]) for row in table[1:]) == 4
    saved = json.loads((tmp_path / "scores.json").read_text())
    assert (saved["split"], saved["ece"], saved["top1"]) == ("test", SCORES.ece, 0.75)


def test_pictures_are_the_same_for_the_same_scores(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_report(tmp_path / name, SCORES)
    for name in ("confusion.png", "calibration.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        picture = cv2.imread(str(tmp_path / "one" / name))
        assert min(picture.shape[:2]) > 300
        assert picture.std() > 5


def test_the_matrix_is_drawn_as_shares_of_the_true_label() -> None:
    axes = confusion_figure(SCORES).axes[0]
    share = axes.images[0].get_array()
    assert share is not None
    assert share[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    assert [text.get_text() for text in axes.texts] == ["2", "1", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LABELS)


def test_without_matplotlib_there_are_tables_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert write_report(tmp_path, SCORES) == ["scores.json", "per_class.csv", "confusion.csv", "calibration.csv"]
