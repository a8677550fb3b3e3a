"""Scores as files: the confusion matrix and the calibration as pictures and tables, and everything as JSON.

    scores.json       all of `training.metrics.Scores`
    per_class.csv     label, clips, accuracy
    confusion.csv     one row a true label, one column a predicted one, in clips
    confusion.png     the same, each row as a share of its clips
    calibration.csv   low, high, clips, confidence, accuracy
    calibration.png   reliability diagram: bars on the diagonal are honest confidence

Pictures need matplotlib (`pip install kinescope[figures]`); pyplot and its global state are not used.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.checkpointing import write_atomically
from training.metrics import Scores

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NUMBERS = 30
"""Classes up to which each cell of the matrix has its number and each row its label; more do not fit."""
BLUE, GREY = "#0072b2", "#8a8a8a"


def write_report(folder: Path, scores: Scores, about: dict[str, Any] | None = None) -> list[str]:
    """Write all files; returns their names. `about` is added to the JSON. Without matplotlib there are no pictures."""
    counts = dict(zip(scores.labels, map(sum, scores.confusion), strict=True))
    rows = [(label, counts[label], f"{value:.6f}") for label, value in scores.per_class.items()]
    bins = [(f"{b.low:.4f}", f"{b.high:.4f}", b.clips, f"{b.confidence:.6f}", f"{b.accuracy:.6f}")
            for b in scores.calibration]  # fmt: skip
    files = {
        "scores.json": scores_json(scores, about),
        "per_class.csv": _csv(("label", "clips", "accuracy"), rows),
        "confusion.csv": _csv(
            ("true \\ predicted", *scores.labels),
            ((label, *row) for label, row in zip(scores.labels, scores.confusion, strict=True)),
        ),
        "calibration.csv": _csv(("low", "high", "clips", "confidence", "accuracy"), bins),
    }
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        pass
    else:
        files |= {"confusion.png": _png(confusion_figure(scores)), "calibration.png": _png(calibration_figure(scores))}
    for name, content in files.items():
        write_atomically(folder / name, content)
    return list(files)


def scores_json(scores: Scores, about: dict[str, Any] | None = None) -> bytes:
    return (json.dumps((about or {}) | scores.to_dict(), indent=2) + "\n").encode()


def _csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *rows])
    return text.getvalue().encode()


def confusion_figure(scores: Scores) -> Figure:
    """Share of the clips of each true label (row) that got each label (column); the numbers are clips."""
    from matplotlib.figure import Figure

    clips = np.array(scores.confusion)
    share = clips / np.maximum(clips.sum(1, keepdims=True), 1)
    classes = len(scores.labels)
    side = min(2.5 + 0.28 * classes, 14)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(picture, ax=axes, shrink=0.6)
    bar.set_label("share of the clips of a true label")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    low, high = scores.interval
    axes.set_title(f"top-1 {scores.top1:.1%} [{low:.1%}, {high:.1%}] of {scores.clips} clips", loc="left", fontsize=9)
    if classes <= MOST_NUMBERS:
        axes.set_xticks(range(classes), scores.labels, rotation=90, fontsize=7)
        axes.set_yticks(range(classes), scores.labels, fontsize=7)
        for row, column in zip(*np.nonzero(clips), strict=True):
            colour = "white" if share[row, column] > 0.6 else "black"
            axes.text(column, row, str(clips[row, column]), ha="center", va="center", fontsize=6, color=colour)
    return figure


def calibration_figure(scores: Scores) -> Figure:
    """Accuracy against confidence, one bar a bin that has clips; a grey mark where honest confidence would put it."""
    from matplotlib.figure import Figure

    bins = [b for b in scores.calibration if b.clips]
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.subplots()
    widths = [b.high - b.low for b in bins]
    axes.bar([b.low for b in bins], [b.accuracy for b in bins], widths, align="edge", color=BLUE, edgecolor="white")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    axes.scatter([b.confidence for b in bins], [b.confidence for b in bins], s=10, color=GREY, zorder=3)
    for b in bins:
        axes.text((b.low + b.high) / 2, b.accuracy, str(b.clips), ha="center", va="bottom", fontsize=6)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.05)
    axes.set_aspect("equal")
    axes.set_xlabel("largest probability")
    axes.set_ylabel("accuracy")
    axes.set_title(f"expected calibration error {scores.ece:.1%}, {scores.clips} clips", loc="left", fontsize=9)
    return figure


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=150, metadata={"Software": None})  # the same scores, the same bytes
    return content.getvalue()
