"""Attention rollout and Chefer's rule written out: every attention as a full matrix over all tokens, built with loops.

The forward pass is done here once more with explicit softmaxes, so that the gradient of the score with respect to every
attention weight comes from autograd itself. Nothing of xai/token_graph.py is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model.attention import AttentionBlock
from model.tap import PointsTap, recording
from model.transformer import DeformableTransformer
from tests.model.literal import trilinear, window_pairs

Token = tuple[str, int, int]
"""("z", frame, patch), ("p", frame, joint) or (role, frame, 0)."""


@dataclass
class Map:
    """One attention of one window: weights [heads, N_q, N_k] and who stands there. A key is a mix of tokens."""

    weights: Tensor
    queries: list[Token | None]
    keys: list[dict[Token, float]]


@dataclass
class Stage:
    """One attention of one layer, in all its windows; `crossing` marks the joint attention before the projection."""

    maps: list[Map]
    crossing: str | None


def attend(block: AttentionBlock, x: Tensor, context: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """One window: x [N_q, d], context [N_k, d], allowed [N_k] bool -> new x, weights [heads, N_q, N_k]."""
    size = x.shape[-1] // block.heads

    def split(tokens: Tensor) -> Tensor:
        return tokens.view(len(tokens), block.heads, size).transpose(0, 1)

    normed = block.norm(context)
    q, k, v = split(block.query(block.norm(x))), split(block.key(normed)), split(block.value(normed))
    scores = torch.exp(q @ k.transpose(1, 2) / size**0.5) * allowed
    weights = scores / scores.sum(-1, keepdim=True).clamp_min(1e-30)
    x = x + block.projection((weights @ v).transpose(0, 1).flatten(1))
    return x + block.ffn(block.ffn_norm(x)), weights


def sampling_weights(position: Tensor, volume: tuple[int, int, int]) -> list[dict[Token, float]]:
    """Each point as a mix of patches, by reading one-hot volumes."""
    frames, height, width = volume
    count = frames * height * width
    one_hot = torch.eye(count).view(count, *volume)
    mixes: list[dict[Token, float]] = []
    for place in position.detach().reshape(-1, 3).tolist():
        index = [((p + 1) * n - 1) / 2 for p, n in zip(place, volume, strict=True)]
        weights = trilinear(one_hot, *index)
        mixes.append(
            {
                ("z", i // (height * width), i % (height * width)): float(weights[i])
                for i in weights.nonzero().flatten().tolist()
            }
        )
    return mixes


class Literal:
    """The network run on one clip; `score` with a graph to the weights of every attention in `stages`."""

    def __init__(self, network: DeformableTransformer, given: tuple[Tensor, Tensor, Tensor], target: int) -> None:
        config, roles = network.config, network.config.roles
        features_a, features_b = network.backbone(given[0])
        z = network.tokenizer.patches(features_b)[0]
        p = network.tokenizer.pose(features_a, given[1], given[2])[0]
        self.volume = tuple(features_b.shape[-3:])
        T, S, R = self.volume[0], z.shape[1], p.shape[1]
        seen = (given[2][0] > 0).flatten(1)
        modal = dict(zip(roles, network.modal(1, T)[0], strict=True))
        near_z = [role for role in roles if role in ("cls", "rgb", "shared")]
        near_p = [role for role in roles if role in ("cls", "pose", "shared")]
        crossing = next((role for role in roles if role in ("cls", "shared")), None)
        self.tokens: list[Token] = [("z", t, s) for t in range(T) for s in range(S)]
        self.tokens += [("p", t, r) for t in range(T) for r in range(R)]
        self.tokens += [(role, t, 0) for role in roles for t in range(T)]
        self.seen, self.roles, self.stages = seen, roles, []

        def own(tokens: list[Token | None]) -> list[dict[Token, float]]:
            return [{} if token is None else {token: 1.0} for token in tokens]

        for layer in network.layers:
            if layer.deformable is not None:
                names: list[Token | None] = [("z", t, s) for t in range(T) for s in range(S)]
                of_modal: list[Token | None] = [(role, t, 0) for role in near_z for t in range(T)]
                read = torch.cat([modal[role] for role in near_z] or [z[:0, 0]])
                x = torch.cat([z.flatten(0, 1), read])
                if layer.deformable.search is None:
                    context, keys = x, own(names + of_modal)
                else:
                    points: list[PointsTap] = []
                    with recording(
                        lambda _, value, to=points: to.append(value) if isinstance(value, PointsTap) else None
                    ):
                        found = layer.deformable.search(z[None], *self.volume[1:])[0]
                    context = torch.cat([found, read])
                    keys = sampling_weights(points[0].position[0], self.volume) + own(of_modal)
                out, weights = attend(layer.deformable.block, x, context, torch.ones(len(context), dtype=torch.bool))
                self.stages.append(Stage([Map(weights, names + of_modal, keys)], None))
                z = out[: T * S].view(z.shape)
                modal |= {role: out[T * S + i * T : T * S + (i + 1) * T] for i, role in enumerate(near_z)}
            past = modal.get(crossing)
            maps = []
            if layer.joint is not None:
                new_p = torch.zeros_like(p)
                sums = {role: torch.zeros_like(modal[role]) for role in near_p}
                pairs = window_pairs(R, R if config.joint == "full" else config.joint_window)
                read = torch.cat([modal[role] for role in near_p] or [p[:0, 0]])
                of_modal = [(role, t, 0) for role in near_p for t in range(T)]
                for query, key in pairs:
                    q_names: list[Token | None] = [("p", t, r) if r >= 0 else None for t in range(T) for r in query]
                    k_names: list[Token | None] = [("p", t, r) if r >= 0 else None for t in range(T) for r in key]
                    x = torch.stack([p[n[1], n[2]] if n else torch.zeros_like(p[0, 0]) for n in q_names])
                    c = torch.stack([p[n[1], n[2]] if n else torch.zeros_like(p[0, 0]) for n in k_names])
                    allowed = [bool(n and seen[n[1], n[2]]) for n in k_names] + [True] * len(of_modal)
                    out, weights = attend(
                        layer.joint.block, torch.cat([x, read]), torch.cat([c, read]), torch.tensor(allowed)
                    )
                    maps.append(Map(weights, q_names + of_modal, own(k_names + of_modal)))
                    for i, n in enumerate(q_names):
                        if n:
                            new_p[n[1], n[2]] = out[i]
                    for i, role in enumerate(near_p):
                        start = len(q_names) + i * T
                        sums[role] = sums[role] + out[start : start + T]
                p = new_p
                modal |= {role: total / len(pairs) for role, total in sums.items()}
            self.stages.append(Stage(maps, crossing))
            if crossing is not None:
                modal[crossing] = layer.project.linear(torch.cat([past, modal[crossing]], -1))
            if layer.temporal is not None:
                maps = []
                whole = torch.cat([z, p, *(modal[role][:, None] for role in roles)], 1)  # (T, S + R + K, d)
                new = list(whole)
                for query, key in window_pairs(T, T if config.temporal == "full" else config.temporal_window):

                    def named(frames: list[int]) -> list[Token | None]:
                        within = [("z", s) for s in range(S)] + [("p", r) for r in range(R)] + [(m, 0) for m in roles]
                        return [(kind, t, place) if t >= 0 else None for t in frames for kind, place in within]

                    blank = torch.zeros_like(whole[0])
                    allowed = [bool(n and (n[0] != "p" or seen[n[1], n[2]])) for n in named(key)]
                    out, weights = attend(
                        layer.temporal.block,
                        torch.cat([whole[t] if t >= 0 else blank for t in query]),
                        torch.cat([whole[t] if t >= 0 else blank for t in key]),
                        torch.tensor(allowed),
                    )
                    maps.append(Map(weights, named(query), own(named(key))))
                    for i, t in enumerate(query):
                        if t >= 0:
                            new[t] = out[i * len(blank) : (i + 1) * len(blank)]
                z, p = torch.stack([f[:S] for f in new]), torch.stack([f[S : S + R] for f in new])
                modal = {role: torch.stack([f[S + R + i] for f in new]) for i, role in enumerate(roles)}
                self.stages.append(Stage(maps, None))
        if roles:
            slots = torch.stack([modal[role] for role in roles], 1)
        else:
            mean_p = [p[t][seen[t]].mean(0) if seen[t].any() else torch.zeros_like(p[0, 0]) for t in range(T)]
            slots = torch.stack([z.mean(1), torch.stack(mean_p)], 1)
        normed = network.norm(slots.flatten(1))
        self.score = network.head(normed.mean(0))[target]
        weight = network.head.weight[target]
        self.parts = (normed * weight / T).view(T, slots.shape[1], -1).sum(-1).detach()

    def start(self, parts: Tensor) -> Tensor:
        """Relevance of the pooled tokens from parts [T, slots], as documented: positive parts, summing to 1."""
        row = []
        for kind, t, place in self.tokens:
            if kind in self.roles:
                row.append(max(0.0, float(parts[t, self.roles.index(kind)])))
            elif self.roles:
                row.append(0.0)
            elif kind == "z":
                row.append(max(0.0, float(parts[t, 0])) / (self.volume[1] * self.volume[2]))
            else:
                row.append(max(0.0, float(parts[t, 1])) / int(self.seen[t].sum()) if self.seen[t, place] else 0.0)
        if sum(row) == 0:  # no part speaks for the class: all are equal
            return self.start(torch.ones_like(parts))
        return torch.tensor(row, dtype=torch.float64) / sum(row)

    def matrices(self, gradient: bool) -> list[Tensor]:
        """One [N, N] matrix a stage: row = a token after it, column = a token before it."""
        where = {token: i for i, token in enumerate(self.tokens)}
        weights = [m.weights for stage in self.stages for m in stage.maps]
        changes = torch.autograd.grad(self.score, weights, allow_unused=True) if gradient else weights
        slope = iter(changes)
        result = []
        for stage in self.stages:
            copies: dict[Token, int] = {}
            for m in stage.maps:
                for token in m.queries:
                    if token:
                        copies[token] = copies.get(token, 0) + 1
            matrix = torch.eye(len(self.tokens), dtype=torch.float64)
            for m in stage.maps:
                change = next(slope)
                if gradient:
                    mass = (
                        torch.zeros_like(m.weights[0]) if change is None else (change * m.weights).clamp_min(0).mean(0)
                    )
                else:
                    mass = m.weights.mean(0) / 2
                mix = torch.zeros(len(m.keys), len(self.tokens), dtype=torch.float64)
                for n, key in enumerate(m.keys):
                    for token, share in key.items():
                        mix[n, where[token]] = share
                rows = mass.detach().double() @ mix
                for i, token in enumerate(m.queries):
                    if token and gradient:
                        matrix[where[token]] += rows[i]
                    elif token:
                        # Half stays, half is read; what cannot be read (a window without keys) stays too.
                        matrix[where[token]] += rows[i] / copies[token]
                        matrix[where[token], where[token]] -= float(rows[i].sum()) / copies[token]
            if stage.crossing is not None:  # M_CLS = the mean of M'_CLS (before) and M*_CLS (after)
                for t in range(self.volume[0]):
                    row = where[(stage.crossing, t, 0)]
                    matrix[row] = matrix[row] / 2
                    matrix[row, row] += 0.5
            result.append(matrix)
        return result

    def carried(self, gradient: bool) -> dict[Token, float]:
        """Relevance of every token that enters layer 0; for Chefer's rule, beyond what it starts with."""
        start = self.start(self.parts if gradient else torch.ones_like(self.parts))
        row = start
        for matrix in reversed(self.matrices(gradient)):
            row = row @ matrix
        if gradient:
            row = row - start
        return dict(zip(self.tokens, row.tolist(), strict=True))
