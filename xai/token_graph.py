"""Who reads whom: the attentions of one forward pass as steps between tokens, walked from the head back to layer 0.

All tokens of a clip stand in one flat vector, [Z by frame and patch | P by frame and joint | M by role and frame].
Relevance is such a vector. One step multiplies it, as a row, with the attention matrix of one attention; the matrix is
never there, its rows are computed a few at a time. Backwards, one layer is

    temporal attention  <-  M_CLS = project [M'_CLS | M*_CLS]  <-  joint attention  <-  deformable attention

What the windows of an attention mean for a token is said here once: a token that stands in several windows (the modal
tokens, which are copied into every window of joints; anything in overlapping windows) has the mean of what it reads
there, a key that stands in several windows collects from all. Deformable attention reads points, and a point is a mix
of eight patches: its relevance goes back to them by the trilinear weights with which it was read.

The projection of the CLS token is no attention. It starts as the mean of its two inputs, and they are given half each.
The feed-forward networks and the channels inside a token are taken as the identity, as attention rollout does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from model.tap import ATTENTIONS, ROLE_KIND, AttentionTap, Kind, TokenIds, attention_tap, points_tap
from model.token_search import Volume, to_index
from model.transformer import DeformableTransformer

CHUNK = 2**21
"""Largest number of attention weights (heads x queries x keys) in memory at once: 8 MB an array."""


@dataclass(frozen=True)
class Tokens:
    """Where every token of a clip stands in the flat vector."""

    volume: Volume
    """(T, H/8, W/8)."""
    joints: int
    """R, joints of all people of one frame."""
    roles: tuple[str, ...]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many tokens Z, P and M have."""
        frames, rows, columns = self.volume
        return frames * rows * columns, frames * self.joints, len(self.roles) * frames

    def index(self, ids: TokenIds) -> Tensor:
        """[D, N] places in the vector; -1 for padding and for points, which are no tokens of the layer below."""
        frames, rows, columns = self.volume
        patches, pose, _ = self.sizes
        index = torch.full_like(ids.kind, -1)
        index = torch.where(ids.kind == Kind.PATCH, ids.frame * (rows * columns) + ids.place, index)
        index = torch.where(ids.kind == Kind.JOINT, patches + ids.frame * self.joints + ids.place, index)
        for k, role in enumerate(self.roles):
            index = torch.where(ids.kind == ROLE_KIND[role], patches + pose + k * frames + ids.frame, index)
        return index

    def split(self, vector: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Z [T, H/8, W/8], P [T, R] and M [K, T]."""
        frames = self.volume[0]
        patches, pose, modal = vector.split(self.sizes)
        return patches.view(self.volume), pose.view(frames, self.joints), modal.view(len(self.roles), frames)

    def join(self, patches: Tensor, pose: Tensor, modal: Tensor) -> Tensor:
        """The inverse of `split`."""
        return torch.cat([patches.flatten(), pose.flatten(), modal.flatten()])


@dataclass(frozen=True)
class Corners:
    """The eight patches that each point is a mix of: `index` [P, 8] into Z, `weight` [P, 8], rows summing to 1."""

    index: Tensor
    weight: Tensor
    patches: int
    """How many tokens Z has."""

    def scatter(self, relevance: Tensor) -> Tensor:
        """Relevance of the points [P] -> of the patches they were read from [patches]; the sum stays."""
        shares = (self.weight * relevance[:, None]).flatten()
        return relevance.new_zeros(self.patches).index_add_(0, self.index.flatten(), shares)


def corners(position: Tensor, volume: Volume) -> Corners:
    """Where `sample` of model/token_search.py reads for normalised (t, y, x) [..., 3], border included."""
    place = to_index(position.detach().float().reshape(-1, 3), volume)
    low = place.floor()
    upper = (place - low)[:, None]
    side = torch.tensor(list(product((0, 1), repeat=3)), device=place.device)  # (8, 3)
    last = torch.tensor(volume, device=place.device) - 1
    t, y, x = torch.minimum(low.long()[:, None] + side, last).unbind(-1)
    weight = torch.where(side.bool(), upper, 1 - upper).prod(-1)
    return Corners((t * volume[1] + y) * volume[2] + x, weight, volume[0] * volume[1] * volume[2])


@dataclass(frozen=True)
class Reading:
    """One attention of one layer, of the first clip of the batch, with its tokens by their places in the vector."""

    name: str
    tap: AttentionTap
    query: Tensor
    """[D, N_q], -1 for padding."""
    key: Tensor
    """[D, N_k], -1 for padding and points."""
    copies: Tensor
    """[D, N_q]: in how many windows the query stands."""
    found: Corners | None
    """What the points of deformable attention were mixed from."""
    lattice: Corners | None
    """What they would be mixed from if no point had moved."""

    @property
    def readable(self) -> Tensor:
        """[D, N_k] bool."""
        real = self.tap.keys.kind != Kind.PADDING
        return real if self.tap.mask is None else real & self.tap.mask[0]


Rows = Callable[[Reading, int, Tensor], Tensor]
"""(attention, window, queries [n]) -> how much each of them takes from each key of the window [n, N_k]."""


def pass_down(
    reading: Reading, relevance: Tensor, rows: Rows, points: Corners | None, tick: Callable[[], None]
) -> tuple[Tensor, Tensor]:
    """One step back through one attention: what every token gives away, and what arrives at every token.

    With rows that sum to 1, `given` is the relevance of the tokens that read. The two vectors have the same sum.
    `tick` is called after every chunk of rows.
    """
    given, arrived = torch.zeros_like(relevance), torch.zeros_like(relevance)
    heads, length = reading.tap.key.shape[2:4]
    chunk = max(1, CHUNK // (heads * length))
    for window, (query, key) in enumerate(zip(reading.query, reading.key, strict=True)):
        held = torch.where(query >= 0, relevance[query.clamp_min(0)], 0)
        at_keys = relevance.new_zeros(length)
        for some in held.nonzero().flatten().split(chunk):  # at the top only the modal tokens hold anything
            taken = rows(reading, window, some).to(relevance.dtype)
            given.index_add_(0, query[some], held[some] * taken.sum(1))
            at_keys += held[some] @ taken
            tick()
        real = key >= 0
        arrived.index_add_(0, key[real], at_keys[real])
        if points is not None:
            arrived[: points.patches] += points.scatter(at_keys[reading.tap.keys.kind[window] == Kind.POINT])
    return given, arrived


@dataclass(frozen=True)
class TokenGraph:
    """All attentions of one forward pass; `layers[i][attention]` is missing where the network has it switched off."""

    tokens: Tokens
    layers: tuple[Mapping[str, Reading], ...]
    crossing: slice
    """Where the token that joins both modalities stands in the vector (empty without one)."""

    @classmethod
    def of(cls, network: DeformableTransformer, taps: Mapping[str, Any], tokens: Tokens) -> TokenGraph:
        """From what the taps handed over (`AttentionTap` and `PointsTap` by name)."""

        def reading(layer: int, attention: str) -> Reading:
            tap: AttentionTap = taps[attention_tap(layer, attention)]
            query = tokens.index(tap.queries)
            count = torch.bincount(query[query >= 0], minlength=sum(tokens.sizes))
            found = lattice = None
            if attention == "deformable" and (points := taps.get(points_tap(layer))) is not None:
                found = corners(points.position[0], points.volume)
                lattice = corners(points.reference, points.volume)
            name = attention_tap(layer, attention)
            return Reading(name, tap, query, tokens.index(tap.keys), count[query.clamp_min(0)], found, lattice)

        layers = tuple(
            {a: reading(layer, a) for a in ATTENTIONS if attention_tap(layer, a) in taps}
            for layer in range(len(network.layers))
        )
        patches, pose, _ = tokens.sizes
        start = patches + pose + (network.modal.crossing or 0) * tokens.volume[0]
        return cls(tokens, layers, slice(start, start + (0 if network.modal.crossing is None else tokens.volume[0])))

    @property
    def readings(self) -> tuple[Reading, ...]:
        return tuple(reading for layer in self.layers for reading in layer.values())

    def carry(self, relevance: Tensor, step: Callable[[Reading, Tensor], Tensor]) -> Tensor:
        """Relevance of the tokens that the head pools -> of the tokens that enter layer 0."""
        for layer in reversed(self.layers):
            if "temporal" in layer:
                relevance = step(layer["temporal"], relevance)
            past_joints = torch.zeros_like(relevance)  # M'_CLS reaches the projection without joint attention
            past_joints[self.crossing] = relevance[self.crossing] / 2
            if "joint" in layer:
                relevance = step(layer["joint"], relevance - past_joints) + past_joints
            if "deformable" in layer:
                relevance = step(layer["deformable"], relevance)
        return relevance
