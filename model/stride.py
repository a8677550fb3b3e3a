"""Joint stride attention (Algorithm A1) and temporal stride attention (Algorithm A2).

A sequence (joints, or frames) is cut into windows; window i of the queries reads window i of the keys, which is the
same cut of the sequence shifted by `stride`. With 13 joints, window 4, stride 2:

    queries   0  1  2  3 | 4  5  6  7 | 8  9 10 11 | 12  -  -  -
    keys      2  3  4  5 | 6  7  8  9 | 10 11 12 - |  -  -  0  1

The loop body of both algorithms is lost in the paper's text; this reading keeps what survived: two separate sets of
equal window size, a stride of half a window, pairs with the same index, no merge step. The shift wraps around, for
otherwise the first joints would never be keys and could never be attended to. Other readings: `self` (keys = queries),
`slide` (a query window at every stride; overlapping outputs are averaged), `both` (own and shifted window as keys).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from model.attention import AttentionBlock
from model.config import ModelConfig, Pairing
from model.tap import ROLE_KIND, Kind, TokenIds, attention_tap


@dataclass(frozen=True, eq=False)
class Windows:
    """Index tables. `query` [D, w] and `key` [D, w_k] point into the sequence; -1 is padding."""

    query: Tensor
    key: Tensor

    @property
    def tiled(self) -> bool:
        """Every element stands in exactly one query window, in order."""
        real = self.query[self.query >= 0]
        return bool((real == torch.arange(len(real), device=real.device)).all())


@lru_cache(maxsize=256)
def windows(
    length: int, window: int, stride: int | None = None, pairing: Pairing = "cyclic", wrap: bool = True
) -> Windows:
    """Cut a sequence of `length` into pairs of query and key windows.

    Args:
        window: elements of a window; shortened to `length`.
        stride: shift between queries and keys; None is floor(window / 2), and 0 when one window holds everything.
        wrap: False hides keys that the shift brings from the other end. A window left without any key reads itself.
    """
    size = min(window, length)
    count = -(-length // size)
    padded = count * size
    shift = 0 if count == 1 else (max(1, size // 2) if stride is None else min(stride, size))
    starts = torch.arange(0, padded, shift if pairing == "slide" and shift else size)
    step = torch.arange(size)
    query = (starts[:, None] + step) % padded
    if pairing == "self":
        unwrapped = starts[:, None] + step
    elif pairing == "both":
        unwrapped = starts[:, None] + torch.arange(size + shift)
    else:
        unwrapped = starts[:, None] + shift + step
    key = unwrapped % padded
    if not wrap:
        key = torch.where(unwrapped < padded, key, padded)
    query = torch.where(query < length, query, -1)
    key = torch.where(key < length, key, -1)
    empty = (key < 0).all(1)
    if empty.any():
        own = torch.full_like(key, -1)
        own[:, :size] = query
        key = torch.where(empty[:, None], own, key)
    return Windows(query, key)


def merge(cut: Tensor, table: Windows, length: int) -> Tensor:
    """Put windows back: [B, D, w, ...] -> [B, length, ...]; elements in several windows are averaged."""
    flat = cut.flatten(1, 2)
    index = table.query.flatten()
    if table.tiled:
        return flat[:, :length]
    real = (index >= 0).to(cut.device)
    index = index.to(cut.device)[real]
    total = cut.new_zeros(cut.shape[0], length, *cut.shape[3:]).index_add(1, index, flat[:, real])
    count = torch.bincount(index, minlength=length).to(cut.dtype)
    return total / count.view(1, -1, *[1] * (total.ndim - 2))


class JointStrideAttention(nn.Module):
    """Local joint stride attention, Algorithm A1 and Eqs. 5-6.

    One window holds w joints in all T frames, and the pose and CLS tokens of all frames, which are copied into each of
    the D windows and averaged over them afterwards. Joints that are not seen are no keys.
    """

    def __init__(self, config: ModelConfig, layer: int, drop_path: float) -> None:
        super().__init__()
        self.full = config.joint == "full"
        self.window, self.stride, self.pairing = config.joint_window, config.joint_stride, config.joint_pairing
        self.block = AttentionBlock(config, attention_tap(layer, "joint"), drop_path)

    def forward(self, pose: Tensor, modal: Tensor, visible: Tensor, roles: list[str]) -> tuple[Tensor, Tensor]:
        """P [B, T, R, d], M [B, K, T, d], visible [B, T, R] bool -> new P and M of the same shapes."""
        frames, joints = pose.shape[1:3]
        table = windows(joints, joints if self.full else self.window, self.stride, self.pairing)
        count, size = table.query.shape
        query_index, key_index = table.query.to(pose.device), table.key.to(pose.device)

        def cut(tokens: Tensor, index: Tensor) -> Tensor:
            return rearrange(tokens[:, :, index.clamp_min(0)], "b t d w c -> (b d) (t w) c")

        copies = repeat(modal, "b k t c -> (b d) (k t) c", d=count)
        x = torch.cat([cut(pose, query_index), copies], dim=1)
        context = torch.cat([cut(pose, key_index), copies], dim=1)
        seen = visible[:, :, key_index.clamp_min(0)] & (key_index >= 0)
        mask = rearrange(seen, "b t d w -> (b d) (t w)")
        mask = torch.cat([mask, mask.new_ones(len(mask), copies.shape[1])], dim=1)

        def identify() -> tuple[TokenIds, TokenIds]:
            return _joint_ids(table, frames, tuple(roles), pose.device)

        out = self.block(x, context, mask, identify, windows=count)
        cut_out = rearrange(out[:, : frames * size], "(b d) (t w) c -> b d w t c", d=count, t=frames)
        pose = merge(cut_out, table, joints).transpose(1, 2)
        modal = rearrange(out[:, frames * size :], "(b d) (k t) c -> b d k t c", d=count, t=frames).mean(1)
        return pose, modal


class TemporalStrideAttention(nn.Module):
    """Temporal stride attention, Algorithm A2 and Eqs. 7-8.

    One window holds w frames with all their tokens: patches, joints and modal tokens. After the last layer the head
    reads the modal tokens only, so there no other token reads: nothing would come of it, at half of the layer's price.
    """

    def __init__(self, config: ModelConfig, layer: int, drop_path: float) -> None:
        super().__init__()
        self.full = config.temporal == "full"
        self.window, self.stride = config.temporal_window, config.temporal_stride
        self.pairing, self.wrap = config.temporal_pairing, config.temporal_wrap
        self.only_modal = layer == config.layers - 1 and bool(config.roles)
        self.block = AttentionBlock(config, attention_tap(layer, "temporal"), drop_path)

    def forward(
        self, patches: Tensor, pose: Tensor, modal: Tensor, visible: Tensor, roles: list[str]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Z [B, T, S, d], P [B, T, R, d], M [B, K, T, d] -> the same, after reading across frames."""
        tokens = torch.cat([patches, pose, rearrange(modal, "b k t c -> b t k c")], dim=2)  # N, (B, T, S + R + K, d)
        frames, spatial, joints = patches.shape[1], patches.shape[2], pose.shape[2]
        table = windows(frames, frames if self.full else self.window, self.stride, self.pairing, self.wrap)
        count = len(table.query)
        query_index, key_index = table.query.to(tokens.device), table.key.to(tokens.device)

        readers = tokens[:, :, spatial + joints :] if self.only_modal else tokens

        def cut(some: Tensor, index: Tensor) -> Tensor:
            if count == 1:
                return some.flatten(1, 2)
            return rearrange(some[:, index.clamp_min(0)], "b d w n c -> (b d) (w n) c")

        mask = None
        if bool((table.key < 0).any()) or not bool(visible.all()):
            readable = visible.new_ones(*visible.shape[:2], tokens.shape[2])
            readable[:, :, spatial : spatial + joints] = visible
            seen = readable[:, key_index.clamp_min(0)] & (key_index >= 0)[..., None]
            mask = rearrange(seen, "b d w n -> (b d) (w n)")

        def identify() -> tuple[TokenIds, TokenIds]:
            return _frame_ids(table, spatial, joints, tuple(roles), self.only_modal, tokens.device)

        out = self.block(cut(readers, query_index), cut(tokens, key_index), mask, identify, windows=count)
        out = merge(rearrange(out, "(b d) (w n) c -> b d w n c", d=count, n=readers.shape[2]), table, frames)
        if self.only_modal:
            return patches, pose, rearrange(out, "b t k c -> b k t c")
        patches, pose, modal = out.split([spatial, joints, len(roles)], dim=2)
        return patches, pose, rearrange(modal, "b t k c -> b k t c")


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # what is kept may be needed where gradients flow
def _joint_ids(table: Windows, frames: int, roles: tuple[str, ...], device: torch.device) -> tuple[TokenIds, TokenIds]:
    """Queries and keys: [joints of a window in all frames | modal tokens], each [D, T * w + K * T]."""

    def of(index: Tensor) -> TokenIds:
        count, size = index.shape
        time = torch.arange(frames, device=device)
        joint = repeat(index.to(device), "d w -> d (t w)", t=frames)
        kind = torch.where(joint < 0, int(Kind.PADDING), int(Kind.JOINT))
        frame = repeat(time, "t -> d (t w)", d=count, w=size)
        modal_kind = torch.tensor([int(ROLE_KIND[role]) for role in roles], dtype=torch.long, device=device)
        return TokenIds(
            torch.cat([kind, repeat(modal_kind, "k -> d (k t)", d=count, t=frames)], dim=1),
            torch.cat([frame, repeat(time, "t -> d (k t)", d=count, k=len(roles))], dim=1),
            torch.cat([joint.clamp_min(0), joint.new_zeros(count, len(roles) * frames)], dim=1),
        )

    return of(table.query), of(table.key)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _frame_ids(
    table: Windows, spatial: int, joints: int, roles: tuple[str, ...], only_modal: bool, device: torch.device
) -> tuple[TokenIds, TokenIds]:
    """Queries and keys: [patches | joints | modal tokens] of every frame of a window, each [D, w * (S + R + K)]; of the
    queries the modal tokens alone with `only_modal`."""

    def of(index: Tensor, spatial: int, joints: int) -> TokenIds:
        index = index.to(device)
        kinds = [int(Kind.PATCH)] * spatial + [int(Kind.JOINT)] * joints + [int(ROLE_KIND[role]) for role in roles]
        places = [*range(spatial), *range(joints), *[0] * len(roles)]
        kind = repeat(torch.tensor(kinds, device=device), "n -> d w n", d=index.shape[0], w=index.shape[1])
        kind = torch.where(index[..., None] < 0, int(Kind.PADDING), kind)
        frame = repeat(index.clamp_min(0), "d w -> d w n", n=len(kinds))
        place = repeat(torch.tensor(places, device=device), "n -> d w n", d=index.shape[0], w=index.shape[1])
        return TokenIds(kind.flatten(1), frame.flatten(1), place.flatten(1))

    return of(table.query, *((0, 0) if only_modal else (spatial, joints))), of(table.key, spatial, joints)
