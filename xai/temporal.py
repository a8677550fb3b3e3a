"""Which frames the tokens read: query frame x frame attention mass in temporal stride attention.

Query window i reads key window i, the same cut shifted by the stride (Algorithm A2), so the table is a band: frames
outside the window of a query have no mass because they cannot be read. The base rate is uniform over what can be.
"""

from __future__ import annotations

import torch

from model.tap import attention_tap
from xai.explanation import Axis, Explanation, MadeBy
from xai.trace import AttentionSummary, Trace


def by_frame(summary: AttentionSummary, rows: torch.Tensor, frames: int) -> torch.Tensor:
    """[..., D, w, N_k] -> [..., query frame, frame]; a query frame in several windows is averaged."""
    count, size = summary.frames.shape
    keys = torch.where(summary.keys.kind >= 0, summary.keys.frame, frames)  # padding goes to a spare column
    index = keys[:, None].expand(count, size, -1).expand(rows.shape)
    read = rows.new_zeros(*rows.shape[:-1], frames + 1).scatter_add(-1, index, rows)[..., :frames]
    query = torch.where(summary.frames >= 0, summary.frames, frames).flatten()
    flat = read.flatten(-3, -2)
    total = flat.new_zeros(*flat.shape[:-2], frames + 1, frames).index_add(-2, query, flat)[..., :frames, :]
    times = torch.bincount(query, minlength=frames + 1)[:frames].clamp_min(1)
    return total / times[:, None]


def temporal_windows(trace: Trace, frames: int, layers: int, made_by: MadeBy, index: int = 0) -> Explanation | None:
    """Explanation [layer, head, query, query frame, frame]; None where temporal attention is eliminated."""
    if attention_tap(0, "temporal") not in trace.attentions:
        return None
    mass, base = [], []
    for layer in range(layers):
        summary = trace.attentions[attention_tap(layer, "temporal")]
        rows = summary.rows[index].permute(1, 2, 0, 3, 4)  # (h, K, D, w, N_k)
        readable = summary.readable[index].to(rows.dtype)
        uniform = readable / readable.sum(1, keepdim=True).clamp_min(1)
        mass.append(by_frame(summary, rows, frames))
        base.append(by_frame(summary, uniform[:, None].expand(-1, rows.shape[3], -1), frames))
    return Explanation(
        kind="temporal_windows",
        values=torch.stack(mass).cpu().numpy(),
        axes=(
            Axis("layer"),
            Axis("head"),
            Axis("query", tuple(kind.name.lower() for kind in summary.readers)),
            Axis("query frame"),
            Axis("frame"),
        ),
        unit="attention mass",
        made_by=made_by,
        base_rate=torch.stack(base)[:, None, None].cpu().numpy(),
        base_rate_of="uniform attention over what the window of the query frame can read",
    )
