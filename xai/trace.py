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
    whose name was asked for in `keep`. `patch_readers` bounds how many patches a window are asked what they read (they
    are spread evenly); the modal tokens and joints are always all asked.
    """

    def __init__(self, keep: tuple[str, ...] = (), patch_readers: int = 48) -> None:
        self.keep, self.patch_readers = keep, patch_readers
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
                self.attentions[name] = summarise(value, self.patch_readers)
        elif isinstance(value, PointsTap):
            self.points[name] = PointsTap(
                value.reference.detach(), value.position.detach(), value.clamped.detach(), value.volume
            )
        elif name in self.keep:
            self.values[name] = value.detach()


def summarise(tap: AttentionTap, patch_readers: int) -> AttentionSummary:
    """Reduce one attention to the rows of its readers and the flow between kinds of tokens."""
    kinds = tap.queries.kind[0]  # the first window is never padded, and all windows share its order
    present = [Kind(int(k)) for k in torch.unique(kinds) if k >= 0]
    readers = tuple(k for k in MODAL if k in present) or tuple(k for k in MANY if k in present)
    flow: dict[Kind, dict[Kind, Tensor]] = {}
    rows, frames = [], None
    for kind in present:
        positions = _positions(tap, kind, patch_readers if kind is Kind.PATCH else None)
        by_frame = attention_rows(tap.query[:, :, :, positions.flatten()], tap.key, tap.mask)
        real = (tap.queries.kind[:, positions] == kind).to(by_frame.dtype)  # (D, w, n); 0 where a window is padded
        weight = real / real.sum(2, keepdim=True).clamp_min(1)
        by_frame = torch.einsum("bdhwnk,dwn->bdhwk", by_frame.unflatten(3, positions.shape), weight)
        where = tap.queries.frame[:, positions[:, 0]].masked_fill(real.sum(2) == 0, -1)
        flow[kind] = _flow(by_frame, real.sum(2), tap)
        if kind in readers:
            rows.append(by_frame)
            frames = where
    assert frames is not None
    order = [readers.index(kind) for kind in present if kind in readers]
    stacked = torch.stack([rows[order.index(i)] for i in range(len(readers))], dim=3)
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


def _flow(rows: Tensor, count: Tensor, tap: AttentionTap) -> dict[Kind, Tensor]:
    """Mean mass [B] that readers give to each kind of key, from rows [B, D, h, w, N_k] that stand for `count` [D, w]
    tokens each."""
    read = torch.einsum("bdhwn,dw->bdn", rows, count) / (count.sum() * rows.shape[2])
    return {
        Kind(kind): torch.einsum("bdn,dn->b", read, (tap.keys.kind == kind).to(rows.dtype))
        for kind in torch.unique(tap.keys.kind).tolist()
        if kind >= 0
    }
