"""Accuracy in the ways the field reports it, from logits and targets. Every clip counts once.

Top-1, top-5 (top-K with fewer classes), mean-class accuracy (FineGYM's metric: classes weigh the same however many
clips they have), accuracy per class and per kind of cause, the confusion matrix, and calibration:

    ECE = sum over bins of (clips in the bin / clips) |accuracy of the bin - mean confidence of the bin|

with 15 bins of equal width of the largest probability (Guo et al. 2017).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training.interval import wilson

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Clips whose largest probability lies in (low, high]."""

    low: float
    high: float
    clips: int
    confidence: float
    """Mean of the largest probability; 0 without clips."""
    accuracy: float


@dataclass(frozen=True)
class Scores:
    """What a network scored on some clips. Accuracies lie in [0, 1]."""

    clips: int
    """Clips that were scored; damaged ones are not."""
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
    interval: tuple[float, float] = (0.0, 1.0)
    """95 % interval of top-1 (Wilson): where the accuracy on very many such clips would lie."""
    ece: float = 0.0
    """Expected calibration error: how far confidence is from accuracy, in [0, 1]."""
    calibration: tuple[Bin, ...] = ()
    hidden: Mapping[str, float] = field(default_factory=dict)
    """Top-1 of the same network on the same clips with less to see: `rgb only`, `pose only`, `frames shuffled`."""
    damaged: tuple[str, ...] = ()
    """One sentence a clip that could not be read and was left out."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        low, high = self.interval
        head = (
            f"top-1 {self.top1:.1%} [{low:.1%}, {high:.1%}], top-5 {self.top5:.1%}, mean class {self.mean_class:.1%}, "
            f"ECE {self.ece:.1%} ({self.clips} clips)"
        )
        for parts in (self.per_kind, self.hidden):
            if parts:
                head += "; " + ", ".join(f"{name} {value:.1%}" for name, value in parts.items())
        return f"{head}; {len(self.damaged)} damaged clips left out" if self.damaged else head


def score_logits(
    logits: Tensor,
    target: Tensor,
    labels: Sequence[str],
    kinds: Sequence[str | None] | None = None,
    damaged: Sequence[str] = (),
) -> Scores:
    """Score logits [N, K] against class indices [N].

    Args:
        labels: names of the K classes.
        kinds: what decides each clip's label, or None where that is not known.
        damaged: what to say of clips that were left out.
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
    bins = calibrate(logits.softmax(1).amax(1), hit)
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
        interval=wilson(int(hit.sum()), count),
        ece=sum(b.clips * abs(b.accuracy - b.confidence) for b in bins) / count,
        calibration=bins,
        damaged=tuple(damaged),
    )


def calibrate(confidence: Tensor, hit: Tensor, bins: int = BINS) -> tuple[Bin, ...]:
    """Clips by their confidence [N] in (0, 1], and whether they were right [N], in bins of equal width."""
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    clips = torch.bincount(place, minlength=bins)
    sums = [torch.bincount(place, weights=of.double(), minlength=bins) for of in (confidence, hit)]
    means = [(total / clips.clamp_min(1)).tolist() for total in sums]
    return tuple(
        Bin(i / bins, (i + 1) / bins, number, means[0][i], means[1][i]) for i, number in enumerate(clips.tolist())
    )
