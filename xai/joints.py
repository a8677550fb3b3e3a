"""Which joints the tokens read: joint x frame attention mass in joint stride attention (the paper's Fig. 6).

Every joint is a key of exactly one window in the default pairing, so the curve of a joint is well defined: the mass it
receives there from the CLS and the pose token, averaged over their frames. The base rate is uniform attention over
what could be read in the same window (windows hold different numbers of seen joints). It is the token that is read:
with `pose_track` every token also holds the motion of the whole person.
"""

from __future__ import annotations

import numpy as np
import torch

from model.tap import Kind, attention_tap
from training.skeleton import SkeletonLayout
from xai.explanation import Axis, Explanation, MadeBy
from xai.trace import AttentionSummary, Trace


def by_joint(summary: AttentionSummary, values: torch.Tensor, frames: int, joints: int) -> torch.Tensor:
    """Scatter values [..., D, N_k] to the joints they belong to: [..., frames, joints], averaged where one is in
    several windows."""
    keys = summary.keys
    chosen = (keys.kind == Kind.JOINT).flatten()
    index = (keys.frame * joints + keys.place).flatten()[chosen]
    flat = values.flatten(-2)[..., chosen]
    total = flat.new_zeros(*flat.shape[:-1], frames * joints).index_add(-1, index, flat)
    count = torch.bincount(index, minlength=frames * joints).clamp_min(1)
    return (total / count).unflatten(-1, (frames, joints))


def joint_curves(
    trace: Trace, layout: SkeletonLayout, frames: int, people: int, layers: int, made_by: MadeBy, index: int = 0
) -> Explanation | None:
    """Explanation [layer, head, query, frame, person, joint], joints in the layout's own order; None without joints."""
    if attention_tap(0, "joint") not in trace.attentions:
        return None
    curves, base = [], []
    joints = people * len(layout)
    for layer in range(layers):
        summary = trace.attentions[attention_tap(layer, "joint")]
        real = (summary.frames >= 0).to(summary.rows.dtype)
        share = real / real.sum(1, keepdim=True).clamp_min(1)
        rows = (summary.rows[index] * share[:, None, None, :, None]).sum(3).permute(1, 2, 0, 3)  # (h, K, D, N_k)
        readable = summary.readable[index].to(rows.dtype)
        uniform = readable / readable.sum(1, keepdim=True).clamp_min(1)
        curves.append(by_joint(summary, rows, frames, joints).cpu().numpy())
        base.append(by_joint(summary, uniform, frames, joints).cpu().numpy())
    back = np.argsort(layout.window_order)  # the model reads joints in anatomical order

    def unpack(values: np.ndarray) -> np.ndarray:
        return values.reshape(*values.shape[:-1], people, len(layout))[..., back]

    return Explanation(
        kind="joint_curves",
        values=unpack(np.stack(curves)),
        axes=(
            Axis("layer"),
            Axis("head"),
            Axis("query", tuple(kind.name.lower() for kind in summary.readers)),
            Axis("frame"),
            Axis("person"),
            Axis("joint", layout.joints),
        ),
        unit="attention mass",
        made_by=made_by,
        base_rate=unpack(np.stack(base))[:, None, None],
        base_rate_of="uniform attention over the seen joints and modal tokens of the same window",
    )
