"""How frame-wise attention looks at neighbouring frames without a parameter or a product more: by shifting.

    none         every frame is read alone
    tokenshift   channels of chosen tokens come from t+1 and t-1 (TokenShift, Zhang et al. 2021)
    msca         of some heads, query, key or value come from t+1 and t-1 (MSCA, arXiv 2204.00452, Sec. 3)

TokenShift moves the first c/4 channels from frame t+1 and the next c/4 from t-1, in the main stream, before the
attention and before the FFN of every block. MSCA-KV: the first n heads read keys and values of frame t+1, the last n
those of t-1, the others their own frame. Along the patch dimension (the paper's abstract says no more than that; this
is our reading) every head takes the rows of one patch in so many from t+1, of another from t-1, the rest from t.

At the ends of a clip there is no such frame. `zero` is the official code: zeros come instead, which makes a softmax
uniform: over zeros where values are missing, over the frame's own values where only queries or keys are. `self`: the
end frames keep their own. A tap says of every row which frame it is from, -1 for none, so that nobody draws such a map.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from model.attention import AttentionBlock, attention_rows
from model.config import ModelConfig
from model.tap import ROLE_KIND, Kind, attention_tap, tap, tapped

MixingKind = Literal["none", "tokenshift", "msca"]
Boundary = Literal["zero", "self"]
Across = Literal["heads", "patches"]

EVERY = slice(0, None)
"""All tokens of a frame."""


def from_frame(x: Tensor, step: int, boundary: Boundary, time: int = 1) -> Tensor:
    """[B, T, ...] -> the same with frame t + step (+1 or -1) at t; what has no such frame is zero or stays."""
    frames = x.shape[time]
    first, others = x.split([1, frames - 1] if step > 0 else [frames - 1, 1], time)  # gradients of split are cheap
    lost, kept = (first, others) if step > 0 else (others, first)
    end = torch.zeros_like(lost) if boundary == "zero" else x.narrow(time, frames - 1 if step > 0 else 0, 1)
    return torch.cat([kept, end] if step > 0 else [end, kept], time)


def _of_chosen(x: Tensor, chosen: slice, dim: int, move: Callable[[Tensor], Tensor]) -> Tensor:
    """`move` of the chosen part of axis `dim`, with the rest as it is."""
    start, stop, _ = chosen.indices(x.shape[dim])
    if stop - start == x.shape[dim]:
        return move(x)
    before, part, behind = x.split([start, stop - start, x.shape[dim] - stop], dim)
    return torch.cat([piece for piece in (before, move(part), behind) if piece.shape[dim]], dim)


@dataclass(frozen=True)
class Mixing:
    """One way of mixing, with everything it needs to know."""

    kind: MixingKind = "none"
    shifted: str = "KV"
    """MSCA: which of Q, K and V come from the neighbouring frame."""
    across: Across = "heads"
    heads: int = 1
    """MSCA: heads that are shifted in each direction."""
    period: int = 12
    """MSCA across patches: one patch of so many, in reading order, is shifted in each direction."""
    fold: int = 4
    """TokenShift: one channel of so many is shifted in each direction."""
    boundary: Boundary = "zero"

    def stream(self, x: Tensor, chosen: slice) -> Tensor:
        """TokenShift of the `chosen` tokens of the main stream [B, T, N, d]; other mixings leave it alone."""
        if self.kind != "tokenshift":
            return x
        fold = x.shape[3] // self.fold

        def move(tokens: Tensor) -> Tensor:
            after, before, own = tokens.split([fold, fold, tokens.shape[3] - 2 * fold], 3)
            return torch.cat([from_frame(after, +1, self.boundary), from_frame(before, -1, self.boundary), own], 3)

        return _of_chosen(x, chosen, 2, move)

    def attention(self, qkv: Tensor, chosen: slice = EVERY, *, in_place: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """MSCA: [3, B, T, N, heads, d_head] -> queries, keys and values [B, T, N, heads, d_head], the `chosen` tokens
        from where they are read. Across patches, `chosen` are the patches; tokens outside it keep their frame.

        `in_place` writes what moves into `qkv`, where nothing asks for gradients: only what moves is copied.
        """
        parts = list(qkv.unbind())
        which = ["QKV".index(name) for name in self.shifted] if self.kind == "msca" else []
        if which:
            # One shift for all that move: any of Q, K, V are evenly spaced in memory, so that this is a view.
            step = which[-1] - which[0] if len(which) == 2 else 1
            moved = self._shift(qkv[which[0] : which[-1] + 1 : step], chosen, in_place)
            for part, tensor in zip(which, moved.unbind(), strict=True):
                parts[part] = tensor
        q, k, v = parts
        return q, k, v

    def _shift(self, x: Tensor, chosen: slice, in_place: bool) -> Tensor:
        """[parts, B, T, N, heads, d_head] -> the same with the chosen tokens from where they are read."""
        if self.across == "heads" and not in_place:
            return _of_chosen(x, chosen, 3, self._shift_heads)  # whose gradients are cheaper than those of writing
        start, stop, _ = chosen.indices(x.shape[3])
        if self.across == "heads":
            tokens, count = slice(start, stop), x.shape[4]
            moving = [(tokens, slice(0, self.heads)), (tokens, slice(count - self.heads, count))]
        else:
            moving = [(slice(first, stop, self.period), EVERY) for first in (start, start + self.period // 2)]
        moved = x if in_place else x.clone()  # written to: several times cheaper than a scatter
        for step, (tokens, heads) in zip((+1, -1), moving, strict=True):
            moved[:, :, :, tokens, heads] = from_frame(x[:, :, :, tokens, heads], step, self.boundary, time=2)
        return moved

    def _shift_heads(self, x: Tensor) -> Tensor:
        after, own, before = x.split([self.heads, x.shape[4] - 2 * self.heads, self.heads], 4)
        after, before = from_frame(after, +1, self.boundary, time=2), from_frame(before, -1, self.boundary, time=2)
        return torch.cat([after, own, before], 4)

    def sources(
        self, frames: int, tokens: int, heads: int, chosen: slice, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The frame that each query, key and value is from: three [T, heads, N], -1 where it is from none.

        Found by shifting the numbers of the frames just as the features are shifted, so it cannot say otherwise.
        """
        number = torch.arange(1, frames + 1, device=device).view(1, 1, frames, 1, 1, 1)
        q, k, v = (
            x[0, ..., 0].transpose(1, 2) - 1 for x in self.attention(number.expand(3, 1, -1, tokens, heads, 1), chosen)
        )
        return q, k, v


