"""Where single tokens look: the keys that every patch and every joint reads most, in each attention of each layer.

`Trace` keeps whole rows of the few tokens that the class depends on. Patches and joints are thousands, so of each only
the strongest keys are kept, averaged over heads: enough to show on hover where a token looks, in every frame.

A key is numbered in [Z by frame and patch | P by frame, person and joint | points of the 3D token search]; the modal
tokens have no place in a frame and are -1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
"""Keys of each token."""
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


def _strongest(tap: AttentionTap, kept: int, numbering: _Numbering, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Reader [N], its keys [N, k] and their mass [N, k]. A token in several windows answers from the first of them."""
    readers, keys, masses = [], [], []
    heads, length = tap.key.shape[2:4]
    chunk = max(1, CHUNK // (heads * length))
    k = min(kept, length)
    if not bool(((tap.queries.kind == Kind.PATCH) | (tap.queries.kind == Kind.JOINT)).any()):
        nothing = torch.zeros(0, k, dtype=torch.long)
        return nothing[:, 0], nothing, nothing.float()
    for window in range(tap.query.shape[1]):
        reader, key = numbering.keys(tap.queries, window), numbering.keys(tap.keys, window)
        wanted = (reader >= numbering.frames * numbering.patches) | torch.isin(reader % numbering.patches, asked)
        mask = None if tap.mask is None else tap.mask[0, window]
        for some in (wanted & (reader >= 0)).nonzero().flatten().split(chunk):
            rows = attention_rows(tap.query[0, window][:, some], tap.key[0, window], mask).mean(0).cpu()
            mass, best = rows.topk(k)
            readers.append(reader[some])
            keys.append(key[best])
            masses.append(mass)
    reader, key, mass = torch.cat(readers), torch.cat(keys), torch.cat(masses)
    _, place = np.unique(reader.numpy(), return_index=True)  # in order, each the first time it comes
    return reader[place], key[place], mass[place]


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
        self.found: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        self.searched = 0

    def _record(self, name: str, value: Any) -> None:
        super()._record(name, value)
        if isinstance(value, AttentionTap):
            kept = KEPT[name.split(".")[-2]]
            with torch.no_grad():
                self.found[name] = _strongest(value, kept, self.numbering, torch.from_numpy(self.asked))
            self.searched = max(self.searched, int((value.keys.kind[0] == Kind.POINT).sum()))

    def looks(self) -> Looks:
        """What was found, once the network has run."""
        read, mass = {}, {}
        for attention in ATTENTIONS:
            names = [attention_tap(layer, attention) for layer in range(self.layers)]
            if all(name in self.found for name in names):
                keys, masses = ([self.found[name][part].numpy() for name in names] for part in (1, 2))
                if not len(most := max(keys, key=len)):
                    continue  # a single layer, in which only modal tokens read across frames
                read[attention] = np.stack([each if len(each) else np.full_like(most, -1) for each in keys])
                mass[attention] = np.stack([each if len(each) else np.zeros(most.shape, "f4") for each in masses])
        numbers = self.numbering
        sizes = numbers.frames * numbers.patches, numbers.frames * numbers.joints, self.searched
        return Looks(self.places, self.cell, self.asked, sizes, read, mass)  # type: ignore[arg-type]
