"""What was taken away, in words that count as a page does: frames and blocks from 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xai.removal import Modality, Region, Removal, Thin

if TYPE_CHECKING:
    from xai.rerun import Rerun


def words_of(removals: Sequence[Removal], rerun: Rerun) -> tuple[str, ...]:
    """Of everything that is taken away from a clip. Frames count those that the network reads; where it is made to read
    others, all frames of the clip."""
    whole = any(isinstance(removal, Thin) for removal in removals)
    index = np.arange(len(rerun.clip)) if whole else rerun.index
    return tuple(in_words(removal, index, rerun) for removal in removals)


def in_words(removal: Removal, index: np.ndarray, rerun: Rerun | None = None) -> str:
    """`index` [T] int: the frames of the clip that are counted. With `rerun`, also what its view makes of a removal."""
    numbers: dict[str, Any] = {}
    if (frames := getattr(removal, "frames", None)) is not None:
        read = tuple(int(t) + 1 for t in np.flatnonzero(np.isin(index, frames)))
        if not read:
            return f"{replace(removal, frames=None).in_words} in frames that the network does not read"  # type: ignore[call-arg]
        numbers["frames"] = read
    if (layers := getattr(removal, "layers", None)) is not None:
        numbers["layers"] = tuple(layer + 1 for layer in layers)
    if isinstance(removal, Thin) and rerun is not None:
        numbers["count"] = min(removal.count, len(rerun.clip))
    words = replace(removal, **numbers).in_words
    words = words.replace("layer", "block") if "layers" in numbers else words
    return words if rerun is None else words + _in_view(removal, rerun)


def _in_view(removal: Removal, rerun: Rerun) -> str:
    if isinstance(removal, Region):
        box = rerun.view.box()
        left, top = np.maximum((removal.x - 0.5, removal.y - 0.5), box.min(0))
        right, low = np.minimum((removal.x + removal.width - 0.5, removal.y + removal.height - 0.5), box.max(0))
        return ", outside what the network sees" * bool(left >= right or top >= low)
    chosen = rerun.recognizer.card.fit == "person" and isinstance(removal, Modality) and removal.modality == "pose"
    return " (they still choose the square that the network sees)" * chosen
