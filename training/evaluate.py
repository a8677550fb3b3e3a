"""Evaluation: every clip once, in the centre view, with the accuracies of `training.metrics`.

What a trained network reads can be hidden from it: with "joints" every joint is unseen (score 0), with "frames" every
pixel has the mean colour, and with "order" the frames, with their joints, come in another order. Each clip is decoded
once, however many of these are asked for. Damaged clips are left out with their targets, and named.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from model import Network
from model.tokenizer import at_frame
from training.clip import Clip
from training.datasets.base import Dataset
from training.distributed import Peers
from training.errors import ClipError
from training.metrics import Scores, score_logits
from training.schedule import derived_seed
from training.skeleton import SkeletonLayout
from training.trail import rearranged
from training.transforms import Normalisation, Sample, batch
from training.view import Shown, clips_and_crops

Muted = Literal["joints", "frames", "order"]
LESS: dict[str, Muted] = {"rgb only": "joints", "pose only": "frames", "frames shuffled": "order"}
"""What is left of a clip -> what is hidden of it."""


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


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network said about the clips that could be read."""

    logits: Tensor
    """[N, K], on the CPU, in the order of the clips."""
    index: tuple[int, ...]
    """Which clip each row is about, N places in the set."""
    damaged: tuple[str, ...] = ()
    """One sentence a clip that could not be read."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """The autocast context of a precision: fp32, bf16 or fp16."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def predict(
    network: Network,
    data: ClipSet,
    *,
    size: int,
    frames: int,
    normalisation: Normalisation | None = None,
    fit: Shown = "crop",
    batch_size: int = 16,
    precision: str = "fp32",
    muted: Muted | None = None,
    progress: bool = False,
    peers: Peers | None = None,
) -> Predictions:
    """Logits of all clips that can be read. The network is left in the mode it was in.

    With `peers`, each process reads its part of the clips, and all of them get the logits of all.
    """
    reading = Reading(data, size, frames, normalisation or Normalisation(), batch_size, precision, fit=fit)
    return reading.predictions(network, [muted], peers or Peers(), progress)[0]


def evaluate(
    network: Network,
    data: ClipSet,
    *,
    size: int,
    frames: int,
    normalisation: Normalisation | None = None,
    fit: Shown = "crop",
    batch_size: int = 16,
    precision: str = "fp32",
    views: tuple[int, int] = (1, 1),
    muted: Muted | None = None,
    less: bool = False,
    progress: bool = False,
    peers: Peers | None = None,
) -> Scores:
    """Score a network on clips; see `training.metrics.Scores`.

    Args:
        views: clips x crops of each video, whose probabilities are averaged.
        muted: what is hidden from the network in all scores.
        less: also score it with each modality alone and with shuffled frames (`Scores.hidden`); four times the work.
    """
    if not len(data):
        raise ValueError(f"{data.name or 'The data set'} has no clips in this split; name another split.")
    reading = Reading(data, size, frames, normalisation or Normalisation(), batch_size, precision, views, fit)
    conditions = [muted, *LESS.values()] if less else [muted]
    whole, *parts = reading.predictions(network, conditions, peers or Peers(), progress)
    if not whole.index:
        raise ClipError(f"None of the {len(data)} clips of {data.name} can be read; the first: {whole.damaged[0]}")
    target = torch.tensor([data.targets[i] for i in whole.index])
    kinds = [data.kinds[i] for i in whole.index] if data.kinds else None
    scores = score_logits(whole.logits, target, data.labels, kinds, whole.damaged)
    hidden = {
        name: float((part.logits.argmax(1) == target).double().mean())
        for name, part in zip(LESS, parts, strict=False)
    }  # fmt: skip
    return replace(scores, hidden=hidden)


