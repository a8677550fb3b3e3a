"""95 % intervals: how sure one may be of an accuracy, or of a mean. Without torch, for pages that only show numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

Z95 = 1.959964


def wilson(hits: float, count: float, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share of `hits` in `count`; unlike the normal one it never leaves [0, 1]."""
    share, extra = hits / count, z * z / count
    middle = (share + extra / 2) / (1 + extra)
    half = z * math.sqrt(share * (1 - share) / count + extra / (4 * count)) / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)


def spread_of(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half of the 95 % interval of a few values, of seeds or splits (Student's t); NaN for one."""
    from scipy.stats import t

    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan
    return mean, float(t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / math.sqrt(len(values))
