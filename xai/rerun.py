"""Rerun: the network again, on a changed clip, and what can be kept is kept.

When only joints, tokens or offsets change, the pixels are the same, and F_a and F_b are computed once: `run` enters the
network after its backbone. Changes go through in batches whose size is bounded by memory. Inside the network they are
made by a tap recorder (model/tap.py), which belongs to this thread: nothing is written to the network or to the clip,
and a `Trace` that is open around the call sees the changed pass.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.checkpoint import Network
from model.tap import HEAD_TOKENS, offsets_tap, recording, tap, tokens_tap
from model.transformer import DeformableTransformer
from training.clip import Clip
from training.recognizer import Prediction, Recognizer
from training.view import View
from xai.question import Question

Features = tuple[Tensor, Tensor]
"""F_a [1, C, T, H/2, W/2] and F_b [1, 4C, T, H/8, W/8] of one clip."""
BATCH_BYTES = 160 << 20
"""What F_a of one batch may take. The passes after it need about five times as much."""
LARGEST_BATCH = 16
"""On two cores a larger batch is no faster."""


class _Features(nn.Module):
    """Stands where the backbone stood and returns what the backbone found, for every clip of the batch."""

    def __init__(self, features: Features) -> None:
        super().__init__()
        self.features = features

    def forward(self, frames: Tensor) -> Features:
        features_a, features_b = (f.expand(len(frames), -1, -1, -1, -1) for f in self.features)
        return features_a, features_b


def entered(network: Network, features: Features | None) -> Network:
    """The same network, entered after its backbone: a second handle on the same weights, the first is not touched."""
    if features is None:
        return network
    handle = copy.copy(network)
    handle._modules = {**network._modules, "backbone": _Features(features)}
    return handle


def run(network: Network, tensors: tuple[Tensor, Tensor, Tensor], features: Features | None = None) -> Tensor:
    """Logits [B, classes] of (frames, joints, score). With `features`, frames count by their shape only."""
    entry = entered(network, features)
    return entry.classify(entry.features(*tensors))


@dataclass(frozen=True, eq=False)
class Exchange:
    """What is taken away inside the network. Nothing by default."""

    tokens: np.ndarray | None = None
    """[T, slots] bool: tokens that are zero where they enter each layer and where the head pools them."""
    head: np.ndarray | None = None
    """[T, slots] bool: tokens that are zero for the head only; the score falls by exactly their part of the ledger."""
    offsets: frozenset[int] = frozenset()
    """Layers whose offsets are zero: their points lie on the reference grid."""

    def __bool__(self) -> bool:
        return self.tokens is not None or self.head is not None or bool(self.offsets)


NOTHING = Exchange()


@dataclass(frozen=True, eq=False)
class Variant:
    """What the network reads in one changed pass."""

    joints: Tensor
    """[1, T, M, J, 2]"""
    score: Tensor
    """[1, T, M, J]"""
    frames: Tensor | None = None
    """[1, 3, T, h, w]; None when the pixels are those of the untouched clip."""
    exchange: Exchange = NOTHING


@dataclass(frozen=True, eq=False)
class Rerun:
    """One clip, one network, and what is computed once for all changes of it. Nothing in it changes."""

    recognizer: Recognizer
    seen: Clip
    """The frames that the network reads, uncropped and unscaled."""
    index: np.ndarray
    """[T] int: their numbers in the clip they were taken from."""
    view: View
    """How the network sees `seen`."""
    clip: Clip
    """The whole clip."""

    @classmethod
    def of(cls, recognizer: Recognizer, clip: Clip, view: View | None = None) -> Rerun:
        view = view or recognizer.view(clip)
        index = np.asarray(view.frame_index)
        return cls(recognizer, view.shown(clip), index, replace(view, frame_index=np.arange(len(index))), clip)

    @classmethod
    def of_question(cls, question: Question) -> Rerun:
        return cls.of(question.recognizer, question.clip, question.view)

    def reading(self, frames: int) -> Rerun:
        """The same, reading so many frames of the whole clip, evenly spaced: at most all that it has."""
        index = self.recognizer.view(self.clip, min(frames, len(self.clip))).frame_index
        return Rerun.of(self.recognizer, self.clip, replace(self.view, frame_index=index))

    @property
    def nbytes(self) -> int:
        """What all of it takes, with `tensors` and `features`, which are computed when they are first needed."""
        height, width = self.view.size
        features = getattr(self.recognizer.network.config, "width", 0) * len(self.seen) * height * width  # F_a: 4 B / 4
        read = 4 * 3 * len(self.seen) * height * width
        return features + features // 4 + read + self.seen.frames.nbytes + self.clip.frames.nbytes

    @cached_property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the network reads of the untouched clip. Do not write to it."""
        return self.recognizer.tensors(self.seen, self.view)

    @cached_property
    def features(self) -> Features | None:
        """F_a and F_b of the untouched clip; None for a network without a backbone."""
        if not isinstance(self.recognizer.network, DeformableTransformer):
            return None
        with torch.inference_mode():
            features: Features = self.recognizer.network.backbone(self.tensors[0])
        return features

    @property
    def batch(self) -> int:
        """How many clips go through the network at once."""
        height, width = self.view.size
        width_a = getattr(self.recognizer.network.config, "width", 64)
        features_a = width_a * len(self.seen) * height * width  # x 4 bytes / 2 / 2
        return max(1, min(LARGEST_BATCH, BATCH_BYTES // features_a))

    def variant(self, clip: Clip, exchange: Exchange = NOTHING) -> Variant:
        """`clip` is `seen` with edits (xai/edits.py), of any length."""
        view = replace(self.view, frame_index=np.arange(len(clip)))
        frames, joints, score = self.recognizer.tensors(clip, view)
        return Variant(joints, score, None if clip.frames is self.seen.frames else frames, exchange)

    def predict(self, clip: Clip, index: np.ndarray, exchange: Exchange = NOTHING) -> Prediction:
        """What the network says about `clip`, which is `seen` with edits; frame t of it has number `index[t]`."""
        view = replace(self.view, frame_index=np.arange(len(clip)))
        same = clip.frames is self.seen.frames
        network = entered(self.recognizer.network, self.features if same else None)
        with exchanging([exchange]):
            prediction = replace(self.recognizer, network=network)(clip, view)
        return replace(prediction, view=replace(view, frame_index=index))

    def logits(self, variants: Iterable[Variant], after_batch: Callable[[int], None] = lambda done: None) -> Tensor:
        """Logits [N, classes] (float64, on the CPU) of `variants`, which are made and read a batch at a time.
        `after_batch` is called with the number of variants that are done; what it raises ends the computation."""
        found: list[Tensor] = []
        done = 0
        for group in self._batches(variants):
            joints, score = torch.cat([v.joints for v in group]), torch.cat([v.score for v in group])
            with torch.inference_mode(), exchanging([v.exchange for v in group]):
                if group[0].frames is None:
                    frames = self.tensors[0].expand(len(group), -1, -1, -1, -1)
                    logits = run(self.recognizer.network, (frames, joints, score), self.features)
                else:
                    frames = torch.cat([v.frames for v in group if v.frames is not None])
                    logits = run(self.recognizer.network, (frames, joints, score))
            found.append(logits.double().cpu())
            done += len(group)
            after_batch(done)
        classes = self.recognizer.network.config.classes
        return torch.cat(found) if found else torch.zeros(0, classes, dtype=torch.float64)

    def _batches(self, variants: Iterable[Variant]) -> Iterator[list[Variant]]:
        """Neighbours that fit one tensor, at most `batch` of them; with pixels of their own, half as many."""
        group: list[Variant] = []
        for variant in variants:
            fits = not group or (
                variant.joints.shape == group[0].joints.shape and (variant.frames is None) == (group[0].frames is None)
            )
            if not fits:
                yield group
                group = []
            group.append(variant)
            if len(group) >= (self.batch if variant.frames is None else max(1, self.batch // 2)):
                yield group
                group = []
        if group:
            yield group


@contextmanager
def exchanging(exchanges: list[Exchange]) -> Iterator[None]:
    """Within the block, sample b of every pass of this thread is changed by `exchanges[b]`. A recorder that was open
    before goes on listening, to the changed values."""
    if not any(exchanges):
        yield
        return
    outside = copy_context()

    def masked(value: Tensor, masks: list[np.ndarray | None]) -> Tensor:
        """[B, T, slots, d] with the tokens of `masks` at zero."""
        if all(mask is None for mask in masks):
            return value
        none = np.zeros(value.shape[1:3], bool)
        gone = torch.from_numpy(np.stack([none if mask is None else mask for mask in masks])).to(value.device)
        return value.masked_fill(gone[..., None], 0)

    def recorder(name: str, value: Any) -> Any:
        if name == HEAD_TOKENS:
            value = masked(masked(value, [e.tokens for e in exchanges]), [e.head for e in exchanges])
        elif name.startswith("blocks.") and isinstance(value, Tensor):
            layer = int(name.split(".")[1])
            if name == tokens_tap(layer, "modal") and value.shape[1]:
                value = masked(value.transpose(1, 2), [e.tokens for e in exchanges]).transpose(1, 2)
            elif name == offsets_tap(layer):
                zero = torch.tensor([layer in e.offsets for e in exchanges], device=value.device)
                value = value.masked_fill(zero.view(-1, 1, 1, 1, 1), 0)
        return outside.run(tap, name, value)

    with recording(recorder):
        yield
