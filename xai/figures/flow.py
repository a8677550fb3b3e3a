"""Who reads whom, as plain numbers that travel with the player's payload: a page can draw them without torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xai.explanation import Explanation


def flow_numbers(flow: Explanation) -> dict[str, Any]:
    """Of a `token_flow`: names of its axes, attention mass and uniform level [layer, attention, reader, read].

    Six significant digits; None where a kind of token takes no part.
    """
    names = {axis.name: list(axis.labels) for axis in flow.axes[1:]}
    base = np.broadcast_to(flow.base_rate, flow.values.shape)
    return names | {"mass": _plain(flow.values), "uniform": _plain(base), "unit": flow.unit}


def _plain(values: Any) -> Any:
    if isinstance(values, np.ndarray):
        return [_plain(part) for part in values]
    return float(f"{float(values):.6g}") if math.isfinite(values) else None
