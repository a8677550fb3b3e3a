"""The paper's algorithms written out slowly: loops, gathers and dense matrices, one statement an equation.

Nothing here is fast and nothing is shared with the package; the tests hold the two against each other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from model.attention import AttentionBlock
from model.token_search import TokenSearch
from model.transformer import DeformableTransformer


def trilinear(volume: Tensor, t: float, y: float, x: float) -> Tensor:
    """[d, T, H, W] read at fractional indices; outside, the border is repeated."""
    size = volume.shape[1:]
    place = [min(max(value, 0.0), n - 1.0) for value, n in zip((t, y, x), size, strict=True)]
    low = [math.floor(value) for value in place]
    result = torch.zeros(volume.shape[0])
    for corner in range(8):
        step = [(corner >> 2) & 1, (corner >> 1) & 1, corner & 1]
        index = [min(base + s, n - 1) for base, s, n in zip(low, step, size, strict=True)]
        weight = 1.0
        for value, base, s in zip(place, low, step, strict=True):
            fraction = value - base
            weight *= fraction if s else 1 - fraction
        result += weight * volume[:, index[0], index[1], index[2]]
    return result


def token_search(search: TokenSearch, z: Tensor, height: int, width: int) -> Tensor:
    """Algorithm A3 on one clip: z [T, S, d] -> Z~ [T~ H~ W~, d]."""
    frames, _, d = z.shape
    volume = (frames, height, width)
    kernel = [min(search.kernel, n // 2 + 1) for n in volume]
    out = [n - k + 1 for n, k in zip(volume, kernel, strict=True)]
    normed = search.norm_input(z).reshape(frames, height, width, d)
    source = z.reshape(frames, height, width, d).permute(3, 0, 1, 2)
    start = [(search.kernel - k) // 2 for k in kernel]
    found = []
    for rt in range(out[0]):
        for ry in range(out[1]):
            for rx in range(out[2]):
                y = search.conv.bias.clone()
                for a in range(kernel[0]):
                    for b in range(kernel[1]):
                        for c in range(kernel[2]):
                            weight = search.conv.weight[:, 0, start[0] + a, start[1] + b, start[2] + c]
                            y = y + weight * normed[rt + a, ry + b, rx + c]
                bounded = torch.tanh(search.offset(torch.nn.functional.gelu(search.norm(y)))).tolist()
                unit = {"volume": (1, 1, 1), "cells": [2 / n for n in out], "tokens": [2 / n for n in volume]}
                offset = [b * s * u for b, s, u in zip(bounded, search.range, unit[search.mode], strict=True)]
                index = []
                for r, n_out, n_in, delta in zip((rt, ry, rx), out, volume, offset, strict=True):
                    p = min(max((2 * r + 1) / n_out - 1 + delta, -1.0), 1.0)
                    index.append(((p + 1) * n_in - 1) / 2)
                found.append(trilinear(source, *index))
    return torch.stack(found)


def attention(block: AttentionBlock, x: Tensor, context: Tensor, allowed: list[bool]) -> Tensor:
    """One attention and its FFN on one window, head by head and query by query: x [N_q, d], context [N_k, d]."""
    d = x.shape[-1]
    size = d // block.heads
    q, k, v = block.query(block.norm(x)), block.key(block.norm(context)), block.value(block.norm(context))
    rows = []
    for i in range(len(x)):
        heads = []
        for h in range(block.heads):
            part = slice(h * size, (h + 1) * size)
            weights = [
                math.exp(float(q[i, part] @ k[j, part]) / math.sqrt(size)) if allowed[j] else 0.0
                for j in range(len(context))
            ]
            total = sum(weights)
            mixed = torch.zeros(size)
            for j, weight in enumerate(weights):
                if total > 0:
                    mixed = mixed + weight / total * v[j, part]
            heads.append(mixed)
        rows.append(torch.cat(heads))
    x = x + block.projection(torch.stack(rows))
    return x + block.ffn(block.ffn_norm(x))


def window_pairs(
    length: int, window: int, stride: int | None = None, pairing: str = "cyclic", wrap: bool = True
) -> list[tuple[list[int], list[int]]]:
    """Algorithms A1 and A2: windows of the sequence, and what each of them reads: the same windows of the sequence
    shifted by half a window (or by `stride`), or another reading of `pairing`. -1 is nobody."""
    size = min(window, length)
    padded = list(range(length))
    while len(padded) % size:
        padded.append(-1)
    shift = 0
    if len(padded) > size:
        shift = max(1, size // 2) if stride is None else min(stride, size)
    pairs = []
    for start in range(0, len(padded), shift if pairing == "slide" and shift else size):
        query = [padded[(start + i) % len(padded)] for i in range(size)]
        first, last = start + shift, start + shift + size
        if pairing == "self":
            first, last = start, start + size
        if pairing == "both":
            first, last = start, start + shift + size
        key = [padded[i % len(padded)] if wrap or i < len(padded) else -1 for i in range(first, last)]
        pairs.append((query, key if max(key) >= 0 else query + [-1] * (len(key) - size)))
    return pairs


def forward(network: DeformableTransformer, frames: Tensor, joints: Tensor, score: Tensor) -> Tensor:
    """One clip, window by window (Fig. 2): logits [classes]. Modal tokens by role, each [T, d]."""
    config = network.config
    features_a, features_b = network.backbone(frames)
    z = network.tokenizer.patches(features_b)[0]
    p = network.tokenizer.pose(features_a, joints, score)[0]
    length, height, width = features_b.shape[-3:]
    spatial, count = z.shape[1], p.shape[1]
    seen = (score[0] > 0).flatten(1)
    modal = dict(zip(config.roles, network.modal(1, length)[0], strict=True))
    with_patches = [role for role in modal if role in ("cls", "rgb", "shared")]
    with_pose = [role for role in modal if role in ("cls", "pose", "shared")]
    crossing = next((role for role in modal if role in ("cls", "shared")), None)
    for layer in network.layers:
        if config.deformable != "off":  # 3D deformable attention: [Z | CLS | RGB] reads [Z~ | CLS | RGB]
            x = torch.cat([z.flatten(0, 1), *(modal[role] for role in with_patches)])
            context = x
            if config.deformable == "deformable":
                found = token_search(layer.deformable.search, z, height, width)
                context = torch.cat([found, *(modal[role] for role in with_patches)])
            out = attention(layer.deformable.block, x, context, [True] * len(context))
            z = out[: length * spatial].reshape(z.shape)
            for i, role in enumerate(with_patches):
                modal[role] = out[length * (spatial + i) : length * (spatial + i + 1)]
        crossed = modal[crossing] if crossing else None
        if config.joint != "off":  # joint stride attention, window by window
            window = count if config.joint == "full" else config.joint_window
            pairs = window_pairs(count, window, config.joint_stride, config.joint_pairing)
            blank = torch.zeros(p.shape[-1])
            read, times = torch.zeros_like(p), torch.zeros(count)
            total = {role: torch.zeros_like(modal[role]) for role in with_pose}
            for query, key in pairs:
                copies = [modal[role] for role in with_pose]
                x = [p[t, r] if r >= 0 else blank for t in range(length) for r in query]
                c = [p[t, r] if r >= 0 else blank for t in range(length) for r in key]
                allowed = [r >= 0 and bool(seen[t, r]) for t in range(length) for r in key]
                out = attention(
                    layer.joint.block,
                    torch.cat([torch.stack(x), *copies]),
                    torch.cat([torch.stack(c), *copies]),
                    allowed + [True] * length * len(copies),
                )
                for i, (t, r) in enumerate((t, r) for t in range(length) for r in query):
                    if r >= 0:
                        read[t, r] += out[i]
                        times[r] += 1 / length
                for i, role in enumerate(with_pose):
                    start = length * (len(query) + i)
                    total[role] = total[role] + out[start : start + length]
            p = read / times[:, None]
            modal |= {role: each / len(pairs) for role, each in total.items()}
        if crossing:  # [M'_CLS | M*_CLS] -> M_CLS
            modal[crossing] = layer.project.linear(torch.cat([crossed, modal[crossing]], dim=-1))
        if config.temporal != "off":  # temporal stride attention over whole frames
            tokens = torch.stack(
                [torch.cat([z[t], p[t], *(m[t : t + 1] for m in modal.values())]) for t in range(length)]
            )
            new, times = torch.zeros_like(tokens), torch.zeros(length)
            window = length if config.temporal == "full" else config.temporal_window
            settings = config.temporal_stride, config.temporal_pairing, config.temporal_wrap
            for query, key in window_pairs(length, window, *settings):
                blank = torch.zeros_like(tokens[0])
                allowed = []
                for t in key:
                    allowed += [t >= 0] * spatial
                    allowed += [t >= 0 and bool(s) for s in seen[t]]
                    allowed += [t >= 0] * len(modal)
                out = attention(
                    layer.temporal.block,
                    torch.cat([tokens[t] if t >= 0 else blank for t in query]),
                    torch.cat([tokens[t] if t >= 0 else blank for t in key]),
                    allowed,
                )
                for i, t in enumerate(query):
                    if t >= 0:
                        new[t] += out[i * len(blank) : (i + 1) * len(blank)]
                        times[t] += 1
            new = new / times[:, None, None]
            z, p = new[:, :spatial], new[:, spatial : spatial + count]
            modal = {role: new[:, spatial + count + i] for i, role in enumerate(modal)}
    pooled = []
    for t in range(length):
        if modal:
            pooled.append(torch.cat([m[t] for m in modal.values()]))
        else:  # the mean patch, and the mean of the joints that are seen
            here = [p[t, r] for r in range(count) if seen[t, r]]
            mean = torch.stack(here).mean(0) if here else torch.zeros_like(p[t, 0])
            pooled.append(torch.cat([z[t].mean(0), mean]))
    return network.head(torch.stack([network.norm(each) for each in pooled]).mean(0))
