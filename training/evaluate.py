"""Evaluation: every clip once, in the centre view, with the accuracies of `training.metrics`.

`muted` answers what each modality is worth to a trained network: with "joints" every joint is unseen (score 0), with
"frames" every pixel has the mean colour.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from model import Network
from training.clip import Clip
from training.datasets.base import Dataset
from training.metrics import Scores, score_logits
from training.skeleton import SkeletonLayout
from training.transforms import Normalisation, Sample, batch
from training.view import centre_view

Muted = Literal["joints", "frames"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Some clips of a data set, read when they are asked for."""

    dataset: Dataset
    indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Clip:
        return self.dataset.clip(self.indices[position])


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Clips with the class of each: what training and evaluation go through."""

    clips: Chosen
    targets: tuple[int, ...]
    labels: tuple[str, ...]
    layout: SkeletonLayout
    kinds: tuple[str | None, ...] = ()
    """What decides each clip's label, where that is known."""
    mirrored: tuple[int, ...] | None = None
    """Class of the mirrored clip for each class; None when mirroring is not allowed."""
    name: str = ""

    def __len__(self) -> int:
        return len(self.targets)


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The autocast context of a precision: fp32, bf16 or fp16."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


@torch.inference_mode()
def predict(
    network: Network,
    data: ClipSet,
    *,
    size: int,
    frames: int,
    normalisation: Normalisation | None = None,
    batch_size: int = 16,
    precision: str = "fp32",
    muted: Muted | None = None,
    progress: bool = False,
) -> Tensor:
    """Logits [N, K] of all clips, in order, on the CPU. The network is left in the mode it was in."""
    device = network.head.weight.device
    training = network.training
    network.eval()
    found = []
    try:
        with tqdm(total=len(data), desc="evaluate", unit="clip", disable=not progress, leave=False) as bar:
            for samples in _batches(data, size, frames, batch_size):
                pixels, joints, score = batch(samples, data.layout, normalisation or Normalisation())
                if muted == "joints":
                    score = torch.zeros_like(score)
                elif muted == "frames":
                    pixels = torch.zeros_like(pixels)  # normalised: the mean colour
                with autocast(device, precision):
                    logits = network(pixels.to(device), joints.to(device), score.to(device))
                found.append(logits.float().cpu())
                bar.update(len(samples))
    finally:
        network.train(training)
    return torch.cat(found)


def _batches(data: ClipSet, size: int, frames: int, batch_size: int) -> Iterator[list[Sample]]:
    samples: list[Sample] = []
    for index in range(len(data)):
        clip = data.clips[index]
        samples.append(centre_view(clip, frames, size).apply(clip))
        if len(samples) == batch_size or index == len(data) - 1:
            yield samples
            samples = []


def evaluate(
    network: Network,
    data: ClipSet,
    *,
    size: int,
    frames: int,
    normalisation: Normalisation | None = None,
    batch_size: int = 16,
    precision: str = "fp32",
    muted: Muted | None = None,
    progress: bool = False,
) -> Scores:
    """Score a network on clips; see `training.metrics.Scores`."""
    if not len(data):
        raise ValueError(f"{data.name or 'The data set'} has no clips in this split; name another split.")
    logits = predict(
        network,
        data,
        size=size,
        frames=frames,
        normalisation=normalisation,
        batch_size=batch_size,
        precision=precision,
        muted=muted,
        progress=progress,
    )
    return score_logits(logits, torch.tensor(data.targets), data.labels, data.kinds)
