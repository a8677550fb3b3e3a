"""What every data set offers: clips by index, labels without decoding, and named splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from training.clip import Clip
from training.skeleton import SkeletonLayout


class Dataset(Protocol):
    """Clips are read when asked for, one at a time; nothing is loaded whole."""

    name: str
    labels: tuple[str, ...]
    layout: SkeletonLayout
    splits: Mapping[str, Sequence[int]]
    """Split name -> clip indices; `train`, `val` and `test` never share a clip."""

    def __len__(self) -> int: ...

    def clip(self, index: int) -> Clip:
        """Decode one clip. Raises ClipError in one sentence when it is damaged."""
        ...

    def label(self, index: int) -> int:
        """Class of a clip, without decoding it."""
        ...

    def flipped(self, label: str) -> str | None:
        """Label of the mirrored clip; None where mirroring would make something else of it."""
        ...
