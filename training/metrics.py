"""Accuracy in the ways the field reports it, from logits and targets. Every clip counts once.

Top-1, top-5 (top-K with fewer classes), mean-class accuracy (FineGYM's metric: classes weigh the same however many
clips they have), accuracy per class and per kind of cause, and the confusion matrix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """What a network scored on some clips. Accuracies lie in [0, 1]."""

    clips: int
    top1: float
    top5: float
    mean_class: float
    """Mean of the accuracies of the classes that have clips."""
    loss: float
    """Mean cross-entropy without label smoothing, in nats."""
    per_class: Mapping[str, float]
    per_kind: Mapping[str, float]
    """Accuracy by what decides the label; empty where that is not known."""
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[true][predicted] clips."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        head = f"top-1 {self.top1:.1%}, top-5 {self.top5:.1%}, mean class {self.mean_class:.1%} ({self.clips} clips)"
        kinds = ", ".join(f"{kind} {value:.1%}" for kind, value in self.per_kind.items())
        return f"{head}; {kinds}" if kinds else head


def score_logits(
    logits: Tensor, target: Tensor, labels: Sequence[str], kinds: Sequence[str | None] | None = None
) -> Scores:
    """Score logits [N, K] against class indices [N].

    Args:
        labels: names of the K classes.
        kinds: what decides each clip's label, or None where that is not known.
    """
    count, classes = logits.shape
    if len(labels) != classes or target.shape != (count,) or count == 0:
        raise ValueError(
            f"Scores need logits [N, K] with K = {len(labels)} labels and N > 0 targets; "
            f"these are {list(logits.shape)} and {list(target.shape)}."
        )
    logits, target = logits.detach().double().cpu(), target.cpu()
    ranked = logits.topk(min(5, classes), dim=1).indices
    hit = ranked[:, 0] == target
    confusion = torch.bincount(target * classes + ranked[:, 0], minlength=classes**2).view(classes, classes)
    present = confusion.sum(1) > 0
    recall = confusion.diagonal().double() / confusion.sum(1).clamp_min(1)
    by_kind: dict[str, list[bool]] = {}
    for kind, right in zip(kinds or (), hit.tolist(), strict=False):
        if kind is not None:
            by_kind.setdefault(kind, []).append(right)
    return Scores(
        clips=count,
        top1=float(hit.double().mean()),
        top5=float((ranked == target[:, None]).any(1).double().mean()),
        mean_class=float(recall[present].mean()),
        loss=float(F.cross_entropy(logits, target)),
        per_class={name: float(recall[i]) for i, name in enumerate(labels) if present[i]},
        per_kind={kind: sum(hits) / len(hits) for kind, hits in sorted(by_kind.items())},
        labels=tuple(labels),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )
