"""Trace: listens to one forward pass and keeps what the pictures need, reduced while it is captured.

    with Trace() as trace:
        prediction = recognizer(clip)

A full attention map of one layer is 0.9 GB at 224 px. A trace keeps the rows of the tokens that the class depends on
(the modal tokens; without them, the mean row of the patches or joints of each frame): a few MB. It belongs to the
current thread (model/tap.py), changes no bit of the output, and leaves nothing on the network.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from model.attention import attention_rows
from model.tap import AttentionTap, Kind, PointsTap, TokenIds, recording

MODAL = (Kind.CLS, Kind.RGB, Kind.POSE, Kind.SHARED)
MANY = (Kind.PATCH, Kind.JOINT)


@dataclass(frozen=True)
class AttentionSummary:
    """One attention of one layer, by who reads.

    `rows` [B, D, heads, K, w, N_k]: what reader k of frame `frames[d, f]` reads, in window d; `frames` [D, w] is -1 for
    padding. `flow[reader][read]` [B] is the mean mass that tokens of one kind give to tokens of another.
    """

    readers: tuple[Kind, ...]
    rows: Tensor
    frames: Tensor
    mask: Tensor | None
    """[B, D, N_k] bool, True where a key may be read; None when all may."""
    keys: TokenIds
    flow: dict[Kind, dict[Kind, Tensor]]

    @property
    def readable(self) -> Tensor:
        """[B, D, N_k] bool: keys that could be read."""
        real = (self.keys.kind >= 0)[None]
        return real.expand(len(self.rows), -1, -1) if self.mask is None else self.mask & real


class Trace(AbstractContextManager["Trace"]):
    """Everything the taps handed over during the `with` block.

    `attentions[name]` is an `AttentionSummary`, `points[name]` a `PointsTap`, `values[name]` any other tapped tensor
    whose name was asked for in `keep`. `spread` bounds how many patches, and how many joints, of a window are asked
    what they read (evenly spread); the modal tokens are always all asked.
    """

    def __init__(self, keep: tuple[str, ...] = (), spread: int = 24) -> None:
        self.keep, self.spread = keep, spread
        self.attentions: dict[str, AttentionSummary] = {}
        self.points: dict[str, PointsTap] = {}
        self.values: dict[str, Tensor] = {}

    def __enter__(self) -> Trace:
        self._context = recording(self._record)
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)

    def _record(self, name: str, value: Any) -> None:
        if isinstance(value, AttentionTap):
            with torch.no_grad():
                self.attentions[name] = summarise(value, self.spread)
        elif isinstance(value, PointsTap):
            self.points[name] = PointsTap(
                value.reference.detach(), value.position.detach(), value.clamped.detach(), value.volume
            )
        elif name in self.keep:
            self.values[name] = value.detach()


def summarise(tap: AttentionTap, spread: int) -> AttentionSummary:
    """Reduce one attention to the rows of its readers and the flow between kinds of tokens.

    `spread` bounds how many patches a window are asked, and how many joints where modal tokens read for them.
    """
    kinds = tap.queries.kind[0]  # the first window is never padded, and all windows share its order
    present = [Kind(int(k)) for k in torch.unique(kinds) if k >= 0]
    readers = tuple(k for k in MODAL if k in present) or tuple(k for k in MANY if k in present)
    limits = {Kind.PATCH: spread} | ({} if Kind.JOINT in readers else {Kind.JOINT: spread})
    asked = [_positions(tap, kind, limits.get(kind)) for kind in present]
    # All at once: what costs time here is the number of passes over the rows.
    rows = attention_rows(tap.query[:, :, :, torch.cat([p.flatten() for p in asked])], tap.key, tap.mask)
    read = [Kind(k) for k in torch.unique(tap.keys.kind).tolist() if k >= 0]
    member = torch.stack([tap.keys.kind == kind for kind in read], dim=-1).to(rows.dtype)  # (D, N_k, read)
    mass = rows @ member[:, None]  # (B, D, heads, asked, read)
    sizes = [p.numel() for p in asked]
    flow: dict[Kind, dict[Kind, Tensor]] = {}
    kept: dict[Kind, Tensor] = {}
    frames = None
    for kind, positions, row, part in zip(present, asked, rows.split(sizes, 3), mass.split(sizes, 3), strict=True):
        real = (tap.queries.kind[:, positions] == kind).to(rows.dtype)  # (D, w, n); 0 where a window is padded
        mean = torch.einsum("bdhqk,dq->bk", part, real.flatten(1)) / (real.sum() * rows.shape[2])
        flow[kind] = dict(zip(read, mean.unbind(-1), strict=True))
        if kind in readers:
            weight = real / real.sum(2, keepdim=True).clamp_min(1)
            by_frame = row.unflatten(3, positions.shape)
            single = positions.shape[1] == 1
            kept[kind] = (
                by_frame[..., 0, :] * weight[:, None, :, :]
                if single
                else torch.einsum("bdhwnk,dwn->bdhwk", by_frame, weight)
            )
            frames = tap.queries.frame[:, positions[:, 0]].masked_fill(real.sum(2) == 0, -1)
    assert frames is not None
    stacked = torch.stack([kept[kind] for kind in readers], dim=3)
    return AttentionSummary(readers, stacked, frames, tap.mask, tap.keys, flow)


def _positions(tap: AttentionTap, kind: Kind, limit: int | None) -> Tensor:
    """[w, n]: where the tokens of one kind stand among the queries, frame by frame; at most `limit` in all."""
    found = (tap.queries.kind[0] == kind).nonzero().flatten()
    frame = tap.queries.frame[0, found]
    found = found[torch.argsort(frame, stable=True)].reshape(len(torch.unique(frame)), -1)
    per_frame = found.shape[1] if limit is None else min(found.shape[1], max(1, limit // len(found)))
    if per_frame < found.shape[1]:
        pick = (torch.arange(per_frame, device=found.device) + 0.5) * found.shape[1] / per_frame
        found = found[:, pick.long()]
    return found
