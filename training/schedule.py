"""When things happen: the stages of a run, its epochs and steps, and the learning rate at each step.

A run is a list of stages; early ones may be short clips of small images, which cost a tenth of the full size, and the
network resizes its embeddings by itself. The learning rate rises linearly over the first `warmup_epochs` and then
follows half a cosine over all that is left, step by step, whatever the stage; a stage may multiply it, or begin a new
half cosine (warm restarts: Loshchilov and Hutter, SGDR, ICLR 2017).

    rate(s) = (s + 1) / w                                          for s < w
    rate(s) = f + (1 - f) (1 + cos(pi (s - a) / (n - a))) / 2      for a <= s < n

where a is w or the last restart, and n the next restart or the end.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import torch


@dataclass(frozen=True)
class Stage:
    """Some epochs at one size. Stages follow each other with the same weights."""

    epochs: int = 30
    """Passes over the training clips."""
    size: int = 224
    """Image side in pixels, a multiple of 8 from 32 up."""
    frames: int = 12
    """T, frames of a clip."""
    batch: int = 16
    """Clips of one forward pass of all processes together; a step takes `optimiser.accumulate` of them."""
    lr: float = 1.0
    """Factor of the learning rate: a last stage of larger images has more to learn than the end of a cosine allows."""
    restart: bool = False
    """A new half cosine begins with this stage, and the one before ends there."""
    pictures: bool = True
    """False shows the joints alone, and the trunk rests. Few clips are learnt by heart from their pictures before their
    joints are understood, so a first stage may do without."""

    def __post_init__(self) -> None:
        if self.size % 8 or not 32 <= self.size <= 1024:
            raise ValueError(f"A stage has size {self.size}; it must be a multiple of 8 between 32 and 1024.")
        if not 0 < self.lr <= 100:
            raise ValueError(f"A stage has lr {self.lr}; it is a factor above 0, at most 100.")
        for name in ("epochs", "frames", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"A stage has {name} {getattr(self, name)}; it must be at least 1.")


@dataclass(frozen=True)
class Epoch:
    """One pass over the training clips: steps `first` to `first + steps - 1` of the run."""

    index: int
    stage_index: int
    stage: Stage
    batch: int
    first: int
    steps: int

    @property
    def end(self) -> int:
        return self.first + self.steps


@dataclass(frozen=True)
class Plan:
    """All epochs of a run."""

    epochs: tuple[Epoch, ...]
    warmup: int
    """Steps of warm-up."""
    final: float
    """Rate at the end of a cosine, as a part of the full one."""

    @property
    def steps(self) -> int:
        return self.epochs[-1].end

    def rate(self, step: int) -> float:
        """Factor of the learning rate at `step`; in (0, 1] where stages do not change it."""
        stage = self.epochs[max(0, bisect_right(self.epochs, step, key=lambda epoch: epoch.first) - 1)].stage
        if step < self.warmup:
            return stage.lr * (step + 1) / self.warmup
        starts = [self.warmup, *(start for start in self.restarts if start > self.warmup), self.steps]
        part = max(0, bisect_right(starts[:-1], step) - 1)
        progress = (step - starts[part]) / max(1, starts[part + 1] - starts[part])
        return stage.lr * (self.final + (1 - self.final) * (1 + math.cos(math.pi * progress)) / 2)

    @cached_property
    def restarts(self) -> tuple[int, ...]:
        """Steps at which a new cosine begins."""
        firsts = {epoch.stage_index: epoch.first for epoch in reversed(self.epochs) if epoch.stage.restart}
        return tuple(sorted(firsts.values()))


def make_plan(
    stages: tuple[Stage, ...], clips: int, accumulate: int = 1, warmup_epochs: float = 5, final: float = 0.01
) -> Plan:
    """Lay out the epochs for `clips` training clips.

    The incomplete last batch of an epoch is left out (another permutation brings its clips in the next epoch), because
    batch normalisation over one or two clips is noise.
    """
    if not stages:
        raise ValueError("The schedule has no stages; give at least one under schedule.stages.")
    epochs: list[Epoch] = []
    step = 0
    for number, stage in enumerate(stages):
        batch = min(stage.batch, clips)
        steps = clips // (batch * accumulate) if batch else 0
        if steps < 1:
            raise ValueError(
                f"{clips} training clips do not fill one step of {accumulate} x {stage.batch} clips; "
                "lower optimiser.accumulate or the batch of the stage."
            )
        for _ in range(stage.epochs):
            epochs.append(Epoch(len(epochs), number, stage, batch, step, steps))
            step += steps
    whole = min(int(warmup_epochs), len(epochs))
    warmup = sum(epoch.steps for epoch in epochs[:whole])
    if whole < len(epochs):
        warmup += round((warmup_epochs - whole) * epochs[whole].steps)
    return Plan(tuple(epochs), min(warmup, step - 1), final)


def epoch_batches(epoch: Epoch, clips: int, accumulate: int, seed: int, together: int = 1) -> list[list[int]]:
    """Which clips each batch of an epoch holds: a permutation that depends on (seed, epoch) alone.

    Every `together` consecutive clips stay neighbours; what is left over of the last of them is not used.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, epoch.index))
    groups = torch.randperm(clips // together, generator=generator)
    order = (groups[:, None] * together + torch.arange(together)).flatten().tolist()
    count = epoch.steps * accumulate
    return [order[i * epoch.batch : (i + 1) * epoch.batch] for i in range(count)]


def derived_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers, such as (seed, epoch, clip): nearby inputs give unrelated seeds."""
    value = 0x9E3779B97F4A7C15
    for number in numbers:  # splitmix64, one round a number
        value = (value ^ (number & 0xFFFFFFFFFFFFFFFF)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        value ^= value >> 31
    return value >> 1
