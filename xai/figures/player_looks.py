"""What patches and joints read, as tables for the player: on hover it draws where a token looks in each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xai.evidence import Evidence

POINT_READERS = 16
"""Patches that are named for each point."""
Table = tuple[np.ndarray, np.ndarray]
"""Keys [layer, reader, rank], strongest first, -1 for a modal token or none; and their attention mass."""


@dataclass(frozen=True, eq=False)
class LookTables:
    spots: np.ndarray
    """[layer, key, 3] frame and pixel (t, x, y) of every key: patches, then joints, then points."""
    ends: list[int]
    """Where each of these kinds ends."""
    patches: list[int]
    """The patches that were asked, as keys; the readers of "deformable", and the first readers of "temporal"."""
    cell: list[float]
    """Width and height in pixels of what one of them stands for."""
    tables: dict[str, Table]
    """Attention -> what its readers read. Joints read by frame, person and joint. "points" is "deformable" turned
    around: the patches that read each point most."""


def look_tables(evidence: Evidence) -> LookTables | None:
    """None where single tokens were not asked, or there is no token search to show."""
    looks, points, frames = evidence.looks, evidence.sampling_points, len(evidence.clip)
    if looks is None or points is None:
        return None
    patches, joints, searched = looks.sizes
    cells, places = len(looks.places), evidence.clip.joints.reshape(-1, 2)
    if len(places) != joints:  # the model read no joints of this clip
        places = np.zeros((joints, 2))
    time = np.concatenate([np.repeat(np.arange(frames), n) for n in (cells, joints // frames)])
    still = np.column_stack([time, np.concatenate([np.tile(looks.places, (frames, 1)), places])])
    asked = (np.arange(frames)[:, None] * cells + looks.readers).ravel()
    tables = {name: (read, looks.mass[name]) for name, read in looks.read.items()}
    if "deformable" in tables:
        tables["points"] = readers_of_points(*tables["deformable"], asked, patches + joints, searched)
    return LookTables(
        spots=np.stack([np.concatenate([still, place]) for place in points.companions["place"]]),
        ends=np.cumsum(looks.sizes).tolist(),
        patches=asked.tolist(),
        cell=[round(side, 3) for side in looks.cell],
        tables=tables,
    )


def readers_of_points(read: np.ndarray, mass: np.ndarray, asked: np.ndarray, first: int, points: int) -> Table:
    """[layer, point, rank]: the patches of `asked` that read each point most. Point i is key `first` + i of `read`."""
    layers, _, kept = read.shape
    found = np.full((layers, points, POINT_READERS), -1)
    weight = np.zeros(found.shape)
    for layer in range(layers):
        point, amount = read[layer].ravel() - first, mass[layer].ravel()
        order = np.lexsort((-amount, point))
        order = order[(point[order] >= 0) & (point[order] < points)]
        rank = np.arange(len(order)) - np.searchsorted(point[order], point[order])
        best, place = order[rank < POINT_READERS], rank[rank < POINT_READERS]
        found[layer, point[best], place] = asked[best // kept]
        weight[layer, point[best], place] = amount[best]
    return found, weight
