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
                offset = torch.tanh(search.offset(torch.nn.functional.gelu(search.norm(y)))) * search.range
                index = []
                for r, n_out, n_in, delta in zip((rt, ry, rx), out, volume, offset.tolist(), strict=True):
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


def window_pairs(length: int, window: int) -> list[tuple[list[int], list[int]]]:
    """Algorithms A1 and A2: windows of the sequence, and the same windows of the sequence shifted by half a window."""
    size = min(window, length)
    padded = list(range(length))
    while len(padded) % size:
        padded.append(-1)
    stride = max(1, size // 2) if len(padded) > size else 0
    shifted = padded[stride:] + padded[:stride]
    return [(padded[i : i + size], shifted[i : i + size]) for i in range(0, len(padded), size)]


def forward(network: DeformableTransformer, frames: Tensor, joints: Tensor, score: Tensor) -> Tensor:
    """The variant `cross` on one clip, window by window (Fig. 2): logits [classes]."""
    config = network.config
    features_a, features_b = network.backbone(frames)
    z = network.tokenizer.patches(features_b)[0]
    p = network.tokenizer.pose(features_a, joints, score)[0]
    length, height, width = features_b.shape[-3:]
    seen = (score[0] > 0).flatten(1)
    cls, rgb, pose = network.modal(1, length)[0]
    for layer in network.layers:
        # 3D deformable attention: [Z | CLS | RGB] reads [Z~ | CLS | RGB]
        found = token_search(layer.deformable.search, z, height, width)
        modal = torch.cat([cls, rgb])
        out = attention(
            layer.deformable.block,
            torch.cat([z.flatten(0, 1), modal]),
            torch.cat([found, modal]),
            [True] * (len(found) + len(modal)),
        )
        z = out[: z.shape[0] * z.shape[1]].reshape(z.shape)
        cls_patches, rgb = out[-2 * length : -length], out[-length:]
        # joint stride attention, window by window
        pairs = window_pairs(p.shape[1], config.joint_window)
        new_p, cls_sum, pose_sum = p.clone(), torch.zeros_like(cls), torch.zeros_like(pose)
        for query, key in pairs:
            x = [p[t, r] if r >= 0 else torch.zeros(p.shape[-1]) for t in range(length) for r in query]
            c = [p[t, r] if r >= 0 else torch.zeros(p.shape[-1]) for t in range(length) for r in key]
            allowed = [r >= 0 and bool(seen[t, r]) for t in range(length) for r in key]
            modal = torch.cat([cls_patches, pose])
            out = attention(
                layer.joint.block,
                torch.cat([torch.stack(x), modal]),
                torch.cat([torch.stack(c), modal]),
                allowed + [True] * len(modal),
            )
            for i, (t, r) in enumerate((t, r) for t in range(length) for r in query):
                if r >= 0:
                    new_p[t, r] = out[i]
            cls_sum, pose_sum = cls_sum + out[-2 * length : -length], pose_sum + out[-length:]
        p, pose = new_p, pose_sum / len(pairs)
        # [M'_CLS | M*_CLS] -> M_CLS
        cls = layer.project.linear(torch.cat([cls_patches, cls_sum / len(pairs)], dim=-1))
        # temporal stride attention over whole frames
        tokens = [torch.cat([z[t], p[t], cls[t : t + 1], rgb[t : t + 1], pose[t : t + 1]]) for t in range(length)]
        new = list(tokens)
        for query, key in window_pairs(length, config.temporal_window):
            blank = torch.zeros_like(tokens[0])
            allowed = []
            for t in key:
                allowed += [t >= 0] * z.shape[1]
                allowed += [t >= 0 and bool(s) for s in (seen[t] if t >= 0 else seen[0])]
                allowed += [t >= 0] * 3
            out = attention(
                layer.temporal.block,
                torch.cat([tokens[t] if t >= 0 else blank for t in query]),
                torch.cat([tokens[t] if t >= 0 else blank for t in key]),
                allowed,
            )
            for i, t in enumerate(query):
                if t >= 0:
                    new[t] = out[i * len(blank) : (i + 1) * len(blank)]
        spatial, count = z.shape[1], p.shape[1]
        z = torch.stack([frame[:spatial] for frame in new])
        p = torch.stack([frame[spatial : spatial + count] for frame in new])
        cls, rgb, pose = (torch.stack([frame[spatial + count + i] for frame in new]) for i in range(3))
    pooled = [network.norm(torch.cat([cls[t], rgb[t], pose[t]])) for t in range(length)]
    return network.head(torch.stack(pooled).mean(0))
