"""TokenShift and MSCA written out slowly: frame by frame, head by head, query by query, one channel at a time.

Nothing of the shifting is shared with the package; the tests hold the two against each other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from model.framewise import FrameWise, resize_positions
from model.temporal_mixing import FramewiseModalAttention, Mixing


def source(frame: int, step: int, frames: int, boundary: str) -> int | None:
    """The frame that is read in place of `frame`; None if there is none."""
    if 0 <= frame + step < frames:
        return frame + step
    return frame if boundary == "self" else None


def token_shift(x: list[Tensor], tokens: list[int], mixing: Mixing) -> list[Tensor]:
    """TokShift-Transformer's `shift_tk`: the first c/4 channels from t+1, the next c/4 from t-1."""
    new = [frame.clone() for frame in x]
    channels = x[0].shape[1]
    fold = channels // mixing.fold
    for t in range(len(x)):
        for n in tokens:
            for c in range(2 * fold):
                other = source(t, +1 if c < fold else -1, len(x), mixing.boundary)
                new[t][n, c] = 0 if other is None else x[other][n, c]
    return new


def step_of(head: int, heads: int, token: int, mixing: Mixing) -> int:
    """Which way one head reads one token: +1, -1, or 0 for its own frame. Token 0 is CLS."""
    if mixing.across == "heads":
        return 1 if head < mixing.heads else -1 if head >= heads - mixing.heads else 0
    if token == 0:
        return 0
    return {0: 1, mixing.period // 2: -1}.get((token - 1) % mixing.period, 0)


def attention(
    q: list[Tensor],
    k: list[Tensor],
    v: list[Tensor],
    heads: int,
    mixing: Mixing,
    shifted_tokens: list[int] | None = None,
    seen: list[list[bool]] | None = None,
) -> list[Tensor]:
    """Frames of projected tokens [N, d] -> what the heads read, [N, d] a frame."""
    frames, (count, d) = len(q), q[0].shape
    size = d // heads

    def row(name: str, values: list[Tensor], t: int, n: int, head: int) -> Tensor:
        step = 0
        if mixing.kind == "msca" and name in mixing.shifted and (shifted_tokens is None or n in shifted_tokens):
            step = step_of(head, heads, n, mixing)
        other = source(t, step, frames, mixing.boundary) if step else t
        part = slice(head * size, (head + 1) * size)
        return torch.zeros(size) if other is None else values[other][n, part]

    out = []
    for t in range(frames):
        read = torch.zeros(count, d)
        for head in range(heads):
            keys = [row("K", k, t, j, head) for j in range(count)]
            values = [row("V", v, t, j, head) for j in range(count)]
            allowed = [True] * count if seen is None else seen[t]
            for i in range(count):
                query = row("Q", q, t, i, head)
                weights = [
                    math.exp(float(query @ key) / math.sqrt(size)) if may else 0.0
                    for key, may in zip(keys, allowed, strict=True)
                ]
                mixed = sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights)
                read[i, head * size : (head + 1) * size] = mixed
        out.append(read)
    return out


def forward(network: FrameWise, frames: Tensor) -> Tensor:
    """One clip [3, T, H, W] -> logits [classes], the mean of the logits of the frames."""
    config, mixing = network.config, network.config.mix
    x = []
    for t in range(frames.shape[1]):
        cells = network.patch_embed.proj(frames[None, :, t])[0]  # a convolution with the stride of its kernel
        position = resize_positions(network.pos_embed, (cells.shape[1], cells.shape[2]))[0]
        x.append(torch.cat([network.cls_token[0], cells.flatten(1).T]) + position)
    for block in network.blocks:
        if mixing.kind == "tokenshift":
            x = token_shift(x, [0], mixing)
        d = config.width
        projected = [block.attn.qkv(block.norm1(frame)) for frame in x]
        read = attention(
            [p[:, :d] for p in projected],
            [p[:, d : 2 * d] for p in projected],
            [p[:, 2 * d :] for p in projected],
            config.heads,
            mixing,
        )
        x = [frame + block.attn.proj(r) for frame, r in zip(x, read, strict=True)]
        if mixing.kind == "tokenshift":
            x = token_shift(x, [0], mixing)
        x = [frame + block.mlp(block.norm2(frame)) for frame in x]
    logits = [network.head(network.norm(frame[0])) for frame in x]
    return sum(logits[1:], logits[0]) / len(logits)


def modal_attention(
    layer: FramewiseModalAttention, patches: Tensor, pose: Tensor, modal: Tensor, visible: Tensor
) -> list[Tensor]:
    """The ablation of temporal stride attention on one clip: Z [T, S, d], P [T, R, d], M [K, T, d] -> [S + R + K, d]
    a frame."""
    block, mixing = layer.block, layer.mixing
    x = [torch.cat([patches[t], pose[t], modal[:, t]]) for t in range(len(patches))]
    count, first = len(x[0]), len(x[0]) - len(modal)
    tokens = list(range(first, count))
    seen = [[True] * patches.shape[1] + visible[t].tolist() + [True] * len(modal) for t in range(len(x))]
    if mixing.kind == "tokenshift":
        x = token_shift(x, tokens, mixing)
    q, k, v = ([p(block.norm(frame)) for frame in x] for p in (block.query, block.key, block.value))
    read = attention(q, k, v, block.heads, mixing, tokens, seen)
    x = [frame + block.projection(r) for frame, r in zip(x, read, strict=True)]
    if mixing.kind == "tokenshift":
        x = token_shift(x, tokens, mixing)
    return [frame + block.ffn(block.ffn_norm(frame)) for frame in x]
