"""A data set that takes a millisecond a clip: a bright square goes left or right, and all joints go with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.clip import Cause, Clip
from training.skeleton import JHMDB, SkeletonLayout


class Squares:
    """Clips of 8 frames of 40 x 48 pixels, labels in turn."""

    name = "squares"
    labels: tuple[str, ...] = ("goes left", "goes right")
    layout: SkeletonLayout = JHMDB

    def __init__(self, train: int = 24, val: int = 8, test: int = 8) -> None:
        self.splits: Mapping[str, Sequence[int]] = {
            "train": range(train),
            "val": range(train, train + val),
            "test": range(train + val, train + val + test),
        }

    def __len__(self) -> int:
        return self.splits["test"][-1] + 1

    def label(self, index: int) -> int:
        return index % 2

    def flipped(self, label: str) -> str | None:
        return self.labels[1 - self.labels.index(label)]

    def clip(self, index: int) -> Clip:
        random = np.random.default_rng(index)
        frames = random.integers(0, 80, (8, 40, 48, 3), dtype=np.uint8)
        top = int(random.integers(5, 25))
        path = 6 + 3 * np.arange(8)
        if self.label(index) == 0:
            path = path[::-1]
        joints = np.empty((8, 1, 15, 2), np.float32)
        for t, left in enumerate(path):
            frames[t, top : top + 8, left : left + 8] = (250, 200, 60)
            joints[t] = (left + 3.5, top + 3.5)
        length = len(frames)
        return Clip(
            frames=frames,
            joints=joints,
            score=np.ones((length, 1, 15), np.float32),
            layout=JHMDB,
            time=np.arange(length) / 15,
            label=self.labels[self.label(index)],
            name=f"square {index}",
            source=self.name,
            cause=Cause(
                "time", np.ones(length, bool), np.ones((length, 1, 15), bool), np.zeros((length, 40, 48), bool)
            ),
        )
