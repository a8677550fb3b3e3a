"""Where the model looked: the points of the 3D token search and the attention mass that each one received.

The points are shared by all queries and heads (one offset field a layer): another query weighs them anew, it does not
move them. The base rate is what uniform attention over the same keys gives every point.

Companions, [layer, point, ...]: `place` and `reference` (t, x, y), t in frames the model read, x and y in pixels of the
original clip; `clip_frame`, the same t in frames of the original clip; `offset` (frames, x, y) = place - reference;
`clamped`, whether the offset led out of the volume.
"""

from __future__ import annotations

import numpy as np
import torch

from model.tap import Kind, PointsTap, attention_tap, points_tap
from model.token_search import to_index
from training.view import View
from xai.explanation import Axis, Explanation, MadeBy
from xai.trace import Trace


def places(points: PointsTap, position: torch.Tensor, view: View) -> np.ndarray:
    """Normalised (t, y, x) [..., 3] -> (t, x, y) [P, 3]: frames the model read, and pixels of the original clip."""
    index = to_index(position.float().reshape(-1, 3), points.volume).cpu().numpy().astype(np.float64)
    pixels = view.to_clip(8 * index[:, :0:-1])  # F_b index j is image pixel 8 j; (y, x) -> (x, y)
    return np.concatenate([index[:, :1], pixels], axis=1).astype(np.float32)


def sampling_points(trace: Trace, view: View, layers: int, made_by: MadeBy, index: int = 0) -> Explanation | None:
    """Explanation [layer, head, query, query frame, point] of one clip of the traced batch; None without a search."""
    if points_tap(0) not in trace.points:
        return None
    mass, reference, place, clamped, base = [], [], [], [], []
    read = np.asarray(view.frame_index, float)
    for layer in range(layers):
        summary = trace.attentions[attention_tap(layer, "deformable")]
        points = trace.points[points_tap(layer)]
        chosen = summary.keys.kind[0] == Kind.POINT
        mass.append(summary.rows[index, 0][..., chosen].cpu().numpy())
        reference.append(places(points, points.reference, view))
        place.append(places(points, points.position[index], view))
        clamped.append(points.clamped[index].flatten().cpu().numpy())
        base.append(1 / summary.rows.shape[-1])
    return Explanation(
        kind="sampling_points",
        values=np.stack(mass),
        axes=(
            Axis("layer"),
            Axis("head"),
            Axis("query", tuple(kind.name.lower() for kind in summary.readers)),
            Axis("query frame"),
            Axis("point"),
        ),
        unit="attention mass",
        made_by=made_by,
        base_rate=np.array(base, np.float32).reshape(-1, 1, 1, 1, 1),
        base_rate_of="uniform attention over all points and modal tokens",
        companions={
            "reference": np.stack(reference),
            "place": np.stack(place),
            "clip_frame": np.interp(np.stack(place)[..., 0], np.arange(len(read)), read).astype(np.float32),
            "offset": np.stack(place) - np.stack(reference),
            "clamped": np.stack(clamped),
        },
    )
