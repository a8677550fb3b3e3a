"""The gym as a data set: clips of known cause, drawn when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from training import gym
from training.clip import Clip
from training.errors import ClipError
from training.skeleton import JHMDB, SkeletonLayout


class Gym:
    """`train`, `val` and `test` clips, labels in turn; every clip has its own seed, and splits share none."""

    name = "gym"
    layout: SkeletonLayout = JHMDB
    labels: tuple[str, ...] = tuple(gym.LABELS)

    def __init__(self, train: int = 6000, val: int = 720, test: int = 1080, size: int = 112, frames: int = 16) -> None:
        if min(train, val, test) < 1:
            raise ClipError("Each split of the gym needs at least one clip.")
        self.size, self.frames = size, frames
        self.counts = {"train": train, "val": val, "test": test}
        ends = [train, train + val, train + val + test]
        self.splits: Mapping[str, Sequence[int]] = {
            "train": range(ends[0]),
            "val": range(ends[0], ends[1]),
            "test": range(ends[1], ends[2]),
        }

    def __len__(self) -> int:
        return sum(self.counts.values())

    def label(self, index: int) -> int:
        return self._place(index)[1] % len(self.labels)

    def flipped(self, label: str) -> str | None:
        return gym.flip_label(label)

    def clip(self, index: int) -> Clip:
        split, place = self._place(index)
        label = self.labels[place % len(self.labels)]
        return gym.clip(label, place // len(self.labels), self.size, self.frames, split)  # type: ignore[arg-type]

    def _place(self, index: int) -> tuple[str, int]:
        for split, members in self.splits.items():
            if index in members:
                return split, index - members[0]
        raise IndexError(f"The gym has {len(self)} clips; {index} was asked for.")
