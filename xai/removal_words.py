"""What was taken away, in words that count as a page does: frames that the network reads, and blocks, from 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xai.removal import Removal


def in_words(removal: Removal, index: np.ndarray) -> str:
    """`index` [T] int: the frames of the clip that the network reads when nothing is taken away."""
    numbers: dict[str, Any] = {}
    if (frames := getattr(removal, "frames", None)) is not None:
        read = tuple(int(t) + 1 for t in np.flatnonzero(np.isin(index, frames)))
        if not read:
            return f"{replace(removal, frames=None).in_words} in frames that the network does not read"  # type: ignore[call-arg]
        numbers["frames"] = read
    if (layers := getattr(removal, "layers", None)) is not None:
        numbers["layers"] = tuple(layer + 1 for layer in layers)
    words = replace(removal, **numbers).in_words
    return words.replace("layer", "block") if "layers" in numbers else words
