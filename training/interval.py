"""The 95 % interval of a share: how sure one may be of an accuracy. Without torch, for pages that only show numbers."""

from __future__ import annotations

import math

Z95 = 1.959964


def wilson(hits: int, count: int, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share of `hits` in `count`; unlike the normal one it never leaves [0, 1]."""
    share, extra = hits / count, z * z / count
    middle = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / count + extra / (4 * count)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)
