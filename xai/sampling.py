"""Where the model looked: the points of the 3D token search and the attention mass that each one received.

The points are shared by all queries and heads (one offset field a layer): another query weighs them anew, it does not
move them. The base rate is what uniform attention over the same keys gives every point.

Companions, [layer, point, ...]: `place` and `reference` (t, x, y), t in frames the model read, x and y in pixels of the
original clip; `clip_frame`, the same t in frames of the original clip; `offset` (frames, x, y) = place - reference;
`clamped`, whether the offset led out of the volume.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from model.attention import attention_rows
from model.tap import AttentionTap, Kind, PointsTap, attention_tap, points_tap
from model.token_search import to_index
from training.view import View
from xai.explanation import Axis, Explanation, MadeBy
from xai.trace import Trace


def places(points: PointsTap, position: torch.Tensor, view: View) -> np.ndarray:
    """Normalised (t, y, x) [..., 3] -> (t, x, y) [P, 3]: frames the model read, and pixels of the original clip."""
    index = to_index(position.float().reshape(-1, 3), points.volume).cpu().numpy().astype(np.float64)
    pixels = view.to_clip(8 * index[:, :0:-1])  # F_b index j is image pixel 8 j; (y, x) -> (x, y)
    return np.concatenate([index[:, :1], pixels], axis=1).astype(np.float32)


class PatchTrace(Trace):
    """A trace whose 3D deformable attention is asked what one patch reads, in place of the modal tokens.

    `frame`: of those the model read; `x`, `y`: pixels of the original clip. Raises ValueError for a place that no patch
    of the view covers.
    """

    def __init__(self, view: View, frame: int, x: float, y: float) -> None:
        super().__init__()
        if not 0 <= frame < len(view.frame_index):
            raise ValueError(f"There is no frame {frame}; the model read {len(view.frame_index)}, from 0.")
        column, row = view.to_model(np.array([[x, y]], float))[0] / 8  # F_b index j is image pixel 8 j
        rows, columns = view.size[0] // 8, view.size[1] // 8
        row, column = round(float(row)), round(float(column))
        if not (0 <= row <= rows and 0 <= column <= columns):
            raise ValueError(f"The model did not see the place ({x:g}, {y:g}); its view of the clip is smaller.")
        self._query = frame * rows * columns + min(row, rows - 1) * columns + min(column, columns - 1)

    def _record(self, name: str, value: Any) -> None:
        super()._record(name, value)
        if isinstance(value, AttentionTap) and name.endswith(".deformable.attention"):
            with torch.no_grad():
                rows = attention_rows(value.query[:, :, :, [self._query]], value.key, value.mask)
            self.attentions[name] = replace(self.attentions[name], readers=(Kind.PATCH,), rows=rows.unsqueeze(4))


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


def moved(points: Explanation) -> list[dict[str, float]]:
    """How far each layer moved its points, on average, and which part of them its offsets led out of the clip."""
    far = np.abs(points.companions["offset"]).mean(1)  # (layer, (frames, x, y))
    out = points.companions["clamped"].mean(1)
    return [
        {"frames": float(t), "x": float(x), "y": float(y), "clamped": float(part)}
        for (t, x, y), part in zip(far, out, strict=True)
    ]
