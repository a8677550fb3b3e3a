"""Who reads whom: the mean attention mass that each kind of token gives to each kind, in every attention (Table 5)."""

from __future__ import annotations

import numpy as np

from model.tap import ATTENTIONS, Kind, attention_tap
from xai.explanation import Axis, Explanation, MadeBy
from xai.trace import Trace


def token_flow(trace: Trace, layers: int, made_by: MadeBy, index: int = 0) -> Explanation:
    """Explanation [layer, attention, reader, read]. Rows of a reader that takes part sum to 1; NaN where it does not.

    Patches and joints are many: `Trace.spread` of each a window, evenly spread, stand for all. The base rate is
    the share of each kind among the keys of that attention.
    """
    kinds: list[Kind] = [kind for kind in Kind if kind != Kind.PADDING]
    shape = (layers, len(ATTENTIONS), len(kinds), len(kinds))
    values, base = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    for layer in range(layers):
        for a, attention in enumerate(ATTENTIONS):
            summary = trace.attentions.get(attention_tap(layer, attention))
            if summary is None:
                continue
            readable = summary.readable[index]
            share = [float((readable & (summary.keys.kind == kind)).sum() / readable.sum()) for kind in kinds]
            for reader, reads in summary.flow.items():
                row = kinds.index(reader)
                values[layer, a, row] = [float(reads[kind][index]) if kind in reads else 0.0 for kind in kinds]
                base[layer, a, row] = share
    used = [
        i for i in range(len(kinds)) if np.isfinite(values[:, :, i]).any() or (np.nan_to_num(values)[..., i] > 0).any()
    ]
    names = tuple(kinds[i].name.lower() for i in used)
    return Explanation(
        kind="token_flow",
        values=values[:, :, used][..., used],
        axes=(Axis("layer"), Axis("attention", ATTENTIONS), Axis("reader", names), Axis("read", names)),
        unit="attention mass",
        made_by=made_by,
        base_rate=base[:, :, used][..., used],
        base_rate_of="share of each kind among the keys",
    )
