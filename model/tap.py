"""Named taps: how the network hands over what happens inside it, without hooks, flags or a second code path.

`tap("blocks.2.joint.attention", ...)` returns its value untouched unless a recorder is open in the current context.
The recorder lives in a `ContextVar`, so it belongs to one thread or task: two people who run the same network never
see each other's values, and there is nothing to clean up on the module after an exception.

A recorder that returns None only listens. At the taps called exchangeable, where the network goes on with what the
tap returns, it may hand back another tensor of the same shape: that is how removal and attribution reach inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from torch import Tensor

Recorder = Callable[[str, Any], Any]

_recorder: ContextVar[Recorder | None] = ContextVar("recorder", default=None)


def tapped() -> bool:
    """Is anyone listening? Lets the network skip building what only a recorder reads."""
    return _recorder.get() is not None


def tap(name: str, value: Any) -> Any:
    """Hand `value` to the recorder of this context, if there is one, and return what it gives back or `value`."""
    if (recorder := _recorder.get()) is None:
        return value
    given = recorder(name, value)
    return value if given is None else given


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Within the block, every tap of this thread calls `recorder(name, value)`."""
    token = _recorder.set(recorder)
    try:
        yield
    finally:
        _recorder.reset(token)


class Kind(IntEnum):
    """What a token is."""

    PADDING = -1
    PATCH = 0
    """A token of Z: one cell of F_b."""
    POINT = 1
    """A token of Z~: F_b sampled at a deformed place (Algorithm A3)."""
    JOINT = 2
    CLS = 3
    RGB = 4
    POSE = 5
    SHARED = 6
    """The one token that plays all three roles in the variant `single`."""


ROLE_KIND = {"cls": Kind.CLS, "rgb": Kind.RGB, "pose": Kind.POSE, "shared": Kind.SHARED}


@dataclass(frozen=True, eq=False)
class TokenIds:
    """Who stands at each place of a token sequence, window by window. The same object for all clips of one shape.

    `kind` [D, N] is a `Kind`; `frame` [D, N] the frame it belongs to (-1 for points, which lie between frames);
    `place` [D, N] the patch (y * w8 + x), the point, the joint (person * J + joint, in the model's order), or 0.
    """

    kind: Tensor
    frame: Tensor
    place: Tensor


@dataclass(frozen=True)
class AttentionTap:
    """One attention, in windows, before the softmax. The map itself is never built: at 224 px it is 0.9 GB a layer."""

    query: Tensor
    """[B, D, heads, N_q, d_head]"""
    key: Tensor
    """[B, D, heads, N_k, d_head]"""
    mask: Tensor | None
    """[B, D, N_k] bool, True where a key may be read; None when all may."""
    queries: TokenIds
    keys: TokenIds
    value: Tensor
    """[B, D, heads, N_k, d_head]"""
    attended: Tensor
    """[B, D, heads, N_q, d_head]: softmax(query key^T) value, as the block goes on with it (with its gradient)."""


@dataclass(frozen=True)
class PointsTap:
    """Where the 3D token search looked, normalised to [-1, 1] with cell centres, in (t, y, x) order."""

    reference: Tensor
    """[T~, H~, W~, 3]"""
    position: Tensor
    """[B, T~, H~, W~, 3], clamped to the volume."""
    clamped: Tensor
    """[B, T~, H~, W~] bool: the offset led out of the volume."""
    volume: tuple[int, int, int]
    """(T, H/8, W/8): the token grid that `position` refers to."""


ATTENTIONS = ("deformable", "joint", "temporal")


def attention_tap(layer: int, attention: str) -> str:
    """Name of the tap of one of `ATTENTIONS` in one layer; its value is an `AttentionTap`."""
    return f"blocks.{layer}.{attention}.attention"


def offsets_tap(layer: int) -> str:
    """Name of the tap of the offsets [B, T~, H~, W~, 3] of one layer, in normalised (t, y, x); exchangeable."""
    return f"blocks.{layer}.deformable.offsets"


def tokens_tap(layer: int, tokens: str) -> str:
    """Name of the tap of the tokens that enter `layer` (0 ... L; L is what the head pools); exchangeable.

    `tokens`: "patches" Z [B, T, H8 * W8, d], "pose" P [B, T, M * J, d], "modal" M [B, K, T, d].
    """
    return f"blocks.{layer}.{tokens}"


def points_tap(layer: int) -> str:
    """Name of the tap of the 3D token search of one layer; its value is a `PointsTap`."""
    return f"blocks.{layer}.deformable.points"


def modal_tap(layer: int, after: str) -> str:
    """Name of the tap of the modal tokens [B, K, T, d] as one sub-block of a layer leaves them; exchangeable.

    `after`: "deformable" or "joint" (the tokens that took part, in the order of `roles`), or "project" (all of them).
    What leaves the last sub-block enters the next layer: `tokens_tap(layer + 1, "modal")`.
    """
    return f"blocks.{layer}.{after}.modal"


FEATURES_A = "backbone.features_a"
FEATURES_B = "backbone.features_b"
"""F_a [B, C_a, T, H/2, W/2] and F_b [B, C_b, T, H/8, W/8]; exchangeable."""
HEAD_TOKENS = "head.tokens"
"""What the head reads [B, T, slots, d]; exchangeable."""
