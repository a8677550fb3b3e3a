"""Where single tokens look: the keys that every patch and every joint reads most, in each attention of each layer.

`Trace` keeps whole rows of the few tokens that the class depends on. Patches and joints are thousands, so of each only
the strongest keys are kept, of the mean of the heads and (fewer) of every head: enough to show on hover where a token
looks, in every frame.

A key is numbered in [Z by frame and patch | P by frame, person and joint | points of the 3D token search]; the modal
tokens have no place in a frame and are -1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.attention import attention_rows
from model.tap import ATTENTIONS, AttentionTap, Kind, TokenIds, attention_tap
from training.recognizer import Recognizer
from training.skeleton import layout_named
from training.view import View
from xai.trace import Trace

KEPT = {"deformable": 8, "joint": 8, "temporal": 4}
"""Keys of each token, in the mean of the heads."""
KEPT_OF_HEAD = {"deformable": 4, "joint": 4, "temporal": 2}
"""Keys of each token, in every single head."""
MOST_READERS = 4096
"""More patches than these in a clip, and only every second (third, ...) one of each row and column is asked."""
CHUNK = 2**21
"""Largest number of attention weights in memory at once."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What every patch and joint of one clip reads most. Readers are ordered by kind, frame and place."""

    places: np.ndarray
    """[S, 2] centre (x, y) of each patch of a frame, in pixels of the original clip."""
    cell: tuple[float, float]
    """Width and height of the part of a frame that one reader of `readers` stands for, in pixels of the clip."""
    readers: np.ndarray
    """[R] which patches of every frame were asked."""
    sizes: tuple[int, int, int]
    """How many patches, joints and points there are."""
    read: Mapping[str, np.ndarray]
    """attention -> [layer, reader, rank] int: the keys, strongest first. Only patches are readers of "deformable",
    only joints of "joint"; in "temporal" the patches come first. Where these tokens read nothing, as in the last
    temporal attention of a network with modal tokens, it is -1, and the mass 0."""
    mass: Mapping[str, np.ndarray]
    """attention -> [layer, reader, rank] attention mass, raw, mean of the heads. A row of all keys sums to 1."""
    head_read: Mapping[str, np.ndarray] = field(default_factory=dict)
    """As `read`, of each head: attention -> [layer, head, reader, rank]."""
    head_mass: Mapping[str, np.ndarray] = field(default_factory=dict)


class _Numbering:
    """From the identities that a tap hands over to places in the numbering of `Looks`."""

    def __init__(self, frames: int, patches: int, order: np.ndarray, people: int) -> None:
        self.frames, self.patches = frames, patches
        self.joints = people * len(order)
        # The model reads joints in anatomical order; on screen they stand in the order of the layout.
        self.layout = torch.from_numpy(np.concatenate([order + person * len(order) for person in range(people)]))

    def keys(self, ids: TokenIds, window: int) -> Tensor:
        kind, frame, place = ids.kind[window].cpu(), ids.frame[window].cpu(), ids.place[window].cpu()
        found = torch.full_like(kind, -1)
        found = torch.where(kind == Kind.PATCH, frame * self.patches + place, found)
        joint = self.layout[place.clamp(0, self.joints - 1)] if self.joints else place
        before = self.frames * self.patches
        found = torch.where(kind == Kind.JOINT, before + frame * self.joints + joint, found)
        return torch.where(kind == Kind.POINT, before + self.frames * self.joints + place, found)


@dataclass(frozen=True, eq=False)
class _Strongest:
    """What the readers of one attention of one layer read most, for the mean of the heads and for each of them."""

    reader: Tensor
    """[N] in order."""
    keys: Tensor
    """[N, k]."""
    mass: Tensor
    head_keys: Tensor
    """[heads, N, k of a head]."""
    head_mass: Tensor