@dataclass(frozen=True, eq=False)
class Reading:
    """How the clips of a set are shown to a network."""

    data: ClipSet
    size: int
    frames: int
    normalisation: Normalisation
    batch_size: int
    precision: str
    views: tuple[int, int] = (1, 1)
    """Clips x crops of each video."""
    fit: Shown = "crop"

    def predictions(
        self, network: Network, conditions: Sequence[Muted | None], peers: Peers, progress: bool
    ) -> list[Predictions]:
        """One for each condition, all about the same clips."""
        mine = range(peers.rank, len(self.data), peers.count)  # in turn, so that long and short clips mix
        logits = torch.zeros(len(conditions), len(self.data), network.config.classes)
        read = torch.zeros(len(self.data), dtype=torch.long)
        damaged: list[tuple[int, str]] = []
        training = network.training
        network.eval()
        try:
            with tqdm(total=len(mine), desc="evaluate", unit="clip", disable=not progress, leave=False) as bar:
                for index, samples in self._batches(mine, damaged, network.reads_trail):
                    tensors = batch(samples, self.data.layout, self.normalisation)
                    each = np.repeat(index, self.views[0] * self.views[1]).tolist()
                    for found, muted in zip(logits, conditions, strict=True):
                        said = self._forward(network, hide(tensors, muted, each)).unflatten(0, (len(index), -1))
                        # of several views, the logarithm of the mean probability
                        found[index] = (
                            said[:, 0]
                            if said.shape[1] == 1
                            else said.log_softmax(-1).logsumexp(1) - math.log(said.shape[1])
                        )
                    read[index] += 1
                    bar.update(len(damaged) + int(read.sum()) - bar.n)
        finally:
            network.train(training)
        # one process holds the logits of a clip and the others zeros, so sums are exact
        logits, read = peers.total(logits), peers.total(read)
        sentences = tuple(text for _, text in sorted(chain.from_iterable(peers.gather(damaged))))
        scored = read.nonzero().flatten()
        if int(read.sum()) != len(scored) or len(scored) + len(sentences) != len(self.data):
            raise RuntimeError(f"Of {len(self.data)} clips {int(read.sum())} were scored; each must be, once.")
        return [Predictions(found[scored], tuple(scored.tolist()), sentences) for found in logits]

    def _batches(
        self, indices: Sequence[int], damaged: list[tuple[int, str]], trail: bool
    ) -> Iterator[tuple[list[int], list[Sample]]]:
        """Clips that can be read, and all views of each, in batches; the others are added to `damaged`."""
        index: list[int] = []
        samples: list[Sample] = []
        for number in indices:
            try:
                clip = self.data.clips[number]
            except (ClipError, OSError) as error:
                damaged.append((number, str(error)))
                continue
            index.append(number)
            views = clips_and_crops(clip, self.frames, self.size, *self.views, self.fit)
            samples += [view.apply(clip, trail) for view in views]
            if len(samples) >= self.batch_size:
                yield index, samples
                index, samples = [], []
        if samples:
            yield index, samples

    @torch.inference_mode()  # here only: before torch 2.5, gloo does not gather within it
    def _forward(self, network: Network, tensors: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        device = network.head.weight.device
        found = []
        for part in zip(*(tensor.split(max(1, self.batch_size)) for tensor in tensors), strict=True):
            with autocast(device, self.precision):
                found.append(network(*(tensor.to(device) for tensor in part)).float().cpu())
        return torch.cat(found)


def hide(
    tensors: tuple[Tensor, Tensor, Tensor], muted: Muted | None, index: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The clips `index` without what is muted. Each has an order of its own, the same every time; never its own one."""
    pixels, joints, score = tensors
    if muted == "joints":
        return pixels, joints, torch.zeros_like(score)
    if muted == "frames":
        return torch.zeros_like(pixels), joints, score  # normalised: the mean colour
    if muted == "order":
        order = torch.stack([shuffled(score.shape[1], number) for number in index])
        row = torch.arange(len(index))[:, None]
        mixed = pixels.transpose(1, 2)[row, order].transpose(1, 2)
        return mixed, _in_order(joints, order), score[row, order]
    return tensors


def _in_order(joints: Tensor, order: Tensor) -> Tensor:
    """Joints [B, T, M, J, ...] in another order [B, T] of the frames; a trail is kept as far as neighbours are."""
    if joints.ndim == 5:
        return joints[torch.arange(len(order))[:, None], order]
    places = at_frame(joints)[..., None, :]
    away = (joints - places).numpy()
    trails = [rearranged(trail, frames.numpy()) for trail, frames in zip(away, order, strict=True)]
    mixed = places[torch.arange(len(order))[:, None], order]
    return mixed + torch.from_numpy(np.stack(trails))


def shuffled(frames: int, number: int) -> Tensor:
    """An order of `frames` frames that belongs to clip `number`, and is not the right one if there is another."""
    generator = torch.Generator().manual_seed(derived_seed(number))
    order = torch.arange(frames)
    while frames > 1 and bool((order == torch.arange(frames)).all()):
        order = torch.randperm(frames, generator=generator)
    return order