@dataclass(frozen=True)
class FramewiseTap:
    """One frame-wise attention before the softmax. Which frame a head reads differs from head to head.

    TokenShift moves channels, not tokens, and does so before the attention: there every token counts as its frame's.
    """

    query: Tensor
    """[B, T, heads, N, d_head], after the shift, as are key and value."""
    key: Tensor
    value: Tensor
    attended: Tensor
    """[B, T, heads, N, d_head]: softmax(query key^T) value, as the block goes on with it (with its gradient)."""
    mask: Tensor | None
    """[B, T, N] bool, True where a key may be read; None when all may."""
    kind: Tensor
    """[N]: the `Kind` of each token of a frame."""
    place: Tensor
    """[N]: its patch (row * columns + column) or joint, else 0."""
    query_frames: Tensor
    """[T, heads, N]: the frame each row of `query` is from, -1 for none (it is zero)."""
    key_frames: Tensor
    value_frames: Tensor

    @property
    def compared(self) -> Tensor:
        """[T, heads, N_q] bool: False where the query or all keys are from no frame, so that every value is read alike
        (zeros are as near to one key as to another)."""
        return (self.query_frames >= 0) & (self.key_frames >= 0).any(-1, keepdim=True)

    @property
    def mapped(self) -> Tensor:
        """[T, heads, N_q] bool: False where there is no map to show: nothing was compared, or all values are from no
        frame and nothing is read."""
        return self.compared & (self.value_frames >= 0).any(-1, keepdim=True)

    def rows(self, queries: Tensor) -> Tensor:
        """Attention of the chosen queries (indices [K]): [B, T, heads, K, N_k]; NaN where there is no map to show.

        What is read are values, in the frames that `value_frames` names; one from no frame takes mass too, if others
        are from one.
        """
        rows = attention_rows(self.query[:, :, :, queries], self.key, self.mask)
        return rows.masked_fill(~self.mapped[:, :, queries, None], float("nan"))


class FramewiseModalAttention(nn.Module):
    """Stands for temporal stride attention in an ablation: every frame reads itself, and only its modal tokens are
    shifted between frames, by TokenShift or by MSCA-KV with one head each way. Parameters and names are the same.

    With MSCA the end frames keep their own modal tokens: keys of zeros would draw attention away from real ones.
    """

    def __init__(self, config: ModelConfig, layer: int, drop_path: float) -> None:
        super().__init__()
        self.mixing = (
            Mixing("tokenshift") if config.temporal == "tokenshift" else Mixing("msca", heads=1, boundary="self")
        )
        self.block = AttentionBlock(config, attention_tap(layer, "temporal"), drop_path)

    def forward(
        self, patches: Tensor, pose: Tensor, modal: Tensor, visible: Tensor, roles: list[str]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Z [B, T, S, d], P [B, T, R, d], M [B, K, T, d] -> the same, after reading their frame."""
        block, spatial, joints = self.block, patches.shape[2], pose.shape[2]
        frames, chosen = patches.shape[1], slice(spatial + joints, None)
        x = self.mixing.stream(torch.cat([patches, pose, rearrange(modal, "b k t c -> b t k c")], dim=2), chosen)
        normed = block.norm(x)
        qkv = torch.stack([block.query(normed), block.key(normed), block.value(normed)])
        q, k, v = self.mixing.attention(rearrange(qkv, "s b t n (h e) -> s b t n h e", h=block.heads), chosen)
        q, k, v = (rearrange(y, "b t n h e -> (b t) h n e") for y in (q, k, v))
        mask = None
        if not bool(visible.all()):
            mask = visible.new_ones(*visible.shape[:2], x.shape[2])
            mask[:, :, spatial : spatial + joints] = visible
        attended = block._attend(q, k, v, None if mask is None else mask.flatten(0, 1))
        if tapped():
            kinds = [int(Kind.PATCH)] * spatial + [int(Kind.JOINT)] * joints + [int(ROLE_KIND[role]) for role in roles]
            place = torch.tensor([*range(spatial), *range(joints), *[0] * len(roles)], device=x.device)
            q, k, v, attended = (y.unflatten(0, (-1, frames)) for y in (q, k, v, attended))
            kind = torch.tensor(kinds, device=x.device)
            sources = self.mixing.sources(frames, x.shape[2], block.heads, chosen, x.device)
            tap(block.name, FramewiseTap(q, k, v, attended, mask, kind, place, *sources))
            attended = attended.flatten(0, 1)  # so that a recorder can ask for its gradient
        read = rearrange(attended, "(b t) h n e -> b t n (h e)", t=frames)
        x = x + block.drop_path(block.dropout(block.projection(read)))
        x = self.mixing.stream(x, chosen)
        x = x + block.drop_path(block.dropout(block.ffn(block.ffn_norm(x))))
        patches, pose, modal = x.split([spatial, joints, len(roles)], dim=2)
        return patches, pose, rearrange(modal, "b t k c -> b k t c")