def _strongest(tap: AttentionTap, kept: tuple[int, int], numbering: _Numbering, asked: Tensor) -> _Strongest:
    """A token in several windows answers from the first of them. `kept`: keys of the mean, and of every head."""
    heads, length = tap.key.shape[2:4]
    chunk = max(1, CHUNK // (heads * length))
    k, k_head = (min(count, length) for count in kept)
    parts: list[tuple[Tensor, ...]] = []
    any_reader = bool(((tap.queries.kind == Kind.PATCH) | (tap.queries.kind == Kind.JOINT)).any())
    for window in range(tap.query.shape[1] * any_reader):
        reader, key = numbering.keys(tap.queries, window), numbering.keys(tap.keys, window)
        wanted = (reader >= numbering.frames * numbering.patches) | torch.isin(reader % numbering.patches, asked)
        mask = None if tap.mask is None else tap.mask[0, window]
        for some in (wanted & (reader >= 0)).nonzero().flatten().split(chunk):
            rows = attention_rows(tap.query[0, window][:, some], tap.key[0, window], mask)
            mass, best = (found.cpu() for found in rows.mean(0).topk(k))
            head_mass, head_best = (found.cpu() for found in rows.topk(k_head))
            parts.append((reader[some], key[best], mass, key[head_best], head_mass))
    if not parts:
        nothing, of_heads = torch.zeros(0, k, dtype=torch.long), torch.zeros(heads, 0, k_head, dtype=torch.long)
        return _Strongest(nothing[:, 0], nothing, nothing.float(), of_heads, of_heads.float())
    reader, keys, mass, head_keys, head_mass = (
        torch.cat(part, dim=1 if part[0].ndim == 3 else 0) for part in zip(*parts, strict=True)
    )
    _, place = np.unique(reader.numpy(), return_index=True)  # in order, each the first time it comes
    return _Strongest(reader[place], keys[place], mass[place], head_keys[:, place], head_mass[:, place])


class Watch(Trace):
    """A trace that also keeps what single tokens read."""

    def __init__(self, recognizer: Recognizer, view: View, people: int) -> None:
        super().__init__()
        self.layers = recognizer.network.config.layers
        height, width = (side // 8 for side in view.size)
        frames = len(view.frame_index)
        every = int(np.ceil(np.sqrt(max(1.0, frames * height * width / MOST_READERS))))
        rows, columns = np.arange(every // 2, height, every), np.arange(every // 2, width, every)
        self.asked = (rows[:, None] * width + columns).ravel()
        order = np.array(layout_named(recognizer.card.layout).window_order)
        self.numbering = _Numbering(frames, height * width, order, people)
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
        self.places = view.to_clip(8.0 * grid)  # F_b index j is image pixel 8 j
        corner = view.to_clip(np.array([[0.0, 0.0], [8.0 * every, 8.0 * every]]))
        self.cell = tuple(float(side) for side in np.abs(corner[1] - corner[0]))
        self.found: dict[str, _Strongest] = {}
        self.searched = 0

    def _record(self, name: str, value: Any) -> None:
        super()._record(name, value)
        if isinstance(value, AttentionTap):
            attention = name.split(".")[-2]
            kept = KEPT[attention], KEPT_OF_HEAD[attention]
            with torch.no_grad():
                self.found[name] = _strongest(value, kept, self.numbering, torch.from_numpy(self.asked))
            self.searched = max(self.searched, int((value.keys.kind[0] == Kind.POINT).sum()))

    def looks(self) -> Looks:
        """What was found, once the network has run."""
        read, mass, head_read, head_mass = {}, {}, {}, {}
        for attention in ATTENTIONS:
            names = [attention_tap(layer, attention) for layer in range(self.layers)]
            if not all(name in self.found for name in names):
                continue
            found = [self.found[name] for name in names]
            if not max(len(each.reader) for each in found):
                continue  # a single layer, in which only modal tokens read across frames
            read[attention] = _stacked([each.keys for each in found], -1)
            mass[attention] = _stacked([each.mass for each in found], 0)
            head_read[attention] = _stacked([each.head_keys for each in found], -1)
            head_mass[attention] = _stacked([each.head_mass for each in found], 0)
        numbers = self.numbering
        sizes = numbers.frames * numbers.patches, numbers.frames * numbers.joints, self.searched
        return Looks(self.places, self.cell, self.asked, sizes, read, mass, head_read, head_mass)  # type: ignore[arg-type]


def _stacked(layers: list[Tensor], nothing: int) -> np.ndarray:
    """Layers on a new first axis; `nothing` stands for a layer in which these tokens read nothing."""
    most = max(layers, key=Tensor.numel)
    return np.stack([(each if each.numel() else torch.full_like(most, nothing)).numpy() for each in layers])
