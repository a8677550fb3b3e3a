"""Does a map point at what decides the label? For clips whose cause is known (gym) or weakly known (a person mask).

Three targets: the deciding joints, the deciding frames, the deciding pixels (in cells as large as the tokens, so that
a map of pixels and a map of tokens are asked the same). Three measures, each beside what a map that knows nothing gets:

| measure    | value                                                             | map that knows nothing |
|------------|-------------------------------------------------------------------|------------------------|
| `pointing` | 1 if the strongest entry lies on the cause (ties share the point) | share of the cause     |
| `mass`     | share of the positive values that lies on the cause               | share of the cause     |
| `rank`     | how often an entry of the cause outranks one beside it (AUC)      | 1/2                    |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from training.clip import Cause, Clip
from training.skeleton import LAYOUTS
from xai.explanation import Explanation

TARGETS = ("joints", "frames", "pixels")
MEASURES = ("pointing", "mass", "rank")
_SAMPLES = 8
"""A cell is looked up at this many places in x and in y."""


@dataclass(frozen=True)
class Score:
    """One measure of one map on one target."""

    target: str
    measure: str
    value: float
    base: float
    """What a map that knows nothing gets on the same clip."""


def known_cause(clip: Clip) -> Cause:
    """The cause of a clip; where it is not known, its people are taken as what may decide (kind "person").

    Raises: ValueError for a clip with neither.
    """
    if clip.cause is not None:
        return clip.cause
    if clip.person_mask is None:
        raise ValueError(f"{clip.name or 'The clip'} has neither a known cause nor a person mask to compare with.")
    frames = clip.person_mask.any(axis=(1, 2))
    return Cause("person", frames, np.zeros(clip.score.shape, bool), clip.person_mask)  # type: ignore[arg-type]


def cell_share(mask: np.ndarray, box: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """Share of each cell that `mask` [T, H, W] covers: [T, rows, columns] for an even grid over `box`.

    `box` [4, 2]: corners (x, y) in pixels, clockwise from the top left of the grid. Outside the frame nothing is
    covered.
    """
    rows, columns = cells
    v = (np.arange(rows * _SAMPLES) + 0.5) / (rows * _SAMPLES)
    u = (np.arange(columns * _SAMPLES) + 0.5) / (columns * _SAMPLES)
    right, down = box[1] - box[0], box[3] - box[0]
    place = np.rint(box[0] + u[None, :, None] * right + v[:, None, None] * down).astype(int)
    height, width = mask.shape[1:]
    inside = (place >= 0).all(-1) & (place[..., 0] < width) & (place[..., 1] < height)
    x, y = np.where(inside, place[..., 0], 0), np.where(inside, place[..., 1], 0)
    sampled = mask[:, y, x] & inside
    return np.asarray(sampled.reshape(-1, rows, _SAMPLES, columns, _SAMPLES).mean(axis=(2, 4)))


def to_cells(explanation: Explanation, cell: int = 8) -> np.ndarray:
    """A pixel map [T, y, x] summed into cells of `cell` pixels of the input; coarser maps stay as they are."""
    values = explanation.values
    rows, columns = (max(1, side // cell) for side in explanation.made_by.parameters["size"])
    if values.shape[1] <= rows or values.shape[1] % rows or values.shape[2] % columns:
        return values
    return values.reshape(len(values), rows, values.shape[1] // rows, columns, -1).sum(axis=(2, 4))


def measure(values: np.ndarray, share: np.ndarray, target: str) -> list[Score]:
    """The three measures of flat `values` against `share` in [0, 1], how much of each entry is the cause.

    No scores where everything or nothing is the cause: there is nothing to tell apart.
    """
    values, share = np.asarray(values, float).ravel(), np.asarray(share, float).ravel()
    cause = share > 0
    if not cause.any() or cause.all():
        return []
    strongest = values == values.max()
    positive = np.maximum(values, 0)
    scores = [Score(target, "pointing", float(cause[strongest].mean()), float(cause.mean()))]
    mass = float((positive * share).sum() / positive.sum()) if positive.any() else float(share.mean())
    scores.append(Score(target, "mass", mass, float(share.mean())))
    ranks, hits = rankdata(values), int(cause.sum())
    above = ranks[cause].sum() - hits * (hits + 1) / 2
    scores.append(Score(target, "rank", float(above / (hits * (len(values) - hits))), 0.5))
    return scores


def planted_joint_found(explanation: Explanation, cause: Cause) -> bool:
    """Is the body part that a joint map calls strongest, over the whole clip, one that decides?"""
    names = explanation.axes[explanation.axis("joint")].labels
    layout = next(layout for layout in LAYOUTS.values() if layout.joints == names)
    by_joint = explanation.values.mean(axis=explanation.axis("frame"))
    person, joint = np.unravel_index(by_joint.argmax(), by_joint.shape)
    limb = layout.limbs[layout.limb_of[joint]][1]
    return bool(cause.joints[:, person, list(limb)].any())


def score(explanation: Explanation, seen: Clip) -> list[Score]:
    """Every measure that this kind of map can be asked for; `seen` is the clip of the frames that the network read.

    Joints are asked over the whole clip (which joint) and frames over everything else (when); a map that is the same
    in every frame says nothing about when, and a cause without joints (a thing in the hand) asks nothing of joints.
    """
    cause, values = known_cause(seen), explanation.values
    found: list[Score] = []
    if explanation.kind == "joint map":
        there = np.asarray(seen.score.any(axis=0))
        decides = np.asarray(cause.joints.any(axis=0))
        found += measure(values.mean(axis=0)[there], decides[there], "joints")
    elif explanation.kind == "pixel map":
        cells = to_cells(explanation)
        found += measure(cells, cell_share(cause.pixels, explanation.companions["box"], cells.shape[1:]), "pixels")
    by_frame = np.maximum(values, 0).reshape(len(values), -1).sum(axis=1)
    if explanation.axes[0].name == "frame" and not np.allclose(by_frame, by_frame[0], rtol=1e-4):
        found += measure(by_frame, cause.frames, "frames")
    return found
