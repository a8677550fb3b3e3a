"""Payload of the neighbours view: what every token of a frame-wise ViT reads in the previous, own and next frame.

`through` is attention rollout over all blocks: what of each patch of each frame reaches the CLS token of each frame, in
8 bits of the most for that token; `shares` sums it over a frame, `strongest` is its strongest patch in even shares.
What is read are values, so that `from` says where they are from; `asks` and `keys` say it of queries and keys.

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
from xai.framewise import cone, grid_of, listen, rollout_through_time, transfer

Payload = dict[str, Any]


def neighbours_payload(recognizer: Recognizer, clip: Clip, *, budget: int = 2_000_000) -> Payload:
    """Everything that the view may be asked to show of one clip.

    Raises: ValueError for a network that does not attend frame by frame.
    """
    network = recognizer.network
    if not isinstance(network, FrameWise):
        raise ValueError("This view shows frame-wise networks; the 3D deformable transformer is on the page Explore.")
    view = recognizer.view(clip)
    seen, config = view.shown(clip), network.config
    grid = grid_of(recognizer, view)
    heads, count = config.heads, 1 + grid[0] * grid[1]
    every = config.layers * heads * len(seen) * count * count * 4 / 3 <= budget
    queries = torch.arange(count if every else 1)
    prediction, blocks = listen(recognizer, clip, view, lambda tap: (_rows(tap, queries), _sources(tap), transfer(tap)))
    rows = np.stack([each for each, *_ in blocks])  # [L, heads, T, queries, N], NaN where there is no map
    peak = np.nan_to_num(rows).max(-1)
    bytes_ = np.rint(np.nan_to_num(rows) / np.maximum(peak, 1e-9)[..., None] * 255).astype(np.uint8)
    asked, compared, read = blocks[0][1]
    through = rollout_through_time(config, [each for *_, each in blocks])[..., 1:]  # [T, T, patches]
    most, shares = through.max((1, 2)), through.sum(2)
    return {
        "name": recognizer.card.name,
        "clip": {"frames": len(seen), "width": seen.size[1], "height": seen.size[0], "label": clip.label},
        "sprite": film_sprite(seen, 240, quality=80),
        "box": np.round(view.box(), 2).tolist(),
        "grid": list(grid),
        "layers": config.layers,
        "heads": heads,
        "queries": "all" if every else "cls",
        "rows": base64.b64encode(bytes_.tobytes()).decode("ascii"),
        "peak": pack(peak, low=0.0),
        "asks": asked,
        "keys": compared,
        "from": read,
        "uniform": 1 / count,
        "through": base64.b64encode(
            np.rint(through / np.maximum(most, 1e-9)[:, None, None] * 255).astype(np.uint8).tobytes()
        ).decode("ascii"),
        "shares": np.round(shares, 5).tolist(),
        "strongest": np.round(through.max(2) * through.shape[2] / np.maximum(shares, 1e-9), 2).tolist(),
        "mixing": config.mixing,
        "cone": cone(config, len(seen)).astype(int).tolist(),
        "answers": [{"label": label, "probability": round(p, 4)} for label, p in prediction.top(3)],
    }


def _rows(tap: FramewiseTap, queries: torch.Tensor) -> np.ndarray:
    return tap.rows(queries.to(tap.query.device))[0].transpose(0, 1).float().cpu().numpy()


def _sources(tap: FramewiseTap) -> list[list[list[Any]]]:
    """Of queries, keys and values, by frame and head: from which frame they are."""
    found = []
    for frames in (tap.query_frames, tap.key_frames, tap.value_frames):
        numbers = frames.cpu().numpy()
        found.append([[_alike(row - t, row >= 0) for row in rows] for t, rows in enumerate(numbers)])
    return found


def _alike(offset: np.ndarray, real: np.ndarray) -> Any:
    """-1, 0 or 1 (None for no frame) if all tokens are from one frame, else the list of them."""
    found = [int(step) if there else None for step, there in zip(offset, real, strict=True)]
    return found[0] if len(set(found)) == 1 else found
