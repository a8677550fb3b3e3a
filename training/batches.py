"""Training batches: clip -> random view -> tensors, the same whoever prepares them and in whatever order.

The view of a clip depends on (seed, epoch, clip) alone; clips that go `together` share theirs, so that what differs
between them is what decides. A mirrored clip carries the label of its mirror image. A damaged clip is left out of its
batch and named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.clip import Clip
from training.errors import ClipError
from training.evaluate import ClipSet
from training.schedule import Epoch, derived_seed
from training.transforms import Augmentation, Normalisation, Sample, batch, mute_or_swap, random_view, vary
from training.view import Shown, View


class Batch(NamedTuple):
    """What the network reads, and the targets [B]. B is smaller than asked for when clips are damaged, down to 0."""

    frames: Tensor
    joints: Tensor
    score: Tensor
    target: Tensor
    damaged: Sequence[str] = ()
    """One sentence a damaged clip."""


class TrainingViews(Dataset):
    """Clip `index` as epoch `epoch` shows it: one random view, the same wherever and whenever it is made."""

    def __init__(
        self,
        data: ClipSet,
        epoch: Epoch,
        augmentation: Augmentation,
        seed: int,
        together: int = 1,
        trail: bool = False,
        normalisation: Normalisation | None = None,
        fit: Shown = "crop",
    ) -> None:
        self.data, self.epoch, self.augmentation, self.seed = data, epoch, augmentation, seed
        self.together, self.trail, self.normalisation = together, trail, normalisation or Normalisation()
        self.fit = fit
        if not epoch.stage.pictures:  # the joints are all there is
            self.augmentation = replace(
                augmentation, mute_frames=0.0, mute_joints=0.0, swap_frames=0.0, swap_joints=0.0
            )

    def view(self, index: int) -> tuple[Any, int]:
        """The sample and its target. Raises ClipError or OSError if the clip is damaged."""
        generator = np.random.default_rng(derived_seed(self.seed, self.epoch.index, index // self.together))
        clip, stage = self.data.clips[index], self.epoch.stage

        def shown(clip: Clip) -> tuple[Sample, View]:
            view = random_view(clip, stage.frames, stage.size, self.augmentation, generator, self.fit)
            return vary(view.apply(clip, self.trail, stage.pictures), self.augmentation, generator), view

        sample, view = shown(clip)

        def another() -> Sample:
            try:
                return shown(self.data.clips[int(generator.integers(len(self.data)))])[0]
            except (ClipError, OSError):  # reported when its own turn comes
                return sample

        target = self.data.targets[index]
        if view.mirrored:
            assert self.data.mirrored is not None
            target = self.data.mirrored[target]
        return mute_or_swap(sample, self.augmentation, generator, self.normalisation, another), target

    def __getitem__(self, index: int) -> Any:
        """The sample and its target, or the sentence that says why there is none."""
        try:
            return self.view(index)
        except (ClipError, OSError) as error:
            return str(error)

    def collate(self, items: Sequence[Any]) -> Batch:
        """Items of this data set as a batch, damaged ones left out."""
        good = [item for item in items if not isinstance(item, str)]
        damaged = [item for item in items if isinstance(item, str)]
        if not good:
            nothing = torch.empty(0)
            return Batch(nothing, nothing, nothing, torch.empty(0, dtype=torch.long), damaged)
        tensors = batch([sample for sample, _ in good], self.data.layout, self.normalisation)
        return Batch(*tensors, torch.tensor([target for _, target in good]), damaged)


def load_batches(views: TrainingViews, batches: list[list[int]], workers: int, device: torch.device) -> Iterator[Batch]:
    """Prepare `batches` (clip indices) in order; `workers` processes do it ahead, and change nothing else."""
    if workers < 0:
        workers = max(1, torch.get_num_threads() - 1) if device.type == "cuda" else 0
    yield from DataLoader(
        views,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=views.collate,
        pin_memory=device.type == "cuda",
        worker_init_fn=_start_worker,
        generator=torch.Generator(),  # the loader draws a seed for its workers; not from the global generator
    )


def _start_worker(_: int) -> None:
    cv2.setNumThreads(0)  # workers are the parallelism already
