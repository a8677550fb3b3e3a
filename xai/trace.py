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
from functools import lru_cache
from types import TracebackType
from typing import Any

import numpy as np
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
            with torch.no_grad(), torch.autocast(value.query.device.type, enabled=False):
                self.attentions[name] = summarise(value, self.spread)
        elif isinstance(value, PointsTap):
            self.points[name] = PointsTap(
                value.reference.detach(), value.position.detach(), value.clamped.detach(), value.volume
            )
        elif name in self.keep:
            self.values[name] = value.detach()


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which tokens of one attention are asked, and how their rows are summed up: the same for all clips of a shape."""

    readers: tuple[Kind, ...]
    present: tuple[Kind, ...]
    """All kinds that are asked, `readers` first."""
    read: tuple[Kind, ...]
    asked: Tensor
    """[Q] places among the queries: kind by kind, frame by frame."""
    shapes: tuple[tuple[int, int], ...]
    """(frames, tokens a frame) of each kind of `present`."""
    member: Tensor
    """[D, 1, N_k, read] 1 where a key is of that kind."""
    mean: Tensor
    """[D, Q, present] weights that sum to 1 for each kind; 0 where a window is padded."""
    by_frame: tuple[Tensor | None, ...]
    """[D, w, n] of each of `readers`: the mean of its tokens of a frame; None where there is one, and no padding."""
    frames: Tensor
    """[D, w], -1 for padding."""


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept may be needed where gradients flow
def _plan(queries: TokenIds, keys: TokenIds, spread: int) -> _Plan:
    kinds, frames = queries.kind.cpu().numpy(), queries.frame.cpu().numpy()
    first = kinds[0]  # never padded, and all windows share its order
    found = [Kind(k) for k in np.unique(first).tolist() if k >= 0]
    readers = tuple(k for k in MODAL if k in found) or tuple(k for k in MANY if k in found)
    present = (*readers, *(k for k in found if k not in readers))
    limits = {Kind.PATCH: spread} | ({} if Kind.JOINT in readers else {Kind.JOINT: spread})
    asked = [_positions(first, frames[0], kind, limits.get(kind)) for kind in present]
    flat = np.concatenate([positions.ravel() for positions in asked])
    who = np.repeat(np.arange(len(present)), [positions.size for positions in asked])
    real = (kinds[:, flat] == np.array(present)[who])[..., None] & (who[:, None] == np.arange(len(present)))
    key_kinds = keys.kind.cpu().numpy()
    read = tuple(Kind(k) for k in np.unique(key_kinds).tolist() if k >= 0)

    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)).to(keys.kind.device)

    by_frame, time = [], frames
    for kind, positions in zip(readers, asked, strict=False):
        here = kinds[:, positions] == kind
        alone = positions.shape[1] == 1 and here.all()
        by_frame.append(None if alone else tensor(here / np.maximum(here.sum(2, keepdims=True), 1)))
        time = np.where(here.any(2), frames[:, positions[:, 0]], -1)
    return _Plan(
        readers=readers,
        present=present,
        read=read,
        asked=torch.from_numpy(flat).to(keys.kind.device),
        shapes=tuple((len(positions), positions.shape[1]) for positions in asked),
        member=tensor(key_kinds[:, None, :, None] == np.array(read)),
        mean=tensor(real / real.sum(axis=(0, 1))),
        by_frame=tuple(by_frame),
        frames=torch.from_numpy(time).to(keys.kind.device),
    )


def _positions(kinds: np.ndarray, frames: np.ndarray, kind: Kind, limit: int | None) -> np.ndarray:
    """[w, n]: where the tokens of one kind stand among the queries, frame by frame; at most `limit` in all."""
    found = np.flatnonzero(kinds == kind)
    frame = frames[found]
    by_frame = found[np.argsort(frame, kind="stable")].reshape(len(np.unique(frame)), -1)
    count = by_frame.shape[1] if limit is None else min(by_frame.shape[1], max(1, limit // len(by_frame)))
    return by_frame[:, ((np.arange(count) + 0.5) * by_frame.shape[1] / count).astype(int)]


def summarise(tap: AttentionTap, spread: int) -> AttentionSummary:
    """Reduce one attention to the rows of its readers and the flow between kinds of tokens.

    `spread` bounds how many patches a window are asked, and how many joints where modal tokens read for them.
    """
    plan = _plan(tap.queries, tap.keys, spread)
    # All at once: on a small clip, what costs time here is the number of operations.
    rows = attention_rows(tap.query[:, :, :, plan.asked], tap.key, tap.mask)
    mass = (rows @ plan.member).mean(2)  # (B, D, asked, read)
    given = torch.einsum("bdqk,dqr->brk", mass, plan.mean).unbind(1)
    flow = {
        kind: dict(zip(plan.read, each.unbind(-1), strict=True)) for kind, each in zip(plan.present, given, strict=True)
    }
    sizes = [frames * count for frames, count in plan.shapes]
    kept = []
    for row, shape, weight in zip(rows.split(sizes, 3), plan.shapes, plan.by_frame, strict=False):
        one = weight is None
        kept.append(row if one else torch.einsum("bdhwnk,dwn->bdhwk", row.unflatten(3, shape), weight))
    return AttentionSummary(plan.readers, torch.stack(kept, dim=3), plan.frames, tap.mask, tap.keys, flow)
