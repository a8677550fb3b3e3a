"""What patches and joints read, as tables for the player: on hover it draws where a token looks in each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from xai.evidence import Evidence

Table = tuple[np.ndarray, np.ndarray]
"""Keys [layer, head, reader, rank], strongest first, -1 for a modal token or none; and their attention mass."""


@dataclass(frozen=True, eq=False)
class LookTables:
    spots: np.ndarray
    """[layer, key, 3] frame and pixel (t, x, y) of every key: patches, then joints, then points."""
    ends: list[int]
    """Where each of these kinds ends."""
    patches: list[int]
    """The patches that were asked, as keys; the readers of "deformable", and the first readers of "temporal"."""
    columns: int
    """How many of them stand side by side in a frame."""
    cell: list[float]
    """Width and height in pixels of what one of them stands for."""
    mean: dict[str, Table]
    """Attention -> what its readers read in the mean of the heads, which is their only head here. Joints read by frame,
    person and joint."""
    heads: dict[str, Table]
    """The same of every head, with fewer ranks; {} where that was not kept."""


def look_tables(evidence: Evidence) -> LookTables | None:
    """None where single tokens were not asked, or there is no token search to show."""
    looks, points, frames = evidence.looks, evidence.sampling_points, len(evidence.clip)
    if looks is None or points is None:
        return None
    _, joints, _ = looks.sizes
    cells, places = len(looks.places), evidence.clip.joints.reshape(-1, 2)
    if len(places) != joints:  # the model read no joints of this clip
        places = np.zeros((joints, 2))
    time = np.concatenate([np.repeat(np.arange(frames), n) for n in (cells, joints // frames)])
    still = np.column_stack([time, np.concatenate([np.tile(looks.places, (frames, 1)), places])])
    asked = (np.arange(frames)[:, None] * cells + looks.readers).ravel()
    return LookTables(
        spots=np.stack([np.concatenate([still, place]) for place in points.companions["place"]]),
        ends=np.cumsum(looks.sizes).tolist(),
        patches=asked.tolist(),
        columns=len(np.unique(looks.places[looks.readers, 0].round(3))),
        cell=[round(side, 3) for side in looks.cell],
        mean={name: (read[:, None], looks.mass[name][:, None]) for name, read in looks.read.items()},
        heads={name: (read, looks.head_mass[name]) for name, read in looks.head_read.items()},
    )
