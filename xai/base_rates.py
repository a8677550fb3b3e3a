"""Base rates: what maps that never asked the network get on the same clip.

A map that lies on the cause has shown something only if it does so better than these, in the same cells:

| name          | pixels                               | joints                    | frames                  |
|---------------|--------------------------------------|---------------------------|-------------------------|
| person        | share of a cell that people cover    |                           |                         |
| motion energy | how much a cell differs in time      | how fast a joint moves    | how much a frame differs|
| centre        | near the middle of what is seen      | near the middle           | near the middle         |
| base rate     | the map's own: no point moved, uniform attention, ... where it is not the same everywhere          |

What a map gets that is the same everywhere (a uniform lattice) is in every `Score` already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch.nn.functional as F

from xai.explanation import Explanation
from xai.known_cause import Score, cell_share, measure, score, to_cells
from xai.question import Question

CELL = 8
"""Pixels of the input, as wide as a token."""
SPREAD = 0.25
"""Standard deviation of `centre`, of the side of what is seen or of the length of the clip."""


@dataclass(frozen=True)
class BaseRate:
    """One measure of one reference map on one target, beside that of the explanation."""

    of: str
    target: str
    measure: str
    value: float


def base_rates(question: Question, explanation: Explanation) -> tuple[BaseRate, ...]:
    """What the reference maps of the same kind get wherever `explanation` itself is scored."""
    seen = question.seen
    asked = {(each.target, each.measure) for each in score(explanation, seen)}
    return tuple(
        BaseRate(name, each.target, each.measure, each.value)
        for name, reference in references(question, explanation)
        for each in score(reference, seen)
        if (each.target, each.measure) in asked
    )


def on_people(question: Question, explanation: Explanation) -> tuple[Score, ...]:
    """How much of a pixel map lies on the people of a clip with a person mask, beside how much of the view they are;
    nothing for other maps and clips."""
    mask = question.seen.person_mask
    if explanation.kind != "pixel map" or mask is None:
        return ()
    cells = to_cells(explanation, CELL)
    return tuple(measure(cells, cell_share(mask, explanation.companions["box"], cells.shape[1:]), "people"))


def references(question: Question, explanation: Explanation) -> Iterator[tuple[str, Explanation]]:
    """The reference maps by name, of the kind of `explanation`; a token map is asked about its frames alone."""
    maps = {"pixel map": _pixels, "joint map": _joints}.get(explanation.kind, _frames)
    yield from maps(question)
    base = np.broadcast_to(explanation.base_rate, explanation.values.shape)
    if np.ptp(base) > 0:
        yield "base rate", replace(explanation, values=np.asarray(base, np.float32))


def _pixels(question: Question) -> Iterator[tuple[str, Explanation]]:
    view, seen = question.view, question.seen
    rows, columns = (max(1, side // CELL) for side in view.size)

    def drawn(name: str, values: np.ndarray) -> tuple[str, Explanation]:
        return name, question.pixel_map(values, question.made_by(name), "1")

    if seen.person_mask is not None:
        yield drawn("person", cell_share(seen.person_mask, view.box(), (rows, columns)))
    frames = F.adaptive_avg_pool2d(question.tensors[0][0].cpu(), (rows, columns)).numpy()  # (3, T, rows, columns)
    yield drawn("motion energy", _change(np.moveaxis(frames, 0, -1)).mean(axis=-1))
    middle = _near_middle(rows)[:, None] * _near_middle(columns)
    yield drawn("centre", np.tile(middle, (len(seen), 1, 1)))


def _joints(question: Question) -> Iterator[tuple[str, Explanation]]:
    seen, there = question.seen, question.seen.score > 0
    speed = np.linalg.norm(_change(seen.joints), axis=-1)
    yield "motion energy", question.joint_map(speed * there, question.made_by("motion energy"), "1")
    height, width = question.view.size
    place = (question.view.to_model(seen.joints) + 0.5) / [width, height] - 0.5
    near = np.exp(-np.square(place / SPREAD).sum(axis=-1) / 2)
    yield "centre", question.joint_map(near * there, question.made_by("centre"), "1")


def _frames(question: Question) -> Iterator[tuple[str, Explanation]]:
    frames = np.moveaxis(question.tensors[0][0].cpu().numpy(), 1, 0)  # (T, 3, h, w)
    energy = _change(frames).mean(axis=(1, 2, 3))
    yield "motion energy", question.frame_map(energy, question.made_by("motion energy"), "1")
    yield "centre", question.frame_map(_near_middle(len(frames)), question.made_by("centre"), "1")


def _change(values: np.ndarray) -> np.ndarray:
    """[T, ...]: mean absolute difference from the frames before and after; 0 where there is but one frame."""
    step = np.abs(np.diff(values.astype(float), axis=0))
    around = np.zeros(values.shape)
    around[1:] += step
    around[:-1] += step
    beside = np.minimum(np.arange(len(values)), 1) + np.minimum(np.arange(len(values))[::-1], 1)
    return np.asarray(around / np.maximum(beside, 1).reshape(-1, *[1] * (values.ndim - 1)))


def _near_middle(count: int) -> np.ndarray:
    place = (np.arange(count) + 0.5) / count - 0.5
    return np.asarray(np.exp(-np.square(place / SPREAD) / 2))
