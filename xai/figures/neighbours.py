"""Payload of the neighbours view: what every token of a frame-wise ViT reads in the previous, own and next frame.

All rows travel at once, each in 8 bits of its own peak, so that hovering over a patch never asks the server. A network
whose rows do not fit `budget` (ViT-B/16: 45 MB) sends those of the CLS tokens only.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import torch

from model.framewise import FrameWise
from model.temporal_mixing import FramewiseTap
from training.clip import Clip
from training.recognizer import Recognizer
from xai.figures.player import film_sprite, pack
from xai.framewise import cone, listen

Payload = dict[str, Any]


def neighbours_payload(recognizer: Recognizer, clip: Clip, *, budget: int = 2_000_000) -> Payload:
    """Everything that the view may be asked to show of one clip.

    Raises: ValueError for a network that does not attend frame by frame.
    """
    network = recognizer.network
    if not isinstance(network, FrameWise):
        raise ValueError("This view shows frame-wise networks; the 3D deformable transformer is on the page Explore.")
    view = recognizer.view(clip)
    prediction, taps = listen(recognizer, clip, view)
    seen, config = view.shown(clip), network.config
    heads, count = config.heads, taps[0].key.shape[3]
    every = config.layers * heads * len(seen) * count * count * 4 / 3 <= budget
    queries = torch.arange(count if every else 1)
    rows = np.stack([_rows(tap, queries) for tap in taps])  # [L, heads, T, queries, N], NaN where there is no map
    peak = np.nan_to_num(rows).max(-1)
    bytes_ = np.rint(np.nan_to_num(rows) / np.maximum(peak, 1e-9)[..., None] * 255).astype(np.uint8)
    offset = taps[0].key_frames.cpu().numpy() - np.arange(len(seen))[:, None, None]  # [T, heads, N]
    return {
        "name": recognizer.card.name,
        "clip": {"frames": len(seen), "width": seen.size[1], "height": seen.size[0], "label": clip.label},
        "sprite": film_sprite(seen, 240, quality=80),
        "box": np.round(view.box(), 2).tolist(),
        "grid": [view.size[0] // config.patch, view.size[1] // config.patch],
        "layers": config.layers,
        "heads": heads,
        "queries": "all" if every else "cls",
        "rows": base64.b64encode(bytes_.tobytes()).decode("ascii"),
        "peak": pack(peak, low=0.0),
        "from": [[_alike(offset[t, h], taps[0].key_frames[t, h]) for h in range(heads)] for t in range(len(seen))],
        "asks": [[_alike(a, f) for a, f in zip(*pair, strict=True)] for pair in _asks(taps[0], len(seen))],
        "uniform": 1 / count,
        "reach": [int(table[len(seen) // 2].sum()) for table in cone(config, len(seen))],
        "answers": [{"label": label, "probability": round(p, 4)} for label, p in prediction.top(3)],
    }


def _rows(tap: FramewiseTap, queries: torch.Tensor) -> np.ndarray:
    return tap.rows(queries.to(tap.query.device))[0].transpose(0, 1).float().cpu().numpy()


def _asks(tap: FramewiseTap, frames: int) -> list[tuple[np.ndarray, torch.Tensor]]:
    offset = tap.query_frames.cpu().numpy() - np.arange(frames)[:, None, None]
    return [(offset[t], tap.query_frames[t]) for t in range(frames)]


def _alike(offset: np.ndarray, frames: torch.Tensor) -> Any:
    """-1, 0 or 1 (None for no frame) if all tokens are from one frame, else the list of them."""
    found = [int(step) if frame >= 0 else None for step, frame in zip(offset, frames.tolist(), strict=True)]
    return found[0] if len(set(found)) == 1 else found
